/* compact_copy.c -- one piece of a compaction: a slice of an input is read, checked and decoded;
 * what is still needed of it is appended to the output, whole batches verbatim, others thinned. */
#include "node/log/compact.h"

#include <stdlib.h>
#include <string.h>

#include "node/log/record.h"
#include "proto/assert.h"

/* ---- reading ---- */

/* Checks the record at `at` of the slice; 0 = it is not whole within count bytes, but its header is
 * good and says how much it takes. TD_ECORRUPT when it is no record. */
static enum td_err check_record(struct td_log *log, uint32_t segment, uint32_t at, uint32_t count,
                                uint32_t *ret_span, struct td_record_head *ret_head)
{
    struct td_compaction *work = log->compaction;
    const uint8_t *bytes = work->slice + at;
    const struct td_signer *signer = log->options.signer;

    if (count - at < TD_RECORD_HEADER_BYTES ||
        !td_record_head_check(segment, work->offset + at, bytes, signer, ret_head)) {
        return TD_ECORRUPT;
    }
    *ret_span = td_record_span(ret_head->bytes);
    if (*ret_span > count - at) {
        return TD_OK;
    }
    return td_record_body_check(ret_head, bytes, bytes + TD_RECORD_HEADER_BYTES, signer)
               ? TD_OK
               : TD_ECORRUPT;
}

/* Cuts the slice into records. What is not whole at its end comes with the next one. */
static enum td_err cut_slice(struct td_log *log, uint32_t segment, uint32_t count)
{
    struct td_compaction *work = log->compaction;
    uint32_t at = 0, span = 0;

    work->item_count = 0;
    while (count - at >= TD_RECORD_HEADER_BYTES && work->item_count < TD_COMPACT_SLICE_ITEMS) {
        struct td_record_head head;
        enum td_err err = check_record(log, segment, at, count, &span, &head);
        if (err != TD_OK) {
            return err;
        }
        if (span > count - at) {
            break;
        }
        work->items[work->item_count++] = (struct td_compact_item){
            .offset = work->offset + at,
            .bytes = head.bytes,
            .payload = work->slice + at + TD_RECORD_HEADER_BYTES,
            .type = head.type,
            .batch = UINT32_MAX,
        };
        at += span;
    }
    work->slice_bytes = at;
    return TD_OK;
}

static enum td_err load_slice(struct td_log *log, int file, uint32_t segment, uint32_t end)
{
    struct td_compaction *work = log->compaction;
    uint32_t left = end - work->offset;
    uint32_t count = left < TD_COMPACT_SLICE_BYTES ? left : TD_COMPACT_SLICE_BYTES;

    enum td_err err = log->disk.read_at(log->disk.self, file, work->offset, work->slice, count);
    if (err == TD_OK) {
        err = cut_slice(log, segment, count);
    }
    if (err == TD_OK && work->slice_bytes == 0) { /* one record larger than a slice */
        count = left < TD_RECORD_SPAN_MAX ? left : TD_RECORD_SPAN_MAX;
        err = log->disk.read_at(log->disk.self, file, work->offset, work->slice, count);
        err = err == TD_OK ? cut_slice(log, segment, count) : err;
        if (err == TD_OK && work->slice_bytes == 0) {
            err = TD_ECORRUPT;
        }
    }
    return err;
}

static enum td_err decode_batches(struct td_log *log, uint32_t segment)
{
    struct td_compaction *work = log->compaction;
    size_t deltas = 0;

    work->batch_count = 0;
    td_arena_init(&work->arena, work->arena_block, TD_COMPACT_ARENA_BYTES);
    for (uint32_t i = 0; i < work->item_count; i++) {
        struct td_compact_item *item = &work->items[i];
        if (item->type != TD_RECORD_BATCH) {
            continue;
        }
        struct td_batch *batch = &work->batches[work->batch_count];
        enum td_err err = td_batch_decode((struct td_bytes){item->payload, item->bytes},
                                          log->options.signer, work->reader, &work->arena, batch);
        if (err != TD_OK) {
            return err == TD_ETOOBIG ? TD_ENOMEM : TD_ECORRUPT;
        }
        work->questions[work->batch_count] =
            (struct td_compact_batch){td_log_position(segment, item->offset), batch};
        item->batch = work->batch_count++;
        deltas += batch->present_count;
    }
    if (deltas * 2 > work->pool_room) { /* kept ones, and losers among them */
        uint32_t *pool = realloc(work->pool, deltas * 2 * sizeof *pool);
        if (pool == NULL) {
            return TD_ENOMEM;
        }
        work->pool = pool;
        work->pool_room = deltas * 2;
    }
    return TD_OK;
}

