/* nearest.c -- optimal string alignment distance over short words. */
#include "proto/nearest.h"

#include <limits.h>
#include <string.h>

static unsigned min_of(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

unsigned td_edit_distance(const char *a, const char *b)
{
    enum { SIDE = TD_NEAREST_BYTES_MAX + 1 };
    unsigned cost[SIDE][SIDE];
    size_t a_count = strnlen(a, TD_NEAREST_BYTES_MAX);
    size_t b_count = strnlen(b, TD_NEAREST_BYTES_MAX);

    for (size_t i = 0; i <= a_count; i++) {
        cost[i][0] = (unsigned)i;
    }
    for (size_t j = 0; j <= b_count; j++) {
        cost[0][j] = (unsigned)j;
    }
    for (size_t i = 1; i <= a_count; i++) {
        for (size_t j = 1; j <= b_count; j++) {
            unsigned change = cost[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0u : 1u);
            unsigned best = min_of(change, min_of(cost[i - 1][j], cost[i][j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
                best = min_of(best, cost[i - 2][j - 2] + 1);
            }
            cost[i][j] = best;
        }
    }
    return cost[a_count][b_count];
}

void td_nearest_init(struct td_nearest *self, const char *word)
{
    self->word = word;
    self->best = NULL;
    self->best_distance = UINT_MAX;
}

/* One edit for short words, a third of the letters for longer ones: more would be a guess. */
static unsigned distance_allowed(const char *word)
{
    size_t count = strlen(word);
    return count < 4 ? 1u : (unsigned)(count / 3 < 1 ? 1 : count / 3);
}

void td_nearest_offer(struct td_nearest *self, const char *candidate)
{
    unsigned distance = td_edit_distance(self->word, candidate);
    size_t count = strlen(self->word);

    if (count >= 2 && strncmp(self->word, candidate, count) == 0) {
        distance = min_of(distance, 1); /* an unfinished word means the word */
    }
    if (distance <= distance_allowed(self->word) && distance < self->best_distance) {
        self->best = candidate;
        self->best_distance = distance;
    }
}
