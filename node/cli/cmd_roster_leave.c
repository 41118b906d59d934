/* cmd_roster_leave.c -- roster close, revoke, rotate: the two steps by which a region or a key
 * leaves. The first says so in the next roster, the second lists in another one what members said
 * they have. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "node/cli/roster_edit.h"
#include "node/cli/roster_leave.h"
#include "proto/text.h"

enum { WHAT_BYTES = 512, ASK_AGAIN_US = 200000 };

static struct td_roster_region *region_named(struct td_edit *self, const char *name)
{
    const struct td_roster_region *found =
        td_roster_region_named(&self->file.roster, td_text_of(name));
    return found == NULL ? NULL : &self->file.regions[found - self->file.roster.regions];
}

static int no_such(const struct td_edit *self, const char *what, const char *name)
{
    return td_cli_fail(self->cli, TD_EUSAGE, "no %s `%s` in %s", what,
                       td_cli_shown(td_text_of(name)), td_cli_shown(td_text_of(self->path)));
}

/* ---- the second step ---- */

static int say_waiting(const struct td_edit *self, const struct td_roster_region *region,
                       const struct td_leaving_plan *plan)
{
    char names[1024];
    unsigned long long version = (unsigned long long)self->file.roster.version;

    td_leave_waited_for(&self->file.roster, plan, names, sizeof names);
    if (plan->waiting > 0) {
        return td_cli_refuse(
            self->cli, TD_EROSTER,
            "%s did not say yet, under roster %llu, what they have of %s. Wait for "
            "them (--timeout 1m; tidings roster status), or give up who is away too "
            "long (--without NAME)",
            names, version, td_cli_shown(region->name));
    }
    if (plan->behind > 0) {
        return td_cli_refuse(self->cli, TD_EROSTER,
                             "only %s itself has %s: the others are taking them (--timeout 1m)",
                             td_cli_shown(region->name),
                             td_cli_plural(plan->behind, "update", "updates"));
    }
    return td_cli_refuse(
        self->cli, TD_EROSTER,
        "members name updates of %s that the node asked does not have yet: it is taking "
        "them (--timeout 1m), or a member names too much (--without NAME believes it "
        "only as far as this node has the same)",
        td_cli_shown(region->name));
}

/* Until everybody has spoken, or --timeout is over. */
static int ask_until(struct td_edit *self, const struct td_roster_region *region,
                     struct td_leaving_plan *plan)
{
    struct td_leaving_ask ask = td_leave_question(&self->file.roster, region);
    uint64_t until_us = td_cli_mono_us() + UINT64_C(1000) * td_cli_timeout_ms(self->cli, 0);
    int code = td_leave_without(self->cli, &ask);

    if (code != 0) {
        return code;
    }
    for (;;) {
        code = td_leave_ask(self->cli, &ask, plan);
        if (code != 0 || td_leaving_ready(plan)) {
            return code;
        }
        if (td_cli_mono_us() >= until_us) {
            return say_waiting(self, region, plan);
        }
        usleep(ASK_AGAIN_US);
    }
}

static const struct td_closing *keep_list(struct td_edit *self, const struct td_leaving_plan *plan,
                                          uint32_t more)
{
    struct td_closing *list =
        td_arena_take(&self->file.arena, plan->listed_count + more + 1, sizeof *list);
    if (list != NULL) {
        memcpy(list, plan->listed, plan->listed_count * sizeof *list);
    }
    return list;
}

static int finish_closing(struct td_edit *self, struct td_roster_region *region,
                          struct td_leaving_plan *plan)
{
    char what[WHAT_BYTES];
    int code = ask_until(self, region, plan);

    if (code != 0) {
        return code;
    }
    region->closed = keep_list(self, plan, 0);
    if (region->closed == NULL) {
        return td_cli_fail(self->cli, TD_ENOMEM, "%s", td_err_text(TD_ENOMEM));
    }
    td_leave_say_lost(self->cli, &self->file.roster, region, plan);
    region->closed_count = plan->listed_count;
    region->state = TD_REGION_CLOSED;
    snprintf(what, sizeof what, "%s is closed, %s of %s count; next: tidings roster push",
             td_cli_shown(region->name), td_cli_plural(plan->listed_updates, "update", "updates"),
             td_cli_plural(plan->listed_count, "incarnation", "incarnations"));
    return td_edit_save(self, what);
}

static bool in_list(const struct td_closing *list, uint32_t count,
                    struct td_incarnation incarnation, uint64_t *ret_last)
{
    for (uint32_t i = 0; i < count; i++) {
        if (list[i].incarnation.start == incarnation.start &&
            list[i].incarnation.random == incarnation.random) {
            *ret_last = list[i].last_seq;
            return true;
        }
    }
    return false;
}

