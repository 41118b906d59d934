/* table.c -- the live registers: found by job and attempt, merged by the one total order, summed into
 * the digest, threaded through batch slots and the change ring. The only place where a register changes.
 *
 * Merge is the maximum by td_order_compare and nothing else. Clocks only name what the choice was:
 * a loser that the winner had seen is superseded, any other is concurrent. */
#include <string.h>

#include "node/core/state.h"
#include "node/core/plant.h"

size_t td_table_layout(struct td_core *core, struct td_block *block)
{
    const struct td_core_limits *limits = &core->config.limits;
    uint32_t buckets = 1024;
    while (buckets < limits->registers_max && buckets < UINT32_C(1) << 31) {
        buckets *= 2;
    }
    core->bucket_mask = buckets - 1;
    core->registers = td_block_take(block, limits->registers_max, sizeof *core->registers);
    core->buckets = td_block_take(block, buckets, sizeof *core->buckets);
    core->change_ring = td_block_take(block, limits->change_ring, sizeof *core->change_ring);
    core->losers = td_block_take(block, TD_LOSERS, sizeof *core->losers);
    core->losers_concurrent = td_block_take(block, TD_LOSERS, sizeof *core->losers_concurrent);
    core->loser_heads = td_block_take(block, TD_LOSERS, sizeof *core->loser_heads);
    core->loser_concurrent_heads =
        td_block_take(block, TD_LOSERS, sizeof *core->loser_concurrent_heads);
    td_bodies_layout(core, block);
    return block->used_bytes;
}

/* Buckets hold index + 1, so that untouched zero pages mean empty. */
void td_table_init(struct td_core *core)
{
    core->register_free = TD_NONE;
}

/* ---- finding ---- */

uint32_t td_job_bucket(const struct td_core *core, uint64_t job_hash)
{
    uint64_t x = job_hash ^ core->config.table_seed;
    x *= UINT64_C(0x9e3779b97f4a7c15);
    x ^= x >> 32;
    return (uint32_t)x & core->bucket_mask;
}

static bool same_job(const struct td_core *core, const struct td_register *reg, uint64_t job_hash,
                     struct td_text job)
{
    if (reg->job_hash != job_hash) {
        return false;
    }
    const struct td_text own = td_body_job(core, reg->body);
    return own.count == job.count && memcmp(own.bytes, job.bytes, job.count) == 0;
}

uint32_t td_table_highest(const struct td_core *core, uint64_t job_hash, struct td_text job)
{
    uint32_t at = core->buckets[td_job_bucket(core, job_hash)];
    while (at != 0) {
        const struct td_register *reg = &core->registers[at - 1];
        if (same_job(core, reg, job_hash, job)) {
            return at - 1;
        }
        at = reg->next_in_bucket;
    }
    return TD_NONE;
}

uint32_t td_table_find(const struct td_core *core, uint64_t job_hash, struct td_text job,
                       uint16_t attempt)
{
    uint32_t at = td_table_highest(core, job_hash, job);
    while (at != TD_NONE && core->registers[at].attempt > attempt) {
        at = core->registers[at].lower_attempt;
    }
    return at != TD_NONE && core->registers[at].attempt == attempt ? at : TD_NONE;
}

static void prefetch_two_lines(const void *bytes)
{
    __builtin_prefetch(bytes);
    __builtin_prefetch((const uint8_t *)bytes + 64);
}

void td_table_prefetch(const struct td_core *core, uint64_t job_hash, uint32_t stage)
{
    const uint32_t *bucket = &core->buckets[td_job_bucket(core, job_hash)];
    if (stage == 0) {
        __builtin_prefetch(bucket);
        return;
    }
    if (*bucket == 0) {
        return;
    }
    const struct td_register *reg = &core->registers[*bucket - 1];
    if (stage == 1) {
        prefetch_two_lines(reg);
        return;
    }
    prefetch_two_lines(core->bodies + reg->body * 16);
    if (reg->next_live < core->config.limits.registers_max) {
        __builtin_prefetch(&core->registers[reg->next_live]);
    }
    if (reg->prev_live < core->config.limits.registers_max) {
        __builtin_prefetch(&core->registers[reg->prev_live]);
    }
    if (reg->next_in_bucket != 0) {
        prefetch_two_lines(&core->registers[reg->next_in_bucket - 1]);
    }
}

