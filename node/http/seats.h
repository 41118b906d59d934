/* seats.h -- requests of the gateway to its node: a bounded number in flight, each on a client link
 * of its own, its thread waiting for the answer. */
#ifndef TD_HTTP_SEATS_H
#define TD_HTTP_SEATS_H

#include <pthread.h>

#include "node/client/call.h"

struct td_seat {
    bool taken;
    uint64_t id;    /* of the request whose answer is waited for; 0 = none */
    uint8_t *bytes; /* the answer; NULL = not yet */
    size_t count;
    pthread_cond_t answered;
};

struct td_seats {
    pthread_mutex_t mutex;
    uint32_t count;
    struct td_seat *seats;
    uint64_t next_id;
    bool stopping;
};

bool td_seats_init(struct td_seats *seats, uint32_t count);
void td_seats_fini(struct td_seats *seats);
/* Wakes all who wait; they get TD_ECLOSEDLINK. */
void td_seats_stop(struct td_seats *seats);

struct td_http_ops;
/* Sends the request and waits for its answer for request->timeout_ms and ask_ms more; sets
 * request->id. TD_EHTTPBUSY without a free seat, TD_ETIMEOUT, TD_ECLOSEDLINK, TD_ENOMEM,
 * TD_ETOOBIG, TD_EFORMAT. Release ret_answer with td_call_release in every case. */
TD_MUST_USE enum td_err td_seats_ask(struct td_seats *seats, const struct td_http_ops *ops,
                                     struct td_request *request, uint32_t ask_ms,
                                     struct td_call_result *ret_answer);
/* Bytes are copied; an answer that nobody waits for is dropped. */
void td_seats_answer(struct td_seats *seats, uint32_t index, uint64_t id, struct td_bytes answer);

#endif
