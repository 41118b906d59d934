/* heads.c -- see heads.h. */
#include "node/daemon/heads.h"

#include <string.h>

#include "proto/limits.h"
#include "proto/order.h"

void td_head_slots_init(struct td_head_slots *slots)
{
    memset(slots, 0, sizeof *slots);
    pthread_mutex_init(&slots->mutex, NULL);
    for (size_t i = 0; i < 256; i++) {
        td_buffer_init(&slots->slots[i].bytes, TD_HEAD_BYTES_MAX + 256);
    }
}

void td_head_slots_fini(struct td_head_slots *slots)
{
    for (size_t i = 0; i < 256; i++) {
        td_buffer_fini(&slots->slots[i].bytes);
    }
    pthread_mutex_destroy(&slots->mutex);
}

bool td_head_slots_known(struct td_head_slots *slots, const struct td_head *head)
{
    pthread_mutex_lock(&slots->mutex);
    bool known = slots->slots[head->origin.region.v].bytes.used_bytes > 0 &&
                 memcmp(slots->slots[head->origin.region.v].hash, head->hash, sizeof head->hash) == 0;
    pthread_mutex_unlock(&slots->mutex);
    return known;
}

void td_head_slots_keep(struct td_head_slots *slots, const struct td_head *head)
{
    pthread_mutex_lock(&slots->mutex);
    int order = td_incarnation_compare(head->origin.incarnation,
                                       slots->slots[head->origin.region.v].incarnation);
    if (order > 0 || (order == 0 && head->number > slots->slots[head->origin.region.v].number)) {
        struct td_buffer *bytes = &slots->slots[head->origin.region.v].bytes;
        bytes->used_bytes = 0;
        if (td_buffer_append(bytes, head->raw)) {
            slots->slots[head->origin.region.v].incarnation = head->origin.incarnation;
            slots->slots[head->origin.region.v].number = head->number;
            memcpy(slots->slots[head->origin.region.v].hash, head->hash, sizeof head->hash);
        }
    }
    pthread_mutex_unlock(&slots->mutex);
}

bool td_head_slots_copy(struct td_head_slots *slots, struct td_region region, struct td_buffer *out)
{
    pthread_mutex_lock(&slots->mutex);
    const struct td_buffer *bytes = &slots->slots[region.v].bytes;
    bool held = bytes->used_bytes > 0 &&
                td_buffer_append(out, (struct td_bytes){ bytes->bytes, bytes->used_bytes });
    pthread_mutex_unlock(&slots->mutex);
    return held;
}
