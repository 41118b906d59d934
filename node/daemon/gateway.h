/* gateway.h -- the HTTP gateway's place in the daemon: its requests become those of a local client,
 * and what it asks beside them. */
#ifndef TD_DAEMON_GATEWAY_H
#define TD_DAEMON_GATEWAY_H

#include "node/daemon/node.h"

/* Starts it when listen.http is given; *ret_why says what is wrong. */
TD_MUST_USE enum td_err td_gateway_start(struct td_node *node, char *ret_why, size_t why_bytes);
void td_gateway_stop(struct td_node *node); /* ends its threads, while the core still runs */
void td_gateway_free(struct td_node *node); /* once nothing answers any more */
/* An answer to one of its links, encoded; from any thread. */
void td_gateway_answer(struct td_node *node, uint32_t client_link, uint64_t id,
                       struct td_bytes answer);

/* metrics.c: the node's metrics, from an answer to STATUS and what links and log count. */
void td_metrics_write(struct td_node *node, const struct td_response *status,
                      struct td_buffer *out);

#endif
