/* wire.c -- what the core sends becomes bytes, and bytes become events: the daemon's egress and
 * ingress in one thread, with the same checks in the same order and the same codecs. */
#include "cluster-tests/sim/sim.h"

#include <stdlib.h>
#include <string.h>

#include "node/core/plant.h"

enum { CHUNK_BATCHES_MAX = 4096, SCRATCH_FRAME_BYTES = 4 << 20, TAMPER_PERCENT = 3, TAMPER_PLACE_FROM = 24, TAMPER_PLACE_TO = 48 };

struct buffer {
    uint8_t *bytes;
    size_t used, room;
};

static uint8_t *reserve(struct buffer *buffer, size_t count)
{
    if (buffer->room - buffer->used < count) {
        buffer->room = (buffer->used + count) * 2;
        buffer->bytes = realloc(buffer->bytes, buffer->room);
        TD_ASSERT(buffer->bytes != NULL);
    }
    return buffer->bytes + buffer->used;
}

/* ---- sending ---- */

/* The wanted part of a stored batch: verbatim, or thinned when that is smaller. */
static bool append_part(struct sim_world *world, struct sim_node *node,
                        const struct td_out_part *part, struct buffer *out)
{
    struct td_arena arena;
    struct td_batch batch;
    size_t got = 0;
    uint8_t *place = reserve(out, part->ref.bytes);

    if (td_log_read(node->log, part->ref, place, part->ref.bytes, &got) != TD_OK) {
        return false;
    }
    if (part->keep == NULL || part->keep_count == part->batch_count) {
        out->used += got;
        return true;
    }
    uint8_t *raw = malloc(got);
    TD_ASSERT(raw != NULL);
    memcpy(raw, place, got);
    td_arena_init(&arena, world->arena_block, world->arena_bytes);
    bool good = td_batch_decode((struct td_bytes){raw, got}, &node->signer, node->reader, &arena,
                                &batch) == TD_OK;
    if (good) {
        size_t thinned =
            td_batch_thin(&batch, part->keep, part->keep_count, &node->signer, &arena, place, got);
        if (thinned == 0) { /* the proof would be larger than the whole */
            memcpy(place, raw, got);
            thinned = got;
        }
        out->used += thinned;
    }
    free(raw);
    return good;
}

/* Half of it where a batch says whose it is and where it belongs: what is decided before any signature is
 * looked at. */
static void tamper(struct sim_world *world, uint8_t *bytes, size_t count)
{
    if (world->tampering && count > 0 && sim_random_chance(&world->r_net, TAMPER_PERCENT)) {
        bool place = count > TAMPER_PLACE_TO && sim_random_chance(&world->r_net, 50);
        uint64_t from = place ? TAMPER_PLACE_FROM : 0, to = place ? TAMPER_PLACE_TO : count;
        uint64_t bit = sim_random_between(&world->r_net, from * 8, to * 8 - 1);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        world->counts.faults[SIM_FAULT_TAMPER]++;
    }
}

static bool append_chunk(struct sim_world *world, struct sim_node *node, const struct td_out *out,
                         struct buffer *frame)
{
    struct buffer content = {NULL, 0, 0};
    struct td_msg msg;
    bool good = true;

    for (uint32_t i = 0; i < out->u.chunk.part_count && good; i++) {
        reserve(&content, 4);
        size_t at = content.used;
        content.used += 4;
        good = append_part(world, node, &out->u.chunk.parts[i], &content);
        uint32_t count = (uint32_t)(content.used - at - 4);
        uint8_t length[4] = {(uint8_t)(count >> 24), (uint8_t)(count >> 16), (uint8_t)(count >> 8),
                             (uint8_t)count};
        memcpy(content.bytes + at, length, 4);
        tamper(world, content.bytes + at + 4, count);
    }
    memset(&msg, 0, sizeof msg);
    msg.type = TD_MSG_TRANSFER_CHUNK;
    msg.u.chunk.id = out->u.chunk.id;
    msg.u.chunk.cursor = out->u.chunk.cursor;
    msg.u.chunk.content_bytes = (uint32_t)content.used;
    msg.u.chunk.content = (struct td_bytes){content.bytes, content.used};
    if (good) {
        size_t room = content.used + 64;
        size_t used = td_msg_encode(&msg, reserve(frame, room), room);
        frame->used += used;
        good = used > 0;
    }
    free(content.bytes);
    return good;
}

