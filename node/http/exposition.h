/* exposition.h -- the Prometheus text format, version 0.0.4: families, samples, histograms. */
#ifndef TD_HTTP_EXPOSITION_H
#define TD_HTTP_EXPOSITION_H

#include "proto/buffer.h"
#include "proto/durations.h"

/* A label set is up to two names and values; name NULL ends it. */
struct td_labels {
    const char *name_a;
    struct td_text value_a;
    const char *name_b;
    struct td_text value_b;
};

/* # HELP and # TYPE. Names without the prefix `tidings_`, unless they begin with `process_`. */
void td_expo_family(struct td_buffer *out, const char *name, const char *type, const char *help);
void td_expo_uint(struct td_buffer *out, const char *name, const struct td_labels *labels,
                  uint64_t value);
/* In seconds, given in milliseconds or microseconds. */
void td_expo_ms(struct td_buffer *out, const char *name, const struct td_labels *labels,
                int64_t ms);
void td_expo_us(struct td_buffer *out, const char *name, const struct td_labels *labels,
                uint64_t us);
/* _bucket, _sum and _count of one histogram. */
void td_expo_durations(struct td_buffer *out, const char *name, const struct td_labels *labels,
                       const struct td_durations *durations);

#endif
