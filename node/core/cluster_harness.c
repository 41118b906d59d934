/* cluster_harness.c -- time: events in one heap, ordered by (time, number), so that equal seeds
 * give equal histories; and the clients that publish. */
#include "node/core/cluster_world.h"

#include <stdlib.h>
#include <string.h>

/* ---- heap of happenings ---- */
static bool before(const struct happening *a, const struct happening *b)
{
    return a->time_ms != b->time_ms ? a->time_ms < b->time_ms : a->number < b->number;
}

struct happening *world_schedule(struct cluster *cluster, uint64_t time_ms, enum what what,
                                 unsigned node)
{
    if (cluster->heap_count + 1 >= cluster->heap_room) {
        cluster->heap_room = cluster->heap_room == 0 ? 1024 : cluster->heap_room * 2;
        cluster->heap = realloc(cluster->heap, cluster->heap_room * sizeof *cluster->heap);
        TD_ASSERT(cluster->heap != NULL);
    }
    struct happening happening = {
        .time_ms = time_ms, .number = ++cluster->number, .what = what, .node = node};
    size_t at = cluster->heap_count++;
    while (at > 0 && before(&happening, &cluster->heap[(at - 1) / 2])) {
        cluster->heap[at] = cluster->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    cluster->heap[at] = happening;
    return &cluster->heap[at];
}

static struct happening take_first(struct cluster *cluster)
{
    struct happening first = cluster->heap[0];
    struct happening last = cluster->heap[--cluster->heap_count];
    size_t at = 0;

    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= cluster->heap_count) {
            break;
        }
        if (child + 1 < cluster->heap_count &&
            before(&cluster->heap[child + 1], &cluster->heap[child])) {
            child += 1;
        }
        if (!before(&cluster->heap[child], &last)) {
            break;
        }
        cluster->heap[at] = cluster->heap[child];
        at = child;
    }
    cluster->heap[at] = last;
    return first;
}

/* ---- small things ---- */
uint64_t cluster_now_ms(const struct cluster *cluster)
{
    return cluster->now_ms;
}

uint64_t cluster_steps(const struct cluster *cluster)
{
    return cluster->steps;
}

uint64_t cluster_random(struct cluster *cluster, uint64_t below)
{
    uint64_t x = cluster->random += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 */
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (x ^ (x >> 31)) % below;
}

struct td_core *cluster_core(struct cluster *cluster, unsigned node)
{
    return cluster->nodes[node].core;
}

struct pair *world_pair(struct cluster *cluster, unsigned a, unsigned b)
{
    return a < b ? &cluster->pairs[a][b] : &cluster->pairs[b][a];
}

struct td_event world_event(struct cluster *cluster, unsigned node, enum td_event_type type)
{
    struct td_event event = {.type = type};
    event.now.boot_ms = BOOT_MS + cluster->now_ms;
    event.now.wall_ms =
        (uint64_t)((int64_t)(WALL_MS + cluster->now_ms) + cluster->nodes[node].skew_ms);
    return event;
}

/* ---- life of the world ---- */
struct cluster *cluster_new(struct cluster_options options)
{
    struct cluster *cluster = calloc(1, sizeof *cluster);
    static const char *names[CLUSTER_NODES_MAX] = {"a", "b", "c", "d", "e", "f", "g", "h"};

    TD_ASSERT(cluster != NULL && options.nodes <= CLUSTER_NODES_MAX);
    cluster->options = options;
    cluster->options.ring_batches = options.ring_batches == 0 ? 64 : options.ring_batches;
    cluster->options.stale_ms = options.stale_ms == 0 ? 30000 : options.stale_ms;
    cluster->random = options.seed;
    cluster->acks = calloc(ACKS_MAX, sizeof *cluster->acks);
    cluster->traces = calloc(CLUSTER_TRACES_MAX, sizeof *cluster->traces);
    TD_ASSERT(cluster->acks != NULL && cluster->traces != NULL);
    cluster->roster.version = 1;
    cluster->roster.issued_ms = WALL_MS;
    cluster->roster.region_count = options.nodes;
    cluster->roster.regions = cluster->regions;
    cluster->roster.policy = (struct td_policy){30 * 86400, 365 * 86400, 7 * 86400, 0, 0};
    for (unsigned i = 0; i < options.nodes; i++) {
        cluster->regions[i].number.v = (uint8_t)(i + 1);
        cluster->regions[i].name = (struct td_text){names[i], 1};
        cluster->regions[i].quota_registers = 1000000;
        cluster->regions[i].quota_bytes = 1 << 30;
        for (unsigned k = i + 1; k < options.nodes; k++) {
            cluster->pairs[i][k].wanted = true;
            cluster->pairs[i][k].delay_ms = options.delay_ms;
        }
    }
    return cluster;
}

void cluster_start(struct cluster *cluster)
{
    for (unsigned i = 0; i < cluster->options.nodes; i++) {
        world_boot(cluster, i);
    }
    for (unsigned i = 0; i < cluster->options.nodes; i++) {
        world_boot_links(cluster, i);
    }
}

