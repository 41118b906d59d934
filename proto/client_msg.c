/* client_msg.c -- what a client asks: tokens and requests, encode and decode side by side.
 * Responses are in client_response.c. Each op has exactly one layout (PROTOCOL, "Clients"). */
#include "proto/client_msg.h"

#include "proto/assert.h"
#include "proto/delta.h"
#include "proto/wire.h"

enum {
    REQUEST_FIELDS = 5,
    UPDATE_FIELDS = 13,
    FILTER_FIELDS = 7,
    SEEN_FIELDS = 7,
    TOKEN_SEEN_FIELDS = 8,
    RANK_MAX = 2,
    /* Texts are read whole and then judged by their own rule, so the caller learns which one. */
    TEXT_ANY = TD_REQUEST_BYTES_MAX,
};

/* ---- token ---- */

static void write_seen(struct td_writer *writer, const struct td_seen *seen)
{
    td_writer_uint(writer, seen->rank);
    td_writer_uint(writer, seen->stamp.ms);
    td_writer_uint(writer, seen->stamp.counter);
    td_wire_write_dot(writer, seen->dot);
}

static void read_seen(struct td_reader *reader, struct td_seen *seen)
{
    seen->rank = (uint8_t)td_reader_uint(reader, RANK_MAX);
    seen->stamp.ms = td_reader_uint(reader, TD_STAMP_MS_MAX);
    seen->stamp.counter = (uint32_t)td_reader_uint(reader, UINT32_MAX);
    seen->dot = td_wire_read_dot_or_none(reader);
}

size_t td_token_encode(const struct td_token *token, void *bytes, size_t size_bytes)
{
    struct td_writer writer;
    td_writer_init(&writer, bytes, size_bytes);
    td_writer_array(&writer, 2);
    td_writer_array(&writer, TOKEN_SEEN_FIELDS);
    td_writer_uint(&writer, token->seen.register_hash);
    write_seen(&writer, &token->seen);
    td_vv_write(&writer, &token->has);
    return td_writer_done(&writer);
}

enum td_err td_token_decode(struct td_bytes bytes, struct td_reader *reader, struct td_arena *arena,
                            struct td_token *ret_token)
{
    struct td_token token = {0};
    if (td_reader_init(reader, bytes) != TD_OK) {
        return TD_ETOKEN;
    }
    td_reader_enter(reader, 2, 2);
    td_reader_enter(reader, TOKEN_SEEN_FIELDS, TOKEN_SEEN_FIELDS);
    token.seen.register_hash = td_reader_uint(reader, UINT64_MAX);
    read_seen(reader, &token.seen);
    td_reader_leave(reader);
    td_vv_read(reader, arena, &token.has);
    td_reader_leave(reader);
    if (td_reader_done(reader) != TD_OK) {
        return TD_ETOKEN;
    }
    *ret_token = token;
    return TD_OK;
}

/* ---- encode ---- */

static void write_update(struct td_writer *writer, const struct td_update *update)
{
    const struct td_status *status = &update->status;
    td_writer_array(writer, UPDATE_FIELDS);
    td_writer_text(writer, update->job);
    td_writer_uint(writer, update->attempt);
    td_writer_uint(writer, update->correct);
    td_writer_uint(writer, update->fields);
    td_writer_uint(writer, status->state);
    td_wire_write_progress(writer, status);
    td_writer_text(writer, status->detail);
    td_writer_text(writer, status->parent);
    td_wire_write_labels(writer, status);
    td_writer_text(writer, status->writer);
    td_writer_uint(writer, status->expect_every_s);
    td_wire_write_times(writer, status->entered_ms);
    td_writer_array(writer, SEEN_FIELDS);
    write_seen(writer, &update->seen);
}

