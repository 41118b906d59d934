/* fault_net.c -- what goes wrong between nodes: cuts of every shape, links that one side forgets,
 * paths that are slow, narrow or of wildly different delay, and frames that arrive twice. */
#include "cluster-tests/sim/fault.h"

#include <stdlib.h>
#include <string.h>

enum { DUPLICATE_PERCENT = 10 };

/* ---- cuts ---- */
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

/* A ring leaves each node its two neighbours only. */
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
        sim_fault_undo_at(world, sim_draw(world, 500, 20000), SIM_FAULT_CUT)->value = 0;
        sim_trace(world, "fault: only a ring is left");
        return;
    }
    if (sim_random_chance(&world->r_fault, 40)) { /* one node alone */
        group = UINT64_C(1) << sim_draw(world, 0, (uint64_t)world->node_count - 1);
    }
    cut_groups(world, group, true);
    sim_fault_undo_at(world, sim_draw(world, 200, 20000), SIM_FAULT_CUT)->value = group;
    sim_trace(world, "fault: cut, group %llx", (unsigned long long)group);
}

/* ---- cuts of any shape ---- */
enum shape { SHAPE_ISLANDS, SHAPE_BRIDGE, SHAPE_STAR, SHAPE_SPARSE, SHAPE_ONE_WAY, SHAPE_COUNT };

/* Whether this direction of this pair is cut: a function of the shape's own number, so that the
 * undoing finds the same ones. */
static bool shape_cuts(uint64_t number, int a, int b, int count)
{
    struct sim_random random = sim_random_new(number, 21);
    enum shape shape = (enum shape)sim_random_below(&random, SHAPE_COUNT);
    uint32_t groups = (uint32_t)sim_random_between(&random, 2, 4);
    uint32_t percent = (uint32_t)sim_random_between(&random, 20, 80);
    int hub = (int)sim_random_below(&random, (uint64_t)count);
    uint64_t low = (uint64_t)(a < b ? a : b), high = (uint64_t)(a < b ? b : a);
    uint64_t of_a = sim_mix(number + (uint64_t)a), of_b = sim_mix(number + (uint64_t)b);

    switch (shape) {
    case SHAPE_ISLANDS:
        return of_a % groups != of_b % groups;
    case SHAPE_BRIDGE: /* the hub is in both halves */
        return a != hub && b != hub && of_a % 2 != of_b % 2;
    case SHAPE_STAR:
        return a != hub && b != hub;
    case SHAPE_SPARSE:
        return sim_mix(number + 1000 + low * 100 + high) % 100 < percent;
    default:
        return sim_mix(number + 1000 + (uint64_t)a * 100 + (uint64_t)b) % 100 < percent;
    }
}

static void cut_shape(struct sim_world *world, uint64_t number, bool cut)
{
    for (int a = 0; a < world->node_count; a++) {
        for (int b = 0; b < world->node_count; b++) {
            if (a != b && shape_cuts(number, a, b, world->node_count)) {
                sim_net_cut(world, a, b, cut);
            }
        }
    }
}

static void start_shape(struct sim_world *world)
{
    uint64_t number = sim_random_next(&world->r_fault);

    cut_shape(world, number, true);
    sim_fault_undo_at(world, sim_draw(world, 500, 20000), SIM_FAULT_SHAPE)->value = number;
    sim_trace(world, "fault: cuts of shape %llx", (unsigned long long)number);
}

/* ---- single paths and links ---- */
static void half_open(struct sim_world *world)
{
    int a = (int)sim_draw(world, 0, (uint64_t)world->node_count - 1);
    int b = (a + 1 + (int)sim_draw(world, 0, (uint64_t)world->node_count - 2)) % world->node_count;

    sim_net_link(world, a, b)->ghost_until_ms = world->now_ms + sim_draw(world, 300, 10000);
    sim_net_close(world, a, b, false);
    sim_trace(world, "fault: node %d forgets its link to %d, which is not told", a + 1, b + 1);
}

