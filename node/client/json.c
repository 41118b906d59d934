/* json.c -- answers about jobs as JSON, in the shapes of the interface. Status pages are in
 * json_status.c, parsing in json_parse.c. */
#include "node/client/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/client/json_parts.h"
#include "node/client/text.h"

char *td_json_text(json_t *take_json)
{
    if (take_json == NULL) {
        return NULL;
    }
    /* 15 digits: shortest form of every number we print (3 or 4 decimals), no binary noise. */
    char *text = json_dumps(take_json, TD_JSON_DUMP_FLAGS);
    json_decref(take_json);
    return text;
}

json_t *td_json_string(struct td_text text)
{
    json_t *string = json_stringn(text.count > 0 ? text.bytes : "", text.count);
    if (string != NULL) {
        return string;
    }
    char *escaped = td_text_escape_alloc(text); /* not UTF-8: never from a decoded answer */
    string = escaped != NULL ? json_string(escaped) : NULL;
    free(escaped);
    return string;
}

json_t *td_json_string_or_null(struct td_text text)
{
    return text.count > 0 ? td_json_string(text) : json_null();
}

json_t *td_json_time(uint64_t unix_ms)
{
    char text[TD_TIME_TEXT_BYTES];
    return unix_ms > 0 && td_time_format(unix_ms, text) ? json_string(text) : json_null();
}

json_t *td_json_seconds(int64_t ms)
{
    return json_real((double)ms / 1000.0);
}

/* Six decimals: on one machine a round trip takes less than a millisecond, and 0 would say "none".
 */
json_t *td_json_seconds_us(uint64_t us)
{
    return json_real((double)us / 1000000.0);
}

json_t *td_json_number(uint64_t value)
{
    return json_integer((json_int_t)(value > TD_SEQ_MAX ? TD_SEQ_MAX : value));
}

json_t *td_json_stamp(struct td_stamp stamp)
{
    char time[TD_TIME_TEXT_BYTES];
    char text[TD_TIME_TEXT_BYTES + 16];
    if (stamp.ms == 0 || !td_time_format(stamp.ms, time)) {
        return json_null();
    }
    (void)snprintf(text, sizeof text, "%s+%lu", time, (unsigned long)stamp.counter);
    return json_string(text);
}

json_t *td_json_region(const struct td_response *response, struct td_region region)
{
    return td_json_string_or_null(td_response_region_name(response, region));
}

static json_t *token_json(const struct td_response *response, const struct td_register_view *view,
                          const struct td_json_options *options)
{
    if (options != NULL && options->token != NULL) {
        return json_string(options->token);
    }
    struct td_token token = {.has = response->has};
    if (view != NULL) {
        token.seen.register_hash = td_token_register_hash(view->job, view->attempt);
        token.seen.rank = td_state_rank(view->status.state);
        token.seen.stamp = view->stamp;
        token.seen.dot = view->dot;
    }
    char *text = td_token_to_text(&token);
    json_t *string = text != NULL ? json_string(text) : NULL;
    free(text);
    return string;
}

static json_t *envelope(const struct td_response *response, const char *schema,
                        const struct td_register_view *view, const struct td_json_options *options)
{
    return json_pack("{s:s, s:o, s:o, s:o}", "schema", schema, "node",
                     td_json_string_or_null(response->node_name), "now",
                     td_json_time(response->now_ms), "token", token_json(response, view, options));
}

json_t *td_json_envelope(const struct td_response *response, const char *schema,
                         const struct td_json_options *options)
{
    return envelope(response, schema, NULL, options);
}

