/* sign_sodium.c -- the real td_signer and the keys of one seed, on libsodium. */
#include "proto/sign_sodium.h"

#include <assert.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "proto/assert.h"

/* Lies in guarded memory from sodium_malloc: no core dump, no swap where the limits allow it. */
struct td_secret {
    struct td_identity identity;
    uint8_t sign_key[crypto_sign_SECRETKEYBYTES];
    uint8_t link_key[crypto_scalarmult_SCALARBYTES];
};

static_assert(crypto_sign_SEEDBYTES == TD_SEED_BYTES, "an Ed25519 seed");
static_assert(crypto_shorthash_KEYBYTES == sizeof(struct td_cluster_id), "keys SipHash-2-4");
static_assert(crypto_shorthash_siphashx24_BYTES == 16, "a 128-bit checksum");
static_assert(crypto_sign_BYTES == sizeof(struct td_signature), "an Ed25519 signature");

/* RFC 8032, 7.1, test 1: the empty message. */
static bool self_test_ed25519(void)
{
    static const uint8_t seed[TD_SEED_BYTES] = {
        0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a,
        0xf4, 0x92, 0xec, 0x2c, 0xc4, 0x44, 0x49, 0xc5, 0x69, 0x7b, 0x32,
        0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60,
    };
    static const uint8_t expected[crypto_sign_BYTES] = {
        0xe5, 0x56, 0x43, 0x00, 0xc3, 0x60, 0xac, 0x72, 0x90, 0x86, 0xe2, 0xcc, 0x80,
        0x6e, 0x82, 0x8a, 0x84, 0x87, 0x7f, 0x1e, 0xb8, 0xe5, 0xd9, 0x74, 0xd8, 0x73,
        0xe0, 0x65, 0x22, 0x49, 0x01, 0x55, 0x5f, 0xb8, 0x82, 0x15, 0x90, 0xa3, 0x3b,
        0xac, 0xc6, 0x1e, 0x39, 0x70, 0x1c, 0xf9, 0xb4, 0x6b, 0xd2, 0x5b, 0xf5, 0xf0,
        0x59, 0x5b, 0xbe, 0x24, 0x65, 0x51, 0x41, 0x43, 0x8e, 0x7a, 0x10, 0x0b,
    };
    uint8_t public_key[crypto_sign_PUBLICKEYBYTES];
    uint8_t secret_key[crypto_sign_SECRETKEYBYTES];
    uint8_t signature[crypto_sign_BYTES];
    const uint8_t empty[1] = {0};

    if (crypto_sign_seed_keypair(public_key, secret_key, seed) != 0 ||
        crypto_sign_detached(signature, NULL, empty, 0, secret_key) != 0) {
        return false;
    }
    bool same = memcmp(signature, expected, sizeof expected) == 0;
    bool accepts = crypto_sign_verify_detached(signature, empty, 0, public_key) == 0;
    signature[0] ^= 1;
    bool refuses = crypto_sign_verify_detached(signature, empty, 0, public_key) != 0;
    return same && accepts && refuses;
}

/* BLAKE2b-256 and SHA-256 (the hash of the Noise suite) of "abc". */
static bool self_test_hashes(void)
{
    static const uint8_t blake2b[32] = {
        0xbd, 0xdd, 0x81, 0x3c, 0x63, 0x42, 0x39, 0x72, 0x31, 0x71, 0xef,
        0x3f, 0xee, 0x98, 0x57, 0x9b, 0x94, 0x96, 0x4e, 0x3b, 0xb1, 0xcb,
        0x3e, 0x42, 0x72, 0x62, 0xc8, 0xc0, 0x68, 0xd5, 0x23, 0x19,
    };
    static const uint8_t sha256[32] = {
        0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40,
        0xde, 0x5d, 0xae, 0x22, 0x23, 0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17,
        0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad,
    };
    static const uint8_t abc[3] = {'a', 'b', 'c'};
    uint8_t sum[32];

    if (crypto_generichash(sum, sizeof sum, abc, sizeof abc, NULL, 0) != 0 ||
        memcmp(sum, blake2b, sizeof sum) != 0) {
        return false;
    }
    return crypto_hash_sha256(sum, abc, sizeof abc) == 0 && memcmp(sum, sha256, sizeof sum) == 0;
}

enum td_err td_sodium_init(void)
{
    if (sodium_init() < 0) {
        return TD_ECORRUPT;
    }
    return self_test_ed25519() && self_test_hashes() ? TD_OK : TD_ECORRUPT;
}

static void derive(const uint8_t seed[TD_SEED_BYTES], const char *label, uint8_t ret_key[32])
{
    int failed =
        crypto_generichash(ret_key, 32, (const uint8_t *)label, strlen(label), seed, TD_SEED_BYTES);
    TD_ASSERT(failed == 0);
}

enum td_err td_secret_from_seed(const uint8_t seed[TD_SEED_BYTES], struct td_secret **ret_secret)
{
    struct td_secret *secret = sodium_malloc(sizeof *secret);
    uint8_t sign_seed[crypto_sign_SEEDBYTES];

    if (secret == NULL) {
        return TD_ENOMEM;
    }
    derive(seed, "tidings/sign/1", sign_seed);
    derive(seed, "tidings/link/1", secret->link_key);
    int failed =
        crypto_sign_seed_keypair(secret->identity.sign_key.bytes, secret->sign_key, sign_seed);
    failed |= crypto_scalarmult_base(secret->identity.link_key.bytes, secret->link_key);
    sodium_memzero(sign_seed, sizeof sign_seed);
    if (failed != 0) {
        sodium_free(secret);
        return TD_ECORRUPT;
    }
    *ret_secret = secret;
    return TD_OK;
}

