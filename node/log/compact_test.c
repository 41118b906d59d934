/* compact_test.c -- rewriting old segments: what is needed stays readable throughout and is found again
 * after a crash at any call, what is dead goes; damage to what a compacted segment rests on is named. The
 * core is played by a table of jobs: the newest report of each is live. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "node/log/compact.h"
#include "node/log/test_disk.h"
#include "node/log/test_kit.h"
#include "proto/assert.h"

enum { JOBS = 40, SEG_BYTES = 2048 };

static struct test_disk disk;
static struct td_log *desk;
static const struct td_origin origin = {{9}, {1, 77}};

/* What the core would know. */
static struct {
    uint64_t newest[JOBS]; /* durable seq of the newest report; 0 = none */
    uint64_t position[JOBS];
    uint64_t next_seq, next_ticket;
    const struct td_compact_ask *ask;
    struct td_compact_answer answer;
    uint64_t claim_ticket;
    uint64_t compactions;
    /* The group under way. */
    uint32_t job[8], count;
    uint64_t first_seq, ticket;
    bool durable;
} model;

/* What a start found. */
static struct {
    uint64_t newest[JOBS], position[JOBS], bytes[JOBS];
    uint32_t batches, holes, claims;
    uint64_t claimed;
    bool compacted;
    struct td_log_recovery recovery;
    char why[256];
} found;

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
    if (done->ticket.v == model.claim_ticket) {
        model.claim_ticket = 0;
        model.answer = (struct td_compact_answer){.step = TD_COMPACT_CLAIM, .ok = done->durable};
        td_log_compact(desk, &model.answer);
        return;
    }
    if (done->ticket.v != model.ticket) {
        return;
    }
    model.durable = done->durable;
    for (uint32_t i = 0; i < model.count && done->durable; i++) {
        model.newest[model.job[i]] = model.first_seq + i;
        model.position[model.job[i]] = done->ref.position;
    }
}

static void on_ask(void *self, const struct td_compact_ask *ask)
{
    (void)self;
    model.ask = ask;
}

static void on_compacted(void *self, const struct td_log_compacted *what)
{
    (void)self;
    assert_true(what->bytes_after <= what->bytes_before);
    model.compactions++;
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
        if (seq > found.newest[job]) {
            found.newest[job] = seq;
            found.position[job] = ref.position;
            found.bytes[job] = ref.bytes;
        }
    }
    found.batches++;
    td_reader_free(reader);
}

static void on_record(void *self, const struct td_record *record)
{
    (void)self;
    found.holes += record->type == TD_RECORD_HOLE;
    found.compacted = found.compacted || record->type == TD_RECORD_COMPACTED;
    if (record->type == TD_RECORD_HAS) {
        found.claims++;
        found.claimed = record->u.has.entries[0].seq;
    }
}

static struct td_log_options options = {
    .limit_bytes = UINT64_C(1) << 40,
    .segment_bytes = SEG_BYTES,
    .queue_max = 64,
    .key_number = 3,
    .cluster = {{1, 2, 3}},
    .region = {9},
    .signer = &kit_signer,
};

static enum td_err open_log(void)
{
    struct td_disk door = test_disk_door(&disk);
    struct td_log_replay replay = {NULL, on_batch, on_record};
    struct td_log_sink sink = {NULL, on_done, on_ask, on_compacted};

    memset(&found, 0, sizeof found);
    model.ask = NULL;
    model.claim_ticket = 0;
    return td_log_open(&door, &options, &replay, &sink, &found.recovery, &desk, found.why,
                       sizeof found.why);
}

static void begin(uint64_t seed)
{
    test_disk_init(&disk, seed);
    memset(&model, 0, sizeof model);
    model.next_seq = model.next_ticket = 1;
    options.limit_bytes = UINT64_C(1) << 40;
    assert_int_equal(open_log(), TD_OK);
}

