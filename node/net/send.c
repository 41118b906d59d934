/* send.c -- from queued frames to written bytes: any thread queues plain frames, a worker seals
 * them, NNG writes. While one stretch is written the next is sealed. */
#include "node/net/internal.h"

#include <string.h>

#include "proto/assert.h"

/* A queued frame: this, then its payload. */
struct queued {
    uint32_t payload_bytes;
    uint8_t type;
};

enum { FRAMES_AT_ONCE = 64 };

static bool append(struct td_buffer *queue, uint8_t type, struct td_bytes payload)
{
    struct queued head = {.payload_bytes = (uint32_t)payload.count, .type = type};
    uint8_t *at = td_buffer_reserve(queue, sizeof head + payload.count);

    if (at == NULL) {
        return false;
    }
    memcpy(at, &head, sizeof head);
    if (payload.count > 0) {
        memcpy(at + sizeof head, payload.bytes, payload.count);
    }
    queue->used_bytes += sizeof head + payload.count;
    return true;
}

/* All or nothing. Over the bound the link cannot go on: what follows would be missing a part. */
enum td_err link_queue(struct link *link, const struct td_out_frame *frames, size_t frame_count,
                       bool from_outside)
{
    enum td_err err = TD_OK;

    pthread_mutex_lock(&link->lock);
    if (from_outside && !link->sendable) {
        err = TD_ECLOSEDLINK;
    }
    size_t used = link->queue.used_bytes;
    for (size_t i = 0; i < frame_count && err == TD_OK; i++) {
        if (frames[i].payload.count > TD_FRAME_BYTES_MAX) {
            err = TD_ETOOBIG;
        } else if (!append(&link->queue, frames[i].type, frames[i].payload)) {
            err = TD_EBUSY;
        }
    }
    if (err != TD_OK) {
        link->queue.used_bytes = used;
    }
    pthread_mutex_unlock(&link->lock);
    if (err == TD_EBUSY) {
        link_kick(link, TD_EBUSY);
    }
    return err;
}

void link_queue_urgent(struct link *link, uint8_t type, struct td_bytes payload)
{
    /* A heartbeat that finds no room among unsent heartbeats says nothing new. */
    (void)append(&link->urgent, type, payload);
}

/* Points frames into queue from *at on; stops at SEAL_BYTES. */
static size_t frames_from(const struct td_buffer *queue, size_t *at,
                          struct td_out_frame frames[FRAMES_AT_ONCE])
{
    size_t count = 0;
    size_t total = 0;

    while (count < FRAMES_AT_ONCE && *at < queue->used_bytes && total < SEAL_BYTES) {
        struct queued head;
        memcpy(&head, queue->bytes + *at, sizeof head);
        const uint8_t *payload = queue->bytes + *at + sizeof head;
        frames[count].type = head.type;
        frames[count].payload = (struct td_bytes){payload, head.payload_bytes};
        *at += sizeof head + head.payload_bytes;
        total += head.payload_bytes;
        count++;
    }
    return count;
}

static bool seal(struct link *link, const struct td_buffer *queue, size_t *at)
{
    struct td_out_frame frames[FRAMES_AT_ONCE];
    size_t count = frames_from(queue, at, frames);

    enum td_err err = td_channel_seal(link->channel, frames, count, &link->staged);
    if (err != TD_OK) {
        link_leave(link, err, false);
        return false;
    }
    return true;
}

/* Takes the whole queue over; producers go on with an empty one. */
static bool next_sealing(struct link *link)
{
    if (link->sealing_at < link->sealing.used_bytes) {
        return true;
    }
    link->sealing.used_bytes = 0;
    link->sealing_at = 0;
    if (link->sealing.size_bytes > KEEP_BUFFER_BYTES) {
        td_buffer_fini(&link->sealing);
    }
    pthread_mutex_lock(&link->lock);
    bool more = link->queue.used_bytes > 0;
    if (more) {
        struct td_buffer empty = link->sealing;
        size_t size_max = link->queue.size_max;
        link->sealing = link->queue;
        link->queue = empty;
        link->queue.size_max = size_max;
    }
    pthread_mutex_unlock(&link->lock);
    return more;
}

static void seal_what_waits(struct link *link)
{
    if (link->urgent.used_bytes > 0) {
        size_t at = 0;
        while (at < link->urgent.used_bytes) {
            if (!seal(link, &link->urgent, &at)) {
                return;
            }
        }
        link->urgent.used_bytes = 0;
    }
    while (link->staged.used_bytes < SEAL_BYTES && next_sealing(link)) {
        if (!seal(link, &link->sealing, &link->sealing_at)) {
            return;
        }
    }
}

static void submit_locked(struct link *link)
{
    nng_iov iov = {
        .iov_buf = link->out.bytes + link->out_at,
        .iov_len = link->out.used_bytes - link->out_at,
    };

    nng_aio_set_iov(link->send_aio, 1, &iov);
    nng_aio_set_timeout(link->send_aio, WRITE_MS);
    nng_stream_send(link->stream, link->send_aio);
}

/* Writes are cut anywhere; each part written is progress and starts the deadline anew. */
void link_send_done(void *arg)
{
    struct link *link = arg;
    int result = nng_aio_result(link->send_aio);
    size_t count = result == 0 ? nng_aio_count(link->send_aio) : 0;
    bool more = false;

    atomic_fetch_add(&link->net->sent_bytes, count);
    pthread_mutex_lock(&link->lock);
    link->out_at += count;
    more = result == 0 && !link->closing && link->out_at < link->out.used_bytes;
    if (more) {
        submit_locked(link);
    } else {
        link->send_pending = false;
        if (result != 0 && link->io_err == TD_OK) {
            link->io_err = result == NNG_ETIMEDOUT ? TD_ETIMEOUT : TD_ECLOSEDLINK;
        }
    }
    pthread_mutex_unlock(&link->lock);
    if (!more) {
        work_enqueue(link->net, &link->work);
        link_put(link);
    }
}

static bool send_held(const struct link *link)
{
    return link->info.kind == TD_LINK_REGION &&
           atomic_load(&link->net->regions[link->info.region.v].send_cut);
}

/* Gives what was sealed to NNG unless it still writes; false when there is nothing to do. */
static bool write_staged(struct link *link)
{
    bool written = false;

    pthread_mutex_lock(&link->lock);
    if (!link->send_pending && !link->closing && link->io_err == TD_OK) {
        struct td_buffer done = link->out;
        done.used_bytes = 0;
        link->out_at = 0;
        if (done.size_bytes > KEEP_BUFFER_BYTES && link->staged.used_bytes == 0) {
            td_buffer_fini(&done);
        }
        link->out = link->staged;
        link->staged = done;
        if (link->out.used_bytes > 0) {
            if (link->info.kind == TD_LINK_REGION) {
                atomic_fetch_add(&link->net->regions[link->info.region.v].sent_bytes,
                                 link->out.used_bytes);
            }
            link->send_pending = true;
            written = true;
            link_ref(link);
            submit_locked(link);
        }
    }
    pthread_mutex_unlock(&link->lock);
    return written;
}

void link_pump(struct link *link)
{
    if (send_held(link)) {
        return;
    }
    if (td_channel_established(link->channel)) {
        seal_what_waits(link);
    }
    if (link->phase != PHASE_CLOSED && write_staged(link) &&
        td_channel_established(link->channel)) {
        seal_what_waits(link);
    }
}
