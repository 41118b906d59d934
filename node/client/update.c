/* update.c -- conversions and small tables of the public interface. */
#include "node/client/update.h"

#include <assert.h>

#include <stdlib.h>
#include <string.h>

#include "node/client/call.h"
#include "proto/assert.h"

static struct td_text text_of(const char *text)
{
    size_t count = text != NULL ? strnlen(text, TD_REQUEST_BYTES_MAX) : 0;
    return (struct td_text){text != NULL ? text : "", (uint32_t)count};
}

static int label_compare(const void *a, const void *b)
{
    const struct td_text *x = &((const struct td_label *)a)->key;
    const struct td_text *y = &((const struct td_label *)b)->key;
    int order = memcmp(x->bytes, y->bytes, x->count < y->count ? x->count : y->count);
    return order != 0 ? order : (x->count > y->count) - (x->count < y->count);
}

static enum td_err set_labels(const struct tidings_update *from, struct td_label *labels,
                              struct td_update *update)
{
    if (from->label_count > TD_LABELS_MAX || (from->label_count > 0 && from->labels == NULL)) {
        return TD_ELABELS;
    }
    for (size_t i = 0; i < from->label_count; i++) {
        labels[i].key = text_of(from->labels[i].key);
        labels[i].value = text_of(from->labels[i].value);
    }
    qsort(labels, from->label_count, sizeof labels[0], label_compare);
    update->status.labels = labels;
    update->status.label_count = (uint8_t)from->label_count;
    update->fields |= TD_FIELD_LABELS;
    return TD_OK;
}

static enum td_err set_progress(const struct tidings_update *from, struct td_update *update)
{
    if (from->progress < TIDINGS_PROGRESS_UNKNOWN || from->progress > TD_PROGRESS_MAX) {
        return TD_EPROGRESS;
    }
    update->status.progress_known = from->progress >= 0;
    update->status.progress = from->progress >= 0 ? (uint16_t)from->progress : 0;
    update->fields |= TD_FIELD_PROGRESS;
    return TD_OK;
}

static void set_text(const char *text, uint8_t field, struct td_text *into,
                     struct td_update *update)
{
    *into = text_of(text);
    if (text != NULL) {
        update->fields |= field;
    }
}

enum td_err td_update_from_public(const struct tidings_update *from, const char *writer,
                                  struct td_label *labels, struct td_update *ret_update)
{
    struct td_update update = {
        .job = text_of(from->job), .attempt = from->attempt, .correct = from->correct};
    enum td_err err = TD_OK;
    if (!td_job_valid(update.job)) {
        return TD_EJOBID;
    }
    if ((unsigned)from->state >= TD_STATE_COUNT) {
        return TD_ESTATE;
    }
    update.status.state = (enum td_state)from->state;
    set_text(from->detail, TD_FIELD_DETAIL, &update.status.detail, &update);
    set_text(from->parent, TD_FIELD_PARENT, &update.status.parent, &update);
    set_text(from->writer != NULL ? from->writer : writer, TD_FIELD_WRITER, &update.status.writer,
             &update);
    if (from->set_progress) {
        err = set_progress(from, &update);
    }
    if (err == TD_OK && (from->set_labels || from->label_count > 0)) {
        err = set_labels(from, labels, &update);
    }
    if (from->set_expect_every) {
        update.status.expect_every_s = from->expect_every_s;
        update.fields |= TD_FIELD_EXPECT;
    }
    if (err == TD_OK) {
        err = td_status_check(&update.status);
    }
    if (err == TD_OK) {
        *ret_update = update;
    }
    return err;
}

/* Cuts what a broken peer made too long; a NUL inside ends the text, as for every C string. */
static void put_text(struct td_text text, char *into, size_t into_bytes)
{
    size_t count = text.count < into_bytes ? text.count : into_bytes - 1;
    if (count > 0) {
        memcpy(into, text.bytes, count);
    }
    into[count] = '\0';
}

static void put_labels(const struct td_status *from, struct tidings_status *to)
{
    size_t used = 0;
    for (uint8_t i = 0; i < from->label_count && i < TIDINGS_LABELS_MAX; i++) {
        const struct td_label *label = &from->labels[i];
        if ((size_t)label->key.count + label->value.count + 2 > sizeof to->label_text - used) {
            return;
        }
        to->labels[i].key_at = (uint16_t)used;
        put_text(label->key, to->label_text + used, label->key.count + 1);
        used += label->key.count + 1;
        to->labels[i].value_at = (uint16_t)used;
        put_text(label->value, to->label_text + used, label->value.count + 1);
        used += label->value.count + 1;
        to->label_count = i + 1u;
    }
}

