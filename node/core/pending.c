/* pending.c -- requests that wait: publishes for the disk and for other regions, reads for what
 * their token names, watches for changes. What wakes each of them, and what it is then told. */
#include "node/core/pending.h"

/* ---- publishes ---- */

static uint32_t regions_needed(const struct td_core *core, const struct waiter *waiter)
{
    return waiter->ack == TD_ACK_ALL ? td_peers_ackable(core) : waiter->ack;
}

static uint32_t ack_list(const struct waiter *waiter)
{
    const uint32_t level = waiter->ack > TD_REGIONS_MAX ? TD_REGIONS_MAX + 1 : waiter->ack;
    return LIST_ACK + level;
}

static bool all_covered(struct td_core *core, const struct waiter *waiter)
{
    const struct td_pending_state *state = core->pending;
    const uint32_t needed = regions_needed(core, waiter);
    if (waiter->ack_dot.seq != 0 && td_peers_covering(core, waiter->ack_dot) < needed) {
        return false;
    }
    for (uint32_t at = waiter->first_node; at != TD_NONE; at = state->nodes[at].next) {
        const struct td_result *result = &state->nodes[at].result;
        const bool same_origin =
            td_origin_compare(result->dot.origin, waiter->ack_dot.origin) == 0 &&
            result->dot.seq <= waiter->ack_dot.seq;
        if (result->err == TD_OK && !same_origin && td_peers_covering(core, result->dot) < needed) {
            return false;
        }
    }
    return true;
}

/* Every result is settled: answered now, or once enough regions have it. */
static void publish_settled(struct td_core *core, uint32_t index)
{
    struct waiter *waiter = &core->pending->waiters[index];
    if (waiter->unsettled > 0 || !waiter->opened || waiter->list != LIST_NONE) {
        return;
    }
    if (waiter->silent) {
        td_waiter_free(core, index);
        return;
    }
    const bool waits = waiter->ack > 0 && waiter->ack_dot.seq != 0 && !all_covered(core, waiter) &&
                       waiter->request.timeout_ms != 0;
    td_waiter_list_in(core->pending, index, waits ? ack_list(waiter) : LIST_READY);
}

static void node_settled(struct td_core *core, struct node *node)
{
    struct waiter *waiter = &core->pending->waiters[node->waiter];
    TD_ASSERT(!node->settled);
    TD_ASSERT(waiter->unsettled > 0);
    node->settled = true;
    node->await_dot = false;
    waiter->unsettled -= 1;
    if (node->result.err == TD_OK && td_dot_compare(node->result.dot, waiter->ack_dot) > 0 &&
        (node->result.dot.origin.region.v == core->config.self.v || waiter->ack_dot.seq == 0)) {
        waiter->ack_dot = node->result.dot;
    }
    publish_settled(core, node->waiter);
}

void td_pending_refuse(struct td_core *core, uint32_t node, enum td_err err)
{
    struct node *refused = &core->pending->nodes[node];
    refused->result.err = err;
    node_settled(core, refused);
}

void td_pending_result(struct td_core *core, uint32_t node, struct td_dot dot, struct td_stamp stamp)
{
    struct node *settled = &core->pending->nodes[node];
    settled->result.dot = dot;
    settled->result.stamp = stamp;
    node_settled(core, settled);
}

void td_pending_await(struct td_core *core, uint32_t node)
{
    struct node *waiting = &core->pending->nodes[node];
    if (td_dot_durable(core, waiting->result.dot)) {
        node_settled(core, waiting);
        return;
    }
    waiting->await_dot = true;
    td_waiter_list_in(core->pending, waiting->waiter, LIST_DURABLE);
}

void td_pending_opened(struct td_core *core, uint32_t index)
{
    core->pending->waiters[index].opened = true;
    publish_settled(core, index);
}

static uint8_t acked(const struct td_core *core, const struct waiter *waiter,
                     const struct td_result *result)
{
    if (result->err != TD_OK || waiter->ack == 0) {
        return 0;
    }
    return (uint8_t)td_peers_covering(core, result->dot);
}

