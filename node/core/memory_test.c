/* memory_test.c -- the core's own memory: bodies that move together, chains of attempts,
 * incarnations that are forgotten, tables that are full. */
#include "node/core/replica_peer.h"

static struct replica *started(struct td_core_limits limits)
{
    struct replica *replica = replica_new((struct replica_options){.regions = 3, .limits = limits});
    replica_start(replica);
    return replica;
}

static const struct td_core_limits small = {
    .registers_max = 64,
    .bytes_max = 64 * 1024,
    .links_max = 4,
    .requests_max = 64,
    .pending_deltas_max = 64,
    .batches_max = 512,
    .ring_batches = 8,
    .change_ring = 256,
};

/* ---- bodies ---- */

static void publish_sized(struct replica *replica, unsigned job, uint32_t detail_bytes,
                          unsigned round)
{
    static char detail[TD_DETAIL_BYTES_MAX];
    char name[24];
    struct td_update update;

    memset(detail, (int)('a' + round % 26), sizeof detail);
    (void)snprintf(name, sizeof name, "job-%u", job);
    update = test_update(name, 1, TD_STATE_RUNNING);
    update.status.detail = (struct td_text){detail, detail_bytes};
    update.status.progress_known = true;
    update.status.progress = (uint16_t)(round % TD_PROGRESS_MAX);
    const enum td_err err = replica_publish_one(replica, update).err;
    assert_true(err == TD_OK || err == TD_EQUOTA);
}

static uint32_t detail_bytes_of(const struct replica *replica, unsigned job)
{
    char name[24];
    struct td_body_view view;

    (void)snprintf(name, sizeof name, "job-%u", job);
    const uint32_t reg = td_table_find(replica->core, test_job_hash(name), test_text(name), 1);
    assert_int_not_equal(reg, TD_NONE);
    td_body_unpack(replica->core, replica->core->registers[reg].body, &view);
    for (uint32_t i = 0; i < view.delta.status.detail.count; ++i) {
        assert_int_equal(view.delta.status.detail.bytes[i], view.delta.status.detail.bytes[0]);
    }
    return view.delta.status.detail.count;
}

/* Bodies of ever other sizes leave holes of all sizes: blocks are split, then all slide together,
 * and every register keeps its text. */
static void test_bodies_of_changing_size_never_mix(void **state)
{
    enum { JOBS = 60 };
    struct td_core_limits limits = small;
    uint32_t sizes[JOBS] = {0};
    uint64_t random = 7;
    unsigned moved = 0;

    (void)state;
    limits.bytes_max = 16 * 1024;
    struct replica *replica = started(limits);
    for (unsigned round = 1; round <= 3000; ++round) {
        random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        const unsigned job = (unsigned)(random >> 33) % JOBS;
        const uint32_t bytes = (uint32_t)(random >> 40) % TD_DETAIL_BYTES_MAX;
        const uint64_t bump = replica->core->body_bump;
        const uint64_t before = replica_counter(replica, TD_COUNTER_refused_quota);
        publish_sized(replica, job, bytes, round);
        if (replica_counter(replica, TD_COUNTER_refused_quota) == before) {
            sizes[job] = bytes;
        }
        moved += replica->core->body_bump < bump;
        if (round % 100 == 0) {
            assert_true(td_core_check(replica->core));
        }
    }
    assert_true(moved > 0);
    for (unsigned job = 0; job < JOBS; ++job) {
        if (sizes[job] > 0) {
            assert_int_equal(detail_bytes_of(replica, job), sizes[job]);
        }
    }
    replica_free(replica);
}

/* A received report is never refused for space while others' room is there; beyond it, the batch is
 * not kept and asked for again: what was acknowledged here comes first. */
static void test_a_batch_without_room_is_not_kept(void **state)
{
    struct replica *replica = started(small);
    const struct td_batch *fits = replica_peer_batch(replica, 2, 1, 40);

    (void)state;
    assert_true(replica_receive(replica, fits, TD_LANE_LIVE));
    replica_settle(replica);
    const uint64_t before = replica_counter(replica, TD_COUNTER_rejected_bounds);
    (void)replica_receive(replica, replica_peer_batch(replica, 2, 41, 40), TD_LANE_LIVE);
    replica_settle(replica);
    assert_true(replica_counter(replica, TD_COUNTER_rejected_bounds) > before);
    const struct td_dot last_fit = {replica_peer_origin(2), 40},
                        first_over = {replica_peer_origin(2), 41};
    assert_true(td_dot_durable(replica->core, last_fit));
    assert_false(td_dot_durable(replica->core, first_over));
    assert_false(td_dot_received(replica->core, first_over));
    assert_int_equal(replica_publish_one(replica, test_update("own", 1, TD_STATE_RUNNING)).err,
                     TD_EQUOTA);
    replica_free(replica);
}

