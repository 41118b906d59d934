/* durations.h -- a histogram of durations with fixed buckets, for metrics. Plain numbers: the owner
 * says which threads may touch them; _add is safe from any thread. */
#ifndef TD_PROTO_DURATIONS_H
#define TD_PROTO_DURATIONS_H

#include <stdint.h>

/* Upper bounds in microseconds: from a local answer to a transfer over night. */
#define TD_DURATION_BOUNDS                                                                         \
    {                                                                                              \
        500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 500000, 1000000, 2500000,      \
            5000000, 10000000, 30000000, 60000000, 300000000                                       \
    }
enum { TD_DURATION_BUCKETS = 17 };

struct td_durations {
    uint64_t counts[TD_DURATION_BUCKETS + 1]; /* each on its own, not cumulated; the last: beyond */
    uint64_t sum_us;
};

static inline void td_durations_add(struct td_durations *durations, uint64_t us)
{
    static const uint64_t bounds[TD_DURATION_BUCKETS] = TD_DURATION_BOUNDS;
    uint32_t at = 0;
    while (at < TD_DURATION_BUCKETS && us > bounds[at]) {
        at++;
    }
    __atomic_add_fetch(&durations->counts[at], 1, __ATOMIC_RELAXED);
    __atomic_add_fetch(&durations->sum_us, us, __ATOMIC_RELAXED);
}

/* A copy while others may add; counts may be of slightly different moments. */
static inline void td_durations_read(const struct td_durations *durations,
                                     struct td_durations *ret_copy)
{
    for (uint32_t i = 0; i <= TD_DURATION_BUCKETS; i++) {
        ret_copy->counts[i] = __atomic_load_n(&durations->counts[i], __ATOMIC_RELAXED);
    }
    ret_copy->sum_us = __atomic_load_n(&durations->sum_us, __ATOMIC_RELAXED);
}

/* The duration that so many of a thousand do not exceed, in proportion within its bucket, as
 * Prometheus reckons it; beyond the last bucket its bound. 0 = none was measured. */
static inline uint64_t td_durations_quantile_us(const struct td_durations *durations,
                                                uint64_t per_mille)
{
    static const uint64_t bounds[TD_DURATION_BUCKETS] = TD_DURATION_BOUNDS;
    uint64_t total = 0;
    uint64_t below = 0;
    for (uint32_t i = 0; i <= TD_DURATION_BUCKETS; i++) {
        total += durations->counts[i];
    }
    const uint64_t rank = (total * per_mille + 999) / 1000;
    for (uint32_t i = 0; i < TD_DURATION_BUCKETS && total > 0; i++) {
        const uint64_t count = durations->counts[i];
        if (count > 0 && below + count >= rank) {
            const uint64_t lower = i == 0 ? 0 : bounds[i - 1];
            return lower + (bounds[i] - lower) * (rank - below) / count;
        }
        below += count;
    }
    return total == 0 ? 0 : bounds[TD_DURATION_BUCKETS - 1];
}

#endif
