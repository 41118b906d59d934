/* delta.c -- one report on one register: field rules, encoder and decoder side by side. */
#include "proto/delta.h"

#include "proto/assert.h"
#include "proto/text.h"
#include "proto/wire.h"

enum {
    DELTA_FIELDS = 15,
    DELTA_FIELDS_MAX = 32, /* room for fields of later versions */
    LEAF_PREFIX = 0x00,
    FLAGS_MAX = 255,
};

/* ---- field rules ---- */

bool td_job_valid(struct td_text job)
{
    return job.count >= 1 && job.count <= TD_JOB_BYTES_MAX && td_utf8_valid(job, false);
}

static bool detail_valid(struct td_text detail)
{
    if (detail.count > TD_DETAIL_BYTES_MAX || !td_utf8_valid(detail, true)) {
        return false;
    }
    return detail.count == 0 || memchr(detail.bytes, 0, detail.count) == NULL;
}

static bool labels_valid(const struct td_label *labels, uint32_t count)
{
    if (count > TD_LABELS_MAX) {
        return false;
    }
    size_t total_bytes = 0;
    for (uint32_t i = 0; i < count; i++) {
        total_bytes += labels[i].key.count;
        total_bytes += labels[i].value.count;
        if (labels[i].key.count == 0 || !td_utf8_valid(labels[i].key, false) ||
            !td_utf8_valid(labels[i].value, false)) {
            return false;
        }
        if (i > 0 && td_text_compare(labels[i - 1].key, labels[i].key) >= 0) {
            return false;
        }
    }
    return total_bytes <= TD_LABELS_BYTES_MAX;
}

static bool times_valid(const uint64_t *entered_ms)
{
    for (unsigned i = 0; i < TD_STATE_COUNT; i++) {
        if (entered_ms[i] > TD_STAMP_MS_MAX) {
            return false;
        }
    }
    return true;
}

enum td_err td_status_check(const struct td_status *status)
{
    if ((unsigned)status->state >= TD_STATE_COUNT) {
        return TD_ESTATE;
    }
    if (status->progress > TD_PROGRESS_MAX || (!status->progress_known && status->progress != 0)) {
        return TD_EPROGRESS;
    }
    if (!detail_valid(status->detail)) {
        return TD_EDETAIL;
    }
    if (!labels_valid(status->labels, status->label_count)) {
        return TD_ELABELS;
    }
    if (status->writer.count > TD_WRITER_BYTES_MAX || !td_utf8_valid(status->writer, false)) {
        return TD_EWRITER;
    }
    if (status->parent.count != 0 && !td_job_valid(status->parent)) {
        return TD_EPARENT;
    }
    if (status->expect_every_s > TD_EXPECT_EVERY_S_MAX) {
        return TD_EEXPECT;
    }
    return times_valid(status->entered_ms) ? TD_OK : TD_EFORMAT;
}

static bool stamp_valid(struct td_stamp stamp)
{
    return stamp.ms <= TD_STAMP_MS_MAX;
}

/* ---- encode ---- */

size_t td_delta_encode(const struct td_delta *delta, void *bytes, size_t size_bytes)
{
    const struct td_status *status = &delta->status;
    TD_ASSERT(td_job_valid(delta->job));
    TD_ASSERT(delta->attempt >= 1);
    TD_ASSERT(stamp_valid(delta->stamp));
    TD_ASSERT(td_status_check(status) == TD_OK);
    TD_ASSERT(td_wire_clock_valid(delta->clock, delta->clock_count));

    struct td_writer writer;
    td_writer_init(&writer, bytes,
                   size_bytes < TD_DELTA_BYTES_MAX ? size_bytes : TD_DELTA_BYTES_MAX);
    td_writer_array(&writer, DELTA_FIELDS);
    td_writer_text(&writer, delta->job);
    td_writer_uint(&writer, delta->attempt);
    td_writer_uint(&writer, status->state);
    td_writer_uint(&writer, delta->stamp.ms);
    td_writer_uint(&writer, delta->stamp.counter);
    td_writer_uint(&writer, delta->client);
    td_writer_uint(&writer, delta->flags);
    td_writer_text(&writer, status->writer);
    td_wire_write_progress(&writer, status);
    td_writer_text(&writer, status->detail);
    td_writer_text(&writer, status->parent);
    td_wire_write_labels(&writer, status);
    td_writer_uint(&writer, status->expect_every_s);
    td_wire_write_times(&writer, status->entered_ms);
    td_wire_write_clock(&writer, delta->clock, delta->clock_count);
    return td_writer_done(&writer);
}

/* ---- decode ---- */

static void read_fields(struct td_reader *reader, struct td_arena *arena, struct td_delta *delta)
{
    struct td_status *status = &delta->status;
    td_reader_enter(reader, DELTA_FIELDS, DELTA_FIELDS_MAX);
    delta->job = td_reader_text(reader, TD_DELTA_BYTES_MAX);
    delta->attempt = (uint16_t)td_wire_read_number(reader, TD_ATTEMPT_MAX, TD_EATTEMPT);
    status->state = (enum td_state)td_wire_read_number(reader, TD_STATE_COUNT - 1, TD_ESTATE);
    delta->stamp.ms = td_reader_uint(reader, TD_STAMP_MS_MAX);
    delta->stamp.counter = (uint32_t)td_reader_uint(reader, UINT32_MAX);
    delta->client = (uint32_t)td_reader_uint(reader, UINT32_MAX);
    delta->flags = (uint8_t)td_reader_uint(reader, FLAGS_MAX);
    status->writer = td_reader_text(reader, TD_DELTA_BYTES_MAX);
    td_wire_read_progress(reader, status);
    status->detail = td_reader_text(reader, TD_DELTA_BYTES_MAX);
    status->parent = td_reader_text(reader, TD_DELTA_BYTES_MAX);
    td_wire_read_labels(reader, arena, status);
    status->expect_every_s =
        (uint32_t)td_wire_read_number(reader, TD_EXPECT_EVERY_S_MAX, TD_EEXPECT);
    td_wire_read_times(reader, status);
    uint32_t clock_count = 0;
    td_wire_read_clock(reader, arena, &delta->clock, &clock_count);
    delta->clock_count = (uint8_t)clock_count;
    td_reader_leave(reader);
}

static enum td_err check_fields(const struct td_delta *delta)
{
    if (!td_job_valid(delta->job)) {
        return TD_EJOBID;
    }
    if (delta->attempt == 0) {
        return TD_EATTEMPT;
    }
    return td_status_check(&delta->status);
}

enum td_err td_delta_decode(struct td_bytes raw, const struct td_signer *signer,
                            struct td_reader *reader, struct td_arena *arena,
                            struct td_delta *ret_delta)
{
    struct td_delta delta = {0};
    if (raw.count > TD_DELTA_BYTES_MAX) {
        return TD_ETOOBIG;
    }
    enum td_err err = td_reader_init(reader, raw);
    if (err != TD_OK) {
        return err;
    }
    read_fields(reader, arena, &delta);
    err = td_reader_done(reader);
    if (err != TD_OK) {
        return err;
    }
    err = check_fields(&delta);
    if (err != TD_OK) {
        return err;
    }
    delta.raw = raw;
    delta.job_hash = signer->job_hash(signer->self, delta.job);
    signer->hash(signer->self, LEAF_PREFIX, raw, (struct td_bytes){NULL, 0}, &delta.leaf);
    *ret_delta = delta;
    return TD_OK;
}
