/* link.c -- life of one link: its stream, its two NNG operations, and the order in which a worker
 * looks at it.
 *
 *   HANDSHAKE -> MEETING -> UP -> LEAVING -> CLOSED
 *   Any phase may go to LEAVING (says BYE, lets the other side close first) or CLOSED at once.
 *
 * The five rules for NNG streams: every operation has a timeout; "closing" is checked and the next
 * operation submitted under one lock; no aio is stopped that is used again; dial.c keeps the
 * fourth; callbacks only note what came and hand the link to a worker. */
#include "node/net/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <arpa/inet.h>

#include "proto/assert.h"

static bool run_link(struct work *work, struct worker *worker);
static bool bury_link(struct work *work, struct worker *worker);

void link_ref(struct link *link)
{
    atomic_fetch_add(&link->refs, 1);
}

/* The last holder may be a callback of an aio that has to be freed: a worker does that. */
void link_put(struct link *link)
{
    if (atomic_fetch_sub(&link->refs, 1) == 1) {
        link->work.run = bury_link;
        link->work.held = NULL;
        work_enqueue(link->net, &link->work);
    }
}

static void hold_work(struct work *work)
{
    link_ref((struct link *)work);
}

static void done_work(struct work *work)
{
    link_put((struct link *)work);
}

static enum td_err err_of_nng(int result)
{
    switch (result) {
    case 0:
        return TD_OK;
    case NNG_ETIMEDOUT:
        return TD_ETIMEOUT;
    case NNG_ENOMEM:
        return TD_ENOMEM;
    default:
        return TD_ECLOSEDLINK;
    }
}

static void received(void *arg)
{
    struct link *link = arg;
    int result = nng_aio_result(link->receive_aio);

    pthread_mutex_lock(&link->lock);
    link->receive_pending = false;
    if (result == 0) {
        link->receive_count = nng_aio_count(link->receive_aio);
        link->received = true;
    } else if (result != NNG_ETIMEDOUT && link->io_err == TD_OK) {
        link->io_err = err_of_nng(result);
    }
    pthread_mutex_unlock(&link->lock);
    work_enqueue(link->net, &link->work);
    link_put(link);
}

static void receive_more(struct link *link)
{
    nng_iov iov = {.iov_buf = link->receive_bytes, .iov_len = link->receive_size};

    pthread_mutex_lock(&link->lock);
    if (!link->closing && !link->receive_pending && !link->received && link->io_err == TD_OK) {
        link->receive_pending = true;
        link_ref(link);
        nng_aio_set_iov(link->receive_aio, 1, &iov);
        nng_aio_set_timeout(link->receive_aio, RECEIVE_AIO_MS);
        nng_stream_recv(link->stream, link->receive_aio);
    }
    pthread_mutex_unlock(&link->lock);
}

void link_close_stream(struct link *link)
{
    pthread_mutex_lock(&link->lock);
    if (!link->closing) {
        link->closing = true;
        link->sendable = false;
        nng_stream_close(link->stream);
    }
    pthread_mutex_unlock(&link->lock);
    link->phase = PHASE_CLOSED;
}

void link_kick(struct link *link, enum td_err why)
{
    pthread_mutex_lock(&link->lock);
    if (!link->close_asked) {
        link->close_asked = true;
        link->close_why = why;
        link->sendable = false;
    }
    pthread_mutex_unlock(&link->lock);
    work_enqueue(link->net, &link->work);
}

static void describe_remote(struct link *link)
{
    nng_sockaddr sockaddr;
    char host[INET6_ADDRSTRLEN] = "?";
    unsigned port = 0;

    if (link->local) {
        uint64_t uid = UINT64_MAX;
        nng_stream_get_uint64(link->stream, NNG_OPT_IPC_PEER_UID, &uid);
        link->info.uid = uid;
        link->info.role = uid == 0 || uid == geteuid() ? TD_ROLE_ADMIN : TD_ROLE_PUBLISH;
        snprintf(link->info.remote, sizeof link->info.remote, "local uid %llu",
                 (unsigned long long)uid);
        return;
    }
    if (nng_stream_get_addr(link->stream, NNG_OPT_REMADDR, &sockaddr) != 0) {
        return;
    }
    link->address = address_of(&sockaddr);
    if (sockaddr.s_family == NNG_AF_INET) {
        inet_ntop(AF_INET, &sockaddr.s_in.sa_addr, host, sizeof host);
        port = ntohs(sockaddr.s_in.sa_port);
    } else if (sockaddr.s_family == NNG_AF_INET6) {
        inet_ntop(AF_INET6, sockaddr.s_in6.sa_addr, host, sizeof host);
        port = ntohs(sockaddr.s_in6.sa_port);
    }
    snprintf(link->info.remote, sizeof link->info.remote,
             sockaddr.s_family == NNG_AF_INET6 ? "[%s]:%u" : "%s:%u", host, port);
}

