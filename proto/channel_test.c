/* channel_test.c -- two channels joined in memory, and what hostile bytes may do to one. */
#include "proto/channel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "proto/limits.h"

enum { FRAME_MAX = TD_FRAME_BYTES_MAX };

/* What one side's sink has seen. */
struct seen {
    unsigned known, frames;
    enum td_channel_kind kind;
    struct td_public_key link_key;
    bool has_card;
    uint8_t card_region;
    uint16_t proto;
    uint64_t bytes;
    uint64_t sum; /* of type and payload bytes, in order */
    enum td_err refuse;
};

struct pair {
    struct td_secret *root, *initiator_secret, *responder_secret;
    struct td_public_key root_key;
    uint8_t card_bytes[TD_CARD_BYTES_MAX];
    struct td_bytes card;
    struct td_channel *initiator, *responder;
    struct td_buffer to_responder, to_initiator;
    struct seen at_initiator, at_responder;
};

static enum td_err on_known(void *self, enum td_channel_kind kind,
                            const struct td_public_key *link_key, const struct td_card *card,
                            uint16_t proto)
{
    struct seen *seen = self;

    seen->known++;
    seen->kind = kind;
    seen->link_key = *link_key;
    seen->has_card = card != NULL;
    seen->card_region = card != NULL ? card->region.v : 0;
    seen->proto = proto;
    return seen->refuse;
}

static void on_frame(void *self, uint8_t type, uint8_t *take_payload, size_t payload_bytes)
{
    struct seen *seen = self;

    seen->frames++;
    seen->bytes += payload_bytes;
    seen->sum = seen->sum * 31 + type;
    for (size_t i = 0; i < payload_bytes; i++) {
        seen->sum = seen->sum * 31 + take_payload[i];
    }
    free(take_payload);
}

static struct td_secret *secret_of(uint8_t first)
{
    uint8_t seed[TD_SEED_BYTES] = {first};
    struct td_secret *secret = NULL;

    assert_int_equal(td_secret_from_seed(seed, &secret), TD_OK);
    return secret;
}

static void make_card(struct pair *pair, uint64_t roster_version, const struct td_secret *owner)
{
    struct td_sodium_signer self = {pair->root, td_cluster_id_of(&pair->root_key)};
    struct td_signer signer = td_sodium_signer(&self);
    struct td_card card = {
        .cluster = self.cluster,
        .region = {9},
        .key_number = 1,
        .sign_key = td_secret_identity(owner)->sign_key,
        .link_key = td_secret_identity(owner)->link_key,
        .roster_version = roster_version,
    };
    size_t count = td_card_encode(&card, &signer, pair->card_bytes, sizeof pair->card_bytes);

    assert_true(count > 0);
    pair->card = (struct td_bytes){pair->card_bytes, count};
}

static struct pair *pair_alloc(void)
{
    struct pair *pair = calloc(1, sizeof *pair);

    assert_non_null(pair);
    pair->root = secret_of(1);
    pair->root_key = td_secret_identity(pair->root)->sign_key;
    pair->initiator_secret = secret_of(2);
    pair->responder_secret = secret_of(3);
    make_card(pair, 5, pair->responder_secret);
    td_buffer_init(&pair->to_responder, 64 * 1024 * 1024);
    td_buffer_init(&pair->to_initiator, 64 * 1024 * 1024);
    return pair;
}

static void pair_free(struct pair *pair)
{
    td_channel_close(pair->initiator);
    td_channel_close(pair->responder);
    td_buffer_fini(&pair->to_responder);
    td_buffer_fini(&pair->to_initiator);
    td_secret_free(pair->root);
    td_secret_free(pair->initiator_secret);
    td_secret_free(pair->responder_secret);
    free(pair);
}

static void open_both(struct pair *pair, enum td_channel_kind kind, uint64_t roster_version_min)
{
    struct td_channel_config config = {
        .kind = kind,
        .initiator = true,
        .secret = kind == TD_CHANNEL_LOCAL ? NULL : pair->initiator_secret,
        .root_sign_key = pair->root_key,
        .roster_version_min = roster_version_min,
        .frame_bytes_max = FRAME_MAX,
    };
    struct td_channel_config responder = {
        .local_allowed = kind == TD_CHANNEL_LOCAL,
        .secret = pair->responder_secret,
        .root_sign_key = pair->root_key,
        .card = pair->card,
        .frame_bytes_max = FRAME_MAX,
    };

    assert_int_equal(td_channel_open(&config, &pair->to_responder, &pair->initiator), TD_OK);
    assert_int_equal(td_channel_open(&responder, &pair->to_initiator, &pair->responder), TD_OK);
    assert_int_equal(pair->to_initiator.used_bytes, 0);
}

