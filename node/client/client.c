/* client.c -- opening and closing a handle, and the callers' side of publishing. */
#include "node/client/tidings.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "node/client/engine.h"
#include "node/client/update.h"
#include "proto/assert.h"

enum {
    TIMEOUT_MS_DEFAULT = 10000,
    QUEUE_UPDATES_DEFAULT = 65536,
    BATCH_UPDATES_DEFAULT = 1024,
    IN_FLIGHT_DEFAULT = 16,
    IN_FLIGHT_MAX = 64,
    REGISTERS_DEFAULT = 65536,
    POOL_MAX = 80,
    BYTES_DEFAULT = 64 * 1024 * 1024,
    BATCH_BYTES_MAX = TD_REQUEST_BYTES_MAX - 16 * 1024,
};
#define NODES_DEFAULT "ipc:///run/tidings/tidings.sock"

/* ---- lists ---- */

void td_list_append(struct td_update_list *list, struct td_update_batch *batch)
{
    batch->next = NULL;
    *(list->last != NULL ? &list->last->next : &list->first) = batch;
    list->last = batch;
}

void td_list_remove(struct td_update_list *list, struct td_update_batch *batch)
{
    struct td_update_batch *before = NULL;
    for (struct td_update_batch *at = list->first; at != batch; at = at->next) {
        TD_ASSERT(at != NULL);
        before = at;
    }
    *(before != NULL ? &before->next : &list->first) = batch->next;
    if (list->last == batch) {
        list->last = before;
    }
    batch->next = NULL;
}

struct td_update_batch *td_pool_take(struct tidings *t)
{
    struct td_update_batch *batch = t->pool;
    if (batch == NULL) {
        return td_batch_alloc();
    }
    t->pool = batch->next;
    t->pool_count--;
    batch->next = NULL;
    return batch;
}

void td_pool_give(struct tidings *t, struct td_update_batch *batch)
{
    if (t->pool_count >= POOL_MAX) {
        td_batch_free(batch);
        return;
    }
    td_batch_reset(batch);
    batch->next = t->pool;
    t->pool = batch;
    t->pool_count++;
}

/* ---- open ---- */

static int refuse(char *why, size_t why_bytes, enum td_err err, const char *what,
                  const char *detail)
{
    if (why != NULL && why_bytes > 0) {
        (void)snprintf(why, why_bytes, "%s%s", what, detail);
    }
    return (int)err;
}

static bool node_valid(const char *address)
{
    if (strncmp(address, "ipc://", 6) == 0) {
        return address[6] != '\0' && strlen(address) < 128;
    }
    const char *host = address + 6;
    const char *colon = strncmp(address, "tcp://", 6) == 0 ? strrchr(host, ':') : NULL;
    if (colon == NULL || colon == host || strlen(address) >= 128) {
        return false;
    }
    char *end = NULL;
    unsigned long port = strtoul(colon + 1, &end, 10);
    return colon[1] >= '0' && colon[1] <= '9' && *end == '\0' && port > 0 && port <= 65535;
}

static int set_nodes(struct tidings *t, const char *nodes, char *why, size_t why_bytes)
{
    while (*nodes != '\0') {
        size_t count = strcspn(nodes, ",");
        if (count > 0) {
            if (t->address_count == TD_NODES_MAX) {
                return refuse(why, why_bytes, TD_EUSAGE, "more than 32 nodes", "");
            }
            char *address = strndup(nodes, count);
            if (address == NULL) {
                return TD_ENOMEM;
            }
            t->addresses[t->address_count++] = address;
            if (!node_valid(address)) {
                return refuse(why, why_bytes, TD_EUSAGE,
                              "a node is ipc://PATH or tcp://HOST:PORT, not ", address);
            }
        }
        nodes += count + (nodes[count] == ',');
    }
    return t->address_count > 0 ? TD_OK : refuse(why, why_bytes, TD_EUSAGE, "no node given", "");
}

