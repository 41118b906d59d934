/* heap.c -- a binary heap of bounded size. See heap.h. */
#include "cluster-tests/wan/heap.h"

#include <stdlib.h>

bool wan_heap_init(struct wan_heap *heap, size_t capacity)
{
    *heap = (struct wan_heap){.capacity = capacity};
    heap->packets = calloc(capacity, sizeof *heap->packets);
    return heap->packets != NULL;
}

void wan_heap_fini(struct wan_heap *heap)
{
    for (size_t i = 0; i < heap->count; i++) {
        free(heap->packets[i]);
    }
    free(heap->packets);
    *heap = (struct wan_heap){0};
}

static bool before(const struct wan_packet *a, const struct wan_packet *b)
{
    return a->due_us != b->due_us ? a->due_us < b->due_us : a->number < b->number;
}

static void swap(struct wan_heap *heap, size_t a, size_t b)
{
    struct wan_packet *packet = heap->packets[a];
    heap->packets[a] = heap->packets[b];
    heap->packets[b] = packet;
}

bool wan_heap_push(struct wan_heap *heap, struct wan_packet *take_packet)
{
    if (heap->count == heap->capacity) {
        return false;
    }
    take_packet->number = heap->pushed++;
    size_t at = heap->count++;
    heap->packets[at] = take_packet;
    while (at > 0 && before(heap->packets[at], heap->packets[(at - 1) / 2])) {
        swap(heap, at, (at - 1) / 2);
        at = (at - 1) / 2;
    }
    return true;
}

const struct wan_packet *wan_heap_first(const struct wan_heap *heap)
{
    return heap->count == 0 ? NULL : heap->packets[0];
}

struct wan_packet *wan_heap_pop(struct wan_heap *heap)
{
    if (heap->count == 0) {
        return NULL;
    }
    struct wan_packet *first = heap->packets[0];
    size_t at = 0;
    heap->packets[0] = heap->packets[--heap->count];
    for (;;) {
        size_t least = at;
        for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < heap->count; child++) {
            if (before(heap->packets[child], heap->packets[least])) {
                least = child;
            }
        }
        if (least == at) {
            return first;
        }
        swap(heap, at, least);
        at = least;
    }
}
