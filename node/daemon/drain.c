/* drain.c -- leaving in good order: publishes are refused, and the node stays until some other region
 * has all of its updates on disk. On TERM it stops then; asked to by a client it answers and goes on with
 * everything else, so that whoever asked decides when it stops. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "node/daemon/logging.h"
#include "node/daemon/node.h"

/* A report just accepted may not be on disk at the first answer: two in a row have to say so. */
enum { ASK_EVERY_MS = 50, COVERED_ANSWERS = 2, ANSWER_TEXT_BYTES = 128 };

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
    node->drain.covered_count = alone || covered ? node->drain.covered_count + 1 : 0;
    node->drain.covered = node->drain.covered_count >= COVERED_ANSWERS;
    node->drain.by = by;
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

bool td_drain(struct td_node *node, uint32_t deadline_ms)
{
    __atomic_store_n(&node->draining, true, __ATOMIC_RELEASE);
    if (!__atomic_load_n(&node->core_running, __ATOMIC_ACQUIRE)) {
        return true;
    }
    pthread_mutex_lock(&node->drain.mutex);
    node->drain.covered = false;
    node->drain.covered_count = 0;
    pthread_mutex_unlock(&node->drain.mutex);
    uint64_t end_ms = td_node_now().boot_ms + deadline_ms;
    bool covered = false;
    struct td_region by = { 0 };
    while (!covered && td_node_now().boot_ms < end_ms) {
        ask_status(node);
        td_notify("WATCHDOG=1"); /* waiting is no hang: the deadline bounds it */
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
    return covered;
}

bool td_drain_ask(struct td_node *node, uint32_t client_link, const struct td_request *request)
{
    pthread_mutex_lock(&node->drain.mutex);
    bool room = node->drain.waiting_count < TD_DRAIN_WAITING_MAX;
    if (room) {
        node->drain.waiting[node->drain.waiting_count++] =
            (struct td_drain_waiting){ client_link, request->id };
        if (request->timeout_ms > node->drain.timeout_ms) {
            node->drain.timeout_ms = request->timeout_ms;
        }
    }
    pthread_mutex_unlock(&node->drain.mutex);
    __atomic_store_n(&node->draining, true, __ATOMIC_RELEASE);
    __atomic_store_n(&node->drain.asked, true, __ATOMIC_RELEASE);
    return room;
}

static void answer_askers(struct td_node *node, bool covered)
{
    struct td_drain_waiting waiting[TD_DRAIN_WAITING_MAX];
    char text[ANSWER_TEXT_BYTES] = "no other region is to be waited for";
    pthread_mutex_lock(&node->drain.mutex);
    uint32_t count = node->drain.waiting_count;
    memcpy(waiting, node->drain.waiting, sizeof waiting);
    node->drain.waiting_count = 0;
    node->drain.timeout_ms = 0;
    struct td_region by = node->drain.by;
    pthread_mutex_unlock(&node->drain.mutex);
    struct td_roster_ref *ref = td_membership_get(node->membership);
    const struct td_roster_region *region =
        ref != NULL && by.v != 0 ? td_roster_region(td_roster_ref_roster(ref), by) : NULL;
    if (!covered) {
        snprintf(text, sizeof text, "no region has confirmed everything yet; reports stay refused");
    } else if (region != NULL) {
        snprintf(text, sizeof text, "%.*s has everything; reports are refused until a restart",
                 (int)region->name.count, region->name.bytes);
    }
    if (ref != NULL) {
        td_roster_ref_put(ref);
    }
    for (uint32_t i = 0; i < count; i++) {
        struct td_request request = { .id = waiting[i].id, .op = TD_OP_DRAIN };
        td_ingress_answer(node, waiting[i].client_link, &request, covered ? TD_OK : TD_ETIMEOUT, text);
    }
}

void td_drain_for_askers(struct td_node *node)
{
    if (!__atomic_exchange_n(&node->drain.asked, false, __ATOMIC_ACQ_REL)) {
        return;
    }
    pthread_mutex_lock(&node->drain.mutex);
    uint32_t timeout_ms = node->drain.timeout_ms;
    pthread_mutex_unlock(&node->drain.mutex);
    answer_askers(node, td_drain(node, timeout_ms));
}
