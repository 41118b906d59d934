/* waiters.c -- the memory of waiting requests: waiters in lists by what they wait for, so that an
 * event touches only those it may concern, a heap of time-outs, a node for each report. */
#include <string.h>

#include "node/core/pending.h"

size_t td_pending_layout(struct td_core *core, struct td_block *block)
{
    const struct td_core_limits *limits = &core->config.limits;
    const uint32_t nodes_max = 2 * limits->pending_deltas_max + 4 * TD_REQUEST_UPDATES_MAX;
    struct td_pending_state *state = td_block_take(block, 1, sizeof *state);
    struct waiter *waiters = td_block_take(block, limits->requests_max, sizeof *waiters);
    struct node *nodes = td_block_take(block, nodes_max, sizeof *nodes);
    uint32_t *heap = td_block_take(block, limits->requests_max, sizeof *heap);
    struct parked *parked = td_block_take(block, PARKED_MAX, sizeof *parked);
    void *big = td_block_take(block, BIG_TEXTS, BIG_TEXT_BYTES);
    if (block->bytes != NULL) {
        state->waiters = waiters;
        state->nodes = nodes;
        state->node_max = nodes_max;
        state->heap = heap;
        state->parked = parked;
        state->big_texts = big;
        state->waiter_free = TD_NONE;
        state->node_free = TD_NONE;
        for (uint32_t i = 0; i < LIST_COUNT; ++i) {
            state->lists[i] = (struct list){ TD_NONE, TD_NONE, 0 };
        }
        core->pending = state;
    }
    return block->used_bytes;
}

/* ---- lists ---- */

void td_waiter_list_out(struct td_pending_state *state, uint32_t index)
{
    struct waiter *waiter = &state->waiters[index];
    if (waiter->list == LIST_NONE) {
        return;
    }
    struct list *list = &state->lists[waiter->list];
    if (waiter->prev != TD_NONE) {
        state->waiters[waiter->prev].next = waiter->next;
    } else {
        list->first = waiter->next;
    }
    if (waiter->next != TD_NONE) {
        state->waiters[waiter->next].prev = waiter->prev;
    } else {
        list->last = waiter->prev;
    }
    list->count -= 1;
    waiter->list = LIST_NONE;
}

void td_waiter_list_in(struct td_pending_state *state, uint32_t index, uint32_t which)
{
    struct waiter *waiter = &state->waiters[index];
    struct list *list = &state->lists[which];
    td_waiter_list_out(state, index);
    waiter->list = (uint8_t)which;
    waiter->prev = list->last;
    waiter->next = TD_NONE;
    if (list->last != TD_NONE) {
        state->waiters[list->last].next = index;
    } else {
        list->first = index;
    }
    list->last = index;
    list->count += 1;
}

/* ---- heap of time-outs ---- */

static void heap_put(struct td_pending_state *state, uint32_t at, uint32_t index)
{
    state->heap[at] = index;
    state->waiters[index].heap_at = at;
}

static void heap_up(struct td_pending_state *state, uint32_t at)
{
    const uint32_t index = state->heap[at];
    while (at > 0) {
        const uint32_t parent = (at - 1) / 2;
        if (state->waiters[state->heap[parent]].deadline_ms <= state->waiters[index].deadline_ms) {
            break;
        }
        heap_put(state, at, state->heap[parent]);
        at = parent;
    }
    heap_put(state, at, index);
}

static void heap_down(struct td_pending_state *state, uint32_t at)
{
    const uint32_t index = state->heap[at];
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= state->heap_count) {
            break;
        }
        if (child + 1 < state->heap_count &&
            state->waiters[state->heap[child + 1]].deadline_ms <
                state->waiters[state->heap[child]].deadline_ms) {
            child += 1;
        }
        if (state->waiters[index].deadline_ms <= state->waiters[state->heap[child]].deadline_ms) {
            break;
        }
        heap_put(state, at, state->heap[child]);
        at = child;
    }
    heap_put(state, at, index);
}

void td_waiter_timeout_in(struct td_core *core, uint32_t index, uint64_t deadline_ms)
{
    struct td_pending_state *state = core->pending;
    state->waiters[index].deadline_ms = deadline_ms;
    state->heap[state->heap_count] = index;
    state->heap_count += 1;
    heap_up(state, state->heap_count - 1);
    td_deadline(core, deadline_ms);
}

void td_waiter_timeout_out(struct td_pending_state *state, uint32_t index)
{
    const uint32_t at = state->waiters[index].heap_at;
    if (at == TD_NONE) {
        return;
    }
    state->waiters[index].heap_at = TD_NONE;
    state->heap_count -= 1;
    if (at == state->heap_count) {
        return;
    }
    const uint32_t moved = state->heap[state->heap_count];
    heap_put(state, at, moved);
    heap_up(state, at);
    heap_down(state, state->waiters[moved].heap_at);
}

/* ---- waiters and nodes ---- */

uint32_t td_waiter_take(struct td_core *core)
{
    struct td_pending_state *state = core->pending;
    uint32_t index = state->waiter_free;
    if (index != TD_NONE) {
        state->waiter_free = state->waiters[index].next;
    } else if (state->waiter_used_max < core->config.limits.requests_max) {
        index = state->waiter_used_max++;
    } else {
        return TD_NONE;
    }
    struct waiter *waiter = &state->waiters[index];
    memset(waiter, 0, offsetof(struct waiter, request));
    waiter->used = true;
    waiter->list = LIST_NONE;
    waiter->heap_at = TD_NONE;
    waiter->first_node = TD_NONE;
    waiter->last_node = TD_NONE;
    waiter->big_text = TD_NONE;
    state->waiter_count += 1;
    return index;
}

