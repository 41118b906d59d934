/* engine.h -- inside of a handle: the thread that owns the connection, the lists it works on, and
 * who may touch what. Only files of this folder include it.
 *
 *   callers --> live batches, calls ---(lock)---> thread --> td_conn --> NNG
 *                                          ^                    |
 *                                          +--- hub.wake <------+
 */
#ifndef TD_CLIENT_ENGINE_H
#define TD_CLIENT_ENGINE_H

#include "node/client/batch.h"
#include "node/client/call.h"
#include "node/client/conn.h"
#include "node/client/spool.h"
#include "proto/arena.h"
#include "proto/reader.h"

enum {
    TD_NODES_MAX = 32,
    TD_DYING_MAX = 64,
    TD_CONNECT_MS = 2000,
    TD_HANDSHAKE_MS = 5000,
    TD_ANSWER_GRACE_MS = 2000, /* at most, beyond the time the node was told it may wait */
    TD_PING_MS = 1500,
    TD_SILENCE_MS = 5000,
    TD_BATCH_EAGER = 64, /* so many updates leave without waiting for company */
    TD_COMPANY_US = 300, /* fewer wait this long while other requests are in flight */
    TD_BACKOFF_MS_MIN = 50,
    TD_BACKOFF_MS_MAX = 2000,
    TD_BACKLOG_BYTES_MAX = 4 * 1024 * 1024,
};

/* A request of td_call; lives on the caller's stack. Fields under the lock. */
struct td_call_job {
    struct td_call_job *next;
    uint64_t id;
    uint8_t *payload;
    size_t payload_bytes;
    uint64_t deadline_ms;
    uint32_t node_wait_ms;
    uint32_t grace_ms;
    uint64_t give_up_failures; /* no node: at this count of failed dials */
    bool this_node_only;
    bool sent;
    uint64_t answer_by_ms;
    unsigned refusals; /* nodes that said "use another" */
    bool done;
    enum td_err err;
    uint8_t *answer;
    size_t answer_bytes;
    uint32_t node_index;
    pthread_cond_t finished;
};

struct td_update_list {
    struct td_update_batch *first, *last;
};

struct tidings {
    struct td_hub hub;
    pthread_cond_t changed; /* flush waits here */
    pthread_t thread;
    bool thread_started;

    /* Fixed once open. */
    char *addresses[TD_NODES_MAX];
    uint32_t address_count;
    struct td_secret *secret;
    struct td_public_key root_sign_key;
    uint64_t roster_version_min;
    char *writer;
    uint32_t timeout_ms;
    uint8_t ack;
    uint32_t queue_updates_max;
    uint64_t queue_bytes_max;
    uint32_t batch_updates_max;
    uint32_t in_flight_max;
    uint32_t linger_us;
    void (*spool_refused)(void *self, const char *job, const struct tidings_result *result);
    void *spool_refused_self;

    /* Under hub.lock. */
    bool stopping;
    uint64_t next_id;
    uint64_t next_order;
    struct td_update_list live;
    struct td_update_list replay;    /* read back from the spool */
    struct td_update_batch *filling; /* the last of live, or NULL */
    struct td_update_batch *pool;
    uint32_t pool_count;
    uint32_t in_flight;
    uint32_t queued_updates;
    uint64_t queued_bytes;
    uint32_t flush_waiters;
    struct td_call_job *calls;
    struct td_seen_table seen;
    bool after_given; /* options.after: publishes carry the vector too */
    struct td_token after;
    struct td_vv has; /* merged over all answers */
    struct td_vv_entry has_entries[2][TD_VV_ENTRIES_MAX];
    struct td_vv_fold has_folds[2][TD_REGIONS_MAX];
    unsigned has_side;
    bool no_node; /* a whole round of dials failed, none succeeded since */
    bool spool_full;
    bool ever_connected;
    uint64_t dial_failures;
    enum td_err round_err;
    char last_failure[256];
    uint32_t node_index; /* in use or next */
    char node_region[TIDINGS_REGION_BYTES + 1];
    struct tidings_stats stats;

