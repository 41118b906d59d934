/* seen.h -- what this handle knows of the registers it publishes to: the newest report whose answer
 * it had (so that a later publish beats it through any node) and the full status (so that a partial
 * report can be sent again as a full one). Bounded: beyond the limit the least recently used final
 * register goes first, then the least recently used one. Not thread-safe: the handle's lock covers
 * it. */
#ifndef TD_CLIENT_SEEN_H
#define TD_CLIENT_SEEN_H

#include "proto/client_msg.h"

/* A text that keeps its memory when it changes. */
struct td_kept_text {
    char *bytes;
    uint32_t count;
    uint32_t size;
};

struct td_entry {
    /* The register as the caller names it; attempt 0 = "the highest known". */
    struct td_kept_text job;
    uint16_t attempt;
    uint16_t resolved_attempt; /* attempt 0: the one the node answered with; 0 = none yet */
    struct td_seen seen;
    uint32_t users; /* queued updates that point here: never evicted while > 0 */
    uint64_t reports, sent; /* numbers of the newest report queued, and of the newest that left */
    bool live;              /* some report came from the caller, not back from the spool */

    /* Full status, as far as this handle has set it. */
    uint8_t state;
    uint8_t known; /* enum td_field */
    bool progress_known;
    uint16_t progress;
    uint32_t expect_every_s;
    uint8_t label_count;
    struct td_kept_text detail, parent, writer;
    struct td_kept_text label_bytes; /* key, value, key, value ... */
    uint16_t label_counts[2 * TD_LABELS_MAX];

    uint64_t hash;
    struct td_entry *next_in_bucket;
    struct td_entry *newer, *older; /* in its list: open or final */
    bool in_final_list;
};

struct td_entry_list {
    struct td_entry *newest, *oldest;
};
struct td_seen_table {
    uint32_t registers_max;
    uint32_t count;
    uint32_t bucket_mask;
    struct td_entry **buckets;
    struct td_entry_list open, final;
    uint64_t evicted; /* so often something seen was forgotten */
};

TD_MUST_USE enum td_err td_seen_init(struct td_seen_table *table, uint32_t registers_max);
void td_seen_fini(struct td_seen_table *table);
/* Finds or makes the entry and marks it used just now; NULL when out of memory, or when every entry
 * is in use. */
struct td_entry *td_seen_get(struct td_seen_table *table, struct td_text job, uint16_t attempt);
/* Takes the fields that the update sets into the full status. False when out of memory. */
TD_MUST_USE bool td_seen_merge(struct td_entry *entry, const struct td_update *update);
/* An answer came: what the node has now. */
void td_seen_answer(struct td_seen_table *table, struct td_entry *entry,
                    const struct td_result *result);
/* The full status as an update; labels: TD_LABELS_MAX slots. Texts point into the entry. */
void td_seen_full(const struct td_entry *entry, struct td_label *labels,
                  struct td_status *ret_status);
/* The attempt and the token to send with an update of this register. */
uint16_t td_seen_attempt(const struct td_entry *entry, struct td_seen *ret_seen);

#endif
