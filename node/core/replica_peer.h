/* replica_peer.h -- the other regions around a replica under test: their links, frames and heads.
 */
#ifndef TD_CORE_REPLICA_PEER_H
#define TD_CORE_REPLICA_PEER_H

#include "node/core/replica_harness.h"

/* A link of this region's process {1, region} comes up under this number. */
void replica_link_up(struct replica *replica, uint32_t link, uint8_t region);
void replica_frame(struct replica *replica, uint32_t link, const struct td_msg *msg);
/* LIVE, FETCHED or TRANSFER_CHUNK with one batch. */
void replica_frame_batch(struct replica *replica, uint32_t link, const struct td_msg *msg,
                         const struct td_batch *batch);
/* Fills what every head has; number and region make its hash. */
void replica_head(struct replica *replica, uint32_t link, struct td_head head);
/* A whole batch of this region's process with so many reports on jobs of their own. */
const struct td_batch *replica_peer_batch(struct replica *replica, uint8_t region,
                                          uint64_t first_seq, uint32_t count);
struct td_origin replica_peer_origin(uint8_t region);
/* The next version of the roster takes effect. */
void replica_roster(struct replica *replica);
uint64_t replica_counter(const struct replica *replica, enum td_counter_id id);

#endif
