/* swf.c -- line parser and loader. The file is somebody else's: every number is checked. */
#include "node/cli/swf.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

/* Columns by their position in the format's definition, from 0. */
enum column {
    COLUMN_NUMBER = 0,
    COLUMN_SUBMIT = 1,
    COLUMN_WAIT = 2,
    COLUMN_RUN = 3,
    COLUMN_PROCESSORS = 4,
    COLUMN_STATUS = 10,
    COLUMN_USER = 11,
    COLUMN_QUEUE = 14,
    COLUMN_PARTITION = 15,
};

/* Some archives write seconds with decimals; whole seconds are what the format promises. */
static bool column_value(const char *text, char **ret_end, double *ret_value)
{
    errno = 0;
    double value = strtod(text, ret_end);
    if (*ret_end == text || errno == ERANGE || !isfinite(value) || fabs(value) > 1e15) {
        return false;
    }
    *ret_value = value;
    return true;
}

static bool in_int32(double value)
{
    return value >= -1 && value <= INT32_MAX;
}

static const char *columns_to_job(const double *columns, struct td_swf_job *ret_job)
{
    double number = columns[COLUMN_NUMBER];
    double status = columns[COLUMN_STATUS];

    if (number < 0 || number > UINT32_MAX || floor(number) < number) {
        return "the job number is not a whole number";
    }
    if (columns[COLUMN_SUBMIT] < 0) {
        return "the submit time is unknown";
    }
    if (status < TD_SWF_UNKNOWN || status > TD_SWF_CANCELLED || floor(status) < status) {
        return "the status is not -1 to 5";
    }
    if (!in_int32(columns[COLUMN_PROCESSORS]) || !in_int32(columns[COLUMN_USER]) ||
        !in_int32(columns[COLUMN_QUEUE]) || !in_int32(columns[COLUMN_PARTITION])) {
        return "processors, user, queue or partition is out of range";
    }
    *ret_job = (struct td_swf_job){
        .number = (uint32_t)number,
        .status = (int32_t)status,
        .submit_s = (int64_t)columns[COLUMN_SUBMIT],
        .wait_s = columns[COLUMN_WAIT] < 0 ? -1 : (int64_t)columns[COLUMN_WAIT],
        .run_s = columns[COLUMN_RUN] < 0 ? -1 : (int64_t)columns[COLUMN_RUN],
        .processors = (int32_t)columns[COLUMN_PROCESSORS],
        .user = (int32_t)columns[COLUMN_USER],
        .queue = (int32_t)columns[COLUMN_QUEUE],
        .partition = (int32_t)columns[COLUMN_PARTITION],
    };
    return NULL;
}

enum td_swf_line td_swf_parse_line(const char *line, struct td_swf_job *ret_job,
                                   const char **ret_why)
{
    double columns[TD_SWF_COLUMNS];

    line += strspn(line, " \t\r\n");
    if (*line == '\0') {
        return TD_SWF_LINE_BLANK;
    }
    if (*line == ';') {
        return TD_SWF_LINE_COMMENT;
    }
    for (int i = 0; i < TD_SWF_COLUMNS; i++) {
        char *end = NULL;
        if (*line == '\0') {
            *ret_why = "fewer than 18 columns";
            return TD_SWF_LINE_BAD;
        }
        if (!column_value(line, &end, &columns[i]) || strchr(" \t\r\n", *end) == NULL) {
            *ret_why = "a column is not a number";
            return TD_SWF_LINE_BAD;
        }
        line = end + strspn(end, " \t\r\n");
    }
    if (*line != '\0') {
        *ret_why = "more than 18 columns";
        return TD_SWF_LINE_BAD;
    }
    *ret_why = columns_to_job(columns, ret_job);
    return *ret_why == NULL ? TD_SWF_LINE_JOB : TD_SWF_LINE_BAD;
}

/* Job number -> index + 1 in the trace; open addressing, at most half full. */
struct index {
    uint32_t *slots;
    size_t slot_count; /* power of two */
};

struct load {
    struct td_swf_trace trace;
    size_t jobs_max;
    struct index index;
};

static uint32_t *index_slot(const struct index *index, const struct td_swf_trace *trace,
                            uint32_t number)
{
    size_t at = (size_t)(number * UINT32_C(2654435761)) & (index->slot_count - 1);

    while (index->slots[at] != 0 && trace->jobs[index->slots[at] - 1].number != number) {
        at = (at + 1) & (index->slot_count - 1);
    }
    return &index->slots[at];
}

