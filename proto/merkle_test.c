/* merkle_test.c -- the tree against RFC 9162's recursion written down naively, and proofs over
 * every subset of small trees. */
#include "proto/merkle.h"
#include "proto/test_main.h"

enum { SMALL = 10, LARGE = 300 };

static void make_leaves(struct td_test *test, struct td_hash *leaves, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        for (size_t b = 0; b < sizeof leaves[i].bytes; b++) {
            leaves[i].bytes[b] = (uint8_t)td_test_random(test);
        }
    }
}

/* MTH(D[n]) = HASH(0x01 || MTH(D[0:k]) || MTH(D[k:n])), k the largest power of two smaller than n.
 */
static struct td_hash naive_root(const struct td_signer *signer, const struct td_hash *leaves,
                                 uint32_t count)
{
    if (count == 1) {
        return leaves[0];
    }
    uint32_t split = 1;
    while (split * 2 < count) {
        split *= 2;
    }
    struct td_hash left = naive_root(signer, leaves, split);
    struct td_hash right = naive_root(signer, leaves + split, count - split);
    struct td_hash root;
    signer->hash(signer->self, 0x01, (struct td_bytes){left.bytes, 32},
                 (struct td_bytes){right.bytes, 32}, &root);
    return root;
}

static void test_root_follows_rfc_9162_for_every_count(void **state)
{
    struct td_test *test = *state;
    static struct td_hash leaves[LARGE];
    make_leaves(test, leaves, LARGE);
    for (uint32_t count = 1; count <= LARGE; count++) {
        struct td_hash want = naive_root(&test->signer, leaves, count);
        struct td_hash got;
        td_merkle_root(leaves, count, &test->signer, &got);
        assert_memory_equal(&got, &want, sizeof got);
    }
}

static uint32_t pick(const struct td_hash *leaves, uint32_t count, uint32_t mask,
                     struct td_hash *kept, uint32_t *indexes, bool *present)
{
    uint32_t kept_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        present[i] = (mask >> i & 1) != 0;
        if (present[i]) {
            kept[kept_count] = leaves[i];
            indexes[kept_count++] = i;
        }
    }
    return kept_count;
}

static void test_every_subset_of_small_trees_rebuilds_the_root(void **state)
{
    struct td_test *test = *state;
    struct td_hash leaves[SMALL];
    make_leaves(test, leaves, SMALL);
    for (uint32_t count = 1; count <= SMALL; count++) {
        struct td_hash want = naive_root(&test->signer, leaves, count);
        for (uint32_t mask = 1; mask < UINT32_C(1) << count; mask++) {
            struct td_hash kept[SMALL];
            struct td_hash hashes[SMALL];
            uint32_t indexes[SMALL];
            bool present[SMALL];
            struct td_hash got;
            uint32_t kept_count = pick(leaves, count, mask, kept, indexes, present);
            uint32_t hash_count =
                td_merkle_absent(leaves, present, count, &test->signer, hashes, SMALL);
            assert_int_equal(hash_count, td_merkle_hash_count(indexes, kept_count, count));
            assert_true(td_merkle_rebuild(kept, indexes, kept_count, count, hashes, hash_count,
                                          &test->signer, &got));
            assert_memory_equal(&got, &want, sizeof got);
            assert_false(td_merkle_rebuild(kept, indexes, kept_count, count, hashes, hash_count + 1,
                                           &test->signer, &got));
            if (hash_count > 0) {
                assert_false(td_merkle_rebuild(kept, indexes, kept_count, count, hashes,
                                               hash_count - 1, &test->signer, &got));
                assert_int_equal(
                    td_merkle_absent(leaves, present, count, &test->signer, hashes, hash_count - 1),
                    UINT32_MAX);
            }
        }
    }
}

static void check_narrow(struct td_test *test, const struct td_hash *leaves, uint32_t count,
                         uint32_t outer, uint32_t inner)
{
    struct td_hash kept[SMALL];
    struct td_hash hashes[SMALL];
    struct td_hash want[SMALL];
    struct td_hash got[SMALL];
    uint32_t indexes[SMALL];
    uint32_t keep[SMALL];
    bool present[SMALL];
    uint32_t keep_count = pick(leaves, count, inner, kept, keep, present);
    uint32_t want_count = td_merkle_absent(leaves, present, count, &test->signer, want, SMALL);
    uint32_t kept_count = pick(leaves, count, outer, kept, indexes, present);
    uint32_t hash_count = td_merkle_absent(leaves, present, count, &test->signer, hashes, SMALL);
    struct td_merkle_part part = {count, kept_count, indexes, kept, hash_count, hashes};
    td_merkle_narrow(&part, keep, keep_count, &test->signer, got);
    assert_memory_equal(got, want, want_count * sizeof *got);
}

static void test_thinning_in_two_steps_gives_the_proof_of_one(void **state)
{
    struct td_test *test = *state;
    struct td_hash leaves[8];
    make_leaves(test, leaves, 8);
    for (uint32_t count = 1; count <= 8; count++) {
        for (uint32_t outer = 1; outer < UINT32_C(1) << count; outer++) {
            for (uint32_t inner = outer; inner > 0; inner = (inner - 1) & outer) {
                check_narrow(test, leaves, count, outer, inner);
            }
        }
    }
}

static void test_indexes_out_of_order_or_range_are_refused(void **state)
{
    struct td_test *test = *state;
    struct td_hash leaves[4];
    struct td_hash hashes[4];
    struct td_hash root;
    make_leaves(test, leaves, 4);
    make_leaves(test, hashes, 4);
    static const uint32_t rows[][2] = {{1, 0}, {1, 1}, {0, 4}, {3, UINT32_MAX}};
    for (size_t i = 0; i < 4; i++) {
        for (uint32_t hash_count = 0; hash_count <= 4; hash_count++) {
            assert_false(
                td_merkle_rebuild(leaves, rows[i], 2, 4, hashes, hash_count, &test->signer, &root));
        }
    }
    assert_false(td_merkle_rebuild(leaves, rows[0], 0, 0, hashes, 0, &test->signer, &root));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TD_UNIT_TEST(test_root_follows_rfc_9162_for_every_count),
        TD_UNIT_TEST(test_every_subset_of_small_trees_rebuilds_the_root),
        TD_UNIT_TEST(test_thinning_in_two_steps_gives_the_proof_of_one),
        TD_UNIT_TEST(test_indexes_out_of_order_or_range_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
