/* publish.c -- reports of clients: refusals, tokens, stamps, and the queue of own deltas on their way to
 * the disk. A queued delta counts for the next report's stamp and refusal; it is shown to nobody and has
 * no sequence number before it is handed to the log.
 *
 * One group is with the log at a time: when its write fails, everything queued, the failed group
 * included, goes out anew under the next incarnation with fresh sequence numbers and the same stamps. */
#include <string.h>

#include "node/core/own.h"
#include "node/core/plant.h"

enum {
    TD_CLOCK_BEFORE_ROSTER_MS = 24 * 3600 * 1000,
    TD_CLOCK_BEFORE_LOG_MS = 60 * 1000,
    TD_TOKEN_AHEAD_MS = 1000,
};

/* ---- may this node publish at all ---- */

enum td_err td_publish_refusal(const struct td_core *core)
{
    if (core->draining) {
        return TD_EDRAINING;
    }
    if (core->publish_refused != TD_OK) {
        return core->publish_refused;
    }
    if (!core->have_roster || core->self_slot == 255) {
        return core->region_closed[core->config.self.v] ? TD_ECLOSED : TD_ENOTINROSTER;
    }
    const struct td_region_info *self = &core->regions[core->self_slot];
    if (self->roster_state != TD_REGION_ACTIVE) {
        return self->roster_state == TD_REGION_CLOSING ? TD_ECLOSING : TD_ECLOSED;
    }
    if (self->key_number != core->own_key) {
        return TD_EROTATED;
    }
    if (core->now.wall_ms + TD_CLOCK_BEFORE_ROSTER_MS < core->roster_issued_ms ||
        core->now.wall_ms + TD_CLOCK_BEFORE_LOG_MS < core->logged_wall_ms) {
        return TD_ECLOCK;
    }
    return TD_OK;
}

/* ---- what a report must look like ---- */

static enum td_err check_labels(const struct td_status *status)
{
    uint64_t bytes = 0;
    if (status->label_count > TD_LABELS_MAX) {
        return TD_ELABELS;
    }
    for (uint32_t i = 0; i < status->label_count; ++i) {
        bytes += (uint64_t)status->labels[i].key.count + status->labels[i].value.count;
    }
    return bytes > TD_LABELS_BYTES_MAX ? TD_ELABELS : TD_OK;
}

/* Lengths and ranges again: the decoder checked them, but the core does not build on that. */
static enum td_err check_update(const struct td_update *update)
{
    const struct td_status *status = &update->status;
    if (update->job.count == 0 || update->job.count > TD_JOB_BYTES_MAX) {
        return TD_EJOBID;
    }
    if ((unsigned)status->state >= TD_STATE_COUNT) {
        return TD_ESTATE;
    }
    if (status->progress > TD_PROGRESS_MAX) {
        return TD_EPROGRESS;
    }
    if (status->detail.count > TD_DETAIL_BYTES_MAX) {
        return TD_EDETAIL;
    }
    if (status->parent.count > TD_JOB_BYTES_MAX) {
        return TD_EPARENT;
    }
    if (status->writer.count > TD_WRITER_BYTES_MAX) {
        return TD_EWRITER;
    }
    if (status->expect_every_s > TD_EXPECT_EVERY_S_MAX) {
        return TD_EEXPECT;
    }
    return check_labels(status);
}

/* ---- what is known of the register ---- */

struct known {
    uint32_t reg;     /* TD_NONE = not in the table */
    uint64_t pending; /* newest queued report on it, 0 = none */
    bool exists;
    bool current_is_pending;
    uint8_t rank;
    struct td_stamp stamp;
    struct td_delta current;  /* the greater of both */
    struct td_body_view body; /* memory of current when it is in the table */
};

static uint16_t highest_attempt(struct td_core *core, const struct td_update *update)
{
    const uint32_t reg = td_table_highest(core, update->job_hash, update->job);
    const uint16_t pending = td_own_highest(core, update->job_hash, update->job);
    const uint16_t known = reg == TD_NONE ? 0 : core->registers[reg].attempt;
    return pending > known ? pending : known;
}