static void write_publish(struct td_writer *writer, const struct td_request *request)
{
    td_writer_array(writer, 2);
    td_writer_uint(writer, request->u.publish.ack);
    td_writer_array(writer, request->u.publish.count);
    for (uint32_t i = 0; i < request->u.publish.count; i++) {
        write_update(writer, &request->u.publish.updates[i]);
    }
}

static void write_filter(struct td_writer *writer, const struct td_filter *filter)
{
    td_writer_array(writer, FILTER_FIELDS);
    td_writer_uint(writer, filter->states);
    td_writer_uint(writer, filter->origin.v);
    td_writer_text(writer, filter->prefix);
    td_writer_uint(writer, filter->since_ms);
    td_writer_uint(writer, filter->silent);
    td_writer_uint(writer, filter->conflicts);
    td_writer_array(writer, filter->job_count);
    for (uint32_t i = 0; i < filter->job_count; i++) {
        td_writer_text(writer, filter->jobs[i]);
    }
}

static void write_watch(struct td_writer *writer, const struct td_request *request)
{
    td_writer_array(writer, 5);
    write_filter(writer, &request->u.watch.filter);
    td_writer_uint(writer, request->u.watch.limit);
    td_writer_uint(writer, request->u.watch.cursor);
    td_writer_uint(writer, request->u.watch.process.start);
    td_writer_uint(writer, request->u.watch.process.random);
}

static void write_body(struct td_writer *writer, const struct td_request *request)
{
    switch (request->op) {
    case TD_OP_PUBLISH:
        write_publish(writer, request);
        break;
    case TD_OP_GET:
    case TD_OP_EXPLAIN:
        td_writer_array(writer, 3);
        td_writer_text(writer, request->u.get.job);
        td_writer_uint(writer, request->u.get.attempt);
        td_writer_uint(writer, request->u.get.all_attempts);
        break;
    case TD_OP_LIST:
        td_writer_array(writer, 3);
        write_filter(writer, &request->u.list.filter);
        td_writer_uint(writer, request->u.list.limit);
        td_writer_uint(writer, request->u.list.cursor);
        break;
    case TD_OP_WATCH:
        write_watch(writer, request);
        break;
    case TD_OP_ROSTER_PUSH:
        td_writer_array(writer, 1);
        td_writer_bin(writer, request->u.roster);
        break;
    case TD_OP_FAULT:
        td_writer_array(writer, 3);
        td_writer_uint(writer, request->u.fault.region.v);
        td_writer_uint(writer, request->u.fault.send_cut);
        td_writer_uint(writer, request->u.fault.receive_cut);
        break;
    case TD_OP_CANCEL:
        td_writer_array(writer, 1);
        td_writer_uint(writer, request->u.cancel_id);
        break;
    case TD_OP_ADMIN:
        td_writer_array(writer, 2);
        td_writer_uint(writer, request->u.admin.action);
        td_writer_text(writer, request->u.admin.argument);
        break;
    case TD_OP_MEMBERS:
        td_writer_array(writer, 1);
        td_writer_uint(writer, request->u.members.region.v);
        break;
    case TD_OP_ROSTER_AT:
        td_writer_array(writer, 1);
        td_writer_uint(writer, request->u.roster_version);
        break;
    case TD_OP_STATUS:
    case TD_OP_ROSTER_GET:
    case TD_OP_DRAIN:
        td_writer_array(writer, 0);
        break;
    }
}

size_t td_request_encode(const struct td_request *request, void *bytes, size_t size_bytes)
{
    struct td_writer writer;
    TD_ASSERT(request->op >= TD_OP_PUBLISH && request->op <= TD_OP_LAST);
    td_writer_init(&writer, bytes,
                   size_bytes < TD_REQUEST_BYTES_MAX ? size_bytes : TD_REQUEST_BYTES_MAX);
    td_writer_array(&writer, REQUEST_FIELDS);
    td_writer_uint(&writer, request->id);
    td_writer_uint(&writer, request->op);
    td_writer_uint(&writer, request->timeout_ms);
    td_vv_write(&writer, &request->after);
    write_body(&writer, request);
    return td_writer_done(&writer);
}

