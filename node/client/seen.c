/* seen.c -- a chained hash table with two recency lists, one for open and one for final registers.
 */
#include "node/client/seen.h"

#include <stdlib.h>
#include <string.h>

#include "proto/assert.h"

/* FNV-1a, 64 bits: job ids here are the caller's own, nobody gains by colliding them. */
static uint64_t hash_of(struct td_text job, uint16_t attempt)
{
    uint64_t hash = UINT64_C(14695981039346656037);
    for (uint32_t i = 0; i < job.count; i++) {
        hash = (hash ^ (uint8_t)job.bytes[i]) * UINT64_C(1099511628211);
    }
    hash = (hash ^ attempt) * UINT64_C(1099511628211);
    return hash ^ hash >> 32;
}

static bool keep(struct td_kept_text *kept, const char *bytes, size_t count)
{
    if (count > kept->size) {
        size_t size = count < 16 ? 16 : (count + 31) & ~(size_t)31;
        char *grown = realloc(kept->bytes, size);
        if (grown == NULL) {
            return false;
        }
        kept->bytes = grown;
        kept->size = (uint32_t)size;
    }
    if (count > 0) {
        memcpy(kept->bytes, bytes, count);
    }
    kept->count = (uint32_t)count;
    return true;
}

static struct td_text text_of(const struct td_kept_text *kept)
{
    return (struct td_text){kept->count > 0 ? kept->bytes : "", kept->count};
}

static struct td_entry_list *list_of(struct td_seen_table *table, const struct td_entry *entry)
{
    return entry->in_final_list ? &table->final : &table->open;
}

static void unlink_entry(struct td_seen_table *table, struct td_entry *entry)
{
    struct td_entry_list *list = list_of(table, entry);
    *(entry->newer != NULL ? &entry->newer->older : &list->newest) = entry->older;
    *(entry->older != NULL ? &entry->older->newer : &list->oldest) = entry->newer;
    entry->newer = NULL;
    entry->older = NULL;
}

static void link_newest(struct td_seen_table *table, struct td_entry *entry)
{
    struct td_entry_list *list = list_of(table, entry);
    entry->older = list->newest;
    entry->newer = NULL;
    *(list->newest != NULL ? &list->newest->newer : &list->oldest) = entry;
    list->newest = entry;
}

enum td_err td_seen_init(struct td_seen_table *table, uint32_t registers_max)
{
    memset(table, 0, sizeof *table);
    uint32_t buckets = 64;
    while (buckets < registers_max && buckets < UINT32_C(1) << 24) {
        buckets *= 2;
    }
    table->registers_max = registers_max;
    table->bucket_mask = buckets - 1;
    table->buckets = calloc(buckets, sizeof(struct td_entry *));
    return table->buckets == NULL ? TD_ENOMEM : TD_OK;
}

static void entry_free(struct td_entry *entry)
{
    free(entry->job.bytes);
    free(entry->detail.bytes);
    free(entry->parent.bytes);
    free(entry->writer.bytes);
    free(entry->label_bytes.bytes);
    free(entry);
}

void td_seen_fini(struct td_seen_table *table)
{
    struct td_entry_list *lists[] = {&table->open, &table->final};
    for (size_t i = 0; i < 2; i++) {
        while (lists[i]->newest != NULL) {
            struct td_entry *entry = lists[i]->newest;
            lists[i]->newest = entry->older;
            entry_free(entry);
        }
        lists[i]->oldest = NULL;
    }
    free(table->buckets);
    table->buckets = NULL;
}

static struct td_entry *find(struct td_seen_table *table, uint64_t hash, struct td_text job,
                             uint16_t attempt)
{
    struct td_entry *entry = table->buckets[hash & table->bucket_mask];
    for (; entry != NULL; entry = entry->next_in_bucket) {
        if (entry->hash == hash && entry->attempt == attempt && entry->job.count == job.count &&
            memcmp(entry->job.bytes, job.bytes, job.count) == 0) {
            return entry;
        }
    }
    return NULL;
}

static void remove_from_bucket(struct td_seen_table *table, struct td_entry *entry)
{
    struct td_entry **at = &table->buckets[entry->hash & table->bucket_mask];
    while (*at != entry) {
        TD_ASSERT(*at != NULL);
        at = &(*at)->next_in_bucket;
    }
    *at = entry->next_in_bucket;
}

/* Final registers first: nothing beats a final, so forgetting its token is harmless. At most 64
 * looks past registers in use: those are the newest ones anyhow. */
static struct td_entry *evict(struct td_seen_table *table)
{
    struct td_entry *candidates[] = {table->final.oldest, table->open.oldest};
    for (size_t i = 0; i < 2; i++) {
        struct td_entry *entry = candidates[i];
        for (unsigned looks = 0; entry != NULL && looks < 64; looks++, entry = entry->newer) {
            if (entry->users == 0) {
                remove_from_bucket(table, entry);
                unlink_entry(table, entry);
                table->count--;
                table->evicted += !entry->in_final_list;
                return entry;
            }
        }
    }
    return NULL;
}

/* A fresh or recycled entry, its kept memory empty. */
static struct td_entry *take_entry(struct td_seen_table *table)
{
    struct td_entry *old = table->count >= table->registers_max ? evict(table) : NULL;
    if (old == NULL) {
        return table->count >= table->registers_max ? NULL : calloc(1, sizeof *old);
    }
    struct td_entry clean = {.job = old->job,
                             .detail = old->detail,
                             .parent = old->parent,
                             .writer = old->writer,
                             .label_bytes = old->label_bytes};
    clean.job.count = clean.detail.count = clean.parent.count = 0;
    clean.writer.count = clean.label_bytes.count = 0;
    *old = clean;
    return old;
}

