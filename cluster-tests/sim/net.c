/* net.c -- paths and links. A link is a reliable stream: nothing inside it is lost or reordered;
 * what a bad path does is delay, stall, narrow, and end links that one side believes in longer. */
#include "cluster-tests/sim/secure.h"

#include <stdlib.h>

#include "node/core/plant.h"
#include <string.h>

enum { REDIAL_MS_MIN = 50, REDIAL_MS_MAX = 800, REDIAL_MS_STEADY = 250 };

struct sim_link *sim_net_link(struct sim_world *world, int a, int b)
{
    return a < b ? &world->link[a][b] : &world->link[b][a];
}

uint32_t sim_net_link_id(struct sim_world *world, int node, int other)
{
    return sim_net_link(world, node, other)->id[node < other ? 0 : 1];
}

int sim_net_peer(struct sim_world *world, int node, uint32_t id)
{
    for (int other = 0; other < SIM_NODES_MAX; other++) {
        const struct sim_link *link = sim_net_link(world, node, other);
        int side = node < other ? 0 : 1;
        if (other != node && link->up[side] && link->id[side] == id) {
            return other;
        }
    }
    return SIM_NONE;
}

uint64_t sim_net_delay_max(const struct sim_world *world)
{
    return world->options.delay_ms_max + world->options.jitter_ms;
}

static void forget_held(struct sim_path *path)
{
    while (path->held != NULL) {
        struct sim_frame *next = path->held->next;
        free(path->held);
        path->held = next;
    }
    path->held_last = &path->held;
}

static uint64_t travel_ms(struct sim_world *world, const struct sim_path *path, size_t bytes)
{
    uint64_t ms = path->delay_ms + path->slow_ms;

    ms += sim_random_below(&world->r_net, world->options.jitter_ms + 1);
    if (world->reorder_ms != 0) {
        ms += sim_random_below(&world->r_net, world->reorder_ms);
    }
    return path->bytes_per_ms != 0 ? ms + bytes / path->bytes_per_ms : ms;
}

/* ---- frames ---- */
static void schedule_frame(struct sim_world *world, int from, int to, struct sim_frame *frame)
{
    struct sim_path *path = &world->path[from][to];
    uint64_t due_ms = world->now_ms + travel_ms(world, path, frame->count);

    path->last_ms = due_ms > path->last_ms ? due_ms : path->last_ms;
    struct sim_event *deliver = sim_schedule(world, path->last_ms, SIM_AT_DELIVER, to);
    deliver->other = from;
    deliver->generation = sim_net_link(world, from, to)->generation;
    deliver->frame = frame;
}

void sim_net_put(struct sim_world *world, int from, int to, struct sim_frame *frame)
{
    if (world->secure != NULL) {
        frame = sim_secure_seal(world, from, to, frame);
    }
    if (frame != NULL) {
        schedule_frame(world, from, to, frame);
    }
}

static void arrive(struct sim_world *world, int node, int other, struct sim_frame *frame)
{
    if (world->secure != NULL) {
        sim_secure_arrive(world, node, other, frame);
    } else {
        sim_wire_receive(world, node, other, frame);
    }
}

/* What a cut held arrives in order, and before what was under way when it healed: a stream. */
static void release_held(struct sim_world *world, int from, int to)
{
    struct sim_path *path = &world->path[from][to];

    while (path->held != NULL && !path->cut) {
        struct sim_frame *frame = path->held;
        path->held = frame->next;
        if (path->held == NULL) {
            path->held_last = &path->held;
        }
        arrive(world, to, from, frame);
    }
}

void sim_net_deliver(struct sim_world *world, const struct sim_event *event)
{
    struct sim_link *link = sim_net_link(world, event->node, event->other);
    struct sim_path *path = &world->path[event->other][event->node];

    int side = event->node < event->other ? 0 : 1;

    /* What comes behind a frame that was refused would look as if nothing were missing. */
    bool deaf = link->deaf[side] && !TD_PLANTED(deliver_after_refusal);
    if (link->generation != event->generation || !link->up[side] || deaf ||
        !world->nodes[event->node].up) {
        free(event->frame);
        return;
    }
    if (event->frame == NULL) {
        release_held(world, event->other, event->node);
        return;
    }
    if (path->cut || path->held != NULL) {
        event->frame->next = NULL;
        *path->held_last = event->frame;
        path->held_last = &event->frame->next;
        return;
    }
    arrive(world, event->node, event->other, event->frame);
}

