/* scenario_client.c -- the clients of a scenario. One with a name (as=ana) keeps the token of what
 * it saw and hands it in with its next call; one without is new each time. */
#include "cluster-tests/sim/scenario.h"

#include <stdlib.h>
#include <string.h>

enum { CALL_TIMEOUT_MS = 3000 };

struct sim_client *sim_client_find(struct sim_scenario *scenario, const char *name)
{
    for (uint32_t i = 0; name != NULL && i < scenario->client_count; i++) {
        if (strcmp(scenario->clients[i]->name, name) == 0) {
            return scenario->clients[i];
        }
    }
    return NULL;
}

static struct sim_client *client_of(struct sim_scenario *scenario, const struct sim_words *words)
{
    const char *name = sim_word_of(words, "as");
    struct sim_client *client = sim_client_find(scenario, name);

    if (client != NULL || scenario->client_count == SIM_CLIENTS_MAX) {
        return client;
    }
    client = calloc(1, sizeof *client);
    TD_ASSERT(client != NULL);
    if (name != NULL) {
        snprintf(client->name, sizeof client->name, "%s", name);
    } else {
        snprintf(client->name, sizeof client->name, "c%u", scenario->client_count + 1);
    }
    scenario->clients[scenario->client_count++] = client;
    return client;
}

static uint32_t link_of(const struct sim_scenario *scenario, const struct sim_client *client)
{
    uint32_t index = 0;

    while (scenario->clients[index] != client) {
        index++;
    }
    return SIM_CLIENT_FIRST + index;
}

/* ---- calls ---- */
static struct td_seen *seen_of(struct sim_scenario *scenario, struct sim_client *client)
{
    uint64_t hash = td_register_hash(scenario->world->job_hashes[client->job], client->attempt);

    for (uint32_t i = 0; i < client->seen_count; i++) {
        if (client->seen[i].register_hash == hash) {
            return &client->seen[i];
        }
    }
    TD_ASSERT(client->seen_count < SIM_CLIENT_SEEN_MAX);
    client->seen[client->seen_count] = (struct td_seen){.register_hash = hash};
    return &client->seen[client->seen_count++];
}

/* What publish and get have in common. False: why is set. */
static struct sim_client *prepare(struct sim_scenario *scenario, struct sim_words *words, int node,
                                  struct td_request *request)
{
    const char *job = sim_word_of(words, "job"), *attempt = sim_word_of(words, "attempt");
    struct sim_client *client = client_of(scenario, words);
    int64_t timeout_ms = CALL_TIMEOUT_MS;

    if (job == NULL || strlen(job) >= SIM_JOB_NAME_BYTES || client == NULL || client->waiting) {
        (void)sim_scenario_why(scenario, "a call needs a job, and a client that waits for nothing");
        return NULL;
    }
    if (sim_word_of(words, "timeout") != NULL &&
        (!sim_duration(sim_word_of(words, "timeout"), &timeout_ms) || timeout_ms < 0)) {
        (void)sim_scenario_why(scenario, "timeout=3s");
        return NULL;
    }
    client->job = sim_job_number(scenario->world, (struct td_text){job, (uint32_t)strlen(job)});
    client->attempt = (uint16_t)(attempt == NULL ? 1 : strtoul(attempt, NULL, 10));
    client->node = node;
    client->answered = false;
    request->id = ++client->serial;
    request->timeout_ms = (uint32_t)timeout_ms;
    request->after = client->token.vv;
    return client;
}

static bool call(struct sim_scenario *scenario, struct sim_client *client,
                 struct td_request *request)
{
    struct sim_world *world = scenario->world;

    if (!sim_node_publishes(world, client->node)) {
        sim_story_line(world, SIM_NONE, "%s: nobody answers there", client->name);
        return true;
    }
    struct td_event event = sim_node_event(world, client->node, TD_EV_REQUEST);
    event.u.request.client_link = link_of(scenario, client);
    event.u.request.request = request;
    client->waiting = true;
    sim_node_step(world, client->node, &event);
    return true;
}

