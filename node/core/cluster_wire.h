/* cluster_wire.h -- deep copies of what crosses a link or lies in a log, for the cluster harness:
 * effects and events borrow, the simulated world must own. Everything is released by one call. */
#ifndef TD_CORE_CLUSTER_WIRE_H
#define TD_CORE_CLUSTER_WIRE_H

#include "node/core/core.h"

/* Memory given back all at once. */
struct pool {
    struct pool_chunk *chunks;
};
void *pool_take(struct pool *pool, size_t count, size_t size);
void *pool_copy(struct pool *pool, const void *bytes, size_t count, size_t size);
void pool_free(struct pool *pool);

struct td_vv copy_vv(struct pool *pool, const struct td_vv *vv);
struct td_head *copy_head(struct pool *pool, const struct td_head *head);
void copy_msg(struct pool *pool, const struct td_msg *msg, struct td_msg *ret_msg);
void copy_delta(struct pool *pool, const struct td_delta *delta, struct td_delta *ret_delta);
/* Made by "the log" of an origin: leaves are hashes of what each delta says. */
struct td_batch *build_batch(struct pool *pool, struct td_cluster_id cluster,
                             const struct td_effect *store);
struct td_batch *copy_batch(struct pool *pool, const struct td_batch *batch);
/* Only the deltas with these indexes; omit = job left out, NULL = none. */
struct td_batch *thin_batch(struct pool *pool, const struct td_batch *batch,
                            const struct td_out_part *part, const char *omit);
uint64_t hash_bytes(uint64_t seed, const void *bytes, size_t count);

#endif
