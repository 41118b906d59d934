/* read.c -- get and list. */
#include "node/client/read.h"

#include <stdlib.h>
#include <string.h>

#include "node/client/engine.h"
#include "node/client/text.h"
#include "node/client/update.h"

enum { PAGE_REGISTERS = 256, PREFIX_BYTES_MAX = TD_JOB_BYTES_MAX };

uint32_t td_node_wait_ms(const struct tidings *t, uint32_t timeout_ms)
{
    uint32_t whole = timeout_ms > 0 ? timeout_ms : t->timeout_ms;
    return whole / 2; /* the other half is for finding another node */
}

int tidings_get(tidings *t, const char *job, uint16_t attempt, struct tidings_status *ret_status,
                struct tidings_freshness *ret_freshness)
{
    struct td_request request = {.op = TD_OP_GET, .timeout_ms = td_node_wait_ms(t, 0)};
    struct td_call_result result;
    request.u.get.job = td_text_of(job);
    request.u.get.attempt = attempt;
    if (!td_job_valid(request.u.get.job)) {
        return TD_EJOBID;
    }
    enum td_err err = td_call(t, &request, NULL, &result);
    if (err == TD_OK) {
        const struct td_response *response = &result.response;
        err = response->err;
        bool found = response->op == TD_OP_GET && response->u.registers.count > 0;
        if (found && ret_status != NULL) {
            td_status_to_public(response, &response->u.registers.registers[0], ret_status);
        }
        if (!found && err == TD_OK) {
            err = TD_EUNKNOWN;
        }
        if (ret_freshness != NULL) {
            td_freshness_to_public(response, ret_freshness);
        }
    }
    td_call_release(&result);
    return (int)err;
}

/* Region numbers are the roster's; a name is looked up with the node. */
static enum td_err region_of(struct tidings *t, const char *name, struct td_region *ret_region)
{
    struct td_request request = {.op = TD_OP_STATUS};
    struct td_call_result result;
    enum td_err err = td_call(t, &request, NULL, &result);
    if (err == TD_OK) {
        err = result.response.err != TD_OK ? result.response.err : TD_EUSAGE;
        const struct td_response *response = &result.response;
        for (uint32_t i = 0; err == TD_EUSAGE && i < response->u.status.region_count; i++) {
            const struct td_region_view *region = &response->u.status.regions[i];
            if (td_text_equal(region->name, td_text_of(name))) {
                *ret_region = region->region;
                err = TD_OK;
            }
        }
    }
    td_call_release(&result);
    return err;
}

enum td_err td_filter_from_public(struct tidings *t, const struct tidings_filter *from,
                                  struct td_filter *ret_filter)
{
    struct td_filter filter = {.states = (uint8_t)from->states,
                               .prefix = td_text_of(from->prefix),
                               .since_ms = from->since_ms,
                               .silent = from->silent,
                               .conflicts = from->conflicts};
    enum td_err err = TD_OK;
    if (from->states > UINT8_MAX) {
        return TD_ESTATE;
    }
    if (filter.prefix.count > PREFIX_BYTES_MAX) {
        return TD_EJOBID;
    }
    if (from->origin != NULL && from->origin[0] != '\0') {
        err = region_of(t, from->origin, &filter.origin);
    }
    if (err == TD_OK) {
        *ret_filter = filter;
    }
    return err;
}

struct tidings_list {
    struct tidings *t;
    struct td_filter filter;
    char *prefix;
    bool fetched;
    uint32_t at; /* next register of the page */
    uint64_t cursor;
    struct td_call_result page;
};

int tidings_list_open(tidings *t, const struct tidings_filter *filter, tidings_list **ret_list)
{
    struct tidings_filter all = {0};
    struct tidings_list *list = calloc(1, sizeof *list);
    if (list == NULL) {
        return TD_ENOMEM;
    }
    filter = filter != NULL ? filter : &all;
    enum td_err err = td_filter_from_public(t, filter, &list->filter);
    list->t = t;
    list->prefix = strdup(filter->prefix != NULL ? filter->prefix : "");
    err = err == TD_OK && list->prefix == NULL ? TD_ENOMEM : err;
    if (err != TD_OK) {
        tidings_list_close(list);
        return (int)err;
    }
    list->filter.prefix = td_text_of(list->prefix);
    *ret_list = list;
    return TD_OK;
}

static enum td_err fetch_page(struct tidings_list *list)
{
    struct td_request request = {.op = TD_OP_LIST, .timeout_ms = td_node_wait_ms(list->t, 0)};
    request.u.list.filter = list->filter;
    request.u.list.limit = PAGE_REGISTERS;
    request.u.list.cursor = list->cursor;
    td_call_release(&list->page);
    enum td_err err = td_call(list->t, &request, NULL, &list->page);
    err = err == TD_OK ? list->page.response.err : err;
    if (err == TD_OK) {
        list->fetched = true;
        list->at = 0;
        list->cursor = list->page.response.u.registers.next_cursor;
    }
    return err;
}

int tidings_list_next(tidings_list *list, struct tidings_status *ret_status, bool *ret_more,
                      struct tidings_freshness *ret_freshness)
{
    /* The node scans in slices: a page may be empty though there is more. */
    while (!list->fetched ||
           (list->at == list->page.response.u.registers.count && list->cursor != 0)) {
        enum td_err err = fetch_page(list);
        if (err != TD_OK) {
            return (int)err;
        }
    }
    const struct td_response *response = &list->page.response;
    *ret_more = list->at < response->u.registers.count;
    if (ret_freshness != NULL) {
        td_freshness_to_public(response, ret_freshness);
    }
    if (*ret_more) {
        td_status_to_public(response, &response->u.registers.registers[list->at++], ret_status);
    }
    return TD_OK;
}

void tidings_list_close(tidings_list *take_list)
{
    if (take_list != NULL) {
        td_call_release(&take_list->page);
        free(take_list->prefix);
        free(take_list);
    }
}
