/* sentences.c -- see sentences.h. */
#include "node/client/sentences.h"

#include <stdio.h>

#include "node/client/text.h"

enum { NAME_BYTES = TD_REGION_NAME_BYTES_MAX * 8 + 1, LINE_BYTES = 4096 };

/* Oldest of all regions but the deciding one; false when one of them is unknown. */
static bool others_age(const struct td_response *response, uint32_t deciding, uint64_t *ret_ms)
{
    uint64_t oldest_ms = 0;

    for (uint32_t i = 0; i < response->freshness_count; i++) {
        if (i == deciding) {
            continue;
        }
        if (!response->freshness[i].age_known) {
            return false;
        }
        oldest_ms =
            response->freshness[i].age_ms > oldest_ms ? response->freshness[i].age_ms : oldest_ms;
    }
    *ret_ms = oldest_ms;
    return true;
}

void td_fresh_sentence(const struct td_response *response, char *ret_text, size_t text_bytes)
{
    uint32_t deciding = td_freshness_deciding(response);
    uint64_t others_ms = 0;
    char name[NAME_BYTES];
    char age[TD_DURATION_TEXT_BYTES];

    if (deciding == UINT32_MAX) {
        (void)snprintf(ret_text, text_bytes, "%s",
                       response->certain ? "complete: there is no other region"
                                         : "not certain yet");
        return;
    }
    const struct td_fresh_view *view = &response->freshness[deciding];
    td_text_escape(td_response_region_name(response, view->region), name, sizeof name);
    td_duration_format(view->age_ms, age);
    if (response->certain && view->age_known) {
        (void)snprintf(ret_text, text_bytes, "complete as of %s ago (%s is the oldest)", age, name);
        return;
    }
    int used = view->age_known
                   ? snprintf(ret_text, text_bytes, "STALE: %s last complete %s ago.", name, age)
                   : snprintf(ret_text, text_bytes,
                              "UNKNOWN: %s has not been complete since this node started%s.", name,
                              view->recovering ? " (it is recovering)"
                              : view->doubt    ? " (its digest differs)"
                                               : "");
    if (response->freshness_count > 1 && used > 0 && (size_t)used < text_bytes) {
        bool known = others_age(response, deciding, &others_ms);
        td_duration_format(others_ms, age);
        (void)snprintf(ret_text + used, text_bytes - (size_t)used,
                       known ? " Other regions within %s." : " More regions are unknown%s.",
                       known ? age : "");
    }
}

void td_unknown_sentence(const struct td_response *response, uint64_t attempt, bool certain,
                         char *ret_text, size_t text_bytes)
{
    char what[64] = "this job";
    char age[TD_DURATION_TEXT_BYTES];
    char fresh[LINE_BYTES];
    uint32_t deciding = td_freshness_deciding(response);

    if (attempt != 0) {
        (void)snprintf(what, sizeof what, "attempt %llu of this job", (unsigned long long)attempt);
    }
    if (!certain) {
        td_fresh_sentence(response, fresh, sizeof fresh);
        (void)snprintf(ret_text, text_bytes, "unknown here, and that is not certain: %.2000s",
                       fresh);
    } else if (deciding == UINT32_MAX) {
        (void)snprintf(ret_text, text_bytes, "no region knows %s (there is only one)", what);
    } else {
        td_duration_format(response->freshness[deciding].age_ms, age);
        (void)snprintf(ret_text, text_bytes, "no region knows %s as of %s ago", what, age);
    }
}

bool td_fresh_within(const struct td_response *response, uint64_t max_stale_ms)
{
    uint32_t at = td_freshness_deciding(response);

    return at == UINT32_MAX ||
           (response->freshness[at].age_known && response->freshness[at].age_ms <= max_stale_ms);
}
