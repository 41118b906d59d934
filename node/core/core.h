/* core.h -- the deterministic replica. One thread owns it. td_core_step() is the only way in: an
 * event with its time goes in, effects come out. No clock, no I/O, no heap, no randomness of its own:
 * the same events give the same effects on every machine.
 *
 * Events borrow: everything inside an event is borrowed for the call. Effects belong to the core and
 * stay valid until the next call, except the deltas of a TD_FX_STORE of kind OWN, which stay valid
 * until the TD_EV_STORED of its ticket. Effects of one step may be performed in any order: whatever
 * must wait for something waits inside the core. There is at most one TD_FX_SEND per link and step. */
#ifndef TD_CORE_H
#define TD_CORE_H

#include "proto/batch.h"
#include "proto/client_msg.h"
#include "proto/frame.h"
#include "proto/head.h"
#include "proto/roster.h"

struct td_core;

/* Given out by the driver of links; never reused within a process. 0 = none. */
struct td_link_id {
    uint32_t v;
};
/* Given out by the core, ascending; completions come in this order. */
struct td_ticket {
    uint64_t v;
};
/* Where a stored batch lies. position = segment << 32 | offset, 0 while its ticket is not completed:
 * then the log still holds the bytes and finds them by ticket. */
struct td_log_ref {
    struct td_ticket ticket;
    uint64_t position;
    uint32_t bytes; /* size of the batch as stored */
};

struct td_core_limits {
    uint32_t registers_max;
    uint64_t bytes_max;        /* of register bodies */
    uint32_t links_max;        /* regions' links, 2 * TD_REGIONS_MAX */
    uint32_t requests_max;     /* waiting requests (ack, token, watch) */
    uint32_t pending_deltas_max; /* own deltas not yet durable */
    uint32_t batches_max;      /* batch slots: batches with a live delta or in a live ring */
    uint32_t ring_batches;     /* newest batches kept per region for the live lane */
    /* A peer that lacks more updates of one region than this, most of them beaten since, is sent to a
     * transfer although the ring still has them; 0 = never. */
    uint32_t live_updates_max;
    uint32_t change_ring;      /* newest changes kept for watchers, a power of two */
};

struct td_core_config {
    struct td_cluster_id cluster;
    struct td_region self;
    uint64_t table_seed;     /* random per process; spreads hash tables only, decides nothing */
    uint64_t stale_ms;       /* freshness.stale: what `certain` means */
    struct td_core_limits limits;
    struct td_text software; /* version shown in heads, borrowed for ever */
    uint32_t survey_ms; /* how often the log hears what of it is still needed, when that is little; 0 = never */
};

/* Bytes the core needs for these limits; the caller reserves them (zeroed, 64-byte aligned). */
size_t td_core_bytes(const struct td_core_config *config);
/* block: td_core_bytes(config) zeroed bytes, owned by the caller, alive as long as the core. */
struct td_core *td_core_init(const struct td_core_config *config, void *block);

enum td_event_type {
    TD_EV_START = 1, /* records of our own log, in order, then last = true */
    TD_EV_TICK,
    TD_EV_ROSTER,
    TD_EV_LINK_UP,
    TD_EV_LINK_DOWN,
    TD_EV_LINK_RTT,
    TD_EV_FRAME,
    TD_EV_REQUEST,
    TD_EV_STORED,
    TD_EV_HEAD_SIGNED,
    TD_EV_RANDOM,
    TD_EV_COMPACT,
};

enum td_record_type {
    TD_RECORD_BATCH = 1,   /* as signed, whole or thinned */
    TD_RECORD_HAS = 2,     /* claim: everything this covers is held (end of a transfer) */
    TD_RECORD_INCARNATION = 3, /* start number and random drawn */
    TD_RECORD_CLOSING = 4,
    TD_RECORD_WALL = 5,    /* wall clock at the time of writing */
    TD_RECORD_HOLE = 6,    /* only from recovery: a segment or record is missing or damaged here */
    TD_RECORD_HOLES = 7,   /* these holes lie before it and are known: later claims do not rest on them */
    TD_RECORD_JOINED = 8,  /* a region that has joined the cut: a recovering one must have heard it */
    TD_RECORD_RECOVERED = 9, /* whether what others held of us was all back; a log without it lacks things */
    TD_RECORD_COMPACTED = 10, /* only from recovery, before all others: parts of the log were compacted */
};

/* What recovery hands to the core; batches were decoded and verified like a peer's. */
struct td_record {
    enum td_record_type type;
    struct td_log_ref ref;
    union {
        const struct td_batch *batch;
        struct td_vv has;
        struct td_incarnation incarnation;
        struct td_closing closing;
        uint64_t wall_ms;
        struct {
            uint64_t count, mix; /* of their places, in order */
        } holes;
        struct td_region joined;
        bool recovered;
    } u;
};

/* Compaction (LOG, "Compaction"): the log rewrites sealed segments, the core says what of them is still
 * needed. The log asks one thing at a time (TD_EV_COMPACT) and waits for its answer (TD_FX_COMPACT). */
