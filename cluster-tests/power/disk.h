/* disk.h -- what the preloaded library knows of one directory: every change since its last flush,
 * with the bytes it replaced, so that a power cut can take back what a disk need not have kept. The
 * files themselves hold what the process sees, as the kernel's cache would. All of it runs under
 * one lock held by shim.c; only td_power_cut() is called without, in a child of its own (cut.c). */
#ifndef TD_POWER_DISK_H
#define TD_POWER_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { POWER_SECTOR = 512, POWER_NAME_BYTES = 64, POWER_FDS_MAX = 4096, POWER_INODES_MAX = 4096 };

enum power_change_kind { POWER_WRITE, POWER_RESIZE };

/* One change of one file that no successful flush has covered yet. */
struct power_change {
    enum power_change_kind kind;
    uint64_t offset;
    uint64_t count;
    uint64_t size_before;
    uint64_t size_after;
    uint8_t *old; /* bytes that were at old_offset; NULL = there were none */
    uint64_t old_offset;
    uint64_t old_count;
};

struct power_inode {
    uint64_t number;             /* st_ino; 0 = free */
    int fd;                      /* our own descriptor while something is unflushed, else -1 */
    char name[POWER_NAME_BYTES]; /* as opened first, for the report */
    bool flush_failed; /* the kernel dropped the pages: no later flush makes them durable */
    uint32_t change_count, change_max;
    struct power_change *changes;
};

enum power_entry_kind { POWER_CREATE, POWER_UNLINK, POWER_RENAME };

/* One change of the directory that no flush of it has covered yet. */
struct power_entry {
    enum power_entry_kind kind;
    char name[POWER_NAME_BYTES];
    char target[POWER_NAME_BYTES]; /* RENAME */
    uint32_t
        kept_number; /* the removed or replaced file lives on in the side directory; 0 = none */
};

struct power_disk {
    int directory;   /* the watched one */
    int side;        /* keeps removed files until their removal is flushed */
    uint64_t random; /* state of the generator */
    struct power_inode inodes[POWER_INODES_MAX];
    uint32_t entry_count, entry_max;
    struct power_entry *entries;
    uint32_t side_count;
};

uint64_t power_random(struct power_disk *disk);
/* 0..bound-1; 0 for a bound of 0. */
uint64_t power_below(struct power_disk *disk, uint64_t bound);

struct power_inode *power_inode_of(struct power_disk *disk, int fd, const char *name);
/* Call before the change is made. */
void power_note_write(struct power_inode *inode, int fd, uint64_t offset, uint64_t count);
void power_note_resize(struct power_inode *inode, int fd, uint64_t size);
/* The first count changes of the file have reached the disk. */
void power_flushed(struct power_inode *inode, uint32_t count);

void power_note_create(struct power_disk *disk, const char *name);
/* Both keep what the name stood for; call before it is removed or replaced. */
void power_note_unlink(struct power_disk *disk, const char *name);
void power_note_rename(struct power_disk *disk, const char *name, const char *target);
void power_directory_flushed(struct power_disk *disk, uint32_t count);

/* Rewrites the directory into one state that the disk could have been left in; ret_report gets one
 * line on what was kept. */
void power_cut(struct power_disk *disk, bool corrupt, char *ret_report, size_t report_bytes);

#endif
