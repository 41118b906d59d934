/* state.h -- the replica's own state, shared by the files of this folder and by nobody else. All of it
 * lives in the one block given to td_core_init; indexes (u32) link records instead of pointers.
 * Who owns what: table.c registers, bodies, digest, change ring; vectors.c incarnations and vectors;
 * batches.c batch slots, arrival order, live rings; fx.c effects; publish.c the own group;
 * pending.c waiting requests; query.c answers; peers.c links and regions; live.c wants, sources and
 * credit; transfer.c transfers; repair.c digests; heads.c own and others' heads; fresh.c freshness and
 * the stable cut; start.c recovery; incarnation.c our own incarnation. */
#ifndef TD_CORE_STATE_H
#define TD_CORE_STATE_H

#include "node/core/core.h"
#include "node/core/counters.h"
#include "proto/assert.h"

#define TD_NONE UINT32_MAX /* no index */
/* Incarnations known, open or folded: a folded one stays while a live delta lies in it. */
enum { TD_INCS_MAX = 16384 };
enum { TD_INC_NONE = UINT16_MAX };
enum { TD_FX_MAX = 8192, TD_LINK_OUT_MAX = 96, TD_SLOTS = TD_REGIONS_MAX };

/* Interned incarnation: everything known of one sequence of dots. */
struct td_inc {
    struct td_origin origin;
    uint64_t received;   /* contiguous, merged; durable or not */
    uint64_t durable;    /* the entry of `has` */
    uint32_t storing;    /* received batches of it in the log's hands */
    uint64_t signed_max; /* newest seq its origin itself signed in a head or header verified here */
    uint64_t named_max;  /* newest seq anybody named (may lie): asks for the origin's head */
    bool closed;         /* an origin's head closed it at closed_last */
    bool lost;           /* what was signed beyond closed_last is held by nobody */
    bool folded;         /* below the stable cut and closed; out of vectors */
    uint64_t closed_last;
    uint64_t used_ms;    /* of our own region: when somebody last named more of it than before; 0 = never */
    uint64_t missed_ms;  /* of our own region: since when nobody who counts has what was signed; 0 = no */
    uint32_t slot_count; /* batch slots that refer to it */
    uint32_t anchor;     /* slot whose header proves the most that was signed; TD_NONE = none */
    uint8_t hole_count;  /* merged beyond `received`, disjoint, ascending, [from, to] */
    struct {
        uint64_t from, to;
    } holes[TD_HOLES_MAX];
};

/* A stored (or being stored) batch with live deltas here, or still in a live ring. */
struct td_slot {
    struct td_log_ref ref;
    uint64_t first_seq;
    uint32_t count;       /* of the signed batch */
    uint32_t live_first;  /* register list, any order; TD_NONE = none */
    uint32_t live_count;
    uint32_t prev, next;  /* arrival order (log order) */
    uint64_t arrived;     /* arrival number, ascending along the list */
    uint16_t inc;
    uint8_t via;          /* region number of the link it came by; own = accepted here; 0 = own log, from whomever */
    bool whole;
    bool durable;
    bool in_ring;
    bool anchor;          /* of its incarnation */
    bool anchor_next;     /* will be when its bytes are durable */
    uint32_t index_last;  /* of the deltas that its stored bytes hold */
    bool failed;          /* its store failed: merged and shown, but its bytes are nowhere */
    bool used;
};

/* One register (job, attempt). Body bytes: see table.c. */
struct td_register {
    uint32_t next_in_bucket;  /* hash chain of jobs' highest attempts */
    uint32_t lower_attempt;   /* next lower attempt of the same job */
    uint32_t next_live, prev_live; /* in its batch slot */
    uint32_t slot;            /* batch slot; TD_NONE only while unused */
    uint32_t body_words;      /* size in 16-byte units */
    uint64_t body;            /* offset into the body arena, 16-byte units */
    uint64_t job_hash;
    struct td_stamp stamp;
    struct td_hash leaf;
    uint64_t change;          /* number in the change ring of its newest change */
    uint32_t index;           /* delta's index in its batch */
    uint16_t attempt;
    uint8_t state;
    uint8_t concurrent_count; /* saturates */
    uint8_t first_region;     /* region number that accepted its first report (quota) */
    bool used;
    bool highest;             /* of its job's attempts */
};

/* A losing version kept for explain/history: bounded rings, newest 4 shown per register. */
struct td_loser {
    uint64_t register_hash;
    struct td_log_ref ref;
    uint32_t index;
    struct td_dot dot;
    uint64_t arrived_wall_ms;
    uint64_t previous; /* number of the next older loser of the same hash bucket, 0 = none */
    uint8_t via;
    bool concurrent;
    enum td_rule rule;
};
enum { TD_LOSERS = 65536 };

