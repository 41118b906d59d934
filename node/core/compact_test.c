/* compact_test.c -- what the log may leave out, what it must keep for whom, and what a compacted
 * log with a hole is still believed (docs/decisions/0022). */
#include "node/core/replica_peer.h"

static const struct td_origin other = {{2}, {1, 5}};
static const struct td_origin third = {{3}, {1, 6}};

static struct td_delta report(const char *job, enum td_state state_, uint64_t ms)
{
    return (struct td_delta){.job = test_text(job),
                             .job_hash = test_job_hash(job),
                             .attempt = 1,
                             .stamp = {REPLICA_WALL_MS + ms, 0},
                             .status = {.state = state_}};
}

/* A batch of one report, given to the log but not completed. */
static const struct td_batch *receive(struct replica *replica, struct td_origin origin,
                                      uint64_t seq, struct td_delta delta)
{
    const struct td_batch *batch = replica_batch(replica, origin, seq, &delta, 1);
    assert_true(replica_receive(replica, batch, TD_LANE_LIVE));
    return batch;
}

static const struct td_compact_answer *ask(struct replica *replica,
                                           const struct td_compact_ask *what)
{
    struct td_event event = {.type = TD_EV_COMPACT, .u = {.compact = what}};
    replica->compact = NULL;
    replica_step(replica, &event);
    return replica->compact;
}

/* Where this batch lies in the log. */
static uint64_t position_of(const struct replica *replica, const struct td_batch *batch)
{
    for (uint32_t i = 0; i < replica->log_count; ++i) {
        if (replica->log[i].type == TD_RECORD_BATCH && replica->log[i].u.batch == batch) {
            return replica->log[i].ref.position;
        }
    }
    fail_msg("the batch is not in the log");
    return 0;
}

static struct td_compact_keep keep_of(struct replica *replica, const struct td_batch *batch)
{
    const struct td_compact_batch question = {position_of(replica, batch), batch};
    const struct td_compact_answer *answer =
        ask(replica,
            &(struct td_compact_ask){.step = TD_COMPACT_KEEP, .batches = &question, .count = 1});
    assert_non_null(answer);
    assert_true(answer->ok);
    assert_int_equal(answer->count, 1);
    return answer->keeps[0];
}

/* Takes everything out of the rings, as the beginning of a compaction of these segments does. */
static void begin(struct replica *replica)
{
    const uint32_t segment = 1; /* all the harness has */
    const struct td_compact_answer *answer =
        ask(replica,
            &(struct td_compact_ask){.step = TD_COMPACT_BEGIN, .segments = &segment, .count = 1});
    assert_true(answer->ok);
}

static void test_what_a_register_shows_stays_and_what_something_durable_beat_goes(void **state)
{
    struct replica *replica = *state;
    const struct td_batch *first = receive(replica, other, 1, report("a", TD_STATE_RUNNING, 1));
    replica_settle(replica);
    assert_int_equal(keep_of(replica, first).keep_count, 1);
    const struct td_batch *second = receive(replica, other, 2, report("a", TD_STATE_COMPLETED, 2));
    assert_int_equal(replica_state(replica, "a", 1), TD_STATE_COMPLETED);
    assert_int_equal(keep_of(replica, first).keep_count, 1); /* merged and shown, but not durable */
    replica_settle(replica);
    assert_int_equal(keep_of(replica, first).keep_count, 0);
    assert_int_equal(keep_of(replica, second).keep_count, 1);
}

static void test_what_could_not_be_written_beats_nothing(void **state)
{
    struct replica *replica = *state;
    const struct td_batch *first = receive(replica, other, 1, report("a", TD_STATE_RUNNING, 1));
    replica_settle(replica);
    (void)receive(replica, other, 2, report("a", TD_STATE_COMPLETED, 2));
    replica_complete(replica, false);
    assert_int_equal(replica_state(replica, "a", 1), TD_STATE_COMPLETED);
    assert_int_equal(keep_of(replica, first).keep_count, 1);
}

