/* sim.h -- the simulated world, shared by the files of this folder: world.c time and events, node.c
 * processes, wire.c bytes on links, net.c paths and links, load.c clients, fault.c what goes wrong,
 * truth.c what really happened, check_*.c what must hold. One thread; the seed decides everything.
 *
 * Real: core, log, codecs, Merkle trees, thinning. Simulated: clock, network, disk, signatures,
 * clients. */
#ifndef TD_SIM_H
#define TD_SIM_H

#include "cluster-tests/sim/options.h"
#include "cluster-tests/sim/random.h"
#include "cluster-tests/sim/sign.h"
#include "node/core/state.h"
#include "node/log/log.h"
#include "node/log/test_disk.h"

enum {
    SIM_NODES_MAX = TD_REGIONS_MAX + 2, /* clones behind the regions */
    SIM_JOBS_MAX = 16384,
    SIM_ATTEMPTS_MAX = 64,
    SIM_JOB_NAME_BYTES = 64,
    SIM_NONE = -1,
    SIM_FINAL_LINK = 1 << 30, /* the client of the last reads */
    SIM_LEAVE_LINK = SIM_FINAL_LINK + 1, /* who closes a region (leave.c) */
    SIM_HEARTBEAT_MS = 500,   /* as the daemon's links */
    SIM_DEAD_MS = 4000,
};
#define SIM_WALL_MS UINT64_C(1700000000000)

enum sim_what {
    SIM_AT_DELIVER = 1,
    SIM_AT_TICK,
    SIM_AT_FLUSH,
    SIM_AT_SIGNED,
    SIM_AT_RANDOM,
    SIM_AT_DIAL,
    SIM_AT_BEAT,
    SIM_AT_RESET,
    SIM_AT_WORKER,
    SIM_AT_REPLY,
    SIM_AT_FAULT,
    SIM_AT_UNDO,
    SIM_AT_RESTART,
    SIM_AT_CHECK,
    SIM_AT_BYZ,
    SIM_AT_LEAVE,
    SIM_AT_ROSTER,
};

/* One frame on its way. */
struct sim_frame {
    struct sim_frame *next; /* in a path that is cut: kept, in order, as TCP would */
    uint8_t type;
    size_t count;
    uint8_t bytes[];
};

struct sim_event {
    uint64_t time_ms;
    enum sim_what what;
    int node, other;
    uint32_t generation; /* of the node's process or of the link: stale events do nothing */
    uint64_t value;
    struct sim_frame *frame;
    uint8_t hash[TD_TICK_HASH_BYTES];
};

/* The heap of events moves these; the events themselves stay where they are. */
struct sim_due {
    uint64_t time_ms, number;
    uint32_t slot;
};

/* A received frame's memory: kept while batches in it wait for the log. */
struct sim_message {
    int references;
    uint8_t *bytes;
    void *block;
};

struct sim_head_slot {
    struct td_incarnation incarnation;
    uint64_t number;
    uint8_t hash[TD_TICK_HASH_BYTES];
    uint8_t *bytes;
    size_t count;
};

/* What the log completed inside td_log_work: handed to the core afterwards. */
struct sim_done {
    struct td_log_done done;
    struct td_hash *leaves;
};

/* A register as last seen at a node, for I3. */
struct sim_shadow {
    uint64_t job_hash;
    uint16_t attempt;
    bool used;
    struct td_order order;
};

