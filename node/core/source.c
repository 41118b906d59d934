/* source.c -- from whom each region's deltas come. Exactly one source per region, by default the
 * region itself; another one as soon as it is proven to be ahead (after Plumtree, Leitao 2007). */
#include "node/core/peers.h"
#include "node/core/plant.h"

#include <string.h>

enum { CHECK_MS = 500, DIRECT_CHECK_MS = 1000 };

/* ---- who is ahead ---- */
static bool lacks_entry(const struct td_core *core, const struct td_vv_entry *entry,
                        struct td_dot *ret_dot)
{
    uint16_t index = td_inc_find(core, entry->origin);

    if (index == TD_INC_NONE) {
        return false;
    }
    const struct td_inc *inc = &core->incs[index];
    uint64_t seq = td_inc_limit(inc, entry->seq);
    if (inc->folded || seq <= inc->received) {
        return false;
    }
    *ret_dot = (struct td_dot){entry->origin, seq};
    return true;
}

struct td_dot td_lacking(const struct td_core *core, const struct td_vv *vv,
                         struct td_region region)
{
    struct td_dot dot = {0};

    for (uint32_t i = 0; i < vv->entry_count; i++) {
        if ((region.v == 0 || vv->entries[i].origin.region.v == region.v) &&
            lacks_entry(core, &vv->entries[i], &dot)) {
            return dot;
        }
    }
    return dot;
}

/* The same for live lanes: a name counts before its origin's head with it has arrived, because the
 * price of a lie is one change of source, and waiting for heads would cost seconds. */
static bool entry_ahead(const struct td_core *core, const struct td_vv_entry *entry)
{
    uint16_t index = td_inc_find(core, entry->origin);

    if (index == TD_INC_NONE) {
        return entry->seq > 0 &&
               entry->origin.incarnation.start >= core->fold_below[entry->origin.region.v];
    }
    const struct td_inc *inc = &core->incs[index];
    bool void_here = inc->folded || (inc->closed && inc->closed_last <= inc->received);
    return !void_here && entry->seq > inc->received;
}

static struct td_dot ahead(const struct td_core *core, const struct td_vv *vv,
                           struct td_region region)
{
    struct td_dot dot = {0};

    for (uint32_t i = 0; i < vv->entry_count; i++) {
        const struct td_vv_entry *entry = &vv->entries[i];
        if (entry->origin.region.v == region.v && entry_ahead(core, entry)) {
            dot = (struct td_dot){entry->origin, entry->seq};
        }
    }
    return dot;
}

static bool dot_arrived(const struct td_core *core, struct td_dot dot)
{
    uint16_t index = td_inc_find(core, dot.origin);
    return dot.seq == 0 || td_dot_received(core, dot) ||
           (index != TD_INC_NONE && core->incs[index].received >= dot.seq);
}

/* The same without a hole before it: what `has` can reach. */
static bool still_lacking(const struct td_core *core, struct td_dot dot)
{
    struct td_vv_entry entry = {dot.origin, dot.seq};
    struct td_dot lacking = {0};
    return lacks_entry(core, &entry, &lacking);
}

/* Sum of newest seqs of this region that a link announced: who is furthest. */
static uint64_t reach(const struct td_link *link, struct td_region region)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; link->has_known && i < link->has.vv.entry_count; i++) {
        const struct td_vv_entry *entry = &link->has.vv.entries[i];
        if (entry->origin.region.v == region.v) {
            /* A later incarnation is further, however few deltas it has. */
            sum += (entry->seq < (UINT64_C(1) << 40) ? entry->seq : UINT64_C(1) << 40) + 1;
        }
    }
    return sum;
}

/* ---- choosing ---- */
static void source_set(struct td_core *core, uint8_t slot, uint32_t index)
{
    struct td_region_info *region = &core->regions[slot];
    uint32_t old = region->source;

    if (old == index) {
        return;
    }
    if (old != TD_NONE) {
        core->links[old].want_due &= ~td_bit(slot);
        if (td_link_up(&core->links[old])) {
            core->links[old].want_off_due |= td_bit(slot);
        }
        TD_COUNT(core, source_changes, 1);
    }
    struct td_region source = {0};
    bool tried = index != TD_NONE && td_trial_link(core, slot) == index;
    td_trial_end(core, slot, tried);
    if (index != TD_NONE) {
        core->links[index].want_off_due &= ~td_bit(slot);
        core->links[index].want_due |= tried ? 0 : td_bit(slot);
        source = td_link_region(core, &core->links[index])->number;
    }
    region->source = index;
    region->source_asked = index != TD_NONE;
    region->source_since_ms = core->now.boot_ms;
    region->lag_dot.seq = 0;
    region->head_lag_since_ms = 0;
    region->spread_ms = 0;
    region->direct_ok_since_ms = core->now.boot_ms;
    region->direct_mark.seq = 0;
    td_fx_trace(core, TD_TR_SOURCE_CHANGED, region->number, source.v, 0);
}

