/* main.c -- tidings, the command: parse, choose the form of the output, run the verb. */
#include <locale.h>
#include <langinfo.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "node/cli/checks.h"
#include "node/cli/cli.h"
#include "node/cli/help.h"
#include "proto/sign_sodium.h"

#define NODE_DEFAULT "ipc:///run/tidings/tidings.sock"

static int (*const verbs[TD_VERB_COUNT])(struct td_cli *cli) = {
    [TD_VERB_PUBLISH] = td_cmd_publish,
    [TD_VERB_GET] = td_cmd_get,
    [TD_VERB_LIST] = td_cmd_list,
    [TD_VERB_WATCH] = td_cmd_watch,
    [TD_VERB_WAIT] = td_cmd_wait,
    [TD_VERB_EXPLAIN] = td_cmd_explain,
    [TD_VERB_HISTORY] = td_cmd_history,
    [TD_VERB_PEERS] = td_cmd_peers,
    [TD_VERB_MESH] = td_cmd_mesh,
    [TD_VERB_REGIONS] = td_cmd_regions,
    [TD_VERB_TOP] = td_cmd_top,
    [TD_VERB_CONFLICTS] = td_cmd_conflicts,
    [TD_VERB_CHECK] = td_cmd_check,
    [TD_VERB_DOCTOR] = td_cmd_doctor,
    [TD_VERB_BUNDLE] = td_cmd_bundle,
    [TD_VERB_KEYGEN] = td_cmd_keygen,
    [TD_VERB_PUBKEY] = td_cmd_pubkey,
    [TD_VERB_ROSTER_INIT] = td_cmd_roster_init,
    [TD_VERB_ROSTER_ADD] = td_cmd_roster_add,
    [TD_VERB_ROSTER_ADD_CLIENT] = td_cmd_roster_add_client,
    [TD_VERB_ROSTER_SET] = td_cmd_roster_set,
    [TD_VERB_ROSTER_CLOSE] = td_cmd_roster_close,
    [TD_VERB_ROSTER_REVOKE] = td_cmd_roster_revoke,
    [TD_VERB_ROSTER_ROTATE] = td_cmd_roster_rotate,
    [TD_VERB_ROSTER_LOG] = td_cmd_roster_log,
    [TD_VERB_ROSTER_SHOW] = td_cmd_roster_show,
    [TD_VERB_ROSTER_STATUS] = td_cmd_roster_status,
    [TD_VERB_ROSTER_VERIFY] = td_cmd_roster_verify,
    [TD_VERB_ROSTER_PUSH] = td_cmd_roster_push,
    [TD_VERB_BENCH] = td_cmd_bench,
    [TD_VERB_REPLAY] = td_cmd_replay,
    [TD_VERB_DRAIN] = td_cmd_drain,
    [TD_VERB_RELOAD] = td_cmd_reload,
    [TD_VERB_LOGLEVEL] = td_cmd_loglevel,
    [TD_VERB_BACKUP] = td_cmd_backup,
    [TD_VERB_ERRORS] = td_cmd_errors,
    [TD_VERB_COMPLETION] = td_cmd_completion,
    [TD_VERB_VERSION] = td_cmd_version,
    [TD_VERB_HELP] = td_cmd_help,
    [TD_VERB_FAULT_CUT] = td_cmd_fault,
    [TD_VERB_FAULT_HEAL] = td_cmd_fault,
};

/* Flag, then environment, then default. False with a message when the environment holds nonsense.
 */
