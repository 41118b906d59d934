/* jobs.c -- how a register and its freshness read. */
#include "node/cli/jobs.h"
#include "node/client/json.h"

#include <string.h>

#include "node/client/sentences.h"
#include "proto/order.h"

static const char *color_of(enum td_state state)
{
    switch (state) {
    case TD_STATE_COMPLETED:
        return "\033[32m";
    case TD_STATE_FAILED:
    case TD_STATE_LOST:
        return "\033[31m";
    case TD_STATE_STOPPING:
    case TD_STATE_STOPPED:
        return "\033[33m";
    default:
        return "\033[36m";
    }
}

const char *td_job_state_word(const struct td_cli *cli, enum td_state state)
{
    static char text[64];

    if (!cli->color) {
        return td_state_name(state);
    }
    snprintf(text, sizeof text, "%s%s\033[0m", color_of(state), td_state_name(state));
    return text;
}

void td_job_state_text(const struct td_cli *cli, const struct td_register_view *view,
                       char *ret_text, size_t text_bytes)
{
    const struct td_status *status = &view->status;
    char progress[16] = "";

    if (status->progress_known) {
        td_percent_format(status->progress, progress);
    }
    snprintf(ret_text, text_bytes, "%s%s%s%s%s%s%s", td_job_state_word(cli, status->state),
             progress[0] == '\0' ? "" : " ", progress, status->detail.count == 0 ? "" : "  \"",
             status->detail.count == 0 ? "" : td_cli_shown(status->detail),
             status->detail.count == 0 ? "" : "\"", view->silent ? "  SILENT" : "");
}

uint64_t td_job_since_ms(const struct td_register_view *view)
{
    uint64_t entered_ms = (unsigned)view->status.state < TD_STATE_COUNT
                              ? view->status.entered_ms[view->status.state]
                              : 0;
    return entered_ms != 0 ? entered_ms : view->stamp.ms;
}

struct td_table *td_job_table(const struct td_cli *cli)
{
    static const struct td_column columns[] = {
        {.name = "JOB"},
        {.name = "ATTEMPT", .right = true},
        {.name = "STATE"},
        {.name = "PROGRESS", .right = true},
        {.name = "SINCE"},
        {.name = "ORIGIN"},
        {.name = "WRITER"},
        {.name = "SEQ", .right = true, .wide = true},
        {.name = "NOTES", .wide = true},
        {.name = "DETAIL"},
    };
    return td_table_alloc(cli, columns, sizeof columns / sizeof columns[0]);
}

static void since_text(const struct td_cli *cli, const struct td_register_view *view,
                       char *ret_text, size_t text_bytes)
{
    char full[TD_TIME_TEXT_BYTES] = "";
    uint64_t since_ms = td_job_since_ms(view);
    uint64_t now_ms = td_cli_wall_ms();

    if (cli->form == TD_FORM_PLAIN || since_ms > now_ms + 86400000 ||
        since_ms + 86400000 < now_ms) {
        td_time_format(since_ms, full);
        snprintf(ret_text, text_bytes, "%s", full);
    } else {
        snprintf(ret_text, text_bytes, "%s", td_cli_time_of_day(cli, since_ms));
    }
}

