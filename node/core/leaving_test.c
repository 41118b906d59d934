/* leaving_test.c -- regions and keys on their way out (DESIGN 4, Leaving): what is still taken of
 * them, what our heads say meanwhile, and what becomes of what nobody else may take. */
#include "node/core/peers.h"
#include "node/core/replica_peer.h"

/* As if a member had said that it holds this much of region 2, under the newest roster. */
static void member_says(struct replica *replica, uint8_t member, uint64_t number, uint64_t seq)
{
    const struct td_vv_entry entry = {replica_peer_origin(2), seq};
    replica_head(replica, member == 2 ? 7 : 9,
                 (struct td_head){.origin = replica_peer_origin(member),
                                  .number = number,
                                  .roster_version = replica->roster.version,
                                  .has = {.entry_count = 1, .entries = &entry}});
}

static bool takes(struct replica *replica, const struct td_batch *batch)
{
    const bool taken = replica_receive(replica, batch, TD_LANE_TRANSFER);
    replica_settle(replica);
    return taken;
}

static void let_time_pass(struct replica *replica, uint64_t ms)
{
    for (uint64_t at = 0; at < ms; at += 500) {
        replica_tick(replica, 500);
        replica_settle(replica);
    }
}

/* Region whose dot shows this job, 0 = nobody's. */
static uint8_t shown_by(const struct replica *replica, const char *job)
{
    const uint32_t reg = td_table_find(replica->core, test_job_hash(job), test_text(job), 1);
    return reg == TD_NONE
               ? 0
               : td_register_dot(replica->core, &replica->core->registers[reg]).origin.region.v;
}

static void begin_closing(struct replica *replica, uint64_t doubtful_since_ms)
{
    replica->regions[1].state = TD_REGION_CLOSING;
    replica->regions[1].doubtful_since_ms = doubtful_since_ms;
    replica_roster(replica);
}

static void close_with(struct replica *replica, const struct td_closing *list, uint32_t count)
{
    replica->regions[1].state = TD_REGION_CLOSED;
    replica->regions[1].closed = list;
    replica->regions[1].closed_count = count;
    replica_roster(replica);
}

static void test_a_leaving_regions_own_word_counts_a_revoked_ones_does_not(void **state)
{
    struct replica *replica = *state;
    const struct td_batch *batch = replica_peer_batch(replica, 2, 1, 2);

    replica_link_up(replica, 7, 2);
    begin_closing(replica, 0);
    assert_int_equal(replica->closed_count, 0);
    assert_false(takes(replica, batch));
    member_says(replica, 2, 1, 2);
    assert_true(takes(replica, batch));

    begin_closing(replica, REPLICA_WALL_MS);
    assert_int_equal(replica->closed_link, 7);
    assert_int_equal(replica->closed_why, TD_ECLOSED);
    replica_link_up(replica, 9, 3);
    replica_head(
        replica, 9,
        (struct td_head){.origin = replica_peer_origin(2),
                         .number = 2,
                         .roster_version = replica->roster.version,
                         .has = {.entry_count = 1,
                                 .entries = &(struct td_vv_entry){replica_peer_origin(2), 9}}});
    assert_false(takes(replica, replica_peer_batch(replica, 2, 3, 2)));
    member_says(replica, 3, 1, 4);
    assert_true(takes(replica, replica_peer_batch(replica, 2, 3, 2)));
}

/* Else the list made of our heads would leave out what we took before. */
static void test_our_head_names_the_new_roster_only_when_what_was_taken_is_durable(void **state)
{
    struct replica *replica = *state;

    assert_true(replica_receive(replica, replica_peer_batch(replica, 2, 1, 2), TD_LANE_LIVE));
    begin_closing(replica, 0);
    assert_int_equal(td_leaving_told(replica->core), 1);
    replica_settle(replica);
    assert_int_equal(td_leaving_told(replica->core), 2);
}

