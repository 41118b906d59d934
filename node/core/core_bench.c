/* core_bench.c -- how many deltas a second the core merges and publishes, on one thread, without log and
 * links. Usage: core_bench [registers]. Prints one line per measure. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "node/core/state.h"

enum { BATCH = 1024, JOB_BYTES = 24 };

static double now_s(void)
{
    struct timespec at;
    (void)clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

struct bench {
    struct td_core *core;
    struct td_delta deltas[BATCH];
    struct td_update updates[BATCH];
    struct td_hash leaves[TD_BATCH_DELTAS_MAX];
    struct td_dot clock;
    char jobs[BATCH][JOB_BYTES];
    uint64_t next_seq, random;
    uint32_t registers;
    /* Stores that the core waits for. */
    struct {
        struct td_ticket ticket;
        enum td_store_kind kind;
        uint32_t count;
    } stores[4096];
    uint32_t store_first, store_count;
    bool random_wanted;
};

static void absorb(struct bench *bench, const struct td_effect *effects, size_t count)
{
    for (size_t i = 0; i < count; ++i) {
        if (effects[i].type == TD_FX_RANDOM) {
            bench->random_wanted = true;
        } else if (effects[i].type == TD_FX_STORE) {
            const uint32_t at = (bench->store_first + bench->store_count++) % 4096;
            bench->stores[at].ticket = effects[i].u.store.ticket;
            bench->stores[at].kind = effects[i].u.store.kind;
            bench->stores[at].count = effects[i].u.store.delta_count;
        }
    }
}

static void step(struct bench *bench, struct td_event *event)
{
    size_t count = 0;
    event->now = (struct td_time){ 1000, UINT64_C(1800000000000) };
    const struct td_effect *effects = td_core_step(bench->core, event, &count);
    absorb(bench, effects, count);
}

static void settle(struct bench *bench)
{
    while (bench->store_count > 0 || bench->random_wanted) {
        struct td_event event = { .type = TD_EV_RANDOM };
        if (bench->random_wanted) {
            bench->random_wanted = false;
            event.u.random.bits = 1;
            step(bench, &event);
            continue;
        }
        event.type = TD_EV_STORED;
        event.u.stored.ticket = bench->stores[bench->store_first].ticket;
        event.u.stored.durable = true;
        event.u.stored.ref = (struct td_log_ref){ event.u.stored.ticket, 1, 1 };
        if (bench->stores[bench->store_first].kind == TD_STORE_OWN) {
            event.u.stored.leaves = bench->leaves;
            event.u.stored.leaf_count = bench->stores[bench->store_first].count;
        }
        bench->store_first = (bench->store_first + 1) % 4096;
        bench->store_count -= 1;
        step(bench, &event);
    }
}

static void start(struct bench *bench)
{
    static struct td_roster_region regions[2];
    static struct td_region_key keys[2];
    static struct td_roster roster;
    for (unsigned i = 0; i < 2; ++i) {
        regions[i] = (struct td_roster_region){ .number = { (uint8_t)(i + 1) },
                                                .name = { i == 0 ? "a" : "b", 1 },
                                                .quota_registers = 1u << 30,
                                                .quota_bytes = UINT64_C(1) << 40,
                                                .key_count = 1,
                                                .keys = &keys[i] };
    }
    roster = (struct td_roster){ .version = 1, .region_count = 2, .regions = regions };
    const struct td_core_config config = {
        .self = { 1 },
        .table_seed = 12345,
        .stale_ms = 30000,
        .limits = { .registers_max = bench->registers + 1024,
                    .bytes_max = (uint64_t)bench->registers * 256 + (64u << 20),
                    .links_max = 8,
                    .requests_max = 1024,
                    .pending_deltas_max = 65536,
                    .batches_max = bench->registers + 65536,
                    .ring_batches = 256,
                    .change_ring = 1u << 16 },
    };
    const size_t bytes = (td_core_bytes(&config) + 63) / 64 * 64;
    void *block = aligned_alloc(64, bytes);
    if (block == NULL) {
        exit(1);
    }
    memset(block, 0, bytes);
    bench->core = td_core_init(&config, block);
    struct td_event event = { .type = TD_EV_ROSTER };
    event.u.roster = &roster;
    step(bench, &event);
    event.type = TD_EV_START;
    event.u.start.records = NULL;
    event.u.start.count = 0;
    event.u.start.last = true;
    step(bench, &event);
    settle(bench);
}

