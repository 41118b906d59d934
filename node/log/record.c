/* record.c -- encodes and decodes the log's small records. Fixed big-endian fields: they never
 * leave this machine, so they need no canonical form. */
#include "node/log/record.h"

#include "node/log/segment.h"

enum {
    INCARNATION_BYTES = 8,
    CLOSING_BYTES = 17,
    WALL_BYTES = 8,
    HAS_BYTES = 8,
    HOLES_BYTES = 16,
    JOINED_BYTES = 1,
    RECOVERED_BYTES = 1
};

static size_t has_bytes(uint32_t entry_count, uint32_t fold_count)
{
    return HAS_BYTES + (size_t)entry_count * TD_VV_ENTRY_BYTES +
           (size_t)fold_count * TD_VV_FOLD_BYTES;
}

size_t td_record_payload_bytes(const struct td_record *record)
{
    switch (record->type) {
    case TD_RECORD_HAS:
        if (record->u.has.entry_count > TD_VV_ENTRIES_MAX ||
            record->u.has.fold_count > TD_REGION_NUMBER_MAX) {
            return 0;
        }
        return has_bytes(record->u.has.entry_count, record->u.has.fold_count);
    case TD_RECORD_INCARNATION:
        return INCARNATION_BYTES;
    case TD_RECORD_CLOSING:
        return CLOSING_BYTES;
    case TD_RECORD_WALL:
        return WALL_BYTES;
    case TD_RECORD_HOLES:
        return HOLES_BYTES;
    case TD_RECORD_JOINED:
        return JOINED_BYTES;
    case TD_RECORD_RECOVERED:
        return RECOVERED_BYTES;
    case TD_RECORD_BATCH:
    case TD_RECORD_HOLE:
    case TD_RECORD_COMPACTED:
        break;
    }
    return 0;
}

static void incarnation_encode(struct td_incarnation incarnation, uint8_t *bytes)
{
    td_put_u32(bytes, incarnation.start);
    td_put_u32(bytes + 4, incarnation.random);
}

static struct td_incarnation incarnation_decode(const uint8_t *bytes)
{
    return (struct td_incarnation){td_get_u32(bytes), td_get_u32(bytes + 4)};
}

static void has_encode(const struct td_vv *has, uint8_t *bytes)
{
    td_put_u32(bytes, has->entry_count);
    td_put_u32(bytes + 4, has->fold_count);
    bytes += HAS_BYTES;
    for (uint32_t i = 0; i < has->entry_count; i++) {
        bytes[0] = has->entries[i].origin.region.v;
        incarnation_encode(has->entries[i].origin.incarnation, bytes + 1);
        td_put_u64(bytes + 9, has->entries[i].seq);
        bytes += TD_VV_ENTRY_BYTES;
    }
    for (uint32_t i = 0; i < has->fold_count; i++) {
        bytes[0] = has->folds[i].region.v;
        td_put_u32(bytes + 1, has->folds[i].start_below);
        bytes += TD_VV_FOLD_BYTES;
    }
}

void td_record_payload_encode(const struct td_record *record, uint8_t *ret_bytes)
{
    switch (record->type) {
    case TD_RECORD_HAS:
        has_encode(&record->u.has, ret_bytes);
        break;
    case TD_RECORD_INCARNATION:
        incarnation_encode(record->u.incarnation, ret_bytes);
        break;
    case TD_RECORD_CLOSING:
        incarnation_encode(record->u.closing.incarnation, ret_bytes);
        td_put_u64(ret_bytes + 8, record->u.closing.last_seq);
        ret_bytes[16] = record->u.closing.lost;
        break;
    case TD_RECORD_WALL:
        td_put_u64(ret_bytes, record->u.wall_ms);
        break;
    case TD_RECORD_HOLES:
        td_put_u64(ret_bytes, record->u.holes.count);
        td_put_u64(ret_bytes + 8, record->u.holes.mix);
        break;
    case TD_RECORD_JOINED:
        ret_bytes[0] = record->u.joined.v;
        break;
    case TD_RECORD_RECOVERED:
        ret_bytes[0] = record->u.recovered;
        break;
    case TD_RECORD_BATCH:
    case TD_RECORD_HOLE:
    case TD_RECORD_COMPACTED:
        break;
    }
}

