/* swarm.h -- runs seeds in child processes and sums up. */
#ifndef TD_SIM_SWARM_H
#define TD_SIM_SWARM_H

#include "cluster-tests/sim/sim.h"

enum { SIM_OVERRIDES_MAX = 32, SIM_JOBS_RUN_MAX = 64 };

struct sim_swarm {
    uint64_t first, last;
    uint32_t jobs;
    uint32_t time_s; /* stop after; 0 = no end */
    bool single, trace, shrink, quiet;
    const char *replay;
    const char *plant;
    const char *overrides[SIM_OVERRIDES_MAX];
    size_t override_count;
};

/* What a child reports. */
struct sim_result {
    bool finished; /* false: it died, which is a failure as well */
    bool passed;
    char checker[16];
    char failure[512];
    uint64_t seed, trace_hash, sim_ms;
    struct sim_counts counts;
};

/* Exit code for main: 0 = nothing violated. */
int sim_swarm_run(const struct sim_swarm *swarm);
/* One world in a child of its own. */
struct sim_result sim_run_one(const struct sim_options *options, bool trace);
/* Fewer faults, regions, reports while it still fails; prints what is left. */
void sim_shrink(const struct sim_options *options);

#endif
