/* answer.h -- what the files that build answers share: query.c explain.c status.c. */
#ifndef TD_CORE_ANSWER_H
#define TD_CORE_ANSWER_H

#include "node/core/state.h"

void td_query_explain(struct td_core *core, uint32_t client_link, const struct td_request *request);
void td_query_status(struct td_core *core, uint32_t client_link, const struct td_request *request);

#endif
