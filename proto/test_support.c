/* test_support.c -- the fixture of the codec's tests and its basic random values. */
#include "proto/test_support.h"

#include <stdlib.h>
#include <string.h>

#include "proto/assert.h"
#include "proto/delta.h"
#include "proto/order.h"

static struct td_public_key key_of_seed(uint8_t fill, struct td_secret **ret_secret)
{
    uint8_t seed[TD_SEED_BYTES];
    memset(seed, fill, sizeof seed);
    TD_ASSERT(td_secret_from_seed(seed, ret_secret) == TD_OK);
    return td_secret_identity(*ret_secret)->sign_key;
}

void td_test_open(struct td_test *test, uint64_t seed)
{
    *test = (struct td_test){.random_state = seed};
    TD_ASSERT(td_sodium_init() == TD_OK);
    struct td_secret *other = NULL;
    test->other_key = key_of_seed(2, &other);
    td_secret_free(other);
    test->key = key_of_seed(1, &test->secret);
    test->cluster = td_cluster_id_of(&test->key);
    test->sodium = (struct td_sodium_signer){test->secret, test->cluster};
    test->signer = td_sodium_signer(&test->sodium);
    test->reader = td_reader_alloc();
    test->out = malloc(TD_TEST_OUT_BYTES);
    test->out_again = malloc(TD_TEST_OUT_BYTES);
    void *made = malloc(TD_TEST_SCRATCH_BYTES);
    void *scratch = malloc(TD_TEST_SCRATCH_BYTES);
    TD_ASSERT(test->reader && test->out && test->out_again && made && scratch);
    td_arena_init(&test->made, made, TD_TEST_SCRATCH_BYTES);
    td_arena_init(&test->scratch, scratch, TD_TEST_SCRATCH_BYTES);
}

void td_test_close(struct td_test *test)
{
    free(test->scratch.bytes);
    free(test->made.bytes);
    free(test->out_again);
    free(test->out);
    td_reader_free(test->reader);
    td_secret_free(test->secret);
}

void td_test_reset(struct td_test *test)
{
    test->made.used_bytes = 0;
    test->scratch.used_bytes = 0;
}

/* splitmix64 */
uint64_t td_test_random(struct td_test *test)
{
    uint64_t mixed = test->random_state += UINT64_C(0x9e3779b97f4a7c15);
    mixed = (mixed ^ mixed >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ mixed >> 27) * UINT64_C(0x94d049bb133111eb);
    return mixed ^ mixed >> 31;
}

uint32_t td_test_below(struct td_test *test, uint32_t below)
{
    return (uint32_t)(td_test_random(test) % below);
}

uint64_t td_test_number(struct td_test *test, uint64_t max)
{
    uint64_t value = td_test_random(test) >> td_test_below(test, 64);
    return max == UINT64_MAX ? value : value % (max + 1);
}

bool td_test_chance(struct td_test *test)
{
    return td_test_below(test, 2) == 1;
}

static void *take(struct td_test *test, size_t count, size_t size)
{
    void *memory = td_arena_take(&test->made, count, size);
    TD_ASSERT(memory != NULL);
    return memory;
}

/* ASCII with some two- and four-byte characters. */
struct td_text td_test_text(struct td_test *test, uint32_t bytes_min, uint32_t bytes_max)
{
    uint32_t count = bytes_min + td_test_below(test, bytes_max - bytes_min + 1);
    char *bytes = take(test, count, 1);
    uint32_t at = 0;
    while (at < count) {
        uint32_t kind = td_test_below(test, 16);
        if (kind == 0 && count - at >= 2) {
            memcpy(bytes + at, "\xc3\xa9", 2);
            at += 2;
        } else if (kind == 1 && count - at >= 4) {
            memcpy(bytes + at, "\xf0\x9f\x93\xa6", 4);
            at += 4;
        } else {
            bytes[at++] = (char)(' ' + td_test_below(test, 95));
        }
    }
    return (struct td_text){bytes, count};
}

struct td_text td_test_literal(const char *text)
{
    return (struct td_text){text, (uint32_t)strlen(text)};
}

struct td_origin td_test_origin(struct td_test *test)
{
    struct td_origin origin;
    origin.region.v = (uint8_t)(1 + td_test_below(test, TD_REGION_NUMBER_MAX));
    origin.incarnation.start = (uint32_t)td_test_number(test, UINT32_MAX);
    origin.incarnation.random = (uint32_t)td_test_number(test, UINT32_MAX);
    return origin;
}

struct td_dot td_test_dot(struct td_test *test)
{
    struct td_dot dot = {td_test_origin(test), 1 + td_test_number(test, TD_SEQ_MAX - 1)};
    return dot;
}

struct td_stamp td_test_stamp(struct td_test *test)
{
    struct td_stamp stamp = {td_test_number(test, TD_STAMP_MS_MAX),
                             (uint32_t)td_test_number(test, UINT32_MAX)};
    return stamp;
}

static int compare_entries(const void *a, const void *b)
{
    const struct td_vv_entry *left = a;
    const struct td_vv_entry *right = b;
    return td_origin_compare(left->origin, right->origin);
}

