/* own.c -- the queue of own deltas: numbered entries in a ring, their bytes in a second ring, an index by
 * job for refusals and coalescing, and the one group that is with the log. */
#include <string.h>

#include "node/core/own.h"
#include "node/core/plant.h"

enum {
    TD_OWN_GROUP_BYTES = 900 * 1024, /* of a batch, estimated */
    TD_OWN_BYTES_EACH = 640,         /* average room in the byte ring */
    TD_OWN_BLOCK_MAX = 8 * 1024,
    TD_OWN_RETRY_MS = 1000,
    TD_WALL_RECORD_MS = 30 * 1000,
    TD_NO_CLOCK_ENTRY = 255,
};

struct own_entry {
    uint64_t number;
    uint64_t before;         /* queued report it follows on the same register, 0 = none */
    uint64_t after;          /* the one that follows it, 0 = none */
    uint64_t block_end;      /* byte ring is free up to here when this entry goes */
    uint32_t block_bytes;
    uint32_t estimate_bytes; /* encoded */
    uint32_t words;          /* reserved in the body arena */
    uint32_t next_in_bucket; /* position + 1 */
    uint32_t first_node;
    uint8_t own_clock;       /* clock entry for the dot of `before` */
    bool newest;             /* of its register: in the index */
    bool new_register;
};

struct td_own_state {
    struct td_delta *deltas;
    struct own_entry *entries;
    uint32_t max;
    uint64_t head, submitted, tail; /* oldest queued, first not with the log, next number */
    uint32_t *buckets;
    uint32_t bucket_mask;
    uint8_t *bytes;
    uint64_t bytes_max, bytes_head, bytes_tail;
    uint8_t *staging;
    uint64_t next_seq;
    uint16_t inc; /* of next_seq; TD_INC_NONE = not yet interned */
    struct td_incarnation incarnation;
    bool in_flight;
    uint64_t retry_boot_ms;
};

size_t td_publish_layout(struct td_core *core, struct td_block *block)
{
    const uint32_t max = core->config.limits.pending_deltas_max;
    uint32_t buckets = 1024;
    while (buckets < max) {
        buckets *= 2;
    }
    struct td_own_state *own = td_block_take(block, 1, sizeof *own);
    struct td_delta *deltas = td_block_take(block, max, sizeof *deltas);
    struct own_entry *entries = td_block_take(block, max, sizeof *entries);
    uint32_t *index = td_block_take(block, buckets, sizeof *index);
    const uint64_t bytes_max = (uint64_t)max * TD_OWN_BYTES_EACH + 4 * TD_OWN_BLOCK_MAX;
    uint8_t *bytes = td_block_take(block, bytes_max, 1);
    uint8_t *staging = td_block_take(block, TD_OWN_BLOCK_MAX, 1);
    if (block->bytes != NULL) {
        *own = (struct td_own_state){
            .deltas = deltas,
            .entries = entries,
            .max = max,
            .head = 1,
            .submitted = 1,
            .tail = 1,
            .buckets = index,
            .bucket_mask = buckets - 1,
            .bytes = bytes,
            .bytes_max = bytes_max,
            .staging = staging,
            .inc = TD_INC_NONE,
        };
        core->own = own;
    }
    return block->used_bytes;
}

static uint32_t position_of(const struct td_own_state *own, uint64_t number)
{
    return (uint32_t)((number - 1) % own->max);
}

static struct own_entry *entry_of(const struct td_core *core, uint64_t number)
{
    TD_ASSERT(number >= core->own->head);
    TD_ASSERT(number < core->own->tail);
    return &core->own->entries[position_of(core->own, number)];
}

const struct td_delta *td_own_delta(const struct td_core *core, uint64_t number)
{
    (void)entry_of(core, number);
    return &core->own->deltas[position_of(core->own, number)];
}

/* ---- index: the newest queued report of each register, chained by job ---- */

