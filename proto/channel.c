/* channel.c -- preamble, handshake, records and frames of one connection, as a machine without I/O.
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
#include "proto/limits.h"
#include "proto/noise.h"
#include "proto/reader.h"
#include "proto/writer.h"

enum {
    MAGIC_BYTES = 7,
    PREAMBLE_BYTES = MAGIC_BYTES + 2,
    PROLOGUE_BYTES = PREAMBLE_BYTES + 16,
    HANDSHAKE_FORMAT = 1,
    LENGTH_BYTES = 2,
    RECORD_BYTES_MAX = TD_NOISE_MESSAGE_BYTES_MAX,
    RECORD_PLAIN_MAX = RECORD_BYTES_MAX - TD_NOISE_TAG_BYTES,
    FRAME_HEAD_BYTES = 5,
    FRAME_BYTES_FIRST = 4096, /* reserved before any byte of a frame's payload is here */
    HELLO_BYTES_MAX = TD_PREAUTH_BYTES_MAX - LENGTH_BYTES - TD_NOISE_MESSAGE2_BYTES,
};
static const char magic[MAGIC_BYTES + 1] = "TIDINGS";
static const uint64_t rekey_records = UINT64_C(1) << 16;

static_assert(TD_CARD_BYTES_MAX + 16 <= HELLO_BYTES_MAX, "message 2 with the largest card fits");

enum state { WAIT_PREAMBLE, WAIT_1, WAIT_2, WAIT_3, OPEN, DEAD };

struct td_channel {
    enum state state;
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

static void put_u16(uint8_t *bytes, size_t value)
{
    bytes[0] = (uint8_t)(value >> 8);
    bytes[1] = (uint8_t)value;
}

static size_t get_u16(const uint8_t *bytes)
{
    return (size_t)bytes[0] << 8 | bytes[1];
}

static void put_u32(uint8_t *bytes, size_t value)
{
    put_u16(bytes, value >> 16);
    put_u16(bytes + 2, value & 0xffff);
}

static size_t get_u32(const uint8_t *bytes)
{
    return get_u16(bytes) << 16 | get_u16(bytes + 2);
}

static void make_preamble(enum td_channel_kind kind, uint8_t ret_bytes[PREAMBLE_BYTES])
{
    memcpy(ret_bytes, magic, MAGIC_BYTES);
    ret_bytes[MAGIC_BYTES] = HANDSHAKE_FORMAT;
    ret_bytes[MAGIC_BYTES + 1] = (uint8_t)kind;
}

/* --- Handshake ------------------------------------------------------------------------------- */

static void start_noise(struct td_channel *channel)
{
    uint8_t prologue[PROLOGUE_BYTES];

    make_preamble(channel->kind, prologue);
    memcpy(prologue + PREAMBLE_BYTES, channel->cluster.bytes, sizeof channel->cluster.bytes);
    td_noise_init(&channel->noise, channel->initiator,
                  (struct td_bytes){ prologue, sizeof prologue }, td_secret_link_key(channel->secret),
                  td_secret_identity(channel->secret)->link_key.bytes);
}

static void become_open(struct td_channel *channel)
{
    if (channel->kind != TD_CHANNEL_LOCAL) {
        td_noise_split(&channel->noise, &channel->send, &channel->receive);
        td_noise_wipe(&channel->noise);
    }
    channel->state = OPEN;
}

/* [proto min, proto max] and, from the responder, its card. */
static size_t write_hello(const struct td_channel *channel, uint8_t *bytes, size_t size_bytes)
{
    struct td_writer writer;

    td_writer_init(&writer, bytes, size_bytes);
    td_writer_array(&writer, channel->initiator ? 2 : 3);
    td_writer_uint(&writer, TD_PROTO_MIN);
    td_writer_uint(&writer, TD_PROTO_MAX);
    if (!channel->initiator) {
        td_writer_bin(&writer, (struct td_bytes){ channel->card, channel->card_bytes });
    }
    return td_writer_done(&writer);
}

static enum td_err write_message(struct td_channel *channel, bool with_hello, struct td_buffer *out)
{
    uint8_t hello[HELLO_BYTES_MAX];
    uint8_t message[TD_PREAUTH_BYTES_MAX];
    size_t hello_bytes = 0;
    size_t used = 0;

    if (with_hello) {
        hello_bytes = write_hello(channel, hello, sizeof hello);
        TD_ASSERT(hello_bytes > 0);
    }
    enum td_err err = td_noise_write(&channel->noise, (struct td_bytes){ hello, hello_bytes },
                                     message + LENGTH_BYTES, sizeof message - LENGTH_BYTES, &used);
    if (err != TD_OK) {
        return err;
    }
    put_u16(message, used);
    return td_buffer_append(out, (struct td_bytes){ message, LENGTH_BYTES + used }) ? TD_OK
                                                                                    : TD_ENOMEM;
}

struct hello {
    uint16_t proto; /* the highest both speak */
    struct td_bytes card;
};

static enum td_err read_hello(struct td_reader *reader, struct td_bytes payload, bool with_card,
                              struct hello *ret_hello)
{
    struct hello hello = { 0 };

