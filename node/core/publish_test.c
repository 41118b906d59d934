/* publish_test.c -- what an accepting node takes, refuses, carries forward and answers. */
#include "node/core/pending.h"
#include "node/core/replica_harness.h"

static void test_own_delta_is_shown_and_answered_only_when_durable(void **state)
{
    struct replica *replica = *state;
    const struct td_update update = test_update("a", 0, TD_STATE_RUNNING);
    const uint64_t id = replica_publish(replica, &update, 1, 0, 1000);

    assert_int_equal(replica_state(replica, "a", 1), TD_STATE_COUNT);
    assert_null(replica_reply(replica, id));
    assert_int_equal(replica->store_count, 1);
    replica_complete(replica, true);
    assert_int_equal(replica_state(replica, "a", 1), TD_STATE_RUNNING);
    const struct replica_reply *reply = replica_reply(replica, id);
    assert_non_null(reply);
    assert_int_equal(reply->err, TD_OK);
    assert_int_equal(reply->results[0].err, TD_OK);
    assert_int_equal(reply->results[0].attempt, 1);
    assert_int_equal(reply->results[0].dot.seq, 1);
    assert_int_equal(td_core_has(replica->core).entry_count, 1);
}

static void test_refusals_name_their_reason(void **state)
{
    struct replica *replica = *state;
    static const struct {
        enum td_state first, second;
        bool correct;
        enum td_err err;
    } rows[] = {
        {TD_STATE_RUNNING, TD_STATE_PENDING, false, TD_OK},
        {TD_STATE_COMPLETED, TD_STATE_RUNNING, false, TD_ERANK},
        {TD_STATE_COMPLETED, TD_STATE_LOST, false, TD_ERANK},
        {TD_STATE_LOST, TD_STATE_RUNNING, false, TD_ELOSTFIRST},
        {TD_STATE_LOST, TD_STATE_FAILED, false, TD_OK},
        {TD_STATE_COMPLETED, TD_STATE_FAILED, false, TD_EFINAL},
        {TD_STATE_COMPLETED, TD_STATE_FAILED, true, TD_OK},
        {TD_STATE_COMPLETED, TD_STATE_COMPLETED, false, TD_OK},
    };
    for (unsigned pending = 0; pending < 2; ++pending) {
        for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; ++i) {
            char job[16];
            (void)snprintf(job, sizeof job, "r%u-%u", pending, i);
            struct td_update first = test_update(job, 1, rows[i].first);
            struct td_update second = test_update(job, 1, rows[i].second);
            second.correct = rows[i].correct;
            if (pending != 0) { /* refused against what is only queued, too */
                first.status.writer = test_text("x");
                (void)replica_publish(replica, &first, 1, 0, 1000);
            } else {
                assert_int_equal(replica_publish_one(replica, first).err, TD_OK);
            }
            const struct td_result result = replica_publish_one(replica, second);
            if (result.err != rows[i].err) {
                print_error("row %u pending %u: %d\n", i, pending, (int)result.err);
            }
            assert_int_equal(result.err, rows[i].err);
            if (rows[i].err != TD_OK) {
                assert_int_equal(result.current_state, rows[i].first);
            }
        }
    }
}

static void test_attempts_are_bounded_above_the_highest_known(void **state)
{
    struct replica *replica = *state;
    assert_int_equal(replica_publish_one(replica, test_update("n", 1001, TD_STATE_RUNNING)).err,
                     TD_EATTEMPT);
    assert_int_equal(replica_publish_one(replica, test_update("n", 1000, TD_STATE_RUNNING)).err,
                     TD_OK);
    assert_int_equal(replica_publish_one(replica, test_update("n", 2000, TD_STATE_RUNNING)).err,
                     TD_OK);
    assert_int_equal(replica_publish_one(replica, test_update("n", 3001, TD_STATE_RUNNING)).err,
                     TD_EATTEMPT);
    const struct td_result result =
        replica_publish_one(replica, test_update("n", 0, TD_STATE_COMPLETED));
    assert_int_equal(result.attempt, 2000);
    assert_int_equal(replica_publish_one(replica, test_update("n", 7, TD_STATE_FAILED)).err, TD_OK);
    assert_int_equal(replica_state(replica, "n", 7), TD_STATE_FAILED);
}

