/* ingress.c -- frames on their way in, on the links' threads: size, then cheap checks against what is
 * held, then hashing and signatures, then the inbox. Nothing unverified reaches the core. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/daemon/chunk.h"
#include "node/daemon/logging.h"
#include "node/daemon/node.h"
#include "node/daemon/trace.h"
#include "proto/order.h"


/* One decoder memory per thread, freed when the thread ends. */
static pthread_once_t reader_once = PTHREAD_ONCE_INIT;
static pthread_key_t reader_key;

static void free_reader(void *reader)
{
    td_reader_free(reader);
}

static void make_reader_key(void)
{
    if (pthread_key_create(&reader_key, free_reader) != 0) {
        abort(); /* at start, with no thread-specific keys left: nothing can work */
    }
}

struct td_reader *td_thread_reader(void)
{
    pthread_once(&reader_once, make_reader_key);
    struct td_reader *reader = pthread_getspecific(reader_key);
    if (reader == NULL) {
        reader = td_reader_alloc();
        if (reader == NULL || pthread_setspecific(reader_key, reader) != 0) {
            abort(); /* a few hundred bytes are not to be had: systemd starts us anew */
        }
    }
    return reader;
}

static bool is_forged(enum td_err err)
{
    return err == TD_EBADSIG || err == TD_EFOREIGN;
}

static void count_rejected(struct td_node *node, struct td_region from, enum td_err err,
                           uint32_t forged_count)
{
    char name[TD_REGION_NAME_BYTES_MAX + 1];
    __atomic_add_fetch(&node->counters_rejected_signature, forged_count, __ATOMIC_RELAXED);
    td_trace_region_name(node, from, name, sizeof name);
    td_log_event(TD_WARN, "update_rejected", "from", name, "why", td_err_text(err), NULL);
}

/* ---- batches ---- */

/* For the live lane only: a header that lies about its place costs a gap there, and the next batch shows it.
 * In a transfer it would pass for a repeated batch and the claim at the end count what never came. */
static bool already_held(struct td_node *node, const struct td_batch_header *header)
{
    uint64_t seq = 0;
    pthread_mutex_lock(&node->has.mutex);
    for (uint32_t i = 0; i < node->has.count && seq == 0; i++) {
        if (td_origin_compare(node->has.entries[i].origin, header->origin) == 0) {
            seq = node->has.entries[i].seq;
        }
    }
    pthread_mutex_unlock(&node->has.mutex);
    return header->first_seq + header->count - 1 <= seq;
}

static struct td_hash verified_key(struct td_node *node, const struct td_batch *batch)
{
    struct td_hash key;
    struct td_bytes signature = { batch->signature.bytes, sizeof batch->signature.bytes };
    node->signer.hash(node->signer.self, 0x10, batch->header_raw, signature, &key);
    return key;
}

/* A header arrives by several ways (live, transfer, repair): its signature is checked once. */
static bool verified_before(struct td_node *node, const struct td_hash *key, bool remember)
{
    uint32_t index = 0;
    memcpy(&index, key->bytes, sizeof index);
    pthread_mutex_lock(&node->verified_mutex);
    struct td_hash *place = &node->verified[index % TD_VERIFIED_ROOTS];
    bool same = memcmp(place, key, sizeof *key) == 0;
    if (remember) {
        *place = *key;
    }
    pthread_mutex_unlock(&node->verified_mutex);
    return same;
}

static enum td_err verify_batch(struct td_node *node, const struct td_batch *batch,
                                const struct td_roster *roster, bool own_log)
{
    const struct td_batch_header *header = &batch->header;
    if (memcmp(&header->cluster, &node->cluster, sizeof node->cluster) != 0) {
        return TD_EFOREIGN;
    }
    enum td_err err = td_roster_counts(roster, header->origin, header->key_number,
                                       header->first_seq + header->count - 1);
    if (err != TD_OK && (!own_log || err == TD_ENOTINROSTER)) {
        return err;
    }
    const struct td_region_key *key =
        td_roster_key(roster, batch->header.origin.region, batch->header.key_number);
    if (key == NULL) {
        return TD_EBADSIG;
    }
    struct td_hash name = verified_key(node, batch);
    if (verified_before(node, &name, false)) {
        return TD_OK;
    }
    if (!td_batch_verify(batch, &node->signer, &key->sign_key)) {
        return TD_EBADSIG;
    }
    (void)verified_before(node, &name, true);
    return TD_OK;
}

