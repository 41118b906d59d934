/* status.c -- the STATUS answer: every region as seen from here, how far each side is behind, and the
 * counters. The query, the metric and the alert read the same numbers. */
#include <string.h>

#include "node/core/answer.h"

enum { HEAD_INTERVAL_MS = 1000 };

static void fill_link(const struct td_core *core, uint8_t region_slot, struct td_region_view *view)
{
    const uint32_t index = td_link_of(core, region_slot);
    if (index != TD_NONE) {
        const struct td_link *link = &core->links[index];
        view->direct = true;
        view->rtt_known = link->rtt_known;
        view->rtt_us = link->srtt_us;
        view->probes = link->probes;
    }
    view->via = td_source_via(core, region_slot);
}

static void fill_heard(const struct td_core *core, uint8_t region_slot, struct td_region_view *view)
{
    const struct td_region_info *region = &core->regions[region_slot];
    view->heard = region->heard;
    if (!region->heard) {
        return;
    }
    view->heard_age_ms = core->now.boot_ms - region->head_boot_ms;
    view->offset_known = true;
    view->offset_ms = region->offset_ms;
    view->proto_min = region->proto_min;
    view->proto_max = region->proto_max;
    view->software = (struct td_text){ region->software, region->software_bytes };
}

/* Number of the newest head of this very life of a region, our own included; false = not known. */
static bool newest_head(const struct td_core *core, struct td_origin origin, uint64_t *ret_number)
{
    const uint8_t slot = core->slot_of[origin.region.v];
    if (slot == 255) {
        return false;
    }
    const bool self = slot == core->self_slot;
    const struct td_incarnation life = self ? core->process : core->regions[slot].head_incarnation;
    *ret_number = self ? core->head_signed_number : core->regions[slot].head_number;
    return (self || core->regions[slot].heard) &&
           td_incarnation_compare(life, origin.incarnation) == 0;
}

/* Whom this region says it hears: its echo table names the newest ticks it has seen; a row a region. The
 * age is that of the tick of a region whose heads we hold ourselves. */
static void fill_hears(struct td_core *core, uint8_t region_slot, struct td_region_view *view)
{
    const struct td_region_info *region = &core->regions[region_slot];
    struct td_fresh_view *rows = td_fx_scratch(core, TD_SLOTS, sizeof *rows);
    if (rows == NULL || !region->heard) {
        return;
    }
    uint32_t count = 0;
    for (uint32_t i = 0; i < region->echo_count && count < TD_SLOTS; ++i) {
        const struct td_region about = region->echo[i].origin.region;
        uint32_t row = 0;
        while (row < count && rows[row].region.v != about.v) {
            row += 1;
        }
        if (row == count) {
            rows[count++].region = about;
        }
        /* Two lives of a region may be in the table after its restart: the one it lives now counts. */
        uint64_t newest = 0;
        if (newest_head(core, region->echo[i].origin, &newest)) {
            const uint64_t echoed = region->echo[i].number;
            rows[row].missing_known = true;
            rows[row].missing = newest > echoed ? newest - echoed : 0;
            /* Heads come at least once a second: each one it has not echoed adds at most that. */
            rows[row].age_known = true;
            rows[row].age_ms = core->now.boot_ms - region->head_boot_ms +
                               rows[row].missing * HEAD_INTERVAL_MS;
        }
    }
    view->hears_count = count;
    view->hears = rows;
    view->detours_said = region->detours_said;
    view->detour_count = region->detour_count;
    view->detours = region->detours;
}

static void fill_region(struct td_core *core, uint8_t region_slot, struct td_region_view *view)
{
    const struct td_region_info *region = &core->regions[region_slot];
    *view = (struct td_region_view){
        .region = region->number,
        .self = region_slot == core->self_slot,
        .roster_state = (uint8_t)region->roster_state,
        .link_state = (uint8_t)td_peers_view(core, region_slot),
        .name = { region->name, region->name_bytes },
        .clone_suspected = region->clone_suspected,
        .rolled_back = region->rolled_back,
        .equivocated = region->equivocated,
        .fenced = region->fenced,
        .sign_key = region->sign_key,
        .they_lack_jobs = UINT32_MAX,
    };
    if (view->self) {
        view->heard = true;
        view->software = core->config.software;
        return;
    }
    fill_link(core, region_slot, view);
    fill_heard(core, region_slot, view);
    td_backlog_fill(core, region_slot, view);
    fill_hears(core, region_slot, view);
}

static void fill_lack(struct td_region_view *views, uint32_t count, const struct td_response *response)
{
    for (uint32_t i = 0; i < count; ++i) {
        for (uint32_t k = 0; k < response->freshness_count; ++k) {
            const struct td_fresh_view *row = &response->freshness[k];
            if (row->region.v == views[i].region.v) {
                views[i].we_lack = row->missing;
                views[i].we_lack_known = row->missing_known;
            }
        }
    }
}

static struct td_text text_of(const char *text)
{
    uint32_t bytes = 0;
    while (text[bytes] != 0) {
        bytes += 1;
    }
    return (struct td_text){ text, bytes };
}

static const struct td_counter *counters(struct td_core *core, uint32_t *ret_count)
{
    const uint32_t count = td_core_counter_count();
    struct td_counter *rows = td_fx_scratch(core, count, sizeof *rows);
    *ret_count = rows == NULL ? 0 : count;
    for (uint32_t i = 0; i < *ret_count; ++i) {
        rows[i] = (struct td_counter){ text_of(td_core_counter_name(i)), core->counters[i] };
    }
    return rows;
}

void td_query_status(struct td_core *core, uint32_t client_link, const struct td_request *request)
{
    struct td_response *response = td_query_reply(core, client_link, request->id, TD_OP_STATUS);
    struct td_region_view *views = td_fx_scratch(core, TD_SLOTS, sizeof *views);
    if (response == NULL || views == NULL) {
        return;
    }
    uint32_t count = 0;
    td_backlog_refresh(core);
    for (uint8_t slot = 0; slot < TD_SLOTS; ++slot) {
        if (core->regions[slot].number.v != 0) {
            fill_region(core, slot, &views[count++]);
        }
    }
    fill_lack(views, count, response);
    response->u.status.region_count = count;
    response->u.status.regions = views;
    response->u.status.counters = counters(core, &response->u.status.counter_count);
    response->u.status.roster_version = core->roster_version;
    response->u.status.register_count = core->register_count;
    const enum td_err refusal = td_publish_refusal(core);
    response->u.status.publishing = refusal == TD_OK && core->incarnation_durable;
    response->message = refusal != TD_OK ? text_of(td_err_text(refusal)) : response->message;
}
