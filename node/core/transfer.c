/* transfer.c -- receiving "everything live that I lack": one at a time, all regions at once, in the
 * sender's arrival order, closed by the sender's claim (DESIGN 2). `has` stands still until the
 * claim; the claim counts once everything that came is durable, and only as far as its origins
 * signed. */
#include "node/core/peers.h"
#include "node/core/plant.h"

#include <string.h>

enum { SIGNED_WAIT_MS = 500, AVOID_MS = 5000, PAUSE_MS = 100, PAUSE_MAX_MS = 10000 };
enum { UNSIGNED_EVERY_MS = 60000 };
enum ended { ENDED_QUIET = 1, ENDED_REFUSED, ENDED_BROKEN, ENDED_POISONED };

static void give_up(struct td_core *core, enum ended reason)
{
    struct td_transfer_in *transfer = &core->transfer;
    uint8_t slot = td_region_slot(core, transfer->sender);

    TD_COUNT(core, transfers_given_up, 1);
    td_fx_trace(core, TD_TR_TRANSFER_ENDED, transfer->sender, reason, 0);
    if (slot < TD_SLOTS) {
        core->regions[slot].avoid_until_ms = core->now.boot_ms + AVOID_MS;
    }
    transfer->active = false;
    transfer->ended = false;
    core->transfer_wanted = true;
    core->transfer_from_ms = core->now.boot_ms + PAUSE_MS;
    td_deadline(core, core->transfer_from_ms);
}

/* ---- choosing a sender ---- */
/* Spreads the nodes that heal at the same moment: a few ms from the two regions' numbers. */
static uint64_t jitter_ms(const struct td_core *core, struct td_region sender)
{
    return (core->config.self.v * 7U + sender.v * 3U) % 8U;
}

void td_transfer_want(struct td_core *core)
{
    if (core->transfer_wanted || TD_PLANTED(never_transfer)) {
        return;
    }
    core->transfer_wanted = true;
    core->transfer_from_ms =
        td_max_u64(core->transfer_from_ms, core->now.boot_ms + jitter_ms(core, core->config.self));
    td_deadline(core, core->transfer_from_ms);
}

/* How much a neighbour's announcement names that we did not receive. Names nobody signed count
 * least: a claim cannot count for them, but the batches that come along may bring the signature. */
static uint64_t score(const struct td_core *core, const struct td_link *link)
{
    uint64_t signed_lack = 0, unsigned_lack = 0;

    for (uint32_t i = 0; i < link->has.vv.entry_count; i++) {
        const struct td_vv_entry *entry = &link->has.vv.entries[i];
        uint16_t index = td_inc_find(core, entry->origin);
        if (entry->origin.incarnation.start < core->fold_below[entry->origin.region.v]) {
            continue;
        }
        if (index == TD_INC_NONE) {
            unsigned_lack += entry->seq > 0;
            continue;
        }
        const struct td_inc *inc = &core->incs[index];
        uint64_t limit = td_inc_limit(inc, entry->seq);
        if (limit > inc->received) {
            signed_lack += limit - inc->received;
        } else if (!inc->closed && entry->seq > inc->signed_max) {
            unsigned_lack += 1;
        }
    }
    signed_lack += td_recover_fold_lacking(core, &core->regions[link->region_slot], &link->has.vv);
    for (uint32_t i = 0; i < link->has.vv.fold_count; i++) {
        const struct td_vv_fold *fold = &link->has.vv.folds[i];
        uint8_t slot = td_region_slot(core, fold->region);
        uint32_t below = core->fold_below[fold->region.v];
        signed_lack += slot < TD_SLOTS && fold->start_below > below &&
                       td_fold_told(&core->regions[slot]) > below;
        signed_lack += slot == TD_SLOTS && td_leaving_fold(core, *fold) > below;
    }
    if (signed_lack == 0 && core->now.boot_ms < link->unsigned_until_ms) {
        unsigned_lack = 0;
    }
    return td_min_u64(signed_lack, UINT64_C(1) << 40) * 65536 + td_min_u64(unsigned_lack, 65535);
}

/* ret_later: somebody has something for us, but was given up a moment ago. */
static uint32_t best_sender(const struct td_core *core, bool *ret_later)
{
    uint32_t best = TD_NONE;
    uint64_t best_score = 0;

    *ret_later = false;
    for (uint32_t i = 0; i < core->link_used_max; i++) {
        const struct td_link *link = &core->links[i];
        const struct td_region_info *region = &core->regions[link->region_slot];
        if (!td_link_up(link) || !link->has_known) {
            continue;
        }
        uint64_t here = score(core, link);
        if (core->now.boot_ms < region->avoid_until_ms) {
            *ret_later = *ret_later || here > 0;
            continue;
        }
        if (region->recovering && here > 0) { /* the last resort: it lacks things itself */
            here = 1;
        }
        if (here > best_score) {
            best = i;
            best_score = here;
        }
    }
    return best;
}