enum td_err td_secret_generate(uint8_t ret_seed[TD_SEED_BYTES], struct td_secret **ret_secret)
{
    randombytes_buf(ret_seed, TD_SEED_BYTES);
    enum td_err err = td_secret_from_seed(ret_seed, ret_secret);
    if (err != TD_OK) {
        sodium_memzero(ret_seed, TD_SEED_BYTES);
    }
    return err;
}

void td_secret_free(struct td_secret *secret)
{
    sodium_free(secret); /* wipes, and takes NULL */
}

const struct td_identity *td_secret_identity(const struct td_secret *secret)
{
    return &secret->identity;
}

const uint8_t *td_secret_link_key(const struct td_secret *secret)
{
    return secret->link_key;
}

struct td_cluster_id td_cluster_id_of(const struct td_public_key *root_sign_key)
{
    struct td_cluster_id id;
    int failed = crypto_generichash(id.bytes, sizeof id.bytes, root_sign_key->bytes,
                                    sizeof root_sign_key->bytes, NULL, 0);
    TD_ASSERT(failed == 0);
    return id;
}

void td_random_bytes(void *ret_bytes, size_t count)
{
    randombytes_buf(ret_bytes, count);
}

static void signer_hash(void *self, uint8_t prefix, struct td_bytes a, struct td_bytes b,
                        struct td_hash *ret_hash)
{
    crypto_generichash_state state;

    (void)self;
    int failed = crypto_generichash_init(&state, NULL, 0, sizeof ret_hash->bytes);
    failed |= crypto_generichash_update(&state, &prefix, 1);
    if (a.count > 0) {
        failed |= crypto_generichash_update(&state, a.bytes, a.count);
    }
    if (b.count > 0) {
        failed |= crypto_generichash_update(&state, b.bytes, b.count);
    }
    failed |= crypto_generichash_final(&state, ret_hash->bytes, sizeof ret_hash->bytes);
    TD_ASSERT(failed == 0);
}

static uint64_t signer_job_hash(void *self, struct td_text job)
{
    const struct td_sodium_signer *signer = self;
    uint8_t sum[crypto_shorthash_BYTES];
    uint64_t value = 0;

    int failed =
        crypto_shorthash(sum, (const uint8_t *)job.bytes, job.count, signer->cluster.bytes);
    TD_ASSERT(failed == 0);
    /* Little endian as SipHash defines it, so that all machines agree on the number. */
    for (size_t i = sizeof sum; i > 0; i--) {
        value = value << 8 | sum[i - 1];
    }
    return value;
}

static void siphash128(const uint8_t *bytes, size_t count, uint8_t ret_sum[16])
{
    static const uint8_t key[crypto_shorthash_siphashx24_KEYBYTES] = "tidings/log/sum";
    static const uint8_t none[1];

    int failed = crypto_shorthash_siphashx24(ret_sum, bytes == NULL ? none : bytes, count, key);
    TD_ASSERT(failed == 0);
}

/* A hash of the two hashes: no copy to put the slices together, and (a, b) differs from (ab, "").
 */
static void signer_checksum(void *self, struct td_bytes a, struct td_bytes b, uint8_t ret_sum[16])
{
    uint8_t sums[32];

    (void)self;
    siphash128(a.bytes, a.count, sums);
    siphash128(b.bytes, b.count, sums + 16);
    siphash128(sums, sizeof sums, ret_sum);
}

/* Ed25519 reads its message twice, so context and bytes must lie together. */
enum { TOGETHER_BYTES_ON_STACK = 1024 };

struct together {
    uint8_t small[TOGETHER_BYTES_ON_STACK];
    uint8_t *bytes; /* small, or from the heap; NULL when out of memory */
    size_t count;
};

static void together_init(struct together *together, const char *context, struct td_bytes bytes)
{
    size_t context_bytes = strlen(context) + 1; /* with its zero byte */

    TD_ASSERT(bytes.count <= SIZE_MAX - context_bytes);
    together->count = context_bytes + bytes.count;
    together->bytes =
        together->count <= sizeof together->small ? together->small : malloc(together->count);
    if (together->bytes == NULL) {
        return;
    }
    memcpy(together->bytes, context, context_bytes);
    if (bytes.count > 0) {
        memcpy(together->bytes + context_bytes, bytes.bytes, bytes.count);
    }
}

static void together_fini(struct together *together)
{
    if (together->bytes != together->small) {
        free(together->bytes);
    }
}

static void signer_sign(void *self, const char *context, struct td_bytes bytes,
                        struct td_signature *ret_signature)
{
    const struct td_sodium_signer *signer = self;
    struct together message;

    TD_ASSERT(signer->secret != NULL);
    together_init(&message, context, bytes);
    TD_ASSERT(message.bytes != NULL);
    int failed = crypto_sign_detached(ret_signature->bytes, NULL, message.bytes, message.count,
                                      signer->secret->sign_key);
    TD_ASSERT(failed == 0);
    together_fini(&message);
}

static bool signer_verify(void *self, const struct td_public_key *key, const char *context,
                          struct td_bytes bytes, const struct td_signature *signature)
{
    struct together message;

    (void)self;
    together_init(&message, context, bytes);
    if (message.bytes == NULL) {
        return false;
    }
    int failed =
        crypto_sign_verify_detached(signature->bytes, message.bytes, message.count, key->bytes);
    together_fini(&message);
    return failed == 0;
}

struct td_signer td_sodium_signer(struct td_sodium_signer *self)
{
    return (struct td_signer){
        .self = self,
        .hash = signer_hash,
        .job_hash = signer_job_hash,
        .checksum = signer_checksum,
        .sign = signer_sign,
        .verify = signer_verify,
    };
}