/* ---- decode ---- */

/* Keeps the first rule an update breaks. */
static void note(struct td_update *update, enum td_err err)
{
    if (update->err == TD_OK) {
        update->err = err;
    }
}

static uint64_t read_or_note(struct td_reader *reader, struct td_update *update, uint64_t max,
                             enum td_err err)
{
    uint64_t value = td_reader_uint(reader, UINT64_MAX);
    if (value > max) {
        note(update, err);
        return 0;
    }
    return value;
}

static void read_update_progress(struct td_reader *reader, struct td_update *update)
{
    struct td_status *status = &update->status;
    status->progress_known = td_reader_enter(reader, 0, 1) == 1;
    if (status->progress_known) {
        status->progress = (uint16_t)read_or_note(reader, update, TD_PROGRESS_MAX, TD_EPROGRESS);
    }
    td_reader_leave(reader);
}

static void read_update_labels(struct td_reader *reader, struct td_arena *arena,
                               struct td_update *update)
{
    uint32_t count = td_reader_enter(reader, 0, TEXT_ANY);
    if (count % 2 != 0) {
        td_reader_fail(reader, TD_EFORMAT);
        return;
    }
    uint32_t kept = count <= 2 * TD_LABELS_MAX ? count / 2 : 0;
    if (kept != count / 2) {
        note(update, TD_ELABELS);
    }
    struct td_label *labels = td_arena_take(arena, kept, sizeof *labels);
    if (labels == NULL) {
        td_reader_fail(reader, TD_ETOOBIG);
        return;
    }
    for (uint32_t i = 0; i < kept; i++) {
        labels[i].key = td_reader_text(reader, TEXT_ANY);
        labels[i].value = td_reader_text(reader, TEXT_ANY);
    }
    td_reader_leave(reader);
    update->status.labels = labels;
    update->status.label_count = (uint8_t)kept;
}

static void read_update_fields(struct td_reader *reader, struct td_arena *arena,
                               struct td_update *update)
{
    struct td_status *status = &update->status;
    td_reader_enter(reader, UPDATE_FIELDS, UPDATE_FIELDS);
    update->job = td_reader_text(reader, TEXT_ANY);
    update->attempt = (uint16_t)read_or_note(reader, update, TD_ATTEMPT_MAX, TD_EATTEMPT);
    update->correct = td_wire_read_flag(reader);
    update->fields = (uint8_t)td_reader_uint(reader, TD_FIELDS_ALL);
    status->state = (enum td_state)read_or_note(reader, update, TD_STATE_COUNT - 1, TD_ESTATE);
    read_update_progress(reader, update);
    status->detail = td_reader_text(reader, TEXT_ANY);
    status->parent = td_reader_text(reader, TEXT_ANY);
    read_update_labels(reader, arena, update);
    status->writer = td_reader_text(reader, TEXT_ANY);
    status->expect_every_s =
        (uint32_t)read_or_note(reader, update, TD_EXPECT_EVERY_S_MAX, TD_EEXPECT);
    td_wire_read_times(reader, status);
    td_reader_enter(reader, SEEN_FIELDS, SEEN_FIELDS);
    read_seen(reader, &update->seen);
    td_reader_leave(reader);
    td_reader_leave(reader);
}

static void read_update(struct td_reader *reader, struct td_arena *arena,
                        const struct td_signer *signer, struct td_update *update)
{
    read_update_fields(reader, arena, update);
    if (td_reader_err(reader) != TD_OK) {
        return;
    }
    if (!td_job_valid(update->job)) {
        note(update, TD_EJOBID);
    }
    enum td_err err = td_status_check(&update->status);
    if (err != TD_OK) {
        note(update, err);
    }
    if (update->err != TD_OK) {
        *update = (struct td_update){.err = update->err};
        return;
    }
    update->job_hash = signer->job_hash(signer->self, update->job);
}

