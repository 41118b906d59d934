/* cluster_random_test.c -- random histories: publishes, cuts, silent stalls, crashes and failed
 * flushes, then everything heals. I1 holds at all times, afterwards all converge within a bound,
 * and one seed gives one history. TD_SEED and TD_RUNS choose others. */
#include "node/core/cluster_test.h"

#include <stdlib.h>

#include "node/core/cluster_wire.h"

struct run {
    struct cluster *cluster;
    unsigned nodes;
    bool down[CLUSTER_NODES_MAX];
};

static uint64_t number_of(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text == NULL ? otherwise : strtoull(text, NULL, 10);
}

static void publish(struct run *run)
{
    static const enum td_state states[] = {TD_STATE_PENDING, TD_STATE_RUNNING,   TD_STATE_STOPPING,
                                           TD_STATE_LOST,    TD_STATE_COMPLETED, TD_STATE_FAILED};
    char job[32];
    uint64_t which = cluster_random(run->cluster, 12);
    snprintf(job, sizeof job, "job-%u", (unsigned)which);
    uint64_t state = cluster_random(run->cluster, 20);
    (void)cluster_publish(run->cluster, (unsigned)cluster_random(run->cluster, run->nodes), job,
                          (uint16_t)(1 + cluster_random(run->cluster, 6)),
                          states[state < 6 ? state : 1 + state % 2]);
}

static void fault(struct run *run)
{
    struct cluster *cluster = run->cluster;
    unsigned a = (unsigned)cluster_random(cluster, run->nodes);
    unsigned b = (a + 1 + (unsigned)cluster_random(cluster, run->nodes - 1)) % run->nodes;

    switch (cluster_random(cluster, 8)) {
    case 0:
    case 1:
        cluster_cut(cluster, a, b);
        break;
    case 2:
    case 3:
        cluster_heal(cluster, a, b);
        break;
    case 4:
        cluster_stall(cluster, a, b, cluster_random(cluster, 2) == 0);
        break;
    case 5:
        if (run->down[a]) {
            cluster_restart(cluster, a);
        } else {
            cluster_crash(cluster, a);
        }
        run->down[a] = !run->down[a];
        break;
    case 6:
        cluster_fail_flushes(cluster, a, 1 + (unsigned)cluster_random(cluster, 2));
        break;
    default:
        cluster_delay(cluster, a, b, 1 + (uint32_t)cluster_random(cluster, 120));
        break;
    }
}

static void heal_all(struct run *run)
{
    for (unsigned a = 0; a < run->nodes; a++) {
        cluster_fail_flushes(run->cluster, a, 0);
        if (run->down[a]) {
            cluster_restart(run->cluster, a);
            run->down[a] = false;
        }
        for (unsigned b = a + 1; b < run->nodes; b++) {
            cluster_heal(run->cluster, a, b);
        }
    }
}

static uint64_t digest_of(struct cluster *cluster)
{
    const struct td_core *core = cluster_core(cluster, 0);
    return hash_bytes(cluster_steps(cluster), core->digest, sizeof core->digest);
}

static uint64_t history(uint64_t seed)
{
    struct run run = {.nodes = 2 + (unsigned)(seed % 4)};
    run.cluster = cluster_new((struct cluster_options){.nodes = run.nodes,
                                                       .seed = seed,
                                                       .delay_ms = 1 + (uint32_t)(seed % 60),
                                                       .flush_ms = 1 + (uint32_t)(seed % 7),
                                                       .ring_batches = 4 + (uint32_t)(seed % 40)});
    cluster_start(run.cluster);
    uint64_t steps = 100 + cluster_random(run.cluster, 300);
    for (uint64_t i = 0; i < steps; i++) {
        if (cluster_random(run.cluster, 8) == 0) {
            fault(&run);
        } else {
            publish(&run);
        }
        cluster_run(run.cluster, cluster_random(run.cluster, 40) == 0
                                     ? cluster_random(run.cluster, 3000)
                                     : cluster_random(run.cluster, 25));
        if (!cluster_i1_holds(run.cluster)) {
            fail_msg("I1 broken, seed %llu, step %llu", (unsigned long long)seed,
                     (unsigned long long)i);
        }
    }
    heal_all(&run);
    if (!cluster_run_until(run.cluster, 60000, cluster_converged, NULL)) {
        fail_msg("no convergence, seed %llu", (unsigned long long)seed);
    }
    if (!cluster_i1_holds(run.cluster)) {
        fail_msg("I1 broken at the end, seed %llu", (unsigned long long)seed);
    }
    uint64_t digest = digest_of(run.cluster);
    cluster_free(run.cluster);
    return digest;
}

static void test_acknowledged_is_never_lost_and_all_converge(void **state)
{
    (void)state;
    uint64_t seed = number_of("TD_SEED", 1), runs = number_of("TD_RUNS", 40);
    for (uint64_t i = 0; i < runs; i++) {
        (void)history(seed + i);
    }
}

static void test_one_seed_is_one_history(void **state)
{
    (void)state;
    assert_true(history(7) == history(7));
    assert_true(history(8) == history(8));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_acknowledged_is_never_lost_and_all_converge),
        cmocka_unit_test(test_one_seed_is_one_history),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
