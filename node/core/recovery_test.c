/* recovery_test.c -- what survives: restarts, failed writes, holes in the log, and sequence numbers
 * that are never used twice (I7). */
#include "node/core/replica_harness.h"

static struct td_delta remote(const char *job, enum td_state state_, uint64_t stamp_ms)
{
    return (struct td_delta){.job = test_text(job),
                             .job_hash = test_job_hash(job),
                             .attempt = 1,
                             .stamp = {stamp_ms, 0},
                             .status = {.state = state_}};
}

static const struct td_origin other = {{2}, {1, 5}};

static void test_restart_gives_the_same_table_and_vector(void **state)
{
    struct replica *replica = *state;
    for (unsigned i = 0; i < 50; ++i) {
        char job[8];
        (void)snprintf(job, sizeof job, "j%u", i % 20);
        struct td_update update = test_update(job, (uint16_t)(1 + i % 3), TD_STATE_RUNNING);
        update.status.progress = (uint16_t)i;
        (void)replica_publish_one(replica, update);
        const struct td_delta delta = remote(job, TD_STATE_COMPLETED, REPLICA_WALL_MS + i);
        (void)replica_receive(replica, replica_batch(replica, other, i + 1, &delta, 1),
                              TD_LANE_LIVE);
        replica_settle(replica);
    }
    struct td_hash digest[TD_DIGEST_BUCKETS];
    memcpy(digest, replica->core->digest, sizeof digest);
    const struct td_vv has = copy_vv(&replica->pool, &replica->core->has.vv);
    const struct td_incarnation before = td_core_process(replica->core);
    replica_restart(replica);
    assert_true(replica->core->recovering); /* it never heard the other region */
    replica->log[replica->log_count++] =
        (struct td_record){.type = TD_RECORD_RECOVERED, .u.recovered = true};
    replica_restart(replica);
    assert_memory_equal(digest, replica->core->digest, sizeof digest);
    assert_true(td_vv_equal(&has, &replica->core->has.vv));
    assert_true(td_core_process(replica->core).start > before.start);
    const struct td_result result =
        replica_publish_one(replica, test_update("new", 1, TD_STATE_RUNNING));
    assert_int_equal(result.dot.seq, 1);
    assert_int_equal(result.dot.origin.incarnation.start, td_core_process(replica->core).start);
    assert_false(replica->core->recovering);
}

static void test_failed_write_sends_the_queue_again_under_a_new_incarnation(void **state)
{
    struct replica *replica = *state;
    const struct td_incarnation before = td_core_process(replica->core);
    struct td_update a = test_update("a", 1, TD_STATE_RUNNING);
    struct td_update b = test_update("b", 1, TD_STATE_RUNNING);
    const uint64_t first = replica_publish(replica, &a, 1, 0, 5000);
    const uint64_t second = replica_publish(replica, &b, 1, 0, 5000); /* queued behind the first */
    replica_complete(replica, false);
    assert_null(replica_reply(replica, first));
    assert_int_equal(replica_state(replica, "a", 1), TD_STATE_COUNT); /* shown to nobody */
    assert_int_equal(replica_publish_one(replica, test_update("c", 1, TD_STATE_RUNNING)).err,
                     TD_EDISKFULL);
    replica_settle(replica);
    const struct td_result ra = replica_reply(replica, first)->results[0];
    const struct td_result rb = replica_reply(replica, second)->results[0];
    assert_int_equal(ra.err, TD_OK);
    assert_int_equal(rb.err, TD_OK);
    assert_true(ra.dot.origin.incarnation.start > before.start);
    assert_int_equal(ra.dot.seq, 1);
    assert_int_equal(rb.dot.seq, 2);
    assert_int_equal(replica_publish_one(replica, test_update("c", 1, TD_STATE_RUNNING)).err,
                     TD_OK);
    assert_int_equal(replica->traces[TD_TR_PUBLISH_RESUMED], 1);
}

