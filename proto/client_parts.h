/* client_parts.h -- what client_response.c and client_status.c share of the form of answers. */
#ifndef TD_PROTO_CLIENT_PARTS_H
#define TD_PROTO_CLIENT_PARTS_H

#include "proto/client_msg.h"
#include "proto/reader.h"
#include "proto/writer.h"

/* [] = not known, [value] = known. */
void td_part_write_optional(struct td_writer *writer, bool known, uint64_t value);
bool td_part_read_optional(struct td_reader *reader, uint64_t max, uint64_t *ret_value);
/* [] or [sign 0/1, magnitude]: integers on the wire are never negative. */
void td_part_write_signed(struct td_writer *writer, bool known, int64_t value);
bool td_part_read_signed(struct td_reader *reader, int64_t *ret_value);
/* A name or word: within bytes_max and without control characters. */
struct td_text td_part_read_word(struct td_reader *reader, uint32_t bytes_max);
void td_part_write_fresh(struct td_writer *writer, const struct td_fresh_view *views,
                         uint32_t count);
const struct td_fresh_view *td_part_read_fresh(struct td_reader *reader, struct td_arena *arena,
                                               uint32_t *ret_count);
void td_part_write_status(struct td_writer *writer, const struct td_response *response);
void td_part_read_status(struct td_reader *reader, struct td_arena *arena,
                         struct td_response *response);

#endif