/* False: cannot be sent; *ret_skip: there is nothing to send. */
static bool encode(struct sim_world *world, struct sim_node *node, const struct td_out *out,
                   struct buffer *frame, uint8_t *ret_type, bool *ret_skip)
{
    const struct sim_head_slot *head;
    size_t used;

    switch (out->type) {
    case TD_OUT_MSG:
        *ret_type = (uint8_t)out->u.msg.type;
        used = td_msg_encode(&out->u.msg, world->scratch, world->scratch_bytes);
        TD_ASSERT(used > 0);
        memcpy(reserve(frame, used), world->scratch, used);
        frame->used += used;
        return true;
    case TD_OUT_HEAD:
        *ret_type = TD_MSG_HEAD;
        head = &node->heads[out->u.region.v];
        *ret_skip = head->count == 0;
        if (!*ret_skip) {
            memcpy(reserve(frame, head->count), head->bytes, head->count);
            frame->used += head->count;
            tamper(world, frame->bytes, frame->used);
        }
        return true;
    case TD_OUT_LIVE:
    case TD_OUT_FETCHED:
        *ret_type = out->type == TD_OUT_LIVE ? TD_MSG_LIVE : TD_MSG_FETCHED;
        world->counts.payloads += out->type == TD_OUT_LIVE;
        if (!append_part(world, node, &out->u.part, frame)) {
            return false;
        }
        tamper(world, frame->bytes, frame->used);
        return true;
    case TD_OUT_CHUNK:
        *ret_type = TD_MSG_TRANSFER_CHUNK;
        return append_chunk(world, node, out, frame);
    }
    return false;
}

void sim_wire_send(struct sim_world *world, int index, int other, const struct td_effect *effect)
{
    struct sim_node *node = &world->nodes[index];

    for (uint32_t i = 0; i < effect->u.send.count; i++) {
        struct buffer buffer = {NULL, 0, 0};
        uint8_t type = 0;
        bool skip = false;
        if (!encode(world, node, &effect->u.send.out[i], &buffer, &type, &skip) ||
            sim_fault_memory(world, buffer.used) < buffer.used) {
            free(buffer.bytes); /* a send with a hole would look complete: end the link */
            sim_trace(world, "node %d: send to %d failed", index + 1, other + 1);
            sim_net_close(world, index, other, true);
            return;
        }
        if (!skip) {
            struct sim_frame *frame = malloc(sizeof *frame + buffer.used);
            TD_ASSERT(frame != NULL);
            frame->next = NULL;
            frame->type = type;
            frame->count = buffer.used;
            if (buffer.used > 0) {
                memcpy(frame->bytes, buffer.bytes, buffer.used);
            }
            if (sim_is_bad(world, index) && (frame = sim_byz_frame(world, other, frame)) == NULL) {
                free(buffer.bytes);
                continue;
            }
            sim_note(world, 50 + type, frame->count, sim_hash_bytes(1, frame->bytes, frame->count));
            world->counts.frames++;
            world->counts.bytes += buffer.used;
            if (world->duplicating) {
                sim_fault_duplicate(world, index, other, frame);
            }
            sim_net_put(world, index, other, frame);
        }
        free(buffer.bytes);
    }
}

/* ---- receiving ---- */
void sim_message_put(struct sim_message *message)
{
    if (message != NULL && --message->references == 0) {
        free(message->bytes);
        free(message);
    }
}

enum td_err sim_wire_decode_batch(struct sim_world *world, struct sim_node *node,
                                  struct td_bytes raw, struct td_arena *arena, bool own_log,
                                  struct td_batch *ret_batch)
{
    const struct td_roster *roster = sim_roster(world, (int)(node - world->nodes));
    enum td_err err = td_batch_decode(raw, &node->signer, node->reader, arena, ret_batch);

