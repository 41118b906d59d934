/* pace.h -- how much of the core's time readers of lists may take together: each slice waits for
 * its turn, so that the core sleeps between them and what it exists for comes first. */
#ifndef TD_HTTP_PACE_H
#define TD_HTTP_PACE_H

#include <pthread.h>
#include <stdint.h>

struct td_pace {
    pthread_mutex_t mutex;
    uint64_t next_us; /* monotonic: not before */
};

void td_pace_init(struct td_pace *pace);
void td_pace_fini(struct td_pace *pace);
/* Waits for the turn of one slice. */
void td_pace_turn(struct td_pace *pace);
/* It brought so many registers: the next one waits for longer. */
void td_pace_took(struct td_pace *pace, uint32_t registers);

#endif
