/* cluster_world.h -- the inside of the cluster harness, shared by its files: cluster_harness.c time
 * and events, cluster_node.c processes, logs and effects, cluster_links.c, cluster_checks.c. */
#ifndef TD_CORE_CLUSTER_WORLD_H
#define TD_CORE_CLUSTER_WORLD_H

#include "node/core/cluster_harness.h"
#include "node/core/cluster_wire.h"

enum {
    ACKS_MAX = 65536,
    LINK_EVENTS_MS = 1,
    HEARTBEAT_MS = 1000,
    STALL_STEP_MS = 5,
    BOOT_MS = 1000
};
#define WALL_MS UINT64_C(1700000000000)

enum what {
    AT_DELIVER = 1,
    AT_TICK,
    AT_FLUSHED,
    AT_SIGNED,
    AT_RANDOM,
    AT_CONNECT,
    AT_HEARTBEAT,
};

struct packet {
    struct pool pool;
    struct td_msg msg;
    size_t payload_bytes;
    uint32_t batch_count;
    struct td_batch **batches;
};

struct happening {
    uint64_t time_ms, number;
    enum what what;
    unsigned node, other;
    uint32_t generation; /* of the node's process, or of the pair's link */
    uint64_t value;
    struct packet *packet;
};

struct entry {
    struct td_record record;
    struct td_batch *batch;
    uint64_t ticket; /* of the process that wrote it */
    bool durable, own, failed;
};

struct node {
    struct td_core *core;
    void *block;
    size_t block_bytes;
    uint32_t generation;
    uint64_t tick_ms; /* earliest tick scheduled; UINT64_MAX = none */
    unsigned ticks_now;
    struct entry *log;
    size_t log_count, log_room;
    size_t log_process; /* first entry written by the running process */
    bool flushing;
    unsigned fail_flushes;
    int64_t skew_ms;
    struct td_head *heads[CLUSTER_NODES_MAX + 1];
    const char *omit;
    uint32_t request_id;
    struct cluster_ack *waiting; /* by request id */
    uint32_t waiting_room;
};

struct pair {
    bool wanted, up, stalled;
    uint32_t generation, delay_ms;
    uint32_t link[2];
    uint64_t held_until_ms[2]; /* nothing is delivered before: a stall keeps the order */
    uint64_t last_ms[2];       /* due time of the newest packet, per direction */
};

struct cluster {
    struct cluster_options options;
    struct pool pool;
    uint64_t now_ms, number, random, steps, refused;
    struct happening *heap;
    size_t heap_count, heap_room;
    struct node nodes[CLUSTER_NODES_MAX];
    struct pair pairs[CLUSTER_NODES_MAX][CLUSTER_NODES_MAX]; /* [lower][higher] */
    uint32_t next_link;
    struct td_roster roster;
    struct td_roster_region regions[CLUSTER_NODES_MAX];
    struct cluster_ack *acks;
    size_t ack_count;
    struct cluster_trace *traces;
    size_t trace_count;
};

/* Another event at this time; valid until the next call. */
struct happening *world_schedule(struct cluster *cluster, uint64_t time_ms, enum what what,
                                 unsigned node);
struct pair *world_pair(struct cluster *cluster, unsigned a, unsigned b);
struct td_event world_event(struct cluster *cluster, unsigned node, enum td_event_type type);
void world_step(struct cluster *cluster, unsigned index, struct td_event *event);
void world_flushed(struct cluster *cluster, unsigned index);
void world_packet_free(struct packet *packet);
void world_boot(struct cluster *cluster, unsigned index);
void world_boot_links(struct cluster *cluster, unsigned index);
/* The other end of a link; TD_NONE when it is gone. */
unsigned world_peer(struct cluster *cluster, unsigned node, uint32_t link);
void world_connect(struct cluster *cluster, unsigned a, unsigned b);
void world_disconnect(struct cluster *cluster, unsigned a, unsigned b);
void world_heartbeat(struct cluster *cluster, const struct happening *what);
void world_deliver(struct cluster *cluster, struct happening *what);

#endif
