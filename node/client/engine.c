/* engine.c -- the thread of a handle: keeps one connection to the best node, goes on to the next
 * when it is lost, and drives what waits. Diagram of one node's life:
 *
 *   idle --work--> dialling --stream--> handshake --> ready --lost/refused--> next node, at once
 *                      |                    |                                  |
 *                      +------ failed ------+--> a whole round failed: no_node, back-off 50 ms .. 2
 * s */
#include "node/client/engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proto/assert.h"

enum { ARENA_FACTOR = 40, ARENA_BASE_BYTES = 256 * 1024, IDLE_US = 5000000 };

uint64_t td_now_us(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint32_t td_grace_ms(uint64_t timeout_ms)
{
    return timeout_ms / 4 < TD_ANSWER_GRACE_MS ? (uint32_t)(timeout_ms / 4) : TD_ANSWER_GRACE_MS;
}

size_t td_arena_bytes_for(size_t payload_bytes)
{
    /* Every element has at least one wire byte per field; the largest growth is that of labels and
     * register views. Untouched pages cost nothing. */
    return ARENA_BASE_BYTES + payload_bytes * ARENA_FACTOR;
}

enum td_err td_engine_decode(struct tidings *t, struct td_bytes payload,
                             struct td_response *ret_response)
{
    size_t need = td_arena_bytes_for(payload.count);
    struct td_arena arena;
    if (need > t->arena_size) {
        free(t->arena_bytes);
        t->arena_bytes = malloc(need);
        t->arena_size = t->arena_bytes != NULL ? need : 0;
    }
    if (t->arena_bytes == NULL) {
        return TD_ENOMEM;
    }
    td_arena_init(&arena, t->arena_bytes, t->arena_size);
    return td_response_decode(payload, t->reader, &arena, ret_response);
}

void td_engine_saw(struct tidings *t, const struct td_vv *has)
{
    unsigned other = 1 - t->has_side;
    struct td_vv merged;
    if (td_vv_covers(&t->has, has)) {
        return;
    }
    if (td_vv_merge(&t->has, has, t->has_entries[other], TD_VV_ENTRIES_MAX, t->has_folds[other],
                    TD_REGIONS_MAX, &merged)) {
        t->has = merged;
        t->has_side = other;
    }
}

/* One msgpack unsigned integer at bytes[*at]; false when there is none. */
static bool peek_uint(struct td_bytes bytes, size_t *at, uint64_t *ret_value)
{
    static const uint8_t widths[4] = {1, 2, 4, 8};
    if (*at >= bytes.count) {
        return false;
    }
    uint8_t head = bytes.bytes[(*at)++];
    *ret_value = head;
    if (head < 0x80) {
        return true;
    }
    if (head < 0xcc || head > 0xcf || bytes.count - *at < widths[head - 0xcc]) {
        return false;
    }
    *ret_value = 0;
    for (uint8_t i = 0; i < widths[head - 0xcc]; i++) {
        *ret_value = *ret_value << 8 | bytes.bytes[(*at)++];
    }
    return true;
}

static bool peek_array(struct td_bytes bytes, size_t *at)
{
    if (*at >= bytes.count) {
        return false;
    }
    uint8_t head = bytes.bytes[(*at)++];
    size_t more = head == 0xdc ? 2 : head == 0xdd ? 4 : 0;
    if ((head < 0x90 || head > 0x9f) && more == 0) {
        return false;
    }
    *at += more;
    return *at < bytes.count;
}

/* [id, op, err, ...]: whom an answer is for, without decoding it. */
static bool peek_response(struct td_bytes payload, uint64_t *ret_id, uint64_t *ret_op,
                          uint64_t *ret_err)
{
    size_t at = 0;
    return peek_array(payload, &at) && peek_uint(payload, &at, ret_id) &&
           peek_uint(payload, &at, ret_op) && peek_uint(payload, &at, ret_err);
}

static void on_response(struct tidings *t, uint8_t *take_payload, size_t payload_bytes)
{
    struct td_bytes payload = {take_payload, payload_bytes};
    uint64_t id = 0, op = 0, err = 0;
    if (!peek_response(payload, &id, &op, &err)) {
        t->frame_err = TD_EFORMAT;
        free(take_payload);
        return;
    }
    (void)pthread_mutex_lock(&t->hub.lock);
    t->conn_answered = true;
    t->round_failures = 0;
    t->backoff_ms = TD_BACKOFF_MS_MIN;
    t->no_node = false;
    t->ever_connected = true;
    (void)pthread_mutex_unlock(&t->hub.lock);
    if (op != TD_OP_PUBLISH || !td_deliver_response(t, id, payload)) {
        enum td_err told = (enum td_err)(err <= 9999 ? err : TD_EFORMAT);
        if (td_calls_response(t, id, told, take_payload, payload_bytes)) {
            return; /* the caller owns the payload now */
        }
    }
    free(take_payload);
}

static void on_frame(void *self, uint8_t type, uint8_t *take_payload, size_t payload_bytes)
{
    struct tidings *t = self;
    struct td_bytes payload = {take_payload, payload_bytes};
    if (type == TD_MSG_RESPONSE) {
        on_response(t, take_payload, payload_bytes);
        return;
    }
    if (type == TD_MSG_PING && td_conn_send(t->conn, TD_MSG_PONG, payload) != TD_OK) {
        t->frame_err = TD_ECLOSEDLINK;
    }
    if (type == TD_MSG_BYE) {
        size_t at = 0;
        uint64_t why = 0;
        bool told =
            peek_array(payload, &at) && peek_uint(payload, &at, &why) && why > 0 && why <= 9999;
        t->frame_err = told ? (enum td_err)why : TD_ECLOSEDLINK;
    }
    free(take_payload); /* HELLO, ROSTER, PONG and newer ones: nothing to do */
}

/* ---- losing and finding a node ---- */

static void reap(struct tidings *t)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < t->dying_count; i++) {
        if (!td_conn_reap(t->dying[i])) {
            t->dying[kept++] = t->dying[i];
        }
    }
    t->dying_count = kept;
}

