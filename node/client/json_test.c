/* json_test.c -- the JSON of the interface, character by character, and JSON lines as updates. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "node/client/json.h"
#include "node/client/text.h"

#define T(text)                                                                                    \
    {                                                                                              \
        text, sizeof text - 1                                                                      \
    }

static const struct td_region_name names[] = {
    {{1}, T("eu-west")}, {{2}, T("us-east")}, {{3}, T("ap-south")}};
static const struct td_fresh_view fresh[] = {
    {.region = {2}, .age_known = true, .age_ms = 252020},
    {.region = {3}, .age_known = true, .age_ms = 1220, .missing_known = true, .via = {2}},
};

static struct td_response response_of(enum td_op op)
{
    struct td_response response = {.op = op};
    response.node.v = 1;
    response.node_name = (struct td_text)T("eu-west");
    response.cluster_name = (struct td_text)T("demo");
    response.now_ms = 1772460522120;
    response.freshness_count = 2;
    response.freshness = fresh;
    response.name_count = 3;
    response.names = names;
    return response;
}

static const struct td_json_options with_token = {.token = "tdt1:x"};

static void same(json_t *take_json, const char *expected)
{
    char *text = td_json_text(take_json);
    assert_non_null(text);
    assert_string_equal(text, expected);
    free(text);
}

#define FRESHNESS                                                                                  \
    "\"freshness\":{\"certain\":false,\"deciding_region\":\"us-east\",\"regions\":["               \
    "{\"region\":\"us-east\",\"complete_until\":\"2026-03-02T14:04:30.100Z\","                     \
    "\"age_seconds\":252.02,\"stale\":true,\"missing\":null,\"via\":null},"                        \
    "{\"region\":\"ap-south\",\"complete_until\":\"2026-03-02T14:08:40.900Z\","                    \
    "\"age_seconds\":1.22,\"stale\":false,\"missing\":0,\"via\":\"us-east\"}]}"
#define HEAD(schema)                                                                               \
    "{\"schema\":\"" schema "\",\"node\":\"eu-west\",\"now\":\"2026-03-02T14:08:42.120Z\","        \
    "\"token\":\"tdt1:x\","

static struct td_register_view running_view(void)
{
    static const struct td_label labels[] = {{T("env"), T("prod")}};
    struct td_register_view view = {.job = T("eu-4711"), .attempt = 1};
    view.status.state = TD_STATE_RUNNING;
    view.status.progress_known = true;
    view.status.progress = 4000;
    view.status.detail = (struct td_text)T("12 of 30 tables");
    view.status.writer = (struct td_text)T("w-17");
    view.status.labels = labels;
    view.status.label_count = 1;
    view.status.entered_ms[TD_STATE_RUNNING] = 1772460131004;
    view.stamp = (struct td_stamp){1772460131004, 2};
    view.dot.origin.region.v = 2;
    view.dot.seq = 78;
    return view;
}

#define JOB_TAIL                                                                                   \
    "\"attempt\":1,\"state\":\"running\",\"progress\":0.4,\"detail\":\"12 of 30 tables\","         \
    "\"final\":false,\"since\":\"2026-03-02T14:02:11.004Z\",\"origin\":\"us-east\","               \
    "\"writer\":\"w-17\",\"seq\":78,\"silent\":false,\"versions\":1,\"parent\":null,"              \
    "\"labels\":{\"env\":\"prod\"},\"expect_every_seconds\":null,"                                 \
    "\"stamp\":\"2026-03-02T14:02:11.004Z+2\""

static void test_get_has_the_shape_of_the_interface(void **state)
{
    (void)state;
    struct td_register_view view = running_view();
    struct td_response response = response_of(TD_OP_GET);
    response.u.registers.count = 1;
    response.u.registers.registers = &view;
    same(td_json_get(&response, &with_token),
         HEAD("tidings.job/1") "\"job\":{\"id\":\"eu-4711\"," JOB_TAIL "}," FRESHNESS "}");
}

static void test_an_unknown_job_is_null_and_still_has_freshness(void **state)
{
    (void)state;
    struct td_response response = response_of(TD_OP_GET);
    same(td_json_get(&response, &with_token), HEAD("tidings.job/1") "\"job\":null," FRESHNESS "}");
}

static void test_unknown_ages_are_null_and_decide(void **state)
{
    static const struct td_fresh_view unknown[] = {
        {.region = {2}, .age_known = true, .age_ms = UINT64_C(99999000)},
        {.region = {3}, .doubt = true, .recovering = true},
    };
    (void)state;
    struct td_response response = response_of(TD_OP_GET);
    response.freshness = unknown;
    same(td_json_freshness(&response),
         "{\"certain\":false,\"deciding_region\":\"ap-south\",\"regions\":["
         "{\"region\":\"us-east\",\"complete_until\":\"2026-03-01T10:22:03.120Z\",\"age_seconds\":"
         "99999.0,"
         "\"stale\":true,\"missing\":null,\"via\":null},"
         "{\"region\":\"ap-south\",\"complete_until\":null,\"age_seconds\":null,\"stale\":true,"
         "\"missing\":null,\"via\":null,\"recovering\":true,\"doubt\":\"digest\"}]}");
    response.freshness_count = 0;
    same(td_json_freshness(&response),
         "{\"certain\":false,\"deciding_region\":null,\"regions\":[]}");
}

static void test_stale_is_what_the_answering_node_calls_so(void **state)
{
    static const struct td_fresh_view old = {.region = {2}, .age_known = true, .age_ms = 4000};
    (void)state;
    struct td_response response = response_of(TD_OP_GET);
    struct td_register_view view = {.silent = true, .dot.origin.region = {2}};
    response.freshness = &old;
    response.freshness_count = 1;
    response.certain = false;
    for (response.stale_ms = 3999; response.stale_ms <= 4000; response.stale_ms++) {
        json_t *json = td_json_freshness(&response);
        const json_t *region = json_array_get(json_object_get(json, "regions"), 0);
        bool stale = json_is_true(json_object_get(region, "stale"));
        assert_int_equal(stale, response.stale_ms < 4000);
        assert_string_equal(td_silence_word(&response, &view),
                            stale ? "region_not_heard" : "no_report");
        json_decref(json);
    }
}

static void test_silent_is_told_apart_from_not_heard(void **state)
{
    static const struct td_fresh_view heard[] = {{.region = {2}, .age_known = true, .age_ms = 900}};
    static const struct td_fresh_view old[] = {{.region = {2}, .age_known = true, .age_ms = 31000}};
    static const struct td_fresh_view never[] = {{.region = {2}}};
    static const struct td_fresh_view back[] = {
        {.region = {2}, .age_known = true, .recovering = true}};
    static const struct {
        bool silent, certain;
        const struct td_fresh_view *fresh;
        uint32_t fresh_count;
        const char *word;
    } rows[] = {
        {false, true, heard, 1, NULL},
        {true, true, heard, 1, "no_report"},
        {true, false, heard, 1, "no_report"}, /* another region is the unheard one */
        {true, false, old, 1, "region_not_heard"},
        {true, false, never, 1, "region_not_heard"},
        {true, false, back, 1, "region_not_heard"},
        {true, false, NULL, 0, "region_not_heard"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct td_register_view view = running_view();
        struct td_response response = response_of(TD_OP_LIST);
        response.certain = rows[i].certain;
        response.freshness = rows[i].fresh;
        response.freshness_count = rows[i].fresh_count;
        view.silent = rows[i].silent;
        const char *word = td_silence_word(&response, &view);
        assert_true((word == NULL) == (rows[i].word == NULL));
        if (word != NULL) {
            assert_string_equal(word, rows[i].word);
        }
        view.dot.origin.region = response.node; /* what we took ourselves needs nobody else */
        word = td_silence_word(&response, &view);
        assert_true(word == NULL || strcmp(word, "no_report") == 0);
    }
}

