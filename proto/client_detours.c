/* client_detours.c -- see client_detours.h. */
#include "proto/client_detours.h"

#include "proto/wire.h"

static uint32_t said_count(const struct td_region_view *views, uint32_t count)
{
    uint32_t said = 0;
    for (uint32_t i = 0; i < count; i++) {
        said += views[i].detours_said;
    }
    return said;
}

bool td_detours_any(const struct td_region_view *views, uint32_t count)
{
    return said_count(views, count) > 0;
}

void td_detours_write(struct td_writer *writer, const struct td_region_view *views, uint32_t count)
{
    td_writer_array(writer, said_count(views, count));
    for (uint32_t i = 0; i < count; i++) {
        if (!views[i].detours_said) {
            continue;
        }
        td_writer_array(writer, 2);
        td_writer_uint(writer, views[i].region.v);
        td_writer_array(writer, 2 * views[i].detour_count);
        for (uint32_t k = 0; k < views[i].detour_count; k++) {
            td_writer_uint(writer, views[i].detours[k].region.v);
            td_writer_uint(writer, views[i].detours[k].via.v);
        }
    }
}

static void read_row(struct td_reader *reader, struct td_arena *arena, struct td_region_view *view)
{
    uint32_t count = 0;
    struct td_detour *detours =
        td_wire_enter_flat(reader, arena, 2, TD_REGIONS_MAX, sizeof *detours, &count);
    if (detours == NULL) {
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        detours[i].region = td_wire_read_region(reader);
        detours[i].via.v = (uint8_t)td_reader_uint(reader, TD_REGION_NUMBER_MAX);
    }
    td_reader_leave(reader);
    view->detours_said = true;
    view->detour_count = count;
    view->detours = detours;
}

void td_detours_read(struct td_reader *reader, struct td_arena *arena, struct td_region_view *views,
                     uint32_t count)
{
    uint32_t rows = td_reader_enter(reader, 1, TD_REGION_NUMBER_MAX);
    uint32_t at = 0;
    for (uint32_t i = 0; i < rows && td_reader_err(reader) == TD_OK; i++) {
        td_reader_enter(reader, 2, 2);
        struct td_region by = td_wire_read_region(reader);
        while (at < count && views[at].region.v != by.v) {
            at++;
        }
        if (at == count) {
            td_reader_fail(reader, TD_EFORMAT);
            return;
        }
        read_row(reader, arena, &views[at++]);
        td_reader_leave(reader);
    }
    td_reader_leave(reader);
}