static uint32_t *bucket_of(const struct td_core *core, uint64_t job_hash)
{
    uint64_t x = (job_hash ^ core->config.table_seed) * UINT64_C(0x9e3779b97f4a7c15);
    return &core->own->buckets[(uint32_t)(x >> 32) & core->own->bucket_mask];
}

static bool same_job(const struct td_delta *delta, uint64_t job_hash, struct td_text job)
{
    return delta->job_hash == job_hash && delta->job.count == job.count &&
           memcmp(delta->job.bytes, job.bytes, job.count) == 0;
}

uint64_t td_own_find(const struct td_core *core, uint64_t job_hash, struct td_text job,
                     uint16_t attempt)
{
    const struct td_own_state *own = core->own;
    for (uint32_t at = *bucket_of(core, job_hash); at != 0; at = own->entries[at - 1].next_in_bucket) {
        if (own->deltas[at - 1].attempt == attempt && same_job(&own->deltas[at - 1], job_hash, job)) {
            return own->entries[at - 1].number;
        }
    }
    return 0;
}

uint16_t td_own_highest(const struct td_core *core, uint64_t job_hash, struct td_text job)
{
    const struct td_own_state *own = core->own;
    uint16_t highest = 0;
    for (uint32_t at = *bucket_of(core, job_hash); at != 0; at = own->entries[at - 1].next_in_bucket) {
        if (own->deltas[at - 1].attempt > highest && same_job(&own->deltas[at - 1], job_hash, job)) {
            highest = own->deltas[at - 1].attempt;
        }
    }
    return highest;
}

static void index_out(struct td_core *core, uint64_t number)
{
    struct td_own_state *own = core->own;
    const uint32_t position = position_of(own, number);
    struct own_entry *entry = &own->entries[position];
    if (!entry->newest) {
        return;
    }
    uint32_t *link = bucket_of(core, own->deltas[position].job_hash);
    while (*link != position + 1) {
        TD_ASSERT(*link != 0);
        link = &own->entries[*link - 1].next_in_bucket;
    }
    *link = entry->next_in_bucket;
    entry->newest = false;
}

static void index_in(struct td_core *core, uint64_t number)
{
    struct td_own_state *own = core->own;
    const uint32_t position = position_of(own, number);
    uint32_t *bucket = bucket_of(core, own->deltas[position].job_hash);
    own->entries[position].next_in_bucket = *bucket;
    own->entries[position].newest = true;
    *bucket = position + 1;
}

/* ---- bytes ---- */

static size_t block_need(const struct td_delta *delta)
{
    const struct td_status *status = &delta->status;
    size_t bytes = status->label_count * sizeof(struct td_label) +
                   (delta->clock_count + 1u) * sizeof(struct td_dot) + delta->job.count +
                   status->parent.count + status->writer.count + status->detail.count;
    for (uint32_t i = 0; i < status->label_count; ++i) {
        bytes += (size_t)status->labels[i].key.count + status->labels[i].value.count;
    }
    return (bytes + 63) / 64 * 64;
}

static struct td_text copy_text(uint8_t **at, struct td_text text)
{
    const struct td_text copy = { (const char *)*at, text.count };
    if (text.count > 0) {
        memcpy(*at, text.bytes, text.count);
        *at += text.count;
    }
    return copy;
}

/* Copies everything the delta points to into the block; the copy points there. */
static void pack(const struct td_delta *delta, uint8_t *block, struct td_delta *ret_delta)
{
    struct td_delta copy = *delta;
    struct td_label *labels = (struct td_label *)(void *)block;
    struct td_dot *clock = (struct td_dot *)(void *)(labels + delta->status.label_count);
    uint8_t *at = (uint8_t *)(clock + delta->clock_count);
    if (delta->clock_count > 0) {
        memcpy(clock, delta->clock, delta->clock_count * sizeof *clock);
    }
    for (uint32_t i = 0; i < delta->status.label_count; ++i) {
        labels[i].key = copy_text(&at, delta->status.labels[i].key);
        labels[i].value = copy_text(&at, delta->status.labels[i].value);
    }
    copy.job = copy_text(&at, delta->job);
    copy.status.parent = copy_text(&at, delta->status.parent);
    copy.status.writer = copy_text(&at, delta->status.writer);
    copy.status.detail = copy_text(&at, delta->status.detail);
    copy.status.labels = labels;
    copy.clock = clock;
    *ret_delta = copy;
}

