/* incarnation.c -- our own incarnation: drawn from the system's randomness at every start, after a failed
 * write and when somebody else is seen using ours; its start number is logged before its first delta. So
 * no restore, clone, lost flush or crash uses a sequence number twice. */
#include "node/core/peers.h"
#include "node/core/plant.h"

enum { TD_DRAW_PAUSE_MS = 1000 };
enum { TD_CLONE_PAUSE_MS = 60 * 1000, TD_CLONE_WINDOW_MS = 3600 * 1000, TD_CLONES_MAX = 3 };
/* Names without our signature: so far ahead at once, and so many draws an hour for one member. */
enum { TD_NAMED_LEAP_MAX = 65536, TD_NAMED_DRAWS_MAX = 4, TD_NAMED_WINDOW_MS = 3600 * 1000 };

void td_incarnation_ask(struct td_core *core)
{
    if (td_fx_room(core) == 0) {
        td_deadline(core, core->now.boot_ms);
        return;
    }
    core->incarnation_asked = true;
    (void)td_fx_add(core, TD_FX_RANDOM);
}

/* DESIGN 1, Incarnation: at most once a minute; the third within an hour stops publishing and alerts.
 * False = not now. */
static bool clone_allows(struct td_core *core)
{
    if (core->clone_count > 0 && core->now.boot_ms < core->clone_last_ms + TD_CLONE_PAUSE_MS) {
        return false;
    }
    if (core->clone_count == 0 || core->now.boot_ms >= core->clone_first_ms + TD_CLONE_WINDOW_MS) {
        core->clone_first_ms = core->now.boot_ms;
        core->clone_count = 0;
    }
    core->clone_count += 1;
    core->clone_last_ms = core->now.boot_ms;
    if (core->self_slot != 255) {
        core->regions[core->self_slot].clone_suspected = true;
    }
    td_fx_trace(core, TD_TR_CLONE, core->config.self, core->clone_count, 0);
    if (core->clone_count >= TD_CLONES_MAX && core->publish_refused != TD_ECLONE) {
        core->publish_refused = TD_ECLONE;
        td_fx_trace(core, TD_TR_PUBLISH_STOPPED, core->config.self, TD_ECLONE, 0);
    }
    return true;
}

/* A write that fails again at once meets a disk or log that is full: a small record fits where the group does
 * not, and each try costs a start number. Then td_publish_tick asks, a second later. */
static bool too_soon(struct td_core *core, unsigned reason)
{
    if (reason != TD_DRAW_STORE_FAILED) {
        return false;
    }
    const bool again =
        core->write_failed_ms != 0 && core->now.boot_ms < core->write_failed_ms + TD_DRAW_PAUSE_MS;
    core->write_failed_ms = core->now.boot_ms;
    if (again) {
        core->draw_from_ms = core->now.boot_ms + TD_DRAW_PAUSE_MS;
    }
    return again;
}

void td_incarnation_draw(struct td_core *core, unsigned reason)
{
    if (reason == TD_DRAW_CLONE && !clone_allows(core)) {
        return;
    }
    core->incarnation_reason = reason;
    core->incarnation_wanted = true;
    core->incarnation_durable = false;
    if (!too_soon(core, reason) && !core->incarnation_asked) {
        td_incarnation_ask(core);
    }
    td_deadline(core, core->now.boot_ms + TD_DRAW_PAUSE_MS);
}

/* Written before the record of the next incarnation. False when there is no room for it now. */
static bool close_void(struct td_core *core)
{
    struct td_record *record = td_store_record(core, TD_WHAT_OTHER, TD_RECORD_CLOSING);
    if (record == NULL) {
        return false;
    }
    const struct td_inc *inc = &core->incs[core->void_inc];
    record->u.closing = (struct td_closing){ inc->origin.incarnation, inc->durable, false };
    core->void_ticket = core->ticket_next;
    return true;
}

void td_incarnation_random(struct td_core *core, uint32_t bits)
{
    core->incarnation_asked = false;
    if (!core->started || !core->incarnation_wanted) {
        return;
    }
    if (core->start_highest == UINT32_MAX) {
        core->publish_refused = TD_ECLONE; /* start numbers are used up: only a clone does that */
        return;
    }
    if (core->void_inc != TD_INC_NONE && !close_void(core)) {
        return;
    }
    struct td_record *record = td_store_record(core, TD_WHAT_INCARNATION, TD_RECORD_INCARNATION);
    if (record == NULL) {
        return; /* td_publish_tick asks again */
    }
    core->start_highest += !TD_PLANTED(reuse_dot_after_restore);
    core->process = (struct td_incarnation){ core->start_highest, bits };
    core->process.random = TD_PLANTED(reuse_dot_after_restore) ? 7 : bits;
    core->own_inc = TD_INC_NONE;
    core->incarnation_wanted = false;
    core->incarnation_ticket = core->ticket_next;
    record->u.incarnation = core->process;
    TD_COUNT(core, incarnations, 1);
    td_fx_trace(core, TD_TR_INCARNATION, core->config.self, core->process.start,
                core->incarnation_reason);
    td_heads_ask(core);
}