/* Owned vector memory: td_vv over fixed arrays. */
struct td_vv_store {
    struct td_vv vv;
    struct td_vv_entry entries[TD_VV_ENTRIES_MAX];
    struct td_vv_fold folds[TD_REGIONS_MAX];
};

/* What we know of a region by its newest verified head, and of its place in the roster. */
struct td_region_info {
    struct td_region number; /* 0 = slot unused */
    uint8_t name_bytes;
    char name[TD_REGION_NAME_BYTES_MAX];
    enum td_region_state roster_state;
    struct td_public_key sign_key; /* newest, for answers only */
    uint64_t quota_registers, quota_bytes;
    uint64_t used_registers, used_bytes; /* first accepted by this region */

    bool heard; /* a head was verified since we started */
    struct td_incarnation head_incarnation;
    uint64_t head_number;
    uint8_t head_hash[TD_TICK_HASH_BYTES];
    uint64_t head_boot_ms;        /* when it arrived here */
    struct td_stamp head_stamp;
    int64_t offset_ms;            /* its stamp minus our wall clock at arrival */
    uint64_t head_roster_version;
    bool recovering;
    struct td_hash head_digest;
    struct td_vv_store head_has;
    uint32_t echo_count;
    struct td_tick echo[TD_ECHO_ENTRIES_MAX];
    uint32_t counted_count;
    struct td_region counted[TD_REGIONS_MAX];
    uint16_t proto_min, proto_max;
    uint8_t software_bytes;
    char software[TD_SOFTWARE_BYTES_MAX];
    /* Heads of this region we echo: newest 2 processes. */
    uint32_t tick_count;
    struct td_tick ticks[2];

    /* Freshness (fresh.c): the moment up to which our view of this region is complete. */
    bool echo_known;        /* it echoed one of our ticks in this life */
    uint64_t echo_moment_ms; /* boot ms at which we signed that tick */
    bool complete_known;
    uint64_t complete_ms;   /* boot ms */
    bool stale_traced;

    /* Live source (live.c). */
    uint32_t source;        /* link index we take its deltas from; TD_NONE = none */
    bool source_asked;
    bool direct_seen;       /* a link of its own was up in this life of ours */
    uint64_t source_since_ms, source_changed_ms, lag_since_ms, head_lag_since_ms, direct_ok_since_ms;
    bool need_transfer;

    bool clone_suspected, rolled_back, equivocated, fenced, doubt;
    uint8_t link_view;      /* enum td_link_view as last traced */
    bool skew_traced;
    bool joined;            /* some head of it was not recovering: it counts for the stable cut */
    bool joined_logged;     /* a restart knows that */
    bool covered_known;
    uint64_t covered_number; /* head number that covered_has is from; 0 after a change of process */
    struct td_vv_store covered_has; /* `has` of its newest head whose own part we covered ourselves */
    /* Freshness: an echo waits until what was named of this region's running incarnation is here. */
    struct td_fresh_wait {
        bool set;
        uint64_t moment_ms;
        struct td_incarnation process;
        uint64_t seq;
    } wait, wait_next;
    uint64_t ask_ms;        /* when we last asked somebody for its head */
    /* Something of this region that others announced and we lack: since when (lag_since_ms). */
    struct td_dot lag_dot, stuck_dot;
    struct td_link_id lag_first; /* who announced lag_dot first */
    uint64_t stuck_since_ms;
    uint8_t digest_differs;    /* heads in a row with our vectors and another digest */
    uint64_t fold_since_ms;    /* its own head names a fold that we do not have; 0 = no */
    struct td_dot direct_mark; /* newest received at the last check of the direct path */
    uint64_t direct_check_ms;
    uint64_t avoid_until_ms;   /* no transfer from it before */
    struct td_vv_store told;   /* claim of the newest transfer completed from it, as it came */
    uint64_t progress_boot_ms; /* when its has last moved (fencing) */
    /* Live ring: newest contiguous batches of this region. */
    uint32_t ring_first, ring_count; /* positions in ring[slot * ring_batches + ...] */
    uint64_t ring_serial;            /* serial of the entry at ring_first, ascending */
};

/* One region link. */
struct td_link {
    struct td_link_id id; /* 0 = unused */
    uint8_t region_slot;
    struct td_incarnation process;
    uint64_t up_boot_ms;
    bool late;
    bool rtt_known;
    uint32_t srtt_us;
    uint16_t probes;
    struct td_vv_store has;  /* newest HAS it announced */
    bool has_known;
    bool has_dirty;          /* our `has` moved since we announced it here */

