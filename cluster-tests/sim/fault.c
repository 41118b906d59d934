/* fault.c -- what goes wrong, drawn one after the other from the seed, and how it is healed. */
#include "cluster-tests/sim/fault.h"

#include <stdlib.h>

void sim_fault_next(struct sim_world *world)
{
    if ((world->options.faults & ~(1u << SIM_FAULT_LEAVE)) != 0 &&
        world->faults_done < world->options.faults_max) {
        sim_schedule(world,
                     world->now_ms + sim_draw(world, 1, 2 * (uint64_t)world->options.fault_gap_ms),
                     SIM_AT_FAULT, SIM_NONE);
    }
}

static int any_up(struct sim_world *world)
{
    int start = (int)sim_draw(world, 0, (uint64_t)world->node_count - 1);

    for (int i = 0; i < world->node_count; i++) {
        int node = (start + i) % world->node_count;
        if (world->nodes[node].up && world->nodes[node].paused_until_ms <= world->now_ms) {
            return node;
        }
    }
    return SIM_NONE;
}

/* ---- processes and disks ---- */
/* A whole segment is gone, the newest one perhaps: where nothing was compacted that leaves no
 * trace. */
static void lose_segment(struct sim_world *world, struct sim_node *node)
{
    size_t pick = (size_t)sim_random_below(&world->r_disk, node->disk.file_count + 1);

    for (size_t i = 0; i < node->disk.file_count; i++) {
        struct test_file *file = &node->disk.files[(pick + i) % node->disk.file_count];
        if (file->exists) {
            file->exists = file->exists_durable = false;
            return;
        }
    }
}

static void flip_bit(struct sim_world *world, struct sim_node *node)
{
    if (world->options.compact_ms > 0 && sim_random_chance(&world->r_disk, 40)) {
        lose_segment(world, node);
        return;
    }
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

void sim_fault_ruin(struct sim_world *world, int index, enum sim_ruin how)
{
    struct sim_node *node = &world->nodes[index];

    if (how == SIM_RUIN_NONE || (how == SIM_RUIN_BACKUP && !node->snapshot_taken)) {
        return;
    }
    sim_truth_doom(world, index);
    node->ruined = true;
    node->roster_version = 1; /* what its configuration names */
    node->has_down.vv.entry_count = node->has_down.vv.fold_count =
        0; /* it vouches for nothing now */
    world->region_ruined[node->region.v] = true;
    sim_record_forgive(world, index, node->region);
    for (int i = 0; i < world->node_count; i++) {
        if (sim_is_gone(world, i)) { /* its own disk keeps nothing for the others any more */
            sim_record_forgive(world, SIM_NONE, world->nodes[i].region);
        }
    }
    if (how == SIM_RUIN_FLIP) {
        flip_bit(world, node);
        return;
    }
    uint64_t seed = sim_random_next(&world->r_disk);
    test_disk_fini(&node->disk);
    test_disk_init(&node->disk, seed);
    if (how == SIM_RUIN_BACKUP) {
        sim_disk_copy_durable(&node->disk, &node->snapshot);
        node->disk.random = seed * 2 + 1;
    }
}

static void crash(struct sim_world *world, bool power, enum sim_ruin how)
{
    int index = any_up(world);

    if (index == SIM_NONE) {
        return;
    }
    if (power && how == SIM_RUIN_NONE && sim_random_chance(&world->r_fault, 50)) {
        world->nodes[index].power_in = (uint32_t)sim_draw(
            world, 1, world->options.compact_ms > 0 ? 9 : 4); /* a call of its next flush */
        return;
    }
    sim_trace(world, "fault: node %d ends, power %d, disk %d", index + 1, power, (int)how);
    sim_node_crash(world, index, power);
    sim_fault_ruin(world, index, how);
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
        node->flush_extra_ms = (uint32_t)sim_draw(world, 20, 3000);
    } else {
        node->disk.fail_calls = fault == SIM_FAULT_DISK_FULL             ? TEST_WRITE
                                : sim_random_chance(&world->r_fault, 50) ? TEST_SYNC
                                                                         : TEST_ANY;
        node->disk.fail_err = fault == SIM_FAULT_DISK_FULL ? TD_EDISKFULL : TD_EIO;
        node->disk.fail_after = sim_draw(world, 0, 3);
        node->disk.fail_count = fault == SIM_FAULT_DISK_FULL ? UINT64_MAX : sim_draw(world, 1, 4);
    }
    sim_trace(world, "fault: %s at node %d", sim_fault_name(fault), index + 1);
    sim_fault_undo_at(world, sim_draw(world, 200, 12000), fault)->value = (uint64_t)index;
}

