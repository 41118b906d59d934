/* leaving.c -- regions and keys on their way out. A roster closes a region, or replaces its key, in
 * two steps. First a roster says so: from then on members take of it only what some member's head
 * with this very roster version says it has, so what all have said together is all there will ever
 * be. Then a roster lists that; an incarnation not listed counts nothing. What was merged and is in
 * no list is never taken back: who shows it says it again under its own name (again.c). Answers
 * TD_OP_MEMBERS, from which the list is made. */
#include "node/core/answer.h"
#include "node/core/peers.h"
#include "node/core/plant.h"

enum { AGAIN_EVERY_MS = 60000, FETCH_EVERY_MS = 1000 };

bool td_leaving_bounds(const struct td_region_info *region, uint16_t key_number)
{
    return region->roster_state == TD_REGION_CLOSING ||
           (region->keys_replaced && key_number < region->key_number);
}

static bool links_kept(const struct td_region_info *region)
{
    return region->roster_state == TD_REGION_ACTIVE ||
           (region->roster_state == TD_REGION_CLOSING && region->doubtful_since_ms == 0);
}

/* A leaving region's own word counts like any member's, that of a revoked one does not. */
bool td_leaving_allows(const struct td_core *core, struct td_origin origin, uint64_t last_seq)
{
    for (uint32_t i = 0; i < TD_SLOTS; ++i) {
        const struct td_region_info *region = &core->regions[i];
        if (region->number.v != 0 && region->heard && links_kept(region) &&
            region->head_roster_version >= core->roster_version &&
            td_vv_seq(&region->head_has.vv, origin) >= last_seq) {
            return true;
        }
    }
    return TD_PLANTED(closing_takes_unheard);
}

static bool is_leaving(const struct td_region_info *region)
{
    return region->number.v != 0 &&
           (region->roster_state == TD_REGION_CLOSING || region->keys_replaced);
}

static bool in_flight(const struct td_core *core, struct td_region number)
{
    for (uint32_t at = 0; at < core->inc_order_count; ++at) {
        const struct td_inc *inc = &core->incs[core->inc_order[at]];
        if (inc->origin.region.v == number.v && inc->storing > 0) {
            return true;
        }
    }
    return false;
}

static bool own_in_flight(const struct td_core *core)
{
    for (uint64_t n = core->store_first; n < core->store_next; ++n) {
        if (core->stores[n % TD_STORES].what == TD_WHAT_OWN) {
            return true;
        }
    }
    return false;
}

/* Our heads name only what is durable. A head with the new version must leave out nothing that was
 * taken before it, and a leaving region has nothing more to say. */
static bool settled(const struct td_core *core)
{
    for (uint8_t slot = 0; slot < TD_SLOTS; ++slot) {
        const struct td_region_info *region = &core->regions[slot];
        if (!is_leaving(region)) {
            continue;
        }
        if (in_flight(core, region->number) ||
            (slot == core->self_slot && region->roster_state == TD_REGION_CLOSING &&
             (own_in_flight(core) || td_publish_queued(core)))) {
            return false;
        }
    }
    return true;
}

uint64_t td_leaving_told(struct td_core *core)
{
    if (core->roster_told != core->roster_version &&
        (settled(core) || TD_PLANTED(leaves_with_words_unsaid))) {
        core->roster_told = core->roster_version;
    }
    return core->roster_told;
}

/* ---- what nobody takes from us ---- */

/* Newest seq that the roster's lists let count; of others' lives, and of our own all. */
uint64_t td_leaving_limit(const struct td_core *core, const struct td_inc *inc)
{
    const uint8_t slot = core->slot_of[inc->origin.region.v];
    if (inc->origin.region.v == core->config.self.v) {
        return TD_SEQ_MAX;
    }
    if (inc->listed) {
        return inc->listed_last;
    }
    const bool retired = slot != 255 && inc->key_number != 0 &&
                         inc->key_number < core->regions[slot].retired_below;
    const bool closed = slot == 255 && core->region_closed[inc->origin.region.v];
    return retired || closed ? 0 : TD_SEQ_MAX;
}

/* After a while: a hole may be filled by somebody who has all of it, and then nothing is missing.
 */
static bool unheard(const struct td_core *core, const struct td_inc *inc, uint64_t seq)
{
    const uint8_t slot = core->slot_of[inc->origin.region.v];
    const bool waited =
        core->leaving_ms != 0 && core->now.boot_ms >= core->leaving_ms + TD_LEAVING_PATIENCE_MS;
    return waited && slot != 255 && !inc->folded && is_leaving(&core->regions[slot]) &&
           td_leaving_bounds(&core->regions[slot], inc->key_number) && seq > inc->durable &&
           inc->storing == 0 && !td_leaving_allows(core, inc->origin, seq);
}

bool td_leaving_void(const struct td_core *core, const struct td_register *reg)
{
    const struct td_inc *inc = &core->incs[core->slots[reg->slot].inc];
    const uint64_t seq = core->slots[reg->slot].first_seq + reg->index;
    return inc->origin.region.v != core->config.self.v && !TD_PLANTED(void_left_alone) &&
           (seq > td_leaving_limit(core, inc) || unheard(core, inc, seq));
}

