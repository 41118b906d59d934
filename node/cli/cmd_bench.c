/* cmd_bench.c -- bench: settings first, then the load, then the proof that nothing acknowledged is
 * lost, then the figures. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "node/cli/bench.h"
#include "node/cli/readback.h"
#include "node/cli/table.h"
#include "proto/sign_sodium.h"

enum { CONVERGE_MS_DEFAULT = 60000, NODE_MS = 10000 };

static void take_settings(struct td_bench *bench)
{
    const struct td_args *args = bench->cli->args;
    uint64_t run = 0;

    td_random_bytes(&run, sizeof run);
    snprintf(bench->prefix, sizeof bench->prefix, "bench/%llx-%08x/",
             (unsigned long long)(td_cli_wall_ms() / 1000), (unsigned)run);
    bench->rate = td_args_uint(args, TD_FLAG_RATE, 0);
    bench->job_count = (uint32_t)td_args_uint(args, TD_FLAG_JOBS, 10000);
    bench->duration_us = td_args_ms(args, TD_FLAG_DURATION, 10000) * 1000;
    bench->payload_bytes = (uint32_t)td_args_uint(args, TD_FLAG_PAYLOAD, 100);
    bench->in_flight = (uint32_t)td_args_uint(args, TD_FLAG_IN_FLIGHT, 16);
    bench->batch = (uint32_t)td_args_uint(args, TD_FLAG_BATCH, bench->rate == 0 ? 1024 : 64);
}

/* -n and --nodes, in this order. */
static int take_nodes(struct td_bench *bench)
{
    char *addresses[2][TD_CLI_NODES_MAX];
    const char *more = td_args_text(bench->cli->args, TD_FLAG_NODES);
    unsigned counts[2] = {td_cli_split(bench->cli->nodes, addresses[0]),
                          more == NULL ? 0 : td_cli_split(more, addresses[1])};
    bool wrong = counts[0] == 0 || (more != NULL && counts[1] == 0) ||
                 counts[0] + counts[1] > TD_CLI_NODES_MAX;

    for (int list = 0; list < 2; list++) {
        for (unsigned i = 0; i < counts[list]; i++) {
            if (wrong) {
                free(addresses[list][i]);
            } else {
                bench->nodes[bench->node_count].bench = bench;
                bench->nodes[bench->node_count++].address = addresses[list][i];
            }
        }
    }
    return wrong
               ? td_cli_fail(bench->cli, TD_EUSAGE,
                             "-n and --nodes: no node is named, or more than %d", TD_CLI_NODES_MAX)
               : 0;
}

/* Name of the node; refuses a cluster other than the confirmed one. */
static int ask_node(struct td_bench *bench, struct td_bench_node *node)
{
    const char *confirmed = td_args_text(bench->cli->args, TD_FLAG_CONFIRM_CLUSTER);
    struct tidings *handle = NULL;
    struct td_request request = {.op = TD_OP_STATUS};
    struct td_call_result result = {0};

    int code = td_readback_open(bench->cli, node->address, NODE_MS, &handle);
    if (code != 0) {
        return code;
    }
    enum td_err err = td_call(handle, &request, NULL, &result);
    if (err != TD_OK || result.response.err != TD_OK) {
        code = td_cli_fail_call(bench->cli, handle, err, &result);
    } else if (!td_text_equal(result.response.cluster_name, td_text_of(confirmed))) {
        code = td_cli_fail(
            bench->cli, TD_EUSAGE, "%s belongs to cluster `%s`, and --confirm-cluster says `%s`",
            td_cli_shown(td_text_of(node->address)), td_cli_shown(result.response.cluster_name),
            td_cli_shown(td_text_of(confirmed)));
    } else {
        snprintf(node->name, sizeof node->name, "%.*s", (int)result.response.node_name.count,
                 result.response.node_name.bytes);
    }
    td_call_release(&result);
    tidings_close(handle);
    return code;
}

static void print_settings(const struct td_bench *bench)
{
    char rate[32] = "max";

    if (bench->rate != 0) {
        snprintf(rate, sizeof rate, "%llu/s", (unsigned long long)bench->rate);
    }
    printf("%s, %s for %s, %u jobs, %u B of detail, %u in flight of %u updates, %s, fsync on, %ld "
           "cores\n",
           bench->rate == 0 ? "closed loop" : "open loop", rate,
           td_cli_duration(bench->duration_us / 1000), bench->job_count, bench->payload_bytes,
           bench->in_flight, bench->batch, td_cli_plural(bench->node_count, "region", "regions"),
           sysconf(_SC_NPROCESSORS_ONLN));
    fflush(stdout);
}

/* ---- the proof ---- */