static void test_the_newest_concurrent_losers_stay_four_of_a_register(void **state)
{
    struct replica *replica = replica_new((struct replica_options){.regions = 9});
    const struct td_batch *batches[7];
    (void)state;
    replica_start(replica);
    for (uint8_t i = 0; i < 7; ++i) { /* none has seen another, the first wins */
        const struct td_origin origin = {{(uint8_t)(i + 2)}, {1, 5}};
        batches[i] = receive(replica, origin, 1, report("a", TD_STATE_RUNNING, 100u - i));
        replica_settle(replica);
    }
    for (uint32_t i = 0; i < 7; ++i) { /* the two oldest losers stay as anchors only */
        assert_int_equal(keep_of(replica, batches[i]).loser_count, i >= 3);
    }
    assert_true(td_core_check(replica->core));
    replica_free(replica);
}

static void test_the_newest_header_of_an_incarnation_stays(void **state)
{
    struct replica *replica = *state;
    const struct td_batch *old = receive(replica, other, 1, report("a", TD_STATE_RUNNING, 1));
    const struct td_batch *anchor = receive(replica, other, 2, report("a", TD_STATE_RUNNING, 2));
    replica_settle(replica);
    (void)receive(replica, third, 1, report("a", TD_STATE_COMPLETED, 3));
    replica_settle(replica);
    const struct td_compact_keep keep = keep_of(replica, anchor);
    assert_int_equal(keep.keep_count, 1);
    assert_int_not_equal(keep.slot, TD_NONE);
    assert_int_equal(keep_of(replica, old).keep_count, 0);
}

static void test_a_whole_batch_beyond_a_hole_stays_whole(void **state)
{
    struct replica *replica = *state;
    const struct td_batch *first = receive(replica, other, 1, report("a", TD_STATE_RUNNING, 1));
    const struct td_batch *beyond = receive(replica, other, 5, report("b", TD_STATE_RUNNING, 2));
    (void)receive(replica, other, 6, report("b", TD_STATE_COMPLETED, 3));
    (void)receive(replica, other, 7, report("a", TD_STATE_COMPLETED, 4));
    replica_settle(replica);
    assert_int_equal(keep_of(replica, first).keep_count, 0);
    assert_int_equal(keep_of(replica, beyond).keep_count, 1); /* beaten, but no claim covers it */
}

static void test_moved_batches_keep_their_turn_and_are_found_at_the_new_place(void **state)
{
    struct replica *replica = *state;
    const struct td_batch *batches[4];
    uint64_t arrived[4];
    for (uint32_t i = 0; i < 4; ++i) {
        char job[8];
        (void)snprintf(job, sizeof job, "j%u", i);
        batches[i] = receive(replica, other, i + 1, report(job, TD_STATE_RUNNING, i));
        replica_settle(replica);
        const uint32_t slot = keep_of(replica, batches[i]).slot;
        arrived[i] = replica->core->slots[slot].arrived;
    }
    /* A transfer under way, without credit for more, stands between the second and the third. */
    replica_link_up(replica, 7, 3);
    struct td_link *link =
        &replica->core->links[td_link_find(replica->core, (struct td_link_id){7})];
    const struct td_msg want = {.type = TD_MSG_WANT_ALL,
                                .u.want_all = {.id = 1, .cursor = arrived[2]}};
    replica_frame(replica, 7, &want);
    assert_true(link->send.active);
    const uint32_t standing = link->send.cursor_slot;
    assert_int_equal(replica->core->slots[standing].arrived, arrived[2]);
    begin(replica);
    for (uint32_t i = 0; i < 4; ++i) {
        const uint32_t slot = keep_of(replica, batches[i]).slot;
        const struct td_compact_move move = {.index = slot,
                                             .from = position_of(replica, batches[i]),
                                             .to = (UINT64_C(9) << 32) + 128 + i,
                                             .bytes = 77,
                                             .stored_count = 1,
                                             .index_last = 0};
        const struct td_compact_answer *answer =
            ask(replica,
                &(struct td_compact_ask){.step = TD_COMPACT_MOVED, .moves = &move, .count = 1});
        assert_true(answer->ok);
        assert_int_equal(replica->core->slots[slot].ref.position, move.to);
        assert_int_equal(replica->core->slots[slot].ref.bytes, 77);
        /* Cursors go by this number: no live delta moves behind one. */
        assert_int_equal(replica->core->slots[slot].arrived, arrived[i]);
    }
    assert_true(link->send.active);
    assert_int_equal(link->send.cursor_slot, standing);
    assert_int_equal(link->send.cursor_arrived, arrived[2]);
    assert_int_equal(replica->core->slots[replica->core->slots[standing].next].arrived, arrived[3]);
    /* What died meanwhile is not touched, whoever has its slot now. */
    const struct td_compact_move stale = {
        .index = 0, .from = position_of(replica, batches[0]), .to = 1, .bytes = 1};
    (void)ask(replica,
              &(struct td_compact_ask){.step = TD_COMPACT_MOVED, .moves = &stale, .count = 1});
    for (uint32_t i = 0; i < 4; ++i) {
        assert_true(replica->core->slots[i].ref.position != 1);
    }
}

