/* watch.c -- following changes. Each request is answered once, with the changes since the cursor
 * or, when there are none, after idle_ms; the next request goes on from there. The cursor is the
 * node's arrival number, good for one process of one node; anywhere else the node resumes by the
 * version vector, so a change may be seen twice but none is passed over in silence. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "node/client/engine.h"
#include "node/client/read.h"
#include "node/client/text.h"
#include "node/client/update.h"
#include "node/client/watch_place.h"

enum { WATCH_LIMIT = 512, IDLE_MS_DEFAULT = 1000, RETRY_PAUSE_MS = 50, EMPTY_PAUSE_MS = 100 };
struct watch {
    struct tidings *t;
    struct td_filter filter;
    struct td_text jobs[TD_WATCH_JOBS_MAX];
    uint32_t idle_ms;
    struct td_watch_place place;
    uint64_t answered_ms;
    struct tidings_status status;
    struct tidings_freshness freshness;
};

/* False: the caller wants no more, or memory ran out. */
static bool emit(struct watch *watch, enum tidings_watch_event event,
                 const struct tidings_status *status,
                 bool (*call)(void *self, const struct tidings_watch_at *at), void *self)
{
    char *text = td_watch_place_text(&watch->place, watch->place.cursor);
    struct tidings_watch_at at = {event, status, &watch->freshness, text != NULL ? text : ""};
    bool more = call(self, &at);
    free(text);
    return more;
}

static bool deliver(struct watch *watch, const struct td_response *response,
                    bool (*call)(void *self, const struct tidings_watch_at *at), void *self)
{
    uint32_t count = response->u.registers.count;
    td_freshness_to_public(response, &watch->freshness);
    if (td_watch_place_begin(&watch->place, response) &&
        !emit(watch, TIDINGS_WATCH_RESET, NULL, call, self)) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct td_register_view *view = &response->u.registers.registers[i];
        watch->place.cursor = view->arrival;
        td_status_to_public(response, view, &watch->status);
        if (!emit(watch, TIDINGS_WATCH_UPDATE, &watch->status, call, self)) {
            return false;
        }
    }
    td_watch_place_end(&watch->place, response, WATCH_LIMIT);
    return count > 0 || emit(watch, TIDINGS_WATCH_IDLE, NULL, call, self);
}

static enum td_err ask(struct watch *watch, struct td_call_result *ret_result)
{
    struct td_request request = {.op = TD_OP_WATCH};
    /* The first answer comes at once: from then on there is a place to resume from. */
    request.timeout_ms = watch->place.placed ? watch->idle_ms : 0;
    request.u.watch.filter = watch->filter;
    request.u.watch.limit = WATCH_LIMIT;
    td_watch_place_ask(&watch->place, &request);
    /* Not the handle's token: the vector says from where to resume, and must be the watch's own. */
    struct td_call_options options = {.timeout_ms = watch->idle_ms + watch->t->timeout_ms,
                                      .no_token = true};
    return td_call(watch->t, &request, &options, ret_result);
}

static enum td_err start(struct watch *watch, const struct tidings_watch_options *options)
{
    enum td_err err = td_filter_from_public(watch->t, &options->filter, &watch->filter);
    if (err != TD_OK) {
        return err;
    }
    if (options->job_count > TD_WATCH_JOBS_MAX) {
        return TD_ETOOBIG;
    }
    for (size_t i = 0; i < options->job_count; i++) {
        watch->jobs[i] = td_text_of(options->jobs[i]);
        if (!td_job_valid(watch->jobs[i])) {
            return TD_EJOBID;
        }
    }
    watch->filter.jobs = watch->jobs;
    watch->filter.job_count = (uint32_t)options->job_count;
    watch->idle_ms = options->idle_ms > 0 ? options->idle_ms : IDLE_MS_DEFAULT;
    td_watch_place_init(&watch->place, options->from_start ? 0 : UINT64_MAX);
    watch->answered_ms = td_now_ms();
    if (options->cursor != NULL) {
        struct td_watch_cursor cursor;
        struct td_token_memory memory = {0};
        err = td_cursor_from_text(options->cursor, &cursor, &memory);
        if (err == TD_OK) {
            td_watch_place_resume(&watch->place, &cursor);
        }
        td_token_release(&memory);
    }
    return err;
}

static bool outage(enum td_err err)
{
    return err == TD_ENONODE || err == TD_ECLOSEDLINK || err == TD_ETIMEOUT ||
           err == TD_EDRAINING || err == TD_ESTARTING;
}

static void pause_ms(uint32_t ms)
{
    struct timespec time = {ms / 1000, (long)(ms % 1000) * 1000000};
    (void)nanosleep(&time, NULL);
}

static enum td_err step(struct watch *watch, bool *more,
                        bool (*call)(void *self, const struct tidings_watch_at *at), void *self)
{
    struct td_call_result result;
    enum td_err err = ask(watch, &result);
    err = err == TD_OK ? result.response.err : err;
    if (err == TD_OK) {
        watch->answered_ms = td_now_ms();
        *more = deliver(watch, &result.response, call, self);
        if (*more && watch->place.cursor == 0) {
            /* A node without any change yet answers "everything known" at once: do not spin. */
            pause_ms(watch->idle_ms < EMPTY_PAUSE_MS ? watch->idle_ms : EMPTY_PAUSE_MS);
        }
    } else if (outage(err) && !watch->t->stopping &&
               td_now_ms() < watch->answered_ms + watch->t->timeout_ms) {
        pause_ms(RETRY_PAUSE_MS);
        err = TD_OK;
    }
    td_call_release(&result);
    return err;
}

int tidings_watch(tidings *t, const struct tidings_watch_options *options,
                  bool (*event)(void *self, const struct tidings_watch_at *at), void *self)
{
    struct tidings_watch_options all = {0};
    struct watch *watch = calloc(1, sizeof *watch);
    bool more = true;
    if (watch == NULL) {
        return TD_ENOMEM;
    }
    watch->t = t;
    enum td_err err = start(watch, options != NULL ? options : &all);
    while (err == TD_OK && more) {
        err = step(watch, &more, event, self);
    }
    free(watch);
    return (int)err;
}
