/* real.h -- the system calls that shim.c stands in front of, past it. */
#ifndef TD_POWER_REAL_H
#define TD_POWER_REAL_H

#include <fcntl.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

static inline int real_openat(int directory, const char *path, int flags, mode_t mode)
{
    return (int)syscall(SYS_openat, directory, path, flags, mode);
}
static inline int real_close(int fd)
{
    return (int)syscall(SYS_close, fd);
}
static inline ssize_t real_write(int fd, const void *bytes, size_t count)
{
    return syscall(SYS_write, fd, bytes, count);
}
static inline ssize_t real_pwrite(int fd, const void *bytes, size_t count, off_t offset)
{
    return syscall(SYS_pwrite64, fd, bytes, count, offset);
}
static inline int real_ftruncate(int fd, off_t size)
{
    return (int)syscall(SYS_ftruncate, fd, size);
}
static inline int real_fallocate(int fd, int mode, off_t offset, off_t count)
{
    return (int)syscall(SYS_fallocate, fd, mode, offset, count);
}
static inline int real_unlinkat(int directory, const char *path, int flags)
{
    return (int)syscall(SYS_unlinkat, directory, path, flags);
}
static inline int real_renameat(int from, const char *path, int to, const char *target)
{
    return (int)syscall(SYS_renameat2, from, path, to, target, 0);
}
static inline int real_linkat(int from, const char *path, int to, const char *target)
{
    return (int)syscall(SYS_linkat, from, path, to, target, 0);
}

#endif
