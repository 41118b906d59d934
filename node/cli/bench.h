/* bench.h -- one run of the benchmark, shared by its publisher (bench_load.c), its watchers
 * (bench_watch.c) and the checks at the end (cmd_bench.c). */
#ifndef TD_CLI_BENCH_H
#define TD_CLI_BENCH_H

#include <pthread.h>
#include <stdatomic.h>

#include "node/cli/cli.h"
#include "node/cli/histogram.h"

enum { TD_BENCH_PREFIX_BYTES = 48 };

struct td_bench;
/* One update in flight; taken from and given back to a ring. */
struct td_bench_slot {
    struct td_bench *bench;
    uint64_t seq;
    uint64_t intended_us; /* 0 = a final state behind the load; not measured */
    uint32_t job;
};
/* A node that is measured. */
struct td_bench_node {
    struct td_bench *bench;
    char *address;
    char name[TIDINGS_REGION_BYTES + 1];
    pthread_t thread;
    bool watching;
    atomic_bool ready; /* the watch stands */
    struct td_histogram
        seen;             /* us from intended send to visible there; its thread's until joined */
    uint64_t complete_us; /* when it had everything; 0 = never */
    uint64_t lost;        /* jobs whose acknowledged status is not there */
    uint64_t wrong;       /* jobs that are not in the last state published */
};
struct td_bench {
    struct td_cli *cli;
    struct tidings *handle;                       /* of the publishing node */
    struct td_bench_node nodes[TD_CLI_NODES_MAX]; /* 0 publishes */
    unsigned node_count;
    char prefix[TD_BENCH_PREFIX_BYTES]; /* of every job id of this run */

    uint64_t rate; /* 0 = max */
    uint32_t job_count;
    uint64_t duration_us;
    uint32_t payload_bytes;
    uint32_t in_flight, batch;

    uint64_t start_us, end_us;                    /* of publishing */
    uint64_t published, finals, late, queue_full; /* finals are part of published */
    bool interrupted;                             /* the load was cut short; what follows is not */
    uint64_t *offered;                            /* per job: newest seq handed over; main thread */
    atomic_bool stop;                             /* watchers */

    /* The handle's thread writes these; read them after tidings_flush. */
    uint64_t acknowledged, load_acknowledged, refused;
    int refused_err;
    uint64_t *confirmed; /* per job: newest seq acknowledged */
    struct td_histogram ack;
    struct td_region region;
    struct td_vv_entry newest;         /* the highest dot acknowledged */
    uint64_t load_us, acknowledged_us; /* last answer of the load, and of all */

    /* Ring of free slots: the handle's thread puts, the main thread takes. */
    struct td_bench_slot *slots;
    struct td_bench_slot **ring;
    uint32_t slot_count;
    _Atomic uint64_t put, taken;
    pthread_mutex_t lock; /* only for sleeping on an empty ring */
    pthread_cond_t given_back;
    atomic_bool waiting;
};

/* Publishes for the duration, then the final state of every job that was used, then waits for all
 * answers. Exit code. */
TD_MUST_USE int td_bench_publish(struct td_bench *bench);
bool td_bench_take_memory(struct td_bench *bench);
void td_bench_release_memory(struct td_bench *bench);

/* Starts a watch at each node but the first and waits until it stands. Exit code. */
TD_MUST_USE int td_bench_watch_start(struct td_bench *bench);
void td_bench_watch_stop(struct td_bench *bench);

/* "SEQ@INTENDED padding": what each detail starts with. */
void td_bench_detail(const struct td_bench *bench, uint64_t seq, uint64_t intended_us,
                     char ret_detail[TIDINGS_DETAIL_BYTES + 1]);
TD_MUST_USE bool td_bench_detail_parse(struct td_text detail, uint64_t *ret_seq,
                                       uint64_t *ret_intended_us);

#endif
