/* live.c -- the live lane: each region's newest whole batches, once to whoever asked for them,
 * within the credit it granted. A sender keeps one serial per region and link: a slow peer costs
 * nothing. */
#include "node/core/peers.h"
#include "node/core/plant.h"

/* ---- asking ---- */
void td_live_link_up(struct td_core *core, uint32_t index)
{
    for (uint8_t slot = 0; slot < TD_SLOTS; slot++) {
        if (core->regions[slot].number.v != 0 && core->regions[slot].source == TD_NONE) {
            td_source_choose(core, slot);
        }
    }
    struct td_region_info *region = td_link_region(core, &core->links[index]);
    if (!region->direct_seen) {
        /* The region's first own link of this life: what stood in for it was never a choice, and going
         * over by lag later would use up the one change a second just when a cut may need it. */
        region->direct_seen = true;
        td_source_choose(core, core->links[index].region_slot);
    }
    if (region->source != index && td_link_of(core, core->links[index].region_slot) == index) {
        region->direct_ok_since_ms = core->now.boot_ms; /* goes back to direct when it keeps up */
        region->direct_mark.seq = 0;
    }
}

void td_live_link_down(struct td_core *core, uint32_t index)
{
    td_source_link_down(core, index);
}

static void need_transfer(struct td_core *core, uint8_t slot)
{
    core->regions[slot].need_transfer = true;
    td_transfer_want(core);
}

void td_live_not_whole(struct td_core *core, uint32_t index, struct td_region number)
{
    uint8_t slot = td_region_slot(core, number);

    if (slot < TD_SLOTS &&
        (core->regions[slot].source == index || td_trial_link(core, slot) == index)) {
        TD_COUNT(core, not_whole, 1);
        need_transfer(core, slot);
    }
}

void td_live_received(struct td_core *core, uint32_t index, const struct td_event *event)
{
    struct td_region via = td_link_region(core, &core->links[index])->number;

    if (!td_peers_charge(core, index, TD_LANE_LIVE, event->u.frame.payload_bytes)) {
        return;
    }
    for (size_t i = 0; i < event->u.frame.batch_count; i++) {
        const struct td_received_batch *received = &event->u.frame.batches[i];
        uint8_t slot = td_region_slot(core, received->batch->header.origin.region);
        if (slot == TD_SLOTS || slot == core->self_slot) {
            TD_COUNT(core, rejected_closed, 1);
            continue;
        }
        if (!td_store_room(core, 1)) { /* the disk is behind: fetched again by a transfer */
            TD_COUNT(core, refused_busy, 1);
            need_transfer(core, slot);
            continue;
        }
        TD_COUNT(core, live_batches_received, 1);
        const struct td_batch_header *header = &received->batch->header;
        (void)td_batch_accept(core, received, via, TD_LANE_LIVE);
        td_trial_brought(core, slot, index,
                         (struct td_dot){header->origin, header->first_seq + header->count - 1});
        uint16_t inc = td_inc_find(core, received->batch->header.origin);
        if (inc != TD_INC_NONE && core->incs[inc].hole_count > 0) {
            need_transfer(core, slot);
        }
    }
}

/* ---- serving ---- */

/* Where live starts for a peer that cannot be served whole: before the oldest batch that our `has`
 * does not name yet, so that whatever claim a transfer ends with, live begins below it. */
static uint64_t newest_serial(const struct td_core *core, uint8_t slot)
{
    const struct td_region_info *region = &core->regions[slot];
    uint64_t serial = region->ring_serial + region->ring_count;

    while (serial > region->ring_serial) {
        uint32_t batch = td_ring_at(core, slot, serial - 1);
        if (batch == TD_NONE || core->slots[batch].durable) {
            break;
        }
        serial -= 1;
    }
    return serial;
}

/* After a long absence the ring may still have everything, and nearly all of it be beaten: a transfer
 * brings what counts alone. Not for little, and not when most of it would come anyway. */
