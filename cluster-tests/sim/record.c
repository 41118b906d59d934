/* record.c -- what the simulated clients ask and are answered, told to the history checker, which
 * knows nothing of all this; and after healing one last read of everything acknowledged, at every
 * node. */
#include "cluster-tests/history/history.h"
#include "cluster-tests/sim/sim.h"

#include <stdlib.h>
#include <string.h>

enum { MEDDLERS = 1 << 20, READER = 1 << 21, ATTEMPTS = 16 };

static void add(struct sim_world *world, const struct history_event *event)
{
    if (!history_add(world->history, event) && !world->failed) {
        const struct history_verdict *verdict = history_verdict(world->history);
        sim_fail(world, verdict->rule, "history: %s", verdict->text);
    }
}

static uint32_t session(const struct sim_call *call)
{
    return call->meddling ? MEDDLERS + call->client : call->client;
}

void sim_record_call(struct sim_world *world, const struct sim_call *call)
{
    struct history_event event = {.kind = call->publish ? HISTORY_PUBLISH : HISTORY_READ,
                                  .time_ms = world->now_ms,
                                  .client = session(call),
                                  .call = call->serial,
                                  .token = !call->publish,
                                  .settled = call->settled};

    if (call->seen != NULL && call->seen->dot.seq != 0) {
        const struct td_seen *seen = call->seen;
        event.seen =
            (struct history_report){seen->rank,
                                    0,
                                    seen->stamp.ms,
                                    seen->stamp.counter,
                                    {seen->dot.origin.region.v, seen->dot.origin.incarnation.start,
                                     seen->dot.origin.incarnation.random, seen->dot.seq}};
    }
    if (!sim_is_hiding(world) || call->settled) {
        add(world, &event);
    }
}

static struct history_report report_of(uint8_t rank, uint8_t state, struct td_stamp stamp,
                                       struct td_dot dot)
{
    return (struct history_report){rank,
                                   state,
                                   stamp.ms,
                                   stamp.counter,
                                   {dot.origin.region.v, dot.origin.incarnation.start,
                                    dot.origin.incarnation.random, dot.seq}};
}

static void acknowledged(const struct td_response *response, const struct sim_call *call,
                         struct history_event *event)
{
    bool whole = response->err == TD_OK || response->err == TD_EACK;
    const struct td_result *result = response->u.publish.results;

    if (!whole || response->u.publish.count != 1 ||
        (result->err != TD_OK && result->err != TD_EACK)) {
        return;
    }
    event->kind = HISTORY_ACK;
    event->attempt = result->attempt;
    event->noop = result->noop;
    event->report = report_of(result->rank, (uint8_t)call->state, result->stamp, result->dot);
}

static void shown(const struct td_response *response, const struct sim_call *call,
                  struct history_event *event)
{
    if (response->err != TD_OK && response->err != TD_EUNKNOWN) {
        return;
    }
    event->kind = HISTORY_SHOWN;
    event->attempt = call->attempt;
    for (uint32_t i = 0; response->err == TD_OK && i < response->u.registers.count; i++) {
        const struct td_register_view *view = &response->u.registers.registers[i];
        if (view->attempt == call->attempt) {
            event->found = true;
            event->report = report_of(td_state_rank(view->status.state),
                                      (uint8_t)view->status.state, view->stamp, view->dot);
        }
    }
}

void sim_record_answer(struct sim_world *world, const struct sim_call *call, int node,
                       const struct td_response *response)
{
    struct history_age ages[TD_REGIONS_MAX];
    struct history_event event = {.kind = HISTORY_GONE,
                                  .time_ms = world->now_ms,
                                  .client = session(call),
                                  .call = call->serial,
                                  .node = (uint32_t)node,
                                  .process = world->nodes[node].generation,
                                  .job = world->job_names[call->job],
                                  .ages = ages};

    if (sim_is_bad(world, node) || (sim_is_hiding(world) && !call->settled)) {
        return;
    }
    if (call->publish) {
        acknowledged(response, call, &event);
    } else {
        shown(response, call, &event);
    }
    for (uint32_t i = 0; i < response->freshness_count && event.age_count < TD_REGIONS_MAX; i++) {
        const struct td_fresh_view *row = &response->freshness[i];
        ages[event.age_count++] = (struct history_age){
            row->region.v, row->age_known && !row->recovering && !sim_is_hiding(world),
            row->age_ms};
    }
    add(world, &event);
}

void sim_record_forgive(struct sim_world *world, int node, struct td_region region)
{
    history_forgive(world->history, region.v);
    if (node != SIM_NONE) {
        history_ruined(world->history, (uint32_t)node);
    }
}

/* ---- the last reads ---- */
static void ask(struct sim_world *world, int node, const struct sim_truth *truth)
{
    const char *name = world->job_names[truth->job];
    struct td_request request = {.id = ++world->final_call.serial, .op = TD_OP_GET};
    struct td_event event = sim_node_event(world, node, TD_EV_REQUEST);

    request.u.get.job = (struct td_text){name, (uint32_t)strlen(name)};
    request.u.get.job_hash = truth->job_hash;
    request.u.get.attempt = truth->attempt;
    event.u.request.client_link = SIM_FINAL_LINK;
    event.u.request.request = &request;
    world->final_call.client = READER + (uint32_t)node;
    world->final_call.job = truth->job;
    world->final_call.attempt = truth->attempt;
    world->final_call.settled = true;
    sim_record_call(world, &world->final_call);
    sim_node_step(world, node, &event);
}

void sim_record_final(struct sim_world *world)
{
    bool(*asked)[ATTEMPTS] = calloc(world->job_count + 1, sizeof *asked);

    TD_ASSERT(asked != NULL);
    for (uint32_t i = 0; i < world->ack_count && !world->failed; i++) {
        const struct sim_truth *truth = &world->truths[world->acks[i]];
        bool *once = truth->attempt < ATTEMPTS ? &asked[truth->job][truth->attempt] : NULL;
        if (truth->doomed || (once != NULL && *once)) {
            continue;
        }
        if (once != NULL) {
            *once = true;
        }
        for (int node = 0; node < world->node_count && !world->failed; node++) {
            if (world->nodes[node].up && !sim_is_bad(world, node) && !sim_is_gone(world, node)) {
                ask(world, node, truth);
            }
        }
    }
    sim_trace(world, "history: %llu comparisons",
              (unsigned long long)history_compared(world->history));
    free(asked);
}

void sim_record_start(struct sim_world *world)
{
    world->history = history_new();
}

void sim_record_free(struct sim_world *world)
{
    history_free(world->history);
}
