/* guard_test.c -- who gives way to whom when connections are many, and what is overdue. */
#include "node/http/guard.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <unistd.h>

#include "node/http/test_main.h"

enum { CLIENTS_MAX = 64 };

/* Connections are pairs of sockets: ours, as libmicrohttpd would have it, and the client's. */
struct crowd {
    struct td_guard guard;
    uint32_t count;
    int ours[CLIENTS_MAX], theirs[CLIENTS_MAX];
    struct td_place *places[CLIENTS_MAX];
};

static void open_crowd(struct crowd *crowd, uint32_t connections_max)
{
    memset(crowd, 0, sizeof *crowd);
    assert_true(td_guard_init(&crowd->guard, connections_max));
}

static void close_crowd(struct crowd *crowd)
{
    for (uint32_t i = 0; i < crowd->count; i++) {
        if (crowd->places[i] != NULL && crowd->places[i]->used) {
            td_guard_close(&crowd->guard, crowd->places[i]);
        }
        close(crowd->ours[i]);
        close(crowd->theirs[i]);
    }
    td_guard_fini(&crowd->guard);
}

static struct td_place *arrive(struct crowd *crowd, const char *from)
{
    struct sockaddr_in four = {.sin_family = AF_INET};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6};
    int pair[2];
    bool is_four = inet_pton(AF_INET, from, &four.sin_addr) == 1;
    assert_true(is_four || inet_pton(AF_INET6, from, &six.sin6_addr) == 1);
    assert_true(crowd->count < CLIENTS_MAX);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    uint32_t at = crowd->count++;
    crowd->ours[at] = pair[0];
    crowd->theirs[at] = pair[1];
    crowd->places[at] =
        td_guard_open(&crowd->guard, pair[0],
                      is_four ? (struct sockaddr *)(void *)&four : (struct sockaddr *)(void *)&six);
    if (crowd->places[at] != NULL) {
        assert_ptr_equal(td_guard_start(&crowd->guard, pair[0]), crowd->places[at]);
    }
    return crowd->places[at];
}

static bool is_ended(const struct crowd *crowd, uint32_t at)
{
    char byte;
    return recv(crowd->theirs[at], &byte, 1, MSG_PEEK) == 0;
}

static void test_the_oldest_idle_connection_gives_way(void **state)
{
    struct crowd crowd;
    (void)state;
    open_crowd(&crowd, 3);
    for (int i = 0; i < 3; i++) {
        assert_false(arrive(&crowd, "127.0.0.1")->refused);
        crowd.places[i]->since_ms = 100 + (uint64_t)i; /* the first is the oldest */
    }
    td_guard_busy(&crowd.guard, crowd.places[0], UINT64_MAX); /* at work */
    crowd.places[0]->since_ms = 1;
    assert_false(arrive(&crowd, "127.0.0.1")->refused);
    assert_false(is_ended(&crowd, 0));
    assert_true(is_ended(&crowd, 1));
    assert_false(is_ended(&crowd, 2));
    assert_int_equal(crowd.guard.evicted_total, 1);
    close_crowd(&crowd);
}

static void test_when_all_are_at_work_the_new_one_is_told_so(void **state)
{
    struct crowd crowd;
    (void)state;
    open_crowd(&crowd, 2);
    for (int i = 0; i < 2; i++) {
        td_guard_busy(&crowd.guard, arrive(&crowd, "127.0.0.1"), UINT64_MAX);
    }
    assert_true(arrive(&crowd, "127.0.0.1")->refused);
    assert_int_equal(crowd.guard.refused_total, 1);
    assert_false(is_ended(&crowd, 0) || is_ended(&crowd, 1));
    td_guard_idle(&crowd.guard, crowd.places[0]); /* its answer is out: it only sits there now */
    assert_false(arrive(&crowd, "127.0.0.1")->refused);
    assert_true(is_ended(&crowd, 0));
    close_crowd(&crowd);
}

