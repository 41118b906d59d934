/* sign.h -- hashes and signatures of the simulated world: cheap, keyed by the seed. A signature is
 * right only if made by the region's own signer, so what somebody else forged or altered is caught.
 * Nothing here withstands an attacker who computes; members of the simulation do not. */
#ifndef TD_SIM_SIGN_H
#define TD_SIM_SIGN_H

#include "proto/sign.h"

struct sim_key {
    uint64_t world; /* same for all: the toy's trapdoor */
    uint8_t region;
};

/* key lives as long as the signer. */
struct td_signer sim_signer(struct sim_key *key);
struct td_public_key sim_public_key(uint8_t region);
uint64_t sim_hash_bytes(uint64_t seed, const void *bytes, size_t count);

#endif
