/* counters.h -- what the replica counts, by name. The metric, the query and the alert read these. */
#ifndef TD_CORE_COUNTERS_H
#define TD_CORE_COUNTERS_H

#define TD_COUNTER_LIST(X)                                                                         \
    X(published)           /* own deltas made durable */                                           \
    X(published_noop)      /* reports equal to the current status from the same writer */          \
    X(applied)             /* others' deltas that won */                                           \
    X(superseded)          /* losers the winner had seen */                                        \
    X(duplicate)           /* deltas already held */                                               \
    X(conflicts_finality)                                                                          \
    X(conflicts_stamp)                                                                             \
    X(conflicts_origin)                                                                            \
    X(conflicts_hash)                                                                              \
    X(refused_rank)                                                                                \
    X(refused_final)                                                                               \
    X(refused_partial)                                                                             \
    X(refused_attempt)                                                                             \
    X(refused_quota)                                                                               \
    X(refused_busy)                                                                                \
    X(refused_disk)                                                                                \
    X(refused_other)                                                                               \
    X(rejected_signature)                                                                          \
    X(rejected_closed)                                                                             \
    X(rejected_bounds)     /* tables full, claims beyond what was signed */                        \
    X(stamp_ahead)         /* merged deltas whose stamp is ahead of local time */                  \
    X(heads_received)                                                                              \
    X(heads_duplicate)                                                                             \
    X(source_changes)                                                                              \
    X(source_trials)       /* times a region's deltas were asked of a second peer as well */       \
    X(not_whole)                                                                                   \
    X(transfers_started)                                                                           \
    X(transfers_done)                                                                              \
    X(transfers_given_up)                                                                          \
    X(transfer_batches_sent)                                                                       \
    X(transfer_batches_received)                                                                   \
    X(repaired)                                                                                    \
    X(digest_match)                                                                                \
    X(digest_differ)                                                                               \
    X(updates_lost)                                                                                \
    X(incarnations)                                                                                \
    X(equivocations)                                                                               \
    X(stores_failed)                                                                               \
    X(credit_exceeded)                                                                             \
    X(live_batches_sent)                                                                           \
    X(live_batches_received)                                                                       \
    X(requests_timed_out)                                                                          \
    X(watch_resets)

enum td_counter_id {
#define TD_COUNTER_ENUM(name) TD_COUNTER_##name,
    TD_COUNTER_LIST(TD_COUNTER_ENUM)
#undef TD_COUNTER_ENUM
        TD_COUNTER_COUNT
};

#endif
