/* recover_find.c -- which segments there are and how they follow on each other. The place of a
 * compacted one is that of the numbers it stands for. */
#include "node/log/recover.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { READ_PIECE_BYTES = 64 * 1024 };

static bool collect(void *context, const char *name)
{
    struct td_recovery *recovery = context;
    uint32_t number;

    bool unfinished = td_segment_name_is_unfinished(name);
    if (unfinished) {
        number = (uint32_t)strtoul(name, NULL, 10);
    } else if (!td_segment_name_parse(name, &number)) {
        return true;
    }
    if (recovery->found_count == recovery->found_capacity) {
        size_t capacity = recovery->found_capacity == 0 ? 64 : recovery->found_capacity * 2;
        struct td_found *found = realloc(recovery->found, capacity * sizeof *found);
        if (found == NULL) {
            recovery->out_of_memory = true;
            return false;
        }
        recovery->found = found;
        recovery->found_capacity = capacity;
    }
    recovery->found[recovery->found_count++] = (struct td_found){
        .number = number,
        .unfinished = unfinished,
        .header = {.number = number, .first = number, .last = number},
    };
    return true;
}

static int by_place(const void *a, const void *b)
{
    const struct td_found *x = a, *y = b;

    if (x->header.first != y->header.first) {
        return x->header.first < y->header.first ? -1 : 1;
    }
    return x->number < y->number ? -1 : x->number > y->number;
}

