/* history_test.c -- the history checker on short histories: those that must pass, and one planted
 * violation of each kind, which it has to name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cluster-tests/history/history.h"

struct fixture {
    struct history *history;
    uint64_t call;
};

static int setup(void **state)
{
    static struct fixture fixture;
    fixture = (struct fixture){history_new(), 0};
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    history_free(fixture->history);
    return 0;
}

/* A report of this region: seq names it, the stamp follows. */
static struct history_report report(uint8_t region, uint64_t seq, uint8_t rank, uint64_t ms)
{
    return (struct history_report){rank, rank == 2 ? 5 : 2, ms, 0, {region, 1, 77, seq}};
}

struct told {
    uint32_t client, node;
    uint64_t process, from_ms, to_ms;
    struct history_report report, seen;
    bool noop, token, settled, unknown;
    struct history_age age;
    const char *job;
};

static struct history_event answer_of(struct fixture *fixture, const struct told *told)
{
    return (struct history_event){.time_ms = told->to_ms,
                                  .client = told->client,
                                  .call = fixture->call,
                                  .node = told->node,
                                  .process = told->process,
                                  .job = told->job == NULL ? "etl/a" : told->job,
                                  .attempt = 1,
                                  .noop = told->noop,
                                  .found = !told->unknown,
                                  .report = told->report,
                                  .age_count = told->age.region != 0,
                                  .ages = &told->age};
}

static bool publish(struct fixture *fixture, struct told told)
{
    struct history_event call = {.kind = HISTORY_PUBLISH,
                                 .time_ms = told.from_ms,
                                 .client = told.client,
                                 .call = ++fixture->call,
                                 .seen = told.seen};
    bool good = history_add(fixture->history, &call);
    struct history_event answer = answer_of(fixture, &told);
    answer.kind = HISTORY_ACK;
    return history_add(fixture->history, &answer) && good;
}

static bool read_back(struct fixture *fixture, struct told told)
{
    struct history_event call = {.kind = HISTORY_READ,
                                 .time_ms = told.from_ms,
                                 .client = told.client,
                                 .call = ++fixture->call,
                                 .token = told.token,
                                 .settled = told.settled};
    bool good = history_add(fixture->history, &call);
    struct history_event answer = answer_of(fixture, &told);
    answer.kind = HISTORY_SHOWN;
    return history_add(fixture->history, &answer) && good;
}

static void assert_rule(struct fixture *fixture, const char *rule)
{
    const struct history_verdict *verdict = history_verdict(fixture->history);
    assert_non_null(verdict->rule);
    assert_string_equal(verdict->rule, rule);
    assert_true(verdict->text[0] != '\0');
}

static void test_an_honest_history_passes_and_was_compared(void **state)
{
    struct fixture *it = *state;
    struct history_report a = report(1, 1, 0, 100), b = report(1, 2, 0, 200),
                          end = report(2, 1, 2, 150);

    assert_true(publish(it, (struct told){1, 1, 9, 10, 20, .report = a}));
    assert_true(publish(it, (struct told){1, 1, 9, 30, 40, .report = b, .seen = a}));
    assert_true(publish(it, (struct told){1, 1, 9, 41, 42, .report = b, .seen = b, .noop = true}));
    /* Another node that has not heard of it yet, asked without a token: any answer is a good one.
     */
    assert_true(read_back(it, (struct told){2, 2, 9, 50, 60, .unknown = true}));
    assert_true(read_back(it, (struct told){2, 2, 9, 70, 80, .report = a}));
    assert_true(read_back(it, (struct told){1, 2, 9, 90, 95, .report = b, .token = true}));
    assert_true(publish(
        it, (struct told){3, 2, 9, 96, 99, .report = end})); /* a final beats a later stamp */
    assert_true(read_back(
        it, (struct told){1, 1, 9, 100, 110, .report = end, .token = true, .settled = true}));
    assert_true(history_compared(it->history) >= 6);
    assert_null(history_verdict(it->history)->rule);
}

