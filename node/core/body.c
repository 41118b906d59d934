/* body.c -- packed register values in one arena of 16-byte units. A block starts with its owner and its
 * size, so the arena can be walked: when no free block fits, everything is slid together once and the
 * free space is whole again. A delta is therefore never refused for fragmentation.
 *
 * Body = head, job, parent, writer, detail, labels [u16 key bytes, u16 value bytes, key, value],
 * times [u64 per bit of times_mask], clock dots, seen dots. The seen dots are what was merged for the
 * register beside the winner and its clock: concurrent losers and what they had seen. */
#include <string.h>

#include "node/core/state.h"

enum { TD_UNIT = 16, TD_DOT_BYTES = 17 };

struct td_body_head {
    uint32_t owner; /* register index; TD_NONE = free block */
    uint16_t words;
    uint16_t detail_bytes;
    uint32_t client; /* free block: offset of the next one of its size, TD_NONE = none */
    uint32_t expect_every_s;
    uint16_t progress;
    uint16_t labels_bytes;
    uint8_t flags;
    uint8_t progress_known;
    uint8_t job_bytes;
    uint8_t parent_bytes;
    uint8_t writer_bytes;
    uint8_t label_count;
    uint8_t clock_count;
    uint8_t seen_count;
    uint8_t times_mask;
    uint8_t unused[3];
};
static_assert(sizeof(struct td_body_head) == 32, "head is two units");
static_assert(sizeof(struct td_body_head) + 2 * TD_JOB_BYTES_MAX + TD_DETAIL_BYTES_MAX +
                      TD_WRITER_BYTES_MAX + TD_LABELS_BYTES_MAX + 4 * TD_LABELS_MAX +
                      8 * TD_STATE_COUNT + 2 * TD_CLOCK_ENTRIES_MAX * TD_DOT_BYTES <=
                  TD_BODY_WORDS_MAX * TD_UNIT,
              "the largest legal body has a size class");
static_assert(TD_BODY_WORDS_MAX < 8 * 64, "classes fit their bitmap");

/* ---- arena ---- */

/* Replaying the log replaces a large body a little later than the run that wrote it did: an eighth more
 * is there than is given out at other times. */
static uint64_t words_there(const struct td_core *core)
{
    return core->body_words_max + core->body_words_max / 8;
}

void td_bodies_layout(struct td_core *core, struct td_block *block)
{
    /* A body is written beside the old one before that is freed: keep room for that. */
    const uint64_t words = core->config.limits.bytes_max / TD_UNIT + 4 * TD_BODY_WORDS_MAX;
    core->body_words_max = words < TD_NONE / 9 * 8 ? words : TD_NONE / 9 * 8;
    core->bodies = td_block_take(block, words_there(core), TD_UNIT);
    core->body_free = td_block_take(block, TD_BODY_WORDS_MAX + 1, sizeof *core->body_free);
    if (block->bytes != NULL) {
        memset(core->body_free, 0xff, (TD_BODY_WORDS_MAX + 1) * sizeof *core->body_free);
    }
}

static struct td_body_head *head_at(const struct td_core *core, uint64_t offset)
{
    return (struct td_body_head *)(void *)(core->bodies + offset * TD_UNIT);
}

static void free_block(struct td_core *core, uint64_t offset, uint32_t words)
{
    struct td_body_head *head = head_at(core, offset); /* one unit: only the first three fields */
    head->owner = TD_NONE;
    head->words = (uint16_t)words;
    head->client = core->body_free[words];
    core->body_free[words] = (uint32_t)offset;
    core->body_classes[words / 64] |= UINT64_C(1) << (words % 64);
}

static uint64_t pop_block(struct td_core *core, uint32_t words)
{
    const uint32_t offset = core->body_free[words];
    core->body_free[words] = head_at(core, offset)->client;
    if (core->body_free[words] == TD_NONE) {
        core->body_classes[words / 64] &= ~(UINT64_C(1) << (words % 64));
    }
    return offset;
}

/* Smallest class of at least this size with a free block; 0 = none. */
static uint32_t class_from(const struct td_core *core, uint32_t words)
{
    uint64_t bits = core->body_classes[words / 64] & (UINT64_MAX << (words % 64));
    for (uint32_t i = words / 64;;) {
        if (bits != 0) {
            return i * 64 + (uint32_t)__builtin_ctzll(bits);
        }
        if (++i == 8) {
            return 0;
        }
        bits = core->body_classes[i];
    }
}

/* Slides every body to the front. Rare: only when the free space is there but in pieces. */
static void compact(struct td_core *core)
{
    uint64_t target = 0;
    for (uint64_t at = 0; at < core->body_bump;) {
        struct td_body_head *head = head_at(core, at);
        const uint32_t words = head->words;
        if (head->owner != TD_NONE) {
            TD_ASSERT(core->registers[head->owner].body == at);
            core->registers[head->owner].body = target;
            memmove(head_at(core, target), head, (size_t)words * TD_UNIT);
            target += words;
        }
        at += words;
    }
    core->body_bump = target;
    memset(core->body_free, 0xff, (TD_BODY_WORDS_MAX + 1) * sizeof *core->body_free);
    memset(core->body_classes, 0, sizeof core->body_classes);
}

