/* config_test.c -- the configuration: what is accepted, what is refused and with which words. */
#include "node/daemon/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define GOOD "node:\n  region: eu-west\n  key: /k\n  root: tdpk1:x\n"

#define LONG_NAME                                                                                  \
    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123"

static char path[64];

static enum td_err read_text(const char *text, struct td_config *config, char *why)
{
    strcpy(path, "/tmp/tidings-config-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    why[0] = '\0';
    enum td_err err = td_config_read(path, config, why);
    unlink(path);
    return err;
}

static void test_defaults_fill_what_the_file_leaves_out(void **state)
{
    struct td_config config;
    char why[TD_CONFIG_WHY_BYTES];
    (void)state;
    assert_int_equal(read_text(GOOD, &config, why), TD_OK);
    assert_string_equal(config.region, "eu-west");
    assert_string_equal(config.data, "/var/lib/tidings");
    assert_int_equal(config.listen_peer_count, 1);
    assert_string_equal(config.listen_peer[0], "tcp://0.0.0.0:7717");
    assert_int_equal(config.log_limit_bytes, UINT64_C(8) << 30);
    assert_int_equal(config.fresh_stale_ms, 30000);
    assert_false(config.chaos);
    td_config_fini(&config);
}

static void test_every_key_of_the_printed_defaults_is_accepted(void **state)
{
    struct td_config config;
    char why[TD_CONFIG_WHY_BYTES];
    char *text = NULL;
    size_t bytes = 0;
    (void)state;
    FILE *memory = open_memstream(&text, &bytes);
    td_config_print_defaults(memory);
    fclose(memory);
    /* The defaults leave the three required keys empty: they are named as missing, nothing else is. */
    assert_int_equal(read_text(text, &config, why), TD_ECONFIG);
    assert_non_null(strstr(why, "node.region is missing"));
    free(text);
}

static void test_refusals_say_what_where_and_what_to_do(void **state)
{
    static const struct {
        const char *text, *words[4];
    } rows[] = {
        { "node:\n  regoin: a\n", { "regoin", "line: 2", "did you mean \"region\"?" } },
        { "nodes:\n  region: a\n", { "nodes", "line: 1", "did you mean \"node\"?" } },
        { "- region\n", { "no keys such as node:" } },
        { "node:\n\tregion: a\n", { ":2:", "tab", "spaces" } },
        { GOOD "freshness:\n  stale: soon\n", { "freshness.stale", "soon", "30s" } },
        { GOOD "limits:\n  publish_rate: -1\n", { "limits.publish_rate", "whole number" } },
        { GOOD "limits:\n  log: 10kB\n", { "limits.log", "8GiB" } },
        { GOOD "listen:\n  peer: udp://x\n", { "listen.peer", "tcp://" } },
        { GOOD "listen:\n  peer: tcp://host\n", { "listen.peer", "tcp://HOST:PORT" } },
        { GOOD "listen:\n  peer: tcp://:7717\n", { "listen.peer", "tcp://HOST:PORT" } },
        { GOOD "listen:\n  peer: tcp://host:70000\n", { "listen.peer", "tcp://HOST:PORT" } },
        { GOOD "listen:\n  local: /run/x\n", { "listen.local", "ipc://" } },
        { GOOD "listen:\n  local: ipc:///run/tidings/" LONG_NAME "/x\n", { "listen.local", "107 bytes" } },
        { GOOD "log:\n  level: loud\n", { "log.level", "debug, info" } },
        { GOOD "chaos: maybe\n", { "chaos", "true or false" } },
        { "node:\n  region: a\n", { "node.key is missing" } },
        { GOOD "colour: red\n", { "colour", "line: 5" } },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct td_config config;
        char why[TD_CONFIG_WHY_BYTES];
        assert_int_equal(read_text(rows[i].text, &config, why), TD_ECONFIG);
        for (size_t k = 0; k < 4 && rows[i].words[k] != NULL; k++) {
            if (strstr(why, rows[i].words[k]) == NULL) {
                fail_msg("row %zu: no \"%s\" in: %s", i, rows[i].words[k], why);
            }
        }
    }
}

/* Nothing to read is not the same as nothing to say. */
static void test_files_without_content_name_the_first_missing_key(void **state)
{
    static const char *const texts[] = { "", "\n\n", "# node:\n#   region: eu\n", "---\n", "node:\n" };
    struct td_config config;
    char why[TD_CONFIG_WHY_BYTES];
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_int_equal(read_text(texts[i], &config, why), TD_ECONFIG);
        if (strstr(why, "node.region is missing") == NULL && strstr(why, "no keys such as node:") == NULL &&
            strstr(why, "line: 1") == NULL) {
            fail_msg("\"%s\": %s", texts[i], why);
        }
    }
    assert_int_equal(td_config_read("/tmp", &config, why), TD_ECONFIG);
    assert_non_null(strstr(why, "/tmp: cannot be read: Is a directory"));
}

static void test_lists_may_be_one_value(void **state)
{
    struct td_config config;
    char why[TD_CONFIG_WHY_BYTES];
    (void)state;
    assert_int_equal(read_text(GOOD "listen:\n  peer: tcp://127.0.0.1:1  # here\n", &config, why), TD_OK);
    assert_int_equal(config.listen_peer_count, 1);
    assert_string_equal(config.listen_peer[0], "tcp://127.0.0.1:1");
    td_config_fini(&config);
    assert_int_equal(read_text(GOOD "listen:\n  peer: [ \"tcp://a:1\", \"tcp://b:2\" ]\n", &config, why),
                     TD_OK);
    assert_int_equal(config.listen_peer_count, 2);
    td_config_fini(&config);
}

static void test_units(void **state)
{
    static const struct {
        const char *text;
        uint64_t value;
        bool good;
    } durations[] = { { "250ms", 250, true }, { "30s", 30000, true }, { "2d", 172800000, true },
        { "30", 0, false }, { "", 0, false }, { "-1s", 0, false }, { "99999999999999999999s", 0, false } };
    (void)state;
    for (size_t i = 0; i < sizeof durations / sizeof durations[0]; i++) {
        uint64_t value = 0;
        assert_int_equal(td_parse_duration_ms(durations[i].text, &value), durations[i].good);
        assert_int_equal(value, durations[i].value);
    }
    uint64_t bytes = 0;
    assert_true(td_parse_bytes("8GiB", &bytes));
    assert_int_equal(bytes, UINT64_C(8) << 30);
    assert_false(td_parse_bytes("8GB", &bytes));
    assert_false(td_parse_bytes("99999999999TiB", &bytes));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults_fill_what_the_file_leaves_out),
        cmocka_unit_test(test_every_key_of_the_printed_defaults_is_accepted),
        cmocka_unit_test(test_refusals_say_what_where_and_what_to_do),
        cmocka_unit_test(test_files_without_content_name_the_first_missing_key),
        cmocka_unit_test(test_lists_may_be_one_value),
        cmocka_unit_test(test_units),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
