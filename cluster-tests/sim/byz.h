/* byz.h -- shared by byz.c (which of its words the bad member changes, and when it speaks unasked)
 * and byz_forge.c (how they are changed, signed and built). */
#ifndef TD_SIM_BYZ_H
#define TD_SIM_BYZ_H

#include "cluster-tests/sim/sim.h"

enum { SIM_BYZ_KEPT = 64 };

struct sim_byz {
    struct sim_random random;
    struct sim_frame *kept[SIM_BYZ_KEPT]; /* heads and batches that went by, for replays */
    uint32_t kept_next;
    struct td_incarnation forged; /* an incarnation that its own core knows nothing of */
    uint64_t forged_seq;
    struct td_vv_entry entries[TD_VV_ENTRIES_MAX];
    struct td_tick echo[TD_ECHO_ENTRIES_MAX];
    struct td_closing closings[TD_CLOSINGS_MAX];
    uint8_t *scratch;
    size_t scratch_bytes;
    void *arena;
    size_t arena_bytes;
    uint32_t far_count;
    uint64_t changed, withheld, forged_count;
};

static inline bool sim_byz_does(const struct sim_world *world, enum sim_trick trick)
{
    return (world->options.byz >> trick & 1) != 0;
}

struct sim_frame *sim_byz_make_frame(uint8_t type, const void *bytes, size_t count);

/* ---- byz_forge.c ---- */
/* The same vector with other numbers; its entries lie in byz->entries. */
struct td_vv sim_byz_lie(struct sim_world *world, const struct td_vv *vv, bool only_signed);
/* The same message with a vector changed; NULL = has none, unchanged. */
struct sim_frame *sim_byz_lie_msg(struct sim_world *world, const struct sim_frame *frame);
/* Another batch for the same seqs; NULL = cannot be made of this one. */
struct sim_frame *sim_byz_fork_batch(struct sim_world *world, const struct sim_frame *frame);
struct sim_frame *sim_byz_fork_head(struct sim_world *world, const struct sim_frame *frame);
/* The chunk without some of its batches; NULL = nothing to leave out. */
struct sim_frame *sim_byz_thin_chunk(struct sim_world *world, const struct sim_frame *frame);
/* Whether this batch is one of those it withholds: always the same ones. */
bool sim_byz_withholds(struct sim_world *world, struct td_bytes raw, bool finals_only);
/* Origin region of a batch's bytes; 0 = cannot be read. */
uint8_t sim_byz_region_of(struct sim_world *world, struct td_bytes raw);
/* One forged report as a LIVE frame, by one of the tricks that forge; NULL = none is on. */
struct sim_frame *sim_byz_forge(struct sim_world *world);

#endif