static void look_up(struct td_core *core, const struct td_update *update, uint16_t attempt,
                    struct known *ret_known)
{
    struct known *known = ret_known;
    known->exists = false;
    known->current_is_pending = false;
    known->rank = 0;
    known->stamp = (struct td_stamp){ 0, 0 };
    known->reg = td_table_find(core, update->job_hash, update->job, attempt);
    known->pending = td_own_find(core, update->job_hash, update->job, attempt);
    if (known->reg != TD_NONE) {
        const struct td_register *reg = &core->registers[known->reg];
        td_body_unpack(core, reg->body, &known->body);
        known->current = known->body.delta;
        known->current.status.state = (enum td_state)reg->state;
        known->current.stamp = reg->stamp;
        known->rank = td_state_rank((enum td_state)reg->state);
        known->stamp = reg->stamp;
        known->exists = true;
    }
    if (known->pending != 0) {
        const struct td_delta *delta = td_own_delta(core, known->pending);
        const uint8_t rank = td_state_rank(delta->status.state);
        const int later = td_stamp_compare(delta->stamp, known->stamp);
        if (!known->exists || rank > known->rank || (rank == known->rank && later > 0)) {
            known->current = *delta;
            known->current_is_pending = true;
        }
        known->rank = rank > known->rank ? rank : known->rank;
        known->stamp = later > 0 ? delta->stamp : known->stamp;
        known->exists = true;
    }
}

/* ---- tokens (DESIGN 1) ---- */

/* Whether what the token's holder saw of this register is here, or something greater is. */
static bool token_covered(const struct td_core *core, const struct td_seen *seen,
                          const struct known *known)
{
    if (seen->dot.seq == 0 && seen->stamp.ms == 0) {
        return true;
    }
    if (seen->dot.seq != 0 && td_dot_received(core, seen->dot)) {
        return true;
    }
    if (!known->exists) {
        return false;
    }
    const int later = td_stamp_compare(known->stamp, seen->stamp);
    return known->rank > seen->rank || (known->rank == seen->rank && later > 0) ||
           (known->reg != TD_NONE &&
            td_dot_compare(td_register_dot(core, &core->registers[known->reg]), seen->dot) == 0);
}

enum token_rule { TOKEN_BELIEVED, TOKEN_NOT_NEEDED, TOKEN_WAIT };

/* A stamp far ahead of the clock is believed only where the register itself bears it out. That some dot
 * is here is no proof: its holder may have written any stamp beside it. */
static enum token_rule token_rule(const struct td_core *core, const struct td_update *update,
                                  const struct known *known)
{
    const struct td_seen *seen = &update->seen;
    if (seen->stamp.ms <= core->now.wall_ms + TD_TOKEN_AHEAD_MS || TD_PLANTED(token_stamp_believed) ||
        (known->exists && td_stamp_compare(known->stamp, seen->stamp) >= 0)) {
        return TOKEN_BELIEVED;
    }
    const bool here = token_covered(core, seen, known);
    return here || td_state_rank(update->status.state) > seen->rank ? TOKEN_NOT_NEEDED : TOKEN_WAIT;
}

/* ---- refusals ---- */

static enum td_err rank_refusal(const struct td_update *update, const struct known *known)
{
    const uint8_t rank = td_state_rank(update->status.state);
    const uint8_t floor = update->seen.rank > known->rank ? update->seen.rank : known->rank;
    if (rank < floor && !TD_PLANTED(accept_lower_rank)) {
        return floor == 1 ? TD_ELOSTFIRST : TD_ERANK;
    }
    if (rank == 2 && known->exists && known->rank == 2 && !update->correct &&
        known->current.status.state != update->status.state) {
        return TD_EFINAL;
    }
    return TD_OK;
}

