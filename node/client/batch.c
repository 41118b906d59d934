/* batch.c -- see batch.h. */
#include "node/client/batch.h"

#include <stdlib.h>
#include <string.h>

#include "proto/assert.h"
#include "proto/order.h"

enum { TEXT_BLOCK_BYTES = 32 * 1024, UPDATE_OVERHEAD_BYTES = 128, SIZE_FIRST = 16 };

struct td_update_batch *td_batch_alloc(void)
{
    return calloc(1, sizeof(struct td_update_batch));
}

void td_batch_free(struct td_update_batch *batch)
{
    if (batch == NULL) {
        return;
    }
    while (batch->blocks != NULL) {
        struct td_text_block *next = batch->blocks->next;
        free(batch->blocks);
        batch->blocks = next;
    }
    free(batch->updates);
    free(batch->items);
    free(batch);
}

void td_batch_reset(struct td_update_batch *batch)
{
    struct td_update_batch clean = {.size = batch->size,
                                    .updates = batch->updates,
                                    .items = batch->items,
                                    .blocks = batch->blocks};
    for (struct td_text_block *block = clean.blocks; block != NULL; block = block->next) {
        block->used_bytes = 0;
    }
    *batch = clean;
}

static bool grow(struct td_update_batch *batch)
{
    uint32_t size = batch->size == 0 ? SIZE_FIRST : batch->size * 2;
    struct td_update *updates = realloc(batch->updates, size * sizeof *updates);
    if (updates == NULL) {
        return false;
    }
    batch->updates = updates;
    struct td_item *items = realloc(batch->items, size * sizeof *items);
    if (items == NULL) {
        return false;
    }
    batch->items = items;
    batch->size = size;
    return true;
}

/* Memory that lives as long as the batch, aligned to 8. */
static char *take(struct td_update_batch *batch, size_t bytes)
{
    bytes = (bytes + 7) & ~(size_t)7;
    for (struct td_text_block *block = batch->blocks; block != NULL; block = block->next) {
        if (block->size_bytes - block->used_bytes >= bytes) {
            block->used_bytes += bytes;
            return block->bytes + block->used_bytes - bytes;
        }
        if (block->used_bytes == 0) {
            break; /* an unused block too small for it: blocks behind it are no larger */
        }
    }
    size_t size = bytes > TEXT_BLOCK_BYTES ? bytes : TEXT_BLOCK_BYTES;
    struct td_text_block *block = malloc(sizeof *block + size);
    if (block == NULL) {
        return NULL;
    }
    block->size_bytes = size;
    block->used_bytes = bytes;
    block->next = batch->blocks;
    batch->blocks = block;
    return block->bytes;
}

static struct td_text copy(char **at, struct td_text text)
{
    struct td_text copied = {*at, text.count};
    if (text.count > 0) {
        memcpy(*at, text.bytes, text.count);
    }
    *at += text.count;
    return copied;
}

static size_t text_bytes(const struct td_status *status)
{
    size_t bytes = (size_t)status->detail.count + status->parent.count + status->writer.count;
    for (uint8_t i = 0; i < status->label_count; i++) {
        bytes += (size_t)status->labels[i].key.count + status->labels[i].value.count;
    }
    return bytes;
}

size_t td_update_wire_bytes(const struct td_update *update)
{
    return UPDATE_OVERHEAD_BYTES + update->job.count + text_bytes(&update->status) +
           6u * update->status.label_count;
}

static bool copy_update(struct td_update_batch *batch, const struct td_update *from,
                        struct td_update *ret_update)
{
    size_t labels_bytes = from->status.label_count * sizeof(struct td_label);
    char *at = take(batch, labels_bytes + from->job.count + text_bytes(&from->status));
    if (at == NULL) {
        return false;
    }
    struct td_label *labels = (struct td_label *)(void *)at;
    at += labels_bytes;
    struct td_update update = *from;
    update.job = copy(&at, from->job);
    update.status.detail = copy(&at, from->status.detail);
    update.status.parent = copy(&at, from->status.parent);
    update.status.writer = copy(&at, from->status.writer);
    for (uint8_t i = 0; i < from->status.label_count; i++) {
        labels[i].key = copy(&at, from->status.labels[i].key);
        labels[i].value = copy(&at, from->status.labels[i].value);
    }
    update.status.labels = from->status.label_count > 0 ? labels : NULL;
    *ret_update = update;
    return true;
}

bool td_batch_add(struct td_update_batch *batch, const struct td_update *update,
                  const struct td_item *item)
{
    if (batch->count == batch->size && !grow(batch)) {
        return false;
    }
    if (!copy_update(batch, update, &batch->updates[batch->count])) {
        return false;
    }
    size_t wire_bytes = td_update_wire_bytes(update);
    batch->items[batch->count] = *item;
    batch->items[batch->count].wire_bytes = (uint32_t)wire_bytes;
    batch->wire_bytes += wire_bytes;
    batch->count++;
    batch->left++;
    return true;
}

bool td_batch_make_full(struct td_update_batch *batch, uint32_t i)
{
    struct td_label labels[TD_LABELS_MAX];
    struct td_update full = batch->updates[i];
    struct td_item *item = &batch->items[i];
    const enum td_state own = full.status.state;
    TD_ASSERT(i < batch->count);
    td_seen_full(item->entry, labels, &full.status);
    if (td_state_rank(own) >= 2 || td_state_rank(own) > td_state_rank(full.status.state)) {
        full.status.state = own;
    }
    full.fields = TD_FIELDS_ALL;
    if (!copy_update(batch, &full, &batch->updates[i])) {
        return false;
    }
    item->full_number = item->entry->reports;
    batch->wire_bytes += td_update_wire_bytes(&full);
    return true;
}

void td_batch_compact(struct td_update_batch *batch)
{
    uint32_t kept = 0;
    if (batch->left == batch->count) {
        return;
    }
    for (uint32_t i = 0; i < batch->count; i++) {
        if (!batch->items[i].answered) {
            batch->items[kept] = batch->items[i];
            batch->updates[kept] = batch->updates[i];
            kept++;
        }
    }
    TD_ASSERT(kept == batch->left);
    batch->count = kept;
}
