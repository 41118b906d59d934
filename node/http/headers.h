/* headers.h -- what three headers of a request say; strict, for each of them guards something. */
#ifndef TD_HTTP_HEADERS_H
#define TD_HTTP_HEADERS_H

#include <stdbool.h>
#include <stdint.h>

/* All take the header's value; NULL = not given, which is never right. */

/* localhost, 127.*.*.* or [::1], with a port or without: one of our own names on loopback. A page
 * of a stranger's name that resolves to us (DNS rebinding) may not read from us. */
bool td_host_is_loopback(const char *host);
/* application/json, with parameters or without. */
bool td_media_is_json(const char *type);
/* Digits and nothing else. A number beyond 64 bits is UINT64_MAX. */
bool td_content_length(const char *length, uint64_t *ret_bytes);

#endif
