/* vector.c -- verdict and text of one golden vector. */
#include "proto/vectors/vector.h"

#include <string.h>

#include "proto/assert.h"
#include "proto/batch.h"
#include "proto/delta.h"
#include "proto/head.h"

/* ---- verdict ---- */

static enum td_err batch_verdict(struct td_test *test, struct td_bytes bytes)
{
    struct td_batch batch;
    enum td_err err = td_batch_decode(bytes, &test->signer, test->reader, &test->scratch, &batch);
    if (err != TD_OK) {
        return err;
    }
    return td_batch_verify(&batch, &test->signer, &test->key) ? TD_OK : TD_EBADSIG;
}

static enum td_err head_verdict(struct td_test *test, struct td_bytes bytes)
{
    struct td_head head;
    enum td_err err = td_head_decode(bytes, &test->signer, test->reader, &test->scratch, &head);
    if (err != TD_OK) {
        return err;
    }
    return td_head_verify(&head, &test->signer, &test->key) ? TD_OK : TD_EBADSIG;
}

static enum td_err delta_verdict(struct td_test *test, struct td_bytes bytes)
{
    struct td_delta delta;
    return td_delta_decode(bytes, &test->signer, test->reader, &test->scratch, &delta);
}

static enum td_err roster_verdict(struct td_test *test, struct td_bytes bytes)
{
    struct td_roster roster;
    return td_roster_decode(bytes, &test->signer, &test->key, test->reader, &test->scratch,
                            &roster);
}

static enum td_err card_verdict(struct td_test *test, struct td_bytes bytes)
{
    struct td_card card;
    return td_card_decode(bytes, &test->signer, &test->key, test->reader, &card);
}

static enum td_err client_verdict(struct td_test *test, const char *kind, struct td_bytes bytes)
{
    if (strcmp(kind, "request") == 0) {
        struct td_request request;
        return td_request_decode(bytes, &test->signer, test->reader, &test->scratch, &request);
    }
    if (strcmp(kind, "response") == 0) {
        struct td_response response;
        return td_response_decode(bytes, test->reader, &test->scratch, &response);
    }
    TD_ASSERT(strcmp(kind, "token") == 0);
    struct td_token token;
    return td_token_decode(bytes, test->reader, &test->scratch, &token);
}

enum td_err td_vector_verdict(struct td_test *test, const char *kind, unsigned type,
                              struct td_bytes bytes)
{
    test->scratch.used_bytes = 0;
    if (strcmp(kind, "msgpack") == 0) {
        return td_prescan(bytes);
    }
    if (strcmp(kind, "delta") == 0) {
        return delta_verdict(test, bytes);
    }
    if (strcmp(kind, "batch") == 0) {
        return batch_verdict(test, bytes);
    }
    if (strcmp(kind, "head") == 0) {
        return head_verdict(test, bytes);
    }
    if (strcmp(kind, "roster") == 0) {
        return roster_verdict(test, bytes);
    }
    if (strcmp(kind, "card") == 0) {
        return card_verdict(test, bytes);
    }
    if (strcmp(kind, "message") == 0) {
        struct td_msg msg;
        return td_msg_decode((enum td_msg_type)type, bytes, &test->signer, test->reader,
                             &test->scratch, &msg);
    }
    return client_verdict(test, kind, bytes);
}

/* ---- text ---- */

static uint64_t take_number(const uint8_t **at, unsigned width)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < width; i++) {
        value = value << 8 | *(*at)++;
    }
    return value;
}

static void print_text(FILE *out, const uint8_t *at, uint64_t count)
{
    fputc('"', out);
    for (uint64_t i = 0; i < count; i++) {
        if (at[i] < 0x20 || at[i] == 0x7f || at[i] == '"' || at[i] == '\\') {
            fprintf(out, "\\u%04x", at[i]);
        } else {
            fputc(at[i], out);
        }
    }
    fputc('"', out);
}

static void print_bin(FILE *out, const uint8_t *at, uint64_t count)
{
    struct td_bytes inner = {at, (size_t)count};
    if (count > 1 && td_prescan(inner) == TD_OK) {
        fputs("<<", out);
        td_vector_text(out, inner);
        fputs(">>", out);
        return;
    }
    fputs("h'", out);
    for (uint64_t i = 0; i < count; i++) {
        fprintf(out, "%02x", at[i]);
    }
    fputc('\'', out);
}

/* Depth is at most TD_MSGPACK_DEPTH_MAX: the bytes passed the pre-scan. */
static void print_value(FILE *out, const uint8_t **at)
{
    uint8_t first = *(*at)++;
    uint64_t number = first;
    if ((first & 0xf0) == 0x90 || first == 0xdc || first == 0xdd) {
        number = first == 0xdc   ? take_number(at, 2)
                 : first == 0xdd ? take_number(at, 4)
                                 : first & 0x0fu;
        fputc('[', out);
        for (uint64_t i = 0; i < number; i++) {
            fputs(i == 0 ? "" : ", ", out);
            print_value(out, at);
        }
        fputc(']', out);
    } else if ((first & 0xe0) == 0xa0 || (first >= 0xd9 && first <= 0xdb)) {
        number = first >= 0xd9 ? take_number(at, 1u << (first - 0xd9)) : first & 0x1fu;
        print_text(out, *at, number);
        *at += number;
    } else if (first >= 0xc4 && first <= 0xc6) {
        number = take_number(at, 1u << (first - 0xc4));
        print_bin(out, *at, number);
        *at += number;
    } else {
        number = first >= 0xcc ? take_number(at, 1u << (first - 0xcc)) : first;
        fprintf(out, "%llu", (unsigned long long)number);
    }
}

void td_vector_text(FILE *out, struct td_bytes bytes)
{
    const uint8_t *at = bytes.bytes;
    TD_ASSERT(td_prescan(bytes) == TD_OK);
    print_value(out, &at);
}
