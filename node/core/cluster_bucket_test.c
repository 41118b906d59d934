/* cluster_bucket_test.c -- repair of many registers that share one digest bucket: fetched batch by
 * batch, listed page by page, given up with the link they were asked on. */
#include <stdlib.h>

#include "node/core/cluster_test.h"
#include "node/core/cluster_world.h"

enum { BUCKET = 5, NAME_BYTES = 24, PER_GROUP = 9 };

/* The next name after *number whose first attempt lies in the bucket. */
static void name_in_bucket(unsigned *number, char ret_name[NAME_BYTES])
{
    uint64_t hash;

    do {
        (void)snprintf(ret_name, NAME_BYTES, "b%u", (*number)++);
        hash = td_register_hash(hash_bytes(1, ret_name, strlen(ret_name)), 1);
    } while (td_register_bucket(hash) != BUCKET);
}

/* In groups, so that one batch holds several of them. */
static char (*publish_in_bucket(struct cluster *cluster, unsigned count))[NAME_BYTES]
{
    char(*names)[NAME_BYTES] = calloc(count, sizeof *names);
    unsigned number = 0;

    assert_non_null(names);
    for (unsigned i = 0; i < count; i++) {
        name_in_bucket(&number, names[i]);
        cluster_publish(cluster, 0, names[i], 1, TD_STATE_RUNNING);
        if (i % PER_GROUP == PER_GROUP - 1) {
            cluster_run(cluster, 4);
        }
    }
    cluster_run(cluster, 500);
    assert_true(cluster_run_until(cluster, 3000, cluster_converged, NULL));
    return names;
}

static uint32_t register_of(struct td_core *core, const char *name)
{
    struct td_text text = {name, (uint32_t)strlen(name)};
    return td_table_find(core, hash_bytes(1, name, text.count), text, 1);
}

static void lose(struct cluster *cluster, unsigned node, const char *name)
{
    uint32_t reg = register_of(cluster_core(cluster, node), name);

    assert_int_not_equal(reg, TD_NONE);
    td_table_remove(cluster_core(cluster, node), reg);
}

static void test_a_lost_bucket_comes_back_batch_by_batch(void **state)
{
    enum { JOBS = 60 };
    (void)state;
    struct cluster *cluster = started(2, 10);
    char(*names)[NAME_BYTES] = publish_in_bucket(cluster, JOBS);

    for (unsigned i = 0; i < JOBS; i++) {
        lose(cluster, 1, names[i]);
    }
    assert_true(cluster_run_until(cluster, 30000, cluster_converged, NULL));
    assert_int_equal(cluster_counter(cluster, 1, TD_COUNTER_repaired), JOBS);
    assert_int_equal(cluster_counter(cluster, 0, TD_COUNTER_repaired),
                     0); /* nobody else lacked any */
    assert_int_equal(cluster_trace_count(cluster, 1, TD_TR_DIGEST_DOUBT), 0);
    free(names);
    cluster_free(cluster);
}

/* More entries than one listing holds: what lies on the second page is found as well. */
static void test_a_bucket_larger_than_one_listing_is_compared_in_pages(void **state)
{
    enum { JOBS = TD_BUCKET_ENTRIES_MAX + 60 };
    (void)state;
    struct cluster *cluster = started(2, 10);
    char(*names)[NAME_BYTES] = publish_in_bucket(cluster, JOBS);
    unsigned last = 0;
    uint64_t highest = 0;

    for (unsigned i = 0; i < JOBS; i++) {
        uint64_t hash = td_register_hash(hash_bytes(1, names[i], strlen(names[i])), 1);
        last = hash > highest ? i : last;
        highest = hash > highest ? hash : highest;
    }
    lose(cluster, 1, names[last]);
    struct seen seen = {1, names[last], TD_STATE_RUNNING};
    assert_true(cluster_run_until(cluster, 40000, sees, &seen));
    assert_int_equal(cluster_counter(cluster, 1, TD_COUNTER_repaired), 1);
    assert_true(cluster_converged(cluster, NULL));
    free(names);
    cluster_free(cluster);
}

static void cut_for_a_moment(struct cluster *cluster)
{
    cluster_cut(cluster, 0, 1);
    cluster_run(cluster, 100);
    cluster_heal(cluster, 0, 1);
}

/* The link ends in the middle, at every stage of it: repair starts anew with the next one. */
static void test_repair_begins_anew_after_its_link_ended(void **state)
{
    enum { JOBS = 30 };
    (void)state;
    struct cluster *cluster = started(2, 100);
    char(*names)[NAME_BYTES] = publish_in_bucket(cluster, JOBS);

    for (unsigned i = 0; i < JOBS; i++) {
        lose(cluster, 1, names[i]);
    }
    cut_for_a_moment(cluster); /* a new link counts its rounds from the beginning */
    unsigned moment = 0;
    for (; moment < 60 && !cluster_converged(cluster, NULL); moment++) {
        cluster_run(cluster, 12500 + 40 * moment); /* the third round in a row comes at 13 s */
        cut_for_a_moment(cluster);
    }
    assert_true(moment > 3); /* some of the cuts came before the end */
    assert_true(cluster_run_until(cluster, 40000, cluster_converged, NULL));
    assert_true(cluster_i1_holds(cluster));
    free(names);
    cluster_free(cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_lost_bucket_comes_back_batch_by_batch),
        cmocka_unit_test(test_a_bucket_larger_than_one_listing_is_compared_in_pages),
        cmocka_unit_test(test_repair_begins_anew_after_its_link_ended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