/* The link in the bucket's chain that leads to this register (index + 1). */
static uint32_t *bucket_link(struct td_core *core, uint32_t index)
{
    uint32_t *link = &core->buckets[td_job_bucket(core, core->registers[index].job_hash)];
    while (*link != index + 1) {
        TD_ASSERT(*link != 0);
        link = &core->registers[*link - 1].next_in_bucket;
    }
    return link;
}

/* Puts a new register into its job's chain; highest is the job's highest attempt so far or TD_NONE. */
static void chain_in(struct td_core *core, uint32_t index, uint32_t highest)
{
    struct td_register *reg = &core->registers[index];
    reg->lower_attempt = TD_NONE;
    reg->highest = true;
    if (highest == TD_NONE) {
        uint32_t *bucket = &core->buckets[td_job_bucket(core, reg->job_hash)];
        reg->next_in_bucket = *bucket;
        *bucket = index + 1;
        return;
    }
    struct td_register *top = &core->registers[highest];
    if (reg->attempt > top->attempt) {
        uint32_t *link = bucket_link(core, highest);
        reg->next_in_bucket = top->next_in_bucket;
        reg->lower_attempt = highest;
        *link = index + 1;
        top->highest = false;
        core->jobs_by_state[top->state] -= 1;
        return;
    }
    reg->highest = false;
    uint32_t above = highest;
    while (core->registers[above].lower_attempt != TD_NONE &&
           core->registers[core->registers[above].lower_attempt].attempt > reg->attempt) {
        above = core->registers[above].lower_attempt;
    }
    reg->lower_attempt = core->registers[above].lower_attempt;
    core->registers[above].lower_attempt = index;
}

static void chain_out(struct td_core *core, uint32_t index)
{
    struct td_register *reg = &core->registers[index];
    if (!reg->highest) {
        uint32_t above = td_table_highest(core, reg->job_hash, td_body_job(core, reg->body));
        while (core->registers[above].lower_attempt != index) {
            above = core->registers[above].lower_attempt;
        }
        core->registers[above].lower_attempt = reg->lower_attempt;
        return;
    }
    uint32_t *link = bucket_link(core, index);
    if (reg->lower_attempt == TD_NONE) {
        *link = reg->next_in_bucket;
        return;
    }
    struct td_register *lower = &core->registers[reg->lower_attempt];
    lower->next_in_bucket = reg->next_in_bucket;
    lower->highest = true;
    core->jobs_by_state[lower->state] += 1;
    *link = reg->lower_attempt + 1;
}

/* ---- digest, slots, quota, changes ---- */

static void digest_apply(struct td_core *core, const struct td_register *reg, bool add)
{
    const uint64_t hash = td_register_hash(reg->job_hash, reg->attempt);
    uint8_t *sum = core->digest[td_register_bucket(hash)].bytes;
    if (TD_PLANTED(digest_keeps_losers) && !add) {
        return;
    }
    uint64_t carry = add ? 0 : 1;
    for (uint32_t i = 0; i < 4; ++i) { /* little-endian words; subtract = add the complement plus 1 */
        uint64_t a = 0, b = 0;
        for (uint32_t k = 0; k < 8; ++k) {
            a |= (uint64_t)sum[8 * i + k] << (8 * k);
            b |= (uint64_t)reg->leaf.bytes[8 * i + k] << (8 * k);
        }
        b = add ? b : ~b;
        const uint64_t partial = a + b;
        const uint64_t result = partial + carry;
        carry = (uint64_t)(partial < a) | (uint64_t)(result < partial);
        for (uint32_t k = 0; k < 8; ++k) {
            sum[8 * i + k] = (uint8_t)(result >> (8 * k));
        }
    }
}

