/* query_test.c -- lists in pages, watches that miss nothing, explanations and tokens of reads. */
#include "node/core/replica_harness.h"

static void publish_many(struct replica *replica, const char *prefix, unsigned count)
{
    for (unsigned i = 0; i < count; ++i) {
        char job[24];
        (void)snprintf(job, sizeof job, "%s%u", prefix, i);
        struct td_update update =
            test_update(job, 1, i % 2 == 0 ? TD_STATE_RUNNING : TD_STATE_COMPLETED);
        (void)replica_publish(replica, &update, 1, 0, 1000);
        if (i % 100 == 99) {
            replica_settle(replica);
        }
    }
    replica_settle(replica);
}

static void test_list_pages_show_every_job_once(void **state)
{
    struct replica *replica = *state;
    publish_many(replica, "a/", 300);
    publish_many(replica, "b/", 300);
    (void)replica_publish_one(replica,
                              test_update("a/0", 2, TD_STATE_RUNNING)); /* a newer attempt */
    unsigned shown = 0, pages = 0;
    struct td_request list = {.op = TD_OP_LIST};
    list.u.list.filter.prefix = test_text("a/");
    list.u.list.limit = 7;
    do {
        const struct replica_reply *reply = replica_reply(replica, replica_request(replica, &list));
        assert_true(reply->count <= 7);
        for (uint32_t i = 0; i < reply->count; ++i) {
            assert_memory_equal(reply->views[i].job.bytes, "a/", 2);
        }
        shown += reply->count;
        pages += 1;
        list.u.list.cursor = reply->next_cursor;
    } while (list.u.list.cursor != 0);
    assert_int_equal(shown, 300);
    assert_true(pages >= 300 / 7);
    list.u.list.limit = 1000;
    list.u.list.filter.states = 1u << TD_STATE_COMPLETED;
    shown = pages = 0;
    do { /* an answer that shows many looks at few: a slice takes the core the same time */
        const struct replica_reply *reply = replica_reply(replica, replica_request(replica, &list));
        assert_true(reply->count <= 125);
        shown += reply->count;
        pages += 1;
        list.u.list.cursor = reply->next_cursor;
    } while (list.u.list.cursor != 0);
    assert_int_equal(shown, 150);
    assert_int_equal(pages, 2);
}

static void test_get_gives_all_attempts_highest_first(void **state)
{
    struct replica *replica = *state;
    for (uint16_t attempt = 3; attempt > 0; --attempt) {
        (void)replica_publish_one(replica, test_update("g", attempt, TD_STATE_FAILED));
    }
    struct td_request get = {.op = TD_OP_GET};
    get.u.get.job = test_text("g");
    get.u.get.job_hash = test_job_hash("g");
    get.u.get.all_attempts = true;
    const struct replica_reply *reply = replica_reply(replica, replica_request(replica, &get));
    assert_int_equal(reply->count, 3);
    assert_int_equal(reply->views[0].attempt, 3);
    assert_int_equal(reply->views[2].attempt, 1);
    get.u.get.job_hash = test_job_hash("none");
    get.u.get.job = test_text("none");
    assert_int_equal(replica_reply(replica, replica_request(replica, &get))->err, TD_EUNKNOWN);
}

static void test_watch_waits_and_gives_changes_in_order(void **state)
{
    struct replica *replica = *state;
    struct td_request watch = {.op = TD_OP_WATCH, .timeout_ms = 1000};
    watch.u.watch.cursor = UINT64_MAX;
    watch.u.watch.process = td_core_process(replica->core);
    watch.u.watch.filter.prefix = test_text("w");
    const uint64_t id = replica_request(replica, &watch);
    assert_null(replica_reply(replica, id));
    (void)replica_publish_one(replica, test_update("other", 1, TD_STATE_RUNNING));
    assert_null(replica_reply(replica, id));
    (void)replica_publish_one(replica, test_update("w1", 1, TD_STATE_RUNNING));
    const struct replica_reply *reply = replica_reply(replica, id);
    assert_non_null(reply);
    assert_int_equal(reply->count, 1);
    assert_false(reply->reset);
    watch.u.watch.cursor = reply->next_cursor;
    (void)replica_publish_one(replica, test_update("w2", 1, TD_STATE_RUNNING));
    (void)replica_publish_one(replica, test_update("w3", 1, TD_STATE_RUNNING));
    reply = replica_reply(replica, replica_request(replica, &watch));
    assert_int_equal(reply->count, 2);
    assert_true(reply->views[0].arrival < reply->views[1].arrival);
    watch.u.watch.cursor = reply->next_cursor;
    const uint64_t quiet = replica_request(replica, &watch);
    replica_tick(replica, 1000);
    assert_int_equal(replica_reply(replica, quiet)->count, 0);
    assert_int_equal(replica_reply(replica, quiet)->err, TD_OK);
}

