/* reply.c -- answers: JSON as the command line prints it, problems by RFC 9457, and the headers
 * that each answer carries. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "node/http/internal.h"

#define JSON_TYPE "application/json"
#define PROBLEM_TYPE "application/problem+json"

uint64_t td_http_now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* Headers of every answer. One that says no ends the connection: whatever follows on it is not to
 * be taken for a request. */
void td_http_queue(struct td_http_request *request, int status, struct MHD_Response *take_response)
{
    if (take_response == NULL) {
        return; /* no memory: the connection ends without an answer */
    }
    (void)MHD_add_response_header(take_response, "X-Content-Type-Options", "nosniff");
    (void)MHD_add_response_header(take_response, "Cache-Control", "no-store");
    if (request->stale[0] != '\0') {
        (void)MHD_add_response_header(take_response, "Tidings-Stale", request->stale);
    }
    if (status == 429 || status == 503 || status == 507) {
        (void)MHD_add_response_header(take_response, "Retry-After", status == 507 ? "30" : "1");
    }
    if (status == 401) {
        (void)MHD_add_response_header(take_response, "WWW-Authenticate",
                                      "Bearer realm=\"tidings\"");
    }
    if (status == 405 && request->route != NULL) {
        (void)MHD_add_response_header(take_response, "Allow",
                                      request->route->put != NULL ? "GET, HEAD, PUT" : "GET, HEAD");
    }
    if (status >= 400) {
        (void)MHD_add_response_header(take_response, "Connection", "close");
    }
    request->status = status;
    (void)MHD_queue_response(request->connection, (unsigned)status, take_response);
    MHD_destroy_response(take_response);
}

void td_http_reply_text(struct td_http_request *request, int status, const char *type,
                        char *take_text, size_t bytes)
{
    struct MHD_Response *response =
        take_text != NULL ? MHD_create_response_from_buffer(bytes, take_text, MHD_RESPMEM_MUST_FREE)
                          : NULL;
    if (response == NULL) {
        free(take_text);
        return;
    }
    (void)MHD_add_response_header(response, "Content-Type", type);
    td_http_queue(request, status, response);
}

void td_http_reply_static(struct td_http_request *request, const char *type, const void *bytes,
                          size_t count)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(count, (void *)(uintptr_t)bytes, MHD_RESPMEM_PERSISTENT);
    if (response != NULL) {
        (void)MHD_add_response_header(response, "Content-Type", type);
        td_http_queue(request, 200, response);
    }
}

/* "us-east;age=252, ap-south;age=unknown": what `curl -i` shows when something is stale. A name is
 * shown by its harmless characters only: headers have no escapes. */
static void note_stale(struct td_http_request *request, const struct td_response *response)
{
    size_t used = 0;
    for (uint32_t i = 0; i < response->freshness_count; i++) {
        const struct td_fresh_view *view = &response->freshness[i];
        char name[TD_REGION_NAME_BYTES_MAX + 1] = "";
        char age[32] = "unknown";
        if (view->age_known && view->age_ms <= td_stale_ms(response)) {
            continue;
        }
        struct td_text region = td_response_region_name(response, view->region);
        for (uint32_t k = 0; k < region.count && k + 1 < sizeof name; k++) {
            char c = region.bytes[k];
            bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                         (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
            name[k] = plain ? c : '_';
            name[k + 1] = '\0';
        }
        if (view->age_known) {
            (void)snprintf(age, sizeof age, "%llu", (unsigned long long)(view->age_ms / 1000));
        }
        int count = snprintf(request->stale + used, sizeof request->stale - used, "%s%s;age=%s",
                             used > 0 ? ", " : "", name, age);
        if (count < 0 || (size_t)count >= sizeof request->stale - used) {
            request->stale[used] = '\0';
            return;
        }
        used += (size_t)count;
    }
}

/* ---- JSON in pieces ---- */

/* A thread that works without a pause keeps its processor for some milliseconds from whoever is
 * woken, the core among them: a page of a thousand jobs is written in bursts, with a rest after
 * each. */
enum { BURST_US = 250, REST_NS = 100000, LOOK_BYTES = 2048 };

struct dump {
    char *text;
    size_t used, size, looked;
    uint64_t since_us; /* the burst began */
};

static void rest(struct dump *dump)
{
    static const struct timespec pause = {0, REST_NS};
    if (dump->used - dump->looked < LOOK_BYTES) {
        return;
    }
    dump->looked = dump->used;
    if (td_http_now_us() - dump->since_us >= BURST_US) {
        (void)nanosleep(&pause, NULL);
        dump->since_us = td_http_now_us();
    }
}

static int dump_piece(const char *piece, size_t bytes, void *self)
{
    struct dump *dump = self;
    if (bytes > dump->size - dump->used) {
        size_t size = 2 * dump->size + bytes + 1024;
        char *grown = realloc(dump->text, size);
        if (grown == NULL) {
            return -1;
        }
        dump->text = grown;
        dump->size = size;
    }
    memcpy(dump->text + dump->used, piece, bytes);
    dump->used += bytes;
    rest(dump);
    return 0;
}

static void reply_json(struct td_http_request *request, int status, const char *type,
                       json_t *take_json, const struct td_response *response)
{
    struct dump dump = {.since_us = td_http_now_us()};
    if (response != NULL) {
        note_stale(request, response);
    }
    bool good = take_json != NULL &&
                json_dump_callback(take_json, dump_piece, &dump, TD_JSON_DUMP_FLAGS) == 0 &&
                dump_piece("\n", 1, &dump) == 0;
    json_decref(take_json);
    if (!good) {
        free(dump.text);
        return;
    }
    td_http_reply_text(request, status, type, dump.text, dump.used);
}

void td_http_reply_json(struct td_http_request *request, int status, json_t *take_json,
                        const struct td_response *response)
{
    reply_json(request, status, JSON_TYPE, take_json, response);
}

void td_http_reply_problem_json(struct td_http_request *request, enum td_err err,
                                json_t *take_problem, const struct td_response *response)
{
    reply_json(request, td_err_http_status(err), PROBLEM_TYPE, take_problem, response);
}

void td_http_reply_problem(struct td_http_request *request, enum td_err err, const char *detail)
{
    td_http_reply_problem_json(request, err, td_json_problem(err, detail), NULL);
}

bool td_http_ask(struct td_http_request *request, struct td_request *ask,
                 struct td_call_result *ret_answer)
{
    enum td_err err =
        td_seats_ask(&request->http->seats, &request->http->ops, ask, TD_HTTP_ASK_MS, ret_answer);
    if (err != TD_OK) {
        td_http_reply_problem(request, err,
                              err == TD_ETIMEOUT ? "the node did not answer in time" : NULL);
    }
    return err == TD_OK;
}

bool td_http_ask_ok(struct td_http_request *request, struct td_request *ask,
                    struct td_call_result *ret_answer)
{
    if (!td_http_ask(request, ask, ret_answer)) {
        return false;
    }
    const struct td_response *response = &ret_answer->response;
    if (response->err == TD_OK) {
        return true;
    }
    char detail[512];
    (void)snprintf(detail, sizeof detail, "%.*s", (int)response->message.count,
                   response->message.count > 0 ? response->message.bytes : "");
    json_t *problem = td_json_problem(response->err, detail);
    if (problem != NULL && response->freshness_count > 0) {
        (void)json_object_set_new(problem, "freshness", td_json_freshness(response));
    }
    td_http_reply_problem_json(request, response->err, problem, response);
    return false;
}