static bool grow(struct load *self)
{
    size_t jobs_max = self->jobs_max == 0 ? 4096 : self->jobs_max * 2;
    struct td_swf_job *jobs = realloc(self->trace.jobs, jobs_max * sizeof *jobs);
    if (jobs == NULL) {
        return false;
    }
    self->trace.jobs = jobs;
    self->jobs_max = jobs_max;

    uint32_t *slots = calloc(jobs_max * 2, sizeof *slots);
    if (slots == NULL) {
        return false;
    }
    free(self->index.slots);
    self->index = (struct index){slots, jobs_max * 2};
    for (size_t i = 0; i < self->trace.job_count; i++) {
        *index_slot(&self->index, &self->trace, jobs[i].number) = (uint32_t)i + 1;
    }
    return true;
}

static bool is_part(int32_t status)
{
    return status == TD_SWF_PARTIAL || status == TD_SWF_LAST_PARTIAL ||
           status == TD_SWF_LAST_FAILED;
}

/* A second line with the same number. With a summary line (status 0, 1, 5) first, its parts say
 * nothing new; without one, the parts together are the job. */
static bool merge_part(struct td_swf_job *job, const struct td_swf_job *part)
{
    if (!is_part(part->status)) {
        return false;
    }
    if (is_part(job->status)) {
        int64_t start_s = job->submit_s + (job->wait_s < 0 ? 0 : job->wait_s);
        int64_t part_start_s = part->submit_s + (part->wait_s < 0 ? 0 : part->wait_s);
        int64_t end_s = part_start_s + (part->run_s < 0 ? 0 : part->run_s);
        job->run_s = end_s > start_s + job->run_s ? end_s - start_s : job->run_s;
        job->status = part->status;
    }
    return true;
}

static const char *add_job(struct load *self, const struct td_swf_job *job)
{
    struct td_swf_trace *trace = &self->trace;

    if (trace->job_count == self->jobs_max && !grow(self)) {
        return "out of memory";
    }
    uint32_t *slot = index_slot(&self->index, trace, job->number);
    if (*slot != 0) {
        trace->parts_merged++;
        return merge_part(&trace->jobs[*slot - 1], job) ? NULL : "the job number appears twice";
    }
    trace->jobs[trace->job_count++] = *job;
    *slot = (uint32_t)trace->job_count;
    return NULL;
}

static const char *load_lines(struct load *self, gzFile file, size_t limit, unsigned long *ret_line)
{
    char line[TD_SWF_LINE_BYTES_MAX];
    struct td_swf_job job;
    const char *why = NULL;
    int gz_error = Z_OK;

    while (gzgets(file, line, sizeof line) != NULL) {
        ++*ret_line;
        if (strlen(line) == sizeof line - 1) {
            return "the line is longer than 4095 bytes";
        }
        enum td_swf_line kind = td_swf_parse_line(line, &job, &why);
        if (kind == TD_SWF_LINE_BAD) {
            return why;
        }
        if (kind != TD_SWF_LINE_JOB) {
            continue;
        }
        if (limit != 0 && self->trace.job_count == limit) {
            return NULL;
        }
        why = add_job(self, &job);
        if (why != NULL) {
            return why;
        }
    }
    const char *gz_text = gzerror(file, &gz_error);
    return gz_error == Z_OK || gz_error == Z_STREAM_END ? NULL : gz_text;
}

enum td_err td_swf_load(const char *path, size_t limit, struct td_swf_trace *ret_trace,
                        char *ret_why, size_t why_bytes)
{
    struct load self = {0};
    unsigned long line = 0;
    enum td_err err = TD_OK;

    gzFile file = gzopen(path, "rb");
    if (file == NULL) {
        snprintf(ret_why, why_bytes, "%s: %s", path,
                 errno != 0 ? strerror(errno) : "out of memory");
        return TD_EIO;
    }
    gzbuffer(file, 128 * 1024);
    const char *why = load_lines(&self, file, limit, &line);
    if (why != NULL) {
        snprintf(ret_why, why_bytes, "%s, line %lu: %s", path, line, why);
        err = TD_EUSAGE;
    } else if (self.trace.job_count == 0) {
        snprintf(ret_why, why_bytes, "%s: no jobs in this trace", path);
        err = TD_EUSAGE;
    }
    gzclose(file);
    free(self.index.slots);
    if (err != TD_OK) {
        td_swf_free(&self.trace);
        return err;
    }
    *ret_trace = self.trace;
    return TD_OK;
}

void td_swf_free(struct td_swf_trace *trace)
{
    free(trace->jobs);
    *trace = (struct td_swf_trace){0};
}
