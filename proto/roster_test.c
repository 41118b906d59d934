/* roster_test.c -- only the root signs, nothing in it stands twice, and lookups find what is there.
 */
#include "proto/roster.h"
#include "proto/signed.h"
#include "proto/test_main.h"

static enum td_err decode(struct td_test *test, struct td_bytes raw, struct td_roster *ret_roster)
{
    test->scratch.used_bytes = 0;
    return td_roster_decode(raw, &test->signer, &test->key, test->reader, &test->scratch,
                            ret_roster);
}

static enum td_err encode_decode(struct td_test *test, struct td_roster *made,
                                 struct td_roster *ret_roster)
{
    size_t count = td_roster_encode(made, &test->signer, test->out, TD_TEST_OUT_BYTES);
    assert_int_not_equal(count, 0);
    return decode(test, made->raw, ret_roster);
}

static void test_roster_survives_the_round_trip(void **state)
{
    struct td_test *test = *state;
    for (int round = 0; round < 200; round++) {
        struct td_roster made;
        struct td_roster got;
        td_test_reset(test);
        td_test_roster(test, td_test_below(test, 20), td_test_below(test, 20), &made);
        assert_int_equal(encode_decode(test, &made, &got), TD_OK);
        assert_memory_equal(&got.hash, &made.hash, sizeof got.hash);
        assert_true(got.version == made.version);
        assert_int_equal(got.region_count, made.region_count);
        assert_int_equal(got.client_count, made.client_count);
        size_t again = td_roster_encode(&got, &test->signer, test->out_again, TD_TEST_OUT_BYTES);
        assert_int_equal(again, made.raw.count);
        assert_memory_equal(test->out_again, test->out, again);
    }
}

