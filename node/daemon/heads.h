/* heads.h -- the newest signed head of each region as bytes, for sending on: one slot a region, a newer
 * one replaces an older. The core decides when; this only holds. Any thread. */
#ifndef TD_DAEMON_HEADS_H
#define TD_DAEMON_HEADS_H

#include <pthread.h>

#include "proto/buffer.h"
#include "proto/head.h"

struct td_head_slots {
    pthread_mutex_t mutex;
    struct {
        struct td_incarnation incarnation;
        uint64_t number;
        uint8_t hash[TD_TICK_HASH_BYTES];
        struct td_buffer bytes;
    } slots[256];
};

void td_head_slots_init(struct td_head_slots *slots);
void td_head_slots_fini(struct td_head_slots *slots);
/* True when exactly this head is already held: a second copy is dropped before verification. */
bool td_head_slots_known(struct td_head_slots *slots, const struct td_head *head);
/* Keeps a verified head when it is newer than the one held. */
void td_head_slots_keep(struct td_head_slots *slots, const struct td_head *head);
/* Appends the bytes of the newest head of region to out; false when none is held. */
TD_MUST_USE bool td_head_slots_copy(struct td_head_slots *slots, struct td_region region,
                                    struct td_buffer *out);

#endif
