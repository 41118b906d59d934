/* jobs.c -- pages of jobs. The node looks at a bounded number of registers for one answer; a page
 * is made of as many answers as it takes, up to a bound, so that a rare filter does not cost a
 * request each. */
#include <stdio.h>
#include <stdlib.h>

#include "node/http/internal.h"

enum { LIMIT_DEFAULT = 100, ASKS_MAX = 64 };

struct page {
    json_t *body; /* of the first answer; further jobs are added */
    uint64_t left, cursor;
};

/* The envelope is the first answer's, cursor and freshness the last one's, as on the command line.
 */
static void add_answer(struct page *page, const struct td_response *response)
{
    json_t *body = td_json_list(response, NULL);
    uint32_t count = response->u.registers.count;
    page->left -= count < page->left ? count : page->left;
    page->cursor = response->u.registers.next_cursor;
    if (page->body == NULL) {
        page->body = body;
        return;
    }
    (void)json_array_extend(json_object_get(page->body, "jobs"), json_object_get(body, "jobs"));
    (void)json_object_set(page->body, "next_cursor", json_object_get(body, "next_cursor"));
    (void)json_object_set(page->body, "freshness", json_object_get(body, "freshness"));
    json_decref(body);
}

static void reply_page(struct td_http_request *request, const struct td_filter *filter,
                       struct page *page)
{
    struct td_call_result answer = {0};
    bool ok = true;
    for (int i = 0;
         ok && i < ASKS_MAX && page->left > 0 && (page->body == NULL || page->cursor != 0); i++) {
        struct td_request ask = {
            .op = TD_OP_LIST,
            .u.list = {.filter = *filter, .limit = (uint32_t)page->left, .cursor = page->cursor}};
        td_call_release(&answer);
        uint64_t begun_us = td_pace_turn(&request->http->pace);
        ok = td_http_ask_ok(request, &ask, &answer);
        if (ok) {
            add_answer(page, &answer.response);
        }
        td_pace_done(&request->http->pace, begun_us);
    }
    if (ok) {
        uint64_t begun_us = td_http_now_us();
        td_http_reply_json(request, 200, page->body, &answer.response);
        td_pace_done(&request->http->pace, begun_us);
    } else {
        json_decref(page->body);
    }
    td_call_release(&answer);
}

/* Limit and cursor. False: a problem was replied. */
static bool take_page(struct td_http_request *request, uint64_t limit_max, struct page *page)
{
    bool valid = td_param_uint(&request->params, TD_PARAM_limit, limit_max, &page->left) &&
                 td_param_uint(&request->params, TD_PARAM_cursor, UINT32_MAX, &page->cursor) &&
                 page->left > 0;
    if (!valid) {
        td_http_reply_problem(request, TD_EQUERY,
                              limit_max == TD_LIST_LIMIT_MAX
                                  ? "limit: 1 to 1000; cursor: exactly as next_cursor gave it"
                                  : "limit: 1 to 100");
    }
    return valid;
}

void td_http_get_jobs(struct td_http_request *request)
{
    struct td_filter filter;
    struct page page = {.left = LIMIT_DEFAULT};
    if (take_page(request, TD_LIST_LIMIT_MAX, &page) && td_http_filter(request, &filter)) {
        reply_page(request, &filter, &page);
    }
}

/* ---- conflicts ---- */

/* What was listed a moment ago may have gone or changed: then there is nothing to show. */
static bool add_conflict(struct td_http_request *request, json_t *list,
                         const struct td_register_view *listed)
{
    struct td_call_result answer;
    struct td_request ask = {.op = TD_OP_EXPLAIN,
                             .u.get = {.job = listed->job, .attempt = listed->attempt}};
    uint64_t begun_us = td_pace_turn(&request->http->pace);
    bool ok = td_http_ask(request, &ask, &answer);
    if (ok && answer.response.err == TD_OK && answer.response.u.explain.count > 0) {
        (void)json_array_append_new(list, td_json_conflict(&answer.response, NULL));
    }
    td_pace_done(&request->http->pace, begun_us);
    td_call_release(&answer);
    return ok;
}

static bool add_conflicts(struct td_http_request *request, const struct td_filter *filter,
                          struct page *page, json_t *list)
{
    bool ok = true;
    for (int i = 0; ok && i < ASKS_MAX && page->left > 0 && (i == 0 || page->cursor != 0); i++) {
        struct td_call_result answer;
        struct td_request ask = {
            .op = TD_OP_LIST,
            .u.list = {.filter = *filter, .limit = (uint32_t)page->left, .cursor = page->cursor}};
        uint64_t begun_us = td_pace_turn(&request->http->pace);
        ok = td_http_ask_ok(request, &ask, &answer);
        td_pace_done(&request->http->pace, begun_us);
        for (uint32_t k = 0; ok && k < answer.response.u.registers.count && page->left > 0; k++) {
            ok = add_conflict(request, list, &answer.response.u.registers.registers[k]);
            page->left--;
        }
        page->cursor = ok ? answer.response.u.registers.next_cursor : 0;
        td_call_release(&answer);
    }
    return ok;
}

/* Jobs whose status beat a report that its writer had not seen, each with its versions, and alarms.
 */
void td_http_get_conflicts(struct td_http_request *request)
{
    struct td_filter filter;
    struct td_call_result status = {0};
    struct td_request ask = {.op = TD_OP_STATUS};
    struct page page = {.left = LIMIT_DEFAULT};
    if (take_page(request, LIMIT_DEFAULT, &page) && td_http_filter(request, &filter) &&
        td_http_ask_ok(request, &ask, &status)) {
        json_t *list = json_array();
        filter.conflicts = true;
        if (add_conflicts(request, &filter, &page, list)) {
            td_http_reply_json(request, 200,
                               td_json_conflicts(&status.response, list, page.cursor != 0, NULL),
                               &status.response);
        } else {
            json_decref(list);
        }
    }
    td_call_release(&status);
}
