/* cmd_roster_log.c -- roster log: the chain of rosters, of files or of a node, oldest first;
 * whether each names the one before by its hash, and what it changed. */
#include <stdlib.h>
#include <string.h>

#include "node/cli/cli.h"
#include "node/cli/roster_diff.h"
#include "node/cli/roster_edit.h"
#include "node/cli/table.h"

enum { WHY_BYTES = 512, ROSTERS_MAX = 1024, HASH_TEXT_BYTES = 65, CHANGES_BYTES = 2048 };

struct entry {
    uint64_t version;
    uint8_t *bytes;
    size_t count;
};
struct roster_log {
    struct td_cli *cli;
    struct td_identity root;
    bool root_known;
    struct entry entries[ROSTERS_MAX];
    uint32_t count;
    struct td_table *table;
    json_t *list;
};

static int add(struct roster_log *self, uint64_t version, struct td_bytes raw)
{
    struct entry *entry = &self->entries[self->count];

    if (self->count == ROSTERS_MAX) {
        return td_cli_fail(self->cli, TD_ETOOBIG, "more than %d rosters", ROSTERS_MAX);
    }
    entry->bytes = malloc(raw.count + 1);
    if (entry->bytes == NULL) {
        return td_cli_fail(self->cli, TD_ENOMEM, "%s", td_err_text(TD_ENOMEM));
    }
    memcpy(entry->bytes, raw.bytes, raw.count);
    entry->count = raw.count;
    entry->version = version;
    self->count++;
    return 0;
}

static int add_file(struct roster_log *self, const char *path)
{
    struct td_roster_file file = {0};
    char why[WHY_BYTES] = "";
    enum td_err err =
        td_roster_file_read(path, self->root_known ? &self->root : NULL, &file, why, sizeof why);
    int code = err == TD_OK ? add(self, file.roster.version, file.roster.raw)
                            : td_cli_fail(self->cli, err, "%s", td_cli_shown(td_text_of(why)));
    td_roster_file_release(&file);
    return code;
}

/* *ret_version = what came; 0 = the node does not keep that one. version 0 = the newest. */
static int add_from_node(struct roster_log *self, uint64_t version, uint64_t *ret_version)
{
    struct td_request request = {.op = version == 0 ? TD_OP_ROSTER_GET : TD_OP_ROSTER_AT,
                                 .u.roster_version = version};
    struct td_call_options options = {.no_token = true};
    struct td_call_result result;
    struct td_roster_file file = {0};
    char why[WHY_BYTES] = "";
    int code = 0;

    *ret_version = 0;
    if (version == 0) {
        code = td_cli_call(self->cli, &request, &options, &result);
    } else {
        enum td_err err = td_call(self->cli->tidings, &request, &options, &result);
        bool gone = err == TD_OK && result.response.err == TD_EUNKNOWN;
        if (gone) {
            td_call_release(&result);
            return 0;
        }
        code = err == TD_OK && result.response.err == TD_OK
                   ? 0
                   : td_cli_fail_call(self->cli, self->cli->tidings, err, &result);
    }
    if (code == 0) {
        enum td_err err =
            td_roster_file_decode(result.response.u.roster, self->root_known ? &self->root : NULL,
                                  &file, why, sizeof why);
        code = err == TD_OK ? add(self, file.roster.version, file.roster.raw)
                            : td_cli_fail(self->cli, err, "%s", td_cli_shown(td_text_of(why)));
        *ret_version = err == TD_OK ? file.roster.version : 0;
    }
    td_roster_file_release(&file);
    td_call_release(&result);
    return code;
}

static int gather(struct roster_log *self)
{
    uint64_t version = 0;
    int code = 0;

    if (self->cli->args->argument_count > 0) {
        for (unsigned i = 0; code == 0 && i < self->cli->args->argument_count; i++) {
            code = add_file(self, self->cli->args->arguments[i]);
        }
        return code;
    }
    do {
        code = add_from_node(self, version == 0 ? 0 : version - 1, &version);
    } while (code == 0 && version > 1 && self->count < ROSTERS_MAX);
    return code;
}

static int compare_entries(const void *a, const void *b)
{
    const struct entry *one = a, *two = b;
    return one->version < two->version ? -1 : one->version > two->version;
}

static void hash_text(const struct td_hash *hash, size_t bytes, char ret_text[HASH_TEXT_BYTES])
{
    for (size_t i = 0; i < bytes; i++) {
        snprintf(ret_text + 2 * i, 3, "%02x", hash->bytes[i]);
    }
}

static void take_change(void *self, const char *change)
{
    json_array_append_new(self, json_string(change));
}

