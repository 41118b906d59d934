/* leaving.c -- see leaving.h. */
#include "proto/leaving.h"

#include <string.h>

#include "proto/order.h"

static const struct td_member_view *view_of(const struct td_response *members,
                                            struct td_region region)
{
    for (uint32_t i = 0; i < members->u.members.count; i++) {
        if (members->u.members.members[i].region.v == region.v) {
            return &members->u.members.members[i];
        }
    }
    return NULL;
}

/* A region that leaves in order tells itself what it has; a revoked one is not believed. */
static void take_member(const struct td_leaving_ask *ask, const struct td_response *members,
                        const struct td_roster_region *entry, struct td_leaving_plan *plan)
{
    const struct td_member_view *view = view_of(members, entry->number);
    struct td_leaving_member *member = &plan->members[plan->member_count++];

    *member = (struct td_leaving_member){.region = entry->number};
    if (view != NULL) {
        member->heard = view->heard;
        member->heard_age_ms = view->heard_age_ms;
        member->roster_version = view->roster_version;
    }
    if (!td_roster_region_links(entry)) {
        member->state = TD_LEAVING_NOT_ASKED;
    } else if (member->heard && member->roster_version >= ask->roster->version) {
        member->state = TD_LEAVING_SPOKE; /* also one that was to be given up: less is lost so */
    } else if (ask->given_up[entry->number.v]) {
        member->state = TD_LEAVING_GIVEN_UP;
    } else {
        member->state = TD_LEAVING_WAITED_FOR;
        plan->waiting++;
    }
}

/* ---- the list ---- */

static const struct td_life_view *life_of(const struct td_response *members,
                                          struct td_incarnation incarnation)
{
    for (uint32_t i = 0; i < members->u.members.life_count; i++) {
        if (td_incarnation_compare(members->u.members.lives[i].incarnation, incarnation) == 0) {
            return &members->u.members.lives[i];
        }
    }
    return NULL;
}

/* What one member says it has of this incarnation. */
static uint64_t said(const struct td_member_view *view, const struct td_life_view *life,
                     struct td_incarnation incarnation)
{
    if (life != NULL && incarnation.start < view->fold_below) {
        return life->held;
    }
    for (uint32_t i = 0; i < view->count; i++) {
        if (td_incarnation_compare(view->entries[i].origin.incarnation, incarnation) == 0) {
            return view->entries[i].seq;
        }
    }
    return 0;
}

/* A region that is closed has no word in its own list: what only it has must be taken from it
 * first. */
static bool leaves(const struct td_leaving_ask *ask, struct td_region region)
{
    return ask->keys_below == 0 && region.v == ask->region.v;
}

/* The most that any member says that has spoken. Whoever names more than the node asked has may
 * lie: who was given up is believed only so far. */
static uint64_t most_said(const struct td_leaving_ask *ask, const struct td_leaving_plan *plan,
                          const struct td_response *members, struct td_incarnation incarnation)
{
    const struct td_life_view *life = life_of(members, incarnation);
    uint64_t held = life == NULL ? 0 : life->held;
    uint64_t most = 0;

    for (uint32_t i = 0; i < plan->member_count; i++) {
        const struct td_member_view *view = view_of(members, plan->members[i].region);
        if (view == NULL || plan->members[i].state != TD_LEAVING_SPOKE ||
            leaves(ask, view->region)) {
            continue;
        }
        uint64_t here =
            life != NULL && life->folded && view->self ? held : said(view, life, incarnation);
        here = here > held && ask->given_up[view->region.v] ? held : here;
        most = here > most ? here : most;
    }
    return most;
}

/* False = no room. */
static bool list_add(struct td_leaving_plan *plan, struct td_incarnation incarnation)
{
    uint32_t at = plan->listed_count;

    while (at > 0 && td_incarnation_compare(plan->listed[at - 1].incarnation, incarnation) > 0) {
        at--;
    }
    if (at > 0 && td_incarnation_compare(plan->listed[at - 1].incarnation, incarnation) == 0) {
        return true;
    }
    if (plan->listed_count == TD_CLOSED_LIST_MAX) {
        return false;
    }
    memmove(&plan->listed[at + 1], &plan->listed[at],
            (plan->listed_count - at) * sizeof plan->listed[0]);
    plan->listed[at] = (struct td_closing){.incarnation = incarnation};
    plan->listed_count++;
    return true;
}

