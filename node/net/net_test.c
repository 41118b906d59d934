/* net_test.c -- links between regions, over real sockets of the loopback. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/net/test_nodes.h"

static void test_three_regions_mesh_with_one_link_each(void **state)
{

    (void)state;
    struct cluster *cluster = open_cluster(3);
    open_all(cluster);
    await_settled_mesh(cluster, 3);
    for (size_t i = 0; i < 3; i++) {
        AWAIT(cluster->nodes[i].rtts >= 4);
        assert_int_equal(td_net_stats(cluster->nodes[i].net).links, 2);
    }
    assert_true(meshed(cluster, 3));
    close_cluster(cluster);
}

static void test_frames_arrive_in_order_in_both_directions(void **state)
{
    struct td_link_id links[2];

    (void)state;
    struct cluster *cluster = open_cluster(2);
    open_all(cluster);
    await_settled_mesh(cluster, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(links_with(&cluster->nodes[i], (uint8_t)(2 - i), &links[i]), 1);
    }
    for (size_t i = 0; i < 2; i++) {
        send_numbered(&cluster->nodes[i], links[i], 0, 5000, 100);
        send_numbered(&cluster->nodes[i], links[i], 5000, 10, 1024 * 1024);
        send_numbered(&cluster->nodes[i], links[i], 5010, 1, TD_FRAME_BYTES_MAX);
        send_numbered(&cluster->nodes[i], links[i], 5011, 1000, 8);
    }
    for (size_t i = 0; i < 2; i++) {
        struct node *node = &cluster->nodes[i];
        AWAIT(node->frames == 6011);
        assert_int_equal(node->next_sequence, 6011);
        assert_false(node->out_of_order);
    }
    close_cluster(cluster);
}

/* All in one write: behind the refused frame more of them lie in the same read. */
static void test_nothing_is_taken_behind_a_frame_that_was_refused(void **state)
{
    enum { FRAMES = 50 };
    struct td_link_id link = {0}, again = {0};
    uint8_t payload[8] = {0};
    struct td_out_frame frames[FRAMES];

    (void)state;
    struct cluster *cluster = open_cluster(2);
    open_all(cluster);
    await_settled_mesh(cluster, 2);
    assert_int_equal(links_with(&cluster->nodes[0], 2, &link), 1);
    cluster->nodes[1].refuses = true;
    for (size_t i = 0; i < FRAMES; i++) {
        frames[i] = (struct td_out_frame){100, {payload, sizeof payload}};
    }
    assert_int_equal(td_net_send(cluster->nodes[0].net, link, frames, FRAMES), TD_OK);
    AWAIT(cluster->nodes[1].frames > 0);
    cluster->nodes[1].refuses = false;
    AWAIT(links_with(&cluster->nodes[0], 2, &again) == 1 && again.v != link.v);
    await_settled_mesh(cluster, 2);
    send_numbered(&cluster->nodes[0], again, 0, 1, 8);
    AWAIT(cluster->nodes[1].frames >= 2);
    assert_int_equal(cluster->nodes[1].frames, 2);
    close_cluster(cluster);
}

static void test_too_large_a_frame_is_refused_by_the_sender(void **state)
{
    struct td_link_id link = {0};

    (void)state;
    struct cluster *cluster = open_cluster(2);
    open_all(cluster);
    AWAIT(links_with(&cluster->nodes[0], 2, &link) == 1);
    uint8_t *payload = calloc(1, TD_FRAME_BYTES_MAX + 1);
    struct td_out_frame frame = {100, {payload, TD_FRAME_BYTES_MAX + 1}};
    assert_int_equal(td_net_send(cluster->nodes[0].net, link, &frame, 1), TD_ETOOBIG);
    free(payload);
    send_numbered(&cluster->nodes[0], link, 0, 1, 8);
    AWAIT(cluster->nodes[1].frames == 1);
    close_cluster(cluster);
}

