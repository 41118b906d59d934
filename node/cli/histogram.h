/* histogram.h -- latencies in constant memory: log-linear buckets, 64 steps per doubling, so a
 * reported percentile is at most 1.6 % above the true one. After HdrHistogram (Tene). */
#ifndef TD_CLI_HISTOGRAM_H
#define TD_CLI_HISTOGRAM_H

#include <stdint.h>

enum { TD_HISTOGRAM_STEPS = 64, TD_HISTOGRAM_BUCKETS = 64 * 40 };

/* Zeroed = empty. Not thread-safe. */
struct td_histogram {
    uint64_t count;
    uint64_t max;
    uint64_t buckets[TD_HISTOGRAM_BUCKETS];
};

/* Values beyond the range (2^45) are counted in the last bucket; max stays exact. */
void td_histogram_add(struct td_histogram *self, uint64_t value, uint64_t times);
/* Upper bound of the bucket that holds the value of this rank, never above max; 0 when empty.
 * per_mille: 500 = median, 999 = p99.9. */
uint64_t td_histogram_at(const struct td_histogram *self, unsigned per_mille);

#endif
