/* compact.c -- what the log may leave out when it rewrites old segments (LOG, "Compaction"; why it is safe:
 * docs/decisions/0022). The log asks about the batches of a segment; a delta stays as long as its register
 * shows it, or what beat it is not durable, or it is one of the newest concurrent losers that `explain`
 * shows. The arrival order of slots never changes here, only where their bytes lie: no live delta moves
 * behind the cursor of an open transfer, and its claim stays true. */
#include <string.h>

#include "node/core/state.h"
#include "node/core/plant.h"

enum {
    SURVEY_SLICE = 8192,      /* slots looked at in one step */
    SURVEY_UNIT = 65536,      /* slots for which survey_ms is meant */
    SURVEY_TABLE = 16384,     /* a power of two */
    SURVEY_SEGMENTS = SURVEY_TABLE / 4 * 3,
    THIN_BYTES = 400,         /* header, signature, some subtree hashes: what thinning cannot save */
    CONCURRENT_KEPT = 4,
    CHAIN_STEPS = 4096,
};

struct td_compact_state {
    bool surveying, overflown;
    uint32_t survey_at; /* next slot */
    uint64_t survey_next_ms;
    uint32_t share_count;
    struct td_compact_share shares[SURVEY_TABLE]; /* open addressing; segment 0 = empty */
    bool claim_wanted; /* there was no room for its record */
    struct td_compact_answer answer, survey; /* of this step */
};

void td_compact_layout(struct td_core *core, struct td_block *block)
{
    core->compact = td_block_take(block, 1, sizeof *core->compact);
}

/* To a question: at most one a step, and nothing of the step has used up its room before. */
static void answer(struct td_core *core, const struct td_compact_answer *what)
{
    core->compact->answer = *what;
    td_fx_add(core, TD_FX_COMPACT)->u.compact = &core->compact->answer;
}

/* ---- what is still needed ---- */

/* The place in its ring of a concurrent loser that is among the newest of its register and lies at this
 * position of the log; TD_NONE = it is not. */
static uint32_t kept_loser(const struct td_core *core, uint64_t register_hash, struct td_dot dot,
                           uint64_t position)
{
    const uint64_t newest = core->loser_concurrent_number;
    uint64_t number = core->loser_concurrent_heads[register_hash % TD_LOSERS];
    struct td_dot seen[CONCURRENT_KEPT];
    uint32_t seen_count = 0;

    for (uint32_t steps = 0; number != 0 && number + TD_LOSERS > newest &&
                             seen_count < CONCURRENT_KEPT && steps < CHAIN_STEPS;
         ++steps) {
        const struct td_loser *loser = &core->losers_concurrent[number % TD_LOSERS];
        const uint32_t place = (uint32_t)(number % TD_LOSERS);
        bool again = false;
        number = loser->previous;
        for (uint32_t i = 0; i < seen_count; ++i) {
            again = again || td_dot_compare(seen[i], loser->dot) == 0;
        }
        if (loser->register_hash != register_hash || again) {
            continue;
        }
        if (td_dot_compare(loser->dot, dot) == 0) {
            return loser->ref.position == position ? place : TD_NONE;
        }
        seen[seen_count++] = loser->dot;
    }
    return TD_NONE;
}

bool td_batch_live(const struct td_core *core, const struct td_delta *delta, struct td_dot dot,
                   uint64_t position)
{
    const uint32_t index = td_table_find(core, delta->job_hash, delta->job, delta->attempt);
    if (index == TD_NONE) {
        return true; /* it never had a place in the table: nothing is known that beats it */
    }
    const struct td_register *reg = &core->registers[index];
    const struct td_slot *slot = &core->slots[reg->slot];
    const struct td_order mine = { td_state_rank(delta->status.state), delta->stamp, dot, delta->leaf };
    const struct td_order winner = td_register_order(core, reg);
    const int difference = td_order_compare(&winner, &mine);
    const bool durable = slot->durable || TD_PLANTED(compact_before_durable);

    if (difference == 0) { /* of several copies the one that the register's slot names */
        return !durable || slot->ref.position == position;
    }
    return difference < 0 || !durable;
}

/* A whole batch beyond a hole in its origin's seqs: no claim covers it yet, and once the hole has closed
 * `has` will go over it, because all of it is in the log. */
