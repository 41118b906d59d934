/* archive.c -- see archive.h. The plain ustar form, which everything can read. */
#include "node/cli/archive.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>
#include <zlib.h>

enum { BLOCK_BYTES = 512, NAME_BYTES = 100, END_BLOCKS = 2 };
#define REDACTED "[redacted]"

struct td_archive {
    gzFile file;
    uint64_t now_s;
    bool failed;
};

struct td_archive *td_archive_create(const char *path, uint64_t now_s)
{
    struct td_archive *archive = calloc(1, sizeof *archive);
    int file = archive == NULL
                   ? -1
                   : open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (file < 0) {
        free(archive);
        return NULL;
    }
    archive->now_s = now_s;
    archive->file = gzdopen(file, "wb9");
    if (archive->file == NULL) {
        close(file);
        free(archive);
        errno = ENOMEM;
        return NULL;
    }
    return archive;
}

static void write_bytes(struct td_archive *archive, const void *bytes, size_t count)
{
    if (count > 0 && gzwrite(archive->file, bytes, (unsigned)count) != (int)count) {
        archive->failed = true;
    }
}

/* Fields of the header by their offsets in POSIX.1-1988; numbers are octal text. */
static void write_header(struct td_archive *archive, const char *name, size_t bytes)
{
    char block[BLOCK_BYTES] = {0};
    char number[32];
    unsigned sum = 0;

    snprintf(block, NAME_BYTES, "%s", name);
    memcpy(block + 100, "0000600", 8);
    memcpy(block + 108, "0000000", 8);
    memcpy(block + 116, "0000000", 8);
    snprintf(number, sizeof number, "%011zo", bytes & 077777777777);
    memcpy(block + 124, number, 12);
    snprintf(number, sizeof number, "%011llo", (unsigned long long)archive->now_s & 077777777777);
    memcpy(block + 136, number, 12);
    memset(block + 148, ' ', 8);
    block[156] = '0';
    memcpy(block + 257, "ustar\00000", 8);
    for (size_t i = 0; i < sizeof block; i++) {
        sum += (unsigned char)block[i];
    }
    snprintf(number, sizeof number, "%06o", sum & 0777777);
    memcpy(block + 148, number, 7);
    write_bytes(archive, block, sizeof block);
}

void td_archive_add(struct td_archive *archive, const char *name, const char *text)
{
    static const char zeros[BLOCK_BYTES];
    size_t bytes = strlen(text);
    size_t rest = bytes % BLOCK_BYTES;

    write_header(archive, name, bytes);
    write_bytes(archive, text, bytes);
    write_bytes(archive, zeros, rest == 0 ? 0 : BLOCK_BYTES - rest);
}

bool td_archive_close(struct td_archive *archive)
{
    static const char zeros[BLOCK_BYTES * END_BLOCKS];

    write_bytes(archive, zeros, sizeof zeros);
    bool good = !archive->failed;
    if (gzclose(archive->file) != Z_OK) {
        good = false;
    }
    free(archive);
    errno = good ? 0 : EIO;
    return good;
}

/* ---- redaction ---- */

static bool key_character(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '-';
}

/* "…password: value" or "\"token\":\"value\"": how many bytes up to the value; 0 = no such key
 * here. */
static size_t secret_key_at(const char *text)
{
    static const char *const names[] = {"password", "passwd", "secret", "token", "authorization"};
    size_t at = 0;

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strncasecmp(text, names[i], strlen(names[i])) == 0) {
            at = strlen(names[i]);
        }
    }
    if (at == 0) {
        return 0;
    }
    at += text[at] == '"';
    at += strspn(text + at, " ");
    if (text[at] != ':' && text[at] != '=') {
        return 0;
    }
    at++;
    at += strspn(text + at, " ");
    return at + (text[at] == '"');
}

/* Bytes of the value that begins here. */
static size_t value_bytes(const char *value)
{
    return strcspn(value, "\"\n,}# ");
}

static size_t typed_secret_at(const char *text)
{
    static const char *const prefixes[] = {"tdsk1:", "tdt1:"};

    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
        if (strncmp(text, prefixes[i], strlen(prefixes[i])) == 0) {
            return strlen(prefixes[i]);
        }
    }
    return 0;
}

char *td_redact(const char *text, size_t *ret_count)
{
    char *result = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&result, &bytes);

    *ret_count = 0;
    if (out == NULL) {
        return NULL;
    }
    for (const char *at = text; *at != '\0';) {
        size_t prefix = typed_secret_at(at);
        size_t value = 0;
        if (prefix > 0) {
            while (key_character(at[prefix + value])) {
                value++;
            }
        } else if ((prefix = secret_key_at(at)) > 0) {
            value = value_bytes(at + prefix);
        }
        if (prefix == 0 || value == 0 || strncmp(at + prefix, "null", 4) == 0) {
            fputc(*at++, out);
            continue;
        }
        fwrite(at, 1, prefix, out);
        fputs(REDACTED, out);
        at += prefix + value;
        ++*ret_count;
    }
    if (fclose(out) != 0) {
        free(result);
        return NULL;
    }
    return result;
}