enum td_compact_step {
    TD_COMPACT_SURVEY = 1, /* effect only, unasked: how much of each segment is still needed */
    TD_COMPACT_BEGIN,      /* these segments are to be rewritten; ok = they may be */
    TD_COMPACT_KEEP,       /* which deltas of these batches have to stay */
    TD_COMPACT_CLAIM,      /* `has` is to become durable, behind all that it covers; ok = it is */
    TD_COMPACT_MOVED,      /* these batches lie elsewhere now; ok, once nobody reads the old places */
};
/* A stored batch, decoded. */
struct td_compact_batch {
    uint64_t position;
    const struct td_batch *batch;
};
/* Answer for one of them. */
struct td_compact_keep {
    uint32_t keep_count;  /* all that are present: verbatim; 0 = nothing of it is needed */
    const uint32_t *keep; /* ascending indexes */
    /* Who must be told where it goes: given back in td_compact_move. */
    uint32_t slot; /* UINT32_MAX = none */
    uint32_t loser_count;
    const uint32_t *losers;
};
struct td_compact_move {
    bool loser;
    uint32_t index;         /* slot or loser as in td_compact_keep */
    uint64_t from, to;      /* positions */
    uint32_t bytes;         /* as it lies there now */
    uint32_t stored_count, index_last; /* deltas it holds now, and the last of them */
};
/* Of one segment: what is still needed, an estimate. */
struct td_compact_share {
    uint32_t segment;
    uint64_t live_bytes;
};
struct td_compact_ask {
    enum td_compact_step step;
    const uint32_t *segments; /* BEGIN */
    const struct td_compact_batch *batches; /* KEEP */
    const struct td_compact_move *moves; /* MOVED */
    uint32_t count; /* of these */
};
struct td_compact_answer {
    enum td_compact_step step;
    bool ok;
    const struct td_compact_share *shares; /* SURVEY, in no order; segments not named: nothing */
    const struct td_compact_keep *keeps; /* KEEP, one per batch asked about */
    const struct td_vv_fold *folds; /* BEGIN: what is folded; comes first in the output */
    uint32_t count; /* of these */
};

/* A batch that crossed a link: decoded, root checked, signature verified. handle names the buffer that
 * holds raw; the core puts it into TD_FX_STORE when it wants the bytes kept. */
struct td_received_batch {
    const struct td_batch *batch;
    void *handle;
};

/* A report that was refused before it reached the core, of a job that could be read: for EXPLAIN. */
struct td_refused {
    struct td_text job;
    uint64_t job_hash;
    enum td_err err;
    struct td_text from; /* whom the driver calls the sender: a name, an address; empty = unknown */
};

struct td_event {
    struct td_time now;
    enum td_event_type type;
    union {
        struct {
            const struct td_record *records;
            size_t count;
            bool last;
        } start;
        const struct td_roster *roster; /* verified and newer */
        struct {
            struct td_link_id link;
            struct td_region region;
            struct td_incarnation process; /* from the peer's HELLO; zero = it has drawn none yet */
            uint16_t proto;
        } link_up;
        struct {
            struct td_link_id link;
        } link_down;
        struct {
            struct td_link_id link;
            bool answered; /* heartbeat answered; else it is late */
            uint32_t rtt_us;
        } link_rtt;
        struct {
            struct td_link_id link;
            const struct td_msg *msg; /* heads verified; proofs verified */
            size_t payload_bytes;     /* what counts against credit */
            /* LIVE, TRANSFER_CHUNK, FETCHED: the batches inside, in order. A batch that failed its
             * checks is left out here and counted by `rejected`. */
            const struct td_received_batch *batches;
            size_t batch_count;
            size_t rejected;
            const struct td_refused *refused; /* of those: what could be read */
            size_t refused_count;
        } frame;
        struct {
            uint32_t client_link;   /* driver's id of the client's connection */
            uint32_t client_number; /* roster number; 0 = local */
            const struct td_request *request; /* PUBLISH, GET, LIST, WATCH, EXPLAIN, STATUS, CANCEL, DRAIN */
            const enum td_err *refused; /* PUBLISH: per update, decided by roles and rate; NULL = none */
            struct td_text from; /* whom the driver calls the client, as in struct td_refused */
        } request;
        struct {
            struct td_ticket ticket;
            bool durable; /* false: not written, or the flush failed; the log has closed its segment */
            struct td_log_ref ref;
            const struct td_hash *leaves; /* OWN: leaf hash per delta, in order */
            uint32_t leaf_count;
        } stored;
        struct {
            uint64_t number;
            uint8_t hash[TD_TICK_HASH_BYTES];
        } head_signed;
        struct {
            uint32_t bits;
        } random;
        const struct td_compact_ask *compact; /* alive until it is answered */
    } u;
};

enum td_effect_type {
    TD_FX_SEND = 1,
    TD_FX_STORE,
    TD_FX_SIGN_HEAD,
    TD_FX_RANDOM,
    TD_FX_REPLY,
    TD_FX_CLOSE_LINK,
    TD_FX_TRACE,
    TD_FX_COMPACT,
};