struct sim_node {
    struct td_region region;
    uint64_t roster_version; /* in force here; its disk keeps it */
    bool used, up, clone, ruined; /* ruined: its disk lost or damaged something */
    bool dying, booting;
    uint32_t generation;
    struct td_core *core;
    void *block;
    size_t block_bytes;
    struct td_log *log;
    struct test_disk disk;
    struct test_disk snapshot; /* an old backup */
    bool snapshot_taken;
    struct sim_key key;
    struct td_signer signer;
    struct sim_head_slot heads[TD_REGIONS_MAX + 1];
    struct sim_done *done;
    size_t done_count, done_room;
    bool flush_scheduled;
    uint32_t power_in; /* the power goes at this call of the next flush; 0 = no */
    uint32_t flush_extra_ms;
    const struct td_compact_ask *asked; /* by the log inside td_log_work */
    uint64_t compactions, compacted_bytes; /* not yet counted */
    uint64_t tick_ms;
    uint32_t ticks_now;
    uint64_t boot_base_ms;
    int64_t wall_offset_ms;
    int32_t wall_drift_ppm; /* since wall_drift_since_ms */
    uint64_t wall_drift_since_ms;
    uint64_t paused_until_ms;
    struct td_reader *reader;
    uint64_t ticket_newest; /* I8: tickets ascend */
    uint64_t own_ticket;    /* own batch in the log's hands: its truths */
    uint32_t own_first, own_count;

    /* Checkers' memory of this node. */
    uint64_t change_seen;
    uint32_t slot_looked_at; /* check_log.c */
    struct sim_shadow *shadow; /* by register index */
    uint32_t shadow_room;
    struct sim_shadow *earlier; /* registers of the process before that its disk must still have */
    uint32_t earlier_count;
    struct td_vv_store has_down; /* durable vector when it went down */
    uint32_t *unproved;          /* acknowledged truths not yet found here */
    uint32_t unproved_count, unproved_room, acks_taken;
    uint32_t fold_seen[TD_REGIONS_MAX + 1];    /* I10 */
    uint64_t wall_newest_ms;                   /* I4: the latest its clock ever stood at */
    uint32_t fresh_cursor[TD_REGIONS_MAX + 1]; /* first truth of each region not yet covered here */
};

/* A directed path between two places. */
struct sim_path {
    bool cut;
    uint32_t delay_ms, slow_ms, bytes_per_ms; /* 0 = wide */
    uint64_t last_ms;
    struct sim_frame *held, **held_last;
};
/* The connection of a pair; [0] is the lower node's side. */
struct sim_link {
    bool up[2];
    bool deaf[2]; /* this side has decided to end it: takes nothing more */
    uint32_t generation, id[2];
    uint64_t answered_ms[2];
    uint64_t ghost_until_ms; /* until then nothing gets through, and nobody says so: half-open */
    bool dialling;
};

/* One delta as its origin handed it to its log. */
struct sim_truth {
    struct td_order order; /* hash = leaf, once known */
    uint64_t job_hash;
    uint32_t job;
    uint16_t attempt;
    uint8_t state;
    bool durable, failed, acked, doomed, leaf_known;
    uint8_t node;
    uint64_t before_ms; /* the newest stamp anybody had given to this register before */
    uint64_t durable_ms;
};

/* A client's call, for the history. */
struct sim_call {
    uint32_t client, job;
    uint64_t serial;
    bool publish, meddling, settled;
    uint16_t attempt;
    enum td_state state;
    const struct td_seen *seen; /* of its register; NULL = none */
};

struct sim_worker;
struct sim_dots;
struct sim_byz;
struct history;
struct sim_story;
struct sim_secure;
struct sim_life;
struct sim_leave;
struct sim_replay;
struct sim_world;

/* Somebody who counts while a world runs (scale_watch.c): told of each frame that arrives, before
 * it is looked at, and of each step of a core, after its effects. */
struct sim_watch {
    void *self;
    void (*received)(void *self, struct sim_world *world, int node, const struct sim_frame *frame);
    void (*stepped)(void *self, struct sim_world *world, int node);
};

struct sim_counts {
    uint64_t events, steps, acks, refused, lost_calls, reads, faults[SIM_FAULT_COUNT], frames,
        bytes, flushes_failed, rejected, restarts, payloads, deltas_delivered, forks, compactions,
        compacted_bytes;
};

