/* state.h -- the replica's own state, shared by the files of this folder and by nobody else, and what
 * these files offer each other. All of it lives in the one block given to td_core_init; its records are
 * in records.h.
 * Who owns what: table.c registers, digest, change ring; body.c their bodies; vectors.c incarnations and
 * vectors; batches.c batch slots, anchors, arrival order, live rings; fx.c effects; store.c what is with
 * the log; own.c the queue of own deltas; publish.c what clients report; again.c what is said again;
 * waiters.c waiting requests; pending.c what wakes them; query.c, explain.c, status.c answers;
 * refused.c what was refused of a job; backlog.c what the peers lack of ours, in jobs and time; peers.c
 * links and regions; roster.c who is in; leaving.c who is on the way out; live.c wants and credit;
 * source.c from whom; transfer.c
 * transfers; repair.c digests; heads.c others' heads; head_own.c our own and its closings; fresh.c
 * freshness; cut.c the stable cut, fences, folds; start.c the log at a start; recover.c recovery after a
 * loss; incarnation.c our own incarnation; compact.c what the log may leave out; metrics.c what is measured
 * beside the counters. */
#ifndef TD_CORE_STATE_H
#define TD_CORE_STATE_H

#include "node/core/metrics.h"
#include "node/core/records.h"

struct td_own_state;      /* own.c: queue of own deltas not yet durable, with their bytes */
struct td_pending_state;  /* waiters.c: requests that wait */
struct td_fx;             /* fx.c: effects of this step */
struct td_query_state;    /* query.c: scratch for answers */
struct td_repair_state;   /* repair.c */
struct td_compact_state;  /* compact.c */

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
    uint64_t roster_told;       /* the version that our heads name: see leaving.c */
    uint64_t roster_refused;    /* batches that the roster let nobody take */
    uint64_t leaving_ms;        /* since when somebody is leaving; 0 = nobody */
    uint64_t leaving_again_ms;  /* next walk for what nobody else may take; 0 = nobody is leaving */
    uint16_t own_key;           /* number of the key that this process signs with */
    uint64_t doubtful_since_ms[256]; /* by region number, closed ones too; 0 = no */
    bool region_closed[256], any_closed;
    uint64_t listed_next_ms;    /* next try to get what a list names and is not here */
    struct td_policy policy;

    struct td_incarnation process; /* our incarnation; start 0 = none drawn yet */
    uint16_t own_inc;              /* interned once it has a delta; TD_INC_NONE before */
    uint32_t again_below;          /* newest fold of our region that others named beyond ours */
    uint64_t unwritten_ms; /* since when a received batch that was not written may lie here; 0 = none */
    uint64_t unwritten_last_ms; /* when a received batch was last refused by the disk */
    uint32_t again_at, again_left; /* next register to look at for what is said again, and how many more */
    uint32_t start_highest;        /* highest start number known from log or peers for our region */
    bool incarnation_wanted, incarnation_durable;
    bool incarnation_asked;        /* TD_FX_RANDOM is out */
    uint64_t write_failed_ms, draw_from_ms; /* newest failed own group; no draw for it before */
    unsigned incarnation_reason;   /* enum td_draw */
    uint64_t incarnation_ticket;   /* store of its record */
    uint16_t void_inc;             /* its newest group failed: to be closed in the log; TD_INC_NONE = none */
    uint64_t void_ticket;          /* store of that closing */
    struct td_incarnation replayed_draw; /* newest INCARNATION record: what follows of it was accepted here */
    bool void_replayed;            /* recovery met a group that such a closing made void */
    uint32_t clone_count;          /* draws for a clone within the hour */
    uint64_t clone_first_ms, clone_last_ms;
    struct td_incarnation proven;  /* the latest life of ours that our own signature bears out */
    bool log_was_empty;
    bool recovering;
    bool recovered_logged;         /* newest such record of the log */
    bool recovered_due;            /* the log says otherwise, or may */
    enum td_err publish_refused;   /* TD_OK = publishing works */
    bool clock_refused;            /* our clock is behind the roster or our log: traced */
    uint64_t logged_wall_ms;       /* newest WALL record of the log */
    uint64_t wall_record_ms;       /* when we last wrote one (wall) */
    bool log_compacted;            /* parts of it were: a hole takes back what was claimed before it */
    bool log_hole;                 /* a hole that no HOLES record names yet: HAS does not count */
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

    struct td_refused_row *refused; /* TD_REFUSALS */
    uint64_t refused_number;
    struct td_backlog *backlogs;    /* TD_SLOTS */
    uint32_t backlog_at;            /* batch slot that the walk looks at next */
    uint64_t backlog_next_ms;

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
    uint64_t doubt_since_ms; /* members name of us what we never signed, as far as we know; 0 = no */
    uint64_t doubt_span_ms, doubt_spent_ms; /* begin of the hour, and how much of it went to such doubt */
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
    struct td_compact_state *compact;
    struct td_fx *fx;
    uint64_t counters[TD_COUNTER_COUNT];

    struct td_region_metrics metrics[TD_SLOTS + 1]; /* metrics.c; the last: of no region */
    struct td_canary canaries[TD_CANARIES];
    uint32_t silent_at;                             /* register that the walk looks at next */
    uint64_t silent_found, jobs_silent, silent_next_ms;
    bool silent_known;
};

