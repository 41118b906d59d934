/* node.c -- processes: real core and real log over a disk in memory; boot, effects, crash. */
#include "cluster-tests/sim/secure.h"
#include "cluster-tests/sim/story.h"

#include <stdlib.h>
#include <string.h>

enum { LOG_QUEUE_MAX = 16384, WHY_BYTES = 200, TICKS_AT_ONE_MOMENT_MAX = 20000 };

static int64_t drifted_ms(const struct sim_world *world, const struct sim_node *node)
{
    return (int64_t)(world->now_ms - node->wall_drift_since_ms) * node->wall_drift_ppm / 1000000;
}

void sim_node_drift(struct sim_world *world, struct sim_node *node, int32_t ppm)
{
    node->wall_offset_ms += drifted_ms(world, node);
    node->wall_drift_ppm = ppm;
    node->wall_drift_since_ms = world->now_ms;
}

struct td_event sim_node_event(const struct sim_world *world, int index, enum td_event_type type)
{
    const struct sim_node *node = &world->nodes[index];
    struct td_event event;

    memset(&event, 0, sizeof event);
    event.type = type;
    event.now.boot_ms = node->boot_base_ms + world->now_ms;
    event.now.wall_ms = (uint64_t)((int64_t)(SIM_WALL_MS + world->now_ms) + node->wall_offset_ms +
                                   drifted_ms(world, node));
    return event;
}

/* ---- the log ---- */
static enum td_err no_reserve(void *self, int file, uint64_t size_bytes)
{
    (void)self;
    (void)file;
    (void)size_bytes;
    return TD_OK;
}

/* Best effort anyway, and zeroes in memory for every segment are not worth it here. */
static struct td_disk disk_door(struct sim_node *node)
{
    struct td_disk door = test_disk_door(&node->disk);
    door.reserve = no_reserve;
    return door;
}

static void on_done(void *self, const struct td_log_done *done)
{
    struct sim_node *node = self;

    if (node->dying) {
        sim_message_put(done->handle);
        return;
    }
    if (node->done_count == node->done_room) {
        node->done_room = node->done_room == 0 ? 64 : node->done_room * 2;
        node->done = realloc(node->done, node->done_room * sizeof *node->done);
        TD_ASSERT(node->done != NULL);
    }
    struct sim_done *kept = &node->done[node->done_count++];
    kept->done = *done;
    kept->leaves = NULL;
    if (done->leaf_count > 0) {
        kept->leaves = malloc(done->leaf_count * sizeof *kept->leaves);
        TD_ASSERT(kept->leaves != NULL);
        memcpy(kept->leaves, done->leaves, done->leaf_count * sizeof *kept->leaves);
    }
}

static void on_ask(void *self, const struct td_compact_ask *ask)
{
    ((struct sim_node *)self)->asked = ask;
}

static void on_compacted(void *self, const struct td_log_compacted *what)
{
    struct sim_node *node = self;

    node->compactions++;
    node->compacted_bytes += what->bytes_before - what->bytes_after;
}

static void forget_done(struct sim_node *node)
{
    for (size_t i = 0; i < node->done_count; i++) {
        sim_message_put(node->done[i].done.handle);
        free(node->done[i].leaves);
    }
    node->done_count = 0;
}

static void drive_log(struct sim_world *world, int index);

/* The question of a compaction comes behind the completions that were before it, as in the daemon.
 */
static void ask_core(struct sim_world *world, int index)
{
    struct sim_node *node = &world->nodes[index];

    if (node->asked != NULL) {
        struct td_event event = sim_node_event(world, index, TD_EV_COMPACT);
        event.u.compact = node->asked;
        node->asked = NULL;
        sim_node_step(world, index, &event);
    }
    world->counts.compactions += node->compactions;
    world->counts.compacted_bytes += node->compacted_bytes;
    node->compactions = node->compacted_bytes = 0;
    drive_log(world, index);
}

