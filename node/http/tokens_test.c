/* tokens_test.c -- the file of bearer tokens: what is in it, who is found, what is refused. */
#include "node/http/tokens.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node/http/test_main.h"

/* printf %s secret | sha256sum, and the same of "other". */
#define SECRET "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"
#define OTHER "d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa"

static char why[256];

static enum td_err parse(const char *text, struct td_http_tokens *tokens)
{
    char *copy = strdup(text);
    assert_non_null(copy);
    memset(tokens, 0, sizeof *tokens);
    why[0] = '\0';
    return td_http_tokens_parse("tokens", copy, tokens, why, sizeof why);
}

static bool may(const struct td_http_token *token, const char *job)
{
    return td_http_token_may_publish(token, (struct td_text){job, (uint32_t)strlen(job)});
}

static void test_a_token_is_found_by_its_hash(void **state)
{
    struct td_http_tokens tokens;
    (void)state;
    assert_int_equal(
        parse("# all\n\n" SECRET " publish acme/,beta/ # a line\n" OTHER "\tread\t*\r\n", &tokens),
        TD_OK);
    assert_true(tokens.required);
    assert_int_equal(tokens.count, 2);
    const struct td_http_token *secret = td_http_tokens_find(&tokens, "Bearer secret");
    assert_ptr_equal(secret, &tokens.tokens[0]);
    assert_ptr_equal(td_http_tokens_find(&tokens, "bearer other"), &tokens.tokens[1]);
    static const char *const wrong[] = {"Bearer secre",  "Bearer secret ", "Bearer ",
                                        "secret",        "Basic secret",   "",
                                        "Bearer  secret"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_null(td_http_tokens_find(&tokens, wrong[i]));
    }
    assert_null(td_http_tokens_find(&tokens, NULL));
    td_http_tokens_fini(&tokens);
}

static void test_role_and_prefixes_bound_what_may_be_published(void **state)
{
    struct td_http_tokens tokens;
    (void)state;
    assert_int_equal(
        parse(SECRET " publish acme/,beta/\n" SECRET " read *\n" SECRET " publish *", &tokens),
        TD_OK);
    assert_true(may(&tokens.tokens[0], "acme/1"));
    assert_true(may(&tokens.tokens[0], "beta/"));
    assert_false(may(&tokens.tokens[0], "acme"));
    assert_false(may(&tokens.tokens[0], "gamma/1"));
    assert_false(may(&tokens.tokens[1], "acme/1"));
    assert_true(may(&tokens.tokens[2], "anything"));
    td_http_tokens_fini(&tokens);
}

static void test_a_wrong_line_is_named_and_nothing_is_kept(void **state)
{
    static const struct {
        const char *text, *says;
    } rows[] = {
        {SECRET " publish\n", "line 1: write HASH ROLE PREFIXES"},
        {"\n" SECRET " read * more\n", "line 2: write HASH ROLE PREFIXES"},
        {"2bb8 read *\n", "SHA-256"},
        {SECRET "00 read *\n", "SHA-256"},
        {"zz" SECRET " read *\n", "SHA-256"},
        {SECRET " admin *\n", "ROLE is read or publish"},
        {SECRET " read ,,\n", "no prefixes"},
        {SECRET " read a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a\n", "more than 16 prefixes"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct td_http_tokens tokens;
        assert_int_equal(parse(rows[i].text, &tokens), TD_ECONFIG);
        if (strstr(why, rows[i].says) == NULL) {
            fail_msg("\"%s\" does not say \"%s\"", why, rows[i].says);
        }
        assert_null(tokens.tokens);
    }
}

static void test_no_more_tokens_than_there_is_room_for(void **state)
{
    struct td_http_tokens tokens;
    size_t line_bytes = strlen(SECRET " read *\n");
    char *text = malloc((TD_HTTP_TOKENS_MAX + 1) * line_bytes + 1);
    (void)state;
    assert_non_null(text);
    for (size_t i = 0; i <= TD_HTTP_TOKENS_MAX; i++) {
        memcpy(text + i * line_bytes, SECRET " read *\n", line_bytes + 1);
    }
    assert_int_equal(parse(text, &tokens), TD_ECONFIG);
    assert_non_null(strstr(why, "line 1025: more than 1024 tokens"));
    text[TD_HTTP_TOKENS_MAX * line_bytes] = '\0';
    assert_int_equal(parse(text, &tokens), TD_OK);
    assert_int_equal(tokens.count, TD_HTTP_TOKENS_MAX);
    td_http_tokens_fini(&tokens);
    free(text);
}

/* The file is no secret, but who can write it decides who may publish. */
static void test_a_file_that_others_may_write_is_refused(void **state)
{
    struct td_http_tokens tokens;
    char path[] = "/tmp/tokens_test_XXXXXX";
    int fd = mkstemp(path);
    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(write(fd, SECRET " read *\n", 73), 73);
    assert_int_equal(fchmod(fd, 0664), 0);
    assert_int_equal(td_http_tokens_read(path, &tokens, why, sizeof why), TD_ECONFIG);
    assert_non_null(strstr(why, "chmod go-w"));
    assert_int_equal(fchmod(fd, 0644), 0);
    assert_int_equal(td_http_tokens_read(path, &tokens, why, sizeof why), TD_OK);
    assert_int_equal(tokens.count, 1);
    td_http_tokens_fini(&tokens);
    close(fd);
    unlink(path);
    assert_int_equal(td_http_tokens_read(path, &tokens, why, sizeof why), TD_ECONFIG);
    assert_int_equal(td_http_tokens_read("/tmp", &tokens, why, sizeof why), TD_ECONFIG);
    assert_int_equal(td_http_tokens_read("", &tokens, why, sizeof why), TD_OK);
    assert_false(tokens.required);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_token_is_found_by_its_hash),
        cmocka_unit_test(test_role_and_prefixes_bound_what_may_be_published),
        cmocka_unit_test(test_a_wrong_line_is_named_and_nothing_is_kept),
        cmocka_unit_test(test_no_more_tokens_than_there_is_room_for),
        cmocka_unit_test(test_a_file_that_others_may_write_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
