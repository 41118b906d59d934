/* args_test.c -- parsing command lines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "node/cli/args.h"

static struct td_args args;
static char error[TD_ARGS_ERROR_BYTES];

/* Words separated by single spaces. */
static enum td_err parse(const char *line)
{
    static char copy[512];
    char *argv[64] = {NULL};
    int argc = 0;

    strncpy(copy, line, sizeof copy - 1);
    for (char *at = copy, *end = copy; end != NULL && argc < 63; at = end + 1) {
        end = strchr(at, ' ');
        if (end != NULL) {
            *end = '\0';
        }
        argv[argc++] = at;
        if (end == NULL) {
            break;
        }
    }
    return td_args_parse(argc, argv, &args, error);
}

static void test_global_flags_may_stand_before_and_behind_the_verb(void **state)
{
    (void)state;
    assert_int_equal(parse("tidings -n ipc://a roster push demo.roster -o json"), TD_OK);
    assert_int_equal(args.verb->id, TD_VERB_ROSTER_PUSH);
    assert_string_equal(td_args_text(&args, TD_FLAG_NODE), "ipc://a");
    assert_string_equal(td_args_text(&args, TD_FLAG_OUTPUT), "json");
    assert_int_equal(args.argument_count, 1);
    assert_string_equal(args.arguments[0], "demo.roster");
}

static void test_values_follow_in_all_usual_forms(void **state)
{
    static const char *const rows[] = {
        "tidings publish a running --progress 40",
        "tidings publish a running --progress=40",
        "tidings publish --progress 40 a running",
        "tidings -q publish a --progress=40 -- running",
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(parse(rows[i]), TD_OK);
        assert_string_equal(td_args_text(&args, TD_FLAG_PROGRESS), "40");
        assert_int_equal(args.argument_count, 2);
    }
    assert_int_equal(parse("tidings get a -nipc://x -qv"), TD_OK);
    assert_string_equal(td_args_text(&args, TD_FLAG_NODE), "ipc://x");
    assert_true(td_args_has(&args, TD_FLAG_QUIET));
    assert_true(td_args_has(&args, TD_FLAG_VERBOSE));
}

static void test_a_lone_dash_is_a_value(void **state)
{
    (void)state;
    assert_int_equal(parse("tidings publish --from-jsonl -"), TD_OK);
    assert_string_equal(td_args_text(&args, TD_FLAG_FROM_JSONL), "-");
}

static void test_two_dashes_end_the_flags(void **state)
{
    (void)state;
    assert_int_equal(parse("tidings get -- --odd-job"), TD_OK);
    assert_string_equal(args.arguments[0], "--odd-job");
}

static void test_a_flag_given_twice_is_refused_unless_it_repeats_or_is_of_all_verbs(void **state)
{
    unsigned position = 0;

    (void)state;
    assert_int_equal(
        parse("tidings -n ipc://a publish a running --label k=v --label l=w -n ipc://b"), TD_OK);
    assert_string_equal(td_args_next(&args, TD_FLAG_LABEL, &position), "k=v");
    assert_string_equal(td_args_next(&args, TD_FLAG_LABEL, &position), "l=w");
    assert_null(td_args_next(&args, TD_FLAG_LABEL, &position));
    assert_string_equal(td_args_text(&args, TD_FLAG_NODE), "ipc://b");
    /* One of them would win in silence; with keygen -o it would decide where a secret goes. */
    assert_int_equal(parse("tidings publish a running --attempt 2 --attempt 3"), TD_EUSAGE);
    assert_non_null(strstr(error, "--attempt is given twice: `2` and `3`"));
    assert_int_equal(parse("tidings keygen -o a.key -o json"), TD_EUSAGE);
}

