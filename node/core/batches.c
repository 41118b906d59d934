/* batches.c -- batch slots in arrival order (the order of the log), the live rings of newest batches per
 * region, and the acceptance of received batches.
 *
 * A received batch is merged and may be shown and passed on at once; the vector moves when its bytes are
 * durable. When a store fails, what was merged stays merged, but the incarnation falls back to what is
 * durable: everything beyond is asked for again and stored again, and the registers move to the new slot. */
#include <string.h>

#include "node/core/state.h"
#include "node/core/plant.h"

void td_slots_layout(struct td_core *core, struct td_block *block)
{
    const struct td_core_limits *limits = &core->config.limits;
    /* Replaying the log frees a slot a little later than the run that wrote it did: some more. */
    core->slots = td_block_take(block, (size_t)limits->batches_max + TD_STORES, sizeof *core->slots);
    core->ring = td_block_take(block, (size_t)TD_SLOTS * limits->ring_batches, sizeof *core->ring);
    core->slot_free = TD_NONE;
    core->slot_first = TD_NONE;
    core->slot_last = TD_NONE;
}

uint32_t td_slot_add(struct td_core *core, uint16_t inc, uint64_t first_seq, uint32_t count,
                     bool whole, struct td_region via)
{
    uint32_t index = core->slot_free;
    if (index != TD_NONE) {
        core->slot_free = core->slots[index].next;
    } else if (core->slot_used_max < core->config.limits.batches_max + TD_STORES) {
        index = core->slot_used_max++;
    } else {
        return TD_NONE;
    }
    struct td_slot *slot = &core->slots[index];
    *slot = (struct td_slot){
        .first_seq = first_seq,
        .count = count,
        .live_first = TD_NONE,
        .prev = core->slot_last,
        .next = TD_NONE,
        .arrived = ++core->arrived_number,
        .arrived_wall_ms = core->replaying ? 0 : core->now.wall_ms,
        .inc = inc,
        .via = via.v,
        .whole = whole,
        .used = true,
    };
    if (core->slot_last != TD_NONE) {
        core->slots[core->slot_last].next = index;
    } else {
        core->slot_first = index;
    }
    core->slot_last = index;
    core->slot_count += 1;
    core->incs[inc].slot_count += 1;
    return index;
}

void td_slot_release(struct td_core *core, uint32_t index)
{
    struct td_slot *slot = &core->slots[index];
    if (!slot->used || slot->live_count > 0 || slot->in_ring || slot->anchor || slot->anchor_next) {
        return;
    }
    td_transfer_slot_freed(core, index);
    struct td_store *store = td_store_of(core, slot->ref.ticket.v);
    if (store != NULL && store->slot == index) {
        store->slot = TD_NONE;
    }
    if (slot->prev != TD_NONE) {
        core->slots[slot->prev].next = slot->next;
    } else {
        core->slot_first = slot->next;
    }
    if (slot->next != TD_NONE) {
        core->slots[slot->next].prev = slot->prev;
    } else {
        core->slot_last = slot->prev;
    }
    core->incs[slot->inc].slot_count -= 1;
    core->slot_count -= 1;
    slot->used = false;
    slot->next = core->slot_free;
    core->slot_free = index;
}

/* ---- anchors ---- */

static uint64_t slot_last_seq(const struct td_slot *slot)
{
    return slot->first_seq + slot->count - 1;
}

static bool proves_more(const struct td_core *core, const struct td_slot *slot)
{
    const struct td_inc *inc = &core->incs[slot->inc];
    return !inc->folded && (inc->anchor == TD_NONE ||
                            slot_last_seq(slot) > slot_last_seq(&core->slots[inc->anchor]));
}

void td_slot_anchor_drop(struct td_core *core, uint16_t inc)
{
    const uint32_t anchor = core->incs[inc].anchor;
    core->incs[inc].anchor = TD_NONE;
    if (anchor != TD_NONE) {
        core->slots[anchor].anchor = false;
        td_slot_release(core, anchor);
    }
}

void td_slot_anchor(struct td_core *core, uint32_t index)
{
    struct td_slot *slot = &core->slots[index];
    slot->anchor_next = false;
    if (proves_more(core, slot)) {
        td_slot_anchor_drop(core, slot->inc);
        slot->anchor = true;
        core->incs[slot->inc].anchor = index;
    }
}