    if (err != TD_OK) {
        return err;
    }
    if (memcmp(&ret_batch->header.cluster, &world->roster.cluster, sizeof world->roster.cluster) !=
            0 &&
        !TD_PLANTED(foreign_cluster_believed)) {
        return TD_EFOREIGN;
    }
    const struct td_batch_header *header = &ret_batch->header;
    const struct td_region_key *key =
        td_roster_key(roster, header->origin.region, header->key_number);
    err = td_roster_counts(roster, header->origin, header->key_number,
                           header->first_seq + header->count - 1);
    if (err != TD_OK && (!own_log || err == TD_ENOTINROSTER)) {
        return err;
    }
    if (key == NULL ||
        (!td_batch_verify(ret_batch, &node->signer, &key->sign_key) && !TD_PLANTED(skip_verify))) {
        return TD_EBADSIG;
    }
    return TD_OK;
}

static bool already_held(const struct sim_node *node, const struct td_batch_header *header)
{
    struct td_vv has = td_core_has(node->core);

    for (uint32_t i = 0; i < has.entry_count; i++) {
        if (td_origin_compare(has.entries[i].origin, header->origin) == 0) {
            return header->first_seq + header->count - 1 <= has.entries[i].seq;
        }
    }
    return false;
}

struct incoming {
    struct sim_message *message;
    struct td_msg msg;
    struct td_batch *batches;
    struct td_received_batch *received;
    size_t count, rejected;
};

static enum td_err add_batch(struct sim_world *world, struct sim_node *node, struct incoming *in,
                             struct td_bytes raw, struct td_arena *arena)
{
    struct td_batch_header header;
    enum td_err err = td_batch_peek(raw, node->reader, &header);

    bool unchecked = in->msg.type == TD_MSG_LIVE ||
                     (in->msg.type == TD_MSG_TRANSFER_CHUNK && TD_PLANTED(transfer_skips_unchecked));
    if (err == TD_OK && unchecked && already_held(node, &header)) {
        return TD_OK;
    }
    if (err == TD_OK) {
        err = sim_wire_decode_batch(world, node, raw, arena, false, &in->batches[in->count]);
    }
    if (err == TD_ETOOBIG && world->memory_short) {
        return err;
    }
    TD_ASSERT(err != TD_ETOOBIG || world->tampering); /* the arena holds any legal batch */
    if (err != TD_OK) {
        in->rejected++;
        world->counts.rejected++;
        return TD_OK;
    }
    if (!sim_is_bad(world, (int)(node - world->nodes))) {
        sim_check_i7_batch(world, (int)(node - world->nodes), &in->batches[in->count]);
    }
    world->counts.deltas_delivered += in->batches[in->count].present_count;
    in->received[in->count] = (struct td_received_batch){&in->batches[in->count], in->message};
    in->count++;
    return TD_OK;
}

static uint32_t be32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* Batches of a chunk: each with its length before it. 0 = not a whole number of them. */
static size_t count_batches(struct td_bytes content)
{
    size_t at = 0, count = 0;

    while (at < content.count) {
        uint32_t bytes = content.count - at < 4 ? 0 : be32(content.bytes + at);
        if (bytes == 0 || bytes > content.count - at - 4 || count++ == CHUNK_BATCHES_MAX) {
            return 0;
        }
        at += 4 + bytes;
    }
    return count;
}

static enum td_err take_batches(struct sim_world *world, struct sim_node *node, struct incoming *in,
                                struct td_arena *arena)
{
    bool chunk = in->msg.type == TD_MSG_TRANSFER_CHUNK;
    struct td_bytes content = chunk ? in->msg.u.chunk.content : in->msg.u.batch_raw;
    size_t count = chunk ? count_batches(content) : 1;

    if (count == 0 && content.count > 0) {
        return TD_EFORMAT;
    }
    in->batches =
        td_arena_take(arena, count, sizeof *in->batches); /* no more than needed: it zeroes */
    in->received = td_arena_take(arena, count, sizeof *in->received);
    if ((in->batches == NULL || in->received == NULL) && world->memory_short) {
        return TD_ETOOBIG;
    }
    TD_ASSERT(in->batches != NULL && in->received != NULL);
    if (!chunk) {
        return add_batch(world, node, in, content, arena);
    }
    enum td_err err = TD_OK;
    for (size_t at = 0; at < content.count && err == TD_OK;) {
        uint32_t bytes = be32(content.bytes + at);
        err = add_batch(world, node, in, (struct td_bytes){content.bytes + at + 4, bytes}, arena);
        at += 4 + bytes;
    }
    return err;
}

