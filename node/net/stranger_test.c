/* stranger_test.c -- strangers, unknown keys, clients: everybody who is no region. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "node/net/test_nodes.h"

static int connect_to(const struct node *node, const char *from)
{
    struct sockaddr_in source = {.sin_family = AF_INET};
    struct sockaddr_in target = {.sin_family = AF_INET, .sin_port = htons(node->port)};
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
    struct linger linger = {.l_onoff = 1, .l_linger = 0};

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    close(fd);
}

/* A preamble, message 1, and then nothing. */
static void send_half_handshake(const struct cluster *cluster, int fd)
{
    struct td_buffer out;
    struct td_channel *channel = NULL;
    struct td_channel_config config = {
        .kind = TD_CHANNEL_REGION,
        .initiator = true,
        .secret = cluster->client_secret,
        .root_sign_key = cluster->root,
        .frame_bytes_max = 1024,
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

static enum td_err client_peer(void *self, enum td_channel_kind kind,
                               const struct td_public_key *key, const struct td_card *card,
                               uint16_t proto)
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

    client->frames++;
    client->last_type = type;
    if (type == TD_MSG_PING) {
        struct td_out_frame pong = {TD_MSG_PONG, {take_payload, payload_bytes}};
        assert_int_equal(td_channel_seal(client->channel, &pong, 1, &client->out), TD_OK);
    }
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
    struct td_channel_sink sink = {client, client_peer, client_frame};
    uint8_t bytes[4096];
    ssize_t count = recv(client->fd, bytes, sizeof bytes, 0);

    if (count <= 0) {
        return false;
    }
    assert_int_equal(td_channel_receive(client->channel, (struct td_bytes){bytes, (size_t)count},
                                        &sink, &client->out),
                     TD_OK);
    client_flush(client);
    return true;
}

static void client_open(struct client *client, const struct cluster *cluster,
                        const struct td_secret *secret, int fd, enum td_channel_kind kind)
{
    struct timeval timeout = {.tv_sec = 10};
    struct td_channel_config config = {
        .kind = kind,
        .initiator = true,
        .secret = secret,
        .root_sign_key = cluster->root,
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
    struct td_out_frame frame = {type, {(const uint8_t *)"hello", 5}};

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
    struct sockaddr_un target = {.sun_family = AF_UNIX};
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
    struct td_out_frame answer = {TD_MSG_RESPONSE, {(const uint8_t *)"x", 1}};

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
    struct td_out_frame frame = {TD_MSG_RESPONSE, {payload, 1024 * 1024}};
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

/* Its host is gone, its kernel silent: nothing but our own deadline ends such a link. */
static void test_a_silent_client_is_pinged_and_given_up_but_not_one_that_answers(void **state)
{
    struct client gone;
    struct client quiet;
    struct client mute; /* not even a first frame */
    struct td_roster_ref *roster = NULL;

    (void)state;
    struct cluster *cluster = open_cluster(1);
    cluster->times.client_ping = 100;
    cluster->times.client_dead = 600;
    roster = make_roster(cluster, 1, 1, 0);
    struct node *node = &cluster->nodes[0];
    open_node(cluster, node, roster, NULL, NULL);
    client_open(&mute, cluster, cluster->client_secret, connect_to(node, "127.0.0.1"),
                TD_CHANNEL_CLIENT);
    client_open(&gone, cluster, cluster->client_secret, connect_to(node, "127.0.0.1"),
                TD_CHANNEL_CLIENT);
    client_send(&gone, TD_MSG_REQUEST);
    AWAIT(node->frames == 1);
    client_open(&quiet, cluster, cluster->client_secret, connect_to(node, "127.0.0.1"),
                TD_CHANNEL_CLIENT);
    client_send(&quiet, TD_MSG_REQUEST);
    AWAIT(node->frames == 2);
    uint64_t begin_ms = now_ms();
    while (quiet.frames < 12) { /* of these pings each is answered; longer than client_dead */
        assert_true(client_read(&quiet));
        assert_int_equal(quiet.last_type, TD_MSG_PING);
    }
    assert_true(now_ms() - begin_ms > 1000);
    AWAIT(!seen(node, 0).up);
    assert_int_equal(seen(node, 0).why, TD_ETIMEOUT);
    AWAIT(td_net_stats(node->net).clients == 1);
    assert_true(seen(node, 1).up);
    client_close(&mute);
    client_close(&gone);
    client_close(&quiet);
    td_roster_ref_put(roster);
    close_cluster(cluster);
}

/* An argument selects tests by pattern. */
int main(int count, char **arguments)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_strangers_do_not_stop_the_service),
        cmocka_unit_test(test_clients_are_known_by_key_or_by_uid),
        cmocka_unit_test(test_an_unknown_client_gets_the_roster_and_is_closed),
        cmocka_unit_test(test_a_client_that_does_not_read_is_closed_and_others_are_served),
        cmocka_unit_test(test_a_silent_client_is_pinged_and_given_up_but_not_one_that_answers),
    };

    if (td_sodium_init() != TD_OK) {
        return 1;
    }
    if (count > 1) {
        cmocka_set_test_filter(arguments[1]);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
