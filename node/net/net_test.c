/* net_test.c -- several nets in one process, over real sockets of the loopback. */
#include "node/net/net.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "proto/frame.h"
#include "proto/limits.h"

enum { NODES_MAX = 4, LINKS_SEEN_MAX = 64, DEADLINE_MS = 20000, LOCAL_PATH_BYTES = 100 };

struct seen_link {
    struct td_link_info info;
    bool up;
    enum td_err why;
};

/* One net with its worker thread and what its sink has seen. */
struct node {
    uint8_t number;
    struct td_secret *secret;
    uint16_t port;
    char url[64];
    struct td_net *net;
    pthread_t thread;
    atomic_bool stop;

    struct td_public_key root;
    pthread_mutex_t lock; /* guards links */
    struct seen_link links[LINKS_SEEN_MAX];
    _Atomic size_t link_count;
    _Atomic uint64_t frames, rtts, late, offered_version;
    _Atomic uint64_t next_sequence; /* of frames of type 100: u64 first */
    atomic_bool out_of_order;
};

struct cluster {
    struct td_secret *root_secret;
    struct td_public_key root;
    struct node nodes[NODES_MAX];
    size_t node_count;
    struct td_secret *client_secret;
};

static uint64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Polls a condition until it holds or the deadline passes; the result is asserted by the caller. */
#define AWAIT(condition)                                                                           \
    do {                                                                                           \
        uint64_t await_end_ms = now_ms() + DEADLINE_MS;                                            \
        while (!(condition) && now_ms() < await_end_ms) {                                          \
            nanosleep(&(struct timespec){ .tv_nsec = 2000000 }, NULL);                             \
        }                                                                                          \
        assert_true(condition);                                                                    \
    } while (0)

/* --- Sink ------------------------------------------------------------------------------------ */

static void on_up(void *self, const struct td_link_info *info)
{
    struct node *node = self;

    pthread_mutex_lock(&node->lock);
    if (node->link_count < LINKS_SEEN_MAX) {
        node->links[node->link_count++] = (struct seen_link){ .info = *info, .up = true };
    }
    pthread_mutex_unlock(&node->lock);
}

static void on_down(void *self, const struct td_link_info *info, enum td_err why)
{
    struct node *node = self;

    pthread_mutex_lock(&node->lock);
    for (size_t i = 0; i < node->link_count; i++) {
        if (node->links[i].info.link.v == info->link.v) {
            node->links[i].up = false;
            node->links[i].why = why;
        }
    }
    pthread_mutex_unlock(&node->lock);
}

static void on_rtt(void *self, struct td_link_id link, bool answered, uint32_t rtt_us)
{
    struct node *node = self;

    (void)link;
    (void)rtt_us;
    node->rtts += answered ? 1 : 0;
    node->late += answered ? 0 : 1;
}

static void on_frame(void *self, const struct td_link_info *info, uint8_t type, uint8_t *take_payload,
                     size_t payload_bytes)
{
    struct node *node = self;

    (void)info;
    if (type == 100 && payload_bytes >= 8) {
        uint64_t sequence;
        memcpy(&sequence, take_payload, sizeof sequence);
        node->out_of_order = node->out_of_order || sequence != node->next_sequence;
        node->next_sequence = sequence + 1;
    }
    node->frames++;
    free(take_payload);
}

/* Takes what is offered into force, as the daemon does. */
static void on_offered(void *self, struct td_bytes raw)
{
    struct node *node = self;
    enum td_err err = TD_OK;
    struct td_roster_ref *ref = td_roster_ref_make(raw, &node->root, &err);

    node->offered_version = ref == NULL ? 0 : td_roster_ref_roster(ref)->version;
    if (ref != NULL) {
        td_net_set_roster(node->net, ref);
        td_roster_ref_put(ref);
    }
}

static void *work(void *arg)
{
    struct node *node = arg;

    while (!atomic_load(&node->stop)) {
        td_net_work(node->net, 20);
    }
    return NULL;
}

/* --- Cluster --------------------------------------------------------------------------------- */

static uint16_t free_port(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t count = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &count), 0);
    close(fd);
    return ntohs(address.sin_port);
}

static struct td_secret *new_secret(void)
{
    uint8_t seed[TD_SEED_BYTES];
    struct td_secret *secret = NULL;

    assert_int_equal(td_secret_generate(seed, &secret), TD_OK);
    return secret;
}

static struct td_text text(const char *chars)
{
    return (struct td_text){ chars, (uint32_t)strlen(chars) };
}

