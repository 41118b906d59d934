/* byz.c -- see below. */
#include "cluster-tests/sim/sim.h"

bool sim_is_bad(const struct sim_world *world, int node)
{
    return world->bad_region != 0 && world->nodes[node].region.v == world->bad_region;
}
