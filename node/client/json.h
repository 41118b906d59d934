/* json.h -- answers as JSON, in exactly the shapes of the interface (section 8), for the CLI and
 * the HTTP gateway; and JSON lines as updates. Uses jansson. Every function that returns a json_t
 * gives a new reference, NULL when out of memory. */
#ifndef TD_CLIENT_JSON_H
#define TD_CLIENT_JSON_H

#include <jansson.h>

#include "node/client/call.h"
#include "proto/roster.h"

struct td_json_options {
    const char
        *token; /* text to show; NULL = made from response.has (and the shown register's stamp) */
};

/* Compact, object keys in the order they were set, UTF-8 as is. malloc'ed, no newline; NULL = no
 * memory. */
char *td_json_text(json_t *take_json);
enum { TD_JSON_DUMP_FLAGS = JSON_COMPACT | JSON_REAL_PRECISION(15) }; /* how it is written */

/* {"schema":SCHEMA,"node":..,"now":..,"token":..} from the answer. */
json_t *td_json_envelope(const struct td_response *response, const char *schema,
                         const struct td_json_options *options);
/* {"certain":..,"deciding_region":..,"regions":[..]} */
json_t *td_json_freshness(const struct td_response *response);
/* Why a job that promised reports shows none: "no_report" (its region is heard, so none came) or
 * "region_not_heard" (one may have come there); NULL when it is not silent. A region is heard when
 * its part is not stale, or the node is certain. */
const char *td_silence_word(const struct td_response *response,
                            const struct td_register_view *view);
/* The "job" object of one register; "silence" only when it is silent. */
json_t *td_json_job(const struct td_response *response, const struct td_register_view *view);

/* Whole bodies. options may be NULL. */
json_t *td_json_get(const struct td_response *response, const struct td_json_options *options);
/* All attempts: "attempts":[job, ...] beside "job" (the highest). */
json_t *td_json_get_all(const struct td_response *response, const struct td_json_options *options);
json_t *td_json_list(const struct td_response *response, const struct td_json_options *options);
json_t *td_json_explain(const struct td_response *response, const struct td_json_options *options);
/* Of an EXPLAIN, also of one that knows no such job: what was refused here since the node started:
 * [{"code","error","count","first","last","from"}]. */
json_t *td_json_refused(const struct td_response *response);
/* Of an EXPLAIN: the worst of a job's concurrent losers, another final state before anything else. NULL = its
 * losers are no longer remembered. */
const struct td_version_view *td_conflict_loser(const struct td_response *explain);
/* Whether both are final and say different things. */
bool td_conflict_of_finals(const struct td_register_view *winner,
                           const struct td_version_view *loser);
/* The job with "kind" and "explain"; explain has a version. */
json_t *td_json_conflict(const struct td_response *explain, const struct td_json_options *options);
/* Regions with an alarm, of a STATUS: [{"region","alarm"}]. */
json_t *td_json_alarms(const struct td_response *status);
/* The whole body, of a STATUS; take_list: td_json_conflict of each job. */
json_t *td_json_conflicts(const struct td_response *status, json_t *take_list, bool more,
                          const struct td_json_options *options);
/* One change of a watch: flat job fields, origin, seq, stamp, cursor; schema tidings.change/1. */
json_t *td_json_change(const struct td_response *response, const struct td_register_view *view,
                       const char *cursor);
/* {"schema":"tidings.reset/1","reset":true,"node":..,"cursor":..} */
json_t *td_json_reset(const struct td_response *response, const char *cursor);
/* {"updates","jobs","oldest","eta_seconds"}, null = not known. */
json_t *td_json_they_lack(const struct td_region_view *region);
/* STATUS in three forms, and the node's own numbers. */
json_t *td_json_peers(const struct td_response *response, const struct td_json_options *options);
json_t *td_json_mesh(const struct td_response *response, const struct td_json_options *options);
json_t *td_json_regions(const struct td_response *response, const struct td_json_options *options);
/* response may be NULL (a roster from a file has no envelope). A verified roster:
 * "roster":{version, cluster, issued, policy, regions, clients}. */
json_t *td_json_roster(const struct td_response *response, const struct td_roster *roster,
                       const struct td_json_options *options);
/* tidings.publish/1 of one result; err not TD_OK gives the error form below. token NULL = made. */
json_t *td_json_published(const struct td_response *response, struct td_text job,
                          const struct td_result *result, const char *token);
/* {"line":N,"code":"TD-E0102","error":..}; line 0 is left out; hint left out when empty. */
json_t *td_json_line_error(uint64_t line, enum td_err err, const char *detail);
/* Whether `by` said in its newest head (we ourselves: see) that it hears `about`. */
bool td_region_hears(const struct td_region_view *by, const struct td_region_view *about);
enum td_way { TD_WAY_UNKNOWN, TD_WAY_DIRECT, TD_WAY_DETOUR };
/* Whether `by` said that it has a direct link to `about`; an older node does not tell. *ret_via:
 * the region through which its updates come instead, 0 = none. */
enum td_way td_region_way(const struct td_region_view *by, const struct td_region_view *about,
                          struct td_region *ret_via);
/* Both are there, and one of them at least says that the direct link between them is not. */
bool td_regions_unlinked(const struct td_region_view *a, const struct td_region_view *b);
/* RFC 9457: {"type","title","status","code","detail","hint"}; add "job" or others yourself. */
json_t *td_json_problem(enum td_err err, const char *detail);
/* Why the winner wins, one sentence. */
const char *td_rule_sentence(enum td_rule rule);
/* "TD-E0213"; ret_text: 16 bytes. */
void td_err_code(enum td_err err, char *ret_text);

/* Token of a publish: its register's stamp and dot, and the answer's vector. malloc'ed. */
char *td_result_token(const struct td_response *response, struct td_text job,
                      const struct td_result *result);

/* ---- one JSON line or HTTP body -> update ---- */

/* Memory of a parsed update: its texts point into json and labels. */
struct td_json_update {
    struct td_update update;
    json_t *json;
    struct td_label labels[TD_LABELS_MAX];
};
/* {"job","state","attempt","progress","detail","parent","labels","writer","expect_every_seconds",
 * "correct"}. TD_EJSON for malformed text and unknown keys, else the field's own code; ret_why gets
 * one sentence naming the key. job_default (may be empty) stands in for a missing "job". Release in
 * every case with td_json_update_release. */
TD_MUST_USE enum td_err td_json_update_parse(struct td_text line, struct td_text job_default,
                                             struct td_json_update *ret_update, char *ret_why,
                                             size_t why_bytes);
void td_json_update_release(struct td_json_update *update);

#endif
