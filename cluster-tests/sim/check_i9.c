/* check_i9.c -- I9: what can reach a node reaches it, through whoever is there, within the bound
 * for that; after healing everything is idle: no transfer, no store, no request left, and each
 * region's deltas come from the region itself again. */
#include "cluster-tests/sim/sim.h"

#include "node/core/pending.h"

enum { BAD_MS = 30000 };

/* I9 in the healthy case: everything reaches everybody in a few delays. */
void sim_check_i9_healthy(struct sim_world *world, int index)
{
    const struct sim_options *options = &world->options;
    uint64_t bound_ms = 2000 + 4 * sim_net_delay_max(world) + 3 * (uint64_t)options->flush_ms_max;

    if (options->faults != 0 || world->now_ms < 10000 || sim_is_bad(world, index)) {
        return;
    }
    if (world->bad_region !=
        0) { /* who believes a liar for a while loses one change of source, or two */
        bound_ms += BAD_MS;
    }
    for (uint8_t region = 1; region <= options->regions; region++) {
        if (region == world->bad_region) {
            continue;
        }
        const struct sim_truth *truth = sim_oldest_lacking(world, &world->nodes[index], region);
        if (truth != NULL && truth->durable_ms + bound_ms < world->now_ms) {
            sim_fail(world, "I9", "healthy, but node %d lacks %u.%u.%llu of %llu ms ago", index + 1,
                     region, truth->order.dot.origin.incarnation.start,
                     (unsigned long long)truth->order.dot.seq,
                     (unsigned long long)(world->now_ms - truth->durable_ms));
        }
    }
}

/* Nothing waits: no store is in the log's hands, no request without an answer. */
static bool is_quiet(const struct td_core *core, int index, char *ret_why, size_t why_bytes)
{
    if (core->store_first != core->store_next) {
        snprintf(ret_why, why_bytes, "node %d: %llu stores in the log's hands", index + 1,
                 (unsigned long long)(core->store_next - core->store_first));
        return false;
    }
    if (core->pending->waiter_count != 0) {
        snprintf(ret_why, why_bytes, "node %d: %u requests wait", index + 1,
                 core->pending->waiter_count);
        return false;
    }
    return true;
}

/* A path that was changed because of a cut is changed back when the cut is over. */
static bool sources_direct(const struct sim_world *world, int index, char *ret_why,
                           size_t why_bytes)
{
    const struct td_core *core = world->nodes[index].core;

    if (world->bad_region != 0) {
        return true; /* who says that it has more is tried again and again */
    }
    for (uint8_t slot = 0; slot < TD_SLOTS; slot++) {
        const struct td_region_info *region = &core->regions[slot];
        if (region->number.v == 0 || slot == core->self_slot ||
            region->number.v == world->bad_region) {
            continue;
        }
        uint32_t direct = td_link_of(core, slot);
        if (direct == TD_NONE || region->source != direct) {
            snprintf(ret_why, why_bytes, "node %d: takes region %u from somebody else", index + 1,
                     region->number.v);
            return false;
        }
        if (region->trial.v != 0) {
            snprintf(ret_why, why_bytes, "node %d: takes region %u from a second one too",
                     index + 1, region->number.v);
            return false;
        }
    }
    return true;
}

bool sim_check_i9_idle(struct sim_world *world, char *ret_why, size_t why_bytes)
{
    for (int i = 0; i < world->node_count; i++) {
        const struct td_core *core = world->nodes[i].core;
        if (sim_is_bad(world, i) || sim_is_gone(world, i)) {
            continue;
        }
        if (core->transfer.active &&
            world->bad_region == 0) { /* a liar may drag one out for ever */
            snprintf(ret_why, why_bytes, "node %d: a transfer from region %u does not end", i + 1,
                     core->transfer.sender.v);
            return false;
        }
        /* Heads of a clone that is gone may be newer than those of the original for the rest of its hour. */
        if (core->recovering && !sim_any_cloned(world)) {
            snprintf(ret_why, why_bytes, "node %d: still recovering", i + 1);
            return false;
        }
        if (!is_quiet(core, i, ret_why, why_bytes) ||
            !sources_direct(world, i, ret_why, why_bytes) ||
            !sim_check_stale_settled(world, i, ret_why, why_bytes)) {
            return false;
        }
    }
    return true;
}
