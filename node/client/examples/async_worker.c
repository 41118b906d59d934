/* async_worker.c -- a worker that reports progress without ever waiting for the network: reports go
 * to a bounded queue, are sent in groups, and are kept in a spool file while no node can be
 * reached. example_async_worker JOB [NODES] */
#define _POSIX_C_SOURCE 200809L
#include <stdatomic.h>
#include <stdio.h>
#include <tidings.h>
#include <time.h>

static atomic_uint refused;

/* Runs on the library's thread: count, never block. */
static void on_done(void *self, const struct tidings_result *result)
{
    (void)self;
    if (result->err != TIDINGS_OK) {
        atomic_fetch_add(&refused, 1);
    }
}

static void report(tidings *handle, const struct tidings_update *update)
{
    int err = tidings_publish_async(handle, update, on_done, NULL);
    if (err == TIDINGS_FULL) {
        /* The next report carries the newer progress: this one need not be kept. */
        fprintf(stderr, "queue full, one report skipped\n");
    } else if (err != TIDINGS_OK) {
        fprintf(stderr, "%s\n", tidings_err_text(err));
    }
}

int main(int argc, char **argv)
{
    char why[256];
    tidings *handle = NULL;
    struct tidings_options options = {.nodes = argc > 2 ? argv[2] : NULL,
                                      .writer = "async-worker",
                                      .spool = "async_worker.spool"};
    struct tidings_update update = {.job = argc > 1 ? argv[1] : "demo/async",
                                    .attempt = 1,
                                    .state = TIDINGS_RUNNING,
                                    .set_progress = true,
                                    .set_expect_every = true,
                                    .expect_every_s = 30};

    if (tidings_open(&options, &handle, why, sizeof why) != TIDINGS_OK) {
        fprintf(stderr, "%s\n", why);
        return 1;
    }
    for (int percent = 0; percent < 100; percent += 10) {
        struct timespec work = {0, 50000000};
        update.progress = percent * 100;
        report(handle, &update);
        nanosleep(&work, NULL); /* the work itself */
    }
    update.state = TIDINGS_COMPLETED;
    update.progress = 10000;
    report(handle, &update);
    struct tidings_stats stats;
    int err = tidings_flush(handle, 0);
    tidings_get_stats(handle, &stats);
    tidings_close(handle); /* what has no answer yet goes into the spool, for the next start */
    printf("%llu reports settled, %u refused%s\n", (unsigned long long)stats.published,
           (unsigned)atomic_load(&refused),
           err != TIDINGS_OK || stats.spool_bytes > 0 ? "; some wait in async_worker.spool" : "");
    return 0;
}
