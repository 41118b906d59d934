/* fault.c -- what goes wrong, drawn one after the other from the seed, and how it is healed. */
#include "cluster-tests/sim/sim.h"

#include <stdlib.h>

enum { HOW_PLAIN, HOW_LOST, HOW_BACKUP, HOW_FLIP };

static uint64_t draw(struct sim_world *world, uint64_t low, uint64_t high)
{
    return sim_random_between(&world->r_fault, low, high);
}

void sim_fault_next(struct sim_world *world)
{
    if (world->options.faults != 0 && world->faults_done < world->options.faults_max) {
        sim_schedule(world, world->now_ms + draw(world, 1, 2 * (uint64_t)world->options.fault_gap_ms),
                     SIM_AT_FAULT, SIM_NONE);
    }
}

static struct sim_event *undo_at(struct sim_world *world, uint64_t after_ms, enum sim_fault fault)
{
    struct sim_event *undo = sim_schedule(world, world->now_ms + after_ms, SIM_AT_UNDO, SIM_NONE);
    undo->generation = (uint32_t)fault;
    return undo;
}

static int any_up(struct sim_world *world)
{
    int start = (int)draw(world, 0, (uint64_t)world->node_count - 1);

    for (int i = 0; i < world->node_count; i++) {
        int node = (start + i) % world->node_count;
        if (world->nodes[node].up && world->nodes[node].paused_until_ms <= world->now_ms) {
            return node;
        }
    }
    return SIM_NONE;
}

/* ---- network ---- */
static void cut_groups(struct sim_world *world, uint64_t group, bool cut)
{
    for (int a = 0; a < world->node_count; a++) {
        for (int b = 0; b < world->node_count; b++) {
            if (a != b && (group >> a & 1) != (group >> b & 1)) {
                sim_net_cut(world, a, b, cut);
            }
        }
    }
}

/* A ring leaves each node its two neighbours only; full stars and bridges come from pairs of cuts. */
static void cut_ring(struct sim_world *world, bool cut)
{
    int count = world->node_count;

    for (int a = 0; a < count; a++) {
        for (int b = 0; b < count; b++) {
            if (a != b && (a + 1) % count != b && (b + 1) % count != a) {
                sim_net_cut(world, a, b, cut);
            }
        }
    }
}

static void cut_some(struct sim_world *world)
{
    uint64_t all = world->node_count >= 64 ? UINT64_MAX : (UINT64_C(1) << world->node_count) - 1;
    uint64_t group = sim_random_next(&world->r_fault) & all;

    if (sim_random_chance(&world->r_fault, 15)) {
        cut_ring(world, true);
        undo_at(world, draw(world, 500, 20000), SIM_FAULT_CUT)->value = 0;
        sim_trace(world, "fault: only a ring is left");
        return;
    }
    if (sim_random_chance(&world->r_fault, 40)) { /* one node alone */
        group = UINT64_C(1) << draw(world, 0, (uint64_t)world->node_count - 1);
    }
    cut_groups(world, group, true);
    undo_at(world, draw(world, 200, 20000), SIM_FAULT_CUT)->value = group;
    sim_trace(world, "fault: cut, group %llx", (unsigned long long)group);
}

static void on_path(struct sim_world *world, enum sim_fault fault)
{
    int a = (int)draw(world, 0, (uint64_t)world->node_count - 1);
    int b = (a + 1 + (int)draw(world, 0, (uint64_t)world->node_count - 2)) % world->node_count;
    struct sim_path *path = &world->path[a][b];

    if (fault == SIM_FAULT_CUT_ONE) {
        bool both = sim_random_chance(&world->r_fault, 30);
        sim_net_cut(world, a, b, true);
        if (both) {
            sim_net_cut(world, b, a, true);
        }
    } else if (fault == SIM_FAULT_SLOW) {
        path->slow_ms = (uint32_t)draw(world, 50, 2000);
        path->bytes_per_ms = (uint32_t)draw(world, 1, 200);
    } else {
        sim_net_close(world, a, b, sim_random_chance(&world->r_fault, 70));
        return;
    }
    struct sim_event *undo = undo_at(world, draw(world, 200, 15000), fault);
    undo->node = SIM_NONE;
    undo->value = (uint64_t)a << 8 | (uint64_t)b;
    sim_trace(world, "fault: %s from %d to %d", sim_fault_name(fault), a + 1, b + 1);
}

/* ---- processes and disks ---- */
static void flip_bit(struct sim_world *world, struct sim_node *node)
{
    for (int tries = 0; tries < 20; tries++) {
        size_t pick = (size_t)sim_random_below(&world->r_disk, node->disk.file_count + 1);
        struct test_file *file = &node->disk.files[pick];
        if (pick < node->disk.file_count && file->exists && file->durable_count > 0 &&
            file->count >= file->durable_count) {
            uint64_t at = sim_random_below(&world->r_disk, file->durable_count);
            uint8_t bit = (uint8_t)(1u << sim_random_below(&world->r_disk, 8));
            file->durable[at] ^= bit;
            file->bytes[at] ^= bit;
            return;
        }
    }
}

