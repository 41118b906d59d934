/* roster_leave.h -- asking a node how far a leaving region, or a replaced key, has come. */
#ifndef TD_CLI_ROSTER_LEAVE_H
#define TD_CLI_ROSTER_LEAVE_H

#include "node/cli/cli.h"
#include "node/cli/roster_file.h"
#include "proto/leaving.h"

enum td_leave_kind { TD_LEAVE_NOT, TD_LEAVE_CLOSING, TD_LEAVE_REVOKING, TD_LEAVE_ROTATING };
/* What of this region awaits its second step. */
enum td_leave_kind td_leave_kind(const struct td_roster_region *region);
const char *td_leave_state(const struct td_roster_region *region); /* "leaving", ... */
const char *td_leave_verb(const struct td_roster_region *region);  /* of the second step */
const char *td_leave_word(enum td_leaving_state state);

struct td_leaving_ask td_leave_question(const struct td_roster *roster,
                                        const struct td_roster_region *region);
/* --without; exit code. */
TD_MUST_USE int td_leave_without(const struct td_cli *cli, struct td_leaving_ask *ask);
/* Asks the node once. Exit code: 0 = ret_plan holds what it says; it may still be waited for
 * somebody. */
TD_MUST_USE int td_leave_ask(struct td_cli *cli, const struct td_leaving_ask *ask,
                             struct td_leaving_plan *ret_plan);
/* "ap-south, old-eu itself" */
void td_leave_waited_for(const struct td_roster *roster, const struct td_leaving_plan *plan,
                         char *ret_text, size_t text_bytes);
json_t *td_leave_json(const struct td_roster *roster, const struct td_roster_region *region,
                      const struct td_leaving_plan *plan);
/* What may be lost, as remarks. */
void td_leave_say_lost(const struct td_cli *cli, const struct td_roster *roster,
                       const struct td_roster_region *region, const struct td_leaving_plan *plan);

#endif
