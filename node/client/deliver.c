/* deliver.c -- publishes: closed batches become requests, answers become results; what has no
 * answer is sent again (a repeated report is a noop), with the newest token of each register. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/client/engine.h"
#include "proto/assert.h"

/* ---- sending ---- */

bool td_deliver_waiting(struct tidings *t)
{
    return t->live.first != NULL || t->replay.first != NULL;
}

/* A batch that still fills may leave when it is large, old or waited for; when nothing is in flight
 * it waits for linger_us only. Returns the moment in us from which it may; 0 = at once. */
static uint64_t leaves_at_us(const struct tidings *t, const struct td_update_batch *batch)
{
    if (batch->state != TD_BATCH_FILLING || batch->urgent || batch->count >= t->batch_updates_max) {
        return 0;
    }
    uint32_t wait_us = t->linger_us;
    if (t->in_flight > 0 && batch->count < TD_BATCH_EAGER && wait_us < TD_COMPANY_US) {
        wait_us = TD_COMPANY_US;
    }
    return wait_us == 0 ? 0 : batch->opened_us + wait_us;
}

/* Lock held. The next batch to send, or NULL; *wake_us then says when to look again. */
static struct td_update_batch *next_batch(struct tidings *t, uint64_t now_ms, uint64_t *wake_us)
{
    bool replaying = t->replay.first != NULL || (t->spool != NULL && !td_spool_empty(t->spool));
    struct td_update_batch *batch = replaying ? t->replay.first : t->live.first;
    if (t->in_flight >= t->in_flight_max) {
        return NULL;
    }
    if (now_ms < t->publish_pause_ms) {
        uint64_t at_us = t->publish_pause_ms * 1000;
        *wake_us = at_us < *wake_us ? at_us : *wake_us;
        return NULL;
    }
    while (batch != NULL && (batch->state == TD_BATCH_IN_FLIGHT || batch->left == 0)) {
        batch = batch->next;
    }
    if (batch == NULL) {
        return NULL;
    }
    uint64_t at_us = leaves_at_us(t, batch);
    if (at_us > td_now_us()) {
        *wake_us = at_us < *wake_us ? at_us : *wake_us;
        return NULL;
    }
    if (batch == t->filling) {
        t->filling = NULL;
    }
    batch->state = TD_BATCH_READY;
    return batch;
}

/* The newest token of each register: a later publish beats every earlier one whose answer we had.
 */
static void put_tokens(struct td_update_batch *batch)
{
    for (uint32_t i = 0; i < batch->count; i++) {
        struct td_seen seen;
        uint16_t attempt = td_seen_attempt(batch->items[i].entry, &seen);
        if (batch->updates[i].attempt == 0) {
            batch->updates[i].attempt = attempt;
        }
        bool known = seen.rank > 0 || seen.dot.seq > 0; /* else what the spool recorded stays */
        if (known && batch->updates[i].attempt == attempt) {
            batch->updates[i].seen = seen;
        }
    }
}

/* The node may wait for a token or for acks; not so long that we could not turn elsewhere. */
static uint32_t node_wait_ms(const struct tidings *t)
{
    return t->ack > 0 ? t->timeout_ms / 3 * 2 : t->timeout_ms / 3;
}

size_t td_deliver_encode(struct tidings *t, struct td_update_batch *batch, uint64_t id)
{
    struct td_request request = {.id = id, .op = TD_OP_PUBLISH};
    size_t room = batch->wire_bytes + TD_VV_ENTRIES_MAX * 32 + 4096;
    put_tokens(batch);
    if (room > t->scratch_bytes) {
        free(t->scratch);
        t->scratch = malloc(room);
        t->scratch_bytes = t->scratch != NULL ? room : 0;
    }
    request.timeout_ms = node_wait_ms(t);
    request.u.publish.ack = t->ack;
    request.u.publish.count = batch->count;
    request.u.publish.updates = batch->updates;
    (void)pthread_mutex_lock(&t->hub.lock);
    /* Registers no longer remembered are covered by the vector, once we have changed nodes. */
    if (t->after_given || (t->seen.evicted > 0 && t->stats.failovers > 0)) {
        request.after = t->has;
    }
    size_t used =
        t->scratch != NULL ? td_request_encode(&request, t->scratch, t->scratch_bytes) : 0;
    (void)pthread_mutex_unlock(&t->hub.lock);
    return used;
}