bool sim_client_publish(struct sim_scenario *scenario, struct sim_words *words, int node)
{
    struct td_request request = {.op = TD_OP_PUBLISH};
    const char *state = sim_word_of(words, "state"), *ack = sim_word_of(words, "ack");
    struct td_update update = {.fields = TD_FIELDS_ALL, .correct = sim_word_is(words, "correct")};
    int64_t expect_ms = 0;

    if (state == NULL ||
        !td_state_parse((struct td_text){state, (uint32_t)strlen(state)}, &update.status.state)) {
        return sim_scenario_why(scenario, "publish needs a state");
    }
    if (sim_word_of(words, "silence") != NULL &&
        !sim_duration(sim_word_of(words, "silence"), &expect_ms)) {
        return sim_scenario_why(scenario, "silence=30s");
    }
    struct sim_client *client = prepare(scenario, words, node, &request);
    if (client == NULL) {
        return false;
    }
    client->reading = false;
    update.job = sim_job_text(scenario->world, client->job);
    update.job_hash = scenario->world->job_hashes[client->job];
    update.attempt = client->attempt;
    update.status.writer = (struct td_text){client->name, (uint32_t)strlen(client->name)};
    update.status.expect_every_s = (uint32_t)(expect_ms / 1000);
    update.seen = *seen_of(scenario, client);
    request.u.publish.ack = ack == NULL               ? 0
                            : strcmp(ack, "all") == 0 ? TD_ACK_ALL
                                                      : (uint8_t)strtoul(ack, NULL, 10);
    request.u.publish.count = 1;
    request.u.publish.updates = &update;
    return call(scenario, client, &request);
}

bool sim_client_get(struct sim_scenario *scenario, struct sim_words *words, int node)
{
    struct td_request request = {.op = TD_OP_GET};
    struct sim_client *client = prepare(scenario, words, node, &request);

    if (client == NULL) {
        return false;
    }
    client->reading = true;
    request.u.get.job = sim_job_text(scenario->world, client->job);
    request.u.get.job_hash = scenario->world->job_hashes[client->job];
    request.u.get.attempt = client->attempt;
    return call(scenario, client, &request);
}

void sim_clients_cut_off(struct sim_scenario *scenario, int node)
{
    for (uint32_t i = 0; i < scenario->client_count; i++) {
        struct sim_client *client = scenario->clients[i];
        if (client->waiting && client->node == node) {
            client->waiting = false;
            sim_story_line(scenario->world, SIM_NONE, "%s: no answer, the connection ended",
                           client->name);
        }
    }
}

/* ---- answers ---- */
static void join(struct sim_client *client, const struct td_vv *has)
{
    static struct td_vv_entry entries[TD_VV_ENTRIES_MAX];
    static struct td_vv_fold folds[TD_REGIONS_MAX];
    struct td_vv joined;

    if (td_vv_merge(&client->token.vv, has, entries, TD_VV_ENTRIES_MAX, folds, TD_REGIONS_MAX,
                    &joined)) {
        bool fits = td_vv_store_set(&client->token, &joined);
        TD_ASSERT(fits);
    }
}

static void saw(struct sim_scenario *scenario, struct sim_client *client, uint8_t rank,
                struct td_stamp stamp, struct td_dot dot)
{
    struct td_seen *seen = seen_of(scenario, client);
    struct td_vv_entry entry = {dot.origin, dot.seq};
    struct td_vv one = {.entry_count = 1, .entries = &entry};

    seen->rank = rank;
    seen->stamp = stamp;
    seen->dot = dot;
    join(client, &one);
}

