/* roster_file.c -- reading, signing and replacing roster files. A half-written roster must never be
 * seen, and an unsigned change must never be written. */
#include "node/cli/roster_file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/assert.h"

/* A decoded roster needs more than its bytes: arrays of slices. 64 regions and 4096 clients of the
 * most complicated kind stay below this. */
enum { ARENA_BYTES = 8 * 1024 * 1024 };

static bool verify_nothing(void *self, const struct td_public_key *key, const char *context,
                           struct td_bytes bytes, const struct td_signature *signature)
{
    (void)self;
    (void)key;
    (void)context;
    (void)bytes;
    (void)signature;
    return true;
}

static enum td_err make_room(struct td_roster_file *file)
{
    const struct td_roster *roster = &file->roster;
    struct td_roster_region *regions =
        td_arena_take(&file->arena, roster->region_count + 1u, sizeof *regions);
    struct td_roster_client *clients =
        td_arena_take(&file->arena, roster->client_count + 1u, sizeof *clients);

    if (regions == NULL || clients == NULL) {
        return TD_ENOMEM;
    }
    if (roster->region_count > 0) {
        memcpy(regions, roster->regions, roster->region_count * sizeof *regions);
    }
    if (roster->client_count > 0) {
        memcpy(clients, roster->clients, roster->client_count * sizeof *clients);
    }
    file->regions = regions;
    file->clients = clients;
    file->roster.regions = regions;
    file->roster.clients = clients;
    return TD_OK;
}

static enum td_err take_memory(struct td_roster_file *file)
{
    file->arena_bytes = malloc(ARENA_BYTES);
    file->reader = td_reader_alloc();
    if (file->arena_bytes == NULL || file->reader == NULL) {
        return TD_ENOMEM;
    }
    td_arena_init(&file->arena, file->arena_bytes, ARENA_BYTES);
    return TD_OK;
}

/* file->bytes holds the raw roster. */
static enum td_err decode(struct td_roster_file *file, size_t count, const struct td_identity *root,
                          const char *name, char *ret_why, size_t why_bytes)
{
    static const struct td_identity nobody;
    struct td_sodium_signer sodium = {0};

    enum td_err err = take_memory(file);
    if (err == TD_OK) {
        sodium.cluster =
            root == NULL ? (struct td_cluster_id){{0}} : td_cluster_id_of(&root->sign_key);
        struct td_signer signer = td_sodium_signer(&sodium);
        if (root == NULL) {
            signer.verify = verify_nothing;
        }
        err = td_roster_decode((struct td_bytes){file->bytes, count}, &signer,
                               root == NULL ? &nobody.sign_key : &root->sign_key, file->reader,
                               &file->arena, &file->roster);
        if (err == TD_OK && root != NULL &&
            memcmp(file->roster.cluster.bytes, sodium.cluster.bytes, sizeof sodium.cluster.bytes) !=
                0) {
            err = TD_EFOREIGN;
        }
    }
    if (err == TD_OK) {
        err = make_room(file);
    }
    if (err == TD_EFORMAT || err == TD_ETOOBIG) {
        snprintf(ret_why, why_bytes, "%s: not a roster, or a damaged one (%s)", name,
                 td_err_text(err));
        return TD_EROSTER;
    }
    if (err != TD_OK) {
        snprintf(ret_why, why_bytes, "%s: %s", name,
                 err == TD_EBADSIG ? "not signed by this root key" : td_err_text(err));
    }
    return err;
}

enum td_err td_roster_file_decode(struct td_bytes raw, const struct td_identity *root,
                                  struct td_roster_file *ret_file, char *ret_why, size_t why_bytes)
{
    memset(ret_file, 0, sizeof *ret_file);
    ret_file->bytes = malloc(raw.count + 1);
    if (ret_file->bytes == NULL) {
        snprintf(ret_why, why_bytes, "%s", td_err_text(TD_ENOMEM));
        return TD_ENOMEM;
    }
    if (raw.count > 0) {
        memcpy(ret_file->bytes, raw.bytes, raw.count);
    }
    return decode(ret_file, raw.count, root, "roster", ret_why, why_bytes);
}

