/* explain.c -- why a register shows what it shows: the winner, the newest concurrent losers and the
 * superseded ones still remembered, with the place of each signed delta in the log. */
#include "node/core/answer.h"

enum { CONCURRENT_SHOWN_MAX = 4, CHAIN_STEPS_MAX = 4096 };

struct versions {
    struct td_version_view *views;
    uint32_t count;
    uint64_t register_hash;
    struct td_dot winner;
};

static void place(struct td_version_view *view, struct td_log_ref ref, uint32_t index,
                  uint64_t arrived_wall_ms)
{
    /* The driver takes the stamp off once it has read the delta: arrival for now. */
    view->arrived_after_known = arrived_wall_ms != 0;
    view->arrived_after_ms = (int64_t)arrived_wall_ms;
    view->log_ticket = ref.ticket.v;
    view->log_position = ref.position;
    view->log_bytes = ref.bytes;
    view->log_index = index;
}

static bool shown(const struct versions *versions, struct td_dot dot)
{
    for (uint32_t i = 0; i < versions->count; ++i) {
        if (td_dot_compare(versions->views[i].view.dot, dot) == 0) {
            return true;
        }
    }
    return false;
}

/* Goes down the chain of one hash bucket; a link to something overwritten since ends it. */
static void add_losers(const struct td_core *core, struct versions *versions, uint32_t limit,
                       bool concurrent)
{
    const struct td_loser *losers = concurrent ? core->losers_concurrent : core->losers;
    const uint64_t newest = concurrent ? core->loser_concurrent_number : core->loser_number;
    const uint64_t *heads = concurrent ? core->loser_concurrent_heads : core->loser_heads;
    uint64_t number = heads[versions->register_hash % TD_LOSERS];

    for (uint32_t steps = 0; number != 0 && number + TD_LOSERS > newest && limit > 0 &&
                             versions->count < TD_VERSIONS_SHOWN_MAX && steps < CHAIN_STEPS_MAX;
         ++steps) {
        const struct td_loser *loser = &losers[number % TD_LOSERS];
        number = loser->previous;
        if (loser->register_hash != versions->register_hash || shown(versions, loser->dot)) {
            continue;
        }
        struct td_version_view *view = &versions->views[versions->count++];
        view->view.dot = loser->dot;
        view->concurrent = concurrent;
        view->rule = loser->rule;
        view->via.v = loser->via;
        place(view, loser->ref, loser->index, loser->arrived_wall_ms);
        limit -= 1;
    }
}

void td_query_explain(struct td_core *core, uint32_t client_link, const struct td_request *request)
{
    struct td_response *response = td_query_reply(core, client_link, request->id, TD_OP_EXPLAIN);
    struct versions versions = {
        .views = td_fx_scratch(core, TD_VERSIONS_SHOWN_MAX, sizeof *versions.views),
    };
    TD_ASSERT(response != NULL); /* td_query_room */
    TD_ASSERT(versions.views != NULL);
    response->u.explain.refused_count =
        td_refused_of(core, request->u.get.job_hash, request->u.get.job, &response->u.explain.refused);
    const uint32_t reg =
        request->u.get.attempt != 0
            ? td_table_find(core, request->u.get.job_hash, request->u.get.job, request->u.get.attempt)
            : td_table_highest(core, request->u.get.job_hash, request->u.get.job);
    if (reg == TD_NONE) {
        response->err = TD_EUNKNOWN;
        return;
    }
    const bool got = td_register_view(core, reg, &versions.views[0].view);
    TD_ASSERT(got); /* td_query_room */
    const struct td_register *winner = &core->registers[reg];
    const struct td_slot *slot = &core->slots[winner->slot];
    versions.count = 1;
    versions.views[0].winner = true;
    versions.views[0].via.v = slot->via;
    versions.register_hash = td_register_hash(winner->job_hash, winner->attempt);
    place(&versions.views[0], slot->ref, winner->index, slot->arrived_wall_ms);
    add_losers(core, &versions, CONCURRENT_SHOWN_MAX, true);
    add_losers(core, &versions, TD_VERSIONS_SHOWN_MAX, false);
    response->u.explain.count = versions.count;
    response->u.explain.versions = versions.views;
}
