/* generate.c -- writes the golden vectors: generate FOLDER. The files are frozen once released; a
 * new layout gets new vectors and never new bytes for old ones. Accepted bytes come from the
 * encoders under the key of seed 0x01 * 32, refused ones are made from them or written out here. */
#include <stdlib.h>
#include <string.h>

#include "proto/assert.h"
#include "proto/delta.h"
#include "proto/vectors/vector.h"
#include "proto/writer.h"

static struct td_test test;
static FILE *out;

static void print_hex(const char *label, const uint8_t *bytes, size_t count)
{
    fprintf(out, "%s: ", label);
    for (size_t i = 0; i < count; i++) {
        fprintf(out, "%02x", bytes[i]);
    }
    fputc('\n', out);
}

static void open_file(const char *folder, const char *name, const char *about)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s.txt", folder, name);
    out = fopen(path, "w");
    TD_ASSERT(out != NULL);
    fprintf(out, "# %s\n", about);
}

static void emit_as(const char *name, const char *kind, unsigned type, const uint8_t *bytes,
                    size_t count, enum td_err want)
{
    struct td_bytes input = {bytes, count};
    enum td_err err = td_vector_verdict(&test, kind, type, input);
    if (err != want) {
        fprintf(stderr, "%s: %d, want %d\n", name, (int)err, (int)want);
        exit(1);
    }
    fprintf(out, "\nname: %s\nkind: %s\n", name, kind);
    if (strcmp(kind, "message") == 0) {
        fprintf(out, "type: %u\n", type);
    }
    print_hex("hex", bytes, count);
    fprintf(out, "verdict: TD-E%04d\n", (int)err);
    if (err == TD_OK) {
        fputs("text: ", out);
        td_vector_text(out, input);
        fputc('\n', out);
    }
}

static void emit(const char *name, const char *kind, struct td_bytes bytes, enum td_err want)
{
    emit_as(name, kind, 0, bytes.bytes, bytes.count, want);
}

/* ---- msgpack ---- */

static void emit_msgpack(const char *folder)
{
    static const struct {
        const char *name, *bytes;
        size_t count;
        enum td_err want;
    } rows[] = {
#define ROW(name, literal, want) {name, literal, sizeof literal - 1, want}
        ROW("empty array", "\x90", TD_OK),
        ROW("largest and smallest of each uint form",
            "\x99\x00\x7f\xcc\x80\xcc\xff\xcd\x01\x00\xcd\xff\xff\xce\x00\x01\x00\x00\xce\xff\xff"
            "\xff"
            "\xff\xcf\x00\x00\x00\x01\x00\x00\x00\x00",
            TD_OK),
        ROW("eight levels", "\x91\x91\x91\x91\x91\x91\x91\x90", TD_OK),
        ROW("non-minimal uint8", "\x91\xcc\x7f", TD_EFORMAT),
        ROW("non-minimal uint16", "\x91\xcd\x00\xff", TD_EFORMAT),
        ROW("non-minimal uint32", "\x91\xce\x00\x00\xff\xff", TD_EFORMAT),
        ROW("non-minimal uint64", "\x91\xcf\x00\x00\x00\x00\xff\xff\xff\xff", TD_EFORMAT),
        ROW("non-minimal str8", "\x91\xd9\x01x", TD_EFORMAT),
        ROW("non-minimal bin16", "\x91\xc5\x00\x01x", TD_EFORMAT),
        ROW("non-minimal array16", "\xdc\x00\x01\x01", TD_EFORMAT),
        ROW("trailing byte", "\x91\x01\x00", TD_EFORMAT),
        ROW("count beyond the remaining bytes", "\xdd\x0f\xff\xff\xff", TD_EFORMAT),
        ROW("length beyond the remaining bytes", "\x91\xa5xy", TD_EFORMAT),
        ROW("nine levels", "\x91\x91\x91\x91\x91\x91\x91\x91\x90", TD_EFORMAT),
        ROW("33 levels",
            "\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91"
            "\x91"
            "\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x90",
            TD_EFORMAT),
        ROW("map", "\x91\x80", TD_EFORMAT),
        ROW("nil", "\x91\xc0", TD_EFORMAT),
        ROW("true", "\x91\xc3", TD_EFORMAT),
        ROW("float64", "\x91\xcb\x00\x00\x00\x00\x00\x00\x00\x00", TD_EFORMAT),
        ROW("negative", "\x91\xff", TD_EFORMAT),
        ROW("ext", "\x91\xd4\x01\x00", TD_EFORMAT),
        ROW("0xc1", "\x91\xc1", TD_EFORMAT),
        ROW("overlong UTF-8", "\x91\xa2\xc0\xaf", TD_EFORMAT),
        ROW("surrogate in UTF-8", "\x91\xa3\xed\xa0\x80", TD_EFORMAT),
        ROW("top is not an array", "\x01", TD_EFORMAT),
#undef ROW
    };
    open_file(folder, "msgpack", "which msgpack the pre-scan takes");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        emit_as(rows[i].name, "msgpack", 0, (const uint8_t *)rows[i].bytes, rows[i].count,
                rows[i].want);
    }
    fclose(out);
}

