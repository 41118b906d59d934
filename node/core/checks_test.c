/* checks_test.c -- what comes from outside is checked again by the core, which builds on no
 * decoder: each field of a report, each kind of request, each filter, the bounds of a batch. */
#include "node/core/replica_peer.h"

static char long_bytes[4096];

static struct td_text text_of(uint32_t count)
{
    memset(long_bytes, 'x', sizeof long_bytes);
    return (struct td_text){long_bytes, count};
}

/* ---- reports ---- */

static void test_each_field_of_a_report_has_its_own_refusal(void **state)
{
    struct replica *replica = *state;
    const struct td_label heavy = {text_of(1), text_of(TD_LABELS_BYTES_MAX)};
    const struct td_update fine = test_update("fine", 1, TD_STATE_RUNNING);
    struct td_update rows[10];
    const enum td_err errs[] = {TD_OK,      TD_EJOBID,  TD_EJOBID,  TD_ESTATE,  TD_EPROGRESS,
                                TD_EDETAIL, TD_EPARENT, TD_EWRITER, TD_EEXPECT, TD_ELABELS};

    for (size_t i = 0; i < 10; ++i) {
        rows[i] = fine;
    }
    rows[1].job.count = 0;
    rows[2].job = text_of(TD_JOB_BYTES_MAX + 1);
    rows[3].status.state = TD_STATE_COUNT;
    rows[4].status.progress = TD_PROGRESS_MAX + 1;
    rows[5].status.detail = text_of(TD_DETAIL_BYTES_MAX + 1);
    rows[6].status.parent = text_of(TD_JOB_BYTES_MAX + 1);
    rows[7].status.writer = text_of(TD_WRITER_BYTES_MAX + 1);
    rows[8].status.expect_every_s = TD_EXPECT_EVERY_S_MAX + 1;
    rows[9].status.label_count = 1;
    rows[9].status.labels = &heavy;
    for (size_t i = 0; i < 10; ++i) {
        const struct td_result result = replica_publish_one(replica, rows[i]);
        if (result.err != errs[i]) {
            fail_msg("row %zu: %d instead of %d", i, (int)result.err, (int)errs[i]);
        }
    }
    rows[9].status.label_count = TD_LABELS_MAX + 1; /* not even looked at */
    assert_int_equal(replica_publish_one(replica, rows[9]).err, TD_ELABELS);
    assert_int_equal(replica_counter(replica, TD_COUNTER_refused_other), 10);
}

/* Rights and rates are the driver's; the core answers and counts them like its own refusals. */
static void test_what_the_driver_refused_is_answered_in_its_place(void **state)
{
    struct replica *replica = *state;
    const struct td_update updates[] = {test_update("a", 1, TD_STATE_RUNNING),
                                        test_update("b", 1, TD_STATE_RUNNING),
                                        test_update("c", 1, TD_STATE_RUNNING)};
    const enum td_err refused[] = {TD_EDISKFULL, TD_OK, TD_EBUSY};
    struct td_request request = {.op = TD_OP_PUBLISH, .id = 77};
    struct td_event event = {.type = TD_EV_REQUEST};

    request.u.publish.count = 3;
    request.u.publish.updates = updates;
    event.u.request.client_link = 5;
    event.u.request.request = &request;
    event.u.request.refused = refused;
    replica_step(replica, &event);
    replica_settle(replica);
    const struct replica_reply *reply = replica_reply(replica, 77);
    assert_non_null(reply);
    for (size_t i = 0; i < 3; ++i) {
        assert_int_equal(reply->results[i].err, refused[i]);
    }
    assert_int_equal(replica_counter(replica, TD_COUNTER_refused_disk), 1);
    assert_int_equal(replica_counter(replica, TD_COUNTER_refused_busy), 1);
    assert_int_equal(replica_state(replica, "a", 1), TD_STATE_COUNT);
    assert_int_equal(replica_state(replica, "b", 1), TD_STATE_RUNNING);
}

