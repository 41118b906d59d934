/* compact.c -- the steps of a compaction, one bounded piece at a time between two groups:
 *
 *   survey -> BEGINNING -> COPYING <-> KEEPING -> CLAIMING -> (commit) -> MOVING -> REMOVING ->
 * idle
 *
 * Nothing is given up before the output is whole, durable and named (td_compact_commit), and
 * nothing that rests on what is not durable goes into it: what the core does not keep, something
 * durable has beaten. Until the commit any failure only costs the work done; the inputs stay what
 * they were. After it the core is told where its batches lie now, and the inputs go when nobody
 * reads them any more. */
#include "node/log/compact.h"

#include <stdlib.h>
#include <string.h>

#include "node/core/plant.h"
#include "proto/assert.h"

enum { BUSY_PACE_NS = 5000000 };

struct td_compaction *td_compaction_alloc(void)
{
    struct td_compaction *work = calloc(1, sizeof *work);

    if (work != NULL) {
        work->file = -1;
    }
    return work;
}

/* Room for a slice, taken when the first compaction begins. */
static bool take_room(struct td_compaction *work)
{
    if (work->slice == NULL) {
        work->slice = malloc(TD_COMPACT_BUFFER_BYTES);
    }
    if (work->image == NULL) {
        work->image = malloc(TD_COMPACT_BUFFER_BYTES);
    }
    if (work->arena_block == NULL) {
        work->arena_block = malloc(TD_COMPACT_ARENA_BYTES);
    }
    if (work->reader == NULL) {
        work->reader = td_reader_alloc();
    }
    return work->slice != NULL && work->image != NULL && work->arena_block != NULL &&
           work->reader != NULL;
}

/* ---- questions and answers ---- */

/* The lock is held. */
bool td_compaction_due(const struct td_log *log)
{
    const struct td_compaction *work = log->compaction;

    if (work == NULL || log->closing) {
        return false;
    }
    if (work->asked) {
        return work->answered;
    }
    return work->phase == TD_COMPACT_IDLE ? work->surveyed : !work->blocked;
}

static void set_phase(struct td_log *log, enum td_compact_phase phase)
{
    pthread_mutex_lock(&log->lock);
    log->compaction->phase = phase;
    log->compaction->blocked = false;
    pthread_mutex_unlock(&log->lock);
}

static void ask(struct td_log *log, enum td_compact_phase phase, const struct td_compact_ask *what)
{
    struct td_compaction *work = log->compaction;

    work->ask = *what;
    pthread_mutex_lock(&log->lock);
    work->phase = phase;
    work->asked = true;
    work->answered = false;
    pthread_mutex_unlock(&log->lock);
    log->sink.ask(log->sink.self, &work->ask);
}

/* The lock is held. A survey that cannot be kept is as good as none: there will be another. */
static void take_survey(struct td_compaction *work, const struct td_compact_answer *answer)
{
    struct td_compact_share *shares = malloc((answer->count + 1) * sizeof *shares);

    if (shares == NULL) {
        return;
    }
    if (answer->count > 0) {
        memcpy(shares, answer->shares, answer->count * sizeof *shares);
        qsort(shares, answer->count, sizeof *shares, td_compact_by_segment);
    }
    free(work->shares);
    work->shares = shares;
    work->share_count = answer->count;
    work->surveyed = true;
}

static const uint32_t *pool_copy(struct td_compaction *work, const uint32_t *values, uint32_t count)
{
    uint32_t *copy = work->pool + work->pool_used;

    TD_ASSERT(count <= work->pool_room - work->pool_used);
    if (count > 0) {
        memcpy(copy, values, count * sizeof *copy);
    }
    work->pool_used += count;
    return copy;
}

/* The lock is held; the log's thread waits for this and touches nothing meanwhile. */
static void take_keeps(struct td_compaction *work, const struct td_compact_answer *answer)
{
    TD_ASSERT(answer->count == work->batch_count);
    work->pool_used = 0;
    for (uint32_t i = 0; i < answer->count; i++) {
        struct td_compact_keep *keep = &work->keeps[i];
        *keep = answer->keeps[i];
        TD_ASSERT(keep->keep_count <= work->batches[i].present_count);
        if (keep->keep_count < work->batches[i].present_count) {
            keep->keep = pool_copy(work, answer->keeps[i].keep, keep->keep_count);
        }
        keep->losers = pool_copy(work, answer->keeps[i].losers, keep->loser_count);
    }
}

