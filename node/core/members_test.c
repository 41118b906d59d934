/* members_test.c -- what is concluded from members' heads and links over time: clones, losses,
 * fences, and words that need more than one step. */
#include "node/core/peers.h"
#include "node/core/replica_peer.h"

static struct replica *started(unsigned regions)
{
    const struct td_core_limits limits = {
        .registers_max = 4096,
        .bytes_max = 4 * 1024 * 1024,
        .links_max = 8,
        .requests_max = 64,
        .pending_deltas_max = 64,
        .batches_max = 4096,
        .ring_batches = 8,
        .change_ring = 256,
    };
    struct replica *replica =
        replica_new((struct replica_options){.regions = regions, .limits = limits});
    replica_start(replica);
    return replica;
}

static void stop(struct replica *replica)
{
    replica_settle(replica);
    assert_true(td_core_check(replica->core));
    replica_free(replica);
}

static struct td_region_info *region_of(struct replica *replica, uint8_t region)
{
    return &replica->core->regions[replica->core->slot_of[region]];
}

static void wait_ms(struct replica *replica, uint64_t ms)
{
    replica_tick(replica, ms);
    replica_settle(replica);
}

/* ---- clones ---- */

/* DESIGN 1, Incarnation: at most once a minute; the third within an hour stops publishing and
 * alerts. */
static void test_a_clone_takes_our_number_away_at_most_once_a_minute(void **state)
{
    struct replica *replica = started(2);
    struct td_incarnation lives[5];

    (void)state;
    for (unsigned i = 0; i < 4; ++i) {
        char job[8];
        (void)snprintf(job, sizeof job, "j%u", i);
        (void)replica_publish_one(replica, test_update(job, 1, TD_STATE_RUNNING));
        lives[i] = td_core_process(replica->core);
        replica_seen(replica, (struct td_incarnation){lives[i].start, lives[i].random + 1});
        replica_settle(replica);
        if (i < 2) {
            assert_true(td_core_process(replica->core).start > lives[i].start);
            /* Again within the minute: not now. */
            (void)replica_publish_one(replica, test_update(job, 2, TD_STATE_RUNNING));
            const struct td_incarnation now = td_core_process(replica->core);
            replica_seen(replica, (struct td_incarnation){now.start, now.random + 1});
            replica_settle(replica);
            assert_int_equal(td_core_process(replica->core).start, now.start);
        }
        wait_ms(replica, 61000);
    }
    assert_true(replica->traces[TD_TR_CLONE] >= 3);
    assert_int_equal(replica->traces[TD_TR_PUBLISH_STOPPED], 1);
    const struct td_update update = test_update("after", 1, TD_STATE_RUNNING);
    assert_int_equal(replica_reply(replica, replica_publish(replica, &update, 1, 0, 100))->err,
                     TD_ECLONE);
    stop(replica);
}

/* Only a clone drives start numbers to their end. */
static void test_used_up_start_numbers_stop_publishing(void **state)
{
    struct replica *replica = started(2);
    const struct td_update update = test_update("after", 1, TD_STATE_RUNNING);

    (void)state;
    replica_seen(replica, (struct td_incarnation){UINT32_MAX, 1});
    replica_settle(replica);
    assert_int_equal(replica_reply(replica, replica_publish(replica, &update, 1, 0, 100))->err,
                     TD_ECLONE);
    stop(replica);
}

/* A member that names lives of ours beyond all measure, in a vector, an echo and a fold, is not
 * believed. */
static void test_a_liar_does_not_use_up_our_start_numbers(void **state)
{
    struct replica *replica = started(2);
    const struct td_vv_entry entry = {{{1}, {UINT32_MAX, 5}}, 1};
    const struct td_vv_fold fold = {{1}, UINT32_MAX};
    const struct td_tick echo = {{{1}, {UINT32_MAX - 1, 5}}, 3, {0}};
    struct td_head head = {.origin = replica_peer_origin(2), .number = 1};

    (void)state;
    replica_link_up(replica, 7, 2);
    head.has = (struct td_vv){1, 1, &entry, &fold};
    head.echo = &echo;
    head.echo_count = 1;
    replica_head(replica, 7, head);
    replica_settle(replica);
    assert_true(td_core_process(replica->core).start < 9);
    assert_int_equal(replica_publish_one(replica, test_update("a", 1, TD_STATE_RUNNING)).err,
                     TD_OK);
    stop(replica);
}

