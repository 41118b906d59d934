/* message.c -- see message.h. */
#include "node/daemon/message.h"

#include <stdlib.h>

static void release_item(struct td_inbox_item *item)
{
    td_message_put((struct td_message *)item);
}

struct td_message *td_message_make(uint8_t *take_payload, size_t arena_bytes)
{
    struct td_message *message = calloc(1, sizeof *message);
    void *block = malloc(arena_bytes);
    if (message == NULL || block == NULL) {
        free(message);
        free(block);
        free(take_payload);
        return NULL;
    }
    message->references = 1;
    message->payload = take_payload;
    message->item.release = release_item;
    td_arena_init(&message->arena, block, arena_bytes);
    return message;
}

bool td_message_regrow(struct td_message *message, size_t arena_bytes)
{
    void *block = malloc(arena_bytes);
    if (block == NULL) {
        return false;
    }
    free(message->arena.bytes);
    td_arena_init(&message->arena, block, arena_bytes);
    return true;
}

void td_message_get(struct td_message *message)
{
    __atomic_add_fetch(&message->references, 1, __ATOMIC_RELAXED);
}

void td_message_put(struct td_message *message)
{
    if (message == NULL || __atomic_sub_fetch(&message->references, 1, __ATOMIC_ACQ_REL) > 0) {
        return;
    }
    free(message->payload);
    free(message->inflated);
    free(message->refused);
    free(message->arena.bytes);
    free(message);
}
