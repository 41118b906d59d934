/* checks.h -- is all well, judged from one STATUS answer: the rows that check prints, doctor reads
 * and bundle keeps. Pure; no output, no clock of its own. */
#ifndef TD_CLI_CHECKS_H
#define TD_CLI_CHECKS_H

#include "node/client/call.h"

enum td_check {
    TD_CHECK_LINKS,
    TD_CHECK_FRESHNESS,
    TD_CHECK_BACKLOG,
    TD_CHECK_CLOCK,
    TD_CHECK_STORE,
    TD_CHECK_ALARMS,
    TD_CHECK_SILENT, /* its row comes from a LIST: td_checks_run knows nothing of it */
    TD_CHECK_COUNT
};
/* Exit codes of Nagios. */
enum td_level { TD_LEVEL_OK, TD_LEVEL_WARNING, TD_LEVEL_CRITICAL, TD_LEVEL_UNKNOWN };

/* From `warn` on a warning, from `crit` on critical; ms, or per cent for the store, or jobs. */
struct td_limits {
    uint64_t warn, crit;
};
extern const struct td_limits td_limits_default[TD_CHECK_COUNT];

struct td_check_row {
    enum td_check check;
    struct td_region region; /* 0 = the node itself */
    enum td_level level;
    bool known;       /* value means something */
    uint64_t value;   /* ms, per cent, or a count, as the check's limits */
    const char *word; /* what is the matter, a closed list of words; "ok" when nothing is */
    const struct td_region_view *backlog; /* BACKLOG: updates, jobs, time left; else NULL */
};
enum { TD_CHECK_ROWS_MAX = 6 * 256 };

const char *td_check_name(enum td_check check); /* links, freshness, ... */
/* "seconds", "percent" or "jobs": what the value is shown in (ms are shown as seconds). */
const char *td_check_unit(enum td_check check);
/* TD_CHECK_COUNT when no check has that name. */
enum td_check td_check_named(const char *name);
const char *td_level_name(enum td_level level); /* OK, WARNING, CRITICAL, UNKNOWN */
/* The worse of two: critical, warning, unknown, ok. */
enum td_level td_level_worse(enum td_level a, enum td_level b);
enum td_level td_level_of(uint64_t value, struct td_limits limits);

/* Judges a STATUS answer by one check; at most TD_CHECK_ROWS_MAX rows. Returns their number. */
size_t td_checks_run(const struct td_response *status, enum td_check check, struct td_limits limits,
                     struct td_check_row rows[TD_CHECK_ROWS_MAX]);

#endif
