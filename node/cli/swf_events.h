/* swf_events.h -- the life of each job of a trace as reports, in the order of trace time. Pure. */
#ifndef TD_CLI_SWF_EVENTS_H
#define TD_CLI_SWF_EVENTS_H

#include "node/cli/swf.h"

/* Jobs that run at least this long report 25, 50 and 75 % on the way. */
enum { TD_SWF_PROGRESS_AFTER_S = 600 };

enum td_swf_step {
    TD_SWF_SUBMIT,
    TD_SWF_START,
    TD_SWF_QUARTER,
    TD_SWF_HALF,
    TD_SWF_THREE_QUARTERS,
    TD_SWF_END
};
struct td_swf_event {
    int64_t at_s;
    uint32_t job;  /* index into the trace */
    uint32_t step; /* enum td_swf_step */
};

/* State the job is in at the end of the trace; *ret_told = false when the trace does not say. */
enum td_state td_swf_outcome(const struct td_swf_job *job, bool *ret_told);
/* State and progress (0..10000) that the step reports. */
enum td_state td_swf_step_state(const struct td_swf_job *job, enum td_swf_step step,
                                uint16_t *ret_progress);
/* malloc'ed, ordered by time, then job, then step; NULL when out of memory. */
struct td_swf_event *td_swf_events(const struct td_swf_trace *trace, size_t *ret_count);

#endif
