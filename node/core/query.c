/* query.c -- answers: one register, lists in slices, changes for watchers. Each carries how complete and
 * how old this node's view of every region is. */
#include <string.h>

#include "node/core/answer.h"

enum {
    ANSWER_BYTES_MAX = 900 * 1024, /* encoded, estimated */
    SCAN_MAX = 2000,               /* registers looked at for one answer */
    SHOWN_COST = 16,               /* one that is shown takes the time of so many looked at */
    SLICE_SHOWN_MAX = SCAN_MAX / SHOWN_COST,
    ENVELOPE_BYTES = 64 * 1024,    /* answer, freshness, names */
    VIEW_BYTES = sizeof(struct td_register_view) + TD_LABELS_MAX * sizeof(struct td_label) +
                 TD_CLOCK_ENTRIES_MAX * sizeof(struct td_dot) + 2 * 16,
};

/* Envelope shared by all answers of one step. */
struct td_query_state {
    uint64_t step_number;
    struct td_vv has; /* as it was at the first of them: a fold may move it within the step */
    bool certain;
    uint32_t freshness_count;
    struct td_fresh_view *freshness;
    uint32_t name_count;
    struct td_region_name *names;
};

size_t td_query_layout(struct td_core *core, struct td_block *block)
{
    struct td_query_state *state = td_block_take(block, 1, sizeof *state);
    if (block->bytes != NULL) {
        core->query = state;
    }
    return block->used_bytes;
}

static bool fill_envelope(struct td_core *core)
{
    struct td_query_state *state = core->query;
    if (state->step_number == core->step_number) {
        return true;
    }
    state->freshness = td_fx_scratch(core, TD_SLOTS, sizeof *state->freshness);
    state->names = td_fx_scratch(core, TD_SLOTS, sizeof *state->names);
    const struct td_vv has = td_vectors_has(core);
    if (state->freshness == NULL || state->names == NULL ||
        !td_vectors_copy(core, &has, &state->has)) {
        return false;
    }
    state->certain = false;
    state->freshness_count =
        core->started ? td_fresh_rows(core, state->freshness, TD_SLOTS, &state->certain) : 0;
    state->name_count = 0;
    for (uint32_t i = 0; i < TD_SLOTS; ++i) {
        const struct td_region_info *region = &core->regions[i];
        if (region->number.v != 0) {
            state->names[state->name_count++] =
                (struct td_region_name){ region->number, { region->name, region->name_bytes } };
        }
    }
    state->step_number = core->step_number;
    return true;
}

struct td_response *td_query_reply(struct td_core *core, uint32_t client_link, uint64_t id,
                                   enum td_op op)
{
    if (td_fx_room(core) == 0 || !fill_envelope(core)) {
        return NULL;
    }
    struct td_response *response = td_fx_scratch(core, 1, sizeof *response);
    if (response == NULL) {
        return NULL;
    }
    const struct td_query_state *state = core->query;
    struct td_effect *effect = td_fx_add(core, TD_FX_REPLY);
    effect->u.reply.client_link = client_link;
    effect->u.reply.response = response;
    response->id = id;
    response->op = op;
    response->node = core->config.self;
    response->now_ms = core->now.wall_ms;
    response->process = core->process;
    response->has = state->has;
    response->certain = state->certain;
    response->freshness_count = state->freshness_count;
    response->freshness = state->freshness;
    response->name_count = state->name_count;
    response->names = state->names;
    return response;
}

/* An answer is begun only when the largest one has room: a view left out for want of memory would look
 * like a register that does not exist. A step that begins with a request always has it. */
bool td_query_room(const struct td_core *core)
{
    const size_t has_bytes = (core->has.vv.entry_count + 2) * sizeof(struct td_vv_entry) +
                             (core->has.vv.fold_count + 2) * sizeof(struct td_vv_fold);
    return td_fx_room(core) > 0 &&
           td_fx_scratch_left(core) >= TD_LIST_LIMIT_MAX * VIEW_BYTES + ENVELOPE_BYTES + has_bytes;
}

static struct td_response *answer(struct td_core *core, uint32_t client_link,
                                  const struct td_request *request)
{
    struct td_response *response = td_query_reply(core, client_link, request->id, request->op);
    TD_ASSERT(response != NULL); /* td_query_room */
    return response;
}

bool td_query_error(struct td_core *core, uint32_t client_link, uint64_t id, enum td_op op,
                    enum td_err err)
{
    struct td_response *response = td_query_reply(core, client_link, id, op);
    if (response == NULL) {
        return false;
    }
    response->err = err;
    return true;
}

