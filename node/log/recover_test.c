/* recover_test.c -- what the log finds again after crashes at every call, torn tails of every
 * length, flipped bits in every byte, missing and foreign segments. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "node/log/segment.h"
#include "node/log/test_disk.h"
#include "node/log/test_kit.h"

enum { SEG_BYTES = 4096 };

static struct kit kit;
static struct test_disk disk;

static void begin(uint64_t seed)
{
    test_disk_init(&disk, seed);
    kit_init(&kit, test_disk_door(&disk));
    kit.options.segment_bytes = SEG_BYTES;
}

static void end(void)
{
    kit_close(&kit);
    test_disk_fini(&disk);
}

static void expect_seen(size_t from, const uint32_t *ids, size_t count)
{
    assert_int_equal(kit.seen_count - from, count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(kit.seen[from + i].type, TD_RECORD_BATCH);
        assert_int_equal(kit.seen[from + i].id, ids[i]);
    }
}

/* One life: groups of 1, 2, 3 tickets until the disk goes or rounds are over. Notes the ids
 * completed as durable behind those of earlier lives. */
static size_t live(uint32_t *durable, size_t count, int rounds)
{
    for (int round = 0; round < rounds && !disk.off; round++) {
        uint32_t first = kit.next_id;
        size_t done_before = kit.done_count;
        for (int i = 0; i <= round % 3; i++) {
            kit_receive(&kit);
        }
        td_log_work(kit.log, 0);
        for (size_t i = done_before; i < kit.done_count; i++) {
            if (kit.done[i].durable) {
                durable[count++] = first + (uint32_t)(i - done_before);
            }
        }
    }
    return count;
}

/* Everything durable is replayed, in order; between it only what was submitted, nothing twice. */
static void expect_all_durable(const uint32_t *durable, size_t count)
{
    size_t found = 0;
    uint32_t last = 0;

    assert_int_equal(kit.recovery.damaged_records, 0);
    assert_int_equal(kit.recovery.missing_segments, 0);
    for (size_t i = 0; i < kit.seen_count; i++) {
        assert_int_equal(kit.seen[i].type, TD_RECORD_BATCH);
        assert_true(kit.seen[i].id > last);
        last = kit.seen[i].id;
        if (found < count && kit.seen[i].id == durable[found]) {
            found++;
        }
    }
    assert_int_equal(found, count);
}

static void crash_once(uint64_t at, enum test_crash how, uint64_t seed, bool *ret_over)
{
    uint32_t durable[KIT_TICKETS_MAX];

    begin(seed);
    assert_int_equal(kit_open(&kit), TD_OK);
    disk.power_off_at = at;
    size_t count = live(durable, 0, 14);
    *ret_over = !disk.off;
    disk.off = true;
    kit_close(&kit);
    test_disk_crash(&disk, how);

    /* The power goes again while recovery works. */
    disk.power_off_at = disk.calls + 1 + seed % 3;
    if (kit_open(&kit) == TD_OK) {
        disk.off = true;
        kit_close(&kit);
    }
    test_disk_crash(&disk, how);

    assert_int_equal(kit_open(&kit), TD_OK);
    expect_all_durable(durable, count);
    for (size_t i = 0; i < kit.seen_count; i++) {
        durable[i] = kit.seen[i].id; /* what was replayed counts as durable from now on */
    }
    count = live(durable, kit.seen_count, 5);
    disk.off = true;
    kit_close(&kit);
    test_disk_crash(&disk, how == TEST_CRASH_KEEP ? TEST_CRASH_LOSE : how);
    assert_int_equal(kit_open(&kit), TD_OK);
    expect_all_durable(durable, count);
    end();
}