/* From the heap: when a test fails its threads go on, and must not meet the next test's cluster. */
static struct cluster *open_cluster(size_t node_count)
{
    struct cluster *cluster = calloc(1, sizeof *cluster);

    assert_non_null(cluster);
    cluster->root_secret = new_secret();
    cluster->root = td_secret_identity(cluster->root_secret)->sign_key;
    cluster->client_secret = new_secret();
    cluster->node_count = node_count;
    for (size_t i = 0; i < node_count; i++) {
        struct node *node = &cluster->nodes[i];
        node->number = (uint8_t)(i + 1);
        node->secret = new_secret();
        node->port = free_port();
        node->root = cluster->root;
        snprintf(node->url, sizeof node->url, "tcp://127.0.0.1:%u", node->port);
        pthread_mutex_init(&node->lock, NULL);
    }
    return cluster;
}

static struct td_bytes make_card(const struct cluster *cluster, const struct node *node,
                                 const struct td_signer *signer, uint8_t *bytes, size_t size_bytes)
{
    const struct td_identity *identity = td_secret_identity(node->secret);
    struct td_card card = {
        .cluster = td_cluster_id_of(&cluster->root),
        .region = { node->number },
        .key_number = 1,
        .sign_key = identity->sign_key,
        .link_key = identity->link_key,
        .roster_version = 1,
    };
    size_t count = td_card_encode(&card, signer, bytes, size_bytes);

    assert_true(count > 0);
    return (struct td_bytes){ bytes, count };
}

/* The first member_count nodes are in the roster, the one with number closed is closed. */
static struct td_roster_ref *make_roster(const struct cluster *cluster, uint64_t version,
                                         size_t member_count, uint8_t closed)
{
    static const char *const names[] = { "one", "two", "three", "four" };
    struct td_sodium_signer self = { cluster->root_secret, td_cluster_id_of(&cluster->root) };
    struct td_signer signer = td_sodium_signer(&self);
    uint8_t cards[NODES_MAX][TD_CARD_BYTES_MAX];
    struct td_region_key keys[NODES_MAX];
    struct td_text endpoints[NODES_MAX];
    struct td_roster_region regions[NODES_MAX] = { 0 };
    const struct td_identity *client_identity = td_secret_identity(cluster->client_secret);
    struct td_roster_client client = {
        .number = 7, .name = text("worker"), .role = TD_ROLE_PUBLISH,
        .sign_key = client_identity->sign_key, .link_key = client_identity->link_key,
        .admitted_version = 1,
    };

    for (size_t i = 0; i < member_count; i++) {
        const struct node *node = &cluster->nodes[i];
        const struct td_identity *identity = td_secret_identity(node->secret);
        keys[i] = (struct td_region_key){ 1, identity->sign_key, identity->link_key };
        endpoints[i] = text(node->url);
        regions[i] = (struct td_roster_region){
            .number = { node->number },
            .name = text(names[i]),
            .state = node->number == closed ? TD_REGION_CLOSED : TD_REGION_ACTIVE,
            .quota_registers = TD_QUOTA_REGISTERS_DEFAULT,
            .quota_bytes = TD_QUOTA_BYTES_DEFAULT,
            .key_count = 1,
            .keys = &keys[i],
            .endpoint_count = 1,
            .endpoints = &endpoints[i],
            .admitted_version = 1,
            .card = make_card(cluster, node, &signer, cards[i], sizeof cards[i]),
        };
    }
    struct td_roster roster = {
        .cluster = td_cluster_id_of(&cluster->root),
        .cluster_name = text("test"),
        .version = version,
        .issued_ms = 1700000000000,
        .policy = { .retain_s = 86400 * 30, .abandon_s = 86400 * 365, .max_absence_s = 86400 * 7 },
        .region_count = (uint32_t)member_count,
        .regions = regions,
        .client_count = 1,
        .clients = &client,
    };
    uint8_t bytes[8192];
    enum td_err err = TD_OK;
    size_t count = td_roster_encode(&roster, &signer, bytes, sizeof bytes);
    assert_true(count > 0);
    struct td_roster_ref *ref = td_roster_ref_make((struct td_bytes){ bytes, count }, &cluster->root,
                                                   &err);
    assert_int_equal(err, TD_OK);
    assert_non_null(ref);
    return ref;
}

