/* wire.h -- parts that several messages share on the wire: dots, regions, flat lists of numbers.
 * Internal to the encoders and decoders. Readers latch TD_EFORMAT and return zero values. */
#ifndef TD_PROTO_WIRE_H
#define TD_PROTO_WIRE_H

#include "proto/arena.h"
#include "proto/limits.h"
#include "proto/reader.h"
#include "proto/types.h"
#include "proto/writer.h"

void td_wire_write_dot(struct td_writer *writer, struct td_dot dot);
/* Region and seq may be 0: a dot that names nothing yet. */
struct td_dot td_wire_read_dot_or_none(struct td_reader *reader);
/* A dot that names a delta: region and seq are not 0. */
struct td_dot td_wire_read_dot(struct td_reader *reader);
/* 1..255. */
struct td_region td_wire_read_region(struct td_reader *reader);
struct td_incarnation td_wire_read_incarnation(struct td_reader *reader);
bool td_wire_read_flag(struct td_reader *reader);
/* Enters an array of `width` elements an entry, at most entries_max of them, and takes room for the
 * entries; NULL with a latched failure when that is not possible. */
void *td_wire_enter_flat(struct td_reader *reader, struct td_arena *arena, uint32_t width,
                         uint32_t entries_max, size_t entry_bytes, uint32_t *ret_count);

/* Parts of a report: progress [] or [n], labels [k, v, ...], times [state, ms, ...],
 * clock [region, start, random, seq, ...]. The fields' own rules are td_status_check's. */
void td_wire_write_progress(struct td_writer *writer, const struct td_status *status);
void td_wire_write_labels(struct td_writer *writer, const struct td_status *status);
void td_wire_write_times(struct td_writer *writer, const uint64_t *entered_ms);
void td_wire_write_clock(struct td_writer *writer, const struct td_dot *clock, uint32_t count);
/* A number whose being too large has a code of its own. */
uint64_t td_wire_read_number(struct td_reader *reader, uint64_t max, enum td_err err);
void td_wire_read_progress(struct td_reader *reader, struct td_status *status);
void td_wire_read_labels(struct td_reader *reader, struct td_arena *arena,
                         struct td_status *status);
void td_wire_read_times(struct td_reader *reader, struct td_status *status);
/* Ascending by region, one entry a region. */
bool td_wire_clock_valid(const struct td_dot *clock, uint32_t count);
void td_wire_read_clock(struct td_reader *reader, struct td_arena *arena,
                        const struct td_dot **ret_clock, uint32_t *ret_count);

#endif
