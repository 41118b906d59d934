/* roster_leave.c -- see roster_leave.h. */
#include "node/cli/roster_leave.h"

#include <string.h>

#include "node/client/json.h"
#include "proto/text.h"

enum td_leave_kind td_leave_kind(const struct td_roster_region *region)
{
    const struct td_region_key *newest = td_roster_newest_key(region);

    if (region->state == TD_REGION_CLOSING) {
        return region->doubtful_since_ms != 0 ? TD_LEAVE_REVOKING : TD_LEAVE_CLOSING;
    }
    return region->state == TD_REGION_ACTIVE && region->key_count > 1 &&
                   region->retired_below < newest->number
               ? TD_LEAVE_ROTATING
               : TD_LEAVE_NOT;
}

const char *td_leave_state(const struct td_roster_region *region)
{
    static const char *const words[] = {"active", "leaving", "being revoked", "changing its key"};
    return words[td_leave_kind(region)];
}

const char *td_leave_verb(const struct td_roster_region *region)
{
    static const char *const words[] = {"show", "close", "revoke", "rotate"};
    return words[td_leave_kind(region)];
}

const char *td_leave_word(enum td_leaving_state state)
{
    switch (state) {
    case TD_LEAVING_SPOKE:
        return "yes";
    case TD_LEAVING_WAITED_FOR:
        return "not yet";
    case TD_LEAVING_GIVEN_UP:
        return "given up";
    case TD_LEAVING_NOT_ASKED:
        return "not asked";
    }
    return "?";
}

struct td_leaving_ask td_leave_question(const struct td_roster *roster,
                                        const struct td_roster_region *region)
{
    struct td_leaving_ask ask = {.roster = roster, .region = region->number};

    if (td_leave_kind(region) == TD_LEAVE_ROTATING) {
        ask.keys_below = td_roster_newest_key(region)->number;
    }
    return ask;
}

int td_leave_without(const struct td_cli *cli, struct td_leaving_ask *ask)
{
    unsigned position = 0;

    for (const char *name; (name = td_args_next(cli->args, TD_FLAG_WITHOUT, &position)) != NULL;) {
        const struct td_roster_region *region =
            td_roster_region_named(ask->roster, td_text_of(name));
        if (region == NULL || region->state == TD_REGION_CLOSED) {
            return td_cli_fail(cli, TD_EUSAGE, "--without `%s`: no member is called so",
                               td_cli_shown(td_text_of(name)));
        }
        ask->given_up[region->number.v] = true;
    }
    return 0;
}

static int check_version(const struct td_cli *cli, const struct td_leaving_ask *ask,
                         const struct td_response *response)
{
    unsigned long long node = (unsigned long long)response->u.members.roster_version;
    unsigned long long file = (unsigned long long)ask->roster->version;

    if (node < file) {
        return td_cli_refuse(
            cli, TD_EROSTER,
            "%s has roster %llu, and this is roster %llu: tidings roster push it first",
            td_cli_shown(response->node_name), node, file);
    }
    if (node > file) {
        return td_cli_refuse(
            cli, TD_EROSTEROLD,
            "%s has roster %llu already, and this is roster %llu: take the newest file",
            td_cli_shown(response->node_name), node, file);
    }
    return 0;
}

int td_leave_ask(struct td_cli *cli, const struct td_leaving_ask *ask,
                 struct td_leaving_plan *ret_plan)
{
    struct td_request request = {.op = TD_OP_MEMBERS, .u.members.region = ask->region};
    struct td_call_options options = {.no_token = true};
    struct td_call_result result;

    int code = td_cli_call(cli, &request, &options, &result);
    if (code == 0) {
        code = check_version(cli, ask, &result.response);
    }
    if (code == 0 && td_leaving_plan(ask, &result.response, ret_plan) != TD_OK) {
        code = td_cli_refuse(
            cli, TD_ETOOBIG,
            "the list has more than %d incarnations: wait until the jobs of the older "
            "ones have expired",
            TD_INCARNATIONS_PER_REGION_MAX);
    }
    td_call_release(&result);
    return code;
}

