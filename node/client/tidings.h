/* tidings.h -- the public interface of libtidings: publish, read and follow the status of jobs
 * through the nearest node, and fail over to the next one of the list.
 *
 * Threads: a handle may be used from any number of threads. One background thread per handle does
 * the I/O and calls every completion callback; a callback must not block and must not call a
 * function of this header that waits (tidings_publish, _get, _list_next, _watch, _wait, _flush,
 * _close); it may call tidings_publish_async. Fork before opening a handle, not after.
 *
 * Text in: NUL-terminated UTF-8, borrowed for the call. Text out: copied into the caller's structs.
 * Text that came from other machines may contain anything that is valid UTF-8: escape it before it
 * reaches a terminal.
 *
 * Errors: 0 or one of enum tidings_err, the number of the stable code (213 = TD-E0213). */
#ifndef TIDINGS_H
#define TIDINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifndef TIDINGS_API
#if defined(__GNUC__)
#define TIDINGS_API __attribute__((visibility("default")))
#else
#define TIDINGS_API
#endif
#endif

enum tidings_err {
    TIDINGS_OK = 0,
    TIDINGS_EUSAGE = 101,
    TIDINGS_EJOBID = 102,
    TIDINGS_ESTATE = 103,
    TIDINGS_EPROGRESS = 104,
    TIDINGS_EDETAIL = 105,
    TIDINGS_ELABELS = 106,
    TIDINGS_EWRITER = 107,
    TIDINGS_EATTEMPT = 108,
    TIDINGS_EEXPECT = 109,
    TIDINGS_ETOKEN = 110,
    TIDINGS_EPARENT = 113,
    TIDINGS_EFORMAT = 120,
    TIDINGS_ETOOBIG = 121,
    TIDINGS_EVERSION = 122,
    TIDINGS_EKEYFILE = 201,
    TIDINGS_EKEYTEXT = 202,
    TIDINGS_ENOTINROSTER = 205,
    TIDINGS_EPERM = 206,
    TIDINGS_EFOREIGN = 214,
    TIDINGS_ERANK = 301,    /* the attempt already has a state of higher rank */
    TIDINGS_EFINAL = 302,   /* the attempt already has another final state */
    TIDINGS_EPARTIAL = 303, /* handled inside: the library sends the full status */
    TIDINGS_EUNKNOWN = 304, /* no such job is known here: look at the freshness */
    TIDINGS_ESTALE = 305,
    TIDINGS_ETIMEOUT = 306,
    TIDINGS_EOTHERFINAL = 307,
    TIDINGS_ELOSTFIRST = 308,
    TIDINGS_EACK = 309, /* stored, but not confirmed by as many regions as asked for */
    TIDINGS_FULL = 401, /* a bounded queue (ours or the node's) is full: try again later */
    TIDINGS_EQUOTA = 402,
    TIDINGS_ERATE = 403,
    TIDINGS_EDISKFULL = 404,
    TIDINGS_EDRAINING = 405, /* handled inside: the next node is tried */
    TIDINGS_ESTARTING = 406,
    TIDINGS_ECLOCK = 407,
    TIDINGS_ECLONE = 408,
    TIDINGS_ENONODE = 501, /* no node of the list can be reached */
    TIDINGS_ECLOSED = 502, /* the handle was closed before an answer came */
    TIDINGS_EHANDSHAKE = 503,
    TIDINGS_ECORRUPT = 601,
    TIDINGS_EIO = 602,
    TIDINGS_ENOMEM = 603,
};
/* One sentence each; for any number, never NULL. */
TIDINGS_API const char *tidings_err_text(int err);
TIDINGS_API const char *tidings_err_hint(int err);
TIDINGS_API const char *tidings_version(void);

enum tidings_state {
    TIDINGS_PENDING = 0,
    TIDINGS_STARTING = 1,
    TIDINGS_RUNNING = 2,
    TIDINGS_STOPPING = 3,
    TIDINGS_LOST = 4,      /* an observer's verdict, provisional */
    TIDINGS_COMPLETED = 5, /* this and the following are final */
    TIDINGS_FAILED = 6,
    TIDINGS_STOPPED = 7,
    TIDINGS_STATE_COUNT = 8,
};
TIDINGS_API const char *tidings_state_name(enum tidings_state state);
/* 0 or TIDINGS_ESTATE. */
TIDINGS_API int tidings_state_parse(const char *text, enum tidings_state *ret_state);
TIDINGS_API bool tidings_state_final(enum tidings_state state);

