/* replay.c -- between the handle's lists and its spool file: what no node takes is written, what
 * was written is replayed in order before anything newer, and dropped once answered. */
#include <stdlib.h>
#include <string.h>

#include "node/client/engine.h"
#include "proto/assert.h"
#include "proto/delta.h"

/* Frees the records in front that are answered, then the batches. */
void td_replay_release(struct tidings *t)
{
    uint64_t cursor = 0;
    (void)pthread_mutex_lock(&t->hub.lock);
    while (t->replay.first != NULL && t->replay.first->left == 0 &&
           t->replay.first->state != TD_BATCH_IN_FLIGHT) {
        struct td_update_batch *batch = t->replay.first;
        cursor = batch->spool_end;
        td_list_remove(&t->replay, batch);
        td_pool_give(t, batch);
    }
    (void)pthread_mutex_unlock(&t->hub.lock);
    if (cursor > 0) {
        enum td_err err = td_spool_release(t->spool, cursor);
        (void)pthread_mutex_lock(&t->hub.lock);
        t->spool_full = err != TD_OK;
        t->stats.spool_bytes = td_spool_bytes(t->spool);
        if (td_spool_empty(t->spool)) {
            t->spool_cursor = 0;
        }
        (void)pthread_cond_broadcast(&t->changed);
        (void)pthread_mutex_unlock(&t->hub.lock);
    }
}

static enum td_err spool_batch(struct tidings *t, struct td_update_batch *batch)
{
    td_batch_compact(batch);
    size_t bytes = td_deliver_encode(t, batch, 0);
    if (bytes == 0) {
        return TD_ENOMEM;
    }
    return td_spool_append(t->spool, (struct td_bytes){t->scratch, bytes});
}

static void tell_spooled(struct tidings *t, struct td_update_batch *batch)
{
    uint64_t spooled = 0;
    for (uint32_t i = 0; i < batch->count; i++) {
        struct tidings_result result = {.spooled = true, .attempt = batch->updates[i].attempt};
        if (!batch->items[i].answered) {
            td_deliver_tell(t, batch, i, &result);
            spooled++;
        }
    }
    td_deliver_settle(t, batch, false);
    (void)pthread_mutex_lock(&t->hub.lock);
    t->stats.spooled_updates += spooled;
    (void)pthread_mutex_unlock(&t->hub.lock);
    td_deliver_retire(t, batch);
}

/* Appends what fits, one sync for all, then tells. Batches enter while we write: only those up to
 * `last` belong to this group. */
void td_deliver_to_spool(struct tidings *t)
{
    uint64_t last = 0;
    enum td_err err = TD_OK;
    (void)pthread_mutex_lock(&t->hub.lock);
    struct td_update_batch *batch = t->live.first;
    while (batch != NULL && err == TD_OK) {
        td_deliver_close(t, batch);
        (void)pthread_mutex_unlock(&t->hub.lock);
        err = spool_batch(t, batch);
        last = err == TD_OK ? batch->order : last;
        (void)pthread_mutex_lock(&t->hub.lock);
        batch = batch->next;
    }
    (void)pthread_mutex_unlock(&t->hub.lock);
    enum td_err sync_err = td_spool_sync(t->spool);
    (void)pthread_mutex_lock(&t->hub.lock);
    t->spool_full = err != TD_OK || sync_err != TD_OK;
    t->stats.spool_bytes = td_spool_bytes(t->spool);
    batch = sync_err == TD_OK ? t->live.first : NULL;
    (void)pthread_mutex_unlock(&t->hub.lock);
    while (batch != NULL && batch->order <= last) {
        tell_spooled(t, batch);
        (void)pthread_mutex_lock(&t->hub.lock);
        batch = t->live.first;
        (void)pthread_mutex_unlock(&t->hub.lock);
    }
}

