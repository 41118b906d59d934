/* seats.c -- see seats.h. */
#include "node/http/seats.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "node/http/http.h"
#include "proto/assert.h"
#include "proto/reader.h"

enum { REQUEST_ROOM_BYTES = 64 * 1024 };

bool td_seats_init(struct td_seats *seats, uint32_t count)
{
    *seats = (struct td_seats){.count = count, .next_id = 1};
    seats->seats = calloc(count, sizeof *seats->seats);
    pthread_mutex_init(&seats->mutex, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    for (uint32_t i = 0; i < count && seats->seats != NULL; i++) {
        pthread_cond_init(&seats->seats[i].answered, &attributes);
    }
    pthread_condattr_destroy(&attributes);
    return seats->seats != NULL;
}

void td_seats_fini(struct td_seats *seats)
{
    for (uint32_t i = 0; i < seats->count && seats->seats != NULL; i++) {
        TD_ASSERT(!seats->seats[i].taken);
        pthread_cond_destroy(&seats->seats[i].answered);
    }
    pthread_mutex_destroy(&seats->mutex);
    free(seats->seats);
    seats->seats = NULL;
}

void td_seats_stop(struct td_seats *seats)
{
    pthread_mutex_lock(&seats->mutex);
    seats->stopping = true;
    for (uint32_t i = 0; i < seats->count; i++) {
        pthread_cond_broadcast(&seats->seats[i].answered);
    }
    pthread_mutex_unlock(&seats->mutex);
}

void td_seats_answer(struct td_seats *seats, uint32_t index, uint64_t id, struct td_bytes answer)
{
    if (index >= seats->count) {
        return;
    }
    uint8_t *copy = malloc(answer.count + 1);
    pthread_mutex_lock(&seats->mutex);
    struct td_seat *seat = &seats->seats[index];
    if (copy != NULL && seat->taken && seat->id == id && seat->bytes == NULL) {
        memcpy(copy, answer.bytes, answer.count);
        seat->bytes = copy;
        seat->count = answer.count;
        copy = NULL;
        pthread_cond_signal(&seat->answered);
    }
    pthread_mutex_unlock(&seats->mutex);
    free(copy);
}

static struct td_seat *take_seat(struct td_seats *seats, uint64_t *ret_id)
{
    struct td_seat *seat = NULL;
    pthread_mutex_lock(&seats->mutex);
    for (uint32_t i = 0; i < seats->count && seat == NULL; i++) {
        seat = seats->seats[i].taken ? NULL : &seats->seats[i];
    }
    if (seat != NULL) {
        seat->taken = true;
        seat->id = *ret_id = seats->next_id++;
    }
    pthread_mutex_unlock(&seats->mutex);
    return seat;
}

static struct timespec moment_after(uint64_t ms)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += (time_t)(ms / 1000);
    at.tv_nsec += (long)(ms % 1000) * 1000000L;
    if (at.tv_nsec >= 1000000000L) {
        at.tv_sec++;
        at.tv_nsec -= 1000000000L;
    }
    return at;
}

/* Waits, and leaves the seat to the next in every case. */
static enum td_err wait_answer(struct td_seats *seats, struct td_seat *seat, uint64_t wait_ms,
                               struct td_call_result *answer, size_t *ret_count)
{
    struct timespec until = moment_after(wait_ms);
    int waited = 0;
    pthread_mutex_lock(&seats->mutex);
    while (seat->bytes == NULL && !seats->stopping && waited == 0) {
        waited = pthread_cond_timedwait(&seat->answered, &seats->mutex, &until);
    }
    enum td_err err = seat->bytes != NULL ? TD_OK : seats->stopping ? TD_ECLOSEDLINK : TD_ETIMEOUT;
    answer->bytes = seat->bytes;
    *ret_count = seat->count;
    seat->bytes = NULL;
    seat->id = 0;
    seat->taken = false;
    pthread_mutex_unlock(&seats->mutex);
    return err;
}

static enum td_err decode(struct td_call_result *answer, size_t count)
{
    struct td_reader *reader = td_reader_alloc();
    size_t arena_bytes = td_arena_bytes_for(count);
    struct td_arena arena;
    enum td_err err = TD_ENOMEM;
    answer->arena_bytes = malloc(arena_bytes);
    if (reader != NULL && answer->arena_bytes != NULL) {
        td_arena_init(&arena, answer->arena_bytes, arena_bytes);
        err = td_response_decode((struct td_bytes){answer->bytes, count}, reader, &arena,
                                 &answer->response);
    }
    td_reader_free(reader);
    return err;
}

static enum td_err send(const struct td_http_ops *ops, const struct td_request *request,
                        uint32_t link)
{
    size_t room = REQUEST_ROOM_BYTES + 32 * (size_t)request->after.entry_count;
    uint8_t *payload = malloc(room);
    size_t count = payload != NULL ? td_request_encode(request, payload, room) : 0;
    if (count == 0) {
        enum td_err err = payload != NULL ? TD_ETOOBIG : TD_ENOMEM;
        free(payload);
        return err;
    }
    ops->ask(ops->self, link, payload, count);
    return TD_OK;
}

/* Nobody waits any more: the node need not hold the request. */
static void cancel(const struct td_http_ops *ops, uint64_t id, uint32_t link)
{
    struct td_request request = {.id = id, .op = TD_OP_CANCEL, .u = {.cancel_id = id}};
    (void)send(ops, &request, link); /* without memory the node's own time-out ends it */
}

enum td_err td_seats_ask(struct td_seats *seats, const struct td_http_ops *ops,
                         struct td_request *request, uint32_t ask_ms,
                         struct td_call_result *ret_answer)
{
    memset(ret_answer, 0, sizeof *ret_answer);
    struct td_seat *seat = take_seat(seats, &request->id);
    if (seat == NULL) {
        return TD_EHTTPBUSY;
    }
    size_t count = 0;
    uint32_t link = TD_HTTP_LINK_FIRST + (uint32_t)(seat - seats->seats);
    enum td_err err = send(ops, request, link);
    uint64_t wait_ms = err == TD_OK ? (uint64_t)request->timeout_ms + ask_ms : 0;
    enum td_err waited = wait_answer(seats, seat, wait_ms, ret_answer, &count);
    if (err == TD_OK && waited == TD_ETIMEOUT) {
        cancel(ops, request->id, link);
    }
    err = err == TD_OK ? waited : err;
    return err == TD_OK ? decode(ret_answer, count) : err;
}