json_t *td_json_fresh(const struct td_response *response, const struct td_fresh_view *fresh)
{
    uint64_t age_ms = fresh->age_ms;
    bool known = fresh->age_known;
    uint64_t until_ms = age_ms < response->now_ms ? response->now_ms - age_ms : 0;
    json_t *json = json_pack("{s:o, s:o, s:o, s:b, s:o, s:o}", "region",
                             td_json_region(response, fresh->region), "complete_until",
                             known ? td_json_time(until_ms) : json_null(), "age_seconds",
                             known ? td_json_seconds((int64_t)age_ms) : json_null(), "stale",
                             !known || age_ms > td_stale_ms(response), "missing",
                             fresh->missing_known ? td_json_number(fresh->missing) : json_null(),
                             "via", td_json_region(response, fresh->via));
    if (fresh->recovering) {
        (void)json_object_set_new(json, "recovering", json_true());
    }
    if (fresh->doubt) {
        (void)json_object_set_new(json, "doubt", json_string("digest"));
    }
    return json;
}

json_t *td_json_freshness(const struct td_response *response)
{
    uint32_t deciding = td_freshness_deciding(response);
    json_t *regions = json_array();
    for (uint32_t i = 0; i < response->freshness_count; i++) {
        (void)json_array_append_new(regions, td_json_fresh(response, &response->freshness[i]));
    }
    json_t *name = deciding == UINT32_MAX
                       ? json_null()
                       : td_json_region(response, response->freshness[deciding].region);
    return json_pack("{s:b, s:o, s:o}", "certain", response->certain, "deciding_region", name,
                     "regions", regions);
}

const char *td_silence_word(const struct td_response *response, const struct td_register_view *view)
{
    if (!view->silent) {
        return NULL;
    }
    if (response->certain || view->dot.origin.region.v == response->node.v) {
        return "no_report";
    }
    for (uint32_t i = 0; i < response->freshness_count; i++) {
        const struct td_fresh_view *fresh = &response->freshness[i];
        if (fresh->region.v == view->dot.origin.region.v) {
            bool heard =
                fresh->age_known && !fresh->recovering && fresh->age_ms <= td_stale_ms(response);
            return heard ? "no_report" : "region_not_heard";
        }
    }
    return "region_not_heard";
}

static json_t *labels_json(const struct td_status *status)
{
    json_t *labels = json_object();
    for (uint8_t i = 0; i < status->label_count; i++) {
        char key[TD_LABELS_BYTES_MAX + 1];
        uint32_t count = status->labels[i].key.count;
        if (count < sizeof key) {
            memcpy(key, status->labels[i].key.bytes, count);
            key[count] = '\0';
            (void)json_object_set_new(labels, key, td_json_string(status->labels[i].value));
        }
    }
    return labels;
}

static uint64_t since_ms(const struct td_register_view *view)
{
    uint64_t entered = (unsigned)view->status.state < TD_STATE_COUNT
                           ? view->status.entered_ms[view->status.state]
                           : 0;
    return entered > 0 ? entered : view->stamp.ms;
}

static json_t *progress_json(const struct td_status *status)
{
    return status->progress_known ? json_real((double)status->progress / TD_PROGRESS_MAX)
                                  : json_null();
}

/* Only when it is: the region that said so was revoked, from a time on before it said so. */
static void set_doubt(json_t *json, const struct td_register_view *view)
{
    if ((view->flags & TD_VIEW_DOUBTFUL) != 0) {
        (void)json_object_set_new(json, "doubtful", json_true());
    }
}