static void test_no_dot_is_used_twice_whatever_the_disk_does(void **state)
{
    struct replica *replica = *state;
    struct td_dot used[4096];
    uint32_t used_count = 0;
    uint64_t random = 88172645463325252ULL;
    for (unsigned i = 0; i < 1500; ++i) {
        char job[8];
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        (void)snprintf(job, sizeof job, "d%u", (unsigned)(random % 50));
        struct td_update update = test_update(job, 1, TD_STATE_RUNNING);
        update.status.progress = (uint16_t)(i % 10000);
        (void)replica_publish(replica, &update, 1, 0, 100);
        if (replica->random_wanted) {
            struct td_event event = {.type = TD_EV_RANDOM};
            replica->random_wanted = false;
            event.u.random.bits = 3; /* the worst source of randomness */
            replica_step(replica, &event);
        }
        while (replica->store_count > random % 3) {
            const struct replica_store *store = &replica->stores[replica->store_first];
            for (uint32_t k = 0; store->kind == TD_STORE_OWN && k < store->batch->header.count;
                 ++k) {
                const struct td_dot dot = {store->batch->header.origin,
                                           store->batch->header.first_seq + k};
                for (uint32_t u = 0; u < used_count; ++u) {
                    assert_int_not_equal(td_dot_compare(used[u], dot), 0); /* I7 */
                }
                assert_true(used_count < 4096);
                used[used_count++] = dot;
            }
            replica_complete(replica, (random >> 20) % 4 != 0);
            random = random * 6364136223846793005ULL + 1;
        }
        replica_tick(replica, 1 + random % 400);
        if (i % 100 == 99) {
            replica_restart(replica);
        }
    }
    assert_true(used_count > 300);
}

/* The write failed, but its bytes are on the disk all the same: nobody was told, so they are void.
 */
static void test_void_group_that_survived_is_not_counted_and_sent_anew(void **state)
{
    struct replica *replica = *state;
    (void)replica_publish_one(replica, test_update("a", 1, TD_STATE_STARTING));
    const struct td_origin before = {{1}, td_core_process(replica->core)};
    for (unsigned lost = 0; lost < 2; ++lost) {
        struct td_update a = test_update("a", (uint16_t)(1 + lost), TD_STATE_RUNNING);
        struct td_update b = test_update(lost == 0 ? "b" : "c", 1, TD_STATE_RUNNING);
        const struct td_update both[2] = {a, b};
        (void)replica_publish(replica, both, 2, 0, 5000);
        struct td_record survivor = {.type = TD_RECORD_BATCH,
                                     .ref = {{1}, 99, 100},
                                     .u.batch = replica->stores[replica->store_first].batch};
        replica->log[replica->log_count++] = survivor;
        replica_complete(replica, false);
        struct td_event event = {.type = TD_EV_RANDOM};
        replica->random_wanted = false;
        event.u.random.bits = 9;
        replica_step(replica, &event);
        assert_int_equal(replica->store_count, 2); /* the closing, then the incarnation */
        replica_complete(replica, true);
        replica_complete(replica, true);
        assert_int_equal(replica->store_count, 1); /* the group again */
        if (lost == 0) {
            replica_settle(replica);
        }
        replica_restart(replica);
        assert_int_equal(td_vv_seq(&replica->core->has.vv, before), 1);
        const char *job = lost == 0 ? "b" : "c";
        const uint32_t reg = td_table_find(replica->core, test_job_hash(job), test_text(job), 1);
        assert_int_not_equal(reg, TD_NONE);
        const struct td_dot dot = td_register_dot(replica->core, &replica->core->registers[reg]);
        assert_true(dot.origin.incarnation.start >
                    survivor.u.batch->header.origin.incarnation.start);
        assert_true(td_dot_durable(replica->core, dot));
        assert_true(td_vv_covers_dot(&replica->core->has.vv, dot));
        assert_int_equal(replica_state(replica, "a", (uint16_t)(1 + lost)), TD_STATE_RUNNING);
    }
}

