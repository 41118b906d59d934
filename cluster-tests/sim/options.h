/* options.h -- everything about one simulated world, drawn from its seed (swarm testing: each seed
 * has another mix of faults) and printed, so that a failure can be told and made smaller. */
#ifndef TD_SIM_OPTIONS_H
#define TD_SIM_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum sim_fault {
    SIM_FAULT_CUT,     /* both directions between two groups: islands, rings, bridges, pairs */
    SIM_FAULT_CUT_ONE, /* one direction of one pair */
    SIM_FAULT_SLOW,    /* a path gets slow and narrow */
    SIM_FAULT_BREAK,   /* connections end, the path is fine */
    SIM_FAULT_KILL,    /* kill -9: what was written stays, peers get a reset */
    SIM_FAULT_POWER,   /* power loss, also in the middle of a write: unsynced bytes lost or torn */
    SIM_FAULT_PAUSE,   /* the process stands still for a while */
    SIM_FAULT_DISK_FULL, /* writes refused for a while */
    SIM_FAULT_DISK_FAIL, /* writes and flushes fail for a while */
    SIM_FAULT_DISK_SLOW,
    SIM_FAULT_DISK_LOST, /* comes back with an empty disk */
    SIM_FAULT_BACKUP,    /* comes back with an old snapshot of its disk */
    SIM_FAULT_BIT_FLIP,  /* a byte of a segment rots while the node is down */
    SIM_FAULT_CLONE,     /* a second process with the same key and a copy of the disk */
    SIM_FAULT_CLOCK,     /* the wall clock jumps: seconds to years, both ways */
    SIM_FAULT_TAMPER,    /* a member alters a bit of a batch or head that it passes on */
    /* Later kinds: worlds without any of them are what they were before these existed. */
    SIM_FAULT_SHAPE, /* cuts of any shape: islands, two halves with a bridge, a star, a sparse graph
                      */
    SIM_FAULT_HALF_OPEN, /* one side forgets a connection that the other goes on believing in */
    SIM_FAULT_REORDER,   /* paths differ wildly in delay: what left first by one arrives last */
    SIM_FAULT_DUPLICATE, /* heads and batches arrive a second time, over somebody else's link */
    SIM_FAULT_DRIFT,     /* a wall clock runs fast or slow */
    SIM_FAULT_FREEZE,    /* a wall clock stands still */
    SIM_FAULT_MEMORY,    /* no memory to decode or encode a frame */
    /* Not drawn with the others: once in a world, by a generator of its own (leave.c). */
    SIM_FAULT_LEAVE, /* a region is closed, or revoked, in two rosters */
    SIM_FAULT_COUNT
};
enum { SIM_FAULT_FIRST_COUNT = SIM_FAULT_SHAPE, SIM_FAULT_DRAWN_COUNT = SIM_FAULT_LEAVE };
/* Those after which something may be lost for good, or be said twice. */
#define SIM_FAULTS_RUINOUS                                                                         \
    (1u << SIM_FAULT_DISK_LOST | 1u << SIM_FAULT_BACKUP | 1u << SIM_FAULT_BIT_FLIP |               \
     1u << SIM_FAULT_CLONE)
const char *sim_fault_name(enum sim_fault fault);

/* What the bad member of a world does, if there is one. It has a valid key and runs the real core;
 * these tricks stand between that core and its links (byz.c). */
