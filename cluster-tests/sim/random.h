/* random.h -- the simulator's generators: splitmix64, one stream per concern, so that asking one of
 * them more often changes nothing about the others. Same numbers with every compiler. */
#ifndef TD_SIM_RANDOM_H
#define TD_SIM_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

struct sim_random {
    uint64_t state;
};

static inline uint64_t sim_mix(uint64_t value)
{
    value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
    return value ^ (value >> 31);
}

static inline struct sim_random sim_random_new(uint64_t seed, uint64_t concern)
{
    struct sim_random random = {sim_mix(seed * 31 + 7) ^ sim_mix(concern + 101)};
    return random;
}

static inline uint64_t sim_random_next(struct sim_random *random)
{
    random->state += UINT64_C(0x9e3779b97f4a7c15);
    return sim_mix(random->state);
}

/* 0 .. below-1; 0 when below is 0. */
static inline uint64_t sim_random_below(struct sim_random *random, uint64_t below)
{
    uint64_t value = sim_random_next(random);
    return below == 0 ? 0 : value % below;
}

static inline uint64_t sim_random_between(struct sim_random *random, uint64_t low, uint64_t high)
{
    return low + sim_random_below(random, high - low + 1);
}

static inline bool sim_random_chance(struct sim_random *random, uint32_t percent)
{
    return sim_random_below(random, 100) < percent;
}

#endif
