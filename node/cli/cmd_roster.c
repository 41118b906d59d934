/* cmd_roster.c -- roster show, verify, push: what a roster says, and giving it to a node. */
#include <stdlib.h>
#include <string.h>

#include "node/cli/cli.h"
#include "node/cli/roster_edit.h"
#include "node/cli/table.h"
#include "node/client/json.h"

enum { WHY_BYTES = 512, KEY_SHORT_BYTES = 16 };

/* First four and last two hex digits: enough to tell keys apart at a glance, as in 9f4c..a1. */
static void short_key(const struct td_public_key *key, char ret_text[KEY_SHORT_BYTES])
{
    snprintf(ret_text, KEY_SHORT_BYTES, "%02x%02x..%02x", key->bytes[0], key->bytes[1],
             key->bytes[31]);
}

/* One word for programs; people also see what counts of it, and since when it is doubted. */
static void region_state(const struct td_cli *cli, const struct td_roster_region *region,
                         char *ret_text, size_t text_bytes)
{
    static const char *const words[] = {"active", "closing", "closed"};
    char since[TD_TIME_TEXT_BYTES] = "";
    size_t used = (size_t)snprintf(ret_text, text_bytes, "%s",
                                   (unsigned)region->state < 3 ? words[region->state] : "?");

    if (cli->form == TD_FORM_PLAIN) {
        return;
    }
    if (region->state == TD_REGION_CLOSED) {
        used +=
            (size_t)snprintf(ret_text + used, text_bytes - used, "; %s count",
                             td_cli_plural(region->closed_count, "incarnation", "incarnations"));
    }
    if (region->doubtful_since_ms != 0 && td_time_format(region->doubtful_since_ms, since)) {
        snprintf(ret_text + used, text_bytes - used, "; doubtful since %s", since);
    }
}

/* "a,b": texts escaped one by one. */
static void join_texts(const struct td_text *texts, uint32_t count, char *ret_text,
                       size_t text_bytes)
{
    size_t used = 0;

    ret_text[0] = '\0';
    for (uint32_t i = 0; i < count && used + 1 < text_bytes; i++) {
        used += (size_t)snprintf(ret_text + used, text_bytes - used, "%s%s", i == 0 ? "" : ",",
                                 td_cli_shown(texts[i]));
    }
}

static void region_row(const struct td_cli *cli, struct td_table *table,
                       const struct td_roster_region *region)
{
    char state[128];
    char number[8];
    char key[KEY_SHORT_BYTES] = "";
    char since[32];
    char quota[32];
    char bytes[32];
    char endpoints[1024];
    const struct td_region_key *newest = td_roster_newest_key(region);

    if (newest != NULL) {
        short_key(&newest->sign_key, key);
    }
    snprintf(number, sizeof number, "%u", region->number.v);
    snprintf(since, sizeof since, "roster %llu", (unsigned long long)region->admitted_version);
    snprintf(quota, sizeof quota, "%llu", (unsigned long long)region->quota_registers);
    snprintf(bytes, sizeof bytes, "%llu", (unsigned long long)region->quota_bytes);
    join_texts(region->endpoints, region->endpoint_count, endpoints, sizeof endpoints);
    region_state(cli, region, state, sizeof state);
    td_table_row(table,
                 (const char *const[]){td_cli_shown(region->name), number, key, since, state, quota,
                                       bytes, endpoints[0] == '\0' ? NULL : endpoints});
}

static void client_row(struct td_table *table, const struct td_roster_client *client)
{
    static const char *const roles[] = {"publish", "read", "admin"};
    char number[16];
    char key[KEY_SHORT_BYTES];
    char since[32];
    char prefixes[1024];

    short_key(&client->sign_key, key);
    snprintf(number, sizeof number, "%u", client->number);
    snprintf(since, sizeof since, "roster %llu", (unsigned long long)client->admitted_version);
    join_texts(client->prefixes, client->prefix_count, prefixes, sizeof prefixes);
    td_table_row(table,
                 (const char *const[]){td_cli_shown(client->name), number, key, since,
                                       (unsigned)client->role < 3 ? roles[client->role] : "?",
                                       prefixes[0] == '\0' ? "every job" : prefixes});
}

