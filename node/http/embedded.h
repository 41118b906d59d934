/* embedded.h -- files that are compiled in; made by scripts/cmake/embed.cmake. */
#ifndef TD_HTTP_EMBEDDED_H
#define TD_HTTP_EMBEDDED_H

#include <stddef.h>

extern const unsigned char td_page_html[];
extern const size_t td_page_html_count;
extern const unsigned char td_openapi_json[];
extern const size_t td_openapi_json_count;

#endif