static void test_a_leaving_region_names_it_only_when_its_own_reports_are_durable(void **state)
{
    struct replica *replica = *state;
    const struct td_update update = test_update("own", 1, TD_STATE_RUNNING);

    (void)replica_publish(replica, &update, 1, 0, 100);
    replica->regions[0].state = TD_REGION_CLOSING;
    replica_roster(replica);
    assert_int_not_equal(td_leaving_told(replica->core), 2);
    replica_settle(replica);
    assert_int_equal(td_leaving_told(replica->core), 2);
}

/* Merged stays merged: shown by its holder, and by nobody else unless it is said again. */
static void test_what_a_list_leaves_out_is_said_again_by_who_shows_it(void **state)
{
    struct replica *replica = *state;
    const struct td_closing list[] = {{replica_peer_origin(2).incarnation, 2, false}};

    assert_true(takes(replica, replica_peer_batch(replica, 2, 1, 2)));
    assert_true(takes(replica, replica_peer_batch(replica, 2, 3, 2)));
    close_with(replica, list, 1);
    let_time_pass(replica, 1000);
    assert_int_equal(shown_by(replica, "p2-2"), 2);
    assert_int_equal(shown_by(replica, "p2-3"), 1);
    assert_int_equal(replica_state(replica, "p2-4", 1), TD_STATE_RUNNING);
    const struct td_vv has = td_core_has(replica->core);
    assert_int_equal(td_vv_seq(&has, replica_peer_origin(2)), 2);
}

static void test_it_is_said_again_also_when_a_restart_came_between(void **state)
{
    struct replica *replica = *state;
    const struct td_closing list[] = {{replica_peer_origin(2).incarnation, 2, false}};

    assert_true(takes(replica, replica_peer_batch(replica, 2, 1, 2)));
    assert_true(takes(replica, replica_peer_batch(replica, 2, 3, 2)));
    replica->regions[1].state = TD_REGION_CLOSED;
    replica->regions[1].closed = list;
    replica->regions[1].closed_count = 1;
    replica->roster.version += 1;
    replica_restart(replica);
    const struct td_vv has = td_core_has(replica->core);
    assert_int_equal(td_vv_seq(&has, replica_peer_origin(2)), 2);
    let_time_pass(replica, 1000);
    assert_int_equal(shown_by(replica, "p2-4"), 1);
    assert_int_equal(shown_by(replica, "p2-1"), 2);
}

static void test_what_was_on_its_way_to_the_disk_counts_as_far_as_the_list_goes(void **state)
{
    struct replica *replica = *state;
    const struct td_closing list[] = {{replica_peer_origin(2).incarnation, 2, false}};

    assert_true(replica_receive(replica, replica_peer_batch(replica, 2, 1, 2), TD_LANE_LIVE));
    assert_true(replica_receive(replica, replica_peer_batch(replica, 2, 3, 2), TD_LANE_LIVE));
    close_with(replica, list, 1);
    replica_settle(replica);
    const struct td_vv has = td_core_has(replica->core);
    assert_int_equal(td_vv_seq(&has, replica_peer_origin(2)), 2);
    let_time_pass(replica, 1000);
    assert_int_equal(shown_by(replica, "p2-4"), 1);
}

/* A restart believes the vectors in its own log, which were written before the list. */
static void test_a_vector_of_the_log_counts_as_far_as_the_list_goes(void **state)
{
    struct replica *replica = *state;
    const struct td_vv_entry entries[] = {{replica_peer_origin(2), 5}, {replica_peer_origin(3), 5}};

    replica->log[replica->log_count++] =
        (struct td_record){.type = TD_RECORD_HAS, .u.has = {.entry_count = 2, .entries = entries}};
    replica->regions[1].state = TD_REGION_CLOSED;
    replica->roster.version += 1;
    replica_restart(replica);
    const struct td_vv has = td_core_has(replica->core);
    assert_int_equal(td_vv_seq(&has, replica_peer_origin(2)), 0);
    assert_int_equal(td_vv_seq(&has, replica_peer_origin(3)), 5);
}

