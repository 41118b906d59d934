/* link_test.c -- the model of one direction: delay, order, losses, line and queue, seeds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cluster-tests/wan/link.h"

static struct wan_link link_of(struct wan_shape shape, uint64_t seed)
{
    struct wan_link link;

    wan_link_init(&link);
    wan_link_seed(&link, seed, 0, 1);
    wan_link_shape(&link, &shape);
    return link;
}

static void test_a_delay_is_exact_and_both_ends_of_jitter_are_kept(void **state)
{
    (void)state;
    struct wan_link link = link_of((struct wan_shape){.delay_us = 40000}, 1);
    uint64_t due_us[2], least = UINT64_MAX, most = 0;

    assert_int_equal(wan_link_offer(&link, 1000, 100, due_us), 1);
    assert_int_equal(due_us[0], 41000);
    link = link_of((struct wan_shape){.delay_us = 40000, .jitter_us = 2000}, 1);
    for (uint64_t i = 1; i <= 1000; i++) { /* far apart: nobody waits for the one in front */
        uint64_t now_us = i * 100000;
        assert_int_equal(wan_link_offer(&link, now_us, 100, due_us), 1);
        least = due_us[0] - now_us < least ? due_us[0] - now_us : least;
        most = due_us[0] - now_us > most ? due_us[0] - now_us : most;
    }
    assert_in_range(least, 38000, 38100);
    assert_in_range(most, 41900, 42000);
    /* A jitter above the delay brings nobody there before it set out. */
    link = link_of((struct wan_shape){.delay_us = 10, .jitter_us = 2000}, 1);
    for (uint64_t i = 1; i <= 100; i++) {
        wan_link_offer(&link, i * 100000, 100, due_us);
        assert_true(due_us[0] >= i * 100000);
    }
}

static void test_jitter_keeps_the_order_and_reorder_breaks_it(void **state)
{
    (void)state;
    struct wan_shape shape = {.delay_us = 9000, .jitter_us = 8000, .late_us = 5000};
    struct wan_link link = link_of(shape, 3);
    uint64_t due_us[2], last_us = 0;
    unsigned overtaken = 0;

    for (uint64_t i = 0; i < 1000; i++) {
        wan_link_offer(&link, i * 100, 100, due_us);
        assert_true(due_us[0] >= last_us);
        last_us = due_us[0];
    }
    shape.reorder_ppm = WAN_PPM / 10;
    link = link_of(shape, 3);
    for (uint64_t i = 0; i < 1000; i++) {
        wan_link_offer(&link, i * 100, 100, due_us);
        overtaken += due_us[0] < last_us;
        last_us = due_us[0];
    }
    assert_in_range(link.counts.reordered, 70, 130);
    assert_in_range(overtaken, 50, 130);
}

static void test_losses_and_copies_come_at_their_rate_and_are_counted(void **state)
{
    (void)state;
    struct wan_link link =
        link_of((struct wan_shape){.loss_ppm = WAN_PPM / 5, .dup_ppm = WAN_PPM / 10}, 7);
    uint64_t due_us[2], arrived = 0;

    for (uint64_t i = 0; i < 10000; i++) {
        arrived += wan_link_offer(&link, i, 100, due_us);
    }
    assert_in_range(link.counts.lost, 1850, 2150);
    assert_in_range(link.counts.duplicated, 700, 900); /* a tenth of those that are not lost */
    assert_int_equal(arrived, 10000 - link.counts.lost + link.counts.duplicated);
    link = link_of((struct wan_shape){.loss_ppm = WAN_PPM}, 7);
    assert_int_equal(wan_link_offer(&link, 0, 100, due_us), 0);
    link = link_of((struct wan_shape){.dup_ppm = WAN_PPM, .delay_us = 5}, 7);
    assert_int_equal(wan_link_offer(&link, 0, 100, due_us), 2);
    assert_int_equal(due_us[1], 5);
}

/* Which of 64 packets are lost. */
static uint64_t losses(struct wan_shape shape, uint64_t seed, unsigned from)
{
    struct wan_link link = link_of(shape, seed);
    uint64_t due_us[2], lost = 0;

    wan_link_seed(&link, seed, from, 1);
    for (unsigned i = 0; i < 64; i++) {
        lost |= (uint64_t)(wan_link_offer(&link, i, 100, due_us) == 0) << i;
    }
    return lost;
}

