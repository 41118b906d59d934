/* group.c -- builds the bytes of one group commit: every queued record in order, own deltas
 * encoded, hashed, put into a batch and signed on the way. */
#include "node/log/log_internal.h"

#include <string.h>

#include "proto/assert.h"

static struct td_stamp stamp_later(struct td_stamp a, struct td_stamp b)
{
    bool b_later = b.ms > a.ms || (b.ms == a.ms && b.counter > a.counter);
    return b_later ? b : a;
}

/* Encodes and hashes the deltas into scratch and leaves. False when they exceed a batch. */
static bool encode_deltas(struct td_log *log, const struct td_log_entry *entry,
                          struct td_stamp *ret_stamp)
{
    const struct td_signer *signer = log->options.signer;
    struct td_hash *leaves = log->leaves + log->leaf_count;
    struct td_stamp stamp = {0, 0};
    size_t used = 0;

    for (uint32_t i = 0; i < entry->delta_count; i++) {
        if (used > TD_BATCH_BYTES_MAX) {
            return false;
        }
        uint8_t *bytes = log->encoded + used;
        size_t count = td_delta_encode(&entry->deltas[i], bytes, TD_DELTA_BYTES_MAX);
        if (count == 0) {
            return false;
        }
        struct td_bytes raw = {bytes, count};
        signer->hash(signer->self, 0x00, raw, (struct td_bytes){NULL, 0}, &leaves[i]);
        log->scratch[i].raw = raw;
        log->scratch[i].leaf = leaves[i];
        log->scratch[i].index = i;
        stamp = stamp_later(stamp, entry->deltas[i].stamp);
        used += count;
    }
    *ret_stamp = stamp;
    return true;
}

static size_t build_batch(struct td_log *log, const struct td_log_entry *entry, uint8_t *bytes)
{
    struct td_signature signature;
    struct td_batch_header header = {
        .cluster = log->options.cluster,
        .origin = entry->origin,
        .key_number = log->options.key_number,
        .first_seq = entry->first_seq,
        .count = entry->delta_count,
    };
    if (entry->delta_count == 0 || entry->delta_count > TD_BATCH_DELTAS_MAX ||
        !encode_deltas(log, entry, &header.stamp)) {
        return 0;
    }
    return td_batch_build(&header, log->scratch, log->options.signer, bytes, TD_BATCH_BYTES_MAX,
                          &signature);
}

static uint32_t room_wanted(const struct td_log_entry *entry)
{
    return entry->kind == TD_STORE_OWN ? TD_RECORD_SPAN_MAX
                                       : td_record_span((uint32_t)entry->raw.count);
}

static void add_record(struct td_log *log, uint8_t type, uint32_t offset, uint32_t payload_bytes)
{
    struct td_record_head head = {
        .segment = log->current,
        .offset = offset,
        .bytes = payload_bytes,
        .type = type,
        .flags = log->image_bytes == 0 ? TD_RECORD_GROUP : 0,
    };
    td_record_finish(&head, log->options.signer, log->image + log->image_bytes);
    log->image_bytes += td_record_span(payload_bytes);
}

uint64_t td_log_room_end(const struct td_log *log, bool claim)
{
    const struct td_log_options *options = &log->options;
    uint64_t eighth = options->limit_bytes / 8;
    uint64_t output = (uint64_t)options->segment_bytes / 4 * 5;
    uint64_t reserve = output < eighth ? output : eighth;

    return options->limit_bytes - (log->compaction != NULL && !claim ? reserve : 0);
}

/* At the limit what compaction needs to get below it still goes in; everything else is refused one
 * by one. Without compaction the whole group is refused, in td_log_segment_append. */
static bool no_room(const struct td_log *log, const struct td_log_entry *entry, size_t bytes)
{
    bool claim = entry->type == TD_RECORD_HAS || entry->type == TD_RECORD_HOLES;

    return log->compaction != NULL &&
           log->total_bytes + log->image_bytes + td_record_span((uint32_t)bytes) >
               td_log_room_end(log, claim);
}

bool td_log_group_add(struct td_log *log, struct td_log_entry *entry)
{
    bool own = entry->kind == TD_STORE_OWN;

    if (!own && entry->raw.count > TD_RECORD_PAYLOAD_MAX) {
        entry->why = TD_ETOOBIG;
        return true;
    }
    if (log->image_bytes + room_wanted(entry) > TD_LOG_GROUP_BYTES ||
        (own && log->leaf_count + TD_BATCH_DELTAS_MAX > TD_LOG_GROUP_LEAVES) ||
        (log->compaction != NULL &&
         log->image_bytes > 0 && /* a segment is what one output has to hold */
         log->current_end + log->image_bytes >= log->options.segment_bytes)) {
        return false;
    }
    uint8_t *payload = log->image + log->image_bytes + TD_RECORD_HEADER_BYTES;
    size_t bytes = entry->raw.count;
    if (own) {
        bytes = build_batch(log, entry, payload);
        if (bytes == 0) {
            entry->why = TD_ETOOBIG;
            return true;
        }
    }
    if (no_room(log, entry, bytes)) {
        entry->why = TD_EDISKFULL;
        return true;
    }
    if (own) {
        entry->leaf_start = log->leaf_count;
        log->leaf_count += entry->delta_count;
    } else if (bytes > 0) {
        memcpy(payload, entry->raw.bytes, bytes);
    }
    uint32_t offset = log->current_end + log->image_bytes;
    add_record(log, entry->type, offset, (uint32_t)bytes);

    pthread_mutex_lock(&log->lock);
    entry->offset = offset;
    entry->bytes = (uint32_t)bytes;
    entry->payload = payload;
    pthread_mutex_unlock(&log->lock);
    return true;
}

void td_log_group_seal_record(struct td_log *log)
{
    add_record(log, TD_RECORD_SEAL, log->current_end, 0);
}