static bool holes_left(const struct td_core *core, struct td_region region)
{
    for (uint32_t i = 0; i < core->inc_count; i++) {
        const struct td_inc *inc = &core->incs[i];
        bool over = inc->folded || (inc->closed && inc->received >= inc->closed_last);
        if (inc->origin.region.v == region.v && inc->hole_count > 0 && !over) {
            return true;
        }
    }
    return false;
}

/* Nobody in reach has anything for us: live goes on, announcements will tell when that changes. */
static void nothing_to_get(struct td_core *core)
{
    bool wanted = false;

    for (uint8_t slot = 0; slot < TD_SLOTS; slot++) {
        struct td_region_info *region = &core->regions[slot];
        region->need_transfer =
            region->number.v != 0 && region->need_transfer &&
            (td_link_of(core, slot) == TD_NONE || holes_left(core, region->number));
        wanted = wanted || region->need_transfer;
    }
    core->transfer_wanted = wanted;
    core->transfer_from_ms = core->now.boot_ms + PAUSE_MS;
    if (wanted) {
        td_deadline(core, core->transfer_from_ms);
    }
}

static bool any_has_known(const struct td_core *core)
{
    for (uint32_t i = 0; i < core->link_used_max; i++) {
        if (td_link_up(&core->links[i]) && core->links[i].has_known) {
            return true;
        }
    }
    return false;
}

static void begin(struct td_core *core)
{
    bool later = false;
    uint32_t index = best_sender(core, &later);
    struct td_transfer_in *transfer = &core->transfer;

    if (index == TD_NONE) {
        if (later) {
            core->transfer_from_ms = core->now.boot_ms + PAUSE_MS;
            td_deadline(core, core->transfer_from_ms);
        } else if (any_has_known(core)) {
            nothing_to_get(core);
        }
        return;
    }
    struct td_link *link = &core->links[index];
    transfer->active = true;
    transfer->link = index;
    transfer->sender = td_link_region(core, link)->number;
    transfer->process = link->process;
    transfer->id = ++core->transfer_id;
    transfer->cursor = 0;
    transfer->started_ms = transfer->last_ms = core->now.boot_ms;
    transfer->bytes = transfer->batches = 0;
    transfer->ended = transfer->asked = transfer->poisoned = transfer->capped = false;
    transfer->record_ticket = 0;
    transfer->failed_count = core->counters[TD_COUNTER_stores_failed];
    struct td_vv has = td_vectors_has(core);
    bool fits = td_vv_store_set(&transfer->base, &has);
    TD_ASSERT(fits);
    core->transfer_wanted = false;
    link->unsigned_until_ms = core->now.boot_ms + UNSIGNED_EVERY_MS;
    TD_COUNT(core, transfers_started, 1);
}

bool td_transfer_pump_want(struct td_core *core, uint32_t index)
{
    struct td_transfer_in *transfer = &core->transfer;

    if (!transfer->active || transfer->ended || transfer->asked || transfer->link != index) {
        return true;
    }
    struct td_out *out = td_fx_out(core, index, TD_OUT_MSG);
    if (out == NULL) {
        return false;
    }
    out->u.msg.type = TD_MSG_WANT_ALL;
    out->u.msg.u.want_all.id = transfer->id;
    out->u.msg.u.want_all.cursor = transfer->cursor;
    out->u.msg.u.want_all.has = transfer->base.vv;
    transfer->asked = true;
    return true;
}

/* ---- what arrives ---- */
static bool is_ours(const struct td_core *core, uint32_t index, uint32_t id)
{
    const struct td_transfer_in *transfer = &core->transfer;
    return transfer->active && !transfer->ended && transfer->link == index && transfer->id == id;
}