static void open_node(struct cluster *cluster, struct node *node, struct td_roster_ref *roster,
                      const char *seed, const char *local_path)
{
    const char *listen[1] = { node->url };
    const char *seeds[1] = { seed };
    char why[200] = "";
    struct td_net_config config = {
        .self = { 0 },
        .secret = node->secret,
        .root_sign_key = cluster->root,
        .listen_peer = listen,
        .listen_peer_count = 1,
        .listen_local = local_path,
        .seeds = seeds,
        .seed_count = seed != NULL ? 1 : 0,
        .clients_max = 8,
        .chaos = true,
        .software = text("test"),
    };
    struct td_net_sink sink = { node, on_up, on_down, on_rtt, on_frame, on_offered };

    enum td_err err = td_net_start(&config, &sink, roster, &node->net, why, sizeof why);
    if (err != TD_OK) {
        fail_msg("net does not start: %s", why);
    }
    td_net_set_process(node->net, (struct td_incarnation){ 1, node->number });
    atomic_store(&node->stop, false);
    assert_int_equal(pthread_create(&node->thread, NULL, work, node), 0);
}

static void close_node(struct node *node)
{
    if (node->net == NULL) {
        return;
    }
    atomic_store(&node->stop, true);
    pthread_join(node->thread, NULL);
    uint64_t begin_ms = now_ms();
    td_net_stop(node->net, 3000);
    assert_true(now_ms() - begin_ms < 2900);
    node->net = NULL;
}

static void open_all(struct cluster *cluster)
{
    struct td_roster_ref *roster = make_roster(cluster, 1, cluster->node_count, 0);

    for (size_t i = 0; i < cluster->node_count; i++) {
        open_node(cluster, &cluster->nodes[i], roster, NULL, NULL);
    }
    td_roster_ref_put(roster);
}

static void close_cluster(struct cluster *cluster)
{
    for (size_t i = 0; i < cluster->node_count; i++) {
        close_node(&cluster->nodes[i]);
        td_secret_free(cluster->nodes[i].secret);
        pthread_mutex_destroy(&cluster->nodes[i].lock);
    }
    td_secret_free(cluster->root_secret);
    td_secret_free(cluster->client_secret);
    free(cluster);
}

/* The link in force with this region, and how many there are. */
static unsigned links_with(struct node *node, uint8_t region, struct td_link_id *ret_link)
{
    unsigned count = 0;

    pthread_mutex_lock(&node->lock);
    for (size_t i = 0; i < node->link_count; i++) {
        if (node->links[i].up && node->links[i].info.region.v == region) {
            count++;
            if (ret_link != NULL) {
                *ret_link = node->links[i].info.link;
            }
        }
    }
    pthread_mutex_unlock(&node->lock);
    return count;
}

static struct seen_link seen(struct node *node, size_t index)
{
    pthread_mutex_lock(&node->lock);
    struct seen_link copy = node->links[index];
    pthread_mutex_unlock(&node->lock);
    return copy;
}

static bool meshed(struct cluster *cluster, size_t count)
{
    for (size_t a = 0; a < count; a++) {
        for (size_t b = 0; b < count; b++) {
            if (a != b && links_with(&cluster->nodes[a], cluster->nodes[b].number, NULL) != 1) {
                return false;
            }
        }
    }
    return true;
}

/* Two links may come up for one pair, and one of them is given up again. */
static void await_settled_mesh(struct cluster *cluster, size_t count)
{
    uint64_t rtts[NODES_MAX];

    AWAIT(meshed(cluster, count));
    for (size_t i = 0; i < count; i++) {
        rtts[i] = cluster->nodes[i].rtts;
    }
    for (size_t i = 0; i < count; i++) {
        AWAIT(cluster->nodes[i].rtts >= rtts[i] + 2 * (count - 1));
    }
    AWAIT(meshed(cluster, count));
}

static size_t fd_count(void)
{
    DIR *folder = opendir("/proc/self/fd");
    size_t count = 0;

    assert_non_null(folder);
    while (readdir(folder) != NULL) {
        count++;
    }
    closedir(folder);
    return count;
}

static size_t thread_count(void)
{
    DIR *folder = opendir("/proc/self/task");
    size_t count = 0;

    assert_non_null(folder);
    while (readdir(folder) != NULL) {
        count++;
    }
    closedir(folder);
    return count;
}

/* For messages of failed tests. */
static const char *describe_links(struct node *node)
{
    static char line[1024];
    size_t used = 0;

    for (size_t i = 0; i < node->link_count && used < sizeof line - 100; i++) {
        struct seen_link link = seen(node, i);
        used += (size_t)snprintf(line + used, sizeof line - used, "[%u from %s %s: %s] ",
                                 link.info.link.v, link.info.remote, link.up ? "up" : "down",
                                 td_err_text(link.why));
    }
    return line;
}

