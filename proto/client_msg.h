/* client_msg.h -- requests and responses between a client and a node (PROTOCOL, "Clients"). The same
 * structs are what the core takes and gives: decoded once, never converted. Payload of TD_MSG_REQUEST:
 * [id, op, ...]; of TD_MSG_RESPONSE: [id, op, err number, message str, ...].
 * A response may come in any order; ids are the client's. Slices and arrays are borrowed. */
#ifndef TD_PROTO_CLIENT_MSG_H
#define TD_PROTO_CLIENT_MSG_H

#include "proto/clock.h"
#include "proto/frame.h"
#include "proto/order.h"

enum td_op {
    TD_OP_PUBLISH = 1,
    TD_OP_GET = 2,
    TD_OP_LIST = 3,
    TD_OP_WATCH = 4,
    TD_OP_EXPLAIN = 5,
    TD_OP_STATUS = 6,
    TD_OP_ROSTER_GET = 7,
    TD_OP_ROSTER_PUSH = 8, /* raw signed roster */
    TD_OP_FAULT = 9,       /* fault switch, only where the configuration says chaos: true */
    TD_OP_DRAIN = 10,
    TD_OP_CANCEL = 11,     /* of an earlier id of this link; no response */
    TD_OP_ADMIN = 12,      /* enum td_admin; only over a Unix socket */
    TD_OP_MEMBERS = 13,    /* what each member's newest head says it has of one region */
    TD_OP_ROSTER_AT = 14,  /* an earlier roster by its version; answered as ROSTER_GET */
    TD_OP_LAST = TD_OP_ROSTER_AT,
};

/* What TD_OP_ADMIN asks for. The answer's message says what was done. */
enum td_admin {
    TD_ADMIN_RELOAD = 1,    /* no argument */
    TD_ADMIN_LOG_LEVEL = 2, /* argument: debug, info, warn or error */
    TD_ADMIN_BACKUP = 3,    /* argument: an absolute path that does not exist */
    TD_ADMIN_LAST = TD_ADMIN_BACKUP,
};

enum { TD_ACK_ALL = 255 };
enum { TD_VIEW_DOUBTFUL = 128 }; /* in td_register_view.flags, never in a delta's */

/* Which fields a (partial) report sets; the others are carried forward from the register. */
enum td_field {
    TD_FIELD_PROGRESS = 1,
    TD_FIELD_DETAIL = 2,
    TD_FIELD_PARENT = 4,
    TD_FIELD_LABELS = 8,
    TD_FIELD_WRITER = 16,
    TD_FIELD_EXPECT = 32,
    TD_FIELDS_ALL = 63,
};

/* What a token says about one register. rank/stamp/dot zero = nothing seen. */
struct td_seen {
    uint64_t register_hash; /* of (job, attempt); 0 = no register in this token */
    uint8_t rank;
    struct td_stamp stamp;
    struct td_dot dot;
};
/* Text form `tdt1:` + base64url(msgpack [[register hash, rank, ms, counter, region, start, random,
 * seq], vv]). */
struct td_token {
    struct td_seen seen;
    struct td_vv has;
};
TD_MUST_USE size_t td_token_encode(const struct td_token *token, void *bytes, size_t size_bytes);
TD_MUST_USE enum td_err td_token_decode(struct td_bytes bytes, struct td_reader *reader,
                                        struct td_arena *arena, struct td_token *ret_token);

struct td_update {
    struct td_text job;
    uint16_t attempt; /* 0 = the highest known attempt, or 1 */
    bool correct;
    uint8_t fields; /* enum td_field mask */
    struct td_status status;
    struct td_seen seen; /* register_hash is ignored here: it is this update's register */
    uint64_t job_hash;   /* not on the wire; set by the decoder */
    /* Not on the wire; set by the decoder when this update breaks a field's rule. Everything else in
     * it is zero then; the other updates of the request stand. */
    enum td_err err;
};
struct td_filter {
    uint8_t states; /* bit per td_state; 0 = any */
    struct td_region origin; /* 0 = any */
    struct td_text prefix;
    uint64_t since_ms; /* stamp at or after; 0 = any */
    bool silent;       /* only those that broke their expect_every promise */
    bool conflicts;    /* only those with a concurrent loser */
    uint32_t job_count; /* WATCH: exactly these; 0 = all */
    const struct td_text *jobs;
};

/* A cursor of WATCH with this bit is a place in a walk through everything known. */
#define TD_WATCH_WALK_BIT (UINT64_C(1) << 63)
/* Whether a watch from this cursor walks: 0 begins one, UINT64_MAX is "from now". */
static inline bool td_watch_walks(uint64_t cursor)
{
    return cursor == 0 || (cursor != UINT64_MAX && (cursor & TD_WATCH_WALK_BIT) != 0);
}

