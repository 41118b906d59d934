/* vectors.c -- what this node has: per incarnation the contiguous part that was merged, the part of it
 * that is durable, and the intervals merged beyond a hole. Only the durable part is ever told. */
#include <string.h>

#include "node/core/state.h"
#include "node/core/plant.h"

void td_vectors_init(struct td_core *core)
{
    core->has.vv.entries = core->has.entries;
    core->has.vv.folds = core->has.folds;
    core->own_inc = TD_INC_NONE;
    core->void_inc = TD_INC_NONE;
}

bool td_vv_store_set(struct td_vv_store *store, const struct td_vv *vv)
{
    if (vv->entry_count > TD_VV_ENTRIES_MAX || vv->fold_count > TD_REGIONS_MAX) {
        return false;
    }
    if (vv->entry_count > 0) {
        memmove(store->entries, vv->entries, vv->entry_count * sizeof *vv->entries);
    }
    if (vv->fold_count > 0) {
        memmove(store->folds, vv->folds, vv->fold_count * sizeof *vv->folds);
    }
    store->vv.entry_count = vv->entry_count;
    store->vv.fold_count = vv->fold_count;
    store->vv.entries = store->entries;
    store->vv.folds = store->folds;
    return true;
}

/* ---- the table of incarnations ---- */