/* Two processes of one other region that both go on answering: not a restart. */
static void test_two_processes_that_both_answer_are_a_clone(void **state)
{
    struct replica *replica = started(2);
    struct td_event up = {.type = TD_EV_LINK_UP};
    struct td_event rtt = {.type = TD_EV_LINK_RTT};

    (void)state;
    replica_link_up(replica, 7, 2);
    up.u.link_up.link.v = 8;
    up.u.link_up.region.v = 2;
    up.u.link_up.process = (struct td_incarnation){1, 99};
    up.u.link_up.proto = 1;
    replica_step(replica, &up);
    rtt.u.link_rtt.answered = true;
    rtt.u.link_rtt.rtt_us = 1000;
    for (unsigned second = 0; second < 8; ++second) {
        assert_int_equal(replica->traces[TD_TR_CLONE], second > 6);
        wait_ms(replica, 1000);
        for (uint32_t link = 7; link <= 8; ++link) {
            rtt.u.link_rtt.link.v = link;
            replica_step(replica, &rtt);
        }
    }
    assert_true(region_of(replica, 2)->clone_suspected);
    stop(replica);
}

/* Our own head under our own number with another content, brought back by somebody. */
static void test_our_own_head_with_another_hash_is_a_clone(void **state)
{
    struct replica *replica = started(2);
    struct td_head head = {.origin = {{1}, td_core_process(replica->core)}, .number = 1};
    struct td_event signed_ = {.type = TD_EV_HEAD_SIGNED};

    (void)state;
    replica_link_up(replica, 7, 2);
    replica_tick(replica, 1000);
    assert_int_equal(replica->core->head_number, 1); /* on its way to be signed */
    signed_.u.head_signed.number = 1;
    signed_.u.head_signed.hash[0] = 1; /* what replica_head makes of region 1 and number 1 */
    signed_.u.head_signed.hash[1] = 1;
    replica_step(replica, &signed_);
    replica_head(replica, 7, head);
    assert_int_equal(replica->traces[TD_TR_CLONE], 0); /* it is ours */
    replica->core->own_ticks[1].tick.hash[5] = 77;
    replica_head(replica, 7, head);
    assert_int_equal(replica->traces[TD_TR_CLONE], 1);
    stop(replica);
}

/* Somebody folded our start number away while our disk was old: what we said under it is said
 * again. */
static void test_what_was_said_under_a_folded_number_is_said_again(void **state)
{
    struct replica *replica = started(2);
    struct td_head head = {.origin = replica_peer_origin(2), .number = 1};
    struct td_vv_fold fold = {{1}, 9};

    (void)state;
    (void)replica_publish_one(replica, test_update("said", 1, TD_STATE_RUNNING));
    const struct td_incarnation before = td_core_process(replica->core);
    replica_link_up(replica, 7, 2);
    head.has = (struct td_vv){.fold_count = 1, .folds = &fold};
    replica_head(replica, 7, head);
    replica_settle(replica);
    replica_tick(replica, 10);
    replica_settle(replica);
    const struct td_incarnation now = td_core_process(replica->core);
    assert_true(before.start < 9 && now.start >= 9);
    const uint32_t reg = td_table_find(replica->core, test_job_hash("said"), test_text("said"), 1);
    const struct td_dot dot = td_register_dot(replica->core, &replica->core->registers[reg]);
    assert_int_equal(td_incarnation_compare(dot.origin.incarnation, now), 0);
    assert_true(td_dot_durable(replica->core, dot));
    stop(replica);
}

/* However much that is, and whatever was queued in the meantime: it goes out as the queue has room.
 */
