/* cmd_list.c -- list: pages of registers, streamed where the form allows it. */
#include <stdlib.h>
#include <string.h>

#include "node/cli/cli.h"
#include "node/cli/jobs.h"
#include "node/client/json.h"
#include "proto/order.h"

/* All pages of one answer; kept until the end because lines may be sorted. */
struct pages {
    struct td_call_result *results;
    size_t count, max;
    uint64_t left;   /* lines still wanted */
    uint64_t cursor; /* of the next page; 0 = end */
};
struct line {
    const struct td_response *response;
    const struct td_register_view *view;
};

static struct td_call_result *next_slot(struct pages *pages)
{
    if (pages->count == pages->max) {
        size_t max = pages->max == 0 ? 16 : pages->max * 2;
        struct td_call_result *results = realloc(pages->results, max * sizeof *results);
        if (results == NULL) {
            return NULL;
        }
        pages->results = results;
        pages->max = max;
    }
    return &pages->results[pages->count];
}

/* Only this page when it was printed already. */
static void release_pages(struct pages *pages)
{
    for (size_t i = 0; i < pages->count; i++) {
        td_call_release(&pages->results[i]);
    }
    free(pages->results);
    pages->results = NULL;
    pages->count = pages->max = 0;
}

static int fetch(struct td_cli *cli, const struct td_filter *filter, struct pages *pages)
{
    uint32_t limit = pages->left < TD_LIST_LIMIT_MAX ? (uint32_t)pages->left : TD_LIST_LIMIT_MAX;
    struct td_request request = {.op = TD_OP_LIST,
                                 .u.list = {.filter = *filter, .limit = limit, .cursor = pages->cursor}};
    struct td_call_result *result = next_slot(pages);

    if (result == NULL) {
        return td_cli_fail(cli, TD_ENOMEM, "%s", td_err_text(TD_ENOMEM));
    }
    if (td_args_has(cli->args, TD_FLAG_AFTER)) {
        request.timeout_ms = td_cli_timeout_ms(cli, 10000);
    }
    int code = td_cli_call(cli, &request, NULL, result);
    pages->count++;
    if (code != 0) {
        return code;
    }
    uint32_t got = result->response.u.registers.count;
    pages->left -= got < pages->left ? got : pages->left;
    pages->cursor = result->response.u.registers.next_cursor;
    return 0;
}

static int compare_job(const struct line *a, const struct line *b)
{
    uint32_t count = a->view->job.count < b->view->job.count ? a->view->job.count : b->view->job.count;
    int order = count == 0 ? 0 : memcmp(a->view->job.bytes, b->view->job.bytes, count);

    if (order != 0 || a->view->job.count != b->view->job.count) {
        return order != 0 ? order : (a->view->job.count < b->view->job.count ? -1 : 1);
    }
    return (a->view->attempt > b->view->attempt) - (a->view->attempt < b->view->attempt);
}

static int by_job(const void *a, const void *b)
{
    return compare_job(a, b);
}

static int by_state(const void *a, const void *b)
{
    const struct line *left = a;
    const struct line *right = b;
    int order = (int)left->view->status.state - (int)right->view->status.state;
    return order != 0 ? order : compare_job(left, right);
}

static int by_since(const void *a, const void *b)
{
    uint64_t left_ms = td_job_since_ms(((const struct line *)a)->view);
    uint64_t right_ms = td_job_since_ms(((const struct line *)b)->view);
    return left_ms != right_ms ? (left_ms < right_ms ? -1 : 1) : compare_job(a, b);
}

static size_t line_count(const struct pages *pages)
{
    size_t count = 0;

    for (size_t i = 0; i < pages->count; i++) {
        count += pages->results[i].response.u.registers.count;
    }
    return count;
}

/* malloc'ed; NULL when there are no lines or no memory. */
static struct line *sorted_lines(const struct td_cli *cli, const struct pages *pages, size_t count)
{
    struct line *lines = count == 0 ? NULL : malloc(count * sizeof *lines);
    size_t at = 0;

    for (size_t i = 0; lines != NULL && i < pages->count; i++) {
        const struct td_response *response = &pages->results[i].response;
        for (uint32_t j = 0; j < response->u.registers.count; j++) {
            lines[at++] = (struct line){response, &response->u.registers.registers[j]};
        }
    }
    if (lines != NULL && td_args_has(cli->args, TD_FLAG_SORT)) {
        qsort(lines, count, sizeof *lines,
              td_args_is(cli->args, TD_FLAG_SORT, "job")     ? by_job
              : td_args_is(cli->args, TD_FLAG_SORT, "state") ? by_state
                                                             : by_since);
    }
    return lines;
}

