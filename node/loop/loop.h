/* loop.h -- inbox -> step -> effects. The only caller of td_core_step, on one thread; the daemon gives
 * it real drivers, the simulator its own. */
#ifndef TD_LOOP_H
#define TD_LOOP_H

#include "node/loop/inbox.h"

/* What performs effects. Called on the core's thread inside td_loop_run_once; none of them may call
 * back into the loop: what completes at once goes through the inbox like everything else. */
struct td_loop_ops {
    void *self;
    struct td_time (*now)(void *self);
    void (*send)(void *self, const struct td_effect *effect);
    void (*store)(void *self, const struct td_effect *effect);
    void (*sign_head)(void *self, struct td_head *head);
    void (*random)(void *self);
    void (*reply)(void *self, uint32_t client_link, const struct td_response *response);
    void (*close_link)(void *self, struct td_link_id link, enum td_err why);
    void (*trace)(void *self, enum td_trace_code code, struct td_region region, uint64_t a, uint64_t b);
    void (*compact)(void *self, const struct td_compact_answer *answer);
    /* After each round of steps; NULL allowed. For snapshots other threads read. */
    void (*settled)(void *self, const struct td_core *core);
};

struct td_loop {
    struct td_core *core;
    struct td_inbox *inbox;
    const struct td_loop_ops *ops;
    uint64_t steps; /* written by the loop's thread, atomically */
    uint64_t ticked_boot_ms; /* /livez and the watchdog read it */
};

void td_loop_init(struct td_loop *loop, struct td_core *core, struct td_inbox *inbox,
                  const struct td_loop_ops *ops);
/* Handles everything queued and a due tick; waits up to wait_ms_max for something to do. */
void td_loop_run_once(struct td_loop *loop, uint64_t wait_ms_max);
/* One event now, outside the inbox: start-up and the simulator. */
void td_loop_event(struct td_loop *loop, struct td_event *event);

#endif