static void test_more_than_the_queue_holds_is_said_again(void **state)
{
    enum { JOBS = 40 };
    struct replica *replica =
        replica_new((struct replica_options){.regions = 2, .limits = {.pending_deltas_max = 16}});
    struct td_head head = {.origin = replica_peer_origin(2), .number = 1};
    struct td_vv_fold fold = {{1}, 9};
    char job[8];

    (void)state;
    replica_start(replica);
    for (unsigned i = 0; i < JOBS; ++i) {
        (void)snprintf(job, sizeof job, "s%u", i);
        (void)replica_publish_one(replica, test_update(job, 1, TD_STATE_RUNNING));
    }
    replica_link_up(replica, 7, 2);
    head.has = (struct td_vv){.fold_count = 1, .folds = &fold};
    replica_head(replica, 7, head);
    const struct td_update later = test_update("s0", 1, TD_STATE_COMPLETED);
    (void)replica_publish(replica, &later, 1, 0, 5000); /* queued, and not to be beaten */
    replica_settle(replica);
    assert_true(td_core_check(replica->core));
    for (unsigned second = 0; second < 10; ++second) {
        replica_tick(replica, 1000);
        replica_settle(replica);
    }
    const struct td_incarnation now = td_core_process(replica->core);
    for (unsigned i = 0; i < JOBS; ++i) {
        (void)snprintf(job, sizeof job, "s%u", i);
        const uint32_t reg = td_table_find(replica->core, test_job_hash(job), test_text(job), 1);
        const struct td_dot dot = td_register_dot(replica->core, &replica->core->registers[reg]);
        assert_int_equal(td_incarnation_compare(dot.origin.incarnation, now), 0);
    }
    assert_int_equal(replica_state(replica, "s0", 1), TD_STATE_COMPLETED);
    assert_int_equal(replica_counter(replica, TD_COUNTER_refused_busy), 0);
    stop(replica);
}

/* An old backup: a member names more of us than we have, and our own head of then proves it. */
static void test_a_log_older_than_what_others_hold_recovers(void **state)
{
    struct replica *replica = started(2);
    struct td_head head = {.origin = replica_peer_origin(2), .number = 1};

    (void)state;
    (void)replica_publish_one(replica, test_update("a", 1, TD_STATE_RUNNING));
    const uint32_t backup = replica->log_count;
    (void)replica_publish_one(replica, test_update("b", 1, TD_STATE_RUNNING));
    const struct td_vv_entry entry = {{{1}, td_core_process(replica->core)}, 2};
    replica->log_count = backup;
    replica->log[replica->log_count++] =
        (struct td_record){.type = TD_RECORD_RECOVERED, .u.recovered = true};
    replica_restart(replica);
    assert_int_equal(replica_state(replica, "b", 1), TD_STATE_COUNT);
    assert_false(replica->core->recovering);
    replica_link_up(replica, 7, 2);
    head.has = (struct td_vv){.entry_count = 1, .entries = &entry};
    replica_head(replica, 7, head);
    assert_false(replica->core->recovering); /* one member's word, without our signature */
    assert_true(replica->sent[TD_MSG_HEAD_ASK] > 0);
    replica_head(replica, 7, (struct td_head){.origin = entry.origin, .number = 5, .seq = 2});
    head.number = 2;
    replica_head(replica, 7, head);
    assert_true(replica->core->recovering);
    assert_int_equal(replica->traces[TD_TR_ROLLED_BACK], 1);
    assert_true(region_of(replica, 1)->rolled_back);
    /* A restart must not vouch for itself either, though this write of it fails. */
    while (replica->store_count > 0) {
        replica_complete(replica, false);
    }
    wait_ms(replica, 1000);
    wait_ms(replica, 1000);
    assert_true(replica->core->recovering);
    replica_restart(replica);
    assert_true(replica->core->recovering);
    stop(replica);
}

/* ---- bare names ---- */

/* A member that names later lives of ours without our signature makes us draw, so that nothing is
 * lost if it is right; not without end, and nobody is called a clone for it. */
