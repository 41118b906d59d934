/* times.c -- see times.h. */
#include "node/http/times.h"

#include <stdio.h>
#include <string.h>

#include "node/http/exposition.h"

static const int statuses[TD_HTTP_STATUS_COUNT] = {
#define STATUS_NUMBER(status) status,
    TD_HTTP_STATUS_LIST(STATUS_NUMBER)
#undef STATUS_NUMBER
};

void td_http_times_add(struct td_http_times *times, size_t route, int status, uint64_t us)
{
    size_t at = TD_HTTP_STATUS_COUNT - 1;
    while (at > 0 && statuses[at] != status) {
        at--;
    }
    if (route < TD_HTTP_ROUTES_MAX) {
        td_durations_add(&times->durations[route][at], us);
    }
}

static void write_one(const struct td_durations *durations, const char *name, const char *route,
                      int status, bool expected, struct td_buffer *out)
{
    struct td_durations copy;
    char code[12];
    uint64_t count = 0;
    td_durations_read(durations, &copy);
    for (size_t i = 0; i <= TD_DURATION_BUCKETS; i++) {
        count += copy.counts[i];
    }
    (void)snprintf(code, sizeof code, "%d", status);
    struct td_labels labels = td_label_add(td_label_word("route", route), "code", code);
    if (count > 0 || status == 200) {
        td_expo_durations(out, name, &labels, &copy);
    } else if (expected) {
        td_expo_durations_none(out, name, &labels);
    }
}

/* In full: what occurred, and each route's 200. The rest of the closed list has its three lines:
 * with all their buckets they would be some thousand lines that say nothing. */
void td_http_times_write(struct td_http_times *times, const struct td_http_timed *routes,
                         size_t route_count, struct td_buffer *out)
{
    static const char name[] = "http_request_duration_seconds";
    td_expo_family(out, name, "histogram",
                   "Time from the complete head of a request to its answer.");
    for (size_t i = 0; i < route_count && i < TD_HTTP_ROUTES_MAX; i++) {
        for (size_t at = 0; at < TD_HTTP_STATUS_COUNT && routes[i].name != NULL; at++) {
            bool expected = (routes[i].statuses >> at & 1) != 0;
            if (expected || statuses[at] != 200) {
                write_one(&times->durations[i][at], name, routes[i].name, statuses[at], expected,
                          out);
            }
        }
    }
}
