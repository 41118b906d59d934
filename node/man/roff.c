/* roff.c -- see roff.h. Output goes to stdout. */
#include "node/man/roff.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { LINE_BYTES = 8192, CELLS_MAX = 16 };

static void put_escaped(char c, bool at_start)
{
    if (c == '\\') {
        fputs("\\e", stdout);
    } else if (c == '-') {
        fputs("\\-", stdout);
    } else if (c == '~') {
        fputs("\\(ti", stdout);
    } else if (c == '^') {
        fputs("\\(ha", stdout);
    } else if (at_start && (c == '.' || c == '\'')) {
        printf("\\&%c", c);
    } else {
        putchar(c);
    }
}

/* Characters of UTF-8 that the documents use become plain text; groff wants no others in a page. */
static size_t put_character(const char *text, size_t count, bool at_start)
{
    if ((unsigned char)text[0] < 0x80) {
        put_escaped(text[0], at_start);
        return 1;
    }
    size_t used = 1;
    while (used < count && ((unsigned char)text[used] & 0xc0) == 0x80) {
        used++;
    }
    putchar(',');
    return used;
}

void td_roff_text(const char *text, size_t count)
{
    bool bold = false;

    for (size_t i = 0; i < count;) {
        bool mark = text[i] == '`' || (i + 1 < count && text[i] == '*' && text[i + 1] == '*');
        if (mark) {
            bold = !bold;
            fputs(bold ? "\\fB" : "\\fR", stdout);
            i += text[i] == '`' ? 1 : 2;
            continue;
        }
        if (text[i] == '\n') {
            putchar('\n');
            i++;
            continue;
        }
        i += put_character(text + i, count - i, i == 0 || text[i - 1] == '\n');
    }
    if (bold) {
        fputs("\\fR", stdout);
    }
}

static void put_line(const char *text)
{
    td_roff_text(text, strlen(text));
    putchar('\n');
}

void td_roff_title(const char *name, const char *section, const char *manual)
{
    printf(".TH %s %s \"\" \"tidings %s\" \"%s\"\n", name, section, TD_VERSION, manual);
}

void td_roff_section(const char *heading)
{
    fputs(".SH ", stdout);
    for (; *heading != '\0'; heading++) {
        put_escaped((char)toupper((unsigned char)*heading), false);
    }
    putchar('\n');
}

void td_roff_subsection(const char *heading)
{
    fputs(".SS ", stdout);
    put_line(heading);
}

void td_roff_paragraph(const char *text)
{
    puts(".PP");
    put_line(text);
}

void td_roff_item(const char *tag, const char *argument, const char *text)
{
    fputs(".TP\n\\fB", stdout);
    for (const char *at = tag; *at != '\0'; at++) {
        put_escaped(*at, at == tag);
    }
    fputs("\\fR", stdout);
    if (argument[0] != '\0') {
        fputs(" \\fI", stdout);
        for (const char *at = argument; *at != '\0'; at++) {
            put_escaped(*at, false);
        }
        fputs("\\fR", stdout);
    }
    putchar('\n');
    put_line(text);
}

void td_roff_lines(const char *lines, const char *prefix)
{
    puts(".PP\n.RS\n.nf");
    for (const char *at = lines; *at != '\0';) {
        size_t count = strcspn(at, "\n");
        bool start = prefix[0] == '\0';
        fputs(prefix, stdout);
        for (size_t i = 0; i < count;) {
            i += put_character(at + i, count - i, start && i == 0);
        }
        putchar('\n');
        at += count + (at[count] == '\n');
    }
    puts(".fi\n.RE");
}

void td_roff_end(void)
{
    td_roff_section("see also");
    puts("\\fBtidings\\fR(1), \\fBtidingsd\\fR(8), \\fBtidingsd.conf\\fR(5), "
         "\\fBtidings\\-protocol\\fR(7)");
}

/* ---- markdown ---- */

struct page {
    bool code, table, item, paragraph;
};

static const char *trimmed(char *line)
{
    size_t count = strlen(line);
    while (count > 0 && isspace((unsigned char)line[count - 1])) {
        line[--count] = '\0';
    }
    return line + strspn(line, " ");
}

/* First cell as a tag, the others behind it. */
static void table_row(char *line)
{
    char *rest = NULL;
    unsigned cell = 0;
    for (char *at = strtok_r(line, "|", &rest); at != NULL; at = strtok_r(NULL, "|", &rest)) {
        const char *text = trimmed(at);
        if (cell == 0) {
            fputs(".TP\n", stdout);
            put_line(text[0] == '\0' ? "\\(bu" : text);
        } else if (text[0] != '\0') {
            fputs(cell > 1 ? "; " : "", stdout);
            td_roff_text(text, strlen(text));
        }
        cell++;
    }
    puts(cell > 1 ? "" : "\\&");
}

static void take_line(struct page *page, char *line)
{
    const char *text = trimmed(line);
    if (text[0] == '\0') {
        page->paragraph = page->item = page->table = false;
    } else if (strncmp(text, "## ", 3) == 0) {
        td_roff_section(text + 3);
        page->paragraph = true;
    } else if (text[0] == '#') {
        td_roff_subsection(text + strspn(text, "# "));
        page->paragraph = true;
    } else if (text[0] == '|') {
        /* The rule between heading and body says nothing on paper. */
        if (strspn(text, "|- :") != strlen(text)) {
            table_row(line + (text - line));
        }
        page->table = true;
    } else if (strncmp(text, "- ", 2) == 0) {
        puts(".IP \\(bu 2");
        put_line(text + 2);
        page->item = true;
    } else {
        if (!page->paragraph && !page->item) {
            puts(".PP");
        }
        page->paragraph = true;
        put_line(text);
    }
}

int td_roff_markdown(const char *path)
{
    struct page page = {.paragraph = true};
    char line[LINE_BYTES];
    FILE *file = fopen(path, "re");

    if (file == NULL) {
        perror(path);
        return 1;
    }
    while (fgets(line, sizeof line, file) != NULL) {
        bool indented = strncmp(line, "    ", 4) == 0 && !page.item;
        bool fence = strncmp(line, "```", 3) == 0;
        if (fence) {
            page.code = !page.code;
        } else if (page.code || indented) {
            line[strcspn(line, "\n")] = '\0';
            td_roff_lines(line + (indented ? 4 : 0), "");
        } else if (strncmp(line, "# ", 2) != 0) {
            take_line(&page, line);
        }
    }
    fclose(file);
    return 0;
}
