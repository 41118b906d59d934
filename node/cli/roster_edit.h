/* roster_edit.h -- what all verbs that make the next signed version of a roster share: open file
 * and key, check, sign, write, say so. */
#ifndef TD_CLI_ROSTER_EDIT_H
#define TD_CLI_ROSTER_EDIT_H

#include "node/cli/cli.h"
#include "node/cli/roster_file.h"

struct td_edit {
    struct td_cli *cli;
    struct td_secret *root;
    struct td_roster_file file;
    const char *path;
    bool exclusive; /* init: the file must not exist */
};

/* --root or the public half of --root-key; *ret_found = false when neither was given. Exit code. */
TD_MUST_USE int td_roster_root(const struct td_cli *cli, struct td_identity *ret_root,
                               bool *ret_found);
/* "--FLAG VALUE is missing"; the exit code. */
int td_edit_missing(const struct td_cli *cli, enum td_flag_id id);
/* --root-key and --roster; the file only with td_edit_open. Exit code; close in every case. */
TD_MUST_USE int td_edit_open_key(struct td_edit *self);
TD_MUST_USE int td_edit_open(struct td_edit *self);
void td_edit_close(struct td_edit *self);
/* --pubkey, which must not be in the roster yet: one key, one place. */
TD_MUST_USE int td_edit_pubkey(const struct td_edit *self, struct td_identity *ret_identity);
/* Makes, checks, signs and writes the next version (not with --dry-run); what: one remark on it. */
int td_edit_save(struct td_edit *self, const char *what);

#endif