/* Shared by "job" objects and changes: `name` is the key of the job's id. */
static void set_job_fields(json_t *json, const char *name, const struct td_response *response,
                           const struct td_register_view *view)
{
    const struct td_status *status = &view->status;
    (void)json_object_set_new(json, name, td_json_string(view->job));
    (void)json_object_set_new(json, "attempt", json_integer(view->attempt));
    (void)json_object_set_new(json, "state", json_string(td_state_name(status->state)));
    (void)json_object_set_new(json, "progress", progress_json(status));
    (void)json_object_set_new(json, "detail", td_json_string_or_null(status->detail));
    (void)json_object_set_new(json, "final", json_boolean(td_state_is_final(status->state)));
    (void)json_object_set_new(json, "since", td_json_time(since_ms(view)));
    (void)json_object_set_new(json, "origin", td_json_region(response, view->dot.origin.region));
    (void)json_object_set_new(json, "writer", td_json_string_or_null(status->writer));
    (void)json_object_set_new(json, "seq", td_json_number(view->dot.seq));
    (void)json_object_set_new(json, "silent", json_boolean(view->silent));
    const char *silence = td_silence_word(response, view);
    if (silence != NULL) {
        (void)json_object_set_new(json, "silence", json_string(silence));
    }
    set_doubt(json, view);
    (void)json_object_set_new(json, "versions",
                              json_integer((json_int_t)view->concurrent_count + 1));
    (void)json_object_set_new(json, "parent", td_json_string_or_null(status->parent));
    (void)json_object_set_new(json, "labels", labels_json(status));
    (void)json_object_set_new(json, "expect_every_seconds",
                              status->expect_every_s > 0 ? json_integer(status->expect_every_s)
                                                         : json_null());
    (void)json_object_set_new(json, "stamp", td_json_stamp(view->stamp));
}

json_t *td_json_job(const struct td_response *response, const struct td_register_view *view)
{
    json_t *json = json_object();
    set_job_fields(json, "id", response, view);
    return json;
}

static json_t *get_body(const struct td_response *response, const struct td_json_options *options,
                        bool all_attempts)
{
    uint32_t count = response->u.registers.count;
    const struct td_register_view *views = response->u.registers.registers;
    json_t *json = envelope(response, "tidings.job/1", count > 0 ? &views[0] : NULL, options);
    (void)json_object_set_new(json, "job",
                              count > 0 ? td_json_job(response, &views[0]) : json_null());
    if (all_attempts) {
        json_t *attempts = json_array();
        for (uint32_t i = 0; i < count; i++) {
            (void)json_array_append_new(attempts, td_json_job(response, &views[i]));
        }
        (void)json_object_set_new(json, "attempts", attempts);
    }
    (void)json_object_set_new(json, "freshness", td_json_freshness(response));
    return json;
}

json_t *td_json_get(const struct td_response *response, const struct td_json_options *options)
{
    return get_body(response, options, false);
}

json_t *td_json_get_all(const struct td_response *response, const struct td_json_options *options)
{
    return get_body(response, options, true);
}

json_t *td_json_list(const struct td_response *response, const struct td_json_options *options)
{
    json_t *json = envelope(response, "tidings.jobs/1", NULL, options);
    json_t *jobs = json_array();
    for (uint32_t i = 0; i < response->u.registers.count; i++) {
        (void)json_array_append_new(jobs,
                                    td_json_job(response, &response->u.registers.registers[i]));
    }
    (void)json_object_set_new(json, "jobs", jobs);
    /* A string: a cursor is for handing back, not for arithmetic. */
    char cursor[32];
    (void)snprintf(cursor, sizeof cursor, "%llu",
                   (unsigned long long)response->u.registers.next_cursor);
    (void)json_object_set_new(json, "next_cursor",
                              response->u.registers.next_cursor > 0 ? json_string(cursor)
                                                                    : json_null());
    (void)json_object_set_new(json, "freshness", td_json_freshness(response));
    return json;
}

static json_t *clock_json(const struct td_response *response, const struct td_register_view *view)
{
    json_t *clock = json_object();
    for (uint32_t i = 0; i < view->clock_count; i++) {
        char name[TD_REGION_NAME_BYTES_MAX + 1];
        struct td_text region = td_response_region_name(response, view->clock[i].origin.region);
        uint32_t count = region.count < sizeof name ? region.count : (uint32_t)sizeof name - 1;
        memcpy(name, region.bytes, count);
        name[count] = '\0';
        (void)json_object_set_new(clock, name, td_json_number(view->clock[i].seq));
    }
    return clock;
}