static int print_json_body(struct td_cli *cli, const struct pages *pages, const struct line *lines, size_t count)
{
    const struct td_response *last = &pages->results[pages->count - 1].response;

    if (pages->count == 1 && !td_args_has(cli->args, TD_FLAG_SORT)) {
        return td_cli_print_json(cli, td_json_list(last, NULL));
    }
    /* Several pages in one body: the last page's envelope around the jobs of all. */
    json_t *body = td_json_list(last, NULL);
    json_t *jobs = json_array();
    for (size_t i = 0; i < count; i++) {
        json_array_append_new(jobs, td_json_job(lines[i].response, lines[i].view));
    }
    if (body != NULL) {
        json_object_set(body, "jobs", jobs);
    }
    json_decref(jobs);
    return td_cli_print_json(cli, body);
}

static int print_rows(struct td_cli *cli, const struct pages *pages, const struct line *lines, size_t count)
{
    struct td_table *table = td_job_table(cli);

    if (table == NULL) {
        return td_cli_fail(cli, TD_ENOMEM, "%s", td_err_text(TD_ENOMEM));
    }
    for (size_t i = 0; i < count; i++) {
        td_job_row(cli, table, lines[i].response, lines[i].view);
    }
    td_table_print(table);
    td_table_free(table);
    if (cli->form != TD_FORM_PLAIN) {
        char fresh[1024];
        td_fresh_text(cli, &pages->results[pages->count - 1].response, fresh, sizeof fresh);
        printf("%s. %s\n", td_cli_plural(count, "job", "jobs"), fresh);
        if (pages->cursor != 0) {
            printf("More: --cursor %llu\n", (unsigned long long)pages->cursor);
        }
    }
    return 0;
}

static int print_pages(struct td_cli *cli, const struct pages *pages)
{
    size_t count = line_count(pages);
    struct line *lines = sorted_lines(cli, pages, count);
    int code = 0;

    if (lines == NULL && count > 0) {
        return td_cli_fail(cli, TD_ENOMEM, "%s", td_err_text(TD_ENOMEM));
    }
    if (cli->form == TD_FORM_JSON) {
        code = print_json_body(cli, pages, lines, count);
    } else if (cli->form == TD_FORM_JSONL) {
        for (size_t i = 0; i < count && code == 0; i++) {
            code = td_cli_print_json(cli, td_json_job(lines[i].response, lines[i].view));
        }
    } else {
        code = print_rows(cli, pages, lines, count);
    }
    free(lines);
    return code;
}

static bool streams(const struct td_cli *cli)
{
    return !td_args_has(cli->args, TD_FLAG_SORT) && (cli->form == TD_FORM_PLAIN || cli->form == TD_FORM_JSONL);
}

static int list_all(struct td_cli *cli, const struct td_filter *filter, struct pages *pages)
{
    int code = 0;
    int stale = 0;

    do {
        code = fetch(cli, filter, pages);
        if (code == 0 && streams(cli)) {
            code = print_pages(cli, pages);
            stale = td_cli_check_stale(cli, &pages->results[pages->count - 1].response);
            release_pages(pages);
        }
    } while (code == 0 && pages->cursor != 0 && pages->left > 0);
    if (code == 0 && !streams(cli)) {
        code = print_pages(cli, pages);
        stale = td_cli_check_stale(cli, &pages->results[pages->count - 1].response);
    }
    return code != 0 ? code : stale;
}

int td_cmd_list(struct td_cli *cli)
{
    struct td_call_result names;
    struct td_filter filter;
    struct pages pages = {.left = td_args_uint(cli->args, TD_FLAG_LIMIT, UINT64_MAX)};
    const char *cursor = td_args_text(cli->args, TD_FLAG_CURSOR);
    char *end = NULL;

    if (cursor != NULL) {
        pages.cursor = strtoull(cursor, &end, 10);
        if (*end != '\0' || pages.cursor == 0) {
            return td_cli_fail(cli, TD_EUSAGE, "--cursor `%s`: pass it exactly as it was printed", td_cli_shown(td_text_of(cursor)));
        }
    }
    int code = td_job_names(cli, &names);
    if (code == 0) {
        code = td_job_filter(cli, &names.response, &filter);
    }
    if (code == 0) {
        code = list_all(cli, &filter, &pages);
    }
    release_pages(&pages);
    td_call_release(&names);
    return code;
}