    /* As a sender: what this peer wants of us. */
    uint64_t credit[TD_LANE_COUNT];   /* bytes we may still send */
    bool wants[TD_SLOTS];
    uint64_t want_serial[TD_SLOTS];   /* next ring serial to send, per region slot */
    /* One bit per region slot. */
    uint64_t head_due;      /* newest head of that region not yet sent here */
    uint64_t live_due;      /* wanted here and perhaps more in its ring */
    uint64_t ask_due;       /* HEAD_ASK to send */
    uint64_t want_due;      /* WANT_LIVE on to send */
    uint64_t want_off_due;  /* WANT_LIVE off to send */
    uint64_t not_whole_due; /* NOT_WHOLE to send */
    uint8_t pump_next;      /* round robin over live_due */
    bool no_due;            /* TRANSFER_NO to send */
    uint32_t no_id;
    uint64_t unsigned_until_ms; /* no transfer before for names their origin never signed */
    bool closing;           /* told the driver to close it; sends nothing more */
    /* Adaptive failure detection over answered heartbeats (peers.c). */
    uint64_t answered_ms;
    uint32_t gap_mean_ms, gap_dev_ms;
    struct {
        bool active;
        uint32_t id;
        uint32_t cursor_slot;         /* next batch slot to look at */
        uint64_t cursor_arrived;
        struct td_vv_store base;      /* receiver's `has` at the start */
    } send;

    /* As a receiver. */
    uint64_t granted[TD_LANE_COUNT];  /* bytes we allowed and have not yet seen */
    uint64_t consumed[TD_LANE_COUNT]; /* seen, not yet granted again */
};

/* A transfer we receive; at most one at a time. */
struct td_transfer_in {
    bool active;
    uint32_t link;          /* link index of the sender; TD_NONE = broken, may resume */
    struct td_region sender;
    struct td_incarnation process;
    uint32_t id;
    uint64_t cursor;
    uint64_t started_ms, last_ms;
    uint64_t bytes, batches;
    bool ended;             /* claim arrived, waiting for durability up to claim_ticket */
    uint64_t claim_ticket;
    uint64_t record_ticket; /* HAS record in the log's hands; 0 = not yet */
    uint64_t failed_count;  /* stores_failed when it began: whatever fails later voids it */
    uint64_t ended_ms;
    uint64_t broken_ms;     /* since when it has no link */
    bool capped;            /* the claim was cut to what its origins signed */
    bool asked;             /* WANT_ALL was sent on this link */
    bool poisoned;          /* something of it could not be kept: its claim must not count */
    struct td_vv_store base; /* our `has` at the start: what a resumed transfer names again */
    struct td_vv_store claim;
    struct td_vv_store told; /* the claim as it came */
};

/* Our tick table: when we signed our newest heads. */
enum { TD_OWN_TICKS = 256, TD_OTHER_LIVES = 8 };
struct td_own_tick {
    struct td_tick tick;
    uint64_t moment_ms; /* boot ms when the head was handed out to be signed */
    bool signed_;
};

/* Stores in flight, ascending ticket. */
enum { TD_STORES = 8192 };
enum td_store_what { TD_WHAT_OWN = 1, TD_WHAT_BATCH, TD_WHAT_CLAIM, TD_WHAT_INCARNATION, TD_WHAT_OTHER };
struct td_store {
    uint64_t ticket;
    enum td_store_what what;
    uint16_t inc;
    uint64_t advance_to;   /* BATCH: `durable` of inc becomes at least this (received at that time) */
    uint32_t slot;         /* BATCH: slot it fills, TD_NONE when already freed or void */
    uint32_t first_pending, pending_count; /* OWN: range in the own-delta queue */
    uint64_t loser_from, loser_concurrent_from; /* losers before these cannot name this ticket */
    struct td_log_ref ref; /* OWN: unset; BATCH: as the slot's */
};

struct td_own_state;      /* publish.c: queue of own deltas not yet durable, with their bytes */
struct td_pending_state;  /* pending.c: requests that wait */
struct td_fx;             /* fx.c: effects of this step */
struct td_query_state;    /* query.c: scratch for answers */
struct td_repair_state;   /* repair.c */

struct td_core {
    struct td_core_config config;
    struct td_time now; /* of the event being handled */
    uint64_t step_number;
    uint64_t deadline_ms;       /* boot ms of the next TICK wanted */
    bool has_moved;             /* durable vectors moved in this step */
    bool table_changed;         /* a register changed in this step */
    bool draining;
    bool replaying;             /* inside START: nothing is counted, traced or sent */
    bool started;       /* START with last = true was seen */
    bool have_roster;
    uint64_t roster_version, roster_issued_ms;
    struct td_policy policy;