/* The channel of our side: our card, the preamble and message 1 when we dialled. */
static enum td_err open_channel(struct link *link)
{
    struct td_net *net = link->net;
    struct td_roster_ref *ref = net_roster(net);
    struct td_channel_config config = {
        .kind = TD_CHANNEL_REGION,
        .initiator = link->initiator,
        .local_allowed = link->local,
        .secret = net->secret,
        .root_sign_key = net->root_sign_key,
        .frame_bytes_max = TD_FRAME_BYTES_MAX,
    };

    if (ref != NULL) {
        pthread_mutex_lock(&net->lock);
        struct td_region self = net->self;
        pthread_mutex_unlock(&net->lock);
        const struct td_roster_region *own = td_roster_region(td_roster_ref_roster(ref), self);
        if (own != NULL && own->card.count <= TD_CARD_BYTES_MAX) {
            config.card = own->card;
        }
    }
    enum td_err err = td_channel_open(&config, &link->staged, &link->channel);
    td_roster_ref_put(ref);
    return err;
}

static void list_link(struct td_net *net, struct link *link)
{
    pthread_mutex_lock(&net->lock);
    net->link_objects++;
    do {
        net->next_link++;
    } while (net->next_link == 0);
    link->info.link.v = net->next_link;
    struct link **bucket = &net->buckets[link->info.link.v % BUCKETS];
    link->next_in_bucket = *bucket;
    *bucket = link;
    link->next = net->links;
    if (net->links != NULL) {
        net->links->previous = link;
    }
    net->links = link;
    link_ref(link);
    pthread_mutex_unlock(&net->lock);
}

struct link *link_open(struct td_net *net, nng_stream *take_stream, bool initiator, bool local,
                       int target)
{
    struct link *link = calloc(1, sizeof *link);

    if (link != NULL) {
        link->receive_bytes = malloc(RECEIVE_BYTES_HALF_OPEN);
    }
    if (link == NULL || link->receive_bytes == NULL ||
        nng_aio_alloc(&link->receive_aio, received, link) != 0 ||
        nng_aio_alloc(&link->send_aio, link_send_done, link) != 0) {
        if (link != NULL) {
            nng_aio_free(link->receive_aio);
            free(link->receive_bytes);
            free(link);
        }
        nng_stream_close(take_stream);
        nng_stream_free(take_stream);
        return NULL;
    }
    link->net = net;
    link->work = (struct work){.run = run_link, .held = hold_work, .done = done_work};
    atomic_init(&link->refs, 1);
    pthread_mutex_init(&link->lock, NULL);
    link->stream = take_stream;
    link->initiator = initiator;
    link->local = local;
    link->target = target;
    link->receive_size = RECEIVE_BYTES_HALF_OPEN;
    td_buffer_init(&link->queue, local ? CLIENT_QUEUE_BYTES_MAX : REGION_QUEUE_BYTES_MAX);
    td_buffer_init(&link->urgent, 4096);
    td_buffer_init(&link->staged, STAGED_BYTES_MAX);
    td_buffer_init(&link->out, STAGED_BYTES_MAX);
    td_buffer_init(&link->sealing, REGION_QUEUE_BYTES_MAX);
    link->start_ms = net_now_ms();
    link->receive_ms = link->start_ms;
    link->run_ms = link->start_ms;
    link->handshake_end_ms = link->start_ms + link->net->times.handshake;
    atomic_store(&link->due_ms, link->handshake_end_ms);
    describe_remote(link);
    if (open_channel(link) != TD_OK) {
        link_close_stream(link);
    }
    list_link(net, link);
    return link;
}

struct link *link_find(struct td_net *net, struct td_link_id id)
{
    pthread_mutex_lock(&net->lock);
    struct link *link = net->buckets[id.v % BUCKETS];
    while (link != NULL && link->info.link.v != id.v) {
        link = link->next_in_bucket;
    }
    if (link != NULL) {
        link_ref(link);
    }
    pthread_mutex_unlock(&net->lock);
    return link;
}

static void half_open_end_locked(struct link *link)
{
    for (int i = 0; link->half_open && i < HALF_OPEN_MAX; i++) {
        if (link->net->half_open[i] == link) {
            link->net->half_open[i] = NULL;
            link->half_open = false;
        }
    }
}

