/* transfer_test.c -- a transfer that goes wrong: whatever the sender does, `has` moves only for
 * what came, is durable and was signed by its origin; and somebody else is asked. */
#include "node/core/peers.h"
#include "node/core/replica_peer.h"

enum { NEAR = 7, FAR = 9, HAS_SEQ = 3 }; /* links of regions 2 and 3; both have three of region 2 */

static void announce(struct replica *replica, uint32_t link, uint64_t seq)
{
    struct td_vv_entry entry = {replica_peer_origin(2), seq};
    struct td_msg msg = {.type = TD_MSG_HAS};

    msg.u.has = (struct td_vv){.entry_count = 1, .entries = &entry};
    replica_frame(replica, link, &msg);
}

static void own_head(struct replica *replica, uint64_t number, uint64_t seq)
{
    replica_head(replica, NEAR,
                 (struct td_head){.origin = replica_peer_origin(2), .number = number, .seq = seq});
}

static bool asked(const struct replica *replica)
{
    return replica->core->transfer.active && replica->core->transfer.asked;
}

static void wait_until_asked(struct replica *replica)
{
    for (unsigned ms = 0; ms < 6000 && !asked(replica); ms += 10) {
        replica_tick(replica, 10);
        replica_settle(replica);
    }
    assert_true(asked(replica));
}

/* A replica that has asked one of its two peers for everything. */
static struct replica *asking(struct td_core_limits limits)
{
    struct replica *replica = replica_new((struct replica_options){.regions = 3, .limits = limits});
    struct td_msg hole = {.type = TD_MSG_NOT_WHOLE};

    replica_start(replica);
    replica_link_up(replica, NEAR, 2);
    replica_link_up(replica, FAR, 3);
    own_head(replica, 1, HAS_SEQ);
    announce(replica, NEAR, HAS_SEQ);
    announce(replica, FAR, HAS_SEQ);
    hole.u.region.v = 2;
    replica_frame(replica, NEAR, &hole);
    wait_until_asked(replica);
    return replica;
}

static const struct td_core_limits usual = {0};

static uint32_t sender_link(const struct replica *replica)
{
    return replica->core->links[replica->core->transfer.link].id.v;
}

static struct td_msg chunk_of(const struct replica *replica)
{
    struct td_msg msg = {.type = TD_MSG_TRANSFER_CHUNK};
    msg.u.chunk.id = replica->core->transfer.id;
    msg.u.chunk.cursor = 5;
    return msg;
}

static void end(struct replica *replica, uint32_t link, uint32_t id,
                const struct td_vv_entry *entries, uint32_t count)
{
    struct td_msg msg = {.type = TD_MSG_TRANSFER_END};
    msg.u.end.id = id;
    msg.u.end.claim = (struct td_vv){.entry_count = count, .entries = entries};
    replica_frame(replica, link, &msg);
}

static uint64_t has_of(const struct replica *replica, struct td_origin origin)
{
    const struct td_vv has = td_core_has(replica->core);
    return td_vv_seq(&has, origin);
}

static void given_up(struct replica *replica, uint64_t count)
{
    assert_int_equal(replica_counter(replica, TD_COUNTER_transfers_given_up), count);
    assert_int_equal(has_of(replica, replica_peer_origin(2)), 0);
}

static void stop(struct replica *replica)
{
    replica_settle(replica);
    assert_true(td_core_check(replica->core));
    replica_free(replica);
}

/* ---- as a receiver ---- */

static void test_a_whole_transfer_moves_the_vector(void **state)
{
    struct replica *replica = asking(usual);
    const struct td_vv_entry claim = {replica_peer_origin(2), HAS_SEQ};
    struct td_msg chunk = chunk_of(replica);

    (void)state;
    const uint32_t from = sender_link(replica);
    struct td_batch thinned = *replica_peer_batch(replica, 2, 1, 3);
    thinned.whole = false;
    thinned.present_count = 2; /* the third was superseded: only the claim covers it */
    replica_frame_batch(replica, from, &chunk, &thinned);
    end(replica, from, replica->core->transfer.id, &claim, 1);
    assert_int_equal(has_of(replica, replica_peer_origin(2)), 0); /* not durable yet */
    replica_settle(replica);
    assert_int_equal(has_of(replica, replica_peer_origin(2)), HAS_SEQ);
    assert_int_equal(replica_counter(replica, TD_COUNTER_transfers_done), 1);
    stop(replica);
}

