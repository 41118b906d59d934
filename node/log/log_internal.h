/* log_internal.h -- what the files of the log share: its state, guarded as said at each part.
 *
 * log_file.c opens, closes and queues; group.c writes groups; files.c keeps segment files and their
 * descriptors; log_read.c reads batches back; recover.c replays at start; compact.c rewrites old
 * segments, compact_copy.c copies what is needed of them, compact_plan.c chooses which. */
#ifndef TD_LOG_INTERNAL_H
#define TD_LOG_INTERNAL_H

#include <pthread.h>

#include "node/log/log.h"
#include "node/log/segment.h"

enum {
    TD_LOG_GROUP_BYTES = 8 * 1024 * 1024, /* of records in one write, at most */
    TD_LOG_GROUP_LEAVES = 64 * 1024,      /* own deltas in one group, at most */
    TD_LOG_RESERVE_BYTES = 4 * 1024 * 1024,
    TD_LOG_FILES_MAX = 256,   /* descriptors kept open */
    TD_LOG_DONE_RING = 65536, /* newest completed tickets found by number */
};

/* One segment known to the log. The table is sorted by number, which is the order of the log but
 * for compacted ones: their place is that of the numbers they stand for. */
struct td_log_segment {
    uint32_t number;
    uint32_t first, last;            /* numbers it stands for */
    uint32_t previous, previous_end; /* as in its header */
    uint32_t bytes;                  /* records up to here are durable and may be read */
    bool appended;                   /* records go to its end: never closed, never compacted */
    bool damaged;     /* a hole in it or before it, or files behind it: never compacted */
    int file;         /* -1: not open */
    uint32_t pins;    /* readers using file right now */
    uint64_t used_at; /* tick of the newest use: the oldest is closed first */
    /* Of one that this process wrote by compacting: live bytes at its first survey. What it holds
     * beside them (losers, anchors, proofs) is needed too, and only what dies later is dead. */
    bool fresh, based;
    uint32_t surveys; /* since then: after very many it is looked at like any other */
    uint64_t live_first;
    uint64_t room_lacked; /* an output of it alone found no more room than this; 0 = it did */
};

/* One submitted ticket. Written by submit before it is counted; the rest by the log's thread. */
struct td_log_entry {
    struct td_ticket ticket;
    enum td_store_kind kind;
    struct td_origin origin; /* OWN */
    uint64_t first_seq;
    uint32_t delta_count;
    const struct td_delta *deltas; /* borrowed until done() */
    void *handle;                  /* RECEIVED */
    struct td_bytes raw;           /* RECEIVED: borrowed; RECORD: the payload, owned */
    uint8_t type;                  /* of the record on disk */

    enum td_err why;        /* TD_OK while nothing is wrong with this ticket */
    uint32_t offset;        /* of its record, within the segment */
    uint32_t bytes;         /* of its payload */
    uint32_t leaf_start;    /* OWN */
    const uint8_t *payload; /* where readers find the bytes while pending; NULL = not yet */
};

struct td_log_completed {
    uint64_t ticket; /* 0 = empty */
    uint64_t position;
    uint32_t bytes;
};

struct td_log {
    struct td_disk disk;
    struct td_log_options options;
    struct td_log_sink sink;

    pthread_mutex_t lock; /* queue, completed, segments, total_bytes, stats */
    pthread_cond_t more;
    bool woken;
    struct td_log_entry *queue; /* ring of options.queue_max */
    uint32_t queue_head;
    uint32_t queue_count;
    uint64_t newest_ticket;
    struct td_log_completed *completed; /* ring, by ticket */
    struct td_log_segment *segments;
    size_t segment_count, segment_capacity;
    size_t file_count; /* open ones */
    uint64_t use_tick;
    uint64_t total_bytes;
    uint32_t copies; /* copies under way: no file may go */
    bool closing;
    struct td_log_stats stats;
    struct td_compaction *compaction; /* compact.c; NULL = this log is never compacted */

    /* Log's thread only. */
    uint32_t next_number;
    uint32_t previous; /* newest segment with something durable in it */
    uint32_t previous_end;
    bool current_open; /* records are appended to the newest segment of the table */
    uint32_t current;  /* its number */
    uint32_t current_end;
    uint64_t current_reserved;
    uint8_t *image; /* TD_LOG_GROUP_BYTES + one record: the group as it goes to disk */
    uint32_t image_bytes;
    struct td_hash *leaves; /* TD_LOG_GROUP_LEAVES, of the group */
    uint32_t leaf_count;
    struct td_delta *scratch; /* TD_BATCH_DELTAS_MAX: raw and leaf for td_batch_build */
    uint8_t *encoded;         /* TD_BATCH_BYTES_MAX + one delta */
};

/* files.c. All but pin and unpin: the log's thread. */
TD_MUST_USE enum td_err td_log_segment_add(struct td_log *log,
                                           const struct td_log_segment *segment);
/* Out of the table, its file closed; false while somebody reads it. */
TD_MUST_USE bool td_log_segment_take_out(struct td_log *log, uint32_t number);
/* Index in the table, or SIZE_MAX. The lock is held. */
size_t td_log_segment_find(const struct td_log *log, uint32_t number);
/* The file of a segment, opened again if need be, not closed until unpin. TD_EUNKNOWN, TD_EIO. */
TD_MUST_USE enum td_err td_log_segment_pin(struct td_log *log, uint32_t number, int *ret_file,
                                           uint32_t *ret_bytes);
void td_log_segment_unpin(struct td_log *log, uint32_t number);
/* A current segment with room: the one in use or a new one, header and name durable. */
TD_MUST_USE enum td_err td_log_segment_ready(struct td_log *log);
/* Appends the image and flushes. On failure the segment is closed for ever. */
TD_MUST_USE enum td_err td_log_segment_append(struct td_log *log);
/* No more appends; gives reserved room back. */
void td_log_segment_seal(struct td_log *log);
void td_log_segments_close(struct td_log *log);

/* Bytes that tickets of this type may fill: compaction needs room of its own, for what it writes
 * and for the claim that it waits for. */
uint64_t td_log_room_end(const struct td_log *log, bool claim);

/* compact.c */
struct td_compaction *td_compaction_alloc(void); /* NULL = no memory */
void td_compaction_free(struct td_log *log);
/* A bounded piece of work, if there is one. busy: a group was written just now. The log's thread.
 */
void td_compaction_work(struct td_log *log, bool busy);
bool td_compaction_due(const struct td_log *log); /* the lock is held */

/* group.c */
/* Adds the entry's record to the image. False: no room left in this group. */
bool td_log_group_add(struct td_log *log, struct td_log_entry *entry);
/* The mark of an orderly end. */
void td_log_group_seal_record(struct td_log *log);

/* recover.c: fills the segment table and next_number, previous, previous_end. */
TD_MUST_USE enum td_err td_log_recover(struct td_log *log, const struct td_log_replay *replay,
                                       struct td_log_recovery *ret_recovery, char *ret_why,
                                       size_t why_bytes);

static inline uint64_t td_log_position(uint32_t segment, uint32_t offset)
{
    return (uint64_t)segment << 32 | offset;
}

#endif
