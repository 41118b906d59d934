/* drain.c -- leaving in good order: publishes are refused, and the node stays until some other region
 * has all of its updates on disk. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "node/daemon/logging.h"
#include "node/daemon/node.h"

enum { ASK_EVERY_MS = 50 };

struct question {
    struct td_inbox_item item;
    struct td_request request;
};

static void release_question(struct td_inbox_item *item)
{
    free(item);
}

static void ask_status(struct td_node *node)
{
    struct question *question = calloc(1, sizeof *question);
    if (question == NULL) {
        return;
    }
    question->request.op = TD_OP_STATUS;
    question->item.class_ = TD_INBOX_COMPLETION;
    question->item.release = release_question;
    question->item.event.type = TD_EV_REQUEST;
    question->item.event.u.request.client_link = TD_CLIENT_SELF;
    question->item.event.u.request.request = &question->request;
    if (!td_inbox_push(&node->inbox, &question->item)) {
        free(question);
    }
}

void td_drain_answer(struct td_node *node, const struct td_response *status)
{
    bool alone = true;
    bool covered = false;
    struct td_region by = { 0 };
    for (uint32_t i = 0; i < status->u.status.region_count; i++) {
        const struct td_region_view *region = &status->u.status.regions[i];
        if (!region->self && region->roster_state == TD_REGION_ACTIVE) {
            alone = false;
            if (region->they_lack_known && region->they_lack == 0) {
                covered = true;
                by = region->region;
            }
        }
    }
    pthread_mutex_lock(&node->drain.mutex);
    node->drain.covered = alone || covered;
    node->drain.by = by;
    node->drain.answers++;
    pthread_cond_signal(&node->drain.answered);
    pthread_mutex_unlock(&node->drain.mutex);
}

static struct timespec after_ms(uint32_t ms)
{
    struct timespec when;
    clock_gettime(CLOCK_REALTIME, &when);
    when.tv_nsec += (long)(ms % 1000) * 1000000;
    when.tv_sec += ms / 1000 + when.tv_nsec / 1000000000;
    when.tv_nsec %= 1000000000;
    return when;
}

void td_drain(struct td_node *node, uint32_t deadline_ms)
{
    __atomic_store_n(&node->draining, true, __ATOMIC_RELEASE);
    if (!__atomic_load_n(&node->core_running, __ATOMIC_ACQUIRE)) {
        return;
    }
    uint64_t end_ms = td_node_now().boot_ms + deadline_ms;
    bool covered = false;
    struct td_region by = { 0 };
    while (!covered && td_node_now().boot_ms < end_ms) {
        ask_status(node);
        struct timespec when = after_ms(ASK_EVERY_MS);
        pthread_mutex_lock(&node->drain.mutex);
        pthread_cond_timedwait(&node->drain.answered, &node->drain.mutex, &when);
        covered = node->drain.covered;
        by = node->drain.by;
        pthread_mutex_unlock(&node->drain.mutex);
        if (!covered) {
            struct timespec pause = { 0, 10 * 1000 * 1000 };
            nanosleep(&pause, NULL);
        }
    }
    td_log_event(covered ? TD_INFO : TD_WARN, "drained", "covered_elsewhere", covered ? "yes" : "no",
                 "by_region", td_log_number(by.v), NULL);
}