static bool uses_tcp(const struct tidings *t)
{
    bool tcp = false;
    for (uint32_t i = 0; i < t->address_count; i++) {
        tcp = tcp || strncmp(t->addresses[i], "tcp://", 6) == 0;
    }
    return tcp;
}

static int set_trust(struct tidings *t, const struct tidings_options *options, char *why,
                     size_t why_bytes)
{
    struct td_identity root;
    char detail[256] = "";
    t->roster_version_min = options->roster_version_min;
    if (!uses_tcp(t)) {
        return TD_OK;
    }
    if (options->key_file == NULL || options->root == NULL) {
        return refuse(why, why_bytes, TD_EUSAGE, "a tcp:// node needs a key file and the root key",
                      "");
    }
    enum td_err err = td_identity_from_text(options->root, &root);
    if (err != TD_OK) {
        return refuse(why, why_bytes, err, "the root key: ", td_err_text(err));
    }
    t->root_sign_key = root.sign_key;
    err = td_key_file_read(options->key_file, &t->secret, detail, sizeof detail);
    return err == TD_OK ? TD_OK : refuse(why, why_bytes, err, detail, "");
}

static int set_after(struct tidings *t, const char *text, char *why, size_t why_bytes)
{
    struct td_token_memory memory = {0};
    t->has.entries = t->has_entries[0];
    t->has.folds = t->has_folds[0];
    if (text == NULL) {
        return TD_OK;
    }
    enum td_err err = td_token_from_text(text, &t->after, &memory);
    if (err != TD_OK) {
        return refuse(why, why_bytes, err, "the token: ", td_err_text(err));
    }
    td_engine_saw(t, &t->after.has);
    t->after_given = true;
    memset(&t->after.has, 0, sizeof t->after.has);
    td_token_release(&memory);
    return TD_OK;
}

static uint32_t value_or(uint32_t value, uint32_t otherwise, uint32_t most)
{
    value = value == 0 ? otherwise : value;
    return value > most ? most : value;
}

static int set_limits(struct tidings *t, const struct tidings_options *options)
{
    t->timeout_ms = value_or(options->timeout_ms, TIMEOUT_MS_DEFAULT, UINT32_MAX / 2);
    t->ack = options->ack;
    t->queue_updates_max = value_or(options->queue_updates_max, QUEUE_UPDATES_DEFAULT, 1u << 24);
    t->queue_bytes_max = options->queue_bytes_max == 0 ? BYTES_DEFAULT : options->queue_bytes_max;
    t->batch_updates_max =
        value_or(options->batch_updates_max, BATCH_UPDATES_DEFAULT, TD_REQUEST_UPDATES_MAX);
    t->in_flight_max = value_or(options->in_flight_max, IN_FLIGHT_DEFAULT, IN_FLIGHT_MAX);
    t->linger_us = options->linger_us;
    t->spool_refused = options->spool_refused;
    t->spool_refused_self = options->spool_refused_self;
    t->backoff_ms = TD_BACKOFF_MS_MIN;
    t->publish_backoff_ms = TD_BACKOFF_MS_MIN;
    t->round_err = TD_ENONODE;
    t->next_id = 1;
    t->next_order = 1;
    /* Every queued update pins a register, and a replayed request must still find room. */
    uint32_t registers = value_or(options->registers_max, REGISTERS_DEFAULT, 1u << 26);
    uint32_t least = t->queue_updates_max + TD_REQUEST_UPDATES_MAX;
    return (int)td_seen_init(&t->seen, registers < least ? least : registers);
}

