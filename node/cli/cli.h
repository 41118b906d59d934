/* cli.h -- what every verb shares: the parsed command line, the form of the output, one connection,
 * and the one way to say what went wrong. One thread. */
#ifndef TD_CLI_CLI_H
#define TD_CLI_CLI_H

#include <jansson.h>
#include <signal.h>
#include <stdio.h>

#include "node/cli/args.h"
#include "node/client/call.h"
#include "node/client/text.h"

enum td_form { TD_FORM_TABLE, TD_FORM_WIDE, TD_FORM_PLAIN, TD_FORM_JSON, TD_FORM_JSONL };
enum { TD_EXIT_INTERRUPTED = 130, TD_CLI_NODES_MAX = 64 };

struct td_cli {
    const struct td_args *args;
    const char *nodes; /* comma-separated */
    enum td_form form;
    bool color;
    bool local_time; /* a person at a terminal, who did not ask for UTC */
    bool progress;   /* stderr is a terminal and not quiet */
    bool quiet;
    struct tidings *tidings; /* NULL until td_cli_open */
};

bool td_cli_json(const struct td_cli *cli);

/* "tidings VERB: what: text (CODE)" and a line with what to do, on stderr; returns the exit code.
 * The format says what failed, where and why; the line below it comes from err. */
__attribute__((format(printf, 3, 4))) int td_cli_fail(const struct td_cli *cli, enum td_err err,
                                                      const char *format, ...);
/* The same without the general hint, for messages that say themselves what to do. */
__attribute__((format(printf, 3, 4))) int td_cli_refuse(const struct td_cli *cli, enum td_err err,
                                                        const char *format, ...);
/* A remark on stderr, not with --quiet. */
__attribute__((format(printf, 2, 3))) void td_cli_note(const struct td_cli *cli, const char *format,
                                                       ...);

/* Opens cli->tidings over all nodes. Exit code; 0 = open. */
TD_MUST_USE int td_cli_open(struct td_cli *cli);
/* A handle of its own: nodes as given, limits as in options (nodes, key, root, time-out, token are
 * filled in here). */
TD_MUST_USE int td_cli_open_at(const struct td_cli *cli, const char *nodes,
                               struct tidings_options *options, struct tidings **ret_tidings);
void td_cli_close(struct td_cli *cli);
/* One call on cli->tidings, opening it first: with an answer that says no, the reason is printed.
 * Exit code; 0 = ret_result holds a good answer. Release ret_result in every case. */
TD_MUST_USE int td_cli_call(struct td_cli *cli, const struct td_request *request,
                            const struct td_call_options *options,
                            struct td_call_result *ret_result);
/* What td_call returned or the answer said, as message and exit code. */
int td_cli_fail_call(const struct td_cli *cli, struct tidings *handle, enum td_err err,
                     const struct td_call_result *result);

/* --timeout, else fallback. */
uint32_t td_cli_timeout_ms(const struct td_cli *cli, uint32_t fallback_ms);
/* Splits a comma-separated list into copies; returns their number, 0 when there are none or too
 * many. */
unsigned td_cli_split(const char *list, char *ret_items[TD_CLI_NODES_MAX]);
void td_cli_split_free(char *items[TD_CLI_NODES_MAX], unsigned count);

/* Exit code of an answer's age against --max-stale: 0 or 5 (with a note on stderr). */
int td_cli_check_stale(const struct td_cli *cli, const struct td_response *response);
/* Prints and frees; -o json is one line as well, the HTTP body byte for byte. */
int td_cli_print_json(const struct td_cli *cli, json_t *take_json);
/* 0, or the failure to write standard output. */
int td_cli_finish(const struct td_cli *cli, int exit_code);

/* Escaped into a buffer that is reused after eight calls. For messages only. */
const char *td_cli_shown(struct td_text text);
const char *td_cli_region(const struct td_response *response, struct td_region region);
/* Duration for people, in a buffer reused after eight calls. */
const char *td_cli_duration(uint64_t ms);
/* The same; seconds with three decimals with -o plain, whose cells are for programs. */
const char *td_cli_age(const struct td_cli *cli, uint64_t ms);
const char *td_cli_time_of_day(const struct td_cli *cli, uint64_t unix_ms);
/* "1 region", "3 regions". */
const char *td_cli_plural(uint64_t count, const char *one, const char *many);

/* Ctrl-C leaves at once with 130. */
void td_cli_leave_on_interrupt(void);
/* For long work: the first Ctrl-C sets td_cli_interrupted, the second leaves at once with 130. */
extern volatile sig_atomic_t td_cli_interrupted;
void td_cli_catch_interrupt(void);

uint64_t td_cli_wall_ms(void);
uint64_t td_cli_mono_us(void);

/* Verbs; each returns the exit code. */
int td_cmd_publish(struct td_cli *cli);
int td_cmd_get(struct td_cli *cli);
int td_cmd_list(struct td_cli *cli);
int td_cmd_watch(struct td_cli *cli);
int td_cmd_wait(struct td_cli *cli);
int td_cmd_explain(struct td_cli *cli);
int td_cmd_history(struct td_cli *cli);
int td_cmd_peers(struct td_cli *cli);
int td_cmd_mesh(struct td_cli *cli);
int td_cmd_regions(struct td_cli *cli);
int td_cmd_top(struct td_cli *cli);
int td_cmd_conflicts(struct td_cli *cli);
int td_cmd_check(struct td_cli *cli);
int td_cmd_doctor(struct td_cli *cli);
int td_cmd_bundle(struct td_cli *cli);
int td_cmd_keygen(struct td_cli *cli);
int td_cmd_pubkey(struct td_cli *cli);
int td_cmd_roster_init(struct td_cli *cli);
int td_cmd_roster_add(struct td_cli *cli);
int td_cmd_roster_add_client(struct td_cli *cli);
int td_cmd_roster_set(struct td_cli *cli);
int td_cmd_roster_close(struct td_cli *cli);
int td_cmd_roster_revoke(struct td_cli *cli);
int td_cmd_roster_rotate(struct td_cli *cli);
int td_cmd_roster_log(struct td_cli *cli);
int td_cmd_roster_show(struct td_cli *cli);
int td_cmd_roster_status(struct td_cli *cli);
int td_cmd_roster_verify(struct td_cli *cli);
int td_cmd_roster_push(struct td_cli *cli);
int td_cmd_bench(struct td_cli *cli);
int td_cmd_replay(struct td_cli *cli);
int td_cmd_drain(struct td_cli *cli);
int td_cmd_reload(struct td_cli *cli);
int td_cmd_loglevel(struct td_cli *cli);
int td_cmd_backup(struct td_cli *cli);
int td_cmd_errors(struct td_cli *cli);
int td_cmd_completion(struct td_cli *cli);
int td_cmd_version(struct td_cli *cli);
int td_cmd_help(struct td_cli *cli);
int td_cmd_fault(struct td_cli *cli);

#endif