static void test_failed_store_of_a_received_batch_is_asked_for_again(void **state)
{
    struct replica *replica = *state;
    const struct td_delta a = remote("a", TD_STATE_RUNNING, REPLICA_WALL_MS);
    const struct td_delta b = remote("b", TD_STATE_RUNNING, REPLICA_WALL_MS);
    const struct td_batch *first = replica_batch(replica, other, 1, &a, 1);
    const struct td_batch *second = replica_batch(replica, other, 2, &b, 1);
    assert_true(replica_receive(replica, first, TD_LANE_LIVE));
    assert_true(replica_receive(replica, second, TD_LANE_LIVE));
    assert_int_equal(td_core_received_seq(replica->core, other), 2);
    const struct td_region_info *region =
        &replica->core->regions[replica->core->slot_of[other.region.v]];
    assert_int_equal(region->ring_count, 2);
    replica_complete(replica, false);
    assert_int_equal(region->ring_count, 0); /* nobody can be served what is nowhere */
    assert_int_equal(td_core_received_seq(replica->core, other), 0);
    replica_settle(replica);
    assert_int_equal(td_vv_seq(&replica->core->has.vv, other),
                     0); /* the second says nothing of the first */
    assert_int_equal(replica_state(replica, "a", 1), TD_STATE_RUNNING); /* shown it stays (I3) */
    assert_true(replica_receive(replica, first, TD_LANE_LIVE));
    assert_true(replica_receive(replica, second, TD_LANE_LIVE));
    replica_settle(replica);
    assert_int_equal(td_vv_seq(&replica->core->has.vv, other), 2);
    replica_restart(replica);
    assert_int_equal(replica_state(replica, "a", 1), TD_STATE_RUNNING);
    assert_int_equal(td_vv_seq(&replica->core->has.vv, other), 2);
}

static void test_what_comes_beyond_a_hole_waits_for_it(void **state)
{
    struct replica *replica = *state;
    const struct td_delta a = remote("a", TD_STATE_RUNNING, REPLICA_WALL_MS);
    const struct td_batch *third = replica_batch(replica, other, 3, &a, 1);
    const struct td_delta two[2] = {remote("b", TD_STATE_RUNNING, REPLICA_WALL_MS),
                                    remote("c", TD_STATE_RUNNING, REPLICA_WALL_MS)};
    assert_true(replica_receive(replica, third, TD_LANE_LIVE));
    replica_settle(replica);
    assert_int_equal(replica_state(replica, "a", 1), TD_STATE_RUNNING);
    assert_int_equal(td_vv_seq(&replica->core->has.vv, other), 0);
    assert_true(td_dot_received(replica->core, (struct td_dot){other, 3}));
    assert_false(td_dot_received(replica->core, (struct td_dot){other, 2}));
    assert_true(replica_receive(replica, replica_batch(replica, other, 1, two, 2), TD_LANE_LIVE));
    replica_settle(replica);
    assert_int_equal(td_vv_seq(&replica->core->has.vv, other), 3);
    assert_false(replica_receive(replica, third, TD_LANE_LIVE)); /* held */
}

static void test_claims_behind_a_hole_in_the_log_do_not_count(void **state)
{
    struct replica *replica = *state;
    const struct td_delta a = remote("a", TD_STATE_RUNNING, REPLICA_WALL_MS);
    assert_true(replica_receive(replica, replica_batch(replica, other, 1, &a, 1), TD_LANE_LIVE));
    replica_settle(replica);
    struct td_vv_entry *entry = pool_take(&replica->pool, 1, sizeof *entry);
    *entry = (struct td_vv_entry){other, 9};
    for (unsigned hole = 0; hole < 2; ++hole) {
        if (hole != 0) {
            replica->log[replica->log_count - 1].type = TD_RECORD_HOLE;
        }
        struct td_record *claim = &replica->log[replica->log_count++];
        *claim = (struct td_record){.type = TD_RECORD_HAS};
        claim->u.has = (struct td_vv){.entry_count = 1, .entries = entry};
        const uint32_t count = replica->log_count;
        replica_restart(replica);
        assert_int_equal(td_vv_seq(&replica->core->has.vv, other), hole == 0 ? 9 : 1);
        replica->log_count = count; /* without what that start wrote */
    }
}

