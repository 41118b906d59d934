/* replica_harness.c -- see replica_harness.h. */
#include "node/core/replica_harness.h"

uint64_t test_job_hash(const char *job)
{
    return hash_bytes(11, job, strlen(job));
}

struct td_text test_text(const char *text)
{
    return (struct td_text){text, (uint32_t)strlen(text)};
}

static struct td_core_limits default_limits(struct td_core_limits limits)
{
    const struct td_core_limits defaults = {
        .registers_max = 4096,
        .bytes_max = 4 * 1024 * 1024,
        .links_max = 8,
        .requests_max = 256,
        .pending_deltas_max = 512,
        .batches_max = 8192,
        .ring_batches = 32,
        .live_updates_max = limits.live_updates_max,
        .change_ring = 256,
    };
    return limits.registers_max != 0 ? limits : defaults;
}

static void make_roster(struct replica *replica, const struct replica_options *options)
{
    for (unsigned i = 0; i < options->regions; ++i) {
        replica->keys[i].number = 1;
        replica->regions[i] = (struct td_roster_region){
            .number = {(uint8_t)(i + 1)},
            .name = test_text(i == 0   ? "us-east"
                              : i == 1 ? "eu-west"
                                       : "ap-south"),
            .state = TD_REGION_ACTIVE,
            .quota_registers = options->quota_registers != 0 ? options->quota_registers : 1000000,
            .quota_bytes = options->quota_bytes != 0 ? options->quota_bytes : UINT64_C(1) << 40,
            .key_count = 1,
            .keys = &replica->keys[i],
            .admitted_version = 1,
        };
    }
    replica->roster = (struct td_roster){
        .version = 1,
        .issued_ms = REPLICA_WALL_MS,
        .policy = {30 * 86400, 365 * 86400, 7 * 86400, 0, 0},
        .region_count = options->regions,
        .regions = replica->regions,
    };
}

struct replica *replica_new(struct replica_options options)
{
    struct replica *replica = calloc(1, sizeof *replica);
    assert_non_null(replica);
    replica->now = (struct td_time){1000, REPLICA_WALL_MS};
    make_roster(replica, &options);
    replica->config = (struct td_core_config){
        .self = {1},
        .table_seed = 42,
        .stale_ms = 30000,
        .limits = default_limits(options.limits),
        .software = test_text("test"),
    };
    replica->block_bytes = td_core_bytes(&replica->config);
    replica->log_max = 65536;
    replica->log = calloc(replica->log_max, sizeof *replica->log);
    assert_non_null(replica->log);
    replica->random_bits = 7;
    return replica;
}

void replica_free(struct replica *replica)
{
    pool_free(&replica->pool);
    free(replica->block);
    free(replica->log);
    free(replica);
}

/* ---- effects ---- */

static void keep_store(struct replica *replica, const struct td_effect *effect)
{
    assert_true(replica->store_count < REPLICA_STORES_MAX);
    struct replica_store *store =
        &replica->stores[(replica->store_first + replica->store_count++) % REPLICA_STORES_MAX];
    *store = (struct replica_store){.ticket = effect->u.store.ticket, .kind = effect->u.store.kind};
    switch (store->kind) {
    case TD_STORE_OWN:
        store->batch = build_batch(&replica->pool, replica->config.cluster, effect);
        break;
    case TD_STORE_RECEIVED:
        store->batch = effect->u.store.handle;
        break;
    case TD_STORE_RECORD:
        store->record = *effect->u.store.record;
        if (store->record.type == TD_RECORD_HAS) {
            store->record.u.has = copy_vv(&replica->pool, &store->record.u.has);
        }
        break;
    }
}

static void copy_view(struct replica *replica, struct td_register_view *view)
{
    view->job.bytes = pool_copy(&replica->pool, view->job.bytes, view->job.count, 1);
    view->status.detail.bytes =
        pool_copy(&replica->pool, view->status.detail.bytes, view->status.detail.count, 1);
    view->status.writer.bytes =
        pool_copy(&replica->pool, view->status.writer.bytes, view->status.writer.count, 1);
    view->clock = pool_copy(&replica->pool, view->clock, view->clock_count, sizeof *view->clock);
    view->status.labels = NULL;
    view->status.label_count = 0;
}

