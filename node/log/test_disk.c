/* test_disk.c -- the failing disk of test_disk.h. Each file has its bytes as a reader sees them,
 * the bytes that are on the platter, and the unflushed writes that lead from one to the other. */
#include "node/log/test_disk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/assert.h"

struct test_write {
    uint64_t offset;
    uint8_t *bytes; /* NULL: a truncation to offset */
    uint64_t count;
};

void test_disk_init(struct test_disk *test, uint64_t seed)
{
    memset(test, 0, sizeof *test);
    test->random = seed * 2 + 1;
    test->fail_err = TD_EIO;
}

static uint32_t next_random(struct test_disk *test)
{
    test->random = test->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(test->random >> 33);
}

static void copy(uint8_t *target, const uint8_t *source, uint64_t count)
{
    if (count > 0) {
        memcpy(target, source, count);
    }
}

static void resize(uint8_t **bytes, uint64_t *count, uint64_t want)
{
    uint8_t *grown = realloc(*bytes, want == 0 ? 1 : want);
    TD_ASSERT(grown != NULL);
    if (want > *count) {
        memset(grown + *count, 0, want - *count);
    }
    *bytes = grown;
    *count = want;
}

void test_file_resize(struct test_file *file, uint64_t count)
{
    resize(&file->bytes, &file->count, count);
    resize(&file->durable, &file->durable_count, count);
}

static void forget_writes(struct test_file *file)
{
    for (size_t i = 0; i < file->unflushed_count; i++) {
        free(file->unflushed[i].bytes);
    }
    free(file->unflushed);
    file->unflushed = NULL;
    file->unflushed_count = 0;
}

void test_disk_fini(struct test_disk *test)
{
    for (size_t i = 0; i < test->file_count; i++) {
        forget_writes(&test->files[i]);
        free(test->files[i].bytes);
        free(test->files[i].durable);
    }
    test->file_count = 0;
}

static uint8_t *copy_of(const uint8_t *bytes, uint64_t count)
{
    uint8_t *fresh = malloc(count == 0 ? 1 : count);
    TD_ASSERT(fresh != NULL);
    copy(fresh, bytes, count);
    return fresh;
}

void test_disk_copy(struct test_disk *target, const struct test_disk *source)
{
    *target = *source;
    for (size_t i = 0; i < source->file_count; i++) {
        struct test_file *file = &target->files[i];
        TD_ASSERT(file->unflushed_count == 0);
        file->bytes = copy_of(file->bytes, file->count);
        file->durable = copy_of(file->durable, file->durable_count);
        file->unflushed = NULL;
    }
}

struct test_file *test_disk_file(struct test_disk *test, const char *name)
{
    for (size_t i = 0; i < test->file_count; i++) {
        if (test->files[i].exists && strcmp(test->files[i].name, name) == 0) {
            return &test->files[i];
        }
    }
    return NULL;
}

static uint64_t used_bytes(const struct test_disk *test)
{
    uint64_t used = 0;
    for (size_t i = 0; i < test->file_count; i++) {
        used += test->files[i].exists ? test->files[i].count : 0;
    }
    return used;
}

/* Counts a changing call; true when it shall fail. */
static bool call_fails(struct test_disk *test, enum test_call call)
{
    if (test->off) {
        return true;
    }
    test->calls++;
    if (test->calls == test->power_off_at) {
        test->off = true;
        return true;
    }
    if ((test->fail_calls & (uint32_t)call) == 0 || test->fail_count == 0) {
        return false;
    }
    if (test->fail_after > 0) {
        test->fail_after--;
        return false;
    }
    test->fail_count--;
    return true;
}

static void note_write(struct test_file *file, struct test_write write)
{
    size_t bytes = (file->unflushed_count + 1) * sizeof *file->unflushed;
    struct test_write *grown = realloc(file->unflushed, bytes);
    TD_ASSERT(grown != NULL);
    file->unflushed = grown;
    file->unflushed[file->unflushed_count++] = write;
}

static void apply(uint8_t **bytes, uint64_t *count, const struct test_write *write)
{
    if (write->bytes == NULL) {
        resize(bytes, count, write->offset);
        return;
    }
    if (write->offset + write->count > *count) {
        resize(bytes, count, write->offset + write->count);
    }
    copy(*bytes + write->offset, write->bytes, write->count);
}

