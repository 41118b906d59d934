/* check.c -- what the nodes know after a cut, read by an ordinary client, against what was
 * acknowledged and what was ever handed in. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster-tests/power/power.h"

enum { AGREE_MS = 30000 };

/* The number of the report that the status shows, or 0 and a problem when it is none of ours. */
static uint32_t number_of(struct power_node *node, const struct tidings_status *status,
                          uint32_t job)
{
    char name[TIDINGS_JOB_BYTES + 1], detail[TIDINGS_DETAIL_BYTES + 1];
    struct tidings_update update;
    uint32_t number = 0, padding = 0;
    if (sscanf(status->detail, "%u %u ", &number, &padding) == 2 && number > 0 && padding <= 480) {
        load_update(job, number, padding, name, detail, &update);
        if (strcmp(status->job, name) == 0 && strcmp(status->detail, detail) == 0 &&
            status->attempt == update.attempt && status->state == update.state &&
            status->progress == update.progress) {
            return number;
        }
    }
    world_problem(node->world, "%s shows what nobody published: %s attempt %u %s \"%.60s\"",
                  node->name, status->job, status->attempt, tidings_state_name(status->state),
                  status->detail);
    return 0;
}

/* Numbers as the node shows them; 0 = no such job. */
static bool read_all(struct power_node *node, uint32_t *ret_numbers)
{
    struct tidings_filter filter = {.prefix = "power/"};
    struct tidings_status *status = malloc(sizeof *status);
    tidings_list *list = NULL;
    bool more = true;
    int err = tidings_list_open(node->handle, &filter, &list);
    memset(ret_numbers, 0, POWER_JOBS * sizeof *ret_numbers);
    while (err == TIDINGS_OK && status != NULL) {
        err = tidings_list_next(list, status, &more, NULL);
        if (err != TIDINGS_OK || !more) {
            break;
        }
        unsigned job = POWER_JOBS;
        if (sscanf(status->job, "power/%u", &job) != 1 || job >= POWER_JOBS) {
            world_problem(node->world, "%s shows an unknown job %s", node->name, status->job);
        } else {
            ret_numbers[job] = number_of(node, status, job);
        }
    }
    tidings_list_close(list);
    free(status);
    if (err != TIDINGS_OK) {
        world_problem(node->world, "%s cannot be read: %s", node->name, tidings_err_text(err));
    }
    return node->world->problem[0] == '\0';
}

/* Below what was acknowledged or shown before: not yet there, or lost. */
static bool behind(const struct power_world *world, const uint32_t *numbers, uint32_t *ret_job)
{
    for (uint32_t i = 0; i < POWER_JOBS; i++) {
        if (numbers[i] < world->jobs[i].acked || numbers[i] < world->jobs[i].seen) {
            *ret_job = i;
            return true;
        }
    }
    return false;
}

static void too_late(struct power_world *world, uint32_t numbers[][POWER_JOBS])
{
    for (uint32_t n = 0; n < world->node_count; n++) {
        uint32_t job = 0;
        if (behind(world, numbers[n], &job)) {
            world_problem(
                world,
                "LOST: %s shows report %u of job %u; %u was acknowledged, %u was read before",
                world->nodes[n].name, numbers[n][job], job, world->jobs[job].acked,
                world->jobs[job].seen);
        }
    }
    world_problem(world, "the nodes do not agree within %d ms", AGREE_MS);
}

bool check_all(struct power_world *world)
{
    static uint32_t numbers[POWER_NODES_MAX][POWER_JOBS];
    uint64_t end = world_now_ms() + (world->node_count == 1 ? 0 : AGREE_MS);
    for (;;) {
        bool good = true;
        uint32_t job;
        for (uint32_t n = 0; n < world->node_count; n++) {
            if (!read_all(&world->nodes[n], numbers[n])) {
                return false;
            }
            good = good && !behind(world, numbers[n], &job) &&
                   memcmp(numbers[n], numbers[0], sizeof numbers[0]) == 0;
        }
        if (good) {
            break;
        }
        if (world_now_ms() >= end) {
            too_late(world, numbers);
            return false;
        }
        nodes_poll(world, 5);
    }
    for (uint32_t i = 0; i < POWER_JOBS; i++) {
        if (numbers[0][i] > world->jobs[i].sent) {
            world_problem(world, "job %u shows report %u, only %u were handed in", i, numbers[0][i],
                          world->jobs[i].sent);
            return false;
        }
        world->jobs[i].seen = numbers[0][i];
    }
    return world->problem[0] == '\0';
}
