/* segment.h -- the bytes of a segment file (LOG, "Format"): names, the header of a file, the header
 * of a record, and finding good records again between damaged ones. Pure functions over memory; no
 * disk. All numbers are big-endian. */
#ifndef TD_LOG_SEGMENT_H
#define TD_LOG_SEGMENT_H

#include "proto/err.h"
#include "proto/limits.h"
#include "proto/sign.h"

enum {
    TD_SEGMENT_FORMAT = 1,
    TD_SEGMENT_FORMAT_COMPACTED = 2, /* an older program must not take one for what it knows */
    TD_SEGMENT_HEADER_BYTES = 128,
    TD_SEGMENT_NAME_BYTES = 16, /* with the terminating zero */
    TD_RECORD_HEADER_BYTES = 32,
    TD_RECORD_ALIGN = 8,
    TD_RECORD_PAYLOAD_MAX = TD_BATCH_BYTES_MAX,
    TD_RECORD_SPAN_MAX = TD_RECORD_PAYLOAD_MAX + TD_RECORD_HEADER_BYTES + TD_RECORD_ALIGN,
    TD_RECORD_SEAL = 16, /* type of the last record of a log closed in order; other types: core.h */
    TD_RECORD_GROUP = 1, /* flag: the first record of a group; all before it was flushed */
};

struct td_segment_header {
    uint32_t number;
    uint32_t first, last;  /* numbers this segment stands for; its own unless compacted */
    uint32_t previous;     /* the segment before it, 0 = none */
    uint32_t previous_end; /* bytes of that one which count */
    struct td_cluster_id cluster;
    struct td_region region;
    bool compacted;  /* it stands for others; the rest is only said of such a one */
    uint32_t end;    /* its records end here */
    uint32_t inputs; /* files it was made of */
    /* All that made it leave something out lies before this place of the log. */
    uint32_t rests_segment, rests_offset;
};

void td_segment_name(uint32_t number, char ret_name[TD_SEGMENT_NAME_BYTES]);
/* The name of one that is not whole yet: recovery removes it. */
void td_segment_name_unfinished(uint32_t number, char ret_name[TD_SEGMENT_NAME_BYTES]);
bool td_segment_name_is_unfinished(const char *name);
/* False when it is not the name of a segment. */
bool td_segment_name_parse(const char *name, uint32_t *ret_number);
void td_segment_header_encode(const struct td_segment_header *header,
                              const struct td_signer *signer,
                              uint8_t ret_bytes[TD_SEGMENT_HEADER_BYTES]);
/* TD_OK; TD_ECORRUPT: damaged; TD_EVERSION: whole, but of a format number not known here. */
TD_MUST_USE enum td_err td_segment_header_decode(const uint8_t bytes[TD_SEGMENT_HEADER_BYTES],
                                                 const struct td_signer *signer,
                                                 struct td_segment_header *ret_header);

struct td_record_head {
    uint32_t segment,
        offset;     /* where it lies: part of both checksums, so stale bytes never verify */
    uint32_t bytes; /* of the payload */
    uint8_t type;
    uint8_t flags;
};

/* Header, payload and padding. */
static inline uint32_t td_record_span(uint32_t payload_bytes)
{
    return (TD_RECORD_HEADER_BYTES + payload_bytes + TD_RECORD_ALIGN - 1) &
           ~(uint32_t)(TD_RECORD_ALIGN - 1);
}
/* Writes header and padding around the payload, which already lies at bytes +
 * TD_RECORD_HEADER_BYTES. */
void td_record_finish(const struct td_record_head *head, const struct td_signer *signer,
                      uint8_t *bytes);
/* Checks the header alone: its own checksum, the type, the length. ret_head: segment and offset
 * come from the arguments. */
TD_MUST_USE bool td_record_head_check(uint32_t segment, uint32_t offset,
                                      const uint8_t bytes[TD_RECORD_HEADER_BYTES],
                                      const struct td_signer *signer,
                                      struct td_record_head *ret_head);
/* Checks the payload against the checked header it belongs to. */
TD_MUST_USE bool td_record_body_check(const struct td_record_head *head,
                                      const uint8_t bytes[TD_RECORD_HEADER_BYTES],
                                      const uint8_t *payload, const struct td_signer *signer);

/* One record, or one stretch of bytes that is none. */
struct td_scan_item {
    uint32_t offset;
    uint32_t bytes; /* of the payload, or of the damaged stretch */
    uint8_t type;
    uint8_t flags;
    bool damaged;
};
struct td_scan {
    struct td_scan_item *items; /* owned; td_scan_fini */
    size_t count;
    size_t capacity;
    uint32_t end;      /* behind the last good or damaged item */
    uint32_t data_end; /* behind the last byte that is not zero */
};

/* Finds the records of a segment in its bytes, of which count are looked at. reach: the records are
 * known to go on to this offset (0 = not known); when they do not, the rest is a damaged item.
 * TD_ENOMEM. */
TD_MUST_USE enum td_err td_segment_scan(const uint8_t *bytes, uint32_t count, uint32_t segment,
                                        uint32_t reach, const struct td_signer *signer,
                                        struct td_scan *scan);
void td_scan_fini(struct td_scan *scan);

static inline void td_put_u32(uint8_t *bytes, uint32_t value)
{
    for (int i = 0; i < 4; i++) {
        bytes[i] = (uint8_t)(value >> (24 - 8 * i));
    }
}
static inline uint32_t td_get_u32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}
static inline void td_put_u64(uint8_t *bytes, uint64_t value)
{
    td_put_u32(bytes, (uint32_t)(value >> 32));
    td_put_u32(bytes + 4, (uint32_t)value);
}
static inline uint64_t td_get_u64(const uint8_t *bytes)
{
    return (uint64_t)td_get_u32(bytes) << 32 | td_get_u32(bytes + 4);
}

#endif
