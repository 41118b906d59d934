/* leave.c -- a region leaves while things go wrong: somebody with the root key closes or revokes it
 * in two rosters, by the same question to a node (TD_OP_MEMBERS) and the same plan as the command
 * line. Rosters spread over links, as HELLO and ROSTER do. A generator of its own. I5 of what is
 * taken meanwhile. */
#include "cluster-tests/sim/story.h"

#include <stdlib.h>
#include <string.h>

#include "proto/leaving.h"

enum { ROSTERS = 3, LIVES_MAX = 4096, AGAIN_MS = 500, GIVE_UP_MS_MAX = 20000 };

struct sim_leave {
    struct sim_random random;
    uint64_t version; /* newest roster that was signed */
    struct td_roster rosters[ROSTERS];
    struct td_roster_region regions[ROSTERS][TD_REGIONS_MAX];
    struct td_closing listed[TD_CLOSED_LIST_MAX];
    struct td_region region;
    bool revoked, given_up[TD_REGION_NUMBER_MAX + 1];
    bool lossy;          /* its word did not count, or not all of it, or somebody was given up */
    uint64_t give_up_ms; /* who has not spoken by then is given up; 0 = everybody is waited for */
    struct td_leaving_plan plan;
    /* What any head under the second roster said of the region: no more may be taken. */
    struct td_closing said[LIVES_MAX];
    uint32_t said_count, said_fold;
};

const struct td_roster *sim_roster(const struct sim_world *world, int node)
{
    return world->leave == NULL ? &world->roster
                                : &world->leave->rosters[world->nodes[node].roster_version - 1];
}

bool sim_is_gone(const struct sim_world *world, int node)
{
    const struct sim_leave *leave = world->leave;
    return leave != NULL && leave->version == ROSTERS &&
           world->nodes[node].region.v == leave->region.v;
}

static struct sim_leave *leave_of(struct sim_world *world)
{
    if (world->leave == NULL) {
        world->leave = calloc(1, sizeof *world->leave);
        TD_ASSERT(world->leave != NULL);
        world->leave->random = sim_random_new(world->options.seed, 24);
        world->leave->version = 1;
        world->leave->rosters[0] = world->roster;
    }
    return world->leave;
}

void sim_leave_free(struct sim_world *world)
{
    free(world->leave);
}

/* The next version, signed: a copy of the one before in which one region is changed. */
static struct td_roster_region *next_roster(struct sim_world *world)
{
    struct sim_leave *leave = world->leave;
    uint64_t at = leave->version++;
    struct td_roster *roster = &leave->rosters[at];

    *roster = leave->rosters[at - 1];
    memcpy(leave->regions[at], roster->regions, roster->region_count * sizeof leave->regions[0][0]);
    roster->regions = leave->regions[at];
    roster->version = at + 1;
    return &leave->regions[at][leave->region.v - 1];
}

/* ---- how rosters spread ---- */
static void adopt(struct sim_world *world, int node, uint64_t version)
{
    struct sim_node *it = &world->nodes[node];

    if (!it->up || it->roster_version >= version) {
        return;
    }
    it->roster_version = version;
    sim_trace(world, "node %d: roster %llu", node + 1, (unsigned long long)version);
    if (world->story != NULL) {
        sim_story_line(world, node, "takes roster %llu", (unsigned long long)version);
    }
    for (int other = 0; other < SIM_NODES_MAX; other++) { /* before its links may end */
        const struct sim_link *link = sim_net_link(world, node, other);
        if (other != node && link->up[node < other ? 0 : 1]) {
            struct sim_event *event = sim_schedule(
                world, world->now_ms + world->path[node][other].delay_ms, SIM_AT_ROSTER, other);
            event->other = node;
            event->value = version;
        }
    }
    struct td_event roster = sim_node_event(world, node, TD_EV_ROSTER);
    roster.u.roster = sim_roster(world, node);
    sim_node_step(world, node, &roster);
}

