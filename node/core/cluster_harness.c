/* cluster_harness.c -- see cluster_harness.h: the world around the replicas. Events in one heap,
 * ordered by (time, number), so that equal seeds give equal histories. */
#include "node/core/cluster_harness.h"

#include <stdlib.h>
#include <string.h>

#include "node/core/cluster_wire.h"

enum { ACKS_MAX = 65536, LINK_EVENTS_MS = 1, HEARTBEAT_MS = 1000, BOOT_MS = 1000 };
#define WALL_MS UINT64_C(1700000000000)

enum what {
    AT_DELIVER = 1,
    AT_TICK,
    AT_FLUSHED,
    AT_SIGNED,
    AT_RANDOM,
    AT_CONNECT,
    AT_HEARTBEAT,
};

struct packet {
    struct pool pool;
    struct td_msg msg;
    size_t payload_bytes;
    uint32_t batch_count;
    struct td_batch **batches;
};

struct happening {
    uint64_t time_ms, number;
    enum what what;
    unsigned node, other;
    uint32_t generation; /* of the node's process, or of the pair's link */
    uint64_t value;
    struct packet *packet;
};

struct entry {
    struct td_record record;
    struct td_batch *batch;
    uint64_t ticket; /* of the process that wrote it */
    bool durable, own, failed;
};

struct node {
    struct td_core *core;
    void *block;
    size_t block_bytes;
    uint32_t generation;
    uint64_t tick_ms; /* earliest tick scheduled; UINT64_MAX = none */
    unsigned ticks_now;
    struct entry *log;
    size_t log_count, log_room;
    size_t log_process;  /* first entry written by the running process */
    bool flushing;
    unsigned fail_flushes;
    int64_t skew_ms;
    struct td_head *heads[CLUSTER_NODES_MAX + 1];
    const char *omit;
    uint32_t request_id;
    struct cluster_ack *waiting; /* by request id */
    uint32_t waiting_room;
};

struct pair {
    bool wanted, up, stalled;
    uint32_t generation, delay_ms;
    uint32_t link[2];
    uint64_t last_ms[2]; /* due time of the newest packet, per direction */
};

struct cluster {
    struct cluster_options options;
    struct pool pool;
    uint64_t now_ms, number, random, steps, refused;
    struct happening *heap;
    size_t heap_count, heap_room;
    struct node nodes[CLUSTER_NODES_MAX];
    struct pair pairs[CLUSTER_NODES_MAX][CLUSTER_NODES_MAX]; /* [lower][higher] */
    uint32_t next_link;
    struct td_roster roster;
    struct td_roster_region regions[CLUSTER_NODES_MAX];
    struct cluster_ack *acks;
    size_t ack_count;
    struct cluster_trace *traces;
    size_t trace_count;
};

static void step(struct cluster *cluster, unsigned node, struct td_event *event);

/* ---- heap of happenings ---- */
static bool before(const struct happening *a, const struct happening *b)
{
    return a->time_ms != b->time_ms ? a->time_ms < b->time_ms : a->number < b->number;
}

