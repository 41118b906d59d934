/* catch_up.c -- the client of cluster-tests/bench/catch-up: lives of jobs at full speed into some
 * nodes, then the moment from which on another node has everything, and that it has the right
 * things.
 *
 *   tidings-catch-up load  NODES UPDATES JOBS    NODES separated by commas, one per region
 *   tidings-catch-up await NODE  UPDATES JOBS REGION...   prints the Unix milliseconds when NODE
 * had all of these regions */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "node/client/tidings.h"

enum { ACTIVE_JOBS = 10000, NODES_MAX = 8, AWAIT_MS_MAX = 60000 };

static uint64_t next_random(uint64_t *state)
{
    *state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t x = *state;
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static uint64_t wall_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* The report number `step` (from 0) of so many of a job: pending, starting, running on and on,
 * completed. */
static void report_of(uint32_t job, uint32_t step, uint32_t steps, char *name, char *detail,
                      struct tidings_update *ret_update)
{
    enum tidings_state state = step + 1 == steps ? TIDINGS_COMPLETED
                               : step == 0       ? TIDINGS_PENDING
                               : step == 1       ? TIDINGS_STARTING
                                                 : TIDINGS_RUNNING;
    uint64_t seed = job;
    snprintf(name, TIDINGS_JOB_BYTES, "catch-up/%08" PRIx64 "/%u", next_random(&seed) >> 32, job);
    snprintf(detail, TIDINGS_DETAIL_BYTES, "step %u of %u, checkpoint %016" PRIx64, step + 1, steps,
             next_random(&seed) + step);
    *ret_update = (struct tidings_update){.job = name,
                                          .attempt = 1,
                                          .state = state,
                                          .set_progress = true,
                                          .progress = (int32_t)(10000 * (step + 1) / steps),
                                          .detail = detail};
}

/* Updates are shared out evenly; the first jobs get those that are left over. */
static uint32_t steps_of(uint32_t job, uint64_t updates, uint32_t jobs)
{
    return (uint32_t)(updates / jobs) + (job < updates % jobs);
}

/* ---- load ---- */

struct count {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint64_t open, failed;
};

static void on_answer(void *self, const struct tidings_result *result)
{
    struct count *count = self;
    pthread_mutex_lock(&count->lock);
    count->open--;
    count->failed += result->err != TIDINGS_OK;
    pthread_cond_signal(&count->changed);
    pthread_mutex_unlock(&count->lock);
}

static void publish(tidings *handle, struct count *count, const struct tidings_update *update)
{
    pthread_mutex_lock(&count->lock);
    while (count->open >= 32768) { /* below what a handle queues */
        pthread_cond_wait(&count->changed, &count->lock);
    }
    count->open++;
    pthread_mutex_unlock(&count->lock);
    if (tidings_publish_async(handle, update, on_answer, count) != TIDINGS_OK) {
        struct tidings_result result = {.err = TIDINGS_FULL};
        on_answer(count, &result);
    }
}

static int open_all(char *nodes, tidings **handles, uint32_t *ret_count)
{
    char why[256];
    *ret_count = 0;
    for (char *node = strtok(nodes, ","); node != NULL && *ret_count < NODES_MAX;
         node = strtok(NULL, ",")) {
        struct tidings_options options = {.nodes = node, .timeout_ms = 60000, .writer = "catch-up"};
        if (tidings_open(&options, &handles[(*ret_count)++], why, sizeof why) != TIDINGS_OK) {
            fprintf(stderr, "%s\n", why);
            return 1;
        }
    }
    return 0;
}

/* So many jobs run at a time, each next report is one of theirs: what is final lies spread over the
 * log. */
static int load(char *nodes, uint64_t updates, uint32_t jobs)
{
    static uint32_t active[ACTIVE_JOBS];
    tidings *handles[NODES_MAX];
    uint32_t node_count, running = 0, begun = 0;
    struct count count = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0};
    char name[TIDINGS_JOB_BYTES + 1], detail[TIDINGS_DETAIL_BYTES + 1];
    uint64_t random = 1, begun_ms = wall_ms();
    uint32_t *steps = calloc(jobs, sizeof *steps);
    if (steps == NULL || open_all(nodes, handles, &node_count) != 0) {
        return 1;
    }
    for (;;) {
        while (running < ACTIVE_JOBS && begun < jobs) {
            active[running++] = begun++;
        }
        if (running == 0) {
            break;
        }
        uint32_t at = (uint32_t)(next_random(&random) % running), job = active[at];
        struct tidings_update update;
        report_of(job, steps[job]++, steps_of(job, updates, jobs), name, detail, &update);
        publish(handles[job % node_count], &count, &update);
        if (steps[job] == steps_of(job, updates, jobs)) {
            active[at] = active[--running];
        }
    }
    pthread_mutex_lock(&count.lock);
    while (count.open > 0) {
        pthread_cond_wait(&count.changed, &count.lock);
    }
    pthread_mutex_unlock(&count.lock);
    uint64_t ms = wall_ms() - begun_ms;
    printf("%.0f updates/s\n", (double)updates * 1000 / (double)(ms > 0 ? ms : 1));
    for (uint32_t i = 0; i < node_count; i++) {
        tidings_close(handles[i]);
    }
    free(steps);
    return count.failed == 0 ? 0 : 1;
}