/* A repeated report waits until the one that it repeats is durable here; of a life that its origin
 * lost it never is. The answer comes in time all the same, and nothing is left waiting. */
static void test_a_noop_that_can_never_be_durable_is_not_waited_for(void **state)
{
    struct replica *replica = *state;
    const struct td_update update = test_update("repeated", 1, TD_STATE_RUNNING);
    const struct td_delta delta = {.job = update.job,
                                   .job_hash = update.job_hash,
                                   .attempt = 1,
                                   .stamp = {REPLICA_WALL_MS - 50, 0},
                                   .status = update.status};
    const struct td_origin origin = {{2}, {1, 5}};
    assert_true(
        replica_receive(replica, replica_batch(replica, origin, 7, &delta, 1), TD_LANE_TRANSFER));
    replica_settle(replica);
    const uint64_t id = replica_publish(replica, &update, 1, 0, 1000);
    replica_settle(replica);
    assert_null(replica_reply(replica, id)); /* what lies before it is not here */
    assert_int_equal(replica->core->pending->waiter_count, 1);
    replica_tick(replica, 1001);
    assert_int_equal(replica_reply(replica, id)->results[0].err, TD_ETIMEOUT);
    assert_int_equal(replica->core->pending->waiter_count, 0);
}

static void test_equal_report_is_a_noop_once_its_delta_is_durable(void **state)
{
    struct replica *replica = *state;
    const struct td_update update = test_update("a", 1, TD_STATE_RUNNING);
    const uint64_t first = replica_publish(replica, &update, 1, 0, 1000);
    const uint64_t second = replica_publish(replica, &update, 1, 0, 1000);
    assert_null(replica_reply(replica, second));
    replica_settle(replica);
    const struct td_result a = replica_reply(replica, first)->results[0];
    const struct td_result b = replica_reply(replica, second)->results[0];
    assert_false(a.noop);
    assert_true(b.noop);
    assert_int_equal(td_dot_compare(a.dot, b.dot), 0);
    struct td_update other = update;
    other.status.writer = test_text("somebody else");
    assert_false(replica_publish_one(replica, other).noop);
}

static void test_equal_report_beats_what_its_writer_saw_elsewhere(void **state)
{
    struct replica *replica = *state;
    struct td_update update = test_update("a", 1, TD_STATE_RUNNING);
    const struct td_result here = replica_publish_one(replica, update);
    update.seen =
        (struct td_seen){.rank = 0, .stamp = {here.stamp.ms + 500, 0}, .dot = {{{2}, {1, 1}}, 7}};
    const struct td_result again = replica_publish_one(replica, update);
    assert_int_equal(again.err, TD_OK);
    assert_false(again.noop);
    assert_true(td_stamp_compare(again.stamp, update.seen.stamp) > 0);
}

static void test_promised_reports_repeat_themselves(void **state)
{
    struct replica *replica = *state;
    struct td_update update = test_update("hb", 1, TD_STATE_RUNNING);
    update.status.expect_every_s = 10;
    assert_false(replica_publish_one(replica, update).noop);
    assert_true(replica_publish_one(replica, update).noop);
    replica_tick(replica, 6000);
    assert_false(replica_publish_one(replica, update).noop);
}

static void test_reports_of_one_group_become_one_delta(void **state)
{
    struct replica *replica = *state;
    struct td_update updates[3] = {test_update("gate", 1, TD_STATE_RUNNING),
                                   test_update("g", 1, TD_STATE_STARTING),
                                   test_update("g", 1, TD_STATE_RUNNING)};
    (void)replica_publish(replica, &updates[0], 1, 0, 1000); /* its write keeps the log busy */
    const uint64_t first = replica_publish(replica, &updates[1], 1, 0, 1000);
    replica->now.wall_ms += 3;
    const uint64_t second = replica_publish(replica, &updates[2], 1, 0, 1000);
    replica_settle(replica);
    const struct td_result a = replica_reply(replica, first)->results[0];
    const struct td_result b = replica_reply(replica, second)->results[0];
    assert_int_equal(a.err, TD_OK);
    assert_int_equal(td_dot_compare(a.dot, b.dot), 0);
    assert_int_equal(b.dot.seq, 2);
    struct td_request get = {.op = TD_OP_GET};
    get.u.get.job = test_text("g");
    get.u.get.job_hash = test_job_hash("g");
    const struct replica_reply *reply = replica_reply(replica, replica_request(replica, &get));
    assert_int_equal(reply->views[0].status.entered_ms[TD_STATE_STARTING], REPLICA_WALL_MS);
    assert_int_equal(reply->views[0].status.entered_ms[TD_STATE_RUNNING], REPLICA_WALL_MS + 3);
}