/* First position in inc_order whose origin is not before this one. */
static uint32_t order_position(const struct td_core *core, struct td_origin origin)
{
    uint32_t low = 0, high = core->inc_order_count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (td_origin_compare(core->incs[core->inc_order[middle]].origin, origin) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

uint16_t td_inc_find(const struct td_core *core, struct td_origin origin)
{
    const uint32_t at = order_position(core, origin);
    if (at < core->inc_order_count &&
        td_origin_compare(core->incs[core->inc_order[at]].origin, origin) == 0) {
        return core->inc_order[at];
    }
    return TD_INC_NONE;
}

static bool is_folded(const struct td_core *core, struct td_origin origin)
{
    return origin.incarnation.start < core->fold_below[origin.region.v];
}

/* Closed ones too: until they are folded they are in `has`, and a vector with more of one region is not
 * valid to anybody. */
static uint32_t unfolded_of_region(const struct td_core *core, struct td_region region)
{
    const struct td_origin from = { .region = region };
    uint32_t count = 0;
    for (uint32_t at = order_position(core, from); at < core->inc_order_count; ++at) {
        const struct td_inc *inc = &core->incs[core->inc_order[at]];
        if (inc->origin.region.v != region.v) {
            break;
        }
        count += !inc->folded;
    }
    return count;
}

static uint32_t unfolded_count(const struct td_core *core)
{
    uint32_t count = 0;
    for (uint32_t at = 0; at < core->inc_order_count; ++at) {
        count += !core->incs[core->inc_order[at]].folded;
    }
    return count;
}

static bool inc_in_flight(const struct td_core *core, uint16_t inc)
{
    for (uint64_t n = core->store_first; n < core->store_next; ++n) {
        if (core->stores[n % TD_STORES].inc == inc) {
            return true;
        }
    }
    return inc == core->own_inc;
}

/* Folded incarnations in which nothing live lies any more are forgotten only when room is needed. */
static void sweep_folded(struct td_core *core)
{
    uint32_t kept = 0;
    for (uint32_t at = 0; at < core->inc_order_count; ++at) {
        const uint16_t index = core->inc_order[at];
        struct td_inc *inc = &core->incs[index];
        if (inc->folded && inc->slot_count == 0 && !inc_in_flight(core, index)) {
            memset(inc, 0, sizeof *inc);
        } else {
            core->inc_order[kept++] = index;
        }
    }
    core->inc_order_count = kept;
}

static uint16_t unused_inc(struct td_core *core)
{
    if (core->inc_count < TD_INCS_MAX) {
        return (uint16_t)core->inc_count++;
    }
    if (core->inc_order_count == TD_INCS_MAX) {
        sweep_folded(core);
    }
    for (uint32_t i = 0; i < TD_INCS_MAX; ++i) {
        if (core->incs[i].origin.region.v == 0) {
            return (uint16_t)i;
        }
    }
    return TD_INC_NONE;
}

uint16_t td_inc_intern(struct td_core *core, struct td_origin origin)
{
    const uint16_t known = td_inc_find(core, origin);
    if (known != TD_INC_NONE) {
        return known;
    }
    const bool folded = is_folded(core, origin);
    if (origin.region.v == 0 ||
        (!folded && (unfolded_of_region(core, origin.region) >= TD_INCARNATIONS_PER_REGION_MAX ||
                     unfolded_count(core) >= TD_VV_ENTRIES_MAX))) {
        TD_COUNT(core, rejected_bounds, 1);
        return TD_INC_NONE;
    }
    const uint16_t index = unused_inc(core);
    if (index == TD_INC_NONE) {
        TD_COUNT(core, rejected_bounds, 1);
        return TD_INC_NONE;
    }
    struct td_inc *inc = &core->incs[index];
    memset(inc, 0, sizeof *inc);
    inc->origin = origin;
    inc->folded = folded;
    inc->anchor = TD_NONE;
    const uint32_t at = order_position(core, origin);
    memmove(&core->inc_order[at + 1], &core->inc_order[at],
            (core->inc_order_count - at) * sizeof *core->inc_order);
    core->inc_order[at] = index;
    core->inc_order_count += 1;
    return index;
}

/* ---- questions ---- */

static bool in_holes(const struct td_inc *inc, uint64_t seq)
{
    for (uint32_t i = 0; i < inc->hole_count; ++i) {
        if (seq >= inc->holes[i].from && seq <= inc->holes[i].to) {
            return true;
        }
    }
    return false;
}

/* What a closing makes void or gives up satisfies everybody who waits for it (DESIGN 1, Closing). */
static bool given_up(const struct td_inc *inc, uint64_t seq)
{
    return inc->closed && seq > inc->closed_last;
}

bool td_dot_received(const struct td_core *core, struct td_dot dot)
{
    if (is_folded(core, dot.origin)) {
        return true;
    }
    const uint16_t index = td_inc_find(core, dot.origin);
    if (index == TD_INC_NONE) {
        return false;
    }
    const struct td_inc *inc = &core->incs[index];
    return dot.seq <= inc->received || in_holes(inc, dot.seq) || given_up(inc, dot.seq);
}

bool td_dot_durable(const struct td_core *core, struct td_dot dot)
{
    if (is_folded(core, dot.origin)) {
        return true;
    }
    const uint16_t index = td_inc_find(core, dot.origin);
    return index != TD_INC_NONE &&
           (dot.seq <= core->incs[index].durable || given_up(&core->incs[index], dot.seq));
}

bool td_vectors_know(const struct td_core *core, struct td_region region)
{
    const uint32_t at = order_position(core, (struct td_origin){ .region = region });
    return core->fold_below[region.v] > 0 ||
           (at < core->inc_order_count &&
            core->incs[core->inc_order[at]].origin.region.v == region.v);
}

struct td_vv td_vectors_has(const struct td_core *core)
{
    return core->has.vv;
}

bool td_vectors_copy(struct td_core *core, const struct td_vv *vv, struct td_vv *ret_vv)
{
    struct td_vv_entry *entries = td_fx_scratch(core, vv->entry_count + 1, sizeof *entries);
    struct td_vv_fold *folds = td_fx_scratch(core, vv->fold_count + 1, sizeof *folds);
    if (entries == NULL || folds == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < vv->entry_count; ++i) {
        entries[i] = vv->entries[i];
    }
    for (uint32_t i = 0; i < vv->fold_count; ++i) {
        folds[i] = vv->folds[i];
    }
    *ret_vv = (struct td_vv){ vv->entry_count, vv->fold_count, entries, folds };
    return true;
}

bool td_vectors_durable_cover(const struct td_core *core, const struct td_vv *vv)
{
    for (uint32_t i = 0; i < vv->entry_count; ++i) {
        const struct td_dot dot = { vv->entries[i].origin, vv->entries[i].seq };
        if (!td_dot_durable(core, dot)) {
            return false;
        }
    }
    for (uint32_t i = 0; i < vv->fold_count; ++i) {
        if (core->fold_below[vv->folds[i].region.v] < vv->folds[i].start_below) {
            return false;
        }
    }
    return true;
}

struct td_vv td_vectors_received_of(struct td_core *core, struct td_region region)
{
    struct td_vv vv = { 0 };
    const struct td_origin from = { .region = region };
    struct td_vv_entry *entries =
        td_fx_scratch(core, TD_INCARNATIONS_PER_REGION_MAX, sizeof *entries);
    if (entries == NULL) {
        return vv;
    }
    vv.entries = entries;
    for (uint32_t at = order_position(core, from); at < core->inc_order_count; ++at) {
        const struct td_inc *inc = &core->incs[core->inc_order[at]];
        if (inc->origin.region.v != region.v ||
            vv.entry_count == TD_INCARNATIONS_PER_REGION_MAX) {
            break;
        }
        if (!inc->folded && inc->received > 0) {
            entries[vv.entry_count++] = (struct td_vv_entry){ inc->origin, inc->received };
        }
    }
    return vv;
}

/* ---- changes ---- */

static void absorb_holes(struct td_inc *inc)
{
    uint32_t gone = 0;
    while (gone < inc->hole_count && inc->holes[gone].from <= inc->received + 1) {
        if (inc->holes[gone].to > inc->received) {
            inc->received = inc->holes[gone].to;
        }
        gone += 1;
    }
    if (gone > 0) {
        inc->hole_count = (uint8_t)(inc->hole_count - gone);
        memmove(&inc->holes[0], &inc->holes[gone], inc->hole_count * sizeof inc->holes[0]);
    }
}

/* Adds an interval beyond a hole; when all are used up it is forgotten and asked for again later. What is
 * left of a compacted segment has many holes, which the claim behind it closes: there the lowest gives way. */
static void remember_interval(struct td_inc *inc, uint64_t from, uint64_t to, bool lowest_goes)
{
    uint32_t at = 0;
    while (at < inc->hole_count && inc->holes[at].to + 1 < from) {
        at += 1;
    }
    uint32_t end = at;
    while (end < inc->hole_count && inc->holes[end].from <= to + 1) {
        from = inc->holes[end].from < from ? inc->holes[end].from : from;
        to = inc->holes[end].to > to ? inc->holes[end].to : to;
        end += 1;
    }
    if (end == at && inc->hole_count == TD_HOLES_MAX) {
        if (!lowest_goes || at == 0) {
            return;
        }
        inc->hole_count -= 1;
        memmove(&inc->holes[0], &inc->holes[1], inc->hole_count * sizeof inc->holes[0]);
        at -= 1;
        end -= 1;
    }
    const uint32_t tail = inc->hole_count - end;
    memmove(&inc->holes[at + 1], &inc->holes[end], tail * sizeof inc->holes[0]);
    inc->holes[at].from = from;
    inc->holes[at].to = to;
    inc->hole_count = (uint8_t)(at + 1 + tail);
}

void td_inc_received(struct td_core *core, uint16_t index, uint64_t first_seq, uint64_t count)
{
    struct td_inc *inc = &core->incs[index];
    TD_ASSERT(first_seq > 0);
    const uint64_t last = first_seq + count - 1;
    if (count == 0 || last <= inc->received) {
        return;
    }
    if (first_seq > inc->received + 1 && !TD_PLANTED(ignore_holes)) {
        remember_interval(inc, first_seq, last, core->replaying && core->log_compacted);
        return;
    }
    inc->received = last;
    absorb_holes(inc);
}

static void has_set(struct td_core *core, struct td_origin origin, uint64_t seq)
{
    uint32_t low = 0, high = core->has.vv.entry_count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (td_origin_compare(core->has.entries[middle].origin, origin) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low < core->has.vv.entry_count &&
        td_origin_compare(core->has.entries[low].origin, origin) == 0) {
        core->has.entries[low].seq = seq;
        return;
    }
    TD_ASSERT(core->has.vv.entry_count < TD_VV_ENTRIES_MAX); /* at most the unfolded ones */
    memmove(&core->has.entries[low + 1], &core->has.entries[low],
            (core->has.vv.entry_count - low) * sizeof core->has.entries[0]);
    core->has.entries[low] = (struct td_vv_entry){ origin, seq };
    core->has.vv.entry_count += 1;
}

static void has_was_moved(struct td_core *core)
{
    core->has_moved = true;
    for (uint32_t i = 0; i < core->link_used_max; ++i) {
        core->links[i].has_dirty = true;
    }
}

void td_inc_durable(struct td_core *core, uint16_t index, uint64_t seq)
{
    struct td_inc *inc = &core->incs[index];
    if (inc->listed && seq > inc->listed_last) {
        seq = inc->listed_last; /* what was on its way to the disk when the list came */
    }
    if (seq <= inc->durable) {
        return;
    }
    if (inc->received < seq) {
        inc->received = seq;
        absorb_holes(inc);
    }
    if (inc->storing == 0 && index != core->own_inc && inc->received > seq) {
        seq = inc->received; /* what lay beyond a hole that has closed is in the log already */
    }
    inc->durable = seq;
    if (!inc->folded) {
        has_set(core, inc->origin, seq);
    }
    has_was_moved(core);
}

void td_inc_signed(struct td_core *core, struct td_origin origin, uint64_t seq)
{
    const uint16_t index = td_inc_intern(core, origin);
    if (index != TD_INC_NONE && core->incs[index].signed_max < seq) {
        core->incs[index].signed_max = seq;
    }
}

void td_inc_fall_back(struct td_core *core, uint16_t index)
{
    struct td_inc *inc = &core->incs[index];
    inc->received = inc->durable;
    inc->hole_count = 0;
    for (uint64_t n = core->store_first; n < core->store_next; ++n) {
        struct td_store *store = &core->stores[n % TD_STORES];
        if (store->inc == index && store->what == TD_WHAT_BATCH) {
            store->advance_to = 0; /* what it would have advanced over has a hole now */
        }
    }
}

static void has_drop(struct td_core *core, struct td_origin origin)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < core->has.vv.entry_count; ++i) {
        if (td_origin_compare(core->has.entries[i].origin, origin) != 0) {
            core->has.entries[kept++] = core->has.entries[i];
        }
    }
    core->has.vv.entry_count = kept;
}