static uint64_t take_block(struct td_core *core, uint32_t words)
{
    if (core->body_free[words] != TD_NONE) {
        return pop_block(core, words);
    }
    if (core->body_bump + words <= words_there(core)) {
        const uint64_t offset = core->body_bump;
        core->body_bump += words;
        return offset;
    }
    const uint32_t larger = class_from(core, words);
    if (larger == 0) {
        return UINT64_MAX;
    }
    const uint64_t offset = pop_block(core, larger);
    free_block(core, offset + words, larger - words);
    return offset;
}

uint64_t td_body_alloc(struct td_core *core, uint32_t words, uint32_t owner, bool own)
{
    TD_ASSERT(words <= TD_BODY_WORDS_MAX);
    const uint64_t kept = own ? 0 : core->reserved_words;
    const uint64_t limit = core->replaying ? words_there(core) : core->body_words_max;
    if (core->body_words_used + words + kept > limit) {
        return UINT64_MAX;
    }
    uint64_t offset = take_block(core, words);
    if (offset == UINT64_MAX) {
        compact(core);
        offset = take_block(core, words);
        TD_ASSERT(offset != UINT64_MAX);
    }
    struct td_body_head *head = head_at(core, offset);
    head->owner = owner;
    head->words = (uint16_t)words;
    core->body_words_used += words;
    return offset;
}

void td_body_free(struct td_core *core, uint64_t offset, uint32_t words)
{
    TD_ASSERT(head_at(core, offset)->words == words);
    core->body_words_used -= words;
    free_block(core, offset, words);
}

/* ---- packing ---- */

static uint32_t bit_count(uint8_t mask)
{
    uint32_t count = 0;
    for (; mask != 0; mask = (uint8_t)(mask & (mask - 1))) {
        count += 1;
    }
    return count;
}

static uint32_t labels_bytes(const struct td_status *status)
{
    uint32_t bytes = 0;
    for (uint32_t i = 0; i < status->label_count; ++i) {
        bytes += 4 + status->labels[i].key.count + status->labels[i].value.count;
    }
    return bytes;
}

static uint8_t times_mask(const struct td_status *status)
{
    uint8_t mask = 0;
    for (uint32_t i = 0; i < TD_STATE_COUNT; ++i) {
        mask = (uint8_t)(mask | (status->entered_ms[i] != 0 ? 1u << i : 0));
    }
    return mask;
}

uint32_t td_body_words(const struct td_body_parts *parts)
{
    const struct td_status *status = &parts->delta->status;
    const size_t bytes =
        sizeof(struct td_body_head) + parts->delta->job.count + status->parent.count +
        status->writer.count + status->detail.count + labels_bytes(status) +
        8 * (size_t)bit_count(times_mask(status)) +
        TD_DOT_BYTES * ((size_t)parts->delta->clock_count + parts->seen_count);
    return (uint32_t)((bytes + TD_UNIT - 1) / TD_UNIT);
}

static uint8_t *put(uint8_t *at, const void *bytes, size_t count)
{
    if (count > 0) {
        memcpy(at, bytes, count);
    }
    return at + count;
}

static uint8_t *put_dot(uint8_t *at, struct td_dot dot)
{
    at = put(at, &dot.origin.region.v, 1);
    at = put(at, &dot.origin.incarnation.start, 4);
    at = put(at, &dot.origin.incarnation.random, 4);
    return put(at, &dot.seq, 8);
}

static uint8_t *put_labels(uint8_t *at, const struct td_status *status)
{
    for (uint32_t i = 0; i < status->label_count; ++i) {
        const struct td_label *label = &status->labels[i];
        const uint16_t counts[2] = { (uint16_t)label->key.count, (uint16_t)label->value.count };
        at = put(at, counts, sizeof counts);
        at = put(at, label->key.bytes, label->key.count);
        at = put(at, label->value.bytes, label->value.count);
    }
    return at;
}

void td_body_pack(struct td_core *core, uint64_t offset, uint32_t words, uint32_t owner,
                  const struct td_body_parts *parts)
{
    const struct td_delta *delta = parts->delta;
    const struct td_status *status = &delta->status;
    struct td_body_head *head = head_at(core, offset);
    *head = (struct td_body_head){
        .owner = owner,
        .words = (uint16_t)words,
        .detail_bytes = (uint16_t)status->detail.count,
        .client = delta->client,
        .expect_every_s = status->expect_every_s,
        .progress = status->progress,
        .labels_bytes = (uint16_t)labels_bytes(status),
        .flags = delta->flags,
        .progress_known = status->progress_known,
        .job_bytes = (uint8_t)delta->job.count,
        .parent_bytes = (uint8_t)status->parent.count,
        .writer_bytes = (uint8_t)status->writer.count,
        .label_count = status->label_count,
        .clock_count = delta->clock_count,
        .seen_count = (uint8_t)parts->seen_count,
        .times_mask = times_mask(status),
    };
    uint8_t *at = (uint8_t *)(head + 1);
    at = put(at, delta->job.bytes, delta->job.count);
    at = put(at, status->parent.bytes, status->parent.count);
    at = put(at, status->writer.bytes, status->writer.count);
    at = put(at, status->detail.bytes, status->detail.count);
    at = put_labels(at, status);
    for (uint32_t i = 0; i < TD_STATE_COUNT; ++i) {
        if (status->entered_ms[i] != 0) {
            at = put(at, &status->entered_ms[i], 8);
        }
    }
    for (uint32_t i = 0; i < delta->clock_count; ++i) {
        at = put_dot(at, delta->clock[i]);
    }
    for (uint32_t i = 0; i < parts->seen_count; ++i) {
        at = put_dot(at, parts->seen[i]);
    }
    TD_ASSERT((size_t)(at - (uint8_t *)head) <= (size_t)words * TD_UNIT);
}

