/* log_file.c -- the log of log.h: opening, the queue of tickets, and the rhythm of group commit. */
#include "node/log/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "node/log/log_internal.h"
#include "node/log/record.h"
#include "proto/assert.h"
#include "node/core/plant.h"

static void log_free(struct td_log *log)
{
    if (log == NULL) {
        return;
    }
    td_compaction_free(log);
    td_log_segments_close(log);
    pthread_cond_destroy(&log->more);
    pthread_mutex_destroy(&log->lock);
    free(log->queue);
    free(log->completed);
    free(log->image);
    free(log->leaves);
    free(log->scratch);
    free(log->encoded);
    free(log);
}

/* Between two pieces of a compaction, so that it takes no more than a share of a processor. */
enum { COMPACT_PACE_MS = 2 };

/* Waiting uses the monotonic clock: a step of the wall clock must not stall the log. */
static void init_locks(struct td_log *log)
{
    pthread_condattr_t attributes;

    pthread_mutex_init(&log->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&log->more, &attributes);
    pthread_condattr_destroy(&attributes);
}

static struct td_log *log_alloc(const struct td_disk *disk, const struct td_log_options *options,
                                const struct td_log_sink *sink)
{
    struct td_log *log = calloc(1, sizeof *log);

    if (log == NULL) {
        return NULL;
    }
    init_locks(log);
    log->disk = *disk;
    log->options = *options;
    log->sink = *sink;
    if (log->options.segment_bytes > UINT32_MAX / 2) {
        log->options.segment_bytes = UINT32_MAX / 2; /* offsets have 32 bits */
    }
    log->queue = calloc(options->queue_max, sizeof *log->queue);
    log->completed = calloc(TD_LOG_DONE_RING, sizeof *log->completed);
    log->image = malloc(TD_LOG_GROUP_BYTES);
    log->leaves = malloc(TD_LOG_GROUP_LEAVES * sizeof *log->leaves);
    log->scratch = calloc(TD_BATCH_DELTAS_MAX, sizeof *log->scratch);
    log->encoded = malloc(TD_BATCH_BYTES_MAX + TD_DELTA_BYTES_MAX);
    log->compaction = sink->ask != NULL ? td_compaction_alloc() : NULL;
    if ((sink->ask != NULL && log->compaction == NULL) || log->queue == NULL ||
        log->completed == NULL || log->image == NULL || log->leaves == NULL ||
        log->scratch == NULL || log->encoded == NULL) {
        log_free(log);
        return NULL;
    }
    return log;
}

enum td_err td_log_open(const struct td_disk *disk, const struct td_log_options *options,
                        const struct td_log_replay *replay, const struct td_log_sink *sink,
                        struct td_log_recovery *ret_recovery, struct td_log **ret_log,
                        char *ret_why, size_t why_bytes)
{
    TD_ASSERT(options->queue_max > 0);
    TD_ASSERT(options->segment_bytes > 0);
    TD_ASSERT(options->signer != NULL);
    struct td_log *log = log_alloc(disk, options, sink);
    if (log == NULL) {
        snprintf(ret_why, why_bytes, "out of memory");
        return TD_ENOMEM;
    }
    enum td_err err = td_log_recover(log, replay, ret_recovery, ret_why, why_bytes);
    if (err != TD_OK) {
        log_free(log);
        return err;
    }
    *ret_log = log;
    return TD_OK;
}

/* The payload of a RECORD ticket, copied now: the effect it came in is gone after the step. */
static bool copy_record(const struct td_record *record, struct td_log_entry *entry)
{
    size_t count = td_record_payload_bytes(record);
    TD_ASSERT(count > 0);
    uint8_t *payload = malloc(count);
    if (payload == NULL) {
        return false;
    }
    td_record_payload_encode(record, payload);
    entry->raw = (struct td_bytes){payload, count};
    entry->type = (uint8_t)record->type;
    return true;
}

static void entry_free(struct td_log_entry *entry)
{
    if (entry->kind == TD_STORE_RECORD) {
        free((void *)(uintptr_t)entry->raw.bytes);
        entry->raw.bytes = NULL;
    }
}

