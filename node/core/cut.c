/* cut.c -- the stable cut: what every member that counts is known to hold, per origin the minimum
 * over the newest heads whose own part we cover ourselves (causal stability; a head that overtook
 * its deltas does not count). Fencing keeps members away for too long from holding it back; closed
 * incarnations below it leave the vectors. */
#include "node/core/peers.h"
#include "node/core/plant.h"

#include <string.h>

/* Joined: some head of it was not recovering, seen by us or counted by somebody we heard. Heads are
 * forgotten in a restart; what it ever signed is not: when all who are up have restarted, a member that
 * is down still counts. */
bool td_cut_counted(const struct td_core *core, uint8_t slot)
{
    const struct td_region_info *region = &core->regions[slot];

    if (region->number.v == 0 || region->roster_state == TD_REGION_CLOSED) {
        return false;
    }
    if (slot == core->self_slot) {
        return region->joined || !core->recovering;
    }
    if (region->joined || (td_vectors_know(core, region->number) && !TD_PLANTED(restart_forgets_members))) {
        return true;
    }
    for (uint8_t other = 0; other < TD_SLOTS; other++) {
        const struct td_region_info *signer = &core->regions[other];
        for (uint32_t i = 0; signer->number.v != 0 && i < signer->counted_count; i++) {
            if (signer->counted[i].v == region->number.v) {
                return true;
            }
        }
    }
    return false;
}

/* A member that lost its disk learns from us who else may hold what it lost, also when we were started
 * anew since and have not heard of that one in this life. */
static void log_joined(struct td_core *core)
{
    for (uint8_t slot = 0; slot < TD_SLOTS; slot++) {
        struct td_region_info *region = &core->regions[slot];
        if (slot == core->self_slot || region->joined_logged || !td_cut_counted(core, slot)) {
            continue;
        }
        struct td_record *record = td_store_record(core, TD_WHAT_OTHER, TD_RECORD_JOINED);
        if (record == NULL) {
            return; /* td_cut_tick comes again */
        }
        record->u.joined = region->number;
        region->joined_logged = true;
    }
}

static bool own_part_covered(const struct td_core *core, const struct td_region_info *region)
{
    for (uint32_t i = 0; i < region->head_has.vv.entry_count; i++) {
        const struct td_vv_entry *entry = &region->head_has.entries[i];
        struct td_dot dot = {entry->origin, entry->seq};
        if (entry->origin.region.v == region->number.v && !td_dot_durable(core, dot)) {
            return false;
        }
    }
    return true;
}

void td_cut_covered(struct td_core *core)
{
    for (uint8_t slot = 0; slot < TD_SLOTS; slot++) {
        struct td_region_info *region = &core->regions[slot];
        if (region->number.v != 0 && slot != core->self_slot && region->heard &&
            region->covered_number != region->head_number &&
            (own_part_covered(core, region) || TD_PLANTED(cut_from_uncovered_heads))) {
            region->covered_number = region->head_number;
            region->covered_known = td_vv_store_set(&region->covered_has, &region->head_has.vv);
        }
    }
}

/* Whom we did not hear since we started may have joined long ago: a restart forgets heads. Only who says
 * itself that it is still recovering, and never was more, is known not to count. */
static bool may_count(const struct td_core *core, uint8_t slot)
{
    const struct td_region_info *region = &core->regions[slot];

    return (!region->heard && !TD_PLANTED(restart_forgets_members)) || td_cut_counted(core, slot);
}

/* False: some member's holdings are not known, so nothing is stable. */
static bool members_known(const struct td_core *core)
{
    uint32_t others = 0, heard = 0;

    for (uint8_t slot = 0; slot < TD_SLOTS; slot++) {
        const struct td_region_info *region = &core->regions[slot];
        if (region->number.v == 0 || slot == core->self_slot) {
            continue;
        }
        others += 1;
        heard += region->covered_known;
        if (may_count(core, slot) && !region->fenced && !region->covered_known) {
            return false;
        }
    }
    return others == 0 || heard > 0;
}

static uint64_t stable_seq(const struct td_core *core, const struct td_vv_entry *own)
{
    uint64_t seq = own->seq;

    for (uint8_t slot = 0; slot < TD_SLOTS; slot++) {
        const struct td_region_info *region = &core->regions[slot];
        if (region->number.v != 0 && slot != core->self_slot && region->covered_known &&
            !region->fenced) {
            seq = td_min_u64(seq, td_vv_seq(&region->covered_has.vv, own->origin));
        }
    }
    return seq;
}

struct td_vv td_fresh_stable_cut(struct td_core *core)
{
    struct td_vv cut = {0};
    struct td_vv has = td_vectors_has(core);
    struct td_vv_entry *entries = td_fx_scratch(core, TD_VV_ENTRIES_MAX, sizeof *entries);
    struct td_vv_fold *folds = td_fx_scratch(core, TD_REGIONS_MAX, sizeof *folds);