void sim_fault_disk_heal(struct sim_node *node)
{
    node->flush_extra_ms = 0;
    node->disk.fail_calls = 0;
    node->disk.fail_count = 0;
    node->disk.fail_err = TD_EIO;
}

/* ---- clones ---- */
void sim_fault_clone_end(struct sim_world *world, int index)
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

void sim_fault_clone(struct sim_world *world, int index)
{
    int clone = world->node_count;
    struct sim_node *node = &world->nodes[clone];

    node->used = true;
    node->clone = true;
    node->ruined = true; /* what an earlier clone had is not expected of this one */
    node->region = world->nodes[index].region;
    node->roster_version = world->nodes[index].roster_version;
    node->wall_offset_ms = 0;
    sim_disk_copy_durable(&node->disk, &world->nodes[index].disk);
    node->disk.random = sim_random_next(&world->r_disk) | 1;
    world->region_cloned[node->region.v] = true;
    sim_record_forgive(world, SIM_NONE, node->region);
    for (int other = 0; other < world->node_count; other++) {
        world->path[clone][other].delay_ms = world->path[other][clone].delay_ms =
            1 + world->path[index][other].delay_ms;
    }
    sim_trace(world, "fault: a clone of node %d starts", index + 1);
    sim_node_boot(world, clone);
    sim_net_start(world, clone);
}

static void start_clone(struct sim_world *world)
{
    int index = any_up(world), clone = world->node_count;

    if (index != SIM_NONE && !world->nodes[clone].used) {
        sim_fault_clone(world, index);
        sim_fault_undo_at(world, sim_draw(world, 1000, 15000), SIM_FAULT_CLONE)->value =
            (uint64_t)clone;
    }
}

/* ---- clocks and processes that stand still ---- */
static void jump_clock(struct sim_world *world)
{
    static const int64_t sizes_ms[] = {2000, 30000, 3600000, INT64_C(30) * 86400000,
                                       INT64_C(3650) * 86400000};
    int index = (int)sim_draw(world, 0, (uint64_t)world->node_count - 1);
    int64_t most = sizes_ms[sim_draw(world, 0, sim_random_chance(&world->r_fault, 90) ? 2 : 4)];
    int64_t jump =
        (int64_t)sim_draw(world, 0, (uint64_t)most) * (sim_draw(world, 0, 1) == 0 ? 1 : -1);

    world->nodes[index].wall_offset_ms += jump;
    sim_trace(world, "fault: clock of node %d jumps by %lld ms", index + 1, (long long)jump);
}

/* Fast or slow by up to a tenth; -1000000 stands still. What it has gained or lost stays until the
 * healing. */
static void set_drift(struct sim_world *world, enum sim_fault fault)
{
    int index = (int)sim_draw(world, 0, (uint64_t)world->node_count - 1);
    struct sim_node *node = &world->nodes[index];
    int32_t ppm = -1000000;

    if (fault == SIM_FAULT_DRIFT) {
        ppm = (int32_t)sim_draw(world, 10, sim_random_chance(&world->r_fault, 50) ? 1000 : 100000);
        ppm = sim_random_chance(&world->r_fault, 50) ? ppm : -ppm;
    }
    sim_node_drift(world, node, ppm);
    sim_fault_undo_at(world, sim_draw(world, 1000, 30000), fault)->value = (uint64_t)index;
    sim_trace(world, "fault: clock of node %d goes wrong by %d ppm", index + 1, (int)ppm);
}

/* One allocation in seven is refused at some point: an arena that ends early, a buffer that is not
 * there. */
size_t sim_fault_memory(struct sim_world *world, size_t bytes)
{
    if (!world->memory_short || sim_random_below(&world->r_net, 7) != 0) {
        return bytes;
    }
    world->counts.faults[SIM_FAULT_MEMORY]++;
    return (size_t)sim_random_below(&world->r_net, bytes < 16384 ? bytes : 16384);
}

static void pause(struct sim_world *world)
{
    int index = any_up(world);

    if (index != SIM_NONE) {
        world->nodes[index].paused_until_ms = world->now_ms + sim_draw(world, 50, 12000);
        sim_trace(world, "fault: node %d stands still", index + 1);
    }
}

