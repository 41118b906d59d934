/* fuzz_request.c -- a client's request. */
#include "proto/client_msg.h"
#include "proto/fuzz/fuzz_support.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct td_fuzz *fuzz = td_fuzz_start();
    struct td_bytes input = {bytes, count};
    struct td_request request;
    enum td_err err = td_request_decode(input, &fuzz->signer, fuzz->reader, &fuzz->arena, &request);
    bool same = err == TD_OK;
    for (uint32_t i = 0; same && request.op == TD_OP_PUBLISH && i < request.u.publish.count; i++) {
        same = request.u.publish.updates[i].err == TD_OK; /* a refused update is emptied */
    }
    if (same) {
        td_fuzz_same(input, fuzz->out, td_request_encode(&request, fuzz->out, TD_FUZZ_OUT_BYTES));
    }
    return 0;
}
