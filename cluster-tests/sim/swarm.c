/* swarm.c -- see swarm.h. */
#include "cluster-tests/sim/swarm.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "node/core/plant.h"

struct child {
    pid_t pid;
    int pipe;
    uint64_t seed;
};
struct totals {
    uint64_t seeds, failed, sim_ms, steps, events, acks, reads, frames, restarts, compactions,
        compacted_bytes;
    uint64_t faults[SIM_FAULT_COUNT];
    struct timespec start;
    uint64_t first_failed_seed;
};

/* ---- one world ---- */
static void run_world(const struct sim_options *options, bool trace, int out)
{
    struct sim_result result;
    struct sim_world *world = sim_world_new(options, trace ? stdout : NULL);

    memset(&result, 0, sizeof result);
    setvbuf(stdout, NULL, _IOLBF, 0);
    result.passed = sim_world_run(world);
    result.finished = true;
    result.seed = options->seed;
    result.trace_hash = world->trace_hash;
    result.sim_ms = world->now_ms;
    result.counts = world->counts;
    snprintf(result.checker, sizeof result.checker, "%s",
             world->failed ? world->failed_checker : "");
    snprintf(result.failure, sizeof result.failure, "%s", world->failure);
    fflush(stdout);
    ssize_t wrote = write(out, &result, sizeof result);
    sim_world_free(world);
    exit(wrote == (ssize_t)sizeof result ? 0 : 1);
}

static struct child start(const struct sim_options *options, bool trace)
{
    struct child child = {.seed = options->seed};
    int ends[2];

    fflush(NULL);
    if (pipe(ends) != 0 || (child.pid = fork()) < 0) {
        perror("tidings-sim");
        exit(2);
    }
    if (child.pid == 0) {
        close(ends[0]);
        run_world(options, trace, ends[1]);
    }
    close(ends[1]);
    child.pipe = ends[0];
    return child;
}

static struct sim_result finish(struct child *child)
{
    struct sim_result result;
    int status = 0;

    memset(&result, 0, sizeof result);
    size_t got = 0;
    while (got < sizeof result) {
        ssize_t count = read(child->pipe, (uint8_t *)&result + got, sizeof result - got);
        if (count <= 0 && errno != EINTR) {
            break;
        }
        got += count > 0 ? (size_t)count : 0;
    }
    close(child->pipe);
    while (waitpid(child->pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (got != sizeof result || status != 0) {
        memset(&result, 0, sizeof result);
        snprintf(result.checker, sizeof result.checker, "assert");
        snprintf(result.failure, sizeof result.failure, "the process died, status %d", status);
    }
    result.seed = child->seed;
    return result;
}

struct sim_result sim_run_one(const struct sim_options *options, bool trace)
{
    struct child child = start(options, trace);
    return finish(&child);
}

/* ---- many ---- */
static double elapsed_s(const struct totals *totals)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - totals->start.tv_sec) +
           (double)(now.tv_nsec - totals->start.tv_nsec) / 1e9;
}

static struct sim_options options_of(const struct sim_swarm *swarm, uint64_t seed)
{
    struct sim_options options = sim_options_draw(seed);

    for (size_t i = 0; i < swarm->override_count; i++) {
        if (!sim_options_set(&options, swarm->overrides[i])) {
            fprintf(stderr, "tidings-sim: cannot read %s\n", swarm->overrides[i]);
            exit(2);
        }
    }
    return options;
}

static void print_progress(const struct totals *totals, bool last)
{
    double seconds = elapsed_s(totals);

    printf(
        "%s%llu seeds, %llu failed, %.1f simulated hours, %.0f s, %.1f seeds/s, %.0f x real time\n",
        last ? "total: " : "", (unsigned long long)totals->seeds,
        (unsigned long long)totals->failed, (double)totals->sim_ms / 3.6e6, seconds,
        (double)totals->seeds / seconds, (double)totals->sim_ms / 1000 / seconds);
    if (last) {
        printf("steps %llu, frames %llu, acknowledged %llu, reads %llu, restarts %llu, compactions "
               "%llu "
               "(%llu kB reclaimed); faults:",
               (unsigned long long)totals->steps, (unsigned long long)totals->frames,
               (unsigned long long)totals->acks, (unsigned long long)totals->reads,
               (unsigned long long)totals->restarts, (unsigned long long)totals->compactions,
               (unsigned long long)totals->compacted_bytes / 1000);
        for (int i = 0; i < SIM_FAULT_COUNT; i++) {
            printf(" %s %llu", sim_fault_name((enum sim_fault)i),
                   (unsigned long long)totals->faults[i]);
        }
        printf("\n");
    }
    fflush(stdout);
}