/* ---- unpacking ---- */

static struct td_text get_text(const uint8_t **at, uint32_t count)
{
    const struct td_text text = { (const char *)*at, count };
    *at += count;
    return text;
}

static void get(const uint8_t **at, void *bytes, size_t count)
{
    memcpy(bytes, *at, count);
    *at += count;
}

static uint32_t get_dots(const uint8_t **at, uint32_t count, struct td_dot *ret_dots)
{
    for (uint32_t i = 0; i < count; ++i) {
        get(at, &ret_dots[i].origin.region.v, 1);
        get(at, &ret_dots[i].origin.incarnation.start, 4);
        get(at, &ret_dots[i].origin.incarnation.random, 4);
        get(at, &ret_dots[i].seq, 8);
    }
    return count;
}

struct td_text td_body_job(const struct td_core *core, uint64_t offset)
{
    const struct td_body_head *head = head_at(core, offset);
    return (struct td_text){ (const char *)(head + 1), head->job_bytes };
}

uint32_t td_body_expect_every_s(const struct td_core *core, uint64_t offset)
{
    return head_at(core, offset)->expect_every_s;
}

uint32_t td_body_dots(const struct td_core *core, uint64_t offset, struct td_dot *ret_dots,
                      uint32_t *ret_clock_count)
{
    const struct td_body_head *head = head_at(core, offset);
    const uint8_t *at = (const uint8_t *)(head + 1) + head->job_bytes + head->parent_bytes +
                        head->writer_bytes + head->detail_bytes + head->labels_bytes +
                        8 * bit_count(head->times_mask);
    const uint32_t count = (uint32_t)head->clock_count + head->seen_count;
    *ret_clock_count = head->clock_count;
    return get_dots(&at, count, ret_dots);
}

void td_body_unpack(const struct td_core *core, uint64_t offset, struct td_body_view *ret_view)
{
    td_body_unpack_bytes(core->bodies + offset * TD_UNIT, ret_view);
}

void td_body_unpack_bytes(const uint8_t *bytes, struct td_body_view *ret_view)
{
    const struct td_body_head *head = (const struct td_body_head *)(const void *)bytes;
    struct td_delta *delta = &ret_view->delta;
    struct td_status *status = &delta->status;
    const uint8_t *at = (const uint8_t *)(head + 1);

    memset(delta, 0, sizeof *delta);
    delta->client = head->client;
    delta->flags = head->flags;
    delta->job = get_text(&at, head->job_bytes);
    status->parent = get_text(&at, head->parent_bytes);
    status->writer = get_text(&at, head->writer_bytes);
    status->detail = get_text(&at, head->detail_bytes);
    status->progress = head->progress;
    status->progress_known = head->progress_known != 0;
    status->expect_every_s = head->expect_every_s;
    status->label_count = head->label_count;
    status->labels = ret_view->labels;
    for (uint32_t i = 0; i < head->label_count; ++i) {
        uint16_t counts[2];
        get(&at, counts, sizeof counts);
        ret_view->labels[i].key = get_text(&at, counts[0]);
        ret_view->labels[i].value = get_text(&at, counts[1]);
    }
    for (uint32_t i = 0; i < TD_STATE_COUNT; ++i) {
        if ((head->times_mask >> i & 1) != 0) {
            get(&at, &status->entered_ms[i], 8);
        }
    }
    delta->clock_count = (uint8_t)get_dots(&at, head->clock_count, ret_view->clock);
    delta->clock = ret_view->clock;
    ret_view->seen_count = get_dots(&at, head->seen_count, ret_view->seen);
}

bool td_bodies_check(const struct td_core *core)
{
    uint64_t used = 0, at = 0;
    while (at < core->body_bump) {
        const struct td_body_head *head = head_at(core, at);
        if (head->words == 0 || head->words > TD_BODY_WORDS_MAX) {
            return false;
        }
        if (head->owner != TD_NONE) {
            const struct td_register *reg = &core->registers[head->owner];
            if (!reg->used || reg->body != at || reg->body_words != head->words) {
                return false;
            }
            used += head->words;
        }
        at += head->words;
    }
    return at == core->body_bump && used == core->body_words_used;
}
