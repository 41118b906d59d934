/* transfer_send.c -- answering "everything live that I lack beyond this vector": the batch slots in
 * arrival order, thinned to what is live here and not covered there. A cursor per link, no queue. A
 * register that is overwritten during the walk moves to a newer slot, which the cursor meets later.
 */
#include "node/core/peers.h"
#include "node/core/plant.h"

enum {
    CHUNK_BYTES = 256 * 1024,
    CHUNK_PARTS = 64,
    SLOTS_PER_STEP = 8192, /* looked at per link and step: a step stays short */
    THIN_BYTES = 512,      /* header, signature and a few subtree hashes of a thinned batch */
    /* A delta takes less on the wire than twice its body and this, and brings a path of hashes. */
    BODY_WORD_BYTES = 16,
    DELTA_BYTES = 160,
    PROOF_BYTES = 12 * 34,
    CONTENT_BYTES_MAX = TD_FRAME_BYTES_MAX - 4096, /* uncompressed: a chunk must fit into one frame */
};

void td_transfer_slot_freed(struct td_core *core, uint32_t slot)
{
    td_repair_slot_freed(core, slot);
    for (uint32_t i = 0; i < core->link_used_max; i++) {
        if (core->links[i].send.active && core->links[i].send.cursor_slot == slot) {
            core->links[i].send.cursor_slot = core->slots[slot].next;
        }
    }
}

/* First slot in the list that arrived at or after the cursor. */
static uint32_t seek(const struct td_core *core, uint64_t cursor)
{
    uint32_t slot = core->slot_last, found = TD_NONE;

    while (slot != TD_NONE && core->slots[slot].arrived >= cursor) {
        found = slot;
        slot = core->slots[slot].prev;
    }
    return found;
}

void td_transfer_asked(struct td_core *core, uint32_t index, const struct td_msg *msg)
{
    struct td_link *link = &core->links[index];

    if (!td_vv_store_set(&link->send.base, &msg->u.want_all.has)) {
        link->no_due = true;
        link->no_id = msg->u.want_all.id;
        return;
    }
    link->send.active = true;
    link->send.id = msg->u.want_all.id;
    link->send.cursor_arrived = msg->u.want_all.cursor;
    link->send.cursor_slot = seek(core, msg->u.want_all.cursor);
}

/* Indexes of a batch, ascending: heap sort, the list of a slot is in no order. */
static void sift_down(uint32_t *keys, uint32_t root, uint32_t count)
{
    for (;;) {
        uint32_t child = 2 * root + 1;
        if (child >= count) {
            return;
        }
        if (child + 1 < count && keys[child + 1] > keys[child]) {
            child += 1;
        }
        if (keys[root] >= keys[child]) {
            return;
        }
        uint32_t swap = keys[root];
        keys[root] = keys[child];
        keys[child] = swap;
        root = child;
    }
}

static void sort_ascending(uint32_t *keys, uint32_t count)
{
    for (uint32_t root = count / 2; root-- > 0;) {
        sift_down(keys, root, count);
    }
    for (uint32_t end = count; end-- > 1;) {
        uint32_t swap = keys[0];
        keys[0] = keys[end];
        keys[end] = swap;
        sift_down(keys, 0, end);
    }
}

/* What of this slot the receiver lacks, and how large it can be at most once thinned. keep has room for
 * slot->live_count, and for one. */
static uint32_t collect(const struct td_core *core, const struct td_slot *slot, uint64_t covered,
                        uint32_t *keep, uint64_t *ret_bytes_max)
{
    uint32_t count = 0;
    uint64_t bytes = THIN_BYTES;

    for (uint32_t reg = slot->live_first; reg != TD_NONE; reg = core->registers[reg].next_live) {
        if (TD_PLANTED(thin_drops_live_delta) && core->registers[reg].next_live == TD_NONE &&
            slot->live_count > 1) {
            continue;
        }
        if (slot->first_seq + core->registers[reg].index > covered) {
            TD_ASSERT(count < slot->live_count);
            keep[count++] = core->registers[reg].index;
            bytes += 2 * (uint64_t)core->registers[reg].body_words * BODY_WORD_BYTES +
                     DELTA_BYTES + PROOF_BYTES;
        }
    }
    if (count == 0 && (slot->anchor || slot->anchor_next)) { /* for its header's sake */
        keep[count++] = slot->index_last;
        bytes = slot->ref.bytes;
    }
    *ret_bytes_max = td_min_u64(bytes, slot->ref.bytes) + 4;
    sort_ascending(keep, count);
    return count;
}

struct chunk {
    struct td_out_part *parts;
    uint32_t part_count;
    uint64_t bytes;     /* expected */
    uint64_t bytes_max; /* never more */
    bool full;
};

static uint64_t part_bytes(const struct td_slot *slot, uint32_t keep_count)
{
    if (keep_count == slot->count) {
        return slot->ref.bytes;
    }
    return td_min_u64(slot->ref.bytes,
                      (uint64_t)slot->ref.bytes * keep_count / slot->count + THIN_BYTES);
}

/* A failed store left live registers whose bytes are nowhere, and which beat older ones that we do
 * claim: this answer cannot be complete. */