enum {
    TIDINGS_JOB_BYTES = 200,
    TIDINGS_DETAIL_BYTES = 512,
    TIDINGS_WRITER_BYTES = 64,
    TIDINGS_LABELS_MAX = 16,
    TIDINGS_LABELS_BYTES = 1024,
    TIDINGS_REGION_BYTES = 32,
    TIDINGS_REGIONS_MAX = 64,
    TIDINGS_ACK_ALL = 255,
    TIDINGS_PROGRESS_UNKNOWN = -1,
};

/* ---- handle ---- */

typedef struct tidings tidings;

struct tidings_result; /* below */

/* All zero is a good default. Strings are copied. */
struct tidings_options {
    const char *nodes;    /* comma-separated ipc://PATH and tcp://HOST:PORT, nearest first; NULL =
                             $TIDINGS_NODE,    else ipc:///run/tidings/tidings.sock */
    const char *key_file; /* tcp only: file with one tdsk1: line, mode 0600 */
    const char *root;     /* tcp only: the cluster's root key, tdpk1:... */
    uint64_t roster_version_min; /* tcp only: a node that shows an older roster is refused */
    const char *writer;          /* put into reports that name none; NULL = none */
    const char *after;           /* token of earlier work (tdt1:...); NULL = none */

    uint32_t timeout_ms; /* of every operation; 0 = 10 000 */
    uint8_t ack; /* regions that must confirm a publish: 0 = the node's disk, TIDINGS_ACK_ALL */
    uint32_t queue_updates_max; /* not yet answered; beyond it TIDINGS_FULL; 0 = 65 536 */
    uint64_t queue_bytes_max;   /* the same in bytes; 0 = 64 MiB */
    uint32_t batch_updates_max; /* updates in one request, up to 4096; 0 = 1024 */
    uint32_t in_flight_max;     /* publish requests awaiting their answer, up to 64; 0 = 16 */
    uint32_t linger_us;         /* how long an update may wait for company; 0 = not at all */
    uint32_t registers_max;     /* (job, attempt)s remembered for failing over; 0 = 65 536 */

    const char *spool;        /* file that keeps reports while no node is reachable; NULL = none */
    uint64_t spool_bytes_max; /* 0 = 64 MiB; beyond it TIDINGS_FULL */
    /* A spooled report (answered with `spooled`) that a node refused later. May be NULL. */
    void (*spool_refused)(void *self, const char *job, const struct tidings_result *result);
    void *spool_refused_self;
};

/* Checks the options, opens key and spool and starts the thread; does not wait for a node. On
 * failure ret_why (may be NULL) gets one sentence. */
TIDINGS_API int tidings_open(const struct tidings_options *options, tidings **ret_tidings,
                             char *ret_why, size_t why_bytes);
/* Answers everything that is still open with TIDINGS_ECLOSED (spools it first when there is a
 * spool) and frees the handle. NULL is fine. Call tidings_flush before it to wait for answers. No
 * other thread may still be in a function of this handle. */
TIDINGS_API void tidings_close(tidings *take_tidings);

/* ---- publish ---- */

struct tidings_label {
    const char *key;
    const char *value;
};

/* A report. What it leaves out (NULL, or set_... false) keeps its value. */
struct tidings_update {
    const char *job;
    uint16_t attempt; /* 0 = the highest known, or 1 */
    enum tidings_state state;
    bool correct; /* replace another final state */
    bool set_progress;
    int32_t progress; /* 0..10000 = 0..100 %, or TIDINGS_PROGRESS_UNKNOWN */
    const char *detail;
    const char *parent;
    const char *writer;
    bool set_labels;
    size_t label_count;
    const struct tidings_label *labels; /* any order, keys unique */
    bool set_expect_every;
    uint32_t expect_every_s; /* the next report comes within this time; 0 = no promise */
};

