/* readback.c -- awaiting a vector and paging through a prefix. */
#include "node/cli/readback.h"

#include <string.h>

int td_readback_open(const struct td_cli *cli, const char *node, uint32_t timeout_ms,
                     struct tidings **ret_handle)
{
    struct tidings_options options = {.timeout_ms = timeout_ms};

    return td_cli_open_at(cli, node, &options, ret_handle);
}

/* One question that the node answers when it covers `after` or after wait_ms. */
static enum td_err ask_after(struct tidings *handle, const struct td_vv *after, uint32_t wait_ms,
                             bool *ret_covered)
{
    struct td_request request = {.op = TD_OP_GET,
                                 .timeout_ms = wait_ms,
                                 .after = *after,
                                 .u.get = {.job = td_text_of("readback")}};
    struct td_call_options options = {.timeout_ms = wait_ms + 2000, .no_token = true};
    struct td_call_result result = {0};

    enum td_err err = td_call(handle, &request, &options, &result);
    *ret_covered = err == TD_OK && td_vv_covers(&result.response.has, after);
    td_call_release(&result);
    return err;
}

enum td_err td_readback_await(struct tidings *handle, const struct td_vv *after,
                              uint32_t timeout_ms)
{
    uint64_t end_us = td_cli_mono_us() + (uint64_t)timeout_ms * 1000;
    bool covered = false;

    for (uint64_t now_us = td_cli_mono_us(); now_us < end_us && td_cli_interrupted == 0;
         now_us = td_cli_mono_us()) {
        uint64_t left_ms = (end_us - now_us) / 1000 + 1;
        enum td_err err =
            ask_after(handle, after, left_ms < 2000 ? (uint32_t)left_ms : 2000, &covered);
        if (covered) {
            return TD_OK;
        }
        if (err != TD_OK && err != TD_ETIMEOUT) {
            return err;
        }
    }
    return TD_ETIMEOUT;
}

enum td_err td_readback_list(struct tidings *handle, struct td_text prefix,
                             void (*take)(void *self, const struct td_register_view *view),
                             void *self)
{
    uint64_t cursor = 0;

    do {
        struct td_request request = {
            .op = TD_OP_LIST,
            .u.list = {.filter = {.prefix = prefix}, .limit = TD_LIST_LIMIT_MAX, .cursor = cursor}};
        struct td_call_options options = {.no_token = true};
        struct td_call_result result = {0};
        enum td_err err = td_call(handle, &request, &options, &result);
        if (err == TD_OK) {
            err = result.response.err;
        }
        for (uint32_t i = 0; err == TD_OK && i < result.response.u.registers.count; i++) {
            take(self, &result.response.u.registers.registers[i]);
        }
        cursor = err == TD_OK ? result.response.u.registers.next_cursor : 0;
        td_call_release(&result);
        if (err != TD_OK) {
            return err;
        }
    } while (cursor != 0 && td_cli_interrupted == 0);
    return TD_OK;
}
