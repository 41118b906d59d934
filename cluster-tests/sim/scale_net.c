/* scale_net.c -- which links are cut, and what the paths alone would cost: no protocol is faster.
 */
#include "cluster-tests/sim/scale.h"

#include <string.h>

/* Around the cut links (Floyd and Warshall): a way over others may also be shorter than a direct
 * path. */
static void find_shortest(struct scale_net *net)
{
    uint32_t count = net->node_count;

    for (uint32_t a = 0; a < count; a++) {
        for (uint32_t b = 0; b < count; b++) {
            net->shortest_ms[a][b] = a == b           ? 0
                                     : net->cut[a][b] ? SCALE_FAR_MS
                                                      : net->direct_ms[a][b];
        }
    }
    for (uint32_t via = 0; via < count; via++) {
        for (uint32_t a = 0; a < count; a++) {
            for (uint32_t b = 0; b < count; b++) {
                double around = net->shortest_ms[a][via] + net->shortest_ms[via][b];
                if (around < net->shortest_ms[a][b]) {
                    net->shortest_ms[a][b] = around;
                }
            }
        }
    }
}

static bool connected(const struct scale_net *net)
{
    for (uint32_t b = 0; b < net->node_count; b++) {
        if (net->shortest_ms[0][b] >= SCALE_FAR_MS) {
            return false;
        }
    }
    return true;
}

static void draw_cuts(struct scale_net *net, struct sim_random *random)
{
    uint32_t count = net->node_count, left = net->cut_count;

    memset(net->cut, 0, sizeof net->cut);
    while (left > 0) {
        uint64_t a = sim_random_below(random, count), b = sim_random_below(random, count);
        if (a != b && !net->cut[a][b]) {
            net->cut[a][b] = net->cut[b][a] = true;
            left--;
        }
    }
}

void scale_net_draw(struct scale_net *net, const struct sim_world *world, uint64_t seed)
{
    struct sim_random random = sim_random_new(seed, 7);
    uint32_t count = (uint32_t)world->node_count, links = count * (count - 1) / 2;

    memset(net, 0, sizeof *net);
    net->node_count = count;
    net->cut_count = links < 10 ? 1 : links / 10;
    for (uint32_t a = 0; a < count; a++) {
        for (uint32_t b = 0; b < count; b++) {
            net->direct_ms[a][b] = world->path[a][b].delay_ms + world->options.jitter_ms / 2.0;
        }
    }
    do {
        draw_cuts(net, &random);
        find_shortest(net);
    } while (!connected(net));
}

void scale_net_cut(const struct scale_net *net, struct sim_world *world, bool cut)
{
    for (uint32_t a = 0; a < net->node_count; a++) {
        for (uint32_t b = 0; b < net->node_count; b++) {
            if (net->cut[a][b]) {
                sim_net_cut(world, (int)a, (int)b, cut);
            }
        }
    }
}

double scale_net_mean_ms(const struct scale_net *net)
{
    double sum = 0;

    for (uint32_t a = 0; a < net->node_count; a++) {
        for (uint32_t b = 0; b < net->node_count; b++) {
            sum += a == b ? 0 : net->direct_ms[a][b];
        }
    }
    return sum / (net->node_count * (net->node_count - 1.0));
}

double scale_net_floor_ms(const struct scale_net *net, uint32_t origin, bool with_cuts)
{
    double most = 0;

    for (uint32_t b = 0; b < net->node_count; b++) {
        double ms = with_cuts && net->cut[origin][b] ? net->shortest_ms[origin][b]
                    : b == origin                    ? 0
                                                     : net->direct_ms[origin][b];
        most = ms > most ? ms : most;
    }
    return most;
}