static void send_numbered(struct node *node, struct td_link_id link, uint64_t from, uint64_t count,
                          size_t bytes)
{
    uint8_t *payload = calloc(1, bytes);

    assert_non_null(payload);
    for (uint64_t i = from; i < from + count; i++) {
        struct td_out_frame frame = { .type = 100, .payload = { payload, bytes } };
        memcpy(payload, &i, sizeof i);
        enum td_err err = td_net_send(node->net, link, &frame, 1);
        if (err != TD_OK) {
            fail_msg("frame %llu: %s; %s", (unsigned long long)i, td_err_text(err),
                     describe_links(node));
        }
    }
    free(payload);
}

/* --- Tests ----------------------------------------------------------------------------------- */

static void test_three_regions_mesh_with_one_link_each(void **state)
{

    (void)state;
    struct cluster *cluster = open_cluster(3);
    open_all(cluster);
    await_settled_mesh(cluster, 3);
    for (size_t i = 0; i < 3; i++) {
        AWAIT(cluster->nodes[i].rtts >= 4);
        assert_int_equal(td_net_stats(cluster->nodes[i].net).links, 2);
    }
    assert_true(meshed(cluster, 3));
    close_cluster(cluster);
}

static void test_frames_arrive_in_order_in_both_directions(void **state)
{
    struct td_link_id links[2];

    (void)state;
    struct cluster *cluster = open_cluster(2);
    open_all(cluster);
    await_settled_mesh(cluster, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(links_with(&cluster->nodes[i], (uint8_t)(2 - i), &links[i]), 1);
    }
    for (size_t i = 0; i < 2; i++) {
        send_numbered(&cluster->nodes[i], links[i], 0, 5000, 100);
        send_numbered(&cluster->nodes[i], links[i], 5000, 10, 1024 * 1024);
        send_numbered(&cluster->nodes[i], links[i], 5010, 1, TD_FRAME_BYTES_MAX);
        send_numbered(&cluster->nodes[i], links[i], 5011, 1000, 8);
    }
    for (size_t i = 0; i < 2; i++) {
        struct node *node = &cluster->nodes[i];
        AWAIT(node->frames == 6011);
        assert_int_equal(node->next_sequence, 6011);
        assert_false(node->out_of_order);
    }
    close_cluster(cluster);
}

static void test_too_large_a_frame_is_refused_by_the_sender(void **state)
{
    struct td_link_id link = { 0 };

    (void)state;
    struct cluster *cluster = open_cluster(2);
    open_all(cluster);
    AWAIT(links_with(&cluster->nodes[0], 2, &link) == 1);
    uint8_t *payload = calloc(1, TD_FRAME_BYTES_MAX + 1);
    struct td_out_frame frame = { 100, { payload, TD_FRAME_BYTES_MAX + 1 } };
    assert_int_equal(td_net_send(cluster->nodes[0].net, link, &frame, 1), TD_ETOOBIG);
    free(payload);
    send_numbered(&cluster->nodes[0], link, 0, 1, 8);
    AWAIT(cluster->nodes[1].frames == 1);
    close_cluster(cluster);
}

static void test_a_peer_that_comes_back_is_linked_again_and_nothing_is_left_over(void **state)
{
    struct td_roster_ref *roster;
    size_t fds = 0;
    size_t threads = 0;

    (void)state;
    struct cluster *cluster = open_cluster(2);
    open_all(cluster);
    roster = make_roster(cluster, 1, 2, 0);
    await_settled_mesh(cluster, 2);
    for (int i = 0; i < 12; i++) {
        close_node(&cluster->nodes[1]);
        AWAIT(links_with(&cluster->nodes[0], 2, NULL) == 0);
        cluster->nodes[1].link_count = 0;
        open_node(cluster, &cluster->nodes[1], roster, NULL, NULL);
        await_settled_mesh(cluster, 2);
        if (i == 1) {
            AWAIT(fd_count() > 0);
            fds = fd_count();
            threads = thread_count();
        }
    }
    AWAIT(fd_count() <= fds);
    assert_int_equal(thread_count(), threads);
    td_roster_ref_put(roster);
    close_cluster(cluster);
}

