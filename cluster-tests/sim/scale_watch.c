/* scale_watch.c -- looks on while a world runs: which frames arrive where, and when a node has
 * merged a report, by what its own core says it has received. Opens and closes the windows on the
 * way. */
#include "cluster-tests/sim/scale.h"

#include <stdlib.h>
#include <string.h>

/* What becomes durable so shortly before a boundary is on its way when it comes: it counts as
 * later. */
enum { IN_FLIGHT_MS = 200 };

/* ---- windows ---- */
static uint64_t sum_counter(const struct sim_world *world, enum td_counter_id counter)
{
    uint64_t sum = 0;

    for (int i = 0; i < world->node_count; i++) {
        sum += td_core_counter(world->nodes[i].core, counter);
    }
    return sum;
}

static void open_window(struct scale_watch *watch, struct sim_world *world)
{
    if (watch->phase == SCALE_CUTTING || watch->phase == SCALE_HEALING) {
        scale_net_cut(&watch->net, world, watch->phase == SCALE_CUTTING);
    }
    watch->changes_before = sum_counter(world, TD_COUNTER_source_changes);
    watch->transfers_before = sum_counter(world, TD_COUNTER_transfers_done);
    watch->steps_before = world->counts.steps;
    sim_trace(world, "scale: %s", scale_phase_name(watch->phase));
}

static void close_window(struct scale_watch *watch, const struct sim_world *world)
{
    enum scale_phase phase = watch->phase;

    watch->changes[phase] = sum_counter(world, TD_COUNTER_source_changes) - watch->changes_before;
    watch->transfers[phase] =
        sum_counter(world, TD_COUNTER_transfers_done) - watch->transfers_before;
    watch->steps[phase] = world->counts.steps - watch->steps_before;
}

/* Something happens at every moment that matters, so whoever looks first after a boundary is in
 * time. */
static void keep_time(struct scale_watch *watch, struct sim_world *world)
{
    if (watch->running && world->now_ms >= watch->to_ms[watch->phase]) {
        close_window(watch, world);
        if (watch->phase + 1 == SCALE_PHASES) {
            watch->running = false;
            return;
        }
        watch->phase++;
        open_window(watch, world);
    } else if (!watch->running && watch->phase == SCALE_HEALTHY &&
               world->now_ms >= watch->from_ms[SCALE_HEALTHY]) {
        watch->running = true;
        open_window(watch, world);
    }
}

/* ---- frames ---- */
static enum scale_kind kind_of(uint8_t type)
{
    switch (type) {
    case TD_MSG_HEAD:
        return SCALE_HEAD;
    case TD_MSG_HAS:
        return SCALE_HAS;
    case TD_MSG_LIVE:
    case TD_MSG_FETCHED:
    case TD_MSG_TRANSFER_CHUNK:
        return SCALE_PAYLOAD;
    case TD_MSG_DIGEST_ASK:
    case TD_MSG_DIGEST:
    case TD_MSG_BUCKET_ASK:
    case TD_MSG_BUCKET:
        return SCALE_REPAIR;
    default:
        return SCALE_OTHER;
    }
}

static void make_room(struct scale_watch *watch, const struct sim_world *world)
{
    size_t per_truth = TD_REGIONS_MAX;

    if (world->truth_count <= watch->room) {
        return;
    }
    uint32_t room = world->truth_room;
    watch->copies = realloc(watch->copies, room * per_truth);
    watch->arrived_ms = realloc(watch->arrived_ms, room * per_truth * sizeof *watch->arrived_ms);
    TD_ASSERT(watch->copies != NULL && watch->arrived_ms != NULL);
    size_t old = watch->room * per_truth, added = (room - watch->room) * per_truth;
    memset(watch->copies + old, 0, added);
    memset(watch->arrived_ms + old, 0, added * sizeof *watch->arrived_ms);
    watch->room = room;
}

static size_t cell(uint32_t truth, int node)
{
    return (size_t)truth * TD_REGIONS_MAX + (size_t)node;
}

