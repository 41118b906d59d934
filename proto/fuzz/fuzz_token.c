/* fuzz_token.c -- a token. */
#include "proto/client_msg.h"
#include "proto/fuzz/fuzz_support.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct td_fuzz *fuzz = td_fuzz_start();
    struct td_bytes input = {bytes, count};
    struct td_token token;
    if (td_token_decode(input, fuzz->reader, &fuzz->arena, &token) == TD_OK) {
        td_fuzz_same(input, fuzz->out, td_token_encode(&token, fuzz->out, TD_FUZZ_OUT_BYTES));
    }
    return 0;
}