    struct td_incarnation process; /* our incarnation; start 0 = none drawn yet */
    uint16_t own_inc;              /* interned once it has a delta; TD_INC_NONE before */
    uint32_t again_below;          /* newest fold of our region that others named beyond ours */
    bool again_closed;             /* a clone's closing made reports of ours void: said again when possible */
    bool again_wanted;             /* what we accepted below it waits for the next incarnation */
    uint32_t start_highest;        /* highest start number known from log or peers for our region */
    bool incarnation_wanted, incarnation_durable;
    bool incarnation_asked;        /* TD_FX_RANDOM is out */
    unsigned incarnation_reason;   /* enum td_draw */
    uint64_t incarnation_ticket;   /* store of its record */
    uint16_t void_inc;             /* its newest group failed: to be closed in the log; TD_INC_NONE = none */
    uint64_t void_ticket;          /* store of that closing */
    struct td_incarnation replayed_draw; /* newest INCARNATION record: what follows of it was accepted here */
    bool void_replayed;            /* recovery met a group that such a closing made void */
    uint32_t clone_count;          /* draws for a clone within the hour */
    uint64_t clone_first_ms, clone_last_ms;
    bool log_was_empty;
    bool recovering;
    bool recovered_logged;         /* newest such record of the log */
    enum td_err publish_refused;   /* TD_OK = publishing works */
    uint64_t logged_wall_ms;       /* newest WALL record of the log */
    uint64_t wall_record_ms;       /* when we last wrote one (wall) */
    bool log_hole;                 /* recovery saw a hole that no HOLES record names yet: HAS does not count */
    bool holes_unmarked;           /* a HOLES record has to come before our next claim */
    uint64_t hole_count, hole_mix; /* all that recovery saw */

    uint8_t slot_of[256];          /* region number -> slot, 255 = none */
    uint8_t self_slot;
    struct td_region_info *regions; /* TD_SLOTS */
    uint32_t *ring;                 /* TD_SLOTS * limits.ring_batches batch slots */

    struct td_inc *incs;            /* TD_INCS_MAX; region 0 = unused */
    uint32_t inc_count;             /* used or once used: indexes below this */
    uint16_t *inc_order;            /* used ones, ascending origin */
    uint32_t inc_order_count;
    struct td_vv_store has;         /* kept equal to incs' durable by vectors.c */
    uint32_t fold_below[256];       /* per region number: starts below are closed and held */

    struct td_register *registers;
    uint32_t register_count, register_used_max, register_free;
    uint32_t *buckets;
    uint32_t bucket_mask;
    uint8_t *bodies;
    uint64_t body_words_max, body_words_used;
    uint64_t body_bump;             /* first unit never used since the last compaction */
    uint32_t *body_free;            /* per size in units, first free block; see body.c */
    uint64_t body_classes[8];       /* bit per size that has a free block */
    uint32_t reserved_registers;    /* promised to own deltas on their way to the disk */
    uint64_t reserved_words;
    uint64_t body_bytes_live;
    struct td_hash digest[TD_DIGEST_BUCKETS]; /* sums modulo 2^256 of the winners' leaf hashes */
    uint64_t jobs_by_state[TD_STATE_COUNT];
    uint64_t change_number;         /* newest */
    uint32_t *change_ring;          /* register index by change number */

    struct td_slot *slots;
    uint32_t slot_free, slot_used_max, slot_count;
    uint32_t slot_first, slot_last; /* arrival list */
    uint64_t arrived_number;

    struct td_loser *losers;            /* TD_LOSERS, superseded */
    struct td_loser *losers_concurrent; /* TD_LOSERS */
    uint64_t *loser_heads;              /* TD_LOSERS, newest number per hash bucket */
    uint64_t *loser_concurrent_heads;
    uint64_t loser_number, loser_concurrent_number;

    struct td_link *links;          /* limits.links_max */
    uint32_t link_used_max;
    struct td_transfer_in transfer;
    bool transfer_wanted;
    uint64_t transfer_from_ms;      /* not before: jitter at heal, pause after one that gave nothing */
    uint32_t transfer_pause_ms;
    uint32_t transfer_id;
    uint64_t started_boot_ms;       /* first step after START */
    struct td_time fresh_clock;     /* of the step before: a jump between the two clocks shows */
    struct td_incarnation first_process; /* of this life of the process */
    uint64_t earlier_seqs;          /* durable seqs of our earlier lives at that time */
    /* Other lives of our region in others' echo tables: a clone speaks, an earlier life of ours does not. */
    struct td_other_life {
        struct td_incarnation incarnation;
        uint64_t number;   /* newest head echoed */
        bool spoke;        /* that moved since we came up */
        uint64_t since_ms; /* it moved, or was first seen */
    } other_lives[TD_OTHER_LIVES];
    uint64_t recover_named_ms;      /* since when names of our own deltas lack our signature; 0 = none */
    uint64_t live_check_ms;
    uint64_t cut_next_ms;
    struct td_own_tick own_ticks[TD_OWN_TICKS];
    uint64_t head_number;           /* newest handed out */
    uint64_t head_signed_number;
    bool head_in_flight, head_asked; /* asked: something new or a reader wants one */
    uint64_t head_next_ms, head_last_ms;
    struct td_head own_head;        /* scratch for TD_FX_SIGN_HEAD */

    struct td_store *stores;        /* ring of TD_STORES */
    uint64_t store_first, store_next;
    uint64_t ticket_next;
    uint64_t stored_ticket;             /* newest completed */
    uint64_t failed_ticket;             /* newest completed as not durable */

