/* files.c -- segment files of the log: creating, appending, closing after a failure, and the
 * bounded set of open descriptors that readers share. */
#include "node/log/log_internal.h"

#include <stdlib.h>

#include "proto/assert.h"

size_t td_log_segment_find(const struct td_log *log, uint32_t number)
{
    size_t low = 0, high = log->segment_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (log->segments[middle].number < number) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < log->segment_count && log->segments[low].number == number ? low : SIZE_MAX;
}

/* Closes the file used longest ago when too many are open. The newest, where records are appended
 * without a pin, is never closed. */
static void close_oldest(struct td_log *log)
{
    struct td_log_segment *oldest = NULL;

    if (log->file_count < TD_LOG_FILES_MAX) {
        return;
    }
    for (size_t i = 0; i < log->segment_count; i++) {
        struct td_log_segment *segment = &log->segments[i];
        if (segment->file >= 0 && segment->pins == 0 && !segment->appended &&
            (oldest == NULL || segment->used_at < oldest->used_at)) {
            oldest = segment;
        }
    }
    if (oldest != NULL) {
        log->disk.close(log->disk.self, oldest->file);
        oldest->file = -1;
        log->file_count--;
    }
}

enum td_err td_log_segment_add(struct td_log *log, const struct td_log_segment *segment)
{
    enum td_err err = TD_OK;

    pthread_mutex_lock(&log->lock);
    if (log->segment_count == log->segment_capacity) {
        size_t capacity = log->segment_capacity == 0 ? 64 : log->segment_capacity * 2;
        struct td_log_segment *segments = realloc(log->segments, capacity * sizeof *segments);
        if (segments == NULL) {
            err = TD_ENOMEM;
        } else {
            log->segments = segments;
            log->segment_capacity = capacity;
        }
    }
    if (err == TD_OK) {
        size_t at = log->segment_count;
        close_oldest(log);
        while (at > 0 && log->segments[at - 1].number > segment->number) {
            log->segments[at] = log->segments[at - 1];
            at--;
        }
        TD_ASSERT(at == 0 || log->segments[at - 1].number < segment->number);
        log->segments[at] = *segment;
        log->segments[at].used_at = ++log->use_tick;
        log->segment_count++;
        log->file_count++;
        log->total_bytes += segment->bytes;
    }
    pthread_mutex_unlock(&log->lock);
    return err;
}

enum td_err td_log_segment_pin(struct td_log *log, uint32_t number, int *ret_file,
                               uint32_t *ret_bytes)
{
    enum td_err err = TD_EUNKNOWN;

    pthread_mutex_lock(&log->lock);
    size_t index = td_log_segment_find(log, number);
    if (index != SIZE_MAX) {
        struct td_log_segment *segment = &log->segments[index];
        err = TD_OK;
        if (segment->file < 0) {
            char name[TD_SEGMENT_NAME_BYTES];
            uint64_t size_bytes;
            td_segment_name(number, name);
            close_oldest(log);
            err = log->disk.open(log->disk.self, name, &segment->file, &size_bytes);
            log->file_count += err == TD_OK;
        }
        if (err == TD_OK) {
            segment->pins++;
            segment->used_at = ++log->use_tick;
            *ret_file = segment->file;
            *ret_bytes = segment->bytes;
        } else {
            segment->file = -1;
        }
    }
    pthread_mutex_unlock(&log->lock);
    return err;
}

void td_log_segment_unpin(struct td_log *log, uint32_t number)
{
    pthread_mutex_lock(&log->lock);
    size_t index = td_log_segment_find(log, number);
    if (index != SIZE_MAX) { /* else it was discarded: there was nothing to read in it */
        TD_ASSERT(log->segments[index].pins > 0);
        log->segments[index].pins--;
    }
    pthread_mutex_unlock(&log->lock);
}

/* The lock is held. */
static void drop_row(struct td_log *log, size_t index)
{
    struct td_log_segment *segment = &log->segments[index];

    if (segment->file >= 0) {
        log->disk.close(log->disk.self, segment->file);
        log->file_count--;
    }
    log->total_bytes -= segment->bytes;
    for (size_t i = index + 1; i < log->segment_count; i++) {
        log->segments[i - 1] = log->segments[i];
    }
    log->segment_count--;
}

bool td_log_segment_take_out(struct td_log *log, uint32_t number)
{
    pthread_mutex_lock(&log->lock);
    size_t index = td_log_segment_find(log, number);
    bool free_to_go = index == SIZE_MAX || log->segments[index].pins == 0;
    if (index != SIZE_MAX && free_to_go) {
        drop_row(log, index);
    }
    pthread_mutex_unlock(&log->lock);
    return free_to_go;
}

/* Header and name are durable before the first record: a damaged header with records behind it is
 * then never the trace of a crash, but of a bad disk. */
static enum td_err write_header(struct td_log *log, int file)
{
    uint8_t bytes[TD_SEGMENT_HEADER_BYTES];
    struct td_segment_header header = {
        .number = log->next_number,
        .first = log->next_number,
        .last = log->next_number,
        .previous = log->previous,
        .previous_end = log->previous_end,
        .cluster = log->options.cluster,
        .region = log->options.region,
    };
    td_segment_header_encode(&header, log->options.signer, bytes);
    enum td_err err =
        log->disk.write_at(log->disk.self, file, 0, (struct td_bytes){bytes, sizeof bytes});
    if (err == TD_OK) {
        err = log->disk.sync(log->disk.self, file);
    }
    if (err == TD_OK) {
        err = log->disk.sync_directory(log->disk.self);
    }
    return err;
}

