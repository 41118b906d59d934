/* byz_forge.c -- how the bad member's words are made: vectors with other numbers, other batches and
 * heads for the same numbers, chunks with holes, and reports forged from nothing. What it signs, it
 * signs with its own key; the rest must be refused. */
#include "cluster-tests/sim/byz.h"

#include <stdlib.h>
#include <string.h>

/* How much it makes of what only repair can spread, which lists a bucket in a round at most. */
enum { FORGED_START = 1000000, FORGED_FAR_MAX = 8 };

static struct sim_node *self(struct sim_world *world)
{
    return &world->nodes[world->bad_region - 1];
}

static struct td_arena fresh_arena(struct sim_world *world)
{
    struct td_arena arena;
    td_arena_init(&arena, world->byz->arena, world->byz->arena_bytes);
    return arena;
}

/* ---- vectors ---- */
static uint64_t newest_signed(const struct sim_world *world, struct td_origin origin)
{
    uint8_t region = origin.region.v;
    uint64_t newest = 0;

    for (uint32_t i = world->region_truth_count[region]; i-- > 0 && newest == 0;) {
        const struct td_dot *dot = &world->truths[world->region_truths[region][i]].order.dot;
        if (td_origin_compare(dot->origin, origin) == 0) {
            newest = dot->seq;
        }
    }
    return newest;
}

struct td_vv sim_byz_lie(struct sim_world *world, const struct td_vv *vv, bool only_signed)
{
    struct sim_byz *byz = world->byz;
    uint32_t kind = (uint32_t)sim_random_below(&byz->random, 4);
    struct td_vv lie = *vv;

    for (uint32_t i = 0; i < vv->entry_count; i++) {
        struct td_vv_entry *entry = &byz->entries[i];
        *entry = vv->entries[i];
        if (entry->origin.region.v == world->bad_region) {
            continue;
        }
        if (only_signed) {
            uint64_t newest = newest_signed(world, entry->origin);
            entry->seq = newest > entry->seq ? newest : entry->seq;
        } else if (kind == 0) {
            entry->seq = TD_SEQ_MAX;
        } else if (kind == 1) {
            entry->seq += sim_random_between(&byz->random, 1, 50);
        } else if (kind == 2 && sim_random_chance(&byz->random, 50)) { /* as if it had less */
            entry->seq = 1 + sim_random_below(&byz->random, entry->seq);
        } else if (kind == 3) { /* a later life that never was */
            bool last = i + 1 == vv->entry_count ||
                        vv->entries[i + 1].origin.region.v != entry->origin.region.v;
            entry->origin.incarnation.start += last ? 1 + (uint32_t)(entry->seq % 7) : 0;
        }
    }
    lie.entries = byz->entries;
    return lie;
}

struct sim_frame *sim_byz_lie_msg(struct sim_world *world, const struct sim_frame *frame)
{
    struct sim_byz *byz = world->byz;
    struct td_arena arena = fresh_arena(world);
    struct td_msg msg;
    struct td_bytes payload = {frame->bytes, frame->count};
    bool claim = frame->type == TD_MSG_TRANSFER_END;
    bool more = claim && sim_byz_does(world, SIM_TRICK_OVERCLAIM);

    if (!more &&
        (!sim_byz_does(world, SIM_TRICK_HAS_LIES) || sim_random_chance(&byz->random, 40))) {
        return NULL;
    }
    if (td_msg_decode((enum td_msg_type)frame->type, payload, &self(world)->signer,
                      self(world)->reader, &arena, &msg) != TD_OK) {
        return NULL;
    }
    struct td_vv *vv = claim ? &msg.u.end.claim : &msg.u.has;
    *vv = sim_byz_lie(world, vv, more);
    size_t used = td_msg_encode(&msg, byz->scratch, byz->scratch_bytes);
    return used == 0 ? NULL : sim_byz_make_frame(frame->type, byz->scratch, used);
}

/* ---- batches ---- */
uint8_t sim_byz_region_of(struct sim_world *world, struct td_bytes raw)
{
    struct td_batch_header header;
    bool good = td_batch_peek(raw, self(world)->reader, &header) == TD_OK;
    return good ? header.origin.region.v : 0;
}

bool sim_byz_withholds(struct sim_world *world, struct td_bytes raw, bool finals_only)
{
    struct td_arena arena = fresh_arena(world);
    struct td_batch batch;

    if (td_batch_decode(raw, &self(world)->signer, self(world)->reader, &arena, &batch) != TD_OK) {
        return false;
    }
    bool finals = false;
    for (uint32_t i = 0; i < batch.present_count; i++) {
        finals = finals || td_state_is_final(batch.deltas[i].status.state);
    }
    struct td_dot first = {batch.header.origin, batch.header.first_seq};
    return (finals || !finals_only) && sim_dot_hash(first) % 2 == 0;
}

