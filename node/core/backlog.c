/* backlog.c -- what each peer lacks of our own reports: updates, distinct registers ("jobs"), the
 * oldest of them, and how long it will take (docs/decisions/0021-backlog-in-jobs.md).
 *
 * Updates come from the vectors at once. Registers are counted by a walk over the batch slots, a
 * slice at a time: a slot knows how many registers live in it, so that only a slot that the peer
 * has in part is looked into. What fits into one slice is walked for each answer; beyond that the
 * number is as of the last whole walk. */
#include "node/core/peers.h"

enum {
    SLICE_SLOTS = 16384,
    SLICE_MS = 100,
    SAMPLE_MS = 250, /* between two samples of the drain */
    RING_SCAN_MAX = 4096,
};

/* A peer that lacks something, while the walk goes over the slots. */
struct lacking {
    struct td_backlog *backlog;
    const struct td_vv *has;
    uint64_t sent_before; /* slots that arrived before were sent in a transfer */
    uint64_t there;       /* what it has of the slot's incarnation */
    uint64_t found, oldest_ms;
    struct td_dot oldest;
};

const struct td_vv *td_backlog_has(const struct td_core *core, uint8_t region_slot)
{
    const uint32_t link = td_link_of(core, region_slot);
    if (link != TD_NONE && core->links[link].has_known) {
        return &core->links[link].has.vv;
    }
    return core->regions[region_slot].heard ? &core->regions[region_slot].head_has.vv : NULL;
}

static uint64_t own_deltas_beyond(const struct td_core *core, const struct td_vv *has)
{
    uint64_t lacking = 0;
    for (uint32_t i = 0; i < core->has.vv.entry_count; ++i) {
        const struct td_vv_entry *entry = &core->has.vv.entries[i];
        if (entry->origin.region.v != core->config.self.v) {
            continue;
        }
        const uint64_t there = td_vv_seq(has, entry->origin);
        lacking += entry->seq > there ? entry->seq - there : 0;
    }
    return lacking;
}

/* ---- the walk ---- */

/* The row of a region; one that takes the place of a region that has left begins anew. */
static struct td_backlog *backlog_of(struct td_core *core, uint8_t region_slot)
{
    struct td_backlog *backlog = &core->backlogs[region_slot];
    if (backlog->region.v != core->regions[region_slot].number.v) {
        *backlog = (struct td_backlog){.region = core->regions[region_slot].number};
    }
    return backlog;
}

static uint32_t who_lacks(struct td_core *core, struct lacking *rows)
{
    uint32_t count = 0;
    for (uint8_t slot = 0; slot < TD_SLOTS; ++slot) {
        if (core->regions[slot].number.v == 0 || slot == core->self_slot) {
            continue;
        }
        struct td_backlog *backlog = backlog_of(core, slot);
        const struct td_vv *has = td_backlog_has(core, slot);
        const bool lacks = has != NULL && own_deltas_beyond(core, has) > 0;
        if (lacks && !backlog->lacking) {
            backlog->counted = false;
            backlog->whole = core->backlog_at == 0;
        }
        backlog->lacking = lacks;
        if (lacks) {
            const uint32_t link = td_link_of(core, slot);
            const uint64_t sent = link == TD_NONE ? 0 : core->links[link].send.cursor_arrived;
            rows[count++] = (struct lacking){.backlog = backlog, .has = has, .sent_before = sent};
        }
    }
    return count;
}

/* Whether this slot's reports were made before the oldest found so far. */
static bool is_earlier(const struct td_core *core, const struct td_slot *slot, struct td_dot oldest)
{
    const struct td_dot first = {core->incs[slot->inc].origin, slot->first_seq};
    return oldest.seq == 0 || td_dot_compare(first, oldest) < 0;
}