/* ---- await ---- */

/* Nothing is missing of these regions, as of a moment after the call. */
static bool complete(tidings *handle, struct tidings_freshness *freshness, uint64_t since_ms,
                     char **regions)
{
    uint32_t found = 0, wanted = 0;
    int err = tidings_get(handle, "catch-up/none", 0, NULL, freshness);
    if (err != TIDINGS_OK && err != TIDINGS_EUNKNOWN) {
        return false;
    }
    for (; regions[wanted] != NULL; wanted++) {
        for (uint32_t i = 0; i < freshness->region_count; i++) {
            const struct tidings_region_freshness *region = &freshness->regions[i];
            found += strcmp(region->region, regions[wanted]) == 0 && region->age_known &&
                     region->missing_known && region->missing == 0 &&
                     freshness->now_ms >= since_ms + region->age_ms;
        }
    }
    return found == wanted;
}

/* How many jobs are there in their last state. */
static uint64_t right_ones(tidings *handle, uint64_t updates, uint32_t jobs)
{
    struct tidings_filter filter = {.prefix = "catch-up/"};
    char name[TIDINGS_JOB_BYTES + 1], detail[TIDINGS_DETAIL_BYTES + 1];
    struct tidings_status *status = malloc(sizeof *status);
    tidings_list *list = NULL;
    uint64_t right = 0;
    bool more = status != NULL && tidings_list_open(handle, &filter, &list) == TIDINGS_OK;
    while (more && tidings_list_next(list, status, &more, NULL) == TIDINGS_OK && more) {
        struct tidings_update update;
        uint32_t job = jobs;
        const char *number = strrchr(status->job, '/');
        if (number == NULL || sscanf(number, "/%" SCNu32, &job) != 1 || job >= jobs) {
            continue;
        }
        uint32_t steps = steps_of(job, updates, jobs);
        report_of(job, steps - 1, steps, name, detail, &update);
        right += strcmp(status->job, name) == 0 && status->state == TIDINGS_COMPLETED &&
                 strcmp(status->detail, detail) == 0;
    }
    tidings_list_close(list);
    free(status);
    return right;
}

static int await_node(const char *node, uint64_t updates, uint32_t jobs, char **regions)
{
    static struct tidings_freshness freshness;
    static const struct timespec pause = {0, 2000000};
    struct tidings_options options = {.nodes = node, .timeout_ms = 60000};
    uint64_t begun_ms = wall_ms();
    char why[256];
    tidings *handle;
    if (tidings_open(&options, &handle, why, sizeof why) != TIDINGS_OK) {
        fprintf(stderr, "%s\n", why);
        return 1;
    }
    while (!complete(handle, &freshness, begun_ms, regions)) {
        if (wall_ms() - begun_ms > AWAIT_MS_MAX) {
            fprintf(stderr, "%s is not complete in time:", node);
            for (uint32_t i = 0; i < freshness.region_count; i++) {
                const struct tidings_region_freshness *region = &freshness.regions[i];
                fprintf(stderr, " %s %s%" PRIu64 " ms, lacks %s%" PRIu64, region->region,
                        region->age_known ? "" : "unknown ", region->age_ms,
                        region->missing_known ? "" : "unknown ", region->missing);
            }
            fprintf(stderr, "\n");
            return 1;
        }
        nanosleep(&pause, NULL); /* between two looks */
    }
    printf("%" PRIu64 "\n", wall_ms());
    fflush(stdout);
    uint64_t right = right_ones(handle, updates, jobs);
    tidings_close(handle);
    if (right != jobs) {
        fprintf(stderr, "called itself complete with %" PRIu64 " of %u jobs in their last state\n",
                right, jobs);
        return 1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    uint64_t updates = argc > 3 ? strtoull(argv[3], NULL, 10) : 0;
    uint32_t jobs = argc > 4 ? (uint32_t)strtoul(argv[4], NULL, 10) : 0;
    if (argc < 5 || jobs == 0 || updates < jobs) {
        fprintf(stderr, "tidings-catch-up load|await NODE[,NODE...] UPDATES JOBS [REGION...]\n");
        return 2;
    }
    return strcmp(argv[1], "load") == 0 ? load(argv[2], updates, jobs)
                                        : await_node(argv[2], updates, jobs, argv + 5);
}
