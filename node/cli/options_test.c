/* options_test.c -- rules of the option table itself, and of suggestions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "node/cli/args.h"
#include "proto/nearest.h"

static void test_every_flag_stands_at_its_own_index(void **state)
{
    (void)state;
    for (int id = TD_FLAG_NONE + 1; id < TD_FLAG_COUNT; id++) {
        const struct td_flag *flag = &td_flags[id];
        assert_int_equal(flag->id, id);
        assert_non_null(flag->name);
        assert_non_null(flag->help);
        assert_true((flag->kind == TD_KIND_SWITCH) == (flag->value == NULL));
        if (flag->kind == TD_KIND_WORD || flag->kind == TD_KIND_WORDS) {
            assert_non_null(flag->words);
        }
        if (flag->kind == TD_KIND_NUMBER || flag->kind == TD_KIND_SIZE) {
            assert_true(flag->max > flag->min);
        }
    }
}

static void test_every_verb_has_two_examples_that_name_it(void **state)
{
    (void)state;
    for (int id = 0; id < TD_VERB_COUNT; id++) {
        const struct td_verb *verb = &td_verbs[id];
        assert_int_equal(verb->id, id);
        assert_non_null(verb->summary);
        assert_non_null(strchr(verb->examples, '\n'));
        assert_non_null(strstr(verb->examples, verb->name));
        assert_true(verb->arguments_min <= verb->arguments_max);
    }
}

static void test_no_verb_has_two_flags_of_one_name_or_letter(void **state)
{
    (void)state;
    for (int id = 0; id < TD_VERB_COUNT; id++) {
        const enum td_flag_id *flags = td_verbs[id].flags;
        for (size_t i = 0; i < TD_VERB_FLAGS_MAX && flags[i] != TD_FLAG_NONE; i++) {
            assert_true(flags[i] > TD_FLAG_GLOBAL_LAST);
            for (size_t j = 0; j < i; j++) {
                assert_string_not_equal(td_flags[flags[i]].name, td_flags[flags[j]].name);
                assert_true(td_flags[flags[i]].letter == 0 ||
                            td_flags[flags[i]].letter != td_flags[flags[j]].letter);
            }
        }
    }
}

static void test_own_flag_goes_before_a_global_one_of_the_same_letter(void **state)
{
    (void)state;
    assert_int_equal(td_flag_lettered(&td_verbs[TD_VERB_KEYGEN], 'o')->id, TD_FLAG_OUT);
    assert_int_equal(td_flag_lettered(&td_verbs[TD_VERB_GET], 'o')->id, TD_FLAG_OUTPUT);
    assert_null(td_flag_lettered(NULL, 'Z'));
    assert_null(td_flag_named(&td_verbs[TD_VERB_GET], "progress", 8));
}

static void test_edit_distance_counts_changes_and_swaps(void **state)
{
    static const struct {
        const char *a, *b;
        unsigned distance;
    } rows[] = {
        {"", "", 0},           {"a", "", 1},      {"peers", "peers", 0}, {"peers", "pers", 1},
        {"peers", "epers", 1}, {"get", "set", 1}, {"watch", "wait", 3},  {"publish", "publsih", 1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(td_edit_distance(rows[i].a, rows[i].b), rows[i].distance);
        assert_int_equal(td_edit_distance(rows[i].b, rows[i].a), rows[i].distance);
    }
}

static const char *nearest_verb(const char *word)
{
    struct td_nearest nearest;

    td_nearest_init(&nearest, word);
    for (int id = 0; id < TD_VERB_COUNT; id++) {
        td_nearest_offer(&nearest, td_verbs[id].name);
    }
    return nearest.best;
}

static void test_near_words_are_suggested_and_far_ones_are_not(void **state)
{
    (void)state;
    assert_string_equal(nearest_verb("publsh"), "publish");
    assert_string_equal(nearest_verb("histroy"), "history");
    assert_string_equal(nearest_verb("expl"), "explain");
    assert_string_equal(nearest_verb("roster pusch"), "roster push");
    assert_null(nearest_verb("frobnicate"));
    assert_null(nearest_verb("x"));
}

static void test_very_long_words_are_compared_by_their_start(void **state)
{
    char word[400];

    (void)state;
    memset(word, 'a', sizeof word - 1);
    word[sizeof word - 1] = '\0';
    assert_int_equal(td_edit_distance(word, word), 0);
    assert_int_equal(td_edit_distance(word, ""), TD_NEAREST_BYTES_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_flag_stands_at_its_own_index),
        cmocka_unit_test(test_every_verb_has_two_examples_that_name_it),
        cmocka_unit_test(test_no_verb_has_two_flags_of_one_name_or_letter),
        cmocka_unit_test(test_own_flag_goes_before_a_global_one_of_the_same_letter),
        cmocka_unit_test(test_edit_distance_counts_changes_and_swaps),
        cmocka_unit_test(test_near_words_are_suggested_and_far_ones_are_not),
        cmocka_unit_test(test_very_long_words_are_compared_by_their_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