/* What the daemon's log thread does: one group, then its completions go to the core. */
void sim_node_flush(struct sim_world *world, int index)
{
    struct sim_node *node = &world->nodes[index];
    uint32_t generation = node->generation;

    node->flush_scheduled = false;
    if (node->power_in > 0) {
        node->disk.power_off_at = node->disk.calls + node->power_in;
        node->power_in = 0;
    }
    (void)td_log_work(node->log, 0);
    if (node->disk.off) {
        sim_trace(world, "node %d: power lost in the middle of a flush", index + 1);
        sim_node_crash(world, index, true);
        return;
    }
    size_t count = node->done_count;
    struct sim_done *done = node->done;
    node->done = NULL;
    node->done_count = node->done_room = 0;
    for (size_t i = 0; i < count; i++) {
        struct td_event event = sim_node_event(world, index, TD_EV_STORED);
        if (node->generation == generation) {
            event.u.stored.ticket = done[i].done.ticket;
            event.u.stored.durable = done[i].done.durable;
            event.u.stored.ref = done[i].done.ref;
            event.u.stored.leaves = done[i].leaves;
            event.u.stored.leaf_count = done[i].done.leaf_count;
            world->counts.flushes_failed += !done[i].done.durable;
            sim_truth_stored(world, index, done[i].done.ticket, done[i].done.durable,
                             done[i].leaves, done[i].done.leaf_count);
            sim_node_step(world, index, &event);
        }
        sim_message_put(done[i].done.handle);
        free(done[i].leaves);
    }
    free(done);
    if (node->generation == generation) {
        ask_core(world, index);
    }
}

/* ---- effects ---- */
static void schedule_flush(struct sim_world *world, int index)
{
    struct sim_node *node = &world->nodes[index];

    if (node->flush_scheduled) {
        return;
    }
    node->flush_scheduled = true;
    uint64_t flush_ms = sim_random_between(&world->r_disk, world->options.flush_ms_min,
                                           world->options.flush_ms_max) +
                        node->flush_extra_ms;
    sim_schedule(world, world->now_ms + flush_ms, SIM_AT_FLUSH, index)->generation =
        node->generation;
}

/* A compaction goes on while nothing is stored. */
static void drive_log(struct sim_world *world, int index)
{
    if (td_log_busy(world->nodes[index].log)) {
        schedule_flush(world, index);
    }
}

static void store(struct sim_world *world, int index, const struct td_effect *effect)
{
    struct sim_node *node = &world->nodes[index];

    if (effect->u.store.kind == TD_STORE_RECEIVED && effect->u.store.handle != NULL) {
        ((struct sim_message *)effect->u.store.handle)->references++;
    }
    if (effect->u.store.kind == TD_STORE_OWN) {
        sim_truth_store(world, index, effect);
    }
    sim_check_i8_store(world, index, effect->u.store.ticket);
    bool queued = td_log_submit(node->log, effect);
    TD_ASSERT(queued);
    schedule_flush(world, index);
}

static void sign_head(struct sim_world *world, int index, struct td_head *head)
{
    struct sim_node *node = &world->nodes[index];

    head->cluster = world->roster.cluster;
    head->key_number = 1;
    if (sim_is_bad(world, index)) {
        sim_byz_head(world, head);
    }
    size_t used = td_head_encode(head, &node->signer, world->scratch, world->scratch_bytes);
    TD_ASSERT(used > 0);
    head->raw = (struct td_bytes){world->scratch, used};
    sim_wire_keep_head(node, head);
    sim_leave_said(world, index, head);
    uint64_t delay_ms = sim_random_below(&world->r_node, 2);
    struct sim_event *done = sim_schedule(
        world, world->now_ms + (world->options.steady ? 0 : delay_ms), SIM_AT_SIGNED, index);
    done->generation = node->generation;
    done->value = head->number;
    memcpy(done->hash, head->hash, sizeof done->hash);
}

static void note_trace(struct sim_world *world, int index, const struct td_effect *effect)
{
    sim_note(world, 100 + (uint64_t)effect->u.trace.code, effect->u.trace.a, effect->u.trace.b);
    sim_trace(world, "node %d: core trace %d region %u a %llu b %llu", index + 1,
              (int)effect->u.trace.code, effect->u.trace.region.v,
              (unsigned long long)effect->u.trace.a, (unsigned long long)effect->u.trace.b);
    if (world->story != NULL) {
        sim_story_core(world, index, effect);
    }
}

