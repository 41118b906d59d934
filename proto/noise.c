/* noise.c -- the XX handshake. Reads beside revision 34 of the specification:
 *
 *   XX:                      payloads here
 *     -> e                   empty
 *     <- e, ee, s, es        versions and the responder's card
 *     -> s, se               versions
 */
#include "proto/noise.h"

#include <sodium.h>
#include <string.h>

#include "proto/assert.h"
#include "proto/limits.h"

static const char protocol_name[] = "Noise_XX_25519_ChaChaPoly_SHA256";

static_assert(sizeof protocol_name - 1 == TD_NOISE_HASH_BYTES, "h starts as the name itself (5.2)");
static_assert(crypto_hash_sha256_BYTES == TD_NOISE_HASH_BYTES, "HASHLEN");
static_assert(crypto_aead_chacha20poly1305_ietf_ABYTES == TD_NOISE_TAG_BYTES, "tag");
static_assert(crypto_scalarmult_BYTES == 32, "DHLEN");

/* 12.3: 32 zero bits, then the nonce, little endian. */
static void nonce_bytes(uint64_t n, uint8_t ret_nonce[12])
{
    memset(ret_nonce, 0, 4);
    for (int i = 0; i < 8; i++) {
        ret_nonce[4 + i] = (uint8_t)(n >> (8 * i));
    }
}

/* 4.3: HMAC-HASH; keys here are chaining keys, always HASHLEN bytes. */
static void hmac(const uint8_t key[32], const uint8_t *a, size_t a_count, const uint8_t *b,
                 size_t b_count, uint8_t ret_hash[32])
{
    crypto_auth_hmacsha256_state state;

    crypto_auth_hmacsha256_init(&state, key, 32);
    if (a_count > 0) {
        crypto_auth_hmacsha256_update(&state, a, a_count);
    }
    if (b_count > 0) {
        crypto_auth_hmacsha256_update(&state, b, b_count);
    }
    crypto_auth_hmacsha256_final(&state, ret_hash);
    sodium_memzero(&state, sizeof state);
}

/* 4.3: HKDF(chaining_key, input_key_material, 2). */
static void hkdf2(const uint8_t ck[32], const uint8_t *material, size_t material_count,
                  uint8_t ret_first[32], uint8_t ret_second[32])
{
    static const uint8_t one[1] = {1};
    static const uint8_t two[1] = {2};
    uint8_t temp_key[32];
    uint8_t first[32];

    hmac(ck, material, material_count, NULL, 0, temp_key);
    hmac(temp_key, one, 1, NULL, 0, first);
    hmac(temp_key, first, 32, two, 1, ret_second);
    memcpy(ret_first, first, 32);
    sodium_memzero(temp_key, sizeof temp_key);
    sodium_memzero(first, sizeof first);
}

/* --- 5.1 CipherState ------------------------------------------------------------------------- */

static void initialize_key(struct td_noise_cipher *cipher, const uint8_t key[32])
{
    memcpy(cipher->k, key, 32);
    cipher->n = 0;
    cipher->has_key = true;
}

static void encrypt_with_ad(struct td_noise_cipher *cipher, const uint8_t *ad, size_t ad_count,
                            const uint8_t *plain, size_t count, uint8_t *ret_sealed)
{
    uint8_t nonce[12];

    TD_ASSERT(cipher->has_key);
    TD_ASSERT(cipher->n < UINT64_MAX);
    nonce_bytes(cipher->n, nonce);
    cipher->n++;
    crypto_aead_chacha20poly1305_ietf_encrypt(ret_sealed, NULL, plain, count, ad, ad_count, NULL,
                                              nonce, cipher->k);
}

/* On failure the nonce stays, as 5.1 wants; we end the link anyway. */
static bool decrypt_with_ad(struct td_noise_cipher *cipher, const uint8_t *ad, size_t ad_count,
                            const uint8_t *sealed, size_t count, uint8_t *ret_plain)
{
    uint8_t nonce[12];

    TD_ASSERT(cipher->has_key);
    if (count < TD_NOISE_TAG_BYTES || cipher->n == UINT64_MAX) {
        return false;
    }
    nonce_bytes(cipher->n, nonce);
    if (crypto_aead_chacha20poly1305_ietf_decrypt(ret_plain, NULL, NULL, sealed, count, ad,
                                                  ad_count, nonce, cipher->k) != 0) {
        return false;
    }
    cipher->n++;
    return true;
}

void td_noise_seal(struct td_noise_cipher *cipher, const uint8_t *plain, size_t count,
                   uint8_t *ret_sealed)
{
    encrypt_with_ad(cipher, NULL, 0, plain, count, ret_sealed);
}

