/* guard.c -- see guard.h. libmicrohttpd closes a socket before it says so, and its number may then
 * be given to anything else of this process, a link to another region for example. So each place
 * has a duplicate of its own, and only that is shut down: it cannot name another socket. */
#include "node/http/guard.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

uint64_t td_guard_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void init_cond(pthread_cond_t *cond)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &attributes);
    pthread_condattr_destroy(&attributes);
}

bool td_guard_init(struct td_guard *guard, uint32_t connections_max)
{
    *guard = (struct td_guard){.connections_max = connections_max,
                               .per_address_max = connections_max / 4 > 8 ? connections_max / 4 : 8,
                               .place_count = connections_max + TD_GUARD_SPARE};
    guard->places = calloc(guard->place_count, sizeof *guard->places);
    pthread_mutex_init(&guard->mutex, NULL);
    init_cond(&guard->freed);
    return guard->places != NULL;
}

void td_guard_fini(struct td_guard *guard)
{
    pthread_cond_destroy(&guard->freed);
    pthread_mutex_destroy(&guard->mutex);
    free(guard->places);
    guard->places = NULL;
}

static void address_of(const struct sockaddr *from, uint8_t address[16])
{
    memset(address, 0, 16);
    if (from->sa_family == AF_INET6) {
        memcpy(address, &((const struct sockaddr_in6 *)(const void *)from)->sin6_addr, 16);
    } else if (from->sa_family == AF_INET) {
        address[10] = address[11] = 0xff;
        memcpy(address + 12, &((const struct sockaddr_in *)(const void *)from)->sin_addr, 4);
    }
}

/* One host with many users: there is no telling them apart. */
static bool is_loopback(const uint8_t address[16])
{
    static const uint8_t mapped[13] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127};
    static const uint8_t six[16] = {[15] = 1};
    return memcmp(address, mapped, sizeof mapped) == 0 || memcmp(address, six, sizeof six) == 0;
}

static void shut(struct td_place *place)
{
    place->shut = true;
    (void)shutdown(place->fd, SHUT_RDWR);
}

/* The oldest that only sits there: of this address, or of any. */
static struct td_place *oldest_idle(struct td_guard *guard, const struct td_place *apart,
                                    bool same_address)
{
    struct td_place *oldest = NULL;
    for (uint32_t i = 0; i < guard->place_count; i++) {
        struct td_place *place = &guard->places[i];
        bool fits = place->used && !place->busy && !place->shut && place != apart &&
                    (!same_address || memcmp(place->address, apart->address, 16) == 0);
        if (fits && (oldest == NULL || place->since_ms < oldest->since_ms)) {
            oldest = place;
        }
    }
    return oldest;
}

/* Keeps the number of live connections within max: the oldest idle one goes, or the new one is
 * refused. */
static void keep_within(struct td_guard *guard, struct td_place *place, uint32_t max,
                        bool same_address)
{
    uint32_t live = 0;
    for (uint32_t i = 0; i < guard->place_count; i++) {
        const struct td_place *other = &guard->places[i];
        live += other->used && !other->shut &&
                (!same_address || memcmp(other->address, place->address, 16) == 0);
    }
    if (live <= max) {
        return;
    }
    struct td_place *oldest = oldest_idle(guard, place, same_address);
    if (oldest != NULL) {
        shut(oldest);
        guard->evicted_total++;
    } else {
        place->refused = true;
        guard->refused_total++;
    }
}

static bool has_room(const struct td_guard *guard)
{
    uint32_t used = 0;
    for (uint32_t i = 0; i < guard->place_count; i++) {
        used += guard->places[i].used;
    }
    return used < guard->place_count;
}

static void wait_freed(struct td_guard *guard, uint32_t wait_ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += (long)wait_ms * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    (void)pthread_cond_timedwait(&guard->freed, &guard->mutex, &until);
}