static void test_whatever_was_durable_survives_a_crash_at_every_call(void **state)
{
    (void)state;
    bool over = false;
    for (uint64_t at = 1; !over; at++) {
        crash_once(at, TEST_CRASH_KEEP, at, &over);
        crash_once(at, TEST_CRASH_LOSE, at, &over);
        for (uint64_t seed = 0; seed < 20; seed++) {
            crash_once(at, TEST_CRASH_RANDOM, at * 100 + seed, &over);
        }
        assert_true(at < 1000);
    }
}

/* Failures and power together: a failing call first, the power later. */
static void test_whatever_was_durable_survives_failures_before_the_crash(void **state)
{
    uint32_t durable[KIT_TICKETS_MAX];
    (void)state;
    for (uint64_t seed = 0; seed < 400; seed++) {
        begin(seed);
        assert_int_equal(kit_open(&kit), TD_OK);
        disk.fail_calls = TEST_ANY;
        disk.fail_after = seed % 40;
        disk.fail_count = 1 + seed % 4;
        disk.power_off_at = seed % 40 + 1 + seed * 7 % 19;
        size_t count = live(durable, 0, 14);
        disk.off = true;
        kit_close(&kit);
        test_disk_crash(&disk, seed % 2 == 0 ? TEST_CRASH_RANDOM : TEST_CRASH_LOSE);
        assert_int_equal(kit_open(&kit), TD_OK);
        expect_all_durable(durable, count);
        end();
    }
}

/* Groups of one ticket: 1 .. count, no orderly end. */
static void write_singles(uint32_t count)
{
    assert_int_equal(kit_open(&kit), TD_OK);
    for (uint32_t i = 0; i < count; i++) {
        kit_receive(&kit);
        assert_int_equal(td_log_work(kit.log, 0), 1);
        assert_true(kit.done[i].durable);
    }
    disk.off = true;
    kit_close(&kit);
    test_disk_crash(&disk, TEST_CRASH_KEEP);
}

static void test_a_tail_torn_at_any_byte_is_cut_and_all_before_it_kept(void **state)
{
    static struct test_disk whole;
    const uint32_t ids[] = {1, 2, 3};
    (void)state;
    begin(1);
    write_singles(3);
    struct td_log_done last[3];
    memcpy(last, kit.done, sizeof last);
    whole = disk;

    uint32_t start = (uint32_t)last[1].ref.position,
             finish = (uint32_t)last[2].ref.position + td_record_span(last[2].ref.bytes);
    for (uint32_t cut = start; cut <= finish; cut++) {
        for (int zeros = 0; zeros < 2; zeros++) {
            test_disk_copy(&disk, &whole);
            struct test_file *file = test_disk_file(&disk, "0000000001.seg");
            test_file_resize(file, cut);
            if (zeros != 0) {
                test_file_resize(file, SEG_BYTES); /* preallocated */
            }
            assert_int_equal(kit_open(&kit), TD_OK);
            uint32_t kept = cut < (uint32_t)last[2].ref.position ? 1 : 2;
            uint32_t third_end =
                (uint32_t)last[2].ref.position + TD_RECORD_HEADER_BYTES + last[2].ref.bytes;
            kept += cut >= third_end && zeros != 0; /* the padding is zeros anyway */
            kept = cut == finish ? 3 : kept;
            uint32_t second_end =
                (uint32_t)last[1].ref.position + TD_RECORD_HEADER_BYTES + last[1].ref.bytes;
            kept =
                cut < (uint32_t)last[2].ref.position && cut >= second_end && zeros != 0 ? 2 : kept;
            expect_seen(0, ids, kept);
            assert_int_equal(kit.recovery.damaged_records, 0);
            kit_receive(&kit); /* never into the old segment */
            assert_int_equal(td_log_work(kit.log, 0), 1);
            assert_int_equal(kit.done[0].ref.position >> 32, 2);
            kit_close(&kit);
            assert_int_equal(kit_open(&kit), TD_OK);
            assert_int_equal(kit.recovery.batches, kept + 1);
            assert_int_equal(kit.recovery.damaged_records, 0);
            assert_int_equal(kit.recovery.torn_bytes, 0);
            kit_close(&kit);
            test_disk_fini(&disk);
        }
    }
    disk = whole;
    test_disk_fini(&disk);
}

