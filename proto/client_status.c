/* client_status.c -- the STATUS answer, and what other answers share with it: values that may not
 * be known, and how fresh a region is. Encode and decode side by side. */
#include "proto/client_detours.h"
#include "proto/client_parts.h"
#include "proto/wire.h"

enum {
    FRESH_FIELDS = 6,
    REGION_FIELDS = 27, /* and one more when it is known how long the backlog will take */
    STATUS_FIELDS = 8,
    STATUS_FIELDS_MIN = 7, /* no region says whom it has no link to */
    COUNTERS_MAX = 1024,
    COUNTER_NAME_BYTES_MAX = 64,
};

/* ---- shared parts ---- */

/* [] = not known, [value] = known. */
void td_part_write_optional(struct td_writer *writer, bool known, uint64_t value)
{
    td_writer_array(writer, known ? 1 : 0);
    if (known) {
        td_writer_uint(writer, value);
    }
}

/* [] or [sign 0/1, magnitude]: integers on the wire are never negative. */
void td_part_write_signed(struct td_writer *writer, bool known, int64_t value)
{
    td_writer_array(writer, known ? 2 : 0);
    if (!known) {
        return;
    }
    uint64_t magnitude = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    td_writer_uint(writer, value < 0);
    td_writer_uint(writer, magnitude <= TD_SEQ_MAX ? magnitude : TD_SEQ_MAX);
}

bool td_part_read_optional(struct td_reader *reader, uint64_t max, uint64_t *ret_value)
{
    bool known = td_reader_enter(reader, 0, 1) == 1;
    *ret_value = known ? td_reader_uint(reader, max) : 0;
    td_reader_leave(reader);
    return known;
}

bool td_part_read_signed(struct td_reader *reader, int64_t *ret_value)
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

/* A name or word: within bytes_max and without control characters. */
struct td_text td_part_read_word(struct td_reader *reader, uint32_t bytes_max)
{
    struct td_text text = td_reader_text(reader, bytes_max);
    if (!td_utf8_valid(text, false)) {
        td_reader_fail(reader, TD_EFORMAT);
    }
    return text;
}

void td_part_write_fresh(struct td_writer *writer, const struct td_fresh_view *views,
                         uint32_t count)
{
    td_writer_array(writer, count);
    for (uint32_t i = 0; i < count; i++) {
        td_writer_array(writer, FRESH_FIELDS);
        td_writer_uint(writer, views[i].region.v);
        td_part_write_optional(writer, views[i].age_known, views[i].age_ms);
        td_part_write_optional(writer, views[i].missing_known, views[i].missing);
        td_writer_uint(writer, views[i].recovering);
        td_writer_uint(writer, views[i].doubt);
        td_writer_uint(writer, views[i].via.v);
    }
}

const struct td_fresh_view *td_part_read_fresh(struct td_reader *reader, struct td_arena *arena,
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
        views[i].age_known = td_part_read_optional(reader, UINT64_MAX, &views[i].age_ms);
        views[i].missing_known = td_part_read_optional(reader, UINT64_MAX, &views[i].missing);
        views[i].recovering = td_wire_read_flag(reader);
        views[i].doubt = td_wire_read_flag(reader);
        views[i].via.v = (uint8_t)td_reader_uint(reader, TD_REGION_NUMBER_MAX);
        td_reader_leave(reader);
    }
    td_reader_leave(reader);
    return views;
}

/* ---- regions ---- */