static void look_into(const struct td_core *core, const struct td_slot *slot, struct lacking *rows,
                      uint32_t count)
{
    for (uint32_t i = 0; i < count; ++i) {
        rows[i].found = 0;
        rows[i].oldest.seq = 0;
    }
    for (uint32_t at = slot->live_first; at != TD_NONE; at = core->registers[at].next_live) {
        const struct td_register *reg = &core->registers[at];
        const struct td_dot dot = {core->incs[slot->inc].origin, slot->first_seq + reg->index};
        for (uint32_t i = 0; i < count; ++i) {
            if (dot.seq <= rows[i].there) {
                continue;
            }
            rows[i].found += 1;
            if (rows[i].oldest.seq == 0 || reg->stamp.ms < rows[i].oldest_ms) {
                rows[i].oldest = dot;
                rows[i].oldest_ms = reg->stamp.ms;
            }
        }
    }
}

static void add_found(const struct td_slot *slot, struct lacking *row, uint64_t found)
{
    row->backlog->jobs_found += found;
    row->backlog->unsent_found += slot->arrived >= row->sent_before ? found : 0;
}

/* Returns how many registers were looked at. */
static uint32_t count_slot(const struct td_core *core, const struct td_slot *slot,
                           struct lacking *rows, uint32_t count)
{
    bool look = false;
    for (uint32_t i = 0; i < count; ++i) {
        const bool whole = rows[i].there < slot->first_seq;
        const bool part = !whole && rows[i].there < slot->first_seq + slot->count - 1;
        look = look || part || (whole && is_earlier(core, slot, rows[i].backlog->oldest_found));
    }
    if (look) {
        look_into(core, slot, rows, count);
    }
    for (uint32_t i = 0; i < count; ++i) {
        if (!look && rows[i].there < slot->first_seq) {
            add_found(slot, &rows[i], slot->live_count);
        } else if (look && rows[i].found > 0) {
            struct td_backlog *backlog = rows[i].backlog;
            add_found(slot, &rows[i], rows[i].found);
            if (is_earlier(core, slot, backlog->oldest_found)) {
                backlog->oldest_found = rows[i].oldest;
                backlog->oldest_found_ms = rows[i].oldest_ms;
            }
        }
    }
    return look ? slot->live_count : 0;
}

/* True when it has come to the end. */
static bool walk_slice(struct td_core *core)
{
    struct lacking rows[TD_SLOTS];
    const uint32_t count = who_lacks(core, rows);
    uint16_t inc = TD_INC_NONE;
    uint32_t budget = SLICE_SLOTS;
    if (count == 0) {
        return true;
    }
    while (core->backlog_at < core->slot_used_max && budget > 0) {
        const struct td_slot *slot = &core->slots[core->backlog_at++];
        budget -= 1;
        if (!slot->used || slot->live_count == 0 || core->incs[slot->inc].folded ||
            core->incs[slot->inc].origin.region.v != core->config.self.v) {
            continue;
        }
        for (uint32_t i = 0; slot->inc != inc && i < count; ++i) {
            rows[i].there = td_vv_seq(rows[i].has, core->incs[slot->inc].origin);
        }
        inc = slot->inc;
        const uint32_t looked = count_slot(core, slot, rows, count);
        budget -= looked < budget ? looked : budget;
    }
    return core->backlog_at >= core->slot_used_max;
}

/* ---- the drain ---- */

static void sample(const struct td_core *core, struct td_backlog *backlog)
{
    const uint32_t newest = (backlog->sample_next + TD_DRAIN_SAMPLES - 1) % TD_DRAIN_SAMPLES;
    if (backlog->jobs == 0) {
        backlog->sample_count = 0;
        return;
    }
    if (backlog->sample_count > 0 &&
        core->now.boot_ms < backlog->samples[newest].boot_ms + SAMPLE_MS) {
        return;
    }
    backlog->samples[backlog->sample_next].boot_ms = core->now.boot_ms;
    backlog->samples[backlog->sample_next].unsent = backlog->unsent;
    backlog->sample_next = (backlog->sample_next + 1) % TD_DRAIN_SAMPLES;
    backlog->sample_count += backlog->sample_count < TD_DRAIN_SAMPLES;
}

/* Time for the rest at the rate since the oldest sample. What was sent and is not confirmed has no
 * rate. */