/* Lock held. What is sent again must not put an older status over a later one that has left
 * meanwhile: it goes as the newest full status, which the later one then repeats. False when out of
 * memory. */
static bool catch_up(struct tidings *t, struct td_update_batch *batch)
{
    for (uint32_t i = 0; batch->sent_before && i < batch->count; i++) {
        const struct td_item *item = &batch->items[i];
        bool overtaken = item->entry->sent > item->number;
        if (overtaken && item->full_number < item->entry->reports) {
            if (!td_batch_make_full(batch, i)) {
                return false;
            }
            t->stats.full_resends++;
        }
    }
    return true;
}

/* Lock held. */
static void note_sent(struct td_update_batch *batch)
{
    for (uint32_t i = 0; i < batch->count; i++) {
        struct td_entry *entry = batch->items[i].entry;
        entry->sent = entry->sent > batch->items[i].number ? entry->sent : batch->items[i].number;
    }
}

static bool send_batch(struct tidings *t, struct td_update_batch *batch, uint64_t now_ms)
{
    td_batch_compact(batch);
    (void)pthread_mutex_lock(&t->hub.lock);
    uint64_t id = t->next_id++;
    bool ready = catch_up(t, batch);
    (void)pthread_mutex_unlock(&t->hub.lock);
    if (!ready) {
        return false;
    }
    size_t bytes = td_deliver_encode(t, batch, id);
    if (bytes == 0 ||
        td_conn_send(t->conn, TD_MSG_REQUEST, (struct td_bytes){t->scratch, bytes}) != TD_OK) {
        return false;
    }
    (void)pthread_mutex_lock(&t->hub.lock);
    t->stats.requests++;
    t->stats.resent_updates += batch->sent_before ? batch->count : 0;
    t->in_flight++;
    note_sent(batch);
    batch->state = TD_BATCH_IN_FLIGHT;
    batch->sent_before = true;
    batch->id = id;
    batch->answer_by_ms = now_ms + node_wait_ms(t) + td_grace_ms(t->timeout_ms);
    (void)pthread_mutex_unlock(&t->hub.lock);
    return true;
}

void td_deliver_send(struct tidings *t, uint64_t now_ms, uint64_t *wake_us)
{
    while (td_conn_backlog(t->conn) < TD_BACKLOG_BYTES_MAX) {
        (void)pthread_mutex_lock(&t->hub.lock);
        struct td_update_batch *batch = next_batch(t, now_ms, wake_us);
        (void)pthread_mutex_unlock(&t->hub.lock);
        if (batch == NULL || !send_batch(t, batch, now_ms)) {
            return;
        }
    }
}

void td_deliver_unsend(struct tidings *t)
{
    (void)pthread_mutex_lock(&t->hub.lock);
    struct td_update_list *lists[] = {&t->live, &t->replay};
    for (size_t i = 0; i < 2; i++) {
        for (struct td_update_batch *batch = lists[i]->first; batch != NULL; batch = batch->next) {
            if (batch->state == TD_BATCH_IN_FLIGHT) {
                batch->state = TD_BATCH_READY;
            }
        }
    }
    t->in_flight = 0;
    (void)pthread_mutex_unlock(&t->hub.lock);
}

/* ---- results ---- */

static struct tidings_result public_result(const struct td_result *from)
{
    struct tidings_result result = {
        .err = (int)from->err,
        .noop = from->noop,
        .attempt = from->attempt,
        .acked_regions = from->acked_regions,
        .stamp_ms = from->stamp.ms,
        .stamp_counter = from->stamp.counter,
        .region = from->dot.origin.region.v,
        .incarnation_start = from->dot.origin.incarnation.start,
        .incarnation_random = from->dot.origin.incarnation.random,
        .seq = from->dot.seq,
        .current_state = (enum tidings_state)from->current_state,
        .current_stamp_ms = from->current_stamp.ms,
    };
    return result;
}

