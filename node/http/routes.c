/* routes.c -- the routes and what each takes. */
#include <string.h>

#include "node/http/internal.h"

#define FILTER                                                                                     \
    (TD_PARAM_BIT(state) | TD_PARAM_BIT(origin) | TD_PARAM_BIT(prefix) | TD_PARAM_BIT(since) |     \
     TD_PARAM_BIT(silent) | TD_PARAM_BIT(conflicts))
#define ONE_JOB                                                                                    \
    (TD_PARAM_BIT(id) | TD_PARAM_BIT(attempt) | TD_PARAM_BIT(max_stale) | TD_PARAM_BIT(after) |    \
     TD_PARAM_BIT(wait))

static const struct td_http_route routes[] = {
    {"/v1/job", ONE_JOB | TD_PARAM_BIT(all_attempts),
     TD_PARAM_BIT(id) | TD_PARAM_BIT(ack) | TD_PARAM_BIT(after) | TD_PARAM_BIT(wait),
     td_http_get_job, td_http_put_job, false},
    {"/v1/jobs", FILTER | TD_PARAM_BIT(limit) | TD_PARAM_BIT(cursor), 0, td_http_get_jobs, NULL,
     false},
    {"/v1/explain", ONE_JOB, 0, td_http_get_explain, NULL, false},
    {"/v1/history", ONE_JOB, 0, td_http_get_history, NULL, false},
    {"/v1/watch", FILTER | TD_PARAM_BIT(from) | TD_PARAM_BIT(cursor) | TD_PARAM_BIT(job), 0,
     td_http_get_watch, NULL, false},
    {"/v1/peers", 0, 0, td_http_get_peers, NULL, false},
    {"/v1/mesh", 0, 0, td_http_get_mesh, NULL, false},
    {"/v1/regions", 0, 0, td_http_get_regions, NULL, false},
    {"/v1/conflicts", TD_PARAM_BIT(limit) | TD_PARAM_BIT(cursor) | TD_PARAM_BIT(prefix), 0,
     td_http_get_conflicts, NULL, false},
    {"/v1/roster", 0, 0, td_http_get_roster, NULL, false},
    {"/livez", TD_PARAM_BIT(verbose), 0, td_http_get_livez, NULL, true},
    {"/readyz", TD_PARAM_BIT(verbose), 0, td_http_get_readyz, NULL, true},
    {"/metrics", 0, 0, td_http_get_metrics, NULL, false},
    {"/", 0, 0, td_http_get_page, NULL, false},
    {"/openapi.json", 0, 0, td_http_get_openapi, NULL, true},
    {"/errors/", 0, 0, td_http_get_error, NULL, true},
};
enum { ROUTE_COUNT = sizeof routes / sizeof routes[0] };

_Static_assert((int)ROUTE_COUNT < (int)TD_HTTP_ROUTES_MAX,
               "each route, and what is none, has its durations");

const struct td_http_route *td_http_route_at(size_t index)
{
    return index < ROUTE_COUNT ? &routes[index] : NULL;
}

const struct td_http_route *td_http_route_find(const char *path)
{
    for (size_t i = 0; i < ROUTE_COUNT; i++) {
        bool below = strcmp(routes[i].path, "/errors/") == 0 && strncmp(path, "/errors/", 8) == 0;
        if (below || strcmp(routes[i].path, path) == 0) {
            return &routes[i];
        }
    }
    return NULL;
}
