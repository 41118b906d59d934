/* text_test.c -- tables for escaping, times, durations, percentages and sizes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "node/client/text.h"

static void test_nothing_that_acts_on_a_terminal_passes(void **state)
{
    static const struct {
        const char *text, *escaped;
    } rows[] = {
        {"plain", "plain"},
        {"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"},
        {"\xe6\x97\xa5\xf0\x9f\x98\x80", "\xe6\x97\xa5\xf0\x9f\x98\x80"},
        {"a\x1b[2Jb", "a\\u{1b}[2Jb"},
        {"line\r\nnext\t", "line\\u{d}\\u{a}next\\u{9}"},
        {"\x7f", "\\u{7f}"},
        {"\xc2\x9b"
         "31m",
         "\\u{9b}31m"}, /* C1 CSI */
        {"\xe2\x80\xae"
         "exe",
         "\\u{202e}exe"}, /* right-to-left override */
        {"\xe2\x81\xa6x\xe2\x81\xa9", "\\u{2066}x\\u{2069}"},
        {"\xe2\x80\x8b", "\\u{200b}"}, /* zero width space */
        {"\xe2\x80\xa8", "\\u{2028}"},
        {"\xef\xbb\xbf", "\\u{feff}"},
        {"\xff\xfe", "\\u{ff}\\u{fe}"},            /* never UTF-8 */
        {"\xc0\x80", "\\u{c0}\\u{80}"},            /* overlong */
        {"\xed\xa0\x80", "\\u{ed}\\u{a0}\\u{80}"}, /* surrogate */
        {"\xf4\x90\x80\x80", "\\u{f4}\\u{90}\\u{80}\\u{80}"},
        {"\xe2\x82", "\\u{e2}\\u{82}"}, /* cut off */
        {"\\u{1b}", "\\u{5c}u{1b}"},    /* a forged escape */
        {"C:\\users", "C:\\users"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char *escaped = td_text_escape_alloc(td_text_of(rows[i].text));
        if (strcmp(escaped, rows[i].escaped) != 0) {
            fail_msg("row %zu: %s", i, escaped);
        }
        free(escaped);
    }
    char nul[16];
    (void)td_text_escape((struct td_text){"a\0b", 3}, nul, sizeof nul);
    assert_string_equal(nul, "a\\u{0}b");
}

static void test_escaping_cuts_at_a_whole_character(void **state)
{
    (void)state;
    const struct td_text text = td_text_of("ab\x1b"
                                           "c\xc3\xbc"
                                           "defgh");
    for (size_t room = 1; room < 24; room++) {
        char *cut = malloc(room); /* exact, so that a sanitizer sees a byte too many */
        size_t used = td_text_escape(text, cut, room);
        assert_true(used < room && strlen(cut) == used);
        assert_null(strchr(cut, 0x1b));
        assert_true(strstr(cut, "\\u{") == NULL || strstr(cut, "\\u{1b}") != NULL);
        free(cut);
    }
    char whole[17];
    (void)td_text_escape(text, whole, sizeof whole);
    assert_string_equal(whole, "ab\\u{1b}c\xc3\xbc"
                               "defgh");
    char cut[16];
    (void)td_text_escape(text, cut, sizeof cut);
    assert_string_equal(cut, "ab\\u{1b}c\xc3\xbc"
                             "d...");
}

static void test_columns_count_wide_and_combining(void **state)
{
    (void)state;
    assert_int_equal(td_text_columns("abc"), 3);
    assert_int_equal(td_text_columns("\xe6\x97\xa5\xe6\x9c\xac"), 4);
    assert_int_equal(td_text_columns("e\xcc\x81"), 1);
}

