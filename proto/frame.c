/* frame.c -- messages between regions: one writer and one reader a type, dispatched by a switch. */
#include "proto/frame.h"

#include <string.h>

#include "proto/assert.h"
#include "proto/wire.h"

/* PROTOCOL "Register hash": the job's hash and the attempt, mixed so that neighbours differ in all
 * bits. 0 is kept free for "no register". */
/* How many fields the array of this type has; 0 for raw and unknown types. */
static uint32_t field_count(enum td_msg_type type)
{
    switch (type) {
    case TD_MSG_PING:
    case TD_MSG_PONG:
    case TD_MSG_BYE:
    case TD_MSG_HEAD_ASK:
    case TD_MSG_NOT_WHOLE:
    case TD_MSG_HAS:
    case TD_MSG_DIGEST_ASK:
    case TD_MSG_TRANSFER_NO:
    case TD_MSG_FETCH:
        return 1;
    case TD_MSG_CREDIT:
    case TD_MSG_TRANSFER_END:
    case TD_MSG_DIGEST:
    case TD_MSG_BUCKET_ASK:
        return 2;
    case TD_MSG_WANT_LIVE:
    case TD_MSG_WANT_ALL:
    case TD_MSG_BUCKET:
    case TD_MSG_PROOF:
        return 3;
    case TD_MSG_TRANSFER_CHUNK:
        return 5;
    case TD_MSG_HELLO:
        return 7;
    default:
        return 0;
    }
}

/* ---- encode ---- */

static void write_hello(struct td_writer *writer, const struct td_msg *msg)
{
    td_writer_array(writer, 7);
    td_writer_uint(writer, msg->u.hello.roster_version);
    td_writer_uint(writer, msg->u.hello.process.start);
    td_writer_uint(writer, msg->u.hello.process.random);
    td_writer_uint(writer, msg->u.hello.proto_min);
    td_writer_uint(writer, msg->u.hello.proto_max);
    td_writer_uint(writer, msg->u.hello.features);
    td_writer_text(writer, msg->u.hello.software);
}

static void write_want_live(struct td_writer *writer, const struct td_msg *msg)
{
    const struct td_vv *from = &msg->u.want_live.from;
    td_writer_array(writer, 3);
    td_writer_uint(writer, msg->u.want_live.region.v);
    td_writer_uint(writer, msg->u.want_live.on);
    td_writer_array(writer, 3 * from->entry_count);
    for (uint32_t i = 0; i < from->entry_count; i++) {
        TD_ASSERT(from->entries[i].origin.region.v == msg->u.want_live.region.v);
        td_writer_uint(writer, from->entries[i].origin.incarnation.start);
        td_writer_uint(writer, from->entries[i].origin.incarnation.random);
        td_writer_uint(writer, from->entries[i].seq);
    }
}

static void write_chunk(struct td_writer *writer, const struct td_msg *msg)
{
    td_writer_array(writer, 5);
    td_writer_uint(writer, msg->u.chunk.id);
    td_writer_uint(writer, msg->u.chunk.cursor);
    td_writer_uint(writer, msg->u.chunk.content_bytes);
    td_writer_uint(writer, msg->u.chunk.compressed);
    td_writer_bin(writer, msg->u.chunk.content);
}

static void write_digest(struct td_writer *writer, const struct td_msg *msg)
{
    struct td_bytes buckets = {msg->u.digest.buckets[0].bytes,
                               sizeof(struct td_hash) * TD_DIGEST_BUCKETS};
    td_writer_array(writer, 2);
    td_vv_write(writer, &msg->u.digest.has);
    td_writer_bin(writer, buckets);
}

static void write_bucket(struct td_writer *writer, const struct td_msg *msg)
{
    TD_ASSERT(msg->u.bucket.count <= TD_BUCKET_ENTRIES_MAX);
    td_writer_array(writer, 3);
    td_writer_uint(writer, msg->u.bucket.bucket);
    td_writer_uint(writer, msg->u.bucket.more);
    td_writer_array(writer, msg->u.bucket.count);
    for (uint32_t i = 0; i < msg->u.bucket.count; i++) {
        td_writer_array(writer, 5);
        td_writer_uint(writer, msg->u.bucket.entries[i].register_hash);
        td_wire_write_dot(writer, msg->u.bucket.entries[i].dot);
    }
}

static void write_fetch(struct td_writer *writer, const struct td_msg *msg)
{
    TD_ASSERT(msg->u.fetch.count <= TD_FETCH_MAX);
    td_writer_array(writer, 1);
    td_writer_array(writer, 4 * msg->u.fetch.count);
    for (uint32_t i = 0; i < msg->u.fetch.count; i++) {
        td_wire_write_dot(writer, msg->u.fetch.dots[i]);
    }
}

