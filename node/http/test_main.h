/* test_main.h -- cmocka with the includes it wants, for the tests of this folder. */
#ifndef TD_HTTP_TEST_MAIN_H
#define TD_HTTP_TEST_MAIN_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#endif
