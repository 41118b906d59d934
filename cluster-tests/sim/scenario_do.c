/* scenario_do.c -- the commands of a scenario but for those of its clients and its expectations.
 * Each stands in the trace where it happened. */
#include "cluster-tests/sim/scenario.h"

#include <stdlib.h>
#include <string.h>

enum { WARM_UP_MS = 5000, DELAY_MS = 20, FLUSH_MS = 3, RING_BATCHES = 64, SEGMENT_BYTES = 65536 };

static uint64_t number_of(const struct sim_words *words, const char *name, uint64_t otherwise)
{
    const char *text = sim_word_of(words, name);
    return text == NULL ? otherwise : strtoull(text, NULL, 10);
}

/* The node named by the first word after the command, SIM_NONE with why set. */
static int node_of(struct sim_scenario *scenario, const struct sim_words *words)
{
    int node = words->count < 2 ? SIM_NONE : sim_node_named(scenario, words->word[1]);

    if (node == SIM_NONE) {
        (void)sim_scenario_why(scenario, "%s needs the number of a node", words->word[0]);
    }
    return node;
}

static int node_in_state(struct sim_scenario *scenario, const struct sim_words *words, bool up)
{
    int node = node_of(scenario, words);

    if (node != SIM_NONE && scenario->world->nodes[node].up != up) {
        (void)sim_scenario_why(scenario, "node %s is %s", words->word[1], up ? "down" : "up");
        return SIM_NONE;
    }
    return node;
}

/* ---- the world ---- */
static bool do_nodes(struct sim_scenario *scenario, struct sim_words *words)
{
    uint64_t regions = words->count < 2 ? 0 : strtoull(words->word[1], NULL, 10);
    uint64_t seed = number_of(words, "seed", 1);

    if (scenario->world != NULL || regions < 2 || regions > TD_REGIONS_MAX) {
        return sim_scenario_why(scenario, "nodes N, once, with 2 to %d of them", TD_REGIONS_MAX);
    }
    struct sim_options options = sim_options_draw(seed);
    options.regions = (uint32_t)regions;
    options.delay_ms_min = options.delay_ms_max = (uint32_t)number_of(words, "delay", DELAY_MS);
    options.flush_ms_min = options.flush_ms_max = (uint32_t)number_of(words, "flush", FLUSH_MS);
    options.jitter_ms = 0;
    options.workers_per_region = 0;
    options.ring_batches = (uint32_t)number_of(words, "ring", RING_BATCHES);
    options.segment_bytes = SEGMENT_BYTES;
    options.faults = 1u << SIM_FAULT_CUT; /* no bounds of healthy worlds */
    options.faults_max = 0;
    options.byz = options.bad_region = 0;
    options.wire = (uint32_t)number_of(words, "wire", 0);
    options.steady = true;
    scenario->world = sim_world_new(&options, NULL);
    scenario->world->story = scenario->story;
    return true;
}

/* Delays may still be set between `nodes` and the first other command. */
static bool do_delay(struct sim_scenario *scenario, struct sim_words *words)
{
    int a = node_of(scenario, words);
    int b = words->count < 4 ? SIM_NONE : sim_node_named(scenario, words->word[2]);
    int64_t ms = 0;

    if (a == SIM_NONE || b == SIM_NONE || a == b || !sim_duration(words->word[3], &ms) || ms < 0) {
        return sim_scenario_why(scenario, "delay A B 150ms");
    }
    scenario->world->path[a][b].delay_ms = scenario->world->path[b][a].delay_ms = (uint32_t)ms;
    return true;
}

static void begin(struct sim_scenario *scenario)
{
    struct sim_world *world = scenario->world;

    sim_world_boot(world);
    sim_world_until(world, WARM_UP_MS);
    sim_story_begin(world);
    scenario->started = true;
}

/* ---- the network ---- */
static bool group_of(const struct sim_scenario *scenario, char *text, uint64_t *ret_group)
{
    char *word;

    *ret_group = 0;
    while ((word = strsep(&text, ",")) != NULL) {
        int node = sim_node_named(scenario, word);
        if (node == SIM_NONE || node >= scenario->world->node_count) {
            return false;
        }
        *ret_group |= UINT64_C(1) << node;
    }
    return true;
}

/* A | B: both directions between the groups; A > B: from A to B only. */
static bool set_cut(struct sim_scenario *scenario, struct sim_words *words, bool cut)
{
    struct sim_world *world = scenario->world;
    uint64_t from = 0, to = 0;
    bool both = words->count == 4 && strcmp(words->word[2], "|") == 0;
    bool one = words->count == 4 && strcmp(words->word[2], ">") == 0;

    if ((!both && !one) || !group_of(scenario, words->word[1], &from) ||
        !group_of(scenario, words->word[3], &to) || (from & to) != 0) {
        return sim_scenario_why(scenario, "%s 1 | 2,3  or  %s 1 > 2", words->word[0],
                                words->word[0]);
    }
    for (int a = 0; a < world->node_count; a++) {
        for (int b = 0; b < world->node_count; b++) {
            bool forth = (from >> a & 1) != 0 && (to >> b & 1) != 0;
            bool back = both && (to >> a & 1) != 0 && (from >> b & 1) != 0;
            if (forth || back) {
                sim_net_cut(world, a, b, cut);
            }
        }
    }
    return true;
}

