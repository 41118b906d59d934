/* spool.c -- see spool.h. Everything read back is checked: length first, then the checksum. */
#include "node/client/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/limits.h"
#include "proto/sign_sodium.h"

enum {
    SLOT_BYTES = 64,
    RECORDS_AT = 2 * SLOT_BYTES,
    RECORD_HEAD_BYTES = 4 + 16,
    PAYLOAD_BYTES_MAX = TD_REQUEST_BYTES_MAX + 4096,
};
static const char magic[8] = {'T', 'D', 'S', 'P', 'O', 'O', 'L', '1'};

struct td_spool {
    int fd;
    char *path;
    uint64_t bytes_max;
    uint64_t head;   /* oldest record not acknowledged */
    uint64_t synced; /* end of what is durable */
    uint64_t end;    /* end of what is written */
    uint64_t generation;
    struct td_sodium_signer sodium;
};

static void put_u64(uint8_t *to, uint64_t value)
{
    for (int i = 0; i < 8; i++) {
        to[i] = (uint8_t)(value >> (56 - 8 * i));
    }
}

static uint64_t get_u64(const uint8_t *from)
{
    uint64_t value = 0;
    for (int i = 0; i < 8; i++) {
        value = value << 8 | from[i];
    }
    return value;
}

static void checksum(struct td_spool *spool, struct td_bytes a, struct td_bytes b,
                     uint8_t ret_sum[16])
{
    struct td_signer signer = td_sodium_signer(&spool->sodium);
    signer.checksum(signer.self, a, b, ret_sum);
}

static bool write_all(int fd, const uint8_t *bytes, size_t count, uint64_t at)
{
    while (count > 0) {
        ssize_t done = pwrite(fd, bytes, count, (off_t)at);
        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done <= 0) {
            return false;
        }
        bytes += done;
        count -= (size_t)done;
        at += (uint64_t)done;
    }
    return true;
}

static bool read_all(int fd, uint8_t *bytes, size_t count, uint64_t at)
{
    while (count > 0) {
        ssize_t done = pread(fd, bytes, count, (off_t)at);
        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done <= 0) {
            return false;
        }
        bytes += done;
        count -= (size_t)done;
        at += (uint64_t)done;
    }
    return true;
}

/* The two slots take turns, so that a torn write leaves the other one. */
static bool write_slot(struct td_spool *spool)
{
    uint8_t slot[SLOT_BYTES] = {0};
    spool->generation++;
    memcpy(slot, magic, sizeof magic);
    put_u64(slot + 8, spool->head);
    put_u64(slot + 16, spool->generation);
    checksum(spool, (struct td_bytes){slot, 24}, (struct td_bytes){slot, 0}, slot + 24);
    return write_all(spool->fd, slot, sizeof slot, (spool->generation & 1) * SLOT_BYTES);
}

/* True when at least one slot is valid. */
static bool read_slots(struct td_spool *spool)
{
    bool found = false;
    for (uint64_t i = 0; i < 2; i++) {
        uint8_t slot[SLOT_BYTES];
        uint8_t sum[16];
        if (!read_all(spool->fd, slot, sizeof slot, i * SLOT_BYTES)) {
            continue;
        }
        checksum(spool, (struct td_bytes){slot, 24}, (struct td_bytes){slot, 0}, sum);
        if (memcmp(slot, magic, sizeof magic) != 0 || memcmp(sum, slot + 24, sizeof sum) != 0) {
            continue;
        }
        if (!found || get_u64(slot + 16) > spool->generation) {
            spool->generation = get_u64(slot + 16);
            spool->head = get_u64(slot + 8);
            found = true;
        }
    }
    return found;
}

/* Reads the record at `at`. TD_EUNKNOWN at the very end, TD_ECORRUPT for anything that is not
 * whole. */
