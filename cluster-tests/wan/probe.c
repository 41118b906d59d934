/* probe.c -- a UDP echo and its client. See probe.h. */
#include "cluster-tests/wan/probe.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PACKETS_MAX = 100000 };

struct probe_packet {
    uint64_t sent_us;
    uint32_t number;
    uint32_t run; /* tells late answers to an earlier run apart */
};

struct probe {
    int fd;
    uint32_t run, next;
    unsigned sent, received, dup, reordered;
    uint32_t *round_trip_us; /* by number; 0 = no answer yet */
};

static uint64_t now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static struct sockaddr_in address_of(const char *address, const char *port)
{
    struct sockaddr_in in = {.sin_family = AF_INET};

    in.sin_port = htons((uint16_t)atoi(port));
    if (inet_pton(AF_INET, address, &in.sin_addr) != 1) {
        fprintf(stderr, "probe: not an IPv4 address: %s\n", address);
        exit(2);
    }
    return in;
}

int wan_echo(const char *port)
{
    struct sockaddr_in own = address_of("0.0.0.0", port), from;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    char bytes[2048];

    if (fd < 0 || bind(fd, (struct sockaddr *)&own, sizeof own) != 0) {
        perror("echo");
        return 1;
    }
    for (;;) {
        socklen_t from_size = sizeof from;
        ssize_t size = recvfrom(fd, bytes, sizeof bytes, 0, (struct sockaddr *)&from, &from_size);
        if (size > 0) {
            (void)sendto(fd, bytes, (size_t)size, 0, (struct sockaddr *)&from, from_size);
        }
    }
}

static void take_answer(struct probe *probe)
{
    struct probe_packet packet;

    if (recv(probe->fd, &packet, sizeof packet, MSG_DONTWAIT) != (ssize_t)sizeof packet ||
        packet.run != probe->run || packet.number >= probe->sent) {
        return;
    }
    if (probe->round_trip_us[packet.number] != 0) {
        probe->dup++;
        return;
    }
    uint64_t us = now_us() - packet.sent_us;
    probe->round_trip_us[packet.number] = us == 0 ? 1 : us < UINT32_MAX ? (uint32_t)us : UINT32_MAX;
    probe->received++;
    if (packet.number < probe->next) {
        probe->reordered++;
    } else {
        probe->next = packet.number + 1;
    }
}

/* Takes answers until a moment, or until all are there. */
static void listen_until(struct probe *probe, uint64_t end_us, bool all)
{
    for (;;) {
        uint64_t now = now_us();
        if (now >= end_us || (all && probe->received == probe->sent)) {
            return;
        }
        struct pollfd wait = {.fd = probe->fd, .events = POLLIN};
        uint64_t left_us = end_us - now;
        struct timespec left = {(time_t)(left_us / 1000000), (long)(left_us % 1000000) * 1000};
        if (ppoll(&wait, 1, &left, NULL) > 0) {
            take_answer(probe);
        }
    }
}

static int by_value(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    return left < right ? -1 : left > right;
}

static void print_verdict(struct probe *probe)
{
    unsigned count = probe->sent, missing = probe->sent - probe->received;
    uint32_t min = 0, median = 0, max = 0;

    qsort(probe->round_trip_us, count, sizeof *probe->round_trip_us, by_value);
    if (probe->received > 0) { /* the missing ones, 0, are in front */
        min = probe->round_trip_us[missing];
        median = probe->round_trip_us[missing + probe->received / 2];
        max = probe->round_trip_us[count - 1];
    }
    printf("sent=%u received=%u dup=%u reordered=%u min_us=%u median_us=%u max_us=%u\n", count,
           probe->received, probe->dup, probe->reordered, min, median, max);
}

int wan_probe(const char *address, const char *port, unsigned count, unsigned interval_us,
              unsigned timeout_ms)
{
    struct sockaddr_in to = address_of(address, port);
    struct probe probe = {.run = (uint32_t)getpid()};

    if (count == 0 || count > PACKETS_MAX) {
        fprintf(stderr, "probe: 1 to %d packets\n", PACKETS_MAX);
        return 2;
    }
    probe.fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    probe.round_trip_us = calloc(count, sizeof *probe.round_trip_us);
    if (probe.fd < 0 || probe.round_trip_us == NULL ||
        connect(probe.fd, (struct sockaddr *)&to, sizeof to) != 0) {
        perror("probe");
        return 1;
    }
    uint64_t start_us = now_us();
    for (unsigned i = 0; i < count; i++) {
        listen_until(&probe, start_us + (uint64_t)i * interval_us, false);
        struct probe_packet packet = {now_us(), i, probe.run};
        probe.sent++;
        (void)send(probe.fd, &packet, sizeof packet, 0);
    }
    listen_until(&probe, now_us() + (uint64_t)timeout_ms * 1000, true);
    print_verdict(&probe);
    unsigned received = probe.received;
    free(probe.round_trip_us);
    close(probe.fd);
    return received > 0 ? 0 : 1;
}
