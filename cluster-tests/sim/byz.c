/* byz.c -- the bad member: a real node with a valid key whose words are changed on the way out, and
 * which sends what nobody asked for. Its tricks are the world's options (enum sim_trick); all else
 * about it is real, so that it keeps its place in the cluster while it lies. */
#include "cluster-tests/sim/byz.h"

#include <stdlib.h>
#include <string.h>

enum { ARENA_BYTES = 32 << 20, SCRATCH_BYTES = 4 << 20, ACT_MS_MIN = 100, ACT_MS_MAX = 1500 };
enum { OLD_HEAD_PERCENT = 20, LIE_PERCENT = 60 };

bool sim_is_bad(const struct sim_world *world, int node)
{
    return world->bad_region != 0 && world->nodes[node].region.v == world->bad_region;
}

bool sim_is_hiding(const struct sim_world *world)
{
    return world->bad_region != 0 && (world->options.byz & SIM_TRICKS_HIDING) != 0;
}

void sim_byz_start(struct sim_world *world)
{
    if (world->bad_region == 0) {
        return;
    }
    struct sim_byz *byz = calloc(1, sizeof *byz);
    TD_ASSERT(byz != NULL);
    byz->random = sim_random_new(world->options.seed, 7);
    byz->scratch_bytes = SCRATCH_BYTES;
    byz->scratch = malloc(byz->scratch_bytes);
    byz->arena_bytes = ARENA_BYTES;
    byz->arena = malloc(byz->arena_bytes);
    TD_ASSERT(byz->scratch != NULL && byz->arena != NULL);
    world->byz = byz;
    sim_record_forgive(world, world->bad_region - 1, (struct td_region){world->bad_region});
    sim_schedule(world, world->now_ms + ACT_MS_MAX, SIM_AT_BYZ, world->bad_region - 1);
}

void sim_byz_free(struct sim_world *world)
{
    if (world->byz == NULL) {
        return;
    }
    for (size_t i = 0; i < SIM_BYZ_KEPT; i++) {
        free(world->byz->kept[i]);
    }
    free(world->byz->scratch);
    free(world->byz->arena);
    free(world->byz);
}

struct sim_frame *sim_byz_make_frame(uint8_t type, const void *bytes, size_t count)
{
    struct sim_frame *frame = malloc(sizeof *frame + count);

    TD_ASSERT(frame != NULL);
    frame->next = NULL;
    frame->type = type;
    frame->count = count;
    memcpy(frame->bytes, bytes, count);
    return frame;
}

/* ---- what it says in its own head, before it is signed ---- */
static void lie_echo(struct sim_byz *byz, struct td_head *head)
{
    for (uint32_t i = 0; i < head->echo_count; i++) {
        struct td_tick *tick = &byz->echo[i];
        *tick = head->echo[i];
        switch (sim_random_below(&byz->random, 4)) {
        case 0: /* a head that nobody signed */
            tick->number += sim_random_between(&byz->random, 1, 1000);
            break;
        case 1: /* as if it had heard nothing for long */
            tick->number = tick->number > 20 ? tick->number - 20 : 1;
            break;
        case 2:
            tick->hash[0] ^= 1;
            break;
        default:
            break;
        }
    }
    head->echo = byz->echo;
}

/* Closes earlier incarnations of its own now here, now there. */
static void lie_closings(struct sim_byz *byz, struct td_head *head)
{
    for (uint32_t i = 0; i < head->closing_count; i++) {
        struct td_closing *closing = &byz->closings[i];
        *closing = head->closings[i];
        uint64_t less = sim_random_below(&byz->random, 4);
        closing->last_seq = closing->last_seq > less ? closing->last_seq - less : 0;
        closing->lost = sim_random_chance(&byz->random, 10);
    }
    head->closings = byz->closings;
}

void sim_byz_head(struct sim_world *world, struct td_head *head)
{
    struct sim_byz *byz = world->byz;

    if (sim_byz_does(world, SIM_TRICK_HAS_LIES) && sim_random_chance(&byz->random, LIE_PERCENT)) {
        head->has = sim_byz_lie(world, &head->has, false);
    }
    if (sim_byz_does(world, SIM_TRICK_ECHO_LIES)) {
        lie_echo(byz, head);
    }
    if (sim_byz_does(world, SIM_TRICK_CLOSED)) {
        lie_closings(byz, head);
    }
    if (sim_byz_does(world, SIM_TRICK_FAR_SEQ) && head->seq > 0 &&
        sim_random_chance(&byz->random, 30)) {
        head->seq = TD_SEQ_MAX - sim_random_below(&byz->random, 3);
    }
}

/* ---- what it passes on ---- */
static void keep(struct sim_byz *byz, const struct sim_frame *frame)
{
    struct sim_frame **slot = &byz->kept[byz->kept_next++ % SIM_BYZ_KEPT];

    free(*slot);
    *slot = sim_byz_make_frame(frame->type, frame->bytes, frame->count);
}

