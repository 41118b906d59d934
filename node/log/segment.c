/* segment.c -- encodes and checks the headers of segment files and records, and finds the records
 * of a segment that may be torn or damaged anywhere. */
#include "node/log/segment.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/core/core.h"

enum {
    SUM_BYTES = 16,
    HEADER_SUM_AT = TD_SEGMENT_HEADER_BYTES - SUM_BYTES,
    HEAD_SUM_BYTES = 8,
    PREFIX_BYTES = 8, /* of a record's header: length, type, flags, two zeros */
    SEAL_BYTES = 8 + PREFIX_BYTES,
};
static const uint8_t MAGIC[8] = {'t', 'i', 'd', 'i', 'n', 'g', 's', '\n'};

void td_segment_name(uint32_t number, char ret_name[TD_SEGMENT_NAME_BYTES])
{
    snprintf(ret_name, TD_SEGMENT_NAME_BYTES, "%010u.seg", (unsigned)number);
}

void td_segment_name_unfinished(uint32_t number, char ret_name[TD_SEGMENT_NAME_BYTES])
{
    snprintf(ret_name, TD_SEGMENT_NAME_BYTES, "%010u.new", (unsigned)number);
}

bool td_segment_name_is_unfinished(const char *name)
{
    return strlen(name) == 14 && strspn(name, "0123456789") == 10 && strcmp(name + 10, ".new") == 0;
}

bool td_segment_name_parse(const char *name, uint32_t *ret_number)
{
    uint64_t number = 0;

    if (strlen(name) != 14 || strcmp(name + 10, ".seg") != 0) {
        return false;
    }
    for (int i = 0; i < 10; i++) {
        if (name[i] < '0' || name[i] > '9') {
            return false;
        }
        number = number * 10 + (uint64_t)(name[i] - '0');
    }
    if (number == 0 || number > UINT32_MAX) {
        return false;
    }
    *ret_number = (uint32_t)number;
    return true;
}

void td_segment_header_encode(const struct td_segment_header *header,
                              const struct td_signer *signer,
                              uint8_t ret_bytes[TD_SEGMENT_HEADER_BYTES])
{
    memset(ret_bytes, 0, TD_SEGMENT_HEADER_BYTES);
    memcpy(ret_bytes, MAGIC, sizeof MAGIC);
    td_put_u32(ret_bytes + 8, header->compacted ? TD_SEGMENT_FORMAT_COMPACTED : TD_SEGMENT_FORMAT);
    td_put_u32(ret_bytes + 12, TD_SEGMENT_HEADER_BYTES);
    td_put_u32(ret_bytes + 16, header->number);
    td_put_u32(ret_bytes + 20, header->first);
    td_put_u32(ret_bytes + 24, header->last);
    td_put_u32(ret_bytes + 28, header->previous);
    td_put_u32(ret_bytes + 32, header->previous_end);
    memcpy(ret_bytes + 36, header->cluster.bytes, sizeof header->cluster.bytes);
    ret_bytes[52] = header->region.v;
    if (header->compacted) {
        td_put_u32(ret_bytes + 56, header->end);
        td_put_u32(ret_bytes + 60, header->inputs);
        td_put_u32(ret_bytes + 64, header->rests_segment);
        td_put_u32(ret_bytes + 68, header->rests_offset);
    }
    signer->checksum(signer->self, (struct td_bytes){ret_bytes, HEADER_SUM_AT},
                     (struct td_bytes){NULL, 0}, ret_bytes + HEADER_SUM_AT);
}

static bool header_sum_good(const uint8_t *bytes, const struct td_signer *signer)
{
    uint8_t sum[SUM_BYTES];

    signer->checksum(signer->self, (struct td_bytes){bytes, HEADER_SUM_AT},
                     (struct td_bytes){NULL, 0}, sum);
    return memcmp(sum, bytes + HEADER_SUM_AT, sizeof sum) == 0;
}

enum td_err td_segment_header_decode(const uint8_t bytes[TD_SEGMENT_HEADER_BYTES],
                                     const struct td_signer *signer,
                                     struct td_segment_header *ret_header)
{
    struct td_segment_header header = {0};
    uint32_t format = td_get_u32(bytes + 8);