static void test_roster_of_another_root_or_with_a_changed_bit_is_refused(void **state)
{
    struct td_test *test = *state;
    struct td_roster made;
    struct td_roster got;
    td_test_roster(test, 1, 1, &made);
    assert_int_equal(encode_decode(test, &made, &got), TD_OK);
    assert_int_equal(td_roster_decode(made.raw, &test->signer, &test->other_key, test->reader,
                                      &test->scratch, &got),
                     TD_EBADSIG);
    for (size_t bit = 0; bit < made.raw.count * 8; bit++) {
        test->out[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_not_equal(decode(test, made.raw, &got), TD_OK);
        test->out[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t cut = 0; cut < made.raw.count; cut++) {
        assert_int_not_equal(decode(test, (struct td_bytes){test->out, cut}, &got), TD_OK);
    }
}

static struct td_roster_region *region_at(struct td_roster *roster, uint32_t i)
{
    return (struct td_roster_region *)(uintptr_t)&roster->regions[i];
}

static struct td_roster_client *client_at(struct td_roster *roster, uint32_t i)
{
    return (struct td_roster_client *)(uintptr_t)&roster->clients[i];
}

static struct td_region_key *key_at(struct td_roster *roster, uint32_t i)
{
    return (struct td_region_key *)(uintptr_t)&roster->regions[i].keys[0];
}

enum { BREAKS = 13 };

static enum td_err break_rule(struct td_roster *roster, int rule)
{
    switch (rule) {
    case 0:
        region_at(roster, 1)->number = roster->regions[0].number;
        return TD_EROSTER;
    case 1:
        region_at(roster, 1)->name = roster->regions[0].name;
        return TD_EROSTER;
    case 2:
        key_at(roster, 1)->link_key = roster->regions[0].keys[0].link_key;
        return TD_EROSTER;
    case 3:
        client_at(roster, 1)->link_key = roster->clients[0].link_key;
        return TD_EROSTER;
    case 4:
        client_at(roster, 1)->link_key = roster->regions[1].keys[0].link_key;
        return TD_EROSTER;
    case 5:
        client_at(roster, 1)->number = roster->clients[0].number;
        return TD_EROSTER;
    case 6:
        client_at(roster, 1)->name = roster->clients[0].name;
        return TD_EROSTER;
    case 7:
        region_at(roster, 0)->name.count = 0;
        return TD_EROSTER;
    case 8:
        region_at(roster, 0)->key_count = 0;
        return TD_EROSTER;
    case 9:
        client_at(roster, 0)->number = 0;
        return TD_EROSTER;
    case 11: {
        static const struct td_closing one = {{1, 1}, 1, false};
        region_at(roster, 0)->state = TD_REGION_CLOSING;
        region_at(roster, 0)->closed = &one;
        region_at(roster, 0)->closed_count = 1;
        return TD_EROSTER;
    }
    case 10:
        region_at(roster, 0)->name = td_test_literal("a\tb");
        return TD_EROSTER;
    default:
        client_at(roster, 1)->sign_key = roster->clients[0].sign_key;
        return TD_EROSTER;
    }
}

static void test_numbers_names_and_keys_stand_once(void **state)
{
    struct td_test *test = *state;
    for (int rule = 0; rule < BREAKS; rule++) {
        struct td_roster made;
        struct td_roster got;
        td_test_reset(test);
        td_test_roster(test, 3, 3, &made);
        enum td_err want = break_rule(&made, rule);
        if (encode_decode(test, &made, &got) != want) {
            fail_msg("rule %d was not held", rule);
        }
    }
}

static void test_more_open_regions_than_the_limit_are_refused(void **state)
{
    struct td_test *test = *state;
    struct td_roster made;
    struct td_roster got;
    td_test_roster(test, TD_REGIONS_MAX + 1, 0, &made);
    for (uint32_t i = 0; i <= TD_REGIONS_MAX; i++) {
        region_at(&made, i)->state = TD_REGION_ACTIVE;
        region_at(&made, i)->closed_count = 0;
    }
    assert_int_equal(encode_decode(test, &made, &got), TD_ETOOBIG);
    region_at(&made, 5)->state = TD_REGION_CLOSED;
    assert_int_equal(encode_decode(test, &made, &got), TD_OK);
}

static void test_lookups_find_the_entry_and_only_it(void **state)
{
    struct td_test *test = *state;
    struct td_roster roster;
    td_test_roster(test, 5, 5, &roster);
    for (uint32_t i = 0; i < 5; i++) {
        const struct td_roster_region *region = &roster.regions[i];
        const struct td_region_key *newest = td_roster_newest_key(region);
        assert_ptr_equal(td_roster_region(&roster, region->number), region);
        assert_ptr_equal(td_roster_region_named(&roster, region->name), region);
        assert_ptr_equal(td_roster_region_by_link_key(&roster, &newest->link_key), region);
        assert_ptr_equal(td_roster_key(&roster, region->number, newest->number), newest);
        assert_ptr_equal(td_roster_client_by_link_key(&roster, &roster.clients[i].link_key),
                         &roster.clients[i]);
        assert_null(td_roster_client_by_link_key(&roster, &newest->link_key));
    }
    assert_null(td_roster_region(&roster, (struct td_region){9}));
    assert_null(td_roster_key(&roster, (struct td_region){1}, 65535));
    assert_null(td_roster_region_named(&roster, td_test_literal("nowhere")));
}

static void test_newer_roster_has_a_higher_version_or_the_smaller_hash(void **state)
{
    (void)state;
    struct td_roster a = {.version = 5, .hash = {{1}}};
    struct td_roster b = {.version = 6, .hash = {{2}}};
    assert_true(td_roster_newer(&b, &a));
    assert_false(td_roster_newer(&a, &b));
    b.version = 5;
    assert_true(td_roster_newer(&a, &b));
    assert_false(td_roster_newer(&b, &a));
    assert_false(td_roster_newer(&a, &a));
}

static void test_client_touches_only_its_prefixes(void **state)
{
    (void)state;
    struct td_text prefixes[] = {td_test_literal("etl/"), td_test_literal("x")};
    struct td_roster_client client = {.prefix_count = 2, .prefixes = prefixes};
    assert_true(td_client_may_touch(&client, td_test_literal("etl/7")));
    assert_true(td_client_may_touch(&client, td_test_literal("x")));
    assert_false(td_client_may_touch(&client, td_test_literal("etl")));
    assert_false(td_client_may_touch(&client, td_test_literal("ETL/7")));
    client.prefix_count = 0;
    assert_true(td_client_may_touch(&client, td_test_literal("anything")));
}

static void test_card_survives_and_no_bit_of_it_can_be_changed(void **state)
{
    struct td_test *test = *state;
    struct td_card made;
    struct td_card got;
    td_test_card(test, &made);
    made.roster_version = TD_SEQ_MAX;
    size_t count = td_card_encode(&made, &test->signer, test->out, TD_CARD_BYTES_MAX);
    struct td_bytes raw = {test->out, count};
    assert_int_not_equal(count, 0);
    assert_int_equal(td_card_decode(raw, &test->signer, &test->key, test->reader, &got), TD_OK);
    assert_memory_equal(&got.link_key, &made.link_key, sizeof got.link_key);
    assert_int_equal(got.region.v, made.region.v);
    for (size_t bit = 0; bit < count * 8; bit++) {
        test->out[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_not_equal(td_card_decode(raw, &test->signer, &test->key, test->reader, &got),
                             TD_OK);
        test->out[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

/* The signature covers the inner bytes only, so the envelope's own form is checked by itself. */
static void test_longer_header_around_the_signed_bytes_is_refused(void **state)
{
    struct td_test *test = *state;
    struct td_card made;
    struct td_card got;
    uint8_t longer[TD_CARD_BYTES_MAX];
    td_test_card(test, &made);
    size_t count = td_card_encode(&made, &test->signer, test->out, TD_CARD_BYTES_MAX);
    assert_int_equal(test->out[1], 0xc4);
    longer[0] = 0x92;
    longer[1] = 0xc5;
    longer[2] = 0;
    memcpy(longer + 3, test->out + 2, count - 2);
    struct td_bytes raw = {longer, count + 1};
    assert_int_equal(td_card_decode(raw, &test->signer, &test->key, test->reader, &got),
                     TD_EFORMAT);
}

/* The root signed it, but in a form of another time. */
static void test_rosters_and_cards_of_another_format_are_named(void **state)
{
    struct td_test *test = *state;
    struct td_roster made;
    struct td_roster got;
    struct td_card card;
    struct td_bytes inner = {0};
    struct td_signature signature;
    td_test_roster(test, 2, 1, &made);
    assert_int_equal(encode_decode(test, &made, &got), TD_OK);
    assert_true(td_signed_open(made.raw, &inner, &signature));
    size_t format_at = inner.bytes[0] == 0xdc ? 3 : 1;
    memmove(test->out_again + TD_SIGNED_INNER_AT, inner.bytes, inner.count);
    assert_int_equal(test->out_again[TD_SIGNED_INNER_AT + format_at], 1);
    test->out_again[TD_SIGNED_INNER_AT + format_at] = 2;
    size_t count = td_signed_close(test->out_again, TD_TEST_OUT_BYTES, inner.count, &test->signer,
                                   TD_CONTEXT_ROSTER);
    assert_int_equal(decode(test, (struct td_bytes){test->out_again, count}, &got), TD_EVERSION);

    td_test_card(test, &card);
    count = td_card_encode(&card, &test->signer, test->out, TD_TEST_OUT_BYTES);
    assert_true(td_signed_open((struct td_bytes){test->out, count}, &inner, &signature));
    memmove(test->out_again + TD_SIGNED_INNER_AT, inner.bytes, inner.count);
    test->out_again[TD_SIGNED_INNER_AT + 1] = 2;
    count = td_signed_close(test->out_again, TD_TEST_OUT_BYTES, inner.count, &test->signer,
                            TD_CONTEXT_CARD);
    assert_int_equal(td_card_decode((struct td_bytes){test->out_again, count}, &test->signer,
                                    &test->key, test->reader, &card),
                     TD_EVERSION);
}

/* Keys ascend by number: the newest is the last one. */
static void test_keys_of_a_region_ascend(void **state)
{
    struct td_test *test = *state;
    struct td_roster made;
    struct td_roster got;
    struct td_region_key keys[2];
    td_test_roster(test, 1, 0, &made);
    struct td_roster_region *region = region_at(&made, 0);
    for (size_t i = 0; i < 2; i++) {
        keys[i] = region->keys[0];
        keys[i].number = (uint16_t)(i + 1);
        keys[i].sign_key.bytes[0] ^= (uint8_t)i;
        keys[i].link_key.bytes[0] ^= (uint8_t)i;
    }
    region->keys = keys;
    region->key_count = 2;
    assert_int_equal(encode_decode(test, &made, &got), TD_OK);
    keys[0].number = 2;
    assert_int_equal(encode_decode(test, &made, &got), TD_EROSTER);
}

/* Regions 1 (active, key 3 in force, older ones retired) and 2 (closed). */
static void leaving_roster(struct td_test *test, struct td_roster *ret_roster)
{
    static const struct td_closing list[] = {{{1, 5}, 10, false}, {{2, 6}, 20, false}};
    td_test_roster(test, 2, 2, ret_roster);
    for (uint32_t i = 0; i < 2; i++) {
        struct td_roster_region *region = region_at(ret_roster, i);
        struct td_region_key *keys = td_arena_take(&test->made, 3, sizeof *keys);
        for (uint16_t k = 0; k < 3; k++) {
            keys[k] = region->keys[0];
            keys[k].number = (uint16_t)(k + 1);
            keys[k].sign_key.bytes[0] ^= (uint8_t)(k + 1);
            keys[k].link_key.bytes[0] ^= (uint8_t)(k + 1);
        }
        region->keys = keys;
        region->key_count = 3;
        region->state = i == 0 ? TD_REGION_ACTIVE : TD_REGION_CLOSED;
        region->closed = i == 0 ? NULL : list;
        region->closed_count = i == 0 ? 0 : 2;
        region->doubtful_since_ms = 0;
        region->retired_below = i == 0 ? 3 : 0;
        region->retired = list;
        region->retired_count = i == 0 ? 2 : 0;
    }
}

static void test_lists_and_the_highest_client_number_survive(void **state)
{
    struct td_test *test = *state;
    struct td_roster made;
    struct td_roster got;
    leaving_roster(test, &made);
    made.clients_ever = 77;
    assert_int_equal(encode_decode(test, &made, &got), TD_OK);
    assert_int_equal(got.clients_ever, 77);
    assert_int_equal(got.regions[0].retired_below, 3);
    assert_int_equal(got.regions[0].retired_count, 2);
    assert_int_equal(got.regions[0].retired[1].last_seq, 20);
    assert_int_equal(got.regions[1].closed[0].incarnation.random, 5);
    made.clients_ever = 0; /* left out: the last one is the highest */
    assert_int_equal(encode_decode(test, &made, &got), TD_OK);
    assert_int_equal(got.clients_ever, made.clients[1].number);
}

static void test_the_key_in_force_never_retires(void **state)
{
    struct td_test *test = *state;
    struct td_roster made;
    struct td_roster got;
    leaving_roster(test, &made);
    region_at(&made, 0)->retired_below = 4;
    assert_int_equal(encode_decode(test, &made, &got), TD_EROSTER);
}

static void test_only_what_the_lists_name_counts(void **state)
{
    struct td_test *test = *state;
    struct td_roster roster;
    leaving_roster(test, &roster);
    const struct {
        uint8_t region;
        struct td_incarnation incarnation;
        uint16_t key_number;
        uint64_t last_seq;
        enum td_err want;
    } rows[] = {
        {1, {1, 5}, 1, 10, TD_OK},      {1, {1, 5}, 1, 11, TD_EROTATED},
        {1, {2, 6}, 2, 20, TD_OK},      {1, {9, 9}, 2, 1, TD_EROTATED},
        {1, {9, 9}, 3, 1, TD_OK}, /* the key in force */
        {2, {2, 6}, 3, 20, TD_OK},      {2, {2, 6}, 3, 21, TD_ECLOSED},
        {2, {2, 7}, 3, 1, TD_ECLOSED},  {9, {1, 5}, 1, 1, TD_ENOTINROSTER},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct td_origin origin = {{rows[i].region}, rows[i].incarnation};
        enum td_err got =
            td_roster_counts(&roster, origin, rows[i].key_number, rows[i].last_seq);
        if (got != rows[i].want) {
            fail_msg("row %zu: %d, not %d", i, (int)got, (int)rows[i].want);
        }
    }
}

static void test_a_replaced_link_key_is_known_as_such(void **state)
{
    struct td_test *test = *state;
    struct td_roster roster;
    uint16_t number = 0;
    leaving_roster(test, &roster);
    const struct td_roster_region *region = &roster.regions[0];
    assert_null(td_roster_region_by_link_key(&roster, &region->keys[1].link_key));
    assert_ptr_equal(
        td_roster_region_of_old_link_key(&roster, &region->keys[1].link_key, &number), region);
    assert_int_equal(number, 2);
    assert_null(td_roster_region_of_old_link_key(&roster, &region->keys[2].link_key, &number));
}

static void test_a_region_that_leaves_in_order_keeps_its_links(void **state)
{
    (void)state;
    static const struct {
        enum td_region_state state;
        uint64_t doubtful_since_ms;
        bool links;
    } rows[] = {{TD_REGION_ACTIVE, 0, true},   {TD_REGION_ACTIVE, 5, true},
                {TD_REGION_CLOSING, 0, true},  {TD_REGION_CLOSING, 5, false},
                {TD_REGION_CLOSED, 0, false},  {TD_REGION_CLOSED, 5, false}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct td_roster_region region = {.number = {1},
                                          .state = rows[i].state,
                                          .doubtful_since_ms = rows[i].doubtful_since_ms};
        struct td_roster roster = {.region_count = 1, .regions = &region};
        assert_int_equal(td_roster_region_links(&region), rows[i].links);
        assert_false(td_roster_doubts(&roster, region.number, 4));
        assert_int_equal(td_roster_doubts(&roster, region.number, 5),
                         rows[i].doubtful_since_ms != 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TD_UNIT_TEST(test_roster_survives_the_round_trip),
        TD_UNIT_TEST(test_roster_of_another_root_or_with_a_changed_bit_is_refused),
        TD_UNIT_TEST(test_numbers_names_and_keys_stand_once),
        TD_UNIT_TEST(test_more_open_regions_than_the_limit_are_refused),
        TD_UNIT_TEST(test_lookups_find_the_entry_and_only_it),
        TD_UNIT_TEST(test_newer_roster_has_a_higher_version_or_the_smaller_hash),
        TD_UNIT_TEST(test_client_touches_only_its_prefixes),
        TD_UNIT_TEST(test_card_survives_and_no_bit_of_it_can_be_changed),
        TD_UNIT_TEST(test_longer_header_around_the_signed_bytes_is_refused),
        TD_UNIT_TEST(test_rosters_and_cards_of_another_format_are_named),
        TD_UNIT_TEST(test_keys_of_a_region_ascend),
        TD_UNIT_TEST(test_lists_and_the_highest_client_number_survive),
        TD_UNIT_TEST(test_the_key_in_force_never_retires),
        TD_UNIT_TEST(test_only_what_the_lists_name_counts),
        TD_UNIT_TEST(test_a_replaced_link_key_is_known_as_such),
        TD_UNIT_TEST(test_a_region_that_leaves_in_order_keeps_its_links),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
