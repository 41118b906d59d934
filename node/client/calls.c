/* calls.c -- raw requests: the caller encodes, the handle's thread sends, fails over and matches
 * the answer by id, the caller decodes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "node/client/engine.h"
#include "proto/assert.h"

enum { REQUEST_ROOM_BYTES = 64 * 1024 };

static void finish(struct td_call_job *job, enum td_err err)
{
    job->done = true;
    job->err = err;
    (void)pthread_cond_signal(&job->finished);
}

static void unlink_job(struct tidings *t, struct td_call_job *job)
{
    struct td_call_job **at = &t->calls;
    while (*at != NULL && *at != job) {
        at = &(*at)->next;
    }
    if (*at != NULL) {
        *at = job->next;
    }
}

void td_calls_send(struct tidings *t, uint64_t now_ms)
{
    (void)pthread_mutex_lock(&t->hub.lock);
    for (struct td_call_job *job = t->calls; job != NULL; job = job->next) {
        if (job->sent || job->done) {
            continue;
        }
        if (job->this_node_only && t->node_index != 0) {
            finish(job, TD_ENONODE);
            continue;
        }
        struct td_bytes payload = {job->payload, job->payload_bytes};
        if (td_conn_send(t->conn, TD_MSG_REQUEST, payload) != TD_OK) {
            break; /* backlog: the next round */
        }
        job->sent = true;
        job->node_index = t->node_index;
        job->answer_by_ms = now_ms + job->node_wait_ms + job->grace_ms;
    }
    (void)pthread_mutex_unlock(&t->hub.lock);
}

/* "Use another node", while there is one that has not said so. */
static bool try_elsewhere(const struct tidings *t, const struct td_call_job *job, enum td_err err)
{
    bool elsewhere = err == TD_EDRAINING || err == TD_ESTARTING;
    return elsewhere && !job->this_node_only && job->refusals + 1 < t->address_count;
}

bool td_calls_response(struct tidings *t, uint64_t id, enum td_err err, uint8_t *take_payload,
                       size_t payload_bytes)
{
    bool found = false;
    (void)pthread_mutex_lock(&t->hub.lock);
    for (struct td_call_job *job = t->calls; job != NULL && !found; job = job->next) {
        if (job->id != id || !job->sent || job->done) {
            continue;
        }
        found = true;
        if (try_elsewhere(t, job, err)) {
            job->refusals++;
            job->sent = false;
            t->leave_node = true;
            t->leave_err = err;
            free(take_payload);
        } else {
            job->answer = take_payload;
            job->answer_bytes = payload_bytes;
            finish(job, TD_OK);
        }
    }
    (void)pthread_mutex_unlock(&t->hub.lock);
    return found;
}

void td_calls_unsend(struct tidings *t, enum td_err err)
{
    (void)pthread_mutex_lock(&t->hub.lock);
    for (struct td_call_job *job = t->calls; job != NULL; job = job->next) {
        job->sent = false;
        bool hopeless = job->this_node_only ? true : t->dial_failures >= job->give_up_failures;
        if (!job->done && hopeless) {
            finish(job, job->this_node_only ? err : t->round_err);
        }
    }
    (void)pthread_mutex_unlock(&t->hub.lock);
}

void td_calls_expire(struct tidings *t, uint64_t now_ms, uint64_t *wake_us)
{
    bool overdue = false;
    (void)pthread_mutex_lock(&t->hub.lock);
    for (struct td_call_job *job = t->calls; job != NULL; job = job->next) {
        if (job->done) {
            continue;
        }
        if (now_ms >= job->deadline_ms) {
            finish(job, t->no_node ? t->round_err : TD_ETIMEOUT);
            continue;
        }
        overdue = overdue || (job->sent && now_ms >= job->answer_by_ms);
        uint64_t next_ms = job->sent && job->answer_by_ms < job->deadline_ms ? job->answer_by_ms
                                                                             : job->deadline_ms;
        *wake_us = next_ms * 1000 < *wake_us ? next_ms * 1000 : *wake_us;
    }
    if (overdue) {
        t->leave_node = true;
        t->leave_err = TD_ETIMEOUT;
    }
    (void)pthread_mutex_unlock(&t->hub.lock);
}

void td_calls_fail_all(struct tidings *t, enum td_err err)
{
    (void)pthread_mutex_lock(&t->hub.lock);
    for (struct td_call_job *job = t->calls; job != NULL; job = job->next) {
        if (!job->done) {
            finish(job, err);
        }
    }
    (void)pthread_mutex_unlock(&t->hub.lock);
}

/* ---- the caller's side ---- */

static size_t request_room(const struct td_request *request)
{
    size_t room = REQUEST_ROOM_BYTES + 32 * (size_t)request->after.entry_count;
    if (request->op == TD_OP_PUBLISH) {
        room += TD_REQUEST_BYTES_MAX;
    }
    if (request->op == TD_OP_ROSTER_PUSH) {
        room += request->u.roster.count;
    }
    return room;
}

