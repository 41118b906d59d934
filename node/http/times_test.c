/* times_test.c -- durations by route and status: the closed list is there before anything occurs.
 */
#include "node/http/times.h"

#include "node/http/internal.h"
#include "node/http/test_main.h"

static struct td_http_times times;
static char text[256 * 1024];

/* Everything that is written, as a string. */
static const char *written(const struct td_http_timed *routes, size_t count)
{
    struct td_buffer out;
    td_buffer_init(&out, sizeof text - 1);
    td_http_times_write(&times, routes, count, &out);
    memcpy(text, out.bytes, out.used_bytes);
    text[out.used_bytes] = '\0';
    td_buffer_fini(&out);
    return text;
}

static unsigned count_of(const char *where, const char *what)
{
    unsigned count = 0;
    for (const char *at = where; (at = strstr(at, what)) != NULL; at += strlen(what)) {
        count++;
    }
    return count;
}

static void test_the_closed_list_is_there_at_zero(void **state)
{
    const struct td_http_timed routes[] = {
        {"/a", TD_HTTP_STATUS_BIT(200) | TD_HTTP_STATUS_BIT(404)},
        {NULL, 0},
        {"none", TD_HTTP_STATUS_BIT(404)},
    };
    (void)state;
    memset(&times, 0, sizeof times);
    const char *all = written(routes, 3);
    assert_non_null(strstr(all, "_count{route=\"/a\",code=\"200\"} 0\n"));
    assert_non_null(strstr(all, "_count{route=\"/a\",code=\"404\"} 0\n"));
    assert_non_null(strstr(all, "_count{route=\"none\",code=\"404\"} 0\n"));
    assert_non_null(strstr(all, "_bucket{route=\"/a\",code=\"404\",le=\"+Inf\"} 0\n"));
    assert_int_equal(count_of(all, "_count{"), 3);
    assert_int_equal(count_of(all, "code=\"404\",le="), 2); /* short, until it occurs */
    assert_int_equal(count_of(all, "code=\"200\",le="), TD_DURATION_BUCKETS + 1);
}

static void test_what_occurs_is_counted_where_it_belongs(void **state)
{
    const struct td_http_timed routes[] = {{"/a", TD_HTTP_STATUS_BIT(404)}};
    (void)state;
    memset(&times, 0, sizeof times);
    td_http_times_add(&times, 0, 404, 1500);
    td_http_times_add(&times, 0, 404, 400000000);
    td_http_times_add(&times, 0, 409, 1); /* not in the list of the route: shown all the same */
    td_http_times_add(&times, 0, 299, 1); /* not in any list: as 0 */
    td_http_times_add(&times, TD_HTTP_ROUTES_MAX, 200, 1); /* no such route */
    const char *all = written(routes, 1);
    assert_non_null(strstr(all, "{route=\"/a\",code=\"404\",le=\"0.001\"} 0\n"));
    assert_non_null(strstr(all, "{route=\"/a\",code=\"404\",le=\"0.0025\"} 1\n"));
    assert_non_null(strstr(all, "{route=\"/a\",code=\"404\",le=\"+Inf\"} 2\n"));
    assert_non_null(strstr(all, "_sum{route=\"/a\",code=\"404\"} 400.001500\n"));
    assert_non_null(strstr(all, "_count{route=\"/a\",code=\"409\"} 1\n"));
    assert_non_null(strstr(all, "_count{route=\"/a\",code=\"0\"} 1\n"));
    assert_int_equal(count_of(all, "_count{"), 3);
}

static void test_every_route_names_its_statuses(void **state)
{
    struct td_http_timed routes[TD_HTTP_ROUTES_MAX];
    size_t count = 0;
    (void)state;
    td_http_route_times(routes);
    for (const struct td_http_route *route; (route = td_http_route_at(count)) != NULL; count++) {
        assert_non_null(routes[count].name);
        assert_true((routes[count].statuses & TD_HTTP_STATUS_BIT(200)) != 0);
        bool guarded = (routes[count].statuses & TD_HTTP_STATUS_BIT(401)) != 0;
        bool writes = (routes[count].statuses & TD_HTTP_STATUS_BIT(415)) != 0;
        assert_int_equal(guarded, !route->open);
        assert_int_equal(writes, route->put != NULL);
    }
    assert_null(routes[count].name);
    assert_string_equal(routes[TD_HTTP_ROUTES_MAX - 1].name, "none");
    assert_false((routes[TD_HTTP_ROUTES_MAX - 1].statuses & TD_HTTP_STATUS_BIT(200)) != 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_closed_list_is_there_at_zero),
        cmocka_unit_test(test_what_occurs_is_counted_where_it_belongs),
        cmocka_unit_test(test_every_route_names_its_statuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
