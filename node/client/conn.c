/* conn.c -- NNG streams by the five rules: every operation has a time-out; one lock and one closing
 * flag guard submission; no aio is stopped and used again; a dialer serves once; callbacks do no
 * work. */
#include "node/client/conn.h"

#include <nng/nng.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proto/assert.h"
#include "proto/limits.h"

enum {
    INPUT_BYTES = 128 * 1024,
    OUT_BYTES_MAX = 16 * 1024 * 1024,
    RECV_TIMEOUT_MS = 30000, /* then it is simply armed again */
    SEND_TIMEOUT_MS = 10000,
};

struct td_conn {
    struct td_conn_config config;

    /* Under hub->lock: written by NNG's callbacks. */
    bool closing;
    unsigned pending; /* operations NNG has not returned */
    bool dialled;     /* the dial aio came back */
    bool received;    /* the receive aio came back */
    bool sent;        /* the send aio came back */
    int failure;      /* first error of NNG; 0 = none */
    size_t received_bytes;
    size_t sent_bytes;

    nng_stream_dialer *dialer;
    nng_stream *stream;
    nng_aio *dial_aio;
    nng_aio *recv_aio;
    nng_aio *send_aio;

    /* The handle's thread only. */
    struct td_channel *channel;
    struct td_buffer out;     /* sealed, waits */
    struct td_buffer sending; /* with the stream */
    size_t sending_at;
    bool send_busy;
    uint64_t heard_ms;
    enum td_err peer_err; /* what the check of the node's card said */
    uint8_t input[INPUT_BYTES];
};

uint64_t td_now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void td_hub_signal(struct td_hub *hub)
{
    if (!hub->pending) {
        hub->pending = true;
        (void)pthread_cond_signal(&hub->wake);
    }
}

static void note(struct td_conn *conn, nng_aio *aio, bool *flag, size_t *count)
{
    struct td_hub *hub = conn->config.hub;
    int result = nng_aio_result(aio);
    (void)pthread_mutex_lock(&hub->lock);
    TD_ASSERT(conn->pending > 0);
    conn->pending--;
    *flag = true;
    if (count != NULL) {
        *count = result == 0 ? nng_aio_count(aio) : 0;
    }
    bool idle = result == NNG_ETIMEDOUT && aio == conn->recv_aio; /* nothing came: no failure */
    if (result != 0 && !idle && conn->failure == 0) {
        conn->failure = result;
    }
    td_hub_signal(hub);
    (void)pthread_mutex_unlock(&hub->lock);
}

static void on_dialled(void *self)
{
    struct td_conn *conn = self;
    note(conn, conn->dial_aio, &conn->dialled, NULL);
}

static void on_received(void *self)
{
    struct td_conn *conn = self;
    note(conn, conn->recv_aio, &conn->received, &conn->received_bytes);
}

static void on_sent(void *self)
{
    struct td_conn *conn = self;
    note(conn, conn->send_aio, &conn->sent, &conn->sent_bytes);
}

/* Rule 2: flag and submission under one lock; after closing nothing is submitted. */
static void submit_receive(struct td_conn *conn)
{
    nng_iov iov = {conn->input, sizeof conn->input};
    (void)pthread_mutex_lock(&conn->config.hub->lock);
    if (!conn->closing && conn->failure == 0) {
        conn->received = false;
        conn->pending++;
        (void)nng_aio_set_iov(conn->recv_aio, 1, &iov);
        nng_aio_set_timeout(conn->recv_aio, RECV_TIMEOUT_MS);
        nng_stream_recv(conn->stream, conn->recv_aio);
    }
    (void)pthread_mutex_unlock(&conn->config.hub->lock);
}

static void submit_send(struct td_conn *conn)
{
    nng_iov iov = {conn->sending.bytes + conn->sending_at,
                   conn->sending.used_bytes - conn->sending_at};
    (void)pthread_mutex_lock(&conn->config.hub->lock);
    if (!conn->closing && conn->failure == 0) {
        conn->sent = false;
        conn->pending++;
        conn->send_busy = true;
        (void)nng_aio_set_iov(conn->send_aio, 1, &iov);
        nng_aio_set_timeout(conn->send_aio, SEND_TIMEOUT_MS);
        nng_stream_send(conn->stream, conn->send_aio);
    }
    (void)pthread_mutex_unlock(&conn->config.hub->lock);
}

