/* check_i4.c -- I4: an accepted report is above what its writer had seen; and its stamp is no
 * further ahead than the clock of its node or what had been reported of the register: a token
 * cannot use stamps up. */
#include "cluster-tests/sim/sim.h"

enum { AHEAD_MS = 1000 }; /* a token's stamp is believed so far ahead of the clock */

static int compare_seen(const struct td_seen *seen, const struct td_order *order)
{
    struct td_order of_seen = {
        .rank = seen->rank, .stamp = seen->stamp, .dot = seen->dot, .hash = order->hash};
    return td_order_compare(order, &of_seen);
}

void sim_check_i4(struct sim_world *world, int node, const struct sim_truth *accepted,
                  const struct td_seen *seen, bool noop)
{
    const struct sim_truth *before = sim_truth_find(world, seen->dot);
    int against = seen->dot.seq == 0 ? 1 : compare_seen(seen, &accepted->order);

    if (!sim_is_hiding(world) && (before == NULL || !sim_truth_in_doubt(world, before)) &&
        (against < 0 || (against == 0 && !noop))) {
        sim_fail(world, "I4",
                 "node %d accepted %s/%u below what its writer had seen: stamp %llu, seen %llu",
                 node + 1, world->job_names[accepted->job], accepted->attempt,
                 (unsigned long long)accepted->order.stamp.ms, (unsigned long long)seen->stamp.ms);
    }
}

void sim_check_i4_stamp(struct sim_world *world, int node, const struct sim_truth *truth)
{
    /* The latest its clock ever stood at: the report may have waited for the disk while it jumped
     * back. */
    uint64_t most_ms = world->nodes[node].wall_newest_ms;
    uint64_t ms = truth->order.stamp.ms;

    most_ms = (most_ms > truth->before_ms ? most_ms : truth->before_ms) + AHEAD_MS;
    if (world->bad_region == 0 && truth->attempt < SIM_ATTEMPTS_MAX && ms > most_ms) {
        sim_fail(
            world, "I4",
            "node %d gives %s/%u a stamp %llu ms ahead of its clock, which nothing reported before "
            "explains",
            node + 1, world->job_names[truth->job], truth->attempt,
            (unsigned long long)(ms - most_ms));
    }
}