void td_incarnation_durable(struct td_core *core, bool durable)
{
    if (core->stored_ticket != core->incarnation_ticket) {
        return; /* a newer one was drawn since */
    }
    const bool void_closed = core->void_inc == TD_INC_NONE || core->failed_ticket < core->void_ticket;
    if (!durable || !void_closed) {
        core->incarnation_wanted = true; /* td_publish_tick tries again: this is the probe of the disk */
        td_deadline(core, core->now.boot_ms + 1000);
        return;
    }
    if (core->void_inc != TD_INC_NONE) {
        (void)td_inc_void(core, core->void_inc, core->incs[core->void_inc].durable);
        core->void_inc = TD_INC_NONE;
    }
    core->incarnation_durable = !core->incarnation_wanted;
    if (!td_publish_queued(core)) { /* else the queue is the next probe: a small record fits where it does not */
        td_publish_resume(core);
    }
}

void td_incarnation_seen(struct td_core *core, struct td_incarnation incarnation)
{
    if (core->process.start != 0 && td_incarnation_compare(incarnation, core->process) == 0) {
        return; /* ourselves, as others name us */
    }
    if (incarnation.start > core->start_highest) {
        core->start_highest = incarnation.start;
    }
    if (td_incarnation_compare(incarnation, core->proven) > 0) {
        core->proven = incarnation; /* a draw may not be allowed now: its name will do later */
    }
    if (!core->started || core->process.start == 0 || incarnation.start < core->process.start) {
        return;
    }
    td_incarnation_draw(core, core->own_inc == TD_INC_NONE ? TD_DRAW_OUTNUMBERED : TD_DRAW_CLONE);
}

/* A draw for this member's words: it may lie, and must not make us draw without end. */
static bool name_allows(struct td_core *core, uint8_t slot)
{
    struct td_region_info *member = &core->regions[slot];
    if (member->named_count == 0 ||
        core->now.boot_ms >= member->named_since_ms + TD_NAMED_WINDOW_MS) {
        member->named_since_ms = core->now.boot_ms;
        member->named_count = 0;
    }
    if (member->named_count >= TD_NAMED_DRAWS_MAX && !TD_PLANTED(names_without_end)) {
        return false;
    }
    member->named_count += 1;
    return true;
}

/* Our link to this member is asked for the head that bears the name out. */
static void ask_proof(struct td_core *core, uint8_t slot)
{
    const uint32_t link = td_link_of(core, slot);
    if (link != TD_NONE) {
        core->links[link].unsigned_until_ms = 0; /* its batches may bring our signature as well */
        td_heads_ask_of(core, core->config.self, link);
    }
}

bool td_incarnation_named(struct td_core *core, uint8_t slot, struct td_incarnation incarnation,
                          bool folded)
{
    const bool beyond = incarnation.start > core->start_highest;
    const bool outnumbers = core->started && core->process.start != 0 &&
                            incarnation.start >= core->process.start &&
                            td_incarnation_compare(incarnation, core->process) != 0;
    if (!outnumbers || (core->incarnation_wanted && !beyond)) {
        return true; /* below us, or below the one that is being drawn */
    }
    if (td_incarnation_compare(incarnation, core->proven) <= 0) {
        td_incarnation_seen(core, incarnation);
        return true;
    }
    if (core->own_inc != TD_INC_NONE && !folded && !TD_PLANTED(names_without_end)) {
        ask_proof(core, slot);
        return false;
    }
    if ((beyond && incarnation.start - core->start_highest > TD_NAMED_LEAP_MAX) ||
        !name_allows(core, slot)) {
        TD_COUNT(core, rejected_bounds, 1);
        return false;
    }
    if (beyond) {
        core->start_highest = incarnation.start;
    }
    td_incarnation_draw(core, TD_PLANTED(names_without_end) ? TD_DRAW_CLONE : TD_DRAW_OUTNUMBERED);
    return true;
}
