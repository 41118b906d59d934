/* fake_node.c -- see fake_node.h. */
#include "node/client/fake_node.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/channel.h"

enum { LINKS_MAX = 8, HELD_MAX = 256, ARENA_BYTES = 32 * 1024 * 1024, OUT_MAX = 8 * 1024 * 1024 };

struct link {
    int fd; /* -1 = free */
    struct td_channel *channel;
    struct td_buffer out;
    bool drop;
};

struct held {
    struct link *link;
    uint8_t *payload;
    size_t bytes;
};

struct fake_node {
    char path[108];
    uint8_t region;
    char name[16];
    fake_answer answer;
    void *self;
    pthread_t thread;
    int listener;
    int wake;
    struct td_reader *reader;
    void *arena_bytes;

    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool stopping;
    bool hold;
    struct link links[LINKS_MAX];
    struct link *current;
    uint32_t held_count;
    struct held held[HELD_MAX];
    uint32_t requests, updates;
    uint64_t seq;
    struct td_vv_entry entry;
    struct fake_record records[FAKE_RECORDS_MAX];
    struct td_result results[TD_REQUEST_UPDATES_MAX];
};

static void must(bool ok, const char *what)
{
    if (!ok) {
        (void)fprintf(stderr, "fake node: %s: %s\n", what, strerror(errno));
        abort();
    }
}

static void send_all(struct link *link)
{
    size_t at = 0;
    while (at < link->out.used_bytes && !link->drop) {
        ssize_t sent =
            send(link->fd, link->out.bytes + at, link->out.used_bytes - at, MSG_NOSIGNAL);
        if (sent <= 0) {
            link->drop = true;
            break;
        }
        at += (size_t)sent;
    }
    td_buffer_consume(&link->out, link->out.used_bytes);
}

static void send_response(struct link *link, uint8_t *payload, size_t bytes)
{
    struct td_out_frame frame = {TD_MSG_RESPONSE, {payload, bytes}};
    must(td_channel_seal(link->channel, &frame, 1, &link->out) == TD_OK, "seal");
    send_all(link);
}

static void copy_text(char *into, size_t into_bytes, struct td_text text)
{
    (void)snprintf(into, into_bytes, "%.*s", (int)text.count, text.count > 0 ? text.bytes : "");
}

static void record_updates(struct fake_node *node, const struct td_request *request)
{
    for (uint32_t i = 0; i < request->u.publish.count; i++) {
        const struct td_update *update = &request->u.publish.updates[i];
        if (node->updates < FAKE_RECORDS_MAX) {
            struct fake_record *record = &node->records[node->updates];
            copy_text(record->job, sizeof record->job, update->job);
            copy_text(record->detail, sizeof record->detail, update->status.detail);
            record->attempt = update->attempt;
            record->state = update->status.state;
            record->fields = update->fields;
            record->seen = update->seen;
            record->request_id = request->id;
        }
        node->updates++;
        struct td_result *result = &node->results[i];
        memset(result, 0, sizeof *result);
        node->seq++;
        result->attempt = update->attempt == 0 ? 1 : update->attempt;
        result->stamp.ms = UINT64_C(1700000000000) + node->seq;
        result->dot.origin = node->entry.origin;
        result->dot.seq = node->seq;
        result->rank = td_state_rank(update->status.state);
    }
}

static struct td_response good_response(struct fake_node *node, const struct td_request *request)
{
    struct td_response response = {.id = request->id, .op = request->op};
    response.node.v = node->region;
    response.node_name = (struct td_text){node->name, (uint32_t)strlen(node->name)};
    response.cluster_name = (struct td_text){"demo", 4};
    response.now_ms = UINT64_C(1700000100000);
    response.process = node->entry.origin.incarnation;
    response.certain = true;
    if (request->op == TD_OP_PUBLISH) {
        record_updates(node, request);
        response.u.publish.count = request->u.publish.count;
        response.u.publish.results = node->results;
    }
    node->entry.seq = node->seq;
    response.has.entry_count = node->seq > 0 ? 1 : 0;
    response.has.entries = &node->entry;
    return response;
}

static void answer_request(struct fake_node *node, const struct td_request *request)
{
    struct td_response response = good_response(node, request);
    enum fake_act act = FAKE_ANSWER;
    node->requests++;
    if (node->answer != NULL) {
        act = node->answer(node->self, node, request, &response);
    }
    node->current->drop = node->current->drop || act == FAKE_DROP;
    if (act == FAKE_ANSWER) {
        uint8_t *payload = malloc(OUT_MAX);
        must(payload != NULL, "memory");
        size_t bytes = td_response_encode(&response, payload, OUT_MAX);
        must(bytes > 0, "encode");
        if (node->hold && request->op == TD_OP_PUBLISH) {
            must(node->held_count < HELD_MAX, "held answers");
            node->held[node->held_count++] = (struct held){node->current, payload, bytes};
        } else {
            send_response(node->current, payload, bytes);
            free(payload);
        }
    }
    (void)pthread_cond_broadcast(&node->changed);
}

