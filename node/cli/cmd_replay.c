/* cmd_replay.c -- replay: a workload trace published as if it happened now, then checked at every
 * node. One handle per listed node, each with the other nodes behind it, so the loss of a node
 * moves its jobs to the next one. A report whose answer was lost for good is offered again unless a
 * newer one of the same job is on its way. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "node/cli/cli.h"
#include "node/cli/progress.h"
#include "node/cli/replay.h"

enum { BATCH_DEFAULT = 512, IN_FLIGHT_DEFAULT = 16, JOB_TEXT_BYTES = TIDINGS_JOB_BYTES + 16 };

struct replay;
struct report {
    struct replay *replay;
    struct td_swf_event event;
    struct report *next; /* free list or retry list */
};
struct replay {
    struct td_cli *cli;
    struct td_swf_trace trace;
    struct td_swf_event *events;
    size_t event_count;
    const char *prefix;
    char prefix_memory[TIDINGS_JOB_BYTES];
    char *nodes[TD_CLI_NODES_MAX];
    struct tidings *handles[TD_CLI_NODES_MAX];
    unsigned node_count;
    json_t *body;         /* -o json: everything that is said at the end; else NULL */
    uint8_t *newest_step; /* per job: last step offered; main thread only */
    struct report *reports;

    pthread_mutex_t lock;
    pthread_cond_t answered;
    struct report *free_list; /* under the lock, as is everything below */
    struct report *retry_list;
    size_t in_flight;
    uint64_t acknowledged, noops, overtaken, retried;
    uint64_t refused;
    int refused_err; /* the first one */
    char refused_job[JOB_TEXT_BYTES];
};

static void job_text(const struct replay *self, uint32_t job, char ret_text[JOB_TEXT_BYTES])
{
    snprintf(ret_text, JOB_TEXT_BYTES, "%s/%u", self->prefix, self->trace.jobs[job].number);
}

static bool worth_retrying(int err)
{
    return err == TIDINGS_ENONODE || err == TIDINGS_ETIMEOUT || err == TIDINGS_EACK ||
           td_err_class((enum td_err)err) == TD_CLASS_RETRY;
}

/* On the handle's thread. */
static void on_answer(void *arg, const struct tidings_result *result)
{
    struct report *report = arg;
    struct replay *self = report->replay;

    pthread_mutex_lock(&self->lock);
    struct report **list = &self->free_list;
    if (result->err == TIDINGS_OK) {
        self->acknowledged++;
        self->noops += result->noop;
    } else if (result->err == TIDINGS_ERANK || result->err == TIDINGS_EFINAL) {
        self->overtaken++; /* a newer report was first, or the trace was replayed before */
    } else if (worth_retrying(result->err)) {
        list = &self->retry_list;
    } else if (self->refused++ == 0) {
        self->refused_err = result->err;
        job_text(self, report->event.job, self->refused_job);
    }
    report->next = *list;
    *list = report;
    self->in_flight--;
    pthread_cond_signal(&self->answered);
    pthread_mutex_unlock(&self->lock);
}

static unsigned node_of(const struct replay *self, const struct td_swf_job *job)
{
    int32_t column = job->partition;

    if (td_args_is(self->cli->args, TD_FLAG_MAP, "user")) {
        column = job->user;
    } else if (td_args_is(self->cli->args, TD_FLAG_MAP, "queue")) {
        column = job->queue;
    }
    return (unsigned)(column < 0 ? 0 : column) % self->node_count;
}

static void fill_update(const struct replay *self, const struct report *report,
                        struct tidings_update *update, char *detail, size_t detail_bytes)
{
    const struct td_swf_job *job = &self->trace.jobs[report->event.job];
    enum td_swf_step step = (enum td_swf_step)report->event.step;
    uint16_t progress = 0;
    bool told = true;

    update->attempt = 1;
    update->state = (enum tidings_state)td_swf_step_state(job, step, &progress);
    if (step == TD_SWF_END) {
        td_swf_outcome(job, &told);
        update->detail = told ? "" : "the trace does not tell the outcome";
    } else if (step == TD_SWF_SUBMIT) {
        snprintf(detail, detail_bytes, "partition %d, %d processors", job->partition,
                 job->processors);
        update->detail = detail;
    }
    bool ended_well = step != TD_SWF_END || update->state == TIDINGS_COMPLETED;
    if (step > TD_SWF_START && ended_well) {
        update->set_progress = true;
        update->progress = progress;
    }
}

