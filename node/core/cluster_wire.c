/* cluster_wire.c -- see cluster_wire.h. */
#include "node/core/cluster_wire.h"

#include <stdlib.h>
#include <string.h>

#include "proto/assert.h"

struct pool_chunk {
    struct pool_chunk *next;
    size_t used, size;
    _Alignas(16) uint8_t bytes[];
};

void *pool_take(struct pool *pool, size_t count, size_t size)
{
    size_t need = (count * size + 15) / 16 * 16;
    struct pool_chunk *chunk = pool->chunks;

    if (chunk == NULL || chunk->size - chunk->used < need) {
        size_t room = need > 4096 ? need : 4096;
        chunk = malloc(sizeof *chunk + room);
        TD_ASSERT(chunk != NULL);
        chunk->next = pool->chunks;
        chunk->used = 0;
        chunk->size = room;
        pool->chunks = chunk;
    }
    void *bytes = chunk->bytes + chunk->used;
    chunk->used += need;
    memset(bytes, 0, count * size);
    return bytes;
}

void *pool_copy(struct pool *pool, const void *bytes, size_t count, size_t size)
{
    void *copy = pool_take(pool, count, size);
    if (count * size > 0) {
        memcpy(copy, bytes, count * size);
    }
    return copy;
}

void pool_free(struct pool *pool)
{
    while (pool->chunks != NULL) {
        struct pool_chunk *next = pool->chunks->next;
        free(pool->chunks);
        pool->chunks = next;
    }
}

uint64_t hash_bytes(uint64_t seed, const void *bytes, size_t count)
{
    uint64_t hash = seed ^ UINT64_C(14695981039346656037);
    for (size_t i = 0; i < count; i++) {
        hash = (hash ^ ((const uint8_t *)bytes)[i]) * UINT64_C(1099511628211);
    }
    hash ^= hash >> 32;
    return hash * UINT64_C(0x9e3779b97f4a7c15);
}

static struct td_text copy_text(struct pool *pool, struct td_text text)
{
    struct td_text copy = {pool_copy(pool, text.bytes, text.count, 1), text.count};
    return copy;
}

struct td_vv copy_vv(struct pool *pool, const struct td_vv *vv)
{
    struct td_vv copy = *vv;
    copy.entries = pool_copy(pool, vv->entries, vv->entry_count, sizeof *vv->entries);
    copy.folds = pool_copy(pool, vv->folds, vv->fold_count, sizeof *vv->folds);
    return copy;
}

struct td_head *copy_head(struct pool *pool, const struct td_head *head)
{
    struct td_head *copy = pool_copy(pool, head, 1, sizeof *head);
    copy->has = copy_vv(pool, &head->has);
    copy->echo = pool_copy(pool, head->echo, head->echo_count, sizeof *head->echo);
    copy->closings = pool_copy(pool, head->closings, head->closing_count, sizeof *head->closings);
    copy->counted = pool_copy(pool, head->counted, head->counted_count, sizeof *head->counted);
    copy->detours = pool_copy(pool, head->detours, head->detour_count, sizeof *head->detours);
    copy->software = copy_text(pool, head->software);
    return copy;
}

void copy_msg(struct pool *pool, const struct td_msg *msg, struct td_msg *ret_msg)
{
    *ret_msg = *msg;
    switch (msg->type) {
    case TD_MSG_WANT_LIVE:
        ret_msg->u.want_live.from = copy_vv(pool, &msg->u.want_live.from);
        break;
    case TD_MSG_WANT_ALL:
        ret_msg->u.want_all.has = copy_vv(pool, &msg->u.want_all.has);
        break;
    case TD_MSG_HAS:
    case TD_MSG_DIGEST_ASK:
        ret_msg->u.has = copy_vv(pool, &msg->u.has);
        break;
    case TD_MSG_TRANSFER_END:
        ret_msg->u.end.claim = copy_vv(pool, &msg->u.end.claim);
        break;
    case TD_MSG_DIGEST:
        ret_msg->u.digest.has = copy_vv(pool, &msg->u.digest.has);
        ret_msg->u.digest.buckets =
            pool_copy(pool, msg->u.digest.buckets, TD_DIGEST_BUCKETS, sizeof(struct td_hash));
        break;
    case TD_MSG_BUCKET:
        ret_msg->u.bucket.entries = pool_copy(pool, msg->u.bucket.entries, msg->u.bucket.count,
                                              sizeof *msg->u.bucket.entries);
        break;
    case TD_MSG_FETCH:
        ret_msg->u.fetch.dots =
            pool_copy(pool, msg->u.fetch.dots, msg->u.fetch.count, sizeof *msg->u.fetch.dots);
        break;
    case TD_MSG_PROOF:
        ret_msg->u.proof.a.bytes = pool_copy(pool, msg->u.proof.a.bytes, msg->u.proof.a.count, 1);
        ret_msg->u.proof.b.bytes = pool_copy(pool, msg->u.proof.b.bytes, msg->u.proof.b.count, 1);
        break;
    default:
        break;
    }
}

