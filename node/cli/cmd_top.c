/* cmd_top.c -- top: which region sends, lags or falls behind, and the newest reports. Rates are the
 * difference of two version vectors, so they count updates seen here, whoever brought them. */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "node/cli/cli.h"
#include "node/cli/jobs.h"
#include "node/cli/table.h"
#include "node/client/json.h"
#include "node/client/watch_place.h"
#include "proto/roster.h"

enum { CELL_BYTES = 96, NEWEST_MAX = 10, PAGES_MAX = 64 };

struct region_rate {
    const struct td_region_view *view;
    double rate; /* updates a second */
    bool lag_known, age_known;
    uint64_t lag_ms, age_ms;
};
struct newest {
    char line[512];
    json_t *json;
};
struct top {
    struct td_cli *cli;
    struct td_watch_place place;
    struct td_call_result before; /* STATUS of the last round */
    uint64_t before_us;
    struct newest newest[NEWEST_MAX]; /* ring */
    uint64_t changes;                 /* seen in this round */
    uint64_t newest_count;
    bool merged; /* more changed than could be told */
};

static uint64_t seqs_of(const struct td_vv *has, struct td_region region, const struct td_vv *base)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < has->entry_count; i++) {
        const struct td_vv_entry *entry = &has->entries[i];
        if (entry->origin.region.v == region.v) {
            uint64_t before = td_vv_seq(base, entry->origin);
            sum += entry->seq > before ? entry->seq - before : 0;
        }
    }
    return sum;
}

static void measure(const struct top *top, const struct td_response *now, double seconds,
                    const struct td_region_view *view, struct region_rate *ret_rate)
{
    *ret_rate = (struct region_rate){.view = view, .age_known = view->self};
    ret_rate->rate = (double)seqs_of(&now->has, view->region, &top->before.response.has) / seconds;
    ret_rate->lag_known = !view->self && view->they_lack_known;
    if (ret_rate->lag_known && view->they_lack > 0 && view->oldest_unacked_ms != 0 &&
        view->oldest_unacked_ms < now->now_ms) {
        ret_rate->lag_ms = now->now_ms - view->oldest_unacked_ms;
    }
    for (uint32_t i = 0; i < now->freshness_count; i++) {
        if (now->freshness[i].region.v == view->region.v) {
            ret_rate->age_known = now->freshness[i].age_known;
            ret_rate->age_ms = now->freshness[i].age_ms;
        }
    }
}

/* What is not known stands first: it is what somebody should look at. */
static int by_number(bool a_known, uint64_t a, bool b_known, uint64_t b)
{
    if (a_known != b_known) {
        return a_known ? 1 : -1;
    }
    return (a < b) - (a > b);
}

static int by_lag(const void *a, const void *b)
{
    const struct region_rate *left = a;
    const struct region_rate *right = b;
    return by_number(left->lag_known || left->view->self, left->lag_ms,
                     right->lag_known || right->view->self, right->lag_ms);
}

static int by_rate(const void *a, const void *b)
{
    const struct region_rate *left = a;
    const struct region_rate *right = b;
    return (left->rate < right->rate) - (left->rate > right->rate);
}

static int by_age(const void *a, const void *b)
{
    const struct region_rate *left = a;
    const struct region_rate *right = b;
    return by_number(left->age_known, left->age_ms, right->age_known, right->age_ms);
}

static void keep_change(struct top *top, const struct td_response *response,
                        const struct td_register_view *view)
{
    struct newest *slot = &top->newest[top->newest_count++ % NEWEST_MAX];
    char state[256];

    td_job_state_text(top->cli, view, state, sizeof state);
    snprintf(slot->line, sizeof slot->line, "%s  %.120s  %s  %.64s",
             td_cli_time_of_day(top->cli, view->stamp.ms), td_cli_shown(view->job), state,
             td_cli_region(response, view->dot.origin.region));
    json_decref(slot->json);
    slot->json = td_cli_json(top->cli) ? td_json_job(response, view) : NULL;
}

/* All changes since the last round; what is merged away or too much is only said to be. Exit code.
 */
