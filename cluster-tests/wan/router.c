/* router.c -- moves packets: from a host's TUN device through the model of its link into one heap,
 * and when they are due into the device of the other host. One thread: epoll over the devices, a
 * timer for the packet due next, and the control socket. See router.h. */
#include "cluster-tests/wan/router.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "cluster-tests/wan/control.h"
#include "cluster-tests/wan/heap.h"
#include "cluster-tests/wan/parse.h"

enum {
    PACKETS_MAX = 65536, /* under way at one time: about 100 MB when all are full */
    REPLY_MAX = 98304,   /* stats of the largest mesh */
    BURST = 64,          /* packets of one host before the others and the timer get their turn */
    IPV4_HEADER = 20,
    EVENT_TIMER = WAN_HOSTS_MAX,
    EVENT_CONTROL,
    EVENT_SIGNAL,
};

struct router {
    struct wan_mesh mesh;
    struct wan_heap heap;
    int epoll_fd, timer_fd, control_fd, signal_fd;
    uint64_t armed_us; /* what the timer waits for; 0 = nothing */
};

static uint64_t now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void arm(struct router *router)
{
    const struct wan_packet *first = wan_heap_first(&router->heap);
    uint64_t due_us = first == NULL ? 0 : first->due_us;

    if (due_us == router->armed_us) {
        return;
    }
    struct itimerspec when = {
        .it_value = {(time_t)(due_us / 1000000), (long)(due_us % 1000000) * 1000}};
    timerfd_settime(router->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
    router->armed_us = due_us;
}

/* The host an IPv4 packet is for; host_count when it is for nobody here. */
static unsigned target_of(const struct wan_mesh *mesh, const unsigned char *bytes, size_t size)
{
    if (size < IPV4_HEADER || bytes[0] >> 4 != 4) {
        return mesh->host_count;
    }
    uint32_t address = (uint32_t)bytes[16] << 24 | (uint32_t)bytes[17] << 16 |
                       (uint32_t)bytes[18] << 8 | bytes[19];
    uint32_t index = address - mesh->hosts[0].address;
    return index < mesh->host_count ? index : mesh->host_count;
}

static void send_on_its_way(struct router *router, unsigned from, unsigned to, uint64_t due_us,
                            const unsigned char *bytes, size_t size)
{
    struct wan_link *link = &router->mesh.links[from][to];
    struct wan_packet *packet = malloc(sizeof *packet + size);

    if (packet != NULL) {
        packet->due_us = due_us;
        packet->cuts = link->cuts;
        packet->from = (uint16_t)from;
        packet->to = (uint16_t)to;
        packet->size = (uint16_t)size;
        memcpy(packet->bytes, bytes, size);
    }
    if (packet == NULL || !wan_heap_push(&router->heap, packet)) {
        link->counts.memory_drops++;
        free(packet);
    }
}

static void read_host(struct router *router, unsigned from)
{
    struct wan_mesh *mesh = &router->mesh;
    unsigned char bytes[WAN_MTU];

    for (int i = 0; i < BURST; i++) {
        ssize_t size = read(mesh->hosts[from].tun_fd, bytes, sizeof bytes);
        if (size <= 0) {
            return;
        }
        unsigned to = target_of(mesh, bytes, (size_t)size);
        if (to == mesh->host_count || to == from) {
            mesh->foreign_drops++;
            continue;
        }
        uint64_t due_us[2];
        unsigned copies = wan_link_offer(&mesh->links[from][to], now_us(), (size_t)size, due_us);
        for (unsigned copy = 0; copy < copies; copy++) {
            send_on_its_way(router, from, to, due_us[copy], bytes, (size_t)size);
        }
    }
}

static void deliver_due(struct router *router)
{
    struct wan_mesh *mesh = &router->mesh;
    const struct wan_packet *first;
    uint64_t now = now_us();

    while ((first = wan_heap_first(&router->heap)) != NULL && first->due_us <= now) {
        struct wan_packet *packet = wan_heap_pop(&router->heap);
        struct wan_link *link = &mesh->links[packet->from][packet->to];
        if (link->cut || packet->cuts != link->cuts) {
            link->counts.cut_drops++;
        } else if (write(mesh->hosts[packet->to].tun_fd, packet->bytes, packet->size) < 0) {
            mesh->unread_drops++;
        } else {
            link->counts.passed++;
            link->counts.bytes += packet->size;
        }
        free(packet);
    }
}

static void answer_control(struct router *router)
{
    static char reply[REPLY_MAX];
    char line[WAN_LINE_MAX + 2];
    struct sockaddr_un client;
    socklen_t client_size = sizeof client;

    ssize_t size = recvfrom(router->control_fd, line, sizeof line - 1, 0,
                            (struct sockaddr *)&client, &client_size);
    if (size < 0) {
        return;
    }
    line[size] = '\0';
    wan_control(&router->mesh, line, reply, sizeof reply);
    /* A client that does not listen gets nothing; the command is performed all the same. */
    (void)sendto(router->control_fd, reply, strlen(reply), MSG_DONTWAIT, (struct sockaddr *)&client,
                 client_size);
}

static bool watch(struct router *router, int fd, uint32_t event)
{
    struct epoll_event interest = {.events = EPOLLIN, .data = {.u32 = event}};
    return fd >= 0 && epoll_ctl(router->epoll_fd, EPOLL_CTL_ADD, fd, &interest) == 0;
}

/* In the namespace that we are started in, before there are others: clients have abstract names to
 * be answered at, and those belong to a network namespace. */
static int open_control(void)
{
    int bytes = 2 * REPLY_MAX;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd >= 0) {
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    }
    return fd;
}

