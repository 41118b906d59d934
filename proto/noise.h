/* noise.h -- Noise_XX_25519_ChaChaPoly_SHA256 (The Noise Protocol Framework, revision 34). Only
 * this one pattern and suite; sections cited are of that document. No I/O, no heap. Not
 * thread-safe, but the two cipher states of a finished handshake are independent of each other. */
#ifndef TD_PROTO_NOISE_H
#define TD_PROTO_NOISE_H

#include "proto/err.h"
#include "proto/types.h"

enum {
    TD_NOISE_KEY_BYTES = 32,
    TD_NOISE_HASH_BYTES = 32,
    TD_NOISE_TAG_BYTES = 16,
    /* Sizes on the wire of the three messages around their payloads. */
    TD_NOISE_MESSAGE1_BYTES = 32,           /* e */
    TD_NOISE_MESSAGE2_BYTES = 32 + 48 + 16, /* e, s, tag of the payload */
    TD_NOISE_MESSAGE3_BYTES = 48 + 16,      /* s, tag of the payload */
};

/* 5.1: CipherState. */
struct td_noise_cipher {
    uint8_t k[TD_NOISE_KEY_BYTES];
    uint64_t n;
    bool has_key;
};

/* 5.3: HandshakeState, with the SymmetricState of 5.2 inside. */
struct td_noise {
    struct td_noise_cipher cipher;
    uint8_t ck[TD_NOISE_HASH_BYTES];
    uint8_t h[TD_NOISE_HASH_BYTES];
    uint8_t s_secret[32];
    uint8_t s[32];
    uint8_t e_secret[32];
    uint8_t e[32];
    uint8_t rs[32]; /* the other side's static key, proven once its message was read */
    uint8_t re[32];
    bool initiator;
    bool e_given;
    uint8_t messages_done; /* 3 = finished */
};

/* Copies the static key pair; td_noise_wipe forgets it. */
void td_noise_init(struct td_noise *noise, bool initiator, struct td_bytes prologue,
                   const uint8_t s_secret[32], const uint8_t s[32]);
/* Test vectors only: this ephemeral key instead of a random one. */
void td_noise_give_ephemeral(struct td_noise *noise, const uint8_t e_secret[32]);
/* Writes the next message to ret_message (payload + the message's own bytes must fit, and at most
 * 65535). TD_EHANDSHAKE: a key of the other side is unusable. */
TD_MUST_USE enum td_err td_noise_write(struct td_noise *noise, struct td_bytes payload,
                                       uint8_t *ret_message, size_t message_max, size_t *ret_count);
/* Reads the next message. On failure nothing of noise may be used any more but td_noise_wipe. */
TD_MUST_USE enum td_err td_noise_read(struct td_noise *noise, struct td_bytes message,
                                      uint8_t *ret_payload, size_t payload_max, size_t *ret_count);
/* After the third message: the cipher states of both directions. Wipes the handshake's secrets. */
void td_noise_split(struct td_noise *noise, struct td_noise_cipher *ret_send,
                    struct td_noise_cipher *ret_receive);
void td_noise_wipe(struct td_noise *noise);

/* Transport messages (empty associated data). ret_sealed gets count + 16 bytes. 2^64-1 nonces
 * cannot be used up. */
void td_noise_seal(struct td_noise_cipher *cipher, const uint8_t *plain, size_t count,
                   uint8_t *ret_sealed);
/* ret_plain gets count - 16 bytes and may be sealed itself. */
TD_MUST_USE enum td_err td_noise_open(struct td_noise_cipher *cipher, const uint8_t *sealed,
                                      size_t count, uint8_t *ret_plain);
/* 4.2 and 11.3: REKEY; the nonce goes on. */
void td_noise_rekey(struct td_noise_cipher *cipher);

#endif