enum td_err td_ingress_decode_batch(struct td_node *node, struct td_bytes raw, struct td_reader *reader,
                                    struct td_arena *arena, bool own_log, struct td_batch *ret_batch)
{
    ret_batch->present_count = 0;
    enum td_err err = td_batch_decode(raw, &node->signer, reader, arena, ret_batch);
    if (err != TD_OK) {
        return err;
    }
    struct td_roster_ref *ref = td_membership_get(node->membership);
    if (ref == NULL) {
        return TD_ENOTINROSTER;
    }
    err = verify_batch(node, ret_batch, td_roster_ref_roster(ref), own_log);
    td_roster_ref_put(ref);
    return err;
}

/* Of which jobs a batch speaks that is left out; so much of it could be read. */
static void remember_rejected(struct td_node *node, struct td_message *message,
                              const struct td_batch *batch, enum td_err err)
{
    struct td_event *event = &message->item.event;
    if (message->rejected == NULL) {
        message->rejected =
            td_arena_take(&message->arena, TD_REJECTED_MAX, sizeof *message->rejected);
        td_request_sender(node, message->sender, message->from);
    }
    const struct td_text from = { message->from, (uint32_t)strlen(message->from) };
    for (uint32_t i = 0; i < batch->present_count && message->rejected != NULL &&
                         event->u.frame.refused_count < TD_REJECTED_MAX; i++) {
        message->rejected[event->u.frame.refused_count++] = (struct td_refused){
            batch->deltas[i].job, batch->deltas[i].job_hash, err, from };
    }
    event->u.frame.refused = message->rejected;
}

/* Adds one raw batch to the message; a bad one is counted and left out, the others go on. */
static enum td_err add_batch(struct td_node *node, struct td_message *message, struct td_bytes raw)
{
    struct td_event *event = &message->item.event;
    struct td_reader *reader = td_thread_reader();
    struct td_batch_header header;
    enum td_err err = td_batch_peek(raw, reader, &header);
    if (err == TD_OK && message->msg.type == TD_MSG_LIVE && already_held(node, &header)) {
        return TD_OK;
    }
    struct td_batch *batch = &message->batches[event->u.frame.batch_count];
    batch->present_count = 0;
    if (err == TD_OK) {
        err = td_ingress_decode_batch(node, raw, reader, &message->arena, false, batch);
    }
    if (err == TD_ETOOBIG) {
        return err;
    }
    if (err != TD_OK) {
        event->u.frame.rejected++;
        remember_rejected(node, message, batch, err);
        message->forged_count += is_forged(err);
        message->rejected_why = err;
        return TD_OK;
    }
    struct td_received_batch *received = &message->received[event->u.frame.batch_count++];
    received->batch = batch;
    received->handle = message;
    return TD_OK;
}

static enum td_err take_batches(struct td_node *node, struct td_message *message,
                                const struct td_bytes *parts, size_t count)
{
    struct td_event *event = &message->item.event;
    event->u.frame.batch_count = 0;
    event->u.frame.rejected = 0;
    event->u.frame.refused_count = 0;
    message->forged_count = 0;
    message->batches = td_arena_take(&message->arena, count, sizeof *message->batches);
    message->received = td_arena_take(&message->arena, count, sizeof *message->received);
    message->rejected = NULL;
    if (message->batches == NULL || message->received == NULL) {
        return TD_ETOOBIG;
    }
    for (size_t i = 0; i < count; i++) {
        enum td_err err = add_batch(node, message, parts[i]);
        if (err != TD_OK) {
            return err;
        }
    }
    event->u.frame.batches = message->received;
    return TD_OK;
}

