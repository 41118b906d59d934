/* check_i8.c -- I8: tables, queues and vectors within their limits and consistent with each other; and,
 * for the end of a history, nothing left to do (I9). */
#include "cluster-tests/sim/sim.h"

void sim_check_i8(struct sim_world *world, int index)
{
    if (world->nodes[index].core->started && !td_core_check(world->nodes[index].core)) {
        sim_fail(world, "I8", "node %d: td_core_check finds its structures inconsistent", index + 1);
    }
}

bool sim_check_i9_idle(struct sim_world *world, char *ret_why, size_t why_bytes)
{
    for (int i = 0; i < world->node_count; i++) {
        const struct td_core *core = world->nodes[i].core;
        if (core->transfer.active) {
            snprintf(ret_why, why_bytes, "node %d: a transfer from region %u does not end", i + 1,
                     core->transfer.sender.v);
            return false;
        }
        if (core->recovering) {
            snprintf(ret_why, why_bytes, "node %d: still recovering", i + 1);
            return false;
        }
    }
    return true;
}
