/* peers.c -- links to other regions: up, down, credit, and the control messages which are kept as
 * marks until a step has room for them. */
#include "node/core/peers.h"
#include "node/core/plant.h"

#include <string.h>

/* Bytes in flight per lane that a sender may have: the receiver's promise of memory. */
static const uint64_t credit_window[TD_LANE_COUNT] = {4 << 20, 4 << 20, 1 << 20};
enum { CREDIT_MAX = 1 << 30 };

uint32_t td_link_find(const struct td_core *core, struct td_link_id id)
{
    for (uint32_t i = 0; id.v != 0 && i < core->link_used_max; i++) {
        if (core->links[i].id.v == id.v) {
            return i;
        }
    }
    return TD_NONE;
}

uint32_t td_link_of(const struct td_core *core, uint8_t region_slot)
{
    uint32_t best = TD_NONE;

    for (uint32_t i = 0; i < core->link_used_max; i++) {
        const struct td_link *link = &core->links[i];
        if (td_link_up(link) && link->region_slot == region_slot &&
            (best == TD_NONE || link->id.v > core->links[best].id.v)) {
            best = i;
        }
    }
    return best;
}

enum td_link_view td_peers_view(const struct td_core *core, uint8_t region_slot)
{
    if (region_slot == core->self_slot) {
        return TD_LINK_SELF;
    }
    uint32_t link = td_link_of(core, region_slot);
    if (link != TD_NONE) {
        return core->links[link].late ? TD_LINK_LATE : TD_LINK_UP;
    }
    return core->regions[region_slot].link_view == 0 ||
                   core->regions[region_slot].link_view == TD_LINK_UNKNOWN
               ? TD_LINK_UNKNOWN
               : TD_LINK_DOWN;
}

void td_peers_views(struct td_core *core)
{
    for (uint8_t slot = 0; slot < TD_SLOTS; slot++) {
        struct td_region_info *region = &core->regions[slot];
        if (region->number.v == 0 || slot == core->self_slot) {
            continue;
        }
        enum td_link_view view = td_peers_view(core, slot);
        if (region->link_view != view) {
            if (view != TD_LINK_UNKNOWN) {
                td_fx_trace(core, TD_TR_LINK_STATE, region->number, view, 0);
            }
            region->link_view = (uint8_t)view;
        }
    }
}

void td_link_close(struct td_core *core, uint32_t index, enum td_err why)
{
    struct td_link *link = &core->links[index];

    if (!td_link_up(link)) {
        return;
    }
    struct td_effect *effect = td_fx_add(core, TD_FX_CLOSE_LINK);
    effect->u.close_link.link = link->id;
    effect->u.close_link.why = why;
    link->closing = true;
    td_live_link_down(core, index);
    td_transfer_link_down(core, index);
    td_repair_link_down(core, index);
    td_peers_views(core);
}

static void refuse_link(struct td_core *core, struct td_link_id id, enum td_err why)
{
    struct td_effect *effect = td_fx_add(core, TD_FX_CLOSE_LINK);
    effect->u.close_link.link = id;
    effect->u.close_link.why = why;
}

static uint32_t link_free(struct td_core *core)
{
    for (uint32_t i = 0; i < core->config.limits.links_max; i++) {
        if (core->links[i].id.v == 0) {
            return i;
        }
    }
    return TD_NONE;
}

/* Newest heads of all regions we hold go to a new link at once, its own excepted. */
static uint64_t heads_held(const struct td_core *core, uint8_t except)
{
    uint64_t held = 0;

    for (uint8_t slot = 0; slot < TD_SLOTS; slot++) {
        if (slot != except && td_head_held(core, slot)) {
            held |= td_bit(slot);
        }
    }
    return held;
}