static void change(struct test_file *file, uint64_t offset, const uint8_t *bytes, uint64_t count)
{
    struct test_write write = {offset, bytes == NULL ? NULL : copy_of(bytes, count), count};
    apply(&file->bytes, &file->count, &write);
    note_write(file, write);
}

static enum td_err door_list(void *self, bool (*each)(void *context, const char *name),
                             void *context)
{
    struct test_disk *test = self;
    for (size_t i = 0; i < test->file_count; i++) {
        if (test->files[i].exists && !each(context, test->files[i].name)) {
            break;
        }
    }
    return TD_OK;
}

static enum td_err door_create(void *self, const char *name, int *ret_file)
{
    struct test_disk *test = self;
    if (call_fails(test, TEST_CREATE)) {
        return test->fail_err;
    }
    TD_ASSERT(test_disk_file(test, name) == NULL);
    TD_ASSERT(test->file_count < TEST_DISK_FILES_MAX);
    struct test_file *file = &test->files[test->file_count];
    *file = (struct test_file){.exists = true};
    snprintf(file->name, sizeof file->name, "%s", name);
    *ret_file = (int)test->file_count++;
    test->opens++;
    return TD_OK;
}

static enum td_err door_open(void *self, const char *name, int *ret_file, uint64_t *ret_size_bytes)
{
    struct test_disk *test = self;
    struct test_file *file = test_disk_file(test, name);
    if (file == NULL) {
        return TD_EIO;
    }
    *ret_file = (int)(file - test->files);
    *ret_size_bytes = file->count;
    test->opens++;
    return TD_OK;
}

static void door_close(void *self, int file)
{
    (void)file;
    ((struct test_disk *)self)->opens--;
}

static enum td_err door_write_at(void *self, int handle, uint64_t offset, struct td_bytes bytes)
{
    struct test_disk *test = self;
    struct test_file *file = &test->files[handle];
    bool was_off = test->off;

    if (call_fails(test, TEST_WRITE)) {
        if (!was_off) { /* a failing write may leave some of its bytes */
            change(file, offset, bytes.bytes, next_random(test) % (bytes.count + 1));
        }
        return test->fail_err;
    }
    uint64_t end = offset + bytes.count;
    uint64_t more = end > file->count ? end - file->count : 0;
    uint64_t used = used_bytes(test);
    if (test->capacity != 0 && used + more > test->capacity) {
        uint64_t room = test->capacity > used ? test->capacity - used : 0;
        change(file, offset, bytes.bytes, bytes.count - more + room);
        return TD_EDISKFULL;
    }
    change(file, offset, bytes.bytes, bytes.count);
    return TD_OK;
}

static enum td_err door_read_at(void *self, int handle, uint64_t offset, void *bytes, size_t count)
{
    struct test_disk *test = self;
    const struct test_file *file = &test->files[handle];
    if (test->read_fails) {
        return TD_EIO;
    }
    if (offset > file->count || count > file->count - offset) {
        return TD_ECORRUPT;
    }
    copy(bytes, file->bytes + offset, count);
    return TD_OK;
}

static enum td_err door_truncate(void *self, int handle, uint64_t size_bytes)
{
    struct test_disk *test = self;
    if (call_fails(test, TEST_TRUNCATE)) {
        return test->fail_err;
    }
    change(&test->files[handle], size_bytes, NULL, 0);
    return TD_OK;
}

static void flush_all(struct test_file *file)
{
    for (size_t i = 0; i < file->unflushed_count; i++) {
        apply(&file->durable, &file->durable_count, &file->unflushed[i]);
    }
    forget_writes(file);
}

/* Each sector of an unflushed write is on the platter or not; a truncation likewise. */
static void flush_some(struct test_disk *test, struct test_file *file)
{
    for (size_t i = 0; i < file->unflushed_count; i++) {
        const struct test_write *write = &file->unflushed[i];
        if (write->bytes == NULL && (next_random(test) & 1) != 0) {
            apply(&file->durable, &file->durable_count, write);
        }
        for (uint64_t at = 0; write->bytes != NULL && at < write->count;) {
            uint64_t sector_left =
                TEST_DISK_SECTOR_BYTES - (write->offset + at) % TEST_DISK_SECTOR_BYTES;
            uint64_t left = write->count - at;
            struct test_write sector = {write->offset + at, write->bytes + at,
                                        left < sector_left ? left : sector_left};
            if ((next_random(test) & 1) != 0) {
                apply(&file->durable, &file->durable_count, &sector);
            }
            at += sector.count;
        }
    }
    forget_writes(file);
}

