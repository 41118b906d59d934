/* disk_posix_test.c -- the real disk: one owner of a directory, its modes, its errors, a log on it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "node/log/disk_posix.h"
#include "node/log/test_kit.h"

static char parent[64], directory[96];
static char why[256];

static int set_up(void **state)
{
    (void)state;
    snprintf(parent, sizeof parent, "/tmp/tidings-disk-XXXXXX");
    if (mkdtemp(parent) == NULL) {
        return -1;
    }
    snprintf(directory, sizeof directory, "%s/data", parent);
    return 0;
}

static bool remove_each(void *context, const char *name)
{
    struct td_disk *disk = context;
    return disk->remove(disk->self, name) == TD_OK;
}

static void clean(struct td_disk *disk)
{
    assert_int_equal(disk->list(disk->self, remove_each, disk), TD_OK);
    td_disk_posix_close(disk);
    td_disk_posix_close(disk); /* twice is fine */
    assert_int_equal(rmdir(directory), 0);
}

static int tear_down(void **state)
{
    (void)state;
    return rmdir(parent);
}

static void test_a_second_owner_of_the_directory_is_refused_until_the_first_is_gone(void **state)
{
    struct td_disk first, second;
    (void)state;
    assert_int_equal(td_disk_posix_open(directory, &first, why, sizeof why), TD_OK);
    assert_int_equal(td_disk_posix_open(directory, &second, why, sizeof why), TD_ELOCKED);
    assert_non_null(strstr(why, directory));
    td_disk_posix_close(&first);
    assert_int_equal(td_disk_posix_open(directory, &second, why, sizeof why), TD_OK);
    clean(&second);
}

static void test_a_new_directory_and_its_files_are_for_the_owner_only(void **state)
{
    struct td_disk disk;
    struct stat stat_of;
    char path[128];
    int file;
    (void)state;
    assert_int_equal(td_disk_posix_open(directory, &disk, why, sizeof why), TD_OK);
    assert_int_equal(disk.create(disk.self, "0000000001.seg", &file), TD_OK);
    assert_int_equal(stat(directory, &stat_of), 0);
    assert_int_equal(stat_of.st_mode & 0777, 0700);
    snprintf(path, sizeof path, "%s/0000000001.seg", directory);
    assert_int_equal(stat(path, &stat_of), 0);
    assert_int_equal(stat_of.st_mode & 0777, 0600);
    disk.close(disk.self, file);
    clean(&disk);
}

static void test_bytes_come_back_and_missing_ones_are_told(void **state)
{
    struct td_disk disk;
    uint8_t bytes[8];
    uint64_t size;
    int file, again;
    (void)state;
    assert_int_equal(td_disk_posix_open(directory, &disk, why, sizeof why), TD_OK);
    assert_int_equal(disk.create(disk.self, "a", &file), TD_OK);
    assert_int_equal(disk.create(disk.self, "a", &again), TD_EIO);
    assert_int_equal(
        disk.write_at(disk.self, file, 4, (struct td_bytes){(const uint8_t *)"abcd", 4}), TD_OK);
    assert_int_equal(disk.sync(disk.self, file), TD_OK);
    assert_int_equal(disk.sync_directory(disk.self), TD_OK);
    assert_int_equal(disk.read_at(disk.self, file, 0, bytes, 8), TD_OK);
    assert_memory_equal(bytes, "\0\0\0\0abcd", 8);
    assert_int_equal(disk.read_at(disk.self, file, 1, bytes, 8), TD_ECORRUPT);
    assert_int_equal(disk.reserve(disk.self, file, 4096), TD_OK);
    assert_int_equal(disk.read_at(disk.self, file, 4088, bytes, 8), TD_OK);
    assert_memory_equal(bytes, "\0\0\0\0\0\0\0\0", 8);
    assert_int_equal(disk.truncate(disk.self, file, 5), TD_OK);
    disk.close(disk.self, file);
    assert_int_equal(disk.open(disk.self, "a", &file, &size), TD_OK);
    assert_int_equal(size, 5);
    disk.close(disk.self, file);
    assert_int_equal(disk.open(disk.self, "b", &file, &size), TD_EIO);
    assert_int_equal(disk.remove(disk.self, "b"), TD_EIO);
    clean(&disk);
}

