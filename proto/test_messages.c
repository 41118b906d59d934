/* test_messages.c -- valid random heads, rosters, messages, requests and responses for the tests.
 */
#include <string.h>

#include "proto/assert.h"
#include "proto/delta.h"
#include "proto/test_support.h"

static void *take(struct td_test *test, size_t count, size_t size)
{
    void *memory = td_arena_take(&test->made, count, size);
    TD_ASSERT(memory != NULL);
    return memory;
}

static void fill(struct td_test *test, uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        bytes[i] = (uint8_t)td_test_random(test);
    }
}

static struct td_bytes make_bin(struct td_test *test, uint32_t count_max)
{
    uint32_t count = td_test_below(test, count_max + 1);
    uint8_t *bytes = take(test, count, 1);
    fill(test, bytes, count);
    return (struct td_bytes){bytes, count};
}

static struct td_region make_region(struct td_test *test)
{
    return (struct td_region){(uint8_t)(1 + td_test_below(test, TD_REGION_NUMBER_MAX))};
}

/* ---- head ---- */

static const struct td_detour *make_detours(struct td_test *test, uint32_t count)
{
    struct td_detour *detours = take(test, count, sizeof *detours);
    for (uint32_t i = 0; i < count; i++) {
        detours[i].region = make_region(test);
        detours[i].via.v = td_test_chance(test) ? 0 : make_region(test).v;
    }
    return detours;
}

void td_test_head(struct td_test *test, struct td_head *ret_head)
{
    struct td_head head = {.cluster = test->cluster, .origin = td_test_origin(test)};
    head.key_number = (uint16_t)td_test_number(test, UINT16_MAX);
    head.number = 1 + td_test_number(test, TD_SEQ_MAX - 1);
    head.seq = td_test_number(test, TD_SEQ_MAX);
    head.stamp = td_test_stamp(test);
    head.roster_version = td_test_number(test, TD_SEQ_MAX);
    head.recovering = td_test_chance(test);
    fill(test, head.digest.bytes, sizeof head.digest.bytes);
    td_test_vv(test, 40, &head.has);
    head.echo_count = td_test_below(test, 8);
    struct td_tick *echo = take(test, head.echo_count, sizeof *echo);
    for (uint32_t i = 0; i < head.echo_count; i++) {
        echo[i].origin = td_test_origin(test);
        echo[i].number = 1 + td_test_number(test, TD_SEQ_MAX - 1);
        fill(test, echo[i].hash, sizeof echo[i].hash);
    }
    head.echo = echo;
    head.closing_count = td_test_below(test, 8);
    struct td_closing *closings = take(test, head.closing_count, sizeof *closings);
    for (uint32_t i = 0; i < head.closing_count; i++) {
        closings[i].incarnation = td_test_origin(test).incarnation;
        closings[i].last_seq = td_test_number(test, TD_SEQ_MAX);
        closings[i].lost = td_test_chance(test);
    }
    head.closings = closings;
    head.counted_count = td_test_below(test, 8);
    struct td_region *counted = take(test, head.counted_count, sizeof *counted);
    for (uint32_t i = 0; i < head.counted_count; i++) {
        counted[i] = make_region(test);
    }
    head.counted = counted;
    head.proto_min = (uint16_t)td_test_number(test, UINT16_MAX);
    head.proto_max = (uint16_t)td_test_number(test, UINT16_MAX);
    head.software = td_test_text(test, 0, TD_SOFTWARE_BYTES_MAX);
    head.detours_said = td_test_chance(test);
    head.detour_count = head.detours_said ? td_test_below(test, 8) : 0;
    head.detours = make_detours(test, head.detour_count);
    *ret_head = head;
}

/* ---- roster ---- */

void td_test_card(struct td_test *test, struct td_card *ret_card)
{
    struct td_card card = {.cluster = test->cluster, .region = make_region(test)};
    card.key_number = (uint16_t)td_test_number(test, UINT16_MAX);
    fill(test, card.sign_key.bytes, sizeof card.sign_key.bytes);
    fill(test, card.link_key.bytes, sizeof card.link_key.bytes);
    card.roster_version = td_test_number(test, TD_SEQ_MAX);
    *ret_card = card;
}