    if (td_reader_init(reader, payload) != TD_OK) {
        return TD_EHANDSHAKE;
    }
    td_reader_enter(reader, with_card ? 3 : 2, 16);
    uint64_t proto_min = td_reader_uint(reader, UINT16_MAX);
    uint64_t proto_max = td_reader_uint(reader, UINT16_MAX);
    if (with_card) {
        hello.card = td_reader_bin(reader, TD_CARD_BYTES_MAX);
    }
    td_reader_leave(reader);
    if (td_reader_done(reader) != TD_OK || proto_min > proto_max) {
        return TD_EHANDSHAKE;
    }
    uint64_t proto = proto_max < TD_PROTO_MAX ? proto_max : TD_PROTO_MAX;
    if (proto < proto_min || proto < TD_PROTO_MIN) {
        return TD_EVERSION;
    }
    hello.proto = (uint16_t)proto;
    *ret_hello = hello;
    return TD_OK;
}

/* The card must be the root's word about the very key that the handshake has just proven. */
static enum td_err check_card(struct td_channel *channel, struct td_reader *reader,
                              struct td_bytes raw, struct td_card *ret_card)
{
    struct td_sodium_signer self = { .secret = NULL, .cluster = channel->cluster };
    struct td_signer signer = td_sodium_signer(&self);
    struct td_card card;

    enum td_err err = td_card_decode(raw, &signer, &channel->root_sign_key, reader, &card);
    if (err != TD_OK) {
        return err;
    }
    if (memcmp(card.cluster.bytes, channel->cluster.bytes, sizeof card.cluster.bytes) != 0) {
        return TD_EFOREIGN;
    }
    if (memcmp(card.link_key.bytes, channel->noise.rs, sizeof card.link_key.bytes) != 0) {
        return TD_EHANDSHAKE;
    }
    if (card.roster_version < channel->roster_version_min) {
        return TD_EROSTEROLD;
    }
    *ret_card = card;
    return TD_OK;
}

static enum td_err tell_peer_known(struct td_channel *channel, const struct td_channel_sink *sink,
                                   const struct td_card *card, uint16_t proto)
{
    struct td_public_key link_key;

    memcpy(link_key.bytes, channel->noise.rs, sizeof link_key.bytes);
    return sink->peer_known(sink->self, channel->kind, &link_key, card, proto);
}

static enum td_err take_message_1(struct td_channel *channel, struct td_bytes message,
                                  struct td_buffer *out)
{
    uint8_t none[1];
    size_t count = 0;

    enum td_err err = td_noise_read(&channel->noise, message, none, 0, &count);
    if (err != TD_OK) {
        return TD_EHANDSHAKE;
    }
    channel->state = WAIT_3;
    return write_message(channel, true, out);
}

static enum td_err take_message_2(struct td_channel *channel, struct td_bytes message,
                                  struct td_reader *reader, const struct td_channel_sink *sink,
                                  struct td_buffer *out)
{
    uint8_t payload[TD_PREAUTH_BYTES_MAX];
    size_t count = 0;
    struct hello hello;
    struct td_card card;

    enum td_err err = td_noise_read(&channel->noise, message, payload, sizeof payload, &count);
    if (err == TD_OK) {
        err = read_hello(reader, (struct td_bytes){ payload, count }, true, &hello);
    }
    if (err != TD_OK) {
        return err;
    }
    bool has_card = hello.card.count > 0;
    if (has_card) {
        err = check_card(channel, reader, hello.card, &card);
        if (err != TD_OK) {
            return err;
        }
    }
    err = tell_peer_known(channel, sink, has_card ? &card : NULL, hello.proto);
    if (err == TD_OK) {
        err = write_message(channel, true, out);
    }
    if (err == TD_OK) {
        become_open(channel);
    }
    return err;
}

static enum td_err take_message_3(struct td_channel *channel, struct td_bytes message,
                                  struct td_reader *reader, const struct td_channel_sink *sink)
{
    uint8_t payload[TD_PREAUTH_BYTES_MAX];
    size_t count = 0;
    struct hello hello;

    enum td_err err = td_noise_read(&channel->noise, message, payload, sizeof payload, &count);
    if (err == TD_OK) {
        err = read_hello(reader, (struct td_bytes){ payload, count }, false, &hello);
    }
    if (err == TD_OK) {
        err = tell_peer_known(channel, sink, NULL, hello.proto);
    }
    if (err == TD_OK) {
        become_open(channel);
    }
    return err;
}

static enum td_err take_preamble(struct td_channel *channel, const uint8_t *bytes)
{
    uint8_t kind = bytes[MAGIC_BYTES + 1];

