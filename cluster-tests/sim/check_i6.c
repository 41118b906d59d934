/* check_i6.c -- I6: a freshness bound is never smaller than the true age. "Complete as of now -
 * age" is compared with what the origin really had made durable by then. */
#include "cluster-tests/sim/sim.h"
#include "node/core/peers.h"

enum { DOUBT_MS = 60000 };

enum { AWARE_MS = 1000 };

/* Shown here, or something greater is: that is what a reader is told to be complete. Vectors may
 * name less after a disk was lost (nobody holds the register's earlier reports any more). */
static bool here(const struct sim_world *world, const struct sim_node *node,
                 const struct td_vv *has, const struct sim_truth *truth)
{
    return truth->failed || truth->doomed || td_vv_covers_dot(has, truth->order.dot) ||
           sim_holds(world, node->core, truth);
}

static void explain_lives(struct sim_world *world, const struct td_core *core, uint8_t region)
{
    for (uint32_t i = 0; core != NULL && i < core->inc_order_count; i++) {
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

/* What a node knows of a region, for the trace of a failure. */
void sim_explain(struct sim_world *world, int index, uint8_t region)
{
    const struct td_core *core = world->nodes[index].core;

    if (core == NULL || core->slot_of[region] == 255) { /* closed: it has no place any more */
        explain_lives(world, core, region);
        return;
    }
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
    explain_lives(world, core, region);
}

void sim_explain_registers(struct sim_world *world, int index, int other)
{
    const struct td_core *core = world->nodes[index].core, *there = world->nodes[other].core;

    for (uint32_t i = 0; i < core->register_used_max; i++) {
        const struct td_register *reg = &core->registers[i];
        struct td_text job = reg->used ? td_register_job(core, reg) : (struct td_text){0};
        uint32_t twin = reg->used ? td_table_find(there, reg->job_hash, job, reg->attempt) : TD_NONE;
        struct td_dot dot = reg->used ? td_register_dot(core, reg) : (struct td_dot){0};
        struct td_dot here = twin == TD_NONE ? (struct td_dot){0}
                                             : td_register_dot(there, &there->registers[twin]);
        if (reg->used && td_dot_compare(dot, here) != 0) {
            sim_trace(world, "node %d shows %u.%u.%llu %.*s/%u, node %d %u.%u.%llu", index + 1,
                      dot.origin.region.v, dot.origin.incarnation.start, (unsigned long long)dot.seq,
                      (int)job.count, job.bytes, reg->attempt, other + 1, here.origin.region.v,
                      here.origin.incarnation.start, (unsigned long long)here.seq);
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

/* Somebody it heard names more of it than it has. */
static bool is_aware(struct sim_node *node, uint8_t region)
{
    struct td_vv has = td_core_has(node->core);

    for (uint8_t slot = 0; slot < TD_SLOTS; slot++) {
        const struct td_region_info *info = &node->core->regions[slot];
        for (uint32_t i = 0; info->number.v != 0 && info->heard && i < info->head_has.vv.entry_count;
             i++) {
            struct td_dot dot = {info->head_has.entries[i].origin, info->head_has.entries[i].seq};
            if (dot.origin.region.v == region && !td_vv_covers_dot(&has, dot)) {
                return true;
            }
        }
    }
    return false;
}

/* Since when it may know is watched all the time: nobody may be asking just then. */
void sim_check_i6_aware(struct sim_world *world)
{
    for (int i = 0; i < world->node_count; i++) {
        struct sim_node *node = &world->nodes[i];
        uint8_t region = node->region.v;
        if (world->region_ruined[region] &&
            !(node->up && node->core->started && is_aware(node, region))) {
            world->unaware_ms[region] = world->now_ms;
        }
    }
}

/* A region started from an old backup cannot know that it is one before it has heard of somebody who holds
 * more of it (DESIGN 2, `recovering`), nor can anybody who hears of it alone. From then on its heads say
 * so; what they said before stands. */
static bool cannot_know(struct sim_world *world, uint8_t region, const struct sim_truth *truth,
                        uint64_t moment_ms)
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
           moment_ms < world->unaware_ms[region] + AWARE_MS + 4 * sim_net_delay_max(world);
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
            !cannot_know(world, region, truth, world->now_ms - rows[i].age_ms)) {
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