void td_transfer_chunk(struct td_core *core, uint32_t index, const struct td_event *event)
{
    struct td_transfer_in *transfer = &core->transfer;
    struct td_region via = td_link_region(core, &core->links[index])->number;
    const struct td_msg *msg = event->u.frame.msg;

    if (!td_peers_charge(core, index, TD_LANE_TRANSFER, TD_CHUNK_CHARGE) ||
        !is_ours(core, index, msg->u.chunk.id)) {
        return;
    }
    transfer->last_ms = core->now.boot_ms;
    transfer->cursor = msg->u.chunk.cursor;
    transfer->bytes += event->u.frame.payload_bytes;
    if (event->u.frame.rejected > 0) {
        transfer->poisoned = true;
    }
    for (size_t i = 0; i < event->u.frame.batch_count && !transfer->poisoned; i++) {
        uint64_t bounds = core->counters[TD_COUNTER_rejected_bounds];
        if (!td_store_room(core, 1)) {
            transfer->poisoned = true;
            break;
        }
        uint64_t refused = core->roster_refused;
        (void)td_batch_accept(core, &event->u.frame.batches[i], via, TD_LANE_TRANSFER);
        transfer->batches += 1;
        TD_COUNT(core, transfer_batches_received, 1);
        if (core->counters[TD_COUNTER_rejected_bounds] != bounds) {
            transfer->poisoned = true; /* a table is full: what was left out may be claimed */
        }
        if (core->roster_refused != refused) {
            transfer->poisoned = true; /* what it beat was not sent: the claim would not be true */
        }
    }
    if (transfer->poisoned) {
        give_up(core, ENDED_POISONED);
    }
}

void td_transfer_end(struct td_core *core, uint32_t index, const struct td_msg *msg)
{
    struct td_transfer_in *transfer = &core->transfer;

    if (!is_ours(core, index, msg->u.end.id)) {
        return;
    }
    if (transfer->poisoned || !td_vv_store_set(&transfer->claim, &msg->u.end.claim)) {
        give_up(core, ENDED_POISONED);
        return;
    }
    (void)td_vv_store_set(&transfer->told, &msg->u.end.claim);
    transfer->ended = true;
    transfer->ended_ms = core->now.boot_ms;
    transfer->claim_ticket = core->ticket_next;
    for (uint32_t i = 0; i < transfer->claim.vv.entry_count; i++) {
        const struct td_vv_entry *entry = &transfer->claim.entries[i];
        uint16_t inc = td_inc_find(core, entry->origin);
        if (inc == TD_INC_NONE || core->incs[inc].signed_max < entry->seq) {
            td_heads_ask_of(core, entry->origin.region, index);
        }
    }
    td_transfer_stored(core);
}

void td_transfer_no(struct td_core *core, uint32_t index, uint32_t id)
{
    if (is_ours(core, index, id)) {
        give_up(core, ENDED_REFUSED);
    }
}

void td_transfer_link_down(struct td_core *core, uint32_t index)
{
    core->links[index].send.active = false;
    if (core->transfer.active && core->transfer.link == index) {
        core->transfer.link = TD_NONE;
        core->transfer.broken_ms = core->now.boot_ms;
        td_deadline(core, core->now.boot_ms + TD_TRANSFER_QUIET_MS);
    }
}

/* ---- the claim ---- */
static bool all_signed(const struct td_core *core, const struct td_vv *claim)
{
    for (uint32_t i = 0; i < claim->entry_count; i++) {
        uint16_t index = td_inc_find(core, claim->entries[i].origin);
        if (index == TD_INC_NONE || core->incs[index].signed_max < claim->entries[i].seq) {
            return false;
        }
    }
    return true;
}

/* The record must never say more than what was checked: a restart believes it. */
static void cap_claim(struct td_core *core)
{
    struct td_vv_store *claim = &core->transfer.claim;
    uint32_t kept = 0;

    for (uint32_t i = 0; i < claim->vv.entry_count; i++) {
        struct td_vv_entry entry = claim->entries[i];
        uint16_t index = td_inc_find(core, entry.origin);
        uint64_t limit = index == TD_INC_NONE ? 0 : core->incs[index].signed_max;
        if (entry.seq > limit && !TD_PLANTED(claim_beyond_signed_head)) {
            TD_COUNT(core, rejected_bounds, 1);
            entry.seq = limit;
        }
        if (entry.seq > 0) {
            claim->entries[kept++] = entry;
        }
    }
    claim->vv.entry_count = kept;
    core->transfer.capped = true;
}

static void write_claim(struct td_core *core)
{
    struct td_transfer_in *transfer = &core->transfer;

    if (!transfer->capped) {
        cap_claim(core);
    }
    struct td_vv claim = transfer->claim.vv;
    claim.fold_count = 0; /* folds are vouched for by heads, and written when they count */
    if (!td_store_has(core, TD_WHAT_CLAIM, &claim)) {
        td_deadline(core, core->now.boot_ms + 1);
        return;
    }
    transfer->record_ticket = core->ticket_next;
}

