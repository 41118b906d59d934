/* egress.c -- what the core sends, turned into frames: messages encoded, heads from their slots, stored
 * batches read back and thinned. Cheap sends happen at once on the core's thread; reading and thinning
 * for transfers happens on a thread of its own, in order per link. */
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "node/daemon/logging.h"
#include "node/daemon/node.h"
#include "proto/assert.h"

enum { SEND_BYTES_MAX = 64 * 1024 * 1024, SMALL_MSG_BYTES = 1024, ZSTD_FROM_BYTES = 512,
       BUSY_LINKS_MAX = 4 * TD_REGIONS_MAX };

/* One piece of a send, owning what it needs: an encoded message, or where to read. */
struct piece {
    enum td_out_type type;
    uint8_t msg_type;
    struct td_region region;    /* HEAD */
    uint32_t chunk_id;
    uint64_t chunk_cursor;
    struct td_buffer bytes;     /* MSG */
    uint32_t part_count;
    struct td_out_part *parts;  /* LIVE, FETCHED, CHUNK; keep lists owned */
};
struct job {
    struct job *next;
    struct td_link_id link; /* 0: no send, an answer for the log */
    struct td_compact_answer answer;
    uint32_t count;
    struct piece pieces[];
};
struct td_egress {
    struct td_node *node;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t filled;
    struct job *first, **last;
    bool stopping;
    struct {
        uint32_t link, jobs;
    } busy[BUSY_LINKS_MAX]; /* links with jobs queued or running: later sends must queue behind */
};

/* ---- copying an effect ---- */

static void free_job(struct job *job)
{
    for (uint32_t i = 0; i < job->count; i++) {
        td_buffer_fini(&job->pieces[i].bytes);
        for (uint32_t k = 0; k < job->pieces[i].part_count; k++) {
            free((void *)job->pieces[i].parts[k].keep);
        }
        free(job->pieces[i].parts);
    }
    free(job);
}

static bool copy_parts(struct piece *piece, const struct td_out_part *parts, uint32_t count)
{
    piece->parts = calloc(count, sizeof *piece->parts);
    if (piece->parts == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t *keep = NULL;
        piece->parts[i] = parts[i];
        piece->parts[i].keep = NULL;
        piece->part_count = i + 1;
        if (parts[i].keep == NULL || parts[i].keep_count == parts[i].batch_count) {
            continue;
        }
        keep = malloc(parts[i].keep_count * sizeof *keep);
        if (keep == NULL) {
            return false;
        }
        memcpy(keep, parts[i].keep, parts[i].keep_count * sizeof *keep);
        piece->parts[i].keep = keep;
    }
    return true;
}

static bool encode_message(struct piece *piece, const struct td_msg *msg)
{
    size_t room = SMALL_MSG_BYTES;
    piece->msg_type = (uint8_t)msg->type;
    for (;;) {
        uint8_t *bytes = td_buffer_reserve(&piece->bytes, room);
        if (bytes == NULL) {
            return false;
        }
        size_t used = td_msg_encode(msg, bytes, room);
        if (used > 0) {
            piece->bytes.used_bytes += used;
            return true;
        }
        room *= 8;
    }
}

static bool copy_piece(struct piece *piece, const struct td_out *out)
{
    piece->type = out->type;
    td_buffer_init(&piece->bytes, TD_FRAME_BYTES_MAX);
    switch (out->type) {
    case TD_OUT_MSG:
        return encode_message(piece, &out->u.msg);
    case TD_OUT_HEAD:
        piece->msg_type = TD_MSG_HEAD;
        piece->region = out->u.region;
        return true;
    case TD_OUT_LIVE:
        piece->msg_type = TD_MSG_LIVE;
        return copy_parts(piece, &out->u.part, 1);
    case TD_OUT_FETCHED:
        piece->msg_type = TD_MSG_FETCHED;
        return copy_parts(piece, &out->u.part, 1);
    case TD_OUT_CHUNK:
        piece->msg_type = TD_MSG_TRANSFER_CHUNK;
        piece->chunk_id = out->u.chunk.id;
        piece->chunk_cursor = out->u.chunk.cursor;
        return copy_parts(piece, out->u.chunk.parts, out->u.chunk.part_count);
    }
    return false;
}