static void slot_link(struct td_core *core, uint32_t index, uint32_t slot_index, uint32_t delta_index)
{
    struct td_register *reg = &core->registers[index];
    struct td_slot *slot = &core->slots[slot_index];
    reg->slot = slot_index;
    reg->index = delta_index;
    reg->prev_live = TD_NONE;
    reg->next_live = slot->live_first;
    if (slot->live_first != TD_NONE) {
        core->registers[slot->live_first].prev_live = index;
    }
    slot->live_first = index;
    slot->live_count += 1;
}

static void slot_unlink(struct td_core *core, uint32_t index)
{
    struct td_register *reg = &core->registers[index];
    const uint32_t slot_index = reg->slot;
    struct td_slot *slot = &core->slots[slot_index];
    if (reg->prev_live != TD_NONE) {
        core->registers[reg->prev_live].next_live = reg->next_live;
    } else {
        slot->live_first = reg->next_live;
    }
    if (reg->next_live != TD_NONE) {
        core->registers[reg->next_live].prev_live = reg->prev_live;
    }
    slot->live_count -= 1;
    td_slot_release(core, slot_index);
}

/* Bytes are those of the packed body, in whole units: what the register takes here. */
static void quota_apply(struct td_core *core, const struct td_register *reg, bool add)
{
    const uint8_t slot = core->slot_of[reg->first_region];
    const uint64_t bytes = (uint64_t)reg->body_words * 16;
    core->body_bytes_live += add ? bytes : 0 - bytes;
    if (slot != 255) {
        core->regions[slot].used_registers += add ? 1 : UINT64_MAX;
        core->regions[slot].used_bytes += add ? bytes : 0 - bytes;
    }
}

static void change_apply(struct td_core *core, uint32_t index)
{
    core->change_number += 1;
    core->change_ring[core->change_number & (core->config.limits.change_ring - 1)] = index;
    core->registers[index].change = core->change_number;
    core->table_changed = true;
}

/* ---- losers ---- */

static void loser_add(struct td_core *core, uint64_t register_hash, uint32_t slot_index,
                      uint32_t delta_index, struct td_dot dot, bool concurrent, enum td_rule rule)
{
    struct td_loser *losers = concurrent ? core->losers_concurrent : core->losers;
    uint64_t *heads = concurrent ? core->loser_concurrent_heads : core->loser_heads;
    uint64_t *number = concurrent ? &core->loser_concurrent_number : &core->loser_number;
    uint64_t *head = &heads[register_hash % TD_LOSERS];
    *number += 1;
    losers[*number % TD_LOSERS] = (struct td_loser){
        .register_hash = register_hash,
        .ref = core->slots[slot_index].ref,
        .index = delta_index,
        .dot = dot,
        .arrived_wall_ms = core->slots[slot_index].arrived_wall_ms,
        .previous = *head,
        .via = core->slots[slot_index].via,
        .concurrent = concurrent,
        .rule = rule,
    };
    *head = *number;
}

static void count_loser(struct td_core *core, struct td_region origin, bool concurrent,
                        enum td_rule rule)
{
    if (core->replaying) {
        return;
    }
    if (!concurrent) {
        TD_COUNT(core, superseded, 1);
        td_metrics_of(core, origin)->superseded += 1;
        return;
    }
    switch (rule) {
    case TD_RULE_FINALITY:
        TD_COUNT(core, conflicts_finality, 1);
        break;
    case TD_RULE_STAMP:
        TD_COUNT(core, conflicts_stamp, 1);
        break;
    case TD_RULE_HASH:
        TD_COUNT(core, conflicts_hash, 1);
        break;
    case TD_RULE_ORIGIN:
    case TD_RULE_ATTEMPT:
    case TD_RULE_COUNT:
        TD_COUNT(core, conflicts_origin, 1);
        break;
    }
}