static void refuse(struct td_core *core, uint32_t node, const struct td_update *update,
                   enum td_err err, const struct known *known)
{
    struct td_result *result = td_pending_result_of(core, node);
    if (known != NULL && known->exists) {
        result->current_state = (uint8_t)known->current.status.state;
        result->current_stamp = known->current.stamp;
        result->rank = known->rank;
    }
    switch (err) {
    case TD_ERANK:
    case TD_ELOSTFIRST:
        TD_COUNT(core, refused_rank, 1);
        break;
    case TD_EFINAL:
        TD_COUNT(core, refused_final, 1);
        break;
    case TD_EPARTIAL:
        TD_COUNT(core, refused_partial, 1);
        break;
    case TD_EATTEMPT:
        TD_COUNT(core, refused_attempt, 1);
        break;
    case TD_EQUOTA:
        TD_COUNT(core, refused_quota, 1);
        break;
    case TD_EBUSY:
        TD_COUNT(core, refused_busy, 1);
        break;
    case TD_EDISKFULL:
        TD_COUNT(core, refused_disk, 1);
        break;
    default:
        TD_COUNT(core, refused_other, 1);
        break;
    }
    td_refused_add(core, &(struct td_refused){ update->job, update->job_hash, err,
                                               td_pending_from(core, node) });
    td_pending_refuse(core, node, err);
}

/* A report on a register held here needs no quota of registers, only its growth in bytes does. */
static enum td_err quota_refusal(const struct td_core *core, uint32_t words, const struct known *known)
{
    const struct td_region_info *self = &core->regions[core->self_slot];
    const uint64_t old_words = known->reg == TD_NONE ? 0 : core->registers[known->reg].body_words;
    if (!known->exists &&
        (self->used_registers + core->reserved_registers >= self->quota_registers ||
         (uint64_t)core->register_count + core->reserved_registers >=
             core->config.limits.registers_max)) {
        return TD_EQUOTA;
    }
    if (words > old_words &&
        self->used_bytes + (core->reserved_words + words - old_words) * 16 > self->quota_bytes) {
        return TD_EQUOTA;
    }
    if (core->body_words_used + core->reserved_words + words > core->body_words_max) {
        return TD_EQUOTA;
    }
    return TD_OK;
}

/* ---- the delta ---- */

static void carry_forward(struct td_delta *delta, uint8_t fields, const struct td_status *from)
{
    struct td_status *status = &delta->status;
    if ((fields & TD_FIELD_PROGRESS) == 0) {
        status->progress = from->progress;
        status->progress_known = from->progress_known;
    }
    if ((fields & TD_FIELD_DETAIL) == 0) {
        status->detail = from->detail;
    }
    if ((fields & TD_FIELD_PARENT) == 0) {
        status->parent = from->parent;
    }
    if ((fields & TD_FIELD_LABELS) == 0) {
        status->label_count = from->label_count;
        status->labels = from->labels;
    }
    if ((fields & TD_FIELD_WRITER) == 0) {
        status->writer = from->writer;
    }
    if ((fields & TD_FIELD_EXPECT) == 0) {
        status->expect_every_s = from->expect_every_s;
    }
}

static bool same_text(struct td_text a, struct td_text b)
{
    return a.count == b.count && (a.count == 0 || memcmp(a.bytes, b.bytes, a.count) == 0);
}

static bool same_status(const struct td_status *a, const struct td_status *b)
{
    if (a->state != b->state || a->progress_known != b->progress_known ||
        a->progress != b->progress || a->label_count != b->label_count ||
        a->expect_every_s != b->expect_every_s || !same_text(a->detail, b->detail) ||
        !same_text(a->parent, b->parent) || !same_text(a->writer, b->writer)) {
        return false;
    }
    for (uint32_t i = 0; i < a->label_count; ++i) {
        if (!same_text(a->labels[i].key, b->labels[i].key) ||
            !same_text(a->labels[i].value, b->labels[i].value)) {
            return false;
        }
    }
    return true;
}