/* Every incarnation that anybody names. */
static bool collect(const struct td_response *members, struct td_leaving_plan *plan)
{
    bool room = true;

    for (uint32_t i = 0; room && i < members->u.members.life_count; i++) {
        room = list_add(plan, members->u.members.lives[i].incarnation);
    }
    for (uint32_t m = 0; room && m < members->u.members.count; m++) {
        const struct td_member_view *view = &members->u.members.members[m];
        for (uint32_t i = 0; room && i < view->count; i++) {
            room = list_add(plan, view->entries[i].origin.incarnation);
        }
    }
    return room;
}

static void count_alone(struct td_leaving_plan *plan, const struct td_response *members,
                        const struct td_closing *listed)
{
    const struct td_life_view *life = life_of(members, listed->incarnation);

    for (uint32_t i = 0; i < plan->member_count; i++) {
        struct td_leaving_member *member = &plan->members[i];
        const struct td_member_view *view = view_of(members, member->region);
        if (view == NULL || member->state == TD_LEAVING_SPOKE) {
            continue;
        }
        uint64_t has = said(view, life, listed->incarnation);
        member->alone += has > listed->last_seq ? has - listed->last_seq : 0;
    }
}

static void count_behind(const struct td_leaving_ask *ask, struct td_leaving_plan *plan,
                         const struct td_response *members, const struct td_closing *listed)
{
    const struct td_life_view *life = life_of(members, listed->incarnation);

    for (uint32_t i = 0; i < plan->member_count; i++) {
        const struct td_leaving_member *member = &plan->members[i];
        const struct td_member_view *view = view_of(members, member->region);
        if (view == NULL || member->state != TD_LEAVING_SPOKE || !leaves(ask, member->region) ||
            ask->given_up[member->region.v]) {
            continue;
        }
        uint64_t has = said(view, life, listed->incarnation);
        plan->behind += has > listed->last_seq ? has - listed->last_seq : 0;
    }
}

bool td_leaving_ready(const struct td_leaving_plan *plan)
{
    return plan->waiting == 0 && plan->unknown == 0 && plan->behind == 0;
}

/* Keeps what counts at all, and what the question is about. */
static void weigh(const struct td_leaving_ask *ask, const struct td_response *members,
                  struct td_leaving_plan *plan)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < plan->listed_count; i++) {
        struct td_closing listed = plan->listed[i];
        const struct td_life_view *life = life_of(members, listed.incarnation);
        listed.last_seq = most_said(ask, plan, members, listed.incarnation);
        bool keyless = ask->keys_below != 0 && (life == NULL || life->key_number == 0);
        plan->unknown += listed.last_seq > (life == NULL || keyless ? 0 : life->held);
        if (ask->keys_below != 0 &&
            (life == NULL || life->key_number == 0 || life->key_number >= ask->keys_below)) {
            continue;
        }
        plan->lost += life != NULL && life->signed_max > listed.last_seq
                          ? life->signed_max - listed.last_seq
                          : 0;
        count_alone(plan, members, &listed);
        count_behind(ask, plan, members, &listed);
        if (listed.last_seq > 0) {
            plan->listed_updates += listed.last_seq;
            plan->listed[kept++] = listed;
        }
    }
    plan->listed_count = kept;
}

enum td_err td_leaving_plan(const struct td_leaving_ask *ask, const struct td_response *members,
                            struct td_leaving_plan *ret_plan)
{
    struct td_leaving_plan *plan = ret_plan;

    memset(plan, 0, sizeof *plan);
    for (uint32_t i = 0; i < ask->roster->region_count; i++) {
        const struct td_roster_region *entry = &ask->roster->regions[i];
        if (entry->state != TD_REGION_CLOSED && plan->member_count < TD_REGIONS_MAX) {
            take_member(ask, members, entry, plan);
        }
    }
    if (!collect(members, plan)) {
        return TD_ETOOBIG;
    }
    weigh(ask, members, plan);
    return plan->listed_count > TD_INCARNATIONS_PER_REGION_MAX ? TD_ETOOBIG : TD_OK;
}
