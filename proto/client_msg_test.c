/* client_msg_test.c -- requests, responses and tokens have one form each, and one bad update does
 * not spoil the others of its request. */
#include "proto/client_msg.h"
#include "proto/test_main.h"
#include "proto/writer.h"

static enum td_err decode_request(struct td_test *test, struct td_bytes payload,
                                  struct td_request *ret_request)
{
    test->scratch.used_bytes = 0;
    return td_request_decode(payload, &test->signer, test->reader, &test->scratch, ret_request);
}

static enum td_err decode_response(struct td_test *test, struct td_bytes payload,
                                   struct td_response *ret_response)
{
    test->scratch.used_bytes = 0;
    return td_response_decode(payload, test->reader, &test->scratch, ret_response);
}

static struct td_bytes make_request(struct td_test *test, enum td_op op)
{
    struct td_request made;
    td_test_reset(test);
    td_test_request(test, op, &made);
    size_t count = td_request_encode(&made, test->out, TD_TEST_OUT_BYTES);
    assert_int_not_equal(count, 0);
    return (struct td_bytes){test->out, count};
}

static struct td_bytes make_response(struct td_test *test, enum td_op op)
{
    struct td_response made;
    td_test_reset(test);
    td_test_response(test, op, &made);
    size_t count = td_response_encode(&made, test->out, TD_TEST_OUT_BYTES);
    assert_int_not_equal(count, 0);
    return (struct td_bytes){test->out, count};
}

static void test_every_request_survives_the_round_trip(void **state)
{
    struct td_test *test = *state;
    for (int op = TD_OP_PUBLISH; op <= TD_OP_LAST; op++) {
        for (int round = 0; round < 100; round++) {
            struct td_request got;
            struct td_bytes payload = make_request(test, (enum td_op)op);
            assert_int_equal(decode_request(test, payload, &got), TD_OK);
            assert_int_equal(got.op, op);
            assert_int_equal(td_request_encode(&got, test->out_again, TD_TEST_OUT_BYTES),
                             payload.count);
            assert_memory_equal(test->out_again, payload.bytes, payload.count);
        }
    }
}

static void test_every_response_survives_the_round_trip(void **state)
{
    struct td_test *test = *state;
    for (int op = TD_OP_PUBLISH; op <= TD_OP_LAST; op++) {
        for (int round = 0; round < 100; round++) {
            struct td_response got;
            struct td_bytes payload = make_response(test, (enum td_op)op);
            assert_int_equal(decode_response(test, payload, &got), TD_OK);
            assert_int_equal(td_response_encode(&got, test->out_again, TD_TEST_OUT_BYTES),
                             payload.count);
            assert_memory_equal(test->out_again, payload.bytes, payload.count);
            assert_int_equal(td_response_encode(&got, test->out_again, payload.count - 1), 0);
        }
    }
}

static bool any_update_refused(const struct td_request *request)
{
    for (uint32_t i = 0; request->op == TD_OP_PUBLISH && i < request->u.publish.count; i++) {
        if (request->u.publish.updates[i].err != TD_OK) {
            return true;
        }
    }
    return false;
}

