/* disk.h -- the only door of the log to a disk. disk_posix.c is the real one; the simulator has its
 * own. Every call may fail with TD_EIO or TD_EDISKFULL; handles are small integers owned by the disk.
 * Called on the log's thread, except open, close, read_at and now_ns, which any thread may call. */
#ifndef TD_LOG_DISK_H
#define TD_LOG_DISK_H

#include "proto/err.h"
#include "proto/types.h"

struct td_disk {
    void *self;
    /* Names of plain files in the directory, any order. each() returns false to stop. */
    enum td_err (*list)(void *self, bool (*each)(void *context, const char *name), void *context);
    /* Creates exclusively; the name is durable only after sync_directory. */
    enum td_err (*create)(void *self, const char *name, int *ret_file);
    enum td_err (*open)(void *self, const char *name, int *ret_file, uint64_t *ret_size_bytes);
    void (*close)(void *self, int file);
    enum td_err (*write_at)(void *self, int file, uint64_t offset, struct td_bytes bytes);
    /* Reads exactly count bytes; TD_ECORRUPT when the file is shorter. */
    enum td_err (*read_at)(void *self, int file, uint64_t offset, void *bytes, size_t count);
    enum td_err (*truncate)(void *self, int file, uint64_t size_bytes);
    enum td_err (*sync)(void *self, int file); /* fdatasync */
    enum td_err (*sync_directory)(void *self);
    enum td_err (*remove)(void *self, const char *name);
    /* In place of a file of that name, if there is one; open handles stay good. As a whole or not at
     * all, also after a crash; durable only after sync_directory. */
    enum td_err (*rename)(void *self, const char *name, const char *to);
    /* Reserves room so that appends do not extend the file; best effort. */
    enum td_err (*reserve)(void *self, int file, uint64_t size_bytes);
    /* Monotonic time for statistics only, it decides nothing; NULL = times are not measured. */
    uint64_t (*now_ns)(void *self);
};

#endif