static void test_a_key_not_in_the_roster_gets_the_roster_and_no_link(void **state)
{
    struct td_roster_ref *without = NULL;
    struct td_roster_ref *with = NULL;

    (void)state;
    struct cluster *cluster = open_cluster(3);
    without = make_roster(cluster, 3, 2, 0);
    with = make_roster(cluster, 4, 3, 0);
    open_node(cluster, &cluster->nodes[0], without, NULL, NULL);
    open_node(cluster, &cluster->nodes[1], without, NULL, NULL);
    open_node(cluster, &cluster->nodes[2], NULL, cluster->nodes[0].url, NULL);
    await_settled_mesh(cluster, 2);
    AWAIT(cluster->nodes[2].offered_version == 3);
    AWAIT(td_net_stats(cluster->nodes[0].net).refused_not_in_roster >= 2);
    assert_int_equal(links_with(&cluster->nodes[0], 3, NULL), 0);
    assert_int_equal(cluster->nodes[2].link_count, 0);

    /* Admitted at one node only: the roster spreads by itself and the newcomer is linked to both. */
    td_net_set_roster(cluster->nodes[0].net, with);
    await_settled_mesh(cluster, 3);
    assert_int_equal(cluster->nodes[1].offered_version, 4);
    assert_int_equal(cluster->nodes[2].offered_version, 4);
    td_roster_ref_put(without);
    td_roster_ref_put(with);
    close_cluster(cluster);
}

static void test_a_closed_region_is_dropped_and_learns_why(void **state)
{
    struct td_roster_ref *closed = NULL;

    (void)state;
    struct cluster *cluster = open_cluster(3);
    open_all(cluster);
    await_settled_mesh(cluster, 3);
    closed = make_roster(cluster, 2, 3, 3);
    td_net_set_roster(cluster->nodes[0].net, closed);
    AWAIT(cluster->nodes[2].offered_version == 2);
    AWAIT(links_with(&cluster->nodes[0], 3, NULL) == 0);
    AWAIT(links_with(&cluster->nodes[1], 3, NULL) == 0);
    AWAIT(links_with(&cluster->nodes[2], 1, NULL) == 0);
    await_settled_mesh(cluster, 2);
    td_roster_ref_put(closed);
    close_cluster(cluster);
}

static void test_a_fault_is_a_black_hole_and_heals(void **state)
{

    (void)state;
    struct cluster *cluster = open_cluster(2);
    open_all(cluster);
    await_settled_mesh(cluster, 2);
    assert_int_equal(td_net_set_fault(cluster->nodes[0].net, (struct td_region){ 2 }, true, true), TD_OK);
    AWAIT(links_with(&cluster->nodes[0], 2, NULL) == 0 && links_with(&cluster->nodes[1], 1, NULL) == 0);
    assert_true(cluster->nodes[1].late > 0);
    uint64_t end_ms = now_ms() + 1500;
    while (now_ms() < end_ms) {
        assert_int_equal(links_with(&cluster->nodes[0], 2, NULL), 0);
        assert_int_equal(links_with(&cluster->nodes[1], 1, NULL), 0);
        nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
    }
    assert_int_equal(td_net_set_fault(cluster->nodes[0].net, (struct td_region){ 2 }, false, false),
                     TD_OK);
    await_settled_mesh(cluster, 2);
    close_cluster(cluster);
}

static void test_a_short_fault_loses_nothing(void **state)
{
    struct td_link_id link = { 0 };

    (void)state;
    struct cluster *cluster = open_cluster(2);
    open_all(cluster);
    await_settled_mesh(cluster, 2);
    assert_int_equal(links_with(&cluster->nodes[0], 2, &link), 1);
    assert_int_equal(td_net_set_fault(cluster->nodes[0].net, (struct td_region){ 2 }, true, false),
                     TD_OK);
    send_numbered(&cluster->nodes[0], link, 0, 1000, 1000);
    uint64_t late_before = cluster->nodes[0].rtts;
    AWAIT(cluster->nodes[1].late > 0);
    assert_int_equal(cluster->nodes[1].frames, 0);
    assert_true(cluster->nodes[0].rtts <= late_before + 2);
    assert_int_equal(td_net_set_fault(cluster->nodes[0].net, (struct td_region){ 2 }, false, false),
                     TD_OK);
    AWAIT(cluster->nodes[1].frames == 1000);
    assert_false(cluster->nodes[1].out_of_order);
    close_cluster(cluster);
}

/* --- Strangers and clients ------------------------------------------------------------------- */

static int connect_to(const struct node *node, const char *from)
{
    struct sockaddr_in source = { .sin_family = AF_INET };
    struct sockaddr_in target = { .sin_family = AF_INET, .sin_port = htons(node->port) };
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_true(fd >= 0);
    inet_pton(AF_INET, from, &source.sin_addr);
    inet_pton(AF_INET, "127.0.0.1", &target.sin_addr);
    assert_int_equal(bind(fd, (struct sockaddr *)&source, sizeof source), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&target, sizeof target), 0);
    return fd;
}