static enum td_err take_chunk(struct td_node *node, struct td_message *message)
{
    struct td_bytes content = message->msg.u.chunk.content;
    size_t count = 0;
    enum td_err err = TD_OK;
    if (message->msg.u.chunk.compressed) {
        free(message->inflated); /* of an earlier try with a smaller arena */
        message->inflated = NULL;
        err = td_chunk_inflate(content, message->msg.u.chunk.content_bytes, &message->inflated);
        content = (struct td_bytes){ message->inflated, message->msg.u.chunk.content_bytes };
    }
    if (err != TD_OK) {
        return err;
    }
    struct td_bytes *parts = malloc(TD_CHUNK_BATCHES_MAX * sizeof *parts);
    if (parts == NULL) {
        return TD_ENOMEM;
    }
    err = td_chunk_split(content, parts, TD_CHUNK_BATCHES_MAX, &count);
    if (err == TD_OK) {
        err = take_batches(node, message, parts, count);
    }
    free(parts);
    return err;
}

/* ---- heads and proofs ---- */

static enum td_err take_head(struct td_node *node, const struct td_head *head)
{
    if (memcmp(&head->cluster, &node->cluster, sizeof node->cluster) != 0) {
        return TD_EFOREIGN;
    }
    if (td_head_slots_known(&node->heads, head)) {
        return TD_EUNKNOWN; /* a second copy: nothing new in it */
    }
    struct td_roster_ref *ref = td_membership_get(node->membership);
    if (ref == NULL) {
        return TD_ENOTINROSTER;
    }
    const struct td_roster *roster = td_roster_ref_roster(ref);
    const struct td_roster_region *region = td_roster_region(roster, head->origin.region);
    /* A head speaks for now: only under the key in force. */
    const struct td_region_key *key = region == NULL ? NULL : td_roster_newest_key(region);
    enum td_err err = region == NULL                        ? TD_ENOTINROSTER
                      : region->state == TD_REGION_CLOSED   ? TD_ECLOSED
                      : key != NULL && key->number != head->key_number ? TD_EROTATED
                      : key != NULL && td_head_verify(head, &node->signer, &key->sign_key) ? TD_OK
                                                                                           : TD_EBADSIG;
    td_roster_ref_put(ref);
    if (err != TD_OK) {
        return err;
    }
    td_head_slots_keep(&node->heads, head);
    return TD_OK;
}

/* Two batches or two heads of one origin, both truly signed, that contradict each other. */
static enum td_err check_proof(struct td_node *node, struct td_message *message)
{
    struct td_reader *reader = td_thread_reader();
    if (message->msg.u.proof.kind == 1) {
        struct td_batch a, b;
        enum td_err err = td_ingress_decode_batch(node, message->msg.u.proof.a, reader,
                                                  &message->arena, false, &a);
        if (err == TD_OK) {
            err = td_ingress_decode_batch(node, message->msg.u.proof.b, reader, &message->arena, false,
                                          &b);
        }
        return err == TD_OK && !td_headers_equivocate(&a.header, &b.header) ? TD_EFORMAT : err;
    }
    struct td_head a, b;
    enum td_err err = td_head_decode(message->msg.u.proof.a, &node->signer, reader, &message->arena, &a);
    if (err == TD_OK) {
        err = td_head_decode(message->msg.u.proof.b, &node->signer, reader, &message->arena, &b);
    }
    if (err != TD_OK) {
        return err;
    }
    struct td_roster_ref *ref = td_membership_get(node->membership);
    const struct td_region_key *key = ref == NULL ? NULL :
        td_roster_key(td_roster_ref_roster(ref), a.origin.region, a.key_number);
    bool good = key != NULL && td_origin_compare(a.origin, b.origin) == 0 && a.number == b.number &&
                memcmp(a.hash, b.hash, sizeof a.hash) != 0 &&
                td_head_verify(&a, &node->signer, &key->sign_key) &&
                td_head_verify(&b, &node->signer, &key->sign_key);
    if (ref != NULL) {
        td_roster_ref_put(ref);
    }
    return good ? TD_OK : TD_EBADSIG;
}