/* ---- delta ---- */

/* The smallest delta, with labels as given. */
static struct td_bytes plain_delta(const char *first_key, const char *second_key)
{
    struct td_writer writer;
    td_writer_init(&writer, test.out, TD_TEST_OUT_BYTES);
    td_writer_array(&writer, 15);
    td_writer_text(&writer, td_test_literal("etl/4711"));
    for (uint64_t field = 1; field <= 6; field++) {
        td_writer_uint(&writer, field == 6 ? 0 : field); /* attempt 1 .. flags 0 */
    }
    td_writer_text(&writer, td_test_literal("w-17"));
    td_writer_array(&writer, 0);
    td_writer_text(&writer, td_test_literal(""));
    td_writer_text(&writer, td_test_literal(""));
    td_writer_array(&writer, 4);
    td_writer_text(&writer, td_test_literal(first_key));
    td_writer_text(&writer, td_test_literal("1"));
    td_writer_text(&writer, td_test_literal(second_key));
    td_writer_text(&writer, td_test_literal("2"));
    td_writer_uint(&writer, 0);
    td_writer_array(&writer, 0);
    td_writer_array(&writer, 0);
    return (struct td_bytes){test.out, td_writer_done(&writer)};
}

static void emit_deltas(const char *folder)
{
    uint8_t bytes[TD_DELTA_BYTES_MAX];
    open_file(folder, "delta", "deltas as signed and stored");
    emit("plain", "delta", plain_delta("a", "b"), TD_OK);
    for (int i = 0; i < 3; i++) {
        struct td_delta delta;
        td_test_delta(&test, &delta);
        emit("random", "delta", delta.raw, TD_OK);
    }
    emit("duplicate label keys", "delta", plain_delta("a", "a"), TD_ELABELS);
    emit("label keys descending", "delta", plain_delta("b", "a"), TD_ELABELS);
    emit("empty label key", "delta", plain_delta("", "a"), TD_ELABELS);

    struct td_bytes plain = plain_delta("a", "b");
    memcpy(bytes, plain.bytes, plain.count);
    bytes[plain.count] = 0;
    emit_as("trailing byte", "delta", 0, bytes, plain.count + 1, TD_EFORMAT);
    emit_as("last byte missing", "delta", 0, bytes, plain.count - 1, TD_EFORMAT);
    bytes[10] = 0; /* behind 0x9f 0xa8 and eight letters */
    emit_as("attempt 0", "delta", 0, bytes, plain.count, TD_EATTEMPT);
    bytes[10] = 1;
    bytes[11] = 8;
    emit_as("no such state", "delta", 0, bytes, plain.count, TD_ESTATE);
    bytes[11] = 2;
    bytes[5] = '\n';
    emit_as("control character in the job id", "delta", 0, bytes, plain.count, TD_EJOBID);
    memmove(bytes + 12, bytes + 11, plain.count - 11);
    bytes[5] = '/';
    bytes[10] = 0xcc;
    bytes[11] = 1;
    emit_as("non-minimal attempt", "delta", 0, bytes, plain.count + 1, TD_EFORMAT);
    fclose(out);
}

/* ---- batch ---- */

