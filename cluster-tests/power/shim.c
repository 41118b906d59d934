/* shim.c -- preloaded into tidingsd: the calls with which it changes one directory, so that the
 * power can fail at any of them. Flushes do not reach the kernel: a killed process loses none of
 * its cache; they last a drawn time and then count, unless the power fails meanwhile.
 *
 *   TIDINGS_POWER_DIR     the directory, as the process names it; nothing set = nothing is done
 *   TIDINGS_POWER_SIDE    an empty directory of the same file system, for removed files
 *   TIDINGS_POWER_SEED    draws everything
 *   TIDINGS_POWER_CONTROL descriptor to read from: struct power_order (order.h)
 *   TIDINGS_POWER_REPORT  descriptor to write one line to when the directory is as the cut left it
 *   TIDINGS_POWER_AT      the power fails at this call; 0 = not by itself
 *   TIDINGS_POWER_SKIP    ... counted from this created file on
 *   TIDINGS_POWER_FLUSH_US  longest flush, 300
 *   TIDINGS_POWER_PLANT   lie = flushes count for nothing; flip = a flushed byte changes. Tests of
 * the harness: both must be noticed. */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "cluster-tests/power/disk.h"
#include "cluster-tests/power/order.h"
#include "cluster-tests/power/real.h"

#define SHOWN __attribute__((visibility("default")))

enum fd_kind { FD_OTHER, FD_FILE, FD_DIRECTORY };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct power_disk disk;
static const char *watched;
static size_t watched_bytes;
static int control = -1, report = -1;
static uint64_t cut_at, skip_creates, calls, creates, flush_us = 300, fail_permille;
static bool lie, corrupt;
static uint8_t kinds[POWER_FDS_MAX];
static struct power_inode *inode_of_fd[POWER_FDS_MAX];

/* ---- the cut ---- */

/* In a child, so that nothing of the daemon's runs on over files that are being changed back. */
static void rewrite_and_report(int parent_gone)
{
    char line[1024], byte;
    while (read(parent_gone, &byte, 1) > 0 || errno == EINTR) {
        errno = 0;
    }
    int used = snprintf(line, sizeof line, "cut call=%llu", (unsigned long long)calls);
    power_cut(&disk, corrupt, line + used, sizeof line - (size_t)used - 2);
    strcat(line, "\n");
    (void)!real_write(report, line, strlen(line));
    _exit(0);
}

/* Does not return. The lock is held: no other thread changes a file any more. */
static void power_fails(void)
{
    int gone[2];
    if (pipe(gone) != 0) {
        abort();
    }
    pid_t child = fork();
    if (child == 0) {
        /* Everything of the parent's but what is needed: its sockets and its lock end with it. */
        for (int fd = 3; fd < POWER_FDS_MAX; fd++) {
            bool needed = fd == gone[0] || fd == report || fd == disk.directory || fd == disk.side;
            for (uint32_t i = 0; !needed && i < POWER_INODES_MAX && disk.inodes[i].number != 0;
                 i++) {
                needed = disk.inodes[i].fd == fd;
            }
            if (!needed) {
                (void)real_close(fd);
            }
        }
        rewrite_and_report(gone[0]);
    }
    if (child < 0) {
        abort();
    }
    for (;;) {
        kill(getpid(), SIGKILL);
    }
}

static void *await_control(void *unused)
{
    struct power_order order;
    (void)unused;
    for (;;) {
        ssize_t count = read(control, &order, sizeof order); /* written whole: a small pipe write */
        if (count != (ssize_t)sizeof order) {
            if (count < 0 && errno == EINTR) {
                continue;
            }
            return NULL;
        }
        pthread_mutex_lock(&lock);
        if (order.what == POWER_CUT_NOW) {
            power_fails();
        } else if (order.what == POWER_CUT_AFTER) {
            cut_at = calls + order.number;
        } else {
            fail_permille = order.number;
        }
        pthread_mutex_unlock(&lock);
    }
}

static uint64_t number_of(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text != NULL ? strtoull(text, NULL, 10) : otherwise;
}

