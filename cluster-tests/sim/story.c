/* story.c -- see story.h. */
#include "cluster-tests/sim/story.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static void label(const struct sim_world *world, int node, char *ret_text, size_t text_bytes)
{
    if (node == SIM_NONE) {
        snprintf(ret_text, text_bytes, "-");
    } else {
        snprintf(ret_text, text_bytes, "%u%s", world->nodes[node].region.v,
                 node >= world->node_count ? "'" : ""); /* 3' is the clone of 3 */
    }
}

void sim_story_line(struct sim_world *world, int node, const char *format, ...)
{
    struct sim_story *story = world->story;
    va_list arguments;
    char name[16];

    if (!story->telling) {
        return;
    }
    char text[400];

    label(world, node, name, sizeof name);
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    for (int i = 0; i < (story->aloud ? 2 : 1); i++) {
        fprintf(i == 0 ? story->out : stdout, "[%6llu] %-2s %s\n",
                (unsigned long long)(world->now_ms - story->start_ms), name, text);
    }
    fflush(stdout);
}

const char *sim_dot_text(struct td_dot dot, char *ret_text, size_t text_bytes)
{
    snprintf(ret_text, text_bytes, "%u.%u.%llu", dot.origin.region.v, dot.origin.incarnation.start,
             (unsigned long long)dot.seq);
    return ret_text;
}

/* ---- reports ---- */
static void tell_stored(struct sim_world *world)
{
    struct sim_story *story = world->story;
    char dot[40];

    while (story->truths_told < world->truth_count) {
        const struct sim_truth *truth = &world->truths[story->truths_told];
        story->durable_due =
            realloc(story->durable_due, (story->due_count + 1) * sizeof *story->durable_due);
        TD_ASSERT(story->durable_due != NULL);
        story->durable_due[story->due_count++] = story->truths_told++;
        sim_story_line(world, truth->node, "stores %s %s/%u %s",
                       sim_dot_text(truth->order.dot, dot, sizeof dot),
                       world->job_names[truth->job], truth->attempt,
                       td_state_name((enum td_state)truth->state));
    }
}

static void tell_durable(struct sim_world *world)
{
    struct sim_story *story = world->story;
    uint32_t left = 0;
    char dot[40];

    for (uint32_t i = 0; i < story->due_count; i++) {
        const struct sim_truth *truth = &world->truths[story->durable_due[i]];
        if (truth->durable || truth->failed) {
            sim_story_line(world, truth->node, truth->durable ? "durable %s" : "not written: %s",
                           sim_dot_text(truth->order.dot, dot, sizeof dot));
        } else {
            story->durable_due[left++] = story->durable_due[i];
        }
    }
    story->due_count = left;
}

/* Reports of others that became the ones shown here. */
static void tell_shown(struct sim_world *world, int index)
{
    struct sim_story *story = world->story;
    const struct td_core *core = world->nodes[index].core;
    uint64_t ring = core->config.limits.change_ring, *told = &story->change_told[index];
    char dot[40];

    if (story->generation[index] != world->nodes[index].generation) {
        story->generation[index] = world->nodes[index].generation;
        *told = core->change_number; /* what its own log gave it is not news */
    }
    while (*told < core->change_number) {
        uint32_t reg = core->change_ring[++*told & (ring - 1)];
        const struct td_register *it = &core->registers[reg];
        if (reg >= core->register_used_max || !it->used || it->change != *told) {
            continue;
        }
        struct td_dot shown = td_register_dot(core, it);
        struct td_text job = td_register_job(core, it);
        const struct td_slot *slot = &core->slots[it->slot];
        if (slot->via == core->config.self.v) {
            continue; /* accepted here: told when it was stored */
        }
        sim_story_line(world, index, "shows  %s %.*s/%u %s%s", sim_dot_text(shown, dot, sizeof dot),
                       (int)job.count, job.bytes, it->attempt,
                       td_state_name((enum td_state)it->state),
                       slot->via == shown.origin.region.v ? "" : ", by way of another");
    }
}

void sim_story_look(struct sim_world *world, int index)
{
    tell_stored(world);
    tell_durable(world);
    if (world->nodes[index].up && world->nodes[index].core->started) {
        tell_shown(world, index);
    }
}

/* ---- what the core says ---- */
static const char *link_text(uint64_t view)
{
    return view == TD_LINK_UP ? "up" : view == TD_LINK_LATE ? "late" : "down";
}

static void source_changed(struct sim_world *world, int index, uint8_t region, uint64_t source)
{
    if (source == 0) {
        sim_story_line(world, index, "has no source for region %u", region);
    } else if (source == region) {
        sim_story_line(world, index, "takes region %u from itself", region);
    } else {
        sim_story_line(world, index, "takes region %u from %u", region, (unsigned)source);
    }
}