static void emit_batches(const char *folder)
{
    struct td_batch batch;
    uint8_t *bytes = test.out_again;
    uint32_t keep[] = {0, 3};
    open_file(folder, "batch", "signed batches, whole and thinned");
    struct td_bytes whole = td_test_batch(&test, 5);
    emit("whole, five deltas", "batch", whole, TD_OK);
    test.scratch.used_bytes = 0;
    TD_ASSERT(td_batch_decode(whole, &test.signer, test.reader, &test.scratch, &batch) == TD_OK);
    size_t count =
        td_batch_thin(&batch, keep, 2, &test.signer, &test.scratch, bytes, TD_TEST_OUT_BYTES);
    emit_as("thinned to indexes 0 and 3", "batch", 0, bytes, count, TD_OK);
    bytes[count - 1] ^= 1;
    emit_as("thinned, a proof hash altered", "batch", 0, bytes, count, TD_EBADSIG);
    memcpy(bytes, whole.bytes, whole.count);
    bytes[1] = 1;
    emit_as("whole batch marked thinned", "batch", 0, bytes, whole.count, TD_EFORMAT);
    bytes[1] = 0;
    bytes[whole.count] = 0;
    emit_as("trailing byte", "batch", 0, bytes, whole.count + 1, TD_EFORMAT);
    size_t signature_at = (size_t)(batch.header_raw.bytes - whole.bytes) + batch.header_raw.count;
    bytes[signature_at + 10] ^= 1;
    emit_as("signature altered", "batch", 0, bytes, whole.count, TD_EBADSIG);
    fclose(out);
}

/* ---- head, roster, card ---- */

static void emit_altered(const char *kind, struct td_bytes bytes)
{
    memcpy(test.out_again, bytes.bytes, bytes.count);
    test.out_again[bytes.count] = 0;
    emit_as("trailing byte", kind, 0, test.out_again, bytes.count + 1, TD_EFORMAT);
    emit_as("last byte missing", kind, 0, test.out_again, bytes.count - 1, TD_EFORMAT);
    test.out_again[bytes.count - 40] ^= 1;
    emit_as("signature altered", kind, 0, test.out_again, bytes.count, TD_EBADSIG);
}

static void emit_signed(const char *folder)
{
    struct td_head head;
    struct td_roster roster;
    struct td_card card;
    open_file(folder, "head", "signed heads");
    for (int i = 0; i < 3; i++) {
        td_test_head(&test, &head);
        TD_ASSERT(td_head_encode(&head, &test.signer, test.out, TD_TEST_OUT_BYTES) != 0);
        emit("random", "head", head.raw, TD_OK);
    }
    emit_altered("head", head.raw);
    static const struct td_detour detours[] = {{{3}, {1}}, {{4}, {0}}};
    struct td_head small = {.origin = {{2}, {1, 7}}, .number = 1, .detours_said = true};
    small.detours = detours;
    small.detour_count = 2;
    TD_ASSERT(td_head_encode(&small, &test.signer, test.out, TD_TEST_OUT_BYTES) != 0);
    emit("with detours", "head", small.raw, TD_OK);
    fclose(out);
    open_file(folder, "roster", "signed rosters");
    td_test_roster(&test, 2, 2, &roster);
    TD_ASSERT(td_roster_encode(&roster, &test.signer, test.out, TD_TEST_OUT_BYTES) != 0);
    emit("two regions, two clients", "roster", roster.raw, TD_OK);
    emit_altered("roster", roster.raw);
    struct td_roster_region *second = (struct td_roster_region *)(uintptr_t)&roster.regions[1];
    second->name = roster.regions[0].name;
    TD_ASSERT(td_roster_encode(&roster, &test.signer, test.out, TD_TEST_OUT_BYTES) != 0);
    emit("two regions of one name", "roster", roster.raw, TD_EROSTER);
    fclose(out);
    open_file(folder, "card", "cards");
    td_test_card(&test, &card);
    size_t count = td_card_encode(&card, &test.signer, test.out, TD_CARD_BYTES_MAX);
    struct td_bytes raw = {test.out, count};
    emit("random", "card", raw, TD_OK);
    emit_altered("card", raw);
    fclose(out);
}

/* ---- messages ---- */

