/* link.c -- the model of one direction: line, then path. See link.h. */
#include "cluster-tests/wan/link.h"

struct chances {
    uint64_t loss, dup, reorder; /* each 0 .. WAN_PPM - 1 */
    uint64_t jitter;
};

static struct chances draw(struct sim_random *random)
{
    struct chances chances;

    chances.loss = sim_random_below(random, WAN_PPM);
    chances.dup = sim_random_below(random, WAN_PPM);
    chances.reorder = sim_random_below(random, WAN_PPM);
    chances.jitter = sim_random_next(random);
    return chances;
}

void wan_link_init(struct wan_link *link)
{
    *link =
        (struct wan_link){.shape = {.queue = WAN_QUEUE_DEFAULT, .late_us = WAN_LATE_US_DEFAULT}};
}

void wan_link_seed(struct wan_link *link, uint64_t seed, unsigned from, unsigned to)
{
    link->random = sim_random_new(seed, (uint64_t)from * 1000 + to);
}

void wan_link_shape(struct wan_link *link, const struct wan_shape *shape)
{
    link->shape = *shape;
    link->free_us = 0; /* the backlog of the old line is already on its way */
    link->last_us = 0;
}

void wan_link_cut(struct wan_link *link)
{
    link->cut = true;
    link->cuts++;
}

void wan_link_heal(struct wan_link *link)
{
    link->cut = false;
}

/* Waits for the line; false when more than the queue holds is waiting already. */
static bool take_line(struct wan_link *link, uint64_t now_us, size_t bytes, uint64_t *ret_sent_us)
{
    const struct wan_shape *shape = &link->shape;

    if (shape->rate_bps == 0) {
        *ret_sent_us = now_us;
        return true;
    }
    uint64_t full_us = shape->queue * WAN_MTU * 8 * 1000000 / shape->rate_bps;
    uint64_t start_us = link->free_us > now_us ? link->free_us : now_us;
    if (start_us - now_us > full_us) {
        return false;
    }
    link->free_us = start_us + (uint64_t)bytes * 8 * 1000000 / shape->rate_bps;
    *ret_sent_us = link->free_us;
    return true;
}

static uint64_t arrival_us(struct wan_link *link, uint64_t sent_us, const struct chances *chances)
{
    const struct wan_shape *shape = &link->shape;
    uint64_t jitter_us = chances->jitter % (2 * shape->jitter_us + 1); /* 0 .. 2 * jitter */
    uint64_t due_us = sent_us + shape->delay_us + jitter_us;

    due_us = due_us >= sent_us + shape->jitter_us ? due_us - shape->jitter_us : sent_us;
    if (due_us < link->last_us) {
        due_us = link->last_us;
    }
    if (chances->reorder < shape->reorder_ppm) {
        link->counts.reordered++;
        return due_us + shape->late_us; /* last_us stays: those behind it overtake */
    }
    link->last_us = due_us;
    return due_us;
}

unsigned wan_link_offer(struct wan_link *link, uint64_t now_us, size_t bytes,
                        uint64_t ret_due_us[2])
{
    struct chances chances = draw(&link->random);
    uint64_t sent_us;

    link->counts.offered++;
    if (link->cut) {
        link->counts.cut_drops++;
        return 0;
    }
    if (!take_line(link, now_us, bytes, &sent_us)) {
        link->counts.queue_drops++;
        return 0;
    }
    if (chances.loss < link->shape.loss_ppm) {
        link->counts.lost++;
        return 0;
    }
    ret_due_us[0] = arrival_us(link, sent_us, &chances);
    if (chances.dup >= link->shape.dup_ppm) {
        return 1;
    }
    link->counts.duplicated++;
    ret_due_us[1] = ret_due_us[0];
    return 2;
}