static int take_changes(struct top *top)
{
    top->changes = 0;
    top->merged = false;
    for (unsigned page = 0; page < PAGES_MAX; page++) {
        struct td_request request = {.op = TD_OP_WATCH, .u.watch = {.limit = TD_LIST_LIMIT_MAX}};
        struct td_call_options options = {.no_token = true};
        struct td_call_result result;
        td_watch_place_ask(&top->place, &request);
        int code = td_cli_call(top->cli, &request, &options, &result);
        if (code != 0) {
            td_call_release(&result);
            return code;
        }
        uint32_t count = result.response.u.registers.count;
        top->merged = td_watch_place_begin(&top->place, &result.response) || top->merged;
        for (uint32_t i = 0; i < count; i++) {
            keep_change(top, &result.response, &result.response.u.registers.registers[i]);
        }
        td_watch_place_end(&top->place, &result.response, TD_LIST_LIMIT_MAX);
        td_call_release(&result);
        top->changes += count;
        if (count < TD_LIST_LIMIT_MAX) {
            return 0;
        }
    }
    top->merged = true;
    return 0;
}

static void add_row(const struct td_cli *cli, struct td_table *table,
                    const struct td_response *response, const struct region_rate *rate)
{
    char per_second[CELL_BYTES];
    char lag[CELL_BYTES] = "?";
    char age[CELL_BYTES] = "?";
    char waiting[CELL_BYTES] = "?";

    snprintf(per_second, sizeof per_second, "%.1f", rate->rate);
    if (rate->lag_known) {
        snprintf(lag, sizeof lag, "%s", td_cli_age(cli, rate->lag_ms));
        snprintf(waiting, sizeof waiting, "%llu", (unsigned long long)rate->view->they_lack);
    }
    if (rate->age_known) {
        snprintf(age, sizeof age, "%s", td_cli_age(cli, rate->age_ms));
    }
    td_table_row(table, (const char *const[]){td_cli_region(response, rate->view->region),
                                              per_second, rate->view->self ? NULL : lag,
                                              rate->view->self ? NULL : waiting,
                                              rate->view->self ? NULL : age});
}

static json_t *rate_json(const struct td_response *response, const struct region_rate *rate)
{
    struct td_text name = td_response_region_name(response, rate->view->region);
    json_t *lag = rate->lag_known ? json_real((double)rate->lag_ms / 1000.0) : json_null();
    json_t *lacks = rate->lag_known ? json_integer((json_int_t)rate->view->they_lack) : json_null();
    json_t *age = rate->age_known ? json_real((double)rate->age_ms / 1000.0) : json_null();

    return json_pack("{s:o, s:b, s:f, s:o, s:o, s:o}", "region",
                     json_stringn(name.bytes, name.count), "self", (int)rate->view->self,
                     "updates_per_second", rate->rate, "lag_seconds", lag, "waiting_updates", lacks,
                     "age_seconds", age);
}

static int print_json(struct top *top, const struct td_response *response,
                      const struct region_rate *rates, uint32_t count, double seconds)
{
    json_t *regions = json_array();
    json_t *newest = json_array();
    json_t *body = td_json_envelope(response, "tidings.top/1", NULL);

    for (uint32_t i = 0; i < count; i++) {
        json_array_append_new(regions, rate_json(response, &rates[i]));
    }
    for (uint64_t i = 0; i < top->newest_count && i < NEWEST_MAX; i++) {
        json_array_append(newest, top->newest[(top->newest_count - 1 - i) % NEWEST_MAX].json);
    }
    json_object_set_new(body, "interval_seconds", json_real(seconds));
    json_object_set_new(body, "regions", regions);
    json_object_set_new(body, "jobs_changed", json_integer((json_int_t)top->changes));
    json_object_set_new(body, "more_changed", json_boolean(top->merged));
    json_object_set_new(body, "newest", newest);
    json_object_set_new(body, "freshness", td_json_freshness(response));
    return td_cli_print_json(top->cli, body);
}