static void
test_a_flipped_bit_anywhere_in_a_middle_record_is_one_hole_and_the_rest_is_kept(void **state)
{
    static struct test_disk whole;
    (void)state;
    begin(1);
    write_singles(5);
    uint32_t at = (uint32_t)kit.done[2].ref.position;
    uint32_t used = TD_RECORD_HEADER_BYTES + kit.done[2].ref.bytes;
    whole = disk;
    for (uint32_t byte = 0; byte < used; byte++) {
        test_disk_copy(&disk, &whole);
        test_disk_file(&disk, "0000000001.seg")->bytes[at + byte] ^= (uint8_t)(1u << byte % 8);
        assert_int_equal(kit_open(&kit), TD_OK);
        const uint32_t expected[] = {1, 2, 0, 4, 5};
        assert_int_equal(kit.seen_count, 5);
        for (size_t i = 0; i < 5; i++) {
            assert_int_equal(kit.seen[i].type, i == 2 ? TD_RECORD_HOLE : TD_RECORD_BATCH);
            assert_int_equal(kit.seen[i].id, expected[i]);
        }
        assert_int_equal((uint32_t)kit.seen[2].ref.position, at);
        assert_int_equal(kit.recovery.damaged_records, 1);
        assert_int_equal(kit.recovery.torn_bytes, 0);
        end();
    }
    disk = whole;
    test_disk_fini(&disk);
}

/* After an orderly end the last record is known to have been flushed: damage there is a hole too.
 */
static void test_damage_to_the_last_record_of_a_closed_log_is_a_hole(void **state)
{
    (void)state;
    begin(1);
    assert_int_equal(kit_open(&kit), TD_OK);
    kit_receive(&kit);
    kit_receive(&kit);
    assert_int_equal(td_log_work(kit.log, 0), 2);
    uint32_t at = (uint32_t)kit.done[1].ref.position;
    kit_close(&kit);
    test_disk_file(&disk, "0000000001.seg")->bytes[at + 40] ^= 4;
    assert_int_equal(kit_open(&kit), TD_OK);
    assert_int_equal(kit.seen_count, 2);
    assert_int_equal(kit.seen[1].type, TD_RECORD_HOLE);
    assert_int_equal(kit.recovery.damaged_records, 1);
    end();
}

static uint32_t segment_of(size_t done)
{
    return (uint32_t)(kit.done[done].ref.position >> 32);
}

static void test_a_missing_segment_is_a_hole_at_its_place(void **state)
{
    (void)state;
    begin(1);
    write_singles(30);
    uint32_t newest = segment_of(29);
    assert_true(newest >= 4);
    test_disk_file(&disk, "0000000002.seg")->exists = false;
    test_disk_file(&disk, "0000000003.seg")->exists = false;
    assert_int_equal(kit_open(&kit), TD_OK);
    assert_int_equal(kit.recovery.missing_segments, 2);
    assert_int_equal(kit.recovery.damaged_records, 0);
    size_t at = 0;
    for (size_t i = 0; i < 30; i++) {
        if (segment_of(i) == 2 && segment_of(i - 1) == 1) {
            assert_int_equal(kit.seen[at].type, TD_RECORD_HOLE);
            assert_int_equal(kit.seen[at++].ref.position >> 32, 4);
        } else if (segment_of(i) == 1 || segment_of(i) > 3) {
            assert_int_equal(kit.seen[at++].id, i + 1);
        }
    }
    assert_int_equal(kit.seen_count, at);
    end();

    begin(1);
    write_singles(30);
    test_disk_file(&disk, "0000000001.seg")->exists = false;
    assert_int_equal(kit_open(&kit), TD_OK);
    assert_int_equal(kit.recovery.missing_segments, 1);
    assert_int_equal(kit.seen[0].type, TD_RECORD_HOLE);
    end();
}

