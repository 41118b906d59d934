/* filter.c -- which jobs: the parameters shared by lists and watches, with the words and the forms
 * of the command line. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "node/client/text.h"
#include "node/http/internal.h"
#include "proto/order.h"

static bool refuse(struct td_http_request *request, const char *what)
{
    td_http_reply_problem(request, TD_EQUERY, what);
    return false;
}

static bool take_states(struct td_http_request *request, uint8_t *ret_states)
{
    const char *words = td_param_text(&request->params, TD_PARAM_state);
    while (*words != '\0') {
        enum td_state state;
        size_t count = strcspn(words, ",");
        if (!td_state_parse((struct td_text){words, (uint32_t)count}, &state)) {
            td_http_reply_problem(request, TD_ESTATE,
                                  "state: a list of states with commas between");
            return false;
        }
        *ret_states = (uint8_t)(*ret_states | 1u << state);
        words += count + (words[count] == ',' ? 1 : 0);
    }
    return true;
}

/* Regions go by name outside and by number inside: the node is asked for the names. */
static bool take_origin(struct td_http_request *request, struct td_region *ret_region)
{
    struct td_text name = request->params.values[TD_PARAM_origin];
    struct td_request ask = {.op = TD_OP_STATUS};
    struct td_call_result answer;
    if (name.bytes == NULL) {
        return true;
    }
    bool ok = td_http_ask_ok(request, &ask, &answer);
    for (uint32_t i = 0; ok && i < answer.response.name_count; i++) {
        if (td_text_equal(answer.response.names[i].name, name)) {
            *ret_region = answer.response.names[i].region;
        }
    }
    td_call_release(&answer);
    if (ok && ret_region->v == 0) {
        return refuse(request, "origin: no region has this name; /v1/regions lists them");
    }
    return ok;
}

static bool take_since(struct td_http_request *request, uint64_t *ret_since_ms)
{
    const char *text = td_param_text(&request->params, TD_PARAM_since);
    uint64_t ms = 0;
    if (text[0] == '\0') {
        return true;
    }
    if (td_duration_parse(text, &ms)) {
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        uint64_t now_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
        *ret_since_ms = ms < now_ms ? now_ms - ms : 1;
        return true;
    }
    return td_time_parse(td_text_of(text), ret_since_ms) ||
           refuse(request, "since: a duration (10m) or a time (2026-03-02T14:00:00Z)");
}

bool td_http_filter(struct td_http_request *request, struct td_filter *ret_filter)
{
    const struct td_params *params = &request->params;
    struct td_filter filter = {.prefix = params->values[TD_PARAM_prefix]};
    if (filter.prefix.count > TD_JOB_BYTES_MAX) {
        return refuse(request, "prefix: at most 200 bytes");
    }
    if (!td_param_flag(params, TD_PARAM_silent, &filter.silent) ||
        !td_param_flag(params, TD_PARAM_conflicts, &filter.conflicts)) {
        return refuse(request, "silent and conflicts: 1 or 0");
    }
    if (!take_states(request, &filter.states) || !take_since(request, &filter.since_ms) ||
        !take_origin(request, &filter.origin)) {
        return false;
    }
    *ret_filter = filter;
    return true;
}
