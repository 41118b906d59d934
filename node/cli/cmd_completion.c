/* cmd_completion.c -- completion scripts for bash, zsh and fish, written from the option table. */
#include <string.h>

#include "node/cli/cli.h"

static void print_global_flags(void)
{
    for (int id = TD_FLAG_NONE + 1; id <= TD_FLAG_GLOBAL_LAST; id++) {
        printf(" --%s", td_flags[id].name);
    }
}

static void print_verb_flags(const struct td_verb *verb)
{
    for (size_t i = 0; i < TD_VERB_FLAGS_MAX && verb->flags[i] != TD_FLAG_NONE; i++) {
        printf(" --%s", td_flags[verb->flags[i]].name);
    }
}

/* First words once each: `roster` stands for all of its verbs. */
static bool first_of_its_word(int id, char *ret_word, size_t word_bytes)
{
    size_t count = strcspn(td_verbs[id].name, " ");

    snprintf(ret_word, word_bytes, "%.*s", (int)count, td_verbs[id].name);
    if (td_verbs[id].group == NULL) {
        return false;
    }
    for (int before = 0; before < id; before++) {
        if (strcspn(td_verbs[before].name, " ") == count &&
            strncmp(td_verbs[before].name, ret_word, count) == 0) {
            return false;
        }
    }
    return true;
}

static void print_second_words(const char *word)
{
    size_t count = strlen(word);

    for (int id = 0; id < TD_VERB_COUNT; id++) {
        if (strncmp(td_verbs[id].name, word, count) == 0 && td_verbs[id].name[count] == ' ') {
            printf(" %s", td_verbs[id].name + count + 1);
        }
    }
}

static void print_word_values(void)
{
    for (int id = TD_FLAG_NONE + 1; id < TD_FLAG_COUNT; id++) {
        const struct td_flag *flag = &td_flags[id];
        if (flag->words == NULL || flag->kind == TD_KIND_NUMBER) {
            continue;
        }
        printf("    --%s) COMPREPLY=($(compgen -W \"", flag->name);
        for (const char *at = flag->words; *at != '\0'; at++) {
            putchar(*at == '|' ? ' ' : *at);
        }
        printf("\" -- \"$word\")); return ;;\n");
    }
}

static void print_bash(void)
{
    char word[32];

    printf(
        "_tidings() {\n"
        "  local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} verb= second= "
        "i\n"
        "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
        "    case ${COMP_WORDS[i]} in -*) ;; *) if [ -z \"$verb\" ]; then verb=${COMP_WORDS[i]}; "
        "elif [ -z \"$second\" ]; then second=${COMP_WORDS[i]}; fi ;; esac\n"
        "  done\n"
        "  case $previous in\n");
    print_word_values();
    printf("  esac\n  local flags=\"");
    print_global_flags();
    printf("\" words=\n  case $verb in\n    '') words=\"");
    for (int id = 0; id < TD_VERB_COUNT; id++) {
        if (first_of_its_word(id, word, sizeof word)) {
            printf(" %s", word);
        }
    }
    printf("\" ;;\n");
    for (int id = 0; id < TD_VERB_COUNT; id++) {
        if (!first_of_its_word(id, word, sizeof word)) {
            continue;
        }
        printf("    %s)", word);
        if (td_verb_is_group(word)) {
            printf(" [ -z \"$second\" ] && words=\"");
            print_second_words(word);
            printf("\"");
        } else {
            printf(" flags+=\"");
            print_verb_flags(&td_verbs[id]);
            printf("\"");
        }
        printf(" ;;\n");
    }
    printf("  esac\n  case \"$verb $second\" in\n");
    for (int id = 0; id < TD_VERB_COUNT; id++) {
        if (td_verbs[id].group != NULL && strchr(td_verbs[id].name, ' ') != NULL) {
            printf("    \"%s\") flags+=\"", td_verbs[id].name);
            print_verb_flags(&td_verbs[id]);
            printf("\" ;;\n");
        }
    }
    printf(
        "  esac\n"
        "  case $word in -*) COMPREPLY=($(compgen -W \"$flags\" -- \"$word\")) ;; "
        "*) COMPREPLY=($(compgen -W \"$words\" -- \"$word\") $(compgen -f -- \"$word\")) ;; esac\n"
        "}\n"
        "complete -o filenames -F _tidings tidings\n");
}

/* Single quotes end a fish string. */
static void print_quoted(const char *text)
{
    putchar('\'');
    for (; *text != '\0'; text++) {
        if (*text == '\'' || *text == '\\') {
            putchar('\\');
        }
        putchar(*text);
    }
    putchar('\'');
}

static void print_fish_flag(const char *condition, const struct td_flag *flag)
{
    printf("complete -c tidings%s -l %s", condition, flag->name);
    if (flag->letter != 0) {
        printf(" -s %c", flag->letter);
    }
    if (flag->kind != TD_KIND_SWITCH) {
        printf(" -r");
    }
    if (flag->words != NULL) {
        printf(" -a '");
        for (const char *at = flag->words; *at != '\0'; at++) {
            putchar(*at == '|' ? ' ' : *at);
        }
        putchar('\'');
    }
    printf(" -d ");
    print_quoted(flag->help);
    putchar('\n');
}

static void print_fish(void)
{
    char condition[128];
    char word[32];

    for (int id = 0; id < TD_VERB_COUNT; id++) {
        if (first_of_its_word(id, word, sizeof word)) {
            printf("complete -c tidings -n __fish_use_subcommand -a %s -d ", word);
            print_quoted(td_verb_is_group(word) ? "signed membership" : td_verbs[id].summary);
            putchar('\n');
        }
    }
    for (int id = TD_FLAG_NONE + 1; id <= TD_FLAG_GLOBAL_LAST; id++) {
        print_fish_flag("", &td_flags[id]);
    }
    for (int id = 0; id < TD_VERB_COUNT; id++) {
        const char *space = strchr(td_verbs[id].name, ' ');
        if (td_verbs[id].group == NULL) {
            continue;
        }
        snprintf(condition, sizeof condition, " -n '__fish_seen_subcommand_from %s'",
                 space != NULL ? space + 1 : td_verbs[id].name);
        if (space != NULL) {
            printf("complete -c tidings -n '__fish_seen_subcommand_from %.*s' -a %s -d ",
                   (int)(space - td_verbs[id].name), td_verbs[id].name, space + 1);
            print_quoted(td_verbs[id].summary);
            putchar('\n');
        }
        for (size_t i = 0; i < TD_VERB_FLAGS_MAX && td_verbs[id].flags[i] != TD_FLAG_NONE; i++) {
            print_fish_flag(condition, &td_flags[td_verbs[id].flags[i]]);
        }
    }
}

int td_cmd_completion(struct td_cli *cli)
{
    const char *shell = cli->args->arguments[0];

    if (strcmp(shell, "bash") == 0) {
        print_bash();
    } else if (strcmp(shell, "zsh") == 0) {
        printf("#compdef tidings\nautoload -U +X bashcompinit && bashcompinit\n");
        print_bash();
        /* Loaded by the first TAB, it has to answer that one too. */
        printf("if [[ $funcstack[1] == _tidings ]]; then _bash_complete -o filenames -F _tidings; "
               "fi\n");
    } else if (strcmp(shell, "fish") == 0) {
        print_fish();
    } else {
        return td_cli_fail(cli, TD_EUSAGE, "no completion for `%s`; bash, zsh or fish",
                           td_cli_shown(td_text_of(shell)));
    }
    return 0;
}
