/* check_i6.c -- I6: a freshness bound is never smaller than the true age. "Complete as of now -
 * age" is compared with what the origin really had made durable by then. */
#include "cluster-tests/sim/sim.h"
#include "node/core/peers.h"

enum { DOUBT_MS = 60000 };

enum { AWARE_MS = 5000 };

/* Shown here, or something greater is: that is what a reader is told to be complete. Vectors may
 * name less after a disk was lost (nobody holds the register's earlier reports any more). */
static bool here(const struct sim_world *world, const struct sim_node *node,
                 const struct td_vv *has, const struct sim_truth *truth)
{
    return truth->failed || truth->doomed || td_vv_covers_dot(has, truth->order.dot) ||
           sim_holds(world, node->core, truth);
}

/* What a node knows of a region, for the trace of a failure. */
void sim_explain(struct sim_world *world, int index, uint8_t region)
{
    const struct td_core *core = world->nodes[index].core;

    sim_trace(world, "node %d: folds region %u below %u, head of %u", index + 1, region,
              core->fold_below[region],
              core->regions[core->slot_of[region]].head_incarnation.start);
    const struct td_region_info *info = &core->regions[core->slot_of[region]];
    sim_trace(world, "  echo known %d, waits %d for start %u up to %llu; its head folds below %u",
              info->echo_known, info->wait.set, info->wait.process.start,
              (unsigned long long)info->wait.seq, td_fold_told(info));
    struct td_vv head = core->regions[core->slot_of[region]].head_has.vv;
    for (uint32_t i = 0; i < head.entry_count; i++) {
        sim_trace(world, "  its head names %u.%u up to %llu", head.entries[i].origin.region.v,
                  head.entries[i].origin.incarnation.start,
                  (unsigned long long)head.entries[i].seq);
    }
    for (uint32_t i = 0; i < core->inc_order_count; i++) {
        const struct td_inc *inc = &core->incs[core->inc_order[i]];
        if (inc->origin.region.v == region) {
            sim_trace(world,
                      "  %u.%u received %llu durable %llu signed %llu named %llu closed %d at %llu "
                      "lost %d folded %d",
                      region, inc->origin.incarnation.start, (unsigned long long)inc->received,
                      (unsigned long long)inc->durable, (unsigned long long)inc->signed_max,
                      (unsigned long long)inc->named_max, inc->closed,
                      (unsigned long long)inc->closed_last, inc->lost, inc->folded);
        }
    }
}

/* Oldest report of this region that the node lacks; NULL = none. */
const struct sim_truth *sim_oldest_lacking(struct sim_world *world, struct sim_node *node,
                                           uint8_t region)
{
    struct td_vv has = td_core_has(node->core);
    uint32_t *cursor = &node->fresh_cursor[region];

    while (*cursor < world->region_truth_count[region]) {
        const struct sim_truth *truth = &world->truths[world->region_truths[region][*cursor]];
        if (!here(world, node, &has, truth)) {
            return truth;
        }
        (*cursor)++;
    }
    return NULL;
}

/* What is hidden from a node while its vector covers it turns ages to unknown: within the bound,
 * once there is rest (docs/INVARIANTS.md). */
void sim_check_i6_hidden(struct sim_world *world, int index)
{
    struct sim_node *node = &world->nodes[index];
    struct td_fresh_view rows[TD_REGIONS_MAX];
    struct td_vv has = td_core_has(node->core);
    bool certain = false;

    if (!sim_is_hiding(world) || world->rest_ms == 0 || world->now_ms < world->rest_ms + DOUBT_MS) {
        return;
    }
    uint32_t count = td_fresh_rows(node->core, rows, TD_REGIONS_MAX, &certain);
    for (uint32_t i = 0; i < node->unproved_count; i++) {
        const struct sim_truth *truth = &world->truths[node->unproved[i]];
        if (sim_truth_in_doubt(world, truth) || !td_vv_covers_dot(&has, truth->order.dot)) {
            continue;
        }
        for (uint32_t k = 0; k < count; k++) {
            if (rows[k].region.v == truth->order.dot.origin.region.v && rows[k].age_known &&
                !sim_holds(world, node->core, truth)) {
                sim_fail(world, "I6",
                         "node %d is still sure of region %u, whose %u.%llu is hidden from it",
                         index + 1, rows[k].region.v, truth->order.dot.origin.incarnation.start,
                         (unsigned long long)truth->order.dot.seq);
            }
        }
    }
}

/* A region started from an old backup cannot know that it is one before it has heard of somebody who holds
 * more of it (DESIGN 2, `recovering`), nor can anybody who hears of it alone. From then on its heads say
 * so; they take a moment to arrive. */
static bool cannot_know(struct sim_world *world, uint8_t region, const struct sim_truth *truth)
{
    const struct sim_node *node = &world->nodes[region - 1];
    bool known = false;

    if (!world->region_ruined[region]) {
        return false;
    }
    if (node->up && node->core->started) {
        struct td_vv has = td_core_has(node->core);
        known = td_vv_covers_dot(&has, truth->order.dot);
        for (uint8_t slot = 0; slot < TD_SLOTS; slot++) {
            const struct td_region_info *info = &node->core->regions[slot];
            known = known || (info->number.v != 0 && info->heard &&
                              td_vv_covers_dot(&info->head_has.vv, truth->order.dot));
        }
    }
    if (!known) {
        world->unaware_ms[region] = world->now_ms;
    }
    return !known ||
           world->now_ms < world->unaware_ms[region] + AWARE_MS + 4 * sim_net_delay_max(world);
}

void sim_check_i6(struct sim_world *world, int index, const struct td_fresh_view *rows,
                  uint32_t count)
{
    struct sim_node *node = &world->nodes[index];

    for (uint32_t i = 0; i < count; i++) {
        uint8_t region = rows[i].region.v;
        bool own = region == node->region.v; /* an old backup cannot be told before others speak */
        if ((own && world->region_ruined[region]) || !rows[i].age_known || rows[i].recovering ||
            region > TD_REGIONS_MAX || world->region_cloned[region] ||
            region == world->bad_region || rows[i].age_ms > world->now_ms) {
            continue; /* two processes of one region: no head of one speaks for the other */
        }
        const struct sim_truth *truth = sim_oldest_lacking(world, node, region);
        if (truth != NULL && truth->durable_ms < world->now_ms - rows[i].age_ms &&
            !cannot_know(world, region, truth)) {
            sim_explain(world, index, region);
            if (world->nodes[region - 1].up) {
                sim_explain(world, region - 1, region);
            }
            sim_fail(
                world, "I6",
                "node %d says region %u is complete as of %llu ms ago, but lacks %u.%u.%llu of "
                "%llu ms ago",
                index + 1, region, (unsigned long long)rows[i].age_ms, region,
                truth->order.dot.origin.incarnation.start, (unsigned long long)truth->order.dot.seq,
                (unsigned long long)(world->now_ms - truth->durable_ms));
        }
    }
}
