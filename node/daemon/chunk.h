/* chunk.h -- the content of a TRANSFER_CHUNK on its way in: inflated within its declared size, then cut
 * into batches. Pure functions over bytes from outside. */
#ifndef TD_DAEMON_CHUNK_H
#define TD_DAEMON_CHUNK_H

#include "proto/frame.h"

enum { TD_CHUNK_BYTES_MAX = 8 * 1024 * 1024, TD_CHUNK_BATCHES_MAX = 4096, TD_CHUNK_RATIO_MAX = 64 };

/* ret_bytes: room made with malloc, the caller frees it. TD_EFORMAT when the declared size is over the
 * limit or the ratio, or not what came out; TD_ENOMEM. */
TD_MUST_USE enum td_err td_chunk_inflate(struct td_bytes packed, uint32_t declared_bytes,
                                         uint8_t **ret_bytes);
/* Content is u32 length + batch, repeated. TD_EFORMAT when that does not come out even, or with more
 * than parts_max. */
TD_MUST_USE enum td_err td_chunk_split(struct td_bytes content, struct td_bytes *ret_parts,
                                       size_t parts_max, size_t *ret_count);

#endif
