/* clock.h -- dense version vectors: for each open incarnation the newest contiguous seq. A fold
 * says "every incarnation of this region that starts below f is closed and held". Entries ascend by
 * (region, incarnation), unique. The memory of `entries` and `folds` is the caller's. */
#ifndef TD_PROTO_CLOCK_H
#define TD_PROTO_CLOCK_H

#include "proto/limits.h"
#include "proto/types.h"

struct td_vv_entry {
    struct td_origin origin;
    uint64_t seq;
};
struct td_vv_fold {
    struct td_region region;
    uint32_t start_below;
};
struct td_vv {
    uint32_t entry_count;
    uint32_t fold_count;
    const struct td_vv_entry *entries;
    const struct td_vv_fold *folds;
};

/* Newest seq of this origin the vector covers; 0 when none; TD_SEQ_MAX when folded. */
uint64_t td_vv_seq(const struct td_vv *vv, struct td_origin origin);
bool td_vv_covers_dot(const struct td_vv *vv, struct td_dot dot);
/* a covers every entry and fold of b. */
bool td_vv_covers(const struct td_vv *a, const struct td_vv *b);
bool td_vv_equal(const struct td_vv *a, const struct td_vv *b);
/* Ascending, unique, within limits: what a decoder demands and an encoder asserts. */
bool td_vv_valid(const struct td_vv *vv);
/* Merge of a and b (pointwise maximum) into caller's arrays of TD_VV_ENTRIES_MAX and
 * TD_REGIONS_MAX. False when it does not fit; nothing is written to *ret_vv then. The arrays must
 * not be those of a or b. */
TD_MUST_USE bool td_vv_merge(const struct td_vv *a, const struct td_vv *b,
                             struct td_vv_entry *entries, uint32_t entries_max,
                             struct td_vv_fold *folds, uint32_t folds_max, struct td_vv *ret_vv);

#endif
