/* args.c -- parsing by the option table. Global flags may stand anywhere, a verb's own only behind
 * it; -- ends flags. */
#include "node/cli/args.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "proto/nearest.h"
#include "node/client/text.h"

struct parse {
    int argc;
    char *const *argv;
    int at;
    struct td_args *args;
    bool flags_ended;
    char *error;
};

__attribute__((format(printf, 2, 3))) static enum td_err fail(char *error, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    vsnprintf(error, TD_ARGS_ERROR_BYTES, format, list);
    va_end(list);
    return TD_EUSAGE;
}

/* Decimal digits only, no sign. */
static bool parse_uint(const char *text, uint64_t *ret_value)
{
    uint64_t value = 0;

    if (*text == '\0') {
        return false;
    }
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9') {
            return false;
        }
        uint64_t digit = (uint64_t)(*text - '0');
        if (value > (UINT64_MAX - digit) / 10) {
            return false;
        }
        value = value * 10 + digit;
    }
    *ret_value = value;
    return true;
}

static bool words_valid(const char *words, const char *text)
{
    while (true) {
        size_t count = strcspn(text, ",");
        if (!td_words_have(words, text, count)) {
            return false;
        }
        if (text[count] == '\0') {
            return true;
        }
        text += count + 1;
    }
}

static enum td_err check_word(const struct td_flag *flag, const char *text, char *error)
{
    struct td_nearest nearest;
    char word[TD_NEAREST_BYTES_MAX];
    char best[TD_NEAREST_BYTES_MAX] = "";

    if (flag->kind == TD_KIND_WORDS ? words_valid(flag->words, text)
                                    : td_words_have(flag->words, text, strlen(text))) {
        return TD_OK;
    }
    td_nearest_init(&nearest, text);
    for (const char *at = flag->words; *at != '\0';) {
        size_t count = strcspn(at, "|");
        snprintf(word, sizeof word, "%.*s", (int)count, at);
        unsigned before = nearest.best_distance;
        td_nearest_offer(&nearest, word);
        if (nearest.best_distance != before) {
            snprintf(best, sizeof best, "%s", word);
        }
        at += count + (at[count] == '|' ? 1 : 0);
    }
    if (best[0] != '\0') {
        return fail(error, "--%s: `%s` is not one of %s; did you mean `%s`?", flag->name, text,
                    flag->words, best);
    }
    return fail(error, "--%s: `%s` is not one of %s", flag->name, text, flag->words);
}

static enum td_err check_number(const struct td_flag *flag, const char *text, char *error)
{
    uint64_t value = 0;
    bool number =
        flag->kind == TD_KIND_SIZE ? td_size_parse(text, &value) : parse_uint(text, &value);

    if (flag->words != NULL && td_words_have(flag->words, text, strlen(text))) {
        return TD_OK;
    }
    if (!number) {
        return fail(error, "--%s: `%s` is not a %s%s%s", flag->name, text,
                    flag->kind == TD_KIND_SIZE ? "size such as 512MiB" : "whole number",
                    flag->words == NULL ? "" : " or ", flag->words == NULL ? "" : flag->words);
    }
    if (value < flag->min || value > flag->max) {
        return fail(error, "--%s: %s is outside %llu to %llu", flag->name, text,
                    (unsigned long long)flag->min, (unsigned long long)flag->max);
    }
    return TD_OK;
}

enum td_err td_flag_check(const struct td_flag *flag, const char *text,
                          char ret_error[TD_ARGS_ERROR_BYTES])
{
    uint64_t ms = 0;
    uint16_t progress = 0;

    switch (flag->kind) {
    case TD_KIND_SWITCH:
        return TD_OK;
    case TD_KIND_TEXT:
        return text[0] != '\0' ? TD_OK : fail(ret_error, "--%s: the value is empty", flag->name);
    case TD_KIND_NUMBER:
    case TD_KIND_SIZE:
        return check_number(flag, text, ret_error);
    case TD_KIND_WORD:
    case TD_KIND_WORDS:
        return check_word(flag, text, ret_error);
    case TD_KIND_DURATION:
        if (td_duration_parse(text, &ms)) {
            return TD_OK;
        }
        return fail(ret_error, "--%s: `%s` is not a duration such as 500ms, 30s, 10m, 12h, 30d",
                    flag->name, text);
    case TD_KIND_PERCENT:
        if (td_percent_parse(text, &progress)) {
            return TD_OK;
        }
        fail(ret_error, "--%s: `%s` is not a percentage of 0 to 100 with at most two decimals",
             flag->name, text);
        return TD_EPROGRESS;
    }
    return TD_EUSAGE;
}

