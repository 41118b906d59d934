/* guard.h -- the gateway's own budget of connections: which sockets are open, what each is doing
 * and until when. A connection that only sits there gives way to the next one; one that is overdue
 * is shut down. So half-sent requests, however many, keep nobody out. */
#ifndef TD_HTTP_GUARD_H
#define TD_HTTP_GUARD_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

/* Places beyond connections_max, for connections that are just being told so or shut down. */
enum {
    TD_GUARD_SPARE = 16,
    TD_GUARD_HEAD_MS = 10000,
    TD_GUARD_BODY_MS = 10000,
    TD_GUARD_ANSWER_MS = 90000
};

struct td_place {
    bool used;
    bool started;         /* libmicrohttpd has it */
    bool busy;            /* its request's head is complete and its answer not yet out */
    bool refused;         /* beyond the limit: to be answered 503 */
    bool shut;            /* shut down by us, its thread ends it */
    int socket;           /* as libmicrohttpd knows it, until started */
    int fd;               /* a descriptor of our own for the same socket: see guard.c */
    uint64_t since_ms;    /* of the last change of busy */
    uint64_t deadline_ms; /* UINT64_MAX = none */
    uint8_t address[16];  /* of the other side, mapped to IPv6 */
};

struct td_guard {
    pthread_mutex_t mutex;
    pthread_cond_t freed;
    uint32_t connections_max, per_address_max, place_count;
    struct td_place *places;
    uint64_t refused_total, evicted_total, overdue_total;
};

/* False when out of memory. */
bool td_guard_init(struct td_guard *guard, uint32_t connections_max);
void td_guard_fini(struct td_guard *guard);
/* Whether there is a place, after waiting up to wait_ms for one. */
bool td_guard_has_room(struct td_guard *guard, uint32_t wait_ms);
/* Waits until a place is given back, up to wait_ms. */
void td_guard_pause(struct td_guard *guard, uint32_t wait_ms);
/* A connection was accepted: its place, or NULL when there is none or no descriptor for it. */
struct td_place *td_guard_open(struct td_guard *guard, int socket, const struct sockaddr *address);
/* libmicrohttpd begins with this socket: its place. */
struct td_place *td_guard_start(struct td_guard *guard, int socket);
void td_guard_close(struct td_guard *guard, struct td_place *place);
/* Its request may take until then; UINT64_MAX = as long as the other side reads. */
void td_guard_busy(struct td_guard *guard, struct td_place *place, uint64_t deadline_ms);
void td_guard_idle(struct td_guard *guard, struct td_place *place);
/* Shuts down what is overdue. */
void td_guard_reap(struct td_guard *guard);
uint64_t td_guard_now_ms(void);

#endif
