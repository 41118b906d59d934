/* check_i2.c -- I2: after healing all honest nodes have the same registers and cover the same
 * vectors. */
#include "cluster-tests/sim/sim.h"

#include <string.h>

/* Each entry of a is covered by b; which is not, is named. */
static bool covers(const struct td_vv *b, const struct td_vv *a, uint8_t bad_region, char *ret_why,
                   size_t why_bytes, int node_a, int node_b)
{
    for (uint32_t i = 0; i < a->entry_count; i++) {
        struct td_dot dot = {a->entries[i].origin, a->entries[i].seq};
        if (dot.origin.region.v == bad_region) {
            continue; /* its numbers mean nothing; what it said is in the registers */
        }
        if (!td_vv_covers_dot(b, dot)) {
            snprintf(ret_why, why_bytes, "node %d covers %u.%u.%llu, node %d does not (%llu)",
                     node_a + 1, dot.origin.region.v, dot.origin.incarnation.start,
                     (unsigned long long)dot.seq, node_b + 1,
                     (unsigned long long)td_vv_seq(b, dot.origin));
            return false;
        }
    }
    return true;
}

static bool same(const struct sim_world *world, int a, int b, char *ret_why, size_t why_bytes)
{
    const struct td_core *one = world->nodes[a].core, *two = world->nodes[b].core;
    struct td_vv has_a = td_core_has(one), has_b = td_core_has(two);

    if (!covers(&has_b, &has_a, world->bad_region, ret_why, why_bytes, a, b) ||
        !covers(&has_a, &has_b, world->bad_region, ret_why, why_bytes, b, a)) {
        return false;
    }
    if (memcmp(one->digest, two->digest, sizeof one->digest) != 0) {
        snprintf(ret_why, why_bytes,
                 "nodes %d and %d: equal vectors, %u and %u registers, digests differ", a + 1,
                 b + 1, one->register_count, two->register_count);
        return false;
    }
    return true;
}

bool sim_check_i2_equal(struct sim_world *world, char *ret_why, size_t why_bytes)
{
    int first = SIM_NONE;

    for (int i = 0; i < world->node_count; i++) {
        if (sim_is_gone(world, i)) {
            continue;
        }
        if (!world->nodes[i].up) {
            snprintf(ret_why, why_bytes, "node %d is down", i + 1);
            return false;
        }
        if (sim_is_bad(world, i)) {
            continue;
        }
        if (first != SIM_NONE && !same(world, first, i, ret_why, why_bytes)) {
            return false;
        }
        first = first == SIM_NONE ? i : first;
    }
    return true;
}
