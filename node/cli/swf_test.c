/* swf_test.c -- lines, files and time lines of workload traces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <zlib.h>

#include "node/cli/swf_events.h"

static const char *why;

static void test_a_job_line_has_eighteen_columns(void **state)
{
    struct td_swf_job job = {0};

    (void)state;
    assert_int_equal(
        td_swf_parse_line("  7 100 5 60.5 4 -1 -1 -1 1200 -1 1 3 1 -1 2 9 -1 -1\r\n", &job, &why),
        TD_SWF_LINE_JOB);
    assert_int_equal(job.number, 7);
    assert_int_equal(job.submit_s, 100);
    assert_int_equal(job.wait_s, 5);
    assert_int_equal(job.run_s, 60);
    assert_int_equal(job.processors, 4);
    assert_int_equal(job.status, TD_SWF_COMPLETED);
    assert_int_equal(job.user, 3);
    assert_int_equal(job.queue, 2);
    assert_int_equal(job.partition, 9);
}

static void test_minus_one_stays_unknown(void **state)
{
    struct td_swf_job job = {0};

    (void)state;
    assert_int_equal(
        td_swf_parse_line("1 0 -1 83 1 -1 -1 -1 1200 -1 -1 1 1 -1 -1 -1 -1 -1", &job, &why),
        TD_SWF_LINE_JOB);
    assert_int_equal(job.wait_s, -1);
    assert_int_equal(job.status, TD_SWF_UNKNOWN);
    assert_int_equal(job.partition, -1);
}

static void test_comments_and_blank_lines_are_not_jobs(void **state)
{
    struct td_swf_job job = {0};

    (void)state;
    assert_int_equal(td_swf_parse_line("; MaxJobs: 3\n", &job, &why), TD_SWF_LINE_COMMENT);
    assert_int_equal(td_swf_parse_line(" ;\n", &job, &why), TD_SWF_LINE_COMMENT);
    assert_int_equal(td_swf_parse_line("\n", &job, &why), TD_SWF_LINE_BLANK);
    assert_int_equal(td_swf_parse_line(" \t\r\n", &job, &why), TD_SWF_LINE_BLANK);
}

static void test_bad_lines_are_refused_with_the_reason(void **state)
{
    static const struct {
        const char *line, *says;
    } rows[] = {
        {"1 2 3", "fewer than 18"},
        {"1 0 -1 83 1 -1 -1 -1 1200 -1 -1 1 1 -1 -1 1 -1", "fewer than 18"},
        {"1 0 -1 83 1 -1 -1 -1 1200 -1 -1 1 1 -1 -1 1 -1 -1 9", "more than 18"},
        {"1 0 -1 x 1 -1 -1 -1 1200 -1 -1 1 1 -1 -1 1 -1 -1", "not a number"},
        {"1 0 -1 8x 1 -1 -1 -1 1200 -1 -1 1 1 -1 -1 1 -1 -1", "not a number"},
        {"1 0 -1 nan 1 -1 -1 -1 1200 -1 -1 1 1 -1 -1 1 -1 -1", "not a number"},
        {"1 0 -1 1e300 1 -1 -1 -1 1200 -1 -1 1 1 -1 -1 1 -1 -1", "not a number"},
        {"-1 0 -1 8 1 -1 -1 -1 1200 -1 -1 1 1 -1 -1 1 -1 -1", "job number"},
        {"1.5 0 -1 8 1 -1 -1 -1 1200 -1 -1 1 1 -1 -1 1 -1 -1", "job number"},
        {"4294967296 0 -1 8 1 -1 -1 -1 1200 -1 -1 1 1 -1 -1 1 -1 -1", "job number"},
        {"1 -1 -1 8 1 -1 -1 -1 1200 -1 -1 1 1 -1 -1 1 -1 -1", "submit time"},
        {"1 0 -1 8 1 -1 -1 -1 1200 -1 6 1 1 -1 -1 1 -1 -1", "status"},
        {"1 0 -1 8 1 -1 -1 -1 1200 -1 -1 1 1 -1 -1 9999999999 -1 -1", "out of range"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct td_swf_job job = {.number = 77};
        assert_int_equal(td_swf_parse_line(rows[i].line, &job, &why), TD_SWF_LINE_BAD);
        if (strstr(why, rows[i].says) == NULL) {
            fail_msg("`%s` says `%s`", rows[i].line, why);
        }
        assert_int_equal(job.number, 77);
    }
}

/* ---- files ---- */

static char path[64];

