/* times.h -- how long requests took: a histogram per route and status, all there from the start. */
#ifndef TD_HTTP_TIMES_H
#define TD_HTTP_TIMES_H

#include <stddef.h>
#include <stdint.h>

#include "proto/buffer.h"
#include "proto/durations.h"

/* Every status this program answers with; another one would be counted as the last. */
enum { TD_HTTP_ROUTES_MAX = 24, TD_HTTP_STATUS_COUNT = 20 };

struct td_http_times {
    struct td_durations durations[TD_HTTP_ROUTES_MAX][TD_HTTP_STATUS_COUNT];
};
/* Any thread. */
void td_http_times_add(struct td_http_times *times, size_t route, int status, uint64_t us);
/* names: of the routes, by index. */
void td_http_times_write(struct td_http_times *times, const char *const *names, size_t name_count,
                         struct td_buffer *out);

#endif
