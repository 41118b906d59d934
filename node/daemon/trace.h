/* trace.h -- the core's trace events as log lines. */
#ifndef TD_DAEMON_TRACE_H
#define TD_DAEMON_TRACE_H

#include "node/daemon/node.h"

/* The trace op of td_loop_ops. Core thread. */
void td_trace_write(void *self, enum td_trace_code code, struct td_region region, uint64_t a, uint64_t b);
/* Name in the roster in force; "" when there is none. */
void td_trace_region_name(struct td_node *node, struct td_region region, char *ret_name, size_t bytes);

#endif
