/* secure.c -- see secure.h. The only file of the simulator that knows a crypto library. */
#include "cluster-tests/sim/secure.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "proto/channel.h"

enum { PENDING_BYTES_MAX = 64 << 20, PIECE_BYTES_MAX = 4000, OUTSIDER_PER_MILLE = 30, HELLO = 1 };

/* One side of a connection. */
struct side {
    struct td_channel *channel;
    struct td_buffer out;
    uint8_t expects;    /* region whose key the other side must have */
    bool known, broken; /* an error is final: what still arrives is dropped */
};

struct sim_secure {
    struct td_secret *root, *secrets[TD_REGIONS_MAX + 1];
    struct td_public_key root_key;
    struct td_sodium_signer signers[TD_REGIONS_MAX + 1];
    uint8_t card_bytes[TD_REGIONS_MAX + 1][TD_CARD_BYTES_MAX];
    size_t card_count[TD_REGIONS_MAX + 1];
    struct sim_random random; /* where pieces are cut, what an outsider alters */
    struct side sides[SIM_NODES_MAX][SIM_NODES_MAX]; /* [node][other] */
};

/* ---- randomness of the library: one stream per process, set by the seed ---- */
static struct sim_random library_random;

static const char *random_name(void)
{
    return "seeded";
}

static uint32_t random_word(void)
{
    return (uint32_t)sim_random_next(&library_random);
}

static void random_buffer(void *bytes, size_t count)
{
    uint8_t *at = bytes;

    for (size_t i = 0; i < count; i++) {
        at[i] = (uint8_t)sim_random_next(&library_random);
    }
}

static struct randombytes_implementation seeded = {
    .implementation_name = random_name, .random = random_word, .buf = random_buffer};

/* ---- keys ---- */
static struct td_secret *secret_of(uint64_t seed, uint8_t who)
{
    struct sim_random random = sim_random_new(seed, 1000u + who);
    uint8_t bytes[TD_SEED_BYTES];
    struct td_secret *secret = NULL;

    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)sim_random_next(&random);
    }
    enum td_err err = td_secret_from_seed(bytes, &secret);
    TD_ASSERT(err == TD_OK);
    return secret;
}

static void make_card(struct sim_secure *secure, uint8_t region)
{
    struct td_sodium_signer root = {secure->root, td_cluster_id_of(&secure->root_key)};
    struct td_signer signer = td_sodium_signer(&root);
    const struct td_identity *identity = td_secret_identity(secure->secrets[region]);
    struct td_card card = {.cluster = root.cluster,
                           .region = {region},
                           .key_number = 1,
                           .sign_key = identity->sign_key,
                           .link_key = identity->link_key,
                           .roster_version = 1};

    secure->card_count[region] = td_card_encode(&card, &signer, secure->card_bytes[region],
                                                sizeof secure->card_bytes[region]);
    TD_ASSERT(secure->card_count[region] > 0);
}

struct sim_secure *sim_secure_new(const struct sim_options *options)
{
    if (options->wire == 0) {
        return NULL;
    }
    library_random = sim_random_new(options->seed, 14);
    int set = randombytes_set_implementation(&seeded);
    enum td_err err = td_sodium_init();
    TD_ASSERT(set == 0);
    TD_ASSERT(err == TD_OK);
    struct sim_secure *secure = calloc(1, sizeof *secure);
    TD_ASSERT(secure != NULL);
    secure->random = sim_random_new(options->seed, 15);
    secure->root = secret_of(options->seed, 0);
    secure->root_key = td_secret_identity(secure->root)->sign_key;
    for (uint8_t region = 1; region <= options->regions; region++) {
        secure->secrets[region] = secret_of(options->seed, region);
        secure->signers[region].secret = secure->secrets[region];
        secure->signers[region].cluster = td_cluster_id_of(&secure->root_key);
        make_card(secure, region);
    }
    return secure;
}