    if (memcmp(bytes, MAGIC, sizeof MAGIC) != 0 || format == 0) {
        return TD_ECORRUPT; /* format 0 is what a torn header reads as */
    }
    /* Every format has its checksum here: flipped bits must not look like a newer release. */
    if (!header_sum_good(bytes, signer)) {
        return TD_ECORRUPT;
    }
    if (format != TD_SEGMENT_FORMAT && format != TD_SEGMENT_FORMAT_COMPACTED) {
        return TD_EVERSION;
    }
    if (td_get_u32(bytes + 12) != TD_SEGMENT_HEADER_BYTES) {
        return TD_ECORRUPT;
    }
    header.number = td_get_u32(bytes + 16);
    header.first = td_get_u32(bytes + 20);
    header.last = td_get_u32(bytes + 24);
    header.previous = td_get_u32(bytes + 28);
    header.previous_end = td_get_u32(bytes + 32);
    memcpy(header.cluster.bytes, bytes + 36, sizeof header.cluster.bytes);
    header.region.v = bytes[52];
    if (header.first == 0 || header.first > header.last || header.previous >= header.number) {
        return TD_ECORRUPT;
    }
    if (format == TD_SEGMENT_FORMAT_COMPACTED) {
        header.compacted = true;
        header.end = td_get_u32(bytes + 56);
        header.inputs = td_get_u32(bytes + 60);
        header.rests_segment = td_get_u32(bytes + 64);
        header.rests_offset = td_get_u32(bytes + 68);
        if (header.last >= header.number || header.previous >= header.first || header.inputs == 0 ||
            header.end < TD_SEGMENT_HEADER_BYTES) {
            return TD_ECORRUPT;
        }
    }
    *ret_header = header;
    return TD_OK;
}

static void seal_encode(const struct td_record_head *head, uint8_t ret_seal[SEAL_BYTES])
{
    td_put_u32(ret_seal, head->segment);
    td_put_u32(ret_seal + 4, head->offset);
    td_put_u32(ret_seal + 8, head->bytes);
    ret_seal[12] = head->type;
    ret_seal[13] = head->flags;
    ret_seal[14] = 0;
    ret_seal[15] = 0;
}

static void seal_sum(const struct td_record_head *head, struct td_bytes payload,
                     const struct td_signer *signer, uint8_t ret_sum[SUM_BYTES])
{
    uint8_t seal[SEAL_BYTES];

    seal_encode(head, seal);
    signer->checksum(signer->self, (struct td_bytes){seal, sizeof seal}, payload, ret_sum);
}

void td_record_finish(const struct td_record_head *head, const struct td_signer *signer,
                      uint8_t *bytes)
{
    uint8_t seal[SEAL_BYTES];
    uint8_t sum[SUM_BYTES];
    uint8_t *payload = bytes + TD_RECORD_HEADER_BYTES;
    uint32_t used = TD_RECORD_HEADER_BYTES + head->bytes;

    seal_encode(head, seal);
    memcpy(bytes, seal + 8, PREFIX_BYTES);
    seal_sum(head, (struct td_bytes){NULL, 0}, signer, sum);
    memcpy(bytes + PREFIX_BYTES, sum, HEAD_SUM_BYTES);
    seal_sum(head, (struct td_bytes){payload, head->bytes}, signer, sum);
    memcpy(bytes + PREFIX_BYTES + HEAD_SUM_BYTES, sum, SUM_BYTES);
    memset(bytes + used, 0, td_record_span(head->bytes) - used);
}

static bool type_known(uint8_t type)
{
    return (type >= TD_RECORD_BATCH && type <= TD_RECORD_RECOVERED && type != TD_RECORD_HOLE) ||
           type == TD_RECORD_SEAL;
}

bool td_record_head_check(uint32_t segment, uint32_t offset,
                          const uint8_t bytes[TD_RECORD_HEADER_BYTES],
                          const struct td_signer *signer, struct td_record_head *ret_head)
{
    struct td_record_head head = {segment, offset, td_get_u32(bytes), bytes[4], bytes[5]};
    uint8_t sum[SUM_BYTES];

    if (head.bytes > TD_RECORD_PAYLOAD_MAX || !type_known(head.type) ||
        head.flags > TD_RECORD_GROUP || bytes[6] != 0 || bytes[7] != 0) {
        return false;
    }
    seal_sum(&head, (struct td_bytes){NULL, 0}, signer, sum);
    if (memcmp(sum, bytes + PREFIX_BYTES, HEAD_SUM_BYTES) != 0) {
        return false;
    }
    *ret_head = head;
    return true;
}

