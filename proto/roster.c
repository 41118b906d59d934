/* roster.c -- signed membership: roster and card, encode and decode side by side. The root's
 * signature is checked before anything inside is looked at. Lookups are in roster_find.c. */
#include "proto/roster.h"

#include <stdlib.h>

#include "proto/assert.h"
#include "proto/delta.h"
#include "proto/signed.h"
#include "proto/text.h"
#include "proto/wire.h"

enum {
    ROSTER_PREFIX = 0x03,
    ROSTER_FIELDS = 9,
    REGION_FIELDS = 11,
    REGION_RETIRED_FIELDS = 2, /* behind them, when there is a list */
    CLIENT_FIELDS = 7,
    KEY_FIELDS = 3,
    CARD_FIELDS = 7,
    FIELDS_MAX = 40, /* room for fields of later versions */
};

static void hash_inner(const struct td_signer *signer, struct td_bytes inner,
                       struct td_hash *ret_hash)
{
    signer->hash(signer->self, ROSTER_PREFIX, inner, (struct td_bytes){NULL, 0}, ret_hash);
}

static void write_key(struct td_writer *writer, const struct td_public_key *key)
{
    td_writer_bin(writer, (struct td_bytes){key->bytes, sizeof key->bytes});
}

static void read_key(struct td_reader *reader, struct td_public_key *ret_key)
{
    td_reader_fixed(reader, ret_key->bytes, sizeof ret_key->bytes);
}

/* ---- encode ---- */

static void write_policy(struct td_writer *writer, const struct td_policy *policy)
{
    td_writer_array(writer, TD_POLICY_FIELDS);
    td_writer_uint(writer, policy->retain_s);
    td_writer_uint(writer, policy->abandon_s);
    td_writer_uint(writer, policy->max_absence_s);
    td_writer_uint(writer, policy->registers_max);
    td_writer_uint(writer, policy->bytes_max);
}

static void write_region_keys(struct td_writer *writer, const struct td_roster_region *region)
{
    td_writer_array(writer, region->key_count);
    for (uint32_t i = 0; i < region->key_count; i++) {
        td_writer_array(writer, KEY_FIELDS);
        td_writer_uint(writer, region->keys[i].number);
        write_key(writer, &region->keys[i].sign_key);
        write_key(writer, &region->keys[i].link_key);
    }
}

static void write_texts(struct td_writer *writer, const struct td_text *texts, uint32_t count)
{
    td_writer_array(writer, count);
    for (uint32_t i = 0; i < count; i++) {
        td_writer_text(writer, texts[i]);
    }
}

static void write_closings(struct td_writer *writer, const struct td_closing *list, uint32_t count)
{
    td_writer_array(writer, 3 * count);
    for (uint32_t i = 0; i < count; i++) {
        td_writer_uint(writer, list[i].incarnation.start);
        td_writer_uint(writer, list[i].incarnation.random);
        td_writer_uint(writer, list[i].last_seq);
    }
}

static void write_region(struct td_writer *writer, const struct td_roster_region *region)
{
    bool retired = region->retired_below != 0;
    td_writer_array(writer, REGION_FIELDS + (retired ? REGION_RETIRED_FIELDS : 0));
    td_writer_uint(writer, region->number.v);
    td_writer_text(writer, region->name);
    td_writer_uint(writer, region->state);
    td_writer_uint(writer, region->quota_registers);
    td_writer_uint(writer, region->quota_bytes);
    write_region_keys(writer, region);
    write_texts(writer, region->endpoints, region->endpoint_count);
    td_writer_uint(writer, region->admitted_version);
    write_closings(writer, region->closed, region->closed_count);
    td_writer_uint(writer, region->doubtful_since_ms);
    td_writer_bin(writer, region->card);
    if (retired) {
        td_writer_uint(writer, region->retired_below);
        write_closings(writer, region->retired, region->retired_count);
    }
}

static void write_client(struct td_writer *writer, const struct td_roster_client *client)
{
    td_writer_array(writer, CLIENT_FIELDS);
    td_writer_uint(writer, client->number);
    td_writer_text(writer, client->name);
    td_writer_uint(writer, client->role);
    write_key(writer, &client->sign_key);
    write_key(writer, &client->link_key);
    write_texts(writer, client->prefixes, client->prefix_count);
    td_writer_uint(writer, client->admitted_version);
}

static uint32_t last_client(const struct td_roster *roster)
{
    return roster->client_count == 0 ? 0 : roster->clients[roster->client_count - 1].number;
}

