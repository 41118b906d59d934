/* membership_test.c -- which rosters take effect: signed by our root, of our cluster, newer; and that
 * they outlive the process. */
#include "node/daemon/node.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "node/daemon/logging.h"

enum { ROSTER_BYTES = 4096, VERSIONS_MAX = 300 };

struct fixture {
    struct td_node node;
    struct td_secret *root, *other_root;
    char data[64];
    uint8_t bytes[ROSTER_BYTES];
};

static struct td_secret *generate(void)
{
    uint8_t seed[TD_SEED_BYTES];
    struct td_secret *secret = NULL;
    assert_int_equal(td_secret_generate(seed, &secret), TD_OK);
    return secret;
}

static char nothing[] = "";

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    assert_int_equal(td_sodium_init(), TD_OK);
    td_logging_init(TD_ERROR + 1, 0);
    f->root = generate();
    f->other_root = generate();
    f->node.secret = generate();
    f->node.root = *td_secret_identity(f->root);
    snprintf(f->data, sizeof f->data, "/tmp/td-membership-XXXXXX");
    assert_non_null(mkdtemp(f->data));
    f->node.config.data = f->data;
    f->node.config.roster = nothing;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    char path[128];
    snprintf(path, sizeof path, "%s/roster", f->data);
    (void)unlink(path);
    for (unsigned version = 0; version <= VERSIONS_MAX; version++) {
        snprintf(path, sizeof path, "%s/rosters/%u", f->data, version);
        (void)unlink(path);
    }
    snprintf(path, sizeof path, "%s/rosters", f->data);
    (void)rmdir(path);
    assert_int_equal(rmdir(f->data), 0);
    td_secret_free(f->root);
    td_secret_free(f->other_root);
    td_secret_free(f->node.secret);
    free(f);
    return 0;
}

/* A roster without regions, signed by `root`, claiming the cluster of `cluster_root`. */
static struct td_bytes sign(struct fixture *f, const struct td_secret *root,
                            const struct td_secret *cluster_root, uint64_t version, uint64_t issued_ms)
{
    struct td_sodium_signer self = { .secret = root,
        .cluster = td_cluster_id_of(&td_secret_identity(cluster_root)->sign_key) };
    struct td_signer signer = td_sodium_signer(&self);
    struct td_roster roster = { .cluster = self.cluster, .cluster_name = { "test", 4 },
        .version = version, .issued_ms = issued_ms,
        .policy = { .retain_s = 86400, .abandon_s = 864000, .max_absence_s = 86400 } };
    size_t count = td_roster_encode(&roster, &signer, f->bytes, sizeof f->bytes);
    assert_true(count > 0);
    return (struct td_bytes){ f->bytes, count };
}

static struct td_bytes ours(struct fixture *f, uint64_t version, uint64_t issued_ms)
{
    return sign(f, f->root, f->root, version, issued_ms);
}

static struct td_membership *open_membership(struct fixture *f)
{
    char why[256] = "";
    struct td_membership *membership = td_membership_open(&f->node, why, sizeof why);
    assert_non_null(membership);
    return membership;
}

static uint64_t version_of(struct td_membership *membership)
{
    struct td_roster_ref *ref = td_membership_get(membership);
    uint64_t version = ref != NULL ? td_roster_ref_roster(ref)->version : 0;
    td_roster_ref_put(ref);
    return version;
}

static void test_only_a_newer_roster_takes_effect(void **state)
{
    struct fixture *f = *state;
    struct td_membership *membership = open_membership(f);
    assert_int_equal(version_of(membership), 0);
    assert_int_equal(td_membership_offer(membership, ours(f, 5, 1)), TD_OK);
    assert_int_equal(td_membership_offer(membership, ours(f, 5, 1)), TD_EROSTEROLD);
    assert_int_equal(td_membership_offer(membership, ours(f, 4, 1)), TD_EROSTEROLD);
    assert_int_equal(version_of(membership), 5);
    assert_int_equal(td_membership_offer(membership, ours(f, 6, 1)), TD_OK);
    assert_int_equal(version_of(membership), 6);
    td_membership_close(membership);
}