void td_waiter_free(struct td_core *core, uint32_t index)
{
    struct td_pending_state *state = core->pending;
    struct waiter *waiter = &state->waiters[index];
    TD_ASSERT(waiter->unsettled == 0);
    td_waiter_list_out(state, index);
    td_waiter_timeout_out(state, index);
    for (uint32_t at = waiter->first_node; at != TD_NONE;) {
        const uint32_t next = state->nodes[at].next;
        state->nodes[at].next = state->node_free;
        state->node_free = at;
        state->node_count -= 1;
        at = next;
    }
    if (waiter->big_text != TD_NONE) {
        state->big_used[waiter->big_text] = false;
    }
    waiter->used = false;
    waiter->next = state->waiter_free;
    state->waiter_free = index;
    state->waiter_count -= 1;
}

void td_waiter_wait(struct td_core *core, uint32_t waiter, uint32_t list, uint64_t deadline_ms)
{
    td_waiter_timeout_in(core, waiter, deadline_ms);
    td_waiter_list_in(core->pending, waiter, list);
}

uint32_t td_pending_open(struct td_core *core, const struct td_event *event)
{
    struct td_pending_state *state = core->pending;
    const struct td_request *request = event->u.request.request;
    if (state->node_max - state->node_count < request->u.publish.count) {
        return TD_NONE;
    }
    const uint32_t index = td_waiter_take(core);
    if (index == TD_NONE) {
        return TD_NONE;
    }
    struct waiter *waiter = &state->waiters[index];
    waiter->op = TD_OP_PUBLISH;
    waiter->id = request->id;
    waiter->client_link = event->u.request.client_link;
    waiter->client_number = event->u.request.client_number;
    waiter->ack = request->u.publish.ack;
    const struct td_text from = event->u.request.from;
    waiter->from_bytes = (uint8_t)(from.count < TD_FROM_BYTES_MAX ? from.count : TD_FROM_BYTES_MAX);
    if (waiter->from_bytes > 0) {
        memcpy(waiter->from, from.bytes, waiter->from_bytes);
    }
    /* Without a time-out of its own a publish still does not wait for a broken disk for ever. */
    const uint64_t timeout_ms = request->timeout_ms != 0 ? request->timeout_ms : DURABLE_TIMEOUT_MS;
    waiter->request.timeout_ms = request->timeout_ms;
    td_waiter_timeout_in(core, index, core->now.boot_ms + timeout_ms);
    return index;
}

uint32_t td_pending_node(struct td_core *core, uint32_t waiter_index)
{
    struct td_pending_state *state = core->pending;
    struct waiter *waiter = &state->waiters[waiter_index];
    uint32_t at = state->node_free;
    if (at != TD_NONE) {
        state->node_free = state->nodes[at].next;
    } else if (state->node_used_max < state->node_max) {
        at = state->node_used_max++;
    } else {
        return TD_NONE;
    }
    state->nodes[at] =
        (struct node){ .next = TD_NONE, .next_waiting = TD_NONE, .waiter = waiter_index };
    state->node_count += 1;
    if (waiter->last_node != TD_NONE) {
        state->nodes[waiter->last_node].next = at;
    } else {
        waiter->first_node = at;
    }
    waiter->last_node = at;
    waiter->node_count += 1;
    waiter->unsettled += 1;
    return at;
}

struct td_result *td_pending_result_of(struct td_core *core, uint32_t node)
{
    return &core->pending->nodes[node].result;
}

uint32_t *td_pending_next(struct td_core *core, uint32_t node)
{
    return &core->pending->nodes[node].next_waiting;
}

uint32_t td_pending_client(const struct td_core *core, uint32_t node)
{
    return core->pending->waiters[core->pending->nodes[node].waiter].client_number;
}

struct td_text td_pending_from(const struct td_core *core, uint32_t node)
{
    const struct waiter *waiter = &core->pending->waiters[core->pending->nodes[node].waiter];
    return (struct td_text){ waiter->from, waiter->from_bytes };
}

/* ---- check ---- */

static bool check_waiter(const struct td_pending_state *state, uint32_t index)
{
    const struct waiter *waiter = &state->waiters[index];
    uint32_t nodes = 0, unsettled = 0;
    for (uint32_t at = waiter->first_node; at != TD_NONE; at = state->nodes[at].next) {
        if (state->nodes[at].waiter != index || nodes == waiter->node_count) {
            return false;
        }
        unsettled += !state->nodes[at].settled;
        nodes += 1;
    }
    const bool heap_ok = waiter->heap_at == TD_NONE || (waiter->heap_at < state->heap_count &&
                                                        state->heap[waiter->heap_at] == index);
    return nodes == waiter->node_count && unsettled == waiter->unsettled && heap_ok;
}

bool td_pending_check(const struct td_core *core)
{
    const struct td_pending_state *state = core->pending;
    uint32_t used = 0, nodes = 0;
    for (uint32_t i = 0; i < state->waiter_used_max; ++i) {
        if (state->waiters[i].used) {
            used += 1;
            nodes += state->waiters[i].node_count;
            if (!check_waiter(state, i)) {
                return false;
            }
        }
    }
    for (uint32_t i = 1; i < state->heap_count; ++i) {
        if (state->waiters[state->heap[(i - 1) / 2]].deadline_ms >
            state->waiters[state->heap[i]].deadline_ms) {
            return false;
        }
    }
    return used == state->waiter_count && nodes == state->node_count;
}
