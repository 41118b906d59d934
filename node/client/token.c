/* token.c -- tokens and watch cursors as text, and small questions about answers. */
#include "node/client/call.h"

#include <stdlib.h>
#include <string.h>

#include "proto/arena.h"
#include "proto/delta.h"
#include "proto/reader.h"
#include "proto/writer.h"

#define CURSOR_TEXT_PREFIX "tdc1:"
enum {
    PREFIX_BYTES = 5,
    VV_WIRE_BYTES_MAX = 32 * (TD_VV_ENTRIES_MAX + TD_REGIONS_MAX) + 64,
    TOKEN_WIRE_BYTES_MAX = VV_WIRE_BYTES_MAX + 96,
    CURSOR_WIRE_BYTES_MAX = TOKEN_WIRE_BYTES_MAX + 64,
    /* entries and folds, and as much again for a decoder that rounds up */
    VV_ARENA_BYTES = 2 * (TD_VV_ENTRIES_MAX * 32 + TD_REGIONS_MAX * 16) + 1024,
};

uint64_t td_token_register_hash(struct td_text job, uint16_t attempt)
{
    struct td_sodium_signer without_cluster = {.secret = NULL};
    struct td_signer signer = td_sodium_signer(&without_cluster);
    uint64_t hash = td_register_hash(signer.job_hash(signer.self, job), attempt) & TD_SEQ_MAX;
    return hash == 0 ? 1 : hash;
}

static size_t vv_wire_bytes(const struct td_vv *vv)
{
    return 32 * ((size_t)vv->entry_count + vv->fold_count) + 64;
}

static char *to_text(const char *prefix, struct td_bytes wire)
{
    size_t text_bytes = PREFIX_BYTES + wire.count * 4 / 3 + 8;
    char *text = malloc(text_bytes);
    if (text == NULL) {
        return NULL;
    }
    memcpy(text, prefix, PREFIX_BYTES);
    size_t used = td_base64url_encode(wire, text + PREFIX_BYTES, text_bytes - PREFIX_BYTES - 1);
    if (used == 0) {
        free(text);
        return NULL;
    }
    text[PREFIX_BYTES + used] = '\0';
    return text;
}

char *td_token_to_text(const struct td_token *token)
{
    size_t wire_bytes = vv_wire_bytes(&token->has) + 96;
    uint8_t *wire = malloc(wire_bytes);
    if (wire == NULL) {
        return NULL;
    }
    size_t used = td_token_encode(token, wire, wire_bytes);
    char *text = used == 0 ? NULL : to_text(TD_TOKEN_TEXT_PREFIX, (struct td_bytes){wire, used});
    free(wire);
    return text;
}

/* Decoded bytes first, the arena behind them, in one block. */
static enum td_err from_text(const char *text, const char *prefix, size_t wire_bytes_max,
                             struct td_token_memory *ret_memory, struct td_bytes *ret_wire,
                             struct td_arena *ret_arena)
{
    ret_memory->bytes = NULL;
    size_t count = strnlen(text, wire_bytes_max * 4 / 3 + PREFIX_BYTES + 8);
    if (strncmp(text, prefix, PREFIX_BYTES) != 0 || text[count] != '\0') {
        return TD_ETOKEN;
    }
    size_t wire_room = (count + 15) & ~(size_t)15;
    uint8_t *block = malloc(wire_room + VV_ARENA_BYTES);
    if (block == NULL) {
        return TD_ENOMEM;
    }
    size_t used = td_base64url_decode(text + PREFIX_BYTES, count - PREFIX_BYTES, block, wire_room);
    if (used == 0) {
        free(block);
        return TD_ETOKEN;
    }
    ret_memory->bytes = block;
    *ret_wire = (struct td_bytes){block, used};
    td_arena_init(ret_arena, block + wire_room, VV_ARENA_BYTES);
    return TD_OK;
}