#define TD_COUNT(core, name, n) ((core)->counters[TD_COUNTER_##name] += (uint64_t)(n))

/* ---- block layout: each owner adds its part, in core.c's order ---- */
struct td_block {
    uint8_t *bytes; /* NULL while only measuring */
    size_t used_bytes;
};
void *td_block_take(struct td_block *block, size_t count, size_t size);

/* ---- metrics.c ---- */
struct td_region_metrics *td_metrics_of(struct td_core *core, struct td_region region);
/* A delta of another region that won here. */
void td_metrics_applied(struct td_core *core, struct td_region origin, struct td_stamp stamp);
/* An own report became durable: when it is a canary, it is waited for at each peer. */
void td_metrics_published(struct td_core *core, struct td_text job, struct td_dot dot);
void td_metrics_step(struct td_core *core);

/* ---- refused.c ---- */
/* Only what says something of the job is kept. */
void td_refused_add(struct td_core *core, const struct td_refused *refused);
/* A batch of a region that is closed. */
void td_refused_batch(struct td_core *core, const struct td_batch *batch, struct td_region via);
/* Rows of this job, the newest first, in scratch. */
uint32_t td_refused_of(struct td_core *core, uint64_t job_hash, struct td_text job,
                       const struct td_refused_view **ret_views);

/* ---- backlog.c ---- */
/* What the region is known to hold: its link's word, else that of its newest signed head; NULL = not known. */
const struct td_vv *td_backlog_has(const struct td_core *core, uint8_t region_slot);
void td_backlog_step(struct td_core *core);    /* a slice of the walk */
void td_backlog_refresh(struct td_core *core); /* the whole walk at once where it is short: before answers */
void td_backlog_fill(struct td_core *core, uint8_t region_slot, struct td_region_view *view);

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
/* Finds or adds; TD_INC_NONE when the table or the region's 256 not folded are used up (counted). */
uint16_t td_inc_intern(struct td_core *core, struct td_origin origin);
/* Below received, in a hole list, or folded. */
bool td_dot_received(const struct td_core *core, struct td_dot dot);
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
/* Everything of our own incarnation beyond last_seq never was (DESIGN 5): true when some was merged. */
bool td_inc_void(struct td_core *core, uint16_t inc, uint64_t last_seq);
/* A store of this incarnation failed: what is not durable is asked for again. */
void td_inc_fall_back(struct td_core *core, uint16_t inc);
/* START: nothing that was claimed so far counts, only whole batches that still have something live. */
void td_vectors_unclaim(struct td_core *core);
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
/* Empties it: who wants more of this region is told that it is not whole here. */
void td_ring_drop(struct td_core *core, uint8_t region_slot);
/* Takes what lies in these segments out of all rings, and what is older than that. */
void td_rings_leave(struct td_core *core, const uint32_t *segments, uint32_t count);
/* Batch slot at this serial, TD_NONE when outside the ring. */
uint32_t td_ring_at(const struct td_core *core, uint8_t region_slot, uint64_t serial);
/* Serial from which the ring serves `from` (newest held per incarnation) without a hole; false = not
 * whole here. */
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
/* Writes down what holes recovery found, once, and what we have without what they lost. */
bool td_store_mark_holes(struct td_core *core);
/* A HAS record, the only kind a restart believes without the deltas: behind the holes' record. vv is
 * copied. False when there is no room. */
bool td_store_has(struct td_core *core, enum td_store_what what, const struct td_vv *vv);

/* ---- leaving.c ---- */
/* Another member would take it: of a leaving region, or under a key that was replaced, only what some
 * member's head with this roster version says it has. */
