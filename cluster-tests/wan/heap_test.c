/* heap_test.c -- packets leave in the order of their time, equal ones as they came; the bound
 * holds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "cluster-tests/sim/random.h"
#include "cluster-tests/wan/heap.h"

static struct wan_packet *packet_due(uint64_t due_us)
{
    struct wan_packet *packet = calloc(1, sizeof *packet);

    assert_non_null(packet);
    packet->due_us = due_us;
    return packet;
}

static void test_packets_leave_by_time_and_equal_ones_as_they_came(void **state)
{
    (void)state;
    struct wan_heap heap;
    struct sim_random random = sim_random_new(1, 0);
    uint64_t last_due_us = 0, last_number = 0;

    assert_true(wan_heap_init(&heap, 1000));
    for (int i = 0; i < 1000; i++) {
        assert_true(wan_heap_push(&heap, packet_due(1 + sim_random_below(&random, 50))));
    }
    for (int i = 0; i < 1000; i++) {
        const struct wan_packet *first = wan_heap_first(&heap);
        struct wan_packet *packet = wan_heap_pop(&heap);
        assert_ptr_equal(first, packet);
        assert_true(packet->due_us >= last_due_us);
        assert_true(packet->due_us > last_due_us || packet->number > last_number);
        last_due_us = packet->due_us;
        last_number = packet->number;
        free(packet);
    }
    assert_null(wan_heap_pop(&heap));
    assert_null(wan_heap_first(&heap));
    wan_heap_fini(&heap);
}

static void test_a_full_heap_refuses_and_leaves_the_packet_to_the_caller(void **state)
{
    (void)state;
    struct wan_heap heap;
    struct wan_packet *packet = packet_due(1);

    assert_true(wan_heap_init(&heap, 2));
    assert_true(wan_heap_push(&heap, packet_due(3)));
    assert_true(wan_heap_push(&heap, packet_due(2)));
    assert_false(wan_heap_push(&heap, packet));
    assert_int_equal(heap.count, 2);
    free(wan_heap_pop(&heap));
    assert_true(wan_heap_push(&heap, packet));
    assert_ptr_equal(wan_heap_first(&heap), packet);
    wan_heap_fini(&heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_packets_leave_by_time_and_equal_ones_as_they_came),
        cmocka_unit_test(test_a_full_heap_refuses_and_leaves_the_packet_to_the_caller),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
