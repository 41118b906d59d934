/* disk.c -- keeps what is not flushed yet: see disk.h. */
#include "cluster-tests/power/disk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cluster-tests/power/real.h"

/* Nothing here may fail quietly: a lost note would be a cut that is too kind. */
static void *grown(void *block, uint32_t *max, size_t each)
{
    *max = *max == 0 ? 16 : *max * 2;
    block = realloc(block, *max * each);
    if (block == NULL) {
        abort();
    }
    return block;
}

uint64_t power_random(struct power_disk *disk)
{
    disk->random += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 */
    uint64_t x = disk->random;
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

uint64_t power_below(struct power_disk *disk, uint64_t bound)
{
    return bound == 0 ? 0 : power_random(disk) % bound;
}

struct power_inode *power_inode_of(struct power_disk *disk, int fd, const char *name)
{
    struct stat stat;
    if (fstat(fd, &stat) != 0 || !S_ISREG(stat.st_mode)) {
        return NULL;
    }
    struct power_inode *free_one = NULL;
    for (uint32_t i = 0; i < POWER_INODES_MAX; i++) {
        struct power_inode *inode = &disk->inodes[i];
        if (inode->number == stat.st_ino) {
            return inode;
        }
        if (free_one == NULL && inode->number == 0) {
            free_one = inode;
        }
        if (inode->number == 0) {
            break;
        }
    }
    if (free_one == NULL) {
        abort();
    }
    *free_one = (struct power_inode){.number = stat.st_ino, .fd = -1};
    snprintf(free_one->name, sizeof free_one->name, "%s", name);
    return free_one;
}

static uint64_t size_of(int fd)
{
    struct stat stat;
    if (fstat(fd, &stat) != 0) {
        abort();
    }
    return (uint64_t)stat.st_size;
}

static struct power_change *note(struct power_inode *inode, int fd)
{
    if (inode->fd < 0) {
        char path[64];
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        inode->fd = real_openat(AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0);
        if (inode->fd < 0) {
            abort();
        }
    }
    if (inode->change_count == inode->change_max) {
        inode->changes = grown(inode->changes, &inode->change_max, sizeof *inode->changes);
    }
    struct power_change *change = &inode->changes[inode->change_count++];
    *change = (struct power_change){.size_before = size_of(inode->fd)};
    return change;
}

static void keep_old(const struct power_inode *inode, struct power_change *change, uint64_t offset,
                     uint64_t end)
{
    if (end > change->size_before) {
        end = change->size_before;
    }
    if (offset >= end) {
        return;
    }
    change->old = malloc(end - offset);
    change->old_offset = offset;
    change->old_count = end - offset;
    if (change->old == NULL || pread(inode->fd, change->old, change->old_count, (off_t)offset) !=
                                   (ssize_t)change->old_count) {
        abort();
    }
}

void power_note_write(struct power_inode *inode, int fd, uint64_t offset, uint64_t count)
{
    struct power_change *change = note(inode, fd);
    change->kind = POWER_WRITE;
    change->offset = offset;
    change->count = count;
    change->size_after =
        offset + count > change->size_before ? offset + count : change->size_before;
    keep_old(inode, change, offset, offset + count);
}

void power_note_resize(struct power_inode *inode, int fd, uint64_t size)
{
    struct power_change *change = note(inode, fd);
    change->kind = POWER_RESIZE;
    change->size_after = size;
    keep_old(inode, change, size, change->size_before);
}

void power_flushed(struct power_inode *inode, uint32_t count)
{
    if (inode->flush_failed) {
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        free(inode->changes[i].old);
    }
    inode->change_count -= count;
    memmove(inode->changes, inode->changes + count, inode->change_count * sizeof *inode->changes);
    if (inode->change_count == 0 && inode->fd >= 0) {
        (void)real_close(inode->fd);
        inode->fd = -1;
    }
}

static struct power_entry *note_entry(struct power_disk *disk, enum power_entry_kind kind,
                                      const char *name)
{
    if (disk->entry_count == disk->entry_max) {
        disk->entries = grown(disk->entries, &disk->entry_max, sizeof *disk->entries);
    }
    struct power_entry *entry = &disk->entries[disk->entry_count++];
    *entry = (struct power_entry){.kind = kind};
    snprintf(entry->name, sizeof entry->name, "%s", name);
    return entry;
}

/* A second name in the side directory: 0 when the name stands for nothing. */
static uint32_t keep_file(struct power_disk *disk, const char *name)
{
    char kept[16];
    uint32_t number = disk->side_count + 1;
    snprintf(kept, sizeof kept, "%u", number);
    if (real_linkat(disk->directory, name, disk->side, kept) != 0) {
        return 0;
    }
    disk->side_count = number;
    return number;
}

void power_note_create(struct power_disk *disk, const char *name)
{
    (void)note_entry(disk, POWER_CREATE, name);
}

void power_note_unlink(struct power_disk *disk, const char *name)
{
    uint32_t kept = keep_file(disk, name);
    if (kept != 0) {
        note_entry(disk, POWER_UNLINK, name)->kept_number = kept;
    }
}

void power_note_rename(struct power_disk *disk, const char *name, const char *target)
{
    uint32_t kept = keep_file(disk, target);
    struct power_entry *entry = note_entry(disk, POWER_RENAME, name);
    entry->kept_number = kept;
    snprintf(entry->target, sizeof entry->target, "%s", target);
}

void power_directory_flushed(struct power_disk *disk, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (disk->entries[i].kept_number != 0) {
            char kept[16];
            snprintf(kept, sizeof kept, "%u", disk->entries[i].kept_number);
            (void)real_unlinkat(disk->side, kept, 0);
        }
    }
    disk->entry_count -= count;
    memmove(disk->entries, disk->entries + count, disk->entry_count * sizeof *disk->entries);
}