static void on_path(struct sim_world *world, enum sim_fault fault)
{
    int a = (int)sim_draw(world, 0, (uint64_t)world->node_count - 1);
    int b = (a + 1 + (int)sim_draw(world, 0, (uint64_t)world->node_count - 2)) % world->node_count;
    struct sim_path *path = &world->path[a][b];

    if (fault == SIM_FAULT_CUT_ONE) {
        bool both = sim_random_chance(&world->r_fault, 30);
        sim_net_cut(world, a, b, true);
        if (both) {
            sim_net_cut(world, b, a, true);
        }
    } else if (fault == SIM_FAULT_SLOW) {
        path->slow_ms = (uint32_t)sim_draw(world, 50, 2000);
        path->bytes_per_ms = (uint32_t)sim_draw(world, 1, 200);
    } else {
        sim_net_close(world, a, b, sim_random_chance(&world->r_fault, 70));
        return;
    }
    struct sim_event *undo = sim_fault_undo_at(world, sim_draw(world, 200, 15000), fault);
    undo->node = SIM_NONE;
    undo->value = (uint64_t)a << 8 | (uint64_t)b;
    sim_trace(world, "fault: %s from %d to %d", sim_fault_name(fault), a + 1, b + 1);
}

/* ---- one network for all ---- */
bool sim_fault_net(struct sim_world *world, enum sim_fault fault)
{
    switch (fault) {
    case SIM_FAULT_CUT:
        cut_some(world);
        return true;
    case SIM_FAULT_SHAPE:
        start_shape(world);
        return true;
    case SIM_FAULT_CUT_ONE:
    case SIM_FAULT_SLOW:
    case SIM_FAULT_BREAK:
        on_path(world, fault);
        return true;
    case SIM_FAULT_HALF_OPEN:
        half_open(world);
        return true;
    case SIM_FAULT_REORDER:
        world->reorder_ms = (uint32_t)sim_draw(world, 50, 3000);
        sim_fault_undo_at(world, sim_draw(world, 500, 8000), fault);
        sim_trace(world, "fault: frames take up to %u ms more", world->reorder_ms);
        return true;
    case SIM_FAULT_DUPLICATE:
        world->duplicating = true;
        sim_fault_undo_at(world, sim_draw(world, 500, 10000), fault);
        return true;
    default:
        return false;
    }
}

bool sim_fault_net_undo(struct sim_world *world, enum sim_fault fault, uint64_t value)
{
    int a = (int)(value >> 8 & 255), b = (int)(value & 255);

    switch (fault) {
    case SIM_FAULT_CUT:
        if (value == 0) {
            cut_ring(world, false);
        } else {
            cut_groups(world, value, false);
        }
        return true;
    case SIM_FAULT_SHAPE:
        cut_shape(world, value, false);
        return true;
    case SIM_FAULT_CUT_ONE:
        sim_net_cut(world, a, b, false);
        sim_net_cut(world, b, a, false);
        return true;
    case SIM_FAULT_SLOW:
        world->path[a][b].slow_ms = 0;
        world->path[a][b].bytes_per_ms = 0;
        return true;
    case SIM_FAULT_REORDER:
        world->reorder_ms = 0;
        return true;
    case SIM_FAULT_DUPLICATE:
        world->duplicating = false;
        return true;
    default:
        return false;
    }
}

/* A head or a batch that goes to one node goes there once more, by the link of somebody else.
 * Nobody asked that one for it: what exceeds its credit ends the link, as the protocol says. */
void sim_fault_duplicate(struct sim_world *world, int from, int to, const struct sim_frame *frame)
{
    int by = (int)sim_random_below(&world->r_net, (uint64_t)world->node_count);
    bool kind = frame->type == TD_MSG_HEAD || frame->type == TD_MSG_LIVE;

    if (!kind || by == from || by == to || !sim_random_chance(&world->r_net, DUPLICATE_PERCENT) ||
        !sim_net_link(world, by, to)->up[by < to ? 0 : 1]) {
        return;
    }
    struct sim_frame *copy = malloc(sizeof *copy + frame->count);
    TD_ASSERT(copy != NULL);
    memcpy(copy, frame, sizeof *frame + frame->count);
    copy->next = NULL;
    world->counts.faults[SIM_FAULT_DUPLICATE]++;
    sim_net_put(world, by, to, copy);
}