static bool link_acceptable(struct td_core *core, const struct td_event *event)
{
    struct td_region region = event->u.link_up.region;
    struct td_link_id id = event->u.link_up.link;

    if (!core->started) { /* its first frames would find nobody: let it dial again */
        refuse_link(core, id, TD_ESTARTING);
        return false;
    }
    if (region.v == core->config.self.v) { /* somebody else holds our key */
        struct td_region_info *self = &core->regions[core->self_slot % TD_SLOTS];
        if (core->self_slot < TD_SLOTS && !self->clone_suspected) {
            self->clone_suspected = true;
            td_fx_trace(core, TD_TR_CLONE, region, 0, 0);
        }
        td_incarnation_seen(core, event->u.link_up.process);
        refuse_link(core, id, TD_ECLONE);
        return false;
    }
    uint8_t slot = td_region_slot(core, region);
    if (slot == TD_SLOTS || core->regions[slot].roster_state == TD_REGION_CLOSED) {
        refuse_link(core, id, TD_ECLOSED);
        return false;
    }
    return true;
}

void td_peers_up(struct td_core *core, const struct td_event *event)
{
    if (!link_acceptable(core, event)) {
        return;
    }
    uint32_t index = link_free(core);
    if (index == TD_NONE) {
        refuse_link(core, event->u.link_up.link, TD_EBUSY);
        return;
    }
    struct td_link *link = &core->links[index];
    memset(link, 0, sizeof *link);
    link->id = event->u.link_up.link;
    link->region_slot = td_region_slot(core, event->u.link_up.region);
    link->process = event->u.link_up.process;
    link->up_boot_ms = link->answered_ms = core->now.boot_ms;
    link->has_dirty = true;
    memcpy(link->consumed, credit_window, sizeof credit_window); /* granted by the pump */
    link->head_due = heads_held(core, link->region_slot);
    if (index >= core->link_used_max) {
        core->link_used_max = index + 1;
    }
    td_live_link_up(core, index);
    td_heads_ask(core);
    td_peers_views(core);
}

void td_peers_down(struct td_core *core, const struct td_event *event)
{
    uint32_t index = td_link_find(core, event->u.link_down.link);

    if (index == TD_NONE) {
        return;
    }
    struct td_link *link = &core->links[index];
    bool told = link->closing;
    link->closing = true; /* nobody chooses it any more */
    if (!told) {
        td_live_link_down(core, index);
        td_transfer_link_down(core, index);
        td_repair_link_down(core, index);
    }
    link->id.v = 0;
    td_peers_views(core);
}

void td_peers_rtt(struct td_core *core, const struct td_event *event)
{
    uint32_t index = td_link_find(core, event->u.link_rtt.link);

    if (index == TD_NONE) {
        return;
    }
    struct td_link *link = &core->links[index];
    link->probes = (uint16_t)(link->probes << 1);
    if (event->u.link_rtt.answered) {
        td_phi_answered(core, link, event->u.link_rtt.rtt_us);
    } else {
        link->late = true;
    }
    td_peers_views(core);
}

bool td_peers_charge(struct td_core *core, uint32_t index, enum td_lane lane, uint64_t bytes)
{
    struct td_link *link = &core->links[index];

    if (bytes > link->granted[lane]) {
        TD_COUNT(core, credit_exceeded, 1);
        td_fx_trace(core, TD_TR_CREDIT_EXCEEDED, td_link_region(core, link)->number, lane, bytes);
        td_link_close(core, index, TD_ETOOBIG);
        return false;
    }
    link->granted[lane] -= bytes;
    link->consumed[lane] += bytes;
    return true;
}

static void credit_received(struct td_core *core, struct td_link *link, const struct td_msg *msg)
{
    enum td_lane lane = msg->u.credit.lane;

    if ((unsigned)lane >= TD_LANE_COUNT) {
        return;
    }
    link->credit[lane] =
        td_min_u64(CREDIT_MAX, link->credit[lane] + td_min_u64(CREDIT_MAX, msg->u.credit.bytes));
    if (lane == TD_LANE_LIVE) {
        td_deadline(core, core->now.boot_ms);
    }
}