/* ---- live rings ---- */

static uint32_t *ring_entry(const struct td_core *core, uint8_t region_slot, uint32_t position)
{
    const uint32_t size = core->config.limits.ring_batches;
    return &core->ring[(size_t)region_slot * size + position % size];
}

static void ring_drop_oldest(struct td_core *core, uint8_t region_slot)
{
    struct td_region_info *region = &core->regions[region_slot];
    const uint32_t oldest = *ring_entry(core, region_slot, region->ring_first);
    region->ring_first = (region->ring_first + 1) % core->config.limits.ring_batches;
    region->ring_serial += 1;
    region->ring_count -= 1;
    core->slots[oldest].in_ring = false;
    td_slot_release(core, oldest);
}

void td_ring_push(struct td_core *core, uint8_t region_slot, uint32_t slot)
{
    struct td_region_info *region = &core->regions[region_slot];
    const uint32_t size = core->config.limits.ring_batches;
    core->slots[slot].in_ring = true;
    if (region->ring_count == size) {
        ring_drop_oldest(core, region_slot);
    }
    *ring_entry(core, region_slot, region->ring_first + region->ring_count) = slot;
    region->ring_count += 1;
}

void td_rings_leave(struct td_core *core, const uint32_t *segments, uint32_t count)
{
    for (uint8_t region_slot = 0; region_slot < TD_SLOTS; ++region_slot) {
        const struct td_region_info *region = &core->regions[region_slot];
        uint64_t until = region->ring_serial;
        for (uint64_t serial = until; serial < region->ring_serial + region->ring_count; ++serial) {
            const struct td_slot *slot = &core->slots[td_ring_at(core, region_slot, serial)];
            for (uint32_t i = 0; i < count; ++i) {
                until = slot->ref.position >> 32 == segments[i] ? serial + 1 : until;
            }
        }
        while (region->ring_serial < until) {
            ring_drop_oldest(core, region_slot);
        }
    }
}

void td_ring_drop(struct td_core *core, uint8_t region_slot)
{
    struct td_region_info *region = &core->regions[region_slot];
    const uint64_t end = region->ring_serial + region->ring_count;
    for (uint64_t serial = region->ring_serial; serial < end; ++serial) {
        const uint32_t batch = td_ring_at(core, region_slot, serial);
        core->slots[batch].in_ring = false;
        td_slot_release(core, batch);
    }
    region->ring_serial = end;
    region->ring_count = 0;
}

uint32_t td_ring_at(const struct td_core *core, uint8_t region_slot, uint64_t serial)
{
    const struct td_region_info *region = &core->regions[region_slot];
    if (serial < region->ring_serial || serial - region->ring_serial >= region->ring_count) {
        return TD_NONE;
    }
    return *ring_entry(core, region_slot,
                       region->ring_first + (uint32_t)(serial - region->ring_serial));
}

/* What must still be found in the ring for one incarnation: (have, need]. */
struct ring_need {
    uint16_t inc;
    uint64_t have, need;
};

static uint32_t ring_needs(const struct td_core *core, struct td_region region,
                           const struct td_vv *from, struct ring_need *needs)
{
    uint32_t count = 0;
    for (uint32_t at = 0; at < core->inc_order_count; ++at) {
        const uint16_t index = core->inc_order[at];
        const struct td_inc *inc = &core->incs[index];
        if (inc->origin.region.v != region.v || inc->folded) {
            continue;
        }
        const uint64_t have = td_vv_seq(from, inc->origin);
        if (inc->received > have && count < TD_INCARNATIONS_PER_REGION_MAX) {
            needs[count++] = (struct ring_need){ index, have, inc->received };
        }
    }
    return count;
}