static void ruin(struct sim_world *world, int index, int how)
{
    struct sim_node *node = &world->nodes[index];

    if (how == HOW_PLAIN || (how == HOW_BACKUP && !node->snapshot_taken)) {
        return;
    }
    sim_truth_doom(world, index);
    node->ruined = true;
    node->has_down.vv.entry_count = node->has_down.vv.fold_count = 0; /* it vouches for nothing now */
    world->region_ruined[node->region.v] = true;
    if (how == HOW_FLIP) {
        flip_bit(world, node);
        return;
    }
    uint64_t seed = sim_random_next(&world->r_disk);
    test_disk_fini(&node->disk);
    test_disk_init(&node->disk, seed);
    if (how == HOW_BACKUP) {
        sim_disk_copy_durable(&node->disk, &node->snapshot);
        node->disk.random = seed * 2 + 1;
    }
}

static void crash(struct sim_world *world, bool power, int how)
{
    int index = any_up(world);

    if (index == SIM_NONE) {
        return;
    }
    if (power && how == HOW_PLAIN && sim_random_chance(&world->r_fault, 50)) {
        world->nodes[index].power_in = (uint32_t)draw(world, 1, 4); /* at a call of its next flush */
        return;
    }
    sim_trace(world, "fault: node %d ends, power %d, disk %d", index + 1, power, how);
    sim_node_crash(world, index, power);
    ruin(world, index, how);
}

void sim_fault_restart(struct sim_world *world, const struct sim_event *event)
{
    struct sim_node *node = &world->nodes[event->node];

    if (node->used && !node->up) {
        world->counts.restarts++;
        sim_node_boot(world, event->node);
        sim_net_start(world, event->node);
    }
}

static void disk_trouble(struct sim_world *world, enum sim_fault fault)
{
    int index = any_up(world);

    if (index == SIM_NONE) {
        return;
    }
    struct sim_node *node = &world->nodes[index];
    if (fault == SIM_FAULT_DISK_SLOW) {
        node->flush_extra_ms = (uint32_t)draw(world, 20, 3000);
    } else {
        node->disk.fail_calls = fault == SIM_FAULT_DISK_FULL                    ? TEST_WRITE
                                : sim_random_chance(&world->r_fault, 50) ? TEST_SYNC
                                                                         : TEST_ANY;
        node->disk.fail_err = fault == SIM_FAULT_DISK_FULL ? TD_EDISKFULL : TD_EIO;
        node->disk.fail_after = draw(world, 0, 3);
        node->disk.fail_count = fault == SIM_FAULT_DISK_FULL ? UINT64_MAX : draw(world, 1, 4);
    }
    sim_trace(world, "fault: %s at node %d", sim_fault_name(fault), index + 1);
    undo_at(world, draw(world, 200, 12000), fault)->value = (uint64_t)index;
}

static void heal_disk(struct sim_node *node)
{
    node->flush_extra_ms = 0;
    node->disk.fail_calls = 0;
    node->disk.fail_count = 0;
    node->disk.fail_err = TD_EIO;
}

/* ---- clones ---- */
static void end_clone(struct sim_world *world, int index)
{
    struct sim_node *node = &world->nodes[index];

    if (!node->used) {
        return;
    }
    sim_trace(world, "the clone of region %u is stopped for good", node->region.v);
    if (node->up) {
        sim_node_crash(world, index, false);
    }
    sim_truth_doom(world, index);
    test_disk_fini(&node->disk);
    node->used = false;
}

static void start_clone(struct sim_world *world)
{
    int index = any_up(world), clone = world->node_count;

    if (index == SIM_NONE || world->nodes[clone].used) {
        return;
    }
    struct sim_node *node = &world->nodes[clone];
    node->used = true;
    node->clone = true;
    node->ruined = true; /* what an earlier clone had is not expected of this one */
    node->region = world->nodes[index].region;
    node->wall_offset_ms = 0;
    sim_disk_copy_durable(&node->disk, &world->nodes[index].disk);
    node->disk.random = sim_random_next(&world->r_disk) | 1;
    world->region_cloned[node->region.v] = true;
    for (int other = 0; other < world->node_count; other++) {
        world->path[clone][other].delay_ms = world->path[other][clone].delay_ms =
            1 + world->path[index][other].delay_ms;
    }
    sim_trace(world, "fault: a clone of node %d starts", index + 1);
    sim_node_boot(world, clone);
    sim_net_start(world, clone);
    undo_at(world, draw(world, 1000, 15000), SIM_FAULT_CLONE)->value = (uint64_t)clone;
}

