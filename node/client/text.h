/* text.h -- text for people and from people: escaping for terminals, RFC 3339 times, durations,
 * byte counts. Pure; no locale. */
#ifndef TD_CLIENT_TEXT_H
#define TD_CLIENT_TEXT_H

#include "proto/err.h"
#include "proto/types.h"

enum { TD_TIME_TEXT_BYTES = 48, TD_DURATION_TEXT_BYTES = 24 };

/* Writes text so that no byte of it can act on a terminal: control characters (C0, DEL, C1),
 * invalid UTF-8 (as the byte's value), bidirectional marks and overrides, line and paragraph
 * separators, zero width characters and the backslash-brace look-alike become \u{..}. Always
 * NUL-terminates; cuts at a whole character and ends with "..." when it does not fit. Returns the
 * bytes written without NUL. */
size_t td_text_escape(struct td_text text, char *ret_text, size_t text_bytes);
/* malloc'ed; NULL when out of memory. */
char *td_text_escape_alloc(struct td_text text);
/* Columns the escaped text takes on a terminal (combining marks 0, wide characters 2). */
size_t td_text_columns(const char *escaped);

struct td_text td_text_of(const char *text); /* NULL = empty */
bool td_text_equal(struct td_text a, struct td_text b);

/* "2026-03-02T14:08:42.120Z". ret_text: TD_TIME_TEXT_BYTES. False beyond the year 9999. */
bool td_time_format(uint64_t unix_ms, char *ret_text);
/* RFC 3339 with Z or an offset, and any number of decimals (cut to ms). */
TD_MUST_USE bool td_time_parse(struct td_text text, uint64_t *ret_unix_ms);
/* "14:02:11Z", or local time of day when local. */
void td_time_of_day(uint64_t unix_ms, bool local, char *ret_text);

/* "250ms", "30s", "5m", "1h", "2d", "1h30m", "1.5s"; a plain 0 is allowed, another bare number is
 * not. False on anything else, negative, or over 100 years. */
TD_MUST_USE bool td_duration_parse(const char *text, uint64_t *ret_ms);
/* For people: "0.4 s", "12 s", "4m12s", "3h05m", "2d04h". ret_text: TD_DURATION_TEXT_BYTES. */
void td_duration_format(uint64_t ms, char *ret_text);
/* "40", "40.5", "40%" -> 4000; at most 2 decimals. False outside 0..100. */
TD_MUST_USE bool td_percent_parse(const char *text, uint16_t *ret_progress);
/* 4050 -> "40.5 %"; ret_text: 16 bytes. */
void td_percent_format(uint16_t progress, char *ret_text);
/* "64MiB", "8GiB", "1000", "5k"; false on anything else. */
TD_MUST_USE bool td_size_parse(const char *text, uint64_t *ret_bytes);

#endif
