/* page_rows.c -- what the page shows without JavaScript, row by row, in the words of its script.
 * Made from the same JSON as the routes, so that page and routes cannot differ. */
#include <stdio.h>
#include <string.h>

#include "node/client/text.h"
#include "node/http/page.h"

static void add_string(struct td_buffer *out, const json_t *json, const char *otherwise)
{
    const char *text = json_is_string(json) ? json_string_value(json) : otherwise;
    size_t count = json_is_string(json) ? json_string_length(json) : strlen(otherwise);
    td_page_add_text(out, (struct td_text){text, (uint32_t)count});
}

/* "2026-03-02 14:04:30Z" of a time in JSON: whole seconds are enough to read. */
static void add_time(struct td_buffer *out, const json_t *time)
{
    enum { SECONDS_END = 19, DATE_END = 10 };
    char text[32] = "a time not known";
    if (json_is_string(time) && json_string_length(time) > SECONDS_END) {
        (void)snprintf(text, sizeof text, "%.*s %.*sZ", DATE_END, json_string_value(time),
                       SECONDS_END - DATE_END - 1, json_string_value(time) + DATE_END + 1);
    }
    td_page_add(out, text);
}

static void add_number(struct td_buffer *out, const json_t *json)
{
    char text[32] = "not known";
    if (json_is_number(json)) {
        (void)snprintf(text, sizeof text, "%.0f", json_number_value(json));
    }
    td_page_add(out, text);
}

static void add_age(struct td_buffer *out, const json_t *seconds)
{
    char text[TD_DURATION_TEXT_BYTES];
    if (!json_is_number(seconds)) {
        td_page_add(out, "not known");
        return;
    }
    td_duration_format((uint64_t)(json_number_value(seconds) * 1000), text);
    td_page_add(out, text);
    td_page_add(out, " ago");
}

static void add_via(struct td_buffer *out, const json_t *via, const char *otherwise)
{
    if (json_is_string(via)) {
        td_page_add(out, ", through ");
        add_string(out, via, "");
    } else {
        td_page_add(out, otherwise);
    }
}

/* One row an element of list, which is part of body; none: what stands there when there are none.
 */
typedef void (*row)(struct td_buffer *out, const json_t *element, const json_t *body);
static void add_rows(struct td_buffer *out, json_t *take_body, const json_t *list, row add,
                     const char *none)
{
    const json_t *element;
    size_t at;
    size_t before = out->used_bytes;
    json_array_foreach(list, at, element)
    {
        add(out, element, take_body);
    }
    if (out->used_bytes == before) {
        td_page_add(out, none);
    }
    json_decref(take_body);
}

/* ---- regions ---- */

static void add_region(struct td_buffer *out, const json_t *region, const json_t *body)
{
    (void)body;
    const json_t *fresh = json_object_get(region, "fresh");
    const json_t *age = json_object_get(fresh, "age_seconds");
    bool self = json_is_true(json_object_get(region, "self"));
    const char *kind = self                                            ? "self"
                       : !json_is_number(age)                          ? "unknown"
                       : json_is_true(json_object_get(fresh, "stale")) ? "stale"
                                                                       : "fresh";
    const char *word = self             ? "this node"
                       : kind[0] == 'u' ? "UNKNOWN"
                       : kind[0] == 's' ? "STALE"
                                        : "fresh";
    td_page_add(out, "<li class=\"region ");
    td_page_add(out, kind);
    td_page_add(out, "\"><h3><span>");
    add_string(out, json_object_get(region, "region"), "?");
    td_page_add(out, "</span><span class=\"word\">");
    td_page_add(out, word);
    td_page_add(out, "</span></h3><p class=\"age\">");
    if (self) {
        td_page_add(out, "now");
    } else {
        add_age(out, age);
    }
    td_page_add(out, "</p><p class=\"soft\">complete up to ");
    add_time(out, json_object_get(fresh, "complete_until"));
    add_via(out, json_object_get(fresh, "via"), "");
    td_page_add(out, self ? "" : "; updates missing: ");
    if (!self) {
        add_number(out, json_object_get(fresh, "missing"));
    }
    td_page_add(out, "</p></li>\n");
}

void td_page_regions(struct td_buffer *out, const struct td_response *status)
{
    json_t *body = td_json_regions(status, NULL);
    add_rows(out, body, json_object_get(body, "regions"), add_region, "");
}

/* ---- links ---- */

static void add_peer(struct td_buffer *out, const json_t *peer, const json_t *body)
{
    const json_t *rtt = json_object_get(peer, "rtt_seconds");
    const json_t *state = json_object_get(peer, "state");
    const char *word = json_is_string(state) ? json_string_value(state) : "";
    bool relay = strcmp(word, "relay") == 0;
    char text[32] = "-";
    (void)body;
    if (strcmp(word, "self") == 0) {
        return;
    }
    if (json_is_number(rtt)) {
        (void)snprintf(text, sizeof text, "%.0f ms", json_number_value(rtt) * 1000);
    }
    td_page_add(out, "<tr><th scope=\"row\">");
    add_string(out, json_object_get(peer, "region"), "?");
    td_page_add(out, "</th><td>");
    add_string(out, relay ? NULL : state, relay ? "no direct link" : "not known");
    add_via(out, json_object_get(peer, "via"), "");
    td_page_add(out, "</td><td class=\"number\">");
    td_page_add(out, text);
    td_page_add(out, "</td><td class=\"number\">");
    add_age(out, json_object_get(peer, "age_seconds"));
    td_page_add(out, "</td><td class=\"number\">");
    add_number(out, json_object_get(peer, "we_lack"));
    td_page_add(out, "</td><td class=\"number\">");
    add_number(out, json_object_get(json_object_get(peer, "they_lack"), "updates"));
    const json_t *jobs = json_object_get(json_object_get(peer, "they_lack"), "jobs");
    if (json_is_integer(jobs) && json_integer_value(jobs) > 0) {
        td_page_add(out, " (");
        add_number(out, jobs);
        td_page_add(out, json_integer_value(jobs) == 1 ? " job)" : " jobs)");
    }
    td_page_add(out, "</td></tr>\n");
}

