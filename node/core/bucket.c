/* bucket.c -- the two slow halves of repair, in slices so that no step is long: listing one digest
 * bucket in ascending register hash, and finding the batches that hold dots a peer asked for. */
#include "node/core/peers.h"

#include <string.h>

/* ---- listing: a max-heap of the smallest hashes seen so far ---- */
static void swap_entries(struct td_register_id *a, struct td_register_id *b)
{
    struct td_register_id swap = *a;
    *a = *b;
    *b = swap;
}

static void sift_down(struct td_register_id *heap, uint32_t root, uint32_t count)
{
    for (;;) {
        uint32_t child = 2 * root + 1;
        if (child >= count) {
            return;
        }
        if (child + 1 < count && heap[child + 1].register_hash > heap[child].register_hash) {
            child += 1;
        }
        if (heap[root].register_hash >= heap[child].register_hash) {
            return;
        }
        swap_entries(&heap[root], &heap[child]);
        root = child;
    }
}

static void sift_up(struct td_register_id *heap, uint32_t at)
{
    while (at > 0 && heap[(at - 1) / 2].register_hash < heap[at].register_hash) {
        swap_entries(&heap[(at - 1) / 2], &heap[at]);
        at = (at - 1) / 2;
    }
}

static void offer(struct td_bucket_scan *scan, uint64_t hash, struct td_dot dot)
{
    struct td_register_id entry = {hash, dot};

    if (scan->count < TD_BUCKET_ENTRIES_MAX) {
        scan->entries[scan->count] = entry;
        sift_up(scan->entries, scan->count);
        scan->count += 1;
        return;
    }
    scan->more = true;
    if (hash < scan->entries[0].register_hash) {
        scan->entries[0] = entry;
        sift_down(scan->entries, 0, scan->count);
    }
}

void td_scan_begin(struct td_bucket_scan *scan, uint32_t link, uint16_t bucket, uint64_t from,
                   uint64_t to)
{
    scan->active = true;
    scan->done = scan->more = false;
    scan->link = link;
    scan->bucket = bucket;
    scan->from = from;
    scan->to = to;
    scan->position = scan->count = 0;
}

void td_scan_slice(struct td_core *core, struct td_bucket_scan *scan)
{
    if (!scan->active || scan->done) {
        return;
    }
    uint32_t end = core->register_used_max - scan->position > TD_SCAN_SLICE
                       ? scan->position + TD_SCAN_SLICE
                       : core->register_used_max;
    for (; scan->position < end; scan->position++) {
        const struct td_register *reg = &core->registers[scan->position];
        if (!reg->used) {
            continue;
        }
        uint64_t hash = td_register_hash(reg->job_hash, reg->attempt);
        if (td_register_bucket(hash) == scan->bucket && hash >= scan->from && hash <= scan->to) {
            offer(scan, hash, td_register_dot(core, reg));
        }
    }
    td_deadline(core, core->now.boot_ms);
    if (scan->position < core->register_used_max) {
        return;
    }
    for (uint32_t left = scan->count; left-- > 1;) { /* the heap is already one: sort it in place */
        swap_entries(&scan->entries[0], &scan->entries[left]);
        sift_down(scan->entries, 0, left);
    }
    scan->done = true;
}

/* ---- fetching ---- */
static void sift_dots(struct td_dot *dots, uint32_t root, uint32_t count)
{
    for (;;) {
        uint32_t child = 2 * root + 1;
        if (child >= count) {
            return;
        }
        if (child + 1 < count && td_dot_compare(dots[child + 1], dots[child]) > 0) {
            child += 1;
        }
        if (td_dot_compare(dots[root], dots[child]) >= 0) {
            return;
        }
        struct td_dot swap = dots[root];
        dots[root] = dots[child];
        dots[child] = swap;
        root = child;
    }
}

