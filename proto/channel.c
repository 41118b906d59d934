/* channel.c -- records and frames of one connection, as a machine without I/O.
 *
 *   initiator: PREAMBLE + message 1 at open -> WAIT_2 -> OPEN
 *   responder: WAIT_PREAMBLE -> WAIT_1 -> WAIT_3 -> OPEN       (LOCAL: WAIT_PREAMBLE -> OPEN)
 *   any error: DEAD, and every later call answers the same error.
 */
#include "proto/channel.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "proto/assert.h"
#include "proto/channel_internal.h"

enum {
    RECORD_BYTES_MAX = TD_NOISE_MESSAGE_BYTES_MAX,
    RECORD_PLAIN_MAX = RECORD_BYTES_MAX - TD_NOISE_TAG_BYTES,
    FRAME_BYTES_FIRST = 4096, /* reserved before any byte of a frame's payload is here */
};
static const uint64_t rekey_records = UINT64_C(1) << 16;

enum td_err channel_gather(struct td_channel *channel, struct td_bytes *rest, size_t want)
{
    if (channel->input.used_bytes >= want) {
        return TD_OK;
    }
    size_t missing = want - channel->input.used_bytes;
    size_t count = rest->count < missing ? rest->count : missing;
    if (!td_buffer_append(&channel->input, (struct td_bytes){rest->bytes, count})) {
        return TD_ENOMEM;
    }
    rest->bytes += count;
    rest->count -= count;
    return TD_OK;
}

/* --- Frames ---------------------------------------------------------------------------------- */

static void deliver_frame(struct td_channel *channel, const struct td_channel_sink *sink)
{
    uint8_t *take_payload = channel->payload;
    size_t count = channel->payload_bytes;

    channel->payload = NULL;
    channel->payload_used = 0;
    channel->payload_size = 0;
    channel->payload_bytes = 0;
    channel->frame_head_used = 0;
    channel->confirmed = true;
    sink->frame(sink->self, channel->frame_head[4], take_payload, count);
}

/* Memory follows the bytes that have come, not the length that was claimed. */
static bool grow_payload(struct td_channel *channel, size_t used)
{
    if (used <= channel->payload_size && channel->payload != NULL) {
        return true;
    }
    size_t size = channel->payload_size * 2;
    size = size < FRAME_BYTES_FIRST ? FRAME_BYTES_FIRST : size;
    size = size < used ? used : size;
    size = size > channel->payload_bytes ? channel->payload_bytes : size;
    uint8_t *payload = realloc(channel->payload, size == 0 ? 1 : size);
    if (payload == NULL) {
        return false;
    }
    channel->payload = payload;
    channel->payload_size = size;
    return true;
}

static enum td_err take_frame_head(struct td_channel *channel, struct td_bytes *rest)
{
    size_t missing = FRAME_HEAD_BYTES - channel->frame_head_used;
    size_t count = rest->count < missing ? rest->count : missing;

    memcpy(channel->frame_head + channel->frame_head_used, rest->bytes, count);
    channel->frame_head_used += count;
    rest->bytes += count;
    rest->count -= count;
    if (channel->frame_head_used < FRAME_HEAD_BYTES) {
        return TD_OK;
    }
    size_t length = get_u32(channel->frame_head);
    if (length == 0) {
        return TD_EFORMAT; /* the type is missing */
    }
    if (length - 1 > channel->frame_bytes_max) {
        return TD_ETOOBIG;
    }
    channel->payload_bytes = length - 1;
    return TD_OK;
}

/* The stream of frames, however it is cut. */
static enum td_err take_plain(struct td_channel *channel, struct td_bytes rest,
                              const struct td_channel_sink *sink)
{
    while (rest.count > 0) {
        if (channel->frame_head_used < FRAME_HEAD_BYTES) {
            enum td_err err = take_frame_head(channel, &rest);
            if (err != TD_OK) {
                return err;
            }
            if (channel->frame_head_used < FRAME_HEAD_BYTES) {
                return TD_OK;
            }
        }
        size_t missing = channel->payload_bytes - channel->payload_used;
        size_t count = rest.count < missing ? rest.count : missing;
        if (!grow_payload(channel, channel->payload_used + count)) {
            return TD_ENOMEM;
        }
        if (count > 0) {
            memcpy(channel->payload + channel->payload_used, rest.bytes, count);
            channel->payload_used += count;
            rest.bytes += count;
            rest.count -= count;
        }
        if (channel->payload_used == channel->payload_bytes) {
            deliver_frame(channel, sink);
        }
    }
    return TD_OK;
}