enum td_err td_noise_open(struct td_noise_cipher *cipher, const uint8_t *sealed, size_t count,
                          uint8_t *ret_plain)
{
    return decrypt_with_ad(cipher, NULL, 0, sealed, count, ret_plain) ? TD_OK : TD_EHANDSHAKE;
}

void td_noise_rekey(struct td_noise_cipher *cipher)
{
    static const uint8_t zeros[32];
    uint8_t sealed[32 + TD_NOISE_TAG_BYTES];
    uint8_t nonce[12];

    nonce_bytes(UINT64_MAX, nonce);
    crypto_aead_chacha20poly1305_ietf_encrypt(sealed, NULL, zeros, sizeof zeros, NULL, 0, NULL,
                                              nonce, cipher->k);
    memcpy(cipher->k, sealed, 32);
    sodium_memzero(sealed, sizeof sealed);
}

/* --- 5.2 SymmetricState ---------------------------------------------------------------------- */

static void mix_key(struct td_noise *noise, const uint8_t material[32])
{
    uint8_t temp_k[32];

    hkdf2(noise->ck, material, 32, noise->ck, temp_k);
    initialize_key(&noise->cipher, temp_k);
    sodium_memzero(temp_k, sizeof temp_k);
}

static void mix_hash(struct td_noise *noise, const uint8_t *data, size_t count)
{
    crypto_hash_sha256_state state;

    crypto_hash_sha256_init(&state);
    crypto_hash_sha256_update(&state, noise->h, sizeof noise->h);
    if (count > 0) {
        crypto_hash_sha256_update(&state, data, count);
    }
    crypto_hash_sha256_final(&state, noise->h);
}

/* Returns the bytes written: without a key the plaintext itself. */
static size_t encrypt_and_hash(struct td_noise *noise, const uint8_t *plain, size_t count,
                               uint8_t *ret_sealed)
{
    size_t written = count;

    if (noise->cipher.has_key) {
        encrypt_with_ad(&noise->cipher, noise->h, sizeof noise->h, plain, count, ret_sealed);
        written += TD_NOISE_TAG_BYTES;
    } else if (count > 0) {
        memcpy(ret_sealed, plain, count);
    }
    mix_hash(noise, ret_sealed, written);
    return written;
}

static bool decrypt_and_hash(struct td_noise *noise, const uint8_t *sealed, size_t count,
                             uint8_t *ret_plain)
{
    if (!noise->cipher.has_key) {
        if (count > 0) {
            memcpy(ret_plain, sealed, count);
        }
    } else if (!decrypt_with_ad(&noise->cipher, noise->h, sizeof noise->h, sealed, count,
                                ret_plain)) {
        return false;
    }
    mix_hash(noise, sealed, count);
    return true;
}

/* MixKey(DH(secret, public)). libsodium answers -1 for a result of all zeros: a small-order key. */
static bool mix_dh(struct td_noise *noise, const uint8_t secret[32], const uint8_t public_key[32])
{
    uint8_t shared[32];

    if (crypto_scalarmult(shared, secret, public_key) != 0) {
        return false;
    }
    mix_key(noise, shared);
    sodium_memzero(shared, sizeof shared);
    return true;
}

/* --- 5.3 HandshakeState ---------------------------------------------------------------------- */

void td_noise_init(struct td_noise *noise, bool initiator, struct td_bytes prologue,
                   const uint8_t s_secret[32], const uint8_t s[32])
{
    *noise = (struct td_noise){.initiator = initiator};
    memcpy(noise->h, protocol_name, sizeof noise->h);
    memcpy(noise->ck, noise->h, sizeof noise->ck);
    mix_hash(noise, prologue.bytes, prologue.count);
    memcpy(noise->s_secret, s_secret, 32);
    memcpy(noise->s, s, 32);
}

void td_noise_give_ephemeral(struct td_noise *noise, const uint8_t e_secret[32])
{
    memcpy(noise->e_secret, e_secret, 32);
    noise->e_given = true;
}

static bool write_e(struct td_noise *noise, uint8_t *ret_message)
{
    if (!noise->e_given) {
        randombytes_buf(noise->e_secret, sizeof noise->e_secret);
    }
    if (crypto_scalarmult_base(noise->e, noise->e_secret) != 0) {
        return false;
    }
    memcpy(ret_message, noise->e, 32);
    mix_hash(noise, noise->e, 32);
    return true;
}

static void read_e(struct td_noise *noise, const uint8_t *message)
{
    memcpy(noise->re, message, 32);
    mix_hash(noise, noise->re, 32);
}