void sim_wire_keep_head(struct sim_node *node, const struct td_head *head)
{
    struct sim_head_slot *slot = &node->heads[head->origin.region.v];
    int order = td_incarnation_compare(head->origin.incarnation, slot->incarnation);

    if (order > 0 || (order == 0 && head->number > slot->number)) {
        slot->bytes = realloc(slot->bytes, head->raw.count);
        TD_ASSERT(slot->bytes != NULL);
        memcpy(slot->bytes, head->raw.bytes, head->raw.count);
        slot->count = head->raw.count;
        slot->incarnation = head->origin.incarnation;
        slot->number = head->number;
        memcpy(slot->hash, head->hash, sizeof slot->hash);
    }
}

static enum td_err take_head(struct sim_world *world, struct sim_node *node,
                             const struct td_head *head)
{
    const struct sim_head_slot *slot = &node->heads[head->origin.region.v];

    if (memcmp(&head->cluster, &world->roster.cluster, sizeof head->cluster) != 0) {
        return TD_EFOREIGN;
    }
    if (slot->count > 0 && memcmp(slot->hash, head->hash, sizeof slot->hash) == 0) {
        return TD_EUNKNOWN; /* a second copy: nothing new in it */
    }
    const struct td_roster *roster = sim_roster(world, (int)(node - world->nodes));
    const struct td_roster_region *entry = td_roster_region(roster, head->origin.region);
    const struct td_region_key *key =
        td_roster_key(roster, head->origin.region, head->key_number);
    if (entry != NULL && entry->state == TD_REGION_CLOSED) {
        return TD_ENOTINROSTER;
    }
    if (key == NULL || !td_head_verify(head, &node->signer, &key->sign_key)) {
        world->counts.rejected++;
        return TD_EBADSIG;
    }
    sim_wire_keep_head(node, head);
    return TD_OK;
}

static enum td_err decode(struct sim_world *world, struct sim_node *node, struct incoming *in,
                          struct td_bytes payload, uint8_t type, struct td_arena *arena)
{
    enum td_err err = td_msg_decode((enum td_msg_type)type, payload, &node->signer, node->reader,
                                    arena, &in->msg);
    if (err != TD_OK) {
        return err;
    }
    switch (in->msg.type) {
    case TD_MSG_LIVE:
    case TD_MSG_FETCHED:
    case TD_MSG_TRANSFER_CHUNK:
        return take_batches(world, node, in, arena);
    case TD_MSG_HEAD:
        if (in->msg.u.head->origin.region.v > TD_REGIONS_MAX) {
            return TD_ENOTINROSTER;
        }
        return take_head(world, node, in->msg.u.head);
    default:
        return TD_OK;
    }
}

/* Takes the frame. */
void sim_wire_receive(struct sim_world *world, int index, int other, struct sim_frame *frame)
{
    struct sim_node *node = &world->nodes[index];
    struct incoming in;
    struct td_arena arena;

    if (world->watch != NULL) {
        world->watch->received(world->watch->self, world, index, frame);
    }
    memset(&in, 0, sizeof in);
    in.message = calloc(1, sizeof *in.message);
    TD_ASSERT(in.message != NULL);
    in.message->references = 1;
    in.message->bytes = (uint8_t *)frame;
    td_arena_init(&arena, world->arena_block, sim_fault_memory(world, world->arena_bytes));
    enum td_err err = decode(world, node, &in, (struct td_bytes){frame->bytes, frame->count},
                             frame->type, &arena);
    if (err == TD_OK) {
        struct td_event event = sim_node_event(world, index, TD_EV_FRAME);
        event.u.frame.link.v = sim_net_link_id(world, index, other);
        event.u.frame.msg = &in.msg;
        event.u.frame.payload_bytes = frame->count;
        event.u.frame.batches = in.received;
        event.u.frame.batch_count = in.count;
        event.u.frame.rejected = in.rejected;
        sim_node_step(world, index, &event);
    } else if (err != TD_EUNKNOWN && err != TD_EBADSIG && err != TD_ENOTINROSTER) {
        sim_net_close(world, index, other, true);
    }
    sim_message_put(in.message);
}