struct proof {
    struct td_bench *bench;
    struct td_bench_node *node;
    uint8_t *found; /* per job: the newest acknowledged status or a later one is there */
    uint64_t right;
};

static bool job_of(const struct td_bench *bench, struct td_text job, uint32_t *ret_job)
{
    char text[32] = "";
    size_t skip = strlen(bench->prefix);
    char *end = NULL;

    if (job.count <= skip || job.count - skip >= sizeof text) {
        return false;
    }
    memcpy(text, job.bytes + skip, job.count - skip);
    unsigned long value = strtoul(text, &end, 16);
    *ret_job = (uint32_t)value;
    return *end == '\0' && value < bench->job_count;
}

static void take_register(void *arg, const struct td_register_view *view)
{
    struct proof *proof = arg;
    struct td_bench *bench = proof->bench;
    uint32_t job = 0;
    uint64_t seq = 0;
    uint64_t intended_us = 0;

    if (!job_of(bench, view->job, &job) ||
        !td_bench_detail_parse(view->status.detail, &seq, &intended_us)) {
        return;
    }
    proof->found[job] = seq >= bench->confirmed[job];
    proof->right += seq == bench->offered[job] && view->status.state == TD_STATE_COMPLETED;
}

static uint64_t jobs_used(const struct td_bench *bench)
{
    uint64_t used = 0;

    for (uint32_t job = 0; job < bench->job_count; job++) {
        used += bench->offered[job] != 0;
    }
    return used;
}

static int prove_node(struct td_bench *bench, struct td_bench_node *node)
{
    struct td_vv all = {.entry_count = bench->newest.seq > 0 ? 1 : 0, .entries = &bench->newest};
    struct proof proof = {.bench = bench, .node = node, .found = calloc(bench->job_count, 1)};
    struct tidings *handle = NULL;
    uint32_t timeout_ms = td_cli_timeout_ms(bench->cli, CONVERGE_MS_DEFAULT);

    int code = proof.found == NULL
                   ? td_cli_fail(bench->cli, TD_ENOMEM, "%s", td_err_text(TD_ENOMEM))
                   : td_readback_open(bench->cli, node->address, NODE_MS, &handle);
    if (code != 0) {
        free(proof.found);
        return code;
    }
    enum td_err err = node->complete_us != 0 ? TD_OK : td_readback_await(handle, &all, timeout_ms);
    if (err == TD_OK && node->complete_us == 0) {
        node->complete_us = td_cli_mono_us();
    }
    enum td_err list_err =
        td_readback_list(handle, td_text_of(bench->prefix), take_register, &proof);
    for (uint32_t job = 0; job < bench->job_count; job++) {
        node->lost += bench->confirmed[job] != 0 && proof.found[job] == 0;
    }
    node->wrong = jobs_used(bench) - proof.right;
    if (list_err != TD_OK) {
        struct td_call_result nothing = {0};
        code = td_cli_fail_call(bench->cli, handle, list_err, &nothing);
    } else if (err != TD_OK) {
        code = td_cli_fail(bench->cli, err, "%s does not have everything yet",
                           td_cli_shown(td_text_of(node->name)));
    }
    tidings_close(handle);
    free(proof.found);
    return code;
}

struct waiter {
    struct td_bench *bench;
    struct td_bench_node *node;
    pthread_t thread;
    bool started;
};

/* All nodes at once: the moment each one has everything is a figure of its own. */
static void *wait_complete(void *arg)
{
    struct waiter *waiter = arg;
    struct td_bench *bench = waiter->bench;
    struct td_vv all = {.entry_count = bench->newest.seq > 0 ? 1 : 0, .entries = &bench->newest};
    struct tidings *handle = NULL;

    if (td_readback_open(bench->cli, waiter->node->address, NODE_MS, &handle) == 0 &&
        td_readback_await(handle, &all, td_cli_timeout_ms(bench->cli, CONVERGE_MS_DEFAULT)) ==
            TD_OK) {
        waiter->node->complete_us = td_cli_mono_us();
    }
    tidings_close(handle);
    return NULL;
}

static int prove(struct td_bench *bench)
{
    struct waiter waiters[TD_CLI_NODES_MAX];
    int code = 0;

    for (unsigned i = 0; i < bench->node_count; i++) {
        waiters[i] = (struct waiter){.bench = bench, .node = &bench->nodes[i]};
        waiters[i].started =
            pthread_create(&waiters[i].thread, NULL, wait_complete, &waiters[i]) == 0;
    }
    for (unsigned i = 0; i < bench->node_count; i++) {
        if (waiters[i].started) {
            pthread_join(waiters[i].thread, NULL);
        }
    }
    td_bench_watch_stop(bench);
    for (unsigned i = 0; i < bench->node_count; i++) {
        int node_code = prove_node(bench, &bench->nodes[i]);
        code = node_code != 0 ? node_code : code;
    }
    return code;
}