void td_page_peers(struct td_buffer *out, const struct td_response *status)
{
    json_t *body = td_json_peers(status, NULL);
    add_rows(out, body, json_object_get(body, "peers"), add_peer,
             "<tr><td colspan=\"6\">There is no other region.</td></tr>\n");
}

/* ---- who hears whom ---- */

/* Behind a region that is heard, but not over a link of its own. */
static void add_way(struct td_buffer *out, const json_t *heard)
{
    const json_t *via = json_object_get(heard, "via");
    if (!json_is_false(json_object_get(heard, "direct"))) {
        return;
    }
    td_page_add(out, json_is_string(via) ? " (through " : " (no direct link");
    add_string(out, via, "");
    td_page_add(out, ")");
}

static void add_report(struct td_buffer *out, const json_t *report, const json_t *body)
{
    const json_t *hears = json_object_get(report, "hears");
    const json_t *heard;
    size_t at;
    (void)body;
    td_page_add(out, "<tr><th scope=\"row\">");
    add_string(out, json_object_get(report, "by"), "?");
    td_page_add(out, "</th><td>");
    json_array_foreach(hears, at, heard)
    {
        td_page_add(out, at > 0 ? ", " : "");
        add_string(out, json_object_get(heard, "region"), "?");
        add_way(out, heard);
    }
    td_page_add(out, json_array_size(hears) == 0 ? "nobody</td><td>" : "</td><td>");
    add_age(out, json_object_get(report, "age_seconds"));
    add_via(out, json_object_get(report, "via"), "");
    td_page_add(out, "</td></tr>\n");
}

void td_page_mesh(struct td_buffer *out, const struct td_response *status)
{
    json_t *body = td_json_mesh(status, NULL);
    add_rows(out, body, json_object_get(json_object_get(body, "mesh"), "reports"), add_report, "");
}

/* ---- jobs ---- */

/* Every byte but the unreserved ones, as %XX. */
static void add_query(struct td_buffer *out, const json_t *string)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~";
    const char *text = json_is_string(string) ? json_string_value(string) : "";
    for (size_t i = 0; i < json_string_length(string); i++) {
        char one[4] = {text[i], '\0'};
        if (text[i] == '\0' || strchr(plain, text[i]) == NULL) {
            (void)snprintf(one, sizeof one, "%%%02X", (unsigned)(unsigned char)text[i]);
        }
        td_page_add(out, one);
    }
}

/* Whether its region may know more by now. */
static bool is_stale(const json_t *freshness, const json_t *region)
{
    const json_t *entry;
    size_t at;
    json_array_foreach(json_object_get(freshness, "regions"), at, entry)
    {
        if (json_equal(json_object_get(entry, "region"), region)) {
            return json_is_true(json_object_get(entry, "stale"));
        }
    }
    return false;
}

static void add_job(struct td_buffer *out, const json_t *job, const json_t *body)
{
    const json_t *freshness = json_object_get(body, "freshness");
    const json_t *origin = json_object_get(job, "origin");
    bool last_known = !json_is_true(json_object_get(job, "final")) && is_stale(freshness, origin);
    const json_t *progress = json_object_get(job, "progress");
    char text[32] = "";
    if (json_is_number(progress)) {
        (void)snprintf(text, sizeof text, " %.4g %%", json_number_value(progress) * 100);
    }
    td_page_add(out, "<tr><th scope=\"row\">");
    add_string(out, json_object_get(job, "id"), "?");
    td_page_add(out, "</th><td class=\"nowrap\">");
    add_string(out, json_object_get(job, "state"), "?");
    td_page_add(out, text);
    td_page_add(out, json_is_true(json_object_get(job, "silent")) ? ", SILENT" : "");
    td_page_add(out, last_known ? "</td><td class=\"nowrap warn\">LAST KNOWN, since "
                                : "</td><td class=\"nowrap\">since ");
    add_time(out, json_object_get(job, "since"));
    td_page_add(out, "</td><td>");
    add_string(out, origin, "?");
    td_page_add(out, json_is_string(json_object_get(job, "writer")) ? ", " : "");
    add_string(out, json_object_get(job, "writer"), "");
    td_page_add(out, "</td><td class=\"text\">");
    add_string(out, json_object_get(job, "detail"), "");
    td_page_add(out, "</td><td><a href=\"/v1/explain?id=");
    add_query(out, json_object_get(job, "id"));
    td_page_add(out, "\">why?</a></td></tr>\n");
}

void td_page_jobs(struct td_buffer *out, const struct td_response *jobs)
{
    json_t *body = td_json_list(jobs, NULL);
    add_rows(out, body, json_object_get(body, "jobs"), add_job,
             "<tr><td colspan=\"6\">No job is known here yet.</td></tr>\n");
}
