/* conn.h -- one connection to one node: NNG byte stream plus td_channel. The callbacks of NNG only
 * note what happened and wake the handle's thread; everything else runs there. A connection is used
 * once: a failed dial or a lost stream means a new object (FACTS: a dialer is never used twice). */
#ifndef TD_CLIENT_CONN_H
#define TD_CLIENT_CONN_H

#include <pthread.h>

#include "proto/channel.h"

/* The lock of a handle and the condition its thread sleeps on. */
struct td_hub {
    pthread_mutex_t lock;
    pthread_cond_t wake; /* CLOCK_MONOTONIC */
    bool pending;        /* something happened since the thread last looked */
};
void td_hub_signal(struct td_hub *hub); /* lock held */

struct td_conn_config {
    struct td_hub *hub;
    const char
        *address; /* ipc://PATH or tcp://HOST:PORT; borrowed as long as the connection lives */
    const struct td_secret *secret; /* tcp */
    struct td_public_key root_sign_key;
    uint64_t roster_version_min;
    uint32_t connect_timeout_ms;
};

/* Frames arrive here, from inside td_conn_pump. Takes ownership of take_payload. */
typedef void (*td_conn_frame)(void *self, uint8_t type, uint8_t *take_payload,
                              size_t payload_bytes);

struct td_conn;

/* Starts dialling. */
TD_MUST_USE enum td_err td_conn_open(const struct td_conn_config *config,
                                     struct td_conn **ret_conn);
/* Moves whatever has arrived and whatever must leave. Any error means: td_conn_kill. */
TD_MUST_USE enum td_err td_conn_pump(struct td_conn *conn, td_conn_frame frame, void *self);
/* The handshake is through: requests may be sent. */
bool td_conn_ready(const struct td_conn *conn);
/* Queues one frame; td_conn_pump sends it. */
TD_MUST_USE enum td_err td_conn_send(struct td_conn *conn, uint8_t type, struct td_bytes payload);
/* Bytes queued and not yet handed to the stream. */
size_t td_conn_backlog(const struct td_conn *conn);
/* boot_ms of the last byte that came in, or of the dial. */
uint64_t td_conn_heard_ms(const struct td_conn *conn);
/* Closes the stream; the object lives until td_conn_reap says it is gone. */
void td_conn_kill(struct td_conn *conn);
/* Frees a killed connection once NNG has returned all its operations; true when freed. */
bool td_conn_reap(struct td_conn *conn);

uint64_t td_now_ms(void); /* CLOCK_BOOTTIME */

#endif