static void test_two_writers_of_one_group_stay_apart_and_in_order(void **state)
{
    struct replica *replica = *state;
    struct td_update updates[3] = {test_update("gate", 1, TD_STATE_RUNNING),
                                   test_update("g", 1, TD_STATE_STARTING),
                                   test_update("g", 1, TD_STATE_RUNNING)};
    updates[2].status.writer = test_text("other");
    for (unsigned i = 0; i < 3; ++i) {
        (void)replica_publish(replica, &updates[i], 1, 0, 1000);
    }
    replica_settle(replica);
    const uint32_t reg = td_table_find(replica->core, test_job_hash("g"), test_text("g"), 1);
    const struct td_register *winner = &replica->core->registers[reg];
    assert_int_equal(winner->state, TD_STATE_RUNNING);
    assert_int_equal(td_register_dot(replica->core, winner).seq, 3);
    assert_int_equal(winner->concurrent_count, 0); /* it had seen the first */
    struct td_dot dots[2 * TD_CLOCK_ENTRIES_MAX];
    uint32_t clock_count = 0;
    assert_int_equal(td_body_dots(replica->core, winner->body, dots, &clock_count), 1);
    assert_int_equal(dots[0].seq, 2);
}

static void test_partial_report_carries_the_rest_forward(void **state)
{
    struct replica *replica = *state;
    struct td_update full = test_update("p", 1, TD_STATE_RUNNING);
    full.status.detail = test_text("copying");
    full.status.progress_known = true;
    full.status.progress = 1000;
    assert_int_equal(replica_publish_one(replica, full).err, TD_OK);
    struct td_update partial = test_update("p", 1, TD_STATE_RUNNING);
    partial.fields = TD_FIELD_PROGRESS;
    partial.status.progress_known = true;
    partial.status.progress = 2000;
    partial.status.writer = test_text("");
    assert_int_equal(replica_publish_one(replica, partial).err, TD_OK);
    struct td_request get = {.op = TD_OP_GET};
    get.u.get.job = test_text("p");
    get.u.get.job_hash = test_job_hash("p");
    const struct replica_reply *reply = replica_reply(replica, replica_request(replica, &get));
    assert_int_equal(reply->count, 1);
    assert_int_equal(reply->views[0].status.progress, 2000);
    assert_memory_equal(reply->views[0].status.detail.bytes, "copying", 7);
    assert_memory_equal(reply->views[0].status.writer.bytes, "w", 1);
}

static void test_partial_report_needs_what_its_token_names(void **state)
{
    struct replica *replica = *state;
    assert_int_equal(replica_publish_one(replica, test_update("p", 1, TD_STATE_RUNNING)).err,
                     TD_OK);
    struct td_update partial = test_update("p", 1, TD_STATE_RUNNING);
    partial.fields = TD_FIELD_PROGRESS;
    partial.status.progress = 5;
    partial.seen.dot = (struct td_dot){{{2}, {1, 1}}, 9};
    partial.seen.stamp = (struct td_stamp){replica->now.wall_ms + 500, 0};
    assert_int_equal(replica_publish_one(replica, partial).err, TD_EPARTIAL);
    partial.fields = TD_FIELDS_ALL;
    const struct td_result result = replica_publish_one(replica, partial);
    assert_int_equal(result.err, TD_OK); /* I4: and it beats what the token saw */
    assert_true(td_stamp_compare(result.stamp, partial.seen.stamp) > 0);
}

static struct td_delta remote_delta(const char *job, enum td_state state_, uint64_t stamp_ms)
{
    return (struct td_delta){.job = test_text(job),
                             .job_hash = test_job_hash(job),
                             .attempt = 1,
                             .stamp = {stamp_ms, 0},
                             .status = {.state = state_, .writer = test_text("r")}};
}

