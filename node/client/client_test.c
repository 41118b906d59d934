/* client_test.c -- the library against nodes of this process: coalescing, bounds, failing over,
 * resends, full statuses, spool. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "node/client/call.h"
#include "node/client/fake_node.h"

static struct tidings_update running(const char *job)
{
    return (struct tidings_update){.job = job, .attempt = 1, .state = TIDINGS_RUNNING};
}

static atomic_uint done_count, done_failed;

static void count_done(void *self, const struct tidings_result *result)
{
    (void)self;
    atomic_fetch_add(&done_failed, result->err != TIDINGS_OK);
    atomic_fetch_add(&done_count, 1);
}

static void test_a_publish_returns_what_the_node_gave_it(void **state)
{
    (void)state;
    struct fake_node *node = fake_node_start(test_path("a"), 3, NULL, NULL);
    tidings *handle = test_open((struct tidings_options){.writer = "w-1"}, "a", NULL);
    struct tidings_update update = running("job/1");
    struct tidings_result result;
    struct tidings_stats stats;
    assert_int_equal(tidings_publish(handle, &update, &result), TIDINGS_OK);
    assert_int_equal(result.attempt, 1);
    assert_int_equal(result.seq, 1);
    assert_int_equal(result.region, 3);
    assert_true(result.stamp_ms == UINT64_C(1700000000001));
    struct fake_record record = fake_node_record(node, 0);
    assert_string_equal(record.job, "job/1");
    assert_int_equal(record.fields, TD_FIELD_WRITER);
    tidings_get_stats(handle, &stats);
    assert_true(stats.connected);
    assert_string_equal(stats.node_region, "node-3");
    tidings_close(handle);
    fake_node_stop(node);
}

static void test_a_wrong_update_is_refused_before_it_is_queued(void **state)
{
    (void)state;
    struct fake_node *node = fake_node_start(test_path("a"), 1, NULL, NULL);
    tidings *handle = test_open((struct tidings_options){0}, "a", NULL);
    char long_text[700];
    memset(long_text, 'x', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';
    struct tidings_label twice[2] = {{"k", "1"}, {"k", "2"}};
    struct {
        struct tidings_update update;
        int err;
    } rows[] = {
        {{.job = "", .state = TIDINGS_RUNNING}, TIDINGS_EJOBID},
        {{.job = "a\nb", .state = TIDINGS_RUNNING}, TIDINGS_EJOBID},
        {{.job = long_text, .state = TIDINGS_RUNNING}, TIDINGS_EJOBID},
        {{.job = "j", .state = (enum tidings_state)8}, TIDINGS_ESTATE},
        {{.job = "j", .set_progress = true, .progress = 10001}, TIDINGS_EPROGRESS},
        {{.job = "j", .set_progress = true, .progress = -2}, TIDINGS_EPROGRESS},
        {{.job = "j", .detail = long_text}, TIDINGS_EDETAIL},
        {{.job = "j", .labels = twice, .label_count = 2}, TIDINGS_ELABELS},
        {{.job = "j", .writer = long_text}, TIDINGS_EWRITER},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int err = tidings_publish_async(handle, &rows[i].update, NULL, NULL);
        if (err != rows[i].err) {
            fail_msg("row %zu: %d, not %d", i, err, rows[i].err);
        }
    }
    assert_int_equal(fake_node_requests(node), 0);
    tidings_close(handle);
    fake_node_stop(node);
}

static void test_updates_are_coalesced_while_answers_are_out(void **state)
{
    (void)state;
    struct fake_node *node = fake_node_start(test_path("a"), 1, NULL, NULL);
    tidings *handle = test_open((struct tidings_options){.in_flight_max = 1}, "a", NULL);
    struct tidings_update first = running("first");
    char job[32];
    atomic_store(&done_count, 0);
    fake_node_hold(node, true);
    assert_int_equal(tidings_publish_async(handle, &first, count_done, NULL), TIDINGS_OK);
    fake_node_wait_requests(node, 1);
    for (unsigned i = 0; i < 1000; i++) {
        (void)snprintf(job, sizeof job, "job/%u", i);
        struct tidings_update update = running(job);
        assert_int_equal(tidings_publish_async(handle, &update, count_done, NULL), TIDINGS_OK);
    }
    assert_int_equal(fake_node_requests(node), 1);
    fake_node_hold(node, false);
    assert_int_equal(tidings_flush(handle, 10000), TIDINGS_OK);
    assert_int_equal(fake_node_requests(node), 2);
    assert_int_equal(fake_node_updates(node), 1001);
    assert_string_equal(fake_node_record(node, 1000).job, "job/999");
    assert_int_equal(atomic_load(&done_count), 1001);
    tidings_close(handle);
    fake_node_stop(node);
}

static void test_several_requests_are_in_flight_and_bounded(void **state)
{
    (void)state;
    struct fake_node *node = fake_node_start(test_path("a"), 1, NULL, NULL);
    struct tidings_options options = {.in_flight_max = 3, .batch_updates_max = 10};
    tidings *handle = test_open(options, "a", NULL);
    char job[32];
    fake_node_hold(node, true);
    for (unsigned i = 0; i < 100; i++) {
        (void)snprintf(job, sizeof job, "job/%u", i);
        struct tidings_update update = running(job);
        assert_int_equal(tidings_publish_async(handle, &update, NULL, NULL), TIDINGS_OK);
    }
    fake_node_wait_requests(node, 3);
    assert_int_equal(fake_node_requests(node), 3);
    fake_node_hold(node, false);
    assert_int_equal(tidings_flush(handle, 10000), TIDINGS_OK);
    assert_int_equal(fake_node_updates(node), 100);
    assert_true(fake_node_requests(node) >= 10);
    tidings_close(handle);
    fake_node_stop(node);
}

static void test_a_full_queue_says_so_and_takes_more_once_answered(void **state)
{
    (void)state;
    struct fake_node *node = fake_node_start(test_path("a"), 1, NULL, NULL);
    tidings *handle = test_open((struct tidings_options){.queue_updates_max = 8}, "a", NULL);
    struct tidings_update update = running("job/1");
    atomic_store(&done_count, 0);
    fake_node_hold(node, true);
    for (unsigned i = 0; i < 8; i++) {
        assert_int_equal(tidings_publish_async(handle, &update, count_done, NULL), TIDINGS_OK);
    }
    assert_int_equal(tidings_publish_async(handle, &update, count_done, NULL), TIDINGS_FULL);
    fake_node_hold(node, false);
    assert_int_equal(tidings_flush(handle, 10000), TIDINGS_OK);
    assert_int_equal(atomic_load(&done_count), 8);
    assert_int_equal(tidings_publish_async(handle, &update, count_done, NULL), TIDINGS_OK);
    assert_int_equal(tidings_flush(handle, 10000), TIDINGS_OK);
    tidings_close(handle);
    fake_node_stop(node);
}

static enum fake_act drop_first(void *self, struct fake_node *node,
                                const struct td_request *request, struct td_response *response)
{
    atomic_uint *left = self;
    (void)node;
    (void)request;
    (void)response;
    return atomic_fetch_sub(left, 1) > 0 && atomic_load(left) < 1000 ? FAKE_DROP : FAKE_ANSWER;
}

static enum fake_act disk_full(void *self, struct fake_node *node, const struct td_request *request,
                               struct td_response *response)
{
    (void)self;
    (void)node;
    (void)request;
    response->err = TD_EDISKFULL;
    return FAKE_ANSWER;
}

static atomic_uint told_full;

static void count_full(void *self, const struct tidings_result *result)
{
    (void)self;
    atomic_fetch_add(&told_full, result->err == TIDINGS_EDISKFULL);
}

/* Also of those that were held back because the node refuses: "timed out" would not say why. */
static void test_reports_that_a_full_node_never_takes_are_told_so(void **state)
{
    (void)state;
    struct fake_node *node = fake_node_start(test_path("a"), 1, disk_full, NULL);
    tidings *handle = test_open(
        (struct tidings_options){.batch_updates_max = 10, .in_flight_max = 1, .timeout_ms = 400},
        "a", NULL);
    struct tidings_update update = running("job/1");
    atomic_store(&told_full, 0);
    for (unsigned i = 0; i < 500; i++) {
        assert_int_equal(tidings_publish_async(handle, &update, count_full, NULL), TIDINGS_OK);
    }
    assert_int_equal(tidings_flush(handle, 10000), TIDINGS_OK);
    assert_int_equal(atomic_load(&told_full), 500);
    tidings_close(handle);
    fake_node_stop(node);
}

