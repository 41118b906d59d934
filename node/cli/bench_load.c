/* bench_load.c -- the open loop: update i is due at start + i/rate whatever the node does, and its
 * latency counts from then. With --rate max it is due when there is room. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "node/cli/bench.h"
#include "node/cli/progress.h"
#include "proto/order.h"

enum { FLUSH_MS = 60000, LATE_US = 1000 };

/* Hexadecimal: short, and cheap to write a hundred thousand times a second. */
static char *put_hex(char *at, uint64_t value)
{
    static const char digits[] = "0123456789abcdef";
    char reversed[16];
    unsigned count = 0;

    do {
        reversed[count++] = digits[value & 15];
        value >>= 4;
    } while (value != 0);
    while (count > 0) {
        *at++ = reversed[--count];
    }
    return at;
}

void td_bench_detail(const struct td_bench *bench, uint64_t seq, uint64_t intended_us,
                     char ret_detail[TIDINGS_DETAIL_BYTES + 1])
{
    char *at = put_hex(ret_detail, seq);

    *at++ = '@';
    at = put_hex(at, intended_us);
    *at++ = ' ';
    size_t used = (size_t)(at - ret_detail);
    if (used < bench->payload_bytes) {
        memset(at, 'x', bench->payload_bytes - used);
        at += bench->payload_bytes - used;
    }
    *at = '\0';
}

static bool take_hex(struct td_text text, uint32_t *at, char end, uint64_t *ret_value)
{
    uint64_t value = 0;
    uint32_t start = *at;

    for (; *at < text.count && *at - start < 16; (*at)++) {
        char c = text.bytes[*at];
        if (c >= '0' && c <= '9') {
            value = value << 4 | (uint64_t)(c - '0');
        } else if (c >= 'a' && c <= 'f') {
            value = value << 4 | (uint64_t)(c - 'a' + 10);
        } else {
            break;
        }
    }
    if (*at == start || *at >= text.count || text.bytes[*at] != end) {
        return false;
    }
    (*at)++;
    *ret_value = value;
    return true;
}

bool td_bench_detail_parse(struct td_text detail, uint64_t *ret_seq, uint64_t *ret_intended_us)
{
    uint32_t at = 0;
    uint64_t seq = 0;

    if (!take_hex(detail, &at, '@', &seq) || !take_hex(detail, &at, ' ', ret_intended_us)) {
        return false;
    }
    *ret_seq = seq;
    return true;
}

bool td_bench_take_memory(struct td_bench *bench)
{
    bench->slot_count = bench->in_flight * bench->batch;
    bench->offered = calloc(bench->job_count, sizeof *bench->offered);
    bench->confirmed = calloc(bench->job_count, sizeof *bench->confirmed);
    bench->slots = calloc(bench->slot_count, sizeof *bench->slots);
    bench->ring = calloc(bench->slot_count, sizeof *bench->ring);
    if (bench->offered == NULL || bench->confirmed == NULL || bench->slots == NULL ||
        bench->ring == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < bench->slot_count; i++) {
        bench->slots[i].bench = bench;
        bench->ring[i] = &bench->slots[i];
    }
    atomic_init(&bench->put, bench->slot_count);
    pthread_mutex_init(&bench->lock, NULL);
    pthread_cond_init(&bench->given_back, NULL);
    return true;
}

void td_bench_release_memory(struct td_bench *bench)
{
    free(bench->offered);
    free(bench->confirmed);
    free(bench->slots);
    free(bench->ring);
}

static void count_answer(struct td_bench *bench, const struct td_bench_slot *slot,
                         const struct tidings_result *result)
{
    uint64_t now_us = td_cli_mono_us();

    if (result->err != TIDINGS_OK) {
        bench->refused_err = bench->refused == 0 ? result->err : bench->refused_err;
        bench->refused++;
        return;
    }
    bench->acknowledged++;
    bench->acknowledged_us = now_us;
    if (slot->intended_us != 0) {
        bench->load_acknowledged++;
        bench->load_us = now_us;
        td_histogram_add(&bench->ack, now_us > slot->intended_us ? now_us - slot->intended_us : 0,
                         1);
    }
    if (slot->seq > bench->confirmed[slot->job]) {
        bench->confirmed[slot->job] = slot->seq;
    }
    struct td_origin origin = {{result->region},
                               {result->incarnation_start, result->incarnation_random}};
    bool other = td_origin_compare(origin, bench->newest.origin) != 0;
    if (other || result->seq > bench->newest.seq) {
        bench->newest = (struct td_vv_entry){origin, result->seq};
    }
}

/* On the handle's thread. */
static void on_answer(void *arg, const struct tidings_result *result)
{
    struct td_bench_slot *slot = arg;
    struct td_bench *bench = slot->bench;

    count_answer(bench, slot, result);
    uint64_t put = atomic_load_explicit(&bench->put, memory_order_relaxed);
    bench->ring[put % bench->slot_count] = slot;
    atomic_store(&bench->put, put + 1);
    if (atomic_load(&bench->waiting)) {
        pthread_mutex_lock(&bench->lock);
        pthread_cond_signal(&bench->given_back);
        pthread_mutex_unlock(&bench->lock);
    }
}

static bool ring_empty(struct td_bench *bench)
{
    return atomic_load(&bench->put) == atomic_load(&bench->taken);
}

