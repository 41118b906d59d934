/* tokens.c -- see tokens.h. Only hashes are kept, so the file is no secret; who can write it
 * decides who may publish, so it must not be writable by others. */
#include "node/http/tokens.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_BYTES_MAX = 1024 * 1024 };

struct reading {
    const char *path;
    char *why;
    size_t why_bytes;
    unsigned line;
};

static enum td_err refuse(const struct reading *self, const char *what)
{
    (void)snprintf(self->why, self->why_bytes, "%s: line %u: %s", self->path, self->line, what);
    return TD_ECONFIG;
}

static enum td_err read_text(const struct reading *self, char **ret_text)
{
    int fd = open(self->path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    struct stat info;
    if (fd < 0 || fstat(fd, &info) != 0) {
        (void)snprintf(self->why, self->why_bytes, "%s: %s", self->path, strerror(errno));
        if (fd >= 0) {
            close(fd);
        }
        return TD_ECONFIG;
    }
    const char *wrong = !S_ISREG(info.st_mode) ? "not a regular file"
                        : (info.st_mode & (S_IWGRP | S_IWOTH)) != 0
                            ? "writable by others; chmod go-w"
                        : info.st_size > FILE_BYTES_MAX ? "larger than 1 MiB"
                                                        : NULL;
    char *text = wrong == NULL ? calloc(1, (size_t)info.st_size + 1) : NULL;
    ssize_t got = text != NULL ? read(fd, text, (size_t)info.st_size) : -1;
    close(fd);
    if (got != info.st_size) {
        (void)snprintf(self->why, self->why_bytes, "%s: %s", self->path,
                       wrong != NULL ? wrong : "cannot be read");
        free(text);
        return TD_ECONFIG;
    }
    *ret_text = text;
    return TD_OK;
}

static enum td_err take_prefixes(const struct reading *self, char *list,
                                 struct td_http_token *token)
{
    char *rest = NULL;
    if (strcmp(list, "*") == 0) {
        return TD_OK;
    }
    for (char *item = strtok_r(list, ",", &rest); item != NULL; item = strtok_r(NULL, ",", &rest)) {
        if (token->prefix_count == TD_HTTP_PREFIXES_MAX) {
            return refuse(self, "more than 16 prefixes");
        }
        token->prefixes[token->prefix_count++] = (struct td_text){item, (uint32_t)strlen(item)};
    }
    return token->prefix_count > 0 ? TD_OK : refuse(self, "no prefixes; write * for every job");
}

/* A line without comment and line end; changed by the splitting. */
static enum td_err take_line(const struct reading *self, char *line, struct td_http_tokens *tokens)
{
    char *rest = NULL;
    char *hash = strtok_r(line, " \t\r", &rest);
    char *role = hash != NULL ? strtok_r(NULL, " \t\r", &rest) : NULL;
    char *prefixes = role != NULL ? strtok_r(NULL, " \t\r", &rest) : NULL;
    size_t bytes = 0;
    if (hash == NULL) {
        return TD_OK;
    }
    if (prefixes == NULL || strtok_r(NULL, " \t\r", &rest) != NULL) {
        return refuse(self, "write HASH ROLE PREFIXES");
    }
    if (tokens->count == TD_HTTP_TOKENS_MAX) {
        return refuse(self, "more than 1024 tokens");
    }
    struct td_http_token *token = &tokens->tokens[tokens->count];
    if (sodium_hex2bin(token->hash, sizeof token->hash, hash, strlen(hash), NULL, &bytes, NULL) !=
            0 ||
        bytes != sizeof token->hash || strlen(hash) != 2 * sizeof token->hash) {
        return refuse(self, "HASH is the token's SHA-256, 64 hex digits");
    }
    if (strcmp(role, "publish") != 0 && strcmp(role, "read") != 0) {
        return refuse(self, "ROLE is read or publish");
    }
    token->may_publish = role[0] == 'p';
    enum td_err err = take_prefixes(self, prefixes, token);
    tokens->count += err == TD_OK;
    return err;
}

enum td_err td_http_tokens_parse(const char *path, char *take_text,
                                 struct td_http_tokens *ret_tokens, char *ret_why, size_t why_bytes)
{
    struct reading self = {.path = path, .why = ret_why, .why_bytes = why_bytes};
    struct td_http_tokens tokens = {.required = true, .text = take_text};
    char *rest = tokens.text;
    tokens.tokens = calloc(TD_HTTP_TOKENS_MAX, sizeof *tokens.tokens);
    enum td_err err = tokens.tokens == NULL ? TD_ENOMEM : TD_OK;
    while (err == TD_OK && rest != NULL) {
        char *line = strsep(&rest, "\n");
        self.line++;
        line[strcspn(line, "#")] = '\0';
        err = take_line(&self, line, &tokens);
    }
    if (err != TD_OK) {
        td_http_tokens_fini(&tokens);
        return err;
    }
    *ret_tokens = tokens;
    return TD_OK;
}

enum td_err td_http_tokens_read(const char *path, struct td_http_tokens *ret_tokens, char *ret_why,
                                size_t why_bytes)
{
    const struct reading self = {.path = path, .why = ret_why, .why_bytes = why_bytes};
    char *text = NULL;
    if (path[0] == '\0') {
        *ret_tokens = (struct td_http_tokens){.required = false};
        return TD_OK;
    }
    enum td_err err = read_text(&self, &text);
    return err == TD_OK ? td_http_tokens_parse(path, text, ret_tokens, ret_why, why_bytes) : err;
}

void td_http_tokens_fini(struct td_http_tokens *tokens)
{
    free(tokens->text);
    free(tokens->tokens);
    tokens->text = NULL;
    tokens->tokens = NULL;
    tokens->count = 0;
}

const struct td_http_token *td_http_tokens_find(const struct td_http_tokens *tokens,
                                                const char *header)
{
    static const char scheme[] = "Bearer ";
    uint8_t hash[crypto_hash_sha256_BYTES];
    const struct td_http_token *found = NULL;
    const char *token = header != NULL && strncasecmp(header, scheme, sizeof scheme - 1) == 0
                            ? header + sizeof scheme - 1
                            : "";
    crypto_hash_sha256(hash, (const unsigned char *)token, strlen(token));
    for (uint32_t i = 0; i < tokens->count; i++) { /* all of them, also behind a hit */
        if (sodium_memcmp(hash, tokens->tokens[i].hash, sizeof hash) == 0) {
            found = &tokens->tokens[i];
        }
    }
    return token[0] != '\0' ? found : NULL;
}

bool td_http_token_may_publish(const struct td_http_token *token, struct td_text job)
{
    bool may = token->prefix_count == 0;
    for (uint32_t i = 0; i < token->prefix_count; i++) {
        const struct td_text *prefix = &token->prefixes[i];
        may = may ||
              (job.count >= prefix->count && memcmp(job.bytes, prefix->bytes, prefix->count) == 0);
    }
    return token->may_publish && may;
}