void cluster_free(struct cluster *cluster)
{
    for (size_t i = 0; i < cluster->heap_count; i++) {
        world_packet_free(cluster->heap[i].packet);
    }
    for (unsigned i = 0; i < cluster->options.nodes; i++) {
        free(cluster->nodes[i].block);
        free(cluster->nodes[i].log);
        free(cluster->nodes[i].waiting);
    }
    pool_free(&cluster->pool);
    free(cluster->heap);
    free(cluster->acks);
    free(cluster->traces);
    free(cluster);
}

static void tick(struct cluster *cluster, unsigned index)
{
    struct node *node = &cluster->nodes[index];
    struct td_event event = world_event(cluster, index, TD_EV_TICK);
    uint64_t due = node->tick_ms;

    if (due > cluster->now_ms) {
        return; /* an earlier tick took its place */
    }
    node->tick_ms = UINT64_MAX;
    world_step(cluster, index, &event);
    /* A replica that always wants another tick at once would never let time go on. */
    node->ticks_now = node->tick_ms == cluster->now_ms ? node->ticks_now + 1 : 0;
    TD_ASSERT(node->ticks_now < 10000);
}

static void happen(struct cluster *cluster, struct happening *what)
{
    struct node *node = &cluster->nodes[what->node];
    bool process = node->core != NULL && node->generation == what->generation;

    switch (what->what) {
    case AT_DELIVER:
        world_deliver(cluster, what);
        break;
    case AT_TICK:
        if (process) {
            tick(cluster, what->node);
        }
        break;
    case AT_FLUSHED:
        if (process) {
            world_flushed(cluster, what->node);
        }
        break;
    case AT_SIGNED:
        if (process) {
            struct td_event event = world_event(cluster, what->node, TD_EV_HEAD_SIGNED);
            event.u.head_signed.number = what->value;
            memcpy(event.u.head_signed.hash, node->heads[what->node + 1]->hash, TD_TICK_HASH_BYTES);
            world_step(cluster, what->node, &event);
        }
        break;
    case AT_RANDOM:
        if (process) {
            struct td_event event = world_event(cluster, what->node, TD_EV_RANDOM);
            event.u.random.bits = (uint32_t)cluster_random(cluster, UINT32_MAX);
            world_step(cluster, what->node, &event);
        }
        break;
    case AT_CONNECT:
        world_connect(cluster, what->node, what->other);
        break;
    case AT_HEARTBEAT:
        world_heartbeat(cluster, what);
        break;
    }
}

bool cluster_run_until(struct cluster *cluster, uint64_t limit_ms, cluster_condition condition,
                       void *argument)
{
    uint64_t end_ms = cluster->now_ms + limit_ms;

    while (condition == NULL || !condition(cluster, argument)) {
        if (cluster->heap_count == 0 || cluster->heap[0].time_ms > end_ms) {
            cluster->now_ms = end_ms;
            return condition != NULL && condition(cluster, argument);
        }
        uint64_t now_ms = cluster->heap[0].time_ms;
        cluster->now_ms = now_ms > cluster->now_ms ? now_ms : cluster->now_ms;
        while (cluster->heap_count > 0 && cluster->heap[0].time_ms <= now_ms) {
            struct happening what = take_first(cluster);
            happen(cluster, &what);
        }
    }
    return true;
}

void cluster_run(struct cluster *cluster, uint64_t ms)
{
    (void)cluster_run_until(cluster, ms, NULL, NULL);
}

/* ---- clients ---- */
static struct cluster_ack *request_new(struct node *node)
{
    if (node->request_id + 1 >= node->waiting_room) {
        node->waiting_room = node->waiting_room == 0 ? 1024 : node->waiting_room * 2;
        node->waiting = realloc(node->waiting, node->waiting_room * sizeof *node->waiting);
        TD_ASSERT(node->waiting != NULL);
    }
    node->request_id += 1;
    memset(&node->waiting[node->request_id], 0, sizeof *node->waiting);
    return &node->waiting[node->request_id];
}

bool cluster_publish(struct cluster *cluster, unsigned index, const char *job, uint16_t attempt,
                     enum td_state state)
{
    struct node *node = &cluster->nodes[index];

    if (node->core == NULL) {
        return false;
    }
    struct cluster_ack *waiting = request_new(node);
    TD_ASSERT(strlen(job) < sizeof waiting->job);
    memcpy(waiting->job, job, strlen(job) + 1);
    waiting->job_hash = hash_bytes(1, job, strlen(job));
    struct td_update update = {.job = {job, (uint32_t)strlen(job)},
                               .attempt = attempt,
                               .fields = TD_FIELDS_ALL,
                               .job_hash = waiting->job_hash};
    update.status.state = state;
    struct td_request request = {.id = node->request_id, .op = TD_OP_PUBLISH, .timeout_ms = 10000};
    request.u.publish.count = 1;
    request.u.publish.updates = &update;
    struct td_event event = world_event(cluster, index, TD_EV_REQUEST);
    event.u.request.client_link = 1;
    event.u.request.request = &request;
    world_step(cluster, index, &event);
    return true;
}

size_t cluster_ack_count(const struct cluster *cluster)
{
    return cluster->ack_count;
}

const struct cluster_ack *cluster_ack_at(const struct cluster *cluster, size_t index)
{
    return &cluster->acks[index];
}

uint64_t cluster_refused_count(const struct cluster *cluster)
{
    return cluster->refused;
}
