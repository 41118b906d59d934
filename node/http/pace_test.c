/* pace_test.c -- readers of lists take turns and rest in proportion. */
#include "node/http/pace.h"

#include "node/http/test_main.h"

static void test_turns_of_several_readers_lie_apart(void **state)
{
    struct td_pace pace;
    (void)state;
    td_pace_init(&pace);
    assert_int_equal(td_pace_book(&pace, 5000000), 5000000); /* nobody reads: at once */
    assert_int_equal(td_pace_book(&pace, 5000000), 5001000);
    assert_int_equal(td_pace_book(&pace, 5000010), 5002000);
    assert_int_equal(td_pace_book(&pace, 9000000), 9000000); /* no credit is saved up */
    assert_int_equal(td_pace_book(&pace, 9000000), 9001000);
    td_pace_fini(&pace);
}

static void test_work_is_followed_by_twice_its_time(void **state)
{
    struct td_pace pace;
    (void)state;
    td_pace_init(&pace);
    uint64_t at_us = td_pace_book(&pace, 1000000);
    td_pace_charge(&pace, 4000);
    assert_int_equal(td_pace_book(&pace, at_us + 4000), at_us + 1000 + 3 * 4000);
    td_pace_fini(&pace);
}

/* A node that stood still for a minute does not keep its readers out for two. */
static void test_one_slow_answer_costs_no_more_than_a_moment(void **state)
{
    struct td_pace pace;
    (void)state;
    td_pace_init(&pace);
    (void)td_pace_book(&pace, 1000000);
    td_pace_charge(&pace, 60000000);
    assert_true(td_pace_book(&pace, 1000000) <= 1000000 + 200000);
    td_pace_fini(&pace);
}

/* However many read: of a second they work a third. */
static void test_all_readers_together_work_a_third_of_the_time(void **state)
{
    struct td_pace pace;
    uint64_t worked_us = 0;
    uint64_t at_us = 1000000;
    (void)state;
    td_pace_init(&pace);
    for (unsigned turn = 0; at_us < 2000000; turn++) {
        at_us = td_pace_book(&pace, at_us);
        uint64_t work_us = 200 + turn % 7 * 700;
        td_pace_charge(&pace, work_us);
        worked_us += work_us;
    }
    assert_in_range(worked_us, 150000, 340000);
    td_pace_fini(&pace);
}

static void test_a_turn_of_the_clock_does_not_come_early(void **state)
{
    struct td_pace pace;
    (void)state;
    td_pace_init(&pace);
    uint64_t first_us = td_pace_turn(&pace);
    td_pace_done(&pace, first_us);
    assert_true(td_pace_turn(&pace) >= first_us + 1000);
    td_pace_fini(&pace);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_turns_of_several_readers_lie_apart),
        cmocka_unit_test(test_work_is_followed_by_twice_its_time),
        cmocka_unit_test(test_one_slow_answer_costs_no_more_than_a_moment),
        cmocka_unit_test(test_all_readers_together_work_a_third_of_the_time),
        cmocka_unit_test(test_a_turn_of_the_clock_does_not_come_early),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
