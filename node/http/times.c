/* times.c -- see times.h. */
#include "node/http/times.h"

#include <stdio.h>
#include <string.h>

#include "node/http/exposition.h"

static const int statuses[TD_HTTP_STATUS_COUNT] = {200, 400, 401, 403, 404, 405, 409, 410, 411, 412,
                                                   413, 415, 429, 431, 500, 502, 503, 504, 507, 0};

void td_http_times_add(struct td_http_times *times, size_t route, int status, uint64_t us)
{
    size_t at = 0;
    while (at + 1 < TD_HTTP_STATUS_COUNT && statuses[at] != status) {
        at++;
    }
    if (route < TD_HTTP_ROUTES_MAX) {
        td_durations_add(&times->durations[route][at], us);
    }
}

/* Each route begins with its 200 at zero; the other codes of a closed list appear when they occur:
 * all of them at all routes would be thousands of lines that say nothing. */
void td_http_times_write(struct td_http_times *times, const char *const *names, size_t name_count,
                         struct td_buffer *out)
{
    static const char name[] = "http_request_duration_seconds";
    td_expo_family(out, name, "histogram",
                   "Time from the complete head of a request to its answer.");
    for (size_t route = 0; route < name_count && route < TD_HTTP_ROUTES_MAX; route++) {
        for (size_t at = 0; at < TD_HTTP_STATUS_COUNT; at++) {
            struct td_durations copy;
            char code[8];
            uint64_t count = 0;
            td_durations_read(&times->durations[route][at], &copy);
            for (size_t i = 0; i <= TD_DURATION_BUCKETS; i++) {
                count += copy.counts[i];
            }
            if (count == 0 && at != 0) {
                continue;
            }
            (void)snprintf(code, sizeof code, "%d", statuses[at]);
            struct td_labels labels =
                td_label_add(td_label_word("route", names[route]), "code", code);
            td_expo_durations(out, name, &labels, &copy);
        }
    }
}
