/* delta.h -- one report on one register, as signed and stored (PROTOCOL, "Delta"). Encoded once at its
 * origin; everybody else keeps the bytes. msgpack array:
 *   [job str, attempt, state, stamp ms, stamp counter, client, flags, writer str, progress [] or [n],
 *    detail str, parent str, labels [k, v, ...], expect_every_s, times [state, ms, ...],
 *    clock [region, start, random, seq, ...]]  + unknown trailing fields, kept by the bytes. */
#ifndef TD_PROTO_DELTA_H
#define TD_PROTO_DELTA_H

#include "proto/arena.h"
#include "proto/err.h"
#include "proto/limits.h"
#include "proto/reader.h"
#include "proto/sign.h"
#include "proto/types.h"

enum { TD_DELTA_CORRECT = 1 }; /* flags: replaced another final by --correct */

struct td_delta {
    struct td_text job;
    uint16_t attempt;
    uint8_t flags;
    uint8_t clock_count;
    uint32_t client; /* roster number; 0 = local socket or HTTP of the origin */
    struct td_stamp stamp;
    struct td_status status;
    const struct td_dot *clock; /* ascending by region, one entry a region */

    /* Not on the wire; filled by whoever decodes or encodes. */
    uint64_t job_hash;
    struct td_hash leaf;
    uint32_t index; /* position in its batch: seq = header.first_seq + index */
    struct td_bytes raw;
};

/* Bytes written, 0 when it does not fit. Asserts the limits: the caller checked its input. */
TD_MUST_USE size_t td_delta_encode(const struct td_delta *delta, void *bytes, size_t size_bytes);
/* Slices point into raw; labels and clock live in arena. Sets raw, leaf, job_hash; index stays 0.
 * TD_EFORMAT, TD_ETOOBIG (arena used up), or the field's own code. */
TD_MUST_USE enum td_err td_delta_decode(struct td_bytes raw, const struct td_signer *signer,
                                        struct td_reader *reader, struct td_arena *arena,
                                        struct td_delta *ret_delta);

/* Field rules shared by decoder, accepting node, library and CLI. */
bool td_job_valid(struct td_text job);
TD_MUST_USE enum td_err td_status_check(const struct td_status *status);

#endif
