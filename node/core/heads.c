/* heads.c -- others' heads: what a region says about itself and what it holds. The newest per
 * process counts, it is passed on to whoever takes that region's deltas from us, and what it names
 * is believed of other origins only as far as they signed it themselves. */
#include "node/core/peers.h"
#include "node/core/plant.h"

#include <string.h>

enum { SKEW_MS = 10000, ASK_EVERY_MS = 1000 };

bool td_head_held(const struct td_core *core, uint8_t slot)
{
    if (slot == core->self_slot) {
        return core->head_signed_number > 0;
    }
    return slot < TD_SLOTS && core->regions[slot].number.v != 0 && core->regions[slot].heard;
}

void td_heads_ask_of(struct td_core *core, struct td_region number, uint32_t index)
{
    uint8_t slot = td_region_slot(core, number);

    if (slot == TD_SLOTS || !td_link_up(&core->links[index])) {
        return;
    }
    struct td_region_info *region = &core->regions[slot];
    if (region->ask_ms != 0 && core->now.boot_ms < region->ask_ms + ASK_EVERY_MS) {
        return;
    }
    region->ask_ms = td_max_u64(core->now.boot_ms, 1);
    core->links[index].ask_due |= td_bit(slot);
}

/* ---- equivocation ---- */
void td_equivocation(struct td_core *core, uint8_t slot)
{
    struct td_region_info *region = &core->regions[slot];

    if (!region->equivocated && !TD_PLANTED(fork_unnoticed)) {
        region->equivocated = true;
        TD_COUNT(core, equivocations, 1);
        td_metrics_of(core, region->number)->equivocations += 1;
        td_fx_trace(core, TD_TR_EQUIVOCATION, region->number, 0, 0);
    }
}

static bool skip_bin(struct td_bytes *bytes)
{
    size_t head = 2, count = bytes->count > 1 ? bytes->bytes[1] : 0;

    if (bytes->count < 2 || bytes->bytes[0] < 0xc4 || bytes->bytes[0] > 0xc5) {
        return false;
    }
    if (bytes->bytes[0] == 0xc5) {
        if (bytes->count < 3) {
            return false;
        }
        head = 3;
        count = (size_t)bytes->bytes[1] << 8 | bytes->bytes[2];
    }
    if (bytes->count - head < count) {
        return false;
    }
    bytes->bytes += head + count;
    bytes->count -= head + count;
    return true;
}

static bool skip_byte(struct td_bytes *bytes, size_t count)
{
    if (bytes->count < count) {
        return false;
    }
    bytes->bytes += count;
    bytes->count -= count;
    return true;
}

/* The region that a signed head or header names as its origin: [version, cluster bin, region, ...].
 * The bytes were verified by the driver; here only the number is picked out. 0 = not readable. */
static struct td_region region_of(struct td_bytes bytes, bool batch)
{
    struct td_region none = {0};

    /* Outer array, for batches the thinned mark, then the bin's own head and the inner array. */
    if (!skip_byte(&bytes, batch ? 2 : 1) || bytes.count < 4) {
        return none;
    }
    size_t bin_head = bytes.bytes[0] == 0xc4 ? 2 : bytes.bytes[0] == 0xc5 ? 3 : 5;
    if (!skip_byte(&bytes, bin_head) || bytes.count < 3) {
        return none;
    }
    size_t array_head = bytes.bytes[0] == 0xdc ? 3 : 1;
    if (!skip_byte(&bytes, array_head + 1) || !skip_bin(&bytes) || bytes.count < 2) {
        return none;
    }
    return (struct td_region){bytes.bytes[0] == 0xcc ? bytes.bytes[1] : bytes.bytes[0]};
}