/* Signs these reports as one batch: in its own name, or with a key that is not that region's. */
static struct sim_frame *build(struct sim_world *world, struct td_batch_header *header,
                               struct td_delta *deltas, uint32_t count, struct td_arena *arena,
                               const struct td_signer *signer)
{
    struct sim_byz *byz = world->byz;
    struct td_signature signature;

    for (uint32_t i = 0; i < count; i++) {
        uint8_t *bytes = td_arena_take(arena, TD_DELTA_BYTES_MAX, 1);
        if (bytes == NULL) {
            return NULL;
        }
        size_t used = td_delta_encode(&deltas[i], bytes, TD_DELTA_BYTES_MAX);
        deltas[i].raw = (struct td_bytes){bytes, used};
        deltas[i].index = i;
        signer->hash(signer->self, 0x00, deltas[i].raw, (struct td_bytes){NULL, 0},
                     &deltas[i].leaf);
    }
    header->count = count;
    size_t used =
        td_batch_build(header, deltas, signer, byz->scratch, byz->scratch_bytes, &signature);
    return used == 0 ? NULL : sim_byz_make_frame(TD_MSG_LIVE, byz->scratch, used);
}

struct sim_frame *sim_byz_fork_batch(struct sim_world *world, const struct sim_frame *frame)
{
    struct td_arena arena = fresh_arena(world);
    struct td_batch batch;
    struct td_bytes raw = {frame->bytes, frame->count};

    if (td_batch_decode(raw, &self(world)->signer, self(world)->reader, &arena, &batch) != TD_OK ||
        !batch.whole) {
        return NULL;
    }
    struct td_delta *deltas = td_arena_take(&arena, batch.present_count, sizeof *deltas);
    TD_ASSERT(deltas != NULL);
    for (uint32_t i = 0; i < batch.present_count; i++) {
        deltas[i] = batch.deltas[i];
        uint64_t dice =
            sim_dot_hash((struct td_dot){batch.header.origin, batch.header.first_seq + i});
        if (dice % 3 == 0) { /* an end that was none */
            deltas[i].status.state = TD_STATE_STOPPED;
        } else if (dice % 3 == 1) {
            deltas[i].status.detail = (struct td_text){"forked", 6};
        } else { /* under the same dot something about another job */
            const char *name = world->job_names[dice % world->options.jobs];
            deltas[i].job = (struct td_text){name, (uint32_t)strlen(name)};
        }
    }
    struct sim_frame *fork =
        build(world, &batch.header, deltas, batch.present_count, &arena, &self(world)->signer);
    if (fork != NULL) {
        fork->type = frame->type;
    }
    return fork;
}

struct sim_frame *sim_byz_fork_head(struct sim_world *world, const struct sim_frame *frame)
{
    struct sim_byz *byz = world->byz;
    struct td_arena arena = fresh_arena(world);
    struct td_head head;
    struct td_bytes raw = {frame->bytes, frame->count};

    if (td_head_decode(raw, &self(world)->signer, self(world)->reader, &arena, &head) != TD_OK ||
        head.origin.region.v != world->bad_region) {
        return NULL;
    }
    head.stamp.counter += 1;
    head.digest.bytes[0] ^= 1;
    size_t used = td_head_encode(&head, &self(world)->signer, byz->scratch, byz->scratch_bytes);
    return used == 0 ? NULL : sim_byz_make_frame(TD_MSG_HEAD, byz->scratch, used);
}

/* ---- chunks ---- */
static uint32_t get_u32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

struct sim_frame *sim_byz_thin_chunk(struct sim_world *world, const struct sim_frame *frame)
{
    struct sim_byz *byz = world->byz;
    struct td_arena arena = fresh_arena(world);
    struct td_msg msg;
    struct td_bytes payload = {frame->bytes, frame->count};

    if (td_msg_decode(TD_MSG_TRANSFER_CHUNK, payload, &self(world)->signer, self(world)->reader,
                      &arena, &msg) != TD_OK ||
        msg.u.chunk.compressed) {
        return NULL;
    }
    struct td_bytes content = msg.u.chunk.content;
    uint8_t *kept = malloc(content.count + 1);
    size_t used = 0;
    TD_ASSERT(kept != NULL);
    for (size_t at = 0; at + 4 <= content.count;) {
        size_t bytes = get_u32(content.bytes + at);
        struct td_bytes raw = {content.bytes + at + 4, bytes};
        if (sim_byz_region_of(world, raw) == world->bad_region ||
            !sim_byz_withholds(world, raw, true)) {
            memcpy(kept + used, content.bytes + at, bytes + 4);
            used += bytes + 4;
        }
        at += bytes + 4;
    }
    byz->withheld += used != content.count;
    msg.u.chunk.content = (struct td_bytes){kept, used};
    msg.u.chunk.content_bytes = (uint32_t)used;
    size_t total =
        used == content.count ? 0 : td_msg_encode(&msg, byz->scratch, byz->scratch_bytes);
    free(kept);
    return total == 0 ? NULL : sim_byz_make_frame(TD_MSG_TRANSFER_CHUNK, byz->scratch, total);
}