static void join_changes(const json_t *changes, char *ret_text)
{
    size_t used = 0;

    ret_text[0] = '\0';
    for (size_t i = 0; i < json_array_size(changes) && used + 1 < CHANGES_BYTES; i++) {
        used += (size_t)snprintf(ret_text + used, CHANGES_BYTES - used, "%s%s", i == 0 ? "" : "; ",
                                 json_string_value(json_array_get(changes, i)));
    }
}

/* Whether it names the one before: NULL = that one is not here. */
static const char *chain_word(const struct td_roster *before, const struct td_roster *roster)
{
    if (before == NULL || before->version + 1 != roster->version) {
        return roster->version == 1 ? "first" : "gap";
    }
    return memcmp(&before->hash, &roster->previous, sizeof before->hash) == 0 ? "ok" : "BROKEN";
}

static bool show(struct roster_log *self, const struct td_roster *before,
                 const struct td_roster *roster)
{
    char hash[HASH_TEXT_BYTES];
    char issued[TD_TIME_TEXT_BYTES] = "";
    char version[32];
    char text[CHANGES_BYTES];
    json_t *changes = json_array();
    const char *chain = chain_word(before, roster);

    td_roster_diff(before, roster, take_change, changes);
    join_changes(changes, text);
    (void)td_time_format(roster->issued_ms, issued);
    hash_text(&roster->hash, 8, hash);
    snprintf(version, sizeof version, "%llu", (unsigned long long)roster->version);
    td_table_row(self->table, (const char *const[]){version, issued, hash, chain, text});
    hash_text(&roster->hash, sizeof roster->hash.bytes, hash);
    json_array_append_new(
        self->list, json_pack("{s:I, s:s, s:s, s:s, s:o}", "version", (json_int_t)roster->version,
                              "issued", issued, "hash", hash, "chain",
                              strcmp(chain, "BROKEN") == 0 ? "broken" : chain, "changes", changes));
    return strcmp(chain, "BROKEN") != 0;
}

/* Two are decoded at a time: each takes megabytes. */
static int show_all(struct roster_log *self)
{
    struct td_roster_file files[2];
    const struct td_roster *before = NULL;
    bool whole = true;
    int code = 0;

    memset(files, 0, sizeof files);
    for (uint32_t i = 0; i < self->count && code == 0; i++) {
        struct td_roster_file *file = &files[i % 2];
        char why[WHY_BYTES] = "";
        td_roster_file_release(file);
        enum td_err err =
            td_roster_file_decode((struct td_bytes){self->entries[i].bytes, self->entries[i].count},
                                  self->root_known ? &self->root : NULL, file, why, sizeof why);
        if (err != TD_OK) {
            code = td_cli_fail(self->cli, err, "%s", td_cli_shown(td_text_of(why)));
        } else {
            whole = show(self, before, &file->roster) && whole;
            before = &file->roster;
        }
    }
    td_roster_file_release(&files[0]);
    td_roster_file_release(&files[1]);
    if (code == 0 && !whole) {
        code = td_cli_refuse(self->cli, TD_EROSTER,
                             "a roster does not name the one before it: two were signed for one "
                             "version, or one of them is not of this chain");
    }
    return code;
}

static int run(struct roster_log *self)
{
    int code = gather(self);

    if (code != 0) {
        return code;
    }
    if (!self->root_known) {
        td_cli_note(self->cli, "signatures were not checked: give --root tdpk1:...");
    }
    qsort(self->entries, self->count, sizeof self->entries[0], compare_entries);
    code = show_all(self);
    if (td_cli_json(self->cli)) {
        int json_code =
            td_cli_print_json(self->cli, json_pack("{s:s, s:O}", "schema", "tidings.roster_log/1",
                                                   "rosters", self->list));
        return code != 0 ? code : json_code;
    }
    td_table_print(self->table);
    return code;
}

int td_cmd_roster_log(struct td_cli *cli)
{
    static const struct td_column columns[] = {
        {.name = "VERSION", .right = true},
        {.name = "ISSUED"},
        {.name = "HASH"},
        {.name = "CHAIN"},
        {.name = "CHANGES"},
    };
    struct roster_log *self = calloc(1, sizeof *self);

    if (self == NULL) {
        return td_cli_fail(cli, TD_ENOMEM, "%s", td_err_text(TD_ENOMEM));
    }
    self->cli = cli;
    int code = td_roster_root(cli, &self->root, &self->root_known);
    self->table = td_table_alloc(cli, columns, 5);
    self->list = json_array();
    if (code == 0) {
        code = self->table == NULL || self->list == NULL
                   ? td_cli_fail(cli, TD_ENOMEM, "%s", td_err_text(TD_ENOMEM))
                   : run(self);
    }
    for (uint32_t i = 0; i < self->count; i++) {
        free(self->entries[i].bytes);
    }
    td_table_free(self->table);
    json_decref(self->list);
    free(self);
    return code;
}
