/* spool_test.c -- the spool file: order, bound, acknowledgement, and damage at every byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "node/client/spool.h"
#include "proto/sign_sodium.h"

enum { RECORDS_AT = 128, RECORD_HEAD = 20 };
static char path[64], damaged[80], why[256];

static struct td_spool *open_spool(uint64_t bytes_max)
{
    struct td_spool *spool = NULL;
    why[0] = '\0';
    if (td_spool_open(path, bytes_max, &spool, why, sizeof why) != TD_OK) {
        fail_msg("%s", why);
    }
    return spool;
}

static struct td_bytes payload_of(unsigned i, char *text)
{
    int count = snprintf(text, 64, "record %u %.*s", i, (int)(i % 7), "abcdefg");
    return (struct td_bytes){(const uint8_t *)text, (size_t)count};
}

static void append_synced(struct td_spool *spool, unsigned first, unsigned count)
{
    char text[64];
    for (unsigned i = first; i < first + count; i++) {
        assert_int_equal(td_spool_append(spool, payload_of(i, text)), TD_OK);
    }
    assert_int_equal(td_spool_sync(spool), TD_OK);
}

/* Reads from *cursor to the end; each record must be the next one. Returns the number read. */
static unsigned read_all_from(struct td_spool *spool, uint64_t *cursor, unsigned first)
{
    unsigned i = first;
    for (;; i++) {
        uint8_t *payload = NULL;
        size_t bytes = 0;
        char text[64];
        enum td_err err = td_spool_read(spool, cursor, &payload, &bytes);
        if (err != TD_OK) {
            assert_int_equal(err, TD_EUNKNOWN);
            return i - first;
        }
        struct td_bytes expected = payload_of(i, text);
        assert_int_equal(bytes, expected.count);
        assert_memory_equal(payload, expected.bytes, bytes);
        free(payload);
    }
}

static int fresh(void **state)
{
    (void)state;
    (void)unlink(path);
    (void)unlink(damaged);
    return 0;
}

static void test_records_come_back_in_order_after_a_restart(void **state)
{
    (void)state;
    uint64_t cursor = 0;
    struct td_spool *spool = open_spool(1 << 20);
    assert_true(td_spool_empty(spool));
    append_synced(spool, 0, 10);
    append_synced(spool, 10, 5);
    td_spool_close(spool);
    spool = open_spool(1 << 20);
    assert_int_equal(read_all_from(spool, &cursor, 0), 15);
    td_spool_close(spool);
}

static void test_what_is_released_is_not_read_again(void **state)
{
    (void)state;
    uint64_t cursor = 0;
    uint8_t *payload = NULL;
    size_t bytes = 0;
    struct td_spool *spool = open_spool(1 << 20);
    append_synced(spool, 0, 4);
    assert_int_equal(td_spool_read(spool, &cursor, &payload, &bytes), TD_OK);
    free(payload);
    assert_int_equal(td_spool_release(spool, cursor), TD_OK);
    td_spool_close(spool);
    spool = open_spool(1 << 20);
    cursor = 0;
    assert_int_equal(read_all_from(spool, &cursor, 1), 3);
    assert_int_equal(td_spool_release(spool, cursor), TD_OK);
    assert_true(td_spool_empty(spool));
    struct stat file;
    assert_int_equal(stat(path, &file), 0);
    assert_int_equal(file.st_size, RECORDS_AT);
    td_spool_close(spool);
}

static void test_only_synced_records_are_read(void **state)
{
    (void)state;
    char text[64];
    uint64_t cursor = 0;
    struct td_spool *spool = open_spool(1 << 20);
    append_synced(spool, 0, 2);
    assert_int_equal(td_spool_append(spool, payload_of(2, text)), TD_OK);
    assert_int_equal(read_all_from(spool, &cursor, 0), 2);
    assert_int_equal(td_spool_sync(spool), TD_OK);
    assert_int_equal(read_all_from(spool, &cursor, 2), 1);
    td_spool_close(spool);
}

static void test_the_bound_holds_and_frees_again(void **state)
{
    (void)state;
    uint8_t block[100] = {1};
    struct td_bytes payload = {block, sizeof block};
    /* Exactly two records fit. */
    struct td_spool *spool = open_spool(RECORDS_AT + 2 * (RECORD_HEAD + sizeof block));
    assert_int_equal(td_spool_append(spool, payload), TD_OK);
    assert_int_equal(td_spool_append(spool, payload), TD_OK);
    assert_int_equal(td_spool_append(spool, payload), TD_EBUSY);
    assert_int_equal(td_spool_sync(spool), TD_OK);
    assert_int_equal(td_spool_release(spool, UINT64_MAX), TD_OK);
    assert_int_equal(td_spool_append(spool, payload), TD_OK);
    td_spool_close(spool);
}

/* Bytes of a file with `count` records; end_of[i] = where record i ends. */
static uint8_t *image_of(unsigned count, size_t *ret_bytes, size_t *end_of)
{
    struct td_spool *spool = open_spool(1 << 20);
    char text[64];
    size_t at = RECORDS_AT;
    append_synced(spool, 0, count);
    td_spool_close(spool);
    for (unsigned i = 0; i < count; i++) {
        at += RECORD_HEAD + payload_of(i, text).count;
        end_of[i] = at;
    }
    FILE *file = fopen(path, "rb");
    uint8_t *image = malloc(at);
    assert_non_null(file);
    assert_int_equal(fread(image, 1, at, file), at);
    (void)fclose(file);
    *ret_bytes = at;
    return image;
}

