/* request.c -- requests of clients on their way in, on the links' threads: size, decoding, rights and
 * rate; what needs no replica is answered here, the rest goes to the inbox. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/daemon/gateway.h"
#include "node/daemon/logging.h"
#include "node/daemon/node.h"
#include "node/daemon/trace.h"

enum { ANSWER_TEXT_BYTES = 512 };

void td_ingress_answer(struct td_node *node, uint32_t client_link, const struct td_request *request,
                       enum td_err err, const char *text)
{
    struct td_response response;
    memset(&response, 0, sizeof response);
    response.id = request->id;
    response.op = request->op;
    response.err = err;
    response.message = (struct td_text){ text, (uint32_t)strlen(text) };
    struct td_loop_ops ops = td_effects_ops(node);
    struct td_roster_ref *ref = td_membership_get(node->membership);
    if (request->op == TD_OP_ROSTER_GET && err == TD_OK && ref != NULL) {
        response.u.roster = td_roster_ref_roster(ref)->raw;
    }
    ops.reply(ops.self, client_link, &response);
    if (ref != NULL) {
        td_roster_ref_put(ref);
    }
}

/* Token bucket in thousandths of an update; refused as a whole so that a retry is simple. */
static bool within_rate(struct td_node *node, uint32_t updates)
{
    uint64_t rate = __atomic_load_n(&node->config.publish_rate, __ATOMIC_RELAXED);
    bool allowed = true;
    if (rate == 0) {
        return true;
    }
    pthread_mutex_lock(&node->rate_mutex);
    uint64_t now_ms = td_node_now().boot_ms;
    uint64_t most = rate * 1000 > TD_REQUEST_UPDATES_MAX * 1000 ? rate * 1000
                                                              : (uint64_t)TD_REQUEST_UPDATES_MAX * 1000;
    uint64_t filled = node->rate_tokens_milli + (now_ms - node->rate_boot_ms) * rate;
    node->rate_tokens_milli = filled < most ? filled : most;
    node->rate_boot_ms = now_ms;
    if (node->rate_tokens_milli < (uint64_t)updates * 1000) {
        allowed = false;
    } else {
        node->rate_tokens_milli -= (uint64_t)updates * 1000;
    }
    pthread_mutex_unlock(&node->rate_mutex);
    return allowed;
}

static const struct td_roster_client *client_of(struct td_roster_ref *ref,
                                                const struct td_link_info *info)
{
    for (uint32_t i = 0; ref != NULL && i < td_roster_ref_roster(ref)->client_count; i++) {
        const struct td_roster_client *client = &td_roster_ref_roster(ref)->clients[i];
        if (info->kind == TD_LINK_CLIENT && client->number == info->client_number) {
            return client;
        }
    }
    return NULL;
}

void td_request_sender(struct td_node *node, const struct td_link_info *info,
                       char ret_from[TD_FROM_BYTES_MAX + 1])
{
    struct td_roster_ref *ref = td_membership_get(node->membership);
    const struct td_roster_client *client = client_of(ref, info);
    char name[TD_REGION_NAME_BYTES_MAX + 1] = "";
    if (client != NULL && client->name.count < sizeof name) {
        memcpy(name, client->name.bytes, client->name.count);
        name[client->name.count] = '\0';
    } else if (info->kind == TD_LINK_REGION) {
        td_trace_region_name(node, info->region, name, sizeof name);
    }
    /* Without the port, which is another one with each connection: refusals are counted by sender. */
    const char *port = info->kind == TD_LINK_LOCAL ? NULL : strrchr(info->remote, ':');
    const int count = port != NULL ? (int)(port - info->remote) : 60;
    snprintf(ret_from, TD_FROM_BYTES_MAX + 1, "%s%s%.*s", name, name[0] == '\0' ? "" : " at ",
             count < 60 ? count : 60, info->remote);
    if (ref != NULL) {
        td_roster_ref_put(ref);
    }
}