/* Spread once: to everybody but the one it came from. */
void td_heads_proof(struct td_core *core, uint32_t index, const struct td_event *event)
{
    const struct td_msg *msg = event->u.frame.msg;
    struct td_region number = region_of(msg->u.proof.a, msg->u.proof.kind == 1);
    uint8_t slot = td_region_slot(core, number);

    if (slot == TD_SLOTS || core->regions[slot].equivocated) {
        return;
    }
    td_equivocation(core, slot);
    size_t a_bytes = msg->u.proof.a.count, b_bytes = msg->u.proof.b.count;
    uint8_t *copy = td_fx_scratch(core, a_bytes + b_bytes, 1);
    if (copy == NULL) {
        return;
    }
    td_copy(copy, msg->u.proof.a.bytes, a_bytes);
    td_copy(copy + a_bytes, msg->u.proof.b.bytes, b_bytes);
    for (uint32_t i = 0; i < core->link_used_max; i++) {
        struct td_out *out =
            i != index && td_link_up(&core->links[i]) ? td_fx_out(core, i, TD_OUT_MSG) : NULL;
        if (out != NULL) {
            out->u.msg.type = TD_MSG_PROOF;
            out->u.msg.u.proof.kind = msg->u.proof.kind;
            out->u.msg.u.proof.a = (struct td_bytes){copy, a_bytes};
            out->u.msg.u.proof.b = (struct td_bytes){copy + a_bytes, b_bytes};
        }
    }
}

/* ---- ticks ---- */
static bool same_hash(const uint8_t *a, const uint8_t *b)
{
    return memcmp(a, b, TD_TICK_HASH_BYTES) == 0;
}

/* Newest head of each of the newest two processes, ascending. Returns false when it is no news. */
static bool tick_note(struct td_core *core, uint8_t slot, const struct td_head *head)
{
    struct td_region_info *region = &core->regions[slot];
    struct td_tick tick = {head->origin, head->number, {0}};
    memcpy(tick.hash, head->hash, TD_TICK_HASH_BYTES);

    for (uint32_t i = 0; i < region->tick_count; i++) {
        struct td_tick *known = &region->ticks[i];
        if (td_incarnation_compare(known->origin.incarnation, head->origin.incarnation) != 0) {
            continue;
        }
        if (known->number == head->number && !same_hash(known->hash, head->hash)) {
            td_equivocation(core, slot);
        }
        if (head->number <= known->number) {
            return false;
        }
        *known = tick;
        return true;
    }
    if (region->tick_count < 2) {
        region->ticks[region->tick_count++] = tick;
    } else if (td_incarnation_compare(head->origin.incarnation,
                                      region->ticks[0].origin.incarnation) > 0) {
        region->ticks[0] = tick;
    } else {
        return false;
    }
    if (region->tick_count == 2 &&
        td_incarnation_compare(region->ticks[0].origin.incarnation,
                               region->ticks[1].origin.incarnation) > 0) {
        struct td_tick swap = region->ticks[0];
        region->ticks[0] = region->ticks[1];
        region->ticks[1] = swap;
    }
    return true;
}

/* ---- what a head names ---- */
static void name_own(struct td_core *core, struct td_origin origin, uint64_t seq)
{
    if (seq == 0) {
        return;
    }
    td_inc_signed(core, origin, seq);
    uint16_t index = td_inc_find(core, origin);
    if (index != TD_INC_NONE) {
        core->incs[index].named_max = td_max_u64(core->incs[index].named_max, seq);
    }
}

/* Others' names never add to our tables: only origins themselves and their batches do. */
static void name_other(struct td_core *core, uint32_t link, const struct td_vv_entry *entry)
{
    uint16_t index = td_inc_find(core, entry->origin);

    if (index != TD_INC_NONE) {
        struct td_inc *inc = &core->incs[index];
        inc->named_max = td_max_u64(inc->named_max, entry->seq);
        if (entry->seq <= inc->signed_max || inc->closed) {
            return;
        }
    } else if (entry->origin.incarnation.start < core->fold_below[entry->origin.region.v]) {
        return;
    }
    td_heads_ask_of(core, entry->origin.region, link);
}

static void names(struct td_core *core, uint32_t link, const struct td_head *head)
{
    for (uint32_t i = 0; i < head->has.entry_count; i++) {
        const struct td_vv_entry *entry = &head->has.entries[i];
        if (entry->origin.region.v == head->origin.region.v) {
            name_own(core, entry->origin, entry->seq);
        } else if (entry->origin.region.v != core->config.self.v && link != TD_NONE) {
            name_other(core, link, entry);
        }
    }
    name_own(core, head->origin, head->seq);
}

