/* trace.c -- typed trace events of the core as lines of the log: each state change of a link or a region is
 * one line, in words. */
#include "node/daemon/trace.h"

#include <stdio.h>
#include <string.h>

#include "node/daemon/logging.h"

enum { VALUE_BYTES = 64 };

/* How a number of an event is shown; the field is left out when the name is NULL. */
enum form { NUMBER, SIGNED, LINK, REGION, ERROR };

static const struct row {
    enum td_trace_code code;
    enum td_log_level level;
    const char *event;
    const char *ended; /* the event when a = 0, NULL = the same */
    const char *a;
    enum form a_form;
    const char *b;
} rows[] = {
    { TD_TR_STARTED, TD_INFO, "started", NULL, "registers", NUMBER, "start_number" },
    { TD_TR_LINK_STATE, TD_INFO, "link_state", NULL, "state", LINK, NULL },
    { TD_TR_SOURCE_CHANGED, TD_INFO, "source_changed", NULL, "via", REGION, NULL },
    { TD_TR_SOURCE_TRIED, TD_INFO, "source_tried", NULL, "via", REGION, "lag_ms" },
    { TD_TR_TRANSFER_DONE, TD_INFO, "transfer_done", NULL, "batches", NUMBER, "ms" },
    { TD_TR_TRANSFER_ENDED, TD_INFO, "transfer_ended", NULL, "reason", NUMBER, NULL },
    { TD_TR_INCARNATION, TD_INFO, "incarnation", NULL, "start_number", NUMBER, "reason" },
    { TD_TR_CLONE, TD_ERROR, "clone_suspected", NULL, NULL, NUMBER, NULL },
    { TD_TR_EQUIVOCATION, TD_ERROR, "equivocation", NULL, NULL, NUMBER, NULL },
    { TD_TR_ROLLED_BACK, TD_WARN, "rolled_back", NULL, "updates", NUMBER, NULL },
    { TD_TR_RECOVERING, TD_WARN, "recovering", "recovered", NULL, NUMBER, NULL },
    { TD_TR_PUBLISH_STOPPED, TD_ERROR, "publish_stopped", NULL, "why", ERROR, NULL },
    { TD_TR_PUBLISH_RESUMED, TD_INFO, "publish_resumed", NULL, NULL, NUMBER, NULL },
    { TD_TR_STALE, TD_WARN, "region_stale", "region_fresh", NULL, NUMBER, "age_ms" },
    { TD_TR_CLOCK_SKEW, TD_WARN, "clock_skew", NULL, "offset_ms", SIGNED, NULL },
    { TD_TR_DIGEST_DOUBT, TD_ERROR, "digest_doubt", "digest_agrees", NULL, NUMBER, NULL },
    { TD_TR_UPDATES_LOST, TD_ERROR, "updates_lost", NULL, "count", NUMBER, NULL },
    { TD_TR_CREDIT_EXCEEDED, TD_ERROR, "credit_exceeded", NULL, "lane", NUMBER, "bytes" },
    { TD_TR_REPAIRED, TD_WARN, "repaired", NULL, "registers", NUMBER, NULL },
};

void td_trace_region_name(struct td_node *node, struct td_region region, char *ret_name, size_t bytes)
{
    struct td_roster_ref *ref = region.v != 0 ? td_membership_get(node->membership) : NULL;
    const struct td_roster_region *row =
        ref != NULL ? td_roster_region(td_roster_ref_roster(ref), region) : NULL;
    size_t count = row != NULL && row->name.count < bytes ? row->name.count : 0;
    if (count > 0) {
        memcpy(ret_name, row->name.bytes, count);
    }
    ret_name[count] = '\0';
    if (ref != NULL) {
        td_roster_ref_put(ref);
    }
}

static void value_text(struct td_node *node, enum form form, uint64_t value, char ret_text[VALUE_BYTES])
{
    static const char *const links[] = { [TD_LINK_SELF] = "self", [TD_LINK_UP] = "up",
        [TD_LINK_LATE] = "late", [TD_LINK_DOWN] = "down", [TD_LINK_UNKNOWN] = "unknown" };
    switch (form) {
    case SIGNED:
        snprintf(ret_text, VALUE_BYTES, "%s", td_log_signed((int64_t)value));
        break;
    case LINK:
        snprintf(ret_text, VALUE_BYTES, "%s", value <= TD_LINK_UNKNOWN ? links[value] : "unknown");
        break;
    case REGION:
        td_trace_region_name(node, (struct td_region){ (uint8_t)value }, ret_text, VALUE_BYTES);
        if (ret_text[0] == '\0') {
            snprintf(ret_text, VALUE_BYTES, "nobody");
        }
        break;
    case ERROR:
        snprintf(ret_text, VALUE_BYTES, "%.63s", td_err_text((enum td_err)value));
        break;
    case NUMBER:
        snprintf(ret_text, VALUE_BYTES, "%llu", (unsigned long long)value);
        break;
    }
}

/* The reason comes from the connection that ended last; the core only knows that none is left. */
static const char *why_down(struct td_node *node, struct td_region region, uint64_t view)
{
    int why = __atomic_load_n(&node->link_ended[region.v], __ATOMIC_RELAXED);
    return view == TD_LINK_DOWN ? td_err_text((enum td_err)why) : NULL;
}

/* The first field that is NULL ends the line, so those that are there come first. */
static void write_row(struct td_node *node, const struct row *row, struct td_region region, uint64_t a,
                      uint64_t b)
{
    char name[TD_REGION_NAME_BYTES_MAX + 1];
    char value[VALUE_BYTES];
    bool ended = row->ended != NULL && a == 0;
    enum td_log_level level = ended ? TD_INFO : row->level;
    const char *event = ended ? row->ended : row->event;
    const char *why = row->code == TD_TR_LINK_STATE ? why_down(node, region, a) : NULL;

    td_trace_region_name(node, region, name, sizeof name);
    value_text(node, row->a_form, a, value);
    if (row->a == NULL) {
        td_log_event(level, event, "region", name, row->b, td_log_number(b), NULL);
    } else if (why != NULL) {
        td_log_event(level, event, "region", name, row->a, value, "why", why, NULL);
    } else {
        td_log_event(level, event, "region", name, row->a, value, row->b, td_log_number(b), NULL);
    }
}

void td_trace_write(void *self, enum td_trace_code code, struct td_region region, uint64_t a, uint64_t b)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].code == code) {
            write_row(self, &rows[i], region, a, b);
        }
    }
}