/* Per update: broken field rules found by the decoder, then the client's role and prefixes. */
static enum td_err check_updates(struct td_node *node, struct td_message *message,
                                 const struct td_link_info *info)
{
    const struct td_request *request = &message->request;
    uint32_t count = request->u.publish.count;
    /* Not from the arena: that one is sized for the request and may be just used up. */
    message->refused = calloc(count + 1, sizeof *message->refused);
    if (message->refused == NULL) {
        return TD_ENOMEM;
    }
    struct td_roster_ref *ref = td_membership_get(node->membership);
    const struct td_roster_client *client = client_of(ref, info);
    for (uint32_t i = 0; i < count; i++) {
        const struct td_update *update = &request->u.publish.updates[i];
        message->refused[i] = update->err;
        if (update->err == TD_OK && info->kind == TD_LINK_CLIENT &&
            (client == NULL || info->role == TD_ROLE_READ ||
             !td_client_may_touch(client, update->job))) {
            message->refused[i] = TD_EPERM;
        }
    }
    if (ref != NULL) {
        td_roster_ref_put(ref);
    }
    return within_rate(node, count) ? TD_OK : TD_ERATE;
}

static bool is_admin(const struct td_link_info *info)
{
    return info->role == TD_ROLE_ADMIN;
}

static void answer_roster_at(struct td_node *node, const struct td_link_info *info,
                             const struct td_request *request)
{
    uint8_t *bytes = NULL;
    struct td_response response;
    memset(&response, 0, sizeof response);
    response.id = request->id;
    response.op = request->op;
    response.err = td_membership_at(node->membership, request->u.roster_version, &bytes,
                                    &response.u.roster.count);
    response.u.roster.bytes = bytes;
    struct td_loop_ops ops = td_effects_ops(node);
    ops.reply(ops.self, info->link.v, &response);
    free(bytes);
}

/* Requests answered here, without the core. True when handled. */
static bool answer_directly(struct td_node *node, const struct td_link_info *info,
                            const struct td_request *request)
{
    enum td_err err = TD_OK;
    switch (request->op) {
    case TD_OP_ROSTER_GET:
        break;
    case TD_OP_ROSTER_AT:
        answer_roster_at(node, info, request);
        return true;
    case TD_OP_ROSTER_PUSH:
        err = is_admin(info) ? td_membership_push(node->membership, request->u.roster) : TD_EPERM;
        break;
    case TD_OP_FAULT:
        err = !node->config.chaos || !is_admin(info) ? TD_EPERM
                                                     : td_net_set_fault(node->net, request->u.fault.region,
                                                                        request->u.fault.send_cut,
                                                                        request->u.fault.receive_cut);
        break;
    case TD_OP_DRAIN:
        err = !is_admin(info)                                ? TD_EPERM
              : td_drain_ask(node, info->link.v, request) ? TD_OK
                                                            : TD_EBUSY;
        if (err == TD_OK) {
            return true; /* answered when it is done */
        }
        break;
    case TD_OP_ADMIN: /* it names files and answers with paths: nobody's business from afar */
        err = info->kind != TD_LINK_LOCAL || !is_admin(info) ? TD_EPERM
              : td_admin_ask(node, info->link.v, request)    ? TD_OK
                                                             : TD_EBUSY;
        if (err == TD_OK) {
            return true; /* answered when it is done */
        }
        break;
    default:
        return false;
    }
    td_ingress_answer(node, info->link.v, request, err, "");
    return true;
}

/* Looks at many registers, and what it answers does not depend on when: it may stand back behind what
 * others ask and report. A watch that begins "now" may not, nor what the core may keep waiting: that
 * its client is gone would overtake it. */
static bool is_walk(const struct td_request *request)
{
    switch (request->op) {
    case TD_OP_LIST:
    case TD_OP_EXPLAIN:
        return request->timeout_ms == 0 ||
               request->after.entry_count + request->after.fold_count == 0;
    case TD_OP_WATCH:
        return td_watch_walks(request->u.watch.cursor);
    default:
        return false;
    }
}

