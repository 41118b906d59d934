/* phi.c -- is a link late? Adaptive over the gaps between answered heartbeats (after phi accrual,
 * Hayashibara 2004, with mean and mean deviation in integers). It deletes nothing and decides
 * nothing about data: a view for people, and a hint not to go back to this path. */
#include "node/core/peers.h"

enum { GAP_MIN_MS = 500, GAP_FIRST_MS = 3000, CLONE_MS = 5000 };

/* A gap this long has, under the observed spread, a chance below about one in a thousand. */
static uint64_t late_after_ms(const struct td_link *link)
{
    if (link->gap_mean_ms == 0) {
        return GAP_FIRST_MS;
    }
    return GAP_MIN_MS + link->gap_mean_ms + UINT64_C(6) * link->gap_dev_ms;
}

void td_phi_answered(struct td_core *core, struct td_link *link, uint32_t rtt_us)
{
    uint64_t gap_ms = core->now.boot_ms - link->answered_ms;
    uint32_t gap = gap_ms > 60000 ? 60000 : (uint32_t)gap_ms;

    link->srtt_us =
        link->rtt_known ? (uint32_t)(((uint64_t)link->srtt_us * 7 + rtt_us) / 8) : rtt_us;
    if (!link->rtt_known) { /* the time from link up to the first answer is no heartbeat gap */
        link->gap_mean_ms = link->gap_dev_ms = 0;
    } else if (link->gap_mean_ms == 0) {
        link->gap_mean_ms = gap > 0 ? gap : 1;
        link->gap_dev_ms = gap / 2;
    } else {
        uint32_t off = gap > link->gap_mean_ms ? gap - link->gap_mean_ms : link->gap_mean_ms - gap;
        link->gap_dev_ms = (link->gap_dev_ms * 3 + off) / 4;
        link->gap_mean_ms = (link->gap_mean_ms * 7 + gap) / 8;
    }
    link->rtt_known = true;
    link->answered_ms = core->now.boot_ms;
    link->probes |= 1;
    link->late = false;
}

/* Two processes that both go on answering with one region's key: not a restart, a clone. */
static void clone_check(struct td_core *core, const struct td_link *link)
{
    struct td_region_info *region = td_link_region(core, link);

    for (uint32_t i = 0; i < core->link_used_max && !region->clone_suspected; i++) {
        const struct td_link *other = &core->links[i];
        if (other == link || !td_link_up(other) || other->region_slot != link->region_slot ||
            td_incarnation_compare(other->process, link->process) == 0) {
            continue;
        }
        uint64_t young = td_max_u64(other->up_boot_ms, link->up_boot_ms);
        if (other->answered_ms > young + CLONE_MS && link->answered_ms > young + CLONE_MS) {
            region->clone_suspected = true;
            td_fx_trace(core, TD_TR_CLONE, region->number, link->process.start,
                        other->process.start);
        }
    }
}

void td_phi_tick(struct td_core *core)
{
    for (uint32_t i = 0; i < core->link_used_max; i++) {
        struct td_link *link = &core->links[i];
        if (!td_link_up(link)) {
            continue;
        }
        uint64_t due = link->answered_ms + late_after_ms(link);
        /* Without a single answer the driver has no heartbeats here (or not yet): nothing to say.
         */
        if (link->rtt_known && !link->late) {
            if (core->now.boot_ms >= due) {
                link->late = true;
            } else {
                td_deadline(core, due);
            }
        }
        clone_check(core, link);
    }
}
