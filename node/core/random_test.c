/* random_test.c -- random requests, batches, failures and time against one replica with tight limits:
 * nothing breaks its structure, no limit is passed, nothing waits for ever, and every acknowledged report
 * or a greater one is there, also after a restart (I1, I3, I8). TD_RANDOM_SEEDS raises the number. */
#include "node/core/replica_harness.h"

enum { STEPS = 1500, JOBS = 60, ACKS_MAX = 4096 };

struct acked {
    unsigned job;
    uint16_t attempt;
    uint8_t rank;
    struct td_stamp stamp;
};

struct world {
    struct replica *replica;
    uint64_t random;
    char jobs[JOBS][TD_JOB_BYTES_MAX + 1];
    char text[TD_DETAIL_BYTES_MAX];
    struct td_label labels[4];
    uint64_t next_seq[2];
    uint32_t replies_seen;
    struct td_update sent[REPLICA_REPLIES_MAX];
    unsigned sent_job[REPLICA_REPLIES_MAX];
    struct acked acked[ACKS_MAX];
    uint32_t acked_count;
    const struct td_batch *recent[16];
};

static uint64_t next_random(struct world *world, uint64_t below)
{
    world->random ^= world->random << 13;
    world->random ^= world->random >> 7;
    world->random ^= world->random << 17;
    return world->random % below;
}

static void fill_status(struct world *world, struct td_status *status)
{
    status->state = (enum td_state)next_random(world, TD_STATE_COUNT);
    if (next_random(world, 3) != 0) {
        status->state = TD_STATE_RUNNING; /* else most jobs are over soon */
    }
    status->progress_known = true;
    status->progress = (uint16_t)next_random(world, 10001);
    status->detail = (struct td_text){ world->text, (uint32_t)next_random(world, 4) == 0
                                                        ? (uint32_t)next_random(world, 513)
                                                        : 5 };
    status->writer = test_text(next_random(world, 2) == 0 ? "w1" : "w2");
    status->label_count = (uint8_t)next_random(world, 3);
    status->labels = world->labels;
    status->expect_every_s = (uint32_t)next_random(world, 3) * 5;
}

static void do_publish(struct world *world)
{
    struct replica *replica = world->replica;
    const unsigned job = (unsigned)next_random(world, JOBS);
    struct td_update update = test_update(world->jobs[job], (uint16_t)next_random(world, 4), 0);
    fill_status(world, &update.status);
    update.fields = (uint8_t)next_random(world, 64);
    update.correct = next_random(world, 8) == 0;
    if (next_random(world, 6) == 0) {
        update.seen.rank = (uint8_t)next_random(world, 3);
        update.seen.stamp.ms = replica->now.wall_ms + next_random(world, 3000);
        update.seen.dot = (struct td_dot){ { { 2 }, { 1, 5 } }, 1 + next_random(world, 2000) };
    }
    const uint8_t ack = next_random(world, 5) == 0 ? (uint8_t)(1 + next_random(world, 2)) : 0;
    world->sent_job[(replica->next_id + 1) % REPLICA_REPLIES_MAX] = job;
    (void)replica_publish(replica, &update, 1, ack, (uint32_t)next_random(world, 2) * 300);
}

static void do_receive(struct world *world)
{
    struct td_delta deltas[5];
    struct td_dot clock[2];
    const unsigned life = (unsigned)next_random(world, 2);
    const struct td_origin origin = { { 2 }, { 1 + life, 5 } };
    const uint32_t count = 1 + (uint32_t)next_random(world, 5);
    memset(deltas, 0, sizeof deltas);
    for (uint32_t i = 0; i < count; ++i) {
        const char *job = world->jobs[next_random(world, JOBS)];
        deltas[i].job = test_text(job);
        deltas[i].job_hash = test_job_hash(job);
        deltas[i].attempt = (uint16_t)(1 + next_random(world, 3));
        fill_status(world, &deltas[i].status);
        deltas[i].stamp.ms = world->replica->now.wall_ms + next_random(world, 200) - 100;
        clock[0] = (struct td_dot){ { { 1 }, td_core_process(world->replica->core) },
                                    1 + next_random(world, 50) };
        deltas[i].clock = clock;
        deltas[i].clock_count = (uint8_t)next_random(world, 2);
        deltas[i].index = i;
    }
    uint64_t first = world->next_seq[life];
    world->next_seq[life] += count;
    if (next_random(world, 8) == 0) {
        world->next_seq[life] += 3; /* a hole */
    }
    const struct td_batch *batch = replica_batch(world->replica, origin, first, deltas, count);
    (void)replica_receive(world->replica, batch, (enum td_lane)next_random(world, 3));
    world->recent[next_random(world, 16)] = batch;
}

static void do_again(struct world *world)
{
    const struct td_batch *batch = world->recent[next_random(world, 16)];
    if (batch == NULL) {
        return;
    }
    struct td_out_part part = { .batch_count = batch->header.count, .keep_count = 1 };
    const uint32_t keep = (uint32_t)next_random(world, batch->header.count);
    part.keep = &keep;
    const bool thin = batch->header.count > 1 && next_random(world, 2) == 0;
    (void)replica_receive(world->replica,
                          thin ? thin_batch(&world->replica->pool, batch, &part, NULL) : batch,
                          (enum td_lane)next_random(world, 3));
}

