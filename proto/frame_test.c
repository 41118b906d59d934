/* frame_test.c -- each message between regions has one form that survives the round trip. */
#include "proto/frame.h"
#include "proto/test_main.h"

static const enum td_msg_type types[] = {
    TD_MSG_PING,         TD_MSG_PONG,        TD_MSG_BYE,        TD_MSG_HELLO,
    TD_MSG_HEAD_ASK,     TD_MSG_NOT_WHOLE,   TD_MSG_WANT_LIVE,  TD_MSG_WANT_ALL,
    TD_MSG_CREDIT,       TD_MSG_HAS,         TD_MSG_DIGEST_ASK, TD_MSG_TRANSFER_CHUNK,
    TD_MSG_TRANSFER_END, TD_MSG_TRANSFER_NO, TD_MSG_DIGEST,     TD_MSG_BUCKET_ASK,
    TD_MSG_BUCKET,       TD_MSG_FETCH,       TD_MSG_PROOF,
};
enum { TYPE_COUNT = sizeof types / sizeof types[0] };

static enum td_err decode(struct td_test *test, enum td_msg_type type, struct td_bytes payload,
                          struct td_msg *ret_msg)
{
    test->scratch.used_bytes = 0;
    return td_msg_decode(type, payload, &test->signer, test->reader, &test->scratch, ret_msg);
}

static void check_round_trip(struct td_test *test, enum td_msg_type type)
{
    struct td_msg made;
    struct td_msg got;
    td_test_reset(test);
    td_test_msg(test, type, &made);
    size_t count = td_msg_encode(&made, test->out, TD_TEST_OUT_BYTES);
    assert_int_not_equal(count, 0);
    enum td_err err = decode(test, type, (struct td_bytes){test->out, count}, &got);
    if (err != TD_OK) {
        fail_msg("type %d: %d", (int)type, (int)err);
    }
    assert_int_equal(got.type, type);
    assert_int_equal(td_msg_encode(&got, test->out_again, TD_TEST_OUT_BYTES), count);
    assert_memory_equal(test->out_again, test->out, count);
    assert_int_equal(td_msg_encode(&got, test->out_again, count - 1), 0);
}

static void test_every_message_survives_the_round_trip(void **state)
{
    struct td_test *test = *state;
    for (size_t i = 0; i < TYPE_COUNT; i++) {
        for (int round = 0; round < 100; round++) {
            check_round_trip(test, types[i]);
        }
    }
}

/* What a flipped bit makes of a message is refused, or another message in its one form. */
static void test_altered_messages_are_refused_or_another_message(void **state)
{
    struct td_test *test = *state;
    for (size_t i = 0; i < TYPE_COUNT; i++) {
        struct td_msg made;
        struct td_msg got;
        td_test_reset(test);
        td_test_msg(test, types[i], &made);
        size_t count = td_msg_encode(&made, test->out, TD_TEST_OUT_BYTES);
        struct td_bytes payload = {test->out, count};
        size_t bits = count * 8 < 20000 ? count * 8 : 20000;
        for (size_t bit = 0; bit < bits; bit++) {
            test->out[bit / 8] ^= (uint8_t)(1 << bit % 8);
            if (decode(test, types[i], payload, &got) == TD_OK) {
                assert_int_equal(td_msg_encode(&got, test->out_again, TD_TEST_OUT_BYTES), count);
                assert_memory_equal(test->out_again, test->out, count);
            }
            test->out[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        for (size_t cut = 0; cut < count; cut++) {
            struct td_bytes prefix = {test->out, cut};
            assert_int_not_equal(decode(test, types[i], prefix, &got), TD_OK);
        }
    }
}

static void test_raw_messages_pass_their_bytes_and_heads_are_decoded(void **state)
{
    struct td_test *test = *state;
    struct td_msg got;
    struct td_head head;
    struct td_bytes batch = td_test_batch(test, 2);
    static const enum td_msg_type raw_types[] = {TD_MSG_ROSTER, TD_MSG_LIVE, TD_MSG_FETCHED};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(decode(test, raw_types[i], batch, &got), TD_OK);
        assert_ptr_equal(got.u.batch_raw.bytes, batch.bytes);
        assert_int_equal(td_msg_encode(&got, test->out, TD_TEST_OUT_BYTES), batch.count);
    }
    td_test_head(test, &head);
    assert_int_not_equal(td_head_encode(&head, &test->signer, test->out, TD_TEST_OUT_BYTES), 0);
    assert_int_equal(decode(test, TD_MSG_HEAD, head.raw, &got), TD_OK);
    assert_true(got.u.head->number == head.number);
    assert_int_equal(td_msg_encode(&got, test->out_again, TD_TEST_OUT_BYTES), head.raw.count);
}

static void test_unknown_types_and_client_types_are_refused(void **state)
{
    struct td_test *test = *state;
    struct td_msg got;
    const uint8_t bytes[] = {0x91, 0x01};
    static const int unknown[] = {0, 6, 15, 34, 63, 64, 65, 200, 255};
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++) {
        assert_int_equal(decode(test, (enum td_msg_type)unknown[i],
                                (struct td_bytes){bytes, sizeof bytes}, &got),
                         TD_EFORMAT);
    }
}