static void push_request(struct td_node *node, const struct td_link_info *info, struct td_message *message)
{
    struct td_event *event = &message->item.event;
    message->item.class_ = is_walk(&message->request) ? TD_INBOX_WALK : TD_INBOX_REQUEST;
    message->item.bytes = message->arena.size_bytes + message->payload_bytes;
    event->type = TD_EV_REQUEST;
    event->u.request.client_link = info->link.v;
    event->u.request.client_number = info->client_number;
    event->u.request.request = &message->request;
    event->u.request.refused = message->refused;
    if (message->request.op == TD_OP_PUBLISH) {
        td_request_sender(node, info, message->from);
        event->u.request.from = (struct td_text){ message->from, (uint32_t)strlen(message->from) };
        td_metrics_publish_begin(node, info->link.v, message->request.id);
    }
    if (!td_inbox_push(&node->inbox, &message->item)) {
        td_ingress_answer(node, info->link.v, &message->request, TD_EBUSY, "");
        td_message_put(message);
    }
}

static enum td_err decode_request(struct td_node *node, struct td_message *message)
{
    size_t arena_bytes = message->arena.size_bytes;
    struct td_bytes payload = { message->payload, message->payload_bytes };
    enum td_err err = td_request_decode(payload, &node->signer, td_thread_reader(), &message->arena,
                                        &message->request);
    while (err == TD_ETOOBIG && arena_bytes < TD_ARENA_BYTES_MAX) {
        arena_bytes *= 4;
        if (!td_message_regrow(message, arena_bytes)) {
            return TD_ENOMEM;
        }
        err = td_request_decode(payload, &node->signer, td_thread_reader(), &message->arena,
                                &message->request);
    }
    return err;
}

/* The core runs before the links open, so whoever asks too early asks a node that no roster names, or
 * names no more by this key. */
static enum td_err say_waiting(struct td_node *node, char text[ANSWER_TEXT_BYTES])
{
    char key[TD_KEY_TEXT_BYTES];
    enum td_err err = td_membership_standing(node->membership, text, ANSWER_TEXT_BYTES);
    if (err != TD_OK) {
        return err;
    }
    td_identity_to_text(td_secret_identity(node->secret), key);
    snprintf(text, ANSWER_TEXT_BYTES,
             "this node waits for a roster that names its key: tidings roster add %s --pubkey %s ..., then "
             "tidings roster push to any node", node->config.region, key);
    return TD_ESTARTING;
}

void td_request_take(struct td_node *node, const struct td_link_info *info, uint8_t *take_payload,
                     size_t payload_bytes)
{
    if (payload_bytes > TD_REQUEST_BYTES_MAX + TD_ROSTER_BYTES_MAX) {
        free(take_payload);
        td_net_close_link(node->net, info->link, TD_ETOOBIG);
        return;
    }
    struct td_message *message = td_message_make(take_payload, TD_ARENA_BYTES_MIN + payload_bytes * 6);
    if (message == NULL) {
        td_net_close_link(node->net, info->link, TD_ENOMEM);
        return;
    }
    message->payload_bytes = payload_bytes;
    enum td_err err = decode_request(node, message);
    if (err != TD_OK) {
        td_log_event(TD_WARN, "request_refused", "remote", info->remote, "why", td_err_text(err), NULL);
        td_message_put(message);
        td_net_close_link(node->net, info->link, err);
        return;
    }
    if (answer_directly(node, info, &message->request)) {
        td_message_put(message);
        return;
    }
    if (!__atomic_load_n(&node->core_running, __ATOMIC_ACQUIRE)) {
        err = TD_ESTARTING;
    } else if (message->request.op == TD_OP_PUBLISH) {
        err = __atomic_load_n(&node->draining, __ATOMIC_ACQUIRE) ? TD_EDRAINING
                                                                : check_updates(node, message, info);
    }
    if (err != TD_OK) {
        char text[ANSWER_TEXT_BYTES] = "";
        if (err == TD_ESTARTING) {
            err = say_waiting(node, text);
        }
        td_ingress_answer(node, info->link.v, &message->request, err, text);
        td_message_put(message);
        return;
    }
    push_request(node, info, message);
}
