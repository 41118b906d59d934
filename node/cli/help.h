/* help.h -- --help from the option table. */
#ifndef TD_CLI_HELP_H
#define TD_CLI_HELP_H

#include <stdio.h>

#include "node/cli/options.h"

void td_help_main(FILE *file);
void td_help_verb(FILE *file, const struct td_verb *verb);
/* The verbs that start with this word; also used for an unfinished `tidings roster`. */
void td_help_group(FILE *file, const char *word);

#endif