/* What was merged beyond a hole and that no member names: nobody may take it from us under this
 * roster. */
static void test_what_lies_beyond_a_hole_that_nobody_fills_is_said_again_after_a_while(void **state)
{
    struct replica *replica = *state;

    assert_true(takes(replica, replica_peer_batch(replica, 2, 3, 2)));
    begin_closing(replica, 0);
    let_time_pass(replica, TD_LEAVING_PATIENCE_MS - 1000);
    assert_int_equal(shown_by(replica, "p2-3"), 2);
    let_time_pass(replica, 3000);
    assert_int_equal(shown_by(replica, "p2-3"), 1);
    assert_int_equal(shown_by(replica, "p2-4"), 1);
}

static void test_it_is_not_said_again_when_a_member_names_it(void **state)
{
    struct replica *replica = *state;

    replica_link_up(replica, 9, 3);
    assert_true(takes(replica, replica_peer_batch(replica, 2, 3, 2)));
    begin_closing(replica, 0);
    member_says(replica, 3, 1, 4);
    let_time_pass(replica, TD_LEAVING_PATIENCE_MS + 3000);
    assert_int_equal(shown_by(replica, "p2-3"), 2);
}

/* "Not known anywhere" is not certain while something that counts has not come. */
static void test_nothing_is_certain_before_the_lists_are_held(void **state)
{
    struct replica *replica = *state;
    const struct td_closing list[] = {{replica_peer_origin(2).incarnation, 3, false}};

    assert_true(takes(replica, replica_peer_batch(replica, 2, 1, 1)));
    close_with(replica, list, 1);
    assert_false(td_leaving_lists_held(replica->core));
    assert_true(takes(replica, replica_peer_batch(replica, 2, 2, 2)));
    assert_true(td_leaving_lists_held(replica->core));
}

static void test_doubt_begins_at_its_time_and_outlives_the_region(void **state)
{
    struct replica *replica = *state;
    const struct td_closing list[] = {{replica_peer_origin(2).incarnation, 3, false}};
    struct td_register_view view;

    assert_true(takes(replica, replica_peer_batch(replica, 2, 1, 3)));
    replica->regions[1].doubtful_since_ms = REPLICA_WALL_MS + 2;
    close_with(replica, list, 1);
    static const struct {
        const char *job;
        bool doubtful;
    } rows[] = {{"p2-1", false}, {"p2-2", true}, {"p2-3", true}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; ++i) {
        const uint32_t reg =
            td_table_find(replica->core, test_job_hash(rows[i].job), test_text(rows[i].job), 1);
        assert_int_not_equal(reg, TD_NONE);
        assert_true(td_register_view(replica->core, reg, &view));
        assert_int_equal((view.flags & TD_VIEW_DOUBTFUL) != 0, rows[i].doubtful);
        assert_int_equal(view.status.state, TD_STATE_RUNNING); /* marked, not changed */
    }
}

/* ---- keys ---- */

static struct td_region_key two_keys[2] = {{.number = 1}, {.number = 2}};

static void rotate(struct replica *replica, unsigned index)
{
    replica->regions[index].keys = two_keys;
    replica->regions[index].key_count = 2;
    replica_roster(replica);
}

static const struct td_batch *signed_with(const struct td_batch *batch, uint16_t key_number)
{
    ((struct td_batch *)(uintptr_t)batch)->header.key_number = key_number;
    return batch;
}

