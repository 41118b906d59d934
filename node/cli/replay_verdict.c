/* replay_verdict.c -- reads every job back from every node and compares its state with the trace.
 */
#include "node/cli/replay.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "node/cli/readback.h"
#include "node/cli/table.h"
#include "proto/order.h"

enum {
    CONVERGE_MS_DEFAULT = 60000,
    ROUND_PAUSE_MS = 250,
    DIFFERENCES_SHOWN_MAX = 20,
    STATE_MISSING = TD_STATE_COUNT
};

struct number_index {
    uint32_t number;
    uint32_t job;
};
/* What one node says. */
struct reading {
    const struct td_verdict *verdict;
    const struct number_index *index; /* ascending by number */
    uint8_t *states;                  /* per job: enum td_state or STATE_MISSING */
    size_t counts[TD_STATE_COUNT + 1];
    size_t strangers; /* jobs under the prefix that the trace does not have */
    size_t different;
};

static int by_number(const void *a, const void *b)
{
    const struct number_index *left = a;
    const struct number_index *right = b;

    return (left->number > right->number) - (left->number < right->number);
}

static struct number_index *make_index(const struct td_swf_trace *trace)
{
    struct number_index *index = calloc(trace->job_count, sizeof *index);

    for (size_t i = 0; index != NULL && i < trace->job_count; i++) {
        index[i] = (struct number_index){trace->jobs[i].number, (uint32_t)i};
    }
    if (index != NULL) {
        qsort(index, trace->job_count, sizeof *index, by_number);
    }
    return index;
}

/* Number behind "prefix/"; false for anything else than digits. */
static bool number_of(struct td_text job, size_t skip, uint32_t *ret_number)
{
    uint64_t number = 0;

    if (job.count <= skip || job.count - skip > 10) {
        return false;
    }
    for (size_t i = skip; i < job.count; i++) {
        if (job.bytes[i] < '0' || job.bytes[i] > '9') {
            return false;
        }
        number = number * 10 + (uint64_t)(job.bytes[i] - '0');
    }
    *ret_number = (uint32_t)number;
    return number <= UINT32_MAX;
}

static void take_register(void *arg, const struct td_register_view *view)
{
    struct reading *self = arg;
    struct number_index key = {0};
    const struct number_index *found = NULL;

    if (number_of(view->job, strlen(self->verdict->prefix) + 1, &key.number)) {
        found = bsearch(&key, self->index, self->verdict->trace->job_count, sizeof key, by_number);
    }
    if (found == NULL || view->attempt != 1 || (unsigned)view->status.state >= TD_STATE_COUNT) {
        self->strangers++;
        return;
    }
    self->states[found->job] = (uint8_t)view->status.state;
}

static uint8_t expected(const struct td_swf_job *job)
{
    bool told = false;
    return (uint8_t)td_swf_outcome(job, &told);
}

static void count_states(struct reading *self)
{
    const struct td_swf_trace *trace = self->verdict->trace;

    memset(self->counts, 0, sizeof self->counts);
    self->different = 0;
    for (size_t i = 0; i < trace->job_count; i++) {
        self->counts[self->states[i]]++;
        self->different += self->states[i] != expected(&trace->jobs[i]);
    }
}

static enum td_err read_node(struct reading *self, struct tidings *handle)
{
    char prefix[TIDINGS_JOB_BYTES + 2];

    memset(self->states, STATE_MISSING, self->verdict->trace->job_count);
    self->strangers = 0;
    snprintf(prefix, sizeof prefix, "%s/", self->verdict->prefix);
    enum td_err err = td_readback_list(handle, td_text_of(prefix), take_register, self);
    count_states(self);
    return err;
}