static void emit_messages(const char *folder)
{
    open_file(folder, "message", "messages between regions, payload only");
    for (unsigned type = TD_MSG_PING; type <= TD_MSG_PROOF; type++) {
        struct td_msg msg;
        bool raw = type == TD_MSG_HEAD || type == TD_MSG_LIVE || type == TD_MSG_FETCHED;
        if (raw || (type > TD_MSG_HELLO && type < TD_MSG_HEAD)) {
            continue;
        }
        td_test_msg(&test, (enum td_msg_type)type, &msg);
        size_t count = td_msg_encode(&msg, test.out, TD_TEST_OUT_BYTES);
        emit_as("random", "message", type, test.out, count, TD_OK);
    }
    emit_as("unknown type", "message", 200, (const uint8_t *)"\x91\x01", 2, TD_EFORMAT);
    emit_as("region 0", "message", TD_MSG_HEAD_ASK, (const uint8_t *)"\x91\x00", 2, TD_EFORMAT);
    emit_as("two vector entries of one origin", "message", TD_MSG_HAS,
            (const uint8_t *)"\x91\x92\x98\x01\x01\x01\x05\x01\x01\x01\x06\x90", 12, TD_EFORMAT);
    fclose(out);
}

/* Newer than the rest: not from the generator, whose later rows would all be others then. */
static void emit_admin_requests(void)
{
    static const struct td_request requests[] = {
        {.id = 7, .op = TD_OP_ADMIN, .u.admin = {TD_ADMIN_RELOAD, {"", 0}}},
        {.id = 8, .op = TD_OP_ADMIN, .u.admin = {TD_ADMIN_LOG_LEVEL, {"debug", 5}}},
        {.id = 9, .op = TD_OP_ADMIN, .u.admin = {TD_ADMIN_BACKUP, {"/srv/b", 6}}},
    };
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        size_t count = td_request_encode(&requests[i], test.out, TD_TEST_OUT_BYTES);
        emit_as("admin", "request", 0, test.out, count, TD_OK);
    }
    emit_as("admin action 0", "request", 0, (const uint8_t *)"\x95\x07\x0c\x00\x92\x90\x90\x92\x00\xa0",
            10, TD_EFORMAT);
}

/* Newer than the rest as well. */
static void emit_newer_responses(void)
{
    static const struct td_refused_view refused = {
        TD_EBADSIG, 3, 1772460271900, 1772460341000, {"us-east at 10.0.3.9:7717", 24}};
    struct td_response unknown = {.id = 7, .op = TD_OP_EXPLAIN, .err = TD_EUNKNOWN};
    unknown.u.explain.refused_count = 1;
    unknown.u.explain.refused = &refused;
    size_t count = td_response_encode(&unknown, test.out, TD_TEST_OUT_BYTES);
    emit_as("explain with what was refused", "response", 0, test.out, count, TD_OK);
    struct td_region_view view = {.region = {1}, .they_lack_known = true, .they_lack = 412,
                                  .they_lack_jobs = 37, .eta_known = true, .eta_ms = 3100};
    struct td_response status = {.id = 8, .op = TD_OP_STATUS};
    status.u.status.region_count = 1;
    status.u.status.regions = &view;
    count = td_response_encode(&status, test.out, TD_TEST_OUT_BYTES);
    emit_as("status with the time left", "response", 0, test.out, count, TD_OK);
}

static void emit_status_with_detours(void)
{
    static const struct td_detour detours[] = {{{3}, {1}}};
    struct td_region_view regions[] = {{.region = {1}, .self = true},
                                       {.region = {2}, .detours_said = true},
                                       {.region = {3}, .detours_said = true}};
    struct td_response status = {.id = 8, .op = TD_OP_STATUS};
    regions[1].detours = detours;
    regions[1].detour_count = 1;
    status.u.status.region_count = 3;
    status.u.status.regions = regions;
    size_t count = td_response_encode(&status, test.out, TD_TEST_OUT_BYTES);
    emit_as("status with detours", "response", 0, test.out, count, TD_OK);
}

