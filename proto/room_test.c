/* room_test.c -- memory that runs out is an answer, not an accident: each decoder with too small an
 * arena says TD_ETOOBIG, each encoder with too small a buffer says 0, at every size below what is
 * enough. */
#include "proto/batch.h"
#include "proto/test_main.h"

enum { STEP_BYTES = 16, DENSE_BYTES = 8192 };

/* What is decoded, by name in failures. */
enum kind { KIND_MSG, KIND_BATCH, KIND_HEAD, KIND_ROSTER, KIND_REQUEST, KIND_RESPONSE, KIND_TOKEN };

struct sample {
    enum kind kind;
    int type; /* of the message, request or response */
    struct td_bytes bytes;
};

static enum td_err decode(struct td_test *test, const struct sample *sample, struct td_arena *arena)
{
    struct td_msg msg;
    struct td_batch batch;
    struct td_head head;
    struct td_roster roster;
    struct td_request request;
    struct td_response response;
    struct td_token token;

    switch (sample->kind) {
    case KIND_MSG:
        return td_msg_decode((enum td_msg_type)sample->type, sample->bytes, &test->signer,
                             test->reader, arena, &msg);
    case KIND_BATCH:
        return td_batch_decode(sample->bytes, &test->signer, test->reader, arena, &batch);
    case KIND_HEAD:
        return td_head_decode(sample->bytes, &test->signer, test->reader, arena, &head);
    case KIND_ROSTER:
        return td_roster_decode(sample->bytes, &test->signer, &test->key, test->reader, arena,
                                &roster);
    case KIND_REQUEST:
        return td_request_decode(sample->bytes, &test->signer, test->reader, arena, &request);
    case KIND_RESPONSE:
        return td_response_decode(sample->bytes, test->reader, arena, &response);
    case KIND_TOKEN:
        return td_token_decode(sample->bytes, test->reader, arena, &token);
    }
    return TD_EUNKNOWN;
}

/* Encodes a value of this kind into a buffer of so many bytes. */
static size_t encode(struct td_test *test, enum kind kind, int type, uint64_t seed, size_t room)
{
    struct td_msg msg;
    struct td_head head;
    struct td_roster roster;
    struct td_request request;
    struct td_response response;
    struct td_token token;

    td_test_reset(test);
    test->random_state = seed;
    switch (kind) {
    case KIND_MSG:
        td_test_msg(test, (enum td_msg_type)type, &msg);
        return td_msg_encode(&msg, test->out, room);
    case KIND_HEAD:
        td_test_head(test, &head);
        return td_head_encode(&head, &test->signer, test->out, room);
    case KIND_ROSTER:
        td_test_roster(test, 5, 4, &roster);
        return td_roster_encode(&roster, &test->signer, test->out, room);
    case KIND_REQUEST:
        td_test_request(test, (enum td_op)type, &request);
        return td_request_encode(&request, test->out, room);
    case KIND_RESPONSE:
        td_test_response(test, (enum td_op)type, &response);
        return td_response_encode(&response, test->out, room);
    case KIND_TOKEN:
        td_test_token(test, &token);
        return td_token_encode(&token, test->out, room);
    case KIND_BATCH:
        break;
    }
    return 0;
}

static const struct {
    enum kind kind;
    int type;
} rows[] = {
    {KIND_MSG, TD_MSG_HELLO},
    {KIND_MSG, TD_MSG_WANT_LIVE},
    {KIND_MSG, TD_MSG_WANT_ALL},
    {KIND_MSG, TD_MSG_HAS},
    {KIND_MSG, TD_MSG_DIGEST_ASK},
    {KIND_MSG, TD_MSG_DIGEST},
    {KIND_MSG, TD_MSG_TRANSFER_END},
    {KIND_MSG, TD_MSG_TRANSFER_CHUNK},
    {KIND_MSG, TD_MSG_BUCKET},
    {KIND_MSG, TD_MSG_FETCH},
    {KIND_MSG, TD_MSG_PROOF},
    {KIND_HEAD, 0},
    {KIND_ROSTER, 0},
    {KIND_TOKEN, 0},
    {KIND_REQUEST, TD_OP_PUBLISH},
    {KIND_REQUEST, TD_OP_GET},
    {KIND_REQUEST, TD_OP_LIST},
    {KIND_REQUEST, TD_OP_WATCH},
    {KIND_RESPONSE, TD_OP_PUBLISH},
    {KIND_RESPONSE, TD_OP_GET},
    {KIND_RESPONSE, TD_OP_LIST},
    {KIND_RESPONSE, TD_OP_EXPLAIN},
    {KIND_RESPONSE, TD_OP_STATUS},
};
enum { ROW_COUNT = sizeof rows / sizeof rows[0], SEEDS = 6 };

