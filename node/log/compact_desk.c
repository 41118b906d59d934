/* compact_desk.c -- see compact_desk.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "node/log/compact_desk.h"
#include "proto/assert.h"

struct test_disk desk_disk;
struct td_log *desk_log;
struct desk_model desk_model;
struct desk_found desk_found;
static const struct td_origin origin = {{9}, {1, 77}};

static struct td_text job_text(uint32_t job)
{
    static char names[JOBS][8];

    snprintf(names[job], sizeof names[job], "job%02u", job);
    return (struct td_text){names[job], 5};
}

static uint32_t job_of(const struct td_delta *delta)
{
    return (uint32_t)(delta->job.bytes[3] - '0') * 10 + (uint32_t)(delta->job.bytes[4] - '0');
}

/* ---- the sink ---- */

static void on_done(void *self, const struct td_log_done *done)
{
    (void)self;
    if (done->ticket.v == desk_model.claim_ticket) {
        desk_model.claim_ticket = 0;
        desk_model.answer =
            (struct td_compact_answer){.step = TD_COMPACT_CLAIM, .ok = done->durable};
        td_log_compact(desk_log, &desk_model.answer);
        return;
    }
    if (done->ticket.v != desk_model.ticket) {
        return;
    }
    desk_model.durable = done->durable;
    for (uint32_t i = 0; i < desk_model.count && done->durable; i++) {
        desk_model.newest[desk_model.job[i]] = desk_model.first_seq + i;
        desk_model.position[desk_model.job[i]] = done->ref.position;
    }
}

static void on_ask(void *self, const struct td_compact_ask *ask)
{
    (void)self;
    desk_model.ask = ask;
}

static void on_compacted(void *self, const struct td_log_compacted *what)
{
    (void)self;
    assert_true(what->bytes_after <= what->bytes_before);
    desk_model.compactions++;
}

/* ---- what a start gives ---- */

static void on_batch(void *self, struct td_log_ref ref, struct td_bytes raw)
{
    static uint8_t block[1 << 20];
    struct td_reader *reader = td_reader_alloc();
    struct td_arena arena;
    struct td_batch batch;

    (void)self;
    td_arena_init(&arena, block, sizeof block);
    assert_int_equal(td_batch_decode(raw, &kit_signer, reader, &arena, &batch), TD_OK);
    for (uint32_t i = 0; i < batch.present_count; i++) {
        uint32_t job = job_of(&batch.deltas[i]);
        uint64_t seq = batch.header.first_seq + batch.deltas[i].index;
        if (seq > desk_found.newest[job]) {
            desk_found.newest[job] = seq;
            desk_found.position[job] = ref.position;
            desk_found.bytes[job] = ref.bytes;
        }
    }
    desk_found.batches++;
    td_reader_free(reader);
}

static void on_record(void *self, const struct td_record *record)
{
    (void)self;
    desk_found.holes += record->type == TD_RECORD_HOLE;
    desk_found.compacted = desk_found.compacted || record->type == TD_RECORD_COMPACTED;
    if (record->type == TD_RECORD_HAS) {
        desk_found.claims++;
        desk_found.claimed = record->u.has.entries[0].seq;
    }
}

struct td_log_options desk_options = {
    .limit_bytes = UINT64_C(1) << 40,
    .segment_bytes = SEG_BYTES,
    .queue_max = 64,
    .key_number = 3,
    .cluster = {{1, 2, 3}},
    .region = {9},
    .signer = &kit_signer,
};

enum td_err desk_open_log(void)
{
    struct td_disk door = test_disk_door(&desk_disk);
    struct td_log_replay replay = {NULL, on_batch, on_record};
    struct td_log_sink sink = {NULL, on_done, on_ask, on_compacted};

    memset(&desk_found, 0, sizeof desk_found);
    desk_model.ask = NULL;
    desk_model.claim_ticket = 0;
    return td_log_open(&door, &desk_options, &replay, &sink, &desk_found.recovery, &desk_log,
                       desk_found.why, sizeof desk_found.why);
}

