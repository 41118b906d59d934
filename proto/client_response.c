/* client_response.c -- what a node answers: encode and decode side by side. Every answer has the
 * same envelope, then the part of its op. */
#include "proto/assert.h"
#include "proto/client_members.h"
#include "proto/client_parts.h"
#include "proto/delta.h"
#include "proto/wire.h"

enum {
    RESPONSE_FIELDS = 16,
    RESPONSE_FIELDS_MIN = 15, /* older nodes do not say their stale limit */
    RESULT_FIELDS = 14,
    REGISTER_FIELDS = 23,
    VERSION_FIELDS = 8,
    REFUSED_FIELDS = 5,
    RANK_MAX = 2,
    ERR_NUMBER_MAX = 9999,
    MESSAGE_BYTES_MAX = 4096,
};

/* ---- encode: parts ---- */

static void write_stamp(struct td_writer *writer, struct td_stamp stamp)
{
    td_writer_uint(writer, stamp.ms);
    td_writer_uint(writer, stamp.counter);
}

static void write_names(struct td_writer *writer, const struct td_region_name *names,
                        uint32_t count)
{
    td_writer_array(writer, count);
    for (uint32_t i = 0; i < count; i++) {
        td_writer_array(writer, 2);
        td_writer_uint(writer, names[i].region.v);
        td_writer_text(writer, names[i].name);
    }
}

static void write_result(struct td_writer *writer, const struct td_result *result)
{
    td_writer_array(writer, RESULT_FIELDS);
    td_writer_uint(writer, result->err);
    td_writer_uint(writer, result->attempt);
    write_stamp(writer, result->stamp);
    td_wire_write_dot(writer, result->dot);
    td_writer_uint(writer, result->rank);
    td_writer_uint(writer, result->noop);
    td_writer_uint(writer, result->acked_regions);
    td_writer_uint(writer, result->current_state);
    write_stamp(writer, result->current_stamp);
}

static void write_register(struct td_writer *writer, const struct td_register_view *view)
{
    const struct td_status *status = &view->status;
    td_writer_array(writer, REGISTER_FIELDS);
    td_writer_text(writer, view->job);
    td_writer_uint(writer, view->attempt);
    td_writer_uint(writer, view->flags);
    td_writer_uint(writer, view->client);
    td_writer_uint(writer, status->state);
    td_wire_write_progress(writer, status);
    td_writer_text(writer, status->detail);
    td_writer_text(writer, status->parent);
    td_wire_write_labels(writer, status);
    td_writer_text(writer, status->writer);
    td_writer_uint(writer, status->expect_every_s);
    td_wire_write_times(writer, status->entered_ms);
    write_stamp(writer, view->stamp);
    td_wire_write_dot(writer, view->dot);
    td_wire_write_clock(writer, view->clock, view->clock_count);
    td_writer_uint(writer, view->concurrent_count);
    td_writer_uint(writer, view->arrival);
    td_writer_uint(writer, view->silent);
    td_writer_bin(writer, (struct td_bytes){view->leaf.bytes, sizeof view->leaf.bytes});
}

static void write_version(struct td_writer *writer, const struct td_version_view *version)
{
    td_writer_array(writer, VERSION_FIELDS);
    write_register(writer, &version->view);
    td_writer_uint(writer, version->winner);
    td_writer_uint(writer, version->concurrent);
    td_writer_uint(writer, version->rule);
    td_writer_uint(writer, version->signature_ok);
    td_writer_bin(writer, (struct td_bytes){version->signer.bytes, sizeof version->signer.bytes});
    td_writer_uint(writer, version->via.v);
    td_part_write_signed(writer, version->arrived_after_known, version->arrived_after_ms);
}