static void take_result(const struct sim_swarm *swarm, struct totals *totals,
                        const struct sim_result *result)
{
    const struct sim_counts *counts = &result->counts;

    totals->seeds++;
    totals->sim_ms += result->sim_ms;
    totals->steps += counts->steps;
    totals->frames += counts->frames;
    totals->acks += counts->acks;
    totals->reads += counts->reads;
    totals->restarts += counts->restarts;
    totals->compactions += counts->compactions;
    totals->compacted_bytes += counts->compacted_bytes;
    for (int i = 0; i < SIM_FAULT_COUNT; i++) {
        totals->faults[i] += counts->faults[i];
    }
    if (!result->passed) {
        totals->failed++;
        printf("seed %llu FAILED %s: %s\n", (unsigned long long)result->seed, result->checker,
               result->failure);
        if (swarm->single) {
            printf("trace %016llx\n", (unsigned long long)result->trace_hash);
        }
        fflush(stdout);
    }
    if (swarm->single && result->passed) {
        printf("seed %llu passed, trace %016llx, %.1f simulated s, %llu steps, %llu acknowledged, "
               "%llu refused, %llu reads, %llu lost calls, %llu rejected, %llu restarts, "
               "%llu compactions\n",
               (unsigned long long)result->seed, (unsigned long long)result->trace_hash,
               (double)result->sim_ms / 1000, (unsigned long long)counts->steps,
               (unsigned long long)counts->acks, (unsigned long long)counts->refused,
               (unsigned long long)counts->reads, (unsigned long long)counts->lost_calls,
               (unsigned long long)counts->rejected, (unsigned long long)counts->restarts,
               (unsigned long long)counts->compactions);
    }
}

/* Index of a child that has something to say. */
static uint32_t wait_any(const struct child *children, uint32_t count)
{
    struct pollfd polls[SIM_JOBS_RUN_MAX];

    for (uint32_t i = 0; i < count; i++) {
        polls[i] = (struct pollfd){.fd = children[i].pipe, .events = POLLIN};
    }
    while (poll(polls, count, -1) < 0 && errno == EINTR) {
    }
    for (uint32_t i = 0; i < count; i++) {
        if (polls[i].revents != 0) {
            return i;
        }
    }
    return 0;
}

static void run_range(const struct sim_swarm *swarm, struct totals *totals)
{
    struct child children[SIM_JOBS_RUN_MAX];
    uint32_t running = 0, jobs = swarm->jobs < 1 ? 1 : swarm->jobs;
    uint64_t seed = swarm->first;
    double next_s = 10;
    bool over = false;

    jobs = jobs > SIM_JOBS_RUN_MAX ? SIM_JOBS_RUN_MAX : jobs;
    while (running > 0 || (seed <= swarm->last && !over)) {
        while (running < jobs && seed <= swarm->last && !over) {
            struct sim_options options = options_of(swarm, seed++);
            if (swarm->single) {
                sim_options_print(&options, stdout);
            }
            children[running++] = start(&options, swarm->trace);
        }
        uint32_t done = wait_any(children, running);
        struct sim_result result = finish(&children[done]);
        children[done] = children[--running];
        take_result(swarm, totals, &result);
        over = (swarm->time_s != 0 && elapsed_s(totals) > swarm->time_s) ||
               (swarm->plant != NULL && totals->failed > 0);
        if (elapsed_s(totals) > next_s && !swarm->quiet) {
            print_progress(totals, false);
            next_s += 10;
        }
    }
}

/* Options behind the seed, as far as words look like options. */
static bool take_options(char *rest, struct sim_options *options)
{
    char *word;

    while ((word = strsep(&rest, " \t")) != NULL && (*word == '\0' || strchr(word, '=') != NULL)) {
        if (*word != '\0' && !sim_options_set(options, word)) {
            fprintf(stderr, "tidings-sim: cannot read %s\n", word);
            return false;
        }
    }
    return true;
}

/* seeds.txt: a seed a line, its options, and why it stands there, for people. */
static bool run_file(const struct sim_swarm *swarm, struct totals *totals)
{
    FILE *file = fopen(swarm->replay, "r");
    char *text = NULL, *line;
    size_t room = 0;
    bool good = file != NULL && getdelim(&text, &room, '\0', file) > 0;

    if (!good) {
        perror(swarm->replay);
    }
    if (file != NULL) {
        fclose(file); /* before any child: its exit would move the offset that both share */
    }
    for (char *lines = text; good && (line = strsep(&lines, "\n")) != NULL;) {
        if (line[0] >= '0' && line[0] <= '9') {
            char *rest = NULL;
            struct sim_options options = options_of(swarm, strtoull(line, &rest, 10));
            good = take_options(rest, &options);
            struct sim_result result = sim_run_one(&options, false);
            take_result(swarm, totals, &result);
        }
    }
    free(text);
    return good;
}

int sim_swarm_run(const struct sim_swarm *swarm)
{
    struct totals totals;

    memset(&totals, 0, sizeof totals);
    clock_gettime(CLOCK_MONOTONIC, &totals.start);
    if (swarm->plant != NULL && !td_plant_choose(swarm->plant)) {
        fprintf(stderr, "tidings-sim: this build has no planted bugs\n");
        return 2;
    }
    if (swarm->shrink) {
        struct sim_options options = options_of(swarm, swarm->first);
        sim_shrink(&options);
        return 1;
    }
    if (swarm->replay != NULL) {
        if (!run_file(swarm, &totals)) {
            return 2;
        }
    } else {
        run_range(swarm, &totals);
    }
    if (!swarm->single) {
        print_progress(&totals, true);
    }
    return totals.failed > 0 ? 1 : 0;
}
