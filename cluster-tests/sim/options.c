/* options.c -- see options.h. */
#include "cluster-tests/sim/options.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "cluster-tests/sim/random.h"

static const char *const names[SIM_FAULT_COUNT] = {
    "cut",       "cut-one",   "slow",      "break",     "kill",     "power",  "pause",  "disk-full",
    "disk-fail", "disk-slow", "disk-lost", "backup",    "bit-flip", "clone",  "clock",  "tamper",
    "shape",     "half-open", "reorder",   "duplicate", "drift",    "freeze", "memory", "leave",
};
static const char *const tricks[SIM_TRICK_COUNT] = {
    "has-lies",      "echo-lies",  "overclaim", "withhold-transfer",
    "withhold-live", "equivocate", "two-heads", "replay",
    "foreign",       "closed",     "stamps",    "far-seq",
};

const char *sim_fault_name(enum sim_fault fault)
{
    return names[fault];
}

const char *sim_trick_name(enum sim_trick trick)
{
    return tricks[trick];
}

static uint32_t draw_regions(struct sim_random *random)
{
    uint64_t dice = sim_random_below(random, 200);

    if (dice < 10) {
        return 2;
    }
    if (dice < 197) {
        return (uint32_t)sim_random_between(random, 3, dice < 150 ? 5 : 9);
    }
    return dice < 199 ? 16 : 30;
}

/* Half of the kinds on average; one world in eight is healthy: there delays have bounds. */
static uint32_t draw_faults(struct sim_random *random)
{
    uint32_t faults = (uint32_t)sim_random_next(random) & ((1u << SIM_FAULT_FIRST_COUNT) - 1);

    if (sim_random_chance(random, 60)) { /* the ruinous ones hide what the others do */
        faults &= ~SIM_FAULTS_RUINOUS;
    }
    return sim_random_chance(random, 12) ? 0 : faults;
}

/* From a stream of its own: half of the worlds have none of the later kinds. */
static uint32_t draw_later_faults(uint64_t seed)
{
    struct sim_random random = sim_random_new(seed, 11);
    uint32_t all = (1u << SIM_FAULT_DRAWN_COUNT) - (1u << SIM_FAULT_FIRST_COUNT);

    if (sim_random_chance(&random, 50)) {
        return 0;
    }
    return ((uint32_t)sim_random_next(&random) << SIM_FAULT_FIRST_COUNT) & all;
}

/* One world in twelve has a bad member, with one to all of the tricks. Not beside ruined disks:
 * what those do to a region nobody can tell from malice. And not beside refused writes: a node
 * cannot give away what it could not store, and another word for the same seqs is never asked for
 * again. */
static void draw_byz(struct sim_options *options)
{
    struct sim_random random = sim_random_new(options->seed, 12);

    if (sim_random_below(&random, 12) != 0 || options->regions < 3 || options->regions > 9 ||
        (options->faults & SIM_FAULTS_RUINOUS) != 0) {
        return;
    }
    options->faults &= ~(1u << SIM_FAULT_DISK_FULL | 1u << SIM_FAULT_DISK_FAIL);
    options->bad_region = (uint32_t)sim_random_between(&random, 1, options->regions);
    options->byz = 1u << sim_random_below(&random, SIM_TRICK_COUNT);
    if (sim_random_chance(&random, 50)) {
        options->byz |= (uint32_t)sim_random_next(&random) & ((1u << SIM_TRICK_COUNT) - 1);
    }
}

/* One world in forty has a region that leaves. Not beside ruined disks, whose regions lose things
 * anyway, nor beside a bad member. */
static void draw_leave(struct sim_options *options)
{
    struct sim_random random = sim_random_new(options->seed, 23);

    if (sim_random_below(&random, 40) == 0 && options->regions >= 3 && options->regions <= 9 &&
        options->faults != 0 && (options->faults & SIM_FAULTS_RUINOUS) == 0 &&
        options->bad_region == 0) {
        options->faults |= 1u << SIM_FAULT_LEAVE;
    }
}

enum { DELIVERIES_MAX = 150000 };