static uint32_t furthest(const struct td_core *core, uint8_t slot, uint32_t except)
{
    uint32_t best = TD_NONE;
    uint64_t best_reach = 0;

    for (uint32_t i = 0; i < core->link_used_max; i++) {
        const struct td_link *link = &core->links[i];
        if (i == except || !td_link_up(link)) {
            continue;
        }
        uint64_t here = reach(link, core->regions[slot].number);
        bool faster = best != TD_NONE && here == best_reach && link->rtt_known &&
                      link->srtt_us < core->links[best].srtt_us;
        if (best == TD_NONE || here > best_reach || faster) {
            best = i;
            best_reach = here;
        }
    }
    return best;
}

void td_source_choose(struct td_core *core, uint8_t slot)
{
    if (slot == core->self_slot) {
        return;
    }
    uint32_t direct = td_link_of(core, slot);
    uint32_t tried = td_trial_link(core, slot);
    source_set(core, slot,
               direct != TD_NONE  ? direct
               : tried != TD_NONE ? tried
                                  : furthest(core, slot, TD_NONE));
}

/* The link is gone: at once, without the limit of one change a second. */
void td_source_link_down(struct td_core *core, uint32_t index)
{
    for (uint8_t slot = 0; slot < TD_SLOTS; slot++) {
        struct td_region_info *region = &core->regions[slot];
        if (region->number.v != 0 && region->trial.v == core->links[index].id.v) {
            region->trial.v = 0;
        }
        if (region->number.v != 0 && region->source == index) {
            td_source_choose(core, slot);
        }
    }
}

/* ---- changing ---- */
static uint64_t lag_bound_ms(const struct td_core *core, uint8_t slot)
{
    uint32_t direct = td_link_of(core, slot);
    uint64_t bound = TD_LAG_MS;

    if (direct != TD_NONE && core->links[direct].rtt_known) {
        bound = td_max_u64(bound, UINT64_C(2) * core->links[direct].srtt_us / 1000);
    }
    return bound;
}

/* Nothing is late for want of a verdict, and a source that TCP lets begin slowly needs the time. */
static uint64_t verdict_ms(const struct td_core *core, uint8_t slot)
{
    const struct td_region_info *region = &core->regions[slot];
    return region->trial_since_ms + (region->trial_back ? 1 : 2) * lag_bound_ms(core, slot);
}

/* Who announces most of what this region's source has not brought; TD_NONE when nobody is ahead. */
static uint32_t who_is_ahead(const struct td_core *core, uint8_t slot, struct td_dot *ret_dot)
{
    const struct td_region_info *region = &core->regions[slot];
    uint32_t best = TD_NONE;

    for (uint32_t i = 0; i < core->link_used_max; i++) {
        const struct td_link *link = &core->links[i];
        if (!td_link_up(link) || !link->has_known || i == region->source) {
            continue;
        }
        struct td_dot dot = ahead(core, &link->has.vv, region->number);
        if (dot.seq != 0 && (best == TD_NONE || reach(link, region->number) >
                                                    reach(&core->links[best], region->number))) {
            best = i;
            *ret_dot = dot;
        }
    }
    return best;
}

/* Whoever announced it first has the shortest way to it, as far as is known here (Plumtree's choice too);
 * whether that one also brings it is seen next time. */
static uint32_t who_is_better(const struct td_core *core, uint8_t slot)
{
    const struct td_region_info *region = &core->regions[slot];
    struct td_dot dot = {0};
    uint32_t first = td_link_find(core, region->lag_first);

    if (first != TD_NONE && td_link_up(&core->links[first]) && first != region->source &&
        ahead(core, &core->links[first].has.vv, region->number).seq != 0) {
        return first;
    }
    return who_is_ahead(core, slot, &dot);
}

/* Whose echo table names a head of this region that is newer than ours. */
static uint32_t who_heard_more(const struct td_core *core, uint8_t slot)
{
    const struct td_region_info *region = &core->regions[slot];

    for (uint32_t i = 0; i < core->link_used_max; i++) {
        const struct td_link *link = &core->links[i];
        const struct td_region_info *peer = &core->regions[link->region_slot];
        if (!td_link_up(link) || i == region->source) {
            continue;
        }
        for (uint32_t k = 0; k < peer->echo_count; k++) {
            const struct td_tick *tick = &peer->echo[k];
            if (tick->origin.region.v != region->number.v) {
                continue;
            }
            int later = td_incarnation_compare(tick->origin.incarnation, region->head_incarnation);
            if (!region->heard || later > 0 || (later == 0 && tick->number > region->head_number)) {
                return i;
            }
        }
    }
    return TD_NONE;
}

