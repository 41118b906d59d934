/* disk_posix.c -- td_disk over a directory: everything relative to one descriptor of it, so that a
 * renamed or replaced path cannot mix two directories. Handles are file descriptors. */
#include "node/log/disk_posix.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LOCK_NAME "lock"

struct posix_disk {
    int directory;
    int lock;
};

static enum td_err err_of(int number)
{
    return number == ENOSPC || number == EDQUOT || number == EFBIG ? TD_EDISKFULL : TD_EIO;
}

static enum td_err result_of(int status)
{
    return status == 0 ? TD_OK : err_of(errno);
}

static enum td_err posix_list(void *self, bool (*each)(void *context, const char *name),
                              void *context)
{
    struct posix_disk *posix = self;
    int file = openat(posix->directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (file < 0) {
        return TD_EIO;
    }
    DIR *directory = fdopendir(file);
    if (directory == NULL) {
        close(file);
        return TD_EIO;
    }
    for (;;) {
        errno = 0;
        struct dirent *entry = readdir(directory);
        if (entry == NULL) {
            break;
        }
        if (entry->d_name[0] != '.' && !each(context, entry->d_name)) {
            break;
        }
    }
    enum td_err err = errno == 0 ? TD_OK : TD_EIO;
    closedir(directory);
    return err;
}

static enum td_err posix_create(void *self, const char *name, int *ret_file)
{
    struct posix_disk *posix = self;
    int file =
        openat(posix->directory, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (file < 0) {
        return err_of(errno);
    }
    *ret_file = file;
    return TD_OK;
}

static enum td_err posix_open(void *self, const char *name, int *ret_file, uint64_t *ret_size_bytes)
{
    struct posix_disk *posix = self;
    struct stat stat;
    /* NONBLOCK: a pipe under a segment's name must not hang the start. */
    int file = openat(posix->directory, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (file < 0) {
        return err_of(errno);
    }
    if (fstat(file, &stat) != 0 || !S_ISREG(stat.st_mode)) {
        close(file);
        return TD_EIO;
    }
    *ret_file = file;
    *ret_size_bytes = (uint64_t)stat.st_size;
    return TD_OK;
}

static void posix_close(void *self, int file)
{
    (void)self;
    close(file);
}

static enum td_err posix_write_at(void *self, int file, uint64_t offset, struct td_bytes bytes)
{
    (void)self;
    while (bytes.count > 0) {
        ssize_t done = pwrite(file, bytes.bytes, bytes.count, (off_t)offset);
        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done <= 0) {
            return done < 0 ? err_of(errno) : TD_EIO;
        }
        bytes.bytes += done;
        bytes.count -= (size_t)done;
        offset += (uint64_t)done;
    }
    return TD_OK;
}

static enum td_err posix_read_at(void *self, int file, uint64_t offset, void *bytes, size_t count)
{
    uint8_t *target = bytes;

    (void)self;
    while (count > 0) {
        ssize_t done = pread(file, target, count, (off_t)offset);
        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done <= 0) {
            return done < 0 ? TD_EIO : TD_ECORRUPT;
        }
        target += done;
        count -= (size_t)done;
        offset += (uint64_t)done;
    }
    return TD_OK;
}

static enum td_err posix_truncate(void *self, int file, uint64_t size_bytes)
{
    (void)self;
    return result_of(ftruncate(file, (off_t)size_bytes));
}

static enum td_err posix_sync(void *self, int file)
{
    (void)self;
    return result_of(fdatasync(file));
}

static enum td_err posix_sync_directory(void *self)
{
    struct posix_disk *posix = self;
    return result_of(fsync(posix->directory));
}

static enum td_err posix_remove(void *self, const char *name)
{
    struct posix_disk *posix = self;
    return result_of(unlinkat(posix->directory, name, 0));
}

static enum td_err posix_rename(void *self, const char *name, const char *to)
{
    struct posix_disk *posix = self;
    return result_of(renameat(posix->directory, name, posix->directory, to));
}

static enum td_err posix_reserve(void *self, int file, uint64_t size_bytes)
{
    int number;

    (void)self;
    do {
        number = posix_fallocate(file, 0, (off_t)size_bytes);
    } while (number == EINTR);
    return number == 0 ? TD_OK : err_of(number);
}

static uint64_t posix_now_ns(void *self)
{
    struct timespec now;

    (void)self;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

static enum td_err say(enum td_err err, const char *what, const char *directory, char *ret_why,
                       size_t why_bytes)
{
    snprintf(ret_why, why_bytes, "%s %s: %s", what, directory, strerror(errno));
    return err;
}

static enum td_err open_directory(struct posix_disk *posix, const char *path, char *ret_why,
                                  size_t why_bytes)
{
    bool made = mkdir(path, 0700) == 0;
    if (!made && errno != EEXIST) {
        return say(TD_EIO, "cannot create the data directory", path, ret_why, why_bytes);
    }
    posix->directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (posix->directory < 0) {
        return say(TD_EIO, "cannot open the data directory", path, ret_why, why_bytes);
    }
    if (made) {
        int parent = openat(posix->directory, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        bool synced = parent >= 0 && fsync(parent) == 0;
        if (parent >= 0) {
            close(parent);
        }
        if (!synced) {
            return say(TD_EIO, "cannot flush the parent of", path, ret_why, why_bytes);
        }
    }
    return TD_OK;
}

static enum td_err take_lock(struct posix_disk *posix, const char *path, char *ret_why,
                             size_t why_bytes)
{
    posix->lock =
        openat(posix->directory, LOCK_NAME, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (posix->lock < 0) {
        return say(TD_EIO, "cannot open the lock file in", path, ret_why, why_bytes);
    }
    if (flock(posix->lock, LOCK_EX | LOCK_NB) == 0) {
        return TD_OK;
    }
    if (errno == EWOULDBLOCK) {
        snprintf(ret_why, why_bytes, "another process uses the data directory %s", path);
        return TD_ELOCKED;
    }
    return say(TD_EIO, "cannot lock the data directory", path, ret_why, why_bytes);
}

static void posix_free(struct posix_disk *posix)
{
    if (posix->lock >= 0) {
        close(posix->lock);
    }
    if (posix->directory >= 0) {
        close(posix->directory);
    }
    free(posix);
}

enum td_err td_disk_posix_open(const char *directory, struct td_disk *ret_disk, char *ret_why,
                               size_t why_bytes)
{
    struct posix_disk *posix = malloc(sizeof *posix);
    if (posix == NULL) {
        snprintf(ret_why, why_bytes, "out of memory");
        return TD_ENOMEM;
    }
    *posix = (struct posix_disk){-1, -1};
    enum td_err err = open_directory(posix, directory, ret_why, why_bytes);
    if (err == TD_OK) {
        err = take_lock(posix, directory, ret_why, why_bytes);
    }
    if (err != TD_OK) {
        posix_free(posix);
        return err;
    }
    *ret_disk = (struct td_disk){
        .self = posix,
        .list = posix_list,
        .create = posix_create,
        .open = posix_open,
        .close = posix_close,
        .write_at = posix_write_at,
        .read_at = posix_read_at,
        .truncate = posix_truncate,
        .sync = posix_sync,
        .sync_directory = posix_sync_directory,
        .remove = posix_remove,
        .rename = posix_rename,
        .reserve = posix_reserve,
        .now_ns = posix_now_ns,
    };
    return TD_OK;
}

void td_disk_posix_close(struct td_disk *disk)
{
    if (disk->self != NULL) {
        posix_free(disk->self);
        disk->self = NULL;
    }
}
