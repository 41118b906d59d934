/* loop.c -- see loop.h. */
#include "node/loop/loop.h"

void td_loop_init(struct td_loop *loop, struct td_core *core, struct td_inbox *inbox,
                  const struct td_loop_ops *ops)
{
    loop->core = core;
    loop->inbox = inbox;
    loop->ops = ops;
    loop->steps = 0;
    loop->ticked_boot_ms = 0;
}

static void perform(const struct td_loop_ops *ops, const struct td_effect *effect)
{
    switch (effect->type) {
    case TD_FX_SEND:
        ops->send(ops->self, effect);
        break;
    case TD_FX_STORE:
        ops->store(ops->self, effect);
        break;
    case TD_FX_SIGN_HEAD:
        ops->sign_head(ops->self, effect->u.sign_head);
        break;
    case TD_FX_RANDOM:
        ops->random(ops->self);
        break;
    case TD_FX_REPLY:
        ops->reply(ops->self, effect->u.reply.client_link, effect->u.reply.response);
        break;
    case TD_FX_CLOSE_LINK:
        ops->close_link(ops->self, effect->u.close_link.link, effect->u.close_link.why);
        break;
    case TD_FX_TRACE:
        ops->trace(ops->self, effect->u.trace.code, effect->u.trace.region, effect->u.trace.a,
                   effect->u.trace.b);
        break;
    case TD_FX_COMPACT:
        ops->compact(ops->self, effect->u.compact);
        break;
    }
}

void td_loop_event(struct td_loop *loop, struct td_event *event)
{
    size_t count = 0;
    event->now = loop->ops->now(loop->ops->self);
    const struct td_effect *effects = td_core_step(loop->core, event, &count);
    for (size_t i = 0; i < count; i++) {
        perform(loop->ops, &effects[i]);
    }
    __atomic_store_n(&loop->steps, loop->steps + 1, __ATOMIC_RELAXED);
}

/* How long nothing needs to happen, at most wait_ms_max. */
static uint64_t idle_ms(const struct td_loop *loop, uint64_t wait_ms_max)
{
    uint64_t now_ms = loop->ops->now(loop->ops->self).boot_ms;
    uint64_t deadline_ms = td_core_deadline_ms(loop->core);
    if (deadline_ms <= now_ms) {
        return 0;
    }
    uint64_t left_ms = deadline_ms - now_ms;
    return left_ms < wait_ms_max ? left_ms : wait_ms_max;
}

void td_loop_run_once(struct td_loop *loop, uint64_t wait_ms_max)
{
    struct td_inbox_item *item = td_inbox_take(loop->inbox, idle_ms(loop, wait_ms_max));
    while (item != NULL) {
        struct td_inbox_item *next = item->next;
        td_loop_event(loop, &item->event);
        item->release(item);
        item = next;
    }
    struct td_time now = loop->ops->now(loop->ops->self);
    if (td_core_deadline_ms(loop->core) <= now.boot_ms) {
        struct td_event tick = { .type = TD_EV_TICK };
        td_loop_event(loop, &tick);
    }
    __atomic_store_n(&loop->ticked_boot_ms, now.boot_ms, __ATOMIC_RELAXED);
    if (loop->ops->settled != NULL) {
        loop->ops->settled(loop->ops->self, loop->core);
    }
}
