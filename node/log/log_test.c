/* log_test.c -- the log while it runs: order, group commit, failures, room, reads, own batches. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>
#include <unistd.h>

#include "node/log/disk_posix.h"
#include "node/log/test_disk.h"
#include "node/log/test_kit.h"
#include "proto/batch.h"

struct setting {
    struct test_disk disk;
    struct kit kit;
};

static int set_up(void **state)
{
    struct setting *setting = calloc(1, sizeof *setting);
    assert_non_null(setting);
    test_disk_init(&setting->disk, 1);
    kit_init(&setting->kit, test_disk_door(&setting->disk));
    *state = setting;
    return 0;
}

static int tear_down(void **state)
{
    struct setting *setting = *state;
    if (setting->kit.log != NULL) {
        kit_close(&setting->kit);
    }
    test_disk_fini(&setting->disk);
    free(setting);
    return 0;
}

static size_t work(struct kit *kit)
{
    return td_log_work(kit->log, 0);
}

static void expect_read(struct kit *kit, struct td_log_ref ref, uint32_t id)
{
    uint8_t bytes[KIT_RAW_BYTES_MAX], expected[KIT_RAW_BYTES_MAX];
    size_t count = 0;

    assert_int_equal(td_log_read(kit->log, ref, bytes, sizeof bytes, &count), TD_OK);
    assert_int_equal(count, kit_raw_bytes(id));
    kit_raw(id, expected);
    assert_memory_equal(bytes, expected, count);
}

/* Writes a copy into another test disk. */
struct copy {
    struct test_disk disk;
    struct td_disk door;
    int file;
    uint64_t at;
};

static enum td_err copy_begin(void *self, const char *name)
{
    struct copy *copy = self;
    copy->at = 0;
    return copy->door.create(copy->door.self, name, &copy->file);
}

static enum td_err copy_bytes(void *self, struct td_bytes bytes)
{
    struct copy *copy = self;
    enum td_err err = copy->door.write_at(copy->door.self, copy->file, copy->at, bytes);
    copy->at += bytes.count;
    return err;
}

static void test_a_copy_of_a_log_in_use_opens_with_what_was_durable(void **state)
{
    struct setting *setting = *state;
    struct kit *kit = &setting->kit;
    static struct kit other;
    struct copy copy = { .at = 0 };
    const struct td_log_copy into = { &copy, copy_begin, copy_bytes };

    kit->options.segment_bytes = 4096;
    assert_int_equal(kit_open(kit), TD_OK);
    for (int i = 0; i < 40; i++) {
        kit_receive(kit);
        assert_int_equal(work(kit), 1);
    }
    kit_receive(kit); /* queued, not durable: not in the copy */
    test_disk_init(&copy.disk, 2);
    copy.door = test_disk_door(&copy.disk);
    assert_int_equal(td_log_copy(kit->log, &into), TD_OK);
    assert_true(copy.disk.file_count > 2);

    kit_init(&other, copy.door);
    assert_int_equal(kit_open(&other), TD_OK);
    assert_int_equal(other.recovery.batches, 40);
    assert_int_equal(other.recovery.damaged_records, 0);
    assert_int_equal(other.recovery.missing_segments, 0);
    kit_close(&other);
    test_disk_fini(&copy.disk);
    assert_int_equal(work(kit), 1);
}

static void test_a_new_directory_is_empty_and_an_empty_log_leaves_no_file(void **state)
{
    struct setting *setting = *state;
    struct kit *kit = &setting->kit;

    assert_int_equal(kit_open(kit), TD_OK);
    assert_true(kit->recovery.empty);
    assert_int_equal(work(kit), 0);
    kit_close(kit);
    assert_int_equal(setting->disk.file_count, 0);
}

static void test_all_queued_tickets_share_one_flush_and_complete_in_order(void **state)
{
    struct setting *setting = *state;
    struct kit *kit = &setting->kit;

    assert_int_equal(kit_open(kit), TD_OK);
    for (int i = 0; i < 20; i++) {
        kit_receive(kit);
    }
    assert_int_equal(kit->done_count, 0);
    assert_int_equal(work(kit), 20);
    assert_int_equal(kit->done_count, 20);
    for (uint32_t i = 0; i < 20; i++) {
        assert_true(kit->done[i].durable);
        assert_int_equal(kit->done[i].ticket.v, i + 1);
        assert_ptr_equal(kit->done[i].handle, kit->raws[i]);
        assert_int_equal(kit->done[i].ref.bytes, kit_raw_bytes(i + 1));
    }
    assert_int_equal(td_log_stats(kit->log).flushes, 1);
}