static bool may_change(struct td_core *core, struct td_region_info *region)
{
    uint64_t from = region->source_changed_ms + TD_SOURCE_CHANGE_MS;

    if (region->source_changed_ms != 0 && core->now.boot_ms < from) {
        td_deadline(core, from);
        return false;
    }
    region->source_changed_ms = core->now.boot_ms;
    return true;
}

/* Not yet for as long as the bound: a second source meanwhile, unless the bound is as short as
 * that. */
static void lag_wait(struct td_core *core, uint8_t slot, uint64_t due)
{
    struct td_region_info *region = &core->regions[slot];
    uint64_t from = td_trial_from_ms(core, slot);

    td_deadline(core, td_min_u64(from > core->now.boot_ms ? from : due, due));
    if (region->trial.v != 0 || core->now.boot_ms < from || from >= due) {
        return;
    }
    uint32_t better = who_is_better(core, slot);
    if (better != TD_NONE) {
        td_trial_begin(core, slot, better);
    }
}

/* Back to the region itself as soon as it brings something, so that nothing stops for a round trip; in
 * a quiet hour when it had the time to. Else: the source that did not bring in twice the bound what the
 * one on trial did is left; when neither did, the lag goes on and decides, as without a trial. */
static void trial_check(struct td_core *core, uint8_t slot)
{
    struct td_region_info *region = &core->regions[slot];
    uint64_t due = verdict_ms(core, slot);

    if (region->trial.v == 0) {
        return;
    }
    if (region->trial_back && (region->trial_brought || core->now.boot_ms >= due)) {
        if (may_change(core, region)) {
            source_set(core, slot, td_trial_link(core, slot));
        }
    } else if (core->now.boot_ms < due) {
        td_deadline(core, due);
    } else if (!region->trial_brought || TD_PLANTED(trial_without_end)) {
        if (region->lag_dot.seq == 0 || dot_arrived(core, region->trial_dot)) {
            td_trial_end(core, slot, false);
        }
    } else if (may_change(core, region)) {
        source_set(core, slot, td_trial_link(core, slot));
    }
}

/* A certain dot that others have and that did not come for longer than the bound. */
static void lag_check(struct td_core *core, uint8_t slot)
{
    struct td_region_info *region = &core->regions[slot];
    struct td_dot dot = {0};

    if (region->lag_dot.seq != 0 && !dot_arrived(core, region->lag_dot)) {
        uint64_t due = region->lag_since_ms + lag_bound_ms(core, slot);
        if (region->trial.v != 0) {
            due = td_max_u64(due, verdict_ms(core, slot));
        }
        if (core->now.boot_ms < due) {
            lag_wait(core, slot, due);
            return;
        }
        uint32_t better = who_is_better(core, slot);
        if (better == TD_NONE) {
            region->lag_dot.seq = 0;
        } else if (may_change(core, region)) {
            source_set(core, slot, better);
        }
        return;
    }
    region->lag_dot.seq = 0;
    uint32_t first = who_is_ahead(core, slot, &dot);
    if (first != TD_NONE) {
        region->lag_dot = dot;
        region->lag_first = core->links[first].id;
        region->lag_since_ms = core->now.boot_ms;
        td_deadline(core, td_trial_from_ms(core, slot));
    }
}

static void head_lag_check(struct td_core *core, uint8_t slot)
{
    struct td_region_info *region = &core->regions[slot];
    uint32_t better = who_heard_more(core, slot);

    if (better == TD_NONE) {
        region->head_lag_since_ms = 0;
        return;
    }
    if (region->head_lag_since_ms == 0) {
        region->head_lag_since_ms = td_max_u64(core->now.boot_ms, 1);
    }
    uint64_t due = region->head_lag_since_ms + 2 * td_head_interval_ms(core);
    if (core->now.boot_ms < due) {
        td_deadline(core, due);
    } else if (may_change(core, region)) {
        source_set(core, slot, better);
        td_heads_ask_of(core, region->number, better);
    }
}

/* Once a second: whatever of the region was here a second ago, the region itself has told us too.
 */
