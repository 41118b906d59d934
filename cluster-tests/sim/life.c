/* life.c -- lives of jobs: how far a worker is and what it does next. The plain life is one job
 * after the other, equally likely. With the options of this file: hot jobs, workflows (a parent's
 * final after its children's), rivals (a second writer of a job, of the same attempt or of the
 * next, perhaps on the other side of a cut), retries, bursts, workers that fall silent. A generator
 * of its own. */
#include "cluster-tests/sim/load.h"

#include <stdlib.h>
#include <string.h>

enum {
    PLAIN_STEPS = 4,
    STEPS_MAX = 8,
    READY_MAX = 256,
    PATIENCE = 20,
    BURST_MS = 500,
    BURST_SPEEDUP = 10,
    SILENT_AFTER_S = 4
};

struct sim_life {
    struct sim_random random;
    struct td_dot *ended;      /* by job: an acknowledged final of it; seq 0 = none */
    uint32_t ready[READY_MAX]; /* children that wait for a worker */
    uint32_t ready_count;
};

void sim_life_start(struct sim_world *world)
{
    world->life = calloc(1, sizeof *world->life);
    TD_ASSERT(world->life != NULL);
    world->life->random = sim_random_new(world->options.seed, 17);
    world->life->ended = calloc(world->options.jobs + 1, sizeof *world->life->ended);
    TD_ASSERT(world->life->ended != NULL);
}

void sim_life_free(struct sim_world *world)
{
    if (world->life != NULL) {
        free(world->life->ended);
    }
    free(world->life);
}

/* ---- workflows: job 0 of each group is the parent of the others ---- */
static uint32_t group_of(const struct sim_world *world)
{
    return world->options.children + 1;
}

static bool is_parent(const struct sim_world *world, uint32_t job)
{
    return world->options.children > 0 && job % group_of(world) == 0;
}

static bool children_ended(const struct sim_world *world, uint32_t parent)
{
    for (uint32_t job = parent + 1; job < parent + group_of(world) && job < world->options.jobs;
         job++) {
        if (world->life->ended[job].seq == 0) {
            return false;
        }
    }
    return true;
}

static void begin_children(struct sim_world *world, uint32_t parent)
{
    struct sim_life *life = world->life;

    for (uint32_t job = parent + 1; job < parent + group_of(world) && job < world->options.jobs;
         job++) {
        if (life->ended[job].seq == 0 && life->ready_count < READY_MAX) {
            life->ready[life->ready_count++] = job;
        }
    }
}

/* ---- taking a job ---- */
/* With skew 1 to 3 the density falls like a power of the rank: a few jobs are hot. */
static uint32_t draw_job(struct sim_world *world)
{
    uint64_t jobs = world->options.jobs;

    if (world->options.skew == 0) {
        return (uint32_t)sim_random_below(&world->r_load, jobs);
    }
    uint64_t share = 65536; /* of 65536 */
    uint64_t dice = sim_random_below(&world->life->random, 65536);
    for (uint32_t i = 0; i <= world->options.skew; i++) {
        share = share * dice / 65536;
    }
    return (uint32_t)(jobs * share / 65536);
}

static void begin(struct sim_world *world, struct sim_worker *worker, uint32_t job,
                  uint16_t attempt)
{
    struct sim_life *life = world->life;

    worker->job = job;
    worker->attempt = attempt;
    worker->step = 0;
    memset(&worker->seen, 0, sizeof worker->seen);
    worker->seen_final = false;
    worker->patience = PATIENCE;
    worker->quiet_after = 0;
    worker->steps = PLAIN_STEPS;
    if (world->options.lives != 0) {
        worker->steps = 1 + (uint32_t)sim_mix(world->options.seed + job) % STEPS_MAX;
        if (sim_random_chance(&life->random, world->options.silent)) {
            worker->quiet_after = 1 + (uint32_t)sim_random_below(&life->random, worker->steps);
        }
    }
}

/* Somebody else works on a job; this one does too, and has not heard of it: the same attempt, or
 * the next because it takes the other for dead. */
static bool rival(struct sim_world *world, struct sim_worker *worker)
{
    struct sim_life *life = world->life;

    if (!sim_random_chance(&life->random, world->options.rivals)) {
        return false;
    }
    const struct sim_worker *other =
        &world->workers[sim_random_below(&life->random, world->worker_count)];
    if (other == worker || other->attempt == 0 || other->node == worker->node) {
        return false;
    }
    bool next = sim_random_chance(&life->random, 50) && other->attempt < UINT16_MAX;
    begin(world, worker, other->job, (uint16_t)(other->attempt + next));
    return true;
}

