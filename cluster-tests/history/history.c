/* history.c -- see history.h. For each register lines of maxima over time: of one process, of what
 * one node acknowledged, of what all of a region's acknowledgements were, of one session. */
#include "cluster-tests/history/history.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/assert.h"

enum { REGIONS = 256 };

/* A maximum that only grows: what it was at any moment before. */
struct point {
    uint64_t at;
    struct history_report report;
};
struct line {
    struct point *points;
    uint32_t count, room;
};

/* What a line is about. */
enum about {
    ABOUT_PROCESS = 1, /* shown or acknowledged by one process; id = node, process */
    ABOUT_NODE,        /* acknowledged by one node */
    ABOUT_REGION,      /* acknowledged, of this region's dots */
    ABOUT_ALL,         /* acknowledged by anybody */
    ABOUT_SESSION,     /* answered to one client; at = event number */
};

struct key {
    uint64_t a, b, c;
};
struct entry {
    struct key key;
    void *value;
};
struct map {
    struct entry *entries;
    uint32_t count, room; /* room is a power of two */
};

struct call {
    uint64_t time_ms, number;
    bool publish, token, settled, open;
    struct history_report seen;
};
struct job {
    uint32_t number;
    struct job *next; /* of the same hash */
    char name[];
};
struct known { /* a dot's report */
    uint64_t reg;
    struct history_report report;
};

struct history {
    struct map lines, calls, dots, jobs;
    uint32_t job_count;
    uint64_t number, compared;
    bool forgiven[REGIONS];
    struct map ruined; /* node -> since which event its lines count */
    struct history_verdict verdict;
};

/* ---- maps ---- */
static uint64_t mix(uint64_t value)
{
    value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
    return value ^ (value >> 31);
}

static bool same_key(const struct key *a, const struct key *b)
{
    return a->a == b->a && a->b == b->b && a->c == b->c;
}

static struct entry *find_place(const struct map *map, const struct key *key)
{
    uint64_t at = mix(key->a + 1) ^ mix(key->b + 2) * 3 ^ mix(key->c + 3) * 5;

    while (map->entries[at & (map->room - 1)].value != NULL &&
           !same_key(&map->entries[at & (map->room - 1)].key, key)) {
        at++;
    }
    return &map->entries[at & (map->room - 1)];
}

static void *map_get(const struct map *map, struct key key)
{
    return map->room == 0 ? NULL : find_place(map, &key)->value;
}

static void map_put(struct map *map, struct key key, void *value)
{
    if (map->count * 2 >= map->room) {
        struct map larger = {.room = map->room == 0 ? 64 : map->room * 2, .count = map->count};
        larger.entries = calloc(larger.room, sizeof *larger.entries);
        TD_ASSERT(larger.entries != NULL);
        for (uint32_t i = 0; i < map->room; i++) {
            if (map->entries[i].value != NULL) {
                *find_place(&larger, &map->entries[i].key) = map->entries[i];
            }
        }
        free(map->entries);
        *map = larger;
    }
    struct entry *entry = find_place(map, &key);
    map->count += entry->value == NULL;
    *entry = (struct entry){key, value};
}

static void map_free(struct map *map, void (*release)(void *value))
{
    for (uint32_t i = 0; i < map->room; i++) {
        if (map->entries[i].value != NULL) {
            release(map->entries[i].value);
        }
    }
    free(map->entries);
}

/* A zeroed value, made when it is not there yet. */
static void *map_make(struct map *map, struct key key, size_t size_bytes)
{
    void *value = map_get(map, key);

    if (value == NULL) {
        value = calloc(1, size_bytes);
        TD_ASSERT(value != NULL);
        map_put(map, key, value);
    }
    return value;
}

/* ---- reports ---- */
static int compare_u64(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

/* The order that PROTOCOL promises: rank, stamp, region, incarnation, seq. No report is below all.
 */
static int compare(const struct history_report *a, const struct history_report *b)
{
    const uint64_t fields[][2] = {
        {a->dot.seq != 0, b->dot.seq != 0},
        {a->rank, b->rank},
        {a->ms, b->ms},
        {a->counter, b->counter},
        {a->dot.region, b->dot.region},
        {a->dot.start, b->dot.start},
        {a->dot.random, b->dot.random},
        {a->dot.seq, b->dot.seq},
    };

    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        if (fields[i][0] != fields[i][1]) {
            return compare_u64(fields[i][0], fields[i][1]);
        }
    }
    return 0;
}

/* ---- lines ---- */
static struct line *line_of(struct history *history, enum about about, uint64_t reg, uint64_t id,
                            uint64_t process)
{
    struct key key = {reg, (uint64_t)about << 56 | id, process};
    return map_make(&history->lines, key, sizeof(struct line));
}