/* A writer that promised reports keeps the promise by repeating itself: past half of the promised time
 * an equal report is a sign of life, not a repetition. What the writer saw elsewhere and is not here yet
 * may be greater than what is repeated: then only a new report beats it (I4). */
static bool is_noop(const struct td_core *core, const struct td_delta *delta,
                    const struct td_seen *seen, const struct known *known)
{
    if (!known->exists || !same_status(&delta->status, &known->current.status) ||
        !token_covered(core, seen, known)) {
        return false;
    }
    const uint64_t promised_ms = (uint64_t)delta->status.expect_every_s * 1000;
    return promised_ms == 0 || td_state_rank(delta->status.state) > 0 ||
           core->now.wall_ms < known->current.stamp.ms + promised_ms / 2;
}

static void answer_noop(struct td_core *core, uint32_t node, const struct known *known)
{
    struct td_result *result = td_pending_result_of(core, node);
    result->noop = true;
    result->rank = known->rank;
    TD_COUNT(core, published_noop, 1);
    if (known->current_is_pending) {
        td_own_join(core, known->pending, node);
        return;
    }
    const struct td_register *reg = &core->registers[known->reg];
    result->dot = td_register_dot(core, reg);
    result->stamp = reg->stamp;
    td_pending_await(core, node);
}

/* Everything known of the register here, as the new report's clock; own entry filled at the flush. */
static uint8_t build_clock(struct td_core *core, const struct known *known, struct td_dot *clock)
{
    uint32_t count = known->reg == TD_NONE ? 0 : td_register_seen(core, known->reg, clock);
    if (known->pending != 0) {
        const struct td_dot placeholder = { .origin = { core->config.self, { 0, 0 } }, .seq = 0 };
        const struct td_delta *before = td_own_delta(core, known->pending);
        for (uint32_t i = 0; i < before->clock_count; ++i) {
            if (before->clock[i].seq != 0) {
                (void)td_dots_join(clock, &count, before->clock[i]);
            }
        }
        (void)td_dots_join(clock, &count, placeholder);
    }
    return (uint8_t)count;
}

static struct td_stamp floor_of(const struct td_update *update, const struct known *known,
                                enum token_rule rule)
{
    struct td_stamp floor = known->stamp;
    if (rule == TOKEN_BELIEVED && td_stamp_compare(update->seen.stamp, floor) > 0) {
        floor = update->seen.stamp;
    }
    return floor;
}

static void set_times(struct td_delta *delta, const struct known *known)
{
    memset(delta->status.entered_ms, 0, sizeof delta->status.entered_ms);
    if (known->exists) {
        memcpy(delta->status.entered_ms, known->current.status.entered_ms,
               sizeof delta->status.entered_ms);
    }
    if (delta->status.entered_ms[delta->status.state] == 0) {
        delta->status.entered_ms[delta->status.state] = delta->stamp.ms;
    }
}

static void accept(struct td_core *core, uint32_t node, const struct td_update *update,
                   uint16_t attempt, const struct known *known, enum token_rule rule)
{
    struct td_dot clock[TD_CLOCK_ENTRIES_MAX];
    struct td_delta delta = {
        .job = update->job,
        .attempt = attempt,
        .client = td_pending_client(core, node),
        .status = update->status,
        .job_hash = update->job_hash,
        .clock = clock,
    };
    if (known->exists) {
        carry_forward(&delta, update->fields, &known->current.status);
    }
    if (is_noop(core, &delta, &update->seen, known)) {
        answer_noop(core, node, known);
        return;
    }
    const struct td_stamp floor = floor_of(update, known, rule);
    delta.stamp = td_stamp_next(TD_PLANTED(wall_clock_only) ? (struct td_stamp){ 0 } : floor,
                                core->now.wall_ms);
    if (delta.stamp.ms > TD_STAMP_MS_MAX) { /* somebody has used up the stamps of this register */
        if (!known->exists || td_state_rank(delta.status.state) <= known->rank) {
            refuse(core, node, update, TD_ECLOCK, known);
            return;
        }
        delta.stamp = (struct td_stamp){ TD_STAMP_MS_MAX, UINT32_MAX }; /* wins by rank */
    }
    delta.flags = known->exists && known->rank == 2 && update->correct &&
                          known->current.status.state != delta.status.state
                      ? TD_DELTA_CORRECT
                      : 0;
    delta.clock_count = build_clock(core, known, clock);
    set_times(&delta, known);
    const struct td_body_parts parts = { .delta = &delta };
    const uint32_t words = td_body_words(&parts);
    enum td_err err = quota_refusal(core, words, known);
    if (err == TD_OK) {
        err = td_own_add(core, &delta, known->pending, words, !known->exists, node);
    }
    if (err != TD_OK) {
        refuse(core, node, update, err, known);
    }
}