static void closing_note(struct td_core *core, const struct td_head *head,
                         const struct td_closing *closing)
{
    struct td_origin origin = {head->origin.region, closing->incarnation};

    if (td_incarnation_compare(closing->incarnation, head->origin.incarnation) >= 0 ||
        closing->incarnation.start < core->fold_below[origin.region.v]) {
        return;
    }
    uint16_t index = td_inc_find(core, origin);
    if (index == TD_INC_NONE && (closing->last_seq > 0 || closing->lost)) {
        index = td_inc_intern(core, origin);
    }
    if (index == TD_INC_NONE) {
        return;
    }
    struct td_inc *inc = &core->incs[index];
    if (closing->lost && !inc->lost) {
        uint64_t lost = inc->signed_max > closing->last_seq ? inc->signed_max - closing->last_seq : 0;
        TD_COUNT(core, updates_lost, lost);
        td_metrics_of(core, origin.region)->lost += lost;
        td_fx_trace(core, TD_TR_UPDATES_LOST, origin.region, lost, 0);
        inc->lost = true;
    }
    inc->closed = true;
    inc->closed_last = closing->last_seq;
    inc->signed_max = td_max_u64(inc->signed_max, closing->last_seq);
}

/* ---- a head arrives ---- */
static void skew_note(struct td_core *core, struct td_region_info *region)
{
    int64_t off = region->offset_ms;
    bool skewed = off > SKEW_MS || off < -SKEW_MS;

    if (skewed && !region->skew_traced) {
        td_fx_trace(core, TD_TR_CLOCK_SKEW, region->number, (uint64_t)off, 0);
    }
    region->skew_traced = skewed;
}

static void take_over(struct td_core *core, struct td_region_info *region,
                      const struct td_head *head)
{
    if (!region->heard ||
        td_incarnation_compare(region->head_incarnation, head->origin.incarnation) != 0) {
        region->life_since_ms = core->now.boot_ms;
    }
    bool moved = !region->heard || !td_vv_equal(&region->head_has.vv, &head->has);

    if (td_incarnation_compare(region->head_incarnation, head->origin.incarnation) != 0) {
        region->covered_number = 0;
    }
    region->heard = true;
    region->head_incarnation = head->origin.incarnation;
    region->head_number = head->number;
    memcpy(region->head_hash, head->hash, TD_TICK_HASH_BYTES);
    region->head_boot_ms = core->now.boot_ms;
    region->head_stamp = head->stamp;
    region->offset_ms = (int64_t)head->stamp.ms - (int64_t)core->now.wall_ms;
    region->head_roster_version = head->roster_version;
    region->recovering = head->recovering;
    region->joined = region->joined || !head->recovering;
    region->head_digest = head->digest;
    if (!td_vv_store_set(&region->head_has, &head->has)) {
        TD_COUNT(core, rejected_bounds, 1);
    }
    region->echo_count =
        head->echo_count < TD_ECHO_ENTRIES_MAX ? head->echo_count : TD_ECHO_ENTRIES_MAX;
    td_copy(region->echo, head->echo, region->echo_count * sizeof head->echo[0]);
    region->counted_count =
        head->counted_count < TD_REGIONS_MAX ? head->counted_count : TD_REGIONS_MAX;
    td_copy(region->counted, head->counted, region->counted_count * sizeof head->counted[0]);
    region->detours_said = head->detours_said;
    region->detour_count =
        head->detour_count < TD_REGIONS_MAX ? head->detour_count : TD_REGIONS_MAX;
    td_copy(region->detours, head->detours, region->detour_count * sizeof head->detours[0]);
    region->proto_min = head->proto_min;
    region->proto_max = head->proto_max;
    uint32_t bytes =
        head->software.count < TD_SOFTWARE_BYTES_MAX ? head->software.count : TD_SOFTWARE_BYTES_MAX;
    td_copy(region->software, head->software.bytes, bytes);
    region->software_bytes = (uint8_t)bytes;
    if (moved) {
        region->progress_boot_ms = core->now.boot_ms;
    }
    skew_note(core, region);
}

/* To those who take this region's deltas from us; never back, never to the region itself. */
static void pass_on(struct td_core *core, uint8_t slot, uint32_t from)
{
    for (uint32_t i = 0; i < core->link_used_max; i++) {
        struct td_link *link = &core->links[i];
        if (i != from && td_link_up(link) && link->wants[slot] && link->region_slot != slot) {
            link->head_due |= td_bit(slot);
        }
    }
}

/* Everybody follows the closings of the life that ranks highest, a clone's too: what it made void of ours
 * is said again under an incarnation that is not closed. */