static void test_an_unanswered_publish_is_sent_again(void **state)
{
    (void)state;
    atomic_uint drops = 1;
    struct fake_node *node = fake_node_start(test_path("a"), 1, drop_first, &drops);
    tidings *handle = test_open((struct tidings_options){0}, "a", NULL);
    struct tidings_update update = running("job/1");
    struct tidings_stats stats;
    update.detail = "half way";
    /* Never answered by any node so far: the loss of the first connection is not yet an outage. */
    int err = tidings_publish(handle, &update, NULL);
    if (err == TIDINGS_ENONODE) {
        err = tidings_publish(handle, &update, NULL);
    }
    assert_int_equal(err, TIDINGS_OK);
    atomic_store(&drops, 1);
    update.detail = "further";
    assert_int_equal(tidings_publish(handle, &update, NULL), TIDINGS_OK);
    uint32_t updates = fake_node_updates(node);
    assert_string_equal(fake_node_record(node, updates - 1).detail, "further");
    assert_string_equal(fake_node_record(node, updates - 2).detail, "further");
    tidings_get_stats(handle, &stats);
    assert_true(stats.resent_updates >= 1);
    tidings_close(handle);
    fake_node_stop(node);
}

static void test_after_failing_over_the_token_of_the_first_node_goes_along(void **state)
{
    (void)state;
    struct fake_node *a = fake_node_start(test_path("a"), 1, NULL, NULL);
    struct fake_node *b = fake_node_start(test_path("b"), 2, NULL, NULL);
    tidings *handle = test_open((struct tidings_options){0}, "a", "b");
    struct tidings_update update = running("job/1");
    struct tidings_result first, second;
    assert_int_equal(tidings_publish(handle, &update, &first), TIDINGS_OK);
    assert_int_equal(first.region, 1);
    fake_node_stop(a);
    update.state = TIDINGS_COMPLETED;
    assert_int_equal(tidings_publish(handle, &update, &second), TIDINGS_OK);
    assert_int_equal(second.region, 2);
    struct fake_record record = fake_node_record(b, 0);
    assert_int_equal(record.seen.rank, 0);
    assert_true(record.seen.stamp.ms == first.stamp_ms);
    assert_int_equal(record.seen.dot.origin.region.v, 1);
    assert_true(record.seen.dot.seq == first.seq);
    tidings_close(handle);
    fake_node_stop(b);
}

