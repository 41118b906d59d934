/* log_bench.c -- how many own deltas a second one core brings through the log: encode, hash, Merkle
 * root, signature, write, flush.  log_bench DIRECTORY [deltas per batch] [batches] [batches per
 * group] DIRECTORY is created and emptied again; put it on the disk to be measured. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "node/log/disk_posix.h"
#include "node/log/log.h"
#include "proto/sign_sodium.h"

struct tally {
    uint64_t durable, batches, bytes;
};

static void on_done(void *self, const struct td_log_done *done)
{
    struct tally *tally = self;
    tally->durable += done->durable ? done->leaf_count : 0;
}

static void on_batch(void *self, struct td_log_ref ref, struct td_bytes raw)
{
    struct tally *tally = self;
    (void)ref;
    tally->batches++;
    tally->bytes += raw.count;
}

static void on_record(void *self, const struct td_record *record)
{
    (void)self;
    (void)record;
}

static double now_s(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* About 200 bytes encoded. */
static void fill(struct td_delta *deltas, char (*jobs)[40], struct td_dot *clock, uint32_t count)
{
    static const char detail[] = "copied 1234 of 5678 files to the archive, none failed so far";

    for (uint32_t i = 0; i < count; i++) {
        int bytes =
            snprintf(jobs[i], sizeof jobs[i], "nightly/backup/eu-west/host-%07u", (unsigned)i);
        deltas[i] = (struct td_delta){
            .job = {jobs[i], (uint32_t)bytes},
            .attempt = 1,
            .clock_count = 3,
            .client = 7,
            .stamp = {UINT64_C(1700000000000) + i, 0},
            .status = {.state = TD_STATE_RUNNING,
                       .progress_known = true,
                       .progress = 4200,
                       .detail = {detail, sizeof detail - 1},
                       .writer = {"backup-agent", 12}},
            .clock = clock,
        };
        deltas[i].status.entered_ms[TD_STATE_PENDING] = UINT64_C(1700000000000);
        deltas[i].status.entered_ms[TD_STATE_RUNNING] = UINT64_C(1700000001000);
    }
}

static enum td_err open_log(const struct td_disk *disk, const struct td_signer *signer,
                            struct tally *tally, struct td_log **ret_log)
{
    struct td_log_options options = {.limit_bytes = UINT64_C(1) << 40,
                                     .segment_bytes = 64 << 20,
                                     .queue_max = 4096,
                                     .key_number = 1,
                                     .signer = signer};
    struct td_log_replay replay = {tally, on_batch, on_record};
    struct td_log_sink sink = {.self = tally, .done = on_done};
    struct td_log_recovery recovery;
    char why[256];
    enum td_err err =
        td_log_open(disk, &options, &replay, &sink, &recovery, ret_log, why, sizeof why);
    if (err != TD_OK) {
        fprintf(stderr, "%s\n", why);
    }
    return err;
}

static void run(struct td_log *log, const struct td_delta *deltas, uint32_t per_batch,
                uint32_t batches, uint32_t per_group)
{
    for (uint32_t i = 0; i < batches; i++) {
        struct td_effect store = {
            .type = TD_FX_STORE,
            .u.store = {.ticket = {i + 1},
                        .kind = TD_STORE_OWN,
                        .origin = {{1}, {1, 2}},
                        .first_seq = 1 + (uint64_t)i * per_batch,
                        .delta_count = per_batch,
                        .deltas = deltas},
        };
        if (!td_log_submit(log, &store)) {
            fprintf(stderr, "queue full\n");
            return;
        }
        if ((i + 1) % per_group == 0 || i + 1 == batches) {
            td_log_work(log, 0);
        }
    }
}

static bool remove_each(void *context, const char *name)
{
    struct td_disk *disk = context;
    return disk->remove(disk->self, name) == TD_OK;
}

static uint32_t number_of(int argc, char **argv, int index, uint32_t standard)
{
    unsigned long value = argc > index ? strtoul(argv[index], NULL, 10) : standard;
    return value >= 1 && value <= 4096 * 16 ? (uint32_t)value : standard;
}

int main(int argc, char **argv)
{
    static struct td_delta deltas[TD_BATCH_DELTAS_MAX];
    static char jobs[TD_BATCH_DELTAS_MAX][40];
    struct td_dot clock[3] = {{{{1}, {1, 2}}, 9}, {{{2}, {1, 5}}, 70000}, {{{3}, {2, 5}}, 12}};
    uint32_t per_batch = number_of(argc, argv, 2, 1024), batches = number_of(argc, argv, 3, 2000);
    uint32_t per_group = number_of(argc, argv, 4, 1);
    struct td_secret *secret;
    struct td_disk disk;
    struct td_log *log;
    struct tally tally = {0};
    char why[256];
    uint8_t seed[TD_SEED_BYTES], encoded[TD_DELTA_BYTES_MAX];

    if (argc < 2 || per_batch > TD_BATCH_DELTAS_MAX || td_sodium_init() != TD_OK ||
        td_secret_generate(seed, &secret) != TD_OK) {
        fprintf(stderr,
                "usage: log_bench DIRECTORY [deltas per batch] [batches] [batches per group]\n");
        return 2;
    }
    struct td_sodium_signer self = {.secret = secret};
    struct td_signer signer = td_sodium_signer(&self);
    if (td_disk_posix_open(argv[1], &disk, why, sizeof why) != TD_OK) {
        fprintf(stderr, "%s\n", why);
        return 1;
    }
    if (open_log(&disk, &signer, &tally, &log) != TD_OK) {
        return 1;
    }
    fill(deltas, jobs, clock, per_batch);
    double wall = now_s(CLOCK_MONOTONIC), cpu = now_s(CLOCK_THREAD_CPUTIME_ID);
    run(log, deltas, per_batch, batches, per_group);
    wall = now_s(CLOCK_MONOTONIC) - wall;
    cpu = now_s(CLOCK_THREAD_CPUTIME_ID) - cpu;
    struct td_log_stats stats = td_log_stats(log);
    double flush = (double)stats.flush_ns_total / 1e9, count = (double)tally.durable;
    printf("%llu deltas of %zu bytes, %u a batch, %u batches a flush: %.0f MB\n",
           (unsigned long long)tally.durable, td_delta_encode(&deltas[0], encoded, sizeof encoded),
           per_batch, per_group, (double)stats.written_bytes / 1e6);
    printf("with flushes     %9.0f deltas/s\n", count / wall);
    printf("without flushes  %9.0f deltas/s\n", count / (wall - flush));
    printf("processor time   %9.0f deltas/s (writing included)\n", count / cpu);
    printf("flushes          %9llu, mean %.2f ms, longest %.2f ms\n",
           (unsigned long long)stats.flushes, flush * 1e3 / (double)stats.flushes,
           (double)stats.flush_ns_max / 1e6);
    td_log_close(log);

    wall = now_s(CLOCK_MONOTONIC);
    if (open_log(&disk, &signer, &tally, &log) != TD_OK) {
        return 1;
    }
    wall = now_s(CLOCK_MONOTONIC) - wall;
    printf("recovery         %9.0f MB/s, %llu batches found again\n",
           (double)tally.bytes / 1e6 / wall, (unsigned long long)tally.batches);
    td_log_close(log);
    disk.list(disk.self, remove_each, &disk);
    td_disk_posix_close(&disk);
    td_secret_free(secret);
    return remove(argv[1]) == 0 ? 0 : 1;
}
