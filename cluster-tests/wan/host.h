/* host.h -- one host of the WAN: a network namespace with lo and one TUN device, whose other end
 * the router holds. The namespace lives as long as the router or a process inside it; nothing of it
 * is left in the file system. */
#ifndef TD_WAN_HOST_H
#define TD_WAN_HOST_H

#include <stdint.h>

enum { WAN_HOSTS_MAX = 16 };

struct wan_host {
    const char *name;
    int tun_fd;       /* non-blocking, one IP packet a read or write */
    int namespace_fd; /* for nsenter --net=/proc/PID/fd/N */
    uint32_t address; /* host byte order */
};

/* Call once, before the first host: without root it enters a user namespace of its own.
 * 0, or -1 with errno and the step that failed. */
int wan_host_prepare(const char **ret_step);
/* The calling thread ends up in the new host's namespace. */
int wan_host_create(struct wan_host *host, const char *name, unsigned index, const char **ret_step);

#endif