static void test_a_peer_that_comes_back_is_linked_again_and_nothing_is_left_over(void **state)
{
    struct td_roster_ref *roster;
    size_t fds = 0;
    size_t threads = 0;

    (void)state;
    struct cluster *cluster = open_cluster(2);
    open_all(cluster);
    roster = make_roster(cluster, 1, 2, 0);
    await_settled_mesh(cluster, 2);
    for (int i = 0; i < 12; i++) {
        close_node(&cluster->nodes[1]);
        AWAIT(links_with(&cluster->nodes[0], 2, NULL) == 0);
        cluster->nodes[1].link_count = 0;
        open_node(cluster, &cluster->nodes[1], roster, NULL, NULL);
        await_settled_mesh(cluster, 2);
        if (i == 1) {
            AWAIT(fd_count() > 0);
            fds = fd_count();
            threads = thread_count();
        }
    }
    AWAIT(fd_count() <= fds);
    assert_int_equal(thread_count(), threads);
    td_roster_ref_put(roster);
    close_cluster(cluster);
}

static void test_a_key_not_in_the_roster_gets_the_roster_and_no_link(void **state)
{
    struct td_roster_ref *without = NULL;
    struct td_roster_ref *with = NULL;

    (void)state;
    struct cluster *cluster = open_cluster(3);
    without = make_roster(cluster, 3, 2, 0);
    with = make_roster(cluster, 4, 3, 0);
    open_node(cluster, &cluster->nodes[0], without, NULL, NULL);
    open_node(cluster, &cluster->nodes[1], without, NULL, NULL);
    open_node(cluster, &cluster->nodes[2], NULL, cluster->nodes[0].url, NULL);
    await_settled_mesh(cluster, 2);
    AWAIT(cluster->nodes[2].offered_version == 3);
    AWAIT(td_net_stats(cluster->nodes[0].net).refused_not_in_roster >= 2);
    assert_int_equal(links_with(&cluster->nodes[0], 3, NULL), 0);
    assert_int_equal(cluster->nodes[2].link_count, 0);

    /* Admitted at one node only: the roster spreads by itself and the newcomer is linked to both.
     */
    td_net_set_roster(cluster->nodes[0].net, with);
    await_settled_mesh(cluster, 3);
    assert_int_equal(cluster->nodes[1].offered_version, 4);
    assert_int_equal(cluster->nodes[2].offered_version, 4);
    td_roster_ref_put(without);
    td_roster_ref_put(with);
    close_cluster(cluster);
}

static void test_a_closed_region_is_dropped_and_learns_why(void **state)
{
    struct td_roster_ref *closed = NULL;

    (void)state;
    struct cluster *cluster = open_cluster(3);
    open_all(cluster);
    await_settled_mesh(cluster, 3);
    closed = make_roster(cluster, 2, 3, 3);
    td_net_set_roster(cluster->nodes[0].net, closed);
    AWAIT(cluster->nodes[2].offered_version == 2);
    AWAIT(links_with(&cluster->nodes[0], 3, NULL) == 0);
    AWAIT(links_with(&cluster->nodes[1], 3, NULL) == 0);
    AWAIT(links_with(&cluster->nodes[2], 1, NULL) == 0);
    await_settled_mesh(cluster, 2);
    td_roster_ref_put(closed);
    close_cluster(cluster);
}

