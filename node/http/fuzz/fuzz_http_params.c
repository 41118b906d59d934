/* fuzz_http_params.c -- the part of an address behind the question mark, as libmicrohttpd hands it
 * on: split at & and =, unescaped by it. */
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>

#include "node/http/params.h"
#include "proto/assert.h"
#include "proto/fuzz/fuzz_support.h"

/* What every route may read of what was taken. */
static void read_all(const struct td_params *params)
{
    for (int i = 0; i < TD_PARAM_COUNT; i++) {
        uint64_t number = 0;
        bool flag = false;
        const char *text = td_param_text(params, (enum td_param)i);
        TD_ASSERT(strlen(text) == params->values[i].count);
        if (td_param_uint(params, (enum td_param)i, 1000, &number)) {
            TD_ASSERT(number <= 1000);
        }
        if (!td_param_given(params, (enum td_param)i)) {
            TD_ASSERT(td_param_ms(params, (enum td_param)i, &number));
            TD_ASSERT(td_param_flag(params, (enum td_param)i, &flag));
        } else if (td_param_ms(params, (enum td_param)i, &number) &&
                   td_param_flag(params, (enum td_param)i, &flag)) {
            TD_ASSERT(strcmp(text, "0") == 0 && !flag && number == 0); /* the one word of both */
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    char why[256] = "";
    struct td_params params = {0};
    struct td_params_taking taking = {.into = &params,
                                      .allowed = UINT32_MAX >> (32 - TD_PARAM_COUNT),
                                      .why = why,
                                      .why_bytes = sizeof why};
    char *text = malloc(count + 1);
    TD_ASSERT(text != NULL);
    memcpy(text, bytes, count);
    text[count] = '\0';
    text[strcspn(text, " \r\n#")] = '\0'; /* an address ends there */
    char *rest = text;
    bool taken = true;
    for (char *key = strsep(&rest, "&"); key != NULL && taken; key = strsep(&rest, "&")) {
        char *value = strchr(key, '=');
        if (value != NULL) {
            *value++ = '\0';
        }
        size_t key_bytes = MHD_http_unescape(key);
        size_t value_bytes = value != NULL ? MHD_http_unescape(value) : 0;
        taken = td_params_add(&taking, key, key_bytes, value, value_bytes);
    }
    TD_ASSERT(taken == !taking.failed && taken == (why[0] == '\0'));
    for (const char *at = why; *at != '\0'; at++) {
        TD_ASSERT((unsigned char)*at >= ' '); /* shown to people */
    }
    read_all(&params);
    free(text);
    return 0;
}