static struct job *copy_effect(const struct td_effect *effect)
{
    uint32_t count = effect->u.send.count;
    struct job *job = calloc(1, sizeof *job + count * sizeof job->pieces[0]);
    if (job == NULL) {
        return NULL;
    }
    job->link = effect->u.send.link;
    for (uint32_t i = 0; i < count; i++) {
        job->count = i + 1;
        if (!copy_piece(&job->pieces[i], &effect->u.send.out[i])) {
            free_job(job);
            return NULL;
        }
    }
    return job;
}

/* ---- performing it ---- */

/* Memory one thread reuses from job to job. */
struct scratch {
    struct td_reader *reader;
    struct td_buffer out;     /* payloads of one job, one behind the other */
    struct td_buffer content; /* of one chunk */
    struct td_buffer raw;     /* one stored batch */
    void *arena_block;
    size_t arena_bytes;
};

static pthread_once_t scratch_once = PTHREAD_ONCE_INIT;
static pthread_key_t scratch_key;

static void free_scratch(void *memory)
{
    struct scratch *scratch = memory;
    td_reader_free(scratch->reader);
    td_buffer_fini(&scratch->out);
    td_buffer_fini(&scratch->content);
    td_buffer_fini(&scratch->raw);
    free(scratch->arena_block);
    free(scratch);
}

static void make_scratch_key(void)
{
    if (pthread_key_create(&scratch_key, free_scratch) != 0) {
        abort(); /* at start, with no thread-specific keys left: nothing can work */
    }
}

/* NULL when out of memory. Freed when the thread ends. */
static struct scratch *thread_scratch(void)
{
    pthread_once(&scratch_once, make_scratch_key);
    struct scratch *scratch = pthread_getspecific(scratch_key);
    if (scratch != NULL) {
        return scratch;
    }
    scratch = calloc(1, sizeof *scratch);
    if (scratch == NULL) {
        return NULL;
    }
    scratch->reader = td_reader_alloc();
    td_buffer_init(&scratch->out, SEND_BYTES_MAX);
    td_buffer_init(&scratch->content, SEND_BYTES_MAX);
    td_buffer_init(&scratch->raw, TD_BATCH_BYTES_MAX + 4096);
    scratch->arena_bytes = 8 * 1024 * 1024;
    scratch->arena_block = malloc(scratch->arena_bytes);
    if (scratch->reader == NULL || scratch->arena_block == NULL ||
        pthread_setspecific(scratch_key, scratch) != 0) {
        free_scratch(scratch);
        return NULL;
    }
    return scratch;
}

static enum td_err read_batch(struct td_node *node, struct td_log_ref ref, struct td_buffer *out)
{
    uint8_t *bytes = td_buffer_reserve(out, ref.bytes);
    size_t got = 0;
    if (bytes == NULL) {
        return TD_ENOMEM;
    }
    enum td_err err = td_log_read(node->log, ref, bytes, ref.bytes, &got);
    out->used_bytes += err == TD_OK ? got : 0;
    return err;
}

/* Appends the wanted part of a stored batch: verbatim, or thinned when that is smaller. */
static enum td_err append_part(struct td_node *node, struct scratch *scratch,
                               const struct td_out_part *part, struct td_buffer *out)
{
    if (part->keep == NULL) {
        return read_batch(node, part->ref, out);
    }
    scratch->raw.used_bytes = 0;
    enum td_err err = read_batch(node, part->ref, &scratch->raw);
    if (err != TD_OK) {
        return err;
    }
    struct td_bytes raw = { scratch->raw.bytes, scratch->raw.used_bytes };
    struct td_arena arena;
    struct td_batch batch;
    td_arena_init(&arena, scratch->arena_block, scratch->arena_bytes);
    err = td_batch_decode(raw, &node->signer, scratch->reader, &arena, &batch);
    if (err != TD_OK) {
        return TD_ECORRUPT;
    }
    uint8_t *place = td_buffer_reserve(out, raw.count);
    if (place == NULL) {
        return TD_ENOMEM;
    }
    size_t thinned = td_batch_thin(&batch, part->keep, part->keep_count, &node->signer, &arena, place,
                                   raw.count);
    if (thinned == 0) {
        memcpy(place, raw.bytes, raw.count); /* the proof would be larger than the whole */
        thinned = raw.count;
    }
    out->used_bytes += thinned;
    return TD_OK;
}

static void write_u32(uint8_t *bytes, uint32_t value)
{
    bytes[0] = (uint8_t)(value >> 24);
    bytes[1] = (uint8_t)(value >> 16);
    bytes[2] = (uint8_t)(value >> 8);
    bytes[3] = (uint8_t)value;
}