static void test_only_plain_files_are_opened(void **state)
{
    struct td_disk disk;
    char path[128];
    uint64_t size;
    int file;
    (void)state;
    assert_int_equal(td_disk_posix_open(directory, &disk, why, sizeof why), TD_OK);
    snprintf(path, sizeof path, "%s/link", directory);
    assert_int_equal(symlink("/etc/passwd", path), 0);
    assert_int_equal(disk.open(disk.self, "link", &file, &size), TD_EIO);
    snprintf(path, sizeof path, "%s/pipe", directory);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(disk.open(disk.self, "pipe", &file, &size), TD_EIO);
    clean(&disk);
}

static void test_a_path_that_is_no_directory_is_told(void **state)
{
    struct td_disk disk;
    (void)state;
    assert_int_equal(td_disk_posix_open("/dev/null", &disk, why, sizeof why), TD_EIO);
    assert_non_null(strstr(why, "/dev/null"));
    assert_int_equal(td_disk_posix_open("/dev/null/x", &disk, why, sizeof why), TD_EIO);
}

static void test_a_full_device_is_told_as_such(void **state)
{
    struct td_disk disk;
    int file;
    (void)state;
    assert_int_equal(td_disk_posix_open(directory, &disk, why, sizeof why), TD_OK);
    FILE *full = fopen("/dev/full", "w");
    if (full == NULL) {
        clean(&disk);
        skip();
    }
    file = fileno(full);
    assert_int_equal(
        disk.write_at(disk.self, file, 0, (struct td_bytes){(const uint8_t *)"abcd", 4}),
        TD_EDISKFULL);
    fclose(full);
    clean(&disk);
}

/* A process that is killed while it writes: the parent finds all it was told was durable. */
static void test_a_killed_process_loses_nothing_durable(void **state)
{
    static struct kit kit;
    struct td_disk disk;
    int pipe_ends[2];
    uint32_t told = 0, id;
    (void)state;
    assert_int_equal(pipe(pipe_ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (td_disk_posix_open(directory, &disk, why, sizeof why) != TD_OK) {
            _exit(1);
        }
        kit_init(&kit, disk);
        kit.options.segment_bytes = 16384;
        if (kit_open(&kit) != TD_OK) {
            _exit(1);
        }
        for (int i = 0; i < KIT_TICKETS_MAX; i++) {
            id = kit_receive(&kit);
            td_log_work(kit.log, 0);
            if (!kit.done[i].durable || write(pipe_ends[1], &id, sizeof id) != sizeof id) {
                _exit(1);
            }
        }
        pause();
    }
    close(pipe_ends[1]);
    while (told < 200 && read(pipe_ends[0], &id, sizeof id) == sizeof id) {
        told = id;
    }
    kill(child, SIGKILL);
    while (read(pipe_ends[0], &id, sizeof id) == sizeof id) {
        told = id;
    }
    close(pipe_ends[0]);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_true(told >= 200);
    assert_int_equal(td_disk_posix_open(directory, &disk, why, sizeof why), TD_OK);
    kit_init(&kit, disk);
    assert_int_equal(kit_open(&kit), TD_OK);
    assert_true(kit.recovery.batches >= told);
    assert_int_equal(kit.recovery.damaged_records + kit.recovery.missing_segments, 0);
    for (uint32_t i = 0; i < told; i++) {
        assert_int_equal(kit.seen[i].id, i + 1);
    }
    kit_close(&kit);
    clean(&disk);
}

int main(void)
{
#define DISK_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        DISK_TEST(test_a_second_owner_of_the_directory_is_refused_until_the_first_is_gone),
        DISK_TEST(test_a_new_directory_and_its_files_are_for_the_owner_only),
        DISK_TEST(test_bytes_come_back_and_missing_ones_are_told),
        DISK_TEST(test_only_plain_files_are_opened),
        DISK_TEST(test_a_path_that_is_no_directory_is_told),
        DISK_TEST(test_a_full_device_is_told_as_such),
        DISK_TEST(test_a_killed_process_loses_nothing_durable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
