/* cluster_test.h -- what the stories about clusters have in common. */
#ifndef TD_CORE_CLUSTER_TEST_H
#define TD_CORE_CLUSTER_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "node/core/cluster_harness.h"

struct seen {
    unsigned node;
    const char *job;
    int state;
};

static inline bool sees(struct cluster *cluster, void *argument)
{
    const struct seen *seen = argument;
    return cluster_state(cluster, seen->node, seen->job, 1) == seen->state;
}

/* No node that is up is recovering. */
static inline bool recovered(struct cluster *cluster, void *unused)
{
    (void)unused;
    for (unsigned i = 0; i < CLUSTER_NODES_MAX; i++) {
        const struct td_core *core = cluster_core(cluster, i);
        if (core != NULL && core->recovering) {
            return false;
        }
    }
    return true;
}

/* A cluster that has settled: all links up, nobody recovering. */
static inline struct cluster *started(unsigned nodes, uint32_t delay_ms)
{
    struct cluster *cluster = cluster_new(
        (struct cluster_options){.nodes = nodes, .seed = 1, .delay_ms = delay_ms, .flush_ms = 3});
    cluster_start(cluster);
    assert_true(cluster_run_until(cluster, 5000, recovered, NULL));
    cluster_run(cluster, 1500);
    return cluster;
}

#endif