static void write_one(struct td_writer *writer, uint64_t value)
{
    td_writer_array(writer, 1);
    td_writer_uint(writer, value);
}

static void write_control(struct td_writer *writer, const struct td_msg *msg)
{
    switch (msg->type) {
    case TD_MSG_PING:
    case TD_MSG_PONG:
        write_one(writer, msg->u.nonce);
        break;
    case TD_MSG_BYE:
        write_one(writer, msg->u.bye);
        break;
    case TD_MSG_HELLO:
        write_hello(writer, msg);
        break;
    case TD_MSG_HEAD_ASK:
    case TD_MSG_NOT_WHOLE:
        write_one(writer, msg->u.region.v);
        break;
    case TD_MSG_WANT_LIVE:
        write_want_live(writer, msg);
        break;
    case TD_MSG_CREDIT:
        td_writer_array(writer, 2);
        td_writer_uint(writer, msg->u.credit.lane);
        td_writer_uint(writer, msg->u.credit.bytes);
        break;
    case TD_MSG_HAS:
    case TD_MSG_DIGEST_ASK:
        td_writer_array(writer, 1);
        td_vv_write(writer, &msg->u.has);
        break;
    default:
        TD_ASSERT(field_count(msg->type) != 0); /* raw and unknown types have no array */
    }
}

static void write_transfer_or_repair(struct td_writer *writer, const struct td_msg *msg)
{
    switch (msg->type) {
    case TD_MSG_WANT_ALL:
        td_writer_array(writer, 3);
        td_writer_uint(writer, msg->u.want_all.id);
        td_writer_uint(writer, msg->u.want_all.cursor);
        td_vv_write(writer, &msg->u.want_all.has);
        break;
    case TD_MSG_TRANSFER_CHUNK:
        write_chunk(writer, msg);
        break;
    case TD_MSG_TRANSFER_END:
        td_writer_array(writer, 2);
        td_writer_uint(writer, msg->u.end.id);
        td_vv_write(writer, &msg->u.end.claim);
        break;
    case TD_MSG_TRANSFER_NO:
        write_one(writer, msg->u.transfer_no_id);
        break;
    case TD_MSG_DIGEST:
        write_digest(writer, msg);
        break;
    case TD_MSG_BUCKET_ASK:
        td_writer_array(writer, 2);
        td_writer_uint(writer, msg->u.bucket_ask.bucket);
        td_writer_uint(writer, msg->u.bucket_ask.from);
        break;
    case TD_MSG_BUCKET:
        write_bucket(writer, msg);
        break;
    case TD_MSG_FETCH:
        write_fetch(writer, msg);
        break;
    case TD_MSG_PROOF:
        td_writer_array(writer, 3);
        td_writer_uint(writer, msg->u.proof.kind);
        td_writer_bin(writer, msg->u.proof.a);
        td_writer_bin(writer, msg->u.proof.b);
        break;
    default:
        write_control(writer, msg);
    }
}

size_t td_msg_encode(const struct td_msg *msg, void *bytes, size_t size_bytes)
{
    struct td_writer writer;
    td_writer_init(&writer, bytes,
                   size_bytes < TD_FRAME_BYTES_MAX ? size_bytes : TD_FRAME_BYTES_MAX);
    switch (msg->type) {
    case TD_MSG_ROSTER:
    case TD_MSG_LIVE:
    case TD_MSG_FETCHED:
        td_writer_raw(&writer, msg->u.batch_raw);
        break;
    case TD_MSG_HEAD:
        td_writer_raw(&writer, msg->u.head->raw);
        break;
    default:
        write_transfer_or_repair(&writer, msg);
    }
    return td_writer_done(&writer);
}

/* ---- decode ---- */

static void read_hello(struct td_reader *reader, struct td_msg *msg)
{
    msg->u.hello.roster_version = td_reader_uint(reader, TD_SEQ_MAX);
    msg->u.hello.process.start = (uint32_t)td_reader_uint(reader, UINT32_MAX);
    msg->u.hello.process.random = (uint32_t)td_reader_uint(reader, UINT32_MAX);
    msg->u.hello.proto_min = (uint16_t)td_reader_uint(reader, UINT16_MAX);
    msg->u.hello.proto_max = (uint16_t)td_reader_uint(reader, UINT16_MAX);
    msg->u.hello.features = td_reader_uint(reader, UINT64_MAX);
    msg->u.hello.software = td_reader_text(reader, TD_SOFTWARE_BYTES_MAX);
    if (!td_utf8_valid(msg->u.hello.software, false)) {
        td_reader_fail(reader, TD_EFORMAT);
    }
}