/* Tells whoever waits; lock not held. */
void td_deliver_tell(struct tidings *t, struct td_update_batch *batch, uint32_t i,
                     const struct tidings_result *result)
{
    struct td_item *item = &batch->items[i];
    TD_ASSERT(!item->answered);
    item->answered = true;
    if (item->done != NULL) {
        item->done(item->self, result);
    }
    if (batch->spool_end > 0 && result->err != TD_OK && t->spool_refused != NULL) {
        char job[TD_JOB_BYTES_MAX + 1];
        struct td_text text = batch->updates[i].job;
        (void)snprintf(job, sizeof job, "%.*s", (int)text.count, text.bytes);
        t->spool_refused(t->spool_refused_self, job, result);
    }
}

/* The books of everything told since the last time, under one lock. */
void td_deliver_settle(struct tidings *t, struct td_update_batch *batch, bool refused)
{
    (void)pthread_mutex_lock(&t->hub.lock);
    for (uint32_t i = 0; i < batch->count; i++) {
        struct td_item *item = &batch->items[i];
        if (!item->answered || item->settled) {
            continue;
        }
        TD_ASSERT(item->entry->users > 0);
        TD_ASSERT(batch->left > 0);
        item->settled = true;
        item->entry->users--;
        batch->left--;
        t->stats.published++;
        t->stats.refused += refused;
        if (batch->spool_end == 0) {
            TD_ASSERT(t->queued_updates > 0);
            t->queued_updates--;
            t->queued_bytes -= item->wire_bytes;
        }
    }
    (void)pthread_mutex_unlock(&t->hub.lock);
}

/* The batch is through (left = 0), or goes back to be sent again. */
void td_deliver_retire(struct tidings *t, struct td_update_batch *batch)
{
    (void)pthread_mutex_lock(&t->hub.lock);
    if (batch->state == TD_BATCH_IN_FLIGHT) {
        batch->state = TD_BATCH_READY;
        t->in_flight--;
    }
    if (batch->left == 0 && batch->spool_end == 0) {
        if (batch == t->filling) {
            t->filling = NULL;
        }
        td_list_remove(&t->live, batch);
        td_pool_give(t, batch);
        if (t->flush_waiters > 0) {
            (void)pthread_cond_broadcast(&t->changed);
        }
    }
    (void)pthread_mutex_unlock(&t->hub.lock);
    if (t->replay.first != NULL) {
        td_replay_release(t);
    }
}

enum fate { FATE_TELL, FATE_FULL, FATE_LATER, FATE_ELSEWHERE };

static enum fate fate_of(const struct td_item *item, enum td_err err)
{
    switch (err) {
    case TD_EPARTIAL:
        return item->full_number > 0 ? FATE_TELL : FATE_FULL;
    case TD_EBUSY:
    case TD_ERATE:
        return FATE_LATER;
    case TD_EDISKFULL:
    case TD_EDRAINING:
    case TD_ESTARTING:
    case TD_ECLOCK:
    case TD_ECLONE:
        return FATE_ELSEWHERE;
    default:
        return FATE_TELL;
    }
}

/* What one answer makes of a batch. */
struct verdict {
    bool later, elsewhere;
    enum td_err err;
};

static enum fate judge(struct tidings *t, struct td_update_batch *batch, uint32_t i,
                       const struct td_result *result, struct verdict *verdict)
{
    enum fate fate = fate_of(&batch->items[i], result->err);
    if (fate == FATE_FULL) {
        (void)pthread_mutex_lock(&t->hub.lock);
        fate = td_batch_make_full(batch, i) ? FATE_FULL : FATE_TELL;
        t->stats.full_resends += fate == FATE_FULL;
        (void)pthread_mutex_unlock(&t->hub.lock);
    }
    if (fate == FATE_LATER || fate == FATE_ELSEWHERE) {
        verdict->later = verdict->later || fate == FATE_LATER;
        verdict->elsewhere = verdict->elsewhere || fate == FATE_ELSEWHERE;
        verdict->err = result->err;
    }
    return fate;
}

