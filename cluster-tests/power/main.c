/* main.c -- power cuts of real nodes: rounds of start, check, load, cut, until enough cuts were
 * made. Run by cluster-tests/power/run, which makes the keys and directories. */
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>

#include "cluster-tests/power/order.h"
#include "cluster-tests/power/power.h"

enum {
    EPOCH_ROUNDS = 40,
    READY_MS = 20000,
    LOAD_MS_MAX = 4000,
    ROLL_EVERY = 48,
    SEGMENT_CREATES = 2
};

uint64_t world_random(struct power_world *world)
{
    world->random += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t x = world->random;
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

uint64_t world_below(struct power_world *world, uint64_t bound)
{
    return bound == 0 ? 0 : world_random(world) % bound;
}

uint64_t world_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void world_problem(struct power_world *world, const char *format, ...)
{
    va_list list;
    pthread_mutex_lock(&world->lock);
    if (world->problem[0] == '\0') {
        va_start(list, format);
        vsnprintf(world->problem, sizeof world->problem, format, list);
        va_end(list);
    }
    pthread_mutex_unlock(&world->lock);
}

static bool good(struct power_world *world)
{
    pthread_mutex_lock(&world->lock);
    bool fine = world->problem[0] == '\0';
    pthread_mutex_unlock(&world->lock);
    return fine;
}

/* How this victim's power fails. Returns what to tell the library at its start. */
static void choose_cut(struct power_world *world, struct power_node *node)
{
    switch (world_below(world, 3)) {
    case 0:
        node_order(node, POWER_CUT_AFTER,
                   1 + world_below(world, UINT64_C(1) << world_below(world, 9)));
        break;
    case 1:
        pthread_mutex_lock(&world->lock);
        node->cut_at_ack =
            node->acks + 1 + world_below(world, UINT64_C(1) << world_below(world, 11));
        pthread_mutex_unlock(&world->lock);
        break;
    default:
        node->cut_at_ms = world_now_ms() + world_below(world, 60);
    }
}

static void start_dead(struct power_world *world, uint64_t at_call, uint64_t skip_creates)
{
    for (uint32_t i = 0; i < world->node_count; i++) {
        struct power_node *node = &world->nodes[i];
        if (node->pid == 0) {
            node_start(node, at_call, skip_creates);
        }
    }
}

/* Until all are up. A node whose power fails while it starts is started again, without a cut. */
static bool all_up(struct power_world *world)
{
    uint64_t end = world_now_ms() + READY_MS;
    while (!nodes_all_ready(world) && good(world)) {
        if (world_now_ms() >= end) {
            world_problem(world, "not ready within %d ms", READY_MS);
        }
        nodes_poll(world, 20);
        start_dead(world, 0, 0);
    }
    for (uint32_t i = 0; i < world->node_count && good(world); i++) {
        if (world->nodes[i].handle == NULL && !load_open(&world->nodes[i])) {
            return false;
        }
    }
    return good(world);
}

static uint32_t victims(const struct power_world *world)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < world->node_count; i++) {
        count += world->nodes[i].victim;
    }
    return count;
}

static void choose_victims(struct power_world *world)
{
    bool all = world_below(world, 4) == 0;
    for (uint32_t i = 0; i < world->node_count; i++) {
        world->nodes[i].victim = all || world_below(world, 3) == 0;
    }
    if (victims(world) == 0) {
        world->nodes[world_below(world, world->node_count)].victim = true;
    }
}

/* Load until the power of every victim has failed. */
static void load_until_cut(struct power_world *world, uint64_t ms_max)
{
    uint64_t end = world_now_ms() + ms_max;
    while (victims(world) > 0 && good(world)) {
        bool late = world_now_ms() >= end;
        for (uint32_t i = 0; i < world->node_count; i++) {
            struct power_node *node = &world->nodes[i];
            if (node->pid == 0) {
                node->victim = false;
            } else if (late && node->victim) {
                node_order(node, POWER_CUT_NOW, 0);
            }
            if (node->ready && !late && (node->handle != NULL || load_open(node))) {
                load_fill(node);
            }
        }
        nodes_poll(world, late ? 100 : 10);
    }
    for (uint32_t i = 0; i < world->node_count; i++) {
        if (world->nodes[i].pid == 0 && world->nodes[i].handle != NULL) {
            load_close(&world->nodes[i]);
        }
    }
}

/* A few cuts in a row in the first calls of a start: recovery itself is interrupted. The later ones
 * of these calls need a node that is up and used. */
static bool cut_while_starting(struct power_world *world)
{
    uint64_t tries = 1 + world_below(world, 3), before = world->cuts;
    for (uint64_t i = 0; i < tries && good(world); i++) {
        for (uint32_t n = 0; n < world->node_count; n++) {
            world->nodes[n].victim = world->nodes[n].pid == 0;
        }
        start_dead(world, 1 + world_below(world, 24), 0);
        load_until_cut(world, LOAD_MS_MAX / 8);
    }
    world->start_cuts += world->cuts - before;
    return good(world);
}

static void choose_load(struct power_world *world, bool roll)
{
    static const uint32_t windows[] = {1, 4, 32, 256, 2000};
    world->window = roll ? 4000 : windows[world_below(world, 5)];
    world->padding_max = roll ? 480 : (uint32_t)world_below(world, 200);
    world->disk_fails = !roll && world_below(world, 8) == 0;
}

