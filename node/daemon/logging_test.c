/* logging_test.c -- lines of the log: their form, what is escaped and left out, the rate limit, and that every
 * event of the source is in the documented list and the other way round. */
#include <glob.h>
#include <regex.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "node/daemon/events.h"
#include "node/daemon/logging.h"

enum { TEXT_BYTES = 1 << 18 };

static char text[TEXT_BYTES];

/* What stderr gets while work() runs. */
static const char *captured(void (*work)(void))
{
    FILE *file = tmpfile();
    int kept = dup(STDERR_FILENO);
    assert_non_null(file);
    fflush(stderr);
    dup2(fileno(file), STDERR_FILENO);
    work();
    fflush(stderr);
    dup2(kept, STDERR_FILENO);
    close(kept);
    rewind(file);
    size_t count = fread(text, 1, sizeof text - 1, file);
    text[count] = '\0';
    fclose(file);
    return text;
}

static size_t lines_of(const char *lines)
{
    size_t count = 0;
    for (; *lines != '\0'; lines++) {
        count += *lines == '\n';
    }
    return count;
}

static void one_line(void)
{
    td_log_event(TD_WARN, "roster_refused", "why", "two words", "path", "/a", "n", td_log_number(7), NULL);
}

static void test_a_line_is_logfmt_with_time_level_and_event_first(void **unused)
{
    (void)unused;
    td_logging_init(TD_INFO, 0);
    const char *line = captured(one_line);
    assert_int_equal(strncmp(line, "ts=20", 5), 0);
    assert_non_null(strstr(line, "Z level=warn ev=roster_refused why=\"two words\" path=/a n=7\n"));
    td_logging_init(TD_INFO, 1);
    line = captured(one_line);
    assert_non_null(strstr(line, ",\"level\":\"warn\",\"ev\":\"roster_refused\",\"why\":\"two words\",\"path\":\"/a\",\"n\":\"7\"}\n"));
    assert_int_equal(line[0], '{');
}

static const char *value;
static void the_value(void)
{
    td_log_event(TD_INFO, "request_refused", "why", value, NULL);
}

static void test_no_value_can_act_forge_a_line_or_show_a_secret(void **unused)
{
    static const struct {
        const char *value, *logfmt, *json;
    } rows[] = {
        { "a\nts=1 ev=ready", "why=\"a\\x0ats=1 ev=ready\"\n", "\"a\\u000ats=1 ev=ready\"}\n" },
        { "\033[31mred", "why=\\x1b[31mred\n", "\"\\u001b[31mred\"}\n" },
        { "say \"x\" \\", "why=\"say \\\"x\\\" \\\\\"\n", "\"say \\\"x\\\" \\\\\"}\n" },
        { "\302\233", "why=\\x9b\n", "\"\\u009b\"}\n" },           /* C1 */
        { "a\342\200\256b", "why=a\\u202eb\n", "\"a\\u202eb\"}\n" }, /* right to left */
        { "gr\303\274n", "why=gr\303\274n\n", "\"gr\303\274n\"}\n" },
        { "\377x", "why=\\xffx\n", "\"\\u00ffx\"}\n" }, /* not UTF-8 */
        { "", "why=\"\"\n", "\"\"}\n" },
        { "key tdsk1:AbC-9_ ends", "why=\"key tdsk1:[redacted] ends\"\n", "\"key tdsk1:[redacted] ends\"}\n" },
    };
    (void)unused;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        value = rows[i].value;
        td_logging_init(TD_INFO, 0);
        assert_non_null(strstr(captured(the_value), rows[i].logfmt));
        td_logging_init(TD_INFO, 1);
        assert_non_null(strstr(captured(the_value), rows[i].json));
        assert_int_equal(lines_of(text), 1);
    }
}

static void test_a_long_value_is_cut_and_the_line_keeps_its_form(void **unused)
{
    static char longest[10000];
    (void)unused;
    memset(longest, 'x', sizeof longest - 1);
    value = longest;
    td_logging_init(TD_INFO, 1);
    const char *line = captured(the_value);
    assert_non_null(strstr(line, "xxx...\"}\n"));
    td_logging_init(TD_INFO, 0);
    longest[0] = ' ';
    assert_non_null(strstr(captured(the_value), "xxx...\"\n"));
}

static void many_lines(void)
{
    for (int i = 0; i < 1000; i++) {
        td_log_event(TD_INFO, "state", "n", td_log_number((uint64_t)i), NULL);
    }
    td_log_event(TD_INFO, "stopped", NULL);
}

