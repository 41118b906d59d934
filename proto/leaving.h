/* leaving.h -- the complete list with which a roster closes a region, or retires a region's old
 * keys, made of what the members' heads with the roster version that began it say they have
 * (TD_OP_MEMBERS). Pure: the command line, and whoever simulates it, decide the same. */
#ifndef TD_PROTO_LEAVING_H
#define TD_PROTO_LEAVING_H

#include "proto/client_msg.h"
#include "proto/roster.h"

struct td_leaving_ask {
    const struct td_roster *roster; /* in force: it closes the region, or replaced its key */
    struct td_region region;
    uint16_t keys_below; /* 0 = the whole region leaves; else only what older keys signed */
    bool
        given_up[TD_REGION_NUMBER_MAX + 1]; /* if it spoke, as far as the node asked has that too */
};

enum td_leaving_state {
    TD_LEAVING_SPOKE = 1,  /* its head names this roster version, or a later one */
    TD_LEAVING_WAITED_FOR, /* it has to, and did not yet */
    TD_LEAVING_GIVEN_UP,   /* --without */
    TD_LEAVING_NOT_ASKED,  /* a revoked region's word counts nothing */
};
struct td_leaving_member {
    struct td_region region;
    enum td_leaving_state state;
    bool heard;
    uint64_t heard_age_ms;
    uint64_t roster_version;
    uint64_t alone; /* given up or not asked: updates of the region that only it is known to have */
};

struct td_leaving_plan {
    uint32_t member_count;
    struct td_leaving_member members[TD_REGIONS_MAX];
    uint32_t waiting; /* members that are waited for */
    uint32_t unknown; /* incarnations of which members name more than the node asked has, or whose
                       * key it does not know yet: a list is made only of what it has itself */
    uint64_t behind;  /* updates that only the leaving region itself has, by its word: they are
                       * still to be taken from it, for its links end with the list */
    uint32_t listed_count;
    struct td_closing listed[TD_CLOSED_LIST_MAX]; /* ascending */
    uint64_t listed_updates;                      /* sum of their last seqs, folded ones included */
    uint64_t lost; /* signed by the region, as far as known, and held by no member that spoke */
};

/* Nobody and nothing is waited for any more. */
bool td_leaving_ready(const struct td_leaving_plan *plan);
/* Large: not on the stack of a small thread. TD_ETOOBIG when the list does not fit. */
TD_MUST_USE enum td_err td_leaving_plan(const struct td_leaving_ask *ask,
                                        const struct td_response *members,
                                        struct td_leaving_plan *ret_plan);

#endif
