/* net.h -- links over NNG byte streams: listening, dialling, handshake, framing, heartbeats,
 * deadlines, pre-authentication budget. Knows regions and clients, not what they say.
 *
 * Threads: NNG's callbacks only move bytes. td_net_work() is run by one or more threads of the
 * daemon; all callbacks below come from these threads, for one link never two at once. Everything
 * else may be called from any thread and does not block. */
#ifndef TD_NET_H
#define TD_NET_H

#include "node/core/core.h"
#include "proto/channel.h"

struct td_net;

enum td_link_kind { TD_LINK_REGION = 1, TD_LINK_CLIENT = 2, TD_LINK_LOCAL = 3 };

struct td_link_info {
    struct td_link_id link;
    enum td_link_kind kind;
    struct td_region region;       /* REGION */
    struct td_incarnation process; /* REGION: from its HELLO */
    uint16_t proto;
    uint32_t client_number; /* CLIENT: roster number; LOCAL: 0 */
    enum td_role
        role;        /* CLIENT: as in the roster; LOCAL: ADMIN for root or our uid, else PUBLISH */
    uint64_t uid;    /* LOCAL */
    char remote[80]; /* address for logs */
};

/* A verified roster shared between threads by reference count (td_roster_ref_get/put). */
struct td_roster_ref;
struct td_roster_ref *
td_roster_ref_make(struct td_bytes raw, const struct td_public_key *root_sign_key,
                   enum td_err *ret_err); /* decodes and verifies; NULL on error */
struct td_roster_ref *td_roster_ref_get(struct td_roster_ref *ref);
void td_roster_ref_put(struct td_roster_ref *ref);
const struct td_roster *td_roster_ref_roster(const struct td_roster_ref *ref);

struct td_net_sink {
    void *self;
    void (*link_up)(void *self, const struct td_link_info *info);
    /* After it no more callbacks for this link. Only for links that were up. */
    void (*link_down)(void *self, const struct td_link_info *info, enum td_err why);
    void (*link_rtt)(void *self, struct td_link_id link, bool answered, uint32_t rtt_us);
    /* Frames other than ROSTER, PING, PONG, BYE, HELLO. Takes ownership of take_payload (free()).
     */
    void (*frame)(void *self, const struct td_link_info *info, uint8_t type, uint8_t *take_payload,
                  size_t payload_bytes);
    /* A peer offered a roster newer than ours that verifies under the root key; the sink decides,
     * stores it and calls td_net_set_roster. */
    void (*roster_offered)(void *self, struct td_bytes raw);
};

/* In milliseconds; 0 = as usual. Tests shorten what they would have to wait for. */
struct td_net_times {
    uint32_t handshake;   /* until a stranger has to be done */
    uint32_t heartbeat;   /* between two pings of a region */
    uint32_t dead;        /* a region that says nothing for so long is given up */
    uint32_t goodbye;     /* for the other side to close after BYE */
    uint32_t redial_max;  /* ceiling of the back-off */
    uint32_t client_ping; /* a remote client that says nothing for so long is pinged */
    uint32_t client_dead; /* and for so long given up: its host may be gone */
};

struct td_net_config {
    struct td_region self; /* by number once in the roster; 0 = not yet known */
    const struct td_secret *secret;
    struct td_public_key root_sign_key;
    const char *const *listen_peer; /* tcp://ADDR:PORT (several allowed) */
    size_t listen_peer_count;
    const char *listen_local; /* ipc://PATH or NULL; created 0660 */
    const char *const *seeds; /* dialled beside the roster's endpoints until joined */
    size_t seed_count;
    uint32_t clients_max;
    bool chaos; /* fault switches work */
    struct td_net_times times;
    struct td_text software;
};

TD_MUST_USE enum td_err td_net_start(const struct td_net_config *config,
                                     const struct td_net_sink *sink,
                                     struct td_roster_ref *roster, /* may be NULL */
                                     struct td_net **ret_net, char *ret_why, size_t why_bytes);
/* Closes listeners and links, waits up to deadline_ms for streams to end. */
void td_net_stop(struct td_net *net, uint32_t deadline_ms);
/* Handles what is due, waiting up to wait_ms. Run by 1..n threads in a loop. */
void td_net_work(struct td_net *net, uint32_t wait_ms);
/* New membership: dials new regions, drops links of those no longer active. */
void td_net_set_roster(struct td_net *net, struct td_roster_ref *roster);
/* Our process incarnation for HELLO; links opened before it is set wait with their HELLO. */
void td_net_set_process(struct td_net *net, struct td_incarnation process);
/* Queues frames for a link, in order; payloads are copied (sealed later by a worker).
 * TD_ECLOSEDLINK when the link is gone, TD_EBUSY when over its byte bound (the link is then
 * closed). */
enum td_err td_net_send(struct td_net *net, struct td_link_id link,
                        const struct td_out_frame *frames, size_t frame_count);
void td_net_close_link(struct td_net *net, struct td_link_id link, enum td_err why);
/* Chaos only: drops what we send to / receive from this region without closing (a black hole). */
enum td_err td_net_set_fault(struct td_net *net, struct td_region region, bool send_cut,
                             bool receive_cut);
struct td_net_stats {
    uint64_t accepted, refused_table_full, refused_handshake, refused_not_in_roster, half_open,
        links, clients, sent_bytes, received_bytes;
};
struct td_net_stats td_net_stats(struct td_net *net);
/* Per region totals for STATUS. */
void td_net_region_stats(struct td_net *net, struct td_region region, uint64_t *ret_sent_bytes,
                         uint64_t *ret_received_bytes, uint64_t *ret_reconnects);

#endif
