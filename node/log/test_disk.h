/* test_disk.h -- a disk in memory that fails as real ones do, for the log's tests: what was not
 * flushed is lost, kept or torn by sectors at a crash; calls fail or the power goes at a chosen
 * one; room ends; bits flip. One thread. */
#ifndef TD_LOG_TEST_DISK_H
#define TD_LOG_TEST_DISK_H

#include "node/log/disk.h"

enum { TEST_DISK_FILES_MAX = 4096, TEST_DISK_SECTOR_BYTES = 512 };

enum test_crash {
    TEST_CRASH_KEEP,   /* the process died: everything written is there, but not yet flushed */
    TEST_CRASH_LOSE,   /* power: nothing unflushed is there */
    TEST_CRASH_RANDOM, /* power: each unflushed sector and name on its own */
};
enum test_call {
    TEST_WRITE = 1,
    TEST_SYNC = 2,
    TEST_SYNC_DIRECTORY = 4,
    TEST_CREATE = 8,
    TEST_TRUNCATE = 16,
    TEST_REMOVE = 32,
    TEST_RENAME = 64,
    TEST_ANY = 127
};

struct test_write; /* written but not flushed */

struct test_file {
    char name[32];
    char durable_name[32]; /* "" = the same; else what a crash may bring back */
    bool exists, exists_durable;
    uint8_t *bytes, *durable;
    uint64_t count, durable_count;
    struct test_write *unflushed; /* in order */
    size_t unflushed_count;
};

struct test_disk {
    struct test_file files[TEST_DISK_FILES_MAX];
    size_t file_count;
    uint64_t random;
    uint64_t calls;        /* that change something, so far */
    uint64_t power_off_at; /* at this call the power goes; 0 = never */
    bool off;
    uint32_t fail_calls; /* kinds of enum test_call that fail ... */
    uint64_t fail_after; /* ... after that many good ones ... */
    uint64_t fail_count; /* ... and that often */
    enum td_err fail_err;
    uint64_t capacity; /* bytes of all files; 0 = no end */
    bool read_fails;
    int opens; /* handles not closed */
};

void test_disk_init(struct test_disk *test, uint64_t seed);
void test_disk_fini(struct test_disk *test);
struct td_disk test_disk_door(struct test_disk *test);
/* Ends a life: unflushed bytes and names go as said; faults are switched off. */
void test_disk_crash(struct test_disk *test, enum test_crash how);
/* NULL when there is none. */
struct test_file *test_disk_file(struct test_disk *test, const char *name);
/* Deep copy, for trying many things on one state. */
void test_disk_copy(struct test_disk *target, const struct test_disk *source);
void test_file_resize(struct test_file *file, uint64_t count);

#endif
