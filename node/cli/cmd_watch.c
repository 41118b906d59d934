/* cmd_watch.c -- watch: changes as they arrive, in the order of the node that tells them. Each
 * answer carries where it ended, so a lost node costs a reconnection and nothing else. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "node/cli/cli.h"
#include "node/cli/jobs.h"
#include "node/client/json.h"
#include "node/client/watch_place.h"
#include "proto/order.h"

enum { POLL_MS = 5000, RETRY_MS = 500, EMPTY_PAUSE_MS = 100 };

struct watch {
    struct td_cli *cli;
    struct td_filter filter;
    struct td_text jobs[TD_WATCH_JOBS_MAX];
    struct td_table *plain; /* only with -o plain */
    struct td_watch_place place;
    uint64_t left;
    uint64_t lost_since_us; /* 0 = connected */
    bool answered, certain; /* of the newest answer; a change is told */
    int stale_code;         /* 5 when the newest answer is older than --max-stale */
};

static int take_from(struct watch *self)
{
    const char *from = td_args_text(self->cli->args, TD_FLAG_FROM);

    struct td_watch_cursor given;
    struct td_token_memory memory = {0};

    if (from == NULL || strcmp(from, "now") == 0 || strcmp(from, "start") == 0) {
        bool start = from != NULL && from[0] == 's';
        td_watch_place_init(&self->place, start ? 0 : UINT64_MAX);
        return 0;
    }
    enum td_err err = td_cursor_from_text(from, &given, &memory);
    if (err == TD_OK) {
        td_watch_place_resume(&self->place, &given);
    }
    td_token_release(&memory);
    if (err != TD_OK) {
        return td_cli_fail(self->cli, err,
                           "--from: now, start, or a cursor exactly as it was printed");
    }
    return 0;
}

static int take_jobs(struct watch *self)
{
    const struct td_args *args = self->cli->args;

    for (unsigned i = 0; i < args->argument_count; i++) {
        self->jobs[i] = td_text_of(args->arguments[i]);
        if (self->jobs[i].count == 0 || self->jobs[i].count > TD_JOB_BYTES_MAX) {
            return td_cli_fail(self->cli, TD_EJOBID, "job `%s`: %s", td_cli_shown(self->jobs[i]),
                               td_err_text(TD_EJOBID));
        }
    }
    self->filter.jobs = self->jobs;
    self->filter.job_count = args->argument_count;
    return 0;
}

static void print_line(const struct td_cli *cli, const struct td_response *response,
                       const struct td_register_view *view)
{
    char state[2048];

    td_job_state_text(cli, view, state, sizeof state);
    printf("%s  %s", td_cli_time_of_day(cli, view->stamp.ms), td_cli_shown(view->job));
    if (view->attempt > 1) {
        printf(" attempt %u", view->attempt);
    }
    printf("  %s  %s%s%s\n", state, td_cli_region(response, view->dot.origin.region),
           view->status.writer.count == 0 ? "" : " ",
           view->status.writer.count == 0 ? "" : td_cli_shown(view->status.writer));
}

static void print_change(struct watch *self, const struct td_response *response,
                         const struct td_register_view *view)
{
    struct td_cli *cli = self->cli;

    if (td_cli_json(cli)) {
        char *cursor = td_watch_place_text(&self->place, view->arrival);
        td_cli_print_json(cli, td_json_change(response, view, cursor));
        free(cursor);
    } else if (self->plain != NULL) {
        td_job_row(cli, self->plain, response, view);
    } else {
        print_line(cli, response, view);
    }
}

static void print_reset(struct watch *self, const struct td_response *response)
{
    if (td_cli_json(self->cli)) {
        char *cursor = td_watch_place_text(&self->place, self->place.cursor);
        td_cli_print_json(self->cli, td_json_reset(response, cursor));
        free(cursor);
    } else {
        td_cli_note(self->cli,
                    "reset: changes were merged away; the newest status of each job follows");
    }
}

/* Nothing changes while a region is not heard: that silence is told apart from quiet jobs, once
 * each way. */