static bool do_cut(struct sim_scenario *scenario, struct sim_words *words)
{
    return set_cut(scenario, words, true);
}

static bool do_heal(struct sim_scenario *scenario, struct sim_words *words)
{
    struct sim_world *world = scenario->world;

    if (words->count > 1) {
        return set_cut(scenario, words, false);
    }
    for (int a = 0; a < world->node_count; a++) {
        for (int b = 0; b < world->node_count; b++) {
            sim_net_cut(world, a, b, false);
        }
    }
    return true;
}

/* ---- processes ---- */
static bool end_process(struct sim_scenario *scenario, struct sim_words *words, bool power)
{
    int node = node_in_state(scenario, words, true);

    if (node == SIM_NONE) {
        return false;
    }
    sim_clients_cut_off(scenario, node);
    sim_node_crash(scenario->world, node, power);
    return true;
}

static bool do_kill(struct sim_scenario *scenario, struct sim_words *words)
{
    return end_process(scenario, words, false);
}

static bool do_power(struct sim_scenario *scenario, struct sim_words *words)
{
    return end_process(scenario, words, true);
}

static bool do_restart(struct sim_scenario *scenario, struct sim_words *words)
{
    int node = node_in_state(scenario, words, false);

    if (node != SIM_NONE) {
        struct sim_event event = {.node = node};
        sim_fault_restart(scenario->world, &event);
    }
    return node != SIM_NONE;
}

static bool do_pause(struct sim_scenario *scenario, struct sim_words *words)
{
    int node = node_in_state(scenario, words, true);
    int64_t ms = 0;

    if (node == SIM_NONE || words->count != 3 || !sim_duration(words->word[2], &ms) || ms <= 0) {
        return sim_scenario_why(scenario, "pause N 2s, of a node that is up");
    }
    scenario->world->nodes[node].paused_until_ms = scenario->world->now_ms + (uint64_t)ms;
    return true;
}

/* ---- disks ---- */
static bool do_wipe(struct sim_scenario *scenario, struct sim_words *words)
{
    int node = node_in_state(scenario, words, false);

    if (node != SIM_NONE) {
        sim_fault_ruin(scenario->world, node, SIM_RUIN_LOST);
    }
    return node != SIM_NONE;
}

static bool do_backup(struct sim_scenario *scenario, struct sim_words *words)
{
    int node = node_of(scenario, words);

    if (node != SIM_NONE) {
        sim_node_snapshot(scenario->world, node);
    }
    return node != SIM_NONE;
}

static bool do_restore(struct sim_scenario *scenario, struct sim_words *words)
{
    int node = node_in_state(scenario, words, false);

    if (node == SIM_NONE) {
        return false;
    }
    if (!scenario->world->nodes[node].snapshot_taken) {
        return sim_scenario_why(scenario, "node %s has no backup", words->word[1]);
    }
    sim_fault_ruin(scenario->world, node, SIM_RUIN_BACKUP);
    return true;
}

static bool disk_trouble(struct sim_scenario *scenario, struct sim_words *words, enum td_err err)
{
    int node = node_of(scenario, words);

    if (node != SIM_NONE) {
        struct test_disk *disk = &scenario->world->nodes[node].disk;
        disk->fail_calls = err == TD_EDISKFULL ? TEST_WRITE : TEST_SYNC;
        disk->fail_err = err;
        disk->fail_after = 0;
        disk->fail_count = UINT64_MAX;
    }
    return node != SIM_NONE;
}

static bool do_disk_full(struct sim_scenario *scenario, struct sim_words *words)
{
    return disk_trouble(scenario, words, TD_EDISKFULL);
}

static bool do_disk_fail(struct sim_scenario *scenario, struct sim_words *words)
{
    return disk_trouble(scenario, words, TD_EIO);
}

static bool do_disk_ok(struct sim_scenario *scenario, struct sim_words *words)
{
    int node = node_of(scenario, words);

    if (node != SIM_NONE) {
        sim_fault_disk_heal(&scenario->world->nodes[node]);
    }
    return node != SIM_NONE;
}

/* ---- clones and clocks ---- */
static bool do_clone(struct sim_scenario *scenario, struct sim_words *words)
{
    int node = node_of(scenario, words);

    if (node == SIM_NONE || scenario->world->nodes[scenario->world->node_count].used) {
        return sim_scenario_why(scenario, "clone N, one at a time");
    }
    sim_fault_clone(scenario->world, node);
    return true;
}

