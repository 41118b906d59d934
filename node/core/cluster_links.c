/* cluster_links.c -- links: delay, cuts that both sides notice, paths that swallow silently. */
#include "node/core/cluster_world.h"

/* The other end of a link; TD_NONE when it is gone. */
unsigned world_peer(struct cluster *cluster, unsigned node, uint32_t link)
{
    for (unsigned other = 0; other < cluster->options.nodes; other++) {
        if (other != node) {
            const struct pair *pair = world_pair(cluster, node, other);
            if (pair->up && pair->link[node < other ? 0 : 1] == link) {
                return other;
            }
        }
    }
    return TD_NONE;
}

/* ---- links ---- */
static void link_event(struct cluster *cluster, unsigned node, unsigned other, bool up)
{
    struct pair *pair = world_pair(cluster, node, other);
    struct td_event event = world_event(cluster, node, up ? TD_EV_LINK_UP : TD_EV_LINK_DOWN);

    if (cluster->nodes[node].core == NULL) {
        return;
    }
    if (up) {
        event.u.link_up.link.v = pair->link[node < other ? 0 : 1];
        event.u.link_up.region.v = (uint8_t)(other + 1);
        event.u.link_up.process = td_core_process(cluster->nodes[other].core);
        event.u.link_up.proto = 1;
    } else {
        event.u.link_down.link.v = pair->link[node < other ? 0 : 1];
    }
    world_step(cluster, node, &event);
}

void world_disconnect(struct cluster *cluster, unsigned a, unsigned b)
{
    struct pair *pair = world_pair(cluster, a, b);

    if (!pair->up) {
        return;
    }
    pair->up = false;
    pair->generation += 1;
    link_event(cluster, a, b, false);
    link_event(cluster, b, a, false);
    struct happening *again =
        world_schedule(cluster, cluster->now_ms + pair->delay_ms + 20, AT_CONNECT, a);
    again->other = b;
}

void world_connect(struct cluster *cluster, unsigned a, unsigned b)
{
    struct pair *pair = world_pair(cluster, a, b);

    if (pair->up || !pair->wanted || pair->stalled || cluster->nodes[a].core == NULL ||
        cluster->nodes[b].core == NULL) {
        return;
    }
    if (td_core_process(cluster->nodes[a].core).start == 0 ||
        td_core_process(cluster->nodes[b].core).start == 0) {
        world_schedule(cluster, cluster->now_ms + 5, AT_CONNECT, a)->other = b;
        return;
    }
    pair->up = true;
    pair->generation += 1;
    pair->link[0] = ++cluster->next_link;
    pair->link[1] = ++cluster->next_link;
    pair->last_ms[0] = pair->last_ms[1] = cluster->now_ms;
    pair->held_until_ms[0] = pair->held_until_ms[1] = 0;
    uint32_t generation = pair->generation;
    link_event(cluster, a, b, true);
    if (pair->up && pair->generation == generation) {
        link_event(cluster, b, a, true);
        struct happening *beat =
            world_schedule(cluster, cluster->now_ms + 2 * pair->delay_ms, AT_HEARTBEAT, a);
        beat->other = b;
        beat->generation = generation;
    }
}

void world_heartbeat(struct cluster *cluster, const struct happening *what)
{
    struct pair *pair = world_pair(cluster, what->node, what->other);

    if (!pair->up || pair->generation != what->generation) {
        return;
    }
    for (unsigned side = 0; side < 2 && pair->up; side++) {
        unsigned node = side == 0 ? what->node : what->other;
        unsigned other = side == 0 ? what->other : what->node;
        struct td_event event = world_event(cluster, node, TD_EV_LINK_RTT);
        event.u.link_rtt.link.v = pair->link[node < other ? 0 : 1];
        event.u.link_rtt.answered = !pair->stalled;
        event.u.link_rtt.rtt_us = 2000 * pair->delay_ms;
        world_step(cluster, node, &event);
    }
    struct happening *beat =
        world_schedule(cluster, cluster->now_ms + HEARTBEAT_MS, AT_HEARTBEAT, what->node);
    beat->other = what->other;
    beat->generation = what->generation;
}

static void keep_head(struct cluster *cluster, struct node *node, const struct td_head *head)
{
    struct td_head **held = &node->heads[head->origin.region.v];
    int order = *held == NULL
                    ? 1
                    : td_incarnation_compare(head->origin.incarnation, (*held)->origin.incarnation);
    if (order > 0 || (order == 0 && head->number > (*held)->number)) {
        *held = copy_head(&cluster->pool, head);
    }
}

void world_deliver(struct cluster *cluster, struct happening *what)
{
    struct pair *pair = world_pair(cluster, what->node, what->other);
    struct node *node = &cluster->nodes[what->node];
    struct packet *packet = what->packet;
    struct td_received_batch received[256];

    if (!pair->up || pair->generation != what->generation || node->core == NULL) {
        world_packet_free(packet);
        return;
    }
    uint64_t *held_until_ms = &pair->held_until_ms[what->other < what->node ? 0 : 1];
    if (pair->stalled) { /* kept by the path, in order */
        *held_until_ms = (cluster->now_ms / STALL_STEP_MS + 1) * STALL_STEP_MS;
    }
    if (cluster->now_ms < *held_until_ms) {
        struct happening *later = world_schedule(cluster, *held_until_ms, AT_DELIVER, what->node);
        later->other = what->other;
        later->generation = what->generation;
        later->packet = packet;
        return;
    }
    if (packet->msg.type == TD_MSG_HEAD && packet->msg.u.head->origin.region.v != what->node + 1) {
        keep_head(cluster, node, packet->msg.u.head);
    }
    TD_ASSERT(packet->batch_count <= 256);
    for (uint32_t i = 0; i < packet->batch_count; i++) {
        received[i] = (struct td_received_batch){packet->batches[i], packet->batches[i]};
    }
    struct td_event event = world_event(cluster, what->node, TD_EV_FRAME);
    event.u.frame.link.v = pair->link[what->node < what->other ? 0 : 1];
    event.u.frame.msg = &packet->msg;
    event.u.frame.payload_bytes = packet->payload_bytes;
    event.u.frame.batches = received;
    event.u.frame.batch_count = packet->batch_count;
    world_step(cluster, what->node, &event);
    world_packet_free(packet);
}

void cluster_cut(struct cluster *cluster, unsigned a, unsigned b)
{
    world_pair(cluster, a, b)->wanted = false;
    world_disconnect(cluster, a, b);
}

void cluster_heal(struct cluster *cluster, unsigned a, unsigned b)
{
    struct pair *pair = world_pair(cluster, a, b);
    pair->wanted = true;
    pair->stalled = false;
    world_schedule(cluster, cluster->now_ms + pair->delay_ms, AT_CONNECT, a)->other = b;
}

void cluster_stall(struct cluster *cluster, unsigned a, unsigned b, bool stalled)
{
    world_pair(cluster, a, b)->stalled = stalled;
}

void cluster_delay(struct cluster *cluster, unsigned a, unsigned b, uint32_t ms)
{
    world_pair(cluster, a, b)->delay_ms = ms;
}