/* UINT64_MAX when the ring has no room. */
static uint64_t ring_take(struct td_own_state *own, size_t bytes)
{
    uint64_t from = own->bytes_tail;
    if (from % own->bytes_max + bytes > own->bytes_max) {
        from += own->bytes_max - from % own->bytes_max;
    }
    if (from + bytes - own->bytes_head > own->bytes_max) {
        return UINT64_MAX;
    }
    own->bytes_tail = from + bytes;
    return from;
}

static uint32_t estimate(const struct td_delta *delta)
{
    const size_t times = 11 * TD_STATE_COUNT;
    return (uint32_t)(block_need(delta) + times + 64 + 8u * delta->status.label_count);
}

/* ---- adding ---- */

void td_own_join(struct td_core *core, uint64_t number, uint32_t node)
{
    struct own_entry *entry = entry_of(core, number);
    *td_pending_next(core, node) = entry->first_node;
    entry->first_node = node;
}

static uint8_t own_clock_entry(const struct td_core *core, const struct td_delta *delta)
{
    for (uint8_t i = 0; i < delta->clock_count; ++i) {
        if (delta->clock[i].origin.region.v == core->config.self.v) {
            return i;
        }
    }
    return TD_NO_CLOCK_ENTRY;
}

static bool same_writer(const struct td_delta *a, const struct td_delta *b)
{
    return a->client == b->client && a->status.writer.count == b->status.writer.count &&
           (a->status.writer.count == 0 ||
            memcmp(a->status.writer.bytes, b->status.writer.bytes, a->status.writer.count) == 0);
}

static void reserve(struct td_core *core, struct own_entry *entry, uint32_t words, bool new_register)
{
    core->reserved_words += words;
    core->reserved_words -= entry->words;
    core->reserved_registers += new_register;
    core->reserved_registers -= entry->new_register;
    entry->words = words;
    entry->new_register = new_register;
}

/* Replaces a queued report that the log has not seen yet; the first one's waiters wait for this one. */
static bool coalesce(struct td_core *core, const struct td_delta *delta, uint64_t number,
                     uint32_t words)
{
    struct td_own_state *own = core->own;
    struct own_entry *entry = entry_of(core, number);
    struct td_delta *queued = &own->deltas[position_of(own, number)];
    if (number < own->submitted || !same_writer(queued, delta) ||
        block_need(delta) > entry->block_bytes) {
        return false;
    }
    struct td_delta staged;
    pack(delta, own->staging, &staged); /* its slices may lie in the block that is overwritten */
    const uint64_t from = entry->block_end - entry->block_bytes;
    pack(&staged, own->bytes + from % own->bytes_max, queued);
    if (entry->before == 0) { /* nothing queued before it: it has not seen itself */
        uint8_t kept = 0;
        struct td_dot *clock = (struct td_dot *)(uintptr_t)queued->clock;
        for (uint8_t i = 0; i < queued->clock_count; ++i) {
            if (clock[i].seq != 0) {
                clock[kept++] = clock[i];
            }
        }
        queued->clock_count = kept;
    }
    entry->own_clock = own_clock_entry(core, queued);
    entry->estimate_bytes = estimate(queued);
    reserve(core, entry, words, entry->new_register);
    return true;
}

