/* cmd_explain.c -- explain: every version this node knows of a register, and the rule that chose.
 */
#include "node/cli/cli.h"
#include "node/cli/jobs.h"
#include "node/client/json.h"
#include "proto/order.h"

enum { LINE_BYTES = 4096 };

static void clock_text(const struct td_response *response, const struct td_register_view *view,
                       char *ret_text, size_t text_bytes)
{
    size_t used = 0;

    ret_text[0] = '\0';
    for (uint32_t i = 0; i < view->clock_count && used + 1 < text_bytes; i++) {
        used +=
            (size_t)snprintf(ret_text + used, text_bytes - used, "%s%s:%llu", i == 0 ? "" : "  ",
                             td_cli_region(response, view->clock[i].origin.region),
                             (unsigned long long)view->clock[i].seq);
    }
}

/* 14:05:40.112+0: it is often the milliseconds that decided. The whole stamp with -o plain. */
static void stamp_text(const struct td_cli *cli, struct td_stamp stamp, char *ret_text,
                       size_t text_bytes)
{
    char full[TD_TIME_TEXT_BYTES] = "";

    if (cli->form == TD_FORM_PLAIN && td_time_format(stamp.ms, full)) {
        snprintf(ret_text, text_bytes, "%s+%u", full, stamp.counter);
        return;
    }
    const char *time = td_cli_time_of_day(cli, stamp.ms);
    snprintf(ret_text, text_bytes, "%.8s.%03u%s+%u", time, (unsigned)(stamp.ms % 1000), time + 8,
             stamp.counter);
}

static void explain_row(const struct td_cli *cli, struct td_table *table,
                        const struct td_response *response, const struct td_version_view *version)
{
    const struct td_register_view *view = &version->view;
    char state[LINE_BYTES];
    char stamp[64];
    char seen[LINE_BYTES];
    char signature[64];
    char arrival[64];
    bool here = version->via.v == response->node.v || version->via.v == 0;
    bool direct = version->via.v == view->dot.origin.region.v;
    struct td_cli uncolored = *cli; /* the table measures its cells */
    uncolored.color = false;

    td_job_state_text(&uncolored, view, state, sizeof state);
    stamp_text(cli, view->stamp, stamp, sizeof stamp);
    clock_text(response, view, seen, sizeof seen);
    snprintf(signature, sizeof signature, "%s, key %02x%02x..%s",
             version->signature_ok ? "ok" : "BAD", version->signer.bytes[0],
             version->signer.bytes[1], (view->flags & TD_VIEW_DOUBTFUL) != 0 ? " DOUBTFUL" : "");
    uint64_t after_ms = version->arrived_after_ms > 0 ? (uint64_t)version->arrived_after_ms : 0;
    snprintf(arrival, sizeof arrival, "%s%s%s",
             here                           ? "local"
             : version->arrived_after_known ? td_cli_age(cli, after_ms)
                                            : "?",
             here     ? ""
             : direct ? " direct"
                      : " via ",
             here || direct ? "" : td_cli_region(response, version->via));
    td_table_row(table,
                 (const char *const[]){
                     version->winner ? "*" : "", state,
                     td_cli_region(response, view->dot.origin.region),
                     view->status.writer.count > 0 ? td_cli_shown(view->status.writer) : NULL,
                     stamp, seen[0] == '\0' ? NULL : seen, signature, arrival,
                     version->winner       ? "wins"
                     : version->concurrent ? "concurrent"
                                           : "superseded"});
}

static const char *rule_text(enum td_rule rule)
{
    switch (rule) {
    case TD_RULE_ATTEMPT:
        return "a higher attempt is the newer run of the job";
    case TD_RULE_FINALITY:
        return "a final state beats a non-final state of the same attempt";
    case TD_RULE_STAMP:
        return "of equal rank, the later stamp wins";
    case TD_RULE_ORIGIN:
        return "of equal stamps, the higher region, incarnation and number win";
    default:
        return "two signed reports carry one name; the higher hash wins";
    }
}