static void restart_later(struct sim_world *world)
{
    for (int i = 0; i < world->node_count; i++) {
        if (!world->nodes[i].up) {
            sim_schedule(world, world->now_ms + sim_draw(world, 50, 12000), SIM_AT_RESTART, i);
        }
    }
}

static void inject(struct sim_world *world, enum sim_fault fault)
{
    if (sim_fault_net(world, fault)) {
        return;
    }
    switch (fault) {
    case SIM_FAULT_KILL:
    case SIM_FAULT_POWER:
        crash(world, fault == SIM_FAULT_POWER, SIM_RUIN_NONE);
        break;
    case SIM_FAULT_DISK_LOST:
        crash(world, true, SIM_RUIN_LOST);
        break;
    case SIM_FAULT_BACKUP:
        if (sim_random_chance(&world->r_fault, 60) && any_up(world) != SIM_NONE) {
            sim_node_snapshot(world, any_up(world));
        } else {
            crash(world, true, SIM_RUIN_BACKUP);
        }
        break;
    case SIM_FAULT_BIT_FLIP:
        crash(world, true, SIM_RUIN_FLIP);
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
    case SIM_FAULT_DRIFT:
    case SIM_FAULT_FREEZE:
        set_drift(world, fault);
        break;
    case SIM_FAULT_MEMORY:
        world->memory_short = true;
        sim_fault_undo_at(world, sim_draw(world, 100, 5000), fault);
        break;
    case SIM_FAULT_TAMPER:
        world->tampering = true;
        sim_fault_undo_at(world, sim_draw(world, 1000, 10000), fault);
        break;
    default:
        disk_trouble(world, fault);
        break;
    }
}

void sim_fault_inject(struct sim_world *world)
{
    uint32_t drawn = world->options.faults & ((1u << SIM_FAULT_DRAWN_COUNT) - 1);
    bool later = drawn >> SIM_FAULT_FIRST_COUNT != 0;
    uint32_t count = later ? SIM_FAULT_DRAWN_COUNT : SIM_FAULT_FIRST_COUNT;
    uint32_t kind = (uint32_t)sim_draw(world, 0, count - 1);

    if (!world->faulty) {
        return;
    }
    while ((drawn >> kind & 1) == 0) {
        kind = (kind + 1) % count;
    }
    world->faults_done++;
    /* These three are counted frame by frame. */
    world->counts.faults[kind] +=
        kind != SIM_FAULT_TAMPER && kind != SIM_FAULT_DUPLICATE && kind != SIM_FAULT_MEMORY;
    inject(world, (enum sim_fault)kind);
    restart_later(world);
    sim_fault_next(world);
}

void sim_fault_undo(struct sim_world *world, const struct sim_event *event)
{
    enum sim_fault fault = (enum sim_fault)event->generation;

    if (sim_fault_net_undo(world, fault, event->value)) {
        return;
    }
    switch (fault) {
    case SIM_FAULT_CLONE:
        sim_fault_clone_end(world, (int)event->value);
        break;
    case SIM_FAULT_TAMPER:
        world->tampering = false;
        break;
    case SIM_FAULT_MEMORY:
        world->memory_short = false;
        break;
    case SIM_FAULT_DRIFT:
    case SIM_FAULT_FREEZE:
        sim_node_drift(world, &world->nodes[event->value], 0);
        break;
    default:
        sim_fault_disk_heal(&world->nodes[event->value]);
        break;
    }
}

/* Cables, disks, clocks and processes are repaired; clones are stopped. What was lost stays lost.
 */
void sim_fault_heal_all(struct sim_world *world)
{
    sim_trace(world, "everything is healed");
    world->tampering = world->duplicating = world->memory_short = false;
    world->reorder_ms = 0;
    for (int i = world->node_count; i < SIM_NODES_MAX; i++) {
        sim_fault_clone_end(world, i);
    }
    for (int a = 0; a < world->node_count; a++) {
        sim_fault_disk_heal(&world->nodes[a]);
        sim_node_drift(world, &world->nodes[a], 0);
        world->nodes[a].wall_offset_ms = 0;
        world->nodes[a].power_in = 0;
        world->nodes[a].disk.power_off_at = 0;
        for (int b = 0; b < world->node_count; b++) {
            world->path[a][b].slow_ms = 0;
            world->path[a][b].bytes_per_ms = 0;
            world->link[a][b].ghost_until_ms = 0;
            sim_net_cut(world, a, b, false);
        }
        if (!world->nodes[a].up) {
            sim_schedule(world, world->now_ms + sim_draw(world, 10, 3000), SIM_AT_RESTART, a);
        }
    }
}