static int print(struct top *top, const struct td_response *response, double seconds)
{
    static const struct td_column columns[] = {
        {.name = "REGION"},
        {.name = "RATE /s", .right = true},
        {.name = "LAG", .right = true},
        {.name = "WAITING", .right = true},
        {.name = "AGE", .right = true},
    };
    struct region_rate rates[TD_REGION_NUMBER_MAX];
    uint32_t count = 0;
    const struct td_args *args = top->cli->args;

    for (uint32_t i = 0; i < response->u.status.region_count && count < TD_REGION_NUMBER_MAX; i++) {
        const struct td_region_view *view = &response->u.status.regions[i];
        if (view->roster_state != TD_REGION_CLOSED) {
            measure(top, response, seconds, view, &rates[count++]);
        }
    }
    qsort(rates, count, sizeof rates[0],
          td_args_is(args, TD_FLAG_TOP_SORT, "rate")  ? by_rate
          : td_args_is(args, TD_FLAG_TOP_SORT, "age") ? by_age
                                                      : by_lag);
    if (td_cli_json(top->cli)) {
        return print_json(top, response, rates, count, seconds);
    }
    struct td_table *table = td_table_alloc(top->cli, columns, 5);
    if (table == NULL) {
        return td_cli_fail(top->cli, TD_ENOMEM, "%s", td_err_text(TD_ENOMEM));
    }
    for (uint32_t i = 0; i < count; i++) {
        add_row(top->cli, table, response, &rates[i]);
    }
    td_table_print(table);
    td_table_free(table);
    if (top->cli->form == TD_FORM_PLAIN) {
        return 0;
    }
    printf("\n%s, %s%s changed in %.1f s%s\n",
           td_cli_plural(response->u.status.register_count, "register", "registers"),
           top->merged ? "more than " : "", td_cli_plural(top->changes, "job", "jobs"), seconds,
           response->u.status.publishing ? "" : "; no reports are taken");
    for (uint64_t i = 0; i < top->newest_count && i < NEWEST_MAX; i++) {
        puts(top->newest[(top->newest_count - 1 - i) % NEWEST_MAX].line);
    }
    return 0;
}

/* One round: the state now, compared with that of the round before. Exit code. */
static int round_of(struct top *top, bool show)
{
    struct td_request request = {.op = TD_OP_STATUS};
    struct td_call_result now;
    int code = take_changes(top);

    if (code != 0) {
        return code;
    }
    code = td_cli_call(top->cli, &request, NULL, &now);
    uint64_t now_us = td_cli_mono_us();
    if (code != 0) {
        td_call_release(&now);
        return code;
    }
    if (show) {
        if (isatty(STDOUT_FILENO) && !td_args_has(top->cli->args, TD_FLAG_ONCE)) {
            fputs("\033[H\033[2J", stdout);
        }
        code = print(top, &now.response, (double)(now_us - top->before_us) / 1e6);
        code = code != 0 ? code : td_cli_check_stale(top->cli, &now.response);
        fflush(stdout);
    }
    td_call_release(&top->before);
    top->before = now;
    top->before_us = now_us;
    return code;
}

int td_cmd_top(struct td_cli *cli)
{
    static struct top top; /* too large for the stack */
    uint64_t pause_ms = td_args_ms(cli->args, TD_FLAG_INTERVAL, 2000);
    struct timespec pause = {(time_t)(pause_ms / 1000), (long)(pause_ms % 1000) * 1000000L};
    bool once = td_args_has(cli->args, TD_FLAG_ONCE);

    if (pause_ms == 0) {
        return td_cli_fail(cli, TD_EUSAGE, "--interval 0 leaves nothing to measure");
    }
    top.cli = cli;
    td_watch_place_init(&top.place, UINT64_MAX);
    int code = round_of(&top, false);
    while (code == 0 || code == td_err_exit_code(TD_ESTALE)) {
        nanosleep(&pause, NULL);
        code = round_of(&top, true);
        if (once || ferror(stdout) != 0) {
            break;
        }
    }
    for (unsigned i = 0; i < NEWEST_MAX; i++) {
        json_decref(top.newest[i].json);
    }
    td_call_release(&top.before);
    return code;
}
