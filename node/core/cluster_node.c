/* cluster_node.c -- processes: their logs, the effects of their steps, crash and restart. */
#include "node/core/cluster_world.h"

#include <stdlib.h>
#include <string.h>

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
            world_schedule(cluster, cluster->now_ms + cluster->options.flush_ms, AT_FLUSHED, index);
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
    struct td_event event = world_event(cluster, index, TD_EV_STORED);

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
    world_step(cluster, index, &event);
}

/* Everything handed in before the flush began becomes durable together, in the order of tickets. */
void world_flushed(struct cluster *cluster, unsigned index)
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

void world_packet_free(struct packet *packet)
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
        packet->batches[packet->batch_count++] = thin_batch(&packet->pool, batch, part, node->omit);
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
            world_packet_free(packet);
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

static void send(struct cluster *cluster, unsigned index, const struct td_effect *effect)
{
    unsigned other = world_peer(cluster, index, effect->u.send.link.v);

    if (other == TD_NONE) {
        return;
    }
    struct pair *pair = world_pair(cluster, index, other);
    for (uint32_t i = 0; i < effect->u.send.count; i++) {
        struct packet *packet = packet_of(&cluster->nodes[index], &effect->u.send.out[i]);
        if (packet == NULL) {
            continue;
        }
        uint64_t *last_ms = &pair->last_ms[index < other ? 0 : 1];
        uint64_t due_ms = cluster->now_ms + pair->delay_ms;
        *last_ms = due_ms > *last_ms ? due_ms : *last_ms;
        struct happening *deliver = world_schedule(cluster, *last_ms, AT_DELIVER, other);
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
        struct happening *done = world_schedule(cluster, cluster->now_ms + 1, AT_SIGNED, index);
        done->generation = node->generation;
        done->value = head->number;
        break;
    }
    case TD_FX_COMPACT:
        break; /* no survey is asked for */
    case TD_FX_RANDOM:
        world_schedule(cluster, cluster->now_ms, AT_RANDOM, index)->generation = node->generation;
        break;
    case TD_FX_REPLY:
        reply(cluster, index, effect->u.reply.response);
        break;
    case TD_FX_CLOSE_LINK: {
        unsigned other = world_peer(cluster, index, effect->u.close_link.link.v);
        if (other != TD_NONE) {
            world_disconnect(cluster, index, other);
        }
        break;
    }
    case TD_FX_TRACE:
        if (cluster->trace_count < CLUSTER_TRACES_MAX) {
            cluster->traces[cluster->trace_count++] =
                (struct cluster_trace){cluster->now_ms,      index,
                                       effect->u.trace.code, effect->u.trace.region.v,
                                       effect->u.trace.a,    effect->u.trace.b};
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
        world_schedule(cluster, at, AT_TICK, index)->generation = node->generation;
    }
}

/* Effects are copied out first: performing one may step this node again (a link that closes). */
void world_step(struct cluster *cluster, unsigned index, struct td_event *event)
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

/* ---- processes ---- */
void world_boot(struct cluster *cluster, unsigned index)
{
    struct node *node = &cluster->nodes[index];
    struct td_core_config config = {.self = {(uint8_t)(index + 1)},
                                    .table_seed = cluster_random(cluster, UINT64_MAX),
                                    .stale_ms = cluster->options.stale_ms,
                                    .limits = {.registers_max = 8192,
                                               .bytes_max = 4 << 20,
                                               .links_max = 2 * CLUSTER_NODES_MAX,
                                               .requests_max = 1024,
                                               .pending_deltas_max = 1024,
                                               .batches_max = 16384,
                                               .ring_batches = cluster->options.ring_batches,
                                               .change_ring = 4096},
                                    .software = {"test", 4}};

    config.cluster = cluster->roster.cluster;
    node->block_bytes = td_core_bytes(&config);
    node->block = calloc(1, node->block_bytes + 64); /* zero pages, touched as used */
    TD_ASSERT(node->block != NULL);
    node->core = td_core_init(&config, (void *)(((uintptr_t)node->block + 63) & ~(uintptr_t)63));
    node->generation += 1;
    node->tick_ms = UINT64_MAX;
    node->flushing = false;
    memset(node->heads, 0, sizeof node->heads);

    struct td_event roster = world_event(cluster, index, TD_EV_ROSTER);
    roster.u.roster = &cluster->roster;
    world_step(cluster, index, &roster);
    node->log_process = node->log_count;
    for (size_t i = 0; i < node->log_process; i++) {
        struct td_event event = world_event(cluster, index, TD_EV_START);
        struct td_record record = node->log[i].record;
        record.ref.ticket.v = 0;
        node->log[i].ticket = 0;
        event.u.start.records = &record;
        event.u.start.count = 1;
        world_step(cluster, index, &event);
    }
    struct td_event last = world_event(cluster, index, TD_EV_START);
    last.u.start.last = true;
    world_step(cluster, index, &last);
}

void world_boot_links(struct cluster *cluster, unsigned index)
{
    for (unsigned other = 0; other < cluster->options.nodes; other++) {
        if (other != index) {
            world_schedule(cluster, cluster->now_ms + LINK_EVENTS_MS, AT_CONNECT, index)->other =
                other;
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
            world_disconnect(cluster, index, other);
        }
    }
}

void cluster_restart(struct cluster *cluster, unsigned index)
{
    if (cluster->nodes[index].core == NULL) {
        world_boot(cluster, index);
        world_boot_links(cluster, index);
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
