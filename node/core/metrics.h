/* metrics.h -- what the replica measures beside its counters: per region, and how long things took.
 * Read by td_core_metrics(), on the core's thread, between two steps. */
#ifndef TD_CORE_METRICS_H
#define TD_CORE_METRICS_H

#include "proto/durations.h"
#include "proto/limits.h"
#include "proto/types.h"

/* What became of a canary, a job of TD_CANARY_PREFIX that was reported here, at one peer: confirmed
 * over a link of its own, confirmed through others, or not confirmed within TD_CANARY_WAIT_MS. */
enum td_canary_result {
    TD_CANARY_DIRECT,
    TD_CANARY_RELAYED,
    TD_CANARY_TIMED_OUT,
    TD_CANARY_RESULTS
};

struct td_region_metrics {
    struct td_region region; /* 0 = unused */
    /* By origin. */
    uint64_t applied, superseded, lost, equivocations;
    struct td_durations latency; /* from a report's stamp to its merge here; by two clocks */
    /* By the peer that sent it. */
    uint64_t duplicate, repaired;
    uint64_t digest_match_ms; /* wall ms of the newest equal digest; 0 = never */
    bool digest_differs;      /* the newest one with equal vectors was not equal */
    /* By the peer that should confirm it. */
    uint64_t canaries[TD_CANARY_RESULTS];
};

struct td_core_metrics {
    uint64_t jobs_by_state[TD_STATE_COUNT];
    /* Jobs past their promise, as of the last whole walk through the table; not known before the
     * first. */
    bool silent_known;
    uint64_t jobs_silent;
    uint32_t watchers; /* requests that wait for changes */
    uint32_t region_count;
    struct td_region_metrics regions[TD_REGIONS_MAX];
};

struct td_core;
void td_core_metrics(const struct td_core *core, struct td_core_metrics *ret_metrics);

#endif
