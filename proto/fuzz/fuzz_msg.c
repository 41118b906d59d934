/* fuzz_msg.c -- a message between regions; the first byte is its type. */
#include "proto/frame.h"
#include "proto/fuzz/fuzz_support.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct td_fuzz *fuzz = td_fuzz_start();
    struct td_msg msg;
    if (count == 0) {
        return 0;
    }
    struct td_bytes input = {bytes + 1, count - 1};
    enum td_err err = td_msg_decode((enum td_msg_type)bytes[0], input, &fuzz->signer, fuzz->reader,
                                    &fuzz->arena, &msg);
    if (err == TD_OK && input.count != 0) {
        td_fuzz_same(input, fuzz->out, td_msg_encode(&msg, fuzz->out, TD_FUZZ_OUT_BYTES));
    }
    return 0;
}