static enum td_err read_whole(const char *path, uint8_t *bytes, size_t bytes_max, size_t *ret_count,
                              char *ret_why, size_t why_bytes)
{
    size_t count = 0;
    ssize_t got = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0) {
        snprintf(ret_why, why_bytes, "%s: %s", path, strerror(errno));
        return TD_EIO;
    }
    while (count < bytes_max && (got = read(fd, bytes + count, bytes_max - count)) > 0) {
        count += (size_t)got;
    }
    int read_errno = errno;
    close(fd);
    if (got < 0) {
        snprintf(ret_why, why_bytes, "%s: %s", path, strerror(read_errno));
        return TD_EIO;
    }
    if (count == bytes_max) {
        snprintf(ret_why, why_bytes, "%s: larger than a roster can be", path);
        return TD_ETOOBIG;
    }
    *ret_count = count;
    return TD_OK;
}

enum td_err td_roster_file_read(const char *path, const struct td_identity *root,
                                struct td_roster_file *ret_file, char *ret_why, size_t why_bytes)
{
    size_t count = 0;

    memset(ret_file, 0, sizeof *ret_file);
    ret_file->bytes = malloc(TD_ROSTER_BYTES_MAX + 1);
    if (ret_file->bytes == NULL) {
        snprintf(ret_why, why_bytes, "%s", td_err_text(TD_ENOMEM));
        return TD_ENOMEM;
    }
    enum td_err err =
        read_whole(path, ret_file->bytes, TD_ROSTER_BYTES_MAX + 1, &count, ret_why, why_bytes);
    return err != TD_OK ? err : decode(ret_file, count, root, path, ret_why, why_bytes);
}

enum td_err td_roster_file_create(struct td_text cluster_name, struct td_roster_file *ret_file)
{
    memset(ret_file, 0, sizeof *ret_file);
    enum td_err err = take_memory(ret_file);
    if (err == TD_OK) {
        ret_file->roster.cluster_name = cluster_name;
        err = make_room(ret_file);
    }
    return err;
}

void td_roster_file_release(struct td_roster_file *file)
{
    td_reader_free(file->reader);
    free(file->arena_bytes);
    free(file->bytes);
    memset(file, 0, sizeof *file);
}

enum td_err td_roster_file_sign(struct td_roster_file *file, const struct td_secret *root,
                                uint64_t now_ms, struct td_bytes *ret_raw, char *ret_why,
                                size_t why_bytes)
{
    const struct td_identity *identity = td_secret_identity(root);
    struct td_sodium_signer sodium = {root, td_cluster_id_of(&identity->sign_key)};
    struct td_signer signer = td_sodium_signer(&sodium);
    struct td_roster *roster = &file->roster;
    struct td_roster_file check = {0};

    roster->cluster = sodium.cluster;
    roster->previous = roster->hash;
    roster->version++;
    /* A roster issued before its predecessor would say nothing about time. */
    roster->issued_ms = now_ms > roster->issued_ms ? now_ms : roster->issued_ms;
    uint8_t *bytes = malloc(TD_ROSTER_BYTES_MAX);
    size_t count =
        bytes == NULL ? 0 : td_roster_encode(roster, &signer, bytes, TD_ROSTER_BYTES_MAX);
    enum td_err err = bytes == NULL ? TD_ENOMEM : TD_ETOOBIG;
    if (count == 0) {
        free(bytes);
        snprintf(ret_why, why_bytes, "%s; a roster has at most %d bytes", td_err_text(err),
                 TD_ROSTER_BYTES_MAX);
        return err;
    }
    err = td_roster_file_decode((struct td_bytes){bytes, count}, identity, &check, ret_why,
                                why_bytes);
    td_roster_file_release(&check);
    if (err != TD_OK) {
        free(bytes);
        return err;
    }
    *ret_raw = (struct td_bytes){bytes, count};
    return TD_OK;
}

static enum td_err write_synced(int fd, struct td_bytes content)
{
    size_t done = 0;

    while (done < content.count) {
        ssize_t wrote = write(fd, content.bytes + done, content.count - done);
        if (wrote < 0 && errno == EINTR) {
            continue;
        }
        if (wrote <= 0) {
            return TD_EIO;
        }
        done += (size_t)wrote;
    }
    return fsync(fd) == 0 ? TD_OK : TD_EIO;
}