bool td_inc_void(struct td_core *core, uint16_t index, uint64_t last_seq)
{
    struct td_inc *inc = &core->incs[index];
    const bool merged = inc->received > last_seq || inc->hole_count > 0;
    inc->closed = true;
    inc->closed_last = last_seq;
    inc->signed_max = last_seq;
    inc->hole_count = 0;
    inc->received = inc->received < last_seq ? inc->received : last_seq;
    if (inc->anchor != TD_NONE &&
        core->slots[inc->anchor].first_seq + core->slots[inc->anchor].count - 1 > last_seq) {
        td_slot_anchor_drop(core, index); /* nobody may learn of what is void by it */
    }
    if (inc->durable > last_seq) {
        inc->durable = last_seq;
        has_drop(core, inc->origin);
        if (last_seq > 0 && !inc->folded) {
            has_set(core, inc->origin, last_seq);
        }
    }
    return merged;
}

/* ---- folds and claims ---- */

void td_vectors_fold(struct td_core *core, struct td_region region, uint32_t start_below)
{
    if (start_below <= core->fold_below[region.v]) {
        return;
    }
    core->fold_below[region.v] = start_below;
    for (uint32_t at = 0; at < core->inc_order_count; ++at) {
        struct td_inc *inc = &core->incs[core->inc_order[at]];
        if (inc->origin.region.v == region.v && is_folded(core, inc->origin)) {
            inc->folded = true;
            td_slot_anchor_drop(core, core->inc_order[at]);
        }
    }
    uint32_t kept = 0;
    for (uint32_t i = 0; i < core->has.vv.entry_count; ++i) {
        if (!is_folded(core, core->has.entries[i].origin)) {
            core->has.entries[kept++] = core->has.entries[i];
        }
    }
    core->has.vv.entry_count = kept;
    uint32_t at = 0;
    while (at < core->has.vv.fold_count && core->has.folds[at].region.v < region.v) {
        at += 1;
    }
    if (at == core->has.vv.fold_count || core->has.folds[at].region.v != region.v) {
        if (core->has.vv.fold_count == TD_REGIONS_MAX) {
            return; /* 64 regions that are not closed; a fold of a closed one is not told any more */
        }
        memmove(&core->has.folds[at + 1], &core->has.folds[at],
                (core->has.vv.fold_count - at) * sizeof core->has.folds[0]);
        core->has.vv.fold_count += 1;
    }
    core->has.folds[at] = (struct td_vv_fold){ region, start_below };
    has_was_moved(core);
}