static struct td_text numbered_name(struct td_test *test, char kind, uint32_t number)
{
    char *bytes = take(test, 8, 1);
    bytes[0] = kind;
    for (int i = 4; i >= 1; i--) {
        bytes[i] = (char)('0' + number % 10);
        number /= 10;
    }
    return (struct td_text){bytes, 5};
}

static const struct td_text *make_texts(struct td_test *test, uint32_t count, uint32_t bytes_max)
{
    struct td_text *texts = take(test, count, sizeof *texts);
    for (uint32_t i = 0; i < count; i++) {
        texts[i] = td_test_text(test, 1, bytes_max);
    }
    return texts;
}

static void make_roster_region(struct td_test *test, uint32_t number,
                               struct td_roster_region *region)
{
    region->number.v = (uint8_t)number;
    region->name = numbered_name(test, 'r', number);
    region->state = (enum td_region_state)td_test_below(test, 3);
    region->quota_registers = td_test_number(test, TD_SEQ_MAX);
    region->quota_bytes = td_test_number(test, TD_SEQ_MAX);
    region->key_count = 1 + td_test_below(test, 3);
    struct td_region_key *keys = take(test, region->key_count, sizeof *keys);
    for (uint32_t i = 0; i < region->key_count; i++) {
        keys[i].number = (uint16_t)(i * 300 + td_test_below(test, 300));
        fill(test, keys[i].sign_key.bytes, sizeof keys[i].sign_key.bytes);
        fill(test, keys[i].link_key.bytes, sizeof keys[i].link_key.bytes);
    }
    region->keys = keys;
    region->endpoint_count = td_test_below(test, TD_ENDPOINTS_MAX + 1);
    region->endpoints = make_texts(test, region->endpoint_count, TD_ENDPOINT_BYTES_MAX);
    region->admitted_version = td_test_number(test, TD_SEQ_MAX);
    region->closed_count = region->state == TD_REGION_CLOSED ? td_test_below(test, 5) : 0;
    struct td_closing *closed = take(test, region->closed_count, sizeof *closed);
    for (uint32_t i = 0; i < region->closed_count; i++) {
        closed[i].incarnation = td_test_origin(test).incarnation;
        closed[i].last_seq = td_test_number(test, TD_SEQ_MAX);
    }
    region->closed = closed;
    region->doubtful_since_ms = td_test_number(test, TD_STAMP_MS_MAX);
    region->card = make_bin(test, TD_CARD_BYTES_MAX);
}

static void make_roster_client(struct td_test *test, uint32_t number,
                               struct td_roster_client *client)
{
    client->number = number;
    client->name = numbered_name(test, 'c', number);
    client->role = (enum td_role)td_test_below(test, 3);
    fill(test, client->sign_key.bytes, sizeof client->sign_key.bytes);
    fill(test, client->link_key.bytes, sizeof client->link_key.bytes);
    client->prefix_count = td_test_below(test, 4);
    client->prefixes = make_texts(test, client->prefix_count, 20);
    client->admitted_version = td_test_number(test, TD_SEQ_MAX);
}

void td_test_roster(struct td_test *test, uint32_t regions, uint32_t clients,
                    struct td_roster *ret_roster)
{
    struct td_roster roster = {.cluster = test->cluster};
    roster.cluster_name = td_test_text(test, 1, TD_CLUSTER_NAME_BYTES_MAX);
    roster.version = td_test_number(test, TD_SEQ_MAX);
    roster.issued_ms = td_test_number(test, TD_STAMP_MS_MAX);
    fill(test, roster.previous.bytes, sizeof roster.previous.bytes);
    roster.policy.retain_s = td_test_number(test, TD_SEQ_MAX);
    roster.policy.registers_max = td_test_number(test, TD_SEQ_MAX);
    struct td_roster_region *region_list = take(test, regions, sizeof *region_list);
    for (uint32_t i = 0; i < regions; i++) {
        make_roster_region(test, i + 1, &region_list[i]);
    }
    struct td_roster_client *client_list = take(test, clients, sizeof *client_list);
    for (uint32_t i = 0; i < clients; i++) {
        make_roster_client(test, 2 * i + 1, &client_list[i]);
    }
    roster.region_count = regions;
    roster.regions = region_list;
    roster.client_count = clients;
    roster.clients = client_list;
    *ret_roster = roster;
}