enum td_err td_compact_read(struct td_log *log)
{
    struct td_compaction *work = log->compaction;
    uint32_t segment = work->inputs[work->input_at], end;
    int file;

    enum td_err err = td_log_segment_pin(log, segment, &file, &end);
    if (err != TD_OK) {
        return err;
    }
    work->item_count = work->batch_count = work->slice_bytes = 0;
    if (work->offset < end) {
        err = load_slice(log, file, segment, end);
    }
    td_log_segment_unpin(log, segment);
    return err == TD_OK ? decode_batches(log, segment) : err;
}

/* ---- writing ---- */

/* The payload already lies behind the record's header. */
static void finish_record(struct td_log *log, uint8_t type, uint32_t bytes, uint32_t *used)
{
    struct td_compaction *work = log->compaction;
    struct td_record_head head = {
        .segment = work->number,
        .offset = work->end + *used,
        .bytes = bytes,
        .type = type,
    };
    td_record_finish(&head, log->options.signer, work->image + *used);
    *used += td_record_span(bytes);
}

static bool note_move(struct td_compaction *work, const struct td_compact_move *move)
{
    if (work->move_count == work->move_room) {
        size_t room = work->move_room == 0 ? 1024 : work->move_room * 2;
        struct td_compact_move *moves = realloc(work->moves, room * sizeof *moves);
        if (moves == NULL) {
            return false;
        }
        work->moves = moves;
        work->move_room = room;
    }
    work->moves[work->move_count++] = *move;
    return true;
}

static bool note_moves(struct td_log *log, const struct td_compact_item *item,
                       const struct td_compact_keep *keep, struct td_compact_move move)
{
    struct td_compaction *work = log->compaction;

    move.from = work->questions[item->batch].position;
    move.index = keep->slot;
    if (keep->slot != UINT32_MAX && !note_move(work, &move)) {
        return false;
    }
    for (uint32_t i = 0; i < keep->loser_count; i++) {
        move.loser = true;
        move.index = keep->losers[i];
        if (!note_move(work, &move)) {
            return false;
        }
    }
    return true;
}

/* Whole batches, and those of which everything that is there is needed, stay as they were signed.
 */
static enum td_err write_batch(struct td_log *log, const struct td_compact_item *item,
                               uint32_t *used)
{
    struct td_compaction *work = log->compaction;
    const struct td_compact_keep *keep = &work->keeps[item->batch];
    const struct td_batch *batch = &work->batches[item->batch];
    uint8_t *payload = work->image + *used + TD_RECORD_HEADER_BYTES;
    struct td_compact_move move = {
        .to = td_log_position(work->number, work->end + *used),
        .bytes = item->bytes,
        .stored_count = batch->present_count,
        .index_last = batch->deltas[batch->present_count - 1].index,
    };
    if (keep->keep_count == 0) {
        return TD_OK;
    }
    size_t thinned = 0;
    if (keep->keep_count < batch->present_count) {
        thinned = td_batch_thin(batch, keep->keep, keep->keep_count, log->options.signer,
                                &work->arena, payload, item->bytes);
    }
    if (thinned > 0 && thinned < item->bytes) {
        move.bytes = (uint32_t)thinned;
        move.stored_count = keep->keep_count;
        move.index_last = keep->keep[keep->keep_count - 1];
    } else { /* also when the proof would be larger than what it leaves out */
        memcpy(payload, item->payload, item->bytes);
    }
    finish_record(log, TD_RECORD_BATCH, move.bytes, used);
    return note_moves(log, item, keep, move) ? TD_OK : TD_ENOMEM;
}

/* Claims are not carried over: a newer one that covers them lies behind everything before the
 * output counts. Of the wall clock the newest reading is enough. The rest is rare, and kept in its
 * order. */