static void test_who_refuses_is_left_for_another(void **state)
{
    struct replica *replica = asking(usual);
    struct td_msg no = {.type = TD_MSG_TRANSFER_NO};
    const uint32_t first = sender_link(replica);

    (void)state;
    no.u.transfer_no_id = replica->core->transfer.id + 1; /* of something else: no matter */
    replica_frame(replica, first, &no);
    given_up(replica, 0);
    no.u.transfer_no_id = replica->core->transfer.id;
    replica_frame(replica, first, &no);
    given_up(replica, 1);
    wait_until_asked(replica);
    assert_int_not_equal(sender_link(replica), first);
    no.u.transfer_no_id = replica->core->transfer.id;
    replica_frame(replica, sender_link(replica), &no);
    given_up(replica, 2);
    assert_false(replica->core->transfer.active); /* both were given up a moment ago */
    wait_until_asked(replica);                    /* and are asked again after a while */
    stop(replica);
}

static void test_silence_is_given_up(void **state)
{
    struct replica *replica = asking(usual);
    const uint32_t first = sender_link(replica);

    (void)state;
    replica_tick(replica, 2000);
    given_up(replica, 1);
    wait_until_asked(replica);
    assert_int_not_equal(sender_link(replica), first);
    stop(replica);
}

/* A batch that failed its checks: what it lacked may be what the claim names. */
static void test_a_chunk_with_a_bad_batch_voids_the_claim(void **state)
{
    struct replica *replica = asking(usual);
    struct td_event frame = {.type = TD_EV_FRAME};
    struct td_msg chunk = chunk_of(replica);

    (void)state;
    frame.u.frame.link.v = sender_link(replica);
    frame.u.frame.msg = &chunk;
    frame.u.frame.rejected = 1;
    replica_step(replica, &frame);
    given_up(replica, 1);
    assert_int_equal(replica_counter(replica, TD_COUNTER_rejected_signature), 1);
    stop(replica);
}

static void test_a_full_table_voids_the_claim(void **state)
{
    const struct td_core_limits small = {
        .registers_max = 64,
        .bytes_max = 1024 * 1024,
        .links_max = 4,
        .requests_max = 64,
        .pending_deltas_max = 64,
        .batches_max = 512,
        .ring_batches = 8,
        .change_ring = 256,
    };
    struct replica *replica = asking(small);
    struct td_msg chunk = chunk_of(replica);

    (void)state;
    replica_frame_batch(replica, sender_link(replica), &chunk,
                        replica_peer_batch(replica, 2, 1, 100));
    replica_settle(replica);
    given_up(replica, 1);
    stop(replica);
}

static void test_a_store_that_failed_voids_the_claim(void **state)
{
    struct replica *replica = asking(usual);
    const struct td_vv_entry claim = {replica_peer_origin(2), HAS_SEQ};
    struct td_msg chunk = chunk_of(replica);
    const uint32_t from = sender_link(replica);

    (void)state;
    replica_frame_batch(replica, from, &chunk, replica_peer_batch(replica, 2, 1, 3));
    end(replica, from, replica->core->transfer.id, &claim, 1);
    replica_complete(replica, false);
    replica_settle(replica);
    given_up(replica, 1);
    stop(replica);
}

/* Nothing said about another origin counts beyond what that origin has signed: after a moment for
 * its head to arrive, the claim is cut. */