__attribute__((constructor)) static void start(void)
{
    pthread_t thread;
    const char *side = getenv("TIDINGS_POWER_SIDE"), *plant = getenv("TIDINGS_POWER_PLANT");
    watched = getenv("TIDINGS_POWER_DIR");
    if (watched == NULL) {
        return;
    }
    watched_bytes = strlen(watched);
    disk.directory = real_openat(AT_FDCWD, watched, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    disk.side =
        side == NULL ? -1 : real_openat(AT_FDCWD, side, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    disk.random = number_of("TIDINGS_POWER_SEED", 1);
    control = (int)number_of("TIDINGS_POWER_CONTROL", 0);
    report = (int)number_of("TIDINGS_POWER_REPORT", 2);
    cut_at = number_of("TIDINGS_POWER_AT", 0);
    skip_creates = number_of("TIDINGS_POWER_SKIP", 0);
    flush_us = number_of("TIDINGS_POWER_FLUSH_US", flush_us);
    lie = plant != NULL && strcmp(plant, "lie") == 0;
    corrupt = plant != NULL && strcmp(plant, "flip") == 0;
    if (disk.directory < 0 || disk.side < 0 ||
        (control > 0 && pthread_create(&thread, NULL, await_control, NULL) != 0)) {
        fprintf(stderr, "tidings-power: cannot watch %s\n", watched);
        abort();
    }
}

/* ---- what every call does ---- */

static enum fd_kind kind_of(int fd)
{
    return fd >= 0 && fd < POWER_FDS_MAX ? (enum fd_kind)kinds[fd] : FD_OTHER;
}

/* Counts a call; the power may fail here. With the lock held. */
static void at_call(void)
{
    if (creates >= skip_creates && ++calls == cut_at) {
        power_fails();
    }
}

static bool shall_fail(void)
{
    if (fail_permille == 0 || power_below(&disk, 1000) >= fail_permille) {
        return false;
    }
    errno = power_below(&disk, 2) == 0 ? EIO : ENOSPC;
    return true;
}

/* The name inside the watched directory, or NULL. */
static const char *name_in(int directory, const char *path)
{
    if (watched == NULL) {
        return NULL;
    }
    if (path[0] != '/' && kind_of(directory) == FD_DIRECTORY) {
        return strchr(path, '/') == NULL && path[0] != '.' ? path : NULL;
    }
    bool below = strncmp(path, watched, watched_bytes) == 0 && path[watched_bytes] == '/';
    return below && strchr(path + watched_bytes + 1, '/') == NULL ? path + watched_bytes + 1 : NULL;
}

static void remember(int fd, const char *name, bool made)
{
    struct stat stat, directory;
    if (fd < 0 || fd >= POWER_FDS_MAX || watched == NULL || fstat(fd, &stat) != 0) {
        return;
    }
    kinds[fd] = FD_OTHER;
    if (S_ISDIR(stat.st_mode)) {
        bool ours = fstat(disk.directory, &directory) == 0 && directory.st_ino == stat.st_ino &&
                    directory.st_dev == stat.st_dev;
        kinds[fd] = ours ? FD_DIRECTORY : FD_OTHER;
    } else if (name != NULL && S_ISREG(stat.st_mode)) {
        inode_of_fd[fd] = power_inode_of(&disk, fd, name);
        kinds[fd] = inode_of_fd[fd] != NULL ? FD_FILE : FD_OTHER;
        if (made && inode_of_fd[fd] != NULL) { /* the number of an older file, used again */
            inode_of_fd[fd]->flush_failed = false;
            snprintf(inode_of_fd[fd]->name, sizeof inode_of_fd[fd]->name, "%s", name);
        }
    }
}

static int open_watched(int directory, const char *path, const char *name, int flags, mode_t mode)
{
    struct stat stat;
    bool made = false;
    bool there = fstatat(disk.directory, name, &stat, AT_SYMLINK_NOFOLLOW) == 0;
    if ((flags & O_CREAT) != 0 && !there) {
        if (shall_fail()) {
            return -1;
        }
        at_call();
        power_note_create(&disk, name);
        creates++;
        made = true;
    }
    int fd = real_openat(directory, path, flags & ~O_TRUNC, mode);
    int number = errno;
    remember(fd, name, made);
    if (fd >= 0 && (flags & O_TRUNC) != 0 && there && kind_of(fd) == FD_FILE) {
        at_call();
        power_note_resize(inode_of_fd[fd], fd, 0);
        (void)!real_ftruncate(fd, 0);
    }
    if (made) {
        at_call();
    }
    errno = number;
    return fd;
}

static int open_any(int directory, const char *path, int flags, mode_t mode)
{
    if (watched == NULL) {
        return real_openat(directory, path, flags, mode);
    }
    pthread_mutex_lock(&lock);
    const char *name = name_in(directory, path);
    bool changes = (flags & O_ACCMODE) != O_RDONLY;
    int fd = -1;
    if (name != NULL && changes) {
        fd = open_watched(directory, path, name, flags, mode);
    } else {
        fd = real_openat(directory, path, flags, mode);
        remember(fd, NULL, false);
    }
    pthread_mutex_unlock(&lock);
    return fd;
}

static ssize_t write_watched(int fd, const void *bytes, size_t count, off_t offset)
{
    pthread_mutex_lock(&lock);
    if (shall_fail()) {
        if (count < 2 || power_below(&disk, 2) == 0) {
            pthread_mutex_unlock(&lock);
            return -1;
        }
        count = 1 + power_below(&disk, count - 1); /* a short write; the rest is tried again */
    }
    at_call();
    power_note_write(inode_of_fd[fd], fd, (uint64_t)offset, count);
    ssize_t done = real_pwrite(fd, bytes, count, offset);
    at_call();
    pthread_mutex_unlock(&lock);
    return done;
}

static int resize_watched(int fd, off_t size, bool reserve)
{
    struct stat stat;
    pthread_mutex_lock(&lock);
    if (shall_fail()) {
        pthread_mutex_unlock(&lock);
        return -1;
    }
    at_call();
    int status = fstat(fd, &stat);
    if (status == 0 && (!reserve || stat.st_size < size)) {
        power_note_resize(inode_of_fd[fd], fd, (uint64_t)size);
    }
    if (status == 0) {
        status = reserve ? real_fallocate(fd, 0, 0, size) : real_ftruncate(fd, size);
    }
    at_call();
    pthread_mutex_unlock(&lock);
    return status;
}

static void wait_for_disk(void)
{
    struct timespec time = {0, (long)power_below(&disk, flush_us * 1000 + 1)};
    pthread_mutex_unlock(&lock);
    (void)nanosleep(&time, NULL);
    pthread_mutex_lock(&lock);
}

/* What was changed before the call began is there when it returns. */
static int flush_watched(int fd, enum fd_kind kind)
{
    int status = 0;
    pthread_mutex_lock(&lock);
    struct power_inode *inode = kind == FD_FILE ? inode_of_fd[fd] : NULL;
    uint32_t count = inode != NULL ? inode->change_count : disk.entry_count;
    at_call();
    wait_for_disk();
    if (shall_fail()) {
        errno = EIO;
        status = -1;
        if (inode != NULL) {
            inode->flush_failed = true;
        }
    } else if (!lie && inode != NULL) {
        power_flushed(inode, count);
    } else if (!lie) {
        power_directory_flushed(&disk, count);
    }
    at_call();
    pthread_mutex_unlock(&lock);
    return status;
}

/* ---- the calls ---- */

SHOWN int openat(int directory, const char *path, int flags, ...)
{
    va_list list;
    va_start(list, flags);
    mode_t mode = (flags & (O_CREAT | __O_TMPFILE)) != 0 ? (mode_t)va_arg(list, unsigned) : 0;
    va_end(list);
    return open_any(directory, path, flags, mode);
}

SHOWN int open(const char *path, int flags, ...)
{
    va_list list;
    va_start(list, flags);
    mode_t mode = (flags & (O_CREAT | __O_TMPFILE)) != 0 ? (mode_t)va_arg(list, unsigned) : 0;
    va_end(list);
    return open_any(AT_FDCWD, path, flags, mode);
}

int power_open_2(const char *path, int flags) __asm__("__open_2") SHOWN;
int power_open_2(const char *path, int flags)
{
    return open_any(AT_FDCWD, path, flags, 0);
}
int power_openat_2(int directory, const char *path, int flags) __asm__("__openat_2") SHOWN;
int power_openat_2(int directory, const char *path, int flags)
{
    return open_any(directory, path, flags, 0);
}

SHOWN int close(int fd)
{
    if (watched != NULL && fd >= 0 && fd < POWER_FDS_MAX) {
        kinds[fd] = FD_OTHER;
    }
    return real_close(fd);
}

SHOWN ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset)
{
    return kind_of(fd) == FD_FILE ? write_watched(fd, bytes, count, offset)
                                  : real_pwrite(fd, bytes, count, offset);
}

SHOWN ssize_t write(int fd, const void *bytes, size_t count)
{
    if (kind_of(fd) != FD_FILE) {
        return real_write(fd, bytes, count);
    }
    ssize_t done = write_watched(fd, bytes, count, lseek(fd, 0, SEEK_CUR));
    if (done > 0) {
        (void)lseek(fd, done, SEEK_CUR);
    }
    return done;
}

SHOWN int ftruncate(int fd, off_t size)
{
    return kind_of(fd) == FD_FILE ? resize_watched(fd, size, false) : real_ftruncate(fd, size);
}

SHOWN int posix_fallocate(int fd, off_t offset, off_t count)
{
    int status = kind_of(fd) == FD_FILE ? resize_watched(fd, offset + count, true)
                                        : real_fallocate(fd, 0, offset, count);
    return status == 0 ? 0 : errno;
}

SHOWN int fsync(int fd)
{
    enum fd_kind kind = kind_of(fd);
    return kind == FD_OTHER ? (int)syscall(SYS_fsync, fd) : flush_watched(fd, kind);
}

SHOWN int fdatasync(int fd)
{
    enum fd_kind kind = kind_of(fd);
    return kind == FD_OTHER ? (int)syscall(SYS_fdatasync, fd) : flush_watched(fd, kind);
}

SHOWN int unlinkat(int directory, const char *path, int flags)
{
    struct stat stat;
    const char *name = name_in(directory, path);
    if (name == NULL || fstatat(disk.directory, name, &stat, AT_SYMLINK_NOFOLLOW) != 0 ||
        !S_ISREG(stat.st_mode)) { /* a socket is nobody's data */
        return real_unlinkat(directory, path, flags);
    }
    pthread_mutex_lock(&lock);
    int status = -1;
    if (!shall_fail()) {
        at_call();
        power_note_unlink(&disk, name);
        status = real_unlinkat(directory, path, flags);
        at_call();
    }
    pthread_mutex_unlock(&lock);
    return status;
}

SHOWN int unlink(const char *path)
{
    return unlinkat(AT_FDCWD, path, 0);
}

SHOWN int renameat(int directory, const char *path, int target_directory, const char *target)
{
    const char *name = name_in(directory, path), *to = name_in(target_directory, target);
    if (name == NULL || to == NULL) {
        return real_renameat(directory, path, target_directory, target);
    }
    pthread_mutex_lock(&lock);
    at_call();
    power_note_rename(&disk, name, to);
    int status = real_renameat(directory, path, target_directory, target);
    at_call();
    pthread_mutex_unlock(&lock);
    return status;
}

SHOWN int rename(const char *path, const char *target)
{
    return renameat(AT_FDCWD, path, AT_FDCWD, target);
}

/* The names under which programs built for 64-bit offsets call the same functions. */
#define SAME_AS(name) __attribute__((alias(name))) SHOWN
int open64(const char *path, int flags, ...) SAME_AS("open");
int openat64(int directory, const char *path, int flags, ...) SAME_AS("openat");
ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t offset) SAME_AS("pwrite");
int ftruncate64(int fd, off64_t size) SAME_AS("ftruncate");
int posix_fallocate64(int fd, off64_t offset, off64_t count) SAME_AS("posix_fallocate");
