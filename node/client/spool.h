/* spool.h -- the file that keeps reports while no node can be reached. Records are publish requests
 * as encoded by client_msg.h, appended, synced, replayed in order, and dropped when acknowledged.
 *
 * File: two header slots of 64 bytes, then records.
 *   slot:   "TDSPOOL1" | u64 head offset | u64 generation | checksum(16) | zeros   (big endian)
 *   record: u32 length | checksum(16) of length and payload | payload
 * The slot with the higher valid generation counts. Torn or damaged bytes at the end are cut off at
 * opening; what is cut is kept beside the file as NAME.damaged. One process at a time (flock).
 * Not thread-safe. */
#ifndef TD_CLIENT_SPOOL_H
#define TD_CLIENT_SPOOL_H

#include "proto/err.h"
#include "proto/types.h"

struct td_spool;

TD_MUST_USE enum td_err td_spool_open(const char *path, uint64_t bytes_max,
                                      struct td_spool **ret_spool, char *ret_why, size_t why_bytes);
void td_spool_close(struct td_spool *spool); /* NULL is fine */
/* Appends one record; durable only after td_spool_sync. TD_EBUSY when it would exceed bytes_max. */
TD_MUST_USE enum td_err td_spool_append(struct td_spool *spool, struct td_bytes payload);
/* On failure everything since the last sync is taken back. */
TD_MUST_USE enum td_err td_spool_sync(struct td_spool *spool);
/* The record at *cursor (0 = the oldest), moved behind it. TD_EUNKNOWN at the end. The payload is
 * malloc'ed. TD_ECORRUPT: the file changed under us. */
TD_MUST_USE enum td_err td_spool_read(struct td_spool *spool, uint64_t *cursor,
                                      uint8_t **ret_take_payload, size_t *ret_bytes);
/* Everything before cursor (as given by td_spool_read) is acknowledged. Empties the file at the
 * end. */
TD_MUST_USE enum td_err td_spool_release(struct td_spool *spool, uint64_t cursor);
bool td_spool_empty(const struct td_spool *spool);
uint64_t td_spool_bytes(const struct td_spool *spool); /* not yet acknowledged */

#endif