void sim_net_cut(struct sim_world *world, int from, int to, bool cut)
{
    struct sim_path *path = &world->path[from][to];

    path->cut = cut;
    if (!cut && path->held != NULL) { /* TCP sends again what was not acknowledged */
        struct sim_event *release = sim_schedule(
            world, world->now_ms + travel_ms(world, path, path->held->count), SIM_AT_DELIVER, to);
        release->other = from;
        release->generation = sim_net_link(world, from, to)->generation;
    }
}

/* ---- links ---- */
static void redial(struct sim_world *world, int a, int b)
{
    struct sim_link *link = sim_net_link(world, a, b);

    if (!link->dialling) {
        uint64_t ms = sim_random_between(&world->r_net, REDIAL_MS_MIN, REDIAL_MS_MAX);
        ms = world->options.steady ? REDIAL_MS_STEADY : ms;
        link->dialling = true;
        sim_schedule(world, world->now_ms + ms, SIM_AT_DIAL, a < b ? a : b)->other = a < b ? b : a;
    }
}

static void side_down(struct sim_world *world, int node, int other)
{
    struct sim_link *link = sim_net_link(world, node, other);
    int side = node < other ? 0 : 1;

    if (!link->up[side]) {
        return;
    }
    link->up[side] = false;
    forget_held(&world->path[other][node]);
    if (world->nodes[node].up) {
        struct td_event event = sim_node_event(world, node, TD_EV_LINK_DOWN);
        event.u.link_down.link.v = link->id[side];
        sim_trace(world, "node %d: link to %d ends", node + 1, other + 1);
        sim_node_step(world, node, &event);
    }
    redial(world, node, other);
}

static void side_up(struct sim_world *world, int node, int other)
{
    struct sim_link *link = sim_net_link(world, node, other);
    int side = node < other ? 0 : 1;
    struct td_event event = sim_node_event(world, node, TD_EV_LINK_UP);

    event.u.link_up.link.v = link->id[side];
    event.u.link_up.region = world->nodes[other].region;
    event.u.link_up.process = td_core_process(world->nodes[other].core);
    event.u.link_up.proto = 1;
    sim_node_step(world, node, &event);
    struct sim_event *beat = sim_schedule(world,
                                          world->now_ms + world->path[node][other].delay_ms +
                                              world->path[other][node].delay_ms,
                                          SIM_AT_BEAT, node);
    beat->other = other;
    beat->generation = link->generation;
}

static bool can_talk(const struct sim_world *world, int node)
{
    const struct sim_node *it = &world->nodes[node];
    return it->up && it->paused_until_ms <= world->now_ms && td_core_process(it->core).start != 0;
}

void sim_net_dial(struct sim_world *world, int a, int b)
{
    struct sim_link *link = sim_net_link(world, a, b);

    link->dialling = false;
    if (!world->nodes[a].used || !world->nodes[b].used || (link->up[0] && link->up[1]) ||
        world->nodes[a].region.v == world->nodes[b].region.v) {
        return;
    }
    if (!can_talk(world, a) || !can_talk(world, b) || world->path[a][b].cut ||
        world->path[b][a].cut || world->now_ms < link->ghost_until_ms) {
        redial(world, a, b);
        return;
    }
    sim_leave_meet(world, a, b);
    if (sim_leave_bars(world, a, b)) {
        redial(world, a, b);
        return;
    }
    side_down(world, a, b); /* half-open: the newer connection takes its place */
    side_down(world, b, a);
    link->dialling = false;
    forget_held(&world->path[a][b]);
    forget_held(&world->path[b][a]);
    link->generation++;
    link->up[0] = link->up[1] = true;
    link->deaf[0] = link->deaf[1] = false;
    link->id[0] = ++world->next_link;
    link->id[1] = ++world->next_link;
    link->answered_ms[0] = link->answered_ms[1] = world->now_ms;
    if (world->secure != NULL) {
        sim_secure_connect(world, a, b);
    }
    sim_trace(world, "link %d-%d is up", a + 1, b + 1);
    side_up(world, a, b);
    side_up(world, b, a);
}

