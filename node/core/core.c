/* core.c -- the way in: lays out the block, dispatches events by type, runs what ends every step. */
#include <string.h>

#include "node/core/own.h"

void *td_block_take(struct td_block *block, size_t count, size_t size)
{
    const size_t at = (block->used_bytes + 63) / 64 * 64;
    block->used_bytes = at + count * size;
    return block->bytes != NULL ? block->bytes + at : NULL;
}

/* The same calls measure (block->bytes == NULL) and lay out; core->config is set. */
static void lay_out(struct td_core *core, struct td_block *block)
{
    core->regions = td_block_take(block, TD_SLOTS, sizeof *core->regions);
    core->links = td_block_take(block, core->config.limits.links_max, sizeof *core->links);
    core->incs = td_block_take(block, TD_INCS_MAX, sizeof *core->incs);
    core->inc_order = td_block_take(block, TD_INCS_MAX, sizeof *core->inc_order);
    core->stores = td_block_take(block, TD_STORES, sizeof *core->stores);
    core->refused = td_block_take(block, TD_REFUSALS, sizeof *core->refused);
    core->backlogs = td_block_take(block, TD_SLOTS, sizeof *core->backlogs);
    td_slots_layout(core, block);
    td_fx_layout(core, block);
    td_table_layout(core, block);
    td_publish_layout(core, block);
    td_pending_layout(core, block);
    td_query_layout(core, block);
    td_repair_layout(core, block);
    td_compact_layout(core, block);
}

size_t td_core_bytes(const struct td_core_config *config)
{
    struct td_core probe;
    struct td_block block = { .bytes = NULL, .used_bytes = sizeof probe };
    memset(&probe, 0, sizeof probe);
    probe.config = *config;
    lay_out(&probe, &block);
    return block.used_bytes;
}

struct td_core *td_core_init(const struct td_core_config *config, void *bytes)
{
    struct td_core *core = bytes;
    struct td_block block = { .bytes = bytes, .used_bytes = sizeof *core };
    core->config = *config;
    TD_ASSERT((config->limits.change_ring & (config->limits.change_ring - 1)) == 0);
    TD_ASSERT(config->limits.change_ring > 0);
    TD_ASSERT(config->limits.ring_batches > 0);
    TD_ASSERT(config->limits.batches_max > 1);
    TD_ASSERT(config->limits.pending_deltas_max > 0);
    TD_ASSERT(config->limits.links_max > 0);
    lay_out(core, &block);
    memset(core->slot_of, 255, sizeof core->slot_of);
    core->self_slot = 255;
    core->log_was_empty = true;
    core->deadline_ms = UINT64_MAX;
    core->transfer.link = TD_NONE;
    for (uint32_t i = 0; i < TD_SLOTS; ++i) {
        core->regions[i].source = TD_NONE;
    }
    td_vectors_init(core);
    td_table_init(core);
    return core;
}

static void dispatch_request(struct td_core *core, const struct td_event *event)
{
    const struct td_request *request = event->u.request.request;
    switch (request->op) {
    case TD_OP_CANCEL:
        td_pending_cancel(core, event->u.request.client_link, request->u.cancel_id);
        break;
    case TD_OP_PUBLISH:
        if (core->started) {
            td_publish_request(core, event);
            break;
        }
        TD_COUNT(core, refused_other, request->u.publish.count);
        (void)td_query_error(core, event->u.request.client_link, request->id, request->op,
                             TD_ESTARTING);
        break;
    default:
        td_query_request(core, event);
        break;
    }
}

/* Before the log is replayed there is no state to talk about: peers are told nothing yet. */
static bool waits_for_start(const struct td_core *core, enum td_event_type type)
{
    return !core->started && (type == TD_EV_FRAME || type == TD_EV_TICK || type == TD_EV_LINK_RTT);
}

static void dispatch(struct td_core *core, const struct td_event *event)
{
    if (waits_for_start(core, event->type)) {
        return;
    }
    switch (event->type) {
    case TD_EV_START:
        td_start_records(core, event);
        break;
    case TD_EV_TICK:
        break; /* every step looks at the deadline */
    case TD_EV_ROSTER:
        td_peers_roster(core, event->u.roster);
        break;
    case TD_EV_LINK_UP:
        td_peers_up(core, event);
        break;
    case TD_EV_LINK_DOWN:
        td_peers_down(core, event);
        break;
    case TD_EV_LINK_RTT:
        td_peers_rtt(core, event);
        break;
    case TD_EV_FRAME:
        td_peers_frame(core, event);
        break;
    case TD_EV_REQUEST:
        dispatch_request(core, event);
        break;
    case TD_EV_STORED:
        td_stored(core, event);
        break;
    case TD_EV_HEAD_SIGNED:
        td_heads_signed(core, event);
        break;
    case TD_EV_RANDOM:
        td_incarnation_random(core, event->u.random.bits);
        break;
    case TD_EV_COMPACT:
        td_compact_event(core, event);
        break;
    }
}

static void run_ticks(struct td_core *core, bool ticked)
{
    if (!ticked && core->now.boot_ms < core->deadline_ms) {
        return;
    }
    core->deadline_ms = UINT64_MAX;
    td_publish_tick(core);
    td_pending_tick(core);
    td_peers_tick(core);
    td_heads_tick(core);
    td_live_tick(core);
    td_transfer_tick(core);
    td_repair_tick(core);
    td_compact_tick(core);
}

static void end_step(struct td_core *core)
{
    if (core->has_moved) {
        td_transfer_stored(core); /* may apply a claim, which moves the vectors once more */
        core->has_moved = false;
        td_fresh_update(core);
        td_pending_has_moved(core);
    }
    if (core->table_changed) {
        core->table_changed = false;
        td_pending_changed(core);
    }
    td_again_pump(core);
    td_publish_flush(core);
    td_pending_pump(core);
    td_live_pump(core);
    td_transfer_pump(core);
}

const struct td_effect *td_core_step(struct td_core *core, const struct td_event *event,
                                     size_t *ret_count)
{
    td_fx_reset(core);
    core->now = event->now;
    core->step_number += 1;
    dispatch(core, event);
    if (core->started) {
        run_ticks(core, event->type == TD_EV_TICK);
        end_step(core);
        td_backlog_step(core);
        td_metrics_step(core);
    }
    return td_fx_finish(core, ret_count);
}

uint64_t td_core_deadline_ms(const struct td_core *core)
{
    return core->deadline_ms;
}

struct td_vv td_core_has(const struct td_core *core)
{
    return core->has.vv;
}

uint64_t td_core_received_seq(const struct td_core *core, struct td_origin origin)
{
    if (origin.incarnation.start < core->fold_below[origin.region.v]) {
        return TD_SEQ_MAX;
    }
    const uint16_t inc = td_inc_find(core, origin);
    return inc == TD_INC_NONE ? 0 : core->incs[inc].received;
}

struct td_incarnation td_core_process(const struct td_core *core)
{
    return core->process;
}