static enum td_err read_record(struct td_spool *spool, uint64_t at, uint64_t end,
                               uint8_t **ret_payload, size_t *ret_bytes)
{
    uint8_t head[RECORD_HEAD_BYTES];
    uint8_t sum[16];
    if (at == end) {
        return TD_EUNKNOWN;
    }
    if (end - at < sizeof head || !read_all(spool->fd, head, sizeof head, at)) {
        return TD_ECORRUPT;
    }
    uint32_t bytes =
        (uint32_t)head[0] << 24 | (uint32_t)head[1] << 16 | (uint32_t)head[2] << 8 | head[3];
    if (bytes == 0 || bytes > PAYLOAD_BYTES_MAX || bytes > end - at - sizeof head) {
        return TD_ECORRUPT;
    }
    uint8_t *payload = malloc(bytes);
    if (payload == NULL) {
        return TD_ENOMEM;
    }
    bool ok = read_all(spool->fd, payload, bytes, at + sizeof head);
    checksum(spool, (struct td_bytes){head, 4}, (struct td_bytes){payload, ok ? bytes : 0}, sum);
    if (!ok || memcmp(sum, head + 4, sizeof sum) != 0) {
        free(payload);
        return TD_ECORRUPT;
    }
    *ret_payload = payload;
    *ret_bytes = bytes;
    return TD_OK;
}

/* Copies [at, end) to NAME.damaged: nothing that was once acknowledged to a caller is thrown away
 * unseen. */
static void keep_damaged(struct td_spool *spool, uint64_t at, uint64_t end)
{
    char *name = NULL;
    if (asprintf(&name, "%s.damaged", spool->path) < 0) {
        return;
    }
    int fd = open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    free(name);
    uint8_t block[4096];
    while (fd >= 0 && at < end) {
        size_t count = end - at < sizeof block ? (size_t)(end - at) : sizeof block;
        if (!read_all(spool->fd, block, count, at) || write(fd, block, count) < 0) {
            break;
        }
        at += count;
    }
    if (fd >= 0) {
        (void)fsync(fd);
        (void)close(fd);
    }
}

/* Finds the end of the whole records and cuts what is behind it. */
static enum td_err recover(struct td_spool *spool, uint64_t file_bytes)
{
    if (spool->head < RECORDS_AT || spool->head > file_bytes) {
        spool->head = RECORDS_AT; /* replaying acknowledged reports again is harmless */
    }
    uint64_t at = spool->head;
    for (;;) {
        uint8_t *payload = NULL;
        size_t bytes = 0;
        enum td_err err = read_record(spool, at, file_bytes, &payload, &bytes);
        free(payload);
        if (err == TD_ENOMEM) {
            return err;
        }
        if (err != TD_OK) {
            break;
        }
        at += RECORD_HEAD_BYTES + bytes;
    }
    if (at < file_bytes) {
        keep_damaged(spool, at, file_bytes);
        if (ftruncate(spool->fd, (off_t)at) != 0 || fdatasync(spool->fd) != 0) {
            return TD_EIO;
        }
    }
    spool->end = at;
    spool->synced = at;
    return TD_OK;
}

static enum td_err start_empty(struct td_spool *spool)
{
    spool->head = spool->end = spool->synced = RECORDS_AT;
    if (ftruncate(spool->fd, RECORDS_AT) != 0 || !write_slot(spool) || fsync(spool->fd) != 0) {
        return TD_EIO;
    }
    return TD_OK;
}

/* A file that is not ours is never overwritten: only an empty one or one with our slots is taken.
 */
static enum td_err load(struct td_spool *spool, char *ret_why, size_t why_bytes)
{
    struct stat stat;
    if (flock(spool->fd, LOCK_EX | LOCK_NB) != 0) {
        (void)snprintf(ret_why, why_bytes, "%s is used by another process", spool->path);
        return TD_ELOCKED;
    }
    if (fstat(spool->fd, &stat) != 0 || !S_ISREG(stat.st_mode)) {
        (void)snprintf(ret_why, why_bytes, "%s is not a regular file", spool->path);
        return TD_EIO;
    }
    if (stat.st_size == 0) {
        return start_empty(spool);
    }
    if (!read_slots(spool)) {
        uint8_t start[sizeof magic];
        bool ours =
            read_all(spool->fd, start, sizeof start, 0) && memcmp(start, magic, sizeof magic) == 0;
        bool torn =
            stat.st_size <= RECORDS_AT; /* died while it was created: nothing was in it yet */
        if (!torn || (!ours && stat.st_size > SLOT_BYTES)) {
            (void)snprintf(ret_why, why_bytes, "%s is not a spool file, or its head is damaged",
                           spool->path);
            return TD_ECORRUPT;
        }
        return start_empty(spool);
    }
    return recover(spool, (uint64_t)stat.st_size);
}