/* Delivers what waits for one side in pieces of at most piece bytes. */
static enum td_err deliver(struct td_buffer *from, struct td_channel *to, struct seen *seen,
                           struct td_buffer *out, size_t piece)
{
    struct td_channel_sink sink = {seen, on_known, on_frame};
    enum td_err err = TD_OK;
    size_t at = 0;

    while (at < from->used_bytes && err == TD_OK) {
        size_t count = from->used_bytes - at < piece ? from->used_bytes - at : piece;
        err = td_channel_receive(to, (struct td_bytes){from->bytes + at, count}, &sink, out);
        at += count;
    }
    from->used_bytes = 0;
    return err;
}

static enum td_err to_responder(struct pair *pair, size_t piece)
{
    return deliver(&pair->to_responder, pair->responder, &pair->at_responder, &pair->to_initiator,
                   piece);
}

static enum td_err to_initiator(struct pair *pair, size_t piece)
{
    return deliver(&pair->to_initiator, pair->initiator, &pair->at_initiator, &pair->to_responder,
                   piece);
}

static void shake_hands(struct pair *pair, size_t piece)
{
    assert_int_equal(to_responder(pair, piece), TD_OK);
    assert_int_equal(to_initiator(pair, piece), TD_OK);
    assert_true(td_channel_established(pair->initiator));
    assert_int_equal(to_responder(pair, piece), TD_OK);
    assert_true(td_channel_established(pair->responder));
}

static void seal_one(struct td_channel *channel, uint8_t type, const uint8_t *bytes, size_t count,
                     struct td_buffer *out)
{
    struct td_out_frame frame = {type, {bytes, count}};

    assert_int_equal(td_channel_seal(channel, &frame, 1, out), TD_OK);
}

static void test_both_sides_learn_the_other_and_frames_flow(void **state)
{
    static const size_t pieces[] = {1, 7, 100000};

    (void)state;
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
        struct pair *pair = pair_alloc();
        open_both(pair, TD_CHANNEL_REGION, 5);
        shake_hands(pair, pieces[i]);
        assert_int_equal(pair->at_initiator.known, 1);
        assert_true(pair->at_initiator.has_card);
        assert_int_equal(pair->at_initiator.card_region, 9);
        assert_int_equal(pair->at_responder.known, 1);
        assert_int_equal(pair->at_responder.kind, TD_CHANNEL_REGION);
        assert_int_equal(pair->at_responder.proto, 1);
        assert_memory_equal(pair->at_responder.link_key.bytes,
                            td_secret_identity(pair->initiator_secret)->link_key.bytes, 32);
        assert_false(td_channel_confirmed(pair->responder));
        seal_one(pair->initiator, 40, (const uint8_t *)"abc", 3, &pair->to_responder);
        assert_int_equal(to_responder(pair, pieces[i]), TD_OK);
        assert_true(td_channel_confirmed(pair->responder));
        assert_int_equal(pair->at_responder.frames, 1);
        assert_int_equal(pair->at_responder.bytes, 3);
        seal_one(pair->responder, 41, NULL, 0, &pair->to_initiator);
        assert_int_equal(to_initiator(pair, pieces[i]), TD_OK);
        assert_int_equal(pair->at_initiator.frames, 1);
        pair_free(pair);
    }
}

static void test_many_small_frames_share_records_and_large_ones_are_cut(void **state)
{
    struct pair *pair = pair_alloc();
    struct td_out_frame frames[1000];
    uint8_t *large = calloc(1, FRAME_MAX + 1);

    (void)state;
    open_both(pair, TD_CHANNEL_REGION, 0);
    shake_hands(pair, 100000);
    for (size_t i = 0; i < 1000; i++) {
        frames[i] = (struct td_out_frame){(uint8_t)i, {large, 20}};
    }
    assert_int_equal(td_channel_seal(pair->initiator, frames, 1000, &pair->to_responder), TD_OK);
    assert_int_equal(pair->to_responder.used_bytes, 1000 * 25 + 18);
    assert_int_equal(to_responder(pair, 100000), TD_OK);
    assert_int_equal(pair->at_responder.frames, 1000);

    seal_one(pair->initiator, 1, large, FRAME_MAX, &pair->to_responder);
    assert_int_equal(pair->to_responder.used_bytes,
                     FRAME_MAX + 5 + 18 * ((FRAME_MAX + 5) / 65519 + 1));
    assert_int_equal(to_responder(pair, 1000), TD_OK);
    assert_int_equal(pair->at_responder.frames, 1001);
    assert_int_equal(pair->at_responder.bytes, 20000 + FRAME_MAX);

    struct td_out_frame too_large = {1, {large, FRAME_MAX + 1}};
    assert_int_equal(td_channel_seal(pair->initiator, &too_large, 1, &pair->to_responder),
                     TD_ETOOBIG);
    free(large);
    pair_free(pair);
}

