/* page.h -- the parts of the page at / that the node writes, for those who have no JavaScript and
 * for the first moment of those who have. */
#ifndef TD_HTTP_PAGE_H
#define TD_HTTP_PAGE_H

#include "node/http/internal.h"

/* Appending never fails visibly: a page that outgrew its bound is cut, and the bound is far above
 * any page. */
void td_page_add(struct td_buffer *out, const char *text);
/* For text of other machines: control characters shown, HTML escaped. */
void td_page_add_text(struct td_buffer *out, struct td_text text);

/* status: an answer to STATUS; jobs: one to LIST. */
void td_page_regions(struct td_buffer *out, const struct td_response *status);
void td_page_peers(struct td_buffer *out, const struct td_response *status);
void td_page_mesh(struct td_buffer *out, const struct td_response *status);
void td_page_jobs(struct td_buffer *out, const struct td_response *jobs);

#endif