static void test_a_middle_segment_cut_short_is_a_hole(void **state)
{
    (void)state;
    for (uint32_t cut = 0; cut < 3000; cut += 7) {
        begin(1);
        write_singles(30);
        struct test_file *file = test_disk_file(&disk, "0000000002.seg");
        assert_true(file->count > 3000);
        test_file_resize(file, cut);
        assert_int_equal(kit_open(&kit), TD_OK);
        uint64_t expected = 30, damaged = cut < TD_SEGMENT_HEADER_BYTES ? 2 : 1;
        for (size_t i = 0; i < 30; i++) {
            uint32_t finish = (uint32_t)kit.done[i].ref.position + TD_RECORD_HEADER_BYTES +
                              td_record_span(kit.done[i].ref.bytes) - TD_RECORD_HEADER_BYTES;
            expected -= segment_of(i) == 2 && finish > cut;
        }
        assert_int_equal(kit.recovery.batches, expected);
        assert_int_equal(kit.recovery.damaged_records, damaged);
        end();
    }
}

static void test_a_damaged_segment_header_is_a_hole_and_its_records_are_kept(void **state)
{
    (void)state;
    for (uint32_t byte = 0; byte < TD_SEGMENT_HEADER_BYTES; byte++) {
        for (uint32_t number = 1; number <= 3; number++) {
            char name[TD_SEGMENT_NAME_BYTES];
            begin(1);
            write_singles(16);
            assert_int_equal(segment_of(15), 3);
            td_segment_name(number, name);
            test_disk_file(&disk, name)->bytes[byte] ^= 0x20;
            assert_int_equal(kit_open(&kit), TD_OK);
            assert_int_equal(kit.recovery.damaged_records, 1);
            assert_int_equal(kit.recovery.batches, 16);
            assert_int_equal(kit.seen_count, 17);
            end();
        }
    }
}

static void test_records_of_another_place_or_segment_never_pass(void **state)
{
    (void)state;
    begin(1);
    write_singles(5);
    struct test_file *file = test_disk_file(&disk, "0000000001.seg");
    uint32_t from = (uint32_t)kit.done[0].ref.position,
             to = (uint32_t)kit.done[4].ref.position + td_record_span(kit.done[4].ref.bytes);
    uint32_t count = td_record_span(kit.done[0].ref.bytes);
    test_file_resize(file, to + count);
    memcpy(file->bytes + to, file->bytes + from, count); /* stale bytes of a reused area */
    assert_int_equal(kit_open(&kit), TD_OK);
    assert_int_equal(kit.recovery.batches, 5);
    assert_int_equal(kit.recovery.torn_bytes, count - (8 - kit_raw_bytes(1) % 8) % 8);
    end();
}

static void test_a_record_copied_to_its_place_in_another_segment_does_not_pass(void **state)
{
    (void)state;
    begin(1);
    write_singles(16);
    struct test_file *one = test_disk_file(&disk, "0000000001.seg");
    struct test_file *two = test_disk_file(&disk, "0000000002.seg");
    uint32_t at = (uint32_t)kit.done[0].ref.position;
    memcpy(two->bytes + at, one->bytes + at, td_record_span(kit.done[0].ref.bytes));
    assert_int_equal(kit_open(&kit), TD_OK);
    assert_int_equal(kit.recovery.batches, 15);
    assert_int_equal(kit.recovery.damaged_records, 1);
    end();
}

static void test_an_unknown_format_number_stops_the_start_and_says_so(void **state)
{
    uint8_t *bytes;
    (void)state;
    begin(1);
    write_singles(2);
    bytes = test_disk_file(&disk, "0000000001.seg")->bytes;
    bytes[11] = 3; /* a real one of format 3 has a checksum of its own */
    kit_signer.checksum(NULL, (struct td_bytes){bytes, 112}, (struct td_bytes){NULL, 0},
                        bytes + 112);
    assert_int_equal(kit_open(&kit), TD_ECORRUPT);
    assert_non_null(strstr(kit.why, "format number 3"));
    assert_int_equal(disk.opens, 0);
    kit.log = NULL;
    test_disk_fini(&disk);
}

