/* host.c -- makes namespaces and their devices, with system calls only. See host.h. */
#include "cluster-tests/wan/host.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* Packets that the kernel keeps for the router while it is busy. */
enum { TUN_QUEUE = 4096 };
static const uint32_t subnet = 0x0a4d0000; /* 10.77.0.0/24 */

static int write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) {
        return -1;
    }
    ssize_t written = write(fd, text, strlen(text));
    close(fd);
    return written == (ssize_t)strlen(text) ? 0 : -1;
}

int wan_host_prepare(const char **ret_step)
{
    unsigned user = (unsigned)geteuid(), group = (unsigned)getegid();
    char map[64];

    if (user == 0) {
        return 0;
    }
    *ret_step = "a user namespace";
    if (unshare(CLONE_NEWUSER) != 0) {
        return -1;
    }
    snprintf(map, sizeof map, "0 %u 1", user);
    if (write_file("/proc/self/setgroups", "deny") != 0 ||
        write_file("/proc/self/uid_map", map) != 0) {
        return -1;
    }
    snprintf(map, sizeof map, "0 %u 1", group);
    if (write_file("/proc/self/gid_map", map) != 0) {
        return -1;
    }
    /* The kernel took it away with the change of rights; nsenter needs our /proc/PID/fd. */
    return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
}

static int set_address(int fd, struct ifreq *request, unsigned long what, uint32_t address)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr = {htonl(address)}};

    memcpy(&request->ifr_addr, &in, sizeof in);
    return ioctl(fd, what, request);
}

static int bring_up(int fd, const char *device)
{
    struct ifreq request = {0};

    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", device);
    if (ioctl(fd, SIOCGIFFLAGS, &request) != 0) {
        return -1;
    }
    request.ifr_flags = (short)(request.ifr_flags | IFF_UP);
    return ioctl(fd, SIOCSIFFLAGS, &request);
}

static int configure(const struct wan_host *host, struct ifreq *request)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    /* In a user namespace the kernel refuses that: then its 500 have to do. */
    request->ifr_qlen = TUN_QUEUE;
    (void)ioctl(fd, SIOCSIFTXQLEN, request);
    int result = set_address(fd, request, SIOCSIFADDR, host->address);
    if (result == 0) {
        result = set_address(fd, request, SIOCSIFNETMASK, 0xffffff00);
    }
    if (result == 0) {
        result = bring_up(fd, request->ifr_name);
    }
    if (result == 0) {
        result = bring_up(fd, "lo");
    }
    int error = errno;
    close(fd);
    errno = error;
    return result;
}

int wan_host_create(struct wan_host *host, const char *name, unsigned index, const char **ret_step)
{
    struct ifreq request = {0};

    *host = (struct wan_host){name, -1, -1, subnet + 1 + index};
    *ret_step = "a network namespace";
    if (unshare(CLONE_NEWNET) != 0) {
        return -1;
    }
    host->namespace_fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    if (host->namespace_fd < 0) {
        return -1;
    }
    *ret_step = "/dev/net/tun";
    host->tun_fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (host->tun_fd < 0) {
        return -1;
    }
    *ret_step = "a TUN device";
    snprintf(request.ifr_name, sizeof request.ifr_name, "wan0");
    request.ifr_flags = IFF_TUN | IFF_NO_PI;
    if (ioctl(host->tun_fd, TUNSETIFF, &request) != 0) {
        return -1;
    }
    *ret_step = "the address of a TUN device";
    return configure(host, &request);
}
