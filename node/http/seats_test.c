/* seats_test.c -- a request waits for its answer, and only for its own. */
#include "node/http/seats.h"

#include "node/http/fake_node.h"
#include "node/http/test_main.h"

static int setup(void **state)
{
    static struct td_seats seats;
    static struct td_fake_node fake;
    *state = &fake;
    return td_fake_node_open(&fake, &seats, 2) ? 0 : -1;
}

static int teardown(void **state)
{
    td_fake_node_close(*state);
    return 0;
}

static enum td_err ask(struct td_fake_node *fake, uint32_t ask_ms, struct td_call_result *answer)
{
    struct td_request request = {.op = TD_OP_STATUS};
    return td_seats_ask(fake->seats, &fake->ops, &request, ask_ms, answer);
}

static void test_the_answer_may_come_before_and_after_the_waiting_begins(void **state)
{
    static const enum td_fake_manner manners[] = {TD_FAKE_AT_ONCE, TD_FAKE_LATER, TD_FAKE_TWICE};
    struct td_fake_node *fake = *state;
    for (size_t i = 0; i < sizeof manners / sizeof manners[0]; i++) {
        struct td_call_result answer;
        fake->manner = manners[i];
        fake->answer.now_ms = 1000 + i;
        assert_int_equal(ask(fake, 60000, &answer), TD_OK);
        assert_int_equal(answer.response.now_ms, 1000 + i);
        assert_int_equal(answer.response.id, fake->last.id);
        td_call_release(&answer);
    }
    assert_int_equal(fake->cancelled, 0);
}

static void test_without_an_answer_the_request_is_taken_back(void **state)
{
    struct td_fake_node *fake = *state;
    struct td_call_result answer;
    fake->manner = TD_FAKE_SILENT;
    assert_int_equal(ask(fake, 1, &answer), TD_ETIMEOUT);
    td_call_release(&answer);
    assert_int_equal(fake->cancelled, 1);
    assert_true(fake->last.u.cancel_id != 0);
    fake->manner = TD_FAKE_AT_ONCE; /* the seat is free again */
    assert_int_equal(ask(fake, 60000, &answer), TD_OK);
    td_call_release(&answer);
}

static void test_an_answer_to_another_question_is_dropped(void **state)
{
    struct td_fake_node *fake = *state;
    struct td_call_result answer;
    fake->manner = TD_FAKE_WRONG_ID;
    assert_int_equal(ask(fake, 1, &answer), TD_ETIMEOUT);
    td_call_release(&answer);
    td_seats_answer(fake->seats, 0, 1, (struct td_bytes){(const uint8_t *)"x", 1}); /* nobody */
    td_seats_answer(fake->seats, 77, 1, (struct td_bytes){(const uint8_t *)"x", 1});
    fake->manner = TD_FAKE_GARBAGE;
    assert_int_equal(ask(fake, 60000, &answer), TD_EFORMAT);
    td_call_release(&answer);
}

static void test_no_more_requests_than_seats(void **state)
{
    struct td_fake_node *fake = *state;
    struct td_call_result answer;
    fake->seats->seats[0].taken = fake->seats->seats[1].taken = true;
    assert_int_equal(ask(fake, 60000, &answer), TD_EHTTPBUSY);
    td_call_release(&answer);
    assert_int_equal(fake->asked, 0);
    fake->seats->seats[0].taken = fake->seats->seats[1].taken = false;
}

static void *wait_for_ever(void *self)
{
    static struct td_call_result answer;
    static enum td_err err;
    err = ask(self, UINT32_MAX, &answer);
    td_call_release(&answer);
    return &err;
}

static void test_stopping_wakes_who_waits(void **state)
{
    struct td_fake_node *fake = *state;
    pthread_t thread;
    void *err = NULL;
    fake->manner = TD_FAKE_SILENT;
    assert_int_equal(pthread_create(&thread, NULL, wait_for_ever, fake), 0);
    td_seats_stop(fake->seats); /* before it waits or after: both end it */
    assert_int_equal(pthread_join(thread, &err), 0);
    assert_int_equal(*(enum td_err *)err, TD_ECLOSEDLINK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_answer_may_come_before_and_after_the_waiting_begins),
        TEST(test_without_an_answer_the_request_is_taken_back),
        TEST(test_an_answer_to_another_question_is_dropped),
        TEST(test_no_more_requests_than_seats),
        TEST(test_stopping_wakes_who_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