/* The number behind the first letter; the text ends by its count, not by a NUL. */
static unsigned job_number(struct td_text job)
{
    unsigned number = 0;
    for (uint32_t i = 1; i < job.count; ++i) {
        number = number * 10 + (unsigned)(job.bytes[i] - '0');
    }
    return number;
}

/* Follows a watch through pages and walks until it is level; counts distinct jobs of "o". */
static void test_watch_overrun_resets_and_still_shows_every_job(void **state)
{
    struct replica *replica = *state;
    struct td_request watch = {.op = TD_OP_WATCH};
    watch.u.watch.process = td_core_process(replica->core);
    watch.u.watch.cursor = 1;
    watch.u.watch.limit = 50;
    publish_many(replica, "o", 700); /* the change ring holds 256 */
    bool seen[700] = {false};
    bool reset = false;
    unsigned count = 0;
    for (unsigned page = 0; page < 100; ++page) {
        const struct replica_reply *reply =
            replica_reply(replica, replica_request(replica, &watch));
        reset = reset || reply->reset;
        for (uint32_t i = 0; i < reply->count; ++i) {
            const unsigned job = job_number(reply->views[i].job);
            assert_in_range(job, 0, 699);
            count += !seen[job];
            seen[job] = true;
        }
        if (reply->next_cursor == watch.u.watch.cursor && reply->count == 0) {
            break;
        }
        watch.u.watch.cursor = reply->next_cursor;
    }
    assert_true(reset);
    assert_int_equal(count, 700);
}

static void test_watch_resumes_by_vector_in_another_process(void **state)
{
    struct replica *replica = *state;
    (void)replica_publish_one(replica, test_update("before", 1, TD_STATE_RUNNING));
    const struct td_vv seen = copy_vv(&replica->pool, &replica->core->has.vv);
    (void)replica_publish_one(replica, test_update("after", 1, TD_STATE_RUNNING));
    struct td_request watch = {.op = TD_OP_WATCH, .after = seen};
    watch.u.watch.process = (struct td_incarnation){77, 77};
    watch.u.watch.cursor = 12345;
    const struct replica_reply *reply = replica_reply(replica, replica_request(replica, &watch));
    assert_true(reply->reset);
    assert_int_equal(reply->count, 1);
    assert_memory_equal(reply->views[0].job.bytes, "after", 5);
}

static void test_explain_shows_winner_and_losers_with_their_place(void **state)
{
    struct replica *replica = *state;
    const struct td_origin origin = {{2}, {1, 5}};
    const struct td_delta delta = {.job = test_text("x"),
                                   .job_hash = test_job_hash("x"),
                                   .attempt = 1,
                                   .stamp = {REPLICA_WALL_MS - 50, 0},
                                   .status = {.state = TD_STATE_PENDING}};
    const uint64_t begun_ms = replica->now.wall_ms;
    (void)replica_publish_one(replica, test_update("x", 1, TD_STATE_STARTING));
    replica->now.wall_ms += 70;
    (void)replica_publish_one(replica, test_update("x", 1, TD_STATE_RUNNING));
    replica->now.wall_ms += 30;
    assert_true(
        replica_receive(replica, replica_batch(replica, origin, 1, &delta, 1), TD_LANE_LIVE));
    replica_settle(replica);
    struct td_request explain = {.op = TD_OP_EXPLAIN};
    explain.u.get.job = test_text("x");
    explain.u.get.job_hash = test_job_hash("x");
    const struct replica_reply *reply = replica_reply(replica, replica_request(replica, &explain));
    assert_int_equal(reply->count, 3);
    assert_true(reply->versions[0].winner);
    assert_true(reply->versions[1].concurrent);
    assert_int_equal(reply->versions[1].rule, TD_RULE_STAMP);
    assert_int_equal(reply->versions[1].via.v, 2);
    assert_false(reply->versions[2].concurrent);
    /* When each came here, not when it was beaten. */
    assert_int_equal(reply->versions[0].arrived_after_ms, begun_ms + 70);
    assert_int_equal(reply->versions[1].arrived_after_ms, begun_ms + 100);
    assert_int_equal(reply->versions[2].arrived_after_ms, begun_ms);
    for (unsigned i = 0; i < 3; ++i) {
        assert_true(reply->versions[i].log_position > 0);
        const struct td_record *record =
            &replica->log[reply->versions[i].log_position - REPLICA_POSITION];
        assert_int_equal(record->ref.ticket.v, reply->versions[i].log_ticket);
        assert_int_equal(record->u.batch->header.first_seq + reply->versions[i].log_index,
                         reply->versions[i].view.dot.seq);
    }
    (void)replica_publish_one(replica, test_update("x", 1, TD_STATE_COMPLETED));
    const uint32_t reg = td_table_find(replica->core, test_job_hash("x"), test_text("x"), 1);
    struct td_dot dots[2 * TD_CLOCK_ENTRIES_MAX];
    uint32_t clock_count = 0;
    (void)td_body_dots(replica->core, replica->core->registers[reg].body, dots, &clock_count);
    assert_int_equal(clock_count, 2); /* the next report has seen the concurrent loser */
}