static void rekey_if_due(struct td_noise_cipher *cipher)
{
    if (cipher->n % rekey_records == 0) {
        td_noise_rekey(cipher);
    }
}

static enum td_err take_record(struct td_channel *channel, const uint8_t *sealed, size_t count,
                               const struct td_channel_sink *sink)
{
    uint8_t plain[RECORD_PLAIN_MAX];

    if (td_noise_open(&channel->receive, sealed, count, plain) != TD_OK) {
        return TD_EHANDSHAKE;
    }
    rekey_if_due(&channel->receive);
    return take_plain(channel, (struct td_bytes){plain, count - TD_NOISE_TAG_BYTES}, sink);
}

/* Records that lie whole in rest are opened from there; only a cut one is gathered first. */
static enum td_err record_step(struct td_channel *channel, struct td_bytes *rest,
                               const struct td_channel_sink *sink)
{
    if (channel->input.used_bytes == 0 && rest->count >= LENGTH_BYTES) {
        size_t count = get_u16(rest->bytes);
        if (count <= TD_NOISE_TAG_BYTES) {
            return TD_EFORMAT; /* nothing inside */
        }
        if (rest->count - LENGTH_BYTES >= count) {
            const uint8_t *sealed = rest->bytes + LENGTH_BYTES;
            rest->bytes += LENGTH_BYTES + count;
            rest->count -= LENGTH_BYTES + count;
            return take_record(channel, sealed, count, sink);
        }
    }
    enum td_err err = channel_gather(channel, rest, LENGTH_BYTES);
    if (err != TD_OK || channel->input.used_bytes < LENGTH_BYTES) {
        return err;
    }
    size_t count = get_u16(channel->input.bytes);
    if (count <= TD_NOISE_TAG_BYTES) {
        return TD_EFORMAT;
    }
    err = channel_gather(channel, rest, LENGTH_BYTES + count);
    if (err != TD_OK || channel->input.used_bytes < LENGTH_BYTES + count) {
        return err;
    }
    err = take_record(channel, channel->input.bytes + LENGTH_BYTES, count, sink);
    td_buffer_consume(&channel->input, channel->input.used_bytes);
    return err;
}

/* --- Public ---------------------------------------------------------------------------------- */

enum td_err td_channel_open(const struct td_channel_config *config, struct td_buffer *out,
                            struct td_channel **ret_channel)
{
    struct td_channel *channel = calloc(1, sizeof *channel);
    enum td_err err = TD_OK;

    if (channel == NULL) {
        return TD_ENOMEM;
    }
    TD_ASSERT(config->card.count <= TD_CARD_BYTES_MAX);
    channel->kind = config->kind;
    channel->initiator = config->initiator;
    channel->local_allowed = config->local_allowed;
    channel->secret = config->secret;
    channel->root_sign_key = config->root_sign_key;
    channel->cluster = td_cluster_id_of(&config->root_sign_key);
    channel->roster_version_min = config->roster_version_min;
    channel->frame_bytes_max = config->frame_bytes_max;
    if (config->card.count > 0) {
        memcpy(channel->card, config->card.bytes, config->card.count);
        channel->card_bytes = config->card.count;
    }
    td_buffer_init(&channel->input, LENGTH_BYTES + RECORD_BYTES_MAX);
    channel->state = WAIT_PREAMBLE;
    if (channel->initiator) {
        err = channel_begin(channel, out);
    }
    if (err != TD_OK) {
        td_channel_close(channel);
        return err;
    }
    *ret_channel = channel;
    return TD_OK;
}

