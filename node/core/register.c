/* register.c -- reading a register: its place in the order, what was seen of it, its value as an answer
 * shows it; and the small rules of clocks. Nothing here changes one. */
#include <string.h>

#include "node/core/state.h"

uint16_t td_register_bucket(uint64_t register_hash)
{
    return (uint16_t)(register_hash % TD_DIGEST_BUCKETS);
}

bool td_dots_join(struct td_dot *dots, uint32_t *count, struct td_dot dot)
{
    uint32_t at = 0;
    while (at < *count && dots[at].origin.region.v < dot.origin.region.v) {
        at += 1;
    }
    if (at < *count && dots[at].origin.region.v == dot.origin.region.v) {
        if (td_dot_compare(dots[at], dot) < 0) {
            dots[at] = dot;
        }
        return true;
    }
    if (*count == TD_CLOCK_ENTRIES_MAX) {
        return false;
    }
    memmove(&dots[at + 1], &dots[at], (*count - at) * sizeof *dots);
    dots[at] = dot;
    *count += 1;
    return true;
}

/* A newer incarnation of a region had merged all that its older ones wrote to this register. */
bool td_dots_cover(const struct td_dot *dots, uint32_t count, struct td_dot dot)
{
    for (uint32_t i = 0; i < count; ++i) {
        if (dots[i].origin.region.v == dot.origin.region.v) {
            return td_dot_compare(dots[i], dot) >= 0;
        }
    }
    return false;
}

struct td_dot td_register_dot(const struct td_core *core, const struct td_register *reg)
{
    const struct td_slot *slot = &core->slots[reg->slot];
    return (struct td_dot){ core->incs[slot->inc].origin, slot->first_seq + reg->index };
}

struct td_order td_register_order(const struct td_core *core, const struct td_register *reg)
{
    return (struct td_order){
        .rank = td_state_rank((enum td_state)reg->state),
        .stamp = reg->stamp,
        .dot = td_register_dot(core, reg),
        .hash = reg->leaf,
    };
}

struct td_text td_register_job(const struct td_core *core, const struct td_register *reg)
{
    return td_body_job(core, reg->body);
}

uint32_t td_register_seen(const struct td_core *core, uint32_t index, struct td_dot *ret_dots)
{
    const struct td_register *reg = &core->registers[index];
    struct td_dot dots[2 * TD_CLOCK_ENTRIES_MAX];
    uint32_t clock_count = 0;
    uint32_t count = 0;
    const uint32_t total = td_body_dots(core, reg->body, dots, &clock_count);
    for (uint32_t i = 0; i < total; ++i) {
        (void)td_dots_join(ret_dots, &count, dots[i]); /* one per region: at most 64 known ones */
    }
    (void)td_dots_join(ret_dots, &count, td_register_dot(core, reg));
    return count;
}

/* Whether the writer broke its promise to report (DESIGN 1, expect_every). */
static bool is_silent(const struct td_core *core, const struct td_register *reg, uint32_t expect_s)
{
    return expect_s > 0 && td_state_rank((enum td_state)reg->state) == 0 &&
           core->now.wall_ms > reg->stamp.ms + (uint64_t)expect_s * 1000;
}

bool td_register_view(struct td_core *core, uint32_t index, struct td_register_view *ret_view)
{
    const struct td_register *reg = &core->registers[index];
    struct td_body_view body;
    td_body_unpack(core, reg->body, &body);
    struct td_label *labels = NULL;
    struct td_dot *clock = NULL;
    if (body.delta.status.label_count > 0) {
        labels = td_fx_scratch(core, body.delta.status.label_count, sizeof *labels);
        if (labels == NULL) {
            return false;
        }
        memcpy(labels, body.labels, body.delta.status.label_count * sizeof *labels);
    }
    if (body.delta.clock_count > 0) {
        clock = td_fx_scratch(core, body.delta.clock_count, sizeof *clock);
        if (clock == NULL) {
            return false;
        }
        memcpy(clock, body.clock, body.delta.clock_count * sizeof *clock);
    }
    *ret_view = (struct td_register_view){
        .job = body.delta.job,
        .attempt = reg->attempt,
        .flags = (uint8_t)(body.delta.flags |
                           (td_leaving_doubts(core, td_register_dot(core, reg).origin.region,
                                              reg->stamp.ms)
                                ? TD_VIEW_DOUBTFUL
                                : 0)),
        .client = body.delta.client,
        .status = body.delta.status,
        .stamp = reg->stamp,
        .dot = td_register_dot(core, reg),
        .clock_count = body.delta.clock_count,
        .clock = clock,
        .concurrent_count = reg->concurrent_count,
        .arrival = reg->change,
        .silent = is_silent(core, reg, body.delta.status.expect_every_s),
        .leaf = reg->leaf,
    };
    ret_view->status.state = (enum td_state)reg->state;
    ret_view->status.labels = labels;
    return true;
}
