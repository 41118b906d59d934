/* reader.c -- msgpack-c's unpacker behind a guard of our own. msgpack-c trusts counts before their
 * bytes exist and accepts several forms of one value; the pre-scan refuses both before it runs. */
#include "proto/reader.h"

#include <msgpack/object.h>
#include <msgpack/unpack.h>
#include <msgpack/zone.h>
#include <stdlib.h>
#include <string.h>

#include "proto/assert.h"
#include "proto/limits.h"

enum { ZONE_BYTES = 64 * 1024 };

/* ---- UTF-8 ---- */

#define EVERY_BYTE(b) (UINT64_C(0x0101010101010101) * (b))

/* Whether all eight bytes are ASCII, and none a control character unless those are allowed. */
static bool eight_plain(const uint8_t *at, bool control_allowed)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    uint64_t bad = word;
    if (!control_allowed) {
        uint64_t del = word ^ EVERY_BYTE(0x7f);
        bad |= (word - EVERY_BYTE(0x20)) & ~word;
        bad |= (del - EVERY_BYTE(0x01)) & ~del;
    }
    return (bad & EVERY_BYTE(0x80)) == 0;
}

/* Length of the multi-byte character at `at` (first byte >= 0x80), 0 when it is not valid: RFC
 * 3629, no overlong forms, no surrogates, nothing above U+10FFFF. */
static size_t wide_char_bytes(const uint8_t *at, size_t left)
{
    uint8_t first = at[0];
    size_t count = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || count > left) {
        return 0;
    }
    uint8_t low = 0x80;
    uint8_t high = 0xbf;
    if (first == 0xe0) {
        low = 0xa0;
    } else if (first == 0xed) {
        high = 0x9f;
    } else if (first == 0xf0) {
        low = 0x90;
    } else if (first == 0xf4) {
        high = 0x8f;
    }
    if (at[1] < low || at[1] > high) {
        return 0;
    }
    for (size_t i = 2; i < count; i++) {
        if (at[i] < 0x80 || at[i] > 0xbf) {
            return 0;
        }
    }
    return count;
}

static bool utf8_valid(const uint8_t *at, size_t left, bool control_allowed)
{
    while (left > 0) {
        if (left >= 8 && eight_plain(at, control_allowed)) {
            at += 8;
            left -= 8;
            continue;
        }
        size_t count = 1;
        if (*at >= 0x80) {
            count = wide_char_bytes(at, left);
            bool control = count == 2 && at[0] == 0xc2 && at[1] < 0xa0; /* U+0080..9F */
            if (count == 0 || (control && !control_allowed)) {
                return false;
            }
        } else if (!control_allowed && (*at < 0x20 || *at == 0x7f)) {
            return false;
        }
        at += count;
        left -= count;
    }
    return true;
}

bool td_utf8_valid(struct td_text text, bool control_allowed)
{
    return utf8_valid((const uint8_t *)text.bytes, text.count, control_allowed);
}

/* ---- pre-scan ---- */

struct cursor {
    const uint8_t *at;
    const uint8_t *end;
};

static size_t left_bytes(const struct cursor *cursor)
{
    return (size_t)(cursor->end - cursor->at);
}

/* A big-endian number of `width` bytes that must not fit the next shorter form (be at least min).
 */
static bool take_number(struct cursor *cursor, size_t width, uint64_t min, uint64_t *ret_value)
{
    if (left_bytes(cursor) < width) {
        return false;
    }
    uint64_t value = 0;
    for (size_t i = 0; i < width; i++) {
        value = value << 8 | cursor->at[i];
    }
    cursor->at += width;
    *ret_value = value;
    return value >= min;
}

/* Skips count bytes of a str or bin; compares before it moves, so nothing can wrap. */
static bool take_body(struct cursor *cursor, uint64_t count, bool text)
{
    if (count > left_bytes(cursor)) {
        return false;
    }
    const uint8_t *body = cursor->at;
    cursor->at += count;
    return !text || utf8_valid(body, (size_t)count, true);
}

/* One uint, str or bin whose first byte was taken. Everything else (nil, bool, float, ext, map,
 * negative, 0xc1) is refused. */
