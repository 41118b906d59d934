/* gate_test.c -- which addresses the gateway listens on; numbers only. */
#include "node/http/gate.h"

#include <unistd.h>

#include "node/http/test_main.h"

static enum td_err look(const char *address, bool *ret_loopback)
{
    struct td_gate gate = {0};
    char why[256] = "";
    enum td_err err = td_gate_open(&gate, address, false, why, sizeof why);
    assert_true(err == TD_OK || strstr(why, "is not ADDRESS:PORT") != NULL);
    assert_int_equal(gate.fd, -1);
    *ret_loopback = gate.loopback;
    return err;
}

static void test_loopback_is_told_apart(void **state)
{
    static const struct {
        const char *address;
        bool loopback;
    } rows[] = {
        {"127.0.0.1:7718", true},          {"127.255.0.1:1", true}, {"[::1]:7718", true},
        {"0.0.0.0:7718", false},           {"[::]:7718", false},    {"192.0.2.1:65535", false},
        {"[::ffff:127.0.0.1]:7718", false}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        bool loopback = false;
        assert_int_equal(look(rows[i].address, &loopback), TD_OK);
        assert_int_equal(loopback, rows[i].loopback);
    }
}

static void test_what_is_not_an_address_and_a_port_is_refused(void **state)
{
    static const char *const rows[] = {
        "",         "7718",          "localhost:7718",  "127.0.0.1",       "127.0.0.1:",
        ":7718",    "127.0.0.1:0",   "127.0.0.1:65536", "127.0.0.1:77x",   "[::1]",
        "::1:7718", "[127.0.0.1]:1", "[]:7718",         "127.0.0.1 :7718", "[::1:7718"};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        bool loopback = false;
        if (look(rows[i], &loopback) != TD_ECONFIG) {
            fail_msg("\"%s\" was taken", rows[i]);
        }
    }
}

static void test_a_port_in_use_is_an_error_with_its_reason(void **state)
{
    struct td_gate first = {0}, second = {0};
    char why[256] = "", address[32];
    (void)state;
    enum td_err err = TD_EIO;
    for (unsigned port = 40000; port < 40100 && err != TD_OK; port++) {
        (void)snprintf(address, sizeof address, "127.0.0.1:%u", port);
        err = td_gate_open(&first, address, true, why, sizeof why);
    }
    assert_int_equal(err, TD_OK);
    assert_int_equal(td_gate_open(&second, address, true, why, sizeof why), TD_EIO);
    assert_non_null(strstr(why, address));
    assert_int_equal(second.fd, -1);
    close(first.fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loopback_is_told_apart),
        cmocka_unit_test(test_what_is_not_an_address_and_a_port_is_refused),
        cmocka_unit_test(test_a_port_in_use_is_an_error_with_its_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
