/* key_file.c -- keys as text (tdpk1:, tdsk1:) and the rules under which a key file is trusted. */
#include "proto/sign_sodium.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/assert.h"

#define PUBLIC_PREFIX "tdpk1:"
#define SECRET_PREFIX "tdsk1:"

enum {
    PREFIX_CHARS = sizeof PUBLIC_PREFIX - 1,
    CHECKSUM_BYTES = 4,
    IDENTITY_BYTES = 64,
    PAYLOAD_BYTES_MAX = IDENTITY_BYTES + CHECKSUM_BYTES,
    KEY_FILE_PATH_BYTES_MAX = 4096,
};
static_assert(PREFIX_CHARS + (PAYLOAD_BYTES_MAX * 4 + 2) / 3 < TD_KEY_TEXT_BYTES,
              "a key text fits");

size_t td_base64url_encode(struct td_bytes bytes, char *ret_text, size_t text_bytes)
{
    const int variant = sodium_base64_VARIANT_URLSAFE_NO_PADDING;

    if (bytes.count == 0 || bytes.count > SIZE_MAX / 2 ||
        sodium_base64_encoded_len(bytes.count, variant) > text_bytes) {
        return 0;
    }
    sodium_bin2base64(ret_text, text_bytes, bytes.bytes, bytes.count, variant);
    return strlen(ret_text);
}

size_t td_base64url_decode(const char *text, size_t text_count, uint8_t *ret_bytes,
                           size_t bytes_max)
{
    size_t count = 0;
    const char *end = NULL;

    if (text_count == 0 || sodium_base642bin(ret_bytes, bytes_max, text, text_count, NULL, &count,
                                             &end, sodium_base64_VARIANT_URLSAFE_NO_PADDING) != 0) {
        return 0;
    }
    return end == text + text_count ? count : 0;
}

static void text_checksum(const char *prefix, const uint8_t *payload, size_t count,
                          uint8_t ret_sum[CHECKSUM_BYTES])
{
    crypto_generichash_state state;
    uint8_t hash[32];

    int failed = crypto_generichash_init(&state, NULL, 0, sizeof hash);
    failed |= crypto_generichash_update(&state, (const uint8_t *)prefix, strlen(prefix));
    failed |= crypto_generichash_update(&state, payload, count);
    failed |= crypto_generichash_final(&state, hash, sizeof hash);
    TD_ASSERT(failed == 0);
    memcpy(ret_sum, hash, CHECKSUM_BYTES);
}

static void key_to_text(const char *prefix, const uint8_t *payload, size_t count,
                        char ret_text[TD_KEY_TEXT_BYTES])
{
    uint8_t bytes[PAYLOAD_BYTES_MAX];

    TD_ASSERT(count + CHECKSUM_BYTES <= sizeof bytes);
    memcpy(bytes, payload, count);
    text_checksum(prefix, payload, count, bytes + count);
    memcpy(ret_text, prefix, PREFIX_CHARS);
    size_t written = td_base64url_encode((struct td_bytes){bytes, count + CHECKSUM_BYTES},
                                         ret_text + PREFIX_CHARS, TD_KEY_TEXT_BYTES - PREFIX_CHARS);
    TD_ASSERT(written > 0);
    sodium_memzero(bytes, sizeof bytes);
}

static enum td_err key_from_text(const char *prefix, const char *text, size_t text_count,
                                 uint8_t *ret_payload, size_t count)
{
    uint8_t bytes[PAYLOAD_BYTES_MAX];
    uint8_t sum[CHECKSUM_BYTES];
    enum td_err err = TD_EKEYTEXT;

    if (text_count < PREFIX_CHARS || memcmp(text, prefix, PREFIX_CHARS) != 0) {
        return TD_EKEYTEXT;
    }
    size_t got =
        td_base64url_decode(text + PREFIX_CHARS, text_count - PREFIX_CHARS, bytes, sizeof bytes);
    if (got == count + CHECKSUM_BYTES) {
        text_checksum(prefix, bytes, count, sum);
        if (sodium_memcmp(sum, bytes + count, sizeof sum) == 0) {
            memcpy(ret_payload, bytes, count);
            err = TD_OK;
        }
    }
    sodium_memzero(bytes, sizeof bytes);
    return err;
}