static void end(void)
{
    td_log_close(desk);
    test_disk_fini(&disk);
}

/* ---- the core's part ---- */

static bool live(uint64_t position, uint32_t job, uint64_t seq)
{
    return model.newest[job] == seq && model.position[job] == position;
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
    model.answer = (struct td_compact_answer){
        .step = TD_COMPACT_KEEP, .ok = true, .keeps = keeps, .count = ask->count};
    td_log_compact(desk, &model.answer);
}

static void answer_moved(const struct td_compact_ask *ask)
{
    for (uint32_t i = 0; i < ask->count; i++) {
        for (uint32_t job = 0; job < JOBS; job++) {
            if (model.position[job] == ask->moves[i].from) {
                model.position[job] = ask->moves[i].to;
            }
        }
    }
    model.answer = (struct td_compact_answer){.step = TD_COMPACT_MOVED, .ok = true};
    td_log_compact(desk, &model.answer);
}

static void submit_record(const struct td_record *record)
{
    struct td_effect effect = {
        .type = TD_FX_STORE,
        .u.store = {.ticket = {model.next_ticket++}, .kind = TD_STORE_RECORD, .record = record}};
    assert_true(td_log_submit(desk, &effect));
}

static void submit_claim(void)
{
    struct td_vv_entry entry = {origin, model.next_seq - 1};
    struct td_record record = {.type = TD_RECORD_HAS, .u.has = {.entry_count = 1, .entries = &entry}};

    model.claim_ticket = model.next_ticket;
    submit_record(&record);
}