static void take_folds(struct td_compaction *work, const struct td_compact_answer *answer)
{
    TD_ASSERT(answer->count <= TD_REGION_NUMBER_MAX);
    work->fold_count = answer->count;
    if (answer->count > 0) {
        memcpy(work->folds, answer->folds, answer->count * sizeof *work->folds);
    }
}

void td_log_compact(struct td_log *log, const struct td_compact_answer *answer)
{
    struct td_compaction *work = log->compaction;

    if (work == NULL) {
        return;
    }
    pthread_mutex_lock(&log->lock);
    if (answer->step == TD_COMPACT_SURVEY) {
        take_survey(work, answer);
    } else {
        TD_ASSERT(work->asked);
        TD_ASSERT(!work->answered);
        TD_ASSERT(answer->step == work->ask.step);
        if (answer->step == TD_COMPACT_KEEP && answer->ok) {
            take_keeps(work, answer);
        } else if (answer->step == TD_COMPACT_BEGIN && answer->ok) {
            take_folds(work, answer);
        }
        work->ok = answer->ok;
        work->answered = true;
    }
    pthread_cond_signal(&log->more);
    pthread_mutex_unlock(&log->lock);
}

/* ---- ends ---- */

static void drop_output(struct td_log *log)
{
    struct td_compaction *work = log->compaction;
    char name[TD_SEGMENT_NAME_BYTES];

    if (work->file >= 0) {
        log->disk.close(log->disk.self, work->file);
        work->file = -1;
        td_segment_name_unfinished(work->number, name);
        if (log->disk.remove(log->disk.self, name) != TD_OK) {
            td_segment_name(work->number, name); /* it may have its name, but not durably */
            (void)log->disk.remove(log->disk.self, name);
        }
    }
    free(work->moves);
    work->moves = NULL;
    work->move_count = work->move_room = work->moves_told = 0;
}

static void give_up(struct td_log *log, bool damaged)
{
    struct td_compaction *work = log->compaction;

    drop_output(log);
    work->rest = TD_COMPACT_REST;
    pthread_mutex_lock(&log->lock);
    log->stats.compactions_failed++;
    size_t index = td_log_segment_find(log, work->inputs[work->input_at]);
    if (damaged && index != SIZE_MAX) {
        log->segments[index].damaged = true; /* left as it is: a start names the hole */
    }
    work->phase = TD_COMPACT_IDLE;
    work->surveyed = false;
    pthread_mutex_unlock(&log->lock);
}

void td_compaction_free(struct td_log *log)
{
    struct td_compaction *work = log->compaction;

    if (work == NULL) {
        return;
    }
    if (work->phase != TD_COMPACT_MOVING && work->phase != TD_COMPACT_REMOVING) {
        drop_output(log);
    }
    free(work->moves);
    free(work->shares);
    free(work->pool);
    free(work->slice);
    free(work->image);
    free(work->arena_block);
    td_reader_free(work->reader);
    free(work);
    log->compaction = NULL;
}

static void begin(struct td_log *log)
{
    struct td_compaction *work = log->compaction;

    if (work->rest > 0) {
        work->rest--;
        pthread_mutex_lock(&log->lock);
        work->surveyed = false;
        pthread_mutex_unlock(&log->lock);
        return;
    }
    if (td_compact_choose(log) && take_room(work)) {
        ask(log, TD_COMPACT_BEGINNING,
            &(struct td_compact_ask){
                .step = TD_COMPACT_BEGIN, .segments = work->inputs, .count = work->input_count});
    }
}

/* ---- the steps ---- */

static void create_output(struct td_log *log)
{
    struct td_compaction *work = log->compaction;
    char name[TD_SEGMENT_NAME_BYTES];

    work->input_at = 0;
    work->offset = work->end = work->synced_end = work->whole_end = TD_SEGMENT_HEADER_BYTES;
    work->whole_moves = 0;
    work->wall_ms = 0;
    work->strays = false;
    work->bytes_before = 0;
    if (!work->ok || log->next_number == UINT32_MAX) {
        give_up(log, false);
        return;
    }
    work->number = log->next_number++; /* main segments pass over it: it is not of their chain */
    td_segment_name_unfinished(work->number, name);
    if (log->disk.create(log->disk.self, name, &work->file) != TD_OK) {
        work->file = -1;
        give_up(log, false);
        return;
    }
    if (td_compact_write_folds(log) != TD_OK) {
        give_up(log, false);
        return;
    }
    set_phase(log, TD_COMPACT_COPYING);
}

