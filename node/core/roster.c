/* roster.c -- takes a newer roster over: regions get slots, closed ones lose theirs, their complete
 * lists bound what of them counts. */
#include "node/core/peers.h"

#include <string.h>

static void links_close(struct td_core *core, uint8_t slot)
{
    for (uint32_t i = 0; i < core->link_used_max; i++) {
        if (td_link_up(&core->links[i]) && core->links[i].region_slot == slot) {
            td_link_close(core, i, TD_ECLOSED);
        }
    }
}

/* A slot is given to another region later: nothing may still point to it by number. */
static void region_forget(struct td_core *core, uint8_t slot)
{
    uint64_t keep = ~td_bit(slot);

    links_close(core, slot);
    td_ring_drop(core, slot);
    for (uint32_t i = 0; i < core->link_used_max; i++) {
        struct td_link *link = &core->links[i];
        link->wants[slot] = false;
        link->head_due &= keep;
        link->live_due &= keep;
        link->ask_due &= keep;
        link->want_due &= keep;
        link->want_off_due &= keep;
        link->not_whole_due &= keep;
    }
    core->slot_of[core->regions[slot].number.v] = 255;
    memset(&core->regions[slot], 0, sizeof core->regions[slot]);
    core->regions[slot].source = TD_NONE;
}

/* What is held beyond the list leaves the vectors; what it won in registers is said again. */
static void list_bound(struct td_core *core, uint16_t index, uint64_t last_seq)
{
    struct td_inc *inc = &core->incs[index];
    const struct td_slot *anchor = inc->anchor != TD_NONE ? &core->slots[inc->anchor] : NULL;
    bool beyond = (inc->hole_count > 0 && inc->holes[inc->hole_count - 1].to > last_seq) ||
                  (anchor != NULL && anchor->first_seq + anchor->count - 1 > last_seq);

    inc->listed = true;
    inc->listed_last = last_seq;
    if (inc->received > last_seq || inc->durable > last_seq || beyond) {
        (void)td_inc_void(core, index, last_seq);
        td_again_begin(core);
    }
    inc->closed = true;
    inc->closed_last = last_seq;
    inc->signed_max = last_seq; /* the root vouches for it */
}

/* Of those that the list may bound. Also folded ones: a newcomer knows nothing of the fold. */
static bool list_is_about(const struct td_inc *inc, struct td_region number, uint16_t keys_below)
{
    bool key = keys_below == 0 || (inc->key_number != 0 && inc->key_number < keys_below);
    return inc->origin.region.v == number.v && key;
}

/* DESIGN 4: the list is complete; an incarnation not listed counts nothing. keys_below = 0: the
 * whole region is closed; else only what was signed with the keys below that one is bounded. */
static void list_take(struct td_core *core, struct td_region number, uint16_t keys_below,
                      const struct td_closing *list, uint32_t count)
{
    for (uint32_t i = 0; i < core->inc_order_count; i++) {
        struct td_inc *inc = &core->incs[core->inc_order[i]];
        inc->listed = inc->listed && !list_is_about(inc, number, keys_below);
    }
    for (uint32_t i = 0; i < count; i++) {
        uint16_t index = td_inc_intern(core, (struct td_origin){number, list[i].incarnation});
        if (index != TD_INC_NONE) {
            list_bound(core, index, list[i].last_seq);
        }
    }
    for (uint32_t i = 0; i < core->inc_order_count; i++) {
        uint16_t index = core->inc_order[i];
        if (list_is_about(&core->incs[index], number, keys_below) && !core->incs[index].listed) {
            list_bound(core, index, 0);
        }
    }
}

/* Our own lives are not bounded here: of retired keys we have what the list names, by our own word,
 * and when our region is closed nobody hears us any more. */
static void lists_take(struct td_core *core, const struct td_roster_region *entry)
{
    if (entry->number.v == core->config.self.v) {
        return;
    }
    if (entry->state == TD_REGION_CLOSED) {
        list_take(core, entry->number, 0, entry->closed, entry->closed_count);
    } else if (entry->retired_below != 0) {
        list_take(core, entry->number, entry->retired_below, entry->retired, entry->retired_count);
    }
}

static uint8_t slot_free(const struct td_core *core)
{
    for (uint8_t slot = 0; slot < TD_SLOTS; slot++) {
        if (core->regions[slot].number.v == 0) {
            return slot;
        }
    }
    return TD_SLOTS;
}

