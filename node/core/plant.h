/* plant.h -- planted bugs, for tests of the tests: TD_PLANTED(name) is 0 in every build but that of the
 * simulator's planted variant (TD_PLANTS), where one of them is chosen by name at run time. Each stands
 * in one line where the rule it breaks is kept; cluster-tests/sim/plants.txt lists who must catch it. */
#ifndef TD_CORE_PLANT_H
#define TD_CORE_PLANT_H

#include <stdbool.h>

#ifdef TD_PLANTS
bool td_planted(const char *name);
bool td_plant_choose(const char *name);
#define TD_PLANTED(name) td_planted(#name)
#else
#define TD_PLANTED(name) false
static inline bool td_plant_choose(const char *name)
{
    return name == (const char *)0;
}
#endif

#endif