static void test_times_go_to_text_and_back(void **state)
{
    static const struct {
        uint64_t ms;
        const char *text;
    } rows[] = {
        {0, "1970-01-01T00:00:00.000Z"},
        {1, "1970-01-01T00:00:00.001Z"},
        {951782400000, "2000-02-29T00:00:00.000Z"},
        {1772460522120, "2026-03-02T14:08:42.120Z"},
        {4102444799999, "2099-12-31T23:59:59.999Z"},
        {253402300799999, "9999-12-31T23:59:59.999Z"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[TD_TIME_TEXT_BYTES];
        uint64_t back = 0;
        assert_true(td_time_format(rows[i].ms, text));
        assert_string_equal(text, rows[i].text);
        assert_true(td_time_parse(td_text_of(text), &back));
        assert_true(back == rows[i].ms);
    }
    char text[TD_TIME_TEXT_BYTES];
    assert_false(td_time_format(253402300800000, text));
}

static void test_times_with_offsets_and_bad_times(void **state)
{
    uint64_t ms = 0;
    (void)state;
    assert_true(td_time_parse(td_text_of("2026-03-02T15:38:42+01:30"), &ms));
    assert_true(ms == 1772460522000);
    assert_true(td_time_parse(td_text_of("2026-03-02T09:08:42.1-05:00"), &ms));
    assert_true(ms == 1772460522100);
    assert_true(td_time_parse(td_text_of("2026-03-02t14:08:42.123456z"), &ms));
    assert_true(ms == 1772460522123);
    static const char *const bad[] = {"",
                                      "2026-03-02",
                                      "2026-03-02T14:08:42",
                                      "2026-02-29T00:00:00Z",
                                      "2026-13-01T00:00:00Z",
                                      "2026-00-01T00:00:00Z",
                                      "2026-01-32T00:00:00Z",
                                      "2026-01-01T24:00:00Z",
                                      "2026-01-01T00:60:00Z",
                                      "2026-01-01T00:00:00.Z",
                                      "2026-01-01T00:00:00Zx",
                                      "2026-01-01T00:00:00+1:00",
                                      "1969-12-31T23:59:59Z",
                                      "1970-01-01T00:00:00+00:01",
                                      "yesterday"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (td_time_parse(td_text_of(bad[i]), &ms)) {
            fail_msg("%s was taken", bad[i]);
        }
    }
}

static void test_durations(void **state)
{
    static const struct {
        const char *text;
        uint64_t ms;
    } rows[] = {{"0", 0},           {"0s", 0},       {"250ms", 250},    {"30s", 30000},
                {"5m", 300000},     {"1h", 3600000}, {"2d", 172800000}, {"1w", 604800000},
                {"1h30m", 5400000}, {"1.5s", 1500},  {"0.25s", 250},    {"36600d", 3162240000000}};
    static const char *const bad[] = {
        "",    "5",   "s",   "-1s", "1 s",  "1S",     "1.s",
        ".5s", "1sx", "1s2", "+1s", "1e3s", "36601d", "99999999999999999999d"};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t ms = UINT64_MAX;
        if (!td_duration_parse(rows[i].text, &ms) || ms != rows[i].ms) {
            fail_msg("%s gave %llu", rows[i].text, (unsigned long long)ms);
        }
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        uint64_t ms = 0;
        if (td_duration_parse(bad[i], &ms)) {
            fail_msg("\"%s\" was taken as %llu", bad[i], (unsigned long long)ms);
        }
    }
}

static void test_durations_for_people(void **state)
{
    static const struct {
        uint64_t ms;
        const char *text;
    } rows[] = {{0, "0.0 s"},        {400, "0.4 s"},      {9999, "9.9 s"},   {10000, "10 s"},
                {59999, "59 s"},     {60000, "1m00s"},    {252000, "4m12s"}, {3599999, "59m59s"},
                {11100000, "3h05m"}, {187200000, "2d04h"}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[TD_DURATION_TEXT_BYTES];
        td_duration_format(rows[i].ms, text);
        assert_string_equal(text, rows[i].text);
    }
}

static void test_percentages_and_sizes(void **state)
{
    uint16_t progress = 0;
    uint64_t bytes = 0;
    char text[16];
    (void)state;
    assert_true(td_percent_parse("40", &progress) && progress == 4000);
    assert_true(td_percent_parse("40.5%", &progress) && progress == 4050);
    assert_true(td_percent_parse("0.01", &progress) && progress == 1);
    assert_true(td_percent_parse("100", &progress) && progress == 10000);
    static const char *const bad[] = {"", "-1", "101", "100.01", "40.123", "40 %", "x", "4x", "1."};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (td_percent_parse(bad[i], &progress)) {
            fail_msg("\"%s\" was taken", bad[i]);
        }
    }
    td_percent_format(4000, text);
    assert_string_equal(text, "40 %");
    td_percent_format(4050, text);
    assert_string_equal(text, "40.5 %");
    td_percent_format(1, text);
    assert_string_equal(text, "0.01 %");
    assert_true(td_size_parse("8GiB", &bytes) && bytes == UINT64_C(8589934592));
    assert_true(td_size_parse("1000", &bytes) && bytes == 1000);
    assert_true(td_size_parse("5k", &bytes) && bytes == 5000);
    assert_false(td_size_parse("8 GiB", &bytes));
    assert_false(td_size_parse("-1", &bytes));
    assert_false(td_size_parse("99999999999999999999", &bytes));
    assert_false(td_size_parse("99999999999TiB", &bytes));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_that_acts_on_a_terminal_passes),
        cmocka_unit_test(test_escaping_cuts_at_a_whole_character),
        cmocka_unit_test(test_columns_count_wide_and_combining),
        cmocka_unit_test(test_times_go_to_text_and_back),
        cmocka_unit_test(test_times_with_offsets_and_bad_times),
        cmocka_unit_test(test_durations),
        cmocka_unit_test(test_durations_for_people),
        cmocka_unit_test(test_percentages_and_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
