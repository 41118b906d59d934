/* roster_diff.c -- see roster_diff.h. */
#include "node/cli/roster_diff.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "node/cli/cli.h"
#include "proto/text.h"

enum { CHANGE_BYTES = 512 };

struct diff {
    void (*say)(void *self, const char *change);
    void *self;
};

__attribute__((format(printf, 2, 3))) static void say(const struct diff *diff, const char *format,
                                                      ...)
{
    char text[CHANGE_BYTES];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    diff->say(diff->self, text);
}

static bool same_texts(const struct td_text *a, uint32_t a_count, const struct td_text *b,
                       uint32_t b_count)
{
    bool same = a_count == b_count;

    for (uint32_t i = 0; same && i < a_count; i++) {
        same = td_text_equal(a[i], b[i]);
    }
    return same;
}

static void state_changed(const struct diff *diff, const char *name,
                          const struct td_roster_region *before,
                          const struct td_roster_region *after)
{
    char since[TD_TIME_TEXT_BYTES] = "";

    if (after->state != before->state && after->state == TD_REGION_CLOSING) {
        say(diff, "%s is leaving", name);
    } else if (after->state != before->state && after->state == TD_REGION_CLOSED) {
        say(diff, "%s closed, %s count", name,
            td_cli_plural(after->closed_count, "incarnation", "incarnations"));
    }
    if (after->doubtful_since_ms != before->doubtful_since_ms) {
        (void)td_time_format(after->doubtful_since_ms, since);
        say(diff, "%s revoked, doubtful since %s", name, since);
    }
}

static void region_changed(const struct diff *diff, const struct td_roster_region *before,
                           const struct td_roster_region *after)
{
    const char *name = td_cli_shown(after->name);

    state_changed(diff, name, before, after);
    if (after->key_count > before->key_count) {
        say(diff, "%s has key %u", name, td_roster_newest_key(after)->number);
    }
    if (after->retired_below != before->retired_below) {
        say(diff, "keys of %s below %u retired, %s count", name, after->retired_below,
            td_cli_plural(after->retired_count, "incarnation", "incarnations"));
    }
    if (after->quota_registers != before->quota_registers ||
        after->quota_bytes != before->quota_bytes) {
        say(diff, "quota of %s: %llu registers, %llu bytes", name,
            (unsigned long long)after->quota_registers, (unsigned long long)after->quota_bytes);
    }
    if (!same_texts(before->endpoints, before->endpoint_count, after->endpoints,
                    after->endpoint_count)) {
        say(diff, "endpoints of %s", name);
    }
}

static const struct td_roster_client *client_of(const struct td_roster *roster, uint32_t number)
{
    for (uint32_t i = 0; i < roster->client_count; i++) {
        if (roster->clients[i].number == number) {
            return &roster->clients[i];
        }
    }
    return NULL;
}

static void clients_changed(const struct diff *diff, const struct td_roster *before,
                            const struct td_roster *after)
{
    for (uint32_t i = 0; i < after->client_count; i++) {
        if (client_of(before, after->clients[i].number) == NULL) {
            say(diff, "client %s added", td_cli_shown(after->clients[i].name));
        }
    }
    for (uint32_t i = 0; i < before->client_count; i++) {
        if (client_of(after, before->clients[i].number) == NULL) {
            say(diff, "client %s revoked", td_cli_shown(before->clients[i].name));
        }
    }
}

void td_roster_diff(const struct td_roster *before, const struct td_roster *after,
                    void (*say_)(void *self, const char *change), void *self)
{
    static const struct td_roster nothing;
    struct diff diff = {say_, self};
    const struct td_roster *old = before != NULL ? before : &nothing;

    for (uint32_t i = 0; i < after->region_count; i++) {
        const struct td_roster_region *known = td_roster_region(old, after->regions[i].number);
        if (known == NULL) {
            say(&diff, "%s added as region %u", td_cli_shown(after->regions[i].name),
                after->regions[i].number.v);
        } else {
            region_changed(&diff, known, &after->regions[i]);
        }
    }
    clients_changed(&diff, old, after);
    if (before != NULL && memcmp(&old->policy, &after->policy, sizeof old->policy) != 0) {
        say(&diff, "policy changed");
    }
}