void td_fetch_begin(struct td_core *core, struct td_fetch_job *job, uint32_t link,
                    const struct td_dot *dots, uint32_t count)
{
    job->active = true;
    job->link = link;
    job->slot = core->slot_first;
    job->count = count < TD_FETCH_MAX ? count : TD_FETCH_MAX;
    td_copy(job->dots, dots, job->count * sizeof *dots);
    for (uint32_t root = job->count / 2; root-- > 0;) {
        sift_dots(job->dots, root, job->count);
    }
    for (uint32_t left = job->count; left-- > 1;) {
        struct td_dot swap = job->dots[0];
        job->dots[0] = job->dots[left];
        job->dots[left] = swap;
        sift_dots(job->dots, 0, left);
    }
}

/* First wanted dot not before this one; count when none. */
static uint32_t lower_bound(const struct td_fetch_job *job, struct td_dot dot)
{
    uint32_t low = 0, high = job->count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (td_dot_compare(job->dots[middle], dot) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool wanted(const struct td_fetch_job *job, struct td_dot dot)
{
    uint32_t at = lower_bound(job, dot);
    return at < job->count && td_dot_compare(job->dots[at], dot) == 0;
}

static bool slot_may_hold(const struct td_core *core, const struct td_fetch_job *job,
                          const struct td_slot *slot)
{
    struct td_origin origin = core->incs[slot->inc].origin;
    uint32_t at = lower_bound(job, (struct td_dot){origin, slot->first_seq});

    return slot->live_count > 0 && !slot->failed && at < job->count &&
           td_dot_compare(job->dots[at],
                          (struct td_dot){origin, slot->first_seq + slot->count - 1}) <= 0;
}

/* Ascending insertion: few dots of one batch are wanted at a time. */
static uint32_t collect(const struct td_core *core, const struct td_fetch_job *job,
                        const struct td_slot *slot, uint32_t *keep)
{
    uint32_t count = 0;

    for (uint32_t at = slot->live_first; at != TD_NONE; at = core->registers[at].next_live) {
        const struct td_register *reg = &core->registers[at];
        if (!wanted(job, td_register_dot(core, reg)) || count == TD_FETCH_MAX) {
            continue;
        }
        uint32_t place = count++;
        for (; place > 0 && keep[place - 1] > reg->index; place--) {
            keep[place] = keep[place - 1];
        }
        keep[place] = reg->index;
    }
    return count;
}

/* False when the link can take no more in this step. */
static bool serve_slot(struct td_core *core, struct td_fetch_job *job, const struct td_slot *slot)
{
    struct td_link *link = &core->links[job->link];
    uint32_t *keep = td_fx_scratch(core, TD_FETCH_MAX, sizeof *keep);

    if (keep == NULL || link->credit[TD_LANE_REPAIR] < TD_FETCHED_CHARGE) {
        return false;
    }
    uint32_t count = collect(core, job, slot, keep);
    if (count == 0) {
        return true;
    }
    struct td_out *out = td_fx_out(core, job->link, TD_OUT_FETCHED);
    if (out == NULL) {
        return false;
    }
    out->u.part.ref = slot->ref;
    out->u.part.batch_count = slot->count;
    out->u.part.keep_count = count;
    out->u.part.keep = keep;
    link->credit[TD_LANE_REPAIR] -= TD_FETCHED_CHARGE;
    return true;
}

void td_fetch_slice(struct td_core *core, struct td_fetch_job *job)
{
    for (uint32_t looked = 0; job->active && looked < TD_SCAN_SLICE; looked++) {
        if (job->slot == TD_NONE) {
            job->active = false;
            return;
        }
        const struct td_slot *slot = &core->slots[job->slot];
        if (slot_may_hold(core, job, slot) && !serve_slot(core, job, slot)) {
            return; /* goes on with the next tick: credit, or room in the step */
        }
        job->slot = slot->next;
    }
    if (job->active) {
        td_deadline(core, core->now.boot_ms);
    }
}