static void test_a_fault_is_a_black_hole_and_heals(void **state)
{

    (void)state;
    struct cluster *cluster = open_cluster(2);
    open_all(cluster);
    await_settled_mesh(cluster, 2);
    assert_int_equal(td_net_set_fault(cluster->nodes[0].net, (struct td_region){2}, true, true),
                     TD_OK);
    AWAIT(links_with(&cluster->nodes[0], 2, NULL) == 0 &&
          links_with(&cluster->nodes[1], 1, NULL) == 0);
    assert_true(cluster->nodes[1].late > 0);
    uint64_t end_ms = now_ms() + 1500;
    while (now_ms() < end_ms) {
        assert_int_equal(links_with(&cluster->nodes[0], 2, NULL), 0);
        assert_int_equal(links_with(&cluster->nodes[1], 1, NULL), 0);
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    assert_int_equal(td_net_set_fault(cluster->nodes[0].net, (struct td_region){2}, false, false),
                     TD_OK);
    await_settled_mesh(cluster, 2);
    close_cluster(cluster);
}

static void test_a_short_fault_loses_nothing(void **state)
{
    struct td_link_id link = {0};

    (void)state;
    struct cluster *cluster = open_cluster(2);
    open_all(cluster);
    await_settled_mesh(cluster, 2);
    assert_int_equal(links_with(&cluster->nodes[0], 2, &link), 1);
    assert_int_equal(td_net_set_fault(cluster->nodes[0].net, (struct td_region){2}, true, false),
                     TD_OK);
    send_numbered(&cluster->nodes[0], link, 0, 1000, 1000);
    uint64_t late_before = cluster->nodes[0].rtts;
    AWAIT(cluster->nodes[1].late > 0);
    assert_int_equal(cluster->nodes[1].frames, 0);
    assert_true(cluster->nodes[0].rtts <= late_before + 2);
    assert_int_equal(td_net_set_fault(cluster->nodes[0].net, (struct td_region){2}, false, false),
                     TD_OK);
    AWAIT(cluster->nodes[1].frames == 1000);
    assert_false(cluster->nodes[1].out_of_order);
    close_cluster(cluster);
}

static void test_two_processes_of_one_region_may_be_linked_but_not_three(void **state)
{
    struct td_roster_ref *roster = NULL;

    (void)state;
    struct cluster *cluster = open_cluster(2);
    roster = make_roster(cluster, 1, 2, 0);
    open_node(cluster, &cluster->nodes[0], roster, NULL, NULL);
    struct node clones[3];
    for (size_t i = 0; i < 3; i++) {
        clones[i] = cluster->nodes[1];
        pthread_mutex_init(&clones[i].lock, NULL);
        clones[i].port = i == 0 ? clones[i].port : free_port();
        snprintf(clones[i].url, sizeof clones[i].url, "tcp://127.0.0.1:%u", clones[i].port);
        open_node(cluster, &clones[i], roster, NULL, NULL);
        td_net_set_process(clones[i].net, (struct td_incarnation){1, 100 + (uint32_t)i});
        if (i < 2) {
            AWAIT(links_with(&cluster->nodes[0], 2, NULL) == i + 1);
        }
    }
    AWAIT(clones[2].link_count > 0); /* it is up on its own side until the refusal arrives */
    AWAIT(links_with(&clones[2], 1, NULL) == 0 && seen(&clones[2], 0).why == TD_ECLONE);
    assert_int_equal(links_with(&cluster->nodes[0], 2, NULL), 2);
    for (size_t i = 0; i < 3; i++) {
        close_node(&clones[i]);
        pthread_mutex_destroy(&clones[i].lock);
    }
    td_roster_ref_put(roster);
    close_cluster(cluster);
}

/* An argument selects tests by pattern. */
int main(int count, char **arguments)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_three_regions_mesh_with_one_link_each),
        cmocka_unit_test(test_frames_arrive_in_order_in_both_directions),
        cmocka_unit_test(test_nothing_is_taken_behind_a_frame_that_was_refused),
        cmocka_unit_test(test_too_large_a_frame_is_refused_by_the_sender),
        cmocka_unit_test(test_a_peer_that_comes_back_is_linked_again_and_nothing_is_left_over),
        cmocka_unit_test(test_a_key_not_in_the_roster_gets_the_roster_and_no_link),
        cmocka_unit_test(test_a_closed_region_is_dropped_and_learns_why),
        cmocka_unit_test(test_a_fault_is_a_black_hole_and_heals),
        cmocka_unit_test(test_a_short_fault_loses_nothing),
        cmocka_unit_test(test_two_processes_of_one_region_may_be_linked_but_not_three),
    };

    if (td_sodium_init() != TD_OK) {
        return 1;
    }
    if (count > 1) {
        cmocka_set_test_filter(arguments[1]);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
