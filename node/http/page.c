/* page.c -- the page at /, one embedded file, with what must be in it without JavaScript put in its
 * place: the regions and how fresh each is. Everything that came from elsewhere is escaped. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/client/sentences.h"
#include "node/client/text.h"
#include "node/http/embedded.h"
#include "node/http/internal.h"

enum { PAGE_BYTES_MAX = 1024 * 1024 };

static void add_bytes(struct td_buffer *out, const char *text, size_t count)
{
    bool fits = td_buffer_append(out, (struct td_bytes){(const uint8_t *)text, count});
    (void)fits; /* the bound is far above any page */
}

static void add(struct td_buffer *out, const char *text)
{
    add_bytes(out, text, strlen(text));
}

static void add_escaped(struct td_buffer *out, struct td_text text)
{
    char shown[4096];
    td_text_escape(text, shown,
                   sizeof shown); /* control characters and marks that turn text around */
    for (const char *at = shown; *at != '\0'; at++) {
        char one[2] = {*at, '\0'};
        add(out, *at == '<'    ? "&lt;"
                 : *at == '>'  ? "&gt;"
                 : *at == '&'  ? "&amp;"
                 : *at == '"'  ? "&quot;"
                 : *at == '\'' ? "&#39;"
                               : one);
    }
}

static void add_row(struct td_http_request *request, struct td_buffer *out,
                    const struct td_response *response, const struct td_fresh_view *view)
{
    char age[TD_DURATION_TEXT_BYTES] = "unknown";
    char missing[32] = "unknown";
    bool stale = !view->age_known || view->age_ms > request->http->config.stale_ms;
    struct td_text via = view->via.v != 0 ? td_response_region_name(response, view->via)
                                          : (struct td_text){"direct", 6};
    if (view->age_known) {
        td_duration_format(view->age_ms, age);
    }
    if (view->missing_known) {
        (void)snprintf(missing, sizeof missing, "%llu", (unsigned long long)view->missing);
    }
    add(out, stale ? "<tr class=\"stale\"><th scope=\"row\">" : "<tr><th scope=\"row\">");
    add_escaped(out, td_response_region_name(response, view->region));
    add(out, stale ? "</th><td>STALE</td><td>" : "</th><td>fresh</td><td>");
    add(out, age);
    add(out, "</td><td>");
    add(out, missing);
    add(out, "</td><td>");
    add_escaped(out, via);
    add(out, "</td></tr>\n");
}

static void add_rows(struct td_http_request *request, struct td_buffer *out,
                     const struct td_response *response)
{
    for (uint32_t i = 0; i < response->freshness_count; i++) {
        add_row(request, out, response, &response->freshness[i]);
    }
    if (response->freshness_count == 0) {
        add(out, "<tr><td colspan=\"5\">There is no other region.</td></tr>\n");
    }
}

/* Places in the page: <!--node-->, <!--now-->, <!--verdict-->, <!--regions-->. */
static void add_place(struct td_http_request *request, struct td_buffer *out, const char *name,
                      size_t count, const struct td_response *response)
{
    char text[4096];
    if (strncmp(name, "node", count) == 0) {
        add_escaped(out, response->node_name);
    } else if (strncmp(name, "now", count) == 0) {
        add(out, td_time_format(response->now_ms, text) ? text : "");
    } else if (strncmp(name, "verdict", count) == 0) {
        td_fresh_sentence(response, text, sizeof text);
        add_escaped(out, td_text_of(text));
    } else if (strncmp(name, "regions", count) == 0) {
        add_rows(request, out, response);
    }
}

static void add_page(struct td_http_request *request, struct td_buffer *out,
                     const struct td_response *response)
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
        add_place(request, out, name, (size_t)(close - name), response);
        at = close + 3;
    }
}

void td_http_get_page(struct td_http_request *request)
{
    struct td_request ask = {.op = TD_OP_STATUS};
    struct td_call_result answer;
    struct td_buffer out;
    if (td_http_ask_ok(request, &ask, &answer)) {
        td_buffer_init(&out, PAGE_BYTES_MAX);
        add_page(request, &out, &answer.response);
        struct MHD_Response *response =
            MHD_create_response_from_buffer(out.used_bytes, out.bytes, MHD_RESPMEM_MUST_FREE);
        if (response != NULL) {
            (void)MHD_add_response_header(response, "Content-Type", "text/html; charset=utf-8");
            (void)MHD_add_response_header(response, "Content-Security-Policy", td_http_policy());
            (void)MHD_add_response_header(response, "Referrer-Policy", "no-referrer");
            td_http_queue(request, 200, response);
        } else {
            td_buffer_fini(&out);
        }
    }
    td_call_release(&answer);
}
