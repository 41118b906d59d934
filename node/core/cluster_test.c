/* cluster_test.c -- stories of several replicas: what a region publishes reaches everybody, through
 * a cut, a partition, a restart, a lost disk. Virtual time; each failure repeats with its seed. */
#include "node/core/cluster_test.h"

static void test_publish_is_seen_by_all(void **state)
{
    (void)state;
    struct cluster *cluster = started(3, 10);

    assert_true(cluster_publish(cluster, 0, "job-1", 1, TD_STATE_RUNNING));
    cluster_run(cluster, 30); /* flush and one way */
    assert_int_equal(cluster_state(cluster, 0, "job-1", 1), TD_STATE_RUNNING);
    assert_int_equal(cluster_state(cluster, 1, "job-1", 1), TD_STATE_RUNNING);
    assert_int_equal(cluster_state(cluster, 2, "job-1", 1), TD_STATE_RUNNING);
    assert_int_equal(cluster_ack_count(cluster), 1);
    assert_true(cluster_run_until(cluster, 1000, cluster_converged, NULL));
    assert_true(cluster_i1_holds(cluster));
    /* Each payload crosses to a node once. */
    assert_int_equal(cluster_counter(cluster, 1, TD_COUNTER_live_batches_received), 1);
    assert_int_equal(cluster_counter(cluster, 2, TD_COUNTER_live_batches_received), 1);
    cluster_free(cluster);
}

static void test_cut_between_two_goes_through_the_third(void **state)
{
    (void)state;
    struct cluster *cluster = started(3, 10);

    cluster_cut(cluster, 0, 1);
    cluster_run(cluster, 100);
    cluster_publish(cluster, 0, "job-1", 1, TD_STATE_COMPLETED);
    struct seen seen = {1, "job-1", TD_STATE_COMPLETED};
    assert_true(cluster_run_until(cluster, 200, sees, &seen));
    struct td_fresh_view row = cluster_fresh(cluster, 1, 0, NULL);
    assert_int_equal(row.via.v, 3);
    cluster_free(cluster);
}

/* What `by` says in its newest head at node `at` of its way to `about`: the relay, 0 = none at all,
 * -1 = a direct link. */
static int way_of(struct cluster *cluster, unsigned at, uint8_t by, uint8_t about)
{
    const struct td_core *core = cluster_core(cluster, at);
    const struct td_region_info *region = &core->regions[core->slot_of[by]];

    assert_true(region->detours_said);
    for (uint32_t i = 0; i < region->detour_count; i++) {
        if (region->detours[i].region.v == about) {
            return region->detours[i].via.v;
        }
    }
    return -1;
}

static void test_the_third_is_told_of_a_cut_between_the_others(void **state)
{
    (void)state;
    struct cluster *cluster = started(3, 10);

    cluster_run(cluster, 3000);
    assert_int_equal(way_of(cluster, 2, 1, 2), -1);
    assert_int_equal(way_of(cluster, 2, 2, 1), -1);
    cluster_cut(cluster, 0, 1);
    cluster_run(cluster, 3000);
    assert_int_equal(way_of(cluster, 2, 1, 2), 3);
    assert_int_equal(way_of(cluster, 2, 2, 1), 3);
    assert_int_equal(way_of(cluster, 2, 1, 3), -1);
    cluster_heal(cluster, 0, 1);
    cluster_run(cluster, 15000);
    assert_int_equal(way_of(cluster, 2, 1, 2), -1);
    cluster_free(cluster);
}

/* The cut that nobody is told of: what C already shows reaches B within the lag bound. */
static void test_stalled_path_is_left_when_another_is_ahead(void **state)
{
    (void)state;
    struct cluster *cluster = started(3, 10);

    cluster_stall(cluster, 0, 1, true);
    cluster_publish(cluster, 0, "job-1", 1, TD_STATE_COMPLETED);
    struct seen seen = {1, "job-1", TD_STATE_COMPLETED};
    assert_true(cluster_run_until(cluster, 100, sees, &seen));
    cluster_run(cluster, 100);
    assert_true(cluster_counter(cluster, 1, TD_COUNTER_source_changes) >= 1);
    cluster_stall(cluster, 0, 1, false);
    cluster_run(cluster, 15000);
    assert_int_equal(cluster_fresh(cluster, 1, 0, NULL).via.v, 0); /* and back when it keeps up */
    cluster_free(cluster);
}

