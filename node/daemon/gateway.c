/* gateway.c -- see gateway.h. */
#include "node/daemon/gateway.h"

#include <stdio.h>
#include <string.h>

#include "node/daemon/logging.h"
#include "node/http/http.h"

/* On the gateway's threads. A local client that may publish and read, no more: what a token allows
 * the gateway has checked. */
static void ask(void *self, uint32_t client_link, uint8_t *take_payload, size_t payload_bytes)
{
    struct td_link_info info = {
        .link = {client_link}, .kind = TD_LINK_LOCAL, .role = TD_ROLE_PUBLISH};
    snprintf(info.remote, sizeof info.remote, "http");
    td_request_take(self, &info, take_payload, payload_bytes);
}

static void health(void *self, struct td_http_health *ret_health)
{
    struct td_node *node = self;
    struct td_roster_ref *ref = td_membership_get(node->membership);
    *ret_health =
        (struct td_http_health){.core_ticks = td_node_alive(node),
                                .has_roster = ref != NULL,
                                .is_member = node->self.v != 0,
                                .draining = __atomic_load_n(&node->draining, __ATOMIC_ACQUIRE)};
    if (ref != NULL) {
        td_roster_ref_put(ref);
    }
}

static void metrics(void *self, const struct td_response *status, struct td_buffer *out)
{
    td_metrics_write(self, status, out);
}

static void event(void *self, const char *name, const char *what)
{
    (void)self;
    td_log_event(TD_WARN, name, "what", what, NULL);
}

enum td_err td_gateway_start(struct td_node *node, char *ret_why, size_t why_bytes)
{
    if (node->config.listen_http[0] == '\0') {
        return TD_OK;
    }
    struct td_http_config config = {.listen = node->config.listen_http,
                                    .tokens_file = node->config.http_tokens,
                                    .connections_max = node->config.http_connections,
                                    .root_sign_key = node->root.sign_key};
    struct td_http_ops ops = {
        .self = node, .ask = ask, .health = health, .metrics = metrics, .event = event};
    return td_http_start(&config, &ops, &node->http, ret_why, why_bytes);
}

void td_gateway_stop(struct td_node *node)
{
    td_http_stop(node->http);
}

void td_gateway_free(struct td_node *node)
{
    td_http_free(node->http);
    node->http = NULL;
}

void td_gateway_answer(struct td_node *node, uint32_t client_link, uint64_t id,
                       struct td_bytes answer)
{
    if (node->http != NULL) {
        td_http_answer(node->http, client_link, id, answer);
    }
}
