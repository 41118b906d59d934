/* secure.h -- wire=1: frames cross as the bytes of the real Noise channel, batches and heads carry
 * real Ed25519 signatures. All keys and all randomness come from the seed, so a trace stays the
 * same. */
#ifndef TD_SIM_SECURE_H
#define TD_SIM_SECURE_H

#include "cluster-tests/sim/sim.h"

/* NULL when the options say no. Before the roster is made. */
struct sim_secure *sim_secure_new(const struct sim_options *options);
void sim_secure_free(struct sim_secure *secure);
struct td_cluster_id sim_secure_cluster(const struct sim_secure *secure);
struct td_public_key sim_secure_sign_key(const struct sim_secure *secure, uint8_t region);
struct td_signer sim_secure_signer(struct sim_secure *secure, uint8_t region);

/* A new connection: both ends shake hands, each proves its key. The old one's keys are gone. */
void sim_secure_connect(struct sim_world *world, int a, int b);
/* The frame as it crosses; takes the one given. NULL: this connection is broken. */
struct sim_frame *sim_secure_seal(struct sim_world *world, int from, int to,
                                  struct sim_frame *frame);
/* What arrived, in pieces cut anywhere; complete frames go to sim_wire_receive. Takes the frame. An
 * error ends the link. */
void sim_secure_arrive(struct sim_world *world, int node, int other, struct sim_frame *frame);

#endif
