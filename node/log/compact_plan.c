/* compact_plan.c -- which neighbouring segments to rewrite as one. Rewriting costs what is read and
 * what is written again; it gains what is dead. */
#include "node/log/compact.h"

enum { SMALL_RUN_MIN = 8 };

static uint64_t live_of(const struct td_plan_row *row)
{
    return row->bytes - row->dead;
}

/* Half of a segment dead, or an eighth when room is short. */
static bool worth_it(const struct td_plan_row *row, const struct td_plan_bounds *bounds)
{
    return row->may && row->dead > 0 && live_of(row) <= bounds->room_bytes &&
           (uint64_t)row->dead * (bounds->pressed ? 8 : 2) >= row->bytes;
}

/* Gain per cost, compared without division: a / b of dead / (bytes + live). */
static bool better(const struct td_plan_row *a, const struct td_plan_row *b)
{
    return (uint64_t)a->dead * (b->bytes + live_of(b)) >
           (uint64_t)b->dead * (a->bytes + live_of(a));
}

/* A neighbour comes along when a quarter of it is dead, or when it is small anyway. */
static bool joins(const struct td_plan_row *row, const struct td_plan_bounds *bounds)
{
    return row->may &&
           ((uint64_t)row->dead * 4 >= row->bytes || row->bytes < bounds->output_bytes / 8);
}

static void extend(const struct td_plan_row *rows, size_t count,
                   const struct td_plan_bounds *bounds, size_t best, size_t *ret_from,
                   size_t *ret_count)
{
    size_t from = best, to = best + 1;
    uint64_t live = live_of(&rows[best]);
    uint64_t room =
        bounds->output_bytes < bounds->room_bytes ? bounds->output_bytes : bounds->room_bytes;
    bool moved = true;

    while (moved && to - from < bounds->inputs_max) {
        moved = false;
        if (from > 0 && joins(&rows[from - 1], bounds) && live + live_of(&rows[from - 1]) <= room) {
            live += live_of(&rows[--from]);
            moved = true;
        }
        if (to < count && to - from < bounds->inputs_max && joins(&rows[to], bounds) &&
            live + live_of(&rows[to]) <= room) {
            live += live_of(&rows[to++]);
            moved = true;
        }
    }
    *ret_from = from;
    *ret_count = to - from;
}

/* What was compacted once leaves small files behind: many in a row become one, so that their number
 * stays in proportion to what they hold. */
static bool small_run(const struct td_plan_row *rows, size_t count,
                      const struct td_plan_bounds *bounds, size_t *ret_from, size_t *ret_count)
{
    for (size_t from = 0; from < count; from++) {
        uint64_t bytes = 0;
        size_t to = from;
        while (to < count && to - from < bounds->inputs_max && rows[to].may &&
               rows[to].bytes < bounds->output_bytes / 8 &&
               bytes + rows[to].bytes <= bounds->output_bytes &&
               bytes + rows[to].bytes <= bounds->room_bytes) {
            bytes += rows[to++].bytes;
        }
        if (to - from >= SMALL_RUN_MIN) {
            *ret_from = from;
            *ret_count = to - from;
            return true;
        }
    }
    return false;
}

bool td_plan(const struct td_plan_row *rows, size_t count, const struct td_plan_bounds *bounds,
             size_t *ret_from, size_t *ret_count)
{
    uint64_t bytes = 0, dead = 0;
    size_t best = count;

    for (size_t i = 0; i < count; i++) {
        if (!rows[i].may) {
            continue;
        }
        bytes += rows[i].bytes;
        dead += rows[i].dead;
        if (worth_it(&rows[i], bounds) && (best == count || better(&rows[i], &rows[best]))) {
            best = i;
        }
    }
    /* Most of what lies in a log dies young: below half it is waited for. */
    if (best < count && (bounds->pressed || dead * 2 >= bytes)) {
        extend(rows, count, bounds, best, ret_from, ret_count);
        return true;
    }
    return small_run(rows, count, bounds, ret_from, ret_count);
}