static void reset(int fd)
{
    struct linger linger = { .l_onoff = 1, .l_linger = 0 };

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    close(fd);
}

/* A preamble, message 1, and then nothing. */
static void send_half_handshake(const struct cluster *cluster, int fd)
{
    struct td_buffer out;
    struct td_channel *channel = NULL;
    struct td_channel_config config = {
        .kind = TD_CHANNEL_REGION, .initiator = true, .secret = cluster->client_secret,
        .root_sign_key = cluster->root, .frame_bytes_max = 1024,
    };

    td_buffer_init(&out, 4096);
    assert_int_equal(td_channel_open(&config, &out, &channel), TD_OK);
    (void)!send(fd, out.bytes, out.used_bytes, MSG_NOSIGNAL);
    td_channel_close(channel);
    td_buffer_fini(&out);
}

static void test_strangers_do_not_stop_the_service(void **state)
{
    struct td_roster_ref *roster = NULL;
    int stalled[100];
    uint8_t garbage[600];

    (void)state;
    struct cluster *cluster = open_cluster(2);
    roster = make_roster(cluster, 1, 2, 0);
    memset(garbage, 0x5a, sizeof garbage);
    open_node(cluster, &cluster->nodes[0], roster, NULL, NULL);
    size_t fds = fd_count();
    for (int i = 0; i < 300; i++) {
        int fd = connect_to(&cluster->nodes[0], "127.0.0.1");
        if (i % 3 == 1) {
            (void)!send(fd, garbage, sizeof garbage, MSG_NOSIGNAL);
        } else if (i % 3 == 2) {
            send_half_handshake(cluster, fd);
        }
        reset(fd);
    }
    for (size_t i = 0; i < 100; i++) {
        stalled[i] = connect_to(&cluster->nodes[0], "127.0.0.77");
        send_half_handshake(cluster, stalled[i]);
    }
    AWAIT(td_net_stats(cluster->nodes[0].net).refused_table_full >= 92);
    assert_true(td_net_stats(cluster->nodes[0].net).half_open <= 8);

    uint64_t begin_ms = now_ms();
    open_node(cluster, &cluster->nodes[1], roster, NULL, NULL);
    await_settled_mesh(cluster, 2);
    assert_true(now_ms() - begin_ms < 3000);
    close_node(&cluster->nodes[1]);
    for (size_t i = 0; i < 100; i++) {
        close(stalled[i]);
    }
    AWAIT(td_net_stats(cluster->nodes[0].net).half_open == 0);
    AWAIT(fd_count() <= fds);
    td_roster_ref_put(roster);
    close_cluster(cluster);
}

/* A client of the test's own: a blocking socket and a channel. */
struct client {
    int fd;
    struct td_channel *channel;
    struct td_buffer out;
    unsigned frames;
    uint8_t last_type;
};

static enum td_err client_peer(void *self, enum td_channel_kind kind, const struct td_public_key *key,
                               const struct td_card *card, uint16_t proto)
{
    (void)self;
    (void)kind;
    (void)key;
    (void)card;
    (void)proto;
    return TD_OK;
}

static void client_frame(void *self, uint8_t type, uint8_t *take_payload, size_t payload_bytes)
{
    struct client *client = self;

    (void)payload_bytes;
    client->frames++;
    client->last_type = type;
    free(take_payload);
}

static void client_flush(struct client *client)
{
    if (client->out.used_bytes > 0) {
        assert_int_equal(send(client->fd, client->out.bytes, client->out.used_bytes, MSG_NOSIGNAL),
                         (ssize_t)client->out.used_bytes);
        client->out.used_bytes = 0;
    }
}

/* false at the end of the stream. */
static bool client_read(struct client *client)
{
    struct td_channel_sink sink = { client, client_peer, client_frame };
    uint8_t bytes[4096];
    ssize_t count = recv(client->fd, bytes, sizeof bytes, 0);

    if (count <= 0) {
        return false;
    }
    assert_int_equal(td_channel_receive(client->channel, (struct td_bytes){ bytes, (size_t)count },
                                        &sink, &client->out),
                     TD_OK);
    client_flush(client);
    return true;
}

