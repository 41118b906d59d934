/* http.c -- starts and stops the gateway, and brings each request to its route: framing, host,
 * token, parameters, body, in this order. */
#include "node/http/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>

enum { THREAD_STACK_BYTES = 512 * 1024, IDLE_S = 10, NICE = 5 };

/* ---- one request ---- */

struct counting {
    unsigned lengths, chunked, hosts;
};

static enum MHD_Result count_headers(void *self_void, enum MHD_ValueKind kind, const char *key,
                                     const char *value)
{
    struct counting *self = self_void;
    (void)kind;
    (void)value;
    self->lengths += strcasecmp(key, MHD_HTTP_HEADER_CONTENT_LENGTH) == 0;
    self->chunked += strcasecmp(key, MHD_HTTP_HEADER_TRANSFER_ENCODING) == 0;
    self->hosts += strcasecmp(key, MHD_HTTP_HEADER_HOST) == 0;
    return MHD_YES;
}

static const char *header(const struct td_http_request *request, const char *name)
{
    return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

/* Elsewhere than on loopback a token is needed, which a page of a stranger does not have. */
static bool host_is_ours(const struct td_http_request *request)
{
    const char *host = header(request, MHD_HTTP_HEADER_HOST);
    if (!request->http->loopback || request->http->tokens.required) {
        return host != NULL;
    }
    return td_host_is_loopback(host);
}

/* How the body is framed. Anything that could be read in two ways is refused. */
static enum td_err check_framing(const struct td_http_request *request)
{
    struct counting counts = {0};
    (void)MHD_get_connection_values(request->connection, MHD_HEADER_KIND, count_headers, &counts);
    if (counts.chunked > 0) {
        return TD_ELENGTH;
    }
    if (counts.lengths > 1 || counts.hosts > 1) {
        return TD_EQUERY;
    }
    const char *length = header(request, MHD_HTTP_HEADER_CONTENT_LENGTH);
    uint64_t bytes = 0;
    if (length != NULL && !td_content_length(length, &bytes)) {
        return TD_EQUERY;
    }
    if (request->method == TD_HTTP_PUT && length == NULL) {
        return TD_ELENGTH;
    }
    return bytes > (request->method == TD_HTTP_PUT ? TD_HTTP_BODY_BYTES_MAX : 0) ? TD_ETOOBIG
                                                                                 : TD_OK;
}

static enum td_err check_token(struct td_http_request *request)
{
    const struct td_http_tokens *tokens = &request->http->tokens;
    if (!tokens->required || request->route->open) {
        return TD_OK;
    }
    request->token = td_http_tokens_find(tokens, header(request, MHD_HTTP_HEADER_AUTHORIZATION));
    return request->token != NULL ? TD_OK : TD_EAUTH;
}

static enum td_err check(struct td_http_request *request, const char *method, char *why,
                         size_t why_bytes)
{
    bool get =
        strcmp(method, MHD_HTTP_METHOD_GET) == 0 || strcmp(method, MHD_HTTP_METHOD_HEAD) == 0;
    bool put = strcmp(method, MHD_HTTP_METHOD_PUT) == 0;
    request->method = put ? TD_HTTP_PUT : TD_HTTP_GET;
    if (request->place == NULL || request->place->refused) {
        return TD_EHTTPBUSY;
    }
    if (!get && !put) {
        return TD_EMETHOD;
    }
    enum td_err err = check_framing(request);
    if (err != TD_OK) {
        return err;
    }
    if (!host_is_ours(request)) {
        return TD_EHOST;
    }
    if (request->route == NULL) {
        return TD_EROUTE;
    }
    if (put && request->route->put == NULL) {
        return TD_EMETHOD;
    }
    err = check_token(request);
    if (err == TD_OK && put && !td_media_is_json(header(request, MHD_HTTP_HEADER_CONTENT_TYPE))) {
        err = TD_EMEDIA;
    }
    if (err == TD_OK) {
        uint32_t allowed = put ? request->route->put_params : request->route->get_params;
        err = td_params_take(request->connection, allowed, &request->params, why, why_bytes);
    }
    return err;
}

static struct td_http_request *begin(struct td_http *http, struct MHD_Connection *connection,
                                     const char *url)
{
    struct td_http_request *request = calloc(1, sizeof *request);
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    if (request == NULL) {
        return NULL;
    }
    request->http = http;
    request->connection = connection;
    request->place = info != NULL ? info->socket_context : NULL;
    request->begun_us = td_http_now_us();
    request->route = strlen(url) < sizeof request->path ? td_http_route_find(url) : NULL;
    (void)snprintf(request->path, sizeof request->path, "%s", request->route != NULL ? url : "");
    td_buffer_init(&request->body, TD_HTTP_BODY_BYTES_MAX);
    if (request->place != NULL) {
        td_guard_busy(&http->guard, request->place, td_guard_now_ms() + TD_GUARD_BODY_MS);
    }
    return request;
}

static void dispatch(struct td_http_request *request)
{
    if (request->place != NULL) {
        td_guard_busy(&request->http->guard, request->place,
                      td_guard_now_ms() + TD_GUARD_ANSWER_MS);
    }
    if (request->method == TD_HTTP_PUT) {
        request->route->put(request);
    } else {
        request->route->get(request);
    }
}

/* libmicrohttpd calls it with the head, then with each piece of the body, then once more. */
static enum MHD_Result on_request(void *self, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *data_bytes, void **context)
{
    struct td_http *http = self;
    struct td_http_request *request = *context;
    (void)version;
    if (request == NULL) {
        char why[256] = "";
        request = *context = begin(http, connection, url);
        if (request == NULL) {
            return MHD_NO;
        }
        enum td_err err = check(request, method, why, sizeof why);
        if (err != TD_OK) {
            td_http_reply_problem(request, err, why);
            return request->status != 0 ? MHD_YES : MHD_NO;
        }
        return MHD_YES;
    }
    if (*data_bytes > 0) {
        bool fits =
            td_buffer_append(&request->body, (struct td_bytes){(const uint8_t *)data, *data_bytes});
        *data_bytes = 0;
        return fits ? MHD_YES : MHD_NO; /* beyond its own Content-Length: not a client of ours */
    }
    if (request->status == 0) {
        dispatch(request);
    }
    return request->status != 0 ? MHD_YES : MHD_NO;
}

static size_t route_index(const struct td_http_route *route)
{
    return route != NULL ? (size_t)(route - td_http_route_at(0)) : TD_HTTP_ROUTES_MAX - 1;
}

static void on_completed(void *self, struct MHD_Connection *connection, void **context,
                         enum MHD_RequestTerminationCode code)
{
    struct td_http *http = self;
    struct td_http_request *request = *context;
    (void)connection;
    (void)code;
    if (request == NULL) {
        return;
    }
    td_http_times_add(&http->times, route_index(request->route), request->status,
                      td_http_now_us() - request->begun_us);
    if (request->place != NULL) {
        td_guard_idle(&http->guard, request->place);
    }
    td_buffer_fini(&request->body);
    free(request);
    *context = NULL;
}

/* ---- connections ---- */

/* On the thread of libmicrohttpd that starts connections' threads, which inherit its priority:
 * replication goes first. */
static void lower_priority(void)
{
    static _Thread_local bool lowered;
    if (!lowered) {
        lowered = true;
        (void)setpriority(PRIO_PROCESS, 0, NICE);
    }
}

static void on_connection(void *self, struct MHD_Connection *connection, void **context,
                          enum MHD_ConnectionNotificationCode code)
{
    struct td_http *http = self;
    if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
        if (*context != NULL) {
            td_guard_close(&http->guard, *context);
        }
        return;
    }
    lower_priority();
    const union MHD_ConnectionInfo *fd =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    *context = td_guard_start(&http->guard, fd->connect_fd);
}