static uint32_t pick(struct bench *bench, bool in_order, uint64_t i)
{
    bench->random = mix(bench->random + 0x9e3779b97f4a7c15);
    return (uint32_t)((in_order ? i : bench->random) % bench->registers);
}

static void fill(struct bench *bench, bool in_order, uint64_t from)
{
    for (uint32_t i = 0; i < BATCH; ++i) {
        const uint32_t job = pick(bench, in_order, from + i);
        (void)snprintf(bench->jobs[i], JOB_BYTES, "tenant/job-%010u", job);
        struct td_delta *delta = &bench->deltas[i];
        *delta = (struct td_delta){
            .job = { bench->jobs[i], 21 },
            .attempt = 1,
            .stamp = { UINT64_C(1800000000000), (uint32_t)(bench->next_seq + i) },
            .status = { .state = TD_STATE_RUNNING,
                        .progress_known = true,
                        .progress = (uint16_t)(i % 10000),
                        .writer = { "worker-17", 9 },
                        .detail = { "copying rows", 12 } },
            .clock = &bench->clock,
            .clock_count = 1,
            .job_hash = mix(job + 1),
            .index = i,
        };
        delta->status.entered_ms[TD_STATE_RUNNING] = 1;
        const uint64_t leaf = mix(bench->next_seq + i);
        memcpy(delta->leaf.bytes, &leaf, sizeof leaf);
    }
}

static double merge_round(struct bench *bench, uint64_t rounds, bool in_order)
{
    const struct td_origin origin = { { 2 }, { 1, 1 } };
    double busy_s = 0;
    for (uint64_t round = 0; round < rounds; ++round) {
        fill(bench, in_order, round * BATCH);
        bench->clock = (struct td_dot){ origin, bench->next_seq - 1 };
        struct td_batch batch = { .whole = true, .present_count = BATCH, .deltas = bench->deltas };
        batch.header.origin = origin;
        batch.header.first_seq = bench->next_seq;
        batch.header.count = BATCH;
        const struct td_received_batch received = { &batch, bench };
        size_t count = 0;
        const double from_s = now_s();
        td_fx_reset(bench->core);
        if (!td_batch_accept(bench->core, &received, origin.region, TD_LANE_LIVE)) {
            exit(1);
        }
        const struct td_effect *effects = td_fx_finish(bench->core, &count);
        absorb(bench, effects, count);
        settle(bench);
        busy_s += now_s() - from_s;
        bench->next_seq += BATCH;
    }
    return (double)(rounds * BATCH) / busy_s;
}

static double publish_round(struct bench *bench, uint64_t rounds, uint32_t per_request)
{
    double busy_s = 0;
    for (uint64_t round = 0; round < rounds; ++round) {
        fill(bench, false, 0);
        for (uint32_t i = 0; i < BATCH; ++i) {
            bench->updates[i] = (struct td_update){ .job = bench->deltas[i].job,
                                                    .attempt = 1,
                                                    .fields = TD_FIELDS_ALL,
                                                    .status = bench->deltas[i].status,
                                                    .job_hash = bench->deltas[i].job_hash };
            bench->updates[i].status.progress = (uint16_t)(round % 10000);
        }
        const double from_s = now_s();
        for (uint32_t i = 0; i < BATCH; i += per_request) {
            struct td_request request = { .id = i, .op = TD_OP_PUBLISH, .timeout_ms = 1000 };
            request.u.publish.count = per_request;
            request.u.publish.updates = &bench->updates[i];
            struct td_event event = { .type = TD_EV_REQUEST };
            event.u.request.request = &request;
            step(bench, &event);
        }
        settle(bench);
        busy_s += now_s() - from_s;
    }
    return (double)(rounds * BATCH) / busy_s;
}

int main(int argc, char **argv)
{
    static struct bench bench;
    bench.registers = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 1000000;
    bench.next_seq = 1;
    const uint64_t rounds = bench.registers / BATCH + 1;
    if (bench.registers < BATCH) {
        return 2;
    }
    start(&bench);
    printf("merge_insert_per_s %.0f\n", merge_round(&bench, rounds, true));
    printf("merge_update_per_s %.0f\n", merge_round(&bench, rounds, false));
    printf("publish_batched_per_s %.0f\n", publish_round(&bench, rounds / 4 + 1, BATCH));
    printf("publish_single_per_s %.0f\n", publish_round(&bench, rounds / 16 + 1, 1));
    printf("body_bytes_per_register %.0f\n",
           (double)bench.core->body_bytes_live / bench.core->register_count);
    printf("register_bytes %zu slot_bytes %zu\n", sizeof(struct td_register), sizeof(struct td_slot));
    return 0;
}
