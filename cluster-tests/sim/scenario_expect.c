/* scenario_expect.c -- what a scenario demands besides its trace, so that --rewrite cannot bless it
 * away: expect converged, shown, not-shown, answer, each with within=DURATION. Time goes on until
 * it holds. */
#include "cluster-tests/sim/scenario.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* diskfull for TD_EDISKFULL. */
static bool err_named(const char *text, enum td_err *ret_err)
{
    static const struct {
        const char *name;
        enum td_err err;
    } names[] = {
#define NAME(name, number, class_, exit_, http_, text_, hint) {#name, name},
        TD_ERR_LIST(NAME)
#undef NAME
    };

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *name = names[i].name + (names[i].err == TD_OK ? 3 : 4);
        if (strcasecmp(name, text) == 0) {
            *ret_err = names[i].err;
            return true;
        }
    }
    return false;
}

static bool is_converged(struct sim_scenario *scenario, const struct sim_words *words)
{
    char why[200] = "";

    (void)words;
    return (sim_leave_done(scenario->world, why, sizeof why) &&
            sim_check_i2_equal(scenario->world, why, sizeof why) &&
            sim_check_i9_idle(scenario->world, why, sizeof why)) ||
           sim_scenario_why(scenario, "not converged: %s", why);
}

static bool is_shown(struct sim_scenario *scenario, const struct sim_words *words)
{
    const char *job = sim_word_of(words, "job"), *attempt = sim_word_of(words, "attempt");
    const char *state = sim_word_of(words, "state");
    int node = words->count < 3 ? SIM_NONE : sim_node_named(scenario, words->word[2]);

    if (node == SIM_NONE || job == NULL || !scenario->world->nodes[node].up) {
        return sim_scenario_why(scenario,
                                "expect shown N job=J [attempt=A] [state=S], at a node that is up");
    }
    const struct td_core *core = scenario->world->nodes[node].core;
    uint32_t number = sim_job_number(scenario->world, (struct td_text){job, (uint32_t)strlen(job)});
    uint32_t reg = td_table_find(core, scenario->world->job_hashes[number],
                                 sim_job_text(scenario->world, number),
                                 (uint16_t)(attempt == NULL ? 1 : strtoul(attempt, NULL, 10)));
    const char *now =
        reg == TD_NONE ? "unknown" : td_state_name((enum td_state)core->registers[reg].state);
    return (reg != TD_NONE && (state == NULL || strcmp(state, now) == 0)) ||
           sim_scenario_why(scenario, "node %d shows %s as %s", node + 1, job, now);
}

static bool is_not_shown(struct sim_scenario *scenario, const struct sim_words *words)
{
    int node = words->count < 3 ? SIM_NONE : sim_node_named(scenario, words->word[2]);

    if (node == SIM_NONE || sim_word_of(words, "job") == NULL || !scenario->world->nodes[node].up) {
        return sim_scenario_why(scenario, "expect not-shown N job=J, at a node that is up");
    }
    return !is_shown(scenario, words) || sim_scenario_why(scenario, "it is shown");
}

/* expect answer NAME none|ok|<error>|<state> [certain|uncertain] [confirmed=K]. */
static bool is_answered(struct sim_scenario *scenario, const struct sim_words *words)
{
    const struct sim_client *client =
        words->count < 4 ? NULL : sim_client_find(scenario, words->word[2]);
    const char *want = client == NULL ? "" : words->word[3],
               *confirmed = sim_word_of(words, "confirmed");
    enum td_err err = TD_OK;

    if (client == NULL) {
        return sim_scenario_why(scenario, "expect answer NAME ok, of a client that called");
    }
    if (strcmp(want, "none") == 0 || !client->answered) {
        return (strcmp(want, "none") == 0 && !client->answered) ||
               sim_scenario_why(scenario, "%s has %s answer", client->name,
                                client->answered ? "an" : "no");
    }
    bool good = err_named(want, &err) ? client->err == err
                                      : client->reading && client->err == TD_OK &&
                                            strcmp(want, td_state_name(client->state)) == 0;
    good = good && (!sim_word_is(words, "certain") || client->certain) &&
           (!sim_word_is(words, "uncertain") || !client->certain) &&
           (confirmed == NULL || client->acked_regions == strtoul(confirmed, NULL, 10));
    return good || sim_scenario_why(scenario, "%s was answered: %s%s%s", client->name,
                                    td_err_text(client->err), client->reading ? ", " : "",
                                    !client->reading  ? ""
                                    : client->certain ? "certain"
                                                      : "uncertain");
}

/* expect freshness REGION NODE known|unknown: what NODE says about REGION. */
static bool is_fresh(struct sim_scenario *scenario, const struct sim_words *words)
{
    struct td_fresh_view rows[TD_REGIONS_MAX];
    bool certain = false;
    int node = words->count != 5 ? SIM_NONE : sim_node_named(scenario, words->word[3]);

    if (node == SIM_NONE || !scenario->world->nodes[node].up) {
        return sim_scenario_why(scenario, "expect freshness REGION NODE known|unknown");
    }
    uint32_t count =
        td_fresh_rows(scenario->world->nodes[node].core, rows, TD_REGIONS_MAX, &certain);
    for (uint32_t i = 0; i < count; i++) {
        if (rows[i].region.v == strtoul(words->word[2], NULL, 10)) {
            return rows[i].age_known == (strcmp(words->word[4], "known") == 0) ||
                   sim_scenario_why(scenario, "its age is %s",
                                    rows[i].age_known ? "known" : "unknown");
        }
    }
    return sim_scenario_why(scenario, "no such region");
}

static const struct {
    const char *name;
    bool (*holds)(struct sim_scenario *scenario, const struct sim_words *words);
} demands[] = {
    {"converged", is_converged}, {"shown", is_shown},     {"not-shown", is_not_shown},
    {"answer", is_answered},     {"freshness", is_fresh},
};

bool sim_scenario_expect(struct sim_scenario *scenario, struct sim_words *words)
{
    const char *within = sim_word_of(words, "within");
    int64_t within_ms = 0;
    struct sim_world *world = scenario->world;
    uint64_t start_ms = world->now_ms;

    if (words->count < 2 || (within != NULL && !sim_duration(within, &within_ms))) {
        return sim_scenario_why(scenario, "expect WHAT [within=5s]");
    }
    for (size_t i = 0; i < sizeof demands / sizeof demands[0]; i++) {
        if (strcmp(demands[i].name, words->word[1]) != 0) {
            continue;
        }
        while (!demands[i].holds(scenario, words)) {
            if (world->failed || world->now_ms >= start_ms + (uint64_t)within_ms) {
                return false;
            }
            sim_world_until(world, world->now_ms + 1);
        }
        if (demands[i].holds == is_converged) {
            sim_story_line(world, SIM_NONE, "all nodes are equal");
        }
        return true;
    }
    return sim_scenario_why(scenario, "nothing to expect is called `%s`", words->word[1]);
}
