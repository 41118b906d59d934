/* reader_test.c -- what the pre-scan refuses, what the reader returns, and that the writer's bytes
 * are the one form the reader takes. */
#include "proto/limits.h"
#include "proto/reader.h"
#include "proto/test_main.h"
#include "proto/writer.h"

#define ROW(name, literal)                                                                         \
    {                                                                                              \
        name, (const uint8_t *)literal, sizeof literal - 1                                         \
    }

struct row {
    const char *name;
    const uint8_t *bytes;
    size_t count;
};

static const struct row refused[] = {
    ROW("nothing", ""),
    ROW("top is a uint", "\x01"),
    ROW("top is a str", "\xa1x"),
    ROW("top is a map", "\x80"),
    ROW("uint8 below 128", "\x91\xcc\x7f"),
    ROW("uint16 below 256", "\x91\xcd\x00\xff"),
    ROW("uint32 below 65536", "\x91\xce\x00\x00\xff\xff"),
    ROW("uint64 below 2^32", "\x91\xcf\x00\x00\x00\x00\xff\xff\xff\xff"),
    ROW("str8 below 32", "\x91\xd9\x01x"),
    ROW("str16 below 256", "\x91\xda\x00\x01x"),
    ROW("str32 below 65536", "\x91\xdb\x00\x00\x00\x01x"),
    ROW("bin16 below 256", "\x91\xc5\x00\x01x"),
    ROW("bin32 below 65536", "\x91\xc6\x00\x00\x00\x01x"),
    ROW("array16 below 16", "\xdc\x00\x01\x01"),
    ROW("array32 below 65536", "\xdd\x00\x00\x00\x01\x01"),
    ROW("array32 bomb", "\xdd\x0f\xff\xff\xff"),
    ROW("array16 bomb nested", "\xdc\xff\xff\xdc\xff\xff\xdc\xff\xff"),
    ROW("array count one beyond the bytes", "\x93\x01\x02"),
    ROW("str beyond the bytes", "\x91\xa5xy"),
    ROW("bin of 2^32-1 bytes", "\x91\xc6\xff\xff\xff\xffx"),
    ROW("str of 2^32-1 bytes", "\x91\xdb\xff\xff\xff\xffx"),
    ROW("uint cut short", "\x91\xcd\x01"),
    ROW("trailing byte", "\x91\x01\x00"),
    ROW("nil", "\x91\xc0"),
    ROW("0xc1", "\x91\xc1"),
    ROW("false", "\x91\xc2"),
    ROW("true", "\x91\xc3"),
    ROW("ext8", "\x91\xc7\x01\x01\x00"),
    ROW("fixext1", "\x91\xd4\x01\x00"),
    ROW("float32", "\x91\xca\x00\x00\x00\x00"),
    ROW("float64", "\x91\xcb\x00\x00\x00\x00\x00\x00\x00\x00"),
    ROW("int8", "\x91\xd0\x01"),
    ROW("negative fixint", "\x91\xff"),
    ROW("int64", "\x91\xd3\x00\x00\x00\x00\x00\x00\x00\x01"),
    ROW("empty map", "\x91\x80"),
    ROW("map16", "\x91\xde\x00\x00"),
    ROW("UTF-8: lone continuation", "\x91\xa1\x80"),
    ROW("UTF-8: overlong slash", "\x91\xa2\xc0\xaf"),
    ROW("UTF-8: overlong three bytes", "\x91\xa3\xe0\x80\x80"),
    ROW("UTF-8: surrogate", "\x91\xa3\xed\xa0\x80"),
    ROW("UTF-8: above 10FFFF", "\x91\xa4\xf4\x90\x80\x80"),
    ROW("UTF-8: cut short", "\x91\xa2\xe2\x82"),
    ROW("UTF-8: 0xff", "\x91\xa1\xff"),
    ROW("9 levels", "\x91\x91\x91\x91\x91\x91\x91\x91\x90"),
    ROW("33 levels", "\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91"
                     "\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x90"),
};

static const struct row accepted[] = {
    ROW("empty array", "\x90"),
    ROW("8 levels", "\x91\x91\x91\x91\x91\x91\x91\x90"),
    ROW("edges of uint", "\x96\x00\x7f\xcc\x80\xcd\x01\x00\xce\x00\x01\x00\x00\xcf\x00\x00\x00\x01"
                         "\x00\x00\x00\x00"),
    ROW("empty str and bin", "\x92\xa0\xc4\x00"),
    ROW("UTF-8 of each length", "\x91\xaa\x41\xc3\xa9\xe2\x82\xac\xf0\x9f\x93\xa6"),
    ROW("control characters in a str", "\x91\xa2\x1b\x07"),
};