bool td_ring_seek(const struct td_core *core, uint8_t region_slot, const struct td_vv *from,
                  uint64_t *ret_serial)
{
    const struct td_region_info *region = &core->regions[region_slot];
    struct ring_need needs[TD_INCARNATIONS_PER_REGION_MAX];
    uint32_t open = ring_needs(core, region->number, from, needs);
    const uint32_t count = open;
    uint64_t serial = region->ring_serial + region->ring_count;

    while (open > 0 && serial > region->ring_serial) {
        serial -= 1;
        const struct td_slot *slot = &core->slots[td_ring_at(core, region_slot, serial)];
        for (uint32_t i = 0; i < count; ++i) {
            struct ring_need *need = &needs[i];
            if (need->inc != slot->inc || need->need <= need->have) {
                continue;
            }
            if (slot->first_seq + slot->count - 1 != need->need) {
                return false; /* not what the ring's end says: a hole */
            }
            need->need = slot->first_seq - 1;
            open -= need->need <= need->have;
        }
    }
    if (open > 0) {
        return false;
    }
    *ret_serial = serial;
    return true;
}

/* ---- acceptance ---- */

static bool beyond_lists(const struct td_core *core, const struct td_batch_header *header)
{
    const uint8_t slot = core->slot_of[header->origin.region.v];
    const uint16_t index = td_inc_find(core, header->origin);
    if (header->origin.region.v == core->config.self.v) {
        return false;
    }
    if (index != TD_INC_NONE && core->incs[index].listed) {
        return header->first_seq + header->count - 1 > core->incs[index].listed_last;
    }
    return slot == 255 ? core->region_closed[header->origin.region.v]
                       : header->key_number < core->regions[slot].retired_below;
}

/* Whether the roster lets anything of this batch in. The lists of closed regions and of retired keys name
 * every incarnation that counts (roster.c notes their bounds; of others nothing counts). What lies in our
 * own log was taken when it was allowed. */
static bool roster_allows(const struct td_core *core, const struct td_batch_header *header)
{
    const uint8_t slot = core->slot_of[header->origin.region.v];
    const uint64_t last_seq = header->first_seq + header->count - 1;
    if (core->replaying || beyond_lists(core, header)) {
        return core->replaying;
    }
    if (slot == 255) { /* closed, and listed; or no region at all */
        return core->region_closed[header->origin.region.v];
    }
    const struct td_region_info *region = &core->regions[slot];
    const bool own = slot == core->self_slot &&
                     (!region->keys_replaced || header->key_number >= region->key_number);
    return own || !td_leaving_bounds(region, header->key_number) ||
           td_leaving_allows(core, header->origin, last_seq);
}


static bool range_received(const struct td_core *core, const struct td_batch_header *header)
{
    const uint16_t index = td_inc_find(core, header->origin);
    if (header->origin.incarnation.start < core->fold_below[header->origin.region.v]) {
        return true;
    }
    return index != TD_INC_NONE &&
           header->first_seq + header->count - 1 <= core->incs[index].received;
}

struct accepted {
    uint32_t won, kept, no_room;
};

/* Whether what lies beyond the closing of its incarnation is merged all the same. A closing says what
 * counts, but who merged such a delta before the closing came will never give it up, and what it beat there
 * is not sent any more: all must have it, or none. None: what failed to be written here and was issued anew
 * (own log), and what the roster's list leaves out, unless it was merged before: then it is said again. */
static bool merged_beyond(const struct td_core *core, const struct td_inc *inc)
{
    const bool own_log = core->replaying && inc->origin.region.v == core->config.self.v;
    return !own_log && (core->replaying || !inc->listed) && !TD_PLANTED(closed_refused);
}

/* Loops the merge over what is present. */
static struct accepted merge_present(struct td_core *core, const struct td_batch *batch, uint32_t slot)
{
    struct accepted result = { 0 };
    const struct td_inc *inc = &core->incs[core->slots[slot].inc];
    const bool beyond = merged_beyond(core, inc);
    const uint64_t concurrent_before = core->loser_concurrent_number;
    for (uint32_t i = 0; i < batch->present_count; ++i) {
        for (uint32_t stage = 0; stage < TD_PREFETCH_STAGES; ++stage) {
            const uint32_t ahead = i + TD_PREFETCH_AHEAD * (TD_PREFETCH_STAGES - stage);
            if (ahead < batch->present_count) {
                td_table_prefetch(core, batch->deltas[ahead].job_hash, stage);
            }
        }
        const struct td_delta *delta = &batch->deltas[i];
        const uint64_t seq = core->slots[slot].first_seq + delta->index;
        if (inc->closed && seq > inc->closed_last && !beyond) {
            TD_COUNT(core, rejected_closed, 1);
            continue;
        }
        switch (td_table_merge(core, delta, slot)) {
        case TD_MERGE_WON:
            result.won += 1;
            if (!core->replaying && inc->origin.region.v != core->config.self.v) {
                td_metrics_applied(core, inc->origin.region, delta->stamp);
            }
            break;
        case TD_MERGE_NO_ROOM:
            result.no_room += 1;
            break;
        case TD_MERGE_LOST:
        case TD_MERGE_SAME:
            break;
        }
    }
    result.kept = (uint32_t)(core->loser_concurrent_number - concurrent_before);
    return result;
}