/* ---- collecting registers into an answer ---- */

static uint32_t view_bytes(const struct td_register_view *view)
{
    uint32_t bytes = 220 + view->job.count + view->status.detail.count + view->status.parent.count +
                     view->status.writer.count + 22 * view->clock_count;
    for (uint32_t i = 0; i < view->status.label_count; ++i) {
        bytes += 6 + view->status.labels[i].key.count + view->status.labels[i].value.count;
    }
    return bytes;
}

struct collector {
    struct td_register_view *views;
    uint32_t count, max;
    uint32_t scanned; /* by a walk: registers looked at */
    uint64_t bytes;
};

/* there: no more registers than that can be found, so that small answers need little memory. */
static struct collector collector_new(struct td_core *core, uint32_t limit, uint32_t limit_max,
                                      uint64_t there)
{
    uint32_t max = limit == 0 || limit > limit_max ? limit_max : limit;
    max = there < max ? (uint32_t)there + 1 : max;
    const struct collector collector = {
        .views = td_fx_scratch(core, max, sizeof *collector.views),
        .max = max,
    };
    TD_ASSERT(collector.views != NULL); /* td_query_room */
    return collector;
}

/* False when the answer is full. */
static bool collect(struct td_core *core, struct collector *collector, uint32_t reg)
{
    if (collector->count == collector->max) {
        return false;
    }
    struct td_register_view *view = &collector->views[collector->count];
    const bool got = td_register_view(core, reg, view);
    TD_ASSERT(got); /* td_query_room */
    const uint32_t bytes = view_bytes(view);
    if (collector->count > 0 && collector->bytes + bytes > ANSWER_BYTES_MAX) {
        return false;
    }
    collector->bytes += bytes;
    collector->count += 1;
    return true;
}

/* A walk goes in slices of about a fifth of a millisecond, whatever it finds: so long a report may
 * have to wait behind it. */
static bool slice_left(const struct collector *collector)
{
    return collector->scanned + SHOWN_COST * collector->count < SCAN_MAX;
}

static void give(struct td_response *response, const struct collector *collector)
{
    response->u.registers.count = collector->count;
    response->u.registers.registers = collector->views;
}

/* ---- filters ---- */

static bool filter_valid(const struct td_filter *filter)
{
    if (filter->prefix.count > TD_JOB_BYTES_MAX || filter->job_count > TD_WATCH_JOBS_MAX) {
        return false;
    }
    for (uint32_t i = 0; i < filter->job_count; ++i) {
        if (filter->jobs[i].count > TD_JOB_BYTES_MAX) {
            return false;
        }
    }
    return true;
}

static bool same_text(struct td_text a, struct td_text b)
{
    return a.count == b.count && (a.count == 0 || memcmp(a.bytes, b.bytes, a.count) == 0);
}

bool td_register_silent(const struct td_core *core, const struct td_register *reg)
{
    if (td_state_rank((enum td_state)reg->state) != 0 || core->now.wall_ms <= reg->stamp.ms) {
        return false; /* without a look at its body, which is far away in memory */
    }
    const uint64_t expect_s = td_body_expect_every_s(core, reg->body);
    return expect_s > 0 && core->now.wall_ms > reg->stamp.ms + expect_s * 1000;
}

static bool matches(const struct td_core *core, const struct td_filter *filter,
                    const struct td_register *reg)
{
    if (!reg->used || !reg->highest ||
        (filter->states != 0 && (filter->states >> reg->state & 1) == 0) ||
        (filter->since_ms != 0 && reg->stamp.ms < filter->since_ms) ||
        (filter->conflicts && reg->concurrent_count == 0) ||
        (filter->origin.v != 0 && td_register_dot(core, reg).origin.region.v != filter->origin.v)) {
        return false;
    }
    const struct td_text job = td_register_job(core, reg);
    if (filter->prefix.count > 0 &&
        (job.count < filter->prefix.count ||
         memcmp(job.bytes, filter->prefix.bytes, filter->prefix.count) != 0)) {
        return false;
    }
    bool listed = filter->job_count == 0;
    for (uint32_t i = 0; i < filter->job_count && !listed; ++i) {
        listed = same_text(filter->jobs[i], job);
    }
    return listed && (!filter->silent || td_register_silent(core, reg));
}

/* ---- GET and LIST ---- */