static void test_rings_give_up_what_is_rewritten_and_what_is_older(void **state)
{
    struct replica *replica = *state;
    (void)receive(replica, other, 1, report("a", TD_STATE_RUNNING, 1));
    replica_settle(replica);
    const uint8_t slot = replica->core->slot_of[2];
    assert_int_equal(replica->core->regions[slot].ring_count, 1);
    begin(replica);
    assert_int_equal(replica->core->regions[slot].ring_count, 0);
    uint64_t serial = 0;
    const struct td_vv has = td_core_has(replica->core), nothing = {0};
    assert_true(td_ring_seek(replica->core, slot, &has, &serial));      /* who has it all goes on */
    assert_false(td_ring_seek(replica->core, slot, &nothing, &serial)); /* the rest is a transfer */
}

static void test_the_claim_is_answered_once_it_is_durable(void **state)
{
    struct replica *replica = *state;
    (void)receive(replica, other, 1, report("a", TD_STATE_RUNNING, 1));
    replica_settle(replica);
    for (int durable = 0; durable < 2; ++durable) {
        const struct td_compact_ask claim = {.step = TD_COMPACT_CLAIM};
        assert_null(ask(replica, &claim));
        replica_complete(replica, durable != 0);
        assert_non_null(replica->compact);
        assert_int_equal(replica->compact->step, TD_COMPACT_CLAIM);
        assert_int_equal(replica->compact->ok, durable);
    }
    const struct td_record *record = &replica->log[replica->log_count - 1];
    assert_int_equal(record->type, TD_RECORD_HAS);
    assert_int_equal(td_vv_seq(&record->u.has, other), 1);
}

/* The log as a compaction leaves it: the report that was beaten is gone, a claim covers it. */
static void write_compacted(struct replica *replica)
{
    (void)receive(replica, other, 1, report("a", TD_STATE_RUNNING, 1));
    replica_settle(replica);
    const uint32_t gone = replica->log_count - 1;
    (void)receive(replica, third, 1, report("b", TD_STATE_RUNNING, 1));
    (void)receive(replica, third, 2, report("a", TD_STATE_COMPLETED, 2));
    replica_settle(replica);
    const struct td_compact_ask claim = {.step = TD_COMPACT_CLAIM};
    (void)ask(replica, &claim);
    replica_settle(replica);
    replica->log[gone] = (struct td_record){.type = TD_RECORD_WALL};
    memmove(&replica->log[1], &replica->log[0], replica->log_count * sizeof replica->log[0]);
    replica->log[0] = (struct td_record){.type = TD_RECORD_COMPACTED};
    replica->log_count += 1;
}

static uint64_t has_of(const struct replica *replica, struct td_origin origin)
{
    const struct td_vv has = td_core_has(replica->core);
    return td_vv_seq(&has, origin);
}

