/* nearest.h -- the word a person most likely meant, for the messages of both programs. Pure; no allocation. */
#ifndef TD_PROTO_NEAREST_H
#define TD_PROTO_NEAREST_H

#include <stddef.h>

enum { TD_NEAREST_BYTES_MAX = 48 };

/* Edits (insert, delete, change, swap of neighbours) between a and b; words longer than
 * TD_NEAREST_BYTES_MAX are compared by their first bytes. */
unsigned td_edit_distance(const char *a, const char *b);

/* Keeps the best of a stream of candidates. */
struct td_nearest {
    const char *word; /* borrowed */
    const char *best; /* borrowed; NULL = nothing close enough */
    unsigned best_distance;
};
void td_nearest_init(struct td_nearest *self, const char *word);
void td_nearest_offer(struct td_nearest *self, const char *candidate);

#endif
