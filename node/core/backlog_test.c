/* backlog_test.c -- what the peers lack of ours: in updates, in jobs, by age, and for how long; and
 * what became of canaries. */
#include "node/core/replica_peer.h"

static struct replica *start(struct replica_options options)
{
    struct replica *replica = replica_new(options);
    replica_start(replica);
    replica_link_up(replica, 7, 2);
    return replica;
}

static int setup(void **state)
{
    *state = start((struct replica_options){.regions = 3});
    return 0;
}

/* The region says that it has so many of our updates. */
static void announce(struct replica *replica, uint64_t seq)
{
    const struct td_vv_entry entry = {{{1}, td_core_process(replica->core)}, seq};
    struct td_msg msg = {.type = TD_MSG_HAS};
    msg.u.has = (struct td_vv){.entry_count = seq > 0, .entries = &entry};
    replica_frame(replica, 7, &msg);
}

static void publish_jobs(struct replica *replica, unsigned from, unsigned count)
{
    for (unsigned i = from; i < from + count; ++i) {
        char job[24];
        (void)snprintf(job, sizeof job, "j%u", i);
        (void)replica_publish_one(replica, test_update(job, 1, TD_STATE_RUNNING));
        replica->reply_count = 0;
    }
}

static void test_jobs_are_the_registers_behind_the_updates(void **state)
{
    struct replica *replica = *state;
    struct td_update update = test_update("a", 1, TD_STATE_RUNNING);
    announce(replica, 0);
    for (uint16_t i = 0; i < 10; ++i) {
        update.status.progress = i;
        update.status.progress_known = true;
        (void)replica_publish_one(replica, update);
    }
    publish_jobs(replica, 0, 2);
    const struct td_region_view *view = replica_region_view(replica, 2);
    assert_int_equal(view->they_lack, 12);
    assert_int_equal(view->they_lack_jobs, 3);
    announce(replica, 10);
    assert_int_equal(replica_region_view(replica, 2)->they_lack_jobs, 2);
    announce(replica, 12);
    view = replica_region_view(replica, 2);
    assert_int_equal(view->they_lack, 0);
    assert_int_equal(view->they_lack_jobs, 0);
    assert_true(view->eta_known);
    assert_int_equal(view->eta_ms, 0);
}

/* What another region's report beat since is not waited for by anybody. */
static void test_a_job_that_others_decided_does_not_wait(void **state)
{
    struct replica *replica = *state;
    const struct td_origin origin = {{3}, {1, 5}};
    const struct td_delta delta = {.job = test_text("j0"),
                                   .job_hash = test_job_hash("j0"),
                                   .attempt = 1,
                                   .stamp = {REPLICA_WALL_MS + 50, 0},
                                   .status = {.state = TD_STATE_COMPLETED}};
    announce(replica, 0);
    publish_jobs(replica, 0, 2);
    assert_int_equal(replica_region_view(replica, 2)->they_lack_jobs, 2);
    assert_true(
        replica_receive(replica, replica_batch(replica, origin, 1, &delta, 1), TD_LANE_LIVE));
    replica_settle(replica);
    const struct td_region_view *view = replica_region_view(replica, 2);
    assert_int_equal(view->they_lack, 2);
    assert_int_equal(view->they_lack_jobs, 1);
}

/* One batch of many reports, of which the peer announces a part. */
static void test_a_batch_that_is_there_in_part(void **state)
{
    struct replica *replica = *state;
    struct td_update updates[5];
    const char *const jobs[] = {"a", "b", "c", "d", "e"};
    for (unsigned i = 0; i < 5; ++i) {
        updates[i] = test_update(jobs[i], 1, TD_STATE_RUNNING);
    }
    (void)replica_publish(replica, updates, 5, 0, 1000);
    replica_settle(replica);
    for (uint64_t has = 1; has <= 5; ++has) {
        announce(replica, has);
        assert_int_equal(replica_region_view(replica, 2)->they_lack_jobs, 5 - has);
    }
}

/* The live ring holds 32 batches: what is older still counts, and is the oldest. */
static void test_the_oldest_lies_beyond_the_ring(void **state)
{
    struct replica *replica = *state;
    const uint64_t first_ms = replica->now.wall_ms;
    announce(replica, 0);
    for (unsigned i = 0; i < 100; ++i) {
        publish_jobs(replica, i, 1);
        replica->now.wall_ms += 1000;
    }
    assert_int_equal(replica_region_view(replica, 2)->oldest_unacked_ms, first_ms);
    assert_int_equal(replica_region_view(replica, 2)->they_lack_jobs, 100);
    announce(replica, 50);
    assert_int_equal(replica_region_view(replica, 2)->oldest_unacked_ms, first_ms + 50 * 1000);
}

static void test_the_time_left_comes_from_what_drained(void **state)
{
    struct replica *replica = *state;
    announce(replica, 0);
    publish_jobs(replica, 0, 100);
    assert_false(replica_region_view(replica, 2)->eta_known); /* nothing was measured yet */
    for (uint64_t has = 10; has <= 60; has += 10) {
        replica_tick(replica, 500);
        announce(replica, has);
    }
    replica_tick(replica, 500);
    const struct td_region_view *view = replica_region_view(replica, 2);
    assert_int_equal(view->they_lack_jobs, 40);
    assert_true(view->eta_known);
    assert_in_range(view->eta_ms, 1500, 2500); /* 20 a second */
    for (unsigned i = 0; i < 2 * TD_DRAIN_SAMPLES; ++i) {
        replica_tick(replica, 500);
    }
    assert_false(replica_region_view(replica, 2)->eta_known); /* it stands still */
}