/* ---- merge ---- */

/* A delta on its way into the table. */
struct incoming {
    const struct td_delta *delta;
    uint32_t slot;
    struct td_order order;
    uint64_t register_hash;
    bool own; /* accepted here: its room was reserved */
};

static struct td_dot *join_all(struct td_dot *dots, uint32_t *count, const struct td_dot *more,
                               uint32_t more_count)
{
    for (uint32_t i = 0; i < more_count; ++i) {
        (void)td_dots_join(dots, count, more[i]); /* the 65th region of a register is not remembered */
    }
    return dots;
}

/* Keeps of `dots` what the winner's clock does not cover and what is not the winner itself. */
static uint32_t beyond_clock(struct td_dot *dots, uint32_t count, const struct td_dot *clock,
                             uint32_t clock_count, struct td_dot winner)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; ++i) {
        const bool is_winner = td_dot_compare(dots[i], winner) == 0;
        if (!is_winner && !td_dots_cover(clock, clock_count, dots[i])) {
            dots[kept++] = dots[i];
        }
    }
    return kept;
}

static void fill_value(struct td_register *reg, const struct incoming *in)
{
    reg->stamp = in->delta->stamp;
    reg->leaf = in->delta->leaf;
    reg->state = (uint8_t)in->delta->status.state;
}

static enum td_merge insert_new(struct td_core *core, const struct incoming *in, uint32_t highest)
{
    const struct td_body_parts parts = { .delta = in->delta };
    const uint32_t words = td_body_words(&parts);
    const uint32_t kept = in->own ? 0 : core->reserved_registers;
    if ((uint64_t)core->register_count + kept >= core->config.limits.registers_max) {
        return TD_MERGE_NO_ROOM;
    }
    uint32_t index = core->register_free;
    if (index == TD_NONE) {
        index = core->register_used_max;
    }
    const uint64_t body = td_body_alloc(core, words, index, in->own);
    if (body == UINT64_MAX) {
        return TD_MERGE_NO_ROOM;
    }
    if (index == core->register_used_max) {
        core->register_used_max += 1;
    } else {
        core->register_free = core->registers[index].next_in_bucket;
    }
    core->register_count += 1;
    struct td_register *reg = &core->registers[index];
    *reg = (struct td_register){
        .job_hash = in->delta->job_hash,
        .attempt = in->delta->attempt,
        .body = body,
        .body_words = words,
        .first_region = in->order.dot.origin.region.v,
        .used = true,
    };
    fill_value(reg, in);
    td_body_pack(core, body, words, index, &parts);
    chain_in(core, index, highest);
    core->jobs_by_state[reg->state] += reg->highest;
    slot_link(core, index, in->slot, in->delta->index);
    digest_apply(core, reg, true);
    quota_apply(core, reg, true);
    change_apply(core, index);
    return TD_MERGE_WON;
}

/* Writes a new body for the register; the old one is freed only when the new one has its place. */
static bool replace_body(struct td_core *core, uint32_t index, const struct td_body_parts *parts,
                         bool own)
{
    struct td_register *reg = &core->registers[index];
    const uint32_t words = td_body_words(parts);
    quota_apply(core, reg, false);
    if (words != reg->body_words) {
        const uint64_t body = td_body_alloc(core, words, index, own);
        if (body == UINT64_MAX) {
            quota_apply(core, reg, true);
            return false;
        }
        td_body_free(core, reg->body, reg->body_words);
        reg->body = body;
        reg->body_words = words;
    }
    td_body_pack(core, reg->body, words, index, parts);
    quota_apply(core, reg, true);
    return true;
}