void link_half_open_end(struct link *link)
{
    pthread_mutex_lock(&link->net->lock);
    half_open_end_locked(link);
    pthread_mutex_unlock(&link->net->lock);
}

/* Out of the table; lookups end, the table's reference is given back by the caller. */
static bool unlist_locked(struct td_net *net, struct link *link)
{
    struct link **at = &net->buckets[link->info.link.v % BUCKETS];

    while (*at != NULL && *at != link) {
        at = &(*at)->next_in_bucket;
    }
    if (*at == NULL) {
        return false;
    }
    *at = link->next_in_bucket;
    if (link->previous != NULL) {
        link->previous->next = link->next;
    } else {
        net->links = link->next;
    }
    if (link->next != NULL) {
        link->next->previous = link->previous;
    }
    link->next = NULL;
    link->previous = NULL;
    return true;
}

void link_unlist(struct link *link)
{
    struct td_net *net = link->net;

    pthread_mutex_lock(&net->lock);
    half_open_end_locked(link);
    bool listed = unlist_locked(net, link);
    if (link->counted_client) {
        link->counted_client = false;
        net->client_count--;
    }
    pthread_mutex_unlock(&net->lock);
    if (listed) {
        link_put(link);
    }
}

static bool bury_link(struct work *work, struct worker *worker)
{
    struct link *link = (struct link *)work;
    struct td_net *net = link->net;

    (void)worker;
    nng_aio_free(link->receive_aio);
    nng_aio_free(link->send_aio);
    nng_stream_free(link->stream);
    td_channel_close(link->channel);
    td_buffer_fini(&link->queue);
    td_buffer_fini(&link->urgent);
    td_buffer_fini(&link->sealing);
    td_buffer_fini(&link->staged);
    td_buffer_fini(&link->out);
    free(link->receive_bytes);
    pthread_mutex_destroy(&link->lock);
    free(link);
    pthread_mutex_lock(&net->lock);
    net->link_objects--;
    pthread_mutex_unlock(&net->lock);
    return true;
}

/* --- Run by a worker ------------------------------------------------------------------------- */

struct signals {
    bool received, receive_pending, close_asked;
    enum td_err io_err, close_why;
};

static struct signals take_signals(struct link *link)
{
    pthread_mutex_lock(&link->lock);
    struct signals signals = {
        .received = link->received,
        .receive_pending = link->receive_pending,
        .close_asked = link->close_asked,
        .io_err = link->io_err,
        .close_why = link->close_why,
    };
    pthread_mutex_unlock(&link->lock);
    return signals;
}

static void enlarge_receive(struct link *link)
{
    size_t size = link->info.kind == TD_LINK_REGION ? RECEIVE_BYTES_REGION : RECEIVE_BYTES_CLIENT;

    if (link->receive_size >= size) {
        return;
    }
    uint8_t *bytes = realloc(link->receive_bytes, size);
    if (bytes != NULL) { /* else it goes on with small reads */
        link->receive_bytes = bytes;
        link->receive_size = size;
    }
}

static void established(struct link *link)
{
    if (!link->offer_only) { /* a stranger keeps its place among the half-open until it is gone */
        link_half_open_end(link);
    }
    link->phase = PHASE_MEETING;
    if (link->local) {
        link->info.kind = TD_LINK_LOCAL;
    }
    link_meet(link);
}

/* Once per link: LOCAL is established without peer_known. */
static void note_established(struct link *link)
{
    if (link->phase == PHASE_HANDSHAKE && td_channel_established(link->channel)) {
        established(link);
    }
}

/* The channel's frames; the first one comes inside the call that ends the handshake. */
static void on_frame(void *self, uint8_t type, uint8_t *take_payload, size_t payload_bytes)
{
    struct link *link = self;

    note_established(link);
    link_frame(link, type, take_payload, payload_bytes);
}

static void refuse_handshake(struct link *link)
{
    pthread_mutex_lock(&link->net->lock);
    link->net->stats.refused_handshake++;
    pthread_mutex_unlock(&link->net->lock);
}

static void take_input(struct link *link)
{
    struct td_channel_sink sink = {.self = link, .peer_known = link_peer_known, .frame = on_frame};
    size_t count = link->receive_count;

    link->receive_ms = net_now_ms();
    atomic_fetch_add(&link->net->received_bytes, count);
    if (link->info.kind == TD_LINK_REGION) {
        atomic_fetch_add(&link->net->regions[link->info.region.v].received_bytes, count);
    }
    if (link->phase != PHASE_LEAVING) {
        enum td_err err = td_channel_receive(
            link->channel, (struct td_bytes){link->receive_bytes, count}, &sink, &link->staged);
        if (err == TD_OK) {
            note_established(link);
            err = link->fail_err;
        }
        if (err != TD_OK) {
            if (link->phase == PHASE_HANDSHAKE) {
                refuse_handshake(link);
            }
            link_leave(link, err, link->phase >= PHASE_MEETING);
        }
    }
    pthread_mutex_lock(&link->lock);
    link->received = false;
    pthread_mutex_unlock(&link->lock);
}

