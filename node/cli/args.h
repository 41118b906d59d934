/* args.h -- a parsed command line. Values are checked against the option table while parsing, so
 * the accessors cannot fail. Texts are borrowed from argv. */
#ifndef TD_CLI_ARGS_H
#define TD_CLI_ARGS_H

#include "node/cli/options.h"
#include "proto/err.h"
#include "proto/types.h"

enum { TD_ARGS_MAX = 512, TD_ARGS_ERROR_BYTES = 512 };

struct td_given {
    enum td_flag_id id;
    const char *text; /* NULL for a switch */
};
struct td_args {
    const struct td_verb *verb; /* NULL: none was given (--help, --version alone) */
    unsigned argument_count;
    const char *arguments[TD_ARGS_MAX];
    unsigned given_count;
    struct td_given given[TD_ARGS_MAX];
    bool version;   /* --version before any verb */
    char group[32]; /* first word of a two-word verb, e.g. roster */
};

/* On failure ret_error gets one sentence for people, with a suggestion where one is near, and the
 * verb found so far stays in ret_args. */
TD_MUST_USE enum td_err td_args_parse(int argc, char *const argv[], struct td_args *ret_args,
                                      char ret_error[TD_ARGS_ERROR_BYTES]);
/* The rule of the flag's kind. For values that do not come from argv (environment). */
TD_MUST_USE enum td_err td_flag_check(const struct td_flag *flag, const char *text,
                                      char ret_error[TD_ARGS_ERROR_BYTES]);

bool td_args_has(const struct td_args *args, enum td_flag_id id);
/* The last one given; NULL when none was. */
const char *td_args_text(const struct td_args *args, enum td_flag_id id);
/* A number; fallback when the flag was not given or holds a word instead of a number. */
uint64_t td_args_uint(const struct td_args *args, enum td_flag_id id, uint64_t fallback);
uint64_t td_args_ms(const struct td_args *args, enum td_flag_id id, uint64_t fallback_ms);
bool td_args_is(const struct td_args *args, enum td_flag_id id, const char *word);
/* Walks the values of a repeated flag: *position starts at 0; NULL at the end. */
const char *td_args_next(const struct td_args *args, enum td_flag_id id, unsigned *position);

#endif
