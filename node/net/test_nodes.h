/* test_nodes.h -- what the tests of net share: several nets in one process over the loopback, each
 * with a worker thread and a sink that notes what it sees. */
#ifndef TD_NET_TEST_NODES_H
#define TD_NET_TEST_NODES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <time.h>
#include <cmocka.h>

#include "node/net/net.h"
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
    atomic_bool refuses; /* ends a link over every frame it gets */
};

struct cluster {
    struct td_secret *root_secret;
    struct td_public_key root;
    struct node nodes[NODES_MAX];
    size_t node_count;
    struct td_secret *client_secret;
    struct td_net_times times; /* of the nodes opened next */
};

uint64_t now_ms(void);

/* Polls a condition until it holds or the deadline passes; the result is asserted by the caller. */
#define AWAIT(condition)                                                                           \
    do {                                                                                           \
        uint64_t await_end_ms = now_ms() + DEADLINE_MS;                                            \
        while (!(condition) && now_ms() < await_end_ms) {                                          \
            nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);                               \
        }                                                                                          \
        assert_true(condition);                                                                    \
    } while (0)

uint16_t free_port(void);
struct td_secret *new_secret(void);
struct td_text text(const char *chars);
struct cluster *open_cluster(size_t node_count);
struct td_roster_ref *make_roster(const struct cluster *cluster, uint64_t version,
                                  size_t member_count, uint8_t closed);
void open_node(struct cluster *cluster, struct node *node, struct td_roster_ref *roster,
               const char *seed, const char *local_path);
void close_node(struct node *node);
void open_all(struct cluster *cluster);
void close_cluster(struct cluster *cluster);
unsigned links_with(struct node *node, uint8_t region, struct td_link_id *ret_link);
struct seen_link seen(struct node *node, size_t index);
bool meshed(struct cluster *cluster, size_t count);
void await_settled_mesh(struct cluster *cluster, size_t count);
size_t fd_count(void);
size_t thread_count(void);
void send_numbered(struct node *node, struct td_link_id link, uint64_t from, uint64_t count,
                   size_t bytes);

#endif