/* ---- the figures ---- */

static void latency_text(uint64_t us, char ret_text[24])
{
    double ms = (double)us / 1000;

    if (ms < 10) {
        snprintf(ret_text, 24, "%.1f ms", ms);
    } else if (ms < 10000) {
        snprintf(ret_text, 24, "%.0f ms", ms);
    } else {
        snprintf(ret_text, 24, "%.1f s", ms / 1000);
    }
}

static void latency_row(struct td_table *table, const char *name,
                        const struct td_histogram *histogram, const char *what)
{
    static const unsigned per_mille[] = {500, 990, 999, 1000};
    char cells[4][24];

    for (int i = 0; i < 4; i++) {
        latency_text(td_histogram_at(histogram, per_mille[i]), cells[i]);
        if (histogram->count == 0) {
            snprintf(cells[i], sizeof cells[i], "-");
        }
    }
    td_table_row(table, (const char *const[]){name, cells[0], cells[1], cells[2], cells[3], what});
}

static void print_latencies(const struct td_bench *bench)
{
    static const struct td_column columns[] = {
        {.name = " "},
        {.name = "p50", .right = true},
        {.name = "p99", .right = true},
        {.name = "p99.9", .right = true},
        {.name = "max", .right = true},
        {.name = " "},
    };
    struct td_table *table = td_table_alloc(bench->cli, columns, 6);

    if (table == NULL) {
        return;
    }
    latency_row(table, "ack", &bench->ack, "(local, durable)");
    for (unsigned i = 1; i < bench->node_count && bench->rate != 0; i++) {
        latency_row(table, td_cli_shown(td_text_of(bench->nodes[i].name)), &bench->nodes[i].seen,
                    "(publish here until visible there; time from intended send)");
    }
    td_table_print(table);
    td_table_free(table);
}

static double seconds_between(uint64_t start_us, uint64_t end_us)
{
    return end_us > start_us ? (double)(end_us - start_us) / 1e6 : 1e-6;
}

static uint64_t lost_in_all(const struct td_bench *bench)
{
    uint64_t lost = 0;

    for (unsigned i = 0; i < bench->node_count; i++) {
        lost += bench->nodes[i].lost;
    }
    return lost;
}

static void print_result(const struct td_bench *bench)
{
    double seconds = seconds_between(bench->start_us, bench->load_us);

    printf("published %llu and %llu final states   acknowledged %llu   lost %llu   late sends %llu "
           "  refused %llu\n",
           (unsigned long long)(bench->published - bench->finals),
           (unsigned long long)bench->finals, (unsigned long long)bench->acknowledged,
           (unsigned long long)lost_in_all(bench), (unsigned long long)bench->late,
           (unsigned long long)bench->refused);
    printf("%.0f updates/s acknowledged over %.2f s\n", (double)bench->load_acknowledged / seconds,
           seconds);
    print_latencies(bench);
    for (unsigned i = 0; i < bench->node_count; i++) {
        const struct td_bench_node *node = &bench->nodes[i];
        if (node->complete_us == 0) {
            printf("%s never had everything\n", td_cli_shown(td_text_of(node->name)));
            continue;
        }
        double behind = node->complete_us > bench->acknowledged_us
                            ? seconds_between(bench->acknowledged_us, node->complete_us)
                            : 0;
        printf("%s had everything %.2f s after the last acknowledgement: %.0f updates/s visible "
               "there; %llu lost, %llu not in the last state\n",
               td_cli_shown(td_text_of(node->name)), behind,
               (double)bench->acknowledged / seconds_between(bench->start_us, node->complete_us),
               (unsigned long long)node->lost, (unsigned long long)node->wrong);
    }
}

static json_t *histogram_json(const struct td_histogram *histogram)
{
    if (histogram->count == 0) {
        return json_null();
    }
    return json_pack("{s:I, s:f, s:f, s:f, s:f}", "count", (json_int_t)histogram->count,
                     "p50_seconds", (double)td_histogram_at(histogram, 500) / 1e6, "p99_seconds",
                     (double)td_histogram_at(histogram, 990) / 1e6, "p999_seconds",
                     (double)td_histogram_at(histogram, 999) / 1e6, "max_seconds",
                     (double)histogram->max / 1e6);
}

