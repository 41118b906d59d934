/* disk_posix.h -- td_disk over one directory. Takes an exclusive lock file in it for its life. */
#ifndef TD_LOG_DISK_POSIX_H
#define TD_LOG_DISK_POSIX_H

#include "node/log/disk.h"

/* Creates the directory (0700) when missing. TD_ELOCKED, TD_EIO; why: one sentence. */
TD_MUST_USE enum td_err td_disk_posix_open(const char *directory, struct td_disk *ret_disk,
                                           char *ret_why, size_t why_bytes);
void td_disk_posix_close(struct td_disk *disk);

#endif
