/* text.c -- escaping and UTF-8 for terminals. Times, durations and sizes are in units.c. */
#include "node/client/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct td_text td_text_of(const char *text)
{
    return (struct td_text){text, text != NULL ? (uint32_t)strlen(text) : 0};
}

bool td_text_equal(struct td_text a, struct td_text b)
{
    return a.count == b.count && (a.count == 0 || memcmp(a.bytes, b.bytes, a.count) == 0);
}

static bool continuation(uint8_t byte)
{
    return (byte & 0xc0) == 0x80;
}

/* One code point at bytes[0..left). Returns its length, or 0 for a byte that starts none. Overlong
 * forms, surrogates and values beyond U+10FFFF are none. */
static size_t utf8_decode(const uint8_t *bytes, size_t left, uint32_t *ret_point)
{
    uint8_t first = bytes[0];
    if (first < 0x80) {
        *ret_point = first;
        return 1;
    }
    size_t count = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || left < count) {
        return 0;
    }
    uint32_t point = first & (0x7fu >> count);
    for (size_t i = 1; i < count; i++) {
        if (!continuation(bytes[i])) {
            return 0;
        }
        point = point << 6 | (bytes[i] & 0x3fu);
    }
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    if (point < least[count] || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff)) {
        return 0;
    }
    *ret_point = point;
    return count;
}

/* What could act on a terminal or make a line read as another one. */
static bool dangerous(uint32_t point)
{
    return point < 0x20 || (point >= 0x7f && point <= 0x9f) || /* C0, DEL, C1 */
           point == 0xad || point == 0x61c ||                  /* soft hyphen, Arabic letter mark */
           (point >= 0x200b && point <= 0x200f) ||             /* zero width, LRM, RLM */
           (point >= 0x2028 && point <= 0x202e) || /* separators, embeddings, overrides */
           (point >= 0x2060 && point <= 0x206f) || /* joiners, isolates, deprecated */
           point == 0xfeff || (point >= 0xfff9 && point <= 0xfffb) ||
           (point >= 0xe0000 && point <= 0xe007f); /* tags */
}

/* The next piece of escaped text: its source length, and what to print instead (or "" = as it is).
 * A backslash before "u{" is escaped too, so that nobody can forge an escape. */
static size_t escape_step(const uint8_t *bytes, size_t left, char ret_instead[16])
{
    uint32_t point = 0;
    size_t count = utf8_decode(bytes, left, &point);
    ret_instead[0] = '\0';
    if (count == 0) {
        (void)snprintf(ret_instead, 16, "\\u{%x}", (unsigned)bytes[0]);
        return 1;
    }
    bool look_alike = point == '\\' && left >= 3 && bytes[1] == 'u' && bytes[2] == '{';
    if (dangerous(point) || look_alike) {
        (void)snprintf(ret_instead, 16, "\\u{%x}", (unsigned)point);
    }
    return count;
}

size_t td_text_escape(struct td_text text, char *ret_text, size_t text_bytes)
{
    const uint8_t *bytes = (const uint8_t *)text.bytes;
    size_t used = 0;
    size_t fits = 0; /* length up to which "..." still fits behind */
    if (text_bytes == 0) {
        return 0;
    }
    for (size_t at = 0; at < text.count;) {
        char instead[16];
        size_t taken = escape_step(bytes + at, text.count - at, instead);
        const char *piece = instead[0] != '\0' ? instead : (const char *)bytes + at;
        size_t piece_bytes = instead[0] != '\0' ? strlen(instead) : taken;
        if (used + piece_bytes + 1 > text_bytes) {
            size_t dots = text_bytes - 1 - fits < 3 ? text_bytes - 1 - fits : 3;
            memcpy(ret_text + fits, "...", dots);
            used = fits + dots;
            break;
        }
        memcpy(ret_text + used, piece, piece_bytes);
        used += piece_bytes;
        if (used + 3 + 1 <= text_bytes) {
            fits = used;
        }
        at += taken;
    }
    ret_text[used] = '\0';
    return used;
}

char *td_text_escape_alloc(struct td_text text)
{
    /* The longest escape of one byte is \u{xx}; of a longer character \u{xxxxxx}: at most 6 a byte.
     */
    size_t text_bytes = (size_t)text.count * 6 + 1;
    char *escaped = malloc(text_bytes);
    if (escaped != NULL) {
        (void)td_text_escape(text, escaped, text_bytes);
    }
    return escaped;
}

/* Wide = East Asian wide and emoji; combining = the common combining blocks. Enough to line up a
 * table. */
static size_t point_columns(uint32_t point)
{
    if ((point >= 0x300 && point <= 0x36f) || (point >= 0x1ab0 && point <= 0x1aff) ||
        (point >= 0x20d0 && point <= 0x20ff) || (point >= 0xfe00 && point <= 0xfe0f)) {
        return 0;
    }
    bool wide = (point >= 0x1100 && point <= 0x115f) || (point >= 0x2e80 && point <= 0xa4cf) ||
                (point >= 0xac00 && point <= 0xd7a3) || (point >= 0xf900 && point <= 0xfaff) ||
                (point >= 0xfe30 && point <= 0xfe6f) || (point >= 0xff00 && point <= 0xff60) ||
                (point >= 0xffe0 && point <= 0xffe6) || (point >= 0x1f300 && point <= 0x1f64f) ||
                (point >= 0x1f900 && point <= 0x1f9ff) || (point >= 0x20000 && point <= 0x3fffd);
    return wide ? 2 : 1;
}

size_t td_text_columns(const char *escaped)
{
    size_t left = strlen(escaped);
    size_t columns = 0;
    for (const uint8_t *at = (const uint8_t *)escaped; left > 0;) {
        uint32_t point = 0;
        size_t taken = utf8_decode(at, left, &point);
        columns += taken == 0 ? 1 : point_columns(point);
        taken = taken == 0 ? 1 : taken;
        at += taken;
        left -= taken;
    }
    return columns;
}
