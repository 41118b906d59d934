/* compact_desk.h -- what the tests of compaction share: a log over the failing disk, and a core
 * played by a table of jobs, of which the newest report of each is live. One at a time. */
#ifndef TD_LOG_COMPACT_DESK_H
#define TD_LOG_COMPACT_DESK_H

#include "node/log/compact.h"
#include "node/log/test_disk.h"
#include "node/log/test_kit.h"

enum { JOBS = 40, SEG_BYTES = 2048 };

/* What the core would know. */
struct desk_model {
    uint64_t newest[JOBS]; /* durable seq of the newest report; 0 = none */
    uint64_t position[JOBS];
    uint64_t next_seq, next_ticket;
    const struct td_compact_ask *ask;
    struct td_compact_answer answer;
    uint64_t claim_ticket;
    uint64_t compactions;
    /* The group under way. */
    uint32_t job[8], count;
    uint64_t first_seq, ticket;
    bool durable;
};
/* What a start found. */
struct desk_found {
    uint64_t newest[JOBS], position[JOBS], bytes[JOBS];
    uint32_t batches, holes, claims;
    uint64_t claimed;
    bool compacted;
    struct td_log_recovery recovery;
    char why[256];
};

extern struct test_disk desk_disk;
extern struct td_log *desk_log;
extern struct desk_model desk_model;
extern struct desk_found desk_found;
extern struct td_log_options desk_options;

enum td_err desk_open_log(void);
void desk_begin(uint64_t seed); /* an empty disk, a log on it */
void desk_end(void);
/* Reports one group of this many on jobs from this one on. */
void desk_report(uint32_t first_job, uint32_t count);
void desk_survey(void); /* as the core does from time to time */
void desk_pump(void);   /* until nothing is to be done or the disk is off */
/* A life of reports with compactions among them, until the disk goes. */
void desk_live_for(uint32_t rounds);
void desk_expect_readable(void); /* everything live, where the core believes it is */
void desk_expect_found(void);    /* everything that was durable and live, or newer; no damage */
void desk_adopt(void);           /* the core starts again from what was found */

#endif