/* One world in four keeps the plain life. */
static void draw_lives(struct sim_options *options)
{
    struct sim_random random = sim_random_new(options->seed, 16);

    options->lives = sim_random_chance(&random, 75);
    if (options->lives == 0) {
        return;
    }
    options->skew = (uint32_t)sim_random_below(&random, 4);
    options->children =
        sim_random_chance(&random, 50) ? (uint32_t)sim_random_between(&random, 1, 8) : 0;
    options->rivals = (uint32_t)sim_random_below(&random, 40);
    options->retries = (uint32_t)sim_random_below(&random, 80);
    options->silent = (uint32_t)sim_random_below(&random, 20);
    options->burst_gap_ms =
        sim_random_chance(&random, 50) ? (uint32_t)sim_random_between(&random, 3000, 15000) : 0;
    /* A few large and busy worlds would take most of a run's time: they are kept, but rare. */
    uint64_t workers = (uint64_t)options->regions * options->workers_per_region;
    uint64_t pairs = (uint64_t)options->regions * (options->regions - 1);
    uint64_t busy_ms = workers * pairs * options->fault_ms / DELIVERIES_MAX;
    if (options->gap_ms < busy_ms && !sim_random_chance(&random, 10)) {
        options->gap_ms = (uint32_t)busy_ms;
    }
}

/* Real cryptography costs real time: one world in fifty, and a small one. */
static void draw_wire(struct sim_options *options)
{
    struct sim_random random = sim_random_new(options->seed, 18);

    if (sim_random_below(&random, 50) == 0) {
        options->wire = 1;
        options->regions = options->regions < 5 ? options->regions : 5;
        options->fault_ms = options->fault_ms < 20000 ? options->fault_ms : 20000;
        options->workers_per_region =
            options->workers_per_region < 2 ? options->workers_per_region : 2;
    }
}

/* One world in four: small segments, so that much of them dies while it runs. */
static void draw_compaction(struct sim_options *options)
{
    struct sim_random random = sim_random_new(options->seed, 19);

    if (sim_random_chance(&random, 25)) {
        options->compact_ms = (uint32_t)sim_random_between(&random, 50, 3000);
        options->segment_bytes = (uint32_t)sim_random_between(&random, 2, 40) * 1024;
    }
}

struct sim_options sim_options_draw(uint64_t seed)
{
    struct sim_random random = sim_random_new(seed, 1);
    struct sim_options options = {.seed = seed, .settle_ms = 120000};

    options.regions = draw_regions(&random);
    options.fault_ms = (uint32_t)sim_random_between(&random, 20000, 90000);
    options.delay_ms_min = (uint32_t)sim_random_between(&random, 1, 20);
    options.delay_ms_max = options.delay_ms_min + (uint32_t)sim_random_between(&random, 0, 200);
    options.jitter_ms = (uint32_t)sim_random_below(&random, 20);
    options.flush_ms_min = (uint32_t)sim_random_between(&random, 1, 4);
    options.flush_ms_max = options.flush_ms_min + (uint32_t)sim_random_between(&random, 0, 30);
    options.workers_per_region = (uint32_t)sim_random_between(&random, 1, 6);
    options.gap_ms = (uint32_t)sim_random_between(&random, 20, 800);
    options.jobs =
        (uint32_t)sim_random_between(&random, 3, sim_random_chance(&random, 50) ? 30 : 600);
    options.ring_batches = (uint32_t)sim_random_between(&random, 4, 128);
    options.segment_bytes = (uint32_t)sim_random_between(&random, 8, 200) * 1024;
    options.ack_percent = (uint32_t)sim_random_below(&random, 60);
    options.fault_gap_ms = (uint32_t)sim_random_between(&random, 400, 8000);
    options.faults_max = UINT32_MAX;
    options.faults = draw_faults(&random);
    if (options.regions > 9) { /* what grows with the square of the regions costs real time */
        options.fault_ms = 20000;
        options.workers_per_region = 1;
    }
    if (options.faults != 0) { /* the healthy worlds stay healthy */
        options.faults |= draw_later_faults(seed);
    }
    struct sim_random rare = sim_random_new(seed, 13);
    options.forged_percent =
        sim_random_chance(&rare, 25) ? (uint32_t)sim_random_between(&rare, 1, 50) : 0;
    options.absence_s =
        sim_random_chance(&rare, 10) ? (uint32_t)sim_random_between(&rare, 5, 20) : 7 * 86400;
    draw_lives(&options);
    draw_wire(&options); /* may make it smaller */
    draw_byz(&options);
    draw_leave(&options);
    draw_compaction(&options);
    return options;
}

