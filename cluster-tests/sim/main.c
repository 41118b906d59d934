/* main.c -- tidings-sim: one seed with its trace, many seeds with progress, or a failing seed made
 * smaller. Each seed runs in a child process: an assertion that fails is a finding like any other.
 */
#include <stdlib.h>
#include <string.h>

#include "cluster-tests/sim/scenario.h"
#include "cluster-tests/sim/swarm.h"

enum { SCENARIOS_MAX = 256 };

static int usage(void)
{
    fputs("usage: tidings-sim --seed N [--trace] [--shrink] [name=value ...]\n"
          "       tidings-sim --seeds A..B [--jobs N] [--time SECONDS] [name=value ...]\n"
          "       tidings-sim --replay seeds.txt\n"
          "       tidings-sim --scenario FILE ... [--rewrite] [--trace]\n"
          "       (planted build) --plant NAME with any of these\n",
          stderr);
    return 2;
}

static bool take_range(const char *text, struct sim_swarm *swarm)
{
    char *end = NULL;

    swarm->first = strtoull(text, &end, 10);
    if (strncmp(end, "..", 2) != 0) {
        return false;
    }
    swarm->last = strtoull(end + 2, &end, 10);
    return *end == '\0' && swarm->last >= swarm->first;
}

/* --scenario FILE ... [--rewrite] [--trace] */
static int run_scenarios(int argc, char **argv)
{
    const char *paths[SCENARIOS_MAX];
    size_t count = 0;
    bool rewrite = false, aloud = false;

    for (int i = 2; i < argc; i++) {
        if (strcmp(argv[i], "--rewrite") == 0) {
            rewrite = true;
        } else if (strcmp(argv[i], "--trace") == 0) {
            aloud = true;
        } else if (argv[i][0] == '-' || count == SCENARIOS_MAX) {
            return usage();
        } else {
            paths[count++] = argv[i];
        }
    }
    return sim_scenarios_run(paths, count, rewrite, aloud);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--scenario") == 0) {
        return run_scenarios(argc, argv);
    }
    struct sim_swarm swarm = {.jobs = 1};

    for (int i = 1; i < argc; i++) {
        const char *next = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(argv[i], "--trace") == 0) {
            swarm.trace = true;
        } else if (strcmp(argv[i], "--shrink") == 0) {
            swarm.shrink = true;
        } else if (strcmp(argv[i], "--quiet") == 0) {
            swarm.quiet = true;
        } else if (strchr(argv[i], '=') != NULL && swarm.override_count < SIM_OVERRIDES_MAX) {
            swarm.overrides[swarm.override_count++] = argv[i];
        } else if (next == NULL) {
            return usage();
        } else if (strcmp(argv[i], "--seed") == 0) {
            swarm.first = swarm.last = strtoull(argv[++i], NULL, 10);
            swarm.single = true;
        } else if (strcmp(argv[i], "--seeds") == 0) {
            if (!take_range(argv[++i], &swarm)) {
                return usage();
            }
        } else if (strcmp(argv[i], "--jobs") == 0) {
            swarm.jobs = (uint32_t)strtoul(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--time") == 0) {
            swarm.time_s = (uint32_t)strtoul(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--replay") == 0) {
            swarm.replay = argv[++i];
        } else if (strcmp(argv[i], "--plant") == 0) {
            swarm.plant = argv[++i];
        } else {
            return usage();
        }
    }
    if (!swarm.single && swarm.last == 0 && swarm.replay == NULL) {
        return usage();
    }
    return sim_swarm_run(&swarm);
}
