/* inbox.c -- see inbox.h. */
#include "node/loop/inbox.h"

#include <time.h>

static void empty(struct td_inbox_queue *queue)
{
    queue->first = NULL;
    queue->last = &queue->first;
}

static void append(struct td_inbox_queue *queue, struct td_inbox_item *item)
{
    item->next = NULL;
    *queue->last = item;
    queue->last = &item->next;
}

static struct td_inbox_item *take_first(struct td_inbox_queue *queue)
{
    struct td_inbox_item *item = queue->first;
    queue->first = item->next;
    if (queue->first == NULL) {
        queue->last = &queue->first;
    }
    return item;
}

static bool is_empty(const struct td_inbox *inbox)
{
    return inbox->queue.first == NULL && inbox->walks.first == NULL;
}

void td_inbox_init(struct td_inbox *inbox, const struct td_inbox_bounds *bounds)
{
    pthread_condattr_t attributes;
    pthread_mutex_init(&inbox->mutex, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&inbox->filled, &attributes);
    pthread_condattr_destroy(&attributes);
    empty(&inbox->queue);
    empty(&inbox->walks);
    inbox->woken = false;
    for (int i = 0; i < TD_INBOX_CLASSES; i++) {
        inbox->count[i] = 0;
        inbox->count_max[i] = UINT32_MAX;
        inbox->bytes[i] = 0;
        inbox->bytes_max[i] = SIZE_MAX;
    }
    inbox->count_max[TD_INBOX_REQUEST] = bounds->requests_max;
    inbox->count_max[TD_INBOX_FRAME] = bounds->frames_max;
    inbox->count_max[TD_INBOX_WALK] = bounds->requests_max;
    inbox->bytes_max[TD_INBOX_REQUEST] = bounds->request_bytes_max;
    inbox->bytes_max[TD_INBOX_WALK] = bounds->request_bytes_max;
    inbox->bytes_max[TD_INBOX_FRAME] = bounds->frame_bytes_max;
}

static void release_all(struct td_inbox_queue *queue)
{
    while (queue->first != NULL) {
        struct td_inbox_item *item = take_first(queue);
        item->release(item);
    }
}

void td_inbox_fini(struct td_inbox *inbox)
{
    release_all(&inbox->queue);
    release_all(&inbox->walks);
    pthread_cond_destroy(&inbox->filled);
    pthread_mutex_destroy(&inbox->mutex);
}

bool td_inbox_push(struct td_inbox *inbox, struct td_inbox_item *take_item)
{
    enum td_inbox_class class_ = take_item->class_;
    pthread_mutex_lock(&inbox->mutex);
    bool room = inbox->count[class_] < inbox->count_max[class_] &&
                take_item->bytes <= inbox->bytes_max[class_] - inbox->bytes[class_];
    if (room) {
        bool was_empty = is_empty(inbox);
        append(class_ == TD_INBOX_WALK ? &inbox->walks : &inbox->queue, take_item);
        inbox->count[class_]++;
        inbox->bytes[class_] += take_item->bytes;
        if (was_empty) {
            pthread_cond_signal(&inbox->filled);
        }
    }
    pthread_mutex_unlock(&inbox->mutex);
    return room;
}

static struct timespec deadline_after(uint64_t wait_ms)
{
    struct timespec deadline;
    clock_gettime(CLOCK_MONOTONIC, &deadline);
    deadline.tv_sec += (time_t)(wait_ms / 1000);
    deadline.tv_nsec += (long)(wait_ms % 1000) * 1000000;
    if (deadline.tv_nsec >= 1000000000) {
        deadline.tv_sec++;
        deadline.tv_nsec -= 1000000000;
    }
    return deadline;
}

/* All that is queued and the oldest walk behind it. */
static struct td_inbox_item *take_turn(struct td_inbox *inbox)
{
    for (int i = 0; i < TD_INBOX_WALK; i++) {
        inbox->count[i] = 0;
        inbox->bytes[i] = 0;
    }
    if (inbox->walks.first != NULL) {
        struct td_inbox_item *walk = take_first(&inbox->walks);
        inbox->count[TD_INBOX_WALK]--;
        inbox->bytes[TD_INBOX_WALK] -= walk->bytes;
        append(&inbox->queue, walk);
    }
    struct td_inbox_item *first = inbox->queue.first;
    empty(&inbox->queue);
    return first;
}

struct td_inbox_item *td_inbox_take(struct td_inbox *inbox, uint64_t wait_ms)
{
    pthread_mutex_lock(&inbox->mutex);
    if (is_empty(inbox) && !inbox->woken && wait_ms > 0) {
        struct timespec deadline = deadline_after(wait_ms);
        while (is_empty(inbox) && !inbox->woken) {
            if (pthread_cond_timedwait(&inbox->filled, &inbox->mutex, &deadline) != 0) {
                break;
            }
        }
    }
    struct td_inbox_item *first = take_turn(inbox);
    inbox->woken = false;
    pthread_mutex_unlock(&inbox->mutex);
    return first;
}

void td_inbox_wake(struct td_inbox *inbox)
{
    pthread_mutex_lock(&inbox->mutex);
    inbox->woken = true;
    pthread_cond_signal(&inbox->filled);
    pthread_mutex_unlock(&inbox->mutex);
}

uint32_t td_inbox_count(struct td_inbox *inbox)
{
    uint32_t total = 0;
    pthread_mutex_lock(&inbox->mutex);
    for (int i = 0; i < TD_INBOX_CLASSES; i++) {
        total += inbox->count[i];
    }
    pthread_mutex_unlock(&inbox->mutex);
    return total;
}