/* DESIGN 4, Quotas: in bytes as in registers; what shrinks or stays is always taken. */
static void test_a_quota_of_bytes_refuses_growth_only(void **state)
{
    struct replica *replica =
        replica_new((struct replica_options){.regions = 2, .limits = small, .quota_bytes = 2048});
    (void)state;
    replica_start(replica);
    unsigned job = 0;
    while (replica_counter(replica, TD_COUNTER_refused_quota) == 0) {
        publish_sized(replica, job++, 300, 1);
        assert_true(job < 20);
    }
    assert_true(job > 4);
    publish_sized(replica, 0, 300, 2);
    publish_sized(replica, 0, 10, 3);
    assert_int_equal(replica_counter(replica, TD_COUNTER_refused_quota), 1);
    assert_int_equal(detail_bytes_of(replica, 0), 10);
    publish_sized(replica, 1, 512, 4); /* the room that the first one freed */
    assert_int_equal(replica_counter(replica, TD_COUNTER_refused_quota), 1);
    for (unsigned grown = 2; grown <= 4; ++grown) {
        publish_sized(replica, grown, 512, 4);
    }
    assert_true(replica_counter(replica, TD_COUNTER_refused_quota) > 1);
    replica_free(replica);
}

/* ---- attempts ---- */

static uint32_t attempt_at(const struct replica *replica, uint16_t attempt)
{
    return td_table_find(replica->core, test_job_hash("chain"), test_text("chain"), attempt);
}

static void test_attempts_leave_their_chain_in_any_order(void **state)
{
    static const uint16_t orders[][3] = {{1, 2, 3}, {1, 3, 2}, {2, 1, 3},
                                         {2, 3, 1}, {3, 1, 2}, {3, 2, 1}};
    (void)state;
    for (size_t i = 0; i < 6; ++i) {
        struct replica *replica = started(small);
        for (uint16_t attempt = 1; attempt <= 3; ++attempt) {
            const struct td_result result =
                replica_publish_one(replica, test_update("chain", attempt, TD_STATE_FAILED));
            assert_int_equal(result.err, TD_OK);
        }
        for (size_t k = 0; k < 3; ++k) {
            td_table_remove(replica->core, attempt_at(replica, orders[i][k]));
            assert_int_equal(attempt_at(replica, orders[i][k]), TD_NONE);
            for (size_t left = k + 1; left < 3; ++left) {
                assert_int_not_equal(attempt_at(replica, orders[i][left]), TD_NONE);
            }
            const uint32_t top =
                td_table_highest(replica->core, test_job_hash("chain"), test_text("chain"));
            uint16_t highest = 0;
            for (size_t left = k + 1; left < 3; ++left) {
                highest = orders[i][left] > highest ? orders[i][left] : highest;
            }
            assert_int_equal(top == TD_NONE ? 0 : replica->core->registers[top].attempt, highest);
            assert_true(td_core_check(replica->core));
        }
        replica_free(replica);
    }
}

static void test_what_is_held_is_not_stored_again_by_repair(void **state)
{
    struct replica *replica = started(small);
    const struct td_batch *batch = replica_peer_batch(replica, 2, 1, 3);

    (void)state;
    assert_true(replica_receive(replica, batch, TD_LANE_LIVE));
    replica_settle(replica);
    const uint32_t log_count = replica->log_count;
    assert_true(replica_receive(replica, batch, TD_LANE_REPAIR));
    replica_settle(replica);
    for (uint32_t i = log_count; i < replica->log_count; ++i) {
        assert_int_not_equal(replica->log[i].type, TD_RECORD_BATCH);
    }
    assert_true(td_core_check(replica->core));
    replica_free(replica);
}

/* ---- incarnations ---- */

static uint16_t intern(struct replica *replica, uint8_t region, uint32_t start)
{
    return td_inc_intern(replica->core, (struct td_origin){{region}, {start, 1}});
}

static void test_a_region_has_a_bounded_number_of_open_incarnations(void **state)
{
    struct replica *replica = started(small);

    (void)state;
    for (uint32_t start = 1; start <= TD_INCARNATIONS_PER_REGION_MAX; ++start) {
        assert_int_not_equal(intern(replica, 2, start), TD_INC_NONE);
    }
    const uint64_t before = replica_counter(replica, TD_COUNTER_rejected_bounds);
    assert_int_equal(intern(replica, 2, 1000), TD_INC_NONE);
    assert_int_equal(replica_counter(replica, TD_COUNTER_rejected_bounds), before + 1);
    assert_int_equal(intern(replica, 0, 1), TD_INC_NONE);
    assert_int_not_equal(intern(replica, 3, 1), TD_INC_NONE); /* others are not concerned */
    td_vectors_fold(replica->core, (struct td_region){2}, 200);
    assert_int_not_equal(intern(replica, 2, 1000), TD_INC_NONE); /* folded ones are not open */
    replica_free(replica);
}

/* Closing them does not make room for more: all of them are in our vector, and one with more entries of a
 * region could not be told to anybody. */
