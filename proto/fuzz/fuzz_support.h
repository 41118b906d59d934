/* fuzz_support.h -- what the codec's fuzz targets share: a signer whose hash is constant and whose
 * verify says yes, so that the parser behind a root or signature check is reached. */
#ifndef TD_PROTO_FUZZ_SUPPORT_H
#define TD_PROTO_FUZZ_SUPPORT_H

#include "proto/arena.h"
#include "proto/reader.h"
#include "proto/sign.h"

enum { TD_FUZZ_ARENA_BYTES = 16 * 1024 * 1024, TD_FUZZ_OUT_BYTES = 2 * 1024 * 1024 };

struct td_fuzz {
    struct td_signer signer;
    struct td_public_key key;
    struct td_reader *reader;
    struct td_arena arena;
    uint8_t *out;
};

struct td_signer td_fuzz_signer(void);
/* The same state each time, with its arena emptied. */
struct td_fuzz *td_fuzz_start(void);
/* Stops the run unless the encoder gave exactly the input back: one value, one form. */
void td_fuzz_same(struct td_bytes input, const uint8_t *encoded, size_t encoded_bytes);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

#endif
