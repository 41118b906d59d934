/* bench_watch.c -- one thread per measured node follows the run's jobs and notes when each status
 * became visible there. A status that was superseded before it was told is never visible and not
 * counted. */
#include <string.h>
#include <time.h>

#include "node/cli/bench.h"

enum { POLL_MS = 500, READY_MS = 10000 };

static void note_changes(struct td_bench_node *node, const struct td_response *response)
{
    uint64_t now_us = td_cli_mono_us();

    for (uint32_t i = 0; i < response->u.registers.count; i++) {
        uint64_t seq = 0;
        uint64_t intended_us = 0;
        const struct td_register_view *view = &response->u.registers.registers[i];
        if (td_bench_detail_parse(view->status.detail, &seq, &intended_us) && intended_us != 0) {
            td_histogram_add(&node->seen, now_us > intended_us ? now_us - intended_us : 0, 1);
        }
    }
}

static void follow(struct td_bench_node *node, struct tidings *handle)
{
    uint64_t cursor = UINT64_MAX;
    struct td_incarnation process = {0, 0};

    while (!atomic_load(&node->bench->stop)) {
        /* The first answer, at once, says where "now" is. */
        bool first = !atomic_load(&node->ready);
        struct td_request request = {
            .op = TD_OP_WATCH,
            .timeout_ms = first ? 0 : POLL_MS,
            .u.watch = {.filter = {.prefix = td_text_of(node->bench->prefix)},
                        .limit = TD_LIST_LIMIT_MAX,
                        .cursor = cursor,
                        .process = process}};
        struct td_call_options options = {.no_token = true};
        struct td_call_result result = {0};
        enum td_err err = td_call(handle, &request, &options, &result);
        if (err == TD_OK && result.response.err == TD_OK) {
            const struct td_response *response = &result.response;
            note_changes(node, response);
            cursor = response->u.registers.next_cursor;
            process = response->process;
            atomic_store(&node->ready, true);
        } else {
            struct timespec pause = {0, 100000000};
            nanosleep(&pause, NULL);
        }
        td_call_release(&result);
    }
}

static void *run(void *arg)
{
    struct td_bench_node *node = arg;
    struct tidings_options options = {
        .nodes = node->address,
        .key_file = td_args_text(node->bench->cli->args, TD_FLAG_KEY),
        .root = td_args_text(node->bench->cli->args, TD_FLAG_ROOT),
    };
    struct tidings *handle = NULL;

    if (tidings_open(&options, &handle, NULL, 0) == TIDINGS_OK) {
        follow(node, handle);
    }
    tidings_close(handle);
    return NULL;
}

int td_bench_watch_start(struct td_bench *bench)
{
    uint64_t end_us = td_cli_mono_us() + READY_MS * 1000;
    struct timespec pause = {0, 1000000};

    for (unsigned i = 1; i < bench->node_count; i++) {
        bench->nodes[i].watching =
            pthread_create(&bench->nodes[i].thread, NULL, run, &bench->nodes[i]) == 0;
    }
    for (unsigned i = 1; i < bench->node_count; i++) {
        while (bench->nodes[i].watching && !atomic_load(&bench->nodes[i].ready) &&
               td_cli_mono_us() < end_us) {
            nanosleep(&pause, NULL);
        }
        if (!atomic_load(&bench->nodes[i].ready)) {
            return td_cli_fail(bench->cli, TD_ETIMEOUT, "%s: the watch does not stand after 10 s",
                               td_cli_shown(td_text_of(bench->nodes[i].address)));
        }
    }
    return 0;
}

void td_bench_watch_stop(struct td_bench *bench)
{
    atomic_store(&bench->stop, true);
    for (unsigned i = 1; i < bench->node_count; i++) {
        if (bench->nodes[i].watching) {
            pthread_join(bench->nodes[i].thread, NULL);
            bench->nodes[i].watching = false;
        }
    }
}
