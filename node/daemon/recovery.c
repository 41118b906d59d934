/* recovery.c -- a restart is a catch-up from oneself: every record of our log is decoded, verified and
 * merged exactly like a peer's. What fails its checks is a hole, named, and filled by peers. */
#include <stdio.h>
#include <stdlib.h>

#include "node/daemon/logging.h"
#include "node/daemon/node.h"

enum { ARENA_BYTES = 32 * 1024 * 1024, SEGMENT_BYTES_MIN = 64 * 1024, SEGMENT_BYTES_MAX = 64 * 1024 * 1024 };

struct replay {
    struct td_node *node;
    struct td_reader *reader;
    void *block;
    uint64_t refused;
};

static void feed(struct td_node *node, const struct td_record *record, bool last)
{
    struct td_event event = { .type = TD_EV_START };
    event.u.start.records = record;
    event.u.start.count = record != NULL ? 1 : 0;
    event.u.start.last = last;
    td_loop_event(&node->loop, &event);
}

static void on_batch(void *self, struct td_log_ref ref, struct td_bytes raw)
{
    struct replay *replay = self;
    struct td_arena arena;
    struct td_batch batch;
    struct td_record record = { .type = TD_RECORD_BATCH, .ref = ref };
    td_arena_init(&arena, replay->block, ARENA_BYTES);
    enum td_err err = td_ingress_decode_batch(replay->node, raw, replay->reader, &arena, true, &batch);
    if (err == TD_OK) {
        record.u.batch = &batch;
    } else {
        replay->refused++;
        record.type = TD_RECORD_HOLE;
        td_log_event(TD_ERROR, "log_record_refused", "position", td_log_number(ref.position), "why",
                     td_err_text(err), NULL);
    }
    feed(replay->node, &record, false);
}

static void on_record(void *self, const struct td_record *record)
{
    struct replay *replay = self;
    feed(replay->node, record, false);
}

static void report(const struct td_log_recovery *found, uint64_t refused)
{
    bool damaged = found->damaged_records + found->missing_segments + refused > 0;
    td_log_event(damaged ? TD_ERROR : TD_INFO, "log_recovered", "batches", td_log_number(found->batches),
                 "segments", td_log_number(found->segments), "bytes", td_log_number(found->bytes),
                 "torn_bytes", td_log_number(found->torn_bytes), "damaged_records",
                 td_log_number(found->damaged_records + refused), "missing_segments",
                 td_log_number(found->missing_segments), "compacted", td_log_number(found->compacted), NULL);
}

/* A small log needs small segments: only whole ones are compacted, and room for one is kept free. */
static uint32_t segment_bytes(uint64_t limit_bytes)
{
    uint64_t bytes = limit_bytes / 32;
    return bytes < SEGMENT_BYTES_MIN ? SEGMENT_BYTES_MIN :
           bytes > SEGMENT_BYTES_MAX ? SEGMENT_BYTES_MAX : (uint32_t)bytes;
}

enum td_err td_recovery_run(struct td_node *node, char *ret_why, size_t why_bytes)
{
    struct replay replay = { .node = node, .reader = td_reader_alloc(), .block = malloc(ARENA_BYTES) };
    struct td_log_replay into = { .self = &replay, .batch = on_batch, .record = on_record };
    struct td_log_sink sink = { .self = node, .done = td_effects_stored, .ask = td_effects_ask,
        .compacted = td_effects_compacted };
    struct td_log_options options = { .limit_bytes = node->config.log_limit_bytes,
        
        .segment_bytes = segment_bytes(node->config.log_limit_bytes), .queue_max = 16384, .key_number = node->key_number,
        .cluster = node->cluster, .region = node->self, .signer = &node->signer };
    struct td_log_recovery found = { 0 };
    enum td_err err = TD_ENOMEM;
    if (replay.reader != NULL && replay.block != NULL) {
        err = td_log_open(&node->disk, &options, &into, &sink, &found, &node->log, ret_why, why_bytes);
    } else {
        snprintf(ret_why, why_bytes, "out of memory while reading the log");
    }
    if (err == TD_OK) {
        node->log_damaged_records = found.damaged_records + replay.refused;
        node->log_missing_segments = found.missing_segments;
        report(&found, replay.refused);
        feed(node, NULL, true);
    }
    td_reader_free(replay.reader);
    free(replay.block);
    return err;
}
