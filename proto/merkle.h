/* merkle.h -- the tree of RFC 9162 section 2.1 over leaf hashes: root, and root rebuilt from some
 * leaves plus the hashes of the absent subtrees. No heap, recursion depth at most log2(count). */
#ifndef TD_PROTO_MERKLE_H
#define TD_PROTO_MERKLE_H

#include "proto/sign.h"

/* The tree leaf by leaf, without the leaves at hand together. Zeroed at the start. */
struct td_merkle {
    uint32_t count;
    struct td_hash pending[32]; /* roots of the finished subtrees, one per set bit of count */
};
void td_merkle_add(struct td_merkle *tree, const struct td_hash *leaf,
                   const struct td_signer *signer);
/* At least one leaf was added. */
void td_merkle_finish(const struct td_merkle *tree, const struct td_signer *signer,
                      struct td_hash *ret_root);

void td_merkle_root(const struct td_hash *leaves, uint32_t count, const struct td_signer *signer,
                    struct td_hash *ret_root);
/* The hashes a thinned batch needs: one per maximal absent subtree, left to right. present[i] tells
 * whether leaf i is kept. Returns their number; at most hashes_max are written, more = UINT32_MAX.
 */
uint32_t td_merkle_absent(const struct td_hash *leaves, const bool *present, uint32_t count,
                          const struct td_signer *signer, struct td_hash *ret_hashes,
                          uint32_t hashes_max);
/* Root from the kept leaves (indexes ascending) and the absent subtrees' hashes. False when the
 * number of hashes does not fit exactly. */
TD_MUST_USE bool td_merkle_rebuild(const struct td_hash *kept, const uint32_t *indexes,
                                   uint32_t kept_count, uint32_t count,
                                   const struct td_hash *hashes, uint32_t hash_count,
                                   const struct td_signer *signer, struct td_hash *ret_root);

/* What a proof is: the kept leaves (indexes ascending) of count, and the absent subtrees' hashes.
 */
struct td_merkle_part {
    uint32_t count;
    uint32_t kept_count;
    const uint32_t *indexes;
    const struct td_hash *kept;
    uint32_t hash_count;
    const struct td_hash *hashes;
};
/* How many hashes a proof for these indexes has; the leaves do not matter for that. */
uint32_t td_merkle_hash_count(const uint32_t *indexes, uint32_t kept_count, uint32_t count);
/* The hashes of the proof that keeps only `keep` (ascending, each kept in part; at least one) out
 * of a valid part, left to right. ret_hashes has room for td_merkle_hash_count(keep, ...). */
void td_merkle_narrow(const struct td_merkle_part *part, const uint32_t *keep, uint32_t keep_count,
                      const struct td_signer *signer, struct td_hash *ret_hashes);

#endif
