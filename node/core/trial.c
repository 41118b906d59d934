/* trial.c -- a second source on trial: while it is open whether a region's source is silent or only
 * slow, its deltas are taken from a peer that is ahead as well. Nobody waits for the verdict. */
#include "node/core/peers.h"
#include "node/core/plant.h"

enum {
    TRIAL_AFTER_MS = 25,
    TRIAL_EVERY_MS = 200,
    SPREAD_HALF_MS = 2000,
    VAIN_MS = 1000,
    VAIN_SHARE = 50
};

/* How late the source was of late when a peer was ahead and it brought the delta after all. */
static uint64_t spread_ms(const struct td_core *core, const struct td_region_info *region)
{
    uint64_t halvings = (core->now.boot_ms - region->spread_since_ms) / SPREAD_HALF_MS;
    return halvings < 64 ? region->spread_ms >> halvings : 0;
}

static void spread_note(struct td_core *core, struct td_region_info *region, uint64_t late_ms)
{
    region->spread_ms = td_max_u64(spread_ms(core, region), late_ms);
    region->spread_since_ms = core->now.boot_ms;
}

/* Time lately spent on trials in vain; a 50th of all time is forgiven. */
static uint64_t vain_ms(const struct td_core *core, const struct td_region_info *region)
{
    uint64_t forgiven = (core->now.boot_ms - region->vain_since_ms) / VAIN_SHARE;
    return region->vain_ms > forgiven ? region->vain_ms - forgiven : 0;
}

static void vain_note(struct td_core *core, struct td_region_info *region)
{
    region->vain_ms = vain_ms(core, region) + core->now.boot_ms - region->trial_begun_ms;
    region->vain_since_ms = core->now.boot_ms;
}

/* How late the source was before counts only when too much was spent in vain: else a path that was
 * slow a moment ago would be waited for when it is cut. */
uint64_t td_trial_from_ms(const struct td_core *core, uint8_t slot)
{
    const struct td_region_info *region = &core->regions[slot];
    uint64_t late_ms = vain_ms(core, region) > VAIN_MS ? spread_ms(core, region) : 0;
    return td_max_u64(region->lag_since_ms + TRIAL_AFTER_MS + late_ms, region->trial_next_ms);
}

uint32_t td_trial_link(const struct td_core *core, uint8_t slot)
{
    uint32_t index = td_link_find(core, core->regions[slot].trial);
    return index != TD_NONE && td_link_up(&core->links[index]) ? index : TD_NONE;
}

static void begin(struct td_core *core, uint8_t slot, uint32_t index)
{
    struct td_region_info *region = &core->regions[slot];
    struct td_link *link = &core->links[index];

    TD_ASSERT(region->trial.v == 0 && region->source != index);
    region->trial = link->id;
    region->trial_brought = region->trial_back = false;
    region->trial_begun_ms = core->now.boot_ms;
    link->want_off_due &= ~td_bit(slot);
    link->want_due |= td_bit(slot);
}

void td_trial_begin(struct td_core *core, uint8_t slot, uint32_t index)
{
    struct td_region_info *region = &core->regions[slot];

    begin(core, slot, index);
    region->trial_dot = region->lag_dot;
    region->trial_since_ms = region->lag_since_ms;
    region->trial_next_ms = core->now.boot_ms + TRIAL_EVERY_MS;
    TD_COUNT(core, source_trials, 1);
    td_fx_trace(core, TD_TR_SOURCE_TRIED, region->number,
                td_link_region(core, &core->links[index])->number.v,
                core->now.boot_ms - region->lag_since_ms);
}

void td_trial_back(struct td_core *core, uint8_t slot, uint32_t index)
{
    struct td_region_info *region = &core->regions[slot];

    if (region->trial.v == 0) {
        begin(core, slot, index);
    } else if (td_trial_link(core, slot) != index) {
        return; /* after that trial */
    }
    if (!region->trial_back) {
        region->trial_back = true;
        region->trial_dot = (struct td_dot){0};
        region->trial_since_ms = core->now.boot_ms;
    }
    td_deadline(core, core->now.boot_ms);
}

/* It becomes the source (and goes on as it is), or is told to stop. */
void td_trial_end(struct td_core *core, uint8_t slot, bool taken)
{
    struct td_region_info *region = &core->regions[slot];
    uint32_t index = td_trial_link(core, slot);

    if (region->trial.v == 0 || (!taken && TD_PLANTED(trial_without_end))) {
        return;
    }
    region->trial.v = 0;
    if (index != TD_NONE && !taken) {
        core->links[index].want_due &= ~td_bit(slot);
        core->links[index].want_off_due |= td_bit(slot);
    }
    if (!taken) {
        vain_note(core, region);
        td_fx_trace(core, TD_TR_SOURCE_TRIED, region->number, 0,
                    core->now.boot_ms - region->trial_since_ms);
    }
}

static bool reaches(struct td_dot dot, struct td_dot wanted)
{
    int later = td_origin_compare(dot.origin, wanted.origin);
    return later > 0 || (later == 0 && dot.seq >= wanted.seq);
}

void td_trial_brought(struct td_core *core, uint8_t slot, uint32_t index, struct td_dot last)
{
    struct td_region_info *region = &core->regions[slot];

    if (region->trial.v != 0 && reaches(last, region->trial_dot)) {
        if (core->links[index].id.v == region->trial.v) {
            region->trial_brought = true;
            td_deadline(core, core->now.boot_ms);
        } else if (index == region->source && !region->trial_back) { /* it was slow, not silent */
            spread_note(core, region, core->now.boot_ms - region->trial_since_ms);
            td_trial_end(core, slot, false);
        }
    }
    if (index == region->source && region->lag_dot.seq != 0 && reaches(last, region->lag_dot) &&
        td_dot_received(core, region->lag_dot)) {
        spread_note(core, region, core->now.boot_ms - region->lag_since_ms);
        region->lag_dot.seq = 0;
    }
}
