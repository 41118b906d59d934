/* meet.c -- who the other side is: keys in the roster, HELLO and ROSTER, duplicates, and leaving.
 */
#include "node/net/internal.h"

#include <stdlib.h>
#include <string.h>

#include "proto/assert.h"
#include "proto/frame.h"
#include "proto/reader.h"

static bool same_key(const struct td_public_key *a, const struct td_public_key *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

static struct td_region own_number(struct td_net *net)
{
    pthread_mutex_lock(&net->lock);
    struct td_region self = net->self;
    pthread_mutex_unlock(&net->lock);
    return self;
}

static bool silent(const struct link *link)
{
    return atomic_load(&link->net->stopping);
}

/* --- Leaving --------------------------------------------------------------------------------- */

/* Takes the link out of the count of those in force; true when it was up. */
static bool set_down(struct link *link)
{
    struct td_net *net = link->net;

    pthread_mutex_lock(&net->lock);
    bool was_up = link->up;
    link->up = false;
    if (was_up && link->info.kind == TD_LINK_REGION) {
        net->regions[link->info.region.v].links_up--;
    }
    pthread_mutex_unlock(&net->lock);
    return was_up;
}

static void queue_bye(struct link *link, enum td_err why)
{
    struct td_msg bye = {.type = TD_MSG_BYE, .u.bye = why};
    uint8_t bytes[16];
    size_t count = td_msg_encode(&bye, bytes, sizeof bytes);
    struct td_out_frame frame = {.type = TD_MSG_BYE, .payload = {bytes, count}};

    if (link_queue(link, &frame, 1, false) != TD_OK) {
        link_close_stream(link);
    }
}

void link_leave(struct link *link, enum td_err why, bool say_bye)
{
    pthread_mutex_lock(&link->lock);
    link->sendable = false;
    pthread_mutex_unlock(&link->lock);
    if (set_down(link)) {
        if (!silent(link)) {
            link->net->sink.link_down(link->net->sink.self, &link->info, why);
        }
        if (link->info.kind == TD_LINK_REGION) {
            dial_region_down(link->net, link->info.region);
        }
    }
    if (link->phase == PHASE_CLOSED) {
        return;
    }
    if (!say_bye || link->channel == NULL || !td_channel_established(link->channel)) {
        link_close_stream(link);
    } else if (link->phase != PHASE_LEAVING) {
        link->phase = PHASE_LEAVING;
        link->leave_end_ms = net_now_ms() + link->net->times.goodbye;
        queue_bye(link, why);
    }
}

/* --- Who is it ------------------------------------------------------------------------------- */

/* In force is a region's newest key, while it is active, or leaves in order. */
static const struct td_roster_region *linked_region(const struct td_roster *roster,
                                                    const struct td_public_key *link_key)
{
    const struct td_roster_region *region = td_roster_region_by_link_key(roster, link_key);

    if (region == NULL || !td_roster_region_links(region)) {
        return NULL;
    }
    const struct td_region_key *newest = td_roster_newest_key(region);
    return newest != NULL && same_key(&newest->link_key, link_key) ? region : NULL;
}

/* Looks the proven key up; what is constant in info once the link is up goes to ret_info. */
static bool find_peer(const struct link *link, const struct td_roster *roster,
                      struct td_link_info *ret_info)
{
    struct td_region self = own_number(link->net);

    if (ret_info->kind == TD_LINK_REGION) {
        const struct td_roster_region *region = linked_region(roster, &link->peer_key);
        if (region == NULL || region->number.v == self.v) {
            return false;
        }
        ret_info->region = region->number;
        return true;
    }
    const struct td_roster_client *client = td_roster_client_by_link_key(roster, &link->peer_key);
    if (client == NULL) {
        return false;
    }
    ret_info->client_number = client->number;
    ret_info->role = client->role;
    return true;
}

static bool count_client(struct link *link)
{
    struct td_net *net = link->net;

    pthread_mutex_lock(&net->lock);
    bool room = net->client_count < net->clients_max;
    if (room) {
        net->client_count++;
        link->counted_client = true;
    } else {
        net->stats.refused_table_full++;
    }
    pthread_mutex_unlock(&net->lock);
    return room;
}

/* From the channel: the key is proven. A key that is not in our roster is not refused here, since
 * it shall get the newest roster first (offer_only). */
enum td_err link_peer_known(void *self, enum td_channel_kind kind,
                            const struct td_public_key *link_key, const struct td_card *card,
                            uint16_t proto)
{
    struct link *link = self;
    struct td_roster_ref *ref = net_roster(link->net);

    link->info.kind = kind == TD_CHANNEL_CLIENT ? TD_LINK_CLIENT : TD_LINK_REGION;
    link->info.proto = proto;
    link->peer_key = *link_key;
    bool known = ref != NULL && find_peer(link, td_roster_ref_roster(ref), &link->info);
    td_roster_ref_put(ref);
    /* A card proves membership by a roster that we may not have yet: stay, and be offered it. */
    bool may_offer_us = link->initiator && card != NULL;
    link->offer_only = !known && !may_offer_us;
    if (!known) {
        link->info.region.v = 0;
        pthread_mutex_lock(&link->net->lock);
        link->net->stats.refused_not_in_roster++;
        pthread_mutex_unlock(&link->net->lock);
    }
    if (known && link->info.kind == TD_LINK_REGION && net_fault(link->net, link->info.region)) {
        return TD_ETIMEOUT; /* behind the black hole nobody answers */
    }
    if (known && link->info.kind == TD_LINK_CLIENT && !count_client(link)) {
        return TD_EBUSY;
    }
    return TD_OK;
}

/* --- HELLO and ROSTER ------------------------------------------------------------------------ */

static void queue_roster(struct link *link, const struct td_roster *roster)
{
    struct td_out_frame frame = {.type = TD_MSG_ROSTER, .payload = roster->raw};

    (void)link_queue(link, &frame, 1, false); /* a full queue closes the link by itself */
    link->peer_roster_version = roster->version;
}

/* A key not found gets the newest roster, nothing else, and is dropped. */
static void offer_and_leave(struct link *link)
{
    struct td_roster_ref *ref = net_roster(link->net);

    if (ref != NULL) {
        queue_roster(link, td_roster_ref_roster(ref));
    }
    td_roster_ref_put(ref);
    link_leave(link, TD_ENOTINROSTER, true);
}

static void queue_hello(struct link *link, struct td_incarnation process)
{
    struct td_roster_ref *ref = net_roster(link->net);
    const char *software = link->net->software;
    struct td_msg hello = {
        .type = TD_MSG_HELLO,
        .u.hello =
            {
                .roster_version = ref == NULL ? 0 : td_roster_ref_roster(ref)->version,
                .process = process,
                .proto_min = TD_PROTO_MIN,
                .proto_max = TD_PROTO_MAX,
                .software = {software, (uint32_t)strlen(software)},
            },
    };
    uint8_t bytes[256];

    td_roster_ref_put(ref);
    size_t count = td_msg_encode(&hello, bytes, sizeof bytes);
    TD_ASSERT(count > 0);
    struct td_out_frame frame = {.type = TD_MSG_HELLO, .payload = {bytes, count}};
    link->hello_sent = link_queue(link, &frame, 1, false) == TD_OK;
}

/* The newest of our rosters for a peer that said it has an older one. */
static void send_roster_if_older(struct link *link)
{
    struct td_roster_ref *ref = net_roster(link->net);

    if (ref != NULL && link->hello_received &&
        link->peer_roster_version < td_roster_ref_roster(ref)->version) {
        queue_roster(link, td_roster_ref_roster(ref));
    }
    td_roster_ref_put(ref);
}

/* --- Up, and duplicates ---------------------------------------------------------------------- */

static bool same_process(const struct link *a, const struct link *b)
{
    return a->info.process.start == b->info.process.start &&
           a->info.process.random == b->info.process.random;
}

static uint8_t dialler_of(const struct link *link)
{
    return link->initiator ? link->net->self.v : link->info.region.v;
}

/* DESIGN 3: of two links for one (region, process) the one dialled by the lower number stays; both
 * sides choose alike. Of two by one dialler the newer: it would not dial beside a living one. */
static bool new_one_stays(const struct link *old, const struct link *new)
{
    return dialler_of(new) <= dialler_of(old);
}

static enum td_err admit_locked(struct link *link, struct link **ret_replaced)
{
    unsigned others = 0;

    for (struct link *other = link->net->links; other != NULL; other = other->next) {
        if (!other->up || other->info.kind != TD_LINK_REGION ||
            other->info.region.v != link->info.region.v) {
            continue;
        }
        if (!same_process(other, link)) {
            others++;
        } else if (new_one_stays(other, link)) {
            *ret_replaced = other;
        } else {
            return TD_ECLOSEDLINK;
        }
    }
    return others >= LINKS_PER_REGION_MAX ? TD_ECLONE : TD_OK;
}

static enum td_err admit_region(struct link *link)
{
    struct td_net *net = link->net;
    struct link *replaced = NULL;

    pthread_mutex_lock(&net->lock);
    enum td_err err = admit_locked(link, &replaced);
    if (err == TD_OK) {
        struct region_state *state = &net->regions[link->info.region.v];
        link->up = true;
        link->up_ms = net_now_ms();
        state->links_up++;
        state->ups++;
        state->address = link->address.known ? link->address : state->address;
        if (replaced != NULL) {
            link_ref(replaced);
        }
    }
    pthread_mutex_unlock(&net->lock);
    if (err == TD_OK && replaced != NULL) {
        link_kick(replaced, TD_ECLOSEDLINK);
        link_put(replaced);
    }
    return err;
}

static void come_up(struct link *link)
{
    link->phase = PHASE_UP;
    link->ping_ms = net_now_ms();
    pthread_mutex_lock(&link->lock);
    link->sendable = !link->close_asked;
    pthread_mutex_unlock(&link->lock);
    if (!silent(link)) {
        link->net->sink.link_up(link->net->sink.self, &link->info);
    }
}

static void region_up(struct link *link)
{
    enum td_err err = admit_region(link);

    if (err != TD_OK) {
        link_leave(link, err, true);
        return;
    }
    come_up(link);
    send_roster_if_older(link);
}

static void client_up(struct link *link)
{
    pthread_mutex_lock(&link->net->lock);
    link->up = true;
    link->up_ms = net_now_ms();
    pthread_mutex_unlock(&link->net->lock);
    come_up(link);
}

/* MEETING goes on: with the end of the handshake, with their HELLO, when our process is known. */
void link_meet(struct link *link)
{
    if (link->phase != PHASE_MEETING) {
        return;
    }
    if (link->offer_only) {
        offer_and_leave(link);
        return;
    }
    if (link->info.kind != TD_LINK_REGION) {
        pthread_mutex_lock(&link->lock);
        link->queue.size_max = CLIENT_QUEUE_BYTES_MAX;
        pthread_mutex_unlock(&link->lock);
        if (link->local) {
            client_up(link);
        }
        return;
    }
    if (!link->hello_sent) {
        pthread_mutex_lock(&link->net->lock);
        bool known = link->net->process_known;
        struct td_incarnation process = link->net->process;
        pthread_mutex_unlock(&link->net->lock);
        if (known) {
            queue_hello(link, process);
        }
    }
    /* region 0: its card is good, but only the roster it will send tells who it is. */
    if (link->hello_sent && link->hello_received && link->info.region.v != 0) {
        region_up(link);
    }
}

/* A newer roster is in force, or our process is known: who has no place in it is dropped (after it
 * was sent the roster that says so), the others get what they lack. */
void link_roster_changed(struct link *link)
{
    if ((link->phase != PHASE_MEETING && link->phase != PHASE_UP) || link->local) {
        return;
    }
    struct td_roster_ref *ref = net_roster(link->net);
    struct td_link_info now = link->info;
    now.region.v = 0;
    now.client_number = 0;
    bool found = ref != NULL && find_peer(link, td_roster_ref_roster(ref), &now);
    td_roster_ref_put(ref);
    bool was_known = link->info.kind == TD_LINK_CLIENT || link->info.region.v != 0;
    if (!was_known && found) {
        link->info.region = now.region;
    } else if (was_known && (now.region.v != link->info.region.v || now.role != link->info.role ||
                             now.client_number != link->info.client_number)) {
        send_roster_if_older(link);
        link_leave(link, TD_ENOTINROSTER, true);
        return;
    }
    send_roster_if_older(link);
    link_meet(link);
}

/* --- Frames of the link itself --------------------------------------------------------------- */

/* ROSTER from any peer whose key was proven: the root's signature is what counts. */
static void take_roster(struct link *link, struct td_bytes raw)
{
    enum td_err err = TD_OK;
    struct td_roster_ref *ours = net_roster(link->net);
    const struct td_roster *current = ours == NULL ? NULL : td_roster_ref_roster(ours);

    if (current != NULL && current->raw.count == raw.count &&
        memcmp(current->raw.bytes, raw.bytes, raw.count) == 0) {
        link->peer_roster_version = current->version;
        td_roster_ref_put(ours);
        return;
    }
    struct td_roster_ref *offered = td_roster_ref_make(raw, &link->net->root_sign_key, &err);
    if (offered == NULL) {
        link->fail_err = err;
    } else {
        const struct td_roster *roster = td_roster_ref_roster(offered);
        link->peer_roster_version = roster->version;
        if ((current == NULL || td_roster_newer(roster, current)) && !silent(link)) {
            link->net->sink.roster_offered(link->net->sink.self, raw);
        }
    }
    td_roster_ref_put(offered);
    td_roster_ref_put(ours);
}

static void take_hello(struct link *link, const struct td_msg *msg)
{
    if (link->hello_received || link->info.kind != TD_LINK_REGION) {
        link->fail_err = TD_EFORMAT;
        return;
    }
    if (msg->u.hello.proto_max < TD_PROTO_MIN || msg->u.hello.proto_min > TD_PROTO_MAX) {
        link->fail_err = TD_EVERSION;
        return;
    }
    link->hello_received = true;
    link->info.process = msg->u.hello.process;
    link->peer_roster_version = msg->u.hello.roster_version;
    link_meet(link);
}

static void take_own_frame(struct link *link, uint8_t type, struct td_bytes payload)
{
    struct td_arena arena;
    struct td_msg msg;

    td_arena_init(&arena, link->worker->arena, sizeof link->worker->arena);
    enum td_err err = td_msg_decode((enum td_msg_type)type, payload, &link->net->signer,
                                    link->worker->reader, &arena, &msg);
    if (err != TD_OK) {
        link->fail_err = err;
        return;
    }
    switch (type) {
    case TD_MSG_PING:
        link_queue_urgent(link, TD_MSG_PONG, payload);
        break;
    case TD_MSG_PONG:
        link_pong(link, msg.u.nonce);
        break;
    case TD_MSG_BYE:
        link_leave(link, msg.u.bye == TD_OK ? TD_ECLOSEDLINK : msg.u.bye, false);
        break;
    default:
        take_hello(link, &msg);
        break;
    }
}

static bool belongs_to_link(uint8_t type)
{
    return type >= TD_MSG_ROSTER && type <= TD_MSG_HELLO;
}

/* Somebody asked for its end, perhaps over the frame before this one in the same read. What follows a
 * frame that was refused must not be taken: a transfer would seem complete that is not. */
static bool is_unwanted(struct link *link)
{
    pthread_mutex_lock(&link->lock);
    bool unwanted = link->close_asked;
    pthread_mutex_unlock(&link->lock);
    return unwanted;
}

/* From the channel. Once the link leaves, what still comes is dropped. */
void link_frame(void *self, uint8_t type, uint8_t *take_payload, size_t payload_bytes)
{
    struct link *link = self;
    struct td_bytes payload = {take_payload, payload_bytes};

    if (link->phase == PHASE_MEETING && link->info.kind == TD_LINK_CLIENT) {
        client_up(link); /* its first frame: the handshake was no replay */
    }
    if ((link->phase != PHASE_MEETING && link->phase != PHASE_UP) || link->fail_err != TD_OK ||
        is_unwanted(link)) {
        free(take_payload);
        return;
    }
    if (type == TD_MSG_ROSTER) {
        if (link->info.kind == TD_LINK_REGION) {
            take_roster(link, payload);
        }
        free(take_payload);
    } else if (belongs_to_link(type)) {
        take_own_frame(link, type, payload);
        free(take_payload);
    } else if (link->phase == PHASE_UP && !silent(link)) {
        link->net->sink.frame(link->net->sink.self, &link->info, type, take_payload, payload_bytes);
    } else {
        link->fail_err = link->phase == PHASE_UP ? TD_OK : TD_EFORMAT;
        free(take_payload);
    }
}
