/* log.h -- durable home of signed batches and of the records between them: numbered segment files,
 * group commit, recovery. Implementation log_file.c over disk.h.
 *
 * Threads: submit() and read() from any thread; td_log_work() on one thread (the daemon's log thread,
 * or the simulator's loop). done() is called exactly once per ticket, in submit order, on the thread
 * of td_log_work(), also after a failure and on close. */
#ifndef TD_LOG_H
#define TD_LOG_H

#include "node/core/core.h"
#include "node/log/disk.h"
#include "proto/durations.h"

struct td_log;

struct td_log_options {
    uint64_t limit_bytes;    /* of all segments; beyond it TD_EDISKFULL */
    uint32_t segment_bytes;  /* 64 MiB */
    uint32_t queue_max;      /* tickets not yet completed */
    uint16_t key_number;     /* of our signing key, for own batches */
    struct td_cluster_id cluster;
    struct td_region region; /* written into segments; those of another one are refused. 0 = any */
    const struct td_signer *signer; /* signs own batches; borrowed */
};

struct td_log_done {
    struct td_ticket ticket;
    bool durable;
    enum td_err why;         /* when not durable */
    struct td_log_ref ref;
    const struct td_hash *leaves; /* OWN; borrowed for the call */
    uint32_t leaf_count;
    void *handle;            /* RECEIVED: given back, release it */
};
/* One compaction that came to its end. */
struct td_log_compacted {
    uint32_t inputs, output; /* files rewritten, number of the segment that stands for them */
    uint64_t bytes_before, bytes_after;
};
struct td_log_sink {
    void *self;
    void (*done)(void *self, const struct td_log_done *done);
    /* A question for the core (TD_EV_COMPACT), on the thread of td_log_work; the answer comes by
     * td_log_compact, not from inside this call. NULL = this log is never compacted. */
    void (*ask)(void *self, const struct td_compact_ask *ask);
    void (*compacted)(void *self, const struct td_log_compacted *what); /* NULL = nobody cares */
};

/* What recovery found; for the start-up log line. */
struct td_log_recovery {
    uint64_t batches, deltas, records;
    uint64_t segments, bytes;
    uint64_t compacted;        /* segments that stand for others */
    uint64_t torn_bytes;       /* cut off behind the last good record of the newest segment */
    uint64_t damaged_records;  /* checksum wrong in the middle: skipped, named */
    uint64_t missing_segments;
    bool empty;
};

/* Opens or creates the log. Every good record goes to replay() in order: raw batches undecoded (the
 * caller decodes and verifies), a TD_RECORD_HOLE where something is missing. TD_ELOCKED, TD_EIO,
 * TD_ECORRUPT (format number unknown), TD_EFOREIGN (segments of another cluster or region). why: one
 * sentence for people. */
struct td_log_replay {
    void *self;
    void (*batch)(void *self, struct td_log_ref ref, struct td_bytes raw);
    void (*record)(void *self, const struct td_record *record); /* all other types */
};
TD_MUST_USE enum td_err td_log_open(const struct td_disk *disk, const struct td_log_options *options,
                                    const struct td_log_replay *replay, const struct td_log_sink *sink,
                                    struct td_log_recovery *ret_recovery, struct td_log **ret_log,
                                    char *ret_why, size_t why_bytes);
/* Completes everything queued (durable or not), then closes. */
void td_log_close(struct td_log *log);

/* Queues what a TD_FX_STORE says. Deltas of OWN and raw of RECEIVED are borrowed until done();
 * records are copied. False when the queue is full: the caller must complete it as not durable. */
TD_MUST_USE bool td_log_submit(struct td_log *log, const struct td_effect *store);
/* Waits up to wait_ms for work, then encodes, writes and flushes everything queued as one group and
 * calls done() for each. Returns the number of tickets completed. */
size_t td_log_work(struct td_log *log, uint32_t wait_ms);
/* Bytes of a batch, also while its ticket is not completed. TD_EUNKNOWN when it is gone, TD_ECORRUPT
 * when its checksum is wrong. At least ref.bytes of room. */
TD_MUST_USE enum td_err td_log_read(struct td_log *log, struct td_log_ref ref, void *bytes,
                                    size_t size_bytes, size_t *ret_bytes);
/* What a TD_FX_COMPACT says: an answer to sink.ask, or a survey. Copied. Any thread; of MOVED it may
 * come only when nobody is going to read at the old places any more. */
void td_log_compact(struct td_log *log, const struct td_compact_answer *answer);
/* Whether td_log_work has something to do beside tickets: for who drives it without waiting. */
bool td_log_busy(struct td_log *log);
/* A consistent copy of what is durable now: begin() once a file, then its bytes in order; the first
 * refusal ends it. Reads go on beside writes. */
struct td_log_copy {
    void *self;
    enum td_err (*begin)(void *self, const char *name);
    enum td_err (*bytes)(void *self, struct td_bytes bytes);
};
TD_MUST_USE enum td_err td_log_copy(struct td_log *log, const struct td_log_copy *copy);
uint64_t td_log_bytes(const struct td_log *log);
/* Group-commit statistics: flushes, their total time and bytes. */
struct td_log_stats {
    uint64_t flushes, flush_ns_total, flush_ns_max, written_bytes, groups_failed;
    uint64_t compactions, compactions_failed, reclaimed_bytes;
    struct td_durations flush; /* writing and flushing one group */
};
struct td_log_stats td_log_stats(const struct td_log *log);
/* Wakes td_log_work early (shutdown). */
void td_log_wake(struct td_log *log);

#endif