static void test_a_claim_counts_as_far_as_it_is_signed(void **state)
{
    struct replica *replica = asking(usual);
    const struct td_vv_entry claim[] = {{replica_peer_origin(2), HAS_SEQ + 40},
                                        {replica_peer_origin(3), 9}};
    const uint32_t from = sender_link(replica);

    (void)state;
    const uint64_t before = replica->sent[TD_MSG_HEAD_ASK];
    end(replica, from, replica->core->transfer.id, claim, 2);
    assert_true(replica->sent[TD_MSG_HEAD_ASK] > before);
    assert_int_equal(replica_counter(replica, TD_COUNTER_transfers_done), 0); /* waits */
    own_head(replica, 2, HAS_SEQ + 7);
    replica_tick(replica, 500);
    replica_settle(replica);
    assert_int_equal(replica_counter(replica, TD_COUNTER_transfers_done), 1);
    assert_int_equal(has_of(replica, replica_peer_origin(2)), HAS_SEQ + 7);
    assert_int_equal(has_of(replica, replica_peer_origin(3)), 0);
    assert_int_equal(replica_counter(replica, TD_COUNTER_rejected_bounds), 2);
    stop(replica);
}

static void test_a_claim_beyond_every_bound_is_void(void **state)
{
    static struct td_vv_entry claim[TD_VV_ENTRIES_MAX + 1];
    struct replica *replica = asking(usual);

    (void)state;
    for (uint32_t i = 0; i <= TD_VV_ENTRIES_MAX; ++i) {
        claim[i] = (struct td_vv_entry){{{3}, {i + 1, 1}}, 1};
    }
    end(replica, sender_link(replica), replica->core->transfer.id, claim, TD_VV_ENTRIES_MAX + 1);
    given_up(replica, 1);
    stop(replica);
}

/* Frames of a transfer that is over, or of another link, belong to nobody. */
static void test_frames_of_another_transfer_are_ignored(void **state)
{
    struct replica *replica = asking(usual);
    const struct td_vv_entry claim = {replica_peer_origin(2), HAS_SEQ};
    struct td_msg chunk = chunk_of(replica);
    const uint32_t other = sender_link(replica) == NEAR ? FAR : NEAR;

    (void)state;
    replica_frame_batch(replica, other, &chunk, replica_peer_batch(replica, 2, 1, 3));
    end(replica, other, replica->core->transfer.id, &claim, 1);
    end(replica, sender_link(replica), replica->core->transfer.id + 9, &claim, 1);
    replica_settle(replica);
    assert_int_equal(has_of(replica, replica_peer_origin(2)), 0);
    assert_int_equal(replica_counter(replica, TD_COUNTER_transfer_batches_received), 0);
    assert_true(replica->core->transfer.active);
    stop(replica);
}

static void link_down(struct replica *replica, uint32_t link)
{
    struct td_event down = {.type = TD_EV_LINK_DOWN};
    down.u.link_down.link.v = link;
    replica_step(replica, &down);
}

/* A broken transfer resumes with the same process, from its cursor; with another one it starts
 * anew. */
static void test_a_broken_transfer_resumes_with_the_same_process_only(void **state)
{
    struct td_event up = {.type = TD_EV_LINK_UP};
    (void)state;
    for (uint32_t random = 0; random < 2; ++random) {
        struct replica *replica = asking(usual);
        struct td_msg chunk = chunk_of(replica);
        const uint32_t from = sender_link(replica);
        const uint8_t region = from == NEAR ? 2 : 3;
        const uint32_t id = replica->core->transfer.id;
        replica_frame_batch(replica, from, &chunk, replica_peer_batch(replica, 2, 1, 1));
        replica_settle(replica);
        link_down(replica, from);
        up.u.link_up.link.v = 20;
        up.u.link_up.region.v = region;
        up.u.link_up.process = replica_peer_origin(region).incarnation;
        up.u.link_up.process.random += random;
        up.u.link_up.proto = 1;
        replica_step(replica, &up);
        replica_tick(replica, 0);
        assert_int_equal(replica_counter(replica, TD_COUNTER_transfers_given_up), random);
        if (random == 0) {
            assert_int_equal(replica->core->transfer.id, id);
            assert_int_equal(replica->core->transfer.cursor, 5);
            assert_int_equal(sender_link(replica), 20);
        }
        stop(replica);
    }
}

