/* peers.h -- what the files about other regions share among themselves: peers.c roster.c phi.c
 * live.c source.c trial.c transfer.c transfer_send.c repair.c bucket.c heads.c head_own.c recover.c
 * fresh.c cut.c. Everything to be sent is kept as a mark (a bit, a counter, a flag) and leaves in
 * td_live_pump at the end of a step, within the room the step's send has: nothing is queued. */
#ifndef TD_CORE_PEERS_H
#define TD_CORE_PEERS_H

#include <string.h>

#include "node/core/state.h"
#include "proto/order.h"

enum {
    TD_LAG_MS = 50,             /* how long a peer may be ahead before we change the source */
    TD_SOURCE_CHANGE_MS = 1000, /* at most one change per region in this time */
    TD_SOURCE_BACK_MS = 5000,   /* the direct path has to keep up for so long */
    TD_STUCK_MS = 2000,         /* live did not bring it for so long: ask for a transfer */
    TD_FOLD_MS = 4000,          /* a fold of its origin did not follow from closings for so long */
    TD_TRANSFER_QUIET_MS = 2000,
    TD_LEAVING_PATIENCE_MS = 5000, /* for holes in what a leaving region said to be filled */
    TD_REPAIR_ROUND_MS = 5000,
    TD_HEAD_SOON_MS = 50,
    TD_CLOCK_JUMP_MS = 1000,
};

static inline uint64_t td_bit(uint8_t region_slot)
{
    return UINT64_C(1) << region_slot;
}
static inline bool td_link_up(const struct td_link *link)
{
    return link->id.v != 0 && !link->closing;
}
static inline struct td_region_info *td_link_region(struct td_core *core,
                                                    const struct td_link *link)
{
    return &core->regions[link->region_slot];
}
/* Slot of a region number, TD_SLOTS when it has none. */
static inline uint8_t td_region_slot(const struct td_core *core, struct td_region region)
{
    uint8_t slot = core->slot_of[region.v];
    return slot < TD_SLOTS && region.v != 0 && core->regions[slot].number.v == region.v
               ? slot
               : (uint8_t)TD_SLOTS;
}
/* Nothing to copy may come with no address. */
static inline void td_copy(void *target, const void *source, size_t bytes)
{
    if (bytes > 0) {
        memcpy(target, source, bytes);
    }
}
static inline uint64_t td_min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}
static inline uint64_t td_max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}
/* Seqs of this incarnation that count when somebody names `seq`: not beyond what its origin signed,
 * nor beyond its closing. */
static inline uint64_t td_inc_limit(const struct td_inc *inc, uint64_t seq)
{
    uint64_t limit = td_min_u64(seq, inc->signed_max);
    return inc->closed ? td_min_u64(limit, inc->closed_last) : limit;
}

/* peers.c */
void td_link_close(struct td_core *core, uint32_t link, enum td_err why);
/* Takes a frame's charge out of what we granted; false (and the link ends) when it is more. */
bool td_peers_charge(struct td_core *core, uint32_t link, enum td_lane lane, uint64_t bytes);
/* Sends the control messages that are marked. False when the step's room on this link is used up.
 */
bool td_peers_pump_link(struct td_core *core, uint32_t link);
void td_peers_views(struct td_core *core); /* traces each change of up, late, down once */

/* phi.c */
void td_phi_answered(struct td_core *core, struct td_link *link, uint32_t rtt_us);
void td_phi_tick(struct td_core *core);

/* live.c, source.c */
void td_live_link_up(struct td_core *core, uint32_t link);
void td_live_want(struct td_core *core, uint32_t link, const struct td_msg *msg);
void td_live_received(struct td_core *core, uint32_t link, const struct td_event *event);
void td_live_not_whole(struct td_core *core, uint32_t link, struct td_region region);
void td_source_has(struct td_core *core, uint32_t link); /* it announced a new `has` */
void td_source_tick(struct td_core *core);
void td_source_link_down(struct td_core *core, uint32_t link);
void td_source_choose(struct td_core *core,
                      uint8_t region_slot); /* first choice, or after a loss */
/* trial.c: a second source while it is open whether the first is silent or only slow. */
uint64_t td_trial_from_ms(const struct td_core *core, uint8_t region_slot); /* for this lag */
uint32_t td_trial_link(const struct td_core *core, uint8_t region_slot);    /* TD_NONE = none */
void td_trial_begin(struct td_core *core, uint8_t region_slot, uint32_t link);
/* The region's own link: it becomes the source. */
void td_trial_back(struct td_core *core, uint8_t region_slot, uint32_t link);
void td_trial_end(struct td_core *core, uint8_t region_slot, bool taken);
/* A live batch of this region, up to this dot, came by this link and was taken. */
void td_trial_brought(struct td_core *core, uint8_t region_slot, uint32_t link, struct td_dot last);
/* First dot of this region that the vector names (as far as signed) and we have not received;
 * seq 0 = none. region.v = 0 looks at all. */