static void test_every_record_type_comes_back_as_it_was(void **state)
{
    struct setting *setting = *state;
    struct kit *kit = &setting->kit;
    struct td_vv_entry entries[2] = {{{{1}, {2, 3}}, 4}, {{{5}, {6, 7}}, 8}};
    struct td_vv_fold fold = {{5}, 6};
    struct td_record records[] = {
        {.type = TD_RECORD_HAS, .u.has = {2, 1, entries, &fold}},
        {.type = TD_RECORD_INCARNATION, .u.incarnation = {12, 34}},
        {.type = TD_RECORD_CLOSING, .u.closing = {{1, 2}, 3, true}},
        {.type = TD_RECORD_WALL, .u.wall_ms = 1234},
        {.type = TD_RECORD_HAS, .u.has = {0, 0, NULL, NULL}},
    };
    assert_int_equal(kit_open(kit), TD_OK);
    for (size_t i = 0; i < 5; i++) {
        kit_record(kit, &records[i]);
    }
    memset(entries, 0, sizeof entries); /* copied at submit */
    assert_int_equal(work(kit), 5);
    kit_close(kit);
    assert_int_equal(kit_open(kit), TD_OK);
    assert_int_equal(kit->recovery.records, 5);
    assert_int_equal(kit->seen_count, 5);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(kit->seen[i].type, records[i].type);
    }
    assert_int_equal(kit->seen[3].id, 1234);
}

static void test_a_batch_is_read_by_ticket_while_pending_and_by_both_after(void **state)
{
    struct setting *setting = *state;
    struct kit *kit = &setting->kit;
    struct td_log_ref by_ticket = {.ticket = {1}};
    uint8_t bytes[4];
    size_t count;

    assert_int_equal(kit_open(kit), TD_OK);
    uint32_t id = kit_receive(kit);
    expect_read(kit, by_ticket, id);
    assert_int_equal(work(kit), 1);
    expect_read(kit, by_ticket, id);
    expect_read(kit, kit->done[0].ref, id);
    assert_int_equal(td_log_read(kit->log, by_ticket, bytes, sizeof bytes, &count), TD_ETOOBIG);
    struct td_log_ref ahead = {.position = kit->done[0].ref.position + 4096};
    assert_int_equal(td_log_read(kit->log, ahead, bytes, sizeof bytes, &count), TD_EUNKNOWN);
    struct td_log_ref other = {.position = UINT64_C(77) << 32 | 128};
    assert_int_equal(td_log_read(kit->log, other, bytes, sizeof bytes, &count), TD_EUNKNOWN);
    struct td_log_ref none = {.ticket = {99}};
    assert_int_equal(td_log_read(kit->log, none, bytes, sizeof bytes, &count), TD_EUNKNOWN);
}

static void test_rot_under_a_running_log_is_found_when_read(void **state)
{
    struct setting *setting = *state;
    struct kit *kit = &setting->kit;
    uint8_t bytes[KIT_RAW_BYTES_MAX];
    size_t count;

    assert_int_equal(kit_open(kit), TD_OK);
    kit_receive(kit);
    assert_int_equal(work(kit), 1);
    struct test_file *file = test_disk_file(&setting->disk, "0000000001.seg");
    assert_non_null(file);
    for (uint32_t at = 0; at < 32 + kit->done[0].ref.bytes; at++) {
        uint8_t *byte = &file->bytes[(uint32_t)kit->done[0].ref.position + at];
        *byte ^= 0x10;
        assert_int_equal(td_log_read(kit->log, kit->done[0].ref, bytes, sizeof bytes, &count),
                         TD_ECORRUPT);
        *byte ^= 0x10;
    }
    expect_read(kit, kit->done[0].ref, 1);
}

static void test_a_full_queue_refuses(void **state)
{
    struct setting *setting = *state;
    struct kit *kit = &setting->kit;
    struct td_record wall = {.type = TD_RECORD_WALL};
    struct td_effect effect = {
        .type = TD_FX_STORE,
        .u.store = {.ticket = {100}, .kind = TD_STORE_RECORD, .record = &wall}};
    kit->options.queue_max = 3;
    assert_int_equal(kit_open(kit), TD_OK);
    for (int i = 0; i < 3; i++) {
        kit_receive(kit);
    }
    assert_false(td_log_submit(kit->log, &effect));
    assert_int_equal(work(kit), 3);
    assert_true(td_log_submit(kit->log, &effect));
    assert_int_equal(work(kit), 1);
}

