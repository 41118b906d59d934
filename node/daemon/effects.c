/* effects.c -- performs the core's effects with real drivers: log, links, signer, answers, traces. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "node/daemon/gateway.h"
#include "node/daemon/logging.h"
#include "node/daemon/node.h"
#include "node/daemon/trace.h"
#include "node/http/http.h"
#include "proto/assert.h"
#include "proto/order.h"

enum { RESPONSE_BYTES = 64 * 1024, OWN_COUNTERS = 31 };

struct td_time td_node_now(void)
{
    struct timespec boot, wall;
    clock_gettime(CLOCK_BOOTTIME, &boot);
    clock_gettime(CLOCK_REALTIME, &wall);
    return (struct td_time){ .boot_ms = (uint64_t)boot.tv_sec * 1000 + (uint64_t)boot.tv_nsec / 1000000,
        .wall_ms = (uint64_t)wall.tv_sec * 1000 + (uint64_t)wall.tv_nsec / 1000000 };
}

static struct td_time now(void *self)
{
    (void)self;
    return td_node_now();
}

static void send_frames(void *self, const struct td_effect *effect)
{
    struct td_node *node = self;
    if (node->net != NULL) {
        td_egress_send(node->egress, effect);
    }
}

/* ---- completions ---- */

struct completion {
    struct td_inbox_item item;
    struct td_hash leaves[];
};

static void release_completion(struct td_inbox_item *item)
{
    free(item);
}

static struct completion *make_completion(size_t leaf_count)
{
    struct completion *completion =
        calloc(1, sizeof *completion + leaf_count * sizeof(struct td_hash));
    if (completion == NULL) {
        abort(); /* a completion that never comes would hang every publisher */
    }
    completion->item.class_ = TD_INBOX_COMPLETION;
    completion->item.release = release_completion;
    return completion;
}

static void push_completion(struct td_node *node, struct completion *completion)
{
    if (!td_inbox_push(&node->inbox, &completion->item)) {
        abort(); /* completions have no bound of their own: their number is bounded by the core */
    }
}

void td_effects_stored(void *self, const struct td_log_done *done)
{
    struct td_node *node = self;
    struct completion *completion = make_completion(done->leaf_count);
    struct td_event *event = &completion->item.event;
    if (done->leaf_count > 0) {
        memcpy(completion->leaves, done->leaves, done->leaf_count * sizeof done->leaves[0]);
    }
    event->type = TD_EV_STORED;
    event->u.stored.ticket = done->ticket;
    event->u.stored.durable = done->durable;
    event->u.stored.ref = done->ref;
    event->u.stored.leaves = completion->leaves;
    event->u.stored.leaf_count = done->leaf_count;
    if (!done->durable) {
        td_log_event(TD_ERROR, "log_write_failed", "why", td_err_text(done->why), NULL);
    }
    td_message_put(done->handle);
    push_completion(node, completion);
}

static void store(void *self, const struct td_effect *effect)
{
    struct td_node *node = self;
    if (effect->u.store.kind == TD_STORE_RECEIVED && effect->u.store.handle != NULL) {
        td_message_get(effect->u.store.handle);
    }
    /* The log's queue holds as many tickets as the core can have in flight. */
    bool queued = td_log_submit(node->log, effect);
    TD_ASSERT(queued);
}

static void sign_head(void *self, struct td_head *head)
{
    struct td_node *node = self;
    struct td_buffer bytes;
    head->cluster = node->cluster;
    head->key_number = node->key_number;
    td_buffer_init(&bytes, TD_HEAD_BYTES_MAX + 256);
    size_t room = 4096;
    size_t used = 0;
    while (used == 0 && room <= TD_HEAD_BYTES_MAX + 256) {
        uint8_t *place = td_buffer_reserve(&bytes, room);
        used = place != NULL ? td_head_encode(head, &node->signer, place, room) : 0;
        room *= 2;
    }
    TD_ASSERT(used > 0);
    head->raw = (struct td_bytes){ bytes.bytes, used };
    td_head_slots_keep(&node->heads, head);
    struct completion *completion = make_completion(0);
    completion->item.event.type = TD_EV_HEAD_SIGNED;
    completion->item.event.u.head_signed.number = head->number;
    memcpy(completion->item.event.u.head_signed.hash, head->hash, sizeof head->hash);
    td_buffer_fini(&bytes);
    push_completion(node, completion);
}

static void draw_random(void *self)
{
    struct td_node *node = self;
    struct completion *completion = make_completion(0);
    completion->item.event.type = TD_EV_RANDOM;
    td_random_bytes(&completion->item.event.u.random.bits, sizeof(uint32_t));
    push_completion(node, completion);
}

/* ---- compaction ---- */