enum td_err td_spool_open(const char *path, uint64_t bytes_max, struct td_spool **ret_spool,
                          char *ret_why, size_t why_bytes)
{
    struct td_spool *spool = calloc(1, sizeof *spool);
    if (spool == NULL) {
        return TD_ENOMEM;
    }
    spool->bytes_max = bytes_max;
    spool->path = strdup(path);
    spool->fd = spool->path == NULL
                    ? -1
                    : open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    enum td_err err = TD_OK;
    if (spool->fd < 0) {
        (void)snprintf(ret_why, why_bytes, "cannot open %s: %s", path, strerror(errno));
        err = TD_EIO;
    }
    if (err == TD_OK) {
        err = load(spool, ret_why, why_bytes);
    }
    if (err != TD_OK) {
        td_spool_close(spool);
        return err;
    }
    *ret_spool = spool;
    return TD_OK;
}

void td_spool_close(struct td_spool *spool)
{
    if (spool == NULL) {
        return;
    }
    if (spool->fd >= 0) {
        (void)close(spool->fd);
    }
    free(spool->path);
    free(spool);
}

enum td_err td_spool_append(struct td_spool *spool, struct td_bytes payload)
{
    uint8_t head[RECORD_HEAD_BYTES];
    if (payload.count == 0 || payload.count > PAYLOAD_BYTES_MAX) {
        return TD_ETOOBIG;
    }
    uint64_t after = spool->end + sizeof head + payload.count;
    if (after > spool->bytes_max) {
        return TD_EBUSY;
    }
    for (int i = 0; i < 4; i++) {
        head[i] = (uint8_t)(payload.count >> (24 - 8 * i));
    }
    checksum(spool, (struct td_bytes){head, 4}, payload, head + 4);
    if (!write_all(spool->fd, head, sizeof head, spool->end) ||
        !write_all(spool->fd, payload.bytes, payload.count, spool->end + sizeof head)) {
        return TD_EIO;
    }
    spool->end = after;
    return TD_OK;
}

enum td_err td_spool_sync(struct td_spool *spool)
{
    if (spool->end == spool->synced) {
        return TD_OK;
    }
    if (fdatasync(spool->fd) != 0) {
        spool->end = spool->synced;
        (void)ftruncate(spool->fd, (off_t)spool->end);
        return TD_EIO;
    }
    spool->synced = spool->end;
    return TD_OK;
}

enum td_err td_spool_read(struct td_spool *spool, uint64_t *cursor, uint8_t **ret_take_payload,
                          size_t *ret_bytes)
{
    uint64_t at = *cursor < spool->head ? spool->head : *cursor;
    enum td_err err = read_record(spool, at, spool->synced, ret_take_payload, ret_bytes);
    if (err == TD_OK) {
        *cursor = at + RECORD_HEAD_BYTES + *ret_bytes;
    }
    return err;
}

enum td_err td_spool_release(struct td_spool *spool, uint64_t cursor)
{
    if (cursor <= spool->head) {
        return TD_OK;
    }
    if (cursor >= spool->end) {
        return start_empty(spool);
    }
    /* Not synced: an older head after a crash only repeats reports that are noops by then. */
    spool->head = cursor;
    return write_slot(spool) ? TD_OK : TD_EIO;
}

bool td_spool_empty(const struct td_spool *spool)
{
    return spool->head == spool->end;
}

uint64_t td_spool_bytes(const struct td_spool *spool)
{
    return spool->end - spool->head;
}
