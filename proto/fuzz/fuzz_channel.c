/* fuzz_channel.c -- arbitrary bytes to a channel. The first byte chooses what it is: a responder on
 * the Unix socket, a responder on TCP, an initiator that waits for message 2, or an established
 * link; its upper bits the size of the pieces the rest arrives in. */
#include <stdlib.h>

#include "proto/assert.h"
#include "proto/channel.h"
#include "proto/limits.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

enum { OUT_BYTES_MAX = 1024 * 1024 };
enum mode { MODE_LOCAL, MODE_REGION, MODE_INITIATOR, MODE_ESTABLISHED };

static struct td_secret *secret_of(uint8_t first)
{
    uint8_t seed[TD_SEED_BYTES] = {first};
    struct td_secret *secret = NULL;

    enum td_err err = td_secret_from_seed(seed, &secret);
    TD_ASSERT(err == TD_OK);
    return secret;
}

static enum td_err on_known(void *self, enum td_channel_kind kind,
                            const struct td_public_key *link_key, const struct td_card *card,
                            uint16_t proto)
{
    (void)self;
    (void)kind;
    (void)link_key;
    (void)card;
    TD_ASSERT(proto == TD_PROTO_MAX);
    return TD_OK;
}

/* Touches every byte, so that a payload shorter than it claims is found. */
static void on_frame(void *self, uint8_t type, uint8_t *take_payload, size_t payload_bytes)
{
    volatile uint8_t *last = self;

    TD_ASSERT(payload_bytes <= TD_FRAME_BYTES_MAX);
    for (size_t i = 0; i < payload_bytes; i++) {
        *last = (uint8_t)(take_payload[i] ^ type);
    }
    free(take_payload);
}

static struct td_channel *open_channel(bool initiator, bool local, const struct td_secret *secret,
                                       struct td_buffer *out)
{
    struct td_channel *channel = NULL;
    struct td_channel_config config = {
        .kind = TD_CHANNEL_REGION,
        .initiator = initiator,
        .local_allowed = local,
        .secret = secret,
        .root_sign_key = td_secret_identity(secret)->sign_key,
        .frame_bytes_max = TD_FRAME_BYTES_MAX,
    };

    enum td_err err = td_channel_open(&config, out, &channel);
    TD_ASSERT(err == TD_OK);
    return channel;
}

static void pass(struct td_buffer *from, struct td_channel *to, const struct td_channel_sink *sink,
                 struct td_buffer *out)
{
    enum td_err err =
        td_channel_receive(to, (struct td_bytes){from->bytes, from->used_bytes}, sink, out);
    TD_ASSERT(err == TD_OK);
    from->used_bytes = 0;
}

static void shake_hands(struct td_channel *responder, const struct td_secret *secret,
                        const struct td_channel_sink *sink, struct td_buffer *out)
{
    struct td_buffer back;

    td_buffer_init(&back, OUT_BYTES_MAX);
    struct td_channel *initiator = open_channel(true, false, secret, &back);
    pass(&back, responder, sink, out);
    pass(out, initiator, sink, &back);
    pass(&back, responder, sink, out);
    TD_ASSERT(td_channel_established(responder));
    td_channel_close(initiator);
    td_buffer_fini(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    static struct td_secret *secret;
    uint8_t last = 0;
    struct td_channel_sink sink = {&last, on_known, on_frame};
    struct td_buffer out;

    if (secret == NULL) {
        enum td_err err = td_sodium_init();
        TD_ASSERT(err == TD_OK);
        secret = secret_of(1);
    }
    if (count == 0) {
        return 0;
    }
    enum mode mode = (enum mode)(bytes[0] % 4);
    size_t piece = (size_t)1 << (bytes[0] / 4 % 20);
    td_buffer_init(&out, OUT_BYTES_MAX);
    struct td_channel *channel =
        open_channel(mode == MODE_INITIATOR, mode == MODE_LOCAL, secret, &out);
    if (mode == MODE_ESTABLISHED) {
        shake_hands(channel, secret, &sink, &out);
    }
    enum td_err err = TD_OK;
    for (size_t at = 1; at < count && err == TD_OK; at += piece) {
        size_t left = count - at;
        err = td_channel_receive(
            channel, (struct td_bytes){bytes + at, left < piece ? left : piece}, &sink, &out);
    }
    td_channel_close(channel);
    td_buffer_fini(&out);
    return 0;
}