static int print_tables(struct td_cli *cli, const struct td_roster *roster)
{
    static const struct td_column region_columns[] = {
        {.name = "REGION"},
        {.name = "NO", .right = true},
        {.name = "KEY"},
        {.name = "SINCE"},
        {.name = "STATE"},
        {.name = "QUOTA", .right = true},
        {.name = "QUOTA BYTES", .right = true, .wide = true},
        {.name = "ENDPOINTS"},
    };
    static const struct td_column client_columns[] = {
        {.name = "CLIENT"}, {.name = "NO", .right = true}, {.name = "KEY"}, {.name = "SINCE"},
        {.name = "ROLE"},   {.name = "PREFIXES"},
    };
    struct td_table *regions = td_table_alloc(cli, region_columns, 8);
    struct td_table *clients = td_table_alloc(cli, client_columns, 6);

    if (regions == NULL || clients == NULL) {
        td_table_free(regions);
        td_table_free(clients);
        return td_cli_fail(cli, TD_ENOMEM, "%s", td_err_text(TD_ENOMEM));
    }
    for (uint32_t i = 0; i < roster->region_count; i++) {
        region_row(cli, regions, &roster->regions[i]);
    }
    td_table_print(regions);
    for (uint32_t i = 0; i < roster->client_count; i++) {
        client_row(clients, &roster->clients[i]);
    }
    if (roster->client_count > 0) {
        td_table_print(clients);
    }
    td_table_free(regions);
    td_table_free(clients);
    return 0;
}

static int print_roster(struct td_cli *cli, const struct td_roster *roster,
                        const struct td_response *response)
{
    char issued[TD_TIME_TEXT_BYTES] = "";
    struct td_quota_sum sum = td_roster_quotas(roster);

    if (td_cli_json(cli)) {
        return td_cli_print_json(cli, td_json_roster(response, roster, NULL));
    }
    int code = print_tables(cli, roster);
    if (code != 0 || cli->form == TD_FORM_PLAIN) {
        return code;
    }
    td_time_format(roster->issued_ms, issued);
    printf("Cluster %s, roster %llu of %s. ", td_cli_shown(roster->cluster_name),
           (unsigned long long)roster->version, issued);
    printf("Quotas %llu of %llu registers. ", (unsigned long long)sum.registers,
           (unsigned long long)sum.registers_max);
    printf("retain %s, abandon %s, max absence %s.\n",
           td_cli_duration(roster->policy.retain_s * 1000),
           td_cli_duration(roster->policy.abandon_s * 1000),
           td_cli_duration(roster->policy.max_absence_s * 1000));
    return 0;
}

static int show_file(struct td_cli *cli, const char *path)
{
    struct td_identity root;
    bool root_known = false;
    struct td_roster_file file = {0};
    char why[WHY_BYTES] = "";
    struct td_response nobody = {.now_ms = td_cli_wall_ms()};

    int code = td_roster_root(cli, &root, &root_known);
    if (code != 0) {
        return code;
    }
    enum td_err err = td_roster_file_read(path, root_known ? &root : NULL, &file, why, sizeof why);
    if (err != TD_OK) {
        code = td_cli_fail(cli, err, "%s", td_cli_shown(td_text_of(why)));
    } else {
        if (!root_known) {
            td_cli_note(cli, "the signature was not checked: give --root tdpk1:...");
        }
        code = print_roster(cli, &file.roster, &nobody);
    }
    td_roster_file_release(&file);
    return code;
}

static int show_node(struct td_cli *cli)
{
    struct td_request request = {.op = TD_OP_ROSTER_GET};
    struct td_call_result result;
    struct td_identity root;
    bool root_known = false;
    struct td_roster_file file = {0};
    char why[WHY_BYTES] = "";

    int code = td_roster_root(cli, &root, &root_known);
    if (code != 0) {
        return code;
    }
    code = td_cli_call(cli, &request, NULL, &result);
    if (code == 0) {
        enum td_err err = td_roster_file_decode(result.response.u.roster, root_known ? &root : NULL,
                                                &file, why, sizeof why);
        code = err == TD_OK ? print_roster(cli, &file.roster, &result.response)
                            : td_cli_fail(cli, err, "%s", td_cli_shown(td_text_of(why)));
    }
    td_roster_file_release(&file);
    td_call_release(&result);
    return code;
}

int td_cmd_roster_show(struct td_cli *cli)
{
    const char *path = cli->args->argument_count > 0 ? cli->args->arguments[0]
                                                     : td_args_text(cli->args, TD_FLAG_ROSTER);
    return path != NULL ? show_file(cli, path) : show_node(cli);
}

/* A node shows its card to who dials it: it has to be the root's word on the key in force. NULL =
 * all are; else the name of the region whose card is not. */