static void on_frame(void *self, uint8_t type, uint8_t *take_payload, size_t payload_bytes)
{
    struct fake_node *node = self;
    struct td_sodium_signer sodium = {.secret = NULL};
    struct td_signer signer = td_sodium_signer(&sodium);
    struct td_request request;
    struct td_arena arena;
    if (type == TD_MSG_REQUEST) {
        td_arena_init(&arena, node->arena_bytes, ARENA_BYTES);
        must(td_request_decode((struct td_bytes){take_payload, payload_bytes}, &signer,
                               node->reader, &arena, &request) == TD_OK,
             "decode");
        answer_request(node, &request);
    }
    free(take_payload);
}

static void close_link(struct fake_node *node, struct link *link)
{
    for (uint32_t i = 0; i < node->held_count;) {
        if (node->held[i].link == link) {
            free(node->held[i].payload);
            node->held[i] = node->held[--node->held_count];
        } else {
            i++;
        }
    }
    (void)close(link->fd);
    td_channel_close(link->channel);
    td_buffer_fini(&link->out);
    memset(link, 0, sizeof *link);
    link->fd = -1;
}

static void read_link(struct fake_node *node, struct link *link)
{
    static _Thread_local uint8_t input[65536];
    struct td_channel_sink sink = {.self = node, .frame = on_frame};
    ssize_t count = recv(link->fd, input, sizeof input, 0);
    node->current = link;
    if (count <= 0 || td_channel_receive(link->channel, (struct td_bytes){input, (size_t)count},
                                         &sink, &link->out) != TD_OK) {
        link->drop = true;
    }
    if (link->drop) {
        close_link(node, link);
    }
}

static void accept_link(struct fake_node *node)
{
    struct td_channel_config config = {.local_allowed = true,
                                       .frame_bytes_max = TD_FRAME_BYTES_MAX};
    int fd = accept(node->listener, NULL, NULL);
    for (size_t i = 0; fd >= 0 && i < LINKS_MAX; i++) {
        struct link *link = &node->links[i];
        if (link->fd < 0) {
            link->fd = fd;
            td_buffer_init(&link->out, OUT_MAX);
            must(td_channel_open(&config, &link->out, &link->channel) == TD_OK, "channel");
            return;
        }
    }
    must(fd < 0, "too many links");
}

static void let_go(struct fake_node *node)
{
    uint32_t count = node->held_count;
    for (uint32_t i = 0; i < count; i++) {
        send_response(node->held[i].link, node->held[i].payload, node->held[i].bytes);
        free(node->held[i].payload);
    }
    node->held_count = 0;
}

static void *run(void *self)
{
    struct fake_node *node = self;
    for (;;) {
        struct pollfd polls[LINKS_MAX + 2] = {{node->wake, POLLIN, 0}, {node->listener, POLLIN, 0}};
        for (size_t i = 0; i < LINKS_MAX; i++) {
            polls[i + 2] = (struct pollfd){node->links[i].fd, POLLIN, 0};
        }
        must(poll(polls, LINKS_MAX + 2, -1) > 0 || errno == EINTR, "poll");
        (void)pthread_mutex_lock(&node->lock);
        uint64_t ticks = 0;
        if ((polls[0].revents & POLLIN) != 0) {
            must(read(node->wake, &ticks, sizeof ticks) == sizeof ticks, "wake");
        }
        if (node->stopping) {
            (void)pthread_mutex_unlock(&node->lock);
            return NULL;
        }
        if (!node->hold) {
            let_go(node);
        }
        for (size_t i = 0; i < LINKS_MAX; i++) {
            if (polls[i + 2].fd >= 0 && polls[i + 2].revents != 0) {
                read_link(node, &node->links[i]);
            }
        }
        if ((polls[1].revents & POLLIN) != 0) {
            accept_link(node);
        }
        (void)pthread_mutex_unlock(&node->lock);
    }
}

static void wake(struct fake_node *node)
{
    uint64_t one = 1;
    must(write(node->wake, &one, sizeof one) == sizeof one, "wake");
}