static void answer_get(struct td_core *core, uint32_t client_link, const struct td_request *request)
{
    struct td_response *response = answer(core, client_link, request);
    struct collector collector =
        collector_new(core, 0, TD_LIST_LIMIT_MAX, request->u.get.all_attempts ? TD_LIST_LIMIT_MAX : 1);
    uint32_t at = request->u.get.attempt != 0
                      ? td_table_find(core, request->u.get.job_hash, request->u.get.job,
                                      request->u.get.attempt)
                      : td_table_highest(core, request->u.get.job_hash, request->u.get.job);
    if (at == TD_NONE) {
        response->err = TD_EUNKNOWN;
    }
    while (at != TD_NONE && collect(core, &collector, at)) {
        at = request->u.get.all_attempts ? core->registers[at].lower_attempt : TD_NONE;
    }
    give(response, &collector);
}

static void answer_list(struct td_core *core, uint32_t client_link, const struct td_request *request)
{
    struct td_response *response = answer(core, client_link, request);
    struct collector collector =
        collector_new(core, request->u.list.limit, SLICE_SHOWN_MAX, core->register_count);
    uint64_t at = request->u.list.cursor;
    while (at < core->register_used_max && slice_left(&collector)) {
        if (matches(core, &request->u.list.filter, &core->registers[at]) &&
            !collect(core, &collector, (uint32_t)at)) {
            break;
        }
        at += 1;
        collector.scanned += 1;
    }
    give(response, &collector);
    response->u.registers.next_cursor = at < core->register_used_max ? at : 0;
}

void td_query_answer(struct td_core *core, uint32_t client_link, const struct td_request *request)
{
    switch (request->op) {
    case TD_OP_LIST:
        answer_list(core, client_link, request);
        break;
    case TD_OP_EXPLAIN:
        td_query_explain(core, client_link, request);
        break;
    default: /* check_request lets nothing else come here */
        TD_ASSERT(request->op == TD_OP_GET);
        answer_get(core, client_link, request);
        break;
    }
}

/* ---- WATCH ---- */

static uint64_t oldest_change(const struct td_core *core)
{
    const uint64_t size = core->config.limits.change_ring;
    return core->change_number > size ? core->change_number - size : 0;
}

/* A cursor of a walk over everything known: the register to go on with, and the change number from which
 * to follow once the walk is through (its low 32 bits; it is never further back than that). */
static uint64_t walk_cursor(uint64_t index, uint64_t follow_from)
{
    return TD_WATCH_WALK_BIT | index << 32 | (follow_from & UINT32_MAX);
}

static uint64_t walk_follow_from(const struct td_core *core, uint64_t cursor)
{
    const uint64_t low = cursor & UINT32_MAX;
    uint64_t full = (core->change_number & ~(uint64_t)UINT32_MAX) | low;
    if (full > core->change_number) {
        full -= full > UINT32_MAX ? UINT64_C(1) << 32 : full;
    }
    return full;
}

static void reply_watch(struct td_core *core, uint32_t client_link, const struct td_request *request,
                        const struct collector *collector, uint64_t next_cursor, bool reset)
{
    struct td_response *response = answer(core, client_link, request);
    give(response, collector);
    response->u.registers.next_cursor = next_cursor;
    response->u.registers.reset = reset;
    TD_COUNT(core, watch_resets, reset);
}

/* One slice of everything known. skip: what the caller has seen, by its token. */
static void walk(struct td_core *core, uint32_t client_link, const struct td_request *request,
                 uint64_t cursor, bool reset, const struct td_vv *skip)
{
    struct collector collector =
        collector_new(core, request->u.watch.limit, SLICE_SHOWN_MAX, core->register_count);
    const uint64_t follow_from = walk_follow_from(core, cursor);
    uint64_t at = (cursor & ~TD_WATCH_WALK_BIT) >> 32;
    while (at < core->register_used_max && slice_left(&collector)) {
        const struct td_register *reg = &core->registers[at];
        collector.scanned += 1;
        if (matches(core, &request->u.watch.filter, reg) &&
            !(skip != NULL && td_vv_covers_dot(skip, td_register_dot(core, reg)))) {
            if (!collect(core, &collector, (uint32_t)at)) {
                break;
            }
            /* Resume from there: repeats, never skips. */
            collector.views[collector.count - 1].arrival = cursor;
        }
        at += 1;
    }
    const uint64_t next =
        at < core->register_used_max ? walk_cursor(at, follow_from) : follow_from;
    reply_watch(core, client_link, request, &collector, next, reset);
}

/* Follows the change ring. A register that changed again later is shown at its newest change. */
static bool follow(struct td_core *core, struct collector *collector, const struct td_filter *filter,
                   uint64_t *cursor, uint32_t *budget)
{
    while (*cursor < core->change_number && *budget > 0) {
        const uint64_t number = *cursor + 1;
        const uint32_t index = core->change_ring[number & (core->config.limits.change_ring - 1)];
        const struct td_register *reg = &core->registers[index];
        *budget -= 1;
        if (reg->used && reg->change == number && matches(core, filter, reg) &&
            !collect(core, collector, index)) {
            return false;
        }
        *cursor = number;
    }
    return true;
}

