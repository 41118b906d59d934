/* buffer.c -- growable bytes with a ceiling: the only heap growth of links and log. */
#include "proto/buffer.h"

#include <stdlib.h>
#include <string.h>

#include "proto/assert.h"

enum { BUFFER_BYTES_FIRST = 256 };

void td_buffer_init(struct td_buffer *buffer, size_t size_max)
{
    *buffer = (struct td_buffer){.size_max = size_max};
}

void td_buffer_fini(struct td_buffer *buffer)
{
    free(buffer->bytes);
    buffer->bytes = NULL;
    buffer->used_bytes = 0;
    buffer->size_bytes = 0;
}

/* Doubles, so that appends cost O(1) on average, but never past size_max. */
static size_t grown_size(const struct td_buffer *buffer, size_t want)
{
    size_t size = buffer->size_bytes < BUFFER_BYTES_FIRST ? BUFFER_BYTES_FIRST : buffer->size_bytes;

    while (size < want) {
        size = size > buffer->size_max / 2 ? buffer->size_max : size * 2;
    }
    return size < buffer->size_max ? size : buffer->size_max;
}

uint8_t *td_buffer_reserve(struct td_buffer *buffer, size_t more)
{
    TD_ASSERT(buffer->used_bytes <= buffer->size_bytes);
    if (buffer->used_bytes > buffer->size_max || more > buffer->size_max - buffer->used_bytes) {
        return NULL;
    }
    size_t want = buffer->used_bytes + more;
    if (want > buffer->size_bytes || buffer->bytes == NULL) {
        size_t size = grown_size(buffer, want);
        uint8_t *bytes = realloc(buffer->bytes, size == 0 ? 1 : size);
        if (bytes == NULL) {
            return NULL;
        }
        buffer->bytes = bytes;
        buffer->size_bytes = size;
    }
    return buffer->bytes + buffer->used_bytes;
}

bool td_buffer_append(struct td_buffer *buffer, struct td_bytes bytes)
{
    uint8_t *target = td_buffer_reserve(buffer, bytes.count);

    if (target == NULL) {
        return false;
    }
    if (bytes.count > 0) {
        memcpy(target, bytes.bytes, bytes.count);
        buffer->used_bytes += bytes.count;
    }
    return true;
}

void td_buffer_consume(struct td_buffer *buffer, size_t count)
{
    TD_ASSERT(count <= buffer->used_bytes);
    buffer->used_bytes -= count;
    if (buffer->used_bytes > 0 && count > 0) {
        memmove(buffer->bytes, buffer->bytes + count, buffer->used_bytes);
    }
}