static void source_tried(struct sim_world *world, int index, uint8_t region, uint64_t source)
{
    if (source == 0) {
        sim_story_line(world, index, "takes region %u from one only", region);
    } else if (source == region) {
        sim_story_line(world, index, "takes region %u from itself as well", region);
    } else {
        sim_story_line(world, index, "takes region %u from %u as well", region, (unsigned)source);
    }
}

static const char *draw_text(uint64_t reason)
{
    return reason == TD_DRAW_STORE_FAILED  ? "what was being written failed"
           : reason == TD_DRAW_OUTNUMBERED ? "its number was in use already"
           : reason == TD_DRAW_CLONE       ? "somebody else uses the same"
                                           : "start";
}

/* What a region says about itself or about another one. */
static void about(struct sim_world *world, int index, uint8_t region, const char *what)
{
    if (world->nodes[index].region.v == region) {
        sim_story_line(world, index, "says it %s", what);
    } else {
        sim_story_line(world, index, "says region %u %s", region, what);
    }
}

void sim_story_core(struct sim_world *world, int index, const struct td_effect *effect)
{
    uint64_t a = effect->u.trace.a, b = effect->u.trace.b;
    uint8_t region = effect->u.trace.region.v;

    switch (effect->u.trace.code) {
    case TD_TR_STARTED:
        sim_story_line(world, index, "starts with %u registers", (unsigned)a);
        break;
    case TD_TR_LINK_STATE:
        sim_story_line(world, index, "link to %u %s", region, link_text(a));
        break;
    case TD_TR_SOURCE_CHANGED:
        source_changed(world, index, region, a);
        break;
    case TD_TR_SOURCE_TRIED:
        source_tried(world, index, region, a);
        break;
    case TD_TR_TRANSFER_DONE:
        sim_story_line(world, index, "transfer from %u done, %u batches", region, (unsigned)a);
        break;
    case TD_TR_TRANSFER_ENDED:
        sim_story_line(world, index, "transfer from %u given up", region);
        break;
    case TD_TR_INCARNATION:
        sim_story_line(world, index, "is incarnation %u.%u (%s)", region, (unsigned)a,
                       draw_text(b));
        break;
    case TD_TR_CLONE:
        about(world, index, region, "has a clone");
        break;
    case TD_TR_EQUIVOCATION:
        about(world, index, region, "signed two different things as one");
        break;
    case TD_TR_ROLLED_BACK:
        about(world, index, region, "has lost reports it once had");
        break;
    case TD_TR_RECOVERING:
        sim_story_line(world, index, a == 1 ? "is recovering" : "has recovered");
        break;
    case TD_TR_PUBLISH_STOPPED:
        sim_story_line(world, index, "refuses reports: %s", td_err_text((enum td_err)a));
        break;
    case TD_TR_PUBLISH_RESUMED:
        sim_story_line(world, index, "takes reports again");
        break;
    case TD_TR_STALE:
        sim_story_line(world, index,
                       a == 1 ? "view of region %u is stale" : "view of region %u is fresh",
                       region);
        break;
    case TD_TR_CLOCK_SKEW:
        sim_story_line(world, index, "clock of region %u is off by %lld s", region,
                       (long long)((int64_t)a / 1000));
        break;
    case TD_TR_DIGEST_DOUBT:
        sim_story_line(world, index,
                       a == 1 ? "doubts region %u: digests differ" : "no longer doubts region %u",
                       region);
        break;
    case TD_TR_UPDATES_LOST:
        sim_story_line(world, index, "%u reports of region %u are lost", (unsigned)a, region);
        break;
    case TD_TR_CREDIT_EXCEEDED:
        sim_story_line(world, index, "region %u sent more than asked for", region);
        break;
    case TD_TR_REPAIRED:
        sim_story_line(world, index, "repaired %u registers, served by %u", (unsigned)a, region);
        break;
    }
}

void sim_story_reply(struct sim_world *world, int node, uint32_t client_link,
                     const struct td_response *response)
{
    sim_story_look(world, node);
    sim_client_reply(world->story->scenario, node, client_link - SIM_CLIENT_FIRST, response);
}

/* ---- begin and end ---- */
void sim_story_begin(struct sim_world *world)
{
    for (int i = 0; i < SIM_NODES_MAX; i++) {
        if (world->nodes[i].up) {
            sim_story_look(world, i);
        }
    }
    world->story->start_ms = world->now_ms;
    world->story->telling = true;
}

void sim_story_free(struct sim_story *story)
{
    if (story != NULL) {
        free(story->durable_due);
        free(story);
    }
}