static void published(struct sim_scenario *scenario, struct sim_client *client, int node,
                      const struct td_response *response)
{
    struct sim_world *world = scenario->world;
    bool one =
        response->u.publish.count == 1 && (response->err == TD_OK || response->err == TD_EACK);
    const struct td_result *result = one ? &response->u.publish.results[0] : NULL;
    char dot[40];

    client->err = one ? result->err : response->err;
    client->acked_regions = one ? result->acked_regions : 0;
    if (one && result->dot.seq != 0 && (result->err == TD_OK || result->err == TD_EACK)) {
        struct sim_truth *truth = sim_truth_find(world, result->dot);
        if (truth == NULL || !truth->durable) {
            sim_fail(world, "I1", "an answer names what is not durable");
            return;
        }
        sim_truth_ack(world, truth);
        saw(scenario, client, result->rank, result->stamp, result->dot);
        char confirmed[32] = "";
        if (result->acked_regions > 0) {
            snprintf(confirmed, sizeof confirmed, ", %u others have it", result->acked_regions);
        }
        sim_story_line(world, node, "answers %s: %s %s%s%s", client->name,
                       result->err == TD_OK ? "ok" : "kept, but not confirmed as asked,",
                       sim_dot_text(result->dot, dot, sizeof dot), result->noop ? " (had it)" : "",
                       confirmed);
        return;
    }
    sim_story_line(world, node, "answers %s: refused, %s", client->name, td_err_text(client->err));
}

static void freshness_text(const struct td_response *response, char *ret_text, size_t text_bytes)
{
    size_t used =
        (size_t)snprintf(ret_text, text_bytes, "%s", response->certain ? "certain" : "uncertain");

    for (uint32_t i = 0; i < response->freshness_count && used < text_bytes; i++) {
        const struct td_fresh_view *row = &response->freshness[i];
        if (row->region.v == response->node.v) {
            continue;
        }
        char age[24] = "?";
        if (row->age_known) {
            snprintf(age, sizeof age, "%llus", (unsigned long long)row->age_ms / 1000);
        }
        used +=
            (size_t)snprintf(ret_text + used, text_bytes - used, " %u:%s%s%s", row->region.v, age,
                             row->recovering ? ",recovering" : "", row->doubt ? ",doubt" : "");
    }
}

static void read_back(struct sim_scenario *scenario, struct sim_client *client, int node,
                      const struct td_response *response)
{
    struct sim_world *world = scenario->world;
    char fresh[160], dot[40];

    client->err = response->err;
    client->certain = response->certain;
    freshness_text(response, fresh, sizeof fresh);
    for (uint32_t i = 0; response->err == TD_OK && i < response->u.registers.count; i++) {
        const struct td_register_view *view = &response->u.registers.registers[i];
        if (client->attempt != 0 && view->attempt != client->attempt) {
            continue;
        }
        client->attempt = view->attempt;
        client->state = view->status.state;
        saw(scenario, client, td_state_rank(view->status.state), view->stamp, view->dot);
        sim_story_line(world, node, "answers %s: %s/%u %s%s %s; %s", client->name,
                       world->job_names[client->job], view->attempt,
                       td_state_name(view->status.state), view->silent ? " but silent" : "",
                       sim_dot_text(view->dot, dot, sizeof dot), fresh);
        return;
    }
    client->err = response->err == TD_OK ? TD_EUNKNOWN : response->err;
    sim_story_line(world, node, "answers %s: %s; %s", client->name, td_err_text(client->err),
                   fresh);
}

void sim_client_reply(struct sim_scenario *scenario, int node, uint32_t index,
                      const struct td_response *response)
{
    struct sim_client *client = index < scenario->client_count ? scenario->clients[index] : NULL;

    sim_check_i6(scenario->world, node, response->freshness, response->freshness_count);
    if (client == NULL || !client->waiting || client->serial != response->id ||
        client->node != node) {
        return;
    }
    client->waiting = false;
    client->answered = true;
    if (client->reading) {
        read_back(scenario, client, node, response);
    } else {
        published(scenario, client, node, response);
    }
    if (response->err == TD_OK) {
        join(client, &response->has);
    }
}
