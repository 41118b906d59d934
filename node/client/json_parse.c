/* json_parse.c -- one JSON line or HTTP body as an update. Everything here came from outside: each
 * key is known, each value has its type and range, or the error names the key. */
#include "node/client/json.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/client/text.h"
#include "proto/delta.h"

struct parse {
    struct td_json_update *into;
    char *why;
    size_t why_bytes;
};

__attribute__((format(printf, 3, 4))) static enum td_err
refuse(struct parse *parse, enum td_err err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (parse->why_bytes > 0) {
        (void)vsnprintf(parse->why, parse->why_bytes, format, args);
    }
    va_end(args);
    return err;
}

static enum td_err text_value(struct parse *parse, const char *key, const json_t *value,
                              enum td_err err, struct td_text *ret_text)
{
    if (!json_is_string(value)) {
        return refuse(parse, err, "\"%s\" must be a string", key);
    }
    size_t count = json_string_length(value);
    if (count > TD_REQUEST_BYTES_MAX) {
        return refuse(parse, err, "\"%s\" is too long", key);
    }
    *ret_text = (struct td_text){json_string_value(value), (uint32_t)count};
    return TD_OK;
}

static enum td_err parse_job(struct parse *parse, const json_t *value)
{
    enum td_err err = text_value(parse, "job", value, TD_EJOBID, &parse->into->update.job);
    if (err == TD_OK && !td_job_valid(parse->into->update.job)) {
        return refuse(parse, TD_EJOBID, "\"job\": %s", td_err_text(TD_EJOBID));
    }
    return err;
}

static enum td_err parse_state(struct parse *parse, const json_t *value)
{
    struct td_text text = {0};
    enum td_err err = text_value(parse, "state", value, TD_ESTATE, &text);
    if (err == TD_OK && !td_state_parse(text, &parse->into->update.status.state)) {
        char shown[64];
        (void)td_text_escape(text, shown, sizeof shown);
        return refuse(parse, TD_ESTATE, "\"%s\" is not a state", shown);
    }
    return err;
}

static enum td_err parse_attempt(struct parse *parse, const json_t *value)
{
    json_int_t attempt = json_is_integer(value) ? json_integer_value(value) : 0;
    if (attempt < 1 || attempt > TD_ATTEMPT_MAX) {
        return refuse(parse, TD_EATTEMPT, "\"attempt\" must be a whole number from 1 to 65535");
    }
    parse->into->update.attempt = (uint16_t)attempt;
    return TD_OK;
}

static enum td_err parse_progress(struct parse *parse, const json_t *value)
{
    double fraction = json_is_number(value) ? json_number_value(value) : -1.0;
    if (!(fraction >= 0.0 && fraction <= 1.0)) {
        bool percent = fraction > 1.0 && fraction <= 100.0;
        return refuse(parse, TD_EPROGRESS,
                      percent ? "\"progress\" is a fraction from 0 to 1; for %g percent write %g"
                              : "\"progress\" is a number from 0 to 1",
                      fraction, fraction / 100.0);
    }
    parse->into->update.status.progress_known = true;
    parse->into->update.status.progress = (uint16_t)lround(fraction * TD_PROGRESS_MAX);
    parse->into->update.fields |= TD_FIELD_PROGRESS;
    return TD_OK;
}

static enum td_err parse_detail(struct parse *parse, const json_t *value)
{
    parse->into->update.fields |= TD_FIELD_DETAIL;
    return text_value(parse, "detail", value, TD_EDETAIL, &parse->into->update.status.detail);
}

static enum td_err parse_parent(struct parse *parse, const json_t *value)
{
    parse->into->update.fields |= TD_FIELD_PARENT;
    return text_value(parse, "parent", value, TD_EPARENT, &parse->into->update.status.parent);
}

static enum td_err parse_writer(struct parse *parse, const json_t *value)
{
    parse->into->update.fields |= TD_FIELD_WRITER;
    return text_value(parse, "writer", value, TD_EWRITER, &parse->into->update.status.writer);
}

static int label_compare(const void *a, const void *b)
{
    const struct td_text *x = &((const struct td_label *)a)->key;
    const struct td_text *y = &((const struct td_label *)b)->key;
    int order = memcmp(x->bytes, y->bytes, x->count < y->count ? x->count : y->count);
    return order != 0 ? order : (x->count > y->count) - (x->count < y->count);
}

