/* cluster_fresh_test.c -- freshness is an upper bound of the true age, needs no synchronised
 * clocks, says "unknown" rather than "now", and every crossing is told once. */
#include "node/core/cluster_test.h"

static struct cluster *started_stale(uint64_t stale_ms)
{
    struct cluster *cluster = cluster_new((struct cluster_options){
        .nodes = 3, .seed = 3, .delay_ms = 20, .flush_ms = 3, .stale_ms = stale_ms});
    cluster_start(cluster);
    assert_true(cluster_run_until(cluster, 5000, recovered, NULL));
    cluster_run(cluster, 3000);
    return cluster;
}

static void test_idle_age_is_bounded_and_certain(void **state)
{
    (void)state;
    struct cluster *cluster = started_stale(30000);

    for (unsigned i = 0; i < 40; i++) {
        bool certain = false;
        cluster_run(cluster, 97);
        struct td_fresh_view row = cluster_fresh(cluster, 0, 1, &certain);
        assert_true(row.age_known);
        assert_true(row.age_ms >= 20); /* the echo's way back alone takes so long */
        assert_true(row.age_ms <= 40 + 2100);
        assert_true(certain);
        assert_int_equal(row.missing, 0);
    }
    cluster_free(cluster);
}

static void test_nothing_is_known_before_the_first_echo(void **state)
{
    (void)state;
    struct cluster *cluster =
        cluster_new((struct cluster_options){.nodes = 3, .seed = 3, .delay_ms = 20, .flush_ms = 3});
    bool certain = true;

    cluster_start(cluster);
    cluster_run(cluster, 30);
    assert_false(cluster_fresh(cluster, 0, 1, &certain).age_known);
    assert_false(certain);
    cluster_free(cluster);
}

/* The true age: everything A published before this moment is at B. Skewed clocks change nothing. */
static void test_age_is_never_smaller_than_the_truth(void **state)
{
    (void)state;
    struct cluster *cluster = started_stale(30000);
    char job[32];
    uint64_t published_ms[400] = {0};

    cluster_skew(cluster, 1, 3600 * 1000);
    for (unsigned i = 0; i < 400; i++) {
        if (i == 150) {
            cluster_cut(cluster, 0, 1);
            cluster_cut(cluster, 1, 2);
        } else if (i == 250) {
            cluster_heal(cluster, 1, 2);
        }
        snprintf(job, sizeof job, "job-%u", i);
        cluster_publish(cluster, 0, job, 1, TD_STATE_RUNNING);
        published_ms[i] = cluster_now_ms(cluster);
        cluster_run(cluster, 31);
        struct td_fresh_view row = cluster_fresh(cluster, 1, 0, NULL);
        if (!row.age_known) {
            continue;
        }
        for (unsigned k = 0; k <= i; k++) {
            snprintf(job, sizeof job, "job-%u", k);
            bool here = cluster_state(cluster, 1, job, 1) >= 0;
            /* flush_ms: what was handed in but not acknowledged is not published yet. */
            bool promised = published_ms[k] + 3 + row.age_ms < cluster_now_ms(cluster);
            if (promised && !here) {
                fail_msg("%s of %llu ms is missing at age %llu", job,
                         (unsigned long long)published_ms[k], (unsigned long long)row.age_ms);
            }
        }
    }
    assert_true(cluster_fresh(cluster, 1, 0, NULL).age_known);
    cluster_free(cluster);
}

static void test_a_cut_ages_and_each_crossing_is_traced_once(void **state)
{
    (void)state;
    struct cluster *cluster = started_stale(5000);
    bool certain = true;

    cluster_cut(cluster, 0, 1);
    cluster_cut(cluster, 0, 2);
    cluster_run(cluster, 12000);
    struct td_fresh_view row = cluster_fresh(cluster, 0, 1, &certain);
    assert_true(row.age_known);
    assert_true(row.age_ms >= 12000);
    assert_false(certain);
    assert_int_equal(cluster_trace_count(cluster, 0, TD_TR_STALE),
                     2); /* one for each of the others */
    cluster_heal(cluster, 0, 1);
    cluster_heal(cluster, 0, 2);
    cluster_run(cluster, 5000);
    row = cluster_fresh(cluster, 0, 1, &certain);
    assert_true(row.age_ms < 2500);
    assert_true(certain);
    assert_int_equal(cluster_trace_count(cluster, 0, TD_TR_STALE), 4);
    assert_int_equal(cluster_trace_last(cluster, 0, TD_TR_STALE)->a, 0);
    cluster_free(cluster);
}

