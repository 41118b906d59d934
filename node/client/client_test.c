/* client_test.c -- the library against nodes of this process: coalescing, bounds, failing over,
 * resends, full statuses, spool, watch and wait. */
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

static char folder[64];

static const char *path_of(const char *name)
{
    static char paths[8][128];
    static unsigned next;
    char *path = paths[next++ % 8];
    (void)snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static tidings *open_with(struct tidings_options options, const char *first, const char *second)
{
    char nodes[300];
    char why[256];
    tidings *handle = NULL;
    (void)snprintf(nodes, sizeof nodes, "ipc://%s%s%s", path_of(first),
                   second != NULL ? ",ipc://" : "", second != NULL ? path_of(second) : "");
    options.nodes = nodes;
    int err = tidings_open(&options, &handle, why, sizeof why);
    if (err != TIDINGS_OK) {
        fail_msg("%s", why);
    }
    return handle;
}

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
    struct fake_node *node = fake_node_start(path_of("a"), 3, NULL, NULL);
    tidings *handle = open_with((struct tidings_options){.writer = "w-1"}, "a", NULL);
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
    struct fake_node *node = fake_node_start(path_of("a"), 1, NULL, NULL);
    tidings *handle = open_with((struct tidings_options){0}, "a", NULL);
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
    struct fake_node *node = fake_node_start(path_of("a"), 1, NULL, NULL);
    tidings *handle = open_with((struct tidings_options){.in_flight_max = 1}, "a", NULL);
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
    struct fake_node *node = fake_node_start(path_of("a"), 1, NULL, NULL);
    struct tidings_options options = {.in_flight_max = 3, .batch_updates_max = 10};
    tidings *handle = open_with(options, "a", NULL);
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
    struct fake_node *node = fake_node_start(path_of("a"), 1, NULL, NULL);
    tidings *handle = open_with((struct tidings_options){.queue_updates_max = 8}, "a", NULL);
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

static void test_an_unanswered_publish_is_sent_again(void **state)
{
    (void)state;
    atomic_uint drops = 1;
    struct fake_node *node = fake_node_start(path_of("a"), 1, drop_first, &drops);
    tidings *handle = open_with((struct tidings_options){0}, "a", NULL);
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
    struct fake_node *a = fake_node_start(path_of("a"), 1, NULL, NULL);
    struct fake_node *b = fake_node_start(path_of("b"), 2, NULL, NULL);
    tidings *handle = open_with((struct tidings_options){0}, "a", "b");
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
    struct fake_node *a = fake_node_start(path_of("a"), 1, NULL, NULL);
    struct fake_node *b = fake_node_start(path_of("b"), 2, refuse_partial, NULL);
    tidings *handle = open_with((struct tidings_options){0}, "a", "b");
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
    struct fake_node *a = fake_node_start(path_of("a"), 1, draining, NULL);
    struct fake_node *b = fake_node_start(path_of("b"), 2, NULL, NULL);
    tidings *handle = open_with((struct tidings_options){0}, "a", "b");
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
    struct fake_node *a = fake_node_start(path_of("a"), 1, silent, NULL);
    struct fake_node *b = fake_node_start(path_of("b"), 2, NULL, NULL);
    tidings *handle = open_with((struct tidings_options){.timeout_ms = 2000}, "a", "b");
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
    tidings *handle = open_with((struct tidings_options){.timeout_ms = 60000}, "nobody", NULL);
    struct tidings_update update = running("job/1");
    assert_int_equal(tidings_publish(handle, &update, NULL), TIDINGS_ENONODE);
    struct tidings_status status;
    assert_int_equal(tidings_get(handle, "job/1", 0, &status, NULL), TIDINGS_ENONODE);
    tidings_close(handle);
}

static void test_closing_answers_what_is_open(void **state)
{
    (void)state;
    struct fake_node *node = fake_node_start(path_of("a"), 1, NULL, NULL);
    tidings *handle = open_with((struct tidings_options){0}, "a", NULL);
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
    (void)snprintf(spool, sizeof spool, "%s", path_of("spool"));
    (void)unlink(spool);
    struct tidings_options options = {.spool = spool};
    tidings *handle = open_with(options, "later", NULL);
    struct tidings_result result;
    for (unsigned i = 0; i < 20; i++) {
        (void)snprintf(job, sizeof job, "job/%u", i);
        struct tidings_update update = running(job);
        assert_int_equal(tidings_publish(handle, &update, &result), TIDINGS_OK);
        assert_true(result.spooled);
    }
    tidings_close(handle); /* the process ends; another one starts */
    struct fake_node *node = fake_node_start(path_of("later"), 1, NULL, NULL);
    handle = open_with(options, "later", NULL);
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
    handle = open_with(options, "later", NULL); /* acknowledged: nothing is replayed again */
    assert_int_equal(tidings_publish(handle, &update, &result), TIDINGS_OK);
    assert_int_equal(fake_node_updates(node), 22);
    tidings_close(handle);
    fake_node_stop(node);
}

static void test_a_full_spool_says_full(void **state)
{
    (void)state;
    char spool[128];
    (void)snprintf(spool, sizeof spool, "%s", path_of("small"));
    (void)unlink(spool);
    struct tidings_options options = {.spool = spool, .spool_bytes_max = 600, .timeout_ms = 300};
    tidings *handle = open_with(options, "nobody", NULL);
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

/* ---- reads ---- */

static struct td_register_view view_of(const char *job, enum td_state state, uint64_t arrival)
{
    struct td_register_view view = {.job = {job, (uint32_t)strlen(job)}, .attempt = 1};
    view.status.state = state;
    view.status.entered_ms[state] = UINT64_C(1700000000000) + arrival;
    view.stamp.ms = UINT64_C(1700000000000) + arrival;
    view.dot.origin.region.v = 1;
    view.dot.origin.incarnation.start = 1;
    view.dot.seq = arrival;
    view.arrival = arrival;
    return view;
}

static enum fake_act answer_get(void *self, struct fake_node *node,
                                const struct td_request *request, struct td_response *response)
{
    static struct td_register_view view;
    static const struct td_fresh_view fresh[2] = {
        {.region = {1}, .age_known = true, .age_ms = 900},
        {.region = {2}, .missing_known = true, .missing = 4},
    };
    static const struct td_region_name names[2] = {{{1}, {"eu", 2}}, {{2}, {"us", 2}}};
    (void)self;
    (void)node;
    response->freshness_count = 2;
    response->freshness = fresh;
    response->name_count = 2;
    response->names = names;
    response->certain = false;
    if (request->op == TD_OP_GET && request->u.get.job.count == 5) {
        view = view_of("known", TD_STATE_RUNNING, 5);
        response->u.registers.count = 1;
        response->u.registers.registers = &view;
    } else if (request->op == TD_OP_GET) {
        response->err = TD_EUNKNOWN;
    }
    return FAKE_ANSWER;
}

static void test_get_tells_status_and_freshness(void **state)
{
    (void)state;
    struct fake_node *node = fake_node_start(path_of("a"), 9, answer_get, NULL);
    tidings *handle = open_with((struct tidings_options){0}, "a", NULL);
    struct tidings_status status;
    struct tidings_freshness freshness;
    assert_int_equal(tidings_get(handle, "known", 0, &status, &freshness), TIDINGS_OK);
    assert_string_equal(status.job, "known");
    assert_int_equal(status.state, TIDINGS_RUNNING);
    assert_int_equal(status.progress, TIDINGS_PROGRESS_UNKNOWN);
    assert_string_equal(status.origin, "eu");
    assert_false(freshness.certain);
    assert_string_equal(freshness.deciding_region, "us"); /* unknown counts as the oldest */
    assert_false(freshness.regions[1].age_known);
    assert_int_equal(tidings_get(handle, "unknown", 0, &status, &freshness), TIDINGS_EUNKNOWN);
    assert_int_equal(freshness.region_count, 2);
    tidings_close(handle);
    fake_node_stop(node);
}

static enum fake_act answer_list(void *self, struct fake_node *node,
                                 const struct td_request *request, struct td_response *response)
{
    static struct td_register_view views[2];
    (void)self;
    (void)node;
    /* Pages: one register, an empty slice, one register, the end. */
    static const uint64_t next[] = {10, 20, 0};
    uint64_t page = request->u.list.cursor / 10;
    response->u.registers.next_cursor = next[page];
    response->u.registers.count = page == 1 ? 0 : 1;
    views[0] = view_of(page == 0 ? "one" : "two", TD_STATE_PENDING, 1);
    response->u.registers.registers = views;
    return FAKE_ANSWER;
}

static void test_list_passes_over_empty_pages(void **state)
{
    (void)state;
    struct fake_node *node = fake_node_start(path_of("a"), 1, answer_list, NULL);
    tidings *handle = open_with((struct tidings_options){0}, "a", NULL);
    tidings_list *list = NULL;
    struct tidings_status status;
    bool more = false;
    assert_int_equal(tidings_list_open(handle, NULL, &list), TIDINGS_OK);
    assert_int_equal(tidings_list_next(list, &status, &more, NULL), TIDINGS_OK);
    assert_true(more);
    assert_string_equal(status.job, "one");
    assert_int_equal(tidings_list_next(list, &status, &more, NULL), TIDINGS_OK);
    assert_true(more);
    assert_string_equal(status.job, "two");
    assert_int_equal(tidings_list_next(list, &status, &more, NULL), TIDINGS_OK);
    assert_false(more);
    tidings_list_close(list);
    tidings_close(handle);
    fake_node_stop(node);
}

/* A node with two changes, then nothing; it can be told to drop the link after them. */
struct feed {
    enum td_state second;
    uint64_t first_arrival;
    bool drop_after;
    uint64_t seen_after_seq; /* of the vector a resuming request carried */
    bool resumed;
};

static enum fake_act answer_feed(void *self, struct fake_node *node,
                                 const struct td_request *request, struct td_response *response)
{
    static struct td_register_view views[2];
    static struct td_vv_entry has;
    struct feed *feed = self;
    (void)node;
    uint64_t first = feed->first_arrival;
    if (request->op == TD_OP_GET) {
        bool known = memcmp(request->u.get.job.bytes, "job/1", 5) == 0;
        views[0] = view_of("job/1", TD_STATE_RUNNING, first);
        response->err = known ? TD_OK : TD_EUNKNOWN;
        response->u.registers.count = known;
        response->u.registers.registers = views;
        return FAKE_ANSWER;
    }
    bool ours = request->u.watch.process.start == response->process.start;
    if (request->u.watch.process.start != 0 && !ours) {
        feed->resumed = true;
        feed->seen_after_seq = request->after.entry_count > 0 ? request->after.entries[0].seq : 0;
    }
    views[0] = view_of("job/1", TD_STATE_RUNNING, first);
    views[1] = view_of("job/1", feed->second, first + 1);
    bool behind = !ours || request->u.watch.cursor < first;
    if (ours && !behind && feed->drop_after) {
        return FAKE_DROP;
    }
    response->u.registers.count = behind ? 2 : 0;
    response->u.registers.registers = views;
    response->u.registers.next_cursor = first + 1;
    has = (struct td_vv_entry){{{1}, {1, 1}}, first + 1};
    response->has.entry_count = 1;
    response->has.entries = &has;
    return FAKE_ANSWER;
}

struct watched {
    unsigned updates, resets;
    unsigned updates_at_reset;
    unsigned updates_wanted;
    char cursor[TIDINGS_CURSOR_BYTES];
};

static bool on_watch(void *self, const struct tidings_watch_at *at)
{
    struct watched *watched = self;
    watched->updates += at->event == TIDINGS_WATCH_UPDATE;
    if (at->event == TIDINGS_WATCH_RESET) {
        watched->resets++;
        watched->updates_at_reset = watched->updates;
    }
    (void)snprintf(watched->cursor, sizeof watched->cursor, "%s", at->cursor);
    return watched->updates < watched->updates_wanted;
}

static void test_watch_resumes_on_the_next_node_and_says_so(void **state)
{
    (void)state;
    struct feed first = {.second = TD_STATE_RUNNING, .first_arrival = 100, .drop_after = true};
    struct feed second = {.second = TD_STATE_COMPLETED, .first_arrival = 7};
    struct fake_node *a = fake_node_start(path_of("a"), 1, answer_feed, &first);
    struct fake_node *b = fake_node_start(path_of("b"), 2, answer_feed, &second);
    tidings *handle = open_with((struct tidings_options){0}, "a", "b");
    struct tidings_watch_options options = {.from_start = true, .idle_ms = 50};
    struct watched watched = {.updates_wanted = 4};
    assert_int_equal(tidings_watch(handle, &options, on_watch, &watched), TIDINGS_OK);
    assert_int_equal(watched.updates, 4);
    assert_int_equal(watched.resets, 1);
    assert_int_equal(watched.updates_at_reset, 2);
    assert_true(second.resumed);
    assert_true(second.seen_after_seq == 101);
    struct td_watch_cursor cursor;
    struct td_token_memory memory = {0};
    assert_int_equal(td_cursor_from_text(watched.cursor, &cursor, &memory), TD_OK);
    assert_true(cursor.arrival == 8);
    td_token_release(&memory);
    tidings_close(handle);
    fake_node_stop(a);
    fake_node_stop(b);
}

static void test_wait_ends_on_another_final_state(void **state)
{
    (void)state;
    struct feed feed = {.second = TD_STATE_FAILED, .first_arrival = 1};
    struct fake_node *node = fake_node_start(path_of("a"), 1, answer_feed, &feed);
    tidings *handle = open_with((struct tidings_options){0}, "a", NULL);
    struct tidings_wait_job job = {.job = "job/1"};
    struct tidings_wait_options options = {.states = 1 << TIDINGS_COMPLETED};
    assert_int_equal(tidings_wait(handle, &job, 1, &options, NULL), TIDINGS_EOTHERFINAL);
    assert_true(job.other_final);
    options.states = 1 << TIDINGS_FAILED;
    assert_int_equal(tidings_wait(handle, &job, 1, &options, NULL), TIDINGS_OK);
    options.states = 1 << TIDINGS_RUNNING; /* already passed */
    assert_int_equal(tidings_wait(handle, &job, 1, &options, NULL), TIDINGS_OK);
    options.timeout_ms = 200;
    struct tidings_wait_job other = {.job = "job/2"};
    assert_int_equal(tidings_wait(handle, &other, 1, &options, NULL), TIDINGS_ETIMEOUT);
    assert_false(other.seen);
    tidings_close(handle);
    fake_node_stop(node);
}

static void test_a_raw_call_returns_the_answer_and_who_gave_it(void **state)
{
    (void)state;
    struct fake_node *node = fake_node_start(path_of("a"), 4, answer_get, NULL);
    tidings *handle = open_with((struct tidings_options){0}, "a", NULL);
    struct td_request request = {.op = TD_OP_STATUS};
    struct td_call_result result;
    assert_int_equal(td_call(handle, &request, NULL, &result), TD_OK);
    assert_int_equal(result.response.op, TD_OP_STATUS);
    assert_int_equal(result.response.node.v, 4);
    assert_memory_equal(result.response.node_name.bytes, "node-4", 6);
    char expected[200];
    (void)snprintf(expected, sizeof expected, "ipc://%s", path_of("a"));
    assert_string_equal(result.node_address, expected);
    td_call_release(&result);
    tidings_close(handle);
    fake_node_stop(node);
}

int main(void)
{
    (void)snprintf(folder, sizeof folder, "/tmp/tidings_client_test.XXXXXX");
    if (mkdtemp(folder) == NULL) {
        return 1;
    }
    (void)unsetenv("TIDINGS_NODE");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_publish_returns_what_the_node_gave_it),
        cmocka_unit_test(test_a_wrong_update_is_refused_before_it_is_queued),
        cmocka_unit_test(test_updates_are_coalesced_while_answers_are_out),
        cmocka_unit_test(test_several_requests_are_in_flight_and_bounded),
        cmocka_unit_test(test_a_full_queue_says_so_and_takes_more_once_answered),
        cmocka_unit_test(test_an_unanswered_publish_is_sent_again),
        cmocka_unit_test(test_after_failing_over_the_token_of_the_first_node_goes_along),
        cmocka_unit_test(test_a_partial_report_refused_elsewhere_goes_as_a_full_one),
        cmocka_unit_test(test_a_draining_node_is_left_for_the_next),
        cmocka_unit_test(test_a_stuck_node_leaves_time_for_the_next),
        cmocka_unit_test(test_a_wrong_address_is_told_at_once),
        cmocka_unit_test(test_closing_answers_what_is_open),
        cmocka_unit_test(test_the_spool_keeps_reports_and_replays_them_in_order),
        cmocka_unit_test(test_a_full_spool_says_full),
        cmocka_unit_test(test_get_tells_status_and_freshness),
        cmocka_unit_test(test_list_passes_over_empty_pages),
        cmocka_unit_test(test_watch_resumes_on_the_next_node_and_says_so),
        cmocka_unit_test(test_wait_ends_on_another_final_state),
        cmocka_unit_test(test_a_raw_call_returns_the_answer_and_who_gave_it),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    char command[128];
    (void)snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command) == 0 ? failed : 1;
}