void td_identity_to_text(const struct td_identity *identity, char ret_text[TD_KEY_TEXT_BYTES])
{
    uint8_t payload[IDENTITY_BYTES];

    memcpy(payload, identity->sign_key.bytes, 32);
    memcpy(payload + 32, identity->link_key.bytes, 32);
    key_to_text(PUBLIC_PREFIX, payload, sizeof payload, ret_text);
}

enum td_err td_identity_from_text(const char *text, struct td_identity *ret_identity)
{
    uint8_t payload[IDENTITY_BYTES];
    enum td_err err = key_from_text(PUBLIC_PREFIX, text, strnlen(text, TD_KEY_TEXT_BYTES), payload,
                                    sizeof payload);
    if (err != TD_OK) {
        return err;
    }
    memcpy(ret_identity->sign_key.bytes, payload, 32);
    memcpy(ret_identity->link_key.bytes, payload + 32, 32);
    return TD_OK;
}

/* The folder of path, for its own checks and its fsync. */
static bool folder_of(const char *path, char ret_folder[KEY_FILE_PATH_BYTES_MAX])
{
    const char *slash = strrchr(path, '/');
    size_t count = slash == NULL ? 0 : (size_t)(slash - path);

    if (count >= KEY_FILE_PATH_BYTES_MAX) {
        return false;
    }
    if (slash == NULL) {
        memcpy(ret_folder, ".", 2);
    } else if (count == 0) {
        memcpy(ret_folder, "/", 2);
    } else {
        memcpy(ret_folder, path, count);
        ret_folder[count] = '\0';
    }
    return true;
}

/* Who may write the folder may put another file in our file's place. A sticky folder forbids that.
 */
static enum td_err check_folder(const char *path, char *ret_why, size_t why_bytes)
{
    char folder[KEY_FILE_PATH_BYTES_MAX];
    struct stat status;

    if (!folder_of(path, folder)) {
        snprintf(ret_why, why_bytes, "%s: the path is too long", path);
        return TD_EKEYFILE;
    }
    if (stat(folder, &status) != 0) {
        snprintf(ret_why, why_bytes, "%s: cannot read the folder %s: %s", path, folder,
                 strerror(errno));
        return TD_EKEYFILE;
    }
    if ((status.st_mode & S_IWOTH) != 0 && (status.st_mode & S_ISVTX) == 0) {
        snprintf(ret_why, why_bytes, "%s: others may write the folder %s; run chmod o-w %s", path,
                 folder, folder);
        return TD_EKEYFILE;
    }
    return TD_OK;
}

static enum td_err check_file(const char *path, int fd, char *ret_why, size_t why_bytes)
{
    struct stat status;

    if (fstat(fd, &status) != 0) {
        snprintf(ret_why, why_bytes, "%s: %s", path, strerror(errno));
        return TD_EKEYFILE;
    }
    if (!S_ISREG(status.st_mode)) {
        snprintf(ret_why, why_bytes, "%s: not a regular file", path);
        return TD_EKEYFILE;
    }
    if (status.st_uid != geteuid()) {
        snprintf(ret_why, why_bytes,
                 "%s: owned by uid %lu, but this program runs as uid %lu; run chown", path,
                 (unsigned long)status.st_uid, (unsigned long)geteuid());
        return TD_EKEYFILE;
    }
    if ((status.st_mode & 077) != 0) {
        snprintf(ret_why, why_bytes, "%s: mode %04o lets others %s the key; run chmod 600 %s", path,
                 (unsigned)(status.st_mode & 07777), (status.st_mode & 044) != 0 ? "read" : "touch",
                 path);
        return TD_EKEYFILE;
    }
    return TD_OK;
}

static enum td_err secret_from_line(const char *path, const char *line, size_t count,
                                    struct td_secret **ret_secret, char *ret_why, size_t why_bytes)
{
    uint8_t seed[TD_SEED_BYTES];

