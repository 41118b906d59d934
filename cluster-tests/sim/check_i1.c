/* check_i1.c -- I1: at a node whose `has` covers the dot of an acknowledged report the register
 * holds that report or a greater one. What was found once stays by I3, so each acknowledgement is
 * looked for until it is covered; a new process starts again. */
#include "cluster-tests/sim/sim.h"

#include <stdlib.h>
#include <string.h>

bool sim_holds(const struct sim_world *world, const struct td_core *core,
               const struct sim_truth *truth)
{
    const char *name = world->job_names[truth->job];
    struct td_text job = {name, (uint32_t)strlen(name)};
    uint32_t reg = td_table_find(core, truth->job_hash, job, truth->attempt);

    if (reg == TD_NONE) {
        return false;
    }
    struct td_order order = td_register_order(core, &core->registers[reg]);
    /* Two nodes may give the very same words the same stamp: under either dot they are held. */
    bool same =
        truth->leaf_known && memcmp(&order.hash, &truth->order.hash, sizeof order.hash) == 0;
    return same || td_dot_compare(order.dot, truth->order.dot) == 0 ||
           td_order_compare(&order, &truth->order) > 0;
}

static void lost(struct sim_world *world, int index, const struct sim_truth *truth, const char *how)
{
    sim_fail(world, "I1", "node %d %s: %s/%u %s, acknowledged as %u.%u.%llu", index + 1, how,
             world->job_names[truth->job], truth->attempt,
             td_state_name((enum td_state)truth->state), truth->order.dot.origin.region.v,
             truth->order.dot.origin.incarnation.start, (unsigned long long)truth->order.dot.seq);
}

static void take_new(struct sim_world *world, struct sim_node *node)
{
    uint32_t need = node->unproved_count + world->ack_count - node->acks_taken;

    if (need > node->unproved_room) {
        node->unproved_room = need * 2;
        node->unproved = realloc(node->unproved, node->unproved_room * sizeof *node->unproved);
        TD_ASSERT(node->unproved != NULL);
    }
    while (node->acks_taken < world->ack_count) {
        node->unproved[node->unproved_count++] = world->acks[node->acks_taken++];
    }
}

void sim_check_i1(struct sim_world *world, int index)
{
    struct sim_node *node = &world->nodes[index];
    struct td_vv has = td_core_has(node->core);
    uint32_t left = 0;

    take_new(world, node);
    for (uint32_t i = 0; i < node->unproved_count; i++) {
        const struct sim_truth *truth = &world->truths[node->unproved[i]];
        if (sim_truth_in_doubt(world, truth)) {
            continue;
        }
        if (!td_vv_covers_dot(&has, truth->order.dot)) {
            node->unproved[left++] = node->unproved[i];
        } else if (!sim_holds(world, node->core, truth) && sim_is_hiding(world)) {
            node->unproved[left++] =
                node->unproved[i]; /* repair has to find it: judged at the end */
        } else if (!sim_holds(world, node->core, truth)) {
            lost(world, index, truth, "covers and has not");
        }
    }
    node->unproved_count = left;
}

/* After healing everybody holds everything, whatever the vectors say. */
void sim_check_i1_end(struct sim_world *world)
{
    for (int i = 0; i < world->node_count; i++) {
        for (uint32_t k = 0; k < world->ack_count; k++) {
            const struct sim_truth *truth = &world->truths[world->acks[k]];
            if (world->nodes[i].up && !truth->doomed && !sim_is_bad(world, i) &&
                !sim_is_gone(world, i) &&
                truth->order.dot.origin.region.v != world->bad_region &&
                !sim_holds(world, world->nodes[i].core, truth)) {
                lost(world, i, truth, "lacks after healing");
            }
        }
    }
}