static bool mostly_beaten(const struct td_core *core, uint8_t slot, uint64_t serial)
{
    const struct td_region_info *region = &core->regions[slot];
    uint64_t updates = 0, live = 0;

    for (; serial < region->ring_serial + region->ring_count; serial++) {
        const struct td_slot *batch = &core->slots[td_ring_at(core, slot, serial)];
        updates += batch->count;
        live += batch->live_count;
    }
    uint32_t max = core->config.limits.live_updates_max;
    return max != 0 && updates > max && live < updates / 2;
}

void td_live_want(struct td_core *core, uint32_t index, const struct td_msg *msg)
{
    struct td_link *link = &core->links[index];
    uint8_t slot = td_region_slot(core, msg->u.want_live.region);

    if (slot == TD_SLOTS) {
        return;
    }
    link->wants[slot] = msg->u.want_live.on;
    link->not_whole_due &= ~td_bit(slot);
    if (!msg->u.want_live.on) {
        link->live_due &= ~td_bit(slot);
        return;
    }
    if (!td_ring_seek(core, slot, &msg->u.want_live.from, &link->want_serial[slot]) ||
        mostly_beaten(core, slot, link->want_serial[slot])) {
        link->want_serial[slot] = newest_serial(core, slot);
        link->not_whole_due |= td_bit(slot);
    }
    link->live_due |= td_bit(slot);
    if (slot != link->region_slot && td_head_held(core, slot)) {
        link->head_due |= td_bit(slot); /* heads follow the live source of their region */
    }
}

void td_live_ring_grew(struct td_core *core, uint8_t slot)
{
    for (uint32_t i = 0; i < core->link_used_max; i++) {
        if (core->links[i].wants[slot]) {
            core->links[i].live_due |= td_bit(slot);
        }
    }
}

/* Next wanted region after the one served last. */
static uint8_t next_due(struct td_link *link)
{
    uint64_t after = link->live_due & ~(td_bit(link->pump_next) | (td_bit(link->pump_next) - 1));
    uint64_t bits = after != 0 ? after : link->live_due;

    link->pump_next = (uint8_t)__builtin_ctzll(bits);
    return link->pump_next;
}

/* Sends one batch. False when this link can take no more in this step. */
static bool send_one(struct td_core *core, uint32_t index, uint8_t slot)
{
    struct td_link *link = &core->links[index];
    const struct td_region_info *region = &core->regions[slot];

    if (link->want_serial[slot] < region->ring_serial) { /* it was overtaken by the ring */
        link->want_serial[slot] = newest_serial(core, slot);
        link->not_whole_due |= td_bit(slot);
    }
    if (link->want_serial[slot] + TD_PLANTED(lose_quiet_tail) >=
        region->ring_serial + region->ring_count) {
        link->live_due &= ~td_bit(slot);
        return true;
    }
    uint32_t batch = td_ring_at(core, slot, link->want_serial[slot]);
    TD_ASSERT(batch != TD_NONE);
    const struct td_slot *source = &core->slots[batch];
    /* What we accepted ourselves; a clone's reports of our region may be on their way to the disk. */
    TD_ASSERT(source->via != core->config.self.v || source->durable);
    if (source->ref.bytes > link->credit[TD_LANE_LIVE]) {
        return false;
    }
    struct td_out *out = td_fx_out(core, index, TD_OUT_LIVE);
    if (out == NULL) {
        return false;
    }
    out->u.part.ref = source->ref;
    out->u.part.batch_count = source->count;
    out->u.part.keep_count = source->count;
    link->credit[TD_LANE_LIVE] -= source->ref.bytes;
    link->want_serial[slot] += 1;
    TD_COUNT(core, live_batches_sent, 1);
    return true;
}

void td_live_pump(struct td_core *core)
{
    td_fresh_clocks(core);
    for (uint32_t i = 0; i < core->link_used_max; i++) {
        struct td_link *link = &core->links[i];
        if (!td_link_up(link) || !core->started || !td_peers_pump_link(core, i)) {
            continue;
        }
        while (link->live_due != 0 && send_one(core, i, next_due(link))) {
        }
        if (link->not_whole_due != 0) {
            td_deadline(core, core->now.boot_ms);
        }
        (void)td_repair_pump_link(core, i);
    }
}

void td_live_tick(struct td_core *core)
{
    td_source_tick(core);
}