static void read_publish(struct td_reader *reader, struct td_arena *arena,
                         const struct td_signer *signer, struct td_request *request)
{
    td_reader_enter(reader, 2, 2);
    request->u.publish.ack = (uint8_t)td_reader_uint(reader, TD_ACK_ALL);
    uint32_t count = td_reader_enter(reader, 0, TD_REQUEST_UPDATES_MAX);
    struct td_update *updates = td_arena_take(arena, count, sizeof *updates);
    if (updates == NULL) {
        td_reader_fail(reader, TD_ETOOBIG);
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        read_update(reader, arena, signer, &updates[i]);
    }
    td_reader_leave(reader);
    td_reader_leave(reader);
    request->u.publish.count = count;
    request->u.publish.updates = updates;
}

static struct td_text read_job(struct td_reader *reader)
{
    struct td_text job = td_reader_text(reader, TEXT_ANY);
    if (td_reader_err(reader) == TD_OK && !td_job_valid(job)) {
        td_reader_fail(reader, TD_EJOBID);
    }
    return job;
}

static void read_get(struct td_reader *reader, const struct td_signer *signer,
                     struct td_request *request)
{
    td_reader_enter(reader, 3, 3);
    request->u.get.job = read_job(reader);
    request->u.get.attempt = (uint16_t)td_wire_read_number(reader, TD_ATTEMPT_MAX, TD_EATTEMPT);
    request->u.get.all_attempts = td_wire_read_flag(reader);
    td_reader_leave(reader);
    if (td_reader_err(reader) == TD_OK) {
        request->u.get.job_hash = signer->job_hash(signer->self, request->u.get.job);
    }
}

static void read_filter(struct td_reader *reader, struct td_arena *arena, struct td_filter *filter)
{
    td_reader_enter(reader, FILTER_FIELDS, FILTER_FIELDS);
    filter->states = (uint8_t)td_reader_uint(reader, UINT8_MAX);
    filter->origin.v = (uint8_t)td_reader_uint(reader, TD_REGION_NUMBER_MAX);
    filter->prefix = td_reader_text(reader, TEXT_ANY);
    filter->since_ms = td_reader_uint(reader, TD_SEQ_MAX);
    filter->silent = td_wire_read_flag(reader);
    filter->conflicts = td_wire_read_flag(reader);
    if (filter->prefix.count != 0 && !td_job_valid(filter->prefix)) {
        td_reader_fail(reader, TD_EJOBID);
    }
    uint32_t count = td_reader_enter(reader, 0, TD_WATCH_JOBS_MAX);
    struct td_text *jobs = td_arena_take(arena, count, sizeof *jobs);
    if (jobs == NULL) {
        td_reader_fail(reader, TD_ETOOBIG);
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        jobs[i] = read_job(reader);
    }
    td_reader_leave(reader);
    td_reader_leave(reader);
    filter->job_count = count;
    filter->jobs = jobs;
}

static uint32_t read_limit(struct td_reader *reader)
{
    return (uint32_t)td_wire_read_number(reader, TD_LIST_LIMIT_MAX, TD_ETOOBIG);
}

static void read_list(struct td_reader *reader, struct td_arena *arena, struct td_request *request)
{
    td_reader_enter(reader, 3, 3);
    read_filter(reader, arena, &request->u.list.filter);
    request->u.list.limit = read_limit(reader);
    request->u.list.cursor = td_reader_uint(reader, UINT64_MAX);
    td_reader_leave(reader);
}

static void read_watch(struct td_reader *reader, struct td_arena *arena, struct td_request *request)
{
    td_reader_enter(reader, 5, 5);
    read_filter(reader, arena, &request->u.watch.filter);
    request->u.watch.limit = read_limit(reader);
    request->u.watch.cursor = td_reader_uint(reader, UINT64_MAX);
    request->u.watch.process = td_wire_read_incarnation(reader);
    td_reader_leave(reader);
}