static void test_a_jump_between_the_clocks_drops_all_moments(void **state)
{
    (void)state;
    struct cluster *cluster = started_stale(30000);

    assert_true(cluster_fresh(cluster, 0, 1, NULL).age_known);
    cluster_skew(cluster, 0, 5000);
    assert_false(cluster_fresh(cluster, 0, 1, NULL).age_known);
    cluster_run(cluster, 3000);
    assert_true(cluster_fresh(cluster, 0, 1, NULL).age_known); /* until the next echo */
    cluster_free(cluster);
}

static void test_nothing_of_freshness_survives_a_restart(void **state)
{
    (void)state;
    struct cluster *cluster = started_stale(30000);

    cluster_cut(cluster, 0, 1);
    cluster_cut(cluster, 0, 2);
    cluster_crash(cluster, 0);
    cluster_restart(cluster, 0);
    cluster_run(cluster, 2000);
    assert_false(cluster_fresh(cluster, 0, 1, NULL).age_known);
    cluster_free(cluster);
}

static void test_link_states_are_traced_once_per_change(void **state)
{
    (void)state;
    struct cluster *cluster = started_stale(30000);

    assert_int_equal(cluster_trace_count(cluster, 0, TD_TR_LINK_STATE), 2); /* both came up */
    cluster_stall(cluster, 0, 1, true);
    cluster_run(cluster, 5000);
    assert_int_equal(cluster_trace_count(cluster, 0, TD_TR_LINK_STATE), 3);
    assert_int_equal(cluster_trace_last(cluster, 0, TD_TR_LINK_STATE)->a, TD_LINK_LATE);
    cluster_stall(cluster, 0, 1, false);
    cluster_run(cluster, 3000);
    assert_int_equal(cluster_trace_last(cluster, 0, TD_TR_LINK_STATE)->a, TD_LINK_UP);
    cluster_cut(cluster, 0, 1);
    cluster_run(cluster, 3000);
    assert_int_equal(cluster_trace_last(cluster, 0, TD_TR_LINK_STATE)->a, TD_LINK_DOWN);
    assert_int_equal(cluster_trace_count(cluster, 0, TD_TR_LINK_STATE), 5);
    cluster_free(cluster);
}

/* Closed incarnations leave the vectors once all members hold them, however often a region
 * restarts. */
static void test_closed_incarnations_are_folded_below_the_cut(void **state)
{
    (void)state;
    struct cluster *cluster = started_stale(30000);

    for (unsigned i = 0; i < 5; i++) {
        char job[32];
        snprintf(job, sizeof job, "life-%u", i);
        cluster_publish(cluster, 0, job, 1, TD_STATE_RUNNING);
        cluster_run(cluster, 1500);
        cluster_crash(cluster, 0);
        cluster_restart(cluster, 0);
        cluster_run(cluster, 1500);
    }
    cluster_run(cluster, 15000);
    for (unsigned node = 0; node < 3; node++) {
        struct td_vv has = td_core_has(cluster_core(cluster, node));
        assert_int_equal(has.entry_count, 0);
        assert_int_equal(has.fold_count, 1);
        assert_int_equal(cluster_state(cluster, node, "life-0", 1), TD_STATE_RUNNING);
    }
    assert_true(cluster_i1_holds(cluster));
    cluster_free(cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_idle_age_is_bounded_and_certain),
        cmocka_unit_test(test_nothing_is_known_before_the_first_echo),
        cmocka_unit_test(test_age_is_never_smaller_than_the_truth),
        cmocka_unit_test(test_a_cut_ages_and_each_crossing_is_traced_once),
        cmocka_unit_test(test_a_jump_between_the_clocks_drops_all_moments),
        cmocka_unit_test(test_nothing_of_freshness_survives_a_restart),
        cmocka_unit_test(test_link_states_are_traced_once_per_change),
        cmocka_unit_test(test_closed_incarnations_are_folded_below_the_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