static bool drain_ms(const struct td_backlog *backlog, uint64_t *ret_ms)
{
    const uint32_t next = backlog->sample_next + TD_DRAIN_SAMPLES;
    if (backlog->sample_count < 2) {
        return false;
    }
    const uint32_t newest = (next - 1) % TD_DRAIN_SAMPLES;
    const uint32_t oldest = (next - backlog->sample_count) % TD_DRAIN_SAMPLES;
    const uint64_t before = backlog->samples[oldest].unsent, now = backlog->samples[newest].unsent;
    if (now == 0 || now >= before) {
        return false;
    }
    *ret_ms = now * (backlog->samples[newest].boot_ms - backlog->samples[oldest].boot_ms) /
              (before - now);
    return true;
}

/* ---- in slices, and for an answer ---- */

static void walk_done(struct td_core *core)
{
    for (uint8_t slot = 0; slot < TD_SLOTS; ++slot) {
        struct td_backlog *backlog = &core->backlogs[slot];
        backlog->counted = backlog->lacking && backlog->whole;
        backlog->whole = true; /* the next one is, from its begin */
        backlog->jobs = backlog->jobs_found;
        backlog->unsent = backlog->unsent_found;
        backlog->oldest = backlog->oldest_found;
        backlog->oldest_ms = backlog->oldest_found_ms;
        backlog->jobs_found = 0;
        backlog->unsent_found = 0;
        backlog->oldest_found.seq = 0;
        sample(core, backlog);
    }
    core->backlog_at = 0;
}

void td_backlog_step(struct td_core *core)
{
    if (core->now.boot_ms < core->backlog_next_ms || core->self_slot == 255) {
        return;
    }
    core->backlog_next_ms = core->now.boot_ms + SLICE_MS;
    if (walk_slice(core)) {
        walk_done(core);
    }
}

void td_backlog_refresh(struct td_core *core)
{
    if (core->slot_used_max <= SLICE_SLOTS && core->backlog_at == 0 && core->self_slot != 255 &&
        walk_slice(core)) {
        walk_done(core);
    }
}

/* Stamp of the oldest own batch in our live ring that they lack: for what came since the last walk.
 */
static uint64_t oldest_in_ring_ms(const struct td_core *core, const struct td_vv *has)
{
    const struct td_region_info *self = &core->regions[core->self_slot];
    uint64_t oldest = 0;
    for (uint32_t i = 0; i < self->ring_count && i < RING_SCAN_MAX && oldest == 0; ++i) {
        const uint32_t index = td_ring_at(core, core->self_slot, self->ring_serial + i);
        const struct td_slot *slot = &core->slots[index];
        const struct td_dot last = {core->incs[slot->inc].origin,
                                    slot->first_seq + slot->count - 1};
        if (td_vv_covers_dot(has, last)) {
            continue;
        }
        for (uint32_t reg = slot->live_first; reg != TD_NONE;
             reg = core->registers[reg].next_live) {
            const uint64_t ms = core->registers[reg].stamp.ms;
            oldest = oldest == 0 || ms < oldest ? ms : oldest;
        }
    }
    return oldest;
}

void td_backlog_fill(struct td_core *core, uint8_t region_slot, struct td_region_view *view)
{
    const struct td_vv *has = td_backlog_has(core, region_slot);
    const struct td_backlog *backlog = backlog_of(core, region_slot);
    view->they_lack_jobs = UINT32_MAX;
    if (has == NULL || core->self_slot == 255) {
        return;
    }
    view->they_lack_known = true;
    view->they_lack = own_deltas_beyond(core, has);
    if (view->they_lack == 0) {
        view->they_lack_jobs = 0;
        view->eta_known = true;
        return;
    }
    if (backlog->counted) { /* each of them is the newest of some update that they lack */
        view->they_lack_jobs =
            (uint32_t)td_min_u64(td_min_u64(backlog->jobs, view->they_lack), UINT32_MAX - 1);
        view->eta_known = drain_ms(backlog, &view->eta_ms);
    }
    const bool lacked = backlog->oldest.seq != 0 && !td_vv_covers_dot(has, backlog->oldest);
    view->oldest_unacked_ms = lacked ? backlog->oldest_ms : oldest_in_ring_ms(core, has);
}