static void test_overlapping_answers_of_one_process_may_cross(void **state)
{
    struct fixture *it = *state;

    assert_true(read_back(it, (struct told){1, 1, 9, 10, 30, .report = report(1, 2, 0, 200)}));
    assert_true(read_back(it, (struct told){2, 1, 9, 20, 40, .report = report(1, 1, 0, 100)}));
}

static void test_i1_an_acknowledged_report_is_gone_at_its_own_node(void **state)
{
    struct fixture *it = *state;

    assert_true(publish(it, (struct told){1, 1, 9, 10, 20, .report = report(1, 1, 0, 100)}));
    assert_false(
        read_back(it, (struct told){2, 1, 10, 30, 40, .unknown = true})); /* after a restart */
    assert_rule(it, "I1");
}

static void test_i1_an_acknowledged_report_is_gone_after_healing(void **state)
{
    struct fixture *it = *state;

    assert_true(publish(it, (struct told){1, 1, 9, 10, 20, .report = report(1, 2, 0, 200)}));
    assert_false(read_back(
        it, (struct told){2, 2, 9, 30, 40, .report = report(1, 1, 0, 100), .settled = true}));
    assert_rule(it, "I1");
}

static void test_i3_a_process_shows_less_than_before(void **state)
{
    struct fixture *it = *state;

    assert_true(read_back(it, (struct told){1, 1, 9, 10, 20, .report = report(1, 2, 2, 100)}));
    assert_false(read_back(it, (struct told){2, 1, 9, 30, 40, .report = report(1, 3, 0, 300)}));
    assert_rule(it, "I3");
}

static void test_i3_a_new_process_may_show_less_than_was_not_durable(void **state)
{
    struct fixture *it = *state;

    assert_true(read_back(it, (struct told){1, 1, 9, 10, 20, .report = report(2, 2, 0, 200)}));
    assert_true(read_back(it, (struct told){2, 1, 10, 30, 40, .report = report(2, 1, 0, 100)}));
}

static void test_i3_a_reader_with_a_token_is_shown_less(void **state)
{
    struct fixture *it = *state;

    assert_true(read_back(it, (struct told){1, 1, 9, 10, 20, .report = report(1, 2, 0, 200)}));
    assert_true(read_back(
        it, (struct told){2, 2, 9, 30, 40, .report = report(1, 1, 0, 100), .token = true}));
    assert_false(read_back(
        it, (struct told){1, 2, 9, 50, 60, .report = report(1, 1, 0, 100), .token = true}));
    assert_rule(it, "I3");
}

static void test_i4_a_publish_below_its_token(void **state)
{
    struct fixture *it = *state;
    struct history_report seen = report(1, 1, 0, 500);

    assert_true(read_back(it, (struct told){1, 1, 9, 10, 20, .report = seen}));
    assert_false(
        publish(it, (struct told){1, 2, 9, 30, 40, .report = report(2, 1, 0, 400), .seen = seen}));
    assert_rule(it, "I4");
}

static void test_i4_a_publish_below_what_its_node_had_shown(void **state)
{
    struct fixture *it = *state;

    assert_true(read_back(it, (struct told){1, 1, 9, 10, 20, .report = report(2, 1, 0, 500)}));
    assert_false(publish(it, (struct told){2, 1, 9, 30, 40, .report = report(1, 1, 0, 400)}));
    assert_rule(it, "I4");
}

static void test_i4_a_noop_below_its_token(void **state)
{
    struct fixture *it = *state;
    struct history_report seen = report(1, 2, 0, 500);

    assert_false(publish(it, (struct told){1, 2, 9, 30, 40, .report = report(1, 1, 0, 400),
                                           .seen = seen, .noop = true}));
    assert_rule(it, "I4");
}

static void test_i6_complete_as_of_then_but_lacks_what_was_acknowledged_before(void **state)
{
    struct fixture *it = *state;
    struct told told = {2, 2, 9, 1000, 1010, .unknown = true, .age = {1, true, 500}};

    assert_true(publish(it, (struct told){1, 1, 9, 510, 520, .report = report(1, 1, 0, 100)}));
    assert_true(read_back(it, told)); /* complete as of 500: says nothing of 520 */
    told.age.age_ms = 400;
    told.from_ms = 1020;
    told.to_ms = 1030;
    assert_false(read_back(it, told)); /* complete as of 620 */
    assert_rule(it, "I6");
}

