/* dial.c -- whom we dial and when. Every dial has a dialer of its own: one that was used for a dial
 * that timed out must not be used again. */
#include "node/net/internal.h"

#include <stdlib.h>
#include <string.h>

#include "proto/assert.h"

static bool run_dial(struct work *work, struct worker *worker);

static void dialed(void *arg)
{
    struct dial *dial = arg;

    TD_ASSERT(atomic_load(&dial->given));
    work_enqueue(dial->net, &dial->work);
}

static struct dial *dial_alloc(struct td_net *net, int target, struct td_text url)
{
    struct dial *dial = calloc(1, sizeof *dial);

    if (dial == NULL || url.count >= sizeof dial->url) {
        free(dial);
        return NULL;
    }
    memcpy(dial->url, url.bytes, url.count);
    dial->net = net;
    dial->target = target;
    dial->work.run = run_dial;
    if (nng_aio_alloc(&dial->aio, dialed, dial) != 0 ||
        nng_stream_dialer_alloc(&dial->dialer, dial->url) != 0) {
        nng_aio_free(dial->aio);
        free(dial);
        return NULL;
    }
    nng_aio_set_timeout(dial->aio, CONNECT_MS);
    /* The stream API leaves Nagle's algorithm on (only sockets turn it off): a small frame behind
     * another would wait for the peer's delayed acknowledgement, 40 ms. */
    (void)nng_stream_dialer_set_bool(dial->dialer, NNG_OPT_TCP_NODELAY, true);
    return dial;
}

static void unlist_locked(struct td_net *net, struct dial *dial)
{
    struct dial **at = &net->dials;

    while (*at != NULL && *at != dial) {
        at = &(*at)->next;
    }
    TD_ASSERT(*at == dial);
    *at = dial->next;
}

static bool is_seed(int target)
{
    return target >= TARGETS_OF_REGIONS;
}

/* Exponential, with jitter, to a ceiling of a few seconds; a node that waits for its admission asks
 * every second. */
static void back_off_locked(struct td_net *net, int number)
{
    struct target *target = &net->targets[number];
    uint32_t wait_ms = is_seed(number) ? REDIAL_MS_WAITING : target->backoff_ms;

    target->state = TARGET_IDLE;
    target->due_ms =
        net_now_ms() + net_jitter_ms(wait_ms < REDIAL_MS_FIRST ? REDIAL_MS_FIRST : wait_ms);
    uint32_t most_ms = net->times.redial_max;
    target->backoff_ms = wait_ms * 2 > most_ms ? most_ms : wait_ms * 2;
    target->backoff_ms =
        target->backoff_ms < REDIAL_MS_FIRST ? REDIAL_MS_FIRST : target->backoff_ms;
}

static bool run_dial(struct work *work, struct worker *worker)
{
    struct dial *dial = (struct dial *)work;
    struct td_net *net = dial->net;
    nng_stream *stream = NULL;

    (void)worker;
    if (nng_aio_result(dial->aio) == 0) {
        stream = nng_aio_get_output(dial->aio, 0);
    }
    bool cut = dial->target <= TD_REGION_NUMBER_MAX &&
               net_fault(net, (struct td_region){(uint8_t)dial->target});
    if (stream != NULL && (cut || atomic_load(&net->stopping))) {
        nng_stream_close(stream);
        nng_stream_free(stream);
        stream = NULL;
    }
    pthread_mutex_lock(&net->lock);
    if (stream != NULL) {
        net->targets[dial->target].state = TARGET_LINK;
    } else {
        back_off_locked(net, dial->target);
    }
    pthread_mutex_unlock(&net->lock);
    if (stream != NULL) {
        struct link *link = link_open(net, stream, true, false, dial->target);
        if (link != NULL) {
            work_enqueue(net, &link->work);
            link_put(link);
        } else {
            dial_link_ended(net, dial->target, 0);
        }
    }
    pthread_mutex_lock(&net->lock);
    unlist_locked(net, dial);
    pthread_mutex_unlock(&net->lock);
    nng_aio_free(dial->aio);
    nng_stream_dialer_free(dial->dialer);
    free(dial);
    return true;
}

/* The first dial of the higher number waits a little: the link dialled by the lower one stays. */
static uint32_t head_start_ms(const struct td_net *net, int target)
{
    return !is_seed(target) && net->self.v > target ? 200 : 0;
}

void dial_link_ended(struct td_net *net, int target, uint64_t lived_ms)
{
    pthread_mutex_lock(&net->lock);
    if (lived_ms >= STABLE_MS) {
        net->targets[target].backoff_ms = REDIAL_MS_FIRST;
    }
    back_off_locked(net, target);
    pthread_mutex_unlock(&net->lock);
}

void dial_region_down(struct td_net *net, struct td_region region)
{
    struct target *target = &net->targets[region.v];

    pthread_mutex_lock(&net->lock);
    uint64_t due_ms = net_now_ms() + net_jitter_ms(REDIAL_MS_FIRST) + head_start_ms(net, region.v);
    if (target->state == TARGET_IDLE && target->due_ms < due_ms) {
        target->due_ms = due_ms;
    }
    pthread_mutex_unlock(&net->lock);
}

/* Where to dial this target now; count 0 = not at all. */
static struct td_text endpoint_locked(struct td_net *net, int number)
{
    struct td_text none = {NULL, 0};
    struct target *target = &net->targets[number];

    if (is_seed(number)) {
        const char *seed = net->seeds[number - TARGETS_OF_REGIONS];
        return net->self_active ? none : (struct td_text){seed, (uint32_t)strlen(seed)};
    }
    struct td_region region = {(uint8_t)number};
    if (!net->self_active || net->roster == NULL || region.v == net->self.v ||
        net_fault(net, region)) {
        return none;
    }
    const struct td_roster_region *entry =
        td_roster_region(td_roster_ref_roster(net->roster), region);
    if (entry == NULL || !td_roster_region_links(entry) || entry->endpoint_count == 0) {
        return none;
    }
    return entry->endpoints[target->next_endpoint % entry->endpoint_count];
}

static void start_locked(struct td_net *net, int number, struct td_text url)
{
    struct target *target = &net->targets[number];
    struct dial *dial = dial_alloc(net, number, url);

    target->next_endpoint++;
    if (dial == NULL) {
        back_off_locked(net, number);
        return;
    }
    target->state = TARGET_DIALING;
    dial->next = net->dials;
    net->dials = dial;
    atomic_store(&dial->given, true);
    nng_stream_dialer_dial(dial->dialer, dial->aio);
}

void dial_tick(struct td_net *net, uint64_t now_ms)
{
    int count = TARGETS_OF_REGIONS + (int)net->seed_count;

    pthread_mutex_lock(&net->lock);
    for (int i = 1; i < count; i++) {
        struct target *target = &net->targets[i];
        if (target->state != TARGET_IDLE || now_ms < target->due_ms) {
            continue;
        }
        struct td_text url = endpoint_locked(net, i);
        if (url.count == 0 || (!is_seed(i) && net->regions[i].links_up > 0)) {
            continue;
        }
        if (target->due_ms == 0 && head_start_ms(net, i) > 0) {
            target->due_ms = now_ms + head_start_ms(net, i);
            continue;
        }
        start_locked(net, i, url);
    }
    pthread_mutex_unlock(&net->lock);
}

void dial_stop(struct td_net *net)
{
    pthread_mutex_lock(&net->lock);
    for (struct dial *dial = net->dials; dial != NULL; dial = dial->next) {
        nng_stream_dialer_close(dial->dialer);
        nng_aio_cancel(dial->aio);
    }
    pthread_mutex_unlock(&net->lock);
}