/* ---- messages between regions ---- */

static void make_want_live(struct td_test *test, struct td_msg *msg)
{
    struct td_vv_entry *entries = take(test, 3, sizeof *entries);
    uint32_t count = td_test_below(test, 4);
    msg->u.want_live.region = make_region(test);
    msg->u.want_live.on = td_test_chance(test);
    for (uint32_t i = 0; i < count; i++) {
        entries[i].origin.region = msg->u.want_live.region;
        entries[i].origin.incarnation.start = i * 1000 + td_test_below(test, 1000);
        entries[i].origin.incarnation.random = td_test_below(test, 1 << 30);
        entries[i].seq = 1 + td_test_number(test, TD_SEQ_MAX - 1);
    }
    msg->u.want_live.from = (struct td_vv){count, 0, entries, NULL};
}

static void make_bucket(struct td_test *test, struct td_msg *msg)
{
    uint32_t count = td_test_below(test, 20);
    struct td_register_id *entries = take(test, count, sizeof *entries);
    uint64_t hash = 0;
    for (uint32_t i = 0; i < count; i++) {
        hash += td_test_random(test) >> 8;
        entries[i].register_hash = hash;
        entries[i].dot = td_test_dot(test);
    }
    msg->u.bucket.bucket = (uint16_t)td_test_below(test, TD_DIGEST_BUCKETS);
    msg->u.bucket.more = td_test_chance(test);
    msg->u.bucket.count = count;
    msg->u.bucket.entries = entries;
}

static void make_digest(struct td_test *test, struct td_msg *msg)
{
    struct td_hash *buckets = take(test, TD_DIGEST_BUCKETS, sizeof *buckets);
    fill(test, buckets[0].bytes, TD_DIGEST_BUCKETS * sizeof *buckets);
    td_test_vv(test, 10, &msg->u.digest.has);
    msg->u.digest.buckets = buckets;
}

static void make_fetch(struct td_test *test, struct td_msg *msg)
{
    uint32_t count = td_test_below(test, 20);
    struct td_dot *dots = take(test, count, sizeof *dots);
    for (uint32_t i = 0; i < count; i++) {
        dots[i] = td_test_dot(test);
    }
    msg->u.fetch.count = count;
    msg->u.fetch.dots = dots;
}

static void make_chunk(struct td_test *test, struct td_msg *msg)
{
    msg->u.chunk.id = (uint32_t)td_test_number(test, UINT32_MAX);
    msg->u.chunk.cursor = td_test_number(test, UINT64_MAX);
    msg->u.chunk.compressed = td_test_chance(test);
    msg->u.chunk.content = make_bin(test, 300);
    msg->u.chunk.content_bytes = msg->u.chunk.compressed
                                     ? (uint32_t)td_test_number(test, TD_FRAME_BYTES_MAX)
                                     : (uint32_t)msg->u.chunk.content.count;
}

static void make_hello(struct td_test *test, struct td_msg *msg)
{
    msg->u.hello.roster_version = td_test_number(test, TD_SEQ_MAX);
    msg->u.hello.process = td_test_origin(test).incarnation;
    msg->u.hello.proto_min = (uint16_t)td_test_number(test, UINT16_MAX);
    msg->u.hello.proto_max = (uint16_t)td_test_number(test, UINT16_MAX);
    msg->u.hello.features = td_test_number(test, UINT64_MAX);
    msg->u.hello.software = td_test_text(test, 0, TD_SOFTWARE_BYTES_MAX);
}

