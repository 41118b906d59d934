/* cmd_check.c -- check: one line and an exit code for Nagios and its kin, JSON, or the text format
 * of Prometheus. The one verb whose exit codes are 0, 1, 2, 3. */
#include <stdlib.h>
#include <string.h>

#include "node/cli/checks.h"
#include "node/cli/cli.h"
#include "node/client/json.h"

struct result {
    struct td_cli *cli;
    const struct td_response *status;
    size_t count;
    struct td_check_row rows[TD_CHECK_ROWS_MAX];
    struct td_limits limits[TD_CHECK_COUNT];
    bool ran[TD_CHECK_COUNT];
};

/* Limits are durations, percentages or plain counts, as the check measures. */
static bool parse_limit(enum td_check check, const char *text, uint64_t *ret_value)
{
    char *end = NULL;

    if (strcmp(td_check_unit(check), "seconds") == 0) {
        return td_duration_parse(text, ret_value);
    }
    if (text[0] < '0' || text[0] > '9') {
        return false;
    }
    *ret_value = strtoull(text, &end, 10);
    if (*end == '%' && check == TD_CHECK_STORE) {
        end++;
    }
    return *end == '\0' && (check != TD_CHECK_STORE || *ret_value <= 100);
}

static bool take_limits(struct result *result, enum td_check check)
{
    const struct td_args *args = result->cli->args;
    const char *warn = td_args_text(args, TD_FLAG_WARN);
    const char *crit = td_args_text(args, TD_FLAG_CRIT);
    struct td_limits *limits = &result->limits[check];

    if (warn != NULL && !parse_limit(check, warn, &limits->warn)) {
        td_cli_fail(result->cli, TD_EUSAGE, "--warn `%s`: %s is measured in %s",
                    td_cli_shown(td_text_of(warn)), td_check_name(check), td_check_unit(check));
        return false;
    }
    if (crit != NULL && !parse_limit(check, crit, &limits->crit)) {
        td_cli_fail(result->cli, TD_EUSAGE, "--crit `%s`: %s is measured in %s",
                    td_cli_shown(td_text_of(crit)), td_check_name(check), td_check_unit(check));
        return false;
    }
    if (limits->warn > limits->crit && warn != NULL && crit != NULL) {
        td_cli_fail(result->cli, TD_EUSAGE, "--warn has to be below --crit");
        return false;
    }
    return true;
}

/* Which checks run. False after a message. */
static bool choose(struct result *result)
{
    const struct td_args *args = result->cli->args;
    bool limits = td_args_has(args, TD_FLAG_WARN) || td_args_has(args, TD_FLAG_CRIT);

    memcpy(result->limits, td_limits_default, sizeof td_limits_default);
    if (args->argument_count == 0) {
        for (int i = 0; i < TD_CHECK_SILENT; i++) {
            result->ran[i] = true;
        }
        if (limits) {
            td_cli_fail(result->cli, TD_EUSAGE, "--warn and --crit go with one check: links, ...");
        }
        return !limits;
    }
    enum td_check check = td_check_named(args->arguments[0]);
    if (check == TD_CHECK_COUNT) {
        td_cli_fail(result->cli, TD_EUSAGE,
                    "no check is called `%s`: links, freshness, backlog, clock, store, alarms or "
                    "silent",
                    td_cli_shown(td_text_of(args->arguments[0])));
        return false;
    }
    result->ran[check] = true;
    return take_limits(result, check);
}

/* Silent jobs are only so many as this node can know: with a region unheard the level is unknown at
 * least. Exit code of the calls. */
static int check_silent(struct result *result)
{
    struct td_request request = {
        .op = TD_OP_LIST, .u.list = {.filter = {.silent = true}, .limit = TD_LIST_LIMIT_MAX}};
    struct td_check_row *row = &result->rows[result->count];
    bool certain = true;

    *row = (struct td_check_row){.check = TD_CHECK_SILENT, .known = true, .word = "ok"};
    do {
        struct td_call_result page;
        int code = td_cli_call(result->cli, &request, NULL, &page);
        row->value += code == 0 ? page.response.u.registers.count : 0;
        certain = certain && page.response.certain;
        request.u.list.cursor = code == 0 ? page.response.u.registers.next_cursor : 0;
        td_call_release(&page);
        if (code != 0) {
            return code;
        }
    } while (request.u.list.cursor != 0);
    row->level = td_level_of(row->value, result->limits[TD_CHECK_SILENT]);
    row->word = row->level == TD_LEVEL_OK ? "ok" : "silent";
    if (!certain) {
        row->level = td_level_worse(row->level, TD_LEVEL_UNKNOWN);
        row->word = row->value > 0 ? "silent or not heard" : "a region is not heard";
    }
    result->count++;
    return 0;
}

