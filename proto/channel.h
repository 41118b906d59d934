/* channel.h -- one secure connection without I/O: bytes in, frames out, and back. Used by regions'
 * links (node/net) and by clients (node/client). Not thread-safe: the caller serialises per channel,
 * except that sealing and receiving may run on two threads once established.
 *
 * On the wire (PROTOCOL, "Links"): the dialler sends the plaintext preamble
 *   "TIDINGS" | handshake format u8 = 1 | kind u8
 * For TD_CHANNEL_LOCAL (Unix socket) plaintext frames follow at once in both directions. Otherwise
 * Noise XX_25519_ChaChaPoly_SHA256 with prologue = preamble || cluster id(16), each handshake message
 * behind a u16 big-endian length: 1 (empty payload), 2 (payload [proto min, proto max, card bin]),
 * 3 (payload [proto min, proto max]). Then records: u16 big-endian length of the ciphertext, ciphertext
 * (at most 65535 with tag). The records' plaintext is a byte stream of frames:
 *   u32 big-endian length of what follows | u8 type | payload.
 * Rekey (Noise REKEY) of a direction after each 2^16 records of it. */
#ifndef TD_PROTO_CHANNEL_H
#define TD_PROTO_CHANNEL_H

#include "proto/buffer.h"
#include "proto/err.h"
#include "proto/roster.h"
#include "proto/sign_sodium.h"

enum td_channel_kind { TD_CHANNEL_REGION = 1, TD_CHANNEL_CLIENT = 2, TD_CHANNEL_LOCAL = 3 };
enum { TD_PROTO_MIN = 1, TD_PROTO_MAX = 1 };

struct td_channel; /* about 1 KiB plus its input frame */

struct td_channel_config {
    enum td_channel_kind kind; /* initiator: what it is; responder learns it from the preamble */
    bool initiator;
    bool local_allowed;  /* responder: this listener is a Unix socket (LOCAL only), else Noise only */
    const struct td_secret *secret;      /* NULL for LOCAL; borrowed */
    struct td_public_key root_sign_key;  /* checks the card, gives the cluster id */
    struct td_bytes card;                /* responder: our card; may be empty while not in a roster */
    uint64_t roster_version_min;         /* initiator: refuse a card from an older roster */
    size_t frame_bytes_max;              /* larger ones end the channel: TD_ETOOBIG */
};

/* Called from inside td_channel_receive, on the caller's thread. */
struct td_channel_sink {
    void *self;
    /* Once, when the other side has proven its static key and before any frame. For the initiator
     * `card` is the responder's checked card (NULL when it has none). Anything but TD_OK ends the
     * channel. Never called for LOCAL. */
    enum td_err (*peer_known)(void *self, enum td_channel_kind kind,
                              const struct td_public_key *link_key, const struct td_card *card,
                              uint16_t proto);
    /* Takes ownership of take_payload (free() it). */
    void (*frame)(void *self, uint8_t type, uint8_t *take_payload, size_t payload_bytes);
};

/* Output that must be sent first (preamble, message 1) is appended to out. */
TD_MUST_USE enum td_err td_channel_open(const struct td_channel_config *config, struct td_buffer *out,
                                        struct td_channel **ret_channel);
void td_channel_close(struct td_channel *channel); /* NULL is fine; wipes keys */
/* Feeds what the stream delivered; replies of the handshake go to out. Any error is final. */
TD_MUST_USE enum td_err td_channel_receive(struct td_channel *channel, struct td_bytes input,
                                           const struct td_channel_sink *sink, struct td_buffer *out);
/* True after the handshake (LOCAL: after the preamble). */
bool td_channel_established(const struct td_channel *channel);
/* True after the first frame from the other side was authenticated: "a link counts only after". */
bool td_channel_confirmed(const struct td_channel *channel);
/* Appends one frame, sealed, to out. Frames may be put together: sealing cuts records of up to 64 KiB
 * of the frame bytes; td_channel_seal_many packs small frames into shared records. */
struct td_out_frame {
    uint8_t type;
    struct td_bytes payload;
};
TD_MUST_USE enum td_err td_channel_seal(struct td_channel *channel, const struct td_out_frame *frames,
                                        size_t frame_count, struct td_buffer *out);

#endif