void desk_begin(uint64_t seed)
{
    test_disk_init(&desk_disk, seed);
    memset(&desk_model, 0, sizeof desk_model);
    desk_model.next_seq = desk_model.next_ticket = 1;
    desk_options.limit_bytes = UINT64_C(1) << 40;
    assert_int_equal(desk_open_log(), TD_OK);
}

void desk_end(void)
{
    td_log_close(desk_log);
    test_disk_fini(&desk_disk);
}

/* ---- the core's part ---- */

static bool live(uint64_t position, uint32_t job, uint64_t seq)
{
    return desk_model.newest[job] == seq && desk_model.position[job] == position;
}

static void answer_keep(const struct td_compact_ask *ask)
{
    static struct td_compact_keep keeps[TD_COMPACT_SLICE_ITEMS];
    static uint32_t indexes[1 << 16];
    uint32_t used = 0;

    for (uint32_t i = 0; i < ask->count; i++) {
        const struct td_batch *batch = ask->batches[i].batch;
        keeps[i] = (struct td_compact_keep){.keep = indexes + used, .slot = UINT32_MAX};
        for (uint32_t k = 0; k < batch->present_count; k++) {
            uint32_t job = job_of(&batch->deltas[k]);
            uint64_t seq = batch->header.first_seq + batch->deltas[k].index;
            if (live(ask->batches[i].position, job, seq)) {
                indexes[used++] = batch->deltas[k].index;
                keeps[i].keep_count++;
                keeps[i].slot = job; /* any of them: they all lie in this batch */
            }
        }
    }
    desk_model.answer = (struct td_compact_answer){
        .step = TD_COMPACT_KEEP, .ok = true, .keeps = keeps, .count = ask->count};
    td_log_compact(desk_log, &desk_model.answer);
}

static void answer_moved(const struct td_compact_ask *ask)
{
    for (uint32_t i = 0; i < ask->count; i++) {
        for (uint32_t job = 0; job < JOBS; job++) {
            if (desk_model.position[job] == ask->moves[i].from) {
                desk_model.position[job] = ask->moves[i].to;
            }
        }
    }
    desk_model.answer = (struct td_compact_answer){.step = TD_COMPACT_MOVED, .ok = true};
    td_log_compact(desk_log, &desk_model.answer);
}

static void submit_record(const struct td_record *record)
{
    struct td_effect effect = {.type = TD_FX_STORE,
                               .u.store = {.ticket = {desk_model.next_ticket++},
                                           .kind = TD_STORE_RECORD,
                                           .record = record}};
    assert_true(td_log_submit(desk_log, &effect));
}

static void submit_claim(void)
{
    struct td_vv_entry entry = {origin, desk_model.next_seq - 1};
    struct td_record record = {.type = TD_RECORD_HAS,
                               .u.has = {.entry_count = 1, .entries = &entry}};

    desk_model.claim_ticket = desk_model.next_ticket;
    submit_record(&record);
}

static void answer(void)
{
    const struct td_compact_ask *ask = desk_model.ask;

    desk_model.ask = NULL;
    switch (ask->step) {
    case TD_COMPACT_BEGIN:
        desk_model.answer = (struct td_compact_answer){.step = TD_COMPACT_BEGIN, .ok = true};
        td_log_compact(desk_log, &desk_model.answer);
        break;
    case TD_COMPACT_KEEP:
        answer_keep(ask);
        break;
    case TD_COMPACT_CLAIM:
        submit_claim();
        break;
    case TD_COMPACT_MOVED:
        answer_moved(ask);
        break;
    case TD_COMPACT_SURVEY:
        fail();
    }
}

