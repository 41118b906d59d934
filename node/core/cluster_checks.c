/* cluster_checks.c -- what must hold: nothing acknowledged is lost (I1), all converge (I2). */
#include "node/core/cluster_world.h"

#include <string.h>

/* ---- checks ---- */
int cluster_state(struct cluster *cluster, unsigned index, const char *job, uint16_t attempt)
{
    struct td_core *core = cluster->nodes[index].core;
    struct td_text text = {job, (uint32_t)strlen(job)};
    uint32_t reg =
        core == NULL ? TD_NONE : td_table_find(core, hash_bytes(1, job, text.count), text, attempt);
    return reg == TD_NONE ? -1 : core->registers[reg].state;
}

static bool ack_held(const struct td_core *core, const struct cluster_ack *ack)
{
    struct td_text job = {ack->job, (uint32_t)strlen(ack->job)};
    struct td_vv has = td_core_has(core);

    if (!td_vv_covers_dot(&has, ack->order.dot)) {
        return true;
    }
    uint32_t reg = td_table_find(core, ack->job_hash, job, ack->attempt);
    if (reg == TD_NONE) {
        return false;
    }
    struct td_order order = td_register_order(core, &core->registers[reg]);
    if (td_dot_compare(order.dot, ack->order.dot) == 0) {
        return true;
    }
    return td_order_compare(&order, &ack->order) > 0;
}

bool cluster_i1_holds(struct cluster *cluster)
{
    for (unsigned i = 0; i < cluster->options.nodes; i++) {
        const struct td_core *core = cluster->nodes[i].core;
        for (size_t k = 0; core != NULL && k < cluster->ack_count; k++) {
            if (!ack_held(core, &cluster->acks[k])) {
                return false;
            }
        }
    }
    return true;
}

bool cluster_converged(struct cluster *cluster, void *unused)
{
    const struct td_core *first = NULL;

    (void)unused;
    for (unsigned i = 0; i < cluster->options.nodes; i++) {
        const struct td_core *core = cluster->nodes[i].core;
        if (core == NULL) {
            continue;
        }
        if (first == NULL) {
            first = core;
            continue;
        }
        struct td_vv a = td_core_has(first), b = td_core_has(core);
        if (memcmp(first->digest, core->digest, sizeof core->digest) != 0 ||
            !td_vv_covers(&a, &b) || !td_vv_covers(&b, &a)) {
            return false;
        }
    }
    return true;
}

struct td_fresh_view cluster_fresh(struct cluster *cluster, unsigned index, unsigned about,
                                   bool *ret_certain)
{
    struct td_fresh_view rows[TD_REGIONS_MAX];
    struct td_fresh_view none = {.region = {0}};
    struct td_core *core = cluster->nodes[index].core;
    bool certain = false;

    struct td_event event =
        world_event(cluster, index, TD_EV_TICK); /* rows age by the step's clock */
    world_step(cluster, index, &event);
    uint32_t count = td_fresh_rows(core, rows, TD_REGIONS_MAX, &certain);
    if (ret_certain != NULL) {
        *ret_certain = certain;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (rows[i].region.v == about + 1) {
            return rows[i];
        }
    }
    return none;
}

size_t cluster_trace_count(const struct cluster *cluster, unsigned node, enum td_trace_code code)
{
    size_t count = 0;
    for (size_t i = 0; i < cluster->trace_count; i++) {
        count += cluster->traces[i].node == node && cluster->traces[i].code == code;
    }
    return count;
}

const struct cluster_trace *cluster_trace_last(const struct cluster *cluster, unsigned node,
                                               enum td_trace_code code)
{
    for (size_t i = cluster->trace_count; i-- > 0;) {
        if (cluster->traces[i].node == node && cluster->traces[i].code == code) {
            return &cluster->traces[i];
        }
    }
    return NULL;
}

uint64_t cluster_counter(struct cluster *cluster, unsigned node, enum td_counter_id id)
{
    return cluster->nodes[node].core == NULL ? 0 : td_core_counter(cluster->nodes[node].core, id);
}
