/* fake_node.h -- for tests: a node in this process that speaks the local form of the protocol on a
 * Unix socket and answers as the test says. One thread per node. */
#ifndef TD_CLIENT_FAKE_NODE_H
#define TD_CLIENT_FAKE_NODE_H

#include "node/client/tidings.h"
#include "proto/client_msg.h"

enum fake_act { FAKE_ANSWER, FAKE_SILENT, FAKE_DROP };
enum { FAKE_RECORDS_MAX = 8192 };

/* An update as it arrived. */
struct fake_record {
    char job[TD_JOB_BYTES_MAX + 1];
    char detail[TD_DETAIL_BYTES_MAX + 1];
    uint16_t attempt;
    enum td_state state;
    uint8_t fields;
    struct td_seen seen;
    uint64_t request_id;
};

struct fake_node;
/* Called on the node's thread, its lock held. `response` is prepared as a good one: publishes are
 * accepted with ascending seqs. */
typedef enum fake_act (*fake_answer)(void *self, struct fake_node *node,
                                     const struct td_request *request,
                                     struct td_response *response);

/* path: of the socket. region: number; name "node-<region>". answer NULL = accept everything. */
struct fake_node *fake_node_start(const char *path, uint8_t region, fake_answer answer, void *self);
void fake_node_stop(struct fake_node *node); /* closes everything, removes the socket */

/* What arrived so far. Waiting functions fail the test after 10 s. */
void fake_node_wait_requests(struct fake_node *node, uint32_t count);
void fake_node_wait_updates(struct fake_node *node, uint32_t count);
uint32_t fake_node_requests(struct fake_node *node);
uint32_t fake_node_updates(struct fake_node *node);
struct fake_record fake_node_record(struct fake_node *node, uint32_t index);
/* Answers of publishes are held back from now on, or let go in order. */
void fake_node_hold(struct fake_node *node, bool hold);
/* Publish results, to be changed by an answer function. */
struct td_result *fake_node_results(struct fake_node *node);
uint64_t fake_node_seq(const struct fake_node *node);

/* A folder for sockets and spools of one test program: made by the first use, removed at the end.
 */
const char *test_path(const char *name); /* valid for the next 7 calls */
void test_folder_remove(void);
/* A handle on ipc://test_path(first) and, unless NULL, second. Fails the test when it cannot. */
tidings *test_open(struct tidings_options options, const char *first, const char *second);

#endif
