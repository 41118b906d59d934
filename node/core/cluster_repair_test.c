/* cluster_repair_test.c -- what vectors do not show: a member that leaves deltas out, a table that
 * lost something, two statements under one number, a clone, a peer that sends more than it may. */
#include "node/core/cluster_test.h"
#include "node/core/cluster_world.h"

/* C takes A's deltas through B only, and B keeps one job to itself. */
static struct cluster *omitting(const char *job)
{
    struct cluster *cluster = started(3, 10);

    cluster_cut(cluster, 0, 2);
    cluster_run(cluster, 200);
    cluster_omit(cluster, 1, job);
    return cluster;
}

static void test_omission_makes_the_relay_doubtful_within_a_minute(void **state)
{
    (void)state;
    struct cluster *cluster = omitting("hidden");

    cluster_publish(cluster, 0, "shown", 1, TD_STATE_RUNNING);
    cluster_publish(cluster, 0, "hidden", 1, TD_STATE_COMPLETED);
    cluster_run(cluster, 60000);
    assert_int_equal(cluster_state(cluster, 2, "shown", 1), TD_STATE_RUNNING);
    assert_int_equal(cluster_state(cluster, 2, "hidden", 1), -1);
    /* A liar's claim can move our `has` up to what the origin signed; its digest gives it away. */
    assert_int_equal(cluster_trace_count(cluster, 2, TD_TR_DIGEST_DOUBT), 2);
    bool certain = true;
    assert_true(cluster_fresh(cluster, 2, 1, &certain).doubt); /* the relay */
    assert_true(cluster_fresh(cluster, 2, 0, &certain).doubt); /* and whose deltas it left out */
    assert_false(certain);
    cluster_free(cluster);
}

/* The direct path comes back: the hidden delta arrives, no doubt stays. */
static void test_what_a_relay_left_out_comes_by_another_way(void **state)
{
    (void)state;
    struct cluster *cluster = omitting("hidden");

    cluster_publish(cluster, 0, "hidden", 1, TD_STATE_COMPLETED);
    cluster_run(cluster, 20000);
    cluster_heal(cluster, 0, 2);
    struct seen seen = {2, "hidden", TD_STATE_COMPLETED};
    assert_true(cluster_run_until(cluster, 30000, sees, &seen));
    assert_true(cluster_i1_holds(cluster));
    cluster_free(cluster);
}

static void lose_register(struct td_core *core, const char *job)
{
    struct td_text text = {job, (uint32_t)strlen(job)};
    uint32_t reg = td_table_find(core, hash_bytes(1, job, text.count), text, 1);
    assert_int_not_equal(reg, TD_NONE);
    td_table_remove(core, reg);
}

/* The planted fault: a register is gone although the vector covers it. */
static void test_a_lost_register_is_repaired_whatever_the_vectors_say(void **state)
{
    (void)state;
    struct cluster *cluster = started(3, 10);

    for (unsigned i = 0; i < 20; i++) {
        char job[32];
        snprintf(job, sizeof job, "job-%u", i);
        cluster_publish(cluster, 0, job, 1, TD_STATE_RUNNING);
    }
    cluster_run(cluster, 100);
    assert_true(cluster_run_until(cluster, 2000, cluster_converged, NULL));
    lose_register(cluster_core(cluster, 2), "job-7");
    assert_false(cluster_converged(cluster, NULL));
    struct seen seen = {2, "job-7", TD_STATE_RUNNING};
    assert_true(cluster_run_until(cluster, 30000, sees, &seen));
    assert_true(cluster_run_until(cluster, 1000, cluster_converged, NULL));
    assert_true(cluster_counter(cluster, 2, TD_COUNTER_repaired) >= 1);
    assert_int_equal(cluster_trace_count(cluster, 2, TD_TR_DIGEST_DOUBT), 0);
    cluster_free(cluster);
}

/* Somebody whose digest differs at equal vectors and who cannot serve what he lists: doubt, and its
 * freshness is unknown; once the digests agree it is over. */
static void test_a_difference_that_repair_does_not_end_is_doubt(void **state)
{
    (void)state;
    struct cluster *cluster = started(2, 10);

    cluster_publish(cluster, 0, "kept", 1, TD_STATE_RUNNING);
    cluster_publish(cluster, 0, "lost", 1, TD_STATE_RUNNING);
    cluster_run(cluster, 100);
    assert_true(cluster_run_until(cluster, 2000, cluster_converged, NULL));
    cluster_omit(cluster, 0, "lost");
    lose_register(cluster_core(cluster, 1), "lost");
    cluster_run(cluster, 60000);
    assert_int_equal(cluster_trace_count(cluster, 1, TD_TR_DIGEST_DOUBT), 1);
    bool certain = true;
    struct td_fresh_view row = cluster_fresh(cluster, 1, 0, &certain);
    assert_true(row.doubt);
    assert_false(row.age_known);
    assert_false(certain);
    cluster_omit(cluster, 0, NULL);
    cluster_run(cluster, 60000);
    assert_int_equal(cluster_state(cluster, 1, "lost", 1), TD_STATE_RUNNING);
    assert_false(cluster_fresh(cluster, 1, 0, &certain).doubt);
    assert_int_equal(cluster_trace_count(cluster, 1, TD_TR_DIGEST_DOUBT), 2);
    cluster_free(cluster);
}

