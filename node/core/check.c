/* check.c -- the whole structure, recomputed and compared with what is kept. Slow; for tests, the
 * simulator and nothing else. */
#include <string.h>

#include "node/core/own.h"

struct sums {
    struct td_hash digest[TD_DIGEST_BUCKETS];
    uint64_t jobs_by_state[TD_STATE_COUNT];
    uint64_t used_registers[256], used_bytes[256];
    uint64_t body_bytes;
    uint32_t registers, live;
};

static void hash_add(struct td_hash *sum, const struct td_hash *leaf)
{
    unsigned carry = 0;
    for (uint32_t i = 0; i < 32; ++i) {
        carry += (unsigned)sum->bytes[i] + leaf->bytes[i];
        sum->bytes[i] = (uint8_t)carry;
        carry >>= 8;
    }
}

static bool check_register(const struct td_core *core, uint32_t index, struct sums *sums)
{
    const struct td_register *reg = &core->registers[index];
    const uint64_t hash = td_register_hash(reg->job_hash, reg->attempt);
    if (reg->slot >= core->slot_used_max || !core->slots[reg->slot].used ||
        reg->index >= core->slots[reg->slot].count || reg->change > core->change_number) {
        return false;
    }
    if (td_table_find(core, reg->job_hash, td_register_job(core, reg), reg->attempt) != index) {
        return false;
    }
    const bool highest =
        td_table_highest(core, reg->job_hash, td_register_job(core, reg)) == index;
    if (highest != reg->highest) {
        return false;
    }
    hash_add(&sums->digest[td_register_bucket(hash)], &reg->leaf);
    sums->jobs_by_state[reg->state] += reg->highest;
    sums->used_registers[reg->first_region] += 1;
    sums->used_bytes[reg->first_region] += (uint64_t)reg->body_words * 16;
    sums->body_bytes += (uint64_t)reg->body_words * 16;
    sums->registers += 1;
    return true;
}

static bool check_table(const struct td_core *core)
{
    struct sums sums;
    memset(&sums, 0, sizeof sums);
    for (uint32_t i = 0; i < core->register_used_max; ++i) {
        if (core->registers[i].used && !check_register(core, i, &sums)) {
            return false;
        }
    }
    if (sums.registers != core->register_count || sums.body_bytes != core->body_bytes_live ||
        core->register_count > core->config.limits.registers_max ||
        memcmp(sums.digest, core->digest, sizeof sums.digest) != 0 ||
        memcmp(sums.jobs_by_state, core->jobs_by_state, sizeof sums.jobs_by_state) != 0) {
        return false;
    }
    for (uint32_t i = 0; i < TD_SLOTS; ++i) {
        const struct td_region_info *region = &core->regions[i];
        if (region->number.v != 0 &&
            (region->used_registers != sums.used_registers[region->number.v] ||
             region->used_bytes != sums.used_bytes[region->number.v])) {
            return false;
        }
    }
    return true;
}

static bool check_slot(const struct td_core *core, uint32_t index)
{
    const struct td_slot *slot = &core->slots[index];
    uint32_t live = 0, previous = TD_NONE;
    if (!slot->used || slot->inc >= core->inc_count ||
        core->incs[slot->inc].origin.region.v == 0 ||
        (slot->live_count == 0 && !slot->in_ring && !slot->anchor && !slot->anchor_next) ||
        (slot->anchor && core->incs[slot->inc].anchor != index)) {
        return false;
    }
    for (uint32_t reg = slot->live_first; reg != TD_NONE; reg = core->registers[reg].next_live) {
        if (!core->registers[reg].used || core->registers[reg].slot != index ||
            core->registers[reg].prev_live != previous || live == slot->live_count) {
            return false;
        }
        previous = reg;
        live += 1;
    }
    return live == slot->live_count;
}

static bool check_slots(const struct td_core *core)
{
    uint32_t count = 0, previous = TD_NONE, live = 0;
    uint64_t arrived = 0;
    for (uint32_t at = core->slot_first; at != TD_NONE; at = core->slots[at].next) {
        const struct td_slot *slot = &core->slots[at];
        if (!check_slot(core, at) || slot->prev != previous || slot->arrived <= arrived ||
            count == core->slot_count) {
            return false;
        }
        arrived = slot->arrived;
        previous = at;
        live += slot->live_count;
        count += 1;
    }
    return count == core->slot_count && previous == core->slot_last &&
           live == core->register_count && core->slot_count <= core->config.limits.batches_max + TD_STORES;
}

static bool check_rings(const struct td_core *core)
{
    for (uint8_t i = 0; i < TD_SLOTS; ++i) {
        const struct td_region_info *region = &core->regions[i];
        for (uint32_t k = 0; k < region->ring_count; ++k) {
            const uint32_t slot = td_ring_at(core, i, region->ring_serial + k);
            if (slot == TD_NONE || !core->slots[slot].used || !core->slots[slot].in_ring) {
                return false;
            }
        }
        if (region->ring_count > core->config.limits.ring_batches) {
            return false;
        }
    }
    return true;
}

static bool check_inc(const struct td_inc *inc)
{
    uint64_t before = inc->received + 1;
    if (inc->durable > inc->received || inc->hole_count > TD_HOLES_MAX) {
        return false;
    }
    for (uint32_t i = 0; i < inc->hole_count; ++i) {
        if (inc->holes[i].from <= before || inc->holes[i].to < inc->holes[i].from) {
            return false;
        }
        before = inc->holes[i].to + 1;
    }
    return true;
}

static bool check_vectors(const struct td_core *core)
{
    uint32_t in_has = 0;
    for (uint32_t i = 0; i < core->inc_order_count; ++i) {
        const struct td_inc *inc = &core->incs[core->inc_order[i]];
        if (!check_inc(inc) || (i > 0 && td_origin_compare(core->incs[core->inc_order[i - 1]].origin,
                                                           inc->origin) >= 0)) {
            return false;
        }
        if (!inc->folded && inc->durable > 0) {
            in_has += 1;
            if (td_vv_seq(&core->has.vv, inc->origin) != inc->durable) {
                return false;
            }
        }
    }
    return in_has == core->has.vv.entry_count && td_vv_valid(&core->has.vv);
}

bool td_core_check(const struct td_core *core)
{
    return check_vectors(core) && check_slots(core) && check_rings(core) && check_table(core) &&
           td_bodies_check(core) && td_own_check(core) && td_pending_check(core);
}
