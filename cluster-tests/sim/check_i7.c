/* check_i7.c -- I7: a dot is never used twice. Every dot that any node ever made, took in or found
 * in its log again is remembered with the hash of what it said; whoever comes with another one
 * breaks the rule, or is the bad member, whose equivocation somebody then has to name. */
#include "cluster-tests/sim/sim.h"

#include <stdlib.h>
#include <string.h>

struct sim_said {
    struct td_dot dot; /* seq 0 = free */
    struct td_hash leaf;
};
struct sim_dots {
    struct sim_said *said;
    uint32_t count, room; /* a power of two */
};

static struct sim_said *place_of(const struct sim_dots *dots, struct td_dot dot)
{
    uint64_t at = sim_dot_hash(dot);

    while (dots->said[at & (dots->room - 1)].dot.seq != 0 &&
           td_dot_compare(dots->said[at & (dots->room - 1)].dot, dot) != 0) {
        at++;
    }
    return &dots->said[at & (dots->room - 1)];
}

static void grow(struct sim_dots *dots)
{
    struct sim_dots larger = {.room = dots->room == 0 ? 4096 : dots->room * 2,
                              .count = dots->count};

    larger.said = calloc(larger.room, sizeof *larger.said);
    TD_ASSERT(larger.said != NULL);
    for (uint32_t i = 0; i < dots->room; i++) {
        if (dots->said[i].dot.seq != 0) {
            *place_of(&larger, dots->said[i].dot) = dots->said[i];
        }
    }
    free(dots->said);
    *dots = larger;
}

static struct sim_said *said_of(struct sim_world *world, struct td_dot dot)
{
    if (world->dots == NULL) {
        world->dots = calloc(1, sizeof *world->dots);
        TD_ASSERT(world->dots != NULL);
    }
    if (world->dots->count * 2 >= world->dots->room) {
        grow(world->dots);
    }
    struct sim_said *said = place_of(world->dots, dot);
    world->dots->count += said->dot.seq == 0;
    return said;
}

void sim_check_i7(struct sim_world *world, int node, struct td_dot dot, const struct td_hash *leaf)
{
    struct sim_said *said = said_of(world, dot);

    if (said->dot.seq == 0) {
        *said = (struct sim_said){.dot = dot, .leaf = *leaf};
    } else if (memcmp(&said->leaf, leaf, sizeof *leaf) != 0 &&
               dot.origin.region.v != world->bad_region) {
        sim_fail(world, "I7", "node %d: %u.%u.%08x.%llu says something else than before", node + 1,
                 dot.origin.region.v, dot.origin.incarnation.start, dot.origin.incarnation.random,
                 (unsigned long long)dot.seq);
    }
}

/* This node's register had another word under the same dot: it has seen both now. */
void sim_check_i7_fork(struct sim_world *world, int node, struct td_dot dot)
{
    const struct td_core *core = world->nodes[node].core;

    world->counts.forks++;
    if (!core->regions[core->slot_of[dot.origin.region.v]].equivocated) {
        sim_fail(world, "byz",
                 "node %d has seen two words under %u.%u.%llu and does not name region %u",
                 node + 1, dot.origin.region.v, dot.origin.incarnation.start,
                 (unsigned long long)dot.seq, dot.origin.region.v);
    }
}

void sim_check_i7_batch(struct sim_world *world, int node, const struct td_batch *batch)
{
    for (uint32_t i = 0; i < batch->present_count; i++) {
        struct td_dot dot = {batch->header.origin,
                             batch->header.first_seq + batch->deltas[i].index};
        sim_check_i7(world, node, dot, &batch->deltas[i].leaf);
    }
}

void sim_check_i7_accused(struct sim_world *world, int node)
{
    const struct td_core *core = world->nodes[node].core;
    uint8_t self = world->nodes[node].region.v;
    /* A full disk and a power loss make a node forget start numbers that its heads have used. */
    bool forgets =
        (world->options.faults & (1u << SIM_FAULT_DISK_FULL | 1u << SIM_FAULT_DISK_FAIL)) != 0;

    if (core->self_slot < TD_SLOTS && core->regions[core->self_slot].clone_suspected && !forgets &&
        !world->region_cloned[self] && !world->region_ruined[self]) {
        sim_fail(world, "byz", "node %d believes in a clone of itself that never was", node + 1);
    }
    for (uint8_t slot = 0; slot < TD_SLOTS; slot++) {
        uint8_t region = core->regions[slot].number.v;
        if (region != 0 && core->regions[slot].equivocated && region != world->bad_region &&
            !world->region_cloned[region] && !world->region_ruined[region]) {
            sim_fail(world, "byz", "node %d accuses region %u, which never said two things",
                     node + 1, region);
        }
    }
}

void sim_check_i7_free(struct sim_world *world)
{
    if (world->dots != NULL) {
        free(world->dots->said);
        free(world->dots);
    }
}
