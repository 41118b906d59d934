/* load.c -- numbered reports for the jobs of a node, as many in flight as the round says. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cluster-tests/power/order.h"
#include "cluster-tests/power/power.h"

struct call {
    struct power_node *node;
    uint32_t job;
    uint32_t number;
};

bool load_open(struct power_node *node)
{
    char address[600], why[256];
    snprintf(address, sizeof address, "ipc://%s/tidings.sock", node->directory);
    struct tidings_options options = {.nodes = address, .timeout_ms = 30000, .writer = node->name};
    if (tidings_open(&options, &node->handle, why, sizeof why) != TIDINGS_OK) {
        node->handle = NULL;
        world_problem(node->world, "%s: no handle: %s", node->name, why);
        return false;
    }
    return true;
}

void load_close(struct power_node *node)
{
    tidings_close(node->handle); /* answers what is open, so outstanding falls to 0 */
    node->handle = NULL;
}

void load_update(uint32_t job, uint32_t number, uint32_t padding, char *ret_name, char *ret_detail,
                 struct tidings_update *ret_update)
{
    static const enum tidings_state states[POWER_STEPS] = {
        TIDINGS_PENDING, TIDINGS_STARTING, TIDINGS_RUNNING, TIDINGS_RUNNING,
        TIDINGS_RUNNING, TIDINGS_RUNNING,  TIDINGS_RUNNING, TIDINGS_COMPLETED,
    };
    uint32_t step = (number - 1) % POWER_STEPS;
    snprintf(ret_name, TIDINGS_JOB_BYTES, "power/%u", job);
    int used = snprintf(ret_detail, TIDINGS_DETAIL_BYTES, "%u %u ", number, padding);
    memset(ret_detail + used, 'a' + (int)(number % 26), padding);
    ret_detail[(uint32_t)used + padding] = '\0';
    *ret_update = (struct tidings_update){
        .job = ret_name,
        .attempt = (uint16_t)(1 + (number - 1) / POWER_STEPS),
        .state = states[step],
        .set_progress = true,
        .progress = (int32_t)step * 1000,
        .detail = ret_detail,
    };
}

static void on_answer(void *self, const struct tidings_result *result)
{
    struct call *call = self;
    struct power_node *node = call->node;
    struct power_world *world = node->world;
    bool cut = false, unexpected = false;
    static const uint64_t one = 1;

    pthread_mutex_lock(&world->lock);
    node->outstanding--;
    if (result->err == TIDINGS_OK) {
        struct power_job *job = &world->jobs[call->job];
        job->acked = call->number > job->acked ? call->number : job->acked;
        world->acked++;
        node->acks++;
        cut = node->acks == node->cut_at_ack;
    } else if (result->err != TIDINGS_ECLOSED && result->err != TIDINGS_ENONODE) {
        /* A report may be sent again in full when the cut took the register it was a change of, and
         * then be overtaken by a later one of the same job. */
        bool overtaken = (result->err == TIDINGS_ERANK || result->err == TIDINGS_EFINAL) &&
                         call->number < world->jobs[call->job].sent;
        world->refused++;
        unexpected = !node->calls_fail && !overtaken && !world->may_fill;
    }
    if (cut) { /* here, so that nothing comes between the answer and the cut */
        node_order(node, POWER_CUT_NOW, 0);
    }
    pthread_mutex_unlock(&world->lock);
    if (unexpected) {
        world_problem(world, "%s refused report %u of job %u: %s", node->name, call->number,
                      call->job, tidings_err_text(result->err));
    }
    free(call);
    (void)!write(world->wake, &one, sizeof one);
}

static bool hand_in(struct power_node *node, uint32_t job)
{
    struct power_world *world = node->world;
    char name[TIDINGS_JOB_BYTES + 1], detail[TIDINGS_DETAIL_BYTES + 1];
    struct tidings_update update;
    struct call *call = malloc(sizeof *call);
    if (call == NULL) {
        abort();
    }
    uint32_t padding = (uint32_t)world_below(world, world->padding_max + 1);
    pthread_mutex_lock(&world->lock);
    *call = (struct call){node, job, ++world->jobs[job].sent};
    node->outstanding++;
    pthread_mutex_unlock(&world->lock);
    load_update(job, call->number, padding, name, detail, &update);
    int err = tidings_publish_async(node->handle, &update, on_answer, call);
    if (err != TIDINGS_OK) {
        struct tidings_result result = {.err = TIDINGS_ECLOSED};
        on_answer(call, &result);
    }
    return err == TIDINGS_OK;
}

void load_fill(struct power_node *node)
{
    struct power_world *world = node->world;
    pthread_mutex_lock(&world->lock);
    uint32_t room = node->outstanding < world->window ? world->window - node->outstanding : 0;
    pthread_mutex_unlock(&world->lock);
    /* Whole windows at a time now and then, single reports else: groups of all sizes. */
    if (room < world->window && world_below(world, 2) == 0) {
        return;
    }
    uint32_t each = POWER_JOBS / world->node_count;
    for (; room > 0; room--) {
        uint32_t job = node->index * each + (uint32_t)world_below(world, each);
        if (!hand_in(node, job)) {
            return;
        }
    }
}
