/* checks_test.c -- what each check makes of an answer: limits at their edges, and what is not
 * known. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "node/cli/checks.h"
#include "proto/roster.h"

static struct td_check_row rows[TD_CHECK_ROWS_MAX];
static struct td_region_view regions[2];
static struct td_fresh_view fresh;

/* A node that is region 1 and a region 2 beside it with which all is well. */
static struct td_response well(void)
{
    regions[0] = (struct td_region_view){.region = {1}, .self = true};
    regions[1] = (struct td_region_view){.region = {2},
                                         .link_state = TD_LINK_UP,
                                         .direct = true,
                                         .heard = true,
                                         .heard_age_ms = 400,
                                         .they_lack_known = true,
                                         .offset_known = true};
    fresh = (struct td_fresh_view){.region = {2}, .age_known = true, .age_ms = 900};
    struct td_response response = {
        .op = TD_OP_STATUS, .now_ms = 1000000, .freshness_count = 1, .freshness = &fresh};
    response.u.status.region_count = 2;
    response.u.status.regions = regions;
    response.u.status.publishing = true;
    response.u.status.log_bytes = 10;
    response.u.status.log_limit_bytes = 1000;
    return response;
}

static const struct td_check_row *run(const struct td_response *response, enum td_check check)
{
    size_t count = td_checks_run(response, check, td_limits_default[check], rows);
    assert_int_equal(count, check == TD_CHECK_ALARMS ? 2 : 1);
    return &rows[count - 1];
}

static void expect(const struct td_response *response, enum td_check check, enum td_level level,
                   const char *word)
{
    const struct td_check_row *row = run(response, check);
    assert_int_equal(row->level, level);
    assert_string_equal(row->word, word);
}

static void test_a_healthy_node_is_ok_in_every_check(void **state)
{
    (void)state;
    struct td_response response = well();
    for (int check = 0; check < TD_CHECK_SILENT; check++) {
        expect(&response, (enum td_check)check, TD_LEVEL_OK, "ok");
    }
}

static void test_links(void **state)
{
    (void)state;
    struct td_response response = well();
    regions[1].heard_age_ms = 4999;
    expect(&response, TD_CHECK_LINKS, TD_LEVEL_OK, "ok");
    regions[1].heard_age_ms = 5000;
    expect(&response, TD_CHECK_LINKS, TD_LEVEL_WARNING, "late");
    regions[1].heard_age_ms = 10000;
    expect(&response, TD_CHECK_LINKS, TD_LEVEL_CRITICAL, "late");
    regions[1].heard_age_ms = 1;
    regions[1].link_state = TD_LINK_LATE;
    expect(&response, TD_CHECK_LINKS, TD_LEVEL_WARNING, "late");
    regions[1].direct = false;
    expect(&response, TD_CHECK_LINKS, TD_LEVEL_CRITICAL, "down");
    regions[1].via.v = 3;
    expect(&response, TD_CHECK_LINKS, TD_LEVEL_WARNING, "down, relayed");
    regions[1].heard = false;
    expect(&response, TD_CHECK_LINKS, TD_LEVEL_CRITICAL, "never heard");
    regions[1].roster_state = TD_REGION_CLOSED;
    assert_int_equal(td_checks_run(&response, TD_CHECK_LINKS, td_limits_default[0], rows), 0);
}

static void test_freshness(void **state)
{
    (void)state;
    struct td_response response = well();
    fresh.age_ms = 9999;
    expect(&response, TD_CHECK_FRESHNESS, TD_LEVEL_OK, "ok");
    fresh.age_ms = 30000;
    expect(&response, TD_CHECK_FRESHNESS, TD_LEVEL_CRITICAL, "stale");
    fresh.age_ms = 1;
    fresh.doubt = true;
    expect(&response, TD_CHECK_FRESHNESS, TD_LEVEL_WARNING, "digest differs");
    response.freshness_count = 0;
    expect(&response, TD_CHECK_FRESHNESS, TD_LEVEL_CRITICAL, "never complete");
}

static void test_backlog_clock_and_store(void **state)
{
    (void)state;
    struct td_response response = well();
    regions[1].they_lack = 3;
    regions[1].oldest_unacked_ms = response.now_ms - 60000;
    expect(&response, TD_CHECK_BACKLOG, TD_LEVEL_WARNING, "waiting");
    regions[1].oldest_unacked_ms = response.now_ms - 120000;
    expect(&response, TD_CHECK_BACKLOG, TD_LEVEL_CRITICAL, "waiting");
    regions[1].they_lack_known = false;
    expect(&response, TD_CHECK_BACKLOG, TD_LEVEL_UNKNOWN, "not known what it has");
    regions[1].offset_ms = -500;
    expect(&response, TD_CHECK_CLOCK, TD_LEVEL_WARNING, "behind");
    regions[1].offset_ms = 2000;
    expect(&response, TD_CHECK_CLOCK, TD_LEVEL_CRITICAL, "ahead");
    regions[1].offset_known = false;
    expect(&response, TD_CHECK_CLOCK, TD_LEVEL_UNKNOWN, "not measured");
    response.u.status.log_bytes = 800;
    expect(&response, TD_CHECK_STORE, TD_LEVEL_WARNING, "filling");
    response.u.status.log_bytes = 2000;
    expect(&response, TD_CHECK_STORE, TD_LEVEL_CRITICAL, "filling");
    response.u.status.log_bytes = 1;
    response.u.status.publishing = false;
    expect(&response, TD_CHECK_STORE, TD_LEVEL_CRITICAL, "takes no reports");
}

static void test_alarms_show_the_worst_and_count_all(void **state)
{
    (void)state;
    struct td_response response = well();
    regions[1].rolled_back = true;
    expect(&response, TD_CHECK_ALARMS, TD_LEVEL_WARNING, "rolled back");
    regions[1].equivocated = true;
    expect(&response, TD_CHECK_ALARMS, TD_LEVEL_CRITICAL, "equivocation");
    assert_int_equal(run(&response, TD_CHECK_ALARMS)->value, 2);
}

static void test_names_and_levels(void **state)
{
    (void)state;
    for (int check = 0; check < TD_CHECK_COUNT; check++) {
        assert_int_equal(td_check_named(td_check_name((enum td_check)check)), check);
    }
    assert_int_equal(td_check_named("nothing"), TD_CHECK_COUNT);
    assert_int_equal(td_level_worse(TD_LEVEL_UNKNOWN, TD_LEVEL_WARNING), TD_LEVEL_WARNING);
    assert_int_equal(td_level_worse(TD_LEVEL_UNKNOWN, TD_LEVEL_OK), TD_LEVEL_UNKNOWN);
    assert_int_equal(td_level_worse(TD_LEVEL_CRITICAL, TD_LEVEL_UNKNOWN), TD_LEVEL_CRITICAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_healthy_node_is_ok_in_every_check),
        cmocka_unit_test(test_links),
        cmocka_unit_test(test_freshness),
        cmocka_unit_test(test_backlog_clock_and_store),
        cmocka_unit_test(test_alarms_show_the_worst_and_count_all),
        cmocka_unit_test(test_names_and_levels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
