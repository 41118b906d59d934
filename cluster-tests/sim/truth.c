/* truth.c -- what really happened: every delta an origin handed to its log, when it became durable,
 * who was told so, and what a ruined disk may have taken with it. */
#include "cluster-tests/sim/sim.h"

#include <stdlib.h>
#include <string.h>

uint64_t sim_dot_hash(struct td_dot dot)
{
    uint64_t hash = sim_mix((uint64_t)dot.origin.region.v << 40 ^ dot.origin.incarnation.start);
    return sim_mix(hash ^ (uint64_t)dot.origin.incarnation.random << 20 ^ dot.seq);
}

static void index_add(struct sim_world *world, uint32_t truth)
{
    uint64_t at = sim_dot_hash(world->truths[truth].order.dot);

    while (world->truth_index[at & world->truth_mask] != TD_NONE) {
        at++;
    }
    world->truth_index[at & world->truth_mask] = truth;
}

static void grow(struct sim_world *world)
{
    if (world->truth_count < world->truth_room) {
        return;
    }
    world->truth_room = world->truth_room == 0 ? 1024 : world->truth_room * 2;
    world->truths = realloc(world->truths, world->truth_room * sizeof *world->truths);
    free(world->truth_index);
    world->truth_index = malloc(2 * world->truth_room * sizeof *world->truth_index);
    TD_ASSERT(world->truths != NULL && world->truth_index != NULL);
    world->truth_mask = 2 * world->truth_room - 1;
    memset(world->truth_index, 255, 2 * world->truth_room * sizeof *world->truth_index);
    for (uint32_t i = 0; i < world->truth_count; i++) {
        index_add(world, i);
    }
}

struct sim_truth *sim_truth_find(struct sim_world *world, struct td_dot dot)
{
    if (world->truth_count == 0) {
        return NULL;
    }
    for (uint64_t at = sim_dot_hash(dot);; at++) {
        uint32_t index = world->truth_index[at & world->truth_mask];
        if (index == TD_NONE) {
            return NULL;
        }
        if (td_dot_compare(world->truths[index].order.dot, dot) == 0) {
            return &world->truths[index];
        }
    }
}

static void note_stamp(struct sim_world *world, struct sim_truth *truth)
{
    if (truth->attempt < SIM_ATTEMPTS_MAX) {
        uint64_t *newest = &world->register_ms[truth->job * SIM_ATTEMPTS_MAX + truth->attempt];
        truth->before_ms = *newest;
        *newest = truth->order.stamp.ms > *newest ? truth->order.stamp.ms : *newest;
    }
}

void sim_truth_store(struct sim_world *world, int index, const struct td_effect *store)
{
    struct sim_node *node = &world->nodes[index];

    node->own_ticket = store->u.store.ticket.v;
    node->own_first = world->truth_count;
    node->own_count = store->u.store.delta_count;
    for (uint32_t i = 0; i < store->u.store.delta_count; i++) {
        const struct td_delta *delta = &store->u.store.deltas[i];
        struct td_dot dot = {store->u.store.origin, store->u.store.first_seq + i};
        if (sim_truth_find(world, dot) != NULL) {
            sim_fail(world, "I7", "node %d: dot %u.%u.%08x.%llu given out twice", index + 1,
                     dot.origin.region.v, dot.origin.incarnation.start,
                     dot.origin.incarnation.random, (unsigned long long)dot.seq);
        }
        grow(world);
        struct sim_truth *truth = &world->truths[world->truth_count];
        memset(truth, 0, sizeof *truth);
        truth->order.rank = td_state_rank(delta->status.state);
        truth->order.stamp = delta->stamp;
        truth->order.dot = dot;
        truth->job_hash = delta->job_hash;
        truth->job = sim_job_number(world, delta->job);
        truth->attempt = delta->attempt;
        truth->state = (uint8_t)delta->status.state;
        truth->node = (uint8_t)index;
        truth->doomed = sim_leave_too_late(world, node->region);
        note_stamp(world, truth);
        index_add(world, world->truth_count++);
        sim_check_i4_stamp(world, index, truth);
        sim_trace(world, "node %d: stores %u.%u.%llu %s/%u %s", index + 1, dot.origin.region.v,
                  dot.origin.incarnation.start, (unsigned long long)dot.seq,
                  world->job_names[truth->job], truth->attempt, td_state_name(delta->status.state));
    }
}