void td_job_row(const struct td_cli *cli, struct td_table *table,
                const struct td_response *response, const struct td_register_view *view)
{
    const struct td_status *status = &view->status;
    bool plain = cli->form == TD_FORM_PLAIN;
    char attempt[16];
    char progress[16] = "";
    char since[40];
    char seq[32];
    char notes[64];

    snprintf(attempt, sizeof attempt, "%u", view->attempt);
    snprintf(seq, sizeof seq, "%llu", (unsigned long long)view->dot.seq);
    const char *silence = td_silence_word(response, view);
    bool unheard = silence != NULL && strcmp(silence, "region_not_heard") == 0;
    snprintf(notes, sizeof notes, "%s%s%s",
             unheard           ? "region-not-heard"
             : silence != NULL ? "silent"
                               : "",
             silence != NULL && view->concurrent_count > 0 ? " " : "",
             view->concurrent_count > 0 ? "conflict" : "");
    if (status->progress_known && plain) {
        snprintf(progress, sizeof progress, "%u.%02u", status->progress / 100u,
                 status->progress % 100u);
    } else if (status->progress_known) {
        td_percent_format(status->progress, progress);
    }
    since_text(cli, view, since, sizeof since);
    td_table_row(table, (const char *const[]){
                            td_cli_shown(view->job), attempt, td_state_name(status->state),
                            progress[0] == '\0' ? NULL : progress, since,
                            td_cli_region(response, view->dot.origin.region),
                            status->writer.count == 0 ? NULL : td_cli_shown(status->writer), seq,
                            notes[0] == '\0' ? NULL : notes,
                            status->detail.count == 0 ? NULL : td_cli_shown(status->detail)});
}

struct td_region td_region_of_name(const struct td_response *response, const char *name)
{
    struct td_text text = td_text_of(name);

    for (uint32_t i = 0; i < response->name_count; i++) {
        if (td_text_equal(response->names[i].name, text)) {
            return response->names[i].region;
        }
    }
    if (response->op == TD_OP_STATUS) {
        for (uint32_t i = 0; i < response->u.status.region_count; i++) {
            if (td_text_equal(response->u.status.regions[i].name, text)) {
                return response->u.status.regions[i].region;
            }
        }
    }
    return (struct td_region){0};
}

int td_job_names(struct td_cli *cli, struct td_call_result *ret_result)
{
    struct td_request request = {.op = TD_OP_STATUS};

    memset(ret_result, 0, sizeof *ret_result);
    return td_args_has(cli->args, TD_FLAG_ORIGIN) ? td_cli_call(cli, &request, NULL, ret_result)
                                                  : 0;
}

static uint8_t states_of(const char *words)
{
    uint8_t states = 0;
    enum td_state state;

    while (words != NULL && *words != '\0') {
        size_t count = strcspn(words, ",");
        if (td_state_parse((struct td_text){words, (uint32_t)count}, &state)) {
            states = (uint8_t)(states | 1u << state);
        }
        words += count + (words[count] == ',' ? 1 : 0);
    }
    return states;
}

int td_job_filter(const struct td_cli *cli, const struct td_response *names,
                  struct td_filter *ret_filter)
{
    const struct td_args *args = cli->args;
    const char *origin = td_args_text(args, TD_FLAG_ORIGIN);
    const char *since = td_args_text(args, TD_FLAG_SINCE);
    uint64_t ms = 0;
    struct td_filter filter = {
        .states = states_of(td_args_text(args, TD_FLAG_STATE)),
        .prefix = td_text_of(td_args_text(args, TD_FLAG_PREFIX)),
        .silent = td_args_has(args, TD_FLAG_SILENT),
        .conflicts = td_args_has(args, TD_FLAG_CONFLICTS),
    };
    if (origin != NULL) {
        filter.origin = td_region_of_name(names, origin);
        if (filter.origin.v == 0) {
            return td_cli_fail(cli, TD_EUSAGE,
                               "--origin: no region is called `%s`; tidings regions lists them",
                               td_cli_shown(td_text_of(origin)));
        }
    }
    if (since != NULL && td_duration_parse(since, &ms)) {
        uint64_t now_ms = td_cli_wall_ms();
        filter.since_ms = ms < now_ms ? now_ms - ms : 1;
    } else if (since != NULL && !td_time_parse(td_text_of(since), &filter.since_ms)) {
        return td_cli_fail(cli, TD_EUSAGE,
                           "--since `%s`: give a duration (10m) or a time (2026-03-02T14:00:00Z)",
                           td_cli_shown(td_text_of(since)));
    }
    *ret_filter = filter;
    return 0;
}

void td_fresh_text(const struct td_cli *cli, const struct td_response *response, char *ret_text,
                   size_t text_bytes)
{
    (void)cli;
    td_fresh_sentence(response, ret_text, text_bytes);
}