static const struct td_roster_region *
wrong_card(const struct td_roster *roster, const struct td_identity *root, struct td_reader *reader)
{
    struct td_sodium_signer sodium = {NULL, td_cluster_id_of(&root->sign_key)};
    struct td_signer signer = td_sodium_signer(&sodium);

    for (uint32_t i = 0; i < roster->region_count; i++) {
        const struct td_roster_region *region = &roster->regions[i];
        const struct td_region_key *key = td_roster_newest_key(region);
        struct td_card card;
        bool good =
            td_card_decode(region->card, &signer, &root->sign_key, reader, &card) == TD_OK &&
            card.region.v == region->number.v && card.key_number == key->number &&
            memcmp(&card.link_key, &key->link_key, sizeof card.link_key) == 0 &&
            memcmp(&card.sign_key, &key->sign_key, sizeof card.sign_key) == 0;
        if (!good) {
            return region;
        }
    }
    return NULL;
}

int td_cmd_roster_verify(struct td_cli *cli)
{
    struct td_identity root;
    bool root_known = false;
    struct td_roster_file file = {0};
    char why[WHY_BYTES] = "";

    int code = td_roster_root(cli, &root, &root_known);
    if (code != 0) {
        return code;
    }
    if (!root_known) {
        return td_cli_fail(cli, TD_EUSAGE,
                           "--root tdpk1:... is missing: whose signature shall it be?");
    }
    enum td_err err = td_roster_file_read(cli->args->arguments[0], &root, &file, why, sizeof why);
    if (err != TD_OK) {
        code = td_cli_refuse(cli, err == TD_EIO ? err : TD_EROSTER, "%s",
                             td_cli_shown(td_text_of(why)));
    } else if (wrong_card(&file.roster, &root, file.reader) != NULL) {
        code = td_cli_refuse(cli, TD_EROSTER,
                             "the card of %s is not the root's word on its key: sign "
                             "the roster anew (tidings roster set)",
                             td_cli_shown(wrong_card(&file.roster, &root, file.reader)->name));
    } else if (td_cli_json(cli)) {
        struct td_response nobody = {.now_ms = td_cli_wall_ms()};
        code = td_cli_print_json(cli, td_json_roster(&nobody, &file.roster, NULL));
    } else {
        printf("ok: cluster %s, roster %llu, %s, %s\n", td_cli_shown(file.roster.cluster_name),
               (unsigned long long)file.roster.version,
               td_cli_plural(file.roster.region_count, "region", "regions"),
               td_cli_plural(file.roster.client_count, "client", "clients"));
    }
    td_roster_file_release(&file);
    return code;
}

static int push_bytes(struct td_cli *cli, const struct td_roster_file *file)
{
    struct td_call_options options = {.this_node_only = false, .no_token = true};
    struct td_request request = {.op = TD_OP_ROSTER_PUSH, .u.roster = file->roster.raw};
    struct td_call_result result;

    int code = td_cli_call(cli, &request, &options, &result);
    if (code == 0) {
        td_cli_note(cli, "%s took roster %llu; the others learn it from there",
                    td_cli_shown(result.response.node_name),
                    (unsigned long long)file->roster.version);
        if (td_cli_json(cli)) {
            json_t *body = td_json_envelope(&result.response, "tidings.roster_push/1", NULL);
            (void)json_object_set_new(body, "roster_version",
                                      json_integer((json_int_t)file->roster.version));
            code = td_cli_print_json(cli, body);
        }
    }
    td_call_release(&result);
    return code;
}

int td_cmd_roster_push(struct td_cli *cli)
{
    struct td_identity root;
    bool root_known = false;
    struct td_roster_file file = {0};
    char why[WHY_BYTES] = "";

    int code = td_roster_root(cli, &root, &root_known);
    if (code != 0) {
        return code;
    }
    /* Without --root the node checks alone; bytes that are no roster at all are refused here
     * already. */
    enum td_err err = td_roster_file_read(cli->args->arguments[0], root_known ? &root : NULL, &file,
                                          why, sizeof why);
    if (err != TD_OK) {
        code = td_cli_fail(cli, err, "%s", td_cli_shown(td_text_of(why)));
    } else if (td_args_has(cli->args, TD_FLAG_DRY_RUN)) {
        td_cli_note(cli, "(dry run, nothing sent) roster %llu of cluster %s",
                    (unsigned long long)file.roster.version,
                    td_cli_shown(file.roster.cluster_name));
    } else {
        code = push_bytes(cli, &file);
    }
    td_roster_file_release(&file);
    return code;
}