static void write_refused(struct td_writer *writer, const struct td_refused_view *views,
                          uint32_t count)
{
    td_writer_array(writer, count);
    for (uint32_t i = 0; i < count; i++) {
        td_writer_array(writer, REFUSED_FIELDS);
        td_writer_uint(writer, views[i].err);
        td_writer_uint(writer, views[i].count);
        td_writer_uint(writer, views[i].first_ms);
        td_writer_uint(writer, views[i].last_ms);
        td_writer_text(writer, views[i].from);
    }
}

/* ---- encode: bodies ---- */

static void write_explain(struct td_writer *writer, const struct td_response *response)
{
    bool refused = response->u.explain.refused_count > 0;
    td_writer_array(writer, refused ? 2 : 1);
    td_writer_array(writer, response->u.explain.count);
    for (uint32_t i = 0; i < response->u.explain.count; i++) {
        write_version(writer, &response->u.explain.versions[i]);
    }
    if (refused) {
        write_refused(writer, response->u.explain.refused, response->u.explain.refused_count);
    }
}

static void write_registers(struct td_writer *writer, const struct td_response *response)
{
    td_writer_array(writer, 3);
    td_writer_array(writer, response->u.registers.count);
    for (uint32_t i = 0; i < response->u.registers.count; i++) {
        write_register(writer, &response->u.registers.registers[i]);
    }
    td_writer_uint(writer, response->u.registers.next_cursor);
    td_writer_uint(writer, response->u.registers.reset);
}

static void write_body(struct td_writer *writer, const struct td_response *response)
{
    switch (response->op) {
    case TD_OP_PUBLISH:
        td_writer_array(writer, 1);
        td_writer_array(writer, response->u.publish.count);
        for (uint32_t i = 0; i < response->u.publish.count; i++) {
            write_result(writer, &response->u.publish.results[i]);
        }
        break;
    case TD_OP_GET:
    case TD_OP_LIST:
    case TD_OP_WATCH:
        write_registers(writer, response);
        break;
    case TD_OP_EXPLAIN:
        write_explain(writer, response);
        break;
    case TD_OP_STATUS:
        td_part_write_status(writer, response);
        break;
    case TD_OP_MEMBERS:
        td_members_write(writer, response);
        break;
    case TD_OP_ROSTER_GET:
    case TD_OP_ROSTER_AT:
        td_writer_array(writer, 1);
        td_writer_bin(writer, response->u.roster);
        break;
    case TD_OP_ROSTER_PUSH:
    case TD_OP_FAULT:
    case TD_OP_DRAIN:
    case TD_OP_CANCEL:
    case TD_OP_ADMIN:
        td_writer_array(writer, 0);
        break;
    }
}

size_t td_response_encode(const struct td_response *response, void *bytes, size_t size_bytes)
{
    struct td_writer writer;
    TD_ASSERT(response->op >= TD_OP_PUBLISH && response->op <= TD_OP_LAST);
    TD_ASSERT(response->message.count <= MESSAGE_BYTES_MAX);
    td_writer_init(&writer, bytes,
                   size_bytes < TD_FRAME_BYTES_MAX ? size_bytes : TD_FRAME_BYTES_MAX);
    td_writer_array(&writer, response->stale_ms != 0 ? RESPONSE_FIELDS : RESPONSE_FIELDS_MIN);
    td_writer_uint(&writer, response->id);
    td_writer_uint(&writer, response->op);
    td_writer_uint(&writer, response->err);
    td_writer_text(&writer, response->message);
    td_writer_uint(&writer, response->node.v);
    td_writer_text(&writer, response->node_name);
    td_writer_text(&writer, response->cluster_name);
    td_writer_uint(&writer, response->now_ms);
    td_writer_uint(&writer, response->process.start);
    td_writer_uint(&writer, response->process.random);
    td_vv_write(&writer, &response->has);
    td_writer_uint(&writer, response->certain);
    td_part_write_fresh(&writer, response->freshness, response->freshness_count);
    write_names(&writer, response->names, response->name_count);
    write_body(&writer, response);
    if (response->stale_ms != 0) {
        td_writer_uint(&writer, response->stale_ms);
    }
    return td_writer_done(&writer);
}