static void test_segments_rotate_and_all_stay_readable(void **state)
{
    struct setting *setting = *state;
    struct kit *kit = &setting->kit;

    kit->options.segment_bytes = 4096;
    assert_int_equal(kit_open(kit), TD_OK);
    for (uint32_t i = 0; i < 60; i++) {
        kit_receive(kit);
        assert_int_equal(work(kit), 1);
    }
    assert_true(setting->disk.file_count > 8);
    for (uint32_t i = 0; i < 60; i++) {
        expect_read(kit, kit->done[i].ref, i + 1);
    }
    uint64_t bytes = td_log_bytes(kit->log);
    kit_close(kit);
    assert_int_equal(kit_open(kit), TD_OK);
    assert_int_equal(kit->recovery.batches, 60);
    assert_int_equal(kit->recovery.segments, setting->disk.file_count);
    assert_int_equal(td_log_bytes(kit->log), bytes + 32); /* the closing mark */
}

/* Rows: which call fails, which time. The ticket at work then is not durable, the next one is, and
 * recovery brings exactly the durable ones, perhaps the failed one too, never a hole. */
static void test_a_failed_write_or_flush_is_told_and_the_next_group_starts_a_segment(void **state)
{
    static const enum test_call calls[] = {TEST_WRITE, TEST_SYNC, TEST_SYNC_DIRECTORY, TEST_CREATE};
    (void)state;
    for (size_t c = 0; c < sizeof calls / sizeof calls[0]; c++) {
        for (uint64_t after = 0; after < 6; after++) {
            struct test_disk disk;
            struct kit kit;
            size_t failed = 0, durable = 0;

            test_disk_init(&disk, after);
            kit_init(&kit, test_disk_door(&disk));
            kit.options.segment_bytes = 600;
            assert_int_equal(kit_open(&kit), TD_OK);
            disk.fail_calls = calls[c];
            disk.fail_after = after;
            disk.fail_count = 1;
            for (int i = 0; i < 12; i++) {
                kit_receive(&kit);
                assert_int_equal(work(&kit), 1);
            }
            assert_int_equal(disk.fail_count, 0);
            for (size_t i = 0; i < kit.done_count; i++) {
                failed += !kit.done[i].durable;
                if (!kit.done[i].durable) {
                    assert_int_equal(kit.done[i].why, TD_EIO);
                } else {
                    expect_read(&kit, kit.done[i].ref, (uint32_t)i + 1);
                    durable++;
                }
            }
            assert_int_equal(failed, 1);
            assert_int_equal(td_log_stats(kit.log).groups_failed, 1);
            kit_close(&kit);
            assert_int_equal(disk.opens, 0);
            test_disk_crash(&disk, TEST_CRASH_LOSE);
            assert_int_equal(kit_open(&kit), TD_OK);
            assert_int_equal(kit.recovery.damaged_records, 0);
            assert_int_equal(kit.recovery.missing_segments, 0);
            assert_int_equal(kit.recovery.batches, durable);
            kit_close(&kit);
            test_disk_fini(&disk);
        }
    }
}

static void test_a_full_disk_is_told_and_writing_resumes_when_it_is_freed(void **state)
{
    struct setting *setting = *state;
    struct kit *kit = &setting->kit;
    size_t durable = 0, refused = 0;

    assert_int_equal(kit_open(kit), TD_OK);
    setting->disk.capacity = 20000;
    for (int i = 0; i < 60; i++) {
        kit_receive(kit);
        assert_int_equal(work(kit), 1);
        durable += kit->done[i].durable;
        refused += kit->done[i].why == TD_EDISKFULL;
    }
    assert_true(durable > 5);
    assert_true(refused > 5);
    assert_int_equal(durable + refused, 60);
    setting->disk.capacity = 0;
    kit_receive(kit);
    assert_int_equal(work(kit), 1);
    assert_true(kit->done[60].durable);
    kit_close(kit);
    assert_int_equal(kit_open(kit), TD_OK);
    assert_int_equal(kit->recovery.batches, durable + 1);
    assert_int_equal(kit->recovery.damaged_records + kit->recovery.missing_segments, 0);
}

