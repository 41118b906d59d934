/* batch.h -- deltas signed together (PROTOCOL, "Batch"). Wire form, msgpack array:
 *   whole:   [0, header bin, signature bin(64), [delta bin, ...]]
 *   thinned: [1, header bin, signature bin(64), [delta bin, ...], [index, ...], [hash bin(32), ...]]
 * Thinned: indexes ascend; hashes are the roots of the maximal absent subtrees, left to right.
 * Header = msgpack array [version, cluster bin(16), region, key number, start, random, first seq,
 *   count, stamp ms, stamp counter, root bin(32)]; its exact bytes are what is signed.
 * Root: RFC 9162 2.1 over leaves BLAKE2b-256(0x00 || delta), nodes BLAKE2b-256(0x01 || l || r). */
#ifndef TD_PROTO_BATCH_H
#define TD_PROTO_BATCH_H

#include "proto/delta.h"

enum { TD_BATCH_VERSION = 1 };

struct td_batch_header {
    struct td_cluster_id cluster;
    struct td_origin origin;
    uint16_t key_number;
    uint64_t first_seq;
    uint32_t count;
    struct td_stamp stamp; /* of the newest delta */
    struct td_hash root;
};

/* Decoded batch; slices point into raw, arrays into the arena it was decoded with. */
struct td_batch {
    struct td_batch_header header;
    struct td_signature signature;
    struct td_bytes header_raw;
    struct td_bytes raw;
    bool whole;
    uint32_t present_count;
    const struct td_delta *deltas; /* present ones, ascending index */
};

/* Builds and signs a whole batch from deltas already encoded (delta.raw) with leaf set.
 * header.root is computed here. Returns bytes written, 0 when it does not fit. */
TD_MUST_USE size_t td_batch_build(struct td_batch_header *header, const struct td_delta *deltas,
                                  const struct td_signer *signer, void *bytes, size_t size_bytes,
                                  struct td_signature *ret_signature);
/* Header only (cheap): for already-held checks before any hashing. */
TD_MUST_USE enum td_err td_batch_peek(struct td_bytes raw, struct td_reader *reader,
                                      struct td_batch_header *ret_header);
/* Structure, leaves and root are checked; the signature is NOT (see td_batch_verify). Filled also with
 * TD_EBADSIG, a wrong root: only to say what was refused. */
TD_MUST_USE enum td_err td_batch_decode(struct td_bytes raw, const struct td_signer *signer,
                                        struct td_reader *reader, struct td_arena *arena,
                                        struct td_batch *ret_batch);
TD_MUST_USE bool td_batch_verify(const struct td_batch *batch, const struct td_signer *signer,
                                 const struct td_public_key *key);
/* Keeps only the deltas whose index is in keep (ascending, each present in batch). Returns bytes
 * written, 0 when it does not fit. Input may itself be thinned; scratch comes from arena. */
TD_MUST_USE size_t td_batch_thin(const struct td_batch *batch, const uint32_t *keep,
                                 uint32_t keep_count, const struct td_signer *signer,
                                 struct td_arena *arena, void *bytes, size_t size_bytes);
/* Whether two verified headers of one incarnation contradict each other (overlap, not equal). */
bool td_headers_equivocate(const struct td_batch_header *a, const struct td_batch_header *b);

#endif
