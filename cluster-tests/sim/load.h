/* load.h -- shared by load.c (calls and answers), life.c (what a worker reports next) and replay.c
 * (lives taken from a trace file). */
#ifndef TD_SIM_LOAD_H
#define TD_SIM_LOAD_H

#include "cluster-tests/sim/sim.h"

struct sim_worker {
    int node; /* it talks to */
    uint64_t due_ms;
    uint64_t serial;
    bool waiting, reading, meddling, ack_asked;
    uint32_t job, step;
    uint16_t attempt;
    struct td_seen seen;  /* of its register */
    struct sim_call call; /* the one under way, for the history */
    bool seen_final;
    struct td_vv_store token;
    char writer[12];
    /* life.c */
    uint32_t steps, patience; /* running reports of this life; how long it waits for children */
    uint32_t quiet_after;     /* it falls silent after that step; 0 = never */
    bool over;                /* nothing more to do (replay.c) */
};

/* ---- load.c ---- */
/* The dot joins its token. */
void sim_load_saw(struct sim_worker *worker, struct td_dot dot);

/* ---- life.c ---- */
void sim_life_start(struct sim_world *world);
void sim_life_free(struct sim_world *world);
/* The next job of this worker, from its beginning. */
void sim_life_take(struct sim_world *world, struct sim_worker *worker);
enum td_state sim_life_state(const struct sim_world *world, const struct sim_worker *worker);
/* Fields of a report beyond its state. */
void sim_life_fill(const struct sim_world *world, const struct sim_worker *worker,
                   struct td_status *status);
/* Its token before a report: a parent's final comes after its children's. */
void sim_life_prepare(struct sim_world *world, struct sim_worker *worker);
/* Until its next call. */
uint64_t sim_life_pause_ms(struct sim_world *world, struct sim_worker *worker);
/* Its report was acknowledged. */
void sim_life_reported(struct sim_world *world, struct sim_worker *worker);
/* Its attempt has ended otherwise: somebody else's final, a verdict. */
void sim_life_ended(struct sim_world *world, struct sim_worker *worker);

/* ---- replay.c: trace=FILE, in Standard Workload Format ---- */
/* A worker a job. Says why and ends the process when the file cannot be read. */
void sim_replay_start(struct sim_world *world);
void sim_replay_free(struct sim_world *world);
uint32_t sim_replay_jobs(const struct sim_world *world);
/* Region whose node this job's worker talks to first; users have a home. */
int sim_replay_home(const struct sim_world *world, uint32_t job);
enum td_state sim_replay_state(const struct sim_world *world, const struct sim_worker *worker,
                               uint16_t *ret_progress);
/* When the worker's next report is due; 0 = it has made its last. */
uint64_t sim_replay_due_ms(const struct sim_world *world, const struct sim_worker *worker);

#endif
