/* counters.c -- the counters' names, and reading them by index. */
#include "node/core/state.h"

uint32_t td_core_counter_count(void)
{
    return TD_COUNTER_COUNT;
}

const char *td_core_counter_name(uint32_t index)
{
#define TD_COUNTER_NAME(name) #name,
    static const char *const names[] = { TD_COUNTER_LIST(TD_COUNTER_NAME) };
#undef TD_COUNTER_NAME
    TD_ASSERT(index < TD_COUNTER_COUNT);
    return names[index];
}

uint64_t td_core_counter(const struct td_core *core, uint32_t index)
{
    TD_ASSERT(index < TD_COUNTER_COUNT);
    return core->counters[index];
}