static void do_read(struct world *world)
{
    struct replica *replica = world->replica;
    const struct td_vv_entry entry = { { { 2 }, { 1, 5 } }, next_random(world, 2000) + 1 };
    struct td_request request = { .op = (enum td_op)(TD_OP_GET + next_random(world, 5)),
                                  .timeout_ms = (uint32_t)next_random(world, 300) };
    if (next_random(world, 3) == 0) {
        request.after = (struct td_vv){ .entry_count = 1, .entries = &entry };
    }
    const char *job = world->jobs[next_random(world, JOBS)];
    if (request.op == TD_OP_WATCH) {
        request.u.watch.cursor = next_random(world, 2) == 0 ? UINT64_MAX : next_random(world, 4000);
        request.u.watch.process = td_core_process(replica->core);
    } else if (request.op == TD_OP_LIST) {
        request.u.list.cursor = next_random(world, 200);
        request.u.list.filter.conflicts = next_random(world, 2) == 0;
    } else {
        request.u.get.job = test_text(job);
        request.u.get.job_hash = test_job_hash(job);
        request.u.get.all_attempts = next_random(world, 2) == 0;
    }
    (void)replica_request(replica, &request);
}

static void note_answers(struct world *world)
{
    struct replica *replica = world->replica;
    for (; world->replies_seen < replica->reply_count; ++world->replies_seen) {
        const struct replica_reply *reply = &replica->replies[world->replies_seen];
        if (reply->op != TD_OP_PUBLISH || reply->count == 0 ||
            (reply->results[0].err != TD_OK && reply->results[0].err != TD_EACK)) {
            continue;
        }
        assert_true(td_dot_durable(replica->core, reply->results[0].dot)); /* I1 */
        assert_true(world->acked_count < ACKS_MAX);
        world->acked[world->acked_count++] =
            (struct acked){ world->sent_job[reply->id % REPLICA_REPLIES_MAX],
                            reply->results[0].attempt, reply->results[0].rank,
                            reply->results[0].stamp };
    }
}

static void check_acked(const struct world *world)
{
    const struct td_core *core = world->replica->core;
    for (uint32_t i = 0; i < world->acked_count; ++i) {
        const struct acked *acked = &world->acked[i];
        const char *job = world->jobs[acked->job];
        const uint32_t reg = td_table_find(core, test_job_hash(job), test_text(job), acked->attempt);
        assert_int_not_equal(reg, TD_NONE);
        const struct td_order held = td_register_order(core, &core->registers[reg]);
        assert_true(held.rank > acked->rank ||
                    (held.rank == acked->rank && td_stamp_compare(held.stamp, acked->stamp) >= 0));
    }
}

static void do_disk(struct world *world)
{
    struct replica *replica = world->replica;
    uint64_t count = next_random(world, 4);
    while (count-- > 0 && replica->store_count > 0) {
        replica_complete(replica, next_random(world, 12) != 0);
    }
    if (replica->random_wanted && next_random(world, 2) == 0) {
        struct td_event event = { .type = TD_EV_RANDOM };
        replica->random_wanted = false;
        event.u.random.bits = replica->random_bits++;
        replica_step(replica, &event);
    }
}

static void play(uint64_t seed)
{
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    world->random = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    world->next_seq[0] = world->next_seq[1] = 1;
    memset(world->text, 'x', sizeof world->text);
    for (unsigned i = 0; i < 4; ++i) {
        static const char *const keys[] = { "a", "b", "c", "d" };
        world->labels[i] = (struct td_label){ test_text(keys[i]), test_text("value") };
    }
    for (unsigned i = 0; i < JOBS; ++i) {
        (void)snprintf(world->jobs[i], sizeof world->jobs[i], "job/%0*u", (int)(i * 3), i);
    }
    const bool tight = seed % 2 == 0;
    world->replica = replica_new((struct replica_options){
        .regions = 3,
        .limits = { .registers_max = tight ? 90 : 400,
                    .bytes_max = tight ? 40000 : 400000,
                    .links_max = 4,
                    .requests_max = 40,
                    .pending_deltas_max = 24,
                    .batches_max = tight ? 120 : 700,
                    .ring_batches = 8,
                    .change_ring = 64 } });
    replica_start(world->replica);
    for (unsigned i = 0; i < STEPS; ++i) {
        const uint64_t action = next_random(world, 100);
        if (action < 40) {
            do_publish(world);
        } else if (action < 60) {
            do_receive(world);
        } else if (action < 65) {
            do_again(world);
        } else if (action < 75) {
            do_read(world);
        } else if (action < 95) {
            do_disk(world);
        } else {
            replica_tick(world->replica, next_random(world, 200));
        }
        note_answers(world);
        if (i % 16 == 0) {
            assert_true(td_core_check(world->replica->core));
        }
        if (i % 500 == 499) {
            check_acked(world);
            replica_restart(world->replica);
            check_acked(world);
        }
    }
    replica_settle(world->replica);
    replica_tick(world->replica, 40000);
    replica_settle(world->replica);
    replica_tick(world->replica, 1);
    note_answers(world);
    check_acked(world);
    assert_true(td_core_check(world->replica->core));
    assert_true(world->acked_count > 20);
    replica_free(world->replica);
    free(world);
}

static void test_structure_and_promises_hold_under_random_events(void **state)
{
    (void)state;
    const char *wanted = getenv("TD_RANDOM_SEEDS");
    const unsigned long seeds = wanted != NULL ? strtoul(wanted, NULL, 10) : 20;
    for (unsigned long seed = 1; seed <= seeds; ++seed) {
        print_message("seed %lu\n", seed);
        play(seed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_structure_and_promises_hold_under_random_events),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