static void test_bare_names_of_later_lives_draw_a_few_times_and_stop_nothing(void **state)
{
    struct replica *replica = started(3);
    struct td_head head = {.origin = replica_peer_origin(2)};
    (void)state;
    replica_link_up(replica, 7, 2);
    const uint32_t first = td_core_process(replica->core).start;
    for (uint64_t number = 1; number <= 20; ++number) {
        const struct td_vv_entry later = {{{1}, {td_core_process(replica->core).start + 1, 99}}, 5};
        head.number = number;
        head.has = (struct td_vv){.entry_count = 1, .entries = &later};
        replica_head(replica, 7, head);
        replica_settle(replica);
    }
    assert_int_equal(td_core_process(replica->core).start, first + 4 * 2);
    assert_int_equal(replica->traces[TD_TR_CLONE], 0);
    const struct td_vv_entry far = {{{1}, {UINT32_MAX, 99}}, 5};
    head = (struct td_head){.origin = replica_peer_origin(3), .number = 1};
    head.has = (struct td_vv){.entry_count = 1, .entries = &far};
    replica_head(replica, 7, head);
    replica_settle(replica);
    assert_int_equal(td_core_process(replica->core).start, first + 4 * 2);
    assert_int_equal(replica_publish_one(replica, test_update("a", 1, TD_STATE_RUNNING)).err,
                     TD_OK);
    stop(replica);
}

/* ---- losses ---- */

/* Region 2 signed five reports, of which two are here. */
static void holds_two_of_five(struct replica *replica)
{
    replica_link_up(replica, 7, 2);
    assert_true(replica_receive(replica, replica_peer_batch(replica, 2, 1, 2), TD_LANE_TRANSFER));
    replica_settle(replica);
    replica_head(replica, 7,
                 (struct td_head){.origin = replica_peer_origin(2), .number = 1, .seq = 5});
}

/* DESIGN 1, Closing: what was signed and nobody holds is counted, and alerts once. */
static void test_a_closing_as_lost_counts_what_nobody_has(void **state)
{
    struct replica *replica = started(3);
    const struct td_closing closings[] = {{replica_peer_origin(2).incarnation, 2, true}};
    struct td_head head = {.origin = {{2}, {4, 1}}, .number = 1};

    (void)state;
    holds_two_of_five(replica);
    head.closing_count = 1;
    head.closings = closings;
    for (uint64_t number = 1; number <= 2; ++number) {
        head.number = number;
        replica_head(replica, 7, head);
        assert_int_equal(replica_counter(replica, TD_COUNTER_updates_lost), 3);
        assert_int_equal(replica->traces[TD_TR_UPDATES_LOST], 1);
    }
    const struct td_dot lost = {replica_peer_origin(2), 4};
    assert_true(td_dot_received(replica->core, lost)); /* satisfies tokens and freshness */
    stop(replica);
}

/* As if region 2, fenced here, had begun a second life whose newest head says how much it has of
 * the first. */
static void second_life_has(struct replica *replica, uint64_t seq)
{
    struct td_region_info *region =
        &replica->core->regions[td_region_slot(replica->core, (struct td_region){2})];
    const struct td_vv_entry entry = {replica_peer_origin(2), seq};
    const struct td_vv has = {.entry_count = 1, .entries = &entry};
    region->fenced = region->heard = region->echo_known = true;
    region->head_incarnation = (struct td_incarnation){2, 1};
    region->life_since_ms = 1;
    region->echo_moment_ms = replica->now.boot_ms;
    assert_true(td_vv_store_set(&region->head_has, &has));
}

static void let_it_be_missed(struct replica *replica)
{
    for (unsigned i = 0; i < 30; ++i) {
        wait_ms(replica, 500);
        td_fresh_update(replica->core);
    }
}

/* Nobody else holds them, and a fenced member is not waited for: its own word counts all the same.
 */
static void test_what_a_fenced_origin_still_has_is_not_given_up_as_lost(void **state)
{
    struct replica *replica = started(2);
    (void)state;
    holds_two_of_five(replica);
    second_life_has(replica, 5);
    let_it_be_missed(replica);
    assert_int_equal(replica_counter(replica, TD_COUNTER_updates_lost), 0);
    second_life_has(replica, 2); /* its log lacks them as well */
    let_it_be_missed(replica);
    assert_int_equal(replica_counter(replica, TD_COUNTER_updates_lost), 3);
    stop(replica);
}

