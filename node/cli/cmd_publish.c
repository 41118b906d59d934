/* cmd_publish.c -- publish one report from the command line. Many lines: publish_lines.c. */
#include <stdlib.h>
#include <string.h>

#include "node/cli/cli.h"
#include "node/cli/publish.h"
#include "node/client/json.h"
#include "proto/order.h"

uint8_t td_publish_ack(const struct td_args *args)
{
    return td_args_is(args, TD_FLAG_ACK, "all") ? TIDINGS_ACK_ALL
                                                : (uint8_t)td_args_uint(args, TD_FLAG_ACK, 0);
}

json_t *td_published_json(const char *job, const struct tidings_result *result,
                          enum tidings_state state)
{
    /* The token covers this report and nothing else: its dot, as a vector of one entry. */
    struct td_origin origin = {{result->region},
                               {result->incarnation_start, result->incarnation_random}};
    struct td_vv_entry entry = {origin, result->seq};
    struct td_response response = {
        .has = {.entry_count = result->seq > 0 ? 1 : 0, .entries = &entry}};
    struct td_result wire = {
        .attempt = result->attempt,
        .stamp = {result->stamp_ms, result->stamp_counter},
        .dot = {origin, result->seq},
        .rank = td_state_rank((enum td_state)state),
        .noop = result->noop,
        .acked_regions = result->acked_regions,
    };
    json_t *json = td_json_published(&response, td_text_of(job), &wire, NULL);
    return json;
}

void td_publish_refusal(const struct td_cli *cli, const char *job,
                        const struct tidings_result *result, char *ret_text, size_t text_bytes)
{
    enum td_err err = (enum td_err)result->err;

    if (err == TD_ERANK || err == TD_EFINAL || err == TD_ELOSTFIRST) {
        snprintf(ret_text, text_bytes, "job %s attempt %u: %s: %s since %s",
                 td_cli_shown(td_text_of(job)), result->attempt, td_err_text(err),
                 tidings_state_name(result->current_state),
                 td_cli_time_of_day(cli, result->current_stamp_ms));
    } else {
        snprintf(ret_text, text_bytes, "job %s: %s", td_cli_shown(td_text_of(job)),
                 td_err_text(err));
    }
}

static int take_labels(const struct td_cli *cli, struct tidings_update *update,
                       struct tidings_label *labels, char *label_text, size_t text_bytes)
{
    unsigned position = 0;
    size_t used = 0;

    for (const char *text; (text = td_args_next(cli->args, TD_FLAG_LABEL, &position)) != NULL;) {
        const char *equals = strchr(text, '=');
        size_t count = strlen(text) + 1;
        if (equals == NULL || equals == text) {
            return td_cli_fail(cli, TD_ELABELS, "--label `%s`: write KEY=VALUE",
                               td_cli_shown(td_text_of(text)));
        }
        if (update->label_count == TIDINGS_LABELS_MAX || count > text_bytes - used) {
            return td_cli_fail(cli, TD_ELABELS, "--label: %s", td_err_text(TD_ELABELS));
        }
        memcpy(label_text + used, text, count);
        label_text[used + (size_t)(equals - text)] = '\0';
        labels[update->label_count++] =
            (struct tidings_label){label_text + used, label_text + used + (equals - text) + 1};
        used += count;
    }
    update->set_labels = update->label_count > 0;
    update->labels = labels;
    return 0;
}

static int take_flags(const struct td_cli *cli, struct tidings_update *update)
{
    const struct td_args *args = cli->args;
    uint16_t progress = 0;
    uint64_t expect_ms = td_args_ms(args, TD_FLAG_EXPECT_EVERY, 0);

    update->job = args->arguments[0];
    update->attempt = (uint16_t)td_args_uint(args, TD_FLAG_ATTEMPT, 0);
    update->correct = td_args_has(args, TD_FLAG_CORRECT);
    update->detail = td_args_text(args, TD_FLAG_DETAIL);
    update->parent = td_args_text(args, TD_FLAG_PARENT);
    update->writer = td_args_text(args, TD_FLAG_WRITER);
    if (td_args_has(args, TD_FLAG_PROGRESS)) {
        update->set_progress = td_percent_parse(td_args_text(args, TD_FLAG_PROGRESS), &progress);
        update->progress = progress;
    }
    if (td_args_has(args, TD_FLAG_EXPECT_EVERY)) {
        if (expect_ms < 1000 || expect_ms / 1000 > TD_EXPECT_EVERY_S_MAX) {
            return td_cli_fail(cli, TD_EEXPECT, "--expect-every %s: %s",
                               td_args_text(args, TD_FLAG_EXPECT_EVERY), td_err_text(TD_EEXPECT));
        }
        update->set_expect_every = true;
        update->expect_every_s = (uint32_t)(expect_ms / 1000);
    }
    if (tidings_state_parse(args->arguments[1], &update->state) != TIDINGS_OK) {
        return td_cli_fail(cli, TD_ESTATE, "state `%s`: %s",
                           td_cli_shown(td_text_of(args->arguments[1])), td_err_text(TD_ESTATE));
    }
    return 0;
}

static int publish_one(struct td_cli *cli, const struct tidings_update *update)
{
    struct tidings_options options = {.ack = td_publish_ack(cli->args), .in_flight_max = 1};
    struct tidings_result result = {0};
    char why[1024];

    int code = td_cli_open_at(cli, cli->nodes, &options, &cli->tidings);
    if (code != 0) {
        return code;
    }
    int err = tidings_publish(cli->tidings, update, &result);
    result.err = err;
    if (err == TIDINGS_OK || err == TIDINGS_EACK) {
        code = td_cli_print_json(cli, td_published_json(update->job, &result, update->state));
    }
    if (err == TIDINGS_OK) {
        return code;
    }
    if (err == TIDINGS_ENONODE || err == TIDINGS_EHANDSHAKE || err == TIDINGS_ETIMEOUT) {
        struct td_call_result nothing = {0};
        return td_cli_fail_call(cli, cli->tidings, (enum td_err)err, &nothing);
    }
    td_publish_refusal(cli, update->job, &result, why, sizeof why);
    return td_cli_fail(cli, (enum td_err)err, "%s", why);
}

int td_cmd_publish(struct td_cli *cli)
{
    const struct td_args *args = cli->args;
    struct tidings_update update = {0};
    struct tidings_label labels[TIDINGS_LABELS_MAX];
    char label_text[TIDINGS_LABELS_BYTES + TIDINGS_LABELS_MAX * 2];

    if (td_args_has(args, TD_FLAG_FROM_JSONL)) {
        if (args->argument_count > 0) {
            return td_cli_fail(cli, TD_EUSAGE,
                               "--from-jsonl takes everything from the lines; drop `%s`",
                               td_cli_shown(td_text_of(args->arguments[0])));
        }
        return td_publish_lines(cli, td_args_text(args, TD_FLAG_FROM_JSONL));
    }
    if (args->argument_count != 2) {
        return td_cli_fail(cli, TD_EUSAGE, "publish needs JOB and STATE, or --from-jsonl FILE");
    }
    int code = take_flags(cli, &update);
    if (code == 0) {
        code = take_labels(cli, &update, labels, label_text, sizeof label_text);
    }
    return code != 0 ? code : publish_one(cli, &update);
}
