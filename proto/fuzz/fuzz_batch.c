/* fuzz_batch.c -- a batch, whole or thinned, and thinning what was accepted. */
#include "proto/assert.h"
#include "proto/batch.h"
#include "proto/fuzz/fuzz_support.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct td_fuzz *fuzz = td_fuzz_start();
    struct td_bytes input = {bytes, count};
    struct td_batch batch;
    struct td_batch_header header;
    enum td_err peeked = td_batch_peek(input, fuzz->reader, &header);
    enum td_err err = td_batch_decode(input, &fuzz->signer, fuzz->reader, &fuzz->arena, &batch);
    if (err == TD_OK) {
        uint32_t last = batch.deltas[batch.present_count - 1].index;
        TD_ASSERT(peeked == TD_OK);
        TD_ASSERT(last < batch.header.count);
        size_t thinned = td_batch_thin(&batch, &last, 1, &fuzz->signer, &fuzz->arena, fuzz->out,
                                       TD_FUZZ_OUT_BYTES);
        struct td_bytes raw = {fuzz->out, thinned};
        err = td_batch_decode(raw, &fuzz->signer, fuzz->reader, &fuzz->arena, &batch);
        TD_ASSERT(err == TD_OK || err == TD_ETOOBIG);
    }
    return 0;
}