static void test_segments_of_another_cluster_or_region_are_refused(void **state)
{
    (void)state;
    begin(1);
    write_singles(2);
    kit.options.region.v = 8;
    assert_int_equal(kit_open(&kit), TD_EFOREIGN);
    assert_non_null(strstr(kit.why, "region"));
    kit.options.region.v = 0;
    kit.options.cluster.bytes[3] ^= 1;
    assert_int_equal(kit_open(&kit), TD_EFOREIGN);
    assert_non_null(strstr(kit.why, "cluster"));
    kit.log = NULL;
    test_disk_fini(&disk);
}

static void test_an_unreadable_disk_is_named_as_holes_not_as_an_empty_log(void **state)
{
    (void)state;
    begin(1);
    write_singles(3);
    disk.read_fails = true;
    assert_int_equal(kit_open(&kit), TD_OK);
    assert_false(kit.recovery.empty);
    assert_true(kit.recovery.damaged_records > 0);
    assert_int_equal(kit.seen[0].type, TD_RECORD_HOLE);
    end();
}

static uint32_t random_of(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}

/* Whatever the bytes are: recovery ends, every batch replayed is one that was written, in order. */
static void test_any_damage_at_all_gives_only_batches_that_were_written(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 400; seed++) {
        uint64_t random = seed;
        begin(seed);
        write_singles(20);
        for (int hits = 0; hits < 6; hits++) {
            struct test_file *file = &disk.files[random_of(&random) % disk.file_count];
            uint32_t at = random_of(&random) % (uint32_t)file->count;
            uint32_t count = random_of(&random) % 600;
            for (uint32_t i = at; i < at + count && i < file->count; i++) {
                file->bytes[i] = (uint8_t)(hits % 2 == 0 ? random_of(&random) : 0);
            }
        }
        assert_int_equal(kit_open(&kit), TD_OK);
        uint32_t last = 0;
        for (size_t i = 0; i < kit.seen_count; i++) {
            if (kit.seen[i].type == TD_RECORD_BATCH) {
                assert_true(kit.seen[i].id > last && kit.seen[i].id <= 20);
                last = kit.seen[i].id;
            }
        }
        kit_close(&kit);
        test_disk_fini(&disk);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whatever_was_durable_survives_a_crash_at_every_call),
        cmocka_unit_test(test_whatever_was_durable_survives_failures_before_the_crash),
        cmocka_unit_test(test_a_tail_torn_at_any_byte_is_cut_and_all_before_it_kept),
        cmocka_unit_test(
            test_a_flipped_bit_anywhere_in_a_middle_record_is_one_hole_and_the_rest_is_kept),
        cmocka_unit_test(test_damage_to_the_last_record_of_a_closed_log_is_a_hole),
        cmocka_unit_test(test_a_missing_segment_is_a_hole_at_its_place),
        cmocka_unit_test(test_a_middle_segment_cut_short_is_a_hole),
        cmocka_unit_test(test_a_damaged_segment_header_is_a_hole_and_its_records_are_kept),
        cmocka_unit_test(test_records_of_another_place_or_segment_never_pass),
        cmocka_unit_test(test_a_record_copied_to_its_place_in_another_segment_does_not_pass),
        cmocka_unit_test(test_an_unknown_format_number_stops_the_start_and_says_so),
        cmocka_unit_test(test_segments_of_another_cluster_or_region_are_refused),
        cmocka_unit_test(test_an_unreadable_disk_is_named_as_holes_not_as_an_empty_log),
        cmocka_unit_test(test_any_damage_at_all_gives_only_batches_that_were_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
