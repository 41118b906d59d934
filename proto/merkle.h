/* merkle.h -- the tree of RFC 9162 section 2.1 over leaf hashes: root, and root rebuilt from some
 * leaves plus the hashes of the absent subtrees. No heap, recursion depth at most log2(count). */
#ifndef TD_PROTO_MERKLE_H
#define TD_PROTO_MERKLE_H

#include "proto/sign.h"

void td_merkle_root(const struct td_hash *leaves, uint32_t count, const struct td_signer *signer,
                    struct td_hash *ret_root);
/* The hashes a thinned batch needs: one per maximal absent subtree, left to right. present[i] tells
 * whether leaf i is kept. Returns their number; at most hashes_max are written, more = UINT32_MAX. */
uint32_t td_merkle_absent(const struct td_hash *leaves, const bool *present, uint32_t count,
                          const struct td_signer *signer, struct td_hash *ret_hashes,
                          uint32_t hashes_max);
/* Root from the kept leaves (indexes ascending) and the absent subtrees' hashes. False when the
 * number of hashes does not fit exactly. */
TD_MUST_USE bool td_merkle_rebuild(const struct td_hash *kept, const uint32_t *indexes,
                                   uint32_t kept_count, uint32_t count, const struct td_hash *hashes,
                                   uint32_t hash_count, const struct td_signer *signer,
                                   struct td_hash *ret_root);

#endif