/* Lists of keys retired before stay as they are; the new one's is added. */
static int merge_retired(struct td_edit *self, struct td_roster_region *region,
                         const struct td_leaving_plan *plan)
{
    uint32_t count = plan->listed_count;
    uint64_t last = 0;
    struct td_closing *list =
        (struct td_closing *)(uintptr_t)keep_list(self, plan, region->retired_count);

    if (list == NULL) {
        return td_cli_fail(self->cli, TD_ENOMEM, "%s", td_err_text(TD_ENOMEM));
    }
    for (uint32_t i = 0; i < plan->listed_count; i++) {
        if (in_list(region->retired, region->retired_count, list[i].incarnation, &last)) {
            list[i].last_seq = last;
        }
    }
    for (uint32_t i = 0; i < region->retired_count; i++) {
        if (!in_list(list, plan->listed_count, region->retired[i].incarnation, &last)) {
            list[count++] = region->retired[i];
        }
    }
    region->retired = list;
    region->retired_count = count;
    return 0;
}

static int finish_rotation(struct td_edit *self, struct td_roster_region *region,
                           struct td_leaving_plan *plan)
{
    char what[WHAT_BYTES];
    uint16_t newest = td_roster_newest_key(region)->number;
    int code = ask_until(self, region, plan);

    if (code == 0) {
        code = merge_retired(self, region, plan);
    }
    if (code != 0) {
        return code;
    }
    td_leave_say_lost(self->cli, &self->file.roster, region, plan);
    region->retired_below = newest;
    snprintf(what, sizeof what,
             "keys of %s below %u are retired, %s of them count; next: tidings roster push",
             td_cli_shown(region->name), newest,
             td_cli_plural(region->retired_count, "incarnation", "incarnations"));
    return td_edit_save(self, what);
}

/* The plan is large. */
static int second_step(struct td_edit *self, struct td_roster_region *region,
                       int (*finish)(struct td_edit *, struct td_roster_region *,
                                     struct td_leaving_plan *))
{
    struct td_leaving_plan *plan = calloc(1, sizeof *plan);
    int code = plan == NULL ? td_cli_fail(self->cli, TD_ENOMEM, "%s", td_err_text(TD_ENOMEM))
                            : finish(self, region, plan);
    free(plan);
    return code;
}

/* ---- close ---- */

static int begin_closing(struct td_edit *self, struct td_roster_region *region, const char *verb)
{
    char what[WHAT_BYTES];
    uint32_t others = 0;

    for (uint32_t i = 0; i < self->file.roster.region_count; i++) {
        others += self->file.regions[i].state == TD_REGION_ACTIVE;
    }
    if (others < 2 && region->state == TD_REGION_ACTIVE) {
        return td_cli_refuse(
            self->cli, TD_EROSTER,
            "%s is the only active region: nobody would be left to take its updates; "
            "add another one first",
            td_cli_shown(region->name));
    }
    if (td_args_has(self->cli->args, TD_FLAG_WITHOUT)) {
        return td_cli_fail(self->cli, TD_EUSAGE, "--without is for the second step");
    }
    region->state = TD_REGION_CLOSING;
    snprintf(what, sizeof what,
             "%s is %s; next: tidings roster push, and tidings roster %s again when tidings roster "
             "status shows that all have spoken",
             td_cli_shown(region->name), td_leave_state(region), verb);
    return td_edit_save(self, what);
}

static int close_region(struct td_edit *self, const char *name)
{
    struct td_roster_region *region = region_named(self, name);

    if (region == NULL) {
        return no_such(self, "region", name);
    }
    switch (region->state) {
    case TD_REGION_ACTIVE:
        return begin_closing(self, region, "close");
    case TD_REGION_CLOSING:
        return second_step(self, region, finish_closing);
    case TD_REGION_CLOSED:
        break;
    }
    return td_cli_refuse(self->cli, TD_EROSTER, "%s is closed already", td_cli_shown(region->name));
}

static int with_file(struct td_cli *cli, int (*change)(struct td_edit *, const char *))
{
    struct td_edit self = {.cli = cli};
    int code = td_edit_open(&self);

    if (code == 0) {
        code = change(&self, cli->args->arguments[0]);
    }
    td_edit_close(&self);
    return code;
}

int td_cmd_roster_close(struct td_cli *cli)
{
    return with_file(cli, close_region);
}

/* ---- revoke ---- */

static int take_since(const struct td_edit *self, uint64_t *ret_ms)
{
    const char *text = td_args_text(self->cli->args, TD_FLAG_DOUBT_SINCE);
    uint64_t ago_ms = 0;
    uint64_t now_ms = td_cli_wall_ms();

    *ret_ms = 0;
    if (text == NULL) {
        return 0;
    }
    if (td_duration_parse(text, &ago_ms)) {
        *ret_ms = ago_ms < now_ms ? now_ms - ago_ms : 1;
        return 0;
    }
    if (!td_time_parse(td_text_of(text), ret_ms) || *ret_ms == 0) {
        return td_cli_fail(self->cli, TD_EUSAGE,
                           "--since `%s`: give a duration (2h) or a time (2026-03-02T14:00:00Z)",
                           td_cli_shown(td_text_of(text)));
    }
    return 0;
}

