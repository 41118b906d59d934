/* logging.c -- see logging.h. */
#include "node/daemon/logging.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { LINE_BYTES = 2048, EVENTS_MAX = 128, PER_SECOND_MAX = 20, NUMBER_SLOTS = 8 };

static struct {
    pthread_mutex_t mutex;
    int level;
    bool json;
    uint64_t counts[4];
    struct {
        char name[40];
        time_t second;
        unsigned lines, suppressed;
    } events[EVENTS_MAX];
    size_t event_count;
} state = { .mutex = PTHREAD_MUTEX_INITIALIZER, .level = TD_INFO };

void td_logging_init(int level, int json)
{
    pthread_mutex_lock(&state.mutex);
    state.level = level;
    state.json = json != 0;
    pthread_mutex_unlock(&state.mutex);
}

enum { NUMBER_BYTES = 24 };

static char *number_slot(void)
{
    static _Thread_local char slots[NUMBER_SLOTS][NUMBER_BYTES];
    static _Thread_local unsigned next;
    return slots[next++ % NUMBER_SLOTS];
}

const char *td_log_number(uint64_t value)
{
    char *slot = number_slot();
    snprintf(slot, NUMBER_BYTES, "%llu", (unsigned long long)value);
    return slot;
}

const char *td_log_signed(int64_t value)
{
    char *slot = number_slot();
    snprintf(slot, NUMBER_BYTES, "%lld", (long long)value);
    return slot;
}

struct line {
    char text[LINE_BYTES];
    size_t used;
};

static void put(struct line *line, char c)
{
    if (line->used + 1 < sizeof line->text) {
        line->text[line->used++] = c;
    }
}

static void put_text(struct line *line, const char *text)
{
    while (*text != '\0') {
        put(line, *text++);
    }
}

/* Values: quoted where logfmt needs it; control characters as \xNN so that no value can forge a line. */
static void put_value(struct line *line, const char *value, bool json)
{
    bool quote = json || value[0] == '\0' || strpbrk(value, " =\"\\") != NULL;
    if (quote) {
        put(line, '"');
    }
    for (const unsigned char *c = (const unsigned char *)value; *c != '\0'; c++) {
        if (*c < 0x20 || *c == 0x7f || (*c & 0xe0) == 0x80) {
            /* C1 controls hide in UTF-8 continuation bytes 0x80..0x9f behind 0xc2 only; plain
             * continuation bytes of other characters stay as they are. */
            bool lone_c1 = *c >= 0x80 && (c == (const unsigned char *)value || c[-1] == 0xc2);
            if (*c < 0x80 || lone_c1) {
                char hex[8];
                snprintf(hex, sizeof hex, json ? "\\u%04x" : "\\x%02x", *c);
                put_text(line, hex);
                continue;
            }
        }
        if (*c == '"' || *c == '\\') {
            put(line, '\\');
        }
        put(line, (char)*c);
    }
    if (quote) {
        put(line, '"');
    }
}

static void put_field(struct line *line, const char *name, const char *value, bool json)
{
    if (json) {
        put_text(line, line->used > 1 ? ",\"" : "\"");
        put_text(line, name);
        put_text(line, "\":");
    } else {
        if (line->used > 0) {
            put(line, ' ');
        }
        put_text(line, name);
        put(line, '=');
    }
    put_value(line, value, json);
}

static void put_time(struct line *line, bool json)
{
    struct timespec now;
    struct tm parts;
    char text[64];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &parts);
    size_t used = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(text + used, sizeof text - used, ".%03ldZ", now.tv_nsec / 1000000);
    put_field(line, "ts", text, json);
}

/* True when this event may print now; *ret_suppressed = lines swallowed before. */
static bool allowed(const char *event, unsigned *ret_suppressed)
{
    time_t second = time(NULL);
    size_t i = 0;
    *ret_suppressed = 0;
    while (i < state.event_count && strcmp(state.events[i].name, event) != 0) {
        i++;
    }
    if (i == EVENTS_MAX) {
        return true;
    }
    if (i == state.event_count) {
        snprintf(state.events[i].name, sizeof state.events[i].name, "%s", event);
        state.event_count++;
    }
    if (state.events[i].second != second) {
        *ret_suppressed = state.events[i].suppressed;
        state.events[i].second = second;
        state.events[i].lines = 0;
        state.events[i].suppressed = 0;
    }
    if (state.events[i].lines >= PER_SECOND_MAX) {
        state.events[i].suppressed++;
        return false;
    }
    state.events[i].lines++;
    return true;
}

void td_log_event(enum td_log_level level, const char *event, ...)
{
    static const char *const names[] = { "debug", "info", "warn", "error" };
    struct line line = { .used = 0 };
    unsigned suppressed = 0;
    pthread_mutex_lock(&state.mutex);
    state.counts[level]++;
    if ((int)level < state.level || !allowed(event, &suppressed)) {
        pthread_mutex_unlock(&state.mutex);
        return;
    }
    bool json = state.json;
    if (json) {
        put(&line, '{');
    }
    put_time(&line, json);
    put_field(&line, "level", names[level], json);
    put_field(&line, "ev", event, json);
    va_list arguments;
    va_start(arguments, event);
    for (const char *name = va_arg(arguments, const char *); name != NULL;
         name = va_arg(arguments, const char *)) {
        const char *value = va_arg(arguments, const char *);
        put_field(&line, name, value != NULL ? value : "", json);
    }
    va_end(arguments);
    if (suppressed > 0) {
        put_field(&line, "suppressed", td_log_number(suppressed), json);
    }
    if (json) {
        put(&line, '}');
    }
    line.text[line.used++] = '\n';
    fwrite(line.text, 1, line.used, stderr);
    pthread_mutex_unlock(&state.mutex);
}

uint64_t td_log_count(enum td_log_level level)
{
    pthread_mutex_lock(&state.mutex);
    uint64_t count = state.counts[level];
    pthread_mutex_unlock(&state.mutex);
    return count;
}
