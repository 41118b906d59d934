/* check_i7.c -- I7: a dot is never used twice. Every dot that any node ever made, took in or found
 * in its log again is remembered with the hash of what it said; whoever comes with another one
 * breaks the rule, or is the bad member, whose equivocation somebody then has to name. */
#include "cluster-tests/sim/sim.h"

#include <stdlib.h>
#include <string.h>

enum { NAMED_MS = 60000 };

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

/* Two honest nodes hold different words of the bad member for one dot. */
static void note_fork(struct sim_world *world, int node, struct td_dot dot)
{
    if (world->forked_ms == 0) {
        world->forked_ms = world->now_ms;
        sim_trace(world, "node %d holds another %u.%u.%llu than somebody else", node + 1,
                  dot.origin.region.v, dot.origin.incarnation.start, (unsigned long long)dot.seq);
    }
}

void sim_check_i7(struct sim_world *world, int node, struct td_dot dot, const struct td_hash *leaf)
{
    if (world->dots == NULL) {
        world->dots = calloc(1, sizeof *world->dots);
        TD_ASSERT(world->dots != NULL);
    }
    if (world->dots->count * 2 >= world->dots->room) {
        grow(world->dots);
    }
    struct sim_said *said = place_of(world->dots, dot);
    if (said->dot.seq == 0) {
        *said = (struct sim_said){dot, *leaf};
        world->dots->count++;
    } else if (memcmp(&said->leaf, leaf, sizeof *leaf) != 0) {
        if (dot.origin.region.v == world->bad_region) {
            note_fork(world, node, dot);
            return;
        }
        sim_fail(world, "I7", "node %d: %u.%u.%08x.%llu says something else than before", node + 1,
                 dot.origin.region.v, dot.origin.incarnation.start, dot.origin.incarnation.random,
                 (unsigned long long)dot.seq);
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

/* Some honest node names a fork within the bound. */
void sim_check_i7_named(struct sim_world *world)
{
    if (world->forked_ms == 0 || world->now_ms < world->forked_ms + NAMED_MS ||
        world->options.faults != 0) {
        return;
    }
    if (!sim_equivocation_named(world)) {
        sim_fail(world, "byz",
                 "region %u said two things under one dot %llu ms ago, nobody names it",
                 world->bad_region, (unsigned long long)(world->now_ms - world->forked_ms));
    }
}

bool sim_equivocation_named(const struct sim_world *world)
{
    for (int i = 0; i < world->node_count; i++) {
        const struct sim_node *node = &world->nodes[i];
        if (node->up && !sim_is_bad(world, i) &&
            node->core->regions[node->core->slot_of[world->bad_region]].equivocated) {
            return true;
        }
    }
    return false;
}

void sim_check_i7_free(struct sim_world *world)
{
    if (world->dots != NULL) {
        free(world->dots->said);
        free(world->dots);
    }
}