/* Every delta in it, taken or thrown away: it has crossed the network. */
static void count_batch(struct scale_watch *watch, struct sim_world *world, int node,
                        struct td_bytes raw)
{
    struct sim_node *it = &world->nodes[node];
    struct td_arena arena;
    struct td_batch batch;

    td_arena_init(&arena, world->arena_block, world->arena_bytes);
    enum td_err err = td_batch_decode(raw, &it->signer, it->reader, &arena, &batch);
    TD_ASSERT(err == TD_OK);
    for (uint32_t i = 0; i < batch.present_count; i++) {
        struct td_dot dot = {batch.header.origin, batch.header.first_seq + batch.deltas[i].index};
        const struct sim_truth *truth = sim_truth_find(world, dot);
        TD_ASSERT(truth != NULL);
        uint8_t *copies = &watch->copies[cell((uint32_t)(truth - world->truths), node)];
        *copies = (uint8_t)(*copies + (*copies < UINT8_MAX));
    }
}

static void count_chunk(struct scale_watch *watch, struct sim_world *world, int node,
                        struct td_bytes content)
{
    size_t at = 0;

    while (at + 4 <= content.count) {
        const uint8_t *length = content.bytes + at;
        uint32_t bytes = (uint32_t)length[0] << 24 | (uint32_t)length[1] << 16 |
                         (uint32_t)length[2] << 8 | length[3];
        at += 4;
        TD_ASSERT(bytes <= content.count - at);
        count_batch(watch, world, node, (struct td_bytes){content.bytes + at, bytes});
        at += bytes;
    }
}

static void received(void *self, struct sim_world *world, int node, const struct sim_frame *frame)
{
    struct scale_watch *watch = self;
    struct sim_node *it = &world->nodes[node];
    struct td_bytes payload = {frame->bytes, frame->count};
    struct td_arena arena;
    struct td_msg msg;

    keep_time(watch, world);
    make_room(watch, world);
    if (watch->running) {
        watch->bytes[watch->phase][kind_of(frame->type)] += frame->count;
        watch->frames[watch->phase][kind_of(frame->type)]++;
    }
    if (kind_of(frame->type) != SCALE_PAYLOAD) {
        return;
    }
    td_arena_init(&arena, world->arena_block, world->arena_bytes);
    enum td_err err = td_msg_decode((enum td_msg_type)frame->type, payload, &it->signer, it->reader,
                                    &arena, &msg);
    TD_ASSERT(err == TD_OK);
    if (msg.type == TD_MSG_TRANSFER_CHUNK) {
        count_chunk(watch, world, node, msg.u.chunk.content);
    } else {
        count_batch(watch, world, node, msg.u.batch_raw);
    }
}

static void stepped(void *self, struct sim_world *world, int node)
{
    struct scale_watch *watch = self;
    const struct td_core *core = world->nodes[node].core;
    bool all = true;

    make_room(watch, world);
    for (uint32_t i = watch->first_open[node]; i < world->truth_count; i++) {
        const struct sim_truth *truth = &world->truths[i];
        uint32_t *arrived_ms = &watch->arrived_ms[cell(i, node)];
        if (*arrived_ms == 0 && td_dot_received(core, truth->order.dot)) {
            *arrived_ms = (uint32_t)world->now_ms;
        }
        all = all && *arrived_ms != 0;
        watch->first_open[node] += all;
    }
}

/* ---- begin and end ---- */
void scale_watch_init(struct scale_watch *watch, const struct scale_settings *settings,
                      const struct sim_world *world)
{
    const uint32_t lengths_ms[SCALE_PHASES] = {settings->window_ms, settings->change_ms,
                                               settings->window_ms, settings->change_ms};
    uint64_t from_ms = settings->warm_ms;

    memset(watch, 0, sizeof *watch);
    watch->hooks = (struct sim_watch){watch, received, stepped};
    watch->settings = settings;
    for (int phase = 0; phase < SCALE_PHASES; phase++) {
        watch->from_ms[phase] = from_ms;
        watch->to_ms[phase] = from_ms += lengths_ms[phase];
    }
    scale_net_draw(&watch->net, world, settings->seed);
}

void scale_watch_fini(struct scale_watch *watch)
{
    free(watch->copies);
    free(watch->arrived_ms);
}

