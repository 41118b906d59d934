/* check_i10.c -- I10: nothing collected comes back. What exists of collecting is the folding of
 * closed incarnations below the stable cut: who folds holds everything below, and when the origin
 * itself folds every member covers it
 * that is not away for too long; after that nothing from below wins a register any more; and
 * the stable cut counts no head whose own part is not here. */
#include "cluster-tests/sim/sim.h"

#include <string.h>

static bool is_exempt(const struct sim_world *world, uint8_t region)
{
    return region > TD_REGIONS_MAX || region == world->bad_region || world->region_cloned[region] ||
           world->region_ruined[region];
}

static bool any_ruin(const struct sim_world *world)
{
    for (size_t i = 0; i <= TD_REGIONS_MAX; i++) {
        if (world->region_cloned[i] || world->region_ruined[i]) {
            return true;
        }
    }
    return false;
}

/* Somebody who does not cover it; SIM_NONE = all do. Only the origin's own folding waits for all.
 */
static int lacking(const struct sim_world *world, int index, struct td_dot dot)
{
    for (int i = 0; i < world->node_count; i++) {
        const struct sim_node *node = &world->nodes[i];
        struct td_vv has = node->up ? td_core_has(node->core) : node->has_down.vv;
        bool asked = i == index || world->nodes[index].region.v == dot.origin.region.v;
        uint8_t slot = world->nodes[index].core->slot_of[node->region.v];
        asked = asked && (i == index ||
                          (slot != 255 && !world->nodes[index].core->regions[slot].fenced));
        if (asked && !sim_is_bad(world, i) && !td_vv_covers_dot(&has, dot)) {
            return i;
        }
    }
    return SIM_NONE;
}

static void folded(struct sim_world *world, int index, uint8_t region, uint32_t from,
                   uint32_t below)
{
    for (uint32_t i = 0; i < world->region_truth_count[region] && !any_ruin(world); i++) {
        const struct sim_truth *truth = &world->truths[world->region_truths[region][i]];
        uint32_t start = truth->order.dot.origin.incarnation.start;
        if (start < from || start >= below || truth->failed || truth->doomed) {
            continue;
        }
        int who = lacking(world, index, truth->order.dot);
        bool held = sim_is_hiding(world) || sim_holds(world, world->nodes[index].core, truth);
        if (who != SIM_NONE || !held) {
            sim_fail(world, "I10", "node %d folds region %u below %u, but node %d lacks %u.%u.%llu",
                     index + 1, region, below, (who == SIM_NONE ? index : who) + 1, region, start,
                     (unsigned long long)truth->order.dot.seq);
        }
    }
}

/* After each step: what was folded in it. */
void sim_check_i10_step(struct sim_world *world, int index)
{
    struct sim_node *node = &world->nodes[index];
    const struct td_core *core = node->core;

    for (uint32_t i = 0; i < core->has.vv.fold_count; i++) {
        uint8_t region = core->has.folds[i].region.v;
        uint32_t below = core->has.folds[i].start_below;
        if (region > TD_REGIONS_MAX || below == node->fold_seen[region]) {
            continue;
        }
        if (below < node->fold_seen[region]) {
            sim_fail(world, "I10", "node %d: the fold of region %u went back from %u to %u",
                     index + 1, region, node->fold_seen[region], below);
        }
        if (!node->booting && !is_exempt(world, region) && !sim_is_bad(world, index)) {
            folded(world, index, region, node->fold_seen[region], below);
        }
        node->fold_seen[region] = below;
    }
    node->booting = false; /* what its log told was decided in an earlier life */
}

/* A register changed in this step; before it the folds were those of fold_seen. */
void sim_check_i10_won(struct sim_world *world, int index, struct td_dot dot)
{
    const struct sim_node *node = &world->nodes[index];
    uint8_t region = dot.origin.region.v;

    if (!is_exempt(world, region) && !any_ruin(world) && !sim_is_hiding(world) &&
        dot.origin.incarnation.start < node->fold_seen[region]) {
        sim_fail(world, "I10",
                 "node %d: %u.%u.%llu wins a register, though region %u is folded below %u",
                 index + 1, region, dot.origin.incarnation.start, (unsigned long long)dot.seq,
                 region, node->fold_seen[region]);
    }
}

/* Causal stability: of every head that the cut counts the signer's own part is here. */
void sim_check_i10_cut(struct sim_world *world, int index)
{
    const struct td_core *core = world->nodes[index].core;
    struct td_vv has = td_core_has(core);

    for (uint8_t slot = 0; slot < TD_SLOTS; slot++) {
        const struct td_region_info *region = &core->regions[slot];
        if (region->number.v == 0 || slot == core->self_slot || !region->covered_known ||
            is_exempt(world, region->number.v)) {
            continue;
        }
        for (uint32_t i = 0; i < region->covered_has.vv.entry_count; i++) {
            struct td_dot dot = {region->covered_has.entries[i].origin,
                                 region->covered_has.entries[i].seq};
            const struct sim_truth *truth = sim_truth_find(world, dot);
            if (dot.origin.region.v == region->number.v && truth != NULL && !truth->failed &&
                !truth->doomed && !td_vv_covers_dot(&has, dot)) {
                sim_fail(world, "I10",
                         "node %d counts a head of region %u for the cut whose own %u.%u.%llu is "
                         "not here",
                         index + 1, region->number.v, dot.origin.region.v,
                         dot.origin.incarnation.start, (unsigned long long)dot.seq);
            }
        }
    }
}
