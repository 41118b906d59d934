/* plant.c -- chooses the planted bug of a planted build (node/core/plant.h). */
#include "node/core/plant.h"

#include <string.h>

static const char *chosen = "";

bool td_planted(const char *name)
{
    return strcmp(name, chosen) == 0;
}

bool td_plant_choose(const char *name)
{
    chosen = name;
    return true;
}
