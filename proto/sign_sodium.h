/* sign_sodium.h -- the real td_signer, keys and their text form. Uses libsodium. Secrets live in
 * memory obtained from sodium_malloc and are wiped on close. */
#ifndef TD_PROTO_SIGN_SODIUM_H
#define TD_PROTO_SIGN_SODIUM_H

#include "proto/err.h"
#include "proto/sign.h"

enum { TD_SEED_BYTES = 32, TD_KEY_TEXT_BYTES = 160 };

/* Both public keys of one 32-byte seed; text form `tdpk1:` + base64url(sign || link || checksum4). */
struct td_identity {
    struct td_public_key sign_key; /* Ed25519 */
    struct td_public_key link_key; /* X25519 */
};

/* Private half: Ed25519 secret key and X25519 secret key, derived from the seed by keyed BLAKE2b with
 * the labels "tidings/sign/1" and "tidings/link/1". */
struct td_secret;

/* Once per process before anything else here; also runs the known-answer self-test. */
TD_MUST_USE enum td_err td_sodium_init(void);
TD_MUST_USE enum td_err td_secret_from_seed(const uint8_t seed[TD_SEED_BYTES], struct td_secret **ret_secret);
TD_MUST_USE enum td_err td_secret_generate(uint8_t ret_seed[TD_SEED_BYTES], struct td_secret **ret_secret);
void td_secret_free(struct td_secret *secret); /* NULL is fine; wipes */
const struct td_identity *td_secret_identity(const struct td_secret *secret);
/* X25519 secret for the handshake; owned by secret. */
const uint8_t *td_secret_link_key(const struct td_secret *secret);

/* A signer with this secret (may be NULL: verify only) for this cluster. Borrows secret. */
struct td_sodium_signer {
    const struct td_secret *secret;
    struct td_cluster_id cluster;
};
struct td_signer td_sodium_signer(struct td_sodium_signer *self);

struct td_cluster_id td_cluster_id_of(const struct td_public_key *root_sign_key);

/* ret_text gets a NUL-terminated string. Decoders check prefix, length, alphabet and checksum. */
void td_identity_to_text(const struct td_identity *identity, char ret_text[TD_KEY_TEXT_BYTES]);
TD_MUST_USE enum td_err td_identity_from_text(const char *text, struct td_identity *ret_identity);

/* Key file rules (THREATS): regular file, no symlink, owned by euid, mode & 077 == 0, one tdsk1: line.
 * On failure ret_why gets one sentence (what, where). create uses O_EXCL, 0600, fsync file and dir. */
TD_MUST_USE enum td_err td_key_file_read(const char *path, struct td_secret **ret_secret,
                                         char *ret_why, size_t why_bytes);
TD_MUST_USE enum td_err td_key_file_create(const char *path, struct td_secret **ret_secret,
                                           char *ret_why, size_t why_bytes);

/* base64url without padding, for tokens and keys. Returns bytes written, or 0 on bad input. */
size_t td_base64url_encode(struct td_bytes bytes, char *ret_text, size_t text_bytes);
size_t td_base64url_decode(const char *text, size_t text_count, uint8_t *ret_bytes, size_t bytes_max);
/* System randomness. */
void td_random_bytes(void *ret_bytes, size_t count);

#endif
