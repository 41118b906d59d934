/* head.c -- what an origin says about itself: encode and decode, side by side. */
#include "proto/head.h"

#include <string.h>

#include "proto/assert.h"
#include "proto/frame.h"
#include "proto/signed.h"
#include "proto/writer.h"

enum { HEAD_FIELDS_MIN = 21, HEAD_FIELDS = 22, HEAD_FIELDS_MAX = 40, HEAD_PREFIX = 0x02 };

static void hash_inner(const struct td_signer *signer, struct td_bytes inner,
                       uint8_t ret_hash[TD_TICK_HASH_BYTES])
{
    struct td_hash hash;
    signer->hash(signer->self, HEAD_PREFIX, inner, (struct td_bytes){NULL, 0}, &hash);
    memcpy(ret_hash, hash.bytes, TD_TICK_HASH_BYTES);
}

/* ---- encode ---- */

static void write_echo(struct td_writer *writer, const struct td_tick *echo, uint32_t count)
{
    td_writer_array(writer, count);
    for (uint32_t i = 0; i < count; i++) {
        td_writer_array(writer, 5);
        td_writer_uint(writer, echo[i].origin.region.v);
        td_writer_uint(writer, echo[i].origin.incarnation.start);
        td_writer_uint(writer, echo[i].origin.incarnation.random);
        td_writer_uint(writer, echo[i].number);
        td_writer_bin(writer, (struct td_bytes){echo[i].hash, sizeof echo[i].hash});
    }
}

static void write_closings(struct td_writer *writer, const struct td_closing *closings,
                           uint32_t count)
{
    td_writer_array(writer, 4 * count);
    for (uint32_t i = 0; i < count; i++) {
        td_writer_uint(writer, closings[i].incarnation.start);
        td_writer_uint(writer, closings[i].incarnation.random);
        td_writer_uint(writer, closings[i].last_seq);
        td_writer_uint(writer, closings[i].lost);
    }
}

static void write_counted(struct td_writer *writer, const struct td_region *counted, uint32_t count)
{
    td_writer_array(writer, count);
    for (uint32_t i = 0; i < count; i++) {
        td_writer_uint(writer, counted[i].v);
    }
}

static void write_detours(struct td_writer *writer, const struct td_detour *detours, uint32_t count)
{
    td_writer_array(writer, 2 * count);
    for (uint32_t i = 0; i < count; i++) {
        td_writer_uint(writer, detours[i].region.v);
        td_writer_uint(writer, detours[i].via.v);
    }
}

static void write_fields(struct td_writer *writer, const struct td_head *head)
{
    td_writer_array(writer, head->detours_said ? HEAD_FIELDS : HEAD_FIELDS_MIN);
    td_writer_uint(writer, TD_HEAD_VERSION);
    td_writer_bin(writer, (struct td_bytes){head->cluster.bytes, sizeof head->cluster.bytes});
    td_writer_uint(writer, head->origin.region.v);
    td_writer_uint(writer, head->key_number);
    td_writer_uint(writer, head->origin.incarnation.start);
    td_writer_uint(writer, head->origin.incarnation.random);
    td_writer_uint(writer, head->number);
    td_writer_uint(writer, head->seq);
    td_writer_uint(writer, head->stamp.ms);
    td_writer_uint(writer, head->stamp.counter);
    td_writer_uint(writer, head->roster_version);
    td_writer_uint(writer, head->recovering);
    td_writer_bin(writer, (struct td_bytes){head->digest.bytes, sizeof head->digest.bytes});
    td_vv_write_parts(writer, &head->has);
    write_echo(writer, head->echo, head->echo_count);
    write_closings(writer, head->closings, head->closing_count);
    write_counted(writer, head->counted, head->counted_count);
    td_writer_uint(writer, head->proto_min);
    td_writer_uint(writer, head->proto_max);
    td_writer_text(writer, head->software);
    if (head->detours_said) {
        write_detours(writer, head->detours, head->detour_count);
    }
}

