/* err.h -- every error of the product: code, class, stable number (TD-E0213), text. The class tells
 * the caller what to do: RETRY later, REJECT the input, STOP because our own state is bad. */
#ifndef TD_PROTO_ERR_H
#define TD_PROTO_ERR_H

#include <stdint.h>

enum td_err_class { TD_CLASS_OK, TD_CLASS_RETRY, TD_CLASS_REJECT, TD_CLASS_STOP };

/* X(name, number, class, exit code of the CLI, HTTP status, text, hint)
 * 01xx input, 02xx trust, 03xx answers and refusals, 04xx resources, 05xx links, 06xx store. */
#define TD_ERR_LIST(X)                                                                             \
    X(TD_OK, 0, OK, 0, 200, "ok", "")                                                              \
    X(TD_EUSAGE, 101, REJECT, 2, 400, "the command line is wrong", "see --help")                   \
    X(TD_EJOBID, 102, REJECT, 2, 400, "a job id has 1 to 200 bytes of UTF-8 without control characters", "shorten or clean the id") \
    X(TD_ESTATE, 103, REJECT, 2, 400, "not a state", "use pending, starting, running, stopping, lost, completed, failed or stopped") \
    X(TD_EPROGRESS, 104, REJECT, 2, 400, "progress is out of range", "0 to 100 (percent) on the command line, 0 to 1 in JSON") \
    X(TD_EDETAIL, 105, REJECT, 2, 400, "detail is at most 512 bytes of UTF-8", "shorten the text; put the rest where the job logs") \
    X(TD_ELABELS, 106, REJECT, 2, 400, "labels: at most 16 pairs and 1024 bytes, keys unique and not empty, no control characters", "drop some labels") \
    X(TD_EWRITER, 107, REJECT, 2, 400, "writer is at most 64 bytes of UTF-8 without control characters", "shorten the name") \
    X(TD_EATTEMPT, 108, REJECT, 2, 400, "an attempt is 1 to 65535 and at most 1000 above the highest known here", "number attempts from 1 upwards") \
    X(TD_EEXPECT, 109, REJECT, 2, 400, "expect-every is 1 s to 366 days", "give a duration such as 30s") \
    X(TD_ETOKEN, 110, REJECT, 2, 400, "the token cannot be read", "pass a token exactly as it was printed") \
    X(TD_ECONFIG, 111, REJECT, 78, 500, "the configuration is not valid", "tidingsd check-config names line and column") \
    X(TD_EJSON, 112, REJECT, 2, 400, "the line is not a valid JSON update", "one object a line; see tidings help publish") \
    X(TD_EPARENT, 113, REJECT, 2, 400, "parent is a job id of at most 200 bytes", "shorten or clean the id") \
    X(TD_EFORMAT, 120, REJECT, 1, 400, "bytes do not follow the protocol", "check the versions of both sides") \
    X(TD_ETOOBIG, 121, REJECT, 1, 413, "a message or count is over its limit", "send less at once") \
    X(TD_EVERSION, 122, REJECT, 1, 400, "no protocol version in common", "upgrade the older side") \
    X(TD_EEXISTS, 123, REJECT, 1, 409, "the file exists already", "choose another name, or remove the file first") \
    X(TD_EQUERY, 130, REJECT, 2, 400, "the HTTP request is not valid", "GET /openapi.json lists routes and parameters") \
    X(TD_EROUTE, 131, REJECT, 2, 404, "no such route", "GET /openapi.json lists the routes") \
    X(TD_EMETHOD, 132, REJECT, 2, 405, "the route does not take this method", "the Allow header names those it takes") \
    X(TD_EMEDIA, 133, REJECT, 2, 415, "a write needs Content-Type: application/json", "curl -H 'Content-Type: application/json'") \
    X(TD_ELENGTH, 134, REJECT, 2, 411, "a body needs one Content-Length, not chunks", "send the body with its length") \
    X(TD_EKEYFILE, 201, REJECT, 8, 500, "the key file cannot be trusted", "a regular file of mode 0600, owned by you, with a tdsk1: line") \
    X(TD_EKEYTEXT, 202, REJECT, 2, 400, "not a tidings key", "keys start with tdpk1: (public) or tdsk1: (secret) and end with a checksum") \
    X(TD_EROSTER, 203, REJECT, 8, 403, "the roster is not valid", "tidings roster verify FILE") \
    X(TD_EROSTEROLD, 204, REJECT, 8, 409, "the roster is not newer than the one in force", "fetch the newest one with tidings roster show") \
    X(TD_ENOTINROSTER, 205, REJECT, 8, 403, "the key is not in the roster", "tidings roster add or add-client, then roster push") \
    X(TD_EPERM, 206, REJECT, 8, 403, "this client may not do that", "check role and prefixes with tidings roster show") \
    X(TD_EAUTH, 207, REJECT, 8, 401, "a valid bearer token is needed", "Authorization: Bearer TOKEN, as listed in http_tokens") \
    X(TD_EHOST, 208, REJECT, 8, 403, "the Host header names another host", "ask by address or as localhost") \
    X(TD_EBADSIG, 213, REJECT, 8, 403, "signature does not match the claimed origin", "tidings peers names the sender") \
    X(TD_EFOREIGN, 214, REJECT, 8, 403, "from another cluster", "check the root key") \
    X(TD_ECLOSED, 215, REJECT, 8, 403, "the region is closed in the roster", "tidings roster show") \
    X(TD_ECLOSING, 216, REJECT, 8, 403, "the region is leaving: the roster is closing it", "publish to another region; tidings roster status says what is awaited") \
    X(TD_EROTATED, 217, REJECT, 8, 403, "the key was replaced in the roster", "put the new key file in place of the old one and restart the node") \
    X(TD_ERANK, 301, REJECT, 1, 409, "the attempt already has a state of higher rank", "publish the next attempt") \
    X(TD_EFINAL, 302, REJECT, 1, 409, "the attempt already has another final state", "use --correct to replace it, or publish the next attempt") \
    X(TD_EPARTIAL, 303, REJECT, 1, 409, "a partial report, but this node has not yet what you last saw", "send the full status") \
    X(TD_EUNKNOWN, 304, REJECT, 3, 404, "no such job is known here", "") \
    X(TD_ESTALE, 305, RETRY, 5, 412, "the answer is older than asked for", "tidings peers shows which link is at fault") \
    X(TD_ETIMEOUT, 306, RETRY, 6, 504, "timed out", "raise --timeout, or look at tidings peers") \
    X(TD_EOTHERFINAL, 307, REJECT, 7, 409, "the job reached another final state", "") \
    X(TD_ELOSTFIRST, 308, REJECT, 1, 409, "an observer declared the attempt lost", "report a final state or start the next attempt") \
    X(TD_EACK, 309, RETRY, 6, 504, "stored here, but not confirmed by as many regions as asked for", "tidings peers; the report is kept and will spread") \
    X(TD_ECURSOR, 310, REJECT, 1, 410, "the cursor is too old: changes since were merged away", "begin again with from=start") \
    X(TD_EBUSY, 401, RETRY, 1, 429, "a bounded queue is full", "try again later") \
    X(TD_EQUOTA, 402, RETRY, 1, 429, "the region's quota is used up", "wait for expiry or raise it with tidings roster set") \
    X(TD_ERATE, 403, RETRY, 1, 429, "over the publish rate", "slow down") \
    X(TD_EDISKFULL, 404, RETRY, 1, 507, "the disk or the log's limit is full", "free space; publishing resumes by itself") \
    X(TD_EDRAINING, 405, RETRY, 1, 503, "the node is shutting down", "use another node") \
    X(TD_ESTARTING, 406, RETRY, 1, 503, "the node is not ready", "tidings peers; the daemon's log says what it waits for") \
    X(TD_ECLOCK, 407, STOP, 1, 503, "this node's clock is behind the roster or its own log", "set the clock") \
    X(TD_ECLONE, 408, STOP, 1, 503, "another node uses this region's key", "stop the clone; see the runbook") \
    X(TD_EHTTPBUSY, 410, RETRY, 1, 503, "all places for HTTP requests are taken", "try again; limits.http_connections sets their number") \
    X(TD_ENONODE, 501, RETRY, 4, 502, "no node can be reached", "check -n and that tidingsd runs") \
    X(TD_ECLOSEDLINK, 502, RETRY, 4, 502, "the connection ended", "try again, or another node") \
    X(TD_EHANDSHAKE, 503, REJECT, 8, 502, "the handshake failed", "check root key, own key and roster") \
    X(TD_ECORRUPT, 601, STOP, 1, 500, "stored data fails its own checks", "see the log; peers will repair it") \
    X(TD_EIO, 602, STOP, 1, 500, "reading or writing a file failed", "check disk and permissions") \
    X(TD_ENOMEM, 603, STOP, 1, 500, "out of memory", "lower the limits or add memory") \
    X(TD_ELOCKED, 604, STOP, 1, 500, "another process uses the data directory", "stop it first")

enum td_err {
#define TD_ERR_ENUM(name, number, class_, exit_, http_, text, hint) name = number,
    TD_ERR_LIST(TD_ERR_ENUM)
#undef TD_ERR_ENUM
};

/* All four answer for any value; an unlisted one is reported as such, never a crash. */
const char *td_err_text(enum td_err err);
const char *td_err_hint(enum td_err err);
enum td_err_class td_err_class(enum td_err err);
int td_err_exit_code(enum td_err err);
int td_err_http_status(enum td_err err);
/* Iterates the list: i = 0.. until false. For `tidings errors` and completion. */
int td_err_at(unsigned i, enum td_err *ret_err);

#endif