/* Until the node has what each publishing handle has seen; then the comparison decides. */
static enum td_err await_tokens(const struct td_verdict *verdict, struct tidings *handle,
                                uint64_t end_us)
{
    enum td_err err = TD_OK;

    for (unsigned i = 0; i < verdict->node_count && err == TD_OK; i++) {
        size_t need = 0;
        struct td_token token;
        struct td_token_memory memory = {0};
        tidings_token(verdict->handles[i], NULL, 0, &need);
        char *text = malloc(need + 1);
        uint64_t now_us = td_cli_mono_us();
        uint32_t left_ms = now_us < end_us ? (uint32_t)((end_us - now_us) / 1000) : 1;
        if (text != NULL && tidings_token(verdict->handles[i], text, need + 1, NULL) > 0 &&
            td_token_from_text(text, &token, &memory) == TD_OK) {
            err = td_readback_await(handle, &token.has, left_ms);
        }
        td_token_release(&memory);
        free(text);
    }
    return err;
}

static void print_differences(const struct reading *self, const char *node)
{
    const struct td_swf_trace *trace = self->verdict->trace;
    unsigned shown = 0;

    for (size_t i = 0; i < trace->job_count && shown < DIFFERENCES_SHOWN_MAX; i++) {
        if (self->states[i] == expected(&trace->jobs[i])) {
            continue;
        }
        printf("different at %s: %s/%u is %s, the trace says %s\n", td_cli_shown(td_text_of(node)),
               td_cli_shown(td_text_of(self->verdict->prefix)), trace->jobs[i].number,
               self->states[i] == STATE_MISSING ? "missing"
                                                : td_state_name((enum td_state)self->states[i]),
               td_state_name((enum td_state)expected(&trace->jobs[i])));
        shown++;
    }
    if (self->different > shown) {
        printf("... and %zu more\n", self->different - shown);
    }
}

/* For -o json: the same numbers as in the table's row. */
static void verdict_json(const struct reading *self, json_t *nodes, const char *node)
{
    const size_t *counts = self->counts;
    size_t running = counts[TD_STATE_PENDING] + counts[TD_STATE_STARTING] +
                     counts[TD_STATE_RUNNING] + counts[TD_STATE_STOPPING] + counts[TD_STATE_LOST];

    json_array_append_new(nodes, json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I}", "node", node,
                                           "completed", (json_int_t)counts[TD_STATE_COMPLETED],
                                           "failed", (json_int_t)counts[TD_STATE_FAILED], "stopped",
                                           (json_int_t)counts[TD_STATE_STOPPED], "not_final",
                                           (json_int_t)running, "missing",
                                           (json_int_t)counts[STATE_MISSING], "different",
                                           (json_int_t)self->different));
}

static void verdict_row(struct td_table *table, const char *node,
                        const size_t counts[TD_STATE_COUNT + 1], size_t different)
{
    char cells[7][24];
    size_t running = counts[TD_STATE_PENDING] + counts[TD_STATE_STARTING] +
                     counts[TD_STATE_RUNNING] + counts[TD_STATE_STOPPING] + counts[TD_STATE_LOST];
    size_t all =
        running + counts[TD_STATE_COMPLETED] + counts[TD_STATE_FAILED] + counts[TD_STATE_STOPPED];
    const size_t values[7] = {all,
                              counts[TD_STATE_COMPLETED],
                              counts[TD_STATE_FAILED],
                              counts[TD_STATE_STOPPED],
                              running,
                              counts[STATE_MISSING],
                              different};

    for (int i = 0; i < 7; i++) {
        snprintf(cells[i], sizeof cells[i], "%zu", values[i]);
    }
    td_table_row(table, (const char *const[]){td_cli_shown(td_text_of(node)), cells[0], cells[1],
                                              cells[2], cells[3], cells[4], cells[5], cells[6]});
}

static void trace_row(struct td_table *table, const struct td_swf_trace *trace)
{
    size_t counts[TD_STATE_COUNT + 1] = {0};

    for (size_t i = 0; i < trace->job_count; i++) {
        counts[expected(&trace->jobs[i])]++;
    }
    verdict_row(table, "the trace", counts, 0);
}

/* One node, until it agrees or the time is over. */
static enum td_err check_node(struct reading *self, const char *node, uint64_t end_us)
{
    struct tidings *handle = NULL;
    struct timespec pause = {0, ROUND_PAUSE_MS * 1000000L};