static enum fake_act refuse_partial(void *self, struct fake_node *node,
                                    const struct td_request *request, struct td_response *response)
{
    struct td_result *results = fake_node_results(node);
    (void)self;
    (void)response;
    for (uint32_t i = 0; request->op == TD_OP_PUBLISH && i < request->u.publish.count; i++) {
        bool partial = request->u.publish.updates[i].fields != TD_FIELDS_ALL;
        results[i].err = partial ? TD_EPARTIAL : TD_OK;
    }
    return FAKE_ANSWER;
}

static void test_a_partial_report_refused_elsewhere_goes_as_a_full_one(void **state)
{
    (void)state;
    struct fake_node *a = fake_node_start(test_path("a"), 1, NULL, NULL);
    struct fake_node *b = fake_node_start(test_path("b"), 2, refuse_partial, NULL);
    tidings *handle = test_open((struct tidings_options){0}, "a", "b");
    struct tidings_update update = running("job/1");
    struct tidings_stats stats;
    update.detail = "12 of 30 tables";
    assert_int_equal(tidings_publish(handle, &update, NULL), TIDINGS_OK);
    fake_node_stop(a);
    update.detail = NULL; /* partial: the detail is carried forward */
    update.set_progress = true;
    update.progress = 4000;
    assert_int_equal(tidings_publish(handle, &update, NULL), TIDINGS_OK);
    assert_int_equal(fake_node_updates(b), 2);
    assert_int_equal(fake_node_record(b, 0).fields, TD_FIELD_PROGRESS);
    assert_int_equal(fake_node_record(b, 1).fields, TD_FIELDS_ALL);
    assert_string_equal(fake_node_record(b, 1).detail, "12 of 30 tables");
    tidings_get_stats(handle, &stats);
    assert_int_equal(stats.full_resends, 1);
    tidings_close(handle);
    fake_node_stop(b);
}