static json_t *version_json(const struct td_response *response,
                            const struct td_version_view *version)
{
    const struct td_register_view *view = &version->view;
    const char *relation = version->winner       ? "self"
                           : version->concurrent ? "concurrent"
                                                 : "superseded";
    json_t *json = json_pack(
        "{s:s, s:o, s:o, s:b, s:o, s:o, s:o, s:o, s:o, s:s, s:o, s:o, s:s, s:o, s:o}", "state",
        td_state_name(view->status.state), "progress", progress_json(&view->status), "detail",
        td_json_string_or_null(view->status.detail), "winner", version->winner, "origin",
        td_json_region(response, view->dot.origin.region), "writer",
        td_json_string_or_null(view->status.writer), "seq", td_json_number(view->dot.seq), "stamp",
        td_json_stamp(view->stamp), "clock", clock_json(response, view), "relation_to_winner",
        relation, "rule", version->winner ? json_null() : json_string(td_rule_name(version->rule)),
        "signer", td_json_key(&version->signer), "signature", version->signature_ok ? "ok" : "bad",
        "arrived_after_seconds",
        version->arrived_after_known ? td_json_seconds(version->arrived_after_ms) : json_null(),
        "path", json_pack("[o]", td_json_region(response, version->via)));
    set_doubt(json, view);
    return json;
}

json_t *td_json_key(const struct td_public_key *key)
{
    char text[8 + 64 + 1] = "ed25519:";
    for (size_t i = 0; i < sizeof key->bytes; i++) {
        (void)snprintf(text + 8 + 2 * i, 3, "%02x", (unsigned)key->bytes[i]);
    }
    return json_string(text);
}

const char *td_rule_sentence(enum td_rule rule)
{
    switch (rule) {
    case TD_RULE_ATTEMPT:
        return "a higher attempt is the newer run of the job";
    case TD_RULE_FINALITY:
        return "a final state beats a non-final state of the same attempt";
    case TD_RULE_STAMP:
        return "of equal rank, the report with the later hybrid stamp wins";
    case TD_RULE_ORIGIN:
        return "of equal stamps, the higher region, incarnation and sequence number wins";
    case TD_RULE_HASH:
        return "two signed reports carry one name; the higher hash wins until the proof is acted "
               "on";
    case TD_RULE_COUNT:
        break;
    }
    return "the rule is not known to this version";
}

json_t *td_json_refused(const struct td_response *response)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < response->u.explain.refused_count; i++) {
        const struct td_refused_view *view = &response->u.explain.refused[i];
        char code[16];
        td_err_code(view->err, code);
        (void)json_array_append_new(
            list, json_pack("{s:s, s:s, s:o, s:o, s:o, s:o}", "code", code, "error",
                            td_err_text(view->err), "count", td_json_number(view->count), "first",
                            td_json_time(view->first_ms), "last", td_json_time(view->last_ms),
                            "from", td_json_string_or_null(view->from)));
    }
    return list;
}

json_t *td_json_explain(const struct td_response *response, const struct td_json_options *options)
{
    uint32_t count = response->u.explain.count;
    const struct td_version_view *versions = response->u.explain.versions;
    json_t *json =
        envelope(response, "tidings.explain/1", count > 0 ? &versions[0].view : NULL, options);
    json_t *list = json_array();
    for (uint32_t i = 0; i < count; i++) {
        (void)json_array_append_new(list, version_json(response, &versions[i]));
    }
    bool decided = count > 1;
    json_t *explain = json_object();
    (void)json_object_set_new(explain, "job",
                              count > 0 ? td_json_string(versions[0].view.job) : json_null());
    (void)json_object_set_new(explain, "attempt",
                              count > 0 ? json_integer(versions[0].view.attempt) : json_null());
    (void)json_object_set_new(explain, "rule",
                              decided ? json_string(td_rule_name(versions[1].rule)) : json_null());
    (void)json_object_set_new(explain, "text",
                              json_string(decided ? td_rule_sentence(versions[1].rule)
                                                  : "no other version is known here"));
    (void)json_object_set_new(explain, "versions", list);
    (void)json_object_set_new(explain, "refused", td_json_refused(response));
    (void)json_object_set_new(json, "explain", explain);
    (void)json_object_set_new(json, "freshness", td_json_freshness(response));
    return json;
}