static bool batch_bounds_ok(const struct td_batch *batch)
{
    const struct td_batch_header *header = &batch->header;
    if (header->count == 0 || header->count > TD_BATCH_DELTAS_MAX || header->first_seq == 0 ||
        header->first_seq > TD_SEQ_MAX - header->count || batch->present_count == 0 ||
        batch->present_count > header->count) {
        return false;
    }
    for (uint32_t i = 0; i < batch->present_count; ++i) {
        if (batch->deltas[i].index >= header->count) {
            return false;
        }
    }
    return !batch->whole || batch->present_count == header->count;
}

/* Marks a whole batch merged. True when it is the next one in line: what a live ring holds. */
static bool advance_received(struct td_core *core, const struct td_batch *batch, uint16_t index)
{
    struct td_inc *inc = &core->incs[index];
    const bool next_in_line = batch->header.first_seq == inc->received + 1;
    td_inc_received(core, index, batch->header.first_seq, batch->header.count);
    return next_in_line;
}

static void store_received(struct td_core *core, const struct td_received_batch *received,
                           uint16_t inc, uint32_t slot, uint64_t loser_from,
                           uint64_t loser_concurrent_from)
{
    struct td_effect *effect = NULL;
    struct td_store *store = td_store_add(core, TD_WHAT_BATCH, &effect);
    TD_ASSERT(store != NULL); /* room was asked for */
    TD_ASSERT(core->slots[slot].ref.ticket.v == store->ticket);
    effect->u.store.kind = TD_STORE_RECEIVED;
    effect->u.store.origin = core->incs[inc].origin;
    effect->u.store.first_seq = received->batch->header.first_seq;
    effect->u.store.handle = received->handle;
    effect->u.store.raw = received->batch->raw;
    core->incs[inc].storing += 1;
    store->inc = inc;
    store->slot = slot;
    store->loser_from = loser_from;
    store->loser_concurrent_from = loser_concurrent_from;
}

/* Somebody else made this batch of our running incarnation: a clone. Our own come back to us in repair. Of a
 * later one: we forgot that life, or it is a clone's. */
static void check_own(struct td_core *core, const struct td_batch_header *header)
{
    if (header->origin.region.v != core->config.self.v || core->process.start == 0) {
        return;
    }
    const int order = td_incarnation_compare(header->origin.incarnation, core->process);
    if (order > 0) {
        td_incarnation_seen(core, header->origin.incarnation);
    }
    if (order != 0) {
        return;
    }
    const uint16_t inc = td_inc_find(core, header->origin);
    const uint64_t made = inc == TD_INC_NONE ? 0 : core->incs[inc].received;
    if (header->first_seq + header->count - 1 > made || TD_PLANTED(repair_looks_like_a_clone)) {
        td_incarnation_draw(core, TD_DRAW_CLONE);
    }
}

/* Losers of a batch that is not kept at all cannot be shown. */
static void forget_losers(struct td_loser *losers, uint64_t from, uint64_t to, uint64_t ticket)
{
    const uint64_t oldest = to > TD_LOSERS ? to - TD_LOSERS : 0;
    for (uint64_t n = (from > oldest ? from : oldest) + 1; n <= to; ++n) {
        struct td_loser *loser = &losers[n % TD_LOSERS];
        if (loser->ref.ticket.v == ticket) {
            loser->ref = (struct td_log_ref){ 0 };
        }
    }
}

