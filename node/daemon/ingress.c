/* ingress.c -- frames on their way in, on the links' threads: size, then cheap checks against what is
 * held, then hashing and signatures, then the inbox. Nothing unverified reaches the core. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "node/daemon/logging.h"
#include "node/daemon/node.h"
#include "proto/order.h"

enum { ARENA_BYTES_MIN = 8192, ARENA_BYTES_MAX = 64 * 1024 * 1024, CHUNK_BYTES_MAX = 8 * 1024 * 1024,
       CHUNK_BATCHES_MAX = 4096, INFLATE_RATIO_MAX = 64 };

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

static struct td_reader *thread_reader(void)
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

static void count_rejected(struct td_node *node, struct td_region from, enum td_err err)
{
    if (err == TD_EBADSIG || err == TD_EFOREIGN) {
        __atomic_add_fetch(&node->counters_rejected_signature, 1, __ATOMIC_RELAXED);
    }
    td_log_event(TD_WARN, "update_rejected", "from_region", td_log_number(from.v), "why",
                 td_err_text(err), NULL);
}

/* ---- batches ---- */

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

/* Whether the roster lets this incarnation's sequence count at all. */
static enum td_err check_membership(const struct td_roster *roster, const struct td_batch_header *header)
{
    const struct td_roster_region *region = td_roster_region(roster, header->origin.region);
    if (region == NULL) {
        return TD_ENOTINROSTER;
    }
    if (region->state != TD_REGION_CLOSED) {
        return TD_OK;
    }
    for (uint32_t i = 0; i < region->closed_count; i++) {
        if (td_incarnation_compare(region->closed[i].incarnation, header->origin.incarnation) == 0 &&
            header->first_seq + header->count - 1 <= region->closed[i].last_seq) {
            return TD_OK;
        }
    }
    return TD_ECLOSED;
}

