/* story.h -- what a scenario's trace shows: lines for people, made from what nodes hold and say,
 * while the world runs. Nothing here changes the world. */
#ifndef TD_SIM_STORY_H
#define TD_SIM_STORY_H

#include "cluster-tests/sim/sim.h"

enum { SIM_CLIENT_FIRST = 1 << 24 }; /* client links from here on are a scenario's */

struct sim_scenario;

struct sim_story {
    FILE *out;
    bool aloud; /* to standard output as well, line by line */
    uint64_t start_ms; /* shown as 0; nothing is shown before it is set */
    bool telling;
    uint32_t truths_told;                /* handed to logs */
    uint32_t *durable_due, due_count;    /* those not yet durable, oldest first */
    uint64_t change_told[SIM_NODES_MAX]; /* of each node's change ring */
    uint32_t generation[SIM_NODES_MAX];
    struct sim_scenario *scenario; /* gets its clients' answers */
};

/* One line: time, node (SIM_NONE = nobody), text. */
void sim_story_line(struct sim_world *world, int node, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* region.start.seq. */
const char *sim_dot_text(struct td_dot dot, char *ret_text, size_t text_bytes);
/* From now on: what is here already is not news. */
void sim_story_begin(struct sim_world *world);
void sim_story_free(struct sim_story *story);

/* Called while the world runs, by node.c. */
void sim_story_look(struct sim_world *world, int node);
void sim_story_core(struct sim_world *world, int node, const struct td_effect *effect);
void sim_story_reply(struct sim_world *world, int node, uint32_t client_link,
                     const struct td_response *response);
/* scenario_client.c */
void sim_client_reply(struct sim_scenario *scenario, int node, uint32_t client,
                      const struct td_response *response);

#endif