/* What a process that knew of the hole claimed counts, until another hole turns up before that. */
static void test_claims_of_who_knew_the_hole_count(void **state)
{
    struct replica *replica = *state;
    const struct td_delta a = remote("a", TD_STATE_RUNNING, REPLICA_WALL_MS);
    assert_true(replica_receive(replica, replica_batch(replica, other, 1, &a, 1), TD_LANE_LIVE));
    replica_settle(replica);
    replica->log[replica->log_count++] =
        (struct td_record){.type = TD_RECORD_HOLE, .ref.position = 77};
    replica_restart(replica);
    replica_settle(replica);
    assert_true(replica->core->holes_unmarked);
    const struct td_vv has = td_vectors_has(replica->core);
    assert_true(td_store_has(replica->core, TD_WHAT_OTHER, &has));
    assert_false(replica->core->holes_unmarked);
    struct td_vv_entry *entry = pool_take(&replica->pool, 1, sizeof *entry);
    *entry = (struct td_vv_entry){other, 9};
    struct td_record *log = replica->log;
    uint32_t count = replica->log_count;
    log[count] = (struct td_record){.type = TD_RECORD_HOLES};
    log[count].u.holes.count = replica->core->hole_count;
    log[count++].u.holes.mix = replica->core->hole_mix;
    log[count] = (struct td_record){.type = TD_RECORD_HAS};
    log[count++].u.has = (struct td_vv){.entry_count = 1, .entries = entry};
    for (unsigned more = 0; more < 2; ++more) {
        log[0].type = more == 0 ? log[0].type : TD_RECORD_HOLE;
        replica->log_count = count;
        replica_restart(replica);
        assert_int_equal(td_vv_seq(&replica->core->has.vv, other), more == 0 ? 9 : 1);
    }
}

static void test_empty_log_recovers_and_starts_with_number_one(void **state)
{
    struct replica *replica = *state;
    assert_true(replica->core->recovering);
    assert_int_equal(td_core_process(replica->core).start, 1);
    replica_seen(replica, (struct td_incarnation){8, 1});
    replica_tick(replica, 1100);
    replica_settle(replica);
    assert_int_equal(td_core_process(replica->core).start,
                     9); /* no delta was made yet: drawn again */
    assert_int_equal(replica->traces[TD_TR_CLONE], 0);
    assert_int_equal(replica_publish_one(replica, test_update("a", 1, TD_STATE_RUNNING)).err,
                     TD_OK);
    for (unsigned i = 0; i < 3; ++i) {
        replica_seen(replica, (struct td_incarnation){50 + i * 50, 1});
        replica_tick(replica, 61 * 1000);
        replica_settle(replica);
        (void)replica_publish_one(replica, test_update("b", (uint16_t)(i + 1), TD_STATE_RUNNING));
    }
    assert_int_equal(replica_publish_one(replica, test_update("c", 1, TD_STATE_RUNNING)).err,
                     TD_ECLONE);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, replica_setup_2, replica_teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_restart_gives_the_same_table_and_vector),
        CASE(test_failed_write_sends_the_queue_again_under_a_new_incarnation),
        CASE(test_no_dot_is_used_twice_whatever_the_disk_does),
        CASE(test_void_group_that_survived_is_not_counted_and_sent_anew),
        CASE(test_failed_store_of_a_received_batch_is_asked_for_again),
        CASE(test_what_comes_beyond_a_hole_waits_for_it),
        CASE(test_claims_behind_a_hole_in_the_log_do_not_count),
        CASE(test_claims_of_who_knew_the_hole_count),
        CASE(test_empty_log_recovers_and_starts_with_number_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
