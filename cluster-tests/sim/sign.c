/* sign.c -- see sign.h. */
#include "cluster-tests/sim/sign.h"

#include <string.h>

#include "cluster-tests/sim/random.h"

/* Eight bytes at a time, little end first whatever the machine. */
uint64_t sim_hash_bytes(uint64_t seed, const void *bytes, size_t count)
{
    const uint8_t *at = bytes;
    uint64_t hash = seed ^ (count * UINT64_C(0x9e3779b97f4a7c15));

    for (; count >= 8; count -= 8, at += 8) {
        uint64_t word = (uint64_t)at[0] | (uint64_t)at[1] << 8 | (uint64_t)at[2] << 16 |
                        (uint64_t)at[3] << 24 | (uint64_t)at[4] << 32 | (uint64_t)at[5] << 40 |
                        (uint64_t)at[6] << 48 | (uint64_t)at[7] << 56;
        hash = (hash ^ word) * UINT64_C(0xff51afd7ed558ccd);
        hash ^= hash >> 32;
    }
    for (; count > 0; count--, at++) {
        hash = (hash ^ *at) * UINT64_C(0x100000001b3);
    }
    return sim_mix(hash);
}

static void fill(uint64_t hash, uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (i % 8 == 0) {
            hash = sim_mix(hash + i + 1);
        }
        bytes[i] = (uint8_t)(hash >> (i % 8 * 8));
    }
}

static void toy_hash(void *self, uint8_t prefix, struct td_bytes a, struct td_bytes b,
                     struct td_hash *ret_hash)
{
    (void)self;
    fill(sim_hash_bytes(sim_hash_bytes(prefix, a.bytes, a.count), b.bytes, b.count),
         ret_hash->bytes, sizeof ret_hash->bytes);
}

static uint64_t toy_job_hash(void *self, struct td_text job)
{
    (void)self;
    return sim_hash_bytes(5, job.bytes, job.count);
}

static void toy_checksum(void *self, struct td_bytes a, struct td_bytes b, uint8_t ret_sum[16])
{
    (void)self;
    fill(sim_hash_bytes(sim_hash_bytes(3, a.bytes, a.count), b.bytes, b.count), ret_sum, 16);
}

static void mark(const struct sim_key *key, uint8_t region, const char *context,
                 struct td_bytes bytes, struct td_signature *ret_signature)
{
    uint64_t hash = sim_hash_bytes(key->world + region, context, strlen(context));
    fill(sim_hash_bytes(hash, bytes.bytes, bytes.count), ret_signature->bytes,
         sizeof ret_signature->bytes);
}

static void toy_sign(void *self, const char *context, struct td_bytes bytes,
                     struct td_signature *ret_signature)
{
    const struct sim_key *key = self;
    mark(key, key->region, context, bytes, ret_signature);
}

static bool toy_verify(void *self, const struct td_public_key *public_key, const char *context,
                       struct td_bytes bytes, const struct td_signature *signature)
{
    struct td_signature expected;
    mark(self, public_key->bytes[0], context, bytes, &expected);
    return memcmp(&expected, signature, sizeof expected) == 0;
}

struct td_public_key sim_public_key(uint8_t region)
{
    struct td_public_key key = {{region}};
    return key;
}

struct td_signer sim_signer(struct sim_key *key)
{
    return (struct td_signer){key, toy_hash, toy_job_hash, toy_checksum, toy_sign, toy_verify};
}