/* The first request is refused once, as busy; what came behind it is taken. */
static enum fake_act busy_once(void *self, struct fake_node *node, const struct td_request *request,
                               struct td_response *response)
{
    bool *refused = self;
    (void)response;
    if (request->op == TD_OP_PUBLISH && !*refused) {
        *refused = true;
        fake_node_results(node)[0].err = TD_EBUSY;
    }
    return FAKE_ANSWER;
}

static void overtaken(struct tidings_update early, struct tidings_update later,
                      struct fake_record *ret_again)
{
    bool refused = false;
    struct fake_node *node = fake_node_start(test_path("a"), 1, busy_once, &refused);
    tidings *handle = test_open((struct tidings_options){.in_flight_max = 4}, "a", NULL);
    atomic_store(&done_count, 0);
    fake_node_hold(node, true);
    assert_int_equal(tidings_publish_async(handle, &early, count_done, NULL), TIDINGS_OK);
    fake_node_wait_requests(node, 1);
    assert_int_equal(tidings_publish_async(handle, &later, count_done, NULL), TIDINGS_OK);
    fake_node_wait_requests(node, 2);
    fake_node_hold(node, false);
    assert_int_equal(tidings_flush(handle, 10000), TIDINGS_OK);
    assert_int_equal(atomic_load(&done_count), 2);
    assert_int_equal(fake_node_updates(node), 3);
    *ret_again = fake_node_record(node, 2);
    tidings_close(handle);
    fake_node_stop(node);
}

static void test_a_report_sent_again_does_not_put_an_older_status_over_a_later_one(void **state)
{
    struct tidings_update early = running("job/1"), later = running("job/1");
    struct fake_record again;
    (void)state;
    early.detail = "12 of 30 tables";
    later.detail = "20 of 30 tables";
    overtaken(early, later, &again);
    assert_string_equal(again.detail, "20 of 30 tables");
    assert_int_equal(again.fields, TD_FIELDS_ALL);
    later.state = TIDINGS_COMPLETED;
    later.detail = NULL; /* the detail that was refused arrives all the same */
    overtaken(early, later, &again);
    assert_int_equal(again.state, TIDINGS_COMPLETED);
    assert_string_equal(again.detail, "12 of 30 tables");
}

static void test_a_final_report_sent_again_stays_final(void **state)
{
    struct tidings_update early = running("job/1"), later = running("job/1");
    struct fake_record again;
    (void)state;
    early.state = TIDINGS_FAILED;
    overtaken(early, later, &again);
    assert_int_equal(again.state, TIDINGS_FAILED);
    later.state = TIDINGS_COMPLETED;
    overtaken(early, later, &again);
    assert_int_equal(again.state, TIDINGS_FAILED);
}

static enum fake_act draining(void *self, struct fake_node *node, const struct td_request *request,
                              struct td_response *response)
{
    (void)self;
    (void)node;
    (void)request;
    response->err = TD_EDRAINING;
    response->u.publish.count = 0;
    return FAKE_ANSWER;
}

static void test_a_draining_node_is_left_for_the_next(void **state)
{
    (void)state;
    struct fake_node *a = fake_node_start(test_path("a"), 1, draining, NULL);
    struct fake_node *b = fake_node_start(test_path("b"), 2, NULL, NULL);
    tidings *handle = test_open((struct tidings_options){0}, "a", "b");
    struct tidings_update update = running("job/1");
    struct tidings_result result;
    assert_int_equal(tidings_publish(handle, &update, &result), TIDINGS_OK);
    assert_int_equal(result.region, 2);
    tidings_close(handle);
    fake_node_stop(a);
    fake_node_stop(b);
}