bool td_record_body_check(const struct td_record_head *head,
                          const uint8_t bytes[TD_RECORD_HEADER_BYTES], const uint8_t *payload,
                          const struct td_signer *signer)
{
    uint8_t sum[SUM_BYTES];

    seal_sum(head, (struct td_bytes){payload, head->bytes}, signer, sum);
    return memcmp(sum, bytes + PREFIX_BYTES + HEAD_SUM_BYTES, SUM_BYTES) == 0;
}

static bool scan_add(struct td_scan *scan, struct td_scan_item item)
{
    if (scan->count == scan->capacity) {
        size_t capacity = scan->capacity == 0 ? 1024 : scan->capacity * 2;
        struct td_scan_item *items = realloc(scan->items, capacity * sizeof *items);
        if (items == NULL) {
            return false;
        }
        scan->items = items;
        scan->capacity = capacity;
    }
    scan->items[scan->count++] = item;
    return true;
}

void td_scan_fini(struct td_scan *scan)
{
    free(scan->items);
    *scan = (struct td_scan){0};
}

static uint32_t data_end_of(const uint8_t *bytes, uint32_t count)
{
    while (count > 0 && bytes[count - 1] == 0) {
        count--;
    }
    return count;
}

/* What lies at offset: 0 = no record header, 1 = header good but payload not, 2 = a good record. */
static int record_at(const uint8_t *bytes, uint32_t count, uint32_t segment, uint32_t offset,
                     const struct td_signer *signer, struct td_record_head *ret_head)
{
    if (offset > count || count - offset < TD_RECORD_HEADER_BYTES ||
        !td_record_head_check(segment, offset, bytes + offset, signer, ret_head) ||
        td_record_span(ret_head->bytes) > count - offset) {
        return 0;
    }
    return td_record_body_check(ret_head, bytes + offset, bytes + offset + TD_RECORD_HEADER_BYTES,
                                signer)
               ? 2
               : 1;
}

/* The next good header behind offset, or data_end. A header's checksum names its place, so bytes
 * that merely look like one, a copy of another record included, are not taken for one. */
static uint32_t next_record(const uint8_t *bytes, uint32_t count, uint32_t segment, uint32_t offset,
                            uint32_t data_end, const struct td_signer *signer)
{
    struct td_record_head head;

    for (uint64_t at = (uint64_t)offset + TD_RECORD_ALIGN; at < data_end; at += TD_RECORD_ALIGN) {
        if (record_at(bytes, count, segment, (uint32_t)at, signer, &head) != 0) {
            return (uint32_t)at;
        }
    }
    return data_end;
}

enum td_err td_segment_scan(const uint8_t *bytes, uint32_t count, uint32_t segment, uint32_t reach,
                            const struct td_signer *signer, struct td_scan *scan)
{
    uint32_t offset = TD_SEGMENT_HEADER_BYTES;

    scan->data_end = data_end_of(bytes, count);
    while (offset < scan->data_end) {
        struct td_record_head head;
        struct td_scan_item item = {.offset = offset};
        int found = record_at(bytes, count, segment, offset, signer, &head);

        if (found == 0) {
            uint32_t next = next_record(bytes, count, segment, offset, scan->data_end, signer);
            item.damaged = true;
            item.bytes = next - offset;
            offset = next;
        } else {
            item.damaged = found == 1;
            item.type = head.type;
            item.flags = head.flags;
            item.bytes = item.damaged ? td_record_span(head.bytes) : head.bytes;
            offset += td_record_span(head.bytes);
        }
        if (!scan_add(scan, item)) {
            return TD_ENOMEM;
        }
    }
    if (offset < reach) {
        struct td_scan_item lost = {.offset = offset, .bytes = reach - offset, .damaged = true};
        bool joined = scan->count > 0 && scan->items[scan->count - 1].damaged;
        if (!joined && !scan_add(scan, lost)) {
            return TD_ENOMEM;
        }
        offset = reach;
    }
    scan->end = offset;
    return TD_OK;
}