static enum td_err alloc_operations(struct td_conn *conn)
{
    bool ok = nng_aio_alloc(&conn->dial_aio, on_dialled, conn) == 0 &&
              nng_aio_alloc(&conn->recv_aio, on_received, conn) == 0 &&
              nng_aio_alloc(&conn->send_aio, on_sent, conn) == 0;
    return ok ? TD_OK : TD_ENOMEM;
}

static void conn_free(struct td_conn *conn)
{
    if (conn->stream != NULL) {
        nng_stream_free(conn->stream);
    }
    if (conn->dialer != NULL) {
        nng_stream_dialer_free(conn->dialer);
    }
    nng_aio *aios[] = {conn->dial_aio, conn->recv_aio, conn->send_aio};
    for (size_t i = 0; i < sizeof aios / sizeof aios[0]; i++) {
        if (aios[i] != NULL) {
            nng_aio_free(aios[i]);
        }
    }
    td_channel_close(conn->channel);
    td_buffer_fini(&conn->out);
    td_buffer_fini(&conn->sending);
    free(conn);
}

enum td_err td_conn_open(const struct td_conn_config *config, struct td_conn **ret_conn)
{
    struct td_conn *conn = calloc(1, sizeof *conn);
    if (conn == NULL) {
        return TD_ENOMEM;
    }
    conn->config = *config;
    conn->heard_ms = td_now_ms();
    td_buffer_init(&conn->out, OUT_BYTES_MAX);
    td_buffer_init(&conn->sending, OUT_BYTES_MAX);
    enum td_err err = alloc_operations(conn);
    int result =
        err == TD_OK ? nng_stream_dialer_alloc(&conn->dialer, config->address) : NNG_ENOMEM;
    if (result != 0) {
        conn_free(conn);
        return result == NNG_ENOMEM ? TD_ENOMEM : TD_ENONODE;
    }
    /* The stream API leaves Nagle's algorithm on; a Unix socket does not know the option. */
    (void)nng_stream_dialer_set_bool(conn->dialer, NNG_OPT_TCP_NODELAY, true);
    (void)pthread_mutex_lock(&config->hub->lock);
    conn->pending++;
    nng_aio_set_timeout(conn->dial_aio, (nng_duration)config->connect_timeout_ms);
    nng_stream_dialer_dial(conn->dialer, conn->dial_aio);
    (void)pthread_mutex_unlock(&config->hub->lock);
    *ret_conn = conn;
    return TD_OK;
}

static enum td_err open_channel(struct td_conn *conn)
{
    bool local = strncmp(conn->config.address, "ipc://", 6) == 0;
    struct td_channel_config config = {
        .kind = local ? TD_CHANNEL_LOCAL : TD_CHANNEL_CLIENT,
        .initiator = true,
        .local_allowed = local,
        .secret = local ? NULL : conn->config.secret,
        .root_sign_key = conn->config.root_sign_key,
        .roster_version_min = conn->config.roster_version_min,
        .frame_bytes_max = TD_FRAME_BYTES_MAX,
    };
    conn->stream = nng_aio_get_output(conn->dial_aio, 0);
    TD_ASSERT(conn->stream != NULL);
    return td_channel_open(&config, &conn->out, &conn->channel);
}

/* A node without a card is not in any roster: it cannot prove to belong to this cluster. */
static enum td_err peer_known(void *self, enum td_channel_kind kind,
                              const struct td_public_key *link_key, const struct td_card *card,
                              uint16_t proto)
{
    struct td_conn *conn = self;
    (void)kind;
    (void)link_key;
    (void)proto;
    conn->peer_err = card == NULL ? TD_ESTARTING : TD_OK;
    return conn->peer_err;
}

struct receiver {
    struct td_conn *conn;
    td_conn_frame frame;
    void *self;
};

static enum td_err receiver_peer_known(void *self, enum td_channel_kind kind,
                                       const struct td_public_key *link_key,
                                       const struct td_card *card, uint16_t proto)
{
    return peer_known(((struct receiver *)self)->conn, kind, link_key, card, proto);
}

static void receiver_frame(void *self, uint8_t type, uint8_t *take_payload, size_t payload_bytes)
{
    struct receiver *receiver = self;
    receiver->frame(receiver->self, type, take_payload, payload_bytes);
}