bool td_leaving_lists_held(const struct td_core *core)
{
    for (uint32_t at = 0; core->any_closed && at < core->inc_order_count; ++at) {
        const struct td_inc *inc = &core->incs[core->inc_order[at]];
        if (inc->listed && !inc->folded && inc->durable < inc->listed_last) {
            return false;
        }
    }
    return true;
}

/* A closed region has no source that would notice what is missing. */
static void fetch_listed(struct td_core *core)
{
    if (!core->any_closed || td_leaving_lists_held(core)) {
        return;
    }
    if (core->now.boot_ms >= core->listed_next_ms) {
        core->listed_next_ms = core->now.boot_ms + FETCH_EVERY_MS;
        td_transfer_want(core);
    }
    td_deadline(core, core->listed_next_ms);
}

void td_leaving_tick(struct td_core *core)
{
    fetch_listed(core);
    if (core->leaving_again_ms == 0 || core->again_left > 0) {
        return;
    }
    if (core->now.boot_ms >= core->leaving_again_ms) {
        core->leaving_again_ms = core->now.boot_ms + AGAIN_EVERY_MS;
        td_again_begin(core);
    }
    td_deadline(core, core->leaving_again_ms);
}

uint32_t td_leaving_fold(const struct td_core *core, struct td_vv_fold fold)
{
    const bool closed = core->region_closed[fold.region.v];
    uint32_t most = 0;
    for (uint32_t at = 0; closed && at < core->inc_order_count; ++at) {
        const struct td_inc *inc = &core->incs[core->inc_order[at]];
        if (inc->listed && inc->origin.region.v == fold.region.v &&
            inc->origin.incarnation.start >= most) {
            most = inc->origin.incarnation.start + 1;
        }
    }
    return fold.start_below < most ? fold.start_below : most;
}

bool td_leaving_doubts(const struct td_core *core, struct td_region region, uint64_t stamp_ms)
{
    const uint64_t since_ms = core->doubtful_since_ms[region.v];
    return since_ms != 0 && stamp_ms >= since_ms;
}

/* ---- TD_OP_MEMBERS ---- */

/* Entries of one region lie together: vectors ascend by origin. */
static void fill_entries(const struct td_vv *has, struct td_region region,
                         struct td_member_view *view)
{
    uint32_t first = 0;
    while (first < has->entry_count && has->entries[first].origin.region.v < region.v) {
        first += 1;
    }
    view->entries = has->entries + first;
    while (first + view->count < has->entry_count &&
           has->entries[first + view->count].origin.region.v == region.v) {
        view->count += 1;
    }
    view->fold_below = td_vv_fold_below(has, region);
}

static void fill_member(const struct td_core *core, uint8_t slot, struct td_region asked,
                        const struct td_vv *own_has, struct td_member_view *view)
{
    const struct td_region_info *region = &core->regions[slot];
    *view = (struct td_member_view){.region = region->number};
    if (slot == core->self_slot) {
        view->self = view->heard = true;
        view->roster_version = core->roster_told;
        fill_entries(own_has, asked, view);
    } else if (region->heard) {
        view->heard = true;
        view->heard_age_ms = core->now.boot_ms - region->head_boot_ms;
        view->roster_version = region->head_roster_version;
        fill_entries(&region->head_has.vv, asked, view);
    }
}

/* Folded ones are out of vectors; those in which something live lies still count. */
static uint32_t fill_lives(const struct td_core *core, struct td_region asked,
                           struct td_life_view *lives)
{
    uint32_t count = 0;
    for (uint32_t at = 0; at < core->inc_order_count && count < TD_CLOSED_LIST_MAX; ++at) {
        const struct td_inc *inc = &core->incs[core->inc_order[at]];
        if (inc->origin.region.v != asked.v || (inc->folded && inc->slot_count == 0)) {
            continue;
        }
        const uint64_t all =
            inc->closed ? inc->closed_last : td_max_u64(inc->durable, inc->received);
        lives[count++] = (struct td_life_view){
            .incarnation = inc->origin.incarnation,
            .key_number = inc->key_number,
            .folded = inc->folded,
            .held = inc->folded ? td_max_u64(all, inc->durable) : inc->durable,
            .signed_max = inc->signed_max,
        };
    }
    return count;
}

void td_query_members(struct td_core *core, uint32_t client_link, const struct td_request *request)
{
    struct td_response *response = td_query_reply(core, client_link, request->id, TD_OP_MEMBERS);
    struct td_member_view *members = td_fx_scratch(core, TD_SLOTS, sizeof *members);
    struct td_life_view *lives = td_fx_scratch(core, TD_CLOSED_LIST_MAX, sizeof *lives);
    const struct td_vv now = td_vectors_has(core);
    struct td_vv has; /* within the step the vectors may move once more */
    if (response == NULL || members == NULL || lives == NULL ||
        !td_vectors_copy(core, &now, &has)) {
        return;
    }
    response->u.members.region = request->u.members.region;
    response->u.members.roster_version = core->roster_version;
    for (uint8_t slot = 0; slot < TD_SLOTS; ++slot) {
        if (core->regions[slot].number.v != 0) {
            fill_member(core, slot, request->u.members.region, &has,
                        &members[response->u.members.count++]);
        }
    }
    response->u.members.members = members;
    response->u.members.life_count = fill_lives(core, request->u.members.region, lives);
    response->u.members.lives = lives;
}
