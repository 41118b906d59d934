/* filter_test.c -- state, origin, prefix, since, silent and conflicts as a filter, or 400. */
#include <time.h>

#include "node/http/fake_node.h"
#include "node/http/internal.h"
#include "node/http/test_main.h"

struct fixture {
    struct td_fake_node fake;
    struct td_http http;
    struct td_http_request request; /* on no connection: a problem shows in its status alone */
};

static int setup(void **state)
{
    static const struct td_region_name names[] = {{{1}, {"eu-west", 7}}, {{2}, {"us-east", 7}}};
    struct fixture *fixture = calloc(1, sizeof *fixture);
    if (fixture == NULL || !td_fake_node_open(&fixture->fake, &fixture->http.seats, 1)) {
        return -1;
    }
    fixture->fake.answer.names = names;
    fixture->fake.answer.name_count = 2;
    fixture->http.ops = fixture->fake.ops;
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    td_fake_node_close(&fixture->fake);
    free(fixture);
    return 0;
}

static void give(struct fixture *fixture, enum td_param param, const char *value)
{
    fixture->request.params.values[param] = (struct td_text){value, (uint32_t)strlen(value)};
}

/* Whether the one parameter was taken; a refusal has its status. */
static bool take(struct fixture *fixture, enum td_param param, const char *value,
                 struct td_filter *ret_filter)
{
    memset(&fixture->request, 0, sizeof fixture->request);
    memset(ret_filter, 0, sizeof *ret_filter);
    fixture->request.http = &fixture->http;
    give(fixture, param, value);
    bool taken = td_http_filter(&fixture->request, ret_filter);
    assert_int_equal(fixture->request.status, taken ? 0 : 400);
    return taken;
}

static void test_states_are_a_list_of_words(void **state)
{
    struct td_filter filter;
    assert_true(take(*state, TD_PARAM_state, "failed,lost", &filter));
    assert_int_equal(filter.states, 1u << TD_STATE_FAILED | 1u << TD_STATE_LOST);
    assert_true(take(*state, TD_PARAM_state, "", &filter));
    assert_int_equal(filter.states, 0);
    assert_true(take(*state, TD_PARAM_state, "running,", &filter));
    assert_false(take(*state, TD_PARAM_state, "running,,failed", &filter));
    assert_false(take(*state, TD_PARAM_state, "Running", &filter));
    assert_false(take(*state, TD_PARAM_state, "dead", &filter));
}

static void test_since_is_a_duration_or_a_time(void **state)
{
    struct td_filter filter;
    uint64_t now_ms = (uint64_t)time(NULL) * 1000;
    assert_true(take(*state, TD_PARAM_since, "10m", &filter));
    assert_in_range(filter.since_ms, now_ms - 601000, now_ms - 590000);
    assert_true(take(*state, TD_PARAM_since, "2026-03-02T14:00:00Z", &filter));
    assert_int_equal(filter.since_ms, UINT64_C(1772460000000));
    assert_true(take(*state, TD_PARAM_since, "5000w", &filter)); /* before 1970: everything */
    assert_int_equal(filter.since_ms, 1);
    assert_false(take(*state, TD_PARAM_since, "yesterday", &filter));
}

static void test_prefix_and_flags(void **state)
{
    struct td_filter filter;
    char prefix[TD_JOB_BYTES_MAX + 2];
    memset(prefix, 'p', sizeof prefix);
    prefix[TD_JOB_BYTES_MAX + 1] = '\0';
    assert_false(take(*state, TD_PARAM_prefix, prefix, &filter));
    assert_true(take(*state, TD_PARAM_prefix, prefix + 1, &filter));
    assert_int_equal(filter.prefix.count, TD_JOB_BYTES_MAX);
    assert_true(take(*state, TD_PARAM_silent, "", &filter));
    assert_true(filter.silent && !filter.conflicts);
    assert_true(take(*state, TD_PARAM_conflicts, "0", &filter));
    assert_false(filter.conflicts);
    assert_false(take(*state, TD_PARAM_silent, "maybe", &filter));
}

static void test_an_origin_is_asked_of_the_node_by_name(void **state)
{
    struct fixture *fixture = *state;
    struct td_filter filter;
    assert_true(take(fixture, TD_PARAM_origin, "us-east", &filter));
    assert_int_equal(filter.origin.v, 2);
    assert_int_equal(fixture->fake.last.op, TD_OP_STATUS);
    assert_false(take(fixture, TD_PARAM_origin, "us-eas", &filter));
    assert_int_equal(filter.origin.v, 0);
    assert_false(take(fixture, TD_PARAM_origin, "", &filter));
}

static void test_a_busy_node_is_not_a_wrong_filter(void **state)
{
    struct fixture *fixture = *state;
    struct td_filter filter = {0};
    fixture->request.http = &fixture->http;
    fixture->fake.answer.err = TD_EBUSY;
    give(fixture, TD_PARAM_origin, "us-east");
    assert_false(td_http_filter(&fixture->request, &filter));
    assert_int_equal(fixture->request.status, 429);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_states_are_a_list_of_words),
        TEST(test_since_is_a_duration_or_a_time),
        TEST(test_prefix_and_flags),
        TEST(test_an_origin_is_asked_of_the_node_by_name),
        TEST(test_a_busy_node_is_not_a_wrong_filter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
