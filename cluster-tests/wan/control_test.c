/* control_test.c -- which links a command means, and what is answered. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "cluster-tests/wan/control.h"

static struct wan_mesh mesh;
static char reply[98304]; /* as much as the router has */

static int setup(void **state)
{
    static const char *const names[WAN_HOSTS_MAX] = {"a", "b", "c"};

    (void)state;
    memset(&mesh, 0, sizeof mesh);
    mesh.host_count = 3;
    for (unsigned i = 0; i < WAN_HOSTS_MAX; i++) {
        mesh.hosts[i] = (struct wan_host){names[i], -1, -1, 0x0a4d0001 + i};
        for (unsigned other = 0; other < WAN_HOSTS_MAX; other++) {
            wan_link_init(&mesh.links[i][other]);
        }
    }
    return 0;
}

/* The links that are cut, as "ab ac". */
static const char *after(const char *line)
{
    static char cut[64];

    wan_control(&mesh, line, reply, sizeof reply);
    cut[0] = '\0';
    for (unsigned from = 0; from < 3; from++) {
        for (unsigned to = 0; to < 3; to++) {
            if (mesh.links[from][to].cut) {
                strcat(cut, cut[0] == '\0' ? "" : " ");
                strcat(cut, mesh.hosts[from].name);
                strcat(cut, mesh.hosts[to].name);
            }
        }
    }
    return cut;
}

static void test_a_command_means_both_directions_or_one_or_all_of_a_host(void **state)
{
    (void)state;
    assert_string_equal(after("cut a b"), "ab ba");
    assert_string_equal(after("heal a b one-way"), "ba");
    assert_string_equal(after("cut c * one-way"), "ba ca cb");
    assert_string_equal(after("heal"), "");
    assert_string_equal(after("cut * a"), "ab ac ba ca");
    assert_string_equal(reply, "ok\n");
    assert_string_equal(after("heal * *"), "");
}

static void test_a_shape_is_set_one_way_or_both(void **state)
{
    (void)state;
    after("set a b delay=40ms loss=1%");
    after("set b a delay=50ms one-way");
    assert_int_equal(mesh.links[0][1].shape.delay_us, 40000);
    assert_int_equal(mesh.links[1][0].shape.delay_us, 50000);
    assert_int_equal(mesh.links[1][0].shape.loss_ppm, 10000);
    assert_int_equal(mesh.links[0][2].shape.delay_us, 0);
}

static void test_what_cannot_be_done_is_said(void **state)
{
    (void)state;
    assert_string_equal(after("cut a d"), "");
    assert_string_equal(reply, "error: no such link\n");
    assert_string_equal(after("cut a a"), "");
    assert_string_equal(reply, "error: no such link\n");
    after("set a b delay=40");
    assert_string_equal(reply, "error: delay: a time up to 60s, as 40ms\n");
}

static void test_hosts_and_the_stats_of_the_largest_mesh_are_told_in_full(void **state)
{
    (void)state;
    after("hosts");
    assert_non_null(strstr(reply, "c 10.77.0.3 /proc/"));
    mesh.host_count = WAN_HOSTS_MAX;
    for (unsigned i = 0; i < WAN_HOSTS_MAX; i++) {
        mesh.hosts[i].name = "a-name-as-long-as-names-may-be-";
        for (unsigned other = 0; other < WAN_HOSTS_MAX; other++) {
            memset(&mesh.links[i][other].counts, 0x7f, sizeof mesh.links[i][other].counts);
        }
    }
    wan_control(&mesh, "stats", reply, sizeof reply);
    assert_string_equal(reply + strlen(reply) - 4, "\nok\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_a_command_means_both_directions_or_one_or_all_of_a_host, setup),
        cmocka_unit_test_setup(test_a_shape_is_set_one_way_or_both, setup),
        cmocka_unit_test_setup(test_what_cannot_be_done_is_said, setup),
        cmocka_unit_test_setup(test_hosts_and_the_stats_of_the_largest_mesh_are_told_in_full,
                               setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