static void deliver(struct cluster *cluster, unsigned node, unsigned from, const struct td_msg *msg,
                    size_t payload_bytes)
{
    struct pair *pair = world_pair(cluster, node, from);
    struct td_event event = world_event(cluster, node, TD_EV_FRAME);
    event.u.frame.link.v = pair->link[node < from ? 0 : 1];
    event.u.frame.msg = msg;
    event.u.frame.payload_bytes = payload_bytes;
    world_step(cluster, node, &event);
}

static struct td_head head_of(unsigned region, uint64_t number, uint8_t mark)
{
    struct td_head head = {.origin = {{(uint8_t)region}, {900, 1}}, .number = number};
    head.hash[0] = mark;
    return head;
}

static void test_two_heads_under_one_number_are_equivocation_told_once(void **state)
{
    (void)state;
    struct cluster *cluster = started(3, 10);
    struct td_head heads[] = {head_of(2, 5, 1), head_of(2, 5, 1), head_of(2, 5, 2),
                              head_of(2, 5, 3)};
    static const size_t expected[] = {0, 0, 1, 1};

    for (size_t i = 0; i < 4; i++) {
        struct td_msg msg = {.type = TD_MSG_HEAD};
        msg.u.head = &heads[i];
        deliver(cluster, 0, 1, &msg, 0);
        assert_int_equal(cluster_trace_count(cluster, 0, TD_TR_EQUIVOCATION), expected[i]);
    }
    assert_true(
        cluster_core(cluster, 0)->regions[cluster_core(cluster, 0)->slot_of[2]].equivocated);
    cluster_free(cluster);
}

static void test_a_head_of_our_own_with_a_higher_start_is_a_clone(void **state)
{
    (void)state;
    struct cluster *cluster = started(3, 10);
    struct td_head head = head_of(1, 1, 1);
    struct td_msg msg = {.type = TD_MSG_HEAD};

    msg.u.head = &head;
    deliver(cluster, 0, 1, &msg, 0);
    assert_int_equal(cluster_trace_count(cluster, 0, TD_TR_CLONE), 1);
    cluster_run(cluster, 2000);
    cluster_publish(cluster, 0, "after", 1, TD_STATE_RUNNING);
    cluster_run(cluster, 2000);
    assert_true(td_core_process(cluster_core(cluster, 0)).start > 900); /* above whoever that is */
    assert_int_equal(cluster_state(cluster, 2, "after", 1), TD_STATE_RUNNING);
    cluster_free(cluster);
}

/* A member names what nobody signed: it silences nobody. */
static void test_overclaiming_changes_no_freshness_and_no_vector(void **state)
{
    (void)state;
    struct cluster *cluster = started(3, 10);
    cluster_publish(cluster, 0, "job", 1, TD_STATE_RUNNING);
    cluster_run(cluster, 100);
    assert_true(cluster_run_until(cluster, 2000, cluster_converged, NULL));
    struct td_vv has = td_core_has(cluster_core(cluster, 1));
    assert_int_equal(has.entry_count, 1);
    struct td_vv_entry lie = {has.entries[0].origin, TD_SEQ_MAX};
    struct td_head head = head_of(3, 5, 1);

    head.has = (struct td_vv){1, 0, &lie, NULL};
    struct td_msg msg = {.type = TD_MSG_HEAD};
    msg.u.head = &head;
    deliver(cluster, 1, 2, &msg, 0);
    cluster_run(cluster, 3000);
    struct td_fresh_view row = cluster_fresh(cluster, 1, 0, NULL);
    assert_true(row.age_known);
    assert_true(row.age_ms < 3000);
    assert_int_equal(row.missing, 0);
    has = td_core_has(cluster_core(cluster, 1));
    assert_int_equal(has.entries[0].seq, 1);
    cluster_free(cluster);
}

static void test_more_than_the_credit_ends_the_link(void **state)
{
    (void)state;
    struct cluster *cluster = started(2, 10);
    struct td_msg msg = {.type = TD_MSG_LIVE};

    deliver(cluster, 0, 1, &msg, 4 << 20);
    assert_int_equal(cluster_counter(cluster, 0, TD_COUNTER_credit_exceeded), 0);
    deliver(cluster, 0, 1, &msg, (4 << 20) + 1);
    assert_int_equal(cluster_counter(cluster, 0, TD_COUNTER_credit_exceeded), 1);
    assert_int_equal(cluster_trace_count(cluster, 0, TD_TR_CREDIT_EXCEEDED), 1);
    assert_false(world_pair(cluster, 0, 1)->up);
    cluster_free(cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_omission_makes_the_relay_doubtful_within_a_minute),
        cmocka_unit_test(test_what_a_relay_left_out_comes_by_another_way),
        cmocka_unit_test(test_a_lost_register_is_repaired_whatever_the_vectors_say),
        cmocka_unit_test(test_a_difference_that_repair_does_not_end_is_doubt),
        cmocka_unit_test(test_two_heads_under_one_number_are_equivocation_told_once),
        cmocka_unit_test(test_a_head_of_our_own_with_a_higher_start_is_a_clone),
        cmocka_unit_test(test_overclaiming_changes_no_freshness_and_no_vector),
        cmocka_unit_test(test_more_than_the_credit_ends_the_link),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
