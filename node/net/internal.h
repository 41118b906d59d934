/* internal.h -- what the files of net share.
 *
 * Locks, always taken in this order: net->lock, link->lock, net->work_lock. No lock is held while a
 * callback of the sink runs. NNG's callbacks take link->lock and net->work_lock only.
 *
 * A link is run by one worker at a time (work.c sees to it). Fields under "worker" below belong to
 * the worker that runs the link; the others name their lock. */
#ifndef TD_NET_INTERNAL_H
#define TD_NET_INTERNAL_H

#include <nng/nng.h>
#include <pthread.h>
#include <stdatomic.h>

#include "node/net/net.h"
#include "proto/limits.h"

enum {
    HALF_OPEN_MAX = 64,
    HALF_OPEN_ROSTER_MIN = 16, /* of them kept for addresses in the roster */
    HALF_OPEN_ADDRESS_MAX = 8, /* from one address outside the roster */
    CONNECT_MS = 3000,
    WRITE_MS = 5000, /* without progress */
    RECEIVE_AIO_MS = 30000,
    ACCEPT_AIO_MS = 60000,
    DEAD_MS_MAX = 10000, /* on a slow link */
    TICK_MS = 25,
    REDIAL_MS_FIRST = 50,
    REDIAL_MS_WAITING = 1000, /* not admitted yet */
    STABLE_MS = 5000,         /* a link that lived this long was a good one */
    LINKS_PER_REGION_MAX = 2,
    CLIENTS_DEFAULT = 1024,
    PINGS_MAX = 16,
    BUCKETS = 1024,
    REGION_QUEUE_BYTES_MAX = 32 * 1024 * 1024,
    CLIENT_QUEUE_BYTES_MAX = 8 * 1024 * 1024,
    SEAL_BYTES = 256 * 1024, /* sealed ahead of what is being written */
    STAGED_BYTES_MAX = 4 * 1024 * 1024,
    RECEIVE_BYTES_HALF_OPEN = 1024,
    RECEIVE_BYTES_REGION = 64 * 1024,
    RECEIVE_BYTES_CLIENT = 16 * 1024,
    KEEP_BUFFER_BYTES = 64 * 1024, /* an idle link gives larger buffers back */
};

struct worker; /* decoding memory of one thread inside td_net_work */

/* Something a worker has to look at. run() answers true when it freed the item. */
struct work {
    struct work *next;
    bool (*run)(struct work *work, struct worker *worker);
    void (*done)(struct work *work); /* gives back the reference the queue held; may be NULL */
    void (*held)(struct work *work);
    bool queued, running, again; /* work_lock */
};

struct address {
    uint8_t bytes[16]; /* IPv4 in the first four, the rest zero */
    bool known;
};

enum phase {
    PHASE_HANDSHAKE, /* nothing proven */
    PHASE_MEETING,   /* key known; region: waits for HELLO both ways; client: for its first frame */
    PHASE_UP,
    PHASE_LEAVING, /* writes what is queued, then waits for the other side to close */
    PHASE_CLOSED,  /* stream closed; waits for NNG's callbacks */
};

struct link {
    struct work work;
    struct td_net *net;
    atomic_uint refs;
    struct link *next_in_bucket, *next, *previous; /* net->lock */
    bool half_open;                                /* net->lock */
    bool counted_client;                           /* net->lock */
    bool up;                                       /* net->lock; in force for duplicates */
    uint64_t up_ms;                                /* net->lock */
    _Atomic uint64_t due_ms;                       /* when the link wants to run again */
    atomic_bool roster_changed;

    struct td_link_info info; /* constant once up */
    bool initiator;
    bool local;
    struct address address;
    int target; /* initiator: index into net->targets */

    pthread_mutex_t lock; /* guards the next block */
    nng_stream *stream;
    nng_aio *receive_aio, *send_aio;
    bool closing, receive_pending, send_pending;
    bool received; /* receive_count bytes wait for the worker */
    size_t receive_count;
    enum td_err io_err;
    bool sendable; /* td_net_send may queue */
    enum td_err close_why;
    bool close_asked;
    struct td_buffer queue; /* frames as queued, plain */

    /* worker */
    enum phase phase;
    struct td_channel *channel;
    uint8_t *receive_bytes;
    size_t receive_size;
    struct td_buffer urgent;  /* heartbeats, before what is queued */
    struct td_buffer sealing; /* frames taken from queue, from sealing_at on */
    size_t sealing_at;
    struct td_buffer staged; /* sealed, next to be written */
    struct td_buffer out;    /* being written, from out_at on; NNG's while send_pending */
    size_t out_at;
    enum td_err fail_err; /* set by the channel's callbacks */
    struct worker *worker;
    struct td_public_key peer_key;
    uint64_t peer_roster_version;
    bool offer_only; /* the peer is not in our roster: it gets the roster, no more */
    bool hello_sent, hello_received;
    uint64_t start_ms, handshake_end_ms, leave_end_ms, receive_ms, run_ms, ping_ms;
    uint64_t pings_us[PINGS_MAX]; /* 0 = answered or never sent */
    unsigned ping_next;
    uint32_t srtt_us;
};

struct listener {
    struct work work;
    struct td_net *net;
    bool local;
    pthread_mutex_t lock; /* guards all below */
    nng_stream_listener *listener;
    nng_aio *aio;
    bool closing, pending, ready;
    int result;
    uint64_t retry_ms; /* 0 = none */
};

struct dial {
    struct work work;
    struct td_net *net;
    struct dial *next; /* net->lock */
    int target;
    nng_stream_dialer *dialer;
    nng_aio *aio;
    atomic_bool given; /* to NNG: orders what we wrote before its callback, also for checkers */
    char url[TD_ENDPOINT_BYTES_MAX + 1];
};

