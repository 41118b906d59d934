/* store.c -- stores in flight: one ticket each, completed in the order in which they were given out. */
#include <string.h>

#include "node/core/state.h"

/* Room that received batches leave for records and own groups, which must not starve. */
enum { TD_STORES_RESERVED = 64 };

static uint64_t in_flight(const struct td_core *core)
{
    return core->store_next - core->store_first;
}

bool td_store_room(const struct td_core *core, uint32_t count)
{
    return in_flight(core) + count + TD_STORES_RESERVED <= TD_STORES && td_fx_room(core) > count;
}

struct td_store *td_store_add(struct td_core *core, enum td_store_what what,
                              struct td_effect **ret_effect)
{
    if (in_flight(core) >= TD_STORES || td_fx_room(core) == 0) {
        return NULL;
    }
    struct td_store *store = &core->stores[core->store_next % TD_STORES];
    memset(store, 0, sizeof *store);
    core->store_next += 1;
    store->ticket = ++core->ticket_next;
    store->what = what;
    store->inc = TD_INC_NONE;
    store->slot = TD_NONE;
    store->loser_from = core->loser_number;
    store->loser_concurrent_from = core->loser_concurrent_number;
    struct td_effect *effect = td_fx_add(core, TD_FX_STORE);
    effect->u.store.ticket.v = store->ticket;
    *ret_effect = effect;
    return store;
}

struct td_store *td_store_of(struct td_core *core, uint64_t ticket)
{
    if (in_flight(core) == 0) {
        return NULL;
    }
    const uint64_t first_ticket = core->stores[core->store_first % TD_STORES].ticket;
    if (ticket < first_ticket || ticket > core->ticket_next) {
        return NULL;
    }
    struct td_store *store =
        &core->stores[(core->store_first + (ticket - first_ticket)) % TD_STORES];
    TD_ASSERT(store->ticket == ticket);
    return store;
}

struct td_record *td_store_record(struct td_core *core, enum td_store_what what,
                                  enum td_record_type type)
{
    struct td_record *record = td_fx_scratch(core, 1, sizeof *record);
    struct td_effect *effect = NULL;

    if (record == NULL || td_store_add(core, what, &effect) == NULL) {
        return NULL;
    }
    effect->u.store.kind = TD_STORE_RECORD;
    effect->u.store.record = record;
    record->type = type;
    return record;
}

static bool store_has(struct td_core *core, enum td_store_what what, const struct td_vv *vv)
{
    struct td_vv copy;
    struct td_record *record =
        td_vectors_copy(core, vv, &copy) ? td_store_record(core, what, TD_RECORD_HAS) : NULL;
    if (record != NULL) {
        record->u.has = copy;
    }
    return record != NULL;
}

/* A restart finds the holes of the log again and takes no claim behind one for granted, but those of a
 * process that knew of it: its `has` began without what the hole lost. */
bool td_store_mark_holes(struct td_core *core)
{
    if (!core->holes_unmarked) {
        return true;
    }
    struct td_record *holes = td_store_record(core, TD_WHAT_OTHER, TD_RECORD_HOLES);
    if (holes == NULL) {
        return false;
    }
    holes->u.holes.count = core->hole_count;
    holes->u.holes.mix = core->hole_mix;
    struct td_vv has = td_vectors_has(core);
    core->holes_unmarked = !store_has(core, TD_WHAT_OTHER, &has);
    return !core->holes_unmarked;
}

bool td_store_has(struct td_core *core, enum td_store_what what, const struct td_vv *vv)
{
    return td_store_mark_holes(core) && store_has(core, what, vv);
}

/* The log is ours: completions out of order or made up are our own error. */
void td_stored(struct td_core *core, const struct td_event *event)
{
    TD_ASSERT(in_flight(core) > 0);
    const struct td_store store = core->stores[core->store_first % TD_STORES];
    TD_ASSERT(event->u.stored.ticket.v == store.ticket);
    core->store_first += 1;
    core->stored_ticket = store.ticket;
    if (!event->u.stored.durable) {
        core->failed_ticket = store.ticket;
        TD_COUNT(core, stores_failed, 1);
        core->holes_unmarked = core->hole_count > 0; /* perhaps it was that record, or one of these */
        core->recovered_due = true;
        for (uint8_t slot = 0; slot < TD_SLOTS; slot++) {
            core->regions[slot].joined_logged = false;
        }
    }
    switch (store.what) {
    case TD_WHAT_OWN:
        td_publish_stored(core, &store, event);
        break;
    case TD_WHAT_BATCH:
        td_batch_stored(core, &store, event);
        break;
    case TD_WHAT_INCARNATION:
        td_incarnation_durable(core, event->u.stored.durable);
        break;
    case TD_WHAT_COMPACT:
        td_compact_claimed(core, event->u.stored.durable);
        break;
    case TD_WHAT_CLAIM:
    case TD_WHAT_OTHER:
        break;
    }
    core->has_moved = true; /* claims wait for tickets as well as for vectors */
}
