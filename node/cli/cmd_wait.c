/* cmd_wait.c -- wait: until jobs reach a state, also one they have passed already. */
#include <stdlib.h>
#include <string.h>

#include "node/cli/cli.h"
#include "node/client/json.h"

static uint32_t states_of(const struct td_args *args)
{
    enum tidings_state state;
    const char *word = td_args_text(args, TD_FLAG_FOR);

    /* "final" is no state's name: any of them. */
    return word != NULL && tidings_state_parse(word, &state) == TIDINGS_OK ? UINT32_C(1) << state
                                                                           : 0;
}

static json_t *job_json(const struct tidings_wait_job *job)
{
    const struct tidings_status *status = &job->status;
    char since[TD_TIME_TEXT_BYTES] = "";

    if (!job->seen) {
        return json_pack("{s:s, s:b, s:n}", "id", job->job, "met", 0, "state");
    }
    td_time_format(status->entered_ms[status->state] != 0 ? status->entered_ms[status->state]
                                                          : status->stamp_ms,
                   since);
    json_t *json = json_pack("{s:s, s:b, s:i, s:s, s:b, s:s, s:s, s:I}", "id", status->job, "met",
                             job->met, "attempt", (int)status->attempt, "state",
                             tidings_state_name(status->state), "final", status->final, "since",
                             since, "origin", status->origin, "seq", (json_int_t)status->seq);
    if (json != NULL) {
        json_object_set_new(json, "detail",
                            status->detail[0] == '\0' ? json_null() : json_string(status->detail));
        json_object_set_new(json, "writer",
                            status->writer[0] == '\0' ? json_null() : json_string(status->writer));
        json_object_set_new(json, "progress",
                            status->progress < 0 ? json_null()
                                                 : json_real(status->progress / 10000.0));
    }
    return json;
}

static int print_json(struct td_cli *cli, const struct tidings_wait_job *jobs, size_t count,
                      int err)
{
    json_t *list = json_array();

    for (size_t i = 0; i < count; i++) {
        json_array_append_new(list, job_json(&jobs[i]));
    }
    return td_cli_print_json(cli, json_pack("{s:s, s:b, s:o}", "schema", "tidings.wait/1", "met",
                                            err == TIDINGS_OK, "jobs", list));
}

static void print_job(const struct td_cli *cli, const struct tidings_wait_job *job)
{
    const struct tidings_status *status = &job->status;
    uint64_t since_ms = 0;

    if (!job->seen) {
        printf("%s not known here\n", td_cli_shown(td_text_of(job->job)));
        return;
    }
    since_ms = status->entered_ms[status->state] != 0 ? status->entered_ms[status->state]
                                                      : status->stamp_ms;
    if (cli->form == TD_FORM_PLAIN) {
        char since[TD_TIME_TEXT_BYTES] = "";
        td_time_format(since_ms, since);
        printf("%s\t%u\t%s\t%s\t%s\t%s\n", td_cli_shown(td_text_of(status->job)), status->attempt,
               tidings_state_name(status->state), since, td_cli_shown(td_text_of(status->origin)),
               job->met ? "met" : "not met");
        return;
    }
    printf("%s %s at %s (%s%s%s)%s%s%s\n", td_cli_shown(td_text_of(status->job)),
           tidings_state_name(status->state), td_cli_time_of_day(cli, since_ms),
           td_cli_shown(td_text_of(status->origin)), status->writer[0] == '\0' ? "" : ", ",
           td_cli_shown(td_text_of(status->writer)), status->detail[0] == '\0' ? "" : ": \"",
           td_cli_shown(td_text_of(status->detail)), status->detail[0] == '\0' ? "" : "\"");
}

/* Says when the wait hangs on a region that nobody hears. */
static void print_reason(const struct td_cli *cli, const struct tidings_freshness *freshness)
{
    if (freshness->certain || freshness->deciding_region[0] == '\0') {
        return;
    }
    for (uint32_t i = 0; i < freshness->region_count; i++) {
        const struct tidings_region_freshness *region = &freshness->regions[i];
        if (strcmp(region->region, freshness->deciding_region) != 0) {
            continue;
        }
        td_cli_note(cli,
                    region->age_known ? "%s was last complete here %s ago: it may know more"
                                      : "%s has not been heard completely%s: it may know more",
                    td_cli_shown(td_text_of(region->region)),
                    region->age_known ? td_cli_duration(region->age_ms) : "");
    }
}

/* What was reached stays reached. "Not yet" is only as good as it is fresh: with --max-stale it is
 * 5, not 6, when some region may know more. */
static int exit_code(const struct td_cli *cli, int err, const struct tidings_freshness *freshness)
{
    uint64_t limit_ms = td_args_ms(cli->args, TD_FLAG_MAX_STALE, 0);

    if (err != TIDINGS_ETIMEOUT || !td_args_has(cli->args, TD_FLAG_MAX_STALE)) {
        return td_err_exit_code((enum td_err)err);
    }
    for (uint32_t i = 0; i < freshness->region_count; i++) {
        const struct tidings_region_freshness *region = &freshness->regions[i];
        if (!region->age_known || region->age_ms > limit_ms) {
            return td_err_exit_code(TD_ESTALE);
        }
    }
    return td_err_exit_code(TD_ETIMEOUT);
}

