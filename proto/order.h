/* order.h -- the one total order of registers (PROTOCOL, "Order"): rank, stamp, region, incarnation,
 * seq, hash. Every replica merges by it and by nothing else, or replicas that merge in different
 * orders end up different. Pure; compares plain values. */
#ifndef TD_PROTO_ORDER_H
#define TD_PROTO_ORDER_H

#include "proto/types.h"

/* 0 = may still change, 1 = lost (an observer's verdict), 2 = final. */
uint8_t td_state_rank(enum td_state state);
bool td_state_is_final(enum td_state state);
/* Lower-case word; "?" for a value outside the enum. */
const char *td_state_name(enum td_state state);
/* False when the text is not a state's name. */
TD_MUST_USE bool td_state_parse(struct td_text text, enum td_state *ret_state);

struct td_order {
    uint8_t rank;
    struct td_stamp stamp;
    struct td_dot dot;
    struct td_hash hash; /* the leaf hash; decides only after a proven equivocation */
};

/* <0, 0, >0 as a is before, equal to, after b. */
int td_stamp_compare(struct td_stamp a, struct td_stamp b);
int td_incarnation_compare(struct td_incarnation a, struct td_incarnation b);
int td_origin_compare(struct td_origin a, struct td_origin b);
int td_dot_compare(struct td_dot a, struct td_dot b);
int td_order_compare(const struct td_order *a, const struct td_order *b);

/* The first field in which the two differ; names the rule in `explain` and in the conflict metric. */
enum td_rule { TD_RULE_ATTEMPT, TD_RULE_FINALITY, TD_RULE_STAMP, TD_RULE_ORIGIN, TD_RULE_HASH, TD_RULE_COUNT };
enum td_rule td_order_rule(const struct td_order *winner, const struct td_order *loser);
const char *td_rule_name(enum td_rule rule);

/* The hybrid logical clock's rule for a new report: greater than floor, not before wall_ms. */
struct td_stamp td_stamp_next(struct td_stamp floor, uint64_t wall_ms);

/* Job hash mixed with the attempt: names a register in digests and tokens. */
uint64_t td_register_hash(uint64_t job_hash, uint16_t attempt);

#endif
