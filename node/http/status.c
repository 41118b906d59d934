/* status.c -- the cluster as this node sees it: peers, mesh, regions, roster. */
#include <stdlib.h>

#include "node/http/internal.h"
#include "proto/reader.h"

typedef json_t *(*view)(const struct td_response *response, const struct td_json_options *options);

static void reply_status(struct td_http_request *request, view make)
{
    struct td_request ask = {.op = TD_OP_STATUS};
    struct td_call_result answer;
    if (td_http_ask_ok(request, &ask, &answer)) {
        td_http_reply_json(request, 200, make(&answer.response, NULL), &answer.response);
    }
    td_call_release(&answer);
}

void td_http_get_peers(struct td_http_request *request)
{
    reply_status(request, td_json_peers);
}

void td_http_get_mesh(struct td_http_request *request)
{
    reply_status(request, td_json_mesh);
}

void td_http_get_regions(struct td_http_request *request)
{
    reply_status(request, td_json_regions);
}

void td_http_get_roster(struct td_http_request *request)
{
    enum { ARENA_BYTES = 8 * 1024 * 1024 };
    struct td_request ask = {.op = TD_OP_ROSTER_GET};
    struct td_call_result answer;
    struct td_sodium_signer sodium = {0};
    struct td_signer signer = td_sodium_signer(&sodium);
    struct td_roster roster;
    struct td_arena arena;
    if (td_http_ask_ok(request, &ask, &answer)) {
        void *block = malloc(ARENA_BYTES);
        struct td_reader *reader = td_reader_alloc();
        td_arena_init(&arena, block, block != NULL ? ARENA_BYTES : 0);
        enum td_err err =
            block == NULL || reader == NULL ? TD_ENOMEM
            : answer.response.u.roster.count == 0
                ? TD_ESTARTING
                : td_roster_decode(answer.response.u.roster, &signer,
                                   &request->http->config.root_sign_key, reader, &arena, &roster);
        if (err == TD_OK) {
            td_http_reply_json(request, 200, td_json_roster(&answer.response, &roster, NULL),
                               &answer.response);
        } else {
            td_http_reply_problem(request, err,
                                  err == TD_ESTARTING ? "no roster is known here yet" : NULL);
        }
        td_reader_free(reader);
        free(block);
    }
    td_call_release(&answer);
}
