/* net.c -- the public face: start and stop, roster and process, sending, faults, figures. */
#include "node/net/net.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/net/internal.h"
#include "proto/assert.h"
#include "proto/reader.h"

/* --- Start and stop -------------------------------------------------------------------------- */

static void init_locks(struct td_net *net)
{
    pthread_condattr_t attributes;

    pthread_mutex_init(&net->lock, NULL);
    pthread_mutex_init(&net->work_lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&net->work_cond, &attributes);
    pthread_condattr_destroy(&attributes);
}

static void free_net(struct td_net *net)
{
    while (net->workers_idle != NULL) {
        struct worker *worker = net->workers_idle;
        net->workers_idle = worker->next;
        td_reader_free(worker->reader);
        free(worker);
    }
    for (size_t i = 0; i < net->seed_count; i++) {
        free(net->seeds[i]);
    }
    td_roster_ref_put(net->roster);
    pthread_cond_destroy(&net->work_cond);
    pthread_mutex_destroy(&net->work_lock);
    pthread_mutex_destroy(&net->lock);
    free(net->listeners);
    free(net);
}

static uint32_t or_usual(uint32_t ms, uint32_t usual_ms)
{
    return ms != 0 ? ms : usual_ms;
}

static struct td_net_times times_of(const struct td_net_times *times)
{
    return (struct td_net_times){
        .handshake = or_usual(times->handshake, 5000),
        .heartbeat = or_usual(times->heartbeat, 500),
        .dead = or_usual(times->dead, 4000),
        .goodbye = or_usual(times->goodbye, 1000),
        .redial_max = or_usual(times->redial_max, 2500),
        .client_ping = or_usual(times->client_ping, 15000),
        .client_dead = or_usual(times->client_dead, 45000),
    };
}

static enum td_err copy_config(struct td_net *net, const struct td_net_config *config)
{
    net->secret = config->secret;
    net->root_sign_key = config->root_sign_key;
    net->self_configured = config->self;
    net->clients_max = config->clients_max == 0 ? CLIENTS_DEFAULT : config->clients_max;
    net->chaos = config->chaos;
    net->times = times_of(&config->times);
    size_t software_bytes = config->software.count;
    software_bytes =
        software_bytes > TD_SOFTWARE_BYTES_MAX ? TD_SOFTWARE_BYTES_MAX : software_bytes;
    if (software_bytes > 0) {
        memcpy(net->software, config->software.bytes, software_bytes);
    }
    for (size_t i = 0; i < config->seed_count && i < SEEDS_MAX; i++) {
        net->seeds[i] = strdup(config->seeds[i]);
        if (net->seeds[i] == NULL) {
            return TD_ENOMEM;
        }
        net->seed_count++;
    }
    return TD_OK;
}

static enum td_err start_listeners(struct td_net *net, const struct td_net_config *config,
                                   char *ret_why, size_t why_bytes)
{
    size_t count = config->listen_peer_count + (config->listen_local != NULL ? 1 : 0);
    enum td_err err = TD_OK;

    net->listeners = calloc(count == 0 ? 1 : count, sizeof *net->listeners);
    if (net->listeners == NULL) {
        return TD_ENOMEM;
    }
    for (size_t i = 0; i < count && err == TD_OK; i++) {
        bool local = i == config->listen_peer_count;
        err = listener_start(net, &net->listeners[i],
                             local ? config->listen_local : config->listen_peer[i], local, ret_why,
                             why_bytes);
        net->listener_count++;
    }
    return err;
}

enum td_err td_net_start(const struct td_net_config *config, const struct td_net_sink *sink,
                         struct td_roster_ref *roster, struct td_net **ret_net, char *ret_why,
                         size_t why_bytes)
{
    struct td_net *net = calloc(1, sizeof *net);

    if (net == NULL) {
        snprintf(ret_why, why_bytes, "out of memory");
        return TD_ENOMEM;
    }
    init_locks(net);
    net->sink = *sink;
    snprintf(ret_why, why_bytes, "out of memory");
    enum td_err err = copy_config(net, config);
    net->signer_self = (struct td_sodium_signer){NULL, td_cluster_id_of(&net->root_sign_key)};
    net->signer = td_sodium_signer(&net->signer_self);
    net_take_roster(net, roster);
    if (err == TD_OK) {
        err = start_listeners(net, config, ret_why, why_bytes);
    }
    if (err != TD_OK) {
        td_net_stop(net, 1000);
        return err;
    }
    *ret_net = net;
    return TD_OK;
}

static bool all_ended(struct td_net *net)
{
    pthread_mutex_lock(&net->lock);
    bool ended = net->link_objects == 0 && net->dials == NULL;
    pthread_mutex_unlock(&net->lock);
    pthread_mutex_lock(&net->work_lock);
    ended = ended && net->workers_busy == 1; /* ourselves */
    pthread_mutex_unlock(&net->work_lock);
    return ended;
}

static void close_links(struct td_net *net)
{
    pthread_mutex_lock(&net->lock);
    for (struct link *link = net->links; link != NULL; link = link->next) {
        /* TD_EBUSY: at once, without goodbye. */
        link_kick(link, TD_EBUSY);
    }
    pthread_mutex_unlock(&net->lock);
}