struct tidings_result {
    int err;
    bool spooled; /* no node could be reached: kept in the spool file, will be sent */
    bool noop;    /* equal to the current status */
    uint16_t attempt;
    uint8_t acked_regions;
    uint64_t stamp_ms;
    uint32_t stamp_counter;
    /* Names the report for ever: region number, its incarnation, sequence number. */
    uint8_t region;
    uint32_t incarnation_start;
    uint32_t incarnation_random;
    uint64_t seq;
    enum tidings_state current_state; /* with ERANK, EFINAL, ELOSTFIRST: what the register has */
    uint64_t current_stamp_ms;
};

/* Waits for the answer. ret_result may be NULL. Returns result.err. */
TIDINGS_API int tidings_publish(tidings *tidings, const struct tidings_update *update,
                                struct tidings_result *ret_result);

/* Called exactly once for every accepted update, on the handle's thread. */
typedef void (*tidings_done)(void *self, const struct tidings_result *result);
/* Queues a copy and returns at once: 0, TIDINGS_FULL (nothing is queued; done is not called), or
 * what is wrong with the update. Updates are coalesced into large requests by themselves. done may
 * be NULL. */
TIDINGS_API int tidings_publish_async(tidings *tidings, const struct tidings_update *update,
                                      tidings_done done, void *self);
/* Waits until everything queued before the call was answered (or is in the spool); timeout_ms 0 =
 * the handle's. TIDINGS_OK or TIDINGS_ETIMEOUT. */
TIDINGS_API int tidings_flush(tidings *tidings, uint32_t timeout_ms);

/* ---- read ---- */

struct tidings_status_label {
    uint16_t key_at; /* offsets into label_text, NUL-terminated there */
    uint16_t value_at;
};
struct tidings_status {
    char job[TIDINGS_JOB_BYTES + 1];
    uint16_t attempt;
    enum tidings_state state;
    bool final;
    bool silent;      /* broke its promise of expect_every_s */
    int32_t progress; /* 0..10000, or TIDINGS_PROGRESS_UNKNOWN */
    char detail[TIDINGS_DETAIL_BYTES + 1];
    char parent[TIDINGS_JOB_BYTES + 1];
    char writer[TIDINGS_WRITER_BYTES + 1];
    uint32_t expect_every_s;
    uint32_t label_count;
    struct tidings_status_label labels[TIDINGS_LABELS_MAX];
    char label_text[TIDINGS_LABELS_BYTES + 2 * TIDINGS_LABELS_MAX];
    uint64_t
        entered_ms[TIDINGS_STATE_COUNT]; /* Unix ms of the first time in each state; 0 = never */
    uint64_t stamp_ms;
    uint32_t stamp_counter;
    char origin[TIDINGS_REGION_BYTES + 1]; /* region that accepted it */
    uint64_t seq;
    uint32_t concurrent_count; /* reports of others that this one beat without having seen them */
};
TIDINGS_API const char *tidings_status_label_key(const struct tidings_status *status,
                                                 uint32_t index);
TIDINGS_API const char *tidings_status_label_value(const struct tidings_status *status,
                                                   uint32_t index);

/* How old each region's part of the answer is. Unknown is not zero. */
struct tidings_region_freshness {
    char region[TIDINGS_REGION_BYTES + 1];
    bool age_known;
    uint64_t age_ms; /* upper bound */
    bool missing_known;
    uint64_t missing;
    char via[TIDINGS_REGION_BYTES + 1]; /* empty = direct */
};
struct tidings_freshness {
    char node[TIDINGS_REGION_BYTES + 1];
    uint64_t now_ms; /* the node's clock */
    bool certain;    /* every region is complete within the node's limit */
    char deciding_region[TIDINGS_REGION_BYTES + 1]; /* the oldest; empty when there is none */
    uint32_t region_count;
    struct tidings_region_freshness regions[TIDINGS_REGIONS_MAX];
};

/* Reads are never older than what this handle has published or read: a node that has not caught up
 * is waited for, bounded by the time-out (TIDINGS_ETIMEOUT). attempt 0 = the highest.
 * TIDINGS_EUNKNOWN fills ret_freshness too. Both may be NULL. */
TIDINGS_API int tidings_get(tidings *tidings, const char *job, uint16_t attempt,
                            struct tidings_status *ret_status,
                            struct tidings_freshness *ret_freshness);