static void test_a_compacted_log_gives_back_what_it_had(void **state)
{
    struct replica *replica = *state;
    write_compacted(replica);
    replica_restart(replica);
    assert_int_equal(has_of(replica, other), 1);
    assert_int_equal(has_of(replica, third), 2);
    assert_int_equal(replica_state(replica, "a", 1), TD_STATE_COMPLETED);
}

/* The later batch, which beat what was left out, is lost: the claim rests on it, wherever it lies.
 */
static void test_a_hole_in_a_compacted_log_takes_back_the_claims_before_it(void **state)
{
    struct replica *replica = *state;
    write_compacted(replica);
    replica->log[replica->log_count++] =
        (struct td_record){.type = TD_RECORD_HOLE, .ref = {.position = UINT64_C(5) << 32}};
    replica_restart(replica);
    assert_int_equal(has_of(replica, other), 0);
    assert_int_equal(has_of(replica, third), 2); /* whole batches that are still here */
    assert_true(replica->core->recovering);
    /* What this process then claims counts at the next start, the hole being the same. */
    const struct td_compact_ask claim = {.step = TD_COMPACT_CLAIM};
    (void)ask(replica, &claim);
    replica_settle(replica);
    (void)receive(replica, other, 1, report("a", TD_STATE_RUNNING, 1));
    replica_settle(replica);
    assert_int_equal(has_of(replica, other), 1);
    replica_restart(replica);
    assert_int_equal(has_of(replica, other), 1);
    assert_int_equal(has_of(replica, third), 2);
}

static void test_folds_are_taken_back_with_the_claims(void **state)
{
    struct replica *replica = *state;
    write_compacted(replica);
    struct td_vv_fold fold = {{2}, 9};
    replica->log[replica->log_count++] =
        (struct td_record){.type = TD_RECORD_HAS, .u.has = {.fold_count = 1, .folds = &fold}};
    replica_restart(replica);
    assert_int_equal(replica->core->fold_below[2], 9);
    replica->log[replica->log_count++] = (struct td_record){.type = TD_RECORD_HOLE};
    replica_restart(replica);
    assert_int_equal(replica->core->fold_below[2], 0);
    assert_int_equal(td_core_has(replica->core).fold_count, 0);
}

static void test_the_survey_names_segments_with_what_lives_in_them(void **state)
{
    struct replica *replica = *state;
    for (uint32_t i = 0; i < 10; ++i) {
        (void)receive(replica, other, i + 1, report(i < 9 ? "hot" : "cold", TD_STATE_RUNNING, i));
        replica_settle(replica);
    }
    begin(replica); /* out of the rings: what is beaten has no slot any more */
    replica->compact = NULL;
    replica_tick(replica, 1);
    assert_null(replica->compact); /* not asked for */
    replica->core->config.survey_ms = 1000;
    replica_tick(replica, 1001);
    assert_non_null(replica->compact);
    assert_int_equal(replica->compact->step, TD_COMPACT_SURVEY);
    assert_int_equal(replica->compact->count, 1);
    assert_int_equal(replica->compact->shares[0].segment, 1);
    assert_int_equal(replica->compact->shares[0].live_bytes,
                     200); /* one that is beaten is anchor no more */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, replica_setup_3, replica_teardown)
        TEST(test_what_a_register_shows_stays_and_what_something_durable_beat_goes),
        TEST(test_what_could_not_be_written_beats_nothing),
        cmocka_unit_test(test_the_newest_concurrent_losers_stay_four_of_a_register),
        TEST(test_the_newest_header_of_an_incarnation_stays),
        TEST(test_a_whole_batch_beyond_a_hole_stays_whole),
        TEST(test_moved_batches_keep_their_turn_and_are_found_at_the_new_place),
        TEST(test_rings_give_up_what_is_rewritten_and_what_is_older),
        TEST(test_the_claim_is_answered_once_it_is_durable),
        TEST(test_a_compacted_log_gives_back_what_it_had),
        TEST(test_a_hole_in_a_compacted_log_takes_back_the_claims_before_it),
        TEST(test_folds_are_taken_back_with_the_claims),
        TEST(test_the_survey_names_segments_with_what_lives_in_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
