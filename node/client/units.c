/* units.c -- RFC 3339 times, durations, percentages and sizes, to and from text. No locale, no time
 * zone data but the local one where asked for. */
#include "node/client/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { DAY_S = 24 * 3600 };

/* Days since 1970-01-01 of a date of the proleptic Gregorian calendar (years from March on). */
static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
    year -= month <= 2;
    int64_t era = year / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static void date_of(int64_t days, int *ret_year, int *ret_month, int *ret_day)
{
    days += 719468;
    int64_t era = days / 146097;
    int64_t day_of_era = days - era * 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month_from_march = (5 * day_of_year + 2) / 153;
    *ret_day = (int)(day_of_year - (153 * month_from_march + 2) / 5 + 1);
    *ret_month = (int)(month_from_march < 10 ? month_from_march + 3 : month_from_march - 9);
    *ret_year = (int)(year_of_era + era * 400 + (*ret_month <= 2));
}

bool td_time_format(uint64_t unix_ms, char *ret_text)
{
    ret_text[0] = '\0';
    if (unix_ms > UINT64_C(253402300799999)) {
        return false;
    }
    int year = 0, month = 0, day = 0;
    uint64_t seconds = unix_ms / 1000;
    date_of((int64_t)(seconds / DAY_S), &year, &month, &day);
    unsigned of_day = (unsigned)(seconds % DAY_S);
    (void)snprintf(ret_text, TD_TIME_TEXT_BYTES, "%04d-%02d-%02dT%02u:%02u:%02u.%03uZ",
                   year % 10000, month, day, of_day / 3600, of_day / 60 % 60, of_day % 60,
                   (unsigned)(unix_ms % 1000));
    return true;
}

void td_time_of_day(uint64_t unix_ms, bool local, char *ret_text)
{
    time_t seconds = (time_t)(unix_ms / 1000);
    struct tm parts;
    memset(&parts, 0, sizeof parts);
    if (local) {
        (void)localtime_r(&seconds, &parts);
    } else {
        (void)gmtime_r(&seconds, &parts);
    }
    (void)snprintf(ret_text, TD_TIME_TEXT_BYTES, "%02d:%02d:%02d%s", parts.tm_hour, parts.tm_min,
                   parts.tm_sec, local ? "" : "Z");
}

/* Exactly count digits at *at; -1 when there are fewer. */
static int64_t digits(struct td_text text, uint32_t *at, uint32_t count)
{
    int64_t value = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (*at >= text.count || text.bytes[*at] < '0' || text.bytes[*at] > '9') {
            return -1;
        }
        value = value * 10 + (text.bytes[(*at)++] - '0');
    }
    return value;
}

static bool literal(struct td_text text, uint32_t *at, const char *any_of)
{
    if (*at >= text.count || strchr(any_of, text.bytes[*at]) == NULL || text.bytes[*at] == '\0') {
        return false;
    }
    (*at)++;
    return true;
}

/* ".123456": cut to milliseconds. Nothing is fine too. */
static bool fraction(struct td_text text, uint32_t *at, int64_t *ret_ms)
{
    *ret_ms = 0;
    if (!literal(text, at, ".")) {
        return true;
    }
    int64_t unit = 100;
    uint32_t start = *at;
    for (int64_t digit = 0; *at < text.count && (digit = digits(text, at, 1)) >= 0; unit /= 10) {
        *ret_ms += digit * unit;
    }
    return *at > start;
}

/* "Z" or "+01:30"; minutes to subtract. */
static bool zone(struct td_text text, uint32_t *at, int64_t *ret_minutes)
{
    *ret_minutes = 0;
    if (literal(text, at, "Zz")) {
        return true;
    }
    bool west = *at < text.count && text.bytes[*at] == '-';
    if (!literal(text, at, "+-")) {
        return false;
    }
    int64_t hours = digits(text, at, 2);
    bool colon = literal(text, at, ":");
    int64_t minutes = digits(text, at, 2);
    *ret_minutes = (hours * 60 + minutes) * (west ? -1 : 1);
    return colon && hours >= 0 && hours < 24 && minutes >= 0 && minutes < 60;
}

static bool date_exists(int64_t year, int64_t month, int64_t day)
{
    if (year < 1970 || month < 1 || month > 12 || day < 1) {
        return false;
    }
    int64_t next_year = month == 12 ? year + 1 : year;
    int64_t next_month = month == 12 ? 1 : month + 1;
    return days_of(year, month, day) < days_of(next_year, next_month, 1);
}

bool td_time_parse(struct td_text text, uint64_t *ret_unix_ms)
{
    uint32_t at = 0;
    int64_t ms = 0, offset_minutes = 0;
    int64_t year = digits(text, &at, 4);
    bool ok = literal(text, &at, "-");
    int64_t month = digits(text, &at, 2);
    ok = ok && literal(text, &at, "-");
    int64_t day = digits(text, &at, 2);
    ok = ok && literal(text, &at, "Tt ");
    int64_t hour = digits(text, &at, 2);
    ok = ok && literal(text, &at, ":");
    int64_t minute = digits(text, &at, 2);
    ok = ok && literal(text, &at, ":");
    int64_t second = digits(text, &at, 2);
    ok = ok && fraction(text, &at, &ms) && zone(text, &at, &offset_minutes) && at == text.count;
    if (!ok || !date_exists(year, month, day) || hour < 0 || hour > 23 || minute < 0 ||
        minute > 59 || second < 0 || second > 60) {
        return false;
    }
    int64_t seconds = days_of(year, month, day) * DAY_S + hour * 3600 + minute * 60 + second;
    seconds -= offset_minutes * 60;
    if (seconds < 0) {
        return false;
    }
    *ret_unix_ms = (uint64_t)seconds * 1000 + (uint64_t)ms;
    return true;
}

