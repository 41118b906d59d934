/* main.c -- tidings-wan: the router, the client of its control socket, and the probe; what the
 * script `net` calls. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "cluster-tests/wan/host.h"
#include "cluster-tests/wan/parse.h"
#include "cluster-tests/wan/probe.h"
#include "cluster-tests/wan/router.h"

enum { REPLY_MAX = 98304 };

static int usage(void)
{
    fputs("tidings-wan router SOCKET SEED HOST HOST...\n"
          "tidings-wan control SOCKET LINE\n"
          "tidings-wan echo PORT\n"
          "tidings-wan probe ADDRESS PORT COUNT INTERVAL_US TIMEOUT_MS\n",
          stderr);
    return 2;
}

/* Sends one line, prints the answer but its last line "ok". Exit 1 when it says "error". */
static int control(const char *path, const char *line)
{
    static char reply[REPLY_MAX];
    struct sockaddr_un own = {.sun_family = AF_UNIX}, router = {.sun_family = AF_UNIX};
    struct timeval limit = {5, 0};
    int bytes = 2 * REPLY_MAX;

    if (strlen(path) >= sizeof router.sun_path) {
        fprintf(stderr, "control: path too long: %s\n", path);
        return 2;
    }
    memcpy(router.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    /* The family alone: the kernel gives us an abstract name to be answered at. */
    if (fd < 0 || bind(fd, (struct sockaddr *)&own, sizeof(sa_family_t)) != 0 ||
        sendto(fd, line, strlen(line), 0, (struct sockaddr *)&router, sizeof router) < 0) {
        fprintf(stderr, "control: %s: %s\n", path, strerror(errno));
        return 1;
    }
    ssize_t size = recv(fd, reply, sizeof reply - 1, 0);
    if (size < 0) {
        fprintf(stderr, "control: no answer: %s\n", strerror(errno));
        return 1;
    }
    reply[size] = '\0';
    char *last = strstr(reply, "error: ");
    if (last != NULL) {
        fputs(last, stderr);
        return 1;
    }
    printf("%.*s", (int)(size - (ssize_t)strlen("ok\n")), reply);
    return 0;
}

static int router(int argc, char **argv)
{
    int count = argc - 4;

    if (count < 2 || count > WAN_HOSTS_MAX) {
        fprintf(stderr, "router: 2 to %d hosts\n", WAN_HOSTS_MAX);
        return 2;
    }
    for (int i = 0; i < count; i++) {
        for (int other = 0; other < i; other++) {
            if (strcmp(argv[4 + i], argv[4 + other]) == 0) {
                fprintf(stderr, "router: two hosts named %s\n", argv[4 + i]);
                return 2;
            }
        }
        if (!wan_name_valid(argv[4 + i])) {
            fprintf(stderr, "router: not the name of a host: %s\n", argv[4 + i]);
            return 2;
        }
    }
    return wan_router_run(argv[2], strtoull(argv[3], NULL, 10), argv + 4, (unsigned)count);
}

int main(int argc, char **argv)
{
    const char *verb = argc > 1 ? argv[1] : "";

    if (strcmp(verb, "router") == 0 && argc > 4) {
        return router(argc, argv);
    }
    if (strcmp(verb, "control") == 0 && argc == 4) {
        return control(argv[2], argv[3]);
    }
    if (strcmp(verb, "echo") == 0 && argc == 3) {
        return wan_echo(argv[2]);
    }
    if (strcmp(verb, "probe") == 0 && argc == 7) {
        return wan_probe(argv[2], argv[3], (unsigned)atoi(argv[4]), (unsigned)atoi(argv[5]),
                         (unsigned)atoi(argv[6]));
    }
    return usage();
}