static void test_token_far_ahead_waits_until_its_dot_is_here(void **state)
{
    struct replica *replica = *state;
    const struct td_origin origin = {{2}, {1, 77}};
    const uint64_t ahead_ms = replica->now.wall_ms + 3600 * 1000;
    struct td_update update = test_update("t", 1, TD_STATE_RUNNING);
    update.seen.dot = (struct td_dot){origin, 1};
    update.seen.stamp = (struct td_stamp){ahead_ms, 0};
    const uint64_t waiting = replica_publish(replica, &update, 1, 0, 5000);
    replica_settle(replica);
    assert_null(replica_reply(replica, waiting));

    struct td_update final =
        update; /* a higher rank wins anyway: no wait, and no faith in the stamp */
    final.job = test_text("t2");
    final.job_hash = test_job_hash("t2");
    final.status.state = TD_STATE_COMPLETED;
    const struct td_result done = replica_publish_one(replica, final);
    assert_int_equal(done.err, TD_OK);
    assert_true(done.stamp.ms < ahead_ms);

    const struct td_delta delta = remote_delta("t", TD_STATE_STARTING, ahead_ms);
    assert_true(
        replica_receive(replica, replica_batch(replica, origin, 1, &delta, 1), TD_LANE_LIVE));
    replica_settle(replica);
    assert_non_null(replica_reply(replica, waiting));
    const struct td_result result = replica_reply(replica, waiting)->results[0];
    assert_int_equal(result.err, TD_OK);
    assert_true(result.stamp.ms >= ahead_ms);
    assert_int_equal(replica_state(replica, "t", 1), TD_STATE_RUNNING);
}

/* Any client can write a stamp of 2099 beside a dot that it was told. */
static void test_token_cannot_lend_a_stamp_to_a_dot_that_is_here(void **state)
{
    struct replica *replica = *state;
    const struct td_result first =
        replica_publish_one(replica, test_update("lent", 1, TD_STATE_STARTING));
    assert_int_equal(first.err, TD_OK);
    struct td_update update = test_update("lent", 1, TD_STATE_RUNNING);
    update.seen = (struct td_seen){.stamp = {TD_STAMP_MS_MAX - 5, 0}, .dot = first.dot};
    const struct td_result result = replica_publish_one(replica, update);
    assert_int_equal(result.err, TD_OK);
    assert_true(td_stamp_compare(result.stamp, first.stamp) > 0);
    assert_true(result.stamp.ms < replica->now.wall_ms + 1000);
}

/* A member with a valid key used up the register's stamps: a final still ends it, by its rank. */
static void test_final_beats_the_last_stamp_there_is(void **state)
{
    struct replica *replica = *state;
    const struct td_origin origin = {{2}, {1, 77}};
    struct td_delta delta = remote_delta("used up", TD_STATE_RUNNING, TD_STAMP_MS_MAX);
    delta.stamp.counter = UINT32_MAX;
    assert_true(
        replica_receive(replica, replica_batch(replica, origin, 1, &delta, 1), TD_LANE_LIVE));
    replica_settle(replica);
    assert_int_equal(replica_publish_one(replica, test_update("used up", 1, TD_STATE_RUNNING)).err,
                     TD_ECLOCK);
    const struct td_result final =
        replica_publish_one(replica, test_update("used up", 1, TD_STATE_COMPLETED));
    assert_int_equal(final.err, TD_OK);
    assert_int_equal(final.stamp.ms, TD_STAMP_MS_MAX);
    assert_int_equal(replica_state(replica, "used up", 1), TD_STATE_COMPLETED);
}

static void test_token_that_never_arrives_times_out(void **state)
{
    struct replica *replica = *state;
    struct td_update update = test_update("t", 1, TD_STATE_RUNNING);
    update.seen.dot = (struct td_dot){{{2}, {1, 1}}, 1};
    update.seen.stamp = (struct td_stamp){replica->now.wall_ms + 3600 * 1000, 0};
    const uint64_t id = replica_publish(replica, &update, 1, 0, 500);
    replica_tick(replica, 499);
    assert_null(replica_reply(replica, id));
    replica_tick(replica, 1);
    assert_non_null(replica_reply(replica, id));
    assert_int_equal(replica_reply(replica, id)->results[0].err, TD_ETIMEOUT);
}

