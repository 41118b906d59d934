/* arena.h -- bump memory for one decoded message. A decoder takes what it needs from the caller's
 * block and never from the heap, so a hostile count costs at most the block. Not thread-safe. */
#ifndef TD_PROTO_ARENA_H
#define TD_PROTO_ARENA_H

#include <stddef.h>
#include <stdint.h>

struct td_arena {
    uint8_t *bytes;
    size_t size_bytes;
    size_t used_bytes;
};

static inline void td_arena_init(struct td_arena *arena, void *bytes, size_t size_bytes)
{
    arena->bytes = bytes;
    arena->size_bytes = size_bytes;
    arena->used_bytes = 0;
}

/* Zeroed memory for count objects of size each, aligned to 16; NULL when the block is used up. */
static inline void *td_arena_take(struct td_arena *arena, size_t count, size_t size)
{
    if (size != 0 && count > (SIZE_MAX - 15) / size) {
        return NULL;
    }
    size_t want = count * size;
    size_t start = (arena->used_bytes + 15) & ~(size_t)15;
    if (start > arena->size_bytes || want > arena->size_bytes - start) {
        return NULL;
    }
    arena->used_bytes = start + want;
    uint8_t *memory = arena->bytes + start;
    for (size_t i = 0; i < want; i++) {
        memory[i] = 0;
    }
    return memory;
}

#endif