static void own_closed(struct td_core *core, const struct td_head *head)
{
    for (uint32_t i = 0; i < head->closing_count; i++) {
        const struct td_closing *closing = &head->closings[i];
        uint16_t index = td_inc_find(core, (struct td_origin){core->config.self, closing->incarnation});
        struct td_inc *inc = index == TD_INC_NONE ? NULL : &core->incs[index];
        if (inc != NULL && !inc->folded && inc->received > closing->last_seq &&
            (!inc->closed || inc->closed_last > closing->last_seq)) {
            inc->closed = true;
            inc->closed_last = closing->last_seq;
            td_again_begin(core);
            if (td_incarnation_compare(closing->incarnation, core->process) == 0) {
                td_incarnation_draw(core, TD_DRAW_OUTNUMBERED); /* nobody takes more of it */
            }
        }
    }
}

/* Ours, come back: an older life of ours tells what we once signed; a later or equal one of
 * somebody else is a clone. */
static void own_received(struct td_core *core, const struct td_head *head)
{
    struct td_region_info *self = &core->regions[core->self_slot];
    int order = td_incarnation_compare(head->origin.incarnation, core->process);
    bool foreign = order > 0 || (core->process.start != 0 && order != 0 &&
                                 head->origin.incarnation.start == core->process.start);

    if (order == 0) {
        const struct td_own_tick *tick = &core->own_ticks[head->number % TD_OWN_TICKS];
        foreign = head->number > core->head_number ||
                  (tick->tick.number == head->number && tick->signed_ &&
                   !same_hash(tick->tick.hash, head->hash));
    }
    names(core, TD_NONE, head);
    if (foreign && core->process.start != 0) {
        if (!self->clone_suspected) {
            td_fx_trace(core, TD_TR_CLONE, self->number, head->origin.incarnation.start, 0);
        }
        self->clone_suspected = true;
    }
    if (order > 0) {
        own_closed(core, head);
    }
    if (foreign || order > 0) {
        td_incarnation_seen(core, head->origin.incarnation);
    }
    td_recover_check(core);
}

/* Somebody echoes a tick of a later life of ours: one whose start number a failing disk and a power loss
 * made us forget. Our heads are not believed until we are past it; that head itself is the proof. */
static void outlived_check(struct td_core *core, uint32_t link, const struct td_head *head)
{
    for (uint32_t i = 0; i < head->echo_count && core->process.start != 0; i++) {
        const struct td_origin *origin = &head->echo[i].origin;
        if (origin->region.v == core->config.self.v && !TD_PLANTED(forgets_its_heads) &&
            td_incarnation_compare(origin->incarnation, core->process) > 0) {
            td_heads_ask_of(core, core->config.self, link);
        }
    }
}

void td_heads_received(struct td_core *core, uint32_t link, const struct td_head *head)
{
    uint8_t slot = td_region_slot(core, head->origin.region);

    if (slot == TD_SLOTS || core->regions[slot].roster_state == TD_REGION_CLOSED) {
        TD_COUNT(core, rejected_closed, 1);
        return;
    }
    TD_COUNT(core, heads_received, 1);
    if (slot == core->self_slot) {
        own_received(core, head);
        return;
    }
    struct td_region_info *region = &core->regions[slot];
    if (!tick_note(core, slot, head)) {
        TD_COUNT(core, heads_duplicate, 1);
        return;
    }
    if (region->heard &&
        td_incarnation_compare(head->origin.incarnation, region->head_incarnation) < 0) {
        return; /* an older process of it still speaks: echoed, not believed */
    }
    take_over(core, region, head);
    if (core->leaving_again_ms != 0) {
        td_transfer_want(core); /* what was refused may be allowed by this one */
    }
    names(core, link, head);
    region->folds_known = region->folds_known || td_fold_told(region) <= core->fold_below[region->number.v];
    for (uint32_t i = 0; i < head->closing_count; i++) {
        closing_note(core, head, &head->closings[i]);
    }
    pass_on(core, slot, link);
    td_fresh_head(core, slot, head);
    td_recover_head(core, head);
    outlived_check(core, link, head);
    td_repair_head(core, slot);
    td_cut_covered(core);
    td_fresh_update(core);
    td_transfer_stored(core); /* a claim may have waited for this signature */
    td_pending_has_moved(core);
}
