/* gate.h -- the listening socket and the thread that lets connections in: one at a time, and only
 * when there is a place. libmicrohttpd's own listener accepts beyond its limit and closes at once;
 * behind ours the kernel keeps a client waiting until one that only sits there has given way. */
#ifndef TD_HTTP_GATE_H
#define TD_HTTP_GATE_H

#include <microhttpd.h>
#include <pthread.h>

#include "node/http/guard.h"
#include "proto/err.h"
#include "proto/types.h"

struct td_gate {
    struct td_guard *guard;
    struct MHD_Daemon *daemon; /* set before start */
    int fd;                    /* listening; -1 = none */
    bool stopping;             /* atomic */
    bool running;
    bool loopback; /* the address is */
    pthread_t thread;
};

/* Binds ADDRESS:PORT or [ADDRESS]:PORT, numbers only: what is bound must not depend on a name
 * service. TD_ECONFIG when it is not one, TD_EIO when it cannot be bound; ret_why gets one
 * sentence. bind_it false only looks at the text. */
TD_MUST_USE enum td_err td_gate_open(struct td_gate *gate, const char *address, bool bind_it,
                                     char *ret_why, size_t why_bytes);
TD_MUST_USE bool td_gate_start(struct td_gate *gate);
void td_gate_stop(struct td_gate *gate);

#endif