/* 2^16 records each way and more: the key changes on both sides at the same record. */
static void test_records_go_on_across_the_rekey(void **state)
{
    struct pair *pair = pair_alloc();

    (void)state;
    open_both(pair, TD_CHANNEL_CLIENT, 0);
    shake_hands(pair, 100000);
    for (unsigned i = 0; i < (1u << 16) + 100; i++) {
        seal_one(pair->initiator, 1, (const uint8_t *)&i, sizeof i, &pair->to_responder);
        assert_int_equal(to_responder(pair, 100000), TD_OK);
    }
    assert_int_equal(pair->at_responder.frames, (1u << 16) + 100);
    pair_free(pair);
}

static void test_local_frames_are_plain_and_follow_the_preamble(void **state)
{
    struct pair *pair = pair_alloc();

    (void)state;
    open_both(pair, TD_CHANNEL_LOCAL, 0);
    assert_true(td_channel_established(pair->initiator));
    seal_one(pair->initiator, 64, (const uint8_t *)"hi", 2, &pair->to_responder);
    assert_memory_equal(pair->to_responder.bytes, "TIDINGS\x01\x03\0\0\0\x03\x40hi", 16);
    assert_int_equal(to_responder(pair, 3), TD_OK);
    assert_int_equal(pair->at_responder.frames, 1);
    assert_int_equal(pair->at_responder.known, 0);
    seal_one(pair->responder, 65, (const uint8_t *)"yo", 2, &pair->to_initiator);
    assert_int_equal(to_initiator(pair, 3), TD_OK);
    assert_int_equal(pair->at_initiator.frames, 1);
    pair_free(pair);
}

/* Runs the handshake with bit `bit` of message `number` flipped; true when both ends still came up.
 */
