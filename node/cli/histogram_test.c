/* histogram_test.c -- percentiles of the log-linear histogram against exact ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "node/cli/histogram.h"

static struct td_histogram histogram;

static int clear(void **state)
{
    (void)state;
    memset(&histogram, 0, sizeof histogram);
    return 0;
}

static void test_an_empty_histogram_has_no_values(void **state)
{
    (void)state;
    assert_int_equal(td_histogram_at(&histogram, 500), 0);
    assert_int_equal(td_histogram_at(&histogram, 1000), 0);
}

static void test_small_values_are_exact(void **state)
{
    (void)state;
    for (uint64_t value = 1; value <= 100; value++) {
        td_histogram_add(&histogram, value, 1);
    }
    assert_int_equal(td_histogram_at(&histogram, 500), 50);
    assert_int_equal(td_histogram_at(&histogram, 990), 99);
    assert_int_equal(td_histogram_at(&histogram, 1000), 100);
    assert_int_equal(td_histogram_at(&histogram, 0), 1);
}

static void test_every_value_is_reported_at_most_one_sixtyfourth_above(void **state)
{
    (void)state;
    for (uint64_t value = 1; value < UINT64_C(1) << 44; value = value * 17 / 16 + 1) {
        memset(&histogram, 0, sizeof histogram);
        td_histogram_add(&histogram, value, 3);
        td_histogram_add(&histogram, value * 2, 1);
        uint64_t reported = td_histogram_at(&histogram, 500);
        assert_true(reported >= value);
        assert_true(reported - value <= value / 64);
    }
}

static void test_the_maximum_is_exact_and_nothing_is_above_it(void **state)
{
    (void)state;
    td_histogram_add(&histogram, 1000003, 1);
    td_histogram_add(&histogram, UINT64_MAX, 1);
    assert_int_equal(histogram.max, UINT64_MAX);
    assert_int_equal(td_histogram_at(&histogram, 1000), UINT64_MAX);
    assert_true(td_histogram_at(&histogram, 500) <= 1000003 + 1000003 / 64);
}

static void test_rare_slow_values_show_in_the_tail_only(void **state)
{
    (void)state;
    td_histogram_add(&histogram, 100, 9990);
    td_histogram_add(&histogram, 5000, 10);
    assert_int_equal(td_histogram_at(&histogram, 990), 100);
    assert_int_equal(td_histogram_at(&histogram, 999), 100);
    assert_int_equal(td_histogram_at(&histogram, 1000), 5000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_an_empty_histogram_has_no_values, clear),
        cmocka_unit_test_setup(test_small_values_are_exact, clear),
        cmocka_unit_test_setup(test_every_value_is_reported_at_most_one_sixtyfourth_above, clear),
        cmocka_unit_test_setup(test_the_maximum_is_exact_and_nothing_is_above_it, clear),
        cmocka_unit_test_setup(test_rare_slow_values_show_in_the_tail_only, clear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