/* Who stole the old key can sign what he likes: only what members said they had of it is taken. */
static void test_under_a_replaced_key_only_what_a_head_names_is_taken(void **state)
{
    struct replica *replica = *state;
    const struct td_origin forged = {{2}, {9, 9}};

    replica_link_up(replica, 7, 2);
    rotate(replica, 1);
    assert_false(takes(replica, signed_with(replica_peer_batch(replica, 2, 1, 2), 1)));
    assert_true(takes(replica, signed_with(replica_peer_batch(replica, 2, 1, 2), 2)));
    const struct td_batch *other =
        replica_batch(replica, forged, 1, replica_peer_batch(replica, 2, 3, 1)->deltas, 1);
    assert_false(takes(replica, signed_with(other, 1)));
    member_says(replica, 2, 1, 4);
    assert_true(takes(replica, signed_with(replica_peer_batch(replica, 2, 3, 2), 1)));
    assert_false(takes(replica, signed_with(other, 1)));
}

static void test_a_retired_key_counts_as_far_as_its_list(void **state)
{
    struct replica *replica = *state;
    const struct td_closing list[] = {{replica_peer_origin(2).incarnation, 2, false}};
    const struct td_origin later = {{2}, {2, 5}};
    const struct td_delta *deltas = replica_peer_batch(replica, 2, 7, 1)->deltas;

    assert_true(takes(replica, signed_with(replica_peer_batch(replica, 2, 1, 2), 1)));
    assert_true(takes(replica, signed_with(replica_peer_batch(replica, 2, 3, 1), 1)));
    replica->regions[1].retired_below = 2;
    replica->regions[1].retired = list;
    replica->regions[1].retired_count = 1;
    rotate(replica, 1);
    let_time_pass(replica, 1000);
    assert_int_equal(shown_by(replica, "p2-1"), 2);
    assert_int_equal(shown_by(replica, "p2-3"), 1); /* beyond the list: said again */
    assert_false(takes(replica, signed_with(replica_batch(replica, later, 1, deltas, 1), 1)));
    assert_true(takes(replica, signed_with(replica_batch(replica, later, 1, deltas, 1), 2)));
}

static void test_a_node_whose_key_was_replaced_refuses_reports(void **state)
{
    struct replica *replica = *state;

    assert_int_equal(td_publish_refusal(replica->core), TD_OK);
    rotate(replica, 0);
    assert_int_equal(td_publish_refusal(replica->core), TD_EROTATED);
    replica_restart(replica); /* with the new key file */
    assert_int_equal(td_publish_refusal(replica->core), TD_OK);
}

int main(void)
{
#define LEAVING_TEST(rule) cmocka_unit_test_setup_teardown(rule, replica_setup_3, replica_teardown)
    const struct CMUnitTest tests[] = {
        LEAVING_TEST(test_a_leaving_regions_own_word_counts_a_revoked_ones_does_not),
        LEAVING_TEST(test_our_head_names_the_new_roster_only_when_what_was_taken_is_durable),
        LEAVING_TEST(test_a_leaving_region_names_it_only_when_its_own_reports_are_durable),
        LEAVING_TEST(test_what_a_list_leaves_out_is_said_again_by_who_shows_it),
        LEAVING_TEST(test_it_is_said_again_also_when_a_restart_came_between),
        LEAVING_TEST(test_what_was_on_its_way_to_the_disk_counts_as_far_as_the_list_goes),
        LEAVING_TEST(test_a_vector_of_the_log_counts_as_far_as_the_list_goes),
        LEAVING_TEST(test_what_lies_beyond_a_hole_that_nobody_fills_is_said_again_after_a_while),
        LEAVING_TEST(test_it_is_not_said_again_when_a_member_names_it),
        LEAVING_TEST(test_nothing_is_certain_before_the_lists_are_held),
        LEAVING_TEST(test_doubt_begins_at_its_time_and_outlives_the_region),
        LEAVING_TEST(test_under_a_replaced_key_only_what_a_head_names_is_taken),
        LEAVING_TEST(test_a_retired_key_counts_as_far_as_its_list),
        LEAVING_TEST(test_a_node_whose_key_was_replaced_refuses_reports),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
