/* jobs_ask.c -- asking for one job, and the two kinds of "not found". */
#include <string.h>

#include "node/cli/jobs.h"
#include "node/client/json.h"
#include "node/client/sentences.h"
#include "proto/reader.h"

enum { LINE_BYTES = 4096 };

static bool id_valid(struct td_text job)
{
    return job.count > 0 && job.count <= TD_JOB_BYTES_MAX && td_utf8_valid(job, false);
}

/* "no region knows this job as of 1.2 s ago" (3), or "cannot know" (5). */
int td_job_unknown(struct td_cli *cli, const struct td_response *response, const char *job)
{
    char line[LINE_BYTES];
    int stale = td_cli_check_stale(cli, response);
    bool certain = response->certain && stale == 0;
    enum td_err err = certain ? TD_EUNKNOWN : TD_ESTALE;
    uint64_t attempt = td_args_uint(cli->args, TD_FLAG_ATTEMPT, 0);

    td_unknown_sentence(response, attempt, certain, line, sizeof line);
    if (td_cli_json(cli)) {
        json_t *problem = td_json_problem(TD_EUNKNOWN, line);
        if (problem != NULL) {
            json_object_set_new(problem, "freshness", td_json_freshness(response));
        }
        if (problem != NULL && response->op == TD_OP_EXPLAIN) {
            json_object_set_new(problem, "refused", td_json_refused(response));
        }
        td_cli_print_json(cli, problem);
    }
    fflush(stdout);
    fprintf(stderr, "%s: %s\n", td_cli_shown(td_text_of(job)), line);
    return td_err_exit_code(err);
}

/* Sends GET or EXPLAIN; *ret_known = false when the node does not know the job. Exit code. */
int td_job_ask(struct td_cli *cli, enum td_op op, bool all_attempts,
               struct td_call_result *ret_result, bool *ret_known)
{
    struct td_text job = td_text_of(cli->args->arguments[0]);
    struct td_request request = {
        .op = op,
        .u.get = {.job = job,
                  .attempt = (uint16_t)td_args_uint(cli->args, TD_FLAG_ATTEMPT, 0),
                  .all_attempts = all_attempts}};
    memset(ret_result, 0, sizeof *ret_result);
    if (!id_valid(job)) {
        return td_cli_fail(cli, TD_EJOBID, "job `%s`: %s", td_cli_shown(job),
                           td_err_text(TD_EJOBID));
    }
    int code = td_cli_open(cli);
    if (code != 0) {
        return code;
    }
    request.timeout_ms = td_args_has(cli->args, TD_FLAG_AFTER) ? td_cli_timeout_ms(cli, 10000) : 0;
    enum td_err err = td_call(cli->tidings, &request, NULL, ret_result);
    const struct td_response *response = &ret_result->response;
    if (err != TD_OK || (response->err != TD_OK && response->err != TD_EUNKNOWN)) {
        return td_cli_fail_call(cli, cli->tidings, err, ret_result);
    }
    uint32_t count = op == TD_OP_EXPLAIN ? response->u.explain.count : response->u.registers.count;
    *ret_known = response->err == TD_OK && count > 0;
    return 0;
}