static bool take_scalar(struct cursor *cursor, uint8_t first)
{
    uint64_t value;
    if (first < 0x80) {
        return true;
    }
    if ((first & 0xe0) == 0xa0) {
        return take_body(cursor, first & 0x1f, true);
    }
    switch (first) {
    case 0xcc:
        return take_number(cursor, 1, 0x80, &value);
    case 0xcd:
        return take_number(cursor, 2, 0x100, &value);
    case 0xce:
        return take_number(cursor, 4, 0x10000, &value);
    case 0xcf:
        return take_number(cursor, 8, UINT64_C(0x100000000), &value);
    case 0xd9:
        return take_number(cursor, 1, 32, &value) && take_body(cursor, value, true);
    case 0xda:
        return take_number(cursor, 2, 0x100, &value) && take_body(cursor, value, true);
    case 0xdb:
        return take_number(cursor, 4, 0x10000, &value) && take_body(cursor, value, true);
    case 0xc4:
        return take_number(cursor, 1, 0, &value) && take_body(cursor, value, false);
    case 0xc5:
        return take_number(cursor, 2, 0x100, &value) && take_body(cursor, value, false);
    case 0xc6:
        return take_number(cursor, 4, 0x10000, &value) && take_body(cursor, value, false);
    default:
        return false;
    }
}

static bool is_array(uint8_t first)
{
    return (first & 0xf0) == 0x90 || first == 0xdc || first == 0xdd;
}

/* An element has at least one byte, so a count beyond the remaining bytes is a lie. */
static bool take_array(struct cursor *cursor, uint8_t first, uint32_t *ret_count)
{
    uint64_t count = first & 0x0f;
    if (first == 0xdc && !take_number(cursor, 2, 16, &count)) {
        return false;
    }
    if (first == 0xdd && !take_number(cursor, 4, 0x10000, &count)) {
        return false;
    }
    *ret_count = (uint32_t)count;
    return count <= left_bytes(cursor);
}

enum td_err td_prescan(struct td_bytes bytes)
{
    if (bytes.count == 0 || !is_array(bytes.bytes[0])) {
        return TD_EFORMAT;
    }
    struct cursor cursor = {bytes.bytes, bytes.bytes + bytes.count};
    uint32_t left[TD_MSGPACK_DEPTH_MAX];
    uint32_t depth = 0;
    do {
        if (cursor.at == cursor.end) {
            return TD_EFORMAT;
        }
        uint8_t first = *cursor.at++;
        if (is_array(first)) {
            if (depth == TD_MSGPACK_DEPTH_MAX || !take_array(&cursor, first, &left[depth])) {
                return TD_EFORMAT;
            }
            depth++;
        } else {
            if (!take_scalar(&cursor, first)) {
                return TD_EFORMAT;
            }
            left[depth - 1]--;
        }
        while (depth > 0 && left[depth - 1] == 0) {
            depth--;
            if (depth > 0) {
                left[depth - 1]--;
            }
        }
    } while (depth > 0);
    return cursor.at == cursor.end ? TD_OK : TD_EFORMAT;
}

/* ---- reader ---- */

struct level {
    const msgpack_object *items;
    uint32_t count;
    uint32_t next;
};

struct td_reader {
    msgpack_zone zone;
    msgpack_object root;
    enum td_err err;
    uint32_t depth;
    struct level levels[TD_MSGPACK_DEPTH_MAX + 1]; /* level 0 holds only the root */
};

struct td_reader *td_reader_alloc(void)
{
    struct td_reader *reader = calloc(1, sizeof *reader);
    if (reader == NULL) {
        return NULL;
    }
    if (!msgpack_zone_init(&reader->zone, ZONE_BYTES)) {
        free(reader);
        return NULL;
    }
    reader->err = TD_EFORMAT; /* nothing to read yet */
    return reader;
}

void td_reader_free(struct td_reader *reader)
{
    if (reader == NULL) {
        return;
    }
    msgpack_zone_destroy(&reader->zone);
    free(reader);
}

