/* replay.c -- trace=FILE: the jobs of a workload trace (Standard Workload Format, plain or gzip),
 * each by a worker of its own, in the order and at the distances of the trace, squeezed into the
 * phase with faults. The option jobs says how many jobs of the file are taken. */
#include "cluster-tests/sim/load.h"

#include <stdlib.h>
#include <string.h>

#include "node/cli/swf_events.h"

enum { BEGIN_MS = 300, PERCENT_OF_PHASE = 90 };

struct sim_replay {
    struct td_swf_trace trace;
    struct td_swf_event *events; /* by job, each in order */
    uint32_t *first;             /* event of each job; one more at the end */
    int64_t start_s, span_s;
    uint64_t phase_ms;
};

static int by_job(const void *a, const void *b)
{
    const struct td_swf_event *left = a, *right = b;

    if (left->job != right->job) {
        return left->job < right->job ? -1 : 1;
    }
    return (left->step > right->step) - (left->step < right->step);
}

void sim_replay_start(struct sim_world *world)
{
    struct sim_replay *replay = calloc(1, sizeof *replay);
    char why[300] = "";
    size_t count = 0, at = 0;

    TD_ASSERT(replay != NULL);
    world->replay = replay;
    enum td_err err =
        td_swf_load(world->options.trace, world->options.jobs, &replay->trace, why, sizeof why);
    if (err != TD_OK || replay->trace.job_count == 0) {
        fprintf(stderr, "tidings-sim: %s\n", err != TD_OK ? why : "no jobs in the trace");
        exit(2);
    }
    replay->events = td_swf_events(&replay->trace, &count);
    replay->first = calloc(replay->trace.job_count + 1, sizeof *replay->first);
    TD_ASSERT(replay->events != NULL && replay->first != NULL && count > 0);
    replay->start_s = replay->events[0].at_s;
    replay->span_s = replay->events[count - 1].at_s - replay->start_s + 1;
    replay->phase_ms = (uint64_t)world->options.fault_ms * PERCENT_OF_PHASE / 100;
    qsort(replay->events, count, sizeof *replay->events, by_job);
    for (size_t job = 0; job <= replay->trace.job_count; job++) {
        while (at < count && replay->events[at].job < job) {
            at++;
        }
        replay->first[job] = (uint32_t)at;
    }
}

void sim_replay_free(struct sim_world *world)
{
    if (world->replay != NULL) {
        td_swf_free(&world->replay->trace);
        free(world->replay->events);
        free(world->replay->first);
    }
    free(world->replay);
}

uint32_t sim_replay_jobs(const struct sim_world *world)
{
    return (uint32_t)world->replay->trace.job_count;
}

int sim_replay_home(const struct sim_world *world, uint32_t job)
{
    int32_t user = world->replay->trace.jobs[job].user;
    return (int)((uint32_t)(user < 0 ? 0 : user) % (uint32_t)world->node_count);
}

static const struct td_swf_event *event_of(const struct sim_world *world,
                                           const struct sim_worker *worker)
{
    const struct sim_replay *replay = world->replay;
    uint32_t at = replay->first[worker->job] + worker->step;
    return at < replay->first[worker->job + 1] ? &replay->events[at] : NULL;
}

enum td_state sim_replay_state(const struct sim_world *world, const struct sim_worker *worker,
                               uint16_t *ret_progress)
{
    const struct td_swf_event *event = event_of(world, worker);

    if (event == NULL) { /* it reads once more */
        return TD_STATE_PENDING;
    }
    return td_swf_step_state(&world->replay->trace.jobs[worker->job], (enum td_swf_step)event->step,
                             ret_progress);
}

uint64_t sim_replay_due_ms(const struct sim_world *world, const struct sim_worker *worker)
{
    const struct sim_replay *replay = world->replay;
    const struct td_swf_event *event = event_of(world, worker);

    if (event == NULL) {
        return 0;
    }
    return BEGIN_MS +
           (uint64_t)(event->at_s - replay->start_s) * replay->phase_ms / (uint64_t)replay->span_s;
}