static void read_want_live(struct td_reader *reader, struct td_arena *arena, struct td_msg *msg)
{
    msg->u.want_live.region = td_wire_read_region(reader);
    msg->u.want_live.on = td_reader_uint(reader, 1) == 1;
    uint32_t count = 0;
    struct td_vv_entry *entries = td_wire_enter_flat(
        reader, arena, 3, TD_INCARNATIONS_PER_REGION_MAX, sizeof *entries, &count);
    if (entries == NULL) {
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        entries[i].origin.region = msg->u.want_live.region;
        entries[i].origin.incarnation.start = (uint32_t)td_reader_uint(reader, UINT32_MAX);
        entries[i].origin.incarnation.random = (uint32_t)td_reader_uint(reader, UINT32_MAX);
        entries[i].seq = td_reader_uint(reader, TD_SEQ_MAX);
    }
    td_reader_leave(reader);
    msg->u.want_live.from = (struct td_vv){count, 0, entries, NULL};
    if (td_reader_err(reader) == TD_OK && !td_vv_valid(&msg->u.want_live.from)) {
        td_reader_fail(reader, TD_EFORMAT);
    }
}

static void read_want_all(struct td_reader *reader, struct td_arena *arena, struct td_msg *msg)
{
    msg->u.want_all.id = (uint32_t)td_reader_uint(reader, UINT32_MAX);
    msg->u.want_all.cursor = td_reader_uint(reader, UINT64_MAX);
    td_vv_read(reader, arena, &msg->u.want_all.has);
}

static void read_chunk(struct td_reader *reader, struct td_msg *msg)
{
    msg->u.chunk.id = (uint32_t)td_reader_uint(reader, UINT32_MAX);
    msg->u.chunk.cursor = td_reader_uint(reader, UINT64_MAX);
    /* Bounded before anything is decompressed: a declared size is a promise to be held to. */
    msg->u.chunk.content_bytes = (uint32_t)td_reader_uint(reader, TD_FRAME_BYTES_MAX);
    msg->u.chunk.compressed = td_reader_uint(reader, 1) == 1;
    msg->u.chunk.content = td_reader_bin(reader, TD_FRAME_BYTES_MAX);
    if (!msg->u.chunk.compressed && msg->u.chunk.content.count != msg->u.chunk.content_bytes) {
        td_reader_fail(reader, TD_EFORMAT);
    }
}

static void read_end(struct td_reader *reader, struct td_arena *arena, struct td_msg *msg)
{
    msg->u.end.id = (uint32_t)td_reader_uint(reader, UINT32_MAX);
    td_vv_read(reader, arena, &msg->u.end.claim);
}

static void read_digest(struct td_reader *reader, struct td_arena *arena, struct td_msg *msg)
{
    static_assert(sizeof(struct td_hash) == 32, "a bucket is a bare hash");
    enum { BUCKETS_BYTES = sizeof(struct td_hash) * TD_DIGEST_BUCKETS };
    td_vv_read(reader, arena, &msg->u.digest.has);
    struct td_bytes buckets = td_reader_bin(reader, BUCKETS_BYTES);
    if (buckets.count != BUCKETS_BYTES) {
        td_reader_fail(reader, TD_EFORMAT);
        return;
    }
    msg->u.digest.buckets = (const struct td_hash *)(const void *)buckets.bytes;
}

static void read_bucket_ask(struct td_reader *reader, struct td_msg *msg)
{
    msg->u.bucket_ask.bucket = (uint16_t)td_reader_uint(reader, TD_DIGEST_BUCKETS - 1);
    msg->u.bucket_ask.from = td_reader_uint(reader, UINT64_MAX);
}

static void read_bucket(struct td_reader *reader, struct td_arena *arena, struct td_msg *msg)
{
    msg->u.bucket.bucket = (uint16_t)td_reader_uint(reader, TD_DIGEST_BUCKETS - 1);
    msg->u.bucket.more = td_reader_uint(reader, 1) == 1;
    uint32_t count = 0;
    struct td_register_id *entries =
        td_wire_enter_flat(reader, arena, 1, TD_BUCKET_ENTRIES_MAX, sizeof *entries, &count);
    if (entries == NULL) {
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        td_reader_enter(reader, 5, 5);
        entries[i].register_hash = td_reader_uint(reader, UINT64_MAX);
        entries[i].dot = td_wire_read_dot(reader);
        td_reader_leave(reader);
        if (i > 0 && entries[i - 1].register_hash > entries[i].register_hash) {
            td_reader_fail(reader, TD_EFORMAT);
        }
    }
    td_reader_leave(reader);
    msg->u.bucket.entries = entries;
    msg->u.bucket.count = count;
}