/* Calls fail from now on, or no longer, at all nodes that run. */
static void set_failures(struct power_world *world, bool fail)
{
    for (uint32_t i = 0; i < world->node_count; i++) {
        struct power_node *node = &world->nodes[i];
        if (node->pid != 0 && (fail || node->calls_fail)) {
            node->calls_fail = true;
            node_order(node, POWER_FAIL_PERMILLE, fail ? 1 + world_below(world, 60) : 0);
        }
    }
    world->failing_rounds += fail;
}

static bool round_of(struct power_world *world, uint64_t number)
{
    bool roll = number % ROLL_EVERY == ROLL_EVERY - 1;
    if (number % EPOCH_ROUNDS == 0 && number > 0) {
        nodes_wipe(world);
    }
    if (!roll && world_below(world, 6) == 0 && !cut_while_starting(world)) {
        return false;
    }
    start_dead(world, 0, 0);
    if (!all_up(world) || !check_all(world)) {
        return false;
    }
    choose_load(world, roll);
    choose_victims(world);
    if (roll) { /* the calls around the change to a second segment, under full load */
        world->rolls++;
        nodes_stop(world);
        start_dead(world, 1 + world_below(world, 40), SEGMENT_CREATES);
        if (!all_up(world)) {
            return false;
        }
        for (uint32_t i = 0; i < world->node_count; i++) {
            world->nodes[i].victim = true;
        }
    } else {
        set_failures(world, world->disk_fails);
        for (uint32_t i = 0; i < world->node_count; i++) {
            if (world->nodes[i].victim) {
                choose_cut(world, &world->nodes[i]);
            }
        }
    }
    load_until_cut(world, roll ? 4 * LOAD_MS_MAX : LOAD_MS_MAX / 8);
    set_failures(world, false);
    return good(world);
}

static int verdict(struct power_world *world, uint64_t seed, uint64_t started_ms)
{
    printf("%s: %llu power cuts of %u node%s (%llu while starting, %llu rounds with failing calls, "
           "%llu around a new segment, %llu torn tails), %llu compactions, %llu acknowledged, %.0f "
           "s: %s\n",
           world->problem[0] == '\0' ? "power" : "FAIL  power", (unsigned long long)world->cuts,
           world->node_count, world->node_count == 1 ? "" : "s",
           (unsigned long long)world->start_cuts, (unsigned long long)world->failing_rounds,
           (unsigned long long)world->rolls, (unsigned long long)world->torn,
           (unsigned long long)world->compactions, (unsigned long long)world->acked,
           (double)(world_now_ms() - started_ms) / 1000,
           world->problem[0] == '\0' ? "0 acknowledged lost, 0 unreadable logs" : world->problem);
    if (world->problem[0] != '\0') {
        for (uint32_t i = 0; i < world->node_count; i++) {
            printf("  %s: last %s\n", world->nodes[i].name, world->nodes[i].last_cut);
        }
        printf("  seed %llu, directory %s\n", (unsigned long long)seed, world->root);
    }
    return world->problem[0] == '\0' ? 0 : 1;
}

static void make_nodes(struct power_world *world, int count, char **names)
{
    world->node_count = (uint32_t)count;
    for (int i = 0; i < count; i++) {
        struct power_node *node = &world->nodes[i];
        *node = (struct power_node){.world = world, .index = (uint32_t)i, .control = -1};
        snprintf(node->name, sizeof node->name, "%s", names[i]);
        snprintf(node->directory, sizeof node->directory, "%s/%s", world->root, names[i]);
    }
}

int main(int argc, char **argv)
{
    static struct power_world world = {.plant = "", .lock = PTHREAD_MUTEX_INITIALIZER};
    uint64_t cuts = 100, seed = 1, started_ms = world_now_ms();
    int option;
    while ((option = getopt(argc, argv, "c:s:d:l:r:p:f")) != -1) {
        switch (option) {
        case 'c':
            cuts = strtoull(optarg, NULL, 10);
            break;
        case 's':
            seed = strtoull(optarg, NULL, 10);
            break;
        case 'd':
            world.daemon = optarg;
            break;
        case 'l':
            world.library = optarg;
            break;
        case 'r':
            world.root = optarg;
            break;
        case 'p':
            world.plant = optarg;
            break;
        case 'f':
            world.may_fill = true;
            break;
        default:
            return 2;
        }
    }
    int count = argc - optind;
    if (world.daemon == NULL || world.library == NULL || world.root == NULL || count < 1 ||
        count > POWER_NODES_MAX) {
        fprintf(
            stderr,
            "tidings-power -d TIDINGSD -l LIBRARY -r DIRECTORY [-c CUTS] [-s SEED] [-p lie|flip] "
            "REGION...\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    world.random = seed;
    world.wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    make_nodes(&world, count, argv + optind);
    for (uint64_t number = 0; world.cuts < cuts && round_of(&world, number); number++) {
    }
    start_dead(&world, 0, 0); /* after the last cut as well */
    if (good(&world) && all_up(&world)) {
        (void)check_all(&world);
    }
    nodes_stop(&world);
    return verdict(&world, seed, started_ms);
}