static void test_what_another_root_signed_never_takes_effect(void **state)
{
    struct fixture *f = *state;
    struct td_membership *membership = open_membership(f);
    assert_int_not_equal(td_membership_offer(membership, sign(f, f->other_root, f->other_root, 9, 1)),
                         TD_OK);
    assert_int_not_equal(td_membership_offer(membership, sign(f, f->other_root, f->root, 9, 1)), TD_OK);
    /* Our own root key, but the cluster of another one. */
    assert_int_not_equal(td_membership_offer(membership, sign(f, f->root, f->other_root, 9, 1)), TD_OK);
    assert_int_equal(version_of(membership), 0);
    td_membership_close(membership);
}

static void test_no_flipped_bit_and_no_cut_passes(void **state)
{
    struct fixture *f = *state;
    struct td_membership *membership = open_membership(f);
    struct td_bytes raw = ours(f, 3, 1);
    for (size_t bit = 0; bit < raw.count * 8; bit++) {
        f->bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_not_equal(td_membership_offer(membership, raw), TD_OK);
        f->bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t count = 0; count < raw.count; count++) {
        assert_int_not_equal(td_membership_offer(membership, (struct td_bytes){ raw.bytes, count }),
                             TD_OK);
    }
    assert_int_equal(td_membership_offer(membership, raw), TD_OK);
    td_membership_close(membership);
}

static void test_the_newest_roster_outlives_the_process(void **state)
{
    struct fixture *f = *state;
    struct td_membership *membership = open_membership(f);
    assert_int_equal(td_membership_offer(membership, ours(f, 7, 1)), TD_OK);
    td_membership_close(membership);
    membership = open_membership(f);
    assert_int_equal(version_of(membership), 7);
    td_membership_close(membership);
}

static void test_a_configured_older_file_does_not_replace_the_kept_roster(void **state)
{
    struct fixture *f = *state;
    char path[128];
    struct td_membership *membership = open_membership(f);
    assert_int_equal(td_membership_offer(membership, ours(f, 7, 1)), TD_OK);
    td_membership_close(membership);
    snprintf(path, sizeof path, "%s/first", f->data);
    struct td_bytes old = ours(f, 2, 1);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(old.bytes, 1, old.count, file), old.count);
    assert_int_equal(fclose(file), 0);
    f->node.config.roster = path;
    membership = open_membership(f);
    assert_int_equal(version_of(membership), 7);
    td_membership_close(membership);
    assert_int_equal(unlink(path), 0);
}

static void test_a_pushed_roster_from_the_future_is_refused(void **state)
{
    struct fixture *f = *state;
    uint64_t now_ms = td_node_now().wall_ms;
    struct td_membership *membership = open_membership(f);
    assert_int_equal(td_membership_push(membership, ours(f, 2, now_ms + 120000)), TD_ECLOCK);
    assert_int_equal(version_of(membership), 0);
    assert_int_equal(td_membership_push(membership, ours(f, 2, now_ms + 30000)), TD_OK);
    assert_int_equal(version_of(membership), 2);
    td_membership_close(membership);
}

static void test_two_rosters_of_one_version_end_alike_in_either_order_and_are_told(void **state)
{
    struct fixture *f = *state;
    uint64_t issued[2][2] = { { 1, 2 }, { 2, 1 } };
    struct td_hash end[2];
    for (int order = 0; order < 2; order++) {
        struct td_membership *membership = open_membership(f);
        f->node.roster_fork = false;
        (void)!td_membership_offer(membership, ours(f, 3, issued[order][0]));
        (void)!td_membership_offer(membership, ours(f, 3, issued[order][1]));
        assert_true(f->node.roster_fork);
        struct td_roster_ref *ref = td_membership_get(membership);
        end[order] = td_roster_ref_roster(ref)->hash;
        td_roster_ref_put(ref);
        td_membership_close(membership);
        char path[128];
        snprintf(path, sizeof path, "%s/roster", f->data);
        assert_int_equal(unlink(path), 0);
    }
    assert_memory_equal(&end[0], &end[1], sizeof end[0]);
}

