/* peers_test.c -- which links are taken, what a roster that closes regions leaves of them, and how
 * proofs of two statements spread. */
#include "node/core/replica_peer.h"

/* ---- links ---- */

static void test_a_link_is_refused_with_the_reason(void **state)
{
    struct replica *replica = *state;

    replica->core->started = false;
    replica_link_up(replica, 10, 2);
    assert_int_equal(replica->closed_why, TD_ESTARTING);
    replica->core->started = true;
    replica_link_up(replica, 11, 9); /* not in the roster */
    assert_int_equal(replica->closed_why, TD_ECLOSED);
    assert_int_equal(replica->closed_count, 2);
    for (uint32_t i = 0; i < replica->config.limits.links_max; ++i) {
        replica_link_up(replica, 20 + i, 2);
    }
    assert_int_equal(replica->closed_count, 2);
    replica_link_up(replica, 12, 3); /* the table is full */
    assert_int_equal(replica->closed_link, 12);
    assert_int_equal(replica->closed_why, TD_EBUSY);
    struct td_event down = {.type = TD_EV_LINK_DOWN};
    down.u.link_down.link.v = 20;
    replica_step(replica, &down);
    replica_link_up(replica, 13, 3); /* and has room again */
    assert_int_equal(replica->closed_count, 3);
}

/* Somebody with our key: named, and our next incarnation lies above the one it uses. */
static void test_a_link_of_our_own_region_is_a_clone(void **state)
{
    struct replica *replica = *state;
    const struct td_incarnation before = td_core_process(replica->core);
    struct td_event event = {.type = TD_EV_LINK_UP};

    event.u.link_up.link.v = 5;
    event.u.link_up.region.v = 1;
    event.u.link_up.process = (struct td_incarnation){before.start + 3, 1};
    replica_step(replica, &event);
    assert_int_equal(replica->closed_why, TD_ECLONE);
    assert_int_equal(replica->traces[TD_TR_CLONE], 1);
    replica_settle(replica);
    assert_true(td_core_process(replica->core).start > before.start + 3);
    event.u.link_up.link.v = 6;
    replica_step(replica, &event);
    assert_int_equal(replica->closed_link, 6);
    assert_int_equal(replica->traces[TD_TR_CLONE], 1); /* told once */
}

/* Events about links that are gone, and words without a meaning here, change nothing. */
static void test_late_events_of_a_link_are_ignored(void **state)
{
    struct replica *replica = *state;
    struct td_event down = {.type = TD_EV_LINK_DOWN};
    struct td_event rtt = {.type = TD_EV_LINK_RTT};
    struct td_msg msg = {.type = TD_MSG_HAS};

    replica_link_up(replica, 7, 2);
    down.u.link_down.link.v = 7;
    replica_step(replica, &down);
    replica_step(replica, &down);
    rtt.u.link_rtt.link.v = 7;
    rtt.u.link_rtt.answered = true;
    replica_step(replica, &rtt);
    replica_frame(replica, 7, &msg);
    msg.type = TD_MSG_CREDIT;
    msg.u.credit.lane = TD_LANE_COUNT;
    msg.u.credit.bytes = 1000;
    replica_link_up(replica, 8, 2);
    replica_frame(replica, 8, &msg);
    msg.type = TD_MSG_WANT_LIVE;
    msg.u.want_live.region.v = 99;
    msg.u.want_live.on = true;
    replica_frame(replica, 8, &msg);
    const struct td_link *link =
        &replica->core->links[td_link_find(replica->core, (struct td_link_id){8})];
    assert_int_equal(link->credit[TD_LANE_LIVE], 0);
    assert_int_equal(replica->closed_count, 0);
}

/* Of two links of one region the newer one stands for it: dialled because the older one is dying.
 */
static void test_the_newer_of_two_links_of_a_region_counts(void **state)
{
    struct replica *replica = *state;

    replica_link_up(replica, 7, 2);
    replica_link_up(replica, 8, 2);
    const uint32_t index = td_link_of(replica->core, replica->core->slot_of[2]);
    assert_int_equal(replica->core->links[index].id.v, 8);
}