    struct td_own_state *own;
    struct td_pending_state *pending;
    struct td_query_state *query;
    struct td_repair_state *repair;
    struct td_fx *fx;
    uint64_t counters[TD_COUNTER_COUNT];
};

#define TD_COUNT(core, name, n) ((core)->counters[TD_COUNTER_##name] += (uint64_t)(n))

/* ---- block layout: each owner adds its part, in core.c's order ---- */
struct td_block {
    uint8_t *bytes; /* NULL while only measuring */
    size_t used_bytes;
};
void *td_block_take(struct td_block *block, size_t count, size_t size);

/* ---- fx.c ---- */
size_t td_fx_layout(struct td_core *core, struct td_block *block);
void td_fx_reset(struct td_core *core);
const struct td_effect *td_fx_finish(struct td_core *core, size_t *ret_count);
/* Next free effect; asserts TD_FX_MAX (callers bound themselves). */
struct td_effect *td_fx_add(struct td_core *core, enum td_effect_type type);
/* Appends a message to this link's one send of the step; NULL when the step's room for it is used up
 * (the caller keeps the work for the next tick, which fx asks for at once). The returned td_out is
 * zeroed but for type. */
struct td_out *td_fx_out(struct td_core *core, uint32_t link_index, enum td_out_type type);
/* Scratch memory that lives until the next step, for arrays inside effects. NULL when used up. */
void *td_fx_scratch(struct td_core *core, size_t count, size_t size);
size_t td_fx_scratch_left(const struct td_core *core);
void td_fx_trace(struct td_core *core, enum td_trace_code code, struct td_region region, uint64_t a,
                 uint64_t b);
/* Effects that may still be added in this step. */
uint32_t td_fx_room(const struct td_core *core);
/* Asks for a TICK not later than boot_ms. Kept until a tick runs: every *_tick asks again. */
void td_deadline(struct td_core *core, uint64_t boot_ms);

/* ---- vectors.c: incarnations and version vectors ---- */
uint16_t td_inc_find(const struct td_core *core, struct td_origin origin);
/* Finds or adds; TD_INC_NONE when the table or the region's 256 are used up (counted). */
uint16_t td_inc_intern(struct td_core *core, struct td_origin origin);
bool td_dot_received(const struct td_core *core, struct td_dot dot); /* below received, in a hole list, or folded */
bool td_dot_durable(const struct td_core *core, struct td_dot dot);
/* Marks [first, first+count) merged: advances received over it and over holes. */
void td_inc_received(struct td_core *core, uint16_t inc, uint64_t first_seq, uint64_t count);
void td_inc_durable(struct td_core *core, uint16_t inc, uint64_t seq);
void td_inc_signed(struct td_core *core, struct td_origin origin, uint64_t seq);
/* max(has, claim) limited per incarnation to signed_max; names beyond it raise named_max. */
void td_vectors_claim(struct td_core *core, const struct td_vv *claim);
/* Vector of `received` for one region (WANT_LIVE), in scratch. */
struct td_vv td_vectors_received_of(struct td_core *core, struct td_region region);
struct td_vv td_vectors_has(const struct td_core *core); /* valid until the vectors move */
/* A copy for an effect: within the step the vectors may move once more. False = no scratch. */
bool td_vectors_copy(struct td_core *core, const struct td_vv *vv, struct td_vv *ret_vv);
/* Something this region signed is known here, from its own life before ours or from the log. */
bool td_vectors_know(const struct td_core *core, struct td_region region);
/* `durable` + `received` cover what vv names? */
bool td_vectors_durable_cover(const struct td_core *core, const struct td_vv *vv);
/* Everything of this region that starts below start_below is closed and held: leaves the vectors. */
void td_vectors_fold(struct td_core *core, struct td_region region, uint32_t start_below);
/* A store of this incarnation failed: what is not durable is asked for again. */
/* Everything of our own incarnation beyond last_seq never was (DESIGN 5): true when some was merged. */
bool td_inc_void(struct td_core *core, uint16_t inc, uint64_t last_seq);
void td_inc_fall_back(struct td_core *core, uint16_t inc);
void td_vectors_init(struct td_core *core);
/* Copies into owned memory; false (unchanged) when too large. */
bool td_vv_store_set(struct td_vv_store *store, const struct td_vv *vv);

/* ---- batches.c ---- */
void td_slots_layout(struct td_core *core, struct td_block *block);
void td_batch_stored(struct td_core *core, const struct td_store *store, const struct td_event *event);
/* New slot at the end of the arrival order; TD_NONE when limits.batches_max is used up. */
uint32_t td_slot_add(struct td_core *core, uint16_t inc, uint64_t first_seq, uint32_t count, bool whole,
                     struct td_region via);