static void has_received(struct td_core *core, uint32_t index, const struct td_vv *has)
{
    struct td_link *link = &core->links[index];

    if (!td_vv_store_set(&link->has, has)) {
        TD_COUNT(core, rejected_bounds, 1);
        return;
    }
    link->has_known = true;
    td_source_has(core, index);
    td_pending_has_moved(core);
}

static void head_asked(struct td_core *core, struct td_link *link, struct td_region region)
{
    uint8_t slot = td_region_slot(core, region);

    if (slot < TD_SLOTS && td_head_held(core, slot)) {
        link->head_due |= td_bit(slot);
    }
}

void td_peers_frame(struct td_core *core, const struct td_event *event)
{
    uint32_t index = td_link_find(core, event->u.frame.link);

    if (index == TD_NONE || core->links[index].closing) {
        return;
    }
    struct td_link *link = &core->links[index];
    const struct td_msg *msg = event->u.frame.msg;
    TD_COUNT(core, rejected_signature, event->u.frame.rejected);
    for (size_t i = 0; i < event->u.frame.refused_count; i++) {
        td_refused_add(core, &event->u.frame.refused[i]);
    }
    switch (msg->type) {
    case TD_MSG_HEAD:
        td_heads_received(core, index, msg->u.head);
        break;
    case TD_MSG_HEAD_ASK:
        head_asked(core, link, msg->u.region);
        break;
    case TD_MSG_WANT_LIVE:
        td_live_want(core, index, msg);
        break;
    case TD_MSG_WANT_ALL:
        td_transfer_asked(core, index, msg);
        break;
    case TD_MSG_CREDIT:
        credit_received(core, link, msg);
        break;
    case TD_MSG_HAS:
        has_received(core, index, &msg->u.has);
        break;
    case TD_MSG_LIVE:
        td_live_received(core, index, event);
        break;
    case TD_MSG_NOT_WHOLE:
        td_live_not_whole(core, index, msg->u.region);
        break;
    case TD_MSG_TRANSFER_CHUNK:
        td_transfer_chunk(core, index, event);
        break;
    case TD_MSG_TRANSFER_END:
        td_transfer_end(core, index, msg);
        break;
    case TD_MSG_TRANSFER_NO:
        td_transfer_no(core, index, msg->u.transfer_no_id);
        break;
    case TD_MSG_PROOF:
        td_heads_proof(core, index, event);
        break;
    default: /* digests, buckets, fetches; anything else falls through there */
        td_repair_frame(core, index, event);
        break;
    }
}

/* Every region that may be asked; regions without a link count too: a relay has their deltas. */
uint32_t td_peers_ackable(const struct td_core *core)
{
    uint32_t count = 0;

    for (uint8_t slot = 0; slot < TD_SLOTS; slot++) {
        count += core->regions[slot].number.v != 0 && slot != core->self_slot &&
                 core->regions[slot].roster_state == TD_REGION_ACTIVE;
    }
    return count;
}

uint32_t td_peers_covering(const struct td_core *core, struct td_dot dot)
{
    uint32_t count = 0;

    for (uint8_t slot = 0; slot < TD_SLOTS; slot++) {
        const struct td_region_info *region = &core->regions[slot];
        if (region->number.v == 0 || slot == core->self_slot || region->recovering ||
            region->roster_state != TD_REGION_ACTIVE) {
            continue;
        }
        uint32_t link = td_link_of(core, slot);
        /* An announcement comes from the running process; whether that one recovers, only a head
         * of it tells. */
        bool covers = region->heard && (td_vv_covers_dot(&region->head_has.vv, dot) ||
                                        TD_PLANTED(ack_counts_not_durable));
        if (!covers && region->heard && link != TD_NONE && core->links[link].has_known) {
            covers =
                td_vv_covers_dot(&core->links[link].has.vv, dot) &&
                td_incarnation_compare(core->links[link].process, region->head_incarnation) <= 0;
        }
        count += covers;
    }
    return count;
}

