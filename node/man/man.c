/* man.c -- writes the man pages from the tables the programs themselves parse and print with, at
 * build time: tidings-man tidings.1 | tidingsd.8 | tidingsd.conf.5 | tidings-protocol.7 PROTOCOL.md
 */
#include <stdio.h>
#include <string.h>

#include "node/cli/help.h"
#include "node/daemon/config.h"
#include "node/daemon/events.h"
#include "node/daemon/usage.h"
#include "node/man/roff.h"
#include "proto/err.h"

enum { TEXT_BYTES = 2048 };

/* ---- tidings(1) ---- */

static void flag_item(const struct td_flag *flag)
{
    char tag[TEXT_BYTES];
    char text[TEXT_BYTES];

    if (flag->letter != 0) {
        snprintf(tag, sizeof tag, "-%c, --%s", flag->letter, flag->name);
    } else {
        snprintf(tag, sizeof tag, "--%s", flag->name);
    }
    bool words = flag->kind == TD_KIND_WORD || flag->kind == TD_KIND_WORDS;
    snprintf(text, sizeof text, "%s%s%s", flag->help, words ? "; one of " : "",
             words ? flag->words : "");
    td_roff_item(tag, flag->value == NULL ? "" : flag->value, text);
}

static void verb_section(const struct td_verb *verb)
{
    char heading[TEXT_BYTES];

    snprintf(heading, sizeof heading, "%s %s", verb->name, verb->arguments);
    td_roff_subsection(heading);
    char first = verb->summary[0];
    putchar(first >= 'a' && first <= 'z' ? first - 'a' + 'A' : first);
    td_roff_text(verb->summary + 1, strlen(verb->summary + 1));
    puts(".");
    if (verb->text != NULL) {
        td_roff_paragraph(verb->text);
    }
    for (size_t i = 0; i < TD_VERB_FLAGS_MAX && verb->flags[i] != TD_FLAG_NONE; i++) {
        flag_item(&td_flags[verb->flags[i]]);
    }
    td_roff_lines(verb->examples, "$ ");
}

static void exit_status(void)
{
    char code[16];

    td_roff_section("exit status");
    for (const struct td_exit_code *row = td_exit_codes; row->text != NULL; row++) {
        snprintf(code, sizeof code, "%d", row->code);
        td_roff_item(code, "", row->text);
    }
    td_roff_paragraph(
        "`check` alone has the codes of Nagios: 0 ok, 1 warning, 2 critical, 3 unknown.");
}

static void errors(void)
{
    enum td_err err = TD_OK;
    char code[16];
    char text[TEXT_BYTES];

    td_roff_section("errors");
    puts("Each message ends with a code that does not change; \\fBtidings errors\\fR \\fICODE\\fR "
         "explains it.");
    for (unsigned i = 0; td_err_at(i, &err); i++) {
        if (err != TD_OK) {
            snprintf(code, sizeof code, "TD-E%04d", (int)err);
            snprintf(text, sizeof text, "%s%s%s", td_err_text(err),
                     td_err_hint(err)[0] == '\0' ? "" : ". ", td_err_hint(err));
            td_roff_item(code, "", text);
        }
    }
}

static int tidings_1(void)
{
    td_roff_title("TIDINGS", "1", "User Commands");
    td_roff_section("name");
    puts("tidings \\- status of jobs, the same in every region, with its age in every answer");
    td_roff_section("synopsis");
    puts("\\fBtidings\\fR [\\fIFLAGS\\fR] \\fIVERB\\fR [\\fIARGUMENTS\\fR] [\\fIFLAGS\\fR]");
    td_roff_section("description");
    puts("Asks a node of tidings, normally that of its own host over a Unix socket. Data goes to "
         "standard "
         "output,\nmessages to standard error; text that came from other machines is escaped.");
    td_roff_section("flags of every verb");
    for (int id = TD_FLAG_NONE + 1; id <= TD_FLAG_GLOBAL_LAST; id++) {
        flag_item(&td_flags[id]);
    }
    for (const char *const *group = td_help_groups; *group != NULL; group++) {
        char heading[64];
        snprintf(heading, sizeof heading, "verbs: %s", *group);
        td_roff_section(heading);
        for (int id = 0; id < TD_VERB_COUNT; id++) {
            if (td_verbs[id].group != NULL && strcmp(td_verbs[id].group, *group) == 0) {
                verb_section(&td_verbs[id]);
            }
        }
    }
    exit_status();
    td_roff_section("environment");
    for (const struct td_environment *row = td_environment; row->name != NULL; row++) {
        td_roff_item(row->name, "", row->text);
    }
    errors();
    td_roff_end();
    return 0;
}

