/* fuzz_http_tokens.c -- the file of bearer tokens, and behind its last line feed an Authorization
 * header and a job. */
#include <stdlib.h>
#include <string.h>

#include "node/http/tokens.h"
#include "proto/assert.h"
#include "proto/fuzz/fuzz_support.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    char why[256] = "";
    struct td_http_tokens tokens;
    char *text = malloc(count + 1);
    TD_ASSERT(text != NULL);
    memcpy(text, bytes, count);
    text[count] = '\0';
    const char *last = strrchr(text, '\n');
    char *header = strdup(last != NULL ? last + 1 : "");
    TD_ASSERT(header != NULL);
    enum td_err err = td_http_tokens_parse("tokens", text, &tokens, why, sizeof why);
    TD_ASSERT((err == TD_OK) == (why[0] == '\0'));
    if (err == TD_OK) {
        TD_ASSERT(tokens.required && tokens.count <= TD_HTTP_TOKENS_MAX);
        const struct td_http_token *token = td_http_tokens_find(&tokens, header);
        for (uint32_t i = 0; i < tokens.count; i++) {
            bool may = td_http_token_may_publish(
                &tokens.tokens[i], (struct td_text){header, (uint32_t)strlen(header)});
            TD_ASSERT(!may || tokens.tokens[i].may_publish);
        }
        TD_ASSERT(token == NULL || strlen(header) > strlen("Bearer "));
        td_http_tokens_fini(&tokens);
    }
    free(header);
    return 0;
}
