/* status_test.c -- the STATUS answer: each region as seen from here, in both directions. */
#include "node/core/replica_peer.h"

static void announce(struct replica *replica, uint32_t link, const struct td_vv_entry *entry)
{
    struct td_msg msg = {.type = TD_MSG_HAS};

    msg.u.has = (struct td_vv){.entry_count = 1, .entries = entry};
    replica_frame(replica, link, &msg);
}

static void test_a_region_never_heard_is_unknown_in_every_field(void **state)
{
    const struct td_region_view *view = replica_region_view(*state, 2);

    assert_int_equal(view->link_state, TD_LINK_UNKNOWN);
    assert_false(view->direct);
    assert_false(view->heard);
    assert_false(view->rtt_known);
    assert_false(view->they_lack_known);
    assert_false(view->offset_known);
    assert_int_equal(view->hears_count, 0);
    assert_true(replica_region_view(*state, 1)->self);
}

/* Lag is counted in our reports that they lack, and the oldest of them is named by its stamp. */
static void test_backlog_counts_down_as_they_announce(void **state)
{
    struct replica *replica = *state;
    struct td_vv_entry entry = {{{1}, td_core_process(replica->core)}, 1};
    uint64_t stamps[3];

    for (unsigned i = 0; i < 3; ++i) {
        replica->now.wall_ms += 100;
        stamps[i] = replica->now.wall_ms;
        const char *jobs[] = {"a", "b", "c"};
        assert_int_equal(
            replica_publish_one(replica, test_update(jobs[i], 1, TD_STATE_RUNNING)).err, TD_OK);
    }
    replica_link_up(replica, 7, 2);
    struct td_event rtt = {.type = TD_EV_LINK_RTT};
    rtt.u.link_rtt.link.v = 7;
    rtt.u.link_rtt.answered = true;
    rtt.u.link_rtt.rtt_us = 40000;
    replica_step(replica, &rtt);
    assert_false(replica_region_view(replica, 2)->they_lack_known); /* it has not said a word yet */
    for (uint64_t has = 1; has <= 3; ++has) {
        entry.seq = has;
        announce(replica, 7, &entry);
        const struct td_region_view *view = replica_region_view(replica, 2);
        assert_true(view->direct);
        assert_true(view->rtt_known);
        assert_int_equal(view->rtt_us, 40000);
        assert_int_equal(view->link_state, TD_LINK_UP);
        assert_true(view->they_lack_known);
        assert_int_equal(view->they_lack, 3 - has);
        assert_int_equal(view->oldest_unacked_ms, has < 3 ? stamps[has] : 0);
    }
}

/* An own report that was beaten since is nobody's age any more. */
static void test_the_oldest_backlog_is_what_still_counts(void **state)
{
    struct replica *replica = *state;
    struct td_vv_entry entry = {{{9}, {1, 1}}, 1};

    (void)replica_publish_one(replica, test_update("a", 1, TD_STATE_RUNNING));
    replica->now.wall_ms += 1000;
    (void)replica_publish_one(replica, test_update("a", 1, TD_STATE_COMPLETED));
    replica_link_up(replica, 7, 2);
    announce(replica, 7, &entry);
    const struct td_region_view *view = replica_region_view(replica, 2);
    assert_int_equal(view->they_lack, 2);
    assert_int_equal(view->oldest_unacked_ms, replica->now.wall_ms);
}

/* Without a link of its own: what its head says, and through whom its reports come. */
static void test_a_region_behind_another_is_told_by_its_head(void **state)
{
    struct replica *replica = *state;
    struct td_vv_entry entry = {{{1}, td_core_process(replica->core)}, 1};
    struct td_head head = {.origin = replica_peer_origin(3), .number = 1};

    (void)replica_publish_one(replica, test_update("a", 1, TD_STATE_RUNNING));
    (void)replica_publish_one(replica, test_update("b", 1, TD_STATE_RUNNING));
    replica_link_up(replica, 7, 2);
    head.has = (struct td_vv){.entry_count = 1, .entries = &entry};
    replica_head(replica, 7, head);
    replica->now.boot_ms += 700;
    replica->now.wall_ms += 700;
    const struct td_region_view *view = replica_region_view(replica, 3);
    assert_false(view->direct);
    assert_int_equal(view->via.v, 2);
    assert_true(view->heard);
    assert_int_equal(view->heard_age_ms, 700);
    assert_true(view->offset_known);
    assert_int_equal(view->offset_ms, 0);
    assert_int_equal(view->proto_max, 1);
    assert_int_equal(view->they_lack, 1);
}