static void read_fetch(struct td_reader *reader, struct td_arena *arena, struct td_msg *msg)
{
    uint32_t count = 0;
    struct td_dot *dots = td_wire_enter_flat(reader, arena, 4, TD_FETCH_MAX, sizeof *dots, &count);
    if (dots == NULL) {
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        dots[i] = td_wire_read_dot(reader);
    }
    td_reader_leave(reader);
    msg->u.fetch.dots = dots;
    msg->u.fetch.count = count;
}

static void read_proof(struct td_reader *reader, struct td_msg *msg)
{
    msg->u.proof.kind = (uint8_t)td_reader_uint(reader, 1);
    msg->u.proof.a = td_reader_bin(reader, TD_BATCH_BYTES_MAX);
    msg->u.proof.b = td_reader_bin(reader, TD_BATCH_BYTES_MAX);
}

static void read_control(struct td_reader *reader, struct td_arena *arena, struct td_msg *msg)
{
    switch (msg->type) {
    case TD_MSG_PING:
    case TD_MSG_PONG:
        msg->u.nonce = td_reader_uint(reader, UINT64_MAX);
        break;
    case TD_MSG_BYE:
        msg->u.bye = (enum td_err)td_reader_uint(reader, 9999);
        break;
    case TD_MSG_HELLO:
        read_hello(reader, msg);
        break;
    case TD_MSG_HEAD_ASK:
    case TD_MSG_NOT_WHOLE:
        msg->u.region = td_wire_read_region(reader);
        break;
    case TD_MSG_WANT_LIVE:
        read_want_live(reader, arena, msg);
        break;
    case TD_MSG_CREDIT:
        msg->u.credit.lane = (enum td_lane)td_reader_uint(reader, TD_LANE_COUNT - 1);
        msg->u.credit.bytes = td_reader_uint(reader, TD_SEQ_MAX);
        break;
    default:
        td_vv_read(reader, arena, &msg->u.has); /* HAS, DIGEST_ASK */
    }
}

static void read_fields(struct td_reader *reader, struct td_arena *arena, struct td_msg *msg)
{
    switch (msg->type) {
    case TD_MSG_WANT_ALL:
        read_want_all(reader, arena, msg);
        break;
    case TD_MSG_TRANSFER_CHUNK:
        read_chunk(reader, msg);
        break;
    case TD_MSG_TRANSFER_END:
        read_end(reader, arena, msg);
        break;
    case TD_MSG_TRANSFER_NO:
        msg->u.transfer_no_id = (uint32_t)td_reader_uint(reader, UINT32_MAX);
        break;
    case TD_MSG_DIGEST:
        read_digest(reader, arena, msg);
        break;
    case TD_MSG_BUCKET_ASK:
        read_bucket_ask(reader, msg);
        break;
    case TD_MSG_BUCKET:
        read_bucket(reader, arena, msg);
        break;
    case TD_MSG_FETCH:
        read_fetch(reader, arena, msg);
        break;
    case TD_MSG_PROOF:
        read_proof(reader, msg);
        break;
    default:
        read_control(reader, arena, msg);
    }
}

static enum td_err decode_array(struct td_bytes payload, struct td_reader *reader,
                                struct td_arena *arena, struct td_msg *msg)
{
    uint32_t fields = field_count(msg->type);
    if (fields == 0) {
        return TD_EFORMAT;
    }
    if (td_reader_init(reader, payload) != TD_OK) {
        return td_reader_err(reader);
    }
    td_reader_enter(reader, fields, fields);
    read_fields(reader, arena, msg);
    td_reader_leave(reader);
    return td_reader_done(reader);
}

static enum td_err decode_head(struct td_bytes payload, const struct td_signer *signer,
                               struct td_reader *reader, struct td_arena *arena, struct td_msg *msg)
{
    struct td_head *head = td_arena_take(arena, 1, sizeof *head);
    if (head == NULL) {
        return TD_ETOOBIG;
    }
    msg->u.head = head;
    return td_head_decode(payload, signer, reader, arena, head);
}

enum td_err td_msg_decode(enum td_msg_type type, struct td_bytes payload,
                          const struct td_signer *signer, struct td_reader *reader,
                          struct td_arena *arena, struct td_msg *ret_msg)
{
    struct td_msg msg = {.type = type};
    enum td_err err = TD_OK;
    if (payload.count > TD_FRAME_BYTES_MAX) {
        return TD_ETOOBIG;
    }
    if (type == TD_MSG_ROSTER || type == TD_MSG_LIVE || type == TD_MSG_FETCHED) {
        msg.u.batch_raw = payload;
    } else if (type == TD_MSG_HEAD) {
        err = decode_head(payload, signer, reader, arena, &msg);
    } else {
        err = decode_array(payload, reader, arena, &msg);
    }
    if (err == TD_OK) {
        *ret_msg = msg;
    }
    return err;
}
