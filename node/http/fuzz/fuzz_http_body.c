/* fuzz_http_body.c -- the body of a PUT, which is also a line of publish --from-jsonl: what is
 * taken keeps the rules of every field, and the protocol can say it. */
#include <stdlib.h>
#include <string.h>

#include "node/client/json.h"
#include "proto/assert.h"
#include "proto/delta.h"
#include "proto/fuzz/fuzz_support.h"

enum { WIRE_BYTES = 8192 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    static uint8_t wire[WIRE_BYTES];
    char why[256] = "";
    struct td_json_update parsed = {0};
    struct td_text body = {(const char *)bytes, (uint32_t)count};
    enum td_err err =
        td_json_update_parse(body, (struct td_text){"eu-4711", 7}, &parsed, why, sizeof why);
    if (err == TD_OK) {
        TD_ASSERT(td_job_valid(parsed.update.job));
        TD_ASSERT(td_status_check(&parsed.update.status) == TD_OK);
        struct td_request request = {.op = TD_OP_PUBLISH,
                                     .u.publish = {.count = 1, .updates = &parsed.update}};
        TD_ASSERT(td_request_encode(&request, wire, sizeof wire) > 0);
    }
    td_json_update_release(&parsed);
    return 0;
}
