/* compact.h -- what the files of compaction share (LOG, "Compaction"). compact.c is the order of
 * steps, compact_copy.c what one step reads and writes, compact_choose.c and compact_plan.c which
 * segments are worth it. */
#ifndef TD_LOG_COMPACT_H
#define TD_LOG_COMPACT_H

#include "node/log/log_internal.h"
#include "proto/arena.h"
#include "proto/reader.h"

enum {
    TD_COMPACT_SLICE_BYTES = 256 * 1024, /* read in one piece of work, or one record */
    TD_COMPACT_SLICE_ITEMS = 256,
    TD_COMPACT_BUFFER_BYTES = 2 * TD_RECORD_SPAN_MAX,
    TD_COMPACT_ARENA_BYTES = 32 * 1024 * 1024, /* touched as far as used */
    TD_COMPACT_SYNC_BYTES = 1024 * 1024,       /* written between two flushes */
    TD_COMPACT_INPUTS_MAX = 64,
    TD_COMPACT_MOVES_TOLD = 4096, /* in one event */
    TD_COMPACT_REST = 8,          /* surveys passed over after a failure */
};

enum td_compact_phase {
    TD_COMPACT_IDLE,
    TD_COMPACT_BEGINNING, /* asked whether these segments may be taken */
    TD_COMPACT_COPYING,   /* the next slice is to be read */
    TD_COMPACT_KEEPING,   /* a slice is read: asked what of it is needed */
    TD_COMPACT_CLAIMING,  /* all is copied: a claim is on its way to the disk */
    TD_COMPACT_MOVING, /* the output is whole and durable: the core is told where things are now */
    TD_COMPACT_REMOVING, /* the inputs go */
};

/* One record of the slice. */
struct td_compact_item {
    uint32_t offset; /* in its input */
    uint32_t bytes;
    const uint8_t *payload;
    uint8_t type;
    uint32_t batch; /* place among the batches asked about; UINT32_MAX = no batch */
};

struct td_compaction {
    /* Guarded by the log's lock. */
    struct td_compact_share *shares; /* newest survey, by segment */
    uint32_t share_count;
    bool surveyed;
    bool asked, answered, ok;
    struct td_compact_keep keeps[TD_COMPACT_SLICE_ITEMS];
    uint32_t *pool; /* what the keeps point to; made large enough before the question */
    size_t pool_used, pool_room;
    bool blocked;       /* somebody reads what is to go */
    uint64_t worked_ns; /* end of the newest piece of work; the log's thread */

    /* The log's thread. */
    enum td_compact_phase phase;
    struct td_compact_ask ask;
    uint32_t rest;
    uint32_t inputs[TD_COMPACT_INPUTS_MAX];
    uint32_t input_count, input_at;
    uint32_t offset; /* in the input being read */
    uint32_t number, first, last, previous, previous_end;
    int file; /* of the output; -1 = none */
    uint32_t end, synced_end;
    uint32_t whole_end; /* all of the inputs before input_at, and what moved with them */
    size_t whole_moves;
    struct td_vv_fold folds[TD_REGION_NUMBER_MAX]; /* written first */
    uint32_t fold_count;
    uint64_t wall_ms; /* newest WALL record seen; 0 = none */
    uint64_t bytes_before;
    bool strays; /* some input could not be removed */
    uint8_t *slice, *image;
    uint32_t slice_bytes; /* records of the input in it */
    struct td_compact_item items[TD_COMPACT_SLICE_ITEMS];
    struct td_batch batches[TD_COMPACT_SLICE_ITEMS];
    struct td_compact_batch questions[TD_COMPACT_SLICE_ITEMS];
    uint32_t item_count, batch_count;
    struct td_compact_move *moves;
    size_t move_count, move_room, moves_told;
    struct td_reader *reader;
    void *arena_block;
    struct td_arena arena;
};

/* compact_copy.c */
/* Reads and decodes the next slice of the current input. TD_ECORRUPT: it is damaged. */
TD_MUST_USE enum td_err td_compact_read(struct td_log *log);
/* Appends to the output what the answer keeps of the slice. */
TD_MUST_USE enum td_err td_compact_write(struct td_log *log);
/* Ends the output: what was gathered on the way, header, name; durable when TD_OK. */
TD_MUST_USE enum td_err td_compact_commit(struct td_log *log);
/* What is folded, before anything that a restart needs it for. */
TD_MUST_USE enum td_err td_compact_write_folds(struct td_log *log);
/* The newest WALL record in place of all of them. */
TD_MUST_USE enum td_err td_compact_write_wall(struct td_log *log);

/* compact_choose.c */
int td_compact_by_segment(const void *a, const void *b); /* struct td_compact_share */
/* Fills in inputs and what they stand for; false = nothing is worth it. Uses the survey up. */
TD_MUST_USE bool td_compact_choose(struct td_log *log);

/* compact_plan.c: pure. One row per segment, in the order of the log. */
struct td_plan_row {
    uint32_t bytes, dead;
    bool may;
};
struct td_plan_bounds {
    uint32_t output_bytes; /* of one output, about */
    uint64_t room_bytes;   /* up to the limit: an output has to fit */
    uint32_t inputs_max;
    bool pressed; /* the log is near its limit: less is worth it */
};
/* The run of rows to rewrite as one; false = nothing is worth it. */
bool td_plan(const struct td_plan_row *rows, size_t count, const struct td_plan_bounds *bounds,
             size_t *ret_from, size_t *ret_count);

#endif