static void test_wrong_values_are_refused_with_the_reason(void **state)
{
    static const struct {
        const char *line;
        enum td_err err;
        const char *says;
    } rows[] = {
        {"tidings publish a running --attempt 0", TD_EUSAGE, "outside 1 to 65535"},
        {"tidings publish a running --attempt 65536", TD_EUSAGE, "outside 1 to 65535"},
        {"tidings publish a running --attempt -1", TD_EUSAGE, "not a whole number"},
        {"tidings publish a running --attempt 99999999999999999999", TD_EUSAGE,
         "not a whole number"},
        {"tidings publish a running --progress 101", TD_EPROGRESS, "0 to 100"},
        {"tidings publish a running --progress half", TD_EPROGRESS, "0 to 100"},
        {"tidings publish a running --ack some", TD_EUSAGE, "or all"},
        {"tidings get a --max-stale 30", TD_EUSAGE, "not a duration"},
        {"tidings list --state runing", TD_EUSAGE, "did you mean `running`"},
        {"tidings list --state running,", TD_EUSAGE, "is not one of"},
        {"tidings get a -o xml", TD_EUSAGE, "table|wide|plain|json|jsonl"},
        {"tidings get a --node=", TD_EUSAGE, "empty"},
        {"tidings get a --utc=yes", TD_EUSAGE, "takes no value"},
        {"tidings get a --timeout", TD_EUSAGE, "needs a value"},
        {"tidings roster init --bytes-max 8gb", TD_EUSAGE, "size such as"},
        {"tidings get a --limit 3", TD_EUSAGE, "unknown flag --limit"},
        {"tidings get a --jsn", TD_EUSAGE, "did you mean --json"},
        {"tidings --progress 40 publish a running", TD_EUSAGE, "belongs behind the verb"},
        {"tidings get a -Z", TD_EUSAGE, "unknown flag -Z"},
        {"tidings", TD_EUSAGE, "a verb is missing"},
        {"tidings get", TD_EUSAGE, "get needs JOB"},
        {"tidings get a b", TD_EUSAGE, "one argument too many"},
        {"tidings roster", TD_EUSAGE, "second word"},
        {"tidings roster ad x", TD_EUSAGE, "did you mean `roster add`"},
        {"tidings publsh", TD_EUSAGE, "did you mean `publish`"},
        {"tidings frobnicate", TD_EUSAGE, "lists all"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(parse(rows[i].line), rows[i].err);
        if (strstr(error, rows[i].says) == NULL) {
            fail_msg("`%s` says `%s`, not `%s`", rows[i].line, error, rows[i].says);
        }
    }
}

static void test_words_stand_in_for_numbers_only_where_allowed(void **state)
{
    (void)state;
    assert_int_equal(parse("tidings bench --rate max --confirm-cluster demo"), TD_OK);
    assert_true(td_args_is(&args, TD_FLAG_RATE, "max"));
    assert_int_equal(td_args_uint(&args, TD_FLAG_RATE, 0), 0);
    assert_int_equal(parse("tidings bench --rate 5000 --duration 30s"), TD_OK);
    assert_int_equal(td_args_uint(&args, TD_FLAG_RATE, 0), 5000);
    assert_int_equal(td_args_ms(&args, TD_FLAG_DURATION, 1), 30000);
    assert_int_equal(parse("tidings bench --jobs max"), TD_EUSAGE);
}

static void test_help_needs_no_arguments_and_keeps_the_verb(void **state)
{
    (void)state;
    assert_int_equal(parse("tidings publish --help"), TD_OK);
    assert_int_equal(args.verb->id, TD_VERB_PUBLISH);
    assert_int_equal(parse("tidings roster --help"), TD_OK);
    assert_string_equal(args.group, "roster");
    assert_int_equal(parse("tidings --version"), TD_OK);
    assert_true(args.version);
}

static void test_a_flood_of_flags_is_refused_not_overrun(void **state)
{
    enum { COUNT = TD_ARGS_MAX + 10 };
    static char program[] = "tidings";
    static char verb[] = "get";
    static char flag[] = "-q";
    char *argv[COUNT + 2] = {program, verb};
    int argc = 2;

    (void)state;
    while (argc < COUNT + 2) {
        argv[argc++] = flag;
    }
    assert_int_equal(td_args_parse(argc, argv, &args, error), TD_EUSAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_global_flags_may_stand_before_and_behind_the_verb),
        cmocka_unit_test(test_values_follow_in_all_usual_forms),
        cmocka_unit_test(test_a_lone_dash_is_a_value),
        cmocka_unit_test(test_two_dashes_end_the_flags),
        cmocka_unit_test(test_a_flag_given_twice_is_refused_unless_it_repeats_or_is_of_all_verbs),
        cmocka_unit_test(test_wrong_values_are_refused_with_the_reason),
        cmocka_unit_test(test_words_stand_in_for_numbers_only_where_allowed),
        cmocka_unit_test(test_help_needs_no_arguments_and_keeps_the_verb),
        cmocka_unit_test(test_a_flood_of_flags_is_refused_not_overrun),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
