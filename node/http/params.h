/* params.h -- query parameters: each known, each once, each of its form. */
#ifndef TD_HTTP_PARAMS_H
#define TD_HTTP_PARAMS_H

#include <microhttpd.h>

#include "proto/err.h"
#include "proto/types.h"

#define TD_PARAM_LIST(X)                                                                           \
    X(id)                                                                                          \
    X(attempt)                                                                                     \
    X(all_attempts)                                                                                \
    X(max_stale)                                                                                   \
    X(after)                                                                                       \
    X(wait) X(ack) X(state) X(origin) X(prefix) X(since) X(silent) X(conflicts) X(limit) X(cursor) \
        X(from) X(job) X(verbose)

enum td_param {
#define TD_PARAM_ENUM(name) TD_PARAM_##name,
    TD_PARAM_LIST(TD_PARAM_ENUM)
#undef TD_PARAM_ENUM
        TD_PARAM_COUNT
};
#define TD_PARAM_BIT(name) (UINT32_C(1) << TD_PARAM_##name)

/* Values point into the connection; NULL = not given, "" = given without a value. */
struct td_params {
    struct td_text values[TD_PARAM_COUNT];
};

/* Parameters on their way in. */
struct td_params_taking {
    struct td_params *into;
    uint32_t allowed; /* bits of those that the route takes */
    char *why;        /* one sentence when one is refused */
    size_t why_bytes;
    bool failed;
};
/* One parameter, unescaped and NUL-terminated; value NULL = none. False: refused. Keeps pointers.
 */
bool td_params_add(struct td_params_taking *self, const char *key, size_t key_bytes,
                   const char *value, size_t value_bytes);

/* TD_OK, or TD_EQUERY with one sentence in ret_why. allowed: bits of those that the route takes. */
TD_MUST_USE enum td_err td_params_take(struct MHD_Connection *connection, uint32_t allowed,
                                       struct td_params *ret_params, char *ret_why,
                                       size_t why_bytes);
static inline bool td_param_given(const struct td_params *params, enum td_param param)
{
    return params->values[param].bytes != NULL;
}
/* NUL-terminated; "" when not given. */
const char *td_param_text(const struct td_params *params, enum td_param param);
/* false = not of that form; not given: *ret stays. */
TD_MUST_USE bool td_param_uint(const struct td_params *params, enum td_param param, uint64_t max,
                               uint64_t *ret_value);
TD_MUST_USE bool td_param_ms(const struct td_params *params, enum td_param param, uint64_t *ret_ms);
TD_MUST_USE bool td_param_flag(const struct td_params *params, enum td_param param, bool *ret_flag);

#endif
