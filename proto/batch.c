/* batch.c -- deltas signed together: build, peek, decode, verify, thin. The header's bytes are
 * signed once and then only ever copied. */
#include "proto/batch.h"

#include <string.h>

#include "proto/assert.h"
#include "proto/merkle.h"
#include "proto/order.h"
#include "proto/text.h"
#include "proto/writer.h"

enum {
    KIND_WHOLE = 0,
    KIND_THINNED = 1,
    WHOLE_FIELDS = 4,
    THINNED_FIELDS = 6,
    HEADER_FIELDS = 11,
    /* In a thinned batch the hashes are the last bytes, each behind a bin header of two. */
    HASH_WIRE_BYTES = 2 + sizeof(struct td_hash),
};

/* ---- header ---- */

static bool header_valid(const struct td_batch_header *header)
{
    return header->origin.region.v != 0 && header->count >= 1 &&
           header->count <= TD_BATCH_DELTAS_MAX && header->first_seq >= 1 &&
           header->first_seq <= TD_SEQ_MAX && header->count - 1 <= TD_SEQ_MAX - header->first_seq &&
           header->stamp.ms <= TD_STAMP_MS_MAX;
}

static struct td_bytes header_encode(const struct td_batch_header *header, uint8_t *bytes,
                                     size_t size_bytes)
{
    struct td_writer writer;
    td_writer_init(&writer, bytes, size_bytes);
    td_writer_array(&writer, HEADER_FIELDS);
    td_writer_uint(&writer, TD_BATCH_VERSION);
    td_writer_bin(&writer, (struct td_bytes){header->cluster.bytes, sizeof header->cluster.bytes});
    td_writer_uint(&writer, header->origin.region.v);
    td_writer_uint(&writer, header->key_number);
    td_writer_uint(&writer, header->origin.incarnation.start);
    td_writer_uint(&writer, header->origin.incarnation.random);
    td_writer_uint(&writer, header->first_seq);
    td_writer_uint(&writer, header->count);
    td_writer_uint(&writer, header->stamp.ms);
    td_writer_uint(&writer, header->stamp.counter);
    td_writer_bin(&writer, (struct td_bytes){header->root.bytes, sizeof header->root.bytes});
    size_t count = td_writer_done(&writer);
    TD_ASSERT(count != 0);
    return (struct td_bytes){bytes, count};
}

static enum td_err header_decode(struct td_bytes raw, struct td_reader *reader,
                                 struct td_batch_header *ret_header)
{
    struct td_batch_header header = {0};
    if (td_reader_init(reader, raw) != TD_OK) {
        return td_reader_err(reader);
    }
    td_reader_enter(reader, HEADER_FIELDS, HEADER_FIELDS);
    if (td_reader_uint(reader, UINT64_MAX) != TD_BATCH_VERSION) {
        td_reader_fail(reader, TD_EVERSION);
    }
    td_reader_fixed(reader, header.cluster.bytes, sizeof header.cluster.bytes);
    header.origin.region.v = (uint8_t)td_reader_uint(reader, TD_REGION_NUMBER_MAX);
    header.key_number = (uint16_t)td_reader_uint(reader, UINT16_MAX);
    header.origin.incarnation.start = (uint32_t)td_reader_uint(reader, UINT32_MAX);
    header.origin.incarnation.random = (uint32_t)td_reader_uint(reader, UINT32_MAX);
    header.first_seq = td_reader_uint(reader, TD_SEQ_MAX);
    header.count = (uint32_t)td_reader_uint(reader, TD_BATCH_DELTAS_MAX);
    header.stamp.ms = td_reader_uint(reader, TD_STAMP_MS_MAX);
    header.stamp.counter = (uint32_t)td_reader_uint(reader, UINT32_MAX);
    td_reader_fixed(reader, header.root.bytes, sizeof header.root.bytes);
    td_reader_leave(reader);
    enum td_err err = td_reader_done(reader);
    if (err != TD_OK) {
        return err;
    }
    if (!header_valid(&header)) {
        return TD_EFORMAT;
    }
    *ret_header = header;
    return TD_OK;
}

/* ---- build ---- */

size_t td_batch_build(struct td_batch_header *header, const struct td_delta *deltas,
                      const struct td_signer *signer, void *bytes, size_t size_bytes,
                      struct td_signature *ret_signature)
{
    TD_ASSERT(header_valid(header));
    struct td_merkle tree;
    tree.count = 0;
    for (uint32_t i = 0; i < header->count; i++) {
        td_merkle_add(&tree, &deltas[i].leaf, signer);
    }
    td_merkle_finish(&tree, signer, &header->root);