static bool bind_control(int fd, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (strlen(path) >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return false;
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    unlink(path);
    return bind(fd, (struct sockaddr *)&address, sizeof address) == 0;
}

static bool set_up(struct router *router, const char *socket_path)
{
    sigset_t signals;

    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    router->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    router->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    router->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC);
    if (!watch(router, router->timer_fd, EVENT_TIMER) ||
        !watch(router, router->signal_fd, EVENT_SIGNAL)) {
        return false;
    }
    for (unsigned i = 0; i < router->mesh.host_count; i++) {
        if (!watch(router, router->mesh.hosts[i].tun_fd, i)) {
            return false;
        }
    }
    return wan_heap_init(&router->heap, PACKETS_MAX) &&
           watch(router, router->control_fd, EVENT_CONTROL) &&
           bind_control(router->control_fd,
                        socket_path); /* last: its file says that all is there */
}

static void loop(struct router *router)
{
    struct epoll_event events[16];

    for (;;) {
        int count = epoll_wait(router->epoll_fd, events, 16, -1);
        for (int i = 0; i < count; i++) {
            uint32_t event = events[i].data.u32;
            if (event == EVENT_SIGNAL) {
                return;
            }
            if (event == EVENT_CONTROL) {
                answer_control(router);
            } else if (event < EVENT_TIMER) {
                read_host(router, event);
            } else {
                uint64_t expired;
                (void)!read(router->timer_fd, &expired, sizeof expired);
                router->armed_us = 0;
            }
        }
        deliver_due(router);
        arm(router);
    }
}

static int make_hosts(struct wan_mesh *mesh, uint64_t seed, char *const *names, unsigned count)
{
    const char *step = "";
    int result = wan_host_prepare(&step);

    for (unsigned i = 0; result == 0 && i < count; i++) {
        result = wan_host_create(&mesh->hosts[i], names[i], i, &step);
        for (unsigned other = 0; other < count; other++) {
            wan_link_init(&mesh->links[i][other]);
        }
    }
    if (result != 0) {
        fprintf(stderr, "no WAN on this machine: %s: %s\n", step, strerror(errno));
        return EX_NOPERM;
    }
    mesh->host_count = count;
    wan_mesh_seed(mesh, seed);
    return 0;
}

int wan_router_run(const char *socket_path, uint64_t seed, char *const *names, unsigned count)
{
    static struct router router;

    router.control_fd = open_control();
    int status = make_hosts(&router.mesh, seed, names, count);

    if (status != 0) {
        return status;
    }
    if (!set_up(&router, socket_path)) {
        fprintf(stderr, "router: %s: %s\n", socket_path, strerror(errno));
        return EX_OSERR;
    }
    loop(&router);
    unlink(socket_path);
    wan_heap_fini(&router.heap);
    return 0;
}