static void test_token_of_higher_rank_refuses(void **state)
{
    struct replica *replica = *state;
    struct td_update update = test_update("k", 1, TD_STATE_RUNNING);
    update.seen = (struct td_seen){.rank = 2, .stamp = {5, 0}, .dot = {{{2}, {1, 1}}, 4}};
    assert_int_equal(replica_publish_one(replica, update).err, TD_ERANK);
}

static void test_ack_waits_for_regions_and_says_when_it_did_not_get_them(void **state)
{
    struct replica *replica = *state;
    struct td_update update = test_update("ack", 1, TD_STATE_RUNNING);
    const uint64_t id = replica_publish(replica, &update, 1, 1, 800);
    replica_settle(replica);
    assert_null(replica_reply(replica, id));
    replica_tick(replica, 800);
    const struct replica_reply *reply = replica_reply(replica, id);
    assert_non_null(reply);
    assert_int_equal(reply->results[0].err, TD_EACK);
    assert_int_equal(reply->results[0].acked_regions, 0);
    assert_int_equal(reply->results[0].dot.seq, 1);
}

static void test_ack_is_given_once_a_peer_announces_it(void **state)
{
    struct replica *replica = *state;
    struct td_event event = {.type = TD_EV_LINK_UP};
    event.u.link_up.link.v = 9;
    event.u.link_up.region.v = 2;
    event.u.link_up.process = (struct td_incarnation){1, 1};
    event.u.link_up.proto = 1;
    replica_step(replica, &event);
    struct td_region_info *peer = &replica->core->regions[replica->core->slot_of[2]];
    peer->heard = true; /* a head of it was verified, and it is not recovering */
    peer->head_incarnation = (struct td_incarnation){1, 1};
    struct td_update update = test_update("ack", 1, TD_STATE_RUNNING);
    const uint64_t one = replica_publish(replica, &update, 1, 1, 800);
    update.status.state = TD_STATE_COMPLETED;
    const uint64_t all = replica_publish(replica, &update, 1, TD_ACK_ALL, 800);
    replica_settle(replica);
    assert_null(replica_reply(replica, one));
    struct td_vv_entry entry = {{{1}, td_core_process(replica->core)}, 1};
    struct td_msg msg = {.type = TD_MSG_HAS};
    msg.u.has = (struct td_vv){.entry_count = 1, .entries = &entry};
    struct td_event frame = {.type = TD_EV_FRAME};
    frame.u.frame.link.v = 9;
    frame.u.frame.msg = &msg;
    replica_step(replica, &frame);
    assert_non_null(replica_reply(replica, one));
    assert_int_equal(replica_reply(replica, one)->results[0].err, TD_OK);
    assert_int_equal(replica_reply(replica, one)->results[0].acked_regions, 1);
    assert_null(replica_reply(replica, all));
    entry.seq = 2;
    replica_step(replica, &frame);
    assert_non_null(replica_reply(replica, all));
    assert_int_equal(replica_reply(replica, all)->results[0].err, TD_OK);
}

static void test_clock_behind_roster_or_log_stops_publishing(void **state)
{
    struct replica *replica = *state;
    replica->now.wall_ms = REPLICA_WALL_MS - 24 * 3600 * 1000 - 1;
    assert_int_equal(replica_publish_one(replica, test_update("c", 1, TD_STATE_RUNNING)).err,
                     TD_ECLOCK);
    replica->now.wall_ms = REPLICA_WALL_MS - 24 * 3600 * 1000;
    assert_int_equal(replica_publish_one(replica, test_update("c", 1, TD_STATE_RUNNING)).err,
                     TD_OK);
    replica->core->logged_wall_ms = replica->now.wall_ms + 60001;
    assert_int_equal(replica_publish_one(replica, test_update("c", 1, TD_STATE_FAILED)).err,
                     TD_ECLOCK);
    assert_int_equal(replica->traces[TD_TR_PUBLISH_STOPPED], 0);
    replica_tick(replica, 0);
    replica_tick(replica, 0);
    assert_int_equal(replica->traces[TD_TR_PUBLISH_STOPPED], 1); /* said once */
    replica->now.wall_ms += 60001;
    replica_tick(replica, 0);
    assert_int_equal(replica->traces[TD_TR_PUBLISH_RESUMED], 1);
}

