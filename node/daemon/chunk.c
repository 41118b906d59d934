/* chunk.c -- see chunk.h. */
#include "node/daemon/chunk.h"

#include <stdlib.h>
#include <zstd.h>

#include "proto/limits.h"

enum td_err td_chunk_inflate(struct td_bytes packed, uint32_t declared_bytes, uint8_t **ret_bytes)
{
    if (declared_bytes == 0 || declared_bytes > TD_CHUNK_BYTES_MAX ||
        declared_bytes / TD_CHUNK_RATIO_MAX > packed.count) {
        return TD_EFORMAT;
    }
    uint8_t *bytes = malloc(declared_bytes);
    if (bytes == NULL) {
        return TD_ENOMEM;
    }
    size_t got = ZSTD_decompress(bytes, declared_bytes, packed.bytes, packed.count);
    if (ZSTD_isError(got) || got != declared_bytes) {
        free(bytes);
        return TD_EFORMAT;
    }
    *ret_bytes = bytes;
    return TD_OK;
}

static uint32_t read_u32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

enum td_err td_chunk_split(struct td_bytes content, struct td_bytes *ret_parts, size_t parts_max,
                           size_t *ret_count)
{
    size_t at = 0;
    size_t count = 0;
    while (at < content.count) {
        if (content.count - at < 4 || count == parts_max) {
            return TD_EFORMAT;
        }
        uint32_t bytes = read_u32(content.bytes + at);
        at += 4;
        if (bytes == 0 || bytes > TD_BATCH_BYTES_MAX || bytes > content.count - at) {
            return TD_EFORMAT;
        }
        ret_parts[count++] = (struct td_bytes){ content.bytes + at, bytes };
        at += bytes;
    }
    *ret_count = count;
    return TD_OK;
}
