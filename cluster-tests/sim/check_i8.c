/* check_i8.c -- I8: tables, queues and vectors within their limits and consistent with each other;
 * tickets ascend, and no more of them are in the log's hands than it takes. */
#include "cluster-tests/sim/sim.h"

void sim_check_i8(struct sim_world *world, int index)
{
    if (world->nodes[index].core->started && !td_core_check(world->nodes[index].core)) {
        sim_fail(world, "I8", "node %d: td_core_check finds its structures inconsistent",
                 index + 1);
    }
}

void sim_check_i8_store(struct sim_world *world, int index, struct td_ticket ticket)
{
    struct sim_node *node = &world->nodes[index];

    if (ticket.v <= node->ticket_newest) {
        sim_fail(world, "I8", "node %d: ticket %llu after %llu", index + 1,
                 (unsigned long long)ticket.v, (unsigned long long)node->ticket_newest);
    }
    node->ticket_newest = ticket.v;
}