static void write_roster(struct td_writer *writer, const struct td_roster *roster)
{
    bool ever = roster->clients_ever > last_client(roster);
    td_writer_array(writer, ROSTER_FIELDS + ever);
    td_writer_uint(writer, TD_ROSTER_FORMAT);
    td_writer_bin(writer, (struct td_bytes){roster->cluster.bytes, sizeof roster->cluster.bytes});
    td_writer_text(writer, roster->cluster_name);
    td_writer_uint(writer, roster->version);
    td_writer_uint(writer, roster->issued_ms);
    td_writer_bin(writer, (struct td_bytes){roster->previous.bytes, sizeof roster->previous.bytes});
    write_policy(writer, &roster->policy);
    td_writer_array(writer, roster->region_count);
    for (uint32_t i = 0; i < roster->region_count; i++) {
        write_region(writer, &roster->regions[i]);
    }
    td_writer_array(writer, roster->client_count);
    for (uint32_t i = 0; i < roster->client_count; i++) {
        write_client(writer, &roster->clients[i]);
    }
    if (ever) {
        td_writer_uint(writer, roster->clients_ever);
    }
}

size_t td_roster_encode(struct td_roster *roster, const struct td_signer *root_signer, void *bytes,
                        size_t size_bytes)
{
    size_t room = size_bytes < TD_ROSTER_BYTES_MAX ? size_bytes : TD_ROSTER_BYTES_MAX;
    if (room <= TD_SIGNED_INNER_AT) {
        return 0;
    }
    struct td_writer writer;
    td_writer_init(&writer, (uint8_t *)bytes + TD_SIGNED_INNER_AT, room - TD_SIGNED_INNER_AT);
    write_roster(&writer, roster);
    size_t inner_bytes = td_writer_done(&writer);
    size_t count = td_signed_close(bytes, room, inner_bytes, root_signer, TD_CONTEXT_ROSTER);
    if (count == 0) {
        return 0;
    }
    const uint8_t *inner = (uint8_t *)bytes + count - TD_SIGNED_TAIL_BYTES - inner_bytes;
    hash_inner(root_signer, (struct td_bytes){inner, inner_bytes}, &roster->hash);
    roster->raw = (struct td_bytes){bytes, count};
    return count;
}

/* ---- decode ---- */

static struct td_text read_name(struct td_reader *reader, uint32_t bytes_max)
{
    struct td_text name = td_reader_text(reader, bytes_max);
    if (name.count == 0 || !td_utf8_valid(name, false)) {
        td_reader_fail(reader, TD_EROSTER);
    }
    return name;
}

static void read_policy(struct td_reader *reader, struct td_policy *policy)
{
    td_reader_enter(reader, TD_POLICY_FIELDS, FIELDS_MAX);
    policy->retain_s = td_reader_uint(reader, TD_SEQ_MAX);
    policy->abandon_s = td_reader_uint(reader, TD_SEQ_MAX);
    policy->max_absence_s = td_reader_uint(reader, TD_SEQ_MAX);
    policy->registers_max = td_reader_uint(reader, TD_SEQ_MAX);
    policy->bytes_max = td_reader_uint(reader, TD_SEQ_MAX);
    td_reader_leave(reader);
}

static void read_region_keys(struct td_reader *reader, struct td_arena *arena,
                             struct td_roster_region *region)
{
    uint32_t count = 0;
    struct td_region_key *keys =
        td_wire_enter_flat(reader, arena, 1, TD_KEYS_PER_REGION_MAX, sizeof *keys, &count);
    for (uint32_t i = 0; keys != NULL && i < count; i++) {
        td_reader_enter(reader, KEY_FIELDS, KEY_FIELDS);
        keys[i].number = (uint16_t)td_reader_uint(reader, UINT16_MAX);
        read_key(reader, &keys[i].sign_key);
        read_key(reader, &keys[i].link_key);
        td_reader_leave(reader);
        if (i > 0 && keys[i - 1].number >= keys[i].number) {
            td_reader_fail(reader, TD_EROSTER);
        }
    }
    td_reader_leave(reader);
    if (count == 0) {
        td_reader_fail(reader, TD_EROSTER); /* the newest key is in force, so there is one */
    }
    region->keys = keys;
    region->key_count = count;
}