static void test_read_with_a_token_waits_until_it_is_covered(void **state)
{
    struct replica *replica = *state;
    const struct td_origin origin = {{2}, {1, 5}};
    const struct td_vv_entry entry = {origin, 1};
    struct td_request get = {.op = TD_OP_GET, .timeout_ms = 500};
    get.after = (struct td_vv){.entry_count = 1, .entries = &entry};
    get.u.get.job = test_text("x");
    get.u.get.job_hash = test_job_hash("x");
    const uint64_t late = replica_request(replica, &get);
    replica_tick(replica, 500);
    assert_int_equal(replica_reply(replica, late)->err, TD_ETIMEOUT);
    const uint64_t id = replica_request(replica, &get);
    const struct td_delta delta = {.job = test_text("x"),
                                   .job_hash = test_job_hash("x"),
                                   .attempt = 1,
                                   .stamp = {REPLICA_WALL_MS, 0}};
    assert_true(
        replica_receive(replica, replica_batch(replica, origin, 1, &delta, 1), TD_LANE_LIVE));
    assert_null(replica_reply(replica, id)); /* merged, but what a token names must be durable */
    replica_settle(replica);
    assert_non_null(replica_reply(replica, id));
    assert_int_equal(replica_reply(replica, id)->count, 1);
}

static void test_status_answers_and_requests_before_start_are_refused(void **state)
{
    struct replica *replica = *state;
    struct td_request status = {.op = TD_OP_STATUS};
    const struct replica_reply *reply = replica_reply(replica, replica_request(replica, &status));
    assert_int_equal(reply->count, 2);
    assert_true(reply->publishing);
    replica->core->started = false;
    reply = replica_reply(replica, replica_request(replica, &status));
    assert_int_equal(reply->err, TD_ESTARTING);
    const struct td_update update = test_update("x", 1, TD_STATE_RUNNING);
    reply = replica_reply(replica, replica_publish(replica, &update, 1, 0, 100));
    assert_int_equal(reply->err, TD_ESTARTING);
    replica->core->started = true;
}

static void test_cancel_forgets_requests_and_keeps_the_reports(void **state)
{
    struct replica *replica = *state;
    const struct td_update update = test_update("x", 1, TD_STATE_RUNNING);
    const uint64_t id = replica_publish(replica, &update, 1, 0, 1000);
    struct td_request cancel = {.op = TD_OP_CANCEL};
    cancel.u.cancel_id = UINT64_MAX;
    (void)replica_request(replica, &cancel);
    replica_settle(replica);
    assert_null(replica_reply(replica, id));
    assert_int_equal(replica_state(replica, "x", 1), TD_STATE_RUNNING);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, replica_setup_2, replica_teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_list_pages_show_every_job_once),
        CASE(test_get_gives_all_attempts_highest_first),
        CASE(test_watch_waits_and_gives_changes_in_order),
        CASE(test_watch_overrun_resets_and_still_shows_every_job),
        CASE(test_watch_resumes_by_vector_in_another_process),
        CASE(test_explain_shows_winner_and_losers_with_their_place),
        CASE(test_read_with_a_token_waits_until_it_is_covered),
        CASE(test_status_answers_and_requests_before_start_are_refused),
        CASE(test_cancel_forgets_requests_and_keeps_the_reports),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
