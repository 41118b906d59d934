/* head.h -- what an origin says about itself and what it holds, signed at least every few seconds
 * (PROTOCOL, "Head"). Wire: [head bin, signature bin(64)]; head = msgpack array
 *   [version, cluster bin(16), region, key number, start, random, number, seq, stamp ms, stamp counter,
 *    roster version, recovering 0/1, digest bin(32), has [region, start, random, seq, ...],
 *    folds [region, start_below, ...], echo [[region, start, random, number, hash bin(16)], ...],
 *    closings [start, random, last seq, lost 0/1, ...], counted [region, ...], proto min, proto max,
 *    software str, detours [region, via, ...]]; older heads end before the detours. */
#ifndef TD_PROTO_HEAD_H
#define TD_PROTO_HEAD_H

#include "proto/arena.h"
#include "proto/clock.h"
#include "proto/err.h"
#include "proto/reader.h"
#include "proto/sign.h"

enum { TD_HEAD_VERSION = 1, TD_TICK_HASH_BYTES = 16, TD_SOFTWARE_BYTES_MAX = 32 };

/* A head, named: (incarnation, number, first 16 bytes of the hash of the head's signed bytes). */
struct td_tick {
    struct td_origin origin;
    uint64_t number;
    uint8_t hash[TD_TICK_HASH_BYTES];
};
/* The signer's earlier incarnation ended at last_seq; lost = it signed more, which no member holds. */
struct td_closing {
    struct td_incarnation incarnation;
    uint64_t last_seq;
    bool lost;
};
struct td_head {
    struct td_cluster_id cluster;
    struct td_origin origin; /* of the running process, also before its first delta */
    uint16_t key_number;
    uint64_t number; /* 1, 2, ... within the incarnation */
    uint64_t seq;    /* newest durable own seq of this incarnation; 0 = none yet */
    struct td_stamp stamp;
    uint64_t roster_version;
    bool recovering;
    struct td_hash digest; /* sum over the live set, see core/table.c */
    struct td_vv has;
    uint32_t echo_count;
    const struct td_tick *echo;
    uint32_t closing_count;
    const struct td_closing *closings;
    uint32_t counted_count; /* regions its signer counts as joined to the stable cut */
    const struct td_region *counted;
    uint16_t proto_min;
    uint16_t proto_max;
    struct td_text software;
    bool detours_said; /* false = an older head, which does not tell */
    uint32_t detour_count;
    const struct td_detour *detours;

    /* Not on the wire; set by encode and decode. */
    uint8_t hash[TD_TICK_HASH_BYTES];
    struct td_bytes raw; /* the whole signed message */
};

TD_MUST_USE size_t td_head_encode(struct td_head *head, const struct td_signer *signer, void *bytes,
                                  size_t size_bytes);
/* The signature is not checked: td_head_verify does. */
TD_MUST_USE enum td_err td_head_decode(struct td_bytes raw, const struct td_signer *signer,
                                       struct td_reader *reader, struct td_arena *arena,
                                       struct td_head *ret_head);
TD_MUST_USE bool td_head_verify(const struct td_head *head, const struct td_signer *signer,
                                const struct td_public_key *key);

#endif