static int init_threads(struct tidings *t)
{
    pthread_condattr_t monotonic;
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_mutex_init(&t->hub.lock, NULL);
    (void)pthread_cond_init(&t->hub.wake, &monotonic);
    (void)pthread_cond_init(&t->changed, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    t->reader = td_reader_alloc();
    return t->reader == NULL ? TD_ENOMEM : TD_OK;
}

static int set_all(struct tidings *t, const struct tidings_options *options, char *why,
                   size_t why_bytes)
{
    const char *nodes = options->nodes != NULL ? options->nodes : getenv("TIDINGS_NODE");
    int err = init_threads(t);
    err = err == TD_OK ? (int)td_sodium_init() : err;
    err = err == TD_OK ? set_limits(t, options) : err;
    err = err == TD_OK ? set_nodes(t, nodes != NULL ? nodes : NODES_DEFAULT, why, why_bytes) : err;
    err = err == TD_OK ? set_trust(t, options, why, why_bytes) : err;
    err = err == TD_OK ? set_after(t, options->after, why, why_bytes) : err;
    if (err == TD_OK && options->writer != NULL) {
        t->writer = strdup(options->writer);
        struct td_status status = {.writer = {t->writer, (uint32_t)strlen(options->writer)}};
        err = t->writer == NULL ? TD_ENOMEM : (int)td_status_check(&status);
        if (err != TD_OK) {
            return refuse(why, why_bytes, (enum td_err)err,
                          "writer: ", td_err_text((enum td_err)err));
        }
    }
    if (err == TD_OK && options->spool != NULL) {
        uint64_t bytes_max =
            options->spool_bytes_max == 0 ? BYTES_DEFAULT : options->spool_bytes_max;
        char none[1];
        err = (int)td_spool_open(options->spool, bytes_max, &t->spool, why != NULL ? why : none,
                                 why != NULL ? why_bytes : 0);
    }
    return err;
}

static void handle_free(struct tidings *t)
{
    struct td_update_batch *heads[] = {t->live.first, t->replay.first, t->pool};
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        while (heads[i] != NULL) {
            struct td_update_batch *next = heads[i]->next;
            td_batch_free(heads[i]);
            heads[i] = next;
        }
    }
    td_seen_fini(&t->seen);
    td_spool_close(t->spool);
    td_secret_free(t->secret);
    td_reader_free(t->reader);
    for (uint32_t i = 0; i < t->address_count; i++) {
        free(t->addresses[i]);
    }
    free(t->writer);
    free(t->arena_bytes);
    free(t->scratch);
    (void)pthread_cond_destroy(&t->changed);
    (void)pthread_cond_destroy(&t->hub.wake);
    (void)pthread_mutex_destroy(&t->hub.lock);
    free(t);
}

int tidings_open(const struct tidings_options *options, tidings **ret_tidings, char *ret_why,
                 size_t why_bytes)
{
    struct tidings_options none = {0};
    struct tidings *t = calloc(1, sizeof *t);
    if (t == NULL) {
        return TD_ENOMEM;
    }
    if (ret_why != NULL && why_bytes > 0) {
        ret_why[0] = '\0';
    }
    int err = set_all(t, options != NULL ? options : &none, ret_why, why_bytes);
    if (err == TD_OK && pthread_create(&t->thread, NULL, td_engine_run, t) != 0) {
        err = TD_ENOMEM;
    }
    if (err != TD_OK) {
        if (ret_why != NULL && why_bytes > 0 && ret_why[0] == '\0') {
            (void)refuse(ret_why, why_bytes, (enum td_err)err, "", td_err_text((enum td_err)err));
        }
        handle_free(t);
        return err;
    }
    *ret_tidings = t;
    return TD_OK;
}

void tidings_close(tidings *take_tidings)
{
    struct tidings *t = take_tidings;
    if (t == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&t->hub.lock);
    t->stopping = true;
    td_hub_signal(&t->hub);
    (void)pthread_cond_signal(&t->hub.wake);
    (void)pthread_mutex_unlock(&t->hub.lock);
    (void)pthread_join(t->thread, NULL);
    /* Callers that still sit in td_call or flush must be out before the memory goes. */
    (void)pthread_mutex_lock(&t->hub.lock);
    (void)pthread_cond_broadcast(&t->changed);
    while (t->calls != NULL || t->flush_waiters > 0) {
        (void)pthread_cond_wait(&t->changed, &t->hub.lock);
    }
    (void)pthread_mutex_unlock(&t->hub.lock);
    handle_free(t);
}

