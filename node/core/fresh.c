/* fresh.c -- how old our view of each region can be at most, without synchronised clocks (DESIGN
 * 2). A region that echoes our tick signed that head after we signed ours; once everything of the
 * region that was named by then is durable here, our view is complete as of our tick's moment. */
#include "node/core/peers.h"
#include "node/core/plant.h"

#include <string.h>

enum { GIVEN_UP_MS = 10000 };

static void forget(struct td_region_info *region)
{
    region->echo_known = region->complete_known = false;
    region->wait.set = region->wait_next.set = false;
}

/* Boot time is what moments are made of. When it and the wall clock part, one of them was changed
 * (a suspended machine, a broken timer): no moment from before can be trusted. */
void td_fresh_clocks(struct td_core *core)
{
    struct td_time last = core->fresh_clock;

    core->fresh_clock = core->now;
    if (last.boot_ms == 0 && last.wall_ms == 0) {
        return;
    }
    int64_t boot = (int64_t)(core->now.boot_ms - last.boot_ms);
    int64_t wall = (int64_t)(core->now.wall_ms - last.wall_ms);
    int64_t apart = wall - boot;
    if (apart <= TD_CLOCK_JUMP_MS && apart >= -TD_CLOCK_JUMP_MS) {
        return;
    }
    memset(core->own_ticks, 0, sizeof core->own_ticks);
    for (uint8_t slot = 0; slot < TD_SLOTS; slot++) {
        forget(&core->regions[slot]);
    }
}

static bool moment_of(const struct td_core *core, const struct td_tick *echo,
                      uint64_t *ret_moment_ms)
{
    const struct td_own_tick *own = &core->own_ticks[echo->number % TD_OWN_TICKS];

    if (echo->origin.region.v != core->config.self.v || !own->signed_ ||
        own->tick.number != echo->number ||
        td_origin_compare(own->tick.origin, echo->origin) != 0 ||
        memcmp(own->tick.hash, echo->hash, TD_TICK_HASH_BYTES) != 0) {
        return false;
    }
    *ret_moment_ms = own->moment_ms;
    return true;
}

/* What of the running incarnation was named when this echo came. Later names of it are later
 * deltas: waiting for those too would never end under load. */
static void wait_for(struct td_core *core, struct td_region_info *region, uint64_t moment_ms,
                     const struct td_head *head)
{
    uint16_t index = td_inc_find(core, head->origin);
    struct td_fresh_wait wait = {true, moment_ms, head->origin.incarnation, head->seq};

    if (index != TD_INC_NONE) {
        wait.seq =
            td_max_u64(wait.seq, td_inc_limit(&core->incs[index], core->incs[index].named_max));
    }
    if (!region->wait.set) {
        region->wait = wait;
    } else {
        region->wait_next = wait; /* the oldest is kept until it is fulfilled */
    }
}

void td_fresh_head(struct td_core *core, uint8_t slot, const struct td_head *head)
{
    struct td_region_info *region = &core->regions[slot];
    uint64_t moment_ms = 0;
    bool found = false;

    for (uint32_t i = 0; i < head->echo_count; i++) {
        uint64_t at = 0;
        if (moment_of(core, &head->echo[i], &at)) {
            moment_ms = td_max_u64(moment_ms, at);
            found = true;
        }
    }
    if (!found) {
        return;
    }
    if (!region->echo_known || moment_ms > region->echo_moment_ms) {
        region->echo_known = true;
        region->echo_moment_ms = moment_ms;
        if (!head->recovering || TD_PLANTED(freshness_ignores_recovering)) {
            wait_for(core, region, moment_ms, head);
        }
    }
}

/* ---- what nobody holds ----
 * An origin that lost its disk, or went back to an old backup, cannot close a life that it does not know it
 * had, and somebody may still know from its signature how much there was of it. When the origin and every
 * member that counts have signed a head since the origin's present life was first heard, and none names the
 * rest, it is gone with the origin's disk: after a while nobody waits for it any more. A fenced member is
 * not waited for, but what it names it has; and only the origin itself can say that its own log lacks it. */