static void read_fault(struct td_reader *reader, struct td_request *request)
{
    td_reader_enter(reader, 3, 3);
    request->u.fault.region = td_wire_read_region(reader);
    request->u.fault.send_cut = td_wire_read_flag(reader);
    request->u.fault.receive_cut = td_wire_read_flag(reader);
    td_reader_leave(reader);
}

static void read_admin(struct td_reader *reader, struct td_request *request)
{
    td_reader_enter(reader, 2, 2);
    request->u.admin.action = (enum td_admin)td_reader_uint(reader, TD_ADMIN_LAST);
    request->u.admin.argument = td_reader_text(reader, TD_ADMIN_ARGUMENT_BYTES_MAX);
    td_reader_leave(reader);
    if (td_reader_err(reader) == TD_OK && request->u.admin.action == 0) {
        td_reader_fail(reader, TD_EFORMAT);
    }
}

static void read_single(struct td_reader *reader, struct td_request *request)
{
    td_reader_enter(reader, 1, 1);
    if (request->op == TD_OP_CANCEL) {
        request->u.cancel_id = td_reader_uint(reader, UINT64_MAX);
    } else if (request->op == TD_OP_MEMBERS) {
        request->u.members.region = td_wire_read_region(reader);
    } else if (request->op == TD_OP_ROSTER_AT) {
        request->u.roster_version = td_reader_uint(reader, TD_SEQ_MAX);
    } else {
        request->u.roster = td_reader_bin(reader, TD_ROSTER_BYTES_MAX);
    }
    td_reader_leave(reader);
}

static void read_body(struct td_reader *reader, struct td_arena *arena,
                      const struct td_signer *signer, struct td_request *request)
{
    switch (request->op) {
    case TD_OP_PUBLISH:
        read_publish(reader, arena, signer, request);
        break;
    case TD_OP_GET:
    case TD_OP_EXPLAIN:
        read_get(reader, signer, request);
        break;
    case TD_OP_LIST:
        read_list(reader, arena, request);
        break;
    case TD_OP_WATCH:
        read_watch(reader, arena, request);
        break;
    case TD_OP_FAULT:
        read_fault(reader, request);
        break;
    case TD_OP_ROSTER_PUSH:
    case TD_OP_CANCEL:
    case TD_OP_MEMBERS:
    case TD_OP_ROSTER_AT:
        read_single(reader, request);
        break;
    case TD_OP_ADMIN:
        read_admin(reader, request);
        break;
    case TD_OP_STATUS:
    case TD_OP_ROSTER_GET:
    case TD_OP_DRAIN:
        td_reader_enter(reader, 0, 0);
        td_reader_leave(reader);
        break;
    default:
        td_reader_fail(reader, TD_EFORMAT);
    }
}

enum td_err td_request_decode(struct td_bytes payload, const struct td_signer *signer,
                              struct td_reader *reader, struct td_arena *arena,
                              struct td_request *ret_request)
{
    struct td_request request = {0};
    if (payload.count > TD_REQUEST_BYTES_MAX) {
        return TD_ETOOBIG;
    }
    if (td_reader_init(reader, payload) != TD_OK) {
        return td_reader_err(reader);
    }
    td_reader_enter(reader, REQUEST_FIELDS, REQUEST_FIELDS);
    request.id = td_reader_uint(reader, UINT64_MAX);
    request.op = (enum td_op)td_reader_uint(reader, TD_OP_LAST);
    request.timeout_ms = (uint32_t)td_reader_uint(reader, UINT32_MAX);
    td_vv_read(reader, arena, &request.after);
    read_body(reader, arena, signer, &request);
    td_reader_leave(reader);
    enum td_err err = td_reader_done(reader);
    if (err != TD_OK) {
        return err;
    }
    *ret_request = request;
    return TD_OK;
}