size_t td_head_encode(struct td_head *head, const struct td_signer *signer, void *bytes,
                      size_t size_bytes)
{
    TD_ASSERT(head->origin.region.v != 0);
    TD_ASSERT(head->number >= 1 && head->number <= TD_SEQ_MAX);
    TD_ASSERT(head->seq <= TD_SEQ_MAX);
    TD_ASSERT(head->stamp.ms <= TD_STAMP_MS_MAX);
    TD_ASSERT(td_vv_valid(&head->has));
    TD_ASSERT(head->echo_count <= TD_ECHO_ENTRIES_MAX);
    TD_ASSERT(head->closing_count <= TD_CLOSINGS_MAX);
    TD_ASSERT(head->counted_count <= TD_REGIONS_MAX);
    TD_ASSERT(head->software.count <= TD_SOFTWARE_BYTES_MAX);
    TD_ASSERT(head->detour_count <= TD_REGIONS_MAX);

    size_t room = size_bytes < TD_HEAD_BYTES_MAX ? size_bytes : TD_HEAD_BYTES_MAX;
    if (room <= TD_SIGNED_INNER_AT) {
        return 0;
    }
    struct td_writer writer;
    td_writer_init(&writer, (uint8_t *)bytes + TD_SIGNED_INNER_AT, room - TD_SIGNED_INNER_AT);
    write_fields(&writer, head);
    size_t inner_bytes = td_writer_done(&writer);
    size_t count = td_signed_close(bytes, room, inner_bytes, signer, TD_CONTEXT_HEAD);
    if (count == 0) {
        return 0;
    }
    const uint8_t *inner = (uint8_t *)bytes + count - TD_SIGNED_TAIL_BYTES - inner_bytes;
    hash_inner(signer, (struct td_bytes){inner, inner_bytes}, head->hash);
    head->raw = (struct td_bytes){bytes, count};
    return count;
}

/* ---- decode ---- */

static void read_echo(struct td_reader *reader, struct td_arena *arena, struct td_head *head)
{
    uint32_t count = td_reader_enter(reader, 0, TD_ECHO_ENTRIES_MAX);
    struct td_tick *echo = td_arena_take(arena, count, sizeof *echo);
    if (echo == NULL) {
        td_reader_fail(reader, TD_ETOOBIG);
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        td_reader_enter(reader, 5, 5);
        echo[i].origin.region.v = (uint8_t)td_reader_uint(reader, TD_REGION_NUMBER_MAX);
        echo[i].origin.incarnation.start = (uint32_t)td_reader_uint(reader, UINT32_MAX);
        echo[i].origin.incarnation.random = (uint32_t)td_reader_uint(reader, UINT32_MAX);
        echo[i].number = td_reader_uint(reader, TD_SEQ_MAX);
        td_reader_fixed(reader, echo[i].hash, sizeof echo[i].hash);
        td_reader_leave(reader);
        if (echo[i].origin.region.v == 0 || echo[i].number == 0) {
            td_reader_fail(reader, TD_EFORMAT);
        }
    }
    td_reader_leave(reader);
    head->echo = echo;
    head->echo_count = count;
}

static void read_closings(struct td_reader *reader, struct td_arena *arena, struct td_head *head)
{
    uint32_t count = td_reader_enter(reader, 0, 4 * TD_CLOSINGS_MAX);
    struct td_closing *closings = td_arena_take(arena, count / 4, sizeof *closings);
    if (closings == NULL) {
        td_reader_fail(reader, TD_ETOOBIG);
        return;
    }
    if (count % 4 != 0) {
        td_reader_fail(reader, TD_EFORMAT);
        return;
    }
    for (uint32_t i = 0; i < count / 4; i++) {
        closings[i].incarnation.start = (uint32_t)td_reader_uint(reader, UINT32_MAX);
        closings[i].incarnation.random = (uint32_t)td_reader_uint(reader, UINT32_MAX);
        closings[i].last_seq = td_reader_uint(reader, TD_SEQ_MAX);
        closings[i].lost = td_reader_uint(reader, 1) == 1;
    }
    td_reader_leave(reader);
    head->closings = closings;
    head->closing_count = count / 4;
}

static void read_counted(struct td_reader *reader, struct td_arena *arena, struct td_head *head)
{
    uint32_t count = td_reader_enter(reader, 0, TD_REGIONS_MAX);
    struct td_region *counted = td_arena_take(arena, count, sizeof *counted);
    if (counted == NULL) {
        td_reader_fail(reader, TD_ETOOBIG);
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        counted[i].v = (uint8_t)td_reader_uint(reader, TD_REGION_NUMBER_MAX);
        if (counted[i].v == 0) {
            td_reader_fail(reader, TD_EFORMAT);
        }
    }
    td_reader_leave(reader);
    head->counted = counted;
    head->counted_count = count;
}

static void read_software(struct td_reader *reader, struct td_head *head)
{
    head->software = td_reader_text(reader, TD_SOFTWARE_BYTES_MAX);
    if (!td_utf8_valid(head->software, false)) {
        td_reader_fail(reader, TD_EFORMAT);
    }
}