/* ---- tidingsd(8) and tidingsd.conf(5) ---- */

static void rows(const char *heading, const struct td_usage_row *row)
{
    td_roff_section(heading);
    for (; row->name != NULL; row++) {
        td_roff_item(row->name, row->arguments, row->text);
    }
}

static int tidingsd_8(void)
{
    td_roff_title("TIDINGSD", "8", "System Administration");
    td_roff_section("name");
    puts("tidingsd \\- one node of tidings, one per region");
    td_roff_section("synopsis");
    puts("\\fBtidingsd\\fR [\\fIVERB\\fR] [\\fB\\-c\\fR \\fIFILE\\fR] [\\fIFLAGS\\fR]");
    td_roff_section("description");
    puts("Takes reports on jobs, keeps them in a signed log, and exchanges them with the nodes of "
         "all other\n"
         "regions over encrypted links. It stays in the foreground and logs to standard error.");
    rows("verbs", td_usage_verbs);
    td_roff_section("tidingsd init");
    td_roff_lines(td_init_help, "");
    rows("signals", td_usage_signals);
    rows("exit status", td_usage_exit_codes);
    rows("environment", td_usage_environment);
    td_roff_section("log events");
    puts("One line an event: \\fBts\\fR, \\fBlevel\\fR, \\fBev\\fR, then what belongs to it; at "
         "most 20 lines a "
         "second of each kind, and\n\\fBsuppressed\\fR counts the rest. No line has a secret or a "
         "job's text.");
#define EVENT_ITEM(name, text) td_roff_item(#name, "", text);
    TD_EVENT_LIST(EVENT_ITEM)
#undef EVENT_ITEM
    td_roff_end();
    return 0;
}

static int tidingsd_conf_5(void)
{
    const char *path = NULL;
    const char *type = NULL;
    const char *standard = NULL;
    const char *comment = NULL;
    char text[TEXT_BYTES];

    td_roff_title("TIDINGSD.CONF", "5", "File Formats");
    td_roff_section("name");
    puts("tidingsd.conf \\- configuration of tidingsd");
    td_roff_section("synopsis");
    puts("\\fB" TD_CONFIG_DEFAULT "\\fR");
    td_roff_section("description");
    puts("One YAML file. An unknown key is an error with its line and column. A key \\fBa.b\\fR "
         "below is \\fBb\\fR "
         "under \\fBa\\fR.\n\\fBtidingsd config \\-\\-defaults\\fR prints a whole file, "
         "\\fB\\-\\-effective\\fR says "
         "where each value came from.");
    td_roff_section("keys");
    for (size_t i = 0; td_config_row(i, &path, &type, &standard, &comment); i++) {
        snprintf(text, sizeof text, "%s%s%s%s", comment, standard[0] == '\0' ? "" : ". Default ",
                 standard, standard[0] == '\0' ? "" : ".");
        td_roff_item(path, type, text);
    }
    td_roff_end();
    return 0;
}

static int protocol_7(const char *path)
{
    td_roff_title("TIDINGS\\-PROTOCOL", "7", "Protocol");
    td_roff_section("name");
    puts("tidings\\-protocol \\- what two programs of tidings must agree on");
    td_roff_section("description");
    int code = td_roff_markdown(path);
    td_roff_end();
    return code;
}

int main(int argc, char **argv)
{
    const char *page = argc > 1 ? argv[1] : "";

    if (strcmp(page, "tidings.1") == 0) {
        return tidings_1();
    }
    if (strcmp(page, "tidingsd.8") == 0) {
        return tidingsd_8();
    }
    if (strcmp(page, "tidingsd.conf.5") == 0) {
        return tidingsd_conf_5();
    }
    if (strcmp(page, "tidings-protocol.7") == 0 && argc == 3) {
        return protocol_7(argv[2]);
    }
    fprintf(stderr,
            "usage: tidings-man tidings.1|tidingsd.8|tidingsd.conf.5|tidings-protocol.7 [FILE]\n");
    return 2;
}
