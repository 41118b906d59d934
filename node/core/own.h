/* own.h -- the queue of own deltas that are not yet durable. Numbers ascend from 1 and name a queued
 * delta until it is durable. Used by publish.c and again.c; implemented by own.c. */
#ifndef TD_CORE_OWN_H
#define TD_CORE_OWN_H

#include "node/core/state.h"

/* Newest queued report on this register, 0 = none. */
uint64_t td_own_find(const struct td_core *core, uint64_t job_hash, struct td_text job,
                     uint16_t attempt);
/* Highest queued attempt of a job, 0 = none. */
uint16_t td_own_highest(const struct td_core *core, uint64_t job_hash, struct td_text job);
const struct td_delta *td_own_delta(const struct td_core *core, uint64_t number);
/* Queues a copy. before: newest queued report on the same register (0 = none); a report of the same
 * client and writer replaces it in place while it is still here. words: what its body will take.
 * node: result to settle when it is durable, TD_NONE = nobody waits. TD_EBUSY when the queue is full. */
TD_MUST_USE enum td_err td_own_add(struct td_core *core, const struct td_delta *delta,
                                   uint64_t before, uint32_t words, bool new_register,
                                   uint32_t node);
/* The node is settled together with this queued report. */
void td_own_join(struct td_core *core, uint64_t number, uint32_t node);
/* What is not a client's own request leaves the other half to them. */
bool td_own_half_full(const struct td_core *core);
bool td_own_check(const struct td_core *core);

#endif