static enum td_err sync_directory_of(const char *path)
{
    char copy[4096];

    snprintf(copy, sizeof copy, "%s", path);
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return TD_EIO;
    }
    int result = fsync(fd);
    close(fd);
    return result == 0 ? TD_OK : TD_EIO;
}

/* link() fails when the target exists, rename() replaces it: both in one step. */
static enum td_err put_in_place(const char *temporary, const char *path, bool exclusive)
{
    int result = exclusive ? link(temporary, path) : rename(temporary, path);
    int link_errno = errno;

    if (exclusive || result != 0) {
        unlink(temporary);
    }
    errno = link_errno;
    return result == 0 ? sync_directory_of(path) : TD_EIO;
}

enum td_err td_file_replace(const char *path, struct td_bytes content, bool exclusive,
                            char *ret_why, size_t why_bytes)
{
    char temporary[4096];

    if ((size_t)snprintf(temporary, sizeof temporary, "%s.XXXXXX", path) >= sizeof temporary) {
        snprintf(ret_why, why_bytes, "%s: the path is too long", path);
        return TD_EIO;
    }
    int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0) {
        snprintf(ret_why, why_bytes, "%s: %s", path, strerror(errno));
        return TD_EIO;
    }
    /* A roster is public: everything in it is signed and nothing in it is secret. */
    enum td_err err = fchmod(fd, 0644) == 0 ? write_synced(fd, content) : TD_EIO;
    if (close(fd) != 0 && err == TD_OK) {
        err = TD_EIO;
    }
    if (err == TD_OK) {
        err = put_in_place(temporary, path, exclusive);
    } else {
        int write_errno = errno;
        unlink(temporary);
        errno = write_errno;
    }
    if (err != TD_OK && exclusive && errno == EEXIST) {
        snprintf(ret_why, why_bytes,
                 "%s: the file exists already; remove it first, or choose another name", path);
        return TD_EEXISTS;
    }
    if (err != TD_OK) {
        snprintf(ret_why, why_bytes, "%s: %s", path, strerror(errno));
    }
    return err;
}

enum td_err td_roster_file_card(struct td_roster_file *file, const struct td_secret *root,
                                struct td_region region, uint16_t key_number,
                                const struct td_identity *identity, uint64_t version, struct td_bytes *ret_card)
{
    const struct td_identity *root_identity = td_secret_identity(root);
    struct td_sodium_signer sodium = {root, td_cluster_id_of(&root_identity->sign_key)};
    struct td_signer signer = td_sodium_signer(&sodium);
    struct td_card card = {
        .cluster = sodium.cluster,
        .region = region,
        .key_number = key_number,
        .sign_key = identity->sign_key,
        .link_key = identity->link_key,
        .roster_version = version,
    };
    uint8_t *bytes = td_arena_take(&file->arena, 1, TD_CARD_BYTES_MAX);

    if (bytes == NULL) {
        return TD_ENOMEM;
    }
    size_t count = td_card_encode(&card, &signer, bytes, TD_CARD_BYTES_MAX);
    TD_ASSERT(count > 0);
    *ret_card = (struct td_bytes){bytes, count};
    return TD_OK;
}

static uint64_t add_capped(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

struct td_quota_sum td_roster_quotas(const struct td_roster *roster)
{
    struct td_quota_sum sum = {
        .registers_max = roster->policy.registers_max,
        .bytes_max = roster->policy.bytes_max,
    };

    if (sum.registers_max == 0) {
        sum.registers_max = 8 * TD_QUOTA_REGISTERS_DEFAULT;
    }
    if (sum.bytes_max == 0) {
        sum.bytes_max = 8 * TD_QUOTA_BYTES_DEFAULT;
    }
    for (uint32_t i = 0; i < roster->region_count; i++) {
        if (roster->regions[i].state != TD_REGION_CLOSED) {
            sum.registers = add_capped(sum.registers, roster->regions[i].quota_registers);
            sum.bytes = add_capped(sum.bytes, roster->regions[i].quota_bytes);
        }
    }
    return sum;
}
