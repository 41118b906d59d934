/* swf.h -- workload traces in the Standard Workload Format 2.2: 18 columns a job, `;` comments, -1
 * = unknown. Reads plain and gzip files. Jobs cut into several lines (checkpointed, status 2 to 4)
 * are one job here. */
#ifndef TD_CLI_SWF_H
#define TD_CLI_SWF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/err.h"
#include "proto/types.h"

enum { TD_SWF_COLUMNS = 18, TD_SWF_LINE_BYTES_MAX = 4096 };

enum td_swf_status {
    TD_SWF_UNKNOWN = -1,
    TD_SWF_FAILED = 0,
    TD_SWF_COMPLETED = 1,
    TD_SWF_PARTIAL = 2,      /* will be continued by another line */
    TD_SWF_LAST_PARTIAL = 3, /* last part, completed */
    TD_SWF_LAST_FAILED = 4,  /* last part, failed */
    TD_SWF_CANCELLED = 5,
};

/* Seconds from the start of the trace; -1 = unknown, as in the file. */
struct td_swf_job {
    uint32_t number;
    int32_t status; /* enum td_swf_status */
    int64_t submit_s;
    int64_t wait_s;
    int64_t run_s;
    int32_t processors;
    int32_t user;
    int32_t queue;
    int32_t partition;
};

enum td_swf_line { TD_SWF_LINE_JOB, TD_SWF_LINE_COMMENT, TD_SWF_LINE_BLANK, TD_SWF_LINE_BAD };

/* ret_job is written for TD_SWF_LINE_JOB only; ret_why (a constant) for TD_SWF_LINE_BAD only. */
enum td_swf_line td_swf_parse_line(const char *line, struct td_swf_job *ret_job,
                                   const char **ret_why);

struct td_swf_trace {
    struct td_swf_job *jobs; /* in file order, numbers unique */
    size_t job_count;
    size_t parts_merged; /* lines of checkpointed jobs folded into another line */
};

/* On failure ret_why gets file, line and reason. Free with td_swf_free. limit 0 = all jobs. */
TD_MUST_USE enum td_err td_swf_load(const char *path, size_t limit, struct td_swf_trace *ret_trace,
                                    char *ret_why, size_t why_bytes);
void td_swf_free(struct td_swf_trace *trace);

#endif
