/* watch.c -- changes as server-sent events. The reader pulls: only when the last page is out the
 * node is asked for the next, so a slow reader holds one page and nothing else. What it misses
 * meanwhile the node merges away, and a reset says so. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "node/client/watch_place.h"
#include "node/http/internal.h"

enum {
    PAGE_CHANGES = 64,
    POLL_MS = 1000,
    BOOKMARK_MS = 15000,
    PACE_MS = 5,
    EMPTY_PACE_MS = 200,
    PAGE_BYTES_MAX = 16 * 1024 * 1024,
    BLOCK_BYTES = 8192,
    SOCKET_BYTES = 256 * 1024
};

struct watcher {
    struct td_http *http;
    struct td_filter filter;
    char prefix[TD_JOB_BYTES_MAX + 1];
    char job[TD_JOB_BYTES_MAX + 1];
    struct td_text job_text;
    struct td_watch_place place;
    struct td_buffer out;
    size_t sent; /* of out */
    uint64_t bookmark_ms, fresh_ms;
    bool failed;
};

/* A page that does not fit, or no memory: the stream ends, and the client comes again. */
static void append(struct watcher *self, const char *text)
{
    if (text == NULL ||
        !td_buffer_append(&self->out, (struct td_bytes){(const uint8_t *)text, strlen(text)})) {
        self->failed = true;
    }
}

/* One event; JSON has no line feeds in it. cursor may be NULL. */
static void append_event(struct watcher *self, const char *name, const char *cursor,
                         json_t *take_json)
{
    char *text = td_json_text(take_json);
    if (cursor != NULL) {
        append(self, "id: ");
        append(self, cursor);
        append(self, "\n");
    }
    append(self, "event: ");
    append(self, name);
    append(self, "\ndata: ");
    append(self, text);
    append(self, "\n\n");
    free(text);
}

static void append_fresh(struct watcher *self, const struct td_response *response)
{
    json_t *json = td_json_envelope(response, "tidings.freshness/1", NULL);
    (void)json_object_set_new(json, "freshness", td_json_freshness(response));
    append_event(self, "freshness", NULL, json);
}

static void append_bookmark(struct watcher *self, const struct td_response *response)
{
    char *cursor = td_watch_place_text(&self->place, self->place.cursor);
    json_t *json = td_json_envelope(response, "tidings.bookmark/1", NULL);
    (void)json_object_set_new(json, "cursor", cursor != NULL ? json_string(cursor) : json_null());
    append_event(self, "bookmark", cursor, json);
    free(cursor);
}

/* An answer as events, and the place moves behind it. */
static void take_answer(struct watcher *self, const struct td_response *response)
{
    uint64_t now_ms = td_guard_now_ms();
    bool first = !self->place.placed;
    if (td_watch_place_begin(&self->place, response)) {
        char *cursor = td_watch_place_text(&self->place, self->place.cursor);
        append_event(self, "reset", cursor, td_json_reset(response, cursor));
        free(cursor);
    }
    for (uint32_t i = 0; i < response->u.registers.count; i++) {
        const struct td_register_view *view = &response->u.registers.registers[i];
        char *cursor = td_watch_place_text(&self->place, view->arrival);
        append_event(self, "update", cursor, td_json_change(response, view, cursor));
        free(cursor);
    }
    td_watch_place_end(&self->place, response, PAGE_CHANGES);
    if (first || now_ms >= self->fresh_ms) {
        append_fresh(self, response);
        self->fresh_ms = now_ms + POLL_MS;
    }
    if (first || now_ms >= self->bookmark_ms) {
        append_bookmark(self, response);
        self->bookmark_ms = now_ms + BOOKMARK_MS;
    }
}

static enum td_err ask_next(struct watcher *self, uint32_t timeout_ms,
                            struct td_call_result *ret_answer)
{
    struct td_request ask = {.op = TD_OP_WATCH,
                             .timeout_ms = timeout_ms,
                             .u.watch = {.filter = self->filter, .limit = PAGE_CHANGES}};
    td_watch_place_ask(&self->place, &ask);
    enum td_err err =
        td_seats_ask(&self->http->seats, &self->http->ops, &ask, TD_HTTP_ASK_MS, ret_answer);
    return err == TD_OK ? ret_answer->response.err : err;
}

static void pause_ms(unsigned ms)
{
    struct timespec pause = {.tv_nsec = (long)ms * 1000000L};
    nanosleep(&pause, NULL);
}

/* The next page. A rate of its own keeps many readers from taking the core for themselves. */
static bool fill(struct watcher *self)
{
    struct td_call_result answer;
    self->out.used_bytes = self->sent = 0;
    pause_ms(self->place.cursor == 0 ? EMPTY_PACE_MS
                                     : PACE_MS); /* 0: a node that knows nothing yet */
    enum td_err err = ask_next(self, POLL_MS, &answer);
    if (err == TD_OK) {
        take_answer(self, &answer.response);
    } else if (err == TD_ETIMEOUT || err == TD_EBUSY || err == TD_EHTTPBUSY) {
        append(self, ": the node is busy\n\n");
        err = TD_OK;
    }
    td_call_release(&answer);
    return err == TD_OK && !self->failed;
}

