/* help.c -- examples first, then what there is. Nothing here knows a verb or flag by name. */
#include "node/cli/help.h"

#include <string.h>

const char *const td_help_groups[] = {"jobs", "cluster", "trust", "operate", NULL};

static void print_indented(FILE *file, const char *lines, const char *prefix)
{
    for (const char *at = lines; *at != '\0';) {
        size_t count = strcspn(at, "\n");
        fprintf(file, "  %s%.*s\n", prefix, (int)count, at);
        at += count + (at[count] == '\n' ? 1 : 0);
    }
}

static void print_flag(FILE *file, const struct td_flag *flag)
{
    char left[64];
    char letter[8] = "    ";

    if (flag->letter != 0) {
        snprintf(letter, sizeof letter, "-%c, ", flag->letter);
    }
    /* A word list is its own best description. */
    snprintf(left, sizeof left, "%s--%s%s%s", letter, flag->name, flag->value == NULL ? "" : " ",
             flag->value == NULL ? "" : flag->value);
    fprintf(file, "  %-30s %s\n", left, flag->help);
    if (flag->kind == TD_KIND_WORD) {
        fprintf(file, "  %-30s one of %s\n", "", flag->words);
    }
}

static void print_globals(FILE *file)
{
    fputs("\nFlags of every verb:\n", file);
    for (int id = TD_FLAG_NONE + 1; id <= TD_FLAG_GLOBAL_LAST; id++) {
        print_flag(file, &td_flags[id]);
    }
}

const struct td_exit_code td_exit_codes[] = {
    {0, "done, or the condition is met"},
    {1, "failed; the reason is on stderr"},
    {2, "wrong usage"},
    {3, "not known here, and that is certain"},
    {4, "node not reachable"},
    {5, "older than --max-stale allows (printed all the same), or cannot know"},
    {6, "timed out waiting"},
    {7, "the job reached another final state than the one waited for"},
    {8, "refused: signature, roster or permission"},
    {130, "interrupted"},
    {0, NULL},
};

const struct td_environment td_environment[] = {
    {"TIDINGS_NODE", "nodes to ask, when -n is not given"},
    {"TIDINGS_OUTPUT", "form of the answer, when -o is not given"},
    {"TIDINGS_CONFIG", "the node's configuration file, for bundle"},
    {"NO_COLOR", "when not empty, no colour"},
    {NULL, NULL},
};

static void print_environment(FILE *file)
{
    fputs("\nEnvironment (a flag goes before it):\n", file);
    for (const struct td_environment *row = td_environment; row->name != NULL; row++) {
        fprintf(file, "  %-15s %s\n", row->name, row->text);
    }
}

static void print_exit_codes(FILE *file)
{
    fputs("\nExit codes:\n", file);
    for (const struct td_exit_code *row = td_exit_codes; row->text != NULL; row++) {
        fprintf(file, "  %3d  %s\n", row->code, row->text);
    }
}

static void print_verb_line(FILE *file, const struct td_verb *verb)
{
    char left[64];

    snprintf(left, sizeof left, "%s %s", verb->name, verb->arguments);
    fprintf(file, "  %-30s %s\n", left, verb->summary);
}

void td_help_main(FILE *file)
{
    fputs("Examples:\n"
          "  $ tidings publish eu-4711 running --progress 40\n"
          "  $ tidings get eu-4711 --max-stale 30s\n"
          "\n"
          "tidings: status of jobs, the same in every region, with its age in every answer.\n"
          "Usage: tidings [FLAGS] VERB [ARGUMENTS] [FLAGS]      tidings help VERB\n",
          file);
    for (const char *const *group = td_help_groups; *group != NULL; group++) {
        fprintf(file, "\n%s:\n", *group);
        for (int id = 0; id < TD_VERB_COUNT; id++) {
            if (td_verbs[id].group != NULL && strcmp(td_verbs[id].group, *group) == 0) {
                print_verb_line(file, &td_verbs[id]);
            }
        }
    }
    print_globals(file);
    print_environment(file);
    print_exit_codes(file);
}

void td_help_verb(FILE *file, const struct td_verb *verb)
{
    fputs("Examples:\n", file);
    print_indented(file, verb->examples, "$ ");
    fprintf(file, "\ntidings %s%s%s: %s.\n", verb->name, verb->arguments[0] == '\0' ? "" : " ",
            verb->arguments, verb->summary);
    if (verb->text != NULL) {
        fprintf(file, "%s\n", verb->text);
    }
    if (verb->flags[0] != TD_FLAG_NONE) {
        fputs("\nFlags:\n", file);
    }
    for (size_t i = 0; i < TD_VERB_FLAGS_MAX && verb->flags[i] != TD_FLAG_NONE; i++) {
        print_flag(file, &td_flags[verb->flags[i]]);
    }
    print_globals(file);
    print_exit_codes(file);
}

void td_help_group(FILE *file, const char *word)
{
    size_t count = strlen(word);

    fputs("Examples:\n", file);
    for (int id = 0, shown = 0; id < TD_VERB_COUNT && shown < 2; id++) {
        if (strncmp(td_verbs[id].name, word, count) == 0 && td_verbs[id].name[count] == ' ') {
            fprintf(file, "  $ %.*s\n", (int)strcspn(td_verbs[id].examples, "\n"),
                    td_verbs[id].examples);
            shown++;
        }
    }
    fprintf(file, "\ntidings %s:\n", word);
    for (int id = 0; id < TD_VERB_COUNT; id++) {
        if (strncmp(td_verbs[id].name, word, count) == 0 && td_verbs[id].name[count] == ' ') {
            print_verb_line(file, &td_verbs[id]);
        }
    }
}