static void test_list_and_changes(void **state)
{
    (void)state;
    struct td_register_view view = running_view();
    struct td_response response = response_of(TD_OP_LIST);
    response.u.registers.count = 1;
    response.u.registers.registers = &view;
    response.u.registers.next_cursor = 256;
    same(td_json_list(&response, &with_token),
         HEAD("tidings.jobs/1") "\"jobs\":[{\"id\":\"eu-4711\"," JOB_TAIL
                                "}],\"next_cursor\":\"256\"," FRESHNESS "}");
    same(td_json_change(&response, &view, "tdc1:y"),
         "{\"schema\":\"tidings.change/1\",\"job\":\"eu-4711\"," JOB_TAIL
         ",\"cursor\":\"tdc1:y\"}");
    same(td_json_reset(&response, "tdc1:y"),
         "{\"schema\":\"tidings.reset/"
         "1\",\"reset\":true,\"node\":\"eu-west\",\"cursor\":\"tdc1:y\"}");
}

static void test_published_has_the_shape_of_the_interface(void **state)
{
    (void)state;
    struct td_response response = response_of(TD_OP_PUBLISH);
    struct td_result result = {.attempt = 1, .stamp = {1772460131004, 0}, .acked_regions = 2};
    same(td_json_published(&response, (struct td_text)T("eu-4711"), &result, "tdt1:x"),
         "{\"schema\":\"tidings.publish/1\",\"job\":\"eu-4711\",\"attempt\":1,"
         "\"stamp\":\"2026-03-02T14:02:11.004Z+0\",\"token\":\"tdt1:x\",\"durable\":true,"
         "\"acked_regions\":2,\"noop\":false}");
    result.err = TD_ECLONE;
    same(td_json_published(&response, (struct td_text)T("eu-4711"), &result, NULL),
         "{\"code\":\"TD-E0408\",\"error\":\"another node uses this region's key\","
         "\"hint\":\"stop the clone; see the runbook\"}");
}

