/* recover.c -- what the log does at start (LOG, "Recovery"): finds the segments and how they follow
 * on each other, replays every good record in order, names every hole, cuts a torn tail. */
#include "node/log/log_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/log/record.h"

enum { READ_PIECE_BYTES = 64 * 1024, SIGNATURE_BYTES = 64 };

struct found {
    uint32_t number;
    bool header_good;
    struct td_segment_header header;
};

struct recovery {
    struct td_log *log;
    const struct td_log_replay *replay;
    struct td_log_recovery result;
    struct found *found; /* ascending by number */
    size_t found_count, found_capacity;
    bool out_of_memory;
    uint8_t *bytes; /* the segment being looked at */
    size_t capacity;
    struct td_record_room *room;
    char *why;
    size_t why_bytes;
};

/* One segment in memory. */
struct loaded {
    int file;
    uint32_t count;
    bool unreadable; /* somewhere the disk gave an error; zeros stand there */
};

static bool collect(void *context, const char *name)
{
    struct recovery *recovery = context;
    uint32_t number;

    if (!td_segment_name_parse(name, &number)) {
        return true;
    }
    if (recovery->found_count == recovery->found_capacity) {
        size_t capacity = recovery->found_capacity == 0 ? 64 : recovery->found_capacity * 2;
        struct found *found = realloc(recovery->found, capacity * sizeof *found);
        if (found == NULL) {
            recovery->out_of_memory = true;
            return false;
        }
        recovery->found = found;
        recovery->found_capacity = capacity;
    }
    recovery->found[recovery->found_count++] = (struct found){.number = number};
    return true;
}

static int by_number(const void *a, const void *b)
{
    uint32_t x = ((const struct found *)a)->number;
    uint32_t y = ((const struct found *)b)->number;
    return x < y ? -1 : x > y;
}

static enum td_err open_segment(struct recovery *recovery, uint32_t number, int *ret_file,
                                uint64_t *ret_size)
{
    char name[TD_SEGMENT_NAME_BYTES];

    td_segment_name(number, name);
    enum td_err err = recovery->log->disk.open(recovery->log->disk.self, name, ret_file, ret_size);
    if (err != TD_OK) {
        snprintf(recovery->why, recovery->why_bytes, "cannot open the log's segment %s", name);
    }
    return err;
}

/* A segment of another cluster or region in the directory is a mistake of people, best told at
 * once. */
static enum td_err check_owner(struct recovery *recovery, const struct td_segment_header *header)
{
    const struct td_log_options *options = &recovery->log->options;
    bool cluster_same = memcmp(&header->cluster, &options->cluster, sizeof header->cluster) == 0;
    bool region_same =
        header->region.v == options->region.v || header->region.v == 0 || options->region.v == 0;

    if (cluster_same && region_same) {
        return TD_OK;
    }
    snprintf(recovery->why, recovery->why_bytes, "segment %u of the log belongs to another %s",
             (unsigned)header->number, cluster_same ? "region" : "cluster");
    return TD_EFOREIGN;
}

static enum td_err read_header(struct recovery *recovery, struct found *found)
{
    const struct td_disk *disk = &recovery->log->disk;
    uint8_t bytes[TD_SEGMENT_HEADER_BYTES];
    int file;
    uint64_t size;

    enum td_err err = open_segment(recovery, found->number, &file, &size);
    if (err != TD_OK) {
        return err;
    }
    err = disk->read_at(disk->self, file, 0, bytes, sizeof bytes);
    disk->close(disk->self, file);
    if (err == TD_OK) {
        err = td_segment_header_decode(bytes, recovery->log->options.signer, &found->header);
    }
    if (err == TD_EVERSION) {
        snprintf(recovery->why, recovery->why_bytes,
                 "segment %u of the log has format number %u, this version reads only %d: "
                 "it was written by another version of tidings",
                 (unsigned)found->number, (unsigned)td_get_u32(bytes + 8), TD_SEGMENT_FORMAT);
        return TD_ECORRUPT;
    }
    found->header_good = err == TD_OK && found->header.number == found->number;
    return found->header_good ? check_owner(recovery, &found->header) : TD_OK;
}

static enum td_err find_segments(struct recovery *recovery)
{
    const struct td_disk *disk = &recovery->log->disk;
    enum td_err err = disk->list(disk->self, collect, recovery);

    if (err != TD_OK || recovery->out_of_memory) {
        snprintf(recovery->why, recovery->why_bytes, "cannot list the data directory");
        return err != TD_OK ? err : TD_ENOMEM;
    }
    if (recovery->found_count > 0) {
        qsort(recovery->found, recovery->found_count, sizeof *recovery->found, by_number);
    }
    for (size_t i = 0; i < recovery->found_count; i++) {
        err = read_header(recovery, &recovery->found[i]);
        if (err != TD_OK) {
            return err;
        }
    }
    return TD_OK;
}

static void forget(struct recovery *recovery, size_t index)
{
    char name[TD_SEGMENT_NAME_BYTES];

    td_segment_name(recovery->found[index].number, name);
    (void)recovery->log->disk.remove(recovery->log->disk.self, name);
    memmove(&recovery->found[index], &recovery->found[index + 1],
            (recovery->found_count - index - 1) * sizeof *recovery->found);
    recovery->found_count--;
}

/* A segment whose number its successor's header passes over holds nothing that was ever completed
 * as durable: a failed write left it behind. */
static void drop_passed_over(struct recovery *recovery)
{
    for (size_t i = recovery->found_count; i-- > 1;) {
        const struct found *later = &recovery->found[i];
        while (later->header_good && i > 0 &&
               recovery->found[i - 1].number > later->header.previous) {
            forget(recovery, --i);
            later = &recovery->found[i];
        }
        if (i == 0) {
            break;
        }
    }
}