static bool survives_flip(int number, size_t bit, size_t *ret_bits)
{
    struct pair *pair = pair_alloc();
    enum td_err err = TD_OK;

    open_both(pair, TD_CHANNEL_REGION, 0);
    for (int message = 1; message <= 3 && err == TD_OK; message++) {
        struct td_buffer *wire = message == 2 ? &pair->to_initiator : &pair->to_responder;
        if (message == number) {
            *ret_bits = wire->used_bytes * 8;
            wire->bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        err = message == 2 ? to_initiator(pair, 100000) : to_responder(pair, 100000);
    }
    bool both = err == TD_OK && td_channel_established(pair->initiator) &&
                td_channel_established(pair->responder);
    pair_free(pair);
    return both;
}

static void test_no_flipped_bit_in_the_handshake_goes_unnoticed(void **state)
{
    (void)state;
    for (int number = 1; number <= 3; number++) {
        size_t bits = 8;
        for (size_t bit = 0; bit < bits; bit += number == 2 ? 5 : 1) {
            if (survives_flip(number, bit, &bits)) {
                fail_msg("message %d, bit %zu", number, bit);
            }
        }
    }
}

static void test_a_truncated_stream_waits_and_delivers_nothing(void **state)
{
    struct pair *whole = pair_alloc();

    (void)state;
    open_both(whole, TD_CHANNEL_REGION, 0);
    size_t count = whole->to_responder.used_bytes;
    for (size_t cut = 0; cut < count; cut++) {
        struct pair *pair = pair_alloc();
        open_both(pair, TD_CHANNEL_REGION, 0);
        pair->to_responder.used_bytes = cut;
        assert_int_equal(to_responder(pair, 100000), TD_OK);
        assert_int_equal(pair->to_initiator.used_bytes, 0);
        assert_false(td_channel_established(pair->responder));
        pair_free(pair);
    }
    shake_hands(whole, 100000);
    seal_one(whole->initiator, 1, (const uint8_t *)"0123456789", 10, &whole->to_responder);
    for (size_t i = 0; i < whole->to_responder.used_bytes; i++) {
        struct td_channel_sink sink = {&whole->at_responder, on_known, on_frame};
        assert_int_equal(whole->at_responder.frames, 0);
        assert_int_equal(td_channel_receive(whole->responder,
                                            (struct td_bytes){whole->to_responder.bytes + i, 1},
                                            &sink, &whole->to_initiator),
                         TD_OK);
    }
    assert_int_equal(whole->at_responder.frames, 1);
    pair_free(whole);
}

/* Lengths are refused when they are read, before anything of that size is awaited. */
static void test_wrong_lengths_and_preambles_end_the_channel(void **state)
{
    static const struct {
        const char *bytes;
        size_t count;
        bool local;
        enum td_err err;
    } rows[] = {
        {"TIDINGX\x01\x01", 9, false, TD_EHANDSHAKE},
        {"TIDINGS\x02\x01", 9, false, TD_EVERSION},
        {"TIDINGS\x01\x00", 9, false, TD_EHANDSHAKE},
        {"TIDINGS\x01\x04", 9, false, TD_EHANDSHAKE},
        {"TIDINGS\x01\x03", 9, false, TD_EHANDSHAKE}, /* LOCAL on TCP */
        {"TIDINGS\x01\x01", 9, true, TD_EHANDSHAKE},  /* Noise on the Unix socket */
        {"TIDINGS\x01\x01\x00\x1f", 11, false, TD_EHANDSHAKE},
        {"TIDINGS\x01\x01\x00\x21", 11, false, TD_EHANDSHAKE},
        {"TIDINGS\x01\x01\xff\xff", 11, false, TD_EHANDSHAKE},
        {"TIDINGS\x01\x03\x00\x00\x00\x00\x40", 14, true, TD_EFORMAT},
        {"TIDINGS\x01\x03\xff\xff\xff\xff\x40", 14, true, TD_ETOOBIG},
        {"TIDINGS\x01\x03\x00\x11\x00\x02\x40", 14, true, TD_ETOOBIG}, /* FRAME_MAX + 1 */
        {"TIDINGS\x01\x03\x00\x11\x00\x01\x40", 14, true, TD_OK},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct pair *pair = pair_alloc();
        open_both(pair, rows[i].local ? TD_CHANNEL_LOCAL : TD_CHANNEL_REGION, 0);
        pair->to_responder.used_bytes = 0;
        assert_true(td_buffer_append(
            &pair->to_responder, (struct td_bytes){(const uint8_t *)rows[i].bytes, rows[i].count}));
        enum td_err err = to_responder(pair, 100000);
        if (err != rows[i].err) {
            fail_msg("row %zu: %s", i, td_err_text(err));
        }
        pair_free(pair);
    }
}

static void test_a_record_altered_replayed_or_out_of_order_ends_the_channel(void **state)
{
    (void)state;
    for (int how = 0; how < 4; how++) {
        struct pair *pair = pair_alloc();
        open_both(pair, TD_CHANNEL_REGION, 0);
        shake_hands(pair, 100000);
        seal_one(pair->initiator, 1, (const uint8_t *)"one", 3, &pair->to_responder);
        struct td_buffer first;
        td_buffer_init(&first, 1000);
        assert_true(td_buffer_append(
            &first, (struct td_bytes){pair->to_responder.bytes, pair->to_responder.used_bytes}));
        if (how == 0) { /* altered */
            pair->to_responder.bytes[5] ^= 1;
        } else if (how == 1) { /* replayed */
            assert_int_equal(to_responder(pair, 1000), TD_OK);
            assert_true(td_buffer_append(&pair->to_responder,
                                         (struct td_bytes){first.bytes, first.used_bytes}));
        } else if (how == 2) { /* the first left out */
            pair->to_responder.used_bytes = 0;
            seal_one(pair->initiator, 1, (const uint8_t *)"two", 3, &pair->to_responder);
        } else { /* an empty record */
            memcpy(pair->to_responder.bytes, "\x00\x10", 2);
        }
        unsigned frames = pair->at_responder.frames;
        enum td_err err = to_responder(pair, 1000);
        assert_int_equal(err, how == 3 ? TD_EFORMAT : TD_EHANDSHAKE);
        assert_int_equal(pair->at_responder.frames, frames);
        /* Final: even good bytes change nothing. */
        struct td_channel_sink sink = {&pair->at_responder, on_known, on_frame};
        assert_int_equal(td_channel_receive(pair->responder,
                                            (struct td_bytes){first.bytes, first.used_bytes}, &sink,
                                            &pair->to_initiator),
                         err);
        td_buffer_fini(&first);
        pair_free(pair);
    }
}

static void test_the_card_must_speak_of_the_key_that_was_proven(void **state)
{
    struct pair *pair = pair_alloc();

    (void)state;
    make_card(pair, 5, pair->initiator_secret); /* somebody else's card */
    open_both(pair, TD_CHANNEL_CLIENT, 0);
    assert_int_equal(to_responder(pair, 1000), TD_OK);
    assert_int_equal(to_initiator(pair, 1000), TD_EHANDSHAKE);
    assert_int_equal(pair->at_initiator.known, 0);
    pair_free(pair);

    pair = pair_alloc(); /* an older roster than asked for */
    open_both(pair, TD_CHANNEL_CLIENT, 6);
    assert_int_equal(to_responder(pair, 1000), TD_OK);
    assert_int_equal(to_initiator(pair, 1000), TD_EROSTEROLD);
    pair_free(pair);

    pair = pair_alloc(); /* a forged one */
    pair->card_bytes[pair->card.count - 1] ^= 1;
    open_both(pair, TD_CHANNEL_CLIENT, 0);
    assert_int_equal(to_responder(pair, 1000), TD_OK);
    assert_int_not_equal(to_initiator(pair, 1000), TD_OK);
    assert_int_equal(pair->at_initiator.known, 0);
    pair_free(pair);

    pair = pair_alloc(); /* none yet */
    pair->card.count = 0;
    open_both(pair, TD_CHANNEL_REGION, 0);
    shake_hands(pair, 1000);
    assert_false(pair->at_initiator.has_card);
    pair_free(pair);
}

static void test_another_cluster_cannot_shake_hands(void **state)
{
    struct pair *pair = pair_alloc();
    struct td_public_key right = pair->root_key;
    struct td_channel_config config = {
        .kind = TD_CHANNEL_REGION,
        .initiator = true,
        .secret = pair->initiator_secret,
        .root_sign_key = td_secret_identity(pair->initiator_secret)->sign_key,
        .frame_bytes_max = FRAME_MAX,
    };

    (void)state;
    open_both(pair, TD_CHANNEL_REGION, 0);
    td_channel_close(pair->initiator);
    pair->initiator = NULL;
    pair->to_responder.used_bytes = 0;
    assert_memory_not_equal(right.bytes, config.root_sign_key.bytes, 32);
    assert_int_equal(td_channel_open(&config, &pair->to_responder, &pair->initiator), TD_OK);
    assert_int_equal(to_responder(pair, 1000), TD_OK);
    assert_int_equal(to_initiator(pair, 1000), TD_EHANDSHAKE);
    pair_free(pair);
}

static void test_a_refused_peer_ends_the_channel(void **state)
{
    struct pair *pair = pair_alloc();

    (void)state;
    pair->at_responder.refuse = TD_ENOTINROSTER;
    open_both(pair, TD_CHANNEL_REGION, 0);
    assert_int_equal(to_responder(pair, 1000), TD_OK);
    assert_int_equal(to_initiator(pair, 1000), TD_OK);
    assert_int_equal(to_responder(pair, 1000), TD_ENOTINROSTER);
    assert_false(td_channel_established(pair->responder));
    pair_free(pair);
}

static void test_a_buffer_keeps_its_bound_and_its_bytes(void **state)
{
    struct td_buffer buffer;
    const uint8_t bytes[100] = {1, 2, 3};

    (void)state;
    td_buffer_init(&buffer, 150);
    assert_true(td_buffer_append(&buffer, (struct td_bytes){bytes, 100}));
    assert_false(td_buffer_append(&buffer, (struct td_bytes){bytes, 51}));
    assert_null(td_buffer_reserve(&buffer, SIZE_MAX));
    assert_int_equal(buffer.used_bytes, 100);
    assert_true(td_buffer_append(&buffer, (struct td_bytes){bytes, 50}));
    td_buffer_consume(&buffer, 100);
    assert_int_equal(buffer.used_bytes, 50);
    assert_memory_equal(buffer.bytes, bytes, 50);
    td_buffer_fini(&buffer);
    td_buffer_fini(&buffer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_sides_learn_the_other_and_frames_flow),
        cmocka_unit_test(test_many_small_frames_share_records_and_large_ones_are_cut),
        cmocka_unit_test(test_records_go_on_across_the_rekey),
        cmocka_unit_test(test_local_frames_are_plain_and_follow_the_preamble),
        cmocka_unit_test(test_no_flipped_bit_in_the_handshake_goes_unnoticed),
        cmocka_unit_test(test_a_truncated_stream_waits_and_delivers_nothing),
        cmocka_unit_test(test_wrong_lengths_and_preambles_end_the_channel),
        cmocka_unit_test(test_a_record_altered_replayed_or_out_of_order_ends_the_channel),
        cmocka_unit_test(test_the_card_must_speak_of_the_key_that_was_proven),
        cmocka_unit_test(test_another_cluster_cannot_shake_hands),
        cmocka_unit_test(test_a_refused_peer_ends_the_channel),
        cmocka_unit_test(test_a_buffer_keeps_its_bound_and_its_bytes),
    };

    if (td_sodium_init() != TD_OK) {
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