/* ---- decode: parts ---- */

static struct td_stamp read_stamp(struct td_reader *reader)
{
    struct td_stamp stamp;
    stamp.ms = td_reader_uint(reader, TD_STAMP_MS_MAX);
    stamp.counter = (uint32_t)td_reader_uint(reader, UINT32_MAX);
    return stamp;
}

static void read_names(struct td_reader *reader, struct td_arena *arena,
                       struct td_response *response)
{
    struct td_region_name *names = td_wire_enter_flat(reader, arena, 1, TD_REGION_NUMBER_MAX,
                                                      sizeof *names, &response->name_count);
    if (names == NULL) {
        return;
    }
    for (uint32_t i = 0; i < response->name_count; i++) {
        td_reader_enter(reader, 2, 2);
        names[i].region = td_wire_read_region(reader);
        names[i].name = td_part_read_word(reader, TD_REGION_NAME_BYTES_MAX);
        td_reader_leave(reader);
    }
    td_reader_leave(reader);
    response->names = names;
}

static void read_result(struct td_reader *reader, struct td_result *result)
{
    td_reader_enter(reader, RESULT_FIELDS, RESULT_FIELDS);
    result->err = (enum td_err)td_reader_uint(reader, ERR_NUMBER_MAX);
    result->attempt = (uint16_t)td_reader_uint(reader, TD_ATTEMPT_MAX);
    result->stamp = read_stamp(reader);
    result->dot = td_wire_read_dot_or_none(reader);
    result->rank = (uint8_t)td_reader_uint(reader, RANK_MAX);
    result->noop = td_wire_read_flag(reader);
    result->acked_regions = (uint8_t)td_reader_uint(reader, UINT8_MAX);
    result->current_state = (uint8_t)td_reader_uint(reader, UINT8_MAX);
    result->current_stamp = read_stamp(reader);
    td_reader_leave(reader);
}

static void read_register_status(struct td_reader *reader, struct td_arena *arena,
                                 struct td_status *status)
{
    status->state = (enum td_state)td_reader_uint(reader, TD_STATE_COUNT - 1);
    td_wire_read_progress(reader, status);
    status->detail = td_reader_text(reader, TD_DETAIL_BYTES_MAX);
    status->parent = td_reader_text(reader, TD_JOB_BYTES_MAX);
    td_wire_read_labels(reader, arena, status);
    status->writer = td_reader_text(reader, TD_WRITER_BYTES_MAX);
    status->expect_every_s = (uint32_t)td_reader_uint(reader, TD_EXPECT_EVERY_S_MAX);
    td_wire_read_times(reader, status);
    if (td_reader_err(reader) == TD_OK && td_status_check(status) != TD_OK) {
        td_reader_fail(reader, TD_EFORMAT);
    }
}

static void read_register(struct td_reader *reader, struct td_arena *arena,
                          struct td_register_view *view)
{
    td_reader_enter(reader, REGISTER_FIELDS, REGISTER_FIELDS);
    view->job = td_reader_text(reader, TD_JOB_BYTES_MAX);
    view->attempt = (uint16_t)td_reader_uint(reader, TD_ATTEMPT_MAX);
    view->flags = (uint8_t)td_reader_uint(reader, UINT8_MAX);
    view->client = (uint32_t)td_reader_uint(reader, UINT32_MAX);
    if (td_reader_err(reader) == TD_OK && !td_job_valid(view->job)) {
        td_reader_fail(reader, TD_EFORMAT);
    }
    read_register_status(reader, arena, &view->status);
    view->stamp = read_stamp(reader);
    view->dot = td_wire_read_dot_or_none(reader);
    td_wire_read_clock(reader, arena, &view->clock, &view->clock_count);
    view->concurrent_count = (uint32_t)td_reader_uint(reader, UINT32_MAX);
    view->arrival = td_reader_uint(reader, UINT64_MAX);
    view->silent = td_wire_read_flag(reader);
    td_reader_fixed(reader, view->leaf.bytes, sizeof view->leaf.bytes);
    td_reader_leave(reader);
}

