/* world.c -- time: one heap of events ordered by (time, insertion number), the phases of a history
 * and its trace hash. */
#include "cluster-tests/sim/secure.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { CHECK_MS = 500, CONVERGED_ROUNDS = 3 };

/* ---- the heap: four children a node, no ties ---- */
static bool earlier(const struct sim_due *a, const struct sim_due *b)
{
    return a->time_ms != b->time_ms ? a->time_ms < b->time_ms : a->number < b->number;
}

static void grow_heap(struct sim_world *world)
{
    size_t room = world->heap_room == 0 ? 1024 : world->heap_room * 2;

    world->heap = realloc(world->heap, room * sizeof *world->heap);
    world->events = realloc(world->events, room * sizeof *world->events);
    world->free_slots = realloc(world->free_slots, room * sizeof *world->free_slots);
    TD_ASSERT(world->heap != NULL && world->events != NULL && world->free_slots != NULL);
    for (size_t i = world->heap_room; i < room; i++) {
        world->free_slots[i] = (uint32_t)i;
    }
    world->heap_room = room;
}

struct sim_event *sim_schedule(struct sim_world *world, uint64_t time_ms, enum sim_what what,
                               int node)
{
    if (world->heap_count == world->heap_room) {
        grow_heap(world);
    }
    size_t at = world->heap_count++;
    uint32_t slot = world->free_slots[at]; /* slots in use lie before the free ones */
    uint64_t due_ms = time_ms > world->now_ms ? time_ms : world->now_ms;
    struct sim_due due = {due_ms, ++world->number, slot};
    while (at > 0 && earlier(&due, &world->heap[(at - 1) / 4])) {
        world->heap[at] = world->heap[(at - 1) / 4];
        at = (at - 1) / 4;
    }
    world->heap[at] = due;
    world->events[slot] =
        (struct sim_event){.time_ms = due_ms, .what = what, .node = node, .other = SIM_NONE};
    return &world->events[slot];
}

static struct sim_event take_first(struct sim_world *world)
{
    uint32_t slot = world->heap[0].slot;
    size_t count = --world->heap_count, at = 0;
    struct sim_due last = world->heap[count];

    world->free_slots[count] = slot;
    for (;;) {
        size_t first = 4 * at + 1, end = first + 4 < count ? first + 4 : count, least = first;
        for (size_t child = first + 1; child < end; child++) {
            least = earlier(&world->heap[child], &world->heap[least]) ? child : least;
        }
        if (first >= count || !earlier(&world->heap[least], &last)) {
            break;
        }
        world->heap[at] = world->heap[least];
        at = least;
    }
    world->heap[at] = last;
    return world->events[slot];
}

/* ---- notes and verdicts ---- */
void sim_note(struct sim_world *world, uint64_t what, uint64_t a, uint64_t b)
{
    world->trace_hash =
        sim_mix(world->trace_hash + what * 31 + a) ^ b * UINT64_C(0x9e3779b97f4a7c15);
}

void sim_trace(struct sim_world *world, const char *format, ...)
{
    va_list arguments;

    if (world->trace != NULL) {
        fprintf(world->trace, "[%8llu] ", (unsigned long long)world->now_ms);
        va_start(arguments, format);
        vfprintf(world->trace, format, arguments);
        va_end(arguments);
        fputc('\n', world->trace);
    }
}

void sim_fail(struct sim_world *world, const char *checker, const char *format, ...)
{
    va_list arguments;

    if (world->failed) {
        return;
    }
    world->failed = true;
    world->failed_checker = checker;
    va_start(arguments, format);
    vsnprintf(world->failure, sizeof world->failure, format, arguments);
    va_end(arguments);
    sim_trace(world, "VIOLATED %s: %s", checker, world->failure);
}

/* ---- events ---- */
static bool is_for_process(enum sim_what what)
{
    return what == SIM_AT_TICK || what == SIM_AT_FLUSH || what == SIM_AT_SIGNED ||
           what == SIM_AT_RANDOM;
}