static void note_freshness(struct watch *self, const struct td_response *response)
{
    char fresh[1024];
    bool first = !self->answered;

    self->stale_code = 0;
    if (td_args_has(self->cli->args, TD_FLAG_MAX_STALE)) {
        uint32_t at = td_freshness_deciding(response);
        uint64_t limit_ms = td_args_ms(self->cli->args, TD_FLAG_MAX_STALE, 0);
        const struct td_fresh_view *view = at == UINT32_MAX ? NULL : &response->freshness[at];
        bool old = view != NULL && (!view->age_known || view->age_ms > limit_ms);
        self->stale_code = old ? td_err_exit_code(TD_ESTALE) : 0;
    }
    if (first ? response->certain : self->certain == response->certain) {
        self->answered = true;
        self->certain = response->certain;
        return;
    }
    self->answered = true;
    self->certain = response->certain;
    td_fresh_text(self->cli, response, fresh, sizeof fresh);
    td_cli_note(self->cli, "%s", fresh);
    if (td_cli_json(self->cli) && td_args_has(self->cli->args, TD_FLAG_MAX_STALE)) {
        json_t *line = td_json_envelope(response, "tidings.freshness/1", NULL);
        json_object_set_new(line, "freshness", td_json_freshness(response));
        (void)td_cli_print_json(self->cli, line);
    }
}

/* Prints an answer and moves the cursor behind it. */
static void take_answer(struct watch *self, const struct td_response *response, uint32_t limit)
{
    if (td_watch_place_begin(&self->place, response)) {
        print_reset(self, response);
    }
    for (uint32_t i = 0; i < response->u.registers.count && self->left > 0; i++) {
        print_change(self, response, &response->u.registers.registers[i]);
        self->left--;
    }
    td_watch_place_end(&self->place, response, limit);
    note_freshness(self, response);
    fflush(stdout);
    if (self->lost_since_us != 0) {
        td_cli_note(self->cli, "connected again, to %s", td_cli_shown(response->node_name));
        self->lost_since_us = 0;
    }
    if (self->place.cursor == 0 && self->left > 0) {
        struct timespec pause = {0, EMPTY_PAUSE_MS * 1000000L};
        nanosleep(&pause, NULL); /* a node without any change yet answers at once: do not spin */
    }
}

/* True when it is worth trying on: somebody had answered, and --timeout has not passed. */
static bool try_again(struct watch *self, enum td_err err)
{
    bool passing = err == TD_ENONODE || err == TD_ECLOSEDLINK || err == TD_ETIMEOUT;
    uint64_t now_us = td_cli_mono_us();
    struct timespec pause = {0, RETRY_MS * 1000000L};

    if (!self->place.placed || !passing) {
        return false;
    }
    if (self->lost_since_us == 0) {
        self->lost_since_us = now_us;
        td_cli_note(self->cli, "connection lost; trying to get it back");
    }
    if (td_args_has(self->cli->args, TD_FLAG_TIMEOUT) &&
        now_us - self->lost_since_us > UINT64_C(1000) * td_cli_timeout_ms(self->cli, 0)) {
        return false;
    }
    nanosleep(&pause, NULL);
    return true;
}

static int follow(struct watch *self)
{
    while (self->left > 0 && ferror(stdout) == 0) {
        uint32_t limit = self->left < TD_LIST_LIMIT_MAX ? (uint32_t)self->left : TD_LIST_LIMIT_MAX;
        /* The first answer comes at once: from then on there is a place to resume from. */
        struct td_request request = {.op = TD_OP_WATCH,
                                     .timeout_ms = self->place.placed ? POLL_MS : 0,
                                     .u.watch = {.filter = self->filter, .limit = limit}};
        td_watch_place_ask(&self->place, &request);
        struct td_call_options options = {.no_token = true};
        struct td_call_result result = {0};
        enum td_err err = td_call(self->cli->tidings, &request, &options, &result);
        enum td_err said = err == TD_OK ? result.response.err : err;
        if (said == TD_OK) {
            take_answer(self, &result.response, limit);
            td_call_release(&result);
            continue;
        }
        bool again = try_again(self, said);
        int code = again ? 0 : td_cli_fail_call(self->cli, self->cli->tidings, err, &result);
        td_call_release(&result);
        if (!again) {
            return code;
        }
    }
    return self->stale_code;
}

int td_cmd_watch(struct td_cli *cli)
{
    static struct watch self; /* too large for the stack */
    struct td_call_result names;

    self.cli = cli;
    self.left = td_args_uint(cli->args, TD_FLAG_LIMIT, UINT64_MAX);

    int code = td_job_names(cli, &names);
    if (code == 0) {
        code = td_job_filter(cli, &names.response, &self.filter);
    }
    if (code == 0) {
        code = take_jobs(&self);
    }
    if (code == 0) {
        code = take_from(&self);
    }
    if (code == 0) {
        code = td_cli_open(cli);
    }
    if (code == 0 && cli->form == TD_FORM_PLAIN) {
        self.plain = td_job_table(cli);
    }
    if (code == 0) {
        code = follow(&self);
    }
    td_table_free(self.plain);
    td_call_release(&names);
    return code;
}
