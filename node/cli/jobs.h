/* jobs.h -- registers as people read them, and the filter flags that list and watch share. */
#ifndef TD_CLI_JOBS_H
#define TD_CLI_JOBS_H

#include "node/cli/cli.h"
#include "node/cli/table.h"

/* "running 40 %  \"12 of 30 tables\"", escaped; colour around the word when cli->color. */
void td_job_state_text(const struct td_cli *cli, const struct td_register_view *view,
                       char *ret_text, size_t text_bytes);
/* The word in its colour; plain when cli->color is off. */
const char *td_job_state_word(const struct td_cli *cli, enum td_state state);
/* When the register entered its state. */
uint64_t td_job_since_ms(const struct td_register_view *view);

/* One line per register. */
struct td_table *td_job_table(const struct td_cli *cli);
void td_job_row(const struct td_cli *cli, struct td_table *table,
                const struct td_response *response, const struct td_register_view *view);

/* Flags to filter. --origin is a name: it is looked up in names (from any answer). Exit code. */
TD_MUST_USE int td_job_filter(const struct td_cli *cli, const struct td_response *names,
                              struct td_filter *ret_filter);
/* Asks the node for its region names when a flag needs them; otherwise does nothing. Exit code. */
TD_MUST_USE int td_job_names(struct td_cli *cli, struct td_call_result *ret_result);
/* Region of this name; 0 when the answer names none such. */
struct td_region td_region_of_name(const struct td_response *response, const char *name);

/* Sends GET or EXPLAIN for the job on the command line; *ret_known = false when the node does not
 * know it. Exit code. Release ret_result in every case. */
TD_MUST_USE int td_job_ask(struct td_cli *cli, enum td_op op, bool all_attempts,
                           struct td_call_result *ret_result, bool *ret_known);
/* Says "no region knows this job as of 1.2 s ago" and returns 3, or says why that is not certain
 * and returns 5. */
int td_job_unknown(struct td_cli *cli, const struct td_response *response, const char *job);

/* The FRESH line of an answer, without the label. */
void td_fresh_text(const struct td_cli *cli, const struct td_response *response, char *ret_text,
                   size_t text_bytes);
#endif