struct td_request {
    uint64_t id;
    enum td_op op;
    uint32_t timeout_ms; /* the node gives up after this; 0 = answer at once */
    struct td_vv after;  /* what the caller has seen (token); empty = nothing */
    union {
        struct {
            uint8_t ack; /* 0 = local disk, k, or TD_ACK_ALL */
            uint32_t count;
            const struct td_update *updates;
        } publish;
        struct {
            struct td_text job;
            uint64_t job_hash;
            uint16_t attempt; /* 0 = highest */
            bool all_attempts;
        } get; /* also EXPLAIN */
        struct {
            struct td_filter filter;
            uint32_t limit;
            uint64_t cursor; /* 0 = start */
        } list;
        struct {
            struct td_filter filter;
            uint32_t limit;
            uint64_t cursor; /* UINT64_MAX = from now; 0 = everything known, then follow */
            struct td_incarnation process; /* of the node that gave the cursor; other = resume by `after` */
        } watch;
        struct td_bytes roster;
        struct {
            struct td_region region;
            bool send_cut, receive_cut; /* both false = heal */
        } fault;
        uint64_t cancel_id;
        uint64_t roster_version; /* ROSTER_AT */
        struct {
            struct td_region region;
        } members;
        struct {
            enum td_admin action;
            struct td_text argument; /* at most TD_ADMIN_ARGUMENT_BYTES_MAX */
        } admin;
    } u;
};

/* One register as an answer shows it. */
struct td_register_view {
    struct td_text job;
    uint16_t attempt;
    uint8_t flags; /* TD_DELTA_CORRECT; TD_VIEW_DOUBTFUL = its region was revoked since before its stamp */
    uint32_t client;
    struct td_status status;
    struct td_stamp stamp;
    struct td_dot dot;
    uint32_t clock_count;
    const struct td_dot *clock;
    uint32_t concurrent_count; /* concurrent losers seen here */
    uint64_t arrival;          /* this node's change number; WATCH cursor after it */
    bool silent;
    struct td_hash leaf;
};
/* How complete and how old this node's view of one region is. */
struct td_fresh_view {
    struct td_region region;
    bool age_known;
    uint64_t age_ms;      /* upper bound; valid when age_known */
    bool missing_known;
    uint64_t missing;     /* updates named by verified heads that we lack */
    bool recovering;
    bool doubt;           /* digest differs after repair */
    struct td_region via; /* live source when not direct; 0 = direct */
};
struct td_result {
    enum td_err err;
    uint16_t attempt;
    struct td_stamp stamp;
    struct td_dot dot;
    uint8_t rank;
    bool noop;
    uint8_t acked_regions;
    uint8_t current_state;     /* with TD_ERANK, TD_EFINAL, TD_ELOSTFIRST, TD_EPARTIAL */
    struct td_stamp current_stamp;
};
/* EXPLAIN: a version this node knows of the register, winner first. */
struct td_version_view {
    struct td_register_view view;
    bool winner;
    bool concurrent; /* with the winner: neither writer had seen the other */
    enum td_rule rule; /* why the winner beats it */
    bool signature_ok; /* re-checked while answering */
    struct td_public_key signer;
    struct td_region via; /* region it came here from; own region = accepted here */
    bool arrived_after_known;
    int64_t arrived_after_ms; /* arrival here minus stamp; as the core gives it, the arrival alone */

    /* Not on the wire. Where the signed delta lies: the driver of the core reads it, fills view (a loser's
     * is empty but for its dot), signer and signature_ok, then encodes. Ticket 0 = no longer there. */
    uint64_t log_ticket;
    uint64_t log_position;
    uint32_t log_bytes;
    uint32_t log_index;
};
/* EXPLAIN: reports of this job that this node refused since it started, one row for each reason and
 * sender; the newest first. */
struct td_refused_view {
    enum td_err err;
    uint64_t count;
    uint64_t first_ms, last_ms; /* wall clock here */
    struct td_text from;        /* a client's name, a region's, an address; empty = not known */
};
struct td_region_view {
    struct td_region region;
    bool self;
    uint8_t roster_state; /* enum td_region_state */
    uint8_t link_state;   /* enum td_link_view */
    bool direct;          /* a link is up */
    struct td_region via; /* live source of this region's deltas when not direct */
    bool heard;
    uint64_t heard_age_ms; /* since the newest verified head of it arrived */
    bool rtt_known;
    uint32_t rtt_us;
    uint16_t probes; /* newest 16 heartbeats, newest in bit 0 */
    uint64_t we_lack;
    bool we_lack_known;
    uint64_t they_lack;      /* our deltas their `has` does not cover */
    bool they_lack_known;
    uint32_t they_lack_jobs; /* UINT32_MAX = not counted */
    uint64_t oldest_unacked_ms; /* wall ms of the oldest such delta; 0 = none */
    bool eta_known;
    uint64_t eta_ms; /* until it has all of them, at the rate of the last seconds */
    bool offset_known;
    int64_t offset_ms; /* their clock minus ours, from heads, +- RTT */
    uint16_t proto_min, proto_max;
    struct td_text software;
    struct td_text name;
    uint64_t sent_bytes, received_bytes, reconnects;
    bool clone_suspected, rolled_back, equivocated, fenced;
    /* Matrix row: whom this region says it hears (from its newest head's echo table). */
    uint32_t hears_count;
    const struct td_fresh_view *hears; /* age = since that region's tick; region = about whom */
    /* Whom this region says it has no direct link to, from the same head. */
    bool detours_said;
    uint32_t detour_count;
    const struct td_detour *detours;
    struct td_public_key sign_key;
};
enum td_link_view { TD_LINK_SELF = 0, TD_LINK_UP = 1, TD_LINK_LATE = 2, TD_LINK_DOWN = 3, TD_LINK_UNKNOWN = 4 };