void sim_life_take(struct sim_world *world, struct sim_worker *worker)
{
    struct sim_life *life = world->life;

    if (world->replay != NULL) {
        worker->over = sim_replay_due_ms(world, worker) == 0;
        return;
    }
    if (life->ready_count > 0) {
        begin(world, worker, life->ready[--life->ready_count], 1);
        return;
    }
    if (rival(world, worker)) {
        return;
    }
    begin(world, worker, draw_job(world), 1);
    if (is_parent(world, worker->job) && life->ended[worker->job].seq == 0) {
        begin_children(world, worker->job);
    }
}

/* ---- what it reports ---- */
static enum td_state final_of(const struct sim_world *world, const struct sim_worker *worker)
{
    if (world->options.lives == 0) {
        return (world->options.seed + worker->job) % 3 == 0 ? TD_STATE_FAILED : TD_STATE_COMPLETED;
    }
    uint64_t dice = sim_mix(world->options.seed * 7 + worker->job * 131u + worker->attempt) % 10;
    return dice < 6 ? TD_STATE_COMPLETED : dice < 9 ? TD_STATE_FAILED : TD_STATE_STOPPED;
}

enum td_state sim_life_state(const struct sim_world *world, const struct sim_worker *worker)
{
    uint16_t progress = 0;

    if (worker->meddling) { /* an observer's verdict, or an order to stop */
        return worker->serial % 2 == 0 ? TD_STATE_LOST : TD_STATE_STOPPING;
    }
    if (world->replay != NULL) {
        return sim_replay_state(world, worker, &progress);
    }
    if (worker->step == 0) {
        return TD_STATE_STARTING;
    }
    if (worker->step <= worker->steps || (is_parent(world, worker->job) && worker->patience > 0 &&
                                          !children_ended(world, worker->job))) {
        return TD_STATE_RUNNING;
    }
    return final_of(world, worker);
}

void sim_life_fill(const struct sim_world *world, const struct sim_worker *worker,
                   struct td_status *status)
{
    status->progress_known = true;
    status->progress = (uint16_t)(worker->step * 100 < 10000 ? worker->step * 100 : 10000);
    if (world->replay != NULL) {
        (void)sim_replay_state(world, worker, &status->progress);
        return;
    }
    if (world->options.children > 0 && worker->job % group_of(world) != 0) {
        status->parent = sim_job_text(world, worker->job - worker->job % group_of(world));
    }
    if (worker->quiet_after > 0) {
        status->expect_every_s = SILENT_AFTER_S;
    }
}

void sim_life_prepare(struct sim_world *world, struct sim_worker *worker)
{
    bool final = td_state_is_final(sim_life_state(world, worker));

    if (world->replay != NULL || !final || !is_parent(world, worker->job)) {
        return;
    }
    for (uint32_t job = worker->job + 1;
         job < worker->job + group_of(world) && job < world->options.jobs; job++) {
        sim_load_saw(worker,
                     world->life->ended[job]); /* children hand over what they were answered */
    }
}

/* ---- when ---- */
static bool in_burst(const struct sim_world *world)
{
    return world->options.burst_gap_ms != 0 &&
           world->now_ms % world->options.burst_gap_ms < BURST_MS;
}

uint64_t sim_life_pause_ms(struct sim_world *world, struct sim_worker *worker)
{
    if (world->replay != NULL) {
        uint64_t due_ms = sim_replay_due_ms(world, worker);
        return due_ms > world->now_ms ? due_ms - world->now_ms : 1;
    }
    uint64_t pause_ms = 1 + sim_random_below(&world->r_load, 2 * (uint64_t)world->options.gap_ms);
    return in_burst(world) ? 1 + pause_ms / BURST_SPEEDUP : pause_ms;
}

/* ---- how it goes on ---- */
static void next_attempt(struct sim_worker *worker)
{
    worker->attempt++;
    worker->step = 0;
    memset(&worker->seen, 0, sizeof worker->seen);
}

void sim_life_reported(struct sim_world *world, struct sim_worker *worker)
{
    enum td_state state = worker->call.state;

    if (world->replay != NULL) {
        worker->step++;
        worker->over = sim_replay_due_ms(world, worker) == 0;
        return;
    }
    if (td_state_is_final(state)) {
        world->life->ended[worker->job] = worker->seen.dot;
        if (state == TD_STATE_FAILED &&
            sim_random_chance(&world->life->random, world->options.retries)) {
            next_attempt(worker);
        } else {
            sim_life_take(world, worker);
        }
        return;
    }
    if (worker->step > worker->steps && worker->patience > 0) {
        worker->patience--; /* a parent that waits for its children */
        return;
    }
    worker->step++;
    if (worker->quiet_after > 0 && worker->step > worker->quiet_after) {
        sim_life_take(world, worker); /* the job hears no more of it */
    }
}

void sim_life_ended(struct sim_world *world, struct sim_worker *worker)
{
    if (world->replay != NULL) { /* a verdict came first: what remains is refused too */
        worker->step++;
        worker->over = sim_replay_due_ms(world, worker) == 0;
    } else {
        next_attempt(worker);
    }
}