enum td_err td_reader_init(struct td_reader *reader, struct td_bytes bytes)
{
    reader->depth = 0;
    reader->levels[0] = (struct level){&reader->root, 1, 0};
    reader->err = td_prescan(bytes);
    if (reader->err != TD_OK) {
        return reader->err;
    }
    /* Clearing keeps the first chunk, so a small message costs no heap call. */
    msgpack_zone_clear(&reader->zone);
    size_t offset = 0;
    msgpack_unpack_return got = msgpack_unpack((const char *)bytes.bytes, bytes.count, &offset,
                                               &reader->zone, &reader->root);
    if (got == MSGPACK_UNPACK_NOMEM_ERROR) {
        reader->err = TD_ENOMEM;
    } else if (got != MSGPACK_UNPACK_SUCCESS || offset != bytes.count) {
        reader->err = TD_EFORMAT;
    }
    return reader->err;
}

void td_reader_fail(struct td_reader *reader, enum td_err err)
{
    TD_ASSERT(err != TD_OK);
    if (reader->err == TD_OK) {
        reader->err = err;
    }
}

enum td_err td_reader_err(const struct td_reader *reader)
{
    return reader->err;
}

enum td_err td_reader_done(struct td_reader *reader)
{
    return reader->err;
}

/* The next element if it has this type; NULL with a latched failure otherwise. */
static const msgpack_object *next_of(struct td_reader *reader, msgpack_object_type type)
{
    if (reader->err != TD_OK) {
        return NULL;
    }
    struct level *level = &reader->levels[reader->depth];
    if (level->next == level->count || level->items[level->next].type != type) {
        reader->err = TD_EFORMAT;
        return NULL;
    }
    return &level->items[level->next++];
}

uint32_t td_reader_enter(struct td_reader *reader, uint32_t count_min, uint32_t count_max)
{
    const msgpack_object *object = next_of(reader, MSGPACK_OBJECT_ARRAY);
    if (object == NULL) {
        return 0;
    }
    uint32_t count = object->via.array.size;
    if (count < count_min || count > count_max) {
        bool over = count > count_max && count_min != count_max;
        reader->err = over ? TD_ETOOBIG : TD_EFORMAT;
        return 0;
    }
    TD_ASSERT(reader->depth < TD_MSGPACK_DEPTH_MAX);
    reader->levels[++reader->depth] = (struct level){object->via.array.ptr, count, 0};
    return count;
}

void td_reader_leave(struct td_reader *reader)
{
    if (reader->err != TD_OK) {
        return;
    }
    TD_ASSERT(reader->depth > 0);
    reader->depth--;
}

uint32_t td_reader_left(const struct td_reader *reader)
{
    if (reader->err != TD_OK) {
        return 0;
    }
    const struct level *level = &reader->levels[reader->depth];
    return level->count - level->next;
}

uint64_t td_reader_uint(struct td_reader *reader, uint64_t max)
{
    const msgpack_object *object = next_of(reader, MSGPACK_OBJECT_POSITIVE_INTEGER);
    if (object == NULL) {
        return 0;
    }
    if (object->via.u64 > max) {
        reader->err = TD_EFORMAT;
        return 0;
    }
    return object->via.u64;
}

struct td_text td_reader_text(struct td_reader *reader, uint32_t bytes_max)
{
    struct td_text none = {NULL, 0};
    const msgpack_object *object = next_of(reader, MSGPACK_OBJECT_STR);
    if (object == NULL) {
        return none;
    }
    if (object->via.str.size > bytes_max) {
        reader->err = TD_ETOOBIG;
        return none;
    }
    return (struct td_text){object->via.str.ptr, object->via.str.size};
}

struct td_bytes td_reader_bin(struct td_reader *reader, size_t bytes_max)
{
    struct td_bytes none = {NULL, 0};
    const msgpack_object *object = next_of(reader, MSGPACK_OBJECT_BIN);
    if (object == NULL) {
        return none;
    }
    if (object->via.bin.size > bytes_max) {
        reader->err = TD_ETOOBIG;
        return none;
    }
    return (struct td_bytes){(const uint8_t *)object->via.bin.ptr, object->via.bin.size};
}

void td_reader_fixed(struct td_reader *reader, uint8_t *ret_bytes, size_t count)
{
    const msgpack_object *object = next_of(reader, MSGPACK_OBJECT_BIN);
    if (object != NULL && object->via.bin.size == count) {
        memcpy(ret_bytes, object->via.bin.ptr, count);
        return;
    }
    td_reader_fail(reader, TD_EFORMAT);
    memset(ret_bytes, 0, count);
}
