/* records.h -- the records that the replica's state is made of: incarnations, batch slots, registers,
 * losers, regions, links, stores in flight. Indexes (u32) link them instead of pointers. */
#ifndef TD_CORE_RECORDS_H
#define TD_CORE_RECORDS_H

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
    bool accepted_here;  /* deltas of it were made by this process */
    bool folded;         /* below the stable cut and closed; out of vectors */
    bool listed;         /* the roster's complete list bounds it: of a closed region, or of retired keys */
    uint64_t listed_last;
    uint16_t key_number; /* that signed it; 0 = no batch of it was seen */
    uint64_t closed_last;
    uint64_t used_ms;    /* of our own region: when somebody last named more of it than before; 0 = never */
    uint64_t missed_ms;  /* since when nobody who counts names what was signed; 0 = somebody does */
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
    uint64_t arrived_wall_ms; /* when it came, for explain; 0 = before this life */
    uint16_t inc;
    uint8_t via;          /* region of the link it came by; own = accepted here; 0 = own log, whosever */
    bool whole;
    bool durable;
    bool in_ring;
    bool anchor;          /* of its incarnation */
    bool anchor_next;     /* will be when its bytes are durable */
    uint32_t index_last;  /* of the deltas that its stored bytes hold */
    uint32_t stored_count; /* how many these are */
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
    uint64_t arrived_wall_ms; /* of its batch; 0 = not known */
    uint64_t previous; /* number of the next older loser of the same hash bucket, 0 = none */
    uint8_t via;
    bool concurrent;
    enum td_rule rule;
};
enum { TD_LOSERS = 65536 };

/* What was refused of a job by one sender for one reason (refused.c). */
enum { TD_REFUSALS = 1024, TD_REFUSED_SET = TD_REFUSED_SHOWN_MAX, TD_REFUSED_BATCH_MAX = 64 };
struct td_refused_row {
    uint64_t number; /* of the newest of this kind, ascending; 0 = unused */
    uint64_t job_hash;
    uint64_t count, first_ms, last_ms;
    enum td_err err;
    uint8_t job_bytes, from_bytes;
    char job[TD_JOB_BYTES_MAX];
    char from[TD_FROM_BYTES_MAX];
};

/* A canary under way; a report that comes while all places are taken is not counted. */
enum { TD_CANARIES = 8 };
struct td_canary {
    struct td_dot dot;
    uint64_t deadline_ms;
    uint64_t waiting; /* a bit per region slot; 0 = place is free */
};

/* What a peer lacks of our reports, as of the last walk over the batch slots (backlog.c). */
enum { TD_DRAIN_SAMPLES = 16 };
struct td_backlog {
    struct td_region region; /* 0 = unused */
    bool lacking;            /* something, as the walk saw last */
    bool whole;              /* since the walk under way began */
    bool counted;            /* by a whole walk since then */
    uint64_t jobs;           /* registers whose newest report it lacks */
    uint64_t unsent;         /* those of them that no transfer has passed yet */
    struct td_dot oldest;    /* seq 0 = none */
    uint64_t oldest_ms;      /* its stamp */
    uint64_t jobs_found, unsent_found, oldest_found_ms; /* by the walk under way */
    struct td_dot oldest_found;
    uint32_t sample_count, sample_next;
    struct {
        uint64_t boot_ms, unsent;
    } samples[TD_DRAIN_SAMPLES];
};

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
    uint64_t doubtful_since_ms;    /* 0 = no */
    uint16_t key_number;           /* in force */
    uint16_t retired_below;        /* keys below count only by the roster's list */
    bool keys_replaced;            /* and not all of the old ones are listed yet */
    struct td_public_key sign_key; /* newest, for answers only */
    uint64_t quota_registers, quota_bytes;
    uint64_t used_registers, used_bytes; /* first accepted by this region */

    bool heard; /* a head was verified since we started */
    struct td_incarnation head_incarnation;
    uint64_t life_since_ms;       /* when a head of this incarnation was first heard */
    bool folds_known;             /* since we started a head of it folded no more than we do: all else is named */
    uint32_t named_count;         /* own incarnations drawn for its bare words (incarnation.c) */
    uint64_t named_since_ms;
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
    bool detours_said;
    uint32_t detour_count;
    struct td_detour detours[TD_REGIONS_MAX];
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

    /* Live source (source.c). */
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
    /* Second source on trial (trial.c). */
    struct td_link_id trial; /* 0 = none */
    struct td_dot trial_dot; /* what the source has to bring meanwhile */
    bool trial_brought;      /* the one on trial did */
    bool trial_back;         /* it is the region itself, to be the source again */
    uint64_t trial_since_ms, trial_begun_ms, trial_next_ms;
    uint64_t vain_ms, vain_since_ms; /* spent on trials in vain, at that time */
    uint64_t spread_ms; /* how late the source was lately */
    uint64_t spread_since_ms;
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
enum td_store_what { TD_WHAT_OWN = 1, TD_WHAT_BATCH, TD_WHAT_CLAIM, TD_WHAT_INCARNATION, TD_WHAT_OTHER,
    TD_WHAT_COMPACT };
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

#endif
