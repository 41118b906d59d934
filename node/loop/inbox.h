/* inbox.h -- the bounded queue in front of the core: one mutex, one condition. Any thread pushes, the
 * core's thread takes everything at once, but of walks one at a time and last: a report never waits
 * behind more than one slice of a list. Classes keep room for what must never be refused:
 * completions and link events always fit (their number is bounded by what the core itself has in
 * flight), frames, requests and walks have bounds of number and of memory: a full class refuses. */
#ifndef TD_LOOP_INBOX_H
#define TD_LOOP_INBOX_H

#include <pthread.h>

#include "node/core/core.h"

enum td_inbox_class {
    TD_INBOX_COMPLETION,
    TD_INBOX_LINK,
    TD_INBOX_FRAME,
    TD_INBOX_REQUEST,
    TD_INBOX_WALK, /* requests that look at many registers */
    TD_INBOX_CLASSES
};

/* One event and the memory behind it. release() is called exactly once, after the step, on the core's
 * thread (or by td_inbox_fini). event.now is filled by the loop. */
struct td_inbox_item {
    struct td_inbox_item *next;
    enum td_inbox_class class_;
    size_t bytes; /* memory behind it, as counted against its class; set by the pusher */
    struct td_event event;
    void (*release)(struct td_inbox_item *item);
};

struct td_inbox_bounds { /* walks: those of requests, for themselves */
    uint32_t requests_max, frames_max;
    size_t request_bytes_max, frame_bytes_max;
};

struct td_inbox {
    pthread_mutex_t mutex;
    pthread_cond_t filled;
    struct td_inbox_queue {
        struct td_inbox_item *first;
        struct td_inbox_item **last;
    } queue, walks;
    uint32_t count[TD_INBOX_CLASSES];
    uint32_t count_max[TD_INBOX_CLASSES];
    size_t bytes[TD_INBOX_CLASSES];
    size_t bytes_max[TD_INBOX_CLASSES];
    bool woken;
};

/* The other two classes are only counted. */
void td_inbox_init(struct td_inbox *inbox, const struct td_inbox_bounds *bounds);
void td_inbox_fini(struct td_inbox *inbox);
/* Takes the item; false when its class is full (then the caller keeps it). */
TD_MUST_USE bool td_inbox_push(struct td_inbox *inbox, struct td_inbox_item *take_item);
/* Everything queued, oldest first, then the oldest walk; or NULL after wait_ms or a wake. */
struct td_inbox_item *td_inbox_take(struct td_inbox *inbox, uint64_t wait_ms);
void td_inbox_wake(struct td_inbox *inbox);
/* For metrics. */
uint32_t td_inbox_count(struct td_inbox *inbox);

#endif
