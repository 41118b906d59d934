/* cut.c -- the moment after: of the changes that no flush covered, which ones the disk had. A
 * sector of 512 bytes is whole or not; sectors reach the disk in any order; sizes and directory
 * entries go through a journal (a prefix of them is there) or not (any that do not rest on one
 * another). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster-tests/power/disk.h"
#include "cluster-tests/power/real.h"

enum fate { NOTHING, EVERYTHING, TORN, SECTORS, VERSIONS, STALE, FATE_COUNT };
static const char *const fate_names[] = {"nothing", "everything", "torn",
                                         "sectors", "versions",   "stale"};

struct plan {
    enum fate fate;
    uint64_t salt;
    uint32_t changes;
    uint32_t torn_at;      /* TORN: this change reached the disk in part */
    uint64_t torn_sectors; /* so many of its sectors from its start */
    uint32_t sizes;        /* so many changes of the size are there */
};

static uint64_t mixed(uint64_t x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

/* How many of the changes, in their order, this sector has. */
static uint32_t version_of(const struct plan *plan, const struct power_inode *inode,
                           uint64_t sector)
{
    uint64_t draw = mixed(plan->salt + sector * UINT64_C(0x9e3779b97f4a7c15));
    const struct power_change *torn = &inode->changes[plan->torn_at];
    switch (plan->fate) {
    case NOTHING:
        return 0;
    case TORN:
        return plan->torn_at + (sector < torn->offset / POWER_SECTOR + plan->torn_sectors);
    case SECTORS:
    case STALE:
        return draw % 2 == 0 ? 0 : plan->changes;
    case VERSIONS:
        return (uint32_t)(draw % (plan->changes + 1));
    default:
        return plan->changes;
    }
}

static struct plan plan_for(struct power_disk *disk, const struct power_inode *inode)
{
    struct plan plan = {.fate = (enum fate)power_below(disk, FATE_COUNT),
                        .salt = power_random(disk),
                        .changes = inode->change_count};
    plan.sizes = (uint32_t)power_below(disk, plan.changes + 1);
    if (plan.fate == NOTHING) {
        plan.sizes = 0;
    } else if (plan.fate == EVERYTHING) {
        plan.sizes = plan.changes;
    } else if (plan.fate == TORN) {
        plan.torn_at = (uint32_t)power_below(disk, plan.changes);
        const struct power_change *torn = &inode->changes[plan.torn_at];
        plan.torn_sectors = power_below(disk, torn->count / POWER_SECTOR + 2);
        plan.sizes = plan.torn_at + (power_below(disk, 2) == 0);
    }
    return plan;
}

static void put(const struct power_inode *inode, const uint8_t *bytes, uint64_t count,
                uint64_t offset)
{
    if (real_pwrite(inode->fd, bytes, count, (off_t)offset) != (ssize_t)count) {
        abort();
    }
}

/* What an unwritten sector shows: zeros, or, where room was not reserved, whatever was there
 * before. The worst of that is a piece of the same log. */
static void fill(const struct power_inode *inode, const struct plan *plan, uint8_t *target,
                 uint64_t count, bool reserved, uint64_t sector)
{
    memset(target, 0, count);
    if (plan->fate != STALE || reserved) {
        return;
    }
    uint64_t from = mixed(plan->salt ^ sector) % 4096 / 8 * 8;
    if (sector % 2 == 0 || pread(inode->fd, target, count, (off_t)from) <= 0) {
        for (uint64_t i = 0; i < count; i++) {
            target[i] = (uint8_t)mixed(plan->salt + sector * POWER_SECTOR + i);
        }
    }
}

static bool room_reserved(const struct power_inode *inode, uint32_t before, uint64_t offset)
{
    for (uint32_t i = 0; i < before; i++) {
        if (inode->changes[i].kind == POWER_RESIZE && inode->changes[i].size_after > offset) {
            return true;
        }
    }
    return inode->changes[0].size_before > offset;
}

static void undo_write(const struct power_inode *inode, const struct plan *plan, uint32_t index)
{
    const struct power_change *change = &inode->changes[index];
    uint64_t end = change->offset + change->count;
    for (uint64_t at = change->offset; at < end;) {
        uint64_t sector = at / POWER_SECTOR;
        uint64_t stop = (sector + 1) * POWER_SECTOR < end ? (sector + 1) * POWER_SECTOR : end;
        uint8_t bytes[POWER_SECTOR];
        if (index >= version_of(plan, inode, sector)) {
            fill(inode, plan, bytes, stop - at, room_reserved(inode, index, at), sector);
            if (change->old != NULL && at < change->old_offset + change->old_count) {
                uint64_t left = change->old_offset + change->old_count - at;
                memcpy(bytes, change->old + (at - change->old_offset),
                       left < stop - at ? left : stop - at);
            }
            put(inode, bytes, stop - at, at);
        }
        at = stop;
    }
}

static void cut_file(struct power_disk *disk, struct power_inode *inode, char *ret_word,
                     size_t bytes)
{
    struct plan plan = plan_for(disk, inode);
    uint64_t size =
        plan.sizes == 0 ? inode->changes[0].size_before : inode->changes[plan.sizes - 1].size_after;
    for (uint32_t i = plan.changes; i-- > 0;) {
        const struct power_change *change = &inode->changes[i];
        if (change->kind == POWER_WRITE) {
            undo_write(inode, &plan, i);
        } else if (i >= plan.sizes && change->old != NULL) {
            put(inode, change->old, change->old_count, change->old_offset);
        }
    }
    if (real_ftruncate(inode->fd, (off_t)size) != 0) {
        abort();
    }
    snprintf(ret_word, bytes, " %s=%s:%u:%u:%llu", inode->name, fate_names[plan.fate], plan.changes,
             plan.sizes, (unsigned long long)size);
}

static bool names_meet(const struct power_entry *a, const struct power_entry *b)
{
    return strcmp(a->name, b->name) == 0 || strcmp(a->name, b->target) == 0 ||
           (a->target[0] != '\0' &&
            (strcmp(a->target, b->name) == 0 || strcmp(a->target, b->target) == 0));
}

static void undo_entry(const struct power_disk *disk, const struct power_entry *entry)
{
    char kept[16];
    snprintf(kept, sizeof kept, "%u", entry->kept_number);
    if (entry->kind == POWER_CREATE) {
        (void)real_unlinkat(disk->directory, entry->name, 0);
        return;
    }
    if (entry->kind == POWER_RENAME) {
        (void)real_renameat(disk->directory, entry->target, disk->directory, entry->name);
    }
    if (entry->kept_number != 0) {
        const char *name = entry->kind == POWER_RENAME ? entry->target : entry->name;
        (void)real_linkat(disk->side, kept, disk->directory, name);
    }
}

/* Returns how many changes of the directory are taken back. */
static uint32_t cut_directory(struct power_disk *disk)
{
    uint32_t count = disk->entry_count, undone = 0;
    bool journal = power_below(disk, 4) != 0;
    uint64_t prefix = power_below(disk, (uint64_t)count + 1);
    bool *drop = calloc((size_t)count + 1, sizeof *drop);
    if (drop == NULL) {
        abort();
    }
    for (uint32_t i = 0; i < count; i++) {
        drop[i] = journal ? i >= prefix : power_below(disk, 2) == 0;
        for (uint32_t j = 0; j < i && !drop[i]; j++) {
            drop[i] = drop[j] && names_meet(&disk->entries[j], &disk->entries[i]);
        }
    }
    for (uint32_t i = count; i-- > 0;) {
        if (drop[i]) {
            undo_entry(disk, &disk->entries[i]);
            undone++;
        }
    }
    free(drop);
    return undone;
}

/* A planted error of the disk: one byte that had been flushed is another one. */
static void flip_byte(const struct power_disk *disk, const struct power_inode *inode)
{
    uint8_t byte;
    (void)disk;
    if (inode->changes[0].size_before > 1000 && pread(inode->fd, &byte, 1, 200) == 1) {
        byte ^= 0x10;
        put(inode, &byte, 1, 200);
    }
}

void power_cut(struct power_disk *disk, bool corrupt, char *ret_report, size_t report_bytes)
{
    char word[160];
    ret_report[0] = '\0';
    for (uint32_t i = 0; i < POWER_INODES_MAX && disk->inodes[i].number != 0; i++) {
        struct power_inode *inode = &disk->inodes[i];
        if (inode->change_count == 0) {
            continue;
        }
        cut_file(disk, inode, word, sizeof word);
        if (corrupt) {
            flip_byte(disk, inode);
        }
        if (strlen(ret_report) + strlen(word) + 64 < report_bytes) {
            strcat(ret_report, word);
        }
    }
    uint32_t entries = disk->entry_count;
    snprintf(word, sizeof word, " entries=%u/%u", cut_directory(disk), entries);
    strcat(ret_report, word);
}
