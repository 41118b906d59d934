/* limits.h -- every limit of the wire, in bytes or counts, and how they relate. Each is asserted
 * where we write and checked where we read. */
#ifndef TD_PROTO_LIMITS_H
#define TD_PROTO_LIMITS_H

#include <assert.h>
#include <stdint.h>

enum {
    TD_REGION_NUMBER_MAX = 255, /* numbers ever given out */
    TD_REGIONS_MAX = 64,        /* regions that are not closed, at one time */
    TD_REGION_NAME_BYTES_MAX = 32,
    TD_CLUSTER_NAME_BYTES_MAX = 64,

    TD_JOB_BYTES_MAX = 200,
    TD_DETAIL_BYTES_MAX = 512,
    TD_WRITER_BYTES_MAX = 64,
    TD_LABELS_MAX = 16,
    TD_LABELS_BYTES_MAX = 1024, /* sum over keys and values */
    TD_PROGRESS_MAX = 10000,
    TD_ATTEMPT_MAX = 65535,
    TD_ATTEMPT_AHEAD_MAX = 1000,
    TD_CLOCK_ENTRIES_MAX = TD_REGIONS_MAX,
    TD_EXPECT_EVERY_S_MAX = 366 * 24 * 3600,

    TD_DELTA_BYTES_MAX = 4096,
    TD_BATCH_DELTAS_MAX = 4096,
    TD_BATCH_BYTES_MAX = 1024 * 1024,
    TD_HEADER_BYTES_MAX = 256,
    TD_PROOF_HASHES_MAX = 2 * TD_BATCH_DELTAS_MAX,

    TD_INCARNATIONS_PER_REGION_MAX = 256, /* open ones */
    TD_VV_ENTRIES_MAX = 2048,
    TD_ECHO_ENTRIES_MAX = 2 * TD_REGIONS_MAX,
    /* Incarnations in the complete list of a closed region, or of a region's retired keys. */
    TD_CLOSED_LIST_MAX = 4096,
    TD_CLOSINGS_MAX = 2 * TD_INCARNATIONS_PER_REGION_MAX,
    TD_HOLES_MAX = 32,
    TD_HEAD_BYTES_MAX = 192 * 1024,

    TD_CLIENTS_MAX = 4096,
    TD_CLIENT_PREFIXES_MAX = 16,
    TD_KEYS_PER_REGION_MAX = 16,
    TD_ENDPOINTS_MAX = 4,
    TD_ENDPOINT_BYTES_MAX = 128,
    TD_ROSTER_BYTES_MAX = 512 * 1024,
    TD_CARD_BYTES_MAX = 256,

    TD_FRAME_BYTES_MAX = TD_BATCH_BYTES_MAX + 64 * 1024, /* one frame's payload after decryption */
    TD_PREAUTH_BYTES_MAX = 512,
    TD_NOISE_MESSAGE_BYTES_MAX = 65535,

    TD_MSGPACK_DEPTH_MAX = 8,

    TD_DIGEST_BUCKETS = 256,
    TD_BUCKET_ENTRIES_MAX = 4096, /* entries of one bucket listed in one frame */
    TD_FETCH_MAX = 1024,

    TD_REQUEST_UPDATES_MAX = 4096,
    TD_REQUEST_BYTES_MAX = 1024 * 1024,
    TD_ADMIN_ARGUMENT_BYTES_MAX = 1024,
    TD_LIST_LIMIT_MAX = 1000,
    TD_WATCH_JOBS_MAX = 64,
    TD_VERSIONS_SHOWN_MAX = 16,
    TD_REFUSED_SHOWN_MAX = 8, /* kinds of refusal shown of one job */
    TD_FROM_BYTES_MAX = 96,   /* from whom something refused came */
    TD_CANARY_WAIT_MS = 5000, /* a canary that a region has not confirmed by then is late */
};

/* Jobs of this prefix are canaries: `tidings doctor` reports them to time their way. */
#define TD_CANARY_PREFIX "tidings/canary/"

#define TD_SEQ_MAX ((UINT64_C(1) << 53) - 1)
#define TD_STAMP_MS_MAX UINT64_C(4102444799999) /* 2099-12-31T23:59:59.999Z */

static_assert(TD_DELTA_BYTES_MAX > TD_JOB_BYTES_MAX * 2 + TD_DETAIL_BYTES_MAX + TD_WRITER_BYTES_MAX +
                                       TD_LABELS_BYTES_MAX + TD_LABELS_MAX * 6 +
                                       TD_CLOCK_ENTRIES_MAX * 21 + 8 * 10 + 64,
              "the largest legal delta fits");
static_assert(TD_FRAME_BYTES_MAX > TD_BATCH_BYTES_MAX, "a batch fits into one frame");
static_assert(TD_HEAD_BYTES_MAX > TD_VV_ENTRIES_MAX * 23 * 2, "a head with full vectors fits");

#endif