/* Behind the completions that the log reported before: the core must know of every batch it is asked about. */
void td_effects_ask(void *self, const struct td_compact_ask *ask)
{
    struct completion *completion = make_completion(0);
    completion->item.event.type = TD_EV_COMPACT;
    completion->item.event.u.compact = ask;
    push_completion(self, completion);
}

void td_effects_compacted(void *self, const struct td_log_compacted *what)
{
    (void)self;
    td_log_event(TD_INFO, "log_compacted", "inputs", td_log_number(what->inputs), "output",
                 td_log_number(what->output), "bytes_before", td_log_number(what->bytes_before),
                 "bytes_after", td_log_number(what->bytes_after), NULL);
}

/* The inputs go when the last answer is there: not before the sends handed out earlier have been read. */
static void compact(void *self, const struct td_compact_answer *answer)
{
    struct td_node *node = self;
    if (answer->step == TD_COMPACT_MOVED && node->egress != NULL) {
        td_egress_answer(node->egress, answer);
    } else if (node->log != NULL) {
        td_log_compact(node->log, answer);
    }
}

/* ---- answers ---- */

/* Marked, not changed: what a revoked region said since then. */
static uint8_t doubted(struct td_node *node, struct td_region region, uint64_t stamp_ms)
{
    struct td_roster_ref *roster = td_membership_get(node->membership);
    bool doubts = roster != NULL &&
                  td_roster_doubts(td_roster_ref_roster(roster), region, stamp_ms);
    td_roster_ref_put(roster);
    return doubts ? TD_VIEW_DOUBTFUL : 0;
}

/* EXPLAIN: the core knows where each version lies; its content comes from the log, verified again. */
/* False: the log has given it up since, as something durable beat it. */
static bool fill_version(struct td_node *node, struct td_version_view *version, struct td_reader *reader,
                         struct td_arena *arena)
{
    bool there = false;
    struct td_log_ref ref = { .ticket = { version->log_ticket }, .position = version->log_position,
        .bytes = version->log_bytes };
    uint8_t *raw = td_arena_take(arena, ref.bytes, 1);
    struct td_batch batch;
    size_t got = 0;
    enum td_err err = raw == NULL ? TD_ENOMEM : td_log_read(node->log, ref, raw, ref.bytes, &got);
    if (err != TD_OK ||
        td_ingress_decode_batch(node, (struct td_bytes){ raw, got }, reader, arena, true, &batch) != TD_OK) {
        return err != TD_EUNKNOWN; /* else it is shown as what could not be read */
    }
    for (uint32_t i = 0; i < batch.present_count; i++) {
        const struct td_delta *delta = &batch.deltas[i];
        if (delta->index != version->log_index) {
            continue;
        }
        version->view.job = delta->job;
        version->view.attempt = delta->attempt;
        version->view.client = delta->client;
        version->view.status = delta->status;
        version->view.stamp = delta->stamp;
        version->view.dot = (struct td_dot){ batch.header.origin, batch.header.first_seq + delta->index };
        version->view.clock_count = delta->clock_count;
        version->view.clock = delta->clock;
        version->view.leaf = delta->leaf;
        version->view.flags =
            (uint8_t)(delta->flags | doubted(node, batch.header.origin.region, delta->stamp.ms));
        there = true;
        version->signature_ok = true; /* td_ingress_decode_batch verified it just now */
    }
    struct td_roster_ref *roster = td_membership_get(node->membership);
    const struct td_region_key *key = roster == NULL ? NULL :
        td_roster_key(td_roster_ref_roster(roster), batch.header.origin.region, batch.header.key_number);
    if (key != NULL) {
        version->signer = key->sign_key;
    }
    if (roster != NULL) {
        td_roster_ref_put(roster);
    }
    return there;
}

static void fill_versions(struct td_node *node, struct td_response *response, struct td_arena *arena)
{
    struct td_reader *reader = td_reader_alloc();
    uint32_t count = response->u.explain.count;
    struct td_version_view *versions = td_arena_take(arena, count + 1, sizeof *versions);
    if (reader != NULL && versions != NULL) {
        memcpy(versions, response->u.explain.versions, count * sizeof *versions);
        uint32_t kept = 0;
        for (uint32_t i = 0; i < count; i++) {
            struct td_version_view version = versions[i];
            if (!fill_version(node, &version, reader, arena) && !version.winner) {
                continue;
            }
            /* The core knows when it came, the delta when it was made. */
            version.arrived_after_known &= version.view.stamp.ms != 0;
            version.arrived_after_ms -= (int64_t)version.view.stamp.ms;
            versions[kept++] = version;
        }
        response->u.explain.versions = versions;
        response->u.explain.count = kept;
    }
    td_reader_free(reader);
}

