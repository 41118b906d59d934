/* page.c -- the page at /, one embedded file, with what must be in it without JavaScript put in its
 * places. Everything that came from elsewhere is escaped. */
#include "node/http/page.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/client/sentences.h"
#include "node/client/text.h"
#include "node/http/embedded.h"

enum { PAGE_BYTES_MAX = 1024 * 1024, JOBS_SHOWN = 50 };

/* What a page is made of. */
struct page {
    const struct td_response *status, *jobs;
};

static void add_bytes(struct td_buffer *out, const char *text, size_t count)
{
    bool fits = td_buffer_append(out, (struct td_bytes){(const uint8_t *)text, count});
    (void)fits; /* see page.h */
}

void td_page_add(struct td_buffer *out, const char *text)
{
    add_bytes(out, text, strlen(text));
}

void td_page_add_text(struct td_buffer *out, struct td_text text)
{
    char *shown = td_text_escape_alloc(text);
    for (const char *at = shown != NULL ? shown : ""; *at != '\0'; at++) {
        char one[2] = {*at, '\0'};
        td_page_add(out, *at == '<'    ? "&lt;"
                         : *at == '>'  ? "&gt;"
                         : *at == '&'  ? "&amp;"
                         : *at == '"'  ? "&quot;"
                         : *at == '\'' ? "&#39;"
                                       : one);
    }
    free(shown);
}

static bool any_stale(const struct page *page)
{
    for (uint32_t i = 0; i < page->status->freshness_count; i++) {
        const struct td_fresh_view *view = &page->status->freshness[i];
        if (!view->age_known || view->age_ms > td_stale_ms(page->status)) {
            return true;
        }
    }
    return false;
}

static void add_now(struct td_buffer *out, const struct page *page)
{
    char text[64];
    td_page_add(out, td_time_format(page->status->now_ms, text) ? text : "");
}

static void add_verdict(struct td_buffer *out, const struct page *page)
{
    char text[4096];
    td_fresh_sentence(page->status, text, sizeof text);
    td_page_add(out, any_stale(page) || !page->status->certain ? "Not fully. " : "Yes: ");
    td_page_add_text(out, td_text_of(text));
}

static void add_node(struct td_buffer *out, const struct page *page)
{
    td_page_add_text(out, page->status->node_name);
}

static void add_stale_ms(struct td_buffer *out, const struct page *page)
{
    char number[32];
    (void)snprintf(number, sizeof number, "%llu", (unsigned long long)td_stale_ms(page->status));
    td_page_add(out, number);
}

static void add_regions(struct td_buffer *out, const struct page *page)
{
    td_page_regions(out, page->status);
}

static void add_peers(struct td_buffer *out, const struct page *page)
{
    td_page_peers(out, page->status);
}

static void add_mesh(struct td_buffer *out, const struct page *page)
{
    td_page_mesh(out, page->status);
}

static void add_jobs(struct td_buffer *out, const struct page *page)
{
    td_page_jobs(out, page->jobs);
}

/* The places in the file: <!--node--> and so on. */
static void add_place(struct td_buffer *out, const char *name, size_t count,
                      const struct page *page)
{
    static const struct {
        const char *name;
        void (*add)(struct td_buffer *out, const struct page *page);
    } places[] = {{"node", add_node},       {"now", add_now},         {"stale-ms", add_stale_ms},
                  {"verdict", add_verdict}, {"regions", add_regions}, {"peers", add_peers},
                  {"mesh", add_mesh},       {"jobs", add_jobs}};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        if (count == strlen(places[i].name) && memcmp(name, places[i].name, count) == 0) {
            places[i].add(out, page);
        }
    }
}

static void add_page(struct td_buffer *out, const struct page *page)
{
    static const char begin[] = "<!--";
    const char *at = (const char *)td_page_html;
    const char *end = at + td_page_html_count;
    while (at < end) {
        const char *place = memmem(at, (size_t)(end - at), begin, sizeof begin - 1);
        const char *close = place != NULL ? memmem(place, (size_t)(end - place), "-->", 3) : NULL;
        const char *stop = close != NULL ? place : end;
        add_bytes(out, at, (size_t)(stop - at));
        if (close == NULL) {
            return;
        }
        const char *name = place + sizeof begin - 1;
        add_place(out, name, (size_t)(close - name), page);
        at = close + 3;
    }
}

static void reply(struct td_http_request *request, const struct page *page)
{
    struct td_buffer out;
    td_buffer_init(&out, PAGE_BYTES_MAX);
    add_page(&out, page);
    struct MHD_Response *response =
        MHD_create_response_from_buffer(out.used_bytes, out.bytes, MHD_RESPMEM_MUST_FREE);
    if (response == NULL) {
        td_buffer_fini(&out);
        return;
    }
    (void)MHD_add_response_header(response, "Content-Type", "text/html; charset=utf-8");
    (void)MHD_add_response_header(response, "Content-Security-Policy", td_http_policy());
    (void)MHD_add_response_header(response, "Referrer-Policy", "no-referrer");
    td_http_queue(request, 200, response);
}

void td_http_get_page(struct td_http_request *request)
{
    struct td_request ask_status = {.op = TD_OP_STATUS};
    struct td_request ask_jobs = {.op = TD_OP_LIST, .u.list = {.limit = JOBS_SHOWN}};
    struct td_call_result status = {0}, jobs = {0};
    uint64_t begun_us = td_pace_turn(&request->http->pace);
    if (td_http_ask_ok(request, &ask_status, &status) &&
        td_http_ask_ok(request, &ask_jobs, &jobs)) {
        struct page page = {&status.response, &jobs.response};
        reply(request, &page);
    }
    td_pace_done(&request->http->pace, begun_us);
    td_call_release(&status);
    td_call_release(&jobs);
}
