/* types.h -- the words of the protocol: strong ids, stamps, dots, states. Plain values; no function
 * here allocates, blocks or keeps a pointer. Slices (td_text, td_bytes) borrow: their owner is
 * whoever owns the bytes they point into, and each struct that carries one says who that is. */
#ifndef TD_PROTO_TYPES_H
#define TD_PROTO_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TD_MUST_USE __attribute__((warn_unused_result))

/* A region's number in the roster, 1..255, never reused. 0 = none. */
struct td_region {
    uint8_t v;
};
/* A region to which whoever says so has no direct link up; via = the one through which its updates
 * come all the same, 0 = none. */
struct td_detour {
    struct td_region region;
    struct td_region via;
};

/* One life of a region's sequence numbers (DESIGN 1): start number first, then 32 random bits. */
struct td_incarnation {
    uint32_t start;
    uint32_t random;
};

struct td_origin {
    struct td_region region;
    struct td_incarnation incarnation;
};

/* Names one delta for ever. seq 1, 2, 3 ... within its origin; 0 = none. */
struct td_dot {
    struct td_origin origin;
    uint64_t seq;
};

/* Hybrid logical clock (Kulkarni et al. 2014): Unix milliseconds, then a counter. */
struct td_stamp {
    uint64_t ms;
    uint32_t counter;
};

struct td_hash {
    uint8_t bytes[32];
};
struct td_signature {
    uint8_t bytes[64];
};
/* Ed25519 public key (signing) or X25519 public key (links); the field's name says which. */
struct td_public_key {
    uint8_t bytes[32];
};
/* BLAKE2b-128 of the root public key. */
struct td_cluster_id {
    uint8_t bytes[16];
};

/* Borrowed UTF-8 text, not NUL-terminated. */
struct td_text {
    const char *bytes;
    uint32_t count;
};
/* Borrowed bytes. */
struct td_bytes {
    const uint8_t *bytes;
    size_t count;
};

/* boot_ms: CLOCK_BOOTTIME, for timers and moments. wall_ms: Unix time, for stamps only. */
struct td_time {
    uint64_t boot_ms;
    uint64_t wall_ms;
};

/* Wire values; never renumbered. The rank (0, 1, 2) is td_state_rank() in order.h. */
enum td_state {
    TD_STATE_PENDING = 0,
    TD_STATE_STARTING = 1,
    TD_STATE_RUNNING = 2,
    TD_STATE_STOPPING = 3,
    TD_STATE_LOST = 4,
    TD_STATE_COMPLETED = 5,
    TD_STATE_FAILED = 6,
    TD_STATE_STOPPED = 7,
    TD_STATE_COUNT = 8,
};

struct td_label {
    struct td_text key;
    struct td_text value;
};

/* A register's value. Slices and labels are owned by whoever owns the decoded bytes. */
struct td_status {
    enum td_state state;
    bool progress_known;
    uint16_t progress; /* 0..10000 = 0..100 %; 0 when not known */
    uint8_t label_count;
    const struct td_label *labels; /* ascending by key, keys unique */
    struct td_text detail;
    struct td_text parent; /* job id of the workflow, or empty */
    struct td_text writer;
    uint32_t expect_every_s; /* 0 = no promise */
    uint64_t entered_ms[TD_STATE_COUNT]; /* first time each state was entered; 0 = never */
};

#endif
