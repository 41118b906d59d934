/* work.c -- the queue of links, listeners and dials that a worker has to look at. An item is in the
 * queue at most once and run by one worker at a time. */
#include "node/net/internal.h"

#include <stdlib.h>
#include <time.h>

#include "proto/assert.h"
#include "proto/reader.h"
#include "proto/sign_sodium.h"

enum { ITEMS_PER_ROUND = 64 };

uint64_t net_now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t net_now_ms(void)
{
    return net_now_us() / 1000;
}

uint32_t net_jitter_ms(uint32_t ms)
{
    uint32_t random;

    td_random_bytes(&random, sizeof random);
    return ms + random % (ms / 2 + 1);
}

static void push_locked(struct td_net *net, struct work *work)
{
    work->queued = true;
    work->next = NULL;
    if (net->work_last == NULL) {
        net->work_first = work;
    } else {
        net->work_last->next = work;
    }
    net->work_last = work;
    pthread_cond_signal(&net->work_cond);
}

void work_enqueue(struct td_net *net, struct work *work)
{
    pthread_mutex_lock(&net->work_lock);
    if (work->running) {
        work->again = true;
    } else if (!work->queued) {
        if (work->held != NULL) {
            work->held(work);
        }
        push_locked(net, work);
    }
    pthread_mutex_unlock(&net->work_lock);
}

static struct work *pop_locked(struct td_net *net)
{
    struct work *work = net->work_first;

    if (work != NULL) {
        net->work_first = work->next;
        if (net->work_first == NULL) {
            net->work_last = NULL;
        }
        work->queued = false;
        work->running = true;
        work->again = false;
    }
    return work;
}

static void run_item(struct td_net *net, struct work *work, struct worker *worker)
{
    if (work->run(work, worker)) {
        return;
    }
    pthread_mutex_lock(&net->work_lock);
    work->running = false;
    bool again = work->again;
    if (again) {
        push_locked(net, work);
    }
    pthread_mutex_unlock(&net->work_lock);
    if (!again && work->done != NULL) {
        work->done(work);
    }
}

struct worker *worker_take(struct td_net *net)
{
    pthread_mutex_lock(&net->work_lock);
    struct worker *worker = net->workers_idle;
    if (worker != NULL) {
        net->workers_idle = worker->next;
        net->workers_busy++;
    }
    pthread_mutex_unlock(&net->work_lock);
    if (worker != NULL) {
        return worker;
    }
    worker = calloc(1, sizeof *worker);
    if (worker == NULL) {
        return NULL;
    }
    worker->reader = td_reader_alloc();
    if (worker->reader == NULL) {
        free(worker);
        return NULL;
    }
    pthread_mutex_lock(&net->work_lock);
    net->workers_busy++;
    pthread_mutex_unlock(&net->work_lock);
    return worker;
}

void worker_give(struct td_net *net, struct worker *worker)
{
    pthread_mutex_lock(&net->work_lock);
    TD_ASSERT(net->workers_busy > 0);
    net->workers_busy--;
    worker->next = net->workers_idle;
    net->workers_idle = worker;
    pthread_mutex_unlock(&net->work_lock);
}

static void tick(struct td_net *net, uint64_t now_ms)
{
    for (size_t i = 0; i < net->listener_count; i++) {
        listener_tick(&net->listeners[i], now_ms);
    }
    pthread_mutex_lock(&net->lock);
    for (struct link *link = net->links; link != NULL; link = link->next) {
        if (now_ms >= atomic_load(&link->due_ms)) {
            work_enqueue(net, &link->work);
        }
    }
    pthread_mutex_unlock(&net->lock);
    if (!atomic_load(&net->stopping)) {
        dial_tick(net, now_ms);
    }
}

/* One worker at a time looks at the timers. */
static bool begin_tick_locked(struct td_net *net, uint64_t now_ms)
{
    if (net->ticking || now_ms < net->tick_ms) {
        return false;
    }
    net->ticking = true;
    return true;
}

static void wait_locked(struct td_net *net, uint64_t wait_until_ms)
{
    uint64_t until_ms = net->ticking || net->tick_ms > wait_until_ms ? wait_until_ms : net->tick_ms;
    struct timespec until = {
        .tv_sec = (time_t)(until_ms / 1000),
        .tv_nsec = (long)(until_ms % 1000) * 1000000,
    };

    pthread_cond_timedwait(&net->work_cond, &net->work_lock, &until);
}

void work_run(struct td_net *net, struct worker *worker, uint32_t wait_ms)
{
    uint64_t end_ms = net_now_ms() + wait_ms;
    unsigned items = 0;

    pthread_mutex_lock(&net->work_lock);
    for (;;) {
        uint64_t now_ms = net_now_ms();
        if (begin_tick_locked(net, now_ms)) {
            pthread_mutex_unlock(&net->work_lock);
            tick(net, now_ms);
            pthread_mutex_lock(&net->work_lock);
            net->ticking = false;
            net->tick_ms = net_now_ms() + TICK_MS;
            continue;
        }
        struct work *work = items < ITEMS_PER_ROUND ? pop_locked(net) : NULL;
        if (work != NULL) {
            pthread_mutex_unlock(&net->work_lock);
            run_item(net, work, worker);
            items++;
            pthread_mutex_lock(&net->work_lock);
            continue;
        }
        if (items > 0 || now_ms >= end_ms) {
            break;
        }
        wait_locked(net, end_ms);
    }
    pthread_mutex_unlock(&net->work_lock);
}