static void direct_check(struct td_core *core, uint8_t slot)
{
    struct td_region_info *region = &core->regions[slot];
    uint32_t direct = td_link_of(core, slot);

    if (direct == TD_NONE || direct == region->source) {
        return;
    }
    const struct td_link *link = &core->links[direct];
    uint64_t now = core->now.boot_ms;
    if (now >= region->direct_check_ms + DIRECT_CHECK_MS) {
        region->direct_check_ms = now;
        bool behind = region->direct_mark.seq != 0 &&
                      (!link->has_known || !td_vv_covers_dot(&link->has.vv, region->direct_mark));
        if (link->late || behind) {
            region->direct_ok_since_ms = now;
        }
        region->direct_mark.seq = 0;
        for (uint32_t i = 0; i < core->inc_count; i++) { /* newest incarnation we received of it */
            const struct td_inc *inc = &core->incs[i];
            if (inc->origin.region.v == region->number.v && inc->received > 0 && !inc->folded &&
                (region->direct_mark.seq == 0 ||
                 td_origin_compare(inc->origin, region->direct_mark.origin) > 0)) {
                region->direct_mark = (struct td_dot){inc->origin, inc->received};
            }
        }
    }
    if (now >= region->direct_ok_since_ms + TD_SOURCE_BACK_MS && !link->late &&
        !TD_PLANTED(source_never_changes_back)) {
        td_trial_back(core, slot, direct);
    }
}

/* A fold follows from closings and the cut by itself. Whoever was away or restarted in between
 * never hears the closing again: a transfer from somebody who has the fold ends with it. */
static void fold_check(struct td_core *core, uint8_t slot)
{
    struct td_region_info *region = &core->regions[slot];

    if (td_fold_told(region) <= core->fold_below[region->number.v]) {
        region->fold_since_ms = 0;
    } else if (region->fold_since_ms == 0) {
        region->fold_since_ms = td_max_u64(core->now.boot_ms, 1);
    } else if (core->now.boot_ms >= region->fold_since_ms + TD_FOLD_MS) {
        region->fold_since_ms = core->now.boot_ms;
        region->need_transfer = true;
        td_transfer_want(core);
    }
}

/* Safety net: something the origin signed and a neighbour has did not come by any live lane. */
static void stuck_check(struct td_core *core, uint8_t slot)
{
    struct td_region_info *region = &core->regions[slot];

    if (region->stuck_dot.seq != 0 && still_lacking(core, region->stuck_dot)) {
        if (core->now.boot_ms >= region->stuck_since_ms + TD_STUCK_MS) {
            region->need_transfer = true;
            region->stuck_since_ms = core->now.boot_ms;
            td_transfer_want(core);
        }
        return;
    }
    region->stuck_dot.seq = 0;
    for (uint32_t i = 0; i < core->link_used_max && region->stuck_dot.seq == 0; i++) {
        const struct td_link *link = &core->links[i];
        if (td_link_up(link) && link->has_known) {
            region->stuck_dot = td_lacking(core, &link->has.vv, region->number);
            region->stuck_since_ms = core->now.boot_ms;
        }
    }
}

/* One pass over the announcement: the first dot of each region that is new to us is watched. */
void td_source_has(struct td_core *core, uint32_t index)
{
    const struct td_link *link = &core->links[index];

    for (uint32_t i = 0; i < link->has.vv.entry_count; i++) {
        const struct td_vv_entry *entry = &link->has.vv.entries[i];
        uint8_t slot = td_region_slot(core, entry->origin.region);
        if (slot == TD_SLOTS || slot == core->self_slot) {
            continue;
        }
        struct td_region_info *region = &core->regions[slot];
        if (region->source == TD_NONE) {
            td_source_choose(core, slot);
        }
        if (region->source == index ||
            (region->lag_dot.seq != 0 && !dot_arrived(core, region->lag_dot))) {
            continue;
        }
        struct td_dot dot = {entry->origin, entry->seq};
        region->lag_dot.seq = 0;
        if (entry_ahead(core, entry)) {
            region->lag_dot = dot;
            region->lag_first = link->id;
            region->lag_since_ms = core->now.boot_ms;
            td_deadline(core, td_trial_from_ms(core, slot));
        }
    }
}

void td_source_tick(struct td_core *core)
{
    bool slow_checks = core->now.boot_ms >= core->live_check_ms + CHECK_MS;

    if (slow_checks) {
        core->live_check_ms = core->now.boot_ms;
    }
    td_deadline(core, core->live_check_ms + CHECK_MS);
    for (uint8_t slot = 0; slot < TD_SLOTS; slot++) {
        if (core->regions[slot].number.v == 0 || slot == core->self_slot) {
            continue;
        }
        trial_check(core, slot);
        lag_check(core, slot);
        if (slow_checks) {
            head_lag_check(core, slot);
            direct_check(core, slot);
            stuck_check(core, slot);
            fold_check(core, slot);
        }
    }
}

struct td_region td_source_via(const struct td_core *core, uint8_t region_slot)
{
    uint32_t source = core->regions[region_slot].source;

    if (source == TD_NONE || core->links[source].region_slot == region_slot) {
        return (struct td_region){0};
    }
    return core->regions[core->links[source].region_slot].number;
}
