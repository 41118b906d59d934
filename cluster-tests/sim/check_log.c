/* check_log.c -- what a node shows it can also give away: every batch with something live is found
 * in the log at the place the core remembers, and holds what is live of it, whatever was compacted
 * meanwhile. */
#include "cluster-tests/sim/sim.h"

#include <stdlib.h>
#include <string.h>

enum { LOOKED_AT_ONCE = 16 };

static bool holds(const struct td_batch *batch, uint32_t index)
{
    for (uint32_t i = 0; i < batch->present_count; i++) {
        if (batch->deltas[i].index == index) {
            return true;
        }
    }
    return false;
}

static void check_slot(struct sim_world *world, int index, const struct td_slot *slot)
{
    struct sim_node *node = &world->nodes[index];
    struct td_arena arena;
    struct td_batch batch;
    size_t got = 0;
    uint8_t *raw = malloc(slot->ref.bytes + 1);

    TD_ASSERT(raw != NULL);
    td_arena_init(&arena, world->arena_block, world->arena_bytes);
    enum td_err err = td_log_read(node->log, slot->ref, raw, slot->ref.bytes, &got);
    if (err != TD_OK || td_batch_decode((struct td_bytes){raw, got}, &node->signer, node->reader,
                                        &arena, &batch) != TD_OK) {
        sim_fail(world, "log", "node %d: the batch at %llx is not there: %s", index + 1,
                 (unsigned long long)slot->ref.position, td_err_text(err));
        free(raw);
        return;
    }
    for (uint32_t reg = slot->live_first; reg != TD_NONE;
         reg = node->core->registers[reg].next_live) {
        if (!holds(&batch, node->core->registers[reg].index)) {
            sim_fail(world, "log", "node %d: the batch at %llx lacks a live delta", index + 1,
                     (unsigned long long)slot->ref.position);
        }
    }
    if (batch.header.first_seq != slot->first_seq || batch.present_count != slot->stored_count ||
        !holds(&batch, slot->index_last) || (slot->in_ring && !batch.whole)) {
        sim_fail(world, "log", "node %d: the batch at %llx is not what its slot says", index + 1,
                 (unsigned long long)slot->ref.position);
    }
    free(raw);
}

void sim_check_log(struct sim_world *world, int index, bool all)
{
    struct sim_node *node = &world->nodes[index];
    uint32_t count = node->core->slot_used_max;

    if (world->options.compact_ms == 0 || !node->core->started || count == 0) {
        return;
    }
    for (uint32_t n = 0; n < (all || count < LOOKED_AT_ONCE ? count : LOOKED_AT_ONCE); n++) {
        const struct td_slot *slot = &node->core->slots[node->slot_looked_at++ % count];
        if (slot->used && slot->durable && !world->failed) {
            check_slot(world, index, slot);
        }
    }
}