static void perform(struct sim_world *world, int index, const struct td_effect *effect)
{
    struct sim_node *node = &world->nodes[index];
    int other;

    switch (effect->type) {
    case TD_FX_SEND:
        other = sim_net_peer(world, index, effect->u.send.link.v);
        if (other != SIM_NONE) {
            sim_wire_send(world, index, other, effect);
        }
        break;
    case TD_FX_STORE:
        break; /* done before the others */
    case TD_FX_SIGN_HEAD:
        sign_head(world, index, effect->u.sign_head);
        break;
    case TD_FX_RANDOM:
        sim_schedule(world, world->now_ms, SIM_AT_RANDOM, index)->generation = node->generation;
        break;
    case TD_FX_REPLY:
        if (effect->u.reply.client_link == SIM_LEAVE_LINK) {
            sim_leave_reply(world, effect->u.reply.response);
        } else if (world->story != NULL && effect->u.reply.client_link >= SIM_CLIENT_FIRST) {
            sim_story_reply(world, index, effect->u.reply.client_link, effect->u.reply.response);
        } else {
            sim_load_reply(world, index, effect->u.reply.client_link, effect->u.reply.response);
        }
        break;
    case TD_FX_CLOSE_LINK:
        other = sim_net_peer(world, index, effect->u.close_link.link.v);
        if (other != SIM_NONE) {
            sim_net_close(world, index, other, true);
        }
        break;
    case TD_FX_TRACE:
        note_trace(world, index, effect);
        break;
    case TD_FX_COMPACT:
        td_log_compact(node->log, effect->u.compact);
        drive_log(world, index);
        break;
    }
}

static void schedule_tick(struct sim_world *world, int index)
{
    struct sim_node *node = &world->nodes[index];
    uint64_t deadline = td_core_deadline_ms(node->core);
    uint64_t base = node->boot_base_ms;

    if (deadline == UINT64_MAX) {
        return;
    }
    uint64_t at = deadline > base + world->now_ms ? deadline - base : world->now_ms;
    if (at < node->tick_ms) {
        node->tick_ms = at;
        sim_schedule(world, at, SIM_AT_TICK, index)->generation = node->generation;
    }
}

void sim_node_tick(struct sim_world *world, int index)
{
    struct sim_node *node = &world->nodes[index];
    struct td_event event = sim_node_event(world, index, TD_EV_TICK);
    uint64_t deadline = td_core_deadline_ms(node->core);

    if (deadline != UINT64_MAX && deadline > event.now.boot_ms) {
        node->tick_ms = UINT64_MAX; /* a later step moved it */
        schedule_tick(world, index);
        return;
    }
    node->tick_ms = UINT64_MAX;
    sim_node_step(world, index, &event);
    /* A replica that always wants another tick at once would never let time go on. */
    node->ticks_now = node->tick_ms == world->now_ms ? node->ticks_now + 1 : 0;
    TD_ASSERT(node->ticks_now < TICKS_AT_ONE_MOMENT_MAX);
}

/* Effects of a step may be performed in any order: stores first, because a send may read what this
 * step stores, the rest shuffled. */
void sim_node_step(struct sim_world *world, int index, struct td_event *event)
{
    struct sim_node *node = &world->nodes[index];
    uint32_t order[TD_FX_MAX];
    uint32_t rest = 0;
    size_t count = 0;

    if (event->now.wall_ms > node->wall_newest_ms) {
        node->wall_newest_ms = event->now.wall_ms;
    }
    const struct td_effect *effects = td_core_step(node->core, event, &count);
    world->counts.steps++;
    TD_ASSERT(count <= TD_FX_MAX);
    for (size_t i = 0; i < count; i++) {
        if (effects[i].type == TD_FX_STORE) {
            store(world, index, &effects[i]);
        } else {
            order[rest++] = (uint32_t)i;
        }
    }
    for (uint32_t i = 0; i < rest; i++) {
        uint32_t pick =
            i + (world->options.steady ? 0 : (uint32_t)sim_random_below(&world->r_node, rest - i));
        uint32_t chosen = order[pick];
        order[pick] = order[i];
        perform(world, index, &effects[chosen]);
    }
    if (node->core->started && !sim_is_bad(world, index)) {
        sim_check_i3_step(world, index);
    }
    if (world->story != NULL) {
        sim_story_look(world, index);
    }
    if (world->watch != NULL) {
        world->watch->stepped(world->watch->self, world, index);
    }
    schedule_tick(world, index);
}