/* Folds count as far as their origins vouch for them; what came of it is written down once more. */
static void apply_claim(struct td_core *core, const struct td_vv *claim)
{
    bool folded = false;
    uint32_t before[TD_REGIONS_MAX];

    for (uint32_t i = 0; i < claim->fold_count; i++) {
        before[i] = core->fold_below[claim->folds[i].region.v];
    }
    td_vectors_claim(core, claim);
    for (uint32_t i = 0; i < claim->fold_count; i++) {
        folded = folded || core->fold_below[claim->folds[i].region.v] > before[i];
    }
    if (folded) {
        struct td_vv has = td_vectors_has(core);
        (void)td_store_has(core, TD_WHAT_OTHER, &has);
    }
}

static void finish(struct td_core *core)
{
    struct td_transfer_in *transfer = &core->transfer;
    bool again = false;

    apply_claim(core, &transfer->claim.vv);
    transfer->active = transfer->ended = false;
    uint8_t sender = td_region_slot(core, transfer->sender);
    if (sender < TD_SLOTS) {
        (void)td_vv_store_set(&core->regions[sender].told, &transfer->told.vv);
    }
    TD_COUNT(core, transfers_done, 1);
    td_fx_trace(core, TD_TR_TRANSFER_DONE, transfer->sender, transfer->batches,
                core->now.boot_ms - transfer->started_ms);
    for (uint8_t slot = 0; slot < TD_SLOTS; slot++) {
        struct td_region_info *region = &core->regions[slot];
        region->need_transfer = region->number.v != 0 && holes_left(core, region->number);
        again = again || region->need_transfer;
    }
    /* Pauses double while one transfer does not end the need for another. */
    uint32_t pause = core->transfer_pause_ms == 0 ? PAUSE_MS : core->transfer_pause_ms * 2;
    core->transfer_pause_ms = again ? (pause < PAUSE_MAX_MS ? pause : PAUSE_MAX_MS) : 0;
    core->transfer_from_ms = core->now.boot_ms + core->transfer_pause_ms;
    if (again) {
        td_transfer_want(core);
    }
    td_recover_check(core);
}

void td_transfer_stored(struct td_core *core)
{
    struct td_transfer_in *transfer = &core->transfer;

    if (!transfer->active || !transfer->ended) {
        return;
    }
    /* Also a batch handed in before we began: what came again meanwhile was left to it. */
    if (core->counters[TD_COUNTER_stores_failed] != transfer->failed_count) {
        give_up(core, ENDED_POISONED);
        return;
    }
    if (transfer->record_ticket == 0) {
        if (core->stored_ticket < transfer->claim_ticket) {
            return;
        }
        uint64_t wait_until = transfer->ended_ms + SIGNED_WAIT_MS;
        if (core->now.boot_ms < wait_until && !all_signed(core, &transfer->claim.vv)) {
            td_deadline(core, wait_until);
            return;
        }
        write_claim(core);
    } else if (core->stored_ticket >= transfer->record_ticket) {
        finish(core);
    }
}

/* ---- timers ---- */
/* The same process came back: it goes on from the cursor, with the same base. */
static void resume_or_leave(struct td_core *core)
{
    struct td_transfer_in *transfer = &core->transfer;
    uint8_t slot = td_region_slot(core, transfer->sender);
    uint32_t index = slot < TD_SLOTS ? td_link_of(core, slot) : TD_NONE;

    if (index != TD_NONE &&
        td_incarnation_compare(core->links[index].process, transfer->process) == 0) {
        transfer->link = index;
        transfer->asked = false;
        transfer->last_ms = core->now.boot_ms;
    } else if (index != TD_NONE ||
               core->now.boot_ms >= transfer->broken_ms + TD_TRANSFER_QUIET_MS) {
        give_up(core, ENDED_BROKEN);
    } else {
        td_deadline(core, transfer->broken_ms + TD_TRANSFER_QUIET_MS);
    }
}

void td_transfer_tick(struct td_core *core)
{
    struct td_transfer_in *transfer = &core->transfer;

    if (transfer->active && transfer->ended) {
        td_transfer_stored(core);
    } else if (transfer->active && transfer->link == TD_NONE) {
        resume_or_leave(core);
    } else if (transfer->active) {
        uint64_t due = transfer->last_ms + TD_TRANSFER_QUIET_MS;
        if (core->now.boot_ms >= due) {
            core->links[transfer->link].unsigned_until_ms = 0;
            give_up(core, ENDED_QUIET);
        } else {
            td_deadline(core, due);
        }
    }
    if (!transfer->active && core->transfer_wanted) {
        if (core->now.boot_ms >= core->transfer_from_ms) {
            begin(core);
        } else {
            td_deadline(core, core->transfer_from_ms);
        }
    }
}
