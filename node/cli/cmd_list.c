/* cmd_list.c -- list: pages of registers, streamed where the form allows it. */
#include <stdlib.h>
#include <string.h>

#include "node/cli/cli.h"
#include "node/cli/jobs.h"
#include "node/client/json.h"
#include "proto/order.h"

/* Pages are let go as soon as they are printed; with --sort all are kept until the end. */
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
/* Where lines go. -o json is one body, written piece by piece: a list may be larger than memory. */
struct sink {
    struct td_cli *cli;
    struct td_table *table; /* NULL for json and jsonl */
    uint64_t count;
    uint64_t silent, unheard; /* of them: promised a report, and none came, or nobody can know */
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
    struct td_request request = {
        .op = TD_OP_LIST, .u.list = {.filter = *filter, .limit = limit, .cursor = pages->cursor}};
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
    uint32_t count =
        a->view->job.count < b->view->job.count ? a->view->job.count : b->view->job.count;
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

/* The body without its jobs, cut at the place where they go. malloc'ed; NULL when out of memory. */
static char *empty_body(const struct td_response *response, size_t *ret_jobs_at)
{
    static const char marker[] = "\"jobs\":[";
    struct td_response empty = *response;

    empty.u.registers.count = 0;
    char *text = td_json_text(td_json_list(&empty, NULL));
    char *at = text == NULL ? NULL : strstr(text, marker);
    if (at == NULL) {
        free(text);
        return NULL;
    }
    *ret_jobs_at = (size_t)(at - text) + strlen(marker);
    return text;
}

static int sink_open(struct sink *sink)
{
    if (td_cli_json(sink->cli)) {
        return 0;
    }
    sink->table = td_job_table(sink->cli);
    return sink->table != NULL ? 0
                               : td_cli_fail(sink->cli, TD_ENOMEM, "%s", td_err_text(TD_ENOMEM));
}

/* Everything before the first job comes from the first page. */
static void sink_begin_json(const struct td_response *response)
{
    size_t jobs_at = 0;
    char *text = empty_body(response, &jobs_at);

    if (text != NULL) {
        fwrite(text, 1, jobs_at, stdout);
    }
    free(text);
}

static void sink_line(struct sink *sink, const struct line *line)
{
    char *text = NULL;

    const char *silence = td_silence_word(line->response, line->view);
    sink->count++;
    sink->silent += silence != NULL && strcmp(silence, "no_report") == 0;
    sink->unheard += silence != NULL && strcmp(silence, "no_report") != 0;
    if (sink->table != NULL) {
        td_job_row(sink->cli, sink->table, line->response, line->view);
        return;
    }
    text = td_json_text(td_json_job(line->response, line->view));
    if (sink->cli->form == TD_FORM_JSON && sink->count > 1) {
        putchar(',');
    }
    if (text != NULL) {
        fputs(text, stdout);
    }
    if (sink->cli->form == TD_FORM_JSONL) {
        putchar('\n');
    }
    free(text);
}

/* Cursor and freshness come from the last page. */
static void sink_end(struct sink *sink, const struct td_response *last, uint64_t cursor)
{
    char fresh[1024];

    if (sink->cli->form == TD_FORM_JSON) {
        size_t jobs_at = 0;
        char *text = empty_body(last, &jobs_at);
        puts(text == NULL ? "]}" : text + jobs_at);
        free(text);
    }
    if (sink->table == NULL || sink->cli->form == TD_FORM_PLAIN) {
        return;
    }
    td_table_print(sink->table);
    td_fresh_text(sink->cli, last, fresh, sizeof fresh);
    printf("%s", td_cli_plural(sink->count, "job", "jobs"));
    if (sink->silent + sink->unheard > 0) {
        printf(", %llu silent, %llu whose region is not heard", (unsigned long long)sink->silent,
               (unsigned long long)sink->unheard);
    }
    printf(". %s\n", fresh);
    if (cursor != 0) {
        printf("More: --cursor %llu\n", (unsigned long long)cursor);
    }
}

static int print_pages(struct sink *sink, const struct pages *pages)
{
    size_t count = line_count(pages);
    struct line *lines = sorted_lines(sink->cli, pages, count);

    if (lines == NULL && count > 0) {
        return td_cli_fail(sink->cli, TD_ENOMEM, "%s", td_err_text(TD_ENOMEM));
    }
    for (size_t i = 0; i < count; i++) {
        sink_line(sink, &lines[i]);
    }
    free(lines);
    return 0;
}

/* Leaves the newest page in place: its envelope ends the answer. */
static void release_older(struct pages *pages)
{
    struct td_call_result last = pages->results[pages->count - 1];

    for (size_t i = 0; i + 1 < pages->count; i++) {
        td_call_release(&pages->results[i]);
    }
    pages->results[0] = last;
    pages->count = 1;
}

static int list_all(struct sink *sink, const struct td_filter *filter, struct pages *pages)
{
    bool sorts = td_args_has(sink->cli->args, TD_FLAG_SORT);
    bool more = true;

    for (bool first = true; more; first = false) {
        int code = fetch(sink->cli, filter, pages);
        if (code != 0) {
            return code;
        }
        if (first && sink->cli->form == TD_FORM_JSON) {
            sink_begin_json(&pages->results[0].response);
        }
        more = pages->cursor != 0 && pages->left > 0 && ferror(stdout) == 0;
        if (sorts && more) {
            continue;
        }
        if (!sorts && !first) {
            release_older(pages);
        }
        code = print_pages(sink, pages);
        if (code != 0) {
            return code;
        }
    }
    const struct td_response *last = &pages->results[pages->count - 1].response;
    sink_end(sink, last, pages->cursor);
    return td_cli_check_stale(sink->cli, last);
}

int td_cmd_list(struct td_cli *cli)
{
    struct td_call_result names;
    struct td_filter filter;
    struct sink sink = {.cli = cli};
    struct pages pages = {.left = td_args_uint(cli->args, TD_FLAG_LIMIT, UINT64_MAX)};
    const char *cursor = td_args_text(cli->args, TD_FLAG_CURSOR);
    char *end = NULL;

    if (cursor != NULL) {
        pages.cursor = strtoull(cursor, &end, 10);
        if (*end != '\0' || pages.cursor == 0) {
            return td_cli_fail(cli, TD_EUSAGE, "--cursor `%s`: pass it exactly as it was printed",
                               td_cli_shown(td_text_of(cursor)));
        }
    }
    int code = td_job_names(cli, &names);
    if (code == 0) {
        code = td_job_filter(cli, &names.response, &filter);
    }
    if (code == 0) {
        code = sink_open(&sink);
    }
    if (code == 0) {
        code = list_all(&sink, &filter, &pages);
    }
    td_table_free(sink.table);
    release_pages(&pages);
    td_call_release(&names);
    return code;
}
