/* client_detours.h -- the last part of a STATUS: whom each region says it has no direct link to.
 * [[by, [region, via, ...]], ...], in the order of the regions, those alone that say so. */
#ifndef TD_PROTO_CLIENT_DETOURS_H
#define TD_PROTO_CLIENT_DETOURS_H

#include "proto/client_msg.h"
#include "proto/reader.h"
#include "proto/writer.h"

/* Whether there is anything to write. */
bool td_detours_any(const struct td_region_view *views, uint32_t count);
void td_detours_write(struct td_writer *writer, const struct td_region_view *views, uint32_t count);
void td_detours_read(struct td_reader *reader, struct td_arena *arena, struct td_region_view *views,
                     uint32_t count);

#endif