static enum td_level worst_of(const struct result *result)
{
    enum td_level level = TD_LEVEL_OK;

    for (size_t i = 0; i < result->count; i++) {
        level = td_level_worse(level, result->rows[i].level);
    }
    return level;
}

static const char *who(const struct result *result, const struct td_check_row *row)
{
    return row->region.v == 0 ? td_cli_shown(result->status->node_name)
                              : td_cli_region(result->status, row->region);
}

static const char *value_text(const struct td_check_row *row, char ret_text[48])
{
    if (!row->known) {
        return "";
    }
    if (strcmp(td_check_unit(row->check), "seconds") == 0) {
        snprintf(ret_text, 48, " %s", td_cli_duration(row->value));
    } else {
        snprintf(ret_text, 48, " %llu%s", (unsigned long long)row->value,
                 row->check == TD_CHECK_STORE ? " %" : "");
    }
    return ret_text;
}

/* " (412 updates, 37 jobs)", the numbers of `tidings peers`. */
static const char *backlog_text(const struct td_check_row *row, char ret_text[96])
{
    char jobs[40] = "";

    if (row->backlog == NULL) {
        return "";
    }
    if (row->backlog->they_lack_jobs != UINT32_MAX) {
        snprintf(jobs, sizeof jobs, ", %s",
                 td_cli_plural(row->backlog->they_lack_jobs, "job", "jobs"));
    }
    snprintf(ret_text, 96, " (%s%s)", td_cli_plural(row->backlog->they_lack, "update", "updates"),
             jobs);
    return ret_text;
}

/* 'links_us-east'=0.412s;5.000;10.000 */
static void print_perfdata(const struct result *result, const struct td_check_row *row)
{
    const struct td_limits *limits = &result->limits[row->check];
    bool seconds = strcmp(td_check_unit(row->check), "seconds") == 0;
    double scale = seconds ? 1000.0 : 1.0;

    if (!row->known) {
        return;
    }
    printf(" '%s_%s'=%.*f%s;%.*f;", td_check_name(row->check), who(result, row), seconds ? 3 : 0,
           (double)row->value / scale,
           seconds                        ? "s"
           : row->check == TD_CHECK_STORE ? "%"
                                          : "",
           seconds ? 3 : 0, (double)limits->warn / scale);
    if (limits->crit != UINT64_MAX) {
        printf("%.*f", seconds ? 3 : 0, (double)limits->crit / scale);
    }
    if (row->backlog != NULL) {
        printf(" 'backlog_updates_%s'=%llu;;", who(result, row),
               (unsigned long long)row->backlog->they_lack);
    }
    if (row->backlog != NULL && row->backlog->they_lack_jobs != UINT32_MAX) {
        printf(" 'backlog_jobs_%s'=%u;;", who(result, row), row->backlog->they_lack_jobs);
    }
}

/* "|" would begin the numbers, so no name may bring one along. */
static void print_nagios(const struct result *result)
{
    enum td_level worst = worst_of(result);
    size_t shown = 0;
    char value[48];
    char backlog[96];

    printf("TIDINGS %s -", td_level_name(worst));
    for (size_t i = 0; i < result->count; i++) {
        const struct td_check_row *row = &result->rows[i];
        if (row->level != TD_LEVEL_OK) {
            printf("%s %s %s: %s%s%s", shown++ > 0 ? "," : "", td_check_name(row->check),
                   who(result, row), row->word, value_text(row, value), backlog_text(row, backlog));
        }
    }
    if (shown == 0) {
        printf(" %s well, seen from %s", result->count == 0 ? "nothing to check: all" : "all",
               td_cli_shown(result->status->node_name));
    }
    fputs(" |", stdout);
    for (size_t i = 0; i < result->count; i++) {
        print_perfdata(result, &result->rows[i]);
    }
    putchar('\n');
}