static enum td_err take_flag(struct parse *self, const struct td_flag *flag, const char *value)
{
    struct td_args *args = self->args;

    if (flag->kind != TD_KIND_SWITCH && value == NULL) {
        if (self->at + 1 >= self->argc) {
            return fail(self->error, "--%s needs a value: %s", flag->name, flag->value);
        }
        value = self->argv[++self->at];
    }
    if (flag->kind == TD_KIND_SWITCH && value != NULL) {
        return fail(self->error, "--%s takes no value", flag->name);
    }
    /* Of the flags of all verbs the last one counts, so that an alias can be overruled. */
    if (!flag->repeats && flag->id > TD_FLAG_GLOBAL_LAST && flag->kind != TD_KIND_SWITCH &&
        td_args_has(args, flag->id)) {
        return fail(self->error, "--%s is given twice: `%.60s` and `%.60s`", flag->name,
                    td_args_text(args, flag->id), value);
    }
    if (args->given_count == TD_ARGS_MAX) {
        return fail(self->error, "more than %d flags", TD_ARGS_MAX);
    }
    enum td_err err = td_flag_check(flag, value, self->error);
    if (err == TD_OK) {
        args->given[args->given_count++] = (struct td_given){flag->id, value};
    }
    return err;
}

/* A verb's flag before the verb, a flag of other verbs, or a slip of the pen. */
static enum td_err unknown_flag(struct parse *self, const char *name, size_t count)
{
    const struct td_verb *verb = self->args->verb;
    struct td_nearest nearest;
    char word[64];

    snprintf(word, sizeof word, "%.*s", (int)count, name);
    td_nearest_init(&nearest, word);
    for (int id = TD_FLAG_NONE + 1; id <= TD_FLAG_GLOBAL_LAST; id++) {
        td_nearest_offer(&nearest, td_flags[id].name);
    }
    for (size_t i = 0; verb != NULL && i < TD_VERB_FLAGS_MAX && verb->flags[i] != TD_FLAG_NONE;
         i++) {
        td_nearest_offer(&nearest, td_flags[verb->flags[i]].name);
    }
    for (int id = TD_FLAG_GLOBAL_LAST + 1; id < TD_FLAG_COUNT && verb == NULL; id++) {
        if (strcmp(td_flags[id].name, word) == 0) {
            return fail(self->error, "--%s belongs behind the verb", word);
        }
    }
    if (nearest.best != NULL) {
        return fail(self->error, "unknown flag --%s; did you mean --%s?", word, nearest.best);
    }
    return fail(self->error, "unknown flag --%s%s%s", word, verb == NULL ? "" : " for ",
                verb == NULL ? "" : verb->name);
}

static enum td_err take_long(struct parse *self, const char *name)
{
    size_t count = strcspn(name, "=");
    const struct td_flag *flag = td_flag_named(self->args->verb, name, count);

    if (flag == NULL && self->args->verb == NULL && strcmp(name, "version") == 0) {
        self->args->version = true;
        return TD_OK;
    }
    if (flag == NULL) {
        return unknown_flag(self, name, count);
    }
    return take_flag(self, flag, name[count] == '=' ? name + count + 1 : NULL);
}

static enum td_err take_letters(struct parse *self, const char *letters)
{
    for (; *letters != '\0'; letters++) {
        const struct td_flag *flag = td_flag_lettered(self->args->verb, *letters);
        if (flag == NULL) {
            return fail(self->error, "unknown flag -%c; see tidings help%s%s", *letters,
                        self->args->verb == NULL ? "" : " ",
                        self->args->verb == NULL ? "" : self->args->verb->name);
        }
        bool rest = flag->kind != TD_KIND_SWITCH && letters[1] != '\0';
        enum td_err err = take_flag(self, flag, rest ? letters + 1 : NULL);
        if (err != TD_OK || flag->kind != TD_KIND_SWITCH) {
            return err;
        }
    }
    return TD_OK;
}

static enum td_err unknown_verb(struct parse *self, const char *name, const char *group)
{
    struct td_nearest nearest;
    size_t group_count = group == NULL ? 0 : strlen(group);

    td_nearest_init(&nearest, name);
    for (int id = 0; id < TD_VERB_COUNT; id++) {
        bool same_group = group == NULL || (strncmp(td_verbs[id].name, group, group_count) == 0 &&
                                            td_verbs[id].name[group_count] == ' ');
        if (td_verbs[id].group != NULL && same_group) {
            td_nearest_offer(&nearest, td_verbs[id].name);
        }
    }
    if (group == NULL) {
        td_nearest_offer(&nearest, "roster");
    }
    if (nearest.best != NULL) {
        return fail(self->error, "unknown verb `%s`; did you mean `%s`?", name, nearest.best);
    }
    return fail(self->error, "unknown verb `%s`; tidings help lists all", name);
}

