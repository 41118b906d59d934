/* put.c -- publishing one report over HTTP. The answer comes after the local commit, or after as
 * many regions as asked for; a refusal shows the status that stands in the way. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/client/text.h"
#include "node/http/internal.h"
#include "proto/delta.h"
#include "proto/order.h"

struct report {
    struct td_json_update parsed;
    struct td_token token;
    struct td_token_memory memory;
    uint8_t ack;
    uint32_t wait_ms;
};

static bool refuse(struct td_http_request *request, enum td_err err, const char *what)
{
    td_http_reply_problem(request, err, what);
    return false;
}

static bool take_params(struct td_http_request *request, struct report *report)
{
    const struct td_params *params = &request->params;
    uint64_t ack = 0;
    uint64_t wait_ms = TD_HTTP_WAIT_MS_DEFAULT;
    if (strcmp(td_param_text(params, TD_PARAM_ack), "all") == 0) {
        ack = TD_ACK_ALL;
    } else if (!td_param_uint(params, TD_PARAM_ack, TD_REGIONS_MAX - 1, &ack)) {
        return refuse(request, TD_EQUERY, "ack: a number of other regions, or all");
    }
    if (!td_param_ms(params, TD_PARAM_wait, &wait_ms) || wait_ms > TD_HTTP_WAIT_MS_MAX) {
        return refuse(request, TD_EQUERY, "wait: a duration up to 60s");
    }
    report->ack = (uint8_t)ack;
    report->wait_ms = (uint32_t)wait_ms;
    return true;
}

/* The token of what the writer saw last: a partial report is refused here when it is not covered.
 */
static bool take_token(struct td_http_request *request, struct report *report)
{
    struct td_update *update = &report->parsed.update;
    if (!td_param_given(&request->params, TD_PARAM_after)) {
        return true;
    }
    enum td_err err = td_token_from_text(td_param_text(&request->params, TD_PARAM_after),
                                         &report->token, &report->memory);
    if (err != TD_OK) {
        return refuse(request, err, NULL);
    }
    uint16_t attempt = update->attempt != 0 ? update->attempt : 1;
    if (report->token.seen.register_hash == td_token_register_hash(update->job, attempt)) {
        update->seen = report->token.seen;
    }
    return true;
}

static bool take_report(struct td_http_request *request, struct report *report)
{
    struct td_text job = request->params.values[TD_PARAM_id];
    struct td_text body = {(const char *)request->body.bytes, (uint32_t)request->body.used_bytes};
    char why[256] = "";
    if (job.bytes == NULL || !td_job_valid(job)) {
        return refuse(request, TD_EJOBID, job.bytes == NULL ? "the parameter id is missing" : NULL);
    }
    enum td_err err = td_json_update_parse(body, job, &report->parsed, why, sizeof why);
    if (err != TD_OK) {
        return refuse(request, err, why);
    }
    if (!td_text_equal(report->parsed.update.job, job)) {
        return refuse(request, TD_EJOBID, "\"job\" differs from the parameter id; leave it out");
    }
    if (request->token != NULL && !td_http_token_may_publish(request->token, job)) {
        return refuse(request, TD_EPERM, "the token's role or prefixes do not allow this job");
    }
    return take_params(request, report) && take_token(request, report);
}

/* The status that stands in the way, beside the refusal. */
static void reply_conflict(struct td_http_request *request, const struct td_update *update,
                           const struct td_result *result)
{
    struct td_request ask = {.op = TD_OP_GET,
                             .u.get = {.job = update->job, .attempt = result->attempt}};
    struct td_call_result answer;
    char detail[256] = "";
    enum td_err err =
        td_seats_ask(&request->http->seats, &request->http->ops, &ask, TD_HTTP_ASK_MS, &answer);
    bool known =
        err == TD_OK && answer.response.err == TD_OK && answer.response.u.registers.count > 0;
    if (result->current_stamp.ms != 0 && result->current_state < TD_STATE_COUNT) {
        char since[TD_TIME_TEXT_BYTES] = "";
        (void)td_time_format(result->current_stamp.ms, since);
        (void)snprintf(detail, sizeof detail, "attempt %u is %s since %s", result->attempt,
                       td_state_name((enum td_state)result->current_state), since);
    }
    json_t *problem = td_json_problem(result->err, detail);
    if (problem != NULL) {
        (void)json_object_set_new(
            problem, "job",
            known ? td_json_job(&answer.response, answer.response.u.registers.registers)
                  : json_null());
    }
    if (problem != NULL && known) {
        (void)json_object_set_new(problem, "freshness", td_json_freshness(&answer.response));
    }
    td_http_reply_problem_json(request, result->err, problem, known ? &answer.response : NULL);
    td_call_release(&answer);
}

/* The token covers this report and nothing else, as on the command line. */
static json_t *published(const struct td_update *update, const struct td_result *result)
{
    struct td_vv_entry entry = {result->dot.origin, result->dot.seq};
    struct td_response response = {
        .has = {.entry_count = result->dot.seq > 0 ? 1 : 0, .entries = &entry}};
    struct td_result shown = *result;
    shown.err = TD_OK;
    return td_json_published(&response, update->job, &shown, NULL);
}

static void reply_result(struct td_http_request *request, const struct td_update *update,
                         const struct td_result *result)
{
    json_t *problem = NULL;
    json_t *made = NULL;
    switch (result->err) {
    case TD_OK:
        td_http_reply_json(request, 200, published(update, result), NULL);
        break;
    case TD_ERANK:
    case TD_EFINAL:
    case TD_ELOSTFIRST:
    case TD_EPARTIAL:
        reply_conflict(request, update, result);
        break;
    case TD_EACK: /* it is stored: what a successful answer says is in it */
        problem = td_json_problem(result->err, NULL);
        made = published(update, result);
        if (problem != NULL && made != NULL) {
            (void)json_object_del(made, "schema");
            (void)json_object_update(problem, made);
        }
        json_decref(made);
        td_http_reply_problem_json(request, result->err, problem, NULL);
        break;
    default:
        td_http_reply_problem(request, result->err, NULL);
        break;
    }
}

void td_http_put_job(struct td_http_request *request)
{
    struct report report = {0};
    struct td_call_result answer = {0};
    if (take_report(request, &report)) {
        struct td_request ask = {
            .op = TD_OP_PUBLISH,
            .timeout_ms = report.wait_ms,
            .after = report.token.has,
            .u.publish = {.ack = report.ack, .count = 1, .updates = &report.parsed.update}};
        if (td_http_ask_ok(request, &ask, &answer)) {
            if (answer.response.u.publish.count == 1) {
                reply_result(request, &report.parsed.update, &answer.response.u.publish.results[0]);
            } else {
                td_http_reply_problem(request, TD_EFORMAT, NULL);
            }
        }
    }
    td_call_release(&answer);
    td_token_release(&report.memory);
    td_json_update_release(&report.parsed);
}
