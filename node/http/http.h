/* http.h -- the HTTP gateway: a client of its own node, in the same process. Knows HTTP and JSON;
 * what it knows of the node are requests and answers in the clients' encoding, and four functions.
 *
 * Threads: one of libmicrohttpd that accepts, one for each connection, one that ends what is
 * overdue; all at a lower priority than the node's. None of them touches the core: a request goes
 * where those of local clients go, and its thread waits. */
#ifndef TD_HTTP_H
#define TD_HTTP_H

#include "proto/buffer.h"
#include "proto/client_msg.h"

struct td_http;

/* Client links of the gateway, above all numbers that links are given. */
#define TD_HTTP_LINK_FIRST UINT32_C(0xF0000000)
enum { TD_HTTP_CONNECTIONS_MAX = 1024 };
static inline bool td_http_owns(uint32_t client_link)
{
    return client_link >= TD_HTTP_LINK_FIRST &&
           client_link < TD_HTTP_LINK_FIRST + TD_HTTP_CONNECTIONS_MAX;
}

struct td_http_health {
    bool core_ticks; /* the loop moved in the last 10 s, or there is none yet */
    bool has_roster; /* one is known */
    bool is_member;  /* and names us */
    bool draining;
};

/* What the daemon gives. Any thread may call them; none waits for the core. */
struct td_http_ops {
    void *self;
    /* A request as it would come from a client's link; takes the payload. Answered by
     * td_http_answer, from any thread, possibly before it returns. */
    void (*ask)(void *self, uint32_t client_link, uint8_t *take_payload, size_t payload_bytes);
    void (*health)(void *self, struct td_http_health *ret_health);
    /* Appends the node's metrics, in the Prometheus text format; status is an answer to STATUS, or
     * NULL while there is no core. */
    void (*metrics)(void *self, const struct td_response *status, struct td_buffer *out);
    void (*event)(void *self, const char *event, const char *what); /* one line of the log */
};

struct td_http_config {
    const char *listen;      /* ADDRESS:PORT, [ADDRESS]:PORT */
    const char *tokens_file; /* "" = none: loopback only */
    uint32_t connections_max;
    struct td_public_key root_sign_key;
};

/* TD_ECONFIG with *ret_why when the address or the tokens are refused, TD_EIO when it cannot
 * listen. Both texts of config are copied. */
TD_MUST_USE enum td_err td_http_start(const struct td_http_config *config,
                                      const struct td_http_ops *ops, struct td_http **ret_http,
                                      char *ret_why, size_t why_bytes);
/* The answer to request `id` of this link; bytes are copied. One that nobody waits for is dropped.
 */
void td_http_answer(struct td_http *http, uint32_t client_link, uint64_t id,
                    struct td_bytes answer);
/* Ends all connections and threads; td_http_answer may still be called. NULL is fine in both. */
void td_http_stop(struct td_http *http);
void td_http_free(struct td_http *take_http);

#endif