/* Closings of what we never heard of are nothing to remember, unless something was in them. */
static void test_a_closing_of_an_empty_life_leaves_no_trace(void **state)
{
    struct replica *replica = started(3);
    const struct td_closing closings[] = {{{1, 9}, 0, false}, {{4, 1}, 3, false}};
    struct td_head head = {.origin = {{2}, {4, 1}}, .number = 1};

    (void)state;
    replica_link_up(replica, 7, 2);
    head.closing_count = 2;
    head.closings = closings; /* the second closes the running process itself: no sense in that */
    replica_head(replica, 7, head);
    assert_int_equal(td_inc_find(replica->core, (struct td_origin){{2}, {1, 9}}), TD_INC_NONE);
    const uint16_t running = td_inc_find(replica->core, head.origin);
    assert_true(running == TD_INC_NONE || !replica->core->incs[running].closed);
    stop(replica);
}

/* A process that was replaced speaks on: echoed, not believed. */
static void test_a_head_of_an_earlier_process_is_not_believed(void **state)
{
    struct replica *replica = started(3);
    struct td_head head = {.origin = {{2}, {4, 1}}, .number = 1};

    (void)state;
    replica_link_up(replica, 7, 2);
    replica_head(replica, 7, head);
    head.origin.incarnation = (struct td_incarnation){3, 1};
    head.number = 9;
    replica_head(replica, 7, head);
    assert_int_equal(region_of(replica, 2)->head_number, 1);
    assert_int_equal(region_of(replica, 2)->tick_count, 2);
    head.origin.incarnation = (struct td_incarnation){2, 1}; /* the third oldest: not even echoed */
    replica_head(replica, 7, head);
    assert_int_equal(replica_counter(replica, TD_COUNTER_heads_duplicate), 1);
    head.origin.incarnation = (struct td_incarnation){5, 1};
    replica_head(replica, 7, head);
    assert_int_equal(region_of(replica, 2)->ticks[0].origin.incarnation.start, 4);
    assert_int_equal(region_of(replica, 2)->ticks[1].origin.incarnation.start, 5);
    stop(replica);
}

/* ---- fences ---- */

static void speak(struct replica *replica, uint8_t region, uint64_t number, uint64_t has_seq)
{
    struct td_vv_entry entry = {replica_peer_origin(2), has_seq};
    struct td_head head = {.origin = replica_peer_origin(region), .number = number};

    head.has = (struct td_vv){.entry_count = has_seq > 0, .entries = &entry};
    replica_head(replica, region, head);
}

/* DESIGN 4, Fencing: who is away for max_absence holds the cut back no longer, and is let in again
 * once it covers what we have. */
static void test_who_is_away_too_long_is_fenced_until_it_has_caught_up(void **state)
{
    enum { DAYS = 8 };
    struct replica *replica = started(3);
    const uint64_t day_ms = 86400000;
    uint64_t number = 1;

    (void)state;
    replica_link_up(replica, 2, 2);
    replica_link_up(replica, 3, 3);
    speak(replica, 3, number, 0);
    assert_true(replica_receive(replica, replica_peer_batch(replica, 2, 1, 1), TD_LANE_TRANSFER));
    replica_settle(replica);
    for (unsigned day = 0; day <= DAYS; ++day) {
        speak(replica, 2, ++number, 1);
        wait_ms(replica, day_ms);
        assert_false(region_of(replica, 2)->fenced);
        assert_int_equal(region_of(replica, 3)->fenced,
                         day >= 6); /* seven days by the roster's policy */
    }
    speak(replica, 3, ++number, 0); /* back, but it lacks what was collected without it */
    speak(replica, 2, number, 1);
    wait_ms(replica, 2000);
    assert_true(region_of(replica, 3)->fenced);
    speak(replica, 3, ++number, 1);
    wait_ms(replica, 2000);
    assert_false(region_of(replica, 3)->fenced);
    stop(replica);
}

