/* fuzz_http_headers.c -- Host, Content-Type and Content-Length, a line each. */
#include <stdlib.h>
#include <string.h>

#include "node/http/headers.h"
#include "proto/assert.h"
#include "proto/fuzz/fuzz_support.h"

static bool begins(const char *text, const char *with)
{
    return strncasecmp(text, with, strlen(with)) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    uint64_t length = 0;
    char *text = malloc(count + 1);
    TD_ASSERT(text != NULL);
    memcpy(text, bytes, count);
    text[count] = '\0';
    char *rest = text;
    const char *host = strsep(&rest, "\n");
    const char *type = strsep(&rest, "\n");
    const char *digits = strsep(&rest, "\n");
    if (td_host_is_loopback(host)) {
        TD_ASSERT(begins(host, "localhost") || begins(host, "127.") || begins(host, "[::1]"));
        TD_ASSERT(strpbrk(host, "@/ \t") == NULL);
    }
    if (td_media_is_json(type)) {
        TD_ASSERT(begins(type, "application/json"));
    }
    if (td_content_length(digits, &length) && strlen(digits) < 19) {
        TD_ASSERT(length == strtoull(digits, NULL, 10));
    }
    free(text);
    return 0;
}