/* For `roster log`: the newest 256 are kept, older ones go. */
static void test_earlier_rosters_are_kept_within_a_bound(void **state)
{
    struct fixture *f = *state;
    struct td_membership *membership = open_membership(f);
    uint8_t *bytes = NULL;
    size_t count = 0;
    for (uint64_t version = 1; version <= VERSIONS_MAX; version++) {
        assert_int_equal(td_membership_offer(membership, ours(f, version, version)), TD_OK);
    }
    assert_int_equal(td_membership_at(membership, VERSIONS_MAX - 256, &bytes, &count), TD_EUNKNOWN);
    assert_int_equal(td_membership_at(membership, 0, &bytes, &count), TD_EUNKNOWN);
    assert_int_equal(td_membership_at(membership, VERSIONS_MAX - 255, &bytes, &count), TD_OK);
    struct td_bytes want = ours(f, VERSIONS_MAX - 255, VERSIONS_MAX - 255);
    assert_int_equal(count, want.count);
    assert_memory_equal(bytes, want.bytes, count);
    free(bytes);
    td_membership_close(membership);
}

/* One region with our key, and perhaps a newer one. */
static struct td_bytes with_region(struct fixture *f, uint64_t version, enum td_region_state region_state,
                                   bool replaced)
{
    struct td_sodium_signer self = { .secret = f->root,
        .cluster = td_cluster_id_of(&td_secret_identity(f->root)->sign_key) };
    struct td_signer signer = td_sodium_signer(&self);
    const struct td_identity *mine = td_secret_identity(f->node.secret);
    const struct td_identity *other = td_secret_identity(f->other_root);
    struct td_region_key keys[2] = { { 1, mine->sign_key, mine->link_key },
                                     { 2, other->sign_key, other->link_key } };
    struct td_roster_region region = { .number = { 1 }, .name = { "eu-west", 7 }, .state = region_state,
        .key_count = replaced ? 2 : 1, .keys = keys };
    struct td_roster roster = { .cluster = self.cluster, .cluster_name = { "test", 4 },
        .version = version, .issued_ms = 1, .region_count = 1, .regions = &region };
    size_t count = td_roster_encode(&roster, &signer, f->bytes, sizeof f->bytes);
    assert_true(count > 0);
    return (struct td_bytes){ f->bytes, count };
}

static void test_a_node_knows_when_its_region_or_key_is_on_the_way_out(void **state)
{
    static const struct {
        enum td_region_state region_state;
        bool replaced;
        enum td_err want;
        const char *part;
    } rows[] = {
        { TD_REGION_ACTIVE, false, TD_OK, "" },
        { TD_REGION_CLOSING, false, TD_ECLOSING, "closes eu-west" },
        { TD_REGION_CLOSED, false, TD_ECLOSED, "eu-west is closed in roster 3" },
        { TD_REGION_ACTIVE, true, TD_EROTATED, "number 1 of eu-west, and roster 4 has replaced it" },
    };
    struct fixture *f = *state;
    char key_path[] = "node.key";
    f->node.config.key = key_path;
    struct td_membership *membership = open_membership(f);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[512] = "";
        struct td_bytes raw = with_region(f, i + 1, rows[i].region_state, rows[i].replaced);
        assert_int_equal(td_membership_offer(membership, raw), TD_OK);
        assert_int_equal(td_membership_standing(membership, text, sizeof text), rows[i].want);
        assert_non_null(strstr(text, rows[i].part));
    }
    td_membership_close(membership);
}

int main(void)
{
#define RULE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        RULE(test_only_a_newer_roster_takes_effect),
        RULE(test_what_another_root_signed_never_takes_effect),
        RULE(test_no_flipped_bit_and_no_cut_passes),
        RULE(test_the_newest_roster_outlives_the_process),
        RULE(test_a_configured_older_file_does_not_replace_the_kept_roster),
        RULE(test_a_pushed_roster_from_the_future_is_refused),
        RULE(test_two_rosters_of_one_version_end_alike_in_either_order_and_are_told),
        RULE(test_earlier_rosters_are_kept_within_a_bound),
        RULE(test_a_node_knows_when_its_region_or_key_is_on_the_way_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
