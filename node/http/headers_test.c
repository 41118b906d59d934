/* headers_test.c -- whose name we answer to, what is JSON, what is a length. */
#include "node/http/headers.h"

#include "node/http/test_main.h"

static void test_only_names_of_loopback_are_ours(void **state)
{
    static const struct {
        const char *host;
        bool ours;
    } rows[] = {
        {"localhost", true},
        {"LocalHost:7718", true},
        {"127.0.0.1:7718", true},
        {"127.9.9.9", true},
        {"[::1]:7718", true},
        {"[::1]", true},
        {NULL, false},
        {"", false},
        {":7718", false},
        {"evil.example:7718", false},
        {"127.0.0.1.evil.example", false},
        {"localhost.evil.example", false},
        {"128.0.0.1", false},
        {"127.1", false},
        {"[::1", false},
        {"[::1]evil.example", false},
        {"localhost:80@evil.example", false},
        {"[::ffff:127.0.0.1]", false},
        {"localhost\t", false},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (td_host_is_loopback(rows[i].host) != rows[i].ours) {
            fail_msg("Host: %s", rows[i].host != NULL ? rows[i].host : "(none)");
        }
    }
}

static void test_json_is_a_whole_media_type(void **state)
{
    (void)state;
    assert_true(td_media_is_json("application/json"));
    assert_true(td_media_is_json("Application/JSON; charset=utf-8"));
    assert_false(td_media_is_json("application/jsonp"));
    assert_false(td_media_is_json("text/plain"));
    assert_false(td_media_is_json(""));
    assert_false(td_media_is_json(NULL));
}

static void test_a_length_is_digits_alone(void **state)
{
    static const char *const wrong[] = {"", "-1", "+1", "0x10", "1 ", " 1", "1,1", "1;"};
    uint64_t bytes = 0;
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_false(td_content_length(wrong[i], &bytes));
    }
    assert_false(td_content_length(NULL, &bytes));
    assert_true(td_content_length("0016384", &bytes));
    assert_int_equal(bytes, 16384);
    assert_true(td_content_length("18446744073709551615", &bytes));
    assert_true(bytes == UINT64_MAX);
    assert_true(td_content_length("99999999999999999999999999", &bytes));
    assert_true(bytes == UINT64_MAX); /* not what is left of it after some wraps */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_names_of_loopback_are_ours),
        cmocka_unit_test(test_json_is_a_whole_media_type),
        cmocka_unit_test(test_a_length_is_digits_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
