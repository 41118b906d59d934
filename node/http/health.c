/* health.c -- is this process alive, is it ready, what does it count; and what it says about
 * itself: the page, the description of the routes, the errors. Readiness never depends on peers: a
 * cut region has to go on serving. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/http/embedded.h"
#include "node/http/exposition.h"
#include "node/http/internal.h"

enum { TEXT_BYTES_MAX = 8 * 1024 * 1024, CHECKS_BYTES = 2048 };
#define TEXT_TYPE "text/plain; charset=utf-8"

struct checks {
    char text[CHECKS_BYTES];
    size_t used;
    bool failed;
};

static void check(struct checks *self, const char *name, bool good, const char *why)
{
    int count =
        snprintf(self->text + self->used, sizeof self->text - self->used, "[%s] %s%s%s\n",
                 good ? "ok" : "FAIL", name, good || why[0] == '\0' ? "" : ": ", good ? "" : why);
    size_t left = sizeof self->text - self->used;
    self->used += count > 0 && (size_t)count < left ? (size_t)count : 0;
    self->failed = self->failed || !good;
}

static void reply_checks(struct td_http_request *request, const struct checks *checks)
{
    bool verbose = td_param_given(&request->params, TD_PARAM_verbose) || checks->failed;
    char *text = NULL;
    int count =
        asprintf(&text, "%s%s\n", verbose ? checks->text : "", checks->failed ? "failed" : "ok");
    if (count > 0) {
        td_http_reply_text(request, checks->failed ? 503 : 200, TEXT_TYPE, text, (size_t)count);
    }
}

void td_http_get_livez(struct td_http_request *request)
{
    struct td_http_health health = {0};
    struct checks checks = {0};
    request->http->ops.health(request->http->ops.self, &health);
    check(&checks, "loop", health.core_ticks, "the loop has not moved for 10 s");
    reply_checks(request, &checks);
}

void td_http_get_readyz(struct td_http_request *request)
{
    struct td_http_health health = {0};
    struct checks checks = {0};
    struct td_request ask = {.op = TD_OP_STATUS};
    struct td_call_result answer = {0};
    request->http->ops.health(request->http->ops.self, &health);
    check(&checks, "key", true, "");
    check(&checks, "roster", health.has_roster, "none is known; tidings roster push to any node");
    check(&checks, "member", health.is_member,
          "the roster does not name this node's key; tidings roster add");
    check(&checks, "listeners", true, "");
    check(&checks, "serving", !health.draining, "the node is shutting down");
    if (health.is_member) {
        enum td_err err =
            td_seats_ask(&request->http->seats, &request->http->ops, &ask, TD_HTTP_ASK_MS, &answer);
        err = err == TD_OK ? answer.response.err : err;
        check(&checks, "loop", err == TD_OK, td_err_text(err));
        if (err == TD_OK && !health.draining) {
            char why[256];
            struct td_text message = answer.response.message;
            (void)snprintf(why, sizeof why, "%.*s", (int)message.count,
                           message.count > 0 ? message.bytes : "");
            check(&checks, "log", answer.response.u.status.publishing,
                  why[0] != '\0' ? why : "recovery is not done");
        }
        td_call_release(&answer);
    }
    reply_checks(request, &checks);
}

static void write_own(struct td_http *http, struct td_buffer *out)
{
    struct td_http_timed timed[TD_HTTP_ROUTES_MAX];
    td_http_route_times(timed);
    td_expo_family(out, "http_watchers", "gauge", "Open streams of /v1/watch.");
    td_expo_uint(out, "http_watchers", NULL, __atomic_load_n(&http->watchers, __ATOMIC_RELAXED));
    td_expo_family(out, "http_connections_ended_total", "counter",
                   "Connections that were refused, gave way to another one, or were overdue.");
    static const char *const reasons[] = {"refused", "evicted", "overdue"};
    pthread_mutex_lock(&http->guard.mutex);
    uint64_t values[] = {http->guard.refused_total, http->guard.evicted_total,
                         http->guard.overdue_total};
    pthread_mutex_unlock(&http->guard.mutex);
    for (size_t i = 0; i < 3; i++) {
        struct td_labels labels = td_label_word("reason", reasons[i]);
        td_expo_uint(out, "http_connections_ended_total", &labels, values[i]);
    }
    td_http_times_write(&http->times, timed, TD_HTTP_ROUTES_MAX, out);
}

/* A node that waits for its roster has no core: then its own numbers are all there is. */
void td_http_get_metrics(struct td_http_request *request)
{
    struct td_http *http = request->http;
    struct td_request ask = {.op = TD_OP_STATUS};
    struct td_call_result answer = {0};
    struct td_buffer out;
    enum td_err err = td_seats_ask(&http->seats, &http->ops, &ask, TD_HTTP_ASK_MS, &answer);
    if (err == TD_EHTTPBUSY || err == TD_ETIMEOUT) {
        td_call_release(&answer);
        td_http_reply_problem(request, err, NULL);
        return;
    }
    td_buffer_init(&out, TEXT_BYTES_MAX);
    bool answered = err == TD_OK && answer.response.err == TD_OK;
    http->ops.metrics(http->ops.self, answered ? &answer.response : NULL, &out);
    write_own(http, &out);
    td_call_release(&answer);
    td_http_reply_text(request, 200, "text/plain; version=0.0.4; charset=utf-8", (char *)out.bytes,
                       out.used_bytes);
}

void td_http_get_openapi(struct td_http_request *request)
{
    td_http_reply_static(request, "application/json", td_openapi_json, td_openapi_json_count);
}

/* /errors/TD-E0213: the address that problems name as their type. */
void td_http_get_error(struct td_http_request *request)
{
    const char *text = request->path + strlen("/errors/");
    enum td_err err = TD_OK;
    char code[16];
    for (unsigned i = 0; td_err_at(i, &err); i++) {
        td_err_code(err, code);
        if (err != TD_OK && strcmp(code, text) == 0) {
            char *page = NULL;
            int count =
                asprintf(&page, "%s  %s\ndo: %s\nHTTP status %d, exit code %d\n", code,
                         td_err_text(err), td_err_hint(err)[0] != '\0' ? td_err_hint(err) : "-",
                         td_err_http_status(err), td_err_exit_code(err));
            if (count > 0) {
                td_http_reply_text(request, 200, TEXT_TYPE, page, (size_t)count);
            }
            return;
        }
    }
    td_http_reply_problem(request, TD_EROUTE, "no error has this code; tidings errors lists all");
}