struct td_dot td_lacking(const struct td_core *core, const struct td_vv *vv,
                         struct td_region region);

/* The fold that a region's newest head names of itself; 0 = none. */
uint32_t td_fold_told(const struct td_region_info *region);

/* transfer.c, transfer_send.c */
void td_transfer_chunk(struct td_core *core, uint32_t link, const struct td_event *event);
void td_transfer_end(struct td_core *core, uint32_t link, const struct td_msg *msg);
void td_transfer_no(struct td_core *core, uint32_t link, uint32_t id);
void td_transfer_asked(struct td_core *core, uint32_t link, const struct td_msg *msg);
/* Sends WANT_ALL when it is due on this link. */
bool td_transfer_pump_want(struct td_core *core, uint32_t link);

/* repair.c, bucket.c */
void td_repair_frame(struct td_core *core, uint32_t link, const struct td_event *event);
void td_repair_link_down(struct td_core *core, uint32_t link);
bool td_repair_pump_link(struct td_core *core, uint32_t link);

enum { TD_SCAN_SLICE = 32768 }; /* registers or slots looked at in one step */

/* The smallest TD_BUCKET_ENTRIES_MAX register hashes of one bucket from `from` to `to`, gathered
 * over many steps. */
struct td_bucket_scan {
    bool active, done, more; /* more: some were left out at the upper end */
    uint32_t link;
    uint16_t bucket;
    uint64_t from, to;
    uint32_t position; /* next register to look at */
    uint32_t count;
    struct td_register_id
        entries[TD_BUCKET_ENTRIES_MAX]; /* heap while active, ascending when done */
};
/* Dots a peer asked for, served in arrival order. */
struct td_fetch_job {
    bool active;
    uint32_t link;
    uint32_t slot; /* next batch slot to look at */
    uint32_t count;
    struct td_dot dots[TD_FETCH_MAX]; /* ascending */
};
void td_scan_begin(struct td_bucket_scan *scan, uint32_t link, uint16_t bucket, uint64_t from,
                   uint64_t to);
void td_scan_slice(struct td_core *core, struct td_bucket_scan *scan);
void td_fetch_begin(struct td_core *core, struct td_fetch_job *job, uint32_t link,
                    const struct td_dot *dots, uint32_t count);
void td_fetch_slice(struct td_core *core, struct td_fetch_job *job);
void td_repair_slot_freed(struct td_core *core, uint32_t slot);
/* Compares a region's signed digest with ours, where no link of its own lets the rounds do it. */
void td_repair_head(struct td_core *core, uint8_t region_slot);
struct td_hash td_digest_sum(const struct td_core *core);

/* heads.c, head_own.c, recover.c */
void td_heads_proof(struct td_core *core, uint32_t link, const struct td_event *event);
void td_heads_ask_of(struct td_core *core, struct td_region region, uint32_t link);
void td_equivocation(struct td_core *core, uint8_t region_slot);
void td_recover_head(struct td_core *core, const struct td_head *head);
void td_recover_check(struct td_core *core);
/* Writes down whether we are recovering, when the log does not say so yet. */
void td_recover_log(struct td_core *core);
bool td_recover_settled(struct td_core *core, bool *ret_unsigned);
/* Another process of our region seems to use this incarnation still. */
/* Of somebody else's earlier life: what we lack of it was in nobody's hands for a while (fresh.c). */
bool td_inc_given_up(const struct td_core *core, const struct td_inc *inc);
/* Somebody names of us what we have no signature of ours for: we vouch for nothing just now. */
bool td_recover_doubtful(const struct td_core *core);
bool td_recover_alive(const struct td_core *core, struct td_incarnation incarnation);
/* First start number of this region that the vector does not fold; 0 = it names no fold. */
uint32_t td_vv_fold_below(const struct td_vv *vv, struct td_region region);
/* This member folds lives of ours that we know nothing of, and has not yet handed all it has to us. */
bool td_recover_fold_lacking(const struct td_core *core, const struct td_region_info *member,
                             const struct td_vv *has);
bool td_head_held(const struct td_core *core, uint8_t region_slot);
/* Length of the interval between our heads. */
uint64_t td_head_interval_ms(const struct td_core *core);

/* fresh.c, cut.c */
void td_fresh_head(struct td_core *core, uint8_t region_slot, const struct td_head *head);
void td_fresh_clocks(struct td_core *core);
void td_fresh_tick(struct td_core *core);
void td_cut_covered(struct td_core *core); /* notes heads whose own part we cover by now */
void td_cut_tick(struct td_core *core);    /* fencing, folding */
bool td_cut_counted(const struct td_core *core, uint8_t region_slot);

#endif
