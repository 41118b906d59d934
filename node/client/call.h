/* call.h -- any request of client_msg.h through a handle, for programs of this repository (the
 * CLI): the same failing over, waiting and tokens as the public functions, without a public API for
 * each verb. Also what the public functions share: freshness and token text. */
#ifndef TD_CLIENT_CALL_H
#define TD_CLIENT_CALL_H

#include "node/client/tidings.h"
#include "proto/client_msg.h"
#include "proto/sign_sodium.h"

/* An answer and its memory: slices in response point into bytes and arena. */
struct td_call_result {
    struct td_response response;
    uint8_t *bytes; /* payload as received */
    void *arena_bytes;
    char node_address[128]; /* ipc://... or tcp://... that answered, or was tried last */
};

struct td_call_options {
    uint32_t timeout_ms; /* of the whole call, over all nodes; 0 = the handle's */
    bool this_node_only; /* no failing over: the first node of the list answers or nobody (drain,
                            fault, roster) */
    bool no_token;       /* do not add what the handle has seen to request.after */
};

/* Sends a request and waits. request.id is set here; request.timeout_ms (how long the node may
 * wait) is kept; when it is larger than the call's time-out, the call waits for it and 2 s more.
 * request.after is merged with what the handle has seen unless no_token. Returns TD_OK when an
 * answer came: what the node says is in response.err. Else TD_ENONODE (nobody reachable),
 * TD_ETIMEOUT, TD_EHANDSHAKE, TD_EVERSION, TD_EROSTEROLD (all nodes refused us so), TD_ETOOBIG,
 * TD_ENOMEM, TD_ECLOSEDLINK. ret_result must be released in every case. options may be NULL.
 * A PUBLISH goes as given: no queue, no spool, no resending of full statuses; an unanswered one is
 * sent again (publishes are idempotent). */
TD_MUST_USE enum td_err td_call(struct tidings *tidings, const struct td_request *request,
                                const struct td_call_options *options,
                                struct td_call_result *ret_result);
void td_call_release(struct td_call_result *result); /* idempotent; zeroed memory is fine */
/* Room for the decoded form of an answer of so many bytes. */
size_t td_arena_bytes_for(size_t payload_bytes);

/* Why the last node could not be used, one sentence with its address; "" when nothing failed. */
void td_call_last_failure(struct tidings *tidings, char *ret_text, size_t text_bytes);

/* Index into response.freshness of the region that decides: unknown before known, then the oldest;
 * UINT32_MAX when there is none. */
uint32_t td_freshness_deciding(const struct td_response *response);
/* Name of a region in this answer; "" (count 0) for 0; "#N" is not made up: an unnamed one gives
 * "?". */
struct td_text td_response_region_name(const struct td_response *response, struct td_region region);

/* ---- tokens as text: tdt1: + base64url(msgpack) ---- */

enum { TD_TOKEN_ENTRIES_MAX = TD_VV_ENTRIES_MAX };
#define TD_TOKEN_TEXT_PREFIX "tdt1:"
/* Value of td_seen.register_hash: made without the cluster's id, so that a client on a Unix socket,
 * which does not know it, makes the same. Never 0. */
uint64_t td_token_register_hash(struct td_text job, uint16_t attempt);
/* malloc'ed NUL-terminated text; NULL when out of memory. */
char *td_token_to_text(const struct td_token *token);
/* Memory of a parsed token. */
struct td_token_memory {
    void *bytes;
};
/* TD_ETOKEN or TD_ENOMEM; *ret_token's slices live in ret_memory. */
TD_MUST_USE enum td_err td_token_from_text(const char *text, struct td_token *ret_token,
                                           struct td_token_memory *ret_memory);
void td_token_release(struct td_token_memory *memory);

/* A watch cursor as text: `tdc1:` + base64url(msgpack [arrival, start, random, token bytes]). */
struct td_watch_cursor {
    uint64_t arrival;
    struct td_incarnation process;
    struct td_vv after;
};
char *td_cursor_to_text(const struct td_watch_cursor *cursor);
TD_MUST_USE enum td_err td_cursor_from_text(const char *text, struct td_watch_cursor *ret_cursor,
                                            struct td_token_memory *ret_memory);

#endif
