/* text.h -- comparing borrowed bytes: bytewise, shorter first, the order every sorted list on the
 * wire uses. Safe for empty slices without memory. */
#ifndef TD_PROTO_TEXT_H
#define TD_PROTO_TEXT_H

#include <string.h>

#include "proto/types.h"

static inline int td_bytes_compare(struct td_bytes a, struct td_bytes b)
{
    size_t common = a.count < b.count ? a.count : b.count;
    int difference = common == 0 ? 0 : memcmp(a.bytes, b.bytes, common);
    if (difference != 0) {
        return difference;
    }
    return (a.count > b.count) - (a.count < b.count);
}

static inline int td_text_compare(struct td_text a, struct td_text b)
{
    struct td_bytes left = {(const uint8_t *)a.bytes, a.count};
    struct td_bytes right = {(const uint8_t *)b.bytes, b.count};
    return td_bytes_compare(left, right);
}

#endif
