/* watch_place.c -- see watch_place.h. */
#include "node/client/watch_place.h"

#include <string.h>

/* A cursor within the node's walk through everything it knows; opaque otherwise. */

static void keep_vector(struct td_watch_vector *vector, const struct td_vv *has)
{
    vector->vv.entry_count = has->entry_count;
    vector->vv.fold_count = has->fold_count;
    if (has->entry_count > 0) {
        memcpy(vector->entries, has->entries, has->entry_count * sizeof vector->entries[0]);
    }
    if (has->fold_count > 0) {
        memcpy(vector->folds, has->folds, has->fold_count * sizeof vector->folds[0]);
    }
    vector->vv.entries = vector->entries;
    vector->vv.folds = vector->folds;
}

void td_watch_place_init(struct td_watch_place *place, uint64_t cursor)
{
    memset(place, 0, sizeof *place);
    place->cursor = cursor;
}

void td_watch_place_resume(struct td_watch_place *place, const struct td_watch_cursor *cursor)
{
    td_watch_place_init(place, cursor->arrival);
    place->process = cursor->process;
    place->placed = true;
    keep_vector(&place->after, &cursor->after);
}

void td_watch_place_ask(const struct td_watch_place *place, struct td_request *request)
{
    request->after = place->after.vv;
    request->u.watch.cursor = place->cursor;
    request->u.watch.process = place->process;
}

bool td_watch_place_begin(struct td_watch_place *place, const struct td_response *response)
{
    bool moved = place->placed && (place->process.start != response->process.start ||
                                   place->process.random != response->process.random);
    place->process = response->process;
    place->walking = place->walking && !moved;
    if (response->u.registers.reset || moved) {
        place->cursor = 0; /* the old place means nothing here: resuming now is beginning anew */
        return true;
    }
    return false;
}

/* From where another node would go on. Within a walk through everything known only what the node
 * had at its first page is certain to be delivered by its end; what came later follows behind it.
 */
void td_watch_place_end(struct td_watch_place *place, const struct td_response *response,
                        uint32_t limit)
{
    bool walk = (response->u.registers.next_cursor & TD_WATCH_WALK_BIT) != 0;
    if (walk && !place->walking) {
        keep_vector(&place->walk_has, &response->has);
    }
    if (!walk && place->walking) {
        keep_vector(&place->after, &place->walk_has.vv);
    } else if (!walk && response->u.registers.count < limit) {
        keep_vector(&place->after, &response->has);
    }
    place->walking = walk;
    place->cursor = response->u.registers.next_cursor; /* 0: a node that knows nothing yet */
    place->placed = true;
}

char *td_watch_place_text(const struct td_watch_place *place, uint64_t arrival)
{
    struct td_watch_cursor cursor = {arrival, place->process, place->after.vv};
    return td_cursor_to_text(&cursor);
}