/* ---- rosters ---- */

static bool takes(struct replica *replica, const struct td_batch *batch)
{
    const uint64_t before = replica_counter(replica, TD_COUNTER_rejected_closed);
    const bool taken = replica_receive(replica, batch, TD_LANE_TRANSFER);

    replica_settle(replica);
    assert_int_equal(replica_counter(replica, TD_COUNTER_rejected_closed), before + !taken);
    return taken;
}

static void close_region(struct replica *replica, unsigned index, const struct td_closing *closed,
                         uint32_t count)
{
    replica->regions[index].state = TD_REGION_CLOSED;
    replica->regions[index].closed = closed;
    replica->regions[index].closed_count = count;
    replica_roster(replica);
}

/* DESIGN 4, Leaving: the list of a closed region is complete. */
static void test_of_a_closed_region_only_what_its_list_names_counts(void **state)
{
    struct replica *replica = *state;
    const struct td_closing closed[] = {{replica_peer_origin(2).incarnation, 5, false}};
    struct td_msg live = {.type = TD_MSG_LIVE};

    replica_link_up(replica, 7, 2);
    replica_frame_batch(replica, 7, &live, replica_peer_batch(replica, 2, 1, 3));
    replica_settle(replica);
    assert_int_equal(replica_state(replica, "p2-1", 1), TD_STATE_RUNNING);
    close_region(replica, 1, closed, 1);
    assert_int_equal(replica->closed_link, 7);
    assert_int_equal(replica->closed_why, TD_ECLOSED);
    assert_int_equal(replica->core->slot_of[2], 255);
    assert_int_equal(replica_state(replica, "p2-1", 1), TD_STATE_RUNNING); /* merged stays merged */
    assert_true(takes(replica, replica_peer_batch(replica, 2, 4, 2)));
    assert_int_equal(replica_state(replica, "p2-5", 1), TD_STATE_RUNNING);

    const struct td_origin other = {{2}, {2, 2}};
    const struct td_batch *named = replica_peer_batch(replica, 2, 1, 1);
    const struct td_batch *unnamed = replica_batch(replica, other, 1, named->deltas, 1);
    assert_false(takes(replica, unnamed));
    const uint64_t before = replica_counter(replica, TD_COUNTER_rejected_closed);
    assert_false(replica_receive(replica, replica_peer_batch(replica, 2, 6, 1), TD_LANE_REPAIR));
    assert_int_equal(replica_counter(replica, TD_COUNTER_rejected_closed), before + 1);
    assert_int_equal(replica_state(replica, "p2-6", 1), TD_STATE_COUNT); /* beyond its last seq */
    replica_link_up(replica, 8, 2);
    assert_int_equal(replica->closed_link, 8);
    assert_int_equal(replica->closed_why, TD_ECLOSED);
    replica_link_up(replica, 9, 3);
    replica_head(replica, 9, (struct td_head){.origin = replica_peer_origin(2), .number = 1});
    assert_int_equal(replica_counter(replica, TD_COUNTER_rejected_closed), before + 2);
}

/* An incarnation that is open here but not on the list counts nothing from then on. */
static void test_a_closed_region_without_a_list_is_given_up(void **state)
{
    struct replica *replica = *state;

    assert_true(takes(replica, replica_peer_batch(replica, 2, 1, 2)));
    close_region(replica, 1, NULL, 0);
    const uint64_t before = replica_counter(replica, TD_COUNTER_rejected_closed);
    assert_false(replica_receive(replica, replica_peer_batch(replica, 2, 3, 1), TD_LANE_TRANSFER));
    assert_int_equal(replica_counter(replica, TD_COUNTER_rejected_closed), before + 1);
    assert_int_equal(replica_state(replica, "p2-3", 1), TD_STATE_COUNT);
    assert_int_equal(replica_state(replica, "p2-1", 1), TD_STATE_RUNNING);
}