static void make_small(struct td_test *test, struct td_msg *msg)
{
    switch (msg->type) {
    case TD_MSG_PING:
    case TD_MSG_PONG:
        msg->u.nonce = td_test_number(test, UINT64_MAX);
        break;
    case TD_MSG_BYE:
        msg->u.bye = TD_EVERSION;
        break;
    case TD_MSG_HEAD_ASK:
    case TD_MSG_NOT_WHOLE:
        msg->u.region = make_region(test);
        break;
    case TD_MSG_CREDIT:
        msg->u.credit.lane = (enum td_lane)td_test_below(test, TD_LANE_COUNT);
        msg->u.credit.bytes = td_test_number(test, TD_SEQ_MAX);
        break;
    case TD_MSG_TRANSFER_NO:
        msg->u.transfer_no_id = (uint32_t)td_test_number(test, UINT32_MAX);
        break;
    case TD_MSG_BUCKET_ASK:
        msg->u.bucket_ask.bucket = (uint16_t)td_test_below(test, TD_DIGEST_BUCKETS);
        msg->u.bucket_ask.from = td_test_number(test, UINT64_MAX);
        break;
    case TD_MSG_PROOF:
        msg->u.proof.kind = (uint8_t)td_test_below(test, 2);
        msg->u.proof.a = make_bin(test, 400);
        msg->u.proof.b = make_bin(test, 400);
        break;
    default:
        td_test_vv(test, 20, &msg->u.has); /* HAS, DIGEST_ASK */
    }
}

void td_test_msg(struct td_test *test, enum td_msg_type type, struct td_msg *ret_msg)
{
    struct td_msg msg = {.type = type};
    switch (type) {
    case TD_MSG_HELLO:
        make_hello(test, &msg);
        break;
    case TD_MSG_WANT_LIVE:
        make_want_live(test, &msg);
        break;
    case TD_MSG_WANT_ALL:
        msg.u.want_all.id = (uint32_t)td_test_number(test, UINT32_MAX);
        msg.u.want_all.cursor = td_test_number(test, UINT64_MAX);
        td_test_vv(test, 20, &msg.u.want_all.has);
        break;
    case TD_MSG_TRANSFER_CHUNK:
        make_chunk(test, &msg);
        break;
    case TD_MSG_TRANSFER_END:
        msg.u.end.id = (uint32_t)td_test_number(test, UINT32_MAX);
        td_test_vv(test, 20, &msg.u.end.claim);
        break;
    case TD_MSG_DIGEST:
        make_digest(test, &msg);
        break;
    case TD_MSG_BUCKET:
        make_bucket(test, &msg);
        break;
    case TD_MSG_FETCH:
        make_fetch(test, &msg);
        break;
    default:
        make_small(test, &msg);
    }
    *ret_msg = msg;
}

/* ---- requests ---- */

static void make_publish(struct td_test *test, struct td_request *request)
{
    uint32_t count = td_test_below(test, 5);
    struct td_update *updates = take(test, count, sizeof *updates);
    for (uint32_t i = 0; i < count; i++) {
        updates[i].job = td_test_text(test, 1, TD_JOB_BYTES_MAX);
        updates[i].attempt = (uint16_t)td_test_number(test, TD_ATTEMPT_MAX);
        updates[i].correct = td_test_chance(test);
        updates[i].fields = (uint8_t)td_test_below(test, TD_FIELDS_ALL + 1);
        td_test_status(test, &updates[i].status);
        if (td_test_chance(test)) {
            struct td_token token;
            td_test_token(test, &token);
            updates[i].seen = token.seen;
            updates[i].seen.register_hash = 0;
        }
    }
    request->u.publish.ack = (uint8_t)td_test_number(test, UINT8_MAX);
    request->u.publish.count = count;
    request->u.publish.updates = updates;
}

static void make_filter(struct td_test *test, struct td_filter *filter)
{
    filter->states = (uint8_t)td_test_number(test, UINT8_MAX);
    filter->origin.v = (uint8_t)td_test_number(test, UINT8_MAX);
    filter->prefix = td_test_text(test, 0, TD_JOB_BYTES_MAX);
    filter->since_ms = td_test_number(test, TD_SEQ_MAX);
    filter->silent = td_test_chance(test);
    filter->conflicts = td_test_chance(test);
    filter->job_count = td_test_below(test, 4);
    filter->jobs = make_texts(test, filter->job_count, TD_JOB_BYTES_MAX);
}