static enum td_err fill_content(struct td_node *node, struct scratch *scratch, const struct piece *piece)
{
    scratch->content.used_bytes = 0;
    for (uint32_t i = 0; i < piece->part_count; i++) {
        if (td_buffer_reserve(&scratch->content, 4) == NULL) {
            return TD_ENOMEM;
        }
        size_t length_at = scratch->content.used_bytes;
        scratch->content.used_bytes += 4;
        enum td_err err = append_part(node, scratch, &piece->parts[i], &scratch->content);
        if (err != TD_OK) {
            return err;
        }
        write_u32(scratch->content.bytes + length_at,
                  (uint32_t)(scratch->content.used_bytes - length_at - 4));
    }
    return TD_OK;
}

static enum td_err append_chunk(struct td_node *node, struct scratch *scratch, const struct piece *piece)
{
    enum td_err err = fill_content(node, scratch, piece);
    if (err != TD_OK) {
        return err;
    }
    struct td_bytes content = { scratch->content.bytes, scratch->content.used_bytes };
    struct td_msg msg = { .type = TD_MSG_TRANSFER_CHUNK };
    msg.u.chunk.id = piece->chunk_id;
    msg.u.chunk.cursor = piece->chunk_cursor;
    msg.u.chunk.content_bytes = (uint32_t)content.count;
    msg.u.chunk.content = content;
    scratch->raw.used_bytes = 0;
    void *packed = content.count < ZSTD_FROM_BYTES ? NULL : malloc(ZSTD_compressBound(content.count));
    if (packed != NULL) {
        size_t count = ZSTD_compress(packed, ZSTD_compressBound(content.count), content.bytes,
                                     content.count, 1);
        if (!ZSTD_isError(count) && count < content.count && content.count / 64 < count) {
            msg.u.chunk.compressed = true;
            msg.u.chunk.content = (struct td_bytes){ packed, count };
        }
    }
    size_t room = msg.u.chunk.content.count + 64;
    uint8_t *place = td_buffer_reserve(&scratch->out, room);
    size_t used = place != NULL ? td_msg_encode(&msg, place, room) : 0;
    scratch->out.used_bytes += used;
    free(packed);
    return used > 0 ? TD_OK : TD_ENOMEM;
}

static enum td_err append_piece(struct td_node *node, struct scratch *scratch, const struct piece *piece)
{
    switch (piece->type) {
    case TD_OUT_MSG:
        return td_buffer_append(&scratch->out,
                                (struct td_bytes){ piece->bytes.bytes, piece->bytes.used_bytes })
                   ? TD_OK
                   : TD_ENOMEM;
    case TD_OUT_HEAD:
        return td_head_slots_copy(&node->heads, piece->region, &scratch->out) ? TD_OK : TD_EUNKNOWN;
    case TD_OUT_LIVE:
    case TD_OUT_FETCHED:
        return append_part(node, scratch, &piece->parts[0], &scratch->out);
    case TD_OUT_CHUNK:
        return append_chunk(node, scratch, piece);
    }
    return TD_EFORMAT;
}

static void perform(struct td_node *node, const struct job *job)
{
    struct scratch *scratch = thread_scratch();
    struct td_out_frame *frames = calloc(job->count + 1, sizeof *frames);
    size_t *starts = calloc(job->count + 1, sizeof *starts);
    enum td_err err = frames != NULL && starts != NULL && scratch != NULL ? TD_OK : TD_ENOMEM;
    uint32_t count = 0;
    if (scratch != NULL) {
        scratch->out.used_bytes = 0;
    }
    for (uint32_t i = 0; i < job->count && err == TD_OK; i++) {
        starts[count] = scratch->out.used_bytes;
        err = append_piece(node, scratch, &job->pieces[i]);
        if (err == TD_EUNKNOWN && job->pieces[i].type == TD_OUT_HEAD) {
            err = TD_OK; /* no head of that region yet: nothing to send */
            continue;
        }
        frames[count].type = job->pieces[i].msg_type;
        frames[count].payload.count = scratch->out.used_bytes - starts[count];
        count++;
    }
    for (uint32_t i = 0; i < count && err == TD_OK; i++) {
        frames[i].payload.bytes = scratch->out.bytes + starts[i];
    }
    if (err != TD_OK) {
        /* A send with a hole would let the other side believe in completeness: end the link instead. */
        td_log_event(TD_ERROR, "send_failed", "link", td_log_number(job->link.v), "why",
                     td_err_text(err), NULL);
        td_net_close_link(node->net, job->link, err);
    } else if (count > 0 && td_net_send(node->net, job->link, frames, count) == TD_ETOOBIG) {
        /* The core keeps what it sends below a frame; all other failures report themselves. */
        td_log_event(TD_ERROR, "send_failed", "link", td_log_number(job->link.v), "why",
                     td_err_text(TD_ETOOBIG), NULL);
        td_net_close_link(node->net, job->link, TD_ETOOBIG);
    }
    free(frames);
    free(starts);
}

