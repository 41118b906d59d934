/* load.c -- clients: workers that take a job through its life, read it with the token they hold,
 * retry and move on to another region. They know nothing but answers: this is the history checker
 * on the clients' side (I3 for reads, I4 for publishes, acknowledgement before durability). */
#include "cluster-tests/sim/load.h"

#include <stdlib.h>
#include <string.h>

enum { CALL_MS = 6000, RETRY_MS = 300, READ_PERCENT = 20, MEDDLE_PERCENT = 6 };

static void wake_at(struct sim_world *world, uint32_t index, uint64_t time_ms)
{
    world->workers[index].due_ms = time_ms;
    sim_schedule(world, time_ms, SIM_AT_WORKER, SIM_NONE)->value = index;
}

static void name_jobs(struct sim_world *world, uint32_t jobs)
{
    for (uint32_t i = 0; i < jobs; i++) {
        char name[32];
        int count = snprintf(name, sizeof name, "etl/job-%u", i);
        uint32_t job = sim_job_number(world, (struct td_text){name, (uint32_t)count});
        TD_ASSERT(job == i);
    }
}

void sim_load_start(struct sim_world *world)
{
    world->worker_count = world->options.regions * world->options.workers_per_region;
    sim_life_start(world);
    if (world->options.trace != NULL) {
        sim_replay_start(world);
        world->worker_count = sim_replay_jobs(world);
    }
    name_jobs(world, world->replay != NULL ? world->worker_count : world->options.jobs);
    world->workers = calloc(world->worker_count + 1, sizeof *world->workers);
    TD_ASSERT(world->workers != NULL);
    for (uint32_t i = 0; i < world->worker_count; i++) {
        struct sim_worker *worker = &world->workers[i];
        worker->node = (int)(i % world->options.regions);
        snprintf(worker->writer, sizeof worker->writer, "w%u", i);
        if (world->replay != NULL) {
            worker->node = sim_replay_home(world, i);
            worker->job = i;
            worker->attempt = 1;
        }
        sim_life_take(world, worker);
        wake_at(world, i, 200 + sim_life_pause_ms(world, worker));
    }
}

void sim_load_free(struct sim_world *world)
{
    free(world->workers);
    sim_life_free(world);
    sim_replay_free(world);
}

static void move_on(struct sim_world *world, struct sim_worker *worker)
{
    int count = world->node_count;
    worker->node =
        (worker->node + 1 + (int)sim_random_below(&world->r_load, (uint64_t)count)) % count;
}

/* ---- requests ---- */
static void call(struct sim_world *world, uint32_t index, struct td_request *request)
{
    struct sim_worker *worker = &world->workers[index];
    struct td_event event = sim_node_event(world, worker->node, TD_EV_REQUEST);

    enum td_state state = worker->reading ? TD_STATE_PENDING : sim_life_state(world, worker);
    worker->waiting = true;
    request->id = ++worker->serial;
    event.u.request.client_link = index + 1;
    event.u.request.request = request;
    worker->call =
        (struct sim_call){.client = index + 1,
                          .job = worker->job,
                          .serial = worker->serial,
                          .publish = !worker->reading,
                          .meddling = worker->meddling,
                          .attempt = worker->attempt,
                          .state = state,
                          .seen = worker->reading || worker->meddling ? NULL : &worker->seen};
    sim_record_call(world, &worker->call);
    wake_at(world, index, world->now_ms + CALL_MS);
    sim_node_step(world, worker->node, &event);
}

/* What a client would send to use up a register's stamps: a report of 2099 that nobody made. */
static struct td_seen forged_seen(struct sim_world *world)
{
    struct td_seen seen = {
        .stamp = {TD_STAMP_MS_MAX - 1 - sim_random_below(&world->r_load, 1000), 0}};

    seen.dot.origin.region.v =
        (uint8_t)(1 + sim_random_below(&world->r_load, world->options.regions));
    seen.dot.origin.incarnation.start = 1;
    seen.dot.origin.incarnation.random = 12345;
    seen.dot.seq = 1;
    return seen;
}

static void publish(struct sim_world *world, uint32_t index)
{
    struct sim_worker *worker = &world->workers[index];
    const char *name = world->job_names[worker->job];
    char detail[40];
    struct td_update update = {.job = {name, (uint32_t)strlen(name)},
                               .attempt = worker->meddling ? 0 : worker->attempt,
                               .fields = TD_FIELDS_ALL,
                               .job_hash = world->job_hashes[worker->job]};

    snprintf(detail, sizeof detail, "step %u of %s", worker->step, worker->writer);
    update.status.state = sim_life_state(world, worker);
    sim_life_fill(world, worker, &update.status);
    update.status.detail = (struct td_text){detail, (uint32_t)strlen(detail)};
    update.status.writer = (struct td_text){worker->writer, (uint32_t)strlen(worker->writer)};
    worker->ack_asked = sim_random_chance(&world->r_load, world->options.ack_percent);
    struct td_request request = {.op = TD_OP_PUBLISH, .timeout_ms = 3000};
    if (!worker->meddling) {
        sim_life_prepare(world, worker);
        update.seen = worker->seen;
        request.after = worker->token.vv;
    }
    request.u.publish.ack = worker->ack_asked;
    request.u.publish.count = 1;
    request.u.publish.updates = &update;
    if (worker->meddling && world->options.forged_percent != 0 &&
        sim_random_chance(&world->r_load, world->options.forged_percent)) {
        update.seen = forged_seen(world);
    }
    call(world, index, &request);
}

