/* checks.c -- see checks.h. What cannot be known is never "ok": it has a level of its own. */
#include "node/cli/checks.h"

#include <string.h>

#include "proto/assert.h"
#include "proto/roster.h"

const struct td_limits td_limits_default[TD_CHECK_COUNT] = {
    [TD_CHECK_LINKS] = {5000, 10000},     [TD_CHECK_FRESHNESS] = {10000, 30000},
    [TD_CHECK_BACKLOG] = {60000, 120000}, [TD_CHECK_CLOCK] = {500, 2000},
    [TD_CHECK_STORE] = {80, 95},          [TD_CHECK_ALARMS] = {1, 1},
    [TD_CHECK_SILENT] = {1, UINT64_MAX},
};

static const char *const names[TD_CHECK_COUNT] = {
    [TD_CHECK_LINKS] = "links",     [TD_CHECK_FRESHNESS] = "freshness",
    [TD_CHECK_BACKLOG] = "backlog", [TD_CHECK_CLOCK] = "clock",
    [TD_CHECK_STORE] = "store",     [TD_CHECK_ALARMS] = "alarms",
    [TD_CHECK_SILENT] = "silent",
};

const char *td_check_name(enum td_check check)
{
    TD_ASSERT(check < TD_CHECK_COUNT);
    return names[check];
}

const char *td_check_unit(enum td_check check)
{
    switch (check) {
    case TD_CHECK_STORE:
        return "percent";
    case TD_CHECK_ALARMS:
        return "alarms";
    case TD_CHECK_SILENT:
        return "jobs";
    default:
        return "seconds";
    }
}

enum td_check td_check_named(const char *name)
{
    int check = 0;

    while (check < TD_CHECK_COUNT && strcmp(names[check], name) != 0) {
        check++;
    }
    return (enum td_check)check;
}

const char *td_level_name(enum td_level level)
{
    static const char *const words[] = {"OK", "WARNING", "CRITICAL", "UNKNOWN"};

    TD_ASSERT(level <= TD_LEVEL_UNKNOWN);
    return words[level];
}

enum td_level td_level_worse(enum td_level a, enum td_level b)
{
    static const int weight[] = {
        [TD_LEVEL_OK] = 0, [TD_LEVEL_UNKNOWN] = 1, [TD_LEVEL_WARNING] = 2, [TD_LEVEL_CRITICAL] = 3};

    return weight[a] >= weight[b] ? a : b;
}

enum td_level td_level_of(uint64_t value, struct td_limits limits)
{
    return value >= limits.crit   ? TD_LEVEL_CRITICAL
           : value >= limits.warn ? TD_LEVEL_WARNING
                                  : TD_LEVEL_OK;
}

static const struct td_fresh_view *fresh_of(const struct td_response *status,
                                            struct td_region region)
{
    for (uint32_t i = 0; i < status->freshness_count; i++) {
        if (status->freshness[i].region.v == region.v) {
            return &status->freshness[i];
        }
    }
    return NULL;
}

/* A link that is down is critical whatever the age says. While others relay, data flows: somebody
 * should look, and nobody needs to be woken. */
static struct td_check_row check_link(const struct td_region_view *region, struct td_limits limits)
{
    struct td_check_row row = {.known = region->heard, .value = region->heard_age_ms};

    if (!region->heard) {
        row.level = TD_LEVEL_CRITICAL;
        row.word = "never heard";
        return row;
    }
    row.level = td_level_of(region->heard_age_ms, limits);
    row.word = row.level == TD_LEVEL_OK ? "ok" : "late";
    if (!region->direct) {
        bool relayed = region->via.v != 0;
        row.level = relayed ? td_level_worse(row.level, TD_LEVEL_WARNING) : TD_LEVEL_CRITICAL;
        row.word = relayed ? "down, relayed" : "down";
    } else if (region->link_state == TD_LINK_LATE) {
        row.level = td_level_worse(row.level, TD_LEVEL_WARNING);
        row.word = "late";
    }
    return row;
}

static struct td_check_row check_freshness(const struct td_response *status,
                                           const struct td_region_view *region,
                                           struct td_limits limits)
{
    const struct td_fresh_view *fresh = fresh_of(status, region->region);
    struct td_check_row row = {.level = TD_LEVEL_CRITICAL, .word = "never complete"};

    if (fresh != NULL && fresh->age_known) {
        row.known = true;
        row.value = fresh->age_ms;
        row.level = td_level_of(fresh->age_ms, limits);
        row.word = row.level == TD_LEVEL_OK ? "ok" : "stale";
    }
    if (fresh != NULL && (fresh->doubt || fresh->recovering)) {
        row.level = td_level_worse(row.level, TD_LEVEL_WARNING);
        row.word = fresh->doubt ? "digest differs" : "recovering";
    }
    return row;
}