static void accepted_whole(struct td_core *core, const struct td_batch *batch, uint32_t slot)
{
    const uint16_t inc = core->slots[slot].inc;
    const uint8_t region_slot = core->slot_of[batch->header.origin.region.v];
    if (!batch->whole && !TD_PLANTED(has_advances_inside_transfer)) {
        return;
    }
    const bool next_in_line = advance_received(core, batch, inc);
    td_store_of(core, core->slots[slot].ref.ticket.v)->advance_to = core->incs[inc].received;
    if (next_in_line && region_slot != 255) {
        td_ring_push(core, region_slot, slot);
        td_live_ring_grew(core, region_slot);
    }
}

bool td_batch_accept(struct td_core *core, const struct td_received_batch *received,
                     struct td_region via, enum td_lane lane)
{
    const struct td_batch *batch = received->batch;
    const struct td_batch_header *header = &batch->header;

    const bool allowed = roster_allows(core, header);
    core->roster_refused += !allowed;
    if (!batch_bounds_ok(batch) || !allowed) {
        TD_COUNT(core, rejected_closed, 1);
        td_refused_batch(core, batch, via);
        return false;
    }
    const bool held = range_received(core, header);
    if (lane != TD_LANE_REPAIR && held) {
        TD_COUNT(core, duplicate, batch->present_count);
        td_metrics_of(core, via)->duplicate += batch->present_count;
        return false;
    }
    check_own(core, header);
    const uint16_t inc = td_inc_intern(core, header->origin);
    if (inc == TD_INC_NONE || !td_store_room(core, 1)) {
        TD_COUNT(core, rejected_bounds, inc != TD_INC_NONE);
        return false;
    }
    if (core->slot_count + 1 >= core->config.limits.batches_max) {
        TD_COUNT(core, rejected_bounds, 1); /* the last one is for the own group on its way to disk */
        return false;
    }
    const uint32_t slot =
        td_slot_add(core, inc, header->first_seq, header->count, batch->whole, via);
    td_inc_signed(core, header->origin, header->first_seq + header->count - 1);
    core->incs[inc].key_number = header->key_number;
    core->slots[slot].ref.ticket.v = core->ticket_next + 1;
    core->slots[slot].ref.bytes = (uint32_t)batch->raw.count;
    const uint64_t loser_from = core->loser_number;
    const uint64_t concurrent_from = core->loser_concurrent_number;
    core->slots[slot].in_ring = true; /* keeps the slot while we look at what it won */
    const struct accepted result = merge_present(core, batch, slot);
    core->slots[slot].in_ring = false;
    TD_COUNT(core, rejected_bounds, result.no_room);
    if (header->origin.region.v != core->config.self.v) {
        TD_COUNT(core, applied, result.won);
    }
    core->slots[slot].index_last = batch->deltas[batch->present_count - 1].index;
    core->slots[slot].stored_count = batch->present_count;
    core->slots[slot].anchor_next = proves_more(core, &core->slots[slot]);
    /* In repair a peer may send what is held as often as it likes: that does not go into the log again. */
    const bool useless = (held || !batch->whole) && core->slots[slot].live_count == 0 &&
                         result.kept == 0 && !core->slots[slot].anchor_next;
    if (result.no_room > 0 || useless) {
        /* What had no room here must not find some at the next start, before what was acknowledged:
         * such a batch is not kept at all, and asked for again. */
        core->slots[slot].failed = true;
        core->slots[slot].anchor_next = false;
        if (core->slots[slot].live_count > 0) {
            td_again_unwritten(core);
        }
        forget_losers(core->losers, loser_from, core->loser_number, core->slots[slot].ref.ticket.v);
        forget_losers(core->losers_concurrent, concurrent_from, core->loser_concurrent_number,
                      core->slots[slot].ref.ticket.v);
        core->slots[slot].ref = (struct td_log_ref){ 0 };
    } else {
        store_received(core, received, inc, slot, loser_from, concurrent_from);
        accepted_whole(core, batch, slot);
        if (TD_PLANTED(has_before_durable)) {
            td_inc_durable(core, inc, core->incs[inc].received);
        }
    }
    td_slot_release(core, slot);
    return true;
}

/* Ours by our own hand, not given back by somebody after a loss. */
static bool accepted_here(const struct td_core *core, struct td_origin origin)
{
    return origin.region.v == core->config.self.v &&
           td_incarnation_compare(origin.incarnation, core->replayed_draw) == 0;
}