static bool nobody_holds(const struct td_core *core, const struct td_inc *inc, uint64_t life_since_ms)
{
    for (uint8_t slot = 0; slot < TD_SLOTS; slot++) {
        const struct td_region_info *member = &core->regions[slot];
        if (member->number.v == 0 || slot == core->self_slot) {
            continue;
        }
        if (member->heard && td_vv_seq(&member->head_has.vv, inc->origin) > inc->durable) {
            return false;
        }
        const bool is_origin = member->number.v == inc->origin.region.v;
        if (!is_origin && (member->fenced || !td_cut_counted(core, slot))) {
            continue;
        }
        if (!member->heard || !member->echo_known || member->echo_moment_ms < life_since_ms) {
            return false;
        }
    }
    return true;
}

bool td_inc_given_up(const struct td_core *core, const struct td_inc *inc)
{
    return inc->origin.region.v != core->config.self.v && inc->missed_ms != 0 &&
           !TD_PLANTED(lost_lives_waited_for) && core->now.boot_ms >= inc->missed_ms + GIVEN_UP_MS;
}

static bool waited_for(const struct td_core *core, const struct td_inc *inc,
                       const struct td_region_info *region)
{
    return td_inc_limit(inc, inc->signed_max) > inc->durable && !inc->folded && region->heard &&
           td_incarnation_compare(inc->origin.incarnation, region->head_incarnation) != 0 &&
           nobody_holds(core, inc, region->life_since_ms);
}

static void look_for_missed(struct td_core *core)
{
    for (uint32_t at = 0; at < core->inc_order_count; at++) {
        struct td_inc *inc = &core->incs[core->inc_order[at]];
        uint8_t slot = td_region_slot(core, inc->origin.region);
        if (slot == TD_SLOTS || slot == core->self_slot) {
            continue;
        }
        if (!waited_for(core, inc, &core->regions[slot])) {
            inc->missed_ms = 0;
        } else if (inc->missed_ms == 0) {
            inc->missed_ms = td_max_u64(core->now.boot_ms, 1);
        } else if (!inc->lost && td_inc_given_up(core, inc)) {
            uint64_t lost = td_inc_limit(inc, inc->signed_max) - inc->durable;
            inc->lost = true;
            TD_COUNT(core, updates_lost, lost);
            td_fx_trace(core, TD_TR_UPDATES_LOST, inc->origin.region, lost, 0);
        }
    }
}

/* Everything of the region that any verified head names, the running incarnation apart. */
static bool earlier_complete(const struct td_core *core, const struct td_region_info *region,
                             struct td_incarnation running)
{
    /* What its head folds it names no longer, and we may lack the end of it: a fold that we do not
     * follow yet (we were away, or restarted) hides how much there is. */
    if (td_fold_told(region) > core->fold_below[region->number.v] &&
        !TD_PLANTED(freshness_ignores_folds)) {
        return false;
    }
    for (uint32_t at = 0; at < core->inc_order_count; at++) {
        const struct td_inc *inc = &core->incs[core->inc_order[at]];
        if (inc->origin.region.v != region->number.v || inc->folded ||
            td_incarnation_compare(inc->origin.incarnation, running) == 0) {
            continue;
        }
        if (td_inc_limit(inc, inc->named_max) > inc->durable && !td_inc_given_up(core, inc)) {
            return false;
        }
    }
    return true;
}

static bool fulfilled(const struct td_core *core, const struct td_region_info *region,
                      const struct td_fresh_wait *wait)
{
    struct td_dot dot = {{region->number, wait->process}, wait->seq};
    uint16_t index = td_inc_find(core, dot.origin);
    bool gone = index != TD_INC_NONE && td_inc_given_up(core, &core->incs[index]);

    return (wait->seq == 0 || gone || td_dot_durable(core, dot) || TD_PLANTED(freshness_before_covered)) &&
           earlier_complete(core, region, wait->process);
}

