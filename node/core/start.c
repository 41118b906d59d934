/* start.c -- recovery: a restart is a catch-up from oneself. Records of our own log come in their order
 * and go through the same merge as a peer's; the last one opens the node for business. */
#include "node/core/state.h"
#include "node/core/plant.h"

static void apply_closing(struct td_core *core, const struct td_closing *closing)
{
    const struct td_origin origin = { core->config.self, closing->incarnation };
    const uint16_t index = td_inc_intern(core, origin);
    if (index != TD_INC_NONE) {
        core->incs[index].lost = closing->lost;
        core->void_replayed = td_inc_void(core, index, closing->last_seq) || core->void_replayed;
    }
}

static void own_start(struct td_core *core, uint32_t start)
{
    if (start > core->start_highest) {
        core->start_highest = start;
    }
}

void td_start_hole(struct td_core *core, uint64_t position)
{
    if (core->log_compacted && !TD_PLANTED(compact_keeps_claims)) {
        td_vectors_unclaim(core); /* docs/decisions/0022 */
    }
    core->log_hole = true; /* later claims name what the hole may have held */
    core->recovered_logged = false;
    core->hole_count += 1;
    core->hole_mix = (core->hole_mix ^ position) * UINT64_C(0x9e3779b97f4a7c15);
}

static void apply_record(struct td_core *core, const struct td_record *record)
{
    switch (record->type) {
    case TD_RECORD_BATCH:
        if (record->u.batch->header.origin.region.v == core->config.self.v) {
            own_start(core, record->u.batch->header.origin.incarnation.start);
        }
        td_batch_replay(core, record->u.batch, record->ref);
        break;
    case TD_RECORD_HAS:
        if (!core->log_hole || TD_PLANTED(claim_over_log_hole)) {
            td_vectors_claim(core, &record->u.has);
        }
        break;
    case TD_RECORD_INCARNATION:
        own_start(core, record->u.incarnation.start);
        core->replayed_draw = record->u.incarnation;
        break;
    case TD_RECORD_CLOSING:
        apply_closing(core, &record->u.closing);
        break;
    case TD_RECORD_WALL:
        if (record->u.wall_ms > core->logged_wall_ms) {
            core->logged_wall_ms = record->u.wall_ms;
        }
        break;
    case TD_RECORD_COMPACTED:
        core->log_compacted = true;
        break;
    case TD_RECORD_HOLE:
        td_start_hole(core, record->ref.position);
        break;
    case TD_RECORD_RECOVERED:
        core->recovered_logged = record->u.recovered && !core->log_hole;
        break;
    case TD_RECORD_JOINED:
        if (core->slot_of[record->u.joined.v] != 255 && !TD_PLANTED(restart_forgets_members)) {
            core->regions[core->slot_of[record->u.joined.v]].joined = true;
            core->regions[core->slot_of[record->u.joined.v]].joined_logged = true;
        }
        break;
    case TD_RECORD_HOLES: /* not when another one turned up before it since */
        core->log_hole = core->log_hole && (record->u.holes.count != core->hole_count ||
                                            record->u.holes.mix != core->hole_mix);
        break;
    }
}

static bool others_in_roster(const struct td_core *core)
{
    for (uint32_t i = 0; i < TD_SLOTS; ++i) {
        if (core->regions[i].number.v != 0 && core->regions[i].number.v != core->config.self.v &&
            core->regions[i].roster_state != TD_REGION_CLOSED) {
            return true;
        }
    }
    return false;
}

static void open_for_business(struct td_core *core)
{
    core->started = true;
    if (!core->recovered_logged && (!core->have_roster || others_in_roster(core))) {
        core->recovering = true; /* recover.c says when it ends */
        td_fx_trace(core, TD_TR_RECOVERING, core->config.self, 1, 0);
    }
    td_fx_trace(core, TD_TR_STARTED, core->config.self, core->register_count, core->start_highest);
    core->holes_unmarked = core->log_hole; /* td_store_has writes it before the next claim */
    if (core->void_replayed) {
        td_again_begin(core);
    }
    td_incarnation_draw(core, TD_DRAW_START);
    td_deadline(core, core->now.boot_ms);
}

void td_start_records(struct td_core *core, const struct td_event *event)
{
    if (core->started) {
        return;
    }
    core->replaying = true;
    for (size_t i = 0; i < event->u.start.count; ++i) {
        core->log_was_empty = false;
        apply_record(core, &event->u.start.records[i]);
    }
    core->replaying = false;
    if (event->u.start.last) {
        open_for_business(core);
    }
}
