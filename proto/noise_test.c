/* noise_test.c -- the handshake against public vectors and against another implementation. */
#include "proto/noise.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <jansson.h>
#include <sodium.h>

#include "proto/sign_sodium.h"

enum { BYTES_MAX = 512, MESSAGES_MAX = 16 };

struct blob {
    uint8_t bytes[BYTES_MAX];
    size_t count;
};

struct vector {
    struct blob prologue, init_static, init_ephemeral, resp_static, resp_ephemeral, hash;
    struct {
        struct blob payload, ciphertext;
        bool rekey_before;
    } messages[MESSAGES_MAX];
    size_t message_count;
};

static void from_hex(const char *hex, struct blob *ret_blob)
{
    const char *end = NULL;
    size_t chars = strcspn(hex, "\r\n");
    int failed = sodium_hex2bin(ret_blob->bytes, sizeof ret_blob->bytes, hex, chars, NULL,
                                &ret_blob->count, &end);
    assert_int_equal(failed, 0);
    assert_ptr_equal(end, hex + chars);
}

static void init_side(struct td_noise *noise, bool initiator, const struct vector *vector)
{
    const struct blob *secret = initiator ? &vector->init_static : &vector->resp_static;
    const struct blob *ephemeral = initiator ? &vector->init_ephemeral : &vector->resp_ephemeral;
    uint8_t s[32];

    assert_int_equal(crypto_scalarmult_base(s, secret->bytes), 0);
    td_noise_init(noise, initiator,
                  (struct td_bytes){vector->prologue.bytes, vector->prologue.count}, secret->bytes,
                  s);
    td_noise_give_ephemeral(noise, ephemeral->bytes);
}

static void run_handshake_message(struct td_noise *from, struct td_noise *to,
                                  const struct blob *payload, const struct blob *ciphertext)
{
    uint8_t message[BYTES_MAX];
    uint8_t plain[BYTES_MAX];
    size_t count = 0;

    assert_int_equal(td_noise_write(from, (struct td_bytes){payload->bytes, payload->count},
                                    message, sizeof message, &count),
                     TD_OK);
    assert_int_equal(count, ciphertext->count);
    assert_memory_equal(message, ciphertext->bytes, count);
    assert_int_equal(
        td_noise_read(to, (struct td_bytes){message, count}, plain, sizeof plain, &count), TD_OK);
    assert_int_equal(count, payload->count);
    assert_memory_equal(plain, payload->bytes, count);
}

static void run_transport_message(struct td_noise_cipher *send, struct td_noise_cipher *receive,
                                  const struct blob *payload, const struct blob *ciphertext)
{
    uint8_t message[BYTES_MAX + TD_NOISE_TAG_BYTES];

    td_noise_seal(send, payload->bytes, payload->count, message);
    assert_int_equal(ciphertext->count, payload->count + TD_NOISE_TAG_BYTES);
    assert_memory_equal(message, ciphertext->bytes, ciphertext->count);
    assert_int_equal(td_noise_open(receive, message, ciphertext->count, message), TD_OK);
    assert_memory_equal(message, payload->bytes, payload->count);
}

static void run_vector(const struct vector *vector)
{
    struct td_noise sides[2]; /* 0 initiator, 1 responder */
    struct td_noise_cipher send[2];
    struct td_noise_cipher receive[2];

    init_side(&sides[0], true, vector);
    init_side(&sides[1], false, vector);
    for (size_t i = 0; i < vector->message_count; i++) {
        size_t from = i % 2;
        if (i < 3) {
            run_handshake_message(&sides[from], &sides[1 - from], &vector->messages[i].payload,
                                  &vector->messages[i].ciphertext);
            continue;
        }
        if (i == 3) {
            assert_memory_equal(sides[0].h, vector->hash.bytes, 32);
            assert_memory_equal(sides[1].h, vector->hash.bytes, 32);
            td_noise_split(&sides[0], &send[0], &receive[0]);
            td_noise_split(&sides[1], &send[1], &receive[1]);
        }
        if (vector->messages[i].rekey_before) {
            td_noise_rekey(&send[from]);
            td_noise_rekey(&receive[1 - from]);
        }
        run_transport_message(&send[from], &receive[1 - from], &vector->messages[i].payload,
                              &vector->messages[i].ciphertext);
    }
}

static void json_blob(const json_t *object, const char *key, struct blob *ret_blob)
{
    const char *hex = json_string_value(json_object_get(object, key));
    assert_non_null(hex);
    from_hex(hex, ret_blob);
}

