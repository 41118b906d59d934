/* cmd_roster_edit.c -- roster init, add, add-client, set: each makes the next signed version. */
#include <stdlib.h>
#include <string.h>

#include "node/cli/cli.h"
#include "node/cli/roster_edit.h"
#include "proto/reader.h"

/* Names appear in tables, URLs, metric labels and comma-separated lists. */
static bool name_valid(const char *name, size_t bytes_max)
{
    size_t count = strlen(name);

    return count > 0 && count <= bytes_max &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") ==
               count;
}

static int check_name(const struct td_cli *cli, const char *what, const char *name,
                      size_t bytes_max)
{
    if (name_valid(name, bytes_max)) {
        return 0;
    }
    return td_cli_fail(cli, TD_EUSAGE, "%s `%s`: 1 to %zu letters, digits, - _ and . only", what,
                       td_cli_shown(td_text_of(name)), bytes_max);
}

static uint64_t policy_seconds(const struct td_args *args, enum td_flag_id id, uint64_t fallback_s)
{
    return td_args_ms(args, id, fallback_s * 1000) / 1000;
}

static int take_policy(const struct td_cli *cli, struct td_policy *policy)
{
    const struct td_args *args = cli->args;

    policy->retain_s = policy_seconds(args, TD_FLAG_RETAIN, policy->retain_s);
    policy->abandon_s = policy_seconds(args, TD_FLAG_ABANDON, policy->abandon_s);
    policy->max_absence_s = policy_seconds(args, TD_FLAG_MAX_ABSENCE, policy->max_absence_s);
    policy->registers_max = td_args_uint(args, TD_FLAG_REGISTERS_MAX, policy->registers_max);
    policy->bytes_max = td_args_uint(args, TD_FLAG_BYTES_MAX, policy->bytes_max);
    if (policy->retain_s == 0 || policy->abandon_s == 0 || policy->max_absence_s == 0) {
        return td_cli_fail(cli, TD_EUSAGE, "--retain, --abandon and --max-absence are 1s or more");
    }
    return 0;
}

static int init_with_key(struct td_edit *self, const char *name)
{
    const uint64_t day_s = 24 * 3600;

    self->exclusive = true;
    enum td_err err = td_roster_file_create(td_text_of(name), &self->file);
    if (err != TD_OK) {
        return td_cli_fail(self->cli, err, "%s", td_err_text(err));
    }
    self->file.roster.policy = (struct td_policy){
        .retain_s = 30 * day_s, .abandon_s = 365 * day_s, .max_absence_s = 7 * day_s};
    int code = take_policy(self->cli, &self->file.roster.policy);
    return code != 0 ? code
                     : td_edit_save(self, "an empty cluster; next: tidings roster add REGION ...");
}

int td_cmd_roster_init(struct td_cli *cli)
{
    struct td_edit self = {.cli = cli};
    const char *name = td_args_text(cli->args, TD_FLAG_CLUSTER);

    if (name == NULL) {
        return td_edit_missing(cli, TD_FLAG_CLUSTER);
    }
    int code = check_name(cli, "--cluster", name, TD_CLUSTER_NAME_BYTES_MAX);
    if (code == 0) {
        code = td_edit_open_key(&self);
    }
    if (code == 0) {
        code = init_with_key(&self, name);
    }
    td_edit_close(&self);
    return code;
}

static bool endpoint_valid(const char *url)
{
    const char *host = strncmp(url, "tcp://", 6) == 0 ? url + 6 : NULL;
    const char *colon = host == NULL ? NULL : strrchr(host, ':');

    if (colon == NULL || colon == host || strlen(url) > TD_ENDPOINT_BYTES_MAX) {
        return false;
    }
    size_t digits = strspn(colon + 1, "0123456789");
    long port = strtol(colon + 1, NULL, 10);
    return digits > 0 && digits < 6 && colon[1 + digits] == '\0' && port > 0 && port < 65536 &&
           strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:[]%") ==
               strlen(host);
}

/* Replaces the region's endpoints when --endpoint was given. */
static int take_endpoints(struct td_edit *self, struct td_roster_region *region)
{
    unsigned position = 0;
    uint32_t count = 0;
    struct td_text *endpoints =
        td_arena_take(&self->file.arena, TD_ENDPOINTS_MAX, sizeof *endpoints);

    if (endpoints == NULL) {
        return td_cli_fail(self->cli, TD_ENOMEM, "%s", td_err_text(TD_ENOMEM));
    }
    for (const char *url;
         (url = td_args_next(self->cli->args, TD_FLAG_ENDPOINT, &position)) != NULL;) {
        if (!endpoint_valid(url)) {
            return td_cli_fail(self->cli, TD_EUSAGE, "--endpoint `%s`: write tcp://HOST:PORT",
                               td_cli_shown(td_text_of(url)));
        }
        if (count == TD_ENDPOINTS_MAX) {
            return td_cli_fail(self->cli, TD_EUSAGE, "--endpoint: at most %d", TD_ENDPOINTS_MAX);
        }
        endpoints[count++] = td_text_of(url);
    }
    if (count > 0) {
        region->endpoints = endpoints;
        region->endpoint_count = count;
    }
    return 0;
}

