/* parse_test.c -- command lines: every option with its unit, limits, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "cluster-tests/wan/parse.h"

static void test_every_option_is_read_in_its_unit(void **state)
{
    (void)state;
    struct wan_command command;
    struct wan_shape shape = {0};

    assert_null(wan_parse("set a b delay=40ms jitter=2.5ms loss=0.1% dup=1% reorder=25% late=300us "
                          "rate=10mbit queue=100 one-way\n",
                          &command));
    assert_int_equal(command.verb, WAN_SET);
    assert_string_equal(command.from, "a");
    assert_string_equal(command.to, "b");
    assert_true(command.one_way);
    wan_change_apply(&command.change, &shape);
    assert_int_equal(shape.delay_us, 40000);
    assert_int_equal(shape.jitter_us, 2500);
    assert_int_equal(shape.loss_ppm, 1000);
    assert_int_equal(shape.dup_ppm, 10000);
    assert_int_equal(shape.reorder_ppm, 250000);
    assert_int_equal(shape.late_us, 300);
    assert_int_equal(shape.rate_bps, 10000000);
    assert_int_equal(shape.queue, 100);
    assert_null(wan_parse("set a b rtt=91ms", &command));
    wan_change_apply(&command.change, &shape);
    assert_int_equal(shape.delay_us, 45500);
}

static void test_what_a_set_does_not_name_stays(void **state)
{
    (void)state;
    struct wan_command command;
    struct wan_shape shape = {1, 2, 3, 4, 5, 6, 7, 8}, before = shape;

    assert_null(wan_parse("set a b", &command));
    wan_change_apply(&command.change, &shape);
    assert_memory_equal(&shape, &before, sizeof shape);
    assert_null(wan_parse("set a b rate=none", &command));
    wan_change_apply(&command.change, &shape);
    before.rate_bps = 0;
    assert_memory_equal(&shape, &before, sizeof shape);
}

static void test_cut_heal_and_seed(void **state)
{
    (void)state;
    struct wan_command command;

    assert_null(wan_parse("cut eu-west *", &command));
    assert_int_equal(command.verb, WAN_CUT);
    assert_string_equal(command.to, "*");
    assert_false(command.one_way);
    assert_null(wan_parse("heal", &command));
    assert_string_equal(command.from, "*");
    assert_string_equal(command.to, "*");
    assert_null(wan_parse("heal a b one-way", &command));
    assert_string_equal(command.from, "a");
    assert_true(command.one_way);
    assert_null(wan_parse("seed 42", &command));
    assert_int_equal(command.seed, 42);
}

static void test_limits_are_taken_and_what_is_beyond_them_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *option;
        bool good;
    } rows[] = {
        {"delay=60s", true},       {"delay=60.001s", false},    {"delay=0us", true},
        {"delay=40", false},       {"delay=-1ms", false},       {"delay=ms", false},
        {"delay=1.0005ms", false}, {"delay=1.ms", false},       {"delay=9999999999us", false},
        {"loss=100%", true},       {"loss=100.001%", false},    {"loss=0.001%", true},
        {"loss=1", false},         {"rate=1kbit", true},        {"rate=999bit", false},
        {"rate=100gbit", true},    {"rate=100.001gbit", false}, {"rate=0", false},
        {"queue=1", true},         {"queue=0", false},          {"queue=65536", true},
        {"queue=65537", false},    {"queue=1.5", false},        {"speed=1", false},
        {"delay", false},          {"delay=", false},           {"jitter=1ms2", false},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct wan_command command;
        char line[100];
        snprintf(line, sizeof line, "set a b %s", rows[i].option);
        if ((wan_parse(line, &command) == NULL) != rows[i].good) {
            fail_msg("%s", rows[i].option);
        }
    }
}

static void test_bad_lines_are_refused_and_leave_the_command_alone(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "",
        "   ",
        "fly a b",
        "cut",
        "cut a",
        "set a",
        "cut a b loss=1%",
        "seed",
        "seed x",
        "seed 1 2",
        "stats all",
        "heal a",
        "cut a/b c",
        "cut a b two-way",
        "cut abcdefghijklmnopqrstuvwxyz123456 b",
    };
    struct wan_command command, before;

    memset(&command, 0x5a, sizeof command);
    before = command;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        if (wan_parse(lines[i], &command) == NULL) {
            fail_msg("%s", lines[i]);
        }
    }
    char endless[WAN_LINE_MAX + 2];
    memset(endless, ' ', sizeof endless);
    memcpy(endless, "heal", 4);
    endless[WAN_LINE_MAX + 1] = '\0';
    assert_non_null(wan_parse(endless, &command));
    endless[WAN_LINE_MAX] = '\0';
    assert_memory_equal(&command, &before, sizeof command);
    assert_null(wan_parse(endless, &command));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_option_is_read_in_its_unit),
        cmocka_unit_test(test_what_a_set_does_not_name_stays),
        cmocka_unit_test(test_cut_heal_and_seed),
        cmocka_unit_test(test_limits_are_taken_and_what_is_beyond_them_is_refused),
        cmocka_unit_test(test_bad_lines_are_refused_and_leave_the_command_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