static void test_explain_names_rule_relation_and_clock(void **state)
{
    static const struct td_dot clock[] = {{{{1}, {1, 1}}, 3}, {{{2}, {1, 1}}, 81}};
    (void)state;
    struct td_response response = response_of(TD_OP_EXPLAIN);
    struct td_version_view versions[2] = {{.view = running_view(),
                                           .winner = true,
                                           .signature_ok = true,
                                           .via = {2},
                                           .arrived_after_known = true,
                                           .arrived_after_ms = 90},
                                          {.view = running_view(),
                                           .concurrent = true,
                                           .rule = TD_RULE_FINALITY,
                                           .signature_ok = true,
                                           .via = {1}}};
    versions[0].view.status.state = TD_STATE_COMPLETED;
    versions[0].view.status.progress_known = false;
    versions[0].view.clock = clock;
    versions[0].view.clock_count = 2;
    response.freshness_count = 0;
    response.u.explain.count = 2;
    response.u.explain.versions = versions;
    static const struct td_refused_view refused = {TD_EBADSIG, 2, 1772460271900, 1772460341000,
                                                   T("eu-west at 10.0.3.9:7717")};
    response.u.explain.refused_count = 1;
    response.u.explain.refused = &refused;
#define ZERO_KEY                                                                                   \
    "\"signer\":\"ed25519:0000000000000000000000000000000000000000000000000000000000000000\","     \
    "\"signature\":\"ok\","
#define NO_FRESHNESS "\"freshness\":{\"certain\":false,\"deciding_region\":null,\"regions\":[]}"
    same(td_json_explain(&response, &with_token),
         HEAD("tidings.explain/1") "\"explain\":{\"job\":\"eu-4711\",\"attempt\":1,\"rule\":"
                                   "\"finality\","
                                   "\"text\":\"a final state beats a non-final state of the same "
                                   "attempt\",\"versions\":["
                                   "{\"state\":\"completed\",\"progress\":null,\"detail\":\"12 of "
                                   "30 tables\",\"winner\":true,"
                                   "\"origin\":\"us-east\",\"writer\":\"w-17\",\"seq\":78,"
                                   "\"stamp\":\"2026-03-02T14:02:11.004Z+2\","
                                   "\"clock\":{\"eu-west\":3,\"us-east\":81},\"relation_to_"
                                   "winner\":\"self\",\"rule\":null," ZERO_KEY
                                   "\"arrived_after_seconds\":0.09,\"path\":[\"us-east\"]},"
                                   "{\"state\":\"running\",\"progress\":0.4,\"detail\":\"12 of 30 "
                                   "tables\",\"winner\":false,"
                                   "\"origin\":\"us-east\",\"writer\":\"w-17\",\"seq\":78,"
                                   "\"stamp\":\"2026-03-02T14:02:11.004Z+2\","
                                   "\"clock\":{},\"relation_to_winner\":\"concurrent\",\"rule\":"
                                   "\"finality\"," ZERO_KEY
                                   "\"arrived_after_seconds\":null,\"path\":[\"eu-west\"]}],"
                                   "\"refused\":[{\"code\":\"TD-E0213\",\"error\":"
                                   "\"signature does not match the claimed origin\","
                                   "\"count\":2,\"first\":\"2026-03-02T14:04:31.900Z\",\"last\":"
                                   "\"2026-03-02T14:05:41.000Z\",\"from\":"
                                   "\"eu-west at 10.0.3.9:7717\"}]}," NO_FRESHNESS "}");
}

