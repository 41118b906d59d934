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

/* metrics.c. Before an answer to STATUS leaves, on the core's thread: what the core measured beside
 * it is kept for whoever writes metrics from that answer. */
void td_metrics_keep(struct td_node *node);
/* A publish came in, and its answer went out: for its duration. Any thread. */
void td_metrics_publish_begin(struct td_node *node, uint32_t client_link, uint64_t id);
void td_metrics_publish_end(struct td_node *node, uint32_t client_link, uint64_t id);
/* The node's metrics, from an answer to STATUS and what links and log count; status NULL = no core.
 */
void td_metrics_write_peers(struct td_node *node, const struct td_response *status,
                            const struct td_core_metrics *core, struct td_buffer *out);
void td_metrics_write(struct td_node *node, const struct td_response *status,
                      struct td_buffer *out);

#endif