static void read_version(struct td_reader *reader, struct td_arena *arena,
                         struct td_version_view *version)
{
    td_reader_enter(reader, VERSION_FIELDS, VERSION_FIELDS);
    read_register(reader, arena, &version->view);
    version->winner = td_wire_read_flag(reader);
    version->concurrent = td_wire_read_flag(reader);
    version->rule = (enum td_rule)td_reader_uint(reader, TD_RULE_COUNT);
    version->signature_ok = td_wire_read_flag(reader);
    td_reader_fixed(reader, version->signer.bytes, sizeof version->signer.bytes);
    version->via.v = (uint8_t)td_reader_uint(reader, TD_REGION_NUMBER_MAX);
    version->arrived_after_known = td_part_read_signed(reader, &version->arrived_after_ms);
    td_reader_leave(reader);
}

/* ---- decode: bodies ---- */

static void read_publish(struct td_reader *reader, struct td_arena *arena,
                         struct td_response *response)
{
    td_reader_enter(reader, 1, 1);
    struct td_result *results = td_wire_enter_flat(reader, arena, 1, TD_REQUEST_UPDATES_MAX,
                                                   sizeof *results, &response->u.publish.count);
    for (uint32_t i = 0; results != NULL && i < response->u.publish.count; i++) {
        read_result(reader, &results[i]);
    }
    td_reader_leave(reader);
    td_reader_leave(reader);
    response->u.publish.results = results;
}

static void read_registers(struct td_reader *reader, struct td_arena *arena,
                           struct td_response *response)
{
    td_reader_enter(reader, 3, 3);
    struct td_register_view *registers = td_wire_enter_flat(
        reader, arena, 1, TD_LIST_LIMIT_MAX, sizeof *registers, &response->u.registers.count);
    for (uint32_t i = 0; registers != NULL && i < response->u.registers.count; i++) {
        read_register(reader, arena, &registers[i]);
    }
    td_reader_leave(reader);
    response->u.registers.registers = registers;
    response->u.registers.next_cursor = td_reader_uint(reader, UINT64_MAX);
    response->u.registers.reset = td_wire_read_flag(reader);
    td_reader_leave(reader);
}

/* Left out when nothing was refused: an empty list is not a second form of that. */
static void read_refused(struct td_reader *reader, struct td_arena *arena,
                         struct td_response *response)
{
    struct td_refused_view *views = td_wire_enter_flat(
        reader, arena, 1, TD_REFUSED_SHOWN_MAX, sizeof *views, &response->u.explain.refused_count);
    if (views == NULL || response->u.explain.refused_count == 0) {
        td_reader_fail(reader, TD_EFORMAT);
        return;
    }
    for (uint32_t i = 0; i < response->u.explain.refused_count; i++) {
        td_reader_enter(reader, REFUSED_FIELDS, REFUSED_FIELDS);
        views[i].err = (enum td_err)td_reader_uint(reader, ERR_NUMBER_MAX);
        views[i].count = td_reader_uint(reader, UINT64_MAX);
        views[i].first_ms = td_reader_uint(reader, UINT64_MAX);
        views[i].last_ms = td_reader_uint(reader, UINT64_MAX);
        views[i].from = td_part_read_word(reader, TD_FROM_BYTES_MAX);
        td_reader_leave(reader);
    }
    td_reader_leave(reader);
    response->u.explain.refused = views;
}

static void read_explain(struct td_reader *reader, struct td_arena *arena,
                         struct td_response *response)
{
    uint32_t fields = td_reader_enter(reader, 1, 2);
    struct td_version_view *versions = td_wire_enter_flat(
        reader, arena, 1, TD_VERSIONS_SHOWN_MAX, sizeof *versions, &response->u.explain.count);
    for (uint32_t i = 0; versions != NULL && i < response->u.explain.count; i++) {
        read_version(reader, arena, &versions[i]);
    }
    td_reader_leave(reader);
    response->u.explain.versions = versions;
    if (fields == 2) {
        read_refused(reader, arena, response);
    }
    td_reader_leave(reader);
}