/* Of two relays that have it the nearer one is taken, whatever order they were linked in. */
static void test_a_stalled_path_is_left_for_the_nearest_relay(void **state)
{
    (void)state;
    for (unsigned near = 2; near <= 3; near++) {
        struct cluster *cluster = started(4, 10);
        cluster_delay(cluster, 1, 5 - near, 40);
        cluster_run(cluster, 3000);
        cluster_stall(cluster, 0, 1, true);
        cluster_publish(cluster, 0, "job-1", 1, TD_STATE_COMPLETED);
        struct seen seen = {1, "job-1", TD_STATE_COMPLETED};
        assert_true(cluster_run_until(cluster, 200, sees, &seen));
        cluster_run(cluster, 100); /* tried at first */
        assert_int_equal(cluster_fresh(cluster, 1, 0, NULL).via.v, near + 1);
        cluster_free(cluster);
    }
}

static void publish_many(struct cluster *cluster, unsigned node, unsigned jobs, unsigned rounds)
{
    for (unsigned round = 0; round < rounds; round++) {
        for (unsigned job = 0; job < jobs; job++) {
            char name[32];
            snprintf(name, sizeof name, "n%u-%u", node, job);
            cluster_publish(cluster, node, name, 1,
                            round % 2 == 0 ? TD_STATE_RUNNING : TD_STATE_STOPPING);
            cluster_run(cluster, 7);
        }
    }
}

static void test_heal_moves_the_newest_only(void **state)
{
    (void)state;
    struct cluster *cluster = started(3, 10);

    cluster_cut(cluster, 0, 1);
    cluster_cut(cluster, 0, 2);
    publish_many(cluster, 0, 5, 40); /* 200 deltas, 5 registers; the ring holds 64 batches */
    publish_many(cluster, 1, 3, 2);
    assert_int_equal(cluster_state(cluster, 1, "n0-0", 1), -1);
    cluster_heal(cluster, 0, 1);
    cluster_heal(cluster, 0, 2);
    assert_true(cluster_run_until(cluster, 5000, cluster_converged, NULL));
    assert_int_equal(cluster_state(cluster, 1, "n0-4", 1), TD_STATE_STOPPING);
    assert_true(cluster_i1_holds(cluster));
    assert_true(cluster_counter(cluster, 1, TD_COUNTER_transfers_done) >= 1);
    assert_true(cluster_counter(cluster, 1, TD_COUNTER_applied) < 60);
    cluster_free(cluster);
}

static void test_late_joiner_gets_everything(void **state)
{
    (void)state;
    struct cluster *cluster = started(3, 10);

    cluster_crash(cluster, 2);
    cluster_lose_disk(cluster, 2);
    publish_many(cluster, 0, 30, 4);
    publish_many(cluster, 1, 30, 4);
    cluster_restart(cluster, 2);
    assert_true(cluster_run_until(cluster, 8000, cluster_converged, NULL));
    assert_int_equal(cluster_state(cluster, 2, "n1-29", 1), TD_STATE_STOPPING);
    assert_true(cluster_i1_holds(cluster));
    cluster_free(cluster);
}

static void test_restart_is_a_catch_up_from_oneself(void **state)
{
    (void)state;
    struct cluster *cluster = started(3, 10);

    publish_many(cluster, 0, 10, 2);
    cluster_run(cluster, 2000);
    cluster_crash(cluster, 0);
    cluster_restart(cluster, 0);
    assert_int_equal(cluster_state(cluster, 0, "n0-9", 1), TD_STATE_STOPPING);
    cluster_run(cluster, 100); /* its new incarnation is in the log */
    cluster_publish(cluster, 0, "n0-9", 1, TD_STATE_COMPLETED);
    struct seen seen = {2, "n0-9", TD_STATE_COMPLETED};
    assert_true(cluster_run_until(cluster, 5000, sees, &seen));
    assert_true(cluster_run_until(cluster, 5000, cluster_converged, NULL));
    assert_int_equal(cluster_state(cluster, 2, "n0-9", 1), TD_STATE_COMPLETED);
    assert_true(cluster_i1_holds(cluster));
    assert_false(cluster_core(cluster, 0)->recovering);
    cluster_free(cluster);
}

