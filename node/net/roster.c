/* roster.c -- verified rosters shared by reference count, and what the net derives from the one in
 * force. */
#include "node/net/internal.h"

#include <stdlib.h>
#include <string.h>

#include "proto/assert.h"
#include "proto/reader.h"

struct td_roster_ref {
    atomic_uint refs;
    uint8_t *bytes;  /* the raw roster, which the decoded one points into */
    uint8_t *memory; /* of the arena */
    struct td_roster roster;
};

/* No array element of a roster takes more than 20 times its bytes on the wire once decoded. */
static size_t arena_bytes(size_t raw_bytes)
{
    return 64 * 1024 + raw_bytes * 20;
}

static void free_ref(struct td_roster_ref *ref)
{
    free(ref->bytes);
    free(ref->memory);
    free(ref);
}

static enum td_err decode(struct td_roster_ref *ref, size_t raw_bytes,
                          const struct td_public_key *root_sign_key)
{
    struct td_sodium_signer self = {.secret = NULL, .cluster = td_cluster_id_of(root_sign_key)};
    struct td_signer signer = td_sodium_signer(&self);
    struct td_reader *reader = td_reader_alloc();
    struct td_arena arena;

    if (reader == NULL) {
        return TD_ENOMEM;
    }
    td_arena_init(&arena, ref->memory, arena_bytes(raw_bytes));
    enum td_err err = td_roster_decode((struct td_bytes){ref->bytes, raw_bytes}, &signer,
                                       root_sign_key, reader, &arena, &ref->roster);
    td_reader_free(reader);
    if (err == TD_OK &&
        memcmp(ref->roster.cluster.bytes, self.cluster.bytes, sizeof self.cluster.bytes) != 0) {
        err = TD_EFOREIGN;
    }
    return err;
}

struct td_roster_ref *td_roster_ref_make(struct td_bytes raw,
                                         const struct td_public_key *root_sign_key,
                                         enum td_err *ret_err)
{
    struct td_roster_ref *ref = NULL;

    *ret_err = TD_ETOOBIG;
    if (raw.count == 0 || raw.count > TD_ROSTER_BYTES_MAX) {
        return NULL;
    }
    *ret_err = TD_ENOMEM;
    ref = calloc(1, sizeof *ref);
    if (ref == NULL) {
        return NULL;
    }
    atomic_init(&ref->refs, 1);
    ref->bytes = malloc(raw.count);
    ref->memory = malloc(arena_bytes(raw.count));
    if (ref->bytes != NULL && ref->memory != NULL) {
        memcpy(ref->bytes, raw.bytes, raw.count);
        *ret_err = decode(ref, raw.count, root_sign_key);
    }
    if (*ret_err != TD_OK) {
        free_ref(ref);
        return NULL;
    }
    return ref;
}

struct td_roster_ref *td_roster_ref_get(struct td_roster_ref *ref)
{
    if (ref != NULL) {
        atomic_fetch_add(&ref->refs, 1);
    }
    return ref;
}

void td_roster_ref_put(struct td_roster_ref *ref)
{
    if (ref != NULL && atomic_fetch_sub(&ref->refs, 1) == 1) {
        free_ref(ref);
    }
}

const struct td_roster *td_roster_ref_roster(const struct td_roster_ref *ref)
{
    return &ref->roster;
}

struct td_roster_ref *net_roster(struct td_net *net)
{
    pthread_mutex_lock(&net->lock);
    struct td_roster_ref *ref = td_roster_ref_get(net->roster);
    pthread_mutex_unlock(&net->lock);
    return ref;
}

/* Our own number: the region whose link key is ours, so that a node that waited to be admitted
 * finds itself in the roster it is offered. */
void net_take_roster(struct td_net *net, struct td_roster_ref *roster)
{
    struct td_roster_ref *old = net->roster;

    net->roster = td_roster_ref_get(roster);
    td_roster_ref_put(old);
    net->self = net->self_configured;
    net->self_active = false;
    if (roster == NULL) {
        return;
    }
    const struct td_roster_region *own =
        td_roster_region_by_link_key(&roster->roster, &td_secret_identity(net->secret)->link_key);
    if (own != NULL) {
        net->self = own->number;
        net->self_active = td_roster_region_links(own);
    }
}

bool net_fault(const struct td_net *net, struct td_region region)
{
    const struct region_state *state = &net->regions[region.v];

    return atomic_load(&state->send_cut) || atomic_load(&state->receive_cut);
}