bool td_guard_has_room(struct td_guard *guard, uint32_t wait_ms)
{
    pthread_mutex_lock(&guard->mutex);
    if (!has_room(guard)) {
        wait_freed(guard, wait_ms);
    }
    bool room = has_room(guard);
    pthread_mutex_unlock(&guard->mutex);
    return room;
}

void td_guard_pause(struct td_guard *guard, uint32_t wait_ms)
{
    pthread_mutex_lock(&guard->mutex);
    wait_freed(guard, wait_ms);
    pthread_mutex_unlock(&guard->mutex);
}

struct td_place *td_guard_open(struct td_guard *guard, int socket, const struct sockaddr *address)
{
    struct td_place *place = NULL;
    int own_fd = fcntl(socket, F_DUPFD_CLOEXEC, 0);
    pthread_mutex_lock(&guard->mutex);
    for (uint32_t i = 0; i < guard->place_count && place == NULL && own_fd >= 0; i++) {
        place = guard->places[i].used ? NULL : &guard->places[i];
    }
    if (place != NULL) {
        uint64_t now_ms = td_guard_now_ms();
        *place = (struct td_place){.used = true,
                                   .socket = socket,
                                   .fd = own_fd,
                                   .since_ms = now_ms,
                                   .deadline_ms = now_ms + TD_GUARD_HEAD_MS};
        address_of(address, place->address);
        if (!is_loopback(place->address)) {
            keep_within(guard, place, guard->per_address_max, true);
        }
        if (!place->refused) {
            keep_within(guard, place, guard->connections_max, false);
        }
    } else {
        guard->refused_total++;
    }
    pthread_mutex_unlock(&guard->mutex);
    if (place == NULL && own_fd >= 0) {
        close(own_fd);
    }
    return place;
}

static void give_back(struct td_guard *guard, struct td_place *place)
{
    close(place->fd);
    place->used = false;
    pthread_cond_signal(&guard->freed);
}

void td_guard_close(struct td_guard *guard, struct td_place *place)
{
    pthread_mutex_lock(&guard->mutex);
    give_back(guard, place);
    pthread_mutex_unlock(&guard->mutex);
}

struct td_place *td_guard_start(struct td_guard *guard, int socket)
{
    struct td_place *found = NULL;
    pthread_mutex_lock(&guard->mutex);
    for (uint32_t i = 0; i < guard->place_count && found == NULL; i++) {
        struct td_place *place = &guard->places[i];
        found = place->used && !place->started && place->socket == socket ? place : NULL;
    }
    if (found != NULL) {
        found->started = true;
    }
    pthread_mutex_unlock(&guard->mutex);
    return found;
}

static void change(struct td_guard *guard, struct td_place *place, bool busy, uint64_t deadline_ms)
{
    pthread_mutex_lock(&guard->mutex);
    place->since_ms = place->busy == busy ? place->since_ms : td_guard_now_ms();
    place->busy = busy;
    place->deadline_ms = deadline_ms;
    pthread_mutex_unlock(&guard->mutex);
}

void td_guard_busy(struct td_guard *guard, struct td_place *place, uint64_t deadline_ms)
{
    change(guard, place, true, deadline_ms);
}

void td_guard_idle(struct td_guard *guard, struct td_place *place)
{
    change(guard, place, false, td_guard_now_ms() + TD_GUARD_HEAD_MS);
}

void td_guard_reap(struct td_guard *guard)
{
    uint64_t now_ms = td_guard_now_ms();
    pthread_mutex_lock(&guard->mutex);
    for (uint32_t i = 0; i < guard->place_count; i++) {
        struct td_place *place = &guard->places[i];
        if (!place->used || now_ms < place->deadline_ms) {
            continue;
        }
        if (!place->started) { /* libmicrohttpd had no memory or thread for it */
            give_back(guard, place);
        } else if (!place->shut) {
            shut(place);
            guard->overdue_total++;
        }
    }
    pthread_mutex_unlock(&guard->mutex);
}
