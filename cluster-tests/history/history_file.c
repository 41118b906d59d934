/* history_file.c -- see history_file.h. */
#include "cluster-tests/history/history_file.h"

#include <stdlib.h>
#include <string.h>

enum { LINE_BYTES = 8192, AGES_MAX = 64 };

/* The rest of a line, word by word; good turns false at the first that is not what was asked for.
 */
struct words {
    char *rest;
    bool good;
};

static char *next_word(struct words *words)
{
    char *word = strsep(&words->rest, " ");

    words->good = words->good && word != NULL && word[0] != '\0';
    return words->good ? word : NULL;
}

static uint64_t parse_number(const char *text, uint64_t max, bool *good)
{
    char *end = NULL;
    uint64_t value = 0;

    if (text != NULL && text[0] >= '0' && text[0] <= '9') {
        value = strtoull(text, &end, 10);
    }
    *good = *good && end != NULL && *end == '\0' && value <= max;
    return value;
}

static uint64_t number(struct words *words, uint64_t max)
{
    return parse_number(next_word(words), max, &words->good);
}

static void parse_report(struct words *words, struct history_report *ret_report)
{
    ret_report->rank = (uint8_t)number(words, 2);
    ret_report->ms = number(words, UINT64_MAX);
    ret_report->counter = (uint32_t)number(words, UINT32_MAX);
    ret_report->dot.region = (uint8_t)number(words, UINT8_MAX);
    ret_report->dot.start = (uint32_t)number(words, UINT32_MAX);
    ret_report->dot.random = (uint32_t)number(words, UINT32_MAX);
    ret_report->dot.seq = number(words, UINT64_MAX);
}

static void parse_ages(struct words *words, struct history_event *event, struct history_age *ages)
{
    event->ages = ages;
    while (words->rest != NULL && words->good) {
        char *pair = next_word(words), *region = strsep(&pair, ":");
        words->good = words->good && pair != NULL && event->age_count < AGES_MAX;
        if (words->good) {
            ages[event->age_count++] = (struct history_age){
                .region = (uint8_t)parse_number(region, UINT8_MAX, &words->good),
                .known = true,
                .age_ms = parse_number(pair, UINT64_MAX, &words->good),
            };
        }
    }
}

static void parse_answer(struct words *words, struct history_event *event, struct history_age *ages)
{
    event->node = (uint32_t)number(words, UINT32_MAX);
    event->process = number(words, UINT64_MAX);
    event->job = next_word(words);
    event->attempt = (uint16_t)number(words, UINT16_MAX);
    event->noop = event->kind == HISTORY_ACK && number(words, 1) == 1;
    event->found = true;
    if (event->kind == HISTORY_SHOWN && words->rest != NULL &&
        strncmp(words->rest, "none", 4) == 0) {
        next_word(words);
        event->found = false;
    } else {
        event->report.state = (uint8_t)number(words, UINT8_MAX);
        parse_report(words, &event->report);
    }
    if (event->kind == HISTORY_SHOWN) {
        parse_ages(words, event, ages);
    }
}

static enum history_kind kind_of(const char *name)
{
    static const char *const names[] = {NULL, "publish", "read", "ack", "shown", "gone"};

    for (unsigned i = HISTORY_PUBLISH; name != NULL && i <= HISTORY_GONE; i++) {
        if (strcmp(name, names[i]) == 0) {
            return (enum history_kind)i;
        }
    }
    return (enum history_kind)0;
}

static void parse_event(struct words *words, struct history_event *event, struct history_age *ages)
{
    event->time_ms = number(words, UINT64_MAX);
    event->client = (uint32_t)number(words, UINT32_MAX);
    event->call = number(words, UINT64_MAX);
    if (event->kind == HISTORY_READ) {
        event->token = number(words, 1) == 1;
        event->settled = number(words, 1) == 1;
    } else if (event->kind == HISTORY_PUBLISH && words->rest != NULL) {
        parse_report(words, &event->seen);
    } else if (event->kind == HISTORY_ACK || event->kind == HISTORY_SHOWN) {
        parse_answer(words, event, ages);
    }
    words->good = words->good && words->rest == NULL;
}

static bool read_line(struct history *history, char *line, struct history_file_result *result)
{
    struct words words = {line, true};
    const char *name = next_word(&words);
    struct history_age ages[AGES_MAX];
    struct history_event event = {.kind = kind_of(name)};

    if (name != NULL && strcmp(name, "ruined") == 0) {
        uint32_t node = (uint32_t)number(&words, UINT32_MAX);
        if (words.good && words.rest == NULL) {
            history_ruined(history, node);
            return true;
        }
    } else if (name != NULL && strcmp(name, "forgive") == 0) {
        uint8_t region = (uint8_t)number(&words, UINT8_MAX);
        if (words.good && words.rest == NULL) {
            history_forgive(history, region);
            return true;
        }
    } else if ((unsigned)event.kind != 0) {
        parse_event(&words, &event, ages);
        if (words.good) {
            result->acknowledged += event.kind == HISTORY_ACK;
            result->shown += event.kind == HISTORY_SHOWN;
            if (!history_add(history, &event) && result->violated_line == 0) {
                result->violated_line = result->lines;
            }
            return true;
        }
    }
    return false;
}

struct history_file_result history_file_read(struct history *history, FILE *in)
{
    struct history_file_result result = {0};
    char line[LINE_BYTES];

    while (result.bad_line == 0 && fgets(line, sizeof line, in) != NULL) {
        size_t bytes = strlen(line);
        result.lines++;
        /* A line without its end is too long, or the recorder died in it. */
        if (bytes == 0 || line[bytes - 1] != '\n') {
            result.bad_line = result.lines;
        } else {
            line[bytes - 1] = '\0';
            if (line[0] != '#' && !read_line(history, line, &result)) {
                result.bad_line = result.lines;
            }
        }
    }
    return result;
}