/* Envelope fields that only the driver knows. */
static void complete(struct td_node *node, struct td_response *response, const struct td_roster *roster,
                     struct td_region_name *names)
{
    response->node = node->self;
    response->now_ms = td_node_now().wall_ms;
    response->stale_ms = node->config.fresh_stale_ms;
    response->node_name = (struct td_text){ node->config.region, (uint32_t)strlen(node->config.region) };
    if (roster == NULL) {
        return;
    }
    response->cluster_name = roster->cluster_name;
    for (uint32_t i = 0; i < roster->region_count; i++) {
        names[i].region = roster->regions[i].number;
        names[i].name = roster->regions[i].name;
    }
    response->name_count = roster->region_count;
    response->names = names;
}

/* STATUS: what links and log count beside the core's own counters. Names are part of the interface. */
static uint32_t own_counters(struct td_node *node, struct td_counter *counters)
{
    td_metrics_keep(node);
    const uint64_t *jobs = node->metrics.core.jobs_by_state; /* only the core's thread writes it */
    struct td_net_stats net = td_net_stats(node->net);
    struct td_log_stats log = node->log != NULL ? td_log_stats(node->log) : (struct td_log_stats){ 0 };
    const struct {
        const char *name;
        uint64_t value;
    } rows[OWN_COUNTERS] = {
        { "links_accepted", net.accepted },
        { "links_refused_table_full", net.refused_table_full },
        { "links_refused_handshake", net.refused_handshake },
        { "links_refused_not_in_roster", net.refused_not_in_roster },
        { "links_half_open", net.half_open },
        { "clients", net.clients },
        { "roster_fork", __atomic_load_n(&node->roster_fork, __ATOMIC_RELAXED) },
        { "log_flushes", log.flushes },
        { "log_flush_ns_total", log.flush_ns_total },
        { "log_flush_ns_max", log.flush_ns_max },
        { "log_flush_p99_us", td_durations_quantile_us(&log.flush, 990) },
        { "log_written_bytes", log.written_bytes },
        { "log_groups_failed", log.groups_failed },
        { "log_compactions", log.compactions },
        { "log_compactions_failed", log.compactions_failed },
        { "log_reclaimed_bytes", log.reclaimed_bytes },
        { "log_damaged_records", node->log_damaged_records },
        { "log_missing_segments", node->log_missing_segments },
        { "config_reload_ok", !__atomic_load_n(&node->config_refused, __ATOMIC_RELAXED) },
        { "config_read_at_ms", __atomic_load_n(&node->config_read_wall_ms, __ATOMIC_RELAXED) },
        { "log_messages_warn", td_log_count(TD_WARN) },
        { "log_messages_error", td_log_count(TD_ERROR) },
        { "jobs_pending", jobs[TD_STATE_PENDING] },
        { "jobs_starting", jobs[TD_STATE_STARTING] },
        { "jobs_running", jobs[TD_STATE_RUNNING] },
        { "jobs_stopping", jobs[TD_STATE_STOPPING] },
        { "jobs_lost", jobs[TD_STATE_LOST] },
        { "jobs_completed", jobs[TD_STATE_COMPLETED] },
        { "jobs_failed", jobs[TD_STATE_FAILED] },
        { "jobs_stopped", jobs[TD_STATE_STOPPED] },
        { "jobs_silent", node->metrics.core.jobs_silent },
    };
    for (uint32_t i = 0; i < OWN_COUNTERS; i++) {
        counters[i].name = (struct td_text){ rows[i].name, (uint32_t)strlen(rows[i].name) };
        counters[i].value = rows[i].value;
    }
    return OWN_COUNTERS;
}

/* Signatures are checked before the core, so their refusals are added here. */
static void fill_counters(struct td_node *node, struct td_response *response, struct td_arena *arena)
{
    static const char name[] = "rejected_signature";
    uint32_t count = response->u.status.counter_count;
    struct td_counter *counters = td_arena_take(arena, count + OWN_COUNTERS, sizeof *counters);
    if (counters == NULL || count == 0) {
        return;
    }
    memcpy(counters, response->u.status.counters, count * sizeof *counters);
    for (uint32_t i = 0; i < count; i++) {
        if (counters[i].name.count == sizeof name - 1 &&
            memcmp(counters[i].name.bytes, name, sizeof name - 1) == 0) {
            counters[i].value += __atomic_load_n(&node->counters_rejected_signature, __ATOMIC_RELAXED);
        }
    }
    response->u.status.counter_count = count + own_counters(node, counters + count);
    response->u.status.counters = counters;
}

/* STATUS: byte counts live in the links, not in the core. */
static void fill_status(struct td_node *node, struct td_response *response, struct td_arena *arena)
{
    uint32_t count = response->u.status.region_count;
    struct td_region_view *regions = td_arena_take(arena, count + 1, sizeof *regions);
    if (regions != NULL && node->net != NULL) {
        memcpy(regions, response->u.status.regions, count * sizeof *regions);
        for (uint32_t i = 0; i < count; i++) {
            td_net_region_stats(node->net, regions[i].region, &regions[i].sent_bytes,
                                &regions[i].received_bytes, &regions[i].reconnects);
        }
        response->u.status.regions = regions;
    }
    if (node->log != NULL) {
        response->u.status.log_bytes = td_log_bytes(node->log);
        response->u.status.log_limit_bytes = node->config.log_limit_bytes;
    }
}