/* Which bytes a message has besides its payload; messages_done tells which one is next. */
static size_t own_bytes(const struct td_noise *noise)
{
    static const size_t bytes[3] = {TD_NOISE_MESSAGE1_BYTES, TD_NOISE_MESSAGE2_BYTES,
                                    TD_NOISE_MESSAGE3_BYTES};

    TD_ASSERT(noise->messages_done < 3);
    return bytes[noise->messages_done];
}

static bool write_tokens(struct td_noise *noise, uint8_t *message, size_t *ret_used)
{
    switch (noise->messages_done) {
    case 0: /* -> e */
        *ret_used = 32;
        return write_e(noise, message);
    case 1: /* <- e, ee, s, es */
        if (!write_e(noise, message) || !mix_dh(noise, noise->e_secret, noise->re)) {
            return false;
        }
        *ret_used = 32 + encrypt_and_hash(noise, noise->s, 32, message + 32);
        return mix_dh(noise, noise->s_secret, noise->re);
    default: /* -> s, se */
        *ret_used = encrypt_and_hash(noise, noise->s, 32, message);
        return mix_dh(noise, noise->s_secret, noise->re);
    }
}

static bool read_tokens(struct td_noise *noise, const uint8_t *message, size_t *ret_used)
{
    switch (noise->messages_done) {
    case 0: /* -> e */
        read_e(noise, message);
        *ret_used = 32;
        return true;
    case 1: /* <- e, ee, s, es */
        read_e(noise, message);
        *ret_used = 32 + 48;
        return mix_dh(noise, noise->e_secret, noise->re) &&
               decrypt_and_hash(noise, message + 32, 48, noise->rs) &&
               mix_dh(noise, noise->e_secret, noise->rs);
    default: /* -> s, se */
        *ret_used = 48;
        return decrypt_and_hash(noise, message, 48, noise->rs) &&
               mix_dh(noise, noise->e_secret, noise->rs);
    }
}

enum td_err td_noise_write(struct td_noise *noise, struct td_bytes payload, uint8_t *ret_message,
                           size_t message_max, size_t *ret_count)
{
    size_t used = 0;

    TD_ASSERT(noise->initiator == (noise->messages_done % 2 == 0));
    if (message_max > TD_NOISE_MESSAGE_BYTES_MAX) {
        message_max = TD_NOISE_MESSAGE_BYTES_MAX;
    }
    if (own_bytes(noise) > message_max || payload.count > message_max - own_bytes(noise)) {
        return TD_ETOOBIG;
    }
    if (!write_tokens(noise, ret_message, &used)) {
        return TD_EHANDSHAKE;
    }
    used += encrypt_and_hash(noise, payload.bytes, payload.count, ret_message + used);
    noise->messages_done++;
    *ret_count = used;
    return TD_OK;
}

enum td_err td_noise_read(struct td_noise *noise, struct td_bytes message, uint8_t *ret_payload,
                          size_t payload_max, size_t *ret_count)
{
    size_t used = 0;

    TD_ASSERT(noise->initiator == (noise->messages_done % 2 == 1));
    size_t own = own_bytes(noise);
    if (message.count < own || message.count > TD_NOISE_MESSAGE_BYTES_MAX) {
        return TD_EHANDSHAKE;
    }
    if (message.count - own > payload_max) {
        return TD_ETOOBIG;
    }
    if (!read_tokens(noise, message.bytes, &used) ||
        !decrypt_and_hash(noise, message.bytes + used, message.count - used, ret_payload)) {
        return TD_EHANDSHAKE;
    }
    noise->messages_done++;
    *ret_count = message.count - own;
    return TD_OK;
}

/* 5.2 Split(): the first state is for what the initiator sends. */
void td_noise_split(struct td_noise *noise, struct td_noise_cipher *ret_send,
                    struct td_noise_cipher *ret_receive)
{
    uint8_t temp_k1[32];
    uint8_t temp_k2[32];
    static const uint8_t none[1];

    TD_ASSERT(noise->messages_done == 3);
    hkdf2(noise->ck, none, 0, temp_k1, temp_k2);
    initialize_key(noise->initiator ? ret_send : ret_receive, temp_k1);
    initialize_key(noise->initiator ? ret_receive : ret_send, temp_k2);
    sodium_memzero(temp_k1, sizeof temp_k1);
    sodium_memzero(temp_k2, sizeof temp_k2);
    sodium_memzero(noise->s_secret, sizeof noise->s_secret);
    sodium_memzero(noise->e_secret, sizeof noise->e_secret);
    sodium_memzero(noise->ck, sizeof noise->ck);
    sodium_memzero(&noise->cipher, sizeof noise->cipher);
}

void td_noise_wipe(struct td_noise *noise)
{
    sodium_memzero(noise, sizeof *noise);
}