static void close_side(struct side *side)
{
    td_channel_close(side->channel);
    td_buffer_fini(&side->out);
    side->channel = NULL;
    side->known = side->broken = false;
}

void sim_secure_free(struct sim_secure *secure)
{
    if (secure == NULL) {
        return;
    }
    for (int a = 0; a < SIM_NODES_MAX; a++) {
        for (int b = 0; b < SIM_NODES_MAX; b++) {
            close_side(&secure->sides[a][b]);
        }
    }
    for (size_t i = 0; i <= TD_REGIONS_MAX; i++) {
        td_secret_free(secure->secrets[i]);
    }
    td_secret_free(secure->root);
    free(secure);
}

struct td_cluster_id sim_secure_cluster(const struct sim_secure *secure)
{
    return td_cluster_id_of(&secure->root_key);
}

struct td_public_key sim_secure_sign_key(const struct sim_secure *secure, uint8_t region)
{
    return td_secret_identity(secure->secrets[region])->sign_key;
}

struct td_signer sim_secure_signer(struct sim_secure *secure, uint8_t region)
{
    return td_sodium_signer(&secure->signers[region]);
}

/* ---- connections ---- */
struct arrival {
    struct sim_world *world;
    int node, other;
    bool shaking;
};

static enum td_err on_known(void *self, enum td_channel_kind kind,
                            const struct td_public_key *link_key, const struct td_card *card,
                            uint16_t proto)
{
    const struct arrival *arrival = self;
    struct sim_secure *secure = arrival->world->secure;
    struct side *side = &secure->sides[arrival->node][arrival->other];
    const struct td_identity *identity = td_secret_identity(secure->secrets[side->expects]);

    side->known = kind == TD_CHANNEL_REGION && proto == 1 &&
                  memcmp(link_key, &identity->link_key, sizeof *link_key) == 0 &&
                  (card == NULL || card->region.v == side->expects);
    return side->known ? TD_OK : TD_ENOTINROSTER;
}

static void on_frame(void *self, uint8_t type, uint8_t *take_payload, size_t payload_bytes)
{
    const struct arrival *arrival = self;

    if (!arrival->shaking) {
        struct sim_frame *frame = malloc(sizeof *frame + payload_bytes);
        TD_ASSERT(frame != NULL);
        frame->next = NULL;
        frame->type = type;
        frame->count = payload_bytes;
        if (payload_bytes > 0) {
            memcpy(frame->bytes, take_payload, payload_bytes);
        }
        sim_wire_receive(arrival->world, arrival->node, arrival->other, frame);
    }
    free(take_payload);
}

static enum td_err take(struct sim_world *world, int node, int other, struct td_bytes input,
                        bool shaking)
{
    struct arrival arrival = {world, node, other, shaking};
    struct td_channel_sink sink = {&arrival, on_known, on_frame};
    struct side *side = &world->secure->sides[node][other];

    return td_channel_receive(side->channel, input, &sink, &side->out);
}

static void open_side(struct sim_world *world, int node, int other, bool initiator)
{
    struct sim_secure *secure = world->secure;
    struct side *side = &secure->sides[node][other];
    uint8_t region = world->nodes[node].region.v;
    struct td_channel_config config = {.kind = TD_CHANNEL_REGION,
                                       .initiator = initiator,
                                       .secret = secure->secrets[region],
                                       .root_sign_key = secure->root_key,
                                       .frame_bytes_max = TD_FRAME_BYTES_MAX};

    if (!initiator) {
        config.card = (struct td_bytes){secure->card_bytes[region], secure->card_count[region]};
    }
    close_side(side);
    side->expects = world->nodes[other].region.v;
    td_buffer_init(&side->out, PENDING_BYTES_MAX);
    enum td_err err = td_channel_open(&config, &side->out, &side->channel);
    TD_ASSERT(err == TD_OK);
}