enum sim_trick {
    SIM_TRICK_HAS_LIES,  /* vectors in heads, announcements and claims name up to 2^53-1 */
    SIM_TRICK_ECHO_LIES, /* echo tables with ticks nobody signed, or older than what it knows */
    SIM_TRICK_OVERCLAIM, /* the claim of a transfer names whatever anybody signed */
    SIM_TRICK_WITHHOLD_TRANSFER, /* leaves live finals out of transfers and repairs, claims them all
                                    the same */
    SIM_TRICK_WITHHOLD_LIVE,     /* leaves batches out of the live lane */
    SIM_TRICK_EQUIVOCATE, /* two different batches for the same seqs, each to half of the members */
    SIM_TRICK_TWO_HEADS,  /* two different heads of one number, each to half of the members */
    SIM_TRICK_REPLAY,     /* sends old heads and batches again, of everybody */
    SIM_TRICK_FOREIGN,    /* batches and heads of another cluster, batches in others' names */
    SIM_TRICK_CLOSED, /* goes on under incarnations that it has closed; closes what it still uses */
    SIM_TRICK_STAMPS, /* reports of the last stamp there is, and of 1970 */
    SIM_TRICK_FAR_SEQ, /* batches far ahead, up to the last seq there is */
    SIM_TRICK_COUNT
};
/* After these a node's vector may cover what it was never sent, until repair finds it (INVARIANTS,
 * I1): claims beyond what is sent, and reports of its own that beat others' at some and are void or
 * another word elsewhere. What is acknowledged by honest regions is then judged when all is
 * settled. */
#define SIM_TRICKS_HIDING                                                                          \
    (1u << SIM_TRICK_WITHHOLD_TRANSFER | 1u << SIM_TRICK_OVERCLAIM | 1u << SIM_TRICK_HAS_LIES |    \
     1u << SIM_TRICK_EQUIVOCATE | 1u << SIM_TRICK_CLOSED | 1u << SIM_TRICK_STAMPS |                \
     1u << SIM_TRICK_FAR_SEQ)
const char *sim_trick_name(enum sim_trick trick);

struct sim_options {
    uint64_t seed;
    uint32_t regions;
    uint32_t fault_ms;  /* length of the phase with faults */
    uint32_t settle_ms; /* bound of the phase without: then all must be equal */
    uint32_t delay_ms_min, delay_ms_max, jitter_ms;
    uint32_t flush_ms_min, flush_ms_max;
    uint32_t workers_per_region;
    uint32_t gap_ms;      /* mean pause of a worker between two reports */
    uint32_t jobs;        /* job names; few = hot */
    uint32_t reports_max; /* handed in by workers before they stop; 0 = no end */
    uint32_t ring_batches;
    uint32_t live_updates_max; /* more, mostly beaten, goes through a transfer; 0 = never, unless given */
    uint32_t segment_bytes;
    uint32_t compact_ms; /* how often the log hears what is needed of it; 0 = it is never compacted */
    uint32_t ack_percent; /* reports that ask for one other region */
    uint32_t absence_s; /* the roster's max_absence: who is away longer holds nothing up any more */
    uint32_t forged_percent; /* meddlers' reports that carry a token of the year 2099 */
    uint32_t fault_gap_ms;   /* mean time between two faults */
    uint32_t faults_max;
    uint32_t lives;        /* 0 = the plain life, and none of the next six */
    uint32_t skew;         /* 0 = all jobs alike, 1 to 3 = a few are hot */
    uint32_t children;     /* jobs of a workflow beside its parent */
    uint32_t rivals;       /* percent of jobs taken that somebody else works on */
    uint32_t retries;      /* percent of failed attempts tried again at once */
    uint32_t silent;       /* percent of lives that end without a word */
    uint32_t burst_gap_ms; /* all workers hurry once in so long; 0 = never */
    bool steady;           /* a scenario: no dice where its trace would only show noise */
    const char *trace;     /* file whose jobs are replayed; NULL = none; borrowed */
    uint32_t wire;         /* 1 = real bytes through the real channel, real signatures */
    uint32_t faults;       /* bit per enum sim_fault; 0 = the healthy case */
    uint32_t bad_region;   /* the bad member; 0 = none */
    uint32_t byz;          /* bit per enum sim_trick */
};

/* Draws every option from the seed. */
struct sim_options sim_options_draw(uint64_t seed);
void sim_options_print(const struct sim_options *options, FILE *file);
/* name=value; faults=kill,cut or none; byz=equivocate or none; without=ruin. False when it cannot
 * be read. */
bool sim_options_set(struct sim_options *options, const char *text);

#endif