/* Zero or NULL = any. */
struct tidings_filter {
    uint32_t states; /* bit 1 << enum tidings_state */
    const char *prefix;
    const char *origin; /* region name */
    uint64_t since_ms;
    bool silent;
    bool conflicts;
};
typedef struct tidings_list tidings_list;
TIDINGS_API int tidings_list_open(tidings *tidings,
                                  const struct tidings_filter *filter, /* NULL = all */
                                  tidings_list **ret_list);
/* Fetches pages as needed. 0 with *ret_more = false at the end. ret_freshness (may be NULL) is that
 * of the newest page. */
TIDINGS_API int tidings_list_next(tidings_list *list, struct tidings_status *ret_status,
                                  bool *ret_more, struct tidings_freshness *ret_freshness);
TIDINGS_API void tidings_list_close(tidings_list *take_list);

enum tidings_watch_event {
    TIDINGS_WATCH_UPDATE = 1, /* status holds the change */
    TIDINGS_WATCH_RESET =
        2, /* changes were merged away, or another node goes on: read again what matters */
    TIDINGS_WATCH_IDLE = 3, /* nothing for idle_ms; freshness holds the newest */
};
struct tidings_watch_options {
    struct tidings_filter filter;
    const char *const *jobs; /* at most 64; NULL = by the filter alone */
    size_t job_count;
    bool from_start;    /* everything known first, then changes; else from now on */
    const char *cursor; /* resume after this one (tidings_watch_at.cursor) */
    uint32_t idle_ms;   /* 0 = 1000 */
};
enum { TIDINGS_CURSOR_BYTES = 4096 };
struct tidings_watch_at {
    enum tidings_watch_event event;
    const struct tidings_status *status;       /* UPDATE, else NULL */
    const struct tidings_freshness *freshness; /* never NULL */
    const char *cursor;                        /* text that resumes after this event */
};
/* Calls event in the caller's thread until it returns false (result 0). Loss of the node is handled
 * inside: it resumes on the next node and reports a reset where changes may have been merged away.
 * No node for the handle's time-out: TIDINGS_ENONODE. */
TIDINGS_API int tidings_watch(tidings *tidings, const struct tidings_watch_options *options,
                              bool (*event)(void *self, const struct tidings_watch_at *at),
                              void *self);

struct tidings_wait_job {
    const char *job;
    uint16_t attempt;             /* 0 = the highest */
    bool seen;                    /* out: status holds the newest answer */
    bool met;                     /* out */
    bool other_final;             /* out: final, but none of the states waited for */
    struct tidings_status status; /* out */
};
struct tidings_wait_options {
    uint32_t states;     /* bits; a state already passed counts as met; 0 = any final */
    bool or_lost;        /* lost counts as met */
    bool any;            /* one job is enough; else all */
    uint32_t timeout_ms; /* 0 = the handle's */
    /* While no end is in sight, in the caller's thread, at least twice a second: how complete the
     * node is that is asked. NULL = not wanted. */
    void (*waiting)(void *self, const struct tidings_freshness *freshness);
    void *waiting_self;
};
/* 0 = met; TIDINGS_EOTHERFINAL = can no longer be met; TIDINGS_ETIMEOUT; TIDINGS_ENONODE.
 * ret_freshness (may be NULL) is that of the newest answer. */
TIDINGS_API int tidings_wait(tidings *tidings, struct tidings_wait_job *jobs, size_t job_count,
                             const struct tidings_wait_options *options,
                             struct tidings_freshness *ret_freshness);

/* What this handle has seen, as text for `after` of another handle. Returns bytes with the NUL, or
 * 0 when text_bytes is too small (then *ret_need has the size; may be NULL). */
TIDINGS_API size_t tidings_token(tidings *tidings, char *ret_text, size_t text_bytes,
                                 size_t *ret_need);

struct tidings_stats {
    bool connected;
    char node_address[128]; /* the one in use, or tried next */
    char node_region[TIDINGS_REGION_BYTES + 1];
    uint64_t published;      /* answered updates */
    uint64_t refused;        /* of these, with an error */
    uint64_t requests;       /* publish requests sent */
    uint64_t resent_updates; /* sent again after a lost answer */
    uint64_t full_resends;   /* partial reports sent again as full ones */
    uint64_t failovers;
    uint64_t spooled_updates, spool_bytes;
    uint64_t queued_updates;
};
TIDINGS_API void tidings_get_stats(tidings *tidings, struct tidings_stats *ret_stats);

#ifdef __cplusplus
}
#endif

#endif