static int print_json(const struct td_bench *bench)
{
    json_t *nodes = json_array();

    for (unsigned i = 0; i < bench->node_count; i++) {
        const struct td_bench_node *node = &bench->nodes[i];
        json_t *json = json_pack("{s:s, s:I, s:I}", "region", node->name, "lost",
                                 (json_int_t)node->lost, "not_last", (json_int_t)node->wrong);
        double behind = node->complete_us > bench->acknowledged_us
                            ? seconds_between(bench->acknowledged_us, node->complete_us)
                            : 0;
        if (json != NULL) {
            json_object_set_new(json, "complete_after_seconds",
                                node->complete_us == 0 ? json_null() : json_real(behind));
            json_object_set_new(
                json, "visible_per_second",
                node->complete_us == 0
                    ? json_null()
                    : json_real((double)bench->acknowledged /
                                seconds_between(bench->start_us, node->complete_us)));
            json_object_set_new(json, "visible",
                                i == 0 || bench->rate == 0 ? json_null()
                                                           : histogram_json(&node->seen));
            json_array_append_new(nodes, json);
        }
    }
    json_t *body = json_pack(
        "{s:s, s:o, s:i, s:f, s:i, s:i, s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:o, s:o}",
        "schema", "tidings.bench/1", "rate",
        bench->rate == 0 ? json_string("max") : json_integer((json_int_t)bench->rate), "jobs",
        (int)bench->job_count, "duration_seconds", (double)bench->duration_us / 1e6,
        "payload_bytes", (int)bench->payload_bytes, "in_flight", (int)bench->in_flight, "batch",
        (int)bench->batch, "published", (json_int_t)bench->published, "final_states",
        (json_int_t)bench->finals, "acknowledged", (json_int_t)bench->acknowledged, "lost",
        (json_int_t)lost_in_all(bench), "late", (json_int_t)bench->late, "refused",
        (json_int_t)bench->refused, "acknowledged_per_second",
        (double)bench->load_acknowledged / seconds_between(bench->start_us, bench->load_us), "ack",
        histogram_json(&bench->ack), "nodes", nodes);
    return td_cli_print_json(bench->cli, body);
}

static int verdict(const struct td_bench *bench, int code)
{
    uint64_t wrong = 0;

    for (unsigned i = 0; i < bench->node_count; i++) {
        wrong += bench->nodes[i].wrong;
    }
    if (bench->refused > 0) {
        return td_cli_fail(bench->cli, (enum td_err)bench->refused_err,
                           "%llu updates were refused, the first one because: %s",
                           (unsigned long long)bench->refused,
                           td_err_text((enum td_err)bench->refused_err));
    }
    if (lost_in_all(bench) > 0 || wrong > 0) {
        td_cli_note(bench->cli, "NOT ok: some nodes do not show the last status of every job");
        return code != 0 ? code : 1;
    }
    return bench->interrupted && code == 0 ? TD_EXIT_INTERRUPTED : code;
}

static int run(struct td_bench *bench)
{
    struct tidings_options options = {.batch_updates_max = bench->batch,
                                      .in_flight_max = bench->in_flight,
                                      .queue_updates_max = bench->in_flight * bench->batch + 1024,
                                      .timeout_ms = 30000};

    if (!td_bench_take_memory(bench)) {
        return td_cli_fail(bench->cli, TD_ENOMEM, "%s", td_err_text(TD_ENOMEM));
    }
    int code = td_cli_open_at(bench->cli, bench->nodes[0].address, &options, &bench->handle);
    if (code == 0 && bench->rate != 0) {
        code = td_bench_watch_start(bench);
    }
    if (code == 0) {
        code = td_bench_publish(bench);
    }
    if (code == 0) {
        code = prove(bench);
        int print_code = td_cli_json(bench->cli) ? print_json(bench) : 0;
        if (!td_cli_json(bench->cli)) {
            print_result(bench);
        }
        code = verdict(bench, code != 0 ? code : print_code);
    }
    td_bench_watch_stop(bench);
    tidings_close(bench->handle);
    return code;
}

int td_cmd_bench(struct td_cli *cli)
{
    struct td_bench *bench = NULL;
    int code = 0;

    if (!td_args_has(cli->args, TD_FLAG_CONFIRM_CLUSTER)) {
        return td_cli_fail(
            cli, TD_EUSAGE,
            "--confirm-cluster NAME is missing: name the cluster that shall bear the load");
    }
    bench = calloc(1, sizeof *bench);
    if (bench == NULL) {
        return td_cli_fail(cli, TD_ENOMEM, "%s", td_err_text(TD_ENOMEM));
    }
    bench->cli = cli;
    td_cli_catch_interrupt();
    take_settings(bench);
    code = take_nodes(bench);
    for (unsigned i = 0; i < bench->node_count && code == 0; i++) {
        code = ask_node(bench, &bench->nodes[i]);
    }
    if (code == 0) {
        if (!td_cli_json(cli)) {
            print_settings(bench);
        }
        code = run(bench);
    }
    for (unsigned i = 0; i < bench->node_count; i++) {
        free(bench->nodes[i].address);
    }
    td_bench_release_memory(bench);
    free(bench);
    return code;
}