/* ---- publish ---- */

/* Lock held. The batch that takes this update, or NULL when out of memory. */
static struct td_update_batch *filling_batch(struct tidings *t, const struct td_update *update)
{
    struct td_update_batch *batch = t->filling;
    if (batch != NULL && (batch->count >= t->batch_updates_max ||
                          batch->wire_bytes + td_update_wire_bytes(update) > BATCH_BYTES_MAX)) {
        batch->state = TD_BATCH_READY;
        batch = NULL;
    }
    if (batch == NULL) {
        batch = td_pool_take(t);
        if (batch == NULL) {
            return NULL;
        }
        batch->order = t->next_order++;
        batch->opened_us = td_now_us();
        td_list_append(&t->live, batch);
    }
    t->filling = batch;
    return batch;
}

/* Lock held. */
static bool full(const struct tidings *t, size_t wire_bytes)
{
    return t->queued_updates >= t->queue_updates_max ||
           t->queued_bytes + wire_bytes > t->queue_bytes_max ||
           (t->spool != NULL && t->spool_full && t->no_node);
}

/* Lock held: a token given at opening names one register. */
static void seed_from_token(struct tidings *t, struct td_entry *entry,
                            const struct td_update *update)
{
    const struct td_seen *seen = &t->after.seen;
    bool unseen = entry->seen.dot.seq == 0 && seen->register_hash != 0;
    if (unseen && update->attempt > 0 &&
        td_token_register_hash(update->job, update->attempt) == seen->register_hash) {
        entry->seen = *seen;
    }
}

/* Lock held. */
static int enqueue(struct tidings *t, const struct td_update *update, tidings_done done, void *self,
                   bool urgent)
{
    size_t wire_bytes = td_update_wire_bytes(update);
    if (t->stopping) {
        return TD_ECLOSEDLINK;
    }
    if (full(t, wire_bytes)) {
        return TIDINGS_FULL;
    }
    struct td_entry *entry = td_seen_get(&t->seen, update->job, update->attempt);
    struct td_update_batch *batch = entry == NULL ? NULL : filling_batch(t, update);
    struct td_item item = {
        .done = done, .self = self, .entry = entry, .deadline_ms = td_now_ms() + t->timeout_ms};
    item.number = entry == NULL ? 0 : entry->reports + 1;
    if (batch == NULL || !td_seen_merge(entry, update) || !td_batch_add(batch, update, &item)) {
        return entry == NULL ? TIDINGS_FULL : TD_ENOMEM;
    }
    seed_from_token(t, entry, update);
    entry->users++;
    entry->reports = item.number;
    entry->live = true;
    t->queued_updates++;
    t->queued_bytes += wire_bytes;
    batch->urgent = batch->urgent || urgent;
    if (batch->count == 1 || batch->count == TD_BATCH_EAGER || urgent) {
        td_hub_signal(&t->hub);
    }
    return TD_OK;
}

static int publish(struct tidings *t, const struct tidings_update *from, tidings_done done,
                   void *self, bool urgent)
{
    struct td_label labels[TD_LABELS_MAX];
    struct td_update update;
    enum td_err err = td_update_from_public(from, t->writer, labels, &update);
    if (err != TD_OK) {
        return (int)err;
    }
    (void)pthread_mutex_lock(&t->hub.lock);
    int result = enqueue(t, &update, done, self, urgent);
    (void)pthread_mutex_unlock(&t->hub.lock);
    return result;
}

int tidings_publish_async(tidings *t, const struct tidings_update *update, tidings_done done,
                          void *self)
{
    return publish(t, update, done, self, false);
}