/* DESIGN 1: stamps beyond the year 2100 are malformed, so none is given out. */
static void test_no_stamp_is_given_beyond_the_calendar(void **state)
{
    struct replica *replica = *state;

    replica->now.wall_ms = TD_STAMP_MS_MAX + 1;
    assert_int_equal(replica_publish_one(replica, test_update("late", 1, TD_STATE_RUNNING)).err,
                     TD_ECLOCK);
    replica->now.wall_ms = TD_STAMP_MS_MAX;
    assert_int_equal(replica_publish_one(replica, test_update("late", 1, TD_STATE_RUNNING)).err,
                     TD_OK);
}

static void test_labels_decide_whether_a_report_repeats(void **state)
{
    struct replica *replica = *state;
    const struct td_label one[] = {{{"k", 1}, {"1", 1}}};
    const struct td_label two[] = {{{"k", 1}, {"2", 1}}};
    struct td_update update = test_update("labelled", 1, TD_STATE_RUNNING);

    update.status.label_count = 1;
    update.status.labels = one;
    assert_false(replica_publish_one(replica, update).noop);
    assert_true(replica_publish_one(replica, update).noop);
    update.status.labels = two;
    assert_false(replica_publish_one(replica, update).noop);
    assert_true(replica_publish_one(replica, update).noop);
}

/* ---- requests ---- */

static enum td_err answer_of(struct replica *replica, struct td_request request)
{
    const struct replica_reply *reply = replica_reply(replica, replica_request(replica, &request));
    assert_non_null(reply);
    return reply->err;
}

static void test_requests_out_of_bounds_are_refused_by_name(void **state)
{
    struct replica *replica = *state;
    const struct td_text long_job = text_of(TD_JOB_BYTES_MAX + 1);
    struct td_request get = {.op = TD_OP_GET};
    struct td_request list = {.op = TD_OP_LIST};
    struct td_request watch = {.op = TD_OP_WATCH};
    struct td_request publish = {.op = TD_OP_PUBLISH};

    get.u.get.job = long_job;
    assert_int_equal(answer_of(replica, get), TD_EJOBID);
    get.op = TD_OP_EXPLAIN;
    assert_int_equal(answer_of(replica, get), TD_EJOBID);
    list.u.list.filter.prefix = long_job;
    assert_int_equal(answer_of(replica, list), TD_ETOOBIG);
    watch.u.watch.filter.job_count = 1;
    watch.u.watch.filter.jobs = &long_job;
    assert_int_equal(answer_of(replica, watch), TD_ETOOBIG);
    watch.u.watch.filter.job_count = TD_WATCH_JOBS_MAX + 1;
    assert_int_equal(answer_of(replica, watch), TD_ETOOBIG);
    publish.u.publish.count = TD_REQUEST_UPDATES_MAX + 1;
    assert_int_equal(answer_of(replica, publish), TD_ETOOBIG);
    assert_int_equal(answer_of(replica, (struct td_request){.op = TD_OP_ROSTER_GET}), TD_EUSAGE);
    get.u.get.job = test_text("unknown");
    assert_int_equal(answer_of(replica, get), TD_EUNKNOWN);
}

static uint32_t listed(struct replica *replica, struct td_filter filter)
{
    struct td_request list = {.op = TD_OP_LIST};

    list.u.list.filter = filter;
    const struct replica_reply *reply = replica_reply(replica, replica_request(replica, &list));
    assert_int_equal(reply->err, TD_OK);
    return reply->count;
}

static void publish_for_filters(struct replica *replica)
{
    struct td_update update = test_update("a/silent", 1, TD_STATE_RUNNING);

    update.status.expect_every_s = 10;
    assert_int_equal(replica_publish_one(replica, update).err, TD_OK);
    update = test_update("a/done", 1, TD_STATE_COMPLETED);
    update.status.expect_every_s = 10; /* a promise that ended with the job */
    assert_int_equal(replica_publish_one(replica, update).err, TD_OK);
    replica->now.wall_ms += 11000;
    assert_int_equal(replica_publish_one(replica, test_update("b/new", 1, TD_STATE_RUNNING)).err,
                     TD_OK);
    assert_true(replica_receive(replica, replica_peer_batch(replica, 2, 1, 2), TD_LANE_LIVE));
    const struct td_delta other = {.job = test_text("b/new"),
                                   .job_hash = test_job_hash("b/new"),
                                   .attempt = 1,
                                   .stamp = {REPLICA_WALL_MS, 0},
                                   .status = {.state = TD_STATE_STARTING}};
    assert_true(replica_receive(
        replica, replica_batch(replica, replica_peer_origin(3), 1, &other, 1), TD_LANE_LIVE));
    replica_settle(replica);
}

