/* reader.h -- bounded msgpack reader over msgpack-c. td_reader_init first pre-scans the whole input
 * without building anything: one array at the top, depth, every count against the remaining bytes,
 * minimal forms, only uint/str/bin/array, UTF-8 in str, nothing behind the end. Only then is it
 * unpacked. The first failure latches: later reads return zero values and td_reader_done reports it.
 * Slices returned point into the input. One reader per thread; reuse it (it keeps its memory). */
#ifndef TD_PROTO_READER_H
#define TD_PROTO_READER_H

#include "proto/err.h"
#include "proto/types.h"

struct td_reader;

/* NULL when out of memory. A reader holds one reusable msgpack zone. */
struct td_reader *td_reader_alloc(void);
void td_reader_free(struct td_reader *reader);

/* Starts reading `bytes` (which must outlive the reads): the top must be an array. TD_EFORMAT with a
 * latched error when the pre-scan refuses. */
enum td_err td_reader_init(struct td_reader *reader, struct td_bytes bytes);

/* Enters the next element, which must be an array; returns its count. min/max are inclusive.
 * For the top array this is the first call. Leave with td_reader_leave, which skips unread elements
 * (unknown trailing fields are allowed). */
uint32_t td_reader_enter(struct td_reader *reader, uint32_t count_min, uint32_t count_max);
void td_reader_leave(struct td_reader *reader);
/* Elements left in the array entered last. */
uint32_t td_reader_left(const struct td_reader *reader);

uint64_t td_reader_uint(struct td_reader *reader, uint64_t max);
struct td_text td_reader_text(struct td_reader *reader, uint32_t bytes_max);
struct td_bytes td_reader_bin(struct td_reader *reader, size_t bytes_max);
/* Exactly count bytes of bin into ret_bytes (zeroed on failure). */
void td_reader_fixed(struct td_reader *reader, uint8_t *ret_bytes, size_t count);
/* Latches err if nothing failed before: for rules a message adds. */
void td_reader_fail(struct td_reader *reader, enum td_err err);
enum td_err td_reader_err(const struct td_reader *reader);
/* TD_OK, or the first failure of any call since init. */
TD_MUST_USE enum td_err td_reader_done(struct td_reader *reader);

/* The pre-scan alone; no memory. */
TD_MUST_USE enum td_err td_prescan(struct td_bytes bytes);
/* Valid UTF-8; control_allowed = false also refuses U+0000..1F, 7F..9F. */
bool td_utf8_valid(struct td_text text, bool control_allowed);

#endif
