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
static void add_answer(struct td_http_request *request, struct page *page,
                       const struct td_response *response)
{
    struct td_json_options options = td_http_json_options(request);
    json_t *body = td_json_list(response, &options);
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
        ok = td_http_ask_ok(request, &ask, &answer);
        if (ok) {
            add_answer(request, page, &answer.response);
        }
    }
    if (ok) {
        td_http_reply_json(request, 200, page->body, &answer.response);
    } else {
        json_decref(page->body);
    }
    td_call_release(&answer);
}

static void get_jobs(struct td_http_request *request, bool conflicts)
{
    struct td_filter filter;
    struct page page = {.left = LIMIT_DEFAULT};
    bool valid = td_param_uint(&request->params, TD_PARAM_limit, TD_LIST_LIMIT_MAX, &page.left) &&
                 td_param_uint(&request->params, TD_PARAM_cursor, UINT32_MAX, &page.cursor) &&
                 page.left > 0;
    if (!valid) {
        td_http_reply_problem(request, TD_EQUERY,
                              "limit: 1 to 1000; cursor: exactly as next_cursor gave it");
    } else if (td_http_filter(request, &filter)) {
        filter.conflicts = filter.conflicts || conflicts;
        reply_page(request, &filter, &page);
    }
}

void td_http_get_jobs(struct td_http_request *request)
{
    get_jobs(request, false);
}

/* The jobs whose status beat a report that its writer had not seen: each one's versions are in
 * explain. */
void td_http_get_conflicts(struct td_http_request *request)
{
    get_jobs(request, true);
}