enum target_state { TARGET_IDLE, TARGET_DIALING, TARGET_LINK };

/* Whom we dial: a region by number, or behind them the seeds. */
struct target {
    enum target_state state;
    unsigned next_endpoint;
    uint64_t due_ms;
    uint32_t backoff_ms;
};
enum { TARGETS_OF_REGIONS = TD_REGION_NUMBER_MAX + 1, SEEDS_MAX = 64 };

struct region_state {
    atomic_bool send_cut, receive_cut;
    _Atomic uint64_t sent_bytes, received_bytes;
    uint64_t ups;           /* net->lock */
    unsigned links_up;      /* net->lock */
    struct address address; /* net->lock; where it was last seen */
};

struct worker {
    struct worker *next;
    struct td_reader *reader;
    uint8_t arena[4096];
};

struct td_net {
    struct td_net_sink sink;
    const struct td_secret *secret;
    struct td_public_key root_sign_key;
    struct td_sodium_signer signer_self;
    struct td_signer signer;
    struct td_region self_configured;
    uint32_t clients_max;
    bool chaos;
    struct td_net_times times;
    char software[TD_SOFTWARE_BYTES_MAX + 1];
    char *seeds[SEEDS_MAX];
    size_t seed_count;
    struct listener *listeners;
    size_t listener_count;
    atomic_bool stopping;

    pthread_mutex_t lock; /* guards the next block */
    struct td_roster_ref *roster;
    struct td_region self;
    bool self_active;
    struct td_incarnation process;
    bool process_known;
    struct link *links;
    struct link *buckets[BUCKETS];
    struct link *half_open[HALF_OPEN_MAX];
    uint32_t next_link, client_count;
    struct target targets[TARGETS_OF_REGIONS + SEEDS_MAX];
    struct dial *dials;
    size_t link_objects; /* not yet freed */
    struct td_net_stats stats;
    struct region_state regions[TD_REGION_NUMBER_MAX + 1];
    _Atomic uint64_t sent_bytes, received_bytes;

    pthread_mutex_t work_lock; /* guards the next block */
    pthread_cond_t work_cond;
    struct work *work_first, *work_last;
    struct worker *workers_idle;
    unsigned workers_busy;
    bool ticking;
    uint64_t tick_ms;
};

/* work.c */
uint64_t net_now_ms(void);
uint64_t net_now_us(void);
uint32_t net_jitter_ms(uint32_t ms); /* ms to 1.5 ms, evenly */
void work_enqueue(struct td_net *net, struct work *work);
struct worker *worker_take(struct td_net *net);
void worker_give(struct td_net *net, struct worker *worker);
/* Runs items until none is left or the end of the round; waits for the first one up to wait_ms. */
void work_run(struct td_net *net, struct worker *worker, uint32_t wait_ms);

/* link.c: life of a link, its NNG operations. */
/* Takes the stream; NULL and the stream freed when there is no memory. */
struct link *link_open(struct td_net *net, nng_stream *take_stream, bool initiator, bool local,
                       int target);
void link_ref(struct link *link);
void link_put(struct link *link);
struct link *link_find(struct td_net *net, struct td_link_id id); /* a reference, or NULL */
void link_kick(struct link *link, enum td_err why);               /* any thread: leave soon */
void link_close_stream(struct link *link);
void link_unlist(struct link *link);
void link_half_open_end(struct link *link);

/* send.c: from queued frames to written bytes. */
/* from_outside: only while the link is up, TD_ECLOSEDLINK else. */
enum td_err link_queue(struct link *link, const struct td_out_frame *frames, size_t frame_count,
                       bool from_outside);
void link_queue_urgent(struct link *link, uint8_t type, struct td_bytes payload);
void link_pump(struct link *link);
void link_send_done(void *arg); /* NNG callback */

/* meet.c: who the other side is, HELLO and ROSTER, duplicates, leaving. */
void link_leave(struct link *link, enum td_err why, bool say_bye);
void link_meet(struct link *link);
void link_roster_changed(struct link *link);
enum td_err link_peer_known(void *self, enum td_channel_kind kind,
                            const struct td_public_key *link_key, const struct td_card *card,
                            uint16_t proto);
void link_frame(void *self, uint8_t type, uint8_t *take_payload, size_t payload_bytes);

/* heartbeat.c */
void link_heartbeat(struct link *link, uint64_t now_ms);
void link_client_alive(struct link *link, uint64_t now_ms);
void link_pong(struct link *link, uint64_t nonce);

/* dial.c */
void dial_tick(struct td_net *net, uint64_t now_ms);
/* The link of this target ended after living so long. */
void dial_link_ended(struct td_net *net, int target, uint64_t lived_ms);
/* A link with the region went down, whoever dialled it. */
void dial_region_down(struct td_net *net, struct td_region region);
void dial_stop(struct td_net *net);

/* listen.c */
enum td_err listener_start(struct td_net *net, struct listener *listener, const char *url,
                           bool local, char *ret_why, size_t why_bytes);
void listener_close(struct listener *listener);
bool listener_free(struct listener *listener); /* false: an accept still hangs; nothing was freed */
void listener_tick(struct listener *listener, uint64_t now_ms);
struct address address_of(const nng_sockaddr *sockaddr);
bool address_same(const struct address *a, const struct address *b);

/* roster.c: the roster in force; a new reference or NULL. */
struct td_roster_ref *net_roster(struct td_net *net);
void net_take_roster(struct td_net *net, struct td_roster_ref *roster); /* net->lock held */
bool net_fault(const struct td_net *net, struct td_region region);

#endif
