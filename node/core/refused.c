/* refused.c -- what was refused of a job, and of whom: for explain. A table of TD_REFUSALS rows,
 * one for each job, reason and sender, in sets of TD_REFUSED_SET by the job's hash; a new kind
 * takes the place of the set's oldest. Of this life of the process only: it decides nothing. */
#include <string.h>

#include "node/core/state.h"

static struct td_refused_row *set_of(const struct td_core *core, uint64_t job_hash)
{
    return &core->refused[job_hash % (TD_REFUSALS / TD_REFUSED_SET) * TD_REFUSED_SET];
}

static bool is_of_job(const struct td_refused_row *row, uint64_t job_hash, struct td_text job)
{
    return row->number != 0 && row->job_hash == job_hash && row->job_bytes == job.count &&
           memcmp(row->job, job.bytes, job.count) == 0;
}

/* Busy, full and over the rate say nothing of the job: the same report is taken a moment later. */
static bool says_something(enum td_err err)
{
    return err != TD_EBUSY && err != TD_EDISKFULL && err != TD_ERATE && err != TD_ETIMEOUT &&
           err != TD_EDRAINING && err != TD_ESTARTING;
}

/* The row of this kind, or else the one that gives way to it. */
static struct td_refused_row *row_of(struct td_core *core, uint64_t job_hash, struct td_text job,
                                     enum td_err err, struct td_text from)
{
    struct td_refused_row *rows = set_of(core, job_hash);
    struct td_refused_row *oldest = &rows[0];
    for (uint32_t i = 0; i < TD_REFUSED_SET; ++i) {
        struct td_refused_row *row = &rows[i];
        if (is_of_job(row, job_hash, job) && row->err == err && row->from_bytes == from.count &&
            (from.count == 0 || memcmp(row->from, from.bytes, from.count) == 0)) {
            return row;
        }
        oldest = row->number < oldest->number ? row : oldest;
    }
    *oldest = (struct td_refused_row){.job_hash = job_hash,
                                      .err = err,
                                      .first_ms = core->now.wall_ms,
                                      .job_bytes = (uint8_t)job.count,
                                      .from_bytes = (uint8_t)from.count};
    memcpy(oldest->job, job.bytes, job.count);
    if (from.count > 0) {
        memcpy(oldest->from, from.bytes, from.count);
    }
    return oldest;
}

void td_refused_add(struct td_core *core, const struct td_refused *refused)
{
    struct td_text from = refused->from;
    if (core->replaying || refused->job.count == 0 || refused->job.count > TD_JOB_BYTES_MAX ||
        !says_something(refused->err)) {
        return;
    }
    from.count = from.count < TD_FROM_BYTES_MAX ? from.count : TD_FROM_BYTES_MAX;
    struct td_refused_row *row = row_of(core, refused->job_hash, refused->job, refused->err, from);
    row->count += 1;
    row->last_ms = core->now.wall_ms;
    row->number = ++core->refused_number;
}

void td_refused_batch(struct td_core *core, const struct td_batch *batch, struct td_region via)
{
    const uint8_t slot = core->slot_of[via.v];
    struct td_refused refused = {.err = TD_ECLOSED};
    if (slot != 255) {
        refused.from = (struct td_text){core->regions[slot].name, core->regions[slot].name_bytes};
    }
    for (uint32_t i = 0; i < batch->present_count && i < TD_REFUSED_BATCH_MAX; ++i) {
        refused.job = batch->deltas[i].job;
        refused.job_hash = batch->deltas[i].job_hash;
        td_refused_add(core, &refused);
    }
}

uint32_t td_refused_of(struct td_core *core, uint64_t job_hash, struct td_text job,
                       const struct td_refused_view **ret_views)
{
    const struct td_refused_row *rows = set_of(core, job_hash);
    struct td_refused_view *views = td_fx_scratch(core, TD_REFUSED_SET, sizeof *views);
    uint64_t below = UINT64_MAX;
    uint32_t count = 0;
    while (views != NULL && count < TD_REFUSED_SET) {
        const struct td_refused_row *newest = NULL;
        for (uint32_t i = 0; i < TD_REFUSED_SET; ++i) {
            if (is_of_job(&rows[i], job_hash, job) && rows[i].number < below &&
                (newest == NULL || rows[i].number > newest->number)) {
                newest = &rows[i];
            }
        }
        if (newest == NULL) {
            break;
        }
        below = newest->number;
        views[count++] = (struct td_refused_view){.err = newest->err,
                                                  .count = newest->count,
                                                  .first_ms = newest->first_ms,
                                                  .last_ms = newest->last_ms,
                                                  .from = {newest->from, newest->from_bytes}};
    }
    *ret_views = views;
    return count;
}