/* Bytes used of out, or 0: too large for one frame, or no memory. */
static size_t encode_response(const struct td_response *response, struct td_buffer *out)
{
    size_t room = RESPONSE_BYTES;
    for (;;) {
        uint8_t *place = td_buffer_reserve(out, room);
        size_t used = place != NULL ? td_response_encode(response, place, room) : 0;
        if (used > 0 || place == NULL || room == TD_FRAME_BYTES_MAX) {
            return used;
        }
        room = room * 4 < TD_FRAME_BYTES_MAX ? room * 4 : TD_FRAME_BYTES_MAX;
    }
}

static void send_response(struct td_node *node, uint32_t client_link, const struct td_response *response)
{
    struct td_buffer out;
    td_buffer_init(&out, TD_FRAME_BYTES_MAX);
    size_t used = encode_response(response, &out);
    if (used == 0) {
        struct td_response refusal = { .id = response->id, .op = response->op, .err = TD_ETOOBIG,
            .node = response->node, .now_ms = response->now_ms };
        used = encode_response(&refusal, &out);
    }
    struct td_out_frame frame = { TD_MSG_RESPONSE, { out.bytes, used } };
    if (td_http_owns(client_link)) {
        td_gateway_answer(node, client_link, response->id, frame.payload);
    } else if (used == 0) {
        td_net_close_link(node->net, (struct td_link_id){ client_link }, TD_ENOMEM);
    } else {
        (void)td_net_send(node->net, (struct td_link_id){ client_link }, &frame, 1);
    }
    td_buffer_fini(&out);
}

static void reply(void *self, uint32_t client_link, const struct td_response *borrowed)
{
    struct td_node *node = self;
    struct td_response response = *borrowed;
    struct td_region_name names[TD_REGION_NUMBER_MAX]; /* the decoder lets no more regions in */
    struct td_arena arena = { 0 };
    if (client_link == TD_CLIENT_SELF) {
        td_drain_answer(node, borrowed);
        return;
    }
    if (node->net == NULL && !td_http_owns(client_link)) {
        return;
    }
    if (response.op == TD_OP_PUBLISH) {
        td_metrics_publish_end(node, client_link, response.id);
    }
    struct td_roster_ref *roster = td_membership_get(node->membership);
    complete(node, &response, roster != NULL ? td_roster_ref_roster(roster) : NULL, names);
    if (response.err == TD_OK && (response.op == TD_OP_EXPLAIN || response.op == TD_OP_STATUS)) {
        size_t bytes = response.op == TD_OP_EXPLAIN ? 64 * 1024 * 1024 : 256 * 1024;
        void *block = malloc(bytes);
        if (block != NULL) {
            td_arena_init(&arena, block, bytes);
            if (response.op == TD_OP_EXPLAIN) {
                fill_versions(node, &response, &arena);
            } else {
                fill_status(node, &response, &arena);
                fill_counters(node, &response, &arena);
            }
        }
    }
    send_response(node, client_link, &response);
    free(arena.bytes);
    if (roster != NULL) {
        td_roster_ref_put(roster);
    }
}

static void close_link(void *self, struct td_link_id link, enum td_err why)
{
    struct td_node *node = self;
    if (node->net != NULL) {
        td_net_close_link(node->net, link, why);
    }
}

/* Other threads see the durable vector and our process only through these copies. */
static void settled(void *self, const struct td_core *core)
{
    struct td_node *node = self;
    struct td_vv has = td_core_has(core);
    if (has.entry_count != node->has.count ||
        memcmp(has.entries, node->has.entries, has.entry_count * sizeof has.entries[0]) != 0) {
        pthread_mutex_lock(&node->has.mutex);
        node->has.count = has.entry_count;
        memcpy(node->has.entries, has.entries, has.entry_count * sizeof has.entries[0]);
        pthread_mutex_unlock(&node->has.mutex);
    }
    struct td_incarnation process = td_core_process(core);
    if (node->net != NULL && td_incarnation_compare(process, node->process_told) != 0) {
        node->process_told = process;
        td_net_set_process(node->net, process);
    }
}

struct td_loop_ops td_effects_ops(struct td_node *node)
{
    return (struct td_loop_ops){ .self = node, .now = now, .send = send_frames, .store = store,
        .sign_head = sign_head, .random = draw_random, .reply = reply, .close_link = close_link,
        .trace = td_trace_write, .compact = compact, .settled = settled };
}