static bool do_end_clone(struct sim_scenario *scenario, struct sim_words *words)
{
    (void)words;
    sim_clients_cut_off(scenario, scenario->world->node_count);
    sim_fault_clone_end(scenario->world, scenario->world->node_count);
    return true;
}

static bool do_clock(struct sim_scenario *scenario, struct sim_words *words)
{
    int node = node_of(scenario, words);
    int64_t ms = 0;

    if (node == SIM_NONE || words->count != 3 || !sim_duration(words->word[2], &ms)) {
        return sim_scenario_why(scenario, "clock N +365d");
    }
    scenario->world->nodes[node].wall_offset_ms += ms;
    return true;
}

/* ---- regions that leave ---- */
static bool leave(struct sim_scenario *scenario, struct sim_words *words, bool revoked)
{
    int node = node_of(scenario, words);

    if (node == SIM_NONE || scenario->world->leave != NULL) {
        return sim_scenario_why(scenario, "leave N or revoke N, once");
    }
    sim_leave_begin(scenario->world, node, revoked);
    return true;
}

static bool do_leave(struct sim_scenario *scenario, struct sim_words *words)
{
    return leave(scenario, words, false);
}

static bool do_revoke(struct sim_scenario *scenario, struct sim_words *words)
{
    return leave(scenario, words, true);
}

static bool do_without(struct sim_scenario *scenario, struct sim_words *words)
{
    int node = node_of(scenario, words);

    if (node == SIM_NONE || scenario->world->leave == NULL) {
        return sim_scenario_why(scenario, "without N, after leave or revoke");
    }
    sim_leave_without(scenario->world, node);
    return true;
}

/* ---- time and clients ---- */
static bool do_run(struct sim_scenario *scenario, struct sim_words *words)
{
    int64_t ms = 0;

    if (words->count != 2 || !sim_duration(words->word[1], &ms) || ms <= 0) {
        return sim_scenario_why(scenario, "run 400ms");
    }
    sim_world_until(scenario->world, scenario->world->now_ms + (uint64_t)ms);
    return true;
}

static bool do_publish(struct sim_scenario *scenario, struct sim_words *words)
{
    int node = node_of(scenario, words);
    return node != SIM_NONE && sim_client_publish(scenario, words, node);
}

static bool do_get(struct sim_scenario *scenario, struct sim_words *words)
{
    int node = node_of(scenario, words);
    return node != SIM_NONE && sim_client_get(scenario, words, node);
}

static const struct {
    const char *name;
    bool (*run)(struct sim_scenario *scenario, struct sim_words *words);
    bool silent; /* not shown in the trace */
    bool before; /* allowed before the trace begins */
} commands[] = {
    {"nodes", do_nodes, true, true},
    {"delay", do_delay, false, true},
    {"run", do_run, true, false},
    {"cut", do_cut, false, false},
    {"heal", do_heal, false, false},
    {"publish", do_publish, false, false},
    {"get", do_get, false, false},
    {"kill", do_kill, false, false},
    {"power", do_power, false, false},
    {"restart", do_restart, false, false},
    {"pause", do_pause, false, false},
    {"wipe-disk", do_wipe, false, false},
    {"backup", do_backup, false, false},
    {"restore", do_restore, false, false},
    {"disk-full", do_disk_full, false, false},
    {"disk-fail", do_disk_fail, false, false},
    {"disk-ok", do_disk_ok, false, false},
    {"clone", do_clone, false, false},
    {"end-clone", do_end_clone, false, false},
    {"clock", do_clock, false, false},
    {"leave", do_leave, false, false},
    {"revoke", do_revoke, false, false},
    {"without", do_without, false, false},
    {"expect", sim_scenario_expect, true, false},
};

static void show(struct sim_scenario *scenario, const struct sim_words *words)
{
    char line[256] = "";
    size_t used = 0;

    for (uint32_t i = 0; i < words->count && used < sizeof line; i++) {
        used += (size_t)snprintf(line + used, sizeof line - used, "%s%s", i == 0 ? "" : " ",
                                 words->word[i]);
    }
    sim_story_line(scenario->world, SIM_NONE, "%s", line);
}

bool sim_scenario_do(struct sim_scenario *scenario, struct sim_words *words)
{
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(commands[i].name, words->word[0]) != 0) {
            continue;
        }
        if (scenario->world == NULL && commands[i].run != do_nodes) {
            return sim_scenario_why(scenario, "the first command is `nodes`");
        }
        if (!commands[i].before && !scenario->started) {
            begin(scenario);
        }
        if (!commands[i].silent) {
            show(scenario, words);
        }
        return commands[i].run(scenario, words);
    }
    return sim_scenario_why(scenario, "no command `%s`", words->word[0]);
}