static void print_prometheus(const struct result *result)
{
    puts("# HELP tidings_check_level 0 ok, 1 warning, 2 critical, 3 unknown.\n"
         "# TYPE tidings_check_level gauge");
    for (size_t i = 0; i < result->count; i++) {
        const struct td_check_row *row = &result->rows[i];
        printf("tidings_check_level{check=\"%s\",region=\"%s\"} %d\n", td_check_name(row->check),
               who(result, row), (int)row->level);
    }
    puts("# HELP tidings_check_value Seconds, per cent or number, as the check measures.\n"
         "# TYPE tidings_check_value gauge");
    for (size_t i = 0; i < result->count; i++) {
        const struct td_check_row *row = &result->rows[i];
        bool seconds = strcmp(td_check_unit(row->check), "seconds") == 0;
        if (row->known) {
            printf("tidings_check_value{check=\"%s\",region=\"%s\"} %.*f\n",
                   td_check_name(row->check), who(result, row), seconds ? 3 : 0,
                   (double)row->value / (seconds ? 1000.0 : 1.0));
        }
    }
}

/* What the node's own /metrics calls peer_unacked_*. */
static void print_prometheus_backlog(const struct result *result)
{
    if (!result->ran[TD_CHECK_BACKLOG]) {
        return;
    }
    puts("# HELP tidings_check_backlog What a region lacks of ours, in updates and in jobs.\n"
         "# TYPE tidings_check_backlog gauge");
    for (size_t i = 0; i < result->count; i++) {
        const struct td_check_row *row = &result->rows[i];
        if (row->backlog == NULL) {
            continue;
        }
        printf("tidings_check_backlog{region=\"%s\",unit=\"updates\"} %llu\n", who(result, row),
               (unsigned long long)row->backlog->they_lack);
        if (row->backlog->they_lack_jobs != UINT32_MAX) {
            printf("tidings_check_backlog{region=\"%s\",unit=\"jobs\"} %u\n", who(result, row),
                   row->backlog->they_lack_jobs);
        }
    }
}

static json_t *row_json(const struct result *result, const struct td_check_row *row)
{
    bool seconds = strcmp(td_check_unit(row->check), "seconds") == 0;
    json_t *value = !row->known ? json_null()
                    : seconds   ? json_real((double)row->value / 1000.0)
                                : json_integer((json_int_t)row->value);

    json_t *json = json_pack("{s:s, s:s, s:s, s:s, s:o, s:s}", "check", td_check_name(row->check),
                             "region", who(result, row), "level", td_level_name(row->level), "word",
                             row->word, "value", value, "unit", td_check_unit(row->check));
    if (row->check == TD_CHECK_BACKLOG) {
        json_object_set_new(json, "they_lack",
                            row->backlog != NULL ? td_json_they_lack(row->backlog) : json_null());
    }
    return json;
}

static void print_json(struct result *result)
{
    json_t *rows = json_array();

    for (size_t i = 0; i < result->count; i++) {
        json_array_append_new(rows, row_json(result, &result->rows[i]));
    }
    json_t *body = td_json_envelope(result->status, "tidings.check/1", NULL);
    json_object_set_new(body, "level", json_string(td_level_name(worst_of(result))));
    json_object_set_new(body, "exit_code", json_integer(worst_of(result)));
    json_object_set_new(body, "checks", rows);
    (void)td_cli_print_json(result->cli, body);
}

static void print(struct result *result)
{
    if (td_args_is(result->cli->args, TD_FLAG_FORMAT, "prometheus")) {
        print_prometheus(result);
        print_prometheus_backlog(result);
    } else if (td_args_is(result->cli->args, TD_FLAG_FORMAT, "json") ||
               (td_cli_json(result->cli) && !td_args_has(result->cli->args, TD_FLAG_FORMAT))) {
        print_json(result);
    } else {
        print_nagios(result);
    }
}

int td_cmd_check(struct td_cli *cli)
{
    static struct result result; /* too large for the stack */
    struct td_request request = {.op = TD_OP_STATUS};
    struct td_call_result status;

    result.cli = cli;
    if (!choose(&result)) {
        return TD_LEVEL_UNKNOWN;
    }
    int code = td_cli_call(cli, &request, NULL, &status);
    result.status = &status.response;
    for (int i = 0; code == 0 && i < TD_CHECK_SILENT; i++) {
        if (result.ran[i]) {
            result.count += td_checks_run(&status.response, (enum td_check)i, result.limits[i],
                                          result.rows + result.count);
        }
    }
    if (code == 0 && result.ran[TD_CHECK_SILENT]) {
        code = check_silent(&result);
    }
    if (code == 0) {
        print(&result);
    } else if (!td_cli_json(cli) && !td_args_has(cli->args, TD_FLAG_FORMAT)) {
        puts("TIDINGS UNKNOWN - no answer from the node");
    }
    td_call_release(&status);
    return code == 0 ? (int)worst_of(&result) : TD_LEVEL_UNKNOWN;
}
