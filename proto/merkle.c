/* merkle.c -- RFC 9162 section 2.1: the left subtree of n leaves has the largest power of two below
 * n. All walks go left to right, so indexes and hashes are consumed by cursors and never searched.
 */
#include "proto/merkle.h"

#include "proto/assert.h"

enum { NODE_PREFIX = 0x01 };

static void node_hash(const struct td_signer *signer, const struct td_hash *left,
                      const struct td_hash *right, struct td_hash *ret_hash)
{
    struct td_bytes a = {left->bytes, sizeof left->bytes};
    struct td_bytes b = {right->bytes, sizeof right->bytes};
    struct td_hash hash;
    signer->hash(signer->self, NODE_PREFIX, a, b, &hash);
    *ret_hash = hash;
}

/* Largest power of two smaller than count (count >= 2). */
static uint32_t split_of(uint32_t count)
{
    uint32_t split = 1;
    while (split < count - split) {
        split *= 2;
    }
    return split;
}

/* ---- root ---- */

void td_merkle_add(struct td_merkle *tree, const struct td_hash *leaf,
                   const struct td_signer *signer)
{
    TD_ASSERT(tree->count < UINT32_MAX);
    struct td_hash carry = *leaf;
    unsigned level = 0;
    for (; (tree->count >> level & 1) != 0; level++) {
        node_hash(signer, &tree->pending[level], &carry, &carry);
    }
    tree->pending[level] = carry;
    tree->count++;
}

void td_merkle_finish(const struct td_merkle *tree, const struct td_signer *signer,
                      struct td_hash *ret_root)
{
    TD_ASSERT(tree->count > 0);
    unsigned level = 0;
    while ((tree->count >> level & 1) == 0) {
        level++;
    }
    struct td_hash root = tree->pending[level];
    for (level++; level < 32; level++) {
        if ((tree->count >> level & 1) != 0) {
            node_hash(signer, &tree->pending[level], &root, &root);
        }
    }
    *ret_root = root;
}

void td_merkle_root(const struct td_hash *leaves, uint32_t count, const struct td_signer *signer,
                    struct td_hash *ret_root)
{
    struct td_merkle tree;
    tree.count = 0; /* pending needs no clearing: only the levels of set bits are read */
    for (uint32_t i = 0; i < count; i++) {
        td_merkle_add(&tree, &leaves[i], signer);
    }
    td_merkle_finish(&tree, signer, ret_root);
}

/* ---- proofs ---- */

struct walk {
    const struct td_signer *signer;
    const uint32_t *indexes;
    uint32_t index_count;
    uint32_t index_at;
    const struct td_hash *kept;
    const struct td_hash *hashes;
    uint32_t hash_count;
    uint32_t hash_at;
    bool short_of_hashes;
};

static bool holds_any(const struct walk *walk, uint64_t end)
{
    return walk->index_at < walk->index_count && walk->indexes[walk->index_at] < end;
}

/* Root of the leaves [start, start + count), taking what it passes from the cursors. */
static void rebuild(struct walk *walk, uint32_t start, uint32_t count, struct td_hash *ret_hash)
{
    if (!holds_any(walk, (uint64_t)start + count)) {
        if (walk->hash_at == walk->hash_count) {
            walk->short_of_hashes = true;
            *ret_hash = (struct td_hash){{0}};
            return;
        }
        *ret_hash = walk->hashes[walk->hash_at++];
        return;
    }
    if (count == 1) {
        *ret_hash = walk->kept[walk->index_at++];
        return;
    }
    struct td_hash left;
    struct td_hash right;
    uint32_t split = split_of(count);
    rebuild(walk, start, split, &left);
    rebuild(walk, start + split, count - split, &right);
    if (!walk->short_of_hashes) {
        node_hash(walk->signer, &left, &right, ret_hash);
    }
}

static bool indexes_valid(const uint32_t *indexes, uint32_t kept_count, uint32_t count)
{
    for (uint32_t i = 0; i < kept_count; i++) {
        if (indexes[i] >= count || (i > 0 && indexes[i - 1] >= indexes[i])) {
            return false;
        }
    }
    return true;
}