static int take_region_values(struct td_edit *self, struct td_roster_region *region)
{
    region->quota_registers = td_args_uint(self->cli->args, TD_FLAG_QUOTA, region->quota_registers);
    region->quota_bytes = td_args_uint(self->cli->args, TD_FLAG_QUOTA_BYTES, region->quota_bytes);
    return take_endpoints(self, region);
}

/* The newest numbers stay in the roster when regions close, so the highest plus one was never used.
 */
static int next_region_number(const struct td_edit *self, struct td_region *ret_number)
{
    const struct td_roster *roster = &self->file.roster;
    uint32_t open_count = 0;
    uint8_t highest = 0;

    for (uint32_t i = 0; i < roster->region_count; i++) {
        highest = roster->regions[i].number.v > highest ? roster->regions[i].number.v : highest;
        open_count += roster->regions[i].state != TD_REGION_CLOSED;
    }
    if (open_count >= TD_REGIONS_MAX || highest == TD_REGION_NUMBER_MAX) {
        return td_cli_refuse(self->cli, TD_EROSTER,
                             "a cluster has at most %d regions, and %d numbers ever",
                             TD_REGIONS_MAX, TD_REGION_NUMBER_MAX);
    }
    ret_number->v = (uint8_t)(highest + 1);
    return 0;
}

static int add_region(struct td_edit *self, const char *name)
{
    struct td_roster *roster = &self->file.roster;
    struct td_identity identity;
    char what[128];
    struct td_roster_region region = {
        .name = td_text_of(name),
        .state = TD_REGION_ACTIVE,
        .quota_registers = TD_QUOTA_REGISTERS_DEFAULT,
        .quota_bytes = TD_QUOTA_BYTES_DEFAULT,
        .admitted_version = roster->version + 1,
    };
    if (td_roster_region_named(roster, region.name) != NULL) {
        return td_cli_refuse(self->cli, TD_EROSTER,
                             "region %s is in the roster already; names are never used again",
                             name);
    }
    int code = td_edit_pubkey(self, &identity);
    if (code == 0) {
        code = next_region_number(self, &region.number);
    }
    if (code == 0) {
        code = take_region_values(self, &region);
    }
    if (code != 0) {
        return code;
    }
    struct td_region_key *key = td_arena_take(&self->file.arena, 1, sizeof *key);
    enum td_err err = key == NULL
                          ? TD_ENOMEM
                          : td_roster_file_card(&self->file, self->root, region.number, 1,
                                                &identity, region.admitted_version, &region.card);
    if (err != TD_OK) {
        return td_cli_fail(self->cli, err, "%s", td_err_text(err));
    }
    *key = (struct td_region_key){1, identity.sign_key, identity.link_key};
    region.keys = key;
    region.key_count = 1;
    self->file.regions[roster->region_count++] = region;
    snprintf(what, sizeof what, "%s is region %u; next: tidings roster push", name,
             region.number.v);
    return td_edit_save(self, what);
}

int td_cmd_roster_add(struct td_cli *cli)
{
    struct td_edit self = {.cli = cli};
    const char *name = cli->args->arguments[0];

    int code = check_name(cli, "region", name, TD_REGION_NAME_BYTES_MAX);
    if (code == 0) {
        code = td_edit_open(&self);
    }
    if (code == 0) {
        code = add_region(&self, name);
    }
    td_edit_close(&self);
    return code;
}

static int take_prefixes(struct td_edit *self, struct td_roster_client *client)
{
    unsigned position = 0;
    struct td_text *prefixes =
        td_arena_take(&self->file.arena, TD_CLIENT_PREFIXES_MAX, sizeof *prefixes);

    if (prefixes == NULL) {
        return td_cli_fail(self->cli, TD_ENOMEM, "%s", td_err_text(TD_ENOMEM));
    }
    for (const char *text;
         (text = td_args_next(self->cli->args, TD_FLAG_CLIENT_PREFIX, &position)) != NULL;) {
        struct td_text prefix = td_text_of(text);
        if (prefix.count > TD_JOB_BYTES_MAX || !td_utf8_valid(prefix, false)) {
            return td_cli_fail(self->cli, TD_EUSAGE,
                               "--prefix `%s`: the start of a job id, at most %d bytes",
                               td_cli_shown(prefix), TD_JOB_BYTES_MAX);
        }
        if (client->prefix_count == TD_CLIENT_PREFIXES_MAX) {
            return td_cli_fail(self->cli, TD_EUSAGE, "--prefix: at most %d",
                               TD_CLIENT_PREFIXES_MAX);
        }
        prefixes[client->prefix_count++] = prefix;
    }
    client->prefixes = prefixes;
    return 0;
}

