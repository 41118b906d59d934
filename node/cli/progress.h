/* progress.h -- one line on a terminal's stderr that says how far, how fast, how long still. Silent
 * when stderr is no terminal. */
#ifndef TD_CLI_PROGRESS_H
#define TD_CLI_PROGRESS_H

#include "node/cli/cli.h"

struct td_progress {
    bool on;
    const char *what; /* "updates" */
    uint64_t start_us;
    uint64_t shown_us;
    uint64_t total;
};
void td_progress_init(struct td_progress *self, const struct td_cli *cli, const char *what,
                      uint64_t total);
/* Cheap when called often: writes at most five times a second. */
void td_progress_show(struct td_progress *self, uint64_t done);
/* Wipes the line. */
void td_progress_end(struct td_progress *self);

#endif