static void test_public_vector_is_reproduced_on_both_sides(void **state)
{
    const char *path = TD_SOURCE_DIR "/../shared/vectors/noise_xx_25519_chachapoly_sha256.json";
    struct vector vector = {0};
    json_error_t error;

    (void)state;
    json_t *root = json_load_file(path, 0, &error);
    if (root == NULL) {
        print_message("public vectors are not beside the source tree, skipped\n");
        skip();
    }
    const json_t *entry = json_array_get(json_object_get(root, "vectors"), 0);
    json_blob(entry, "init_prologue", &vector.prologue);
    json_blob(entry, "init_static", &vector.init_static);
    json_blob(entry, "init_ephemeral", &vector.init_ephemeral);
    json_blob(entry, "resp_static", &vector.resp_static);
    json_blob(entry, "resp_ephemeral", &vector.resp_ephemeral);
    json_blob(entry, "handshake_hash", &vector.hash);
    const json_t *messages = json_object_get(entry, "messages");
    vector.message_count = json_array_size(messages);
    assert_in_range(vector.message_count, 5, MESSAGES_MAX);
    for (size_t i = 0; i < vector.message_count; i++) {
        json_blob(json_array_get(messages, i), "payload", &vector.messages[i].payload);
        json_blob(json_array_get(messages, i), "ciphertext", &vector.messages[i].ciphertext);
    }
    run_vector(&vector);
    json_decref(root);
}

/* Lines `name hex`; `message hex hex`; `rekey` before the message that follows. */
static void read_own_vector(FILE *file, struct vector *vector)
{
    char line[4 * BYTES_MAX];
    bool rekey = false;
    struct {
        const char *name;
        struct blob *blob;
    } fields[] = {
        {"prologue ", &vector->prologue},
        {"init_static ", &vector->init_static},
        {"init_ephemeral ", &vector->init_ephemeral},
        {"resp_static ", &vector->resp_static},
        {"resp_ephemeral ", &vector->resp_ephemeral},
        {"handshake_hash ", &vector->hash},
    };

    while (fgets(line, sizeof line, file) != NULL) {
        for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
            if (strncmp(line, fields[i].name, strlen(fields[i].name)) == 0) {
                from_hex(line + strlen(fields[i].name), fields[i].blob);
            }
        }
        if (strncmp(line, "rekey", 5) == 0) {
            rekey = true;
        }
        if (strncmp(line, "message ", 8) == 0) {
            char *second = strchr(line + 8, ' ');
            assert_non_null(second);
            *second = '\0';
            assert_in_range(vector->message_count, 0, MESSAGES_MAX - 1);
            from_hex(line + 8, &vector->messages[vector->message_count].payload);
            from_hex(second + 1, &vector->messages[vector->message_count].ciphertext);
            vector->messages[vector->message_count].rekey_before = rekey;
            rekey = false;
            vector->message_count++;
        }
    }
}

static void test_another_implementation_agrees_with_card_payload_and_rekey(void **state)
{
    struct vector vector = {0};

    (void)state;
    FILE *file = fopen(TD_SOURCE_DIR "/proto/vectors/noise_xx_dissononce.txt", "r");
    assert_non_null(file);
    read_own_vector(file, &vector);
    fclose(file);
    assert_in_range(vector.message_count, 7, MESSAGES_MAX);
    assert_true(vector.messages[5].rekey_before);
    run_vector(&vector);
}

/* crypto_scalarmult refuses these; a handshake with one must end, not go on with a known key. */
static void test_small_order_keys_end_the_handshake(void **state)
{
    static const uint8_t points[][32] = {
        {0},
        {1},
        {0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3,
         0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32,
         0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00},
    };
    uint8_t seed[TD_SEED_BYTES];
    struct td_secret *secret = NULL;

    (void)state;
    assert_int_equal(td_secret_generate(seed, &secret), TD_OK);
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
        struct td_noise noise;
        uint8_t message[BYTES_MAX];
        size_t count = 0;
        td_noise_init(&noise, false, (struct td_bytes){seed, 1}, td_secret_link_key(secret),
                      td_secret_identity(secret)->link_key.bytes);
        assert_int_equal(
            td_noise_read(&noise, (struct td_bytes){points[i], 32}, message, 0, &count), TD_OK);
        assert_int_equal(
            td_noise_write(&noise, (struct td_bytes){seed, 1}, message, sizeof message, &count),
            TD_EHANDSHAKE);
    }
    td_secret_free(secret);
}

static void test_a_replayed_or_altered_record_does_not_open(void **state)
{
    struct td_noise_cipher send = {.k = {7}, .n = 0, .has_key = true};
    struct td_noise_cipher receive = send;
    uint8_t sealed[5 + TD_NOISE_TAG_BYTES];
    uint8_t plain[5];

    (void)state;
    td_noise_seal(&send, (const uint8_t *)"hello", 5, sealed);
    for (size_t bit = 0; bit < sizeof sealed * 8; bit++) {
        sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(td_noise_open(&receive, sealed, sizeof sealed, plain), TD_EHANDSHAKE);
        sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_int_equal(td_noise_open(&receive, sealed, sizeof sealed, plain), TD_OK);
    assert_int_equal(td_noise_open(&receive, sealed, sizeof sealed, plain), TD_EHANDSHAKE);
    assert_int_equal(td_noise_open(&receive, sealed, TD_NOISE_TAG_BYTES - 1, plain), TD_EHANDSHAKE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_public_vector_is_reproduced_on_both_sides),
        cmocka_unit_test(test_another_implementation_agrees_with_card_payload_and_rekey),
        cmocka_unit_test(test_small_order_keys_end_the_handshake),
        cmocka_unit_test(test_a_replayed_or_altered_record_does_not_open),
    };

    if (td_sodium_init() != TD_OK) {
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
