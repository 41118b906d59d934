/* tokens.h -- bearer tokens of the HTTP gateway: a file with one `HASH ROLE PREFIXES` a line. HASH
 * is the SHA-256 of the token in hex (printf %s TOKEN | sha256sum), ROLE read or publish, PREFIXES
 * a comma-separated list of job prefixes that may be published, or *. # begins a comment. */
#ifndef TD_HTTP_TOKENS_H
#define TD_HTTP_TOKENS_H

#include <stddef.h>

#include "proto/err.h"
#include "proto/types.h"

enum { TD_HTTP_TOKENS_MAX = 1024, TD_HTTP_PREFIXES_MAX = 16 };

struct td_http_token {
    uint8_t hash[32];
    bool may_publish;
    uint32_t prefix_count;                         /* 0 = every job */
    struct td_text prefixes[TD_HTTP_PREFIXES_MAX]; /* into the file's text */
};

struct td_http_tokens {
    bool required;
    char *text;
    uint32_t count;
    struct td_http_token *tokens;
};

/* path "" = none required. TD_ECONFIG with the line that is wrong, or with the file's mode. */
TD_MUST_USE enum td_err td_http_tokens_read(const char *path, struct td_http_tokens *ret_tokens,
                                            char *ret_why, size_t why_bytes);
/* The same of a file's text, NUL-terminated; path only names it. Takes the text in every case. */
TD_MUST_USE enum td_err td_http_tokens_parse(const char *path, char *take_text,
                                             struct td_http_tokens *ret_tokens, char *ret_why,
                                             size_t why_bytes);
void td_http_tokens_fini(struct td_http_tokens *tokens);
/* header: value of Authorization, may be NULL. NULL = no such token. Takes the same time for each.
 */
const struct td_http_token *td_http_tokens_find(const struct td_http_tokens *tokens,
                                                const char *header);
bool td_http_token_may_publish(const struct td_http_token *token, struct td_text job);

#endif