/* The request with everything this handle has seen, encoded. */
static enum td_err encode(struct tidings *t, const struct td_request *from, bool no_token,
                          struct td_call_job *job)
{
    struct td_request request = *from;
    struct td_vv_entry *entries = calloc(TD_VV_ENTRIES_MAX, sizeof *entries);
    struct td_vv_fold folds[TD_REGIONS_MAX];
    enum td_err err = entries == NULL ? TD_ENOMEM : TD_OK;
    (void)pthread_mutex_lock(&t->hub.lock);
    request.id = t->next_id++;
    if (err == TD_OK && !no_token) {
        struct td_vv merged;
        if (td_vv_merge(&from->after, &t->has, entries, TD_VV_ENTRIES_MAX, folds, TD_REGIONS_MAX,
                        &merged)) {
            request.after = merged;
        }
    }
    (void)pthread_mutex_unlock(&t->hub.lock);
    size_t room = request_room(&request);
    job->id = request.id;
    job->payload = err == TD_OK ? malloc(room) : NULL;
    if (job->payload == NULL) {
        err = TD_ENOMEM;
    } else {
        job->payload_bytes = td_request_encode(&request, job->payload, room);
        bool fits = job->payload_bytes > 0 && job->payload_bytes < TD_FRAME_BYTES_MAX;
        err = fits ? TD_OK : TD_ETOOBIG;
    }
    free(entries);
    return err;
}

static enum td_err wait_for(struct tidings *t, struct td_call_job *job)
{
    (void)pthread_mutex_lock(&t->hub.lock);
    if (t->stopping) {
        (void)pthread_mutex_unlock(&t->hub.lock);
        return TD_ECLOSEDLINK;
    }
    job->give_up_failures = t->dial_failures + t->address_count;
    struct td_call_job **at = &t->calls;
    while (*at != NULL) {
        at = &(*at)->next;
    }
    *at = job;
    td_hub_signal(&t->hub);
    while (!job->done) {
        (void)pthread_cond_wait(&job->finished, &t->hub.lock);
    }
    unlink_job(t, job);
    (void)pthread_cond_broadcast(&t->changed);
    (void)pthread_mutex_unlock(&t->hub.lock);
    return job->err;
}

static enum td_err decode(struct tidings *t, struct td_call_result *result, size_t bytes)
{
    struct td_reader *reader = td_reader_alloc();
    size_t arena_bytes = td_arena_bytes_for(bytes);
    struct td_arena arena;
    enum td_err err = TD_ENOMEM;
    result->arena_bytes = malloc(arena_bytes);
    if (reader != NULL && result->arena_bytes != NULL) {
        td_arena_init(&arena, result->arena_bytes, arena_bytes);
        err = td_response_decode((struct td_bytes){result->bytes, bytes}, reader, &arena,
                                 &result->response);
    }
    td_reader_free(reader);
    if (err == TD_OK) {
        (void)pthread_mutex_lock(&t->hub.lock);
        td_engine_saw(t, &result->response.has);
        (void)pthread_mutex_unlock(&t->hub.lock);
    }
    return err;
}

enum td_err td_call(struct tidings *t, const struct td_request *request,
                    const struct td_call_options *options, struct td_call_result *ret_result)
{
    struct td_call_options none = {0};
    struct td_call_job job = {0};
    options = options != NULL ? options : &none;
    memset(ret_result, 0, sizeof *ret_result);
    enum td_err err = encode(t, request, options->no_token, &job);
    if (err == TD_OK) {
        uint64_t timeout_ms = options->timeout_ms > 0 ? options->timeout_ms : t->timeout_ms;
        uint64_t least_ms = (uint64_t)request->timeout_ms + TD_ANSWER_GRACE_MS;
        timeout_ms =
            request->timeout_ms > 0 && timeout_ms <= request->timeout_ms ? least_ms : timeout_ms;
        job.deadline_ms = td_now_ms() + timeout_ms;
        job.node_wait_ms = request->timeout_ms;
        job.grace_ms = td_grace_ms(timeout_ms);
        job.this_node_only = options->this_node_only;
        (void)pthread_cond_init(&job.finished, NULL);
        err = wait_for(t, &job);
        (void)pthread_cond_destroy(&job.finished);
    }
    free(job.payload);
    ret_result->bytes = job.answer;
    (void)snprintf(ret_result->node_address, sizeof ret_result->node_address, "%s",
                   t->addresses[job.node_index]);
    return err == TD_OK ? decode(t, ret_result, job.answer_bytes) : err;
}

void td_call_release(struct td_call_result *result)
{
    free(result->bytes);
    free(result->arena_bytes);
    result->bytes = NULL;
    result->arena_bytes = NULL;
}

void td_call_last_failure(struct tidings *t, char *ret_text, size_t text_bytes)
{
    (void)pthread_mutex_lock(&t->hub.lock);
    (void)snprintf(ret_text, text_bytes, "%s", t->last_failure);
    (void)pthread_mutex_unlock(&t->hub.lock);
}
