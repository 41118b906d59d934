/* seeds.c -- writes the small valid inputs of each codec fuzz target: seeds CORPUS-FOLDER. Run once
 * when a layout is added; the files are committed. */
#include <stdio.h>
#include <stdlib.h>

#include "proto/fuzz/fuzz_support.h"
#include "proto/test_support.h"

static const char *folder;

static void save(const char *target, int number, struct td_bytes bytes)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/fuzz_%s/seed-%02d", folder, target, number);
    FILE *file = fopen(path, "wb");
    if (file == NULL || fwrite(bytes.bytes, 1, bytes.count, file) != bytes.count) {
        perror(path);
        exit(1);
    }
    fclose(file);
}

static struct td_bytes out_bytes(const struct td_test *test, size_t count)
{
    return (struct td_bytes){test->out, count};
}

static void save_signed(struct td_test *test, int number)
{
    struct td_head head;
    struct td_roster roster;
    struct td_card card;
    td_test_head(test, &head);
    size_t count = td_head_encode(&head, &test->signer, test->out, TD_TEST_OUT_BYTES);
    save("head", number, out_bytes(test, count));
    td_test_roster(test, (uint32_t)number % 3, (uint32_t)number % 2, &roster);
    count = td_roster_encode(&roster, &test->signer, test->out, TD_TEST_OUT_BYTES);
    save("roster", number, out_bytes(test, count));
    td_test_card(test, &card);
    count = td_card_encode(&card, &test->signer, test->out, TD_TEST_OUT_BYTES);
    save("card", number, out_bytes(test, count));
}

static void save_batches(struct td_test *test, int number)
{
    struct td_delta delta;
    struct td_batch batch;
    td_test_delta(test, &delta);
    save("delta", number, delta.raw);
    save("reader", number, delta.raw);
    struct td_bytes raw = td_test_batch(test, 1 + (uint32_t)number);
    save("batch", number, raw);
    uint32_t keep[2] = {0, (uint32_t)number};
    if (number > 1 &&
        td_batch_decode(raw, &test->signer, test->reader, &test->scratch, &batch) == TD_OK) {
        size_t count = td_batch_thin(&batch, keep, 2, &test->signer, &test->scratch, test->out,
                                     TD_TEST_OUT_BYTES);
        save("batch", number + 50, out_bytes(test, count));
    }
}

static void save_messages(struct td_test *test)
{
    for (int type = TD_MSG_PING; type <= TD_MSG_PROOF; type++) {
        struct td_msg msg;
        bool raw = type == TD_MSG_HEAD || type == TD_MSG_LIVE || type == TD_MSG_FETCHED;
        if (raw || (type > TD_MSG_HELLO && type < TD_MSG_HEAD)) {
            continue;
        }
        td_test_msg(test, (enum td_msg_type)type, &msg);
        test->out[0] = (uint8_t)type;
        size_t count = td_msg_encode(&msg, test->out + 1, TD_TEST_OUT_BYTES - 1);
        save("msg", type, out_bytes(test, count + 1));
    }
    for (int op = TD_OP_PUBLISH; op <= TD_OP_LAST; op++) {
        struct td_request request;
        struct td_response response;
        struct td_token token;
        td_test_request(test, (enum td_op)op, &request);
        size_t count = td_request_encode(&request, test->out, TD_TEST_OUT_BYTES);
        save("request", op, out_bytes(test, count));
        td_test_response(test, (enum td_op)op, &response);
        count = td_response_encode(&response, test->out, TD_TEST_OUT_BYTES);
        save("response", op, out_bytes(test, count));
        td_test_token(test, &token);
        count = td_token_encode(&token, test->out, TD_TEST_OUT_BYTES);
        save("token", op, out_bytes(test, count));
    }
}

int main(int argc, char **argv)
{
    struct td_test test;
    if (argc != 2) {
        fprintf(stderr, "usage: %s CORPUS-FOLDER\n", argv[0]);
        return 2;
    }
    folder = argv[1];
    td_test_open(&test, 4711);
    test.signer = td_fuzz_signer();
    for (int number = 0; number < 6; number++) {
        td_test_reset(&test);
        save_signed(&test, number);
        save_batches(&test, number);
    }
    save_messages(&test);
    td_test_close(&test);
    return 0;
}
