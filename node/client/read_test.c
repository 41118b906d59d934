/* read_test.c -- reads, watch, wait and raw calls against nodes of this process. */
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
    struct fake_node *node = fake_node_start(test_path("a"), 9, answer_get, NULL);
    tidings *handle = test_open((struct tidings_options){0}, "a", NULL);
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
    struct fake_node *node = fake_node_start(test_path("a"), 1, answer_list, NULL);
    tidings *handle = test_open((struct tidings_options){0}, "a", NULL);
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
        const uint64_t after_seq =
            request->after.entry_count > 0 ? request->after.entries[0].seq : 0;
        __atomic_store_n(&feed->seen_after_seq, after_seq, __ATOMIC_RELEASE);
        __atomic_store_n(&feed->resumed, true, __ATOMIC_RELEASE);
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
    struct fake_node *a = fake_node_start(test_path("a"), 1, answer_feed, &first);
    struct fake_node *b = fake_node_start(test_path("b"), 2, answer_feed, &second);
    tidings *handle = test_open((struct tidings_options){0}, "a", "b");
    struct tidings_watch_options options = {.from_start = true, .idle_ms = 50};
    struct watched watched = {.updates_wanted = 4};
    assert_int_equal(tidings_watch(handle, &options, on_watch, &watched), TIDINGS_OK);
    assert_int_equal(watched.updates, 4);
    assert_int_equal(watched.resets, 1);
    assert_int_equal(watched.updates_at_reset, 2);
    assert_true(__atomic_load_n(&second.resumed, __ATOMIC_ACQUIRE));
    assert_true(__atomic_load_n(&second.seen_after_seq, __ATOMIC_ACQUIRE) == 101);
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
    struct fake_node *node = fake_node_start(test_path("a"), 1, answer_feed, &feed);
    tidings *handle = test_open((struct tidings_options){0}, "a", NULL);
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

/* A job that does not end, at a node that does not hear a region: each look says so. */
static enum fake_act answer_unheard(void *self, struct fake_node *node,
                                    const struct td_request *request, struct td_response *response)
{
    static struct td_register_view view;
    static const struct td_fresh_view fresh = {.region = {2}, .age_known = true, .age_ms = 240000};
    static const struct td_region_name name = {{2}, {"us", 2}};
    (void)self;
    (void)node;
    response->freshness_count = 1;
    response->freshness = &fresh;
    response->name_count = 1;
    response->names = &name;
    response->certain = false;
    if (request->op == TD_OP_GET) {
        view = view_of("job/1", TD_STATE_RUNNING, 5);
        response->u.registers.count = 1;
        response->u.registers.registers = &view;
    }
    return FAKE_ANSWER;
}

static void count_waiting(void *self, const struct tidings_freshness *freshness)
{
    unsigned *count = self;
    assert_false(freshness->certain);
    assert_string_equal(freshness->deciding_region, "us");
    assert_int_equal(freshness->regions[0].age_ms, 240000);
    *count += 1;
}

static void test_wait_says_how_complete_the_node_is_while_it_waits(void **state)
{
    (void)state;
    struct fake_node *node = fake_node_start(test_path("a"), 1, answer_unheard, NULL);
    tidings *handle = test_open((struct tidings_options){0}, "a", NULL);
    unsigned count = 0;
    struct tidings_wait_job job = {.job = "job/1"};
    struct tidings_wait_options options = {
        .timeout_ms = 1200, .waiting = count_waiting, .waiting_self = &count};
    assert_int_equal(tidings_wait(handle, &job, 1, &options, NULL), TIDINGS_ETIMEOUT);
    assert_in_range(count, 2, 1000);
    count = 0;
    options.states = 1 << TIDINGS_RUNNING; /* already there: nobody has to wait */
    assert_int_equal(tidings_wait(handle, &job, 1, &options, NULL), TIDINGS_OK);
    assert_int_equal(count, 0);
    tidings_close(handle);
    fake_node_stop(node);
}

static void test_a_raw_call_returns_the_answer_and_who_gave_it(void **state)
{
    (void)state;
    struct fake_node *node = fake_node_start(test_path("a"), 4, answer_get, NULL);
    tidings *handle = test_open((struct tidings_options){0}, "a", NULL);
    struct td_request request = {.op = TD_OP_STATUS};
    struct td_call_result result;
    assert_int_equal(td_call(handle, &request, NULL, &result), TD_OK);
    assert_int_equal(result.response.op, TD_OP_STATUS);
    assert_int_equal(result.response.node.v, 4);
    assert_memory_equal(result.response.node_name.bytes, "node-4", 6);
    char expected[200];
    (void)snprintf(expected, sizeof expected, "ipc://%s", test_path("a"));
    assert_string_equal(result.node_address, expected);
    td_call_release(&result);
    tidings_close(handle);
    fake_node_stop(node);
}

int main(void)
{
    (void)unsetenv("TIDINGS_NODE");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_get_tells_status_and_freshness),
        cmocka_unit_test(test_list_passes_over_empty_pages),
        cmocka_unit_test(test_watch_resumes_on_the_next_node_and_says_so),
        cmocka_unit_test(test_wait_ends_on_another_final_state),
        cmocka_unit_test(test_wait_says_how_complete_the_node_is_while_it_waits),
        cmocka_unit_test(test_a_raw_call_returns_the_answer_and_who_gave_it),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    test_folder_remove();
    return failed;
}
