/* help.h -- --help from the option table. */
#ifndef TD_CLI_HELP_H
#define TD_CLI_HELP_H

#include <stdio.h>

#include "node/cli/options.h"

/* Exit codes of every verb but check, and what each means; ends with text NULL. */
struct td_exit_code {
    int code;
    const char *text;
};
extern const struct td_exit_code td_exit_codes[];

/* Environment variables; ends with name NULL. */
struct td_environment {
    const char *name, *text;
};
extern const struct td_environment td_environment[];

/* Headings of the main help in their order; ends with NULL. */
extern const char *const td_help_groups[];

void td_help_main(FILE *file);
void td_help_verb(FILE *file, const struct td_verb *verb);
/* The verbs that start with this word; also used for an unfinished `tidings roster`. */
void td_help_group(FILE *file, const char *word);

#endif
