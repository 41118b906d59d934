/* fuzz_delta.c -- a delta; what is accepted encodes to its own first 15 fields. */
#include "proto/delta.h"
#include "proto/fuzz/fuzz_support.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct td_fuzz *fuzz = td_fuzz_start();
    struct td_bytes input = {bytes, count};
    struct td_delta delta;
    if (td_delta_decode(input, &fuzz->signer, fuzz->reader, &fuzz->arena, &delta) == TD_OK) {
        size_t again = td_delta_encode(&delta, fuzz->out, TD_FUZZ_OUT_BYTES);
        if (bytes[0] == 0x9f) { /* no unknown trailing fields */
            td_fuzz_same(input, fuzz->out, again);
        }
    }
    return 0;
}