void td_leave_waited_for(const struct td_roster *roster, const struct td_leaving_plan *plan,
                         char *ret_text, size_t text_bytes)
{
    size_t used = 0;

    ret_text[0] = '\0';
    for (uint32_t i = 0; i < plan->member_count && used + 1 < text_bytes; i++) {
        const struct td_leaving_member *member = &plan->members[i];
        if (member->state == TD_LEAVING_WAITED_FOR) {
            used +=
                (size_t)snprintf(ret_text + used, text_bytes - used, "%s%s", used > 0 ? ", " : "",
                                 td_cli_shown(td_roster_region(roster, member->region)->name));
        }
    }
}

static json_t *member_json(const struct td_roster *roster, const struct td_leaving_member *member)
{
    static const char *const words[] = {[TD_LEAVING_SPOKE] = "yes",
                                        [TD_LEAVING_WAITED_FOR] = "not_yet",
                                        [TD_LEAVING_GIVEN_UP] = "given_up",
                                        [TD_LEAVING_NOT_ASKED] = "not_asked"};
    struct td_text name = td_roster_region(roster, member->region)->name;

    return json_pack("{s:s%, s:s, s:o, s:o}", "region", name.bytes, (size_t)name.count, "said_so",
                     words[member->state], "roster_version",
                     member->heard ? json_integer((json_int_t)member->roster_version) : json_null(),
                     "age_seconds",
                     member->heard ? json_real((double)member->heard_age_ms / 1000) : json_null());
}

json_t *td_leave_json(const struct td_roster *roster, const struct td_roster_region *region,
                      const struct td_leaving_plan *plan)
{
    static const char *const kinds[] = {"none", "closing", "revoking", "rotating"};
    json_t *members = json_array();
    json_t *waiting = json_array();

    for (uint32_t i = 0; i < plan->member_count; i++) {
        struct td_text name = td_roster_region(roster, plan->members[i].region)->name;
        json_array_append_new(members, member_json(roster, &plan->members[i]));
        if (plan->members[i].state == TD_LEAVING_WAITED_FOR) {
            json_array_append_new(waiting, json_stringn(name.bytes, name.count));
        }
    }
    return json_pack("{s:s%, s:s, s:b, s:o, s:o, s:I, s:I, s:I, s:I}", "region", region->name.bytes,
                     (size_t)region->name.count, "kind", kinds[td_leave_kind(region)], "ready",
                     (int)td_leaving_ready(plan), "waiting_for", waiting, "members", members,
                     "incarnations", (json_int_t)plan->listed_count, "updates",
                     (json_int_t)plan->listed_updates, "only_there_updates",
                     (json_int_t)plan->behind, "lost_updates", (json_int_t)plan->lost);
}

void td_leave_say_lost(const struct td_cli *cli, const struct td_roster *roster,
                       const struct td_roster_region *region, const struct td_leaving_plan *plan)
{
    if (plan->lost > 0) {
        td_cli_note(cli, "lost: %s that %s signed are held by no member that was heard",
                    td_cli_plural(plan->lost, "update", "updates"), td_cli_shown(region->name));
    }
    for (uint32_t i = 0; i < plan->member_count; i++) {
        const struct td_leaving_member *member = &plan->members[i];
        const char *name = td_cli_shown(td_roster_region(roster, member->region)->name);
        if (member->state != TD_LEAVING_GIVEN_UP) {
            continue;
        }
        if (!member->heard) {
            td_cli_note(cli, "may be lost: whatever only %s has; it was not heard", name);
        } else {
            td_cli_note(cli, "may be lost: whatever only %s has; %s ago it had %s more", name,
                        td_cli_duration(member->heard_age_ms),
                        td_cli_plural(member->alone, "update", "updates"));
        }
    }
}