static struct td_region_view down_view(void)
{
    struct td_region_view view = {.region = {3},
                                  .link_state = TD_LINK_DOWN,
                                  .heard = true,
                                  .heard_age_ms = 252020,
                                  .probes = 0xfc00,
                                  .they_lack_known = true,
                                  .they_lack = 412,
                                  .they_lack_jobs = 37,
                                  .oldest_unacked_ms = 1772460271900,
                                  .eta_known = true,
                                  .eta_ms = 3100,
                                  .proto_min = 1,
                                  .proto_max = 2,
                                  .software = T("0.2.4"),
                                  .name = T("ap-south")};
    return view;
}

static void test_peers_show_unknown_as_null(void **state)
{
    (void)state;
    struct td_region_view view = down_view();
    struct td_response response = response_of(TD_OP_STATUS);
    response.freshness_count = 0;
    response.u.status.region_count = 1;
    response.u.status.regions = &view;
    same(
        td_json_peers(&response, &with_token),
        HEAD(
            "tidings.peers/1") "\"peers\":[{\"region\":\"ap-south\",\"state\":\"down\",\"direct\":"
                               "false,"
                               "\"via\":null,\"last_heard\":\"2026-03-02T14:04:30.100Z\",\"age_"
                               "seconds\":252.02,"
                               "\"rtt_seconds\":null,\"probes\":\"1111110000000000\",\"we_lack\":"
                               "null,"
                               "\"they_lack\":{\"updates\":412,\"jobs\":37,\"oldest\":\"2026-03-"
                               "02T14:04:31.900Z\","
                               "\"eta_seconds\":3.1},\"clock_offset_seconds\":null,\"version\":"
                               "\"0.2.4\",\"proto\":[1,2],"
                               "\"key\":\"ed25519:"
                               "0000000000000000000000000000000000000000000000000000000000000000\","
                               "\"roster_state\":\"active\",\"sent_bytes\":0,\"received_bytes\":0,"
                               "\"reconnects\":0,"
                               "\"alarms\":[]}]," NO_FRESHNESS "}");
}

static void test_mesh_finds_one_way_links_and_the_cut_off(void **state)
{
    static const struct td_fresh_view sa_hears[] = {
        {.region = {1}, .age_known = true, .age_ms = 300}};
    (void)state;
    struct td_region_view views[3] = {
        {.region = {1}, .self = true, .link_state = TD_LINK_SELF, .name = T("eu-west")},
        {.region = {2},
         .link_state = TD_LINK_UP,
         .direct = true,
         .heard = true,
         .heard_age_ms = 600,
         .rtt_known = true,
         .rtt_us = 84100,
         .name = T("us-east")},
        down_view(),
    };
    struct td_response response = response_of(TD_OP_STATUS);
    response.freshness_count = 0;
    response.u.status.region_count = 3;
    response.u.status.regions = views;
    /* We hear us-east; its newest head does not echo us. Nobody hears ap-south. */
    same(
        td_json_mesh(&response, &with_token),
        HEAD("tidings.mesh/1") "\"mesh\":{\"reports\":["
                               "{\"by\":\"eu-west\",\"age_seconds\":0.0,\"via\":null,\"hears\":["
                               "{\"region\":\"us-east\",\"rtt_seconds\":0.0841,\"age_seconds\":0.6,"
                               "\"direct\":true,\"via\":null}]"
                               "},"
                               "{\"by\":\"us-east\",\"age_seconds\":0.6,\"via\":null,\"hears\":[]},"
                               "{\"by\":\"ap-south\",\"age_seconds\":252.02,\"via\":null,\"hears\":"
                               "[]}],"
                               "\"one_way\":[[\"eu-west\",\"us-east\"]],\"cut_off\":[\"eu-west\","
                               "\"ap-south\"],\"cut_links\":[]}," NO_FRESHNESS "}");
    views[1].hears = sa_hears;
    views[1].hears_count = 1;
    json_t *mesh = td_json_mesh(&response, &with_token);
    json_t *body = json_object_get(mesh, "mesh");
    assert_int_equal(json_array_size(json_object_get(body, "one_way")), 0);
    assert_int_equal(json_array_size(json_object_get(body, "cut_off")), 1);
    json_decref(mesh);
    /* What was said 9 s ago was true then: 10.5 s is 1.5 s before it. */
    static const struct td_fresh_view said_before[] = {
        {.region = {1}, .age_known = true, .age_ms = 10500}};
    views[1].heard_age_ms = 9000;
    views[1].hears = said_before;
    assert_true(td_region_hears(&views[1], &views[0]));
    views[1].heard_age_ms = 400;
    assert_false(td_region_hears(&views[1], &views[0]));
}

