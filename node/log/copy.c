/* copy.c -- a consistent copy of a log in use: of each segment what was durable when the copy
 * began. Segments only grow at their end, so that is a prefix of the log, and a node started from
 * it finds an older state of itself. Any thread. */
#include "node/log/log_internal.h"

#include <stdlib.h>

enum { CHUNK_BYTES = 1024 * 1024 };

struct extent {
    uint32_t number, bytes;
};

static enum td_err snapshot(struct td_log *log, struct extent **ret_extents, size_t *ret_count)
{
    enum td_err err = TD_OK;

    pthread_mutex_lock(&log->lock);
    log->copies++; /* what is compacted meanwhile stays until the copy is done */
    struct extent *extents = calloc(log->segment_count + 1, sizeof *extents);
    if (extents == NULL) {
        err = TD_ENOMEM;
    }
    for (size_t i = 0; err == TD_OK && i < log->segment_count; i++) {
        extents[i] = (struct extent){log->segments[i].number, log->segments[i].bytes};
    }
    *ret_count = log->segment_count;
    pthread_mutex_unlock(&log->lock);
    *ret_extents = extents;
    return err;
}

static enum td_err copy_bytes(struct td_log *log, const struct extent *extent, uint8_t *chunk,
                              const struct td_log_copy *copy)
{
    int file = -1;
    uint32_t there = 0;
    enum td_err err = td_log_segment_pin(log, extent->number, &file, &there);

    if (err != TD_OK) {
        return err;
    }
    for (uint32_t at = 0; err == TD_OK && at < extent->bytes;) {
        uint32_t count = extent->bytes - at < CHUNK_BYTES ? extent->bytes - at : CHUNK_BYTES;
        err = log->disk.read_at(log->disk.self, file, at, chunk, count);
        if (err == TD_OK) {
            err = copy->bytes(copy->self, (struct td_bytes){chunk, count});
        }
        at += count;
    }
    td_log_segment_unpin(log, extent->number);
    return err;
}

enum td_err td_log_copy(struct td_log *log, const struct td_log_copy *copy)
{
    struct extent *extents = NULL;
    size_t count = 0;
    uint8_t *chunk = malloc(CHUNK_BYTES);
    enum td_err err = chunk == NULL ? TD_ENOMEM : snapshot(log, &extents, &count);

    for (size_t i = 0; err == TD_OK && i < count; i++) {
        char name[TD_SEGMENT_NAME_BYTES];
        td_segment_name(extents[i].number, name);
        err = copy->begin(copy->self, name);
        if (err == TD_OK) {
            err = copy_bytes(log, &extents[i], chunk, copy);
        }
    }
    if (chunk != NULL) {
        pthread_mutex_lock(&log->lock);
        log->copies--;
        pthread_mutex_unlock(&log->lock);
    }
    free(extents);
    free(chunk);
    return err;
}