/* Frees it when it has no live register, is not in a ring and is no anchor. */
void td_slot_release(struct td_core *core, uint32_t slot);
/* Of each open incarnation the durable batch with the newest header is kept, live deltas or not: it goes
 * along with every transfer, because a claim counts only as far as the receiver has seen the origin's own
 * signature. Takes the place of an older anchor when it proves more. */
void td_slot_anchor(struct td_core *core, uint32_t slot);
void td_slot_anchor_drop(struct td_core *core, uint16_t inc);
/* Puts a whole contiguous batch at the end of its region's live ring (drops the oldest). */
void td_ring_push(struct td_core *core, uint8_t region_slot, uint32_t slot);
/* Batch slot at this serial, TD_NONE when outside the ring. */
uint32_t td_ring_at(const struct td_core *core, uint8_t region_slot, uint64_t serial);
/* Serial from which the ring serves `from` (newest held per incarnation) without a hole; false = not whole here. */
bool td_ring_seek(const struct td_core *core, uint8_t region_slot, const struct td_vv *from,
                  uint64_t *ret_serial);

/* ---- table.c ---- */
size_t td_table_layout(struct td_core *core, struct td_block *block);
void td_table_init(struct td_core *core);
uint32_t td_table_highest(const struct td_core *core, uint64_t job_hash, struct td_text job); /* TD_NONE */
uint32_t td_table_find(const struct td_core *core, uint64_t job_hash, struct td_text job, uint16_t attempt);
enum td_merge { TD_MERGE_WON, TD_MERGE_LOST, TD_MERGE_SAME, TD_MERGE_NO_ROOM };
/* Merges one delta (dot = slot's incarnation, slot.first_seq + delta.index). Updates digest, change
 * ring, counters, losers, quota use. The only place where a register changes. */
enum td_merge td_table_merge(struct td_core *core, const struct td_delta *delta, uint32_t slot);
/* Takes an expired register out for good. */
void td_table_remove(struct td_core *core, uint32_t reg);
struct td_order td_register_order(const struct td_core *core, const struct td_register *reg);
struct td_dot td_register_dot(const struct td_core *core, const struct td_register *reg);
struct td_text td_register_job(const struct td_core *core, const struct td_register *reg);
/* Unpacks the body; slices point into the body, arrays into step scratch. False when scratch is used up. */
bool td_register_view(struct td_core *core, uint32_t reg, struct td_register_view *ret_view);
/* Warms the cache for a merge that comes soon: 0 its bucket, 1 its register, 2 body and neighbours. */
enum { TD_PREFETCH_STAGES = 3, TD_PREFETCH_AHEAD = 5 };
void td_table_prefetch(const struct td_core *core, uint64_t job_hash, uint32_t stage);
uint16_t td_register_bucket(uint64_t register_hash);
uint32_t td_job_bucket(const struct td_core *core, uint64_t job_hash); /* hash chain it lies in */
/* Everything merged for this register: winner, its clock, concurrent losers. Ascending by region;
 * TD_CLOCK_ENTRIES_MAX of room. Returns the count. */
uint32_t td_register_seen(const struct td_core *core, uint32_t reg, struct td_dot *ret_dots);
/* Adds a dot to a clock kept ascending by region; keeps the newer of one region. False when full. */
bool td_dots_join(struct td_dot *dots, uint32_t *count, struct td_dot dot);
bool td_dots_cover(const struct td_dot *dots, uint32_t count, struct td_dot dot);

/* ---- body.c: packed register values in an arena of 16-byte units ---- */
struct td_body_parts {
    const struct td_delta *delta;
    const struct td_dot *seen; /* merged beside the winner and its clock */
    uint32_t seen_count;
};
void td_bodies_layout(struct td_core *core, struct td_block *block);
uint32_t td_body_words(const struct td_body_parts *parts);
/* Offset in units, UINT64_MAX when the arena is full. May move other bodies. */
uint64_t td_body_alloc(struct td_core *core, uint32_t words, uint32_t owner, bool own);
void td_body_free(struct td_core *core, uint64_t offset, uint32_t words);
void td_body_pack(struct td_core *core, uint64_t offset, uint32_t words, uint32_t owner,
                  const struct td_body_parts *parts);
/* Slices point into the body; labels and clocks go to the caller's arrays. */
struct td_body_view {
    struct td_delta delta; /* job, client, flags, status, clock; not stamp, state, attempt */
    struct td_label labels[TD_LABELS_MAX];
    struct td_dot clock[TD_CLOCK_ENTRIES_MAX];
    struct td_dot seen[TD_CLOCK_ENTRIES_MAX];
    uint32_t seen_count;
};
enum { TD_BODY_WORDS_MAX = 400 };
void td_body_unpack_bytes(const uint8_t *bytes, struct td_body_view *ret_view);
void td_body_unpack(const struct td_core *core, uint64_t offset, struct td_body_view *ret_view);
struct td_text td_body_job(const struct td_core *core, uint64_t offset);
bool td_bodies_check(const struct td_core *core);
uint32_t td_body_expect_every_s(const struct td_core *core, uint64_t offset);
/* Dots of the body in order: clock first, then seen. */
uint32_t td_body_dots(const struct td_core *core, uint64_t offset, struct td_dot *ret_dots,
                      uint32_t *ret_clock_count);