/* A file without anything durable in it goes away, so that retries on a full disk leave nothing
 * behind. If it cannot be removed its number is used up: the next header's `previous` skips it. */
static void discard(struct td_log *log, uint32_t number)
{
    char name[TD_SEGMENT_NAME_BYTES];

    td_segment_name(number, name);
    if (log->disk.remove(log->disk.self, name) != TD_OK && log->next_number == number) {
        log->next_number = number + 1;
    }
}

static enum td_err create_segment(struct td_log *log)
{
    char name[TD_SEGMENT_NAME_BYTES];
    int file;

    if (log->next_number == UINT32_MAX) {
        return TD_EDISKFULL;
    }
    td_segment_name(log->next_number, name);
    enum td_err err = log->disk.create(log->disk.self, name, &file);
    if (err != TD_OK) {
        return err;
    }
    err = write_header(log, file);
    if (err == TD_OK) {
        const struct td_log_segment segment = {
            .number = log->next_number,
            .first = log->next_number,
            .last = log->next_number,
            .previous = log->previous,
            .previous_end = log->previous_end,
            .bytes = TD_SEGMENT_HEADER_BYTES,
            .appended = true,
            .file = file,
        };
        err = td_log_segment_add(log, &segment);
    }
    if (err != TD_OK) {
        log->disk.close(log->disk.self, file);
        discard(log, log->next_number);
        return err;
    }
    log->current = log->next_number++;
    log->current_end = TD_SEGMENT_HEADER_BYTES;
    log->current_reserved = 0;
    log->current_open = true;
    return TD_OK;
}

enum td_err td_log_segment_ready(struct td_log *log)
{
    if (log->current_open && log->current_end >= log->options.segment_bytes) {
        td_log_segment_seal(log);
    }
    if (log->current_open) {
        return TD_OK;
    }
    if (log->total_bytes + TD_SEGMENT_HEADER_BYTES > td_log_room_end(log, true)) {
        return TD_EDISKFULL;
    }
    return create_segment(log);
}

static void appended_no_more(struct td_log *log, struct td_log_segment *segment)
{
    log->current_open = false;
    pthread_mutex_lock(&log->lock);
    segment->appended = false;
    pthread_mutex_unlock(&log->lock);
}

/* The file of the current segment; only the log's thread closes it, so no pin is needed. */
static struct td_log_segment *current_segment(struct td_log *log)
{
    TD_ASSERT(log->current_open);
    size_t index = td_log_segment_find(log, log->current); /* only this thread changes the table */
    TD_ASSERT(index != SIZE_MAX);
    return &log->segments[index];
}

/* Best effort: without it the write extends the file, which is slower but as safe. */
static void reserve(struct td_log *log, int file, uint64_t end)
{
    if (end > log->current_reserved) {
        uint64_t segment_bytes = log->options.segment_bytes;
        uint64_t step = segment_bytes < TD_LOG_RESERVE_BYTES ? segment_bytes : TD_LOG_RESERVE_BYTES;
        uint64_t want = (end + step - 1) / step * step;
        log->current_reserved = want;
        if (log->disk.reserve(log->disk.self, file, want) != TD_OK) {
            log->current_reserved = UINT64_MAX; /* not asked again for this segment */
        }
    }
}

/* After a failed write or flush nobody knows which bytes are on the disk, and a second fdatasync
 * may report success for pages the kernel has dropped. So the segment ends at its last good group:
 * cut here if the disk lets us, and named in the next segment's header in any case. */
static void close_failed(struct td_log *log)
{
    struct td_log_segment *segment = current_segment(log);

    appended_no_more(log, segment);
    if (log->current_end > TD_SEGMENT_HEADER_BYTES) {
        (void)log->disk.truncate(log->disk.self, segment->file, log->current_end);
        return;
    }
    pthread_mutex_lock(&log->lock);
    drop_row(log, (size_t)(segment - log->segments));
    pthread_mutex_unlock(&log->lock);
    if (log->next_number == log->current + 1) { /* else a compaction has taken the next one */
        log->next_number = log->current;
    }
    discard(log, log->current);
}

enum td_err td_log_segment_append(struct td_log *log)
{
    int file = current_segment(log)->file;
    uint64_t end = (uint64_t)log->current_end + log->image_bytes;

    if (log->total_bytes + log->image_bytes > td_log_room_end(log, true)) {
        return TD_EDISKFULL; /* nothing was written: the segment stays good */
    }
    reserve(log, file, end);
    enum td_err err = log->disk.write_at(log->disk.self, file, log->current_end,
                                         (struct td_bytes){log->image, log->image_bytes});
    if (err == TD_OK) {
        err = log->disk.sync(log->disk.self, file);
    }
    if (err != TD_OK) {
        close_failed(log);
        return err;
    }
    log->current_end = (uint32_t)end;
    log->previous = log->current;
    log->previous_end = log->current_end;
    pthread_mutex_lock(&log->lock);
    current_segment(log)->bytes = log->current_end;
    log->total_bytes += log->image_bytes;
    pthread_mutex_unlock(&log->lock);
    return TD_OK;
}

void td_log_segment_seal(struct td_log *log)
{
    if (log->current_open) {
        struct td_log_segment *segment = current_segment(log);
        (void)log->disk.truncate(log->disk.self, segment->file, log->current_end);
        appended_no_more(log, segment);
    }
}

void td_log_segments_close(struct td_log *log)
{
    for (size_t i = 0; i < log->segment_count; i++) {
        if (log->segments[i].file >= 0) {
            log->disk.close(log->disk.self, log->segments[i].file);
        }
    }
    free(log->segments);
    log->segments = NULL;
    log->segment_count = 0;
}
