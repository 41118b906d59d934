/* fuzz_head.c -- a head. */
#include "proto/assert.h"
#include "proto/fuzz/fuzz_support.h"
#include "proto/head.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct td_fuzz *fuzz = td_fuzz_start();
    struct td_bytes input = {bytes, count};
    struct td_head head;
    if (td_head_decode(input, &fuzz->signer, fuzz->reader, &fuzz->arena, &head) == TD_OK) {
        TD_ASSERT(td_vv_valid(&head.has));
        TD_ASSERT(td_head_verify(&head, &fuzz->signer, &fuzz->key));
        TD_ASSERT(td_head_encode(&head, &fuzz->signer, fuzz->out, TD_FUZZ_OUT_BYTES) <= count);
    }
    return 0;
}
