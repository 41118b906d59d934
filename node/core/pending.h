/* pending.h -- the waiting requests' own state, shared by waiters.c (lists, time-outs), pending.c (what
 * wakes them, results) and parked.c (copies of what requests point to). */
#ifndef TD_CORE_PENDING_H
#define TD_CORE_PENDING_H

#include "node/core/state.h"

enum {
    WAIT_DOTS = 32,         /* missing entries of a token that a read waits for */
    TEXT_BYTES = 512,       /* of a waiting read or watch: job, prefix, a few jobs */
    BIG_TEXT_BYTES = TD_WATCH_JOBS_MAX * TD_JOB_BYTES_MAX,
    BIG_TEXTS = 256,
    PARKED_MAX = 256,
    PARKED_BYTES = 3072,
    REPLIES_KEEP_FREE = 1024, /* effects left to sends and stores in a step */
    DURABLE_TIMEOUT_MS = 30 * 1000,
    WATCH_BUDGET = 8192,    /* changes looked at for watchers in one step */
};

enum wait_list {
    LIST_NONE,
    LIST_READY,   /* publishes with every result settled */
    LIST_DURABLE, /* publishes that wait for a received dot */
    LIST_READ,
    LIST_WATCH,
    LIST_ACK,     /* + level 1..TD_REGIONS_MAX, last = all */
    LIST_COUNT = LIST_ACK + TD_REGIONS_MAX + 2,
};

struct node {
    struct td_result result;
    uint32_t next;         /* of the request; free list */
    uint32_t next_waiting; /* of the same own delta */
    uint32_t waiter;
    bool settled;
    bool await_dot; /* settled once result.dot is durable */
};

struct waiter {
    bool used;
    bool silent; /* cancelled: nobody is answered */
    bool opened; /* all updates were looked at */
    uint8_t list;
    uint8_t ack;
    enum td_op op;
    uint32_t prev, next;
    uint32_t heap_at; /* TD_NONE = no time-out */
    uint64_t deadline_ms;
    uint32_t client_link, client_number;
    uint64_t id;
    uint32_t first_node, last_node, node_count, unsettled, parked;
    struct td_dot ack_dot; /* newest own dot */
    uint64_t cursor;       /* WATCH */
    uint32_t missing_count, fold_count;
    uint32_t big_text; /* TD_NONE = text is enough */
    /* From here on not cleared when taken. */
    struct td_request request;
    struct td_text jobs[TD_WATCH_JOBS_MAX];
    struct td_vv_entry missing[WAIT_DOTS];
    struct td_vv_fold folds[TD_REGIONS_MAX];
    char text[TEXT_BYTES];
    uint8_t from_bytes;
    char from[TD_FROM_BYTES_MAX];
};

struct parked {
    bool used;
    uint32_t node;
    struct td_update update;
    struct td_label labels[TD_LABELS_MAX];
    char bytes[PARKED_BYTES];
};

struct list {
    uint32_t first, last, count;
};

struct td_pending_state {
    struct waiter *waiters;
    uint32_t waiter_free, waiter_used_max, waiter_count;
    struct node *nodes;
    uint32_t node_max, node_free, node_used_max, node_count;
    uint32_t *heap;
    uint32_t heap_count;
    struct list lists[LIST_COUNT];
    struct parked *parked;
    uint32_t parked_count;
    char (*big_texts)[BIG_TEXT_BYTES];
    bool big_used[BIG_TEXTS];
    bool watch_due; /* the budget ended before all watchers had their turn */
};

/* waiters.c */
uint32_t td_waiter_take(struct td_core *core);
void td_waiter_free(struct td_core *core, uint32_t waiter);
void td_waiter_wait(struct td_core *core, uint32_t waiter, uint32_t list, uint64_t deadline_ms);
/* Into this list, out of the one it lies in. */
void td_waiter_list_in(struct td_pending_state *state, uint32_t waiter, uint32_t list);
void td_waiter_list_out(struct td_pending_state *state, uint32_t waiter);
/* The heap of time-outs. */
void td_waiter_timeout_in(struct td_core *core, uint32_t waiter, uint64_t deadline_ms);
void td_waiter_timeout_out(struct td_pending_state *state, uint32_t waiter);
/* parked.c */
void td_parked_retry(struct td_core *core);
void td_parked_refuse(struct td_core *core, uint32_t waiter);
bool td_read_covered(struct td_core *core, struct waiter *waiter);

#endif
