/* err.c -- answers about error numbers, all generated from the one list in err.h; and the end of a
 * program that found itself wrong. */
#include "proto/err.h"

#include <stdio.h>
#include <stdlib.h>

#include "proto/assert.h"

struct err_row {
    enum td_err err;
    enum td_err_class class_;
    int exit_code;
    int http_status;
    const char *text;
    const char *hint;
};

static const struct err_row rows[] = {
#define ERR_ROW(name, number, class_, exit_, http_, text, hint)                                    \
    {name, TD_CLASS_##class_, exit_, http_, text, hint},
    TD_ERR_LIST(ERR_ROW)
#undef ERR_ROW
};

enum { ROW_COUNT = sizeof rows / sizeof rows[0] };

/* A number from a newer program: the class is cautious, the text says what it is. */
static const struct err_row unlisted = {
    TD_EFORMAT,
    TD_CLASS_REJECT,
    1,
    500,
    "an error number this version does not know",
    "look the number up in the newer side's documentation",
};

static const struct err_row *row_of(enum td_err err)
{
    for (unsigned i = 0; i < ROW_COUNT; i++) {
        if (rows[i].err == err) {
            return &rows[i];
        }
    }
    return &unlisted;
}

const char *td_err_text(enum td_err err)
{
    return row_of(err)->text;
}

const char *td_err_hint(enum td_err err)
{
    return row_of(err)->hint;
}

enum td_err_class td_err_class(enum td_err err)
{
    return row_of(err)->class_;
}

int td_err_exit_code(enum td_err err)
{
    return row_of(err)->exit_code;
}

int td_err_http_status(enum td_err err)
{
    return row_of(err)->http_status;
}

int td_err_at(unsigned i, enum td_err *ret_err)
{
    if (i >= ROW_COUNT) {
        return 0;
    }
    *ret_err = rows[i].err;
    return 1;
}

_Noreturn void td_assert_failed(const char *condition, const char *file, int line)
{
    fprintf(stderr, "ev=assert_failed condition=\"%s\" at=%s:%d\n", condition, file, line);
    fflush(stderr);
    abort();
}
