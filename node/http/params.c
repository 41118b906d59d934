/* params.c -- see params.h. */
#include "node/http/params.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/client/text.h"
#include "proto/nearest.h"

static const char *const names[TD_PARAM_COUNT] = {
#define PARAM_NAME(name) #name,
    TD_PARAM_LIST(PARAM_NAME)
#undef PARAM_NAME
};

static void refuse(struct td_params_taking *self, const char *what, const char *key,
                   const char *hint)
{
    char shown[96];
    td_text_escape(td_text_of(key), shown, sizeof shown);
    if (!self->failed) {
        (void)snprintf(self->why, self->why_bytes, "%s \"%s\"%s%s", what, shown,
                       hint != NULL ? "; did you mean " : "", hint != NULL ? hint : "");
    }
    self->failed = true;
}

static const char *nearest(const struct td_params_taking *self, const char *key)
{
    struct td_nearest nearest;
    td_nearest_init(&nearest, key);
    for (size_t i = 0; i < TD_PARAM_COUNT; i++) {
        if ((self->allowed >> i & 1) != 0) {
            td_nearest_offer(&nearest, names[i]);
        }
    }
    return nearest.best;
}

bool td_params_add(struct td_params_taking *self, const char *key, size_t key_bytes,
                   const char *value, size_t value_bytes)
{
    if (strlen(key) != key_bytes || (value != NULL && strlen(value) != value_bytes)) {
        refuse(self, "a zero byte in parameter", key, NULL);
        return false;
    }
    for (size_t i = 0; i < TD_PARAM_COUNT; i++) {
        if (strcmp(names[i], key) != 0 || (self->allowed >> i & 1) == 0) {
            continue;
        }
        if (self->into->values[i].bytes != NULL) {
            refuse(self, "given twice: parameter", key, NULL);
            return false;
        }
        self->into->values[i] =
            (struct td_text){value != NULL ? value : "", value != NULL ? (uint32_t)value_bytes : 0};
        return true;
    }
    refuse(self, "this route has no parameter", key, nearest(self, key));
    return false;
}

static enum MHD_Result take(void *self, enum MHD_ValueKind kind, const char *key, size_t key_bytes,
                            const char *value, size_t value_bytes)
{
    (void)kind;
    return td_params_add(self, key, key_bytes, value, value_bytes) ? MHD_YES : MHD_NO;
}

enum td_err td_params_take(struct MHD_Connection *connection, uint32_t allowed,
                           struct td_params *ret_params, char *ret_why, size_t why_bytes)
{
    struct td_params params = {0};
    struct td_params_taking self = {
        .into = &params, .allowed = allowed, .why = ret_why, .why_bytes = why_bytes};
    (void)MHD_get_connection_values_n(connection, MHD_GET_ARGUMENT_KIND, take, &self);
    if (self.failed) {
        return TD_EQUERY;
    }
    *ret_params = params;
    return TD_OK;
}

const char *td_param_text(const struct td_params *params, enum td_param param)
{
    return params->values[param].bytes != NULL ? params->values[param].bytes : "";
}

bool td_param_uint(const struct td_params *params, enum td_param param, uint64_t max,
                   uint64_t *ret_value)
{
    const char *text = params->values[param].bytes;
    if (text == NULL) {
        return true;
    }
    if (text[0] < '0' || text[0] > '9') {
        return false;
    }
    char *end = NULL;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0 || *end != '\0' || value > max) {
        return false;
    }
    *ret_value = value;
    return true;
}

bool td_param_ms(const struct td_params *params, enum td_param param, uint64_t *ret_ms)
{
    const char *text = params->values[param].bytes;
    return text == NULL || td_duration_parse(text, ret_ms);
}

bool td_param_flag(const struct td_params *params, enum td_param param, bool *ret_flag)
{
    const char *text = params->values[param].bytes;
    if (text == NULL) {
        return true;
    }
    bool yes = text[0] == '\0' || strcmp(text, "1") == 0 || strcmp(text, "true") == 0;
    bool no = strcmp(text, "0") == 0 || strcmp(text, "false") == 0;
    *ret_flag = yes;
    return yes || no;
}
