/* wait.c -- waiting for states: look first (a state already passed counts), then follow the jobs.
 */
#include <stdlib.h>
#include <string.h>

#include "node/client/engine.h"
#include "node/client/text.h"

enum {
    SLICE_MS = 500,
    FINALS = 1 << TIDINGS_COMPLETED | 1 << TIDINGS_FAILED | 1 << TIDINGS_STOPPED
};

struct wait {
    struct tidings *t;
    struct tidings_wait_job *jobs;
    size_t job_count;
    struct tidings_wait_options options;
    uint64_t deadline_ms;
    struct tidings_freshness *freshness;
    size_t first, count; /* the jobs followed at the moment: at most TD_WATCH_JOBS_MAX */
    size_t indexes[TD_WATCH_JOBS_MAX];
    bool looked; /* the present status of the followed jobs was read since the watch has a place */
    int err;
    uint64_t slice_end_ms;
    const char *names[TD_WATCH_JOBS_MAX];
};

static bool entered(const struct tidings_status *status, uint32_t states)
{
    for (unsigned state = 0; state < TIDINGS_STATE_COUNT; state++) {
        bool passed = status->entered_ms[state] > 0 || (unsigned)status->state == state;
        if ((states >> state & 1) != 0 && passed) {
            return true;
        }
    }
    return false;
}

/* A final state that was corrected to another one has not been kept: of finals only the present
 * counts. */
static void judge(const struct wait *wait, struct tidings_wait_job *job)
{
    uint32_t states = wait->options.states;
    uint32_t present = UINT32_C(1) << job->status.state;
    bool lost = wait->options.or_lost && job->status.state == TIDINGS_LOST;
    job->met = (states & present) != 0 || entered(&job->status, states & ~(uint32_t)FINALS) || lost;
    job->other_final = !job->met && job->status.final;
}

static void take(const struct wait *wait, const struct tidings_status *status)
{
    for (size_t i = 0; i < wait->job_count; i++) {
        struct tidings_wait_job *job = &wait->jobs[i];
        bool attempt =
            job->attempt == status->attempt ||
            (job->attempt == 0 && (!job->seen || status->attempt >= job->status.attempt));
        if (attempt && strcmp(job->job, status->job) == 0) {
            job->seen = true;
            job->status = *status;
            judge(wait, job);
        }
    }
}

enum outcome { OUTCOME_OPEN, OUTCOME_MET, OUTCOME_MISSED };

static enum outcome outcome_of(const struct wait *wait)
{
    size_t met = 0, missed = 0;
    for (size_t i = 0; i < wait->job_count; i++) {
        met += wait->jobs[i].met;
        missed += wait->jobs[i].other_final;
    }
    if (wait->options.any) {
        return met > 0 ? OUTCOME_MET : missed == wait->job_count ? OUTCOME_MISSED : OUTCOME_OPEN;
    }
    return met == wait->job_count ? OUTCOME_MET : missed > 0 ? OUTCOME_MISSED : OUTCOME_OPEN;
}

static bool open_job(const struct tidings_wait_job *job)
{
    return !job->met && !job->other_final;
}

/* The next group of open jobs, going round. */
static void choose(struct wait *wait)
{
    wait->count = 0;
    for (size_t looks = 0; looks < wait->job_count && wait->count < TD_WATCH_JOBS_MAX; looks++) {
        struct tidings_wait_job *job = &wait->jobs[(wait->first + looks) % wait->job_count];
        if (open_job(job)) {
            wait->indexes[wait->count] = (wait->first + looks) % wait->job_count;
            wait->names[wait->count++] = job->job;
        }
    }
    wait->first = (wait->first + TD_WATCH_JOBS_MAX) % wait->job_count;
}

/* What is true already. Read after the watch has its place, so that no change falls in between. */
static int look(struct wait *wait)
{
    for (size_t i = 0; i < wait->count; i++) {
        struct tidings_wait_job *job = &wait->jobs[wait->indexes[i]];
        struct tidings_status status;
        int err = tidings_get(wait->t, job->job, job->attempt, &status, wait->freshness);
        if (err == TIDINGS_OK) {
            take(wait, &status);
        } else if (err != TIDINGS_EUNKNOWN && err != TIDINGS_ETIMEOUT) {
            return err;
        }
    }
    wait->looked = true;
    return TIDINGS_OK;
}

static bool on_event(void *self, const struct tidings_watch_at *at)
{
    struct wait *wait = self;
    if (!wait->looked || at->event == TIDINGS_WATCH_RESET) {
        wait->err = look(wait);
        if (wait->err != TIDINGS_OK) {
            return false;
        }
    }
    if (wait->freshness != NULL) {
        *wait->freshness = *at->freshness;
    }
    if (at->event == TIDINGS_WATCH_UPDATE) {
        take(wait, at->status);
    }
    if (wait->options.waiting != NULL && outcome_of(wait) == OUTCOME_OPEN) {
        wait->options.waiting(wait->options.waiting_self, at->freshness);
    }
    bool more_groups = wait->job_count > TD_WATCH_JOBS_MAX;
    uint64_t now_ms = td_now_ms();
    return outcome_of(wait) == OUTCOME_OPEN && now_ms < wait->deadline_ms &&
           (!more_groups || now_ms < wait->slice_end_ms);
}

/* Their changes from now on; what is known already is read once the watch has its place. */
static int follow(struct wait *wait)
{
    uint64_t now_ms = td_now_ms();
    uint64_t left_ms = wait->deadline_ms - now_ms;
    struct tidings_watch_options options = {.jobs = wait->names,
                                            .job_count = wait->count,
                                            .idle_ms =
                                                left_ms < SLICE_MS ? (uint32_t)left_ms : SLICE_MS};
    wait->slice_end_ms = now_ms + SLICE_MS;
    wait->looked = false;
    wait->err = TIDINGS_OK;
    int err = tidings_watch(wait->t, &options, on_event, wait);
    return err == TIDINGS_OK ? wait->err : err;
}

static int run(struct wait *wait)
{
    for (;;) {
        enum outcome outcome = outcome_of(wait);
        if (outcome != OUTCOME_OPEN) {
            return outcome == OUTCOME_MET ? TIDINGS_OK : TIDINGS_EOTHERFINAL;
        }
        if (td_now_ms() >= wait->deadline_ms) {
            return TIDINGS_ETIMEOUT;
        }
        choose(wait);
        int err = follow(wait);
        if (err != TIDINGS_OK) {
            return err;
        }
    }
}

int tidings_wait(tidings *t, struct tidings_wait_job *jobs, size_t job_count,
                 const struct tidings_wait_options *options,
                 struct tidings_freshness *ret_freshness)
{
    struct wait *wait = calloc(1, sizeof *wait);
    if (wait == NULL) {
        return TIDINGS_ENOMEM;
    }
    wait->t = t;
    wait->jobs = jobs;
    wait->job_count = job_count;
    wait->options = options != NULL ? *options : (struct tidings_wait_options){0};
    wait->options.states = wait->options.states == 0 ? FINALS : wait->options.states;
    wait->freshness = ret_freshness;
    uint32_t timeout_ms = wait->options.timeout_ms > 0 ? wait->options.timeout_ms : t->timeout_ms;
    wait->deadline_ms = td_now_ms() + timeout_ms;
    for (size_t i = 0; i < job_count; i++) {
        jobs[i].seen = jobs[i].met = jobs[i].other_final = false;
    }
    int err = job_count == 0 ? TIDINGS_EUSAGE : run(wait);
    free(wait);
    return err;
}
