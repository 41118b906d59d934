/* message.h -- one frame from a link on its way to the core: the received bytes, what was decoded from
 * them, and the inbox item, in one reference-counted block. The core borrows it for a step; the log
 * keeps it while batches inside wait for the disk. */
#ifndef TD_DAEMON_MESSAGE_H
#define TD_DAEMON_MESSAGE_H

#include "node/loop/inbox.h"
#include "node/net/net.h"

enum { TD_REJECTED_MAX = 64 }; /* reports of one frame that are remembered as refused */

struct td_message {
    struct td_inbox_item item; /* first: the inbox hands it back */
    int references;            /* atomic */
    uint8_t *payload;          /* owned, as received */
    size_t payload_bytes;      /* requests */
    uint8_t *inflated;         /* owned, content of a compressed chunk, or NULL */
    struct td_arena arena;     /* owned block behind everything decoded */
    struct td_msg msg;
    struct td_batch *batches;  /* in the arena */
    struct td_received_batch *received;
    struct td_request request;
    struct td_record record;   /* recovery only */
    uint32_t forged_count;     /* of the batches that were left out */
    enum td_err rejected_why;  /* of the last one left out */
    enum td_err *refused;      /* owned, per update of a publish, or NULL */
    /* For what is refused: who sent it. */
    const struct td_link_info *sender; /* only while it is decoded */
    char from[TD_FROM_BYTES_MAX + 1];
    struct td_refused *rejected; /* in the arena: of batches left out, TD_REJECTED_MAX; NULL = none */
};

/* Takes payload. NULL (payload freed) when out of memory. arena_bytes: room for the decoded form. */
struct td_message *td_message_make(uint8_t *take_payload, size_t arena_bytes);
/* A larger, empty arena for another try; false when out of memory. */
TD_MUST_USE bool td_message_regrow(struct td_message *message, size_t arena_bytes);
void td_message_get(struct td_message *message);
void td_message_put(struct td_message *message);

#endif