    uint8_t header_bytes[TD_HEADER_BYTES_MAX];
    struct td_bytes raw = header_encode(header, header_bytes, sizeof header_bytes);
    struct td_signature signature;
    signer->sign(signer->self, TD_CONTEXT_BATCH, raw, &signature);

    struct td_writer writer;
    td_writer_init(&writer, bytes,
                   size_bytes < TD_BATCH_BYTES_MAX ? size_bytes : TD_BATCH_BYTES_MAX);
    td_writer_array(&writer, WHOLE_FIELDS);
    td_writer_uint(&writer, KIND_WHOLE);
    td_writer_bin(&writer, raw);
    td_writer_bin(&writer, (struct td_bytes){signature.bytes, sizeof signature.bytes});
    td_writer_array(&writer, header->count);
    for (uint32_t i = 0; i < header->count; i++) {
        TD_ASSERT(deltas[i].raw.count <= TD_DELTA_BYTES_MAX);
        td_writer_bin(&writer, deltas[i].raw);
    }
    *ret_signature = signature;
    return td_writer_done(&writer);
}

/* ---- decode ---- */

/* The outer array as it lies on the wire, before anything inside is looked at. */
struct envelope {
    bool whole;
    struct td_bytes header_raw;
    struct td_signature signature;
    uint32_t present_count;
    struct td_bytes *delta_raws;
    uint32_t *indexes;
    uint32_t hash_count;
    struct td_hash *hashes;
};

static void read_delta_raws(struct td_reader *reader, struct td_arena *arena,
                            struct envelope *envelope)
{
    uint32_t count = td_reader_enter(reader, 1, TD_BATCH_DELTAS_MAX);
    envelope->delta_raws = td_arena_take(arena, count, sizeof *envelope->delta_raws);
    if (envelope->delta_raws == NULL) {
        td_reader_fail(reader, TD_ETOOBIG);
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        envelope->delta_raws[i] = td_reader_bin(reader, TD_DELTA_BYTES_MAX);
    }
    td_reader_leave(reader);
    envelope->present_count = count;
}

static void read_indexes(struct td_reader *reader, struct td_arena *arena,
                         struct envelope *envelope)
{
    uint32_t count = td_reader_enter(reader, 1, TD_BATCH_DELTAS_MAX);
    if (count != envelope->present_count) {
        td_reader_fail(reader, TD_EFORMAT);
        return;
    }
    envelope->indexes = td_arena_take(arena, count, sizeof *envelope->indexes);
    if (envelope->indexes == NULL) {
        td_reader_fail(reader, TD_ETOOBIG);
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        envelope->indexes[i] = (uint32_t)td_reader_uint(reader, TD_BATCH_DELTAS_MAX - 1);
    }
    td_reader_leave(reader);
}

static void read_hashes(struct td_reader *reader, struct td_arena *arena, struct envelope *envelope)
{
    uint32_t count = td_reader_enter(reader, 1, TD_PROOF_HASHES_MAX);
    envelope->hashes = td_arena_take(arena, count, sizeof *envelope->hashes);
    if (envelope->hashes == NULL) {
        td_reader_fail(reader, TD_ETOOBIG);
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        td_reader_fixed(reader, envelope->hashes[i].bytes, sizeof envelope->hashes[i].bytes);
    }
    td_reader_leave(reader);
    envelope->hash_count = count;
}

static enum td_err envelope_decode(struct td_bytes raw, struct td_reader *reader,
                                   struct td_arena *arena, struct envelope *envelope)
{
    if (raw.count > TD_BATCH_BYTES_MAX) {
        return TD_ETOOBIG;
    }
    if (td_reader_init(reader, raw) != TD_OK) {
        return td_reader_err(reader);
    }
    uint32_t fields = td_reader_enter(reader, WHOLE_FIELDS, THINNED_FIELDS);
    envelope->whole = td_reader_uint(reader, KIND_THINNED) == KIND_WHOLE;
    if (fields != (envelope->whole ? WHOLE_FIELDS : THINNED_FIELDS)) {
        td_reader_fail(reader, TD_EFORMAT);
    }
    envelope->header_raw = td_reader_bin(reader, TD_HEADER_BYTES_MAX);
    td_reader_fixed(reader, envelope->signature.bytes, sizeof envelope->signature.bytes);
    if (td_reader_err(reader) == TD_OK && arena != NULL) {
        read_delta_raws(reader, arena, envelope);
        if (!envelope->whole) {
            read_indexes(reader, arena, envelope);
            read_hashes(reader, arena, envelope);
        }
    }
    return td_reader_done(reader);
}

