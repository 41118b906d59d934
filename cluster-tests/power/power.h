/* power.h -- the harness: real nodes whose power fails again and again under load, and what they
 * must still know then. node.c runs the processes, load.c publishes, check.c judges, main.c leads.
 */
#ifndef TD_POWER_POWER_H
#define TD_POWER_POWER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "node/client/tidings.h"

enum { POWER_NODES_MAX = 3, POWER_JOBS = 120, POWER_STEPS = 8, POWER_LINE_BYTES = 2048 };

struct power_lines { /* text that arrives in pieces */
    int fd;
    size_t used;
    char text[POWER_LINE_BYTES];
};

struct power_node {
    struct power_world *world;
    uint32_t index;
    char name[32];
    char directory[512];
    pid_t pid;   /* 0 = not running */
    int control; /* orders to the library */
    struct power_lines log, report;
    bool ready, reported;
    char last_cut[POWER_LINE_BYTES];

    tidings *handle;
    uint32_t outstanding;
    uint64_t acks;       /* of this life */
    uint64_t cut_at_ack; /* the power fails at this one; 0 = not by that */
    uint64_t cut_at_ms;  /* ... or at this moment */
    bool victim;
    bool calls_fail; /* in this life: refusals and error lines are in order */
};

/* One job: reports are numbered; each number is one attempt, state and detail. */
struct power_job {
    uint32_t sent;  /* newest handed in; numbers start with 1 */
    uint32_t acked; /* newest acknowledged as durable */
    uint32_t seen;  /* newest that was read */
};

struct power_world {
    const char *daemon, *library, *root, *plant;
    uint64_t random;
    uint32_t node_count;
    struct power_node nodes[POWER_NODES_MAX];
    struct power_job jobs[POWER_JOBS];
    uint32_t window;      /* reports in flight at one node */
    uint32_t padding_max; /* bytes of a detail */
    bool disk_fails;      /* calls fail in this round */
    uint64_t cuts, acked, refused, start_cuts, failing_rounds, rolls, torn, compactions;
    bool may_fill; /* the log is so small that it is full at times: refusals are in order */
    pthread_mutex_t
        lock;           /* over jobs, outstanding, acks, refused: callbacks are on other threads */
    int wake;           /* eventfd: callbacks wake the main thread */
    char problem[4096]; /* the first thing that was wrong; empty = nothing */
};

uint64_t world_random(struct power_world *world);
uint64_t world_below(struct power_world *world, uint64_t bound);
uint64_t world_now_ms(void);
/* Keeps the first problem; printf-like. */
void world_problem(struct power_world *world, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* at_call, skip_creates: the library's environment; 0 = no cut by itself. */
void node_start(struct power_node *node, uint64_t at_call, uint64_t skip_creates);
void node_order(struct power_node *node, uint64_t what, uint64_t number);
/* Waits up to timeout_ms for news of any node or a wake-up, and takes them in: log lines, cuts. */
void nodes_poll(struct power_world *world, int timeout_ms);
/* Kills what runs and forgets the directory's segments: all nodes start anew. */
void nodes_wipe(struct power_world *world);
void nodes_stop(struct power_world *world);
bool nodes_all_ready(const struct power_world *world);

bool load_open(struct power_node *node);
void load_close(struct power_node *node);
/* Hands in reports for the node's jobs until the window is full. */
void load_fill(struct power_node *node);
/* The report of that number. */
void load_update(uint32_t job, uint32_t number, uint32_t padding, char *ret_name, char *ret_detail,
                 struct tidings_update *ret_update);

/* Reads everything from every node until all show the same; false and a problem when something
 * acknowledged is missing, something unknown is there, or they do not agree in time. */
bool check_all(struct power_world *world);

#endif