/* ---- start and stop ---- */

/* Its own limit is never reached: places are given out by the gate. */
static bool start_daemon(struct td_http *http)
{
    unsigned places = http->guard.place_count + TD_GUARD_SPARE;
    http->daemon = MHD_start_daemon(
        MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL |
            MHD_USE_NO_LISTEN_SOCKET | MHD_USE_ITC,
        0, NULL, NULL, on_request, http, MHD_OPTION_CONNECTION_LIMIT, places,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)TD_HTTP_HEAD_BYTES_MAX, MHD_OPTION_THREAD_STACK_SIZE, (size_t)THREAD_STACK_BYTES,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, http, MHD_OPTION_NOTIFY_CONNECTION,
        on_connection, http, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1,
        MHD_OPTION_END);
    http->gate.guard = &http->guard;
    http->gate.daemon = http->daemon;
    return http->daemon != NULL;
}

static enum td_err prepare(struct td_http *http, const struct td_http_config *config, char *why,
                           size_t why_bytes)
{
    enum td_err err = td_gate_open(&http->gate, config->listen, false, why, why_bytes);
    if (err != TD_OK) {
        return err;
    }
    if (config->connections_max == 0 || config->connections_max > TD_HTTP_CONNECTIONS_MAX) {
        (void)snprintf(why, why_bytes, "limits.http_connections: 1 to %d", TD_HTTP_CONNECTIONS_MAX);
        return TD_ECONFIG;
    }
    http->loopback = http->gate.loopback;
    if (!http->loopback && config->tokens_file[0] == '\0') {
        (void)snprintf(why, why_bytes,
                       "listen.http: %s is not loopback; listen.http_tokens must name a file "
                       "of tokens",
                       config->listen);
        return TD_ECONFIG;
    }
    err = td_http_tokens_read(config->tokens_file, &http->tokens, why, why_bytes);
    if (err != TD_OK) {
        return err;
    }
    http->config.listen = strdup(config->listen);
    bool ok = http->config.listen != NULL && td_guard_init(&http->guard, config->connections_max) &&
              td_seats_init(&http->seats, config->connections_max);
    return ok ? TD_OK : TD_ENOMEM;
}

