/* compact_damage_test.c -- damage to a compacted log: what it rests on, headers, segments that are
 * left as they are, and programs that do not know it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "node/log/compact_desk.h"

static struct test_file *output_file(void)
{
    for (size_t i = desk_disk.file_count; i-- > 0;) {
        if (desk_disk.files[i].exists &&
            desk_disk.files[i].bytes[11] == TD_SEGMENT_FORMAT_COMPACTED) {
            return &desk_disk.files[i];
        }
    }
    fail_msg("nothing was compacted");
    return NULL;
}

static struct test_file *newest_file(void)
{
    struct test_file *newest = NULL;

    for (size_t i = 0; i < desk_disk.file_count; i++) {
        if (desk_disk.files[i].exists && desk_disk.files[i].bytes[11] == TD_SEGMENT_FORMAT &&
            (newest == NULL || strcmp(desk_disk.files[i].name, newest->name) > 0)) {
            newest = &desk_disk.files[i];
        }
    }
    return newest;
}

/* The newest thing in it is the claim of a compaction. */
static void compacted_log(void)
{
    desk_begin(7);
    desk_live_for(60);
    const uint64_t before = desk_model.compactions;
    for (uint32_t i = 0; desk_model.compactions == before && i < 100; i++) {
        desk_report(i % 6, 3);
        desk_survey();
        desk_pump();
    }
    assert_true(desk_model.compactions > before);
}

static void crash(void)
{
    desk_disk.off = true;
    td_log_close(desk_log);
    test_disk_crash(&desk_disk, TEST_CRASH_LOSE);
}

static void test_a_lost_header_of_a_compacted_segment_is_found_at_its_end(void **state)
{
    (void)state;
    for (uint64_t at = 0; at < TD_SEGMENT_HEADER_BYTES; at += 5) {
        compacted_log();
        crash();
        struct test_file *file = output_file();
        file->bytes[at] ^= 0x10;
        file->durable[at] ^= 0x10;
        assert_int_equal(desk_open_log(), TD_OK);
        assert_true(desk_found.compacted);
        desk_expect_found();
        desk_end();
    }
}

/* A process after its start: takes over what it read, writes and compacts for a while, and ends in
 * order. */
static void live_on(void)
{
    desk_adopt();
    desk_live_for(30);
    desk_survey();
    desk_pump();
    td_log_close(desk_log);
}

static void test_the_newest_segment_missing_is_a_hole_when_something_rests_on_it(void **state)
{
    (void)state;
    compacted_log();
    crash();
    struct test_file *file = newest_file();
    file->exists = file->exists_durable = false;
    uint32_t holes = 0;
    for (int start = 0; start < 3; start++) { /* at each start again, and at the same place */
        assert_int_equal(desk_open_log(), TD_OK);
        assert_true(desk_found.holes > 0);
        assert_true(start == 0 || desk_found.holes == holes);
        holes = desk_found.holes;
        live_on();
    }
    test_disk_fini(&desk_disk);
}

static void test_a_torn_tail_is_a_hole_when_something_rests_on_it(void **state)
{
    (void)state;
    compacted_log();
    crash();
    struct test_file *file = newest_file();
    uint64_t last = file->count - 1; /* in the last group: without the compaction a torn tail */
    while (file->bytes[last] == 0) {
        last--;
    }
    file->bytes[last] ^= 1;
    file->durable[last] ^= 1;
    for (int start = 0; start < 3; start++) {
        assert_int_equal(desk_open_log(), TD_OK);
        assert_int_equal(desk_found.holes, 1);
        live_on();
    }
    test_disk_fini(&desk_disk);
}

static void test_a_damaged_segment_is_left_as_it_is(void **state)
{
    (void)state;
    desk_begin(8);
    for (uint32_t i = 0; i < 60; i++) {
        desk_report(i % 6, 4);
    }
    struct test_file *file = test_disk_file(&desk_disk, "0000000002.seg");
    file->bytes[700] ^= 1;
    file->durable[700] ^= 1;
    for (int i = 0; i < 20; i++) { /* found while it is read to be rewritten */
        desk_survey();
        desk_pump();
        desk_report((uint32_t)i % 6, 4);
    }
    assert_true(td_log_stats(desk_log).compactions_failed > 0);
    assert_non_null(test_disk_file(&desk_disk, "0000000002.seg"));
    td_log_close(desk_log);
    assert_int_equal(desk_open_log(), TD_OK);
    assert_int_equal(desk_found.holes, 1);
    assert_non_null(test_disk_file(&desk_disk, "0000000002.seg"));
    desk_end();
}

static void test_an_older_program_refuses_a_compacted_log(void **state)
{
    struct td_segment_header header = {.number = 9,
                                       .first = 3,
                                       .last = 5,
                                       .previous = 2,
                                       .compacted = true,
                                       .end = 4096,
                                       .inputs = 3,
                                       .rests_segment = 8,
                                       .rests_offset = 512};
    struct td_segment_header got;
    uint8_t bytes[TD_SEGMENT_HEADER_BYTES];
    (void)state;
    td_segment_header_encode(&header, &kit_signer, bytes);
    assert_int_equal(td_get_u32(bytes + 8), 2); /* the only number it knows is 1 */
    assert_int_equal(td_segment_header_decode(bytes, &kit_signer, &got), TD_OK);
    assert_true(got.compacted);
    assert_int_equal(got.end, 4096);
    assert_int_equal(got.inputs, 3);
    assert_int_equal(got.rests_segment, 8);
    assert_int_equal(got.rests_offset, 512);
    header.last = 9; /* stands for itself */
    td_segment_header_encode(&header, &kit_signer, bytes);
    assert_int_equal(td_segment_header_decode(bytes, &kit_signer, &got), TD_ECORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_lost_header_of_a_compacted_segment_is_found_at_its_end),
        cmocka_unit_test(test_the_newest_segment_missing_is_a_hole_when_something_rests_on_it),
        cmocka_unit_test(test_a_torn_tail_is_a_hole_when_something_rests_on_it),
        cmocka_unit_test(test_a_damaged_segment_is_left_as_it_is),
        cmocka_unit_test(test_an_older_program_refuses_a_compacted_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
