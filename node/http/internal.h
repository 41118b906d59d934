/* internal.h -- what the files of the gateway share: the parts of a gateway and one request's way
 * through them. */
#ifndef TD_HTTP_INTERNAL_H
#define TD_HTTP_INTERNAL_H

#include <jansson.h>
#include <microhttpd.h>
#include <pthread.h>

#include "node/client/call.h"
#include "node/client/json.h"
#include "node/http/gate.h"
#include "node/http/guard.h"
#include "node/http/headers.h"
#include "node/http/http.h"
#include "node/http/pace.h"
#include "node/http/params.h"
#include "node/http/seats.h"
#include "node/http/times.h"
#include "node/http/tokens.h"

enum { TD_HTTP_BODY_BYTES_MAX = 16 * 1024, TD_HTTP_HEAD_BYTES_MAX = 16 * 1024 };
enum { TD_HTTP_WAIT_MS_DEFAULT = 10000, TD_HTTP_WAIT_MS_MAX = 60000, TD_HTTP_ASK_MS = 5000 };

enum td_http_method { TD_HTTP_GET = 1, TD_HTTP_PUT = 2 }; /* HEAD is GET without its body */

struct td_http {
    struct td_http_config config;
    struct td_http_ops ops;
    struct MHD_Daemon *daemon;
    struct td_guard guard;
    struct td_gate gate;
    struct td_seats seats;
    struct td_pace pace; /* of lists */
    struct td_http_tokens tokens;
    struct td_http_times times;
    bool loopback;     /* listens there only */
    bool stopping;     /* atomic */
    uint32_t watchers; /* atomic */
    uint32_t watchers_max;
};

struct td_http_request;

struct td_http_route {
    const char *path;
    uint32_t get_params, put_params; /* bits of enum td_param */
    void (*get)(struct td_http_request *request);
    void (*put)(struct td_http_request *request);
    bool open;         /* no token needed */
    uint32_t statuses; /* bits of those it can give */
};
/* routes.c: the table; by index, NULL at its end. */
const struct td_http_route *td_http_route_at(size_t index);
/* NULL when there is none. */
const struct td_http_route *td_http_route_find(const char *path);
/* How each is counted, by its index; the last is for what is no route. */
void td_http_route_times(struct td_http_timed timed[TD_HTTP_ROUTES_MAX]);

struct td_http_request {
    struct td_http *http;
    struct MHD_Connection *connection;
    struct td_place *place;
    const struct td_http_route *route; /* NULL: none */
    size_t route_index;
    enum td_http_method method;
    char path[64];
    struct td_params params;
    struct td_buffer body;
    const struct td_http_token *token; /* NULL = none needed */
    uint64_t begun_us;
    int status;       /* 0 = not answered */
    char stale[2048]; /* Tidings-Stale of the answer */
};

/* ---- reply.c: each request is answered exactly once ---- */

void td_http_reply_text(struct td_http_request *request, int status, const char *type,
                        char *take_text, size_t bytes);
/* One line of JSON, as the command line prints it. response (may be NULL): whose freshness it
 * carries. */
void td_http_reply_json(struct td_http_request *request, int status, json_t *take_json,
                        const struct td_response *response);
/* application/problem+json; detail may be NULL. */
void td_http_reply_problem(struct td_http_request *request, enum td_err err, const char *detail);
/* The same with more members set by the caller (a new reference of td_json_problem). */
void td_http_reply_problem_json(struct td_http_request *request, enum td_err err,
                                json_t *take_problem, const struct td_response *response);
/* Bytes that live as long as the program. */
void td_http_reply_static(struct td_http_request *request, const char *type, const void *bytes,
                          size_t count);
void td_http_queue(struct td_http_request *request, int status, struct MHD_Response *take_response);

/* Asks the node and waits. False: a problem was replied. A refusal inside the answer (response.err)
 * is the caller's. wait_ms: how long the node itself may wait. Release ret_answer in every case. */
TD_MUST_USE bool td_http_ask(struct td_http_request *request, struct td_request *ask,
                             struct td_call_result *ret_answer);
/* The same, and any refusal in the answer is replied as a problem. */
TD_MUST_USE bool td_http_ask_ok(struct td_http_request *request, struct td_request *ask,
                                struct td_call_result *ret_answer);

/* ---- the routes ---- */

void td_http_get_job(struct td_http_request *request);
void td_http_put_job(struct td_http_request *request);
void td_http_get_explain(struct td_http_request *request);
void td_http_get_history(struct td_http_request *request);
void td_http_get_jobs(struct td_http_request *request);
void td_http_get_conflicts(struct td_http_request *request);
void td_http_get_watch(struct td_http_request *request);
void td_http_get_peers(struct td_http_request *request);
void td_http_get_mesh(struct td_http_request *request);
void td_http_get_regions(struct td_http_request *request);
void td_http_get_roster(struct td_http_request *request);
void td_http_get_livez(struct td_http_request *request);
void td_http_get_readyz(struct td_http_request *request);
void td_http_get_metrics(struct td_http_request *request);
void td_http_get_page(struct td_http_request *request);
void td_http_get_openapi(struct td_http_request *request);
void td_http_get_error(struct td_http_request *request);

/* filter.c: state, origin, prefix, since, silent, conflicts. False: a problem was replied. The
 * filter's texts live as long as the request. */
TD_MUST_USE bool td_http_filter(struct td_http_request *request, struct td_filter *ret_filter);

/* policy.c: Content-Security-Policy of the page. */
const char *td_http_policy(void);

uint64_t td_http_now_us(void);

#endif