/* Which of the failures of a round the caller is told: one of trust says more than "nobody there".
 */
static enum td_err worse(enum td_err so_far, enum td_err err)
{
    bool trust = err == TD_EHANDSHAKE || err == TD_EVERSION || err == TD_EROSTEROLD ||
                 err == TD_ENOTINROSTER || err == TD_EBADSIG || err == TD_EFOREIGN ||
                 err == TD_ECLOSED;
    return trust ? err : so_far;
}

/* Lock held. */
static void count_failure(struct tidings *t, enum td_err err, uint64_t now_ms)
{
    t->dial_failures++;
    t->round_err = worse(t->round_failures == 0 ? TD_ENONODE : t->round_err, err);
    t->round_failures++;
    t->next_dial_ms = now_ms;
    if (t->round_failures >= t->address_count) {
        uint32_t jitter = (uint32_t)(td_now_us() % (t->backoff_ms / 2 + 1));
        t->no_node = true;
        t->next_dial_ms = now_ms + t->backoff_ms - jitter / 2;
        t->backoff_ms =
            t->backoff_ms * 2 > TD_BACKOFF_MS_MAX ? TD_BACKOFF_MS_MAX : t->backoff_ms * 2;
    }
}

static void lose_node(struct tidings *t, enum td_err err)
{
    uint64_t now_ms = td_now_ms();
    bool failed = !t->conn_answered || t->leave_node;
    if (t->conn != NULL) {
        td_conn_kill(t->conn);
        TD_ASSERT(t->dying_count < TD_DYING_MAX);
        t->dying[t->dying_count++] = t->conn;
        t->conn = NULL;
    }
    (void)pthread_mutex_lock(&t->hub.lock);
    (void)snprintf(t->last_failure, sizeof t->last_failure, "%s: %s", t->addresses[t->node_index],
                   td_err_text(err));
    if (failed) {
        count_failure(t, err, now_ms);
    } else {
        t->next_dial_ms = now_ms;
    }
    /* A node that answered and was lost is tried last; a list of one is simply dialled again. */
    t->node_index = (t->node_index + 1) % t->address_count;
    t->stats.failovers += t->conn_answered;
    bool never = t->no_node && !t->ever_connected && t->spool == NULL;
    enum td_err round_err = t->round_err;
    (void)pthread_mutex_unlock(&t->hub.lock);
    t->conn_answered = false;
    t->leave_node = false;
    t->leave_err = TD_OK;
    t->frame_err = TD_OK;
    td_deliver_unsend(t);
    td_calls_unsend(t, err);
    if (never) {
        td_deliver_fail_all(
            t, round_err); /* a wrong address is told at once, an outage is ridden out */
    }
}

