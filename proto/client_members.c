/* client_members.c -- the body of a MEMBERS answer: encode and decode side by side. */
#include "proto/client_members.h"

#include "proto/wire.h"

enum { MEMBER_FIELDS = 6, LIFE_FIELDS = 6, BODY_FIELDS = 4 };

static void write_member(struct td_writer *writer, const struct td_member_view *view)
{
    td_writer_array(writer, MEMBER_FIELDS);
    td_writer_uint(writer, view->region.v);
    td_writer_uint(writer, view->self);
    td_writer_array(writer, view->heard ? 1 : 0); /* [] = not heard */
    if (view->heard) {
        td_writer_uint(writer, view->heard_age_ms);
    }
    td_writer_uint(writer, view->roster_version);
    td_writer_uint(writer, view->fold_below);
    td_writer_array(writer, 3 * view->count);
    for (uint32_t i = 0; i < view->count; i++) {
        td_writer_uint(writer, view->entries[i].origin.incarnation.start);
        td_writer_uint(writer, view->entries[i].origin.incarnation.random);
        td_writer_uint(writer, view->entries[i].seq);
    }
}

void td_members_write(struct td_writer *writer, const struct td_response *response)
{
    td_writer_array(writer, BODY_FIELDS);
    td_writer_uint(writer, response->u.members.region.v);
    td_writer_uint(writer, response->u.members.roster_version);
    td_writer_array(writer, response->u.members.count);
    for (uint32_t i = 0; i < response->u.members.count; i++) {
        write_member(writer, &response->u.members.members[i]);
    }
    td_writer_array(writer, response->u.members.life_count);
    for (uint32_t i = 0; i < response->u.members.life_count; i++) {
        const struct td_life_view *life = &response->u.members.lives[i];
        td_writer_array(writer, LIFE_FIELDS);
        td_writer_uint(writer, life->incarnation.start);
        td_writer_uint(writer, life->incarnation.random);
        td_writer_uint(writer, life->key_number);
        td_writer_uint(writer, life->folded);
        td_writer_uint(writer, life->held);
        td_writer_uint(writer, life->signed_max);
    }
}

static void read_member(struct td_reader *reader, struct td_arena *arena, struct td_region asked,
                        struct td_member_view *view)
{
    td_reader_enter(reader, MEMBER_FIELDS, MEMBER_FIELDS);
    view->region = td_wire_read_region(reader);
    view->self = td_wire_read_flag(reader);
    view->heard = td_reader_enter(reader, 0, 1) == 1;
    view->heard_age_ms = view->heard ? td_reader_uint(reader, UINT64_MAX) : 0;
    td_reader_leave(reader);
    view->roster_version = td_reader_uint(reader, TD_SEQ_MAX);
    view->fold_below = (uint32_t)td_reader_uint(reader, UINT32_MAX);
    struct td_vv_entry *entries =
        td_wire_enter_flat(reader, arena, 3, TD_VV_ENTRIES_MAX, sizeof *entries, &view->count);
    for (uint32_t i = 0; entries != NULL && i < view->count; i++) {
        entries[i].origin.region = asked;
        entries[i].origin.incarnation = td_wire_read_incarnation(reader);
        entries[i].seq = td_reader_uint(reader, TD_SEQ_MAX);
    }
    td_reader_leave(reader);
    td_reader_leave(reader);
    view->entries = entries;
}

static void read_lives(struct td_reader *reader, struct td_arena *arena,
                       struct td_response *response)
{
    struct td_life_view *lives = td_wire_enter_flat(reader, arena, 1, TD_CLOSED_LIST_MAX,
                                                    sizeof *lives, &response->u.members.life_count);
    for (uint32_t i = 0; lives != NULL && i < response->u.members.life_count; i++) {
        td_reader_enter(reader, LIFE_FIELDS, LIFE_FIELDS);
        lives[i].incarnation = td_wire_read_incarnation(reader);
        lives[i].key_number = (uint16_t)td_reader_uint(reader, UINT16_MAX);
        lives[i].folded = td_wire_read_flag(reader);
        lives[i].held = td_reader_uint(reader, TD_SEQ_MAX);
        lives[i].signed_max = td_reader_uint(reader, TD_SEQ_MAX);
        td_reader_leave(reader);
    }
    td_reader_leave(reader);
    response->u.members.lives = lives;
}

void td_members_read(struct td_reader *reader, struct td_arena *arena, struct td_response *response)
{
    td_reader_enter(reader, BODY_FIELDS, BODY_FIELDS);
    response->u.members.region = td_wire_read_region(reader);
    response->u.members.roster_version = td_reader_uint(reader, TD_SEQ_MAX);
    struct td_member_view *members = td_wire_enter_flat(
        reader, arena, 1, TD_REGION_NUMBER_MAX, sizeof *members, &response->u.members.count);
    for (uint32_t i = 0; members != NULL && i < response->u.members.count; i++) {
        read_member(reader, arena, response->u.members.region, &members[i]);
    }
    td_reader_leave(reader);
    response->u.members.members = members;
    read_lives(reader, arena, response);
    td_reader_leave(reader);
}
