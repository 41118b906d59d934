/* sign.h -- hashing and signatures behind one table, so that proto, log and core stay free of a
 * crypto library and the simulator can use a cheap keyed hash. sign_sodium.c is the real one.
 * All functions are thread-safe and never block. Context strings keep a signature made for one
 * purpose from being valid for another. */
#ifndef TD_PROTO_SIGN_H
#define TD_PROTO_SIGN_H

#include "proto/types.h"

#define TD_CONTEXT_BATCH "tidings/batch/1"
#define TD_CONTEXT_HEAD "tidings/head/1"
#define TD_CONTEXT_ROSTER "tidings/roster/1"
#define TD_CONTEXT_CARD "tidings/card/1"

struct td_signer {
    void *self;
    /* BLAKE2b-256(prefix || a || b). */
    void (*hash)(void *self, uint8_t prefix, struct td_bytes a, struct td_bytes b,
                 struct td_hash *ret_hash);
    /* Keyed 64-bit hash of a job id under the cluster id (SipHash-2-4): bucket and table key. */
    uint64_t (*job_hash)(void *self, struct td_text job);
    /* 128-bit checksum of a log record (SipHash128, fixed key): against bit rot, not attackers. */
    void (*checksum)(void *self, struct td_bytes a, struct td_bytes b, uint8_t ret_sum[16]);
    /* Ed25519 with our own key over context || 0x00 || bytes. */
    void (*sign)(void *self, const char *context, struct td_bytes bytes,
                 struct td_signature *ret_signature);
    /* Strict Ed25519 (libsodium's rules: S canonical, no small-order points). */
    bool (*verify)(void *self, const struct td_public_key *key, const char *context,
                   struct td_bytes bytes, const struct td_signature *signature);
};

#endif