/* The report was not sent: Ctrl-C, or a newer one of the job was. */
static void give_back(struct replay *self, struct report *report, bool was_in_flight)
{
    pthread_mutex_lock(&self->lock);
    report->next = self->free_list;
    self->free_list = report;
    self->in_flight -= was_in_flight;
    self->overtaken += !was_in_flight;
    pthread_mutex_unlock(&self->lock);
}

/* Offers one report; waits out a full queue, until Ctrl-C. */
static void offer(struct replay *self, struct report *report)
{
    char job[JOB_TEXT_BYTES];
    char detail[64];
    struct tidings_update update = {.job = job};
    struct timespec pause = {0, 1000000};

    job_text(self, report->event.job, job);
    fill_update(self, report, &update, detail, sizeof detail);
    self->newest_step[report->event.job] = (uint8_t)report->event.step;
    pthread_mutex_lock(&self->lock);
    self->in_flight++;
    pthread_mutex_unlock(&self->lock);
    int err = TIDINGS_FULL;
    while (err == TIDINGS_FULL && td_cli_interrupted == 0) {
        err = tidings_publish_async(
            self->handles[node_of(self, &self->trace.jobs[report->event.job])], &update, on_answer,
            report);
        if (err == TIDINGS_FULL) {
            nanosleep(&pause, NULL); /* the library's bytes, not our count: nothing to wait on */
        }
    }
    if (err == TIDINGS_FULL) {
        give_back(self, report, true);
    } else if (err != TIDINGS_OK) {
        struct tidings_result result = {.err = err};
        on_answer(report, &result);
    }
}

/* A report to fill, or one to offer again (*ret_again). Waits up to 200 ms; NULL = nothing yet. */
static struct report *next_report(struct replay *self, bool fresh_wanted, bool *ret_again)
{
    struct timespec until;
    struct report *report = NULL;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += 200000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&self->lock);
    while (self->retry_list == NULL && (!fresh_wanted || self->free_list == NULL) &&
           (fresh_wanted || self->in_flight > 0)) {
        if (pthread_cond_timedwait(&self->answered, &self->lock, &until) == ETIMEDOUT) {
            break;
        }
    }
    *ret_again = self->retry_list != NULL;
    struct report **list = *ret_again ? &self->retry_list : &self->free_list;
    if (*ret_again || fresh_wanted) {
        report = *list;
        *list = report == NULL ? NULL : report->next;
    }
    self->retried += report != NULL && *ret_again;
    pthread_mutex_unlock(&self->lock);
    return report;
}

/* A newer report of the job was offered since: the old one says nothing any more. */
static void offer_again(struct replay *self, struct report *report)
{
    if (self->newest_step[report->event.job] > report->event.step) {
        give_back(self, report, false);
    } else {
        offer(self, report);
    }
}

static void sleep_until_us(uint64_t at_us)
{
    uint64_t now_us = td_cli_mono_us();
    struct timespec pause;

    while (now_us < at_us && td_cli_interrupted == 0) {
        uint64_t left_us = at_us - now_us < 200000 ? at_us - now_us : 200000;
        pause = (struct timespec){0, (long)left_us * 1000};
        nanosleep(&pause, NULL);
        now_us = td_cli_mono_us();
    }
}

static void publish_all(struct replay *self)
{
    uint64_t speed = td_args_uint(self->cli->args, TD_FLAG_SPEED, 0); /* 0 = max */
    uint64_t start_us = td_cli_mono_us();
    struct td_progress progress;
    size_t at = 0;
    bool again = false;

    td_progress_init(&progress, self->cli, "updates", self->event_count);
    while (td_cli_interrupted == 0) {
        struct report *report = next_report(self, at < self->event_count, &again);
        if (report == NULL && at == self->event_count) {
            pthread_mutex_lock(&self->lock);
            bool over = self->in_flight == 0 && self->retry_list == NULL;
            pthread_mutex_unlock(&self->lock);
            if (over) {
                break;
            }
        }
        if (report != NULL && again) {
            offer_again(self, report);
        } else if (report != NULL) {
            report->event = self->events[at++];
            if (speed != 0) {
                uint64_t trace_us = (uint64_t)(report->event.at_s - self->events[0].at_s) * 1000000;
                sleep_until_us(start_us + trace_us / speed);
            }
            offer(self, report);
        }
        td_progress_show(&progress, at);
    }
    td_progress_end(&progress);
}