/* Seen from the third: two that hear each other through us, or do not, or are too old to tell. */
static void test_mesh_shows_a_cut_between_two_others(void **state)
{
    static const struct td_fresh_view hears[] = {{.region = {3}, .age_known = true, .age_ms = 800}};
    static const struct td_detour detours[] = {{{3}, {1}}};
    (void)state;
    struct td_region_view views[3] = {
        {.region = {1}, .self = true, .name = T("eu-west")},
        {.region = {2}, .direct = true, .heard = true, .heard_age_ms = 600, .name = T("us-east")},
        {.region = {3}, .direct = true, .heard = true, .heard_age_ms = 600, .name = T("ap-south")},
    };
    struct td_region via;
    struct td_response response = response_of(TD_OP_STATUS);
    response.u.status.region_count = 3;
    response.u.status.regions = views;
    views[1].hears = hears;
    views[1].hears_count = 1;
    assert_int_equal(td_region_way(&views[1], &views[2], &via), TD_WAY_UNKNOWN); /* older nodes */
    assert_false(td_regions_unlinked(&views[1], &views[2]));
    views[1].detours_said = views[2].detours_said = true;
    assert_int_equal(td_region_way(&views[1], &views[2], &via), TD_WAY_DIRECT);
    assert_false(td_regions_unlinked(&views[1], &views[2]));
    views[1].detours = detours;
    views[1].detour_count = 1;
    assert_int_equal(td_region_way(&views[1], &views[2], &via), TD_WAY_DETOUR);
    assert_int_equal(via.v, 1);
    json_t *json = td_json_mesh(&response, NULL);
    const json_t *mesh = json_object_get(json, "mesh");
    const json_t *said = json_array_get(json_object_get(mesh, "reports"), 1);
    same(json_incref(json_array_get(json_object_get(said, "hears"), 0)),
         "{\"region\":\"ap-south\",\"rtt_seconds\":null,\"age_seconds\":0.8,\"direct\":false,"
         "\"via\":\"eu-west\"}");
    same(json_incref(json_object_get(mesh, "cut_links")), "[[\"us-east\",\"ap-south\"]]");
    json_decref(json);
    views[1].heard_age_ms = 60000; /* it may be another tale by now */
    assert_false(td_regions_unlinked(&views[1], &views[2]));
}

static void test_problems_follow_rfc_9457(void **state)
{
    (void)state;
    same(td_json_problem(TD_ESTALE, "us-east last complete 252 s ago, 30 s asked for"),
         "{\"type\":\"/errors/TD-E0305\",\"title\":\"the answer is older than asked "
         "for\",\"status\":412,"
         "\"code\":\"TD-E0305\",\"detail\":\"us-east last complete 252 s ago, 30 s asked for\","
         "\"hint\":\"tidings peers shows which link is at fault\"}");
    same(td_json_line_error(7, TD_EUNKNOWN, NULL),
         "{\"line\":7,\"code\":\"TD-E0304\",\"error\":\"no such job is known here\"}");
}

/* ---- lines ---- */

