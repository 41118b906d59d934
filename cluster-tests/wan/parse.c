/* parse.c -- command lines to commands. Numbers are read as thousandths: no floating point, so that
 * a line means the same everywhere. */
#include "cluster-tests/wan/parse.h"

#include <string.h>

enum { NUMBER_DIGITS_MAX = 9 };

struct unit {
    const char *name;
    uint64_t multiply, divide; /* of thousandths */
};

static const struct unit durations[] = {
    {"us", 1, 1000}, {"ms", 1, 1}, {"s", 1000, 1}, {NULL, 0, 0}};
static const struct unit shares[] = {{"%", 10, 1}, {NULL, 0, 0}};
static const struct unit rates[] = {
    {"bit", 1, 1000}, {"kbit", 1, 1}, {"mbit", 1000, 1}, {"gbit", 1000000, 1}, {NULL, 0, 0}};

/* 12 or 12.345: at most nine digits before the point and three after. */
static bool thousandths(const char **text, uint64_t *ret_value)
{
    uint64_t value = 0;
    int digits = 0, decimals = 0;
    const char *at = *text;

    for (; *at >= '0' && *at <= '9'; at++, digits++) {
        value = value * 10 + (uint64_t)(*at - '0');
        if (digits == NUMBER_DIGITS_MAX) {
            return false;
        }
    }
    if (digits == 0) {
        return false;
    }
    if (*at == '.') {
        for (at++; *at >= '0' && *at <= '9' && decimals < 3; at++, decimals++) {
            value = value * 10 + (uint64_t)(*at - '0');
        }
        if (decimals == 0) {
            return false;
        }
    }
    for (; decimals < 3; decimals++) {
        value *= 10;
    }
    *text = at;
    *ret_value = value;
    return true;
}

static bool quantity(const char *text, const struct unit *units, uint64_t max, uint64_t *ret_value)
{
    uint64_t value;

    if (!thousandths(&text, &value)) {
        return false;
    }
    for (; units->name != NULL; units++) {
        if (strcmp(text, units->name) == 0) {
            value = value * units->multiply / units->divide;
            *ret_value = value;
            return value <= max;
        }
    }
    return false;
}

static bool whole(const char *text, uint64_t min, uint64_t max, uint64_t *ret_value)
{
    uint64_t value;

    if (strchr(text, '.') != NULL || !thousandths(&text, &value) || *text != '\0') {
        return false;
    }
    *ret_value = value / 1000;
    return *ret_value >= min && *ret_value <= max;
}

/* The rest of the word after KEY=, or NULL. */
static const char *value_of(const char *word, const char *key)
{
    size_t size = strlen(key);
    return strncmp(word, key, size) == 0 && word[size] == '=' ? word + size + 1 : NULL;
}

static const char *parse_time_option(const char *word, struct wan_change *change)
{
    struct wan_shape *shape = &change->shape;
    const char *value;

    if ((value = value_of(word, "delay")) != NULL) {
        change->delay = quantity(value, durations, WAN_DELAY_US_MAX, &shape->delay_us);
        return change->delay ? NULL : "delay: a time up to 60s, as 40ms";
    }
    if ((value = value_of(word, "rtt")) != NULL) {
        change->delay = quantity(value, durations, WAN_DELAY_US_MAX, &shape->delay_us);
        shape->delay_us /= 2;
        return change->delay ? NULL : "rtt: a time up to 60s, as 80ms";
    }
    if ((value = value_of(word, "jitter")) != NULL) {
        change->jitter = quantity(value, durations, WAN_DELAY_US_MAX, &shape->jitter_us);
        return change->jitter ? NULL : "jitter: a time up to 60s, as 2ms";
    }
    if ((value = value_of(word, "late")) != NULL) {
        change->late = quantity(value, durations, WAN_DELAY_US_MAX, &shape->late_us);
        return change->late ? NULL : "late: a time up to 60s, as 5ms";
    }
    return "unknown option";
}