enum td_out_type {
    TD_OUT_MSG = 1,    /* encode u.msg */
    TD_OUT_HEAD = 2,   /* the newest head the driver holds of u.region (own: as signed; other: as received) */
    TD_OUT_LIVE = 3,   /* the batch at u.part.ref, whole, as TD_MSG_LIVE */
    TD_OUT_CHUNK = 4,  /* TD_MSG_TRANSFER_CHUNK with these parts */
    TD_OUT_FETCHED = 5 /* TD_MSG_FETCHED with this part */
};
/* Some deltas of a stored batch. keep_count == count of the batch: send it whole. */
struct td_out_part {
    struct td_log_ref ref;
    uint32_t batch_count;
    uint32_t keep_count;
    const uint32_t *keep; /* ascending indexes; NULL = all */
};
struct td_out {
    enum td_out_type type;
    union {
        struct td_msg msg;
        struct td_region region;
        struct td_out_part part; /* LIVE, FETCHED */
        struct {
            uint32_t id;
            uint64_t cursor;
            uint32_t part_count;
            const struct td_out_part *parts;
        } chunk;
    } u;
};

enum td_store_kind { TD_STORE_OWN = 1, TD_STORE_RECEIVED = 2, TD_STORE_RECORD = 3 };

/* Typed trace events; text is made by daemon/log.c only. */
enum td_trace_code {
    TD_TR_STARTED = 1,      /* a = registers, b = start number */
    TD_TR_LINK_STATE,       /* region, a = enum td_link_view */
    TD_TR_SOURCE_CHANGED,   /* region whose live source changed, a = new source region, 0 = none */
    TD_TR_SOURCE_TRIED,     /* region, a = taken from this one as well, 0 = no more, b = lag ms */
    TD_TR_TRANSFER_DONE,    /* region = sender, a = batches, b = ms */
    TD_TR_TRANSFER_ENDED,   /* region = sender, gave up; a = reason */
    TD_TR_INCARNATION,      /* a = start number, b = reason */
    TD_TR_CLONE,            /* region */
    TD_TR_EQUIVOCATION,     /* region */
    TD_TR_ROLLED_BACK,      /* region */
    TD_TR_RECOVERING,       /* a = 1 begins, 0 ends */
    TD_TR_PUBLISH_STOPPED,  /* a = enum td_err */
    TD_TR_PUBLISH_RESUMED,
    TD_TR_STALE,            /* region, a = 1 became stale, 0 fresh again, b = age ms */
    TD_TR_CLOCK_SKEW,       /* region, a = offset ms (two's complement) */
    TD_TR_DIGEST_DOUBT,     /* region, a = 1 begins, 0 ends */
    TD_TR_UPDATES_LOST,     /* region, a = count */
    TD_TR_CREDIT_EXCEEDED,  /* region */
    TD_TR_REPAIRED,         /* region = served by, a = registers */
};

struct td_effect {
    enum td_effect_type type;
    union {
        struct {
            struct td_link_id link;
            uint32_t count;
            const struct td_out *out; /* in this order */
        } send;
        struct {
            struct td_ticket ticket;
            enum td_store_kind kind;
            /* OWN: the log encodes, hashes, builds and signs one batch. */
            struct td_origin origin;
            uint64_t first_seq;
            uint32_t delta_count;
            const struct td_delta *deltas; /* leaf and raw unset; valid until STORED */
            /* RECEIVED */
            void *handle;
            struct td_bytes raw;
            /* RECORD: HAS, INCARNATION, CLOSING, WALL; copied by the log at once */
            const struct td_record *record;
        } store;
        struct td_head *sign_head; /* driver sets cluster and key_number, encodes, signs, keeps the bytes */
        struct {
            uint32_t client_link;
            const struct td_response *response; /* the driver adds node, names, cluster, now, process */
        } reply;
        struct {
            struct td_link_id link;
            enum td_err why;
        } close_link;
        struct {
            enum td_trace_code code;
            struct td_region region;
            uint64_t a, b;
        } trace;
        const struct td_compact_answer *compact; /* copied by the log at once */
    } u;
};

/* Advances the replica by one event. Cannot fail. */
const struct td_effect *td_core_step(struct td_core *core, const struct td_event *event,
                                     size_t *ret_count);
/* Next moment, in boot_ms, at which the core wants a TD_EV_TICK. */
uint64_t td_core_deadline_ms(const struct td_core *core);

/* Durable version vector; valid until the next step. For the driver's already-held check. */
struct td_vv td_core_has(const struct td_core *core);
/* What was received and merged of this origin (durable or not). */
uint64_t td_core_received_seq(const struct td_core *core, struct td_origin origin);
struct td_incarnation td_core_process(const struct td_core *core);

/* Counters by name (X-list in counters.h), for STATUS, metrics and tests. */
uint32_t td_core_counter_count(void);
const char *td_core_counter_name(uint32_t index);
uint64_t td_core_counter(const struct td_core *core, uint32_t index);

/* Whole-table check of every structural invariant; false + trap in tests. Slow. */
bool td_core_check(const struct td_core *core);

#endif
