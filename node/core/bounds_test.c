/* bounds_test.c -- one step has a bounded list of effects and bounded scratch memory, tables have a
 * last place: what does not fit waits for the next step or is refused by name, and nothing is
 * answered wrongly. */
#include "node/core/replica_peer.h"

static int setup(void **state)
{
    const struct td_core_limits limits = {
        .registers_max = 8192,
        .bytes_max = 4 * 1024 * 1024,
        .links_max = 8,
        .requests_max = 8000,
        .pending_deltas_max = 512,
        .batches_max = 8192,
        .ring_batches = 32,
        .change_ring = 256,
    };
    struct replica *replica = replica_new((struct replica_options){.regions = 3, .limits = limits});
    replica_start(replica);
    *state = replica;
    return 0;
}

static int teardown(void **state)
{
    struct replica *replica = *state;
    replica_settle(replica);
    assert_true(td_core_check(replica->core));
    replica_free(replica);
    return 0;
}

/* ---- many answers in one step ---- */

/* A reader that has seen the report with this number of region 2 elsewhere. */
static uint64_t read_after(struct replica *replica, const char *job, uint64_t seq)
{
    struct td_vv_entry entry = {replica_peer_origin(2), seq};
    struct td_request get = {.op = TD_OP_GET, .timeout_ms = 5000};

    get.after = (struct td_vv){.entry_count = 1, .entries = &entry};
    get.u.get.job = test_text(job);
    get.u.get.job_hash = test_job_hash(job);
    return replica_request(replica, &get);
}

/* One report arrives for which hundreds of readers wait: each is shown it. */
static void test_readers_woken_together_all_get_their_register(void **state)
{
    enum { READERS = 500 };
    struct replica *replica = *state;
    uint64_t ids[READERS];

    for (unsigned i = 0; i < READERS; ++i) {
        ids[i] = read_after(replica, "p2-1", 1);
        assert_null(replica_reply(replica, ids[i]));
    }
    assert_true(replica_receive(replica, replica_peer_batch(replica, 2, 1, 1), TD_LANE_LIVE));
    replica_settle(replica);
    for (unsigned ticks = 0; ticks < READERS && replica_reply(replica, ids[READERS - 1]) == NULL;
         ++ticks) {
        replica_tick(replica, 0);
    }
    for (unsigned i = 0; i < READERS; ++i) {
        const struct replica_reply *reply = replica_reply(replica, ids[i]);
        assert_non_null(reply);
        assert_int_equal(reply->err, TD_OK);
        if (reply->count != 1) {
            fail_msg("reader %u of %u was shown %u registers", i, READERS, reply->count);
        }
    }
}

/* Thousands follow the same prefix: one change reaches all of them without another one behind it.
 */
static void test_watchers_woken_together_all_get_the_change(void **state)
{
    enum { WATCHERS = 7500 };
    struct replica *replica = *state;
    struct td_request watch = {.op = TD_OP_WATCH, .timeout_ms = 60000};
    uint64_t ids[WATCHERS];

    watch.u.watch.cursor = UINT64_MAX;
    watch.u.watch.process = td_core_process(replica->core);
    for (unsigned i = 0; i < WATCHERS; ++i) {
        ids[i] = replica_request(replica, &watch);
    }
    const struct td_update update = test_update("one", 1, TD_STATE_RUNNING);
    const uint64_t own = replica_publish(replica, &update, 1, 0, 1000);
    replica_settle(replica);
    assert_null(replica_reply(replica, ids[WATCHERS - 1])); /* more than one step can answer */
    replica_tick(replica, 0);
    assert_non_null(replica_reply(replica, own));
    for (unsigned i = 0; i < WATCHERS; ++i) {
        const struct replica_reply *reply = replica_reply(replica, ids[i]);
        if (reply == NULL || reply->count != 1) {
            fail_msg("watcher %u of %u saw nothing", i, WATCHERS);
        }
    }
}

/* The same with as much as a list's answer can hold, so that a step has room for some of them only. */
static void test_large_answers_are_spread_over_steps_and_stay_whole(void **state)
{
    enum { JOBS = 1200, READERS = 600 };
    struct replica *replica = *state;
    struct td_vv_entry entry = {replica_peer_origin(2), JOBS};
    struct td_request list = {.op = TD_OP_LIST, .timeout_ms = 5000};
    uint64_t ids[READERS];

    list.after = (struct td_vv){.entry_count = 1, .entries = &entry};
    for (unsigned i = 0; i < READERS; ++i) {
        ids[i] = replica_request(replica, &list);
    }
    assert_true(replica_receive(replica, replica_peer_batch(replica, 2, 1, JOBS), TD_LANE_LIVE));
    replica_settle(replica);
    assert_null(replica_reply(replica, ids[READERS - 1]));
    for (unsigned ticks = 0; ticks < READERS; ++ticks) {
        replica_tick(replica, 0);
    }
    for (unsigned i = 0; i < READERS; ++i) {
        const struct replica_reply *reply = replica_reply(replica, ids[i]);
        assert_non_null(reply);
        assert_true(reply->count > 100);
        assert_int_equal(reply->next_cursor, reply->count);
    }
}

/* As many time-outs at one moment as a step has no effects for. */
static void test_time_outs_of_one_moment_are_all_answered(void **state)
{
    enum { READERS = 7800 };
    struct replica *replica = *state;

    for (unsigned i = 0; i < READERS; ++i) {
        (void)read_after(replica, "never", 1);
    }
    replica_tick(replica, 5000);
    assert_true(replica->reply_count < READERS);
    replica_tick(replica, 0);
    assert_int_equal(replica->reply_count, READERS);
    for (unsigned i = 0; i < READERS; ++i) {
        assert_int_equal(replica->replies[i].err, TD_ETIMEOUT);
    }
    assert_int_equal(replica_counter(replica, TD_COUNTER_requests_timed_out), READERS);
}

static void test_publishes_that_time_out_together_are_all_answered(void **state)
{
    enum { WRITERS = 400 };
    struct replica *replica = *state;
    struct td_update update = test_update("slow", 1, TD_STATE_RUNNING);

    for (unsigned i = 0; i < WRITERS; ++i) {
        update.status.progress = (uint16_t)i;
        update.status.progress_known = true;
        (void)replica_publish(replica, &update, 1, 0, 100);
    }
    const uint32_t before = replica->reply_count;
    replica_tick(replica, 100); /* the disk has not answered */
    for (unsigned i = before; i < replica->reply_count; ++i) {
        assert_int_equal(replica->replies[i].err, TD_ETIMEOUT);
    }
    assert_int_equal(replica->reply_count, before + WRITERS);
    replica_settle(replica);
    assert_int_equal(replica->reply_count, before + WRITERS); /* each once */
    assert_int_equal(replica_state(replica, "slow", 1), TD_STATE_RUNNING);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_readers_woken_together_all_get_their_register, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_watchers_woken_together_all_get_the_change, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_large_answers_are_spread_over_steps_and_stay_whole,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_time_outs_of_one_moment_are_all_answered, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_publishes_that_time_out_together_are_all_answered,
                                        setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
