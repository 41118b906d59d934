/* cluster_harness.h -- several replicas in one process and in virtual time, for tests. Links have a
 * delay, can be cut, stalled and healed; each node has a log that completes after a while and can
 * fail, lose what was not flushed, and be replayed. Nothing here signs or encodes: batches and
 * heads are copied as structs, so that a million events take seconds. The seed decides everything.
 */
#ifndef TD_CORE_CLUSTER_HARNESS_H
#define TD_CORE_CLUSTER_HARNESS_H

#include "node/core/state.h"

enum { CLUSTER_NODES_MAX = 8, CLUSTER_TRACES_MAX = 16384 };

struct cluster_options {
    unsigned nodes;
    uint64_t seed;
    uint32_t delay_ms;     /* one way, every link */
    uint32_t flush_ms;     /* a log flush takes so long */
    uint32_t ring_batches; /* live ring of each region; 0 = 64 */
    uint64_t stale_ms;     /* 0 = 30 s */
};

struct cluster_trace {
    uint64_t time_ms;
    unsigned node;
    enum td_trace_code code;
    uint8_t region;
    uint64_t a, b;
};

/* A report that was acknowledged: what I1 is about. */
struct cluster_ack {
    char job[32];
    uint64_t job_hash;
    uint16_t attempt;
    struct td_order order;
    uint64_t time_ms;
    unsigned node;
};

struct cluster;

struct cluster *cluster_new(struct cluster_options options);
void cluster_free(struct cluster *cluster);
/* All nodes in the roster, started with empty logs and linked, unless cluster_cut or _stop said
 * else. */
void cluster_start(struct cluster *cluster);

uint64_t cluster_now_ms(const struct cluster *cluster);
uint64_t cluster_steps(const struct cluster *cluster);
uint64_t cluster_random(struct cluster *cluster, uint64_t below);
/* Numbers of nodes are 0..nodes-1; their regions are 1..nodes. */
struct td_core *cluster_core(struct cluster *cluster, unsigned node); /* NULL while it is down */

void cluster_run(struct cluster *cluster, uint64_t ms);
/* Runs until the condition holds, at most limit_ms; false when it never did. */
typedef bool (*cluster_condition)(struct cluster *cluster, void *argument);
bool cluster_run_until(struct cluster *cluster, uint64_t limit_ms, cluster_condition condition,
                       void *argument);

void cluster_cut(struct cluster *cluster, unsigned a, unsigned b); /* both sides notice */
void cluster_heal(struct cluster *cluster, unsigned a, unsigned b);
/* Nothing gets through and nobody notices: a path that swallows packets, until it is un-stalled. */
void cluster_stall(struct cluster *cluster, unsigned a, unsigned b, bool stalled);
void cluster_delay(struct cluster *cluster, unsigned a, unsigned b, uint32_t ms);
void cluster_crash(struct cluster *cluster, unsigned node); /* what was not flushed is lost */
void cluster_restart(struct cluster *cluster, unsigned node);
void cluster_lose_disk(struct cluster *cluster, unsigned node); /* of a node that is down */
/* Keeps only the first `count` log entries of a node that is down: an old backup. */
void cluster_roll_back(struct cluster *cluster, unsigned node, size_t count);
size_t cluster_log_count(const struct cluster *cluster, unsigned node);
void cluster_fail_flushes(struct cluster *cluster, unsigned node, unsigned count);
/* Whether this node's clients' wall clock runs so far ahead. */
void cluster_skew(struct cluster *cluster, unsigned node, int64_t ms);
/* A member that leaves this job out of everything it sends. NULL = honest. */
void cluster_omit(struct cluster *cluster, unsigned node, const char *job);

/* Hands one report in; the answer arrives by itself. False when the node is down. */
bool cluster_publish(struct cluster *cluster, unsigned node, const char *job, uint16_t attempt,
                     enum td_state state);
size_t cluster_ack_count(const struct cluster *cluster);
const struct cluster_ack *cluster_ack_at(const struct cluster *cluster, size_t index);
uint64_t cluster_refused_count(const struct cluster *cluster);

/* State of a job's register at a node; -1 = not there. */
int cluster_state(struct cluster *cluster, unsigned node, const char *job, uint16_t attempt);
/* Every acknowledged report, at every node whose `has` covers its dot: held, or beaten. */
bool cluster_i1_holds(struct cluster *cluster);
/* All nodes that are up: equal digests and vectors that cover each other. */
bool cluster_converged(struct cluster *cluster, void *unused);
struct td_fresh_view cluster_fresh(struct cluster *cluster, unsigned node, unsigned about,
                                   bool *ret_certain);
/* Traces in order, and how many of one kind a node gave. */
size_t cluster_trace_count(const struct cluster *cluster, unsigned node, enum td_trace_code code);
const struct cluster_trace *cluster_trace_last(const struct cluster *cluster, unsigned node,
                                               enum td_trace_code code);
uint64_t cluster_counter(struct cluster *cluster, unsigned node, enum td_counter_id id);

#endif
