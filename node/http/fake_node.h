/* fake_node.h -- for tests: the node behind the gateway's seats. It answers on the asking thread,
 * on another one, twice, under a wrong number, or not at all. */
#ifndef TD_HTTP_FAKE_NODE_H
#define TD_HTTP_FAKE_NODE_H

#include "node/http/http.h"
#include "node/http/seats.h"

enum td_fake_manner {
    TD_FAKE_AT_ONCE,  /* before the asking returns */
    TD_FAKE_LATER,    /* from a thread of its own */
    TD_FAKE_TWICE,    /* the second one is nobody's */
    TD_FAKE_WRONG_ID, /* to a number that nobody waits for */
    TD_FAKE_GARBAGE,  /* bytes that are no answer */
    TD_FAKE_SILENT,
};

struct td_fake_node {
    enum td_fake_manner manner;
    struct td_response answer; /* id and op are set for each request */
    struct td_seats *seats;
    struct td_http_ops ops;
    unsigned asked, cancelled;
    struct td_request last; /* without its texts */
    uint32_t last_link;
};

/* Makes the seats that it answers to. False when out of memory. */
bool td_fake_node_open(struct td_fake_node *fake, struct td_seats *seats, uint32_t seat_count);
void td_fake_node_close(struct td_fake_node *fake);

#endif