/* ---- frames between regions ---- */

static enum td_err decode_frame(struct td_node *node, struct td_message *message, uint8_t type,
                                struct td_bytes payload)
{
    enum td_err err = td_msg_decode((enum td_msg_type)type, payload, &node->signer, td_thread_reader(),
                                    &message->arena, &message->msg);
    if (err != TD_OK) {
        return err;
    }
    switch (message->msg.type) {
    case TD_MSG_LIVE:
    case TD_MSG_FETCHED:
        return take_batches(node, message, &message->msg.u.batch_raw, 1);
    case TD_MSG_TRANSFER_CHUNK:
        return take_chunk(node, message);
    case TD_MSG_HEAD:
        return take_head(node, message->msg.u.head);
    case TD_MSG_PROOF:
        return check_proof(node, message);
    default:
        return TD_OK;
    }
}

/* The decoded form may need several times the bytes: grow until it fits or is plainly absurd. */
static struct td_message *decode(struct td_node *node, const struct td_link_info *info, uint8_t type,
                                 uint8_t *take_payload, size_t payload_bytes, enum td_err *ret_err)
{
    size_t arena_bytes = TD_ARENA_BYTES_MIN + payload_bytes * 6;
    struct td_message *message = td_message_make(take_payload, arena_bytes);
    if (message == NULL) {
        *ret_err = TD_ENOMEM;
        return NULL;
    }
    struct td_bytes payload = { take_payload, payload_bytes };
    message->sender = info;
    *ret_err = decode_frame(node, message, type, payload);
    while (*ret_err == TD_ETOOBIG && arena_bytes < TD_ARENA_BYTES_MAX) {
        arena_bytes *= 4;
        if (!td_message_regrow(message, arena_bytes)) {
            *ret_err = TD_ENOMEM;
            break;
        }
        *ret_err = decode_frame(node, message, type, payload);
    }
    return message;
}

static void on_region_frame(struct td_node *node, const struct td_link_info *info, uint8_t type,
                            uint8_t *take_payload, size_t payload_bytes)
{
    enum td_err err = TD_OK;
    struct td_message *message = decode(node, info, type, take_payload, payload_bytes, &err);
    if (err == TD_EUNKNOWN) {
        td_message_put(message);
        return;
    }
    if (err != TD_OK) {
        count_rejected(node, info->region, err, is_forged(err));
        td_message_put(message);
        /* A relay may pass on in good faith what only a newer roster refuses. */
        if (err != TD_EBADSIG && err != TD_ENOTINROSTER && err != TD_ECLOSED && err != TD_EROTATED) {
            td_net_close_link(node->net, info->link, err);
        }
        return;
    }
    struct td_event *event = &message->item.event;
    if (event->u.frame.rejected > 0) {
        count_rejected(node, info->region, message->rejected_why, message->forged_count);
    }
    message->item.bytes = payload_bytes + message->arena.size_bytes;
    message->item.class_ = TD_INBOX_FRAME;
    event->type = TD_EV_FRAME;
    event->u.frame.link = info->link;
    event->u.frame.msg = &message->msg;
    event->u.frame.payload_bytes = payload_bytes;
    if (!td_inbox_push(&node->inbox, &message->item)) {
        /* Credit bounds frames far below the inbox; who gets here ignores it. */
        td_message_put(message);
        td_net_close_link(node->net, info->link, TD_EBUSY);
    }
}

/* ---- callbacks of links ---- */