static void happen_in_process(struct sim_world *world, const struct sim_event *event)
{
    struct td_event input;

    switch (event->what) {
    case SIM_AT_TICK:
        sim_node_tick(world, event->node);
        break;
    case SIM_AT_FLUSH:
        sim_node_flush(world, event->node);
        break;
    case SIM_AT_SIGNED:
        input = sim_node_event(world, event->node, TD_EV_HEAD_SIGNED);
        input.u.head_signed.number = event->value;
        memcpy(input.u.head_signed.hash, event->hash, sizeof event->hash);
        sim_node_step(world, event->node, &input);
        break;
    default:
        input = sim_node_event(world, event->node, TD_EV_RANDOM);
        input.u.random.bits = (uint32_t)sim_random_next(&world->r_node);
        sim_node_step(world, event->node, &input);
        break;
    }
}

static void check_all(struct sim_world *world)
{
    world->rounds++;
    sim_check_i6_aware(world);
    for (int i = 0; i < SIM_NODES_MAX; i++) {
        if (world->nodes[i].up && !sim_is_bad(world, i)) {
            sim_check_i1(world, i);
            sim_check_i9_healthy(world, i);
            sim_check_i6_hidden(world, i);
            sim_check_i10_cut(world, i);
            sim_check_i7_accused(world, i);
            if (world->rounds % 20 == (uint64_t)(i % 20)) {
                sim_check_i8(world, i);
                sim_check_log(world, i, false);
            }
        }
    }
    sim_schedule(world, world->now_ms + CHECK_MS, SIM_AT_CHECK, SIM_NONE);
}

static void happen(struct sim_world *world, struct sim_event *event)
{
    struct sim_node *node = event->node >= 0 ? &world->nodes[event->node] : NULL;

    if (is_for_process(event->what)) {
        if (node->up && node->generation == event->generation) {
            happen_in_process(world, event);
        }
        return;
    }
    switch (event->what) {
    case SIM_AT_DELIVER:
        sim_net_deliver(world, event);
        break;
    case SIM_AT_DIAL:
        sim_net_dial(world, event->node, event->other);
        break;
    case SIM_AT_BEAT:
        sim_net_beat(world, event);
        break;
    case SIM_AT_RESET:
        sim_net_reset(world, event);
        break;
    case SIM_AT_WORKER:
        sim_load_worker(world, (int)event->value);
        break;
    case SIM_AT_FAULT:
        sim_fault_inject(world);
        break;
    case SIM_AT_UNDO:
        sim_fault_undo(world, event);
        break;
    case SIM_AT_RESTART:
        sim_fault_restart(world, event);
        break;
    case SIM_AT_CHECK:
        check_all(world);
        break;
    case SIM_AT_BYZ:
        sim_byz_act(world, event->node);
        break;
    case SIM_AT_LEAVE:
        sim_leave_act(world);
        break;
    case SIM_AT_ROSTER:
        sim_leave_arrive(world, event);
        break;
    default:
        break;
    }
}

/* Each step may ask for an earlier tick; only the last one asked for counts. */
static bool is_stale_tick(const struct sim_world *world, const struct sim_event *event)
{
    return event->what == SIM_AT_TICK &&
           (world->nodes[event->node].tick_ms != event->time_ms ||
            world->nodes[event->node].generation != event->generation);
}

/* A process that stands still takes its events later, in their order. */
static bool put_off(struct sim_world *world, const struct sim_event *event)
{
    struct sim_node *node = event->node >= 0 ? &world->nodes[event->node] : NULL;
    bool waits = is_for_process(event->what) || event->what == SIM_AT_DELIVER ||
                 event->what == SIM_AT_BEAT || event->what == SIM_AT_RESET;

    if (node == NULL || !waits || !node->up || node->paused_until_ms <= world->now_ms) {
        return false;
    }
    struct sim_event *later = sim_schedule(world, node->paused_until_ms, event->what, event->node);
    uint64_t time_ms = later->time_ms;
    *later = *event;
    later->time_ms = time_ms;
    if (event->what == SIM_AT_TICK) {
        node->tick_ms = time_ms;
    }
    return true;
}