static void line_raise(struct line *line, uint64_t at, const struct history_report *report)
{
    if (line->count > 0 && compare(report, &line->points[line->count - 1].report) <= 0) {
        return;
    }
    if (line->count == line->room) {
        line->room = line->room == 0 ? 4 : line->room * 2;
        line->points = realloc(line->points, line->room * sizeof *line->points);
        TD_ASSERT(line->points != NULL);
    }
    line->points[line->count++] = (struct point){at, *report};
}

/* The maximum of everything before this moment; NULL = nothing yet. */
static const struct history_report *line_before(const struct line *line, uint64_t at)
{
    uint32_t low = 0, high = line->count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (line->points[middle].at < at) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low == 0 ? NULL : &line->points[low - 1].report;
}

/* ---- verdicts ---- */
static void violated(struct history *history, const char *rule, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void violated(struct history *history, const char *rule, const char *format, ...)
{
    va_list arguments;

    if (history->verdict.rule != NULL) {
        return;
    }
    history->verdict.rule = rule;
    va_start(arguments, format);
    vsnprintf(history->verdict.text, sizeof history->verdict.text, format, arguments);
    va_end(arguments);
}

/* The answer must not be below this. above: must be greater, not equal. */
static void demand(struct history *history, const struct history_event *event,
                   const struct history_report *least, bool above, const char *rule,
                   const char *why)
{
    static const struct history_report none;
    const struct history_report *got =
        event->kind == HISTORY_SHOWN && !event->found ? &none : &event->report;

    if (least == NULL || least->dot.seq == 0 || history->forgiven[least->dot.region]) {
        return;
    }
    history->compared++;
    int order = compare(got, least);
    if (order < 0 || (above && order == 0)) {
        violated(history, rule,
                 "client %u, node %u, %s/%u: %u.%u.%llu rank %u stamp %llu.%u is below %u.%u.%llu "
                 "rank %u "
                 "stamp %llu.%u: %s",
                 event->client, event->node, event->job, event->attempt, got->dot.region,
                 got->dot.start, (unsigned long long)got->dot.seq, got->rank,
                 (unsigned long long)got->ms, got->counter, least->dot.region, least->dot.start,
                 (unsigned long long)least->dot.seq, least->rank, (unsigned long long)least->ms,
                 least->counter, why);
    }
}

/* ---- events ---- */
static uint64_t register_of(struct history *history, const char *name, uint16_t attempt)
{
    uint64_t hash = 5;

    for (const char *at = name; *at != '\0'; at++) {
        hash = mix(hash + (uint8_t)*at);
    }
    struct job *first = map_get(&history->jobs, (struct key){hash, 0, 0}), *job = first;
    while (job != NULL && strcmp(job->name, name) != 0) {
        job = job->next;
    }
    if (job == NULL) {
        size_t bytes = strlen(name) + 1;
        job = calloc(1, sizeof *job + bytes);
        TD_ASSERT(job != NULL);
        memcpy(job->name, name, bytes);
        job->number = ++history->job_count;
        job->next = first;
        map_put(&history->jobs, (struct key){hash, 0, 0}, job);
    }
    return (uint64_t)job->number << 16 | attempt;
}

/* I7: whoever names this dot names the same report. */
static void check_dot(struct history *history, const struct history_event *event, uint64_t reg)
{
    const struct history_dot *dot = &event->report.dot;
    struct key key = {(uint64_t)dot->region << 32 | dot->start, dot->random, dot->seq};

    if (dot->seq == 0 || history->forgiven[dot->region]) {
        return;
    }
    struct known *known = map_make(&history->dots, key, sizeof *known);
    if (known->reg == 0) {
        *known = (struct known){reg, event->report};
        return;
    }
    history->compared++;
    struct history_report a = known->report;
    const struct history_report *b = &event->report;
    bool joined = a.state == HISTORY_STATE_UNKNOWN || b->state == HISTORY_STATE_UNKNOWN;
    if (joined) {
        a.rank = b->rank; /* it follows from the state */
    }
    if (known->reg != reg || compare(&a, b) != 0 || (!joined && a.state != b->state)) {
        violated(history, "I7",
                 "client %u, node %u, %s/%u: dot %u.%u.%llu named another report before",
                 event->client, event->node, event->job, event->attempt, dot->region, dot->start,
                 (unsigned long long)dot->seq);
    }
}

/* Lines of a node count from here on. */
static uint64_t ruined_at(const struct history *history, uint32_t node)
{
    const uint64_t *at = map_get(&history->ruined, (struct key){node, 0, 0});
    return at == NULL ? 0 : *at;
}

static void remember(struct history *history, const struct history_event *event, uint64_t reg)
{
    const struct history_report *report = &event->report;
    uint64_t lives = ruined_at(history, event->node);

    line_raise(line_of(history, ABOUT_PROCESS, reg, event->node, event->process), event->time_ms,
               report);
    line_raise(line_of(history, ABOUT_SESSION, reg, event->client, 0), history->number, report);
    if (event->kind == HISTORY_ACK) {
        line_raise(line_of(history, ABOUT_NODE, reg, event->node, lives), event->time_ms, report);
        line_raise(line_of(history, ABOUT_REGION, reg, report->dot.region, 0), event->time_ms,
                   report);
        line_raise(line_of(history, ABOUT_ALL, reg, 0, 0), event->time_ms, report);
    }
}

static void acknowledged(struct history *history, const struct history_event *event,
                         const struct call *call, uint64_t reg)
{
    const struct line *process = line_of(history, ABOUT_PROCESS, reg, event->node, event->process);

    demand(history, event, &call->seen, !event->noop, "I4", "its token had seen that");
    demand(history, event, line_before(process, call->time_ms), !event->noop, "I4",
           "this process had shown that");
}

static void shown(struct history *history, const struct history_event *event,
                  const struct call *call, uint64_t reg)
{
    uint64_t lives = ruined_at(history, event->node);
    const struct line *process = line_of(history, ABOUT_PROCESS, reg, event->node, event->process);

    demand(history, event, line_before(process, call->time_ms), false, "I3",
           "this process had shown that");
    if (call->token) {
        const struct line *session = line_of(history, ABOUT_SESSION, reg, event->client, 0);
        demand(history, event, line_before(session, call->number), false, "I3",
               "the reader's token covers that");
    }
    demand(history, event,
           line_before(line_of(history, ABOUT_NODE, reg, event->node, lives), call->time_ms), false,
           "I1", "this node had acknowledged that");
    if (call->settled) {
        demand(history, event, line_before(line_of(history, ABOUT_ALL, reg, 0, 0), call->time_ms),
               false, "I1", "that was acknowledged, and all is settled");
    }
    for (uint32_t i = 0; i < event->age_count; i++) {
        const struct history_age *age = &event->ages[i];
        if (age->known && age->age_ms < call->time_ms) {
            demand(history, event,
                   line_before(line_of(history, ABOUT_REGION, reg, age->region, 0),
                               call->time_ms - age->age_ms),
                   false, "I6",
                   "acknowledged before the moment up to which this answer is complete");
        }
    }
}

static void answered(struct history *history, const struct history_event *event,
                     const struct call *call)
{
    uint64_t reg = register_of(history, event->job, event->attempt);

    if (event->kind == HISTORY_ACK) {
        acknowledged(history, event, call, reg);
    } else {
        shown(history, event, call, reg);
    }
    if (event->kind == HISTORY_ACK || event->found) {
        check_dot(history, event, reg);
        remember(history, event, reg);
    }
}

bool history_add(struct history *history, const struct history_event *event)
{
    struct key key = {event->client, event->call, 0};
    struct call *call = map_make(&history->calls, key, sizeof *call);

    history->number++;
    if (event->kind == HISTORY_PUBLISH || event->kind == HISTORY_READ) {
        *call = (struct call){.time_ms = event->time_ms,
                              .number = history->number,
                              .publish = event->kind == HISTORY_PUBLISH,
                              .token = event->token,
                              .settled = event->settled,
                              .open = true,
                              .seen = event->seen};
    } else if (call->open) {
        call->open = false;
        if (event->kind != HISTORY_GONE && call->publish == (event->kind == HISTORY_ACK)) {
            answered(history, event, call);
        }
    }
    return history->verdict.rule == NULL;
}

/* ---- the whole ---- */
struct history *history_new(void)
{
    struct history *history = calloc(1, sizeof *history);
    TD_ASSERT(history != NULL);
    return history;
}

static void free_line(void *value)
{
    struct line *line = value;
    free(line->points);
    free(line);
}

static void free_job(void *value)
{
    for (struct job *job = value; job != NULL;) {
        struct job *next = job->next;
        free(job);
        job = next;
    }
}

void history_free(struct history *history)
{
    map_free(&history->lines, free_line);
    map_free(&history->calls, free);
    map_free(&history->dots, free);
    map_free(&history->jobs, free_job);
    map_free(&history->ruined, free);
    free(history);
}

const struct history_verdict *history_verdict(const struct history *history)
{
    return &history->verdict;
}

void history_forgive(struct history *history, uint8_t region)
{
    history->forgiven[region] = true;
}

void history_ruined(struct history *history, uint32_t node)
{
    uint64_t *at = map_make(&history->ruined, (struct key){node, 0, 0}, sizeof *at);
    *at = ++history->number;
}

uint64_t history_compared(const struct history *history)
{
    return history->compared;
}
