/* cmd_get.c -- get: the status of one job and how far it can be trusted. */
#include <string.h>

#include "node/cli/cli.h"
#include "node/cli/jobs.h"
#include "node/client/json.h"

enum { LINE_BYTES = 4096 };

/* --require-fresh REGION: that region's part has to be complete, within --max-stale or the node's
 * limit. */
static int check_required(struct td_cli *cli, const struct td_response *response)
{
    unsigned position = 0;
    uint64_t limit_ms = td_args_ms(cli->args, TD_FLAG_MAX_STALE, td_stale_ms(response));

    for (const char *name;
         (name = td_args_next(cli->args, TD_FLAG_REQUIRE_FRESH, &position)) != NULL;) {
        struct td_region region = td_region_of_name(response, name);
        bool fresh = region.v == response->node.v && region.v != 0;
        bool found = fresh;
        for (uint32_t i = 0; i < response->freshness_count; i++) {
            const struct td_fresh_view *view = &response->freshness[i];
            if (region.v != 0 && view->region.v == region.v) {
                found = true;
                fresh = fresh || (view->age_known && view->age_ms <= limit_ms &&
                                  !view->recovering && !view->doubt);
            }
        }
        if (!found) {
            return td_cli_fail(cli, TD_EUSAGE, "--require-fresh: no region is called `%s`",
                               td_cli_shown(td_text_of(name)));
        }
        if (!fresh) {
            td_cli_note(cli, "%s is not fresh", td_cli_shown(td_text_of(name)));
            return td_err_exit_code(TD_ESTALE);
        }
    }
    return 0;
}

static void print_labels(const struct td_status *status)
{
    for (uint8_t i = 0; i < status->label_count; i++) {
        printf("%s%s=%s", i == 0 ? "LABELS  " : "  ", td_cli_shown(status->labels[i].key),
               td_cli_shown(status->labels[i].value));
    }
    if (status->label_count > 0) {
        putchar('\n');
    }
}

/* A promise that was broken, or one of which nobody here can know. */
static void print_silence(const struct td_response *response, const struct td_register_view *view)
{
    const char *word = td_silence_word(response, view);
    uint64_t age_ms = response->now_ms > view->stamp.ms ? response->now_ms - view->stamp.ms : 0;

    if (word == NULL) {
        return;
    }
    printf("SILENT  a report was promised every %s, the last one is %s old",
           td_cli_duration(UINT64_C(1000) * view->status.expect_every_s), td_cli_duration(age_ms));
    if (strcmp(word, "region_not_heard") == 0) {
        printf("; %s is not heard, newer ones may be there",
               td_cli_region(response, view->dot.origin.region));
    }
    putchar('\n');
}

static void print_doubt(const struct td_response *response, const struct td_register_view *view)
{
    if ((view->flags & TD_VIEW_DOUBTFUL) != 0) {
        printf("DOUBTFUL  %s was revoked, as of a time before this report; tidings roster show\n",
               td_cli_region(response, view->dot.origin.region));
    }
}

static void print_register(struct td_cli *cli, const struct td_response *response,
                           const struct td_register_view *view)
{
    char state[LINE_BYTES];
    uint64_t since_ms = td_job_since_ms(view);
    uint64_t age_ms = response->now_ms > since_ms ? response->now_ms - since_ms : 0;

    td_job_state_text(cli, view, state, sizeof state);
    printf("JOB     %s  attempt %u\n", td_cli_shown(view->job), view->attempt);
    printf("STATE   %s%s\n", state, response->certain ? "" : "      LAST KNOWN, may have changed");
    printf("SINCE   %s (%s), set by %s", td_cli_time_of_day(cli, since_ms), td_cli_duration(age_ms),
           td_cli_region(response, view->dot.origin.region));
    if (view->status.writer.count > 0) {
        printf(", worker %s", td_cli_shown(view->status.writer));
    }
    putchar('\n');
    print_silence(response, view);
    print_doubt(response, view);
    if (view->status.parent.count > 0) {
        printf("PARENT  %s\n", td_cli_shown(view->status.parent));
    }
    print_labels(&view->status);
    if (view->concurrent_count > 0) {
        printf("NOTE    %s not seen by this one's writer; tidings explain %s\n",
               td_cli_plural(view->concurrent_count, "other report was", "other reports were"),
               td_cli_shown(view->job));
    }
}

static int print_registers(struct td_cli *cli, const struct td_response *response)
{
    char fresh[LINE_BYTES];
    bool all = td_args_has(cli->args, TD_FLAG_ALL_ATTEMPTS);
    uint32_t count = all ? response->u.registers.count : 1;

    if (td_cli_json(cli)) {
        return td_cli_print_json(cli, all ? td_json_get_all(response, NULL)
                                          : td_json_get(response, NULL));
    }
    if (cli->form == TD_FORM_PLAIN) {
        struct td_table *table = td_job_table(cli);
        for (uint32_t i = 0; table != NULL && i < count; i++) {
            td_job_row(cli, table, response, &response->u.registers.registers[i]);
        }
        td_table_free(table);
        return 0;
    }
    for (uint32_t i = 0; i < count; i++) {
        print_register(cli, response, &response->u.registers.registers[i]);
    }
    td_fresh_text(cli, response, fresh, sizeof fresh);
    printf("FRESH   %s\n", fresh);
    return 0;
}

int td_cmd_get(struct td_cli *cli)
{
    struct td_call_result result;
    bool known = false;

    int code =
        td_job_ask(cli, TD_OP_GET, td_args_has(cli->args, TD_FLAG_ALL_ATTEMPTS), &result, &known);
    if (code == 0 && !known) {
        code = td_job_unknown(cli, &result.response, cli->args->arguments[0]);
    } else if (code == 0) {
        code = print_registers(cli, &result.response);
        code = code != 0 ? code : check_required(cli, &result.response);
        code = code != 0 ? code : td_cli_check_stale(cli, &result.response);
    }
    td_call_release(&result);
    return code;
}