static void answer(void)
{
    const struct td_compact_ask *ask = model.ask;

    model.ask = NULL;
    switch (ask->step) {
    case TD_COMPACT_BEGIN:
        model.answer = (struct td_compact_answer){.step = TD_COMPACT_BEGIN, .ok = true};
        td_log_compact(desk, &model.answer);
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
static void report(uint32_t first_job, uint32_t count)
{
    struct td_delta deltas[8];

    memset(deltas, 0, sizeof deltas);
    for (uint32_t i = 0; i < count; i++) {
        model.job[i] = (first_job + i * 7) % JOBS;
        deltas[i] = (struct td_delta){.job = job_text(model.job[i]),
                                      .attempt = 1,
                                      .stamp = {model.next_seq + i, 0},
                                      .status = {.state = TD_STATE_RUNNING},
                                      .index = i};
    }
    model.count = count;
    model.first_seq = model.next_seq;
    model.ticket = model.next_ticket++;
    model.durable = false;
    struct td_effect effect = {.type = TD_FX_STORE,
                               .u.store = {.ticket = {model.ticket},
                                           .kind = TD_STORE_OWN,
                                           .origin = origin,
                                           .first_seq = model.first_seq,
                                           .delta_count = count,
                                           .deltas = deltas}};
    model.next_seq += count; /* never again, whatever becomes of it */
    assert_true(td_log_submit(desk, &effect));
    td_log_work(desk, 0);
    if (model.ask != NULL) {
        answer();
    }
}

static void survey(void)
{
    struct td_compact_share shares[JOBS];
    uint32_t count = 0;

    for (uint32_t job = 0; job < JOBS; job++) {
        if (model.newest[job] != 0) {
            uint32_t segment = (uint32_t)(model.position[job] >> 32), at = 0;
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
    td_log_compact(desk, &answer_);
}

static void pump(void)
{
    for (int i = 0; i < 1000 && (td_log_busy(desk) || model.ask != NULL || model.claim_ticket != 0) &&
                    !disk.off;
         i++) {
        td_log_work(desk, 0);
        if (model.ask != NULL) {
            answer();
        }
    }
}

/* A life of reports with compactions among them, until the disk goes. */
static void live_for(uint32_t rounds)
{
    for (uint32_t round = 0; round < rounds && !disk.off; round++) {
        report(round % 5 == 0 ? round : round % 6, 1 + round % 8);
        if (round % 25 == 24) {
            survey();
        }
        if (round % 2 == 0) {
            pump(); /* else the steps of a compaction lie between groups */
        }
    }
}

static void expect_readable(void)
{
    static uint8_t raw[1 << 16], block[1 << 20];
    struct td_reader *reader = td_reader_alloc();

    for (uint32_t job = 0; job < JOBS; job++) {
        struct td_log_ref ref = {.position = model.position[job]};
        struct td_arena arena;
        struct td_batch batch;
        size_t got = 0;
        bool there = false;
        if (model.newest[job] == 0) {
            continue;
        }
        assert_int_equal(td_log_read(desk, ref, raw, sizeof raw, &got), TD_OK);
        td_arena_init(&arena, block, sizeof block);
        assert_int_equal(
            td_batch_decode((struct td_bytes){raw, got}, &kit_signer, reader, &arena, &batch), TD_OK);
        for (uint32_t i = 0; i < batch.present_count; i++) {
            there = there || batch.header.first_seq + batch.deltas[i].index == model.newest[job];
        }
        assert_true(there);
    }
    td_reader_free(reader);
}

/* Everything that was durable and live, or something newer of the job. */
static void expect_found(void)
{
    assert_int_equal(found.recovery.damaged_records, 0);
    assert_int_equal(found.recovery.missing_segments, 0);
    assert_int_equal(found.holes, 0);
    for (uint32_t job = 0; job < JOBS; job++) {
        assert_true(found.newest[job] >= model.newest[job]);
    }
}

/* The core starts again from what was found. */
static void adopt(void)
{
    for (uint32_t job = 0; job < JOBS; job++) {
        model.newest[job] = found.newest[job];
        model.position[job] = found.position[job];
    }
}

/* ---- tests ---- */

static void test_what_is_dead_goes_and_what_lives_stays_readable(void **state)
{
    (void)state;
    begin(1);
    live_for(600);
    pump();
    expect_readable();
    assert_true(model.compactions > 5);
    const struct td_log_stats stats = td_log_stats(desk);
    assert_int_equal(stats.compactions, model.compactions);
    assert_int_equal(stats.compactions_failed, 0);
    assert_true(stats.reclaimed_bytes > stats.written_bytes / 2);
    assert_true(td_log_bytes(desk) < stats.written_bytes / 3); /* bounded by what lives, not by what came */
    td_log_close(desk);
    assert_int_equal(open_log(), TD_OK);
    expect_found();
    assert_true(found.compacted);
    assert_true(found.recovery.segments < 20);
    assert_true(found.claims > 0);
    adopt();
    expect_readable();
    live_for(200); /* and compacts what the process before compacted */
    expect_readable();
    end();
}

static void crash_at(uint64_t at, enum test_crash how, bool *ret_over)
{
    begin(at * 3 + (uint64_t)how);
    live_for(150);
    disk.power_off_at = disk.calls + at;
    live_for(40);
    *ret_over = !disk.off;
    disk.off = true;
    td_log_close(desk);
    test_disk_crash(&disk, how);
    disk.power_off_at = disk.calls + 1 + at % 5; /* and again while it starts */
    if (open_log() == TD_OK) {
        disk.off = true;
        td_log_close(desk);
    }
    test_disk_crash(&disk, how);
    assert_int_equal(open_log(), TD_OK);
    expect_found();
    adopt();
    expect_readable();
    live_for(120);
    expect_readable();
    td_log_close(desk);
    for (size_t i = 0; i < disk.file_count; i++) { /* nothing half done is left behind */
        assert_false(disk.files[i].exists && td_segment_name_is_unfinished(disk.files[i].name));
    }
    assert_int_equal(open_log(), TD_OK);
    expect_found();
    end();
}

static void test_a_crash_at_any_call_of_a_compaction_loses_nothing(void **state)
{
    (void)state;
    for (int how = TEST_CRASH_KEEP; how <= TEST_CRASH_RANDOM; how++) {
        bool over = false;
        for (uint64_t at = 1; !over; at++) {
            crash_at(at, (enum test_crash)how, &over);
        }
    }
}

static void test_any_call_may_fail_and_the_log_goes_on(void **state)
{
    static const enum test_call calls[] = {TEST_WRITE, TEST_SYNC, TEST_SYNC_DIRECTORY,
                                           TEST_CREATE, TEST_REMOVE, TEST_RENAME};
    (void)state;
    for (size_t c = 0; c < sizeof calls / sizeof calls[0]; c++) {
        for (uint64_t after = 0; after < 60; after++) {
            begin(after);
            live_for(100);
            disk.fail_calls = calls[c];
            disk.fail_after = after;
            disk.fail_count = 1 + after % 3;
            live_for(60);
            disk.fail_calls = 0;
            live_for(60);
            expect_readable();
            td_log_close(desk);
            assert_int_equal(open_log(), TD_OK);
            expect_found();
            end();
        }
    }
}

/* Batches of one segment at a time are read by others while it goes. */
static enum td_err copy_begin(void *self, const char *name)
{
    (void)name;
    ++*(unsigned *)self;
    return TD_OK;
}

static enum td_err copy_bytes(void *self, struct td_bytes bytes)
{
    (void)self;
    (void)bytes;
    if (!td_log_busy(desk)) {
        survey();
    }
    pump(); /* a compaction from beginning to end beside the copy, as far as it gets */
    return TD_OK;
}

static void test_a_copy_under_way_keeps_all_of_its_segments(void **state)
{
    unsigned files = 0;
    const struct td_log_copy copy = {&files, copy_begin, copy_bytes};
    (void)state;
    begin(5);
    for (uint32_t i = 0; i < 100; i++) {
        report(i % 6, 4);
    }
    const size_t segments = desk->segment_count;
    assert_int_equal(td_log_copy(desk, &copy), TD_OK);
    assert_int_equal(files, segments);
    assert_int_equal(model.compactions, 0); /* the output is there, the inputs still are too */
    td_log_work(desk, 0);
    pump();
    assert_int_equal(model.compactions, 1);
    expect_readable();
    end();
}

static void test_at_the_limit_compaction_still_runs_and_reports_are_taken_again(void **state)
{
    (void)state;
    begin(6);
    options.limit_bytes = 12 * SEG_BYTES;
    td_log_close(desk);
    assert_int_equal(open_log(), TD_OK);
    uint32_t refused = 0, taken = 0;
    for (uint32_t i = 0; i < 2000; i++) {
        report(i % 9, 1 + i % 8);
        refused += !model.durable;
        taken += model.durable;
        assert_true(td_log_bytes(desk) <= options.limit_bytes);
        if (!model.durable) {
            survey(); /* as the core does once a second */
            pump();
        }
    }
    assert_true(refused > 0);
    assert_true(taken > 1500); /* many times what the limit holds */
    expect_readable();
    end();
}

/* ---- damage ---- */

static struct test_file *output_file(void)
{
    for (size_t i = disk.file_count; i-- > 0;) {
        if (disk.files[i].exists && disk.files[i].bytes[11] == TD_SEGMENT_FORMAT_COMPACTED) {
            return &disk.files[i];
        }
    }
    fail_msg("nothing was compacted");
    return NULL;
}

static struct test_file *newest_file(void)
{
    struct test_file *newest = NULL;

    for (size_t i = 0; i < disk.file_count; i++) {
        if (disk.files[i].exists && disk.files[i].bytes[11] == TD_SEGMENT_FORMAT &&
            (newest == NULL || strcmp(disk.files[i].name, newest->name) > 0)) {
            newest = &disk.files[i];
        }
    }
    return newest;
}

/* The newest thing in it is the claim of a compaction. */
static void compacted_log(void)
{
    begin(7);
    live_for(60);
    const uint64_t before = model.compactions;
    for (uint32_t i = 0; model.compactions == before && i < 100; i++) {
        report(i % 6, 3);
        survey();
        pump();
    }
    assert_true(model.compactions > before);
}

static void crash(void)
{
    disk.off = true;
    td_log_close(desk);
    test_disk_crash(&disk, TEST_CRASH_LOSE);
}

static void test_a_lost_header_of_a_compacted_segment_is_found_at_its_end(void **state)
{
    (void)state;
    for (uint64_t at = 0; at < TD_SEGMENT_HEADER_BYTES; at += 5) {
        compacted_log();
        crash();
        struct test_file *file = output_file();
        file->bytes[at] ^= 0x10;
        file->durable[at] ^= 0x10;
        assert_int_equal(open_log(), TD_OK);
        assert_true(found.compacted);
        expect_found();
        end();
    }
}

static void test_the_newest_segment_missing_is_a_hole_when_something_rests_on_it(void **state)
{
    (void)state;
    compacted_log();
    crash();
    struct test_file *file = newest_file();
    file->exists = file->exists_durable = false;
    uint32_t holes = 0;
    for (int start = 0; start < 3; start++) { /* at each start again, and at the same place */
        assert_int_equal(open_log(), TD_OK);
        assert_true(found.holes > 0);
        assert_true(start == 0 || found.holes == holes);
        holes = found.holes;
        adopt();
        live_for(30);
        survey();
        pump();
        td_log_close(desk);
    }
    test_disk_fini(&disk);
}

static void test_a_torn_tail_is_a_hole_when_something_rests_on_it(void **state)
{
    (void)state;
    compacted_log();
    crash();
    struct test_file *file = newest_file();
    uint64_t last = file->count - 1; /* in the last group: without the compaction a torn tail */
    while (file->bytes[last] == 0) {
        last--;
    }
    file->bytes[last] ^= 1;
    file->durable[last] ^= 1;
    for (int start = 0; start < 3; start++) {
        assert_int_equal(open_log(), TD_OK);
        assert_int_equal(found.holes, 1);
        adopt();
        live_for(30);
        survey();
        pump();
        td_log_close(desk);
    }
    test_disk_fini(&disk);
}

static void test_a_damaged_segment_is_left_as_it_is(void **state)
{
    (void)state;
    begin(8);
    for (uint32_t i = 0; i < 60; i++) {
        report(i % 6, 4);
    }
    struct test_file *file = test_disk_file(&disk, "0000000002.seg");
    file->bytes[700] ^= 1;
    file->durable[700] ^= 1;
    for (int i = 0; i < 20; i++) { /* found while it is read to be rewritten */
        survey();
        pump();
        report((uint32_t)i % 6, 4);
    }
    assert_true(td_log_stats(desk).compactions_failed > 0);
    assert_non_null(test_disk_file(&disk, "0000000002.seg"));
    td_log_close(desk);
    assert_int_equal(open_log(), TD_OK);
    assert_int_equal(found.holes, 1);
    assert_non_null(test_disk_file(&disk, "0000000002.seg"));
    end();
}

static void test_an_older_program_refuses_a_compacted_log(void **state)
{
    struct td_segment_header header = {.number = 9, .first = 3, .last = 5, .previous = 2,
                                       .compacted = true, .end = 4096, .inputs = 3,
                                       .rests_segment = 8, .rests_offset = 512};
    struct td_segment_header got;
    uint8_t bytes[TD_SEGMENT_HEADER_BYTES];
    (void)state;
    td_segment_header_encode(&header, &kit_signer, bytes);
    assert_int_equal(td_get_u32(bytes + 8), 2); /* the only number it knows is 1 */
    assert_int_equal(td_segment_header_decode(bytes, &kit_signer, &got), TD_OK);
    assert_true(got.compacted);
    assert_int_equal(got.end, 4096);
    assert_int_equal(got.inputs, 3);
    assert_int_equal(got.rests_segment, 8);
    assert_int_equal(got.rests_offset, 512);
    header.last = 9; /* stands for itself */
    td_segment_header_encode(&header, &kit_signer, bytes);
    assert_int_equal(td_segment_header_decode(bytes, &kit_signer, &got), TD_ECORRUPT);
}

/* ---- the plan ---- */

static void test_the_plan(void **state)
{
    static const struct {
        struct td_plan_row rows[4];
        bool pressed;
        size_t from, count; /* count 0 = nothing */
    } table[] = {
        {{{100, 0, true}, {100, 0, true}, {100, 0, true}, {100, 0, true}}, true, 0, 0},
        {{{100, 40, true}, {100, 40, true}, {100, 40, true}, {100, 40, true}}, false, 0, 0},
        {{{100, 10, true}, {100, 90, true}, {100, 10, true}, {100, 10, true}}, true, 1, 1},
        {{{100, 10, true}, {100, 90, true}, {100, 10, true}, {100, 10, true}}, false, 0, 0},
        {{{100, 90, true}, {100, 90, false}, {100, 60, true}, {100, 60, true}}, false, 0, 1},
        {{{100, 60, true}, {100, 90, true}, {100, 60, true}, {100, 10, true}}, false, 0, 3},
        {{{100, 100, true}, {100, 0, true}, {100, 100, true}, {100, 100, false}}, false, 0, 1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        const struct td_plan_bounds bounds = {.output_bytes = 100,
                                              .room_bytes = 1000,
                                              .inputs_max = 3,
                                              .pressed = table[i].pressed};
        size_t from = 0, count = 0;
        bool any = td_plan(table[i].rows, 4, &bounds, &from, &count);
        assert_int_equal(any, table[i].count > 0);
        if (any) {
            assert_int_equal(from, table[i].from);
            assert_int_equal(count, table[i].count);
        }
    }
    struct td_plan_row small[12];
    size_t from = 0, count = 0;
    const struct td_plan_bounds bounds = {.output_bytes = 100, .room_bytes = 1000, .inputs_max = 64};
    for (size_t i = 0; i < 12; i++) {
        small[i] = (struct td_plan_row){i < 2 ? 100u : 5u, 0, true};
    }
    assert_true(td_plan(small, 12, &bounds, &from, &count)); /* many small ones become one */
    assert_int_equal(from, 2);
    assert_int_equal(count, 10);
    assert_false(td_plan(small, 9, &bounds, &from, &count));
    const struct td_plan_bounds full = {.output_bytes = 100, .room_bytes = 5, .inputs_max = 4,
                                        .pressed = true};
    const struct td_plan_row rows[] = {{100, 90, true}, {100, 96, true}};
    assert_true(td_plan(rows, 2, &full, &from, &count)); /* only what fits below the limit */
    assert_int_equal(from, 1);
    assert_int_equal(count, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_dead_goes_and_what_lives_stays_readable),
        cmocka_unit_test(test_a_crash_at_any_call_of_a_compaction_loses_nothing),
        cmocka_unit_test(test_any_call_may_fail_and_the_log_goes_on),
        cmocka_unit_test(test_a_copy_under_way_keeps_all_of_its_segments),
        cmocka_unit_test(test_at_the_limit_compaction_still_runs_and_reports_are_taken_again),
        cmocka_unit_test(test_a_lost_header_of_a_compacted_segment_is_found_at_its_end),
        cmocka_unit_test(test_the_newest_segment_missing_is_a_hole_when_something_rests_on_it),
        cmocka_unit_test(test_a_torn_tail_is_a_hole_when_something_rests_on_it),
        cmocka_unit_test(test_a_damaged_segment_is_left_as_it_is),
        cmocka_unit_test(test_an_older_program_refuses_a_compacted_log),
        cmocka_unit_test(test_the_plan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
