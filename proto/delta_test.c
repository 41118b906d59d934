/* delta_test.c -- a delta comes back as it went out, one form only, and each field's rule has its
 * own code. */
#include "proto/delta.h"
#include "proto/test_main.h"
#include "proto/writer.h"

static enum td_err decode(struct td_test *test, struct td_bytes raw, struct td_delta *ret_delta)
{
    test->scratch.used_bytes = 0;
    return td_delta_decode(raw, &test->signer, test->reader, &test->scratch, ret_delta);
}

static void assert_same_text(struct td_text a, struct td_text b)
{
    assert_int_equal(a.count, b.count);
    if (a.count != 0) {
        assert_memory_equal(a.bytes, b.bytes, a.count);
    }
}

static void test_delta_survives_the_round_trip(void **state)
{
    struct td_test *test = *state;
    for (int round = 0; round < 2000; round++) {
        struct td_delta made;
        struct td_delta got;
        td_test_reset(test);
        td_test_delta(test, &made);
        assert_int_equal(decode(test, made.raw, &got), TD_OK);
        assert_same_text(got.job, made.job);
        assert_same_text(got.status.detail, made.status.detail);
        assert_int_equal(got.attempt, made.attempt);
        assert_int_equal(got.client, made.client);
        assert_int_equal(got.status.state, made.status.state);
        assert_int_equal(got.status.label_count, made.status.label_count);
        assert_int_equal(got.clock_count, made.clock_count);
        assert_memory_equal(got.status.entered_ms, made.status.entered_ms,
                            sizeof made.status.entered_ms);
        assert_memory_equal(&got.leaf, &made.leaf, sizeof got.leaf);
        assert_true(got.job_hash == made.job_hash);
        size_t again = td_delta_encode(&got, test->out, TD_DELTA_BYTES_MAX);
        assert_int_equal(again, made.raw.count);
        assert_memory_equal(test->out, made.raw.bytes, again);
        assert_int_equal(td_delta_encode(&got, test->out, again - 1), 0);
    }
}

static void test_no_prefix_of_a_delta_is_a_delta(void **state)
{
    struct td_test *test = *state;
    struct td_delta made;
    struct td_delta got;
    td_test_delta(test, &made);
    for (size_t cut = 0; cut < made.raw.count; cut++) {
        assert_int_not_equal(decode(test, (struct td_bytes){made.raw.bytes, cut}, &got), TD_OK);
    }
}

/* An altered delta may be another valid delta, but never with the same leaf, and always in the one
 * form: encoding what was decoded gives the altered bytes again. */