static ssize_t on_read(void *self_void, uint64_t position, char *block, size_t block_bytes)
{
    struct watcher *self = self_void;
    (void)position;
    while (self->sent == self->out.used_bytes) {
        if (__atomic_load_n(&self->http->stopping, __ATOMIC_ACQUIRE) || !fill(self)) {
            return MHD_CONTENT_READER_END_OF_STREAM;
        }
    }
    size_t left = self->out.used_bytes - self->sent;
    size_t count = left < block_bytes ? left : block_bytes;
    memcpy(block, self->out.bytes + self->sent, count);
    self->sent += count;
    return (ssize_t)count;
}

static void on_free(void *self_void)
{
    struct watcher *self = self_void;
    __atomic_sub_fetch(&self->http->watchers, 1, __ATOMIC_RELAXED);
    td_buffer_fini(&self->out);
    free(self);
}

static enum td_err take_cursor(struct watcher *self, const char *text)
{
    struct td_watch_cursor cursor;
    struct td_token_memory memory = {0};
    enum td_err err = td_cursor_from_text(text, &cursor, &memory);
    if (err == TD_OK) {
        td_watch_place_resume(&self->place, &cursor);
    }
    td_token_release(&memory);
    return err;
}

/* Where to begin: behind what the browser saw last, behind a cursor, from now on, or with
 * everything. */
static bool take_from(struct td_http_request *request, struct watcher *self, bool *ret_by_cursor)
{
    const char *last =
        MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, "Last-Event-ID");
    const char *cursor = td_param_text(&request->params, TD_PARAM_cursor);
    const char *from = td_param_text(&request->params, TD_PARAM_from);
    bool start = strcmp(from, "start") == 0;
    if (from[0] != '\0' && !start && strcmp(from, "now") != 0) {
        td_http_reply_problem(request, TD_EQUERY, "from: now or start");
        return false;
    }
    td_watch_place_init(&self->place, start ? 0 : UINT64_MAX);
    *ret_by_cursor = (last == NULL || last[0] == '\0') && cursor[0] != '\0';
    const char *text = last != NULL && last[0] != '\0' ? last : cursor;
    enum td_err err = text[0] != '\0' ? take_cursor(self, text) : TD_OK;
    if (err != TD_OK) {
        td_http_reply_problem(request, err, "a cursor goes back exactly as it came");
    }
    return err == TD_OK;
}

/* The filter's texts belong to the request, which the stream outlives. */
static bool take_filter(struct td_http_request *request, struct watcher *self)
{
    struct td_text job = request->params.values[TD_PARAM_job];
    if (!td_http_filter(request, &self->filter)) {
        return false;
    }
    if (job.count > TD_JOB_BYTES_MAX) {
        td_http_reply_problem(request, TD_EJOBID, NULL);
        return false;
    }
    if (self->filter.prefix.count > 0) {
        memcpy(self->prefix, self->filter.prefix.bytes, self->filter.prefix.count);
        self->filter.prefix.bytes = self->prefix;
    }
    if (job.count > 0) {
        memcpy(self->job, job.bytes, job.count);
        self->job_text = (struct td_text){self->job, job.count};
        self->filter.jobs = &self->job_text;
        self->filter.job_count = 1;
    }
    return true;
}

/* The first answer comes before the head: an error has a status of its own then. */
static bool begin(struct td_http_request *request, struct watcher *self)
{
    bool by_cursor = false;
    struct td_call_result answer;
    if (!take_filter(request, self) || !take_from(request, self, &by_cursor)) {
        return false;
    }
    enum td_err err = ask_next(self, 0, &answer);
    if (err == TD_OK && by_cursor && answer.response.u.registers.reset) {
        err =
            TD_ECURSOR; /* a browser's Last-Event-ID gets a reset event: it would not come again */
    }
    if (err == TD_OK) {
        take_answer(self, &answer.response);
    } else {
        json_t *problem = td_json_problem(err, NULL);
        if (err == TD_ECURSOR) {
            (void)json_object_set_new(problem, "start_again", json_string("/v1/watch?from=start"));
        }
        td_http_reply_problem_json(request, err, problem, NULL);
    }
    td_call_release(&answer);
    return err == TD_OK;
}

static struct watcher *make_watcher(struct td_http_request *request)
{
    struct td_http *http = request->http;
    uint32_t count = __atomic_add_fetch(&http->watchers, 1, __ATOMIC_RELAXED);
    struct watcher *self = count <= http->watchers_max ? calloc(1, sizeof *self) : NULL;
    if (self == NULL) {
        __atomic_sub_fetch(&http->watchers, 1, __ATOMIC_RELAXED);
        td_http_reply_problem(request, TD_EHTTPBUSY,
                              "a quarter of limits.http_connections may watch at one time");
        return NULL;
    }
    self->http = http;
    td_buffer_init(&self->out, PAGE_BYTES_MAX);
    return self;
}

void td_http_get_watch(struct td_http_request *request)
{
    struct watcher *self = make_watcher(request);
    if (self == NULL) {
        return;
    }
    if (!begin(request, self)) {
        on_free(self);
        return;
    }
    struct MHD_Response *response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES, on_read, self, on_free);
    if (response == NULL) {
        on_free(self);
        return;
    }
    int bytes = SOCKET_BYTES;
    (void)setsockopt(request->place->fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    td_guard_busy(&request->http->guard, request->place, UINT64_MAX);
    (void)MHD_add_response_header(response, "Content-Type", "text/event-stream; charset=utf-8");
    td_http_queue(request, 200, response);
}