    if (td_readback_open(self->verdict->cli, node, 10000, &handle) != 0) {
        return TD_ENONODE;
    }
    enum td_err err = await_tokens(self->verdict, handle, end_us);
    do {
        err = read_node(self, handle);
        if (err == TD_OK && self->different == 0) {
            break;
        }
        nanosleep(&pause, NULL);
    } while (td_cli_mono_us() < end_us && td_cli_interrupted == 0);
    if (err != TD_OK) {
        struct td_call_result nothing = {0};
        td_cli_fail_call(self->verdict->cli, handle, err, &nothing);
    }
    tidings_close(handle);
    return err;
}

static int check_nodes(struct reading *self, struct td_table *table)
{
    const struct td_verdict *verdict = self->verdict;
    uint64_t start_us = td_cli_mono_us();
    uint64_t end_us =
        start_us + UINT64_C(1000) * td_cli_timeout_ms(verdict->cli, CONVERGE_MS_DEFAULT);
    unsigned good = 0;
    size_t strangers = 0;
    int code = 0;
    json_t *nodes = json_array();
    bool words = !td_cli_json(verdict->cli) && verdict->cli->form != TD_FORM_PLAIN;

    trace_row(table, verdict->trace);
    for (unsigned i = 0; i < verdict->node_count && td_cli_interrupted == 0; i++) {
        enum td_err err = check_node(self, verdict->nodes[i], end_us);
        verdict_row(table, verdict->nodes[i], self->counts, self->different);
        verdict_json(self, nodes, verdict->nodes[i]);
        if (err == TD_OK && self->different > 0 && words) {
            print_differences(self, verdict->nodes[i]);
        }
        good += err == TD_OK && self->different == 0;
        strangers = self->strangers > strangers ? self->strangers : strangers;
        code = err != TD_OK ? td_err_exit_code(err) : code;
    }
    bool ok = good == verdict->node_count;
    if (verdict->body != NULL) {
        json_object_set_new(verdict->body, "ok", json_boolean(ok));
        json_object_set(verdict->body, "nodes", nodes);
    } else {
        td_table_print(table);
    }
    json_decref(nodes);
    if (!words) {
        return ok ? 0 : code != 0 ? code : 1;
    }
    if (strangers > 0) {
        printf("beside them %s under this prefix that the trace does not have\n",
               td_cli_plural(strangers, "job", "jobs"));
    }
    double seconds = (double)(td_cli_mono_us() - start_us) / 1e6;
    if (ok) {
        printf("ok: %zu jobs are the same at %s as in the trace (read back in %.1f s)\n",
               verdict->trace->job_count, td_cli_plural(good, "node", "nodes"), seconds);
        return 0;
    }
    printf("NOT ok: %u of %u nodes agree with the trace after %.1f s\n", good, verdict->node_count,
           seconds);
    return code != 0 ? code : 1;
}

int td_replay_verdict(const struct td_verdict *verdict)
{
    static const struct td_column columns[] = {
        {.name = "NODE"},
        {.name = "JOBS", .right = true},
        {.name = "COMPLETED", .right = true},
        {.name = "FAILED", .right = true},
        {.name = "STOPPED", .right = true},
        {.name = "NOT FINAL", .right = true},
        {.name = "MISSING", .right = true},
        {.name = "DIFFERENT", .right = true},
    };
    struct number_index *index = make_index(verdict->trace);
    struct reading reading = {
        .verdict = verdict, .index = index, .states = malloc(verdict->trace->job_count)};
    struct td_table *table = td_table_alloc(verdict->cli, columns, 8);
    int code = 0;

    if (index == NULL || reading.states == NULL || table == NULL) {
        code = td_cli_fail(verdict->cli, TD_ENOMEM, "%s", td_err_text(TD_ENOMEM));
    } else {
        memset(reading.states, STATE_MISSING, verdict->trace->job_count);
        code = check_nodes(&reading, table);
    }
    td_table_free(table);
    free(reading.states);
    free(index);
    return td_cli_interrupted != 0 ? TD_EXIT_INTERRUPTED : code;
}