bool td_log_submit(struct td_log *log, const struct td_effect *store)
{
    TD_ASSERT(store->type == TD_FX_STORE);
    struct td_log_entry entry = {
        .ticket = store->u.store.ticket,
        .kind = store->u.store.kind,
        .origin = store->u.store.origin,
        .first_seq = store->u.store.first_seq,
        .delta_count = store->u.store.delta_count,
        .deltas = store->u.store.deltas,
        .type = TD_RECORD_BATCH,
    };
    if (entry.kind == TD_STORE_RECEIVED) {
        entry.handle = store->u.store.handle;
        entry.raw = store->u.store.raw;
    } else if (entry.kind == TD_STORE_RECORD && !copy_record(store->u.store.record, &entry)) {
        return false;
    }
    pthread_mutex_lock(&log->lock);
    bool room = log->queue_count < log->options.queue_max;
    if (room) {
        TD_ASSERT(entry.ticket.v > log->newest_ticket); /* readers search the queue by ticket */
        log->newest_ticket = entry.ticket.v;
        uint64_t index = ((uint64_t)log->queue_head + log->queue_count) % log->options.queue_max;
        log->queue[index] = entry;
        log->queue_count++;
        pthread_cond_signal(&log->more);
    }
    pthread_mutex_unlock(&log->lock);
    if (!room) {
        entry_free(&entry);
    }
    return room;
}

static uint32_t wait_for_work(struct td_log *log, uint32_t wait_ms)
{
    struct timespec until;

    pthread_mutex_lock(&log->lock);
    const bool paced = td_compaction_due(log);
    if (paced && wait_ms > COMPACT_PACE_MS) {
        wait_ms = COMPACT_PACE_MS;
    }
    if (wait_ms > 0 && log->queue_count == 0 && !log->woken) {
        clock_gettime(CLOCK_MONOTONIC, &until);
        uint64_t ns = (uint64_t)until.tv_nsec + (uint64_t)wait_ms * 1000000;
        until.tv_sec += (time_t)(ns / 1000000000);
        until.tv_nsec = (long)(ns % 1000000000);
        while (log->queue_count == 0 && !log->woken && (paced || !td_compaction_due(log))) {
            if (pthread_cond_timedwait(&log->more, &log->lock, &until) == ETIMEDOUT) {
                break;
            }
        }
    }
    log->woken = false;
    uint32_t count = log->queue_count;
    pthread_mutex_unlock(&log->lock);
    return count;
}

void td_log_wake(struct td_log *log)
{
    pthread_mutex_lock(&log->lock);
    log->woken = true;
    pthread_cond_broadcast(&log->more);
    pthread_mutex_unlock(&log->lock);
}

static struct td_log_entry *entry_at(struct td_log *log, uint32_t index)
{
    return &log->queue[((uint64_t)log->queue_head + index) % log->options.queue_max];
}

static enum td_err flush(struct td_log *log)
{
    uint64_t start = log->disk.now_ns != NULL ? log->disk.now_ns(log->disk.self) : 0;
    enum td_err err = td_log_segment_append(log);
    uint64_t took = log->disk.now_ns != NULL ? log->disk.now_ns(log->disk.self) - start : 0;

    pthread_mutex_lock(&log->lock);
    log->stats.flushes++;
    log->stats.flush_ns_total += took;
    td_durations_add(&log->stats.flush, took / 1000);
    if (took > log->stats.flush_ns_max) {
        log->stats.flush_ns_max = took;
    }
    if (err == TD_OK) {
        log->stats.written_bytes += log->image_bytes;
    }
    pthread_mutex_unlock(&log->lock);
    return err;
}

/* Builds and flushes one group from the first `queued` tickets. Returns how many it took; *ret_err
 * is what holds for all of them that have no failure of their own. */
