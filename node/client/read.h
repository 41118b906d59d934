/* read.h -- what the reading functions share: a filter with its region looked up. */
#ifndef TD_CLIENT_READ_H
#define TD_CLIENT_READ_H

#include "node/client/call.h"

/* A filter as the wire wants it. The texts stay borrowed. TD_EUSAGE for an unknown region. */
TD_MUST_USE enum td_err td_filter_from_public(struct tidings *t, const struct tidings_filter *from,
                                              struct td_filter *ret_filter);
/* How long the node may wait for what the handle has seen, out of a call's time-out. */
uint32_t td_node_wait_ms(const struct tidings *t, uint32_t timeout_ms);

#endif