/* What is known to the register beyond the incoming winner, once that has taken over. */
static uint32_t seen_under_winner(const struct td_core *core, uint32_t index,
                                  const struct incoming *in, struct td_dot *ret_seen)
{
    const uint32_t count = td_register_seen(core, index, ret_seen);
    return beyond_clock(ret_seen, count, in->delta->clock, in->delta->clock_count, in->order.dot);
}

/* A region has seen its own earlier reports whether its clock says so or not. */
static bool saw(const struct incoming *in, struct td_dot dot)
{
    return td_dots_cover(in->delta->clock, in->delta->clock_count, dot) ||
           (dot.origin.region.v == in->order.dot.origin.region.v &&
            td_dot_compare(dot, in->order.dot) < 0);
}

static enum td_merge take_over(struct td_core *core, uint32_t index, const struct incoming *in,
                               const struct td_order *current)
{
    struct td_register *reg = &core->registers[index];
    TD_ASSERT(in->order.rank >= current->rank || TD_PLANTED(merge_lowers_rank)); /* I3 */
    struct td_dot seen[TD_CLOCK_ENTRIES_MAX];
    const uint32_t seen_count = seen_under_winner(core, index, in, seen);
    struct td_body_parts parts = { in->delta, seen, seen_count };
    const uint32_t old_slot = reg->slot, old_index = reg->index;
    const bool concurrent = !saw(in, current->dot);
    const enum td_rule rule = td_order_rule(&in->order, current);

    if (!replace_body(core, index, &parts, in->own)) {
        parts.seen_count = 0; /* the clock of the next report here will say less, that is all */
        if (!replace_body(core, index, &parts, in->own)) {
            return TD_MERGE_NO_ROOM;
        }
    }
    loser_add(core, in->register_hash, old_slot, old_index, current->dot, concurrent, rule);
    count_loser(core, current->dot.origin.region, concurrent, rule);
    digest_apply(core, reg, false);
    core->jobs_by_state[reg->state] -= reg->highest;
    fill_value(reg, in);
    core->jobs_by_state[reg->state] += reg->highest;
    reg->concurrent_count = (uint8_t)(reg->concurrent_count + (concurrent && reg->concurrent_count < 255));
    digest_apply(core, reg, true);
    slot_unlink(core, index);
    slot_link(core, index, in->slot, in->delta->index);
    change_apply(core, index);
    return TD_MERGE_WON;
}

/* Remembers a concurrent loser in the register, so that the next report here names it as seen. */
static void remember_loser(struct td_core *core, uint32_t index, const struct incoming *in)
{
    struct td_register *reg = &core->registers[index];
    struct td_body_view view;
    td_body_unpack(core, reg->body, &view);
    uint32_t count = view.seen_count;
    join_all(view.seen, &count, in->delta->clock, in->delta->clock_count);
    join_all(view.seen, &count, &in->order.dot, 1);
    count = beyond_clock(view.seen, count, view.clock, view.delta.clock_count,
                         td_register_dot(core, reg));
    /* The slices point into the body that is about to be replaced: rebuild it from a copy. */
    _Alignas(16) uint8_t copy[TD_BODY_WORDS_MAX * 16];
    memcpy(copy, core->bodies + reg->body * 16, (size_t)reg->body_words * 16);
    struct td_body_view safe;
    td_body_unpack_bytes(copy, &safe);
    const struct td_body_parts parts = { &safe.delta, view.seen, count };
    if (!replace_body(core, index, &parts, in->own)) {
        TD_COUNT(core, rejected_bounds, 1);
    }
}

static enum td_merge stay(struct td_core *core, uint32_t index, const struct incoming *in,
                          const struct td_order *current)
{
    struct td_register *reg = &core->registers[index];
    struct td_dot seen[TD_CLOCK_ENTRIES_MAX];
    const uint32_t seen_count = td_register_seen(core, index, seen);
    const bool same_dot = td_dot_compare(current->dot, in->order.dot) == 0;
    /* Covered by an earlier concurrent loser counts too: it was merged, or seen by what was merged. */
    const bool concurrent = same_dot || !td_dots_cover(seen, seen_count, in->order.dot);
    const enum td_rule rule = td_order_rule(current, &in->order);

    loser_add(core, in->register_hash, in->slot, in->delta->index, in->order.dot, concurrent, rule);
    count_loser(core, in->order.dot.origin.region, concurrent, rule);
    if (concurrent) {
        reg->concurrent_count = (uint8_t)(reg->concurrent_count + (reg->concurrent_count < 255));
        remember_loser(core, index, in);
    }
    return TD_MERGE_LOST;
}