static void keep_reply(struct replica *replica, const struct td_response *response)
{
    assert_true(replica->reply_count < REPLICA_REPLIES_MAX);
    struct replica_reply *reply = &replica->replies[replica->reply_count++];
    *reply = (struct replica_reply){
        .id = response->id, .op = response->op, .err = response->err, .certain = response->certain};
    switch (response->op) {
    case TD_OP_PUBLISH:
        reply->count = response->u.publish.count;
        reply->results = pool_copy(&replica->pool, response->u.publish.results, reply->count,
                                   sizeof *reply->results);
        break;
    case TD_OP_GET:
    case TD_OP_LIST:
    case TD_OP_WATCH:
        reply->count = response->u.registers.count;
        reply->next_cursor = response->u.registers.next_cursor;
        reply->reset = response->u.registers.reset;
        reply->views = pool_copy(&replica->pool, response->u.registers.registers, reply->count,
                                 sizeof *reply->views);
        for (uint32_t i = 0; i < reply->count; ++i) {
            copy_view(replica, &reply->views[i]);
        }
        break;
    case TD_OP_EXPLAIN:
        reply->count = response->u.explain.count;
        reply->versions = pool_copy(&replica->pool, response->u.explain.versions, reply->count,
                                    sizeof *reply->versions);
        reply->refused_count = response->u.explain.refused_count;
        reply->refused = pool_copy(&replica->pool, response->u.explain.refused,
                                   reply->refused_count, sizeof *reply->refused);
        for (uint32_t i = 0; i < reply->refused_count; ++i) {
            struct td_text *from = &reply->refused[i].from;
            from->bytes = pool_copy(&replica->pool, from->bytes, from->count, 1);
        }
        break;
    case TD_OP_STATUS:
        reply->count = response->u.status.region_count;
        reply->publishing = response->u.status.publishing;
        reply->regions = pool_copy(&replica->pool, response->u.status.regions, reply->count,
                                   sizeof *reply->regions);
        for (uint32_t i = 0; i < reply->count; ++i) {
            struct td_region_view *view = &reply->regions[i];
            view->hears =
                pool_copy(&replica->pool, view->hears, view->hears_count, sizeof *view->hears);
        }
        break;
    default:
        break;
    }
}

static void count_sends(struct replica *replica, const struct td_effect *effect)
{
    static const uint8_t types[] = {[TD_OUT_HEAD] = TD_MSG_HEAD,
                                    [TD_OUT_LIVE] = TD_MSG_LIVE,
                                    [TD_OUT_CHUNK] = TD_MSG_TRANSFER_CHUNK,
                                    [TD_OUT_FETCHED] = TD_MSG_FETCHED};
    for (uint32_t i = 0; i < effect->u.send.count; ++i) {
        const struct td_out *out = &effect->u.send.out[i];
        replica->sent[out->type == TD_OUT_MSG ? out->u.msg.type : types[out->type]] += 1;
    }
}

static void perform(struct replica *replica, const struct td_effect *effects, size_t count)
{
    for (size_t i = 0; i < count; ++i) {
        switch (effects[i].type) {
        case TD_FX_STORE:
            keep_store(replica, &effects[i]);
            break;
        case TD_FX_RANDOM:
            assert_false(replica->random_wanted);
            replica->random_wanted = true;
            break;
        case TD_FX_REPLY:
            keep_reply(replica, effects[i].u.reply.response);
            break;
        case TD_FX_TRACE:
            replica->traces[effects[i].u.trace.code] += 1;
            break;
        case TD_FX_SEND:
            count_sends(replica, &effects[i]);
            break;
        case TD_FX_CLOSE_LINK:
            replica->closed_count += 1;
            replica->closed_link = effects[i].u.close_link.link.v;
            replica->closed_why = effects[i].u.close_link.why;
            break;
        case TD_FX_COMPACT:
            replica->compact = effects[i].u.compact;
            break;
        case TD_FX_SIGN_HEAD:
            break;
        }
    }
}

