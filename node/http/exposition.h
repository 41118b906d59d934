/* exposition.h -- the Prometheus text format, version 0.0.4: families, samples, histograms. */
#ifndef TD_HTTP_EXPOSITION_H
#define TD_HTTP_EXPOSITION_H

#include "proto/buffer.h"
#include "proto/durations.h"

/* Up to four names and values; a name NULL ends them. */
enum { TD_LABELS_OF_METRIC = 4 };
struct td_labels {
    struct {
        const char *name;
        struct td_text value;
    } pairs[TD_LABELS_OF_METRIC];
};
/* One and two; texts are borrowed. */
struct td_labels td_label(const char *name, struct td_text value);
struct td_labels td_label_word(const char *name, const char *word);
struct td_labels td_label_add(struct td_labels labels, const char *name, const char *word);

/* # HELP and # TYPE. Names without the prefix `tidings_`, unless they begin with `process_`. */
void td_expo_family(struct td_buffer *out, const char *name, const char *type, const char *help);
void td_expo_uint(struct td_buffer *out, const char *name, const struct td_labels *labels,
                  uint64_t value);
/* NaN: what was not measured is not a number, and above all not 0. */
void td_expo_unknown(struct td_buffer *out, const char *name, const struct td_labels *labels);
/* In seconds, given in milliseconds or microseconds. */
void td_expo_ms(struct td_buffer *out, const char *name, const struct td_labels *labels,
                int64_t ms);
void td_expo_us(struct td_buffer *out, const char *name, const struct td_labels *labels,
                uint64_t us);
/* _bucket, _sum and _count of one histogram. */
void td_expo_durations(struct td_buffer *out, const char *name, const struct td_labels *labels,
                       const struct td_durations *durations);
/* One that nothing was counted in yet, in its shortest form: three lines that are there from the
 * start. */
void td_expo_durations_none(struct td_buffer *out, const char *name,
                            const struct td_labels *labels);

#endif