static void emit_clients(const char *folder)
{
    struct td_token token;
    open_file(folder, "request", "requests of clients");
    for (int op = TD_OP_PUBLISH; op < TD_OP_ADMIN; op++) {
        struct td_request request;
        td_test_request(&test, (enum td_op)op, &request);
        size_t count = td_request_encode(&request, test.out, TD_TEST_OUT_BYTES);
        emit_as("random", "request", 0, test.out, count, TD_OK);
    }
    emit_admin_requests();
    fclose(out);
    open_file(folder, "response", "responses to clients");
    for (int op = TD_OP_PUBLISH; op < TD_OP_ADMIN; op++) {
        struct td_response response;
        td_test_response(&test, (enum td_op)op, &response);
        size_t count = td_response_encode(&response, test.out, TD_TEST_OUT_BYTES);
        emit_as("random", "response", 0, test.out, count, TD_OK);
    }
    struct td_response done = {.id = 7, .op = TD_OP_ADMIN, .message = {"done", 4}};
    size_t done_count = td_response_encode(&done, test.out, TD_TEST_OUT_BYTES);
    emit_as("answer to an admin request", "response", 0, test.out, done_count, TD_OK);
    emit_newer_responses();
    done.stale_ms = 30000;
    done_count = td_response_encode(&done, test.out, TD_TEST_OUT_BYTES);
    emit_as("with the node's stale limit", "response", 0, test.out, done_count, TD_OK);
    test.out[done_count - 3] = 0; /* for 30000 in three bytes */
    emit_as("a stale limit of 0", "response", 0, test.out, done_count - 2, TD_EFORMAT);
    emit_status_with_detours();
    fclose(out);
    open_file(folder, "token", "tokens, before base64url");
    td_test_token(&test, &token);
    size_t count = td_token_encode(&token, test.out, TD_TEST_OUT_BYTES);
    emit_as("random", "token", 0, test.out, count, TD_OK);
    emit_as("cut", "token", 0, test.out, count - 1, TD_ETOKEN);
    fclose(out);
}

/* ---- signatures ---- */

static void emit_signature(const char *name, const struct td_public_key *key,
                           const struct td_signature *signature, bool want)
{
    struct td_bytes message = {(const uint8_t *)"tidings", 7};
    bool valid = test.signer.verify(test.signer.self, key, TD_CONTEXT_BATCH, message, signature);
    TD_ASSERT(valid == want);
    fprintf(out, "\nname: %s\nkind: signature\ncontext: %s\n", name, TD_CONTEXT_BATCH);
    print_hex("key", key->bytes, sizeof key->bytes);
    print_hex("signature", signature->bytes, sizeof signature->bytes);
    print_hex("hex", message.bytes, message.count);
    fprintf(out, "verdict: TD-E%04d\n", valid ? 0 : (int)TD_EBADSIG);
}

static void add_group_order(uint8_t *scalar)
{
    static const uint8_t order[32] = {0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58,       0xd6,
                                      0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, [31] = 0x10};
    unsigned carry = 0;
    for (int i = 0; i < 32; i++) {
        carry += (unsigned)scalar[i] + order[i];
        scalar[i] = (uint8_t)carry;
        carry >>= 8;
    }
}

static void emit_signatures(const char *folder)
{
    struct td_bytes message = {(const uint8_t *)"tidings", 7};
    struct td_signature signature;
    struct td_public_key identity = {{1}};
    struct td_public_key order_two = {{0xec, [31] = 0x7f}};
    struct td_public_key order_four = {{0}};
    struct td_signature of_identity = {{1}};
    memset(order_two.bytes + 1, 0xff, 30);
    open_file(folder, "signature", "strict Ed25519 over context, a zero byte and the bytes");
    test.signer.sign(test.signer.self, TD_CONTEXT_BATCH, message, &signature);
    emit_signature("valid", &test.key, &signature, true);
    emit_signature("another key", &test.other_key, &signature, false);
    test.signer.sign(test.signer.self, TD_CONTEXT_HEAD, message, &signature);
    emit_signature("made for another context", &test.key, &signature, false);
    test.signer.sign(test.signer.self, TD_CONTEXT_BATCH, message, &signature);
    add_group_order(signature.bytes + 32);
    emit_signature("malleated: S + L", &test.key, &signature, false);
    emit_signature("small-order key: identity", &identity, &of_identity, false);
    emit_signature("small-order key: order 2", &order_two, &of_identity, false);
    emit_signature("small-order key: order 4", &order_four, &of_identity, false);
    fclose(out);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
        return 2;
    }
    td_test_open(&test, 1803);
    emit_msgpack(argv[1]);
    emit_deltas(argv[1]);
    emit_batches(argv[1]);
    emit_signed(argv[1]);
    emit_messages(argv[1]);
    emit_clients(argv[1]);
    emit_signatures(argv[1]);
    td_test_close(&test);
    return 0;
}