struct waiter {
    struct tidings *t;
    pthread_cond_t answered;
    bool done;
    struct tidings_result result;
};

static void wake_waiter(void *self, const struct tidings_result *result)
{
    struct waiter *waiter = self;
    (void)pthread_mutex_lock(&waiter->t->hub.lock);
    waiter->result = *result;
    waiter->done = true;
    (void)pthread_cond_signal(&waiter->answered);
    (void)pthread_mutex_unlock(&waiter->t->hub.lock);
}

int tidings_publish(tidings *t, const struct tidings_update *update,
                    struct tidings_result *ret_result)
{
    struct waiter waiter = {.t = t};
    (void)pthread_cond_init(&waiter.answered, NULL);
    int err = publish(t, update, wake_waiter, &waiter, true);
    if (err == TD_OK) {
        /* Always ends: an update is answered at its deadline at the latest. */
        (void)pthread_mutex_lock(&t->hub.lock);
        while (!waiter.done) {
            (void)pthread_cond_wait(&waiter.answered, &t->hub.lock);
        }
        (void)pthread_mutex_unlock(&t->hub.lock);
    } else {
        waiter.result.err = err;
    }
    (void)pthread_cond_destroy(&waiter.answered);
    if (ret_result != NULL) {
        *ret_result = waiter.result;
    }
    return waiter.result.err;
}

/* Lock held: is something up to `order` still open? Batches are in order. */
static bool open_up_to(const struct tidings *t, uint64_t order)
{
    return t->live.first != NULL && t->live.first->order <= order;
}

int tidings_flush(tidings *t, uint32_t timeout_ms)
{
    struct timespec until;
    timeout_ms = timeout_ms > 0 ? timeout_ms : t->timeout_ms;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)(timeout_ms / 1000);
    until.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    int waited = 0;
    (void)pthread_mutex_lock(&t->hub.lock);
    uint64_t order = t->next_order - 1;
    if (t->filling != NULL) {
        t->filling->urgent = true;
        t->filling->state = TD_BATCH_READY;
        t->filling = NULL;
        td_hub_signal(&t->hub);
    }
    t->flush_waiters++;
    while (open_up_to(t, order) && waited != ETIMEDOUT && !t->stopping) {
        waited = pthread_cond_timedwait(&t->changed, &t->hub.lock, &until);
    }
    bool open = open_up_to(t, order);
    t->flush_waiters--;
    if (t->stopping) {
        (void)pthread_cond_broadcast(&t->changed);
    }
    (void)pthread_mutex_unlock(&t->hub.lock);
    return open ? TD_ETIMEOUT : TD_OK;
}

/* ---- about the handle ---- */

size_t tidings_token(tidings *t, char *ret_text, size_t text_bytes, size_t *ret_need)
{
    (void)pthread_mutex_lock(&t->hub.lock);
    struct td_token token = {.has = t->has};
    char *text = td_token_to_text(&token);
    (void)pthread_mutex_unlock(&t->hub.lock);
    size_t need = text != NULL ? strlen(text) + 1 : 0;
    if (ret_need != NULL) {
        *ret_need = need;
    }
    bool fits = need > 0 && need <= text_bytes;
    if (fits) {
        memcpy(ret_text, text, need);
    }
    free(text);
    return fits ? need : 0;
}

void tidings_get_stats(tidings *t, struct tidings_stats *ret_stats)
{
    (void)pthread_mutex_lock(&t->hub.lock);
    *ret_stats = t->stats;
    ret_stats->connected = t->ever_connected && !t->no_node;
    ret_stats->queued_updates = t->queued_updates;
    (void)snprintf(ret_stats->node_address, sizeof ret_stats->node_address, "%s",
                   t->addresses[t->node_index]);
    (void)snprintf(ret_stats->node_region, sizeof ret_stats->node_region, "%s", t->node_region);
    (void)pthread_mutex_unlock(&t->hub.lock);
}