/* Lock held. */
static bool add_replayed(struct tidings *t, struct td_update_batch *batch,
                         const struct td_update *update)
{
    if (update->err != TD_OK || !td_job_valid(update->job) ||
        td_status_check(&update->status) != TD_OK) {
        return true; /* from a file: checked, not believed; nobody can do anything with it */
    }
    struct td_entry *entry = td_seen_get(&t->seen, update->job, update->attempt);
    struct td_item item = {.entry = entry, .deadline_ms = UINT64_MAX};
    if (entry == NULL) {
        return false;
    }
    item.number = entry->reports + 1;
    /* After a restart the file is all we know; within one run the memory is newer. */
    if (!entry->live && !td_seen_merge(entry, update)) {
        return false;
    }
    if (!td_batch_add(batch, update, &item)) {
        return false;
    }
    entry->users++;
    entry->reports = item.number;
    return true;
}

static struct td_update_batch *replayed_batch(struct tidings *t, const struct td_request *request)
{
    (void)pthread_mutex_lock(&t->hub.lock);
    struct td_update_batch *batch = td_pool_take(t);
    bool ok = batch != NULL;
    for (uint32_t i = 0; ok && i < request->u.publish.count; i++) {
        ok = add_replayed(t, batch, &request->u.publish.updates[i]);
    }
    if (!ok && batch != NULL) {
        for (uint32_t i = 0; i < batch->count; i++) {
            batch->items[i].entry->users--;
        }
        td_pool_give(t, batch);
    }
    (void)pthread_mutex_unlock(&t->hub.lock);
    return ok ? batch : NULL;
}

static enum td_err decode_record(struct tidings *t, struct td_bytes payload, struct td_arena *arena,
                                 struct td_request *ret_request)
{
    struct td_sodium_signer sodium = {.secret = NULL};
    struct td_signer signer = td_sodium_signer(&sodium);
    enum td_err err = td_request_decode(payload, &signer, t->reader, arena, ret_request);
    if (err == TD_OK && ret_request->op != TD_OP_PUBLISH) {
        return TD_EFORMAT;
    }
    return err;
}

/* Turns a record into a batch. *ret_batch stays NULL while there is no room; an unreadable record
 * (of a version we do not know) becomes an empty batch, so that it does not block those behind it.
 */
static void open_record(struct tidings *t, struct td_bytes payload,
                        struct td_update_batch **ret_batch)
{
    size_t arena_size = td_arena_bytes_for(payload.count);
    void *arena_bytes = malloc(arena_size);
    struct td_arena arena;
    struct td_request request;
    if (arena_bytes == NULL) {
        return;
    }
    td_arena_init(&arena, arena_bytes, arena_size);
    if (decode_record(t, payload, &arena, &request) != TD_OK) {
        memset(&request, 0, sizeof request);
    }
    *ret_batch = replayed_batch(t, &request);
    free(arena_bytes);
}

/* Loads one record into the replay list; false when there is no more, or no room now. */
static bool load_record(struct tidings *t)
{
    uint8_t *payload = NULL;
    size_t bytes = 0;
    uint64_t cursor = t->spool_cursor;
    struct td_update_batch *batch = NULL;
    if (td_spool_read(t->spool, &cursor, &payload, &bytes) != TD_OK) {
        return false;
    }
    open_record(t, (struct td_bytes){payload, bytes}, &batch);
    free(payload);
    if (batch == NULL) {
        return false;
    }
    batch->state = TD_BATCH_READY;
    batch->spool_end = cursor;
    t->spool_cursor = cursor;
    (void)pthread_mutex_lock(&t->hub.lock);
    td_list_append(&t->replay, batch);
    (void)pthread_mutex_unlock(&t->hub.lock);
    return true;
}

void td_deliver_from_spool(struct tidings *t)
{
    if (t->spool == NULL || td_spool_empty(t->spool)) {
        return;
    }
    (void)pthread_mutex_lock(&t->hub.lock);
    uint32_t loaded = 0;
    for (struct td_update_batch *batch = t->replay.first; batch != NULL; batch = batch->next) {
        loaded++;
    }
    (void)pthread_mutex_unlock(&t->hub.lock);
    while (loaded < t->in_flight_max && load_record(t)) {
        loaded++;
    }
    td_replay_release(t);
}