static struct td_bytes bytes_of(const struct row *row)
{
    return (struct td_bytes){row->bytes, row->count};
}

static void test_prescan_refuses_every_other_form(void **state)
{
    struct td_test *test = *state;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        if (td_prescan(bytes_of(&refused[i])) != TD_EFORMAT ||
            td_reader_init(test->reader, bytes_of(&refused[i])) != TD_EFORMAT ||
            td_reader_done(test->reader) != TD_EFORMAT) {
            fail_msg("accepted: %s", refused[i].name);
        }
    }
}

static void test_prescan_takes_the_one_form_and_no_prefix_of_it(void **state)
{
    struct td_test *test = *state;
    for (size_t i = 0; i < sizeof accepted / sizeof accepted[0]; i++) {
        struct td_bytes bytes = bytes_of(&accepted[i]);
        if (td_prescan(bytes) != TD_OK || td_reader_init(test->reader, bytes) != TD_OK) {
            fail_msg("refused: %s", accepted[i].name);
        }
        for (size_t cut = 0; cut < bytes.count; cut++) {
            assert_int_equal(td_prescan((struct td_bytes){bytes.bytes, cut}), TD_EFORMAT);
        }
    }
}

static void test_str_and_bin_lengths_have_one_header_each(void **state)
{
    struct td_test *test = *state;
    static const uint32_t counts[] = {0, 1, 31, 32, 255, 256, 65535, 65536, 70000};
    static char letters[70000];
    memset(letters, 'x', sizeof letters);
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        struct td_writer writer;
        td_writer_init(&writer, test->out, TD_TEST_OUT_BYTES);
        td_writer_array(&writer, 2);
        td_writer_text(&writer, (struct td_text){letters, counts[i]});
        td_writer_bin(&writer, (struct td_bytes){(const uint8_t *)letters, counts[i]});
        struct td_bytes bytes = {test->out, td_writer_done(&writer)};
        assert_int_equal(td_reader_init(test->reader, bytes), TD_OK);
        assert_int_equal(td_reader_enter(test->reader, 2, 2), 2);
        assert_int_equal(td_reader_text(test->reader, 70000).count, counts[i]);
        assert_int_equal(td_reader_bin(test->reader, 70000).count, counts[i]);
        assert_int_equal(td_reader_done(test->reader), TD_OK);
    }
}

static void test_numbers_come_back_at_every_power_of_two(void **state)
{
    struct td_test *test = *state;
    for (unsigned bit = 0; bit <= 64; bit++) {
        for (int step = -1; step <= 1; step++) {
            uint64_t value = (bit == 64 ? 0 : UINT64_C(1) << bit) + (uint64_t)(int64_t)step;
            struct td_writer writer;
            td_writer_init(&writer, test->out, 16);
            td_writer_array(&writer, 1);
            td_writer_uint(&writer, value);
            struct td_bytes bytes = {test->out, td_writer_done(&writer)};
            assert_int_equal(td_reader_init(test->reader, bytes), TD_OK);
            td_reader_enter(test->reader, 1, 1);
            assert_true(td_reader_uint(test->reader, value) == value);
            assert_int_equal(td_reader_done(test->reader), TD_OK);
            if (value > 0) {
                assert_int_equal(td_reader_init(test->reader, bytes), TD_OK);
                td_reader_enter(test->reader, 1, 1);
                assert_true(td_reader_uint(test->reader, value - 1) == 0);
                assert_int_equal(td_reader_done(test->reader), TD_EFORMAT);
            }
        }
    }
}

static void test_first_failure_latches_and_later_reads_give_zero(void **state)
{
    struct td_test *test = *state;
    static const uint8_t bytes[] = {0x93, 0x05, 0xa1, 'x', 0x07};
    assert_int_equal(td_reader_init(test->reader, (struct td_bytes){bytes, sizeof bytes}), TD_OK);
    assert_int_equal(td_reader_enter(test->reader, 3, 3), 3);
    assert_int_equal(td_reader_uint(test->reader, 10), 5);
    assert_int_equal(td_reader_uint(test->reader, 10), 0); /* a str */
    td_reader_fail(test->reader, TD_EJOBID);
    assert_int_equal(td_reader_uint(test->reader, 10), 0);
    assert_int_equal(td_reader_left(test->reader), 0);
    assert_int_equal(td_reader_enter(test->reader, 0, 9), 0);
    td_reader_leave(test->reader);
    assert_null(td_reader_text(test->reader, 10).bytes);
    assert_int_equal(td_reader_done(test->reader), TD_EFORMAT);
}