void td_fresh_update(struct td_core *core)
{
    look_for_missed(core);
    for (uint8_t slot = 0; slot < TD_SLOTS; slot++) {
        struct td_region_info *region = &core->regions[slot];
        if (region->number.v == 0 || slot == core->self_slot ||
            (region->recovering && !TD_PLANTED(freshness_ignores_recovering))) {
            continue;
        }
        while (region->wait.set && fulfilled(core, region, &region->wait)) {
            if (!region->complete_known || region->wait.moment_ms > region->complete_ms) {
                region->complete_known = true;
                region->complete_ms = region->wait.moment_ms;
            }
            region->wait = region->wait_next;
            region->wait_next.set = false;
        }
    }
    td_cut_covered(core);
}

/* ---- answers ---- */
static void missing_of(const struct td_core *core, const struct td_region_info *region,
                       struct td_fresh_view *row)
{
    row->missing_known = region->heard;
    for (uint32_t at = 0; at < core->inc_order_count; at++) {
        const struct td_inc *inc = &core->incs[core->inc_order[at]];
        if (inc->origin.region.v != region->number.v || inc->folded || td_inc_given_up(core, inc)) {
            continue;
        }
        uint64_t named = td_inc_limit(inc, inc->named_max);
        row->missing += named > inc->durable ? named - inc->durable : 0;
    }
}

static struct td_fresh_view row_of(const struct td_core *core, uint8_t slot)
{
    const struct td_region_info *region = &core->regions[slot];
    struct td_fresh_view row = {.region = region->number};

    if (slot == core->self_slot) {
        row.recovering = core->recovering || td_recover_doubtful(core);
        row.age_known = !row.recovering;
        missing_of(core, region, &row);
        row.missing_known = true;
        return row;
    }
    row.recovering = region->recovering && !TD_PLANTED(freshness_ignores_recovering);
    row.doubt = region->doubt;
    row.age_known = region->complete_known && !row.recovering && !region->doubt;
    row.age_ms = row.age_known ? core->now.boot_ms - region->complete_ms : 0;
    if (TD_PLANTED(freshness_from_last_message) && row.age_known) {
        row.age_ms = core->now.boot_ms - region->head_boot_ms;
    }
    missing_of(core, region, &row);
    row.via = td_source_via(core, slot);
    return row;
}

uint32_t td_fresh_rows(struct td_core *core, struct td_fresh_view *ret_rows, uint32_t rows_max,
                       bool *ret_certain)
{
    uint32_t count = 0;
    bool certain =
        core->have_roster && core->self_slot < TD_SLOTS && td_leaving_lists_held(core);

    for (unsigned number = 1; number <= TD_REGION_NUMBER_MAX; number++) {
        uint8_t slot = td_region_slot(core, (struct td_region){(uint8_t)number});
        if (slot == TD_SLOTS) {
            continue;
        }
        struct td_fresh_view row = row_of(core, slot); /* a leaving one may have what is not here */
        certain =
            certain && row.age_known && !row.recovering && row.age_ms <= core->config.stale_ms;
        if (count < rows_max) {
            ret_rows[count++] = row;
        } else {
            certain = false;
        }
    }
    *ret_certain = certain;
    return count;
}

/* Traces the crossing of the stale limit, both ways, once each. */
void td_fresh_tick(struct td_core *core)
{
    for (uint8_t slot = 0; slot < TD_SLOTS; slot++) {
        struct td_region_info *region = &core->regions[slot];
        if (region->number.v == 0 || slot == core->self_slot ||
            region->roster_state != TD_REGION_ACTIVE) {
            continue;
        }
        struct td_fresh_view row = row_of(core, slot);
        uint64_t since = row.age_known ? core->now.boot_ms - row.age_ms : core->started_boot_ms;
        if (!row.age_known && region->complete_known) {
            since = region->complete_ms;
        }
        uint64_t age_ms = core->now.boot_ms > since ? core->now.boot_ms - since : 0;
        bool stale = age_ms > core->config.stale_ms;
        if (stale != region->stale_traced) {
            region->stale_traced = stale;
            td_fx_trace(core, TD_TR_STALE, region->number, stale, age_ms);
        }
        if (!stale) {
            td_deadline(core, since + core->config.stale_ms + 1);
        }
    }
}