void td_test_request(struct td_test *test, enum td_op op, struct td_request *ret_request)
{
    struct td_request request = {.id = td_test_number(test, UINT64_MAX), .op = op};
    request.timeout_ms = (uint32_t)td_test_number(test, UINT32_MAX);
    td_test_vv(test, 10, &request.after);
    if (op == TD_OP_PUBLISH) {
        make_publish(test, &request);
    } else if (op == TD_OP_GET || op == TD_OP_EXPLAIN) {
        request.u.get.job = td_test_text(test, 1, TD_JOB_BYTES_MAX);
        request.u.get.attempt = (uint16_t)td_test_number(test, TD_ATTEMPT_MAX);
        request.u.get.all_attempts = td_test_chance(test);
    } else if (op == TD_OP_LIST) {
        make_filter(test, &request.u.list.filter);
        request.u.list.limit = (uint32_t)td_test_number(test, TD_LIST_LIMIT_MAX);
        request.u.list.cursor = td_test_number(test, UINT64_MAX);
    } else if (op == TD_OP_WATCH) {
        make_filter(test, &request.u.watch.filter);
        request.u.watch.limit = (uint32_t)td_test_number(test, TD_LIST_LIMIT_MAX);
        request.u.watch.cursor = UINT64_MAX;
        request.u.watch.process = td_test_origin(test).incarnation;
    } else if (op == TD_OP_ROSTER_PUSH) {
        request.u.roster = make_bin(test, 500);
    } else if (op == TD_OP_FAULT) {
        request.u.fault.region = make_region(test);
        request.u.fault.send_cut = td_test_chance(test);
        request.u.fault.receive_cut = td_test_chance(test);
    } else if (op == TD_OP_CANCEL) {
        request.u.cancel_id = td_test_number(test, UINT64_MAX);
    } else if (op == TD_OP_ADMIN) {
        request.u.admin.action = (enum td_admin)(1 + td_test_number(test, TD_ADMIN_LAST - 1));
        request.u.admin.argument = td_test_text(test, 0, TD_ADMIN_ARGUMENT_BYTES_MAX);
    } else if (op == TD_OP_MEMBERS) {
        request.u.members.region = make_region(test);
    } else if (op == TD_OP_ROSTER_AT) {
        request.u.roster_version = td_test_number(test, TD_SEQ_MAX);
    }
    *ret_request = request;
}

/* ---- responses ---- */

static const struct td_fresh_view *make_fresh(struct td_test *test, uint32_t count)
{
    struct td_fresh_view *views = take(test, count, sizeof *views);
    for (uint32_t i = 0; i < count; i++) {
        views[i].region = make_region(test);
        views[i].age_known = td_test_chance(test);
        views[i].age_ms = views[i].age_known ? td_test_number(test, UINT64_MAX) : 0;
        views[i].missing_known = td_test_chance(test);
        views[i].missing = views[i].missing_known ? td_test_number(test, UINT64_MAX) : 0;
        views[i].recovering = td_test_chance(test);
        views[i].doubt = td_test_chance(test);
        views[i].via.v = (uint8_t)td_test_below(test, 256);
    }
    return views;
}

static void make_view(struct td_test *test, struct td_register_view *view)
{
    struct td_delta delta;
    td_test_delta(test, &delta);
    view->job = delta.job;
    view->attempt = delta.attempt;
    view->flags = delta.flags;
    view->client = delta.client;
    view->status = delta.status;
    view->stamp = delta.stamp;
    view->dot = td_test_dot(test);
    view->clock_count = delta.clock_count;
    view->clock = delta.clock;
    view->concurrent_count = (uint32_t)td_test_number(test, UINT32_MAX);
    view->arrival = td_test_number(test, UINT64_MAX);
    view->silent = td_test_chance(test);
    view->leaf = delta.leaf;
}