static void read_body(struct td_reader *reader, struct td_arena *arena,
                      struct td_response *response)
{
    switch (response->op) {
    case TD_OP_PUBLISH:
        read_publish(reader, arena, response);
        break;
    case TD_OP_GET:
    case TD_OP_LIST:
    case TD_OP_WATCH:
        read_registers(reader, arena, response);
        break;
    case TD_OP_EXPLAIN:
        read_explain(reader, arena, response);
        break;
    case TD_OP_STATUS:
        td_part_read_status(reader, arena, response);
        break;
    case TD_OP_MEMBERS:
        td_members_read(reader, arena, response);
        break;
    case TD_OP_ROSTER_GET:
    case TD_OP_ROSTER_AT:
        td_reader_enter(reader, 1, 1);
        response->u.roster = td_reader_bin(reader, TD_ROSTER_BYTES_MAX);
        td_reader_leave(reader);
        break;
    case TD_OP_ROSTER_PUSH:
    case TD_OP_FAULT:
    case TD_OP_DRAIN:
    case TD_OP_CANCEL:
    case TD_OP_ADMIN:
        td_reader_enter(reader, 0, 0);
        td_reader_leave(reader);
        break;
    default:
        td_reader_fail(reader, TD_EFORMAT);
    }
}

static void read_envelope(struct td_reader *reader, struct td_arena *arena,
                          struct td_response *response)
{
    response->id = td_reader_uint(reader, UINT64_MAX);
    response->op = (enum td_op)td_reader_uint(reader, TD_OP_LAST);
    response->err = (enum td_err)td_reader_uint(reader, ERR_NUMBER_MAX);
    response->message = td_reader_text(reader, MESSAGE_BYTES_MAX);
    response->node.v = (uint8_t)td_reader_uint(reader, TD_REGION_NUMBER_MAX);
    response->node_name = td_part_read_word(reader, TD_REGION_NAME_BYTES_MAX);
    response->cluster_name = td_part_read_word(reader, TD_CLUSTER_NAME_BYTES_MAX);
    response->now_ms = td_reader_uint(reader, UINT64_MAX);
    response->process = td_wire_read_incarnation(reader);
    td_vv_read(reader, arena, &response->has);
    response->certain = td_wire_read_flag(reader);
    response->freshness = td_part_read_fresh(reader, arena, &response->freshness_count);
    read_names(reader, arena, response);
}

/* What is not said is left out, so that each answer has one form. */
static void read_limit(struct td_reader *reader, uint32_t fields, struct td_response *response)
{
    if (fields < RESPONSE_FIELDS) {
        return;
    }
    response->stale_ms = td_reader_uint(reader, UINT64_MAX);
    if (response->stale_ms == 0) {
        td_reader_fail(reader, TD_EFORMAT);
    }
}

enum td_err td_response_decode(struct td_bytes payload, struct td_reader *reader,
                               struct td_arena *arena, struct td_response *ret_response)
{
    struct td_response response = {0};
    if (payload.count > TD_FRAME_BYTES_MAX) {
        return TD_ETOOBIG;
    }
    if (td_reader_init(reader, payload) != TD_OK) {
        return td_reader_err(reader);
    }
    uint32_t fields = td_reader_enter(reader, RESPONSE_FIELDS_MIN, RESPONSE_FIELDS);
    read_envelope(reader, arena, &response);
    read_body(reader, arena, &response);
    read_limit(reader, fields, &response);
    td_reader_leave(reader);
    enum td_err err = td_reader_done(reader);
    if (err != TD_OK) {
        return err;
    }
    *ret_response = response;
    return TD_OK;
}
