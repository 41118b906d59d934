/* readback.h -- what bench and replay end with: wait until a node has everything, then read it all
 * back. */
#ifndef TD_CLI_READBACK_H
#define TD_CLI_READBACK_H

#include "node/cli/cli.h"

/* A handle that asks this node and no other. Exit code. */
TD_MUST_USE int td_readback_open(const struct td_cli *cli, const char *node, uint32_t timeout_ms,
                                 struct tidings **ret_handle);
/* TD_OK once the node's `has` covers after; TD_ETIMEOUT; or why it cannot be asked. */
TD_MUST_USE enum td_err td_readback_await(struct tidings *handle, const struct td_vv *after,
                                          uint32_t timeout_ms);
/* Calls take for every register whose job id starts with prefix. */
TD_MUST_USE enum td_err
td_readback_list(struct tidings *handle, struct td_text prefix,
                 void (*take)(void *self, const struct td_register_view *view), void *self);

#endif