/* Nobody but the origin itself can vouch for its folds: its own newest head must name them. */
static uint32_t fold_vouched(const struct td_core *core, struct td_vv_fold fold)
{
    const uint8_t slot = core->slot_of[fold.region.v];
    if (core->replaying || slot == 255 || fold.region.v == core->config.self.v) {
        return core->replaying ? fold.start_below : td_leaving_fold(core, fold);
    }
    const struct td_vv *told = &core->regions[slot].head_has.vv;
    for (uint32_t i = 0; i < told->fold_count; ++i) {
        if (told->folds[i].region.v == fold.region.v) {
            return told->folds[i].start_below < fold.start_below ? told->folds[i].start_below
                                                                 : fold.start_below;
        }
    }
    return 0;
}

void td_vectors_claim(struct td_core *core, const struct td_vv *claim)
{
    for (uint32_t i = 0; i < claim->entry_count; ++i) {
        const struct td_vv_entry *entry = &claim->entries[i];
        const uint16_t index = td_inc_intern(core, entry->origin);
        if (index == TD_INC_NONE) {
            continue;
        }
        struct td_inc *inc = &core->incs[index];
        uint64_t seq = entry->seq;
        const uint64_t limit = td_leaving_limit(core, inc);
        seq = seq < limit ? seq : limit; /* beyond the roster's list nothing counts */
        if ((core->replaying || TD_PLANTED(claim_beyond_signed_head)) && inc->signed_max < seq) {
            inc->signed_max = seq; /* checked before it was written to our own log */
        }
        if (seq > inc->signed_max) {
            inc->named_max = seq > inc->named_max ? seq : inc->named_max;
            seq = inc->signed_max;
        }
        if (seq > 0) {
            td_inc_received(core, index, 1, seq);
            td_inc_durable(core, index, seq);
        }
    }
    for (uint32_t i = 0; i < claim->fold_count; ++i) {
        td_vectors_fold(core, claim->folds[i].region, fold_vouched(core, claim->folds[i]));
    }
}