static void get(struct sim_world *world, uint32_t index)
{
    struct sim_worker *worker = &world->workers[index];
    const char *name = world->job_names[worker->job];
    struct td_request request = {.op = TD_OP_GET, .timeout_ms = 2000, .after = worker->token.vv};

    request.u.get.job = (struct td_text){name, (uint32_t)strlen(name)};
    request.u.get.job_hash = world->job_hashes[worker->job];
    request.u.get.attempt = worker->attempt;
    call(world, index, &request);
}

void sim_load_worker(struct sim_world *world, int index)
{
    struct sim_worker *worker = &world->workers[index];

    if (worker->due_ms != world->now_ms || world->workers_stopped || worker->over ||
        world->reports >=
            (world->options.reports_max == 0 ? UINT32_MAX : world->options.reports_max)) {
        return;
    }
    if (worker->waiting) { /* no answer: perhaps taken, perhaps not. Elsewhere, the same again */
        worker->waiting = false;
        worker->meddling = false;
        world->counts.lost_calls++;
        move_on(world, worker);
    }
    if (!sim_node_publishes(world, worker->node)) {
        move_on(world, worker);
        wake_at(world, (uint32_t)index, world->now_ms + RETRY_MS);
        return;
    }
    worker->reading = sim_random_chance(&world->r_load, READ_PERCENT);
    worker->meddling = !worker->reading && sim_random_chance(&world->r_load, MEDDLE_PERCENT);
    if (worker->reading) {
        get(world, (uint32_t)index);
    } else {
        world->reports++;
        publish(world, (uint32_t)index);
    }
}

/* ---- answers ---- */
static void join_token(struct sim_worker *worker, const struct td_vv *has)
{
    static struct td_vv_entry entries[TD_VV_ENTRIES_MAX];
    static struct td_vv_fold folds[TD_REGIONS_MAX];
    struct td_vv joined;

    if (td_vv_merge(&worker->token.vv, has, entries, TD_VV_ENTRIES_MAX, folds, TD_REGIONS_MAX,
                    &joined)) {
        bool fits = td_vv_store_set(&worker->token, &joined);
        TD_ASSERT(fits);
    }
}

/* An answer may show what is not durable there yet: its vector alone would not promise a later
 * reader that register. The dot joins the token. */
void sim_load_saw(struct sim_worker *worker, struct td_dot dot)
{
    struct td_vv_entry entry = {dot.origin, dot.seq};
    struct td_vv one = {.entry_count = 1, .entries = &entry};

    if (entry.seq != 0) {
        join_token(worker, &one);
    }
}

static bool seen_in_doubt(struct sim_world *world, const struct td_seen *seen)
{
    const struct sim_truth *truth = sim_truth_find(world, seen->dot);
    return truth != NULL && sim_truth_in_doubt(world, truth);
}

static int compare_seen(const struct td_seen *a, const struct td_order *b)
{
    struct td_order order = {.rank = a->rank, .stamp = a->stamp, .dot = a->dot, .hash = b->hash};
    return td_order_compare(b, &order);
}

/* Whether another region really has it, when the answer said so. */
static void check_ack_elsewhere(struct sim_world *world, int index, const struct sim_truth *truth)
{
    const struct sim_counts *counts = &world->counts;
    bool found = counts->faults[SIM_FAULT_DISK_LOST] + counts->faults[SIM_FAULT_BACKUP] +
                     counts->faults[SIM_FAULT_BIT_FLIP] + counts->faults[SIM_FAULT_CLONE] >
                 0;

    for (int i = 0; i < SIM_NODES_MAX && !found; i++) {
        const struct sim_node *node = &world->nodes[i];
        if (node->used && node->region.v != world->nodes[index].region.v) {
            struct td_vv has = node->up ? td_core_has(node->core) : node->has_down.vv;
            found = td_vv_covers_dot(&has, truth->order.dot);
        }
    }
    if (!found) {
        sim_fail(world, "I1", "node %d confirmed %u.%u.%llu for another region that has it not",
                 index + 1, truth->order.dot.origin.region.v,
                 truth->order.dot.origin.incarnation.start,
                 (unsigned long long)truth->order.dot.seq);
    }
}