/* DESIGN 4, Leaving: of a closing region only what a member's head with this roster says it has. */
static void test_of_a_closing_region_only_what_a_head_names_is_taken(void **state)
{
    struct replica *replica = *state;
    const struct td_batch *first = replica_peer_batch(replica, 2, 1, 2);
    const struct td_batch *second = replica_peer_batch(replica, 2, 3, 2);
    struct td_vv_entry entry = {replica_peer_origin(2), 2};
    struct td_head head = {.origin = replica_peer_origin(3), .number = 1, .roster_version = 1};

    replica->regions[1].state = TD_REGION_CLOSING;
    replica_link_up(replica, 7, 2);
    replica_link_up(replica, 9, 3);
    replica_roster(replica);
    assert_int_equal(replica->closed_count, 0); /* a region that leaves says itself what it has */
    assert_false(takes(replica, first));
    head.has = (struct td_vv){.entry_count = 1, .entries = &entry};
    replica_head(replica, 9, head);
    assert_false(takes(replica, first)); /* said under the roster before */
    head.number = 2;
    head.roster_version = 2;
    replica_head(replica, 9, head);
    assert_true(takes(replica, first));
    assert_false(takes(replica, second));
    struct td_update update = test_update("own", 1, TD_STATE_RUNNING);
    assert_int_equal(replica_publish_one(replica, update).err, TD_OK);
}

static void test_a_region_that_closes_itself_refuses_reports(void **state)
{
    struct replica *replica = *state;
    const struct td_update update = test_update("own", 1, TD_STATE_RUNNING);

    replica->regions[0].state = TD_REGION_CLOSING;
    replica_roster(replica);
    assert_int_equal(replica_reply(replica, replica_publish(replica, &update, 1, 0, 100))->err,
                     TD_ECLOSING);
    close_region(replica, 0, NULL, 0);
    assert_int_equal(replica_reply(replica, replica_publish(replica, &update, 1, 0, 100))->err,
                     TD_ECLOSED);
}

/* The log is replayed before it is known who was closed since: what lies in it was allowed once. */
static void test_a_restart_keeps_what_a_region_closed_since_had_given(void **state)
{
    struct replica *replica = *state;
    const struct td_closing closed[] = {{replica_peer_origin(2).incarnation, 3, false}};

    assert_true(takes(replica, replica_peer_batch(replica, 2, 1, 3)));
    close_region(replica, 1, closed, 1);
    replica_restart(replica);
    assert_int_equal(replica_state(replica, "p2-3", 1), TD_STATE_RUNNING);
}

/* The place of a region that left is given to the next one, and nothing of the former sticks to it.
 */
static void test_a_slot_given_on_knows_nothing_of_its_former_region(void **state)
{
    struct replica *replica = *state;
    struct td_msg want = {.type = TD_MSG_WANT_LIVE};

    replica_link_up(replica, 9, 3);
    want.u.want_live.region.v = 2;
    want.u.want_live.on = true;
    replica_frame(replica, 9, &want);
    const uint8_t slot = replica->core->slot_of[2];
    assert_true(replica->core->links[0].wants[slot]);
    replica->regions[1].number.v = 4;
    replica_roster(replica);
    assert_int_equal(replica->core->slot_of[2], 255);
    assert_int_equal(replica->core->slot_of[4], slot);
    assert_false(replica->core->links[0].wants[slot]);
    assert_false(replica->core->regions[slot].heard);
}

/* ---- proofs ---- */

/* What the core picks out of a signed head or batch: the region behind version and cluster. */
static struct td_bytes statement(uint8_t *bytes, bool batch, uint8_t region, uint8_t width)
{
    size_t at = 0;

    bytes[at++] = batch ? 0x93 : 0x92;
    if (batch) {
        bytes[at++] = 0;
    }
    bytes[at++] = width; /* bin 8, 16 or 32 */
    at += width == 0xc4 ? 1 : width == 0xc5 ? 2 : 4;
    bytes[at++] = 0xdc; /* array 16 */
    bytes[at++] = 0;
    bytes[at++] = 16;
    bytes[at++] = 1; /* version */
    bytes[at++] = width == 0xc6 ? 0xc5 : 0xc4;
    if (width == 0xc6) {
        bytes[at++] = 0;
    }
    bytes[at++] = 16;
    at += 16;
    if (region > 127) {
        bytes[at++] = 0xcc;
    }
    bytes[at++] = region;
    bytes[at++] = 0;
    return (struct td_bytes){bytes, at};
}