void replica_step(struct replica *replica, struct td_event *event)
{
    size_t count = 0;
    event->now = replica->now;
    const struct td_effect *effects = td_core_step(replica->core, event, &count);
    perform(replica, effects, count);
}

void replica_tick(struct replica *replica, uint64_t ms_later)
{
    struct td_event event = {.type = TD_EV_TICK};
    replica->now.boot_ms += ms_later;
    replica->now.wall_ms += ms_later;
    replica_step(replica, &event);
}

/* ---- the log ---- */

static void append(struct replica *replica, const struct replica_store *store,
                   struct td_log_ref ref)
{
    assert_true(replica->log_count < replica->log_max);
    struct td_record *record = &replica->log[replica->log_count++];
    if (store->kind == TD_STORE_RECORD) {
        *record = store->record;
    } else {
        *record = (struct td_record){.type = TD_RECORD_BATCH, .u.batch = store->batch};
    }
    record->ref = ref;
}

void replica_complete(struct replica *replica, bool durable)
{
    assert_true(replica->store_count > 0);
    const struct replica_store store = replica->stores[replica->store_first];
    struct td_hash leaves[TD_BATCH_DELTAS_MAX];
    struct td_event event = {.type = TD_EV_STORED};
    replica->store_first = (replica->store_first + 1) % REPLICA_STORES_MAX;
    replica->store_count -= 1;
    event.u.stored.ticket = store.ticket;
    event.u.stored.durable = durable;
    if (store.kind == TD_STORE_OWN) {
        for (uint32_t i = 0; i < store.batch->header.count; ++i) {
            leaves[i] = store.batch->deltas[i].leaf;
        }
        event.u.stored.leaves = leaves;
        event.u.stored.leaf_count = store.batch->header.count;
    }
    if (durable) {
        event.u.stored.ref =
            (struct td_log_ref){store.ticket, REPLICA_POSITION + replica->log_count, 100};
        append(replica, &store, event.u.stored.ref);
    }
    replica_step(replica, &event);
}

static void give_random(struct replica *replica)
{
    struct td_event event = {.type = TD_EV_RANDOM};
    replica->random_wanted = false;
    event.u.random.bits = replica->random_bits++;
    replica_step(replica, &event);
}

void replica_settle(struct replica *replica)
{
    while (replica->store_count > 0 || replica->random_wanted) {
        if (replica->random_wanted) {
            give_random(replica);
        } else {
            replica_complete(replica, true);
        }
    }
}

void replica_start(struct replica *replica)
{
    replica->block =
        calloc(1, replica->block_bytes + 64); /* pages that nobody touches cost nothing */
    assert_non_null(replica->block);
    const uintptr_t aligned = ((uintptr_t)replica->block + 63) / 64 * 64;
    replica->core = td_core_init(&replica->config, (void *)aligned);
    replica->store_count = 0;
    replica->random_wanted = false;
    struct td_event event = {.type = TD_EV_ROSTER};
    event.u.roster = &replica->roster;
    replica_step(replica, &event);
    event.type = TD_EV_START;
    event.u.start.records = replica->log;
    event.u.start.count = replica->log_count;
    event.u.start.last = true;
    replica_step(replica, &event);
    replica_settle(replica);
}

void replica_restart(struct replica *replica)
{
    free(replica->block);
    replica_start(replica);
}

/* ---- what others made ---- */

const struct td_batch *replica_batch(struct replica *replica, struct td_origin origin,
                                     uint64_t first_seq, const struct td_delta *deltas,
                                     uint32_t count)
{
    struct td_effect store = {.type = TD_FX_STORE};
    store.u.store.origin = origin;
    store.u.store.first_seq = first_seq;
    store.u.store.delta_count = count;
    store.u.store.deltas = deltas;
    return build_batch(&replica->pool, replica->config.cluster, &store);
}