    if (count > 0 && line[count - 1] == '\n') {
        count--;
    }
    enum td_err err = key_from_text(SECRET_PREFIX, line, count, seed, sizeof seed);
    if (err != TD_OK) {
        snprintf(ret_why, why_bytes,
                 "%s: not one line of a secret key; it starts with tdsk1: and ends with a checksum",
                 path);
        return TD_EKEYFILE;
    }
    err = td_secret_from_seed(seed, ret_secret);
    sodium_memzero(seed, sizeof seed);
    if (err != TD_OK) {
        snprintf(ret_why, why_bytes, "%s: %s", path, "no memory for the key");
    }
    return err;
}

enum td_err td_key_file_read(const char *path, struct td_secret **ret_secret, char *ret_why,
                             size_t why_bytes)
{
    char line[TD_KEY_TEXT_BYTES];
    enum td_err err = check_folder(path, ret_why, why_bytes);

    if (err != TD_OK) {
        return err;
    }
    /* O_NONBLOCK: a FIFO put in place of the file must not hang the start. */
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) {
        snprintf(ret_why, why_bytes, "%s: %s", path,
                 errno == ELOOP ? "a symbolic link is not followed; name the file itself"
                                : strerror(errno));
        return TD_EKEYFILE;
    }
    err = check_file(path, fd, ret_why, why_bytes);
    if (err == TD_OK) {
        ssize_t count = read(fd, line, sizeof line);
        if (count < 0) {
            snprintf(ret_why, why_bytes, "%s: %s", path, strerror(errno));
            err = TD_EKEYFILE;
        } else {
            err = secret_from_line(path, line, (size_t)count, ret_secret, ret_why, why_bytes);
        }
        sodium_memzero(line, sizeof line);
    }
    close(fd);
    return err;
}

static bool write_all(int fd, const char *text, size_t count)
{
    while (count > 0) {
        ssize_t written = write(fd, text, count);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written <= 0) {
            return false;
        }
        text += written;
        count -= (size_t)written;
    }
    return true;
}

static bool sync_folder(const char *path)
{
    char folder[KEY_FILE_PATH_BYTES_MAX];

    if (!folder_of(path, folder)) {
        return false;
    }
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    bool done = fsync(fd) == 0;
    close(fd);
    return done;
}

static bool write_seed(const char *path, int fd, const uint8_t seed[TD_SEED_BYTES])
{
    char text[TD_KEY_TEXT_BYTES + 1];

    key_to_text(SECRET_PREFIX, seed, TD_SEED_BYTES, text);
    size_t count = strlen(text);
    text[count] = '\n';
    bool done = write_all(fd, text, count + 1) && fsync(fd) == 0 && sync_folder(path);
    sodium_memzero(text, sizeof text);
    return done;
}

enum td_err td_key_file_create(const char *path, struct td_secret **ret_secret, char *ret_why,
                               size_t why_bytes)
{
    uint8_t seed[TD_SEED_BYTES];
    struct td_secret *secret = NULL;
    enum td_err err = check_folder(path, ret_why, why_bytes);

    if (err != TD_OK) {
        return err;
    }
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        const bool exists = errno == EEXIST;
        snprintf(ret_why, why_bytes, "%s: %s", path,
                 exists ? "the file exists already; a key is never overwritten" : strerror(errno));
        return exists ? TD_EEXISTS : TD_EKEYFILE;
    }
    err = td_secret_generate(seed, &secret);
    if (err != TD_OK) {
        snprintf(ret_why, why_bytes, "%s: no memory for a key", path);
    } else if (!write_seed(path, fd, seed)) {
        snprintf(ret_why, why_bytes, "%s: writing failed: %s", path, strerror(errno));
        err = TD_EIO;
    }
    sodium_memzero(seed, sizeof seed);
    if (close(fd) != 0 && err == TD_OK) {
        snprintf(ret_why, why_bytes, "%s: writing failed: %s", path, strerror(errno));
        err = TD_EIO;
    }
    if (err != TD_OK) {
        unlink(path);
        td_secret_free(secret);
        return err;
    }
    *ret_secret = secret;
    return TD_OK;
}
