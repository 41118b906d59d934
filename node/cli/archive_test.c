/* archive_test.c -- nothing secret passes td_redact, and what is not secret is left alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "node/cli/archive.h"

static void test_secrets_are_cut_out_and_nothing_else(void **state)
{
    static const struct {
        const char *text, *clean;
        size_t count;
    } rows[] = {
        {"", "", 0},
        {"root: tdpk1:abc", "root: tdpk1:abc", 0},
        {"# old key tdsk1:AbC_9-x end", "# old key tdsk1:[redacted] end", 1},
        {"tdsk1:a tdsk1:b", "tdsk1:[redacted] tdsk1:[redacted]", 2},
        {"{\"token\":\"tdt1:kpg\",\"a\":1}", "{\"token\":\"[redacted]\",\"a\":1}", 1},
        {"{\"token\": null}", "{\"token\": null}", 0},
        {"see tdt1:kpg.", "see tdt1:[redacted].", 1},
        {"  Password: hunter2 # x\n", "  Password: [redacted] # x\n", 1},
        {"http_token=abc", "http_token=[redacted]", 1},
        {"http_tokens: /etc/tidings/tokens", "http_tokens: /etc/tidings/tokens", 0},
        {"secret keys (only their public halves)", "secret keys (only their public halves)", 0},
        {"tdsk1:", "tdsk1:", 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t count = 99;
        char *clean = td_redact(rows[i].text, &count);
        assert_non_null(clean);
        assert_string_equal(clean, rows[i].clean);
        assert_int_equal(count, rows[i].count);
        free(clean);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_secrets_are_cut_out_and_nothing_else)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
