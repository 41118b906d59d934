/* histogram.c -- bucket arithmetic of the log-linear histogram. */
#include "node/cli/histogram.h"

#include "proto/assert.h"

enum { STEP_BITS = 6 };

static unsigned bucket_of(uint64_t value)
{
    if (value < 2 * TD_HISTOGRAM_STEPS) {
        return (unsigned)value;
    }
    unsigned top = 63u - (unsigned)__builtin_clzll(value);
    unsigned shift = top - STEP_BITS;
    unsigned bucket = shift * TD_HISTOGRAM_STEPS + (unsigned)(value >> shift);
    return bucket < TD_HISTOGRAM_BUCKETS ? bucket : TD_HISTOGRAM_BUCKETS - 1;
}

/* Largest value that falls into the bucket. */
static uint64_t bucket_top(unsigned bucket)
{
    if (bucket < 2 * TD_HISTOGRAM_STEPS) {
        return bucket;
    }
    unsigned shift = bucket / TD_HISTOGRAM_STEPS - 1;
    uint64_t step = bucket - shift * TD_HISTOGRAM_STEPS;
    return ((step + 1) << shift) - 1;
}

void td_histogram_add(struct td_histogram *self, uint64_t value, uint64_t times)
{
    self->buckets[bucket_of(value)] += times;
    self->count += times;
    if (value > self->max) {
        self->max = value;
    }
}

uint64_t td_histogram_at(const struct td_histogram *self, unsigned per_mille)
{
    TD_ASSERT(per_mille <= 1000);
    /* Rank of the wanted value, 1-based, rounded up: p99 of 10 values is the tenth. */
    uint64_t rank = (self->count * per_mille + 999) / 1000;
    uint64_t seen = 0;

    if (self->count == 0) {
        return 0;
    }
    for (unsigned i = 0; i < TD_HISTOGRAM_BUCKETS; i++) {
        seen += self->buckets[i];
        if (seen >= rank && seen > 0) {
            uint64_t top = bucket_top(i);
            return top < self->max && i < TD_HISTOGRAM_BUCKETS - 1 ? top : self->max;
        }
    }
    return self->max;
}
