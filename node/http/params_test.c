/* params_test.c -- each parameter is known, given once, and of its form. */
#include "node/http/params.h"

#include "node/http/test_main.h"

static char why[256];

static bool add(struct td_params *params, uint32_t allowed, const char *key, const char *value)
{
    struct td_params_taking taking = {
        .into = params, .allowed = allowed, .why = why, .why_bytes = sizeof why};
    why[0] = '\0';
    return td_params_add(&taking, key, strlen(key), value, value != NULL ? strlen(value) : 0);
}

static void test_a_parameter_is_kept_under_its_name(void **state)
{
    struct td_params params = {0};
    (void)state;
    assert_true(add(&params, TD_PARAM_BIT(id) | TD_PARAM_BIT(verbose), "id", "eu/4711"));
    assert_string_equal(td_param_text(&params, TD_PARAM_id), "eu/4711");
    assert_int_equal(params.values[TD_PARAM_id].count, 7);
    assert_true(add(&params, TD_PARAM_BIT(verbose), "verbose", NULL));
    assert_true(td_param_given(&params, TD_PARAM_verbose));
    assert_string_equal(td_param_text(&params, TD_PARAM_verbose), "");
    assert_false(td_param_given(&params, TD_PARAM_wait));
    assert_string_equal(td_param_text(&params, TD_PARAM_wait), "");
}

static void test_what_the_route_does_not_take_is_refused_by_name(void **state)
{
    struct td_params params = {0};
    (void)state;
    assert_false(add(&params, TD_PARAM_BIT(prefix) | TD_PARAM_BIT(limit), "prefx", "a"));
    assert_non_null(strstr(why, "\"prefx\"; did you mean prefix"));
    assert_false(add(&params, TD_PARAM_BIT(limit), "id", "a")); /* known, but not to this route */
    assert_non_null(strstr(why, "\"id\""));
    assert_false(add(&params, TD_PARAM_BIT(id), "i\x1b[1m", "a"));
    assert_null(strchr(why, '\x1b')); /* shown to people */
    assert_int_equal(params.values[TD_PARAM_id].count, 0);
}

static void test_twice_or_with_a_zero_byte_is_refused(void **state)
{
    struct td_params params = {0};
    struct td_params_taking taking = {
        .into = &params, .allowed = TD_PARAM_BIT(id), .why = why, .why_bytes = sizeof why};
    (void)state;
    assert_false(td_params_add(&taking, "id", 2, "a\0b", 3));
    assert_false(td_params_add(&taking, "id\0x", 4, "a", 1));
    assert_null(params.values[TD_PARAM_id].bytes);
    assert_true(td_params_add(&taking, "id", 2, "", 0));
    assert_false(td_params_add(&taking, "id", 2, "b", 1));
    assert_string_equal(td_param_text(&params, TD_PARAM_id), "");
    assert_true(taking.failed);
}

static void test_numbers_are_digits_within_their_bound(void **state)
{
    static const struct {
        const char *text;
        uint64_t max;
        bool valid;
    } rows[] = {{"0", 0, true},
                {"7", 7, true},
                {"8", 7, false},
                {"-1", 7, false},
                {"+1", 7, false},
                {" 1", 7, false},
                {"1x", 7, false},
                {"", 7, false},
                {"18446744073709551615", UINT64_MAX, true},
                {"18446744073709551616", UINT64_MAX, false}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct td_params params = {0};
        uint64_t value = 42;
        params.values[TD_PARAM_limit] =
            (struct td_text){rows[i].text, (uint32_t)strlen(rows[i].text)};
        assert_int_equal(td_param_uint(&params, TD_PARAM_limit, rows[i].max, &value),
                         rows[i].valid);
        assert_true(rows[i].valid || value == 42);
        assert_true(td_param_uint(&params, TD_PARAM_cursor, 0, &value)); /* not given: stays */
    }
}

static void test_flags_and_durations(void **state)
{
    static const struct {
        const char *text;
        bool valid, flag;
    } rows[] = {{"", true, true},      {"1", true, true},      {"true", true, true},
                {"0", true, false},    {"false", true, false}, {"yes", false, false},
                {"TRUE", false, false}};
    struct td_params params = {0};
    uint64_t ms = 7;
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        bool flag = false;
        params.values[TD_PARAM_silent] =
            (struct td_text){rows[i].text, (uint32_t)strlen(rows[i].text)};
        assert_int_equal(td_param_flag(&params, TD_PARAM_silent, &flag), rows[i].valid);
        assert_true(!rows[i].valid || flag == rows[i].flag);
    }
    assert_true(td_param_ms(&params, TD_PARAM_wait, &ms));
    assert_int_equal(ms, 7);
    params.values[TD_PARAM_wait] = (struct td_text){"300ms", 5};
    assert_true(td_param_ms(&params, TD_PARAM_wait, &ms));
    assert_int_equal(ms, 300);
    params.values[TD_PARAM_wait] = (struct td_text){"300", 3};
    assert_false(td_param_ms(&params, TD_PARAM_wait, &ms));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_parameter_is_kept_under_its_name),
        cmocka_unit_test(test_what_the_route_does_not_take_is_refused_by_name),
        cmocka_unit_test(test_twice_or_with_a_zero_byte_is_refused),
        cmocka_unit_test(test_numbers_are_digits_within_their_bound),
        cmocka_unit_test(test_flags_and_durations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