static void test_a_sender_that_stays_away_is_given_up(void **state)
{
    struct replica *replica = asking(usual);

    (void)state;
    link_down(replica, sender_link(replica));
    replica_tick(replica, 1000);
    given_up(replica, 0);
    replica_tick(replica, 1000);
    given_up(replica, 1);
    stop(replica);
}

/* ---- as a sender ---- */

static void ask(struct replica *replica, uint32_t link, uint32_t id, const struct td_vv *has)
{
    struct td_msg msg = {.type = TD_MSG_WANT_ALL};
    msg.u.want_all.id = id;
    msg.u.want_all.has = *has;
    replica_frame(replica, link, &msg);
    replica_tick(replica, 0);
}

static void grant(struct replica *replica, uint32_t link, uint64_t bytes)
{
    struct td_msg msg = {.type = TD_MSG_CREDIT};
    msg.u.credit.lane = TD_LANE_TRANSFER;
    msg.u.credit.bytes = bytes;
    replica_frame(replica, link, &msg);
    replica_tick(replica, 0);
}

static struct replica *serving(unsigned batches)
{
    struct replica *replica = replica_new((struct replica_options){.regions = 3});

    replica_start(replica);
    for (unsigned i = 0; i < batches; ++i) {
        assert_true(
            replica_receive(replica, replica_peer_batch(replica, 3, i + 1, 1), TD_LANE_LIVE));
        replica_settle(replica);
    }
    replica_link_up(replica, NEAR, 2);
    return replica;
}

/* Chunks go as far as credit does, in the order of arrival, and the claim comes last. */
static void test_a_sender_goes_on_where_credit_ended(void **state)
{
    struct replica *replica = serving(300);
    const struct td_vv nothing = {0};
    uint32_t grants = 0;

    (void)state;
    ask(replica, NEAR, 1, &nothing);
    assert_int_equal(replica->sent[TD_MSG_TRANSFER_CHUNK], 0);
    while (replica->sent[TD_MSG_TRANSFER_END] == 0) {
        const uint32_t before = replica->sent[TD_MSG_TRANSFER_CHUNK];
        grant(replica, NEAR, TD_CHUNK_CHARGE);
        assert_true(replica->sent[TD_MSG_TRANSFER_CHUNK] <= before + 1);
        assert_true(++grants < 20);
    }
    assert_int_equal(replica->sent[TD_MSG_TRANSFER_CHUNK], (300 + 63) / 64);
    assert_int_equal(replica_counter(replica, TD_COUNTER_transfer_batches_sent), 300);
    stop(replica);
}

/* A vector that cannot be kept cannot be served either. */
static void test_a_request_beyond_every_bound_is_refused(void **state)
{
    static struct td_vv_entry entries[TD_VV_ENTRIES_MAX + 1];
    struct replica *replica = serving(1);
    const struct td_vv has = {.entry_count = TD_VV_ENTRIES_MAX + 1, .entries = entries};

    (void)state;
    for (uint32_t i = 0; i <= TD_VV_ENTRIES_MAX; ++i) {
        entries[i] = (struct td_vv_entry){{{3}, {i + 1, 1}}, 1};
    }
    ask(replica, NEAR, 1, &has);
    assert_int_equal(replica->sent[TD_MSG_TRANSFER_NO], 1);
    assert_int_equal(replica->sent[TD_MSG_TRANSFER_END], 0);
    stop(replica);
}

/* Registers whose bytes are nowhere, but which beat older ones that we do claim: no answer is
 * whole. */
