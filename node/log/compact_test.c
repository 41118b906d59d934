/* compact_test.c -- rewriting old segments: what is needed stays readable throughout and is found
 * again after a crash at any call, what is dead goes, also at the limit and beside a copy; and
 * which segments are worth it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "node/log/compact_desk.h"

static void test_what_is_dead_goes_and_what_lives_stays_readable(void **state)
{
    (void)state;
    desk_begin(1);
    desk_live_for(600);
    desk_pump();
    desk_expect_readable();
    assert_true(desk_model.compactions > 5);
    const struct td_log_stats stats = td_log_stats(desk_log);
    assert_int_equal(stats.compactions, desk_model.compactions);
    assert_int_equal(stats.compactions_failed, 0);
    assert_true(stats.reclaimed_bytes > stats.written_bytes / 2);
    assert_true(td_log_bytes(desk_log) <
                stats.written_bytes / 3); /* bounded by what lives, not by what came */
    td_log_close(desk_log);
    assert_int_equal(desk_open_log(), TD_OK);
    desk_expect_found();
    assert_true(desk_found.compacted);
    assert_true(desk_found.recovery.segments < 20);
    assert_true(desk_found.claims > 0);
    desk_adopt();
    desk_expect_readable();
    desk_live_for(200); /* and compacts what the process before compacted */
    desk_expect_readable();
    desk_end();
}

static void crash_at(uint64_t at, enum test_crash how, bool *ret_over)
{
    desk_begin(at * 3 + (uint64_t)how);
    desk_live_for(150);
    desk_disk.power_off_at = desk_disk.calls + at;
    desk_live_for(40);
    *ret_over = !desk_disk.off;
    desk_disk.off = true;
    td_log_close(desk_log);
    test_disk_crash(&desk_disk, how);
    desk_disk.power_off_at = desk_disk.calls + 1 + at % 5; /* and again while it starts */
    if (desk_open_log() == TD_OK) {
        desk_disk.off = true;
        td_log_close(desk_log);
    }
    test_disk_crash(&desk_disk, how);
    assert_int_equal(desk_open_log(), TD_OK);
    desk_expect_found();
    desk_adopt();
    desk_expect_readable();
    desk_live_for(120);
    desk_expect_readable();
    td_log_close(desk_log);
    for (size_t i = 0; i < desk_disk.file_count; i++) { /* nothing half done is left behind */
        assert_false(desk_disk.files[i].exists &&
                     td_segment_name_is_unfinished(desk_disk.files[i].name));
    }
    assert_int_equal(desk_open_log(), TD_OK);
    desk_expect_found();
    desk_end();
}

static void test_a_crash_at_any_call_of_a_compaction_loses_nothing(void **state)
{
    (void)state;
    for (int how = TEST_CRASH_KEEP; how <= TEST_CRASH_RANDOM; how++) {
        bool over = false;
        for (uint64_t at = 1; !over; at++) {
            crash_at(at, (enum test_crash)how, &over);
        }
    }
}

static void test_any_call_may_fail_and_the_log_goes_on(void **state)
{
    static const enum test_call calls[] = {TEST_WRITE,  TEST_SYNC,   TEST_SYNC_DIRECTORY,
                                           TEST_CREATE, TEST_REMOVE, TEST_RENAME};
    (void)state;
    for (size_t c = 0; c < sizeof calls / sizeof calls[0]; c++) {
        for (uint64_t after = 0; after < 60; after++) {
            desk_begin(after);
            desk_live_for(100);
            desk_disk.fail_calls = calls[c];
            desk_disk.fail_after = after;
            desk_disk.fail_count = 1 + after % 3;
            desk_live_for(60);
            desk_disk.fail_calls = 0;
            desk_live_for(60);
            desk_expect_readable();
            td_log_close(desk_log);
            assert_int_equal(desk_open_log(), TD_OK);
            desk_expect_found();
            desk_end();
        }
    }
}

/* Batches of one segment at a time are read by others while it goes. */
static enum td_err copy_begin(void *self, const char *name)
{
    (void)name;
    ++*(unsigned *)self;
    return TD_OK;
}

static enum td_err copy_bytes(void *self, struct td_bytes bytes)
{
    (void)self;
    (void)bytes;
    if (!td_log_busy(desk_log)) {
        desk_survey();
    }
    desk_pump(); /* a compaction from beginning to end beside the copy, as far as it gets */
    return TD_OK;
}

