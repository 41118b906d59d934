/* recover.c -- what the log does at start (LOG, "Recovery"): replays every good record of the segments
 * that recover_find.c found, in order, names every hole, cuts a torn tail. */
#include "node/log/recover.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIGNATURE_BYTES = 64 };

static void replay_hole(struct td_recovery *recovery, uint32_t segment, uint32_t offset)
{
    struct td_record hole = {
        .type = TD_RECORD_HOLE,
        .ref = {.position = td_log_position(segment, offset)},
    };
    recovery->replay->record(recovery->replay->self, &hole);
    recovery->hole = true;
}

static void replay_damage(struct td_recovery *recovery, uint32_t segment, uint32_t offset)
{
    recovery->result.damaged_records++;
    replay_hole(recovery, segment, offset);
}

/* Deltas inside a batch, for the start-up line only: reads past [kind, header, signature] to the
 * count of the third array element; 0 when the form is another. The caller decodes in earnest. */
static uint32_t count_deltas(struct td_bytes raw)
{
    const uint8_t *b = raw.bytes;
    size_t n = raw.count;

    if (n < 4 || b[2] != 0xc4) {
        return 0; /* the header is a bin of at most 255 bytes */
    }
    size_t at = 4 + (size_t)b[3] + 2 + SIGNATURE_BYTES;
    if (at >= n) {
        return 0;
    }
    if ((b[at] & 0xf0) == 0x90) {
        return b[at] & 0x0f;
    }
    return b[at] == 0xdc && n - at >= 3 ? (uint32_t)b[at + 1] << 8 | b[at + 2] : 0;
}

static void replay_record(struct td_recovery *recovery, uint32_t segment,
                          const struct td_scan_item *item)
{
    struct td_bytes payload = {recovery->bytes + item->offset + TD_RECORD_HEADER_BYTES,
                               item->bytes};
    struct td_record record = {
        .ref = {.position = td_log_position(segment, item->offset), .bytes = item->bytes},
    };

    if (item->type == TD_RECORD_SEAL) {
        return;
    }
    if (item->type == TD_RECORD_BATCH) {
        recovery->result.batches++;
        recovery->result.deltas += count_deltas(payload);
        recovery->replay->batch(recovery->replay->self, record.ref, payload);
        return;
    }
    if (td_record_payload_decode(item->type, payload, recovery->room, &record) != TD_OK) {
        replay_damage(recovery, segment, item->offset);
        return;
    }
    recovery->result.records++;
    recovery->replay->record(recovery->replay->self, &record);
}

/* In the newest segment the last group may never have been flushed: what is bad in it is the trace
 * of a crash, and everything from there on was never completed. What is bad before the last group's
 * first header had been flushed before that header was written: it is damage. */
static void cut_torn_tail(struct td_recovery *recovery, struct td_scan *scan)
{
    size_t last_group = 0;

    for (size_t i = 0; i < scan->count; i++) {
        if ((scan->items[i].flags & TD_RECORD_GROUP) != 0) {
            last_group = i;
        }
    }
    for (size_t i = last_group; i < scan->count; i++) {
        if (scan->items[i].damaged) {
            scan->end = scan->items[i].offset;
            scan->count = i;
            break;
        }
    }
    if (scan->data_end > scan->end) {
        recovery->result.torn_bytes += scan->data_end - scan->end;
    }
}

static void replay_scan(struct td_recovery *recovery, uint32_t segment, const struct td_scan *scan,
                        bool unreadable)
{
    uint64_t damaged_before = recovery->result.damaged_records;

    for (size_t i = 0; i < scan->count; i++) {
        if (scan->items[i].damaged) {
            replay_damage(recovery, segment, scan->items[i].offset);
        } else {
            replay_record(recovery, segment, &scan->items[i]);
        }
    }
    if (unreadable && recovery->result.damaged_records == damaged_before) {
        replay_damage(recovery, segment, scan->end);
    }
}