static enum td_err parse_labels(struct parse *parse, const json_t *value)
{
    struct td_json_update *into = parse->into;
    if (!json_is_object(value) || json_object_size(value) > TD_LABELS_MAX) {
        return refuse(parse, TD_ELABELS, "\"labels\" must be an object of at most 16 strings");
    }
    const char *key = NULL;
    json_t *text = NULL;
    uint8_t count = 0;
    json_object_foreach((json_t *)(uintptr_t)value, key, text)
    {
        struct td_label *label = &into->labels[count++];
        label->key = td_text_of(key);
        enum td_err err = text_value(parse, "labels", text, TD_ELABELS, &label->value);
        if (err != TD_OK) {
            return err;
        }
    }
    qsort(into->labels, count, sizeof into->labels[0], label_compare);
    into->update.status.labels = into->labels;
    into->update.status.label_count = count;
    into->update.fields |= TD_FIELD_LABELS;
    return TD_OK;
}

static enum td_err parse_expect(struct parse *parse, const json_t *value)
{
    double seconds = json_is_number(value) ? json_number_value(value) : -1.0;
    if (!(seconds >= 0.0 && seconds <= TD_EXPECT_EVERY_S_MAX) || seconds != floor(seconds)) {
        return refuse(parse, TD_EEXPECT,
                      "\"expect_every_seconds\" must be whole seconds up to 366 days");
    }
    parse->into->update.status.expect_every_s = (uint32_t)seconds;
    parse->into->update.fields |= TD_FIELD_EXPECT;
    return TD_OK;
}

static enum td_err parse_correct(struct parse *parse, const json_t *value)
{
    if (!json_is_boolean(value)) {
        return refuse(parse, TD_EJSON, "\"correct\" must be true or false");
    }
    parse->into->update.correct = json_is_true(value);
    return TD_OK;
}

static enum td_err parse_key(struct parse *parse, const char *key, const json_t *value)
{
    static const struct {
        const char *key;
        enum td_err (*read)(struct parse *parse, const json_t *value);
    } keys[] = {
        {"job", parse_job},
        {"state", parse_state},
        {"attempt", parse_attempt},
        {"progress", parse_progress},
        {"detail", parse_detail},
        {"parent", parse_parent},
        {"labels", parse_labels},
        {"writer", parse_writer},
        {"expect_every_seconds", parse_expect},
        {"correct", parse_correct},
    };
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        if (strcmp(keys[i].key, key) == 0) {
            return json_is_null(value) ? TD_OK : keys[i].read(parse, value);
        }
    }
    char shown[64];
    (void)td_text_escape(td_text_of(key), shown, sizeof shown);
    return refuse(parse, TD_EJSON, "unknown key \"%s\"", shown);
}

static enum td_err parse_object(struct parse *parse, json_t *object)
{
    const char *key = NULL;
    json_t *value = NULL;
    if (!json_is_object(object)) {
        return refuse(parse, TD_EJSON, "the line must be one JSON object");
    }
    json_object_foreach(object, key, value)
    {
        enum td_err err = parse_key(parse, key, value);
        if (err != TD_OK) {
            return err;
        }
    }
    if (parse->into->update.job.count == 0) {
        return refuse(parse, TD_EJOBID, "\"job\" is missing");
    }
    if (!json_is_string(json_object_get(object, "state"))) {
        return refuse(parse, TD_ESTATE, "\"state\" is missing");
    }
    enum td_err err = td_status_check(&parse->into->update.status);
    return err == TD_OK ? TD_OK : refuse(parse, err, "%s", td_err_text(err));
}

enum td_err td_json_update_parse(struct td_text line, struct td_text job_default,
                                 struct td_json_update *ret_update, char *ret_why, size_t why_bytes)
{
    struct parse parse = {ret_update, ret_why, why_bytes};
    json_error_t error;
    memset(ret_update, 0, sizeof *ret_update);
    ret_update->update.job = job_default;
    if (why_bytes > 0) {
        ret_why[0] = '\0';
    }
    /* Depth of jansson is bounded (2048 levels); the line's length by the caller. */
    ret_update->json = json_loadb(line.count > 0 ? line.bytes : "", line.count,
                                  JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (ret_update->json == NULL) {
        char shown[JSON_ERROR_TEXT_LENGTH];
        (void)td_text_escape(td_text_of(error.text), shown, sizeof shown);
        return refuse(&parse, TD_EJSON, "%s (column %d)", shown, error.column);
    }
    return parse_object(&parse, ret_update->json);
}

void td_json_update_release(struct td_json_update *update)
{
    json_decref(update->json);
    update->json = NULL;
}