static bool counts_as_whole(const struct td_core *core, const struct td_batch *batch)
{
    const struct td_dot last = { batch->header.origin, batch->header.first_seq + batch->header.count - 1 };
    return batch->whole && !td_dot_durable(core, last);
}

/* False = no scratch. */
static bool keep_of(struct td_core *core, const struct td_compact_batch *asked, struct td_compact_keep *keep)
{
    const struct td_batch *batch = asked->batch;
    uint32_t *indexes = td_fx_scratch(core, batch->present_count, sizeof *indexes);
    uint32_t *losers = td_fx_scratch(core, batch->present_count, sizeof *losers);
    const uint16_t inc = td_inc_find(core, batch->header.origin);
    const bool whole = counts_as_whole(core, batch);

    if (indexes == NULL || losers == NULL) {
        return false;
    }
    *keep = (struct td_compact_keep){ .keep = indexes, .slot = TD_NONE, .losers = losers };
    for (uint32_t i = 0; i < batch->present_count; ++i) {
        const struct td_delta *delta = &batch->deltas[i];
        const struct td_dot dot = { batch->header.origin, batch->header.first_seq + delta->index };
        const uint32_t loser = kept_loser(core, td_register_hash(delta->job_hash, delta->attempt), dot,
                                          asked->position);
        const bool live = td_batch_live(core, delta, dot, asked->position);
        if (loser != TD_NONE) {
            losers[keep->loser_count++] = loser;
        }
        if (live || whole || loser != TD_NONE) {
            indexes[keep->keep_count++] = delta->index;
        }
        const uint32_t reg = live && keep->slot == TD_NONE
                                 ? td_table_find(core, delta->job_hash, delta->job, delta->attempt)
                                 : TD_NONE;
        if (reg != TD_NONE && core->slots[core->registers[reg].slot].ref.position == asked->position) {
            keep->slot = core->registers[reg].slot;
        }
    }
    const uint32_t anchor = inc == TD_INC_NONE ? TD_NONE : core->incs[inc].anchor;
    if (anchor != TD_NONE && core->slots[anchor].ref.position == asked->position) {
        keep->slot = anchor;
        if (keep->keep_count == 0) { /* for its header's sake (docs/decisions/0008) */
            indexes[keep->keep_count++] = core->slots[anchor].index_last;
        }
    }
    return true;
}

static void answer_keep(struct td_core *core, const struct td_compact_ask *ask)
{
    struct td_compact_keep *keeps = td_fx_scratch(core, ask->count, sizeof *keeps);
    bool ok = keeps != NULL;

    for (uint32_t i = 0; ok && i < ask->count; ++i) {
        ok = keep_of(core, &ask->batches[i], &keeps[i]);
    }
    answer(core, &(struct td_compact_answer){
                     .step = ask->step, .ok = ok, .keeps = keeps, .count = ok ? ask->count : 0 });
}

/* ---- the claim ---- */

/* What is left out can no longer be told from whole batches at a restart: `has` says it, behind everything
 * that it covers. */
static void write_claim(struct td_core *core)
{
    const struct td_vv has = td_vectors_has(core);
    core->compact->claim_wanted = !td_store_has(core, TD_WHAT_COMPACT, &has);
    if (core->compact->claim_wanted) {
        td_deadline(core, core->now.boot_ms + 1);
    }
}

void td_compact_claimed(struct td_core *core, bool durable)
{
    answer(core, &(struct td_compact_answer){ .step = TD_COMPACT_CLAIM, .ok = durable });
}

/* ---- where things are now ---- */

static void apply_move(struct td_core *core, const struct td_compact_move *move)
{
    if (move->loser) {
        struct td_loser *loser = &core->losers_concurrent[move->index];
        if (loser->ref.position == move->from) {
            loser->ref.position = move->to;
            loser->ref.bytes = move->bytes;
        }
        return;
    }
    struct td_slot *slot = &core->slots[move->index];
    if (!slot->used || slot->ref.position != move->from) {
        return; /* nothing of it is live any more */
    }
    slot->ref.position = move->to;
    slot->ref.bytes = move->bytes;
    slot->whole = slot->whole && move->stored_count == slot->count;
    slot->stored_count = move->stored_count;
    slot->index_last = move->index_last;
}

