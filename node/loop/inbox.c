/* inbox.c -- see inbox.h. */
#include "node/loop/inbox.h"

#include <time.h>

void td_inbox_init(struct td_inbox *inbox, const struct td_inbox_bounds *bounds)
{
    pthread_condattr_t attributes;
    pthread_mutex_init(&inbox->mutex, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&inbox->filled, &attributes);
    pthread_condattr_destroy(&attributes);
    inbox->first = NULL;
    inbox->last = &inbox->first;
    inbox->woken = false;
    for (int i = 0; i < TD_INBOX_CLASSES; i++) {
        inbox->count[i] = 0;
        inbox->count_max[i] = UINT32_MAX;
        inbox->bytes[i] = 0;
        inbox->bytes_max[i] = SIZE_MAX;
    }
    inbox->count_max[TD_INBOX_REQUEST] = bounds->requests_max;
    inbox->count_max[TD_INBOX_FRAME] = bounds->frames_max;
    inbox->bytes_max[TD_INBOX_REQUEST] = bounds->request_bytes_max;
    inbox->bytes_max[TD_INBOX_FRAME] = bounds->frame_bytes_max;
}

void td_inbox_fini(struct td_inbox *inbox)
{
    struct td_inbox_item *item = inbox->first;
    while (item != NULL) {
        struct td_inbox_item *next = item->next;
        item->release(item);
        item = next;
    }
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
        bool was_empty = inbox->first == NULL;
        take_item->next = NULL;
        *inbox->last = take_item;
        inbox->last = &take_item->next;
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

struct td_inbox_item *td_inbox_take(struct td_inbox *inbox, uint64_t wait_ms)
{
    pthread_mutex_lock(&inbox->mutex);
    if (inbox->first == NULL && !inbox->woken && wait_ms > 0) {
        struct timespec deadline = deadline_after(wait_ms);
        while (inbox->first == NULL && !inbox->woken) {
            if (pthread_cond_timedwait(&inbox->filled, &inbox->mutex, &deadline) != 0) {
                break;
            }
        }
    }
    struct td_inbox_item *first = inbox->first;
    inbox->first = NULL;
    inbox->last = &inbox->first;
    inbox->woken = false;
    for (int i = 0; i < TD_INBOX_CLASSES; i++) {
        inbox->count[i] = 0;
        inbox->bytes[i] = 0;
    }
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