/* False when this step has no room left for it. */
static bool answer_publish(struct td_core *core, uint32_t index, bool timed_out)
{
    struct td_pending_state *state = core->pending;
    struct waiter *waiter = &state->waiters[index];
    struct td_result *results = td_fx_scratch(core, waiter->node_count + 1, sizeof *results);
    if (results == NULL || td_fx_room(core) <= REPLIES_KEEP_FREE) {
        return false;
    }
    struct td_response *response =
        td_query_reply(core, waiter->client_link, waiter->id, TD_OP_PUBLISH);
    if (response == NULL) {
        return false;
    }
    const uint32_t needed = regions_needed(core, waiter);
    uint32_t count = 0;
    for (uint32_t at = waiter->first_node; at != TD_NONE; at = state->nodes[at].next) {
        struct td_result *result = &results[count++];
        *result = state->nodes[at].result;
        if (!state->nodes[at].settled) {
            result->err = TD_ETIMEOUT;
        }
        result->acked_regions = acked(core, waiter, result);
        if (result->err == TD_OK && result->acked_regions < needed) {
            result->err = TD_EACK;
        }
    }
    response->err = timed_out && waiter->unsettled > 0 ? TD_ETIMEOUT : TD_OK;
    response->u.publish.count = count;
    response->u.publish.results = results;
    return true;
}

/* ---- what wakes them ---- */

static void wake_acks(struct td_core *core, uint32_t which)
{
    struct td_pending_state *state = core->pending;
    while (state->lists[which].first != TD_NONE) {
        const uint32_t index = state->lists[which].first;
        if (!all_covered(core, &state->waiters[index])) {
            return; /* own sequence numbers ascend along the list: nor are those behind it */
        }
        td_waiter_list_in(state, index, LIST_READY);
    }
}

static void wake_durable(struct td_core *core)
{
    struct td_pending_state *state = core->pending;
    for (uint32_t left = state->lists[LIST_DURABLE].count; left > 0; --left) {
        const uint32_t index = state->lists[LIST_DURABLE].first; /* those that stay go to the end */
        struct waiter *waiter = &state->waiters[index];
        bool waits = false;
        td_waiter_list_out(state, index);
        for (uint32_t at = waiter->first_node; at != TD_NONE;) {
            struct node *node = &state->nodes[at];
            const uint32_t next_node = node->next;
            const bool here = node->await_dot && td_dot_durable(core, node->result.dot);
            waits = waits || (node->await_dot && !here);
            if (here) {
                node_settled(core, node);
            }
            if (!waiter->used) {
                break; /* that was the last one of a cancelled request */
            }
            at = next_node;
        }
        if (waits && waiter->used) {
            td_waiter_list_in(state, index, LIST_DURABLE);
        }
    }
}

/* Others wait for the next step: it comes at once. */
static bool answer_room(const struct td_core *core)
{
    return td_fx_room(core) > REPLIES_KEEP_FREE && td_query_room(core);
}

static void wake_reads(struct td_core *core)
{
    struct td_pending_state *state = core->pending;
    for (uint32_t index = state->lists[LIST_READ].first; index != TD_NONE;) {
        struct waiter *waiter = &state->waiters[index];
        const uint32_t next = waiter->next;
        if (td_read_covered(core, waiter)) {
            if (!answer_room(core)) {
                td_deadline(core, core->now.boot_ms);
                return;
            }
            td_query_answer(core, waiter->client_link, &waiter->request);
            td_waiter_free(core, index);
        }
        index = next;
    }
}

void td_pending_has_moved(struct td_core *core)
{
    struct td_pending_state *state = core->pending;
    if (state->waiter_count == 0) {
        return;
    }
    td_parked_retry(core);
    wake_durable(core);
    wake_reads(core);
    for (uint32_t which = LIST_ACK; which < LIST_COUNT; ++which) {
        wake_acks(core, which);
    }
}

void td_pending_changed(struct td_core *core)
{
    struct td_pending_state *state = core->pending;
    uint32_t budget = WATCH_BUDGET;
    const uint32_t count = state->lists[LIST_WATCH].count;
    state->watch_due = false;
    for (uint32_t i = 0; i < count; ++i) {
        const uint32_t index = state->lists[LIST_WATCH].first;
        struct waiter *waiter = &state->waiters[index];
        if (budget == 0 || !answer_room(core)) {
            state->watch_due = true;
            td_deadline(core, core->now.boot_ms);
            return;
        }
        td_waiter_list_in(state, index, LIST_WATCH); /* to the end: everybody has a turn */
        if (td_query_watch(core, waiter->client_link, &waiter->request, &waiter->cursor, false,
                           &budget)) {
            td_waiter_free(core, index);
        }
    }
}

