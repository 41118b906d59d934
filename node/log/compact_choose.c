/* compact_choose.c -- which segments a compaction takes, by the newest survey of the core: what of
 * each is dead, and td_plan over that. */
#include "node/log/compact.h"

#include <stdlib.h>

enum {
    FRESH_SURVEYS = 16384
}; /* an hour at least: what is needed all the same is rewritten no more often */

int td_compact_by_segment(const void *a, const void *b)
{
    uint32_t x = ((const struct td_compact_share *)a)->segment;
    uint32_t y = ((const struct td_compact_share *)b)->segment;
    return x < y ? -1 : x > y;
}

/* What is dead in a segment by the newest survey. */
static uint32_t dead_of(struct td_log_segment *segment, uint64_t live)
{
    if (segment->fresh && ++segment->surveys >= FRESH_SURVEYS) {
        segment->fresh = false; /* losers have been displaced since, holes have closed */
    }
    if (!segment->fresh) {
        return live >= segment->bytes ? 0 : segment->bytes - (uint32_t)live;
    }
    if (!segment->based) {
        segment->based = true;
        segment->live_first = live;
    }
    const uint64_t base = segment->live_first;
    return live >= base ? 0 : (uint32_t)(segment->bytes * (base - live) / base);
}

static int by_place(const void *a, const void *b)
{
    const struct td_log_segment *x = *(struct td_log_segment *const *)a;
    const struct td_log_segment *y = *(struct td_log_segment *const *)b;
    return x->first != y->first ? (x->first < y->first ? -1 : 1) : x->number < y->number ? -1 : 1;
}

/* The lock is held. */
static bool choose(struct td_log *log, struct td_log_segment **order, struct td_plan_row *rows)
{
    struct td_compaction *work = log->compaction;
    struct td_plan_bounds bounds = {
        .output_bytes = log->options.segment_bytes,
        .room_bytes = log->options.limit_bytes > log->total_bytes
                          ? log->options.limit_bytes - log->total_bytes
                          : 0,
        .inputs_max = TD_COMPACT_INPUTS_MAX,
        .pressed = log->total_bytes >= log->options.limit_bytes / 4 * 3,
    };
    size_t from = 0, count = 0;

    for (size_t i = 0; i < log->segment_count; i++) {
        order[i] = &log->segments[i];
    }
    qsort(order, log->segment_count, sizeof *order, by_place);
    for (size_t i = 0; i < log->segment_count; i++) {
        struct td_compact_share key = {order[i]->number, 0};
        const struct td_compact_share *share =
            work->share_count == 0
                ? NULL
                : bsearch(&key, work->shares, work->share_count, sizeof key, td_compact_by_segment);
        rows[i].bytes = order[i]->bytes;
        rows[i].dead = dead_of(order[i], share != NULL ? share->live_bytes : 0);
        rows[i].may = !order[i]->appended && !order[i]->damaged &&
                      (order[i]->room_lacked == 0 || bounds.room_bytes > order[i]->room_lacked);
    }
    if (!td_plan(rows, log->segment_count, &bounds, &from, &count)) {
        return false;
    }
    work->first = order[from]->first;
    work->last = order[from + count - 1]->last;
    work->previous = order[from]->previous;
    work->previous_end = order[from]->previous_end;
    work->input_count = (uint32_t)count;
    for (size_t i = 0; i < count; i++) {
        work->inputs[i] = order[from + i]->number;
    }
    return true;
}

bool td_compact_choose(struct td_log *log)
{
    struct td_compaction *work = log->compaction;

    pthread_mutex_lock(&log->lock);
    struct td_log_segment **order = calloc(log->segment_count + 1, sizeof *order);
    struct td_plan_row *rows = calloc(log->segment_count + 1, sizeof *rows);
    bool found = order != NULL && rows != NULL && choose(log, order, rows);
    work->surveyed = false;
    pthread_mutex_unlock(&log->lock);
    free(order);
    free(rows);
    return found;
}