static void schedule_reset(struct sim_world *world, int node, int other, uint64_t time_ms)
{
    struct sim_event *reset = sim_schedule(world, time_ms, SIM_AT_RESET, node);
    reset->other = other;
    reset->generation = sim_net_link(world, node, other)->generation;
}

void sim_net_reset(struct sim_world *world, const struct sim_event *event)
{
    if (sim_net_link(world, event->node, event->other)->generation == event->generation) {
        side_down(world, event->node, event->other);
    }
}

void sim_net_close(struct sim_world *world, int node, int other, bool told)
{
    sim_net_link(world, node, other)->deaf[node < other ? 0 : 1] = true;
    schedule_reset(world, node, other, world->now_ms);
    if (told && !world->path[node][other].cut) {
        struct sim_path *path = &world->path[node][other];
        uint64_t due_ms = world->now_ms + path->delay_ms;
        schedule_reset(world, other, node, due_ms > path->last_ms ? due_ms : path->last_ms);
    }
}

void sim_net_gone(struct sim_world *world, int node, bool told)
{
    for (int other = 0; other < SIM_NODES_MAX; other++) {
        struct sim_link *link = sim_net_link(world, node, other);
        if (other == node || !link->up[node < other ? 0 : 1]) {
            continue;
        }
        link->up[node < other ? 0 : 1] = false;
        forget_held(&world->path[other][node]);
        if (told && !world->path[node][other].cut) {
            schedule_reset(world, other, node, world->now_ms + world->path[node][other].delay_ms);
        }
        redial(world, node, other);
    }
}

/* ---- heartbeats ---- */
void sim_net_beat(struct sim_world *world, const struct sim_event *event)
{
    int node = event->node, other = event->other;
    int side = node < other ? 0 : 1;
    struct sim_link *link = sim_net_link(world, node, other);
    const struct sim_path *out = &world->path[node][other], *in = &world->path[other][node];

    if (link->generation != event->generation || !link->up[side] || !world->nodes[node].up) {
        return;
    }
    bool through = !out->cut && !in->cut && world->now_ms >= link->ghost_until_ms;
    bool there = link->up[1 - side] && world->nodes[other].up &&
                 world->nodes[other].paused_until_ms <= world->now_ms;
    if (through && world->nodes[other].up && !link->up[1 - side]) {
        side_down(world, node, other); /* the other machine does not know this connection */
        return;
    }
    if (through && there) {
        link->answered_ms[side] = world->now_ms;
    } else if (world->now_ms - link->answered_ms[side] > SIM_DEAD_MS) {
        side_down(world, node, other);
        if (!out->cut) {
            schedule_reset(world, other, node, world->now_ms + out->delay_ms);
        }
        return;
    }
    struct td_event rtt = sim_node_event(world, node, TD_EV_LINK_RTT);
    rtt.u.link_rtt.link.v = link->id[side];
    rtt.u.link_rtt.answered = through && there;
    rtt.u.link_rtt.rtt_us = 1000 * (out->delay_ms + out->slow_ms + in->delay_ms + in->slow_ms);
    sim_node_step(world, node, &rtt);
    struct sim_event *again =
        sim_schedule(world, world->now_ms + SIM_HEARTBEAT_MS, SIM_AT_BEAT, node);
    again->other = other;
    again->generation = link->generation;
}

void sim_net_start(struct sim_world *world, int node)
{
    for (int other = 0; other < SIM_NODES_MAX; other++) {
        if (other != node && world->nodes[other].used) {
            redial(world, node, other);
        }
    }
}
