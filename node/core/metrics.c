/* metrics.c -- see metrics.h. Nothing here decides anything: a replica without it would do the
 * same. */
#include <string.h>

#include "node/core/own.h"
#include "node/core/pending.h"

enum { WALK_REGISTERS = 4096, WALK_INTERVAL_MS = 100 };

/* The row of a region; one that takes the place of a region that has left begins at zero. What no
 * roster names shares the last row, which nobody reads. */
struct td_region_metrics *td_metrics_of(struct td_core *core, struct td_region region)
{
    const uint8_t slot = core->slot_of[region.v];
    struct td_region_metrics *row = &core->metrics[slot == 255 ? TD_SLOTS : slot];
    if (row->region.v != region.v) {
        *row = (struct td_region_metrics){.region = region};
    }
    return row;
}

void td_metrics_applied(struct td_core *core, struct td_region origin, struct td_stamp stamp)
{
    struct td_region_metrics *row = td_metrics_of(core, origin);
    row->applied += 1;
    const uint64_t now_ms = core->now.wall_ms;
    td_durations_add(&row->latency, now_ms > stamp.ms ? (now_ms - stamp.ms) * 1000 : 0);
}

/* ---- canaries ---- */

void td_metrics_published(struct td_core *core, struct td_text job, struct td_dot dot)
{
    static const char prefix[] = TD_CANARY_PREFIX;
    if (job.count < sizeof prefix || memcmp(job.bytes, prefix, sizeof prefix - 1) != 0) {
        return;
    }
    for (uint32_t i = 0; i < TD_CANARIES; ++i) {
        struct td_canary *canary = &core->canaries[i];
        if (canary->waiting != 0) {
            continue;
        }
        canary->dot = dot;
        canary->deadline_ms = core->now.boot_ms + TD_CANARY_WAIT_MS;
        for (uint8_t slot = 0; slot < TD_SLOTS; ++slot) {
            const struct td_region_info *region = &core->regions[slot];
            const bool peer = region->number.v != 0 && slot != core->self_slot &&
                              region->roster_state == TD_REGION_ACTIVE;
            canary->waiting |= peer ? UINT64_C(1) << slot : 0;
        }
        return;
    }
}

static void canary_step(struct td_core *core, struct td_canary *canary)
{
    const bool late = core->now.boot_ms >= canary->deadline_ms;
    for (uint64_t left = canary->waiting; left != 0; left &= left - 1) {
        const uint8_t slot = (uint8_t)__builtin_ctzll(left);
        const struct td_vv *has = td_backlog_has(core, slot);
        const bool gone = core->regions[slot].number.v == 0;
        const bool confirmed = has != NULL && td_vv_covers_dot(has, canary->dot);
        if (!gone && !confirmed && !late) {
            continue;
        }
        canary->waiting &= ~(UINT64_C(1) << slot);
        if (!gone) {
            const bool direct = td_link_of(core, slot) != TD_NONE;
            td_metrics_of(core, core->regions[slot].number)
                ->canaries[!confirmed ? TD_CANARY_TIMED_OUT
                           : direct   ? TD_CANARY_DIRECT
                                      : TD_CANARY_RELAYED] += 1;
        }
    }
    if (canary->waiting != 0) {
        td_deadline(core, canary->deadline_ms);
    }
}

/* ---- silent jobs ---- */

/* A slice of the walk that counts silent jobs. Whether a job is silent depends on the clock, so no
 * counter can be kept up to date by changes. */
static void silent_step(struct td_core *core)
{
    if (core->now.boot_ms < core->silent_next_ms) {
        return;
    }
    core->silent_next_ms = core->now.boot_ms + WALK_INTERVAL_MS;
    for (uint32_t i = 0; i < WALK_REGISTERS && core->silent_at < core->register_used_max; ++i) {
        const struct td_register *reg = &core->registers[core->silent_at++];
        core->silent_found += reg->used && reg->highest && td_register_silent(core, reg);
    }
    if (core->silent_at >= core->register_used_max) {
        core->jobs_silent = core->silent_found;
        core->silent_known = true;
        core->silent_at = 0;
        core->silent_found = 0;
    }
}

void td_metrics_step(struct td_core *core)
{
    for (uint32_t i = 0; i < TD_CANARIES; ++i) {
        if (core->canaries[i].waiting != 0) {
            canary_step(core, &core->canaries[i]);
        }
    }
    silent_step(core);
}

void td_core_metrics(const struct td_core *core, struct td_core_metrics *ret_metrics)
{
    struct td_core_metrics metrics = {.silent_known = core->silent_known,
                                      .jobs_silent = core->jobs_silent,
                                      .watchers = core->pending->lists[LIST_WATCH].count};
    memcpy(metrics.jobs_by_state, core->jobs_by_state, sizeof metrics.jobs_by_state);
    for (uint8_t slot = 0; slot < TD_SLOTS; ++slot) {
        const struct td_region region = core->regions[slot].number;
        if (region.v == 0) {
            continue;
        }
        struct td_region_metrics *row = &metrics.regions[metrics.region_count++];
        *row = (struct td_region_metrics){.region = region};
        if (core->metrics[slot].region.v == region.v) {
            *row = core->metrics[slot];
        }
    }
    *ret_metrics = metrics;
}
