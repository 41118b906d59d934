/* node.h -- one running node: the core behind its loop, log, links, membership, and the threads. What
 * the files of this folder share. Threads are created here and nowhere else:
 *   core     td_loop_run_once           log      td_log_work
 *   links    td_net_work (2)            egress   reads and thins stored batches for transfers */
#ifndef TD_DAEMON_NODE_H
#define TD_DAEMON_NODE_H

#include "node/daemon/config.h"
#include "node/daemon/heads.h"
#include "node/core/metrics.h"
#include "node/daemon/message.h"
#include "node/log/disk_posix.h"
#include "node/log/log.h"
#include "node/loop/loop.h"
#include "node/net/net.h"

enum { TD_VERIFIED_ROOTS = 4096, TD_NET_THREADS = 2 };
/* Decoded form of one frame: first try, and what no honest frame needs. */
enum { TD_ARENA_BYTES_MIN = 8192, TD_ARENA_BYTES_MAX = 64 * 1024 * 1024 };

enum { TD_PUBLISHES_TIMED = 8192 }; /* in flight at one time; more are not all measured */

/* What metrics are written from, beside STATUS. */
struct td_node_metrics {
    pthread_mutex_t mutex;
    struct td_core_metrics core; /* as of the newest STATUS */
    struct td_durations publish; /* from a publish's arrival to its answer */
    struct td_timed_publish {
        uint32_t client_link;
        uint64_t id, begun_us;
    } *timed;                    /* by hash of link and id */
};

struct td_membership;
struct td_egress;
struct td_http;

/* Copy of the durable vector for threads that drop duplicates before any hashing. */
struct td_has_snapshot {
    pthread_mutex_t mutex;
    uint32_t count;
    struct td_vv_entry entries[TD_VV_ENTRIES_MAX];
};

enum { TD_DRAIN_WAITING_MAX = 8, TD_ADMIN_WAITING_MAX = 8 };

struct td_node {
    struct td_config config;
    struct td_secret *secret;
    struct td_identity root;
    struct td_sodium_signer signer_self;
    struct td_signer signer;
    struct td_cluster_id cluster;
    struct td_membership *membership;
    struct td_region self;       /* 0 until the roster names us */
    uint16_t key_number;

    struct td_disk disk;
    struct td_log *log;
    struct td_net *net;
    struct td_http *http;        /* NULL = none */
    struct td_core *core;
    void *core_block;
    size_t core_bytes;
    struct td_inbox inbox;
    struct td_loop loop;
    struct td_loop_ops ops;
    struct td_egress *egress;
    struct td_head_slots heads;
    struct td_has_snapshot has;

    pthread_mutex_t verified_mutex;
    struct td_hash *verified;    /* TD_VERIFIED_ROOTS */
    pthread_mutex_t rate_mutex;
    uint64_t rate_tokens_milli, rate_boot_ms;

    struct td_node_metrics metrics;

    bool core_running;           /* atomic: requests and frames may go to the inbox */
    bool stopping;               /* atomic */
    bool draining;               /* atomic: publishes are refused */
    bool rejoin;                 /* atomic: the roster now names us, start again as a member */
    bool roster_fork;            /* atomic: two rosters of one version were seen */
    uint64_t counters_rejected_signature; /* atomic */
    struct {
        pthread_mutex_t mutex;
        pthread_cond_t answered;
        bool covered; /* some other region's disk covers all our updates, or there is none */
        uint32_t covered_count; /* answers in a row that said so */
        bool asked; /* atomic: somebody waits for drain to end */
        uint32_t timeout_ms; /* the longest that one of them waits */
        uint32_t waiting_count;
        struct td_drain_waiting {
            uint32_t client_link;
            uint64_t id;
        } waiting[TD_DRAIN_WAITING_MAX];
        struct td_region by;
    } drain;
    uint64_t log_damaged_records, log_missing_segments; /* found at the start, then constant */
    struct {
        pthread_mutex_t mutex;
        uint32_t count;
        struct td_admin_waiting {
            uint32_t client_link;
            uint64_t id;
            enum td_admin action;
            char argument[TD_ADMIN_ARGUMENT_BYTES_MAX + 1];
        } waiting[TD_ADMIN_WAITING_MAX];
    } admin;
    int link_ended[UINT8_MAX + 1]; /* atomic: enum td_err of a region's connection that ended last */
    bool config_refused;         /* atomic: the newest reload was refused, the one before is in force */
    uint64_t config_read_wall_ms; /* atomic */
    struct td_incarnation process_told; /* core thread: what the links were given for HELLO */
    pthread_t core_thread, log_thread, net_threads[TD_NET_THREADS];
};

enum { TD_EXIT_REJOIN = -1 };
/* Starts everything with node->config filled; returns when a signal or a fatal error ends it:
 * the exit code, or TD_EXIT_REJOIN when the roster has admitted us and the program must start anew. */
int td_node_run(struct td_node *node, const char *config_path);
struct td_time td_node_now(void);
/* True while the loop has moved in the last 10 s, or there is none yet. Any thread. */
bool td_node_alive(const struct td_node *node);