static enum td_err verify_batch(struct td_node *node, const struct td_batch *batch,
                                const struct td_roster *roster)
{
    if (memcmp(&batch->header.cluster, &node->cluster, sizeof node->cluster) != 0) {
        return TD_EFOREIGN;
    }
    enum td_err err = check_membership(roster, &batch->header);
    if (err != TD_OK) {
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
                                    struct td_arena *arena, struct td_batch *ret_batch)
{
    struct td_batch batch;
    enum td_err err = td_batch_decode(raw, &node->signer, reader, arena, &batch);
    if (err != TD_OK) {
        return err;
    }
    struct td_roster_ref *ref = td_membership_get(node->membership);
    if (ref == NULL) {
        return TD_ENOTINROSTER;
    }
    err = verify_batch(node, &batch, td_roster_ref_roster(ref));
    td_roster_ref_put(ref);
    if (err == TD_OK) {
        *ret_batch = batch;
    }
    return err;
}

/* Adds one raw batch to the message; a bad one is counted and left out, the others go on. */
static enum td_err add_batch(struct td_node *node, struct td_message *message, struct td_bytes raw,
                             struct td_region from)
{
    struct td_event *event = &message->item.event;
    struct td_reader *reader = thread_reader();
    struct td_batch_header header;
    enum td_err err = td_batch_peek(raw, reader, &header);
    if (err == TD_OK && message->msg.type != TD_MSG_FETCHED && already_held(node, &header)) {
        return TD_OK;
    }
    struct td_batch *batch = &message->batches[event->u.frame.batch_count];
    if (err == TD_OK) {
        err = td_ingress_decode_batch(node, raw, reader, &message->arena, batch);
    }
    if (err == TD_ETOOBIG) {
        return err;
    }
    if (err != TD_OK) {
        event->u.frame.rejected++;
        count_rejected(node, from, err);
        return TD_OK;
    }
    struct td_received_batch *received = &message->received[event->u.frame.batch_count++];
    received->batch = batch;
    received->handle = message;
    return TD_OK;
}

static uint32_t read_u32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

/* Chunk content: u32 length + batch, repeated. Counts first so that memory is taken once. */
static enum td_err split_chunk(struct td_bytes content, struct td_bytes *ret_parts, size_t parts_max,
                               size_t *ret_count)
{
    size_t at = 0;
    size_t count = 0;
    while (at < content.count) {
        if (content.count - at < 4 || count == parts_max) {
            return TD_EFORMAT;
        }
        uint32_t bytes = read_u32(content.bytes + at);
        at += 4;
        if (bytes == 0 || bytes > TD_BATCH_BYTES_MAX || bytes > content.count - at) {
            return TD_EFORMAT;
        }
        ret_parts[count++] = (struct td_bytes){ content.bytes + at, bytes };
        at += bytes;
    }
    *ret_count = count;
    return TD_OK;
}

static enum td_err inflate_chunk(struct td_message *message, struct td_bytes *ret_content)
{
    uint32_t want = message->msg.u.chunk.content_bytes;
    struct td_bytes packed = message->msg.u.chunk.content;
    if (want == 0 || want > CHUNK_BYTES_MAX || want / INFLATE_RATIO_MAX > packed.count + 1) {
        return TD_ETOOBIG;
    }
    free(message->inflated);
    message->inflated = malloc(want);
    if (message->inflated == NULL) {
        return TD_ENOMEM;
    }
    size_t got = ZSTD_decompress(message->inflated, want, packed.bytes, packed.count);
    if (ZSTD_isError(got) || got != want) {
        return TD_EFORMAT;
    }
    *ret_content = (struct td_bytes){ message->inflated, want };
    return TD_OK;
}

static enum td_err take_batches(struct td_node *node, struct td_message *message,
                                const struct td_bytes *parts, size_t count, struct td_region from)
{
    struct td_event *event = &message->item.event;
    event->u.frame.batch_count = 0;
    event->u.frame.rejected = 0;
    message->batches = td_arena_take(&message->arena, count, sizeof *message->batches);
    message->received = td_arena_take(&message->arena, count, sizeof *message->received);
    if (message->batches == NULL || message->received == NULL) {
        return TD_ETOOBIG;
    }
    for (size_t i = 0; i < count; i++) {
        enum td_err err = add_batch(node, message, parts[i], from);
        if (err != TD_OK) {
            return err;
        }
    }
    event->u.frame.batches = message->received;
    return TD_OK;
}

static enum td_err take_chunk(struct td_node *node, struct td_message *message, struct td_region from)
{
    struct td_bytes content = message->msg.u.chunk.content;
    size_t count = 0;
    enum td_err err = TD_OK;
    if (message->msg.u.chunk.compressed) {
        err = inflate_chunk(message, &content);
    }
    if (err != TD_OK) {
        return err;
    }
    struct td_bytes *parts = malloc(CHUNK_BATCHES_MAX * sizeof *parts);
    if (parts == NULL) {
        return TD_ENOMEM;
    }
    err = split_chunk(content, parts, CHUNK_BATCHES_MAX, &count);
    if (err == TD_OK) {
        err = take_batches(node, message, parts, count, from);
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
    const struct td_region_key *key =
        td_roster_key(td_roster_ref_roster(ref), head->origin.region, head->key_number);
    bool good = key != NULL && td_head_verify(head, &node->signer, &key->sign_key);
    td_roster_ref_put(ref);
    if (!good) {
        return TD_EBADSIG;
    }
    td_head_slots_keep(&node->heads, head);
    return TD_OK;
}

/* Two batches or two heads of one origin, both truly signed, that contradict each other. */
static enum td_err check_proof(struct td_node *node, struct td_message *message)
{
    struct td_reader *reader = thread_reader();
    if (message->msg.u.proof.kind == 1) {
        struct td_batch a, b;
        enum td_err err = td_ingress_decode_batch(node, message->msg.u.proof.a, reader,
                                                  &message->arena, &a);
        if (err == TD_OK) {
            err = td_ingress_decode_batch(node, message->msg.u.proof.b, reader, &message->arena, &b);
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
                                struct td_bytes payload, struct td_region from)
{
    enum td_err err = td_msg_decode((enum td_msg_type)type, payload, &node->signer, thread_reader(),
                                    &message->arena, &message->msg);
    if (err != TD_OK) {
        return err;
    }
    switch (message->msg.type) {
    case TD_MSG_LIVE:
    case TD_MSG_FETCHED:
        return take_batches(node, message, &message->msg.u.batch_raw, 1, from);
    case TD_MSG_TRANSFER_CHUNK:
        return take_chunk(node, message, from);
    case TD_MSG_HEAD:
        return take_head(node, message->msg.u.head);
    case TD_MSG_PROOF:
        return check_proof(node, message);
    default:
        return TD_OK;
    }
}

/* The decoded form may need several times the bytes: grow until it fits or is plainly absurd. */
static struct td_message *decode(struct td_node *node, uint8_t type, uint8_t *take_payload,
                                 size_t payload_bytes, struct td_region from, enum td_err *ret_err)
{
    size_t arena_bytes = ARENA_BYTES_MIN + payload_bytes * 6;
    struct td_message *message = td_message_make(take_payload, arena_bytes);
    if (message == NULL) {
        *ret_err = TD_ENOMEM;
        return NULL;
    }
    struct td_bytes payload = { take_payload, payload_bytes };
    *ret_err = decode_frame(node, message, type, payload, from);
    while (*ret_err == TD_ETOOBIG && arena_bytes < ARENA_BYTES_MAX) {
        arena_bytes *= 4;
        if (!td_message_regrow(message, arena_bytes)) {
            *ret_err = TD_ENOMEM;
            break;
        }
        *ret_err = decode_frame(node, message, type, payload, from);
    }
    return message;
}

static void on_region_frame(struct td_node *node, const struct td_link_info *info, uint8_t type,
                            uint8_t *take_payload, size_t payload_bytes)
{
    enum td_err err = TD_OK;
    struct td_message *message = decode(node, type, take_payload, payload_bytes, info->region, &err);
    if (err == TD_EUNKNOWN) {
        td_message_put(message);
        return;
    }
    if (err != TD_OK) {
        count_rejected(node, info->region, err);
        td_message_put(message);
        if (err != TD_EBADSIG && err != TD_ENOTINROSTER) {
            td_net_close_link(node->net, info->link, err);
        }
        return;
    }
    struct td_event *event = &message->item.event;
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

/* ---- requests ---- */

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

/* Per update: broken field rules found by the decoder, then the client's prefixes. */
static enum td_err check_updates(struct td_node *node, struct td_message *message,
                                 const struct td_link_info *info)
{
    const struct td_request *request = &message->request;
    uint32_t count = request->u.publish.count;
    if (info->kind == TD_LINK_CLIENT && info->role == TD_ROLE_READ) {
        return TD_EPERM;
    }
    /* Not from the arena: that one is sized for the request and may be just used up. */
    message->refused = calloc(count + 1, sizeof *message->refused);
    if (message->refused == NULL) {
        return TD_ENOMEM;
    }
    struct td_roster_ref *ref = td_membership_get(node->membership);
    const struct td_roster_client *client = NULL;
    for (uint32_t i = 0; ref != NULL && i < td_roster_ref_roster(ref)->client_count; i++) {
        if (td_roster_ref_roster(ref)->clients[i].number == info->client_number) {
            client = &td_roster_ref_roster(ref)->clients[i];
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct td_update *update = &request->u.publish.updates[i];
        message->refused[i] = update->err;
        if (update->err == TD_OK && info->kind == TD_LINK_CLIENT &&
            (client == NULL || !td_client_may_touch(client, update->job))) {
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

/* Requests answered here, without the core. True when handled. */
static bool answer_directly(struct td_node *node, const struct td_link_info *info,
                            const struct td_request *request)
{
    enum td_err err = TD_OK;
    switch (request->op) {
    case TD_OP_ROSTER_GET:
        break;
    case TD_OP_ROSTER_PUSH:
        err = is_admin(info) ? td_membership_offer(node->membership, request->u.roster) : TD_EPERM;
        break;
    case TD_OP_FAULT:
        err = !node->config.chaos || !is_admin(info) ? TD_EPERM
                                                     : td_net_set_fault(node->net, request->u.fault.region,
                                                                        request->u.fault.send_cut,
                                                                        request->u.fault.receive_cut);
        break;
    case TD_OP_DRAIN:
        err = is_admin(info) ? TD_OK : TD_EPERM;
        if (err == TD_OK) {
            __atomic_store_n(&node->draining, true, __ATOMIC_RELEASE);
            td_inbox_wake(&node->inbox);
        }
        break;
    default:
        return false;
    }
    td_ingress_answer(node, info->link.v, request, err, "");
    return true;
}

static void push_request(struct td_node *node, const struct td_link_info *info, struct td_message *message)
{
    struct td_event *event = &message->item.event;
    message->item.class_ = TD_INBOX_REQUEST;
    event->type = TD_EV_REQUEST;
    event->u.request.client_link = info->link.v;
    event->u.request.client_number = info->client_number;
    event->u.request.request = &message->request;
    event->u.request.refused = message->refused;
    if (!td_inbox_push(&node->inbox, &message->item)) {
        td_ingress_answer(node, info->link.v, &message->request, TD_EBUSY, "");
        td_message_put(message);
    }
}

static enum td_err decode_request(struct td_node *node, struct td_message *message, size_t payload_bytes)
{
    size_t arena_bytes = message->arena.size_bytes;
    struct td_bytes payload = { message->payload, payload_bytes };
    enum td_err err = td_request_decode(payload, &node->signer, thread_reader(), &message->arena,
                                        &message->request);
    while (err == TD_ETOOBIG && arena_bytes < ARENA_BYTES_MAX) {
        arena_bytes *= 4;
        if (!td_message_regrow(message, arena_bytes)) {
            return TD_ENOMEM;
        }
        err = td_request_decode(payload, &node->signer, thread_reader(), &message->arena,
                                &message->request);
    }
    return err;
}

static void on_request(struct td_node *node, const struct td_link_info *info, uint8_t *take_payload,
                       size_t payload_bytes)
{
    if (payload_bytes > TD_REQUEST_BYTES_MAX + TD_ROSTER_BYTES_MAX) {
        free(take_payload);
        td_net_close_link(node->net, info->link, TD_ETOOBIG);
        return;
    }
    struct td_message *message = td_message_make(take_payload, ARENA_BYTES_MIN + payload_bytes * 6);
    if (message == NULL) {
        td_net_close_link(node->net, info->link, TD_ENOMEM);
        return;
    }
    enum td_err err = decode_request(node, message, payload_bytes);
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
        td_ingress_answer(node, info->link.v, &message->request, err, "");
        td_message_put(message);
        return;
    }
    push_request(node, info, message);
}

/* ---- callbacks of links ---- */

static void on_frame(void *self, const struct td_link_info *info, uint8_t type, uint8_t *take_payload,
                     size_t payload_bytes)
{
    struct td_node *node = self;
    if (type == TD_MSG_REQUEST && info->kind != TD_LINK_REGION) {
        on_request(node, info, take_payload, payload_bytes);
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
    td_log_event(info->kind == TD_LINK_REGION ? TD_INFO : TD_DEBUG, "link_up", "region",
                 td_log_number(info->region.v), "remote", info->remote, "link",
                 td_log_number(info->link.v), NULL);
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
    td_log_event(info->kind == TD_LINK_REGION ? TD_INFO : TD_DEBUG, "link_down", "region",
                 td_log_number(info->region.v), "remote", info->remote, "link",
                 td_log_number(info->link.v), "why", td_err_text(why), NULL);
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