static struct td_check_row check_backlog(const struct td_response *status,
                                         const struct td_region_view *region,
                                         struct td_limits limits)
{
    struct td_check_row row = {.level = TD_LEVEL_OK, .word = "ok"};

    if (!region->they_lack_known) {
        row.level = TD_LEVEL_UNKNOWN;
        row.word = "not known what it has";
        return row;
    }
    row.known = true;
    if (region->they_lack > 0 && region->oldest_unacked_ms != 0 &&
        region->oldest_unacked_ms < status->now_ms) {
        row.value = status->now_ms - region->oldest_unacked_ms;
        row.level = td_level_of(row.value, limits);
        row.word = row.level == TD_LEVEL_OK ? "ok" : "waiting";
    }
    row.backlog = region;
    return row;
}

static struct td_check_row check_clock(const struct td_region_view *region, struct td_limits limits)
{
    struct td_check_row row = {.level = TD_LEVEL_UNKNOWN, .word = "not measured"};

    if (region->offset_known) {
        row.known = true;
        row.value = (uint64_t)(region->offset_ms < 0 ? -region->offset_ms : region->offset_ms);
        row.level = td_level_of(row.value, limits);
        row.word = row.level == TD_LEVEL_OK ? "ok" : region->offset_ms < 0 ? "behind" : "ahead";
    }
    return row;
}

static struct td_check_row check_alarms(const struct td_region_view *region)
{
    const struct {
        bool on;
        enum td_level level;
        const char *word;
    } rows[] = {
        {region->equivocated, TD_LEVEL_CRITICAL, "equivocation"},
        {region->clone_suspected, TD_LEVEL_CRITICAL, "clone"},
        {region->fenced, TD_LEVEL_CRITICAL, "fenced"},
        {region->rolled_back, TD_LEVEL_WARNING, "rolled back"},
    };
    struct td_check_row row = {.known = true, .word = "ok"};

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        row.value += rows[i].on;
        if (rows[i].on && row.level == TD_LEVEL_OK) {
            row.level = rows[i].level;
            row.word = rows[i].word;
        }
    }
    return row;
}

static struct td_check_row check_store(const struct td_response *status, struct td_limits limits)
{
    uint64_t bytes = status->u.status.log_bytes;
    uint64_t most = status->u.status.log_limit_bytes;
    struct td_check_row row = {.level = TD_LEVEL_UNKNOWN, .word = "not known"};

    if (most > 0) {
        row.known = true;
        row.value = bytes >= most ? 100 : (uint64_t)((double)bytes * 100.0 / (double)most);
        row.level = td_level_of(row.value, limits);
        row.word = row.level == TD_LEVEL_OK ? "ok" : "filling";
    }
    if (!status->u.status.publishing) {
        row.level = TD_LEVEL_CRITICAL;
        row.word = "takes no reports";
    }
    return row;
}

static struct td_check_row check_region(const struct td_response *status,
                                        const struct td_region_view *region, enum td_check check,
                                        struct td_limits limits)
{
    switch (check) {
    case TD_CHECK_LINKS:
        return check_link(region, limits);
    case TD_CHECK_FRESHNESS:
        return check_freshness(status, region, limits);
    case TD_CHECK_BACKLOG:
        return check_backlog(status, region, limits);
    case TD_CHECK_CLOCK:
        return check_clock(region, limits);
    default:
        TD_ASSERT(check == TD_CHECK_ALARMS);
        return check_alarms(region);
    }
}

size_t td_checks_run(const struct td_response *status, enum td_check check, struct td_limits limits,
                     struct td_check_row rows[TD_CHECK_ROWS_MAX])
{
    size_t count = 0;

    TD_ASSERT(check < TD_CHECK_SILENT);
    if (check == TD_CHECK_STORE) {
        rows[0] = check_store(status, limits);
        rows[0].check = check;
        return 1;
    }
    for (uint32_t i = 0; i < status->u.status.region_count && count < TD_CHECK_ROWS_MAX; i++) {
        const struct td_region_view *region = &status->u.status.regions[i];
        bool others_only = check != TD_CHECK_ALARMS;
        if ((region->self && others_only) || region->roster_state == TD_REGION_CLOSED) {
            continue;
        }
        rows[count] = check_region(status, region, check, limits);
        rows[count].check = check;
        rows[count].region = region->region;
        count++;
    }
    return count;
}
