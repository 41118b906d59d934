/* sentences.h -- what answers say about themselves in words: the same from the command line and
 * over HTTP. Escaped for terminals. */
#ifndef TD_CLIENT_SENTENCES_H
#define TD_CLIENT_SENTENCES_H

#include "node/client/call.h"

/* "complete as of 0.4 s ago (us-east is the oldest)", "STALE: us-east last complete 4m12s ago. ..."
 */
void td_fresh_sentence(const struct td_response *response, char *ret_text, size_t text_bytes);
/* Of a job that is not known here. attempt 0 = any; certain: whether nobody can know it. */
void td_unknown_sentence(const struct td_response *response, uint64_t attempt, bool certain,
                         char *ret_text, size_t text_bytes);
/* Whether the answer is as fresh as asked for: the region that decides is complete within
 * max_stale_ms, or there is no other region. */
bool td_fresh_within(const struct td_response *response, uint64_t max_stale_ms);

#endif