static void test_the_fate_of_the_nth_packet_depends_on_seed_and_shape_alone(void **state)
{
    (void)state;
    struct wan_shape shape = {.loss_ppm = WAN_PPM / 4};
    struct wan_shape other = {.loss_ppm = WAN_PPM / 4, .jitter_us = 500, .dup_ppm = WAN_PPM / 2};
    struct wan_shape worse = {.loss_ppm = WAN_PPM / 2};

    assert_true(losses(shape, 7, 0) == losses(shape, 7, 0));
    assert_true(losses(shape, 7, 0) == losses(other, 7, 0));
    assert_true((losses(shape, 7, 0) & ~losses(worse, 7, 0)) == 0); /* lost then, lost now */
    assert_true(losses(shape, 7, 0) != losses(shape, 8, 0));
    assert_true(losses(shape, 7, 0) != losses(shape, 7, 2));
}

static void test_a_narrow_line_spaces_packets_and_drops_what_its_queue_cannot_hold(void **state)
{
    (void)state;
    /* 12 mbit/s: 1 ms for a full packet. */
    struct wan_link link =
        link_of((struct wan_shape){.rate_bps = 12000000, .queue = 10, .delay_us = 100}, 1);
    uint64_t due_us[2];

    for (uint64_t i = 0; i < 11; i++) {
        assert_int_equal(wan_link_offer(&link, 0, WAN_MTU, due_us), 1);
        assert_int_equal(due_us[0], 100 + (i + 1) * 1000);
    }
    assert_int_equal(wan_link_offer(&link, 0, WAN_MTU, due_us), 0);
    assert_int_equal(link.counts.queue_drops, 1);
    /* One packet's time later one more finds room; after a pause the line is free at once. */
    assert_int_equal(wan_link_offer(&link, 1000, WAN_MTU, due_us), 1);
    assert_int_equal(due_us[0], 12100);
    assert_int_equal(wan_link_offer(&link, 50000, WAN_MTU / 2, due_us), 1);
    assert_int_equal(due_us[0], 50600);
}

static void test_a_cut_stops_everything_until_healed_and_is_told_apart_afterwards(void **state)
{
    (void)state;
    struct wan_link link = link_of((struct wan_shape){.delay_us = 100}, 1);
    uint64_t due_us[2];
    uint32_t before = link.cuts;

    wan_link_cut(&link);
    assert_int_equal(wan_link_offer(&link, 0, 100, due_us), 0);
    assert_int_equal(link.counts.cut_drops, 1);
    wan_link_heal(&link);
    assert_int_equal(wan_link_offer(&link, 0, 100, due_us), 1);
    assert_int_not_equal(link.cuts, before); /* what was under way then does not arrive now */
}

static void test_a_shorter_path_is_not_held_up_by_the_longer_one_it_replaces(void **state)
{
    (void)state;
    struct wan_link link = link_of((struct wan_shape){.delay_us = 10000000}, 1);
    uint64_t due_us[2];

    wan_link_offer(&link, 0, 100, due_us);
    wan_link_shape(&link, &(struct wan_shape){.delay_us = 10});
    wan_link_offer(&link, 5, 100, due_us);
    assert_int_equal(due_us[0], 15);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_delay_is_exact_and_both_ends_of_jitter_are_kept),
        cmocka_unit_test(test_jitter_keeps_the_order_and_reorder_breaks_it),
        cmocka_unit_test(test_losses_and_copies_come_at_their_rate_and_are_counted),
        cmocka_unit_test(test_the_fate_of_the_nth_packet_depends_on_seed_and_shape_alone),
        cmocka_unit_test(test_a_narrow_line_spaces_packets_and_drops_what_its_queue_cannot_hold),
        cmocka_unit_test(test_a_cut_stops_everything_until_healed_and_is_told_apart_afterwards),
        cmocka_unit_test(test_a_shorter_path_is_not_held_up_by_the_longer_one_it_replaces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
