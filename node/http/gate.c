/* gate.c -- see gate.h. The same thread ends what is overdue. */
#include "node/http/gate.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BACKLOG = 512, REAP_MS = 200 };

union address {
    struct sockaddr any;
    struct sockaddr_in four;
    struct sockaddr_in6 six;
};

static bool parse(const char *text, union address *address, socklen_t *ret_bytes,
                  bool *ret_loopback)
{
    char host[64];
    const char *colon = strrchr(text, ':');
    char *end = NULL;
    unsigned long port = colon != NULL ? strtoul(colon + 1, &end, 10) : 0;
    size_t count = colon != NULL ? (size_t)(colon - text) : 0;
    bool bracketed = count > 2 && text[0] == '[' && text[count - 1] == ']';
    if (count == 0 || count >= sizeof host || port == 0 || port > 65535 || *end != '\0') {
        return false;
    }
    memset(address, 0, sizeof *address);
    memcpy(host, text + bracketed, count - (bracketed ? 2 : 0));
    host[count - (bracketed ? 2 : 0)] = '\0';
    if (bracketed) {
        address->six.sin6_family = AF_INET6;
        address->six.sin6_port = htons((uint16_t)port);
        *ret_bytes = sizeof address->six;
        bool valid = inet_pton(AF_INET6, host, &address->six.sin6_addr) == 1;
        *ret_loopback = IN6_IS_ADDR_LOOPBACK(&address->six.sin6_addr);
        return valid;
    }
    address->four.sin_family = AF_INET;
    address->four.sin_port = htons((uint16_t)port);
    *ret_bytes = sizeof address->four;
    bool valid = inet_pton(AF_INET, host, &address->four.sin_addr) == 1;
    *ret_loopback = ntohl(address->four.sin_addr.s_addr) >> 24 == 127;
    return valid;
}

enum td_err td_gate_open(struct td_gate *gate, const char *address, bool bind_it, char *ret_why,
                         size_t why_bytes)
{
    union address to;
    socklen_t bytes = 0;
    int yes = 1;
    gate->fd = -1;
    if (!parse(address, &to, &bytes, &gate->loopback)) {
        (void)snprintf(ret_why, why_bytes, "listen.http: \"%s\" is not ADDRESS:PORT", address);
        return TD_ECONFIG;
    }
    if (!bind_it) {
        return TD_OK;
    }
    int fd = socket(to.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool good = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) == 0 &&
                (to.any.sa_family == AF_INET ||
                 setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof yes) == 0) &&
                bind(fd, &to.any, bytes) == 0 && listen(fd, BACKLOG) == 0;
    if (!good) {
        (void)snprintf(ret_why, why_bytes, "listen.http: cannot listen on %s: %s", address,
                       strerror(errno));
        if (fd >= 0) {
            close(fd);
        }
        return TD_EIO;
    }
    gate->fd = fd;
    return TD_OK;
}

static void let_in(struct td_gate *gate)
{
    struct sockaddr_storage from;
    socklen_t bytes = sizeof from;
    int fd = accept4(gate->fd, (struct sockaddr *)&from, &bytes, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) {
        if (errno != EAGAIN && errno != ECONNABORTED) {
            td_guard_pause(gate->guard, REAP_MS); /* out of descriptors: until one is closed */
        }
        return;
    }
    struct td_place *place = td_guard_open(gate->guard, fd, (struct sockaddr *)&from);
    if (place == NULL) {
        close(fd);
    } else if (MHD_add_connection(gate->daemon, fd, (struct sockaddr *)&from, bytes) != MHD_YES) {
        td_guard_close(gate->guard, place); /* it has closed the socket */
    }
}

static void *run(void *self)
{
    struct td_gate *gate = self;
    while (!__atomic_load_n(&gate->stopping, __ATOMIC_ACQUIRE)) {
        struct pollfd waiting = {.fd = gate->fd, .events = POLLIN};
        td_guard_reap(gate->guard);
        if (td_guard_has_room(gate->guard, REAP_MS) && poll(&waiting, 1, REAP_MS) > 0) {
            let_in(gate);
        }
    }
    return NULL;
}

bool td_gate_start(struct td_gate *gate)
{
    gate->running = pthread_create(&gate->thread, NULL, run, gate) == 0;
    return gate->running;
}

void td_gate_stop(struct td_gate *gate)
{
    __atomic_store_n(&gate->stopping, true, __ATOMIC_RELEASE);
    if (gate->running) {
        pthread_join(gate->thread, NULL);
        gate->running = false;
    }
    if (gate->fd >= 0) {
        close(gate->fd);
        gate->fd = -1;
    }
}