static bool take_memory(struct replay *self)
{
    size_t batch = td_args_uint(self->cli->args, TD_FLAG_BATCH, BATCH_DEFAULT);
    size_t report_count = batch *
                          td_args_uint(self->cli->args, TD_FLAG_IN_FLIGHT, IN_FLIGHT_DEFAULT) *
                          self->node_count;

    report_count = report_count > 65536 ? 65536 : report_count;
    self->newest_step = calloc(self->trace.job_count, 1);
    self->reports = calloc(report_count, sizeof *self->reports);
    self->events = td_swf_events(&self->trace, &self->event_count);
    for (size_t i = 0; self->reports != NULL && i < report_count; i++) {
        self->reports[i] = (struct report){.replay = self, .next = self->free_list};
        self->free_list = &self->reports[i];
    }
    return self->newest_step != NULL && self->reports != NULL && self->events != NULL;
}

/* This node first, the others behind it in the order of the list. */
static int open_handle(struct replay *self, unsigned first)
{
    char list[TD_CLI_NODES_MAX * 160] = "";
    size_t used = 0;
    struct tidings_options options = {
        .batch_updates_max = (uint32_t)td_args_uint(self->cli->args, TD_FLAG_BATCH, BATCH_DEFAULT),
        .in_flight_max =
            (uint32_t)td_args_uint(self->cli->args, TD_FLAG_IN_FLIGHT, IN_FLIGHT_DEFAULT),
        .timeout_ms = 10000,
    };
    for (unsigned i = 0; i < self->node_count && used < sizeof list; i++) {
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", i == 0 ? "" : ",",
                                 self->nodes[(first + i) % self->node_count]);
    }
    if (used >= sizeof list) {
        return td_cli_fail(self->cli, TD_EUSAGE, "-n: the list of nodes is too long");
    }
    return td_cli_open_at(self->cli, list, &options, &self->handles[first]);
}

/* "traces/lcg-2005.swf.gz" -> "lcg-2005". */
static void choose_prefix(struct replay *self, const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash == NULL ? path : slash + 1;
    const char *given = td_args_text(self->cli->args, TD_FLAG_REPLAY_PREFIX);
    static const char *const endings[] = {".gz", ".swf"};

    snprintf(self->prefix_memory, sizeof self->prefix_memory, "%.*s", TIDINGS_JOB_BYTES - 12,
             given != NULL ? given : name);
    for (size_t i = 0; given == NULL && i < 2; i++) {
        size_t count = strlen(self->prefix_memory);
        size_t ending = strlen(endings[i]);
        if (count > ending && strcmp(self->prefix_memory + count - ending, endings[i]) == 0) {
            self->prefix_memory[count - ending] = '\0';
        }
    }
    size_t count = strlen(self->prefix_memory);
    if (count > 1 && self->prefix_memory[count - 1] == '/') {
        self->prefix_memory[count - 1] = '\0';
    }
    self->prefix = self->prefix_memory;
}

static int prepare(struct replay *self)
{
    char why[512] = "";
    const char *path = self->cli->args->arguments[0];

    choose_prefix(self, path);
    enum td_err err = td_swf_load(path, td_args_uint(self->cli->args, TD_FLAG_LIMIT, 0),
                                  &self->trace, why, sizeof why);
    if (err != TD_OK) {
        return td_cli_fail(self->cli, err, "%s", td_cli_shown(td_text_of(why)));
    }
    self->node_count = td_cli_split(self->cli->nodes, self->nodes);
    if (self->node_count == 0) {
        return td_cli_fail(self->cli, TD_EUSAGE, "-n: no node is named, or more than %d",
                           TD_CLI_NODES_MAX);
    }
    if (!take_memory(self)) {
        return td_cli_fail(self->cli, TD_ENOMEM, "%s", td_err_text(TD_ENOMEM));
    }
    for (unsigned i = 0; i < self->node_count; i++) {
        int code = open_handle(self, i);
        if (code != 0) {
            return code;
        }
    }
    if (td_cli_json(self->cli)) {
        self->body =
            json_pack("{s:s, s:s, s:s, s:I, s:I}", "schema", "tidings.replay/1", "trace", path,
                      "prefix", self->prefix, "jobs", (json_int_t)self->trace.job_count, "updates",
                      (json_int_t)self->event_count);
    } else if (self->cli->form != TD_FORM_PLAIN) {
        printf("trace %s: %zu jobs, %zu updates, to %s as %s/NUMBER\n",
               td_cli_shown(td_text_of(path)), self->trace.job_count, self->event_count,
               td_cli_plural(self->node_count, "node", "nodes"),
               td_cli_shown(td_text_of(self->prefix)));
    }
    return 0;
}

