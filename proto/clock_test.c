/* clock_test.c -- version vectors against a naive model: a lookup over a small universe of dots. */
#include "proto/clock.h"
#include "proto/test_main.h"

enum { REGIONS = 3, STARTS = 3, SEQS = 4 };

struct small {
    struct td_vv vv;
    struct td_vv_entry entries[REGIONS * STARTS];
    struct td_vv_fold folds[REGIONS];
};

static void make_small(struct td_test *test, struct small *small)
{
    uint32_t entry_count = 0;
    uint32_t fold_count = 0;
    for (uint8_t region = 1; region <= REGIONS; region++) {
        uint32_t below = 0;
        if (td_test_below(test, 3) == 0) {
            below = 1 + td_test_below(test, STARTS);
            small->folds[fold_count++] = (struct td_vv_fold){{region}, below};
        }
        for (uint32_t start = below; start < STARTS; start++) {
            uint64_t seq = td_test_below(test, SEQS);
            if (seq != 0) {
                small->entries[entry_count++] = (struct td_vv_entry){{{region}, {start, 7}}, seq};
            }
        }
    }
    small->vv = (struct td_vv){entry_count, fold_count, small->entries, small->folds};
}

/* What the vector says of one origin, by looking at everything. */
static uint64_t naive_seq(const struct td_vv *vv, struct td_origin origin)
{
    for (uint32_t i = 0; i < vv->fold_count; i++) {
        if (vv->folds[i].region.v == origin.region.v &&
            origin.incarnation.start < vv->folds[i].start_below) {
            return TD_SEQ_MAX;
        }
    }
    for (uint32_t i = 0; i < vv->entry_count; i++) {
        const struct td_vv_entry *entry = &vv->entries[i];
        if (entry->origin.region.v == origin.region.v &&
            entry->origin.incarnation.start == origin.incarnation.start &&
            entry->origin.incarnation.random == origin.incarnation.random) {
            return entry->seq;
        }
    }
    return 0;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static void check_pair(const struct td_vv *a, const struct td_vv *b)
{
    struct td_vv_entry entries[2 * REGIONS * STARTS];
    struct td_vv_fold folds[REGIONS];
    struct td_vv merged;
    bool covers = true;
    assert_true(td_vv_merge(a, b, entries, 2 * REGIONS * STARTS, folds, REGIONS, &merged));
    assert_true(td_vv_valid(&merged));
    for (uint8_t region = 1; region <= REGIONS; region++) {
        for (uint32_t start = 0; start < STARTS; start++) {
            struct td_origin origin = {{region}, {start, 7}};
            uint64_t in_a = naive_seq(a, origin);
            uint64_t in_b = naive_seq(b, origin);
            assert_int_equal(td_vv_seq(a, origin), in_a);
            assert_int_equal(td_vv_seq(&merged, origin), larger(in_a, in_b));
            assert_int_equal(td_vv_covers_dot(a, (struct td_dot){origin, 2}), in_a >= 2);
            covers = covers && in_a >= in_b;
        }
    }
    /* A fold says more than its entries, so only one direction follows from the dots. */
    if (td_vv_covers(a, b)) {
        assert_true(covers);
    }
    if (covers && b->fold_count == 0) {
        assert_true(td_vv_covers(a, b));
    }
    assert_true(td_vv_covers(&merged, a));
    assert_true(td_vv_covers(&merged, b));
    assert_int_equal(td_vv_equal(a, b), td_vv_covers(a, b) && td_vv_covers(b, a));
}

static void test_merge_and_cover_agree_with_the_naive_model(void **state)
{
    struct td_test *test = *state;
    for (int round = 0; round < 20000; round++) {
        struct small a;
        struct small b;
        make_small(test, &a);
        make_small(test, &b);
        check_pair(&a.vv, &b.vv);
        check_pair(&a.vv, &a.vv);
    }
}

static void test_merge_that_does_not_fit_writes_no_vector(void **state)
{
    (void)state;
    struct td_vv_entry one = {{{1}, {1, 1}}, 5};
    struct td_vv_entry two = {{{2}, {1, 1}}, 5};
    struct td_vv_fold fold = {{3}, 1};
    struct td_vv a = {1, 1, &one, &fold};
    struct td_vv b = {1, 0, &two, NULL};
    struct td_vv_entry entries[2];
    struct td_vv_fold folds[1];
    struct td_vv merged = {.entry_count = 99};
    assert_false(td_vv_merge(&a, &b, entries, 1, folds, 1, &merged));
    assert_false(td_vv_merge(&a, &b, entries, 2, folds, 0, &merged));
    assert_int_equal(merged.entry_count, 99);
    assert_true(td_vv_merge(&a, &b, entries, 2, folds, 1, &merged));
    assert_int_equal(merged.entry_count, 2);
}

static bool valid_with(struct td_vv_entry first, struct td_vv_entry second)
{
    struct td_vv_entry entries[2] = {first, second};
    struct td_vv vv = {2, 0, entries, NULL};
    return td_vv_valid(&vv);
}

static void test_vectors_out_of_order_or_range_are_not_valid(void **state)
{
    (void)state;
    struct td_vv_entry low = {{{1}, {1, 1}}, 5};
    struct td_vv_entry high = {{{1}, {1, 2}}, 5};
    assert_true(valid_with(low, high));
    assert_false(valid_with(high, low));
    assert_false(valid_with(low, low));
    high.seq = 0;
    assert_false(valid_with(low, high));
    high.seq = TD_SEQ_MAX;
    assert_true(valid_with(low, high));
    high.seq = TD_SEQ_MAX + 1;
    assert_false(valid_with(low, high));
    low.origin.region.v = 0;
    high.seq = 1;
    assert_false(valid_with(low, high));
}

static void test_limits_of_a_vector_hold_at_and_beyond_the_edge(void **state)
{
    (void)state;
    static struct td_vv_entry entries[TD_VV_ENTRIES_MAX + 1];
    for (uint32_t i = 0; i <= TD_VV_ENTRIES_MAX; i++) {
        uint8_t region = (uint8_t)(1 + i / TD_INCARNATIONS_PER_REGION_MAX);
        entries[i] = (struct td_vv_entry){{{region}, {i, 0}}, 1};
    }
    struct td_vv vv = {TD_VV_ENTRIES_MAX, 0, entries, NULL};
    assert_true(td_vv_valid(&vv));
    vv.entry_count++;
    assert_false(td_vv_valid(&vv));
    vv.entry_count = TD_INCARNATIONS_PER_REGION_MAX + 1;
    assert_true(td_vv_valid(&vv));
    entries[TD_INCARNATIONS_PER_REGION_MAX].origin.region.v = 1;
    assert_false(td_vv_valid(&vv));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TD_UNIT_TEST(test_merge_and_cover_agree_with_the_naive_model),
        TD_UNIT_TEST(test_merge_that_does_not_fit_writes_no_vector),
        TD_UNIT_TEST(test_vectors_out_of_order_or_range_are_not_valid),
        TD_UNIT_TEST(test_limits_of_a_vector_hold_at_and_beyond_the_edge),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
