/* fuzz_response.c -- a node's response. */
#include "proto/client_msg.h"
#include "proto/fuzz/fuzz_support.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct td_fuzz *fuzz = td_fuzz_start();
    struct td_bytes input = {bytes, count};
    struct td_response response;
    if (td_response_decode(input, fuzz->reader, &fuzz->arena, &response) == TD_OK) {
        td_fuzz_same(input, fuzz->out, td_response_encode(&response, fuzz->out, TD_FUZZ_OUT_BYTES));
    }
    return 0;
}