static enum td_err write_item(struct td_log *log, const struct td_compact_item *item,
                              uint32_t *used)
{
    struct td_compaction *work = log->compaction;

    if (item->batch != UINT32_MAX) {
        return write_batch(log, item, used);
    }
    if (item->type == TD_RECORD_WALL && item->bytes == sizeof(uint64_t)) {
        uint64_t wall_ms = td_get_u64(item->payload);
        work->wall_ms = wall_ms > work->wall_ms ? wall_ms : work->wall_ms;
    } else if (item->type != TD_RECORD_HAS && item->type != TD_RECORD_SEAL) {
        if (item->bytes > 0) {
            memcpy(work->image + *used + TD_RECORD_HEADER_BYTES, item->payload, item->bytes);
        }
        finish_record(log, item->type, item->bytes, used);
    }
    return TD_OK;
}

static enum td_err append(struct td_log *log, uint32_t used)
{
    struct td_compaction *work = log->compaction;
    enum td_err err = TD_OK;

    if (log->total_bytes + work->end + used > log->options.limit_bytes) {
        return TD_EDISKFULL;
    }
    if (used > 0) {
        err = log->disk.write_at(log->disk.self, work->file, work->end,
                                 (struct td_bytes){work->image, used});
        work->end += used;
    }
    if (err == TD_OK && work->end - work->synced_end >= TD_COMPACT_SYNC_BYTES) {
        err = log->disk.sync(log->disk.self, work->file);
        work->synced_end = work->end;
    }
    return err;
}

enum td_err td_compact_write(struct td_log *log)
{
    struct td_compaction *work = log->compaction;
    uint32_t used = 0;

    for (uint32_t i = 0; i < work->item_count; i++) {
        enum td_err err = write_item(log, &work->items[i], &used);
        if (err != TD_OK) {
            return err;
        }
    }
    work->offset += work->slice_bytes;
    return append(log, used);
}

enum td_err td_compact_write_folds(struct td_log *log)
{
    struct td_compaction *work = log->compaction;
    const struct td_record record = {
        .type = TD_RECORD_HAS,
        .u.has = {.fold_count = work->fold_count, .folds = work->folds},
    };
    uint32_t used = 0;

    if (work->fold_count == 0) {
        return TD_OK;
    }
    td_record_payload_encode(&record, work->image + TD_RECORD_HEADER_BYTES);
    finish_record(log, TD_RECORD_HAS, (uint32_t)td_record_payload_bytes(&record), &used);
    return append(log, used);
}

enum td_err td_compact_write_wall(struct td_log *log)
{
    struct td_compaction *work = log->compaction;
    uint32_t used = 0;

    if (work->wall_ms == 0) {
        return TD_OK;
    }
    td_put_u64(work->image + TD_RECORD_HEADER_BYTES, work->wall_ms);
    finish_record(log, TD_RECORD_WALL, sizeof(uint64_t), &used);
    return append(log, used);
}

/* Until it has its name the output is nothing: a crash leaves the inputs and a file that the next
 * start removes. With its name it is whole, for both are flushed in this order. */
enum td_err td_compact_commit(struct td_log *log)
{
    struct td_compaction *work = log->compaction;
    const struct td_disk *disk = &log->disk;
    uint8_t bytes[TD_SEGMENT_HEADER_BYTES];
    char unfinished[TD_SEGMENT_NAME_BYTES], name[TD_SEGMENT_NAME_BYTES];
    struct td_segment_header header = {
        .number = work->number,
        .first = work->first,
        .last = work->last,
        .previous = work->previous,
        .previous_end = work->previous_end,
        .cluster = log->options.cluster,
        .region = log->options.region,
        .compacted = true,
        .end = work->end,
        .inputs = work->input_count,
        .rests_segment = log->previous,
        .rests_offset = log->previous_end,
    };

    td_segment_header_encode(&header, log->options.signer, bytes);
    td_segment_name_unfinished(work->number, unfinished);
    td_segment_name(work->number, name);
    enum td_err err =
        disk->truncate(disk->self, work->file, work->end); /* perhaps more was copied */
    if (err == TD_OK) {
        err = disk->write_at(disk->self, work->file, 0, (struct td_bytes){bytes, sizeof bytes});
    }
    if (err == TD_OK) { /* once more at the end: nothing but it says where this segment belongs */
        err = disk->write_at(disk->self, work->file, work->end,
                             (struct td_bytes){bytes, sizeof bytes});
    }
    if (err == TD_OK) {
        err = disk->sync(disk->self, work->file);
    }
    if (err == TD_OK) {
        err = disk->rename(disk->self, unfinished, name);
    }
    return err == TD_OK ? disk->sync_directory(disk->self) : err;
}