static void test_a_line_becomes_an_update(void **state)
{
    (void)state;
    const struct td_text line =
        T("{\"job\":\"a/1\",\"state\":\"running\",\"attempt\":3,\"progress\":0.4,\"detail\":\"d\","
          "\"parent\":\"p\",\"labels\":{\"z\":\"1\",\"a\":\"2\"},\"writer\":\"w\",\"expect_every_"
          "seconds\":30}");
    struct td_json_update parsed;
    char why[160];
    assert_int_equal(td_json_update_parse(line, (struct td_text){0}, &parsed, why, sizeof why),
                     TD_OK);
    assert_int_equal(parsed.update.fields, TD_FIELDS_ALL);
    assert_int_equal(parsed.update.attempt, 3);
    assert_int_equal(parsed.update.status.state, TD_STATE_RUNNING);
    assert_int_equal(parsed.update.status.progress, 4000);
    assert_int_equal(parsed.update.status.label_count, 2);
    assert_memory_equal(parsed.update.status.labels[0].key.bytes, "a", 1);
    assert_int_equal(parsed.update.status.expect_every_s, 30);
    td_json_update_release(&parsed);
    const struct td_text least = T("{\"state\":\"failed\",\"detail\":null}");
    assert_int_equal(
        td_json_update_parse(least, (struct td_text)T("from/url"), &parsed, why, sizeof why),
        TD_OK);
    assert_int_equal(parsed.update.fields, 0);
    assert_memory_equal(parsed.update.job.bytes, "from/url", 8);
    td_json_update_release(&parsed);
}

static void test_a_bad_line_says_what_is_wrong(void **state)
{
    static const struct {
        const char *line;
        enum td_err err;
        const char *why; /* part of the sentence */
    } rows[] = {
        {"", TD_EJSON, "column"},
        {"{", TD_EJSON, "column"},
        {"[]", TD_EJSON, "one JSON object"},
        {"{\"job\":\"a\",\"state\":\"running\"} x", TD_EJSON, "column"},
        {"{\"job\":\"a\",\"state\":\"running\",\"progres\":1}", TD_EJSON,
         "unknown key \"progres\""},
        {"{\"job\":\"a\",\"job\":\"b\",\"state\":\"running\"}", TD_EJSON, "duplicate"},
        {"{\"state\":\"running\"}", TD_EJOBID, "\"job\" is missing"},
        {"{\"job\":\"a\"}", TD_ESTATE, "\"state\" is missing"},
        {"{\"job\":\"a\",\"state\":null}", TD_ESTATE, "\"state\" is missing"},
        {"{\"job\":\"\",\"state\":\"running\"}", TD_EJOBID, "\"job\""},
        {"{\"job\":\"a\\u0007\",\"state\":\"running\"}", TD_EJOBID, "\"job\""},
        {"{\"job\":\"a\",\"state\":\"done\"}", TD_ESTATE, "\"done\" is not a state"},
        {"{\"job\":\"a\",\"state\":\"running\",\"progress\":40}", TD_EPROGRESS,
         "for 40 percent write 0.4"},
        {"{\"job\":\"a\",\"state\":\"running\",\"progress\":-0.1}", TD_EPROGRESS, "from 0 to 1"},
        {"{\"job\":\"a\",\"state\":\"running\",\"progress\":\"0.4\"}", TD_EPROGRESS, "from 0 to 1"},
        {"{\"job\":\"a\",\"state\":\"running\",\"attempt\":0}", TD_EATTEMPT, "1 to 65535"},
        {"{\"job\":\"a\",\"state\":\"running\",\"attempt\":65536}", TD_EATTEMPT, "1 to 65535"},
        {"{\"job\":\"a\",\"state\":\"running\",\"attempt\":1.5}", TD_EATTEMPT, "1 to 65535"},
        {"{\"job\":\"a\",\"state\":\"running\",\"labels\":[]}", TD_ELABELS, "object"},
        {"{\"job\":\"a\",\"state\":\"running\",\"labels\":{\"k\":1}}", TD_ELABELS, "string"},
        {"{\"job\":\"a\",\"state\":\"running\",\"labels\":{\"\":\"v\"}}", TD_ELABELS, "labels"},
        {"{\"job\":\"a\",\"state\":\"running\",\"expect_every_seconds\":0.5}", TD_EEXPECT, "whole"},
        {"{\"job\":\"a\",\"state\":\"running\",\"correct\":1}", TD_EJSON, "true or false"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct td_json_update parsed;
        char why[160];
        enum td_err err = td_json_update_parse(td_text_of(rows[i].line), (struct td_text){0},
                                               &parsed, why, sizeof why);
        td_json_update_release(&parsed);
        if (err != rows[i].err || strstr(why, rows[i].why) == NULL) {
            fail_msg("%s gave %d, %s", rows[i].line, (int)err, why);
        }
    }
}

/* ---- tokens ---- */

static void test_tokens_survive_the_round_trip(void **state)
{
    static const struct td_vv_entry entries[] = {{{{1}, {1, 5}}, 10},
                                                 {{{2}, {3, 4000000000u}}, TD_SEQ_MAX}};
    static const struct td_vv_fold folds[] = {{{2}, 3}};
    (void)state;
    struct td_token token = {.has = {2, 1, entries, folds}};
    token.seen.register_hash = td_token_register_hash((struct td_text)T("job/1"), 2);
    token.seen.rank = 2;
    token.seen.stamp = (struct td_stamp){1772460131004, 7};
    token.seen.dot = (struct td_dot){{{1}, {1, 5}}, 10};
    struct td_token back = {0};
    struct td_token_memory memory = {0};
    char *text = td_token_to_text(&token);
    assert_non_null(text);
    assert_memory_equal(text, "tdt1:", 5);
    assert_int_equal(td_token_from_text(text, &back, &memory), TD_OK);
    assert_true(back.seen.register_hash == token.seen.register_hash &&
                back.seen.register_hash != 0);
    assert_int_equal(back.seen.rank, 2);
    assert_true(back.seen.stamp.ms == token.seen.stamp.ms && back.seen.stamp.counter == 7);
    assert_true(td_vv_equal(&back.has, &token.has));
    td_token_release(&memory);
    /* Another attempt or job is another register. */
    assert_true(td_token_register_hash((struct td_text)T("job/1"), 1) != token.seen.register_hash);
    assert_true(td_token_register_hash((struct td_text)T("job/2"), 2) != token.seen.register_hash);
    for (size_t cut = 0; text[cut] != '\0'; cut++) { /* no prefix of it is a token */
        char kept = text[cut];
        text[cut] = '\0';
        assert_int_equal(td_token_from_text(text, &back, &memory), TD_ETOKEN);
        text[cut] = kept;
    }
    free(text);
}

static void test_what_is_no_token_is_refused(void **state)
{
    static const char *const rows[] = {"",          "tdt1:",     "tdt2:kJCQ",
                                       "tdt1:!!!!", "tdt1:kA",   "tdt1: kJCQ",
                                       "tdc1:kJCQ", "tdt1:AAAA", "tdt1:3f____8"};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct td_token token;
        struct td_token_memory memory = {0};
        if (td_token_from_text(rows[i], &token, &memory) != TD_ETOKEN) {
            fail_msg("\"%s\" was taken", rows[i]);
        }
    }
}

