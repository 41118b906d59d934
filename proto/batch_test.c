/* batch_test.c -- one signature covers whole and thinned batches; nothing can be altered or added.
 */
#include "proto/batch.h"
#include "proto/test_main.h"
#include "proto/writer.h"

enum { COUNT = 7 };

static enum td_err decode(struct td_test *test, struct td_bytes raw, struct td_batch *ret_batch)
{
    return td_batch_decode(raw, &test->signer, test->reader, &test->scratch, ret_batch);
}

static struct td_bytes thin(struct td_test *test, const struct td_batch *batch, uint32_t mask,
                            uint8_t *bytes)
{
    uint32_t keep[COUNT];
    uint32_t keep_count = 0;
    for (uint32_t i = 0; i < COUNT; i++) {
        if ((mask >> i & 1) != 0) {
            keep[keep_count++] = i;
        }
    }
    size_t count = td_batch_thin(batch, keep, keep_count, &test->signer, &test->scratch, bytes,
                                 TD_TEST_OUT_BYTES);
    assert_int_not_equal(count, 0);
    return (struct td_bytes){bytes, count};
}

static void test_whole_batch_decodes_and_verifies_with_its_key_only(void **state)
{
    struct td_test *test = *state;
    for (uint32_t count = 1; count <= 33; count++) {
        struct td_batch batch;
        struct td_batch_header peeked;
        td_test_reset(test);
        struct td_bytes raw = td_test_batch(test, count);
        assert_int_equal(decode(test, raw, &batch), TD_OK);
        assert_true(batch.whole);
        assert_int_equal(batch.present_count, count);
        assert_int_equal(batch.deltas[count - 1].index, count - 1);
        assert_true(td_batch_verify(&batch, &test->signer, &test->key));
        assert_false(td_batch_verify(&batch, &test->signer, &test->other_key));
        assert_int_equal(td_batch_peek(raw, test->reader, &peeked), TD_OK);
        assert_memory_equal(&peeked.root, &batch.header.root, sizeof peeked.root);
        assert_true(peeked.first_seq == batch.header.first_seq);
    }
}

static void test_every_thinning_and_rethinning_verifies_and_has_one_form(void **state)
{
    struct td_test *test = *state;
    struct td_batch whole;
    struct td_bytes raw = td_test_batch(test, COUNT);
    assert_int_equal(decode(test, raw, &whole), TD_OK);
    size_t mark = test->scratch.used_bytes;
    for (uint32_t outer = 1; outer < 1 << COUNT; outer++) {
        struct td_batch thinned;
        struct td_batch again;
        test->scratch.used_bytes = mark;
        struct td_bytes thin_raw = thin(test, &whole, outer, test->out);
        assert_int_equal(decode(test, thin_raw, &thinned), TD_OK);
        assert_int_equal(thinned.whole, outer == (1 << COUNT) - 1);
        assert_true(td_batch_verify(&thinned, &test->signer, &test->key));
        uint32_t inner = outer & (uint32_t)td_test_random(test);
        inner = inner == 0 ? outer & (~outer + 1) : inner;
        struct td_bytes twice = thin(test, &thinned, inner, test->out_again);
        assert_int_equal(decode(test, twice, &again), TD_OK);
        for (uint32_t i = 0, at = 0; i < COUNT; i++) {
            if ((inner >> i & 1) != 0) {
                assert_int_equal(again.deltas[at].index, i);
                assert_memory_equal(&again.deltas[at].leaf, &whole.deltas[i].leaf, 32);
                at++;
            }
        }
        struct td_bytes direct = thin(test, &whole, inner, test->out);
        assert_int_equal(direct.count, twice.count);
        assert_memory_equal(direct.bytes, twice.bytes, twice.count);
    }
}

static bool decodes_and_verifies(struct td_test *test, struct td_bytes raw)
{
    struct td_batch batch;
    test->scratch.used_bytes = 0;
    return decode(test, raw, &batch) == TD_OK && td_batch_verify(&batch, &test->signer, &test->key);
}

static void sweep(struct td_test *test, const uint8_t *original, size_t count)
{
    uint8_t *bytes = test->out_again;
    memcpy(bytes, original, count);
    assert_true(decodes_and_verifies(test, (struct td_bytes){bytes, count}));
    for (size_t bit = 0; bit < count * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        if (decodes_and_verifies(test, (struct td_bytes){bytes, count})) {
            fail_msg("bit %zu can be changed", bit);
        }
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t cut = 0; cut < count; cut++) {
        assert_false(decodes_and_verifies(test, (struct td_bytes){bytes, cut}));
    }
    bytes[count] = 0;
    assert_false(decodes_and_verifies(test, (struct td_bytes){bytes, count + 1}));
}

static void test_no_bit_of_a_batch_can_be_changed_whole_or_thinned(void **state)
{
    struct td_test *test = *state;
    struct td_batch whole;
    struct td_bytes raw;
    do {
        td_test_reset(test);
        raw = td_test_batch(test, COUNT);
    } while (raw.count > 4500);
    sweep(test, raw.bytes, raw.count);
    test->scratch.used_bytes = 0;
    assert_int_equal(decode(test, raw, &whole), TD_OK);
    struct td_bytes thinned = thin(test, &whole, 0x12, test->out);
    sweep(test, thinned.bytes, thinned.count);
}