static const struct td_text *read_texts(struct td_reader *reader, struct td_arena *arena,
                                        uint32_t count_max, uint32_t bytes_max, uint32_t *ret_count)
{
    struct td_text *texts =
        td_wire_enter_flat(reader, arena, 1, count_max, sizeof *texts, ret_count);
    for (uint32_t i = 0; texts != NULL && i < *ret_count; i++) {
        texts[i] = read_name(reader, bytes_max);
    }
    td_reader_leave(reader);
    return texts;
}

static const struct td_closing *read_closings(struct td_reader *reader, struct td_arena *arena,
                                              uint32_t *ret_count)
{
    struct td_closing *list =
        td_wire_enter_flat(reader, arena, 3, TD_CLOSED_LIST_MAX, sizeof *list, ret_count);
    for (uint32_t i = 0; list != NULL && i < *ret_count; i++) {
        list[i].incarnation = td_wire_read_incarnation(reader);
        list[i].last_seq = td_reader_uint(reader, TD_SEQ_MAX);
    }
    td_reader_leave(reader);
    return list;
}

static void read_closed(struct td_reader *reader, struct td_arena *arena,
                        struct td_roster_region *region)
{
    region->closed = read_closings(reader, arena, &region->closed_count);
    if (region->closed_count != 0 && region->state != TD_REGION_CLOSED) {
        td_reader_fail(reader, TD_EROSTER);
    }
}

/* The key in force never retires. */
static void read_retired(struct td_reader *reader, struct td_arena *arena,
                         struct td_roster_region *region)
{
    const struct td_region_key *newest = td_roster_newest_key(region);

    region->retired_below = (uint16_t)td_reader_uint(reader, UINT16_MAX);
    region->retired = read_closings(reader, arena, &region->retired_count);
    if (newest == NULL || region->retired_below == 0 || region->retired_below > newest->number) {
        td_reader_fail(reader, TD_EROSTER);
    }
}

static void read_region(struct td_reader *reader, struct td_arena *arena,
                        struct td_roster_region *region)
{
    uint32_t fields = td_reader_enter(reader, REGION_FIELDS, FIELDS_MAX);
    region->number = td_wire_read_region(reader);
    region->name = read_name(reader, TD_REGION_NAME_BYTES_MAX);
    region->state = (enum td_region_state)td_reader_uint(reader, TD_REGION_CLOSED);
    region->quota_registers = td_reader_uint(reader, TD_SEQ_MAX);
    region->quota_bytes = td_reader_uint(reader, TD_SEQ_MAX);
    read_region_keys(reader, arena, region);
    region->endpoints =
        read_texts(reader, arena, TD_ENDPOINTS_MAX, TD_ENDPOINT_BYTES_MAX, &region->endpoint_count);
    region->admitted_version = td_reader_uint(reader, TD_SEQ_MAX);
    read_closed(reader, arena, region);
    region->doubtful_since_ms = td_reader_uint(reader, TD_STAMP_MS_MAX);
    region->card = td_reader_bin(reader, TD_CARD_BYTES_MAX);
    if (fields >= REGION_FIELDS + REGION_RETIRED_FIELDS) {
        read_retired(reader, arena, region);
    }
    td_reader_leave(reader);
}

static void read_regions(struct td_reader *reader, struct td_arena *arena, struct td_roster *roster)
{
    uint32_t count = 0;
    uint32_t open_count = 0;
    struct td_roster_region *regions =
        td_wire_enter_flat(reader, arena, 1, TD_REGION_NUMBER_MAX, sizeof *regions, &count);
    for (uint32_t i = 0; regions != NULL && i < count; i++) {
        read_region(reader, arena, &regions[i]);
        open_count += regions[i].state != TD_REGION_CLOSED;
        if (i > 0 && regions[i - 1].number.v >= regions[i].number.v) {
            td_reader_fail(reader, TD_EROSTER);
        }
    }
    td_reader_leave(reader);
    if (open_count > TD_REGIONS_MAX) {
        td_reader_fail(reader, TD_ETOOBIG);
    }
    roster->regions = regions;
    roster->region_count = count;
}

static void read_client(struct td_reader *reader, struct td_arena *arena,
                        struct td_roster_client *client)
{
    td_reader_enter(reader, CLIENT_FIELDS, FIELDS_MAX);
    client->number = (uint32_t)td_reader_uint(reader, UINT32_MAX);
    client->name = read_name(reader, TD_REGION_NAME_BYTES_MAX);
    client->role = (enum td_role)td_reader_uint(reader, TD_ROLE_ADMIN);
    read_key(reader, &client->sign_key);
    read_key(reader, &client->link_key);
    client->prefixes =
        read_texts(reader, arena, TD_CLIENT_PREFIXES_MAX, TD_JOB_BYTES_MAX, &client->prefix_count);
    client->admitted_version = td_reader_uint(reader, TD_SEQ_MAX);
    td_reader_leave(reader);
}

