/* seen_test.c -- what a handle remembers of its registers, and what it forgets first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "node/client/seen.h"

static struct td_entry *entry_of(struct td_seen_table *table, const char *job, uint16_t attempt)
{
    return td_seen_get(table, (struct td_text){job, (uint32_t)strlen(job)}, attempt);
}

static void answer(struct td_seen_table *table, struct td_entry *entry, uint16_t attempt,
                   uint8_t rank, uint64_t ms)
{
    struct td_result result = {.attempt = attempt, .rank = rank, .stamp = {ms, 0}};
    result.dot.origin.region.v = 1;
    result.dot.seq = ms;
    td_seen_answer(table, entry, &result);
}

static void test_final_registers_are_forgotten_first_then_the_oldest(void **state)
{
    (void)state;
    struct td_seen_table table;
    assert_int_equal(td_seen_init(&table, 3), TD_OK);
    answer(&table, entry_of(&table, "open-old", 1), 1, 0, 10);
    answer(&table, entry_of(&table, "final", 1), 1, 2, 11);
    answer(&table, entry_of(&table, "open-new", 1), 1, 0, 12);
    (void)entry_of(&table, "fourth", 1);
    assert_int_equal(entry_of(&table, "open-old", 1)->seen.stamp.ms, 10);
    assert_int_equal(table.count, 3);
    assert_int_equal(table.evicted, 0); /* nothing that matters is gone */
    (void)entry_of(&table, "fifth", 1); /* open-new is the least recently used now */
    assert_int_equal(table.evicted, 1);
    assert_int_equal(entry_of(&table, "open-old", 1)->seen.stamp.ms, 10);
    assert_int_equal(entry_of(&table, "open-new", 1)->seen.stamp.ms, 0);
    td_seen_fini(&table);
}

static void test_registers_in_use_stay(void **state)
{
    (void)state;
    struct td_seen_table table;
    assert_int_equal(td_seen_init(&table, 2), TD_OK);
    struct td_entry *a = entry_of(&table, "a", 1);
    struct td_entry *b = entry_of(&table, "b", 1);
    a->users = 1;
    b->users = 1;
    assert_null(entry_of(&table, "c", 1));
    b->users = 0;
    assert_non_null(entry_of(&table, "c", 1));
    assert_ptr_equal(entry_of(&table, "a", 1), a);
    td_seen_fini(&table);
}

static void test_an_older_answer_changes_nothing(void **state)
{
    (void)state;
    struct td_seen_table table;
    struct td_seen seen;
    assert_int_equal(td_seen_init(&table, 8), TD_OK);
    struct td_entry *entry = entry_of(&table, "a", 1);
    answer(&table, entry, 1, 2, 20);
    answer(&table, entry, 1, 0, 30); /* later stamp, lower rank */
    answer(&table, entry, 1, 2, 19);
    assert_int_equal(td_seen_attempt(entry, &seen), 1);
    assert_int_equal(seen.stamp.ms, 20);
    assert_int_equal(seen.rank, 2);
    td_seen_fini(&table);
}

static void test_the_highest_attempt_is_followed_until_it_is_final(void **state)
{
    (void)state;
    struct td_seen_table table;
    struct td_seen seen;
    assert_int_equal(td_seen_init(&table, 8), TD_OK);
    struct td_entry *entry = entry_of(&table, "a", 0);
    assert_int_equal(td_seen_attempt(entry, &seen), 0);
    answer(&table, entry, 3, 0, 10);
    assert_int_equal(td_seen_attempt(entry, &seen), 3);
    assert_int_equal(seen.stamp.ms, 10);
    answer(&table, entry, 3, 2, 11);
    assert_int_equal(td_seen_attempt(entry, &seen), 0); /* whatever run the node knows of */
    assert_int_equal(seen.dot.seq, 0);
    answer(&table, entry, 4, 0, 12);
    assert_int_equal(td_seen_attempt(entry, &seen), 4);
    assert_int_equal(seen.rank, 0);
    answer(&table, entry, 3, 2, 13); /* late, of the earlier run */
    assert_int_equal(td_seen_attempt(entry, &seen), 4);
    td_seen_fini(&table);
}

static void test_the_full_status_is_what_was_set_so_far(void **state)
{
    static const struct td_label labels[2] = {{{"a", 1}, {"1", 1}}, {{"b", 1}, {"", 0}}};
    (void)state;
    struct td_seen_table table;
    struct td_label room[TD_LABELS_MAX];
    struct td_status full;
    assert_int_equal(td_seen_init(&table, 8), TD_OK);
    struct td_entry *entry = entry_of(&table, "a", 1);
    struct td_update update = {.fields = TD_FIELD_DETAIL | TD_FIELD_LABELS};
    update.status.state = TD_STATE_RUNNING;
    update.status.detail = (struct td_text){"twelve", 6};
    update.status.labels = labels;
    update.status.label_count = 2;
    assert_true(td_seen_merge(entry, &update));
    struct td_update next = {.fields = TD_FIELD_PROGRESS};
    next.status.state = TD_STATE_COMPLETED;
    next.status.progress_known = true;
    next.status.progress = 10000;
    assert_true(td_seen_merge(entry, &next));
    td_seen_full(entry, room, &full);
    assert_int_equal(full.state, TD_STATE_COMPLETED);
    assert_int_equal(full.progress, 10000);
    assert_int_equal(full.detail.count, 6);
    assert_memory_equal(full.detail.bytes, "twelve", 6);
    assert_int_equal(full.label_count, 2);
    assert_memory_equal(full.labels[0].value.bytes, "1", 1);
    assert_int_equal(full.labels[1].value.count, 0);
    assert_int_equal(entry->known, TD_FIELD_DETAIL | TD_FIELD_LABELS | TD_FIELD_PROGRESS);
    td_seen_fini(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_final_registers_are_forgotten_first_then_the_oldest),
        cmocka_unit_test(test_registers_in_use_stay),
        cmocka_unit_test(test_an_older_answer_changes_nothing),
        cmocka_unit_test(test_the_highest_attempt_is_followed_until_it_is_final),
        cmocka_unit_test(test_the_full_status_is_what_was_set_so_far),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