static void write_image(const uint8_t *image, size_t bytes)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(image, 1, bytes, file), bytes);
    assert_int_equal(fclose(file), 0);
}

static unsigned whole_records(const size_t *end_of, unsigned count, size_t bytes)
{
    unsigned whole = 0;
    while (whole < count && end_of[whole] <= bytes) {
        whole++;
    }
    return whole;
}

static void test_a_tail_torn_at_any_byte_loses_only_what_was_torn(void **state)
{
    (void)state;
    size_t end_of[5], bytes = 0;
    uint8_t *image = image_of(5, &bytes, end_of);
    for (size_t cut = RECORDS_AT; cut <= bytes; cut++) {
        uint64_t cursor = 0;
        unsigned whole = whole_records(end_of, 5, cut);
        write_image(image, cut);
        struct td_spool *spool = open_spool(1 << 20);
        assert_int_equal(read_all_from(spool, &cursor, 0), whole);
        append_synced(spool, whole, 1); /* and it goes on behind the last whole one */
        assert_int_equal(read_all_from(spool, &cursor, whole), 1);
        td_spool_close(spool);
    }
    free(image);
}

static void test_a_flipped_bit_is_found_and_the_bytes_are_kept(void **state)
{
    (void)state;
    size_t end_of[3], bytes = 0;
    uint8_t *image = image_of(3, &bytes, end_of);
    for (size_t at = RECORDS_AT; at < bytes; at++) {
        uint64_t cursor = 0;
        struct stat kept;
        image[at] ^= 0x10;
        write_image(image, bytes);
        (void)unlink(damaged);
        struct td_spool *spool = open_spool(1 << 20);
        assert_int_equal(read_all_from(spool, &cursor, 0), whole_records(end_of, 3, at));
        td_spool_close(spool);
        assert_int_equal(stat(damaged, &kept), 0);
        image[at] ^= 0x10;
    }
    free(image);
}

static void test_a_damaged_head_slot_leaves_the_other(void **state)
{
    (void)state;
    size_t end_of[3], bytes = 0;
    uint8_t *image = image_of(3, &bytes, end_of);
    for (size_t at = 0; at < RECORDS_AT; at++) {
        struct td_spool *spool = NULL;
        image[at] ^= 0x01;
        write_image(image, bytes);
        enum td_err err = td_spool_open(path, 1 << 20, &spool, why, sizeof why);
        /* One slot was ever written: damage in its checked part is told, never taken as empty. */
        if (err == TD_OK) {
            uint64_t cursor = 0;
            assert_int_equal(read_all_from(spool, &cursor, 0), 3);
        } else {
            assert_int_equal(err, TD_ECORRUPT);
        }
        td_spool_close(spool);
        image[at] ^= 0x01;
    }
    free(image);
}

static void test_a_file_of_somebody_else_is_left_alone(void **state)
{
    (void)state;
    struct td_spool *spool = NULL;
    char text[300];
    memset(text, 'n', sizeof text);
    write_image((const uint8_t *)text, sizeof text);
    assert_int_equal(td_spool_open(path, 1 << 20, &spool, why, sizeof why), TD_ECORRUPT);
    struct stat file;
    assert_int_equal(stat(path, &file), 0);
    assert_int_equal(file.st_size, sizeof text);
}

static void test_a_spool_has_one_user(void **state)
{
    (void)state;
    struct td_spool *second = NULL;
    struct td_spool *spool = open_spool(1 << 20);
    assert_int_equal(td_spool_open(path, 1 << 20, &second, why, sizeof why), TD_ELOCKED);
    td_spool_close(spool);
}

int main(void)
{
    char folder[] = "/tmp/tidings_spool_test.XXXXXX";
    if (mkdtemp(folder) == NULL || td_sodium_init() != TD_OK) {
        return 1;
    }
    (void)snprintf(path, sizeof path, "%s/spool", folder);
    (void)snprintf(damaged, sizeof damaged, "%s.damaged", path);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_records_come_back_in_order_after_a_restart, fresh),
        cmocka_unit_test_setup(test_what_is_released_is_not_read_again, fresh),
        cmocka_unit_test_setup(test_only_synced_records_are_read, fresh),
        cmocka_unit_test_setup(test_the_bound_holds_and_frees_again, fresh),
        cmocka_unit_test_setup(test_a_tail_torn_at_any_byte_loses_only_what_was_torn, fresh),
        cmocka_unit_test_setup(test_a_flipped_bit_is_found_and_the_bytes_are_kept, fresh),
        cmocka_unit_test_setup(test_a_damaged_head_slot_leaves_the_other, fresh),
        cmocka_unit_test_setup(test_a_file_of_somebody_else_is_left_alone, fresh),
        cmocka_unit_test_setup(test_a_spool_has_one_user, fresh),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    (void)fresh(NULL);
    (void)rmdir(folder);
    return failed;
}