static void test_draining_refuses_and_reads_go_on(void **state)
{
    struct replica *replica = *state;
    assert_int_equal(replica_publish_one(replica, test_update("d", 1, TD_STATE_RUNNING)).err,
                     TD_OK);
    struct td_request drain = {.op = TD_OP_DRAIN};
    (void)replica_request(replica, &drain);
    assert_int_equal(replica_publish_one(replica, test_update("d", 1, TD_STATE_FAILED)).err,
                     TD_EDRAINING);
    struct td_request get = {.op = TD_OP_GET};
    get.u.get.job = test_text("d");
    get.u.get.job_hash = test_job_hash("d");
    assert_int_equal(replica_reply(replica, replica_request(replica, &get))->count, 1);
}

static void test_quota_refuses_new_registers_not_reports_on_known_ones(void **state)
{
    (void)state;
    struct replica *replica =
        replica_new((struct replica_options){.regions = 2, .quota_registers = 3});
    replica_start(replica);
    for (unsigned i = 0; i < 3; ++i) {
        char job[8];
        (void)snprintf(job, sizeof job, "q%u", i);
        struct td_update update = test_update(job, 1, TD_STATE_RUNNING);
        (void)replica_publish(replica, &update, 1, 0, 1000);
    }
    assert_int_equal(replica_publish_one(replica, test_update("q3", 1, TD_STATE_RUNNING)).err,
                     TD_EQUOTA);
    assert_int_equal(replica_publish_one(replica, test_update("q0", 1, TD_STATE_COMPLETED)).err,
                     TD_OK);
    assert_int_equal(replica->core->regions[replica->core->self_slot].used_registers, 3);
    assert_true(td_core_check(replica->core));
    replica_free(replica);
}

static void test_full_queue_is_refused_by_name(void **state)
{
    struct replica *replica = *state;
    unsigned busy = 0, taken = 0;
    for (unsigned i = 0; i < 600; ++i) {
        char job[8];
        (void)snprintf(job, sizeof job, "b%u", i);
        struct td_update update = test_update(job, 1, TD_STATE_RUNNING);
        const uint64_t id = replica_publish(replica, &update, 1, 0, 1000);
        const struct replica_reply *reply = replica_reply(replica, id);
        if (reply != NULL) {
            assert_int_equal(reply->err,
                             TD_EBUSY); /* waiting requests are the first to run out here */
            busy += 1;
        } else {
            taken += 1;
        }
    }
    assert_int_equal(taken, replica->config.limits.requests_max);
    assert_int_equal(busy, 600 - taken);
    replica_settle(replica);
    assert_int_equal(replica->core->register_count, taken);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, replica_setup_2, replica_teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_own_delta_is_shown_and_answered_only_when_durable),
        CASE(test_refusals_name_their_reason),
        CASE(test_attempts_are_bounded_above_the_highest_known),
        CASE(test_equal_report_is_a_noop_once_its_delta_is_durable),
        CASE(test_a_noop_that_can_never_be_durable_is_not_waited_for),
        CASE(test_equal_report_beats_what_its_writer_saw_elsewhere),
        CASE(test_promised_reports_repeat_themselves),
        CASE(test_reports_of_one_group_become_one_delta),
        CASE(test_two_writers_of_one_group_stay_apart_and_in_order),
        CASE(test_partial_report_carries_the_rest_forward),
        CASE(test_partial_report_needs_what_its_token_names),
        CASE(test_token_far_ahead_waits_until_its_dot_is_here),
        CASE(test_token_cannot_lend_a_stamp_to_a_dot_that_is_here),
        CASE(test_final_beats_the_last_stamp_there_is),
        CASE(test_token_that_never_arrives_times_out),
        CASE(test_token_of_higher_rank_refuses),
        CASE(test_ack_waits_for_regions_and_says_when_it_did_not_get_them),
        CASE(test_ack_is_given_once_a_peer_announces_it),
        CASE(test_clock_behind_roster_or_log_stops_publishing),
        CASE(test_draining_refuses_and_reads_go_on),
        CASE(test_full_queue_is_refused_by_name),
        cmocka_unit_test(test_quota_refuses_new_registers_not_reports_on_known_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