/* ---- stores ---- */
/* Adds the effect and remembers the ticket; TD_NONE-like 0 when TD_STORES is used up. */
struct td_store *td_store_add(struct td_core *core, enum td_store_what what, struct td_effect **ret_effect);
bool td_store_room(const struct td_core *core, uint32_t count);
/* The store of a ticket that is in flight, NULL when completed. */
struct td_store *td_store_of(struct td_core *core, uint64_t ticket);
void td_stored(struct td_core *core, const struct td_event *event);
/* Adds a RECORD store; NULL when there is no room. The record is zeroed: fill it. */
struct td_record *td_store_record(struct td_core *core, enum td_store_what what,
                                  enum td_record_type type);
/* The same for a HAS record, the only kind a restart believes without the deltas: what holes recovery
 * found is written down before it. vv is copied. False when there is no room. */
bool td_store_mark_holes(struct td_core *core);
bool td_store_has(struct td_core *core, enum td_store_what what, const struct td_vv *vv);

/* ---- publish.c / pending.c / query.c / start.c / incarnation.c ---- */
size_t td_publish_layout(struct td_core *core, struct td_block *block);
enum td_err td_publish_refusal(const struct td_core *core); /* TD_OK = this node publishes */
void td_publish_request(struct td_core *core, const struct td_event *event);
void td_publish_flush(struct td_core *core); /* hands the open group to the log when none is in flight */
void td_publish_stored(struct td_core *core, const struct td_store *store, const struct td_event *event);
void td_publish_tick(struct td_core *core);
bool td_publish_queued(const struct td_core *core); /* own deltas wait for the disk */
void td_publish_resume(struct td_core *core);       /* the disk takes writes again */
/* Queues again, as new deltas, the winners that lie in a void group. */
void td_publish_again(struct td_core *core);
/* Does it for what a clone closed away, once our running incarnation is not among that. */
void td_publish_again_closed(struct td_core *core);
/* The same for what was accepted here under start numbers below, which others have folded. */
void td_publish_again_below(struct td_core *core, uint32_t start_below);
size_t td_pending_layout(struct td_core *core, struct td_block *block);
/* Opens a waiting request; TD_NONE when limits.requests_max is used up. */
uint32_t td_pending_open(struct td_core *core, const struct td_event *event);
/* Adds the result of the next update; TD_NONE when results are used up. */
uint32_t td_pending_node(struct td_core *core, uint32_t waiter);
struct td_result *td_pending_result_of(struct td_core *core, uint32_t node);
/* Chains nodes that wait for the same own delta. */
uint32_t *td_pending_next(struct td_core *core, uint32_t node);
/* The node waits for a dot received from elsewhere to become durable here (noop). */
void td_pending_await(struct td_core *core, uint32_t node);
/* Keeps a copy of the update until its token is covered here; false = no room. */
bool td_pending_park(struct td_core *core, uint32_t node, const struct td_update *update);
void td_pending_refuse(struct td_core *core, uint32_t node, enum td_err err);
uint32_t td_pending_client(const struct td_core *core, uint32_t node); /* roster number */
/* All updates of the request were looked at. */
void td_pending_opened(struct td_core *core, uint32_t waiter);
/* A request that waits for its token (GET, LIST, EXPLAIN) or for changes (WATCH); false = no room. */
bool td_pending_keep(struct td_core *core, const struct td_event *event, uint64_t cursor);
/* Settles the node at once or lets it wait; publish.c. */
void td_publish_update(struct td_core *core, uint32_t node, const struct td_update *update);
/* Whether this step has room for another answer, however large; the three below take it for granted. */
bool td_query_room(const struct td_core *core);
void td_query_answer(struct td_core *core, uint32_t client_link, const struct td_request *request);
/* Moves *cursor over what it looked at; answers when something matched or timed_out, else false. */
bool td_query_watch(struct td_core *core, uint32_t client_link, const struct td_request *request,
                    uint64_t *cursor, bool timed_out, uint32_t *budget);
bool td_query_error(struct td_core *core, uint32_t client_link, uint64_t id, enum td_op op,
                    enum td_err err);
/* A report of a waiting publish is settled; ok = it is durable under this dot. */
void td_pending_result(struct td_core *core, uint32_t node, struct td_dot dot,
                       struct td_stamp stamp);