struct td_entry *td_seen_get(struct td_seen_table *table, struct td_text job, uint16_t attempt)
{
    uint64_t hash = hash_of(job, attempt);
    struct td_entry *entry = find(table, hash, job, attempt);
    if (entry != NULL) {
        unlink_entry(table, entry);
        link_newest(table, entry);
        return entry;
    }
    entry = take_entry(table);
    if (entry == NULL) {
        return NULL;
    }
    if (!keep(&entry->job, job.bytes, job.count)) {
        entry_free(entry);
        return NULL;
    }
    entry->attempt = attempt;
    entry->hash = hash;
    entry->next_in_bucket = table->buckets[hash & table->bucket_mask];
    table->buckets[hash & table->bucket_mask] = entry;
    link_newest(table, entry);
    table->count++;
    return entry;
}

static bool merge_labels(struct td_entry *entry, const struct td_status *status)
{
    char joined[TD_LABELS_BYTES_MAX];
    size_t used = 0;
    uint16_t counts[2 * TD_LABELS_MAX] = {0};
    for (uint8_t i = 0; i < status->label_count; i++) {
        const struct td_text parts[2] = {status->labels[i].key, status->labels[i].value};
        for (size_t k = 0; k < 2; k++) {
            TD_ASSERT(parts[k].count <= sizeof joined - used);
            memcpy(joined + used, parts[k].bytes, parts[k].count);
            used += parts[k].count;
            counts[2 * i + k] = (uint16_t)parts[k].count;
        }
    }
    if (!keep(&entry->label_bytes, joined, used)) {
        return false;
    }
    memcpy(entry->label_counts, counts, sizeof counts);
    entry->label_count = status->label_count;
    return true;
}

bool td_seen_merge(struct td_entry *entry, const struct td_update *update)
{
    const struct td_status *status = &update->status;
    uint8_t fields = update->fields;
    if ((fields & TD_FIELD_DETAIL) != 0 &&
        !keep(&entry->detail, status->detail.bytes, status->detail.count)) {
        return false;
    }
    if ((fields & TD_FIELD_PARENT) != 0 &&
        !keep(&entry->parent, status->parent.bytes, status->parent.count)) {
        return false;
    }
    if ((fields & TD_FIELD_WRITER) != 0 &&
        !keep(&entry->writer, status->writer.bytes, status->writer.count)) {
        return false;
    }
    if ((fields & TD_FIELD_LABELS) != 0 && !merge_labels(entry, status)) {
        return false;
    }
    if ((fields & TD_FIELD_PROGRESS) != 0) {
        entry->progress_known = status->progress_known;
        entry->progress = status->progress;
    }
    if ((fields & TD_FIELD_EXPECT) != 0) {
        entry->expect_every_s = status->expect_every_s;
    }
    entry->state = (uint8_t)status->state;
    entry->known |= fields;
    return true;
}

void td_seen_answer(struct td_seen_table *table, struct td_entry *entry,
                    const struct td_result *result)
{
    /* Answers of one register may come in any order through two nodes: the newest one counts,
     * except that "the highest attempt" moves on with the attempt. */
    bool moved_on = entry->attempt == 0 && result->attempt > entry->resolved_attempt;
    bool newer =
        result->rank > entry->seen.rank || (result->rank == entry->seen.rank &&
                                            td_stamp_compare(result->stamp, entry->seen.stamp) > 0);
    if (entry->attempt == 0 && result->attempt < entry->resolved_attempt) {
        return;
    }
    if (!moved_on && !newer) {
        return;
    }
    entry->resolved_attempt = result->attempt;
    entry->seen.rank = result->rank;
    entry->seen.stamp = result->stamp;
    entry->seen.dot = result->dot;
    bool final = result->rank >= 2;
    if (final != entry->in_final_list) {
        unlink_entry(table, entry);
        entry->in_final_list = final;
        link_newest(table, entry);
    }
}

void td_seen_full(const struct td_entry *entry, struct td_label *labels,
                  struct td_status *ret_status)
{
    struct td_status status = {0};
    const char *at = entry->label_bytes.bytes;
    status.state = (enum td_state)entry->state;
    status.progress_known = entry->progress_known;
    status.progress = entry->progress;
    status.expect_every_s = entry->expect_every_s;
    status.detail = text_of(&entry->detail);
    status.parent = text_of(&entry->parent);
    status.writer = text_of(&entry->writer);
    status.label_count = entry->label_count;
    for (uint8_t i = 0; i < entry->label_count; i++) {
        labels[i].key = (struct td_text){at, entry->label_counts[2 * i]};
        at += entry->label_counts[2 * i];
        labels[i].value = (struct td_text){at, entry->label_counts[2 * i + 1]};
        at += entry->label_counts[2 * i + 1];
    }
    status.labels = labels;
    *ret_status = status;
}

uint16_t td_seen_attempt(const struct td_entry *entry, struct td_seen *ret_seen)
{
    /* "The highest known" stays on the attempt that answered until that one is final: then the next
     * report is about whatever run the node knows of. */
    bool follow = entry->attempt == 0 && (entry->resolved_attempt == 0 || entry->seen.rank >= 2);
    if (follow) {
        memset(ret_seen, 0, sizeof *ret_seen);
        return 0;
    }
    *ret_seen = entry->seen;
    return entry->attempt != 0 ? entry->attempt : entry->resolved_attempt;
}
