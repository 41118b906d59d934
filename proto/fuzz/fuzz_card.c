/* fuzz_card.c -- a card behind a signature that always holds. */
#include "proto/assert.h"
#include "proto/fuzz/fuzz_support.h"
#include "proto/roster.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct td_fuzz *fuzz = td_fuzz_start();
    struct td_bytes input = {bytes, count};
    struct td_card card;
    if (td_card_decode(input, &fuzz->signer, &fuzz->key, fuzz->reader, &card) == TD_OK) {
        TD_ASSERT(td_card_encode(&card, &fuzz->signer, fuzz->out, TD_FUZZ_OUT_BYTES) <= count);
    }
    return 0;
}
