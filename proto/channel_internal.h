/* channel_internal.h -- the struct behind td_channel, shared by channel.c (records and frames) and
 * channel_handshake.c (what comes before them). */
#ifndef TD_PROTO_CHANNEL_INTERNAL_H
#define TD_PROTO_CHANNEL_INTERNAL_H

#include "proto/channel.h"
#include "proto/limits.h"
#include "proto/noise.h"

enum { LENGTH_BYTES = 2, FRAME_HEAD_BYTES = 5 };

enum channel_state { WAIT_PREAMBLE, WAIT_1, WAIT_2, WAIT_3, OPEN, DEAD };

struct td_channel {
    enum channel_state state;
    enum td_err err; /* of DEAD */
    enum td_channel_kind kind;
    bool initiator;
    bool local_allowed;
    bool confirmed;
    const struct td_secret *secret;
    struct td_public_key root_sign_key;
    struct td_cluster_id cluster;
    uint64_t roster_version_min;
    size_t frame_bytes_max;
    uint8_t card[TD_CARD_BYTES_MAX];
    size_t card_bytes;

    struct td_noise noise;
    struct td_noise_cipher send;
    struct td_noise_cipher receive;

    /* Input not yet complete: handshake messages while not OPEN, then one record. */
    struct td_buffer input;

    /* The frame being put together. */
    uint8_t frame_head[FRAME_HEAD_BYTES];
    size_t frame_head_used;
    uint8_t *payload;
    size_t payload_bytes; /* as announced */
    size_t payload_used;
    size_t payload_size;
};

static inline void put_u16(uint8_t *bytes, size_t value)
{
    bytes[0] = (uint8_t)(value >> 8);
    bytes[1] = (uint8_t)value;
}

static inline size_t get_u16(const uint8_t *bytes)
{
    return (size_t)bytes[0] << 8 | bytes[1];
}

static inline void put_u32(uint8_t *bytes, size_t value)
{
    put_u16(bytes, value >> 16);
    put_u16(bytes + 2, value & 0xffff);
}

static inline size_t get_u32(const uint8_t *bytes)
{
    return get_u16(bytes) << 16 | get_u16(bytes + 2);
}

/* Moves bytes from rest into the input buffer until it holds `want`. */
enum td_err channel_gather(struct td_channel *channel, struct td_bytes *rest, size_t want);

/* The initiator's preamble, and message 1 unless LOCAL. */
enum td_err channel_begin(struct td_channel *channel, struct td_buffer *out);
/* Consumes from rest at most to the end of the next message of the handshake. */
enum td_err channel_handshake_step(struct td_channel *channel, struct td_bytes *rest,
                                   const struct td_channel_sink *sink, struct td_buffer *out);

#endif