enum td_err td_token_from_text(const char *text, struct td_token *ret_token,
                               struct td_token_memory *ret_memory)
{
    struct td_bytes wire;
    struct td_arena arena;
    enum td_err err =
        from_text(text, TD_TOKEN_TEXT_PREFIX, TOKEN_WIRE_BYTES_MAX, ret_memory, &wire, &arena);
    if (err != TD_OK) {
        return err;
    }
    struct td_reader *reader = td_reader_alloc();
    err = reader == NULL ? TD_ENOMEM : td_token_decode(wire, reader, &arena, ret_token);
    td_reader_free(reader);
    if (err != TD_OK) {
        td_token_release(ret_memory);
        return err == TD_ENOMEM ? TD_ENOMEM : TD_ETOKEN;
    }
    return TD_OK;
}

void td_token_release(struct td_token_memory *memory)
{
    free(memory->bytes);
    memory->bytes = NULL;
}

char *td_cursor_to_text(const struct td_watch_cursor *cursor)
{
    size_t wire_bytes = vv_wire_bytes(&cursor->after) + 64;
    uint8_t *wire = malloc(wire_bytes);
    if (wire == NULL) {
        return NULL;
    }
    struct td_writer writer;
    td_writer_init(&writer, wire, wire_bytes);
    td_writer_array(&writer, 4);
    td_writer_uint(&writer, cursor->arrival);
    td_writer_uint(&writer, cursor->process.start);
    td_writer_uint(&writer, cursor->process.random);
    td_vv_write(&writer, &cursor->after);
    size_t used = td_writer_done(&writer);
    char *text = used == 0 ? NULL : to_text(CURSOR_TEXT_PREFIX, (struct td_bytes){wire, used});
    free(wire);
    return text;
}

static enum td_err cursor_read(struct td_bytes wire, struct td_reader *reader,
                               struct td_arena *arena, struct td_watch_cursor *ret_cursor)
{
    struct td_watch_cursor cursor = {0};
    (void)td_reader_init(reader, wire);
    (void)td_reader_enter(reader, 4, UINT32_MAX);
    cursor.arrival = td_reader_uint(reader, UINT64_MAX);
    cursor.process.start = (uint32_t)td_reader_uint(reader, UINT32_MAX);
    cursor.process.random = (uint32_t)td_reader_uint(reader, UINT32_MAX);
    td_vv_read(reader, arena, &cursor.after);
    td_reader_leave(reader);
    enum td_err err = td_reader_done(reader);
    if (err == TD_OK) {
        *ret_cursor = cursor;
    }
    return err;
}

enum td_err td_cursor_from_text(const char *text, struct td_watch_cursor *ret_cursor,
                                struct td_token_memory *ret_memory)
{
    struct td_bytes wire;
    struct td_arena arena;
    enum td_err err =
        from_text(text, CURSOR_TEXT_PREFIX, CURSOR_WIRE_BYTES_MAX, ret_memory, &wire, &arena);
    if (err != TD_OK) {
        return err;
    }
    struct td_reader *reader = td_reader_alloc();
    err = reader == NULL ? TD_ENOMEM : cursor_read(wire, reader, &arena, ret_cursor);
    td_reader_free(reader);
    if (err != TD_OK) {
        td_token_release(ret_memory);
        return err == TD_ENOMEM ? TD_ENOMEM : TD_ETOKEN;
    }
    return TD_OK;
}

/* DESIGN 2: unknown cannot be newer than anything known. */
static bool older(const struct td_fresh_view *a, const struct td_fresh_view *b)
{
    if (a->age_known != b->age_known) {
        return !a->age_known;
    }
    return a->age_known && a->age_ms > b->age_ms;
}

uint32_t td_freshness_deciding(const struct td_response *response)
{
    uint32_t oldest = UINT32_MAX;
    for (uint32_t i = 0; i < response->freshness_count; i++) {
        if (oldest == UINT32_MAX || older(&response->freshness[i], &response->freshness[oldest])) {
            oldest = i;
        }
    }
    return oldest;
}

struct td_text td_response_region_name(const struct td_response *response, struct td_region region)
{
    if (region.v == 0) {
        return (struct td_text){"", 0};
    }
    if (region.v == response->node.v && response->node_name.count > 0) {
        return response->node_name;
    }
    for (uint32_t i = 0; i < response->name_count; i++) {
        if (response->names[i].region.v == region.v) {
            return response->names[i].name;
        }
    }
    return (struct td_text){"?", 1};
}
