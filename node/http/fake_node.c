/* fake_node.c -- see fake_node.h. */
#include "node/http/fake_node.h"

#include <stdlib.h>

#include "proto/assert.h"
#include "proto/reader.h"
#include "proto/sign_sodium.h"

enum { ROOM_BYTES = 256 * 1024 };

static bool decode(struct td_fake_node *fake, struct td_bytes payload)
{
    struct td_sodium_signer sodium = {0};
    struct td_signer signer = td_sodium_signer(&sodium);
    struct td_reader *reader = td_reader_alloc();
    struct td_arena arena;
    void *room = malloc(ROOM_BYTES);
    TD_ASSERT(reader != NULL && room != NULL);
    td_arena_init(&arena, room, ROOM_BYTES);
    bool good = td_request_decode(payload, &signer, reader, &arena, &fake->last) == TD_OK;
    td_reader_free(reader);
    free(room);
    return good;
}

static void give(struct td_fake_node *fake, uint32_t link, uint64_t id)
{
    struct td_response response = fake->answer;
    uint8_t *bytes = malloc(ROOM_BYTES);
    TD_ASSERT(bytes != NULL);
    response.id = id;
    response.op = fake->last.op;
    size_t count = td_response_encode(&response, bytes, ROOM_BYTES);
    TD_ASSERT(count > 0);
    if (fake->manner == TD_FAKE_GARBAGE) {
        count /= 2;
    }
    td_seats_answer(fake->seats, link - TD_HTTP_LINK_FIRST, id, (struct td_bytes){bytes, count});
    free(bytes);
}

static void *give_later(void *self)
{
    struct td_fake_node *fake = self;
    give(fake, fake->last_link, fake->last.id);
    return NULL;
}

static void answer(struct td_fake_node *fake)
{
    pthread_t thread;
    switch (fake->manner) {
    case TD_FAKE_LATER:
        TD_ASSERT(pthread_create(&thread, NULL, give_later, fake) == 0);
        TD_ASSERT(pthread_detach(thread) == 0);
        break;
    case TD_FAKE_TWICE:
        give(fake, fake->last_link, fake->last.id);
        give(fake, fake->last_link, fake->last.id);
        break;
    case TD_FAKE_WRONG_ID:
        give(fake, fake->last_link, fake->last.id + 1);
        break;
    case TD_FAKE_AT_ONCE:
    case TD_FAKE_GARBAGE:
        give(fake, fake->last_link, fake->last.id);
        break;
    case TD_FAKE_SILENT:
        break;
    }
}

static void ask(void *self, uint32_t client_link, uint8_t *take_payload, size_t payload_bytes)
{
    struct td_fake_node *fake = self;
    TD_ASSERT(td_http_owns(client_link));
    TD_ASSERT(decode(fake, (struct td_bytes){take_payload, payload_bytes}));
    free(take_payload);
    fake->last_link = client_link;
    if (fake->last.op == TD_OP_CANCEL) {
        fake->cancelled++;
        return;
    }
    fake->asked++;
    answer(fake);
}

bool td_fake_node_open(struct td_fake_node *fake, struct td_seats *seats, uint32_t seat_count)
{
    *fake = (struct td_fake_node){.seats = seats, .ops = {.self = fake, .ask = ask}};
    return td_seats_init(seats, seat_count);
}

void td_fake_node_close(struct td_fake_node *fake)
{
    td_seats_fini(fake->seats);
}