/* MEMBERS: what one member says of the region that was asked about. */
struct td_member_view {
    struct td_region region;
    bool self;
    bool heard; /* a head of it was verified since the answering node started */
    uint64_t heard_age_ms;
    uint64_t roster_version; /* that its newest head names */
    uint32_t fold_below;     /* of the asked region: all that starts below is closed and held */
    uint32_t count;
    const struct td_vv_entry *entries; /* of the asked region; region is set */
};
/* MEMBERS: one incarnation of the asked region, as the answering node knows it. */
struct td_life_view {
    struct td_incarnation incarnation;
    uint16_t key_number; /* that signed it; 0 = no batch of it was seen here */
    bool folded;         /* out of vectors; something live lies in it */
    uint64_t held;       /* durable here; of a folded one all there is */
    uint64_t signed_max; /* newest seq the region itself signed, as far as known here */
};

struct td_counter {
    struct td_text name; /* closed word list: counters of the core by name */
    uint64_t value;
};

struct td_response {
    uint64_t id;
    enum td_op op;
    enum td_err err;
    struct td_text message; /* for people; may be empty */
    struct td_region node;  /* who answers */
    struct td_text node_name;
    struct td_text cluster_name;
    uint64_t now_ms;
    struct td_incarnation process;
    struct td_vv has; /* the token's vector */
    bool certain;     /* DESIGN 2: with the node's configured stale limit */
    uint64_t stale_ms; /* that limit; 0 = not said, as in answers of older nodes: see td_stale_ms */
    uint32_t freshness_count;
    const struct td_fresh_view *freshness;
    /* Names for region numbers used anywhere in the answer. */
    uint32_t name_count;
    const struct td_region_name *names;
    union {
        struct {
            uint32_t count;
            const struct td_result *results; /* in the order of the updates */
        } publish;
        struct {
            uint32_t count;
            const struct td_register_view *registers; /* GET: highest attempt first; LIST; WATCH: by arrival */
            uint64_t next_cursor; /* LIST: 0 = end */
            bool reset;           /* WATCH: changes were merged away since the cursor */
        } registers;
        struct {
            uint32_t count;
            const struct td_version_view *versions;
            uint32_t refused_count; /* also with TD_EUNKNOWN */
            const struct td_refused_view *refused;
        } explain;
        struct {
            uint32_t region_count;
            const struct td_region_view *regions;
            uint32_t counter_count;
            const struct td_counter *counters;
            uint64_t roster_version;
            uint64_t register_count;
            uint64_t log_bytes, log_limit_bytes;
            bool publishing; /* false = refused; message says why */
        } status;
        struct td_bytes roster; /* ROSTER_GET, ROSTER_AT */
        struct {
            struct td_region region;
            uint64_t roster_version; /* in force at the answering node */
            uint32_t count;
            const struct td_member_view *members;
            uint32_t life_count;
            const struct td_life_view *lives; /* ascending */
        } members;
    } u;
};
struct td_region_name {
    struct td_region region;
    struct td_text name;
};

/* The age above which a part of the answer is stale: the node's limit, or its default. */
enum { TD_STALE_MS_DEFAULT = 30000 };
static inline uint64_t td_stale_ms(const struct td_response *response)
{
    return response->stale_ms != 0 ? response->stale_ms : TD_STALE_MS_DEFAULT;
}

TD_MUST_USE size_t td_request_encode(const struct td_request *request, void *bytes, size_t size_bytes);
TD_MUST_USE enum td_err td_request_decode(struct td_bytes payload, const struct td_signer *signer,
                                          struct td_reader *reader, struct td_arena *arena,
                                          struct td_request *ret_request);
TD_MUST_USE size_t td_response_encode(const struct td_response *response, void *bytes, size_t size_bytes);
TD_MUST_USE enum td_err td_response_decode(struct td_bytes payload, struct td_reader *reader,
                                           struct td_arena *arena, struct td_response *ret_response);

#endif