static bool work_waits(struct tidings *t)
{
    (void)pthread_mutex_lock(&t->hub.lock);
    bool waits =
        t->calls != NULL || td_deliver_waiting(t) || (!t->ever_connected && t->dial_failures == 0);
    (void)pthread_mutex_unlock(&t->hub.lock);
    return waits || (t->spool != NULL && !td_spool_empty(t->spool));
}

static void sooner(uint64_t *wake_us, uint64_t at_ms)
{
    *wake_us = at_ms * 1000 < *wake_us ? at_ms * 1000 : *wake_us;
}

static void dial(struct tidings *t, uint64_t now_ms, uint64_t *wake_us)
{
    if (!work_waits(t)) {
        return;
    }
    if (now_ms < t->next_dial_ms || t->dying_count == TD_DYING_MAX) {
        sooner(wake_us, t->dying_count == TD_DYING_MAX ? now_ms + 10 : t->next_dial_ms);
        return;
    }
    struct td_conn_config config = {
        .hub = &t->hub,
        .address = t->addresses[t->node_index],
        .secret = t->secret,
        .root_sign_key = t->root_sign_key,
        .roster_version_min = t->roster_version_min,
        .connect_timeout_ms = TD_CONNECT_MS,
    };
    t->conn_since_ms = now_ms;
    t->ping_at_ms = now_ms + TD_PING_MS;
    t->waiting_since_ms = now_ms;
    enum td_err err = td_conn_open(&config, &t->conn);
    if (err != TD_OK) {
        t->conn = NULL;
        lose_node(t, err);
        sooner(wake_us, t->next_dial_ms);
    }
}

/* TCP only: a silent peer may be a dead host. A Unix socket of a dead process is closed by the
 * kernel. waiting_since_ms: since when somebody waits for this node and it said nothing. */
static enum td_err keep_alive(struct tidings *t, uint64_t now_ms, uint64_t *wake_us)
{
    static const uint8_t ping[] = {0x91, 0x01}; /* [1] */
    bool tcp = strncmp(t->addresses[t->node_index], "tcp://", 6) == 0;
    uint64_t heard_ms = td_conn_heard_ms(t->conn);
    if (!tcp || !work_waits(t)) {
        t->waiting_since_ms = now_ms;
        t->ping_at_ms = now_ms + TD_PING_MS;
        return TD_OK;
    }
    t->waiting_since_ms = heard_ms > t->waiting_since_ms ? heard_ms : t->waiting_since_ms;
    if (now_ms >= t->waiting_since_ms + TD_SILENCE_MS) {
        return TD_ETIMEOUT;
    }
    sooner(wake_us, t->waiting_since_ms + TD_SILENCE_MS);
    if (now_ms < t->ping_at_ms) {
        sooner(wake_us, t->ping_at_ms);
        return TD_OK;
    }
    t->ping_at_ms = now_ms + TD_PING_MS;
    sooner(wake_us, t->ping_at_ms);
    return td_conn_send(t->conn, TD_MSG_PING, (struct td_bytes){ping, sizeof ping});
}

static enum td_err drive_ready(struct tidings *t, uint64_t now_ms, uint64_t *wake_us)
{
    td_calls_send(t, now_ms);
    td_deliver_from_spool(t);
    td_deliver_send(t, now_ms, wake_us);
    enum td_err err = keep_alive(t, now_ms, wake_us);
    return err != TD_OK ? err : td_conn_pump(t->conn, on_frame, t);
}