/* ---- clocks and processes that stand still ---- */
static void jump_clock(struct sim_world *world)
{
    static const int64_t sizes_ms[] = {2000, 30000, 3600000, INT64_C(30) * 86400000,
                                       INT64_C(3650) * 86400000};
    int index = (int)draw(world, 0, (uint64_t)world->node_count - 1);
    int64_t most = sizes_ms[draw(world, 0, sim_random_chance(&world->r_fault, 90) ? 2 : 4)];
    int64_t jump = (int64_t)draw(world, 0, (uint64_t)most) * (draw(world, 0, 1) == 0 ? 1 : -1);

    world->nodes[index].wall_offset_ms += jump;
    sim_trace(world, "fault: clock of node %d jumps by %lld ms", index + 1, (long long)jump);
}

static void pause(struct sim_world *world)
{
    int index = any_up(world);

    if (index != SIM_NONE) {
        world->nodes[index].paused_until_ms = world->now_ms + draw(world, 50, 12000);
        sim_trace(world, "fault: node %d stands still", index + 1);
    }
}

static void restart_later(struct sim_world *world)
{
    for (int i = 0; i < world->node_count; i++) {
        if (!world->nodes[i].up) {
            sim_schedule(world, world->now_ms + draw(world, 50, 12000), SIM_AT_RESTART, i);
        }
    }
}

static void inject(struct sim_world *world, enum sim_fault fault)
{
    switch (fault) {
    case SIM_FAULT_CUT:
        cut_some(world);
        break;
    case SIM_FAULT_CUT_ONE:
    case SIM_FAULT_SLOW:
    case SIM_FAULT_BREAK:
        on_path(world, fault);
        break;
    case SIM_FAULT_KILL:
    case SIM_FAULT_POWER:
        crash(world, fault == SIM_FAULT_POWER, HOW_PLAIN);
        break;
    case SIM_FAULT_DISK_LOST:
        crash(world, true, HOW_LOST);
        break;
    case SIM_FAULT_BACKUP:
        if (sim_random_chance(&world->r_fault, 60) && any_up(world) != SIM_NONE) {
            sim_node_snapshot(world, any_up(world));
        } else {
            crash(world, true, HOW_BACKUP);
        }
        break;
    case SIM_FAULT_BIT_FLIP:
        crash(world, true, HOW_FLIP);
        break;
    case SIM_FAULT_PAUSE:
        pause(world);
        break;
    case SIM_FAULT_CLONE:
        start_clone(world);
        break;
    case SIM_FAULT_CLOCK:
        jump_clock(world);
        break;
    case SIM_FAULT_TAMPER:
        world->tampering = true;
        undo_at(world, draw(world, 1000, 10000), fault);
        break;
    default:
        disk_trouble(world, fault);
        break;
    }
}

void sim_fault_inject(struct sim_world *world)
{
    uint32_t kind = (uint32_t)draw(world, 0, SIM_FAULT_COUNT - 1);

    if (!world->faulty) {
        return;
    }
    while ((world->options.faults >> kind & 1) == 0) {
        kind = (kind + 1) % SIM_FAULT_COUNT;
    }
    world->faults_done++;
    world->counts.faults[kind] += kind != SIM_FAULT_TAMPER;
    inject(world, (enum sim_fault)kind);
    restart_later(world);
    sim_fault_next(world);
}

void sim_fault_undo(struct sim_world *world, const struct sim_event *event)
{
    int a = (int)(event->value >> 8 & 255), b = (int)(event->value & 255);

    switch ((enum sim_fault)event->generation) {
    case SIM_FAULT_CUT:
        if (event->value == 0) {
            cut_ring(world, false);
        } else {
            cut_groups(world, event->value, false);
        }
        break;
    case SIM_FAULT_CUT_ONE:
        sim_net_cut(world, a, b, false);
        sim_net_cut(world, b, a, false);
        break;
    case SIM_FAULT_SLOW:
        world->path[a][b].slow_ms = 0;
        world->path[a][b].bytes_per_ms = 0;
        break;
    case SIM_FAULT_CLONE:
        end_clone(world, (int)event->value);
        break;
    case SIM_FAULT_TAMPER:
        world->tampering = false;
        break;
    default:
        heal_disk(&world->nodes[event->value]);
        break;
    }
}

/* Cables, disks, clocks and processes are repaired; clones are stopped. What was lost stays lost. */
void sim_fault_heal_all(struct sim_world *world)
{
    sim_trace(world, "everything is healed");
    world->tampering = false;
    for (int i = world->node_count; i < SIM_NODES_MAX; i++) {
        end_clone(world, i);
    }
    for (int a = 0; a < world->node_count; a++) {
        heal_disk(&world->nodes[a]);
        world->nodes[a].wall_offset_ms = 0;
        world->nodes[a].power_in = 0;
        world->nodes[a].disk.power_off_at = 0;
        for (int b = 0; b < world->node_count; b++) {
            world->path[a][b].slow_ms = 0;
            world->path[a][b].bytes_per_ms = 0;
            sim_net_cut(world, a, b, false);
        }
        if (!world->nodes[a].up) {
            sim_schedule(world, world->now_ms + draw(world, 10, 3000), SIM_AT_RESTART, a);
        }
    }
}