/* Every size for small messages, then wider and wider steps: the decoder takes memory in a few
 * pieces. */
static size_t next_size(size_t size)
{
    return size < DENSE_BYTES ? size + STEP_BYTES : size + size / 16 / STEP_BYTES * STEP_BYTES;
}

static void check_every_arena(struct td_test *test, const struct sample *sample)
{
    struct td_arena arena;
    size_t size_bytes = test->scratch.size_bytes;

    td_arena_init(&arena, test->scratch.bytes, size_bytes);
    assert_int_equal(decode(test, sample, &arena), TD_OK);
    size_t enough = arena.used_bytes;
    for (size_t size = 0; size < enough; size = next_size(size)) {
        td_arena_init(&arena, test->scratch.bytes, size);
        enum td_err err = decode(test, sample, &arena);
        if (err != (sample->kind == KIND_TOKEN ? TD_ETOKEN : TD_ETOOBIG)) {
            fail_msg("kind %d type %d: arena of %zu of %zu bytes: %d", (int)sample->kind,
                     sample->type, size, enough, (int)err);
        }
    }
    td_arena_init(&arena, test->scratch.bytes, enough);
    assert_int_equal(decode(test, sample, &arena), TD_OK); /* the reader is usable as before */
}

static void test_a_small_arena_is_refused_at_every_size(void **state)
{
    struct td_test *test = *state;

    for (size_t row = 0; row < ROW_COUNT; row++) {
        for (uint64_t seed = 1; seed <= SEEDS; seed++) {
            size_t count = encode(test, rows[row].kind, rows[row].type, seed, TD_TEST_OUT_BYTES);
            assert_int_not_equal(count, 0);
            struct sample sample = {rows[row].kind, rows[row].type, {test->out, count}};
            check_every_arena(test, &sample);
        }
    }
}

static void test_a_batch_of_any_size_needs_its_arena(void **state)
{
    static const uint32_t counts[] = {1, 2, 3, 17};
    struct td_test *test = *state;

    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        td_test_reset(test);
        struct sample sample = {KIND_BATCH, 0, td_test_batch(test, counts[i])};
        check_every_arena(test, &sample);
    }
}

static void test_a_small_buffer_is_refused_at_every_size(void **state)
{
    struct td_test *test = *state;

    for (size_t row = 0; row < ROW_COUNT; row++) {
        size_t enough = encode(test, rows[row].kind, rows[row].type, 3, TD_TEST_OUT_BYTES);
        for (size_t room = 0; room < enough;
             room = room < 256 ? room + 1 : room + enough / 16 + 1) {
            if (encode(test, rows[row].kind, rows[row].type, 3, room) != 0) {
                fail_msg("kind %d type %d: written into %zu of %zu bytes", (int)rows[row].kind,
                         rows[row].type, room, enough);
            }
        }
        assert_int_equal(encode(test, rows[row].kind, rows[row].type, 3, enough), enough);
    }
}

/* A thinned batch is written by a relay into room that it chose. */
static void test_thinning_into_too_little_says_so(void **state)
{
    static const uint32_t keep[] = {0, 5, 9};
    struct td_test *test = *state;
    struct td_batch batch;
    struct td_arena arena;
    struct td_bytes raw = td_test_batch(test, 12);

    assert_int_equal(td_batch_decode(raw, &test->signer, test->reader, &test->scratch, &batch),
                     TD_OK);
    size_t used = test->scratch.used_bytes;
    td_arena_init(&arena, test->scratch.bytes + (used + 63) / 64 * 64, 1 << 20);
    size_t enough =
        td_batch_thin(&batch, keep, 3, &test->signer, &arena, test->out, TD_TEST_OUT_BYTES);
    assert_int_not_equal(enough, 0);
    size_t memory = arena.used_bytes;
    for (size_t room = 0; room < enough; room++) {
        arena.used_bytes = 0;
        assert_int_equal(td_batch_thin(&batch, keep, 3, &test->signer, &arena, test->out, room), 0);
    }
    for (size_t size = 0; size < memory; size += STEP_BYTES) {
        arena.used_bytes = 0;
        arena.size_bytes = size;
        assert_int_equal(td_batch_thin(&batch, keep, 3, &test->signer, &arena, test->out, enough),
                         0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TD_UNIT_TEST(test_a_small_arena_is_refused_at_every_size),
        TD_UNIT_TEST(test_a_batch_of_any_size_needs_its_arena),
        TD_UNIT_TEST(test_a_small_buffer_is_refused_at_every_size),
        TD_UNIT_TEST(test_thinning_into_too_little_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
