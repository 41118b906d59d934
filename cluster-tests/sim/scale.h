/* scale.h -- how a full mesh grows: one world per number of regions, healthy first, then with a
 * tenth of its links cut, then whole again, and what was counted in each of these windows.
 * scale_watch.c counts, scale_net.c cuts and says what the network itself costs, scale.c runs,
 * prints and judges. */
#ifndef TD_SIM_SCALE_H
#define TD_SIM_SCALE_H

#include "cluster-tests/sim/sim.h"

enum scale_phase {
    SCALE_HEALTHY, /* after a warm-up */
    SCALE_CUTTING, /* from the cut until every source has changed */
    SCALE_CUT,     /* steady, with the cut links */
    SCALE_HEALING, /* links come back, sources change back */
    SCALE_PHASES
};
/* What a frame is for. */
enum scale_kind { SCALE_HEAD, SCALE_HAS, SCALE_PAYLOAD, SCALE_REPAIR, SCALE_OTHER, SCALE_KINDS };

struct scale_settings {
    uint64_t seed;
    uint32_t regions;
    uint32_t window_ms; /* of SCALE_HEALTHY and SCALE_CUT */
    uint32_t delay_ms_min, delay_ms_max, jitter_ms, flush_ms_min, flush_ms_max;
    uint32_t workers_per_region, gap_ms, ack_percent, jobs;
    uint32_t warm_ms, change_ms; /* change: SCALE_CUTTING and SCALE_HEALING */
};

/* One row of the table. Times in ms from durable at the origin to merged at the last node. */
struct scale_row {
    uint64_t deltas, undelivered;
    double copies; /* payload copies per delta and node other than its origin */
    uint32_t copies_most;
    double over_two; /* share of (delta, node) with more than two copies */
    double mean_ms, p99_ms, most_ms;
    double floor_ms; /* what the paths alone cost, mean over the same deltas */
    double bytes[SCALE_KINDS], frames[SCALE_KINDS]; /* per node and second */
    uint64_t source_changes, transfers;
};

struct scale_result {
    struct scale_settings settings;
    uint32_t links, links_cut;
    double delay_ms_mean; /* over all paths, jitter included */
    bool passed;          /* by every checker of the simulator */
    char failure[640];
    double head_bytes, has_bytes; /* of one, mean */
    uint64_t steps_per_node_s;    /* of the core, healthy */
    struct scale_row rows[SCALE_PHASES];
};

struct scale_settings scale_settings_default(void);
struct scale_result scale_run(const struct scale_settings *settings);
const char *scale_phase_name(enum scale_phase phase);

/* ---- scale_net.c ---- */
#define SCALE_FAR_MS 1e9 /* no way there */
struct scale_net {
    uint32_t node_count, cut_count;
    bool cut[TD_REGIONS_MAX][TD_REGIONS_MAX];
    double direct_ms[TD_REGIONS_MAX][TD_REGIONS_MAX];
    double shortest_ms[TD_REGIONS_MAX][TD_REGIONS_MAX]; /* around the cut links */
};
/* Chooses a tenth of the links, at least one, so that all stay connected. */
void scale_net_draw(struct scale_net *net, const struct sim_world *world, uint64_t seed);
void scale_net_cut(const struct scale_net *net, struct sim_world *world, bool cut);
double scale_net_mean_ms(const struct scale_net *net);
/* To the farthest node, over the best way that the phase leaves. */
double scale_net_floor_ms(const struct scale_net *net, uint32_t origin, bool with_cuts);

/* ---- scale_watch.c ---- */
struct scale_watch {
    struct sim_watch hooks;
    const struct scale_settings *settings;
    struct scale_net net;
    enum scale_phase phase;
    bool running; /* the warm-up is over and the last window is not */
    uint64_t from_ms[SCALE_PHASES], to_ms[SCALE_PHASES];
    uint64_t bytes[SCALE_PHASES][SCALE_KINDS], frames[SCALE_PHASES][SCALE_KINDS];
    uint64_t changes_before, transfers_before, steps_before;
    uint64_t changes[SCALE_PHASES], transfers[SCALE_PHASES], steps[SCALE_PHASES];
    uint8_t *copies;                     /* [truth][node] */
    uint32_t *arrived_ms;                /* [truth][node], 0 = not yet */
    uint32_t room;                       /* in truths */
    uint32_t first_open[TD_REGIONS_MAX]; /* all truths before have arrived at this node */
};
void scale_watch_init(struct scale_watch *watch, const struct scale_settings *settings,
                      const struct sim_world *world);
void scale_watch_fini(struct scale_watch *watch);
/* After the run. */
void scale_watch_rows(const struct scale_watch *watch, const struct sim_world *world,
                      struct scale_result *result);

#endif
