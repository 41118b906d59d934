/* check_i5.c -- I5: whatever is in a register, its origin handed exactly that to its log. A forged
 * or altered delta has no such truth, or another leaf. */
#include "cluster-tests/sim/sim.h"

#include <string.h>

void sim_check_i5(struct sim_world *world, int index, uint32_t reg)
{
    const struct td_core *core = world->nodes[index].core;
    const struct td_register *it = &core->registers[reg];
    struct td_dot dot = td_register_dot(core, it);
    const struct sim_truth *truth = sim_truth_find(world, dot);

    if (dot.origin.region.v == world->bad_region || sim_is_bad(world, index)) {
        return; /* it signs what it likes, in its own name */
    }
    if (truth == NULL) {
        sim_fail(world, "I5", "node %d: merged %u.%u.%llu, which nobody ever said", index + 1,
                 dot.origin.region.v, dot.origin.incarnation.start, (unsigned long long)dot.seq);
        return;
    }
    bool same = truth->job_hash == it->job_hash && truth->attempt == it->attempt &&
                truth->state == it->state && td_stamp_compare(truth->order.stamp, it->stamp) == 0 &&
                (!truth->leaf_known || memcmp(&truth->order.hash, &it->leaf, sizeof it->leaf) == 0);
    if (!same) {
        sim_fail(world, "I5", "node %d: %u.%u.%llu does not say what its origin said", index + 1,
                 dot.origin.region.v, dot.origin.incarnation.start, (unsigned long long)dot.seq);
    }
}
