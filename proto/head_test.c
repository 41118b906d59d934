/* head_test.c -- heads come back as they went out and no bit of a signed one can be changed. */
#include "proto/head.h"
#include "proto/test_main.h"

static enum td_err decode(struct td_test *test, struct td_bytes raw, struct td_head *ret_head)
{
    test->scratch.used_bytes = 0;
    return td_head_decode(raw, &test->signer, test->reader, &test->scratch, ret_head);
}

static void test_head_survives_the_round_trip_and_verifies(void **state)
{
    struct td_test *test = *state;
    for (int round = 0; round < 1000; round++) {
        struct td_head made;
        struct td_head got;
        td_test_reset(test);
        td_test_head(test, &made);
        size_t count = td_head_encode(&made, &test->signer, test->out, TD_TEST_OUT_BYTES);
        assert_int_not_equal(count, 0);
        assert_int_equal(decode(test, made.raw, &got), TD_OK);
        assert_true(td_vv_equal(&got.has, &made.has));
        assert_true(got.number == made.number && got.seq == made.seq);
        assert_int_equal(got.recovering, made.recovering);
        assert_int_equal(got.echo_count, made.echo_count);
        assert_int_equal(got.closing_count, made.closing_count);
        assert_int_equal(got.detours_said, made.detours_said);
        assert_int_equal(got.detour_count, made.detour_count);
        assert_memory_equal(got.hash, made.hash, sizeof got.hash);
        assert_true(td_head_verify(&got, &test->signer, &test->key));
        assert_false(td_head_verify(&got, &test->signer, &test->other_key));
        size_t again = td_head_encode(&got, &test->signer, test->out_again, TD_TEST_OUT_BYTES);
        assert_int_equal(again, count);
        assert_memory_equal(test->out_again, test->out, count);
        assert_int_equal(td_head_encode(&got, &test->signer, test->out_again, count - 1), 0);
    }
}

static bool decodes_and_verifies(struct td_test *test, struct td_bytes raw)
{
    struct td_head head;
    return decode(test, raw, &head) == TD_OK && td_head_verify(&head, &test->signer, &test->key);
}

static void test_no_bit_of_a_head_can_be_changed(void **state)
{
    struct td_test *test = *state;
    struct td_head made;
    size_t count;
    do {
        td_test_head(test, &made);
        count = td_head_encode(&made, &test->signer, test->out, TD_TEST_OUT_BYTES);
    } while (count < 300 || count > 700);
    assert_true(decodes_and_verifies(test, made.raw));
    for (size_t bit = 0; bit < count * 8; bit++) {
        test->out[bit / 8] ^= (uint8_t)(1 << bit % 8);
        if (decodes_and_verifies(test, made.raw)) {
            fail_msg("bit %zu can be changed", bit);
        }
        test->out[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t cut = 0; cut < count; cut++) {
        assert_false(decodes_and_verifies(test, (struct td_bytes){test->out, cut}));
    }
    test->out[count] = 0;
    assert_false(decodes_and_verifies(test, (struct td_bytes){test->out, count + 1}));
}

static void test_head_with_every_list_full_fits_and_comes_back(void **state)
{
    struct td_test *test = *state;
    static struct td_vv_entry entries[TD_VV_ENTRIES_MAX];
    static struct td_tick echo[TD_ECHO_ENTRIES_MAX];
    static struct td_closing closings[TD_CLOSINGS_MAX];
    static struct td_region counted[TD_REGIONS_MAX];
    static struct td_detour detours[TD_REGIONS_MAX];
    struct td_head made;
    struct td_head got;
    td_test_head(test, &made);
    for (uint32_t i = 0; i < TD_VV_ENTRIES_MAX; i++) {
        entries[i].origin = (struct td_origin){{(uint8_t)(200 + i / 64)},
                                               {UINT32_MAX - TD_VV_ENTRIES_MAX + i, UINT32_MAX}};
        entries[i].seq = TD_SEQ_MAX;
    }
    for (uint32_t i = 0; i < TD_ECHO_ENTRIES_MAX; i++) {
        echo[i] = (struct td_tick){entries[i].origin, TD_SEQ_MAX, {1}};
    }
    for (uint32_t i = 0; i < TD_CLOSINGS_MAX; i++) {
        closings[i] = (struct td_closing){entries[i].origin.incarnation, TD_SEQ_MAX, true};
    }
    for (uint32_t i = 0; i < TD_REGIONS_MAX; i++) {
        counted[i].v = (uint8_t)(i + 1);
        detours[i] = (struct td_detour){counted[i], {UINT8_MAX}};
    }
    made.has = (struct td_vv){TD_VV_ENTRIES_MAX, 0, entries, NULL};
    made.echo = echo;
    made.echo_count = TD_ECHO_ENTRIES_MAX;
    made.closings = closings;
    made.closing_count = TD_CLOSINGS_MAX;
    made.counted = counted;
    made.counted_count = TD_REGIONS_MAX;
    made.detours_said = true;
    made.detours = detours;
    made.detour_count = TD_REGIONS_MAX;
    assert_int_not_equal(td_head_encode(&made, &test->signer, test->out, TD_HEAD_BYTES_MAX), 0);
    assert_int_equal(decode(test, made.raw, &got), TD_OK);
    assert_true(td_vv_equal(&got.has, &made.has));
    assert_int_equal(got.detour_count, TD_REGIONS_MAX);
    assert_memory_equal(got.detours, detours, sizeof detours);
}

/* An older head ends before the detours: that is not the same as having none. */
static void test_an_older_head_does_not_tell_its_detours(void **state)
{
    struct td_test *test = *state;
    struct td_head made;
    struct td_head got;
    td_test_head(test, &made);
    made.detour_count = 0;
    made.detours_said = false;
    size_t older = td_head_encode(&made, &test->signer, test->out, TD_TEST_OUT_BYTES);
    assert_int_equal(decode(test, made.raw, &got), TD_OK);
    assert_false(got.detours_said);
    made.detours_said = true;
    size_t newer = td_head_encode(&made, &test->signer, test->out, TD_TEST_OUT_BYTES);
    assert_int_equal(newer, older + 1); /* in a whole mesh it costs a byte */
    assert_int_equal(decode(test, made.raw, &got), TD_OK);
    assert_true(got.detours_said);
    assert_int_equal(got.detour_count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TD_UNIT_TEST(test_head_survives_the_round_trip_and_verifies),
        TD_UNIT_TEST(test_no_bit_of_a_head_can_be_changed),
        TD_UNIT_TEST(test_head_with_every_list_full_fits_and_comes_back),
        TD_UNIT_TEST(test_an_older_head_does_not_tell_its_detours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