static void published_json(const struct replay *self, double seconds)
{
    uint64_t failovers = 0;

    for (unsigned i = 0; i < self->node_count; i++) {
        struct tidings_stats stats;
        tidings_get_stats(self->handles[i], &stats);
        failovers += stats.failovers;
    }
    json_object_update_new(
        self->body,
        json_pack("{s:f, s:f, s:I, s:I, s:I, s:I, s:I, s:I, s:b}", "seconds", seconds,
                  "updates_per_second", (double)(self->acknowledged + self->overtaken) / seconds,
                  "acknowledged", (json_int_t)self->acknowledged, "noop", (json_int_t)self->noops,
                  "overtaken", (json_int_t)self->overtaken, "offered_again",
                  (json_int_t)self->retried, "refused", (json_int_t)self->refused, "failovers",
                  (json_int_t)failovers, "interrupted", td_cli_interrupted != 0));
}

static void print_published(const struct replay *self, double seconds)
{
    char jobs[48] = "";

    if (self->body != NULL) {
        published_json(self, seconds);
    }
    if (self->body != NULL || self->cli->form == TD_FORM_PLAIN) {
        return;
    }
    if (td_cli_interrupted == 0) {
        snprintf(jobs, sizeof jobs, ", %.0f jobs/s", (double)self->trace.job_count / seconds);
    }
    printf("published %llu updates in %.1f s: %.0f updates/s%s\n",
           (unsigned long long)(self->acknowledged + self->overtaken), seconds,
           (double)(self->acknowledged + self->overtaken) / seconds, jobs);
    printf("acknowledged %llu   noop %llu   overtaken %llu   offered again %llu   refused %llu\n",
           (unsigned long long)self->acknowledged, (unsigned long long)self->noops,
           (unsigned long long)self->overtaken, (unsigned long long)self->retried,
           (unsigned long long)self->refused);
    for (unsigned i = 0; i < self->node_count; i++) {
        struct tidings_stats stats;
        tidings_get_stats(self->handles[i], &stats);
        if (stats.failovers > 0) {
            printf("%s was lost: its jobs went on through %s, %llu updates were sent again\n",
                   td_cli_shown(td_text_of(self->nodes[i])),
                   td_cli_shown(td_text_of(stats.node_address)),
                   (unsigned long long)stats.resent_updates);
        }
    }
    fflush(stdout);
}

static int publish(struct replay *self)
{
    uint64_t start_us = td_cli_mono_us();

    publish_all(self);
    uint64_t took_us = td_cli_mono_us() - start_us;
    pthread_mutex_lock(&self->lock);
    print_published(self, took_us > 0 ? (double)took_us / 1e6 : 1e-6);
    pthread_mutex_unlock(&self->lock);
    if (td_cli_interrupted != 0) {
        td_cli_note(self->cli, "interrupted; what was acknowledged is kept");
        return TD_EXIT_INTERRUPTED;
    }
    if (self->refused > 0) {
        return td_cli_fail(self->cli, (enum td_err)self->refused_err, "job %s: %s",
                           td_cli_shown(td_text_of(self->refused_job)),
                           td_err_text((enum td_err)self->refused_err));
    }
    return 0;
}

static void release(struct replay *self)
{
    for (unsigned i = 0; i < self->node_count; i++) {
        tidings_close(self->handles[i]);
    }
    td_cli_split_free(self->nodes, self->node_count);
    td_swf_free(&self->trace);
    free(self->events);
    free(self->reports);
    free(self->newest_step);
}

int td_cmd_replay(struct td_cli *cli)
{
    struct replay self = {
        .cli = cli, .lock = PTHREAD_MUTEX_INITIALIZER, .answered = PTHREAD_COND_INITIALIZER};

    td_cli_catch_interrupt();
    int code = prepare(&self);
    if (code == 0 && !td_args_has(cli->args, TD_FLAG_ONLY_VERIFY)) {
        code = publish(&self);
    }
    if (code == 0) {
        struct td_verdict verdict = {.cli = cli,
                                     .trace = &self.trace,
                                     .prefix = self.prefix,
                                     .nodes = self.nodes,
                                     .handles = self.handles,
                                     .node_count = self.node_count,
                                     .body = self.body};
        code = td_replay_verdict(&verdict);
    }
    if (self.body != NULL) {
        int json_code = td_cli_print_json(cli, self.body);
        code = code != 0 ? code : json_code;
    }
    release(&self);
    return code;
}