static void test_closed_incarnations_count_until_they_are_folded(void **state)
{
    struct replica *replica = started(small);

    (void)state;
    for (uint32_t start = 1; start <= 2 * TD_INCARNATIONS_PER_REGION_MAX; ++start) {
        const struct td_origin origin = {{2}, {start, 1}};
        td_inc_signed(replica->core, origin, 1);
        const uint16_t index = td_inc_find(replica->core, origin);
        if (index != TD_INC_NONE) {
            td_inc_durable(replica->core, index, 1);
            replica->core->incs[index].closed = true;
            replica->core->incs[index].closed_last = 1;
        }
    }
    const struct td_vv has = td_vectors_has(replica->core);
    assert_int_equal(has.entry_count, TD_INCARNATIONS_PER_REGION_MAX);
    assert_true(td_vv_valid(&has));
    replica_free(replica);
}

/* A cluster that restarts for years: folded incarnations make room when it is needed, none in which
 * something live lies. */
static void test_folded_incarnations_are_forgotten_when_room_is_needed(void **state)
{
    struct replica *replica = started(small);
    const struct td_dot live = {{{2}, {1, 2}}, 1};

    (void)state;
    assert_true(replica_receive(replica, replica_peer_batch(replica, 2, 1, 1), TD_LANE_LIVE));
    replica_settle(replica);
    for (uint32_t start = 2; start < TD_INCS_MAX + 500; ++start) {
        assert_int_not_equal(intern(replica, 2, start), TD_INC_NONE);
        if (start % 100 == 0) {
            td_vectors_fold(replica->core, (struct td_region){2}, start);
        }
    }
    assert_true(td_dot_durable(replica->core, live));
    assert_int_equal(replica_state(replica, "p2-1", 1), TD_STATE_RUNNING);
    assert_int_not_equal(td_inc_find(replica->core, live.origin), TD_INC_NONE);
    assert_int_equal(td_inc_find(replica->core, (struct td_origin){{2}, {2, 1}}), TD_INC_NONE);
    replica_free(replica);
}

/* ---- batches and stores ---- */

/* What is live may lie in as many batches as there are places; the next one waits. */
static void test_a_full_table_of_batches_takes_no_more(void **state)
{
    struct td_core_limits limits = small;
    (void)state;
    limits.batches_max = 20;
    struct replica *replica = started(limits);
    uint64_t seq = 0;

    while (replica_receive(replica, replica_peer_batch(replica, 2, ++seq, 1), TD_LANE_LIVE)) {
        replica_settle(replica);
        assert_true(seq < 64);
    }
    assert_true(seq > 10);
    assert_true(replica_counter(replica, TD_COUNTER_rejected_bounds) > 0);
    struct td_update update = test_update("own", 1, TD_STATE_RUNNING); /* keeps its place */
    assert_int_equal(replica_publish_one(replica, update).err, TD_OK);
    replica_free(replica);
}

/* A disk that does not answer: received batches stop short of what records and own reports need. */
static void test_a_disk_that_stands_still_stops_the_live_lane(void **state)
{
    struct td_core_limits limits = small;
    struct td_msg live = {.type = TD_MSG_LIVE};
    (void)state;
    limits.batches_max = 8192;
    struct replica *replica = started(limits);
    struct td_delta delta = {.job = test_text("hot"),
                             .job_hash = test_job_hash("hot"),
                             .attempt = 1,
                             .status = {.state = TD_STATE_RUNNING}};

    replica_link_up(replica, 7, 2);
    for (uint64_t seq = 1; replica_counter(replica, TD_COUNTER_refused_busy) == 0; ++seq) {
        delta.stamp = (struct td_stamp){REPLICA_WALL_MS + seq, 0};
        assert_true(seq <= TD_STORES);
        replica_frame_batch(replica, 7, &live,
                            replica_batch(replica, replica_peer_origin(2), seq, &delta, 1));
    }
    assert_true(replica->store_count < TD_STORES);
    assert_true(replica->core->regions[replica->core->slot_of[2]].need_transfer);
    const struct td_update update = test_update("own", 1, TD_STATE_RUNNING);
    const uint64_t id = replica_publish(replica, &update, 1, 0, 1000);
    replica_settle(replica);
    assert_int_equal(replica_reply(replica, id)->results[0].err, TD_OK);
    replica_free(replica);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bodies_of_changing_size_never_mix),
        cmocka_unit_test(test_a_batch_without_room_is_not_kept),
        cmocka_unit_test(test_a_quota_of_bytes_refuses_growth_only),
        cmocka_unit_test(test_attempts_leave_their_chain_in_any_order),
        cmocka_unit_test(test_what_is_held_is_not_stored_again_by_repair),
        cmocka_unit_test(test_a_region_has_a_bounded_number_of_open_incarnations),
        cmocka_unit_test(test_closed_incarnations_count_until_they_are_folded),
        cmocka_unit_test(test_folded_incarnations_are_forgotten_when_room_is_needed),
        cmocka_unit_test(test_a_full_table_of_batches_takes_no_more),
        cmocka_unit_test(test_a_disk_that_stands_still_stops_the_live_lane),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