void sim_world_until(struct sim_world *world, uint64_t end_ms)
{
    while (!world->failed && world->heap_count > 0 && world->heap[0].time_ms <= end_ms) {
        struct sim_event event = take_first(world);
        world->now_ms = event.time_ms;
        if (!is_stale_tick(world, &event) && !put_off(world, &event)) {
            world->counts.events++;
            sim_note(world, (uint64_t)event.what, event.time_ms, (uint64_t)(event.node + 1));
            happen(world, &event);
        }
    }
    world->now_ms = end_ms > world->now_ms ? end_ms : world->now_ms;
}

/* ---- the history ---- */
static void make_roster(struct sim_world *world)
{
    for (uint32_t i = 0; i < world->options.regions; i++) {
        snprintf(world->region_names[i], sizeof world->region_names[i], "r%u", (i + 1) & 255);
        uint8_t region = (uint8_t)(i + 1);
        world->keys[i] = (struct td_region_key){1, sim_public_key(region), {{0}}};
        if (world->secure != NULL) {
            world->keys[i].sign_key = sim_secure_sign_key(world->secure, region);
        }
        world->roster_regions[i] = (struct td_roster_region){
            .number = {(uint8_t)(i + 1)},
            .name = {world->region_names[i], (uint32_t)strlen(world->region_names[i])},
            .quota_registers = 100000,
            .quota_bytes = 1 << 30,
            .key_count = 1,
            .keys = &world->keys[i]};
    }
    world->roster =
        (struct td_roster){.cluster = {{7, 7}},
                           .cluster_name = {"sim", 3},
                           .version = 1,
                           .issued_ms = SIM_WALL_MS - 1000,
                           .policy = {30 * 86400, 365 * 86400, world->options.absence_s, 0, 0},
                           .region_count = world->options.regions,
                           .regions = world->roster_regions};
    if (world->secure != NULL) {
        world->roster.cluster = sim_secure_cluster(world->secure);
    }
}

struct sim_world *sim_world_new(const struct sim_options *options, FILE *trace)
{
    struct sim_world *world = calloc(1, sizeof *world);

    TD_ASSERT(world != NULL);
    world->options = *options;
    world->trace = trace;
    world->r_net = sim_random_new(options->seed, 2);
    world->r_disk = sim_random_new(options->seed, 3);
    world->r_load = sim_random_new(options->seed, 4);
    world->r_fault = sim_random_new(options->seed, 5);
    world->r_node = sim_random_new(options->seed, 6);
    world->nodes = calloc(SIM_NODES_MAX, sizeof *world->nodes);
    world->node_count = (int)options->regions;
    world->scratch_bytes = 4 << 20;
    world->scratch = malloc(world->scratch_bytes);
    world->arena_bytes = 32 << 20;
    world->arena_block = malloc(world->arena_bytes);
    TD_ASSERT(world->nodes != NULL && world->scratch != NULL && world->arena_block != NULL);
    world->bad_region = options->bad_region <= options->regions ? (uint8_t)options->bad_region : 0;
    sim_record_start(world);
    world->register_ms =
        calloc((size_t)SIM_JOBS_MAX * SIM_ATTEMPTS_MAX, sizeof *world->register_ms);
    TD_ASSERT(world->register_ms != NULL);
    world->secure = sim_secure_new(options);
    make_roster(world);
    for (int a = 0; a < SIM_NODES_MAX; a++) {
        for (int b = 0; b < SIM_NODES_MAX; b++) {
            world->path[a][b].held_last = &world->path[a][b].held;
            if (a < world->node_count && b < world->node_count) {
                world->path[a][b].delay_ms = (uint32_t)sim_random_between(
                    &world->r_net, options->delay_ms_min, options->delay_ms_max);
            }
        }
    }
    return world;
}