bool td_leaving_allows(const struct td_core *core, struct td_origin origin, uint64_t last_seq);
/* Whether batches of this region signed with this key are bounded so. */
bool td_leaving_bounds(const struct td_region_info *region, uint16_t key_number);
/* The roster version for our next head. */
uint64_t td_leaving_told(struct td_core *core);
uint64_t td_leaving_limit(const struct td_core *core, const struct td_inc *inc);
/* Shown here, and the roster lets nobody take it from here. */
bool td_leaving_void(const struct td_core *core, const struct td_register *reg);
void td_leaving_tick(struct td_core *core);
/* Everything that the lists of closed regions name is here. */
bool td_leaving_lists_held(const struct td_core *core);
/* What counts of somebody's fold of a closed region, which has no head to vouch for it: the roster's list
 * does, as far as it goes. 0 = the region is not closed. */
uint32_t td_leaving_fold(const struct td_core *core, struct td_vv_fold fold);
bool td_leaving_doubts(const struct td_core *core, struct td_region region, uint64_t stamp_ms);
void td_query_members(struct td_core *core, uint32_t client_link, const struct td_request *request);

/* ---- compact.c ---- */
void td_compact_layout(struct td_core *core, struct td_block *block);
void td_compact_event(struct td_core *core, const struct td_event *event);
void td_compact_claimed(struct td_core *core, bool durable);
void td_compact_tick(struct td_core *core);
/* Whether the log has to go on holding this delta in the batch at this position: its register shows it, or
 * nothing durable beats it. The only place that says so, but for losers that `explain` shows. */
bool td_batch_live(const struct td_core *core, const struct td_delta *delta, struct td_dot dot,
                   uint64_t position);

/* ---- publish.c / again.c / pending.c / query.c / start.c / incarnation.c ---- */
size_t td_publish_layout(struct td_core *core, struct td_block *block);
enum td_err td_publish_refusal(const struct td_core *core); /* TD_OK = this node publishes */
void td_publish_request(struct td_core *core, const struct td_event *event);
void td_publish_flush(struct td_core *core); /* hands the open group to the log when none is in flight */
void td_publish_stored(struct td_core *core, const struct td_store *store, const struct td_event *event);
void td_publish_tick(struct td_core *core);
bool td_publish_queued(const struct td_core *core); /* own deltas wait for the disk */
void td_publish_resume(struct td_core *core);       /* the disk takes writes again */
/* again.c: looks at every register once more for what is to be said again; the pump does it in slices. */
void td_again_begin(struct td_core *core);
void td_again_unwritten(struct td_core *core); /* a batch from elsewhere could not be written */
void td_again_pump(struct td_core *core);
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
struct td_text td_pending_from(const struct td_core *core, uint32_t node); /* as the driver calls it */
/* All updates of the request were looked at. */
void td_pending_opened(struct td_core *core, uint32_t waiter);
/* A request that waits for its token (GET, LIST, EXPLAIN) or for changes (WATCH); false = no room. */
bool td_pending_keep(struct td_core *core, const struct td_event *event, uint64_t cursor);
/* Settles the node at once or lets it wait; publish.c. */
void td_publish_update(struct td_core *core, uint32_t node, const struct td_update *update);
/* Whether this step has room for another answer, however large; the three below take it for granted. */
bool td_query_room(const struct td_core *core);
/* Its writer broke the promise to report. */
bool td_register_silent(const struct td_core *core, const struct td_register *reg);
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
/* START: what lies here in the log is not in the table. */
void td_start_hole(struct td_core *core, uint64_t position);
/* Why a new incarnation is drawn. */
enum td_draw {
    TD_DRAW_START = 1,
    TD_DRAW_STORE_FAILED = 2,
    TD_DRAW_OUTNUMBERED = 3, /* an equal or higher start number: proved before our first delta, or named */
    TD_DRAW_CLONE = 4,       /* somebody else uses ours */
};
void td_incarnation_draw(struct td_core *core, unsigned reason); /* asks for randomness */
void td_incarnation_ask(struct td_core *core);
void td_incarnation_random(struct td_core *core, uint32_t bits);
void td_incarnation_durable(struct td_core *core, bool durable);
/* An equal or higher start number of our own region, seen elsewhere. */
void td_incarnation_seen(struct td_core *core, struct td_incarnation incarnation);
/* The same by the word of the member in this slot alone, without our signature. Before our first delta, and
 * for what it has folded, a higher number is drawn on its word: one that is right must not be waited for, one
 * that lies must not use our numbers up. Else its proof is asked for: only that makes a clone. False = not
 * drawn: too far beyond what is known, too often, or the proof is awaited. */
bool td_incarnation_named(struct td_core *core, uint8_t slot, struct td_incarnation incarnation, bool folded);

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
/* Region through which another one's deltas come; 0 = from itself, or from nobody. */
struct td_region td_source_via(const struct td_core *core, uint8_t region_slot);
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
