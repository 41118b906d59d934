/* chunk_test.c -- what a transfer chunk may make a node allocate and believe. */
#include "node/daemon/chunk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include <cmocka.h>

#include "proto/limits.h"

/* Zeros or noise, compressed; *ret_packed is to be freed. */
static size_t pack(size_t bytes, bool noise, uint8_t **ret_packed)
{
    uint8_t *plain = calloc(bytes, 1);
    assert_non_null(plain);
    uint32_t seed = 1;
    for (size_t i = 0; noise && i < bytes; i++) {
        seed = seed * 1664525 + 1013904223;
        plain[i] = (uint8_t)(seed >> 24);
    }
    *ret_packed = malloc(ZSTD_compressBound(bytes));
    assert_non_null(*ret_packed);
    size_t count = ZSTD_compress(*ret_packed, ZSTD_compressBound(bytes), plain, bytes, 1);
    assert_false(ZSTD_isError(count));
    free(plain);
    return count;
}

static enum td_err inflate(size_t plain_bytes, bool noise, uint32_t declared_bytes)
{
    uint8_t *packed = NULL;
    uint8_t *out = NULL;
    size_t count = pack(plain_bytes, noise, &packed);
    enum td_err err = td_chunk_inflate((struct td_bytes){ packed, count }, declared_bytes, &out);
    free(packed);
    free(out);
    return err;
}

static void test_an_honest_chunk_comes_out_as_it_went_in(void **state)
{
    uint8_t plain[5000], *packed = malloc(ZSTD_compressBound(sizeof plain)), *out = NULL;
    (void)state;
    for (size_t i = 0; i < sizeof plain; i++) {
        plain[i] = (uint8_t)(i * i >> 3);
    }
    assert_non_null(packed);
    size_t count = ZSTD_compress(packed, ZSTD_compressBound(sizeof plain), plain, sizeof plain, 1);
    assert_int_equal(td_chunk_inflate((struct td_bytes){ packed, count }, sizeof plain, &out), TD_OK);
    assert_memory_equal(out, plain, sizeof plain);
    free(out);
    free(packed);
}

static void test_a_bomb_is_refused_by_its_ratio_and_by_its_size(void **state)
{
    (void)state;
    assert_int_equal(inflate(1 << 20, false, 1 << 20), TD_EFORMAT); /* a few hundred bytes of zeros */
    assert_int_equal(inflate(TD_CHUNK_BYTES_MAX + 1, true, TD_CHUNK_BYTES_MAX + 1), TD_EFORMAT);
    assert_int_equal(inflate(1 << 20, true, 1 << 20), TD_OK);
}

static void test_a_declared_size_that_is_not_the_real_one_is_refused(void **state)
{
    (void)state;
    assert_int_equal(inflate(10000, true, 9999), TD_EFORMAT);
    assert_int_equal(inflate(10000, true, 10001), TD_EFORMAT);
    assert_int_equal(inflate(10000, true, 0), TD_EFORMAT);
    assert_int_equal(inflate(10000, true, UINT32_MAX), TD_EFORMAT);
}

static void test_broken_compressed_bytes_are_refused(void **state)
{
    uint8_t *packed = NULL, *out = NULL;
    (void)state;
    size_t count = pack(10000, true, &packed);
    assert_int_equal(td_chunk_inflate((struct td_bytes){ packed, count - 1 }, 10000, &out), TD_EFORMAT);
    packed[0] ^= 1;
    assert_int_equal(td_chunk_inflate((struct td_bytes){ packed, count }, 10000, &out), TD_EFORMAT);
    free(packed);
}

static enum td_err split(const uint8_t *bytes, size_t count, size_t parts_max, size_t *ret_count)
{
    struct td_bytes parts[8];
    assert_true(parts_max <= 8);
    /* A copy of exactly this size, so that a read beyond it shows under a sanitizer. */
    uint8_t *exact = malloc(count + 1);
    assert_non_null(exact);
    uint8_t *tight = realloc(exact, count > 0 ? count : 1);
    assert_non_null(tight);
    memcpy(tight, bytes, count);
    enum td_err err = td_chunk_split((struct td_bytes){ tight, count }, parts, parts_max, ret_count);
    free(tight);
    return err;
}

static void test_content_is_cut_at_its_lengths(void **state)
{
    static const uint8_t two[] = { 0, 0, 0, 3, 'a', 'b', 'c', 0, 0, 0, 1, 'd' };
    struct td_bytes parts[2];
    size_t count = 0;
    (void)state;
    assert_int_equal(td_chunk_split((struct td_bytes){ two, sizeof two }, parts, 2, &count), TD_OK);
    assert_int_equal(count, 2);
    assert_int_equal(parts[0].count, 3);
    assert_memory_equal(parts[0].bytes, "abc", 3);
    assert_memory_equal(parts[1].bytes, "d", 1);
    assert_int_equal(split(two, 0, 2, &count), TD_OK);
    assert_int_equal(count, 0);
}

static void test_lengths_that_do_not_come_out_even_are_refused(void **state)
{
    static const uint8_t two[] = { 0, 0, 0, 3, 'a', 'b', 'c', 0, 0, 0, 1, 'd' };
    static const uint8_t empty[] = { 0, 0, 0, 0 };
    static const uint8_t huge[] = { 0xff, 0xff, 0xff, 0xff, 'a' };
    size_t count = 0;
    (void)state;
    for (size_t cut = 1; cut < sizeof two; cut++) {
        assert_int_equal(split(two, cut, 8, &count), cut == 7 ? TD_OK : TD_EFORMAT);
    }
    assert_int_equal(split(two, sizeof two, 1, &count), TD_EFORMAT);
    assert_int_equal(split(empty, sizeof empty, 8, &count), TD_EFORMAT);
    assert_int_equal(split(huge, sizeof huge, 8, &count), TD_EFORMAT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_honest_chunk_comes_out_as_it_went_in),
        cmocka_unit_test(test_a_bomb_is_refused_by_its_ratio_and_by_its_size),
        cmocka_unit_test(test_a_declared_size_that_is_not_the_real_one_is_refused),
        cmocka_unit_test(test_broken_compressed_bytes_are_refused),
        cmocka_unit_test(test_content_is_cut_at_its_lengths),
        cmocka_unit_test(test_lengths_that_do_not_come_out_even_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
