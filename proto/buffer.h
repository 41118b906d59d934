/* buffer.h -- a growable heap buffer for adapters (links, log, client library). The core never uses
 * it. Not thread-safe. Growth is bounded by size_max: append fails beyond it and leaves the buffer as
 * it was. */
#ifndef TD_PROTO_BUFFER_H
#define TD_PROTO_BUFFER_H

#include "proto/types.h"

struct td_buffer {
    uint8_t *bytes;
    size_t used_bytes;
    size_t size_bytes;
    size_t size_max;
};

void td_buffer_init(struct td_buffer *buffer, size_t size_max);
void td_buffer_fini(struct td_buffer *buffer); /* also after a failed append; idempotent */
/* Room for `more` bytes behind used_bytes; NULL when over size_max or out of memory. */
TD_MUST_USE uint8_t *td_buffer_reserve(struct td_buffer *buffer, size_t more);
TD_MUST_USE bool td_buffer_append(struct td_buffer *buffer, struct td_bytes bytes);
/* Drops the first count bytes. */
void td_buffer_consume(struct td_buffer *buffer, size_t count);

#endif
