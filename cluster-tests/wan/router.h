/* router.h -- hosts joined by a full mesh of modelled links, moved by one thread. */
#ifndef TD_WAN_ROUTER_H
#define TD_WAN_ROUTER_H

#include <stdint.h>

/* Creates the hosts and forwards between them until SIGTERM or SIGINT. Commands come as datagrams
 * to the Unix socket at socket_path, which exists once all hosts do. Returns an exit status;
 * EX_NOPERM (77) where this machine does not allow namespaces or TUN devices. */
int wan_router_run(const char *socket_path, uint64_t seed, char *const *names, unsigned count);

#endif