void sim_world_free(struct sim_world *world)
{
    sim_load_free(world);
    sim_record_free(world);
    sim_byz_free(world);
    for (int i = 0; i < SIM_NODES_MAX; i++) {
        struct sim_node *node = &world->nodes[i];
        if (node->up) {
            sim_node_crash(world, i, false);
        }
        if (node->used) {
            test_disk_fini(&node->disk);
        }
        if (node->snapshot_taken) {
            test_disk_fini(&node->snapshot);
        }
        free(node->shadow);
        free(node->earlier);
        free(node->unproved);
        free(node->done);
        td_reader_free(node->reader);
    }
    for (size_t i = 0; i < world->heap_count; i++) {
        free(world->events[world->heap[i].slot].frame);
    }
    for (int a = 0; a < SIM_NODES_MAX; a++) {
        for (int b = 0; b < SIM_NODES_MAX; b++) {
            while (world->path[a][b].held != NULL) {
                struct sim_frame *next = world->path[a][b].held->next;
                free(world->path[a][b].held);
                world->path[a][b].held = next;
            }
        }
    }
    sim_truth_free(world);
    sim_leave_free(world);
    sim_jobs_free(world);
    sim_secure_free(world->secure);
    free(world->heap);
    free(world->events);
    free(world->free_slots);
    free(world->nodes);
    free(world->scratch);
    free(world->arena_block);
    free(world);
}

/* Who holds what of whom, for a trace of what did not converge. */
static void explain_all(struct sim_world *world)
{
    for (int i = 0; i < world->node_count; i++) {
        sim_explain_registers(world, 0, i);
        sim_explain_registers(world, i, 0);
        for (int origin = 0; origin < world->node_count; origin++) {
            sim_explain(world, i, world->nodes[origin].region.v);
        }
    }
}

static void settle(struct sim_world *world)
{
    /* Repair lists one bucket with a peer in a round: what was hidden takes its time to be found.
     */
    uint64_t settle_ms = (uint64_t)world->options.settle_ms * (sim_is_hiding(world) ? 2 : 1);
    uint64_t end_ms = world->now_ms + settle_ms;
    uint32_t equal = 0;
    char why[256] = "";

    while (!world->failed && equal < CONVERGED_ROUNDS) {
        if (world->now_ms >= end_ms) {
            explain_all(world);
            sim_fail(world, "I9", "not converged %llu ms after the last fault: %s",
                     (unsigned long long)settle_ms, why);
            return;
        }
        sim_world_until(world, world->now_ms + 500);
        bool same = sim_leave_done(world, why, sizeof why) &&
                    sim_check_i2_equal(world, why, sizeof why) &&
                    sim_check_i9_idle(world, why, sizeof why);
        equal = same ? equal + 1 : 0;
    }
    sim_trace(world, "all equal");
}

void sim_world_boot(struct sim_world *world)
{
    for (int i = 0; i < world->node_count; i++) {
        world->nodes[i].used = true;
        world->nodes[i].region.v = (uint8_t)(i + 1);
        world->nodes[i].roster_version = 1;
        test_disk_init(&world->nodes[i].disk, sim_random_next(&world->r_disk));
        sim_node_boot(world, i);
    }
    for (int i = 0; i < world->node_count; i++) {
        sim_net_start(world, i);
    }
    sim_schedule(world, CHECK_MS, SIM_AT_CHECK, SIM_NONE);
}

bool sim_world_run(struct sim_world *world)
{
    sim_world_boot(world);
    sim_load_start(world);
    sim_byz_start(world);
    sim_leave_start(world);
    world->faulty = true;
    sim_fault_next(world);
    sim_world_until(world, world->options.fault_ms);
    world->faulty = false;
    if (!world->failed) {
        sim_fault_heal_all(world);
        sim_world_until(world, world->now_ms + 3000); /* the load goes on while the cluster heals */
        world->workers_stopped = true;
        sim_world_until(world, world->now_ms + 12000); /* requests time out */
        world->rest_ms = world->now_ms;
    }
    if (!world->failed) {
        settle(world);
    }
    for (int i = 0; i < SIM_NODES_MAX && !world->failed; i++) {
        if (world->nodes[i].up && !sim_is_bad(world, i)) {
            sim_check_i1(world, i);
            sim_check_i8(world, i);
            sim_check_log(world, i, true);
        }
    }
    if (!world->failed) {
        sim_check_i1_end(world);
        sim_record_final(world);
    }
    return !world->failed;
}