static void client_open(struct client *client, const struct cluster *cluster,
                        const struct td_secret *secret, int fd, enum td_channel_kind kind)
{
    struct timeval timeout = { .tv_sec = 10 };
    struct td_channel_config config = {
        .kind = kind, .initiator = true, .secret = secret, .root_sign_key = cluster->root,
        .frame_bytes_max = TD_FRAME_BYTES_MAX,
    };

    memset(client, 0, sizeof *client);
    client->fd = fd;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    td_buffer_init(&client->out, 65536);
    assert_int_equal(td_channel_open(&config, &client->out, &client->channel), TD_OK);
    client_flush(client);
    while (!td_channel_established(client->channel)) {
        assert_true(client_read(client));
    }
}

static void client_send(struct client *client, uint8_t type)
{
    struct td_out_frame frame = { type, { (const uint8_t *)"hello", 5 } };

    assert_int_equal(td_channel_seal(client->channel, &frame, 1, &client->out), TD_OK);
    client_flush(client);
}

static void client_close(struct client *client)
{
    close(client->fd);
    td_channel_close(client->channel);
    td_buffer_fini(&client->out);
}

static int connect_local(const char *path)
{
    struct sockaddr_un target = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    assert_true(fd >= 0);
    snprintf(target.sun_path, sizeof target.sun_path, "%s", path);
    assert_int_equal(connect(fd, (struct sockaddr *)&target, sizeof target), 0);
    return fd;
}

static void test_clients_are_known_by_key_or_by_uid(void **state)
{
    struct client client;
    struct td_roster_ref *roster = NULL;
    char folder[] = "/tmp/tidings-net-test-XXXXXX";
    char path[LOCAL_PATH_BYTES];
    char url[LOCAL_PATH_BYTES + 8];
    struct td_out_frame answer = { TD_MSG_RESPONSE, { (const uint8_t *)"x", 1 } };

    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/socket", folder);
    snprintf(url, sizeof url, "ipc://%s", path);
    struct cluster *cluster = open_cluster(1);
    roster = make_roster(cluster, 1, 1, 0);
    struct node *node = &cluster->nodes[0];
    open_node(cluster, node, roster, NULL, url);

    client_open(&client, cluster, cluster->client_secret, connect_to(node, "127.0.0.1"),
                TD_CHANNEL_CLIENT);
    client_send(&client, TD_MSG_REQUEST);
    AWAIT(node->frames == 1);
    assert_int_equal(seen(node, 0).info.kind, TD_LINK_CLIENT);
    assert_int_equal(seen(node, 0).info.client_number, 7);
    assert_int_equal(seen(node, 0).info.role, TD_ROLE_PUBLISH);
    assert_int_equal(td_net_send(node->net, seen(node, 0).info.link, &answer, 1), TD_OK);
    while (client.frames == 0) {
        assert_true(client_read(&client));
    }
    assert_int_equal(client.last_type, TD_MSG_RESPONSE);
    client_close(&client);
    AWAIT(!seen(node, 0).up);

    client_open(&client, cluster, NULL, connect_local(path), TD_CHANNEL_LOCAL);
    client_send(&client, TD_MSG_REQUEST);
    AWAIT(node->frames == 2);
    assert_int_equal(seen(node, 1).info.kind, TD_LINK_LOCAL);
    assert_int_equal(seen(node, 1).info.uid, geteuid());
    assert_int_equal(seen(node, 1).info.role, TD_ROLE_ADMIN);
    client_close(&client);
    AWAIT(td_net_stats(node->net).clients == 0);

    td_roster_ref_put(roster);
    close_cluster(cluster);
    unlink(path);
    assert_int_equal(rmdir(folder), 0);
}

static void test_an_unknown_client_gets_the_roster_and_is_closed(void **state)
{
    struct client client;
    struct td_roster_ref *roster = NULL;
    struct td_secret *unknown = new_secret();

    (void)state;
    struct cluster *cluster = open_cluster(1);
    roster = make_roster(cluster, 1, 1, 0);
    open_node(cluster, &cluster->nodes[0], roster, NULL, NULL);
    client_open(&client, cluster, unknown, connect_to(&cluster->nodes[0], "127.0.0.1"),
                TD_CHANNEL_CLIENT);
    while (client_read(&client)) {
    }
    assert_int_equal(client.frames, 2); /* ROSTER, BYE */
    assert_int_equal(client.last_type, TD_MSG_BYE);
    assert_int_equal(cluster->nodes[0].link_count, 0);
    client_close(&client);
    td_roster_ref_put(roster);
    td_secret_free(unknown);
    close_cluster(cluster);
}