bool td_merkle_rebuild(const struct td_hash *kept, const uint32_t *indexes, uint32_t kept_count,
                       uint32_t count, const struct td_hash *hashes, uint32_t hash_count,
                       const struct td_signer *signer, struct td_hash *ret_root)
{
    if (count == 0 || !indexes_valid(indexes, kept_count, count)) {
        return false;
    }
    struct walk walk = {signer, indexes, kept_count, 0, kept, hashes, hash_count, 0, false};
    struct td_hash root;
    rebuild(&walk, 0, count, &root);
    if (walk.short_of_hashes || walk.hash_at != hash_count) {
        return false;
    }
    TD_ASSERT(walk.index_at == kept_count);
    *ret_root = root;
    return true;
}

static uint32_t count_absent(struct walk *walk, uint32_t start, uint32_t count)
{
    if (!holds_any(walk, (uint64_t)start + count)) {
        return 1;
    }
    if (count == 1) {
        walk->index_at++;
        return 0;
    }
    uint32_t split = split_of(count);
    uint32_t left = count_absent(walk, start, split);
    return left + count_absent(walk, start + split, count - split);
}

uint32_t td_merkle_hash_count(const uint32_t *indexes, uint32_t kept_count, uint32_t count)
{
    TD_ASSERT(count > 0);
    TD_ASSERT(indexes_valid(indexes, kept_count, count));
    struct walk walk = {NULL, indexes, kept_count, 0, NULL, NULL, 0, 0, false};
    return count_absent(&walk, 0, count);
}

/* `wanted` walks over what stays, `known` over what is there: a subtree that loses its last leaf is
 * rebuilt from known into one hash. */
static void narrow(struct walk *wanted, struct walk *known, uint32_t start, uint32_t count,
                   struct td_hash **next)
{
    if (!holds_any(wanted, (uint64_t)start + count)) {
        rebuild(known, start, count, *next);
        (*next)++;
        return;
    }
    if (count == 1) {
        wanted->index_at++;
        known->index_at++;
        return;
    }
    uint32_t split = split_of(count);
    narrow(wanted, known, start, split, next);
    narrow(wanted, known, start + split, count - split, next);
}

void td_merkle_narrow(const struct td_merkle_part *part, const uint32_t *keep, uint32_t keep_count,
                      const struct td_signer *signer, struct td_hash *ret_hashes)
{
    TD_ASSERT(keep_count > 0);
    TD_ASSERT(indexes_valid(keep, keep_count, part->count));
    struct walk wanted = {signer, keep, keep_count, 0, NULL, NULL, 0, 0, false};
    struct walk known = {signer,     part->indexes, part->kept_count, 0,
                         part->kept, part->hashes,  part->hash_count, 0,
                         false};
    narrow(&wanted, &known, 0, part->count, &ret_hashes);
    TD_ASSERT(wanted.index_at == keep_count);
    TD_ASSERT(known.index_at == part->kept_count);
    TD_ASSERT(known.hash_at == part->hash_count);
    TD_ASSERT(!known.short_of_hashes);
}

struct absent {
    const struct td_hash *leaves;
    const bool *present;
    const struct td_signer *signer;
    struct td_hash *hashes;
    uint32_t hashes_max;
    uint32_t count;
};

static bool any_present(const bool *present, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (present[i]) {
            return true;
        }
    }
    return false;
}

static void collect_absent(struct absent *absent, uint32_t start, uint32_t count)
{
    if (any_present(absent->present + start, count)) {
        if (count > 1) {
            uint32_t split = split_of(count);
            collect_absent(absent, start, split);
            collect_absent(absent, start + split, count - split);
        }
        return;
    }
    if (absent->count < absent->hashes_max) {
        td_merkle_root(absent->leaves + start, count, absent->signer,
                       &absent->hashes[absent->count]);
    }
    absent->count++;
}

uint32_t td_merkle_absent(const struct td_hash *leaves, const bool *present, uint32_t count,
                          const struct td_signer *signer, struct td_hash *ret_hashes,
                          uint32_t hashes_max)
{
    TD_ASSERT(count > 0);
    struct absent absent = {leaves, present, signer, ret_hashes, hashes_max, 0};
    collect_absent(&absent, 0, count);
    return absent.count > hashes_max ? UINT32_MAX : absent.count;
}