static bool unit_ms(const char *unit, size_t count, uint64_t *ret_ms)
{
    static const struct {
        const char *name;
        uint64_t ms;
    } units[] = {{"ms", 1},      {"s", 1000},     {"m", 60000},
                 {"h", 3600000}, {"d", 86400000}, {"w", 604800000}};
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (strlen(units[i].name) == count && memcmp(units[i].name, unit, count) == 0) {
            *ret_ms = units[i].ms;
            return true;
        }
    }
    return false;
}

#define DURATION_MS_MAX (UINT64_C(100) * 366 * 86400000)

/* "1.5s" at *at: whole number, up to 6 decimals, unit. */
static bool duration_part(const char **at, uint64_t *ret_ms)
{
    uint64_t whole = 0, decimals = 0, scale = 1, unit = 0;
    const char *p = *at;
    if (*p < '0' || *p > '9') {
        return false;
    }
    for (; *p >= '0' && *p <= '9'; p++) {
        whole = whole * 10 + (uint64_t)(*p - '0');
        if (whole > DURATION_MS_MAX) {
            return false;
        }
    }
    if (*p == '.') {
        p++;
        if (*p < '0' || *p > '9') {
            return false;
        }
        for (; *p >= '0' && *p <= '9' && scale < 1000000; p++, scale *= 10) {
            decimals = decimals * 10 + (uint64_t)(*p - '0');
        }
    }
    size_t letters = strspn(p, "abcdefghijklmnopqrstuvwxyz");
    if (!unit_ms(p, letters, &unit) || whole > DURATION_MS_MAX / unit) {
        return false;
    }
    *ret_ms = whole * unit + decimals * unit / scale;
    *at = p + letters;
    return true;
}

bool td_duration_parse(const char *text, uint64_t *ret_ms)
{
    uint64_t total = 0;
    if (strcmp(text, "0") == 0) {
        *ret_ms = 0;
        return true;
    }
    do {
        uint64_t part = 0;
        if (!duration_part(&text, &part) || total + part > DURATION_MS_MAX) {
            return false;
        }
        total += part;
    } while (*text != '\0');
    *ret_ms = total;
    return true;
}

void td_duration_format(uint64_t ms, char *ret_text)
{
    uint64_t s = ms / 1000;
    if (ms < 10000) {
        (void)snprintf(ret_text, TD_DURATION_TEXT_BYTES, "%u.%u s", (unsigned)s,
                       (unsigned)(ms % 1000 / 100));
    } else if (s < 60) {
        (void)snprintf(ret_text, TD_DURATION_TEXT_BYTES, "%u s", (unsigned)s);
    } else if (s < 3600) {
        (void)snprintf(ret_text, TD_DURATION_TEXT_BYTES, "%um%02us", (unsigned)(s / 60),
                       (unsigned)(s % 60));
    } else if (s < DAY_S) {
        (void)snprintf(ret_text, TD_DURATION_TEXT_BYTES, "%uh%02um", (unsigned)(s / 3600),
                       (unsigned)(s / 60 % 60));
    } else {
        (void)snprintf(ret_text, TD_DURATION_TEXT_BYTES, "%llud%02uh",
                       (unsigned long long)(s / DAY_S), (unsigned)(s / 3600 % 24));
    }
}

bool td_percent_parse(const char *text, uint16_t *ret_progress)
{
    unsigned whole = 0, decimals = 0, scale = 100;
    const char *p = text;
    if (*p < '0' || *p > '9') {
        return false;
    }
    for (; *p >= '0' && *p <= '9'; p++) {
        whole = whole * 10 + (unsigned)(*p - '0');
        if (whole > 100) {
            return false;
        }
    }
    if (*p == '.') {
        p++;
        if (*p < '0' || *p > '9') {
            return false;
        }
        for (; *p >= '0' && *p <= '9' && scale > 1; p++) {
            scale /= 10;
            decimals += (unsigned)(*p - '0') * scale;
        }
    }
    p += *p == '%';
    if (*p != '\0' || whole * 100 + decimals > 10000) {
        return false;
    }
    *ret_progress = (uint16_t)(whole * 100 + decimals);
    return true;
}

void td_percent_format(uint16_t progress, char *ret_text)
{
    unsigned whole = progress / 100u, decimals = progress % 100u;
    if (decimals == 0) {
        (void)snprintf(ret_text, 16, "%u %%", whole);
    } else if (decimals % 10 == 0) {
        (void)snprintf(ret_text, 16, "%u.%u %%", whole, decimals / 10);
    } else {
        (void)snprintf(ret_text, 16, "%u.%02u %%", whole, decimals);
    }
}

bool td_size_parse(const char *text, uint64_t *ret_bytes)
{
    static const struct {
        const char *name;
        uint64_t factor;
    } units[] = {{"", 1},           {"B", 1},
                 {"k", 1000},       {"kB", 1000},
                 {"MB", 1000000},   {"GB", 1000000000},
                 {"KiB", 1u << 10}, {"MiB", 1u << 20},
                 {"GiB", 1u << 30}, {"TiB", UINT64_C(1) << 40}};
    uint64_t value = 0;
    if (*text < '0' || *text > '9') {
        return false;
    }
    for (; *text >= '0' && *text <= '9'; text++) {
        if (value > UINT64_MAX / 10 - 1) {
            return false;
        }
        value = value * 10 + (uint64_t)(*text - '0');
    }
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (strcmp(text, units[i].name) == 0 && value <= UINT64_MAX / units[i].factor) {
            *ret_bytes = value * units[i].factor;
            return true;
        }
    }
    return false;
}