static void append(uint32_t **list, uint32_t *count, uint32_t *room, uint32_t value)
{
    if (*count == *room) {
        *room = *room == 0 ? 256 : *room * 2;
        *list = realloc(*list, *room * sizeof **list);
        TD_ASSERT(*list != NULL);
    }
    (*list)[(*count)++] = value;
}

void sim_truth_stored(struct sim_world *world, int index, struct td_ticket ticket, bool durable,
                      const struct td_hash *leaves, uint32_t leaf_count)
{
    struct sim_node *node = &world->nodes[index];
    uint8_t region = node->region.v;

    if (node->own_count == 0 || ticket.v != node->own_ticket) {
        return;
    }
    TD_ASSERT(!durable || leaf_count == node->own_count);
    for (uint32_t i = 0; i < node->own_count; i++) {
        struct sim_truth *truth = &world->truths[node->own_first + i];
        truth->durable = durable;
        truth->failed = !durable;
        truth->durable_ms = world->now_ms;
        if (durable) {
            truth->order.hash = leaves[i];
            truth->leaf_known = true;
            if (!sim_is_bad(world, index)) {
                sim_check_i7(world, index, truth->order.dot, &leaves[i]);
            }
            append(&world->region_truths[region], &world->region_truth_count[region],
                   &world->region_truth_room[region], node->own_first + i);
        }
    }
    node->own_count = 0;
}

void sim_truth_ack(struct sim_world *world, struct sim_truth *truth)
{
    if (!truth->acked) {
        truth->acked = true;
        append(&world->acks, &world->ack_count, &world->ack_room,
               (uint32_t)(truth - world->truths));
    }
}

/* Whether this node could give it back. A fold covers every dot below it, also one made after it by a
 * region that lost its disk and began with the same start number again: of a process that is up the
 * registers tell, of one that is down only what its vector names one by one. */
static bool keeps(const struct sim_world *world, const struct sim_node *node,
                  const struct sim_truth *truth)
{
    if (node->up) {
        struct td_vv has = td_core_has(node->core);
        return td_vv_covers_dot(&has, truth->order.dot) && sim_holds(world, node->core, truth);
    }
    struct td_vv named = node->has_down.vv;
    named.fold_count = 0;
    return td_vv_covers_dot(&named, truth->order.dot);
}

void sim_truth_doom(struct sim_world *world, int index)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < world->truth_count; i++) {
        struct sim_truth *truth = &world->truths[i];
        bool kept = truth->doomed || !truth->durable;
        for (int other = 0; other < SIM_NODES_MAX && !kept; other++) {
            if (other != index && world->nodes[other].used && !sim_is_gone(world, other)) {
                kept = keeps(world, &world->nodes[other], truth);
            }
        }
        truth->doomed = truth->doomed || !kept;
        count += !kept;
    }
    sim_trace(world, "node %d: its disk is the only place of %u reports", index + 1, count);
}

bool sim_truth_in_doubt(const struct sim_world *world, const struct sim_truth *truth)
{
    uint8_t region = truth->order.dot.origin.region.v;
    return truth->doomed || sim_leave_left_out(world, truth->order.dot) || region == world->bad_region || world->region_cloned[region] ||
           world->region_ruined[region];
}

void sim_truth_free(struct sim_world *world)
{
    free(world->truths);
    free(world->truth_index);
    free(world->acks);
    free(world->register_ms);
    sim_check_i7_free(world);
    for (size_t i = 0; i <= TD_REGIONS_MAX; i++) {
        free(world->region_truths[i]);
    }
}
