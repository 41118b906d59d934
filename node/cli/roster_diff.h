/* roster_diff.h -- what changed from one roster to the next, in words. */
#ifndef TD_CLI_ROSTER_DIFF_H
#define TD_CLI_ROSTER_DIFF_H

#include "proto/roster.h"

/* before NULL: everything is new. One call a change, text escaped for a terminal. */
void td_roster_diff(const struct td_roster *before, const struct td_roster *after,
                    void (*say)(void *self, const char *change), void *self);

#endif