static void test_i6_an_unknown_age_promises_nothing(void **state)
{
    struct fixture *it = *state;

    assert_true(publish(it, (struct told){1, 1, 9, 10, 20, .report = report(1, 1, 0, 100)}));
    assert_true(
        read_back(it, (struct told){2, 2, 9, 1000, 1010, .unknown = true, .age = {1, false, 0}}));
}

static void test_i7_one_dot_names_two_reports(void **state)
{
    struct fixture *it = *state;

    assert_true(publish(it, (struct told){1, 1, 9, 10, 20, .report = report(1, 1, 0, 100)}));
    assert_false(publish(
        it, (struct told){2, 1, 10, 30, 40, .report = report(1, 1, 0, 100), .job = "etl/b"}));
    assert_rule(it, "I7");
}

static void test_i7_reports_that_were_joined_share_a_dot_but_no_stamp_of_another(void **state)
{
    struct fixture *it = *state;
    struct history_report a = report(1, 1, 0, 100), end = report(1, 1, 2, 100),
                          other = report(1, 1, 2, 101);

    a.state = end.state = other.state = HISTORY_STATE_UNKNOWN;
    assert_true(publish(it, (struct told){1, 1, 9, 10, 20, .report = a}));
    assert_true(publish(it, (struct told){2, 1, 9, 10, 21, .report = end}));
    assert_false(publish(it, (struct told){3, 1, 9, 10, 22, .report = other}));
    assert_rule(it, "I7");
}

static void test_a_ruined_disk_and_a_forgiven_region_owe_nothing(void **state)
{
    struct fixture *it = *state;

    assert_true(publish(it, (struct told){1, 1, 9, 10, 20, .report = report(1, 1, 0, 100)}));
    history_ruined(it->history, 1);
    assert_true(read_back(it, (struct told){2, 1, 10, 30, 40, .unknown = true}));
    history_forgive(it->history, 1);
    assert_true(read_back(it, (struct told){2, 2, 9, 50, 60, .unknown = true, .settled = true}));
    assert_true(read_back(it, (struct told){1, 2, 9, 70, 80, .unknown = true, .token = true}));
}

static void test_a_call_without_an_answer_says_nothing(void **state)
{
    struct fixture *it = *state;
    struct history_event call = {.kind = HISTORY_PUBLISH, .time_ms = 10, .client = 1, .call = 900};
    struct history_event gone = {.kind = HISTORY_GONE, .time_ms = 20, .client = 1, .call = 900};

    assert_true(history_add(it->history, &call));
    assert_true(history_add(it->history, &gone));
    assert_true(read_back(it, (struct told){2, 1, 9, 30, 40, .unknown = true, .settled = true}));
    assert_int_equal(history_compared(it->history), 0);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_an_honest_history_passes_and_was_compared),
        CASE(test_overlapping_answers_of_one_process_may_cross),
        CASE(test_i1_an_acknowledged_report_is_gone_at_its_own_node),
        CASE(test_i1_an_acknowledged_report_is_gone_after_healing),
        CASE(test_i3_a_process_shows_less_than_before),
        CASE(test_i3_a_new_process_may_show_less_than_was_not_durable),
        CASE(test_i3_a_reader_with_a_token_is_shown_less),
        CASE(test_i4_a_publish_below_its_token),
        CASE(test_i4_a_publish_below_what_its_node_had_shown),
        CASE(test_i4_a_noop_below_its_token),
        CASE(test_i6_complete_as_of_then_but_lacks_what_was_acknowledged_before),
        CASE(test_i6_an_unknown_age_promises_nothing),
        CASE(test_i7_one_dot_names_two_reports),
        CASE(test_i7_reports_that_were_joined_share_a_dot_but_no_stamp_of_another),
        CASE(test_a_ruined_disk_and_a_forgiven_region_owe_nothing),
        CASE(test_a_call_without_an_answer_says_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
