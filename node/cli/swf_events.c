/* swf_events.c -- submit, start, progress, end of every job, merged into one time line. */
#include "node/cli/swf_events.h"

#include <stdlib.h>

enum { STEPS_MAX = 6 };

enum td_state td_swf_outcome(const struct td_swf_job *job, bool *ret_told)
{
    *ret_told = job->status != TD_SWF_UNKNOWN;
    switch (job->status) {
    case TD_SWF_FAILED:
    case TD_SWF_LAST_FAILED:
        return TD_STATE_FAILED;
    case TD_SWF_CANCELLED:
        return TD_STATE_STOPPED;
    case TD_SWF_PARTIAL: /* the rest of the job lies behind the end of the trace */
        return TD_STATE_RUNNING;
    default:
        return TD_STATE_COMPLETED;
    }
}

enum td_state td_swf_step_state(const struct td_swf_job *job, enum td_swf_step step,
                                uint16_t *ret_progress)
{
    bool told = false;

    *ret_progress = 0;
    switch (step) {
    case TD_SWF_SUBMIT:
        return TD_STATE_PENDING;
    case TD_SWF_START:
        return TD_STATE_RUNNING;
    case TD_SWF_QUARTER:
        *ret_progress = 2500;
        return TD_STATE_RUNNING;
    case TD_SWF_HALF:
        *ret_progress = 5000;
        return TD_STATE_RUNNING;
    case TD_SWF_THREE_QUARTERS:
        *ret_progress = 7500;
        return TD_STATE_RUNNING;
    case TD_SWF_END:
        break;
    }
    *ret_progress = 10000;
    return td_swf_outcome(job, &told);
}

static size_t events_of(const struct td_swf_job *job, uint32_t index, struct td_swf_event *events)
{
    int64_t start_s = job->submit_s + (job->wait_s < 0 ? 0 : job->wait_s);
    int64_t run_s = job->run_s < 0 ? 0 : job->run_s;
    bool cancelled_waiting = job->status == TD_SWF_CANCELLED && run_s == 0;
    size_t count = 0;

    events[count++] = (struct td_swf_event){job->submit_s, index, TD_SWF_SUBMIT};
    if (!cancelled_waiting) {
        events[count++] = (struct td_swf_event){start_s, index, TD_SWF_START};
    }
    for (uint32_t quarter = 1; quarter <= 3 && run_s >= TD_SWF_PROGRESS_AFTER_S; quarter++) {
        events[count++] = (struct td_swf_event){start_s + run_s * (int64_t)quarter / 4, index,
                                                TD_SWF_START + quarter};
    }
    if (job->status != TD_SWF_PARTIAL) {
        events[count++] = (struct td_swf_event){start_s + run_s, index, TD_SWF_END};
    }
    return count;
}

static int compare(const void *a, const void *b)
{
    const struct td_swf_event *left = a;
    const struct td_swf_event *right = b;

    if (left->at_s != right->at_s) {
        return left->at_s < right->at_s ? -1 : 1;
    }
    if (left->job != right->job) {
        return left->job < right->job ? -1 : 1;
    }
    return (left->step > right->step) - (left->step < right->step);
}

struct td_swf_event *td_swf_events(const struct td_swf_trace *trace, size_t *ret_count)
{
    struct td_swf_event *events = calloc(trace->job_count * STEPS_MAX + 1, sizeof *events);
    size_t count = 0;

    if (events == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < trace->job_count; i++) {
        count += events_of(&trace->jobs[i], (uint32_t)i, events + count);
    }
    qsort(events, count, sizeof *events, compare);
    *ret_count = count;
    return events;
}