static void read_clients(struct td_reader *reader, struct td_arena *arena, struct td_roster *roster)
{
    uint32_t count = 0;
    uint32_t number_min = 1;
    struct td_roster_client *clients =
        td_wire_enter_flat(reader, arena, 1, TD_CLIENTS_MAX, sizeof *clients, &count);
    for (uint32_t i = 0; clients != NULL && i < count; i++) {
        read_client(reader, arena, &clients[i]);
        if (clients[i].number < number_min || clients[i].number == UINT32_MAX) {
            td_reader_fail(reader, TD_EROSTER);
        }
        number_min = clients[i].number + 1;
    }
    td_reader_leave(reader);
    roster->clients = clients;
    roster->client_count = count;
}

static void read_roster(struct td_reader *reader, struct td_arena *arena, struct td_roster *roster)
{
    uint32_t fields = td_reader_enter(reader, ROSTER_FIELDS, FIELDS_MAX);
    if (td_reader_uint(reader, UINT64_MAX) != TD_ROSTER_FORMAT) {
        td_reader_fail(reader, TD_EVERSION);
    }
    td_reader_fixed(reader, roster->cluster.bytes, sizeof roster->cluster.bytes);
    roster->cluster_name = read_name(reader, TD_CLUSTER_NAME_BYTES_MAX);
    roster->version = td_reader_uint(reader, TD_SEQ_MAX);
    roster->issued_ms = td_reader_uint(reader, TD_STAMP_MS_MAX);
    td_reader_fixed(reader, roster->previous.bytes, sizeof roster->previous.bytes);
    read_policy(reader, &roster->policy);
    read_regions(reader, arena, roster);
    read_clients(reader, arena, roster);
    roster->clients_ever = last_client(roster);
    if (fields > ROSTER_FIELDS) {
        roster->clients_ever = (uint32_t)td_reader_uint(reader, UINT32_MAX - 1);
        if (roster->clients_ever < last_client(roster)) {
            td_reader_fail(reader, TD_EROSTER);
        }
    }
    td_reader_leave(reader);
}

/* ---- uniqueness ---- */

static int compare_items(const void *a, const void *b)
{
    return td_bytes_compare(*(const struct td_bytes *)a, *(const struct td_bytes *)b);
}

static bool all_differ(struct td_bytes *items, size_t count)
{
    if (count != 0) {
        qsort(items, count, sizeof *items, compare_items);
    }
    for (size_t i = 1; i < count; i++) {
        if (compare_items(&items[i - 1], &items[i]) == 0) {
            return false;
        }
    }
    return true;
}

static struct td_bytes text_item(struct td_text text)
{
    return (struct td_bytes){(const uint8_t *)text.bytes, text.count};
}

static struct td_bytes key_item(const struct td_public_key *key)
{
    return (struct td_bytes){key->bytes, sizeof key->bytes};
}

static bool names_differ(const struct td_roster *roster, struct td_bytes *items)
{
    for (uint32_t i = 0; i < roster->region_count; i++) {
        items[i] = text_item(roster->regions[i].name);
    }
    if (!all_differ(items, roster->region_count)) {
        return false;
    }
    for (uint32_t i = 0; i < roster->client_count; i++) {
        items[i] = text_item(roster->clients[i].name);
    }
    return all_differ(items, roster->client_count);
}

/* No key may stand for two: not of two regions, not of a region and a client, not reused later. */
static bool keys_differ(const struct td_roster *roster, struct td_bytes *items, bool link)
{
    size_t count = 0;
    for (uint32_t i = 0; i < roster->region_count; i++) {
        for (uint32_t k = 0; k < roster->regions[i].key_count; k++) {
            const struct td_region_key *key = &roster->regions[i].keys[k];
            items[count++] = key_item(link ? &key->link_key : &key->sign_key);
        }
    }
    for (uint32_t i = 0; i < roster->client_count; i++) {
        const struct td_roster_client *client = &roster->clients[i];
        items[count++] = key_item(link ? &client->link_key : &client->sign_key);
    }
    return all_differ(items, count);
}

