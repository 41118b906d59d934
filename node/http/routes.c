/* routes.c -- the routes and what each takes. */
#include <string.h>

#include "node/http/internal.h"

#define FILTER                                                                                     \
    (TD_PARAM_BIT(state) | TD_PARAM_BIT(origin) | TD_PARAM_BIT(prefix) | TD_PARAM_BIT(since) |     \
     TD_PARAM_BIT(silent) | TD_PARAM_BIT(conflicts))
#define ONE_JOB                                                                                    \
    (TD_PARAM_BIT(id) | TD_PARAM_BIT(attempt) | TD_PARAM_BIT(max_stale) | TD_PARAM_BIT(after) |    \
     TD_PARAM_BIT(wait))

/* Statuses. Before a route is asked: framing, host, place, method; without a right; from the node.
 */
#define S(status) TD_HTTP_STATUS_BIT(status)
#define ANY (S(0) | S(400) | S(403) | S(405) | S(411) | S(413) | S(503))
#define OPEN (ANY | S(200))
#define GUARDED (OPEN | S(401))
#define ASKING (GUARDED | S(429) | S(500) | S(502) | S(504))

static const struct td_http_route routes[] = {
    {"/v1/job", ONE_JOB | TD_PARAM_BIT(all_attempts),
     TD_PARAM_BIT(id) | TD_PARAM_BIT(ack) | TD_PARAM_BIT(after) | TD_PARAM_BIT(wait),
     td_http_get_job, td_http_put_job, false, ASKING | S(404) | S(409) | S(412) | S(415) | S(507)},
    {"/v1/jobs", FILTER | TD_PARAM_BIT(limit) | TD_PARAM_BIT(cursor), 0, td_http_get_jobs, NULL,
     false, ASKING},
    {"/v1/explain", ONE_JOB, 0, td_http_get_explain, NULL, false, ASKING | S(404) | S(412)},
    {"/v1/history", ONE_JOB, 0, td_http_get_history, NULL, false, ASKING | S(404) | S(412)},
    {"/v1/watch", FILTER | TD_PARAM_BIT(from) | TD_PARAM_BIT(cursor) | TD_PARAM_BIT(job), 0,
     td_http_get_watch, NULL, false, ASKING | S(410)},
    {"/v1/peers", 0, 0, td_http_get_peers, NULL, false, ASKING},
    {"/v1/mesh", 0, 0, td_http_get_mesh, NULL, false, ASKING},
    {"/v1/regions", 0, 0, td_http_get_regions, NULL, false, ASKING},
    {"/v1/conflicts", TD_PARAM_BIT(limit) | TD_PARAM_BIT(cursor) | TD_PARAM_BIT(prefix), 0,
     td_http_get_conflicts, NULL, false, ASKING},
    {"/v1/roster", 0, 0, td_http_get_roster, NULL, false, ASKING},
    {"/livez", TD_PARAM_BIT(verbose), 0, td_http_get_livez, NULL, true, OPEN},
    {"/readyz", TD_PARAM_BIT(verbose), 0, td_http_get_readyz, NULL, true, OPEN},
    {"/metrics", 0, 0, td_http_get_metrics, NULL, false, GUARDED | S(504)},
    {"/", 0, 0, td_http_get_page, NULL, false, ASKING},
    {"/openapi.json", 0, 0, td_http_get_openapi, NULL, true, OPEN},
    {"/errors/", 0, 0, td_http_get_error, NULL, true, OPEN | S(404)},
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

/* Also whatever is no route, as the last. */
void td_http_route_times(struct td_http_timed timed[TD_HTTP_ROUTES_MAX])
{
    memset(timed, 0, TD_HTTP_ROUTES_MAX * sizeof timed[0]);
    for (size_t i = 0; i < ROUTE_COUNT; i++) {
        bool below = strcmp(routes[i].path, "/errors/") == 0;
        timed[i] = (struct td_http_timed){below ? "/errors" : routes[i].path, routes[i].statuses};
    }
    timed[TD_HTTP_ROUTES_MAX - 1] = (struct td_http_timed){"none", ANY | S(404)};
}
