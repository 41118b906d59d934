/* client_members.h -- the body of a MEMBERS answer (PROTOCOL, "Clients"): [region, roster version,
 * members [[region, self, heard [] or [age ms], roster version, fold below, entries [start, random,
 * seq, ...]], ...], lives [[start, random, key number, folded, held, signed], ...]]. */
#ifndef TD_PROTO_CLIENT_MEMBERS_H
#define TD_PROTO_CLIENT_MEMBERS_H

#include "proto/client_msg.h"

void td_members_write(struct td_writer *writer, const struct td_response *response);
void td_members_read(struct td_reader *reader, struct td_arena *arena,
                     struct td_response *response);

#endif