static void test_leave_skips_what_a_later_version_added(void **state)
{
    struct td_test *test = *state;
    static const uint8_t bytes[] = {0x92, 0x93, 0x05, 0x92, 0x01, 0xa1, 'y', 0x06, 0x09};
    assert_int_equal(td_reader_init(test->reader, (struct td_bytes){bytes, sizeof bytes}), TD_OK);
    td_reader_enter(test->reader, 2, 2);
    td_reader_enter(test->reader, 1, 9);
    assert_int_equal(td_reader_uint(test->reader, 9), 5);
    td_reader_leave(test->reader);
    assert_int_equal(td_reader_uint(test->reader, 9), 9);
    assert_int_equal(td_reader_uint(test->reader, 9), 0); /* behind the end */
    assert_int_equal(td_reader_done(test->reader), TD_EFORMAT);
}

static void test_counts_and_lengths_over_a_limit_are_named_so(void **state)
{
    struct td_test *test = *state;
    static const uint8_t bytes[] = {0x92, 0xa3, 'a', 'b', 'c', 0xc4, 0x01, 0x00};
    struct td_bytes input = {bytes, sizeof bytes};
    assert_int_equal(td_reader_init(test->reader, input), TD_OK);
    assert_int_equal(td_reader_enter(test->reader, 0, 1), 0);
    assert_int_equal(td_reader_done(test->reader), TD_ETOOBIG);
    assert_int_equal(td_reader_init(test->reader, input), TD_OK);
    assert_int_equal(td_reader_enter(test->reader, 3, 9), 0);
    assert_int_equal(td_reader_done(test->reader), TD_EFORMAT);
    assert_int_equal(td_reader_init(test->reader, input), TD_OK);
    td_reader_enter(test->reader, 2, 2);
    assert_int_equal(td_reader_text(test->reader, 2).count, 0);
    assert_int_equal(td_reader_done(test->reader), TD_ETOOBIG);
    assert_int_equal(td_reader_init(test->reader, input), TD_OK);
    td_reader_enter(test->reader, 2, 2);
    uint8_t fixed[2] = {9, 9};
    assert_int_equal(td_reader_text(test->reader, 3).count, 3);
    td_reader_fixed(test->reader, fixed, 2);
    assert_int_equal(fixed[0] | fixed[1], 0);
    assert_int_equal(td_reader_done(test->reader), TD_EFORMAT);
}

/* Byte by byte, without the eight-at-a-time path. */
static bool naive_plain(const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (bytes[i] < 0x20 || bytes[i] >= 0x7f) {
            return false;
        }
    }
    return true;
}

static void test_control_characters_are_found_at_every_place(void **state)
{
    (void)state;
    for (unsigned value = 0; value < 0x80; value++) {
        for (size_t place = 0; place < 19; place++) {
            uint8_t bytes[19];
            memset(bytes, 'a', sizeof bytes);
            bytes[place] = (uint8_t)value;
            struct td_text text = {(const char *)bytes, sizeof bytes};
            assert_true(td_utf8_valid(text, true));
            assert_int_equal(td_utf8_valid(text, false), naive_plain(bytes, sizeof bytes));
        }
    }
    assert_false(td_utf8_valid(td_test_literal("\xc2\x80"), false));
    assert_false(td_utf8_valid(td_test_literal("\xc2\x9f"), false));
    assert_true(td_utf8_valid(td_test_literal("\xc2\x9f"), true));
    assert_true(td_utf8_valid(td_test_literal("\xc2\xa0"), false));
}

static void test_writer_never_writes_past_the_end(void **state)
{
    struct td_test *test = *state;
    for (size_t room = 0; room < 24; room++) {
        memset(test->out, 0xee, 64);
        struct td_writer writer;
        td_writer_init(&writer, test->out, room);
        td_writer_array(&writer, 3);
        td_writer_text(&writer, td_test_literal("hello"));
        td_writer_bin(&writer, (struct td_bytes){(const uint8_t *)"12345", 5});
        td_writer_uint(&writer, UINT64_MAX);
        assert_int_equal(td_writer_done(&writer), room >= 23 ? 23 : 0);
        for (size_t i = room; i < 64; i++) {
            assert_int_equal(test->out[i], 0xee);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TD_UNIT_TEST(test_prescan_refuses_every_other_form),
        TD_UNIT_TEST(test_prescan_takes_the_one_form_and_no_prefix_of_it),
        TD_UNIT_TEST(test_str_and_bin_lengths_have_one_header_each),
        TD_UNIT_TEST(test_numbers_come_back_at_every_power_of_two),
        TD_UNIT_TEST(test_first_failure_latches_and_later_reads_give_zero),
        TD_UNIT_TEST(test_leave_skips_what_a_later_version_added),
        TD_UNIT_TEST(test_counts_and_lengths_over_a_limit_are_named_so),
        TD_UNIT_TEST(test_control_characters_are_found_at_every_place),
        TD_UNIT_TEST(test_writer_never_writes_past_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
