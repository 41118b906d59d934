/* replica_harness.h -- one replica with a log that completes when the test says so, in the test's own
 * time. For tests of what a single node does; several nodes are in cluster_harness.h. */
#ifndef TD_CORE_REPLICA_HARNESS_H
#define TD_CORE_REPLICA_HARNESS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "node/core/cluster_wire.h"
#include "node/core/state.h"

enum { REPLICA_STORES_MAX = 8192, REPLICA_REPLIES_MAX = 8192 };
#define REPLICA_WALL_MS UINT64_C(1800000000000)
#define REPLICA_POSITION UINT64_C(0x100001000) /* of the log's first record: segment 1 */

struct replica_options {
    unsigned regions;          /* in the roster; we are region 1 */
    uint64_t quota_registers;  /* 0 = 1000000 */
    uint64_t quota_bytes;      /* 0 = plenty */
    struct td_core_limits limits; /* zeroes = defaults for tests */
};

struct replica_store {
    struct td_ticket ticket;
    enum td_store_kind kind;
    const struct td_batch *batch; /* OWN: built from the deltas; RECEIVED: the handle */
    struct td_record record;
};

/* The parts of an answer that tests look at; views are deep enough for job and state. */
struct replica_reply {
    uint64_t id;
    enum td_op op;
    enum td_err err;
    bool certain, reset, publishing;
    uint64_t next_cursor;
    uint32_t count;
    struct td_result *results;
    struct td_register_view *views;
    struct td_version_view *versions;
    uint32_t refused_count;
    struct td_refused_view *refused; /* EXPLAIN */
    struct td_region_view *regions; /* STATUS; `hears` copied as well */
};

struct replica {
    struct td_core *core;
    void *block;
    size_t block_bytes;
    struct td_core_config config;
    struct td_time now;
    struct td_text client; /* who sends requests, as a driver calls it */
    struct pool pool;
    struct td_roster roster;
    struct td_roster_region regions[TD_REGIONS_MAX];
    struct td_region_key keys[TD_REGIONS_MAX];
    struct replica_store stores[REPLICA_STORES_MAX];
    uint32_t store_first, store_count;
    bool random_wanted;
    uint32_t random_bits;
    struct replica_reply replies[REPLICA_REPLIES_MAX];
    uint32_t reply_count;
    uint32_t traces[64];
    uint32_t sent[256]; /* by enum td_msg_type */
    uint32_t closed_count, closed_link; /* links that the replica wanted closed; the newest, and why */
    enum td_err closed_why;
    const struct td_compact_answer *compact; /* newest answer or survey; valid until the next step */
    /* What the log holds. */
    struct td_record *log;
    uint32_t log_count, log_max;
    uint64_t next_id;
};

uint64_t test_job_hash(const char *job);
struct td_text test_text(const char *text);

struct replica *replica_new(struct replica_options options);
void replica_free(struct replica *replica);
/* Roster, START with the log's records, randomness and its record: ready to publish. */
void replica_start(struct replica *replica);
/* A new process over the same log. */
void replica_restart(struct replica *replica);
void replica_step(struct replica *replica, struct td_event *event);
void replica_tick(struct replica *replica, uint64_t ms_later);
/* Completes the oldest store. */
void replica_complete(struct replica *replica, bool durable);
/* Completes everything as durable and answers randomness until nothing is under way. */
void replica_settle(struct replica *replica);
/* A batch from another region, merged as its live lane would. Deltas: job hash, job, status, stamp set. */
const struct td_batch *replica_batch(struct replica *replica, struct td_origin origin,
                                     uint64_t first_seq, const struct td_delta *deltas,
                                     uint32_t count);
bool replica_receive(struct replica *replica, const struct td_batch *batch, enum td_lane lane);

/* Somebody names this incarnation of our own region. */
void replica_seen(struct replica *replica, struct td_incarnation incarnation);

struct td_update test_update(const char *job, uint16_t attempt, enum td_state state);
/* Sends updates; the id is returned. */
uint64_t replica_publish(struct replica *replica, const struct td_update *updates, uint32_t count,
                         uint8_t ack, uint32_t timeout_ms);
uint64_t replica_request(struct replica *replica, struct td_request *request);
/* NULL when not answered yet. */
const struct replica_reply *replica_reply(const struct replica *replica, uint64_t id);
/* Publishes one update, settles, gives its result. */
struct td_result replica_publish_one(struct replica *replica, struct td_update update);
/* Its row in an answer to STATUS; fails the test when there is none. */
const struct td_region_view *replica_region_view(struct replica *replica, uint8_t region);
/* State of a register, TD_STATE_COUNT when unknown. */
enum td_state replica_state(const struct replica *replica, const char *job, uint16_t attempt);

/* Fixtures: a started replica in a roster of so many regions; at the end all of it must be consistent. */
int replica_setup_2(void **state);
int replica_setup_3(void **state);
int replica_setup_4(void **state);
int replica_teardown(void **state);

#endif
