/* test_nodes.c -- a cluster of nets for tests. */
#include "node/net/test_nodes.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

uint64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void on_up(void *self, const struct td_link_info *info)
{
    struct node *node = self;

    pthread_mutex_lock(&node->lock);
    if (node->link_count < LINKS_SEEN_MAX) {
        node->links[node->link_count++] = (struct seen_link){.info = *info, .up = true};
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

static void on_frame(void *self, const struct td_link_info *info, uint8_t type,
                     uint8_t *take_payload, size_t payload_bytes)
{
    struct node *node = self;

    if (node->refuses) {
        td_net_close_link(node->net, info->link, TD_EFORMAT);
    }
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

uint16_t free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t count = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &count), 0);
    close(fd);
    return ntohs(address.sin_port);
}

struct td_secret *new_secret(void)
{
    uint8_t seed[TD_SEED_BYTES];
    struct td_secret *secret = NULL;

    assert_int_equal(td_secret_generate(seed, &secret), TD_OK);
    return secret;
}

struct td_text text(const char *chars)
{
    return (struct td_text){chars, (uint32_t)strlen(chars)};
}

/* From the heap: when a test fails its threads go on, and must not meet the next test's cluster. */
struct cluster *open_cluster(size_t node_count)
{
    struct cluster *cluster = calloc(1, sizeof *cluster);

    assert_non_null(cluster);
    cluster->root_secret = new_secret();
    cluster->root = td_secret_identity(cluster->root_secret)->sign_key;
    cluster->client_secret = new_secret();
    cluster->node_count = node_count;
    cluster->times =
        (struct td_net_times){.heartbeat = 100, .dead = 1500, .goodbye = 200, .redial_max = 200};
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
        .region = {node->number},
        .key_number = 1,
        .sign_key = identity->sign_key,
        .link_key = identity->link_key,
        .roster_version = 1,
    };
    size_t count = td_card_encode(&card, signer, bytes, size_bytes);

    assert_true(count > 0);
    return (struct td_bytes){bytes, count};
}

/* The first member_count nodes are in the roster, the one with number closed is closed. */
struct td_roster_ref *make_roster(const struct cluster *cluster, uint64_t version,
                                  size_t member_count, uint8_t closed)
{
    static const char *const names[] = {"one", "two", "three", "four"};
    struct td_sodium_signer self = {cluster->root_secret, td_cluster_id_of(&cluster->root)};
    struct td_signer signer = td_sodium_signer(&self);
    uint8_t cards[NODES_MAX][TD_CARD_BYTES_MAX];
    struct td_region_key keys[NODES_MAX];
    struct td_text endpoints[NODES_MAX];
    struct td_roster_region regions[NODES_MAX] = {0};
    const struct td_identity *client_identity = td_secret_identity(cluster->client_secret);
    struct td_roster_client client = {
        .number = 7,
        .name = text("worker"),
        .role = TD_ROLE_PUBLISH,
        .sign_key = client_identity->sign_key,
        .link_key = client_identity->link_key,
        .admitted_version = 1,
    };

    for (size_t i = 0; i < member_count; i++) {
        const struct node *node = &cluster->nodes[i];
        const struct td_identity *identity = td_secret_identity(node->secret);
        keys[i] = (struct td_region_key){1, identity->sign_key, identity->link_key};
        endpoints[i] = text(node->url);
        regions[i] = (struct td_roster_region){
            .number = {node->number},
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
        .policy = {.retain_s = 86400 * 30, .abandon_s = 86400 * 365, .max_absence_s = 86400 * 7},
        .region_count = (uint32_t)member_count,
        .regions = regions,
        .client_count = 1,
        .clients = &client,
    };
    uint8_t bytes[8192];
    enum td_err err = TD_OK;
    size_t count = td_roster_encode(&roster, &signer, bytes, sizeof bytes);
    assert_true(count > 0);
    struct td_roster_ref *ref =
        td_roster_ref_make((struct td_bytes){bytes, count}, &cluster->root, &err);
    assert_int_equal(err, TD_OK);
    assert_non_null(ref);
    return ref;
}

void open_node(struct cluster *cluster, struct node *node, struct td_roster_ref *roster,
               const char *seed, const char *local_path)
{
    const char *listen[1] = {node->url};
    const char *seeds[1] = {seed};
    char why[200] = "";
    struct td_net_config config = {
        .self = {0},
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
        .times = cluster->times,
    };
    struct td_net_sink sink = {node, on_up, on_down, on_rtt, on_frame, on_offered};

    enum td_err err = td_net_start(&config, &sink, roster, &node->net, why, sizeof why);
    if (err != TD_OK) {
        fail_msg("net does not start: %s", why);
    }
    td_net_set_process(node->net, (struct td_incarnation){1, node->number});
    atomic_store(&node->stop, false);
    assert_int_equal(pthread_create(&node->thread, NULL, work, node), 0);
}

void close_node(struct node *node)
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

void open_all(struct cluster *cluster)
{
    struct td_roster_ref *roster = make_roster(cluster, 1, cluster->node_count, 0);

    for (size_t i = 0; i < cluster->node_count; i++) {
        open_node(cluster, &cluster->nodes[i], roster, NULL, NULL);
    }
    td_roster_ref_put(roster);
}

void close_cluster(struct cluster *cluster)
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
unsigned links_with(struct node *node, uint8_t region, struct td_link_id *ret_link)
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

struct seen_link seen(struct node *node, size_t index)
{
    pthread_mutex_lock(&node->lock);
    struct seen_link copy = node->links[index];
    pthread_mutex_unlock(&node->lock);
    return copy;
}

bool meshed(struct cluster *cluster, size_t count)
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
void await_settled_mesh(struct cluster *cluster, size_t count)
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

size_t fd_count(void)
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

size_t thread_count(void)
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

void send_numbered(struct node *node, struct td_link_id link, uint64_t from, uint64_t count,
                   size_t bytes)
{
    uint8_t *payload = calloc(1, bytes);

    assert_non_null(payload);
    for (uint64_t i = from; i < from + count; i++) {
        struct td_out_frame frame = {.type = 100, .payload = {payload, bytes}};
        memcpy(payload, &i, sizeof i);
        enum td_err err = td_net_send(node->net, link, &frame, 1);
        if (err != TD_OK) {
            fail_msg("frame %llu: %s; %s", (unsigned long long)i, td_err_text(err),
                     describe_links(node));
        }
    }
    free(payload);
}