static void test_the_limit_holds_and_names_itself_as_a_full_disk(void **state)
{
    struct setting *setting = *state;
    struct kit *kit = &setting->kit;

    kit->options.limit_bytes = 10000;
    kit->options.segment_bytes = 3000;
    assert_int_equal(kit_open(kit), TD_OK);
    for (int i = 0; i < 40; i++) {
        kit_receive(kit);
        assert_int_equal(work(kit), 1);
        assert_true(td_log_bytes(kit->log) <= 10000);
    }
    assert_false(kit->done[39].durable);
    assert_int_equal(kit->done[39].why, TD_EDISKFULL);
    assert_true(td_log_bytes(kit->log) > 8000);
}

static void test_closing_completes_everything_queued(void **state)
{
    struct setting *setting = *state;
    struct kit *kit = &setting->kit;

    assert_int_equal(kit_open(kit), TD_OK);
    for (int i = 0; i < 7; i++) {
        kit_receive(kit);
    }
    kit_close(kit);
    assert_int_equal(kit->done_count, 7);
    assert_true(kit->done[6].durable);

    assert_int_equal(kit_open(kit), TD_OK);
    assert_int_equal(kit->seen_count, 7);
    kit_receive(kit);
    setting->disk.off = true;
    kit_close(kit);
    assert_int_equal(kit->done_count, 1);
    assert_false(kit->done[0].durable);
}

static struct td_delta delta_of(uint32_t i, char *job, size_t job_bytes)
{
    int count = snprintf(job, job_bytes, "job-%u", (unsigned)i);
    return (struct td_delta){
        .job = {job, (uint32_t)count},
        .attempt = 1,
        .stamp = {1000000 + i, i},
        .status = {.state = TD_STATE_RUNNING},
    };
}

/* What a peer would do with it: decode, verify, compare leaves. */
static void expect_real_batch(struct kit *kit, const struct td_log_done *done, uint32_t count)
{
    static uint8_t bytes[TD_BATCH_BYTES_MAX], room[4 * 1024 * 1024];
    struct td_reader *reader = td_reader_alloc();
    struct td_public_key key = {{0}};
    struct td_batch batch;
    struct td_arena arena;
    size_t got;

    td_arena_init(&arena, room, sizeof room);
    assert_int_equal(td_log_read(kit->log, done->ref, bytes, sizeof bytes, &got), TD_OK);
    assert_int_equal(
        td_batch_decode((struct td_bytes){bytes, got}, &kit_signer, reader, &arena, &batch), TD_OK);
    assert_true(td_batch_verify(&batch, &kit_signer, &key));
    assert_int_equal(batch.header.count, count);
    assert_int_equal(batch.header.first_seq, 41);
    assert_int_equal(batch.header.key_number, 3);
    assert_int_equal(batch.header.stamp.ms, 1000000 + count - 1);
    assert_int_equal(batch.present_count, count);
    for (uint32_t i = 0; i < count; i++) {
        struct td_hash leaf;
        kit_signer.hash(NULL, 0, batch.deltas[i].raw, (struct td_bytes){NULL, 0}, &leaf);
        assert_memory_equal(&leaf, &batch.deltas[i].leaf, sizeof leaf);
    }
    td_reader_free(reader);
}

static void test_own_deltas_become_one_batch_that_a_peer_accepts(void **state)
{
    struct setting *setting = *state;
    struct kit *kit = &setting->kit;
    static struct td_delta deltas[100];
    static char jobs[100][32];
    struct td_log_ref by_ticket = {.ticket = {1}};
    uint8_t bytes[16];
    size_t count;

    for (uint32_t i = 0; i < 100; i++) {
        deltas[i] = delta_of(i, jobs[i], sizeof jobs[i]);
    }
    assert_int_equal(kit_open(kit), TD_OK);
    kit_own(kit, deltas, 100, 41);
    kit_receive(kit);
    kit_own(kit, deltas, 1, 41);
    assert_int_equal(td_log_read(kit->log, by_ticket, bytes, sizeof bytes, &count), TD_EUNKNOWN);
    assert_int_equal(work(kit), 3);
    assert_int_equal(kit->done[0].leaf_count, 100);
    assert_int_equal(kit->done[2].leaf_count, 1);
    expect_real_batch(kit, &kit->done[0], 100);
    expect_real_batch(kit, &kit->done[2], 1);
    expect_read(kit, kit->done[1].ref, 1);
    kit_close(kit);
    assert_int_equal(kit_open(kit), TD_OK);
    assert_int_equal(kit->recovery.batches, 3);
    assert_int_equal(kit->recovery.deltas, 101);
}