bool td_pending_check(const struct td_core *core);
void td_pending_pump(struct td_core *core);       /* replies that are ready */
void td_pending_tick(struct td_core *core);       /* time-outs */
void td_pending_has_moved(struct td_core *core);  /* tokens, acks: something became durable here or there */
void td_pending_changed(struct td_core *core);    /* registers changed: watches */
void td_pending_cancel(struct td_core *core, uint32_t client_link, uint64_t id); /* UINT64_MAX = all */
size_t td_query_layout(struct td_core *core, struct td_block *block);
void td_query_request(struct td_core *core, const struct td_event *event);
/* Begins a reply with envelope, freshness and names filled. */
struct td_response *td_query_reply(struct td_core *core, uint32_t client_link, uint64_t id, enum td_op op);
void td_start_records(struct td_core *core, const struct td_event *event);
/* Why a new incarnation is drawn. */
enum td_draw {
    TD_DRAW_START = 1,
    TD_DRAW_STORE_FAILED = 2,
    TD_DRAW_OUTNUMBERED = 3, /* a peer proved an equal or higher start number before our first delta */
    TD_DRAW_CLONE = 4,       /* somebody else uses ours */
};
void td_incarnation_draw(struct td_core *core, unsigned reason); /* asks for randomness */
void td_incarnation_ask(struct td_core *core);
void td_incarnation_random(struct td_core *core, uint32_t bits);
void td_incarnation_durable(struct td_core *core, bool durable);
/* An equal or higher start number of our own region, seen elsewhere. */
void td_incarnation_seen(struct td_core *core, struct td_incarnation incarnation);

/* ---- peers.c, live.c, transfer.c, repair.c, heads.c, fresh.c ---- */
void td_peers_roster(struct td_core *core, const struct td_roster *roster);
void td_peers_up(struct td_core *core, const struct td_event *event);
void td_peers_down(struct td_core *core, const struct td_event *event);
void td_peers_rtt(struct td_core *core, const struct td_event *event);
void td_peers_frame(struct td_core *core, const struct td_event *event); /* dispatches by message type */
void td_peers_tick(struct td_core *core);
/* Charge of the transfer and repair lanes: per frame, whatever its size after thinning and
 * compression, so that sender and receiver count the same. LIVE counts its payload bytes. */
enum { TD_CHUNK_CHARGE = 256 * 1024, TD_FETCHED_CHARGE = 64 * 1024 };
enum td_link_view td_peers_view(const struct td_core *core, uint8_t region_slot);
uint32_t td_link_find(const struct td_core *core, struct td_link_id id); /* index or TD_NONE */
/* Newest link of a region, TD_NONE when none is up. */
uint32_t td_link_of(const struct td_core *core, uint8_t region_slot);
/* Number of regions other than self whose announced or signed `has` covers the dot (recovering ones do
 * not count); for --ack. */
uint32_t td_peers_covering(const struct td_core *core, struct td_dot dot);
uint32_t td_peers_ackable(const struct td_core *core); /* regions that `all` means: active, not self */
/* Merges a received batch: used by live, transfer, repair and start. Interns, merges each delta, stores
 * it (TD_FX_STORE RECEIVED with handle; not when replayed), advances vectors when whole and contiguous,
 * pushes the ring. Returns false when already held entirely. */
bool td_batch_accept(struct td_core *core, const struct td_received_batch *received,
                     struct td_region via, enum td_lane lane);
/* The same for a batch of our own log (START): durable at once, ref known. */
void td_batch_replay(struct td_core *core, const struct td_batch *batch, struct td_log_ref ref);
void td_live_tick(struct td_core *core);
void td_live_pump(struct td_core *core); /* sends what wants, rings and credit allow */
void td_live_ring_grew(struct td_core *core, uint8_t region_slot);
void td_live_link_down(struct td_core *core, uint32_t link);
void td_transfer_tick(struct td_core *core);
void td_transfer_pump(struct td_core *core);
void td_transfer_link_down(struct td_core *core, uint32_t link);
/* batches.c calls it before it frees a slot: cursors step over it. */
void td_transfer_slot_freed(struct td_core *core, uint32_t slot);
void td_transfer_want(struct td_core *core);    /* something is missing that live cannot give */
void td_transfer_stored(struct td_core *core);  /* durability moved: maybe apply the claim */
size_t td_repair_layout(struct td_core *core, struct td_block *block);
void td_repair_tick(struct td_core *core);
void td_heads_tick(struct td_core *core);
void td_heads_signed(struct td_core *core, const struct td_event *event);
void td_heads_received(struct td_core *core, uint32_t link, const struct td_head *head);
void td_heads_ask(struct td_core *core);        /* something new, or a reader wants a fresher age */
void td_fresh_update(struct td_core *core);     /* after vectors or heads moved */
/* One row per region that may publish, self included (age 0). */
uint32_t td_fresh_rows(struct td_core *core, struct td_fresh_view *ret_rows, uint32_t rows_max,
                       bool *ret_certain);
struct td_vv td_fresh_stable_cut(struct td_core *core);

#endif