static enum fake_act silent(void *self, struct fake_node *node, const struct td_request *request,
                            struct td_response *response)
{
    (void)self;
    (void)node;
    (void)request;
    (void)response;
    return FAKE_SILENT;
}

static void test_a_stuck_node_leaves_time_for_the_next(void **state)
{
    (void)state;
    struct fake_node *a = fake_node_start(test_path("a"), 1, silent, NULL);
    struct fake_node *b = fake_node_start(test_path("b"), 2, NULL, NULL);
    tidings *handle = test_open((struct tidings_options){.timeout_ms = 2000}, "a", "b");
    struct tidings_update update = running("job/1");
    struct tidings_result result;
    assert_int_equal(tidings_publish(handle, &update, &result), TIDINGS_OK);
    assert_int_equal(result.region, 2);
    assert_int_equal(fake_node_updates(a), 1);
    tidings_close(handle);
    fake_node_stop(a);
    fake_node_stop(b);
}

static void test_a_wrong_address_is_told_at_once(void **state)
{
    (void)state;
    tidings *handle = test_open((struct tidings_options){.timeout_ms = 60000}, "nobody", NULL);
    struct tidings_update update = running("job/1");
    assert_int_equal(tidings_publish(handle, &update, NULL), TIDINGS_ENONODE);
    struct tidings_status status;
    assert_int_equal(tidings_get(handle, "job/1", 0, &status, NULL), TIDINGS_ENONODE);
    tidings_close(handle);
}

static void test_closing_answers_what_is_open(void **state)
{
    (void)state;
    struct fake_node *node = fake_node_start(test_path("a"), 1, NULL, NULL);
    tidings *handle = test_open((struct tidings_options){0}, "a", NULL);
    struct tidings_update update = running("job/1");
    atomic_store(&done_count, 0);
    atomic_store(&done_failed, 0);
    fake_node_hold(node, true);
    assert_int_equal(tidings_publish_async(handle, &update, count_done, NULL), TIDINGS_OK);
    fake_node_wait_requests(node, 1);
    tidings_close(handle);
    assert_int_equal(atomic_load(&done_count), 1);
    assert_int_equal(atomic_load(&done_failed), 1);
    fake_node_stop(node);
}

static void test_the_spool_keeps_reports_and_replays_them_in_order(void **state)
{
    (void)state;
    char spool[128];
    char job[32];
    (void)snprintf(spool, sizeof spool, "%s", test_path("spool"));
    (void)unlink(spool);
    struct tidings_options options = {.spool = spool};
    tidings *handle = test_open(options, "later", NULL);
    struct tidings_result result;
    for (unsigned i = 0; i < 20; i++) {
        (void)snprintf(job, sizeof job, "job/%u", i);
        struct tidings_update update = running(job);
        assert_int_equal(tidings_publish(handle, &update, &result), TIDINGS_OK);
        assert_true(result.spooled);
    }
    tidings_close(handle); /* the process ends; another one starts */
    struct fake_node *node = fake_node_start(test_path("later"), 1, NULL, NULL);
    handle = test_open(options, "later", NULL);
    fake_node_wait_updates(node, 20);
    struct tidings_update update = running("job/new");
    assert_int_equal(tidings_publish(handle, &update, &result), TIDINGS_OK);
    assert_false(result.spooled);
    for (unsigned i = 0; i < 20; i++) {
        (void)snprintf(job, sizeof job, "job/%u", i);
        assert_string_equal(fake_node_record(node, i).job, job);
    }
    assert_string_equal(fake_node_record(node, 20).job, "job/new");
    assert_int_equal(fake_node_updates(node), 21);
    struct tidings_stats stats;
    tidings_get_stats(handle, &stats);
    assert_int_equal(stats.spool_bytes, 0);
    tidings_close(handle);
    handle = test_open(options, "later", NULL); /* acknowledged: nothing is replayed again */
    assert_int_equal(tidings_publish(handle, &update, &result), TIDINGS_OK);
    assert_int_equal(fake_node_updates(node), 22);
    tidings_close(handle);
    fake_node_stop(node);
}