static void test_a_copy_under_way_keeps_all_of_its_segments(void **state)
{
    unsigned files = 0;
    const struct td_log_copy copy = {&files, copy_begin, copy_bytes};
    (void)state;
    desk_begin(5);
    for (uint32_t i = 0; i < 100; i++) {
        desk_report(i % 6, 4);
    }
    const size_t segments = desk_log->segment_count;
    assert_int_equal(td_log_copy(desk_log, &copy), TD_OK);
    assert_int_equal(files, segments);
    assert_int_equal(desk_model.compactions, 0); /* the output is there, the inputs still are too */
    td_log_work(desk_log, 0);
    desk_pump();
    assert_int_equal(desk_model.compactions, 1);
    desk_expect_readable();
    desk_end();
}

static void test_at_the_limit_compaction_still_runs_and_reports_are_taken_again(void **state)
{
    (void)state;
    desk_begin(6);
    desk_options.limit_bytes = 12 * SEG_BYTES;
    td_log_close(desk_log);
    assert_int_equal(desk_open_log(), TD_OK);
    uint32_t refused = 0, taken = 0;
    for (uint32_t i = 0; i < 2000; i++) {
        desk_report(i % 9, 1 + i % 8);
        refused += !desk_model.durable;
        taken += desk_model.durable;
        assert_true(td_log_bytes(desk_log) <= desk_options.limit_bytes);
        if (!desk_model.durable) {
            desk_survey(); /* as the core does once a second */
            desk_pump();
        }
    }
    assert_true(refused > 0);
    assert_true(taken > 1500); /* many times what the limit holds */
    desk_expect_readable();
    desk_end();
}

/* ---- the plan ---- */

static void test_the_plan(void **state)
{
    static const struct {
        struct td_plan_row rows[4];
        bool pressed;
        size_t from, count; /* count 0 = nothing */
    } table[] = {
        {{{100, 0, true}, {100, 0, true}, {100, 0, true}, {100, 0, true}}, true, 0, 0},
        {{{100, 40, true}, {100, 40, true}, {100, 40, true}, {100, 40, true}}, false, 0, 0},
        {{{100, 10, true}, {100, 90, true}, {100, 10, true}, {100, 10, true}}, true, 1, 1},
        {{{100, 10, true}, {100, 90, true}, {100, 10, true}, {100, 10, true}}, false, 0, 0},
        {{{100, 90, true}, {100, 90, false}, {100, 60, true}, {100, 60, true}}, false, 0, 1},
        {{{100, 60, true}, {100, 90, true}, {100, 60, true}, {100, 10, true}}, false, 0, 3},
        {{{100, 100, true}, {100, 0, true}, {100, 100, true}, {100, 100, false}}, false, 0, 1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        const struct td_plan_bounds bounds = {
            .output_bytes = 100, .room_bytes = 1000, .inputs_max = 3, .pressed = table[i].pressed};
        size_t from = 0, count = 0;
        bool any = td_plan(table[i].rows, 4, &bounds, &from, &count);
        assert_int_equal(any, table[i].count > 0);
        if (any) {
            assert_int_equal(from, table[i].from);
            assert_int_equal(count, table[i].count);
        }
    }
    struct td_plan_row small[12];
    size_t from = 0, count = 0;
    const struct td_plan_bounds bounds = {
        .output_bytes = 100, .room_bytes = 1000, .inputs_max = 64};
    for (size_t i = 0; i < 12; i++) {
        small[i] = (struct td_plan_row){i < 2 ? 100u : 5u, 0, true};
    }
    assert_true(td_plan(small, 12, &bounds, &from, &count)); /* many small ones become one */
    assert_int_equal(from, 2);
    assert_int_equal(count, 10);
    assert_false(td_plan(small, 9, &bounds, &from, &count));
    const struct td_plan_bounds full = {
        .output_bytes = 100, .room_bytes = 5, .inputs_max = 4, .pressed = true};
    const struct td_plan_row rows[] = {{100, 90, true}, {100, 96, true}};
    assert_true(td_plan(rows, 2, &full, &from, &count)); /* only what fits below the limit */
    assert_int_equal(from, 1);
    assert_int_equal(count, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_dead_goes_and_what_lives_stays_readable),
        cmocka_unit_test(test_a_crash_at_any_call_of_a_compaction_loses_nothing),
        cmocka_unit_test(test_any_call_may_fail_and_the_log_goes_on),
        cmocka_unit_test(test_a_copy_under_way_keeps_all_of_its_segments),
        cmocka_unit_test(test_at_the_limit_compaction_still_runs_and_reports_are_taken_again),
        cmocka_unit_test(test_the_plan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