/* ---- forged from nothing ---- */
static struct td_delta some_report(struct sim_world *world)
{
    struct sim_byz *byz = world->byz;
    uint32_t job = (uint32_t)sim_random_below(&byz->random, world->options.jobs);
    const char *name = world->job_names[job];
    struct td_delta delta = {
        .job = {name, (uint32_t)strlen(name)},
        .attempt = (uint16_t)sim_random_between(&byz->random, 1, 3),
        .stamp = {SIM_WALL_MS + world->now_ms, 0},
        .status = {.state =
                       sim_random_chance(&byz->random, 20) ? TD_STATE_FAILED : TD_STATE_RUNNING,
                   .detail = {"forged", 6},
                   .writer = {"nobody", 6}},
    };
    return delta;
}

static enum sim_trick pick_trick(struct sim_world *world)
{
    static const enum sim_trick forging[] = {SIM_TRICK_FOREIGN, SIM_TRICK_CLOSED, SIM_TRICK_STAMPS,
                                             SIM_TRICK_FAR_SEQ};
    uint64_t start = sim_random_below(&world->byz->random, 4);

    for (uint64_t i = 0; i < 4; i++) {
        bool enough = forging[(start + i) % 4] == SIM_TRICK_FAR_SEQ &&
                      world->byz->far_count >= FORGED_FAR_MAX;
        if (sim_byz_does(world, forging[(start + i) % 4]) && !enough) {
            return forging[(start + i) % 4];
        }
    }
    return SIM_TRICK_COUNT;
}

/* Another cluster's batch, truly signed by the same key there; or in the name of somebody else. */
static void forge_foreign(struct sim_world *world, struct td_batch_header *header,
                          struct sim_key *ret_key)
{
    struct sim_random *random = &world->byz->random;
    uint8_t victim =
        (uint8_t)(1 + (world->bad_region + sim_random_below(random, world->options.regions - 1)) %
                          world->options.regions);

    header->origin = self(world)->core->own_head.origin;
    header->origin.region.v = victim;
    header->origin.incarnation = (struct td_incarnation){FORGED_START, 9};
    header->first_seq = sim_random_between(random, 1, 5);
    if (sim_random_chance(random, 50)) {
        header->cluster.bytes[0] ^= 1;
        ret_key->region = victim;
    }
}

/* An incarnation that it has left behind, beyond the end it named. */
static void forge_closed(struct sim_world *world, struct td_batch_header *header)
{
    const struct td_core *core = self(world)->core;

    for (uint32_t at = 0; at < core->inc_order_count; at++) {
        const struct td_inc *inc = &core->incs[core->inc_order[at]];
        if (inc->origin.region.v == world->bad_region && inc->received > 0 &&
            td_incarnation_compare(inc->origin.incarnation, core->process) < 0) {
            header->origin = inc->origin;
            header->first_seq = inc->received + 1 + world->byz->forged_seq;
        }
    }
}

static void forge_stamp(struct sim_world *world, struct td_delta *delta)
{
    struct sim_random *random = &world->byz->random;

    delta->status.state = TD_STATE_RUNNING;
    switch (sim_random_below(random, 3)) {
    case 0:
        delta->stamp = (struct td_stamp){TD_STAMP_MS_MAX, UINT32_MAX};
        break;
    case 1:
        delta->stamp = (struct td_stamp){TD_STAMP_MS_MAX - sim_random_below(random, 100000), 0};
        break;
    default:
        delta->stamp = (struct td_stamp){1, 0};
        break;
    }
}

static void forge_far(struct sim_world *world, struct td_batch_header *header)
{
    struct sim_byz *byz = world->byz;

    header->first_seq = sim_random_chance(&byz->random, 50)
                            ? TD_SEQ_MAX - 2 - byz->forged_seq
                            : byz->forged_seq * 1000 + sim_random_between(&byz->random, 2, 900);
}

struct sim_frame *sim_byz_forge(struct sim_world *world)
{
    struct sim_byz *byz = world->byz;
    struct td_arena arena = fresh_arena(world);
    struct td_delta delta = some_report(world);
    struct sim_key key = self(world)->key;
    enum sim_trick trick = pick_trick(world);

    if (byz->forged.start == 0) {
        byz->forged = (struct td_incarnation){FORGED_START, 7};
    }
    struct td_batch_header header = {.cluster = world->roster.cluster,
                                     .origin = {{world->bad_region}, byz->forged},
                                     .key_number = 1,
                                     .first_seq = byz->forged_seq + 1};
    switch (trick) {
    case SIM_TRICK_FOREIGN:
        forge_foreign(world, &header, &key);
        break;
    case SIM_TRICK_CLOSED:
        forge_closed(world, &header);
        break;
    case SIM_TRICK_STAMPS:
        forge_stamp(world, &delta);
        break;
    case SIM_TRICK_FAR_SEQ:
        byz->far_count++;
        forge_far(world, &header);
        break;
    default:
        return NULL;
    }
    byz->forged_seq += trick != SIM_TRICK_FOREIGN; /* no dot twice: that is another trick */
    header.stamp = delta.stamp;
    struct td_signer signer = sim_signer(&key);
    return build(world, &header, &delta, 1, &arena, &signer);
}