static enum td_err has_decode(struct td_bytes payload, struct td_record_room *room,
                              struct td_vv *ret_has)
{
    if (payload.count < HAS_BYTES) {
        return TD_EFORMAT;
    }
    struct td_vv has = {td_get_u32(payload.bytes), td_get_u32(payload.bytes + 4), room->entries,
                        room->folds};
    if (has.entry_count > TD_VV_ENTRIES_MAX || has.fold_count > TD_REGION_NUMBER_MAX ||
        payload.count != has_bytes(has.entry_count, has.fold_count)) {
        return TD_EFORMAT;
    }
    const uint8_t *bytes = payload.bytes + HAS_BYTES;
    for (uint32_t i = 0; i < has.entry_count; i++, bytes += TD_VV_ENTRY_BYTES) {
        room->entries[i].origin.region.v = bytes[0];
        room->entries[i].origin.incarnation = incarnation_decode(bytes + 1);
        room->entries[i].seq = td_get_u64(bytes + 9);
    }
    for (uint32_t i = 0; i < has.fold_count; i++, bytes += TD_VV_FOLD_BYTES) {
        room->folds[i].region.v = bytes[0];
        room->folds[i].start_below = td_get_u32(bytes + 1);
    }
    *ret_has = has;
    return TD_OK;
}

static enum td_err closing_decode(struct td_bytes payload, struct td_closing *ret_closing)
{
    if (payload.count != CLOSING_BYTES || payload.bytes[16] > 1) {
        return TD_EFORMAT;
    }
    ret_closing->incarnation = incarnation_decode(payload.bytes);
    ret_closing->last_seq = td_get_u64(payload.bytes + 8);
    ret_closing->lost = payload.bytes[16] == 1;
    return TD_OK;
}

enum td_err td_record_payload_decode(uint8_t type, struct td_bytes payload,
                                     struct td_record_room *room, struct td_record *ret_record)
{
    enum td_err err = TD_OK;

    switch (type) {
    case TD_RECORD_HAS:
        err = has_decode(payload, room, &ret_record->u.has);
        break;
    case TD_RECORD_INCARNATION:
        if (payload.count != INCARNATION_BYTES) {
            return TD_EFORMAT;
        }
        ret_record->u.incarnation = incarnation_decode(payload.bytes);
        break;
    case TD_RECORD_CLOSING:
        err = closing_decode(payload, &ret_record->u.closing);
        break;
    case TD_RECORD_WALL:
        if (payload.count != WALL_BYTES) {
            return TD_EFORMAT;
        }
        ret_record->u.wall_ms = td_get_u64(payload.bytes);
        break;
    case TD_RECORD_HOLES:
        if (payload.count != HOLES_BYTES) {
            return TD_EFORMAT;
        }
        ret_record->u.holes.count = td_get_u64(payload.bytes);
        ret_record->u.holes.mix = td_get_u64(payload.bytes + 8);
        break;
    case TD_RECORD_JOINED:
        if (payload.count != JOINED_BYTES) {
            return TD_EFORMAT;
        }
        ret_record->u.joined.v = payload.bytes[0];
        break;
    case TD_RECORD_RECOVERED:
        if (payload.count != RECOVERED_BYTES || payload.bytes[0] > 1) {
            return TD_EFORMAT;
        }
        ret_record->u.recovered = payload.bytes[0] == 1;
        break;
    default:
        return TD_EFORMAT;
    }
    if (err == TD_OK) {
        ret_record->type = (enum td_record_type)type;
    }
    return err;
}