static void test_every_flipped_bit_changes_the_leaf_and_keeps_one_form(void **state)
{
    struct td_test *test = *state;
    struct td_delta made;
    uint8_t bytes[TD_DELTA_BYTES_MAX];
    uint8_t again[TD_DELTA_BYTES_MAX];
    unsigned accepted = 0;
    td_test_delta(test, &made);
    memcpy(bytes, made.raw.bytes, made.raw.count);
    for (size_t bit = 0; bit < made.raw.count * 8; bit++) {
        struct td_delta got;
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        if (decode(test, (struct td_bytes){bytes, made.raw.count}, &got) == TD_OK) {
            accepted++;
            assert_memory_not_equal(&got.leaf, &made.leaf, sizeof got.leaf);
            assert_int_equal(td_delta_encode(&got, again, sizeof again), made.raw.count);
            assert_memory_equal(again, bytes, made.raw.count);
        }
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_true(accepted > 0);
}

static void test_unknown_trailing_fields_are_kept_by_the_bytes(void **state)
{
    struct td_test *test = *state;
    struct td_delta made;
    struct td_delta got;
    uint8_t bytes[TD_DELTA_BYTES_MAX];
    td_test_delta(test, &made);
    assert_int_equal(made.raw.bytes[0], 0x9f);
    struct td_writer writer;
    td_writer_init(&writer, bytes, sizeof bytes);
    td_writer_array(&writer, 16);
    td_writer_raw(&writer, (struct td_bytes){made.raw.bytes + 1, made.raw.count - 1});
    td_writer_text(&writer, td_test_literal("from a later version"));
    struct td_bytes raw = {bytes, td_writer_done(&writer)};
    assert_int_equal(decode(test, raw, &got), TD_OK);
    assert_int_equal(got.raw.count, raw.count);
    assert_memory_not_equal(&got.leaf, &made.leaf, sizeof got.leaf);
}

/* A delta field by field, so that a row can break exactly one rule. */
struct plain {
    struct td_text job, writer, detail, parent;
    uint64_t attempt, state, ms, progress, expect;
    struct td_text keys[2];
    uint32_t label_count; /* elements, not pairs */
    uint64_t times[4];
    uint32_t time_count;
    uint64_t clock[8];
    uint32_t clock_count;
};

static struct td_bytes write_plain(struct td_test *test, const struct plain *plain)
{
    struct td_writer writer;
    td_writer_init(&writer, test->out, TD_DELTA_BYTES_MAX);
    td_writer_array(&writer, 15);
    td_writer_text(&writer, plain->job);
    td_writer_uint(&writer, plain->attempt);
    td_writer_uint(&writer, plain->state);
    td_writer_uint(&writer, plain->ms);
    td_writer_uint(&writer, 0);
    td_writer_uint(&writer, 0);
    td_writer_uint(&writer, 0);
    td_writer_text(&writer, plain->writer);
    td_writer_array(&writer, 1);
    td_writer_uint(&writer, plain->progress);
    td_writer_text(&writer, plain->detail);
    td_writer_text(&writer, plain->parent);
    td_writer_array(&writer, plain->label_count);
    for (uint32_t i = 0; i < plain->label_count; i++) {
        td_writer_text(&writer, plain->keys[i / 2 % 2]);
    }
    td_writer_uint(&writer, plain->expect);
    td_writer_array(&writer, plain->time_count);
    for (uint32_t i = 0; i < plain->time_count; i++) {
        td_writer_uint(&writer, plain->times[i]);
    }
    td_writer_array(&writer, plain->clock_count);
    for (uint32_t i = 0; i < plain->clock_count; i++) {
        td_writer_uint(&writer, plain->clock[i]);
    }
    return (struct td_bytes){test->out, td_writer_done(&writer)};
}

static void expect(struct td_test *test, const struct plain *plain, enum td_err want, int line)
{
    struct td_delta got;
    enum td_err err = decode(test, write_plain(test, plain), &got);
    if (err != want) {
        fail_msg("line %d: got %d, want %d", line, (int)err, (int)want);
    }
}

#define EXPECT(want, change)                                                                       \
    do {                                                                                           \
        struct plain plain = base;                                                                 \
        change;                                                                                    \
        expect(test, &plain, want, __LINE__);                                                      \
    } while (0)

static void test_each_field_rule_has_its_own_code_at_the_edge(void **state)
{
    struct td_test *test = *state;
    static char letters[2000];
    memset(letters, 'x', sizeof letters);
    const struct plain base = {.job = td_test_literal("j"), .attempt = 1};

    EXPECT(TD_OK, plain.ms = TD_STAMP_MS_MAX);
    EXPECT(TD_EFORMAT, plain.ms = TD_STAMP_MS_MAX + 1);
    EXPECT(TD_EJOBID, plain.job.count = 0);
    EXPECT(TD_OK, plain.job = ((struct td_text){letters, TD_JOB_BYTES_MAX}));
    EXPECT(TD_EJOBID, plain.job = ((struct td_text){letters, TD_JOB_BYTES_MAX + 1}));
    EXPECT(TD_EJOBID, plain.job = td_test_literal("a\nb"));
    EXPECT(TD_EJOBID, plain.job = td_test_literal("a\xc2\x85"));
    EXPECT(TD_EATTEMPT, plain.attempt = 0);
    EXPECT(TD_OK, plain.attempt = 65535);
    EXPECT(TD_EATTEMPT, plain.attempt = 65536);
    EXPECT(TD_OK, plain.state = 7);
    EXPECT(TD_ESTATE, plain.state = 8);
    EXPECT(TD_ESTATE, plain.state = UINT64_C(1) << 32);
    EXPECT(TD_OK, plain.progress = 10000);
    EXPECT(TD_EPROGRESS, plain.progress = 10001);
    EXPECT(TD_OK, plain.detail = ((struct td_text){letters, TD_DETAIL_BYTES_MAX}));
    EXPECT(TD_EDETAIL, plain.detail = ((struct td_text){letters, TD_DETAIL_BYTES_MAX + 1}));
    EXPECT(TD_OK, plain.detail = td_test_literal("two\nlines"));
    EXPECT(TD_EDETAIL, plain.detail = ((struct td_text){"a\0b", 3}));
    EXPECT(TD_EWRITER, plain.writer = ((struct td_text){letters, TD_WRITER_BYTES_MAX + 1}));
    EXPECT(TD_EWRITER, plain.writer = td_test_literal("\x1b[31m"));
    EXPECT(TD_EPARENT, plain.parent = ((struct td_text){letters, TD_JOB_BYTES_MAX + 1}));
    EXPECT(TD_OK, plain.expect = TD_EXPECT_EVERY_S_MAX);
    EXPECT(TD_EEXPECT, plain.expect = TD_EXPECT_EVERY_S_MAX + 1);
}

static void test_lists_ascend_and_have_no_duplicates(void **state)
{
    struct td_test *test = *state;
    struct td_text a = td_test_literal("a");
    struct td_text b = td_test_literal("b");
    struct td_text none = {"", 0};
    const struct plain base = {.job = td_test_literal("j"), .attempt = 1, .keys = {a, b}};
    static char letters[600];
    memset(letters, 'y', sizeof letters);
    struct td_text half = {letters, 256};
    struct td_text more = {letters, 257};

    EXPECT(TD_OK, plain.label_count = 4);
    EXPECT(TD_ELABELS, plain.label_count = 3);
    EXPECT(TD_ELABELS, plain.label_count = 4; plain.keys[1] = a);
    EXPECT(TD_ELABELS, plain.label_count = 4; plain.keys[0] = b; plain.keys[1] = a);
    EXPECT(TD_ELABELS, plain.label_count = 2; plain.keys[0] = none);
    EXPECT(TD_ELABELS, plain.label_count = 34);
    EXPECT(TD_OK, plain.label_count = 4; plain.keys[1] = half);
    EXPECT(TD_ELABELS, plain.label_count = 4; plain.keys[0] = half; plain.keys[1] = more);

    EXPECT(TD_OK, plain.time_count = 4; plain.times[1] = 1; plain.times[2] = 7;
           plain.times[3] = TD_STAMP_MS_MAX);
    EXPECT(TD_EFORMAT, plain.time_count = 4; plain.times[0] = 1; plain.times[1] = 5;
           plain.times[2] = 1; plain.times[3] = 5);
    EXPECT(TD_EFORMAT, plain.time_count = 2; plain.times[0] = 1);
    EXPECT(TD_EFORMAT, plain.time_count = 2; plain.times[0] = 8; plain.times[1] = 1);
    EXPECT(TD_EFORMAT, plain.time_count = 3; plain.times[1] = 1);

    const uint64_t clock[8] = {1, 5, 5, 9, 2, 0, 0, TD_SEQ_MAX};
    EXPECT(TD_OK, plain.clock_count = 8; memcpy(plain.clock, clock, sizeof clock));
    EXPECT(TD_EFORMAT, plain.clock_count = 7; memcpy(plain.clock, clock, sizeof clock));
    EXPECT(TD_EFORMAT, plain.clock_count = 8; memcpy(plain.clock, clock, sizeof clock);
           plain.clock[4] = 1);
    EXPECT(TD_EFORMAT, plain.clock_count = 8; memcpy(plain.clock, clock, sizeof clock);
           plain.clock[3] = 0);
    EXPECT(TD_EFORMAT, plain.clock_count = 8; memcpy(plain.clock, clock, sizeof clock);
           plain.clock[7]++);
    EXPECT(TD_EFORMAT, plain.clock_count = 4; memcpy(plain.clock, clock, sizeof clock);
           plain.clock[0] = 0);
    EXPECT(TD_EFORMAT, plain.clock_count = 4; memcpy(plain.clock, clock, sizeof clock);
           plain.clock[0] = 256);
}

static void test_used_up_arena_is_an_error_not_a_crash(void **state)
{
    struct td_test *test = *state;
    struct td_delta made;
    do {
        td_test_delta(test, &made);
    } while (made.clock_count == 0 || made.status.label_count == 0);
    unsigned refused = 0;
    for (size_t size = 0; size < 1000; size += 16) {
        struct td_delta got;
        struct td_arena small;
        td_arena_init(&small, test->scratch.bytes, size);
        enum td_err err = td_delta_decode(made.raw, &test->signer, test->reader, &small, &got);
        refused += err == TD_ETOOBIG;
        assert_true(err == TD_OK || err == TD_ETOOBIG);
    }
    assert_true(refused > 1 && refused < 60);
}

/* What a program hands over, before it is encoded: the same rules as on the wire. */
static void test_a_status_is_checked_by_the_rules_of_the_wire(void **state)
{
    struct td_label labels[TD_LABELS_MAX + 1];
    static char big[TD_LABELS_BYTES_MAX + 1];
    (void)state;
    memset(big, 'x', sizeof big);
    for (unsigned i = 0; i <= TD_LABELS_MAX; i++) {
        labels[i] = (struct td_label){{&"abcdefghijklmnopq"[i], 1}, {"v", 1}};
    }
    const struct td_label nameless = {{"", 0}, {"v", 1}};
    const struct td_label heavy = {{"k", 1}, {big, TD_LABELS_BYTES_MAX}};
    const struct td_label twice[] = {labels[1], labels[1]};
    const struct {
        const char *what;
        struct td_status status;
        enum td_err err;
    } rows[] = {
        {"nothing set", {.state = TD_STATE_PENDING}, TD_OK},
        {"no such state", {.state = TD_STATE_COUNT}, TD_ESTATE},
        {"all done", {.progress_known = true, .progress = TD_PROGRESS_MAX}, TD_OK},
        {"more than done", {.progress_known = true, .progress = TD_PROGRESS_MAX + 1}, TD_EPROGRESS},
        {"progress unknown but set", {.progress = 1}, TD_EPROGRESS},
        {"longest detail", {.detail = {big, TD_DETAIL_BYTES_MAX}}, TD_OK},
        {"longer detail", {.detail = {big, TD_DETAIL_BYTES_MAX + 1}}, TD_EDETAIL},
        {"a NUL in the detail", {.detail = {"a\0b", 3}}, TD_EDETAIL},
        {"most labels", {.labels = labels, .label_count = TD_LABELS_MAX}, TD_OK},
        {"more labels", {.labels = labels, .label_count = TD_LABELS_MAX + 1}, TD_ELABELS},
        {"a label without a key", {.labels = &nameless, .label_count = 1}, TD_ELABELS},
        {"labels too heavy", {.labels = &heavy, .label_count = 1}, TD_ELABELS},
        {"one key twice", {.labels = twice, .label_count = 2}, TD_ELABELS},
        {"longest writer", {.writer = {big, TD_WRITER_BYTES_MAX}}, TD_OK},
        {"longer writer", {.writer = {big, TD_WRITER_BYTES_MAX + 1}}, TD_EWRITER},
        {"parent too long", {.parent = {big, TD_JOB_BYTES_MAX + 1}}, TD_EPARENT},
        {"a year's promise", {.expect_every_s = TD_EXPECT_EVERY_S_MAX}, TD_OK},
        {"a longer promise", {.expect_every_s = TD_EXPECT_EVERY_S_MAX + 1}, TD_EEXPECT},
        {"entered in 2100", {.entered_ms = {TD_STAMP_MS_MAX + 1}}, TD_EFORMAT},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        enum td_err err = td_status_check(&rows[i].status);
        if (err != rows[i].err) {
            fail_msg("%s: %d instead of %d", rows[i].what, (int)err, (int)rows[i].err);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TD_UNIT_TEST(test_delta_survives_the_round_trip),
        TD_UNIT_TEST(test_no_prefix_of_a_delta_is_a_delta),
        TD_UNIT_TEST(test_every_flipped_bit_changes_the_leaf_and_keeps_one_form),
        TD_UNIT_TEST(test_unknown_trailing_fields_are_kept_by_the_bytes),
        TD_UNIT_TEST(test_each_field_rule_has_its_own_code_at_the_edge),
        TD_UNIT_TEST(test_lists_ascend_and_have_no_duplicates),
        TD_UNIT_TEST(test_used_up_arena_is_an_error_not_a_crash),
        cmocka_unit_test(test_a_status_is_checked_by_the_rules_of_the_wire),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