/* Lock held. */
static void remember(struct tidings *t, struct td_update_batch *batch,
                     const struct td_response *response)
{
    for (uint32_t i = 0; i < batch->count; i++) {
        const struct td_result *result = &response->u.publish.results[i];
        if (result->err == TD_OK || result->err == TD_EACK) {
            td_seen_answer(&t->seen, batch->items[i].entry, result);
        }
    }
}

static void pause_publishing(struct tidings *t, uint64_t now_ms)
{
    t->publish_pause_ms = now_ms + t->publish_backoff_ms;
    t->publish_backoff_ms = t->publish_backoff_ms * 2 > 1000 ? 1000 : t->publish_backoff_ms * 2;
}

static void answer_batch(struct tidings *t, struct td_update_batch *batch,
                         const struct td_response *response)
{
    struct verdict verdict = {0};
    uint64_t refused = 0;
    bool whole = response->err == TD_OK; /* else one error for all */
    (void)pthread_mutex_lock(&t->hub.lock);
    td_engine_saw(t, &response->has);
    if (whole) {
        remember(t, batch, response);
    }
    (void)pthread_mutex_unlock(&t->hub.lock);
    for (uint32_t i = 0; i < batch->count; i++) {
        struct td_result failed = {.err = response->err};
        const struct td_result *result = whole ? &response->u.publish.results[i] : &failed;
        if (judge(t, batch, i, result, &verdict) == FATE_TELL) {
            struct tidings_result told = public_result(result);
            td_deliver_tell(t, batch, i, &told);
            refused += told.err != TD_OK;
        }
    }
    td_deliver_settle(t, batch, false);
    (void)pthread_mutex_lock(&t->hub.lock);
    t->stats.refused += refused;
    (void)pthread_mutex_unlock(&t->hub.lock);
    batch->retry_err = verdict.err;
    t->pause_err = verdict.elsewhere || verdict.later ? verdict.err : TD_OK;
    if (verdict.elsewhere && t->address_count > 1) {
        t->leave_node = true;
        t->leave_err = verdict.err;
    } else if (verdict.later || verdict.elsewhere) {
        pause_publishing(t, td_now_ms());
    } else {
        t->publish_backoff_ms = TD_BACKOFF_MS_MIN;
    }
}

static struct td_update_batch *in_flight(struct tidings *t, uint64_t id)
{
    struct td_update_list *lists[] = {&t->live, &t->replay};
    (void)pthread_mutex_lock(&t->hub.lock);
    struct td_update_batch *found = NULL;
    for (size_t i = 0; i < 2; i++) {
        for (struct td_update_batch *batch = lists[i]->first; batch != NULL; batch = batch->next) {
            if (batch->state == TD_BATCH_IN_FLIGHT && batch->id == id) {
                found = batch;
            }
        }
    }
    (void)pthread_mutex_unlock(&t->hub.lock);
    return found;
}

bool td_deliver_response(struct tidings *t, uint64_t id, struct td_bytes payload)
{
    struct td_update_batch *batch = in_flight(t, id);
    struct td_response response;
    if (batch == NULL) {
        return false;
    }
    enum td_err err = td_engine_decode(t, payload, &response);
    if (err == TD_OK && response.err == TD_OK && response.u.publish.count != batch->count) {
        err = TD_EFORMAT;
    }
    if (err != TD_OK) {
        t->frame_err = err;
        return true;
    }
    (void)pthread_mutex_lock(&t->hub.lock);
    struct td_text name = response.node_name;
    (void)snprintf(t->node_region, sizeof t->node_region, "%.*s", (int)name.count,
                   name.count > 0 ? name.bytes : "");
    (void)pthread_mutex_unlock(&t->hub.lock);
    answer_batch(t, batch, &response);
    td_deliver_retire(t, batch);
    return true;
}

/* ---- giving up ---- */