static void test_a_final_report_from_the_spool_goes_as_a_full_one_and_stays_final(void **state)
{
    (void)state;
    char spool[128];
    (void)snprintf(spool, sizeof spool, "%s", test_path("final"));
    (void)unlink(spool);
    struct tidings_options options = {.spool = spool};
    tidings *handle = test_open(options, "later", NULL);
    struct tidings_update update = running("job/1");
    update.detail = "12 of 30 tables";
    assert_int_equal(tidings_publish(handle, &update, NULL), TIDINGS_OK);
    update.state = TIDINGS_COMPLETED;
    update.detail = NULL;
    assert_int_equal(tidings_publish(handle, &update, NULL), TIDINGS_OK);
    tidings_close(handle); /* the process ends; another one starts */
    struct fake_node *node = fake_node_start(test_path("later"), 1, refuse_partial, NULL);
    handle = test_open(options, "later", NULL);
    fake_node_wait_updates(node, 4);
    struct fake_record last = fake_node_record(node, 3);
    assert_int_equal(last.state, TIDINGS_COMPLETED);
    assert_int_equal(last.fields, TD_FIELDS_ALL);
    assert_string_equal(last.detail, "12 of 30 tables");
    tidings_close(handle);
    fake_node_stop(node);
}

static void test_a_full_spool_says_full(void **state)
{
    (void)state;
    char spool[128];
    (void)snprintf(spool, sizeof spool, "%s", test_path("small"));
    (void)unlink(spool);
    struct tidings_options options = {.spool = spool, .spool_bytes_max = 600, .timeout_ms = 300};
    tidings *handle = test_open(options, "nobody", NULL);
    struct tidings_update update = running("job/1");
    int err = TIDINGS_OK;
    unsigned spooled = 0;
    while (err == TIDINGS_OK && spooled < 100) {
        err = tidings_publish(handle, &update, NULL);
        spooled += err == TIDINGS_OK;
    }
    assert_true(spooled > 0 && spooled < 10);
    assert_int_equal(tidings_publish(handle, &update, NULL), TIDINGS_FULL);
    tidings_close(handle);
}

int main(void)
{
    (void)unsetenv("TIDINGS_NODE");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_publish_returns_what_the_node_gave_it),
        cmocka_unit_test(test_a_wrong_update_is_refused_before_it_is_queued),
        cmocka_unit_test(test_updates_are_coalesced_while_answers_are_out),
        cmocka_unit_test(test_several_requests_are_in_flight_and_bounded),
        cmocka_unit_test(test_a_full_queue_says_so_and_takes_more_once_answered),
        cmocka_unit_test(test_reports_that_a_full_node_never_takes_are_told_so),
        cmocka_unit_test(test_an_unanswered_publish_is_sent_again),
        cmocka_unit_test(test_after_failing_over_the_token_of_the_first_node_goes_along),
        cmocka_unit_test(test_a_partial_report_refused_elsewhere_goes_as_a_full_one),
        cmocka_unit_test(test_a_report_sent_again_does_not_put_an_older_status_over_a_later_one),
        cmocka_unit_test(test_a_final_report_sent_again_stays_final),
        cmocka_unit_test(test_a_draining_node_is_left_for_the_next),
        cmocka_unit_test(test_a_stuck_node_leaves_time_for_the_next),
        cmocka_unit_test(test_a_wrong_address_is_told_at_once),
        cmocka_unit_test(test_closing_answers_what_is_open),
        cmocka_unit_test(test_the_spool_keeps_reports_and_replays_them_in_order),
        cmocka_unit_test(test_a_final_report_from_the_spool_goes_as_a_full_one_and_stays_final),
        cmocka_unit_test(test_a_full_spool_says_full),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    test_folder_remove();
    return failed;
}
