/* test_support.h -- what the codec's tests share: real keys from fixed seeds, a reader, an arena, a
 * seeded generator, and valid random values of every message. Linked into tests only. */
#ifndef TD_PROTO_TEST_SUPPORT_H
#define TD_PROTO_TEST_SUPPORT_H

#include "proto/client_msg.h"
#include "proto/frame.h"
#include "proto/roster.h"
#include "proto/sign_sodium.h"

enum { TD_TEST_SCRATCH_BYTES = 16 * 1024 * 1024, TD_TEST_OUT_BYTES = 2 * 1024 * 1024 };

struct td_test {
    uint64_t random_state;
    struct td_secret *secret;
    struct td_sodium_signer sodium;
    struct td_signer signer;        /* signs with key, hashes under cluster */
    struct td_public_key key;       /* of signer */
    struct td_public_key other_key; /* a valid key that signed nothing */
    struct td_cluster_id cluster;
    struct td_reader *reader;
    struct td_arena made;    /* generated values live here */
    struct td_arena scratch; /* decoders take from here */
    uint8_t *out;            /* TD_TEST_OUT_BYTES for an encoder */
    uint8_t *out_again;
};

void td_test_open(struct td_test *test, uint64_t seed);
void td_test_close(struct td_test *test);
/* Forgets what was generated and decoded. */
void td_test_reset(struct td_test *test);

uint64_t td_test_random(struct td_test *test);
/* 0 .. below - 1. */
uint32_t td_test_below(struct td_test *test, uint32_t below);
/* A number whose length on the wire varies, at most max. */
uint64_t td_test_number(struct td_test *test, uint64_t max);
bool td_test_chance(struct td_test *test);
struct td_text td_test_text(struct td_test *test, uint32_t bytes_min, uint32_t bytes_max);
struct td_text td_test_literal(const char *text);

struct td_origin td_test_origin(struct td_test *test);
struct td_dot td_test_dot(struct td_test *test);
struct td_stamp td_test_stamp(struct td_test *test);
void td_test_vv(struct td_test *test, uint32_t entries_max, struct td_vv *ret_vv);
void td_test_status(struct td_test *test, struct td_status *ret_status);
/* Encoded too: raw points into made, leaf and job_hash are set. */
void td_test_delta(struct td_test *test, struct td_delta *ret_delta);
/* A signed whole batch of count deltas; returns its bytes, which live in made. */
struct td_bytes td_test_batch(struct td_test *test, uint32_t count);
void td_test_head(struct td_test *test, struct td_head *ret_head);
void td_test_roster(struct td_test *test, uint32_t regions, uint32_t clients,
                    struct td_roster *ret_roster);
void td_test_card(struct td_test *test, struct td_card *ret_card);
/* type: any but the raw ones. */
void td_test_msg(struct td_test *test, enum td_msg_type type, struct td_msg *ret_msg);
void td_test_request(struct td_test *test, enum td_op op, struct td_request *ret_request);
void td_test_response(struct td_test *test, enum td_op op, struct td_response *ret_response);
void td_test_token(struct td_test *test, struct td_token *ret_token);

#endif
