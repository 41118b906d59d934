/* table.c -- libsmartcols for terminals and pipes; tab-separated lines without it. */
#include "node/cli/table.h"

#include <libsmartcols.h>
#include <stdlib.h>
#include <unistd.h>

struct td_table {
    const struct td_column *columns;
    unsigned column_count;
    bool plain;
    bool wide;
    struct libscols_table *scols; /* NULL when plain */
};

static bool shown(const struct td_table *table, unsigned column)
{
    return table->plain || table->wide || !table->columns[column].wide;
}

static bool open_scols(struct td_table *table)
{
    table->scols = scols_new_table();
    if (table->scols == NULL) {
        return false;
    }
    /* A pipe has no width: nothing is cut or wrapped there. */
    if (!isatty(STDOUT_FILENO)) {
        scols_table_set_termforce(table->scols, SCOLS_TERMFORCE_NEVER);
    }
    for (unsigned i = 0; i < table->column_count; i++) {
        if (shown(table, i) &&
            scols_table_new_column(table->scols, table->columns[i].name, 0,
                                   table->columns[i].right ? SCOLS_FL_RIGHT : 0) == NULL) {
            return false;
        }
    }
    return true;
}

struct td_table *td_table_alloc(const struct td_cli *cli, const struct td_column *columns,
                                unsigned count)
{
    struct td_table *table = calloc(1, sizeof *table);

    if (table == NULL) {
        return NULL;
    }
    table->columns = columns;
    table->column_count = count;
    table->plain = cli->form == TD_FORM_PLAIN;
    table->wide = cli->form == TD_FORM_WIDE;
    if (!table->plain && !open_scols(table)) {
        td_table_free(table);
        return NULL;
    }
    return table;
}

void td_table_free(struct td_table *table)
{
    if (table == NULL) {
        return;
    }
    if (table->scols != NULL) {
        scols_unref_table(table->scols);
    }
    free(table);
}

static void row_plain(const struct td_table *table, const char *const *cells)
{
    for (unsigned i = 0; i < table->column_count; i++) {
        printf("%s%s", i == 0 ? "" : "\t", cells[i] == NULL ? "" : cells[i]);
    }
    putchar('\n');
}

void td_table_row(struct td_table *table, const char *const *cells)
{
    if (table->plain) {
        row_plain(table, cells);
        return;
    }
    struct libscols_line *line = scols_table_new_line(table->scols, NULL);
    size_t at = 0;
    for (unsigned i = 0; line != NULL && i < table->column_count; i++) {
        if (shown(table, i)) {
            scols_line_set_data(line, at++, cells[i] == NULL ? "-" : cells[i]);
        }
    }
}

void td_table_print(struct td_table *table)
{
    if (table->scols != NULL) {
        fflush(stdout);
        scols_print_table(table->scols);
    }
}
