/* pace.c -- see pace.h. A slice that finds nothing costs the core about 25 us, one with a thousand
 * registers some 2 ms: by this pace all readers together take a tenth to a third of it at most, and
 * a walk through a million jobs half a second. */
#include "node/http/pace.h"

#include <time.h>

enum { SLICE_US = 1000, REGISTER_US = 6 };

static uint64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

void td_pace_init(struct td_pace *pace)
{
    pthread_mutex_init(&pace->mutex, NULL);
    pace->next_us = 0;
}

void td_pace_fini(struct td_pace *pace)
{
    pthread_mutex_destroy(&pace->mutex);
}

void td_pace_turn(struct td_pace *pace)
{
    pthread_mutex_lock(&pace->mutex);
    uint64_t at_us = now_us();
    uint64_t mine_us = pace->next_us > at_us ? pace->next_us : at_us;
    pace->next_us = mine_us + SLICE_US;
    pthread_mutex_unlock(&pace->mutex);
    if (mine_us > at_us) {
        uint64_t wait_us = mine_us - at_us;
        struct timespec pause = {(time_t)(wait_us / 1000000), (long)(wait_us % 1000000) * 1000L};
        nanosleep(&pause, NULL);
    }
}

void td_pace_took(struct td_pace *pace, uint32_t registers)
{
    pthread_mutex_lock(&pace->mutex);
    pace->next_us += (uint64_t)registers * REGISTER_US;
    pthread_mutex_unlock(&pace->mutex);
}