static void region_take(struct td_core *core, const struct td_roster_region *entry)
{
    uint8_t slot = td_region_slot(core, entry->number);

    if (slot == TD_SLOTS) {
        slot = slot_free(core);
        if (slot == TD_SLOTS) { /* the decoder bounds the regions that are not closed */
            TD_COUNT(core, rejected_bounds, 1);
            return;
        }
        struct td_region_info *fresh = &core->regions[slot];
        memset(fresh, 0, sizeof *fresh);
        fresh->number = entry->number;
        fresh->source = TD_NONE;
        fresh->link_view = TD_LINK_UNKNOWN;
        fresh->progress_boot_ms = core->now.boot_ms;
        core->slot_of[entry->number.v] = slot;
    }
    struct td_region_info *region = &core->regions[slot];
    uint32_t bytes =
        entry->name.count < TD_REGION_NAME_BYTES_MAX ? entry->name.count : TD_REGION_NAME_BYTES_MAX;
    td_copy(region->name, entry->name.bytes, bytes);
    region->name_bytes = (uint8_t)bytes;
    region->roster_state = entry->state;
    region->quota_registers = entry->quota_registers;
    region->quota_bytes = entry->quota_bytes;
    region->doubtful_since_ms = entry->doubtful_since_ms;
    region->retired_below = entry->retired_below;
    if (entry->key_count > 0) {
        region->sign_key = entry->keys[entry->key_count - 1].sign_key;
        region->key_number = entry->keys[entry->key_count - 1].number;
        region->keys_replaced = entry->key_count > 1 && entry->retired_below < region->key_number;
    }
}

/* A leaving region still says what it has; a revoked one is not asked (td_roster_region_links). */
static bool links_kept(const struct td_region_info *region)
{
    return region->roster_state == TD_REGION_ACTIVE ||
           (region->roster_state == TD_REGION_CLOSING && region->doubtful_since_ms == 0);
}

/* This process began with the key in force; when another one is, it must not go on. */
static void own_key_take(struct td_core *core)
{
    const struct td_region_info *self =
        core->self_slot < TD_SLOTS ? &core->regions[core->self_slot] : NULL;

    if (self != NULL && core->own_key == 0) {
        core->own_key = self->key_number;
    }
}

/* Heads with this version say what may still be taken; what nobody may take is said again, later.
 */
static void leaving_take(struct td_core *core)
{
    core->leaving_ms = core->leaving_again_ms = 0;
    for (uint8_t slot = 0; slot < TD_SLOTS; slot++) {
        const struct td_region_info *region = &core->regions[slot];
        if (region->number.v != 0 &&
            (region->keys_replaced || region->roster_state == TD_REGION_CLOSING)) {
            core->leaving_ms = td_max_u64(core->now.boot_ms, 1);
            core->leaving_again_ms = core->leaving_ms + TD_LEAVING_PATIENCE_MS;
        }
    }
    if (core->started && core->leaving_again_ms != 0) {
        td_deadline(core, core->leaving_again_ms);
    }
}

/* Used counts are kept when a region stays; a region that comes back as another number starts at 0.
 */
void td_peers_roster(struct td_core *core, const struct td_roster *roster)
{
    for (uint8_t slot = 0; slot < TD_SLOTS; slot++) {
        struct td_region number = core->regions[slot].number;
        if (number.v == 0) {
            continue;
        }
        const struct td_roster_region *entry = NULL;
        for (uint32_t i = 0; i < roster->region_count; i++) {
            if (roster->regions[i].number.v == number.v) {
                entry = &roster->regions[i];
            }
        }
        if (entry == NULL || entry->state == TD_REGION_CLOSED) {
            region_forget(core, slot);
        }
    }
    for (uint32_t i = 0; i < roster->region_count; i++) {
        const struct td_roster_region *entry = &roster->regions[i];
        core->doubtful_since_ms[entry->number.v] = entry->doubtful_since_ms;
        core->region_closed[entry->number.v] = entry->state == TD_REGION_CLOSED;
        core->any_closed = core->any_closed || core->region_closed[entry->number.v];
        if (roster->regions[i].state != TD_REGION_CLOSED) {
            region_take(core, &roster->regions[i]);
        }
        lists_take(core, &roster->regions[i]);
    }
    uint8_t self = td_region_slot(core, core->config.self);
    core->self_slot = self < TD_SLOTS ? self : 255;
    core->have_roster = true;
    core->roster_version = roster->version;
    core->roster_issued_ms = roster->issued_ms;
    core->policy = roster->policy;
    own_key_take(core);
    leaving_take(core);
    for (uint8_t slot = 0; slot < TD_SLOTS; slot++) { /* DESIGN 3: not in, dropped */
        if (core->regions[slot].number.v != 0 &&
            (!links_kept(&core->regions[slot]) || self == TD_SLOTS)) {
            links_close(core, slot);
        }
        if (core->regions[slot].number.v != 0 && core->regions[slot].source == TD_NONE) {
            td_source_choose(core, slot);
        }
    }
    td_heads_ask(core); /* a closing waits for heads with this version */
}
