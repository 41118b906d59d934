/* exposition.c -- see exposition.h. A text cut short by its buffer's bound is noticed by the
 * caller, who compares used_bytes with the bound. */
#include "node/http/exposition.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "proto/assert.h"

__attribute__((format(printf, 2, 3))) static void print(struct td_buffer *out, const char *format,
                                                        ...)
{
    char text[1024];
    va_list list;
    va_start(list, format);
    int count = vsnprintf(text, sizeof text, format, list);
    va_end(list);
    if (count > 0) {
        size_t used = (size_t)count < sizeof text ? (size_t)count : sizeof text - 1;
        bool fits = td_buffer_append(out, (struct td_bytes){(const uint8_t *)text, used});
        (void)fits; /* the caller looks at the bound, once */
    }
}

static const char *prefix(const char *name)
{
    return strncmp(name, "process_", 8) == 0 ? "" : "tidings_";
}

void td_expo_family(struct td_buffer *out, const char *name, const char *type, const char *help)
{
    print(out, "# HELP %s%s %s\n# TYPE %s%s %s\n", prefix(name), name, help, prefix(name), name,
          type);
}

/* Backslash, quote and line feed are escaped; values come from the roster and may hold anything. */
static void print_value(struct td_buffer *out, const char *name, struct td_text value)
{
    print(out, "%s=\"", name);
    for (uint32_t i = 0; i < value.count; i++) {
        char c = value.bytes[i];
        if (c == '\\' || c == '"') {
            print(out, "\\%c", c);
        } else if (c == '\n') {
            print(out, "\\n");
        } else {
            print(out, "%c", c);
        }
    }
    print(out, "\"");
}

struct td_labels td_label(const char *name, struct td_text value)
{
    struct td_labels labels = {0};
    labels.pairs[0].name = name;
    labels.pairs[0].value = value;
    return labels;
}

struct td_labels td_label_word(const char *name, const char *word)
{
    return td_label(name, (struct td_text){word, (uint32_t)strlen(word)});
}

struct td_labels td_label_add(struct td_labels labels, const char *name, const char *word)
{
    size_t at = 0;
    while (labels.pairs[at].name != NULL) {
        at++;
        TD_ASSERT(at < TD_LABELS_OF_METRIC);
    }
    labels.pairs[at].name = name;
    labels.pairs[at].value = (struct td_text){word, (uint32_t)strlen(word)};
    return labels;
}

static void print_labels(struct td_buffer *out, const struct td_labels *labels, const char *le)
{
    bool any = false;
    for (size_t i = 0; labels != NULL && i < TD_LABELS_OF_METRIC && labels->pairs[i].name != NULL;
         i++) {
        print(out, any ? "," : "{");
        print_value(out, labels->pairs[i].name, labels->pairs[i].value);
        any = true;
    }
    if (le != NULL) {
        print(out, "%sle=\"%s\"", any ? "," : "{", le);
        any = true;
    }
    print(out, any ? "} " : " ");
}

void td_expo_unknown(struct td_buffer *out, const char *name, const struct td_labels *labels)
{
    print(out, "%s%s", prefix(name), name);
    print_labels(out, labels, NULL);
    print(out, "NaN\n");
}

void td_expo_uint(struct td_buffer *out, const char *name, const struct td_labels *labels,
                  uint64_t value)
{
    print(out, "%s%s", prefix(name), name);
    print_labels(out, labels, NULL);
    print(out, "%" PRIu64 "\n", value);
}

void td_expo_ms(struct td_buffer *out, const char *name, const struct td_labels *labels, int64_t ms)
{
    print(out, "%s%s", prefix(name), name);
    print_labels(out, labels, NULL);
    uint64_t size = ms < 0 ? (uint64_t)-ms : (uint64_t)ms;
    print(out, "%s%" PRIu64 ".%03u\n", ms < 0 ? "-" : "", size / 1000, (unsigned)(size % 1000));
}

void td_expo_us(struct td_buffer *out, const char *name, const struct td_labels *labels,
                uint64_t us)
{
    print(out, "%s%s", prefix(name), name);
    print_labels(out, labels, NULL);
    print(out, "%" PRIu64 ".%06u\n", us / 1000000, (unsigned)(us % 1000000));
}

static void print_bucket(struct td_buffer *out, const char *name, const struct td_labels *labels,
                         const char *le, uint64_t count)
{
    print(out, "%s%s_bucket", prefix(name), name);
    print_labels(out, labels, le);
    print(out, "%" PRIu64 "\n", count);
}

static void print_totals(struct td_buffer *out, const char *name, const struct td_labels *labels,
                         uint64_t sum_us, uint64_t count)
{
    print_bucket(out, name, labels, "+Inf", count);
    print(out, "%s%s_sum", prefix(name), name);
    print_labels(out, labels, NULL);
    print(out, "%" PRIu64 ".%06u\n", sum_us / 1000000, (unsigned)(sum_us % 1000000));
    print(out, "%s%s_count", prefix(name), name);
    print_labels(out, labels, NULL);
    print(out, "%" PRIu64 "\n", count);
}

void td_expo_durations(struct td_buffer *out, const char *name, const struct td_labels *labels,
                       const struct td_durations *durations)
{
    static const uint64_t bounds[TD_DURATION_BUCKETS] = TD_DURATION_BOUNDS;
    uint64_t below = 0;
    for (uint32_t i = 0; i < TD_DURATION_BUCKETS; i++) {
        char le[32];
        below += durations->counts[i];
        (void)snprintf(le, sizeof le, "%g", (double)bounds[i] / 1e6);
        print_bucket(out, name, labels, le, below);
    }
    print_totals(out, name, labels, durations->sum_us,
                 below + durations->counts[TD_DURATION_BUCKETS]);
}

void td_expo_durations_none(struct td_buffer *out, const char *name, const struct td_labels *labels)
{
    print_totals(out, name, labels, 0, 0);
}
