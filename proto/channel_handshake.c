/* channel_handshake.c -- from the preamble to an open channel. Cheap checks come first: a length is
 * judged when its two bytes are here, and never more than 512 bytes of one message are held. */
#include <string.h>

#include "proto/assert.h"
#include "proto/channel_internal.h"
#include "proto/reader.h"
#include "proto/writer.h"

enum {
    MAGIC_BYTES = 7,
    PREAMBLE_BYTES = MAGIC_BYTES + 2,
    PROLOGUE_BYTES = PREAMBLE_BYTES + 16,
    HANDSHAKE_FORMAT = 1,
    HELLO_BYTES_MAX = TD_PREAUTH_BYTES_MAX - LENGTH_BYTES - TD_NOISE_MESSAGE2_BYTES,
};
static const char magic[MAGIC_BYTES + 1] = "TIDINGS";

static_assert(TD_CARD_BYTES_MAX + 16 <= HELLO_BYTES_MAX, "message 2 with the largest card fits");

static void make_preamble(enum td_channel_kind kind, uint8_t ret_bytes[PREAMBLE_BYTES])
{
    memcpy(ret_bytes, magic, MAGIC_BYTES);
    ret_bytes[MAGIC_BYTES] = HANDSHAKE_FORMAT;
    ret_bytes[MAGIC_BYTES + 1] = (uint8_t)kind;
}

static void start_noise(struct td_channel *channel)
{
    uint8_t prologue[PROLOGUE_BYTES];

    make_preamble(channel->kind, prologue);
    memcpy(prologue + PREAMBLE_BYTES, channel->cluster.bytes, sizeof channel->cluster.bytes);
    td_noise_init(&channel->noise, channel->initiator, (struct td_bytes){prologue, sizeof prologue},
                  td_secret_link_key(channel->secret),
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
        td_writer_bin(&writer, (struct td_bytes){channel->card, channel->card_bytes});
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
    enum td_err err = td_noise_write(&channel->noise, (struct td_bytes){hello, hello_bytes},
                                     message + LENGTH_BYTES, sizeof message - LENGTH_BYTES, &used);
    if (err != TD_OK) {
        return err;
    }
    put_u16(message, used);
    return td_buffer_append(out, (struct td_bytes){message, LENGTH_BYTES + used}) ? TD_OK
                                                                                  : TD_ENOMEM;
}

enum td_err channel_begin(struct td_channel *channel, struct td_buffer *out)
{
    uint8_t preamble[PREAMBLE_BYTES];

    make_preamble(channel->kind, preamble);
    if (!td_buffer_append(out, (struct td_bytes){preamble, sizeof preamble})) {
        return TD_ENOMEM;
    }
    if (channel->kind == TD_CHANNEL_LOCAL) {
        channel->confirmed = true;
        become_open(channel);
        return TD_OK;
    }
    start_noise(channel);
    channel->state = WAIT_2;
    return write_message(channel, false, out);
}

struct hello {
    uint16_t proto; /* the highest both speak */
    struct td_bytes card;
};

static enum td_err read_hello(struct td_reader *reader, struct td_bytes payload, bool with_card,
                              struct hello *ret_hello)
{
    struct hello hello = {0};

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
    struct td_sodium_signer self = {.secret = NULL, .cluster = channel->cluster};
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
        err = read_hello(reader, (struct td_bytes){payload, count}, true, &hello);
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
        err = read_hello(reader, (struct td_bytes){payload, count}, false, &hello);
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
    enum td_err err = channel->state == WAIT_2 ? take_message_2(channel, message, reader, sink, out)
                                               : take_message_3(channel, message, reader, sink);
    td_reader_free(reader);
    return err;
}

/* Bytes the message being read has at least and at most. Message 1 has no payload; the responder
 * need not see more of message 3 than two numbers and room for later fields. */
static bool message_size_fits(enum channel_state state, size_t count)
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

enum td_err channel_handshake_step(struct td_channel *channel, struct td_bytes *rest,
                                   const struct td_channel_sink *sink, struct td_buffer *out)
{
    size_t want = channel->state == WAIT_PREAMBLE ? PREAMBLE_BYTES : LENGTH_BYTES;

    enum td_err err = channel_gather(channel, rest, want);
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
    err = channel_gather(channel, rest, want);
    if (err != TD_OK || channel->input.used_bytes < want) {
        return err;
    }
    err = take_message(channel, (struct td_bytes){channel->input.bytes + LENGTH_BYTES, count}, sink,
                       out);
    td_buffer_fini(&channel->input);
    return err;
}