static enum td_err drive_conn(struct tidings *t, uint64_t now_ms, uint64_t *wake_us)
{
    enum td_err err = td_conn_pump(t->conn, on_frame, t);
    if (err == TD_OK && td_conn_ready(t->conn)) {
        err = drive_ready(t, now_ms, wake_us);
    } else if (err == TD_OK) {
        uint64_t limit_ms = t->conn_since_ms + TD_HANDSHAKE_MS;
        sooner(wake_us, limit_ms);
        err = now_ms >= limit_ms ? TD_ENONODE : TD_OK;
    }
    if (t->frame_err != TD_OK) {
        return t->frame_err; /* what the node said about the end counts more than the end */
    }
    return err == TD_OK && t->leave_node ? t->leave_err : err;
}

/* One round; *wake_us is when the next one is due at the latest. */
static void work(struct tidings *t, uint64_t *wake_us)
{
    uint64_t now_ms = td_now_ms();
    reap(t);
    if (t->conn == NULL) {
        dial(t, now_ms, wake_us);
    }
    td_calls_expire(t, now_ms, wake_us);
    td_deliver_expire(t, now_ms, wake_us);
    if (t->conn != NULL) {
        enum td_err err = drive_conn(t, now_ms, wake_us);
        if (err != TD_OK) {
            lose_node(t, err);
            *wake_us = 0;
        }
    }
    (void)pthread_mutex_lock(&t->hub.lock);
    bool connected = t->conn != NULL && td_conn_ready(t->conn);
    bool to_spool = t->no_node && !connected && t->spool != NULL && t->live.first != NULL;
    (void)pthread_mutex_unlock(&t->hub.lock);
    if (to_spool) {
        td_deliver_to_spool(t);
    }
}

/* Lock held. */
static void sleep_until(struct tidings *t, uint64_t wake_us)
{
    uint64_t now_us = td_now_us();
    struct timespec until;
    if (t->hub.pending || wake_us <= now_us) {
        return;
    }
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    uint64_t nanoseconds = (uint64_t)until.tv_nsec + (wake_us - now_us) * 1000;
    until.tv_sec += (time_t)(nanoseconds / 1000000000);
    until.tv_nsec = (long)(nanoseconds % 1000000000);
    while (!t->hub.pending && !t->stopping) {
        if (pthread_cond_timedwait(&t->hub.wake, &t->hub.lock, &until) != 0) {
            break;
        }
    }
}

/* Streams end within their time-outs; closed ones at once. */
static void end_connections(struct tidings *t)
{
    if (t->conn != NULL) {
        td_conn_kill(t->conn);
        t->dying[t->dying_count++] = t->conn;
        t->conn = NULL;
    }
    reap(t);
    while (t->dying_count > 0) {
        (void)pthread_mutex_lock(&t->hub.lock);
        t->hub.pending = false;
        struct timespec until;
        (void)clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += 1;
        (void)pthread_cond_timedwait(&t->hub.wake, &t->hub.lock, &until);
        (void)pthread_mutex_unlock(&t->hub.lock);
        reap(t);
    }
}

void *td_engine_run(void *self)
{
    struct tidings *t = self;
    (void)pthread_mutex_lock(&t->hub.lock);
    while (!t->stopping) {
        uint64_t wake_us = td_now_us() + IDLE_US;
        t->hub.pending = false;
        (void)pthread_mutex_unlock(&t->hub.lock);
        work(t, &wake_us);
        (void)pthread_mutex_lock(&t->hub.lock);
        if (!t->stopping) {
            sleep_until(t, wake_us);
        }
    }
    (void)pthread_mutex_unlock(&t->hub.lock);
    if (t->spool != NULL) {
        td_deliver_unsend(t);
        td_deliver_to_spool(t);
    }
    td_deliver_fail_all(t, TD_ECLOSEDLINK);
    td_calls_fail_all(t, TD_ECLOSEDLINK);
    end_connections(t);
    return NULL;
}
