/* pace.h -- how much of the machine readers of lists may take together: each slice waits for its
 * turn, so that what the node exists for comes first. */
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
/* Waits for the turn of one slice; gives the moment at which its work begins. */
uint64_t td_pace_turn(struct td_pace *pace);
/* The work that began then is done: all readers rest in proportion. */
void td_pace_done(struct td_pace *pace, uint64_t begun_us);

/* The same without a clock: the moment of the next turn, and time that was worked. */
uint64_t td_pace_book(struct td_pace *pace, uint64_t now_us);
void td_pace_charge(struct td_pace *pace, uint64_t work_us);

#endif
