/* policy_test.c -- the page's content security policy lets its own script and style run, by their
 * hashes, and nothing else. */
#include <sodium.h>

#include "node/http/embedded.h"
#include "node/http/internal.h"
#include "node/http/test_main.h"

static unsigned count_of(const char *where, size_t count, const char *what)
{
    unsigned found = 0;
    const char *end = where + count;
    for (const char *at = where; (at = memmem(at, (size_t)(end - at), what, strlen(what))) != NULL;
         at += strlen(what)) {
        found++;
    }
    return found;
}

static void test_nothing_inline_but_by_hash(void **state)
{
    const char *policy = td_http_policy();
    (void)state;
    assert_ptr_equal(strstr(policy, "default-src 'none'"), policy);
    assert_null(strstr(policy, "unsafe"));
    assert_null(strstr(policy, "http:"));
    assert_null(strstr(policy, "*"));
    assert_non_null(strstr(policy, "frame-ancestors 'none'"));
    assert_non_null(strstr(policy, "connect-src 'self'"));
    const char *page = (const char *)td_page_html;
    unsigned parts = count_of(page, td_page_html_count, "<script>") +
                     count_of(page, td_page_html_count, "<style>");
    assert_true(parts >= 2);
    assert_int_equal(count_of(policy, strlen(policy), "'sha256-"), parts);
    assert_int_equal(count_of(page, td_page_html_count, "style=\""), 0); /* they would not apply */
    assert_int_equal(count_of(page, td_page_html_count, " onclick="), 0);
}

static void test_the_hash_is_that_of_the_script(void **state)
{
    unsigned char hash[crypto_hash_sha256_BYTES];
    char text[64];
    (void)state;
    const char *page = (const char *)td_page_html;
    const char *script = memmem(page, td_page_html_count, "<script>", 8);
    assert_non_null(script);
    script += 8;
    const char *end = memmem(script, td_page_html_count - (size_t)(script - page), "</script>", 9);
    assert_non_null(end);
    crypto_hash_sha256(hash, (const unsigned char *)script, (size_t)(end - script));
    sodium_bin2base64(text, sizeof text, hash, sizeof hash, sodium_base64_VARIANT_ORIGINAL);
    assert_non_null(strstr(td_http_policy(), text));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_inline_but_by_hash),
        cmocka_unit_test(test_the_hash_is_that_of_the_script),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