static void test_register_hash_is_never_zero_and_differs_by_attempt(void **state)
{
    struct td_test *test = *state;
    for (int round = 0; round < 10000; round++) {
        uint64_t job_hash = td_test_random(test);
        uint64_t first = td_register_hash(job_hash, 1);
        assert_true(first != 0);
        assert_true(first != td_register_hash(job_hash, 2));
        assert_true(first != td_register_hash(job_hash + 1, 1));
    }
    assert_true(td_register_hash(0, 0) != 0);
}

/* A list written flat whose last entry is cut short, in each message that has one. */
static void test_flat_lists_consist_of_whole_entries(void **state)
{
    struct td_test *test = *state;
    static const struct {
        enum td_msg_type type;
        const char *payload; /* hex */
    } rows[] = {
        {TD_MSG_HAS, "9192 95 0101010102 90"},     /* [[1 1 1 1 2], []]: four numbers an entry */
        {TD_MSG_HAS, "9192 90 9101"},              /* [[], [1]]: two a fold */
        {TD_MSG_WANT_LIVE, "93 01 01 9401010101"}, /* [1, 1, [1 1 1 1]]: three */
        {TD_MSG_WANT_LIVE, "93 01 01 96010105010103"}, /* [1, 1, [1 1 5 1 1 3]]: one life twice */
        {TD_MSG_FETCH, "91 9301 01 01"},               /* [[1 1 1]]: four a dot */
        {TD_MSG_BUCKET, "93 00 00 92 95050101 0101 95040101 0101"}, /* hashes 5, 4: not ascending */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct td_msg got;
        size_t count = 0;
        for (const char *at = rows[i].payload; *at != '\0';) {
            unsigned byte = 0;
            int used = 0;
            if (sscanf(at, " %2x%n", &byte, &used) != 1) {
                break;
            }
            test->out[count++] = (uint8_t)byte;
            at += used;
        }
        enum td_err err = decode(test, rows[i].type, (struct td_bytes){test->out, count}, &got);
        if (err != TD_EFORMAT) {
            fail_msg("row %zu: %d", i, (int)err);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TD_UNIT_TEST(test_every_message_survives_the_round_trip),
        TD_UNIT_TEST(test_altered_messages_are_refused_or_another_message),
        TD_UNIT_TEST(test_raw_messages_pass_their_bytes_and_heads_are_decoded),
        TD_UNIT_TEST(test_unknown_types_and_client_types_are_refused),
        TD_UNIT_TEST(test_flat_lists_consist_of_whole_entries),
        TD_UNIT_TEST(test_register_hash_is_never_zero_and_differs_by_attempt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