static enum td_err feed(struct td_conn *conn, size_t count, td_conn_frame frame, void *self)
{
    struct receiver receiver = {conn, frame, self};
    struct td_channel_sink sink = {&receiver, receiver_peer_known, receiver_frame};
    conn->heard_ms = td_now_ms();
    enum td_err err =
        td_channel_receive(conn->channel, (struct td_bytes){conn->input, count}, &sink, &conn->out);
    return conn->peer_err != TD_OK ? conn->peer_err : err;
}

/* What the callbacks noted, taken over in one go. */
struct news {
    bool dialled, received, sent;
    int failure;
    size_t received_bytes, sent_bytes;
};

static struct news take_news(struct td_conn *conn)
{
    (void)pthread_mutex_lock(&conn->config.hub->lock);
    struct news news = {conn->dialled, conn->received,       conn->sent,
                        conn->failure, conn->received_bytes, conn->sent_bytes};
    conn->dialled = false;
    conn->received = false;
    conn->sent = false;
    (void)pthread_mutex_unlock(&conn->config.hub->lock);
    return news;
}

static void advance_sending(struct td_conn *conn, const struct news *news)
{
    if (news->sent) {
        conn->send_busy = false;
        conn->sending_at += news->sent_bytes; /* NNG sends parts (FACTS) */
    }
    if (conn->send_busy || conn->stream == NULL) {
        return;
    }
    if (conn->sending_at == conn->sending.used_bytes) {
        struct td_buffer done = conn->sending;
        conn->sending = conn->out;
        conn->out = done;
        conn->out.used_bytes = 0;
        conn->sending_at = 0;
    }
    if (conn->sending_at < conn->sending.used_bytes) {
        submit_send(conn);
    }
}

enum td_err td_conn_pump(struct td_conn *conn, td_conn_frame frame, void *self)
{
    struct news news = take_news(conn);
    enum td_err err = TD_OK;
    if (news.dialled && news.failure == 0) {
        err = open_channel(conn);
        if (err == TD_OK) {
            submit_receive(conn);
        }
    }
    if (err == TD_OK && news.received && conn->channel != NULL) {
        err = news.received_bytes > 0 ? feed(conn, news.received_bytes, frame, self) : TD_OK;
        if (err == TD_OK && news.failure == 0) {
            submit_receive(conn);
        }
    }
    if (err != TD_OK) {
        return err;
    }
    if (news.failure != 0) {
        return conn->channel == NULL                   ? TD_ENONODE
               : td_channel_established(conn->channel) ? TD_ECLOSEDLINK
                                                       : TD_EHANDSHAKE;
    }
    advance_sending(conn, &news);
    return TD_OK;
}

bool td_conn_ready(const struct td_conn *conn)
{
    return conn->channel != NULL && td_channel_established(conn->channel);
}

enum td_err td_conn_send(struct td_conn *conn, uint8_t type, struct td_bytes payload)
{
    struct td_out_frame frame = {type, payload};
    TD_ASSERT(td_conn_ready(conn));
    return td_channel_seal(conn->channel, &frame, 1, &conn->out);
}

size_t td_conn_backlog(const struct td_conn *conn)
{
    return conn->out.used_bytes + conn->sending.used_bytes - conn->sending_at;
}

uint64_t td_conn_heard_ms(const struct td_conn *conn)
{
    return conn->heard_ms;
}

void td_conn_kill(struct td_conn *conn)
{
    (void)pthread_mutex_lock(&conn->config.hub->lock);
    conn->closing = true;
    if (conn->stream != NULL) {
        nng_stream_close(conn->stream);
    }
    if (conn->dialer != NULL) {
        nng_stream_dialer_close(conn->dialer);
    }
    (void)pthread_mutex_unlock(&conn->config.hub->lock);
}

bool td_conn_reap(struct td_conn *conn)
{
    (void)pthread_mutex_lock(&conn->config.hub->lock);
    bool idle = conn->pending == 0;
    /* A dial that succeeded while we were closing still hands over a stream. */
    if (idle && conn->stream == NULL && conn->dialled && nng_aio_result(conn->dial_aio) == 0) {
        conn->stream = nng_aio_get_output(conn->dial_aio, 0);
    }
    (void)pthread_mutex_unlock(&conn->config.hub->lock);
    if (idle) {
        conn_free(conn);
    }
    return idle;
}