/* A cut that heals in time, or a process that stands still, only makes it late: a stream. */
void sim_leave_arrive(struct sim_world *world, const struct sim_event *event)
{
    int node = event->node, from = event->other;
    const struct sim_link *link = sim_net_link(world, node, from);

    if (!world->path[from][node].cut && world->nodes[node].paused_until_ms <= world->now_ms) {
        adopt(world, node, event->value);
    } else if (link->up[node < from ? 0 : 1]) {
        struct sim_event *again = sim_schedule(world, world->now_ms + AGAIN_MS, SIM_AT_ROSTER, node);
        again->other = from;
        again->value = event->value;
    }
}

void sim_leave_meet(struct sim_world *world, int a, int b)
{
    if (world->leave != NULL) {
        adopt(world, a, world->nodes[b].roster_version);
        adopt(world, b, world->nodes[a].roster_version);
    }
}

bool sim_leave_bars(const struct sim_world *world, int a, int b)
{
    return world->leave != NULL && (!td_roster_region_links(td_roster_region(
                                        sim_roster(world, a), world->nodes[b].region)) ||
                                    !td_roster_region_links(td_roster_region(
                                        sim_roster(world, b), world->nodes[a].region)));
}

bool sim_leave_done(const struct sim_world *world, char *ret_why, size_t why_bytes)
{
    const struct sim_leave *leave = world->leave;

    if (leave == NULL || leave->version == 1) {
        return true;
    }
    if (leave->version != ROSTERS) {
        snprintf(ret_why, why_bytes,
                 "region %u does not get out: %u members have not spoken, %llu only it has",
                 leave->region.v, leave->plan.waiting, (unsigned long long)leave->plan.behind);
        return false;
    }
    for (int i = 0; i < world->node_count; i++) {
        if (!sim_is_gone(world, i) && world->nodes[i].roster_version != ROSTERS) {
            snprintf(ret_why, why_bytes, "node %d still has roster %llu", i + 1,
                     (unsigned long long)world->nodes[i].roster_version);
            return false;
        }
    }
    return true;
}

/* ---- the one with the root key ---- */

/* A node that is up and has the newest roster, the leaving one last; SIM_NONE. */
static int somebody(struct sim_world *world, uint64_t version)
{
    struct sim_leave *leave = world->leave;
    int start = (int)sim_random_below(&leave->random, (uint64_t)world->node_count);

    start = world->options.steady ? 0 : start;
    for (int i = 0; i < world->node_count; i++) {
        int node = (start + i) % world->node_count;
        if (sim_node_publishes(world, node) && !sim_is_bad(world, node) &&
            world->nodes[node].region.v != leave->region.v &&
            world->nodes[node].roster_version >= version) {
            return node;
        }
    }
    return SIM_NONE;
}

void sim_leave_start(struct sim_world *world)
{
    if ((world->options.faults >> SIM_FAULT_LEAVE & 1) == 0) {
        return;
    }
    struct sim_leave *leave = leave_of(world);
    leave->region.v = (uint8_t)(1 + sim_random_below(&leave->random, world->options.regions));
    leave->revoked = sim_random_chance(&leave->random, 40);
    uint64_t at_ms = sim_random_between(&leave->random, world->options.fault_ms / 8,
                                        world->options.fault_ms * 3 / 4);
    if (sim_random_chance(&leave->random, 40)) {
        leave->give_up_ms = at_ms + sim_random_between(&leave->random, 1000, GIVE_UP_MS_MAX);
    }
    if (leave->region.v != world->bad_region) {
        sim_schedule(world, at_ms, SIM_AT_LEAVE, SIM_NONE);
    }
}

void sim_leave_begin(struct sim_world *world, int node, bool revoked)
{
    struct sim_leave *leave = leave_of(world);

    leave->region = world->nodes[node].region;
    leave->revoked = revoked;
    sim_leave_act(world);
}

void sim_leave_without(struct sim_world *world, int node)
{
    leave_of(world)->given_up[world->nodes[node].region.v] = true;
}

static void first_step(struct sim_world *world, int node)
{
    struct sim_leave *leave = world->leave;
    struct td_roster_region *region = next_roster(world);

    region->state = TD_REGION_CLOSING;
    region->doubtful_since_ms = leave->revoked ? SIM_WALL_MS + world->now_ms : 0;
    world->counts.faults[SIM_FAULT_LEAVE]++;
    sim_trace(world, "region %u is %s", leave->region.v, leave->revoked ? "revoked" : "to leave");
    adopt(world, node, leave->version);
}