static void test_a_proof_is_told_once_and_passed_on_to_the_others(void **state)
{
    static const uint8_t widths[] = {0xc4, 0xc5, 0xc6};
    struct replica *replica = *state;
    struct td_msg msg = {.type = TD_MSG_PROOF};
    uint8_t a[80] = {0};

    replica_link_up(replica, 7, 2);
    replica_link_up(replica, 9, 3);
    for (size_t i = 0; i < 3; ++i) {
        replica->core->regions[replica->core->slot_of[2]].equivocated = false;
        msg.u.proof.kind = i % 2;
        msg.u.proof.a = msg.u.proof.b = statement(a, i % 2 == 1, 2, widths[i]);
        replica_frame(replica, 9, &msg);
        assert_true(replica->core->regions[replica->core->slot_of[2]].equivocated);
        assert_int_equal(replica_counter(replica, TD_COUNTER_equivocations), i + 1);
        assert_int_equal(replica->sent[TD_MSG_PROOF], i + 1); /* to region 2, not back */
        replica_frame(replica, 7, &msg);
        assert_int_equal(replica->sent[TD_MSG_PROOF], i + 1);
    }
    msg.u.proof.kind = 0;
    msg.u.proof.a = statement(a, false, 200, 0xc4); /* no such region here */
    replica_frame(replica, 9, &msg);
    assert_int_equal(replica_counter(replica, TD_COUNTER_equivocations), 3);
}

static void test_a_proof_cut_short_names_nobody(void **state)
{
    struct replica *replica = *state;
    struct td_msg msg = {.type = TD_MSG_PROOF};
    uint8_t bytes[80] = {0};

    replica_link_up(replica, 9, 3);
    for (unsigned kind = 0; kind < 2; ++kind) {
        const struct td_bytes whole = statement(bytes, kind == 1, 2, kind == 1 ? 0xc6 : 0xc4);
        for (size_t count = 0; count + 1 < whole.count; ++count) {
            msg.u.proof.kind = (uint8_t)kind;
            msg.u.proof.a = msg.u.proof.b = (struct td_bytes){bytes, count};
            replica_frame(replica, 9, &msg);
        }
    }
    assert_int_equal(replica_counter(replica, TD_COUNTER_equivocations), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_link_is_refused_with_the_reason, replica_setup_3,
                                        replica_teardown),
        cmocka_unit_test_setup_teardown(test_a_link_of_our_own_region_is_a_clone, replica_setup_3,
                                        replica_teardown),
        cmocka_unit_test_setup_teardown(test_late_events_of_a_link_are_ignored, replica_setup_3,
                                        replica_teardown),
        cmocka_unit_test_setup_teardown(test_the_newer_of_two_links_of_a_region_counts,
                                        replica_setup_3, replica_teardown),
        cmocka_unit_test_setup_teardown(test_of_a_closed_region_only_what_its_list_names_counts,
                                        replica_setup_3, replica_teardown),
        cmocka_unit_test_setup_teardown(test_a_closed_region_without_a_list_is_given_up,
                                        replica_setup_3, replica_teardown),
        cmocka_unit_test_setup_teardown(test_of_a_closing_region_only_what_a_head_names_is_taken,
                                        replica_setup_3, replica_teardown),
        cmocka_unit_test_setup_teardown(test_a_region_that_closes_itself_refuses_reports,
                                        replica_setup_3, replica_teardown),
        cmocka_unit_test_setup_teardown(test_a_restart_keeps_what_a_region_closed_since_had_given,
                                        replica_setup_3, replica_teardown),
        cmocka_unit_test_setup_teardown(test_a_slot_given_on_knows_nothing_of_its_former_region,
                                        replica_setup_3, replica_teardown),
        cmocka_unit_test_setup_teardown(test_a_proof_is_told_once_and_passed_on_to_the_others,
                                        replica_setup_3, replica_teardown),
        cmocka_unit_test_setup_teardown(test_a_proof_cut_short_names_nobody, replica_setup_3,
                                        replica_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
