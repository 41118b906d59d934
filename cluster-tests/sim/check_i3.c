/* check_i3.c -- I3: no register goes back within one run of a process, and none is below what was
 * durable before a restart (unless its disk was ruined). Looks at what changed in each step. */
#include "cluster-tests/sim/sim.h"

#include <stdlib.h>
#include <string.h>

static struct sim_shadow *shadow_at(struct sim_node *node, uint32_t reg)
{
    if (reg >= node->shadow_room) {
        uint32_t room = (reg + 1) * 2;
        node->shadow = realloc(node->shadow, room * sizeof *node->shadow);
        TD_ASSERT(node->shadow != NULL);
        memset(node->shadow + node->shadow_room, 0,
               (room - node->shadow_room) * sizeof *node->shadow);
        node->shadow_room = room;
    }
    return &node->shadow[reg];
}

/* TD_SIM_WATCH=JOB with --trace: each change of the job's registers, at each node. */
static void trace_watched(struct sim_world *world, int index, const struct td_register *it)
{
    const char *watched = getenv("TD_SIM_WATCH");
    struct td_text job = td_register_job(world->nodes[index].core, it);

    if (watched == NULL || strlen(watched) != job.count || memcmp(watched, job.bytes, job.count) != 0) {
        return;
    }
    struct td_dot dot = td_register_dot(world->nodes[index].core, it);
    sim_trace(world, "node %d: %s/%u is %s by %u.%u-%08x.%llu", index + 1, watched, it->attempt,
              td_state_name((enum td_state)it->state), dot.origin.region.v,
              dot.origin.incarnation.start, dot.origin.incarnation.random,
              (unsigned long long)dot.seq);
}

static void look(struct sim_world *world, int index, uint32_t reg)
{
    struct sim_node *node = &world->nodes[index];
    const struct td_register *it = &node->core->registers[reg];
    struct sim_shadow *shadow = shadow_at(node, reg);

    if (!it->used) {
        return;
    }
    struct td_order order = td_register_order(node->core, it);
    if (world->trace != NULL) {
        trace_watched(world, index, it);
    }
    if (shadow->used && shadow->job_hash == it->job_hash && shadow->attempt == it->attempt &&
        td_order_compare(&order, &shadow->order) < 0) {
        sim_fail(world, "I3", "node %d: register went back, rank %u to %u, stamp %llu to %llu",
                 index + 1, shadow->order.rank, order.rank,
                 (unsigned long long)shadow->order.stamp.ms, (unsigned long long)order.stamp.ms);
    }
    if (td_dot_compare(order.dot, shadow->order.dot) != 0) {
        sim_check_i5_leaving(world, index, order.dot);
        sim_check_i10_won(world, index, order.dot);
    } else if (shadow->used && shadow->job_hash == it->job_hash && shadow->attempt == it->attempt &&
               memcmp(&order.hash, &shadow->order.hash, sizeof order.hash) != 0) {
        sim_check_i7_fork(world, index, order.dot);
    }
    *shadow = (struct sim_shadow){it->job_hash, it->attempt, true, order};
    sim_check_i5(world, index, reg);
}

void sim_check_i3_step(struct sim_world *world, int index)
{
    struct sim_node *node = &world->nodes[index];
    const struct td_core *core = node->core;
    uint64_t ring = core->config.limits.change_ring;

    if (core->change_number > node->change_seen + ring) {
        node->change_seen = core->change_number - ring;
    }
    while (node->change_seen < core->change_number) {
        node->change_seen++;
        uint32_t reg = core->change_ring[node->change_seen & (ring - 1)];
        if (reg < core->register_used_max) {
            look(world, index, reg);
        }
    }
    sim_check_i10_step(world, index);
}

/* What the next process must still have: everything durable here. */
void sim_check_i3_down(struct sim_world *world, int index)
{
    struct sim_node *node = &world->nodes[index];
    struct td_vv has = td_core_has(node->core);

    (void)world;
    free(node->earlier);
    node->earlier = NULL;
    node->earlier_count = 0;
    if (node->shadow_room == 0 || !node->core->started) {
        return;
    }
    node->earlier = malloc(node->shadow_room * sizeof *node->earlier);
    TD_ASSERT(node->earlier != NULL);
    for (uint32_t i = 0; i < node->shadow_room; i++) {
        /* What a full disk refused is shown, but not durable, whatever its region's fold covers. */
        bool written = i < node->core->register_used_max && node->core->registers[i].used &&
                       !node->core->slots[node->core->registers[i].slot].failed;
        if (node->shadow[i].used && written && td_vv_covers_dot(&has, node->shadow[i].order.dot)) {
            node->earlier[node->earlier_count++] = node->shadow[i];
        }
    }
}

static const struct sim_shadow *find(struct sim_world *world, const struct sim_node *node,
                                     const struct sim_shadow *want)
{
    const struct sim_truth *truth = sim_truth_find(world, want->order.dot);
    if (truth == NULL) {
        return NULL;
    }
    const char *name = world->job_names[truth->job];
    struct td_text job = {name, (uint32_t)strlen(name)};
    uint32_t reg = td_table_find(node->core, want->job_hash, job, want->attempt);
    return reg == TD_NONE || reg >= node->shadow_room ? NULL : &node->shadow[reg];
}

void sim_check_i3_booted(struct sim_world *world, int index)
{
    struct sim_node *node = &world->nodes[index];
    struct td_vv has = td_core_has(node->core);

    if (sim_is_gone(world, index)) { /* what it says of itself is void by now */
        node->ruined = false;
        return;
    }
    for (uint32_t i = 0; i < node->earlier_count && !node->ruined; i++) {
        /* What the bad member forged is in no truth: its job's name is not known here. And what it
         * hid may be covered by the vector before it comes. */
        if (node->earlier[i].order.dot.origin.region.v == world->bad_region ||
            sim_is_hiding(world)) {
            continue;
        }
        const struct sim_shadow *now = find(world, node, &node->earlier[i]);
        if (now == NULL || !now->used ||
            td_order_compare(&now->order, &node->earlier[i].order) < 0) {
            sim_fail(world, "I3", "node %d: after the restart attempt %u of job %016llx is %s",
                     index + 1, node->earlier[i].attempt,
                     (unsigned long long)node->earlier[i].job_hash,
                     now == NULL ? "gone" : "older than what was durable");
        }
    }
    for (uint32_t i = 0; i < node->has_down.vv.entry_count && !node->ruined; i++) {
        const struct td_vv_entry *entry = &node->has_down.vv.entries[i];
        struct td_dot dot = {entry->origin, entry->seq};
        if (!td_vv_covers_dot(&has, dot)) {
            sim_fail(
                world, "I3", "node %d: after the restart `has` names %u.%u up to %llu, before %llu",
                index + 1, entry->origin.region.v, entry->origin.incarnation.start,
                (unsigned long long)td_vv_seq(&has, entry->origin), (unsigned long long)entry->seq);
        }
    }
    node->ruined = false;
}