static bool is_listed(const struct sim_leave *leave, struct td_dot dot)
{
    for (uint32_t i = 0; i < leave->plan.listed_count; i++) {
        if (td_incarnation_compare(leave->listed[i].incarnation, dot.origin.incarnation) == 0) {
            return dot.seq <= leave->listed[i].last_seq;
        }
    }
    return false;
}

bool sim_leave_left_out(const struct sim_world *world, struct td_dot dot)
{
    const struct sim_leave *leave = world->leave;
    return leave != NULL && leave->version == ROSTERS && dot.origin.region.v == leave->region.v &&
           !is_listed(leave, dot);
}

/* A region that was not asked may not know yet that it is out, one that lost its disk not any more.
 */
bool sim_leave_too_late(const struct sim_world *world, struct td_region region)
{
    const struct sim_leave *leave = world->leave;
    return leave != NULL && leave->version == ROSTERS && region.v == leave->region.v &&
           (leave->lossy || world->region_ruined[region.v]);
}

/* Whoever leaves in order, and nobody was given up: nothing acknowledged is left out. Else what
 * nobody else holds is lost, and that was said before. */
static void judge_list(struct sim_world *world)
{
    struct sim_leave *leave = world->leave;

    /* Of two processes of the region only one is heard; a ruined disk loses things anyway. */
    leave->lossy = leave->lossy || world->region_cloned[leave->region.v] ||
                   world->region_ruined[leave->region.v];
    for (uint32_t i = 0; i < leave->plan.member_count; i++) {
        leave->lossy = leave->lossy || leave->plan.members[i].state != TD_LEAVING_SPOKE;
    }
    for (uint32_t i = 0; i < world->truth_count && !leave->lossy; i++) {
        const struct sim_truth *truth = &world->truths[i];
        if (truth->order.dot.origin.region.v == leave->region.v && truth->acked && !truth->doomed &&
            truth->order.dot.origin.incarnation.start >= leave->said_fold &&
            !is_listed(leave, truth->order.dot)) { /* folded: held by all, perhaps beaten since */
            sim_fail(world, "I1", "the list of region %u leaves out %u.%llu, which it acknowledged",
                     leave->region.v, truth->order.dot.origin.incarnation.start,
                     (unsigned long long)truth->order.dot.seq);
        }
    }
    if (leave->lossy) {
        sim_truth_doom(world, leave->region.v - 1);
        sim_record_forgive(world, leave->region.v - 1, leave->region);
    }
}

static void second_step(struct sim_world *world)
{
    struct sim_leave *leave = world->leave;
    struct td_roster_region *region = next_roster(world);

    memcpy(leave->listed, leave->plan.listed, sizeof leave->listed);
    region->state = TD_REGION_CLOSED;
    region->closed = leave->listed;
    region->closed_count = leave->plan.listed_count;
    sim_trace(world, "region %u is closed, %u incarnations count", leave->region.v,
              region->closed_count);
    if (world->story != NULL) {
        sim_story_line(world, SIM_NONE, "roster %u closes region %u: %llu reports of it count",
                       ROSTERS, leave->region.v, (unsigned long long)leave->plan.listed_updates);
    }
    judge_list(world);
}

void sim_leave_reply(struct sim_world *world, const struct td_response *response)
{
    struct sim_leave *leave = world->leave;
    struct td_leaving_ask ask = {.roster = &leave->rosters[leave->version - 1],
                                 .region = leave->region};

    if (leave->version != 2 || response->err != TD_OK) {
        return;
    }
    memcpy(ask.given_up, leave->given_up, sizeof ask.given_up);
    if (leave->give_up_ms != 0 && world->now_ms >= leave->give_up_ms) {
        memset(ask.given_up, 1, sizeof ask.given_up);
    }
    enum td_err err = td_leaving_plan(&ask, response, &leave->plan);
    if (err == TD_OK && td_leaving_ready(&leave->plan)) {
        leave->lossy = leave->revoked ||
                       ask.given_up[leave->region.v]; /* what only it has is not waited for */
        second_step(world);
    }
}

