/* jobs.c -- names of jobs as numbers, and back: what workers report on, what truths are about. */
#include "cluster-tests/sim/sim.h"

#include <stdlib.h>
#include <string.h>

static uint32_t *place_of(const struct sim_world *world, struct td_text name)
{
    uint64_t at = sim_hash_bytes(9, name.bytes, name.count);

    for (;; at++) {
        uint32_t *place = &world->job_index[at & world->job_mask];
        const char *other = *place == TD_NONE ? NULL : world->job_names[*place];
        if (other == NULL ||
            (strlen(other) == name.count && memcmp(other, name.bytes, name.count) == 0)) {
            return place;
        }
    }
}

static void grow(struct sim_world *world)
{
    uint32_t room = world->job_room == 0 ? 256 : world->job_room * 2;

    world->job_names = realloc(world->job_names, room * sizeof *world->job_names);
    world->job_hashes = realloc(world->job_hashes, room * sizeof *world->job_hashes);
    world->job_index = realloc(world->job_index, 2 * room * sizeof *world->job_index);
    TD_ASSERT(world->job_names != NULL && world->job_hashes != NULL && world->job_index != NULL);
    world->job_room = room;
    world->job_mask = 2 * room - 1;
    memset(world->job_index, 255, 2 * room * sizeof *world->job_index);
    for (uint32_t i = 0; i < world->job_count; i++) {
        *place_of(world, sim_job_text(world, i)) = i;
    }
}

struct td_text sim_job_text(const struct sim_world *world, uint32_t job)
{
    const char *name = world->job_names[job];
    return (struct td_text){name, (uint32_t)strlen(name)};
}

uint32_t sim_job_find(const struct sim_world *world, struct td_text name)
{
    return world->job_count == 0 ? TD_NONE : *place_of(world, name);
}

uint32_t sim_job_number(struct sim_world *world, struct td_text name)
{
    const struct td_signer *signer = &world->nodes[0].signer;

    TD_ASSERT(name.count < SIM_JOB_NAME_BYTES);
    if (world->job_count == world->job_room) {
        grow(world);
    }
    uint32_t *place = place_of(world, name);
    if (*place == TD_NONE) {
        TD_ASSERT(world->job_count < SIM_JOBS_MAX);
        *place = world->job_count++;
        memcpy(world->job_names[*place], name.bytes, name.count);
        world->job_names[*place][name.count] = '\0';
        world->job_hashes[*place] = signer->job_hash(signer->self, name);
    }
    return *place;
}

void sim_jobs_free(struct sim_world *world)
{
    free(world->job_names);
    free(world->job_hashes);
    free(world->job_index);
}
