/* shrink.c -- makes a failing world smaller: one thing less at a time, kept while the same checker
 * still complains. */
#include "cluster-tests/sim/swarm.h"

#include <string.h>

static bool still(const struct sim_options *options, const char *checker)
{
    struct sim_result result = sim_run_one(options, false);
    return !result.passed && strcmp(result.checker, checker) == 0;
}

/* Tries a value below the present one; halves the way until nothing smaller fails. */
static bool lower(struct sim_options *options, uint32_t *field, uint32_t least, const char *checker)
{
    uint32_t low = least, high = *field;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        uint32_t before = *field;
        *field = middle;
        if (still(options, checker)) {
            high = middle;
        } else {
            *field = before;
            low = middle + 1;
        }
    }
    bool less = *field != high;
    *field = high;
    return less;
}

static void drop_faults(struct sim_options *options, const char *checker)
{
    for (uint32_t kind = 0; kind < SIM_FAULT_COUNT; kind++) {
        uint32_t before = options->faults;
        options->faults &= ~(1u << kind);
        if (before != options->faults && !still(options, checker)) {
            options->faults = before;
        }
    }
}

void sim_shrink(const struct sim_options *start)
{
    struct sim_options options = *start;
    struct sim_result first = sim_run_one(&options, false);
    uint32_t *const fields[] = {&options.regions, &options.fault_ms, &options.workers_per_region,
                                &options.faults_max, &options.jobs, &options.jitter_ms,
                                &options.wire, &options.children, &options.rivals, &options.retries,
                                &options.silent, &options.burst_gap_ms, &options.skew};
    static const uint32_t least[] = {2, 1000, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0};

    if (first.passed) {
        printf("seed %llu passes: nothing to make smaller\n", (unsigned long long)start->seed);
        return;
    }
    printf("fails %s: %s\n", first.checker, first.failure);
    if (options.faults_max > 4096) {
        options.faults_max = 4096;
    }
    options.reports_max = options.reports_max == 0 ? 1 << 20 : options.reports_max;
    for (int round = 0; round < 2; round++) {
        drop_faults(&options, first.checker);
        for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
            (void)lower(&options, fields[i], least[i], first.checker);
        }
        (void)lower(&options, &options.reports_max, 1, first.checker);
    }
    first = sim_run_one(&options, false);
    printf("smallest found: %s: %s\n", first.checker, first.failure);
    sim_options_print(&options, stdout);
}