/* More batches than one slice: not counted before the walk was round once, then as of that walk. */
static void test_a_large_store_is_counted_in_slices(void **state)
{
    enum { JOBS = 20000 };
    (void)state;
    struct replica *replica = start((struct replica_options){
        .regions = 2,
        .limits = {.registers_max = 2 * JOBS,
                   .bytes_max = 16 * 1024 * 1024,
                   .links_max = 8,
                   .requests_max = 256,
                   .pending_deltas_max = 512,
                   .batches_max = 2 * JOBS,
                   .ring_batches = 32,
                   .change_ring = 256},
    });
    publish_jobs(replica, 0, JOBS);
    assert_true(replica->core->slot_used_max >= JOBS);
    announce(replica, 100);
    for (unsigned i = 0; i < 4; ++i) {
        replica_tick(replica, 100);
    }
    const struct td_region_view *view = replica_region_view(replica, 2);
    assert_int_equal(view->they_lack, JOBS - 100);
    assert_int_equal(view->they_lack_jobs, JOBS - 100);
    announce(replica, JOBS - 5); /* never more jobs than updates, also before the next walk */
    assert_int_equal(replica_region_view(replica, 2)->they_lack_jobs, 5);
    announce(replica, JOBS);
    assert_int_equal(replica_region_view(replica, 2)->they_lack_jobs, 0);
    replica_tick(replica, 100);
    /* What begins in the middle of a round is not counted before a whole one. */
    publish_jobs(replica, JOBS, 3);
    assert_int_equal(replica_region_view(replica, 2)->they_lack, 3);
    assert_int_equal(replica_region_view(replica, 2)->they_lack_jobs, UINT32_MAX);
    for (unsigned i = 0; i < 4; ++i) {
        replica_tick(replica, 100);
    }
    assert_int_equal(replica_region_view(replica, 2)->they_lack_jobs, 3);
    replica_free(replica);
}

static uint64_t canaries(struct replica *replica, uint8_t region, enum td_canary_result result)
{
    static struct td_core_metrics metrics;
    td_core_metrics(replica->core, &metrics);
    for (uint32_t i = 0; i < metrics.region_count; ++i) {
        if (metrics.regions[i].region.v == region) {
            return metrics.regions[i].canaries[result];
        }
    }
    fail_msg("no row for region %u", region);
    return 0;
}

/* Region 2 confirms over its link, region 3 by a head that region 2 relays; the second canary
 * reaches nobody in time. A job that is none is not counted. */
static void test_canaries_are_counted_by_what_became_of_them(void **state)
{
    struct replica *replica = *state;
    struct td_vv_entry entry = {{{1}, td_core_process(replica->core)}, 1};
    struct td_head head = {.origin = replica_peer_origin(3), .number = 1};
    (void)replica_publish_one(replica, test_update("tidings/canary/us-east", 1, TD_STATE_RUNNING));
    assert_int_equal(canaries(replica, 2, TD_CANARY_DIRECT), 0);
    announce(replica, 1);
    assert_int_equal(canaries(replica, 2, TD_CANARY_DIRECT), 1);
    assert_int_equal(canaries(replica, 3, TD_CANARY_RELAYED), 0);
    head.has = (struct td_vv){.entry_count = 1, .entries = &entry};
    replica_head(replica, 7, head);
    assert_int_equal(canaries(replica, 3, TD_CANARY_RELAYED), 1);
    (void)replica_publish_one(replica, test_update("tidings/canary/us-east", 1, TD_STATE_STOPPING));
    replica_tick(replica, TD_CANARY_WAIT_MS - 1);
    assert_int_equal(canaries(replica, 2, TD_CANARY_TIMED_OUT), 0);
    replica_tick(replica, 1);
    assert_int_equal(canaries(replica, 2, TD_CANARY_TIMED_OUT), 1);
    assert_int_equal(canaries(replica, 3, TD_CANARY_TIMED_OUT), 1);
    announce(replica, 2); /* too late to count again */
    (void)replica_publish_one(replica, test_update("tidings/canaries", 1, TD_STATE_RUNNING));
    replica_tick(replica, 2 * TD_CANARY_WAIT_MS);
    assert_int_equal(canaries(replica, 2, TD_CANARY_DIRECT), 1);
    assert_int_equal(canaries(replica, 2, TD_CANARY_TIMED_OUT), 1);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, replica_teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_jobs_are_the_registers_behind_the_updates),
        CASE(test_a_job_that_others_decided_does_not_wait),
        CASE(test_a_batch_that_is_there_in_part),
        CASE(test_the_oldest_lies_beyond_the_ring),
        CASE(test_the_time_left_comes_from_what_drained),
        cmocka_unit_test(test_a_large_store_is_counted_in_slices),
        CASE(test_canaries_are_counted_by_what_became_of_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