/* The current input is copied. When the output is as large as a segment the other inputs stay. */
static bool next_input(struct td_log *log)
{
    struct td_compaction *work = log->compaction;
    size_t index = td_log_segment_find(log, work->inputs[work->input_at]);

    TD_ASSERT(index != SIZE_MAX); /* only this thread takes them out */
    work->bytes_before += log->segments[index].bytes;
    work->last = log->segments[index].last;
    work->input_at++;
    work->offset = TD_SEGMENT_HEADER_BYTES;
    work->whole_end = work->end;
    work->whole_moves = work->move_count;
    if (work->end >= log->options.segment_bytes) {
        work->input_count = work->input_at;
    }
    return work->input_at < work->input_count;
}

static void claim(struct td_log *log)
{
    struct td_compaction *work = log->compaction;

    work->input_at = work->input_count - 1;
    enum td_err err = td_compact_write_wall(log);
    if (err == TD_OK) {
        ask(log, TD_COMPACT_CLAIMING, &(struct td_compact_ask){.step = TD_COMPACT_CLAIM});
    } else {
        give_up(log, false);
    }
}

/* No room up to the limit, or none on the disk. What was copied of whole inputs is enough; of a
 * single one it is remembered how much is too little. */
static void out_of_room(struct td_log *log)
{
    struct td_compaction *work = log->compaction;

    if (work->input_at > 0) {
        work->input_count = work->input_at;
        work->end = work->whole_end;
        work->move_count = work->whole_moves;
        work->synced_end = TD_SEGMENT_HEADER_BYTES; /* flushed once more, whatever was before */
        claim(log);
        return;
    }
    pthread_mutex_lock(&log->lock);
    size_t index = td_log_segment_find(log, work->inputs[0]);
    log->segments[index].room_lacked = log->options.limit_bytes > log->total_bytes
                                           ? log->options.limit_bytes - log->total_bytes
                                           : 1;
    pthread_mutex_unlock(&log->lock);
    give_up(log, false);
}

static void failed(struct td_log *log, enum td_err err)
{
    if (err == TD_EDISKFULL) {
        out_of_room(log);
    } else {
        give_up(log, err == TD_ECORRUPT);
    }
}

static void copy_slice(struct td_log *log)
{
    struct td_compaction *work = log->compaction;
    enum td_err err = td_compact_read(log);

    if (err == TD_OK && work->batch_count > 0) {
        ask(log, TD_COMPACT_KEEPING,
            &(struct td_compact_ask){
                .step = TD_COMPACT_KEEP, .batches = work->questions, .count = work->batch_count});
        return;
    }
    bool input_over = err == TD_OK && work->item_count == 0;
    if (err == TD_OK) {
        err = td_compact_write(log);
    }
    if (err != TD_OK) {
        failed(log, err);
    } else if (input_over && !next_input(log)) {
        claim(log);
    }
}

static void write_slice(struct td_log *log)
{
    enum td_err err = log->compaction->ok ? td_compact_write(log) : TD_EBUSY;

    if (err == TD_OK) {
        set_phase(log, TD_COMPACT_COPYING);
    } else {
        failed(log, err);
    }
}

static void tell_moves(struct td_log *log)
{
    struct td_compaction *work = log->compaction;
    size_t left = work->move_count - work->moves_told;
    uint32_t count = (uint32_t)(left < TD_COMPACT_MOVES_TOLD ? left : TD_COMPACT_MOVES_TOLD);
    const struct td_compact_move *moves =
        work->moves == NULL ? NULL : work->moves + work->moves_told;

    work->moves_told += count;
    ask(log, TD_COMPACT_MOVING,
        &(struct td_compact_ask){.step = TD_COMPACT_MOVED, .moves = moves, .count = count});
}

static void remove_file(struct td_log *log, uint32_t number)
{
    char name[TD_SEGMENT_NAME_BYTES];

    td_segment_name(number, name);
    if (log->disk.remove(log->disk.self, name) != TD_OK) {
        log->compaction->strays =
            true; /* the next start removes it, as long as the output is there */
    }
}

