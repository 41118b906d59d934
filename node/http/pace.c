/* pace.c -- see pace.h. What counts is time as it passed, from the question to the answer and over
 * making JSON of it: when the machine is busy with other things that is longer, and readers of
 * lists stand back further. On an idle one a slice is answered in 0.2 ms, and a walk through a
 * million jobs that finds nothing takes 0.7 s. */
#include "node/http/pace.h"

#include <time.h>

/* A turn takes so long at least, and each us of work is followed by so many of rest. */
enum { TURN_US = 1000, REST = 2, WORK_US_MAX = 50000 };

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

uint64_t td_pace_book(struct td_pace *pace, uint64_t at_us)
{
    pthread_mutex_lock(&pace->mutex);
    uint64_t mine_us = pace->next_us > at_us ? pace->next_us : at_us;
    pace->next_us = mine_us + TURN_US;
    pthread_mutex_unlock(&pace->mutex);
    return mine_us;
}

void td_pace_charge(struct td_pace *pace, uint64_t work_us)
{
    uint64_t counted_us = work_us < WORK_US_MAX ? work_us : WORK_US_MAX;
    pthread_mutex_lock(&pace->mutex);
    pace->next_us += counted_us * (1 + REST);
    pthread_mutex_unlock(&pace->mutex);
}

uint64_t td_pace_turn(struct td_pace *pace)
{
    uint64_t at_us = now_us();
    uint64_t mine_us = td_pace_book(pace, at_us);
    if (mine_us > at_us) {
        uint64_t wait_us = mine_us - at_us;
        struct timespec pause = {(time_t)(wait_us / 1000000), (long)(wait_us % 1000000) * 1000L};
        nanosleep(&pause, NULL);
    }
    return now_us();
}

void td_pace_done(struct td_pace *pace, uint64_t begun_us)
{
    td_pace_charge(pace, now_us() - begun_us);
}
