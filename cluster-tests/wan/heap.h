/* heap.h -- packets on their way, the one due first on top; equal times in the order of arrival. */
#ifndef TD_WAN_HEAP_H
#define TD_WAN_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wan_packet {
    uint64_t due_us;
    uint64_t number; /* set by wan_heap_push */
    uint32_t cuts;   /* of its link, when it set out */
    uint16_t from, to;
    uint16_t size;
    unsigned char bytes[];
};

struct wan_heap {
    struct wan_packet **packets;
    size_t count, capacity;
    uint64_t pushed;
};

/* False without memory. */
bool wan_heap_init(struct wan_heap *heap, size_t capacity);
/* Frees the packets as well. */
void wan_heap_fini(struct wan_heap *heap);
/* False when full: the packet stays the caller's. */
bool wan_heap_push(struct wan_heap *heap, struct wan_packet *take_packet);
/* NULL when empty. */
const struct wan_packet *wan_heap_first(const struct wan_heap *heap);
/* The packet is the caller's to free; NULL when empty. */
struct wan_packet *wan_heap_pop(struct wan_heap *heap);

#endif