static enum td_err check_unique(const struct td_roster *roster, struct td_arena *arena)
{
    size_t count = roster->client_count + roster->region_count;
    for (uint32_t i = 0; i < roster->region_count; i++) {
        count += roster->regions[i].key_count;
    }
    struct td_bytes *items = td_arena_take(arena, count, sizeof *items);
    if (items == NULL) {
        return TD_ETOOBIG;
    }
    bool unique = names_differ(roster, items) && keys_differ(roster, items, true) &&
                  keys_differ(roster, items, false);
    return unique ? TD_OK : TD_EROSTER;
}

enum td_err td_roster_decode(struct td_bytes raw, const struct td_signer *signer,
                             const struct td_public_key *root_sign_key, struct td_reader *reader,
                             struct td_arena *arena, struct td_roster *ret_roster)
{
    struct td_roster roster = {0};
    struct td_signature signature;
    struct td_bytes inner;
    if (raw.count > TD_ROSTER_BYTES_MAX) {
        return TD_ETOOBIG;
    }
    if (!td_signed_open(raw, &inner, &signature)) {
        return TD_EFORMAT;
    }
    if (!signer->verify(signer->self, root_sign_key, TD_CONTEXT_ROSTER, inner, &signature)) {
        return TD_EBADSIG;
    }
    if (td_reader_init(reader, inner) != TD_OK) {
        return td_reader_err(reader);
    }
    read_roster(reader, arena, &roster);
    enum td_err err = td_reader_done(reader);
    if (err == TD_OK) {
        err = check_unique(&roster, arena);
    }
    if (err != TD_OK) {
        return err;
    }
    hash_inner(signer, inner, &roster.hash);
    roster.raw = raw;
    *ret_roster = roster;
    return TD_OK;
}

/* ---- card ---- */

size_t td_card_encode(const struct td_card *card, const struct td_signer *root_signer, void *bytes,
                      size_t size_bytes)
{
    struct td_writer writer;
    TD_ASSERT(card->region.v != 0);
    size_t room = size_bytes < TD_CARD_BYTES_MAX ? size_bytes : TD_CARD_BYTES_MAX;
    if (room <= TD_SIGNED_INNER_AT) {
        return 0;
    }
    td_writer_init(&writer, (uint8_t *)bytes + TD_SIGNED_INNER_AT, room - TD_SIGNED_INNER_AT);
    td_writer_array(&writer, CARD_FIELDS);
    td_writer_uint(&writer, TD_CARD_FORMAT);
    td_writer_bin(&writer, (struct td_bytes){card->cluster.bytes, sizeof card->cluster.bytes});
    td_writer_uint(&writer, card->region.v);
    td_writer_uint(&writer, card->key_number);
    write_key(&writer, &card->sign_key);
    write_key(&writer, &card->link_key);
    td_writer_uint(&writer, card->roster_version);
    return td_signed_close(bytes, room, td_writer_done(&writer), root_signer, TD_CONTEXT_CARD);
}

enum td_err td_card_decode(struct td_bytes raw, const struct td_signer *signer,
                           const struct td_public_key *root_sign_key, struct td_reader *reader,
                           struct td_card *ret_card)
{
    struct td_card card = {0};
    struct td_signature signature;
    struct td_bytes inner;
    if (raw.count > TD_CARD_BYTES_MAX) {
        return TD_ETOOBIG;
    }
    if (!td_signed_open(raw, &inner, &signature)) {
        return TD_EFORMAT;
    }
    if (!signer->verify(signer->self, root_sign_key, TD_CONTEXT_CARD, inner, &signature)) {
        return TD_EBADSIG;
    }
    if (td_reader_init(reader, inner) != TD_OK) {
        return td_reader_err(reader);
    }
    td_reader_enter(reader, CARD_FIELDS, FIELDS_MAX);
    if (td_reader_uint(reader, UINT64_MAX) != TD_CARD_FORMAT) {
        td_reader_fail(reader, TD_EVERSION);
    }
    td_reader_fixed(reader, card.cluster.bytes, sizeof card.cluster.bytes);
    card.region = td_wire_read_region(reader);
    card.key_number = (uint16_t)td_reader_uint(reader, UINT16_MAX);
    read_key(reader, &card.sign_key);
    read_key(reader, &card.link_key);
    card.roster_version = td_reader_uint(reader, TD_SEQ_MAX);
    td_reader_leave(reader);
    enum td_err err = td_reader_done(reader);
    if (err == TD_OK) {
        *ret_card = card;
    }
    return err;
}