/* Like Linux: after a failed flush the pages count as clean, so nobody writes the rest later. */
static enum td_err door_sync(void *self, int handle)
{
    struct test_disk *test = self;
    bool was_off = test->off;
    if (call_fails(test, TEST_SYNC)) {
        if (!was_off && !test->off) {
            flush_some(test, &test->files[handle]);
        }
        return test->fail_err;
    }
    flush_all(&test->files[handle]);
    return TD_OK;
}

static enum td_err door_sync_directory(void *self)
{
    struct test_disk *test = self;
    if (call_fails(test, TEST_SYNC_DIRECTORY)) {
        return test->fail_err;
    }
    for (size_t i = 0; i < test->file_count; i++) {
        test->files[i].exists_durable = test->files[i].exists;
        test->files[i].durable_name[0] = '\0';
    }
    return TD_OK;
}

static enum td_err door_remove(void *self, const char *name)
{
    struct test_disk *test = self;
    struct test_file *file = test_disk_file(test, name);
    if (call_fails(test, TEST_REMOVE) || file == NULL) {
        return test->fail_err;
    }
    file->exists = false;
    return TD_OK;
}

/* Only to a name that is not in use: nobody here replaces a file. */
static enum td_err door_rename(void *self, const char *name, const char *to)
{
    struct test_disk *test = self;
    struct test_file *file = test_disk_file(test, name);
    if (call_fails(test, TEST_RENAME) || file == NULL) {
        return test->fail_err;
    }
    TD_ASSERT(test_disk_file(test, to) == NULL);
    if (file->durable_name[0] == '\0') {
        memcpy(file->durable_name, file->name, sizeof file->durable_name);
    }
    snprintf(file->name, sizeof file->name, "%s", to);
    return TD_OK;
}

static enum td_err door_reserve(void *self, int handle, uint64_t size_bytes)
{
    struct test_disk *test = self;
    struct test_file *file = &test->files[handle];
    uint64_t more = size_bytes > file->count ? size_bytes - file->count : 0;
    if (test->off || (test->capacity != 0 && used_bytes(test) + more > test->capacity)) {
        return TD_EDISKFULL;
    }
    if (more > 0) {
        change(file, size_bytes, NULL, 0);
    }
    return TD_OK;
}

struct td_disk test_disk_door(struct test_disk *test)
{
    return (struct td_disk){
        .self = test,
        .list = door_list,
        .create = door_create,
        .open = door_open,
        .close = door_close,
        .write_at = door_write_at,
        .read_at = door_read_at,
        .truncate = door_truncate,
        .sync = door_sync,
        .sync_directory = door_sync_directory,
        .remove = door_remove,
        .rename = door_rename,
        .reserve = door_reserve,
    };
}

/* Names unflushed in either direction are kept or not, but one name stays one file: a later file of
 * the same name being there means the earlier one is gone. */
static void settle_names(struct test_disk *test, enum test_crash how)
{
    for (size_t i = test->file_count; i-- > 0;) {
        struct test_file *file = &test->files[i];
        bool keep = how == TEST_CRASH_RANDOM && (next_random(test) & 1) != 0;
        bool exists = keep ? file->exists : file->exists_durable;
        if (file->durable_name[0] != '\0' &&
            (how != TEST_CRASH_RANDOM || (next_random(test) & 1) != 0)) {
            memcpy(file->name, file->durable_name, sizeof file->name);
        }
        file->durable_name[0] = '\0';
        for (size_t k = i + 1; k < test->file_count; k++) {
            exists =
                exists && !(test->files[k].exists && strcmp(test->files[k].name, file->name) == 0);
        }
        file->exists = exists;
        file->exists_durable = exists;
    }
}

void test_disk_crash(struct test_disk *test, enum test_crash how)
{
    if (how != TEST_CRASH_KEEP) {
        settle_names(test, how);
    }
    for (size_t i = 0; i < test->file_count; i++) {
        struct test_file *file = &test->files[i];
        if (how == TEST_CRASH_KEEP) {
            continue;
        }
        if (how == TEST_CRASH_RANDOM) {
            flush_some(test, file);
        }
        forget_writes(file);
        resize(&file->bytes, &file->count, file->durable_count);
        copy(file->bytes, file->durable, file->durable_count);
    }
    test->off = false;
    test->power_off_at = 0;
    test->fail_calls = 0;
    test->capacity = 0;
    test->opens = 0;
}