bool replica_receive(struct replica *replica, const struct td_batch *batch, enum td_lane lane)
{
    const struct td_received_batch received = {batch, (void *)(uintptr_t)batch};
    struct td_event tick = {.type = TD_EV_TICK};
    size_t count = 0;
    td_fx_reset(replica->core);
    replica->core->now = replica->now;
    const bool accepted = td_batch_accept(replica->core, &received, (struct td_region){2}, lane);
    const struct td_effect *effects = td_fx_finish(replica->core, &count);
    perform(replica, effects, count);
    replica_step(replica, &tick);
    return accepted;
}

void replica_seen(struct replica *replica, struct td_incarnation incarnation)
{
    size_t count = 0;
    td_fx_reset(replica->core);
    replica->core->now = replica->now;
    td_incarnation_seen(replica->core, incarnation);
    const struct td_effect *effects = td_fx_finish(replica->core, &count);
    perform(replica, effects, count);
}

/* ---- requests ---- */

struct td_update test_update(const char *job, uint16_t attempt, enum td_state state)
{
    return (struct td_update){
        .job = test_text(job),
        .job_hash = test_job_hash(job),
        .attempt = attempt,
        .fields = TD_FIELDS_ALL,
        .status = {.state = state, .writer = test_text("w")},
    };
}

uint64_t replica_request(struct replica *replica, struct td_request *request)
{
    struct td_event event = {.type = TD_EV_REQUEST};
    request->id = ++replica->next_id;
    event.u.request.client_link = 5;
    event.u.request.from = replica->client;
    event.u.request.request = request;
    replica_step(replica, &event);
    return request->id;
}

uint64_t replica_publish(struct replica *replica, const struct td_update *updates, uint32_t count,
                         uint8_t ack, uint32_t timeout_ms)
{
    struct td_request request = {.op = TD_OP_PUBLISH, .timeout_ms = timeout_ms};
    request.u.publish.ack = ack;
    request.u.publish.count = count;
    request.u.publish.updates = updates;
    return replica_request(replica, &request);
}

const struct replica_reply *replica_reply(const struct replica *replica, uint64_t id)
{
    for (uint32_t i = replica->reply_count; i > 0; --i) {
        if (replica->replies[i - 1].id == id) {
            return &replica->replies[i - 1];
        }
    }
    return NULL;
}

struct td_result replica_publish_one(struct replica *replica, struct td_update update)
{
    const uint64_t id = replica_publish(replica, &update, 1, 0, 1000);
    replica_settle(replica);
    const struct replica_reply *reply = replica_reply(replica, id);
    assert_non_null(reply);
    if (reply->count == 0) {
        return (struct td_result){.err = reply->err};
    }
    return reply->results[0];
}

enum td_state replica_state(const struct replica *replica, const char *job, uint16_t attempt)
{
    const uint32_t reg = td_table_find(replica->core, test_job_hash(job), test_text(job), attempt);
    return reg == TD_NONE ? TD_STATE_COUNT : (enum td_state)replica->core->registers[reg].state;
}

const struct td_region_view *replica_region_view(struct replica *replica, uint8_t region)
{
    struct td_request status = {.op = TD_OP_STATUS};
    const struct replica_reply *reply = replica_reply(replica, replica_request(replica, &status));
    for (uint32_t i = 0; i < reply->count; ++i) {
        if (reply->regions[i].region.v == region) {
            return &reply->regions[i];
        }
    }
    fail_msg("no row for region %u", region);
    return NULL;
}

/* ---- fixtures ---- */

static int set_up(void **state, unsigned regions)
{
    struct replica *replica = replica_new((struct replica_options){.regions = regions});
    replica_start(replica);
    *state = replica;
    return 0;
}

int replica_setup_2(void **state)
{
    return set_up(state, 2);
}

int replica_setup_3(void **state)
{
    return set_up(state, 3);
}

int replica_setup_4(void **state)
{
    return set_up(state, 4);
}

int replica_teardown(void **state)
{
    struct replica *replica = *state;
    replica_settle(replica);
    assert_true(td_core_check(replica->core));
    replica_free(replica);
    return 0;
}