/* Twenty a second: 1000 lines written at once take at most the last moment of one second and the first of
 * the next. */
static void test_each_event_is_limited_by_itself(void **unused)
{
    (void)unused;
    td_logging_init(TD_INFO, 0);
    const char *lines = captured(many_lines);
    size_t count = lines_of(lines);
    assert_in_range(count, 21, 41);
    assert_non_null(strstr(lines, "ev=stopped"));
    assert_true(count == 21 || strstr(lines, "suppressed=") != NULL);
}

static void below_level(void)
{
    td_log_event(TD_DEBUG, "connection_up", NULL);
    td_log_event(TD_INFO, "roster", NULL);
    td_log_event(TD_ERROR, "roster_fork", NULL);
}

static void test_levels_below_the_configured_one_are_counted_and_not_written(void **unused)
{
    (void)unused;
    td_logging_init(TD_ERROR, 0);
    uint64_t before = td_log_count(TD_DEBUG);
    const char *lines = captured(below_level);
    assert_int_equal(lines_of(lines), 1);
    assert_non_null(strstr(lines, "ev=roster_fork"));
    assert_int_equal(td_log_count(TD_DEBUG), before + 1);
}

/* ---- the list ---- */

#define EVENT_NAME(name, text_) #name,
static const char *const names[] = { TD_EVENT_LIST(EVENT_NAME) };
enum { EVENTS = sizeof names / sizeof names[0] };
static bool emitted[EVENTS];

static void note(const char *file, const char *name, size_t count)
{
    for (size_t i = 0; i < EVENTS; i++) {
        if (strlen(names[i]) == count && strncmp(names[i], name, count) == 0) {
            emitted[i] = true;
            return;
        }
    }
    fail_msg("%s writes the event %.*s, which node/daemon/events.h does not list", file, (int)count, name);
}

/* Every first literal behind these words is an event's name. */
static void scan(const char *file, const char *source)
{
    static const char *const patterns[] = {
        "td_log_event\\([^;{\",]*,[ \n]*\"([a-z_]+)\"",
        "[^a-z_]fail\\(\"([a-z_]+)\"",
        "\\{ TD_TR_[A-Z_]+, TD_[A-Z]+, \"([a-z_]+)\"",
        "\\{ TD_TR_[A-Z_]+, TD_[A-Z]+, \"[a-z_]+\", \"([a-z_]+)\"",
    };
    for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++) {
        regex_t pattern;
        regmatch_t match[2];
        if (i > 0 && strstr(file, "/daemon/") == NULL) {
            continue;
        }
        assert_int_equal(regcomp(&pattern, patterns[i], REG_EXTENDED), 0);
        for (const char *at = source; regexec(&pattern, at, 2, match, 0) == 0; at += match[0].rm_eo) {
            note(file, at + match[1].rm_so, (size_t)(match[1].rm_eo - match[1].rm_so));
        }
        regfree(&pattern);
    }
}

static void test_the_list_names_every_event_of_the_source_and_no_other(void **unused)
{
    glob_t files;
    (void)unused;
    assert_int_equal(glob(TD_SOURCE_DIR "/node/*/*.c", 0, NULL, &files), 0);
    for (size_t i = 0; i < files.gl_pathc; i++) {
        if (strstr(files.gl_pathv[i], "_test.c") != NULL) {
            continue;
        }
        FILE *file = fopen(files.gl_pathv[i], "r");
        assert_non_null(file);
        size_t count = fread(text, 1, sizeof text - 1, file);
        text[count] = '\0';
        fclose(file);
        scan(files.gl_pathv[i], text);
    }
    globfree(&files);
    for (size_t i = 0; i < EVENTS; i++) {
        if (!emitted[i]) {
            fail_msg("node/daemon/events.h lists %s, which nothing writes", names[i]);
        }
        assert_true(i == 0 || strcmp(names[i - 1], names[i]) < 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_line_is_logfmt_with_time_level_and_event_first),
        cmocka_unit_test(test_no_value_can_act_forge_a_line_or_show_a_secret),
        cmocka_unit_test(test_a_long_value_is_cut_and_the_line_keeps_its_form),
        cmocka_unit_test(test_each_event_is_limited_by_itself),
        cmocka_unit_test(test_levels_below_the_configured_one_are_counted_and_not_written),
        cmocka_unit_test(test_the_list_names_every_event_of_the_source_and_no_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
