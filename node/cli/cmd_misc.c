/* cmd_misc.c -- version, help and errors: answers that need no node. */
#include <string.h>

#include "node/cli/cli.h"
#include "node/cli/help.h"
#include "proto/nearest.h"
#include "node/cli/table.h"
#include "node/client/json.h"

int td_cmd_version(struct td_cli *cli)
{
    if (td_cli_json(cli)) {
        return td_cli_print_json(cli, json_pack("{s:s, s:s, s:s}", "schema", "tidings.version/1",
                                                "program", "tidings", "version", TD_VERSION));
    }
    printf(cli->form == TD_FORM_PLAIN ? "%s\n" : "tidings %s\n", TD_VERSION);
    return 0;
}

int td_cmd_help(struct td_cli *cli)
{
    const struct td_args *args = cli->args;
    char name[64];
    struct td_nearest nearest;

    if (args->argument_count == 0) {
        td_help_main(stdout);
        return 0;
    }
    snprintf(name, sizeof name, "%.30s%s%.30s", args->arguments[0],
             args->argument_count > 1 ? " " : "",
             args->argument_count > 1 ? args->arguments[1] : "");
    const struct td_verb *verb = td_verb_named(name);
    if (verb != NULL) {
        td_help_verb(stdout, verb);
        return 0;
    }
    if (td_verb_is_group(name)) {
        td_help_group(stdout, name);
        return 0;
    }
    td_nearest_init(&nearest, name);
    for (int id = 0; id < TD_VERB_COUNT; id++) {
        td_nearest_offer(&nearest, td_verbs[id].name);
    }
    return td_cli_fail(cli, TD_EUSAGE, "no verb `%s`%s%s%s", td_cli_shown(td_text_of(name)),
                       nearest.best == NULL ? "" : "; did you mean `",
                       nearest.best == NULL ? "" : nearest.best, nearest.best == NULL ? "" : "`?");
}

static json_t *error_json(enum td_err err)
{
    char code[16];

    td_err_code(err, code);
    return json_pack("{s:s, s:s, s:s, s:i, s:i}", "code", code, "text", td_err_text(err), "hint",
                     td_err_hint(err), "exit_code", td_err_exit_code(err), "status",
                     td_err_http_status(err));
}

static int list_errors(struct td_cli *cli)
{
    static const struct td_column columns[] = {
        {.name = "CODE"},    {.name = "EXIT", .right = true},      {.name = "HTTP", .right = true},
        {.name = "MEANING"}, {.name = "WHAT TO DO", .wide = true},
    };
    struct td_table *table = td_table_alloc(cli, columns, 5);
    enum td_err err = TD_OK;

    if (table == NULL) {
        return td_cli_fail(cli, TD_ENOMEM, "%s", td_err_text(TD_ENOMEM));
    }
    for (unsigned i = 0; td_err_at(i, &err); i++) {
        char code[16];
        char exit_code[16];
        char status[16];
        if (err == TD_OK) {
            continue;
        }
        td_err_code(err, code);
        snprintf(exit_code, sizeof exit_code, "%d", td_err_exit_code(err));
        snprintf(status, sizeof status, "%d", td_err_http_status(err));
        td_table_row(table, (const char *const[]){code, exit_code, status, td_err_text(err),
                                                  td_err_hint(err)});
    }
    td_table_print(table);
    td_table_free(table);
    return 0;
}

static int list_errors_json(struct td_cli *cli)
{
    json_t *list = json_array();
    enum td_err err = TD_OK;

    for (unsigned i = 0; td_err_at(i, &err); i++) {
        if (err != TD_OK) {
            json_array_append_new(list, error_json(err));
        }
    }
    return td_cli_print_json(cli,
                             json_pack("{s:s, s:o}", "schema", "tidings.errors/1", "errors", list));
}

/* TD-E0213, td-e213, E0213 and 213 all name the same error. */
static bool find_error(const char *text, enum td_err *ret_err)
{
    const char *digits = text + strcspn(text, "0123456789");
    unsigned number = 0;
    enum td_err err = TD_OK;

    if (strlen(digits) == 0 || strspn(digits, "0123456789") != strlen(digits) ||
        strlen(digits) > 4) {
        return false;
    }
    for (; *digits != '\0'; digits++) {
        number = number * 10 + (unsigned)(*digits - '0');
    }
    for (unsigned i = 0; td_err_at(i, &err); i++) {
        if (err != TD_OK && (unsigned)err == number) {
            *ret_err = err;
            return true;
        }
    }
    return false;
}

int td_cmd_errors(struct td_cli *cli)
{
    static const char *const classes[] = {
        [TD_CLASS_OK] = "none",
        [TD_CLASS_RETRY] = "try again later",
        [TD_CLASS_REJECT] = "the input has to change",
        [TD_CLASS_STOP] = "the node itself is in trouble",
    };
    char code[16];
    enum td_err err = TD_OK;

    if (cli->args->argument_count == 0) {
        return td_cli_json(cli) ? list_errors_json(cli) : list_errors(cli);
    }
    if (!find_error(cli->args->arguments[0], &err)) {
        return td_cli_fail(cli, TD_EUSAGE, "no error has the code `%s`; tidings errors lists all",
                           td_cli_shown(td_text_of(cli->args->arguments[0])));
    }
    if (td_cli_json(cli)) {
        json_t *body = json_pack("{s:s}", "schema", "tidings.error/1");
        json_object_update_new(body, error_json(err));
        return td_cli_print_json(cli, body);
    }
    td_err_code(err, code);
    printf("%s  %s\n", code, td_err_text(err));
    if (td_err_hint(err)[0] != '\0') {
        printf("do:     %s\n", td_err_hint(err));
    }
    printf("class:  %s\nexit:   %d\nHTTP:   %d\n", classes[td_err_class(err)],
           td_err_exit_code(err), td_err_http_status(err));
    return 0;
}
