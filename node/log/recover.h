/* recover.h -- what the two files of recovery share: recover_find.c finds the segments and how they
 * follow on each other, recover.c replays them. */
#ifndef TD_LOG_RECOVER_H
#define TD_LOG_RECOVER_H

#include "node/log/log_internal.h"
#include "node/log/record.h"

struct td_found {
    uint32_t number;
    bool unfinished; /* the output of a compaction that a crash ended */
    bool header_good;
    bool damaged;                    /* a hole in it, before it or behind it */
    struct td_segment_header header; /* first and last are always set */
};

struct td_recovery {
    struct td_log *log;
    const struct td_log_replay *replay;
    struct td_log_recovery result;
    struct td_found *found; /* in the order of the log */
    size_t found_count, found_capacity;
    bool out_of_memory;
    bool removed;     /* what a compaction left: the directory is to be flushed */
    bool hole;        /* in the segment being replayed */
    uint32_t highest; /* number that a removed output had */
    uint32_t upto;    /* all numbers up to this one are there or named as missing */
    uint8_t *bytes;   /* the segment being looked at */
    size_t capacity;
    struct td_record_room *room;
    char *why;
    size_t why_bytes;
};

/* One segment in memory. */
struct td_loaded {
    int file;
    uint32_t count;
    bool unreadable; /* somewhere the disk gave an error; zeros stand there */
};

/* Whether it is a compacted one that says for what it stands. */
static inline bool td_found_compacted(const struct td_found *found)
{
    return found->header_good && found->header.compacted;
}

/* recover_find.c */
/* All segments that count, in order; what a crash or a failed write left behind is removed. */
TD_MUST_USE enum td_err td_recover_find(struct td_recovery *recovery);
/* Reads a whole segment; pieces the disk cannot read become zeros. */
TD_MUST_USE enum td_err td_recover_load(struct td_recovery *recovery, uint32_t number,
                                        struct td_loaded *ret_loaded);

#endif