static const char *parse_option(const char *word, struct wan_change *change)
{
    struct wan_shape *shape = &change->shape;
    const char *value;

    if ((value = value_of(word, "loss")) != NULL) {
        change->loss = quantity(value, shares, WAN_PPM, &shape->loss_ppm);
        return change->loss ? NULL : "loss: 0% to 100%";
    }
    if ((value = value_of(word, "dup")) != NULL) {
        change->dup = quantity(value, shares, WAN_PPM, &shape->dup_ppm);
        return change->dup ? NULL : "dup: 0% to 100%";
    }
    if ((value = value_of(word, "reorder")) != NULL) {
        change->reorder = quantity(value, shares, WAN_PPM, &shape->reorder_ppm);
        return change->reorder ? NULL : "reorder: 0% to 100%";
    }
    if ((value = value_of(word, "rate")) != NULL) {
        shape->rate_bps = 0;
        change->rate = strcmp(value, "none") == 0 ||
                       (quantity(value, rates, UINT64_C(100000000000), &shape->rate_bps) &&
                        shape->rate_bps >= 1000);
        return change->rate ? NULL : "rate: 1kbit to 100gbit, or none";
    }
    if ((value = value_of(word, "queue")) != NULL) {
        change->queue = whole(value, 1, 65536, &shape->queue);
        return change->queue ? NULL : "queue: 1 to 65536 packets";
    }
    return parse_time_option(word, change);
}

bool wan_name_valid(const char *name)
{
    size_t size = strlen(name);
    size_t good = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-");
    return size > 0 && size <= WAN_NAME_MAX && good == size;
}

/* A B [one-way] and, for set, options. */
static const char *parse_pair(char **rest, struct wan_command *command)
{
    const char *from = strtok_r(NULL, " \t\n", rest);
    const char *to = strtok_r(NULL, " \t\n", rest);
    const char *word, *wrong;

    if (from == NULL && command->verb == WAN_HEAL) {
        from = to = "*";
    }
    if (from == NULL || to == NULL) {
        return "two hosts expected";
    }
    if ((strcmp(from, "*") != 0 && !wan_name_valid(from)) ||
        (strcmp(to, "*") != 0 && !wan_name_valid(to))) {
        return "not the name of a host";
    }
    memcpy(command->from, from, strlen(from) + 1);
    memcpy(command->to, to, strlen(to) + 1);
    while ((word = strtok_r(NULL, " \t\n", rest)) != NULL) {
        if (strcmp(word, "one-way") == 0) {
            command->one_way = true;
        } else if (command->verb != WAN_SET) {
            return "unknown option";
        } else if ((wrong = parse_option(word, &command->change)) != NULL) {
            return wrong;
        }
    }
    return NULL;
}

static const char *parse_rest(char **rest, struct wan_command *command)
{
    const char *word;

    if (command->verb == WAN_SET || command->verb == WAN_CUT || command->verb == WAN_HEAL) {
        return parse_pair(rest, command);
    }
    word = strtok_r(NULL, " \t\n", rest);
    if (command->verb == WAN_SEED) {
        if (word == NULL || !whole(word, 0, UINT64_MAX, &command->seed)) {
            return "seed: a whole number of up to nine digits";
        }
        word = strtok_r(NULL, " \t\n", rest);
    }
    return word == NULL ? NULL : "unexpected words";
}

const char *wan_parse(const char *line, struct wan_command *ret_command)
{
    static const struct {
        const char *name;
        enum wan_verb verb;
    } verbs[] = {{"set", WAN_SET},   {"cut", WAN_CUT},     {"heal", WAN_HEAL},
                 {"seed", WAN_SEED}, {"hosts", WAN_HOSTS}, {"stats", WAN_STATS}};
    char copy[WAN_LINE_MAX + 1], *rest;
    struct wan_command command = {0};

    if (strlen(line) > WAN_LINE_MAX) {
        return "line too long";
    }
    memcpy(copy, line, strlen(line) + 1);
    const char *word = strtok_r(copy, " \t\n", &rest);
    for (size_t i = 0; word != NULL && i < sizeof verbs / sizeof verbs[0]; i++) {
        if (strcmp(word, verbs[i].name) == 0) {
            command.verb = verbs[i].verb;
        }
    }
    if (command.verb == 0) {
        return "set, cut, heal, seed, hosts or stats expected";
    }
    const char *wrong = parse_rest(&rest, &command);
    if (wrong == NULL) {
        *ret_command = command;
    }
    return wrong;
}

void wan_change_apply(const struct wan_change *change, struct wan_shape *shape)
{
    shape->delay_us = change->delay ? change->shape.delay_us : shape->delay_us;
    shape->jitter_us = change->jitter ? change->shape.jitter_us : shape->jitter_us;
    shape->late_us = change->late ? change->shape.late_us : shape->late_us;
    shape->loss_ppm = change->loss ? change->shape.loss_ppm : shape->loss_ppm;
    shape->dup_ppm = change->dup ? change->shape.dup_ppm : shape->dup_ppm;
    shape->reorder_ppm = change->reorder ? change->shape.reorder_ppm : shape->reorder_ppm;
    shape->rate_bps = change->rate ? change->shape.rate_bps : shape->rate_bps;
    shape->queue = change->queue ? change->shape.queue : shape->queue;
}
