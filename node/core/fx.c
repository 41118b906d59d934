/* fx.c -- the effects of one step: a bounded list, one send per link, and scratch memory that lives
 * until the next step. */
#include <string.h>

#include "node/core/state.h"

enum { TD_SCRATCH_BYTES = 8 * 1024 * 1024 };

struct td_fx {
    struct td_effect effects[TD_FX_MAX];
    uint32_t count;
    struct td_out *outs;      /* links_max * TD_LINK_OUT_MAX */
    uint32_t *send_of;        /* per link, index of its send effect, TD_NONE = none in this step */
    uint32_t *touched;        /* links with a send, to reset cheaply */
    uint32_t touched_count;
    uint8_t *scratch;
    size_t scratch_used;
};

size_t td_fx_layout(struct td_core *core, struct td_block *block)
{
    const uint32_t links = core->config.limits.links_max;
    struct td_fx *fx = td_block_take(block, 1, sizeof *fx);
    struct td_out *outs = td_block_take(block, (size_t)links * TD_LINK_OUT_MAX, sizeof *outs);
    uint32_t *send_of = td_block_take(block, links, sizeof *send_of);
    uint32_t *touched = td_block_take(block, links, sizeof *touched);
    uint8_t *scratch = td_block_take(block, TD_SCRATCH_BYTES, 1);

    if (block->bytes != NULL) {
        fx->outs = outs;
        fx->send_of = send_of;
        fx->touched = touched;
        fx->scratch = scratch;
        memset(send_of, 0xff, links * sizeof *send_of);
        core->fx = fx;
    }
    return block->used_bytes;
}

void td_fx_reset(struct td_core *core)
{
    struct td_fx *fx = core->fx;
    for (uint32_t i = 0; i < fx->touched_count; ++i) {
        fx->send_of[fx->touched[i]] = TD_NONE;
    }
    fx->touched_count = 0;
    fx->count = 0;
    fx->scratch_used = 0;
}

const struct td_effect *td_fx_finish(struct td_core *core, size_t *ret_count)
{
    *ret_count = core->fx->count;
    return core->fx->effects;
}

uint32_t td_fx_room(const struct td_core *core)
{
    return TD_FX_MAX - core->fx->count;
}

struct td_effect *td_fx_add(struct td_core *core, enum td_effect_type type)
{
    struct td_fx *fx = core->fx;
    TD_ASSERT(fx->count < TD_FX_MAX);
    struct td_effect *effect = &fx->effects[fx->count++];
    memset(effect, 0, sizeof *effect);
    effect->type = type;
    return effect;
}

static struct td_effect *send_of_link(struct td_core *core, uint32_t link_index)
{
    struct td_fx *fx = core->fx;
    if (fx->send_of[link_index] != TD_NONE) {
        return &fx->effects[fx->send_of[link_index]];
    }
    if (td_fx_room(core) == 0) {
        return NULL;
    }
    fx->send_of[link_index] = fx->count;
    fx->touched[fx->touched_count++] = link_index;
    struct td_effect *send = td_fx_add(core, TD_FX_SEND);
    send->u.send.link = core->links[link_index].id;
    send->u.send.out = &fx->outs[(size_t)link_index * TD_LINK_OUT_MAX];
    return send;
}

struct td_out *td_fx_out(struct td_core *core, uint32_t link_index, enum td_out_type type)
{
    TD_ASSERT(link_index < core->config.limits.links_max);
    struct td_effect *send = send_of_link(core, link_index);
    if (send == NULL || send->u.send.count == TD_LINK_OUT_MAX) {
        td_deadline(core, core->now.boot_ms);
        return NULL;
    }
    struct td_out *out =
        &core->fx->outs[(size_t)link_index * TD_LINK_OUT_MAX + send->u.send.count];
    send->u.send.count += 1;
    memset(out, 0, sizeof *out);
    out->type = type;
    return out;
}

void *td_fx_scratch(struct td_core *core, size_t count, size_t size)
{
    struct td_fx *fx = core->fx;
    TD_ASSERT(size > 0);
    const size_t left = TD_SCRATCH_BYTES - fx->scratch_used;
    if (count > left / size) {
        return NULL;
    }
    void *bytes = fx->scratch + fx->scratch_used;
    const size_t rounded = (count * size + 15) / 16 * 16;
    fx->scratch_used += rounded < left ? rounded : left;
    memset(bytes, 0, count * size);
    return bytes;
}

size_t td_fx_scratch_left(const struct td_core *core)
{
    return TD_SCRATCH_BYTES - core->fx->scratch_used;
}

/* Traces give way: a flood of them must not take the room of sends and replies. */
void td_fx_trace(struct td_core *core, enum td_trace_code code, struct td_region region, uint64_t a,
                 uint64_t b)
{
    enum { TRACE_KEEPS_FREE = 512 };
    if (td_fx_room(core) <= TRACE_KEEPS_FREE) {
        return;
    }
    struct td_effect *effect = td_fx_add(core, TD_FX_TRACE);
    effect->u.trace.code = code;
    effect->u.trace.region = region;
    effect->u.trace.a = a;
    effect->u.trace.b = b;
}

void td_deadline(struct td_core *core, uint64_t boot_ms)
{
    if (boot_ms < core->deadline_ms) {
        core->deadline_ms = boot_ms;
    }
}