static void explain_summary(const struct td_cli *cli, const struct td_response *response)
{
    const struct td_version_view *versions = response->u.explain.versions;

    printf("%s  is the status because: ", td_job_state_word(cli, versions[0].view.status.state));
    if (response->u.explain.count > 1) {
        printf("%s (rule `%s`).\n", rule_text(versions[1].rule), td_rule_name(versions[1].rule));
    } else {
        printf("no other version is known here.\n");
    }
}

static void explain_concurrent(const struct td_cli *cli, const struct td_response *response)
{
    const struct td_version_view *versions = response->u.explain.versions;

    for (uint32_t i = 1; i < response->u.explain.count; i++) {
        const struct td_version_view *loser = &versions[i];
        if (!loser->concurrent) {
            continue;
        }
        printf("`%s` of %s is concurrent: neither writer had seen the other.",
               td_job_state_word(cli, loser->view.status.state),
               td_cli_region(response, loser->view.dot.origin.region));
        if (loser->rule == TD_RULE_FINALITY && loser->view.stamp.ms > versions[0].view.stamp.ms) {
            printf(" By time alone it would have won by %s.",
                   td_cli_duration(loser->view.stamp.ms - versions[0].view.stamp.ms));
        }
        putchar('\n');
    }
}

/* "Refused: 1 update of this job, signature does not match the claimed origin, from us-east at
 * 10.0.3.9:7717 at 14:05:41Z (TD-E0213)." */
static void print_refused(const struct td_cli *cli, const struct td_response *response)
{
    for (uint32_t i = 0; i < response->u.explain.refused_count; i++) {
        const struct td_refused_view *view = &response->u.explain.refused[i];
        char code[16];
        td_err_code(view->err, code);
        printf("Refused: %s of this job, %s, ", td_cli_plural(view->count, "update", "updates"),
               td_err_text(view->err));
        if (view->from.count > 0) {
            printf("from %s, ", td_cli_shown(view->from));
        }
        printf("%s%s (%s).\n", view->count > 1 ? "last at " : "at ",
               td_cli_time_of_day(cli, view->last_ms), code);
    }
}

static int print_explain(struct td_cli *cli, const struct td_response *response)
{
    static const struct td_column columns[] = {
        {.name = " "},      {.name = "STATE"},          {.name = "ORIGIN"},
        {.name = "WRITER"}, {.name = "STAMP (hybrid)"}, {.name = "SEEN BEFORE WRITING"},
        {.name = "SIGNED"}, {.name = "HERE AFTER"},     {.name = "RELATION", .wide = true},
    };
    if (td_cli_json(cli)) {
        return td_cli_print_json(cli, td_json_explain(response, NULL));
    }
    struct td_table *table = td_table_alloc(cli, columns, 9);
    if (table == NULL) {
        return td_cli_fail(cli, TD_ENOMEM, "%s", td_err_text(TD_ENOMEM));
    }
    if (cli->form != TD_FORM_PLAIN) {
        explain_summary(cli, response);
    }
    for (uint32_t i = 0; i < response->u.explain.count; i++) {
        explain_row(cli, table, response, &response->u.explain.versions[i]);
    }
    td_table_print(table);
    td_table_free(table);
    if (cli->form != TD_FORM_PLAIN) {
        explain_concurrent(cli, response);
        print_refused(cli, response);
    }
    return 0;
}

int td_cmd_explain(struct td_cli *cli)
{
    struct td_call_result result;
    bool known = false;

    int code = td_job_ask(cli, TD_OP_EXPLAIN, false, &result, &known);
    if (code == 0 && !known) {
        if (!td_cli_json(cli) && cli->form != TD_FORM_PLAIN) {
            print_refused(cli, &result.response);
        }
        code = td_job_unknown(cli, &result.response, cli->args->arguments[0]);
    } else if (code == 0) {
        code = print_explain(cli, &result.response);
        code = code != 0 ? code : td_cli_check_stale(cli, &result.response);
    }
    td_call_release(&result);
    return code;
}
