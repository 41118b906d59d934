/* control.h -- what a command line does to the links, and what is answered. */
#ifndef TD_WAN_CONTROL_H
#define TD_WAN_CONTROL_H

#include <stddef.h>

#include "cluster-tests/wan/host.h"
#include "cluster-tests/wan/link.h"

struct wan_mesh {
    struct wan_host hosts[WAN_HOSTS_MAX];
    struct wan_link links[WAN_HOSTS_MAX][WAN_HOSTS_MAX]; /* [from][to] */
    unsigned host_count;
    uint64_t foreign_drops; /* no IPv4, or to nobody here */
    uint64_t unread_drops;  /* refused by the host's device */
};

void wan_mesh_seed(struct wan_mesh *mesh, uint64_t seed);
/* Performs one line; reply is text that ends with a line "ok" or "error: ...". */
void wan_control(struct wan_mesh *mesh, const char *line, char *reply, size_t reply_size);

#endif
