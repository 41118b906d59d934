/* inbox_test.c -- the inbox keeps order, refuses per class, wakes its reader. */
#include "node/loop/inbox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static unsigned released;

static void release(struct td_inbox_item *item)
{
    released++;
    free(item);
}

static struct td_inbox_item *make(enum td_inbox_class class_, uint64_t mark)
{
    struct td_inbox_item *item = calloc(1, sizeof *item);
    assert_non_null(item);
    item->class_ = class_;
    item->release = release;
    item->event.u.stored.ticket.v = mark;
    return item;
}

static void test_items_come_out_in_the_order_of_pushing(void **state)
{
    struct td_inbox inbox;
    (void)state;
    td_inbox_init(&inbox, &(struct td_inbox_bounds){ 10, 10, SIZE_MAX, SIZE_MAX });
    for (uint64_t i = 0; i < 5; i++) {
        assert_true(td_inbox_push(&inbox, make(TD_INBOX_COMPLETION, i)));
    }
    assert_int_equal(td_inbox_count(&inbox), 5);
    uint64_t want = 0;
    for (struct td_inbox_item *item = td_inbox_take(&inbox, 0), *next; item != NULL; item = next) {
        next = item->next;
        assert_int_equal(item->event.u.stored.ticket.v, want++);
        release(item);
    }
    assert_int_equal(want, 5);
    assert_null(td_inbox_take(&inbox, 0));
    td_inbox_fini(&inbox);
}

static void test_a_full_class_refuses_and_the_others_still_fit(void **state)
{
    struct td_inbox inbox;
    (void)state;
    td_inbox_init(&inbox, &(struct td_inbox_bounds){ 2, 1, SIZE_MAX, SIZE_MAX });
    assert_true(td_inbox_push(&inbox, make(TD_INBOX_REQUEST, 0)));
    assert_true(td_inbox_push(&inbox, make(TD_INBOX_REQUEST, 1)));
    struct td_inbox_item *third = make(TD_INBOX_REQUEST, 2);
    assert_false(td_inbox_push(&inbox, third));
    assert_true(td_inbox_push(&inbox, make(TD_INBOX_FRAME, 3)));
    assert_true(td_inbox_push(&inbox, make(TD_INBOX_COMPLETION, 4)));
    released = 0;
    td_inbox_fini(&inbox); /* releases what nobody took */
    assert_int_equal(released, 4);
    free(third);
}

static void test_a_class_is_bounded_in_memory_as_well_and_free_again_once_taken(void **state)
{
    struct td_inbox inbox;
    (void)state;
    td_inbox_init(&inbox, &(struct td_inbox_bounds){ 10, 10, 1000, SIZE_MAX });
    struct td_inbox_item *large = make(TD_INBOX_REQUEST, 0);
    struct td_inbox_item *second = make(TD_INBOX_REQUEST, 1);
    large->bytes = 600;
    second->bytes = 401;
    assert_true(td_inbox_push(&inbox, large));
    assert_false(td_inbox_push(&inbox, second));
    release(td_inbox_take(&inbox, 0));
    assert_true(td_inbox_push(&inbox, second));
    td_inbox_fini(&inbox);
}

static void test_walks_come_last_and_one_at_a_time(void **state)
{
    struct td_inbox inbox;
    (void)state;
    td_inbox_init(&inbox, &(struct td_inbox_bounds){ 2, 1, SIZE_MAX, SIZE_MAX });
    assert_true(td_inbox_push(&inbox, make(TD_INBOX_WALK, 10)));
    assert_true(td_inbox_push(&inbox, make(TD_INBOX_WALK, 11)));
    struct td_inbox_item *third = make(TD_INBOX_WALK, 12);
    assert_false(td_inbox_push(&inbox, third)); /* as many as requests, and apart from them */
    assert_true(td_inbox_push(&inbox, make(TD_INBOX_REQUEST, 1)));
    static const uint64_t want[] = { 1, 10 };
    size_t got = 0;
    for (struct td_inbox_item *item = td_inbox_take(&inbox, 0), *next; item != NULL; item = next) {
        next = item->next;
        assert_true(got < 2);
        assert_int_equal(item->event.u.stored.ticket.v, want[got++]);
        release(item);
    }
    assert_int_equal(got, 2);
    assert_true(td_inbox_push(&inbox, third)); /* the one that was taken made room */
    struct td_inbox_item *second = td_inbox_take(&inbox, 60000); /* does not wait for a push */
    assert_int_equal(second->event.u.stored.ticket.v, 11);
    assert_null(second->next);
    release(second);
    assert_int_equal(td_inbox_count(&inbox), 1);
    released = 0;
    td_inbox_fini(&inbox);
    assert_int_equal(released, 1);
}

static void *push_one(void *argument)
{
    assert_true(td_inbox_push(argument, make(TD_INBOX_LINK, 7)));
    return NULL;
}

static void test_a_push_wakes_a_waiting_reader(void **state)
{
    struct td_inbox inbox;
    pthread_t thread;
    (void)state;
    td_inbox_init(&inbox, &(struct td_inbox_bounds){ 1, 1, SIZE_MAX, SIZE_MAX });
    assert_int_equal(pthread_create(&thread, NULL, push_one, &inbox), 0);
    struct td_inbox_item *item = td_inbox_take(&inbox, 60000);
    assert_non_null(item);
    release(item);
    pthread_join(thread, NULL);
    td_inbox_wake(&inbox);
    assert_null(td_inbox_take(&inbox, 60000)); /* returns at once, without an item */
    td_inbox_fini(&inbox);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_items_come_out_in_the_order_of_pushing),
        cmocka_unit_test(test_a_full_class_refuses_and_the_others_still_fit),
        cmocka_unit_test(test_a_class_is_bounded_in_memory_as_well_and_free_again_once_taken),
        cmocka_unit_test(test_walks_come_last_and_one_at_a_time),
        cmocka_unit_test(test_a_push_wakes_a_waiting_reader),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