bool td_query_watch(struct td_core *core, uint32_t client_link, const struct td_request *request,
                    uint64_t *cursor, bool timed_out, uint32_t *budget)
{
    if ((*cursor & TD_WATCH_WALK_BIT) != 0) {
        walk(core, client_link, request, *cursor, false, NULL);
        return true;
    }
    if (*cursor < oldest_change(core) || *cursor > core->change_number) {
        walk(core, client_link, request, walk_cursor(0, core->change_number), true, NULL);
        return true;
    }
    if (*cursor == core->change_number && !timed_out) {
        return false;
    }
    struct collector collector =
        collector_new(core, request->u.watch.limit, TD_LIST_LIMIT_MAX, core->change_number - *cursor);
    (void)follow(core, &collector, &request->u.watch.filter, cursor, budget);
    if (collector.count == 0 && !timed_out) {
        return false;
    }
    reply_watch(core, client_link, request, &collector, *cursor, false);
    return true;
}

static void begin_watch(struct td_core *core, const struct td_event *event)
{
    const struct td_request *request = event->u.request.request;
    const uint32_t client_link = event->u.request.client_link;
    uint64_t cursor = request->u.watch.cursor;
    uint32_t budget = 64 * SCAN_MAX;
    if (cursor == UINT64_MAX) {
        cursor = core->change_number;
    } else if (cursor == 0) {
        walk(core, client_link, request, walk_cursor(0, core->change_number), false, NULL);
        return;
    } else if (td_incarnation_compare(request->u.watch.process, core->process) != 0) {
        walk(core, client_link, request, walk_cursor(0, core->change_number), true, &request->after);
        return;
    }
    const bool answered = td_query_watch(core, client_link, request, &cursor,
                                         request->timeout_ms == 0, &budget);
    if (!answered && !td_pending_keep(core, event, cursor)) {
        TD_COUNT(core, refused_busy, 1);
        (void)td_query_error(core, client_link, request->id, request->op, TD_EBUSY);
    }
}

/* ---- requests ---- */

static enum td_err check_request(const struct td_request *request)
{
    switch (request->op) {
    case TD_OP_GET:
    case TD_OP_EXPLAIN:
        return request->u.get.job.count > TD_JOB_BYTES_MAX ? TD_EJOBID : TD_OK;
    case TD_OP_LIST:
        return filter_valid(&request->u.list.filter) ? TD_OK : TD_ETOOBIG;
    case TD_OP_WATCH:
        return filter_valid(&request->u.watch.filter) ? TD_OK : TD_ETOOBIG;
    case TD_OP_STATUS:
    case TD_OP_MEMBERS:
    case TD_OP_DRAIN:
        return TD_OK;
    default:
        return TD_EUSAGE; /* rosters and faults are the driver's */
    }
}

static void read_or_wait(struct td_core *core, const struct td_event *event)
{
    const struct td_request *request = event->u.request.request;
    const uint32_t client_link = event->u.request.client_link;
    td_heads_ask(core);
    if (td_vectors_durable_cover(core, &request->after)) {
        td_query_answer(core, client_link, request);
    } else if (request->timeout_ms == 0 || !td_pending_keep(core, event, 0)) {
        (void)td_query_error(core, client_link, request->id, request->op, TD_ETIMEOUT);
    }
}

void td_query_request(struct td_core *core, const struct td_event *event)
{
    const struct td_request *request = event->u.request.request;
    const uint32_t client_link = event->u.request.client_link;
    enum td_err err = check_request(request);
    if (!core->started) {
        err = TD_ESTARTING;
    }
    if (err != TD_OK) {
        (void)td_query_error(core, client_link, request->id, request->op, err);
        return;
    }
    switch (request->op) {
    case TD_OP_WATCH:
        begin_watch(core, event);
        break;
    case TD_OP_STATUS:
        td_query_status(core, client_link, request);
        break;
    case TD_OP_MEMBERS:
        td_query_members(core, client_link, request);
        break;
    case TD_OP_DRAIN:
        core->draining = true;
        td_fx_trace(core, TD_TR_PUBLISH_STOPPED, core->config.self, TD_EDRAINING, 0);
        (void)td_query_error(core, client_link, request->id, request->op, TD_OK);
        break;
    default:
        read_or_wait(core, event);
        break;
    }
}
