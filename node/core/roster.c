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

/* DESIGN 4: a closed region's list is complete; an incarnation not listed counts nothing. */
static void closed_list(struct td_core *core, const struct td_roster_region *entry)
{
    for (uint32_t i = 0; i < core->inc_count; i++) {
        struct td_inc *inc = &core->incs[i];
        if (inc->origin.region.v == entry->number.v && !inc->closed) {
            inc->closed = true;
            inc->closed_last = 0;
        }
    }
    for (uint32_t i = 0; i < entry->closed_count; i++) {
        const struct td_closing *closing = &entry->closed[i];
        struct td_origin origin = {entry->number, closing->incarnation};
        uint16_t index = td_inc_intern(core, origin);
        if (index != TD_INC_NONE) {
            core->incs[index].closed = true;
            core->incs[index].closed_last = closing->last_seq;
            td_inc_signed(core, origin, closing->last_seq); /* the root vouches for it */
        }
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
    if (entry->key_count > 0) {
        region->sign_key = entry->keys[entry->key_count - 1].sign_key;
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
        if (roster->regions[i].state == TD_REGION_CLOSED) {
            closed_list(core, &roster->regions[i]);
        } else {
            region_take(core, &roster->regions[i]);
        }
    }
    uint8_t self = td_region_slot(core, core->config.self);
    core->self_slot = self < TD_SLOTS ? self : 255;
    core->have_roster = true;
    core->roster_version = roster->version;
    core->roster_issued_ms = roster->issued_ms;
    core->policy = roster->policy;
    for (uint8_t slot = 0; slot < TD_SLOTS; slot++) { /* DESIGN 3: not active, dropped */
        if (core->regions[slot].number.v != 0 &&
            core->regions[slot].roster_state != TD_REGION_ACTIVE) {
            links_close(core, slot);
        }
        if (core->regions[slot].number.v != 0 && core->regions[slot].source == TD_NONE) {
            td_source_choose(core, slot);
        }
    }
    td_heads_ask(core); /* a closing waits for heads with this version */
}