void copy_delta(struct pool *pool, const struct td_delta *delta, struct td_delta *ret_delta)
{
    struct td_label *labels =
        pool_copy(pool, delta->status.labels, delta->status.label_count, sizeof *labels);
    for (uint32_t i = 0; i < delta->status.label_count; i++) {
        labels[i].key = copy_text(pool, labels[i].key);
        labels[i].value = copy_text(pool, labels[i].value);
    }
    *ret_delta = *delta;
    ret_delta->job = copy_text(pool, delta->job);
    ret_delta->status.labels = labels;
    ret_delta->status.detail = copy_text(pool, delta->status.detail);
    ret_delta->status.parent = copy_text(pool, delta->status.parent);
    ret_delta->status.writer = copy_text(pool, delta->status.writer);
    ret_delta->clock = pool_copy(pool, delta->clock, delta->clock_count, sizeof *delta->clock);
    ret_delta->raw =
        (struct td_bytes){pool_take(pool, 1, 100 + delta->job.count), 100 + delta->job.count};
}

/* What a delta says, its own place included: equal bytes at another dot are another leaf. */
static struct td_hash leaf_of(const struct td_delta *delta, struct td_origin origin, uint64_t seq)
{
    uint64_t hash = hash_bytes(seq, delta->job.bytes, delta->job.count);
    struct td_hash leaf;

    hash = hash_bytes(hash, &origin.incarnation, sizeof origin.incarnation);
    hash = hash_bytes(hash + origin.region.v, &delta->attempt, sizeof delta->attempt);
    hash =
        hash_bytes(hash + (uint64_t)delta->status.state, &delta->stamp.ms, sizeof delta->stamp.ms);
    hash = hash_bytes(hash, &delta->stamp.counter, sizeof delta->stamp.counter);
    for (unsigned i = 0; i < 4; i++) {
        hash = hash_bytes(hash, &i, sizeof i);
        memcpy(leaf.bytes + 8 * i, &hash, 8);
    }
    return leaf;
}

struct td_batch *build_batch(struct pool *pool, struct td_cluster_id cluster,
                             const struct td_effect *store)
{
    struct td_batch *batch = pool_take(pool, 1, sizeof *batch);
    uint32_t count = store->u.store.delta_count;
    struct td_delta *deltas = pool_take(pool, count, sizeof *deltas);
    size_t bytes = 200;

    for (uint32_t i = 0; i < count; i++) {
        copy_delta(pool, &store->u.store.deltas[i], &deltas[i]);
        deltas[i].index = i;
        deltas[i].leaf = leaf_of(&deltas[i], store->u.store.origin, store->u.store.first_seq + i);
        bytes += deltas[i].raw.count;
        batch->header.stamp = deltas[i].stamp;
    }
    batch->header.cluster = cluster;
    batch->header.origin = store->u.store.origin;
    batch->header.first_seq = store->u.store.first_seq;
    batch->header.count = count;
    batch->header.root = count > 0 ? deltas[0].leaf : (struct td_hash){{0}};
    batch->whole = true;
    batch->present_count = count;
    batch->deltas = deltas;
    batch->raw = (struct td_bytes){pool_take(pool, bytes, 1), bytes};
    return batch;
}

static struct td_batch *copy_some(struct pool *pool, const struct td_batch *batch, const bool *keep,
                                  uint32_t keep_count)
{
    struct td_batch *copy = pool_copy(pool, batch, 1, sizeof *batch);
    struct td_delta *deltas = pool_take(pool, keep_count, sizeof *deltas);
    size_t bytes = 200;
    uint32_t count = 0;

    for (uint32_t i = 0; i < batch->present_count; i++) {
        if (keep[i]) {
            copy_delta(pool, &batch->deltas[i], &deltas[count]);
            bytes += deltas[count++].raw.count;
        }
    }
    copy->deltas = deltas;
    copy->present_count = count;
    copy->whole = count == batch->header.count;
    copy->raw = (struct td_bytes){pool_take(pool, bytes, 1), bytes};
    return copy;
}

struct td_batch *copy_batch(struct pool *pool, const struct td_batch *batch)
{
    bool keep[TD_BATCH_DELTAS_MAX];
    memset(keep, true, sizeof keep);
    return copy_some(pool, batch, keep, batch->present_count);
}

static bool is_job(const struct td_delta *delta, const char *job)
{
    return job != NULL && delta->job.count == strlen(job) &&
           memcmp(delta->job.bytes, job, delta->job.count) == 0;
}

struct td_batch *thin_batch(struct pool *pool, const struct td_batch *batch,
                            const struct td_out_part *part, const char *omit)
{
    bool keep[TD_BATCH_DELTAS_MAX] = {false};
    uint32_t count = 0, found = 0;

    for (uint32_t i = 0; i < batch->present_count; i++) {
        const struct td_delta *delta = &batch->deltas[i];
        bool wanted = part->keep == NULL;
        for (uint32_t k = 0; !wanted && k < part->keep_count; k++) {
            wanted = part->keep[k] == delta->index;
        }
        found += wanted;
        keep[i] = wanted && !is_job(delta, omit);
        count += keep[i];
    }
    TD_ASSERT(part->keep == NULL ||
              found == part->keep_count); /* the core asks only for what lies there */
    return copy_some(pool, batch, keep, count);
}