static void make_results(struct td_test *test, struct td_response *response)
{
    uint32_t count = td_test_below(test, 6);
    struct td_result *results = take(test, count, sizeof *results);
    for (uint32_t i = 0; i < count; i++) {
        results[i].err = td_test_chance(test) ? TD_OK : TD_ERANK;
        results[i].attempt = (uint16_t)td_test_number(test, TD_ATTEMPT_MAX);
        results[i].stamp = td_test_stamp(test);
        results[i].dot = td_test_dot(test);
        results[i].rank = (uint8_t)td_test_below(test, 3);
        results[i].noop = td_test_chance(test);
        results[i].acked_regions = (uint8_t)td_test_number(test, UINT8_MAX);
        results[i].current_state = (uint8_t)td_test_below(test, TD_STATE_COUNT);
        results[i].current_stamp = td_test_stamp(test);
    }
    response->u.publish.count = count;
    response->u.publish.results = results;
}

static void make_registers(struct td_test *test, struct td_response *response)
{
    uint32_t count = td_test_below(test, 5);
    struct td_register_view *registers = take(test, count, sizeof *registers);
    for (uint32_t i = 0; i < count; i++) {
        make_view(test, &registers[i]);
    }
    response->u.registers.count = count;
    response->u.registers.registers = registers;
    response->u.registers.next_cursor = td_test_number(test, UINT64_MAX);
    response->u.registers.reset = td_test_chance(test);
}

static void make_versions(struct td_test *test, struct td_response *response)
{
    uint32_t count = td_test_below(test, 4);
    struct td_version_view *versions = take(test, count, sizeof *versions);
    for (uint32_t i = 0; i < count; i++) {
        make_view(test, &versions[i].view);
        versions[i].winner = i == 0;
        versions[i].concurrent = td_test_chance(test);
        versions[i].rule = (enum td_rule)td_test_below(test, TD_RULE_COUNT);
        versions[i].signature_ok = td_test_chance(test);
        fill(test, versions[i].signer.bytes, sizeof versions[i].signer.bytes);
        versions[i].via.v = (uint8_t)td_test_below(test, 256);
        versions[i].arrived_after_known = td_test_chance(test);
        versions[i].arrived_after_ms =
            versions[i].arrived_after_known ? 500 - (int64_t)td_test_below(test, 1000) : 0;
    }
    response->u.explain.count = count;
    response->u.explain.versions = versions;
}

static void make_region_view(struct td_test *test, struct td_region_view *view)
{
    view->region = make_region(test);
    view->self = td_test_chance(test);
    view->roster_state = (uint8_t)td_test_below(test, 3);
    view->link_state = (uint8_t)td_test_below(test, 5);
    view->direct = td_test_chance(test);
    view->via.v = (uint8_t)td_test_below(test, 256);
    view->heard = true;
    view->heard_age_ms = td_test_number(test, UINT64_MAX);
    view->rtt_known = true;
    view->rtt_us = (uint32_t)td_test_number(test, UINT32_MAX);
    view->probes = (uint16_t)td_test_number(test, UINT16_MAX);
    view->we_lack_known = true;
    view->we_lack = td_test_number(test, UINT64_MAX);
    view->they_lack_jobs = td_test_chance(test) ? UINT32_MAX : td_test_below(test, 1000);
    view->oldest_unacked_ms = td_test_number(test, UINT64_MAX);
    view->offset_known = true;
    view->offset_ms = -(int64_t)td_test_number(test, TD_SEQ_MAX);
    view->proto_min = 1;
    view->proto_max = (uint16_t)td_test_number(test, UINT16_MAX);
    view->software = td_test_text(test, 0, TD_SOFTWARE_BYTES_MAX);
    view->name = td_test_text(test, 0, TD_REGION_NAME_BYTES_MAX);
    view->sent_bytes = td_test_number(test, UINT64_MAX);
    view->received_bytes = td_test_number(test, UINT64_MAX);
    view->reconnects = td_test_number(test, UINT64_MAX);
    view->clone_suspected = td_test_chance(test);
    view->rolled_back = td_test_chance(test);
    view->equivocated = td_test_chance(test);
    view->fenced = td_test_chance(test);
    view->hears_count = td_test_below(test, 4);
    view->hears = make_fresh(test, view->hears_count);
    fill(test, view->sign_key.bytes, sizeof view->sign_key.bytes);
}