struct fake_node *fake_node_start(const char *path, uint8_t region, fake_answer answer, void *self)
{
    static uint32_t processes;
    struct fake_node *node = calloc(1, sizeof *node);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    must(node != NULL && td_sodium_init() == TD_OK, "memory");
    (void)snprintf(node->path, sizeof node->path, "%s", path);
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    (void)snprintf(node->name, sizeof node->name, "node-%u", (unsigned)region);
    node->region = region;
    node->answer = answer;
    node->self = self;
    node->entry.origin.region.v = region;
    node->entry.origin.incarnation = (struct td_incarnation){++processes, 7};
    node->reader = td_reader_alloc();
    node->arena_bytes = malloc(ARENA_BYTES);
    for (size_t i = 0; i < LINKS_MAX; i++) {
        node->links[i].fd = -1;
    }
    (void)unlink(path);
    node->wake = eventfd(0, EFD_CLOEXEC);
    node->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(bind(node->listener, (struct sockaddr *)&address, sizeof address) == 0, "bind");
    must(listen(node->listener, 16) == 0, "listen");
    (void)pthread_mutex_init(&node->lock, NULL);
    (void)pthread_cond_init(&node->changed, NULL);
    must(pthread_create(&node->thread, NULL, run, node) == 0, "thread");
    return node;
}

void fake_node_stop(struct fake_node *node)
{
    (void)pthread_mutex_lock(&node->lock);
    node->stopping = true;
    (void)pthread_mutex_unlock(&node->lock);
    wake(node);
    (void)pthread_join(node->thread, NULL);
    (void)unlink(node->path);
    (void)close(node->listener);
    for (size_t i = 0; i < LINKS_MAX; i++) {
        if (node->links[i].fd >= 0) {
            close_link(node, &node->links[i]);
        }
    }
    (void)close(node->wake);
    td_reader_free(node->reader);
    free(node->arena_bytes);
    (void)pthread_cond_destroy(&node->changed);
    (void)pthread_mutex_destroy(&node->lock);
    free(node);
}

static void wait_for(struct fake_node *node, const uint32_t *value, uint32_t count)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 10;
    (void)pthread_mutex_lock(&node->lock);
    int waited = 0;
    while (*value < count && waited == 0) {
        waited = pthread_cond_timedwait(&node->changed, &node->lock, &until);
    }
    uint32_t reached = *value;
    (void)pthread_mutex_unlock(&node->lock);
    assert_true(reached >= count);
}

void fake_node_wait_requests(struct fake_node *node, uint32_t count)
{
    wait_for(node, &node->requests, count);
}

void fake_node_wait_updates(struct fake_node *node, uint32_t count)
{
    wait_for(node, &node->updates, count);
}

static uint32_t locked(struct fake_node *node, const uint32_t *value)
{
    (void)pthread_mutex_lock(&node->lock);
    uint32_t count = *value;
    (void)pthread_mutex_unlock(&node->lock);
    return count;
}

uint32_t fake_node_requests(struct fake_node *node)
{
    return locked(node, &node->requests);
}

uint32_t fake_node_updates(struct fake_node *node)
{
    return locked(node, &node->updates);
}

struct fake_record fake_node_record(struct fake_node *node, uint32_t index)
{
    (void)pthread_mutex_lock(&node->lock);
    struct fake_record record = node->records[index];
    (void)pthread_mutex_unlock(&node->lock);
    return record;
}

void fake_node_hold(struct fake_node *node, bool hold)
{
    (void)pthread_mutex_lock(&node->lock);
    node->hold = hold;
    (void)pthread_mutex_unlock(&node->lock);
    wake(node);
}

struct td_result *fake_node_results(struct fake_node *node)
{
    return node->results;
}

uint64_t fake_node_seq(const struct fake_node *node)
{
    return node->seq;
}

/* ---- what every test program needs ---- */

static char folder[64];

const char *test_path(const char *name)
{
    static char paths[8][128];
    static unsigned next;
    char *path = paths[next++ % 8];
    if (folder[0] == '\0') {
        (void)snprintf(folder, sizeof folder, "/tmp/tidings_client_test.XXXXXX");
        must(mkdtemp(folder) != NULL, "mkdtemp");
    }
    (void)snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

void test_folder_remove(void)
{
    char command[128];
    if (folder[0] != '\0') {
        (void)snprintf(command, sizeof command, "rm -rf %s", folder);
        must(system(command) == 0, "rm");
        folder[0] = '\0';
    }
}

tidings *test_open(struct tidings_options options, const char *first, const char *second)
{
    char nodes[300];
    char why[256];
    tidings *handle = NULL;
    (void)snprintf(nodes, sizeof nodes, "ipc://%s%s%s", test_path(first),
                   second != NULL ? ",ipc://" : "", second != NULL ? test_path(second) : "");
    options.nodes = nodes;
    if (tidings_open(&options, &handle, why, sizeof why) != TIDINGS_OK) {
        fail_msg("%s", why);
    }
    return handle;
}
