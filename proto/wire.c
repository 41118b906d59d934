/* wire.c -- parts that several messages share on the wire, version vectors among them. */
#include "proto/wire.h"

#include "proto/assert.h"
#include "proto/frame.h"

void td_wire_write_dot(struct td_writer *writer, struct td_dot dot)
{
    td_writer_uint(writer, dot.origin.region.v);
    td_writer_uint(writer, dot.origin.incarnation.start);
    td_writer_uint(writer, dot.origin.incarnation.random);
    td_writer_uint(writer, dot.seq);
}

struct td_incarnation td_wire_read_incarnation(struct td_reader *reader)
{
    struct td_incarnation incarnation;
    incarnation.start = (uint32_t)td_reader_uint(reader, UINT32_MAX);
    incarnation.random = (uint32_t)td_reader_uint(reader, UINT32_MAX);
    return incarnation;
}

struct td_dot td_wire_read_dot_or_none(struct td_reader *reader)
{
    struct td_dot dot;
    dot.origin.region.v = (uint8_t)td_reader_uint(reader, TD_REGION_NUMBER_MAX);
    dot.origin.incarnation = td_wire_read_incarnation(reader);
    dot.seq = td_reader_uint(reader, TD_SEQ_MAX);
    return dot;
}

struct td_dot td_wire_read_dot(struct td_reader *reader)
{
    struct td_dot dot = td_wire_read_dot_or_none(reader);
    if (dot.origin.region.v == 0 || dot.seq == 0) {
        td_reader_fail(reader, TD_EFORMAT);
    }
    return dot;
}

struct td_region td_wire_read_region(struct td_reader *reader)
{
    struct td_region region = {(uint8_t)td_reader_uint(reader, TD_REGION_NUMBER_MAX)};
    if (region.v == 0) {
        td_reader_fail(reader, TD_EFORMAT);
    }
    return region;
}

bool td_wire_read_flag(struct td_reader *reader)
{
    return td_reader_uint(reader, 1) == 1;
}

void *td_wire_enter_flat(struct td_reader *reader, struct td_arena *arena, uint32_t width,
                         uint32_t entries_max, size_t entry_bytes, uint32_t *ret_count)
{
    uint32_t count = td_reader_enter(reader, 0, width * entries_max);
    if (count % width != 0) {
        td_reader_fail(reader, TD_EFORMAT);
        return NULL;
    }
    void *entries = td_arena_take(arena, count / width, entry_bytes);
    if (entries == NULL) {
        td_reader_fail(reader, TD_ETOOBIG);
        return NULL;
    }
    *ret_count = count / width;
    return entries;
}

/* ---- parts of a report ---- */

void td_wire_write_progress(struct td_writer *writer, const struct td_status *status)
{
    td_writer_array(writer, status->progress_known ? 1 : 0);
    if (status->progress_known) {
        td_writer_uint(writer, status->progress);
    }
}

void td_wire_write_labels(struct td_writer *writer, const struct td_status *status)
{
    td_writer_array(writer, 2 * (uint32_t)status->label_count);
    for (uint32_t i = 0; i < status->label_count; i++) {
        td_writer_text(writer, status->labels[i].key);
        td_writer_text(writer, status->labels[i].value);
    }
}

void td_wire_write_times(struct td_writer *writer, const uint64_t *entered_ms)
{
    uint32_t count = 0;
    for (unsigned i = 0; i < TD_STATE_COUNT; i++) {
        count += entered_ms[i] != 0;
    }
    td_writer_array(writer, 2 * count);
    for (unsigned i = 0; i < TD_STATE_COUNT; i++) {
        if (entered_ms[i] != 0) {
            td_writer_uint(writer, i);
            td_writer_uint(writer, entered_ms[i]);
        }
    }
}

void td_wire_write_clock(struct td_writer *writer, const struct td_dot *clock, uint32_t count)
{
    td_writer_array(writer, 4 * count);
    for (uint32_t i = 0; i < count; i++) {
        td_wire_write_dot(writer, clock[i]);
    }
}

bool td_wire_clock_valid(const struct td_dot *clock, uint32_t count)
{
    if (count > TD_CLOCK_ENTRIES_MAX) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (clock[i].origin.region.v == 0 || clock[i].seq == 0 || clock[i].seq > TD_SEQ_MAX) {
            return false;
        }
        if (i > 0 && clock[i - 1].origin.region.v >= clock[i].origin.region.v) {
            return false;
        }
    }
    return true;
}

uint64_t td_wire_read_number(struct td_reader *reader, uint64_t max, enum td_err err)
{
    uint64_t value = td_reader_uint(reader, UINT64_MAX);
    if (value > max) {
        td_reader_fail(reader, err);
        return 0;
    }
    return value;
}

void td_wire_read_progress(struct td_reader *reader, struct td_status *status)
{
    status->progress_known = td_reader_enter(reader, 0, 1) == 1;
    if (status->progress_known) {
        status->progress = (uint16_t)td_wire_read_number(reader, TD_PROGRESS_MAX, TD_EPROGRESS);
    }
    td_reader_leave(reader);
}

