/* help.c -- examples first, then what there is. Nothing here knows a verb or flag by name. */
#include "node/cli/help.h"

#include <string.h>

static const char *const groups[] = {"jobs", "cluster", "trust", "operate"};

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

static void print_exit_codes(FILE *file)
{
    fputs("\nExit codes:\n"
          "  0 done   1 failed   2 wrong usage   3 not known here, for certain   4 node not "
          "reachable\n"
          "  5 older than --max-stale, or cannot know   6 timed out   7 another final state\n"
          "  8 refused: signature, roster or permission   130 interrupted\n",
          file);
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
    for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++) {
        fprintf(file, "\n%s:\n", groups[i]);
        for (int id = 0; id < TD_VERB_COUNT; id++) {
            if (td_verbs[id].group != NULL && strcmp(td_verbs[id].group, groups[i]) == 0) {
                print_verb_line(file, &td_verbs[id]);
            }
        }
    }
    print_globals(file);
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