static bool free_listeners(struct td_net *net)
{
    bool all = true;

    for (size_t i = 0; i < net->listener_count; i++) {
        all = listener_free(&net->listeners[i]) && all;
    }
    return all;
}

static bool listeners_pending(struct td_net *net)
{
    bool pending = false;

    for (size_t i = 0; i < net->listener_count; i++) {
        pthread_mutex_lock(&net->listeners[i].lock);
        pending = pending || net->listeners[i].pending;
        pthread_mutex_unlock(&net->listeners[i].lock);
    }
    return pending;
}

/* What does not end in time is left behind with its memory: a process that exits does not wait for
 * a library. */
void td_net_stop(struct td_net *net, uint32_t deadline_ms)
{
    if (net == NULL) {
        return;
    }
    uint64_t end_ms = net_now_ms() + deadline_ms;
    atomic_store(&net->stopping, true);
    for (size_t i = 0; i < net->listener_count; i++) {
        listener_close(&net->listeners[i]);
    }
    dial_stop(net);
    struct worker *worker = worker_take(net);
    if (worker == NULL) {
        return;
    }
    do {
        close_links(net);
        work_run(net, worker, 5);
    } while ((!all_ended(net) || listeners_pending(net)) && net_now_ms() < end_ms);
    bool ended = all_ended(net) && !listeners_pending(net);
    worker_give(net, worker);
    if (ended && free_listeners(net)) {
        free_net(net);
    }
}

void td_net_work(struct td_net *net, uint32_t wait_ms)
{
    if (atomic_load(&net->stopping)) {
        return;
    }
    struct worker *worker = worker_take(net);
    if (worker != NULL) {
        work_run(net, worker, wait_ms);
        worker_give(net, worker);
    }
}

/* --- Membership ------------------------------------------------------------------------------ */

static void look_again_locked(struct td_net *net, bool roster_changed)
{
    for (struct link *link = net->links; link != NULL; link = link->next) {
        if (roster_changed) {
            atomic_store(&link->roster_changed, true);
        }
        work_enqueue(net, &link->work);
    }
}

void td_net_set_roster(struct td_net *net, struct td_roster_ref *roster)
{
    pthread_mutex_lock(&net->lock);
    net_take_roster(net, roster);
    look_again_locked(net, true);
    pthread_mutex_unlock(&net->lock);
}

void td_net_set_process(struct td_net *net, struct td_incarnation process)
{
    pthread_mutex_lock(&net->lock);
    net->process = process;
    net->process_known = true;
    look_again_locked(net, true);
    pthread_mutex_unlock(&net->lock);
}

/* --- Sending --------------------------------------------------------------------------------- */

enum td_err td_net_send(struct td_net *net, struct td_link_id id, const struct td_out_frame *frames,
                        size_t frame_count)
{
    struct link *link = link_find(net, id);

    if (link == NULL) {
        return TD_ECLOSEDLINK;
    }
    enum td_err err = link_queue(link, frames, frame_count, true);
    if (err == TD_OK) {
        work_enqueue(net, &link->work);
    }
    link_put(link);
    return err;
}

void td_net_close_link(struct td_net *net, struct td_link_id id, enum td_err why)
{
    struct link *link = link_find(net, id);

    if (link != NULL) {
        link_kick(link, why);
        link_put(link);
    }
}

/* --- Faults and figures ---------------------------------------------------------------------- */

/* What is cut is held, not thrown away: as with a real cut, TCP's bytes come late or, when the
 * other side gives up first, never. */
enum td_err td_net_set_fault(struct td_net *net, struct td_region region, bool send_cut,
                             bool receive_cut)
{
    if (!net->chaos) {
        return TD_EPERM;
    }
    if (region.v == 0) {
        return TD_EFORMAT;
    }
    atomic_store(&net->regions[region.v].send_cut, send_cut);
    atomic_store(&net->regions[region.v].receive_cut, receive_cut);
    pthread_mutex_lock(&net->lock);
    look_again_locked(net, false);
    pthread_mutex_unlock(&net->lock);
    return TD_OK;
}

struct td_net_stats td_net_stats(struct td_net *net)
{
    pthread_mutex_lock(&net->lock);
    struct td_net_stats stats = net->stats;
    stats.half_open = 0;
    for (size_t i = 0; i < HALF_OPEN_MAX; i++) {
        stats.half_open += net->half_open[i] != NULL ? 1 : 0;
    }
    for (const struct link *link = net->links; link != NULL; link = link->next) {
        if (link->up && link->info.kind == TD_LINK_REGION) {
            stats.links++;
        }
    }
    stats.clients = net->client_count;
    pthread_mutex_unlock(&net->lock);
    stats.sent_bytes = atomic_load(&net->sent_bytes);
    stats.received_bytes = atomic_load(&net->received_bytes);
    return stats;
}

void td_net_region_stats(struct td_net *net, struct td_region region, uint64_t *ret_sent_bytes,
                         uint64_t *ret_received_bytes, uint64_t *ret_reconnects)
{
    struct region_state *state = &net->regions[region.v];

    *ret_sent_bytes = atomic_load(&state->sent_bytes);
    *ret_received_bytes = atomic_load(&state->received_bytes);
    pthread_mutex_lock(&net->lock);
    *ret_reconnects = state->ups == 0 ? 0 : state->ups - 1;
    pthread_mutex_unlock(&net->lock);
}
