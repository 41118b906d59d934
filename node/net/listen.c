/* listen.c -- listeners, and how many strangers may be half-way in. One accept is under way per
 * listener; a worker takes the stream and only then asks for the next. */
#include "node/net/internal.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "proto/assert.h"

enum { RETRY_MS = 100 };

struct address address_of(const nng_sockaddr *sockaddr)
{
    struct address address = {.known = false};

    if (sockaddr->s_family == NNG_AF_INET) {
        memcpy(address.bytes, &sockaddr->s_in.sa_addr, 4);
        address.known = true;
    } else if (sockaddr->s_family == NNG_AF_INET6) {
        memcpy(address.bytes, sockaddr->s_in6.sa_addr, 16);
        address.known = true;
    }
    return address;
}

bool address_same(const struct address *a, const struct address *b)
{
    return a->known && b->known && memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

/* tcp://HOST:PORT with a numeric host; a name is not looked up here, but once a link with the
 * region has been up its address is known anyway. */
static struct address address_of_endpoint(struct td_text endpoint)
{
    struct address address = {.known = false};
    char text[TD_ENDPOINT_BYTES_MAX + 1];
    static const char scheme[] = "tcp://";
    char *host = text + sizeof scheme - 1;

    if (endpoint.count >= sizeof text || endpoint.count <= sizeof scheme ||
        memcmp(endpoint.bytes, scheme, sizeof scheme - 1) != 0) {
        return address;
    }
    memcpy(text, endpoint.bytes, endpoint.count);
    text[endpoint.count] = '\0';
    char *colon = strrchr(host, ':');
    if (colon == NULL) {
        return address;
    }
    *colon = '\0';
    if (host[0] == '[' && colon[-1] == ']') {
        colon[-1] = '\0';
        address.known = inet_pton(AF_INET6, host + 1, address.bytes) == 1;
    } else {
        address.known = inet_pton(AF_INET, host, address.bytes) == 1;
    }
    return address;
}

static bool in_roster_locked(const struct td_net *net, const struct address *address)
{
    if (net->roster == NULL) {
        return false;
    }
    const struct td_roster *roster = td_roster_ref_roster(net->roster);
    for (uint32_t i = 0; i < roster->region_count; i++) {
        const struct td_roster_region *region = &roster->regions[i];
        if (address_same(&net->regions[region->number.v].address, address)) {
            return true;
        }
        for (uint32_t e = 0; e < region->endpoint_count; e++) {
            struct address known = address_of_endpoint(region->endpoints[e]);
            if (address_same(&known, address)) {
                return true;
            }
        }
    }
    return false;
}

/* The index of a free place, or -1: THREATS, flooding by unknown senders. */
static int half_open_place_locked(const struct td_net *net, const struct address *address)
{
    int place = -1;
    unsigned used = 0;
    unsigned same = 0;

    for (int i = 0; i < HALF_OPEN_MAX; i++) {
        if (net->half_open[i] == NULL) {
            place = i;
        } else {
            used++;
            same += address_same(&net->half_open[i]->address, address) ? 1 : 0;
        }
    }
    if (place < 0) {
        return -1;
    }
    bool plain_ok = used < HALF_OPEN_MAX - HALF_OPEN_ROSTER_MIN && same < HALF_OPEN_ADDRESS_MAX;
    return plain_ok || in_roster_locked(net, address) ? place : -1;
}

/* Local clients are not strangers; they only count against the number of clients. */
static bool admit_stream(struct td_net *net, struct link *link)
{
    bool admitted = false;

    pthread_mutex_lock(&net->lock);
    net->stats.accepted++;
    if (link->local) {
        admitted = net->client_count < net->clients_max;
        if (admitted) {
            net->client_count++;
            link->counted_client = true;
        }
    } else {
        int place = half_open_place_locked(net, &link->address);
        if (place >= 0) {
            net->half_open[place] = link;
            link->half_open = true;
            admitted = true;
        }
    }
    if (!admitted) {
        net->stats.refused_table_full++;
    }
    pthread_mutex_unlock(&net->lock);
    return admitted;
}

static void take_stream(struct listener *listener, nng_stream *stream)
{
    struct td_net *net = listener->net;

    if (atomic_load(&net->stopping)) {
        nng_stream_close(stream);
        nng_stream_free(stream);
        return;
    }
    struct link *link = link_open(net, stream, false, listener->local, -1);
    if (link == NULL) {
        return;
    }
    if (!admit_stream(net, link)) {
        link_kick(link, TD_EBUSY);
    }
    work_enqueue(net, &link->work);
    link_put(link);
}

static void accepted(void *arg)
{
    struct listener *listener = arg;

    pthread_mutex_lock(&listener->lock);
    listener->pending = false;
    listener->ready = true;
    listener->result = nng_aio_result(listener->aio);
    pthread_mutex_unlock(&listener->lock);
    work_enqueue(listener->net, &listener->work);
}

static void submit_locked(struct listener *listener)
{
    if (!listener->closing && !listener->pending) {
        listener->pending = true;
        nng_aio_set_timeout(listener->aio, ACCEPT_AIO_MS);
        nng_stream_listener_accept(listener->listener, listener->aio);
    }
}

/* Errors that say nothing about the listener: the peer was gone already, or nobody came. */
static bool harmless(int result)
{
    return result == NNG_ETIMEDOUT || result == NNG_ECONNABORTED || result == NNG_ECONNRESET ||
           result == NNG_EPEERAUTH || result == NNG_ECONNSHUT;
}

static bool run_listener(struct work *work, struct worker *worker)
{
    struct listener *listener = (struct listener *)work;
    nng_stream *stream = NULL;

    (void)worker;
    pthread_mutex_lock(&listener->lock);
    if (listener->ready) {
        listener->ready = false;
        if (listener->result == 0) {
            stream = nng_aio_get_output(listener->aio, 0);
        }
        if (listener->result == 0 || harmless(listener->result)) {
            submit_locked(listener);
        } else if (!listener->closing) {
            listener->retry_ms = net_now_ms() + RETRY_MS; /* no descriptors, no memory: later */
        }
    } else if (listener->retry_ms != 0 && net_now_ms() >= listener->retry_ms) {
        listener->retry_ms = 0;
        submit_locked(listener);
    }
    pthread_mutex_unlock(&listener->lock);
    if (stream != NULL) {
        take_stream(listener, stream);
    }
    return false;
}

void listener_tick(struct listener *listener, uint64_t now_ms)
{
    pthread_mutex_lock(&listener->lock);
    bool due = listener->retry_ms != 0 && now_ms >= listener->retry_ms;
    pthread_mutex_unlock(&listener->lock);
    if (due) {
        work_enqueue(listener->net, &listener->work);
    }
}

/* NNG sets the mode after bind: the umask closes the moment between. */
static int listen_with_mode(nng_stream_listener *listener, bool local)
{
    if (!local) {
        return nng_stream_listener_listen(listener);
    }
    int result = nng_stream_listener_set_int(listener, NNG_OPT_IPC_PERMISSIONS, 0660);
    if (result == 0) {
        mode_t before = umask(0117);
        result = nng_stream_listener_listen(listener);
        umask(before);
    }
    return result;
}

enum td_err listener_start(struct td_net *net, struct listener *listener, const char *url,
                           bool local, char *ret_why, size_t why_bytes)
{
    listener->net = net;
    listener->local = local;
    listener->work.run = run_listener;
    pthread_mutex_init(&listener->lock, NULL);
    int result = nng_aio_alloc(&listener->aio, accepted, listener);
    if (result == 0) {
        result = nng_stream_listener_alloc(&listener->listener, url);
    }
    if (result == 0 && !local) {
        result = nng_stream_listener_set_bool(listener->listener, NNG_OPT_TCP_NODELAY, true);
    }
    if (result == 0) {
        result = listen_with_mode(listener->listener, local);
    }
    if (result != 0) {
        snprintf(ret_why, why_bytes, "cannot listen on %s: %s%s", url, nng_strerror(result),
                 result == NNG_EADDRINUSE ? ": another process has it" : "");
        return result == NNG_ENOMEM ? TD_ENOMEM : TD_EIO;
    }
    pthread_mutex_lock(&listener->lock);
    submit_locked(listener);
    pthread_mutex_unlock(&listener->lock);
    return TD_OK;
}

void listener_close(struct listener *listener)
{
    pthread_mutex_lock(&listener->lock);
    listener->closing = true;
    if (listener->listener != NULL) {
        nng_stream_listener_close(listener->listener);
    }
    pthread_mutex_unlock(&listener->lock);
}

bool listener_free(struct listener *listener)
{
    pthread_mutex_lock(&listener->lock);
    bool pending = listener->pending;
    if (!pending && listener->ready && listener->result == 0) {
        nng_stream_free(nng_aio_get_output(listener->aio, 0));
        listener->ready = false;
    }
    pthread_mutex_unlock(&listener->lock);
    if (pending) {
        return false;
    }
    nng_aio_free(listener->aio);
    nng_stream_listener_free(listener->listener);
    pthread_mutex_destroy(&listener->lock);
    return true;
}