json_t *td_json_change(const struct td_response *response, const struct td_register_view *view,
                       const char *cursor)
{
    json_t *json = json_pack("{s:s}", "schema", "tidings.change/1");
    set_job_fields(json, "job", response, view);
    (void)json_object_set_new(json, "cursor", cursor != NULL ? json_string(cursor) : json_null());
    return json;
}

json_t *td_json_reset(const struct td_response *response, const char *cursor)
{
    return json_pack("{s:s, s:b, s:o, s:o}", "schema", "tidings.reset/1", "reset", 1, "node",
                     td_json_string_or_null(response->node_name), "cursor",
                     cursor != NULL ? json_string(cursor) : json_null());
}

char *td_result_token(const struct td_response *response, struct td_text job,
                      const struct td_result *result)
{
    struct td_token token = {.has = response->has};
    token.seen.register_hash = td_token_register_hash(job, result->attempt);
    token.seen.rank = result->rank;
    token.seen.stamp = result->stamp;
    token.seen.dot = result->dot;
    return td_token_to_text(&token);
}

json_t *td_json_published(const struct td_response *response, struct td_text job,
                          const struct td_result *result, const char *token)
{
    if (result->err != TD_OK) {
        return td_json_line_error(0, result->err, NULL);
    }
    char *made = token == NULL ? td_result_token(response, job, result) : NULL;
    const char *text = token != NULL ? token : made;
    json_t *json = json_pack(
        "{s:s, s:o, s:i, s:o, s:o, s:b, s:i, s:b}", "schema", "tidings.publish/1", "job",
        td_json_string(job), "attempt", (int)result->attempt, "stamp", td_json_stamp(result->stamp),
        "token", text != NULL ? json_string(text) : json_null(), "durable", 1, "acked_regions",
        (int)result->acked_regions, "noop", (int)result->noop);
    free(made);
    return json;
}

void td_err_code(enum td_err err, char *ret_text)
{
    (void)snprintf(ret_text, 16, "TD-E%04u", (unsigned)err % 10000u);
}

json_t *td_json_line_error(uint64_t line, enum td_err err, const char *detail)
{
    char code[16];
    td_err_code(err, code);
    json_t *json = json_object();
    if (line > 0) {
        (void)json_object_set_new(json, "line", td_json_number(line));
    }
    const char *hint = td_err_hint(err);
    bool detailed = detail != NULL && detail[0] != '\0';
    (void)json_object_set_new(json, "code", json_string(code));
    (void)json_object_set_new(json, "error",
                              td_json_string(td_text_of(detailed ? detail : td_err_text(err))));
    if (hint[0] != '\0') {
        (void)json_object_set_new(json, "hint", json_string(hint));
    }
    return json;
}

json_t *td_json_problem(enum td_err err, const char *detail)
{
    char code[16];
    char type[32];
    td_err_code(err, code);
    (void)snprintf(type, sizeof type, "/errors/%s", code);
    json_t *json = json_pack("{s:s, s:s, s:i, s:s}", "type", type, "title", td_err_text(err),
                             "status", td_err_http_status(err), "code", code);
    if (detail != NULL && detail[0] != '\0') {
        (void)json_object_set_new(json, "detail", td_json_string(td_text_of(detail)));
    }
    const char *hint = td_err_hint(err);
    if (hint[0] != '\0') {
        (void)json_object_set_new(json, "hint", json_string(hint));
    }
    return json;
}