void td_pending_pump(struct td_core *core)
{
    struct td_pending_state *state = core->pending;
    while (state->lists[LIST_READY].first != TD_NONE) {
        const uint32_t index = state->lists[LIST_READY].first;
        if (!answer_publish(core, index, false)) {
            td_deadline(core, core->now.boot_ms);
            return;
        }
        td_waiter_free(core, index);
    }
}

/* ---- time-outs and cancelling ---- */

/* Nobody is told any more. Reports in the queue are settled by it; what only waits until somebody else's dot
 * is durable here is not waited for: of a life that its origin lost it never is. */
static void fall_silent(struct td_core *core, uint32_t index)
{
    struct td_pending_state *state = core->pending;
    struct waiter *waiter = &state->waiters[index];
    waiter->silent = true;
    td_waiter_list_out(state, index);
    for (uint32_t at = waiter->first_node; at != TD_NONE && waiter->used;) {
        struct node *node = &state->nodes[at];
        at = node->next;
        if (node->await_dot) {
            node_settled(core, node);
        }
    }
}

/* A publish whose reports are still queued stays, silent, until they are settled. */
static bool publish_timed_out(struct td_core *core, uint32_t index)
{
    struct td_pending_state *state = core->pending;
    struct waiter *waiter = &state->waiters[index];
    td_waiter_timeout_out(state, index);
    td_parked_refuse(core, index);
    if (waiter->list == LIST_READY) {
        return true; /* refusing the parked ones settled it, or it was about to be answered */
    }
    if (!answer_publish(core, index, true)) {
        td_waiter_timeout_in(core, index, core->now.boot_ms);
        return false;
    }
    if (waiter->unsettled == 0) {
        td_waiter_free(core, index);
    } else {
        fall_silent(core, index);
    }
    return true;
}

static bool timed_out(struct td_core *core, uint32_t index)
{
    struct waiter *waiter = &core->pending->waiters[index];
    uint32_t budget = WATCH_BUDGET;
    bool answered = false;
    if (waiter->op == TD_OP_PUBLISH) {
        return publish_timed_out(core, index);
    }
    if (waiter->op == TD_OP_WATCH) {
        answered = td_query_watch(core, waiter->client_link, &waiter->request, &waiter->cursor, true,
                                  &budget);
    } else {
        answered = td_query_error(core, waiter->client_link, waiter->id, waiter->op, TD_ETIMEOUT);
    }
    if (answered) {
        td_waiter_free(core, index);
    }
    return answered;
}

void td_pending_tick(struct td_core *core)
{
    struct td_pending_state *state = core->pending;
    while (state->heap_count > 0) {
        const uint32_t index = state->heap[0];
        if (state->waiters[index].deadline_ms > core->now.boot_ms) {
            td_deadline(core, state->waiters[index].deadline_ms);
            break;
        }
        if (!answer_room(core) || !timed_out(core, index)) {
            td_deadline(core, core->now.boot_ms);
            break;
        }
        TD_COUNT(core, requests_timed_out, state->waiters[index].op != TD_OP_WATCH);
    }
    if (state->watch_due) {
        td_pending_changed(core);
    }
    if (state->lists[LIST_READ].count > 0) {
        wake_reads(core);
    }
}

void td_pending_cancel(struct td_core *core, uint32_t client_link, uint64_t id)
{
    struct td_pending_state *state = core->pending;
    for (uint32_t i = 0; i < state->waiter_used_max; ++i) {
        struct waiter *waiter = &state->waiters[i];
        if (!waiter->used || waiter->silent || waiter->client_link != client_link ||
            (id != UINT64_MAX && waiter->id != id)) {
            continue;
        }
        waiter->silent = true;
        td_waiter_timeout_out(state, i);
        td_parked_refuse(core, i);
        if (waiter->used && (waiter->op != TD_OP_PUBLISH || waiter->unsettled == 0)) {
            td_waiter_free(core, i);
        } else if (waiter->used) {
            fall_silent(core, i);
        }
    }
}