void td_channel_close(struct td_channel *channel)
{
    if (channel == NULL) {
        return;
    }
    free(channel->payload);
    td_buffer_fini(&channel->input);
    sodium_memzero(channel, sizeof *channel);
    free(channel);
}

enum td_err td_channel_receive(struct td_channel *channel, struct td_bytes input,
                               const struct td_channel_sink *sink, struct td_buffer *out)
{
    struct td_bytes rest = input;
    enum td_err err = TD_OK;

    if (channel->state == DEAD) {
        return channel->err;
    }
    while (rest.count > 0 && err == TD_OK) {
        if (channel->state != OPEN) {
            err = channel_handshake_step(channel, &rest, sink, out);
        } else if (channel->kind == TD_CHANNEL_LOCAL) {
            err = take_plain(channel, rest, sink);
            rest.count = 0;
        } else {
            err = record_step(channel, &rest, sink);
        }
    }
    if (err != TD_OK) {
        channel->state = DEAD;
        channel->err = err;
    }
    return err;
}

bool td_channel_established(const struct td_channel *channel)
{
    return channel->state == OPEN;
}

bool td_channel_confirmed(const struct td_channel *channel)
{
    return channel->confirmed;
}

/* Collects plaintext up to one record, seals it to out when full. */
struct sealer {
    struct td_channel *channel;
    struct td_buffer *out;
    size_t used;
    uint8_t plain[RECORD_PLAIN_MAX];
};

/* Room was reserved for everything before the first byte. */
static void seal_record(struct sealer *sealer)
{
    struct td_channel *channel = sealer->channel;
    size_t count = sealer->used + TD_NOISE_TAG_BYTES;
    uint8_t *target = td_buffer_reserve(sealer->out, LENGTH_BYTES + count);

    TD_ASSERT(target != NULL);
    put_u16(target, count);
    td_noise_seal(&channel->send, sealer->plain, sealer->used, target + LENGTH_BYTES);
    rekey_if_due(&channel->send);
    sealer->out->used_bytes += LENGTH_BYTES + count;
    sealer->used = 0;
}

static void seal_bytes(struct sealer *sealer, struct td_bytes bytes)
{
    if (sealer->channel->kind == TD_CHANNEL_LOCAL) {
        bool appended = td_buffer_append(sealer->out, bytes);
        TD_ASSERT(appended);
        return;
    }
    while (bytes.count > 0) {
        size_t room = RECORD_PLAIN_MAX - sealer->used;
        size_t count = bytes.count < room ? bytes.count : room;
        memcpy(sealer->plain + sealer->used, bytes.bytes, count);
        sealer->used += count;
        bytes.bytes += count;
        bytes.count -= count;
        if (sealer->used == RECORD_PLAIN_MAX) {
            seal_record(sealer);
        }
    }
}

enum td_err td_channel_seal(struct td_channel *channel, const struct td_out_frame *frames,
                            size_t frame_count, struct td_buffer *out)
{
    struct sealer sealer;
    uint8_t head[FRAME_HEAD_BYTES];
    size_t total = 0;

    if (channel->state != OPEN) {
        return channel->state == DEAD ? channel->err : TD_ECLOSEDLINK;
    }
    for (size_t i = 0; i < frame_count; i++) {
        if (frames[i].payload.count > TD_FRAME_BYTES_MAX) {
            return TD_ETOOBIG;
        }
        total += FRAME_HEAD_BYTES + frames[i].payload.count;
    }
    size_t records = total / RECORD_PLAIN_MAX + 1;
    if (td_buffer_reserve(out, total + records * (LENGTH_BYTES + TD_NOISE_TAG_BYTES)) == NULL) {
        return TD_ENOMEM;
    }
    sealer.channel = channel;
    sealer.out = out;
    sealer.used = 0;
    for (size_t i = 0; i < frame_count; i++) {
        put_u32(head, frames[i].payload.count + 1);
        head[4] = frames[i].type;
        seal_bytes(&sealer, (struct td_bytes){head, sizeof head});
        seal_bytes(&sealer, frames[i].payload);
    }
    if (sealer.used > 0) {
        seal_record(&sealer);
    }
    return TD_OK;
}