struct sim_world {
    struct sim_options options;
    uint64_t now_ms, number, trace_hash, rounds;
    FILE *trace;
    const struct sim_watch *watch; /* NULL = nobody */
    struct sim_random r_net, r_disk, r_load, r_fault, r_node;
    struct sim_due *heap;
    struct sim_event *events; /* by slot */
    uint32_t *free_slots;
    size_t heap_count, heap_room;

    struct td_roster roster;
    struct td_roster_region roster_regions[TD_REGIONS_MAX];
    struct td_region_key keys[TD_REGIONS_MAX];
    char region_names[TD_REGIONS_MAX][8];
    struct sim_node *nodes;
    int node_count; /* regions; clones lie behind */
    struct sim_path path[SIM_NODES_MAX][SIM_NODES_MAX];
    struct sim_link link[SIM_NODES_MAX][SIM_NODES_MAX]; /* [lower][higher] */
    uint32_t next_link;
    bool faulty; /* the phase with faults */
    uint32_t faults_done;

    char (*job_names)[SIM_JOB_NAME_BYTES];
    uint64_t *job_hashes;
    uint32_t job_count, job_room;
    uint32_t *job_index; /* open addressing by name */
    uint32_t job_mask;

    struct sim_truth *truths;
    uint32_t truth_count, truth_room;
    uint32_t *truth_index; /* open addressing by dot */
    uint32_t truth_mask;
    uint64_t *register_ms;                       /* newest stamp per (job, attempt) */
    uint32_t *region_truths[TD_REGIONS_MAX + 1]; /* in the order in which they became durable */
    uint32_t region_truth_count[TD_REGIONS_MAX + 1], region_truth_room[TD_REGIONS_MAX + 1];
    uint32_t *acks; /* truths acknowledged, in order */
    uint32_t ack_count, ack_room;
    bool region_cloned[TD_REGIONS_MAX + 1]; /* a clone of it ever ran: its freshness means little */
    uint64_t unaware_ms[TD_REGIONS_MAX + 1]; /* when it last could not know that it lacks something */
    bool region_ruined[TD_REGIONS_MAX + 1]; /* its disk was lost, rolled back or damaged once */
    bool tampering, duplicating, memory_short;
    uint32_t reorder_ms;

    uint8_t bad_region; /* 0 = all are honest */
    struct sim_byz *byz;
    struct history *history;
    struct sim_dots *dots; /* check_i7.c */
    struct sim_call final_call;

    struct sim_leave *leave; /* a region is to leave; else NULL */
    struct sim_life *life;
    struct sim_replay *replay; /* trace=FILE; else NULL */
    struct sim_worker *workers;
    uint32_t worker_count;
    bool workers_stopped;
    uint64_t rest_ms; /* since when nothing is reported or broken any more; 0 = not yet */
    uint32_t reports;

    uint8_t *scratch; /* wire.c */
    size_t scratch_bytes;
    void *arena_block;
    size_t arena_bytes;

    struct sim_secure *secure; /* wire=1; else NULL */
    struct sim_story *story;   /* of a scenario, for people to read; NULL = none */

    bool failed;
    const char *failed_checker;
    char failure[512];
    struct sim_counts counts;
};

/* ---- world.c ---- */
struct sim_world *sim_world_new(const struct sim_options *options, FILE *trace);
void sim_world_free(struct sim_world *world);
/* Starts all regions' processes; their links are dialled. */
void sim_world_boot(struct sim_world *world);
/* Lets everything happen that is due until then. Ends early when a checker complains. */
void sim_world_until(struct sim_world *world, uint64_t end_ms);
/* The whole history: faults, then healing. True when nothing was violated. */
bool sim_world_run(struct sim_world *world);
/* Valid until the next call: the caller fills it before anything else is scheduled. */
struct sim_event *sim_schedule(struct sim_world *world, uint64_t time_ms, enum sim_what what,
                               int node);