enum td_err td_own_add(struct td_core *core, const struct td_delta *delta, uint64_t before,
                       uint32_t words, bool new_register, uint32_t node)
{
    struct td_own_state *own = core->own;
    if (before != 0 && coalesce(core, delta, before, words)) {
        if (node != TD_NONE) {
            td_own_join(core, before, node);
        }
        return TD_OK;
    }
    const size_t bytes = block_need(delta) + 64; /* some slack: a later report may take its place */
    const uint64_t from = own->tail - own->head < own->max ? ring_take(own, bytes) : UINT64_MAX;
    if (from == UINT64_MAX) {
        return TD_EBUSY;
    }
    const uint64_t number = own->tail++;
    const uint32_t position = position_of(own, number);
    struct own_entry *entry = &own->entries[position];
    struct td_delta *queued = &own->deltas[position];
    pack(delta, own->bytes + from % own->bytes_max, queued);
    *entry = (struct own_entry){
        .number = number,
        .before = before,
        .block_end = from + bytes,
        .block_bytes = (uint32_t)bytes,
        .estimate_bytes = estimate(queued),
        .first_node = TD_NONE,
        .own_clock = own_clock_entry(core, queued),
    };
    reserve(core, entry, words, new_register);
    if (before != 0) {
        entry_of(core, before)->after = number;
        index_out(core, before);
    }
    index_in(core, number);
    if (node != TD_NONE) {
        td_own_join(core, number, node);
    }
    return TD_OK;
}

/* ---- handing a group to the log ---- */

static void settle(struct td_core *core, struct own_entry *entry, struct td_dot dot,
                   struct td_stamp stamp)
{
    uint32_t node = entry->first_node;
    entry->first_node = TD_NONE;
    while (node != TD_NONE) {
        const uint32_t next = *td_pending_next(core, node);
        td_pending_result(core, node, dot, stamp);
        node = next;
    }
}

static bool may_flush(struct td_core *core)
{
    struct td_own_state *own = core->own;
    if (own->in_flight || own->submitted == own->tail || !core->started ||
        !core->incarnation_durable) {
        return false;
    }
    if (own->inc == TD_INC_NONE ||
        td_incarnation_compare(own->incarnation, core->process) != 0) {
        const struct td_origin origin = { core->config.self, core->process };
        own->inc = td_inc_intern(core, origin);
        own->incarnation = core->process;
        own->next_seq = 1;
    }
    return own->inc != TD_INC_NONE && core->slot_count < core->config.limits.batches_max;
}

/* Own entry of the clock: the queued report before it, in this very group or already durable. */
static void set_own_clock(struct td_core *core, uint64_t number, uint64_t first_seq)
{
    struct td_own_state *own = core->own;
    const struct own_entry *entry = entry_of(core, number);
    if (entry->own_clock == TD_NO_CLOCK_ENTRY || entry->before < own->head) {
        return;
    }
    struct td_dot *clock =
        (struct td_dot *)(uintptr_t)own->deltas[position_of(own, number)].clock;
    clock[entry->own_clock] = (struct td_dot){
        core->incs[own->inc].origin,
        first_seq + (entry->before - own->head),
    };
}

static uint32_t group_count(const struct td_own_state *own)
{
    uint32_t count = 0;
    uint64_t bytes = 0;
    const uint32_t start = position_of(own, own->head);
    while (own->head + count < own->tail && count < TD_BATCH_DELTAS_MAX && start + count < own->max) {
        bytes += own->entries[start + count].estimate_bytes;
        if (count > 0 && bytes > TD_OWN_GROUP_BYTES) {
            break;
        }
        count += 1;
    }
    return count;
}

