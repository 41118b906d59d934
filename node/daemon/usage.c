/* usage.c -- see usage.h. */
#include "node/daemon/usage.h"

const struct td_usage_row td_usage_verbs[] = {
    { "run", "[-c FILE]", "run the node in the foreground; the verb may be left out" },
    { "init", "...", "make a key and a configuration; prints the public key" },
    { "check-config", "[-c FILE]", "exit 0, or 78 with what is wrong" },
    { "config", "--effective|--defaults|--schema [-c FILE]", "values in force, all keys with comments, or JSON" },
    { "upgrade", "--dry-run [-c FILE]", "say what a start of this version would do with the log" },
    { "version", "[--json]", "version and protocol range" },
    { "help", "", "this text" },
    { NULL, NULL, NULL },
};

const struct td_usage_row td_usage_signals[] = {
    { "SIGTERM, SIGINT", "", "refuse reports, wait up to 5 s until another region has everything, stop" },
    { "SIGHUP", "", "read the configuration and the roster file again, all or nothing" },
    { "SIGUSR1", "", "write the node's state into the log" },
    { NULL, NULL, NULL },
};

const struct td_usage_row td_usage_exit_codes[] = {
    { "0", "", "stopped in order, or done" },
    { "1", "", "failed; the reason is on stderr" },
    { "2", "", "wrong usage" },
    { "78", "", "the configuration or the key file is not valid" },
    { NULL, NULL, NULL },
};

const struct td_usage_row td_usage_environment[] = {
    { "TIDINGS_CONFIG", "", "configuration file when -c is not given; else " TD_CONFIG_DEFAULT },
    { "NOTIFY_SOCKET", "", "where readiness, reloads and the watchdog are told (systemd)" },
    { NULL, NULL, NULL },
};

static void print_rows(FILE *out, const char *heading, const struct td_usage_row *row)
{
    fprintf(out, "\n%s:\n", heading);
    for (; row->name != NULL; row++) {
        fprintf(out, "  %s %s\n      %s\n", row->name, row->arguments, row->text);
    }
}

void td_usage_print(FILE *out)
{
    fputs("Examples:\n"
          "  $ tidingsd init --region eu-west --data /var/lib/tidings --root tdpk1:...\n"
          "  $ tidingsd -c /var/lib/tidings/tidingsd.yaml\n"
          "\ntidingsd: one node of tidings, one per region. Usage: tidingsd [VERB] [FLAGS]\n", out);
    print_rows(out, "Verbs", td_usage_verbs);
    print_rows(out, "Signals", td_usage_signals);
    print_rows(out, "Exit codes", td_usage_exit_codes);
    print_rows(out, "Environment", td_usage_environment);
}