static void test_lost_disk_gets_its_own_deltas_back(void **state)
{
    (void)state;
    struct cluster *cluster = started(3, 10);

    publish_many(cluster, 0, 10, 2);
    cluster_run(cluster, 3000);
    cluster_crash(cluster, 0);
    cluster_lose_disk(cluster, 0);
    cluster_restart(cluster, 0);
    assert_true(cluster_core(cluster, 0)->recovering);
    assert_true(cluster_run_until(cluster, 15000, recovered, NULL));
    assert_int_equal(cluster_state(cluster, 0, "n0-9", 1), TD_STATE_STOPPING);
    cluster_publish(cluster, 0, "n0-9", 1, TD_STATE_COMPLETED);
    assert_true(cluster_run_until(cluster, 5000, cluster_converged, NULL));
    assert_true(cluster_i1_holds(cluster));
    cluster_free(cluster);
}

static void test_old_backup_is_named_and_loses_nothing(void **state)
{
    (void)state;
    struct cluster *cluster = started(3, 10);

    publish_many(cluster, 0, 10, 1);
    size_t backup = cluster_log_count(cluster, 0);
    publish_many(cluster, 0, 10, 2);
    cluster_run(cluster, 3000);
    cluster_crash(cluster, 0);
    cluster_roll_back(cluster, 0, backup);
    cluster_restart(cluster, 0);
    cluster_run(cluster, 2000);
    cluster_publish(cluster, 0, "other", 1, TD_STATE_RUNNING);
    struct seen seen = {2, "other", TD_STATE_RUNNING};
    assert_true(cluster_run_until(cluster, 5000, sees, &seen));
    assert_true(cluster_run_until(cluster, 15000, cluster_converged, NULL));
    assert_true(cluster_i1_holds(cluster));
    assert_true(cluster_trace_count(cluster, 0, TD_TR_ROLLED_BACK) >= 1);
    assert_int_equal(cluster_state(cluster, 0, "n0-9", 1), TD_STATE_STOPPING);
    cluster_free(cluster);
}

static void test_failed_flush_loses_nothing_acknowledged(void **state)
{
    (void)state;
    struct cluster *cluster = started(3, 10);

    publish_many(cluster, 0, 5, 1);
    cluster_fail_flushes(cluster, 1, 3);
    cluster_fail_flushes(cluster, 0, 1);
    publish_many(cluster, 0, 5, 4);
    cluster_run(cluster, 3000);
    publish_many(cluster, 0, 5, 2);
    assert_true(cluster_run_until(cluster, 15000, cluster_converged, NULL));
    assert_true(cluster_i1_holds(cluster));
    cluster_free(cluster);
}

/* B misses more of A than C's ring holds, and only C is left to ask. */
static void test_relay_that_is_not_whole_is_completed_by_a_transfer(void **state)
{
    (void)state;
    struct cluster *cluster = started(3, 10);

    cluster_cut(cluster, 0, 1);
    cluster_cut(cluster, 1, 2);
    publish_many(cluster, 0, 10, 20);
    cluster_heal(cluster, 1, 2);
    assert_true(cluster_run_until(cluster, 5000, cluster_converged, NULL));
    assert_true(cluster_counter(cluster, 1, TD_COUNTER_not_whole) >= 1);
    assert_true(cluster_i1_holds(cluster));
    cluster_free(cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_publish_is_seen_by_all),
        cmocka_unit_test(test_cut_between_two_goes_through_the_third),
        cmocka_unit_test(test_the_third_is_told_of_a_cut_between_the_others),
        cmocka_unit_test(test_stalled_path_is_left_when_another_is_ahead),
        cmocka_unit_test(test_a_stalled_path_is_left_for_the_nearest_relay),
        cmocka_unit_test(test_heal_moves_the_newest_only),
        cmocka_unit_test(test_late_joiner_gets_everything),
        cmocka_unit_test(test_restart_is_a_catch_up_from_oneself),
        cmocka_unit_test(test_lost_disk_gets_its_own_deltas_back),
        cmocka_unit_test(test_old_backup_is_named_and_loses_nothing),
        cmocka_unit_test(test_failed_flush_loses_nothing_acknowledged),
        cmocka_unit_test(test_relay_that_is_not_whole_is_completed_by_a_transfer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
