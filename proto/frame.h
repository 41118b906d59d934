/* frame.h -- messages between regions after the handshake, and their dispatch by type.
 * On the link a frame is u32 length (big endian, of what follows), u8 type, payload. Payloads are
 * msgpack arrays except where "raw" is said. This file is the whole list.
 *
 * Lanes and credit: LIVE counts against the live lane, TRANSFER_CHUNK against the transfer lane,
 * FETCHED against the repair lane, each by its payload bytes. Everything else is control, outside
 * credit, and small or one slot per region (heads). */
#ifndef TD_PROTO_FRAME_H
#define TD_PROTO_FRAME_H

#include "proto/batch.h"
#include "proto/clock.h"
#include "proto/head.h"
#include "proto/order.h"

enum td_msg_type {
    /* Handled by the link itself, never seen by the core. */
    TD_MSG_ROSTER = 1, /* raw signed roster */
    TD_MSG_PING = 2,   /* [nonce] */
    TD_MSG_PONG = 3,   /* [nonce] */
    TD_MSG_BYE = 4,    /* [err number]: why the link ends */
    TD_MSG_HELLO = 5,  /* [roster version, start, random, proto min, proto max, features, software]:
                          first frame of both sides; (start, random) name the process */

    TD_MSG_HEAD = 16,     /* raw signed head */
    TD_MSG_HEAD_ASK = 17, /* [region]: send me the newest head you hold of it */
    TD_MSG_WANT_LIVE = 18, /* [region, on 0/1, [start, random, seq, ...]] newest held of each */
    TD_MSG_WANT_ALL = 19, /* [id, cursor, vv]; cursor 0 = anew, else resume the same id */
    TD_MSG_CREDIT = 20,   /* [lane, bytes granted in addition] */
    TD_MSG_HAS = 21,      /* [vv]: durable here */
    TD_MSG_LIVE = 22,     /* raw batch, whole */
    TD_MSG_NOT_WHOLE = 23, /* [region]: has holes behind that want; live starts at newest */
    TD_MSG_TRANSFER_CHUNK = 24, /* [id, cursor after, raw bytes, zstd 0/1, bin]; content: batches,
                                   each u32 big-endian length + bytes */
    TD_MSG_TRANSFER_END = 25,   /* [id, vv]: the claim */
    TD_MSG_TRANSFER_NO = 26,    /* [id]: unknown id, or busy; start anew with somebody else */
    TD_MSG_DIGEST_ASK = 27,     /* [vv] */
    TD_MSG_DIGEST = 28,         /* [vv, bin(32 * TD_DIGEST_BUCKETS)] */
    TD_MSG_BUCKET_ASK = 29,     /* [bucket, from register hash] */
    TD_MSG_BUCKET = 30, /* [bucket, more 0/1, [[register hash, region, start, random, seq], ...]] */
    TD_MSG_FETCH = 31,  /* [[region, start, random, seq, ...]] dots wanted */
    TD_MSG_FETCHED = 32, /* raw batch, usually thinned */
    TD_MSG_PROOF = 33,   /* [kind 0 heads / 1 batches, bin, bin]: two statements of one origin */

    /* Client link: request and response, see client_msg.h. */
    TD_MSG_REQUEST = 64,
    TD_MSG_RESPONSE = 65,
};

enum td_lane { TD_LANE_LIVE = 0, TD_LANE_TRANSFER = 1, TD_LANE_REPAIR = 2, TD_LANE_COUNT = 3 };

struct td_register_id {
    uint64_t register_hash; /* job hash mixed with the attempt: td_register_hash() */
    struct td_dot dot;
};

/* One decoded message. Arrays and slices belong to the arena and the frame's bytes. Batches are
 * decoded, root-checked and verified by the caller of td_msg_decode (it needs the roster's keys):
 * decode leaves only their raw bytes in u.batch_raw / u.chunk. */
struct td_msg {
    enum td_msg_type type;
    union {
        struct {
            uint64_t roster_version;
            struct td_incarnation process;
            uint16_t proto_min, proto_max;
            uint64_t features;
            struct td_text software;
        } hello;
        uint64_t nonce;
        enum td_err bye;
        const struct td_head *head;
        struct td_region region; /* HEAD_ASK, NOT_WHOLE */
        struct {
            struct td_region region;
            bool on;
            struct td_vv from; /* entries of this region only */
        } want_live;
        struct {
            uint32_t id;
            uint64_t cursor;
            struct td_vv has;
        } want_all;
        struct {
            enum td_lane lane;
            uint64_t bytes;
        } credit;
        struct td_vv has;          /* HAS, DIGEST_ASK */
        struct td_bytes batch_raw; /* LIVE, FETCHED; ROSTER: the signed roster */
        struct {
            uint32_t id;
            uint64_t cursor;
            uint32_t content_bytes; /* after decompression */
            bool compressed;
            struct td_bytes content;
        } chunk;
        struct {
            uint32_t id;
            struct td_vv claim;
        } end;
        uint32_t transfer_no_id;
        struct {
            struct td_vv has;
            const struct td_hash *buckets; /* TD_DIGEST_BUCKETS */
        } digest;
        struct {
            uint16_t bucket;
            uint64_t from;
        } bucket_ask;
        struct {
            uint16_t bucket;
            bool more;
            uint32_t count;
            const struct td_register_id *entries; /* ascending register hash */
        } bucket;
        struct {
            uint32_t count;
            const struct td_dot *dots;
        } fetch;
        struct {
            uint8_t kind;
            struct td_bytes a, b;
        } proof;
    } u;
};

/* Encodes the payload of any type (raw ones are copied). Returns bytes, 0 when it does not fit. */
TD_MUST_USE size_t td_msg_encode(const struct td_msg *msg, void *bytes, size_t size_bytes);
/* Decodes the payload of any type below TD_MSG_REQUEST; heads are decoded but not verified. */
TD_MUST_USE enum td_err td_msg_decode(enum td_msg_type type, struct td_bytes payload,
                                      const struct td_signer *signer, struct td_reader *reader,
                                      struct td_arena *arena, struct td_msg *ret_msg);
/* Shared by messages that carry vectors: [entries..., folds...] as [[...], [...]]. */
struct td_writer;
void td_vv_write(struct td_writer *writer, const struct td_vv *vv);
void td_vv_read(struct td_reader *reader, struct td_arena *arena, struct td_vv *ret_vv);
/* The two arrays alone, as consecutive fields of an array the caller writes or reads. */
void td_vv_write_parts(struct td_writer *writer, const struct td_vv *vv);
void td_vv_read_parts(struct td_reader *reader, struct td_arena *arena, struct td_vv *ret_vv);

#endif
