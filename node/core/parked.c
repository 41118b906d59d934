/* parked.c -- copies of what waiting requests point to: updates whose token is not covered yet, reads
 * that wait for theirs, watches. */
#include <string.h>

#include "node/core/pending.h"

/* ---- parked updates: their token names a stamp too far ahead to be believed before it is here ---- */

static struct td_text park_text(struct parked *parked, size_t *used, struct td_text text)
{
    const struct td_text copy = { parked->bytes + *used, text.count };
    if (text.count > 0) {
        memcpy(parked->bytes + *used, text.bytes, text.count);
        *used += text.count;
    }
    return copy;
}

bool td_pending_park(struct td_core *core, uint32_t node, const struct td_update *update)
{
    struct td_pending_state *state = core->pending;
    struct parked *parked = NULL;
    for (uint32_t i = 0; i < PARKED_MAX && parked == NULL; ++i) {
        parked = state->parked[i].used ? NULL : &state->parked[i];
    }
    if (parked == NULL) {
        return false;
    }
    size_t used = 0;
    parked->used = true;
    parked->node = node;
    parked->update = *update;
    parked->update.job = park_text(parked, &used, update->job);
    parked->update.status.detail = park_text(parked, &used, update->status.detail);
    parked->update.status.parent = park_text(parked, &used, update->status.parent);
    parked->update.status.writer = park_text(parked, &used, update->status.writer);
    for (uint32_t i = 0; i < update->status.label_count; ++i) {
        parked->labels[i].key = park_text(parked, &used, update->status.labels[i].key);
        parked->labels[i].value = park_text(parked, &used, update->status.labels[i].value);
    }
    parked->update.status.labels = parked->labels;
    state->parked_count += 1;
    state->waiters[state->nodes[node].waiter].parked += 1;
    return true;
}

static void unpark(struct td_core *core, struct parked *parked)
{
    struct td_pending_state *state = core->pending;
    parked->used = false;
    state->parked_count -= 1;
    state->waiters[state->nodes[parked->node].waiter].parked -= 1;
}

void td_parked_retry(struct td_core *core)
{
    struct td_pending_state *state = core->pending;
    for (uint32_t i = 0; i < PARKED_MAX && state->parked_count > 0; ++i) {
        struct parked *parked = &state->parked[i];
        if (parked->used && td_dot_received(core, parked->update.seen.dot)) {
            unpark(core, parked);
            /* The copy stays as it is while it is used: only a new park may take the place, and the
             * update no longer parks, for its token is covered. */
            td_publish_update(core, parked->node, &parked->update);
        }
    }
}

void td_parked_refuse(struct td_core *core, uint32_t waiter)
{
    struct td_pending_state *state = core->pending;
    for (uint32_t i = 0; i < PARKED_MAX && state->waiters[waiter].parked > 0; ++i) {
        struct parked *parked = &state->parked[i];
        if (parked->used && state->nodes[parked->node].waiter == waiter) {
            unpark(core, parked);
            td_pending_refuse(core, parked->node, TD_ETIMEOUT);
        }
    }
}

/* ---- reads and watches ---- */

static void note_missing(struct td_core *core, struct waiter *waiter, const struct td_vv *after,
                         bool *ret_fits)
{
    *ret_fits = after->fold_count <= TD_REGIONS_MAX;
    for (uint32_t i = 0; i < after->entry_count; ++i) {
        const struct td_dot dot = { after->entries[i].origin, after->entries[i].seq };
        if (td_dot_durable(core, dot)) {
            continue;
        }
        if (waiter->missing_count == WAIT_DOTS) {
            *ret_fits = false;
            return;
        }
        waiter->missing[waiter->missing_count++] = after->entries[i];
    }
    for (uint32_t i = 0; *ret_fits && i < after->fold_count; ++i) {
        waiter->folds[waiter->fold_count++] = after->folds[i];
    }
}

bool td_read_covered(struct td_core *core, struct waiter *waiter)
{
    while (waiter->missing_count > 0) {
        const struct td_vv_entry *entry = &waiter->missing[waiter->missing_count - 1];
        const struct td_dot dot = { entry->origin, entry->seq };
        if (!td_dot_durable(core, dot)) {
            return false;
        }
        waiter->missing_count -= 1;
    }
    while (waiter->fold_count > 0) {
        const struct td_vv_fold *fold = &waiter->folds[waiter->fold_count - 1];
        if (core->fold_below[fold->region.v] < fold->start_below) {
            return false;
        }
        waiter->fold_count -= 1;
    }
    return true;
}

static bool text_room(struct td_core *core, struct waiter *waiter, size_t bytes)
{
    struct td_pending_state *state = core->pending;
    if (bytes <= TEXT_BYTES) {
        return true;
    }
    for (uint32_t i = 0; bytes <= BIG_TEXT_BYTES && i < BIG_TEXTS; ++i) {
        if (!state->big_used[i]) {
            state->big_used[i] = true;
            waiter->big_text = i;
            return true;
        }
    }
    return false;
}

static struct td_text keep_text(struct td_pending_state *state, struct waiter *waiter, size_t *used,
                                struct td_text text)
{
    char *bytes = waiter->big_text != TD_NONE ? state->big_texts[waiter->big_text] : waiter->text;
    const struct td_text copy = { bytes + *used, text.count };
    if (text.count > 0) {
        memcpy(bytes + *used, text.bytes, text.count);
        *used += text.count;
    }
    return copy;
}

static struct td_filter *filter_of(struct td_request *request)
{
    return request->op == TD_OP_LIST    ? &request->u.list.filter
           : request->op == TD_OP_WATCH ? &request->u.watch.filter
                                        : NULL;
}

/* Copies what the request points to. Its lengths were checked by query.c. */
static bool keep_request(struct td_core *core, struct waiter *waiter, const struct td_request *request)
{
    size_t bytes = 0, used = 0;
    waiter->request = *request;
    struct td_filter *filter = filter_of(&waiter->request);
    if (filter == NULL) {
        waiter->request.u.get.job =
            keep_text(core->pending, waiter, &used, request->u.get.job);
        return true;
    }
    bytes = filter->prefix.count;
    for (uint32_t i = 0; i < filter->job_count; ++i) {
        bytes += filter->jobs[i].count;
    }
    if (!text_room(core, waiter, bytes)) {
        return false;
    }
    filter->prefix = keep_text(core->pending, waiter, &used, filter->prefix);
    for (uint32_t i = 0; i < filter->job_count; ++i) {
        waiter->jobs[i] = keep_text(core->pending, waiter, &used, filter->jobs[i]);
    }
    filter->jobs = waiter->jobs;
    return true;
}

bool td_pending_keep(struct td_core *core, const struct td_event *event, uint64_t cursor)
{
    struct td_pending_state *state = core->pending;
    const struct td_request *request = event->u.request.request;
    const uint32_t index = td_waiter_take(core);
    if (index == TD_NONE) {
        return false;
    }
    struct waiter *waiter = &state->waiters[index];
    bool fits = true;
    waiter->op = request->op;
    waiter->id = request->id;
    waiter->client_link = event->u.request.client_link;
    waiter->cursor = cursor;
    if (request->op != TD_OP_WATCH) {
        note_missing(core, waiter, &request->after, &fits);
    }
    if (!fits || !keep_request(core, waiter, request)) {
        td_waiter_free(core, index);
        return false;
    }
    waiter->request.after = (struct td_vv){ 0 };
    td_waiter_wait(core, index, request->op == TD_OP_WATCH ? LIST_WATCH : LIST_READ,
                   core->now.boot_ms + request->timeout_ms);
    return true;
}
