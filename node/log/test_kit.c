/* test_kit.c -- see test_kit.h. */
#include "node/log/test_kit.h"

#include <stdlib.h>
#include <string.h>

#include "node/log/segment.h"
#include "proto/assert.h"

static uint64_t mix(uint64_t sum, const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        sum = (sum ^ bytes[i]) * UINT64_C(0x9e3779b97f4a7c15);
        sum ^= sum >> 29;
    }
    return sum;
}

static void fill(uint64_t sum, uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        sum = sum * UINT64_C(6364136223846793005) + 1442695040888963407u;
        bytes[i] = (uint8_t)(sum >> 56);
    }
}

static void toy_hash(void *self, uint8_t prefix, struct td_bytes a, struct td_bytes b,
                     struct td_hash *ret_hash)
{
    (void)self;
    fill(mix(mix(mix(7, &prefix, 1), a.bytes, a.count), b.bytes, b.count), ret_hash->bytes,
         sizeof ret_hash->bytes);
}

static uint64_t toy_job_hash(void *self, struct td_text job)
{
    (void)self;
    return mix(5, (const uint8_t *)job.bytes, job.count);
}

static void toy_checksum(void *self, struct td_bytes a, struct td_bytes b, uint8_t ret_sum[16])
{
    (void)self;
    fill(mix(mix(3, a.bytes, a.count) + 1, b.bytes, b.count), ret_sum, 16);
}

static void toy_sign(void *self, const char *context, struct td_bytes bytes,
                     struct td_signature *ret_signature)
{
    (void)self;
    fill(mix(mix(11, (const uint8_t *)context, strlen(context)), bytes.bytes, bytes.count),
         ret_signature->bytes, sizeof ret_signature->bytes);
}

static bool toy_verify(void *self, const struct td_public_key *key, const char *context,
                       struct td_bytes bytes, const struct td_signature *signature)
{
    struct td_signature expected;
    (void)key;
    toy_sign(self, context, bytes, &expected);
    return memcmp(&expected, signature, sizeof expected) == 0;
}

const struct td_signer kit_signer = {
    NULL, toy_hash, toy_job_hash, toy_checksum, toy_sign, toy_verify,
};

uint32_t kit_raw_bytes(uint32_t id)
{
    return 8 + id * 97 % 1500;
}

void kit_raw(uint32_t id, uint8_t *bytes)
{
    fill(id, bytes, kit_raw_bytes(id));
    td_put_u32(bytes, id); /* the first byte is 0: no real batch begins so */
}

void kit_init(struct kit *kit, struct td_disk disk)
{
    memset(kit, 0, sizeof *kit);
    kit->disk = disk;
    kit->options = (struct td_log_options){
        .limit_bytes = UINT64_C(1) << 40,
        .segment_bytes = 1 << 20,
        .queue_max = 64,
        .key_number = 3,
        .cluster = {{1, 2, 3}},
        .region = {9},
        .signer = &kit_signer,
    };
    kit->next_id = 1;
}

static struct kit_seen *see(struct kit *kit, enum td_record_type type, struct td_log_ref ref)
{
    TD_ASSERT(kit->seen_count < KIT_TICKETS_MAX);
    struct kit_seen *seen = &kit->seen[kit->seen_count++];
    *seen = (struct kit_seen){.type = type, .ref = ref};
    return seen;
}

static void on_batch(void *self, struct td_log_ref ref, struct td_bytes raw)
{
    struct kit_seen *seen = see(self, TD_RECORD_BATCH, ref);
    uint8_t expected[KIT_RAW_BYTES_MAX];

    TD_ASSERT(raw.count >= sizeof seen->id);
    seen->id = td_get_u32(raw.bytes);
    if (raw.bytes[0] == 0x94) { /* a real batch of kit_own() */
        seen->id = 0;
        return;
    }
    TD_ASSERT(raw.count == kit_raw_bytes(seen->id));
    kit_raw(seen->id, expected);
    TD_ASSERT(memcmp(expected, raw.bytes, raw.count) == 0);
}

static void on_record(void *self, const struct td_record *record)
{
    struct kit_seen *seen = see(self, record->type, record->ref);
    if (record->type == TD_RECORD_WALL) {
        seen->id = (uint32_t)record->u.wall_ms;
    }
}

static void on_done(void *self, const struct td_log_done *done)
{
    struct kit *kit = self;
    TD_ASSERT(kit->done_count < KIT_TICKETS_MAX);
    kit->done[kit->done_count++] = *done;
}

enum td_err kit_open(struct kit *kit)
{
    struct td_log_replay replay = {kit, on_batch, on_record};
    struct td_log_sink sink = {.self = kit, .done = on_done};

    kit->seen_count = 0;
    kit->done_count = 0;
    kit->next_ticket = 1;
    return td_log_open(&kit->disk, &kit->options, &replay, &sink, &kit->recovery, &kit->log,
                       kit->why, sizeof kit->why);
}

void kit_close(struct kit *kit)
{
    td_log_close(kit->log);
    kit->log = NULL;
    for (size_t i = 0; i < kit->raw_count; i++) {
        free(kit->raws[i]);
    }
    kit->raw_count = 0;
}

void kit_fini(struct kit *kit)
{
    kit_close(kit);
}

static void submit(struct kit *kit, struct td_effect *effect)
{
    effect->type = TD_FX_STORE;
    effect->u.store.ticket.v = kit->next_ticket++;
    bool queued = td_log_submit(kit->log, effect);
    TD_ASSERT(queued);
}

uint32_t kit_receive(struct kit *kit)
{
    uint32_t id = kit->next_id++;
    uint8_t *raw = malloc(kit_raw_bytes(id));

    TD_ASSERT(raw != NULL);
    TD_ASSERT(kit->raw_count < KIT_TICKETS_MAX);
    kit->raws[kit->raw_count++] = raw;
    kit_raw(id, raw);
    struct td_effect effect = {
        .u.store = {.kind = TD_STORE_RECEIVED, .handle = raw, .raw = {raw, kit_raw_bytes(id)}}};
    submit(kit, &effect);
    return id;
}

void kit_record(struct kit *kit, const struct td_record *record)
{
    struct td_effect effect = {.u.store = {.kind = TD_STORE_RECORD, .record = record}};
    submit(kit, &effect);
}

void kit_own(struct kit *kit, const struct td_delta *deltas, uint32_t count, uint64_t first_seq)
{
    struct td_effect effect = {.u.store = {.kind = TD_STORE_OWN,
                                           .origin = {{9}, {1, 77}},
                                           .first_seq = first_seq,
                                           .delta_count = count,
                                           .deltas = deltas}};
    submit(kit, &effect);
}