static void test_altered_requests_are_refused_or_another_request(void **state)
{
    struct td_test *test = *state;
    for (int op = TD_OP_PUBLISH; op <= TD_OP_LAST; op++) {
        struct td_request got;
        struct td_bytes payload = make_request(test, (enum td_op)op);
        size_t bits = payload.count * 8 < 16000 ? payload.count * 8 : 16000;
        for (size_t bit = 0; bit < bits; bit++) {
            test->out[bit / 8] ^= (uint8_t)(1 << bit % 8);
            if (decode_request(test, payload, &got) == TD_OK && !any_update_refused(&got)) {
                assert_int_equal(td_request_encode(&got, test->out_again, TD_TEST_OUT_BYTES),
                                 payload.count);
                assert_memory_equal(test->out_again, payload.bytes, payload.count);
            }
            test->out[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        for (size_t cut = 0; cut < payload.count; cut++) {
            struct td_bytes prefix = {payload.bytes, cut};
            assert_int_not_equal(decode_request(test, prefix, &got), TD_OK);
        }
    }
}

static void test_an_answer_says_its_stale_limit_or_leaves_it_out(void **state)
{
    struct td_test *test = *state;
    struct td_response made = {.op = TD_OP_DRAIN};
    struct td_response got;
    size_t without = td_response_encode(&made, test->out, TD_TEST_OUT_BYTES);
    assert_int_equal(decode_response(test, (struct td_bytes){test->out, without}, &got), TD_OK);
    assert_int_equal(got.stale_ms, 0);
    assert_int_equal(td_stale_ms(&got), TD_STALE_MS_DEFAULT);
    made.stale_ms = 2500;
    size_t with = td_response_encode(&made, test->out, TD_TEST_OUT_BYTES);
    assert_int_equal(decode_response(test, (struct td_bytes){test->out, with}, &got), TD_OK);
    assert_int_equal(td_stale_ms(&got), 2500);
}

static void test_altered_responses_are_refused_or_another_response(void **state)
{
    struct td_test *test = *state;
    for (int op = TD_OP_PUBLISH; op <= TD_OP_LAST; op++) {
        struct td_response got;
        struct td_bytes payload = make_response(test, (enum td_op)op);
        size_t bits = payload.count * 8 < 16000 ? payload.count * 8 : 16000;
        for (size_t bit = 0; bit < bits; bit++) {
            test->out[bit / 8] ^= (uint8_t)(1 << bit % 8);
            if (decode_response(test, payload, &got) == TD_OK) {
                assert_int_equal(td_response_encode(&got, test->out_again, TD_TEST_OUT_BYTES),
                                 payload.count);
                assert_memory_equal(test->out_again, payload.bytes, payload.count);
            }
            test->out[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        for (size_t cut = 0; cut < payload.count; cut += 1 + payload.count / 500) {
            struct td_bytes prefix = {payload.bytes, cut};
            assert_int_not_equal(decode_response(test, prefix, &got), TD_OK);
        }
    }
}

static void test_signed_numbers_keep_their_sign(void **state)
{
    struct td_test *test = *state;
    static const int64_t values[] = {
        0, 1, -1, 12345678, -12345678, (int64_t)TD_SEQ_MAX, -(int64_t)TD_SEQ_MAX};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        struct td_region_view view = {.region = {1}, .offset_known = true, .offset_ms = values[i]};
        struct td_response made = {.op = TD_OP_STATUS};
        struct td_response got;
        made.u.status.region_count = 1;
        made.u.status.regions = &view;
        size_t count = td_response_encode(&made, test->out, TD_TEST_OUT_BYTES);
        assert_int_equal(decode_response(test, (struct td_bytes){test->out, count}, &got), TD_OK);
        assert_true(got.u.status.regions[0].offset_known);
        assert_true(got.u.status.regions[0].offset_ms == values[i]);
        if (values[i] == -1) { /* the only [1, 1] of the answer; as minus nothing it is refused */
            uint8_t *at = memmem(test->out, count, "\x92\x01\x01", 3);
            assert_non_null(at);
            at[2] = 0;
            assert_int_equal(decode_response(test, (struct td_bytes){test->out, count}, &got),
                             TD_EFORMAT);
        }
    }
}

/* Both came after the rest: an answer without them has the form it had before. */
static void test_refusals_and_the_time_left_are_there_or_left_out(void **state)
{
    struct td_test *test = *state;
    struct td_refused_view refused[TD_REFUSED_SHOWN_MAX] = {
        {TD_EBADSIG, 3, 1772460271900, 1772460341000, td_test_literal("us-east at 10.0.3.9:7717")},
        {TD_EPERM, 1, 1772460271900, 1772460271900, {NULL, 0}}};
    struct td_response made = {.op = TD_OP_EXPLAIN, .err = TD_EUNKNOWN};
    struct td_response got;
    made.u.explain.refused = refused;
    for (made.u.explain.refused_count = 0; made.u.explain.refused_count <= TD_REFUSED_SHOWN_MAX;
         made.u.explain.refused_count++) {
        size_t count = td_response_encode(&made, test->out, TD_TEST_OUT_BYTES);
        assert_int_equal(decode_response(test, (struct td_bytes){test->out, count}, &got), TD_OK);
        assert_int_equal(got.u.explain.refused_count, made.u.explain.refused_count);
        assert_int_equal(td_response_encode(&got, test->out_again, TD_TEST_OUT_BYTES), count);
        assert_memory_equal(test->out_again, test->out, count);
    }
    assert_int_equal(got.u.explain.refused[0].err, TD_EBADSIG);
    assert_int_equal(got.u.explain.refused[0].count, 3);
    assert_int_equal(got.u.explain.refused[0].last_ms, 1772460341000);
    assert_int_equal(got.u.explain.refused[0].from.count, 24);
    made.u.explain.refused_count = 0;
    size_t count = td_response_encode(&made, test->out, TD_TEST_OUT_BYTES);
    assert_int_equal(test->out[count - 2], 0x91); /* [[]]; the same with an empty second list */
    test->out[count - 2] = 0x92;
    test->out[count++] = 0x90;
    assert_int_equal(decode_response(test, (struct td_bytes){test->out, count}, &got), TD_EFORMAT);
    for (unsigned known = 0; known < 2; known++) {
        struct td_region_view view = {.region = {1}, .eta_known = known, .eta_ms = known * 3100};
        struct td_response status = {.op = TD_OP_STATUS};
        status.u.status.region_count = 1;
        status.u.status.regions = &view;
        count = td_response_encode(&status, test->out, TD_TEST_OUT_BYTES);
        assert_int_equal(decode_response(test, (struct td_bytes){test->out, count}, &got), TD_OK);
        assert_int_equal(got.u.status.regions[0].eta_known, known);
        assert_int_equal(got.u.status.regions[0].eta_ms, known * 3100);
    }
}

/* One publish of three updates whose middle one is given by its job and detail. */
static void check_middle(struct td_test *test, struct td_text job, struct td_text detail,
                         uint64_t state_value, enum td_err want)
{
    struct td_update updates[3] = {
        {.job = td_test_literal("first")}, {.job = job}, {.job = td_test_literal("third")}};
    struct td_request made = {.id = 1, .op = TD_OP_PUBLISH};
    struct td_request got;
    updates[1].status.detail = detail;
    updates[1].status.state = (enum td_state)state_value;
    made.u.publish.count = 3;
    made.u.publish.updates = updates;
    size_t count = td_request_encode(&made, test->out, TD_TEST_OUT_BYTES);
    assert_int_equal(decode_request(test, (struct td_bytes){test->out, count}, &got), TD_OK);
    assert_int_equal(got.u.publish.count, 3);
    assert_int_equal(got.u.publish.updates[0].err, TD_OK);
    assert_int_equal(got.u.publish.updates[1].err, want);
    assert_int_equal(got.u.publish.updates[2].err, TD_OK);
    assert_int_equal(got.u.publish.updates[2].job.count, 5);
    assert_true(got.u.publish.updates[2].job_hash ==
                test->signer.job_hash(test->signer.self, td_test_literal("third")));
    if (want != TD_OK) {
        assert_int_equal(got.u.publish.updates[1].job.count, 0);
    }
}

static void test_bad_update_is_marked_and_its_neighbours_stand(void **state)
{
    struct td_test *test = *state;
    static char letters[600];
    memset(letters, 'x', sizeof letters);
    struct td_text job = td_test_literal("second");
    struct td_text none = {NULL, 0};
    check_middle(test, job, none, 0, TD_OK);
    check_middle(test, none, none, 0, TD_EJOBID);
    check_middle(test, td_test_literal("a\nb"), none, 0, TD_EJOBID);
    check_middle(test, (struct td_text){letters, 201}, none, 0, TD_EJOBID);
    check_middle(test, job, (struct td_text){letters, 513}, 0, TD_EDETAIL);
    check_middle(test, job, none, 8, TD_ESTATE);
    check_middle(test, job, none, 2000000000, TD_ESTATE);
}

static void test_more_updates_than_the_limit_are_refused(void **state)
{
    struct td_test *test = *state;
    static struct td_update updates[TD_REQUEST_UPDATES_MAX + 1];
    struct td_request made = {.id = 1, .op = TD_OP_PUBLISH};
    struct td_request got;
    for (uint32_t i = 0; i <= TD_REQUEST_UPDATES_MAX; i++) {
        updates[i].job = td_test_literal("job");
    }
    made.u.publish.updates = updates;
    made.u.publish.count = TD_REQUEST_UPDATES_MAX;
    size_t count = td_request_encode(&made, test->out, TD_TEST_OUT_BYTES);
    assert_int_equal(decode_request(test, (struct td_bytes){test->out, count}, &got), TD_OK);
    made.u.publish.count++;
    count = td_request_encode(&made, test->out, TD_TEST_OUT_BYTES);
    assert_int_equal(decode_request(test, (struct td_bytes){test->out, count}, &got), TD_ETOOBIG);
}

static void test_token_survives_and_every_other_form_is_a_bad_token(void **state)
{
    struct td_test *test = *state;
    for (int round = 0; round < 200; round++) {
        struct td_token made;
        struct td_token got;
        td_test_reset(test);
        td_test_token(test, &made);
        size_t count = td_token_encode(&made, test->out, TD_TEST_OUT_BYTES);
        struct td_bytes bytes = {test->out, count};
        assert_int_equal(td_token_decode(bytes, test->reader, &test->scratch, &got), TD_OK);
        assert_true(got.seen.register_hash == made.seen.register_hash);
        assert_true(td_vv_equal(&got.has, &made.has));
        assert_int_equal(td_token_encode(&got, test->out_again, TD_TEST_OUT_BYTES), count);
        assert_memory_equal(test->out_again, test->out, count);
        for (size_t cut = 0; cut < count; cut++) {
            assert_int_equal(td_token_decode((struct td_bytes){test->out, cut}, test->reader,
                                             &test->scratch, &got),
                             TD_ETOKEN);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TD_UNIT_TEST(test_every_request_survives_the_round_trip),
        TD_UNIT_TEST(test_every_response_survives_the_round_trip),
        TD_UNIT_TEST(test_altered_requests_are_refused_or_another_request),
        TD_UNIT_TEST(test_an_answer_says_its_stale_limit_or_leaves_it_out),
        TD_UNIT_TEST(test_altered_responses_are_refused_or_another_response),
        TD_UNIT_TEST(test_signed_numbers_keep_their_sign),
        TD_UNIT_TEST(test_refusals_and_the_time_left_are_there_or_left_out),
        TD_UNIT_TEST(test_bad_update_is_marked_and_its_neighbours_stand),
        TD_UNIT_TEST(test_more_updates_than_the_limit_are_refused),
        TD_UNIT_TEST(test_token_survives_and_every_other_form_is_a_bad_token),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