static void commit(struct td_log *log)
{
    struct td_compaction *work = log->compaction;

    for (uint32_t i = 0; i < work->input_count && TD_PLANTED(compact_unlinks_first); i++) {
        remove_file(log, work->inputs[i]);
    }
    const bool claimed = work->ok;
    enum td_err err = claimed ? td_compact_commit(log) : TD_EBUSY;
    if (err == TD_OK) {
        const struct td_log_segment segment = {
            .number = work->number,
            .first = work->first,
            .last = work->last,
            .previous = work->previous,
            .previous_end = work->previous_end,
            .bytes = work->end,
            .fresh = true,
            .file = work->file,
        };
        err = td_log_segment_add(log, &segment);
    }
    if (err != TD_OK) {
        give_up(log, false);
        return;
    }
    work->file = -1; /* the table's now */
    work->input_at = 0;
    tell_moves(log);
}

static void finish(struct td_log *log)
{
    struct td_compaction *work = log->compaction;
    const struct td_log_compacted what = {
        .inputs = work->input_count,
        .output = work->number,
        .bytes_before = work->bytes_before,
        .bytes_after = work->end,
    };

    bool strays = log->disk.sync_directory(log->disk.self) != TD_OK || work->strays;
    free(work->moves);
    work->moves = NULL;
    work->move_count = work->move_room = work->moves_told = 0;
    pthread_mutex_lock(&log->lock);
    /* A compaction of it would have to stand for files that nobody knows of any more. */
    log->segments[td_log_segment_find(log, work->number)].damaged = strays;
    log->stats.compactions++;
    log->stats.reclaimed_bytes +=
        what.bytes_before > what.bytes_after ? what.bytes_before - what.bytes_after : 0;
    work->phase = TD_COMPACT_IDLE;
    work->surveyed = false; /* the next survey is the first that knows the output */
    pthread_mutex_unlock(&log->lock);
    if (log->sink.compacted != NULL) {
        log->sink.compacted(log->sink.self, &what);
    }
}

/* One file a call: removing a large one takes a while. */
static void remove_input(struct td_log *log)
{
    struct td_compaction *work = log->compaction;

    pthread_mutex_lock(&log->lock);
    bool copied = log->copies > 0;
    pthread_mutex_unlock(&log->lock);
    if (copied || !td_log_segment_take_out(log, work->inputs[work->input_at])) {
        pthread_mutex_lock(&log->lock);
        work->blocked = true; /* tried again at the next round */
        pthread_mutex_unlock(&log->lock);
        return;
    }
    if (!TD_PLANTED(compact_unlinks_first)) {
        remove_file(log, work->inputs[work->input_at]);
    }
    if (++work->input_at == work->input_count) {
        finish(log);
    } else {
        set_phase(log, TD_COMPACT_REMOVING);
    }
}

static void moved(struct td_log *log)
{
    struct td_compaction *work = log->compaction;

    if (work->moves_told < work->move_count) {
        tell_moves(log);
    } else {
        set_phase(log, TD_COMPACT_REMOVING);
    }
}

static void step(struct td_log *log)
{
    switch (log->compaction->phase) {
    case TD_COMPACT_IDLE:
        begin(log);
        break;
    case TD_COMPACT_BEGINNING:
        create_output(log);
        break;
    case TD_COMPACT_COPYING:
        copy_slice(log);
        break;
    case TD_COMPACT_KEEPING:
        write_slice(log);
        break;
    case TD_COMPACT_CLAIMING:
        commit(log);
        break;
    case TD_COMPACT_MOVING:
        moved(log);
        break;
    case TD_COMPACT_REMOVING:
        remove_input(log);
        break;
    }
}

/* One piece between two groups, and under load not between all of them: what waits for the disk
 * never waits for more than that. */
void td_compaction_work(struct td_log *log, bool busy)
{
    struct td_compaction *work = log->compaction;
    const struct td_disk *disk = &log->disk;

    if (busy && disk->now_ns != NULL && disk->now_ns(disk->self) < work->worked_ns + BUSY_PACE_NS) {
        return;
    }
    pthread_mutex_lock(&log->lock);
    bool wait = work->asked ? !work->answered : work->phase == TD_COMPACT_IDLE && !work->surveyed;
    work->asked = work->asked && wait;
    pthread_mutex_unlock(&log->lock);
    if (!wait) {
        step(log);
        work->worked_ns = disk->now_ns != NULL ? disk->now_ns(disk->self) : 0;
    }
}