    /* The thread only. */
    struct td_conn *conn;
    bool conn_answered;
    uint64_t conn_since_ms;
    uint64_t ping_at_ms;
    uint64_t waiting_since_ms;
    struct td_conn *dying[TD_DYING_MAX];
    uint32_t dying_count;
    uint32_t round_failures;
    uint64_t next_dial_ms;
    uint32_t backoff_ms;
    uint64_t publish_pause_ms; /* not before this moment */
    enum td_err pause_err;     /* why: the newest answer; TD_OK = it took what it got */
    uint32_t publish_backoff_ms;
    enum td_err frame_err; /* a frame that ends the connection */
    bool leave_node;       /* an answer said so, or there was none: use another node */
    enum td_err leave_err; /* why */
    struct td_spool *spool;
    uint64_t spool_cursor; /* read up to here */
    struct td_reader *reader;
    uint8_t *arena_bytes;
    size_t arena_size;
    uint8_t *scratch; /* one encoded request */
    size_t scratch_bytes;
};

uint64_t td_now_us(void);
/* So long a node may be silent beyond what it was told it may wait: short enough that of an
 * operation's time something is left for another node. */
uint32_t td_grace_ms(uint64_t timeout_ms);

/* engine.c */
void *td_engine_run(void *self);
TD_MUST_USE enum td_err td_engine_decode(struct tidings *t, struct td_bytes payload,
                                         struct td_response *ret_response);
void td_engine_saw(struct tidings *t, const struct td_vv *has); /* lock held */

/* deliver.c: publishes. The thread only, lock not held. */
void td_deliver_send(struct tidings *t, uint64_t now_ms, uint64_t *wake_us);
bool td_deliver_response(struct tidings *t, uint64_t id, struct td_bytes payload);
void td_deliver_unsend(struct tidings *t); /* the connection is gone */
void td_deliver_expire(struct tidings *t, uint64_t now_ms, uint64_t *wake_us);
/* Answers everything queued with err (no node was ever reached; closing). */
void td_deliver_fail_all(struct tidings *t, enum td_err err);
bool td_deliver_waiting(struct tidings *t); /* lock held: is there anything to send or replay */

size_t td_deliver_encode(struct tidings *t, struct td_update_batch *batch, uint64_t id);
void td_deliver_tell(struct tidings *t, struct td_update_batch *batch, uint32_t i,
                     const struct tidings_result *result);
void td_deliver_settle(struct tidings *t, struct td_update_batch *batch, bool refused);
void td_deliver_retire(struct tidings *t, struct td_update_batch *batch);
void td_deliver_close(struct tidings *t, struct td_update_batch *batch); /* lock held */

/* replay.c: the spool. The thread only, lock not held. */
void td_deliver_to_spool(struct tidings *t); /* live batches move into the file */
void td_deliver_from_spool(struct tidings *t);
void td_replay_release(struct tidings *t); /* answered records leave the file */

/* client.c */
void td_list_append(struct td_update_list *list, struct td_update_batch *batch);
void td_list_remove(struct td_update_list *list, struct td_update_batch *batch);
struct td_update_batch *td_pool_take(struct tidings *t);             /* lock held */
void td_pool_give(struct tidings *t, struct td_update_batch *batch); /* lock held */

/* calls.c: td_call; the thread only */
void td_calls_send(struct tidings *t, uint64_t now_ms);
bool td_calls_response(struct tidings *t, uint64_t id, enum td_err err, uint8_t *take_payload,
                       size_t payload_bytes);
void td_calls_unsend(struct tidings *t, enum td_err err);
void td_calls_expire(struct tidings *t, uint64_t now_ms, uint64_t *wake_us);
void td_calls_fail_all(struct tidings *t, enum td_err err);

#endif
