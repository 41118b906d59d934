/* cli.c -- connection, messages and output shared by the verbs. */
#include "node/cli/cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "node/client/json.h"
#include "node/client/sentences.h"

enum { SHOWN_SLOTS = 8, SHOWN_BYTES = 2048, TIMEOUT_MS_DEFAULT = 10000 };

volatile sig_atomic_t td_cli_interrupted;

bool td_cli_json(const struct td_cli *cli)
{
    return cli->form == TD_FORM_JSON || cli->form == TD_FORM_JSONL;
}

__attribute__((format(printf, 3, 0))) static void
print_failure(const struct td_cli *cli, enum td_err err, const char *format, va_list list)
{
    char code[16];
    const struct td_verb *verb = cli->args == NULL ? NULL : cli->args->verb;

    td_err_code(err, code);
    fflush(stdout);
    fprintf(stderr, "tidings%s%s: ", verb == NULL ? "" : " ", verb == NULL ? "" : verb->name);
    vfprintf(stderr, format, list);
    fprintf(stderr, " (%s)\n", code);
}

int td_cli_refuse(const struct td_cli *cli, enum td_err err, const char *format, ...)
{
    va_list list;

    va_start(list, format);
    print_failure(cli, err, format, list);
    va_end(list);
    return td_err_exit_code(err);
}

int td_cli_fail(const struct td_cli *cli, enum td_err err, const char *format, ...)
{
    const char *hint = td_err_hint(err);
    const struct td_verb *verb = cli->args == NULL ? NULL : cli->args->verb;
    va_list list;

    va_start(list, format);
    print_failure(cli, err, format, list);
    va_end(list);
    if (hint[0] != '\0' && err != TD_EUSAGE) {
        fprintf(stderr, "  %s\n", hint);
    } else if (err == TD_EUSAGE) {
        fprintf(stderr, "  see tidings help%s%s\n", verb == NULL ? "" : " ",
                verb == NULL ? "" : verb->name);
    }
    return td_err_exit_code(err);
}

void td_cli_note(const struct td_cli *cli, const char *format, ...)
{
    va_list list;

    if (cli->quiet) {
        return;
    }
    fflush(stdout);
    va_start(list, format);
    vfprintf(stderr, format, list);
    va_end(list);
    fputc('\n', stderr);
}

uint32_t td_cli_timeout_ms(const struct td_cli *cli, uint32_t fallback_ms)
{
    uint64_t ms = td_args_ms(cli->args, TD_FLAG_TIMEOUT, fallback_ms);

    if (ms == 0) {
        ms = 1; /* 0 means "the default" further down */
    }
    return ms > UINT32_MAX ? UINT32_MAX : (uint32_t)ms;
}

int td_cli_open_at(const struct td_cli *cli, const char *nodes, struct tidings_options *options,
                   struct tidings **ret_tidings)
{
    char why[512] = "";

    options->nodes = nodes;
    options->key_file = td_args_text(cli->args, TD_FLAG_KEY);
    options->root = td_args_text(cli->args, TD_FLAG_ROOT);
    options->roster_version_min = td_args_uint(cli->args, TD_FLAG_MIN_ROSTER, 0);
    options->after = td_args_text(cli->args, TD_FLAG_AFTER);
    if (options->timeout_ms == 0) {
        options->timeout_ms = td_cli_timeout_ms(cli, TIMEOUT_MS_DEFAULT);
    }
    if (strstr(nodes, "tcp://") != NULL && (options->key_file == NULL || options->root == NULL)) {
        return td_cli_fail(
            cli, TD_EUSAGE,
            "a tcp:// node needs --key FILE and --root tdpk1:... (the cluster's root "
            "public key)");
    }
    int err = tidings_open(options, ret_tidings, why, sizeof why);
    if (err != TIDINGS_OK) {
        return td_cli_fail(cli, (enum td_err)err, "%s",
                           why[0] != '\0' ? td_cli_shown(td_text_of(why))
                                          : td_err_text((enum td_err)err));
    }
    return 0;
}

int td_cli_open(struct td_cli *cli)
{
    struct tidings_options options = {0};

    return cli->tidings != NULL ? 0 : td_cli_open_at(cli, cli->nodes, &options, &cli->tidings);
}

void td_cli_close(struct td_cli *cli)
{
    tidings_close(cli->tidings);
    cli->tidings = NULL;
}

int td_cli_fail_call(const struct td_cli *cli, struct tidings *handle, enum td_err err,
                     const struct td_call_result *result)
{
    char failure[512] = "";

    if (err == TD_OK) {
        const struct td_response *response = &result->response;
        struct td_text message = response->message;
        return td_cli_fail(cli, response->err, "%s: %s",
                           response->node_name.count > 0
                               ? td_cli_shown(response->node_name)
                               : td_cli_shown(td_text_of(result->node_address)),
                           message.count > 0 ? td_cli_shown(message) : td_err_text(response->err));
    }
    td_call_last_failure(handle, failure, sizeof failure);
    return td_cli_fail(cli, err, "%s",
                       failure[0] == '\0' ? td_err_text(err) : td_cli_shown(td_text_of(failure)));
}