/* ---- order per link ---- */

static uint32_t *busy_jobs(struct td_egress *egress, uint32_t link, bool add)
{
    for (size_t i = 0; i < BUSY_LINKS_MAX; i++) {
        if (egress->busy[i].jobs > 0 && egress->busy[i].link == link) {
            return &egress->busy[i].jobs;
        }
    }
    for (size_t i = 0; add && i < BUSY_LINKS_MAX; i++) {
        if (egress->busy[i].jobs == 0) {
            egress->busy[i].link = link;
            return &egress->busy[i].jobs;
        }
    }
    return NULL;
}

static bool is_heavy(const struct td_effect *effect)
{
    for (uint32_t i = 0; i < effect->u.send.count; i++) {
        enum td_out_type type = effect->u.send.out[i].type;
        if (type == TD_OUT_CHUNK || type == TD_OUT_FETCHED) {
            return true;
        }
    }
    return false;
}

static void put_last(struct td_egress *egress, struct job *job)
{
    *egress->last = job;
    egress->last = &job->next;
    pthread_cond_signal(&egress->filled);
}

void td_egress_send(struct td_egress *egress, const struct td_effect *effect)
{
    struct job *job = copy_effect(effect);
    if (job == NULL) {
        td_net_close_link(egress->node->net, effect->u.send.link, TD_ENOMEM);
        return;
    }
    pthread_mutex_lock(&egress->mutex);
    uint32_t *jobs = busy_jobs(egress, job->link.v, is_heavy(effect));
    if (jobs != NULL) {
        (*jobs)++;
        put_last(egress, job);
    }
    pthread_mutex_unlock(&egress->mutex);
    if (jobs == NULL) {
        perform(egress->node, job);
        free_job(job);
    }
}

void td_egress_answer(struct td_egress *egress, const struct td_compact_answer *answer)
{
    struct job *job = calloc(1, sizeof *job);
    if (job == NULL) {
        return;
    }
    job->answer = *answer;
    pthread_mutex_lock(&egress->mutex);
    put_last(egress, job);
    pthread_mutex_unlock(&egress->mutex);
}

static void *run(void *argument)
{
    struct td_egress *egress = argument;
    pthread_mutex_lock(&egress->mutex);
    while (!egress->stopping) {
        struct job *job = egress->first;
        if (job == NULL) {
            pthread_cond_wait(&egress->filled, &egress->mutex);
            continue;
        }
        egress->first = job->next;
        if (egress->first == NULL) {
            egress->last = &egress->first;
        }
        pthread_mutex_unlock(&egress->mutex);
        if (job->link.v == 0) {
            td_log_compact(egress->node->log, &job->answer);
            free_job(job);
            pthread_mutex_lock(&egress->mutex);
            continue;
        }
        perform(egress->node, job);
        pthread_mutex_lock(&egress->mutex);
        uint32_t *jobs = busy_jobs(egress, job->link.v, false);
        TD_ASSERT(jobs != NULL);
        (*jobs)--;
        free_job(job);
    }
    pthread_mutex_unlock(&egress->mutex);
    return NULL;
}

struct td_egress *td_egress_start(struct td_node *node)
{
    struct td_egress *egress = calloc(1, sizeof *egress);
    if (egress == NULL) {
        return NULL;
    }
    egress->node = node;
    egress->last = &egress->first;
    pthread_mutex_init(&egress->mutex, NULL);
    pthread_cond_init(&egress->filled, NULL);
    if (pthread_create(&egress->thread, NULL, run, egress) != 0) {
        free(egress);
        return NULL;
    }
    return egress;
}

void td_egress_stop(struct td_egress *egress)
{
    if (egress == NULL) {
        return;
    }
    pthread_mutex_lock(&egress->mutex);
    egress->stopping = true;
    pthread_cond_signal(&egress->filled);
    pthread_mutex_unlock(&egress->mutex);
    pthread_join(egress->thread, NULL);
    while (egress->first != NULL) {
        struct job *job = egress->first;
        egress->first = job->next;
        free_job(job);
    }
    free(egress);
}