static struct happening *schedule(struct cluster *cluster, uint64_t time_ms, enum what what,
                                  unsigned node)
{
    if (cluster->heap_count + 1 >= cluster->heap_room) {
        cluster->heap_room = cluster->heap_room == 0 ? 1024 : cluster->heap_room * 2;
        cluster->heap = realloc(cluster->heap, cluster->heap_room * sizeof *cluster->heap);
        TD_ASSERT(cluster->heap != NULL);
    }
    struct happening happening = {.time_ms = time_ms, .number = ++cluster->number, .what = what,
                                  .node = node};
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

static struct pair *pair_of(struct cluster *cluster, unsigned a, unsigned b)
{
    return a < b ? &cluster->pairs[a][b] : &cluster->pairs[b][a];
}

static struct td_event event_of(struct cluster *cluster, unsigned node, enum td_event_type type)
{
    struct td_event event = {.type = type};
    event.now.boot_ms = BOOT_MS + cluster->now_ms;
    event.now.wall_ms =
        (uint64_t)((int64_t)(WALL_MS + cluster->now_ms) + cluster->nodes[node].skew_ms);
    return event;
}

/* ---- the log ---- */
static struct entry *log_add(struct node *node)
{
    if (node->log_count == node->log_room) {
        node->log_room = node->log_room == 0 ? 256 : node->log_room * 2;
        node->log = realloc(node->log, node->log_room * sizeof *node->log);
        TD_ASSERT(node->log != NULL);
    }
    struct entry *entry = &node->log[node->log_count++];
    memset(entry, 0, sizeof *entry);
    return entry;
}

static void store(struct cluster *cluster, unsigned index, const struct td_effect *effect)
{
    struct node *node = &cluster->nodes[index];
    struct entry *entry = log_add(node);

    entry->ticket = effect->u.store.ticket.v;
    entry->own = effect->u.store.kind == TD_STORE_OWN;
    if (effect->u.store.kind == TD_STORE_RECORD) {
        entry->record = *effect->u.store.record;
        if (entry->record.type == TD_RECORD_HAS) {
            entry->record.u.has = copy_vv(&cluster->pool, &entry->record.u.has);
        }
    } else {
        entry->batch = entry->own ? build_batch(&cluster->pool, cluster->roster.cluster, effect)
                                  : copy_batch(&cluster->pool, effect->u.store.handle);
        entry->record.type = TD_RECORD_BATCH;
        entry->record.u.batch = entry->batch;
    }
    entry->record.ref.ticket.v = entry->ticket;
    entry->record.ref.position = node->log_count;
    entry->record.ref.bytes = entry->batch != NULL ? (uint32_t)entry->batch->raw.count : 64;
    if (!node->flushing) {
        node->flushing = true;
        struct happening *flush =
            schedule(cluster, cluster->now_ms + cluster->options.flush_ms, AT_FLUSHED, index);
        flush->generation = node->generation;
    }
}

static const struct td_batch *log_batch(const struct node *node, struct td_log_ref ref)
{
    if (ref.position != 0) {
        TD_ASSERT(ref.position <= node->log_count);
        return node->log[ref.position - 1].batch;
    }
    for (size_t i = node->log_count; i-- > node->log_process;) {
        if (node->log[i].ticket == ref.ticket.v) {
            return node->log[i].batch;
        }
    }
    return NULL;
}

static void stored(struct cluster *cluster, unsigned index, size_t at, bool durable)
{
    struct node *node = &cluster->nodes[index];
    struct entry entry = node->log[at];
    struct td_hash leaves[TD_BATCH_DELTAS_MAX];
    struct td_event event = event_of(cluster, index, TD_EV_STORED);

    node->log[at].durable = durable;
    node->log[at].failed = !durable;
    event.u.stored.ticket.v = entry.ticket;
    event.u.stored.durable = durable;
    event.u.stored.ref = entry.record.ref;
    if (entry.own) {
        for (uint32_t i = 0; i < entry.batch->present_count; i++) {
            leaves[i] = entry.batch->deltas[i].leaf;
        }
        event.u.stored.leaves = leaves;
        event.u.stored.leaf_count = entry.batch->present_count;
    }
    step(cluster, index, &event);
}

/* Everything handed in before the flush began becomes durable together, in the order of tickets. */
static void flushed(struct cluster *cluster, unsigned index)
{
    struct node *node = &cluster->nodes[index];
    bool durable = node->fail_flushes == 0;
    uint32_t generation = node->generation;
    size_t end = node->log_count;

    node->fail_flushes -= !durable;
    node->flushing = false;
    for (size_t i = node->log_process; i < end && node->generation == generation; i++) {
        if (!node->log[i].durable && !node->log[i].failed) {
            stored(cluster, index, i, durable);
        }
    }
}

/* ---- effects ---- */
static struct packet *packet_new(void)
{
    struct packet *packet = calloc(1, sizeof *packet);
    TD_ASSERT(packet != NULL);
    return packet;
}

static void packet_free(struct packet *packet)
{
    if (packet != NULL) {
        pool_free(&packet->pool);
        free(packet);
    }
}

static void add_part(struct packet *packet, const struct node *node, const struct td_out_part *part)
{
    const struct td_batch *batch = log_batch(node, part->ref);

    TD_ASSERT(batch != NULL);
    TD_ASSERT(batch->header.count == part->batch_count);
    if (node->omit != NULL || part->keep != NULL) {
        packet->batches[packet->batch_count++] =
            thin_batch(&packet->pool, batch, part, node->omit);
    } else {
        packet->batches[packet->batch_count++] = copy_batch(&packet->pool, batch);
    }
    packet->payload_bytes += batch->raw.count;
}

static struct packet *packet_of(struct node *node, const struct td_out *out)
{
    struct packet *packet = packet_new();

    switch (out->type) {
    case TD_OUT_MSG:
        copy_msg(&packet->pool, &out->u.msg, &packet->msg);
        break;
    case TD_OUT_HEAD:
        packet->msg.type = TD_MSG_HEAD;
        if (node->heads[out->u.region.v] == NULL) {
            packet_free(packet);
            return NULL;
        }
        packet->msg.u.head = copy_head(&packet->pool, node->heads[out->u.region.v]);
        break;
    case TD_OUT_LIVE:
    case TD_OUT_FETCHED:
        packet->msg.type = out->type == TD_OUT_LIVE ? TD_MSG_LIVE : TD_MSG_FETCHED;
        packet->batches = pool_take(&packet->pool, 1, sizeof *packet->batches);
        add_part(packet, node, &out->u.part);
        break;
    case TD_OUT_CHUNK:
        packet->msg.type = TD_MSG_TRANSFER_CHUNK;
        packet->msg.u.chunk.id = out->u.chunk.id;
        packet->msg.u.chunk.cursor = out->u.chunk.cursor;
        packet->batches =
            pool_take(&packet->pool, out->u.chunk.part_count, sizeof *packet->batches);
        for (uint32_t i = 0; i < out->u.chunk.part_count; i++) {
            add_part(packet, node, &out->u.chunk.parts[i]);
        }
        break;
    }
    return packet;
}

/* The other end of a link; TD_NONE when it is gone. */
static unsigned peer_of(struct cluster *cluster, unsigned node, uint32_t link)
{
    for (unsigned other = 0; other < cluster->options.nodes; other++) {
        if (other != node) {
            const struct pair *pair = pair_of(cluster, node, other);
            if (pair->up && pair->link[node < other ? 0 : 1] == link) {
                return other;
            }
        }
    }
    return TD_NONE;
}

static void send(struct cluster *cluster, unsigned index, const struct td_effect *effect)
{
    unsigned other = peer_of(cluster, index, effect->u.send.link.v);

    if (other == TD_NONE) {
        return;
    }
    struct pair *pair = pair_of(cluster, index, other);
    for (uint32_t i = 0; i < effect->u.send.count; i++) {
        struct packet *packet = packet_of(&cluster->nodes[index], &effect->u.send.out[i]);
        if (packet == NULL) {
            continue;
        }
        uint64_t *last_ms = &pair->last_ms[index < other ? 0 : 1];
        uint64_t due_ms = cluster->now_ms + pair->delay_ms;
        *last_ms = due_ms > *last_ms ? due_ms : *last_ms;
        struct happening *deliver = schedule(cluster, *last_ms, AT_DELIVER, other);
        deliver->other = index;
        deliver->generation = pair->generation;
        deliver->packet = packet;
    }
}

static void reply(struct cluster *cluster, unsigned index, const struct td_response *response)
{
    struct node *node = &cluster->nodes[index];

    if (response->op != TD_OP_PUBLISH || response->id >= node->waiting_room) {
        return;
    }
    struct cluster_ack ack = node->waiting[response->id];
    if (response->err != TD_OK || response->u.publish.count != 1 ||
        response->u.publish.results[0].err != TD_OK) {
        cluster->refused += 1;
        return;
    }
    const struct td_result *result = &response->u.publish.results[0];
    if (result->noop || cluster->ack_count == ACKS_MAX) {
        return;
    }
    ack.attempt = result->attempt;
    ack.order.rank = result->rank;
    ack.order.stamp = result->stamp;
    ack.order.dot = result->dot;
    ack.time_ms = cluster->now_ms;
    ack.node = index;
    cluster->acks[cluster->ack_count++] = ack;
}

static void disconnect(struct cluster *cluster, unsigned a, unsigned b);

static void perform(struct cluster *cluster, unsigned index, const struct td_effect *effect)
{
    struct node *node = &cluster->nodes[index];

    switch (effect->type) {
    case TD_FX_SEND:
        send(cluster, index, effect);
        break;
    case TD_FX_STORE:
        break; /* done before the others: a send may read what this step stores */
    case TD_FX_SIGN_HEAD: {
        struct td_head *head = copy_head(&cluster->pool, effect->u.sign_head);
        uint64_t hash = hash_bytes(head->number, &head->origin, sizeof head->origin);
        hash = hash_bytes(hash + head->seq + head->recovering, &head->stamp.ms, 8);
        memcpy(head->hash, &hash, 8);
        node->heads[index + 1] = head;
        struct happening *done = schedule(cluster, cluster->now_ms + 1, AT_SIGNED, index);
        done->generation = node->generation;
        done->value = head->number;
        break;
    }
    case TD_FX_RANDOM:
        schedule(cluster, cluster->now_ms, AT_RANDOM, index)->generation = node->generation;
        break;
    case TD_FX_REPLY:
        reply(cluster, index, effect->u.reply.response);
        break;
    case TD_FX_CLOSE_LINK: {
        unsigned other = peer_of(cluster, index, effect->u.close_link.link.v);
        if (other != TD_NONE) {
            disconnect(cluster, index, other);
        }
        break;
    }
    case TD_FX_TRACE:
        if (cluster->trace_count < CLUSTER_TRACES_MAX) {
            cluster->traces[cluster->trace_count++] = (struct cluster_trace){
                cluster->now_ms, index, effect->u.trace.code, effect->u.trace.region.v,
                effect->u.trace.a, effect->u.trace.b};
        }
        break;
    }
}

static void schedule_tick(struct cluster *cluster, unsigned index)
{
    struct node *node = &cluster->nodes[index];
    uint64_t deadline = td_core_deadline_ms(node->core);
    uint64_t at = deadline > BOOT_MS + cluster->now_ms ? deadline - BOOT_MS : cluster->now_ms;

    if (deadline != UINT64_MAX && at < node->tick_ms) {
        node->tick_ms = at;
        schedule(cluster, at, AT_TICK, index)->generation = node->generation;
    }
}

/* Effects are copied out first: performing one may step this node again (a link that closes). */
static void step(struct cluster *cluster, unsigned index, struct td_event *event)
{
    struct node *node = &cluster->nodes[index];
    uint32_t generation = node->generation;
    size_t count = 0;

    const struct td_effect *borrowed = td_core_step(node->core, event, &count);
    cluster->steps += 1;
    struct td_effect *effects = malloc((count + 1) * sizeof *effects);
    TD_ASSERT(effects != NULL);
    memcpy(effects, borrowed, count * sizeof *effects);
    for (size_t i = 0; i < count; i++) {
        if (effects[i].type == TD_FX_STORE) {
            store(cluster, index, &effects[i]);
        }
    }
    for (size_t i = 0; i < count; i++) { /* links end last: only that re-enters */
        if (effects[i].type != TD_FX_CLOSE_LINK) {
            perform(cluster, index, &effects[i]);
        }
    }
    schedule_tick(cluster, index);
    for (size_t i = 0; i < count && node->generation == generation; i++) {
        if (effects[i].type == TD_FX_CLOSE_LINK) {
            perform(cluster, index, &effects[i]);
        }
    }
    free(effects);
}

/* ---- links ---- */
static void link_event(struct cluster *cluster, unsigned node, unsigned other, bool up)
{
    struct pair *pair = pair_of(cluster, node, other);
    struct td_event event = event_of(cluster, node, up ? TD_EV_LINK_UP : TD_EV_LINK_DOWN);

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
    step(cluster, node, &event);
}

static void disconnect(struct cluster *cluster, unsigned a, unsigned b)
{
    struct pair *pair = pair_of(cluster, a, b);

    if (!pair->up) {
        return;
    }
    pair->up = false;
    pair->generation += 1;
    link_event(cluster, a, b, false);
    link_event(cluster, b, a, false);
    struct happening *again =
        schedule(cluster, cluster->now_ms + pair->delay_ms + 20, AT_CONNECT, a);
    again->other = b;
}

static void connect(struct cluster *cluster, unsigned a, unsigned b)
{
    struct pair *pair = pair_of(cluster, a, b);

    if (pair->up || !pair->wanted || pair->stalled || cluster->nodes[a].core == NULL ||
        cluster->nodes[b].core == NULL) {
        return;
    }
    if (td_core_process(cluster->nodes[a].core).start == 0 ||
        td_core_process(cluster->nodes[b].core).start == 0) {
        schedule(cluster, cluster->now_ms + 5, AT_CONNECT, a)->other = b;
        return;
    }
    pair->up = true;
    pair->generation += 1;
    pair->link[0] = ++cluster->next_link;
    pair->link[1] = ++cluster->next_link;
    pair->last_ms[0] = pair->last_ms[1] = cluster->now_ms;
    uint32_t generation = pair->generation;
    link_event(cluster, a, b, true);
    if (pair->up && pair->generation == generation) {
        link_event(cluster, b, a, true);
        struct happening *beat =
            schedule(cluster, cluster->now_ms + 2 * pair->delay_ms, AT_HEARTBEAT, a);
        beat->other = b;
        beat->generation = generation;
    }
}

static void heartbeat(struct cluster *cluster, const struct happening *what)
{
    struct pair *pair = pair_of(cluster, what->node, what->other);

    if (!pair->up || pair->generation != what->generation) {
        return;
    }
    for (unsigned side = 0; side < 2 && pair->up; side++) {
        unsigned node = side == 0 ? what->node : what->other;
        unsigned other = side == 0 ? what->other : what->node;
        struct td_event event = event_of(cluster, node, TD_EV_LINK_RTT);
        event.u.link_rtt.link.v = pair->link[node < other ? 0 : 1];
        event.u.link_rtt.answered = !pair->stalled;
        event.u.link_rtt.rtt_us = 2000 * pair->delay_ms;
        step(cluster, node, &event);
    }
    struct happening *beat = schedule(cluster, cluster->now_ms + HEARTBEAT_MS, AT_HEARTBEAT, what->node);
    beat->other = what->other;
    beat->generation = what->generation;
}

static void keep_head(struct cluster *cluster, struct node *node, const struct td_head *head)
{
    struct td_head **held = &node->heads[head->origin.region.v];
    int order = *held == NULL ? 1
                              : td_incarnation_compare(head->origin.incarnation,
                                                       (*held)->origin.incarnation);
    if (order > 0 || (order == 0 && head->number > (*held)->number)) {
        *held = copy_head(&cluster->pool, head);
    }
}

static void deliver(struct cluster *cluster, struct happening *what)
{
    struct pair *pair = pair_of(cluster, what->node, what->other);
    struct node *node = &cluster->nodes[what->node];
    struct packet *packet = what->packet;
    struct td_received_batch received[256];

    if (!pair->up || pair->generation != what->generation || node->core == NULL) {
        packet_free(packet);
        return;
    }
    if (pair->stalled) { /* kept by the path, in order */
        struct happening *later = schedule(cluster, cluster->now_ms + 5, AT_DELIVER, what->node);
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
    struct td_event event = event_of(cluster, what->node, TD_EV_FRAME);
    event.u.frame.link.v = pair->link[what->node < what->other ? 0 : 1];
    event.u.frame.msg = &packet->msg;
    event.u.frame.payload_bytes = packet->payload_bytes;
    event.u.frame.batches = received;
    event.u.frame.batch_count = packet->batch_count;
    step(cluster, what->node, &event);
    packet_free(packet);
}

/* ---- processes ---- */
static void boot(struct cluster *cluster, unsigned index)
{
    struct node *node = &cluster->nodes[index];
    struct td_core_config config = {
        .self = {(uint8_t)(index + 1)},
        .table_seed = cluster_random(cluster, UINT64_MAX),
        .stale_ms = cluster->options.stale_ms,
        .limits = {.registers_max = 8192, .bytes_max = 4 << 20, .links_max = 2 * CLUSTER_NODES_MAX,
                   .requests_max = 1024, .pending_deltas_max = 1024, .batches_max = 16384,
                   .ring_batches = cluster->options.ring_batches, .change_ring = 4096},
        .software = {"test", 4}};

    config.cluster = cluster->roster.cluster;
    node->block_bytes = td_core_bytes(&config);
    node->block = aligned_alloc(64, (node->block_bytes + 63) / 64 * 64);
    TD_ASSERT(node->block != NULL);
    memset(node->block, 0, node->block_bytes);
    node->core = td_core_init(&config, node->block);
    node->generation += 1;
    node->tick_ms = UINT64_MAX;
    node->flushing = false;
    memset(node->heads, 0, sizeof node->heads);

    struct td_event roster = event_of(cluster, index, TD_EV_ROSTER);
    roster.u.roster = &cluster->roster;
    step(cluster, index, &roster);
    node->log_process = node->log_count;
    for (size_t i = 0; i < node->log_process; i++) {
        struct td_event event = event_of(cluster, index, TD_EV_START);
        struct td_record record = node->log[i].record;
        record.ref.ticket.v = 0;
        node->log[i].ticket = 0;
        event.u.start.records = &record;
        event.u.start.count = 1;
        step(cluster, index, &event);
    }
    struct td_event last = event_of(cluster, index, TD_EV_START);
    last.u.start.last = true;
    step(cluster, index, &last);
}

static void boot_links(struct cluster *cluster, unsigned index)
{
    for (unsigned other = 0; other < cluster->options.nodes; other++) {
        if (other != index) {
            schedule(cluster, cluster->now_ms + LINK_EVENTS_MS, AT_CONNECT, index)->other = other;
        }
    }
}

void cluster_crash(struct cluster *cluster, unsigned index)
{
    struct node *node = &cluster->nodes[index];

    if (node->core == NULL) {
        return;
    }
    free(node->block);
    node->block = NULL;
    node->core = NULL;
    node->generation += 1;
    size_t kept = 0;
    for (size_t i = 0; i < node->log_count; i++) {
        if (node->log[i].durable) {
            node->log[kept] = node->log[i];
            kept += 1;
            node->log[kept - 1].record.ref.position = kept;
        }
    }
    node->log_count = kept;
    for (unsigned other = 0; other < cluster->options.nodes; other++) {
        if (other != index) {
            disconnect(cluster, index, other);
        }
    }
}

void cluster_restart(struct cluster *cluster, unsigned index)
{
    if (cluster->nodes[index].core == NULL) {
        boot(cluster, index);
        boot_links(cluster, index);
    }
}

void cluster_lose_disk(struct cluster *cluster, unsigned index)
{
    cluster_roll_back(cluster, index, 0);
}

void cluster_roll_back(struct cluster *cluster, unsigned index, size_t count)
{
    struct node *node = &cluster->nodes[index];
    TD_ASSERT(node->core == NULL);
    node->log_count = count < node->log_count ? count : node->log_count;
}

size_t cluster_log_count(const struct cluster *cluster, unsigned index)
{
    return cluster->nodes[index].log_count;
}

void cluster_fail_flushes(struct cluster *cluster, unsigned index, unsigned count)
{
    cluster->nodes[index].fail_flushes = count;
}

void cluster_skew(struct cluster *cluster, unsigned index, int64_t ms)
{
    cluster->nodes[index].skew_ms = ms;
}

void cluster_omit(struct cluster *cluster, unsigned index, const char *job)
{
    cluster->nodes[index].omit = job;
}

void cluster_cut(struct cluster *cluster, unsigned a, unsigned b)
{
    pair_of(cluster, a, b)->wanted = false;
    disconnect(cluster, a, b);
}

void cluster_heal(struct cluster *cluster, unsigned a, unsigned b)
{
    struct pair *pair = pair_of(cluster, a, b);
    pair->wanted = true;
    pair->stalled = false;
    schedule(cluster, cluster->now_ms + pair->delay_ms, AT_CONNECT, a)->other = b;
}

void cluster_stall(struct cluster *cluster, unsigned a, unsigned b, bool stalled)
{
    pair_of(cluster, a, b)->stalled = stalled;
}

void cluster_delay(struct cluster *cluster, unsigned a, unsigned b, uint32_t ms)
{
    pair_of(cluster, a, b)->delay_ms = ms;
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
        boot(cluster, i);
    }
    for (unsigned i = 0; i < cluster->options.nodes; i++) {
        boot_links(cluster, i);
    }
}

void cluster_free(struct cluster *cluster)
{
    for (size_t i = 0; i < cluster->heap_count; i++) {
        packet_free(cluster->heap[i].packet);
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
    struct td_event event = event_of(cluster, index, TD_EV_TICK);
    uint64_t due = node->tick_ms;

    if (due > cluster->now_ms) {
        return; /* an earlier tick took its place */
    }
    node->tick_ms = UINT64_MAX;
    step(cluster, index, &event);
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
        deliver(cluster, what);
        break;
    case AT_TICK:
        if (process) {
            tick(cluster, what->node);
        }
        break;
    case AT_FLUSHED:
        if (process) {
            flushed(cluster, what->node);
        }
        break;
    case AT_SIGNED:
        if (process) {
            struct td_event event = event_of(cluster, what->node, TD_EV_HEAD_SIGNED);
            event.u.head_signed.number = what->value;
            memcpy(event.u.head_signed.hash, node->heads[what->node + 1]->hash, TD_TICK_HASH_BYTES);
            step(cluster, what->node, &event);
        }
        break;
    case AT_RANDOM:
        if (process) {
            struct td_event event = event_of(cluster, what->node, TD_EV_RANDOM);
            event.u.random.bits = (uint32_t)cluster_random(cluster, UINT32_MAX);
            step(cluster, what->node, &event);
        }
        break;
    case AT_CONNECT:
        connect(cluster, what->node, what->other);
        break;
    case AT_HEARTBEAT:
        heartbeat(cluster, what);
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
    struct td_update update = {.job = {job, (uint32_t)strlen(job)}, .attempt = attempt,
                               .fields = TD_FIELDS_ALL, .job_hash = waiting->job_hash};
    update.status.state = state;
    struct td_request request = {.id = node->request_id, .op = TD_OP_PUBLISH, .timeout_ms = 10000};
    request.u.publish.count = 1;
    request.u.publish.updates = &update;
    struct td_event event = event_of(cluster, index, TD_EV_REQUEST);
    event.u.request.client_link = 1;
    event.u.request.request = &request;
    step(cluster, index, &event);
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

/* ---- checks ---- */
int cluster_state(struct cluster *cluster, unsigned index, const char *job, uint16_t attempt)
{
    struct td_core *core = cluster->nodes[index].core;
    struct td_text text = {job, (uint32_t)strlen(job)};
    uint32_t reg = core == NULL ? TD_NONE
                                : td_table_find(core, hash_bytes(1, job, text.count), text, attempt);
    return reg == TD_NONE ? -1 : core->registers[reg].state;
}

static bool ack_held(const struct td_core *core, const struct cluster_ack *ack)
{
    struct td_text job = {ack->job, (uint32_t)strlen(ack->job)};
    struct td_vv has = td_core_has(core);

    if (!td_vv_covers_dot(&has, ack->order.dot)) {
        return true;
    }
    uint32_t reg = td_table_find(core, ack->job_hash, job, ack->attempt);
    if (reg == TD_NONE) {
        return false;
    }
    struct td_order order = td_register_order(core, &core->registers[reg]);
    if (td_dot_compare(order.dot, ack->order.dot) == 0) {
        return true;
    }
    return td_order_compare(&order, &ack->order) > 0;
}

bool cluster_i1_holds(struct cluster *cluster)
{
    for (unsigned i = 0; i < cluster->options.nodes; i++) {
        const struct td_core *core = cluster->nodes[i].core;
        for (size_t k = 0; core != NULL && k < cluster->ack_count; k++) {
            if (!ack_held(core, &cluster->acks[k])) {
                return false;
            }
        }
    }
    return true;
}

bool cluster_converged(struct cluster *cluster, void *unused)
{
    const struct td_core *first = NULL;

    (void)unused;
    for (unsigned i = 0; i < cluster->options.nodes; i++) {
        const struct td_core *core = cluster->nodes[i].core;
        if (core == NULL) {
            continue;
        }
        if (first == NULL) {
            first = core;
            continue;
        }
        struct td_vv a = td_core_has(first), b = td_core_has(core);
        if (memcmp(first->digest, core->digest, sizeof core->digest) != 0 || !td_vv_covers(&a, &b) ||
            !td_vv_covers(&b, &a)) {
            return false;
        }
    }
    return true;
}

struct td_fresh_view cluster_fresh(struct cluster *cluster, unsigned index, unsigned about,
                                   bool *ret_certain)
{
    struct td_fresh_view rows[TD_REGIONS_MAX];
    struct td_fresh_view none = {.region = {0}};
    struct td_core *core = cluster->nodes[index].core;
    bool certain = false;

    struct td_event event = event_of(cluster, index, TD_EV_TICK); /* rows age by the step's clock */
    step(cluster, index, &event);
    uint32_t count = td_fresh_rows(core, rows, TD_REGIONS_MAX, &certain);
    if (ret_certain != NULL) {
        *ret_certain = certain;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (rows[i].region.v == about + 1) {
            return rows[i];
        }
    }
    return none;
}

size_t cluster_trace_count(const struct cluster *cluster, unsigned node, enum td_trace_code code)
{
    size_t count = 0;
    for (size_t i = 0; i < cluster->trace_count; i++) {
        count += cluster->traces[i].node == node && cluster->traces[i].code == code;
    }
    return count;
}

const struct cluster_trace *cluster_trace_last(const struct cluster *cluster, unsigned node,
                                               enum td_trace_code code)
{
    for (size_t i = cluster->trace_count; i-- > 0;) {
        if (cluster->traces[i].node == node && cluster->traces[i].code == code) {
            return &cluster->traces[i];
        }
    }
    return NULL;
}

uint64_t cluster_counter(struct cluster *cluster, unsigned node, enum td_counter_id id)
{
    return cluster->nodes[node].core == NULL ? 0 : td_core_counter(cluster->nodes[node].core, id);
}