void td_publish_flush(struct td_core *core)
{
    struct td_own_state *own = core->own;
    struct td_effect *effect = NULL;
    if (!may_flush(core)) {
        return;
    }
    TD_ASSERT(own->submitted == own->head);
    struct td_store *store = td_store_add(core, TD_WHAT_OWN, &effect);
    if (store == NULL) {
        td_deadline(core, core->now.boot_ms);
        return;
    }
    const uint32_t count = group_count(own);
    const uint32_t start = position_of(own, own->head);
    for (uint32_t i = 0; i < count; ++i) {
        set_own_clock(core, own->head + i, own->next_seq);
        own->deltas[start + i].index = i;
        if (TD_PLANTED(reply_before_durable)) {
            const struct td_dot dot = { core->incs[own->inc].origin, own->next_seq + i };
            settle(core, &own->entries[start + i], dot, own->deltas[start + i].stamp);
        }
    }
    own->submitted = own->head + count;
    own->in_flight = true;
    core->own_inc = own->inc;
    core->incs[own->inc].key_number = core->own_key;
    core->incs[own->inc].accepted_here = true;
    store->inc = own->inc;
    store->first_pending = start;
    store->pending_count = count;
    effect->u.store.kind = TD_STORE_OWN;
    effect->u.store.origin = core->incs[own->inc].origin;
    effect->u.store.first_seq = own->next_seq;
    effect->u.store.delta_count = count;
    effect->u.store.deltas = &own->deltas[start];
    own->next_seq += count; /* never again, whatever becomes of this write (I7) */
}

/* ---- completion ---- */

/* A later queued report on the same register has seen this one. */
static void tell_follower(struct td_core *core, const struct own_entry *entry, struct td_dot dot)
{
    if (entry->after == 0) {
        return;
    }
    struct td_own_state *own = core->own;
    const struct own_entry *after = entry_of(core, entry->after);
    if (after->own_clock != TD_NO_CLOCK_ENTRY && after->number >= own->submitted) {
        struct td_dot *clock =
            (struct td_dot *)(uintptr_t)own->deltas[position_of(own, after->number)].clock;
        clock[after->own_clock] = dot;
    }
}

bool td_publish_queued(const struct td_core *core)
{
    return core->own->head != core->own->tail;
}

void td_publish_resume(struct td_core *core)
{
    if (core->publish_refused == TD_EDISKFULL) {
        core->publish_refused = TD_OK;
        td_fx_trace(core, TD_TR_PUBLISH_RESUMED, core->config.self, 0, 0);
    }
}

static void group_durable(struct td_core *core, const struct td_store *store,
                          const struct td_event *event)
{
    struct td_own_state *own = core->own;
    const uint64_t first_seq = own->next_seq - store->pending_count;
    TD_ASSERT(event->u.stored.leaf_count == store->pending_count);
    const uint32_t slot = td_slot_add(core, store->inc, first_seq, store->pending_count, true,
                                      core->config.self);
    TD_ASSERT(slot != TD_NONE); /* received batches leave one */
    core->slots[slot].ref = event->u.stored.ref;
    core->slots[slot].ref.ticket.v = store->ticket;
    core->slots[slot].durable = true;
    core->slots[slot].in_ring = true;
    td_inc_signed(core, core->incs[store->inc].origin, first_seq + store->pending_count - 1);
    for (uint32_t i = 0; i < store->pending_count; ++i) {
        const uint32_t position = store->first_pending + i;
        struct own_entry *entry = &own->entries[position];
        struct td_delta *delta = &own->deltas[position];
        const struct td_dot dot = { core->incs[store->inc].origin, first_seq + i };
        delta->leaf = event->u.stored.leaves[i];
        const enum td_merge merged = td_table_merge(core, delta, slot);
        TD_ASSERT(merged != TD_MERGE_NO_ROOM); /* its room was reserved */
        td_metrics_published(core, delta->job, dot);
        tell_follower(core, entry, dot);
        index_out(core, entry->number);
        reserve(core, entry, 0, false);
        own->bytes_head = entry->block_end;
        own->head = entry->number + 1;
        settle(core, entry, dot, delta->stamp);
    }
    core->slots[slot].in_ring = false;
    core->slots[slot].index_last = store->pending_count - 1;
    core->slots[slot].stored_count = store->pending_count;
    td_slot_anchor(core, slot);
    td_inc_received(core, store->inc, first_seq, store->pending_count);
    td_inc_durable(core, store->inc, first_seq + store->pending_count - 1);
    td_ring_push(core, core->self_slot, slot);
    td_live_ring_grew(core, core->self_slot);
    td_heads_ask(core);
    td_publish_resume(core);
    TD_COUNT(core, published, store->pending_count);
}