int td_cli_call(struct td_cli *cli, const struct td_request *request,
                const struct td_call_options *options, struct td_call_result *ret_result)
{
    memset(ret_result, 0, sizeof *ret_result);
    int code = td_cli_open(cli);
    if (code != 0) {
        return code;
    }
    enum td_err err = td_call(cli->tidings, request, options, ret_result);
    if (err != TD_OK || ret_result->response.err != TD_OK) {
        return td_cli_fail_call(cli, cli->tidings, err, ret_result);
    }
    return 0;
}

unsigned td_cli_split(const char *list, char *ret_items[TD_CLI_NODES_MAX])
{
    unsigned count = 0;

    while (*list != '\0') {
        size_t bytes = strcspn(list, ",");
        char *item = count < TD_CLI_NODES_MAX ? strndup(list, bytes) : NULL;
        if (item == NULL) {
            td_cli_split_free(ret_items, count);
            return 0;
        }
        if (bytes == 0) {
            free(item);
        } else {
            ret_items[count++] = item;
        }
        list += bytes + (list[bytes] == ',' ? 1 : 0);
    }
    return count;
}

void td_cli_split_free(char *items[TD_CLI_NODES_MAX], unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        free(items[i]);
    }
}

int td_cli_check_stale(const struct td_cli *cli, const struct td_response *response)
{
    if (!td_args_has(cli->args, TD_FLAG_MAX_STALE)) {
        return 0;
    }
    uint64_t limit_ms = td_args_ms(cli->args, TD_FLAG_MAX_STALE, 0);
    if (td_fresh_within(response, limit_ms)) {
        return 0;
    }
    const struct td_fresh_view *view = &response->freshness[td_freshness_deciding(response)];
    td_cli_note(
        cli, "older than --max-stale %s: %s %s%s%s", td_args_text(cli->args, TD_FLAG_MAX_STALE),
        td_cli_region(response, view->region),
        view->age_known ? "was last complete " : "has not been complete since this node started",
        view->age_known ? td_cli_duration(view->age_ms) : "", view->age_known ? " ago" : "");
    return td_err_exit_code(TD_ESTALE);
}

int td_cli_print_json(const struct td_cli *cli, json_t *take_json)
{
    char *text = take_json == NULL ? NULL : td_json_text(take_json);

    if (text == NULL) {
        return td_cli_fail(cli, TD_ENOMEM, "%s", td_err_text(TD_ENOMEM));
    }
    fputs(text, stdout);
    putchar('\n');
    free(text);
    return 0;
}

int td_cli_finish(const struct td_cli *cli, int exit_code)
{
    if (fflush(stdout) != 0 || ferror(stdout) != 0) {
        return td_cli_fail(cli, TD_EIO, "standard output: %s", strerror(errno));
    }
    return exit_code;
}

static char *shown_slot(void)
{
    static char slots[SHOWN_SLOTS][SHOWN_BYTES];
    static unsigned next;

    next = (next + 1) % SHOWN_SLOTS;
    return slots[next];
}

const char *td_cli_shown(struct td_text text)
{
    char *slot = shown_slot();

    td_text_escape(text, slot, SHOWN_BYTES);
    return slot;
}

const char *td_cli_region(const struct td_response *response, struct td_region region)
{
    return td_cli_shown(td_response_region_name(response, region));
}

const char *td_cli_duration(uint64_t ms)
{
    char *slot = shown_slot();

    td_duration_format(ms, slot);
    return slot;
}

const char *td_cli_age(const struct td_cli *cli, uint64_t ms)
{
    if (cli->form != TD_FORM_PLAIN) {
        return td_cli_duration(ms);
    }
    char *slot = shown_slot();
    snprintf(slot, SHOWN_BYTES, "%llu.%03u", (unsigned long long)(ms / 1000),
             (unsigned)(ms % 1000));
    return slot;
}

const char *td_cli_time_of_day(const struct td_cli *cli, uint64_t unix_ms)
{
    char *slot = shown_slot();

    td_time_of_day(unix_ms, cli->local_time, slot);
    return slot;
}

const char *td_cli_plural(uint64_t count, const char *one, const char *many)
{
    char *slot = shown_slot();

    snprintf(slot, SHOWN_BYTES, "%llu %s", (unsigned long long)count, count == 1 ? one : many);
    return slot;
}

static void on_interrupt(int signal_number)
{
    (void)signal_number;
    static volatile sig_atomic_t seen;

    if (seen != 0) {
        _exit(TD_EXIT_INTERRUPTED);
    }
    seen = 1;
    td_cli_interrupted = 1;
}

static void on_interrupt_leave(int signal_number)
{
    (void)signal_number;
    _exit(TD_EXIT_INTERRUPTED);
}

void td_cli_leave_on_interrupt(void)
{
    struct sigaction action = {.sa_handler = on_interrupt_leave};

    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
}

void td_cli_catch_interrupt(void)
{
    struct sigaction action = {.sa_handler = on_interrupt};

    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

uint64_t td_cli_wall_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

uint64_t td_cli_mono_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}