void td_status_to_public(const struct td_response *response, const struct td_register_view *view,
                         struct tidings_status *ret_status)
{
    const struct td_status *from = &view->status;
    struct tidings_status *to = ret_status;
    memset(to, 0, sizeof *to);
    put_text(view->job, to->job, sizeof to->job);
    to->attempt = view->attempt;
    to->state = (enum tidings_state)from->state;
    to->final = td_state_is_final(from->state);
    to->silent = view->silent;
    to->progress = from->progress_known ? from->progress : TIDINGS_PROGRESS_UNKNOWN;
    put_text(from->detail, to->detail, sizeof to->detail);
    put_text(from->parent, to->parent, sizeof to->parent);
    put_text(from->writer, to->writer, sizeof to->writer);
    to->expect_every_s = from->expect_every_s;
    put_labels(from, to);
    for (size_t i = 0; i < TIDINGS_STATE_COUNT; i++) {
        to->entered_ms[i] = from->entered_ms[i];
    }
    to->stamp_ms = view->stamp.ms;
    to->stamp_counter = view->stamp.counter;
    put_text(td_response_region_name(response, view->dot.origin.region), to->origin,
             sizeof to->origin);
    to->seq = view->dot.seq;
    to->concurrent_count = view->concurrent_count;
}

void td_freshness_to_public(const struct td_response *response,
                            struct tidings_freshness *ret_freshness)
{
    struct tidings_freshness *to = ret_freshness;
    uint32_t deciding = td_freshness_deciding(response);
    memset(to, 0, sizeof *to);
    put_text(response->node_name, to->node, sizeof to->node);
    to->now_ms = response->now_ms;
    to->certain = response->certain;
    if (deciding != UINT32_MAX) {
        put_text(td_response_region_name(response, response->freshness[deciding].region),
                 to->deciding_region, sizeof to->deciding_region);
    }
    for (uint32_t i = 0; i < response->freshness_count && i < TIDINGS_REGIONS_MAX; i++) {
        const struct td_fresh_view *from = &response->freshness[i];
        struct tidings_region_freshness *region = &to->regions[i];
        put_text(td_response_region_name(response, from->region), region->region,
                 sizeof region->region);
        region->age_known = from->age_known;
        region->age_ms = from->age_ms;
        region->missing_known = from->missing_known;
        region->missing = from->missing;
        put_text(td_response_region_name(response, from->via), region->via, sizeof region->via);
        to->region_count = i + 1;
    }
}

/* ---- tables ---- */

#define SAME(name)                                                                                 \
    static_assert((int)TIDINGS_##name == (int)TD_##name, "public and internal numbers are one")
SAME(EUSAGE);
SAME(EJOBID);
SAME(ESTATE);
SAME(EPROGRESS);
SAME(EDETAIL);
SAME(ELABELS);
SAME(EWRITER);
SAME(EATTEMPT);
SAME(EEXPECT);
SAME(ETOKEN);
SAME(EPARENT);
SAME(EFORMAT);
SAME(ETOOBIG);
SAME(EVERSION);
SAME(EKEYFILE);
SAME(EKEYTEXT);
SAME(ENOTINROSTER);
SAME(EPERM);
SAME(EFOREIGN);
SAME(ERANK);
SAME(EFINAL);
SAME(EPARTIAL);
SAME(EUNKNOWN);
SAME(ESTALE);
SAME(ETIMEOUT);
SAME(EOTHERFINAL);
SAME(ELOSTFIRST);
SAME(EACK);
SAME(EQUOTA);
SAME(ERATE);
SAME(EDISKFULL);
SAME(EDRAINING);
SAME(ESTARTING);
SAME(ECLOCK);
SAME(ECLONE);
SAME(ENONODE);
SAME(EHANDSHAKE);
SAME(ECORRUPT);
SAME(EIO);
SAME(ENOMEM);
static_assert((int)TIDINGS_FULL == (int)TD_EBUSY, "a full queue, ours or theirs");
static_assert((int)TIDINGS_ECLOSED == (int)TD_ECLOSEDLINK, "the handle is the link");
static_assert((int)TIDINGS_STATE_COUNT == (int)TD_STATE_COUNT &&
                  (int)TIDINGS_LOST == (int)TD_STATE_LOST &&
                  (int)TIDINGS_COMPLETED == (int)TD_STATE_COMPLETED &&
                  (int)TIDINGS_STOPPED == (int)TD_STATE_STOPPED,
              "states are the wire's");

const char *tidings_err_text(int err)
{
    return td_err_text((enum td_err)err);
}

const char *tidings_err_hint(int err)
{
    return td_err_hint((enum td_err)err);
}

const char *tidings_version(void)
{
    return TD_VERSION;
}

const char *tidings_state_name(enum tidings_state state)
{
    return td_state_name((enum td_state)state);
}

int tidings_state_parse(const char *text, enum tidings_state *ret_state)
{
    enum td_state state;
    if (!td_state_parse(text_of(text), &state)) {
        return TD_ESTATE;
    }
    *ret_state = (enum tidings_state)state;
    return TD_OK;
}

bool tidings_state_final(enum tidings_state state)
{
    return td_state_is_final((enum td_state)state);
}

const char *tidings_status_label_key(const struct tidings_status *status, uint32_t index)
{
    return index < status->label_count ? status->label_text + status->labels[index].key_at : "";
}

const char *tidings_status_label_value(const struct tidings_status *status, uint32_t index)
{
    return index < status->label_count ? status->label_text + status->labels[index].value_at : "";
}
