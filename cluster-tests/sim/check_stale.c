/* check_stale.c -- bounded staleness in the healthy case: without faults every answer says of every
 * region an age, and none above two head intervals and a few delays. A bound that is never wrong
 * (I6) could still be useless; this one says that it is not. */
#include "cluster-tests/sim/sim.h"

enum { WARM_UP_MS = 10000, SLACK_MS = 300, SETTLED_MS = 10000 };

static uint64_t bound_ms(const struct sim_world *world)
{
    uint64_t interval_ms = world->options.regions * 1000 / 32;

    interval_ms = interval_ms < 1000 ? 1000 : interval_ms;
    return 2 * interval_ms + 4 * sim_net_delay_max(world) + 2 * world->options.flush_ms_max +
           SLACK_MS;
}

void sim_check_stale(struct sim_world *world, int index, const struct td_fresh_view *rows,
                     uint32_t count)
{
    if (world->options.faults != 0 || world->now_ms < WARM_UP_MS || world->bad_region != 0) {
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!rows[i].age_known || rows[i].recovering || rows[i].doubt ||
            rows[i].age_ms > bound_ms(world)) {
            sim_fail(
                world, "stale",
                "healthy, but node %d says of region %u: age %lld ms (bound %llu), recovering %d, "
                "doubt %d",
                index + 1, rows[i].region.v, rows[i].age_known ? (long long)rows[i].age_ms : -1LL,
                (unsigned long long)bound_ms(world), rows[i].recovering, rows[i].doubt);
        }
    }
}

bool sim_any_cloned(const struct sim_world *world)
{
    for (int i = 0; i < world->node_count; i++) {
        if (world->region_cloned[world->nodes[i].region.v]) {
            return true;
        }
    }
    return false;
}

bool sim_check_stale_settled(struct sim_world *world, int index, char *ret_why, size_t why_bytes)
{
    struct td_fresh_view rows[TD_REGIONS_MAX];
    bool certain = false;

    /* The original of a clone may have drawn its last incarnation for this hour; until then the
     * heads of the one that is gone are newer. */
    if (sim_any_cloned(world)) {
        return true;
    }
    uint32_t count = td_fresh_rows(world->nodes[index].core, rows, TD_REGIONS_MAX, &certain);

    for (uint32_t i = 0; i < count; i++) {
        bool fresh = rows[i].age_known && !rows[i].recovering && !rows[i].doubt &&
                     rows[i].age_ms <= SETTLED_MS;
        if (!fresh && rows[i].region.v != world->bad_region) {
            snprintf(ret_why, why_bytes,
                     "node %d: not fresh of region %u: age %lld, recovering %d, doubt %d",
                     index + 1, rows[i].region.v,
                     rows[i].age_known ? (long long)rows[i].age_ms : -1LL, rows[i].recovering,
                     rows[i].doubt);
            return false;
        }
    }
    return true;
}