    if (memcmp(bytes, magic, MAGIC_BYTES) != 0) {
        return TD_EHANDSHAKE;
    }
    if (bytes[MAGIC_BYTES] != HANDSHAKE_FORMAT) {
        return TD_EVERSION;
    }
    if (kind < TD_CHANNEL_REGION || kind > TD_CHANNEL_LOCAL ||
        channel->local_allowed != (kind == TD_CHANNEL_LOCAL)) {
        return TD_EHANDSHAKE;
    }
    channel->kind = (enum td_channel_kind)kind;
    if (channel->kind == TD_CHANNEL_LOCAL) {
        channel->confirmed = true;
        become_open(channel);
    } else {
        start_noise(channel);
        channel->state = WAIT_1;
    }
    return TD_OK;
}

/* Messages 2 and 3 carry msgpack; the reader lives only for this one message. */
static enum td_err take_message(struct td_channel *channel, struct td_bytes message,
                                const struct td_channel_sink *sink, struct td_buffer *out)
{
    if (channel->state == WAIT_1) {
        return take_message_1(channel, message, out);
    }
    struct td_reader *reader = td_reader_alloc();
    if (reader == NULL) {
        return TD_ENOMEM;
    }
    enum td_err err = channel->state == WAIT_2
                          ? take_message_2(channel, message, reader, sink, out)
                          : take_message_3(channel, message, reader, sink);
    td_reader_free(reader);
    return err;
}

/* Bytes the message being read has at least and at most. Message 1 has no payload; the responder
 * need not see more of message 3 than two numbers and room for later fields. */
static bool message_size_fits(enum state state, size_t count)
{
    switch (state) {
    case WAIT_1:
        return count == TD_NOISE_MESSAGE1_BYTES;
    case WAIT_2:
        return count > TD_NOISE_MESSAGE2_BYTES && count <= TD_PREAUTH_BYTES_MAX - LENGTH_BYTES;
    default:
        return count > TD_NOISE_MESSAGE3_BYTES && count <= TD_NOISE_MESSAGE3_BYTES + 128;
    }
}

/* Moves bytes from rest into the input buffer until it holds `want`. */
static enum td_err gather(struct td_channel *channel, struct td_bytes *rest, size_t want)
{
    if (channel->input.used_bytes >= want) {
        return TD_OK;
    }
    size_t missing = want - channel->input.used_bytes;
    size_t count = rest->count < missing ? rest->count : missing;
    if (!td_buffer_append(&channel->input, (struct td_bytes){ rest->bytes, count })) {
        return TD_ENOMEM;
    }
    rest->bytes += count;
    rest->count -= count;
    return TD_OK;
}

static enum td_err handshake_step(struct td_channel *channel, struct td_bytes *rest,
                                  const struct td_channel_sink *sink, struct td_buffer *out)
{
    size_t want = channel->state == WAIT_PREAMBLE ? PREAMBLE_BYTES : LENGTH_BYTES;

    enum td_err err = gather(channel, rest, want);
    if (err != TD_OK || channel->input.used_bytes < want) {
        return err;
    }
    if (channel->state == WAIT_PREAMBLE) {
        err = take_preamble(channel, channel->input.bytes);
        td_buffer_consume(&channel->input, PREAMBLE_BYTES);
        return err;
    }
    size_t count = get_u16(channel->input.bytes);
    if (!message_size_fits(channel->state, count)) {
        return TD_EHANDSHAKE;
    }
    want = LENGTH_BYTES + count;
    err = gather(channel, rest, want);
    if (err != TD_OK || channel->input.used_bytes < want) {
        return err;
    }
    err = take_message(channel, (struct td_bytes){ channel->input.bytes + LENGTH_BYTES, count }, sink,
                       out);
    td_buffer_fini(&channel->input);
    return err;
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
    return take_plain(channel, (struct td_bytes){ plain, count - TD_NOISE_TAG_BYTES }, sink);
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
    enum td_err err = gather(channel, rest, LENGTH_BYTES);
    if (err != TD_OK || channel->input.used_bytes < LENGTH_BYTES) {
        return err;
    }
    size_t count = get_u16(channel->input.bytes);
    if (count <= TD_NOISE_TAG_BYTES) {
        return TD_EFORMAT;
    }
    err = gather(channel, rest, LENGTH_BYTES + count);
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
        uint8_t preamble[PREAMBLE_BYTES];
        make_preamble(channel->kind, preamble);
        err = td_buffer_append(out, (struct td_bytes){ preamble, sizeof preamble }) ? TD_OK : TD_ENOMEM;
        if (err == TD_OK && channel->kind == TD_CHANNEL_LOCAL) {
            channel->confirmed = true;
            become_open(channel);
        } else if (err == TD_OK) {
            start_noise(channel);
            err = write_message(channel, false, out);
            channel->state = WAIT_2;
        }
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
            err = handshake_step(channel, &rest, sink, out);
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
        seal_bytes(&sealer, (struct td_bytes){ head, sizeof head });
        seal_bytes(&sealer, frames[i].payload);
    }
    if (sealer.used > 0) {
        seal_record(&sealer);
    }
    return TD_OK;
}
