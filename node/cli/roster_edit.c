/* roster_edit.c -- see roster_edit.h. */
#include "node/cli/roster_edit.h"

#include <stdlib.h>

#include "node/client/json.h"

enum { WHY_BYTES = 512 };

int td_roster_root(const struct td_cli *cli, struct td_identity *ret_root, bool *ret_found)
{
    const char *text = td_args_text(cli->args, TD_FLAG_ROOT);
    const char *path = td_args_text(cli->args, TD_FLAG_ROOT_KEY);
    struct td_secret *secret = NULL;
    char why[WHY_BYTES] = "";

    *ret_found = text != NULL || path != NULL;
    if (text != NULL) {
        enum td_err err = td_identity_from_text(text, ret_root);
        return err == TD_OK ? 0 : td_cli_fail(cli, err, "--root: %s", td_err_text(err));
    }
    if (path != NULL) {
        enum td_err err = td_key_file_read(path, &secret, why, sizeof why);
        if (err != TD_OK) {
            return td_cli_fail(cli, err, "%s", td_cli_shown(td_text_of(why)));
        }
        *ret_root = *td_secret_identity(secret);
        td_secret_free(secret);
    }
    return 0;
}

int td_edit_missing(const struct td_cli *cli, enum td_flag_id id)
{
    return td_cli_fail(cli, TD_EUSAGE, "--%s %s is missing", td_flags[id].name, td_flags[id].value);
}

int td_edit_open_key(struct td_edit *self)
{
    char why[WHY_BYTES] = "";
    const char *key_path = td_args_text(self->cli->args, TD_FLAG_ROOT_KEY);

    self->path = td_args_text(self->cli->args, TD_FLAG_ROSTER);
    if (key_path == NULL) {
        return td_edit_missing(self->cli, TD_FLAG_ROOT_KEY);
    }
    if (self->path == NULL) {
        return td_edit_missing(self->cli, TD_FLAG_ROSTER);
    }
    enum td_err err = td_key_file_read(key_path, &self->root, why, sizeof why);
    return err == TD_OK ? 0 : td_cli_fail(self->cli, err, "%s", td_cli_shown(td_text_of(why)));
}

int td_edit_open(struct td_edit *self)
{
    char why[WHY_BYTES] = "";
    int code = td_edit_open_key(self);

    if (code != 0) {
        return code;
    }
    enum td_err err = td_roster_file_read(self->path, td_secret_identity(self->root), &self->file,
                                          why, sizeof why);
    return err == TD_OK ? 0 : td_cli_fail(self->cli, err, "%s", td_cli_shown(td_text_of(why)));
}

void td_edit_close(struct td_edit *self)
{
    td_roster_file_release(&self->file);
    td_secret_free(self->root);
}

/* DESIGN 5: what a node reserves bounds what the regions together may accept. */
static int check_quotas(const struct td_edit *self)
{
    struct td_quota_sum sum = td_roster_quotas(&self->file.roster);

    if (sum.registers > sum.registers_max) {
        return td_cli_refuse(
            self->cli, TD_EROSTER,
            "quotas of all regions come to %llu registers, nodes reserve for %llu; lower a "
            "--quota, or raise it with roster set --registers-max and restart the nodes",
            (unsigned long long)sum.registers, (unsigned long long)sum.registers_max);
    }
    if (sum.bytes > sum.bytes_max) {
        return td_cli_refuse(
            self->cli, TD_EROSTER,
            "quotas of all regions come to %llu bytes, nodes reserve for %llu; lower a "
            "--quota-bytes, or raise it with roster set --bytes-max and restart the nodes",
            (unsigned long long)sum.bytes, (unsigned long long)sum.bytes_max);
    }
    return 0;
}

int td_edit_save(struct td_edit *self, const char *what)
{
    char why[WHY_BYTES] = "";
    struct td_bytes raw = {0};
    bool dry_run = td_args_has(self->cli->args, TD_FLAG_DRY_RUN);

    int code = check_quotas(self);
    if (code != 0) {
        return code;
    }
    enum td_err err =
        td_roster_file_sign(&self->file, self->root, td_cli_wall_ms(), &raw, why, sizeof why);
    if (err == TD_OK && !dry_run) {
        err = td_file_replace(self->path, raw, self->exclusive, why, sizeof why);
    }
    free((void *)(uintptr_t)raw.bytes);
    if (err != TD_OK) {
        return td_cli_refuse(self->cli, err, "%s", td_cli_shown(td_text_of(why)));
    }
    td_cli_note(self->cli, "%sroster %llu: %s", dry_run ? "(dry run, nothing written) " : "",
                (unsigned long long)self->file.roster.version, what);
    if (td_cli_json(self->cli)) {
        struct td_response nobody = {.now_ms = td_cli_wall_ms()};
        return td_cli_print_json(self->cli, td_json_roster(&nobody, &self->file.roster, NULL));
    }
    return 0;
}

/* --pubkey, which must not be in the roster yet: one key, one place. */
int td_edit_pubkey(const struct td_edit *self, struct td_identity *ret_identity)
{
    const char *text = td_args_text(self->cli->args, TD_FLAG_PUBKEY);

    if (text == NULL) {
        return td_edit_missing(self->cli, TD_FLAG_PUBKEY);
    }
    enum td_err err = td_identity_from_text(text, ret_identity);
    if (err != TD_OK) {
        return td_cli_fail(self->cli, err, "--pubkey %.12s...: %s", td_cli_shown(td_text_of(text)),
                           td_err_text(err));
    }
    const struct td_roster *roster = &self->file.roster;
    struct td_text holder = {0};
    const struct td_roster_region *region =
        td_roster_region_by_link_key(roster, &ret_identity->link_key);
    const struct td_roster_client *client =
        td_roster_client_by_link_key(roster, &ret_identity->link_key);
    uint16_t old_number = 0;
    region = region != NULL
                 ? region
                 : td_roster_region_of_old_link_key(roster, &ret_identity->link_key, &old_number);
    if (region != NULL && old_number != 0) {
        return td_cli_refuse(
            self->cli, TD_EROSTER,
            "--pubkey: this was key %u of %s, and was replaced; a key is never used "
            "again",
            old_number, td_cli_shown(region->name));
    }
    if (region != NULL) {
        holder = region->name;
    } else if (client != NULL) {
        holder = client->name;
    }
    if (holder.count > 0) {
        return td_cli_refuse(self->cli, TD_EROSTER, "--pubkey: %s has this key already",
                             td_cli_shown(holder));
    }
    return 0;
}