static void *reader_thread(void *context)
{
    struct kit *kit = context;
    static _Thread_local uint8_t bytes[KIT_RAW_BYTES_MAX];
    uint64_t ticket = 1;

    while (ticket <= 300) {
        struct td_log_ref ref = {.ticket = {ticket}};
        size_t count;
        enum td_err err = td_log_read(kit->log, ref, bytes, sizeof bytes, &count);
        if (err == TD_OK) {
            uint8_t expected[KIT_RAW_BYTES_MAX];
            kit_raw((uint32_t)ticket, expected);
            if (count != kit_raw_bytes((uint32_t)ticket) || memcmp(bytes, expected, count) != 0) {
                return kit;
            }
            ticket++;
        } else if (err != TD_EUNKNOWN) {
            return kit;
        }
    }
    return NULL;
}

static void *work_thread(void *context)
{
    struct kit *kit = context;
    size_t completed = 0;
    while (completed < 300) {
        completed += td_log_work(kit->log, 50);
    }
    return NULL;
}

static bool remove_file(void *context, const char *name)
{
    struct kit *kit = context;
    if (strcmp(name, "lock") != 0) {
        assert_int_equal(kit->disk.remove(kit->disk.self, name), TD_OK);
    }
    return true;
}

static void test_reading_while_writing_gives_whole_batches(void **state)
{
    struct setting *setting = *state;
    struct kit *kit = &setting->kit;
    pthread_t worker, readers[2];
    char directory[] = "/tmp/tidings-log-XXXXXX";
    char why[128];
    void *wrong[2];

    assert_non_null(mkdtemp(directory)); /* the test disk is for one thread */
    assert_int_equal(td_disk_posix_open(directory, &kit->disk, why, sizeof why), TD_OK);
    kit->options.queue_max = 400;
    kit->options.segment_bytes = 16384;
    assert_int_equal(kit_open(kit), TD_OK);
    pthread_create(&worker, NULL, work_thread, kit);
    pthread_create(&readers[0], NULL, reader_thread, kit);
    pthread_create(&readers[1], NULL, reader_thread, kit);
    for (int i = 0; i < 300; i++) {
        kit_receive(kit);
    }
    pthread_join(worker, NULL);
    pthread_join(readers[0], &wrong[0]);
    pthread_join(readers[1], &wrong[1]);
    assert_null(wrong[0]);
    assert_null(wrong[1]);
    assert_int_equal(kit->done_count, 300);
    kit_close(kit);
    kit->disk.list(kit->disk.self, remove_file, kit);
    assert_int_equal(kit->disk.remove(kit->disk.self, "lock"), TD_OK);
    td_disk_posix_close(&kit->disk);
    assert_int_equal(rmdir(directory), 0);
}

int main(void)
{
#define LOG_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        LOG_TEST(test_a_copy_of_a_log_in_use_opens_with_what_was_durable),
        LOG_TEST(test_a_new_directory_is_empty_and_an_empty_log_leaves_no_file),
        LOG_TEST(test_all_queued_tickets_share_one_flush_and_complete_in_order),
        LOG_TEST(test_every_record_type_comes_back_as_it_was),
        LOG_TEST(test_a_batch_is_read_by_ticket_while_pending_and_by_both_after),
        LOG_TEST(test_rot_under_a_running_log_is_found_when_read),
        LOG_TEST(test_a_full_queue_refuses),
        LOG_TEST(test_segments_rotate_and_all_stay_readable),
        LOG_TEST(test_a_failed_write_or_flush_is_told_and_the_next_group_starts_a_segment),
        LOG_TEST(test_a_full_disk_is_told_and_writing_resumes_when_it_is_freed),
        LOG_TEST(test_the_limit_holds_and_names_itself_as_a_full_disk),
        LOG_TEST(test_closing_completes_everything_queued),
        LOG_TEST(test_own_deltas_become_one_batch_that_a_peer_accepts),
        LOG_TEST(test_reading_while_writing_gives_whole_batches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
