/* cmd_roster_status.c -- roster status: which roster each node has; of regions and keys on their
 * way out, who has said what it has of them, and whether the second step can be taken. */
#include <stdlib.h>

#include "node/cli/roster_leave.h"
#include "node/cli/table.h"

enum { WHY_BYTES = 512 };

static int show_member(struct td_cli *cli, struct td_table *table, const struct td_roster *roster,
                       const struct td_leaving_member *member)
{
    char version[32];
    const struct td_roster_region *region = td_roster_region(roster, member->region);

    snprintf(version, sizeof version, "%llu", (unsigned long long)member->roster_version);
    td_table_row(
        table, (const char *const[]){td_cli_shown(region->name), td_leave_word(member->state),
                                     member->heard ? version : NULL,
                                     member->heard ? td_cli_age(cli, member->heard_age_ms) : NULL});
    return 0;
}

static void show_end(const struct td_roster *roster, const struct td_roster_region *region,
                     const struct td_leaving_plan *plan)
{
    char names[1024];
    const char *verb = td_leave_verb(region);

    td_leave_waited_for(roster, plan, names, sizeof names);
    if (plan->waiting > 0) {
        printf("%s: %s, waiting for %s.\n", td_cli_shown(region->name), td_leave_state(region),
               names);
    } else if (plan->behind > 0) {
        printf("%s: %s, all have spoken; %s are still only there.\n", td_cli_shown(region->name),
               td_leave_state(region), td_cli_plural(plan->behind, "update", "updates"));
    } else if (plan->unknown > 0) {
        printf("%s: %s; the node asked still lacks updates of %s.\n", td_cli_shown(region->name),
               td_leave_state(region), td_cli_plural(plan->unknown, "incarnation", "incarnations"));
    } else {
        printf("%s: %s, all have spoken: %s of %s count. Next: tidings roster %s %s\n",
               td_cli_shown(region->name), td_leave_state(region),
               td_cli_plural(plan->listed_updates, "update", "updates"),
               td_cli_plural(plan->listed_count, "incarnation", "incarnations"), verb,
               td_cli_shown(region->name));
    }
}

static int show_one(struct td_cli *cli, const struct td_roster *roster,
                    const struct td_roster_region *region, struct td_leaving_plan *plan,
                    json_t *list)
{
    static const struct td_column columns[] = {
        {.name = "MEMBER"},
        {.name = "SAID SO"},
        {.name = "ROSTER", .right = true},
        {.name = "HEARD", .right = true},
    };
    struct td_leaving_ask ask = td_leave_question(roster, region);
    int code = td_leave_ask(cli, &ask, plan);

    if (code != 0) {
        return code;
    }
    json_array_append_new(list, td_leave_json(roster, region, plan));
    if (td_cli_json(cli)) {
        return 0;
    }
    struct td_table *table = td_table_alloc(cli, columns, 4);
    for (uint32_t i = 0; table != NULL && i < plan->member_count; i++) {
        (void)show_member(cli, table, roster, &plan->members[i]);
    }
    if (table != NULL) {
        td_table_print(table);
    }
    td_table_free(table);
    if (cli->form != TD_FORM_PLAIN) {
        show_end(roster, region, plan);
    }
    return 0;
}

static int show_leaving(struct td_cli *cli, json_t *list)
{
    struct td_request request = {.op = TD_OP_ROSTER_GET};
    struct td_call_result result;
    struct td_roster_file file = {0};
    struct td_leaving_plan *plan = calloc(1, sizeof *plan);
    char why[WHY_BYTES] = "";

    int code = td_cli_call(cli, &request, NULL, &result);
    enum td_err err =
        code != 0 || plan == NULL || result.response.u.roster.count == 0
            ? TD_EUNKNOWN
            : td_roster_file_decode(result.response.u.roster, NULL, &file, why, sizeof why);
    for (uint32_t i = 0; code == 0 && err == TD_OK && i < file.roster.region_count; i++) {
        if (td_leave_kind(&file.roster.regions[i]) != TD_LEAVE_NOT) {
            code = show_one(cli, &file.roster, &file.roster.regions[i], plan, list);
        }
    }
    td_roster_file_release(&file);
    td_call_release(&result);
    free(plan);
    return code;
}

/* One line of roster status; *newest grows to the highest version seen. Exit code of this node. */
static int status_row(struct td_cli *cli, struct td_table *table, json_t *list, const char *node,
                      uint64_t *newest)
{
    struct tidings_options options = {0};
    struct tidings *handle = NULL;
    struct td_request request = {.op = TD_OP_STATUS};
    struct td_call_options call_options = {.no_token = true};
    struct td_call_result result = {0};
    char version[32];

    int code = td_cli_open_at(cli, node, &options, &handle);
    if (code != 0) {
        return code;
    }
    enum td_err err = td_call(handle, &request, &call_options, &result);
    if (err != TD_OK || result.response.err != TD_OK) {
        code = td_cli_fail_call(cli, handle, err, &result);
        td_table_row(table, (const char *const[]){td_cli_shown(td_text_of(node)), NULL, NULL,
                                                  "not reached"});
        json_array_append_new(
            list, json_pack("{s:s, s:n, s:n}", "address", node, "region", "roster_version"));
    } else {
        uint64_t number = result.response.u.status.roster_version;
        *newest = number > *newest ? number : *newest;
        snprintf(version, sizeof version, "%llu", (unsigned long long)number);
        td_table_row(table,
                     (const char *const[]){td_cli_shown(td_text_of(node)),
                                           td_cli_shown(result.response.node_name), version,
                                           result.response.u.status.publishing ? "publishing"
                                                                               : "not publishing"});
        json_array_append_new(list, json_pack("{s:s, s:s%, s:I}", "address", node, "region",
                                              result.response.node_name.bytes,
                                              (size_t)result.response.node_name.count,
                                              "roster_version", (json_int_t)number));
    }
    td_call_release(&result);
    tidings_close(handle);
    return code;
}

int td_cmd_roster_status(struct td_cli *cli)
{
    static const struct td_column columns[] = {
        {.name = "NODE"},
        {.name = "REGION"},
        {.name = "ROSTER", .right = true},
        {.name = "STATE"},
    };
    char *nodes[TD_CLI_NODES_MAX];
    unsigned count = td_cli_split(cli->nodes, nodes);
    struct td_table *table = td_table_alloc(cli, columns, 4);
    json_t *list = json_array();
    uint64_t newest = 0;
    int code = 0;

    if (count == 0 || table == NULL || list == NULL) {
        code =
            td_cli_fail(cli, TD_EUSAGE, "-n: no node is named, or more than %d", TD_CLI_NODES_MAX);
    }
    for (unsigned i = 0; i < count && table != NULL && list != NULL; i++) {
        int node_code = status_row(cli, table, list, nodes[i], &newest);
        code = node_code != 0 ? node_code : code;
    }
    json_t *leaving = json_array();
    if (!td_cli_json(cli) && table != NULL) {
        td_table_print(table);
    }
    if (newest > 0) {
        int leaving_code = show_leaving(cli, leaving);
        code = code != 0 ? code : leaving_code;
    }
    if (td_cli_json(cli)) {
        int json_code = td_cli_print_json(
            cli, json_pack("{s:s, s:I, s:O, s:O}", "schema", "tidings.roster_status/1", "newest",
                           (json_int_t)newest, "nodes", list, "leaving", leaving));
        code = code != 0 ? code : json_code;
    }
    json_decref(leaving);
    json_decref(list);
    td_table_free(table);
    td_cli_split_free(nodes, count);
    return code;
}