/* Reads a whole segment; pieces the disk cannot read become zeros. */
static enum td_err load(struct recovery *recovery, uint32_t number, struct loaded *ret_loaded)
{
    const struct td_disk *disk = &recovery->log->disk;
    struct loaded loaded = {0};
    uint64_t size;

    enum td_err err = open_segment(recovery, number, &loaded.file, &size);
    if (err != TD_OK) {
        return err;
    }
    loaded.count =
        size > UINT32_MAX - READ_PIECE_BYTES ? UINT32_MAX - READ_PIECE_BYTES : (uint32_t)size;
    if (loaded.count > recovery->capacity) {
        uint8_t *bytes = realloc(recovery->bytes, loaded.count);
        if (bytes == NULL) {
            disk->close(disk->self, loaded.file);
            snprintf(recovery->why, recovery->why_bytes, "out of memory");
            return TD_ENOMEM;
        }
        recovery->bytes = bytes;
        recovery->capacity = loaded.count;
    }
    for (uint32_t at = 0; at < loaded.count; at += READ_PIECE_BYTES) {
        uint32_t left = loaded.count - at;
        uint32_t piece = left < READ_PIECE_BYTES ? left : READ_PIECE_BYTES;
        if (disk->read_at(disk->self, loaded.file, at, recovery->bytes + at, piece) != TD_OK) {
            memset(recovery->bytes + at, 0, piece);
            loaded.unreadable = true;
        }
    }
    *ret_loaded = loaded;
    return TD_OK;
}

/* A crash while a segment was created leaves a file without a whole header and with nothing behind
 * it, because header and name are flushed before the first record is written. */
static enum td_err drop_half_created(struct recovery *recovery)
{
    while (recovery->found_count > 0 && !recovery->found[recovery->found_count - 1].header_good) {
        struct loaded loaded;
        enum td_err err =
            load(recovery, recovery->found[recovery->found_count - 1].number, &loaded);
        if (err != TD_OK) {
            return err;
        }
        recovery->log->disk.close(recovery->log->disk.self, loaded.file);
        uint32_t data = loaded.count;
        while (data > 0 && recovery->bytes[data - 1] == 0) {
            data--;
        }
        if (data > TD_SEGMENT_HEADER_BYTES || loaded.unreadable) {
            return TD_OK;
        }
        recovery->result.torn_bytes += data;
        forget(recovery, recovery->found_count - 1);
    }
    return TD_OK;
}

static void replay_hole(struct recovery *recovery, uint32_t segment, uint32_t offset)
{
    struct td_record hole = {
        .type = TD_RECORD_HOLE,
        .ref = {.position = td_log_position(segment, offset)},
    };
    recovery->replay->record(recovery->replay->self, &hole);
}

static void replay_damage(struct recovery *recovery, uint32_t segment, uint32_t offset)
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

static void replay_record(struct recovery *recovery, uint32_t segment,
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
static void cut_torn_tail(struct recovery *recovery, struct td_scan *scan)
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

static void replay_scan(struct recovery *recovery, uint32_t segment, const struct td_scan *scan,
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

static enum td_err flush_newest(struct recovery *recovery, const struct loaded *loaded,
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
static uint32_t end_by_successor(const struct recovery *recovery, size_t index)
{
    if (index + 1 >= recovery->found_count) {
        return 0;
    }
    const struct found *next = &recovery->found[index + 1];
    bool follows = next->header_good && next->header.previous == recovery->found[index].number;
    return follows ? next->header.previous_end : 0;
}

static enum td_err replay_loaded(struct recovery *recovery, size_t index, struct loaded *loaded)
{
    uint32_t number = recovery->found[index].number;
    uint32_t reach = end_by_successor(recovery, index);
    uint32_t count = reach != 0 && reach < loaded->count ? reach : loaded->count;
    bool newest = index + 1 == recovery->found_count;
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
    if (err == TD_OK) {
        err = td_log_segment_add(recovery->log, number, loaded->file, scan.end);
    }
    recovery->log->previous = number;
    recovery->log->previous_end = scan.end;
    td_scan_fini(&scan);
    return err;
}

static enum td_err replay_segment(struct recovery *recovery, size_t index)
{
    const struct found *found = &recovery->found[index];
    uint32_t before = index == 0 ? 0 : recovery->found[index - 1].number;
    struct loaded loaded;

    if (!found->header_good) {
        replay_damage(recovery, found->number, 0);
    } else if (found->header.previous > before) {
        recovery->result.missing_segments += found->header.previous - before;
        replay_hole(recovery, found->number, 0);
    }
    enum td_err err = load(recovery, found->number, &loaded);
    if (err != TD_OK) {
        return err;
    }
    err = replay_loaded(recovery, index, &loaded);
    if (err != TD_OK) {
        recovery->log->disk.close(recovery->log->disk.self, loaded.file);
    }
    return err;
}

static enum td_err run(struct recovery *recovery)
{
    uint32_t newest = 0;
    enum td_err err = find_segments(recovery);

    if (err != TD_OK) {
        return err;
    }
    drop_passed_over(recovery);
    err = drop_half_created(recovery);
    for (size_t i = 0; err == TD_OK && i < recovery->found_count; i++) {
        newest = recovery->found[i].number;
        err = replay_segment(recovery, i);
    }
    recovery->log->next_number = newest + 1;
    recovery->result.segments = recovery->found_count;
    recovery->result.bytes = recovery->log->total_bytes;
    recovery->result.empty = recovery->found_count == 0;
    return err;
}

enum td_err td_log_recover(struct td_log *log, const struct td_log_replay *replay,
                           struct td_log_recovery *ret_recovery, char *ret_why, size_t why_bytes)
{
    struct recovery recovery = {
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
