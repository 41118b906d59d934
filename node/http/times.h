/* times.h -- how long requests took: a histogram per route and status. Which statuses a route can
 * give is a closed list, and each of them is there from the start. */
#ifndef TD_HTTP_TIMES_H
#define TD_HTTP_TIMES_H

#include <stddef.h>
#include <stdint.h>

#include "proto/buffer.h"
#include "proto/durations.h"

/* Every status this program answers with; 0 = the client went away before its answer. */
#define TD_HTTP_STATUS_LIST(X)                                                                     \
    X(0)                                                                                           \
    X(200) X(400) X(401) X(403) X(404) X(405) X(409) X(410) X(411) X(412) X(413) X(415) X(429)     \
        X(500) X(502) X(503) X(504) X(507)

enum td_http_status {
#define TD_HTTP_STATUS_ENUM(status) TD_HTTP_STATUS_##status,
    TD_HTTP_STATUS_LIST(TD_HTTP_STATUS_ENUM)
#undef TD_HTTP_STATUS_ENUM
        TD_HTTP_STATUS_COUNT
};
#define TD_HTTP_STATUS_BIT(status) (UINT32_C(1) << TD_HTTP_STATUS_##status)

enum { TD_HTTP_ROUTES_MAX = 24 };

/* A route as it is counted: bits of the statuses that it can give. */
struct td_http_timed {
    const char *name;
    uint32_t statuses;
};

struct td_http_times {
    struct td_durations durations[TD_HTTP_ROUTES_MAX][TD_HTTP_STATUS_COUNT];
};
/* Any thread. A status outside the list is counted as 0. */
void td_http_times_add(struct td_http_times *times, size_t route, int status, uint64_t us);
/* routes: by index; one without a name is left out. */
void td_http_times_write(struct td_http_times *times, const struct td_http_timed *routes,
                         size_t route_count, struct td_buffer *out);

#endif