static enum td_err flush_newest(struct td_recovery *recovery, const struct td_loaded *loaded,
                                uint32_t end)
{
    const struct td_disk *disk = &recovery->log->disk;
    enum td_err err = TD_OK;

    if (loaded->count != end) {
        err = disk->truncate(disk->self, loaded->file, end);
    }
    /* What a killed process wrote may still be in memory only; it is replayed as durable. After a flush
     * that failed the kernel counts such pages as clean, and another flush alone writes nothing. */
    if (err == TD_OK && end > 0) {
        err = disk->write_at(disk->self, loaded->file, 0, (struct td_bytes){recovery->bytes, end});
    }
    if (err == TD_OK) {
        err = disk->sync(disk->self, loaded->file);
    }
    if (err == TD_OK) {
        err = disk->sync_directory(disk->self);
    }
    if (err != TD_OK) {
        snprintf(recovery->why, recovery->why_bytes, "cannot flush the newest segment of the log");
    }
    return err;
}

/* Where the records of a segment end as its successor's header says; 0 = not known. */
static uint32_t end_by_successor(const struct td_recovery *recovery, size_t index)
{
    if (td_found_compacted(&recovery->found[index])) {
        return recovery->found[index].header.end;
    }
    if (index + 1 >= recovery->found_count) {
        return 0;
    }
    const struct td_found *next = &recovery->found[index + 1];
    bool follows = next->header_good && next->header.previous == recovery->found[index].number;
    return follows ? next->header.previous_end : 0;
}

/* Something that a compacted segment rests on is gone, in a way that shows nowhere else: this segment is
 * shorter than it was then (what looks like a torn tail may have been durable), or one behind it vanished
 * as the newest there was. Until both are compacted away, which damaged ones never are, each start finds
 * this again at the same place. */
static void replay_missing_rest(struct td_recovery *recovery, size_t index, uint32_t end)
{
    const struct td_found *here = &recovery->found[index];
    const bool last = index + 1 == recovery->found_count;
    const uint32_t next = last ? UINT32_MAX : recovery->found[index + 1].header.first;
    bool found = false;

    for (size_t i = 0; i < recovery->found_count; i++) {
        struct td_found *output = &recovery->found[i];
        if (!td_found_compacted(output)) {
            continue;
        }
        const uint32_t segment = output->header.rests_segment;
        bool shorter = !td_found_compacted(here) && segment == here->number &&
                       end < output->header.rests_offset;
        bool vanished = segment > here->header.last && (last || segment < next);
        if (shorter || vanished) {
            output->damaged = true;
            found = true;
        }
    }
    if (found) {
        replay_damage(recovery, here->number, end);
    }
}

/* Damage keeps a segment from being compacted: its hole must be found again. */
static enum td_err keep_segment(struct td_recovery *recovery, size_t index, int file, uint32_t end)
{
    struct td_found *found = &recovery->found[index];
    const struct td_log_segment segment = {
        .number = found->number,
        .first = found->header.first,
        .last = found->header.last,
        .previous = found->header.previous,
        .previous_end = found->header.previous_end,
        .bytes = end,
        .file = file,
    };

    found->damaged = found->damaged || recovery->hole;
    return td_log_segment_add(recovery->log, &segment);
}

static enum td_err replay_loaded(struct td_recovery *recovery, size_t index, struct td_loaded *loaded)
{
    uint32_t number = recovery->found[index].number;
    uint32_t reach = end_by_successor(recovery, index);
    uint32_t count = reach != 0 && reach < loaded->count ? reach : loaded->count;
    bool main = !td_found_compacted(&recovery->found[index]);
    bool newest = main && index + 1 == recovery->found_count;
    struct td_scan scan = {0};