enum td_err td_batch_peek(struct td_bytes raw, struct td_reader *reader,
                          struct td_batch_header *ret_header)
{
    struct envelope envelope = {0};
    enum td_err err = envelope_decode(raw, reader, NULL, &envelope);
    if (err != TD_OK) {
        return err;
    }
    return header_decode(envelope.header_raw, reader, ret_header);
}

/* PROTOCOL "Batch": whole exactly when every delta is there, so one batch has one form. */
static bool counts_fit(const struct envelope *envelope, const struct td_batch_header *header)
{
    return envelope->whole ? envelope->present_count == header->count
                           : envelope->present_count < header->count;
}

static enum td_err decode_deltas(const struct envelope *envelope, const struct td_signer *signer,
                                 struct td_reader *reader, struct td_arena *arena,
                                 struct td_delta *deltas)
{
    for (uint32_t i = 0; i < envelope->present_count; i++) {
        enum td_err err =
            td_delta_decode(envelope->delta_raws[i], signer, reader, arena, &deltas[i]);
        if (err != TD_OK) {
            return err;
        }
        deltas[i].index = envelope->whole ? i : envelope->indexes[i];
    }
    return TD_OK;
}

/* Contiguous copies of the leaves, which the proofs need. */
static struct td_hash *copy_leaves(const struct td_delta *deltas, uint32_t count,
                                   struct td_arena *arena)
{
    struct td_hash *leaves = td_arena_take(arena, count, sizeof *leaves);
    for (uint32_t i = 0; leaves != NULL && i < count; i++) {
        leaves[i] = deltas[i].leaf;
    }
    return leaves;
}

static enum td_err check_root(const struct envelope *envelope, const struct td_delta *deltas,
                              const struct td_batch_header *header, const struct td_signer *signer,
                              struct td_arena *arena)
{
    struct td_hash root;
    const struct td_hash *leaves = copy_leaves(deltas, envelope->present_count, arena);
    if (leaves == NULL) {
        return TD_ETOOBIG;
    }
    if (envelope->whole) {
        td_merkle_root(leaves, header->count, signer, &root);
    } else if (!td_merkle_rebuild(leaves, envelope->indexes, envelope->present_count, header->count,
                                  envelope->hashes, envelope->hash_count, signer, &root)) {
        return TD_EFORMAT;
    }
    return memcmp(root.bytes, header->root.bytes, sizeof root.bytes) == 0 ? TD_OK : TD_EBADSIG;
}

enum td_err td_batch_decode(struct td_bytes raw, const struct td_signer *signer,
                            struct td_reader *reader, struct td_arena *arena,
                            struct td_batch *ret_batch)
{
    struct envelope envelope = {0};
    struct td_batch batch = {0};
    enum td_err err = envelope_decode(raw, reader, arena, &envelope);
    if (err != TD_OK) {
        return err;
    }
    err = header_decode(envelope.header_raw, reader, &batch.header);
    if (err != TD_OK) {
        return err;
    }
    if (!counts_fit(&envelope, &batch.header)) {
        return TD_EFORMAT;
    }
    struct td_delta *deltas = td_arena_take(arena, envelope.present_count, sizeof *deltas);
    if (deltas == NULL) {
        return TD_ETOOBIG;
    }
    err = decode_deltas(&envelope, signer, reader, arena, deltas);
    if (err != TD_OK) {
        return err;
    }
    batch.signature = envelope.signature;
    batch.header_raw = envelope.header_raw;
    batch.raw = raw;
    batch.whole = envelope.whole;
    batch.present_count = envelope.present_count;
    batch.deltas = deltas;
    err = check_root(&envelope, deltas, &batch.header, signer, arena);
    if (err == TD_OK || err == TD_EBADSIG) {
        *ret_batch = batch;
    }
    return err;
}

bool td_batch_verify(const struct td_batch *batch, const struct td_signer *signer,
                     const struct td_public_key *key)
{
    return signer->verify(signer->self, key, TD_CONTEXT_BATCH, batch->header_raw,
                          &batch->signature);
}

/* ---- thin ---- */

