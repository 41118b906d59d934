/* order.c -- the total order of registers, field by field, and the words for states and rules. */
#include "proto/order.h"

#include <string.h>

#include "proto/assert.h"

static const char *const state_names[TD_STATE_COUNT] = {
    "pending", "starting", "running", "stopping", "lost", "completed", "failed", "stopped",
};
static const char *const rule_names[TD_RULE_COUNT] = {
    "attempt", "finality", "stamp", "origin", "hash",
};

uint8_t td_state_rank(enum td_state state)
{
    TD_ASSERT((unsigned)state < TD_STATE_COUNT);
    if (state == TD_STATE_LOST) {
        return 1;
    }
    return state > TD_STATE_LOST ? 2 : 0;
}

bool td_state_is_final(enum td_state state)
{
    return td_state_rank(state) == 2;
}

const char *td_state_name(enum td_state state)
{
    return (unsigned)state < TD_STATE_COUNT ? state_names[state] : "?";
}

bool td_state_parse(struct td_text text, enum td_state *ret_state)
{
    for (unsigned i = 0; i < TD_STATE_COUNT; i++) {
        if (text.count != 0 && strlen(state_names[i]) == text.count &&
            memcmp(state_names[i], text.bytes, text.count) == 0) {
            *ret_state = (enum td_state)i;
            return true;
        }
    }
    return false;
}

static int compare_u64(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

int td_stamp_compare(struct td_stamp a, struct td_stamp b)
{
    int by_ms = compare_u64(a.ms, b.ms);
    return by_ms != 0 ? by_ms : compare_u64(a.counter, b.counter);
}

int td_incarnation_compare(struct td_incarnation a, struct td_incarnation b)
{
    int by_start = compare_u64(a.start, b.start);
    return by_start != 0 ? by_start : compare_u64(a.random, b.random);
}

int td_origin_compare(struct td_origin a, struct td_origin b)
{
    int by_region = compare_u64(a.region.v, b.region.v);
    return by_region != 0 ? by_region : td_incarnation_compare(a.incarnation, b.incarnation);
}

int td_dot_compare(struct td_dot a, struct td_dot b)
{
    int by_origin = td_origin_compare(a.origin, b.origin);
    return by_origin != 0 ? by_origin : compare_u64(a.seq, b.seq);
}

/* PROTOCOL "Order": rank, stamp, region, incarnation, seq, hash, in this order. Must be total, or
 * replicas that merge in different orders end up different. */
int td_order_compare(const struct td_order *a, const struct td_order *b)
{
    int by_rank = compare_u64(a->rank, b->rank);
    if (by_rank != 0) {
        return by_rank;
    }
    int by_stamp = td_stamp_compare(a->stamp, b->stamp);
    if (by_stamp != 0) {
        return by_stamp;
    }
    int by_dot = td_dot_compare(a->dot, b->dot);
    if (by_dot != 0) {
        return by_dot;
    }
    return memcmp(a->hash.bytes, b->hash.bytes, sizeof a->hash.bytes);
}

enum td_rule td_order_rule(const struct td_order *winner, const struct td_order *loser)
{
    if (winner->rank != loser->rank) {
        return TD_RULE_FINALITY;
    }
    if (td_stamp_compare(winner->stamp, loser->stamp) != 0) {
        return TD_RULE_STAMP;
    }
    if (td_dot_compare(winner->dot, loser->dot) != 0) {
        return TD_RULE_ORIGIN;
    }
    return TD_RULE_HASH;
}

const char *td_rule_name(enum td_rule rule)
{
    return (unsigned)rule < TD_RULE_COUNT ? rule_names[rule] : "?";
}

struct td_stamp td_stamp_next(struct td_stamp floor, uint64_t wall_ms)
{
    struct td_stamp next = {wall_ms, 0};
    if (wall_ms > floor.ms) {
        return next;
    }
    next.ms = floor.ms;
    next.counter = floor.counter + 1;
    if (next.counter == 0) { /* the counter is used up: borrow a millisecond from the future */
        next.ms++;
    }
    return next;
}

/* A function of job and attempt that is the same everywhere: it chooses digest buckets. */
uint64_t td_register_hash(uint64_t job_hash, uint16_t attempt)
{
    uint64_t mixed = job_hash ^ attempt * UINT64_C(0x9e3779b97f4a7c15);
    mixed = (mixed ^ mixed >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ mixed >> 27) * UINT64_C(0x94d049bb133111eb);
    mixed ^= mixed >> 31;
    return mixed != 0 ? mixed : 1;
}
