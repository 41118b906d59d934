/* cluster_source_test.c -- from whom deltas are taken when paths are long: a second source at once,
 * a change of source only when the first one is silent for long, nothing of both because of a path
 * that is only slow. */
#include "node/core/cluster_test.h"

enum { RELAY_MS = 30, FLUSH_MS = 3, AFTER_MS = 25 };

/* 0 and 1 are far apart, 2 lies between them. */
static struct cluster *far_apart(uint32_t direct_ms)
{
    struct cluster *cluster = started(3, RELAY_MS);
    cluster_delay(cluster, 0, 1, direct_ms);
    cluster_run(cluster, 8000); /* heartbeats measure it */
    return cluster;
}

static void publish(struct cluster *cluster, unsigned number, unsigned reports)
{
    for (unsigned i = 0; i < reports; i++) {
        char name[32];
        snprintf(name, sizeof name, "job-%u", number + i);
        assert_true(cluster_publish(cluster, 0, name, 1, TD_STATE_RUNNING));
        cluster_run(cluster, 20);
    }
}

static uint64_t counted(struct cluster *cluster, enum td_counter_id id)
{
    return cluster_counter(cluster, 1, id);
}

/* The relay's word comes after two delays and two flushes; one lag and a round trip later so do the
 * deltas. */
static void test_silent_path_is_gone_round_before_it_is_given_up(void **state)
{
    (void)state;
    struct cluster *cluster = far_apart(150);
    uint64_t changes = counted(cluster, TD_COUNTER_source_changes);

    cluster_stall(cluster, 0, 1, true);
    assert_true(cluster_publish(cluster, 0, "job-1", 1, TD_STATE_RUNNING));
    struct seen seen = {1, "job-1", TD_STATE_RUNNING};
    uint64_t begun_ms = cluster_now_ms(cluster);
    assert_true(cluster_run_until(cluster, 1000, sees, &seen));
    assert_true(cluster_now_ms(cluster) - begun_ms <= 4 * RELAY_MS + 2 * FLUSH_MS + AFTER_MS + 5);
    assert_int_equal(counted(cluster, TD_COUNTER_source_trials), 1);
    assert_int_equal(counted(cluster, TD_COUNTER_source_changes), changes);

    cluster_run(cluster, 1000); /* four round trips of the path to it have passed */
    assert_int_equal(counted(cluster, TD_COUNTER_source_changes), changes + 1);
    assert_int_equal(cluster_fresh(cluster, 1, 0, NULL).via.v, 3);
    publish(cluster, 100, 20);
    cluster_run(cluster, 100);
    assert_int_equal(counted(cluster, TD_COUNTER_source_trials), 1);
    assert_int_equal(counted(cluster, TD_COUNTER_live_batches_received), 21); /* each once */

    cluster_stall(cluster, 0, 1, false);
    assert_true(cluster_run_until(cluster, 15000, cluster_converged, NULL));
    cluster_run(cluster, 8000);
    assert_int_equal(cluster_fresh(cluster, 1, 0, NULL).via.v, 0);
    cluster_free(cluster);
}

/* A relay that is always ahead of a slow path: tried a few times, then it is known how late it is.
 */
static void test_slow_path_is_not_left(void **state)
{
    (void)state;
    struct cluster *cluster = far_apart(200);
    uint64_t changes = counted(cluster, TD_COUNTER_source_changes);

    publish(cluster, 0, 300);
    uint64_t batches = counted(cluster, TD_COUNTER_live_batches_received);
    assert_in_range(counted(cluster, TD_COUNTER_source_trials), 1, 20);
    assert_true(batches <= 450);
    publish(cluster, 300, 1500);
    cluster_run(cluster, 1000);
    batches = counted(cluster, TD_COUNTER_live_batches_received) - batches;
    assert_true(batches >= 1500 && batches <= 1650);
    assert_int_equal(counted(cluster, TD_COUNTER_source_changes), changes);
    assert_true(cluster_converged(cluster, NULL));
    cluster_free(cluster);
}

/* What is on the way from both is here twice, and no more than that. */
static void test_trial_brings_at_most_a_second_copy(void **state)
{
    (void)state;
    struct cluster *cluster = far_apart(150);
    uint64_t changes = counted(cluster, TD_COUNTER_source_changes);

    cluster_stall(cluster, 0, 1, true);
    publish(cluster, 0, 10); /* 200 ms: the relay was asked, the bound has not passed */
    assert_int_equal(counted(cluster, TD_COUNTER_source_trials), 1);
    cluster_stall(cluster, 0, 1, false);
    publish(cluster, 10, 40);
    cluster_run(cluster, 2000);
    assert_in_range(counted(cluster, TD_COUNTER_source_trials), 1, 9);
    assert_int_equal(counted(cluster, TD_COUNTER_source_changes), changes);
    uint64_t batches = counted(cluster, TD_COUNTER_live_batches_received);
    assert_true(batches > 50 && batches <= 100);
    assert_true(cluster_converged(cluster, NULL));
    cluster_free(cluster);
}

/* The second source ends, or the first: the other one stays, and nothing waits for a verdict. */
static void test_either_of_the_two_may_end(void **state)
{
    (void)state;
    for (unsigned gone = 0; gone <= 2; gone += 2) {
        struct cluster *cluster = far_apart(150);
        cluster_stall(cluster, 0, 1, true);
        publish(cluster, 0, 10);
        assert_int_equal(counted(cluster, TD_COUNTER_source_trials), 1);
        cluster_cut(cluster, 1, gone);
        cluster_run(cluster, 10);
        assert_int_equal(cluster_fresh(cluster, 1, 0, NULL).via.v, gone == 0 ? 3 : 0);
        cluster_stall(cluster, 0, 1, false);
        publish(cluster, 10, 10);
        assert_true(cluster_run_until(cluster, 5000, cluster_converged, NULL));
        cluster_free(cluster);
    }
}

/* On the way back to the direct path nothing is later than on the longer of the two. */
static void test_going_back_holds_nothing_up(void **state)
{
    (void)state;
    enum { DIRECT_MS = 150, STEP_MS = 20, BEFORE = 50, AFTER = 500 };
    struct cluster *cluster = far_apart(DIRECT_MS);
    unsigned shown = BEFORE;

    cluster_stall(cluster, 0, 1, true);
    publish(cluster, 0, BEFORE);
    cluster_run(cluster, 100);
    assert_int_equal(cluster_fresh(cluster, 1, 0, NULL).via.v, 3);
    cluster_stall(cluster, 0, 1, false);
    for (unsigned published = BEFORE; published < BEFORE + AFTER; published++) {
        publish(cluster, published, 1);
        for (bool here = true; here && shown <= published; shown += here) {
            char name[32];
            snprintf(name, sizeof name, "job-%u", shown);
            here = cluster_state(cluster, 1, name, 1) == TD_STATE_RUNNING;
        }
        assert_true((published + 1 - shown) * STEP_MS <= DIRECT_MS + FLUSH_MS + STEP_MS);
    }
    assert_int_equal(cluster_fresh(cluster, 1, 0, NULL).via.v, 0);
    cluster_free(cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_silent_path_is_gone_round_before_it_is_given_up),
        cmocka_unit_test(test_slow_path_is_not_left),
        cmocka_unit_test(test_trial_brings_at_most_a_second_copy),
        cmocka_unit_test(test_either_of_the_two_may_end),
        cmocka_unit_test(test_going_back_holds_nothing_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
