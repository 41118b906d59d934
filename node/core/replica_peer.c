/* replica_peer.c -- see replica_peer.h. */
#include "node/core/replica_peer.h"

struct td_origin replica_peer_origin(uint8_t region)
{
    return (struct td_origin){{region}, {1, region}};
}

void replica_link_up(struct replica *replica, uint32_t link, uint8_t region)
{
    struct td_event event = {.type = TD_EV_LINK_UP};
    event.u.link_up.link.v = link;
    event.u.link_up.region.v = region;
    event.u.link_up.process = replica_peer_origin(region).incarnation;
    event.u.link_up.proto = 1;
    replica_step(replica, &event);
}

void replica_frame(struct replica *replica, uint32_t link, const struct td_msg *msg)
{
    struct td_event frame = {.type = TD_EV_FRAME};
    frame.u.frame.link.v = link;
    frame.u.frame.msg = msg;
    replica_step(replica, &frame);
}

void replica_frame_batch(struct replica *replica, uint32_t link, const struct td_msg *msg,
                         const struct td_batch *batch)
{
    const struct td_received_batch received = {batch, (void *)(uintptr_t)batch};
    struct td_event frame = {.type = TD_EV_FRAME};
    frame.u.frame.link.v = link;
    frame.u.frame.msg = msg;
    frame.u.frame.payload_bytes = 100;
    frame.u.frame.batches = &received;
    frame.u.frame.batch_count = 1;
    replica_step(replica, &frame);
}

void replica_head(struct replica *replica, uint32_t link, struct td_head head)
{
    struct td_msg msg = {.type = TD_MSG_HEAD};
    head.stamp.ms = replica->now.wall_ms;
    head.proto_min = head.proto_max = 1;
    head.software = test_text("peer 1.0");
    head.hash[0] = head.origin.region.v;
    head.hash[1] = (uint8_t)head.number;
    msg.u.head = &head;
    replica_frame(replica, link, &msg);
}

const struct td_batch *replica_peer_batch(struct replica *replica, uint8_t region,
                                          uint64_t first_seq, uint32_t count)
{
    static char names[TD_BATCH_DELTAS_MAX][24];
    static struct td_delta deltas[TD_BATCH_DELTAS_MAX];
    for (uint32_t i = 0; i < count; ++i) {
        (void)snprintf(names[i], sizeof names[i], "p%u-%llu", region,
                       (unsigned long long)(first_seq + i));
        deltas[i] = (struct td_delta){
            .job = test_text(names[i]),
            .attempt = 1,
            .stamp = {REPLICA_WALL_MS + first_seq + i, 0},
            .status = {.state = TD_STATE_RUNNING, .writer = test_text("w")},
            .job_hash = test_job_hash(names[i]),
            .index = i,
        };
    }
    return replica_batch(replica, replica_peer_origin(region), first_seq, deltas, count);
}

void replica_roster(struct replica *replica)
{
    struct td_event event = {.type = TD_EV_ROSTER};
    replica->roster.version += 1;
    event.u.roster = &replica->roster;
    replica_step(replica, &event);
}

uint64_t replica_counter(const struct replica *replica, enum td_counter_id id)
{
    return td_core_counter(replica->core, id);
}