/* Reports one group on these jobs. */
void desk_report(uint32_t first_job, uint32_t count)
{
    struct td_delta deltas[8];

    memset(deltas, 0, sizeof deltas);
    for (uint32_t i = 0; i < count; i++) {
        desk_model.job[i] = (first_job + i * 7) % JOBS;
        deltas[i] = (struct td_delta){.job = job_text(desk_model.job[i]),
                                      .attempt = 1,
                                      .stamp = {desk_model.next_seq + i, 0},
                                      .status = {.state = TD_STATE_RUNNING},
                                      .index = i};
    }
    desk_model.count = count;
    desk_model.first_seq = desk_model.next_seq;
    desk_model.ticket = desk_model.next_ticket++;
    desk_model.durable = false;
    struct td_effect effect = {.type = TD_FX_STORE,
                               .u.store = {.ticket = {desk_model.ticket},
                                           .kind = TD_STORE_OWN,
                                           .origin = origin,
                                           .first_seq = desk_model.first_seq,
                                           .delta_count = count,
                                           .deltas = deltas}};
    desk_model.next_seq += count; /* never again, whatever becomes of it */
    assert_true(td_log_submit(desk_log, &effect));
    td_log_work(desk_log, 0);
    if (desk_model.ask != NULL) {
        answer();
    }
}

void desk_survey(void)
{
    struct td_compact_share shares[JOBS];
    uint32_t count = 0;

    for (uint32_t job = 0; job < JOBS; job++) {
        if (desk_model.newest[job] != 0) {
            uint32_t segment = (uint32_t)(desk_model.position[job] >> 32), at = 0;
            while (at < count && shares[at].segment != segment) {
                at++;
            }
            if (at == count) {
                shares[count++] = (struct td_compact_share){.segment = segment};
            }
            shares[at].live_bytes += 60;
        }
    }
    const struct td_compact_answer answer_ = {
        .step = TD_COMPACT_SURVEY, .shares = shares, .count = count};
    td_log_compact(desk_log, &answer_);
}

void desk_pump(void)
{
    for (int i = 0;
         i < 1000 &&
         (td_log_busy(desk_log) || desk_model.ask != NULL || desk_model.claim_ticket != 0) &&
         !desk_disk.off;
         i++) {
        td_log_work(desk_log, 0);
        if (desk_model.ask != NULL) {
            answer();
        }
    }
}

/* A life of reports with compactions among them, until the disk goes. */
void desk_live_for(uint32_t rounds)
{
    for (uint32_t round = 0; round < rounds && !desk_disk.off; round++) {
        desk_report(round % 5 == 0 ? round : round % 6, 1 + round % 8);
        if (round % 25 == 24) {
            desk_survey();
        }
        if (round % 2 == 0) {
            desk_pump(); /* else the steps of a compaction lie between groups */
        }
    }
}

void desk_expect_readable(void)
{
    static uint8_t raw[1 << 16], block[1 << 20];
    struct td_reader *reader = td_reader_alloc();

    for (uint32_t job = 0; job < JOBS; job++) {
        struct td_log_ref ref = {.position = desk_model.position[job]};
        struct td_arena arena;
        struct td_batch batch;
        size_t got = 0;
        bool there = false;
        if (desk_model.newest[job] == 0) {
            continue;
        }
        assert_int_equal(td_log_read(desk_log, ref, raw, sizeof raw, &got), TD_OK);
        td_arena_init(&arena, block, sizeof block);
        assert_int_equal(
            td_batch_decode((struct td_bytes){raw, got}, &kit_signer, reader, &arena, &batch),
            TD_OK);
        for (uint32_t i = 0; i < batch.present_count; i++) {
            there =
                there || batch.header.first_seq + batch.deltas[i].index == desk_model.newest[job];
        }
        assert_true(there);
    }
    td_reader_free(reader);
}

/* Everything that was durable and live, or something newer of the job. */
void desk_expect_found(void)
{
    assert_int_equal(desk_found.recovery.damaged_records, 0);
    assert_int_equal(desk_found.recovery.missing_segments, 0);
    assert_int_equal(desk_found.holes, 0);
    for (uint32_t job = 0; job < JOBS; job++) {
        assert_true(desk_found.newest[job] >= desk_model.newest[job]);
    }
}

/* The core starts again from what was desk_found. */
void desk_adopt(void)
{
    for (uint32_t job = 0; job < JOBS; job++) {
        desk_model.newest[job] = desk_found.newest[job];
        desk_model.position[job] = desk_found.position[job];
    }
}