void td_batch_replay(struct td_core *core, const struct td_batch *batch, struct td_log_ref ref)
{
    const struct td_batch_header *header = &batch->header;
    if (!batch_bounds_ok(batch) || !roster_allows(core, header)) {
        TD_COUNT(core, rejected_closed, 1);
        return;
    }
    /* Merged before the roster's list was written without it: shown until it is said again (again.c), but
     * never part of `has`. */
    const bool is_void = beyond_lists(core, header);
    core->void_replayed = core->void_replayed || is_void;
    const uint16_t inc = td_inc_intern(core, header->origin);
    const struct td_region via = { accepted_here(core, header->origin) ? core->config.self.v : 0 };
    const uint32_t slot = inc == TD_INC_NONE ? TD_NONE
                                             : td_slot_add(core, inc, header->first_seq, header->count,
                                                           batch->whole, via);
    if (slot == TD_NONE) {
        TD_COUNT(core, rejected_bounds, 1);
        td_start_hole(core, ref.position); /* a claim behind it would say that it is here */
        return;
    }
    core->slots[slot].ref = ref;
    core->slots[slot].durable = true;
    core->slots[slot].index_last = batch->deltas[batch->present_count - 1].index;
    core->slots[slot].stored_count = batch->present_count;
    core->incs[inc].key_number = header->key_number;
    core->slots[slot].in_ring = true;
    if (!is_void) {
        td_inc_signed(core, header->origin, header->first_seq + header->count - 1);
        td_slot_anchor(core, slot);
    }
    const struct accepted result = merge_present(core, batch, slot);
    core->slots[slot].in_ring = false;
    TD_COUNT(core, rejected_bounds, result.no_room);
    const uint8_t region_slot = core->slot_of[header->origin.region.v];
    if (batch->whole && result.no_room == 0 && !is_void) {
        const bool next_in_line = advance_received(core, batch, inc);
        if (core->incs[inc].received > core->incs[inc].durable) {
            td_inc_durable(core, inc, core->incs[inc].received);
        }
        if (next_in_line && region_slot != 255) {
            td_ring_push(core, region_slot, slot);
        }
    }
    td_slot_release(core, slot);
}

static void fix_losers(struct td_loser *losers, uint64_t from, uint64_t to, struct td_log_ref ref)
{
    const uint64_t oldest = to > TD_LOSERS ? to - TD_LOSERS : 0;
    for (uint64_t n = (from > oldest ? from : oldest) + 1; n <= to; ++n) {
        struct td_loser *loser = &losers[n % TD_LOSERS];
        if (loser->ref.ticket.v == ref.ticket.v) {
            loser->ref = ref;
        }
    }
}

void td_batch_stored(struct td_core *core, const struct td_store *store, const struct td_event *event)
{
    struct td_log_ref ref = event->u.stored.ref;
    struct td_inc *inc = &core->incs[store->inc];
    ref.ticket.v = store->ticket;
    TD_ASSERT(inc->storing > 0);
    inc->storing -= 1;
    if (!event->u.stored.durable) {
        if (store->slot != TD_NONE) {
            core->slots[store->slot].failed = true;
            core->slots[store->slot].anchor_next = false;
            td_again_unwritten(core);
            if (core->slots[store->slot].in_ring) { /* its bytes are nowhere: it cannot be served */
                td_ring_drop(core, core->slot_of[inc->origin.region.v]);
            } else {
                td_slot_release(core, store->slot);
            }
        }
        td_inc_fall_back(core, store->inc);
        return;
    }
    fix_losers(core->losers, store->loser_from, core->loser_number, ref);
    fix_losers(core->losers_concurrent, store->loser_concurrent_from,
               core->loser_concurrent_number, ref);
    if (store->slot != TD_NONE) {
        core->slots[store->slot].ref = ref;
        core->slots[store->slot].durable = true;
        td_slot_anchor(core, store->slot);
        td_slot_release(core, store->slot);
    }
    if (store->advance_to > 0) {
        td_inc_durable(core, store->inc, store->advance_to);
    }
    if (inc->storing == 0) { /* also what was merged beyond a hole that has closed since */
        td_inc_durable(core, store->inc, inc->received);
    }
}
