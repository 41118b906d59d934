/* json_parts.h -- the small values that JSON answers are made of, shared by json*.c only. */
#ifndef TD_CLIENT_JSON_PARTS_H
#define TD_CLIENT_JSON_PARTS_H

#include "node/client/json.h"

json_t *td_json_string(struct td_text text);
json_t *td_json_string_or_null(struct td_text text); /* empty = null */
json_t *td_json_time(uint64_t unix_ms);              /* 0 = null */
json_t *td_json_seconds(int64_t ms);
json_t *td_json_seconds_us(uint64_t us);
json_t *td_json_number(uint64_t value);       /* capped at 2^53-1 */
json_t *td_json_stamp(struct td_stamp stamp); /* "...Z+counter"; zero = null */
json_t *td_json_region(const struct td_response *response, struct td_region region); /* 0 = null */
json_t *td_json_key(const struct td_public_key *key);
json_t *td_json_fresh(const struct td_response *response, const struct td_fresh_view *fresh);

#endif
