/* again.c -- what is shown here and that nobody could get from here is said again under the running
 * incarnation: own groups that a closing made void, what lies under start numbers that others have folded,
 * what came from elsewhere, could not be written, and is held by nobody in reach, and what the roster lets
 * nobody take any more (leaving.c). A walk over all
 * registers, a slice a step; it waits while the queue of own deltas is half full. */
#include "node/core/own.h"
#include "node/core/peers.h"
#include "node/core/plant.h"

enum { AGAIN_SLICE = 4096, AGAIN_PAUSE_MS = 1000, UNWRITTEN_PATIENCE_MS = 10000, HOPE_MS = 30000 };

void td_again_begin(struct td_core *core)
{
    core->again_left = core->register_used_max;
}

/* A later report may be queued already: it has seen what lies here. */
static bool queued_already(const struct td_core *core, const struct td_register *reg,
                           uint64_t pending)
{
    if (pending == 0) {
        return false;
    }
    const struct td_delta *queued = td_own_delta(core, pending);
    const uint8_t queued_rank = td_state_rank(queued->status.state);
    const uint8_t rank = td_state_rank((enum td_state)reg->state);
    return queued_rank > rank ||
           (queued_rank == rank && td_stamp_compare(queued->stamp, reg->stamp) >= 0);
}

/* False = no room now. */
static bool queue_again(struct td_core *core, uint32_t index)
{
    const struct td_register *reg = &core->registers[index];
    struct td_dot clock[TD_CLOCK_ENTRIES_MAX];
    struct td_body_view view;
    td_body_unpack(core, reg->body, &view);
    struct td_delta delta = view.delta;
    delta.attempt = reg->attempt;
    /* Of two equal stamps the higher origin wins, and this one has seen the other. */
    const bool foreign = td_register_dot(core, reg).origin.region.v != core->config.self.v;
    delta.stamp = foreign ? td_stamp_next(reg->stamp, 0) : reg->stamp;
    delta.status.state = (enum td_state)reg->state;
    delta.job_hash = reg->job_hash;
    delta.clock_count = (uint8_t)td_register_seen(core, index, clock);
    delta.clock = clock;
    const uint64_t pending = td_own_find(core, delta.job_hash, delta.job, delta.attempt);
    if (queued_already(core, reg, pending)) {
        return true;
    }
    const struct td_body_parts parts = { .delta = &delta };
    const uint32_t words = td_body_words(&parts);
    if (td_own_half_full(core) ||
        core->body_words_used + core->reserved_words + words > core->body_words_max) {
        return false;
    }
    return td_own_add(core, &delta, pending, words, false, TD_NONE) == TD_OK;
}

/* A register whose batch could not be written: its signed bytes are nowhere. Who holds them gives them once
 * more, in a transfer; when nobody in reach does, its origin may have lost its disk, and a transfer from
 * here is refused as long as this lies here. Several that could not write refuse each other's: nobody hopes
 * for longer than half a minute after the disk refused last. */
static bool unwritten(const struct td_core *core, const struct td_register *reg)
{
    const struct td_dot dot = td_register_dot(core, reg);
    if (!core->slots[reg->slot].failed) {
        return false;
    }
    if (core->now.boot_ms >= core->unwritten_last_ms + HOPE_MS && !TD_PLANTED(hopes_for_ever)) {
        return true;
    }
    for (uint32_t i = 0; i < core->link_used_max; ++i) {
        const struct td_link *link = &core->links[i];
        /* What is folded is not sent any more: that it is covered helps nobody. */
        if (td_link_up(link) && link->has_known && td_vv_seq(&link->has.vv, dot.origin) >= dot.seq) {
            return false;
        }
    }
    return true;
}

static void look_again(struct td_core *core)
{
    if (core->unwritten_ms == 0) {
        core->unwritten_ms = td_max_u64(core->now.boot_ms, 1);
    }
}

void td_again_unwritten(struct td_core *core)
{
    core->unwritten_last_ms = core->now.boot_ms;
    look_again(core);
}

/* As long as there are such registers they are looked for again: a link may end that gave hope. */
static void unwritten_tick(struct td_core *core)
{
    const uint64_t due_ms = core->unwritten_ms + UNWRITTEN_PATIENCE_MS;
    if (core->unwritten_ms == 0 || core->again_left > 0 || TD_PLANTED(unwritten_kept)) {
        return;
    }
    if (core->now.boot_ms < due_ms) {
        td_deadline(core, due_ms);
        return;
    }
    core->unwritten_ms = 0;
    td_again_begin(core);
}

static bool counts_no_more(const struct td_core *core, const struct td_register *reg)
{
    if (!reg->used) {
        return false;
    }
    const struct td_slot *slot = &core->slots[reg->slot];
    const struct td_inc *inc = &core->incs[slot->inc];
    if (td_leaving_void(core, reg)) {
        return true;
    }
    if (slot->failed && slot->via != core->config.self.v) {
        return unwritten(core, reg);
    }
    if (inc->origin.region.v != core->config.self.v) {
        return false;
    }
    const bool is_void = inc->closed && td_register_dot(core, reg).seq > inc->closed_last;
    const bool is_folded = slot->via == core->config.self.v &&
                           inc->origin.incarnation.start < core->again_below;
    return is_void || is_folded;
}

/* Under an incarnation that a crash does not forget, that is not closed and that nobody folded. */
static bool may_say(const struct td_core *core)
{
    const struct td_origin running = { core->config.self, core->process };
    const uint16_t index = td_inc_find(core, running);
    return core->self_slot < TD_SLOTS && core->incarnation_durable && !core->incarnation_wanted &&
           core->process.start >= core->again_below &&
           (index == TD_INC_NONE || !core->incs[index].closed);
}

void td_again_pump(struct td_core *core)
{
    unwritten_tick(core);
    td_leaving_tick(core);
    if (core->again_left == 0 || !may_say(core)) {
        return;
    }
    for (uint32_t i = 0; i < AGAIN_SLICE && core->again_left > 0; ++i) {
        if (core->again_at >= core->register_used_max) {
            core->again_at = 0;
        }
        const struct td_register *reg = &core->registers[core->again_at];
        if (reg->used && core->slots[reg->slot].failed) {
            look_again(core);
        }
        if (counts_no_more(core, reg) &&
            !queue_again(core, core->again_at)) {
            td_deadline(core, core->now.boot_ms + AGAIN_PAUSE_MS);
            return;
        }
        core->again_at += 1;
        core->again_left -= 1;
    }
    if (core->again_left > 0) {
        td_deadline(core, core->now.boot_ms);
    }
}