void td_compact_event(struct td_core *core, const struct td_event *event)
{
    const struct td_compact_ask *ask = event->u.compact;

    switch (ask->step) {
    case TD_COMPACT_BEGIN:
        if (core->started) {
            td_rings_leave(core, ask->segments, ask->count);
        }
        /* Closings of more incarnations than may be open at once can lie in one segment: a restart has to
         * know first which of them are folded. */
        answer(core, &(struct td_compact_answer){ .step = ask->step,
                                                  .ok = core->started,
                                                  .folds = core->has.folds,
                                                  .count = core->has.vv.fold_count });
        break;
    case TD_COMPACT_KEEP:
        answer_keep(core, ask);
        break;
    case TD_COMPACT_CLAIM:
        write_claim(core);
        break;
    case TD_COMPACT_MOVED:
        for (uint32_t i = 0; i < ask->count; ++i) {
            apply_move(core, &ask->moves[i]);
        }
        answer(core, &(struct td_compact_answer){ .step = ask->step, .ok = true });
        break;
    case TD_COMPACT_SURVEY:
        TD_ASSERT(false); /* nobody asks for it */
        break;
    }
}

/* ---- the survey ---- */

static void add_share(struct td_compact_state *state, uint32_t segment, uint64_t bytes)
{
    uint32_t at = segment * UINT32_C(2654435769) % SURVEY_TABLE;
    while (state->shares[at].segment != 0 && state->shares[at].segment != segment) {
        at = (at + 1) % SURVEY_TABLE;
    }
    if (state->shares[at].segment == 0) {
        if (state->share_count == SURVEY_SEGMENTS) {
            state->overflown = true;
            return;
        }
        state->share_count += 1;
        state->shares[at].segment = segment;
    }
    state->shares[at].live_bytes += bytes;
}

static uint64_t live_bytes(const struct td_slot *slot)
{
    const uint32_t live = slot->live_count < slot->stored_count ? slot->live_count : slot->stored_count;
    if (live == slot->stored_count) {
        return slot->ref.bytes;
    }
    if (live == 0 && !slot->anchor) {
        return 0;
    }
    const uint64_t bytes = THIN_BYTES + (uint64_t)slot->ref.bytes * live / slot->stored_count;
    return bytes < slot->ref.bytes ? bytes : slot->ref.bytes;
}

static void survey_slice(struct td_core *core)
{
    struct td_compact_state *state = core->compact;
    for (uint32_t n = 0; n < SURVEY_SLICE && state->survey_at < core->slot_used_max; ++n) {
        const struct td_slot *slot = &core->slots[state->survey_at++];
        if (slot->used && slot->durable && slot->ref.position != 0) {
            add_share(state, (uint32_t)(slot->ref.position >> 32), live_bytes(slot));
        }
    }
}

static void tell_survey(struct td_core *core)
{
    struct td_compact_state *state = core->compact;
    struct td_compact_share *shares = td_fx_scratch(core, state->share_count + 1, sizeof *shares);
    uint32_t count = 0;

    /* Not half of the truth: what is not named counts as dead. */
    if (shares == NULL || state->overflown || td_fx_room(core) == 0) {
        return;
    }
    for (uint32_t i = 0; i < SURVEY_TABLE; ++i) {
        if (state->shares[i].segment != 0) {
            shares[count++] = state->shares[i];
        }
    }
    state->survey = (struct td_compact_answer){ .step = TD_COMPACT_SURVEY, .shares = shares, .count = count };
    td_fx_add(core, TD_FX_COMPACT)->u.compact = &state->survey;
}

void td_compact_tick(struct td_core *core)
{
    struct td_compact_state *state = core->compact;
    if (core->config.survey_ms == 0) {
        return;
    }
    if (state->claim_wanted) {
        write_claim(core);
    }
    if (!state->surveying && core->now.boot_ms >= state->survey_next_ms) {
        memset(state->shares, 0, sizeof state->shares);
        state->share_count = 0;
        state->survey_at = 0;
        state->surveying = true;
        state->overflown = false;
    }
    if (state->surveying) {
        survey_slice(core);
        if (state->survey_at < core->slot_used_max) {
            td_deadline(core, core->now.boot_ms + 1);
            return;
        }
        tell_survey(core);
        state->surveying = false;
        /* A walk over millions of slots is not worth it as often as one over a few. */
        state->survey_next_ms =
            core->now.boot_ms + (uint64_t)core->config.survey_ms * (1 + core->slot_used_max / SURVEY_UNIT);
    }
    td_deadline(core, state->survey_next_ms);
}