/* Mixes into the trace hash: two runs of one seed agree in every one of these. */
void sim_note(struct sim_world *world, uint64_t what, uint64_t a, uint64_t b);
void sim_trace(struct sim_world *world, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* A checker's verdict; the first one stays. */
void sim_fail(struct sim_world *world, const char *checker, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- node.c ---- */
void sim_node_boot(struct sim_world *world, int node);
/* Ends the process. power = also what was written but not flushed may be lost or torn. */
void sim_node_crash(struct sim_world *world, int node, bool power);
struct td_event sim_node_event(const struct sim_world *world, int node, enum td_event_type type);
void sim_node_step(struct sim_world *world, int node, struct td_event *event);
void sim_node_flush(struct sim_world *world, int node);
void sim_node_tick(struct sim_world *world, int node);
bool sim_node_publishes(const struct sim_world *world, int node);
/* From now on its wall clock goes wrong by so much. */
void sim_node_drift(struct sim_world *world, struct sim_node *node, int32_t ppm);
void sim_node_snapshot(struct sim_world *world, int node);
void sim_disk_copy_durable(struct test_disk *target, const struct test_disk *source);

/* ---- wire.c ---- */
void sim_wire_send(struct sim_world *world, int node, int other, const struct td_effect *effect);
void sim_wire_receive(struct sim_world *world, int node, int other, struct sim_frame *frame);
void sim_wire_keep_head(struct sim_node *node, const struct td_head *head);
void sim_message_put(struct sim_message *message);
TD_MUST_USE enum td_err sim_wire_decode_batch(struct sim_world *world, struct sim_node *node,
                                              struct td_bytes raw, struct td_arena *arena,
                                              bool own_log, struct td_batch *ret_batch);

/* ---- byz.c ---- */
/* The bad member withholds what it claims: vectors may cover what was never sent (INVARIANTS, I1).
 */
bool sim_is_hiding(const struct sim_world *world);
bool sim_is_bad(const struct sim_world *world, int node);
void sim_byz_start(struct sim_world *world);
void sim_byz_free(struct sim_world *world);
/* What the bad member signs, before it does. */
void sim_byz_head(struct sim_world *world, struct td_head *head);
/* Takes a frame that it is about to send; what goes out instead, NULL = nothing. */
struct sim_frame *sim_byz_frame(struct sim_world *world, int other, struct sim_frame *frame);
/* It speaks unasked. */
void sim_byz_act(struct sim_world *world, int node);

/* ---- net.c ---- */
void sim_net_start(struct sim_world *world, int node);
void sim_net_dial(struct sim_world *world, int a, int b);
void sim_net_beat(struct sim_world *world, const struct sim_event *event);
void sim_net_reset(struct sim_world *world, const struct sim_event *event);
void sim_net_put(struct sim_world *world, int from, int to, struct sim_frame *frame);
void sim_net_deliver(struct sim_world *world, const struct sim_event *event);
/* The other end of a link of this node; SIM_NONE when it is gone. */
int sim_net_peer(struct sim_world *world, int node, uint32_t link);
/* This side ends the link; told = the other side gets a reset. */
void sim_net_close(struct sim_world *world, int node, int other, bool told);
/* All sides of a process that ended. */
void sim_net_gone(struct sim_world *world, int node, bool told);
void sim_net_cut(struct sim_world *world, int from, int to, bool cut);
struct sim_link *sim_net_link(struct sim_world *world, int a, int b);
uint32_t sim_net_link_id(struct sim_world *world, int node, int other);
uint64_t sim_net_delay_max(const struct sim_world *world);

/* ---- jobs.c ---- */
struct td_text sim_job_text(const struct sim_world *world, uint32_t job);
uint32_t sim_job_find(const struct sim_world *world, struct td_text name); /* TD_NONE */
uint32_t sim_job_number(struct sim_world *world, struct td_text name);     /* adds what is new */
void sim_jobs_free(struct sim_world *world);

/* ---- load.c ---- */
void sim_load_start(struct sim_world *world);
void sim_load_worker(struct sim_world *world, int worker);
void sim_load_reply(struct sim_world *world, int node, uint32_t client_link,
                    const struct td_response *response);
void sim_load_free(struct sim_world *world);

/* ---- record.c ---- */
void sim_record_start(struct sim_world *world);
void sim_record_free(struct sim_world *world);
void sim_record_call(struct sim_world *world, const struct sim_call *call);
void sim_record_answer(struct sim_world *world, const struct sim_call *call, int node,
                       const struct td_response *response);
/* Nothing this region said is owed any more; nor what this node acknowledged, unless SIM_NONE. */
void sim_record_forgive(struct sim_world *world, int node, struct td_region region);
/* After healing: everything acknowledged, read at every honest node. */
void sim_record_final(struct sim_world *world);

/* ---- fault.c ---- */
void sim_fault_next(struct sim_world *world);
void sim_fault_inject(struct sim_world *world);
void sim_fault_undo(struct sim_world *world, const struct sim_event *event);
void sim_fault_restart(struct sim_world *world, const struct sim_event *event);
void sim_fault_heal_all(struct sim_world *world);
/* How much of so many bytes can be had now: all of it, or less while memory is short. */
size_t sim_fault_memory(struct sim_world *world, size_t bytes);
/* ---- fault_net.c ---- */
void sim_fault_duplicate(struct sim_world *world, int from, int to, const struct sim_frame *frame);

/* ---- leave.c ---- */
void sim_leave_start(struct sim_world *world);
void sim_leave_free(struct sim_world *world);
/* The next move of whoever closes the region; SIM_AT_LEAVE. */
void sim_leave_act(struct sim_world *world);
void sim_leave_reply(struct sim_world *world, const struct td_response *response);
/* Scenario: the region of this node leaves from now on. revoked: at once, and its word counts nothing. */
void sim_leave_begin(struct sim_world *world, int node, bool revoked);
/* A member that is away is given up: the list is made without it. */
void sim_leave_without(struct sim_world *world, int node);
/* The roster in force at this node. */
const struct td_roster *sim_roster(const struct sim_world *world, int node);
/* A link came up, or is about to: the older roster is replaced. */
void sim_leave_meet(struct sim_world *world, int a, int b);
void sim_leave_arrive(struct sim_world *world, const struct sim_event *event);
/* One of the two is no member any more by the other's roster. */
bool sim_leave_bars(const struct sim_world *world, int a, int b);
/* This node's region is closed: nothing is expected of it any more. */
bool sim_is_gone(const struct sim_world *world, int node);
/* Of a closed region, and not in its list: void, until somebody who shows it has said it again. */
bool sim_leave_left_out(const struct sim_world *world, struct td_dot dot);
/* What this region says from now on counts nowhere, and it cannot know. */
bool sim_leave_too_late(const struct sim_world *world, struct td_region region);
/* All who are expected to have the newest roster. */
bool sim_leave_done(const struct sim_world *world, char *ret_why, size_t why_bytes);
/* A head is signed: from it others may take what it names of a leaving region. */
void sim_leave_said(struct sim_world *world, int node, const struct td_head *head);
/* A register shows this dot, which it did not before (I5). */
void sim_check_i5_leaving(struct sim_world *world, int node, struct td_dot dot);

/* ---- truth.c ---- */
void sim_truth_store(struct sim_world *world, int node, const struct td_effect *store);
/* The log completed a ticket; those that were no own batch are ignored. */
void sim_truth_stored(struct sim_world *world, int node, struct td_ticket ticket, bool durable,
                      const struct td_hash *leaves, uint32_t leaf_count);
struct sim_truth *sim_truth_find(struct sim_world *world, struct td_dot dot);
void sim_truth_ack(struct sim_world *world, struct sim_truth *truth);
/* A disk is about to lose something: what nobody else covers may be lost with it. */
void sim_truth_doom(struct sim_world *world, int node);
/* Of a region that was cloned or ruined: between the closing of an incarnation and its heir saying
 * again what that closed away, vectors cover what registers lack. At the end nothing may lack. */
bool sim_truth_in_doubt(const struct sim_world *world, const struct sim_truth *truth);
uint64_t sim_dot_hash(struct td_dot dot);
/* Oldest report of this region that the node lacks; NULL = none (check_i6.c). */
/* Registers of one node that another lacks or shows another winner of. */
void sim_explain_registers(struct sim_world *world, int index, int other);
void sim_explain(struct sim_world *world, int index, uint8_t region);
const struct sim_truth *sim_oldest_lacking(struct sim_world *world, struct sim_node *node,
                                           uint8_t region);
void sim_truth_free(struct sim_world *world);

/* ---- checkers ---- */
void sim_check_i1(struct sim_world *world, int node); /* nothing acknowledged is lost */
/* The register of this report holds it or a greater one. */
bool sim_holds(const struct sim_world *world, const struct td_core *core,
               const struct sim_truth *truth);
void sim_check_i1_end(struct sim_world *world);
bool sim_check_i2_equal(struct sim_world *world, char *ret_why, size_t why_bytes);
void sim_check_i3_step(struct sim_world *world, int node); /* calls those of I5 and I10 */
void sim_check_i3_booted(struct sim_world *world, int node);
void sim_check_i3_down(struct sim_world *world, int node);
/* An accepted report, against what its writer had seen. */
void sim_check_i4(struct sim_world *world, int node, const struct sim_truth *accepted,
                  const struct td_seen *seen, bool noop);
/* A report that is about to be stored, against the clock of its node. */
void sim_check_i4_stamp(struct sim_world *world, int node, const struct sim_truth *truth);
void sim_check_i5(struct sim_world *world, int node, uint32_t reg);
void sim_check_i6_aware(struct sim_world *world); /* often: since when a region may know */
void sim_check_i6_hidden(struct sim_world *world, int node);
void sim_check_i6(struct sim_world *world, int node, const struct td_fresh_view *rows,
                  uint32_t count);
/* Somebody made, took in or found again this dot with this leaf. */
void sim_check_i7(struct sim_world *world, int node, struct td_dot dot, const struct td_hash *leaf);
/* A register of this node changed from one word to another under the same dot. */
void sim_check_i7_fork(struct sim_world *world, int node, struct td_dot dot);
void sim_check_i7_batch(struct sim_world *world, int node, const struct td_batch *batch);
/* Nobody names an honest region. */
void sim_check_i7_accused(struct sim_world *world, int node);
void sim_check_i7_free(struct sim_world *world);
void sim_check_i8(struct sim_world *world, int node);
void sim_check_i8_store(struct sim_world *world, int node, struct td_ticket ticket);
/* all: every slot, else some of them. */
void sim_check_log(struct sim_world *world, int node, bool all);
void sim_check_i9_healthy(struct sim_world *world, int node);
bool sim_check_i9_idle(struct sim_world *world, char *ret_why, size_t why_bytes);
void sim_check_i10_step(struct sim_world *world, int node);
void sim_check_i10_won(struct sim_world *world, int node, struct td_dot dot);
void sim_check_i10_cut(struct sim_world *world, int node);
/* Everybody is fresh of everybody honest. */
/* Some region ran twice: what its original draws and vouches for is limited for an hour. */
bool sim_any_cloned(const struct sim_world *world);
bool sim_check_stale_settled(struct sim_world *world, int node, char *ret_why, size_t why_bytes);
void sim_check_stale(struct sim_world *world, int node, const struct td_fresh_view *rows,
                     uint32_t count);

#endif