static void make_status_answer(struct td_test *test, struct td_response *response)
{
    uint32_t count = td_test_below(test, 4);
    struct td_region_view *regions = take(test, count, sizeof *regions);
    for (uint32_t i = 0; i < count; i++) {
        make_region_view(test, &regions[i]);
        regions[i].detours_said = td_test_chance(test);
        regions[i].detour_count = regions[i].detours_said ? td_test_below(test, 4) : 0;
        regions[i].detours = make_detours(test, regions[i].detour_count);
    }
    struct td_counter *counters = take(test, 2, sizeof *counters);
    counters[0] = (struct td_counter){td_test_literal("updates_published"), 17};
    counters[1] = (struct td_counter){td_test_literal("updates_applied"), UINT64_MAX};
    response->u.status.region_count = count;
    response->u.status.regions = regions;
    response->u.status.counter_count = 2;
    response->u.status.counters = counters;
    response->u.status.roster_version = td_test_number(test, TD_SEQ_MAX);
    response->u.status.register_count = td_test_number(test, UINT64_MAX);
    response->u.status.log_bytes = td_test_number(test, UINT64_MAX);
    response->u.status.log_limit_bytes = td_test_number(test, UINT64_MAX);
    response->u.status.publishing = td_test_chance(test);
}

static void make_members(struct td_test *test, struct td_response *response)
{
    struct td_member_view *members = take(test, 2, sizeof *members);
    struct td_life_view *lives = take(test, 1, sizeof *lives);
    struct td_vv_entry *entry = take(test, 1, sizeof *entry);
    response->u.members.region = make_region(test);
    *entry = (struct td_vv_entry){td_test_origin(test), td_test_number(test, TD_SEQ_MAX)};
    members[0] = (struct td_member_view){make_region(test), true, true, 7, 8, 9, 1, entry};
    members[1].region = make_region(test);
    lives[0] = (struct td_life_view){entry->origin.incarnation, 2, true, 3, 4};
    response->u.members.count = 2;
    response->u.members.members = members;
    response->u.members.life_count = 1;
    response->u.members.lives = lives;
}

void td_test_response(struct td_test *test, enum td_op op, struct td_response *ret_response)
{
    struct td_response response = {.id = td_test_number(test, UINT64_MAX), .op = op};
    response.err = td_test_chance(test) ? TD_OK : TD_ESTALE;
    response.message = td_test_text(test, 0, 100);
    response.node = make_region(test);
    response.node_name = td_test_text(test, 0, TD_REGION_NAME_BYTES_MAX);
    response.cluster_name = td_test_text(test, 0, TD_CLUSTER_NAME_BYTES_MAX);
    response.now_ms = td_test_number(test, UINT64_MAX);
    response.process = td_test_origin(test).incarnation;
    td_test_vv(test, 10, &response.has);
    response.certain = td_test_chance(test);
    response.freshness_count = td_test_below(test, 5);
    response.freshness = make_fresh(test, response.freshness_count);
    response.name_count = td_test_below(test, 4);
    struct td_region_name *names = take(test, response.name_count, sizeof *names);
    for (uint32_t i = 0; i < response.name_count; i++) {
        names[i].region = make_region(test);
        names[i].name = td_test_text(test, 0, TD_REGION_NAME_BYTES_MAX);
    }
    response.names = names;
    if (op == TD_OP_PUBLISH) {
        make_results(test, &response);
    } else if (op == TD_OP_GET || op == TD_OP_LIST || op == TD_OP_WATCH) {
        make_registers(test, &response);
    } else if (op == TD_OP_EXPLAIN) {
        make_versions(test, &response);
    } else if (op == TD_OP_STATUS) {
        make_status_answer(test, &response);
    } else if (op == TD_OP_MEMBERS) {
        make_members(test, &response);
    } else if (op == TD_OP_ROSTER_GET || op == TD_OP_ROSTER_AT) {
        response.u.roster = make_bin(test, 500);
    }
    *ret_response = response;
}