void td_wire_read_labels(struct td_reader *reader, struct td_arena *arena, struct td_status *status)
{
    uint32_t count = td_reader_enter(reader, 0, TD_DELTA_BYTES_MAX);
    if (count % 2 != 0 || count > 2 * TD_LABELS_MAX) {
        td_reader_fail(reader, TD_ELABELS);
        return;
    }
    if (count == 0) {
        td_reader_leave(reader);
        return;
    }
    struct td_label *labels = td_arena_take(arena, count / 2, sizeof *labels);
    if (labels == NULL) {
        td_reader_fail(reader, TD_ETOOBIG);
        return;
    }
    for (uint32_t i = 0; i < count / 2; i++) {
        labels[i].key = td_reader_text(reader, TD_DELTA_BYTES_MAX);
        labels[i].value = td_reader_text(reader, TD_DELTA_BYTES_MAX);
    }
    td_reader_leave(reader);
    status->labels = labels;
    status->label_count = (uint8_t)(count / 2);
}

void td_wire_read_times(struct td_reader *reader, struct td_status *status)
{
    uint32_t count = td_reader_enter(reader, 0, 2 * TD_STATE_COUNT);
    if (count % 2 != 0) {
        td_reader_fail(reader, TD_EFORMAT);
    }
    uint64_t state_min = 0;
    while (td_reader_left(reader) != 0) {
        uint64_t state = td_reader_uint(reader, TD_STATE_COUNT - 1);
        uint64_t ms = td_reader_uint(reader, TD_STAMP_MS_MAX);
        if (state < state_min || ms == 0) {
            td_reader_fail(reader, TD_EFORMAT);
        }
        status->entered_ms[state] = ms;
        state_min = state + 1;
    }
    td_reader_leave(reader);
}

void td_wire_read_clock(struct td_reader *reader, struct td_arena *arena,
                        const struct td_dot **ret_clock, uint32_t *ret_count)
{
    uint32_t count = td_reader_enter(reader, 0, 4 * TD_CLOCK_ENTRIES_MAX);
    if (count % 4 != 0) {
        td_reader_fail(reader, TD_EFORMAT);
        return;
    }
    if (count == 0) {
        td_reader_leave(reader);
        return;
    }
    struct td_dot *clock = td_arena_take(arena, count / 4, sizeof *clock);
    if (clock == NULL) {
        td_reader_fail(reader, TD_ETOOBIG);
        return;
    }
    for (uint32_t i = 0; i < count / 4; i++) {
        clock[i] = td_wire_read_dot(reader);
    }
    td_reader_leave(reader);
    if (!td_wire_clock_valid(clock, count / 4)) {
        td_reader_fail(reader, TD_EFORMAT);
    }
    *ret_clock = clock;
    *ret_count = count / 4;
}

/* ---- version vectors ---- */

void td_vv_write_parts(struct td_writer *writer, const struct td_vv *vv)
{
    td_writer_array(writer, 4 * vv->entry_count);
    for (uint32_t i = 0; i < vv->entry_count; i++) {
        struct td_dot newest = {vv->entries[i].origin, vv->entries[i].seq};
        td_wire_write_dot(writer, newest);
    }
    td_writer_array(writer, 2 * vv->fold_count);
    for (uint32_t i = 0; i < vv->fold_count; i++) {
        td_writer_uint(writer, vv->folds[i].region.v);
        td_writer_uint(writer, vv->folds[i].start_below);
    }
}

void td_vv_write(struct td_writer *writer, const struct td_vv *vv)
{
    TD_CHECK_SLOW(td_vv_valid(vv));
    td_writer_array(writer, 2);
    td_vv_write_parts(writer, vv);
}

static void read_entries(struct td_reader *reader, struct td_arena *arena, struct td_vv *vv)
{
    uint32_t count = 0;
    struct td_vv_entry *entries =
        td_wire_enter_flat(reader, arena, 4, TD_VV_ENTRIES_MAX, sizeof *entries, &count);
    if (entries == NULL) {
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        struct td_dot newest = td_wire_read_dot(reader);
        entries[i] = (struct td_vv_entry){newest.origin, newest.seq};
    }
    td_reader_leave(reader);
    vv->entries = entries;
    vv->entry_count = count;
}

static void read_folds(struct td_reader *reader, struct td_arena *arena, struct td_vv *vv)
{
    uint32_t count = 0;
    struct td_vv_fold *folds =
        td_wire_enter_flat(reader, arena, 2, TD_REGIONS_MAX, sizeof *folds, &count);
    if (folds == NULL) {
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        folds[i].region = td_wire_read_region(reader);
        folds[i].start_below = (uint32_t)td_reader_uint(reader, UINT32_MAX);
    }
    td_reader_leave(reader);
    vv->folds = folds;
    vv->fold_count = count;
}

void td_vv_read_parts(struct td_reader *reader, struct td_arena *arena, struct td_vv *ret_vv)
{
    struct td_vv vv = {0};
    read_entries(reader, arena, &vv);
    read_folds(reader, arena, &vv);
    if (td_reader_err(reader) != TD_OK || !td_vv_valid(&vv)) {
        td_reader_fail(reader, TD_EFORMAT);
        vv = (struct td_vv){0};
    }
    *ret_vv = vv;
}

void td_vv_read(struct td_reader *reader, struct td_arena *arena, struct td_vv *ret_vv)
{
    td_reader_enter(reader, 2, 2);
    td_vv_read_parts(reader, arena, ret_vv);
    td_reader_leave(reader);
}
