/* watch_place.h -- where a watch stands: the cursor at the node that answers, and the version
 * vector from which any other node goes on. The vector may only name what was really delivered: an
 * answer that was cut off at its limit, or is one page of a walk through everything, came from a
 * node that has more. */
#ifndef TD_CLIENT_WATCH_PLACE_H
#define TD_CLIENT_WATCH_PLACE_H

#include "node/client/call.h"

/* A version vector with its memory. */
struct td_watch_vector {
    struct td_vv vv;
    struct td_vv_entry entries[TD_VV_ENTRIES_MAX];
    struct td_vv_fold folds[TD_REGIONS_MAX];
};

/* Large: keep it on the heap. Not to be copied: the vectors point into it. */
struct td_watch_place {
    uint64_t cursor;
    struct td_incarnation process;
    bool placed;  /* cursor belongs to process */
    bool walking; /* the node walks through everything known; walk_has is from its first page */
    struct td_watch_vector walk_has;
    struct td_watch_vector after; /* everything it covers was delivered */
};

/* cursor: UINT64_MAX = from now on, 0 = everything known first. */
void td_watch_place_init(struct td_watch_place *place, uint64_t cursor);
/* Goes on behind a printed cursor. */
void td_watch_place_resume(struct td_watch_place *place, const struct td_watch_cursor *cursor);
/* The next request's cursor, process and after. */
void td_watch_place_ask(const struct td_watch_place *place, struct td_request *request);
/* An answer came: before its changes are delivered. True = begun anew, what follows may repeat. */
bool td_watch_place_begin(struct td_watch_place *place, const struct td_response *response);
/* All of its changes were delivered; limit as asked for. */
void td_watch_place_end(struct td_watch_place *place, const struct td_response *response,
                        uint32_t limit);
/* Text that resumes behind the change with this arrival number; NULL without memory. free() it. */
char *td_watch_place_text(const struct td_watch_place *place, uint64_t arrival);

#endif