static void read_detours(struct td_reader *reader, struct td_arena *arena, struct td_head *head)
{
    uint32_t count = td_reader_enter(reader, 0, 2 * TD_REGIONS_MAX);
    struct td_detour *detours = td_arena_take(arena, count / 2, sizeof *detours);
    if (detours == NULL) {
        td_reader_fail(reader, TD_ETOOBIG);
        return;
    }
    if (count % 2 != 0) {
        td_reader_fail(reader, TD_EFORMAT);
        return;
    }
    for (uint32_t i = 0; i < count / 2; i++) {
        detours[i].region.v = (uint8_t)td_reader_uint(reader, TD_REGION_NUMBER_MAX);
        detours[i].via.v = (uint8_t)td_reader_uint(reader, TD_REGION_NUMBER_MAX);
        if (detours[i].region.v == 0) {
            td_reader_fail(reader, TD_EFORMAT);
        }
    }
    td_reader_leave(reader);
    head->detours_said = true;
    head->detours = detours;
    head->detour_count = count / 2;
}

static void read_fields(struct td_reader *reader, struct td_arena *arena, struct td_head *head)
{
    uint32_t fields = td_reader_enter(reader, HEAD_FIELDS_MIN, HEAD_FIELDS_MAX);
    if (td_reader_uint(reader, UINT64_MAX) != TD_HEAD_VERSION) {
        td_reader_fail(reader, TD_EVERSION);
    }
    td_reader_fixed(reader, head->cluster.bytes, sizeof head->cluster.bytes);
    head->origin.region.v = (uint8_t)td_reader_uint(reader, TD_REGION_NUMBER_MAX);
    head->key_number = (uint16_t)td_reader_uint(reader, UINT16_MAX);
    head->origin.incarnation.start = (uint32_t)td_reader_uint(reader, UINT32_MAX);
    head->origin.incarnation.random = (uint32_t)td_reader_uint(reader, UINT32_MAX);
    head->number = td_reader_uint(reader, TD_SEQ_MAX);
    head->seq = td_reader_uint(reader, TD_SEQ_MAX);
    head->stamp.ms = td_reader_uint(reader, TD_STAMP_MS_MAX);
    head->stamp.counter = (uint32_t)td_reader_uint(reader, UINT32_MAX);
    head->roster_version = td_reader_uint(reader, TD_SEQ_MAX);
    head->recovering = td_reader_uint(reader, 1) == 1;
    td_reader_fixed(reader, head->digest.bytes, sizeof head->digest.bytes);
    td_vv_read_parts(reader, arena, &head->has);
    read_echo(reader, arena, head);
    read_closings(reader, arena, head);
    read_counted(reader, arena, head);
    head->proto_min = (uint16_t)td_reader_uint(reader, UINT16_MAX);
    head->proto_max = (uint16_t)td_reader_uint(reader, UINT16_MAX);
    read_software(reader, head);
    if (fields >= HEAD_FIELDS) {
        read_detours(reader, arena, head);
    }
    td_reader_leave(reader);
    if (head->origin.region.v == 0 || head->number == 0) {
        td_reader_fail(reader, TD_EFORMAT);
    }
}

enum td_err td_head_decode(struct td_bytes raw, const struct td_signer *signer,
                           struct td_reader *reader, struct td_arena *arena,
                           struct td_head *ret_head)
{
    struct td_head head = {0};
    struct td_signature signature;
    struct td_bytes inner;
    if (raw.count > TD_HEAD_BYTES_MAX) {
        return TD_ETOOBIG;
    }
    if (!td_signed_open(raw, &inner, &signature)) {
        return TD_EFORMAT;
    }
    enum td_err err = td_reader_init(reader, inner);
    if (err != TD_OK) {
        return err;
    }
    read_fields(reader, arena, &head);
    err = td_reader_done(reader);
    if (err != TD_OK) {
        return err;
    }
    hash_inner(signer, inner, head.hash);
    head.raw = raw;
    *ret_head = head;
    return TD_OK;
}

bool td_head_verify(const struct td_head *head, const struct td_signer *signer,
                    const struct td_public_key *key)
{
    struct td_signature signature;
    struct td_bytes inner;
    return td_signed_open(head->raw, &inner, &signature) &&
           signer->verify(signer->self, key, TD_CONTEXT_HEAD, inner, &signature);
}
