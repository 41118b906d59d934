/* signed.h -- the envelope of heads, rosters and cards: msgpack [inner bin, signature bin(64)], the
 * signature over exactly the inner bytes. Opened without a reader, so a signature can be checked
 * before anything inside is looked at. */
#ifndef TD_PROTO_SIGNED_H
#define TD_PROTO_SIGNED_H

#include <string.h>

#include "proto/sign.h"
#include "proto/writer.h"

enum {
    TD_SIGNED_TAIL_BYTES = 2 + sizeof(struct td_signature), /* 0xc4 0x40, signature */
    TD_SIGNED_INNER_AT = 6, /* where a writer puts the inner bytes before their length is known */
};

/* The length behind the shortest bin header at `at`, which has to fill `left` bytes exactly; 0 when
 * it does not. Sets how long the header is. */
static inline size_t td_signed_inner(const uint8_t *at, size_t left, size_t *ret_header_bytes)
{
    size_t width = left > 0 && at[0] >= 0xc4 && at[0] <= 0xc6 ? (size_t)1 << (at[0] - 0xc4) : 0;
    size_t length = 0;
    if (width == 0 || left < 1 + width) {
        return 0;
    }
    for (size_t i = 0; i < width; i++) {
        length = length << 8 | at[1 + i];
    }
    bool shortest = width == 1 || length >> (8 * width / 2) != 0;
    *ret_header_bytes = 1 + width;
    return shortest && length == left - 1 - width ? length : 0;
}

/* False when the bytes are not this envelope in its one form. Slices point into raw. */
TD_MUST_USE static inline bool td_signed_open(struct td_bytes raw, struct td_bytes *ret_inner,
                                              struct td_signature *ret_signature)
{
    if (raw.count < 1 + TD_SIGNED_TAIL_BYTES || raw.bytes[0] != 0x92) {
        return false;
    }
    const uint8_t *tail = raw.bytes + raw.count - TD_SIGNED_TAIL_BYTES;
    size_t header_bytes = 0;
    size_t inner_bytes =
        td_signed_inner(raw.bytes + 1, raw.count - 1 - TD_SIGNED_TAIL_BYTES, &header_bytes);
    if (inner_bytes == 0 || tail[0] != 0xc4 || tail[1] != sizeof ret_signature->bytes) {
        return false;
    }
    *ret_inner = (struct td_bytes){raw.bytes + 1 + header_bytes, inner_bytes};
    memcpy(ret_signature->bytes, tail + 2, sizeof ret_signature->bytes);
    return true;
}

/* Signs the inner bytes that lie at bytes + TD_SIGNED_INNER_AT and puts the envelope around them.
 * Returns bytes written, 0 when they do not fit. */
TD_MUST_USE static inline size_t td_signed_close(uint8_t *bytes, size_t size_bytes,
                                                 size_t inner_bytes, const struct td_signer *signer,
                                                 const char *context)
{
    struct td_signature signature;
    size_t header_bytes = inner_bytes < 0x100 ? 2 : inner_bytes < 0x10000 ? 3 : 5;
    size_t around_bytes = 1 + header_bytes + TD_SIGNED_TAIL_BYTES;
    if (inner_bytes == 0 || size_bytes < around_bytes || inner_bytes > size_bytes - around_bytes) {
        return 0;
    }
    uint8_t *inner = bytes + 1 + header_bytes;
    memmove(inner, bytes + TD_SIGNED_INNER_AT, inner_bytes);
    signer->sign(signer->self, context, (struct td_bytes){inner, inner_bytes}, &signature);

    bytes[0] = 0x92;
    bytes[1] = header_bytes == 2 ? 0xc4 : header_bytes == 3 ? 0xc5 : 0xc6;
    for (size_t i = 1; i < header_bytes; i++) {
        bytes[1 + i] = (uint8_t)(inner_bytes >> (8 * (header_bytes - 1 - i)));
    }
    uint8_t *tail = inner + inner_bytes;
    tail[0] = 0xc4;
    tail[1] = sizeof signature.bytes;
    memcpy(tail + 2, signature.bytes, sizeof signature.bytes);
    return (size_t)(tail - bytes) + TD_SIGNED_TAIL_BYTES;
}

#endif