/* ---- boot ---- */
struct replay {
    struct sim_world *world;
    int node;
};

static void feed(struct sim_world *world, int index, const struct td_record *record, bool last)
{
    struct td_event event = sim_node_event(world, index, TD_EV_START);
    event.u.start.records = record;
    event.u.start.count = record != NULL ? 1 : 0;
    event.u.start.last = last;
    sim_node_step(world, index, &event);
}

static void replay_batch(void *self, struct td_log_ref ref, struct td_bytes raw)
{
    struct replay *replay = self;
    struct td_arena arena;
    struct td_batch batch;
    struct td_record record = {.type = TD_RECORD_BATCH, .ref = ref};

    td_arena_init(&arena, replay->world->arena_block, replay->world->arena_bytes);
    if (sim_wire_decode_batch(replay->world, &replay->world->nodes[replay->node], raw, &arena, true,
                              &batch) == TD_OK) {
        record.u.batch = &batch;
        sim_check_i7_batch(replay->world, replay->node, &batch);
    } else {
        record.type = TD_RECORD_HOLE;
    }
    feed(replay->world, replay->node, &record, false);
}

static void replay_record(void *self, const struct td_record *record)
{
    struct replay *replay = self;
    feed(replay->world, replay->node, record, false);
}

static void make_core(struct sim_world *world, int index)
{
    struct sim_node *node = &world->nodes[index];
    struct td_core_config config = {
        .cluster = world->roster.cluster,
        .self = node->region,
        .table_seed = sim_random_next(&world->r_node),
        .stale_ms = 30000,
        .survey_ms = world->options.compact_ms,
        .limits = {.registers_max = 16384,
                   .bytes_max = 16 << 20,
                   .links_max = 2 * TD_REGIONS_MAX,
                   .requests_max = 1024,
                   .pending_deltas_max = 1024,
                   .batches_max = 32768,
                   .ring_batches = world->options.ring_batches,
                   .live_updates_max = world->options.live_updates_max,
                   .change_ring = 32768},
        .software = {"sim", 3},
    };

    node->block_bytes = td_core_bytes(&config) + 64;
    node->block = calloc(1, node->block_bytes); /* zero pages, touched as used */
    TD_ASSERT(node->block != NULL);
    node->core = td_core_init(&config, (void *)(((uintptr_t)node->block + 63) & ~(uintptr_t)63));
}

static void new_boot_base(struct sim_world *world, struct sim_node *node)
{
    uint64_t base_ms = sim_random_between(&world->r_node, 1000, 100000000);
    node->boot_base_ms = world->options.steady ? 100000u * node->region.v : base_ms;
}

static void reset(struct sim_world *world, struct sim_node *node)
{
    node->generation++;
    node->up = true;
    node->dying = false;
    node->tick_ms = UINT64_MAX;
    node->ticks_now = 0;
    node->flush_scheduled = false;
    node->power_in = 0;
    node->flush_extra_ms = 0;
    node->paused_until_ms = 0;
    node->ticket_newest = 0;
    node->own_count = 0;
    node->change_seen = 0;
    node->unproved_count = 0;
    node->acks_taken = 0;
    node->booting = true;
    node->asked = NULL;
    memset(node->fold_seen, 0, sizeof node->fold_seen);
    memset(node->fresh_cursor, 0, sizeof node->fresh_cursor);
    if (node->shadow_room > 0) {
        memset(node->shadow, 0, node->shadow_room * sizeof *node->shadow);
    }
    node->key = (struct sim_key){world->options.seed * 977 + 1, node->region.v};
    node->signer = world->secure != NULL ? sim_secure_signer(world->secure, node->region.v)
                                         : sim_signer(&node->key);
    if (node->reader == NULL) {
        node->reader = td_reader_alloc();
    }
    if (node->boot_base_ms == 0) {
        new_boot_base(world, node);
    }
}

