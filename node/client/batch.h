/* batch.h -- updates that leave in one request, with copies of their texts and who waits for each.
 * Memory is kept when a batch is used again: no allocation per update once warm. The handle's lock
 * covers it while it is in the handle's lists; its contents belong to the handle's thread once
 * closed. */
#ifndef TD_CLIENT_BATCH_H
#define TD_CLIENT_BATCH_H

#include "node/client/seen.h"
#include "node/client/tidings.h"

struct td_item {
    tidings_done done; /* may be NULL */
    void *self;
    struct td_entry *entry;
    uint64_t number; /* of this report among those of its entry, 1 .. */
    uint64_t
        full_number; /* of the newest report its full status includes; 0 = as the caller made it */
    uint64_t deadline_ms; /* UINT64_MAX = never (replayed from the spool) */
    uint32_t wire_bytes;  /* counted against the queue's bound */
    bool answered;        /* its owner was told */
    bool settled;         /* and the books know */
};

enum td_batch_state { TD_BATCH_FILLING, TD_BATCH_READY, TD_BATCH_IN_FLIGHT };

struct td_text_block {
    struct td_text_block *next;
    size_t used_bytes, size_bytes;
    char bytes[];
};

struct td_update_batch {
    struct td_update_batch *next;
    enum td_batch_state state;
    uint64_t order;       /* ascending as opened */
    uint32_t count, size; /* updates, room */
    uint32_t left;        /* not answered */
    struct td_update *updates;
    struct td_item *items;
    struct td_text_block *blocks; /* the newest first */
    size_t wire_bytes;            /* upper bound of the encoded updates */
    uint64_t opened_us;
    bool urgent; /* somebody waits for an update in it */
    bool sent_before;
    uint64_t spool_end;    /* replay: cursor behind its record; 0 = not from the spool */
    enum td_err retry_err; /* why it is sent again */

    uint64_t id; /* of the request in flight */
    uint64_t answer_by_ms;
};

struct td_update_batch *td_batch_alloc(void); /* NULL when out of memory */
void td_batch_free(struct td_update_batch *batch);
void td_batch_reset(struct td_update_batch *batch);
/* Copies the update and its texts. False when out of memory: the batch is as before. */
TD_MUST_USE bool td_batch_add(struct td_update_batch *batch, const struct td_update *update,
                              const struct td_item *item);
/* Replaces update i by the newest full status of its entry; a state of higher rank, or another
 * final one, stays its own. */
TD_MUST_USE bool td_batch_make_full(struct td_update_batch *batch, uint32_t i);
/* Drops answered updates, keeps the order. Not while in flight. */
void td_batch_compact(struct td_update_batch *batch);
size_t td_update_wire_bytes(const struct td_update *update);

#endif