static const struct sim_frame *pick_kept(struct sim_byz *byz, uint8_t type)
{
    const struct sim_frame *frame = byz->kept[sim_random_below(&byz->random, SIM_BYZ_KEPT)];
    return frame != NULL && (type == 0 || frame->type == type) ? frame : NULL;
}

static struct sim_frame *instead(struct sim_world *world, struct sim_frame *frame,
                                 struct sim_frame *other)
{
    if (other == NULL) {
        return frame;
    }
    world->byz->changed++;
    free(frame);
    return other;
}

static struct sim_frame *drop(struct sim_world *world, struct sim_frame *frame)
{
    world->byz->withheld++;
    free(frame);
    return NULL;
}

static struct sim_frame *head_frame(struct sim_world *world, int other, struct sim_frame *frame)
{
    struct sim_byz *byz = world->byz;
    bool half = other % 2 == 1;

    if (sim_byz_does(world, SIM_TRICK_TWO_HEADS) && half) {
        frame = instead(world, frame, sim_byz_fork_head(world, frame));
    }
    if (sim_byz_does(world, SIM_TRICK_REPLAY) &&
        sim_random_chance(&byz->random, OLD_HEAD_PERCENT)) {
        const struct sim_frame *old = pick_kept(byz, TD_MSG_HEAD);
        if (old != NULL) {
            frame = instead(world, frame, sim_byz_make_frame(old->type, old->bytes, old->count));
        }
    }
    return frame;
}

static struct sim_frame *batch_frame(struct sim_world *world, int other, struct sim_frame *frame)
{
    struct td_bytes raw = {frame->bytes, frame->count};
    bool own = sim_byz_region_of(world, raw) == world->bad_region;

    if (own && sim_byz_does(world, SIM_TRICK_EQUIVOCATE) && other % 2 == 1) {
        return instead(world, frame, sim_byz_fork_batch(world, frame));
    }
    if (!own && frame->type == TD_MSG_LIVE && sim_byz_does(world, SIM_TRICK_WITHHOLD_LIVE) &&
        sim_byz_withholds(world, raw, false)) {
        return drop(world, frame);
    }
    if (!own && frame->type == TD_MSG_FETCHED && sim_byz_does(world, SIM_TRICK_WITHHOLD_TRANSFER) &&
        sim_byz_withholds(world, raw, true)) {
        return drop(world, frame);
    }
    return frame;
}

/* Takes the frame; what goes out instead, NULL = nothing. */
struct sim_frame *sim_byz_frame(struct sim_world *world, int other, struct sim_frame *frame)
{
    switch (frame->type) {
    case TD_MSG_HEAD:
        keep(world->byz, frame);
        return head_frame(world, other, frame);
    case TD_MSG_LIVE:
        keep(world->byz, frame);
        return batch_frame(world, other, frame);
    case TD_MSG_FETCHED:
        return batch_frame(world, other, frame);
    case TD_MSG_TRANSFER_CHUNK:
        return sim_byz_does(world, SIM_TRICK_WITHHOLD_TRANSFER)
                   ? instead(world, frame, sim_byz_thin_chunk(world, frame))
                   : frame;
    case TD_MSG_HAS:
    case TD_MSG_TRANSFER_END:
    case TD_MSG_DIGEST_ASK:
        return instead(world, frame, sim_byz_lie_msg(world, frame));
    default:
        return frame;
    }
}

/* ---- what it says unasked ---- */
static void say(struct sim_world *world, int node, struct sim_frame *frame, bool to_all)
{
    int start = (int)sim_random_below(&world->byz->random, (uint64_t)world->node_count);
    bool sent = false;

    for (int i = 0; i < world->node_count && frame != NULL; i++) {
        int other = (start + i) % world->node_count;
        if (other != node && world->nodes[other].up && (to_all || !sent) &&
            sim_net_link(world, node, other)->up[node < other ? 0 : 1]) {
            sim_net_put(world, node, other,
                        sim_byz_make_frame(frame->type, frame->bytes, frame->count));
            sent = true;
        }
    }
}

void sim_byz_act(struct sim_world *world, int node)
{
    struct sim_byz *byz = world->byz;
    uint64_t again_ms = sim_random_between(&byz->random, ACT_MS_MIN, ACT_MS_MAX);

    sim_schedule(world, world->now_ms + again_ms, SIM_AT_BYZ, node);
    if (!world->faulty || !world->nodes[node].up || !world->nodes[node].core->started) {
        return; /* while the others settle it makes nothing new; it goes on lying */
    }
    if (sim_byz_does(world, SIM_TRICK_REPLAY)) {
        const struct sim_frame *old = pick_kept(byz, 0);
        if (old != NULL) {
            struct sim_frame *copy = sim_byz_make_frame(old->type, old->bytes, old->count);
            say(world, node, copy, false);
            free(copy);
        }
    }
    struct sim_frame *forged = sim_byz_forge(world);
    say(world, node, forged, sim_random_chance(&byz->random, 50));
    byz->forged_count += forged != NULL;
    free(forged);
}