/* ---- the pump of control messages ---- */
static bool pump_credit(struct td_core *core, uint32_t index)
{
    struct td_link *link = &core->links[index];

    for (unsigned lane = 0; lane < TD_LANE_COUNT; lane++) {
        if (link->consumed[lane] < credit_window[lane] / 2 || TD_PLANTED(grant_no_credit)) {
            continue;
        }
        struct td_out *out = td_fx_out(core, index, TD_OUT_MSG);
        if (out == NULL) {
            return false;
        }
        out->u.msg.type = TD_MSG_CREDIT;
        out->u.msg.u.credit.lane = (enum td_lane)lane;
        out->u.msg.u.credit.bytes = link->consumed[lane];
        link->granted[lane] += link->consumed[lane];
        link->consumed[lane] = 0;
        TD_ASSERT(link->granted[lane] <= credit_window[lane]);
    }
    return true;
}

static uint8_t take_bit(uint64_t *bits)
{
    uint8_t slot = (uint8_t)__builtin_ctzll(*bits);
    *bits &= *bits - 1;
    return slot;
}

/* One message per set bit; the bit goes when the message is in. */
static bool pump_region_bits(struct td_core *core, uint32_t index, uint64_t *bits,
                             enum td_msg_type type)
{
    while (*bits != 0) {
        struct td_out *out = td_fx_out(core, index, TD_OUT_MSG);
        if (out == NULL) {
            return false;
        }
        struct td_region region = core->regions[take_bit(bits)].number;
        out->u.msg.type = type;
        if (type == TD_MSG_WANT_LIVE) {
            out->u.msg.u.want_live.region = region;
            out->u.msg.u.want_live.on = bits == &core->links[index].want_due;
            if (out->u.msg.u.want_live.on) {
                out->u.msg.u.want_live.from = td_vectors_received_of(core, region);
            }
        } else {
            out->u.msg.u.region = region;
        }
    }
    return true;
}

static bool pump_heads(struct td_core *core, uint32_t index)
{
    struct td_link *link = &core->links[index];

    while (link->head_due != 0) {
        struct td_out *out = td_fx_out(core, index, TD_OUT_HEAD);
        if (out == NULL) {
            return false;
        }
        out->u.region = core->regions[take_bit(&link->head_due)].number;
    }
    return true;
}

static bool pump_has(struct td_core *core, uint32_t index)
{
    struct td_link *link = &core->links[index];

    if (link->has_dirty) {
        struct td_out *out = td_fx_out(core, index, TD_OUT_MSG);
        if (out == NULL) {
            return false;
        }
        out->u.msg.type = TD_MSG_HAS;
        out->u.msg.u.has = td_vectors_has(core);
        link->has_dirty = false;
    }
    if (link->no_due) {
        struct td_out *out = td_fx_out(core, index, TD_OUT_MSG);
        if (out == NULL) {
            return false;
        }
        out->u.msg.type = TD_MSG_TRANSFER_NO;
        out->u.msg.u.transfer_no_id = link->no_id;
        link->no_due = false;
    }
    return true;
}

/* Heads go before `has`: what `has` names should be signed when it arrives. */
bool td_peers_pump_link(struct td_core *core, uint32_t index)
{
    struct td_link *link = &core->links[index];

    return pump_credit(core, index) && pump_heads(core, index) && pump_has(core, index) &&
           pump_region_bits(core, index, &link->want_off_due, TD_MSG_WANT_LIVE) &&
           pump_region_bits(core, index, &link->want_due, TD_MSG_WANT_LIVE) &&
           pump_region_bits(core, index, &link->not_whole_due, TD_MSG_NOT_WHOLE) &&
           pump_region_bits(core, index, &link->ask_due, TD_MSG_HEAD_ASK) &&
           td_transfer_pump_want(core, index);
}

/* Every timer of this folder's network half. */
void td_peers_tick(struct td_core *core)
{
    if (!core->started) {
        return;
    }
    if (core->started_boot_ms == 0) {
        core->started_boot_ms = td_max_u64(core->now.boot_ms, 1);
    }
    td_phi_tick(core);
    td_peers_views(core);
    td_fresh_tick(core);
    td_cut_tick(core);
}