void td_publish_update(struct td_core *core, uint32_t node, const struct td_update *update)
{
    struct known known;
    enum td_err err = check_update(update);
    if (err != TD_OK) {
        refuse(core, node, update, err, NULL);
        return;
    }
    const uint16_t highest = highest_attempt(core, update);
    const uint16_t attempt = update->attempt != 0 ? update->attempt : highest != 0 ? highest : 1;
    struct td_result *result = td_pending_result_of(core, node);
    result->attempt = attempt;
    result->rank = td_state_rank(update->status.state);
    if (attempt > (uint32_t)highest + TD_ATTEMPT_AHEAD_MAX) {
        refuse(core, node, update, TD_EATTEMPT, NULL);
        return;
    }
    look_up(core, update, attempt, &known);
    err = rank_refusal(update, &known);
    if (err != TD_OK) {
        refuse(core, node, update, err, &known);
        return;
    }
    const enum token_rule rule = token_rule(core, update, &known);
    if (rule == TOKEN_WAIT) {
        if (!td_pending_park(core, node, update)) {
            refuse(core, node, update, TD_EBUSY, &known);
        }
        return;
    }
    if ((update->fields & TD_FIELDS_ALL) != TD_FIELDS_ALL && update->seen.dot.seq != 0 &&
        !token_covered(core, &update->seen, &known)) {
        refuse(core, node, update, TD_EPARTIAL, &known);
        return;
    }
    accept(core, node, update, attempt, &known, rule);
}

static void refuse_all(struct td_core *core, const struct td_event *event, enum td_err err)
{
    const uint32_t count = event->u.request.request->u.publish.count;
    if (err == TD_EBUSY) {
        TD_COUNT(core, refused_busy, count);
    } else if (err == TD_EDISKFULL) {
        TD_COUNT(core, refused_disk, count);
    } else {
        TD_COUNT(core, refused_other, count);
    }
    (void)td_query_error(core, event->u.request.client_link, event->u.request.request->id,
                         TD_OP_PUBLISH, err);
}

void td_publish_request(struct td_core *core, const struct td_event *event)
{
    const struct td_request *request = event->u.request.request;
    const enum td_err err = td_publish_refusal(core);
    if (err != TD_OK || request->u.publish.count > TD_REQUEST_UPDATES_MAX) {
        refuse_all(core, event, err != TD_OK ? err : TD_ETOOBIG);
        return;
    }
    const uint32_t waiter = td_pending_open(core, event);
    if (waiter == TD_NONE) {
        refuse_all(core, event, TD_EBUSY);
        return;
    }
    for (uint32_t i = 0; i < request->u.publish.count; ++i) {
        const uint32_t node = td_pending_node(core, waiter);
        TD_ASSERT(node != TD_NONE); /* td_pending_open made sure of the room */
        const enum td_err *refused = event->u.request.refused;
        if (refused != NULL && refused[i] != TD_OK) {
            refuse(core, node, &request->u.publish.updates[i], refused[i], NULL);
        } else {
            td_publish_update(core, node, &request->u.publish.updates[i]);
        }
    }
    td_pending_opened(core, waiter);
}
