/* order.h -- what the harness tells the preloaded library of a running node, through a pipe. */
#ifndef TD_POWER_ORDER_H
#define TD_POWER_ORDER_H

#include <stdint.h>

enum { POWER_CUT_NOW = 1, POWER_CUT_AFTER, POWER_FAIL_PERMILLE };

struct power_order {
    uint64_t what;
    uint64_t number; /* CUT_AFTER: calls from now on; FAIL_PERMILLE: so many of 1000 calls fail */
};

#endif