/* What a decoded batch knows of its tree. The hashes of one already thinned are its last bytes. */
static bool part_of(const struct td_batch *batch, struct td_arena *arena,
                    struct td_merkle_part *ret_part)
{
    uint32_t present = batch->present_count;
    uint32_t *indexes = td_arena_take(arena, present, sizeof *indexes);
    struct td_hash *leaves = copy_leaves(batch->deltas, present, arena);
    if (indexes == NULL || leaves == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < present; i++) {
        indexes[i] = batch->deltas[i].index;
    }
    uint32_t hash_count =
        batch->whole ? 0 : td_merkle_hash_count(indexes, present, batch->header.count);
    struct td_hash *hashes = td_arena_take(arena, hash_count, sizeof *hashes);
    if (hashes == NULL) {
        return false;
    }
    const uint8_t *end = batch->raw.bytes + batch->raw.count;
    for (uint32_t i = 0; i < hash_count; i++) {
        memcpy(hashes[i].bytes, end - (size_t)(hash_count - i) * HASH_WIRE_BYTES + 2,
               sizeof hashes[i].bytes);
    }
    *ret_part = (struct td_merkle_part){
        batch->header.count, present, indexes, leaves, hash_count, hashes,
    };
    return true;
}

static void write_kept(struct td_writer *writer, const struct td_batch *batch, const uint32_t *keep,
                       uint32_t keep_count)
{
    uint32_t at = 0;
    td_writer_array(writer, keep_count);
    for (uint32_t i = 0; i < keep_count; i++) {
        while (at < batch->present_count && batch->deltas[at].index < keep[i]) {
            at++;
        }
        TD_ASSERT(at < batch->present_count);
        TD_ASSERT(batch->deltas[at].index == keep[i]);
        td_writer_bin(writer, batch->deltas[at].raw);
    }
}

static size_t copy_raw(const struct td_batch *batch, void *bytes, size_t size_bytes)
{
    if (batch->raw.count > size_bytes) {
        return 0;
    }
    memcpy(bytes, batch->raw.bytes, batch->raw.count);
    return batch->raw.count;
}

size_t td_batch_thin(const struct td_batch *batch, const uint32_t *keep, uint32_t keep_count,
                     const struct td_signer *signer, struct td_arena *arena, void *bytes,
                     size_t size_bytes)
{
    TD_ASSERT(keep_count >= 1);
    TD_ASSERT(keep_count <= batch->present_count);
    if (keep_count == batch->present_count) {
        return copy_raw(batch, bytes, size_bytes);
    }
    struct td_merkle_part part;
    if (!part_of(batch, arena, &part)) {
        return 0;
    }
    uint32_t hash_count = td_merkle_hash_count(keep, keep_count, part.count);
    struct td_hash *hashes = td_arena_take(arena, hash_count, sizeof *hashes);
    if (hashes == NULL) {
        return 0;
    }
    struct td_writer writer;
    td_writer_init(&writer, bytes,
                   size_bytes < TD_BATCH_BYTES_MAX ? size_bytes : TD_BATCH_BYTES_MAX);
    td_writer_array(&writer, THINNED_FIELDS);
    td_writer_uint(&writer, KIND_THINNED);
    td_writer_bin(&writer, batch->header_raw);
    td_writer_bin(&writer,
                  (struct td_bytes){batch->signature.bytes, sizeof batch->signature.bytes});
    write_kept(&writer, batch, keep, keep_count); /* also proves that keep is part of the batch */
    td_merkle_narrow(&part, keep, keep_count, signer, hashes);
    td_writer_array(&writer, keep_count);
    for (uint32_t i = 0; i < keep_count; i++) {
        td_writer_uint(&writer, keep[i]);
    }
    td_writer_array(&writer, hash_count);
    for (uint32_t i = 0; i < hash_count; i++) {
        td_writer_bin(&writer, (struct td_bytes){hashes[i].bytes, sizeof hashes[i].bytes});
    }
    return td_writer_done(&writer);
}

/* ---- equivocation ---- */

static bool headers_equal(const struct td_batch_header *a, const struct td_batch_header *b)
{
    return a->key_number == b->key_number && a->first_seq == b->first_seq && a->count == b->count &&
           td_stamp_compare(a->stamp, b->stamp) == 0 &&
           memcmp(a->root.bytes, b->root.bytes, sizeof a->root.bytes) == 0;
}

bool td_headers_equivocate(const struct td_batch_header *a, const struct td_batch_header *b)
{
    if (memcmp(a->cluster.bytes, b->cluster.bytes, sizeof a->cluster.bytes) != 0 ||
        td_origin_compare(a->origin, b->origin) != 0) {
        return false;
    }
    bool overlap = a->first_seq <= b->first_seq ? b->first_seq - a->first_seq < a->count
                                                : a->first_seq - b->first_seq < b->count;
    return overlap && !headers_equal(a, b);
}
