/* table.h -- rows for people (aligned, by libsmartcols) or for scripts (-o plain: tabs, no header).
 * Cells must be escaped already. */
#ifndef TD_CLI_TABLE_H
#define TD_CLI_TABLE_H

#include "node/cli/cli.h"

struct td_column {
    const char *name;
    bool right; /* numbers */
    bool wide;  /* shown with -o wide and -o plain only */
};
struct td_table;

/* columns are borrowed until td_table_free. NULL when out of memory. */
struct td_table *td_table_alloc(const struct td_cli *cli, const struct td_column *columns,
                                unsigned count);
void td_table_free(struct td_table *table);
/* One cell a column, copied; NULL = "-" (empty with plain). Plain rows are printed at once. */
void td_table_row(struct td_table *table, const char *const *cells);
void td_table_print(struct td_table *table);

#endif