    if (entries == NULL || folds == NULL || !members_known(core)) {
        return cut;
    }
    cut.entries = entries;
    cut.folds = folds;
    for (uint32_t i = 0; i < has.entry_count; i++) {
        uint64_t seq = stable_seq(core, &has.entries[i]);
        if (seq > 0) {
            entries[cut.entry_count++] = (struct td_vv_entry){has.entries[i].origin, seq};
        }
    }
    for (uint32_t i = 0; i < has.fold_count; i++) { /* folded here = it was stable here once */
        folds[cut.fold_count++] = has.folds[i];
    }
    return cut;
}

/* ---- folding ---- */
/* First start number of this region that may not be folded yet. */
static uint32_t fold_limit(struct td_core *core, struct td_region number, const struct td_vv *cut)
{
    uint32_t limit = 0; /* stays 0 without a closed one: nothing to fold */

    for (uint32_t at = 0; at < core->inc_order_count; at++) { /* ascending origin */
        const struct td_inc *inc = &core->incs[core->inc_order[at]];
        if (inc->origin.region.v != number.v || inc->folded) {
            continue;
        }
        if (number.v != core->config.self.v && td_inc_given_up(core, inc)) {
            limit = inc->origin.incarnation.start + 1;
            continue;
        }
        bool held = inc->durable >= inc->closed_last &&
                    td_vv_seq(cut, inc->origin) >= inc->closed_last;
        bool holes = inc->hole_count > 0 && inc->received < inc->closed_last;
        if (TD_PLANTED(fold_before_held) && inc->closed) {
            limit = inc->origin.incarnation.start + 1;
            continue;
        }
        if (!inc->closed || holes || !held ||
            td_min_u64(inc->named_max, inc->closed_last) > inc->durable) {
            return limit == 0 ? 0 : inc->origin.incarnation.start;
        }
        limit = inc->origin.incarnation.start + 1;
    }
    return limit;
}

uint32_t td_fold_told(const struct td_region_info *region)
{
    return region->heard ? td_vv_fold_below(&region->head_has.vv, region->number) : 0;
}

/* The origin folds first: others follow what its own heads say (vectors.c checks claims the same
 * way), so one node's gap in knowledge cannot hide deltas of somebody else. */
static void fold_region(struct td_core *core, uint8_t slot, const struct td_vv *cut)
{
    const struct td_region_info *region = &core->regions[slot];
    uint32_t limit = fold_limit(core, region->number, cut);

    /* A log that lost its end may not know of all that was folded meanwhile: a transfer brings that, and
     * the fold with it. */
    if (slot != core->self_slot && !region->folds_known && !TD_PLANTED(folds_unheard_of)) {
        return;
    }

    /* Our own running start number is never folded: after a lost disk an earlier life may have had the
     * same one, and nobody would take our deltas any more. */
    uint32_t told = slot == core->self_slot ? core->process.start : td_fold_told(region);
    limit = limit < told ? limit : told;
    if (limit <= core->fold_below[region->number.v]) {
        return;
    }
    td_vectors_fold(core, region->number, limit);
    struct td_vv has = td_vectors_has(core);
    /* No room: told again by the next fold; a restart then only knows less. */
    (void)td_store_has(core, TD_WHAT_OTHER, &has);
}

/* ---- fencing ---- */
static void fence(struct td_core *core, uint8_t slot)
{
    struct td_region_info *region = &core->regions[slot];
    uint64_t absence_ms = core->policy.max_absence_s * 1000;
    uint64_t seen_ms = td_max_u64(region->head_boot_ms, core->started_boot_ms);
    bool others_moved = false;

    if (absence_ms == 0) {
        return;
    }
    for (uint8_t other = 0; other < TD_SLOTS; other++) {
        const struct td_region_info *peer = &core->regions[other];
        others_moved = others_moved || (peer->number.v != 0 && other != slot && peer->heard &&
                                        peer->progress_boot_ms > region->progress_boot_ms);
    }
    bool away = core->now.boot_ms >= seen_ms + absence_ms;
    bool stands = others_moved && core->now.boot_ms >= region->progress_boot_ms + absence_ms;
    if ((away || stands) && !region->fenced) {
        region->fenced = true;
    } else if (!away && !stands && region->fenced && region->covered_known) {
        struct td_vv has = td_vectors_has(core);
        /* It is let back in once it holds what we hold: nothing was collected that it lacks. */
        region->fenced = !td_vv_covers(&region->covered_has.vv, &has);
    }
}

void td_cut_tick(struct td_core *core)
{
    if (core->now.boot_ms < core->cut_next_ms) {
        td_deadline(core, core->cut_next_ms);
        return;
    }
    core->cut_next_ms = core->now.boot_ms + 1000;
    td_deadline(core, core->cut_next_ms);
    log_joined(core);
    td_recover_log(core);
    for (uint8_t slot = 0; slot < TD_SLOTS; slot++) {
        if (core->regions[slot].number.v != 0 && slot != core->self_slot) {
            fence(core, slot);
        }
    }
    struct td_vv cut = td_fresh_stable_cut(core);
    for (uint8_t slot = 0; slot < TD_SLOTS && cut.entries != NULL; slot++) {
        if (core->regions[slot].number.v != 0 && !core->recovering) {
            fold_region(core, slot, &cut);
        }
    }
}
