/* cmd_admin.c -- drain, reload, loglevel, backup and the fault switch: only the first node of the
 * list, never another one. */
#include <string.h>

#include "node/cli/cli.h"
#include "node/cli/jobs.h"
#include "node/client/json.h"

enum { DRAIN_MS_DEFAULT = 30000, DRAIN_MARGIN_MS = 5000, BACKUP_MS_DEFAULT = 600000 };

static int admin_call(struct td_cli *cli, struct td_request *request, uint32_t timeout_ms,
                      const char *done)
{
    struct td_call_options options = {
        .timeout_ms = timeout_ms, .this_node_only = true, .no_token = true};
    struct td_call_result result;

    int code = td_cli_call(cli, request, &options, &result);
    if (code == 0 && td_cli_json(cli)) {
        code = td_cli_print_json(cli, td_json_envelope(&result.response, "tidings.done/1", NULL));
    } else if (code == 0) {
        td_cli_note(cli, "%s: %s%s%s", td_cli_shown(result.response.node_name), done,
                    result.response.message.count == 0 ? "" : ": ",
                    td_cli_shown(result.response.message));
    }
    td_call_release(&result);
    /* A node that refuses a configuration said no; 78 is what tidingsd itself ends with. */
    return code == td_err_exit_code(TD_ECONFIG) ? 1 : code;
}

int td_cmd_drain(struct td_cli *cli)
{
    struct td_request request = {.op = TD_OP_DRAIN,
                                 .timeout_ms = td_cli_timeout_ms(cli, DRAIN_MS_DEFAULT)};
    uint32_t call_ms = request.timeout_ms > UINT32_MAX - DRAIN_MARGIN_MS
                           ? UINT32_MAX
                           : request.timeout_ms + DRAIN_MARGIN_MS;

    return admin_call(cli, &request, call_ms, "drained");
}

int td_cmd_reload(struct td_cli *cli)
{
    struct td_request request = {.op = TD_OP_ADMIN, .u.admin = {.action = TD_ADMIN_RELOAD}};

    return admin_call(cli, &request, 0, "reloaded");
}

int td_cmd_loglevel(struct td_cli *cli)
{
    static const char words[] = "debug|info|warn|error";
    const char *word = cli->args->arguments[0];
    struct td_request request = {
        .op = TD_OP_ADMIN, .u.admin = {.action = TD_ADMIN_LOG_LEVEL, .argument = td_text_of(word)}};

    if (!td_words_have(words, word, strlen(word))) {
        return td_cli_fail(cli, TD_EUSAGE, "`%s` is no level: debug, info, warn or error",
                           td_cli_shown(td_text_of(word)));
    }
    return admin_call(cli, &request, 0, "done");
}

int td_cmd_backup(struct td_cli *cli)
{
    const char *path = td_args_text(cli->args, TD_FLAG_BACKUP);
    struct td_request request = {
        .op = TD_OP_ADMIN, .u.admin = {.action = TD_ADMIN_BACKUP, .argument = td_text_of(path)}};

    if (path == NULL || path[0] != '/' || strlen(path) > TD_ADMIN_ARGUMENT_BYTES_MAX) {
        return td_cli_fail(cli, TD_EUSAGE, "-o DIRECTORY: an absolute path on the node's host");
    }
    return admin_call(cli, &request, td_cli_timeout_ms(cli, BACKUP_MS_DEFAULT), "backup");
}

int td_cmd_fault(struct td_cli *cli)
{
    struct td_request ask = {.op = TD_OP_STATUS};
    struct td_request request = {.op = TD_OP_FAULT};
    struct td_call_options options = {.this_node_only = true, .no_token = true};
    struct td_call_result names;
    const char *name = cli->args->arguments[0];
    bool cut = cli->args->verb->id == TD_VERB_FAULT_CUT;

    int code = td_cli_call(cli, &ask, &options, &names);
    if (code == 0) {
        request.u.fault.region = td_region_of_name(&names.response, name);
        if (request.u.fault.region.v == 0) {
            code =
                td_cli_fail(cli, TD_EUSAGE, "no region is called `%s`; tidings regions lists them",
                            td_cli_shown(td_text_of(name)));
        }
    }
    td_call_release(&names);
    if (code != 0) {
        return code;
    }
    request.u.fault.send_cut = cut && !td_args_is(cli->args, TD_FLAG_ONE_WAY, "receive");
    request.u.fault.receive_cut = cut && !td_args_is(cli->args, TD_FLAG_ONE_WAY, "send");
    return admin_call(cli, &request, 0, cut ? "link cut" : "link healed");
}
