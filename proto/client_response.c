/* client_response.c -- what a node answers: encode and decode side by side. Every answer has the
 * same envelope, then the part of its op. */
#include "proto/assert.h"
#include "proto/client_detours.h"
#include "proto/delta.h"
#include "proto/wire.h"

enum {
    RESPONSE_FIELDS = 16,
    RESPONSE_FIELDS_MIN = 15, /* older nodes do not say their stale limit */
    FRESH_FIELDS = 6,
    RESULT_FIELDS = 14,
    REGISTER_FIELDS = 23,
    VERSION_FIELDS = 8,
    REGION_FIELDS = 27,
    STATUS_FIELDS = 8,
    STATUS_FIELDS_MIN = 7, /* no region says whom it has no link to */
    RANK_MAX = 2,
    ERR_NUMBER_MAX = 9999,
    MESSAGE_BYTES_MAX = 4096,
    COUNTERS_MAX = 1024,
    COUNTER_NAME_BYTES_MAX = 64,
};

/* ---- encode: parts ---- */

/* [] = not known, [value] = known. */
static void write_optional(struct td_writer *writer, bool known, uint64_t value)
{
    td_writer_array(writer, known ? 1 : 0);
    if (known) {
        td_writer_uint(writer, value);
    }
}

/* [] or [sign 0/1, magnitude]: integers on the wire are never negative. */
static void write_signed(struct td_writer *writer, bool known, int64_t value)
{
    td_writer_array(writer, known ? 2 : 0);
    if (!known) {
        return;
    }
    uint64_t magnitude = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    td_writer_uint(writer, value < 0);
    td_writer_uint(writer, magnitude <= TD_SEQ_MAX ? magnitude : TD_SEQ_MAX);
}

static void write_stamp(struct td_writer *writer, struct td_stamp stamp)
{
    td_writer_uint(writer, stamp.ms);
    td_writer_uint(writer, stamp.counter);
}

static void write_fresh(struct td_writer *writer, const struct td_fresh_view *views, uint32_t count)
{
    td_writer_array(writer, count);
    for (uint32_t i = 0; i < count; i++) {
        td_writer_array(writer, FRESH_FIELDS);
        td_writer_uint(writer, views[i].region.v);
        write_optional(writer, views[i].age_known, views[i].age_ms);
        write_optional(writer, views[i].missing_known, views[i].missing);
        td_writer_uint(writer, views[i].recovering);
        td_writer_uint(writer, views[i].doubt);
        td_writer_uint(writer, views[i].via.v);
    }
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
    write_signed(writer, version->arrived_after_known, version->arrived_after_ms);
}

static void write_region(struct td_writer *writer, const struct td_region_view *view)
{
    td_writer_array(writer, REGION_FIELDS);
    td_writer_uint(writer, view->region.v);
    td_writer_uint(writer, view->self);
    td_writer_uint(writer, view->roster_state);
    td_writer_uint(writer, view->link_state);
    td_writer_uint(writer, view->direct);
    td_writer_uint(writer, view->via.v);
    write_optional(writer, view->heard, view->heard_age_ms);
    write_optional(writer, view->rtt_known, view->rtt_us);
    td_writer_uint(writer, view->probes);
    write_optional(writer, view->we_lack_known, view->we_lack);
    write_optional(writer, view->they_lack_known, view->they_lack);
    write_optional(writer, view->they_lack_jobs != UINT32_MAX, view->they_lack_jobs);
    td_writer_uint(writer, view->oldest_unacked_ms);
    write_signed(writer, view->offset_known, view->offset_ms);
    td_writer_uint(writer, view->proto_min);
    td_writer_uint(writer, view->proto_max);
    td_writer_text(writer, view->software);
    td_writer_text(writer, view->name);
    td_writer_uint(writer, view->sent_bytes);
    td_writer_uint(writer, view->received_bytes);
    td_writer_uint(writer, view->reconnects);
    td_writer_uint(writer, view->clone_suspected);
    td_writer_uint(writer, view->rolled_back);
    td_writer_uint(writer, view->equivocated);
    td_writer_uint(writer, view->fenced);
    write_fresh(writer, view->hears, view->hears_count);
    td_writer_bin(writer, (struct td_bytes){view->sign_key.bytes, sizeof view->sign_key.bytes});
}

/* ---- encode: bodies ---- */

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

