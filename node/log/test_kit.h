/* test_kit.h -- what the log's tests share: a toy signer, batches that can be told apart, a log
 * opened over any disk with everything it replays and completes noted down. */
#ifndef TD_LOG_TEST_KIT_H
#define TD_LOG_TEST_KIT_H

#include "node/log/log.h"

enum { KIT_TICKETS_MAX = 512, KIT_RAW_BYTES_MAX = 4096 };

/* One thing that was replayed: a batch by its id, or a record. */
struct kit_seen {
    enum td_record_type type;
    uint32_t id;
    struct td_log_ref ref;
};

struct kit {
    struct td_disk disk;
    struct td_log_options options;
    struct td_log *log;
    struct td_log_recovery recovery;
    char why[256];
    struct kit_seen seen[KIT_TICKETS_MAX];
    size_t seen_count;
    struct td_log_done done[KIT_TICKETS_MAX];
    size_t done_count;
    uint64_t next_ticket;
    uint32_t next_id; /* of batches; goes on over reopenings */
    uint8_t *raws[KIT_TICKETS_MAX];
    size_t raw_count;
};

extern const struct td_signer kit_signer;

void kit_init(struct kit *kit, struct td_disk disk);
enum td_err kit_open(struct kit *kit);
void kit_close(struct kit *kit); /* orderly */
/* As after a crash: memory goes, the disk keeps what it has (its power is off). */
void kit_fini(struct kit *kit);

/* The raw bytes of batch id: not a real batch, the log does not look. count bytes, from the id. */
uint32_t kit_raw_bytes(uint32_t id);
void kit_raw(uint32_t id, uint8_t *bytes);
/* Submits batch next_id as received; returns its id. */
uint32_t kit_receive(struct kit *kit);
void kit_record(struct kit *kit, const struct td_record *record);
void kit_own(struct kit *kit, const struct td_delta *deltas, uint32_t count, uint64_t first_seq);

#endif