/* ---- sums ---- */
struct sums {
    struct scale_row *row;
    uint64_t copies, cells, over_two;
    double floor_ms;
    double *last_ms; /* per delta: when the last node had it */
};

static void sum_truth(const struct scale_watch *watch, const struct sim_world *world,
                      uint32_t index, bool with_cuts, struct sums *sums)
{
    const struct sim_truth *truth = &world->truths[index];
    uint64_t last_ms = truth->durable_ms;

    for (int node = 0; node < world->node_count; node++) {
        uint8_t copies = watch->copies[cell(index, node)];
        uint32_t arrived_ms = watch->arrived_ms[cell(index, node)];
        if (node == truth->node) {
            continue;
        }
        sums->copies += copies;
        sums->cells++;
        sums->over_two += copies > 2;
        sums->row->copies_most = copies > sums->row->copies_most ? copies : sums->row->copies_most;
        sums->row->undelivered += arrived_ms == 0;
        last_ms = arrived_ms > last_ms ? arrived_ms : last_ms;
    }
    sums->floor_ms += scale_net_floor_ms(&watch->net, truth->node, with_cuts);
    sums->last_ms[sums->row->deltas++] = (double)(last_ms - truth->durable_ms);
}

static int compare_ms(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static void finish_times(struct sums *sums)
{
    struct scale_row *row = sums->row;
    double sum = 0;

    qsort(sums->last_ms, row->deltas, sizeof *sums->last_ms, compare_ms);
    for (uint64_t i = 0; i < row->deltas; i++) {
        sum += sums->last_ms[i];
    }
    row->mean_ms = sum / (double)row->deltas;
    row->p99_ms = sums->last_ms[row->deltas * 99 / 100];
    row->most_ms = sums->last_ms[row->deltas - 1];
    row->floor_ms = sums->floor_ms / (double)row->deltas;
    row->copies = (double)sums->copies / (double)sums->cells;
    row->over_two = (double)sums->over_two / (double)sums->cells;
}

static void sum_phase(const struct scale_watch *watch, const struct sim_world *world,
                      enum scale_phase phase, struct scale_row *row)
{
    struct sums sums = {.row = row};
    double node_seconds =
        (double)(watch->to_ms[phase] - watch->from_ms[phase]) / 1000.0 * world->node_count;

    sums.last_ms = calloc(world->truth_count + 1, sizeof *sums.last_ms);
    TD_ASSERT(sums.last_ms != NULL);
    for (uint32_t i = 0; i < world->truth_count && i < watch->room; i++) {
        const struct sim_truth *truth = &world->truths[i];
        uint64_t moment_ms = truth->durable_ms + IN_FLIGHT_MS;
        if (truth->durable && moment_ms >= watch->from_ms[phase] &&
            moment_ms < watch->to_ms[phase]) {
            sum_truth(watch, world, i, phase == SCALE_CUTTING || phase == SCALE_CUT, &sums);
        }
    }
    if (row->deltas > 0) {
        finish_times(&sums);
    }
    for (int kind = 0; kind < SCALE_KINDS; kind++) {
        row->bytes[kind] = (double)watch->bytes[phase][kind] / node_seconds;
        row->frames[kind] = (double)watch->frames[phase][kind] / node_seconds;
    }
    row->source_changes = watch->changes[phase];
    row->transfers = watch->transfers[phase];
    free(sums.last_ms);
}

void scale_watch_rows(const struct scale_watch *watch, const struct sim_world *world,
                      struct scale_result *result)
{
    for (int phase = 0; phase < SCALE_PHASES; phase++) {
        sum_phase(watch, world, (enum scale_phase)phase, &result->rows[phase]);
    }
    const struct scale_row *healthy = &result->rows[SCALE_HEALTHY];
    result->head_bytes = healthy->bytes[SCALE_HEAD] / healthy->frames[SCALE_HEAD];
    result->has_bytes = healthy->bytes[SCALE_HAS] / healthy->frames[SCALE_HAS];
    result->steps_per_node_s =
        watch->steps[SCALE_HEALTHY] * 1000 / result->settings.window_ms / result->settings.regions;
}
