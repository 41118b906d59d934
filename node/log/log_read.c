/* log_read.c -- batches back from the log: from the segment by position, from memory by ticket
 * while the ticket is on its way. Any thread. */
#include "node/log/log_internal.h"

#include <string.h>

/* The lock is held. Tickets ascend along the queue. */
static const struct td_log_entry *find_pending(const struct td_log *log, uint64_t ticket)
{
    uint32_t low = 0, high = log->queue_count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        uint64_t index = ((uint64_t)log->queue_head + middle) % log->options.queue_max;
        const struct td_log_entry *entry = &log->queue[index];
        if (entry->ticket.v == ticket) {
            return entry;
        }
        if (entry->ticket.v < ticket) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}

/* Copies a pending batch, or finds the position of a completed one. The copy is made under the
 * lock: the bytes are borrowed only until done(). */
static enum td_err read_by_ticket(struct td_log *log, uint64_t ticket, void *bytes,
                                  size_t size_bytes, size_t *ret_bytes, uint64_t *ret_position)
{
    enum td_err err = TD_EUNKNOWN;

    pthread_mutex_lock(&log->lock);
    const struct td_log_entry *entry = find_pending(log, ticket);
    const struct td_log_completed *completed = &log->completed[ticket % TD_LOG_DONE_RING];
    if (entry != NULL) {
        bool received = entry->kind == TD_STORE_RECEIVED;
        const uint8_t *source = received ? entry->raw.bytes : entry->payload;
        size_t count = received ? entry->raw.count : entry->bytes;
        if (entry->kind == TD_STORE_RECORD || source == NULL) {
            err = TD_EUNKNOWN; /* an own batch is nobody's business before it is built */
        } else if (count > size_bytes) {
            err = TD_ETOOBIG;
        } else {
            memcpy(bytes, source, count);
            *ret_bytes = count;
            *ret_position = 0;
            err = TD_OK;
        }
    } else if (ticket != 0 && completed->ticket == ticket) {
        *ret_position = completed->position;
        err = TD_OK;
    }
    pthread_mutex_unlock(&log->lock);
    return err;
}

static enum td_err read_record(struct td_log *log, int file, uint32_t segment, uint32_t offset,
                               uint32_t end, void *bytes, size_t size_bytes, size_t *ret_bytes)
{
    uint8_t header[TD_RECORD_HEADER_BYTES];
    struct td_record_head head;

    if (offset < TD_SEGMENT_HEADER_BYTES || offset > end || end - offset < sizeof header) {
        return TD_EUNKNOWN;
    }
    enum td_err err = log->disk.read_at(log->disk.self, file, offset, header, sizeof header);
    if (err != TD_OK) {
        return err;
    }
    if (!td_record_head_check(segment, offset, header, log->options.signer, &head) ||
        head.type != TD_RECORD_BATCH || td_record_span(head.bytes) > end - offset) {
        return TD_ECORRUPT;
    }
    if (head.bytes > size_bytes) {
        return TD_ETOOBIG;
    }
    err = log->disk.read_at(log->disk.self, file, (uint64_t)offset + sizeof header, bytes,
                            head.bytes);
    if (err == TD_OK && !td_record_body_check(&head, header, bytes, log->options.signer)) {
        err = TD_ECORRUPT;
    }
    if (err == TD_OK) {
        *ret_bytes = head.bytes;
    }
    return err;
}

enum td_err td_log_read(struct td_log *log, struct td_log_ref ref, void *bytes, size_t size_bytes,
                        size_t *ret_bytes)
{
    uint64_t position = ref.position;
    int file;
    uint32_t end;

    if (position == 0) {
        enum td_err err =
            read_by_ticket(log, ref.ticket.v, bytes, size_bytes, ret_bytes, &position);
        if (err != TD_OK || position == 0) {
            return err;
        }
    }
    uint32_t segment = (uint32_t)(position >> 32);
    enum td_err err = td_log_segment_pin(log, segment, &file, &end);
    if (err != TD_OK) {
        return err;
    }
    err = read_record(log, file, segment, (uint32_t)position, end, bytes, size_bytes, ret_bytes);
    td_log_segment_unpin(log, segment);
    return err;
}