/* Places: 64 / 4 = 16 for one address, but one host with many users cannot be told apart. */
static void test_one_address_gets_a_quarter_and_loopback_all(void **state)
{
    struct crowd crowd;
    uint32_t refused = 0;
    (void)state;
    open_crowd(&crowd, 64);
    for (int i = 0; i < 20; i++) {
        refused += arrive(&crowd, "192.0.2.1")->refused ? 1 : 0;
        td_guard_busy(&crowd.guard, crowd.places[i], UINT64_MAX);
    }
    assert_int_equal(refused, 4);
    assert_false(arrive(&crowd, "192.0.2.2")->refused);
    assert_false(arrive(&crowd, "2001:db8::1")->refused);
    close_crowd(&crowd);
    open_crowd(&crowd, 64);
    for (int i = 0; i < 40; i++) {
        assert_false(arrive(&crowd, i % 2 == 0 ? "127.0.0.1" : "::1")->refused);
        td_guard_busy(&crowd.guard, crowd.places[i], UINT64_MAX);
    }
    close_crowd(&crowd);
}

static void test_places_are_bounded_and_come_back(void **state)
{
    struct crowd crowd;
    (void)state;
    open_crowd(&crowd, 1);
    for (uint32_t i = 0; i < 1 + TD_GUARD_SPARE; i++) {
        assert_non_null(arrive(&crowd, "127.0.0.1"));
        td_guard_busy(&crowd.guard, crowd.places[i], UINT64_MAX);
    }
    assert_false(td_guard_has_room(&crowd.guard, 0));
    assert_null(arrive(&crowd, "127.0.0.1"));
    td_guard_close(&crowd.guard, crowd.places[3]);
    assert_true(td_guard_has_room(&crowd.guard, 0));
    assert_non_null(arrive(&crowd, "127.0.0.1"));
    close_crowd(&crowd);
}

static void test_what_is_overdue_is_shut_once(void **state)
{
    struct crowd crowd;
    (void)state;
    open_crowd(&crowd, 4);
    td_guard_busy(&crowd.guard, arrive(&crowd, "127.0.0.1"), 1);
    td_guard_busy(&crowd.guard, arrive(&crowd, "127.0.0.1"), UINT64_MAX); /* a stream */
    arrive(&crowd, "127.0.0.1");                                          /* its head has time */
    td_guard_reap(&crowd.guard);
    td_guard_reap(&crowd.guard);
    assert_true(is_ended(&crowd, 0));
    assert_false(is_ended(&crowd, 1) || is_ended(&crowd, 2));
    assert_int_equal(crowd.guard.overdue_total, 1);
    close_crowd(&crowd);
}

/* libmicrohttpd closes before it says so, and the number may be another socket's by then. */
static void test_a_number_that_was_given_again_is_not_shut(void **state)
{
    struct crowd crowd;
    int pair[2];
    (void)state;
    open_crowd(&crowd, 4);
    struct td_place *place = arrive(&crowd, "127.0.0.1");
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    assert_int_equal(dup2(pair[0], crowd.ours[0]), crowd.ours[0]); /* a link of the node, say */
    td_guard_busy(&crowd.guard, place, 1);
    td_guard_reap(&crowd.guard);
    char byte;
    assert_int_equal(recv(pair[1], &byte, 1, MSG_PEEK), -1); /* still open */
    assert_true(is_ended(&crowd, 0));
    close(pair[0]);
    close(pair[1]);
    close_crowd(&crowd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_oldest_idle_connection_gives_way),
        cmocka_unit_test(test_when_all_are_at_work_the_new_one_is_told_so),
        cmocka_unit_test(test_one_address_gets_a_quarter_and_loopback_all),
        cmocka_unit_test(test_places_are_bounded_and_come_back),
        cmocka_unit_test(test_what_is_overdue_is_shut_once),
        cmocka_unit_test(test_a_number_that_was_given_again_is_not_shut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
