/* fuzz_support.c -- the lenient signer and the state shared by the codec's fuzz targets. */
#include "proto/fuzz/fuzz_support.h"

#include <stdlib.h>
#include <string.h>

#include "proto/assert.h"

static void hash(void *self, uint8_t prefix, struct td_bytes a, struct td_bytes b,
                 struct td_hash *ret_hash)
{
    (void)self;
    (void)prefix;
    (void)a;
    (void)b;
    memset(ret_hash, 0, sizeof *ret_hash);
}

static uint64_t job_hash(void *self, struct td_text job)
{
    (void)self;
    return job.count;
}

static void checksum(void *self, struct td_bytes a, struct td_bytes b, uint8_t ret_sum[16])
{
    (void)self;
    (void)a;
    (void)b;
    memset(ret_sum, 0, 16);
}

static void sign(void *self, const char *context, struct td_bytes bytes,
                 struct td_signature *ret_signature)
{
    (void)self;
    (void)context;
    (void)bytes;
    memset(ret_signature, 0, sizeof *ret_signature);
}

static bool verify(void *self, const struct td_public_key *key, const char *context,
                   struct td_bytes bytes, const struct td_signature *signature)
{
    (void)self;
    (void)key;
    (void)context;
    (void)bytes;
    (void)signature;
    return true;
}

struct td_signer td_fuzz_signer(void)
{
    return (struct td_signer){NULL, hash, job_hash, checksum, sign, verify};
}

struct td_fuzz *td_fuzz_start(void)
{
    static struct td_fuzz fuzz;
    static uint8_t memory[TD_FUZZ_ARENA_BYTES];
    static uint8_t out[TD_FUZZ_OUT_BYTES];
    if (fuzz.reader == NULL) {
        fuzz.signer = td_fuzz_signer();
        fuzz.reader = td_reader_alloc();
        TD_ASSERT(fuzz.reader != NULL);
        fuzz.out = out;
    }
    td_arena_init(&fuzz.arena, memory, sizeof memory);
    return &fuzz;
}

void td_fuzz_same(struct td_bytes input, const uint8_t *encoded, size_t encoded_bytes)
{
    TD_ASSERT(encoded_bytes == input.count);
    TD_ASSERT(memcmp(encoded, input.bytes, encoded_bytes) == 0);
}
