/* parse.h -- the router's command lines:
 *   set A B [delay=40ms|rtt=80ms] [jitter=2ms] [loss=0.1%] [dup=1%] [reorder=1%] [late=5ms]
 *           [rate=10mbit|none] [queue=256] [one-way]
 *   cut A B [one-way]      heal [A B [one-way]]      seed N      hosts      stats
 * A and B are hosts; "*" is every host. Without one-way both directions are meant. What a set does
 * not name stays. rtt is twice the delay. */
#ifndef TD_WAN_PARSE_H
#define TD_WAN_PARSE_H

#include <stdbool.h>
#include <stdint.h>

#include "cluster-tests/wan/link.h"

enum { WAN_NAME_MAX = 31, WAN_LINE_MAX = 500, WAN_DELAY_US_MAX = 60 * 1000 * 1000 };

enum wan_verb { WAN_SET = 1, WAN_CUT, WAN_HEAL, WAN_SEED, WAN_HOSTS, WAN_STATS };

struct wan_change {
    struct wan_shape shape;
    bool delay, jitter, late, loss, dup, reorder, rate, queue; /* which parts of shape are meant */
};

struct wan_command {
    enum wan_verb verb;
    char from[WAN_NAME_MAX + 1], to[WAN_NAME_MAX + 1];
    bool one_way;
    struct wan_change change;
    uint64_t seed;
};

/* NULL, or what is wrong with the line; ret_command is written only on success. */
const char *wan_parse(const char *line, struct wan_command *ret_command);
void wan_change_apply(const struct wan_change *change, struct wan_shape *shape);
/* Letters, digits and '-', at most WAN_NAME_MAX. */
bool wan_name_valid(const char *name);

#endif
