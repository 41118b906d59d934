/* test_main.h -- cmocka with the includes it wants, and the fixture as a test's state. */
#ifndef TD_PROTO_TEST_MAIN_H
#define TD_PROTO_TEST_MAIN_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/test_support.h"

static inline int td_test_setup(void **state)
{
    struct td_test *test = malloc(sizeof *test);
    td_test_open(test, 20180305);
    *state = test;
    return 0;
}

static inline int td_test_teardown(void **state)
{
    td_test_close(*state);
    free(*state);
    return 0;
}

#define TD_UNIT_TEST(name) cmocka_unit_test_setup_teardown(name, td_test_setup, td_test_teardown)

#endif