void td_publish_stored(struct td_core *core, const struct td_store *store, const struct td_event *event)
{
    struct td_own_state *own = core->own;
    own->in_flight = false;
    if (event->u.stored.durable) {
        group_durable(core, store, event);
        return;
    }
    /* It goes out again, under an incarnation that nobody has used. Its bytes may lie in the log all the same:
     * a closing there, durable before the next group, makes them void. */
    core->void_inc = store->inc;
    core->incs[store->inc].signed_max = own->next_seq - 1;
    own->submitted = own->head;
    if (core->publish_refused == TD_OK) {
        core->publish_refused = TD_EDISKFULL;
        td_fx_trace(core, TD_TR_PUBLISH_STOPPED, core->config.self, TD_EDISKFULL, 0);
    }
    td_incarnation_draw(core, TD_DRAW_STORE_FAILED);
}

/* A clock behind the roster or our own log refuses reports without any other sign of trouble. */
static void clock_note(struct td_core *core)
{
    const bool refused = td_publish_refusal(core) == TD_ECLOCK;
    if (refused != core->clock_refused) {
        core->clock_refused = refused;
        td_fx_trace(core, refused ? TD_TR_PUBLISH_STOPPED : TD_TR_PUBLISH_RESUMED, core->config.self,
                    refused ? TD_ECLOCK : 0, 0);
    }
}

void td_publish_tick(struct td_core *core)
{
    clock_note(core);
    struct td_own_state *own = core->own;
    if (core->incarnation_wanted && core->draw_from_ms > own->retry_boot_ms) {
        own->retry_boot_ms = core->draw_from_ms;
    }
    if (core->incarnation_wanted && !core->incarnation_asked &&
        core->now.boot_ms >= own->retry_boot_ms) {
        own->retry_boot_ms = core->now.boot_ms + TD_OWN_RETRY_MS;
        td_incarnation_ask(core);
    }
    if (core->incarnation_wanted) {
        td_deadline(core, own->retry_boot_ms > core->now.boot_ms ? own->retry_boot_ms
                                                                 : core->now.boot_ms + 1);
    }
    if (core->now.wall_ms >= core->wall_record_ms + TD_WALL_RECORD_MS && td_store_room(core, 1)) {
        struct td_record *record = td_store_record(core, TD_WHAT_OTHER, TD_RECORD_WALL);
        if (record != NULL) {
            record->u.wall_ms = core->now.wall_ms;
            core->wall_record_ms = core->now.wall_ms;
        }
    }
    td_deadline(core, core->now.boot_ms + TD_WALL_RECORD_MS);
}

bool td_own_half_full(const struct td_core *core)
{
    const struct td_own_state *own = core->own;
    return 2 * (own->tail - own->head) >= own->max ||
           2 * (own->bytes_tail - own->bytes_head) >= own->bytes_max;
}

bool td_own_check(const struct td_core *core)
{
    const struct td_own_state *own = core->own;
    uint64_t words = 0, registers = 0;
    for (uint64_t n = own->head; n < own->tail; ++n) {
        const struct own_entry *entry = &own->entries[position_of(own, n)];
        const struct td_delta *delta = &own->deltas[position_of(own, n)];
        words += entry->words;
        registers += entry->new_register;
        const uint64_t newest = td_own_find(core, delta->job_hash, delta->job, delta->attempt);
        if (entry->number != n || entry->newest != (newest == n)) {
            return false;
        }
    }
    return words == core->reserved_words && registers == core->reserved_registers &&
           own->tail - own->head <= own->max && own->submitted >= own->head &&
           own->submitted <= own->tail && own->bytes_tail - own->bytes_head <= own->bytes_max;
}