static void test_cursors_survive_the_round_trip(void **state)
{
    static const struct td_vv_entry entries[] = {{{{1}, {1, 5}}, 10}};
    (void)state;
    struct td_watch_cursor cursor = {4711, {9, 8}, {1, 0, entries, NULL}}, back = {0};
    struct td_token_memory memory = {0};
    char *text = td_cursor_to_text(&cursor);
    assert_int_equal(td_cursor_from_text(text, &back, &memory), TD_OK);
    assert_true(back.arrival == 4711);
    assert_int_equal(back.process.start, 9);
    assert_int_equal(back.process.random, 8);
    assert_true(td_vv_equal(&back.after, &cursor.after));
    td_token_release(&memory);
    free(text);
    assert_int_equal(td_cursor_from_text("tdt1:kJCQ", &back, &memory), TD_ETOKEN);
}

int main(void)
{
    if (td_sodium_init() != TD_OK) {
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_get_has_the_shape_of_the_interface),
        cmocka_unit_test(test_an_unknown_job_is_null_and_still_has_freshness),
        cmocka_unit_test(test_unknown_ages_are_null_and_decide),
        cmocka_unit_test(test_stale_is_what_the_answering_node_calls_so),
        cmocka_unit_test(test_silent_is_told_apart_from_not_heard),
        cmocka_unit_test(test_list_and_changes),
        cmocka_unit_test(test_published_has_the_shape_of_the_interface),
        cmocka_unit_test(test_explain_names_rule_relation_and_clock),
        cmocka_unit_test(test_peers_show_unknown_as_null),
        cmocka_unit_test(test_mesh_finds_one_way_links_and_the_cut_off),
        cmocka_unit_test(test_mesh_shows_a_cut_between_two_others),
        cmocka_unit_test(test_problems_follow_rfc_9457),
        cmocka_unit_test(test_a_line_becomes_an_update),
        cmocka_unit_test(test_a_bad_line_says_what_is_wrong),
        cmocka_unit_test(test_tokens_survive_the_round_trip),
        cmocka_unit_test(test_what_is_no_token_is_refused),
        cmocka_unit_test(test_cursors_survive_the_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