static void refuse(struct td_link *link)
{
    link->send.active = false;
    link->no_due = true;
    link->no_id = link->send.id;
}

/* False when the scratch of this step is used up (the slot is looked at again in the next one), when it
 * no longer fits into this chunk, or when the answer was refused. */
static bool add_slot(struct td_core *core, struct td_link *link, uint32_t index,
                     struct chunk *chunk)
{
    const struct td_slot *slot = &core->slots[index];
    uint64_t covered = td_vv_seq(&link->send.base.vv, core->incs[slot->inc].origin);

    bool anchor = slot->anchor || slot->anchor_next;
    if ((slot->live_count == 0 && !anchor) || covered >= slot->first_seq + slot->count - 1) {
        return true;
    }
    if (slot->failed) {
        refuse(link);
        return false;
    }
    uint32_t *keep = td_fx_scratch(core, slot->live_count + 1, sizeof *keep);
    if (keep == NULL) {
        td_deadline(core, core->now.boot_ms);
        return false;
    }
    uint64_t bytes_max = 0;
    uint32_t count = collect(core, slot, covered, keep, &bytes_max);
    if (count > 0 && chunk->part_count > 0 && chunk->bytes_max + bytes_max > CONTENT_BYTES_MAX) {
        chunk->full = true;
        return false;
    }
    if (count > 0) {
        struct td_out_part *part = &chunk->parts[chunk->part_count++];
        part->ref = slot->ref;
        part->batch_count = slot->count;
        part->keep_count = count;
        part->keep = keep;
        chunk->bytes += part_bytes(slot, count);
        chunk->bytes_max += bytes_max;
    }
    return true;
}

/* Fills one chunk. False when nothing more can be looked at in this step. */
static bool fill(struct td_core *core, struct td_link *link, struct chunk *chunk,
                 uint32_t *slots_left)
{
    while (link->send.cursor_slot != TD_NONE) {
        if (chunk->part_count == CHUNK_PARTS || chunk->bytes >= CHUNK_BYTES) {
            return true;
        }
        if (*slots_left == 0) {
            td_deadline(core, core->now.boot_ms);
            return false;
        }
        uint32_t slot = link->send.cursor_slot;
        if (!add_slot(core, link, slot, chunk)) {
            return chunk->full;
        }
        link->send.cursor_arrived = core->slots[slot].arrived + 1;
        link->send.cursor_slot = core->slots[slot].next;
        *slots_left -= 1;
    }
    return true;
}

/* The claim is our durable `has` of this very step: the cursor stands at the end of the list now.
 */
static void send_end(struct td_core *core, uint32_t index)
{
    struct td_link *link = &core->links[index];
    struct td_out *out = td_fx_out(core, index, TD_OUT_MSG);

    if (out == NULL) {
        return;
    }
    out->u.msg.type = TD_MSG_TRANSFER_END;
    out->u.msg.u.end.id = link->send.id;
    out->u.msg.u.end.claim = td_vectors_has(core);
    link->send.active = false;
}

/* One chunk; true when another one may follow in this step. */
static bool send_chunk(struct td_core *core, uint32_t index, uint32_t *slots_left)
{
    struct td_link *link = &core->links[index];
    struct chunk chunk = {td_fx_scratch(core, CHUNK_PARTS, sizeof(struct td_out_part)), 0, 0, 0, false};

    if (chunk.parts == NULL || link->credit[TD_LANE_TRANSFER] < TD_CHUNK_CHARGE) {
        return false;
    }
    uint32_t slot_before = link->send.cursor_slot;
    uint64_t arrived_before = link->send.cursor_arrived;
    bool more = fill(core, link, &chunk, slots_left);
    if (chunk.part_count == 0 || !link->send.active) {
        return more;
    }
    struct td_out *out = td_fx_out(core, index, TD_OUT_CHUNK);
    if (out == NULL) { /* the same part again in the next step */
        link->send.cursor_slot = slot_before;
        link->send.cursor_arrived = arrived_before;
        return false;
    }
    out->u.chunk.id = link->send.id;
    out->u.chunk.cursor = link->send.cursor_arrived;
    out->u.chunk.part_count = chunk.part_count;
    out->u.chunk.parts = chunk.parts;
    link->credit[TD_LANE_TRANSFER] -= TD_CHUNK_CHARGE;
    TD_COUNT(core, transfer_batches_sent, chunk.part_count);
    return more;
}

static void pump_link(struct td_core *core, uint32_t index)
{
    struct td_link *link = &core->links[index];
    uint32_t slots_left = SLOTS_PER_STEP;

    if (link->send.cursor_slot == TD_NONE) { /* perhaps more arrived since it reached the end */
        link->send.cursor_slot = seek(core, link->send.cursor_arrived);
    }
    while (link->send.cursor_slot != TD_NONE) {
        if (!send_chunk(core, index, &slots_left)) {
            return;
        }
    }
    send_end(core, index);
}

void td_transfer_pump(struct td_core *core)
{
    for (uint32_t i = 0; i < core->link_used_max; i++) {
        if (td_link_up(&core->links[i]) && core->links[i].send.active) {
            pump_link(core, i);
        }
    }
}