/* Everything one side has to say, to the other. */
static void pass(struct sim_world *world, int from, int to)
{
    struct td_buffer *out = &world->secure->sides[from][to].out;
    enum td_err err = take(world, to, from, (struct td_bytes){out->bytes, out->used_bytes}, true);

    TD_ASSERT(err == TD_OK);
    td_buffer_consume(out, out->used_bytes);
}

static void say_hello(struct sim_world *world, int from, int to)
{
    struct side *side = &world->secure->sides[from][to];
    struct td_out_frame frame = {HELLO, {NULL, 0}};
    enum td_err err = td_channel_seal(side->channel, &frame, 1, &side->out);

    TD_ASSERT(err == TD_OK);
    pass(world, from, to);
}

void sim_secure_connect(struct sim_world *world, int a, int b)
{
    const struct side *one = &world->secure->sides[a][b], *two = &world->secure->sides[b][a];

    open_side(world, a, b, true);
    open_side(world, b, a, false);
    pass(world, a, b); /* preamble, message 1 */
    pass(world, b, a); /* message 2 */
    pass(world, a, b); /* message 3 */
    TD_ASSERT(td_channel_established(one->channel) && td_channel_established(two->channel));
    say_hello(world, a, b);
    say_hello(world, b, a);
    TD_ASSERT(td_channel_confirmed(one->channel) && td_channel_confirmed(two->channel));
    TD_ASSERT(one->known && two->known);
}

/* ---- frames ---- */
/* Somebody on the way flips a bit of what crosses: nothing of it may be believed. */
static void outsider(struct sim_world *world, struct sim_frame *frame)
{
    struct sim_random *random = &world->secure->random;

    if (world->tampering && sim_random_below(random, 1000) < OUTSIDER_PER_MILLE) {
        uint64_t bit = sim_random_below(random, frame->count * 8);
        frame->bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        world->counts.faults[SIM_FAULT_TAMPER]++;
    }
}

struct sim_frame *sim_secure_seal(struct sim_world *world, int from, int to,
                                  struct sim_frame *frame)
{
    struct side *side = &world->secure->sides[from][to];
    struct td_out_frame plain = {frame->type, {frame->bytes, frame->count}};

    if (side->broken) { /* its end is under way */
        free(frame);
        return NULL;
    }
    enum td_err err = td_channel_seal(side->channel, &plain, 1, &side->out);

    TD_ASSERT(err == TD_OK);
    struct sim_frame *sealed = malloc(sizeof *sealed + side->out.used_bytes);
    TD_ASSERT(sealed != NULL);
    sealed->next = NULL;
    sealed->type = frame->type;
    sealed->count = side->out.used_bytes;
    memcpy(sealed->bytes, side->out.bytes, side->out.used_bytes);
    td_buffer_consume(&side->out, side->out.used_bytes);
    free(frame);
    sim_note(world, 40, sealed->count, sim_hash_bytes(2, sealed->bytes, sealed->count));
    outsider(world, sealed);
    return sealed;
}

void sim_secure_arrive(struct sim_world *world, int node, int other, struct sim_frame *frame)
{
    struct sim_random *random = &world->secure->random;
    struct side *side = &world->secure->sides[node][other];
    enum td_err err = TD_OK;

    for (size_t at = 0; at < frame->count && !side->broken && err == TD_OK;) {
        size_t left = frame->count - at;
        size_t piece = 1 + (size_t)sim_random_below(random, PIECE_BYTES_MAX);
        piece = piece < left ? piece : left;
        err = take(world, node, other, (struct td_bytes){frame->bytes + at, piece}, false);
        at += piece;
    }
    if (err != TD_OK) {
        side->broken = true;
        world->counts.rejected++;
        sim_trace(world, "node %d: what came from %d is not what was sent: %s", node + 1, other + 1,
                  td_err_text(err));
        sim_net_close(world, node, other, true);
    }
    free(frame);
}