static void note_equivocation(struct td_core *core, struct td_region region)
{
    const uint8_t slot = core->slot_of[region.v];
    TD_COUNT(core, equivocations, 1);
    td_metrics_of(core, region)->equivocations += 1;
    if (slot != 255 && !core->regions[slot].equivocated && !TD_PLANTED(fork_unnoticed)) {
        core->regions[slot].equivocated = true;
        td_fx_trace(core, TD_TR_EQUIVOCATION, region, 0, 0);
    }
}

/* A register whose batch could not be stored moves to the slot whose bytes are going to be there. */
static enum td_merge already_here(struct td_core *core, uint32_t index, const struct incoming *in)
{
    if (core->slots[core->registers[index].slot].failed) {
        slot_unlink(core, index);
        slot_link(core, index, in->slot, in->delta->index);
    }
    if (!core->replaying) {
        TD_COUNT(core, duplicate, 1);
        td_metrics_of(core, (struct td_region){ core->slots[in->slot].via })->duplicate += 1;
    }
    return TD_MERGE_SAME;
}

enum td_merge td_table_merge(struct td_core *core, const struct td_delta *delta, uint32_t slot)
{
    const struct td_slot *from = &core->slots[slot];
    const struct incoming in = {
        .delta = delta,
        .slot = slot,
        .order = { td_state_rank(delta->status.state), delta->stamp,
                   { core->incs[from->inc].origin, from->first_seq + delta->index }, delta->leaf },
        .register_hash = td_register_hash(delta->job_hash, delta->attempt),
        .own = from->via == core->config.self.v,
    };
    if (!core->replaying && delta->stamp.ms > core->now.wall_ms + 1000) {
        TD_COUNT(core, stamp_ahead, 1);
    }
    const uint32_t highest = td_table_highest(core, delta->job_hash, delta->job);
    uint32_t index = highest;
    while (index != TD_NONE && core->registers[index].attempt > delta->attempt) {
        index = core->registers[index].lower_attempt;
    }
    if (index == TD_NONE || core->registers[index].attempt != delta->attempt) {
        return insert_new(core, &in, highest);
    }
    const struct td_order current = td_register_order(core, &core->registers[index]);
    const int difference = TD_PLANTED(merge_lowers_rank) ? td_stamp_compare(in.order.stamp, current.stamp)
                                                         : td_order_compare(&in.order, &current);
    if (difference == 0 || (TD_PLANTED(fork_first_wins) && td_dot_compare(in.order.dot, current.dot) == 0)) {
        return already_here(core, index, &in);
    }
    if (td_dot_compare(in.order.dot, current.dot) == 0) {
        note_equivocation(core, in.order.dot.origin.region);
    }
    return difference > 0 ? take_over(core, index, &in, &current)
                          : stay(core, index, &in, &current);
}

void td_table_remove(struct td_core *core, uint32_t index)
{
    struct td_register *reg = &core->registers[index];
    TD_ASSERT(reg->used);
    digest_apply(core, reg, false);
    quota_apply(core, reg, false);
    core->jobs_by_state[reg->state] -= reg->highest;
    chain_out(core, index);
    slot_unlink(core, index);
    td_body_free(core, reg->body, reg->body_words);
    memset(reg, 0, sizeof *reg);
    reg->slot = TD_NONE;
    reg->next_in_bucket = core->register_free;
    core->register_free = index;
    core->register_count -= 1;
}