static void write_status(struct td_writer *writer, const struct td_response *response)
{
    const struct td_region_view *regions = response->u.status.regions;
    bool detours = td_detours_any(regions, response->u.status.region_count);
    td_writer_array(writer, detours ? STATUS_FIELDS : STATUS_FIELDS_MIN);
    td_writer_array(writer, response->u.status.region_count);
    for (uint32_t i = 0; i < response->u.status.region_count; i++) {
        write_region(writer, &regions[i]);
    }
    td_writer_array(writer, response->u.status.counter_count);
    for (uint32_t i = 0; i < response->u.status.counter_count; i++) {
        td_writer_array(writer, 2);
        td_writer_text(writer, response->u.status.counters[i].name);
        td_writer_uint(writer, response->u.status.counters[i].value);
    }
    td_writer_uint(writer, response->u.status.roster_version);
    td_writer_uint(writer, response->u.status.register_count);
    td_writer_uint(writer, response->u.status.log_bytes);
    td_writer_uint(writer, response->u.status.log_limit_bytes);
    td_writer_uint(writer, response->u.status.publishing);
    if (detours) {
        td_detours_write(writer, regions, response->u.status.region_count);
    }
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
        td_writer_array(writer, 1);
        td_writer_array(writer, response->u.explain.count);
        for (uint32_t i = 0; i < response->u.explain.count; i++) {
            write_version(writer, &response->u.explain.versions[i]);
        }
        break;
    case TD_OP_STATUS:
        write_status(writer, response);
        break;
    case TD_OP_ROSTER_GET:
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
    write_fresh(&writer, response->freshness, response->freshness_count);
    write_names(&writer, response->names, response->name_count);
    write_body(&writer, response);
    if (response->stale_ms != 0) {
        td_writer_uint(&writer, response->stale_ms);
    }
    return td_writer_done(&writer);
}

/* ---- decode: parts ---- */

static bool read_optional(struct td_reader *reader, uint64_t max, uint64_t *ret_value)
{
    bool known = td_reader_enter(reader, 0, 1) == 1;
    *ret_value = known ? td_reader_uint(reader, max) : 0;
    td_reader_leave(reader);
    return known;
}

static bool read_signed(struct td_reader *reader, int64_t *ret_value)
{
    uint32_t count = td_reader_enter(reader, 0, 2);
    *ret_value = 0;
    if (count == 0) {
        td_reader_leave(reader);
        return false;
    }
    bool negative = td_wire_read_flag(reader);
    int64_t magnitude = (int64_t)td_reader_uint(reader, TD_SEQ_MAX);
    td_reader_leave(reader);
    if (negative && magnitude == 0) {
        td_reader_fail(reader, TD_EFORMAT);
    }
    *ret_value = negative ? -magnitude : magnitude;
    return true;
}

static struct td_stamp read_stamp(struct td_reader *reader)
{
    struct td_stamp stamp;
    stamp.ms = td_reader_uint(reader, TD_STAMP_MS_MAX);
    stamp.counter = (uint32_t)td_reader_uint(reader, UINT32_MAX);
    return stamp;
}

/* A name or word: within bytes_max and without control characters. */
static struct td_text read_word(struct td_reader *reader, uint32_t bytes_max)
{
    struct td_text text = td_reader_text(reader, bytes_max);
    if (!td_utf8_valid(text, false)) {
        td_reader_fail(reader, TD_EFORMAT);
    }
    return text;
}

static const struct td_fresh_view *read_fresh(struct td_reader *reader, struct td_arena *arena,
                                              uint32_t *ret_count)
{
    struct td_fresh_view *views =
        td_wire_enter_flat(reader, arena, 1, TD_REGION_NUMBER_MAX, sizeof *views, ret_count);
    if (views == NULL) {
        return NULL;
    }
    for (uint32_t i = 0; i < *ret_count; i++) {
        td_reader_enter(reader, FRESH_FIELDS, FRESH_FIELDS);
        views[i].region = td_wire_read_region(reader);
        views[i].age_known = read_optional(reader, UINT64_MAX, &views[i].age_ms);
        views[i].missing_known = read_optional(reader, UINT64_MAX, &views[i].missing);
        views[i].recovering = td_wire_read_flag(reader);
        views[i].doubt = td_wire_read_flag(reader);
        views[i].via.v = (uint8_t)td_reader_uint(reader, TD_REGION_NUMBER_MAX);
        td_reader_leave(reader);
    }
    td_reader_leave(reader);
    return views;
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
        names[i].name = read_word(reader, TD_REGION_NAME_BYTES_MAX);
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
    version->arrived_after_known = read_signed(reader, &version->arrived_after_ms);
    td_reader_leave(reader);
}

static void read_region_link(struct td_reader *reader, struct td_region_view *view)
{
    uint64_t value;
    view->region = td_wire_read_region(reader);
    view->self = td_wire_read_flag(reader);
    view->roster_state = (uint8_t)td_reader_uint(reader, UINT8_MAX);
    view->link_state = (uint8_t)td_reader_uint(reader, UINT8_MAX);
    view->direct = td_wire_read_flag(reader);
    view->via.v = (uint8_t)td_reader_uint(reader, TD_REGION_NUMBER_MAX);
    view->heard = read_optional(reader, UINT64_MAX, &view->heard_age_ms);
    view->rtt_known = read_optional(reader, UINT32_MAX, &value);
    view->rtt_us = (uint32_t)value;
    view->probes = (uint16_t)td_reader_uint(reader, UINT16_MAX);
    view->we_lack_known = read_optional(reader, UINT64_MAX, &view->we_lack);
    view->they_lack_known = read_optional(reader, UINT64_MAX, &view->they_lack);
    bool counted = read_optional(reader, UINT32_MAX - 1, &value);
    view->they_lack_jobs = counted ? (uint32_t)value : UINT32_MAX;
    view->oldest_unacked_ms = td_reader_uint(reader, UINT64_MAX);
    view->offset_known = read_signed(reader, &view->offset_ms);
}

