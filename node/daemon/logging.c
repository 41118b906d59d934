/* logging.c -- see logging.h. */
#include "node/daemon/logging.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "node/daemon/events.h"

/* TAIL_BYTES stay free for what ends a line, so that a long value cannot break its form. */
enum { LINE_BYTES = 4096, TAIL_BYTES = 96, PER_SECOND_MAX = 20, NUMBER_SLOTS = 8 };

#define EVENT_NAME(name, text) #name,
static const char *const names[] = { TD_EVENT_LIST(EVENT_NAME) };
#undef EVENT_NAME
enum { EVENTS = sizeof names / sizeof names[0] };

static struct {
    pthread_mutex_t mutex;
    int level;
    bool json;
    uint64_t counts[4];
    struct {
        time_t second;
        unsigned lines, suppressed;
    } events[EVENTS + 1]; /* the last one: a name that is not in the list */
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

/* Bytes of the UTF-8 character at text, its code point in *ret_point; 0 when it is none. */
static size_t character_at(const unsigned char *text, uint32_t *ret_point)
{
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    size_t count = text[0] < 0x80 ? 1 : text[0] >> 5 == 6 ? 2 : text[0] >> 4 == 14 ? 3 : text[0] >> 3 == 30 ? 4 : 0;
    uint32_t point = count == 1 ? text[0] : count > 0 ? text[0] & (0x7fU >> count) : 0;
    for (size_t i = 1; i < count; i++) {
        if (text[i] >> 6 != 2) {
            return 0;
        }
        point = point << 6 | (text[i] & 0x3fU);
    }
    bool valid = count > 0 && point >= least[count] && point <= 0x10ffff && (point < 0xd800 || point > 0xdfff);
    *ret_point = point;
    return valid ? count : 0;
}

/* Controls, and what turns or hides the text beside it: a line must be readable as it stands. */
static bool acts(uint32_t point)
{
    return point < 0x20 || (point >= 0x7f && point < 0xa0) || (point >= 0x200b && point <= 0x200f) ||
           (point >= 0x2028 && point <= 0x202e) || (point >= 0x2060 && point <= 0x2069) || point == 0xfeff;
}

static void put_escaped(struct line *line, uint32_t point, bool json)
{
    char text[16];
    snprintf(text, sizeof text, json || point > 0xff ? "\\u%04x" : "\\x%02x", (unsigned)point);
    put_text(line, text);
}

/* The secret half of a key never gets into a log, whatever sentence it stands in. */
static size_t secret_bytes(const char *value)
{
    static const char prefix[] = "tdsk1:";
    return strncmp(value, prefix, sizeof prefix - 1) == 0 ? strcspn(value, " \"\n") : 0;
}

/* Values: quoted where logfmt needs it, escaped so that no value can forge a line or a field. */
static void put_value(struct line *line, const char *value, bool json)
{
    bool quote = json || value[0] == '\0' || strpbrk(value, " =\"\\") != NULL;
    if (quote) {
        put(line, '"');
    }
    for (const char *at = value; *at != '\0';) {
        uint32_t point = 0;
        size_t secret = secret_bytes(at);
        size_t count = character_at((const unsigned char *)at, &point);
        if (line->used + TAIL_BYTES > sizeof line->text) {
            put_text(line, "...");
            break;
        }
        if (secret > 0) {
            put_text(line, "tdsk1:[redacted]");
            at += secret;
        } else if (count == 0 || acts(point)) {
            put_escaped(line, count == 0 ? (unsigned char)*at : point, json);
            at += count == 0 ? 1 : count;
        } else {
            if (*at == '"' || *at == '\\') {
                put(line, '\\');
            }
            for (; count > 0; count--) {
                put(line, *at++);
            }
        }
    }
    if (quote) {
        put(line, '"');
    }
}

static void put_field(struct line *line, const char *name, const char *value, bool json)
{
    if (line->used + TAIL_BYTES > sizeof line->text) {
        return; /* no room for a whole field: the line ends before it */
    }
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

static size_t index_of(const char *event)
{
    size_t i = 0;
    while (i < EVENTS && strcmp(names[i], event) != 0) {
        i++;
    }
    return i;
}

/* True when this event may print now; *ret_suppressed = lines swallowed before. */
static bool allowed(const char *event, unsigned *ret_suppressed)
{
    time_t second = time(NULL);
    size_t i = index_of(event);
    *ret_suppressed = 0;
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
    static const char *const levels[] = { "debug", "info", "warn", "error" };
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
    put_field(&line, "level", levels[level], json);
    put_field(&line, "ev", event, json);
    if (suppressed > 0) {
        put_field(&line, "suppressed", td_log_number(suppressed), json);
    }
    va_list arguments;
    va_start(arguments, event);
    for (const char *name = va_arg(arguments, const char *); name != NULL;
         name = va_arg(arguments, const char *)) {
        const char *value = va_arg(arguments, const char *);
        put_field(&line, name, value != NULL ? value : "", json);
    }
    va_end(arguments);
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