static void test_batch_of_the_largest_size_decodes_and_larger_does_not_fit(void **state)
{
    struct td_test *test = *state;
    static struct td_delta deltas[TD_BATCH_DELTAS_MAX];
    struct td_delta one = {.job = td_test_literal("j"), .attempt = 1};
    struct td_batch_header header = {.cluster = test->cluster,
                                     .origin = {{1}, {1, 1}},
                                     .first_seq = TD_SEQ_MAX - TD_BATCH_DELTAS_MAX + 1,
                                     .count = TD_BATCH_DELTAS_MAX};
    uint8_t bytes[64];
    one.raw = (struct td_bytes){bytes, td_delta_encode(&one, bytes, sizeof bytes)};
    test->signer.hash(test->signer.self, 0, one.raw, (struct td_bytes){NULL, 0}, &one.leaf);
    for (uint32_t i = 0; i < TD_BATCH_DELTAS_MAX; i++) {
        deltas[i] = one;
    }
    struct td_signature signature;
    struct td_batch batch;
    size_t count =
        td_batch_build(&header, deltas, &test->signer, test->out, TD_TEST_OUT_BYTES, &signature);
    assert_int_not_equal(count, 0);
    assert_int_equal(decode(test, (struct td_bytes){test->out, count}, &batch), TD_OK);
    assert_int_equal(batch.present_count, TD_BATCH_DELTAS_MAX);
    assert_int_equal(
        td_batch_build(&header, deltas, &test->signer, test->out, count - 1, &signature), 0);
}

/* The envelope written by hand around a real header, signature and deltas. */
static struct td_bytes write_envelope(struct td_test *test, const struct td_batch *batch,
                                      uint32_t kind, uint32_t delta_count, uint32_t index_count,
                                      uint32_t hash_count)
{
    struct td_writer writer;
    td_writer_init(&writer, test->out, TD_TEST_OUT_BYTES);
    td_writer_array(&writer, kind == 0 ? 4 : 6);
    td_writer_uint(&writer, kind);
    td_writer_bin(&writer, batch->header_raw);
    td_writer_bin(&writer, (struct td_bytes){batch->signature.bytes, 64});
    td_writer_array(&writer, delta_count);
    for (uint32_t i = 0; i < delta_count; i++) {
        td_writer_bin(&writer, batch->deltas[i % batch->present_count].raw);
    }
    if (kind == 1) {
        td_writer_array(&writer, index_count);
        for (uint32_t i = 0; i < index_count; i++) {
            td_writer_uint(&writer, i);
        }
        td_writer_array(&writer, hash_count);
        for (uint32_t i = 0; i < hash_count; i++) {
            td_writer_bin(&writer, (struct td_bytes){batch->deltas[0].leaf.bytes, 32});
        }
    }
    return (struct td_bytes){test->out, td_writer_done(&writer)};
}

static void test_counts_that_do_not_fit_the_header_are_refused(void **state)
{
    struct td_test *test = *state;
    struct td_batch whole;
    struct td_batch got;
    assert_int_equal(decode(test, td_test_batch(test, 4), &whole), TD_OK);
    assert_int_equal(decode(test, write_envelope(test, &whole, 0, 4, 0, 0), &got), TD_OK);
    for (uint32_t deltas = 0; deltas <= 5; deltas++) {
        if (deltas != 4) {
            assert_int_not_equal(decode(test, write_envelope(test, &whole, 0, deltas, 0, 0), &got),
                                 TD_OK);
        }
        for (uint32_t indexes = 0; indexes <= 5; indexes++) {
            for (uint32_t hashes = 0; hashes <= 3; hashes++) {
                struct td_bytes raw = write_envelope(test, &whole, 1, deltas, indexes, hashes);
                enum td_err err = decode(test, raw, &got);
                /* One hash fits behind the first two of four; it is the wrong one. */
                bool shape = deltas == indexes &&
                             ((deltas == 2 && hashes == 1) || (deltas == 3 && hashes == 1) ||
                              (deltas == 1 && hashes == 2));
                assert_int_not_equal(err, TD_OK);
                assert_int_equal(err == TD_EBADSIG, shape);
            }
        }
    }
}

static void test_overlapping_unequal_headers_equivocate(void **state)
{
    (void)state;
    const struct td_batch_header base = {.origin = {{1}, {2, 3}}, .first_seq = 10, .count = 5};
    struct td_batch_header other = base;
    assert_false(td_headers_equivocate(&base, &other));
    other.root.bytes[0] = 1;
    assert_true(td_headers_equivocate(&base, &other));
    other.first_seq = 14;
    assert_true(td_headers_equivocate(&base, &other));
    assert_true(td_headers_equivocate(&other, &base));
    other.first_seq = 15;
    assert_false(td_headers_equivocate(&base, &other));
    assert_false(td_headers_equivocate(&other, &base));
    other = base;
    other.root.bytes[0] = 1;
    other.origin.incarnation.random = 4;
    assert_false(td_headers_equivocate(&base, &other));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TD_UNIT_TEST(test_whole_batch_decodes_and_verifies_with_its_key_only),
        TD_UNIT_TEST(test_every_thinning_and_rethinning_verifies_and_has_one_form),
        TD_UNIT_TEST(test_no_bit_of_a_batch_can_be_changed_whole_or_thinned),
        TD_UNIT_TEST(test_batch_of_the_largest_size_decodes_and_larger_does_not_fit),
        TD_UNIT_TEST(test_counts_that_do_not_fit_the_header_are_refused),
        TD_UNIT_TEST(test_overlapping_unequal_headers_equivocate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