/* ---- while waiting ---- */

enum { UNKNOWN_US = 2 * 1000 * 1000 }; /* a node that has just started knows no ages for a moment */

struct waiting {
    const struct td_cli *cli;
    char region[TIDINGS_REGION_BYTES + 1]; /* said to be waited for; "" = none */
    uint64_t unknown_us;                   /* since when an age has not been known; 0 = it is */
};

static const struct tidings_region_freshness *deciding(const struct tidings_freshness *freshness)
{
    for (uint32_t i = 0; i < freshness->region_count; i++) {
        if (!freshness->certain &&
            strcmp(freshness->regions[i].region, freshness->deciding_region) == 0) {
            return &freshness->regions[i];
        }
    }
    return NULL;
}

static bool unknown_for_long(struct waiting *self, const struct tidings_region_freshness *region)
{
    if (region == NULL || region->age_known) {
        self->unknown_us = 0;
        return false;
    }
    if (self->unknown_us == 0) {
        self->unknown_us = td_cli_mono_us();
    }
    return td_cli_mono_us() - self->unknown_us >= UNKNOWN_US;
}

/* Each change once, on stderr: the state may long have been reached where nobody hears it. */
static void say_waiting(void *context, const struct tidings_freshness *freshness)
{
    struct waiting *self = context;
    const struct tidings_region_freshness *region = deciding(freshness);
    bool unknown = unknown_for_long(self, region);

    if (region == NULL) {
        if (self->region[0] != '\0') {
            td_cli_note(self->cli, "%s is heard again", td_cli_shown(td_text_of(self->region)));
        }
        self->region[0] = '\0';
        return;
    }
    if (strcmp(region->region, self->region) == 0 || (!region->age_known && !unknown)) {
        return;
    }
    snprintf(self->region, sizeof self->region, "%s", region->region);
    td_cli_note(self->cli, "waiting on %s, which nobody hears since %s",
                td_cli_shown(td_text_of(region->region)),
                region->age_known ? td_cli_duration(region->age_ms) : "this node started");
}

static int run(struct td_cli *cli, struct tidings_wait_job *jobs, size_t count)
{
    struct tidings_freshness freshness = {0};
    struct waiting waiting = {.cli = cli};
    struct tidings_wait_options options = {
        .states = states_of(cli->args),
        .or_lost = td_args_has(cli->args, TD_FLAG_OR_LOST),
        .any = td_args_has(cli->args, TD_FLAG_ANY),
        .timeout_ms = td_cli_timeout_ms(cli, UINT32_MAX),
        .waiting = say_waiting,
        .waiting_self = &waiting,
    };
    int err = tidings_wait(cli->tidings, jobs, count, &options, &freshness);
    bool answered = err == TIDINGS_OK || err == TIDINGS_EOTHERFINAL || err == TIDINGS_ETIMEOUT;

    if (!answered) {
        struct td_call_result nothing = {0};
        return td_cli_fail_call(cli, cli->tidings, (enum td_err)err, &nothing);
    }
    if (td_cli_json(cli)) {
        int code = print_json(cli, jobs, count, err);
        return code != 0 ? code : exit_code(cli, err, &freshness);
    }
    for (size_t i = 0; i < count; i++) {
        print_job(cli, &jobs[i]);
    }
    if (err == TIDINGS_ETIMEOUT) {
        td_cli_note(cli, "timed out waiting");
        print_reason(cli, &freshness);
    }
    return exit_code(cli, err, &freshness);
}

int td_cmd_wait(struct td_cli *cli)
{
    const struct td_args *args = cli->args;
    struct tidings_options options = {0};
    struct tidings_wait_job *jobs = NULL;

    if (td_args_has(args, TD_FLAG_ANY) && td_args_has(args, TD_FLAG_ALL)) {
        return td_cli_fail(cli, TD_EUSAGE, "--any and --all contradict each other");
    }
    /* --timeout is that of the wait; a connection gets the usual one. */
    options.timeout_ms =
        td_cli_timeout_ms(cli, 10000) < 10000 ? td_cli_timeout_ms(cli, 10000) : 10000;
    int code = td_cli_open_at(cli, cli->nodes, &options, &cli->tidings);
    if (code != 0) {
        return code;
    }
    jobs = calloc(args->argument_count, sizeof *jobs);
    if (jobs == NULL) {
        return td_cli_fail(cli, TD_ENOMEM, "%s", td_err_text(TD_ENOMEM));
    }
    for (unsigned i = 0; i < args->argument_count; i++) {
        jobs[i].job = args->arguments[i];
        jobs[i].attempt = (uint16_t)td_args_uint(args, TD_FLAG_ATTEMPT, 0);
    }
    code = run(cli, jobs, args->argument_count);
    free(jobs);
    return code;
}