/* NULL after about 100 ms without a free slot. */
static struct td_bench_slot *take_slot(struct td_bench *bench)
{
    if (ring_empty(bench)) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += 100000000;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        pthread_mutex_lock(&bench->lock);
        atomic_store(&bench->waiting, true);
        while (ring_empty(bench) &&
               pthread_cond_timedwait(&bench->given_back, &bench->lock, &until) == 0) {
        }
        atomic_store(&bench->waiting, false);
        pthread_mutex_unlock(&bench->lock);
        if (ring_empty(bench)) {
            return NULL;
        }
    }
    uint64_t taken = atomic_load_explicit(&bench->taken, memory_order_relaxed);
    struct td_bench_slot *slot = bench->ring[taken % bench->slot_count];
    atomic_store(&bench->taken, taken + 1);
    return slot;
}

/* Library's queue full: the slot stays ours and is offered again. */
static int offer(struct td_bench *bench, struct td_bench_slot *slot, enum tidings_state state)
{
    char job[TD_BENCH_PREFIX_BYTES + 16];
    char detail[TIDINGS_DETAIL_BYTES + 1];
    struct timespec pause = {0, 200000};
    size_t prefix_count = strlen(bench->prefix);

    memcpy(job, bench->prefix, prefix_count);
    *put_hex(job + prefix_count, slot->job) = '\0';
    td_bench_detail(bench, slot->seq, slot->intended_us, detail);
    struct tidings_update update = {.job = job, .attempt = 1, .state = state, .detail = detail};
    bench->offered[slot->job] = slot->seq;
    int err = tidings_publish_async(bench->handle, &update, on_answer, slot);
    while (err == TIDINGS_FULL) {
        bench->queue_full++;
        nanosleep(&pause, NULL);
        err = tidings_publish_async(bench->handle, &update, on_answer, slot);
    }
    return err;
}

static void sleep_until(uint64_t due_us)
{
    struct timespec until = {(time_t)(due_us / 1000000), (long)(due_us % 1000000) * 1000};

    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}

static int publish_one(struct td_bench *bench, uint32_t job, uint64_t due_us,
                       enum tidings_state state)
{
    struct td_bench_slot *slot = NULL;

    while (slot == NULL) {
        slot = take_slot(bench);
    }
    bool measured = state != TIDINGS_COMPLETED;
    uint64_t now_us = td_cli_mono_us();
    slot->job = job;
    slot->seq = ++bench->published;
    slot->intended_us = !measured ? 0 : due_us != 0 ? due_us : now_us;
    bench->finals += !measured;
    bench->late += due_us != 0 && now_us > due_us + LATE_US;
    return offer(bench, slot, state);
}

static int fail_offer(const struct td_bench *bench, int err)
{
    return td_cli_fail(bench->cli, (enum td_err)err, "publish: %s", td_err_text((enum td_err)err));
}

static int publish_load(struct td_bench *bench)
{
    struct td_progress progress;
    uint64_t end_us = bench->start_us + bench->duration_us;
    uint64_t total = bench->rate == 0 ? 0 : bench->rate * (bench->duration_us / 1000) / 1000;

    td_progress_init(&progress, bench->cli, "updates", total);
    for (uint64_t i = 0; td_cli_interrupted == 0; i++) {
        uint64_t due_us = 0;
        if (bench->rate != 0) {
            due_us = bench->start_us +
                     (uint64_t)((__extension__(unsigned __int128) i) * 1000000 / bench->rate);
            if (due_us >= end_us) {
                break;
            }
            sleep_until(due_us);
        } else if ((i & 63) == 0 && td_cli_mono_us() >= end_us) {
            break;
        }
        int err = publish_one(bench, (uint32_t)(i % bench->job_count), due_us, TIDINGS_RUNNING);
        if (err != TIDINGS_OK) {
            return fail_offer(bench, err);
        }
        if ((i & 1023) == 0 || bench->rate != 0) {
            td_progress_show(&progress, bench->published);
        }
    }
    td_progress_end(&progress);
    return 0;
}

/* Final states, so that the jobs of a benchmark expire like all others. */
static int publish_finals(struct td_bench *bench)
{
    for (uint32_t job = 0; job < bench->job_count; job++) {
        if (bench->offered[job] == 0) {
            continue;
        }
        int err = publish_one(bench, job, 0, TIDINGS_COMPLETED);
        if (err != TIDINGS_OK) {
            return fail_offer(bench, err);
        }
    }
    return 0;
}

int td_bench_publish(struct td_bench *bench)
{
    bench->start_us = td_cli_mono_us();
    int code = publish_load(bench);
    bench->interrupted = td_cli_interrupted != 0;
    td_cli_interrupted = 0; /* a second Ctrl-C leaves at once, see cli.h */
    if (code == 0) {
        code = publish_finals(bench);
    }
    if (code == 0 && tidings_flush(bench->handle, FLUSH_MS) != TIDINGS_OK) {
        code = td_cli_fail(
            bench->cli, TD_ETIMEOUT, "%llu updates were not answered within 60 s",
            (unsigned long long)(bench->published - bench->acknowledged - bench->refused));
    }
    bench->end_us = td_cli_mono_us();
    return code;
}