static void test_each_filter_lets_through_what_it_names(void **state)
{
    struct replica *replica = *state;
    const struct td_text jobs[] = {test_text("b/new"), test_text("p2-2"), test_text("none")};

    publish_for_filters(replica);
    const struct {
        const char *what;
        struct td_filter filter;
        uint32_t count;
    } rows[] = {
        {"all", {.states = 0}, 5},
        {"running", {.states = 1u << TD_STATE_RUNNING}, 4},
        {"prefix", {.prefix = test_text("a/")}, 2},
        {"of region 2", {.origin = {2}}, 2},
        {"since", {.since_ms = REPLICA_WALL_MS + 11000}, 1},
        {"silent", {.silent = true}, 1},
        {"conflicts", {.conflicts = true}, 1},
        {"by name", {.job_count = 3, .jobs = jobs}, 2},
        {"by name and state", {.states = 1u << TD_STATE_FAILED, .job_count = 3, .jobs = jobs}, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; ++i) {
        const uint32_t count = listed(replica, rows[i].filter);
        if (count != rows[i].count) {
            fail_msg("%s: %u instead of %u", rows[i].what, count, rows[i].count);
        }
    }
}

/* ---- waiting requests ---- */

static uint64_t watch_long(struct replica *replica, const struct td_text *jobs, uint32_t count)
{
    struct td_request watch = {.op = TD_OP_WATCH, .timeout_ms = 60000};

    watch.u.watch.cursor = UINT64_MAX;
    watch.u.watch.process = td_core_process(replica->core);
    watch.u.watch.filter.jobs = jobs;
    watch.u.watch.filter.job_count = count;
    return replica_request(replica, &watch);
}

/* Names of watched jobs are copied; long lists have a bounded number of places. */
static void test_watches_of_many_names_have_a_bound_and_places_come_back(void **state)
{
    struct replica *replica = *state;
    struct td_text jobs[8];
    struct td_request cancel = {.op = TD_OP_CANCEL};
    uint64_t first = 0;

    for (size_t i = 0; i < 8; ++i) {
        jobs[i] = text_of(TD_JOB_BYTES_MAX);
    }
    jobs[7] = test_text("wanted");
    for (unsigned i = 0; i < 255; ++i) {
        const uint64_t id = watch_long(replica, jobs, 8);
        assert_null(replica_reply(replica, id));
        first = first == 0 ? id : first;
    }
    (void)replica_publish_one(replica, test_update("other", 1, TD_STATE_RUNNING));
    assert_null(replica_reply(replica, first));
    (void)replica_publish_one(replica, test_update("wanted", 1, TD_STATE_RUNNING));
    assert_int_equal(replica_reply(replica, first)->count, 1);
    for (unsigned i = 0; i < 256; ++i) {
        assert_null(replica_reply(replica, watch_long(replica, jobs, 8)));
    }
    const uint64_t over = watch_long(replica, jobs, 8);
    assert_int_equal(replica_reply(replica, over)->err, TD_EBUSY);
    cancel.u.cancel_id = over - 1;
    (void)replica_request(replica, &cancel);
    assert_null(replica_reply(replica, watch_long(replica, jobs, 8)));
}

/* A token that names more unknown dots than a waiting read can hold is answered at once. */
static void test_a_read_that_lacks_too_much_does_not_wait(void **state)
{
    struct replica *replica = *state;
    struct td_vv_entry entries[33];
    struct td_request get = {.op = TD_OP_GET, .timeout_ms = 5000};

    for (uint32_t i = 0; i < 33; ++i) {
        entries[i] = (struct td_vv_entry){{{2}, {1, i + 1}}, 1};
    }
    get.after = (struct td_vv){.entry_count = 32, .entries = entries};
    get.u.get.job = test_text("x");
    assert_null(replica_reply(replica, replica_request(replica, &get)));
    get.after.entry_count = 33;
    assert_int_equal(answer_of(replica, get), TD_ETIMEOUT);
}

/* A token may name a fold in place of what was folded: it is waited for like a report. */
static void test_a_read_waits_for_the_fold_its_token_names(void **state)
{
    struct replica *replica = *state;
    struct td_vv_entry entry = {replica_peer_origin(2), 1};
    struct td_vv_fold fold = {{2}, 3};
    struct td_request get = {.op = TD_OP_GET, .timeout_ms = 5000};

    assert_true(replica_receive(replica, replica_peer_batch(replica, 2, 1, 1), TD_LANE_LIVE));
    replica_settle(replica);
    get.after = (struct td_vv){1, 1, &entry, &fold};
    get.u.get.job = test_text("p2-1");
    get.u.get.job_hash = test_job_hash("p2-1");
    get.u.get.attempt = 1;
    const uint64_t id = replica_request(replica, &get);
    replica_tick(replica, 10);
    assert_null(replica_reply(replica, id));
    td_vectors_fold(replica->core, (struct td_region){2}, 2);
    replica_tick(replica, 10);
    assert_null(replica_reply(replica, id));
    td_vectors_fold(replica->core, (struct td_region){2}, 3);
    replica_tick(replica, 10);
    assert_non_null(replica_reply(replica, id));
    assert_int_equal(replica_reply(replica, id)->count, 1);
}

/* One attempt, by number: of several, and of none. */
static void test_an_attempt_is_shown_and_explained_by_its_number(void **state)
{
    struct replica *replica = *state;
    struct td_request get = {.op = TD_OP_GET};

    (void)replica_publish_one(replica, test_update("n", 1, TD_STATE_FAILED));
    (void)replica_publish_one(replica, test_update("n", 2, TD_STATE_RUNNING));
    get.u.get.job = test_text("n");
    get.u.get.job_hash = test_job_hash("n");
    for (uint16_t attempt = 1; attempt <= 3; ++attempt) {
        get.u.get.attempt = attempt;
        get.op = TD_OP_GET;
        const struct replica_reply *reply = replica_reply(replica, replica_request(replica, &get));
        assert_int_equal(reply->err, attempt < 3 ? TD_OK : TD_EUNKNOWN);
        assert_int_equal(reply->count, attempt < 3);
        assert_int_equal(attempt < 3 ? reply->views[0].attempt : attempt, attempt);
        get.op = TD_OP_EXPLAIN;
        reply = replica_reply(replica, replica_request(replica, &get));
        assert_int_equal(reply->err, attempt < 3 ? TD_OK : TD_EUNKNOWN);
    }
}

/* From the beginning: everything known, then the changes. */
static void test_a_watch_from_the_beginning_shows_what_is_there(void **state)
{
    struct replica *replica = *state;
    struct td_request watch = {.op = TD_OP_WATCH, .timeout_ms = 1000};

    (void)replica_publish_one(replica, test_update("there", 1, TD_STATE_RUNNING));
    watch.u.watch.process = td_core_process(replica->core);
    const struct replica_reply *reply = replica_reply(replica, replica_request(replica, &watch));
    assert_int_equal(reply->count, 1);
    assert_false(reply->reset);
    watch.u.watch.cursor = reply->next_cursor;
    const uint64_t id = replica_request(replica, &watch);
    assert_null(replica_reply(replica, id));
    (void)replica_publish_one(replica, test_update("new", 1, TD_STATE_RUNNING));
    assert_int_equal(replica_reply(replica, id)->count, 1);
}

/* Reports whose token lies far ahead wait in a bounded number of places. */
static void test_reports_that_wait_for_their_token_have_a_bound(void **state)
{
    struct replica *replica = *state;
    struct td_update updates[300];
    const struct td_label label = {{"k", 1}, {"v", 1}};

    for (unsigned i = 0; i < 300; ++i) {
        updates[i] = test_update("ahead", 1, TD_STATE_RUNNING);
        updates[i].seen = (struct td_seen){.stamp = {REPLICA_WALL_MS + 3600000, 0},
                                           .dot = {replica_peer_origin(2), 1}};
        updates[i].status.labels = &label;
        updates[i].status.label_count = 1;
    }
    const uint64_t id = replica_publish(replica, updates, 300, 0, 1000);
    assert_int_equal(replica_counter(replica, TD_COUNTER_refused_busy), 300 - 256);
    replica_tick(replica, 1000);
    replica_settle(replica);
    const struct replica_reply *reply = replica_reply(replica, id);
    assert_non_null(reply);
    assert_int_equal(reply->results[0].err, TD_ETIMEOUT);
    assert_int_equal(reply->results[299].err, TD_EBUSY);
    assert_int_equal(replica_state(replica, "ahead", 1), TD_STATE_COUNT);
}

/* ---- batches ---- */

static void test_a_batch_that_contradicts_itself_is_not_merged(void **state)
{
    struct replica *replica = *state;
    const struct td_batch *good = replica_peer_batch(replica, 2, 1, 3);
    struct td_delta stray = good->deltas[2];
    struct td_batch rows[7];

    for (size_t i = 0; i < 7; ++i) {
        rows[i] = *good;
    }
    stray.index = 3;
    rows[0].header.count = 0;
    rows[1].header.count = TD_BATCH_DELTAS_MAX + 1;
    rows[2].header.first_seq = 0;
    rows[3].header.first_seq = TD_SEQ_MAX;
    rows[4].present_count = 4;
    rows[5].present_count = 1;
    rows[5].whole = false;
    rows[5].deltas = &stray;
    rows[6].present_count = 2; /* whole, but one is missing */
    for (size_t i = 0; i < 7; ++i) {
        if (replica_receive(replica, &rows[i], TD_LANE_LIVE)) {
            fail_msg("row %zu was taken", i);
        }
        assert_int_equal(replica_counter(replica, TD_COUNTER_rejected_closed), i + 1);
    }
    assert_int_equal(replica_state(replica, "p2-1", 1), TD_STATE_COUNT);
    assert_true(replica_receive(replica, good, TD_LANE_LIVE));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_each_field_of_a_report_has_its_own_refusal,
                                        replica_setup_3, replica_teardown),
        cmocka_unit_test_setup_teardown(test_what_the_driver_refused_is_answered_in_its_place,
                                        replica_setup_3, replica_teardown),
        cmocka_unit_test_setup_teardown(test_no_stamp_is_given_beyond_the_calendar, replica_setup_3,
                                        replica_teardown),
        cmocka_unit_test_setup_teardown(test_labels_decide_whether_a_report_repeats,
                                        replica_setup_3, replica_teardown),
        cmocka_unit_test_setup_teardown(test_requests_out_of_bounds_are_refused_by_name,
                                        replica_setup_3, replica_teardown),
        cmocka_unit_test_setup_teardown(test_each_filter_lets_through_what_it_names,
                                        replica_setup_3, replica_teardown),
        cmocka_unit_test_setup_teardown(
            test_watches_of_many_names_have_a_bound_and_places_come_back, replica_setup_3,
            replica_teardown),
        cmocka_unit_test_setup_teardown(test_a_read_that_lacks_too_much_does_not_wait,
                                        replica_setup_3, replica_teardown),
        cmocka_unit_test_setup_teardown(test_a_read_waits_for_the_fold_its_token_names,
                                        replica_setup_3, replica_teardown),
        cmocka_unit_test_setup_teardown(test_an_attempt_is_shown_and_explained_by_its_number,
                                        replica_setup_3, replica_teardown),
        cmocka_unit_test_setup_teardown(test_a_watch_from_the_beginning_shows_what_is_there,
                                        replica_setup_3, replica_teardown),
        cmocka_unit_test_setup_teardown(test_reports_that_wait_for_their_token_have_a_bound,
                                        replica_setup_3, replica_teardown),
        cmocka_unit_test_setup_teardown(test_a_batch_that_contradicts_itself_is_not_merged,
                                        replica_setup_3, replica_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
