/* scenario.h -- a scenario is a text: commands, a line of dashes, the trace they shall give.
 * scenario.c reads, compares and rewrites files, scenario_do.c carries out commands,
 * scenario_expect.c what a scenario demands besides its trace, scenario_client.c is its clients. */
#ifndef TD_SIM_SCENARIO_H
#define TD_SIM_SCENARIO_H

#include "cluster-tests/sim/fault.h"
#include "cluster-tests/sim/story.h"

enum { SIM_WORDS_MAX = 24, SIM_CLIENTS_MAX = 64, SIM_CLIENT_SEEN_MAX = 8 };

/* One command, cut at white space. */
struct sim_words {
    uint32_t count;
    char *word[SIM_WORDS_MAX];
};

struct sim_client {
    char name[16];
    int node; /* it asked last */
    bool waiting, reading;
    uint64_t serial;
    uint32_t job; /* of the call */
    uint16_t attempt;
    struct td_vv_store token;
    struct td_seen seen[SIM_CLIENT_SEEN_MAX];
    uint32_t seen_count;
    /* The newest answer. */
    bool answered, certain;
    enum td_err err;
    enum td_state state;
    uint8_t acked_regions;
};

struct sim_scenario {
    struct sim_world *world;
    struct sim_story *story;
    struct sim_client *clients[SIM_CLIENTS_MAX];
    uint32_t client_count;
    bool started;  /* the trace has begun: the first command after nodes and delay */
    char why[256]; /* of the command that failed */
};

/* All false: why is set. */
bool sim_scenario_do(struct sim_scenario *scenario, struct sim_words *words);
bool sim_scenario_expect(struct sim_scenario *scenario, struct sim_words *words);
bool sim_scenario_why(struct sim_scenario *scenario, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
bool sim_client_publish(struct sim_scenario *scenario, struct sim_words *words, int node);
bool sim_client_get(struct sim_scenario *scenario, struct sim_words *words, int node);
/* Calls at a node that ended get no answer. */
void sim_clients_cut_off(struct sim_scenario *scenario, int node);
struct sim_client *sim_client_find(struct sim_scenario *scenario, const char *name);

/* ---- words ---- */
const char *sim_word_of(const struct sim_words *words,
                        const char *name); /* value of name=value, or NULL */
bool sim_word_is(const struct sim_words *words, const char *word);
/* 400ms, 2s, 5m, 3h, 365d, also with a sign. */
bool sim_duration(const char *text, int64_t *ret_ms);
/* Regions by number; 3' is the clone of 3. SIM_NONE = no such node. */
int sim_node_named(const struct sim_scenario *scenario, const char *text);

/* The files, one after the other; aloud = each line at once, for one that dies. Exit code for main.
 */
int sim_scenarios_run(const char *const *paths, size_t count, bool rewrite, bool aloud);

#endif