static bool choose_form(struct td_cli *cli, char *error)
{
    static const char *const words[] = {
        [TD_FORM_TABLE] = "table", [TD_FORM_WIDE] = "wide",   [TD_FORM_PLAIN] = "plain",
        [TD_FORM_JSON] = "json",   [TD_FORM_JSONL] = "jsonl",
    };
    const char *word = td_args_text(cli->args, TD_FLAG_OUTPUT);
    const char *from_environment = getenv("TIDINGS_OUTPUT");

    if (word == NULL && from_environment != NULL && from_environment[0] != '\0') {
        word = from_environment;
        if (td_flag_check(&td_flags[TD_FLAG_OUTPUT], word, error) != TD_OK) {
            return false;
        }
    }
    for (size_t i = 0; word != NULL && i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(word, words[i]) == 0) {
            cli->form = (enum td_form)i;
        }
    }
    if (td_args_has(cli->args, TD_FLAG_JSON)) {
        cli->form = TD_FORM_JSON;
    }
    if (cli->form == TD_FORM_TABLE && td_args_has(cli->args, TD_FLAG_WIDE)) {
        cli->form = TD_FORM_WIDE;
    }
    return true;
}

static bool choose_color(const struct td_args *args)
{
    const char *terminal = getenv("TERM");
    const char *no_color = getenv("NO_COLOR");

    if (td_args_has(args, TD_FLAG_COLOR) && !td_args_is(args, TD_FLAG_COLOR, "auto")) {
        return td_args_is(args, TD_FLAG_COLOR, "always");
    }
    return isatty(STDOUT_FILENO) && (no_color == NULL || no_color[0] == '\0') && terminal != NULL &&
           strcmp(terminal, "dumb") != 0;
}

static void choose_surroundings(struct td_cli *cli)
{
    const char *node = td_args_text(cli->args, TD_FLAG_NODE);
    const char *from_environment = getenv("TIDINGS_NODE");

    if (node == NULL && from_environment != NULL && from_environment[0] != '\0') {
        node = from_environment;
    }
    cli->nodes = node != NULL ? node : NODE_DEFAULT;
    cli->color = choose_color(cli->args);
    cli->local_time = isatty(STDOUT_FILENO) && !td_args_has(cli->args, TD_FLAG_UTC);
    cli->quiet = td_args_has(cli->args, TD_FLAG_QUIET);
    cli->progress = isatty(STDERR_FILENO) && !cli->quiet;
}

static int run(struct td_cli *cli)
{
    const struct td_args *args = cli->args;

    if (args->version) {
        return td_cmd_version(cli);
    }
    if (td_args_has(args, TD_FLAG_HELP)) {
        if (args->verb != NULL) {
            td_help_verb(stdout, args->verb);
        } else if (args->group[0] != '\0') {
            td_help_group(stdout, args->group);
        } else {
            td_help_main(stdout);
        }
        return 0;
    }
    if (td_sodium_init() != TD_OK) {
        return td_cli_fail(cli, TD_ECORRUPT, "the cryptographic library failed its self-test");
    }
    return verbs[args->verb->id](cli);
}

/* Column widths and escaping count characters, not bytes. */
static void choose_locale(void)
{
    setlocale(LC_CTYPE, "");
    if (strcmp(nl_langinfo(CODESET), "UTF-8") != 0) {
        setlocale(LC_CTYPE, "C.UTF-8");
    }
}

int main(int argc, char *argv[])
{
    static struct td_args args;
    char error[TD_ARGS_ERROR_BYTES] = "";
    struct td_cli cli = {.args = &args};

    choose_locale();
    td_cli_leave_on_interrupt();
    if (argc <= 1) {
        td_help_main(stderr);
        return td_err_exit_code(TD_EUSAGE);
    }
    enum td_err err = td_args_parse(argc, argv, &args, error);
    if (err != TD_OK) {
        int code = td_cli_fail(&cli, err, "%s", td_cli_shown(td_text_of(error)));
        /* To Nagios 2 would be an outage of the cluster. */
        return args.verb == &td_verbs[TD_VERB_CHECK] ? TD_LEVEL_UNKNOWN : code;
    }
    if (!choose_form(&cli, error)) {
        return td_cli_fail(&cli, TD_EUSAGE, "environment TIDINGS_OUTPUT: %s",
                           td_cli_shown(td_text_of(error)));
    }
    choose_surroundings(&cli);
    int code = td_cli_finish(&cli, run(&cli));
    td_cli_close(&cli);
    return code;
}