/* A Unix socket of a dead process is closed by the kernel; a client's first frame may take its
 * time. */
static bool client_watched(const struct link *link)
{
    return link->info.kind == TD_LINK_CLIENT &&
           (link->phase == PHASE_MEETING || link->phase == PHASE_UP);
}

static void take_timers(struct link *link)
{
    uint64_t now_ms = net_now_ms(); /* not before receive_ms */

    if (client_watched(link)) {
        link_client_alive(link, now_ms);
    } else if (link->phase <= PHASE_MEETING && now_ms >= link->handshake_end_ms) {
        if (link->phase == PHASE_HANDSHAKE) {
            refuse_handshake(link);
        }
        link_leave(link, TD_ETIMEOUT, false);
    } else if (link->phase == PHASE_LEAVING && now_ms >= link->leave_end_ms) {
        link_close_stream(link);
    } else if (link->phase == PHASE_UP && link->info.kind == TD_LINK_REGION) {
        link_heartbeat(link, now_ms);
    }
}

static void set_due(struct link *link)
{
    uint64_t due_ms = UINT64_MAX;

    if (client_watched(link)) {
        const struct td_net_times *times = &link->net->times;
        bool pinged = link->ping_ms >= link->receive_ms + times->client_ping;
        due_ms = link->receive_ms + (pinged ? times->client_dead : times->client_ping);
    } else if (link->phase <= PHASE_MEETING) {
        due_ms = link->handshake_end_ms;
    } else if (link->phase == PHASE_LEAVING) {
        due_ms = link->leave_end_ms;
    } else if (link->phase == PHASE_UP && link->info.kind == TD_LINK_REGION) {
        due_ms = link->ping_ms;
    }
    atomic_store(&link->due_ms, due_ms);
}

/* The stream is closed: when both operations have come back nothing holds the link any more. */
static void end_closed(struct link *link)
{
    link_leave(link, TD_ECLOSEDLINK, false);
    pthread_mutex_lock(&link->lock);
    bool pending = link->receive_pending || link->send_pending;
    pthread_mutex_unlock(&link->lock);
    if (!pending) {
        if (link->initiator && link->target >= 0) {
            int target = link->target;
            link->target = -1;
            dial_link_ended(link->net, target, link->up_ms == 0 ? 0 : net_now_ms() - link->up_ms);
        }
        link_unlist(link);
    }
}

static bool run_link(struct work *work, struct worker *worker)
{
    struct link *link = (struct link *)work;
    uint64_t now_ms = net_now_ms();
    struct signals signals = take_signals(link);
    bool held = link->info.kind == TD_LINK_REGION &&
                atomic_load(&link->net->regions[link->info.region.v].receive_cut);

    link->worker = worker;
    if (link->phase != PHASE_CLOSED && atomic_load(&link->net->stopping)) {
        link_leave(link, TD_ECLOSEDLINK, false);
    }
    if (link->phase != PHASE_CLOSED && signals.close_asked && link->phase != PHASE_LEAVING) {
        link_leave(link, signals.close_why, signals.close_why != TD_EBUSY);
    }
    if (link->phase != PHASE_CLOSED && signals.received && !held) {
        take_input(link);
    }
    if (link->phase != PHASE_CLOSED && signals.io_err != TD_OK && !held) {
        link_leave(link, signals.io_err, false);
    }
    if (link->phase != PHASE_CLOSED && atomic_exchange(&link->roster_changed, false)) {
        link_roster_changed(link);
    }
    if (link->phase != PHASE_CLOSED) {
        take_timers(link);
    }
    if (link->phase != PHASE_CLOSED) {
        link_pump(link);
        if (!held) {
            if (link->phase >= PHASE_MEETING) {
                pthread_mutex_lock(&link->lock);
                bool idle = !link->receive_pending && !link->received;
                pthread_mutex_unlock(&link->lock);
                if (idle) {
                    enlarge_receive(link);
                }
            }
            receive_more(link);
        }
    }
    if (link->phase == PHASE_CLOSED) {
        end_closed(link);
    }
    set_due(link);
    link->run_ms = now_ms;
    link->worker = NULL;
    return false;
}