/* The matrix: whom a region hears, by its echo table, and how many heads it has missed. */
static void test_whom_a_region_hears_comes_from_its_echoes(void **state)
{
    struct replica *replica = *state;
    struct td_incarnation earlier = {0, 9};
    const struct td_tick echo[] = {
        {{{1}, td_core_process(replica->core)}, 4, {0}},
        {{{3}, earlier}, 8, {0}}, /* newest two processes of region 3: one row, the first */
        {replica_peer_origin(3), 2, {0}},
        {replica_peer_origin(4), 2, {0}}, /* we hear 4 itself, at head 5 */
        {{{77}, {1, 1}}, 2, {0}},         /* not in the roster here */
    };
    struct td_head head = {.origin = replica_peer_origin(2), .number = 1};

    replica->core->head_signed_number = 6;
    replica_link_up(replica, 7, 2);
    replica_head(replica, 7, (struct td_head){.origin = replica_peer_origin(4), .number = 5});
    head.echo_count = 5;
    head.echo = echo;
    replica_head(replica, 7, head);
    replica->now.boot_ms += 50;
    replica->now.wall_ms += 50;
    const struct td_region_view *view = replica_region_view(replica, 2);
    assert_int_equal(view->hears_count, 4);
    const struct {
        uint8_t region;
        bool known;
        uint64_t missing, age_ms;
    } rows[] = {
        {1, true, 2, 2050}, /* our head 4 of 6 */
        {3, false, 0, 0},   /* no head of it here: nothing to compare with */
        {4, true, 3, 3050},
        {77, false, 0, 0},
    };
    for (size_t i = 0; i < 4; ++i) {
        assert_int_equal(view->hears[i].region.v, rows[i].region);
        assert_int_equal(view->hears[i].missing_known, rows[i].known);
        assert_int_equal(view->hears[i].missing, rows[i].missing);
        assert_int_equal(view->hears[i].age_ms, rows[i].age_ms);
    }
}

/* And whom it has no link to, in words of its own; an older head says nothing of it. */
static void test_detours_of_a_region_come_from_its_newest_head(void **state)
{
    struct replica *replica = *state;
    const struct td_detour detours[] = {{{3}, {4}}, {{77}, {0}}};
    struct td_head head = {.origin = replica_peer_origin(2), .number = 1};

    replica_link_up(replica, 7, 2);
    replica_head(replica, 7, head);
    assert_false(replica_region_view(replica, 2)->detours_said);
    head.number = 2;
    head.detours_said = true;
    head.detour_count = 2;
    head.detours = detours;
    replica_head(replica, 7, head);
    const struct td_region_view *view = replica_region_view(replica, 2);
    assert_true(view->detours_said);
    assert_int_equal(view->detour_count, 2);
    assert_memory_equal(view->detours, detours, sizeof detours);
    head.number = 3;
    head.detour_count = 0;
    replica_head(replica, 7, head);
    assert_true(replica_region_view(replica, 2)->detours_said);
    assert_int_equal(replica_region_view(replica, 2)->detour_count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_region_never_heard_is_unknown_in_every_field,
                                        replica_setup_4, replica_teardown),
        cmocka_unit_test_setup_teardown(test_backlog_counts_down_as_they_announce, replica_setup_4,
                                        replica_teardown),
        cmocka_unit_test_setup_teardown(test_the_oldest_backlog_is_what_still_counts,
                                        replica_setup_4, replica_teardown),
        cmocka_unit_test_setup_teardown(test_a_region_behind_another_is_told_by_its_head,
                                        replica_setup_4, replica_teardown),
        cmocka_unit_test_setup_teardown(test_whom_a_region_hears_comes_from_its_echoes,
                                        replica_setup_4, replica_teardown),
        cmocka_unit_test_setup_teardown(test_detours_of_a_region_come_from_its_newest_head,
                                        replica_setup_4, replica_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
