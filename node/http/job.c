/* job.c -- reading one job: status, versions, history; with how fresh it is, and the two kinds of
 * "not found". */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/client/sentences.h"
#include "node/client/text.h"
#include "node/http/internal.h"
#include "proto/delta.h"

/* What was asked for. The token's memory has to be released. */
struct question {
    struct td_request ask;
    bool max_stale_given;
    uint64_t max_stale_ms;
    struct td_token token;
    struct td_token_memory memory;
};

static bool refuse(struct td_http_request *request, enum td_err err, const char *what)
{
    td_http_reply_problem(request, err, what);
    return false;
}

static bool take_question(struct td_http_request *request, enum td_op op, struct question *question)
{
    const struct td_params *params = &request->params;
    uint64_t attempt = 0;
    uint64_t wait_ms = TD_HTTP_WAIT_MS_DEFAULT;
    bool all = false;
    struct td_text job = params->values[TD_PARAM_id];
    if (job.bytes == NULL || !td_job_valid(job)) {
        return refuse(request, TD_EJOBID, job.bytes == NULL ? "the parameter id is missing" : NULL);
    }
    if (!td_param_uint(params, TD_PARAM_attempt, TD_ATTEMPT_MAX, &attempt)) {
        return refuse(request, TD_EATTEMPT, NULL);
    }
    if (!td_param_ms(params, TD_PARAM_wait, &wait_ms) || wait_ms > TD_HTTP_WAIT_MS_MAX) {
        return refuse(request, TD_EQUERY, "wait: a duration up to 60s");
    }
    question->max_stale_given = td_param_given(params, TD_PARAM_max_stale);
    if (!td_param_ms(params, TD_PARAM_max_stale, &question->max_stale_ms)) {
        return refuse(request, TD_EQUERY, "max_stale: a duration such as 30s");
    }
    if (!td_param_flag(params, TD_PARAM_all_attempts, &all)) {
        return refuse(request, TD_EQUERY, "all_attempts: 1 or 0");
    }
    question->ask = (struct td_request){
        .op = op, .u.get = {.job = job, .attempt = (uint16_t)attempt, .all_attempts = all}};
    if (td_param_given(params, TD_PARAM_after)) {
        const char *text = td_param_text(params, TD_PARAM_after);
        enum td_err err = td_token_from_text(text, &question->token, &question->memory);
        if (err != TD_OK) {
            return refuse(request, err, NULL);
        }
        question->ask.after = question->token.has;
        question->ask.timeout_ms = (uint32_t)wait_ms;
    }
    return true;
}

/* 412: the last that is known is in the body all the same. */
static void reply_stale(struct td_http_request *request, const struct question *question,
                        const struct td_response *response, bool known)
{
    const struct td_fresh_view *view = &response->freshness[td_freshness_deciding(response)];
    char name[TD_REGION_NAME_BYTES_MAX * 8 + 1];
    char age[TD_DURATION_TEXT_BYTES], asked[TD_DURATION_TEXT_BYTES], detail[512];
    td_text_escape(td_response_region_name(response, view->region), name, sizeof name);
    td_duration_format(view->age_ms, age);
    td_duration_format(question->max_stale_ms, asked);
    (void)snprintf(detail, sizeof detail, "%s %s%s%s; %s asked for", name,
                   view->age_known ? "last complete " : "not complete since this node started",
                   view->age_known ? age : "", view->age_known ? " ago" : "", asked);
    json_t *problem = td_json_problem(TD_ESTALE, detail);
    json_t *body = known && response->op == TD_OP_GET ? td_json_get(response, NULL) : NULL;
    if (body != NULL) {
        (void)json_object_set(problem, "job", json_object_get(body, "job"));
    } else {
        (void)json_object_set_new(problem, "job", json_null());
    }
    (void)json_object_set_new(problem, "freshness", td_json_freshness(response));
    json_decref(body);
    td_http_reply_problem_json(request, TD_ESTALE, problem, response);
}

static void reply_unknown(struct td_http_request *request, const struct question *question,
                          const struct td_response *response)
{
    char line[4096];
    td_unknown_sentence(response, question->ask.u.get.attempt, response->certain, line,
                        sizeof line);
    json_t *problem = td_json_problem(TD_EUNKNOWN, line);
    if (problem != NULL) {
        (void)json_object_set_new(problem, "freshness", td_json_freshness(response));
    }
    if (problem != NULL && response->op == TD_OP_EXPLAIN) {
        (void)json_object_set_new(problem, "refused", td_json_refused(response));
    }
    td_http_reply_problem_json(request, TD_EUNKNOWN, problem, response);
}

static void reply_failure(struct td_http_request *request, const struct td_response *response)
{
    json_t *problem = td_json_problem(
        response->err,
        response->err == TD_ETIMEOUT ? "what the token names has not arrived here yet" : NULL);
    if (problem != NULL && response->freshness_count > 0) {
        (void)json_object_set_new(problem, "freshness", td_json_freshness(response));
    }
    td_http_reply_problem_json(request, response->err, problem, response);
}

typedef json_t *(*shape)(const struct td_response *response, const struct td_json_options *options);

static void answer(struct td_http_request *request, struct question *question, shape make)
{
    struct td_call_result result;
    if (td_http_ask(request, &question->ask, &result)) {
        const struct td_response *response = &result.response;
        uint32_t count = question->ask.op == TD_OP_EXPLAIN ? response->u.explain.count
                                                           : response->u.registers.count;
        bool known = response->err == TD_OK && count > 0;
        if (response->err != TD_OK && response->err != TD_EUNKNOWN) {
            reply_failure(request, response);
        } else if (question->max_stale_given &&
                   !td_fresh_within(response, question->max_stale_ms)) {
            reply_stale(request, question, response, known);
        } else if (!known) {
            reply_unknown(request, question, response);
        } else {
            td_http_reply_json(request, 200, make(response, NULL), response);
        }
    }
    td_call_release(&result);
}

static void get(struct td_http_request *request, enum td_op op, bool history)
{
    struct question question = {0};
    if (take_question(request, op, &question)) {
        bool all = question.ask.u.get.all_attempts;
        if (history) { /* of all attempts, or of the one that was named; the shape is the same */
            question.ask.u.get.all_attempts = question.ask.u.get.attempt == 0;
        }
        answer(request, &question,
               op == TD_OP_EXPLAIN ? td_json_explain
               : history || all    ? td_json_get_all
                                   : td_json_get);
    }
    td_token_release(&question.memory);
}

void td_http_get_job(struct td_http_request *request)
{
    get(request, TD_OP_GET, false);
}

void td_http_get_history(struct td_http_request *request)
{
    get(request, TD_OP_GET, true);
}

void td_http_get_explain(struct td_http_request *request)
{
    get(request, TD_OP_EXPLAIN, false);
}