static void release(struct td_http *http)
{
    td_pace_fini(&http->pace);
    if (http->guard.places != NULL) {
        td_guard_fini(&http->guard);
    }
    if (http->seats.seats != NULL) {
        td_seats_fini(&http->seats);
    }
    td_http_tokens_fini(&http->tokens);
    free((char *)(uintptr_t)http->config.listen);
    free(http);
}

enum td_err td_http_start(const struct td_http_config *config, const struct td_http_ops *ops,
                          struct td_http **ret_http, char *ret_why, size_t why_bytes)
{
    struct td_http *http = calloc(1, sizeof *http);
    if (http == NULL) {
        return TD_ENOMEM;
    }
    td_pace_init(&http->pace);
    http->ops = *ops;
    http->config = *config;
    http->config.listen = http->config.tokens_file = NULL;
    http->watchers_max = config->connections_max / 4 > 0 ? config->connections_max / 4 : 1;
    enum td_err err = prepare(http, config, ret_why, why_bytes);
    if (err != TD_OK) {
        release(http);
        return err;
    }
    *ret_http = http; /* before the first request can be answered */
    err = start_daemon(http) ? td_gate_open(&http->gate, config->listen, true, ret_why, why_bytes)
                             : TD_ENOMEM;
    if (err == TD_OK && !td_gate_start(&http->gate)) {
        err = TD_ENOMEM;
    }
    if (err != TD_OK) {
        *ret_http = NULL;
        td_http_stop(http);
        td_http_free(http);
    }
    return err;
}

void td_http_answer(struct td_http *http, uint32_t client_link, uint64_t id, struct td_bytes answer)
{
    td_seats_answer(&http->seats, client_link - TD_HTTP_LINK_FIRST, id, answer);
}

void td_http_stop(struct td_http *http)
{
    if (http == NULL) {
        return;
    }
    __atomic_store_n(&http->stopping, true, __ATOMIC_RELEASE);
    td_gate_stop(&http->gate);
    td_seats_stop(&http->seats);
    if (http->daemon != NULL) {
        MHD_stop_daemon(http->daemon);
    }
}

void td_http_free(struct td_http *take_http)
{
    if (take_http != NULL) {
        release(take_http);
    }
}