static enum td_err open_segment(struct td_recovery *recovery, uint32_t number, int *ret_file,
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
static enum td_err check_owner(struct td_recovery *recovery, const struct td_segment_header *header)
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

/* Where a compacted segment belongs only its header says, so it has a copy of it at its end. */
static bool read_trailer(struct td_recovery *recovery, int file, uint64_t size, uint32_t number,
                         struct td_segment_header *ret_header)
{
    const struct td_disk *disk = &recovery->log->disk;
    uint8_t bytes[TD_SEGMENT_HEADER_BYTES];

    return size >= 2 * sizeof bytes &&
           disk->read_at(disk->self, file, size - sizeof bytes, bytes, sizeof bytes) == TD_OK &&
           td_segment_header_decode(bytes, recovery->log->options.signer, ret_header) == TD_OK &&
           ret_header->number == number && ret_header->compacted;
}

static enum td_err read_header(struct td_recovery *recovery, struct td_found *found)
{
    const struct td_disk *disk = &recovery->log->disk;
    uint8_t bytes[TD_SEGMENT_HEADER_BYTES];
    int file;
    uint64_t size;

    enum td_err err = open_segment(recovery, found->number, &file, &size);
    if (err != TD_OK) {
        return err;
    }
    struct td_segment_header header;
    err = disk->read_at(disk->self, file, 0, bytes, sizeof bytes);
    if (err == TD_OK) {
        err = td_segment_header_decode(bytes, recovery->log->options.signer, &header);
    }
    if (err == TD_ECORRUPT && read_trailer(recovery, file, size, found->number, &header)) {
        err = TD_OK;
    }
    disk->close(disk->self, file);
    if (err == TD_EVERSION) {
        snprintf(recovery->why, recovery->why_bytes,
                 "segment %u of the log has format number %u, this version reads 1 to %d: "
                 "it was written by another version of tidings",
                 (unsigned)found->number, (unsigned)td_get_u32(bytes + 8),
                 TD_SEGMENT_FORMAT_COMPACTED);
        return TD_ECORRUPT;
    }
    found->header_good = err == TD_OK && header.number == found->number;
    if (found->header_good) {
        found->header = header;
    }
    return found->header_good ? check_owner(recovery, &found->header) : TD_OK;
}

static void forget(struct td_recovery *recovery, size_t index)
{
    const struct td_found *found = &recovery->found[index];
    char name[TD_SEGMENT_NAME_BYTES];

    if (found->unfinished) {
        td_segment_name_unfinished(found->number, name);
    } else {
        td_segment_name(found->number, name);
    }
    if ((found->unfinished || td_found_compacted(found)) && found->number > recovery->highest) {
        recovery->highest = found->number; /* not used again: perhaps it could not be removed */
    }
    (void)recovery->log->disk.remove(recovery->log->disk.self, name);
    memmove(&recovery->found[index], &recovery->found[index + 1],
            (recovery->found_count - index - 1) * sizeof *recovery->found);
    recovery->found_count--;
}

static enum td_err find_segments(struct td_recovery *recovery)
{
    const struct td_disk *disk = &recovery->log->disk;
    enum td_err err = disk->list(disk->self, collect, recovery);

    if (err != TD_OK || recovery->out_of_memory) {
        snprintf(recovery->why, recovery->why_bytes, "cannot list the data directory");
        return err != TD_OK ? err : TD_ENOMEM;
    }
    for (size_t i = recovery->found_count; i-- > 0;) {
        if (recovery->found[i].unfinished) {
            recovery->removed = true;
            forget(recovery, i);
        }
    }
    for (size_t i = 0; i < recovery->found_count; i++) {
        err = read_header(recovery, &recovery->found[i]);
        if (err != TD_OK) {
            return err;
        }
    }
    if (recovery->found_count > 0) {
        qsort(recovery->found, recovery->found_count, sizeof *recovery->found, by_place);
    }
    return TD_OK;
}

/* A segment whose number its successor's header passes over holds nothing that was ever completed
 * as durable: a failed write left it behind. */
static void drop_passed_over(struct td_recovery *recovery)
{
    for (size_t i = recovery->found_count; i-- > 1;) {
        const struct td_found *later = &recovery->found[i];
        while (later->header_good && i > 0 && !td_found_compacted(&recovery->found[i - 1]) &&
               recovery->found[i - 1].number > later->header.previous &&
               recovery->found[i - 1].number < later->header.first) {
            forget(recovery, --i);
            later = &recovery->found[i];
        }
        if (i == 0) {
            break;
        }
    }
}

enum td_err td_recover_load(struct td_recovery *recovery, uint32_t number,
                            struct td_loaded *ret_loaded)
{
    const struct td_disk *disk = &recovery->log->disk;
    struct td_loaded loaded = {0};
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
static enum td_err drop_half_created(struct td_recovery *recovery)
{
    while (recovery->found_count > 0 && !recovery->found[recovery->found_count - 1].header_good) {
        struct td_loaded loaded;
        enum td_err err =
            td_recover_load(recovery, recovery->found[recovery->found_count - 1].number, &loaded);
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

/* ---- compacted segments beside what they stand for ---- */

static bool inside(const struct td_found *inner, const struct td_found *outer)
{
    return inner->number < outer->number && inner->header.first >= outer->header.first &&
           inner->header.last <= outer->header.last;
}

static size_t count_inside(const struct td_recovery *recovery, size_t index)
{
    size_t count = 0;

    for (size_t i = 0; i < recovery->found_count; i++) {
        count += inside(&recovery->found[i], &recovery->found[index]);
    }
    return count;
}

static enum td_err check_intact(struct td_recovery *recovery, const struct td_found *found,
                                bool *ret_intact)
{
    struct td_loaded loaded;
    struct td_scan scan = {0};
    enum td_err err = td_recover_load(recovery, found->number, &loaded);

    if (err != TD_OK) {
        return err;
    }
    recovery->log->disk.close(recovery->log->disk.self, loaded.file);
    uint32_t count = loaded.count < found->header.end ? loaded.count : found->header.end;
    err = td_segment_scan(recovery->bytes, count, found->number, found->header.end,
                          recovery->log->options.signer, &scan);
    *ret_intact = !loaded.unreadable;
    for (size_t i = 0; i < scan.count; i++) {
        *ret_intact = *ret_intact && !scan.items[i].damaged;
    }
    td_scan_fini(&scan);
    return err;
}

/* A crash between the name of the output and the end of its inputs leaves both. The output stands
 * for them as long as it is good; when it has rotted since and all of them are there, they are what
 * counts. When only some are, everything is replayed: merging is idempotent. */
static enum td_err settle_output(struct td_recovery *recovery, size_t index)
{
    struct td_found *output = &recovery->found[index];
    const uint32_t number = output->number;
    size_t count = count_inside(recovery, index);
    bool intact = false;

    enum td_err err = check_intact(recovery, output, &intact);
    if (err != TD_OK || (!intact && count != output->header.inputs)) {
        return err;
    }
    recovery->removed = true;
    if (!intact) {
        forget(recovery, index);
        return TD_OK;
    }
    const struct td_found outer = *output;
    for (size_t i = recovery->found_count; i-- > 0;) {
        if (recovery->found[i].number != number && inside(&recovery->found[i], &outer)) {
            forget(recovery, i);
        }
    }
    return TD_OK;
}

/* The newest first: it may stand for older ones that stand for others. */
static enum td_err settle_outputs(struct td_recovery *recovery)
{
    uint32_t below = UINT32_MAX;
    enum td_err err = TD_OK;

    while (err == TD_OK) {
        size_t newest = SIZE_MAX;
        for (size_t i = 0; i < recovery->found_count; i++) {
            const struct td_found *found = &recovery->found[i];
            if (td_found_compacted(found) && found->number < below &&
                count_inside(recovery, i) > 0 &&
                (newest == SIZE_MAX || found->number > recovery->found[newest].number)) {
                newest = i;
            }
        }
        if (newest == SIZE_MAX) {
            break;
        }
        below = recovery->found[newest].number;
        err = settle_output(recovery, newest);
    }
    return err;
}

enum td_err td_recover_find(struct td_recovery *recovery)
{
    enum td_err err = find_segments(recovery);

    if (err == TD_OK) {
        err = settle_outputs(recovery);
    }
    if (err == TD_OK) {
        drop_passed_over(recovery);
        err = drop_half_created(recovery);
    }
    return err;
}
