/* history_file.h -- a history as text, one event a line, as recorders of real clusters write it:
 * words parted by single blanks, numbers in decimal, times in ms of one clock, in the order of
 * time.
 */
/* clang-format off
   publish TIME CLIENT CALL [REPORT]                                     what its token saw
   read    TIME CLIENT CALL TOKEN SETTLED
   ack     TIME CLIENT CALL NODE PROCESS JOB ATTEMPT NOOP STATE REPORT
   shown   TIME CLIENT CALL NODE PROCESS JOB ATTEMPT STATE REPORT [REGION:AGE ...]
   shown   TIME CLIENT CALL NODE PROCESS JOB ATTEMPT none [REGION:AGE ...]
   gone    TIME CLIENT CALL
   ruined  NODE
   forgive REGION
   REPORT is RANK MS COUNTER REGION START RANDOM SEQ; TOKEN, SETTLED and NOOP are 0 or 1; STATE is a
   number or 255. A line that starts with # is a comment.
   clang-format on */
#ifndef TD_HISTORY_FILE_H
#define TD_HISTORY_FILE_H

#include <stdio.h>

#include "cluster-tests/history/history.h"

struct history_file_result {
    uint64_t lines;
    uint64_t acknowledged, shown; /* answers that said something */
    uint64_t bad_line;            /* the first that breaks the form; 0 = none */
    uint64_t violated_line;       /* the first that contradicts what came before; 0 = none */
};

/* Feeds every line up to the first that breaks the form, also behind a violation. */
struct history_file_result history_file_read(struct history *history, FILE *in);

#endif