static void test_without_a_limit_of_absence_nobody_is_fenced(void **state)
{
    struct replica *replica = started(3);

    (void)state;
    replica->roster.policy.max_absence_s = 0;
    replica_roster(replica);
    replica_link_up(replica, 3, 3);
    speak(replica, 3, 1, 0);
    wait_ms(replica, UINT64_C(400) * 86400000);
    assert_false(region_of(replica, 3)->fenced);
    stop(replica);
}

/* ---- live lanes ---- */

/* What nobody can have asked us for is counted and dropped. */
static void test_live_reports_of_strangers_and_of_ourselves_are_dropped(void **state)
{
    struct replica *replica = started(3);
    struct td_msg live = {.type = TD_MSG_LIVE};

    (void)state;
    replica_link_up(replica, 7, 2);
    replica_frame_batch(replica, 7, &live, replica_peer_batch(replica, 9, 1, 1));
    replica_frame_batch(replica, 7, &live, replica_peer_batch(replica, 1, 1, 1));
    assert_int_equal(replica_counter(replica, TD_COUNTER_rejected_closed), 2);
    assert_int_equal(replica_state(replica, "p9-1", 1), TD_STATE_COUNT);
    stop(replica);
}

/* A slow peer costs no memory: the ring overtakes it, and it is told that it lacks something. */
static void test_who_is_overtaken_by_the_ring_is_told(void **state)
{
    struct replica *replica = started(3);
    struct td_msg want = {.type = TD_MSG_WANT_LIVE};
    struct td_msg credit = {.type = TD_MSG_CREDIT};

    (void)state;
    replica_link_up(replica, 7, 2);
    want.u.want_live.region.v = 3;
    want.u.want_live.on = true;
    replica_frame(replica, 7, &want);
    for (uint64_t seq = 1; seq <= 20; ++seq) { /* the ring holds eight */
        assert_true(replica_receive(replica, replica_peer_batch(replica, 3, seq, 1), TD_LANE_LIVE));
        replica_settle(replica);
    }
    assert_int_equal(replica->sent[TD_MSG_LIVE], 0); /* no credit */
    assert_true(replica->sent[TD_MSG_NOT_WHOLE] > 0);
    const uint32_t told = replica->sent[TD_MSG_NOT_WHOLE];
    credit.u.credit.lane = TD_LANE_LIVE;
    credit.u.credit.bytes = 1 << 20;
    replica_frame(replica, 7, &credit);
    assert_true(replica_receive(replica, replica_peer_batch(replica, 3, 21, 1), TD_LANE_LIVE));
    replica_settle(replica);
    replica_tick(replica, 0);
    assert_true(replica->sent[TD_MSG_LIVE] > 0 && replica->sent[TD_MSG_LIVE] <= 9);
    assert_int_equal(replica->sent[TD_MSG_NOT_WHOLE], told);
    stop(replica);
}

/* A link that answered at a steady pace and then does not: late, and up again with the next answer.
 */
static void test_a_link_that_stops_answering_is_late(void **state)
{
    struct replica *replica = started(2);
    struct td_event rtt = {.type = TD_EV_LINK_RTT};

    (void)state;
    replica_link_up(replica, 7, 2);
    rtt.u.link_rtt.link.v = 7;
    rtt.u.link_rtt.answered = true;
    rtt.u.link_rtt.rtt_us = 1000;
    for (unsigned i = 0; i < 10; ++i) {
        replica_step(replica, &rtt);
        wait_ms(replica, 500);
    }
    const uint8_t slot = replica->core->slot_of[2];
    assert_int_equal(td_peers_view(replica->core, slot), TD_LINK_UP);
    wait_ms(replica, 3000);
    assert_int_equal(td_peers_view(replica->core, slot), TD_LINK_LATE);
    replica_step(replica, &rtt);
    assert_int_equal(td_peers_view(replica->core, slot), TD_LINK_UP);
    stop(replica);
}

/* ---- more than one step can say ---- */