static enum td_role role_of(const struct td_args *args)
{
    if (td_args_is(args, TD_FLAG_ROLE, "read")) {
        return TD_ROLE_READ;
    }
    return td_args_is(args, TD_FLAG_ROLE, "admin") ? TD_ROLE_ADMIN : TD_ROLE_PUBLISH;
}

static int add_client(struct td_edit *self, const char *name)
{
    struct td_roster *roster = &self->file.roster;
    struct td_identity identity;
    char what[128];
    struct td_roster_client client = {
        .name = td_text_of(name),
        .role = role_of(self->cli->args),
        .admitted_version = roster->version + 1,
    };
    for (uint32_t i = 0; i < roster->client_count; i++) {
        if (td_text_equal(roster->clients[i].name, client.name)) {
            return td_cli_refuse(self->cli, TD_EROSTER, "client %s is in the roster already", name);
        }
    }
    client.number = roster->clients_ever + 1; /* ascending, and never used again */
    if (roster->client_count >= TD_CLIENTS_MAX) {
        return td_cli_refuse(self->cli, TD_EROSTER, "a roster has at most %d clients",
                             TD_CLIENTS_MAX);
    }
    int code = td_edit_pubkey(self, &identity);
    if (code == 0) {
        code = take_prefixes(self, &client);
    }
    if (code != 0) {
        return code;
    }
    client.sign_key = identity.sign_key;
    client.link_key = identity.link_key;
    self->file.clients[roster->client_count++] = client;
    roster->clients_ever = client.number;
    snprintf(what, sizeof what, "%s is client %u; next: tidings roster push", name, client.number);
    return td_edit_save(self, what);
}

int td_cmd_roster_add_client(struct td_cli *cli)
{
    struct td_edit self = {.cli = cli};
    const char *name = cli->args->arguments[0];

    int code = check_name(cli, "client", name, TD_REGION_NAME_BYTES_MAX);
    if (code == 0) {
        code = td_edit_open(&self);
    }
    if (code == 0) {
        code = add_client(&self, name);
    }
    td_edit_close(&self);
    return code;
}

static bool any_given(const struct td_args *args, const enum td_flag_id *ids, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (td_args_has(args, ids[i])) {
            return true;
        }
    }
    return false;
}

static int set_region(struct td_edit *self, const char *name)
{
    const struct td_roster_region *found =
        td_roster_region_named(&self->file.roster, td_text_of(name));

    if (found == NULL) {
        return td_cli_fail(self->cli, TD_EUSAGE, "no region `%s` in %s",
                           td_cli_shown(td_text_of(name)), td_cli_shown(td_text_of(self->path)));
    }
    return take_region_values(self, &self->file.regions[found - self->file.roster.regions]);
}

int td_cmd_roster_set(struct td_cli *cli)
{
    static const enum td_flag_id policy_flags[] = {TD_FLAG_RETAIN, TD_FLAG_ABANDON,
                                                   TD_FLAG_MAX_ABSENCE, TD_FLAG_REGISTERS_MAX,
                                                   TD_FLAG_BYTES_MAX};
    static const enum td_flag_id region_flags[] = {TD_FLAG_QUOTA, TD_FLAG_QUOTA_BYTES,
                                                   TD_FLAG_ENDPOINT};
    struct td_edit self = {.cli = cli};
    bool for_region = any_given(cli->args, region_flags, 3);
    bool named = cli->args->argument_count == 1;

    if (for_region != named) {
        return td_cli_fail(cli, TD_EUSAGE, "%s",
                           named ? "give --quota, --quota-bytes or --endpoint for the region"
                                 : "--quota, --quota-bytes and --endpoint need a REGION");
    }
    if (!for_region && !any_given(cli->args, policy_flags, 5)) {
        return td_cli_fail(cli, TD_EUSAGE,
                           "nothing to set: name a REGION, or give --retain and the like");
    }
    int code = td_edit_open(&self);
    if (code == 0) {
        code = take_policy(cli, &self.file.roster.policy);
    }
    if (code == 0 && named) {
        code = set_region(&self, cli->args->arguments[0]);
    }
    if (code == 0) {
        code = td_edit_save(&self, named ? "region changed; next: tidings roster push"
                                      : "policy changed; next: tidings roster push");
    }
    td_edit_close(&self);
    return code;
}
