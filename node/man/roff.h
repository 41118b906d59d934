/* roff.h -- the few macros of man(7) that the pages use, with everything escaped. */
#ifndef TD_MAN_ROFF_H
#define TD_MAN_ROFF_H

#include <stddef.h>

void td_roff_title(const char *name, const char *section, const char *manual);
void td_roff_section(const char *heading);
void td_roff_subsection(const char *heading);
void td_roff_paragraph(const char *text);
/* A tag in bold, its argument in italics (may be ""), and what it means. */
void td_roff_item(const char *tag, const char *argument, const char *text);
/* Lines as they are, each behind prefix. */
void td_roff_lines(const char *lines, const char *prefix);
/* count bytes of text, `code` and **bold** set in bold. */
void td_roff_text(const char *text, size_t count);
void td_roff_end(void);

/* Markdown of docs/ as a page: headings, paragraphs, lists, code and tables. */
int td_roff_markdown(const char *path);

#endif