static void on_frame(void *self, const struct td_link_info *info, uint8_t type, uint8_t *take_payload,
                     size_t payload_bytes)
{
    struct td_node *node = self;
    if (type == TD_MSG_REQUEST && info->kind != TD_LINK_REGION) {
        td_request_take(node, info, take_payload, payload_bytes);
        return;
    }
    if (info->kind == TD_LINK_REGION && type < TD_MSG_REQUEST) {
        if (__atomic_load_n(&node->core_running, __ATOMIC_ACQUIRE)) {
            on_region_frame(node, info, type, take_payload, payload_bytes);
        } else {
            free(take_payload);
            td_net_close_link(node->net, info->link, TD_ESTARTING);
        }
        return;
    }
    free(take_payload);
    td_net_close_link(node->net, info->link, TD_EFORMAT);
}

/* Link events and cancels carry no payload of their own. */
static void push_event(struct td_node *node, enum td_inbox_class class_, const struct td_event *event,
                       const struct td_request *request)
{
    struct td_message *message = td_message_make(NULL, 64);
    if (message == NULL) {
        abort(); /* a lost link event would leave the core believing in a dead link */
    }
    message->item.class_ = class_;
    message->item.event = *event;
    if (request != NULL) {
        message->request = *request;
        message->item.event.u.request.request = &message->request;
    }
    if (!td_inbox_push(&node->inbox, &message->item)) {
        td_message_put(message);
    }
}

static void on_link_up(void *self, const struct td_link_info *info)
{
    struct td_node *node = self;
    td_log_event(TD_DEBUG, "connection_up", "region", td_log_number(info->region.v), "remote",
                 info->remote, "link", td_log_number(info->link.v), NULL);
    if (info->kind == TD_LINK_REGION && __atomic_load_n(&node->core_running, __ATOMIC_ACQUIRE)) {
        struct td_event event = { .type = TD_EV_LINK_UP };
        event.u.link_up.link = info->link;
        event.u.link_up.region = info->region;
        event.u.link_up.process = info->process;
        event.u.link_up.proto = info->proto;
        push_event(node, TD_INBOX_LINK, &event, NULL);
    }
}

static void on_link_down(void *self, const struct td_link_info *info, enum td_err why)
{
    struct td_node *node = self;
    td_log_event(TD_DEBUG, "connection_down", "region", td_log_number(info->region.v), "remote",
                 info->remote, "link", td_log_number(info->link.v), "why", td_err_text(why), NULL);
    __atomic_store_n(&node->link_ended[info->region.v], (int)why, __ATOMIC_RELAXED);
    if (!__atomic_load_n(&node->core_running, __ATOMIC_ACQUIRE)) {
        return;
    }
    struct td_event event = { .type = TD_EV_LINK_DOWN };
    if (info->kind == TD_LINK_REGION) {
        event.u.link_down.link = info->link;
        push_event(node, TD_INBOX_LINK, &event, NULL);
        return;
    }
    struct td_request cancel = { .op = TD_OP_CANCEL, .u = { .cancel_id = UINT64_MAX } };
    event.type = TD_EV_REQUEST;
    event.u.request.client_link = info->link.v;
    push_event(node, TD_INBOX_LINK, &event, &cancel);
}

static void on_link_rtt(void *self, struct td_link_id link, bool answered, uint32_t rtt_us)
{
    struct td_node *node = self;
    if (!__atomic_load_n(&node->core_running, __ATOMIC_ACQUIRE)) {
        return;
    }
    struct td_event event = { .type = TD_EV_LINK_RTT };
    event.u.link_rtt.link = link;
    event.u.link_rtt.answered = answered;
    event.u.link_rtt.rtt_us = rtt_us;
    push_event(node, TD_INBOX_LINK, &event, NULL);
}

static void on_roster(void *self, struct td_bytes raw)
{
    struct td_node *node = self;
    enum td_err err = td_membership_offer(node->membership, raw);
    if (err != TD_OK && err != TD_EROSTEROLD) {
        td_log_event(TD_WARN, "roster_refused", "why", td_err_text(err), NULL);
    }
}

struct td_net_sink td_ingress_sink(struct td_node *node)
{
    return (struct td_net_sink){ .self = node, .link_up = on_link_up, .link_down = on_link_down,
        .link_rtt = on_link_rtt, .frame = on_frame, .roster_offered = on_roster };
}
