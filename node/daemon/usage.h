/* usage.h -- what tidingsd takes, in one table: --help, the nearest verb and tidingsd(8) are made from it. */
#ifndef TD_DAEMON_USAGE_H
#define TD_DAEMON_USAGE_H

#include <stdio.h>

#define TD_CONFIG_DEFAULT "/etc/tidings/tidingsd.yaml"

/* Lists end with a row whose name is NULL. */
struct td_usage_row {
    const char *name, *arguments, *text;
};
extern const struct td_usage_row td_usage_verbs[], td_usage_signals[], td_usage_exit_codes[],
    td_usage_environment[];

void td_usage_print(FILE *out);
/* upgrade.c: what a start of this version would find in the log. Changes nothing; the exit code. */
int td_upgrade_dry_run(const char *config_path);
/* Help of `tidingsd init`. */
extern const char td_init_help[];

#endif