static void test_a_client_that_does_not_read_is_closed_and_others_are_served(void **state)
{
    struct client slow;
    struct client other;
    struct td_roster_ref *roster = NULL;
    uint8_t *payload = calloc(1, 1024 * 1024);
    struct td_out_frame frame = { TD_MSG_RESPONSE, { payload, 1024 * 1024 } };
    enum td_err err = TD_OK;

    (void)state;
    struct cluster *cluster = open_cluster(1);
    roster = make_roster(cluster, 1, 1, 0);
    struct node *node = &cluster->nodes[0];
    open_node(cluster, node, roster, NULL, NULL);
    client_open(&slow, cluster, cluster->client_secret, connect_to(node, "127.0.0.1"),
                TD_CHANNEL_CLIENT);
    client_send(&slow, TD_MSG_REQUEST);
    AWAIT(node->frames == 1);
    for (int i = 0; i < 100 && err == TD_OK; i++) {
        err = td_net_send(node->net, seen(node, 0).info.link, &frame, 1);
    }
    assert_int_equal(err, TD_EBUSY);
    client_open(&other, cluster, cluster->client_secret, connect_to(node, "127.0.0.1"),
                TD_CHANNEL_CLIENT);
    client_send(&other, TD_MSG_REQUEST);
    AWAIT(node->frames == 2);
    AWAIT(!seen(node, 0).up);
    assert_int_equal(seen(node, 0).why, TD_EBUSY);
    assert_true(seen(node, 1).up);
    client_close(&slow);
    client_close(&other);
    free(payload);
    td_roster_ref_put(roster);
    close_cluster(cluster);
}

static void test_two_processes_of_one_region_may_be_linked_but_not_three(void **state)
{
    struct td_roster_ref *roster = NULL;

    (void)state;
    struct cluster *cluster = open_cluster(2);
    roster = make_roster(cluster, 1, 2, 0);
    open_node(cluster, &cluster->nodes[0], roster, NULL, NULL);
    struct node clones[3];
    for (size_t i = 0; i < 3; i++) {
        clones[i] = cluster->nodes[1];
        pthread_mutex_init(&clones[i].lock, NULL);
        clones[i].port = i == 0 ? clones[i].port : free_port();
        snprintf(clones[i].url, sizeof clones[i].url, "tcp://127.0.0.1:%u", clones[i].port);
        open_node(cluster, &clones[i], roster, NULL, NULL);
        td_net_set_process(clones[i].net, (struct td_incarnation){ 1, 100 + (uint32_t)i });
        if (i < 2) {
            AWAIT(links_with(&cluster->nodes[0], 2, NULL) == i + 1);
        }
    }
    AWAIT(clones[2].link_count > 0); /* it is up on its own side until the refusal arrives */
    AWAIT(links_with(&clones[2], 1, NULL) == 0 && seen(&clones[2], 0).why == TD_ECLONE);
    assert_int_equal(links_with(&cluster->nodes[0], 2, NULL), 2);
    for (size_t i = 0; i < 3; i++) {
        close_node(&clones[i]);
        pthread_mutex_destroy(&clones[i].lock);
    }
    td_roster_ref_put(roster);
    close_cluster(cluster);
}

/* An argument selects tests by pattern. */
int main(int count, char **arguments)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_three_regions_mesh_with_one_link_each),
        cmocka_unit_test(test_frames_arrive_in_order_in_both_directions),
        cmocka_unit_test(test_too_large_a_frame_is_refused_by_the_sender),
        cmocka_unit_test(test_a_peer_that_comes_back_is_linked_again_and_nothing_is_left_over),
        cmocka_unit_test(test_a_key_not_in_the_roster_gets_the_roster_and_no_link),
        cmocka_unit_test(test_a_closed_region_is_dropped_and_learns_why),
        cmocka_unit_test(test_a_fault_is_a_black_hole_and_heals),
        cmocka_unit_test(test_a_short_fault_loses_nothing),
        cmocka_unit_test(test_strangers_do_not_stop_the_service),
        cmocka_unit_test(test_clients_are_known_by_key_or_by_uid),
        cmocka_unit_test(test_an_unknown_client_gets_the_roster_and_is_closed),
        cmocka_unit_test(test_a_client_that_does_not_read_is_closed_and_others_are_served),
        cmocka_unit_test(test_two_processes_of_one_region_may_be_linked_but_not_three),
    };

    if (td_sodium_init() != TD_OK) {
        return 1;
    }
    if (count > 1) {
        cmocka_set_test_filter(arguments[1]);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
