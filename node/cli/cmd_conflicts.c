/* cmd_conflicts.c -- conflicts: jobs whose reports crossed each other, and regions that contradict
 * themselves. */
#include <string.h>

#include "node/cli/cli.h"
#include "node/cli/jobs.h"
#include "node/client/json.h"
#include "proto/order.h"

enum { LIMIT_DEFAULT = 100, CELL_BYTES = 256 };

struct conflicts {
    struct td_cli *cli;
    struct td_table *table; /* NULL with JSON */
    json_t *list;           /* NULL without */
    uint64_t left, count, finals;
    bool more;
};

static void state_and_origin(const struct td_response *response,
                             const struct td_register_view *view, char ret_text[CELL_BYTES])
{
    snprintf(ret_text, CELL_BYTES, "%s (%.100s%s%.100s)", td_state_name(view->status.state),
             td_cli_region(response, view->dot.origin.region),
             view->status.writer.count > 0 ? ", " : "", td_cli_shown(view->status.writer));
}

static void add_row(struct conflicts *self, const struct td_response *explain,
                    const struct td_register_view *winner, const struct td_version_view *loser)
{
    char attempt[16];
    char won[CELL_BYTES];
    char lost[CELL_BYTES] = "";
    char others[16];

    snprintf(attempt, sizeof attempt, "%u", winner->attempt);
    snprintf(others, sizeof others, "%u", winner->concurrent_count);
    state_and_origin(explain, winner, won);
    if (loser != NULL) {
        state_and_origin(explain, &loser->view, lost);
    }
    td_table_row(self->table,
                 (const char *const[]){td_cli_shown(winner->job), attempt,
                                       td_conflict_of_finals(winner, loser) ? "finals" : "concurrent", won,
                                       lost[0] == '\0' ? NULL : lost,
                                       loser == NULL ? NULL : td_rule_name(loser->rule), others});
}

/* What was listed a moment ago may have gone or changed: then there is nothing to show. */
static int add_job(struct conflicts *self, const struct td_register_view *listed)
{
    struct td_request request = {.op = TD_OP_EXPLAIN,
                                 .u.get = {.job = listed->job, .attempt = listed->attempt}};
    struct td_call_result result = {0};
    enum td_err err = td_call(self->cli->tidings, &request, NULL, &result);
    const struct td_response *explain = &result.response;
    int code = err != TD_OK ? td_cli_fail_call(self->cli, self->cli->tidings, err, &result) : 0;

    if (code == 0 && explain->err == TD_OK && explain->u.explain.count > 0) {
        const struct td_register_view *winner = &explain->u.explain.versions[0].view;
        const struct td_version_view *loser = td_conflict_loser(explain);
        self->count++;
        self->finals += td_conflict_of_finals(winner, loser);
        if (self->table != NULL) {
            add_row(self, explain, winner, loser);
        } else {
            json_array_append_new(self->list, td_json_conflict(explain, NULL));
        }
    }
    td_call_release(&result);
    return code;
}

static int add_jobs(struct conflicts *self, const struct td_filter *filter)
{
    struct td_request request = {.op = TD_OP_LIST, .u.list = {.filter = *filter}};
    int code = 0;

    do {
        struct td_call_result page;
        request.u.list.limit =
            self->left < TD_LIST_LIMIT_MAX ? (uint32_t)self->left : TD_LIST_LIMIT_MAX;
        code = td_cli_call(self->cli, &request, NULL, &page);
        uint32_t count = code == 0 ? page.response.u.registers.count : 0;
        for (uint32_t i = 0; code == 0 && i < count && self->left > 0; i++) {
            code = add_job(self, &page.response.u.registers.registers[i]);
            self->left--;
        }
        request.u.list.cursor = code == 0 ? page.response.u.registers.next_cursor : 0;
        td_call_release(&page);
    } while (request.u.list.cursor != 0 && self->left > 0);
    self->more = request.u.list.cursor != 0;
    return code;
}

static void print_alarms(const struct conflicts *self, json_t *list)
{
    size_t i = 0;
    json_t *item = NULL;

    json_array_foreach(list, i, item)
    {
        const char *region =
            td_cli_shown(td_text_of(json_string_value(json_object_get(item, "region"))));
        const char *alarm = json_string_value(json_object_get(item, "alarm"));
        if (self->cli->form == TD_FORM_PLAIN) {
            printf("\t\t%s\t%s\t\t\t\n", alarm, region);
        } else {
            printf("ALARM   %s: %s. See the runbook, and tidings doctor %s\n", region, alarm,
                   region);
        }
    }
}

static int print(struct conflicts *self, const struct td_response *status)
{
    if (self->table == NULL) {
        return td_cli_print_json(
            self->cli, td_json_conflicts(status, json_incref(self->list), self->more, NULL));
    }
    json_t *list = td_json_alarms(status);
    if (self->count > 0) {
        td_table_print(self->table);
    }
    print_alarms(self, list);
    if (self->cli->form != TD_FORM_PLAIN) {
        printf("%s with concurrent reports, %llu with different final states, %s.%s%s\n",
               td_cli_plural(self->count, "job", "jobs"), (unsigned long long)self->finals,
               td_cli_plural(json_array_size(list), "alarm", "alarms"),
               self->more ? " There are more: --limit N." : "",
               self->count > 0 ? " Next: tidings explain JOB" : "");
    }
    json_decref(list);
    return 0;
}

int td_cmd_conflicts(struct td_cli *cli)
{
    static const struct td_column columns[] = {
        {.name = "JOB"},
        {.name = "ATTEMPT", .right = true},
        {.name = "KIND"},
        {.name = "WON"},
        {.name = "LOST"},
        {.name = "RULE"},
        {.name = "OTHERS", .right = true},
    };
    struct conflicts self = {.cli = cli,
                             .left = td_args_uint(cli->args, TD_FLAG_LIMIT, LIMIT_DEFAULT)};
    struct td_request request = {.op = TD_OP_STATUS};
    struct td_call_result status;
    struct td_filter filter;

    int code = td_cli_call(cli, &request, NULL, &status);
    if (code == 0) {
        code = td_job_filter(cli, &status.response, &filter);
        filter.conflicts = true;
    }
    if (code == 0) {
        self.list = td_cli_json(cli) ? json_array() : NULL;
        self.table = self.list == NULL ? td_table_alloc(cli, columns, 7) : NULL;
        code = self.list == NULL && self.table == NULL
                   ? td_cli_fail(cli, TD_ENOMEM, "%s", td_err_text(TD_ENOMEM))
                   : add_jobs(&self, &filter);
    }
    if (code == 0) {
        code = print(&self, &status.response);
        code = code != 0 ? code : td_cli_check_stale(cli, &status.response);
    }
    td_table_free(self.table);
    json_decref(self.list);
    td_call_release(&status);
    return code;
}