static int revoke_region(struct td_edit *self, struct td_roster_region *region)
{
    uint64_t since_ms = 0;
    int code = take_since(self, &since_ms);

    if (code != 0) {
        return code;
    }
    if (since_ms == 0 && region->doubtful_since_ms == 0) {
        return td_cli_fail(self->cli, TD_EUSAGE,
                           "--since WHEN is missing: from when on is what %s says to be doubted?",
                           td_cli_shown(region->name));
    }
    if (since_ms == 0 && region->state == TD_REGION_CLOSING) {
        return second_step(self, region, finish_closing);
    }
    if (since_ms == 0) {
        return td_cli_refuse(self->cli, TD_EROSTER, "%s is revoked and closed already",
                             td_cli_shown(region->name));
    }
    region->doubtful_since_ms = since_ms;
    return region->state == TD_REGION_CLOSED
               ? td_edit_save(self, "what it said since then is marked; next: tidings roster push")
               : begin_closing(self, region, "revoke");
}

static int revoke_client(struct td_edit *self, const char *name)
{
    struct td_roster *roster = &self->file.roster;
    char what[WHAT_BYTES];

    for (uint32_t i = 0; i < roster->client_count; i++) {
        if (td_text_equal(roster->clients[i].name, td_text_of(name))) {
            memmove(&self->file.clients[i], &self->file.clients[i + 1],
                    (roster->client_count - i - 1) * sizeof *roster->clients);
            roster->client_count--;
            snprintf(what, sizeof what, "client %s is out; next: tidings roster push", name);
            return td_edit_save(self, what);
        }
    }
    return no_such(self, "client", name);
}

static int revoke_named(struct td_edit *self, const char *name)
{
    struct td_roster_region *region = region_named(self, name);
    bool client = td_args_has(self->cli->args, TD_FLAG_CLIENT);

    if (client || region == NULL) {
        return td_args_has(self->cli->args, TD_FLAG_DOUBT_SINCE)
                   ? td_cli_fail(self->cli, TD_EUSAGE, "--since is for a region, and `%s` is none",
                                 td_cli_shown(td_text_of(name)))
                   : revoke_client(self, name);
    }
    return revoke_region(self, region);
}

int td_cmd_roster_revoke(struct td_cli *cli)
{
    return with_file(cli, revoke_named);
}

/* ---- rotate ---- */

static int check_rotation(const struct td_edit *self, const struct td_roster_region *region)
{
    const char *name = td_cli_shown(region->name);

    if (region->state != TD_REGION_ACTIVE) {
        return td_cli_refuse(self->cli, TD_EROSTER, "%s is on its way out: it gets no new key",
                             name);
    }
    if (td_leave_kind(region) == TD_LEAVE_ROTATING) {
        return td_cli_refuse(
            self->cli, TD_EROSTER,
            "the key before this one is not retired yet: tidings roster rotate %s, "
            "without --pubkey",
            name);
    }
    if (region->key_count == TD_KEYS_PER_REGION_MAX) {
        return td_cli_refuse(
            self->cli, TD_EROSTER,
            "%s has had %d keys, and a region has no more: add a new region, then close "
            "this one",
            name, TD_KEYS_PER_REGION_MAX);
    }
    return 0;
}

static int begin_rotation(struct td_edit *self, struct td_roster_region *region)
{
    struct td_identity identity;
    char what[WHAT_BYTES];
    int code = check_rotation(self, region);

    if (code == 0) {
        code = td_edit_pubkey(self, &identity);
    }
    if (code != 0) {
        return code;
    }
    uint16_t number = (uint16_t)(td_roster_newest_key(region)->number + 1);
    struct td_region_key *keys =
        td_arena_take(&self->file.arena, region->key_count + 1u, sizeof *keys);
    enum td_err err =
        keys == NULL ? TD_ENOMEM
                     : td_roster_file_card(&self->file, self->root, region->number, number,
                                           &identity, self->file.roster.version + 1, &region->card);
    if (err != TD_OK) {
        return td_cli_fail(self->cli, err, "%s", td_err_text(err));
    }
    memcpy(keys, region->keys, region->key_count * sizeof *keys);
    keys[region->key_count] = (struct td_region_key){number, identity.sign_key, identity.link_key};
    region->keys = keys;
    region->key_count++;
    snprintf(
        what, sizeof what,
        "key %u of %s; next: tidings roster push, put the new key file in place and restart the "
        "node, then tidings roster rotate %s",
        number, td_cli_shown(region->name), td_cli_shown(region->name));
    return td_edit_save(self, what);
}

static int rotate(struct td_edit *self, const char *name)
{
    struct td_roster_region *region = region_named(self, name);

    if (region == NULL) {
        return no_such(self, "region", name);
    }
    if (td_args_has(self->cli->args, TD_FLAG_PUBKEY)) {
        return begin_rotation(self, region);
    }
    if (td_leave_kind(region) != TD_LEAVE_ROTATING) {
        return td_cli_fail(self->cli, TD_EUSAGE,
                           "%s has no old key to retire; a new one comes with --pubkey tdpk1:...",
                           td_cli_shown(region->name));
    }
    return second_step(self, region, finish_rotation);
}

int td_cmd_roster_rotate(struct td_cli *cli)
{
    return with_file(cli, rotate);
}
