/* link.h -- what one direction of a wide-area path does to a packet: waits in line, is lost, comes
 * late, twice or out of order. Pure: time is handed in, chance comes from the link's own stream.
 *
 * Every packet draws the same count of numbers, whatever the shape of the link: the fate of the
 * n-th packet offered to a link depends on the seed, n and the shape, and on nothing else. */
#ifndef TD_WAN_LINK_H
#define TD_WAN_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cluster-tests/sim/random.h"

enum { WAN_PPM = 1000000, WAN_QUEUE_DEFAULT = 256, WAN_LATE_US_DEFAULT = 5000, WAN_MTU = 1500 };

struct wan_shape {
    uint64_t delay_us;
    uint64_t jitter_us; /* evenly within delay - jitter .. delay + jitter; keeps the order */
    uint64_t late_us;   /* by how much a reordered packet is later than its turn */
    uint64_t loss_ppm, dup_ppm, reorder_ppm;
    uint64_t rate_bps; /* 0 = unlimited */
    uint64_t queue;    /* full packets (WAN_MTU) that may wait in line at that rate */
};

struct wan_counts {
    uint64_t offered, passed, lost, duplicated, reordered;
    uint64_t queue_drops, cut_drops, memory_drops, bytes;
};

struct wan_link {
    struct wan_shape shape;
    struct sim_random random;
    bool cut;
    uint32_t cuts;    /* what was on its way when the link was cut does not arrive after healing */
    uint64_t free_us; /* the line has sent everything accepted so far */
    uint64_t last_us; /* arrival of the latest packet that kept its turn */
    struct wan_counts counts;
};

void wan_link_init(struct wan_link *link);
/* Restarts the stream of chance; from and to tell the links of one seed apart. */
void wan_link_seed(struct wan_link *link, uint64_t seed, unsigned from, unsigned to);
void wan_link_shape(struct wan_link *link, const struct wan_shape *shape);
void wan_link_cut(struct wan_link *link);
void wan_link_heal(struct wan_link *link);

/* Returns how many copies arrive (0, 1 or 2) and when. */
unsigned wan_link_offer(struct wan_link *link, uint64_t now_us, size_t bytes,
                        uint64_t ret_due_us[2]);

#endif