static uint32_t commit_group(struct td_log *log, uint32_t queued, enum td_err *ret_err)
{
    uint32_t count = 0;
    bool refused = false;
    enum td_err err = td_log_segment_ready(log);

    log->image_bytes = 0;
    log->leaf_count = 0;
    if (err == TD_OK) {
        while (count < queued && td_log_group_add(log, entry_at(log, count))) {
            refused = refused || entry_at(log, count)->why == TD_EDISKFULL;
            count++;
        }
        TD_ASSERT(count > 0); /* an empty group has room for any record */
        if (log->image_bytes > 0) {
            err = flush(log);
            err = TD_PLANTED(failed_flush_counts) ? TD_OK : err;
        }
    } else {
        count = queued;
    }
    if (err != TD_OK || refused) {
        pthread_mutex_lock(&log->lock);
        log->stats.groups_failed++;
        pthread_mutex_unlock(&log->lock);
    }
    *ret_err = err;
    return count;
}

static void complete_first(struct td_log *log, uint32_t segment, enum td_err group_err)
{
    pthread_mutex_lock(&log->lock);
    struct td_log_entry entry = *entry_at(log, 0);
    enum td_err err = entry.why != TD_OK ? entry.why : group_err;
    struct td_log_done done = {
        .ticket = entry.ticket,
        .durable = err == TD_OK,
        .why = err,
        .ref = {.ticket = entry.ticket},
        .handle = entry.handle,
    };
    if (done.durable) {
        done.ref.position = td_log_position(segment, entry.offset);
        done.ref.bytes = entry.bytes;
        if (entry.kind == TD_STORE_OWN) {
            done.leaves = log->leaves + entry.leaf_start;
            done.leaf_count = entry.delta_count;
        }
        log->completed[entry.ticket.v % TD_LOG_DONE_RING] =
            (struct td_log_completed){entry.ticket.v, done.ref.position, entry.bytes};
    }
    log->queue_head = (log->queue_head + 1) % log->options.queue_max;
    log->queue_count--;
    pthread_mutex_unlock(&log->lock);
    entry_free(&entry);
    log->sink.done(log->sink.self, &done);
}

size_t td_log_work(struct td_log *log, uint32_t wait_ms)
{
    uint32_t queued = wait_for_work(log, wait_ms);
    size_t completed = 0;

    while (completed < queued) {
        enum td_err err;
        uint32_t count = commit_group(log, queued - (uint32_t)completed, &err);
        uint32_t segment = log->current;
        for (uint32_t i = 0; i < count; i++) {
            complete_first(log, segment, err);
        }
        completed += count;
    }
    if (log->compaction != NULL && !log->closing) {
        td_compaction_work(log, completed > 0);
    }
    return completed;
}

bool td_log_busy(struct td_log *log)
{
    pthread_mutex_lock(&log->lock);
    bool busy = td_compaction_due(log);
    pthread_mutex_unlock(&log->lock);
    return busy;
}

void td_log_close(struct td_log *log)
{
    if (log == NULL) {
        return;
    }
    log->closing =
        true; /* what a compaction has done so far goes, or stays for the next start to end */
    while (td_log_work(log, 0) > 0) {
    }
    /* With the mark, damage to the last group is told from a crash in the middle of it. */
    if (log->current_open && log->current_end > TD_SEGMENT_HEADER_BYTES) {
        log->image_bytes = 0;
        td_log_group_seal_record(log);
        enum td_err err = td_log_segment_append(log);
        (void)err; /* everything is durable already; the mark only says more about damage */
    }
    td_log_segment_seal(log);
    log_free(log);
}

uint64_t td_log_bytes(const struct td_log *log)
{
    pthread_mutex_t *lock = (pthread_mutex_t *)(uintptr_t)&log->lock;

    pthread_mutex_lock(lock);
    uint64_t bytes = log->total_bytes;
    pthread_mutex_unlock(lock);
    return bytes;
}

struct td_log_stats td_log_stats(const struct td_log *log)
{
    pthread_mutex_t *lock = (pthread_mutex_t *)(uintptr_t)&log->lock;

    pthread_mutex_lock(lock);
    struct td_log_stats stats = log->stats;
    pthread_mutex_unlock(lock);
    return stats;
}
