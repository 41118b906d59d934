/* writer.h -- msgpack writer (over msgpack-c's packer) into a caller's buffer. Overflow latches and
 * td_writer_done returns 0; nothing is ever written past the end. No heap. */
#ifndef TD_PROTO_WRITER_H
#define TD_PROTO_WRITER_H

#include "proto/types.h"

struct td_writer {
    uint8_t *bytes;
    size_t size_bytes;
    size_t used_bytes;
    bool overflow;
};

void td_writer_init(struct td_writer *writer, void *bytes, size_t size_bytes);
void td_writer_array(struct td_writer *writer, uint32_t count);
void td_writer_uint(struct td_writer *writer, uint64_t value);
void td_writer_text(struct td_writer *writer, struct td_text text);
void td_writer_bin(struct td_writer *writer, struct td_bytes bytes);
/* Bytes already in msgpack form, verbatim. */
void td_writer_raw(struct td_writer *writer, struct td_bytes bytes);
/* Bytes used, or 0 after an overflow. */
TD_MUST_USE size_t td_writer_done(const struct td_writer *writer);

#endif