static void read_region(struct td_reader *reader, struct td_arena *arena,
                        struct td_region_view *view)
{
    td_reader_enter(reader, REGION_FIELDS, REGION_FIELDS);
    read_region_link(reader, view);
    view->proto_min = (uint16_t)td_reader_uint(reader, UINT16_MAX);
    view->proto_max = (uint16_t)td_reader_uint(reader, UINT16_MAX);
    view->software = read_word(reader, TD_SOFTWARE_BYTES_MAX);
    view->name = read_word(reader, TD_REGION_NAME_BYTES_MAX);
    view->sent_bytes = td_reader_uint(reader, UINT64_MAX);
    view->received_bytes = td_reader_uint(reader, UINT64_MAX);
    view->reconnects = td_reader_uint(reader, UINT64_MAX);
    view->clone_suspected = td_wire_read_flag(reader);
    view->rolled_back = td_wire_read_flag(reader);
    view->equivocated = td_wire_read_flag(reader);
    view->fenced = td_wire_read_flag(reader);
    view->hears = read_fresh(reader, arena, &view->hears_count);
    td_reader_fixed(reader, view->sign_key.bytes, sizeof view->sign_key.bytes);
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

static void read_explain(struct td_reader *reader, struct td_arena *arena,
                         struct td_response *response)
{
    td_reader_enter(reader, 1, 1);
    struct td_version_view *versions = td_wire_enter_flat(
        reader, arena, 1, TD_VERSIONS_SHOWN_MAX, sizeof *versions, &response->u.explain.count);
    for (uint32_t i = 0; versions != NULL && i < response->u.explain.count; i++) {
        read_version(reader, arena, &versions[i]);
    }
    td_reader_leave(reader);
    td_reader_leave(reader);
    response->u.explain.versions = versions;
}

static void read_counters(struct td_reader *reader, struct td_arena *arena,
                          struct td_response *response)
{
    struct td_counter *counters = td_wire_enter_flat(
        reader, arena, 1, COUNTERS_MAX, sizeof *counters, &response->u.status.counter_count);
    for (uint32_t i = 0; counters != NULL && i < response->u.status.counter_count; i++) {
        td_reader_enter(reader, 2, 2);
        counters[i].name = read_word(reader, COUNTER_NAME_BYTES_MAX);
        counters[i].value = td_reader_uint(reader, UINT64_MAX);
        td_reader_leave(reader);
    }
    td_reader_leave(reader);
    response->u.status.counters = counters;
}

static void read_status(struct td_reader *reader, struct td_arena *arena,
                        struct td_response *response)
{
    uint32_t fields = td_reader_enter(reader, STATUS_FIELDS_MIN, STATUS_FIELDS);
    struct td_region_view *regions = td_wire_enter_flat(
        reader, arena, 1, TD_REGION_NUMBER_MAX, sizeof *regions, &response->u.status.region_count);
    for (uint32_t i = 0; regions != NULL && i < response->u.status.region_count; i++) {
        read_region(reader, arena, &regions[i]);
    }
    td_reader_leave(reader);
    response->u.status.regions = regions;
    read_counters(reader, arena, response);
    response->u.status.roster_version = td_reader_uint(reader, TD_SEQ_MAX);
    response->u.status.register_count = td_reader_uint(reader, UINT64_MAX);
    response->u.status.log_bytes = td_reader_uint(reader, UINT64_MAX);
    response->u.status.log_limit_bytes = td_reader_uint(reader, UINT64_MAX);
    response->u.status.publishing = td_wire_read_flag(reader);
    if (fields == STATUS_FIELDS) {
        td_detours_read(reader, arena, regions, response->u.status.region_count);
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
        read_status(reader, arena, response);
        break;
    case TD_OP_ROSTER_GET:
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
    response->node_name = read_word(reader, TD_REGION_NAME_BYTES_MAX);
    response->cluster_name = read_word(reader, TD_CLUSTER_NAME_BYTES_MAX);
    response->now_ms = td_reader_uint(reader, UINT64_MAX);
    response->process = td_wire_read_incarnation(reader);
    td_vv_read(reader, arena, &response->has);
    response->certain = td_wire_read_flag(reader);
    response->freshness = read_fresh(reader, arena, &response->freshness_count);
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