void sim_node_boot(struct sim_world *world, int index)
{
    struct sim_node *node = &world->nodes[index];
    struct replay replay = {world, index};
    struct td_log_replay into = {&replay, replay_batch, replay_record};
    struct td_log_sink sink = {node, on_done, NULL, on_compacted};
    struct td_log_recovery found = {0};
    struct td_disk door = disk_door(node);
    char why[WHY_BYTES] = "";

    reset(world, node);
    if (world->options.compact_ms > 0) {
        sink.ask = on_ask;
    }
    make_core(world, index);
    struct td_event roster = sim_node_event(world, index, TD_EV_ROSTER);
    roster.u.roster = sim_roster(world, index);
    sim_node_step(world, index, &roster);
    struct td_log_options options = {.limit_bytes = UINT64_C(1) << 40,
                                     .segment_bytes = world->options.segment_bytes,
                                     .queue_max = LOG_QUEUE_MAX,
                                     .key_number = 1,
                                     .cluster = world->roster.cluster,
                                     .region = node->region,
                                     .signer = &node->signer};
    enum td_err err =
        td_log_open(&door, &options, &into, &sink, &found, &node->log, why, sizeof why);
    if (err != TD_OK) {
        sim_fail(world, "start", "node %d does not start: %s (%s)", index + 1, td_err_text(err),
                 why);
        return;
    }
    feed(world, index, NULL, true);
    sim_trace(world, "node %d: started, %llu batches in %llu segments, torn %llu, damaged %llu",
              index + 1, (unsigned long long)found.batches, (unsigned long long)found.segments,
              (unsigned long long)found.torn_bytes, (unsigned long long)found.damaged_records);
    if (!sim_is_bad(world, index)) {
        sim_check_i3_booted(world, index);
    }
}

/* ---- the end of a process ---- */
void sim_node_crash(struct sim_world *world, int index, bool power)
{
    struct sim_node *node = &world->nodes[index];

    if (!node->up) {
        return;
    }
    sim_check_i3_down(world, index);
    struct td_vv has = td_core_has(node->core);
    bool fits = td_vv_store_set(&node->has_down, &has);
    TD_ASSERT(fits);
    node->dying = true;
    node->disk.off = true; /* whatever the log still wanted to write is lost */
    td_log_close(node->log);
    forget_done(node);
    node->log = NULL;
    free(node->block);
    node->block = NULL;
    node->core = NULL;
    node->up = false;
    node->generation++;
    for (size_t i = 0; i <= TD_REGIONS_MAX; i++) {
        free(node->heads[i].bytes);
        node->heads[i] = (struct sim_head_slot){.number = 0};
    }
    enum test_crash how = !power                                  ? TEST_CRASH_KEEP
                          : sim_random_chance(&world->r_disk, 50) ? TEST_CRASH_LOSE
                                                                  : TEST_CRASH_RANDOM;
    test_disk_crash(&node->disk, how);
    if (power) {
        new_boot_base(world, node);
    }
    sim_net_gone(world, index, !power);
}

bool sim_node_publishes(const struct sim_world *world, int index)
{
    const struct sim_node *node = &world->nodes[index];
    return node->up && node->core->started && node->paused_until_ms <= world->now_ms;
}

/* What is on the platter: an image of the disk taken under a running process. */
void sim_disk_copy_durable(struct test_disk *target, const struct test_disk *source)
{
    *target = *source;
    for (size_t i = 0; i < source->file_count; i++) {
        struct test_file *file = &target->files[i];
        size_t room = file->durable_count == 0 ? 1 : file->durable_count;
        uint8_t *bytes = malloc(room), *durable = malloc(room);
        TD_ASSERT(bytes != NULL && durable != NULL);
        if (file->durable_count > 0) {
            memcpy(bytes, file->durable, file->durable_count);
            memcpy(durable, file->durable, file->durable_count);
        }
        file->bytes = bytes;
        file->durable = durable;
        file->count = file->durable_count;
        file->exists = file->exists_durable;
        file->unflushed = NULL;
        file->unflushed_count = 0;
    }
    target->off = false;
    target->power_off_at = 0;
    target->fail_calls = 0;
    target->capacity = 0;
    target->opens = 0;
}

void sim_node_snapshot(struct sim_world *world, int index)
{
    struct sim_node *node = &world->nodes[index];

    if (node->snapshot_taken) {
        test_disk_fini(&node->snapshot);
    }
    sim_disk_copy_durable(&node->snapshot, &node->disk);
    node->snapshot_taken = true;
    sim_trace(world, "node %d: snapshot of its disk", index + 1);
}
