/* cmd_history.c -- history: when each attempt of a job entered each state. */
#include "node/cli/cli.h"
#include "node/cli/jobs.h"
#include "node/client/json.h"
#include "proto/order.h"

static void history_row(struct td_table *table, const struct td_response *response,
                        const struct td_register_view *view, enum td_state state)
{
    char attempt[16];
    char when[TD_TIME_TEXT_BYTES] = "";
    uint64_t entered_ms = view->status.entered_ms[state];
    bool current = view->status.state == state;

    snprintf(attempt, sizeof attempt, "%u", view->attempt);
    td_time_format(entered_ms != 0 ? entered_ms : view->stamp.ms, when);
    td_table_row(
        table,
        (const char *const[]){
            attempt, when, td_state_name(state),
            current ? td_cli_region(response, view->dot.origin.region) : NULL,
            current && view->status.writer.count > 0 ? td_cli_shown(view->status.writer) : NULL,
            current && view->status.detail.count > 0 ? td_cli_shown(view->status.detail) : NULL});
}

/* States of one attempt in the order in which they were entered first. */
static void history_rows(struct td_table *table, const struct td_response *response,
                         const struct td_register_view *view)
{
    bool done[TD_STATE_COUNT] = {false};

    for (int round = 0; round < TD_STATE_COUNT; round++) {
        int next = -1;
        for (int state = 0; state < TD_STATE_COUNT; state++) {
            uint64_t entered_ms = view->status.entered_ms[state];
            bool candidate = !done[state] && entered_ms != 0;
            if (candidate && (next < 0 || entered_ms < view->status.entered_ms[next])) {
                next = state;
            }
        }
        if (next < 0) {
            break;
        }
        done[next] = true;
        history_row(table, response, view, (enum td_state)next);
    }
    if ((unsigned)view->status.state < TD_STATE_COUNT && !done[view->status.state]) {
        history_row(table, response, view, view->status.state);
    }
}

static int print_history(struct td_cli *cli, const struct td_response *response)
{
    static const struct td_column columns[] = {
        {.name = "ATTEMPT", .right = true},
        {.name = "ENTERED"},
        {.name = "STATE"},
        {.name = "ORIGIN"},
        {.name = "WRITER"},
        {.name = "DETAIL"},
    };
    if (td_cli_json(cli)) {
        json_t *body = td_json_get_all(response, NULL);
        return td_cli_print_json(cli, body);
    }
    struct td_table *table = td_table_alloc(cli, columns, 6);
    if (table == NULL) {
        return td_cli_fail(cli, TD_ENOMEM, "%s", td_err_text(TD_ENOMEM));
    }
    for (uint32_t i = response->u.registers.count; i > 0; i--) {
        history_rows(table, response, &response->u.registers.registers[i - 1]);
    }
    td_table_print(table);
    td_table_free(table);
    return 0;
}

int td_cmd_history(struct td_cli *cli)
{
    struct td_call_result result;
    bool known = false;

    int code =
        td_job_ask(cli, TD_OP_GET, !td_args_has(cli->args, TD_FLAG_ATTEMPT), &result, &known);
    if (code == 0 && !known) {
        code = td_job_unknown(cli, &result.response, cli->args->arguments[0]);
    } else if (code == 0) {
        code = print_history(cli, &result.response);
        code = code != 0 ? code : td_cli_check_stale(cli, &result.response);
    }
    td_call_release(&result);
    return code;
}