static const struct {
    const char *name;
    size_t offset;
} fields[] = {
#define FIELD(name)                                                                                \
    {                                                                                              \
#name, offsetof(struct sim_options, name)                                                  \
    }
    FIELD(regions),
    FIELD(fault_ms),
    FIELD(settle_ms),
    FIELD(delay_ms_min),
    FIELD(delay_ms_max),
    FIELD(jitter_ms),
    FIELD(flush_ms_min),
    FIELD(flush_ms_max),
    FIELD(jobs),
    FIELD(gap_ms),
    FIELD(workers_per_region),
    FIELD(reports_max),
    FIELD(ring_batches),
    FIELD(live_updates_max),
    FIELD(segment_bytes),
    FIELD(compact_ms),
    FIELD(ack_percent),
    FIELD(fault_gap_ms),
    FIELD(faults_max),
    FIELD(bad_region),
    FIELD(forged_percent),
    FIELD(absence_s),
    FIELD(wire),
    FIELD(lives),
    FIELD(skew),
    FIELD(children),
    FIELD(rivals),
    FIELD(retries),
    FIELD(silent),
    FIELD(burst_gap_ms),
#undef FIELD
};
enum { FIELD_COUNT = sizeof fields / sizeof fields[0] };

static uint32_t *field(struct sim_options *options, size_t index)
{
    return (uint32_t *)(void *)((uint8_t *)options + fields[index].offset);
}

static void print_bits(FILE *file, const char *what, uint32_t bits, const char *const *list,
                       int count)
{
    const char *comma = "";

    fprintf(file, " %s=%s", what, bits == 0 ? "none" : "");
    for (int i = 0; i < count; i++) {
        if ((bits >> i & 1) != 0) {
            fprintf(file, "%s%s", comma, list[i]);
            comma = ",";
        }
    }
}

void sim_options_print(const struct sim_options *options, FILE *file)
{
    struct sim_options copy = *options;

    fprintf(file, "seed=%llu", (unsigned long long)options->seed);
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        fprintf(file, " %s=%u", fields[i].name, *field(&copy, i));
    }
    if (options->trace != NULL) {
        fprintf(file, " trace=%s", options->trace);
    }
    print_bits(file, "faults", options->faults, names, SIM_FAULT_COUNT);
    print_bits(file, "byz", options->byz, tricks, SIM_TRICK_COUNT);
    fputc('\n', file);
}

static bool set_bits(uint32_t *bits, const char *text, const char *const *list, int list_count)
{
    *bits = 0;
    while (*text != '\0' && strcmp(text, "none") != 0) {
        size_t count = strcspn(text, ",");
        int found = -1;
        for (int i = 0; i < list_count; i++) {
            if (strlen(list[i]) == count && memcmp(list[i], text, count) == 0) {
                found = i;
            }
        }
        if (found < 0) {
            return false;
        }
        *bits |= 1u << found;
        text += count + (text[count] == ',');
    }
    return true;
}

bool sim_options_set(struct sim_options *options, const char *text)
{
    size_t count = strcspn(text, "=");

    if (text[count] != '=') {
        return false;
    }
    if (strcmp(text, "without=ruin") == 0) {
        options->faults &= ~SIM_FAULTS_RUINOUS;
        return true;
    }
    if (count == 6 && memcmp(text, "faults", count) == 0) {
        return set_bits(&options->faults, text + count + 1, names, SIM_FAULT_COUNT);
    }
    if (count == 3 && memcmp(text, "byz", count) == 0) {
        bool good = set_bits(&options->byz, text + count + 1, tricks, SIM_TRICK_COUNT);
        if (options->byz == 0) {
            options->bad_region = 0;
        } else if (options->bad_region == 0) {
            options->bad_region = 1;
        }
        return good;
    }
    if (strncmp(text, "trace=", 6) == 0) {
        options->trace = text + 6;
        return true;
    }
    if (strcmp(text, "lives=0") == 0) {
        options->lives = options->skew = options->children = options->rivals = 0;
        options->retries = options->silent = options->burst_gap_ms = 0;
        return true;
    }
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        if (strlen(fields[i].name) == count && memcmp(fields[i].name, text, count) == 0) {
            char *end = NULL;
            *field(options, i) = (uint32_t)strtoul(text + count + 1, &end, 10);
            return *end == '\0' && end != text + count + 1;
        }
    }
    return false;
}