void td_test_vv(struct td_test *test, uint32_t entries_max, struct td_vv *ret_vv)
{
    uint32_t want = td_test_below(test, entries_max + 1);
    struct td_vv_entry *entries = take(test, want, sizeof *entries);
    for (uint32_t i = 0; i < want; i++) {
        entries[i].origin = td_test_origin(test);
        entries[i].seq = 1 + td_test_number(test, TD_SEQ_MAX - 1);
    }
    if (want != 0) {
        qsort(entries, want, sizeof *entries, compare_entries);
    }
    uint32_t count = 0;
    for (uint32_t i = 0; i < want; i++) {
        if (i == 0 || compare_entries(&entries[i - 1], &entries[i]) != 0) {
            entries[count++] = entries[i];
        }
    }
    uint32_t fold_count = td_test_below(test, 4);
    struct td_vv_fold *folds = take(test, fold_count, sizeof *folds);
    for (uint32_t i = 0; i < fold_count; i++) {
        folds[i].region.v = (uint8_t)(1 + i * 50 + td_test_below(test, 50));
        folds[i].start_below = 1 + (uint32_t)td_test_number(test, UINT32_MAX - 1);
    }
    *ret_vv = (struct td_vv){count, fold_count, entries, folds};
}

static void make_labels(struct td_test *test, struct td_status *status)
{
    uint32_t count = td_test_below(test, TD_LABELS_MAX + 1);
    struct td_label *labels = take(test, count, sizeof *labels);
    for (uint32_t i = 0; i < count; i++) {
        struct td_text key = td_test_text(test, 2, 12);
        ((char *)(uintptr_t)key.bytes)[0] = (char)('A' + i); /* ascending and unique */
        if (((const uint8_t *)key.bytes)[1] >= 0x80) {
            key.count = 1;
        }
        labels[i].key = key;
        labels[i].value = td_test_text(test, 0, 40);
    }
    status->labels = labels;
    status->label_count = (uint8_t)count;
}

void td_test_status(struct td_test *test, struct td_status *ret_status)
{
    struct td_status status = {.state = (enum td_state)td_test_below(test, TD_STATE_COUNT)};
    status.progress_known = td_test_chance(test);
    status.progress = status.progress_known ? (uint16_t)td_test_number(test, TD_PROGRESS_MAX) : 0;
    make_labels(test, &status);
    status.detail = td_test_text(test, 0, TD_DETAIL_BYTES_MAX);
    status.parent = td_test_text(test, 0, TD_JOB_BYTES_MAX);
    status.writer = td_test_text(test, 0, TD_WRITER_BYTES_MAX);
    status.expect_every_s = (uint32_t)td_test_number(test, TD_EXPECT_EVERY_S_MAX);
    for (unsigned i = 0; i < TD_STATE_COUNT; i++) {
        status.entered_ms[i] = td_test_chance(test) ? td_test_number(test, TD_STAMP_MS_MAX) : 0;
    }
    TD_ASSERT(td_status_check(&status) == TD_OK);
    *ret_status = status;
}

static void make_clock(struct td_test *test, struct td_delta *delta)
{
    uint32_t count = td_test_below(test, 6);
    struct td_dot *clock = take(test, count, sizeof *clock);
    for (uint32_t i = 0; i < count; i++) {
        clock[i] = td_test_dot(test);
        clock[i].origin.region.v = (uint8_t)(1 + i * 40 + td_test_below(test, 40));
    }
    delta->clock = clock;
    delta->clock_count = (uint8_t)count;
}

void td_test_delta(struct td_test *test, struct td_delta *ret_delta)
{
    struct td_delta delta = {0};
    delta.job = td_test_text(test, 1, TD_JOB_BYTES_MAX);
    delta.attempt = (uint16_t)(1 + td_test_number(test, TD_ATTEMPT_MAX - 1));
    delta.flags = (uint8_t)td_test_below(test, 2);
    delta.client = (uint32_t)td_test_number(test, UINT32_MAX);
    delta.stamp = td_test_stamp(test);
    td_test_status(test, &delta.status);
    make_clock(test, &delta);
    uint8_t *bytes = take(test, TD_DELTA_BYTES_MAX, 1);
    size_t count = td_delta_encode(&delta, bytes, TD_DELTA_BYTES_MAX);
    TD_ASSERT(count != 0);
    delta.raw = (struct td_bytes){bytes, count};
    delta.job_hash = test->signer.job_hash(test->signer.self, delta.job);
    test->signer.hash(test->signer.self, 0x00, delta.raw, (struct td_bytes){NULL, 0}, &delta.leaf);
    *ret_delta = delta;
}

struct td_bytes td_test_batch(struct td_test *test, uint32_t count)
{
    struct td_batch_header header = {.cluster = test->cluster, .count = count};
    struct td_delta *deltas = take(test, count, sizeof *deltas);
    for (uint32_t i = 0; i < count; i++) {
        td_test_delta(test, &deltas[i]);
    }
    header.origin = td_test_origin(test);
    header.key_number = (uint16_t)td_test_number(test, UINT16_MAX);
    header.first_seq = 1 + td_test_number(test, TD_SEQ_MAX - count);
    header.stamp = td_test_stamp(test);
    struct td_signature signature;
    size_t size = 1024 + (size_t)count * (TD_DELTA_BYTES_MAX + 8);
    uint8_t *bytes = take(test, size, 1);
    size_t used = td_batch_build(&header, deltas, &test->signer, bytes, size, &signature);
    TD_ASSERT(used != 0);
    return (struct td_bytes){bytes, used};
}

void td_test_token(struct td_test *test, struct td_token *ret_token)
{
    struct td_token token = {0};
    token.seen.register_hash = td_test_number(test, UINT64_MAX);
    token.seen.rank = (uint8_t)td_test_below(test, 3);
    token.seen.stamp = td_test_stamp(test);
    token.seen.dot = td_test_dot(test);
    td_test_vv(test, 20, &token.has);
    *ret_token = token;
}