    enum td_err err = td_segment_scan(recovery->bytes, count, number, reach,
                                      recovery->log->options.signer, &scan);
    if (err != TD_OK) {
        snprintf(recovery->why, recovery->why_bytes, "out of memory");
    } else {
        if (newest) {
            cut_torn_tail(recovery, &scan);
        }
        replay_scan(recovery, number, &scan, loaded->unreadable);
        if (newest) {
            err = flush_newest(recovery, loaded, scan.end);
        }
    }
    replay_missing_rest(recovery, index, scan.end);
    if (err == TD_OK) {
        err = keep_segment(recovery, index, loaded->file, scan.end);
    }
    if (main) {
        recovery->log->previous = number;
        recovery->log->previous_end = scan.end;
    } else if (recovery->found[index].header.last > recovery->log->previous) {
        recovery->log->previous = recovery->found[index].header.last;
        recovery->log->previous_end = TD_SEGMENT_HEADER_BYTES;
    }
    td_scan_fini(&scan);
    return err;
}

static enum td_err replay_segment(struct td_recovery *recovery, size_t index)
{
    const struct td_found *found = &recovery->found[index];
    struct td_loaded loaded;

    recovery->hole = false;
    if (!found->header_good) {
        replay_damage(recovery, found->number, 0);
    } else if (found->header.previous > recovery->upto) {
        recovery->result.missing_segments += found->header.previous - recovery->upto;
        replay_hole(recovery, found->number, 0);
    }
    if (found->header.last > recovery->upto) {
        recovery->upto = found->header.last;
    }
    enum td_err err = td_recover_load(recovery, found->number, &loaded);
    if (err != TD_OK) {
        return err;
    }
    err = replay_loaded(recovery, index, &loaded);
    if (err != TD_OK) {
        recovery->log->disk.close(recovery->log->disk.self, loaded.file);
    }
    return err;
}

/* The core has to know before the first record: then a hole takes back what was claimed before it. */
static void announce_compacted(struct td_recovery *recovery)
{
    for (size_t i = 0; i < recovery->found_count; i++) {
        recovery->result.compacted += td_found_compacted(&recovery->found[i]);
    }
    if (recovery->result.compacted > 0) {
        const struct td_record record = {.type = TD_RECORD_COMPACTED};
        recovery->replay->record(recovery->replay->self, &record);
    }
}

static enum td_err run(struct td_recovery *recovery)
{
    uint32_t newest = 0;
    enum td_err err = td_recover_find(recovery);

    if (err != TD_OK) {
        return err;
    }
    announce_compacted(recovery);
    for (size_t i = 0; err == TD_OK && i < recovery->found_count; i++) {
        if (recovery->found[i].number > newest) {
            newest = recovery->found[i].number;
        }
        err = replay_segment(recovery, i);
    }
    for (size_t i = 0; err == TD_OK && i < recovery->found_count; i++) {
        size_t row = td_log_segment_find(recovery->log, recovery->found[i].number);
        recovery->log->segments[row].damaged = recovery->found[i].damaged;
    }
    if (err == TD_OK && recovery->removed) {
        err = recovery->log->disk.sync_directory(recovery->log->disk.self);
        if (err != TD_OK) {
            snprintf(recovery->why, recovery->why_bytes, "cannot flush the directory of the log");
        }
    }
    newest = recovery->highest > newest ? recovery->highest : newest;
    recovery->log->next_number = newest + 1;
    recovery->result.segments = recovery->found_count;
    recovery->result.bytes = recovery->log->total_bytes;
    recovery->result.empty = recovery->found_count == 0;
    return err;
}

enum td_err td_log_recover(struct td_log *log, const struct td_log_replay *replay,
                           struct td_log_recovery *ret_recovery, char *ret_why, size_t why_bytes)
{
    struct td_recovery recovery = {
        .log = log,
        .replay = replay,
        .why = ret_why,
        .why_bytes = why_bytes,
        .room = malloc(sizeof *recovery.room),
    };
    enum td_err err = TD_ENOMEM;

    if (recovery.room != NULL) {
        err = run(&recovery);
    } else {
        snprintf(ret_why, why_bytes, "out of memory");
    }
    if (err == TD_OK) {
        *ret_recovery = recovery.result;
    }
    free(recovery.room);
    free(recovery.bytes);
    free(recovery.found);
    return err;
}