/* ingress.c: frames and requests on their way in; callbacks of links. */
struct td_net_sink td_ingress_sink(struct td_node *node);
/* One raw batch, decoded and verified like a peer's. TD_OK or why not; of one that is refused the deltas
 * are there when they could be read, else none. own_log: it was taken when the roster allowed it, and counts
 * as far as the core lets it. */
TD_MUST_USE enum td_err td_ingress_decode_batch(struct td_node *node, struct td_bytes raw,
                                                struct td_reader *reader, struct td_arena *arena,
                                                bool own_log, struct td_batch *ret_batch);
/* Decoder memory of the calling thread, freed when it ends. */
struct td_reader *td_thread_reader(void);

/* request.c: a client's request; takes the payload. */
void td_request_take(struct td_node *node, const struct td_link_info *info, uint8_t *take_payload,
                     size_t payload_bytes);
/* The sender for people: a client's or region's name and its address. */
void td_request_sender(struct td_node *node, const struct td_link_info *info,
                       char ret_from[TD_FROM_BYTES_MAX + 1]);
/* Answers a request that never reaches the core (errors, roster). */
void td_ingress_answer(struct td_node *node, uint32_t client_link, const struct td_request *request,
                       enum td_err err, const char *message);

/* client_link of requests the daemon itself asks of its core. */
#define TD_CLIENT_SELF UINT32_MAX
/* drain.c: refuses publishes and waits until a peer covers all own updates, or the deadline. */
bool td_drain(struct td_node *node, uint32_t deadline_ms);
/* A request to drain: answered when it is done, by the main thread; false = too many wait already. */
bool td_drain_ask(struct td_node *node, uint32_t client_link, const struct td_request *request);
void td_drain_for_askers(struct td_node *node);
void td_drain_answer(struct td_node *node, const struct td_response *status);

/* node.c: reads configuration and roster file again, all or nothing; ret_text says what changed, or why
 * not. Main thread. */
enum { TD_ADMIN_TEXT_BYTES = 1024 };
enum td_err td_reload(struct td_node *node, const char *config_path, char ret_text[TD_ADMIN_TEXT_BYTES]);
/* admin.c: reload, log level, backup. Asked by a link's thread, done and answered by the main thread. */
bool td_admin_ask(struct td_node *node, uint32_t client_link, const struct td_request *request);
void td_admin_serve(struct td_node *node, const char *config_path);
/* backup.c: log and roster into a new directory; never the key. ret_text: what was copied, or why not. */
enum td_err td_backup(struct td_node *node, const char *path, char ret_text[TD_ADMIN_TEXT_BYTES]);

/* effects.c: the td_loop_ops of a node. */
struct td_loop_ops td_effects_ops(struct td_node *node);
/* done() of the log, on its thread. */
void td_effects_stored(void *self, const struct td_log_done *done);
void td_effects_ask(void *self, const struct td_compact_ask *ask);
void td_effects_compacted(void *self, const struct td_log_compacted *what);

/* egress.c */
struct td_egress *td_egress_start(struct td_node *node);
void td_egress_stop(struct td_egress *egress);
void td_egress_send(struct td_egress *egress, const struct td_effect *effect);
/* Answers the log once everything handed in before has been read from it. Without memory for that the
 * answer never comes: the old segments stay until the next start. */
void td_egress_answer(struct td_egress *egress, const struct td_compact_answer *answer);

/* recovery.c: opens the log and feeds it to the core. */
TD_MUST_USE enum td_err td_recovery_run(struct td_node *node, char *ret_why, size_t why_bytes);

/* membership.c: the newest verified roster; owns its file in the data directory. */
struct td_membership *td_membership_open(struct td_node *node, char *ret_why, size_t why_bytes);
void td_membership_close(struct td_membership *membership);
/* A reference, or NULL while none is known. */
struct td_roster_ref *td_membership_get(struct td_membership *membership);
/* TD_OK = newer, kept, written and spread; TD_EROSTEROLD = nothing new; else why it is refused. */
TD_MUST_USE enum td_err td_membership_offer(struct td_membership *membership, struct td_bytes raw);
/* The same for a roster that a person pushes: TD_ECLOCK when it was issued more than a minute ahead of us. */
TD_MUST_USE enum td_err td_membership_push(struct td_membership *membership, struct td_bytes raw);
/* An earlier roster by its version, as long as it is kept; malloc'ed bytes. TD_EUNKNOWN. */
TD_MUST_USE enum td_err td_membership_at(const struct td_membership *membership, uint64_t version,
                                         uint8_t **ret_bytes, size_t *ret_count);
/* Why the roster in force lets this node not be what it was started as, in words for people: its key was
 * replaced, its region is leaving or gone. TD_OK and no words when nothing is the matter. */
enum td_err td_membership_standing(struct td_membership *membership, char *ret_text, size_t text_bytes);
/* Reads the configured roster file again (start, SIGHUP). */
enum td_err td_membership_reload(struct td_membership *membership);

/* notify.c: systemd's readiness protocol; no-ops without NOTIFY_SOCKET. */
void td_notify(const char *state);

#endif
