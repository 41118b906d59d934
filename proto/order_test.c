/* order_test.c -- the order is total whatever the values, and the stamp rule never goes back. */
#include "proto/order.h"
#include "proto/test_main.h"

/* Few distinct values a field, so that ties happen in every field. */
static struct td_order make_order(struct td_test *test)
{
    struct td_order order = {.rank = (uint8_t)td_test_below(test, 3)};
    order.stamp.ms = td_test_below(test, 3);
    order.stamp.counter = td_test_below(test, 2);
    order.dot.origin.region.v = (uint8_t)(1 + td_test_below(test, 2));
    order.dot.origin.incarnation.start = td_test_below(test, 2);
    order.dot.origin.incarnation.random = td_test_below(test, 2);
    order.dot.seq = td_test_below(test, 3);
    order.hash.bytes[31] = (uint8_t)td_test_below(test, 2);
    return order;
}

static int sign_of(int value)
{
    return (value > 0) - (value < 0);
}

static void test_order_is_total_and_transitive(void **state)
{
    struct td_test *test = *state;
    for (int round = 0; round < 300000; round++) {
        struct td_order a = make_order(test);
        struct td_order b = make_order(test);
        struct td_order c = make_order(test);
        int ab = sign_of(td_order_compare(&a, &b));
        int bc = sign_of(td_order_compare(&b, &c));
        assert_int_equal(ab, -sign_of(td_order_compare(&b, &a)));
        assert_int_equal(td_order_compare(&a, &a), 0);
        if (ab >= 0 && bc >= 0) {
            int ac = sign_of(td_order_compare(&a, &c));
            assert_int_equal(ac, ab > bc ? ab : bc);
        }
        if (ab == 0) {
            assert_memory_equal(&a.hash, &b.hash, sizeof a.hash);
            assert_int_equal(td_dot_compare(a.dot, b.dot), 0);
            assert_int_equal(a.rank, b.rank);
        }
    }
}

static void test_earlier_field_decides_and_names_the_rule(void **state)
{
    (void)state;
    const struct td_order base = {1, {10, 1}, {{{5}, {3, 7}}, 9}, {{1}}};
    struct td_order rows[7];
    for (int i = 0; i < 7; i++) {
        rows[i] = base;
    }
    rows[0].rank = 2;
    rows[1].stamp.ms = 11;
    rows[2].stamp.counter = 2;
    rows[3].dot.origin.region.v = 6;
    rows[4].dot.origin.incarnation.start = 4;
    rows[5].dot.seq = 10;
    rows[6].hash.bytes[0] = 2;
    static const enum td_rule rules[7] = {
        TD_RULE_FINALITY, TD_RULE_STAMP,  TD_RULE_STAMP, TD_RULE_ORIGIN,
        TD_RULE_ORIGIN,   TD_RULE_ORIGIN, TD_RULE_HASH,
    };
    for (int i = 0; i < 7; i++) {
        assert_true(td_order_compare(&rows[i], &base) > 0);
        assert_int_equal(td_order_rule(&rows[i], &base), rules[i]);
        for (int j = i + 1; j < 7; j++) {
            if (i != 1 || j != 2) {
                assert_true(td_order_compare(&rows[i], &rows[j]) > 0);
            }
        }
    }
    assert_string_equal(td_rule_name(TD_RULE_FINALITY), "finality");
    assert_string_equal(td_rule_name(TD_RULE_COUNT), "?");
}

static void test_states_have_the_ranks_of_the_model(void **state)
{
    (void)state;
    static const uint8_t ranks[TD_STATE_COUNT] = {0, 0, 0, 0, 1, 2, 2, 2};
    for (unsigned i = 0; i < TD_STATE_COUNT; i++) {
        enum td_state parsed = TD_STATE_COUNT;
        const char *name = td_state_name((enum td_state)i);
        assert_int_equal(td_state_rank((enum td_state)i), ranks[i]);
        assert_int_equal(td_state_is_final((enum td_state)i), ranks[i] == 2);
        assert_true(td_state_parse(td_test_literal(name), &parsed));
        assert_int_equal(parsed, i);
    }
    enum td_state none;
    assert_false(td_state_parse(td_test_literal("complete"), &none));
    assert_false(td_state_parse(td_test_literal("completed "), &none));
    assert_false(td_state_parse(td_test_literal(""), &none));
    assert_string_equal(td_state_name(TD_STATE_COUNT), "?");
}

static void test_next_stamp_exceeds_floor_and_is_not_before_the_wall(void **state)
{
    struct td_test *test = *state;
    for (int round = 0; round < 100000; round++) {
        struct td_stamp floor = td_test_stamp(test);
        uint64_t wall_ms = td_test_number(test, TD_STAMP_MS_MAX);
        struct td_stamp next = td_stamp_next(floor, wall_ms);
        assert_true(td_stamp_compare(next, floor) > 0);
        assert_true(next.ms >= wall_ms);
    }
    struct td_stamp next = td_stamp_next((struct td_stamp){5, UINT32_MAX}, 5);
    assert_int_equal(next.ms, 6);
    assert_int_equal(next.counter, 0);
}

static void test_every_listed_error_answers_and_others_do_not_crash(void **state)
{
    (void)state;
    enum td_err err;
    enum td_err previous = TD_OK;
    unsigned count = 0;
    for (; td_err_at(count, &err); count++) {
        assert_true(count == 0 || err > previous);
        assert_true(strlen(td_err_text(err)) > 0);
        assert_true(td_err_http_status(err) >= 200 && td_err_http_status(err) < 600);
        assert_true((td_err_exit_code(err) == 0) == (err == TD_OK));
        previous = err;
    }
    assert_true(count > 40);
    assert_true(strlen(td_err_text((enum td_err)9999)) > 0);
    assert_string_equal(td_err_text((enum td_err)9999), td_err_text((enum td_err)250));
    assert_string_equal(td_err_text(TD_ETIMEOUT), "timed out");
    assert_int_equal(td_err_http_status(TD_EDISKFULL), 507);
    assert_int_equal(td_err_exit_code(TD_ECONFIG), 78);
    assert_int_equal(td_err_class((enum td_err)9999), TD_CLASS_REJECT);
    assert_int_equal(td_err_class(TD_EBUSY), TD_CLASS_RETRY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TD_UNIT_TEST(test_order_is_total_and_transitive),
        TD_UNIT_TEST(test_earlier_field_decides_and_names_the_rule),
        TD_UNIT_TEST(test_states_have_the_ranks_of_the_model),
        TD_UNIT_TEST(test_next_stamp_exceeds_floor_and_is_not_before_the_wall),
        TD_UNIT_TEST(test_every_listed_error_answers_and_others_do_not_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