static void ask_members(struct sim_world *world, int node)
{
    struct td_request request = {.op = TD_OP_MEMBERS, .u.members.region = world->leave->region};
    struct td_event event = sim_node_event(world, node, TD_EV_REQUEST);

    event.u.request.client_link = SIM_LEAVE_LINK;
    event.u.request.request = &request;
    sim_node_step(world, node, &event);
}

/* Pushes once more when all who had the newest one lost their disks. */
void sim_leave_act(struct sim_world *world)
{
    struct sim_leave *leave = world->leave;
    char why[100];
    int node = somebody(world, leave->version);
    int anybody = node != SIM_NONE ? node : somebody(world, 0);

    if (leave->version == 1 && node != SIM_NONE) {
        first_step(world, node);
    } else if (node == SIM_NONE && anybody != SIM_NONE) {
        adopt(world, anybody, leave->version);
    } else if (leave->version == 2 && node != SIM_NONE) {
        ask_members(world, node);
        adopt(world, node, leave->version);
    }
    bool forgets = (world->options.faults & SIM_FAULTS_RUINOUS) != 0;
    if (leave->version != ROSTERS || forgets || !sim_leave_done(world, why, sizeof why)) {
        sim_schedule(world, world->now_ms + AGAIN_MS, SIM_AT_LEAVE, SIM_NONE);
    }
}

/* ---- I5 ---- */
void sim_leave_said(struct sim_world *world, int node, const struct td_head *head)
{
    struct sim_leave *leave = world->leave;

    if (leave == NULL || head->roster_version < 2 ||
        (leave->revoked && world->nodes[node].region.v == leave->region.v)) {
        return;
    }
    for (uint32_t i = 0; i < head->has.fold_count; i++) {
        if (head->has.folds[i].region.v == leave->region.v &&
            head->has.folds[i].start_below > leave->said_fold) {
            leave->said_fold = head->has.folds[i].start_below;
        }
    }
    for (uint32_t i = 0; i < head->has.entry_count; i++) {
        const struct td_vv_entry *entry = &head->has.entries[i];
        uint32_t at = 0;
        if (entry->origin.region.v != leave->region.v) {
            continue;
        }
        while (at < leave->said_count && td_incarnation_compare(leave->said[at].incarnation,
                                                                entry->origin.incarnation) != 0) {
            at++;
        }
        if (at == leave->said_count) {
            TD_ASSERT(at < LIVES_MAX);
            leave->said[leave->said_count++] =
                (struct td_closing){.incarnation = entry->origin.incarnation};
        }
        if (leave->said[at].last_seq < entry->seq) {
            leave->said[at].last_seq = entry->seq;
        }
    }
}

static bool was_said(const struct sim_leave *leave, struct td_dot dot)
{
    for (uint32_t i = 0; i < leave->said_count; i++) {
        if (td_incarnation_compare(leave->said[i].incarnation, dot.origin.incarnation) == 0 &&
            dot.seq <= leave->said[i].last_seq) {
            return true;
        }
    }
    return dot.origin.incarnation.start < leave->said_fold;
}

/* DESIGN 4: of a leaving region nothing is taken that no head under this roster names, and of a
 * closed one nothing that its list leaves out. A restart shows again what was taken before. */
void sim_check_i5_leaving(struct sim_world *world, int index, struct td_dot dot)
{
    const struct sim_leave *leave = world->leave;
    const struct sim_node *node = &world->nodes[index];

    if (leave == NULL || leave->version == 1 || dot.origin.region.v != leave->region.v ||
        node->region.v == leave->region.v || node->roster_version < 2 || node->booting) {
        return;
    }
    bool closed = node->roster_version == ROSTERS;
    if (closed ? !is_listed(leave, dot) : !was_said(leave, dot)) {
        sim_fail(world, "I5", "node %d takes %u.%u.%llu under roster %llu, and %s", index + 1,
                 dot.origin.region.v, dot.origin.incarnation.start, (unsigned long long)dot.seq,
                 (unsigned long long)node->roster_version,
                 closed ? "the list leaves it out" : "no head under it names it");
    }
}