/* A mesh of the largest size: all heads and all wants go over to the one link that is left. */
static void test_what_exceeds_one_step_is_sent_in_the_next(void **state)
{
    struct replica *replica = started(TD_REGIONS_MAX);
    struct td_event down = {.type = TD_EV_LINK_DOWN};

    (void)state;
    replica_link_up(replica, 2, 2);
    for (uint8_t region = 2; region <= TD_REGIONS_MAX; ++region) {
        replica_head(replica, 2,
                     (struct td_head){.origin = replica_peer_origin(region), .number = 1});
    }
    down.u.link_down.link.v = 2;
    replica_step(replica, &down);
    memset(replica->sent, 0, sizeof replica->sent);
    replica_link_up(replica, 3, 3);
    const uint32_t first = replica->sent[TD_MSG_HEAD] + replica->sent[TD_MSG_WANT_LIVE];
    assert_true(first < TD_LINK_OUT_MAX);
    for (unsigned i = 0; i < 4; ++i) {
        replica_tick(replica, 0);
    }
    assert_int_equal(replica->sent[TD_MSG_HEAD],
                     TD_REGIONS_MAX - 2); /* not its own, not ours: unsigned */
    assert_int_equal(replica->sent[TD_MSG_WANT_LIVE], TD_REGIONS_MAX - 1);
    stop(replica);
}

/* A vector beyond every bound is counted and not taken over. */
static void test_a_vector_that_is_too_long_is_not_taken_over(void **state)
{
    static struct td_vv_entry entries[TD_VV_ENTRIES_MAX + 1];
    struct replica *replica = started(3);
    struct td_msg msg = {.type = TD_MSG_HAS};
    struct td_head head = {.origin = replica_peer_origin(2), .number = 1};

    (void)state;
    for (uint32_t i = 0; i <= TD_VV_ENTRIES_MAX; ++i) {
        entries[i] = (struct td_vv_entry){{{3}, {i + 1, 1}}, 1};
    }
    replica_link_up(replica, 7, 2);
    msg.u.has = (struct td_vv){.entry_count = TD_VV_ENTRIES_MAX + 1, .entries = entries};
    replica_frame(replica, 7, &msg);
    assert_int_equal(replica_counter(replica, TD_COUNTER_rejected_bounds), 1);
    head.has = msg.u.has;
    replica_head(replica, 7, head);
    assert_int_equal(replica_counter(replica, TD_COUNTER_rejected_bounds), 2);
    assert_int_equal(region_of(replica, 2)->head_has.vv.entry_count, 0);
    stop(replica);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_clone_takes_our_number_away_at_most_once_a_minute),
        cmocka_unit_test(test_used_up_start_numbers_stop_publishing),
        cmocka_unit_test(test_a_liar_does_not_use_up_our_start_numbers),
        cmocka_unit_test(test_two_processes_that_both_answer_are_a_clone),
        cmocka_unit_test(test_our_own_head_with_another_hash_is_a_clone),
        cmocka_unit_test(test_what_was_said_under_a_folded_number_is_said_again),
        cmocka_unit_test(test_more_than_the_queue_holds_is_said_again),
        cmocka_unit_test(test_a_log_older_than_what_others_hold_recovers),
        cmocka_unit_test(test_bare_names_of_later_lives_draw_a_few_times_and_stop_nothing),
        cmocka_unit_test(test_a_closing_as_lost_counts_what_nobody_has),
        cmocka_unit_test(test_what_a_fenced_origin_still_has_is_not_given_up_as_lost),
        cmocka_unit_test(test_a_closing_of_an_empty_life_leaves_no_trace),
        cmocka_unit_test(test_a_head_of_an_earlier_process_is_not_believed),
        cmocka_unit_test(test_who_is_away_too_long_is_fenced_until_it_has_caught_up),
        cmocka_unit_test(test_without_a_limit_of_absence_nobody_is_fenced),
        cmocka_unit_test(test_live_reports_of_strangers_and_of_ourselves_are_dropped),
        cmocka_unit_test(test_who_is_overtaken_by_the_ring_is_told),
        cmocka_unit_test(test_a_link_that_stops_answering_is_late),
        cmocka_unit_test(test_what_exceeds_one_step_is_sent_in_the_next),
        cmocka_unit_test(test_a_vector_that_is_too_long_is_not_taken_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
