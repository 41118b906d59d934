/* fault.h -- shared by fault.c, fault_net.c and scenarios: single faults, the dice, the undoing. */
#ifndef TD_SIM_FAULT_H
#define TD_SIM_FAULT_H

#include "cluster-tests/sim/sim.h"

static inline uint64_t sim_draw(struct sim_world *world, uint64_t low, uint64_t high)
{
    return sim_random_between(&world->r_fault, low, high);
}

static inline struct sim_event *sim_fault_undo_at(struct sim_world *world, uint64_t after_ms,
                                                  enum sim_fault fault)
{
    struct sim_event *undo = sim_schedule(world, world->now_ms + after_ms, SIM_AT_UNDO, SIM_NONE);
    undo->generation = (uint32_t)fault;
    return undo;
}

/* What a disk comes back with when its process is down. */
enum sim_ruin { SIM_RUIN_NONE, SIM_RUIN_LOST, SIM_RUIN_BACKUP, SIM_RUIN_FLIP };
void sim_fault_ruin(struct sim_world *world, int node, enum sim_ruin how);
/* A second process of the node's region, with a copy of its disk; it sits behind the regions. */
void sim_fault_clone(struct sim_world *world, int node);
void sim_fault_clone_end(struct sim_world *world, int clone);
void sim_fault_disk_heal(struct sim_node *node);

/* False: not a fault of the network. */
bool sim_fault_net(struct sim_world *world, enum sim_fault fault);
bool sim_fault_net_undo(struct sim_world *world, enum sim_fault fault, uint64_t value);

#endif