static void write_trace(const char *text, bool zipped)
{
    snprintf(path, sizeof path, "/tmp/swf_test_XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    if (zipped) {
        gzFile file = gzdopen(fd, "wb");
        assert_int_equal(gzputs(file, text), (int)strlen(text));
        assert_int_equal(gzclose(file), Z_OK);
        return;
    }
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

#define REST " 1 -1 -1 -1 -1 -1 "
#define TAIL " 1 1 -1 -1 2 -1 -1\n"

static void test_plain_and_gzip_files_load_alike(void **state)
{
    static const char text[] = "; Version: 2.2\n1 0 5 60" REST "1" TAIL "\n2 1 -1 -1" REST "0" TAIL;

    (void)state;
    for (int zipped = 0; zipped <= 1; zipped++) {
        struct td_swf_trace trace = {0};
        char error[256] = "";
        write_trace(text, zipped != 0);
        assert_int_equal(td_swf_load(path, 0, &trace, error, sizeof error), TD_OK);
        unlink(path);
        assert_int_equal(trace.job_count, 2);
        assert_int_equal(trace.jobs[1].status, TD_SWF_FAILED);
        td_swf_free(&trace);
    }
}

static void test_the_limit_ends_the_reading(void **state)
{
    struct td_swf_trace trace = {0};
    char error[256] = "";

    (void)state;
    write_trace("1 0 5 60" REST "1" TAIL "2 1 5 60" REST "1" TAIL "this is not a line\n", false);
    assert_int_equal(td_swf_load(path, 1, &trace, error, sizeof error), TD_OK);
    assert_int_equal(trace.job_count, 1);
    td_swf_free(&trace);
    assert_int_equal(td_swf_load(path, 0, &trace, error, sizeof error), TD_EUSAGE);
    assert_non_null(strstr(error, "line 3"));
    unlink(path);
}

static void test_a_missing_an_empty_and_a_broken_file_are_named(void **state)
{
    struct td_swf_trace trace = {0};
    char error[256] = "";

    (void)state;
    assert_int_equal(td_swf_load("/nonexistent/trace.swf", 0, &trace, error, sizeof error), TD_EIO);
    assert_non_null(strstr(error, "/nonexistent/trace.swf"));
    write_trace("; nothing\n", false);
    assert_int_equal(td_swf_load(path, 0, &trace, error, sizeof error), TD_EUSAGE);
    assert_non_null(strstr(error, "no jobs"));
    unlink(path);
    write_trace("1 0 5 60" REST "1" TAIL "1 9 5 60" REST "1" TAIL, false);
    assert_int_equal(td_swf_load(path, 0, &trace, error, sizeof error), TD_EUSAGE);
    assert_non_null(strstr(error, "twice"));
    unlink(path);
}

static void test_more_jobs_than_the_first_block_are_all_found_again(void **state)
{
    enum { COUNT = 20000, LINE = 64 };
    char *text = malloc(COUNT * LINE + 1);
    struct td_swf_trace trace = {0};
    char error[256] = "";
    size_t used = 0;

    (void)state;
    assert_non_null(text);
    for (unsigned i = 0; i < COUNT; i++) {
        used += (size_t)snprintf(text + used, LINE, "%u %u 5 60" REST "1" TAIL, i * 7919, i);
    }
    write_trace(text, true);
    assert_int_equal(td_swf_load(path, 0, &trace, error, sizeof error), TD_OK);
    unlink(path);
    assert_int_equal(trace.job_count, COUNT);
    assert_int_equal(trace.jobs[COUNT - 1].number, (COUNT - 1) * 7919);
    td_swf_free(&trace);
    free(text);
}

static void test_parts_of_a_checkpointed_job_are_one_job(void **state)
{
    struct td_swf_trace trace = {0};
    char error[256] = "";

    (void)state;
    /* 1: summary, then its parts. 2: parts only; ends at 300 + 10 + 40. */
    write_trace("1 0 5 60" REST "1" TAIL "1 0 5 20" REST "2" TAIL "1 30 5 20" REST "4" TAIL
                "2 100 10 50" REST "2" TAIL "2 300 10 40" REST "3" TAIL,
                false);
    assert_int_equal(td_swf_load(path, 0, &trace, error, sizeof error), TD_OK);
    unlink(path);
    assert_int_equal(trace.job_count, 2);
    assert_int_equal(trace.parts_merged, 3);
    assert_int_equal(trace.jobs[0].status, TD_SWF_COMPLETED);
    assert_int_equal(trace.jobs[0].run_s, 60);
    assert_int_equal(trace.jobs[1].status, TD_SWF_LAST_PARTIAL);
    assert_int_equal(trace.jobs[1].run_s, 350 - 110);
    td_swf_free(&trace);
}

/* ---- time lines ---- */

static void test_status_column_decides_the_outcome(void **state)
{
    static const struct {
        int32_t status;
        enum td_state outcome;
        bool told;
    } rows[] = {
        {-1, TD_STATE_COMPLETED, false}, {0, TD_STATE_FAILED, true},
        {1, TD_STATE_COMPLETED, true},   {2, TD_STATE_RUNNING, true},
        {3, TD_STATE_COMPLETED, true},   {4, TD_STATE_FAILED, true},
        {5, TD_STATE_STOPPED, true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct td_swf_job job = {.status = rows[i].status};
        bool told = !rows[i].told;
        assert_int_equal(td_swf_outcome(&job, &told), rows[i].outcome);
        assert_int_equal(told, rows[i].told);
    }
}

static void test_events_of_all_jobs_come_in_the_order_of_time(void **state)
{
    struct td_swf_job jobs[] = {
        {.number = 1, .submit_s = 100, .wait_s = 10, .run_s = 1000, .status = 1},
        {.number = 2, .submit_s = 0, .wait_s = -1, .run_s = 5, .status = -1},
        {.number = 3, .submit_s = 120, .wait_s = -1, .run_s = -1, .status = 5},
    };
    static const struct td_swf_event expected[] = {
        {0, 1, TD_SWF_SUBMIT},  {0, 1, TD_SWF_START},
        {5, 1, TD_SWF_END},     {100, 0, TD_SWF_SUBMIT},
        {110, 0, TD_SWF_START}, {120, 2, TD_SWF_SUBMIT},
        {120, 2, TD_SWF_END},   {360, 0, TD_SWF_QUARTER},
        {610, 0, TD_SWF_HALF},  {860, 0, TD_SWF_THREE_QUARTERS},
        {1110, 0, TD_SWF_END},
    };
    struct td_swf_trace trace = {.jobs = jobs, .job_count = 3};
    size_t count = 0;

    (void)state;
    struct td_swf_event *events = td_swf_events(&trace, &count);
    assert_non_null(events);
    assert_int_equal(count, sizeof expected / sizeof expected[0]);
    assert_memory_equal(events, expected, sizeof expected);
    free(events);
}

static void test_an_unfinished_job_has_no_end(void **state)
{
    struct td_swf_job job = {
        .number = 1, .submit_s = 0, .wait_s = 1, .run_s = 10, .status = TD_SWF_PARTIAL};
    struct td_swf_trace trace = {.jobs = &job, .job_count = 1};
    size_t count = 0;

    (void)state;
    struct td_swf_event *events = td_swf_events(&trace, &count);
    assert_non_null(events);
    assert_int_equal(count, 2);
    assert_int_equal(events[1].step, TD_SWF_START);
    free(events);
}

static void test_steps_report_state_and_progress(void **state)
{
    struct td_swf_job job = {.status = 0};
    uint16_t progress = 1;

    (void)state;
    assert_int_equal(td_swf_step_state(&job, TD_SWF_SUBMIT, &progress), TD_STATE_PENDING);
    assert_int_equal(progress, 0);
    assert_int_equal(td_swf_step_state(&job, TD_SWF_THREE_QUARTERS, &progress), TD_STATE_RUNNING);
    assert_int_equal(progress, 7500);
    assert_int_equal(td_swf_step_state(&job, TD_SWF_END, &progress), TD_STATE_FAILED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_job_line_has_eighteen_columns),
        cmocka_unit_test(test_minus_one_stays_unknown),
        cmocka_unit_test(test_comments_and_blank_lines_are_not_jobs),
        cmocka_unit_test(test_bad_lines_are_refused_with_the_reason),
        cmocka_unit_test(test_plain_and_gzip_files_load_alike),
        cmocka_unit_test(test_the_limit_ends_the_reading),
        cmocka_unit_test(test_a_missing_an_empty_and_a_broken_file_are_named),
        cmocka_unit_test(test_more_jobs_than_the_first_block_are_all_found_again),
        cmocka_unit_test(test_parts_of_a_checkpointed_job_are_one_job),
        cmocka_unit_test(test_status_column_decides_the_outcome),
        cmocka_unit_test(test_events_of_all_jobs_come_in_the_order_of_time),
        cmocka_unit_test(test_an_unfinished_job_has_no_end),
        cmocka_unit_test(test_steps_report_state_and_progress),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