static void acknowledged(struct sim_world *world, struct sim_worker *worker, int index,
                         const struct td_result *result)
{
    struct sim_truth *truth = sim_truth_find(world, result->dot);

    world->counts.acks++;
    sim_note(world, 90, result->stamp.ms, result->dot.seq);
    if (result->dot.origin.region.v == world->bad_region) {
        return;
    }
    if (truth == NULL || !truth->durable) {
        bool crashed = truth != NULL && result->noop; /* durable before its origin heard of it */
        if (!crashed) {
            sim_fail(world, "I1", "node %d acknowledged %u.%u.%llu before it was durable",
                     index + 1, result->dot.origin.region.v, result->dot.origin.incarnation.start,
                     (unsigned long long)result->dot.seq);
        }
        return;
    }
    sim_truth_ack(world, truth);
    if (worker->ack_asked && result->err == TD_OK && world->bad_region == 0) {
        check_ack_elsewhere(world, index, truth);
    }
    if (worker->meddling) {
        return;
    }
    sim_check_i4(world, index, truth, &worker->seen, result->noop);
    worker->seen.rank = result->rank;
    worker->seen.stamp = result->stamp;
    worker->seen.dot = result->dot;
    sim_life_reported(world, worker);
}

static void refused(struct sim_world *world, struct sim_worker *worker, enum td_err err)
{
    world->counts.refused++;
    sim_note(world, 91, (uint64_t)err, 0);
    if (worker->meddling) {
        return;
    }
    switch (err) {
    case TD_ERANK:
    case TD_EFINAL:
    case TD_ELOSTFIRST: /* somebody else ended this attempt: the next one */
        sim_life_ended(world, worker);
        break;
    case TD_EATTEMPT:
        sim_life_take(world, worker);
        break;
    default:
        move_on(world, worker);
        break;
    }
}

static void published(struct sim_world *world, struct sim_worker *worker, int index,
                      const struct td_response *response)
{
    const struct td_result *result = &response->u.publish.results[0];
    bool one =
        response->u.publish.count == 1 && (response->err == TD_OK || response->err == TD_EACK);

    if (one && (result->err == TD_OK || result->err == TD_EACK) && result->dot.seq != 0) {
        acknowledged(world, worker, index, result);
    } else {
        refused(world, worker, one ? result->err : response->err);
    }
}

static void read_back(struct sim_world *world, struct sim_worker *worker, int index,
                      const struct td_response *response)
{
    const struct td_register_view *view = NULL;

    if (response->err != TD_OK && response->err != TD_EUNKNOWN) {
        move_on(world, worker);
        return;
    }
    for (uint32_t i = 0; response->err == TD_OK && i < response->u.registers.count; i++) {
        if (response->u.registers.registers[i].attempt == worker->attempt) {
            view = &response->u.registers.registers[i];
        }
    }
    world->counts.reads++;
    struct td_order order = {.rank = 0};
    if (view != NULL) {
        order.rank = td_state_rank(view->status.state);
        order.stamp = view->stamp;
        order.dot = view->dot;
    }
    if (worker->seen.dot.seq != 0 && !sim_is_hiding(world) &&
        !seen_in_doubt(world, &worker->seen) &&
        (view == NULL || compare_seen(&worker->seen, &order) < 0)) {
        sim_fail(world, "I3",
                 "node %d showed %s/%u %s to a client that had seen rank %u stamp %llu", index + 1,
                 world->job_names[worker->job], worker->attempt,
                 view == NULL ? "as unknown" : td_state_name(view->status.state), worker->seen.rank,
                 (unsigned long long)worker->seen.stamp.ms);
    }
    if (view != NULL) {
        worker->seen.rank = order.rank;
        worker->seen.stamp = order.stamp;
        worker->seen.dot = order.dot;
    }
}

void sim_load_reply(struct sim_world *world, int index, uint32_t client_link,
                    const struct td_response *response)
{
    if (client_link == SIM_FINAL_LINK) {
        sim_record_answer(world, &world->final_call, index, response);
    }
    if (client_link == 0 || client_link > world->worker_count) {
        return;
    }
    struct sim_worker *worker = &world->workers[client_link - 1];
    if (!sim_is_bad(world, index)) {
        sim_check_i6(world, index, response->freshness, response->freshness_count);
        sim_check_stale(world, index, response->freshness, response->freshness_count);
    }
    if (!worker->waiting || response->id != worker->serial || worker->node != index) {
        return; /* it has given up on this call */
    }
    worker->waiting = false;
    if (sim_is_bad(world, index)) { /* whatever it said: nothing that this client will rely on */
        move_on(world, worker);
        sim_life_take(world, worker);
        worker->meddling = false;
        wake_at(world, client_link - 1, world->now_ms + sim_life_pause_ms(world, worker));
        return;
    }
    sim_record_answer(world, &worker->call, index, response);
    if (worker->reading) {
        read_back(world, worker, index, response);
    } else {
        published(world, worker, index, response);
    }
    if (response->err == TD_OK) {
        join_token(worker, &response->has);
    }
    sim_load_saw(worker, worker->seen.dot);
    worker->meddling = false;
    wake_at(world, client_link - 1, world->now_ms + sim_life_pause_ms(world, worker));
}