static void write_region(struct td_writer *writer, const struct td_region_view *view)
{
    td_writer_array(writer, REGION_FIELDS + (view->eta_known ? 1u : 0u));
    td_writer_uint(writer, view->region.v);
    td_writer_uint(writer, view->self);
    td_writer_uint(writer, view->roster_state);
    td_writer_uint(writer, view->link_state);
    td_writer_uint(writer, view->direct);
    td_writer_uint(writer, view->via.v);
    td_part_write_optional(writer, view->heard, view->heard_age_ms);
    td_part_write_optional(writer, view->rtt_known, view->rtt_us);
    td_writer_uint(writer, view->probes);
    td_part_write_optional(writer, view->we_lack_known, view->we_lack);
    td_part_write_optional(writer, view->they_lack_known, view->they_lack);
    td_part_write_optional(writer, view->they_lack_jobs != UINT32_MAX, view->they_lack_jobs);
    td_writer_uint(writer, view->oldest_unacked_ms);
    td_part_write_signed(writer, view->offset_known, view->offset_ms);
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
    td_part_write_fresh(writer, view->hears, view->hears_count);
    td_writer_bin(writer, (struct td_bytes){view->sign_key.bytes, sizeof view->sign_key.bytes});
    if (view->eta_known) {
        td_writer_uint(writer, view->eta_ms);
    }
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
    view->heard = td_part_read_optional(reader, UINT64_MAX, &view->heard_age_ms);
    view->rtt_known = td_part_read_optional(reader, UINT32_MAX, &value);
    view->rtt_us = (uint32_t)value;
    view->probes = (uint16_t)td_reader_uint(reader, UINT16_MAX);
    view->we_lack_known = td_part_read_optional(reader, UINT64_MAX, &view->we_lack);
    view->they_lack_known = td_part_read_optional(reader, UINT64_MAX, &view->they_lack);
    bool counted = td_part_read_optional(reader, UINT32_MAX - 1, &value);
    view->they_lack_jobs = counted ? (uint32_t)value : UINT32_MAX;
    view->oldest_unacked_ms = td_reader_uint(reader, UINT64_MAX);
    view->offset_known = td_part_read_signed(reader, &view->offset_ms);
}

static void read_region(struct td_reader *reader, struct td_arena *arena,
                        struct td_region_view *view)
{
    uint32_t fields = td_reader_enter(reader, REGION_FIELDS, REGION_FIELDS + 1);
    read_region_link(reader, view);
    view->proto_min = (uint16_t)td_reader_uint(reader, UINT16_MAX);
    view->proto_max = (uint16_t)td_reader_uint(reader, UINT16_MAX);
    view->software = td_part_read_word(reader, TD_SOFTWARE_BYTES_MAX);
    view->name = td_part_read_word(reader, TD_REGION_NAME_BYTES_MAX);
    view->sent_bytes = td_reader_uint(reader, UINT64_MAX);
    view->received_bytes = td_reader_uint(reader, UINT64_MAX);
    view->reconnects = td_reader_uint(reader, UINT64_MAX);
    view->clone_suspected = td_wire_read_flag(reader);
    view->rolled_back = td_wire_read_flag(reader);
    view->equivocated = td_wire_read_flag(reader);
    view->fenced = td_wire_read_flag(reader);
    view->hears = td_part_read_fresh(reader, arena, &view->hears_count);
    td_reader_fixed(reader, view->sign_key.bytes, sizeof view->sign_key.bytes);
    view->eta_known = fields > REGION_FIELDS;
    view->eta_ms = view->eta_known ? td_reader_uint(reader, UINT64_MAX) : 0;
    td_reader_leave(reader);
}

/* ---- the answer ---- */

void td_part_write_status(struct td_writer *writer, const struct td_response *response)
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

static void read_counters(struct td_reader *reader, struct td_arena *arena,
                          struct td_response *response)
{
    struct td_counter *counters = td_wire_enter_flat(
        reader, arena, 1, COUNTERS_MAX, sizeof *counters, &response->u.status.counter_count);
    for (uint32_t i = 0; counters != NULL && i < response->u.status.counter_count; i++) {
        td_reader_enter(reader, 2, 2);
        counters[i].name = td_part_read_word(reader, COUNTER_NAME_BYTES_MAX);
        counters[i].value = td_reader_uint(reader, UINT64_MAX);
        td_reader_leave(reader);
    }
    td_reader_leave(reader);
    response->u.status.counters = counters;
}

void td_part_read_status(struct td_reader *reader, struct td_arena *arena,
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