/* ---- claims taken back ---- */

/* As if no fold had ever been read. As many as a vector may name of a region, the newest first. */
static void unfold(struct td_core *core)
{
    memset(core->fold_below, 0, sizeof core->fold_below);
    core->has.vv.fold_count = 0;
    for (uint32_t at = core->inc_order_count; at-- > 0;) {
        struct td_inc *inc = &core->incs[core->inc_order[at]];
        if (inc->folded &&
            unfolded_of_region(core, inc->origin.region) < TD_INCARNATIONS_PER_REGION_MAX &&
            unfolded_count(core) < TD_VV_ENTRIES_MAX) {
            inc->folded = false;
        }
    }
}

void td_vectors_unclaim(struct td_core *core)
{
    TD_ASSERT(core->replaying);
    core->has.vv.entry_count = 0;
    for (uint32_t at = 0; at < core->inc_order_count; ++at) {
        struct td_inc *inc = &core->incs[core->inc_order[at]];
        inc->received = inc->durable = 0;
        inc->hole_count = 0;
    }
    unfold(core);
    for (uint32_t slot = core->slot_last; slot != TD_NONE; slot = core->slots[slot].prev) {
        const struct td_slot *batch = &core->slots[slot];
        const struct td_inc *inc = &core->incs[batch->inc];
        if (inc->closed && batch->first_seq + batch->count - 1 > inc->closed_last) {
            continue; /* void, or not counted */
        }
        if (batch->whole) {
            td_inc_received(core, batch->inc, batch->first_seq, batch->count);
        }
        td_slot_anchor(core, slot);
    }
    for (uint32_t at = 0; at < core->inc_order_count; ++at) {
        const uint16_t index = core->inc_order[at];
        td_inc_durable(core, index, core->incs[index].received);
    }
    for (uint8_t slot = 0; slot < TD_SLOTS; ++slot) {
        td_ring_drop(core, slot);
    }
}