/* Tells the updates of a batch for which `due` holds, then retires it. Not while in flight. */
static void fail_due(struct tidings *t, struct td_update_batch *batch, uint64_t now_ms,
                     enum td_err err)
{
    for (uint32_t i = 0; i < batch->count; i++) {
        if (batch->items[i].answered || batch->items[i].deadline_ms > now_ms) {
            continue;
        }
        struct tidings_result result = {.err = (int)err};
        td_deliver_tell(t, batch, i, &result);
    }
    td_deliver_settle(t, batch, true);
    td_deliver_retire(t, batch);
}

/* Lock held: takes a batch out of filling so that only the thread touches it. */
void td_deliver_close(struct tidings *t, struct td_update_batch *batch)
{
    if (batch == t->filling) {
        t->filling = NULL;
        batch->state = TD_BATCH_READY;
    }
}

/* The first live batch, from `after` on, with an update that is overdue; closes it. */
static struct td_update_batch *overdue_batch(struct tidings *t, uint64_t now_ms, uint64_t *wake_us)
{
    struct td_update_batch *found = NULL;
    (void)pthread_mutex_lock(&t->hub.lock);
    for (struct td_update_batch *batch = t->live.first; batch != NULL && found == NULL;
         batch = batch->next) {
        uint64_t due_ms = UINT64_MAX;
        for (uint32_t i = 0; i < batch->count; i++) {
            /* Deadlines ascend within a batch: the first open one decides. */
            if (!batch->items[i].answered) {
                due_ms = batch->items[i].deadline_ms;
                break;
            }
        }
        if (batch->state == TD_BATCH_IN_FLIGHT) {
            due_ms = batch->answer_by_ms;
        }
        if (due_ms <= now_ms) {
            found = batch;
            td_deliver_close(t, batch);
        } else if (due_ms != UINT64_MAX && due_ms * 1000 < *wake_us) {
            *wake_us = due_ms * 1000;
        }
    }
    (void)pthread_mutex_unlock(&t->hub.lock);
    return found;
}

static bool replay_overdue(struct tidings *t, uint64_t now_ms)
{
    bool overdue = false;
    (void)pthread_mutex_lock(&t->hub.lock);
    for (struct td_update_batch *batch = t->replay.first; batch != NULL; batch = batch->next) {
        overdue = overdue || (batch->state == TD_BATCH_IN_FLIGHT && batch->answer_by_ms <= now_ms);
    }
    (void)pthread_mutex_unlock(&t->hub.lock);
    return overdue;
}

void td_deliver_expire(struct tidings *t, uint64_t now_ms, uint64_t *wake_us)
{
    struct td_update_batch *batch = NULL;
    if (replay_overdue(t, now_ms)) {
        t->leave_node = true;
        t->leave_err = TD_ETIMEOUT;
    }
    while (!t->leave_node && (batch = overdue_batch(t, now_ms, wake_us)) != NULL) {
        if (batch->state == TD_BATCH_IN_FLIGHT) {
            t->leave_node = true; /* the node is stuck: another one gets it */
            t->leave_err = TD_ETIMEOUT;
            return;
        }
        enum td_err err = t->no_node                  ? t->round_err
                          : batch->retry_err != TD_OK ? batch->retry_err
                          : t->pause_err != TD_OK ? t->pause_err /* never sent: for this reason */
                                                  : TD_ETIMEOUT;
        fail_due(t, batch, now_ms, err);
    }
}

void td_deliver_fail_all(struct tidings *t, enum td_err err)
{
    (void)pthread_mutex_lock(&t->hub.lock);
    uint64_t end = t->next_order; /* a callback may publish anew: that is another story */
    (void)pthread_mutex_unlock(&t->hub.lock);
    for (;;) {
        (void)pthread_mutex_lock(&t->hub.lock);
        struct td_update_batch *batch = t->live.first;
        if (batch != NULL && batch->order < end) {
            td_deliver_close(t, batch);
        }
        (void)pthread_mutex_unlock(&t->hub.lock);
        if (batch == NULL || batch->order >= end) {
            return;
        }
        fail_due(t, batch, UINT64_MAX, err);
    }
}