static enum td_err take_verb(struct parse *self, const char *word)
{
    struct td_args *args = self->args;
    char name[64];

    if (self->args->group[0] != '\0') {
        snprintf(name, sizeof name, "%s %.30s", self->args->group, word);
        args->verb = td_verb_named(name);
        return args->verb != NULL ? TD_OK : unknown_verb(self, name, self->args->group);
    }
    args->verb = td_verb_named(word);
    if (args->verb != NULL) {
        return TD_OK;
    }
    if (strlen(word) < sizeof self->args->group && td_verb_is_group(word)) {
        memcpy(self->args->group, word, strlen(word) + 1);
        return TD_OK;
    }
    return unknown_verb(self, word, NULL);
}

static enum td_err take_word(struct parse *self, const char *word)
{
    struct td_args *args = self->args;

    if (args->verb == NULL) {
        return take_verb(self, word);
    }
    if (args->argument_count >= args->verb->arguments_max || args->argument_count == TD_ARGS_MAX) {
        return fail(self->error, "%s: `%s` is one argument too many; it takes %s", args->verb->name,
                    word, args->verb->arguments_max == 0 ? "none" : args->verb->arguments);
    }
    args->arguments[args->argument_count++] = word;
    return TD_OK;
}

static enum td_err take_one(struct parse *self)
{
    const char *word = self->argv[self->at];

    if (self->flags_ended || word[0] != '-' || word[1] == '\0') {
        return take_word(self, word);
    }
    if (strcmp(word, "--") == 0) {
        self->flags_ended = true;
        return TD_OK;
    }
    return word[1] == '-' ? take_long(self, word + 2) : take_letters(self, word + 1);
}

static enum td_err check_complete(struct parse *self)
{
    const struct td_args *args = self->args;

    if (args->version || td_args_has(args, TD_FLAG_HELP)) {
        return TD_OK;
    }
    if (self->args->group[0] != '\0' && args->verb == NULL) {
        return fail(self->error, "`%s` needs a second word; see tidings help %s", self->args->group,
                    self->args->group);
    }
    if (args->verb == NULL) {
        return fail(self->error, "a verb is missing; tidings help lists all");
    }
    if (args->argument_count < args->verb->arguments_min) {
        return fail(self->error, "%s needs %s", args->verb->name, args->verb->arguments);
    }
    return TD_OK;
}

enum td_err td_args_parse(int argc, char *const argv[], struct td_args *ret_args,
                          char ret_error[TD_ARGS_ERROR_BYTES])
{
    struct parse self = {.argc = argc, .argv = argv, .at = 1, .args = ret_args, .error = ret_error};

    memset(ret_args, 0, sizeof *ret_args);
    ret_error[0] = '\0';
    for (; self.at < argc; self.at++) {
        enum td_err err = take_one(&self);
        if (err != TD_OK) {
            return err;
        }
    }
    return check_complete(&self);
}

bool td_args_has(const struct td_args *args, enum td_flag_id id)
{
    for (unsigned i = 0; i < args->given_count; i++) {
        if (args->given[i].id == id) {
            return true;
        }
    }
    return false;
}

const char *td_args_text(const struct td_args *args, enum td_flag_id id)
{
    const char *text = NULL;

    for (unsigned i = 0; i < args->given_count; i++) {
        if (args->given[i].id == id) {
            text = args->given[i].text;
        }
    }
    return text;
}

uint64_t td_args_uint(const struct td_args *args, enum td_flag_id id, uint64_t fallback)
{
    const char *text = td_args_text(args, id);
    uint64_t value = fallback;

    if (text == NULL) {
        return fallback;
    }
    bool number =
        td_flags[id].kind == TD_KIND_SIZE ? td_size_parse(text, &value) : parse_uint(text, &value);
    return number ? value : fallback;
}

uint64_t td_args_ms(const struct td_args *args, enum td_flag_id id, uint64_t fallback_ms)
{
    const char *text = td_args_text(args, id);
    uint64_t ms = fallback_ms;

    return text != NULL && td_duration_parse(text, &ms) ? ms : fallback_ms;
}

bool td_args_is(const struct td_args *args, enum td_flag_id id, const char *word)
{
    const char *text = td_args_text(args, id);
    return text != NULL && strcmp(text, word) == 0;
}

const char *td_args_next(const struct td_args *args, enum td_flag_id id, unsigned *position)
{
    while (*position < args->given_count) {
        const struct td_given *given = &args->given[(*position)++];
        if (given->id == id) {
            return given->text;
        }
    }
    return NULL;
}