static void test_who_lost_a_store_does_not_claim_to_be_complete(void **state)
{
    struct replica *replica = serving(2);
    const struct td_vv nothing = {0};

    (void)state;
    assert_true(replica_receive(replica, replica_peer_batch(replica, 3, 3, 1), TD_LANE_LIVE));
    replica_complete(replica, false);
    replica_settle(replica);
    grant(replica, NEAR, 4 * TD_CHUNK_CHARGE);
    ask(replica, NEAR, 1, &nothing);
    assert_int_equal(replica->sent[TD_MSG_TRANSFER_NO], 1);
    assert_int_equal(replica->sent[TD_MSG_TRANSFER_END], 0);
    stop(replica);
}

/* A batch of region 3 that reports the same four jobs as the one before it, or four of its own. */
static const struct td_batch *four_jobs(struct replica *replica, unsigned number, bool same)
{
    static char names[4][24];
    static struct td_delta deltas[4];
    for (uint32_t i = 0; i < 4; ++i) {
        (void)snprintf(names[i], sizeof names[i], "%u-%u", same ? 0 : number, i);
        deltas[i] = (struct td_delta){
            .job = test_text(names[i]),
            .attempt = 1,
            .stamp = {REPLICA_WALL_MS + number, 0},
            .status = {.state = TD_STATE_RUNNING, .writer = test_text("w")},
            .job_hash = test_job_hash(names[i]),
            .index = i,
        };
    }
    return replica_batch(replica, replica_peer_origin(3), 1 + 4 * (uint64_t)number, deltas, 4);
}

/* The ring has everything that is asked for. It is served whole, unless it is much and mostly beaten. */
static void test_what_is_mostly_beaten_is_left_to_a_transfer(void **state)
{
    static const struct {
        uint32_t updates_max;
        bool same, whole;
    } rows[] = {
        {39, true, false},
        {40, true, true},   /* not so much */
        {39, false, true},  /* all of it counts */
        {0, true, true},    /* never */
    };
    (void)state;
    for (unsigned row = 0; row < sizeof rows / sizeof rows[0]; ++row) {
        struct td_core_limits limits = usual;
        limits.live_updates_max = rows[row].updates_max;
        struct replica *replica = replica_new((struct replica_options){.regions = 3, .limits = limits});
        struct td_msg want = {.type = TD_MSG_WANT_LIVE};
        replica_start(replica);
        for (unsigned i = 0; i < 10; ++i) {
            assert_true(replica_receive(replica, four_jobs(replica, i, rows[row].same), TD_LANE_LIVE));
            replica_settle(replica);
        }
        replica_link_up(replica, NEAR, 2);
        want.u.want_live.region.v = 3;
        want.u.want_live.on = true;
        replica_frame(replica, NEAR, &want);
        replica_tick(replica, 0);
        assert_int_equal(replica->sent[TD_MSG_NOT_WHOLE], !rows[row].whole);
        stop(replica);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_mostly_beaten_is_left_to_a_transfer),
        cmocka_unit_test(test_a_whole_transfer_moves_the_vector),
        cmocka_unit_test(test_who_refuses_is_left_for_another),
        cmocka_unit_test(test_silence_is_given_up),
        cmocka_unit_test(test_a_chunk_with_a_bad_batch_voids_the_claim),
        cmocka_unit_test(test_a_full_table_voids_the_claim),
        cmocka_unit_test(test_a_store_that_failed_voids_the_claim),
        cmocka_unit_test(test_a_claim_counts_as_far_as_it_is_signed),
        cmocka_unit_test(test_a_claim_beyond_every_bound_is_void),
        cmocka_unit_test(test_frames_of_another_transfer_are_ignored),
        cmocka_unit_test(test_a_broken_transfer_resumes_with_the_same_process_only),
        cmocka_unit_test(test_a_sender_that_stays_away_is_given_up),
        cmocka_unit_test(test_a_sender_goes_on_where_credit_ended),
        cmocka_unit_test(test_a_request_beyond_every_bound_is_refused),
        cmocka_unit_test(test_who_lost_a_store_does_not_claim_to_be_complete),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
